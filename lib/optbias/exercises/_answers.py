"""Calling a student's function: on copies, within its time, with its noise kept away, its errors in plain words."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optbias import seeding
from optbias.exercises import _families

LONGEST_MESSAGE = 600
"""Messages are cut here: a student's exception may carry a book."""

SEED_VARIABLE = "OPTBIAS_EXAM_SEED"
"""The environment variable with the course's own seed, from which hidden tests draw their numbers."""


explains = True
"""Whether a difference is explained; without it a test only fails, which is quicker."""

time_factor = 1.0
"""Multiplies every time limit: a slow machine may need 3, the tests of the tests use less."""


class CheckFailed(AssertionError):
    """A check did not hold. The message says what to look at; a notebook shows it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the message alone, never the lines of the test."""
        return [f"{type(self).__name__}: {self}"]


class Unexplained(CheckFailed):
    """A difference of which only its size is known: ``what`` differs, and ``how``. The task's family may know more."""

    def __init__(self, what: str, how: str) -> None:
        super().__init__(f"{what}: {how}")
        self.what, self.how = what, how


class TimeIsUp(BaseException):
    """Raised inside a student's function when its time is over; not an Exception, so that few handlers catch it."""


class Remote:
    """A student's function that lives in another process. :mod:`optbias.grading.session` has the real one."""

    def call(self, arguments: tuple[Any, ...], seconds: float) -> tuple[Any, tuple[Any, ...], float]:
        """The value, what became of the arguments, and the seconds that it took, at most ``seconds``.

        Raises :class:`TimeIsUp`, and :class:`RemoteError` for what went wrong inside.
        """
        raise NotImplementedError


class RemoteError(Exception):
    """An error in another process: the name of its type, its text, and the seconds until it came."""

    def __init__(self, name: str, text: str, seconds: float = 0.0) -> None:
        super().__init__(text)
        self.name, self.text, self.seconds = name, text, seconds


