"""Machine mutants of an answer: small changes of its syntax tree, each a slip that somebody could make."""

from __future__ import annotations

import ast
import collections
import copy
import functools
from collections.abc import Callable, Iterator

SWAPS: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}


def mutants(source: str) -> dict[str, str]:
    """Mutated sources of an answer's cell, by a name that says what was changed where.

    Changed are numbers, operators, names and keys (for others of the same function), calls and terms (left out),
    and statements (left out). Docstrings, signatures and imports are not.
    """
    tree = ast.parse(source)
    made: dict[str, str] = {}
    known = {ast.unparse(tree)}
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for label, text in _changes(tree, function):
            if text not in known:
                known.add(text)
                made[label if label not in made else f"{label} ({len(made)})"] = _with_anchor(source, text)
    return made


def _with_anchor(source: str, text: str) -> str:
    first = source.splitlines()[0]
    return f"{first}\n{text}" if first.startswith("#") else text


def _changes(tree: ast.Module, function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    names, keys = _vocabulary(function)
    first = function.lineno
    for node, put in _inside(function):
        for new, what in _replacements(node, names, keys):
            label = f"line {getattr(node, 'lineno', first) - first}: {_short(node)} -> {what}"
            put(ast.Pass() if new is None else new)
            try:
                yield label, ast.unparse(tree)
            finally:
                put(node)


Put = Callable[[ast.AST], None]


def _inside(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, Put]]:
    """Every node of the body, docstrings left out, with what puts another node in its place."""
    for place, statement in enumerate(function.body):
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        waiting = collections.deque([(statement, functools.partial(function.body.__setitem__, place))])
        while waiting:
            node, put = waiting.popleft()
            yield node, put
            for name, value in ast.iter_fields(node):
                if isinstance(value, ast.AST):
                    waiting.append((value, functools.partial(setattr, node, name)))
                elif isinstance(value, list):
                    parts = ((one, functools.partial(value.__setitem__, i)) for i, one in enumerate(value))
                    waiting.extend((one, put) for one, put in parts if isinstance(one, ast.AST))


def _vocabulary(function: ast.FunctionDef) -> tuple[list[str], list[str]]:
    """The variables of the function, and the strings that it uses as keys."""
    names = [argument.arg for argument in function.args.args]
    keys = []
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            keys.append(node.slice.value)
    return list(dict.fromkeys(names)), [key for key in dict.fromkeys(keys) if isinstance(key, str)]


def _replacements(node: ast.AST, names: list[str], keys: list[str]) -> Iterator[tuple[ast.AST | None, str]]:
    if isinstance(node, ast.Constant):
        yield from _constants(node, keys)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        for other in _neighbours(node.id, names):
            yield ast.Name(other, ast.Load()), other
    elif isinstance(node, ast.BinOp):
        for kind in SWAPS.get(type(node.op), ()):
            yield _with(node, op=kind()), kind.__name__
        yield node.left, "left part only"
        yield node.right, "right part only"
    elif isinstance(node, ast.UnaryOp):
        yield node.operand, f"without {type(node.op).__name__}"
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for kind in SWAPS.get(type(node.ops[0]), ()):
            yield _with(node, ops=[kind()]), kind.__name__
    elif isinstance(node, ast.BoolOp):
        for kind in SWAPS[type(node.op)]:
            yield _with(node, op=kind()), kind.__name__
    elif isinstance(node, ast.IfExp):
        yield _with(node, body=node.orelse, orelse=node.body), "branches swapped"
    elif isinstance(node, ast.If):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test)), "condition negated"
    elif isinstance(node, ast.Call):
        if node.args:
            yield node.args[0], "argument only"
        for i in range(len(node.keywords)):
            yield _with(node, keywords=node.keywords[:i] + node.keywords[i + 1 :]), "a keyword less"
    elif isinstance(node, (ast.Assign, ast.AugAssign)):
        yield None, "left out"


def _constants(node: ast.Constant, keys: list[str]) -> Iterator[tuple[ast.AST, str]]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value), str(not value)
    elif isinstance(value, int):
        for other in (value + 1, value - 1):
            yield ast.Constant(other), str(other)
    elif isinstance(value, float):
        for other in (2 * value, value + 1, 0.0):
            yield ast.Constant(other), str(other)
    elif isinstance(value, str) and value in keys:
        for key in _neighbours(value, keys):
            yield ast.Constant(key), repr(key)


def _neighbours(name: str, names: list[str]) -> list[str]:
    """The one before and the one after, round the corner: enough to confuse what stands close together."""
    here = names.index(name)
    return [other for other in dict.fromkeys([names[here - 1], names[(here + 1) % len(names)]]) if other != name]


def _with(node: ast.AST, **changes: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in changes.items():
        setattr(new, name, value)
    return new


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else text[:57] + "..."
