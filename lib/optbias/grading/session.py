"""Grading one submission: the notebook runs in the sandbox, the tests run here, and plain data goes between them.

The cells run in the order of the release, each test where it stands in it. What ends the student's process (a
crash, a loop without end) costs the answer that did it: a new process runs the other cells again, and the tests go
on. No student code is ever executed in this process; it is parsed once, to look for what a task forbids.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from optbias.exercises import get
from optbias.exercises._answers import SEED_VARIABLE, Remote, RemoteError, TimeIsUp, time_limit
from optbias.grading import codec, plain
from optbias.grading.assignment import Assignment, grade_id
from optbias.grading.handed_in import Handed, Rejected
from optbias.grading.restore import Report, UnusableFile, parse, restore
from optbias.grading.sandbox import Ended, Limits, Plain, Run, Sandbox

STATES = ("graded", "repaired", "rejected", "failed")

TEST_SECONDS = 300.0
"""A test that takes longer on this side than this (an answer of a million lists, say) fails."""

MOST_RESTARTS = 40


@dataclass
class Result:
    """What became of a submission, as plain data. ``scores`` of written answers are None: they wait for a person."""

    student: str
    state: str = "graded"
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    suspicious: list[str] = field(default_factory=list)
    scores: dict[str, float | None] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    charged: float = 0.0
    peak_mib: int = 0
    version: str = ""
    fingerprint: str = ""
    timestamp: str = ""
    notebook: dict[str, Any] = field(default_factory=dict)

    @property
    def points(self) -> float:
        """The points so far."""
        return sum(score or 0.0 for score in self.scores.values())

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Result:
        """The result that :meth:`as_dict` wrote."""
        return cls(**{name: given[name] for name in cls.__dataclass_fields__ if name in given})


class Away(Remote):
    """A function of the student's, called in the student's process."""

    def __init__(self, session: Session, name: str) -> None:
        self._session, self._name = session, name

    def call(self, arguments: tuple[Any, ...], seconds: float) -> tuple[Any, tuple[Any, ...], float]:
        """The value, the arguments as they were left, the seconds charged."""
        try:
            reply, charged = self._session.process().ask(
                {"do": "call", "name": self._name, "arguments": tuple(arguments)}, max(seconds, 0.05)
            )
        except Ended as ended:
            if ended.kind == "time":
                raise TimeIsUp from None
            raise RemoteError("", str(ended)) from None
        error = reply.get("error")
        if error is not None:
            if not (isinstance(error, tuple) and len(error) == 2 and all(isinstance(part, str) for part in error)):
                error = ("Error", "")
            # An error without a name would pass for a word of the grader's.
            raise RemoteError(error[0] or "Error", error[1], charged)
        left = reply.get("after")
        if "value" not in reply or not isinstance(left, tuple) or len(left) != len(arguments):
            raise RemoteError("Error", "its process answered with something that is no value", charged)
        after = tuple(before if callable(before) else one for before, one in zip(arguments, left, strict=True))
        return reply["value"], after, charged


class Session:
    """One notebook under examination."""

    def __init__(self, of: Assignment, box: Sandbox | Plain, files: Mapping[str, bytes], limits: Limits) -> None:
        self.of, self.box, self.files, self.limits = of, box, files, limits
        self.run: Run | None = None
        self.alive = False
        self.done: list[str] = []  # cells that a new process has to run again
        self.charged, self.peak, self.starts = 0.0, 0, 0
        self.given_up = ""

    def process(self) -> Run:
        """The student's process; a new one, in which the same cells ran, if the last one ended."""
        if self.run is not None and self.run.alive:
            return self.run
        while True:
            self._count()
            if self.given_up:
                raise Ended("over", self.given_up)
            left = replace(self.limits, total_seconds=self.limits.total_seconds - self.charged)
            self.run = self.box.open(self.files, left)
            self.starts += 1
            for source in list(self.done):
                try:
                    self.run.cell(source)
                except Ended:  # it did not end the process before, and does now: leave it out from here on
                    self.done.remove(source)
                    break
            else:
                return self.run

    def _count(self) -> None:
        if self.run is not None:
            self.charged += self.run.charged
            self.peak = max(self.peak, self.run.peak)
            self.run.close()
            self.run = None
        if self.charged >= self.limits.total_seconds - 0.01:
            self.given_up = (
                f"the whole notebook may take {self.limits.total_seconds:g} seconds, and they were over before"
            )
        elif self.starts > MOST_RESTARTS:
            self.given_up = "its process ended again and again"

    def cell(self, source: str) -> list[dict[str, Any]]:
        """The outputs of a cell; if it ended the process, an error that says so."""
        try:
            outputs = self.process().cell(source)
        except Ended as ended:
            text = f"The notebook's process ended in this cell: {ended}."
            return [{"output_type": "error", "ename": "ProcessEnded", "evalue": text, "traceback": [text]}]
        self.done.append(source)
        return outputs

    def test(self, name: str, space: Mapping[str, Any], sources: Sequence[str]) -> str | None:
        """Run one test cell: None if it passes, else the message. ``space`` is what the set-up left."""
        asked = get(self.of.task(name))
        names: dict[str, Any] = {**space, "In": ["", *sources]}
        try:
            found = self.process().names([asked.function])[asked.function]
        except Ended as ended:
            return f"CheckFailed: {asked.shown_as}: {ended}"
        names.pop(asked.function, None)
        if found == "function":
            names[asked.function] = Away(self, asked.function)
        elif found is not None:
            names[asked.function] = codec.opaque(found)
        quiet = io.StringIO()
        try:
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), time_limit(TEST_SECONDS):
                exec(compile(self.of.tests[name], f"<{name}>", "exec"), names)
        except TimeIsUp:
            return "CheckFailed: what the answer returned takes too long to look at"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None

    def close(self) -> None:
        """End the student's process."""
        if self.run is not None:
            self.charged += self.run.charged
            self.peak = max(self.peak, self.run.peak)
            self.run.close()
            self.run = None


