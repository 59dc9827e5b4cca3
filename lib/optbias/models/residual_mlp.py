"""A residual multilayer perceptron, with or without normalisation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from optbias import _checks
from optbias.models._parts import ACTIVATIONS, draw, on_meta, sizes_checked, stacked_linear

NORMS = ("layer", "none", "batch")
"""The normalisation layers of :class:`ResidualMLP`."""

EPS = 1e-5
"""Added to the variance by torch's normalisation layers."""


class ResidualMLP(nn.Module):
    """``x -> V n(h_B) + c`` with ``h_0 = U x + b`` and ``h_k = h_(k-1) + W_2 a(W_1 n(h_(k-1)) + b_1) + b_2``.

    All hidden layers have the same ``width``; ``blocks`` counts the residual blocks ``k = 1 ... B``. The
    normalisation ``n`` has its own weights in each place: ``"layer"`` (each example by itself, so the
    full-batch gradient is exactly the mean of the examples' gradients), ``"batch"`` (over the batch, so it
    is not), or ``"none"``. Weights and biases start uniform on ``+-1/sqrt(fan_in)``, drawn from ``seed``.

    Inputs ``(n, features)``, outputs ``(n, classes)``. Raises ValueError for a size below 1 and for an
    unknown activation or norm.

    >>> ResidualMLP(features=64, width=16, blocks=2, classes=10)(torch.zeros(5, 64, dtype=torch.float64)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        features: int,
        width: int,
        blocks: int,
        classes: int,
        activation: str = "gelu",
        norm: str = "layer",
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        sizes_checked(features=features, width=width, blocks=blocks, classes=classes)
        _checks.one_of("activation", activation, ACTIVATIONS)
        _checks.one_of("norm", norm, NORMS)
        self.activation, self.norm = activation, norm

        def normalisation() -> nn.Module:
            return {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "none": nn.Identity}[norm](width)

        with on_meta():
            self.first = nn.Linear(features, width)
            self.blocks = nn.ModuleList(ResidualBlock(width, activation, normalisation()) for _ in range(blocks))
            self.norm_last = normalisation()
            self.last = nn.Linear(width, classes)
        draw(self, seed, dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits."""
        hidden = self.first(inputs)
        for block in self.blocks:
            hidden = block(hidden)
        return self.last(self.norm_last(hidden))

    def stacked(self, parameters: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """The logits of ``K`` networks of this shape at once: one batched matrix product per layer.

        ``parameters[name]`` is ``(K, *shape)`` for every name of ``named_parameters()``; ``inputs`` is
        ``(n, features)`` for all networks or ``(K, n, features)``, one set for each. Returns ``(K, n, classes)``.
        ``norm="batch"`` uses the statistics of ``inputs``, as ``forward`` does in training mode.
        """
        activation = ACTIVATIONS[self.activation]

        def normalised(hidden: Tensor) -> Tensor:
            if self.norm == "layer":
                return functional.layer_norm(hidden, hidden.shape[-1:], eps=EPS)
            centred = hidden - hidden.mean(1, keepdim=True)
            return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + EPS)

        def linear(norm: str, name: str, hidden: Tensor) -> Tensor:
            if self.norm == "none":
                return stacked_linear(parameters, name, hidden)
            # W (g n + c) + b = (W g) n + (W c + b): what the normalisation multiplies and adds goes into the layer
            # after it, on tensors of the parameters' size and not of the activations'.
            weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
            gain, shift = parameters[f"{norm}.weight"].unsqueeze(1), parameters[f"{norm}.bias"].unsqueeze(1)
            bias = torch.baddbmm(bias.unsqueeze(1), shift, weight.transpose(1, 2))
            return torch.baddbmm(bias, normalised(hidden), (weight * gain).transpose(1, 2))

        hidden = stacked_linear(parameters, "first", inputs)
        for k in range(len(self.blocks)):
            inner = linear(f"blocks.{k}.norm", f"blocks.{k}.inner", hidden)
            hidden = hidden + stacked_linear(parameters, f"blocks.{k}.outer", activation(inner))
        return linear("norm_last", "last", hidden)

    def extra_repr(self) -> str:
        """Shown by ``print``."""
        return f"activation={self.activation!r}, norm={self.norm!r}"


class ResidualBlock(nn.Module):
    """``h -> h + W_2 a(W_1 n(h) + b_1) + b_2``."""

    def __init__(self, width: int, activation: str, norm: nn.Module) -> None:
        super().__init__()
        self.activation, self.norm = activation, norm
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """The residual stream after the block."""
        return hidden + self.outer(ACTIVATIONS[self.activation](self.inner(self.norm(hidden))))
