"""What a person looks at after a run: a picture of each study, and one page that needs no network.

:func:`study` draws a study from its results, :func:`report` everything that lies in the folder of an experiment. The
curves and intervals are drawn by :mod:`optbias.experiments.draw`, as on the pages of the course.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from optbias import figures
from optbias.experiments import draw, results, store, verdicts
from optbias.experiments.checks import REPORTED
from optbias.experiments.preset import PRESETS, Experiment
from optbias.experiments.results import Record, Results
from optbias.experiments.runs import Setting
from optbias.experiments.verdicts import QUESTIONS, Verdict

PANELS = ("data", "model", "norm", "lr", "batch_size", "eps", "kind")
"""The fields that make a panel of their own where they vary; the others make curves."""

NOT_SHOWN = {"study", "seed", "steps", "evaluate_every", "full_gradient_every", "micro_batch", "box", "test_size",
             "stop_below",
    "to_beta",
    "to_rho", "sharpness_every", "slope_every", "train_size", "context", "eps_inside"}  # fmt: skip
"""The fields that go with others and are not named."""

MOST_PANELS, MOST_CURVES = 4, 7
"""How many of them a picture has; what is left out is said in its title."""

SYMBOLS = {"beta": "β", "rho": "ρ", "lr": "η", "weight_decay": "λ", "eps": "ε", "dose": "k"}

COLUMNS = {"one_norm_eps": "perturbed one-norm of the gradient", "linf": "largest weight", "loss": "training loss"}
"""What may be drawn against the step, and its name on the axis."""


def study(experiment: str, name: str, found: Results, judged: bool = True) -> Figure:
    """Curves of the study ``name`` against the step, one for each setting (mean of its seeds and their range).

    Beside them stands each verdict on the study with its intervals (:mod:`optbias.experiments.verdicts`), unless
    ``judged`` is False: a study of another preset may have the same name, and the protocol is the evening's. Raises
    ValueError if the results hold no run of the study.
    """
    settings = found.select(study=name)
    if not settings:
        raise ValueError(f"there is no run of the study {name!r}")
    column = column_of(experiment, found, settings[0])
    panels = panels_of(settings)
    levels = [v for v in verdicts_of(experiment, name, found) if v.levels] if judged else []
    shown = list(panels.items())[:MOST_PANELS] if column else []
    wide = len(shown) + len(levels)
    with figures.style():
        fig, axes = plt.subplots(1, max(1, wide), figsize=(4.6 * max(1, wide), 3.8), squeeze=False)
        for ax, (title, those) in zip(axes[0], shown, strict=False):
            curves(ax, found, those, str(column))
            ax.set_title(title, fontsize=9)
        for ax, verdict in zip(axes[0, len(shown) :], levels, strict=False):
            draw.forest(ax, verdict)
            ax.set_xlabel({"ratio": "ratio", "points": "points of per cent"}.get(verdict.levels[0].unit, "value"))
            ax.set_title(f"{verdict.name}: {verdict.word}", fontsize=9)
        if not wide:
            axes[0, 0].axis("off")
        left = len(panels) - len(shown)
        fig.suptitle(name + (f" ({left} more settings in the table)" if left and column else ""), fontsize=11)
    return fig


def column_of(experiment: str, found: Results, setting: Setting) -> str | None:
    """What is drawn of a run: the quantity of its experiment, else what there is; None for a study without curves."""
    history = found.history(setting)
    first = ("linf", "one_norm_eps") if experiment == "linf-constraint" else ("one_norm_eps", "linf")
    wanted = (name for name in (*first, "loss") if name in history and history[name].notna().any())
    return next(wanted, None) if "step" in history else None


def panels_of(settings: Sequence[Setting]) -> dict[str, list[Setting]]:
    """The settings by panel, under a title that says what they share and others do not."""
    fields = [name for name in varied(settings) if name in PANELS]
    panels: dict[str, list[Setting]] = {}
    for s in settings:
        panels.setdefault(label(s, fields), []).append(s)
    return panels


def varied(settings: Sequence[Setting]) -> list[str]:
    """The fields in which the settings differ, but for those that go with others."""
    names = [f.name for f in dataclasses.fields(Setting) if f.name not in NOT_SHOWN]
    return [name for name in names if len({getattr(s, name) for s in settings}) > 1]


def label(setting: Setting, fields: Sequence[str]) -> str:
    """``β = 0.9, ρ = 0.99``."""
    words = []
    for name in fields:
        value = getattr(setting, name)
        text = f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
        words.append(f"{SYMBOLS.get(name, name)} = {text}" if isinstance(value, (int, float)) else text)
    return ", ".join(words)


def curves(ax: Axes, found: Results, settings: Sequence[Setting], column: str) -> None:
    """``column`` against the step: for each setting the mean over its seeds, with their range as a band.

    The largest weight is drawn in units of the radius of the box, if the run has one.
    """
    groups: dict[Setting, list[Setting]] = {}
    for s in settings:
        groups.setdefault(dataclasses.replace(s, seed=0), []).append(s)
    fields = varied(list(groups))
    chosen = [list(groups)[i] for i in np.unique(np.linspace(0, len(groups) - 1, MOST_CURVES).round().astype(int))]
    boxed = column == "linf" and all(not math.isnan(s.radius) for s in settings)
    for first, (color, dash) in zip(chosen, draw.INKS, strict=False):
        steps, y = seeds_of(found, groups[first], column)
        if not len(steps):
            continue
        if boxed:
            y = y / np.array([[s.radius] for s in groups[first]])
        text = label(first, fields) or "all runs"
        ax.plot(steps, np.nanmean(y, 0), color=color, ls=dash, lw=1.6, label=text)
        if len(y) > 1:
            ax.fill_between(steps, np.nanmin(y, 0), np.nanmax(y, 0), color=color, alpha=0.18, lw=0)
    name = "largest weight over the half-width of the box" if boxed else COLUMNS[column]
    ax.set(xlabel="step", ylabel=name, yscale="log")
    if boxed:
        ax.axhline(1.0, color=figures.INK, lw=1)
    if len(groups) > len(chosen):
        ax.text(0.02, 0.02, f"{len(chosen)} of {len(groups)} settings", transform=ax.transAxes, fontsize=8)
    if ax.lines:
        ax.legend(fontsize=8)


def seeds_of(found: Results, settings: Sequence[Setting], column: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and ``column`` of each of the settings on them, ``(settings, steps)``; NaN behind the end of a run."""
    histories = [found.history(s)[["step", column]].dropna() for s in settings]
    histories = [h[np.isfinite(h[column])] for h in histories]
    if not any(map(len, histories)):
        return np.empty(0), np.empty((len(settings), 0))
    steps = max((h["step"].to_numpy(float) for h in histories), key=len)
    rows = []
    for h in histories:
        own, values = h["step"].to_numpy(float), h[column].to_numpy(float)
        rows.append(np.interp(steps, own, values, right=math.nan) if len(own) else np.full(len(steps), math.nan))
    table = np.stack(rows)
    kept = ~np.isnan(table).all(0)
    return steps[kept], table[:, kept]


