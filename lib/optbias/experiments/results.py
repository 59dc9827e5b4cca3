"""The outcome of an experiment: its runs to choose from, and its record as files.

A record is two files. ``<preset>.parquet`` is one tidy table: a row for each run and recorded step, with the
run's name (``run``), the fields of its :class:`~optbias.experiments.runs.Setting`, and what was measured at that
step. ``<preset>.json`` has the provenance, the checks, and for each run its ``summary``: numbers that were
computed from all steps before the table was thinned.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optbias.experiments import store, sweep
from optbias.experiments.checks import Check, from_records
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import Outcome


def at(summary: dict[str, Any], path: str) -> Any:
    """The entry of a summary at ``path``, its keys joined by ``/``; None where something on the way is None."""
    found: Any = summary
    for part in path.split("/"):
        if found is None:
            return None
        found = found[part]
    return found


@dataclass(frozen=True)
class Results:
    """The settings of an experiment with their outcomes, and why parts of it were not run (by study)."""

    outcomes: dict[Setting, Outcome]
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)

    def select(self, **fields: Any) -> list[Setting]:
        """The settings with these fields, in order. A tuple of values allows each of them.

        Raises AttributeError for a field that there is not.
        """
        for name in fields:
            if name not in Setting.__dataclass_fields__:
                raise AttributeError(f"a setting has no field {name!r}")
        return [
            s
            for s in self.outcomes
            if all(
                getattr(s, name) in value if isinstance(value, tuple) else getattr(s, name) == value
                for name, value in fields.items()
            )
        ]

    def value(self, setting: Setting, path: str) -> Any:
        """A number of the summary: ``"hill.top"``, ``"at_loss.0.5.value"`` is written ``"at_loss/0.5/value"``."""
        return at(self.outcomes[setting].summary, path)

    def values(self, path: str, **fields: Any) -> list[Any]:
        """:meth:`value` of every setting that :meth:`select` finds."""
        return [self.value(s, path) for s in self.select(**fields)]

    def history(self, setting: Setting) -> pd.DataFrame:
        """The recorded steps of a run."""
        return self.outcomes[setting].history


@dataclass(frozen=True)
class Record:
    """A recorded run of an experiment, as :func:`load` reads it."""

    results: Results
    checks: list[Check]
    provenance: dict[str, Any]
    table: pd.DataFrame

    def check(self, name: str) -> Check:
        """The check of this name. Raises KeyError if there is none."""
        found = [c for c in self.checks if c.name == name]
        if not found:
            raise KeyError(f"no check {name!r}; there are {', '.join(c.name for c in self.checks)}")
        return found[0]


def save(
    folder: str | os.PathLike[str],
    preset: str,
    results: Results,
    head: dict[str, Any],
) -> None:
    """Write ``<preset>.parquet`` and ``<preset>.json`` into ``folder``; ``head`` goes before the runs' summaries."""
    folder = Path(folder)
    settings = [f.name for f in dataclasses.fields(Setting)]
    store.save_table(sweep.tidy(results.outcomes, small=True), folder / f"{preset}.parquet", exact=settings)
    runs = {sweep.key(setting): outcome.summary for setting, outcome in results.outcomes.items()}
    # The record is written last: where it lies, the table lies too.
    store.save_json(store.plain({**head, "skipped": results.skipped, "runs": runs}), folder / f"{preset}.json")


def load(
    experiment: str, preset: str, folder: str | os.PathLike[str] | None = None, *, study: str | None = None
) -> Record | None:
    """The record of a preset in ``folder``, or in the checkout's ``results/<experiment>``; None where there is none.

    ``study`` (or ``preset`` as ``"PRESET/STUDY"``) reads the record of one study of a preset whose studies are recorded
    one by one. Without it, all of them that are there are read as one record; its provenance has that of each under
    ``studies``.
    """
    if study is not None:
        preset = f"{preset}/{study}"
    if folder is None:
        # A preset's own record, or the folder of its studies.
        found = store.find(experiment, f"{preset}.json") or store.find(experiment, preset)
        if found is None:
            return None
        folder = found.parents[len(Path(preset).parts) - 1]
    folder = Path(folder)
    if (folder / f"{preset}.json").is_file():
        return read(folder, preset)
    studies = sorted(path.stem for path in (folder / preset).glob("*.json"))
    return merged({name: read(folder / preset, name) for name in studies}) if studies else None


def read(folder: str | os.PathLike[str], name: str) -> Record:
    """The record ``<name>.json`` and ``<name>.parquet`` in ``folder``."""
    head = store.read_json(Path(folder) / f"{name}.json")
    table = pd.read_parquet(Path(folder) / f"{name}.parquet")
    # A field that is younger than the record has its default.
    names = [f.name for f in dataclasses.fields(Setting) if f.name in table.columns]
    measured = [c for c in table.columns if c not in names and c != "run"]
    outcomes = {}
    # A run that stands in two studies has its rows once for each, one after another.
    own = table[["study", "run"]].astype("category").apply(lambda column: column.cat.codes)
    starts = np.flatnonzero((own != own.shift()).any(axis=1).to_numpy())
    firsts = table[[*names, "run"]].iloc[starts].to_dict("records")
    histories = table[measured]
    for start, end, values in zip(starts, [*starts[1:], len(table)], firsts, strict=True):
        summary = head["runs"][values.pop("run")]
        setting = Setting(**{name: _python(value) for name, value in values.items()})
        outcomes[setting] = Outcome(histories.iloc[start:end].reset_index(drop=True), summary)
    return Record(Results(outcomes, head["skipped"]), from_records(head["checks"]), head["provenance"], table)


def merged(records: dict[str, Record]) -> Record:
    """The records of several studies, by name, as one."""
    outcomes: dict[Setting, Outcome] = {}
    skipped: dict[str, str] = {}
    tested: list[Check] = []
    seconds = 0.0
    for record in records.values():
        outcomes |= record.results.outcomes
        skipped |= record.results.skipped
        tested += record.checks
        seconds += record.provenance["seconds"]
    distinct = {sweep.key(s): o.summary.get("cpu_seconds", 0.0) for s, o in outcomes.items()}
    provenance = {
        "studies": {name: record.provenance for name, record in records.items()},
        "seconds": round(seconds, 1),
        "cpu_seconds": round(sum(distinct.values()), 1),
        "runs": len(distinct),
    }
    table = pd.concat([record.table for record in records.values()], ignore_index=True)
    return Record(Results(outcomes, skipped), tested, provenance, table)


def _python(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def over_seeds(results: Results, settings: Sequence[Setting], path: str) -> dict[Setting, list[Any]]:
    """Values grouped by setting without its seed: the setting with seed 0 stands for the group."""
    found: dict[Setting, list[Any]] = {}
    for s in settings:
        found.setdefault(dataclasses.replace(s, seed=0), []).append(results.value(s, path))
    return found
