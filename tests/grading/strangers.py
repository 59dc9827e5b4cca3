"""Submissions by strangers: damaged ones that must keep their points, and tricks that must gain none.

Each case is a folder as a student may hand it in. ``points`` says what it is worth: everything, what the wrong
answer below is worth without any trick, or what is left when one answer is lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import test_restore as damaged

NAME = damaged.NAME
FILE = f"{NAME}.ipynb"
STEP = damaged.ANSWERS["adam-step"]
KNEE = damaged.ANSWERS["adam-knee"]
Notebook = dict[str, Any]

WRONG = """# exercise: adam-step
def adam_step(params, grads, state, hyper):
    params += 1
    return params, dict(state)
"""
"""Worth nothing: it moves the wrong way, and changes what it was given."""


@dataclass(frozen=True)
class Case:
    """``build(folder)`` hands it in. ``points``: "all", "none" (what WRONG gets), or the tests that are lost."""

    build: Callable[[Path], None]
    points: str | tuple[str, ...] = "all"
    state: str = "graded"
    says: str = ""


def put(folder: Path, notebook: Notebook | str | bytes, name: str = FILE) -> None:
    """Write a file of a submission."""
    data = json.dumps(notebook) if isinstance(notebook, dict) else notebook
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))


def solved(**changes: str) -> Notebook:
    """A perfect notebook, with some answers replaced: ``adam_step=...`` for ``adam-step``."""
    return damaged.solved(damaged.ANSWERS | {name.replace("_", "-"): text for name, text in changes.items()})


def with_cell(notebook: Notebook, *sources: str, before: str = "adam-step") -> Notebook:
    """The notebook with own cells before an answer."""
    at = damaged.at(notebook, before)
    notebook["cells"][at:at] = [damaged.code_cell(source.strip("\n").splitlines(keepends=True)) for source in sources]
    return notebook


def cheat(*cells: str, answer: str = WRONG, files: dict[str, str] | None = None) -> Case:
    """A notebook with one wrong answer and a trick in cells before it."""

    def build(folder: Path) -> None:
        notebook = damaged.solved({"adam-step": answer.strip("\n")})
        put(folder, with_cell(notebook, *cells) if cells else notebook)
        for name, text in (files or {}).items():
            put(folder, text, name)

    return Case(build, "none")


def of_notebook(damage: Callable[[Notebook], Notebook], state: str = "") -> Case:
    return Case(lambda folder: put(folder, damage(solved())), "all", state)


def of_answer(extra: str, points: str | tuple[str, ...] = "all", says: str = "") -> Case:
    """Lines after the first answer."""
    return Case(lambda folder: put(folder, solved(adam_step=STEP + "\n" + extra)), points, "", says)


def of_knee(code: str, says: str = "") -> Case:
    """An answer that ends its process; the other answers are right."""
    text = "# exercise: adam-knee\n" + code.strip("\n")
    return Case(lambda folder: put(folder, solved(adam_knee=text)), ("adam-knee-",), "", says)


# -- damage ------------------------------------------------------------------------------------------------------------

DAMAGE: dict[str, Case] = {
    name: of_notebook(change) for name, change in damaged.DAMAGE.items() if name != "a cell split"
}


def _merge(folder: Path) -> None:
    text = json.dumps(solved(), indent=1)
    first = text.index('"kernelspec"')
    start = text.rindex("\n", 0, first) + 1
    end = text.index("}", first)
    end = text.index("\n", end) + 1
    block = text[start:end]
    merged = f"<<<<<<< HEAD\n{block}=======\n{block.replace('Python 3', 'Python 3.11')}>>>>>>> theirs\n"
    put(folder, text[:start] + merged + text[end:])


def _split(folder: Path) -> None:
    put(folder, damaged.split(solved()))


def _dangling(folder: Path) -> None:
    put(folder, solved())
    (folder / "data.csv").symlink_to("/nowhere/at/all")
    (folder / "passwd").symlink_to("/etc/passwd")


def _extra_notebook(folder: Path) -> None:
    put(folder, solved())
    put(folder, {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, "scratch.ipynb")


def _timestamp(folder: Path) -> None:
    put(folder, solved())
    put(folder, "the day before yesterday", "timestamp.txt")


def _two_halves(folder: Path) -> None:
    put(folder, b"")
    put(folder, solved(), "ps-adam (1).ipynb")


def _huge_outputs(folder: Path) -> None:
    notebook = solved()
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 1_000_000}]
    put(folder, notebook)


def _huge_file(folder: Path) -> None:
    put(folder, solved())
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(300 << 20)


def _many_cells(folder: Path) -> None:
    notebook = solved()
    text = {"cell_type": "markdown", "metadata": {}, "source": ["x"]}
    notebook["cells"] += [text] * 30_000 + [damaged.code_cell([])] * 300
    put(folder, notebook)


def _hundred_megabytes(folder: Path) -> None:
    notebook = solved()
    notebook["cells"].append(damaged.code_cell(["# " + "x" * 100_000_000]))
    put(folder, notebook)


def _odd_json(folder: Path) -> None:
    """Numbers that are none, numbers without end, keys twice, ids of control characters, metadata ever deeper."""
    notebook = solved()
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"\x1b[31m\u202e{number % 3}\ud800"
    text = json.dumps(notebook)
    deep = '{"a":' * 500 + "1" + "}" * 500
    extra = f'"metadata": {{"n": NaN, "x": 1e999, "big": {"9" * 10_000}, "deep": {deep}}}, "metadata": {{}}, "odd": '
    put(folder, text.replace('"nbformat_minor": ', extra + '0, "nbformat_minor": ', 1))


def _pipes_and_names(folder: Path) -> None:
    put(folder, solved())
    os.mkfifo(folder / "data.csv")
    put(folder, "x", "\x1b]0;owned\x07\x1b[2J<img src=x onerror=alert(1)>.txt")
    put(folder, "x", "..%2f..%2fgradebook.db")


def _many_files(folder: Path) -> None:
    put(folder, solved())
    for number in range(500):
        put(folder, "x", f"log-{number}.txt")


DAMAGE |= {
    "a cell split": Case(_split),
    "merge markers": Case(_merge, "all", "repaired", "both sides"),
    "name (1).ipynb": Case(lambda folder: put(folder, solved(), "ps-adam (1).ipynb"), "all", "repaired"),
    "another name": Case(lambda folder: put(folder, solved(), "homework final FINAL.ipynb"), "all", "repaired"),
    "in a folder": Case(lambda folder: put(folder, solved(), f"ps-adam/{FILE}"), "all", "repaired"),
    "an empty file and a good one": Case(_two_halves, "all", "repaired"),
    "another notebook beside it": Case(_extra_notebook),
    "byte order mark": Case(lambda folder: put(folder, json.dumps(solved()).encode("utf-8-sig"))),
    "UTF-16": Case(lambda folder: put(folder, json.dumps(solved()).encode("utf-16")), "all", "repaired"),
    "a Latin-1 byte": Case(
        lambda folder: put(folder, json.dumps(solved()).encode().replace(b"Because of", b"Caf\xe9 of", 1)),
        "all",
        "repaired",
    ),
    "a lone surrogate": Case(
        lambda folder: put(folder, json.dumps(solved()).replace("Because of", "Because \\ud800 of", 1))
    ),
    "timestamp that is no date": Case(_timestamp, "all", "", "cannot be read as a date"),
    "dangling links": Case(_dangling, "all", "", "is a link"),
    "huge outputs": Case(_huge_outputs),
    "a huge file": Case(_huge_file, "all", "", "too large"),
    "500 files": Case(_many_files),
    "30,000 cells": Case(_many_cells),
    "a cell of 100 MB": Case(_hundred_megabytes),
    "odd JSON": Case(_odd_json),
    "a pipe and names with escapes": Case(_pipes_and_names, "all", "", "no ordinary file"),
    "a warning": of_answer("import warnings\nwarnings.warn('careful')"),
    "standard error": of_answer("import sys\nprint('x', file=sys.stderr)"),
    "the file descriptor 2": of_answer("import os\nos.write(2, b'x')"),
    "a number at the end": of_answer("0.5"),
    "300,000 lines": of_answer("for i in range(300_000): print(i)"),
    "one line of 30 MB": of_answer("print('x' * 30_000_000)"),
    "exit()": of_answer("exit()"),
    "sys.exit": of_answer("import sys\nsys.exit(3)"),
    "input()": of_answer("input('name?')"),
    "an error after the answer": of_answer("1 / 0"),
    "a progress bar": of_answer("from tqdm import tqdm\nfor _ in tqdm(range(3)): pass"),
    "%pip in an answer": of_answer("%pip install einops"),
    "threads that stay": of_answer("import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()"),
    "returns np.float64": Case(
        lambda folder: put(
            folder,
            solved(
                adam_knee=KNEE.replace("return q", "return np.float64(q")
                .replace("1 - q**2))", "1 - q**2)))")
                .replace("/ (1 - q)", "/ (1 - q))")
            ),
        )
    ),
    "an endless loop in one answer": of_knee("def knee(q, eps, inside):\n    while True: pass", "took longer"),
    "a loop that swallows exceptions": of_knee(
        "def knee(q, eps, inside):\n    while True:\n        try:\n            while True: pass\n"
        "        except BaseException: pass",
        "took longer",
    ),
    "sleeps for ever": of_knee("import time\ndef knee(q, eps, inside):\n    time.sleep(1e6)", "took longer"),
    "os._exit in an answer": of_knee("import os\ndef knee(q, eps, inside):\n    os._exit(0)", "ended by itself"),
    "os._exit in its cell": of_knee("import os\nos._exit(0)"),
    "a segfault": of_knee("import ctypes\ndef knee(q, eps, inside):\n    ctypes.string_at(0)", "ended by itself"),
    "an endless loop in its cell": of_knee("while True: pass"),
    "endless recursion": of_knee("def knee(q, eps, inside):\n    return knee(q, eps, inside)", "RecursionError"),
    "6 GB": of_knee("def knee(q, eps, inside):\n    return len(bytearray(6 << 30))", "MemoryError"),
    "prints for ever": of_knee("def knee(q, eps, inside):\n    while True: print('x' * 1000)", "took longer"),
    "300 processes": of_knee(
        "import os, time\ndef knee(q, eps, inside):\n    for _ in range(300):\n"
        "        if os.fork() == 0:\n            time.sleep(60)\n            os._exit(0)",
        "",
    ),
    "fills the disk": of_knee(
        "def knee(q, eps, inside):\n    for i in range(100):\n        open(f'f{i}', 'wb').write(bytes(10 << 20))",
        "OSError",
    ),
    "a syntax error in one answer": of_knee("def knee(q, eps, inside:\n    return", "there is no knee"),
    "returns 100 MB": of_knee("import torch\ndef knee(q, eps, inside):\n    return torch.zeros(13_000_000)", ""),
    "shared memory in many processes": of_knee(
        "import mmap, os, time\ndef knee(q, eps, inside):\n    for _ in range(12):\n        if os.fork() == 0:\n"
        "            m = mmap.mmap(-1, 400 << 20)\n            for i in range(0, 400 << 20, 4096): m[i] = 1\n"
        "            time.sleep(60)\n            os._exit(0)\n    time.sleep(60)",
        "memory",
    ),
    "memory that no process holds": of_knee(
        "import os\ndef knee(q, eps, inside):\n    return os.memfd_create('x')", "not permitted"
    ),
    "a million empty files": of_knee(
        "def knee(q, eps, inside):\n    for i in range(1_000_000):\n        open(f'f{i}', 'w').close()", "OSError"
    ),
    "stops itself": of_knee("import os\ndef knee(q, eps, inside):\n    os.kill(os.getpid(), 19)", "took longer"),
    "answers byte by byte": of_knee(
        "import os, time\ndef knee(q, eps, inside):\n    while True:\n        for fd in range(3, 64):\n"
        "            try: os.write(fd, b'\\0')\n            except OSError: pass\n        time.sleep(0.2)",
        "",
    ),
    "asks the grader for ever": of_knee(
        "import os\nfrom optbias.grading import codec\ndef knee(q, eps, inside):\n"
        "    frame = codec.encode({'function': 0, 'arguments': ()})\n    while True:\n        for fd in range(3, 64):\n"
        "            try: os.write(fd, frame)\n            except OSError: pass",
        "",
    ),
    "odd results": Case(
        lambda folder: put(
            folder,
            solved(
                adam_step="# exercise: adam-step\ndef adam_step(*a):\n    yield a[0]",
                adam_uncorrected="# exercise: adam-uncorrected\nclass F(float):\n    def __float__(self): raise SystemExit\n"
                "    def __eq__(self, o): return True\n    __hash__ = None\ndef uncorrected_factor(*a): return F(3)",
                adam_variance="# exercise: adam-variance\ndef hat_variance(*a):\n    x = 1.0\n"
                "    for _ in range(100_000): x = [x]\n    return x",
                adam_knee="# exercise: adam-knee\ndef knee(*a): return 3 ** 2500",
                adam_long_step="# exercise: adam-long-step\nimport torch\ndef long_step(*a):\n"
                "    return torch.zeros(9, device='meta')",
                adam_bound="# exercise: adam-bound\nclass R:\n    def __reduce__(self): return (exit, ())\n"
                "    def __array__(self, *a, **k): raise SystemExit\ndef largest_step(*a): return {1.0: R(), None: R()}",
            ),
        ),
        ("adam-",),
    ),
    "returns itself": of_knee("def knee(q, eps, inside):\n    x = []\n    x.append(x)\n    return x", ""),
}

REJECTED: dict[str, Case] = {
    "truncated": Case(lambda f: put(f, json.dumps(solved())[:3000]), "zero", "rejected", "cut off"),
    "empty": Case(lambda f: put(f, b""), "zero", "rejected", "is empty"),
    "no file": Case(lambda f: None, "zero", "rejected", "no notebook"),
    "a folder of its name": Case(lambda f: (f / FILE).mkdir(), "zero", "rejected", "is a folder or a link"),
    "a link of its name": Case(lambda f: (f / FILE).symlink_to("/etc/passwd"), "zero", "rejected", "link"),
    "a pipe of its name": Case(lambda f: os.mkfifo(f / FILE), "zero", "rejected", "no notebook"),
    "a web page": Case(lambda f: put(f, "<html></html>"), "zero", "rejected", "web page"),
    "another assignment": Case(
        lambda f: put(f, {"cells": [damaged.code_cell(["# exercise: other\n"])], "metadata": {}}),
        "zero",
        "rejected",
        "not the assignment",
    ),
    "nested without end": Case(lambda f: put(f, "[" * 100_000), "zero", "rejected", ""),
}

# -- tricks ------------------------------------------------------------------------------------------------------------

HOOK = "get_ipython().input_transformers_cleanup.append({})"
PATCH_EVERYTHING = """
import optbias.exercises as e
class Yes:
    def __getattr__(self, name): return lambda *a, **k: None
