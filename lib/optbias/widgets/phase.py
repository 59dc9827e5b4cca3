"""Momentum's phase diagram: roots and damping over (learning rate times curvature, momentum)."""

from __future__ import annotations

from typing import Any, ClassVar

import matplotlib.pyplot as plt
import torch
import traitlets
from matplotlib.colors import ListedColormap

from optbias import figures
from optbias.rules import Momentum
from optbias.simulate import trajectory
from optbias.theory import quadratic_dynamics as dynamics
from optbias.widgets.base import Widget

REGION_COLORS = tuple(figures.COLORS[name] for name in ("green", "blue", "gold", "red"))
"""The colour of each of :data:`optbias.theory.quadratic_dynamics.REGIMES`."""


class Phase(Widget):
    """What momentum does along one eigendirection of a quadratic, for every step on curvature and every factor.

    ``form``: ``"heavy_ball"`` or ``"ema"``; ``nesterov``; ``lr_curvature``: the learning rate times the curvature, in
    [0, 1000]; ``beta`` in [0, 0.999]; ``steps`` of the trajectory, 1 to 500. All are traits: reading them gives what
    the reader chose. Raises ValueError for a number outside its interval or another form.

    >>> Phase(beta=0.5).trajectory().shape
    torch.Size([61])
    """

    kind: ClassVar[str] = "phase"

    form = traitlets.Unicode("heavy_ball").tag(sync=True)
    nesterov = traitlets.Bool(False).tag(sync=True)
    lr_curvature = traitlets.Float(1.0).tag(sync=True)
    beta = traitlets.Float(0.8).tag(sync=True)
    steps = traitlets.Int(60).tag(sync=True)

    @traitlets.validate("form")
    def _check_form(self, proposal: Any) -> str:
        if proposal["value"] not in ("heavy_ball", "ema"):
            raise ValueError(f"form must be 'heavy_ball' or 'ema'; got {proposal['value']!r}")
        return proposal["value"]

    @traitlets.validate("lr_curvature", "beta", "steps")
    def _check_number(self, proposal: Any) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = {"lr_curvature": (0, 1000), "beta": (0, 0.999), "steps": (1, 500)}[name]
        if not low <= value <= high:
            raise ValueError(f"{name} must be in [{low}, {high}]; got {value!r}")
        return value

    def trajectory(self) -> torch.Tensor:
        """The iterates on ``theta**2 / 2`` from 1, computed here and not in the browser: ``(steps + 1,)``, float64."""
        rule = Momentum(self.lr_curvature, self.beta, form=self.form, nesterov=self.nesterov)
        start = torch.ones(1, dtype=torch.float64)
        return trajectory(rule, lambda theta: 0.5 * (theta**2).sum(-1), start, self.steps).squeeze(-1)

    def describe(self) -> str:
        """The chosen point: its regime, its roots, its rate."""
        setting = (self.lr_curvature, self.beta, self.form, self.nesterov)
        first, second = dynamics.roots(*setting).tolist()
        rate, regime = float(dynamics.rate(*setting)), dynamics.REGIMES[int(dynamics.regime(*setting))]
        pair = f"{first.real:.3g} ± {first.imag:.3g}i" if first.imag else f"{first.real:.3g} and {second.real:.3g}"
        name = ("Nesterov, " if self.nesterov else "") + ("EMA" if self.form == "ema" else "heavy ball")
        return (
            f"Phase diagram of momentum ({name}) over ηh and β, in four regions: {', '.join(dynamics.REGIMES)}. At "
            f"ηh = {self.lr_curvature:.3g}, β = {self.beta:.3g} it is {regime}: "
            f"roots {pair}, and in the long run each step multiplies the error by {rate:.3g}."
        )

    def draw(self, figure: plt.Figure) -> None:
        """The diagram with the chosen point, and its trajectory."""
        left, right = figure.subplots(1, 2)
        low, high = (0.01, 100.0) if self.form == "ema" else (0.0, 4.2)
        edges = torch.logspace(-2, 2, 201) if self.form == "ema" else torch.linspace(low, high, 201)
        beta = torch.linspace(0, 0.99, 200, dtype=torch.float64)
        x = edges.to(torch.float64)
        codes = dynamics.regime(x, beta[:, None], self.form, self.nesterov)
        colors = ListedColormap(REGION_COLORS)
        left.pcolormesh(x.numpy(), beta.numpy(), codes.numpy(), cmap=colors, vmin=-0.5, vmax=3.5, alpha=0.4, zorder=0)
        for code, name in enumerate(dynamics.REGIMES):
            left.plot([], [], "s", color=REGION_COLORS[code], alpha=0.6, label=name)
        left.plot(self.lr_curvature, self.beta, "o", color=figures.INK, markersize=10, markerfacecolor="none")
        left.set(xlabel=r"$\eta h$", ylabel=r"$\beta$", xlim=(low, high), ylim=(0, 0.99))
        left.set_xscale("log" if self.form == "ema" else "linear")
        figure.legend(loc="outside upper left", ncols=4, fontsize=9)
        path = self.trajectory()
        top = min(10.0, 1.1 * max(1.0, float(path[torch.isfinite(path)].abs().max())))
        rate = dynamics.rate(self.lr_curvature, self.beta, self.form, self.nesterov) ** torch.arange(self.steps + 1)
        for side in (-1, 1):
            right.plot(side * rate, color=figures.INK, linestyle=":", linewidth=1)
        right.plot(path, color=figures.COLORS["blue"], linestyle="-", marker=".", linewidth=1.4)
        right.set(xlabel="step", ylabel=r"$\theta$", ylim=(-top, top))