class Examiner:
    """Grades submissions of one assignment, one after another, in one sandbox. Lives in a worker."""

    def __init__(self, of: Assignment, limits: Limits, seed: str | None, *, sandbox: bool = True, slot: int = 0):
        self.of, self.limits, self.sandboxed, self.slot = of, limits, sandbox, slot
        self._seed = seed
        self._box: Sandbox | Plain | None = None
        self._space: dict[str, Any] | None = None

    def box(self) -> Sandbox | Plain:
        """The sandbox; a new one if the last one broke."""
        if self._box is None or not self._box.alive:
            if not self.sandboxed:
                self._box = Plain()
            else:
                from optbias.grading.assignment import forbidden_by_all

                forbidden = forbidden_by_all(get(name) for name in self.of.tasks)
                self._box = Sandbox(self.of.imports, forbidden, self.slot)
        return self._box

    def space(self) -> dict[str, Any]:
        """The names that the release's own set-up leaves, with the library's real checks at hand."""
        if self._space is None:
            self._space = {"__name__": "__main__"}
            for source in self.of.setup:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(source, "<set-up>", "exec"), self._space)
        return self._space

    def grade(self, handed: Handed) -> Result:
        """Grade one submission. Raises nothing: whatever happens ends in the result."""
        started = time.monotonic()
        result = Result(handed.student, version=self.of.version, fingerprint=handed.fingerprint)
        result.timestamp, result.notes = handed.timestamp, list(handed.notes)
        try:
            self._grade(handed, result)
        except (Rejected, UnusableFile) as error:
            self._nothing(result, "rejected", str(error))
        except Exception as error:
            # A fault of the grader's own, or of this machine: it must not stop the class.
            self._nothing(result, "failed", f"the grader could not go on: {type(error).__name__}: {error}"[:1000])
            if self._box is not None:
                with contextlib.suppress(Exception):
                    self._box.close()
                self._box = None
        result.seconds = round(time.monotonic() - started, 3)
        return result

    def _nothing(self, result: Result, state: str, reason: str) -> None:
        result.state, result.reasons = state, [reason]
        waiting = dict.fromkeys(self.of.points, 0.0)
        result.scores = {**waiting}
        result.messages = dict.fromkeys(self.of.tests, reason)
        result.notebook = {}

    def _grade(self, handed: Handed, result: Result) -> None:
        submitted, notes = parse(handed.notebook, Path(handed.name))
        rebuilt, report = restore(submitted, dict(self.of.release))
        result.notes += notes + report.notes
        repairs = repaired(report) + handed.repairs + notes
        if repairs:
            result.state, result.reasons = "repaired", repairs
        result.suspicious = suspicious(rebuilt)
        box = self.box()
        with self._surroundings(handed.files):
            session = Session(self.of, box, handed.files, self.limits)
            try:
                self._examine(session, rebuilt, result)
            finally:
                session.close()
        result.charged, result.peak_mib = round(session.charged, 2), session.peak >> 20
        if session.given_up:
            result.notes.append(f"given up before the end: {session.given_up}")
        result.notebook = rebuilt

    def _examine(self, session: Session, rebuilt: dict[str, Any], result: Result) -> None:
        space = self.space()
        sources: list[str] = []
        ran = 0
        for cell in rebuilt["cells"]:
            name = grade_id(cell)
            if cell["cell_type"] != "code":
                if name in self.of.points:
                    stub = unchanged(cell, self.of.release)
                    result.scores[name] = 0.0 if stub else None
                continue
            ran += 1
            cell["execution_count"] = ran
            if name in self.of.tests:
                cell["source"] = self.of.tests[name].splitlines(keepends=True)
                failed = session.test(name, space, sources)
                result.scores[name] = self.of.points[name] if failed is None else 0.0
                cell["outputs"] = []
                if failed is not None:
                    kind, _, text = failed.partition(": ")
                    result.messages[name] = text if kind == "CheckFailed" else failed
                    cell["outputs"] = [{"output_type": "error", "ename": kind, "evalue": text, "traceback": [failed]}]
                continue
            if "colab-only" in cell["metadata"].get("tags", ()):
                cell["outputs"] = []
                continue
            source = "".join(cell["source"])
            sources.append(source)
            cell["outputs"] = [safe for one in session.cell(source) if (safe := safe_output(one, ran))]

    @contextlib.contextmanager
    def _surroundings(self, files: Mapping[str, bytes]) -> Iterator[None]:
        """The folder and the seed that the tests expect: records of larger runs lie beside the notebook."""
        before, seed = Path.cwd(), os.environ.get(SEED_VARIABLE)
        with tempfile.TemporaryDirectory(prefix="optbias-records-") as folder:
            for name, data in files.items():
                if name.endswith(".json"):
                    (Path(folder) / name).write_bytes(data)
            os.chdir(folder)
            if self._seed is not None:
                os.environ[SEED_VARIABLE] = self._seed
            try:
                yield
            finally:
                os.chdir(before)
                if seed is None:
                    os.environ.pop(SEED_VARIABLE, None)
                else:
                    os.environ[SEED_VARIABLE] = seed

    def close(self) -> None:
        """Give the sandbox back."""
        if self._box is not None:
            self._box.close()
            self._box = None


