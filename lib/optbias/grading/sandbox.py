"""A process for student code that sees nothing and reaches nothing, and the clock that it runs against.

On Linux with `bubblewrap <https://github.com/containers/bubblewrap>`_: no network, no file of the host but
programs and libraries (read-only), an empty environment, no capabilities, limits on time, memory, processes, file
sizes and output. Inside waits a warm process that has imported torch (:mod:`optbias.grading.inside`); each
notebook gets a fork of it with its own process numbers and its own empty folders, and nothing outlives it.

When the grader is root, everything inside runs under a user number that nobody else has: root is exempt from
the limit on processes.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import os
import platform
import queue
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from optbias.grading import codec

FIRST_USER = 61_200
"""Number of the user under which student code runs when the grader is root; one for each worker."""

SENDING = 60.0
"""Seconds by the clock in which a process has to read what it is sent."""

CALL = 1e-3
"""Seconds that are charged for each call of a course's function, so that nobody calls for ever."""

TICK = 0.02
"""Seconds between two looks at what a notebook uses while an answer is awaited; ten times that when it takes long."""


class SandboxError(RuntimeError):
    """The sandbox cannot be had, or does not start; the message says why and what to do."""


class Ended(Exception):
    """The student's process is gone. ``kind``: died, time, memory, output or protocol; the text is for the student."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    cell_seconds: float = 120.0
    total_seconds: float = 600.0
    memory_mib: int = 4096
    processes: int = 64
    disk_mib: int = 64
    output_mib: int = 64


# -- whether it can be had -----------------------------------------------------------------------------------------


def why_not() -> str | None:
    """Why there is no sandbox on this machine; None if there is one."""
    if platform.system() != "Linux":
        return f"the sandbox needs Linux (this is {platform.system()})"
    if shutil.which("bwrap") is None:
        return (
            "bubblewrap is not installed: apt-get install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora)"
        )
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "setpriv (package util-linux) is not installed, and the grader runs as root"
    said = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False).stdout
    version = tuple(int(part) for part in said.split()[-1].split(".")[:2]) if said.split() else (0, 0)
    if version < (0, 8):
        return f"bubblewrap must be version 0.8 or later; this is {said.strip() or 'unknown'}"
    return None


UNPROTECTED = """\
WITHOUT A SANDBOX the code of students runs on this machine as you. It can read, change and send away every file
that you can (solutions, the gradebook, other submissions, keys), start programs that stay, and use the network.
Still kept: the tests run in a process of their own, only plain data crosses, time limits. Use it for people you trust,
or inside a container or virtual machine that holds nothing else."""


# -- what is seen inside ---------------------------------------------------------------------------------------------


def _library() -> Path:
    return Path(__file__).resolve().parents[1]


def _places() -> list[Path]:
    """Folders of Python and its packages, and of this library."""
    found = [
        Path(sys.base_prefix),
        Path(sys.prefix),
        *(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")),
        _library(),
    ]
    places: list[Path] = []
    for place in sorted({place.resolve() for place in found} | {Path(sys.prefix)}, key=lambda p: len(p.parts)):
        if not any(place.is_relative_to(other) for other in [*places, Path("/usr")]):
            places.append(place)
    return places


def _tmp_is_free() -> bool:
    """Whether nothing that Python needs lies below /tmp, so that each notebook can have one of its own."""
    return not any(place.is_relative_to("/tmp") for place in _places())


def _parents(paths: Iterable[Path]) -> list[str]:
    """``--dir`` for each folder above: bubblewrap would make them readable by root alone."""
    wanted = {parent for path in paths for parent in path.parents if parent != Path("/")}
    return [word for parent in sorted(wanted, key=lambda p: len(p.parts)) for word in ("--dir", str(parent))]


def _view(extra: Sequence[str] = ()) -> list[str]:
    places = _places()
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/") / name
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    seen = [*places, *(Path(p) for p in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts") if Path(p).exists())]
    words += _parents(seen)
    for place in seen:
        words += ["--ro-bind", str(place), str(place)]
    return [*words, *extra]


def hidden(forbidden: Iterable[str], stubs: Path) -> list[str]:
    """Words for bubblewrap that put stubs over modules in which answers stand; the stubs are written to ``stubs``.

    ``forbidden`` are modules of this library, or ``torch.optim``, of which the algorithms go and the base class
    stays. The exercises' own modules, references and tests among them, are always hidden.
    """
    words: list[str] = []
    exercises = stubs / "exercises"
    exercises.mkdir(parents=True)
    (exercises / "__init__.py").write_text(_EXERCISES, encoding="utf-8")
    shutil.copy(_library() / "exercises" / "labs.py", exercises / "labs.py")
    words += ["--ro-bind", str(exercises), str(_library() / "exercises")]
    for name in sorted(set(forbidden)):
        if name == "torch.optim":
            words += _torch_stubs(stubs)
        elif name.startswith("optbias.") and not name.startswith("optbias.exercises"):
            path = _library().joinpath(*name.split(".")[1:])
            text = (
                f"raise ImportError({f'{name} cannot be imported while an assignment is graded that asks for it'!r})\n"
            )
            if path.is_dir():
                stub = stubs / name
                stub.mkdir()
                (stub / "__init__.py").write_text(text, encoding="utf-8")
                words += ["--ro-bind", str(stub), str(path)]
            elif path.with_suffix(".py").is_file():
                (stubs / f"{name}.py").write_text(text, encoding="utf-8")
                words += ["--ro-bind", str(stubs / f"{name}.py"), str(path.with_suffix(".py"))]
    return words


_EXERCISES = '''"""In place of the course's exercises while they are graded: the public checks do not run here."""


