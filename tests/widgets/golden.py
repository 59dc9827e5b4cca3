"""Golden trajectories for the widgets' JavaScript, derived from ``optbias``. Run as a program it prints them.

Every rule on every landscape with random settings, 500 steps. Kept are the settings that forgive rounding: with each
iterate pushed by one part in 10^14, the path may not deviate by more than one in 10^10. On the others two correct
programs differ after a few hundred steps, because each rounds in its own way: runs that diverge, that bounce
chaotically between the walls of a valley, that rest on an unstable point, or whose sign hangs on a gradient of 10^-16.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

import torch
from torch import Tensor

from optbias import rules
from optbias.losses import landscapes
from optbias.rules import Rule
from optbias.seeding import generator
from optbias.simulate import trajectory

STEPS = 500
DRAWN = 8
"""Random settings tried for each rule, landscape and choice of flags, in one batch."""
KEPT = 3
"""How many of them are compared."""
SHAKE, TAME = 1e-14, 1e-10

ROTATED = {"H": [[3.25, 1.299038105676658], [1.299038105676658, 1.75]], "minimiser": [0.3, -0.2]}
GROUNDS: list[tuple[str, dict[str, Any]]] = [
    ("bowl", {}),
    ("ravine", {"flat": 0.5, "steep": 8.0}),
    ("saddle", {"up": 2.0, "down": 0.01}),
    ("plateau", {"width": 0.7}),
    ("cliff", {"steep": 20.0, "width": 0.2}),
    ("rosenbrock", {"b": 10.0}),
    ("bilinear", {}),
    ("generic", {}),
    ("quadratic", ROTATED),
]
MATRIX = (3, 2)
"""The shape of the point on the landscape of the matrix rules."""


def _matrix_ground() -> dict[str, Any]:
    """A strongly convex quadratic of a 3 x 2 matrix, row by row."""
    root = torch.randn(6, 6, generator=generator(5), dtype=torch.float64)
    hessian = root @ root.T / 6 + 0.3 * torch.eye(6, dtype=torch.float64)
    return {"H": ((hessian + hessian.T) / 2).tolist(), "minimiser": [0.5, -1.0, 0.25, 1.5, -0.5, 1.0]}


def _log(low: float, high: float, random: torch.Generator) -> Tensor:
    u = torch.rand(DRAWN, 1, generator=random, dtype=torch.float64)
    return low * (high / low) ** u


def _settings(random: torch.Generator) -> list[tuple[type[Rule], dict[str, Any]]]:
    """Every rule with every one of its flags both ways, and tensors of random numbers."""

    def decay() -> Tensor:
        return 1 - _log(0.003, 1, random)

    def betas() -> tuple[Tensor, Tensor]:
        return decay(), 1 - _log(0.001, 1, random)

    def lr() -> Tensor:
        return _log(1e-3, 0.3, random)

    def weight() -> Tensor:
        return _log(1e-3, 1, random)

    def eps() -> Tensor:
        return _log(1e-12, 1e-1, random)

    flags = (False, True)
    found: list[tuple[type[Rule], dict[str, Any]]] = []
    for decoupled in flags:
        found.append((rules.GradientDescent, {"lr": lr(), "weight_decay": weight(), "decoupled": decoupled}))
        for form in ("ema", "heavy_ball"):
            for nesterov in flags:
                options = {"form": form, "nesterov": nesterov, "decoupled": decoupled}
                found.append((rules.Momentum, {"lr": lr(), "beta": decay(), "weight_decay": weight(), **options}))
    found.append((rules.Momentum, {"lr": lr(), "beta": decay(), "bias_correction": True}))
    for inside in flags:
        found.append((rules.AdaGrad, {"lr": lr(), "eps": eps(), "eps_inside": inside}))
        for corrected in flags:
            options = {"eps_inside": inside, "bias_correction": corrected}
            found.append((rules.RMSProp, {"lr": lr(), "rho": decay(), "eps": eps(), **options}))
            for cls in (rules.Adam, rules.AMSGrad, rules.AdamW):
                found.append((cls, {"lr": lr(), "betas": betas(), "eps": eps(), "weight_decay": weight(), **options}))
    found.append((rules.Adam, {"lr": lr(), "betas": betas(), "eps": 0.0}))
    found.append((rules.SignGD, {"lr": lr(), "weight_decay": weight()}))
    for norm in ("linf", "l2", "l1"):
        options = {"norm": norm, "dim": -1}
        found.append((rules.NormalizedSteepestDescent, {"lr": lr(), "weight_decay": weight(), **options}))
    found.append((rules.Lion, {"lr": lr(), "betas": betas(), "weight_decay": weight()}))
    return found + _variants(random)


def _variants(random: torch.Generator) -> list[tuple[type[Rule], dict[str, Any]]]:
    """The rest of the family, with the flags that each has."""

    def numbers(*names: str) -> dict[str, Any]:
        kinds = {"lr": (1e-3, 0.1), "weight_decay": (1e-3, 1), "eps": (1e-8, 1e-1)}
        return {name: _log(*kinds[name], random) for name in names}

    def decay(low: float = 0.003) -> Tensor:
        return 1 - _log(low, 1, random)

    def adam(**more: Any) -> dict[str, Any]:
        return {**numbers("lr", "weight_decay", "eps"), "betas": (decay(), decay(0.001)), **more}

    found: list[tuple[type[Rule], dict[str, Any]]] = [
        (rules.Signum, {**numbers("lr", "weight_decay"), "beta": decay()}),
        (rules.Adadelta, {**numbers("lr", "weight_decay", "eps"), "rho": decay()}),
        (rules.Rprop, {**numbers("lr"), "step_sizes": (1e-4, 1.0)}),
        (rules.Adamax, adam()),
        (rules.AdaBelief, adam()),
        (rules.Yogi, adam()),
        (rules.LaProp, adam()),
        (rules.ASGD, {**numbers("lr", "weight_decay"), "lambd": _log(1e-4, 0.1, random), "t0": 20.0}),
        (rules.ScheduleFreeSGD, {**numbers("lr", "weight_decay"), "momentum": decay()}),
        (rules.ScheduleFreeAdamW, adam()),
    ]
    for warmup in (0, 100):
        fast = decay().clamp(min=0.1)
        betas: Any = (0.8 if warmup else fast, decay(0.001), 0.99 if warmup else decay())
        found.append((rules.AdEMAMix, adam(betas=betas, alpha=2.0, warmup=warmup)))
    for flag in (False, True):
        found.append((rules.NAdam, adam(decoupled=flag)))
        found.append((rules.RAdam, adam(decoupled=flag)))
        found.append((rules.ADOPT, adam(clip=flag)))
        found.append((rules.CautiousAdamW, adam(scale=flag, dim=-1)))
    return found


def _matrix_settings(random: torch.Generator) -> list[tuple[type[Rule], dict[str, Any]]]:
    def number(low: float, high: float) -> Tensor:
        return _log(low, high, random).unsqueeze(-1)

    found: list[tuple[type[Rule], dict[str, Any]]] = [
        (rules.NormalizedSteepestDescent, {"lr": number(1e-3, 0.1), "weight_decay": number(1e-2, 1), "norm": norm})
        for norm in ("spectral", "nuclear")
    ]
    for nesterov in (False, True):
        for adjust in (False, True):
            options = {"nesterov": nesterov, "adjust_lr": adjust, "orthogonalize": "svd"}
            numbers = {"lr": number(1e-3, 0.02), "momentum": 1 - number(0.01, 1), "weight_decay": number(1e-2, 1)}
            found.append((rules.Muon, {**numbers, **options}))
    return found


def _some(settings: list[tuple[type[Rule], dict[str, Any]]], turn: int) -> list[tuple[type[Rule], dict[str, Any]]]:
    """One choice of flags for each rule; over the landscapes each choice has its turn."""
    by_rule = [[entry for entry in settings if entry[0] is cls] for cls in dict.fromkeys(cls for cls, _ in settings)]
    return [own[turn % len(own)] for own in by_rule]


def deviation(path: Tensor, other: Tensor) -> Tensor:
    """The largest relative distance between two paths ``(steps + 1, ..., d)``, for each run of the batch.

    At each step the distance is divided by the larger of the point and its last move, in the max norm: near a minimiser
    at 0 the point itself is the small difference of larger numbers.
    """
    size = path.abs().amax(-1)
    moved = torch.zeros_like(size)
    moved[1:] = (path[1:] - path[:-1]).abs().amax(-1)
    distance = (path - other).abs().amax(-1)
    relative = torch.where(distance == 0, 0.0, distance / torch.maximum(size, moved))
    return relative.amax(0)


def _case(cls: type[Rule], options: dict[str, Any], index: int) -> dict[str, Any]:
    """The setting ``index`` of a batch, as the JavaScript takes it."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [plain(entry) for entry in value]
        return float(value.flatten()[index]) if isinstance(value, Tensor) else value

    left_out = {"dim", "orthogonalize"}
    return {"rule": cls.__name__} | {k: plain(v) for k, v in options.items() if k not in left_out}


