"""Random numbers: one helper, so that every seed in the course means the same thing."""

from __future__ import annotations

import torch


def generator(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A ``torch.Generator`` on ``device`` that starts from ``seed`` (a non-negative int).

    Draw with ``torch.randn(shape, generator=generator(0))``. The global random state of torch,
    numpy and Python is never touched.

    >>> torch.equal(torch.rand(3, generator=generator(0)), torch.rand(3, generator=generator(0)))
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a non-negative integer; got {seed!r}")
    return torch.Generator(device=device).manual_seed(seed)
