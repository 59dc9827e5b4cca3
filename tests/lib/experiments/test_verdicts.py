"""Verdicts: the statistics, each rule's words, and that page, summary and scorecard follow the record."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from matplotlib.figure import Figure

from optbias.experiments import draw, hill_studies, results, store, verdicts
from optbias.experiments.results import Results
from optbias.experiments.sweep import Outcome
from optbias.experiments.verdicts import Level, at_most, direction, holm, interval, nothing, number, open_question

ROOT = Path(__file__).resolve().parents[3]
UP, DOWN, WIDE = [0.10, 0.11, 0.09, 0.12], [-0.10, -0.11, -0.09, -0.12], [0.5, -0.6, 0.4, -0.3]


def levels(*samples: list[float], unit: str = "ratio") -> tuple[Level, ...]:
    """Levels of these samples, adjusted."""
    return holm([interval(values, f"level {i}", unit) for i, values in enumerate(samples)])


def word(rule: verdicts.Rule, *samples: list[float]) -> str:
    """The word of a rule on these samples."""
    return rule(levels(*samples))[0]


def test_the_interval_is_students() -> None:
    """Against scipy's own interval and test; None and NaN are counted and left out."""
    level = interval([*UP, None, math.nan], "x")
    low, high = scipy.stats.ttest_1samp(UP, 0).confidence_interval(0.95)
    assert (level.low, level.high) == pytest.approx((low, high), rel=1e-12)
    assert level.p == pytest.approx(scipy.stats.ttest_1samp(UP, 0).pvalue)
    assert level.missing == 2
    same = interval([1.0, 1.0, 1.0], "same")
    assert (same.low, same.high, same.p) == (1.0, 1.0, 0.0)
    assert interval([0.0, 0.0, 0.0], "zero").p == 1.0
    assert interval([1.0], "one").p == 1.0


def test_an_interval_off_the_axis_stands_in_words() -> None:
    """A quotient over nearly nothing must not flatten the other intervals of a picture."""
    figure = Figure()
    ax = figure.subplots()
    draw.forest(ax, levels([1.0, 1.1, 0.9], [-900.0, 4000.0, 10.0], [1.4, 1.5, 1.6], unit="number"))
    low, high = ax.get_xlim()
    assert -1 < low < high < 3
    assert [text.get_text() for text in ax.texts] == ["1.04e+03 [-5.44e+03, 7.51e+03]"]
    assert len(ax.get_yticks()) == 3
    far_but_seen = levels([-0.01, -0.012, -0.011], [0.14, 0.15, 0.16], [0.7, 0.85, 0.9], unit="number")
    other = figure.subplots()
    draw.forest(other, far_but_seen)
    assert not other.texts
    assert other.get_xlim()[1] > 0.9


def test_the_share_undone_is_the_quotient_of_its_two_effects() -> None:
    base = hill_studies.NETWORKS["words, LSTM"]
    norms = {(0.99, 0.0): 2.0, (0.99, 1.0): 1.7, (0.9, 0.0): 1.9}
    outcomes = {}
    for seed in range(3):
        for (rho, dose), norm in norms.items():
            setting = dataclasses.replace(base, beta=0.9, rho=rho, dose=dose, seed=seed)
            summary = {"at_loss": {"5": {"value": norm * (1 + 0.1 * seed)}}}
            outcomes[setting] = Outcome(pd.DataFrame(), summary)
    made = Results(outcomes)
    ((of_rho, of_term),) = verdicts.network_effects(made)
    (share,) = verdicts.penalty_networks(made)
    assert of_rho.mean == pytest.approx(math.log(1.9 / 2.0))
    assert of_term.mean == pytest.approx(math.log(1.7 / 2.0))
    assert share.mean == pytest.approx(of_term.mean / of_rho.mean)
    assert of_rho.label == of_term.label == share.label == "words, LSTM, loss 5"


def test_holm_by_hand() -> None:
    """p = 0.01, 0.04, 0.03 over three levels: 0.03, 0.06, 0.06; it never falls along the order."""
    made = [Level(str(p), (1.0, 1.0, 1.0), 1.0, 0.5, 1.5, p) for p in (0.01, 0.04, 0.03)]
    assert [v.adjusted for v in holm(made)] == pytest.approx([0.03, 0.06, 0.06])
    assert [v.resolved for v in holm(made)] == [1, 0, 0]


