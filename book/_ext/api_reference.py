"""What the API reference shows: the public modules by page, and the public names of each."""

from __future__ import annotations

import ast
import importlib
import inspect
from functools import cache
from types import ModuleType

from sphinx.pycode import ModuleAnalyzer

from optbias.rules import Rule

PAGES = {
    "api-rules": ("optbias.rules", "optbias.torch_optimizer", "optbias.conventions"),
    "api-running": ("optbias.simulate", "optbias.training", "optbias.seeding"),
    "api-losses": (
        "optbias.norms",
        "optbias.losses.landscapes",
        "optbias.losses.curvature",
        "optbias.losses.surfaces",
        "optbias.models",
        "optbias.data",
    ),
    "api-theory": (
        "optbias.theory.theorems",
        "optbias.theory.box",
        "optbias.theory.constrained",
        "optbias.theory.family",
        "optbias.theory.limit_cycles",
        "optbias.theory.margins",
        "optbias.theory.modified_equations",
        "optbias.theory.online",
        "optbias.theory.proximal",
        "optbias.theory.quadratic_dynamics",
        "optbias.theory.step_size",
    ),
    "api-tools": ("optbias.claims", "optbias.figures", "optbias.show", "optbias.widgets", "optbias.exercises"),
}
"""Each page of the reference, and the modules on it, in their order."""

MODULES = tuple(name for names in PAGES.values() for name in names)
ONLY = {"optbias.exercises": ("check",)}
"""Where a part of ``__all__`` serves those who write tasks, not those who solve them."""


@cache
def public_names(module: str) -> tuple[str, ...]:
    """The public names of a module: its ``__all__``, or what it defines without an underscore, in the file's order."""
    loaded = importlib.import_module(module)
    if module in ONLY:
        return ONLY[module]
    if hasattr(loaded, "__all__"):
        return tuple(loaded.__all__)
    return tuple(name for name in _defined(loaded) if not name.startswith("_"))


def _defined(module: ModuleType) -> list[str]:
    found = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [target.id for target in targets if isinstance(target, ast.Name)]
    return found


def kind(module: str, name: str) -> str:
    """The directive for a name: autodoc's, or "data", which autodoc does not describe where it is imported."""
    thing = getattr(importlib.import_module(module), name)
    if inspect.isclass(thing):
        return "autoexception" if issubclass(thing, BaseException) else "autoclass"
    return "autofunction" if inspect.isfunction(inspect.unwrap(thing)) else "data"


def data_doc(module: str, name: str) -> str:
    """The text below the assignment of a constant, in the module where it is made; "" if there is none."""
    found = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name))
    if found:
        return "\n".join(found).strip()
    for node in ast.parse(inspect.getsource(importlib.import_module(module))).body:
        if isinstance(node, ast.ImportFrom) and node.module and any(a.name == name for a in node.names):
            return data_doc(node.module, name)
    return ""


def entry(module: str, name: str) -> list[str]:
    """The reStructuredText that shows a name."""
    directive = kind(module, name)
    if directive == "data":
        return [
            f".. py:data:: {name}",
            f"   :module: {module}",
            "",
            *(f"   {line}" for line in data_doc(module, name).splitlines()),
            "",
        ]
    lines = [f".. {directive}:: {module}.{name}"]
    thing = getattr(importlib.import_module(module), name)
    # What a rule does besides its equations stands once, at Rule.
    if directive == "autoclass" and (name == "Rule" or not issubclass(thing, Rule)):
        lines.append("   :members:")
    return [*lines, ""]


def page_of(module: str) -> str:
    """The page that shows a module. Raises ValueError if none does."""
    for page, modules in PAGES.items():
        if module in modules:
            return page
    raise ValueError(f"module must be one of {', '.join(MODULES)}; got {module!r}")
