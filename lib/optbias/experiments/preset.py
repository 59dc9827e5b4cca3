"""What an experiment is made of, for the command line: its sizes, its runs, its checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from optbias.experiments.checks import Check
from optbias.experiments.results import Results
from optbias.experiments.runs import Setting

PRESETS = ("smoke", "cpu", "evening", "gpu", "paper")
"""The sizes: seconds, for tests; minutes on two cores; half an hour on a GPU; the authors' own."""

APART = ("evening",)
"""The presets whose studies are recorded one by one, ``PRESET/STUDY.json``; the others leave one ``PRESET.json``.

``--study`` records the studies that it names one by one, whatever the preset.
"""


@dataclass(frozen=True)
class Plan:
    """What a preset runs: its settings, and the studies that it leaves out with the reason.

    ``setting.study`` names the study of a setting. A run that several studies need stands in the list once for each,
    the same but for that name, and is trained once.
    """

    settings: list[Setting]
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def studies(self) -> list[str]:
        """The studies of the settings, in order."""
        return list(dict.fromkeys(s.study for s in self.settings))

    def of(self, study: str) -> list[Setting]:
        """The settings of a study."""
        return [s for s in self.settings if s.study == study]


@dataclass(frozen=True)
class Experiment:
    """One reproduction.

    ``plan(preset, folder)`` lists the runs, given the folder with downloaded data (or None);
    ``measure(setting, history)`` makes a run's summary; ``check(preset, results)`` tests what must be seen.
    For a study of a preset in :data:`APART` ``examine(preset, study, results)`` does, on its runs alone; for other
    presets and where it is None, what ``check`` can say of them. ``questions`` has a line for each study.
    ``factor(setting)`` is how many times as long as a training step of the same network a step takes, where it does
    more than train: an estimate needs it.
    """

    name: str
    title: str
    paper: str
    sizes: dict[str, str]
    plan: Callable[[str, str | None], Plan]
    measure: Callable[[Setting, pd.DataFrame], dict[str, Any]]
    check: Callable[[str, Results], list[Check]]
    examine: Callable[[str, str, Results], list[Check]] | None = None
    questions: dict[str, str] = field(default_factory=dict)
    factor: Callable[[Setting], float] = lambda setting: 1.0

    def checks_of(self, preset: str, study: str, results: Results) -> list[Check]:
        """The checks of a study that is recorded by itself."""
        if self.examine is not None and preset in APART:
            return self.examine(preset, study, results)
        return [c for c in self.check(preset, results) if c.verdict != "not run"]
