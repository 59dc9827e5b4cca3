"""A multilayer perceptron."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from optbias import _checks
from optbias.models._parts import ACTIVATIONS, stacked_linear
from optbias.seeding import generator


class MLP(nn.Module):
    """``x -> W_k a(... a(W_1 x + b_1) ...) + b_k`` with layers of the given ``sizes``.

    ``MLP((64, 16, 10))`` has one hidden layer of 16 units. Weights start as independent normal numbers of
    mean 0 and variance ``gain^2 / fan_in``, biases at 0, drawn from ``seed``. With the default gain 1 the
    size of the signal is kept by a linear layer; ``gain=2**0.5`` keeps it through ReLU.

    The module is plain: it works with ``torch.func.functional_call`` and, since networks of the same
    sizes have the same parameters, with ``torch.func.stack_module_state``. Inputs ``(..., sizes[0])``,
    outputs ``(..., sizes[-1])``; the output layer has no activation.

    Raises ValueError for fewer than two sizes, a size below 1, or an unknown activation.

    >>> MLP([64, 32, 10])(torch.zeros(5, 64, dtype=torch.float64)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "tanh",
        *,
        bias: bool = True,
        gain: float = 1.0,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        sizes = tuple(sizes)
        if len(sizes) < 2 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sizes):
            raise ValueError(f"sizes must be two or more whole numbers >= 1; got {sizes!r}")
        _checks.one_of("activation", activation, ACTIVATIONS)
        _checks.flag("bias", bias)
        _checks.number("gain", gain, low=0.0)
        self.sizes, self.activation = sizes, activation
        layers: list[nn.Linear] = [
            # skip_init: the weights are drawn below, from the seed and not from the global random state.
            nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=bias, dtype=dtype)
            for fan_in, fan_out in itertools.pairwise(sizes)
        ]
        self.layers = nn.ModuleList(layers)
        random = generator(seed)
        with torch.no_grad():
            for layer in layers:
                # Drawn in float64 so that a seed means the same network in every precision.
                weight = torch.randn(layer.weight.shape, generator=random, dtype=torch.float64)
                layer.weight.copy_(weight * gain / layer.in_features**0.5)
                if bias:
                    layer.bias.zero_()

    def forward(self, inputs: Tensor) -> Tensor:
        """The outputs of the last layer (for classes: logits)."""
        activation = ACTIVATIONS[self.activation]
        for layer in self.layers[:-1]:
            inputs = activation(layer(inputs))
        return self.layers[-1](inputs)

    def stacked(self, parameters: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """The outputs of ``K`` networks of these sizes at once: one batched matrix product per layer.

        ``parameters[name]`` is ``(K, *shape)`` for every name of ``named_parameters()``; ``inputs`` is
        ``(n, sizes[0])`` for all networks or ``(K, n, sizes[0])``, one set for each. Returns ``(K, n, sizes[-1])``.
        """
        last = len(self.layers) - 1
        for k in range(last + 1):
            inputs = stacked_linear(parameters, f"layers.{k}", inputs)
            inputs = inputs if k == last else ACTIVATIONS[self.activation](inputs)
        return inputs

    def extra_repr(self) -> str:
        """Shown by ``print``."""
        return f"sizes={self.sizes}, activation={self.activation!r}"
