"""Transformers: a small decoder for text, and a vision transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optbias import _checks
from optbias.models._parts import ACTIVATIONS, draw, embedding, on_meta, sizes_checked

NORMS = ("pre", "none")
"""Where a transformer normalises: before each sub-layer and at the end (``pre``), or nowhere."""


class Attention(nn.Module):
    """Multi-head self-attention, written out so that it can be differentiated twice.

    ``attending=False`` gives every visible position the same weight: no queries, no keys, the mean of the values.

    The fused kernels behind ``scaled_dot_product_attention`` have no second derivative, which the
    sharpness probes need. Inputs and outputs ``(n, length, width)``.
    """

    def __init__(self, width: int, heads: int, causal: bool, attending: bool = True) -> None:
        super().__init__()
        self.heads, self.causal, self.attending = heads, causal, attending
        self.query_key_value = nn.Linear(width, (3 if attending else 1) * width)
        self.out = nn.Linear(width, width)

    def forward(self, inputs: Tensor) -> Tensor:
        """The attended values."""
        n, length, width = inputs.shape
        if not self.attending:
            seen = torch.ones(length, length, dtype=inputs.dtype, device=inputs.device)
            seen = seen.tril() if self.causal else seen
            return self.out((seen / seen.sum(1, keepdim=True)) @ self.query_key_value(inputs))
        split = self.query_key_value(inputs).view(n, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5
        if self.causal:
            future = torch.ones(length, length, dtype=torch.bool, device=inputs.device).triu(1)
            scores = scores.masked_fill(future, -torch.inf)
        attended = scores.softmax(-1) @ value
        return self.out(attended.transpose(1, 2).reshape(n, length, width))


class Block(nn.Module):
    """``x -> x + attention(n(x))``, then ``x -> x + W_2 a(W_1 n(x))``; the inner layer is ``inner`` wide.

    ``skip=False`` leaves out the two ``x +``.
    """

    def __init__(
        self, width: int, heads: int, inner: int, activation: str, norm: str, causal: bool,
        skip: bool = True, attending: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.activation = activation
        self.norm_attention = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        self.skip = skip
        self.attention = Attention(width, heads, causal, attending)
        self.norm_mlp = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        self.mlp_in = nn.Linear(width, inner)
        self.mlp_out = nn.Linear(inner, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """The residual stream after the block."""
        attended = self.attention(self.norm_attention(hidden))
        hidden = hidden + attended if self.skip else attended
        outcome = self.mlp_out(ACTIVATIONS[self.activation](self.mlp_in(self.norm_mlp(hidden))))
        return hidden + outcome if self.skip else outcome


class Transformer(nn.Module):
    """A decoder-only causal transformer without dropout: tokens ``(n, length)`` -> logits ``(n, length, vocabulary)``.

    Token and position embeddings of the given ``width`` start as standard normal numbers, linear layers
    uniform on ``+-1/sqrt(fan_in)``, all from ``seed``. ``layers`` blocks with ``heads`` heads and an inner
    layer four times as wide; ``norm="pre"`` normalises before each sub-layer and at the end,
    ``norm="none"`` nowhere. ``skip=False`` leaves out the skip connections, ``attention=False`` gives all earlier
    positions the same weight. ``length`` may be at most ``context``.

    Raises ValueError for a size below 1, a width that the heads do not divide, and an unknown
    activation or norm; ``forward`` for tokens of another shape or a longer length.

    >>> Transformer(vocabulary=20, context=5, width=8, heads=2)(torch.zeros(2, 5, dtype=torch.long)).shape
    torch.Size([2, 5, 20])
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        activation: str = "gelu",
        norm: str = "pre",
        skip: bool = True,
        attention: bool = True,
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        sizes_checked(vocabulary=vocabulary, context=context, width=width, heads=heads, layers=layers)
        if width % heads:
            raise ValueError(f"width must be a multiple of heads; got width={width}, heads={heads}")
        _checks.one_of("activation", activation, ACTIVATIONS)
        _checks.one_of("norm", norm, NORMS)
        _checks.flag("skip", skip)
        _checks.flag("attention", attention)
        self.context = context
        with on_meta():
            self.tokens = embedding(vocabulary, width)
            self.positions = embedding(context, width)
            self.blocks = nn.ModuleList(
                Block(width, heads, 4 * width, activation, norm, True, skip, attention) for _ in range(layers)
            )
            self.norm_last = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
            self.last = nn.Linear(width, vocabulary)
        draw(self, seed, dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits of the next token after each position."""
        if inputs.dim() != 2 or inputs.shape[1] > self.context:
            raise ValueError(
                f"tokens must have shape (n, length) with length <= {self.context}; got {tuple(inputs.shape)}"
            )
        hidden = self.tokens(inputs) + self.positions.weight[: inputs.shape[1]]
        for block in self.blocks:
            hidden = block(hidden)
        return self.last(self.norm_last(hidden))

    def extra_repr(self) -> str:
        """Shown by ``print``."""
        return f"context={self.context}"


class VisionTransformer(nn.Module):
    """Images ``(n, channels, size, size)`` -> logits ``(n, classes)``, in the shape of SimpleViT.

    The image is cut into square patches of ``patch`` pixels, each mapped linearly to ``width`` numbers;
    fixed two-dimensional sine and cosine waves mark the positions; ``layers`` blocks without mask; the mean
    over patches is normalised and mapped to the classes. ``norm="none"`` leaves all normalisations out. The
    defaults are small; ``width=512, layers=6, heads=16, inner=1024`` is the size in Cattaneo et al.'s code.

    Source: Beyer, Zhai and Kolesnikov, arXiv 2205.01580. Raises ValueError for a size below 1, a patch that
    does not divide the image, a width that heads or 4 do not divide, and an unknown activation or norm.

    >>> network = VisionTransformer(size=8, classes=3, width=8, heads=2, layers=1)
    >>> network(torch.zeros(2, 3, 8, 8, dtype=torch.float64)).shape
    torch.Size([2, 3])
    """

    positions: Tensor

    def __init__(
        self,
        size: int = 32,
        classes: int = 10,
        patch: int = 4,
        width: int = 64,
        heads: int = 4,
        layers: int = 4,
        inner: int = 128,
        activation: str = "gelu",
        norm: str = "pre",
        *,
        channels: int = 3,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        sizes_checked(size=size, classes=classes, patch=patch, width=width, heads=heads, layers=layers)
        sizes_checked(inner=inner, channels=channels)
        if size % patch:
            raise ValueError(f"patch must divide size; got size={size}, patch={patch}")
        if width % heads or width % 4:
            raise ValueError(f"width must be a multiple of heads and of 4; got width={width}, heads={heads}")
        _checks.one_of("activation", activation, ACTIVATIONS)
        _checks.one_of("norm", norm, NORMS)
        self.size, self.patch, self.channels = size, patch, channels
        with on_meta():
            self.patches = nn.Linear(channels * patch * patch, width)
            self.blocks = nn.ModuleList(Block(width, heads, inner, activation, norm, False) for _ in range(layers))
            self.norm_last = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
            self.last = nn.Linear(width, classes)
        draw(self, seed, dtype)
        self.register_buffer("positions", waves(size // patch, width).to(dtype), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits."""
        if inputs.dim() != 4 or inputs.shape[1:] != (self.channels, self.size, self.size):
            wanted = f"(n, {self.channels}, {self.size}, {self.size})"
            raise ValueError(f"images must have shape {wanted}; got {tuple(inputs.shape)}")
        n, p, side = len(inputs), self.patch, self.size // self.patch
        cut = inputs.view(n, self.channels, side, p, side, p).permute(0, 2, 4, 3, 5, 1).reshape(n, side * side, -1)
        hidden = self.patches(cut) + self.positions
        for block in self.blocks:
            hidden = block(hidden)
        return self.last(self.norm_last(hidden.mean(1)))

    def extra_repr(self) -> str:
        """Shown by ``print``."""
        return f"size={self.size}, patch={self.patch}"


def waves(side: int, width: int, temperature: float = 10_000.0) -> Tensor:
    """Sine and cosine waves of each patch's row and column, shape ``(side^2, width)``, float64."""
    row, column = torch.meshgrid(*2 * [torch.arange(side, dtype=torch.float64)], indexing="ij")
    quarter = width // 4
    frequency = temperature ** -(torch.arange(quarter, dtype=torch.float64) / max(1, quarter - 1))
    x, y = column.reshape(-1, 1) * frequency, row.reshape(-1, 1) * frequency
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], 1)
