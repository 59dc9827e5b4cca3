"""A recurrent network for text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optbias.models._parts import draw, embedding, on_meta, sizes_checked


class LSTM(nn.Module):
    """Tokens ``(n, length)`` -> logits of the next token ``(n, length, vocabulary)``: embedding, LSTM layers, linear.

    No dropout. The state starts at 0 in each sequence. Embeddings start as standard normal numbers, all
    else uniform on ``+-1/sqrt(width)``, from ``seed``. Raises ValueError for a size below 1; ``forward`` for
    tokens of another shape.

    >>> LSTM(vocabulary=20, width=8)(torch.zeros(2, 5, dtype=torch.long)).shape
    torch.Size([2, 5, 20])
    """

    def __init__(
        self, vocabulary: int, width: int = 32, layers: int = 2, *, seed: int = 0, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        sizes_checked(vocabulary=vocabulary, width=width, layers=layers)
        with on_meta():
            self.tokens = embedding(vocabulary, width)
            self.recurrent = nn.LSTM(width, width, layers, batch_first=True)
            self.last = nn.Linear(width, vocabulary)
        draw(self, seed, dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits of the next token after each position."""
        if inputs.dim() != 2:
            raise ValueError(f"tokens must have shape (n, length); got {tuple(inputs.shape)}")
        return self.last(self.recurrent(self.tokens(inputs))[0])
