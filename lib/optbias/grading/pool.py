"""Workers that grade: processes on this machine, or the workers of a Dask cluster.

Each worker has one sandbox and grades one submission after another. A worker that dies takes no result with it: its
submission is given to another one, once; if that dies, too, the submission has failed.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import platform
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from optbias.grading.assignment import Assignment
from optbias.grading.handed_in import Handed, Rejected, collect, fingerprint, plain_file
from optbias.grading.sandbox import Limits, SandboxError
from optbias.grading.session import Examiner, Result

FIRST_SLOT_OF_CLUSTER = 64


@dataclass(frozen=True)
class Job:
    """A submission that waits: the student, and the folder (or the single file) that was handed in."""

    student: str
    path: Path


@dataclass(frozen=True)
class Work:
    """What a worker needs to know of the assignment."""

    of: Assignment
    limits: Limits
    seed: str | None
    sandbox: bool


def gather(job: Job, of: Assignment) -> Handed | Result:
    """What was handed in; or the result, if it is not even a notebook."""
    try:
        handed = plain_file(job.path, of) if job.path.is_file() else collect(job.student, job.path, of)
        handed.student = job.student
        files = [part for name in sorted(handed.files) for part in (name.encode(), handed.files[name])]
        handed.fingerprint = fingerprint(handed.notebook, *files)
        return handed
    except Rejected as error:
        return unusable(job, of, "rejected", str(error))
    except (OSError, ValueError) as error:
        return unusable(job, of, "failed", f"what was handed in cannot be read: {error}")


def unusable(job: Job, of: Assignment, state: str, reason: str) -> Result:
    """The result of a submission that was not looked into."""
    scores: dict[str, float | None] = dict.fromkeys(of.points, 0.0)
    messages = dict.fromkeys(of.tests, reason)
    return Result(
        job.student, state, [reason], scores=scores, messages=messages, version=of.version, fingerprint=reason[:200]
    )


def die_with_parent() -> None:
    """On Linux: end when the process that started this one ends, however it ends."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


# -- on this machine -------------------------------------------------------------------------------------------------


def _serve(work: Work, slot: int, pipe: Connection, others: Sequence[Connection]) -> None:
    """A worker's life. ``others`` are the command's ends of all pipes, which a fork inherits and must not keep open."""
    for other in others:
        other.close()
    die_with_parent()
    examiner = Examiner(work.of, work.limits, work.seed, sandbox=work.sandbox, slot=slot)
    try:
        examiner.box().ready()  # a sandbox that does not start stops the run, and is no student's fault
        pipe.send(None)
    except (SandboxError, OSError) as error:
        pipe.send(str(error))
        return
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            job = pipe.recv()
            handed = gather(job, work.of)
            pipe.send(handed if isinstance(handed, Result) else examiner.grade(handed))
    examiner.close()


class Local:
    """``workers`` processes on this machine. Raises SandboxError if the sandbox does not start."""

    def __init__(self, work: Work, workers: int) -> None:
        self.work = work
        # Forked workers share what this process has imported; where there is no fork they import it themselves.
        kind = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        self._context: Any = multiprocessing.get_context(kind)
        self._forks = kind == "fork"
        self._workers: dict[Any, tuple[Any, int]] = {}
        for slot in range(workers):
            self._start(slot)

    def _start(self, slot: int) -> None:
        ours, theirs = self._context.Pipe()
        others = (*self._workers, ours) if self._forks else ()
        process = self._context.Process(target=_serve, args=(self.work, slot, theirs, others), daemon=True)
        process.start()
        theirs.close()
        self._workers[ours] = (process, slot)

    def run(self, jobs: Sequence[Job]) -> Iterator[Result]:
        """The results, as they come."""
        waiting, tried = list(reversed(jobs)), {job.student: 0 for job in jobs}
        busy: dict[Any, Job | None] = dict.fromkeys(self._workers)  # None: it has not said that it is ready
        idle: list[Any] = []
        open_ = len(jobs)
        while open_:
            while idle and waiting:
                pipe = idle.pop()
                job = waiting.pop()
                with contextlib.suppress(OSError):  # it died while it waited: seen below
                    pipe.send(job)
                busy[pipe] = job
            ready: list[Any] = wait(list(busy))
            for pipe in ready:
                had = busy.pop(pipe)
                try:
                    said = pipe.recv()
                except (EOFError, OSError):
                    slot = self._gone(pipe)
                    self._start(slot)
                    busy[next(reversed(self._workers))] = None
                    if had is None:
                        raise SandboxError("a worker ended before it was ready") from None
                    tried[had.student] += 1
                    if tried[had.student] < 2:
                        waiting.append(had)
                    else:
                        open_ -= 1
                        yield unusable(had, self.work.of, "failed", "the grader's own process ended twice over it")
                    continue
                if isinstance(said, str):
                    raise SandboxError(said)
                if isinstance(said, Result):
                    open_ -= 1
                    idle.append(pipe)
                    yield said
                else:
                    idle.append(pipe)

    def _gone(self, pipe: Any) -> int:
        process, slot = self._workers.pop(pipe)
        process.join(timeout=10)
        pipe.close()
        return slot

    def close(self) -> None:
        """End the workers, and what runs in them."""
        for pipe, (process, _) in self._workers.items():
            pipe.close()
            process.join(timeout=5)
            if process.is_alive():
                process.kill()
                process.join()


# -- on a cluster ----------------------------------------------------------------------------------------------------

_here: dict[tuple[str, Any], Examiner] = {}
_one_at_a_time = threading.Lock()


def grade_there(work: Work, handed: Handed) -> Result:
    """Grade one submission in a process of the cluster. Its sandbox stays for the next one."""
    with _one_at_a_time:  # the tests' folder and seed belong to the whole process
        key = (work.of.version, (work.limits, work.seed, work.sandbox))
        if key not in _here:
            for examiner in _here.values():
                examiner.close()
            _here.clear()
            slot = FIRST_SLOT_OF_CLUSTER + os.getpid() % 4000
            _here[key] = Examiner(work.of, work.limits, work.seed, sandbox=work.sandbox, slot=slot)
        return _here[key].grade(handed)


def _close_there() -> None:
    for examiner in _here.values():
        examiner.close()
    _here.clear()


class Cluster:
    """The workers of a Dask cluster, found at its scheduler's address. The library must be installed there."""

    def __init__(self, work: Work, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise SandboxError("a cluster needs Dask: pip install 'optbias[cluster]'") from None
        self.work = work
        self._client = distributed.Client(address, timeout="30s", set_as_default=False)
        if not self._client.scheduler_info()["workers"]:
            raise SandboxError(
                f"the scheduler at {address} has no workers yet: start some with `dask worker {address}`"
            )

    def run(self, jobs: Sequence[Job]) -> Iterator[Result]:
        """The results, as they come. What a dead worker had is graded by another one."""
        import distributed

        work = self._client.scatter(self.work, broadcast=True, hash=False)
        futures = {}
        for job in jobs:
            handed = gather(job, self.work.of)
            if isinstance(handed, Result):
                yield handed
            else:
                futures[self._client.submit(grade_there, work, handed, pure=False, retries=3)] = job
        for future in distributed.as_completed(list(futures), loop=self._client.loop):
            try:
                yield future.result()
            except Exception as error:
                reason = f"the cluster gave it up: {type(error).__name__}: {error}"[:500]
                yield unusable(futures[future], self.work.of, "failed", reason)
            future.release()

    def close(self) -> None:
        """Leave the cluster as it was."""
        with contextlib.suppress(Exception):
            self._client.run(_close_there)
        self._client.close()
