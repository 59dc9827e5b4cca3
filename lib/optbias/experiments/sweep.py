"""Sweeps: many settings, run on one machine or a cluster, each saved as soon as it is finished.

A *setting* is a frozen dataclass of numbers and names that says everything about one run; its :func:`key`
is a hash of them that is the same on every machine. A sweep is a list of settings and a function
``execute(group, where)`` that runs a group of them and returns one :class:`Outcome` each. :func:`run`

* cuts the list into groups that are trained together (:func:`groups`). The cut depends on the settings
  only, so that one worker, several workers and a cluster compute the same numbers;
* runs the groups here, in ``workers`` processes, or on the Dask cluster whose scheduler has the address
  ``scheduler``;
* saves each finished setting in the folder ``parts``, whole or not at all. A sweep that was killed goes on
  with ``resume=True``: what is saved is not run again. A worker that dies loses only the group that it was
  running, and another one runs it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import errno
import hashlib
import itertools
import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.queues
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from optbias.experiments import store
from optbias.training.world import World

ATTEMPTS = 3
"""How often a group is tried before the sweep gives up because its worker died each time."""

PLAN = "plan.json"
"""The file in ``parts`` that says what the sweep is."""


class SweepError(RuntimeError):
    """A sweep could not be started or finished; the message says what to do."""


class Setting(Protocol):
    """What a sweep knows of a setting: it is a dataclass, and it takes this many steps."""

    __dataclass_fields__: dict[str, Any]

    @property
    def steps(self) -> int:
        """The length of the run."""


@dataclass(frozen=True)
class Where:
    """What a worker is told besides its settings.

    The name of the device (``"auto"``: the worker's own choice); the folder with downloaded data; for long runs a
    folder for their checkpoints, and whether each shows its own progress; whether data are compared with their
    checksums.
    """

    device: str = "cpu"
    data: str | None = None
    checkpoints: str | None = None
    progress: bool = False
    verify: bool = True


@dataclass(frozen=True)
class Outcome:
    """What one run leaves: a table with a column ``step``, and numbers and words about the whole run."""

    history: pd.DataFrame
    summary: dict[str, Any] = field(default_factory=dict)


Execute = Callable[[tuple[Any, ...], Where], list[Outcome]]
"""Runs a group of settings: one outcome for each, in order. Must be importable by name in a worker."""


def key(setting: Any) -> str:
    """Sixteen hexadecimal digits that name a run: a hash of its setting's fields, the same in every process.

    Left out are ``study``, for a run may stand in several, and fields that have their default, so that a field that
    is added later changes no name.
    """
    fields = {
        f.name: getattr(setting, f.name)
        for f in dataclasses.fields(setting)
        if f.name != "study" and getattr(setting, f.name) != f.default
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def grid(setting: Any, **axes: Iterable[Any]) -> list[Any]:
    """Copies of ``setting`` over the product of the ``axes``: a field's name and its values, the last fastest."""
    unknown = set(axes) - {f.name for f in dataclasses.fields(setting)}
    if unknown:
        raise ValueError(f"{type(setting).__name__} has no field {', '.join(sorted(unknown))}")
    return [
        dataclasses.replace(setting, **dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]


def groups(settings: Sequence[Any], together: Callable[[Any], Any], size: Callable[[Any], int]) -> list[tuple]:
    """``settings`` cut into groups that run together.

    Those with equal ``together(setting)`` that stand in the same studies may share a group: then the runs of one study
    are whole groups, and its numbers are the same whether it is run by itself or with others. ``size(setting)``
    bounds a group. Order is kept; a run of several studies is in one group, under the first.
    Raises ValueError if a setting stands twice in the list.
    """
    if len(set(settings)) < len(settings):
        twice = next(s for i, s in enumerate(settings) if s in settings[:i])
        raise ValueError(f"a setting stands twice in the sweep: {twice}")
    same: dict[str, list[Any]] = {}
    for setting in settings:
        same.setdefault(key(setting), []).append(setting)
    shelves: dict[Any, list[Any]] = {}
    for setting, *others in same.values():
        studies = frozenset(getattr(s, "study", "") for s in (setting, *others))
        shelves.setdefault((together(setting), studies), []).append(setting)
    cut = []
    for shelf in shelves.values():
        bound = max(1, size(shelf[0]))
        # Even parts: 9 settings and a bound of 8 make 5 + 4, which two workers share better than 8 + 1.
        parts = -(-len(shelf) // bound)
        step = -(-len(shelf) // parts)
        cut += [tuple(shelf[i : i + step]) for i in range(0, len(shelf), step)]
    return cut


class Parts:
    """The finished settings of a sweep, one file each, in a folder of their own.

    What a sweep is, is written into the folder as its ``plan``: ``data`` is a dict of what was read, by name, and
    grows with the studies; every other entry must stay.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out of the folder; one that dies gives it free.

        On leaving, a folder in which nothing was finished is removed: a start that failed leaves nothing behind.
        Raises SweepError if another process is at work there.
        """
        lock = FileLock(self.folder.with_name(self.folder.name + ".lock"))
        made = [p for p in self.folder.parents if not p.exists()]
        lock_file = Path(lock.lock_file)
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except OSError as error:
            if isinstance(error, Timeout):
                raise SweepError(
                    f"another process is running this sweep now, in {self.folder}: wait until it has ended, "
                    "or choose another --out"
                ) from None
            raise SweepError(
                f"cannot write into {self.folder.parent} ({error.strerror or error}): choose another folder with --out"
            ) from error
        try:
            yield
        finally:
            if not self.kept():
                self.remove()
            lock_file.unlink(missing_ok=True)
            lock.release()
            for parent in made:  # from the innermost; one that holds something stays
                with contextlib.suppress(OSError):
                    parent.rmdir()

    def check(self, plan: dict[str, Any], resume: bool) -> None:
        """Make sure that a sweep may begin here, or, with ``resume``, that the one that was begun is this one.

        Raises SweepError if the folder holds a sweep and ``resume`` is False, or another sweep.
        """
        if not self.kept():
            return
        file = self.folder / PLAN
        if not file.exists():
            raise SweepError(f"{self.folder} is not empty and holds no sweep; choose another --out")
        if not resume:
            raise SweepError(
                f"{self.folder} holds an unfinished sweep with {len(self.finished())} settings done: "
                "go on with --resume, choose another --out, or remove that folder"
            )
        begun = json.loads(file.read_text(encoding="utf-8"))
        differing = sorted(name for name in {*begun, *plan} if name != "data" and begun.get(name) != plan.get(name))
        read = begun.get("data", {})
        differing += sorted(name for name, what in plan.get("data", {}).items() if read.get(name, what) != what)
        if differing:
            raise SweepError(
                f"{self.folder} holds another sweep (different: {', '.join(differing)}); "
                "choose another --out, or remove that folder"
            )

    def begin(self, plan: dict[str, Any], resume: bool) -> None:
        """Write ``plan`` down after :meth:`check`."""
        self.check(plan, resume)
        file = self.folder / PLAN
        if file.exists():
            begun = json.loads(file.read_text(encoding="utf-8"))
            plan = plan | {"data": begun.get("data", {}) | plan.get("data", {})}
        store.save_json(plan, file)

    def kept(self) -> bool:
        """Whether there is anything in the folder besides the plan."""
        return self.folder.exists() and any(p.name != PLAN for p in self.folder.rglob("*") if not p.is_dir())

    def keep(self, wanted: Collection[str]) -> None:
        """Remove the finished settings whose keys are not ``wanted``, and the folder if nothing is left.

        Half a file that a killed process left is no result and goes with them: the folder is this process's alone.
        """
        for name in self.finished() - set(wanted):
            (self.folder / f"{name}.parquet").unlink()
        for half in self.folder.glob("*.part"):
            half.unlink()
        if not self.kept():
            self.remove()

    def _path(self, setting: Any) -> Path:
        return self.folder / f"{key(setting)}.parquet"

    def finished(self) -> set[str]:
        """The keys of the settings that are saved."""
        return {path.stem for path in self.folder.glob("*.parquet")}

    def save(self, setting: Any, outcome: Outcome) -> None:
        """Save one finished setting: history and summary in one file, which appears whole or not at all."""
        table = pa.Table.from_pandas(outcome.history, preserve_index=False)
        note = {b"summary": json.dumps(store.plain(outcome.summary), allow_nan=False).encode()}
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **note})
        with store.replacing(self._path(setting)) as temporary:
            pq.write_table(table, temporary)

    def load(self, setting: Any) -> Outcome:
        """A saved setting. Raises FileNotFoundError if it is not there."""
        table = pq.read_table(self._path(setting))
        return Outcome(table.to_pandas(), json.loads(table.schema.metadata[b"summary"]))

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        if self.folder.exists():
            shutil.rmtree(self.folder)


def run(
    execute: Execute,
    cut: Sequence[tuple[Any, ...]],
    parts: Parts,
    where: Where | None = None,
    *,
    workers: int = 1,
    devices: Sequence[str] = (),
    scheduler: str | None = None,
    team: World | None = None,
    cost: Callable[[Any], float] = lambda setting: float(setting.steps),
    progress: bool = False,
) -> dict[Any, Outcome]:
    """Run what of the groups ``cut`` is not in ``parts`` yet; return the outcome of every setting, in order.

    ``workers`` processes of this machine, or the Dask cluster at ``scheduler``. The processes take ``devices`` in
    turn (none: all that of ``where``). With a ``team`` of processes that ``torchrun`` started, each run is shared by
    all of them: the first calls this function, the others :func:`follow`. ``cost`` says how long a
    setting takes in relation to the others: long groups start first, and the time left is reckoned with it.
    Each worker uses one thread for arithmetic. Raises SweepError if the cluster cannot be reached, if
    workers keep dying, or if a setting fails; what was finished is saved by then.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers must be an integer >= 1; got {workers!r}")
    if scheduler is not None and workers > 1:
        raise ValueError("give --workers (processes here) or --scheduler (a cluster), not both")
    where = where or Where()
    done = parts.finished()
    missing = [group for group in cut if any(key(s) not in done for s in group)]
    missing.sort(key=lambda group: -sum(cost(s) for s in group))
    if scheduler is not None:
        finished = _on_cluster(execute, missing, where, scheduler)
    elif workers > 1 and len(missing) > 1:
        finished = _in_processes(execute, missing, where, min(workers, len(missing)), devices)
    else:
        finished = _here(execute, missing, where, team)
    with _Bar(missing, cost, progress) as bar, contextlib.closing(finished):
        for group, outcomes in finished:
            try:
                for setting, outcome in zip(group, outcomes, strict=True):
                    parts.save(setting, outcome)
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                raise SweepError(
                    f"could not write to {parts.folder}: {error.strerror}. {len(parts.finished())} settings are "
                    f"kept there; {'make room and ' if full else ''}go on with --resume"
                ) from error
            bar.add(group)
    return {setting: parts.load(setting) for group in cut for setting in group}


class _Bar:
    """A progress bar over the steps of all runs; the time left comes from the costs."""

    def __init__(self, cut: Sequence[tuple[Any, ...]], cost: Callable[[Any], float], show: bool) -> None:
        self.cost, self.left = cost, sum(cost(s) for group in cut for s in group)
        self.began, self.spent = time.perf_counter(), 0.0
        self.bar = tqdm(
            total=sum(s.steps for group in cut for s in group),
            disable=not show,
            unit="step",
            unit_scale=True,
            smoothing=0,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps [{elapsed}, {rate_fmt}{postfix}]",
        )

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def add(self, group: tuple[Any, ...]) -> None:
        """Count ``group`` as done."""
        cost = sum(self.cost(s) for s in group)
        self.spent, self.left = self.spent + cost, self.left - cost
        seconds = (time.perf_counter() - self.began) / max(self.spent, 1e-12) * self.left
        self.bar.set_postfix_str(f"about {duration(seconds)} left", refresh=False)
        self.bar.update(sum(s.steps for s in group))


def duration(seconds: float) -> str:
    """A length of time for people: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


Finished = Generator[tuple[tuple[Any, ...], list[Outcome]], None, None]


_own_device = ""
"""In a worker process: the device that it was given."""


def _execute(execute: Execute, group: tuple[Any, ...], where: Where) -> list[Outcome]:
    """One group, on one thread: the same numbers in whatever worker."""
    if _own_device:
        where = dataclasses.replace(where, device=_own_device)
    with one_thread(), verifying(where.verify):
        return execute(group, where)


@contextlib.contextmanager
def verifying(verify: bool) -> Iterator[None]:
    """Data files are taken as they are inside, if ``verify`` is False."""
    before = os.environ.get("OPTBIAS_VERIFY")
    if not verify:
        os.environ["OPTBIAS_VERIFY"] = "0"
    try:
        yield
    finally:
        if not verify:
            del os.environ["OPTBIAS_VERIFY"]
            os.environ |= {} if before is None else {"OPTBIAS_VERIFY": before}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Arithmetic on one thread, as every worker does it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _failed(group: tuple[Any, ...], error: BaseException) -> SweepError:
    return SweepError(f"a run failed: {type(error).__name__}: {error}\n  in the group of {group[0]}")


def _here(execute: Execute, cut: Sequence[tuple[Any, ...]], where: Where, team: World | None = None) -> Finished:
    for group in cut:
        try:
            if team is not None:
                team.object_from_first((execute, group, where))
            outcomes = _execute(execute, group, where)
        except Exception as error:
            raise _failed(group, error) from error
        yield group, outcomes


def follow(team: World, device: str) -> None:
    """In the other processes of a ``team``: take part in each run until the first process says that it is done."""
    while (work := team.object_from_first(None)) is not None:
        execute, group, where = cast("tuple[Execute, tuple[Any, ...], Where]", work)
        _execute(execute, group, dataclasses.replace(where, device=device, progress=False))


def dismiss(team: World) -> None:
    """Let the others of a ``team`` go. If the first process ends with an error instead, ``torchrun`` ends them."""
    team.object_from_first(None)


def _start_worker(devices: multiprocessing.queues.Queue[str]) -> None:
    """In a worker: take a device; end when the process that started it is gone (a killed one cannot tell)."""
    global _own_device
    _own_device = devices.get()
    parent = multiprocessing.parent_process()

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])  # type: ignore[union-attr]
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_processes(
    execute: Execute, cut: Sequence[tuple[Any, ...]], where: Where, workers: int, devices: Sequence[str]
) -> Finished:
    waiting = list(cut)
    # Spawned, not forked: a fork of a process whose libraries run threads may hang.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    for _ in range(ATTEMPTS):
        given = context.Queue()
        for _, device in zip(range(workers), itertools.cycle(devices or [""]), strict=False):
            given.put(device)
        pool = concurrent.futures.ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start_worker, initargs=(given,)
        )
        futures = {pool.submit(_execute, execute, group, where): group for group in waiting}
        try:
            for future in concurrent.futures.as_completed(futures):
                group = futures[future]
                try:
                    outcomes = future.result()
                except BrokenProcessPool:
                    continue  # a process died: its group, and those behind it, go to a new pool
                except Exception as error:
                    raise _failed(group, error) from error
                waiting.remove(group)
                yield group, outcomes
        except BaseException:
            # Left early, by an error or Ctrl-C: what the workers are still doing is of no use to anyone.
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if not waiting:
            return
    raise SweepError(f"worker processes died {ATTEMPTS} times (out of memory?); try fewer --workers, and --resume")


