"""``python -m optbias reproduce EXPERIMENT --preset SIZE``: run, record, check.

It says first what it will run and how long that takes, shows its progress, writes the record into ``--out``, and ends
with the table of checks and with pictures: ``*.png``, and ``report.html``, which needs no network. The exit status is 1
if a check fails. A run that was cut off goes on with ``--resume``; a finished one is only shown again.

A preset leaves one record, ``<preset>.parquet`` and ``<preset>.json``. Those in ``preset.APART``
leave one for each study, ``<preset>/<study>.parquet`` and ``.json``, written as soon as the study is finished;
``--study`` chooses some of them (and does so for every preset). A run that stands in two studies is trained once.
``--list`` shows what there is, what it costs here, and what it needs.

``torchrun --nproc-per-node=N -m optbias reproduce ...`` shares each run among N processes, one GPU each: for the runs
that would take days on one. The first of them does all that is not training.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optbias.experiments import checks, pictures, preset, results, runs, store, sweep
from optbias.experiments.preset import APART, PRESETS, Experiment, Plan
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import SweepError, Where, duration
from optbias.training.world import World, by_itself, several

EXPERIMENTS = {
    "linf-constraint": "optbias.experiments.linf_constraint",
    "one-norm-hill": "optbias.experiments.one_norm_hill",
}
"""The experiments by name, and the module of each, which has ``EXPERIMENT`` and ``execute``."""


LONG = ("gpu", "paper")
"""The presets whose runs keep checkpoints."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("experiment", nargs="?", choices=list(EXPERIMENTS), help="which experiment")
    parser.add_argument("--preset", choices=PRESETS, help="its size (default: cpu)")
    parser.add_argument(
        "--study", action="append", metavar="NAME", help="only this study, recorded by itself (may be given repeatedly)"
    )
    parser.add_argument("--list", action="store_true", help="show presets and studies, what each costs and needs")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--out", help="folder for the record (default: reproduced/EXPERIMENT)")
    parser.add_argument("--resume", action="store_true", help="go on with what was cut off")
    parser.add_argument("--workers", type=int, help="processes (default: one per core on a CPU, one per GPU)")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, instead of --workers")
    parser.add_argument("--data", help="folder with downloaded data (default: OPTBIAS_DATA, then the cache)")
    parser.add_argument(
        "--no-verify", dest="verify", action="store_false", help="take data files as they are, whatever their checksums"
    )


