"""What runs inside the sandbox: a warm process that has imported torch, and one forked process for each notebook.

``python -m optbias.grading.inside DESCRIPTOR`` serves its caller over the socket with that number. The warm
process runs no student code. For each notebook it forks a child that gets its own process numbers, its own empty
folders and no privileges (:func:`confine`), and then answers requests on a socket of its own: run this cell, call
this function. When its first process ends, the kernel ends everything that it started.

``python -m optbias.grading.inside plain`` serves one notebook over standard input and output, without any of
this: that is what ``--no-sandbox`` uses.

Whatever this process says is the word of the student's code. The other side (:mod:`optbias.grading.sandbox`)
takes plain data from it and believes nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import struct
import sys
import types
from collections.abc import Callable
from typing import Any, BinaryIO

from optbias.grading import codec

LONGEST_OUTPUT = 200_000
"""Characters that one cell may print; the rest is dropped here, and a second time outside."""

MOST_OUTPUTS = 200

WORK = "/submission"

# Numbers of the kernel's interface, linux/sched.h, linux/mount.h, linux/prctl.h.
_NEWNS, _NEWIPC, _NEWPID = 0x00020000, 0x08000000, 0x20000000
_NOSUID, _NODEV, _PRIVATE, _REC = 2, 4, 1 << 18, 16384
_SECCOMP = 22
_PDEATHSIG, _DUMPABLE, _CAPBSET_DROP, _NO_NEW_PRIVS, _CAP_AMBIENT, _AMBIENT_CLEAR = 1, 4, 24, 38, 47, 4


# -- the warm process ------------------------------------------------------------------------------------------


def serve(control: socket.socket) -> None:
    """Fork a child for each notebook until the caller goes away. One notebook at a time."""
    orders = receive_order(control)
    for name in orders["warm"]:
        with contextlib.suppress(Exception):  # what cannot be imported here fails in the notebook, where it is seen
            importlib.import_module(name)
    shell = make_shell()
    control.sendall(b"+")
    while True:
        wanted, descriptors = receive_start(control)
        if wanted is None:
            return
        child = start(shell, wanted, descriptors[0], control)
        os.close(descriptors[0])
        control.sendall(b"+")
        while control.recv(1) not in (b"", b"k"):  # 'k' ends the notebook, whatever it does
            pass
        with contextlib.suppress(ProcessLookupError):
            os.kill(child[1], signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child[0], 0)
        try:
            control.sendall(b"+")
        except OSError:
            return


def receive_order(control: socket.socket) -> dict[str, Any]:
    """A JSON order with its length before it. The caller is trusted."""
    (length,) = struct.unpack("!I", _exactly(control, 4))
    return json.loads(_exactly(control, length))


def receive_start(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The order for one notebook and its socket; None when the caller has gone."""
    data, descriptors, _, _ = socket.recv_fds(control, 4, 1)
    if not data:
        return None, []
    data += _exactly(control, 4 - len(data))
    (length,) = struct.unpack("!I", data)
    return json.loads(_exactly(control, length)), descriptors


