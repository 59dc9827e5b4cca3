"""The tasks and how they are found: by name, the student's function in the notebook that asks."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optbias.exercises._answers import Answer, CheckFailed, Remote, on_screen


@dataclass(frozen=True)
class Task:
    """What the library knows of a task: how its function is called, its time, what it may not use."""

    name: str
    function: str
    arguments: tuple[str, ...]
    seconds: float
    forbids: tuple[str, ...]
    public: Callable[[Answer], None]

    @property
    def shown_as(self) -> str:
        """The function in messages."""
        return self.function

    @property
    def anchor(self) -> str:
        """The line by which the answer's cell is known, wherever it has been."""
        return f"# exercise: {self.name}"


_registered: dict[str, Task] = {}


def task(
    name: str, function: str, *, seconds: float = 5.0, forbids: tuple[str, ...] = ()
) -> Callable[[Callable[[Answer], None]], Callable[[Answer], None]]:
    """Register the public checks of a task; decorates a function of the :class:`Answer`.

    ``name`` is kebab-case and the grade id of the answer; ``function`` reads like its call,
    ``"adam_step(params, grads, state, hyper)"``; ``seconds`` is what all calls of one check or test may take
    together; ``forbids`` names modules or functions that the answer may not use (``"torch.optim"``).
    """
    called, _, rest = function.partition("(")
    arguments = tuple(part.strip() for part in rest.rstrip(")").split(",") if part.strip())

    def register(public: Callable[[Answer], None]) -> Callable[[Answer], None]:
        if name in _registered and _registered[name].public.__module__ != public.__module__:
            raise ValueError(f"the task {name!r} is already defined in {_registered[name].public.__module__}")
        _registered[name] = Task(name, called, arguments, seconds, forbids, public)
        return public

    return register


@functools.cache
def _load() -> None:
    """Import the modules of the assignments: those whose names begin with ``ps_`` or ``lab_``."""
    package = importlib.import_module("optbias.exercises")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith(("ps_", "lab_")):
            importlib.import_module(f"optbias.exercises.{module.name}")


def _load_module_of(name: str) -> None:
    """Import the one module that registers a task: importing all of them takes a second."""
    package = importlib.import_module("optbias.exercises")
    for folder in package.__path__:
        for path in sorted(Path(folder).glob("*.py")):
            if path.stem.startswith(("ps_", "lab_")) and f'"{name}"' in path.read_text(encoding="utf-8"):
                importlib.import_module(f"optbias.exercises.{path.stem}")


def tasks() -> dict[str, Task]:
    """Every task by name."""
    _load()
    return dict(_registered)


def get(name: str) -> Task:
    """The task of this name; a ValueError lists those that exist."""
    if name not in _registered:
        _load_module_of(name)
    if name not in _registered:
        _load()
    if name not in _registered:
        raise ValueError(f"there is no task {name!r}; the tasks are {', '.join(sorted(_registered))}")
    return _registered[name]


def check(name: str) -> None:
    """Run the public checks of a task on the function in this notebook, and print what they find.

    They help and do not decide: the points come from other tests, with other numbers. Raises ValueError
    if there is no such task.

    >>> try:
    ...     check("ps-nothing")
    ... except ValueError as error:
    ...     print(str(error).split(";")[0])
    there is no task 'ps-nothing'
    """
    report(name, sys._getframe(1).f_globals, on_screen)


def report(name: str, namespace: dict[str, Any], say: Callable[[str, str], None]) -> None:
    """Run the public checks of a task on the function in ``namespace``; ``say(mark, message)`` hears the outcome."""
    asked = get(name)
    print(f"{asked.name}:")
    try:
        answer = _answer(asked, namespace, say)
    except CheckFailed as failed:
        say("no", str(failed))
        return
    asked.public(answer)


def exam(name: str) -> Answer:
    """The student's function for a task, ready to be tested.

    Raises :class:`CheckFailed` if there is none yet, if it still holds the stub, or if it uses what the task
    forbids.
    """
    return _answer(get(name), sys._getframe(1).f_globals, None)


