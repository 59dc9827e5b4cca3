"""The sandbox keeps what it promises: each wall is run against, each limit is reached once."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
import torch

from optbias.grading import sandbox
from optbias.grading.sandbox import Ended, Limits, Plain, Sandbox, SandboxError

pytestmark = [pytest.mark.xdist_group("grading"), pytest.mark.slow]
here = pytest.mark.skipif(sandbox.why_not() is not None, reason=str(sandbox.why_not()))
SMALL = Limits(cell_seconds=1.0, total_seconds=6.0, memory_mib=1500, processes=20, disk_mib=8, output_mib=4)


@pytest.fixture(scope="module")
def box():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTBIAS_EXAM_SEED", "a-secret-seed")
        made = Sandbox(["numpy", "torch"], ["torch.optim", "optbias.rules", "optbias.theory.step_size"])
        yield made
        made.close()


@pytest.fixture
def run(box):
    made = box.open({"data.json": b"{}"}, SMALL)
    yield made
    made.close()


def said(outputs):
    return "".join(output.get("text", "") + output.get("evalue", "") for output in outputs)


def tried(run, *expressions):
    """What each expression gives, or the name of its error."""
    source = "def tried(f):\n    try: return f()\n    except BaseException as e: return type(e).__name__\n"
    source += "import os, socket, ctypes, glob\n"
    source += "\n".join(f"print(tried(lambda: {expression}))" for expression in expressions)
    return said(run.cell(source)).splitlines()


@here
def test_nothing_of_the_host_is_seen(run):
    found = tried(
        run,
        "sorted(os.environ)",
        "os.environ.get('OPTBIAS_EXAM_SEED')",
        "[p for d in range(5) for p in glob.glob('/' + '*/' * d + '*.ipynb')]",
        f"os.path.exists({os.path.abspath('exercises/text')!r})",
        "os.path.exists('/etc/passwd')",
        "sorted(int(p) for p in os.listdir('/proc') if p.isdigit())",
        "os.listdir('.')",
        "os.getuid() != 0",
    )
    assert "OPTBIAS_EXAM_SEED" not in found[0]
    assert found[1:] == ["None", "[]", "False", "False", "[1, 2]", "['data.json']", "True"]


@here
def test_nothing_of_the_host_is_reached(run):
    found = tried(
        run,
        "socket.create_connection(('1.1.1.1', 80), 1)",
        "open('/usr/x', 'w')",
        "open('/x', 'w')",
        "open('/dev/x', 'w')",
        "open('/proc/1/mem', 'r+b')",
        "open('/proc/sys/kernel/hostname', 'w')",
        "ctypes.CDLL(None).unshare(0x10000000)",
        "ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, None)",
        "ctypes.CDLL(None).setuid(0)",
        "[row.split()[1] for row in open('/proc/self/status') if row.startswith(('CapEff', 'CapBnd', 'NoNewPrivs'))]",
    )
    assert found[0] in ("OSError", "TimeoutError")
    assert all(one in ("OSError", "PermissionError", "FileNotFoundError") for one in found[1:6])
    assert found[6:9] == ["-1", "-1", "-1"]
    assert found[9] == "['0000000000000000', '0000000000000000', '1']"


@here
def test_answers_of_the_library_are_not_there(run):
    outputs = run.cell("import optbias.rules")
    assert "cannot be imported while" in said(outputs)
    assert "cannot be imported while" in said(run.cell("from optbias.theory.step_size import uncorrected_step_factor"))
    assert "ModuleNotFoundError" in str(run.cell("import optbias.exercises.ps_adam"))
    assert "not there" in said(run.cell("import torch\ntorch.optim.Adam([torch.zeros(1, requires_grad=True)])"))
    assert "public check does not run" in said(run.cell("from optbias.exercises import check\ncheck('adam-step')"))


@here
def test_what_a_notebook_imports_of_the_exercises_is_there(box):
    """The sandbox has the public names and the labs' problems, without the modules in which answers stand."""
    run = box.open({}, Limits())
    outputs = run.cell(
        "from optbias.exercises import check\nfrom optbias.exercises.labs import problem, reproduce\n"
        "print(problem('one-norm-hill').size)"
    )
    run.close()
    assert outputs[0]["output_type"] == "stream", outputs
    assert int(outputs[0]["text"].split()[-1]) > 100


