"""The bias map: the sign and size of Adam's implicit penalty, and the equations that show it on a toy."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import matplotlib.pyplot as plt
import torch
import traitlets
from torch import Tensor

from optbias import figures
from optbias.losses import landscapes
from optbias.rules import Adam
from optbias.simulate import trajectory
from optbias.theory.modified_equations import bias_coefficient, flow
from optbias.widgets.base import Widget, finite

WINDOW = (0.0, 4.0)
"""Both coordinates of the toy's window."""
MOST_STEPS = 2000
LIMITS = {
    "beta": (0.0, 0.9999),
    "rho": (0.0, 0.9999),
    "ratio": (0.0, 1e6),
    "lr": (1e-3, 1.0),
    "eps": (0.0, 1e6),
    "time": (0.1, 10.0),
}
"""The smallest and largest value of each number."""


class BiasMap(Widget):
    """The weight with which Adam adds the gradient's one-norm to the loss, over ``(beta, rho)``; and a toy.

    ``ratio`` is epsilon over the squared gradient, for the map; epsilon stands inside the root. The toy is the
    landscape ``bilinear``: for ``lr``, ``eps``, ``start`` and the ``time`` (steps times ``lr``) it shows Adam's path
    and the solutions of its equations of first and second order. All are traits: reading them gives what the reader
    chose. Raises TypeError or ValueError for a number outside :data:`LIMITS` or a start outside :data:`WINDOW`.

    >>> sorted(BiasMap().state())[:2]
    ['beta', 'eps']
    """

    kind: ClassVar[str] = "bias_map"

    beta = traitlets.Float(0.9).tag(sync=True)
    rho = traitlets.Float(0.95).tag(sync=True)
    ratio = traitlets.Float(1e-6).tag(sync=True)
    lr = traitlets.Float(0.01).tag(sync=True)
    eps = traitlets.Float(0.01).tag(sync=True)
    time = traitlets.Float(1.8).tag(sync=True)
    start = traitlets.List(trait=traitlets.Float(), default_value=[2.8, 3.5]).tag(sync=True)

    @traitlets.validate(*LIMITS)
    def _check_number(self, proposal: Any) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = LIMITS[name]
        if not low <= value <= high:
            raise ValueError(f"{name} must be in [{low:g}, {high:g}]; got {value!r}")
        return value

    @traitlets.validate("start")
    def _check_start(self, proposal: Any) -> list[float]:
        values = finite("start", proposal["value"], 2)
        if not all(WINDOW[0] <= value <= WINDOW[1] for value in values):
            raise ValueError(f"start must be two numbers in [{WINDOW[0]:g}, {WINDOW[1]:g}]; got {values!r}")
        return values

    @property
    def steps(self) -> int:
        """The number of steps on the toy: ``time / lr``, at most 2000."""
        return min(MOST_STEPS, max(1, math.floor(self.time / self.lr + 0.5)))

    @property
    def coefficient(self) -> float:
        """The weight at the chosen point: positive penalises the one-norm, negative rewards it."""
        return float(self._coefficient(self.beta, self.rho))

    def _coefficient(self, beta: Any, rho: Any) -> Tensor:
        one = torch.ones_like(beta) if isinstance(beta, Tensor) else torch.ones(1, dtype=torch.float64)
        return bias_coefficient(one, (beta, rho), self.ratio)

    def paths(self) -> dict[str, Tensor]:
        """Adam and both equations on the toy, computed here and not in the browser: ``(steps + 1, 2)``, float64."""
        rule = Adam(self.lr, (self.beta, self.rho), self.eps, eps_inside=True)
        loss, start = landscapes.get("bilinear"), torch.tensor(self.start, dtype=torch.float64)
        return {
            "Adam": trajectory(rule, loss, start, self.steps),
            "first-order equation": flow(rule, loss, start, self.steps, order=1),
            "corrected equation": flow(rule, loss, start, self.steps),
        }

    def describe(self) -> str:
        """The weight at the chosen point, and the three paths' ends."""
        kind = "a penalty on the one-norm" if self.coefficient > 0 else "the reverse of a penalty"
        ends = "; ".join(
            f"{name} at ({path[-1, 0]:.3g}, {path[-1, 1]:.3g})" if torch.isfinite(path).all() else f"{name} has none"
            for name, path in self.paths().items()
        )
        return (
            f"Left, the weight c of the one-norm over beta and rho for epsilon/g² = {self.ratio:.3g}: positive below a "
            f"curve, negative above it; at ({self.beta:.3g}, {self.rho:.3g}) it is {self.coefficient:.3g}, {kind}. "
            f"Right, on the toy loss, the ends after {self.steps} steps: {ends}."
        )

    def draw(self, figure: plt.Figure) -> None:
        """The map of the weight, and the three paths on the toy."""
        left, right = figure.subplots(1, 2)
        axis = torch.linspace(0, 3.3, 133, dtype=torch.float64)
        beta, rho = torch.meshgrid(1 - 10**-axis, 1 - 10**-axis, indexing="xy")
        c = self._coefficient(beta, rho)
        size = c.sign() * torch.log10(1 + c.abs())
        places = axis.numpy()
        image = left.pcolormesh(places, places, size.numpy(), cmap="PuOr_r", vmin=-3, vmax=3, rasterized=True)
        if c.amin() < 0 < c.amax():
            left.contour(places, places, c.numpy(), [0.0], colors=figures.INK, linewidths=1.5)
        left.plot(-math.log10(1 - self.beta), -math.log10(1 - self.rho), "o", color=figures.COLORS["blue"])
        factors = [0, 0.5, 0.9, 0.99, 0.999]
        ticks, names = [-math.log10(1 - factor) for factor in factors], [str(factor) for factor in factors]
        left.set_xticks(ticks, names)
        left.set_yticks(ticks, names)
        left.set(xlabel=r"$\beta$", ylabel=r"$\rho$")
        left.grid(False)
        bar = figure.colorbar(image, ax=left, ticks=[-3, -2, -1, 0, 1, 2, 3], label="weight $c$")
        bar.ax.set_yticklabels(["−1000", "−100", "−10", "0", "10", "100", "1000"], fontsize=8)
        x = torch.linspace(0.19, 4, 200)
        right.plot(x, 0.75 / x, color=figures.INK, linestyle="-", linewidth=1.2)
        right.plot(0.75**0.5, 0.75**0.5, "*", color=figures.COLORS["red"], markersize=11)
        for (name, path), color, dash in zip(
            self.paths().items(), figures.COLORS.values(), figures.DASHES, strict=False
        ):
            right.plot(*path.T, color=color, linestyle=dash, linewidth=1.5, label=name)
        right.set(xlim=WINDOW, ylim=WINDOW, xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
        right.legend(fontsize=8, loc="center right")