def _keep(cls: type[Rule], options: dict[str, Any], loss: Any, start: Tensor, shape: tuple[int, ...]) -> list[dict]:
    def gradient(theta: Tensor, t: int) -> Tensor:
        return loss.gradient(theta.reshape(*theta.shape[: theta.ndim - len(shape)], -1)).reshape(theta.shape)

    # Every setting twice in one batch: as it is, and with each iterate pushed.
    batch = start.reshape(shape).expand(2, DRAWN, *shape)
    push = torch.tensor([1.0, 1.0 + SHAKE], dtype=torch.float64).reshape(2, 1, *[1] * len(shape))
    both = trajectory(cls(**options), loss, batch, STEPS, gradient=gradient, project=lambda theta: theta * push)
    path, shaken = both.flatten(3).unbind(1)
    tame = deviation(path, shaken) < TAME  # false where a run is not finite
    kept = torch.nonzero(tame & (path.abs().amax((0, 2)) < 1e3)).flatten().tolist()[:KEPT]
    ground = {"landscape": loss.name, "parameters": _plain(loss.parameters())}
    return [
        {
            "rule": _case(cls, options, index),
            **ground,
            "shape": list(shape) if len(shape) == 2 else None,
            "start": start.tolist(),
            "path": path[:, index].flatten().tolist(),
        }
        for index in kept
    ]


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    return {k: v.tolist() if isinstance(v, Tensor) else v for k, v in parameters.items()}


