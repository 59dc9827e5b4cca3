"""What an experiment is made of, for the command line: its sizes, its runs, its checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from optbias.experiments.checks import Check
from optbias.experiments.results import Results
from optbias.experiments.runs import Setting

PRESETS = ("smoke", "cpu", "gpu", "paper")
"""The sizes: seconds, for tests; minutes on two cores; half an hour on a GPU; the authors' own."""


@dataclass(frozen=True)
class Plan:
    """What a preset runs: its settings, and the studies that it leaves out with the reason."""

    settings: list[Setting]
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One reproduction.

    ``plan(preset, folder)`` lists the runs, given the folder with downloaded data (or None);
    ``measure(setting, history)`` makes a run's summary; ``check(preset, results)`` tests what must be seen.
    """

    name: str
    title: str
    paper: str
    sizes: dict[str, str]
    plan: Callable[[str, str | None], Plan]
    measure: Callable[[Setting, pd.DataFrame], dict[str, Any]]
    check: Callable[[str, Results], list[Check]]