@here
def test_nothing_stays_for_the_next_notebook(box):
    first = box.open({}, SMALL)
    first.cell(
        "import os, time, builtins, torch\nbuiltins.left = 1\ntorch.left = 1\n"
        "for d in ('/tmp', '/scratch', '/dev/shm', '.'): open(d + '/left', 'w').write('x')\n"
        "if os.fork() == 0:\n    os.setsid()\n    time.sleep(600)"
    )
    before = sandbox.descendants(box._process.pid)
    first.close()
    second = box.open({}, SMALL)
    found = tried(second, "[d for d in ('/tmp', '/scratch', '/dev/shm', '.') if os.path.exists(d + '/left')]", "left",
                  "__import__('torch').left", "sorted(int(p) for p in os.listdir('/proc') if p.isdigit())")  # fmt: skip
    second.close()
    assert found == ["[]", "NameError", "AttributeError", "[1, 2]"]
    assert len(sandbox.descendants(box._process.pid)) < len(before)


LIMITS = {
    "time": ("while True: pass", "time"),
    "time that swallows everything": (
        "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except Exception: pass\n"
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "time",
    ),
    "sleep": ("import time\ntime.sleep(1e6)", "time"),
    "time of children": ("import os\nfor _ in range(2):\n    if os.fork() == 0:\n        while True: pass\nimport time\ntime.sleep(1e6)", "time"),
    "memory of several processes": (
        "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        x = bytearray(600 << 20)\n        time.sleep(60)\n"
        "while True: pass",
        "memory",
    ),
    "death": ("import os\nos._exit(3)", "died"),
    "a segfault": ("import ctypes\nctypes.string_at(0)", "died"),
    "a message that is none": (
        "import os\nfor fd in range(3, 20):\n    try: os.write(fd, b'\\xff' * 64)\n    except OSError: pass\nwhile True: pass",
        "output",
    ),
}  # fmt: skip


@here
@pytest.mark.parametrize("kind", LIMITS)
def test_a_limit_ends_the_process_and_says_why(kind, run):
    source, why = LIMITS[kind]
    with pytest.raises(Ended) as caught:
        run.cell(source)
    assert caught.value.kind in ((why, "time") if why == "memory" else (why,)), str(caught.value)
    assert not run.alive
    with pytest.raises(Ended):
        run.cell("1")


@here
def test_all_that_it_says_together_has_a_limit(run):
    def talk():
        for _ in range(100):
            run.cell("print('x' * 200_000)")

    with pytest.raises(Ended) as caught:
        talk()
    assert caught.value.kind == "output"


@here
def test_limits_that_are_errors_inside(run):
    assert "MemoryError" in str(run.cell("x = bytearray(3 << 30)"))
    assert "File too large" in said(run.cell("open('big', 'wb').write(bytes(9 << 20))"))
    assert "No space" in said(run.cell("for i in range(4): open(f'f{i}', 'wb').write(bytes(7 << 20))"))
    outputs = run.cell("import os, time\nn = 0\ntry:\n    for _ in range(300):\n        if os.fork() == 0:\n            time.sleep(30)\n"
                       "            os._exit(0)\n        n += 1\nexcept OSError: print('stopped at', n)")  # fmt: skip
    assert "stopped at" in said(outputs)


@here
def test_the_whole_notebook_has_a_limit(box):
    made = box.open({}, Limits(cell_seconds=1.0, total_seconds=1.2))
    made.cell("import time\nfor i in range(10_000_000): pass\ntime.sleep(0.5)")
    with pytest.raises(Ended) as caught:
        made.cell("while True: pass")
    assert caught.value.kind in ("time", "time over")
    made.close()


@here
def test_a_busy_machine_makes_nobody_slow(run):
    others = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        started = time.monotonic()
        run.cell("import time\nstart = time.process_time()\nwhile time.process_time() - start < 0.6: pass")
        assert run.charged < 1.0
        assert time.monotonic() - started > run.charged
    finally:
        for one in others:
            one.kill()
            one.wait()