@cache
def trajectories() -> list[dict[str, Any]]:
    """The cases: rule, landscape, parameters, shape, start, and the path flattened, ``(STEPS + 1) * dim`` numbers."""
    random = generator(20261122)
    cases: list[dict[str, Any]] = []
    for turn, (name, parameters) in enumerate(GROUNDS):
        loss = landscapes.get(name, **parameters)
        start = loss.start.to(torch.float64) + 0.1 * torch.randn(loss.dim, generator=random, dtype=torch.float64)
        for cls, options in _some(_settings(random), turn):
            cases += _keep(cls, options, loss, start, (loss.dim,))
    loss = landscapes.get("quadratic", **_matrix_ground())
    start = torch.randn(6, generator=random, dtype=torch.float64)
    for cls, options in _matrix_settings(random):
        cases += _keep(cls, options, loss, start, MATRIX)
    return cases


@cache
def grounds() -> list[dict[str, Any]]:
    """Each landscape with its value and gradient at 20 random points of its window, its start and its minimisers."""
    random = generator(7)
    found = []
    for name, parameters in [*GROUNDS, *((n, {}) for n in landscapes.NAMES)]:
        loss = landscapes.get(name, **parameters)
        low, high = torch.tensor(loss.domain, dtype=torch.float64).T
        points = low + (high - low) * torch.rand(20, loss.dim, generator=random, dtype=torch.float64)
        found.append(
            {
                "landscape": name,
                "parameters": _plain(loss.parameters()),
                "points": points.tolist(),
                "values": loss(points).tolist(),
                "gradients": loss.gradient(points).tolist(),
                "domain": [list(interval) for interval in loss.domain],
                "start": loss.start.tolist(),
                "minimisers": loss.minimisers.tolist(),
            }
        )
    return found


if __name__ == "__main__":
    json.dump({"trajectories": trajectories(), "grounds": grounds()}, sys.stdout)
