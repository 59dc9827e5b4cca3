"""What several networks share: activation functions, normalisation layers, seeded initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from optbias.seeding import generator

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "softplus": functional.softplus,
    "relu": torch.relu,
    "identity": lambda x: x,
}
"""The activation functions by name. All but ``relu`` are smooth, as theorems about Hessians want them."""


def sizes_checked(**sizes: int) -> None:
    """Require each of the named sizes to be a whole number >= 1."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number >= 1; got {value!r}")


def norm_of_channels(kind: str, channels: int) -> nn.Module:
    """The normalisation layer of a convolutional network: ``"group"``, ``"batch"`` or ``"none"``.

    Groups are 32 as in Wu and He (arXiv 1803.08494), fewer where one would have less than two channels.
    """
    if kind == "group":
        return nn.GroupNorm(math.gcd(max(1, channels // 2), 32), channels)
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.Identity()


def on_meta() -> torch.device:
    """Where modules are built before :func:`draw` fills them: no memory, nothing drawn from torch's global state."""
    return torch.device("meta")


def embedding(count: int, width: int) -> nn.Embedding:
    """``nn.Embedding(count, width)`` without its own drawing, which imports torch's compiler on the meta device."""
    return nn.Embedding.from_pretrained(torch.empty(count, width), freeze=False)


def draw(module: nn.Module, seed: int, dtype: torch.dtype, residual: Mapping[nn.Module, float] | None = None) -> None:
    """Give a module that was built on :func:`on_meta` its memory and its initial weights, all from ``seed``.

    - linear layers, LSTM: uniform on ``+-1/sqrt(fan_in)`` (LSTM: of its width), biases too, as torch does;
    - convolutions: normal, variance ``2 / fan_out`` (He et al., arXiv 1502.01852), biases 0;
    - embeddings: standard normal numbers;
    - normalisation layers: weights 1, biases 0.

    ``residual`` names layers whose weights are multiplied by a number after that. Numbers are drawn in
    float64 in the order of ``module.modules()``, so a seed means the same network in every precision.
    """
    random = generator(seed)
    scale = residual or {}
    module.to_empty(device="cpu").to(dtype)

    def uniform(parameter: Tensor, bound: float) -> None:
        drawn = torch.rand(parameter.shape, generator=random, dtype=torch.float64)
        parameter.copy_((2 * drawn - 1) * bound)

    def normal(parameter: Tensor, std: float) -> None:
        parameter.copy_(torch.randn(parameter.shape, generator=random, dtype=torch.float64) * std)

    with torch.no_grad():
        for part in module.modules():
            own = list(part.parameters(recurse=False))
            match part:
                case nn.Linear():
                    for parameter in own:
                        uniform(parameter, part.in_features**-0.5)
                case nn.LSTM():
                    for parameter in own:
                        uniform(parameter, part.hidden_size**-0.5)
                case nn.Conv2d():
                    fan_out = part.out_channels * part.kernel_size[0] * part.kernel_size[1]
                    normal(part.weight, (2 / fan_out) ** 0.5)
                    if part.bias is not None:
                        part.bias.zero_()
                case nn.Embedding():
                    normal(part.weight, 1.0)
                case nn.LayerNorm() | nn.GroupNorm():
                    part.weight.fill_(1.0)
                    part.bias.zero_()
                case nn.BatchNorm1d() | nn.BatchNorm2d():
                    part.reset_running_stats()
                    part.weight.fill_(1.0)
                    part.bias.zero_()
                case _ if own:
                    raise TypeError(f"no rule for the initial weights of {type(part).__name__}")
            if part in scale:
                own[0].mul_(scale[part])


def stacked_linear(parameters: Mapping[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    """``K`` linear layers at once: inputs ``(n, d)`` or ``(K, n, d)``, weight ``(K, e, d)``; returns ``(K, n, e)``."""
    weight, bias = parameters[f"{name}.weight"], parameters.get(f"{name}.bias")
    if inputs.dim() == 2:
        inputs = inputs.expand(len(weight), *inputs.shape)
    if bias is None:
        return torch.bmm(inputs, weight.transpose(1, 2))
    return torch.baddbmm(bias.unsqueeze(1), inputs, weight.transpose(1, 2))
