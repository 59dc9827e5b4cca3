"""``python -m optbias grade``: grade a folder of submissions; see docs/instructors.md."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optbias.exercises._answers import SEED_VARIABLE
from optbias.grading import assignment, report
from optbias.grading.assignment import Assignment, AssignmentError
from optbias.grading.plain import on_terminal
from optbias.grading.pool import Cluster, Job, Local, Work
from optbias.grading.sandbox import UNPROTECTED, Limits, SandboxError, why_not
from optbias.grading.session import STATES, Result

NO_SEED = f"""\
WARNING: {SEED_VARIABLE} is not set. The hidden tests draw their numbers from it; without it they are those of every
public copy of the course. Set the seed of your course and grade again with --regrade."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    usual = Limits()
    add = parser.add_argument
    add("assignment", nargs="?", metavar="ASSIGNMENT", help="which one; with --folder it is found out if left away")
    add("--course", type=Path, metavar="DIR", help="the nbgrader course (default: here, or ./exercises)")
    add("--student", action="append", metavar="ID", help="only this student (may be given several times)")
    add("--workers", type=_count, default=max(1, min(os.cpu_count() or 1, 8)), metavar="N",
        help="submissions at a time (default: %(default)s)")  # fmt: skip
    add("--cell-timeout", type=_positive, default=usual.cell_seconds, metavar="S",
        help="seconds for one cell: CPU time, and time asleep (default: %(default)g)")  # fmt: skip
    add("--timeout", type=_positive, default=usual.total_seconds, metavar="S",
        help="the same for a whole notebook (default: %(default)g)")  # fmt: skip
    add("--memory", type=_memory, default=usual.memory_mib, metavar="MIB",
        help="memory for one notebook in MiB, at least 1024 (default: %(default)s)")  # fmt: skip
    add("--db", metavar="URL", help="the gradebook (default: the course's gradebook.db)")
    add("--scheduler", metavar="ADDRESS", help="spread the submissions over a Dask cluster")
    add("--regrade", action="store_true", help="grade all again and show whose points change and why; writes nothing")
    add("--yes", action="store_true", help="with --regrade: write the new points")
    add("--feedback", action="store_true", help="afterwards write the students' pages (nbgrader generate_feedback)")
    add("--no-sandbox", action="store_true", help="run student code unprotected, where there is no bubblewrap")
    add("--folder", type=Path, metavar="DIR", help="without nbgrader: grade the notebooks and .py files in DIR")
    add("--report", type=Path, metavar="FILE", help="where the report goes (with --folder: needed)")


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"a number from 1 to 256 is expected; got {text!r}")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"seconds, more than 0, are expected; got {text!r}")
    return value


