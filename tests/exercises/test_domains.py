"""Every task says for which arguments it is asked, and its hidden tests use each freedom that it names.

The line ``**Asked for:** ...`` above an answer is prose with a few fixed phrases, in which names of arguments (or of
keys of a dictionary that is an argument) stand in backticks. What they claim is compared with the calls that the hidden
tests really make:

* ``beta`` from 0 to 1            no call is outside; "above 0", "below 1" where the end itself is not meant
* ``beta`` may be 0               some call has this value
* ``C`` of either sign            some call has a negative number, some a positive one
* any shape                       params are a number or a vector in one call, a matrix in another
* ``form`` one of ``ema``, ``heavy_ball``   each of these is used, and no other
"""

from __future__ import annotations

import re
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