for name in dir(e):
    if not name.startswith('__'):
        try: setattr(e, name, Yes())
        except Exception: pass
import sys
for name in list(sys.modules):
    if name.startswith('optbias.exercises'): sys.modules[name] = e
"""
ALWAYS_EQUAL = """
class Always:
    shape = (); dtype = None
    def __eq__(self, o): return True
    def __ne__(self, o): return False
    def __lt__(self, o): return True
    def __le__(self, o): return True
    def __gt__(self, o): return True
    def __ge__(self, o): return True
    def __sub__(self, o): return 0.0
    def __rsub__(self, o): return 0.0
    def __abs__(self): return 0.0
    def __bool__(self): return True
    def __getattr__(self, n): return lambda *a, **k: self
    def __hash__(self): return 0
"""
MAGIC_TENSOR = """
import torch
class Magic(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, '__name__', '')
        if name in ('eq', '__eq__', 'le', '__le__', 'allclose', 'equal', 'isclose'):
            return torch.tensor(True)
        return super().__torch_function__(func, types, args, kwargs or {})
"""
READ = """
import glob, os
found = []
for depth in range(5):
    for path in glob.glob('/' + '*/' * depth + '*.ipynb') + glob.glob('../' * depth + '*.ipynb') + glob.glob('/' + '*/' * depth + '*.db'):
        found.append(path)
        try:
            text = open(path).read()
            if 'BEGIN SOLUTION' in text or 'm_hat = m / (1' in text:
                exec(text[text.index('def adam_step'):].split('END')[0])
        except Exception: pass