def _on_cluster(execute: Execute, cut: Sequence[tuple[Any, ...]], where: Where, scheduler: str) -> Finished:
    try:
        import distributed
    except ImportError as error:
        raise SweepError("--scheduler needs Dask: pip install 'optbias[cluster]' (or distributed)") from error
    try:
        # First by itself: a client with a bad address leaves a traceback when it is thrown away.
        distributed.comm.resolve_address(scheduler)
        client = distributed.Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SweepError(f"no Dask scheduler answers at {scheduler}: {error}") from error
    with client:
        # pure=False: a group is run, not looked up. The scheduler gives the group of a dead worker to another.
        futures = {client.submit(_execute, execute, group, where, pure=False): group for group in cut}
        for future in distributed.as_completed(futures, loop=client.loop):
            group = futures[future]
            try:
                outcomes = future.result()
            except distributed.scheduler.KilledWorker as error:
                raise SweepError(f"the workers that ran {group[0]} died one after another; then --resume") from error
            except Exception as error:
                raise _failed(group, error) from error
            yield group, outcomes
            future.release()


def tidy(outcomes: dict[Any, Outcome], small: bool = False) -> pd.DataFrame:
    """One table of all runs: a row for each setting and step, with the setting's fields and ``run``, its key.

    Text is categorical. ``small`` keeps what was measured in float32. Built column by column: ten thousand runs are
    1.6 million rows.
    """
    settings, histories = list(outcomes), [outcome.history for outcome in outcomes.values()]
    lengths = [len(history) for history in histories]
    columns: dict[str, Any] = {"run": _repeated([key(s) for s in settings], lengths)}
    for field_ in dataclasses.fields(settings[0]) if settings else ():
        columns[field_.name] = _repeated([getattr(s, field_.name) for s in settings], lengths)
    # "steps", the length of the run, and "step", the row's, are different columns.
    measured = dict.fromkeys(name for history in histories for name in history.columns)
    if both := set(columns) & set(measured):
        raise ValueError(f"a field of the setting and a measured column have one name: {', '.join(sorted(both))}")
    for name in measured:
        parts = [h[name].to_numpy() if name in h else np.full(len(h), np.nan) for h in histories]
        column = np.concatenate([part.astype(np.float32) if small and part.dtype == float else part for part in parts])
        columns[name] = column
    return pd.DataFrame(columns, copy=False)


def _repeated(values: list[Any], lengths: list[int]) -> Any:
    """A column with one value for each run."""
    if not isinstance(values[0], str):
        return np.repeat(np.array(values), lengths)
    names = list(dict.fromkeys(values))
    place = {name: i for i, name in enumerate(names)}
    return pd.Categorical.from_codes(np.repeat([place[v] for v in values], lengths), names)