def _memory(text: str) -> int:
    if not text.isdigit() or not 1024 <= int(text) <= 1 << 20:
        raise argparse.ArgumentTypeError(
            f"MiB, from 1024 (torch alone needs 700) to 1048576, are expected; got {text!r}"
        )
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run the command: 0 if every submission has a result, 1 if some have failed, 2 wrong use."""
    try:
        return _folder(options) if options.folder is not None else _course(options)
    except (AssignmentError, SandboxError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


# -- what both ways share ----------------------------------------------------------------------------------------


def _ready(options: argparse.Namespace) -> None:
    """Refuse or warn before anything runs."""
    reason = why_not()
    if options.no_sandbox:
        print(UNPROTECTED, file=sys.stderr)
    elif reason is not None and options.scheduler is None:
        raise SandboxError(
            f"{reason}.\nStudent code would run unprotected, so nothing was graded. On macOS and Windows use WSL 2 "
            "or on a Linux machine; or add --no-sandbox and know what that means:\n" + UNPROTECTED
        )
    if not os.environ.get(SEED_VARIABLE):
        print(NO_SEED, file=sys.stderr)


def _work(options: argparse.Namespace, of: Assignment) -> Work:
    limits = Limits(options.cell_timeout, options.timeout, options.memory)
    return Work(of, limits, os.environ.get(SEED_VARIABLE), not options.no_sandbox)


@contextlib.contextmanager
def _pool(options: argparse.Namespace, work: Work, jobs: Sequence[Job]) -> Iterator[Local | Cluster | None]:
    if not jobs:
        yield None
        return
    import optbias.exercises

    optbias.exercises.get(next(iter(work.of.tasks)))  # imported once, here, for all workers that are forked
    pool: Local | Cluster
    if options.scheduler is not None:
        pool = Cluster(work, options.scheduler)
    else:
        pool = Local(work, min(options.workers, len(jobs)))
    try:
        yield pool
    finally:
        pool.close()


def _progress(results: Iterator[Result], count: int) -> Iterator[Result]:
    """The results, with a bar that says how long it will take."""
    from tqdm import tqdm

    with tqdm(total=count, unit="notebook", disable=None, dynamic_ncols=True) as bar:
        for result in results:
            bar.update()
            yield result


def _say(results: Mapping[str, Result]) -> None:
    counts = {state: sum(result.state == state for result in results.values()) for state in STATES}
    print(f"{len(results)} submissions: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count))
    for state in ("repaired", "rejected", "failed"):
        for name, result in sorted(results.items()):
            if result.state == state:
                print(f"  {on_terminal(name)}: {state}: {on_terminal('; '.join(result.reasons))}")
    for name, result in sorted(results.items()):
        if result.suspicious:
            print(f"  {on_terminal(name)}: worth a look: {on_terminal('; '.join(result.suspicious))}")


def _seed_mark() -> str:
    """A digest of the seed, so that a result says with which numbers it was made without giving them away."""
    seed = os.environ.get(SEED_VARIABLE)
    return hashlib.blake2b(seed.encode(), digest_size=6, person=b"exam seed").hexdigest() if seed else ""


# -- a course of nbgrader's --------------------------------------------------------------------------------------


class Journal:
    """The results on disk, a file each, whole or not there: what a run that was killed goes on from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> dict[str, tuple[Result, str, str]]:
        """By student: the result, the stamp of what was graded, the mark of the seed. A broken file is left out."""
        found = {}
        for path in sorted(self.folder.glob("*.json")):
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                found[data["result"]["student"]] = (Result.of(data["result"]), data["stamp"], data["seed"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return found

    def save(self, result: Result, stamp: str) -> None:
        """Keep a result."""
        data = {"result": result.as_dict(), "stamp": stamp, "seed": _seed_mark()}
        report.whole(self.folder / f"{result.student}.json", json.dumps(data))

    def clear(self) -> None:
        """Forget everything."""
        for path in self.folder.glob("*.json"):
            path.unlink()


def stamp(folder: Path) -> str:
    """A digest of names, sizes and times of what was handed in: another one means that it was handed in again."""
    rows = []
    for path, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            about = os.lstat(os.path.join(path, name))
            rows.append(f"{os.path.relpath(os.path.join(path, name), folder)} {about.st_size} {about.st_mtime_ns}")
    return hashlib.sha256("\n".join(rows).encode("utf-8", "replace")).hexdigest()[:24]


def find_course(given: Path | None) -> Path:
    """The folder of the course. Raises AssignmentError."""
    for folder in [given] if given is not None else [Path(), Path("exercises")]:
        if (folder / "nbgrader_config.py").is_file() or (folder / "source").is_dir():
            return folder.resolve()
    where = given if given is not None else Path.cwd()
    raise AssignmentError(
        f"{where} is no nbgrader course (no nbgrader_config.py, no source/). Name it with --course DIR"
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One grading run of an assignment at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        try:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process alone, not of those it forks
        except ImportError:
            pass
        except OSError:
            raise AssignmentError(
                f"another run grades this assignment right now (it holds {folder / 'lock'})"
            ) from None
        yield


def _course(options: argparse.Namespace) -> int:
    if options.assignment is None:
        raise AssignmentError("say which assignment: python -m optbias grade ASSIGNMENT")
    course = find_course(options.course)
    of = assignment.load(options.assignment, course)
    jobs = {path.parent.name: Job(path.parent.name, path) for path in sorted(course.glob(f"submitted/*/{of.name}"))}
    if options.student:
        if unknown := set(options.student) - set(jobs):
            raise AssignmentError(f"no submission of {', '.join(sorted(unknown))} in {course}/submitted")
        jobs = {name: jobs[name] for name in options.student}
    if not jobs:
        raise AssignmentError(f"nothing was handed in: there is no {course}/submitted/STUDENT/{of.name}")
    _ready(options)
    folder = course / "grading" / of.name
    with _alone(folder):
        return _grade(options, course, of, jobs, folder)


def _grade(options: argparse.Namespace, course: Path, of: Assignment, jobs: dict[str, Job], folder: Path) -> int:
    journal, again = Journal(folder / "results"), Journal(folder / "regrade")
    stamps = {name: stamp(job.path) for name, job in jobs.items()}
    known = journal.load()
    made = again.load() if options.regrade else known
    fresh = {
        name: result
        for name, (result, its_stamp, its_seed) in made.items()
        if name in jobs
        and its_stamp == stamps[name]
        and result.state != "failed"
        and (not options.regrade or (result.version == of.version and its_seed == _seed_mark()))
    }
    waiting = [job for name, job in jobs.items() if name not in fresh]
    if fresh and not options.regrade:
        old = [name for name in fresh if fresh[name].version != of.version or known[name][2] != _seed_mark()]
        print(f"{len(fresh)} of {len(jobs)} have a result already; {len(waiting)} to do")
        if old:
            print(
                f"  {len(old)} of them were graded with other tests or another seed: --regrade shows what would change"
            )
    elif waiting:
        print(f"{len(waiting)} to do with {options.workers if options.scheduler is None else 'the cluster’s'} workers")
    results = dict(fresh)
    with _pool(options, _work(options, of), waiting) as pool:
        from optbias.grading.gradebook import Writer, default_url  # imports nbgrader, while the workers warm up

        url = options.db or default_url(course)
        with Writer(of, course, url) as writer:
            writer.register()
            before = writer.scores()
            for result in _progress(pool.run(waiting), len(waiting)) if pool is not None else ():
                results[result.student] = result
                (again if options.regrade else journal).save(result, stamps[result.student])
                if not options.regrade:
                    _write(writer, result, known)
            if options.regrade:
                return _regraded(options, of, writer, before, results, (journal, again), stamps, folder)
            for name, result in fresh.items():  # a run that was killed may have kept a result and not entered it
                graded = course / "autograded" / name / of.name / f"{of.name}.ipynb"
                if result.state != "failed" and (before.get(name) != result.scores or not graded.is_file()):
                    _write(writer, result, known)
    everything = {name: entry[0] for name, entry in journal.load().items()}
    _finish(options, course, of, everything, url, folder)
    _say({name: results[name] for name in sorted(results)})
    print(f"report: {options.report or folder / 'report.html'}")
    return 1 if any(result.state == "failed" for result in results.values()) else 0


def _write(writer: Any, result: Result, known: Mapping[str, tuple[Result, str, str]]) -> None:
    if result.state == "failed":
        return  # nobody gets 0 points for a fault of the grader's; the next run tries again
    before = known.get(result.student)
    writer.write(result, before is not None and before[0].fingerprint != result.fingerprint)


def _regraded(
    options: argparse.Namespace,
    of: Assignment,
    writer: Any,
    before: Mapping[str, Mapping[str, float | None]],
    results: Mapping[str, Result],
    journals: tuple[Journal, Journal],
    stamps: Mapping[str, str],
    folder: Path,
) -> int:
    from optbias.grading.gradebook import differences

    failed = {name: result for name, result in results.items() if result.state == "failed"}
    changes = differences(before, {name: result for name, result in results.items() if name not in failed})
    print(f"{len(results)} graded again; {len({change[0] for change in changes})} of them get other points")
    for student, name, old, new, said in changes:
        print(f"  {student}: {name}: {_worth(old)} -> {_worth(new)}: {on_terminal(said, 200)}")
    for name, result in sorted(failed.items()):
        print(f"  {on_terminal(name)}: failed: {on_terminal('; '.join(result.reasons))}")
    if not options.yes:
        print("Nothing was written. The same command with --yes writes it.")
        return 1 if failed else 0
    journal, again = journals
    known = journal.load()
    for name, result in results.items():
        if name not in failed:
            _write(writer, result, known)
            journal.save(result, stamps[name])
    again.clear()
    everything = {name: entry[0] for name, entry in journal.load().items()}
    _finish(options, folder.parents[1], of, everything, writer.url, folder)
    print(f"written; report: {options.report or folder / 'report.html'}")
    return 1 if failed else 0


def _worth(score: float | None) -> str:
    return "waits" if score is None else f"{score:g}"


def _finish(
    options: argparse.Namespace, course: Path, of: Assignment, results: Mapping[str, Result], url: str, folder: Path
) -> None:
    """The report, the tables for Canvas and Moodle, and the students' pages if they are asked for."""
    page = options.report or folder / "report.html"
    report.write(of, results, page, seed=bool(os.environ.get(SEED_VARIABLE)), sandbox=not options.no_sandbox)
    import logging

    from nbgrader.api import Gradebook

    from optbias.grading import exporters

    with Gradebook(url, "optbias") as gradebook:
        for kind in (exporters.CanvasExport, exporters.MoodleExport):
            exporter = kind()
            exporter.log = logging.getLogger("optbias.grading.quiet")
            exporter.log.setLevel(logging.ERROR)
            exporter.assignment, exporter.student = [of.name], []
            exporter.to = str(folder / f"{kind.__name__.removesuffix('Export').lower()}.csv")
            exporter.export(gradebook)
    if options.feedback:
        from optbias.grading.gradebook import nbgrader

        nbgrader(course, url, "generate_feedback", of.name, "--force")


# -- without nbgrader --------------------------------------------------------------------------------------------


def _folder(options: argparse.Namespace) -> int:
    if options.report is None:
        raise AssignmentError("say where the report goes: --report FILE")
    for name in ("regrade", "yes", "db", "feedback"):
        if getattr(options, name):
            raise AssignmentError(f"--{name} belongs to a gradebook, and there is none with --folder")
    if not options.folder.is_dir():
        raise AssignmentError(f"{options.folder} is no folder")
    course = find_course(options.course)
    names = [options.assignment] if options.assignment else assignment.names(course)
    among = {name: assignment.load(name, course) for name in names}
    found = [
        path
        for path in sorted(options.folder.rglob("*"))
        if path.suffix in (".ipynb", ".py") and path.is_file() and not path.is_symlink()
        and not any(part.startswith(".") for part in path.relative_to(options.folder).parts)
    ]  # fmt: skip
    _ready(options)
    from optbias.grading.handed_in import guess

    jobs: dict[str, list[Job]] = {}
    nothing: list[Path] = []
    for path in found:
        answered: str | None = options.assignment or guess(
            path.read_bytes() if path.suffix == ".py" else b"", path, among
        )
        if answered is None:
            nothing.append(path)
        else:
            jobs.setdefault(answered, []).append(Job(str(path.relative_to(options.folder).with_suffix("")), path))
    if not jobs:
        raise AssignmentError(f"no notebook and no .py file in {options.folder} answers {' or '.join(among)}")
    pages, failed = [], False
    for name, waiting in jobs.items():
        results = {}
        with _pool(options, _work(options, among[name]), waiting) as pool:
            for result in _progress(pool.run(waiting), len(waiting)) if pool is not None else ():
                results[result.student] = result
        print(f"{name}:")
        _say(results)
        page = options.report if len(jobs) == 1 else options.report.with_stem(f"{options.report.stem}-{name}")
        report.write(
            among[name], results, page, seed=bool(os.environ.get(SEED_VARIABLE)), sandbox=not options.no_sandbox
        )
        students = "".join(report.students_page(among[name], results[one]) for one in sorted(results))
        report.whole(page, page.read_text(encoding="utf-8").replace("</body>", students + "</body>"))
        pages.append(page)
        failed = failed or any(result.state == "failed" for result in results.values())
    for path in nothing:
        print(f"  {on_terminal(str(path))}: left out, it answers none of {', '.join(among)}")
    print("report: " + ", ".join(map(str, pages)))
    return 1 if failed else 0
