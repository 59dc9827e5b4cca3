"""Rules that scale each coordinate by its own past gradients: AdaGrad, RMSProp, Adadelta, Rprop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optbias import _checks
from optbias.norms import ratio
from optbias.rules import base
from optbias.rules.base import Number, Rate, Rule, State, at_step, l2


@dataclass(frozen=True)
class AdaGrad(Rule):
    r"""AdaGrad: :math:`s \leftarrow s + g^2,\; \theta \leftarrow \theta - \eta\, g / (\sqrt{s} + \epsilon)`.

    With ``eps_inside=True`` the denominator is :math:`\sqrt{s + \epsilon}`. The defaults are
    those of ``torch.optim.Adagrad``. Source: Duchi, Hazan & Singer (2011).

    >>> rule, theta = AdaGrad(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    lr: Rate = 1e-2
    eps: Number = 1e-10
    eps_inside: bool = False

    moments: ClassVar[tuple[str, ...]] = ("s",)

    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_nonnegative(eps=self.eps)
        _checks.flag("eps_inside", self.eps_inside)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        s = state["s"] + grad**2
        step = preconditioned(grad, s, self.eps, self.eps_inside)
        return theta - at_step(self.lr, t) * step, {"t": t, "s": s}


@dataclass(frozen=True)
class RMSProp(Rule):
    r"""RMSProp, as in ``torch.optim.RMSprop``.

    .. math:: v \leftarrow \rho v + (1-\rho) g^2, \qquad \theta \leftarrow \theta - \eta\, g / (\sqrt{v} + \epsilon)

    With ``eps_inside=True`` the denominator is :math:`\sqrt{v + \epsilon}`; with
    ``bias_correction=True`` it uses :math:`v / (1 - \rho^t)`. The defaults are those of
    ``torch.optim.RMSprop``, whose ``alpha`` is :math:`\rho` and which does not correct the bias.
    Source: Tieleman & Hinton (2012).

    >>> rule, theta = RMSProp(0.01), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    lr: Rate = 1e-2
    rho: Number = 0.99
    eps: Number = 1e-8
    eps_inside: bool = False
    bias_correction: bool = False

    moments: ClassVar[tuple[str, ...]] = ("v",)

    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_decay(rho=self.rho)
        base.check_nonnegative(eps=self.eps)
        _checks.flag("eps_inside", self.eps_inside)
        _checks.flag("bias_correction", self.bias_correction)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        v = self.rho * state["v"] + (1 - self.rho) * grad**2
        v_hat = v / (1 - self.rho**t) if self.bias_correction else v
        step = preconditioned(grad, v_hat, self.eps, self.eps_inside)
        return theta - at_step(self.lr, t) * step, {"t": t, "v": v}


@dataclass(frozen=True)
class Adadelta(Rule):
    r"""Adadelta: RMSProp that multiplies by the size of its own past steps, as in ``torch.optim.Adadelta``.

    .. math:: v \leftarrow \rho v + (1-\rho) g^2, \quad \Delta = \frac{\sqrt{d + \epsilon}}{\sqrt{v + \epsilon}}\, g,
              \quad
              d \leftarrow \rho d + (1-\rho)\Delta^2, \quad \theta \leftarrow \theta - \eta\Delta

    ``weight_decay`` is the coupled L2 term. Source: Zeiler, arXiv 1212.5701.

    >>> rule, theta = Adadelta(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9997, -2.0003])
    """

    lr: Rate = 1.0
    rho: Number = 0.9
    eps: Number = 1e-6
    weight_decay: Number = 0.0

    moments: ClassVar[tuple[str, ...]] = ("v", "d")
    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_decay(rho=self.rho)
        base.check_nonnegative(eps=self.eps, weight_decay=self.weight_decay)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        g = l2(grad, theta, self.weight_decay)
        v = self.rho * state["v"] + (1 - self.rho) * g**2
        step = torch.sqrt(state["d"] + self.eps) * preconditioned(g, v, self.eps, eps_inside=True)
        d = self.rho * state["d"] + (1 - self.rho) * step**2
        return theta - at_step(self.lr, t) * step, {"t": t, "v": v, "d": d}


@dataclass(frozen=True)
class Rprop(Rule):
    r"""Rprop: each coordinate has a step of its own, longer while the gradient keeps its sign, as in
    ``torch.optim.Rprop``.

    .. math:: s \leftarrow \mathrm{clip}(s\,\eta^{\pm}, s_{\min}, s_{\max}), \qquad \theta \leftarrow \theta -
              s\,\mathrm{sign}(g)

    with :math:`\eta^+` where g has the sign of the gradient before, :math:`\eta^-` where it has the other: there the
    coordinate
    rests this once, and counts as without a gradient at the next step. The steps begin at ``lr``. For full batches.
    Source: Riedmiller & Braun (1993).

    >>> rule, theta = Rprop(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    lr: Number = 1e-2
    etas: tuple[Number, Number] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)

    moments: ClassVar[tuple[str, ...]] = ("before", "s")
    elementwise = True

    def __post_init__(self) -> None:
        _checks.number("lr", self.lr, low=0.0)
        if not isinstance(self.etas, (tuple, list)) or len(self.etas) != 2:
            raise TypeError(f"etas must be a pair (eta-, eta+); got {self.etas!r}")
        _checks.number("etas[0]", self.etas[0], low=0.0, high=1.0, open_low=True, open_high=True)
        _checks.number("etas[1]", self.etas[1], low=1.0, open_low=True)
        if not isinstance(self.step_sizes, (tuple, list)) or len(self.step_sizes) != 2:
            raise TypeError(f"step_sizes must be a pair (least, largest); got {self.step_sizes!r}")
        _checks.number("step_sizes[0]", self.step_sizes[0], low=0.0)
        _checks.number("step_sizes[1]", self.step_sizes[1], low=self.step_sizes[0])

    def first(self, theta: Tensor) -> dict[str, Tensor]:
        """No gradient before, and every step ``lr``."""
        rate = torch.as_tensor(self.lr, dtype=theta.dtype, device=theta.device)
        return {"before": torch.zeros_like(theta), "s": torch.zeros_like(theta) + rate}

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        shorter, longer = self.etas
        sign = torch.sign(grad * state["before"])
        factor = torch.where(sign > 0, longer, torch.where(sign < 0, shorter, 1.0))
        s = (state["s"] * factor).clamp(*self.step_sizes)
        g = torch.where(sign < 0, 0.0, grad)
        return theta - g.sign() * s, {"t": state["t"] + 1, "before": g, "s": s}