class Answer:
    """A student's function under examination.

    Calling it calls the function on copies of the arguments (so nothing that it does to them reaches the
    test), within the seconds that the task allows in all, with standard error and warnings kept away.
    What goes wrong inside becomes a :class:`CheckFailed` in plain words.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any] | Remote,
        *,
        shown_as: str,
        seconds: float,
        arguments: tuple[str, ...] = (),
        report: Callable[[str, str], None] | None = None,
    ):
        self.name = name
        self.shown_as = shown_as
        self.seconds = seconds
        self._function = function
        self._arguments = arguments
        self._left = seconds * time_factor
        self._report = report
        self._family = _families.of(name)
        self._calls: list[tuple[tuple[Any, ...], Any]] = []

    def __call__(self, *arguments: Any) -> Any:
        """The function's value. Raises :class:`CheckFailed` if it raises, or takes too long."""
        value = self._call(duplicate(arguments))[0]
        if self._family is not None:
            self._calls.append((arguments, value))
        return value

    def pure(self, *arguments: Any) -> Any:
        """The function's value; raises :class:`CheckFailed` if the function changes one of its arguments."""
        value, left = self._call(duplicate(arguments))
        if self._family is not None:
            self._calls.append((arguments, value))
        for number, (before, after) in enumerate(zip(arguments, left, strict=True)):
            if not identical(before, after):
                which = self._arguments[number] if number < len(self._arguments) else f"argument {number + 1}"
                raise CheckFailed(
                    f"{self.shown_as} changes {which}, which it was given. Compute new objects instead "
                    "(no +=, no .add_(), no assignment into an argument)"
                )
        return value

    @contextlib.contextmanager
    def checking(self, name: str) -> Iterator[None]:
        """One named check: a :class:`CheckFailed` raised inside begins with the name.

        In a public check the outcome is reported and the next check runs; in an examination it is raised.
        """
        try:
            yield
        except Exception as error:
            # Another error than a failed check: the check could not even use what the function returned.
            said: Any = error
            if isinstance(error, Unexplained):
                said = f"{error.what}: {self._explained() or error.how + self._edges(error.how)}"
            elif not isinstance(error, CheckFailed):
                said = f"what {self.shown_as} returned cannot be used here"
            message = _shortened(f"{name}: {said}")
            if self._report is None:
                raise CheckFailed(message) from error
            self._report("no", message)
        else:
            if self._report is not None:
                self._report("ok", name)

    def _edges(self, said: str) -> str:
        """What is special about the arguments of the last call, where a NaN or an error came of it."""
        if "NaN" not in said or not self._calls:
            return ""
        return at_an_edge(self._calls[-1][0], self._arguments)

    def _explained(self) -> str | None:
        """Why the answer differs: it remembers earlier calls, or what its task's family finds; None otherwise."""
        if not explains or not self._calls:
            return None
        arguments, before = self._calls[-1]
        with contextlib.suppress(CheckFailed):
            if not identical(self._call(duplicate(arguments))[0], before):
                return "the same call gives another result the second time: something is remembered between calls"
        return _families.explain(self._family, self._calls) if self._family is not None else None

    # numbers for tests, float64, from the course's own seed

    def generator(self, stream: int = 0) -> torch.Generator:
        """Random numbers for this task: a function of the course's seed, the task and ``stream`` (>= 0)."""
        text = f"{os.environ.get(SEED_VARIABLE, '0')}/{self.name}/{stream}"
        return seeding.generator(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big"))

    def normal(self, *shape: int, stream: int = 0) -> Tensor:
        """Standard normal numbers of the given shape."""
        return torch.randn(shape, generator=self.generator(stream), dtype=torch.float64)

    def uniform(self, low: float, high: float, stream: int = 0) -> float:
        """A number between ``low`` and ``high``."""
        drawn = torch.rand(1, generator=self.generator(stream), dtype=torch.float64)
        return low + (high - low) * drawn.item()

    def _call(self, arguments: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """The function's value, and the arguments as it left them."""
        try:
            if isinstance(self._function, Remote):
                return self._call_remote(self._function, arguments)
            started = time.monotonic()
            noise = silence() if self._report is None else contextlib.nullcontext()
            try:
                with noise, time_limit(self._left):
                    return self._function(*arguments), arguments
            finally:
                self._left = max(0.0, self._left - (time.monotonic() - started))
        except TimeIsUp:
            self._left = 0.0
            message = f"{self.shown_as} took longer than the {self.seconds:g} seconds that the task allows"
            raise CheckFailed(message) from None
        except RemoteError as error:
            raise self._failed(error.name, error.text, arguments) from None
        except (Exception, SystemExit) as error:
            raise self._failed(type(error).__name__, str(error), arguments) from None

    def _call_remote(self, function: Remote, arguments: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        try:
            value, left, spent = function.call(arguments, self._left)
        except RemoteError as error:
            self._left = max(0.0, self._left - error.seconds)
            raise
        self._left = max(0.0, self._left - spent)
        return value, left

    def _failed(self, name: str, text: str, arguments: tuple[Any, ...]) -> CheckFailed:
        if name == "NotImplementedError":
            return CheckFailed(f"{self.shown_as} is not answered yet (it raises NotImplementedError)")
        if not name:  # the process is gone, and the text is a whole sentence
            return CheckFailed(_shortened(f"{self.shown_as}: {text}"))
        where = at_an_edge(arguments, self._arguments) if name in ("ZeroDivisionError", "ValueError") else ""
        return CheckFailed(_shortened(f"{self.shown_as} raised {name}: {text}") + where)


def at_an_edge(arguments: tuple[Any, ...], names: tuple[str, ...]) -> str:
    """ " (here eps = 0, and grads is 0 everywhere)": the arguments that stand at an end of their domain."""
    found = []
    for place, value in enumerate(arguments):
        name = names[place] if place < len(names) else f"argument {place + 1}"
        for key, one in value.items() if isinstance(value, dict) and name != "state" else [(name, value)]:
            if isinstance(one, Tensor):
                if one.numel() == 0:
                    found.append(f"{key} is empty")
                elif (one == 0).all():
                    found.append(f"{key} is 0 everywhere")
                elif (one == 0).any():
                    found.append(f"{key} has an entry 0")
            elif isinstance(one, (int, float)) and not isinstance(one, bool) and one in (0, 1):
                found.append(f"{key} = {one:g}")
    return f" (here {', and '.join(found[:3])})" if found else ""


def duplicate(value: Any) -> Any:
    """A copy of plain data that shares no memory with it."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: duplicate(entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(duplicate(entry) for entry in value)
    return value if isinstance(value, (int, float, str, type(None))) else copy.deepcopy(value)


def identical(a: Any, b: Any) -> bool:
    """Whether two pieces of plain data are the same: type, keys, shape, dtype and every number (NaN equals NaN)."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        same = (a == b) | (torch.isnan(a) & torch.isnan(b)) if a.shape == b.shape else torch.tensor(False)
        return a.dtype == b.dtype and bool(same.all())
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(identical, a, b))
    return bool(a == b) or (a != a and b != b)


def _shortened(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else message[:LONGEST_MESSAGE] + " ..."


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep what is printed away: Python's streams, warnings, and what C code writes to standard error.

    nbgrader takes all points of a test whose cell has standard error in its output. A warning is no mistake.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        with contextlib.suppress(OSError):  # a process without standard error has nothing to keep away
            kept = os.dup(2)
            stack.callback(os.close, kept)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, nowhere)
            os.dup2(nowhere, 2)
            stack.callback(os.dup2, kept, 2)
        yield


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`TimeIsUp` in the block when it runs longer than ``seconds``.

    Works where signals do (the main thread, not on Windows); elsewhere the notebook's own limit has to do.
    A timer that was running before (pytest's, say) goes on afterwards.
    """
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not usable:
        yield
        return

    watched = True

    def stop(signum: int, frame: Any) -> None:
        if watched:
            raise TimeIsUp

    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, stop)
    # Again every half second, should a bare `except` swallow the first.
    before, interval = signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), 0.5)
    try:
        try:
            yield
        finally:
            watched = False  # first of all: on a busy machine the next alarm may come while this one is handled
    finally:
        watched = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
        if before:
            left = max(before - (time.monotonic() - started), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, interval)


def on_screen(mark: str, message: str) -> None:
    """Print one line of a public check."""
    print(f"  [{mark}] {message}", file=sys.stdout)
