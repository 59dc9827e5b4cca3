"""``python -m optbias reproduce EXPERIMENT --preset SIZE``: run, record, check.

It says first what it will run and how long that takes, shows its progress, writes ``<preset>.parquet`` and
``<preset>.json`` into ``--out``, and ends with the table of checks. The exit status is 1 if a check fails.
A run that was cut off goes on with ``--resume``; a finished one is only shown again.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from optbias.experiments import checks, preset, results, runs, store, sweep
from optbias.experiments.preset import PRESETS, Experiment, Plan
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import SweepError, Where, duration

EXPERIMENTS = {
    "linf-constraint": "optbias.experiments.linf_constraint",
    "one-norm-hill": "optbias.experiments.one_norm_hill",
}
"""The experiments by name, and the module of each, which has ``EXPERIMENT`` and ``execute``."""


LONG = ("gpu", "paper")
"""The presets whose runs keep checkpoints."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("experiment", choices=list(EXPERIMENTS), help="which experiment")
    parser.add_argument("--preset", choices=PRESETS, default="cpu", help="its size (default: cpu)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--out", help="folder for the record (default: reproduced/EXPERIMENT)")
    parser.add_argument("--resume", action="store_true", help="go on with what was cut off")
    parser.add_argument("--workers", type=int, help="processes (default: one per core on a CPU, one on a GPU)")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, instead of --workers")
    parser.add_argument("--data", help="folder with downloaded data (default: OPTBIAS_DATA, then the cache)")


