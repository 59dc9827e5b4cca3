"""Convolutional networks for small images: a plain one, and residual ones with the CIFAR stem."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from optbias import _checks
from optbias.models._parts import ACTIVATIONS, draw, norm_of_channels, on_meta, sizes_checked

NORMS = ("group", "batch", "none")
"""The normalisation layers. Only ``batch`` mixes examples, so that a sum over micro-batches is not the full batch."""

DEPTHS: dict[int, tuple[str, tuple[int, ...]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
}
"""The residual networks with a name: kind of block, and blocks per stage (He et al., arXiv 1512.03385, Table 1)."""

EXPANSION = {"basic": 1, "bottleneck": 4}
"""How many times more channels a block puts out than its inner convolutions have."""


class CNN(nn.Module):
    """Images ``(n, channels, size, size)`` -> logits ``(n, classes)``: convolutions, mean pooling, two linear layers.

    For each of ``widths`` two convolutions 3 x 3 with that many channels, then 2 x 2 mean pooling (smooth,
    unlike the maximum); then a layer of ``hidden`` units. ``widths=(32, 64, 128), hidden=512`` is the shape of
    the plain network in Cattaneo et al.'s code.

    Raises ValueError for a size below 1, an image that cannot be halved ``len(widths)`` times, and an
    unknown activation or norm.

    >>> CNN(size=8, classes=3, widths=(4, 8), hidden=16, channels=1)(torch.zeros(2, 1, 8, 8, dtype=torch.float64)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        size: int = 32,
        classes: int = 10,
        widths: Sequence[int] = (32, 64, 128),
        hidden: int = 512,
        activation: str = "silu",
        norm: str = "none",
        *,
        channels: int = 3,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        widths = tuple(widths)
        if not widths:
            raise ValueError("widths must name at least one stage; got ()")
        sizes_checked(size=size, classes=classes, hidden=hidden, channels=channels, **_numbered("widths", widths))
        if size % 2 ** len(widths):
            raise ValueError(f"size must be a multiple of {2 ** len(widths)} for {len(widths)} widths; got {size}")
        _checks.one_of("activation", activation, ACTIVATIONS)
        _checks.one_of("norm", norm, NORMS)
        self.activation = activation
        with on_meta():
            self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
            for a, b in itertools.pairwise((channels, *widths)):
                for c in (a, b):
                    self.convolutions.append(nn.Conv2d(c, b, 3, padding=1, bias=norm == "none"))
                    self.norms.append(norm_of_channels(norm, b))
            side = size // 2 ** len(widths)
            self.hidden = nn.Linear(widths[-1] * side * side, hidden)
            self.last = nn.Linear(hidden, classes)
        draw(self, seed, dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits."""
        activation = ACTIVATIONS[self.activation]
        for k, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            inputs = activation(norm(convolution(inputs)))
            if k % 2:
                inputs = nn.functional.avg_pool2d(inputs, 2)
        return self.last(activation(self.hidden(inputs.flatten(1))))

    def extra_repr(self) -> str:
        """Shown by ``print``."""
        return f"activation={self.activation!r}"


class ResNet(nn.Module):
    """A residual network for small images: ``(n, channels, height, width)`` -> logits ``(n, classes)``.

    The stem is one 3 x 3 convolution with stride 1 and no pooling (the CIFAR stem). ``depth`` is 18, 34, 50 or
    101, or a tuple of blocks per stage with ``block="basic"`` (two convolutions 3 x 3) or ``"bottleneck"``
    (1 x 1, 3 x 3, 1 x 1, four times as many channels out). Stage ``k`` has ``width * 2^k`` inner channels and
    halves the image from ``k = 1`` on. The mean over pixels goes to a linear layer.

    Convolutions start normal with variance ``2 / fan_out``. With ``norm="none"`` the last convolution of each
    block is divided by the root of the number of blocks, so that the signal does not grow with depth.

    Source: He et al., arXiv 1512.03385, the stride in the 3 x 3 convolution as in torchvision. Raises
    ValueError for an unknown depth, block, activation or norm, and for a size below 1.

    >>> ResNet(depth=(1, 1), width=8, classes=3)(torch.zeros(2, 3, 8, 8, dtype=torch.float64)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        depth: int | Sequence[int] = 18,
        width: int = 64,
        classes: int = 10,
        norm: str = "group",
        activation: str = "silu",
        *,
        block: str = "basic",
        channels: int = 3,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        if isinstance(depth, int):
            _checks.one_of("depth", depth, DEPTHS)
            block, stages = DEPTHS[depth]
        else:
            stages = tuple(depth)
            if not stages:
                raise ValueError("depth must be one of the known depths or a tuple of blocks per stage; got ()")
        sizes_checked(width=width, classes=classes, channels=channels, **_numbered("depth", stages))
        _checks.one_of("block", block, EXPANSION)
        _checks.one_of("activation", activation, ACTIVATIONS)
        _checks.one_of("norm", norm, NORMS)
        self.activation = activation
        with on_meta():
            self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            self.norm_stem = norm_of_channels(norm, width)
            blocks: list[ResidualBlock] = []
            before = width
            for k, repeats in enumerate(stages):
                for i in range(repeats):
                    stride = 2 if k > 0 and i == 0 else 1
                    blocks.append(ResidualBlock(before, width * 2**k, block, stride, norm, activation))
                    before = width * 2**k * EXPANSION[block]
            self.blocks = nn.ModuleList(blocks)
            self.last = nn.Linear(before, classes)
        shrink = len(blocks) ** -0.5 if norm == "none" else 1.0
        draw(self, seed, dtype, {list(b.convolutions)[-1]: shrink for b in blocks})

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits."""
        hidden = ACTIVATIONS[self.activation](self.norm_stem(self.stem(inputs)))
        for block in self.blocks:
            hidden = block(hidden)
        return self.last(hidden.mean((-2, -1)))

    def extra_repr(self) -> str:
        """Shown by ``print``."""
        return f"activation={self.activation!r}"


class ResidualBlock(nn.Module):
    """``x -> a(s(x) + n(c_k(... a(n(c_1(x))))))``; the shortcut ``s`` is a 1 x 1 convolution where shapes change."""

    def __init__(self, before: int, inner: int, kind: str, stride: int, norm: str, activation: str) -> None:
        super().__init__()
        self.activation = activation
        after = inner * EXPANSION[kind]
        if kind == "basic":
            shapes = [(before, inner, 3, stride), (inner, after, 3, 1)]
        else:
            shapes = [(before, inner, 1, 1), (inner, inner, 3, stride), (inner, after, 1, 1)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, kernel, step, padding=kernel // 2, bias=False) for a, b, kernel, step in shapes
        )
        self.norms = nn.ModuleList(norm_of_channels(norm, b) for _, b, _, _ in shapes)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), norm_of_channels(norm, after)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """The block's output."""
        activation, hidden = ACTIVATIONS[self.activation], inputs
        for k, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            hidden = norm(convolution(hidden if k == 0 else activation(hidden)))
        return activation(self.shortcut(inputs) + hidden)


def _numbered(name: str, sizes: Sequence[int]) -> dict[str, int]:
    return {f"{name}[{i}]": size for i, size in enumerate(sizes)}