def run(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status."""
    try:
        with sweep.verifying(options.verify):
            return _list(options) if options.list else _run(options)
    except SweepError as error:
        print(f"python -m optbias reproduce: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted: the finished runs are kept, and --resume goes on", file=sys.stderr)
        return 130


def experiment_of(name: str) -> Experiment:
    """The experiment of this name."""
    return importlib.import_module(EXPERIMENTS[name]).EXPERIMENT


@dataclass(frozen=True)
class Job:
    """What becomes one record: a preset, or a study of it."""

    study: str
    """Empty for a whole preset."""
    settings: list[Setting]
    folder: Path
    name: str

    @property
    def record(self) -> Path:
        """The file that is written last."""
        return self.folder / f"{self.name}.json"


def jobs_of(planned: Plan, name: str, chosen: Sequence[str] | None, out: Path) -> list[Job]:
    """The records that a command is to make. Raises ValueError for a study that there is not, or that cannot run."""
    studies = planned.studies
    for study in chosen or ():
        if study in planned.skipped and study not in studies:
            raise ValueError(f"the study {study} cannot be run here: {planned.skipped[study]}")
        if study not in studies:
            raise ValueError(f"the preset {name} has no study {study!r}; it has {', '.join(studies)}")
    if chosen is None and name not in APART:
        return [Job("", planned.settings, out, name)]
    wanted = studies if chosen is None else [study for study in studies if study in chosen]
    return [Job(study, planned.of(study), out / name, study) for study in wanted]


def _run(options: argparse.Namespace) -> int:
    if options.experiment is None:
        raise ValueError(f"say which experiment: {', '.join(EXPERIMENTS)} (--list shows what is in them)")
    if not several():
        return _lead(options, None)
    if options.workers not in (None, 1) or options.scheduler or options.device not in ("auto", "cpu", "cuda"):
        raise ValueError(
            "under torchrun the processes share each run: without --workers and --scheduler, and with "
            "--device auto, cpu or cuda, of which each process takes its own"
        )
    device = _device(options.device)
    team = World(device)
    if team.rank > 0:
        sweep.follow(team, str(device))
        return 0
    status = _lead(options, team)
    sweep.dismiss(team)
    return status


def _lead(options: argparse.Namespace, team: World | None) -> int:
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"--workers must be a whole number >= 1; got {options.workers}")
    if options.workers is not None and options.scheduler:
        raise ValueError("give --workers (processes here) or --scheduler (a cluster), not both")
    data = _data_folder(options)
    name = options.preset or "cpu"
    experiment = experiment_of(options.experiment)
    planned = experiment.plan(name, data)
    out = Path(options.out or Path("reproduced") / options.experiment)
    jobs = jobs_of(planned, name, options.study, out)
    there = [job for job in jobs if job.record.exists()]
    if there and not options.resume:
        again = "shows it again" if len(jobs) == 1 else "goes on with what is missing"
        raise ValueError(f"{there[0].record} is there already: --resume {again}, another --out runs once more")
    missing = [job for job in jobs if job not in there]
    if missing:
        _Reproduction(options, experiment, name, planned, data, out, team).run(missing)
    status = max([_show(job) for job in jobs])
    *drawn, page = pictures.report(experiment, out, {name})
    print(f"{len(drawn)} pictures in {out}, and all of it on one page: {page}")
    return status


class _Reproduction:
    """One command at work: what it knows before it starts, and the studies one after another."""

    def __init__(
        self,
        options: argparse.Namespace,
        experiment: Experiment,
        name: str,
        planned: Plan,
        data: str | None,
        out: Path,
        team: World | None,
    ) -> None:
        self.options, self.experiment, self.name, self.planned, self.data = options, experiment, name, planned, data
        self.out, self.team = out, team
        # A cluster's workers find their devices themselves: what there is here says nothing about them.
        self.device = options.device if options.scheduler else str(_device(options.device))
        self.devices = [self.device] if team else _devices(options.device, self.device)
        self.workers = 1 if team else options.workers or _workers(options, self.device, self.devices)
        self.parts = sweep.Parts(out / f"{name}.parts")
        self.where = Where(self.device, data, verify=options.verify)
        # Of the whole preset, so that a study's numbers do not depend on which others are run with it.
        self.cut = sweep.groups(planned.settings, runs.together, runs.group_size)

    def run(self, jobs: Sequence[Job]) -> None:
        """Run and record each of ``jobs``."""
        options = self.options
        with self.parts.alone():
            settings = [s for job in jobs for s in job.settings]
            print(self.head(settings), flush=True)
            plan: dict[str, Any] = {
                "experiment": self.experiment.name,
                "preset": self.name,
                "data": {
                    _amount(s): store.plain(runs.describe_data(s, self.data)) for s in _first_of_each_amount(settings)
                },
            }
            self.parts.check(plan, options.resume)
            done = self.parts.finished()
            cost: Callable[[Setting], float] = _steps
            if options.scheduler:
                print("how long it takes depends on the cluster's workers", flush=True)
            else:
                cost = Costs(self.experiment, self.where)
                print(_table(jobs, cost, self.team.size if self.team else self.workers, done), flush=True)
            self.parts.begin(plan, options.resume)
            if self.name in LONG and not options.scheduler:
                # A run of hours goes on from its last minute, not from its beginning.
                checkpoints = str((self.parts.folder / "checkpoints").resolve())
                self.where = dataclasses.replace(self.where, checkpoints=checkpoints, progress=self.workers == 1)
            for job in jobs:
                if job.study and len(jobs) > 1:
                    print(f"\n{job.study}", flush=True)
                self.one(job, cost, plan["data"])

    def one(self, job: Job, cost: Callable[[Setting], float], described: dict[str, Any]) -> None:
        """Run and record one of them."""
        execute, options = importlib.import_module(EXPERIMENTS[self.experiment.name]).execute, self.options
        wanted = {sweep.key(s) for s in job.settings}
        before = len(wanted & self.parts.finished())
        began = time.perf_counter()
        found = sweep.run(
            execute,
            [group for group in self.cut if sweep.key(group[0]) in wanted],
            self.parts,
            self.where,
            workers=self.workers,
            devices=self.devices,
            scheduler=options.scheduler,
            team=self.team,
            cost=cost,
            progress=True,
        )
        by_key = {sweep.key(s): outcome for s, outcome in found.items()}
        outcome = results.Results({s: by_key[sweep.key(s)] for s in job.settings}, self.planned.skipped)
        if job.study:
            tested = self.experiment.checks_of(self.name, job.study, outcome)
        else:
            tested = self.experiment.check(self.name, outcome)
        head: dict[str, Any] = {
            "experiment": self.experiment.name,
            "preset": self.name,
            **({"study": job.study, "question": self.experiment.questions.get(job.study, "")} if job.study else {}),
            "title": self.experiment.title,
            "paper": self.experiment.paper,
            "provenance": store.provenance(
                _command(options),
                time.perf_counter() - began,
                "cpu" if options.scheduler else self.device,
                threads=1,
                workers=options.scheduler and "Dask" or self.workers,
                **({"processes": self.team.size} if self.team else {}),
                cpu_seconds=round(sum(o.summary.get("cpu_seconds", 0.0) for o in by_key.values()), 1),
                runs=len(by_key),
                runs_from_before=before,
                seeds=sorted({s.seed for s in job.settings}),
                data=[{"data": s.data, **described[_amount(s)]} for s in _first_of_each_amount(job.settings)],
            ),
            "checks": checks.to_records(tested),
        }
        if options.scheduler:
            own = {str(o.summary.get("how", {}).get("device")) for o in by_key.values()}
            head["provenance"]["device"] = f"of the cluster's workers: {', '.join(sorted(own))}"
        results.save(job.folder, job.name, outcome, head)
        # What another study of this preset still needs stays.
        open_ = [study for study in self.planned.studies if not (self.out / self.name / f"{study}.json").exists()]
        self.parts.keep({sweep.key(s) for study in open_ for s in self.planned.of(study)} if job.study else ())

    def head(self, settings: list[Setting]) -> str:
        """What will be done, in words."""
        experiment, scheduler = self.experiment, self.options.scheduler
        distinct = {sweep.key(s): s for s in settings}.values()
        steps = sum(s.steps for s in distinct)
        seeds = sorted({s.seed for s in settings})
        many = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        what = f"a Dask cluster at {scheduler}" if scheduler else f"{self.device}, {many}"
        if self.team:
            what = f"{self.device.partition(':')[0]}, each shared by {self.team.size} processes"
        if len(self.devices) > 1:
            what = f"{', '.join(self.devices)}, {many}"
        lines = [
            f"{experiment.name}: {experiment.title} ({experiment.paper})",
            f"preset {self.name}: {experiment.sizes[self.name]}",
            f"{len(distinct)} runs, {steps:,} steps in all, seeds {_span(seeds)}, on {what}",
            f"data: {', '.join(sorted({s.data for s in settings}))}",
        ]
        lines += [f"not run: {study}: {reason}" for study, reason in self.planned.skipped.items()]
        return "\n".join(lines)


def _steps(setting: Setting) -> float:
    return float(setting.steps)


class Costs:
    """Seconds of one worker for a setting, from a few steps of its kind."""

    def __init__(self, experiment: Experiment, where: Where) -> None:
        self.factor, self.where = experiment.factor, where
        self.known: dict[Setting, Callable[[Setting], float]] = {}

    def __call__(self, setting: Setting) -> float:
        """Seconds for all its steps."""
        kind = dataclasses.replace(
            runs.together(setting), steps=1, batch_size=0, micro_batch=0, evaluate_every=0, full_gradient_every=1,
            start=0.0, box=0.0, eps=1e-8, eps_inside=False, kind="training", stop_below=0.0, sharpness_every=0,
            slope_every=0, dose=0.0,
        )  # fmt: skip
        if kind not in self.known:
            with sweep.one_thread(), by_itself():
                try:
                    self.known[kind] = runs.cost_model(kind, self.where)
                except (ValueError, RuntimeError):
                    if setting.kind == "training":
                        raise
                    # What is not a training run may name a network that is none by itself.
                    self.known[kind] = lambda s: 1e-3
        return setting.steps * self.known[kind](setting) * self.factor(setting)


def _table(jobs: Sequence[Job], cost: Callable[[Setting], float], workers: int, done: set[str]) -> str:
    """What is to go: a line for each study where there are several, and the sum."""
    lines, counted, total = [], set(done), 0.0
    for job in jobs:
        new = {sweep.key(s): s for s in job.settings if sweep.key(s) not in counted}
        seconds = sum(map(cost, new.values())) / workers
        total += seconds
        counted |= set(new)
        lines.append(f"  {job.study:<20} {len(new):5} runs {sum(s.steps for s in new.values()):10,} steps  about ")
        lines[-1] += duration(seconds)
    shown = [f"{'':2}{'study':<20} {'left to train':>10}", *lines] if len(jobs) > 1 else []
    return "\n".join([*shown, f"about {duration(total)} to go"])


def _list(options: argparse.Namespace) -> int:
    """Show the presets and studies of one experiment, or of all: runs, steps, what they cost here and need."""
    data = _data_folder(options)
    where = Where(str(_device(options.device)), data)
    for name in [options.experiment] if options.experiment else EXPERIMENTS:
        experiment = experiment_of(name)
        print(f"{name}: {experiment.title} ({experiment.paper})")
        cost = Costs(experiment, where)
        for size in [options.preset] if options.preset else PRESETS:
            _list_preset(experiment, size, experiment.plan(size, data), cost, options.study)
    print(f"\nTimes are those of one worker on {where.device} with nothing beside it, reckoned from a few steps.")
    print("A run that several studies share is counted under the first of them.")
    return 0


def _list_preset(
    experiment: Experiment, size: str, planned: Plan, cost: Callable[[Setting], float], chosen: Sequence[str] | None
) -> None:
    print(f"\n  --preset {size}: {experiment.sizes[size]}")
    counted: set[str] = set()
    total = 0.0
    for study in planned.studies:
        new = {sweep.key(s): s for s in planned.of(study) if sweep.key(s) not in counted}
        counted |= set(new)
        seconds = sum(map(cost, new.values()))
        total += seconds
        if chosen is not None and study not in chosen:
            continue
        needs = ", ".join(sorted({s.data for s in planned.of(study)}))
        print(
            f"    {study:<18} {len(new):4} runs {sum(s.steps for s in new.values()):9,} steps "
            f"{duration(seconds):>8}   {needs}",
            flush=True,
        )
        if study in experiment.questions:
            print(f"      {experiment.questions[study]}")
    for study, reason in planned.skipped.items():
        print(f"    {study:<18} {reason}")
    print(f"    {'in all':<18} {len(counted):4} runs {duration(total):>25}", flush=True)


def _show(job: Job) -> int:
    record = results.read(job.folder, job.name)
    if job.study:
        print(f"\n{job.study}")
    print(checks.text(record.checks))
    print(f"recorded in {job.folder / job.name}.parquet and .json")
    return 1 if checks.failed(record.checks) else 0


def _data_folder(options: argparse.Namespace) -> str | None:
    if options.data is not None and not Path(options.data).is_dir():
        raise ValueError(f"--data must be a folder; there is none at {options.data}")
    return None if options.data is None else str(Path(options.data).resolve())


def _device(name: str) -> Any:
    from optbias.training.plan import find_device

    return find_device(name)


def _devices(asked: str, found: str) -> list[str]:
    """The devices that workers share: every GPU, unless one was asked for by its number."""
    import torch

    if not found.startswith("cuda") or ":" in asked:
        return [found]
    return [f"cuda:{i}" for i in range(torch.cuda.device_count())]


def _workers(options: argparse.Namespace, device: str, devices: Sequence[str]) -> int:
    """One process per core, or per GPU; at a small size and for a cluster one."""
    if options.preset == "smoke" or options.scheduler:
        return 1
    if device != "cpu":
        return len(devices)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _span(seeds: Sequence[int]) -> str:
    """``0, 1, 2``, and ``0 to 19`` for many."""
    whole = list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]} to {seeds[-1]}" if whole and len(seeds) > 4 else ", ".join(map(str, seeds))


def _amount(s: Setting) -> str:
    """A data set and how much of it."""
    return f"{s.data}, {s.train_size}" + (f" x {s.context}" if s.context else "")


def _first_of_each_amount(settings: Sequence[Setting]) -> list[Setting]:
    return list({_amount(s): s for s in reversed(settings)}.values())[::-1]


def _command(options: argparse.Namespace) -> str:
    """What a reader types: the data folder is the reader's own."""
    words = ["python -m optbias reproduce", options.experiment, "--preset", options.preset or "cpu"]
    words += [f"--study {study}" for study in options.study or ()]
    if options.data or os.environ.get("OPTBIAS_DATA"):
        words.append("--data DIR")
    if not options.verify:
        words.append("--no-verify")
    if options.workers:
        words.append(f"--workers {options.workers}")
    if options.scheduler:
        words.append("--scheduler ADDRESS")
    return " ".join(words)


__all__ = ["EXPERIMENTS", "configure", "experiment_of", "preset", "run"]
