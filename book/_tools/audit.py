"""Test the claims themselves: put deliberate mistakes into the library and see whether the pages refuse them.

    python book/_tools/audit.py                  every mutation on every page that uses what it changes
    python book/_tools/audit.py --quick          a tenth of them
    python book/_tools/audit.py --minutes 20     as far as 20 minutes go; the next call goes on
    python book/_tools/audit.py --only NAME ...  these (a piece of the name is enough), on the pages in --pages

A page runs in a process of its own, cell by cell, and every claim that fails is noted, not only the first. A first,
unchanged run notes which functions of the library each cell calls; a mutation then runs only on the pages, and in
these only in the cells, that its function has a part in. What was done is kept in ``_build/audit`` under the text of
the page and of the modules that it imports, so that a run that was cut off goes on where it was, and a changed page is
done again alone.

The result, ``results/audit/audit.json``, says for each mutation which claims refuse it, and for each claim which
mutations it refuses, or why none can be refused.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from mutations import MUTATIONS, QUICK, Mutation
from project import Project

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_ext"))

from course_site.freshness import ModuleGraph, page_modules  # noqa: E402

HEAVY = 2.0
"""Seconds of a cell from which on it takes part in at most :data:`SHARE` mutations, the first in the list."""

SHARE = 6

SLOWER = 8.0
"""A mutated page may take so many times as long as the page, plus some seconds; then it is stopped."""

REASONS = {
    "no library": "no function of the library that could hold a mistake has a part in it",
    "records": "its numbers come from recorded runs, which no change of the library reaches",
    "unreached": "no mutation lies in a function of the library that has a part in it",
    "dear": "its cell takes seconds, and so ran with few of the mutations that could reach it",
    "none": "mutations of functions that have a part in it did not move it past its bound",
    "not yet": "the audit was stopped before all mutations that could reach it had been tried",
}
"""Why no mutation was refused by a claim."""

AIDS = ("claims.py", "figures.py", "show.py", "seeding.py", "_checks.py", "widgets/", "data/", "__init__.py")
"""Parts of the library that show, check or draw; a mistake in them is no mistake in a statement."""


@dataclass
class Page:
    """The code cells of a page."""

    name: str
    path: Path

    @cached_property
    def cells(self) -> list[str]:
        import jupytext

        text = self.path.read_text(encoding="utf-8")
        return [c.source for c in jupytext.reads(text, fmt="md:myst").cells if c.cell_type == "code"]

    @cached_property
    def names(self) -> list[tuple[set[str], set[str]]]:
        """For each cell the names that it makes and the names that it reads."""
        found = []
        for source in self.cells:
            made: set[str] = set()
            read: set[str] = set()
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Name):
                    (made if isinstance(node.ctx, ast.Store) else read).add(node.id)
                elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    made.add(node.name)
                elif isinstance(node, (ast.Import, ast.ImportFrom)):
                    made |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
                # What is changed in place (x.append, x[0] = ...) is made anew, too.
                elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.value, ast.Name):
                    changes = getattr(node, "attr", "") in ("append", "update", "extend")
                    made |= {node.value.id} if changes or isinstance(node.ctx, ast.Store) else set()
            found.append((made, read))
        return found

    def needed(self, touched: set[int]) -> set[int]:
        """The cells that a change in the cells ``touched`` can reach, and the cells that these need before them."""
        affected: set[int] = set()
        names: set[str] = set()
        for i, (made, read) in enumerate(self.names):
            if i in touched or read & names:
                affected.add(i)
                names |= made
        wanted = set(affected)
        for i in range(len(self.names) - 1, -1, -1):
            later = {name for j in wanted if j > i for name in self.names[j][1]}
            if self.names[i][0] & later:
                wanted.add(i)
        return wanted | {0}


@dataclass
class Run:
    """What a run of a page gave: claims by place (cell:line:count), and of each cell the seconds and the functions."""

    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    called: dict[int, list[str]] = field(default_factory=dict)
    crashed: dict[int, str] = field(default_factory=dict)


# -- running a page in a process of its own ---------------------------------------------------------------------


class OutOfTime(BaseException):
    """The page took too long; no ``except Exception`` of a page may swallow it."""


def execute(page: Page, wanted: set[int] | None, library: Path, watch: bool, limit: float) -> Run:
    """Run the cells ``wanted`` (or all) of ``page`` with ``library`` in this process, which is of no use afterwards."""
    import linecache

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import torch

    torch.set_num_threads(1)
    for name in [name for name in sys.modules if name.partition(".")[0] == "optbias"]:
        del sys.modules[name]  # where the process had it already, in tests
    sys.path.insert(0, str(library.parent))
    import optbias.claims as claims

    if Path(claims.__file__).parent != library:
        raise RuntimeError(f"the library came from {claims.__file__}, not from {library}")
    run = Run()
    here = [0]
    original = claims.claim

    def claim(statement: str, measured: Any, **rest: Any) -> None:
        frame = sys._getframe(1)
        while frame.f_back is not None and not frame.f_code.co_filename.startswith("<cell"):
            frame = frame.f_back
        place = f"{here[0]}:{frame.f_lineno}"
        count = sum(key.rpartition(":")[0] == place for key in run.claims)
        entry: dict[str, Any] = {"statement": statement, "kind": rest.get("kind", "measured"), "holds": True}
        try:
            original(statement, measured, **rest)
        except Exception as error:
            entry |= {"holds": False, "why": f"{type(error).__name__}: {error}"[:300]}
        run.claims[f"{place}:{count}"] = entry

    claims.claim = claim
    seen: set[Any] = set()
    root = str(library) + os.sep

    def called(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code not in seen:
            seen.add(frame.f_code)

    def stop(signum: int, frame: Any) -> None:
        raise OutOfTime

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    os.chdir(page.path.parent)
    space: dict[str, Any] = {"__name__": "__main__", "display": lambda *shown: None}
    for i, source in enumerate(page.cells):
        if wanted is not None and i not in wanted:
            continue
        here[0] = i
        name = f"<cell {i}>"
        code = "\n".join("" if row.lstrip().startswith(("%", "!")) else row for row in source.split("\n"))
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        began = time.process_time()
        seen.clear()
        if watch:
            sys.setprofile(called)
        try:
            exec(compile(code, name, "exec"), space)
        except OutOfTime:
            run.crashed[i] = "out of time"
            break
        except Exception as error:
            run.crashed[i] = f"{type(error).__name__}: {error}"[:200]
        finally:
            sys.setprofile(None)
        plt.close("all")
        run.seconds[i] = round(time.process_time() - began, 2)
        if watch:
            run.called[i] = sorted(
                f"{code.co_filename[len(root) :]}:{code.co_qualname}"
                for code in seen
                if code.co_filename.startswith(root)
            )
    signal.setitimer(signal.ITIMER_PROF, 0)
    return run


def in_a_child(page: Page, wanted: set[int] | None, library: Path, watch: bool, limit: float) -> Run:
    """:func:`execute` in a fork of this process, which has the large packages loaded and no library."""
    handle, name = tempfile.mkstemp(suffix=".json")
    os.close(handle)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            run = execute(page, wanted, library, watch, limit)
            Path(name).write_text(json.dumps(run.__dict__))
            code = 0
        except BaseException as error:
            Path(name).write_text(json.dumps({"crashed": {-1: f"{type(error).__name__}: {error}"[:300]}}))
            code = 0
        finally:
            os._exit(code)
    os.waitpid(child, 0)
    text = Path(name).read_text()
    Path(name).unlink()
    return revived(json.loads(text) if text else {"crashed": {"-1": "the process died"}})


def revived(found: dict[str, Any]) -> Run:
    """A run from its JSON, in which the numbers of the cells have become text."""
    run = Run(claims=found.get("claims", {}))
    for name in ("seconds", "called", "crashed"):
        getattr(run, name).update({int(cell): value for cell, value in found.get(name, {}).items()})
    return run


def preload() -> None:
    """Load what every page needs and no mutation changes, once for all forks."""
    import anywidget  # noqa: F401
    import IPython.display  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import numpy  # noqa: F401
    import pandas  # noqa: F401
    import scipy.optimize  # noqa: F401
    import scipy.signal  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import torch
    import torch.func  # noqa: F401

    torch.set_num_threads(1)


# -- the audit ------------------------------------------------------------------------------------------------------


class Audit:
    """The pages, the library, and what was found so far."""

    def __init__(self, project: Project, folder: Path):
        self.library = project.root / "lib" / "optbias"
        self.results = project.root / "results"
        self.pages = {n: Page(n, p) for n, p in project.pages.items() if project.is_notebook(p)}
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sources = {
            p.relative_to(self.library).as_posix(): p.read_text() for p in sorted(self.library.rglob("*.py"))
        }
        self.graph = ModuleGraph(self.library.parent)
        self.hashes: dict[str, Any] = {}
        self.functions: dict[str, str] = {}
        self.baselines: dict[str, Run] = {}

    def baseline(self, name: str) -> Run:
        """The unchanged page, with the functions that each cell calls."""
        if name not in self.baselines:
            key = self._key(name, "")
            run = self._kept(key)
            if run is None:
                with self._mutated(None) as library:
                    run = in_a_child(self.pages[name], None, library, True, 900.0)
                self._keep(key, run)
            wrong = [c["statement"] for c in run.claims.values() if not c["holds"]]
            if run.crashed or wrong:
                raise RuntimeError(f"the page {name} does not hold without a mutation: {run.crashed or wrong}")
            self.baselines[name] = run
        return self.baselines[name]

    def touched(self, mutation: Mutation, name: str) -> set[int]:
        """The cells of a page that call the function in which the mutation lies."""
        text, run = self.sources[mutation.file], self.baseline(name)
        if mutation.name not in self.functions:
            self.functions[mutation.name] = _function_at(ast.parse(text), mutation.line(text))
        function = self.functions[mutation.name]
        if not function:
            return {i for i, called in run.called.items() if any(c.startswith(mutation.file + ":") for c in called)}
        return {i for i, called in run.called.items() if f"{mutation.file}:{function}" in called}

    def jobs(self, mutations: list[Mutation], pages: list[str]) -> Iterator[tuple[Mutation, str, set[int]]]:
        """Mutation, page and the cells to run; heavy cells only for the first few mutations that need them.

        A mutation that only heavy cells would notice, and that would be left without any, gets its cheapest page whole.
        """
        used: dict[tuple[str, int], int] = defaultdict(int)
        for mutation in mutations:
            left_out: list[tuple[float, str, set[int]]] = []
            has_one = False
            for name in pages:
                touched = self.touched(mutation, name)
                if not touched:
                    continue
                page, seconds = self.pages[name], self.baseline(name).seconds
                heavy = {i for i, spent in seconds.items() if spent > HEAVY}
                spent_out = {i for i in heavy if used[name, i] >= SHARE}
                wanted = page.needed(touched - spent_out)
                if wanted & spent_out:
                    # A cell that is too dear is left out with what follows from it.
                    light = {i for i in touched - spent_out if not page.needed({i}) & spent_out}
                    wanted = page.needed(light) - spent_out if light else set()
                if not wanted - {0}:
                    whole = page.needed(touched)
                    left_out.append((sum(seconds.get(i, 0.0) for i in whole), name, whole))
                    continue
                for i in wanted & heavy:
                    used[name, i] += 1
                has_one = True
                yield mutation, name, wanted
            if left_out and not has_one:
                _, name, wanted = min(left_out, key=lambda one: one[0])
                yield mutation, name, wanted

    def refused(self, mutation: Mutation, name: str, wanted: set[int]) -> list[str]:
        """The places of the claims of a page that do not hold with the mutation."""
        base = self.baseline(name)
        claims = self.mutated(mutation, name, wanted).claims
        return sorted(p for p, c in claims.items() if not c["holds"] and p in base.claims)

    def mutated(self, mutation: Mutation, name: str, wanted: set[int]) -> Run:
        """The cells ``wanted`` of a page, run with the mutation."""
        key = self._key_of(mutation, name, wanted)
        run = self._kept(key)
        base = self.baseline(name)
        if run is None:
            limit = 20.0 + SLOWER * sum(base.seconds.get(i, 0.0) for i in wanted)
            with self._mutated(mutation) as library:
                run = in_a_child(self.pages[name], wanted, library, False, limit)
            self._keep(key, run)
        return run

    def has(self, mutation: Mutation, name: str, wanted: set[int]) -> bool:
        """Whether this run is done."""
        return (self.folder / f"{self._key_of(mutation, name, wanted)}.json").is_file()

    def _key_of(self, mutation: Mutation, name: str, wanted: set[int]) -> str:
        return self._key(name, mutation.name + mutation.old + mutation.new, wanted)

    def _mutated(self, mutation: Mutation | None) -> _Copy:
        return _Copy(self, mutation)

    def _key(self, name: str, change: str, wanted: set[int] | None = None) -> str:
        digest = self._stands_on(name).copy()
        digest.update(f"\0{change}\0{sorted(wanted or ())}".encode())
        return f"{name}-{digest.hexdigest()[:24]}"

    def _stands_on(self, name: str) -> Any:
        """A hash of what a page's claims depend on: its code, the modules that it imports, and the recorded runs."""
        if name not in self.hashes:
            page = self.pages[name]
            digest = hashlib.sha256("\0".join(page.cells).encode())
            modules = sorted(page_modules(page.path.read_text(encoding="utf-8"), self.graph).values())
            for path in modules:
                file = path.relative_to(self.library).as_posix()
                digest.update(f"\0{file}\0{_what_runs(self.sources[file])}".encode())
            if self.library / "experiments" / "store.py" in modules:
                for path in sorted(p for p in self.results.rglob("*") if p.is_file() and p.parent.name != "audit"):
                    digest.update(path.relative_to(self.results).as_posix().encode() + path.read_bytes())
            self.hashes[name] = digest
        return self.hashes[name]

    def _kept(self, key: str) -> Run | None:
        path = self.folder / f"{key}.json"
        if not path.is_file():
            return None
        return revived(json.loads(path.read_text()))

    def _keep(self, key: str, run: Run) -> None:
        part = self.folder / f"{key}.part"
        part.write_text(json.dumps(run.__dict__, ensure_ascii=False))
        part.replace(self.folder / f"{key}.json")


