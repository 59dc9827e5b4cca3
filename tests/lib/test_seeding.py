"""One helper for random numbers: the same seed gives the same numbers, and global state is left alone."""

import pytest
import torch

from optbias.seeding import generator


def test_a_seed_means_the_same_numbers():
    first, again = (torch.randn(5, generator=generator(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, torch.randn(5, generator=generator(4)))


def test_the_global_state_is_left_alone():
    before = torch.get_rng_state()
    torch.rand(3, generator=generator(0, "cpu"))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("seed", [-1, 1.0, True, "0", None])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match=f"seed must be a non-negative integer; got {seed!r}"):
        generator(seed)
