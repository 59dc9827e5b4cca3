"""The pictures of a run: every study has one, whatever it holds."""

from __future__ import annotations

import dataclasses
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from optbias.experiments import pictures, results
from optbias.experiments.preset import Experiment
from optbias.experiments.results import Record, Results
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import Outcome, grid

BASE = Setting("a", "digits", "residual-mlp", steps=3)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def outcome(*columns, rows=4, value=1.0):
    return Outcome(pd.DataFrame({"step": range(rows), **{name: np.full(rows, value) for name in columns}}), {})


def made(settings, *columns, **options):
    return Results({s: outcome(*columns, **options) for s in settings})


@pytest.mark.parametrize("name", ["linf-constraint", "one-norm-hill"])
def test_every_study_of_the_recorded_runs_is_drawn(name):
    found = results.load(name, "cpu").results
    studies = dict.fromkeys(s.study for s in found.outcomes)
    for one in studies if name == "linf-constraint" else ("hill-rho", "grid", "other-hill"):
        fig = pictures.study(name, one, found, judged=False)
        assert fig.axes
        assert all(ax.lines for ax in fig.axes)
        assert all(np.isfinite(line.get_ydata()).any() for ax in fig.axes for line in ax.lines)


def test_curves_are_named_by_what_differs_and_panels_split_the_rest():
    settings = [
        *grid(BASE, rho=(0.9, 0.99), seed=(0, 1)),
        *grid(dataclasses.replace(BASE, data="cifar10-8"), rho=(0.9,)),
    ]
    fig = pictures.study("one-norm-hill", "a", made(settings, "one_norm_eps"))
    assert [ax.get_title() for ax in fig.axes] == ["digits", "cifar10-8"]
    legend = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert legend == ["ρ = 0.9", "ρ = 0.99"]
    assert len(fig.axes[0].collections) == 2  # the range of two seeds


def test_the_largest_weight_is_drawn_in_units_of_the_box():
    settings = grid(dataclasses.replace(BASE, optimizer="AdamW"), weight_decay=(1.0, 4.0))
    fig = pictures.study("linf-constraint", "a", made(settings, "linf", value=0.5))
    curves = [line.get_ydata()[0] for line in fig.axes[0].lines[:2]]
    assert curves == [0.5, 2.0]


@pytest.mark.parametrize(
    "found",
    [
        made([BASE], "accuracy"),  # nothing that is drawn
        made([BASE], "one_norm_eps", value=math.nan),
        made([BASE], "one_norm_eps", rows=1),
        made(grid(BASE, lr=tuple(np.geomspace(1e-4, 1, 9)), rho=tuple(np.linspace(0.5, 0.99, 9))), "one_norm_eps"),
        Results({BASE: Outcome(pd.DataFrame({"eta": [0.1]}), {})}),
    ],
)
def test_a_study_without_curves_or_with_many_is_no_error(found):
    assert pictures.study("one-norm-hill", "a", found).axes


def test_a_study_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no run of the study 'b'"):
        pictures.study("one-norm-hill", "b", made([BASE], "loss"))


def test_words_of_a_record_cannot_become_markup(tmp_path, monkeypatch):
    experiment = Experiment("x", "<script>", "a & b", {}, plan=None, measure=None, check=None, questions={"a": "<b>?"})
    record = Record(made([BASE], "loss"), [], {"command": "<i>"}, pd.DataFrame())
    monkeypatch.setattr(pictures, "_records", lambda folder, preset: [("cpu", record, 0.0)] if preset == "cpu" else [])
    *_, page = pictures.report(experiment, tmp_path)
    text = page.read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "&lt;b&gt;?" in text
    assert "&lt;i&gt;" in text


def test_other_presets_are_not_drawn_again(tmp_path, monkeypatch):
    experiment = Experiment("one-norm-hill", "t", "p", {}, plan=None, measure=None, check=None)
    record = Record(made([BASE], "loss"), [], {}, pd.DataFrame())
    monkeypatch.setattr(
        pictures, "_records", lambda folder, preset: [(preset, record, 1.0)] if preset != "paper" else []
    )
    drawn, study = [], pictures.study
    monkeypatch.setattr(pictures, "study", lambda *given: drawn.append(given) or study(*given))
    for presets, count in (({"cpu"}, 4), ({"cpu"}, 1), (set(), 0)):
        drawn.clear()
        *files, page = pictures.report(experiment, tmp_path, presets)
        assert len(drawn) == count
        assert len(files) == page.read_text().count("<img") == 4
