"""What is measured while a network trains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optbias import _checks
from optbias.rules import AdamW, Lion, Rule, SignGD

BLOCK = 65_536
"""Entries measured at a time on a CPU, so that the second pass over a block finds it in the cache."""

SMALL = 4096
"""Networks with fewer parameters are measured together."""

OF_GRADIENT = ("one_norm", "one_norm_eps", "two_norm", "kkt_gap")
OF_PARAMETERS = ("linf", "share_on_box", "share_outside")

Numbers = list[float] | Tensor
"""One number for each network: a list on a CPU, a tensor on another device."""


@dataclass(frozen=True)
class Probes:
    """What is measured, and how often.

    ``every``: a row for every so many steps (and for the last). ``radius``: of the box; None takes
    ``1 / weight_decay`` of a rule whose limit it is (AdamW, SignGD, Lion), and no box for other rules.
    ``eps``: of the perturbed one-norm ``sum sqrt(g^2 + eps)``; None takes the rule's own (its square, if the
    rule adds it outside the root; 0 if it has none). A parameter is *on the box* if ``|theta_i|`` lies within
    ``tolerance * radius`` of the radius, and *outside* if it lies beyond that. ``quantiles`` of ``|theta|`` (nearest
    rank) cost a partial sort and are taken every ``quantiles_every`` steps. ``sharpness_every`` > 0 asks for
    the largest eigenvalue of ``P^-1 H`` every so many steps, to the relative accuracy ``sharpness_tol``;
    one value costs 20 to 80 gradients. ``slope_every`` > 0 asks (full batch) for the one-norm of the gradient of
    the perturbed one-norm, one Hessian product a value.

    >>> Probes(radius=1.0, every=10).every
    10
    """

    radius: float | None = None
    eps: float | None = None
    every: int = 1
    tolerance: float = 0.01
    quantiles: Sequence[float] = (0.5, 0.9, 0.99)
    quantiles_every: int = 50
    sharpness_every: int = 0
    sharpness_tol: float = 1e-3
    slope_every: int = 0

    def __post_init__(self) -> None:
        if self.radius is not None:
            _checks.number("radius", self.radius, low=0.0, open_low=True)
        if self.eps is not None:
            _checks.number("eps", self.eps, low=0.0)
        _checks.number("tolerance", self.tolerance, low=0.0, high=1.0, open_high=True)
        _checks.number("sharpness_tol", self.sharpness_tol, low=0.0, high=1.0, open_low=True)
        for q in self.quantiles:
            _checks.number("a quantile", q, low=0.0, high=1.0)
        for name, low in (("every", 1), ("quantiles_every", 0), ("sharpness_every", 0), ("slope_every", 0)):
            whole(name, getattr(self, name), low)

    def columns(self) -> list[str]:
        """The names of the columns that are measured from parameters and gradients."""
        return [*OF_GRADIENT, *OF_PARAMETERS, *named(self.quantiles)]

    def radius_of(self, rule: Rule) -> float:
        """The radius of the box, NaN for none."""
        if self.radius is not None:
            return float(self.radius)
        boxed = isinstance(rule, (AdamW, SignGD, Lion)) or getattr(rule, "norm", "") == "linf"
        decay = rule.hyperparameters().get("weight_decay", 0.0)
        return 1.0 / decay if boxed and not isinstance(decay, Tensor) and decay > 0 else math.nan

    def eps_of(self, rule: Rule) -> float:
        """The eps of the perturbed one-norm."""
        if self.eps is not None:
            return float(self.eps)
        numbers = rule.hyperparameters()
        eps = numbers.get("eps", 0.0)
        if isinstance(eps, Tensor):
            return 0.0
        return float(eps) if numbers.get("eps_inside", False) else float(eps) ** 2


def whole(name: str, value: object, low: int) -> None:
    """Require ``value`` to be a whole number >= ``low``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{name} must be a whole number >= {low}; got {value!r}")


