"""What an answer computes instead: the formula of the task with one or two small changes, found by trying them all.

A task may have a *family*: its formula, written as a plain function. The function is taken apart into single
operations, and each gets the changes that people make by mistake: a sign, a factor left out, a root that ends too
early, one name for another, a number written in. Besides, arguments may be exchanged or fixed, and results inverted or
rescaled. An answer that is wrong, and that no listed slip explains, is compared with all of these, one at a time and
then two together, on everything that the test has asked so far. What reproduces all the numbers is named.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import itertools
import math
import re
import sys
import textwrap
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

TOLERANCE = 1e-9
MOST_CALLS = 24
"""Calls that an explanation has to reproduce; more would tell nothing new."""
MOST_IN_PAIRS = 260
"""Changes that are tried two at a time."""
MOST_SECONDS = 20.0
"""Seconds of the processor for pairs: far more than they take, unless numbers become monsters."""


# -- what a formula may use, for numbers and for tensors ---------------------------------------------------------


def _either(of_tensor: Callable[..., Any], of_number: Callable[..., Any]) -> Callable[..., Any]:
    def function(x: Any, *rest: Any) -> Any:
        return of_tensor(x, *rest) if isinstance(x, Tensor) else of_number(x, *rest)

    return function


def _sign(x: float) -> float:
    return (x > 0) - (x < 0)


def _where(condition: Any, yes: Any, no: Any) -> Any:
    if isinstance(condition, Tensor):
        return torch.where(condition, yes, no)
    return yes if condition else no


sqrt = _either(torch.sqrt, lambda x: math.sqrt(x) if x >= 0 else math.nan)
size = _either(torch.abs, abs)
sign = _either(torch.sign, _sign)
exp = _either(torch.exp, math.exp)
log = _either(torch.log, math.log)
cos, sin, ceil, where = math.cos, math.sin, math.ceil, _where
largest, smallest, mean, total, length = torch.max, torch.min, torch.mean, torch.sum, torch.linalg.vector_norm
solve = torch.linalg.solve


def larger(a: Any, b: Any) -> Any:
    """The larger of two, entry by entry."""
    return torch.maximum(a, torch.as_tensor(b)) if isinstance(a, Tensor) else max(a, b)


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two, entry by entry."""
    return torch.minimum(a, torch.as_tensor(b)) if isinstance(a, Tensor) else min(a, b)


def eigenvalues(a: Tensor) -> Tensor:
    """The real parts of the eigenvalues; a ValueError for what has none."""
    if a.ndim != 2 or not torch.isfinite(a).all():
        raise ValueError("eigenvalues of finite matrices only")
    return torch.linalg.eigvals(a).real


def diagonal(a: Tensor) -> Tensor:
    """The diagonal."""
    return a.diagonal()


def transposed(a: Tensor) -> Tensor:
    """The transposed matrix."""
    return a.T


def clamp(x: Tensor, low: Any, high: Any) -> Tensor:
    """``x`` between two bounds."""
    return smaller(larger(x, low), high)


def identity(a: Tensor) -> Tensor:
    """The identity matrix of the shape of ``a``."""
    return torch.eye(len(a), dtype=a.dtype)


