"""The AMSGrad game: rare spikes, and which way Adam and AMSGrad drift."""

from __future__ import annotations

from typing import Any, ClassVar

import matplotlib.pyplot as plt
import torch
import traitlets
from torch import Tensor

from optbias import figures
from optbias.rules import Adam, AMSGrad
from optbias.theory.online import OnlineGame, break_even_beta2, drift_per_cycle, play_long, regret
from optbias.widgets.base import Widget

LIMITS = {
    "C": (0.01, 1e4),
    "cycle": (2, 128),
    "beta2": (0.0, 0.9999),
    "lr": (0.0, 10.0),
    "start": (-1.0, 1.0),
    "rounds": (10, 10_000),
}
"""The smallest and largest value of each trait."""


class AMSGradGame(Widget):
    """Adam and AMSGrad (``beta1 = 0``) on the game with slope ``C`` once in ``cycle`` rounds, else -1, on [-1, 1].

    Shows the points played, the average regret, the moves of one cycle and the drift per cycle over ``beta2`` with its
    break-even. ``lr`` is the rate, divided by the root of the round if ``decaying``; ``start`` is the first point;
    ``rounds`` are played. No bias correction and ``eps = 0``, as in the papers. All are traits: reading them gives what
    the reader chose. Raises ValueError for a number outside :data:`LIMITS`.

    >>> AMSGradGame().describe().split()[:3]
    ['The', 'game', 'with']
    """

    kind: ClassVar[str] = "amsgrad_game"

    C = traitlets.Float(3.0).tag(sync=True)
    cycle = traitlets.Int(3).tag(sync=True)
    beta2 = traitlets.Float(0.1).tag(sync=True)
    lr = traitlets.Float(0.85).tag(sync=True)
    decaying = traitlets.Bool(True).tag(sync=True)
    start = traitlets.Float(0.0).tag(sync=True)
    rounds = traitlets.Int(3000).tag(sync=True)

    @traitlets.validate(*LIMITS)
    def _check_number(self, proposal: Any) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = LIMITS[name]
        if not low <= value <= high:
            raise ValueError(f"{name} must be in [{low:g}, {high:g}]; got {value!r}")
        return value

    @property
    def game(self) -> OnlineGame:
        """The game that is played."""
        slopes = torch.full((self.cycle,), -1.0, dtype=torch.float64)
        slopes[0] = self.C
        return OnlineGame(slopes)

    @property
    def drift(self) -> float:
        """Adam's net movement per cycle in units of the rate; positive is towards +1."""
        return float(drift_per_cycle(self.C, self.beta2, self.cycle))

    @property
    def break_even(self) -> float | None:
        """The ``beta2`` at which the drift changes its sign; None if there is none (``C <= cycle - 1``)."""
        return float(break_even_beta2(self.C, self.cycle)) if self.cycle >= 3 and self.cycle - 1 < self.C else None

    def points(self) -> dict[str, Tensor]:
        """The points of each player, computed here and not in the browser: tensors ``(rounds + 1,)``, float64."""
        lr = self.lr
        setting: dict[str, Any] = {"betas": (0.0, self.beta2), "eps": 0.0, "bias_correction": False}
        setting["lr"] = (lambda t: lr / t**0.5) if self.decaying else lr
        players = {"AMSGrad": AMSGrad(**setting), "Adam": Adam(**setting)}
        return {name: play_long(rule, self.game, self.rounds, self.start) for name, rule in players.items()}

    def describe(self) -> str:
        """Where both players end, the drift and its break-even."""
        points = self.points()
        late = min(self.cycle, self.rounds)
        ends = ", ".join(f"{name} is at {float(path[-1 - late : -1].mean()):+.3g}" for name, path in points.items())
        pays = " and ".join(f"{float(regret(path, self.game)[-1]) / self.rounds:.3g}" for path in points.values())
        turn = "it has no break-even" if self.break_even is None else f"it turns at beta2 = {self.break_even:.4g}"
        return (
            f"The game with slope {self.C:g} once in {self.cycle} rounds, else -1, beta2 = {self.beta2:.3g}. Left, the "
            f"drift per cycle over beta2: for Adam it is {self.drift:+.3g} times the rate here, and {turn}. Right, the "
            f"points played: over the last of {self.rounds} rounds {ends} on average; the average regrets are {pays}."
        )

    def draw(self, figure: plt.Figure) -> None:
        """The drift over ``beta2`` and the points played."""
        left, right = figure.subplots(1, 2)
        beta2 = 1 - torch.logspace(0, -4, 161, dtype=torch.float64)
        for (name, path), color, dash in zip(self.points().items(), ("blue", "orange"), figures.DASHES, strict=False):
            style = {"color": figures.COLORS[color], "linestyle": dash, "linewidth": 1.4}
            if name == "Adam":
                left.plot(1 - beta2, drift_per_cycle(self.C, beta2, self.cycle), label=name, **style)
                left.plot(1 - self.beta2, self.drift, "o", color=style["color"])
            right.plot(torch.arange(1, self.rounds + 1), path[:-1], label=name, **style)
        left.axhline(0, color=figures.INK, linewidth=1)
        if self.break_even is not None:
            left.axvline(1 - self.break_even, color=figures.INK, linestyle=":", linewidth=1.2, label="break-even")
        left.set(xscale="log", xlim=(1, 1e-4), xlabel=r"$\beta_2$", ylabel=r"drift per cycle / $\eta$")
        left.set_yscale("asinh", linear_width=0.1)
        low, high = left.get_ylim()
        steps = [step for step in (-10, -1, -0.1, 0, 0.1, 1, 10, 100) if low <= step <= high]
        left.set_yticks(steps, [f"{step:g}" for step in steps])
        left.set_xticks([1, 0.5, 0.1, 0.01, 1e-3, 1e-4], ["0", "0.5", "0.9", "0.99", "0.999", "0.9999"], fontsize=9)
        left.minorticks_off()
        left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)
        right.set(xscale="log", xlabel="round $t$", ylabel="$x_t$", ylim=(-1.1, 1.1))
        right.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)
