"""What every test shares: float64, one thread, and a repeatable hypothesis."""

import os

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
