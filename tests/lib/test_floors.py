"""The library is built in floors: a module imports only what stands before it in this list."""

import ast
from pathlib import Path

import pytest

import optbias

FLOORS = [
    ["_checks", "seeding", "figures", "claims", "show"],
    ["norms", "data", "models", "losses"],
    ["rules"],
    ["simulate", "torch_optimizer", "conventions"],
    ["theory", "training"],
    ["experiments", "widgets"],
    ["exercises", "grading"],
    ["__main__"],
]
ORDER = [module for floor in FLOORS for module in floor]
PACKAGE = Path(optbias.__file__).parent


def modules_imported(path: Path) -> set[str]:
    """The top-level optbias modules that a file imports, its own package's left out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("optbias.")} - {"__version__"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        assert modules_imported(path) == set()
        return
    assert own in ORDER, f"{own} has no place in FLOORS"
    later = {m for m in modules_imported(path) if m != own and ORDER.index(m) > ORDER.index(own)}
    assert not later, f"{own} imports {sorted(later)}, which stand above it"