def test_two_pairs_resolve_nothing() -> None:
    """Below the fewest pairs a level is not resolved, however small its p-value."""
    assert levels([0.1, 0.1])[0].resolved == 0


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([UP, UP], "reproduced"),
        ([UP, WIDE], "partly"),
        ([UP, DOWN], "partly"),
        ([WIDE, WIDE], "not resolved"),
        ([DOWN, WIDE], "reversed"),
    ],
)
def test_a_direction(samples: list[list[float]], said: str) -> None:
    """Each word of a predicted sign, and the mirror image of it."""
    assert word(direction(1), *samples) == said
    assert word(direction(-1), *([-v for v in s] for s in samples)) == said


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ([0.95, 1.02, 1.04, 0.99], "reproduced"),
        ([1.30, 1.32, 1.28, 1.31], "partly"),
        ([0.4, 1.0, 1.6, 1.1], "partly"),
        ([-2.0, 3.0, 1.0, -1.0], "not resolved"),
        ([-1.0, -1.1, -0.9, -1.0], "reversed"),
    ],
)
def test_a_number(sample: list[float], said: str) -> None:
    """1 is predicted: agreed, another number, too uncertain, nothing, the other sign."""
    assert word(number(1.0), sample) == said


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([[0.01, 0.0, -0.01, 0.005]], "reproduced"),
        ([[0.01, 0.0, -0.01, 0.005], UP], "partly"),
        ([UP], "reversed"),
        ([WIDE], "not resolved"),
    ],
)
def test_no_effect(samples: list[list[float]], said: str) -> None:
    """An interval that is merely wide is no evidence for nothing."""
    assert word(nothing, *samples) == said


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([[-0.1, -0.11, -0.12], [0.0, 0.0, 0.0]], "reproduced"),
        ([[-0.1, -0.11, -0.12], [0.2, 0.21, 0.22]], "partly"),
        ([[0.2, 0.21, 0.22]], "reversed"),
        ([[0.2, -0.21, 0.02]], "not resolved"),
    ],
)
def test_at_most(samples: list[list[float]], said: str) -> None:
    """Inside, outside, both, neither."""
    assert word(at_most, *samples) == said


def test_an_open_question_has_no_side() -> None:
    """Either sign answers it."""
    assert word(open_question, UP, WIDE) == word(open_question, DOWN) == "resolved"
    assert word(open_question, WIDE) == "not resolved"


def test_the_dose_is_interpolated() -> None:
    """Log norm 0, -1, -2 at doses 0, 1, 2 and a target of -1.5: k* = 1.5, share 2/3; outside of the doses NaN."""
    one = {"norm": {0.0: 0.0, 1.0: -1.0, 2.0: -2.0}, "target": -1.5}
    assert verdicts.dose_of(one) == pytest.approx(1.5)
    assert verdicts.share_undone(one) == pytest.approx(2 / 3)
    assert math.isnan(verdicts.dose_of(one | {"target": -3.0}))


def made_up(value: Any, study: str, settings: Any) -> Results:
    """Results whose norm at every level is ``value(setting)``."""
    history = pd.DataFrame({"step": [0, 1], "loss": [2.0, 1.0]})
    found = {}
    for s in settings:
        at = {level: {"step": 99.0, "value": value(s)} for level in ("1", "0.7", "0.5", "0.3", "0.1", "1.2")}
        found[s] = Outcome(history, {"at_loss": at})
    return Results(found)


def test_the_grid_finds_the_weight_that_was_put_in() -> None:
    """Log norm = w tau(beta) - tau(rho), times a small number: the fit returns w, and refuses 1 where w = 2."""
    settings = [s for s in hill_studies.grid_study() if s.data == "digits"]
    for w, said in ((1.0, "reproduced"), (2.0, "partly")):

        def norm(s: Any, w: float = w) -> float:
            noise = 1e-4 * np.random.default_rng(s.seed + int(1000 * s.beta)).standard_normal()
            ages = w * verdicts.mean_lag(s.beta, 99) - verdicts.mean_lag(s.rho, 99)
            return math.exp(-0.005 * float(ages) + noise)

        found = made_up(norm, "grid", settings)
        (level,) = verdicts.grid(found)
        assert level.mean == pytest.approx(w, rel=0.02)
        assert number(1.0)(holm([level]))[0] == said


