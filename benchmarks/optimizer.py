"""A training step on one big float32 parameter: ``as_torch(AdamW())`` against ``torch.optim.AdamW``."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.timing import medians, report
from optbias.rules import AdamW
from optbias.seeding import generator
from optbias.torch_optimizer import as_torch

SIZE = 10_000_000


def run(repeats: int) -> dict[str, Any]:
    """Time one step of each; all see the same gradient."""
    random = generator(0)
    start = torch.randn(SIZE, generator=random, dtype=torch.float32)
    grad = torch.randn(SIZE, generator=random, dtype=torch.float32)

    def optimizer(make: Any) -> torch.optim.Optimizer:
        param = torch.nn.Parameter(start.clone())
        param.grad = grad
        return make([param])

    contestants = {
        "torch.optim.AdamW, default": optimizer(lambda p: torch.optim.AdamW(p)),
        "torch.optim.AdamW, fused": optimizer(lambda p: torch.optim.AdamW(p, fused=True)),
        "as_torch(AdamW())": optimizer(lambda p: as_torch(AdamW(), p)),
    }
    seconds = medians({name: o.step for name, o in contestants.items()}, repeats)
    return report(
        f"one step of AdamW on {SIZE:,} float32 parameters, relative to torch's default loop",
        seconds,
        "torch.optim.AdamW, default",
        {"as_torch(AdamW())": "at most 1.1 x"},
    )
