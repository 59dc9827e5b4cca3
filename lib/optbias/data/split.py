"""What a loader returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """A data set of labelled examples in two parts.

    Images and vectors: ``inputs`` is ``(train, *shape)`` and floating-point, ``labels`` is ``(train,)``. Text:
    both are ``(train, context)``, int64, and ``labels[i, t]`` is the token that follows ``inputs[i, t]``. Labels
    are int64 in ``0 ... classes - 1``; ``test_inputs`` and ``test_labels`` likewise.

    ``source`` says where the data come from, ``facts`` what a record of a run should keep (plain values
    only; ``facts["lossy"]`` where the stored form lost something), ``vocabulary`` the tokens by number.

    >>> one = torch.zeros(2, 3)
    >>> split = Split("tiny", 2, one, torch.tensor([0, 1]), one, torch.tensor([1, 0]))
    >>> split.inputs.shape, split.classes
    (torch.Size([2, 3]), 2)
    """

    name: str
    classes: int
    inputs: Tensor
    labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor
    source: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()