def test_every_question_can_be_asked_of_its_study() -> None:
    """Names are unique, studies exist, and without a record each answer is "not run" with its command."""
    known = {**hill_studies.QUESTIONS, **verdicts.box_studies.QUESTIONS}
    assert {q.study for q in verdicts.QUESTIONS.values()} == set(known)
    for q in verdicts.QUESTIONS.values():
        v = verdicts.judge(q, None)
        assert v.word == "not run"
        assert f"--study {q.study}" in v.markdown()


def flipped(folder: Path) -> Path:
    """A copy of the recorded study hill-rho in which every norm at matched loss is its own inverse."""
    target = folder / "one-norm-hill" / "evening"
    target.mkdir(parents=True)
    for ending in ("json", "parquet"):
        shutil.copy(ROOT / "results" / "one-norm-hill" / "evening" / f"hill-rho.{ending}", target)
    record = json.loads((target / "hill-rho.json").read_text())
    for run in record["runs"].values():
        for found in run["at_loss"].values():
            if found:
                found["value"] = 1 / found["value"]
    (target / "hill-rho.json").write_text(json.dumps(record))
    return folder


def printed(page: str, wanted: list[str], find: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the cells of a page that hold these words display, with records looked up by ``find``."""
    shown: list[str] = []

    def display(*things: Any) -> None:
        shown.extend(getattr(thing, "data", None) or str(thing) for thing in things)

    monkeypatch.setattr(store, "find", find)
    monkeypatch.setattr("IPython.display.display", display)
    verdicts._recorded.cache_clear()
    notebook = nbformat.read(ROOT / "book" / f"{page}.ipynb", as_version=4)
    # Without the cell that installs the library where it is missing.
    cells = [c.source for c in notebook.cells if c.cell_type == "code" and "%pip" not in c.source]
    chosen = [cells[0], *(next(c for c in cells if words in c) for words in wanted)]
    space: dict[str, Any] = {}
    for source in chosen:
        exec(compile(source, page, "exec"), space)
    verdicts._recorded.cache_clear()
    return "\n".join(shown)


@pytest.mark.slow
def test_page_summary_and_scorecard_follow_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record turned round turns the word on the page, in its summary and on the scorecard."""
    before = verdicts.verdict("hill-rho")
    after = verdicts.verdict("hill-rho", flipped(tmp_path))
    assert before.word in ("reproduced", "partly")
    assert [v.mean for v in after.levels] == pytest.approx([-v.mean for v in before.levels])
    question = verdicts.QUESTIONS["hill-rho"].question

    def of_the_copy(experiment: str, file: str) -> Path | None:
        path = tmp_path / experiment / file
        return path if path.exists() else None

    def nowhere(experiment: str, file: str) -> None:
        return None

    words = []
    for find in (store.find, of_the_copy, nowhere):
        page = printed(
            "one-norm-hill", ["HILL = [", 'say("hill-rho"', 'f"- {verdicts.QUESTIONS[name]'], find, monkeypatch
        )
        score = printed("reproductions", ['printed("one-norm-hill")'], find, monkeypatch)
        lines = page.splitlines()
        of_page = next(line for line in lines if line.startswith("**")).split("**")[1].rstrip(".")
        (of_summary,) = [line.split("**")[1] for line in lines if line.startswith(f"- {question}")]
        row = next(part for part in score.split("<tr>") if question in part)
        (of_score,) = [w for w in verdicts.WORDS if f"<td>{w}</td>" in row]
        assert of_page == of_summary == of_score
        words.append(of_page)
    assert words == [before.word, after.word, "not run"]


def test_a_study_ends_with_its_verdicts() -> None:
    """What the command shows and writes down is the same word."""
    record = results.load("one-norm-hill", "evening", study="hill-rho")
    assert record is not None
    said = verdicts.examine("evening", "hill-rho", record.results)
    assert [c.name for c in said] == ["hill-rho", "accuracy-rho"]
    for c in said:
        assert verdicts.verdict(c.name).word.upper() in c.statement
