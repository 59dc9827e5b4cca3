"""Keep executed pages in step with the library they import.

The builder caches a page's outputs by the page's own code, so it does not notice a change in
``lib/``. Here every page gets a fingerprint: the contents of the modules of ``lib/`` that it imports,
directly or through other modules, together with the pinned versions. Before Sphinx reads anything,
the cached outputs of the pages whose fingerprint changed are dropped, and those pages are read again.

It also undoes a trap of incremental builds: a page that gave a warning is not read again while its
source stays the same, so a second build would pass. A marker file says that the last build did not
end well; then every page is read again.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from jupyter_cache import get_cache
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

LIBRARY = "optbias"
LOGGER = logging.getLogger(__name__)

_CODE_CELL = re.compile(r"^(?P<fence>`{3,}|~{3,})\{code-cell\}.*?\n(?P<body>.*?)^(?P=fence)\s*$", re.M | re.S)


# -- which modules a page depends on --------------------------------------------------------------------------------


def page_code(text: str) -> str:
    """The Python code of a page's code cells, without their options and without IPython's magics."""
    lines: list[str] = []
    for match in _CODE_CELL.finditer(text):
        body = match["body"].splitlines()
        if body and body[0].strip() == "---":
            closing = next((i for i, line in enumerate(body[1:], 1) if line.strip() == "---"), 0)
            body = body[closing + 1 :]
        lines += [line for line in body if not line.lstrip().startswith(("%", "!", ":"))]
    return "\n".join(lines)


def imported_names(code: str, package: str = "", module_is_package: bool = False) -> set[str]:
    """Dotted names of ``optbias`` that ``code`` may import, relative imports resolved against ``package``.

    ``from optbias import rules`` gives both ``optbias`` and ``optbias.rules``: whether the second is a
    module is for the caller to see. Code that does not parse gives every name that looks like a module.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return set(re.findall(rf"\b{LIBRARY}(?:\.\w+)*", code))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                parents = parts[: len(parts) - (node.level - 1)]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            dotted = _dotted(node)
            if dotted:
                names.add(dotted)
    return {name for name in names if name == LIBRARY or name.startswith(LIBRARY + ".")}


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


class ModuleGraph:
    """The modules of the library under ``library`` (the folder that holds ``optbias/``) and what they import."""

    def __init__(self, library: Path):
        self.root = library
        self.direct = lru_cache(maxsize=None)(self._direct)

    def find(self, name: str) -> tuple[str, Path] | None:
        """The module that the dotted ``name`` lies in: itself, or the longest prefix that is a module."""
        parts = name.split(".")
        while parts:
            base = self.root.joinpath(*parts)
            for path in (base / "__init__.py", base.with_suffix(".py")):
                if path.is_file():
                    return ".".join(parts), path
            parts.pop()
        return None

    def _direct(self, module: str, path: Path) -> frozenset[str]:
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        return frozenset(imported_names(path.read_text(encoding="utf-8"), package))

    def closure(self, names: Iterable[str]) -> dict[str, Path]:
        """Every module that importing ``names`` runs, by name."""
        found: dict[str, Path] = {}
        pending = list(names)
        while pending:
            hit = self.find(pending.pop())
            if hit is None or hit[0] in found:
                continue
            module, path = hit
            found[module] = path
            pending += self.direct(module, path)
            if "." in module:
                pending.append(module.rpartition(".")[0])  # importing a.b.c runs a and a.b first
        return found


def page_modules(text: str, graph: ModuleGraph) -> dict[str, Path]:
    """The modules of the library that a page with this text depends on, by name."""
    return graph.closure(imported_names(page_code(text)))


def fingerprint(text: str, graph: ModuleGraph, versions: str) -> str:
    """What a page's outputs depend on besides its own code, as a hash.

    A module stands for its own file and the files beside it that are not Python (a widget's script).
    A page that may read ``results/``, itself or through a module, depends on what was recorded there.
    """
    code = page_code(text)
    if not code.strip():
        return "no code"
    digest = hashlib.sha256(versions.encode())
    modules = page_modules(text, graph)
    files = set(modules.values())
    for path in modules.values():
        if path.name == "__init__.py":
            files.update(p for p in path.parent.iterdir() if p.is_file() and p.suffix not in (".py", ".pyc"))
    repository = graph.root.parent
    reads = "results" in code or any("results" in path.read_text(encoding="utf-8") for path in modules.values())
    if reads and (repository / "results").is_dir():
        files.update(p for p in (repository / "results").rglob("*") if p.is_file())
    for path in sorted(files):
        digest.update(path.relative_to(repository).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


# -- the hooks ------------------------------------------------------------------------------------------------------


class Freshness:
    def __init__(self) -> None:
        self.current: dict[str, str] = {}
        self.last_build_failed = False

    def start(self, app: Sphinx) -> None:
        self.marker = Path(app.doctreedir).parent / "unfinished"
        self.last_build_failed = self.marker.exists()
        self.marker.parent.mkdir(parents=True, exist_ok=True)
        self.marker.touch()
        # Whoever builds into this folder, the pages are from now on no longer those that `make book` left here.
        (self.marker.parent / "course-book.json").unlink(missing_ok=True)

    def outdated(
        self, app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
    ) -> list[str]:
        root = Path(app.srcdir)
        graph = ModuleGraph(root / "lib")
        requirements = root / "requirements.txt"
        versions = f"python {sys.version_info.major}.{sys.version_info.minor}\n"
        versions += requirements.read_text(encoding="utf-8") if requirements.is_file() else ""
        sources = {name: Path(env.doc2path(name)) for name in env.found_docs}
        self.current = {
            name: fingerprint(path.read_text(encoding="utf-8"), graph, versions)
            for name, path in sources.items()
            if path.suffix == ".md"
        }
        self.cache = Path(env.mystnb_config.execution_cache_path)  # type: ignore[attr-defined]
        recorded = self._load()
        stale = {name for name, value in self.current.items() if recorded.get(name) != value}
        # By its place in the book, so that the outputs outlive a move or a copy of the whole folder.
        fresh_files = tuple("/" + sources[name].relative_to(root).as_posix() for name in set(self.current) - stale)
        cache = get_cache(str(self.cache))
        for record in cache.list_cache_records():
            if not Path(record.uri).as_posix().endswith(fresh_files):
                cache.remove_cache(record.pk)
        # What is left in the cache was made from the present sources. Saved now, so that a page that fails
        # does not cost the outputs of the pages that ran before it.
        self._save(self.current)
        again = (stale & set(env.all_docs)) - added - removed
        for name in sorted(again):
            LOGGER.info("%s: the code it imports changed, so it is executed again", name)
        return sorted(env.found_docs if self.last_build_failed else again)

    def finish(self, app: Sphinx, exception: Exception | None) -> None:
        if exception is None and app._warncount == 0:
            self.marker.unlink(missing_ok=True)

    def _load(self) -> dict[str, str]:
        try:
            return json.loads((self.cache / "fingerprints.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def _save(self, values: dict[str, str]) -> None:
        self.cache.mkdir(parents=True, exist_ok=True)
        part = self.cache / "fingerprints.json.part"
        part.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")
        part.replace(self.cache / "fingerprints.json")


def setup(app: Sphinx) -> None:
    state = Freshness()
    app.connect("builder-inited", state.start)
    app.connect("env-get-outdated", state.outdated)
    app.connect("build-finished", state.finish)