def eigh(a: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of a symmetric matrix."""
    return torch.linalg.eigh(a)


def at_largest(g: Tensor, by: Tensor) -> Tensor:
    """``g`` where ``by`` is largest, and 0 elsewhere."""
    return g * torch.zeros_like(g).index_fill(0, by.argmax().reshape(1), 1.0)


VOCABULARY: dict[str, Callable[..., Any]] = {
    **{one.__name__: one for one in (larger, smaller, eigenvalues, diagonal, transposed, clamp, at_largest)},
    **{"identity": identity, "eigh": eigh},
    **{"sqrt": sqrt, "size": size, "sign": sign, "exp": exp, "log": log, "log10": math.log10, "cos": cos, "sin": sin},
    **{"ceil": ceil, "floor": math.floor, "nearest": round, "where": where, "solve": solve, "length": length},
    **{"largest": largest, "smallest": smallest, "mean": mean, "total": total},
    "singular_values": torch.linalg.svdvals,
}
INSTEAD = {
    "larger": {"smaller": "the smaller one is taken where the larger one belongs"},
    "smaller": {"larger": "the larger one is taken where the smaller one belongs"},
    "largest": {
        "smallest": "the smallest entry is taken where the largest one belongs",
        "mean": "the mean is taken where the largest entry belongs",
        "total": "the sum is taken where the largest entry belongs",
        "length": "the two-norm is taken where the largest entry belongs",
    },
    "smallest": {
        "largest": "the largest entry is taken where the smallest one belongs",
        "mean": "the mean is taken where the smallest entry belongs",
        "total": "the sum is taken where the smallest entry belongs",
    },
    "mean": {"total": "the sum is taken where the mean belongs", "largest": "the largest entry is taken, not the mean"},
    "total": {
        "mean": "the mean is taken where the sum belongs",
        "largest": "the largest entry (max norm) is taken where the sum belongs",
        "length": "the two-norm is taken where the sum belongs",
    },
    "length": {
        "total": "the sum is taken where the two-norm belongs",
        "largest": "the largest entry is taken where the two-norm belongs",
        "mean": "the mean is taken where the two-norm belongs",
    },
    "cos": {"sin": "sine and cosine are exchanged"},
    "sin": {"cos": "sine and cosine are exchanged"},
    "ceil": {"floor": "rounded down: round up", "nearest": "rounded to the nearest: round up"},
    "log": {"log10": "the logarithm to base 10 is taken where the natural one belongs"},
    "eigenvalues": {
        "singular_values": "these are singular values: eigenvalues are asked",
        "diagonal": "the diagonal's entries are taken for the eigenvalues",
    },
}
"""Functions that are taken for one another, and what is said then."""
LEFT_OUT = {
    "sqrt": "the root is missing over",
    "size": "the absolute value is missing around",
    "sign": "the sign is missing: the size stays in",
    "ceil": "not rounded to a whole number:",
    "log": "the logarithm is missing around",
    "exp": "the exponential is missing around",
    "transposed": "not transposed:",
    "cos": "the cosine is missing around",
    "sin": "the sine is missing around",
}
SYMBOL = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.MatMult: "@", ast.FloorDiv: "//"}


def slip(right: Any, *others: Any) -> Any:
    """In a family: ``slip(right, "sentence", wrong, "sentence", wrong, ...)`` is ``right``, and may be each wrong."""
    return right


# -- taking a formula apart --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One thing done differently: a site's alternative, or a function of the arguments or of the result."""

    sentence: str
    likely: bool
    written: bool = False  # by a person, for this task; the others are made from the formula
    site: int = -1
    choice: int = 0
    arguments: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None
    result: Callable[[Any, tuple[Any, ...]], Any] | None = None


class _Taken(ast.NodeVisitor):
    """Writes a function as single operations, each with its alternatives."""

    def __init__(self, function: ast.FunctionDef, groups: Sequence[Sequence[str]]) -> None:
        self.changes: list[Change] = []
        self.sites = 0
        self.as_it_is = False
        self.stands_for: dict[str, str] = {}
        self.groups = groups
        self.known = [argument.arg for argument in function.args.args]
        self.arguments = list(self.known)
        self.atoms: dict[str, ast.expr] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                self.atoms[ast.unparse(node)] = node
        dictionaries = {ast.unparse(node.value) for node in self.atoms.values() if isinstance(node, ast.Subscript)}
        self.atoms |= {name: ast.Name(name, ast.Load()) for name in self.known if name not in dictionaries}
        self.body: list[ast.stmt] = []
        self.counter = itertools.count()

    # writing

    def emit(self, value: ast.expr) -> ast.expr:
        name = f"_{next(self.counter)}"
        self.body.append(ast.Assign([ast.Name(name, ast.Store())], value))
        return ast.Name(name, ast.Load())

    def site(self, value: ast.expr, others: Sequence[tuple[str, bool, ast.expr]]) -> ast.expr:
        if not others or self.as_it_is:
            return self.emit(value)
        number, self.sites = self.sites, self.sites + 1
        whole = value
        for choice, (*_, other) in reversed(list(enumerate(others, 1))):
            whole = ast.IfExp(_chosen(number, choice), other, whole)
        for choice, (sentence, likely, _) in enumerate(others, 1):
            self.changes.append(Change(sentence, likely, site=number, choice=choice))
        # The usual case first: nothing is chosen here.
        return self.emit(ast.IfExp(_chosen(number, 0), value, whole))

    def again(self, node: ast.expr) -> ast.expr:
        """``node`` without changes of its own: what stands in an alternative is not changed further."""
        before, self.as_it_is = self.as_it_is, True
        found = self.visit(node)
        self.as_it_is = before
        return found

    def block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        outer, self.body = self.body, []
        for statement in statements:
            self.statement(statement)
        inner, self.body = self.body, outer
        return inner or [ast.Pass()]

    # statements

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Expr):
            return
        if isinstance(node, ast.Return) and node.value is not None:
            self.body.append(ast.Return(self.visit(node.value)))
        elif isinstance(node, ast.Assign):
            self.body.append(ast.Assign(node.targets, self.visit(node.value)))
            for target in node.targets:
                if isinstance(target, ast.Name) and not isinstance(node.value, (ast.Tuple, ast.Dict, ast.Constant)):
                    self.atoms.setdefault(target.id, ast.Name(target.id, ast.Load()))
                    self.stands_for.setdefault(target.id, _text(node.value))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            value = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
            self.body.append(ast.Assign([node.target], self.visit(value)))
        elif isinstance(node, ast.If):
            text = _text(node.test)
            test = self.site(
                self.visit(node.test),
                [
                    (f"the case `{text}` is not treated", True, ast.Constant(False)),
                    (f"everything is treated like the case `{text}`", False, ast.Constant(True)),
                ],
            )
            before = dict(self.atoms)
            yes = self.block(node.body)
            self.atoms = dict(before)
            no = self.block(node.orelse)
            self.atoms = before
            self.body.append(ast.If(test, yes, no))
        elif isinstance(node, ast.For):
            over = self.visit(node.iter)
            if not (isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func) == "range"):
                over = self.site(
                    ast.Call(ast.Name("list", ast.Load()), [over], []),
                    [
                        ("the first one is left out", True, ast.parse(f"{_name(over)}[1:]", mode="eval").body),
                        ("the last one is left out", True, ast.parse(f"{_name(over)}[:-1]", mode="eval").body),
                        ("the order is the other way round", True, ast.parse(f"{_name(over)}[::-1]", mode="eval").body),
                    ],
                )
            self.atoms |= {
                one.id: ast.Name(one.id, ast.Load()) for one in ast.walk(node.target) if isinstance(one, ast.Name)
            }
            self.body.append(ast.For(node.target, over, self.block(node.body), []))
        else:
            raise TypeError(f"a family may not hold {ast.unparse(node)}")

    # expressions: each returns a name, and leaves the operation before it

    def generic_visit(self, node: ast.AST) -> ast.expr:
        return self.emit(node) if isinstance(node, ast.expr) else ast.Constant(None)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value == 0:
            return node
        others = [
            (f"{_plain(new)} stands where {_plain(value)} belongs", True, ast.Constant(new))
            for new in ((value + 1, value - 1) if isinstance(value, int) else (2 * value, value / 2))
        ]
        if value == 2:
            others.append(("4 stands where 2 belongs", False, ast.Constant(4)))
        if value == 4:
            others += [(f"{new} stands where 4 belongs", True, ast.Constant(new)) for new in (1, 2)]
        return self.site(node, others)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.atom(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return self.atom(node)

    def atom(self, node: ast.expr) -> ast.expr:
        here = ast.unparse(node)
        if here not in self.atoms:
            return self.emit(node)
        others = []
        for name, other in self.atoms.items():
            if name != here:
                likely = any(_text(node) in group and _text(other) in group for group in self.groups)
                said = f"{_quoted(other, self.stands_for)} stands where {_quoted(node, self.stands_for)} belongs"
                others.append((said, likely, other))
        return self.site(node, others)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        inner = self.visit(node.operand)
        if not isinstance(node.op, ast.USub):
            return self.emit(ast.UnaryOp(node.op, inner))
        sentence = f"a sign: `{_text(node.operand)}` stands where `{_text(node)}` belongs"
        return self.site(ast.UnaryOp(node.op, inner), [(sentence, True, inner)])

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        left, right = self.visit(node.left), self.visit(node.comparators[0])
        if isinstance(node.ops[0], (ast.Eq, ast.NotEq, ast.In, ast.NotIn)):
            return self.emit(ast.Compare(left, node.ops, [right]))
        turned = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
        edge = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
        kind = type(node.ops[0])
        return self.site(
            ast.Compare(left, node.ops, [right]),
            [
                (
                    f"the comparison `{_text(node)}` is the other way round",
                    True,
                    ast.Compare(left, [turned[kind]()], [right]),
                ),
                (
                    f"the edge of `{_text(node)}` is counted on the other side: equal is another case",
                    True,
                    ast.Compare(left, [edge[kind]()], [right]),
                ),
            ],
        )

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        left, right = self.visit(node.left), self.visit(node.right)
        whole = _text(node)
        a, b = _text(node.left), _text(node.right)
        value = ast.BinOp(left, node.op, right)

        def of(op: ast.operator, one: ast.expr = left, other: ast.expr = right) -> ast.expr:
            return ast.BinOp(one, op, other)

        others: list[tuple[str, bool, ast.expr]] = []
        if isinstance(node.op, (ast.Add, ast.Sub)):
            plus = isinstance(node.op, ast.Add)
            turned = ast.Sub() if plus else ast.Add()
            others = [
                (f"a sign: `{a} {'-' if plus else '+'} {b}` stands where `{whole}` belongs", True, of(turned)),
                (f"`{b}` is missing in `{whole}`", True, left),
                (
                    f"`{b}` stands where `{whole}` belongs" if not plus else f"`{a}` is missing in `{whole}`",
                    True,
                    right,
                ),
            ]
            for said, mine, other in ((b, right, left), (a, left, right)):
                if not said.replace(".", "").isdigit():
                    for words, by in (("a factor 2 too many stands before", 2.0), ("only half is taken of", 0.5)):
                        scaled = ast.BinOp(ast.Constant(by), ast.Mult(), mine)
                        pair = (other, scaled) if mine is right else (scaled, other)
                        others.append((f"{words} `{said}` in `{whole}`", True, of(node.op, *pair)))
            if not plus:
                others.append((f"a sign: `{whole}` is turned round", True, of(ast.Sub(), right, left)))
                if isinstance(node.left, ast.Constant) and isinstance(node.right, ast.BinOp):
                    inner = node.right
                    if isinstance(inner.op, ast.Pow):
                        base, power = self.again(inner.left), self.again(inner.right)
                        wrong: ast.expr = ast.BinOp(of(ast.Sub(), left, base), ast.Pow(), power)
                        said = f"({a} - {_text(inner.left)})**{_text(inner.right)}"
                        others.append((f"the power stands outside: `{said}` where `{whole}` belongs", True, wrong))
        elif isinstance(node.op, (ast.Mult, ast.MatMult)):
            others = [
                (f"the factor `{b}` is missing in `{whole}`", True, left),
                (f"the factor `{a}` is missing in `{whole}`", True, right),
                (f"divided by `{b}` where it must be multiplied, in `{whole}`", True, of(ast.Div())),
                (f"the factor `{a}` stands there twice in `{whole}`", True, of(ast.Mult(), left, of(node.op))),
                (f"the factor `{b}` stands there twice in `{whole}`", True, of(ast.Mult(), of(node.op), right)),
                (f"added where it must be multiplied, in `{whole}`", False, of(ast.Add())),
            ]
            if isinstance(node.op, ast.MatMult):
                others.append((f"multiplied entry by entry, in `{whole}`", True, of(ast.Mult())))
                others.append(
                    (f"the other way round: `{b} @ {a}` where `{whole}` belongs", True, of(node.op, right, left))
                )
        elif isinstance(node.op, ast.Div):
            others = [
                (f"the division by `{b}` is missing in `{whole}`", True, left),
                (
                    f"upside down: `{b} / {_closed(node.left)}` where `{whole}` belongs",
                    True,
                    of(ast.Div(), right, left),
                ),
                (f"multiplied by `{b}` where it must be divided, in `{whole}`", True, of(ast.Mult())),
                (f"the numerator `{a}` is missing in `{whole}`", True, of(ast.Div(), ast.Constant(1.0))),
                (f"divided by `{b}` twice in `{whole}`", True, of(ast.Div(), value)),
                (f"whole-number division in `{whole}`", False, of(ast.FloorDiv())),
            ]
        elif isinstance(node.op, ast.Pow):
            others = [
                (f"the power is missing: `{a}` stands where `{whole}` belongs", True, left),
                (f"multiplied by `{b}`, not raised to it, in `{whole}`", True, of(ast.Mult())),
                (f"`{whole}` has the power twice", False, ast.BinOp(value, ast.Pow(), right)),
            ]
            if b == "2":
                others += [
                    (f"the size of `{a}` stands where its square belongs", True, _call("size", left)),
                    (f"the root of `{a}` stands where its square belongs", False, _call("sqrt", left)),
                ]
            else:
                others += [
                    (
                        f"the exponent is one too small in `{whole}`",
                        True,
                        of(ast.Pow(), left, of(ast.Sub(), right, ast.Constant(1))),
                    ),
                    (
                        f"the exponent is one too large in `{whole}`",
                        True,
                        of(ast.Pow(), left, of(ast.Add(), right, ast.Constant(1))),
                    ),
                    (
                        f"the exponent is twice too large in `{whole}`",
                        False,
                        of(ast.Pow(), left, of(ast.Mult(), right, ast.Constant(2))),
                    ),
                ]
        # Brackets that end elsewhere: a * (b + c) read as a * b + c, sqrt(a) + b read as sqrt(a + b).
        if isinstance(node.op, (ast.Mult, ast.Div)):
            for side, inside in (("right", node.right), ("left", node.left)):
                if isinstance(inside, ast.BinOp) and isinstance(inside.op, (ast.Add, ast.Sub)):
                    p, q = self.again(inside.left), self.again(inside.right)
                    if side == "right":
                        wrong = ast.BinOp(of(node.op, left, p), inside.op, q)
                    else:
                        wrong = ast.BinOp(p, inside.op, of(node.op, q, right))
                    others.append(
                        (f"brackets are missing in `{whole}`: they belong around `{_text(inside)}`", True, wrong)
                    )
        for inside, at_left in ((node.left, True), (node.right, False)):
            if _is_root(inside) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
                under = self.again(inside.args[0])  # type: ignore[attr-defined]
                wrong = _call("sqrt", of(node.op, under, right) if at_left else of(node.op, left, under))
                said = _text(node.right if at_left else node.left)
                others.append((f"`{said}` stands under the root; it belongs outside, as in `{whole}`", True, wrong))
        return self.site(value, others)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "slip":
            return self.slip(node)
        given = [self.visit(argument) for argument in node.args]
        if isinstance(node.func, ast.Attribute):
            return self.emit(
                ast.Call(ast.Attribute(self.visit(node.func.value), node.func.attr, ast.Load()), given, [])
            )
        value = ast.Call(node.func, given, [])
        whole = _text(node)
        others: list[tuple[str, bool, ast.expr]] = []
        if name in LEFT_OUT:
            others.append((f"{LEFT_OUT[name]} `{_text(node.args[0])}`", True, given[0]))
        if name == "sqrt":
            others.append((f"the root is taken twice of `{_text(node.args[0])}`", False, _call("sqrt", value)))
            others.append(
                (
                    f"the square is taken where the root belongs, of `{_text(node.args[0])}`",
                    False,
                    ast.BinOp(given[0], ast.Mult(), given[0]),
                )
            )
            inner = node.args[0]
            if isinstance(inner, ast.BinOp):
                p, q = self.again(inner.left), self.again(inner.right)
                one = ast.BinOp(_call("sqrt", p), inner.op, q)
                two = ast.BinOp(p, inner.op, _call("sqrt", q))
                belongs = f"it belongs over all of `{_text(inner)}`"
                others.append((f"`{_text(inner.right)}` stands outside of the root; {belongs}", True, one))
                others.append((f"`{_text(inner.left)}` stands outside of the root; {belongs}", True, two))
                if isinstance(inner.op, (ast.Add, ast.Sub)):
                    both = ast.BinOp(_call("sqrt", p), inner.op, _call("sqrt", q))
                    others.append((f"a root of each part is taken; {belongs}", True, both))
        if name == "ceil":
            others.append(("one too many after rounding up", True, ast.BinOp(value, ast.Add(), ast.Constant(1))))
        if name == "solve":
            others.append(
                (
                    f"multiplied by `{_text(node.args[0])}` where it must be divided, that is, solved with it",
                    True,
                    ast.BinOp(given[0], ast.MatMult(), given[1]),
                )
            )
        for other, sentence in INSTEAD.get(name, {}).items():
            others.append((f"{sentence}, in `{whole}`", True, ast.Call(ast.Name(other, ast.Load()), given, [])))
        if name in ("larger", "smaller") and len(given) == 2:
            for kept, argument in zip(given, node.args, strict=True):
                which = "largest" if name == "larger" else "smallest"
                others.append((f"`{_text(argument)}` stands there alone: the {which} is not taken", True, kept))
        return self.site(value, others)

    def slip(self, node: ast.Call) -> ast.expr:
        value = self.visit(node.args[0])
        name = _name(self.emit(value))
        number, self.sites = self.sites, self.sites + 1
        for choice, (said, wrong) in enumerate(zip(node.args[1::2], node.args[2::2], strict=True), 1):
            sentence = ast.literal_eval(said)
            outer, self.body = self.body, []
            found = self.again(wrong)
            self.body.append(ast.Assign([ast.Name(name, ast.Store())], found))
            inner, self.body = self.body, outer
            self.body.append(ast.If(_chosen(number, choice), inner, []))
            self.changes.insert(0, Change(sentence, True, True, number, choice))
        return ast.Name(name, ast.Load())

    def visit_Tuple(self, node: ast.Tuple) -> ast.expr:
        return self.emit(ast.Tuple([self.visit(one) for one in node.elts], ast.Load()))

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        values = []
        for key, value in zip(node.keys, node.values, strict=True):
            made = self.visit(value)
            if isinstance(key, ast.Constant) and "state" in self.known:
                old = ast.Subscript(ast.Name("state", ast.Load()), key, ast.Load())
                sentence = f"{key.value!s} is not kept in the state: the next step must find the new one"
                made = self.site(made, [(sentence, True, old)])
            values.append(made)
        return self.emit(ast.Dict(node.keys, values))


def _chosen(number: int, choice: int) -> ast.expr:
    at = ast.Subscript(ast.Name("_chosen", ast.Load()), ast.Constant(number), ast.Load())
    return ast.Compare(at, [ast.Eq()], [ast.Constant(choice)])


def _call(name: str, argument: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), [argument], [])