def verdicts_of(experiment: str, name: str, found: Results) -> list[Verdict]:
    """The verdicts on the study, if it was run as the protocol of the evening has it."""
    about = [q for q in QUESTIONS.values() if (q.experiment, q.study) == (experiment, name)]
    return [verdicts.judge(q, Results({s: found.outcomes[s] for s in found.select(study=name)})) for q in about]


# ---- the page ------------------------------------------------------------------------------------------------------


def report(experiment: Experiment, folder: Path, presets: Collection[str] = PRESETS) -> list[Path]:
    """Draw every record in ``folder`` and write ``report.html`` there; returns the files, the page last.

    A record ``<preset>.json`` gives ``<preset>-<study>.png`` for each of its studies, ``<preset>/<study>.json`` one. Of
    other presets than those in ``presets`` a picture that is there and younger than its record is taken as it is.
    """
    written: list[Path] = []
    parts = []
    for preset in PRESETS:
        for name, record, written_at in _records(folder, preset):
            judged = preset == "evening"
            pieces = []
            for one in dict.fromkeys(s.study for s in record.results.outcomes):
                path = folder / f"{preset}-{one}.png"
                if preset in presets or not path.exists() or path.stat().st_mtime < written_at:
                    fig = study(experiment.name, one, record.results, judged)
                    with store.replacing(path) as temporary:
                        fig.savefig(temporary, format="png", facecolor="white", transparent=False)
                    plt.close(fig)
                written.append(path)
                alt = f"Curves of the study {one} against the step" + (", and its intervals" if judged else "")
                question = experiment.questions.get(one, "")
                pieces.append(f"<h3>{_text(one)}</h3><p>{_text(question)}</p>{_image(path, alt)}")
                if judged:
                    pieces.append(_verdicts(verdicts_of(experiment.name, one, record.results)))
            skipped = [f"<p>Not run: {_text(k)}: {_text(v)}</p>" for k, v in record.results.skipped.items()]
            parts.append(
                f"<section><h2>{_text(name)}</h2>{''.join(pieces)}{''.join(skipped)}"
                f"{_checks(record)}{_provenance(record)}</section>"
            )
    page = folder / "report.html"
    with store.replacing(page) as temporary:
        temporary.write_text(_page(experiment, parts), encoding="utf-8")
    return [*written, page]