def _exactly(control: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = control.recv(min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def start(shell: Any, wanted: dict[str, Any], descriptor: int, control: socket.socket) -> tuple[int, int]:
    """Fork twice: the outer child makes the namespaces, the inner one is process 1 in them. Their two numbers."""
    reading, writing = os.pipe()
    outer = os.fork()
    if outer:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read()
        return outer, int(told or outer)
    # From here on no exception may lead back into the warm process's loop.
    try:
        os.close(reading)
        control.close()
        libc = ctypes.CDLL(None, use_errno=True)
        if wanted["confine"]:
            _call(libc.unshare, _NEWNS | _NEWPID | _NEWIPC)
        inner = os.fork()
        if inner:
            os.write(writing, str(inner).encode())
            os.close(writing)
            os.close(descriptor)
            os.waitpid(inner, 0)
            os._exit(0)
        os.close(writing)
        if wanted["confine"]:
            confine(libc, wanted)
            first_process(libc, descriptor)
        run(shell, descriptor)
    finally:
        os._exit(1)


def confine(libc: ctypes.CDLL, wanted: dict[str, Any]) -> None:
    """Empty folders, limits, and no privileges at all. Raises OSError: then nothing runs."""
    import resource

    _call(libc.mount, b"none", b"/", None, _REC | _PRIVATE, None)
    _call(libc.mount, b"proc", b"/proc", b"proc", _NOSUID | _NODEV, None)
    for folder in wanted["folders"]:
        options = f"size={wanted['disk']},nr_inodes=4096,mode=0755".encode()
        _call(libc.mount, b"tmpfs", folder.encode(), b"tmpfs", _NOSUID | _NODEV, options)
    os.chdir(WORK)
    for name, text in wanted["files"].items():
        with open(os.path.join(WORK, name), "wb") as file:
            file.write(bytes.fromhex(text))
    for name, value in wanted["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    _call(libc.prctl, _NO_NEW_PRIVS, 1, 0, 0, 0)
    for capability in range(64):
        libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # numbers that this kernel lacks are refused: no matter
    _call(libc.prctl, _CAP_AMBIENT, _AMBIENT_CLEAR, 0, 0, 0)
    header = struct.pack("=Ii", 0x20080522, 0)  # version 3 of capset: three sets, in two halves, all empty
    _call(libc.capset, header, struct.pack("=6I", *[0] * 6))
    _call(libc.prctl, _PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    forbid_hidden_memory(libc)


# Memory that belongs to no process is counted nowhere: memfd_create, memfd_secret, shmget, msgget, semget.
_HIDDEN = {
    "x86_64": (0xC000003E, (319, 447, 29, 68, 64)),
    "aarch64": (0xC00000B7, (279, 447, 194, 186, 190)),
}


def forbid_hidden_memory(libc: ctypes.CDLL) -> None:
    """A filter on system calls (seccomp) that refuses those which make memory that no process holds.

    Where the kernel has no filters, or the processor is another one, the other limits have to do.
    """
    if os.uname().machine not in _HIDDEN:
        return
    processor, numbers = _HIDDEN[os.uname().machine]
    load, equal, at_least, result = 0x20, 0x15, 0x35, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | 1  # EPERM
    last = len(numbers) + 5  # the place of "refuse"; "allow" stands before it
    rows = [(load, 0, 0, 4), (equal, 0, last - 2, processor), (load, 0, 0, 0), (at_least, last - 4, 0, 0x40000000)]
    rows += [(equal, last - 5 - place, 0, number) for place, number in enumerate(numbers)]
    rows += [(result, 0, 0, allow), (result, 0, 0, refuse)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *row) for row in rows))

    class Program(ctypes.Structure):
        """What the kernel is given: how many rows, and where they lie."""

        _fields_ = (("count", ctypes.c_ushort), ("rows", ctypes.c_void_p))

    program = Program(len(rows), ctypes.cast(code, ctypes.c_void_p))
    libc.prctl(_SECCOMP, 2, ctypes.byref(program), 0, 0)


def first_process(libc: ctypes.CDLL, descriptor: int) -> None:
    """Be process 1: fork the student's process and end when it ends. Returns in the student's process only."""
    child = os.fork()
    if not child:
        return
    # Not to be traced by the student's process, which runs under the same user.
    _call(libc.prctl, _DUMPABLE, 0, 0, 0, 0)
    os.close(descriptor)
    while True:
        try:
            if os.waitpid(-1, 0)[0] == child:
                os._exit(0)
        except ChildProcessError:
            os._exit(0)


def _call(function: Any, *arguments: Any) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


# -- the student's process -------------------------------------------------------------------------------------


def run(shell: Any, descriptor: int) -> None:
    """Answer requests until the other side goes away. Standard streams lead nowhere but into a cell's outputs."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    channel = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    keep = {0, 1, 2, descriptor}
    for number in map(int, os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ()):
        if number not in keep:
            with contextlib.suppress(OSError):
                os.close(number)
    stream = channel.makefile("rwb")
    Notebook(shell, stream, stream).serve()  # type: ignore[arg-type]
    os._exit(0)


class Notebook:
    """The state of a notebook, and the requests that it answers."""

    def __init__(self, shell: Any, reading: BinaryIO, writing: BinaryIO) -> None:
        self.shell, self.reading, self.writing = shell, reading, writing
        if WORK not in sys.path:
            sys.path.append(os.getcwd())  # last: a file that was handed in shadows no module

    def serve(self) -> None:
        """One request after another, each with one reply."""
        answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "cell": self.cell,
            "names": self.names,
            "call": self.call,
        }
        while True:
            request = self.receive()
            if request is None:
                return
            try:
                reply = answers[request["do"]](request)
            except BaseException as error:
                reply = {"error": self.described(error)}
            try:
                frame = codec.encode(reply)
            except BaseException as error:
                frame = codec.encode({"error": ("CodecError", f"what it returned cannot be used: {error}")})
            self.writing.write(frame)
            self.writing.flush()

    def receive(self) -> Any:
        """The next message; None at the end."""
        start = self.reading.read(codec.HEAD)
        if len(start) < codec.HEAD:
            return None
        rest = self.reading.read(sum(codec.sizes(start)))
        return codec.decode(start + rest, self.course_function)

    def course_function(self, number: int) -> Callable[..., Any]:
        """A function of the course that was passed into an answer: calling it asks the other side."""

        def function(*arguments: Any) -> Any:
            self.writing.write(codec.encode({"function": number, "arguments": arguments}))
            self.writing.flush()
            reply = self.receive()
            if reply is None:
                os._exit(0)
            if "error" in reply:
                raise RuntimeError(reply["error"])
            return reply["value"]

        return function

    def cell(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a cell; its outputs as JSON, in nbformat's words."""
        outputs = self.shell.record()
        with (
            contextlib.redirect_stdout(Stream(outputs, "stdout")),
            contextlib.redirect_stderr(Stream(outputs, "stderr")),
        ):
            self.shell.run_cell(request["source"], store_history=True)
        return {"outputs": json.dumps(outputs)}

    def names(self, request: dict[str, Any]) -> dict[str, Any]:
        """What stands under some names: ``"function"``, the name of another type, or None."""
        found: dict[str, str | None] = {}
        for name in request["names"]:
            value = self.shell.user_ns.get(name)
            found[name] = None if value is None else "function" if callable(value) else type(value).__name__
        return {"found": found}

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Call a function; its value, and what it left of its arguments."""
        function, arguments = self.shell.user_ns.get(request["name"]), request["arguments"]
        import warnings

        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(Stream([], "stdout")),
            contextlib.redirect_stderr(Stream([], "stderr")),
        ):
            warnings.simplefilter("ignore")
            try:
                value = function(*arguments)
            except BaseException as error:
                return {"error": self.described(error)}
        return {"value": value, "after": tuple(None if callable(one) else one for one in arguments)}

    @staticmethod
    def described(error: BaseException) -> tuple[str, str]:
        """Name and text of an error."""
        try:
            return type(error).__name__, str(error)[:2000]
        except BaseException:
            return type(error).__name__, ""


class Stream:
    """What ``print`` writes to: the outputs of the cell, up to a limit."""

    encoding = "utf-8"

    def __init__(self, outputs: list[dict[str, Any]], name: str) -> None:
        self.outputs, self.name = outputs, name

    def write(self, text: Any) -> int:
        """Add to the last output if it is of the same stream."""
        text = str(text)
        outputs = self.outputs
        if outputs and outputs[-1]["output_type"] == "stream" and outputs[-1]["name"] == self.name:
            room = LONGEST_OUTPUT - len(outputs[-1]["text"])
            outputs[-1]["text"] += text[: max(room, 0)]
        elif len(outputs) < MOST_OUTPUTS:
            outputs.append({"output_type": "stream", "name": self.name, "text": text[:LONGEST_OUTPUT]})
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def isatty(self) -> bool:
        """It is no terminal."""
        return False

    def fileno(self) -> int:
        """The stream that leads nowhere, for code that asks for a number."""
        return 1 if self.name == "stdout" else 2

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)


def make_shell() -> Any:
    """IPython's shell, which knows magics and displays, without a terminal, a history file or a network."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets import Type

    state: dict[str, list[dict[str, Any]]] = {"outputs": []}

    def add(output: dict[str, Any]) -> None:
        if len(state["outputs"]) < MOST_OUTPUTS:
            state["outputs"].append(output)

    def plain(data: dict[str, Any]) -> dict[str, str]:
        kept = {}
        for mime, value in data.items():
            if mime in ("text/plain", "image/png", "image/jpeg"):
                if isinstance(value, bytes):
                    import base64

                    value = base64.b64encode(value).decode("ascii")
                kept[mime] = str(value)[: 10 * LONGEST_OUTPUT if mime.startswith("image/") else LONGEST_OUTPUT]
        return kept

    class Publisher(DisplayPublisher):
        """Records what is displayed."""

        def publish(self, data: Any, *arguments: Any, **options: Any) -> None:
            """Keep it."""
            add({"output_type": "display_data", "data": plain(data), "metadata": {}})

        def clear_output(self, wait: bool = False) -> None:
            """Forget what was displayed so far."""
            state["outputs"].clear()

    class Hook(DisplayHook):
        """Records the value of a cell's last expression."""

        def write_output_prompt(self) -> None:
            """Nothing is printed."""

        def finish_displayhook(self) -> None:
            """No blank line either."""
            self._is_active = False

        def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
            """Keep it."""
            add(
                {
                    "output_type": "execute_result",
                    "data": plain(format_dict),
                    "metadata": {},
                    "execution_count": None,
                }
            )

    class Shell(InteractiveShell):
        """The shell of one notebook."""

        display_pub_class = Type(Publisher)
        displayhook_class = Type(Hook)

        def enable_gui(self, gui: str | None = None) -> None:
            """There is no window."""

        def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
            rows = [str(row)[:2000] for row in list(stb)[-40:]]
            try:
                said = str(evalue)[:2000]
            except BaseException:
                said = ""
            add({"output_type": "error", "ename": etype.__name__, "evalue": said, "traceback": rows})

        def record(self) -> list[dict[str, Any]]:
            """Begin a new list of outputs."""
            state["outputs"] = []
            return state["outputs"]

        def ask_exit(self) -> None:
            """``exit`` ends no notebook that is being graded."""

        def system(self, command: str) -> None:
            """Run a command of the shell; installing packages is left out, as there is no network."""
            if command.split()[:1] not in (["pip"], ["pip3"], ["conda"], ["apt"], ["apt-get"]):
                self.system_piped(command)

    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.separate_in = ""
    shell = Shell.instance(config=config, user_module=_main_module())
    for name in ("pip", "conda", "mamba", "uv"):
        shell.register_magic_function(_nothing, "line", name)  # type: ignore[arg-type]
    return shell


def _nothing(line: Any) -> None:
    """A magic that does nothing."""


def _main_module() -> types.ModuleType:
    """An empty ``__main__``, so that the notebook does not find the names of this file."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    return module


def main(arguments: list[str]) -> None:
    """Serve one notebook (``plain``) or many (the number of a socket)."""
    if arguments[0] != "plain":
        control = socket.socket(fileno=int(arguments[0]))
        with contextlib.suppress(EOFError, ConnectionError):
            serve(control)
        os._exit(0)
    # The streams of the protocol get numbers of their own: what a notebook prints must not get among its words.
    reading, writing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    shell = make_shell()
    limits = json.loads(arguments[1])
    with contextlib.suppress(ImportError):
        import resource

        for name, value in limits.items():
            with contextlib.suppress(ValueError, OSError, AttributeError):
                resource.setrlimit(getattr(resource, name), (value, value))
    Notebook(shell, reading, writing).serve()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
