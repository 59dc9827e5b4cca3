"""Every task says for which arguments it is asked, and its hidden tests use each freedom that it names.

The line ``**Asked for:** ...`` above an answer is prose with a few fixed phrases, in which names of arguments (or of
keys of a dictionary that is an argument) stand in backticks. What they claim is compared with the calls that the hidden
tests really make:

* ``beta`` from 0 to 1            no call is outside; "above 0", "below 1" where the end itself is not meant
* ``beta`` may be 0               some call has this value
* ``C`` of either sign            some call has a negative number, some a positive one
* any shape                       params are a number or a vector in one call, a matrix in another
* ``form`` one of ``ema``, ``heavy_ball``   each of these is used, and no other

and a few phrases in plain words, :data:`PHRASES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch

import assignments
import bank
from optbias.exercises import Answer

NAMES = bank.readable()
LINE = re.compile(r"^\*\*Asked for:\*\* (.+?)(?=\n\n|\Z)", re.M | re.S)
NUMBER = r"(-?[\d.]+(?:e-?\d+)?)"
WORD = r"`([\w ]+)`"


def lines(name: str) -> dict[str, list[str]]:
    """The lines above each answer of an assignment, since the answer before."""
    found, text = {}, ""
    for cell in bank.assignment(name).cells:
        if cell.kind == "answer":
            found[cell.name] = [re.sub(r"\s+", " ", one) for one in LINE.findall(text)]
            text = ""
        elif cell.kind == "markdown":
            text += cell.source + "\n\n"
    return found


def calls(name: str, patch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """The arguments of every call that the hidden tests make on the reference, flattened by name."""
    made: dict[str, list[dict[str, Any]]] = {}
    real = Answer._call

    def recording(self: Answer, arguments: tuple[Any, ...]) -> Any:
        named: dict[str, Any] = {}
        for key, value in zip(self._arguments, arguments, strict=True):
            named |= {key: value} | ({str(k): v for k, v in value.items()} if isinstance(value, dict) else {})
        made.setdefault(self.name, []).append(named)
        return real(self, arguments)

    patch.setattr(Answer, "_call", recording)
    of = bank.assignment(name)
    for task, tests in of.tests_of.items():
        space = bank.notebook(bank.alone(of, task) if task not in bank.TRAINING else of, {})
        for cell in tests:
            failed = bank.test(cell, dict(space))
            assert failed is None, failed
    return made


def values(made: list[dict[str, Any]], key: str) -> list[float]:
    """Every number that an argument takes, in all calls."""
    found: list[float] = []
    for one in made:
        if key in one:
            value = one[key]
            entries = (
                value.flatten().tolist()
                if isinstance(value, torch.Tensor)
                else value
                if isinstance(value, list)
                else [value]
            )
            for entry in entries:
                found += entry.flatten().tolist() if isinstance(entry, torch.Tensor) else [entry]
    return found


def tensors(made: list[dict[str, Any]]) -> list[torch.Tensor]:
    given = [v for one in made for value in one.values() for v in (value if isinstance(value, list) else [value])]
    return [one for one in given if isinstance(one, torch.Tensor)]


def both(found: list[bool]) -> bool:
    """Whether there are calls of either kind."""
    return True in found and False in found


def sides(one: dict[str, Any]) -> set[bool]:
    """Where the entries of a call lie: True outside of the box that its arguments describe, False inside."""
    radius = one["radius"] if "radius" in one else 1 / one.get("weight_decay", one.get("lam"))
    place = next(one[key] for key in ("theta", "centre", "w0") if key in one)
    return set((torch.as_tensor(place).abs() > radius).flatten().tolist())


PHRASES: dict[str, Callable[[list[dict[str, Any]]], bool]] = {
    r"also empty ones": lambda made: any(one.numel() == 0 for one in tensors(made)),
    r"also an empty one": lambda made: any(value == [] for one in made for value in one.values()),
    r"gradients of any scale": lambda made: (
        max(sizes := [v for v in map(abs, values(made, "grads")) if v > 0]) > 1e4 * min(sizes)
    ),
    r"(inside the box and outside|outside and inside)": lambda made: set().union(*map(sides, made)) == {True, False},
    r"equal betas, too": lambda made: any(one["beta1"] == one["beta2"] for one in made),
    r"in either order and equal": lambda made: (
        {(one["beta"] > one["rho"]) - (one["beta"] < one["rho"]) for one in made} == {-1, 0, 1}
    ),
    r"the same one, too": lambda made: any(one["given"] == one["wanted"] for one in made),
    r"equal ones, too": lambda made: any(one["smallest"] == one["largest"] for one in made),
    r"a number or a tensor": lambda made: both([isinstance(one["m"], torch.Tensor) for one in made]),
    r"(matrices|vectors) of any (size|length)": lambda made: len({tuple(one.shape) for one in tensors(made)}) > 1,
    r"more columns than rows": lambda made: all(one["A"].shape[1] > one["A"].shape[0] for one in made),
    r"one \w+([ -]\w+)? or more": lambda made: both(
        [len(value) == 1 for one in made for value in one.values() if isinstance(value, list)]
    ),
    r"both places": lambda made: {one["inside"] for one in made} == {True, False},
    r"may rise as well as fall": lambda made: any(
        b > a for one in made for a, b in pairwise(one["losses"]) if len(one["losses"]) > 1
    ),
}
"""Freedoms in plain words, and what the calls must show then."""


def problems(line: str, made: list[dict[str, Any]]) -> list[str]:
    """What the line claims and the calls do not show."""
    wrong = []
    for key, low_word, low, high_word, high in re.findall(
        rf"{WORD} from (above )?{NUMBER} to (below )?(?:{NUMBER})", line
    ):
        for value in values(made, key):
            inside = (value > float(low) if low_word else value >= float(low)) and (
                value < float(high) if high_word else value <= float(high)
            )
            if not inside:
                wrong.append(f"{key} = {value} is outside")
    for key, value in re.findall(rf"{WORD} may be {NUMBER}", line):
        if float(value) not in values(made, key):
            wrong.append(f"no call has {key} = {value}")
    for key in re.findall(rf"{WORD} of either sign", line):
        seen = values(made, key)
        if not (min(seen) < 0 < max(seen)):
            wrong.append(f"{key} has one sign only")
    if "any shape" in line:
        given = [v for one in made for value in one.values() for v in (value if isinstance(value, list) else [value])]
        shapes = {v.ndim for v in given if isinstance(v, torch.Tensor)}
        if not {0, 2} <= shapes and not {1, 2} <= shapes:
            wrong.append(f"only tensors with {shapes} axes")
    for key, listed in re.findall(rf"{WORD} one of ((?:`[\w ]+`(?:, )?)+)", line):
        wanted = set(re.findall(r"`([\w ]+)`", listed))
        seen = {one[key] for one in made if key in one}
        if wanted != seen:
            wrong.append(f"{key} is {sorted(seen)} in the tests and {sorted(wanted)} in the text")
    wrong += [
        f"no call shows {phrase!r}" for phrase, seen in PHRASES.items() if re.search(phrase, line) and not seen(made)
    ]
    named = set(re.findall(r"`([\w ]+)` (?:from|may be|of either sign|one of)", line))
    known = {key for one in made for key in one}
    wrong += [f"there is no argument {word}" for word in sorted(named - known)]
    return wrong


@pytest.mark.parametrize("name", NAMES)
def test_every_task_says_what_it_is_asked_for(name):
    for task, found in lines(name).items():
        assert len(found) == 1, (
            f"{task}: one line '**Asked for:** ...' is wanted above the answer; there are {len(found)}"
        )


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n.startswith("lab") else ()) for n in NAMES]
)
def test_the_hidden_tests_use_each_freedom_and_stay_in_the_domain(name, monkeypatch):
    made = calls(name, monkeypatch)
    wrong = {task: found for task, (line,) in lines(name).items() if (found := problems(line, made[task]))}
    assert not wrong


def test_every_phrase_is_used_and_can_fail():
    every = " ".join(line for name in NAMES for (line,) in lines(name).values())
    assert not [phrase for phrase in PHRASES if not re.search(phrase, every)]
    made = [{"given": "ema", "wanted": "velocity", "m": 1.0}]
    assert problems("`given` one of `ema`, the same one, too; a number or a tensor", made)


def test_the_phrases_are_understood():
    made = [{"beta": 0.0, "x": torch.tensor(1.0), "form": "a"}, {"beta": 0.5, "x": torch.tensor([[-1.0]]), "form": "b"}]
    good = "`beta` from 0 to below 1, `beta` may be 0; `x` of any shape and `x` of either sign; `form` one of `a`, `b`"
    assert problems(good, made) == []
    for bad in (
        "`beta` from above 0 to 1",
        "`beta` may be 1",
        "`beta` of either sign",
        "`form` one of `a`",
        "`y` may be 0",
    ):
        assert problems(bad, made), bad
    assert assignments.names()
