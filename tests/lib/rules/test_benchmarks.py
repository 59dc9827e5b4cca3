"""What the benchmarks of the rules compare is complete, and computes the same."""

from __future__ import annotations

import pytest
import torch

from benchmarks import grids, twins
from optbias.rules import RULES
from optbias.torch_optimizer import as_torch

NO_TWIN = {
    "SignGD", "Signum", "NormalizedSteepestDescent", "Lion", "Muon", "AdaBelief", "Yogi", "LaProp", "ADOPT", "AdEMAMix",
    "CautiousAdamW", "LARS", "LAMB", "AdamMini", "Shampoo", "SOAP", "ScheduleFreeSGD", "ScheduleFreeAdamW",
}  # fmt: skip
"""Rules that torch.optim does not have (its Muon works in bfloat16)."""


def test_every_rule_with_a_twin_is_timed() -> None:
    timed = {type(rule).__name__ for rule, _ in twins.TWINS.values()}
    assert timed | NO_TWIN == {kind.__name__ for kind in RULES}
    assert not timed & NO_TWIN


@pytest.mark.parametrize("name", twins.TWINS)
def test_the_two_that_are_timed_make_the_same_steps(name: str) -> None:
    rule, twin = twins.TWINS[name]
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4)) for _ in range(2))
    pair = as_torch(rule, [ours]), twin([theirs])
    for k in range(7):
        for optimizer, param in zip(pair, (ours, theirs), strict=True):
            param.grad = torch.cos(k + torch.arange(12, dtype=torch.float64)).reshape(3, 4)
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", grids.ELEMENTWISE)
def test_a_grid_holds_the_runs_of_single_settings(name: str) -> None:
    grids.agrees(name, settings=3, steps=20)
