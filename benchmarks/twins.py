"""A step on one big float32 matrix: every rule that torch.optim has, through ``as_torch`` and as torch's loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from benchmarks.timing import medians, report
from optbias import rules
from optbias.rules import Rule
from optbias.seeding import generator
from optbias.torch_optimizer import as_torch

SIDE = 3162
"""The matrix has 10 million entries; Adafactor needs a matrix."""

TARGET = 1.1

TWINS: dict[str, tuple[Rule, Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]]] = {
    "SGD": (rules.GradientDescent(0.01), lambda p: torch.optim.SGD(p, lr=0.01)),
    "SGD momentum": (
        rules.Momentum(0.01, 0.9, form="heavy_ball"),
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    ),
    "Adagrad": (rules.AdaGrad(), torch.optim.Adagrad),
    "RMSprop": (rules.RMSProp(), torch.optim.RMSprop),
    "Adam": (rules.Adam(), torch.optim.Adam),
    "AMSGrad": (rules.AMSGrad(), lambda p: torch.optim.Adam(p, amsgrad=True)),
    "AdamW": (rules.AdamW(), torch.optim.AdamW),
    "NAdam": (rules.NAdam(), torch.optim.NAdam),
    "RAdam": (rules.RAdam(), torch.optim.RAdam),
    "Adamax": (rules.Adamax(), torch.optim.Adamax),
    "Adadelta": (rules.Adadelta(), torch.optim.Adadelta),
    "Adafactor": (rules.Adafactor(), torch.optim.Adafactor),
    "ASGD": (rules.ASGD(), torch.optim.ASGD),
    "Rprop": (rules.Rprop(), torch.optim.Rprop),
}
"""Each rule with a twin, and the twin, with the same numbers."""


def run(repeats: int) -> dict[str, Any]:
    """Time a step of each pair in turn; both see the same gradient."""
    return {name: compare(name, repeats) for name in TWINS}


def compare(name: str, repeats: int, side: int = SIDE) -> dict[str, Any]:
    """One pair: the median of a step of each."""
    rule, twin = TWINS[name]
    random = generator(0)
    start, grad = (torch.randn(side, side, generator=random, dtype=torch.float32) for _ in range(2))

    def optimizer(make: Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]) -> torch.optim.Optimizer:
        param = torch.nn.Parameter(start.clone())
        param.grad = grad
        return make([param])

    ours, theirs = f"as_torch({type(rule).__name__})", f"torch.optim, {name}"
    contestants = {theirs: optimizer(twin), ours: optimizer(lambda p: as_torch(rule, p))}
    seconds = medians({who: each.step for who, each in contestants.items()}, repeats)
    title = f"one step of {name} on {side * side:,} float32 parameters"
    return report(title, seconds, theirs, {ours: f"at most {TARGET} x"})
