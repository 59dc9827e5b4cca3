"""The slots: fill the places of an optimizer and its name appears, or name one and see its path beside Adam's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import matplotlib.pyplot as plt
import traitlets
from torch import Tensor

from optbias import rules
from optbias.losses import landscapes
from optbias.losses.landscapes import Landscape
from optbias.theory import family
from optbias.widgets import race
from optbias.widgets.base import Widget, finite

GROUNDS = tuple(name for name in landscapes.NAMES if landscapes.get(name).dim == 2)


class Slots(Widget):
    """The places that an optimizer fills (:data:`optbias.theory.family.SLOTS`), and the rules that fill them so.

    ``rule``: the name of a rule in :mod:`optbias.rules`, drawn beside Adam; ``slots``: words by the names of the
    places, "" or nothing for any (by default those of ``rule``); ``landscape``: a name from
    :data:`optbias.losses.landscapes.NAMES` of two dimensions; ``start``: the first point, by default the landscape's;
    ``lr``: the learning rate of both, in [1e-5, 10]; ``steps``: 1 to 500. All are traits: reading them gives what the
    reader chose. Raises ValueError for a name or a word that there is not, or a number outside its interval.

    >>> Slots("ADOPT").found()
    ['ADOPT']
    >>> Slots("Adam", slots={"second": "average of g²", "order": "divide, then average"}).found()
    ['LaProp']
    """

    kind: ClassVar[str] = "slots"

    rule = traitlets.Unicode("ADOPT").tag(sync=True)
    slots = traitlets.Dict().tag(sync=True)
    landscape = traitlets.Unicode("ravine").tag(sync=True)
    start = traitlets.List(trait=traitlets.Float()).tag(sync=True)
    lr = traitlets.Float(0.1).tag(sync=True)
    steps = traitlets.Int(80).tag(sync=True)

    def __init__(
        self,
        rule: str = "ADOPT",
        slots: Mapping[str, str] | None = None,
        landscape: str = "ravine",
        start: Sequence[float] | Tensor | None = None,
        lr: float = 0.1,
        steps: int = 80,
        **kwargs: Any,
    ):
        _check_ground(landscape)
        super().__init__(
            rule=rule,
            slots=family.slots_of(rule) if slots is None else dict(slots),
            landscape=landscape,
            start=finite("start", landscapes.get(landscape).start if start is None else start, 2),
            lr=lr,
            steps=steps,
            **kwargs,
        )

    @traitlets.validate("rule")
    def _check_rule(self, proposal: Any) -> str:
        family.slots_of(proposal["value"])
        return proposal["value"]

    @traitlets.validate("slots")
    def _check_slots(self, proposal: Any) -> dict[str, str]:
        return {place: proposal["value"].get(place, "") for place in family.check_slots(proposal["value"])}

    @traitlets.validate("landscape")
    def _check_landscape(self, proposal: Any) -> str:
        return _check_ground(proposal["value"])

    @traitlets.validate("start")
    def _check_start(self, proposal: Any) -> list[float]:
        return finite("start", proposal["value"], 2)

    @traitlets.validate("lr", "steps")
    def _check_number(self, proposal: Any) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = {"lr": (1e-5, 10), "steps": (1, 500)}[name]
        if not low <= value <= high:
            raise ValueError(f"{name} must be in [{low}, {high}]; got {value!r}")
        return value

    def found(self) -> list[str]:
        """The names of the rules that fill the places so."""
        return family.matching(self.slots)

    def shown(self) -> str:
        """The rule that is drawn beside Adam: ``rule`` if it fits, else the first that fits, else the nearest."""
        fit = self.found()
        return self.rule if self.rule in fit else fit[0] if fit else family.nearest(self.slots)

    @property
    def loss(self) -> Landscape:
        """The landscape that is shown."""
        return landscapes.get(self.landscape)

    def trajectories(self) -> dict[str, Tensor]:
        """The iterates by the rule's name, ``(steps + 1, 2)``, float64; the rules of a whole layer have none here."""
        start = self.loss.start.new_tensor(self.start)
        kinds = {name: getattr(rules, name) for name in ("Adam", self.shown())}
        moving = {name: kind for name, kind in kinds.items() if name == "Muon" or not kind().layerwise}
        own = {"orthogonalize": "svd"}
        return {
            name: race.run_rule(kind(lr=self.lr, **(own if name == "Muon" else {})), self.loss, start, self.steps)
            for name, kind in moving.items()
        }

    def describe(self) -> str:
        """The name that was found, in what it differs from Adam, and where both losses end."""
        fit, shown = self.found(), self.shown()
        filled = "; ".join(f"{family.PLACES[place]}: {word}" for place, word in self.slots.items() if word)
        names = ", ".join(fit) if len(fit) < len(family.SLOTS) else "every rule"
        ends = []
        for name, path in self.trajectories().items():
            value = float(self.loss(path[-1]))
            ends.append(f"{name} {value:.3g}" if math.isfinite(value) else f"{name} diverged")
        return (
            f"Slots of an optimizer ({filled or 'all open'}), filled so by {names or f'no rule, nearest {shown}'}. "
            f"Left, the paths of {' and '.join(self.trajectories())} on the landscape {self.landscape}; right, their "
            f"losses. Loss after {self.steps} steps: {'; '.join(ends)}."
        )

    def draw(self, figure: plt.Figure) -> None:
        """The map with the paths, and the losses beside it."""
        paths = self.trajectories()
        race.draw_paths(figure, self.loss, list(paths), list(paths.values()), self.steps, self.steps)


def _check_ground(name: Any) -> str:
    if name not in GROUNDS:
        raise ValueError(f"landscape must be one of {', '.join(GROUNDS)}; got {name!r}")
    return name
