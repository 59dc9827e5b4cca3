"""1,000 settings x 2,000 steps on Rosenbrock in one call of ``trajectory``, for every rule that works elementwise."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import medians, report
from optbias.losses import landscapes
from optbias.rules import RULES, Rule
from optbias.simulate import trajectory

SETTINGS, STEPS = 1000, 2000
ELEMENTWISE = {kind.__name__: kind for kind in RULES if kind().elementwise}
ROUNDS = 3
"""At most so many repetitions: a round runs two dozen grids."""


def run(repeats: int) -> dict[str, Any]:
    """Check that a grid holds the runs of single settings, then time the grids."""
    for name in ELEMENTWISE:
        agrees(name)
    contestants = {name: partial(grid, name, SETTINGS, STEPS) for name in ELEMENTWISE}
    seconds = medians(contestants, min(repeats, ROUNDS))
    return report(
        f"{SETTINGS} settings x {STEPS} steps on Rosenbrock in one call, in float64, relative to Adam",
        seconds,
        "Adam",
        {},
    )


def rule(name: str, lr: Tensor | float) -> Rule:
    """The rule called ``name`` with this rate, or these."""
    return ELEMENTWISE[name](lr=lr)  # type: ignore[call-arg]


def grid(name: str, settings: int, steps: int) -> Tensor:
    """One call for ``settings`` rates from 1e-5 to 1e-3 (all stable): ``(steps + 1, settings, 2)``."""
    rates = torch.logspace(-5, -3, settings, dtype=torch.float64)[:, None]
    return trajectory(rule(name, rates), *_task(), steps)


def agrees(name: str, settings: int = 5, steps: int = 50) -> None:
    """Raise AssertionError unless each column of a small grid is the run of its own rate."""
    many = grid(name, settings, steps)
    for k, rate in enumerate(torch.logspace(-5, -3, settings, dtype=torch.float64).tolist()):
        one = trajectory(rule(name, rate), *_task(), steps)
        torch.testing.assert_close(many[:, k], one, rtol=1e-9, atol=1e-12, msg=lambda m: f"{name}: {m}")


def _task() -> tuple[Any, Tensor]:
    return landscapes.get("rosenbrock"), torch.tensor([-1.2, 1.0], dtype=torch.float64)
