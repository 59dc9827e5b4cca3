"""What a loader returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """A data set of labelled examples in two parts.

    ``inputs`` is ``(train, *shape)`` and floating-point, ``labels`` is ``(train,)``, int64, in
    ``0 ... classes - 1``; ``test_inputs`` and ``test_labels`` likewise.
    """

    name: str
    classes: int
    inputs: Tensor
    labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor
