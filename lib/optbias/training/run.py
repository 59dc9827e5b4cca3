"""What a training run returns, and the error that ends one early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from torch import Tensor


@dataclass(eq=False)
class Run:
    """A training run.

    ``history`` has one row per measured step: ``step`` is the number of updates done, and every other
    column belongs to the parameters after that many updates (row 0: the initial ones). A value that was
    not measured at a step is NaN. Columns:

    - ``loss``: the training loss ``f``, the mean over the whole training set;
    - ``one_norm``, ``one_norm_eps``, ``two_norm``: of the gradient of ``f``;
      ``one_norm_eps`` is ``sum sqrt(g^2 + eps)``;
    - ``kkt_gap``: relative, ``1 + <theta, grad f> / (radius * one_norm)``;
    - ``linf``: ``max |theta|``; ``q50``, ``q90``, ...: quantiles of ``|theta|``;
    - ``share_on_box``, ``share_outside``: shares of the parameters, see :class:`Probes`;
    - ``batch_loss``: the loss of the mini-batch of the next step (runs with mini-batches only);
    - ``test_loss``, ``test_accuracy``: on the held-out data;
    - ``sharpness``: the largest eigenvalue of the preconditioned Hessian;
    - ``norm_slope``: the one-norm of the gradient of ``one_norm_eps``.

    ``theta`` holds the final parameters, flat, on the CPU, in the order of ``named_parameters()``. ``facts``
    says how the run was made: device, dtype, precision, kernels, processes, versions, speed. ``error`` is
    empty, or says why the run ended early.

    >>> import pandas as pd
    >>> Run(pd.DataFrame({"loss": [2.0, 1.0]}), torch.zeros(3)).history["loss"].tolist()
    [2.0, 1.0]
    """

    history: pd.DataFrame
    theta: Tensor
    facts: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    error: str = ""


class TrainingError(RuntimeError):
    """A run that cannot go on. ``run`` holds its history and parameters up to there (None before the first step).

    ``runs`` are all the runs that ended with it: more than one if they were trained as a stack.

    >>> try:
    ...     raise TrainingError("the loss is not a number")
    ... except TrainingError as error:
    ...     error.runs
    []
    """

    def __init__(self, message: str, runs: Sequence[Run] = ()) -> None:
        super().__init__(message)
        self.runs = list(runs)

    @property
    def run(self) -> Run | None:
        """The first of ``runs``."""
        return self.runs[0] if self.runs else None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.runs)