@pytest.fixture(params=["sandbox", "plain"])
def any_run(request):
    if request.param == "sandbox":
        if sandbox.why_not() is not None:
            pytest.skip(str(sandbox.why_not()))
        made = request.getfixturevalue("box").open({}, SMALL)
    else:
        made = Plain().open({}, Limits(cell_seconds=20.0))
    yield made
    made.close()


def test_a_function_of_the_course_is_called_back_on_plain_data(any_run):
    any_run.cell("def minimise(f, x, n):\n    for _ in range(n): x = x - 0.1 * f(x)\n    return x, f")
    seen = []

    def gradient(x):
        seen.append(type(x))
        return 2 * x

    start = torch.ones(2, dtype=torch.float64)
    reply, _ = any_run.ask({"do": "call", "name": "minimise", "arguments": (gradient, start, 3)}, 5.0)
    assert torch.allclose(reply["value"][0], 0.8**3 * start)
    assert not callable(reply["value"][1])
    assert seen == [torch.Tensor] * 3

    def broken(x):
        raise ValueError("not here")

    reply, _ = any_run.ask({"do": "call", "name": "minimise", "arguments": (broken, start, 3)}, 5.0)
    assert reply["error"][0] == "RuntimeError"
    assert "not here" in reply["error"][1]


SPEAK = """
import os, time
from optbias.grading import codec
def speak(frame):
    for fd in range(3, 64):
        try: os.write(fd, frame)
        except OSError: pass
"""


@here
@pytest.mark.timeout(120)
@pytest.mark.parametrize("told", ["{'function': 0, 'arguments': ()}", "{'value': 1.0}"])
def test_a_flood_of_messages_ends_the_process(told, box):
    run = box.open({}, Limits(cell_seconds=10.0))
    run.cell(SPEAK + f"def f():\n    while True: speak(codec.encode({told}))")

    def provoke():
        for _ in range(50):
            run.ask({"do": "call", "name": "f", "arguments": ()}, 5.0)
            run.names(["f"])

    with pytest.raises(Ended):
        provoke()
    run.close()


@here
@pytest.mark.timeout(120)
def test_who_never_reads_does_not_keep_the_grader_waiting(box, monkeypatch):
    monkeypatch.setattr(sandbox, "SENDING", 2.0)
    run = box.open({}, Limits(cell_seconds=10.0))
    run.cell(SPEAK + "speak(codec.encode({'outputs': '[]'}))\ntime.sleep(100)")
    with pytest.raises(Ended):
        run.ask({"do": "call", "name": "f", "arguments": (torch.zeros(2_000_000),)}, 20.0)
    run.close()


def test_outputs_are_those_of_a_notebook(any_run):
    outputs = any_run.cell("print('one')\nimport sys\nprint('two', file=sys.stderr)\n1 + 1")
    assert [(o["output_type"], o.get("name"), o.get("text")) for o in outputs[:2]] == [
        ("stream", "stdout", "one\n"),
        ("stream", "stderr", "two\n"),
    ]
    assert outputs[2]["data"] == {"text/plain": "2"}
    error = any_run.cell("1 / 0")[-1]
    assert (error["output_type"], error["ename"], error["evalue"]) == ("error", "ZeroDivisionError", "division by zero")
    picture = any_run.cell("import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])")
    assert any("image/png" in output.get("data", {}) for output in picture)
    assert any_run.cell("%%time\n!echo from the shell")
    assert any_run.names(["nothing", "plt", "sys"]) == {"nothing": None, "plt": "module", "sys": "module"}


def test_continuous_integration_has_the_sandbox():
    if os.environ.get("CI"):
        assert sandbox.why_not() is None


def test_where_there_is_no_sandbox_it_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt-get install bubblewrap" in str(sandbox.why_not())
    with pytest.raises(SandboxError, match="bubblewrap is not installed"):
        Sandbox([], [])
    monkeypatch.setattr(sandbox.platform, "system", lambda: "Darwin")
    assert "needs Linux" in str(sandbox.why_not())
