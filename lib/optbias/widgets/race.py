"""The race: update rules side by side on one landscape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import matplotlib.pyplot as plt
import torch
import traitlets
from torch import Tensor

from optbias import figures, rules
from optbias.losses import landscapes
from optbias.losses.landscapes import Landscape
from optbias.rules import Rule
from optbias.simulate import trajectory
from optbias.widgets.base import Widget, finite

MOST_RULES = len(figures.COLORS)
MOST_STEPS = 2000
DEFAULT_RULES = (rules.GradientDescent(0.1), rules.Momentum(0.1, 0.9), rules.Adam(0.1))
_LEFT_OUT = {"orthogonalize", "ns_steps", "dim"}


class Race(Widget):
    """Update rules side by side: paths on a map of the loss, and the losses against the step.

    ``landscape``: a name from :data:`optbias.losses.landscapes.NAMES` or a landscape of two or three dimensions;
    ``rules``: up to seven rules; ``start``: the common first point, by default the landscape's; ``steps``: 1 to 2000;
    ``shown``: how many of them are drawn, by default all. Matrix rules take the point as a matrix of one column.

    The traits ``landscape``, ``parameters``, ``start``, ``rules`` (a list of dictionaries with the rule's name and
    numbers), ``steps`` and ``shown`` are what the browser shows; reading them gives what the reader chose, and
    setting them moves the figure. Raises TypeError or ValueError for anything that cannot be raced.

    >>> from optbias.rules import Adam, Lion
    >>> [path.shape for path in Race("ravine", [Adam(0.1), Lion(0.05)], steps=10).trajectories()]
    [torch.Size([11, 2]), torch.Size([11, 2])]
    """

    kind: ClassVar[str] = "race"

    landscape = traitlets.Unicode("ravine").tag(sync=True)
    parameters = traitlets.Dict().tag(sync=True)
    start = traitlets.List(trait=traitlets.Float()).tag(sync=True)
    rules = traitlets.List(trait=traitlets.Dict()).tag(sync=True)
    steps = traitlets.Int(100).tag(sync=True)
    shown = traitlets.Int(100).tag(sync=True)

    def __init__(
        self,
        landscape: str | Landscape = "ravine",
        rules: Sequence[Rule | Mapping[str, Any]] = DEFAULT_RULES,
        start: Sequence[float] | Tensor | None = None,
        steps: int = 100,
        shown: int | None = None,
        **kwargs: Any,
    ):
        loss = landscapes.get(landscape) if isinstance(landscape, str) else landscape
        if not isinstance(loss, Landscape):
            raise TypeError(f"landscape must be a name or a landscape; got {landscape!r}")
        if loss.dim not in (2, 3):
            raise ValueError(f"a race needs a landscape of 2 or 3 dimensions; {loss.name!r} has {loss.dim}")
        _check_count("steps", steps)  # before the default of shown is made from it
        point = loss.start if start is None else start
        super().__init__(
            landscape=loss.name,
            parameters={name: _plain(value) for name, value in loss.parameters().items()},
            start=finite("start", point, loss.dim),
            rules=[as_dict(rule) for rule in rules],
            steps=steps,
            shown=steps if shown is None else shown,
            **kwargs,
        )

    @traitlets.validate("landscape")
    def _check_landscape(self, proposal: Any) -> str:
        return landscapes.get(proposal["value"]).name

    @traitlets.validate("start")
    def _check_start(self, proposal: Any) -> list[float]:
        return finite("start", proposal["value"])

    @traitlets.validate("rules")
    def _check_rules(self, proposal: Any) -> list[dict[str, Any]]:
        given = proposal["value"]
        if len(given) > MOST_RULES:
            raise ValueError(f"rules must be at most {MOST_RULES} rules; got {len(given)}")
        return [as_dict(as_rule(entry)) for entry in given]

    @traitlets.validate("steps", "shown")
    def _check_steps(self, proposal: Any) -> int:
        _check_count(proposal["trait"].name, proposal["value"])
        return proposal["value"]

    @property
    def loss(self) -> Landscape:
        """The landscape that is shown, with its parameters."""
        known = landscapes.get(self.landscape).parameters()
        chosen = {name: value for name, value in self.parameters.items() if name in known and value is not None}
        return landscapes.get(self.landscape, **chosen)

    def chosen_rules(self) -> list[Rule]:
        """The rules that are shown."""
        return [as_rule(entry) for entry in self.rules]

    def trajectories(self) -> list[Tensor]:
        """The iterates of each rule, computed here and not in the browser: tensors ``(steps + 1, dim)``, float64."""
        loss = self.loss
        point = loss.start.clone()
        for i, value in enumerate(self.start[: loss.dim]):
            point[i] = value
        return [run_rule(rule, loss, point, self.steps) for rule in self.chosen_rules()]

    def describe(self) -> str:
        """What is drawn: the rules, the start, and where each loss ends."""
        loss, shown = self.loss, min(self.shown, self.steps)
        ends = []
        for name, path in zip(names(self.chosen_rules()), self.trajectories(), strict=True):
            value = float(loss(path[shown]))
            ends.append(f"{name} {value:.3g}" if math.isfinite(value) else f"{name} diverged")
        start = ", ".join(f"{x:.3g}" for x in self.start)
        return (
            f"Left, the paths of {len(ends)} update rules on the landscape {self.landscape} from ({start}); "
            f"right, their losses. Loss after {shown} steps: {'; '.join(ends)}."
        )

    def draw(self, figure: plt.Figure) -> None:
        """The map with the paths, and the losses beside it."""
        draw_paths(
            figure,
            self.loss,
            names(self.chosen_rules()),
            self.trajectories(),
            min(self.shown, self.steps),
            self.steps,
        )


def draw_paths(
    figure: plt.Figure, loss: Landscape, lanes: Sequence[str], paths: Sequence[Tensor], shown: int, steps: int
) -> None:
    """Paths ``(steps + 1, dim)``, called ``lanes``, on a map of the loss, and their losses beside it.

    ``shown`` of the ``steps`` are drawn.
    """
    left, right = figure.subplots(1, 2)
    if loss.dim == 2:
        xlim, ylim = loss.domain
        x, y = (torch.linspace(*limits, 101, dtype=torch.float64) for limits in (xlim, ylim))
        values = loss(torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)).flatten()
        # Lines at the quantiles, as in the browser, so that flat parts show them too.
        levels = torch.quantile(values, (torch.arange(14, dtype=torch.float64) + 0.5) / 14).unique().tolist()
        figures.contours(left, loss, xlim, ylim, levels=levels)
    floor = torch.nan if loss.dim == 3 else loss.minimum
    log = math.isfinite(floor)
    for name, path, color, dash in zip(lanes, paths, figures.COLORS.values(), figures.DASHES, strict=False):
        finite_path = path[: shown + 1][torch.isfinite(path[: shown + 1]).all(-1)]
        figures.path(left, finite_path[:, :2], name, color, linestyle=dash, marker="")
        height = loss(finite_path) - (floor if log else 0.0)
        right.plot(height.clamp_min(1e-300) if log else height, color=color, linestyle=dash, label=name)
    xlim, ylim = loss.domain[:2]
    left.set(xlim=xlim, ylim=ylim)
    right.set(xlabel="step", ylabel="f" if not log else "f − minimum" if floor else "f", xlim=(0, steps))
    if log and paths:
        right.set_yscale("log")
        right.set_ylim(bottom=max(right.get_ylim()[0], 1e-14))
    if lanes:
        figure.legend(*right.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=9)


def names(rules: Sequence[Rule]) -> list[str]:
    """What the rules are called; those of one class by the hyper-parameters in which they differ, too."""
    found = []
    for rule in rules:
        same = [one.hyperparameters() for one in rules if type(one) is type(rule)]
        differ = {key: value for key, value in same[0].items() if any(one[key] != value for one in same)}
        own = ", ".join(f"{key}={rule.hyperparameters()[key]}" for key in differ)
        found.append(f"{type(rule).__name__} ({own})" if own else type(rule).__name__)
    return found


def as_dict(rule: Rule | Mapping[str, Any]) -> dict[str, Any]:
    """A rule as the browser takes it: ``{"rule": name}`` and its numbers."""
    if isinstance(rule, Mapping):
        rule = as_rule(rule)
    if not isinstance(rule, Rule):
        raise TypeError(f"rules must be rules from optbias.rules, or dictionaries with their names; got {rule!r}")
    name, numbers = type(rule).__name__, rule.hyperparameters()
    if callable(numbers["lr"]) or rule.tensors():
        raise ValueError(f"a race needs plain numbers, not schedules or tensors; got {rule!r}")
    if numbers.get("orthogonalize", "svd") != "svd":
        raise ValueError("a race runs Muon with orthogonalize='svd'; the bfloat16 iteration is not in the browser")
    if numbers.get("norm") in ("spectral", "nuclear") or numbers.get("dim") is not None:
        raise ValueError("a race runs steepest descent in the norms 'linf', 'l2' and 'l1' of the whole point")
    return {"rule": name} | {key: _plain(value) for key, value in numbers.items() if key not in _LEFT_OUT}


def as_rule(entry: Mapping[str, Any]) -> Rule:
    """The rule that a dictionary of :func:`as_dict` stands for."""
    numbers = {key: value for key, value in entry.items() if key not in {"rule", *_LEFT_OUT}}
    name = entry.get("rule")
    cls = getattr(rules, str(name), None)
    if name == "Rule" or not (isinstance(cls, type) and issubclass(cls, Rule)):
        raise ValueError(f"a rule must be named as in optbias.rules ('Adam', ...); got {name!r}")
    if "betas" in numbers:
        numbers["betas"] = tuple(numbers["betas"])
    return cls(**numbers, **({"orthogonalize": "svd"} if cls is rules.Muon else {}))


def run_rule(rule: Rule, loss: Landscape, start: Tensor, steps: int) -> Tensor:
    """The iterates of ``rule`` from ``start``, ``(steps + 1, dim)``; Muon takes the point as a column."""
    if not isinstance(rule, rules.Muon):
        return trajectory(rule, loss, start, steps)
    column = start.unsqueeze(-1)
    path = trajectory(
        rule, loss, column, steps, gradient=lambda theta, t: loss.gradient(theta.squeeze(-1)).unsqueeze(-1)
    )
    return path.squeeze(-1)


def _check_count(name: str, value: Any) -> None:
    low = 1 if name == "steps" else 0
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= MOST_STEPS:
        raise ValueError(f"{name} must be an integer in [{low}, {MOST_STEPS}]; got {value!r}")


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
