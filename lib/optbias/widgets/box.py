"""The box: where weight decay leads sign descent, AdamW and Adam with an L2 term."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import matplotlib.pyplot as plt
import torch
import traitlets
from matplotlib.patches import Rectangle
from torch import Tensor

from optbias import figures, norms
from optbias.losses import landscapes
from optbias.rules import Adam, AdamW, Rule, SignGD
from optbias.simulate import trajectory
from optbias.theory import box, constrained
from optbias.widgets.base import Widget, finite

REACH = 2.5
"""The map shows both coordinates in [-REACH, REACH]."""
HESSIAN = ((2.0, 0.9), (0.9, 1.0))
LIMITS = {"angle": (-90.0, 90.0), "weight_decay": (0.0, 10.0), "lr": (0.0, 1.0), "steps": (10, 3000)}
PAIRS = {
    "curvatures": (0.01, 100.0),
    "minimiser": (-REACH, REACH),
    "start": (-REACH, REACH),
    "betas": (0.0, 0.9999),
}
"""The smallest and largest value of the numbers, and of the entries of the pairs."""


class Box(Widget):
    """Sign descent with decay, AdamW and Adam with an L2 term, side by side, with the box ``|theta_i| <= 1/lambda``.

    ``hessian`` (2 x 2, positive definite) and ``minimiser`` make the quadratic; ``start`` is the common first point;
    ``weight_decay`` is lambda (0: no box); ``lr`` the rate, divided by the root of the step if ``decaying``; ``betas``
    belong to AdamW and to Adam; epsilon is 0. ``loss="escape"`` takes in place of the quadratic the loss of one
    variable of :class:`optbias.theory.box.EscapeLoss`, made for AdamW with ``betas=(0.99, 0.9)``, ``lr=0.005``,
    lambda 1.

    The traits, with ``curvatures`` (low, high) and ``angle`` (degrees) for the Hessian, are what the browser shows;
    reading them gives what the reader chose. Raises TypeError or ValueError for what cannot be shown.

    >>> sorted(Box().state())[:2]
    ['angle', 'betas']
    """

    kind: ClassVar[str] = "box"

    loss = traitlets.Unicode("quadratic").tag(sync=True)
    curvatures = traitlets.List(trait=traitlets.Float()).tag(sync=True)
    angle = traitlets.Float(0.0).tag(sync=True)
    minimiser = traitlets.List(trait=traitlets.Float()).tag(sync=True)
    start = traitlets.List(trait=traitlets.Float()).tag(sync=True)
    weight_decay = traitlets.Float(1.0).tag(sync=True)
    lr = traitlets.Float(0.1).tag(sync=True)
    decaying = traitlets.Bool(True).tag(sync=True)
    betas = traitlets.List(trait=traitlets.Float()).tag(sync=True)
    steps = traitlets.Int(2000).tag(sync=True)

    def __init__(
        self,
        hessian: Sequence[Sequence[float]] | Tensor = HESSIAN,
        minimiser: Sequence[float] | Tensor = (1.7, 0.2),
        start: Sequence[float] | Tensor = (-1.6, 1.8),
        betas: Sequence[float] = (0.9, 0.95),
        **kwargs: Any,
    ):
        self._kept: tuple[dict[str, Any], dict[str, Tensor]] = ({}, {})
        matrix = torch.as_tensor(hessian, dtype=torch.float64)
        if matrix.shape != (2, 2) or not torch.equal(matrix, matrix.T):
            raise ValueError(f"hessian must be a symmetric 2 x 2 matrix; got {hessian!r}")
        (a, b), (_, d) = matrix.tolist()
        middle, spread = (a + d) / 2, math.hypot((a - d) / 2, b)
        super().__init__(
            curvatures=[middle - spread, middle + spread],
            angle=math.degrees(math.atan2(2 * b, a - d) / 2),
            minimiser=finite("minimiser", minimiser, 2),
            start=finite("start", start, 2),
            betas=finite("betas", betas, 2),
            **kwargs,
        )

    @traitlets.validate("loss")
    def _check_loss(self, proposal: Any) -> str:
        if proposal["value"] not in ("quadratic", "escape"):
            raise ValueError(f"loss must be 'quadratic' or 'escape'; got {proposal['value']!r}")
        return proposal["value"]

    @traitlets.validate(*LIMITS)
    def _check_number(self, proposal: Any) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = LIMITS[name]
        if not low <= value <= high:
            raise ValueError(f"{name} must be in [{low:g}, {high:g}]; got {value!r}")
        return value

    @traitlets.validate(*PAIRS)
    def _check_pair(self, proposal: Any) -> list[float]:
        name = proposal["trait"].name
        low, high = PAIRS[name]
        values = finite(name, proposal["value"], 2)
        if not all(low <= value <= high for value in values):
            raise ValueError(f"{name} must be two numbers in [{low:g}, {high:g}]; got {values!r}")
        return values

    @property
    def hessian(self) -> Tensor:
        """The Hessian of the quadratic, ``(2, 2)``."""
        low, high = self.curvatures
        c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        along, across = _double([c, s]), _double([-s, c])
        return high * torch.outer(along, along) + low * torch.outer(across, across)

    @property
    def kkt_point(self) -> Tensor | None:
        """The minimiser over the box, ``(2,)``, or ``(1,)`` for the loss ``escape``; None without a box."""
        if self.weight_decay == 0:
            return None
        radius = 1 / self.weight_decay
        if self.loss == "escape":
            return _escape().minimiser.clamp(min=-radius)
        return constrained.minimise_quadratic(self.hessian, _double(self.minimiser), radius)

    def ridge(self, weight_decay: float | None = None) -> Tensor:
        """The minimiser of the quadratic plus ``weight_decay |theta|^2 / 2`` (default: the present one), ``(2,)``."""
        hessian, decay = self.hessian, self.weight_decay if weight_decay is None else weight_decay
        return torch.linalg.solve(
            hessian + decay * torch.eye(2, dtype=torch.float64), hessian @ _double(self.minimiser)
        )

    def chosen_loss(self) -> Any:
        """The loss that is shown: a quadratic landscape or the EscapeLoss."""
        if self.loss == "escape":
            return _escape()
        return landscapes.get("quadratic", H=self.hessian, minimiser=_double(self.minimiser))

    def trajectories(self) -> dict[str, Tensor]:
        """The iterates of each method, computed here and not in the browser: ``(steps + 1, dim)``, float64."""
        state = self.state()
        if state != self._kept[0]:  # the picture and its words both need them
            loss, first = self.chosen_loss(), _double([1.0] if self.loss == "escape" else self.start)
            paths = {name: trajectory(rule, loss, first, self.steps) for name, rule in self.chosen_rules().items()}
            self._kept = (state, paths)
        return self._kept[1]

    def chosen_rules(self) -> dict[str, Rule]:
        """The three methods with the chosen numbers."""
        rate, decay, (beta1, beta2) = self.lr, self.weight_decay, self.betas
        lr: Any = (lambda t: rate / t**0.5) if self.decaying else rate
        return {
            "sign descent + decay": SignGD(lr, decay),
            "AdamW": AdamW(lr, (beta1, beta2), 0.0, decay),
            "Adam + L2": Adam(lr, (beta1, beta2), 0.0, decay),
        }

    def gap(self, path: Tensor) -> Tensor:
        """The relative KKT gap along a path ``(steps + 1, dim)``; outside the box it may be negative."""
        gradient = self.chosen_loss().gradient(path)
        return norms.kkt_gap(path, gradient, 1 / self.weight_decay, dim=-1, relative=True)

    def describe(self) -> str:
        """The box, its KKT point, and where each method ends."""
        ends = "; ".join(f"{name} at {_words(path[-1])}" for name, path in self.trajectories().items())
        what = "A quadratic of two variables with its minimiser at " + _words(_double(self.minimiser))
        if self.loss == "escape":
            what = f"A convex loss of one variable, least at {float(_escape().minimiser):.3g}"
        if self.kkt_point is None:
            return f"{what}, without a box, as lambda is 0. After {self.steps} steps: {ends}."
        return (
            f"{what}, and the box of half-width {1 / self.weight_decay:.3g}, whose KKT point is "
            f"{_words(self.kkt_point)}. Left, the paths of three methods; right, their relative KKT gaps. "
            f"After {self.steps} steps: {ends}."
        )

    def draw(self, figure: plt.Figure) -> None:
        """The map with the box and the paths (or the path against the step), and the relative KKT gap."""
        left, right = figure.subplots(1, 2)
        paths, red = self.trajectories(), figures.COLORS["red"]
        radius = 1 / self.weight_decay if self.weight_decay else math.inf
        wide = min(radius, 9.0)
        if self.loss == "escape":
            left.axhspan(-wide, wide, color=red, alpha=0.1, linewidth=0)
            left.set(xlabel="step", ylabel=r"$\theta$", ylim=(-2.2, 1.2))
        else:
            xlim = (-REACH, REACH)
            levels = [0.5 * max(self.curvatures) * (0.2 * 1.5**k) ** 2 for k in range(11)]
            figures.contours(left, self.chosen_loss(), xlim, xlim, levels=levels)
            if radius < math.inf:
                left.add_patch(
                    Rectangle((-wide, -wide), 2 * wide, 2 * wide, facecolor="none", edgecolor=red, linewidth=2)
                )
            shades = torch.stack([self.ridge(10.0**k) for k in torch.linspace(-3, 3, 61).tolist()])
            left.plot(*shades.T, color=figures.COLORS["pink"], linestyle=":", linewidth=1.6)
            left.plot(*self.ridge(), "D", color=figures.COLORS["pink"], markersize=6)
            left.plot(*self.minimiser, "x", color=figures.INK)
            if self.kkt_point is not None:
                left.plot(*self.kkt_point, "*", color=red, markersize=15)
        for (name, path), color, dash in zip(paths.items(), figures.COLORS.values(), figures.DASHES, strict=False):
            style: dict[str, Any] = {"color": color, "linestyle": dash, "linewidth": 1.4, "label": name}
            left.plot(*((path[:, 0],) if self.loss == "escape" else path.T), **style)
            if radius < math.inf:
                gap = self.gap(path)
                right.plot(torch.where(gap > 0, gap, torch.nan), **style)
        right.set(xlabel="step", ylabel="relative KKT gap", yscale="log")
        left.legend(fontsize=8, loc="upper right" if self.loss == "escape" else "lower left")


def _double(numbers: Sequence[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@functools.cache
def _escape() -> box.EscapeLoss:
    return box.EscapeLoss()


def _words(point: Tensor) -> str:
    numbers = ", ".join(f"{x:.3g}" if math.isfinite(x) else "no finite number" for x in point.tolist())
    return f"({numbers})" if len(point) > 1 else numbers