def _answer(asked: Task, namespace: dict[str, Any], say: Callable[[str, str], None] | None) -> Answer:
    cells = [cell for cell in namespace.get("In", ()) if isinstance(cell, str)]
    own = next((cell for cell in reversed(cells) if asked.anchor in map(str.strip, cell.splitlines())), None)
    if own is not None and any(row.strip().startswith("raise NotImplementedError") for row in own.splitlines()):
        raise CheckFailed(f"{asked.name} is not answered yet: its cell still raises NotImplementedError")
    function = namespace.get(asked.function)
    if function is None:
        raise CheckFailed(
            f"there is no {asked.function} yet: run the cell that begins with '{asked.anchor}', "
            "and look whether it raised an error"
        )
    if not callable(function) and not isinstance(function, Remote):
        raise CheckFailed(f"{asked.function} must be a function; got {type(function).__name__}")
    if own is not None and (used := forbidden(asked, own, tuple(cells))):
        raise CheckFailed(f"{asked.function} uses {used}, which this task does not allow: write the formula yourself")
    return Answer(
        asked.name,
        function,
        shown_as=asked.shown_as,
        seconds=asked.seconds,
        arguments=asked.arguments,
        report=say,
    )


@functools.lru_cache(maxsize=256)
def forbidden(asked: Task, own: str, cells: tuple[str, ...]) -> str | None:
    """What the answer, or a function of the notebook that it uses, takes from where it may not; None if nothing."""
    if not asked.forbids:
        return None
    start = _parsed(own)
    if start is None:
        return None
    aliases: dict[str, str] = {}
    functions: dict[str, ast.AST] = {}
    for cell in (*cells, own):
        imported, defined = _names(cell)
        aliases |= imported
        functions |= defined
    waiting: list[ast.AST] = [start]
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        own_names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
        for used in _used(node, aliases | ({} if node is start else _aliases(node))):
            if any(used == name or used.startswith(name + ".") for name in asked.forbids):
                return used
            # A stored reference (kept = torch.optim.Adam) counts, unless the code has a variable of that name.
            stored = isinstance(functions.get(used), ast.expr)
            if used in functions and used not in seen and not (stored and used in own_names):
                seen.add(used)
                waiting.append(functions[used])
    return None


@functools.lru_cache(maxsize=256)
def _names(cell: str) -> tuple[dict[str, str], dict[str, ast.AST]]:
    """What a cell imports, as :func:`_aliases`, and what it defines: functions, classes, variables."""
    tree = _parsed(cell)
    if tree is None:
        return {}, {}
    defined: dict[str, ast.AST] = {
        node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    for node in tree.body:
        # A bare reference alone: `answer = exam(...)` of the test cells, say, is nothing that a student stored.
        if not isinstance(getattr(node, "value", None), (ast.Name, ast.Attribute)):
            continue
        if isinstance(node, ast.Assign):
            defined |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
            defined[node.target.id] = node.value
    return _aliases(tree), defined


@functools.lru_cache(maxsize=256)
def _parsed(cell: str) -> ast.Module | None:
    rows = ["" if row.lstrip().startswith(("%", "!")) else row for row in cell.splitlines()]
    try:
        return ast.parse("\n".join(rows))
    except (SyntaxError, ValueError):
        return None


def _aliases(tree: ast.AST) -> dict[str, str]:
    """What imported names stand for: ``{"optim": "torch.optim"}``."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _used(node: ast.AST, aliases: dict[str, str]) -> Iterator[str]:
    """Dotted names that a piece of code uses, imports, or spells out in a string.

    Inside a function its parameters hide what was imported under the same name.
    """
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from _aliases(node).values()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isprintable():
        if node.value.replace(".", "").replace("_", "").isalnum():
            yield node.value
    elif isinstance(node, (ast.Name, ast.Attribute)):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            yield ".".join([aliases.get(inner.id, inner.id), *reversed(parts)])
    within = aliases
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        parameters = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
        within = {name: target for name, target in aliases.items() if name not in parameters}
    body = getattr(node, "body", [])
    inside = body if isinstance(body, list) else [body]
    for child in ast.iter_child_nodes(node):
        # Defaults and decorators are read outside of the function.
        yield from _used(child, within if any(child is one for one in inside) else aliases)