class CheckFailed(AssertionError):
    """As in the library."""


def check(name: str) -> None:
    """Say that nothing is checked here."""
    print(f"{name}: the public check does not run while the notebook is graded")


exam = check
'''


def _torch_stubs(stubs: Path) -> list[str]:
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).resolve().parent / "optim"
    words = []
    keep = {"__init__", "optimizer", "lr_scheduler", "swa_utils", "_stateless", "_functional"}
    for path in sorted(folder.glob("*.py")):
        if path.stem in keep:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        said = "torch.optim's algorithms are not there while an assignment is graded that asks for them"
        rows = [
            "from torch.optim.optimizer import Optimizer",
            f"def _no(*arguments, **options):\n    raise RuntimeError({said!r})",
            *(f"class {name}(Optimizer):\n    __init__ = _no" for name in classes),
            "def __getattr__(name):\n    if name.startswith('__'):\n        raise AttributeError(name)\n    return _no",
        ]
        (stubs / f"torch-{path.name}").write_text("\n".join(rows) + "\n", encoding="utf-8")
        words += ["--ro-bind", str(stubs / f"torch-{path.name}"), str(path)]
    return words


ENVIRONMENT = {
    "HOME": "/scratch",
    "TMPDIR": "/scratch",
    "IPYTHONDIR": "/scratch/.ipython",
    "MPLCONFIGDIR": "/scratch/.matplotlib",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "NBGRADER_EXECUTION": "autograde",
}


def command(program: Sequence[str], words: Sequence[str], stubs: Path, user: int | None) -> list[str]:
    """The whole command that runs ``program`` in the sandbox, under the number ``user`` if the grader is root."""
    view = _view()
    inner_view = [*view, *words]
    uid = os.geteuid() if user is None else user
    environment = {**ENVIRONMENT, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    environment["PYTHONPATH"] = str(_library().parent)  # this very library, wherever another one may be installed
    inner = [
        *("bwrap", "--unshare-user", "--unshare-all", "--uid", str(uid), "--gid", str(uid), "--cap-add", "ALL"),
        *("--disable-userns", "--die-with-parent", "--clearenv", "--hostname", "grader"),
        *("--size", str(64 << 20), "--tmpfs", "/tmp"),  # before the view, which may lie below it
        *inner_view,
        *("--proc", "/proc", "--dev", "/dev", "--dir", "/submission", "--size", str(64 << 20), "--tmpfs", "/scratch"),
        *("--size", str(64 << 20), "--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--remount-ro", "/"),
        *(() if _tmp_is_free() else ("--remount-ro", "/tmp")),
        *(word for name, value in environment.items() for word in ("--setenv", name, value)),
        *("--chdir", "/", "--", *program),
    ]
    if user is None:
        return inner
    # The folders of this Python may lie where only root may look (below /root). So root first makes a view in which
    # they can be reached, then becomes the other user, who makes the sandbox out of that view.
    stub_view = [*_parents([stubs]), "--ro-bind", str(stubs), str(stubs)]
    outer = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-net", *view, *stub_view]
    outer += ["--dev-bind", "/dev", "/dev", "--dev-bind", "/proc", "/proc", "--dir", "/tmp", "--chdir", "/", "--"]
    become = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--inh-caps=-all"]
    return [*outer, *become, "--bounding-set=-all", "--no-new-privs", *inner]


# -- what it uses ----------------------------------------------------------------------------------------------------

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def descendants(process: int) -> list[int]:
    """All processes below one, seen from outside; empty where /proc does not say."""
    found, waiting = [], [process]
    while waiting:
        number = waiting.pop()
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{number}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{number}/task/{thread}/children") as file:
                    children = [int(word) for word in file.read().split()]
                    found += children
                    waiting += children
    return found


@dataclass
class Usage:
    """CPU seconds, bytes of its own memory, and whether some thread of it runs or waits for a processor."""

    cpu: float = 0.0
    memory: int = 0
    busy: bool = False
    processes: int = 0


def usage(processes: Iterable[int]) -> Usage:
    """What some processes use together."""
    total = Usage()
    for number in processes:
        try:
            with open(f"/proc/{number}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            with open(f"/proc/{number}/status") as file:
                status = file.read()
        except OSError:
            continue
        total.cpu += sum(map(int, fields[11:15])) / _TICKS
        # What is shared among processes is memory too: without it twenty children could fill the machine.
        for row in status.splitlines():
            if row.startswith(("RssAnon:", "RssShmem:")):
                total.memory += int(row.split()[1]) << 10
        total.processes += 1
        total.busy = total.busy or fields[0] in "RD"
        if not total.busy and int(fields[17]) > 1:  # another thread may run
            for thread in os.listdir(f"/proc/{number}/task") if os.path.isdir(f"/proc/{number}/task") else ():
                with contextlib.suppress(OSError), open(f"/proc/{number}/task/{thread}/stat") as file:
                    total.busy = total.busy or file.read().rpartition(")")[2].split()[0] in "RD"
    return total


def shared_out(processes: Iterable[int]) -> int:
    """Bytes of memory of some processes, pages that several share counted once. Slower than :func:`usage`."""
    total = 0
    for number in processes:
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{number}/smaps_rollup") as file:
            rows = {row.split(":")[0]: row.split()[1] for row in file.read().splitlines()[1:]}
            parts = [rows[key] for key in ("Pss_Anon", "Pss_Shmem") if key in rows] or [rows["Pss"]]
            total += sum(map(int, parts)) << 10
    return total


# -- a run of one notebook -------------------------------------------------------------------------------------------


class Run:
    """The student's process of one notebook, asked from outside. Everything that it says is checked to be plain data.

    Time is charged while it computes or sleeps, not while it waits for a processor that others use: CPU seconds
    of all its processes, and the clock while none of them wants to run.
    """

    def __init__(self, reading: BinaryIO, writing: BinaryIO, limits: Limits, watched: Callable[[], list[int]],
                 end: Callable[[], None]) -> None:  # fmt: skip
        self.limits, self.charged, self.peak = limits, 0.0, 0
        self.most_processes = 0
        self._writing, self._watched, self._end = writing, watched, end
        self._inbox: queue.Queue[bytes | Ended] = queue.Queue()
        self._received = 0
        self._over: Ended | None = None
        self._left_over_cpu = 0.0
        threading.Thread(target=self._read, args=(reading,), daemon=True).start()

    def _read(self, reading: BinaryIO) -> None:
        try:
            while True:
                start = reading.read(codec.HEAD)
                if len(start) < codec.HEAD:
                    raise EOFError
                rest = sum(codec.sizes(start))
                self._received += codec.HEAD + rest
                if self._received > self.limits.output_mib << 20:
                    raise codec.CodecError("too much")
                self._inbox.put(start + reading.read(rest))
        except codec.CodecError:
            most = self.limits.output_mib
            self._inbox.put(Ended("output", f"its process sent more than {most} MiB, or something that is no message"))
        except (OSError, EOFError, ValueError):
            self._inbox.put(Ended("died", "its process ended by itself (exit, a crash, or the limit on memory)"))

    def cell(self, source: str) -> list[dict[str, Any]]:
        """Run a cell; its outputs. Raises :class:`Ended`."""
        reply, _ = self.ask({"do": "cell", "source": source}, self.limits.cell_seconds)
        try:
            outputs = json.loads(reply["outputs"])
            return [output for output in outputs if isinstance(output, dict)]
        except (KeyError, TypeError, ValueError, RecursionError):
            raise self.over("protocol", "its process answered with something that is no output of a cell") from None

    def names(self, names: Sequence[str]) -> dict[str, str | None]:
        """What stands under these names: ``"function"``, another type's name, None."""
        reply, _ = self.ask({"do": "names", "names": list(names)}, 10.0)
        found = reply.get("found")
        if not isinstance(found, dict):
            raise self.over("protocol", "its process does not answer any more as it should")
        return {name: found[name] if isinstance(found.get(name), str) else None for name in names}

    def ask(self, request: Mapping[str, Any], seconds: float) -> tuple[dict[str, Any], float]:
        """One request and its reply, and the seconds that were charged. Raises :class:`Ended`.

        A function in the request, the course's, is called here whenever the other side calls it.
        """
        if self._over is not None:
            raise self._over
        passed: list[Callable[..., Any]] = []

        def number(function: Callable[..., Any]) -> int:
            passed.append(function)
            return len(passed) - 1

        try:
            frame = codec.encode(dict(request), number)
            self._send(frame)
            charged = 0.0
            while True:
                message, used = self._wait(seconds - charged)
                charged += used
                if not isinstance(message, dict):
                    raise self.over("protocol", "its process does not answer any more as it should")
                if "function" not in message:
                    return message, charged
                # Who asks waits for the answer: a second message before it, or a call of no function, is a flood.
                ahead = not self._inbox.empty() and isinstance(self._inbox.queue[0], bytes)
                if ahead or not passed:
                    raise self.over("protocol", "its process does not answer any more as it should")
                charged += CALL
                self._send(codec.encode(self._called_back(message, passed)))
        except codec.CodecError:
            raise self.over("protocol", "its process sent something that is no plain data") from None

    @staticmethod
    def _called_back(message: Mapping[str, Any], functions: Sequence[Callable[..., Any]]) -> dict[str, Any]:
        """The course's function that an answer called, called here on plain data."""
        number, arguments = message.get("function"), message.get("arguments")
        if type(number) is not int or not 0 <= number < len(functions) or not isinstance(arguments, tuple):
            return {"error": "there is no such function"}
        try:
            return {"value": functions[number](*arguments)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"[:500]}

    def _send(self, frame: bytes) -> None:
        # A process that never reads would keep the grader waiting for ever.
        late = threading.Timer(SENDING, self._end)
        late.daemon = True
        late.start()
        try:
            self._writing.write(frame)
            self._writing.flush()
        except (OSError, ValueError):
            raise self.over("died", "its process ended by itself (exit, a crash, or the limit on memory)") from None
        finally:
            late.cancel()

    def _wait(self, seconds: float) -> tuple[Any, float]:
        seconds = min(seconds, self.limits.total_seconds - self.charged)
        try:
            return self._taken(self._inbox.get(timeout=TICK)), 0.0
        except queue.Empty:
            pass
        before, charged, last, tick = usage(self._watched()), TICK, time.monotonic(), TICK
        try:
            while True:
                try:
                    message = self._inbox.get(timeout=tick)
                    now = usage(self._watched())
                    charged += max(0.0, now.cpu - before.cpu)
                    return self._taken(message), charged
                except queue.Empty:
                    pass
                now, moment = usage(self._watched()), time.monotonic()
                spent = max(0.0, now.cpu - before.cpu)
                charged += max(spent, 0.0 if now.busy or before.busy else moment - last)
                if not now.processes:  # nobody to watch: no /proc here, so the clock has to do
                    charged += moment - last
                self.peak, self.most_processes = max(self.peak, now.memory), max(self.most_processes, now.processes)
                before, last, tick = now, moment, min(10 * TICK, tick * 1.5)
                most = self.limits.memory_mib << 20
                if now.memory > most and shared_out(self._watched()) > most:
                    raise self.over("memory", f"it used more than {self.limits.memory_mib} MiB of memory")
                if charged > seconds:
                    total = self.charged + charged > self.limits.total_seconds
                    allowed = (
                        f"{self.limits.total_seconds:g} seconds for the whole notebook" if total else "its time limit"
                    )
                    raise self.over("time over" if total else "time", f"it took longer than {allowed}")
        finally:
            self.charged += charged

    def _taken(self, message: bytes | Ended) -> Any:
        if isinstance(message, Ended):
            raise self.over(message.kind, str(message))
        return codec.decode(message)

    @property
    def alive(self) -> bool:
        """Whether the student's process has not ended."""
        return self._over is None

    def over(self, kind: str, text: str) -> Ended:
        """End the student's process for this reason."""
        if self._over is None:
            self._over = Ended(kind, text)
            self.close()
        return self._over

    def close(self) -> None:
        """End the student's process and everything that it started."""
        self._end()
        with contextlib.suppress(OSError, ValueError):
            self._writing.close()


# -- where notebooks run ---------------------------------------------------------------------------------------------


class Sandbox:
    """A sandbox with a warm process in it. Opens one :class:`Run` after another; a context manager.

    ``warm`` names modules to import in advance, ``forbidden`` those that are hidden (:func:`hidden`), ``slot``
    is the number of the worker. Raises SandboxError if it does not start.
    """

    def __init__(self, warm: Sequence[str], forbidden: Iterable[str], slot: int = 0) -> None:
        if reason := why_not():
            raise SandboxError(reason)
        self._user = FIRST_USER + slot if os.geteuid() == 0 else None
        self._folder = tempfile.TemporaryDirectory(prefix="optbias-grade-")
        folder = Path(self._folder.name).resolve()
        folder.chmod(0o755)
        words = hidden(forbidden, folder / "stubs")
        self._control, theirs = socket.socketpair()
        program = [sys.executable, "-s", "-m", "optbias.grading.inside", str(theirs.fileno())]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the sandbox
        self._process = subprocess.Popen(
            command(program, words, folder, self._user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            pass_fds=[theirs.fileno()],
            close_fds=True,
            cwd="/",
        )
        theirs.close()
        self._told = False
        order = json.dumps({"warm": list(warm)}).encode()
        try:
            self._control.sendall(struct.pack("!I", len(order)) + order)
        except OSError:
            raise self._broken() from None
        self._own: set[int] = set()

    def ready(self) -> None:
        """Wait until the warm process can be forked. Raises SandboxError with what was said if it does not start."""
        if self._told:
            return
        self._control.settimeout(300)
        if self._answer() != b"+":
            raise self._broken()
        self._told = True

    def _answer(self) -> bytes:
        try:
            return self._control.recv(1)
        except OSError:
            return b""

    def _broken(self) -> SandboxError:
        self._process.kill()
        self._process.wait()
        self._log.seek(0)
        said = self._log.read().decode("utf-8", "replace").strip()[-1500:]
        hint = ""
        if "user namespace" in said or "uid map" in said or "Operation not permitted" in said:
            hint = (
                "\nThis system does not let ordinary users make sandboxes. Ubuntu 24.04 and later: "
                "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; inside a container: run it with "
                "--security-opt seccomp=unconfined, or grade outside of it."
            )
        return SandboxError(f"the sandbox does not start: {said or 'it says nothing'}{hint}")

    def open(self, files: Mapping[str, bytes], limits: Limits) -> Run:
        """The process for one notebook, with ``files`` in its folder. Raises SandboxError."""
        self.ready()
        self._own = {self._process.pid, *descendants(self._process.pid)}
        ours, theirs = socket.socketpair()
        memory, disk = limits.memory_mib << 20, limits.disk_mib << 20
        order = json.dumps(
            {
                "confine": True,
                "folders": ["/submission", "/scratch", "/dev/shm", *(["/tmp"] if _tmp_is_free() else [])],
                "disk": 2 * disk,
                "files": {name: data.hex() for name, data in files.items()},
                "limits": {
                    "RLIMIT_AS": memory,
                    "RLIMIT_FSIZE": disk,
                    "RLIMIT_NPROC": limits.processes + self._others(),
                    "RLIMIT_NOFILE": 256,
                    "RLIMIT_CORE": 0,
                    "RLIMIT_CPU": int(limits.total_seconds) + 60,
                },
            }
        ).encode()
        try:
            socket.send_fds(self._control, [struct.pack("!I", len(order))], [theirs.fileno()])
            self._control.sendall(order)
        except OSError:
            raise self._broken() from None
        finally:
            theirs.close()
        if self._answer() != b"+":
            raise self._broken()
        stream = ours.makefile("rwb")
        ended = False

        def end() -> None:
            nonlocal ended
            if ended:
                return
            ended = True
            with contextlib.suppress(OSError):
                self._control.sendall(b"k")
            if self._answer() != b"+":
                self._process.kill()
            with contextlib.suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)
            ours.close()

        return Run(stream, stream, limits, self._watched, end)  # type: ignore[arg-type]

    def _watched(self) -> list[int]:
        return [number for number in descendants(self._process.pid) if number not in self._own]

    def _others(self) -> int:
        """Processes of this user that count against the limit, although they are not in the sandbox."""
        if self._user is not None or tuple(map(int, platform.release().split(".")[:2])) >= (5, 14):
            return 8  # newer kernels count in each sandbox alone: its own few processes
        own = os.geteuid()
        count = 0
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and os.stat(f"/proc/{name}").st_uid == own:
                    count += len(os.listdir(f"/proc/{name}/task"))
        return count + 8

    @property
    def alive(self) -> bool:
        """Whether it can open another run."""
        return self._process.poll() is None

    def close(self) -> None:
        """End everything. The warm process goes by itself, so that what it used is counted; else it is killed."""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        self._process.kill()
        self._process.wait()
        self._log.close()
        self._folder.cleanup()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Plain:
    """In place of :class:`Sandbox` where there is none: a process for each notebook in a temporary folder, as the user.

    It keeps the border between tests and answers, and the limits that this system has. It protects nothing else.
    """

    alive = True

    def ready(self) -> None:
        """There is nothing to wait for."""

    def open(self, files: Mapping[str, bytes], limits: Limits) -> Run:
        """The process for one notebook."""
        folder = tempfile.TemporaryDirectory(prefix="optbias-grade-")
        for name, data in files.items():
            (Path(folder.name) / name).write_bytes(data)
        wanted = {"RLIMIT_AS": limits.memory_mib << 20, "RLIMIT_FSIZE": limits.disk_mib << 20, "RLIMIT_CORE": 0}
        wanted["RLIMIT_CPU"] = int(limits.total_seconds) + 60
        if platform.system() != "Linux":
            wanted.pop("RLIMIT_AS")  # counts what is reserved, not what is used, on other systems
        keep = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "VIRTUAL_ENV")
        environment = {name: os.environ[name] for name in keep if name in os.environ}
        environment |= {name: value for name, value in ENVIRONMENT.items() if name not in ("HOME", "TMPDIR")}
        environment |= {"HOME": folder.name, "IPYTHONDIR": str(Path(folder.name) / ".ipython")}
        environment["MPLCONFIGDIR"] = str(Path(folder.name) / ".matplotlib")
        environment["PYTHONPATH"] = str(_library().parent)
        process = subprocess.Popen(
            [sys.executable, "-s", "-m", "optbias.grading.inside", "plain", json.dumps(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder.name,
            env=environment,
            start_new_session=True,
        )

        def end() -> None:
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            with contextlib.suppress(OSError):
                folder.cleanup()

        def watched() -> list[int]:
            return [process.pid, *descendants(process.pid)]

        assert process.stdout is not None
        assert process.stdin is not None
        return Run(process.stdout, process.stdin, limits, watched, end)  # type: ignore[arg-type]

    def close(self) -> None:
        """Nothing stays."""
