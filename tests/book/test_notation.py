"""The notation page's table against the code: every argument that it names exists, and none is left out.

A row reads ``| $symbol$ | meaning | `Rule.argument`, ... | `Class.argument`, ... |``: the third cell
names fields of :mod:`optbias.rules`, the fourth keyword arguments of :mod:`torch.optim`. A dash says
that there is none.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest
import torch

from optbias import rules

PAGE = Path(__file__).parents[2] / "book" / "notation.md"
HEADER = ["Symbol", "Meaning", "Ours", "torch.optim"]
DASH = "–"

# Arguments of our rules that the table may leave out, each with the reason.
NOT_NOTATION = {
    "NormalizedSteepestDescent.dim": "says which axes form one vector: a matter of shapes",
    "Muon.orthogonalize": "how the same direction is computed",
    "Muon.ns_steps": "how the same direction is computed",
    "Muon.adjust_lr": "torch's scale factor for the shape of a matrix",
}


# The rules that a chapter of its own teaches. The other variants share lr, betas, eps and weight_decay with them, and
# each explains the one or two numbers of its own in its docstring.
TAUGHT = {
    "GradientDescent", "Momentum", "AdaGrad", "RMSProp", "Adam", "AMSGrad", "AdamW", "NormalizedSteepestDescent",
    "SignGD", "Lion", "Muon",
}  # fmt: skip


def table(text: str) -> list[list[str]]:
    """The cells of the body rows of the table whose header is :data:`HEADER`."""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if cells(line) == HEADER]
    if len(starts) != 1:
        raise ValueError(f"the notation page must have one table with the columns {HEADER}; found {len(starts)}")
    rows = []
    for line in lines[starts[0] + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(cells(line))
    return rows


def cells(line: str) -> list[str]:
    """The cells of one line of a Markdown table; empty for any other line."""
    if not line.startswith("|"):
        return []
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def arguments(cell: str) -> list[str]:
    """The ``Class.argument`` names of one cell; ValueError if it is neither such a list nor a dash."""
    if cell == DASH:
        return []
    names = [part.strip() for part in cell.split(",")]
    if not all(re.fullmatch(r"`[A-Za-z]+\.[a-z_]+`", name) for name in names):
        raise ValueError(f"a cell must hold `Class.argument`, separated by commas, or a dash; got {cell!r}")
    return [name.strip("`") for name in names]


def ours() -> set[str]:
    """Every hyper-parameter of every rule, as ``Class.argument``."""
    found = set()
    for name in TAUGHT:
        found |= {f"{name}.{field.name}" for field in dataclasses.fields(getattr(rules, name))}
    return found


def exists_in_torch(name: str) -> bool:
    """Whether ``name``, as ``Class.argument``, is an argument of an optimizer in torch.optim."""
    kind, argument = name.split(".")
    thing = getattr(torch.optim, kind, None)
    return thing is not None and argument in inspect.signature(thing).parameters


ROWS = table(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_row(row: list[str]) -> None:
    assert len(row) == len(HEADER)
    symbol, meaning, here, there = row
    assert symbol
    assert meaning
    assert arguments(here) or arguments(there), f"the row of {symbol} names no argument"
    unknown = [name for name in arguments(here) if name not in ours()]
    assert not unknown, f"{symbol}: optbias.rules has no {unknown}"
    unknown = [name for name in arguments(there) if not exists_in_torch(name)]
    assert not unknown, f"{symbol}: torch.optim has no {unknown}"


def test_every_argument_of_ours_is_in_the_table() -> None:
    named = {name for row in ROWS for name in arguments(row[2])}
    assert ours() - named == set(NOT_NOTATION)


def test_no_argument_stands_in_two_rows() -> None:
    # An argument that carries two symbols would make the map ambiguous.
    named = [name for row in ROWS for name in arguments(row[2])]
    assert sorted(named) == sorted(set(named))


def test_common_arguments_have_the_same_default() -> None:
    """Where a row ties one of our arguments to torch's of a class of the same name, the defaults agree."""
    names = {"Adagrad": "AdaGrad", "RMSprop": "RMSProp"}
    compared = 0
    for _, _, here, there in ROWS:
        for name in arguments(there):
            kind, argument = name.split(".")
            mine = [n for n in arguments(here) if n.split(".")[0] == names.get(kind, kind)]
            for other in mine:
                rule, field = other.split(".")
                value = inspect.signature(getattr(rules, rule)).parameters[field].default
                assert value == inspect.signature(getattr(torch.optim, kind)).parameters[argument].default, other
                compared += 1
    assert compared >= 15


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no table at all", "found 0"),
        ("| Symbol | Meaning | Ours | torch.optim |\n|---|---|---|---|\n| a | b | Adam.lr | – |", "a cell must hold"),
    ],
)
def test_a_broken_table_is_noticed(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        [arguments(row[2]) for row in table(text)]


@pytest.mark.parametrize("name", ["Adam.rate", "Adamz.lr"])
def test_a_wrong_name_is_noticed(name: str) -> None:
    assert not exists_in_torch(name)
    assert name not in ours()
