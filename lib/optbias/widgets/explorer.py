"""Recorded runs to explore: the curves of the runs that the reader chooses, with one cursor through both plots."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import traitlets

from optbias import figures
from optbias.losses import landscapes
from optbias.rules import Adam
from optbias.simulate import trajectory
from optbias.widgets.base import Widget

FACTORS = ("data", "model", "norm", "optimizer", "beta", "rho", "lr", "weight_decay", "batch_size", "seed")
"""Columns of a table that say what was varied, in the order in which the reader is asked; others are passed over."""

PAIRS = ("beta, rho", "optimizer, weight_decay")
"""Factors that may have colours together, as ``colour_by`` names them."""

TITLES = {
    "loss": "training loss",
    "test_loss": "held-out loss",
    "test_accuracy": "test accuracy",
    "linf": "largest weight, ‖θ‖∞",
    "kkt_gap": "relative KKT gap",
    "share_on_box": "share of weights on the box",
    "one_norm": "‖∇f‖₁",
    "one_norm_eps": "perturbed one-norm, ‖∇f‖₁,ε",
    "two_norm": "‖∇f‖₂",
    "norm": "normalisation",
    "beta": "β",
    "rho": "ρ",
    "lr": "η",
    "weight_decay": "λ",
    "batch_size": "batch size",
}
"""What the reader sees in place of the name of a column."""

LOGARITHMIC = ("loss", "test_loss", "linf", "one_norm", "one_norm_eps", "two_norm")
"""Columns whose axis is logarithmic."""

_DIGITS = 4  # of the numbers in the page: a curve is not known more exactly than a pixel


class Explorer(Widget):
    """Runs of an experiment, read from its tidy table, to choose from and to compare.

    ``table``: a row for each run and recorded step, with the columns ``run``, ``study``, ``step``, those of
    :data:`FACTORS` that there are, and ``columns`` (``results.load(...).table`` is one). ``titles`` maps the studies
    to show, in order, to what the reader is told about them (default: all, by name). ``walls`` maps a study to the
    lines drawn across its plots, ``{column: [values]}``. About ``rows`` rows of each run go into the page.
    Without a table, four short runs of Adam on a ravine stand there as an example.

    The traits are what the reader chose: ``study``; ``chosen``, the values of factors (``{"rho": 0.99}``; a factor that
    is missing stands for all its values); ``colour_by``, the factor whose values have colours, or one of :data:`PAIRS`
    (``""``: the first factor);
    ``left`` and ``right``, the columns drawn; ``right_against``: ``"step"`` or ``"loss"``; the place of the cursor,
    ``cursor``, a step or a loss as ``cursor_by`` says (default: half of the way). :meth:`at_cursor` has the values
    there.

    Raises TypeError for a table that is none, ValueError for a column, study, factor or value that it does not have.

    >>> Explorer.kind
    'explorer'
    """

    kind: ClassVar[str] = "explorer"

    record = traitlets.Dict().tag(sync=True)
    study = traitlets.Unicode("").tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)
    colour_by = traitlets.Unicode("").tag(sync=True)
    left = traitlets.Unicode("").tag(sync=True)
    right = traitlets.Unicode("").tag(sync=True)
    right_against = traitlets.Unicode("step").tag(sync=True)
    cursor = traitlets.Float(0.0).tag(sync=True)
    cursor_by = traitlets.Unicode("step").tag(sync=True)

    def __init__(
        self,
        table: pd.DataFrame | None = None,
        columns: Sequence[str] = ("loss", "one_norm"),
        *,
        titles: Mapping[str, str] | None = None,
        walls: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
        rows: int = 60,
        **kwargs: Any,
    ):
        record = compact(example() if table is None else table, columns, titles=titles, walls=walls, rows=rows)
        longest = max(run["step"][-1] for run in record["studies"][0]["runs"])
        usual = {
            "study": record["studies"][0]["name"],
            "cursor": longest // 2,
            "left": columns[1 if len(columns) > 1 else 0],
            "right": columns[0],
        }
        # The record first: the other traits are checked against it.
        super().__init__(record=record, **(usual | kwargs))

    @traitlets.validate("study")
    def _check_study(self, proposal: Any) -> str:
        return _one_of("study", proposal["value"], [study["name"] for study in self.record["studies"]])

    @traitlets.validate("left", "right")
    def _check_column(self, proposal: Any) -> str:
        return _one_of(proposal["trait"].name, proposal["value"], self.record["columns"])

    @traitlets.validate("right_against", "cursor_by")
    def _check_axis(self, proposal: Any) -> str:
        return _one_of(proposal["trait"].name, proposal["value"], ["step", "loss"])

    @traitlets.validate("colour_by")
    def _check_factor(self, proposal: Any) -> str:
        return _one_of("colour_by", proposal["value"], ["", *FACTORS, *PAIRS])

    @traitlets.validate("chosen")
    def _check_chosen(self, proposal: Any) -> dict[str, Any]:
        for name in proposal["value"]:
            _one_of("a factor in chosen", name, FACTORS)
        return proposal["value"]

    @traitlets.validate("cursor")
    def _check_cursor(self, proposal: Any) -> float:
        if not (math.isfinite(proposal["value"]) and proposal["value"] >= 0):
            raise ValueError(f"cursor must be a step or a loss, finite and >= 0; got {proposal['value']!r}")
        return proposal["value"]

    @property
    def shown(self) -> dict[str, Any]:
        """The study that is shown: ``name``, ``title``, ``wall``, ``factors`` and ``runs``."""
        return next(study for study in self.record["studies"] if study["name"] == self.study)

    def varied(self) -> dict[str, list[Any]]:
        """The factors that differ between the runs of the study, with their values in order."""
        study = self.shown
        values = {name: list(dict.fromkeys(run["is"][k] for run in study["runs"])) for k, name in _numbered(study)}
        return {name: found for name, found in values.items() if len(found) > 1}

    def groups(self) -> dict[str, list[dict[str, Any]]]:
        """The chosen runs, by the value of the factor that has colours: ``{"ρ = 0.9": [run, ...], ...}``.

        A chosen value that no run of the study has is passed over, as the browser does.
        """
        study, varied = self.shown, self.varied()
        names = self.colour_by.split(", ")
        if not set(names) <= set(varied):
            names = [next((name for name in varied if name != "seed"), "seed")] if varied else []
        places = {name: k for k, name in _numbered(study)}
        wanted = {
            places[name]: str(_plain(value))
            for name, value in self.chosen.items()
            if str(_plain(value)) in {str(one) for one in varied.get(name, [])}
        }
        found: dict[str, list[dict[str, Any]]] = {}
        for run in study["runs"]:
            if all(str(run["is"][k]) == text for k, text in wanted.items()):
                label = ", ".join(_label(name, run["is"][places[name]]) for name in names) or "the run"
                found.setdefault(label, []).append(run)
        return dict(list(found.items())[: len(figures.COLORS)])

    def at_cursor(self, column: str | None = None) -> dict[str, list[float]]:
        """The values of ``column`` (default: the left one) at the cursor, by group; runs that end before are left out.

        A step between two recorded ones, and the place where the loss first falls below a level, are interpolated
        (logarithmic columns in the logarithm), as :func:`optbias.experiments.measures.crossing` does.
        """
        column = self.left if column is None else _one_of("column", column, ["step", *self.record["columns"]])
        found = {}
        for label, runs in self.groups().items():
            rows = [(run, position(run, self.cursor_by, self.cursor)) for run in runs]
            found[label] = [value(run, column, row) for run, row in rows if row is not None]
        return found

    def describe(self) -> str:
        """The study, and the left column's values at the cursor."""
        where = "step" if self.cursor_by == "step" else "the first training loss below"
        left, right = (TITLES.get(name, name) for name in (self.left, self.right))
        values = [
            f"{label}: {np.mean(found):.3g}" if found else f"{label}: not reached"
            for label, found in self.at_cursor().items()
        ]
        return (
            f"Recorded runs. {self.shown['title']}: {left} against the step, and {right} against the "
            f"{TITLES.get(self.right_against, 'step')}. {left} at {where} {self.cursor:g}, mean over the runs: "
            f"{'; '.join(values) or 'no run'}."
        )

    def draw(self, figure: plt.Figure) -> None:
        """The two plots of the chosen runs."""
        axes = figure.subplots(1, 2)
        panels = ((axes[0], self.left, "step"), (axes[1], self.right, self.right_against))
        for axis, column, against in panels:
            styles = zip(self.groups().items(), figures.COLORS.values(), figures.DASHES, strict=False)
            for (label, runs), color, dash in styles:
                for k, run in enumerate(runs):
                    x, y = (np.array(run[name], dtype=float) for name in (against, column))
                    there = np.isfinite(x) & np.isfinite(y)
                    axis.plot(
                        x[there], y[there], color=color, linestyle=dash, linewidth=1.3, label=None if k else label
                    )
            for height in self.shown["wall"].get(column, []):
                axis.axhline(height, color=figures.COLORS["red"], linestyle="-", linewidth=1)
            axis.set(
                xlabel="step" if against == "step" else "training loss (falling)", ylabel=TITLES.get(column, column)
            )
            if column in LOGARITHMIC:
                axis.set_yscale("log")
            if against == "loss":
                axis.set_xscale("log")
                axis.invert_xaxis()
        if self.groups():
            figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=9)