def run(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status."""
    try:
        return _run(options)
    except SweepError as error:
        print(f"python -m optbias reproduce: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted: the finished runs are kept, and --resume goes on", file=sys.stderr)
        return 130


def experiment_of(name: str) -> Experiment:
    """The experiment of this name."""
    return importlib.import_module(EXPERIMENTS[name]).EXPERIMENT


def _run(options: argparse.Namespace) -> int:
    experiment = experiment_of(options.experiment)
    execute = importlib.import_module(EXPERIMENTS[options.experiment]).execute
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"--workers must be a whole number >= 1; got {options.workers}")
    if options.workers is not None and options.scheduler:
        raise ValueError("give --workers (processes here) or --scheduler (a cluster), not both")
    if options.data is not None and not Path(options.data).is_dir():
        raise ValueError(f"--data must be a folder; there is none at {options.data}")
    folder = Path(options.out or Path("reproduced") / options.experiment)
    record = folder / f"{options.preset}.json"
    if record.exists():
        if not options.resume:
            raise ValueError(f"{record} is there already: --resume shows it again, another --out runs once more")
        return _show(options.experiment, options.preset, folder)

    data = None if options.data is None else str(Path(options.data).resolve())
    device = str(_device(options.device))
    planned = experiment.plan(options.preset, data)
    workers = options.workers or _workers(options, device)
    print(_head(experiment, options.preset, planned, device, workers, options.scheduler), flush=True)
    parts = sweep.Parts(folder / f"{options.preset}.parts")
    described = _data(planned.settings, data)
    parts.begin(
        {
            "experiment": options.experiment,
            "preset": options.preset,
            "settings": [sweep.key(s) for s in planned.settings],
            "data": store.plain(described),
        },
        options.resume,
    )
    done = parts.finished()
    where = Where(device, data)
    cut = sweep.groups(planned.settings, runs.together, runs.group_size)
    cost = _cost(planned.settings, where, done)
    left = sum(cost(s) for s in planned.settings if sweep.key(s) not in done)
    if options.scheduler:
        print(f"about {duration(left)} of computing, to be shared by the cluster's workers", flush=True)
    else:
        print(f"about {duration(left / workers)} to go", flush=True)

    if options.preset in LONG and not options.scheduler:
        # A run of hours goes on from its last minute, not from its beginning.
        checkpoints = str((parts.folder / "checkpoints").resolve())
        where = dataclasses.replace(where, checkpoints=checkpoints, progress=workers == 1)
    began = time.perf_counter()
    outcomes = sweep.run(
        execute, cut, parts, where, workers=workers, scheduler=options.scheduler, cost=cost, progress=True
    )
    found = results.Results(outcomes, planned.skipped)
    tested = experiment.check(options.preset, found)
    head = {
        "experiment": options.experiment,
        "preset": options.preset,
        "title": experiment.title,
        "paper": experiment.paper,
        "provenance": store.provenance(
            _command(options),
            time.perf_counter() - began,
            device,
            threads=1,
            workers=options.scheduler and "Dask" or workers,
            cpu_seconds=round(sum(o.summary["cpu_seconds"] for o in outcomes.values()), 1),
            runs=len(outcomes),
            runs_from_before=len(done),
            seeds=sorted({s.seed for s in outcomes}),
            data=described,
        ),
        "checks": checks.to_records(tested),
    }
    results.save(folder, options.preset, found, head)
    parts.remove()
    return _show(options.experiment, options.preset, folder)


def _show(experiment: str, name: str, folder: Path) -> int:
    record = results.load(experiment, name, folder)
    assert record is not None
    print(checks.text(record.checks))
    print(f"recorded in {folder / name}.parquet and .json")
    return 1 if checks.failed(record.checks) else 0


def _device(name: str) -> Any:
    from optbias.training.plan import find_device

    return find_device(name)


def _workers(options: argparse.Namespace, device: str) -> int:
    """One process per core; on a GPU, at a small size and for a cluster one."""
    if device != "cpu" or options.preset == "smoke" or options.scheduler:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _head(experiment: Experiment, name: str, planned: Plan, device: str, workers: int, scheduler: str | None) -> str:
    settings = planned.settings
    steps = sum(s.steps for s in settings)
    seeds = sorted({s.seed for s in settings})
    what = f"a Dask cluster at {scheduler}" if scheduler else f"{device}, {workers} worker{'s' if workers > 1 else ''}"
    lines = [
        f"{experiment.name}: {experiment.title} ({experiment.paper})",
        f"preset {name}: {experiment.sizes[name]}",
        f"{len(settings)} runs, {steps:,} steps in all, seeds {', '.join(map(str, seeds))}, on {what}",
        f"data: {', '.join(sorted({s.data for s in settings}))}",
    ]
    lines += [f"not run: {study}: {reason}" for study, reason in planned.skipped.items()]
    return "\n".join(lines)


def _data(settings: list[Setting], folder: str | None) -> list[dict[str, Any]]:
    """What each data set of the plan is, each amount once."""
    found: dict[str, dict[str, Any]] = {}
    for s in settings:
        described = {"data": s.data, **runs.describe_data(s, folder)}
        found.setdefault(repr(sorted(described.items(), key=str)), described)
    return list(found.values())


def _cost(settings: list[Setting], where: Where, done: set[str]) -> Any:
    """Seconds of one worker for each setting, from a few steps of each kind that is still to run."""

    @functools.cache
    def per_step(kind: Setting) -> float:
        return runs.seconds_per_step(kind, where)

    def kind_of(s: Setting) -> Setting:
        return dataclasses.replace(runs.together(s), study="", steps=1, norm=s.norm)

    left = {kind_of(s) for s in settings if sweep.key(s) not in done}
    known = {kind: per_step(kind) for kind in left}

    def cost(setting: Setting) -> float:
        return setting.steps * known.get(kind_of(setting), 0.0)

    return cost


def _command(options: argparse.Namespace) -> str:
    """What a reader types: the data folder is the reader's own."""
    words = ["python -m optbias reproduce", options.experiment, "--preset", options.preset]
    if options.data or os.environ.get("OPTBIAS_DATA"):
        words.append("--data DIR")
    if options.workers:
        words.append(f"--workers {options.workers}")
    if options.scheduler:
        words.append("--scheduler ADDRESS")
    return " ".join(words)


__all__ = ["EXPERIMENTS", "configure", "experiment_of", "preset", "run"]