def repaired(report: Report) -> list[str]:
    """What had to be repaired, in words; nothing if every answer stood where it belongs."""
    found = []
    for finding in report.findings:
        if finding.how in ("cell id", "anchor", "name", "uncertain") or "it was a" in finding.detail:
            found.append(str(finding))
    return found


def unchanged(cell: Mapping[str, Any], release: Mapping[str, Any]) -> bool:
    """Whether a written answer is still what the release has, or empty."""
    own = "".join(cell["source"]).strip()
    name = grade_id(cell)
    frame = next(("".join(one["source"]).strip() for one in release["cells"] if grade_id(one) == name), "")
    return not own or own == frame


def safe_output(output: Mapping[str, Any], count: int) -> dict[str, Any] | None:
    """An output as nbformat allows it, text and pictures only; None if nothing is left."""
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        text = plain.shortened(str(output.get("text", "")))
        return {"output_type": "stream", "name": name, "text": text} if text else None
    if kind == "error":
        rows = output.get("traceback")
        shown = [plain.shortened(str(row), 2000) for row in rows[:40]] if isinstance(rows, list) else []
        return {
            "output_type": "error",
            "ename": plain.shortened(str(output.get("ename", "")), 200),
            "evalue": plain.shortened(str(output.get("evalue", "")), 2000),
            "traceback": shown,
        }
    data = output.get("data")
    if kind in ("display_data", "execute_result") and isinstance(data, dict):
        texts = {mime: text for mime, text in data.items() if isinstance(mime, str) and isinstance(text, str)}
        kept = plain.output({"output_type": kind, "data": texts, "metadata": {}})
        if kept is not None:
            return {**kept, "execution_count": count} if kind == "execute_result" else kept
    return None


# -- what a person may want to look at -------------------------------------------------------------------------------

_SIGNS = {
    r"input_transformers|ast_transformers|ast_node_interactivity": "changes how cells are read",
    r"run_cell(_async)?\s*=|displayhook|display_pub|showtraceback|get_ipython\(\)\.[a-z_]+\s*=": "changes the shell",
    r"sys\.meta_path|sys\.path_hooks|import_hooks|builtins\.__import__|sys\.modules\[": "changes how modules are found",
    r"gc\.get_(objects|referrers)|_getframe|f_back|inspect\.(stack|currentframe)|settrace": "looks into other frames",
    r"/proc/|ptrace|ctypes|process_vm": "reaches for its process from outside",
    r"EXAM_SEED|gradebook|sqlite3|\.\./(source|release|submitted)|hidden.?tests": "looks for what is the grader's",
    r"os\.(fork|spawn|exec|setsid|kill)|subprocess|multiprocessing|start_new_session": "starts or ends processes",
    r"socket|urllib|requests\.|http\.client": "uses the network",
    r"signal\.(signal|setitimer|alarm)|SIGALRM": "handles signals",
    r"(numpy|np|torch|optbias\.\w+)\.testing\.\w+\s*=|assert_\w+\s*=\s*lambda": "replaces checks",
    r"__(eq|lt|gt|le|ge|abs|sub|rsub|torch_function|array_ufunc)__": "defines how its values are compared",
}


def suspicious(notebook: Mapping[str, Any]) -> list[str]:
    """What in the code of a submission somebody may want to look at. It changes no points."""
    found = []
    for number, cell in enumerate(notebook["cells"], 1):
        own = cell["cell_type"] == "code" and not (grade_id(cell) and not cell["metadata"]["nbgrader"].get("solution"))
        if not own:
            continue
        source = "".join(cell["source"])
        for pattern, words in _SIGNS.items():
            if (match := re.search(pattern, source)) is not None:
                row = source[: match.start()].count("\n") + 1
                where = grade_id(cell) or f"cell {number}"
                found.append(f"{where}, line {row}: {words} ({match[0][:40]!r})")
    return found[:20]
