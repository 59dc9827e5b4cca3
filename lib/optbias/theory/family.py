"""The family: what each rule is made of (:data:`SLOTS`), and properties that a run measures (:func:`measure`).

A table of slots is easy to write and easy to get wrong, so a test measures every cell of :data:`PROPERTIES` again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache

import torch
from torch import Tensor

from optbias import rules
from optbias.rules import Rule
from optbias.rules.base import at_step
from optbias.seeding import generator
from optbias.theory import online


@dataclass(frozen=True)
class Slots:
    """What fills the places of an adaptive rule, in words; "–" where it has none.

    >>> SLOTS["LaProp"].order
    'divide, then average'
    """

    first: str
    second: str
    order: str
    direction: str
    decay: str
    eps: str
    bias: str


@dataclass(frozen=True)
class Properties:
    """What can be measured of a rule, with epsilon 0 and without decay unless said.

    ``loss``: the same path when every gradient is multiplied by one number. ``coordinate``: by a number for each
    coordinate.
    ``layer``: weights c times as large with gradients c times as small give a path c times as large. ``rotation``:
    the path
    turns with the coordinates: under "all" rotations, those of "rows and columns" of a matrix, or "none".
    ``longest``: the
    longest step of one coordinate over the hostile sequences of :func:`hostile`, in learning rates; inf where it
    grows with the
    gradient. ``ball``: the largest coordinate under decay 1 on them, in units of the box (0: the rule has no
    decoupled decay).
    ``bytes``: state per parameter of a 256 x 256 matrix in float32. ``game``: where it ends on the three-step game
    with a short
    second memory, "right", "wrong" or "between" ("–": it plays no scalar game). ``elementwise``: halves of a vector may
    be updated apart.

    >>> PROPERTIES["Adam"].rotation
    'none'
    """

    loss: bool
    coordinate: bool
    layer: bool
    rotation: str
    longest: float
    ball: float
    bytes: float
    game: str
    elementwise: bool


PLACES = {
    "first": "first memory",
    "second": "second memory",
    "order": "order",
    "direction": "direction",
    "decay": "weight decay",
    "eps": "place of ε",
    "bias": "bias correction",
}
"""The places of :class:`Slots`, and what they are called."""

_E, _D, _C = "beside the root", "decoupled, × η", "coupled"
SLOTS: dict[str, Slots] = {
    "GradientDescent": Slots("–", "–", "–", "g", _C, "–", "–"),
    "Momentum": Slots("average or sum of g", "–", "–", "m", _C, "–", "–"),
    "SignGD": Slots("–", "–", "–", "sign g", _D, "–", "–"),
    "Signum": Slots("average of g", "–", "average, then sign", "sign m", _D, "–", "–"),
    "Lion": Slots("average of g, mixed with g", "–", "average, then sign", "sign", _D, "–", "–"),
    "Muon": Slots("average of g, ahead", "–", "average, then orthogonalise", "UVᵀ", _D, "–", "–"),
    "AdaGrad": Slots("–", "sum of g²", "–", "g / √s", "–", _E, "–"),
    "RMSProp": Slots("–", "average of g²", "–", "g / √v", "–", _E, "none"),
    "Adadelta": Slots("–", "average of g²", "–", "g √d / √v", _C, "under both roots", "none"),
    "Rprop": Slots("–", "–", "–", "own step · sign g", "–", "–", "–"),
    "Adam": Slots("average of g", "average of g²", "average, then divide", "m / √v", _C, _E, "both"),
    "AMSGrad": Slots("average of g", "largest average of g²", "average, then divide", "m / √v", _C, _E, "both"),
    "AdamW": Slots("average of g", "average of g²", "average, then divide", "m / √v", _D, _E, "both"),
    "NAdam": Slots(
        "average of g, ahead", "average of g²", "average, then divide", "m / √v", _C, _E, "both, μ-schedule"
    ),
    "RAdam": Slots(
        "average of g", "average of g², rectified", "average, then divide", "m / √v", _C, "beside the raw root", "both"
    ),
    "Adamax": Slots(
        "average of g", "decaying maximum of |g|", "average, then divide", "m / u", _C, "inside the maximum", "m"
    ),
    "AdaBelief": Slots(
        "average of g", "average of (g−m)²", "average, then divide", "m / √s", _D, "in s and beside", "both"
    ),
    "Yogi": Slots("average of g", "additive v", "average, then divide", "m / √v", _D, _E, "both"),
    "LaProp": Slots("average of g/√v", "average of g²", "divide, then average", "m", _D, _E, "both"),
    "ADOPT": Slots(
        "average of g/√v₋", "average of g², one step late", "divide, then average", "m", _D, "floor of the root", "none"
    ),
    "AdEMAMix": Slots(
        "fast and slow average of g", "average of g²", "average, then divide", "(m + αs) / √v", _D, _E, "m and v"
    ),
    "CautiousAdamW": Slots(
        "average of g", "average of g²", "average, then divide", "m / √v where m g > 0", _D, _E, "both"
    ),
    "LARS": Slots("sum of steps", "–", "scale, then sum", "‖θ‖ g / ‖g‖", "coupled, scaled", "beside ‖g‖", "–"),
    "LAMB": Slots(
        "average of g", "average of g²", "average, divide, scale", "‖θ‖ u / ‖u‖", "inside the step", _E, "both"
    ),
    "AdamMini": Slots("average of g", "average of mean g² by row", "average, then divide", "m / √v", _D, _E, "both"),
    "Adafactor": Slots(
        "–", "row and column means of g²", "divide, then clip", "g / √V, clipped", _D, "floor of V", "by γ_t"
    ),
    "Shampoo": Slots("–", "sums of GGᵀ and GᵀG", "–", "L^(−¼) G R^(−¼)", _D, "in L and R", "–"),
    "SOAP": Slots(
        "average of G", "average of G′² in the basis", "average, turn, divide", "Q (m′/√v) Qᵀ", _D, _E, "both"
    ),
    "ASGD": Slots("–", "–", "–", "g", "λ and coupled", "–", "–"),
    "ScheduleFreeSGD": Slots("mean of iterates", "–", "–", "g at y", "at y", "–", "–"),
    "ScheduleFreeAdamW": Slots("mean of iterates", "average of g²", "–", "g / √v at y", "at y", _E, "v"),
}
"""The slots of every rule, by its name in :mod:`optbias.rules`."""

PROPERTIES: dict[str, Properties] = {
    # loss, coordinate, layer, rotation, longest step, ball, bytes, game, elementwise
    "GradientDescent": Properties(False, False, False, "all", math.inf, 0.0, 0.0, "right", True),
    "Momentum": Properties(False, False, False, "all", math.inf, 0.0, 4.0, "right", True),
    "SignGD": Properties(True, True, False, "none", 1.0, 0.998, 0.0, "wrong", True),
    "Signum": Properties(True, True, False, "none", 1.0, 0.998, 4.0, "wrong", True),
    "Lion": Properties(True, True, False, "none", 1.0, 0.998, 4.0, "wrong", True),
    "Muon": Properties(True, False, False, "rows and columns", 0.408, 0.998, 4.0, "–", False),
    "AdaGrad": Properties(True, True, False, "none", 1.0, 0.0, 4.0, "right", True),
    "RMSProp": Properties(True, True, False, "none", 10.0, 0.0, 4.0, "wrong", True),
    "Adadelta": Properties(False, False, False, "none", math.inf, 0.0, 8.0, "between", True),
    "Rprop": Properties(True, True, False, "none", 5000.0, 0.0, 8.0, "–", True),
    "Adam": Properties(True, True, False, "none", 3.7, 0.0, 8.0, "wrong", True),
    "AMSGrad": Properties(True, True, False, "none", 3.7, 0.0, 12.0, "right", True),
    "AdamW": Properties(True, True, False, "none", 3.7, 0.998, 8.0, "wrong", True),
    "NAdam": Properties(True, True, False, "none", 9.03, 0.0, 8.0, "wrong", True),
    "RAdam": Properties(False, False, False, "none", math.inf, 0.0, 8.0, "right", True),
    "Adamax": Properties(True, True, False, "none", 1.01, 0.0, 8.0, "wrong", True),
    "AdaBelief": Properties(True, True, False, "none", 9.04, 12.3, 8.0, "between", True),
    "Yogi": Properties(True, True, False, "none", 3.69, 0.912, 8.0, "right", True),
    "LaProp": Properties(True, True, False, "none", 6.91, 0.998, 8.0, "wrong", True),
    "ADOPT": Properties(True, True, False, "none", 4.13, 0.997, 8.0, "right", True),
    "AdEMAMix": Properties(True, True, False, "none", 3.74, 1.24, 12.0, "wrong", True),
    "CautiousAdamW": Properties(True, True, False, "none", 3.7, 0.998, 8.0, "wrong", False),
    "LARS": Properties(True, False, True, "all", 0.00406, 0.0, 4.0, "right", False),
    "LAMB": Properties(True, True, True, "none", 1.22, 0.0, 8.0, "between", False),
    "AdamMini": Properties(True, False, False, "none", 3.7, 0.998, 4.02, "wrong", False),
    "Adafactor": Properties(True, False, True, "none", 0.474, 0.0, 0.0312, "–", False),
    "Shampoo": Properties(True, False, False, "rows and columns", 0.408, 0.103, 8.0, "–", False),
    "SOAP": Properties(True, False, False, "rows and columns", math.inf, 0.998, 24.0, "–", False),
    "ASGD": Properties(False, False, False, "all", math.inf, 0.0, 4.0, "right", True),
    "ScheduleFreeSGD": Properties(False, False, False, "all", math.inf, 0.0, 8.0, "right", True),
    "ScheduleFreeAdamW": Properties(True, True, False, "none", 3.28, 0.0, 12.0, "wrong", True),
}
"""What :func:`measure` finds, to three digits; a test compares it with a run."""

_OPTIONS: dict[str, dict] = {
    "Muon": {"orthogonalize": "svd", "adjust_lr": False, "weight_decay": 0.0},
    "AdamW": {"weight_decay": 0.0},
    "CautiousAdamW": {"weight_decay": 0.0},
    "Yogi": {"initial": 0.0},
    "Adafactor": {"eps1": 0.0, "eps2": 0.0, "lr": 0.01},
    "Adadelta": {"eps": 1e-6},
    "SOAP": {"frequency": 1, "eps": 1e-12},
}
STEPS = 40
"""The steps of the runs in :func:`measure` that compare two paths."""


def slots_of(name: str) -> dict[str, str]:
    """The words of the rule called ``name``, by place. Raises ValueError for a name that no row has.

    >>> slots_of("ADOPT")["second"]
    'average of g², one step late'
    """
    if name not in SLOTS:
        raise ValueError(f"name must be one of {', '.join(SLOTS)}; got {name!r}")
    return asdict(SLOTS[name])


def check_slots(slots: Mapping[str, str]) -> tuple[str, ...]:
    """The places. Raises ValueError unless ``slots`` maps places to words of :data:`SLOTS`, or to "" for any.

    >>> check_slots({"bias": "both"})
    ('first', 'second', 'order', 'direction', 'decay', 'eps', 'bias')
    """
    for place, word in slots.items():
        if place not in PLACES:
            raise ValueError(f"a place must be one of {', '.join(PLACES)}; got {place!r}")
        known = dict.fromkeys(getattr(row, place) for row in SLOTS.values())
        if word and word not in known:
            raise ValueError(f"{place} must be one of {', '.join(map(repr, known))}, or '' for any; got {word!r}")
    return tuple(PLACES)


def differing(name: str, slots: Mapping[str, str]) -> list[str]:
    """The places in which the rule called ``name`` differs from ``slots``.

    >>> differing("AdamW", slots_of("Adam"))
    ['decay']
    """
    own = slots_of(name)
    return [place for place in check_slots(slots) if slots.get(place) and slots[place] != own[place]]


def matching(slots: Mapping[str, str]) -> list[str]:
    """The names of the rules that fill the places as ``slots`` says, in the table's order.

    >>> matching({"second": "average of g²", "order": "divide, then average"})
    ['LaProp']
    """
    return [name for name in SLOTS if not differing(name, slots)]


def nearest(slots: Mapping[str, str]) -> str:
    """The rule that differs from ``slots`` in the fewest places, the first of them in the table's order.

    >>> nearest(slots_of("AdamW") | {"bias": "none"})
    'AdamW'
    """
    return min(SLOTS, key=lambda name: len(differing(name, slots)))


def plain(name: str) -> Rule:
    """The rule called ``name`` with epsilon 0, without decay, and a rate of 0.01.

    >>> plain("Adam").eps
    0.0
    """
    kind = getattr(rules, name)
    options = {"lr": 0.01, **({"eps": 0.0} if "eps" in kind.__dataclass_fields__ else {}), **_OPTIONS.get(name, {})}
    return kind(**options)


def _path(rule: Rule, grads: Tensor, theta: Tensor) -> Tensor:
    state, path = rule.init(theta), [theta]
    for grad in grads:
        theta, state = rule.equations(theta, grad, state)
        path.append(theta)
    return torch.stack(path)


def _same(a: Tensor, b: Tensor) -> bool:
    moved = max(float((a[1:] - a[:-1]).abs().max()), 1e-300)
    return bool((a - b).abs().max() <= 1e-7 * moved * len(a))


def hostile(rows: int = 300) -> Tensor:
    """Gradient sequences ``(rows, k)`` that make steps long: growth, one spike, switches, heavy tails, shrinking;
    for every rule the same.

    The growth is Adam's worst case at its default betas, g_t in proportion to (0.999 / 0.9)^t; shrinking like
    0.999^t is Adamax's.

    >>> hostile().shape
    torch.Size([300, 7])
    """
    t = torch.arange(rows, dtype=torch.float64)
    draw = torch.randn(rows, 2, generator=generator(0), dtype=torch.float64)
    spike = torch.where(t == rows - 20, 1.0, 1e-12)
    grows, shrinks, constant = (0.999 / 0.9) ** (t - rows), 0.999**t, torch.ones(rows, dtype=t.dtype)
    return torch.stack([grows, spike, constant, (-1.0) ** t, draw[:, 0], draw[:, 1] ** 5, shrinks], 1)


@cache
def measure(name: str) -> Properties:
    """The properties of the rule called ``name``, each by a run in float64 (some tenths of a second).

    >>> measure("SignGD").longest
    1.0000000000000009
    """
    rule = plain(name)
    draw = generator(7)
    theta = torch.randn(4, 3, generator=draw, dtype=torch.float64)
    grads = torch.randn(STEPS, 4, 3, generator=draw, dtype=torch.float64)
    sizes = 2.0 ** torch.randint(-3, 4, (4, 3), generator=draw)
    base = _path(rule, grads, theta)
    left = torch.linalg.qr(torch.randn(4, 4, generator=draw, dtype=torch.float64)).Q
    right = torch.linalg.qr(torch.randn(3, 3, generator=draw, dtype=torch.float64)).Q
    full = torch.linalg.qr(torch.randn(12, 12, generator=draw, dtype=torch.float64)).Q

    def turn(x: Tensor) -> Tensor:
        return (x.reshape(-1, 12) @ full).reshape(x.shape)

    rotation = "none"
    if _same(_path(rule, left @ grads @ right, left @ theta @ right), left @ base @ right):
        rotation = "rows and columns"
    if _same(_path(rule, turn(grads), turn(theta)), turn(base)):
        rotation = "all"
    longest, ball = _extremes(name, rule)
    halves = False
    if not isinstance(rule, rules.Muon | rules.Shampoo | rules.SOAP):
        vector, flat = theta.reshape(12), grads.reshape(STEPS, 12)
        apart = [_path(rule, flat[:, part], vector[part]) for part in (slice(0, 5), slice(5, 12))]
        halves = _same(_path(rule, flat, vector), torch.cat(apart, 1))
    return Properties(
        loss=_same(_path(rule, 4 * grads, theta), base),
        coordinate=_same(_path(rule, sizes * grads, theta), base),
        layer=_same(_path(rule, grads / 4, 4 * theta), 4 * base),
        rotation=rotation,
        longest=longest,
        ball=ball,
        bytes=_bytes(name),
        game=_game(name),
        elementwise=halves,
    )


def _extremes(name: str, rule: Rule) -> tuple[float, float]:
    """The longest step in learning rates, and the largest coordinate in units of 1 / decay."""
    grads = hostile()
    if isinstance(rule, rules.Muon | rules.Shampoo | rules.SOAP | rules.LARS | rules.LAMB | rules.Adafactor):
        # Rules of a matrix: the same sequences along one rank-one matrix; layers begin at length 1.
        direction = torch.full((3, 2), 6**-0.5, dtype=torch.float64)
        grads = grads[:, :, None, None] * direction
        runs = [_path(rule, g, direction.clone()) for g in grads.unbind(1)]
        path = torch.stack([r.reshape(len(r), -1) for r in runs], 1)
    else:
        path = torch.stack([_path(rule, g[:, None], torch.zeros(1, dtype=torch.float64)) for g in grads.unbind(1)], 1)
    lr = float(at_step(rule.lr, 1))  # type: ignore[attr-defined]
    longest = float((path[1:] - path[:-1]).abs().max()) / lr
    if isinstance(rule, rules.SOAP):
        small, large = soap_after_a_spike(1e3), soap_after_a_spike(1e4)
        longest = math.inf if large > 5 * small else max(longest, large)
    elif not _same(
        _path(rule, 4 * torch.ones(STEPS, 4, 3, dtype=torch.float64), torch.ones(4, 3, dtype=torch.float64)),
        _path(rule, torch.ones(STEPS, 4, 3, dtype=torch.float64), torch.ones(4, 3, dtype=torch.float64)),
    ):
        longest = math.inf
    if not SLOTS[name].decay.startswith("decoupled"):
        return longest, 0.0
    heavy = rule.replace(weight_decay=1.0, lr=0.01)
    grads = hostile(600)
    if isinstance(rule, rules.Muon | rules.Shampoo | rules.SOAP | rules.Adafactor):
        direction = torch.full((3, 2), 1.0, dtype=torch.float64)
        ends = [_path(heavy, g[:, None, None] * direction, 0 * direction) for g in grads[:, 2:].unbind(1)]
        return longest, max(float(torch.linalg.matrix_norm(e, 2).max()) for e in ends)
    ends = [_path(heavy, g[:, None], torch.zeros(1, dtype=torch.float64)) for g in grads[:, 2:].unbind(1)]
    return longest, max(float(e.abs().max()) for e in ends)


def soap_after_a_spike(size: float, frequency: int = 1) -> float:
    """SOAP's longest step of one coordinate, in learning rates, after a gradient of length ``size`` turns its basis.

    Thirty gradients of length 1 along the first axis of a 2 x 2 matrix, the spike along a line that is nearly the
    second axis, then none. The renewed basis puts the spike first, where ``v`` has hardly seen it.

    >>> soap_after_a_spike(1e4) > 5 * soap_after_a_spike(1e3)
    True
    """
    rule = plain("SOAP").replace(lr=1.0, frequency=frequency)
    theta = torch.zeros(2, 2, dtype=torch.float64)
    old = torch.tensor([1.0, 0.0], dtype=torch.float64)
    new = torch.tensor([0.01, 1.0], dtype=torch.float64)
    grads = [torch.outer(old, old)] * 30 + [size * torch.outer(new, new)] + [torch.zeros_like(theta)] * 5
    path = _path(rule, torch.stack(grads), theta)
    return float((path[1:] - path[:-1]).abs().max())


def _bytes(name: str) -> float:
    theta = torch.zeros(256, 256)
    state = plain(name).init(theta)
    return sum(4.0 * state[moment].numel() for moment in type(plain(name)).moments) / theta.numel()


def _game(name: str) -> str:
    """C = 3, 3,000 rounds, rates 0.5 / sqrt(t), a second memory of 0.1 and no first where the rule has them."""
    rule = plain(name)
    if isinstance(rule, rules.Muon | rules.Shampoo | rules.SOAP | rules.Adafactor | rules.Rprop):
        return "–"
    short: dict[str, object] = {"lr": lambda t: 0.5 / t**0.5}
    fields = rule.hyperparameters()
    if "betas" in fields:
        short["betas"] = (0.0, 0.1, 0.0)[: len(fields["betas"])]
    for field, value in (("rho", 0.1), ("beta", 0.0), ("momentum", 0.0)):
        if field in fields:
            short[field] = value
    end = float(online.play(rule.replace(**short), online.three_step_game(3.0), 3_000)[-300:].mean())
    return "right" if end < -0.5 else "wrong" if end > 0.5 else "between"


def agrees(found: Properties, written: Properties) -> list[str]:
    """The names of the properties in which a measurement and the table differ (numbers: by more than 1 %).

    >>> agrees(PROPERTIES["Adam"], PROPERTIES["AMSGrad"])
    ['bytes', 'game']
    """
    pairs = [(name, value, getattr(written, name)) for name, value in asdict(found).items()]
    return [
        name
        for name, a, b in pairs
        if not (math.isclose(a, b, rel_tol=0.01) if isinstance(b, float) else a == b)
    ]  # fmt: skip


def rows(names: tuple[str, ...] = ()) -> list[dict[str, object]]:
    """Slots and properties of the rules called ``names`` (all), each as one flat dictionary.

    >>> rows(("Lion",))[0]["direction"]
    'sign'
    """
    return [{"rule": name} | asdict(SLOTS[name]) | asdict(PROPERTIES[name]) for name in names or tuple(SLOTS)]