def _records(folder: Path, preset: str) -> list[tuple[str, Record, float]]:
    """The records of a preset with their names and the times at which they were written."""
    files = [folder / f"{preset}.json", *sorted((folder / preset).glob("*.json"))]
    return [
        (preset if path.parent == folder else f"{preset}: {path.stem}", results.read(path.parent, path.stem),
         path.stat().st_mtime)
        for path in files
        if path.is_file()
    ]  # fmt: skip


def _text(value: Any) -> str:
    return html.escape(str(value))


def _image(path: Path, alt: str) -> str:
    code = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{_text(alt)}" src="data:image/png;base64,{code}">'


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{_text(h)}</th>" for h in headings)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide" tabindex="0"><table><tr>{head}</tr>{body}</table></div>'


def _verdicts(judged: Sequence[Verdict]) -> str:
    rows = [(v.question, v.predicted, v.word, "; ".join(f"{x.label}: {x.text()}" for x in v.levels)) for v in judged]
    return _table(("question", "predicted", "verdict", "mean and 95 % interval"), rows) if rows else ""


def _checks(record: Record) -> str:
    rows = []
    for c in record.checks:
        said = c.measured if c.holds is not None or c.reason == REPORTED else c.reason
        rows.append((c.verdict, c.statement, said, c.allowed))
    if not rows:
        return ""
    counts = ", ".join(f"{sum(r[0] == word for r in rows)} {word}" for word in dict.fromkeys(str(r[0]) for r in rows))
    table = _table(("verdict", "statement", "measured", "allowed"), rows)
    return f"<details><summary>What the run says about itself: {_text(counts)}</summary>{table}</details>"


def _provenance(record: Record) -> str:
    rows = []
    for name, value in record.provenance.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = "; ".join(
                ", ".join(f"{k} {v}" for k, v in x.items()) if isinstance(x, dict) else str(x) for x in value
            )
        rows.append((name, value))
    return f"<details><summary>How it was made</summary>{_table(('', ''), rows)}</details>"


_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
img { display: block; max-width: 100%; }
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { border-bottom: 1px solid #8886; padding: 0.25rem 0.6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; min-width: 5rem; }
.wide { overflow-x: auto; }
section { border-top: 2px solid #8886; margin-top: 2rem; }
summary { cursor: pointer; margin: 0.5rem 0; }
"""


def _page(experiment: Experiment, parts: Sequence[str]) -> str:
    title = f"{experiment.name}: {experiment.title}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{_text(title)}</h1><p>After {_text(experiment.paper)}. Curves are means over the seeds, bands their "
        f"range. A filled dot is resolved after Holm's correction.</p>{''.join(parts)}</body></html>\n"
    )
