"""Small data and networks that the tests of training share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from optbias.data import Split
from optbias.models import MLP
from optbias.seeding import generator

F64 = torch.float64


def vector_data(n: int = 60, features: int = 5, classes: int = 3, seed: int = 0) -> Split:
    """Random inputs with labels from a random linear map, and 20 held-out examples."""
    random = generator(seed)
    inputs = torch.randn(n + 20, features, generator=random, dtype=F64)
    labels = (inputs @ torch.randn(features, classes, generator=random, dtype=F64)).argmax(1)
    return Split("vectors", classes, inputs[:n], labels[:n], inputs[n:], labels[n:])


def text_data(n: int = 12, length: int = 6, words: int = 7) -> Split:
    """Random tokens; the label of each is the next one."""
    tokens = torch.randint(words, (n + 4, length + 1), generator=generator(1))
    inputs, labels = tokens[:, :-1], tokens[:, 1:]
    return Split("text", words, inputs[:n], labels[:n], inputs[n:], labels[n:])


class Words(nn.Module):
    """Embedding and linear layer: logits of the next token."""

    def __init__(self, words: int = 7, width: int = 4) -> None:
        super().__init__()
        random = generator(3)
        self.embedding = nn.Parameter(torch.randn(words, width, generator=random, dtype=F64))
        self.out = nn.Parameter(torch.randn(width, words, generator=random, dtype=F64))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.tanh(self.embedding[inputs]) @ self.out


@pytest.fixture(scope="session")
def vectors() -> Split:
    return vector_data()


@pytest.fixture(scope="session")
def text() -> Split:
    return text_data()


@pytest.fixture
def network():
    """Makes an MLP 5-6-3: 57 parameters."""
    return lambda seed=0, dtype=F64: MLP((5, 6, 3), seed=seed, dtype=dtype)


@pytest.fixture
def words():
    """Makes the network for ``text``."""
    return Words


@pytest.fixture
def normalised(network):
    """Makes a network with batch normalisation for ``vectors``."""
    return lambda: nn.Sequential(network().layers[0], nn.BatchNorm1d(6, dtype=F64), nn.Tanh(), network().layers[1])
