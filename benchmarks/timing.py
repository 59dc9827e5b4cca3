"""Interleaved timing: every contestant runs once per round, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def medians(
    contestants: Mapping[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """The median time of each contestant in seconds by ``clock``, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for counted in range(repeats + 1):
        for name, work in contestants.items():
            start = clock()
            work()
            if counted:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def report(title: str, seconds: Mapping[str, float], reference: str, targets: Mapping[str, str]) -> dict[str, Any]:
    """Print each time and its ratio to the reference's; return both for the record."""
    print(f"\n{title}")
    width = max(map(len, seconds))
    for name, value in seconds.items():
        ratio = value / seconds[reference]
        note = f"   (target: {targets[name]})" if name in targets else ""
        print(f"  {name:<{width}}  {value:10.4g} s   {ratio:10.4g} x{note}")
    return {
        "title": title,
        "seconds": dict(seconds),
        "reference": reference,
        "ratios": {name: value / seconds[reference] for name, value in seconds.items()},
        "targets": dict(targets),
    }
