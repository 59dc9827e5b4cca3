"""How many wrong answers are told which misconception it was: ``python tests/exercises/measure.py [assignment ...]``.

The wrong answers are of three sorts: written by hand (``erring/``), machine mutants of the reference, and pairs of
mutants. A third of them, chosen by a hash of their names, is held out: no slip was added with a look at those.
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parents[1] / "exercises" / "_tools")]

import torch  # noqa: E402

import bank  # noqa: E402
import mutants  # noqa: E402
from optbias.exercises import _answers  # noqa: E402

MUTANTS, PAIRS = 4, 2
"""Of each task, beside those written by hand."""

GENERIC = (
    r"differs (by|from)|there is a NaN(?!.*\(here )|(in)?finite where it should|the shape should be"
    r"|expected a number|raised \w+:(?!.*\(here )|cannot be used here|took longer|must solve A w = b"
)
"""What a message says that only sees that something is wrong."""


@dataclass(frozen=True)
class Erring:
    """A wrong answer, and what a message must hold that names it; ``None``: anything that is not :data:`GENERIC`."""

    assignment: str
    task: str
    sort: str
    name: str
    source: str
    names: str | None

    @property
    def held_out(self) -> bool:
        return hashed(f"{self.task}/{self.sort}/{self.name}") % 3 == 0


def hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def by_hand(assignment: str, task: str, reference: str) -> Iterator[Erring]:
    import importlib

    module = importlib.import_module(f"erring.{assignment.replace('-', '_')}")
    for name, (names, written) in module.ERRING[task].items():
        if isinstance(written, dict):
            head, source = reference.split(":\n", 1)
            for old, new in written.items():
                if old not in source:
                    raise ValueError(f"{task}, {name}: {old!r} is not in the reference")
                source = source.replace(old, new)
            source = f"{head}:\n{source}"
        else:
            head = [row for row in reference.splitlines() if row.startswith(("# exercise", "def "))]
            source = "\n".join([*head, *("    " + row for row in written.splitlines())]) + "\n"
        yield Erring(assignment, task, "by hand", name, source, names)


def by_machine(assignment: str, task: str, reference: str) -> Iterator[tuple[str, Erring]]:
    """Mutants in an order that a hash fixes, then pairs: more than are wanted, for some are right or only raise."""
    made = mutants.mutants(reference)
    rng = random.Random(hashed(task))
    order = sorted(made)
    rng.shuffle(order)
    for label in order:
        yield "mutant", Erring(assignment, task, "mutant", label, made[label], None)
    for label in order[: 4 * PAIRS]:
        second = sorted(mutants.mutants(made[label]).items())
        if second:
            other, source = second[rng.randrange(len(second))]
            yield "pair", Erring(assignment, task, "pair", f"{label} + {other}", source, None)


def messages(case: Erring) -> list[str]:
    """What the tests that it loses say."""
    outcome = bank.grade(bank.assignment(case.assignment), case.task, case.source)
    return [message for message in outcome.values() if message]


def only_raises(said: list[str]) -> bool:
    return all(
        re.search(r"raised \w+:(?!.*\(here )|cannot be used here|took longer|not answered|returned None", text)
        for text in said
    )


def named(case: Erring, said: list[str]) -> bool:
    specific = [text for text in said if not re.search(GENERIC, text)]
    if case.names is None:
        return bool(specific)
    return any(re.search(case.names, text.split(": ", 2)[-1], re.I) for text in specific)


def cases(assignment: str) -> Iterator[tuple[Erring, list[str]]]:
    """The wrong answers of an assignment with what they are told; those that lose nothing are left out."""
    of = bank.assignment(assignment)
    for task, cell in of.of("answer").items():
        reference = bank.reference(cell)
        for case in by_hand(assignment, task, reference):
            said = messages(case)
            if not said:
                print(f"    passes everything: {task}, {case.name}", file=sys.stderr)
            else:
                yield case, said
        if task in bank.TRAINING:
            continue
        left = {"mutant": MUTANTS, "pair": PAIRS}
        _answers.time_factor = 0.3
        for sort, case in by_machine(assignment, task, reference):
            if left[sort] == 0:
                continue
            said = messages(case)
            if said and not only_raises(said):
                left[sort] -= 1
                yield case, said
        _answers.time_factor = 1.0


def share(found: list[bool]) -> str:
    return f"{sum(found)}/{len(found)} = {sum(found) / max(len(found), 1):.1%}"


def main() -> None:
    torch.set_default_dtype(torch.float64)
    names = sys.argv[1:] or bank.readable()
    found: dict[tuple[str, ...], list[bool]] = {}
    for assignment in names:
        for case, said in cases(assignment):
            right = named(case, said)
            for key in (
                ("all",),
                ("held out" if case.held_out else "seen",),
                (case.sort,),
                (case.task,),
                ("held out, " + case.sort,) if case.held_out else ("seen, " + case.sort,),
            ):
                found.setdefault(key, []).append(right)
            if not right and not case.held_out:
                print(f"--- {case.task} [{case.sort}] {case.name}")
                for text in said:
                    print("      ", text[13:260])
    for key, values in found.items():
        print(f"{' '.join(key):40s} {share(values)}")


if __name__ == "__main__":
    main()