def _name(node: ast.expr) -> str:
    return ast.unparse(node)


def _is_root(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sqrt"


def _plain(number: float) -> str:
    return f"{number:g}"


class _Bare(ast.NodeTransformer):
    """A formula as it is read: without the slips that are written into it."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return node.args[0] if isinstance(node.func, ast.Name) and node.func.id == "slip" else node


def _text(node: ast.expr) -> str:
    """A piece of a formula as a student reads it: ``beta1``, not ``hyper['beta1']``."""
    text = ast.unparse(_Bare().visit(ast.parse(ast.unparse(node), mode="eval")).body)
    text = re.sub(r"hyper\['(\w+)'\]", r"\1", text)
    text = re.sub(r"state\['(\w+)'\]", r"old \1", text)
    text = re.sub(r"\bsize\(", "abs(", text)
    text = re.sub(r"\blarger\(", "max(", text)
    return re.sub(r"\bsmaller\(", "min(", text).replace(" ** ", "**")


STANDARD = (
    *(
        "t",
        "m",
        "v",
        "v_max",
        "s",
        "g",
        "m_hat",
        "v_hat",
        "y",
        "kept",
        "reach",
        "ratio",
        "lag",
        "trace",
        "discriminant",
    ),
    *("excess", "limit", "ridge", "centre", "point", "beta", "rate", "lr", "share"),
)
"""Names that a student reads in the text of the task, or that say what they are."""


def _quoted(node: ast.expr, stands_for: Mapping[str, str] | None = None) -> str:
    """A name between quotes; one that only the family uses is spelled out."""
    text = _text(node)
    if text not in STANDARD:
        text = (stands_for or {}).get(text, text)
    return f"the {text}" if text.startswith("old ") else f"`{text}`"


def _closed(node: ast.expr) -> str:
    text = _text(node)
    return f"({text})" if isinstance(node, ast.BinOp) else text


# -- families ----------------------------------------------------------------------------------------------------

WRITTEN_IN = {
    "lr": (1e-3, 1e-2, 0.1, 1.0),
    "eps": (1e-8, 1e-10, 1e-7, 1e-6, 1e-3),
    "weight_decay": (0.01, 0.1, 1.0),
    "lam": (0.01, 0.1, 1.0),
}
SHARES = ("beta", "beta1", "beta2", "rho")
NUMBERS_OF_STEPS = ("t", "steps")


@dataclass
class Family:
    """A task's formula and everything that may be wrong with it."""

    task: str
    function: Callable[..., Any]
    groups: tuple[tuple[str, ...], ...] = ()
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    elementwise: bool = False
    pairs: bool = True
    by_hand: bool = False
    _chosen: list[int] = field(default_factory=list)

    @functools.cached_property
    def taken(self) -> tuple[Callable[..., Any], list[Change]]:
        """The function as single operations, and its changes."""
        source = textwrap.dedent(inspect.getsource(self.function))
        function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
        work = _Taken(function, self.groups)
        body = work.block(function.body)
        more: dict[str, Any] = {"type_params": []} if sys.version_info >= (3, 12) else {}
        made = ast.Module([ast.FunctionDef("family", function.args, body, [], **more)], [])
        space: dict[str, Any] = {
            **self.function.__globals__,
            **VOCABULARY,
            "math": math,
            "torch": torch,
            "inf": math.inf,
            "_chosen": self._chosen,
        }
        exec(compile(ast.fix_missing_locations(made), f"<family of {self.task}>", "exec"), space)
        self._chosen[:] = [0] * work.sites
        return space["family"], work.changes

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the arguments."""
        return tuple(inspect.signature(self.function).parameters)

    def value(self, arguments: tuple[Any, ...], changes: Sequence[Change] = ()) -> Any:
        """What the formula gives with these changes; raises what arithmetic raises."""
        function = self.taken[0]
        given = arguments
        for change in changes:
            if change.arguments is not None:
                given = change.arguments(given)
            elif change.site >= 0:
                self._chosen[change.site] = change.choice
        try:
            value = function(*given)
        finally:
            for change in changes:
                if change.site >= 0:
                    self._chosen[change.site] = 0
        for change in changes:
            if change.result is not None:
                value = change.result(value, arguments)
        return value

    def changes(self, calls: Sequence[tuple[Any, ...]], right: Any) -> list[Change]:
        """Every single change, the likelier first; what fits the arguments of these calls."""
        inner = [change for change in self.taken[1] if change.written or not self.by_hand]
        outer = [*self._of_arguments(calls[0]), *self._of_results(calls[0], right)]
        return [
            *(change for change in inner if change.likely),
            *(change for change in outer if change.likely),
            *(change for change in inner if not change.likely),
            *(change for change in outer if not change.likely),
        ]

    def _of_arguments(self, arguments: tuple[Any, ...]) -> Iterator[Change]:
        at: dict[str, Callable[[tuple[Any, ...], Any], tuple[Any, ...]]] = {}
        read: dict[str, Callable[[tuple[Any, ...]], Any]] = {}
        for place, (name, value) in enumerate(zip(self.names, arguments, strict=True)):
            if isinstance(value, dict) and name != "state":
                for key, entry in value.items():
                    if isinstance(entry, (int, float)):
                        at[key] = functools.partial(_put_key, place, key)
                        read[key] = functools.partial(_get_key, place, key)
                    elif isinstance(entry, str):
                        yield from self._other_case(
                            key, functools.partial(_get_key, place, key), functools.partial(_put_key, place, key)
                        )
            elif isinstance(value, str):
                yield from self._other_case(name, functools.partial(_get, place), functools.partial(_put, place))
            elif (isinstance(value, (int, float)) and not isinstance(value, bool)) or isinstance(value, Tensor):
                at[name] = functools.partial(_put, place)
                read[name] = functools.partial(_get, place)
        for name, put in at.items():
            get = read[name]
            number = not isinstance(get(arguments), Tensor)
            for sentence, likely, new in _replaced(name, number):
                yield Change(sentence, likely, arguments=functools.partial(_apply, get, put, new))
            for other in at:
                if other != name:
                    grouped = any(name in group and other in group for group in self.groups)
                    yield Change(
                        f"`{other}` is used everywhere in place of `{name}`",
                        grouped,
                        arguments=functools.partial(_copy, read[other], put),
                    )
                    if name < other:
                        yield Change(
                            f"`{name}` and `{other}` are exchanged",
                            True,
                            arguments=functools.partial(_exchange, get, put, read[other], at[other]),
                        )

    def _other_case(self, name: str, get: Callable[..., Any], put: Callable[..., Any]) -> Iterator[Change]:
        for case, other in itertools.permutations(self.choices.get(name, ()), 2):

            def change(given: tuple[Any, ...], case: str = case, other: str = other) -> tuple[Any, ...]:
                return put(given, other) if get(given) == case else given

            yield Change(f"what is returned for {case!r} belongs to {other!r}", True, arguments=change)

    def _of_results(self, arguments: tuple[Any, ...], right: Any) -> Iterator[Change]:
        parts = len(right) if isinstance(right, tuple) else 0
        if parts > 1 and not any(isinstance(part, dict) for part in right):
            for one, two in itertools.combinations(range(parts), 2):
                yield Change(
                    f"results {one + 1} and {two + 1} are exchanged: mind the order",
                    True,
                    result=functools.partial(_exchanged_results, one, two),
                )
        if isinstance(right, tuple) and any(isinstance(part, dict) for part in right):
            return  # of a step and a state nothing is inverted
        which: list[tuple[str, int]] = [(f"result {part + 1}: ", part) for part in range(parts)] or [("", -1)]
        for said, part in which:
            for sentence, likely, new in _RESULTS:
                yield Change(said + sentence, likely, result=functools.partial(_changed_result, part, new))
            for place, name in enumerate(self.names):
                if isinstance(arguments[place], float) or (
                    isinstance(arguments[place], int) and name in NUMBERS_OF_STEPS
                ):
                    for sentence, likely, scale in _scales(name):
                        yield Change(
                            said + sentence, likely, result=functools.partial(_scaled_result, part, place, scale)
                        )


def _get(place: int, given: tuple[Any, ...]) -> Any:
    return given[place]


def _put(place: int, given: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    return (*given[:place], value, *given[place + 1 :])


def _get_key(place: int, key: str, given: tuple[Any, ...]) -> Any:
    return given[place][key]


def _put_key(place: int, key: str, given: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    return _put(place, given, {**given[place], key: value})


def _apply(get: Callable[..., Any], put: Callable[..., Any], new: Callable[[Any], Any], given: tuple[Any, ...]) -> Any:
    return put(given, new(get(given)))


def _copy(read: Callable[..., Any], put: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    return put(given, read(given))


def _exchange(get: Any, put: Any, other_get: Any, other_put: Any, given: tuple[Any, ...]) -> Any:
    one, two = get(given), other_get(given)
    return other_put(put(given, two), one)


def _changed_result(part: int, new: Callable[[Any], Any], value: Any, arguments: tuple[Any, ...]) -> Any:
    if part < 0:
        return new(value)
    return tuple(new(one) if place == part else one for place, one in enumerate(value))


def _scaled_result(part: int, place: int, scale: Callable[[Any, Any], Any], value: Any, given: tuple[Any, ...]) -> Any:
    return _changed_result(part, lambda one: scale(one, given[place]), value, given)


def _exchanged_results(one: int, two: int, value: Any, arguments: tuple[Any, ...]) -> Any:
    found = list(value)
    found[one], found[two] = found[two], found[one]
    return tuple(found)


def _replaced(name: str, number: bool) -> Iterator[tuple[str, bool, Callable[[Any], Any]]]:
    if number:
        written = (0.9, 0.99, 0.999, 0.5, 0.95) if name in SHARES else WRITTEN_IN.get(name, ())
        for value in written:
            yield (
                f"`{name}` is written in as {value:g}: take it as it is given",
                True,
                functools.partial(_constant, value),
            )
        yield f"`{name}` is not used, as if it were 0", False, functools.partial(_constant, 0.0)
        yield f"`{name}` is not used, as if it were 1", True, functools.partial(_constant, 1.0)
        if name in SHARES or name == "q":
            yield f"`1 - {name}` stands where `{name}` belongs, everywhere", True, lambda x: 1 - x
        if name in NUMBERS_OF_STEPS:
            yield f"`{name}` is one too small", True, lambda x: x - 1
            yield f"`{name}` is one too large", True, lambda x: x + 1
    yield f"`{name}` is squared everywhere", True, lambda x: x**2
    yield f"the root of `{name}` is used everywhere", True, VOCABULARY["sqrt"]
    yield f"twice `{name}` is used everywhere: a factor 2 too many", True, lambda x: 2 * x
    yield f"half of `{name}` is used everywhere: a factor 2 is missing", True, lambda x: x / 2
    yield f"the sign of `{name}` is turned everywhere", True, lambda x: -x
    yield f"the absolute value of `{name}` is used everywhere: its sign is lost", True, VOCABULARY["size"]
    yield f"`{name}` is upside down: `1 / {name}` is used", True, lambda x: 1 / x
    if not number:
        yield f"the sign of `{name}` stands where `{name}` belongs", True, VOCABULARY["sign"]


def _constant(value: float, given: Any) -> float:
    return value


_RESULTS: tuple[tuple[str, bool, Callable[[Any], Any]], ...] = (
    ("the sign is turned: that is the right value with a minus", True, lambda x: -x),
    ("upside down: that is 1 over the right value", True, lambda x: 1 / x),
    ("twice the right value: a factor 2 too many", True, lambda x: 2 * x),
    ("half the right value: a factor 2 is missing", True, lambda x: x / 2),
    ("that is the square of the right value: a root is missing", True, lambda x: x**2),
    ("that is the root of the right value: a square is missing", True, VOCABULARY["sqrt"]),
    ("that is 1 minus the right value: the other share is asked", True, lambda x: 1 - x),
    ("that is the right value plus 1", True, lambda x: x + 1),
    ("that is the right value minus 1", True, lambda x: x - 1),
    ("that is the absolute value of the right one: the sign is lost", True, VOCABULARY["size"]),
    ("cut off at 0: negative values are asked too", True, lambda x: VOCABULARY["larger"](x, 0 * x)),
    ("a hundred times the right value: a percentage is returned", False, lambda x: 100 * x),
    ("that is the exponential of the right value", False, VOCABULARY["exp"]),
    ("that is the logarithm of the right value", False, VOCABULARY["log"]),
    ("that is 4 times the right value", False, lambda x: 4 * x),
    ("that is a quarter of the right value", False, lambda x: x / 4),
    ("the angle is returned where its cosine is asked", False, lambda x: math.acos(x)),
    ("the angle in degrees is returned where its cosine is asked", False, lambda x: math.degrees(math.acos(x))),
    ("0.0 is returned", False, lambda x: 0.0 * x),
)


def _scales(name: str) -> Iterator[tuple[str, bool, Callable[[Any, Any], Any]]]:
    yield f"multiplied by `{name}` once too often (or not divided by it)", True, lambda x, a: x * a
    yield f"divided by `{name}` once too often (or not multiplied by it)", True, lambda x, a: x / a
    yield f"multiplied by the root of `{name}` once too often", False, lambda x, a: x * math.sqrt(a)
    yield f"divided by the root of `{name}` once too often", False, lambda x, a: x / math.sqrt(a)
    yield f"multiplied by `1 - {name}` once too often (or not divided by it)", True, lambda x, a: x * (1 - a)
    yield f"divided by `1 - {name}` once too often (or not multiplied by it)", True, lambda x, a: x / (1 - a)
    yield f"`{name}` is added to the right value", False, lambda x, a: x + a
    yield f"`{name}` is subtracted from the right value", False, lambda x, a: x - a


_families: dict[str, Family] = {}


def family(
    task: str,
    *,
    groups: tuple[tuple[str, ...], ...] = (),
    choices: dict[str, tuple[str, ...]] | None = None,
    elementwise: bool = False,
    pairs: bool = True,
    by_hand: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the formula of a task.

    ``groups`` holds names that are easily taken for one another, ``choices`` the texts that an argument may be;
    ``elementwise`` says that tensors may be tried entry by entry, as plain numbers, which is quicker;
    ``pairs=False`` that two changes at a time would take too long, and ``by_hand`` that
    the formula is a search, in which only the changes written into it mean something.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _families[task] = Family(task, function, groups, choices or {}, elementwise, pairs, by_hand)
        return function

    return register


def of(task: str) -> Family | None:
    """The family of a task, if it has one."""
    if not _families:
        importlib.import_module("optbias.exercises._formulas")
    return _families.get(task)


# -- explaining --------------------------------------------------------------------------------------------------

Call = tuple[tuple[Any, ...], list[float]]


def explain(of: Family, calls: Sequence[tuple[tuple[Any, ...], Any]]) -> str | None:
    """The change, or the two, with which the formula gives what was returned in all these calls; None if none does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _explained(of, calls)


def _explained(of: Family, calls: Sequence[tuple[tuple[Any, ...], Any]]) -> str | None:
    wrong: list[Call] = []
    fine: list[Call] = []
    right: Any = None
    for arguments, returned in calls[-MOST_CALLS:]:
        for given, got in _scalars(of, arguments, returned):
            try:
                value = of.value(given)
                wanted = _numbers(value)
                found = _numbers(got, like=value)
            except _Strange:
                return None
            except Exception:  # here the formula gives nothing (0 / 0, say): this call explains nothing
                continue
            if any(one != one for one in wanted):
                continue
            right = value if right is None else right
            (fine if _equal(found, wanted, given) else wrong).append((given, found))
    if not wrong or not any(_telling(found) for _, found in wrong):
        return None
    kept = _spread(wrong) + _spread(fine)
    changes = of.changes([given for given, _ in kept], right)
    singles = [change for change in changes if _reproduces(of, (change,), kept)]
    if singles:
        best = [change for change in singles if change.written] or singles
        return ". Or: ".join(dict.fromkeys(change.sentence for change in best[:2]))
    likely = [change for change in changes if change.likely][: MOST_IN_PAIRS if of.pairs else 0]
    until = time.process_time() + MOST_SECONDS
    for one, two in itertools.combinations(likely, 2):
        if time.process_time() > until:
            return None
        if (one.site < 0 or one.site != two.site) and _reproduces(of, (one, two), kept):
            return f"two things together: {one.sentence}; and {two.sentence}"
    return None


class _Strange(Exception):
    """Something that is no number, or of another shape than the right value."""


def _spread(calls: list[Call]) -> list[Call]:
    """At most eight of the calls, from all over."""
    return calls if len(calls) <= 8 else [calls[round(k * (len(calls) - 1) / 7)] for k in range(8)]


def _reproduces(of: Family, changes: tuple[Change, ...], calls: Sequence[Call]) -> bool:
    try:
        return all(_equal(found, _numbers(of.value(given, changes)), given) for given, found in calls)
    except Exception:  # a change may give what no arithmetic, no shape or no memory can hold
        return False


def _scalars(of: Family, arguments: tuple[Any, ...], returned: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The call, or, for a family that works entry by entry, calls on single entries of its tensors."""
    if any(isinstance(one, Tensor) and one.dtype == torch.float32 for one in arguments):
        return  # its digits are not enough
    if not of.elementwise:
        yield arguments, returned
        return
    first = next((one for one in arguments if isinstance(one, Tensor)), None)
    if first is None or first.numel() == 0:
        return
    for place in sorted({0, first.numel() - 1}):
        yield tuple(_entry(one, place, first.shape) for one in arguments), _entry(returned, place, first.shape)


def _entry(value: Any, place: int, shape: torch.Size) -> Any:
    if isinstance(value, Tensor):
        if value.shape != shape:
            if value.numel() != 1:
                raise _Strange
            return value.item()
        return value.detach().reshape(-1)[place].item()
    if isinstance(value, dict):
        return {key: _entry(one, place, shape) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(_entry(one, place, shape) for one in value)
    return value


def _numbers(value: Any, like: Any = None) -> list[float]:
    """Everything in a value as one list; ``like`` says what it should hold (keys of dictionaries, how many)."""
    if isinstance(value, bool):
        raise _Strange
    if isinstance(value, (int, float)):
        return [float(value)]
    if isinstance(value, str):
        return [zlib.crc32(value.encode()) / 2**32]  # of the size of the numbers beside it
    if isinstance(value, Tensor):
        if isinstance(like, Tensor) and like.shape != value.shape and not like.numel() == value.numel() == 1:
            raise _Strange
        return [float(one) for one in value.detach().double().reshape(-1).tolist()]
    if isinstance(like, dict) and isinstance(value, dict):
        if not set(like) <= set(value):
            raise _Strange
        return [number for key in sorted(like) for number in _numbers(value[key], like[key])]
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in _numbers(value[key])]
    if isinstance(value, (tuple, list)):
        inner = like if isinstance(like, (tuple, list)) and len(like) == len(value) else [None] * len(value)
        return [number for one, other in zip(value, inner, strict=True) for number in _numbers(one, other)]
    if hasattr(value, "tolist"):
        return _numbers(value.tolist())
    raise _Strange


def _equal(found: list[float], wanted: list[float], given: tuple[Any, ...]) -> bool:
    if len(found) != len(wanted):
        return False
    largest = max((abs(one) for one in wanted if math.isfinite(one)), default=0.0)
    for a, b in zip(found, wanted, strict=True):
        if a == b or (a != a and b != b):
            continue
        if not (math.isfinite(a) and math.isfinite(b)):
            return False
        if abs(a - b) > TOLERANCE * (abs(a) + abs(b)) + 1e-13 * largest:
            return False
    return True


def _telling(found: list[float]) -> bool:
    """Whether numbers say more than 0, 1 or infinity do, which come out of a hundred different slips."""
    return any(math.isfinite(one) and one not in (0.0, 1.0, -1.0) for one in found)