print(found)
"""
SEED = """
import os, glob
print('SEED', os.environ.get('OPTBIAS_EXAM_SEED'))
for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline'):
    try: print(path, open(path).read())
    except Exception as e: pass
"""
STUB = "return params - hyper['lr'] * grads, state"


def step(body: str, top: str = "") -> str:
    # Without its trick it is worth nothing: it changes what it was given.
    rows = "\n".join("    " + row for row in ["params.add_(1)", *body.strip("\n").splitlines()])
    return f"# exercise: adam-step\n{top}\ndef adam_step(params, grads, state, hyper):\n{rows}\n"


CHEATS: dict[str, Case] = {
    "input transformer drops every cell": cheat(HOOK.format("lambda lines: []")),
    "input transformer drops cells with tests": cheat(
        HOOK.format("lambda lines: [] if any('exam' in l or 'adam_step' in l for l in lines) else lines")
    ),
    "input transformer, the first three times": cheat(
        "n = [0]\ndef f(lines):\n    n[0] += 1\n    return [] if n[0] <= 3 else lines\n" + HOOK.format("f")
    ),
    "AST transformer strips asserts": cheat(
        "import ast\nclass T(ast.NodeTransformer):\n    def visit_Assert(self, n): return None\n"
        "    def visit_Raise(self, n): return None\nget_ipython().ast_transformers.append(T())"
    ),
    "run_cell_async replaced": cheat(
        "ip = get_ipython()\nold = ip.run_cell_async\nasync def new(*a, **k): return await old('1', *a[1:], **k)\n"
        "ip.run_cell_async = new"
    ),
    "run_cell replaced": cheat("ip = get_ipython()\nip.run_cell = lambda *a, **k: None"),
    "displayhook(3)": cheat(answer=step("import sys\nsys.displayhook(3)\n" + STUB)),
    "displayhook(-1) and nan": cheat(
        answer=step("import sys\nsys.displayhook(-1); sys.displayhook(float('nan'))\n" + STUB)
    ),
    "displayhook(1000)": cheat(answer=step("import sys\nsys.displayhook(1000)\n" + STUB)),
    "np.testing patched": cheat(
        "import numpy as np\nnp.testing.assert_allclose = lambda *a, **k: None\nnp.allclose = lambda *a, **k: True"
    ),
    "torch.testing patched": cheat(
        "import torch\ntorch.testing.assert_close = lambda *a, **k: None\ntorch.allclose = torch.equal = lambda *a, **k: True\n"
        "torch.Tensor.__eq__ = lambda a, b: torch.ones_like(a, dtype=torch.bool)\ntorch.Tensor.abs = lambda a: torch.zeros_like(a)"
    ),
    "optbias.exercises patched": cheat(PATCH_EVERYTHING),
    "CheckFailed that passes": cheat(
        "import builtins\nbuiltins.AssertionError = type('A', (BaseException,), {})\nbuiltins.Exception = BaseException"
    ),
    "exec and compile replaced": cheat(
        "import builtins\nbuiltins.compile = lambda *a, **k: None\nbuiltins.exec = lambda *a, **k: None"
    ),
    "an object that equals everything": cheat(
        ALWAYS_EQUAL, answer=step("return Always(), {'t': Always(), 'm': Always(), 'v': Always()}")
    ),
    "a Tensor that equals everything": cheat(
        MAGIC_TENSOR, answer=step("x = params.as_subclass(Magic) + 1\nreturn x, {'t': 1, 'm': x, 'v': x}")
    ),
    "an array that equals everything": cheat(
        "import numpy as np\nclass A(np.ndarray):\n    def __array_ufunc__(self, *a, **k): return np.True_",
        answer=step("x = np.zeros(tuple(params.shape)).view(A)\nreturn x, {'t': 1, 'm': x, 'v': x}"),
    ),
    "NaN and infinity": cheat(answer=step("x = params * float('nan')\nreturn x, {'t': float('nan'), 'm': x, 'v': x}")),
    "returns a function": cheat(answer=step("return (lambda *a: True), {'t': 1}")),
    "reads solutions and the gradebook": cheat(READ),
    "reads the exam seed": cheat(SEED),
    "reads earlier cells": cheat(
        "for cell in In: exec(cell) if 'HIDDEN' in cell else None\nprint([c for c in In if 'HIDDEN' in c])"
    ),
    "searches gc for the test's numbers": cheat(
        answer=step(
            "import gc, torch\nfor o in gc.get_objects():\n    if isinstance(o, dict) and 'right' in o: return o['right'], o\n"
            "best = [o for o in gc.get_objects() if isinstance(o, torch.Tensor) and o.shape == params.shape and o is not params and o is not grads]\n"
            "return (best[-1] if best else params), state"
        )
    ),
    "searches frames for the test's numbers": cheat(
        answer=step(
            "import sys\nf = sys._getframe()\nwhile f:\n    for v in ('right', 'want', 'wanted'):\n"
            "        if v in f.f_locals: return f.f_locals[v], state\n    if 'reference' in f.f_locals:\n"
            "        return f.f_locals['reference'](params, grads, state, hyper)\n    f = f.f_back\n" + STUB
        )
    ),
    "the gradebook by sqlite3": cheat(
        "import sqlite3, glob\nfor p in ['../../../gradebook.db', '../../gradebook.db', *glob.glob('/**/gradebook.db', recursive=True)]:\n"
        "    try:\n        c = sqlite3.connect(p); c.execute('update grade set manual_score = 99'); c.commit()\n    except Exception as e: print(e)"
    ),
    "overwrites its neighbours": cheat(
        "import os, glob\nfor root, folders, files in os.walk('/'):\n    for f in files:\n        if f.endswith(('.ipynb', '.db', '.json')):\n"
        "            try: open(os.path.join(root, f), 'w').write('gone')\n            except Exception: pass\n"
        "    if root.count('/') > 5: folders.clear()"
    ),
    "writes wherever it can": cheat(
        "import os\nfor d in ('/', '/tmp', '/dev', '/dev/shm', '/submission', '/proc', '/usr', '/etc', os.getcwd()):\n"
        "    try: open(os.path.join(d, 'sitecustomize.py'), 'w').write('import os; os._exit(1)'); print('wrote', d)\n"
        "    except Exception as e: pass"
    ),
    "a background process": cheat(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        while True:\n            time.sleep(0.2)\n    os._exit(0)"
    ),
    "kills what it can": cheat(
        "import os, signal\nfor p in [1, os.getppid(), *range(3, 4000)]:\n    try: os.kill(p, 9)\n    except Exception: pass"
    ),
    "traces process 1": cheat(
        "import ctypes\nlibc = ctypes.CDLL(None)\nprint(libc.ptrace(16, 1, 0, 0), libc.unshare(0x10000000), libc.mount(b'x', b'/tmp', b'tmpfs', 0, None))\n"
        "try: open('/proc/1/mem', 'r+b').write(b'x')\nexcept Exception as e: print(e)"
    ),
    "a shadow of the library beside the notebook": cheat(
        files={
            "optbias/__init__.py": "",
            "optbias/exercises/__init__.py": "def exam(n):\n    raise SystemExit\ncheck = exam\n",
            "optbias/exercises/ps_adam.py": "",
            "numpy.py": "raise SystemExit",
            "torch.py": "raise SystemExit",
            "sitecustomize.py": "raise SystemExit",
        }
    ),
    "torch.optim by a stored reference": cheat(
        "import torch\nkept = torch.optim.Adam",
        answer=step(
            "p = params.clone().requires_grad_()\no = kept([p], lr=hyper['lr'], betas=(hyper['beta1'], hyper['beta2']), eps=hyper['eps'])\n"
            "for _ in range(state['t'] + 1):\n    p.grad = grads\n    o.step()\nreturn p.detach(), {'t': state['t'] + 1, 'm': grads, 'v': grads}"
        ),
    ),
    "the library's rule by a stored reference": cheat(
        "try:\n    from optbias.rules import Adam as kept\nexcept ImportError: pass",
        answer=step(
            "r = kept(lr=hyper['lr'], betas=(hyper['beta1'], hyper['beta2']), eps=hyper['eps'])\nreturn r.equations(params, grads, state)"
        ),
    ),
    "the reference by a computed name": cheat(
        "import importlib\nkept = {}\ntry: kept['a'] = importlib.import_module('opt' + 'bias.exer' + 'cises.ps_' + 'adam').adam\nexcept Exception as e: print(e)",
        answer=step("return kept['a'](params, grads, state, hyper)"),
    ),
    "the rule by its file": cheat(
        "import glob\nkept = {}\nfor p in glob.glob('/**/optbias/rules/adam.py', recursive=True) + glob.glob('/**/ps_adam.py', recursive=True):\n"
        "    try: exec(open(p).read(), kept)\n    except Exception as e: print(e)",
        answer=step(
            "r = kept['Adam'](lr=hyper['lr'], betas=(hyper['beta1'], hyper['beta2']), eps=hyper['eps'])\nreturn r.equations(params, grads, state)"
        ),
    ),
    "an import hook": cheat(
        "import sys, types\nclass H:\n    def find_spec(self, name, path=None, target=None):\n        if 'exercises' in name: raise SystemExit\n        return None\n"
        "sys.meta_path.insert(0, H())\nsys.modules['optbias.exercises'] = types.ModuleType('x')"
    ),
    "a signal handler that swallows the limit": cheat(
        answer=step(
            "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
            "import signal\nfor s in range(1, 64):\n    try: signal.signal(s, lambda *a: None)\n    except Exception: pass",
        )
    ),
    "its own graded cells": Case(lambda folder: _own_points(folder), "none"),
    "points in the metadata": Case(
        lambda folder: put(folder, damaged.set_key(points=1881)(damaged.solved({"adam-step": WRONG}))), "none"
    ),
    "tests replaced by its own": Case(lambda folder: _own_tests(folder), "none"),
    "forged messages to the grader": cheat(
        'import os, struct, json\nfor fd in range(3, 64):\n    for text in (\'{"found":{"adam_step":"function"}}\', \'["d",[["s","value"],true]]\'):\n'
        "        try: os.write(fd, struct.pack('!IQ', len(text), 0) + text.encode())\n        except OSError: pass"
    ),
    "a broken frame": cheat(
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'\\xff' * 64)\n    except OSError: pass"
    ),
    "patches the codec": cheat(
        "from optbias.grading import codec, inside\nimport json, struct\n"
        'def fake(m, functions=None):\n    h = b\'["d",[["s","value"],["f",0]],[["s","after"],["t"]]]\'\n    return struct.pack(\'!IQ\', len(h), 0) + h\n'
        "codec.encode = fake"
    ),
    "claims a pickle": cheat(
        "from optbias.grading import codec\nimport struct, pickle\nclass P:\n    def __reduce__(self): return (print, ('owned',))\n"
        "codec.encode = lambda m, functions=None: struct.pack('!IQ', len(pickle.dumps(P())), 0) + pickle.dumps(P())"
    ),
    "a symlink that replaces the notebook": cheat(
        "import os\ntry:\n    os.remove('ps-adam.ipynb')\nexcept OSError: pass\nos.symlink('/etc/passwd', 'ps-adam.ipynb')"
    ),
    "live HTML": cheat(
        "from IPython.display import HTML, Javascript, display\ndisplay(HTML('<script>alert(1)</script>'), Javascript('alert(1)'))"
    ),
    "the network": cheat(
        "import urllib.request\ntry: print(urllib.request.urlopen('http://1.1.1.1', timeout=2).read())\nexcept Exception as e: print(e)"
    ),
    "changes how numbers are kept": cheat(
        "import torch\ntorch.set_default_dtype(torch.float16)\ntorch.set_printoptions(precision=1)\ntorch.manual_seed = lambda *a: None"
    ),
}


def _own_points(folder: Path) -> None:
    notebook = damaged.solved({"adam-step": WRONG})
    for name in ("adam-step-run", "adam-step-first", "bonus"):
        meta = {
            "nbgrader": {
                "grade": True,
                "grade_id": name,
                "points": 500,
                "locked": True,
                "solution": False,
                "schema_version": 3,
            }
        }
        notebook["cells"].append({**damaged.code_cell(["1000\n"]), "metadata": meta})
    put(folder, notebook)


def _own_tests(folder: Path) -> None:
    notebook = damaged.solved({"adam-step": WRONG})
    for cell in notebook["cells"]:
        if damaged.text_of(cell).startswith("# tests:"):
            cell["source"] = ["pass\n"]
    put(folder, notebook)
