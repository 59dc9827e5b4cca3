"""The audit: mistakes in the library make claims fail, and only those cells run that a mistake can reach."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import audit as auditing
from audit import Page, Run, summary
from course_site.status import _since
from mutations import MUTATIONS, QUICK, Mutation
from project import Project

PROJECT = Project()
LIBRARY = PROJECT.root / "lib" / "optbias"


def test_the_list_is_long_and_fits_the_library() -> None:
    assert len(MUTATIONS) >= 60
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    for mutation in MUTATIONS:
        mutation.check(LIBRARY)
    assert len(QUICK) >= len(MUTATIONS) / 10
    assert set(QUICK) <= {mutation.name for mutation in MUTATIONS}
    changed = {mutation.file for mutation in MUTATIONS}
    for folder in ("rules", "theory"):
        modules = {f"{folder}/{path.name}" for path in (LIBRARY / folder).glob("*.py")}
        untouched = {name for name in modules - changed if not name.endswith(("__init__.py", "theorems.py"))}
        assert not untouched, f"no mutation in {sorted(untouched)}: add one to book/_tools/mutations.py"


def test_a_mutation_that_does_not_fit_says_so() -> None:
    text = "a = 1\nb = 1\n"
    with pytest.raises(ValueError, match="'c = 1' is not in x.py; bring the mutation up to date"):
        Mutation("m", "x.py", "c = 1", "").apply(text)
    with pytest.raises(ValueError, match="more than once in x.py; give after="):
        Mutation("m", "x.py", "= 1", "= 2").apply(text)
    assert Mutation("m", "x.py", "= 1", "= 2", after="b").apply(text) == "a = 1\nb = 2\n"
    assert Mutation("m", "x.py", "= 1", "= 2", after="b").line(text) == 2


def page(tmp_path: Path, *cells: str) -> Page:
    path = tmp_path / "page.md"
    front = "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n"
    front += "kernelspec:\n  display_name: Python 3\n  name: python3\n---\n\n# Page\n\n"
    path.write_text(front + "\n\n".join("```{code-cell} ipython3\n" + cell + "\n```" for cell in cells))
    return Page("page", path)


def test_only_the_cells_that_a_change_can_reach_are_needed(tmp_path: Path) -> None:
    cells = ("import math", "a = 1", "b = 2", "c = f(a)", "d = b", "found = []", "found.append(c)", "claim(found)")
    assert page(tmp_path, *cells).needed({3}) == {0, 1, 3, 5, 6, 7}
    assert page(tmp_path, *cells).needed({4}) == {0, 2, 4}
    assert page(tmp_path, *cells).needed(set()) == {0}


def test_every_failing_claim_is_seen_and_a_crash_is_not_a_refusal(tmp_path: Path) -> None:
    made = page(
        tmp_path,
        "from optbias.claims import claim\nfrom optbias.theory.step_size import uncorrected_step_factor as f",
        "for t in (1, 2):\n    claim('factor', f((0.9, 0.999), t), above=1.0)",
        "claim('wrong', 1.0, equals=2.0)\nclaim('also wrong', 1.0, equals=3.0)",
        "1 / 0",
        "claim('after the crash', True)",
    )
    run = auditing.in_a_child(made, None, LIBRARY, True, 60.0)
    assert isinstance(run, Run)
    assert [entry["holds"] for entry in run.claims.values()] == [True, True, False, False, True]
    assert run.crashed == {3: "ZeroDivisionError: division by zero"}
    assert any(name.startswith("theory/step_size.py:") for name in run.called[1])
    part = auditing.in_a_child(made, {0, 2}, LIBRARY, False, 60.0)
    assert list(part.claims) == ["2:1:0", "2:2:0"]


def test_a_page_that_never_ends_is_stopped(tmp_path: Path) -> None:
    run = auditing.in_a_child(page(tmp_path, "import math", "while True: pass"), None, LIBRARY, False, 1.0)
    assert run.crashed == {1: "out of time"}


@pytest.mark.slow
def test_a_tenth_of_the_mutations_is_refused(tmp_path: Path) -> None:
    """On the two pages that notice most and cost least; the complete audit is `make audit`."""
    out = tmp_path / "audit.json"
    command = [sys.executable, "book/_tools/audit.py", "--quick", "--pages", "momentum", "misconceptions"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--out", str(out)], cwd=PROJECT.root, env=environment, capture_output=True, text=True
    )
    assert out.is_file(), done.stderr
    assert not [entry["name"] for entry in json.loads(out.read_text())["mutations"] if not entry["refused"]], (
        done.stdout
    )


def test_what_is_recorded_is_of_these_mutations_and_none_survived() -> None:
    known = {mutation.name: mutation for mutation in MUTATIONS}
    for path in (PROJECT.root / "results" / "audit").glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        for entry in found["mutations"]:
            assert (entry["old"], entry["new"]) == (known[entry["name"]].old, known[entry["name"]].new), entry["name"]
        assert not [entry["name"] for entry in found["mutations"] if not entry["refused"]], summary(found)
        silent = {why for page in found["claims"].values() for why in page.values() if isinstance(why, str)}
        assert silent <= set(found["reasons"])


def test_the_status_page_says_what_has_changed_since() -> None:
    audited = {"adam": {"a": ["m"], "b": "none"}, "momentum": {"c": ["m"]}}
    record = {"claims": [{"statement": "a"}, {"statement": "new"}, {"statement": "newer"}]}
    assert _since(audited, [("book/adam", record)]) == (2, 1)
    assert _since(audited, [("book/momentum", {"claims": [{"statement": "c"}]})]) == (0, 0)
    assert _since(audited, [("book/another", record)]) == (3, 0)


def test_a_comment_or_a_docstring_changes_nothing_that_runs() -> None:
    source = "class A:\n    def f(self):\n        def g():\n            return 1\n        return g\n"
    told = '"""M."""\n' + source.replace("def f(self):", 'def f(self):\n        """F."""\n        # why')
    assert auditing._what_runs(source) == auditing._what_runs(told) != auditing._what_runs(source.replace("1", "2"))
    tree = ast.parse(source)
    assert [auditing._function_at(tree, line) for line in (1, 2, 4)] == ["", "A.f", "A.f.<locals>.g"]


def test_no_mutation_is_left_without_a_page_because_its_cells_are_dear(tmp_path: Path) -> None:
    mutations = [Mutation(str(i), "x.py", "", "") for i in range(auditing.SHARE + 2)]
    dear = {"slow": {0: 0.1, 1: 50.0}, "slower": {0: 0.1, 1: 90.0}}
    made = page(tmp_path, "x = 1", "y = x + 1")
    audit = SimpleNamespace(
        pages=dict.fromkeys(dear, made),
        touched=lambda mutation, name: {1},
        baseline=lambda name: Run(seconds=dear[name]),
    )
    jobs = [(mutation.name, name) for mutation, name, _ in auditing.Audit.jobs(audit, mutations, list(dear))]
    both, alone = auditing.SHARE, [str(auditing.SHARE), str(auditing.SHARE + 1)]
    assert len(jobs) == 2 * both + len(alone)
    assert jobs[2 * both :] == [(name, "slow") for name in alone]


def test_each_mutation_first_runs_where_it_costs_least(tmp_path: Path) -> None:
    seconds = {"dear": {0: 9.0, 1: 9.0}, "cheap": {0: 1.0, 1: 2.0}}
    audit = SimpleNamespace(baseline=lambda name: Run(seconds=seconds[name]))
    a, b = (Mutation(name, "x.py", "", "") for name in "ab")
    jobs = [(a, "dear", {0, 1}), (a, "cheap", {0, 1}), (b, "dear", {0})]
    assert auditing.in_turn(audit, jobs) == [jobs[1], jobs[2], jobs[0]]
    # Beyond its time no run begins, and what is done stays.
    auditing._share(["x", "y"], lambda name: (tmp_path / name).touch(), workers=2)
    auditing._share(["z"], lambda name: (tmp_path / name).touch(), workers=1, until=0.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "y"]