def compact(
    table: pd.DataFrame,
    columns: Sequence[str],
    *,
    titles: Mapping[str, str] | None = None,
    walls: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    rows: int = 60,
) -> dict[str, Any]:
    """The runs of a tidy table as the page holds them: ``{"columns": [...], "studies": [...]}``, plain and small.

    ``logarithmic`` lists the columns with such an axis, ``titles`` says what columns and factors are called.
    A study has ``name``, ``title``, ``wall``, ``factors`` and ``runs``; a run has ``is``, the values of the factors,
    ``step``, and a list for each column, with None where nothing was measured. Numbers have four digits. Of a run,
    about ``rows`` rows are kept, evenly spaced among the recorded ones, and those in which every column was measured.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"table must be a pandas DataFrame; got {type(table).__name__}")
    for name in ("run", "study", "step", *columns):
        _one_of("a column", name, [str(column) for column in table.columns])
    if not columns:
        raise ValueError("columns must name at least one column; got none")
    if rows < 2:
        raise ValueError(f"rows must be at least 2; got {rows}")
    there = list(dict.fromkeys(table["study"].astype(str)))
    for name in titles or {}:
        _one_of("a study", name, there)
    factors = [name for name in FACTORS if name in table]
    studies = []
    for study in titles or there:
        runs = []
        for _, run in table[table["study"] == study].groupby("run", sort=False, observed=True):
            runs.append({"is": [_plain(run.iloc[0][name]) for name in factors], **_curve(run, columns, rows)})
        vary = [k for k in range(len(factors)) if len({run["is"][k] for run in runs}) > 1]
        for run in runs:
            run["is"] = [run["is"][k] for k in vary]
        studies.append(
            {
                "name": study,
                "title": (titles or {}).get(study, study),
                "wall": {name: list(map(float, at)) for name, at in (walls or {}).get(study, {}).items()},
                "factors": [factors[k] for k in vary],
                "runs": sorted(runs, key=lambda run: [(isinstance(v, str), v) for v in run["is"]]),
            }
        )
    return {
        "columns": list(columns),
        "logarithmic": [name for name in columns if name in LOGARITHMIC],
        "titles": {name: TITLES[name] for name in (*columns, *factors) if name in TITLES},
        "studies": studies,
    }


def position(run: Mapping[str, Any], by: str, at: float) -> float | None:
    """The row, with a fraction, where ``by`` is ``at``: a step, or a loss when it first falls below; None: never."""
    values = run[by]
    if by == "step":
        if at > values[-1]:
            return None
        return float(np.interp(at, values, np.arange(len(values))))
    before = None
    for row, now in enumerate(values):
        if now is None:
            continue
        if now < at:
            if before is None:
                return float(row)
            share = math.log(values[before] / at) / math.log(values[before] / now)
            return before + (row - before) * share
        before = row
    return None


def value(run: Mapping[str, Any], column: str, row: float) -> float:
    """The value of a column at a row with a fraction, from the nearest rows that have one; NaN where there is none."""
    known = [(k, one) for k, one in enumerate(run[column]) if one is not None]
    below = [pair for pair in known if pair[0] <= row]
    above = [pair for pair in known if pair[0] >= row]
    if not below or not above:
        return math.nan
    (a, low), (b, high) = below[-1], above[0]
    if a == b:
        return float(low)
    share = (row - a) / (b - a)
    if column in LOGARITHMIC and low > 0 and high > 0:
        return low ** (1 - share) * high**share
    return low + share * (high - low)


def example() -> pd.DataFrame:
    """A small table of the kind that :class:`Explorer` takes: four runs of Adam on a ravine, computed here."""
    loss, tables = landscapes.get("ravine"), []
    for rho in (0.9, 0.999):
        for beta in (0.5, 0.9):
            path = trajectory(Adam(0.05, (beta, rho)), loss, loss.start, 60)
            gradients = torch.stack([loss.gradient(theta) for theta in path])
            columns = {
                "run": f"{beta}, {rho}",
                "study": "example",
                "beta": beta,
                "rho": rho,
                "step": range(len(path)),
                "loss": loss(path).tolist(),
                "one_norm": gradients.abs().sum(-1).tolist(),
            }
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _curve(run: pd.DataFrame, columns: Sequence[str], rows: int) -> dict[str, list[Any]]:
    """Steps and columns of one run, thinned."""
    measured = run.dropna(subset=list(columns), how="all").drop_duplicates("step").sort_values("step")
    even = np.linspace(0, len(measured) - 1, min(rows, len(measured))).round().astype(int)
    # What is measured seldom (test accuracy) is kept.
    whole = np.flatnonzero(measured[list(columns)].notna().all(axis=1))
    kept = measured.iloc[np.union1d(even, whole if len(whole) <= rows else [])]
    return {
        "step": [int(step) for step in kept["step"]],
        **{name: [_number(x) for x in kept[name]] for name in columns},
    }


def _number(x: float) -> float | int | None:
    """Four digits; None for what is not finite. Whole numbers are written without a point."""
    if not math.isfinite(x):
        return None
    short = float(f"{x:.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _plain(x: Any) -> Any:
    """A factor's value as JSON has it; float32 rounding undone, whole numbers as such."""
    x = x.item() if hasattr(x, "item") else x
    if isinstance(x, bool) or not isinstance(x, int | float):
        return x
    short = float(f"{x:.6g}")
    return int(short) if short.is_integer() else short


def _label(name: str, x: Any) -> str:
    """A factor with its value; what is not a number speaks for itself."""
    return f"{TITLES.get(name, name)} = {x:g}" if isinstance(x, int | float) and not isinstance(x, bool) else str(x)


def _numbered(study: Mapping[str, Any]) -> list[tuple[int, str]]:
    return list(enumerate(study["factors"]))


def _one_of(name: str, given: Any, allowed: Collection[Any]) -> Any:
    if given not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {given!r}")
    return given