def preconditioned(m: Tensor, v: Tensor, eps: Number, eps_inside: bool = False) -> Tensor:
    """``m / (sqrt(v) + eps)``, or ``m / sqrt(v + eps)`` with ``eps_inside``; ``0 / 0`` is 0.

    Raises ValueError in float16 unless eps is large enough to stand in for squares that are too small for it.
    """
    smallest = 0.0
    if v.dtype == torch.float16:
        # The square of a gradient below 2.4e-4 is 0 in float16: only a larger eps keeps the quotient right.
        smallest = SQUARE_OF_FLOAT16 if eps_inside else SQUARE_OF_FLOAT16**0.5
        if float(eps.min() if isinstance(eps, Tensor) else eps) < smallest:
            raise ValueError(
                f"in float16 eps must be at least {smallest:.2g}, because squares below 6e-8 are 0 there; got {eps}. "
                "Choose a larger eps, or keep the parameters in float32"
            )
    denominator = torch.sqrt(v + eps) if eps_inside else torch.sqrt(v) + eps
    return quotient(m, denominator, eps)


def quotient(m: Tensor, denominator: Tensor, least: Number) -> Tensor:
    """``m / denominator`` with ``0 / 0 = 0``; a denominator that is never below ``least`` > 0 needs no test for 0."""
    never_zero = not isinstance(least, Tensor) and least > torch.finfo(m.dtype).smallest_normal
    return m / denominator if never_zero else ratio(m, denominator)


SQUARE_OF_FLOAT16 = 2.0**-24
"""The smallest number of float16 that is not 0."""