class Meter:
    """Measures ``K`` networks at once: flat ``theta`` and ``grads``, ``(K, N)``, in; for each column ``K`` numbers out.

    On a CPU the numbers are lists of floats, elsewhere tensors ``(K,)`` on the device, so that nothing waits
    for it. Sums are pairwise (``Tensor.sum``), and blocks are added up in float64: in float32 torch's
    built-in one-norm of ten million numbers is wrong by 0.6 %.
    """

    def __init__(self, probes: Sequence[Probes], rules: Sequence[Rule], theta: Tensor) -> None:
        self.first = probes[0]
        self.radii = [own.radius_of(rule) for own, rule in zip(probes, rules, strict=True)]
        self.eps = [own.eps_of(rule) for own, rule in zip(probes, rules, strict=True)]
        self.boxed = any(radius > 0 for radius in self.radii)
        self.tolerances = [own.tolerance for own in probes]
        self.host = on_host(theta.device)
        # One at a time unless each is so small that calling torch would cost more than its arithmetic.
        self.single = self.host and (len(theta) == 1 or theta.shape[1] >= SMALL)

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=theta.dtype, device=theta.device).unsqueeze(1)

        self._radius, self._eps, self._tolerance = column(self.radii), column(self.eps), column(self.tolerances)
        self._flags = np.empty(min(theta.shape[1], BLOCK) if self.single else 0, dtype=bool)
        self._scratch = torch.empty(min(theta.shape[1], BLOCK) if self.single else 0, dtype=theta.dtype)

    def gradient(self, theta: Tensor, grads: Tensor) -> dict[str, Numbers]:
        """``one_norm``, ``one_norm_eps``, ``two_norm``, ``kkt_gap``."""
        if self.single:
            found = [self._gradient_of_one(theta[k], grads[k], k) for k in range(len(theta))]
            return dict(zip(OF_GRADIENT, map(list, zip(*found, strict=True)), strict=True))
        absolute = grads.abs()
        one = absolute.sum(1).double()
        perturbed = torch.addcmul(self._eps, grads, grads, out=absolute).sqrt_().sum(1).double()
        two = torch.mul(grads, grads, out=absolute).sum(1).double().sqrt()
        gap = torch.full_like(one, math.nan)
        if self.boxed:
            inner = torch.mul(grads, theta, out=absolute).sum(1).double()
            gap = 1 + inner / (self._radius[:, 0] * one)
            gap = torch.where((one == 0) & (self._radius[:, 0] > 0), 0.0, gap)
        return self._given(dict(zip(OF_GRADIENT, (one, perturbed, two, gap), strict=True)))

    def _gradient_of_one(self, theta: Tensor, grad: Tensor, k: int) -> tuple[float, float, float, float]:
        radius, eps = self.radii[k], self.eps[k]
        one = perturbed = squares = inner = 0.0
        for start in range(0, grad.numel(), BLOCK):
            g = grad[start : start + BLOCK]
            scratch = self._scratch[: g.numel()]
            one += torch.abs(g, out=scratch).sum().item()
            if eps > 0:
                perturbed += torch.addcmul(self._eps[k], g, g, out=scratch).sqrt_().sum().item()
            squares += torch.dot(g, g).item()
            if radius > 0:
                inner += torch.dot(g, theta[start : start + BLOCK]).item()
        gap = math.nan if not radius > 0 else 1.0 + inner / (radius * one) if one else 0.0
        return one, perturbed if eps > 0 else one, math.sqrt(squares), gap

    def parameters(self, theta: Tensor) -> dict[str, Numbers]:
        """``linf``, ``share_on_box``, ``share_outside``."""
        if self.single:
            found = [self._parameters_of_one(theta[k], k) for k in range(len(theta))]
            return dict(zip(OF_PARAMETERS, map(list, zip(*found, strict=True)), strict=True))
        absolute, radius = theta.abs(), self._radius
        linf = absolute.amax(1).double()
        on = outside = torch.full_like(linf, math.nan)
        if self.boxed:
            outside = (absolute > (1 + self._tolerance) * radius).double().mean(1)
            on = (absolute >= (1 - self._tolerance) * radius).double().mean(1) - outside
            on, outside = (torch.where(radius[:, 0] > 0, share, math.nan) for share in (on, outside))
        return self._given(dict(zip(OF_PARAMETERS, (linf, on, outside), strict=True)))

    def _parameters_of_one(self, theta: Tensor, k: int) -> tuple[float, float, float]:
        low, high = torch.aminmax(theta)
        linf = max(-low.item(), high.item())
        if not self.radii[k] > 0:
            return linf, math.nan, math.nan
        inner, outer = ((1 + sign * self.tolerances[k]) * self.radii[k] for sign in (-1, 1))
        reached = outside = 0
        # Most often the largest entry already says that there is nothing to count.
        if linf >= inner:
            # NumPy counts faster than torch; both see the same memory. The limits are in the array's dtype.
            values, scratch, flags = theta.numpy(), self._scratch.numpy(), self._flags
            lower, upper = values.dtype.type(inner), values.dtype.type(outer)
            for start in range(0, len(values), BLOCK):
                block = values[start : start + BLOCK]
                size = len(block)
                absolute = np.abs(block, out=scratch[:size])
                reached += int(np.count_nonzero(np.greater_equal(absolute, lower, out=flags[:size])))
                if linf > outer:
                    outside += int(np.count_nonzero(np.greater(absolute, upper, out=flags[:size])))
        return linf, (reached - outside) / theta.numel(), outside / theta.numel()

    def quantiles(self, theta: Tensor) -> dict[str, Numbers]:
        """The quantiles of ``|theta|``: the smallest entry that at least that share of them does not exceed."""
        levels = self.first.quantiles
        ranks = [max(0, math.ceil(q * theta.shape[1]) - 1) for q in levels]
        if not ranks:
            return {}
        if self.host:
            ordered = np.partition(theta.abs().numpy(), sorted(set(ranks)), axis=1)
            columns: Sequence[Numbers] = [ordered[:, rank].astype(float).tolist() for rank in ranks]
        else:
            arranged = theta.abs().sort(1).values
            columns = [arranged[:, rank].double() for rank in ranks]
        return dict(zip(named(levels), columns, strict=True))

    def _given(self, columns: dict[str, Tensor]) -> dict[str, Numbers]:
        return {name: column.tolist() if self.host else column for name, column in columns.items()}


def on_host(device: torch.device) -> bool:
    """Whether numbers can be looked at without waiting for a device."""
    return device.type == "cpu"


def named(levels: Sequence[float]) -> list[str]:
    """The columns of the quantiles: 0.5 is ``q50``, 0.999 is ``q99.9``."""
    return [f"q{100 * q:g}" for q in levels]