def _function_at(tree: ast.AST, line: int) -> str:
    """The qualified name of the function in which a line lies, as code objects give it; "" outside of all."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        if first <= line <= (node.end_lineno or 0):
            inner = _function_at(node, line)
            if isinstance(node, ast.ClassDef):
                return f"{node.name}.{inner}" if inner else ""
            return f"{node.name}.<locals>.{inner}" if inner else node.name
    return ""


@cache
def _what_runs(source: str) -> str:
    """A module without what does not run: comments, docstrings, and where its lines stand."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            body[:] = [n for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    return ast.dump(tree)


class _Copy:
    """A copy of the library in a folder of its own, with a mutation in it; gone afterwards."""

    def __init__(self, audit: Audit, mutation: Mutation | None):
        self.audit, self.mutation = audit, mutation

    def __enter__(self) -> Path:
        self.folder = Path(tempfile.mkdtemp(prefix="audit-"))
        library = self.folder / "lib" / "optbias"
        shutil.copytree(self.audit.library, library, ignore=shutil.ignore_patterns("__pycache__"))
        if self.audit.results.is_dir():
            (self.folder / "results").symlink_to(self.audit.results)
        if self.mutation is not None:
            path = library / self.mutation.file
            path.write_text(self.mutation.apply(self.audit.sources[self.mutation.file]), encoding="utf-8")
        return library

    def __exit__(self, *details: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def revision(folder: Path) -> str:
    """The commit that was audited, with ``+`` if something was changed since; "" outside of a checkout."""
    git = ["git", "-C", str(folder)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    return head.stdout.strip() + "+" * bool(changed.stdout.strip()) if head.returncode == 0 else ""


Job = tuple[Mutation, str, set[int]]
"""A mutation, a page, and the cells to run."""


def reason(audit: Audit, name: str, place: str, mutations: list[Mutation], done: list[Job], left: list[Job]) -> str:
    """Why no mutation can make a claim fail, as far as the program can tell; a key of :data:`REASONS`."""
    page, run = audit.pages[name], audit.baseline(name)
    cell = int(place.partition(":")[0])
    before = {i for i in page.needed({cell}) if i <= cell} - {0}
    files = {called.partition(":")[0] for i in before for called in run.called.get(i, [])}
    files = {file for file in files if not file.startswith(AIDS)}
    if any(file in ("experiments/store.py", "experiments/results.py") for file in files):
        return "records"
    if not files:
        return "no library"
    reaching = {mutation.name for mutation in mutations if audit.touched(mutation, name) & before}
    if not reaching:
        return "unreached"
    tried, waiting = (
        {mutation.name for mutation, page, cells in jobs if page == name and cell in cells} & reaching
        for jobs in (done, left)
    )
    if waiting:
        return "not yet"
    return "none" if len(tried) > len(reaching) / 2 else "dear"


def _share(jobs: Sequence[Any], work: Callable[[Any], Any], workers: int, until: float = float("inf")) -> None:
    """``work(job)`` for every job in ``workers`` processes; what comes of it is in :attr:`Audit.folder` afterwards.

    No job begins after the time ``until``.
    """
    # Forks from a thread would carry locks along: each worker is a process of its own that takes every n-th job.
    children = []
    for worker in range(workers):
        child = os.fork()
        if child == 0:
            try:
                for done, job in enumerate(jobs[worker::workers], 1):
                    if time.time() > until:
                        break
                    work(job)
                    if done % 10 == 0:
                        print(f"  worker {worker + 1}: {done} of {len(jobs[worker::workers])}", flush=True)
            except Exception as error:
                print(f"  worker {worker + 1}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def in_turn(audit: Audit, jobs: list[Job]) -> list[Job]:
    """The jobs, first for each mutation the page that costs least, then for each the next: early ones tell most."""
    rank: dict[str, int] = defaultdict(int)
    cost = {(m.name, name): sum(audit.baseline(name).seconds.get(i, 0.0) for i in wanted) for m, name, wanted in jobs}
    turns = []
    for mutation, name, wanted in sorted(jobs, key=lambda job: cost[job[0].name, job[1]]):
        turns.append((rank[mutation.name], (mutation, name, wanted)))
        rank[mutation.name] += 1
    return [job for _, job in sorted(turns, key=lambda turn: turn[0])]


def audit_all(
    audit: Audit, mutations: list[Mutation], pages: list[str], workers: int, minutes: float = float("inf")
) -> dict[str, Any]:
    """Run the mutations, those that ``minutes`` are enough for; the table by mutation and by claim."""
    until = time.time() + 60 * minutes
    _share(pages, audit.baseline, workers)
    for name in pages:
        audit.baseline(name)
    planned = in_turn(audit, list(audit.jobs(mutations, pages)))
    print(f"{len(mutations)} mutations on {len(pages)} pages: {len(planned)} runs", flush=True)
    _share(planned, lambda job: audit.refused(*job), workers, until)
    jobs = [job for job in planned if audit.has(*job)]
    left = [job for job in planned if not audit.has(*job)]
    made = [audit.baseline(name) for name in pages] + [audit.mutated(*job) for job in jobs]
    by_mutation: dict[str, dict[str, list[str]]] = {m.name: {} for m in mutations}
    by_claim: dict[str, dict[str, set[str]]] = {name: {} for name in pages}
    for mutation, name, wanted in jobs:
        claims = audit.baseline(name).claims
        refused = {claims[place]["statement"] for place in audit.refused(mutation, name, wanted)}
        if refused:
            by_mutation[mutation.name][name] = sorted(refused)
        for statement in refused:
            by_claim[name].setdefault(statement, set()).add(mutation.name)
    table: dict[str, dict[str, Any]] = {}
    for name in pages:
        table[name] = {}
        for place, entry in audit.baseline(name).claims.items():
            found = sorted(by_claim[name].get(entry["statement"], ()))
            table[name][entry["statement"]] = found or reason(audit, name, place, mutations, jobs, left)
    return {
        "provenance": {
            "command": "make audit",
            "date": time.strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "revision": revision(audit.library),
            "cpu_seconds": round(sum(sum(run.seconds.values()) for run in made)),
            "runs": len(jobs),
            "planned": len(planned),
        },
        "mutations": [
            {"name": m.name, "file": m.file, "old": m.old, "new": m.new, "refused": by_mutation[m.name]}
            for m in mutations
        ],
        "claims": table,
        "reasons": REASONS,
    }


def summary(result: dict[str, Any]) -> str:
    """The table in a few lines, with what nobody refused."""
    survivors = [m["name"] for m in result["mutations"] if not m["refused"]]
    claims = [found for page in result["claims"].values() for found in page.values()]
    refusing = sum(isinstance(found, list) for found in claims)
    lines = [
        f"{len(result['mutations'])} mutations, {len(result['mutations']) - len(survivors)} refused; "
        f"{len(claims)} claims, {refusing} refuse at least one"
    ]
    lines += [f"  refused by nobody: {name}" for name in survivors]
    for key, text in result["reasons"].items():
        count = sum(found == key for found in claims)
        lines += [f"  {count} claims refuse none: {text}"] if count else []
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the mutations")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="mutations whose name contains this")
    parser.add_argument("--pages", nargs="+", metavar="PAGE", help="only these pages")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time (default: 2)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after so many minutes")
    parser.add_argument("--out", type=Path, help="where the table goes (default: results/audit/audit.json)")
    options = parser.parse_args(arguments)
    preload()
    project = Project()
    audit = Audit(project, project.root / "_build" / "audit")
    chosen = [
        m
        for m in MUTATIONS
        if (not options.quick or m.name in QUICK) and (not options.only or any(n in m.name for n in options.only))
    ]
    pages = [name for name in audit.pages if not options.pages or name in options.pages]
    if not chosen or not pages:
        print("no such mutation, or no such page", file=sys.stderr)
        return 2
    result = audit_all(audit, chosen, pages, options.workers, options.minutes)
    print(summary(result))
    complete = not (options.quick or options.only or options.pages)
    out = options.out or (project.root / "results" / "audit" / "audit.json" if complete else None)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_name(out.name + ".part")
        part.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n")
        part.replace(out)
        print(f"written: {out}")
    return 0 if all(m["refused"] for m in result["mutations"]) else 1


if __name__ == "__main__":
    sys.exit(main())
