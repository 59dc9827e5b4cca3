"""What every test shares: float64, one thread, and a repeatable hypothesis."""

import os
from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, settings

# Derandomised: a test that passes today passes tomorrow. `HYPOTHESIS_PROFILE=explore` looks further.
settings.register_profile("default", derandomize=True, deadline=None, max_examples=40, database=None)
settings.register_profile("explore", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# Already here, so that tensors made when a test module is imported are float64 too.
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def float64_on_one_thread():
    """Numbers are asserted in float64; one thread keeps parallel test workers from crowding each other."""
    yield
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def global_random_state_is_left_alone():
    """Neither the library nor a test may draw from torch's global generator: seeds are explicit."""
    before = torch.get_rng_state()
    yield
    untouched = torch.equal(before, torch.get_rng_state())
    torch.set_rng_state(before)
    assert untouched, "the test drew from torch's global generator; use optbias.seeding.generator(seed)"


def pytest_terminal_summary(terminalreporter):
    """What the tests of the autograder recorded: wrong answers caught, mutants killed, right answers refused."""
    recorded = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == "exercises"
    ]
    if not recorded:
        return
    total: Counter[str] = Counter()
    for record in recorded:
        total.update({key: count for key, count in record.items() if key != "task"})
    terminalreporter.section("the autograder of the exercises")
    for what, of, text in (
        ("caught", "wrong", "wrong answers lost what they should"),
        ("killed", "mutants", "machine mutants killed, the survivors listed as equivalent"),
        ("false_fails", "right", "right answers in other styles refused"),
        ("flakes", "gradings", "gradings differed over seeds, order and parts"),
    ):
        if total[of]:
            share = 100 * total[what] / total[of]
            terminalreporter.write_line(f"{total[what]} of {total[of]} ({share:.1f} %) {text}")
