"""Rules that keep an average of the iterates: ASGD and Schedule-Free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optbias import norms
from optbias.rules import base
from optbias.rules.adaptive import preconditioned
from optbias.rules.base import Number, Rate, Rule, State, at_step, l2


@dataclass(frozen=True)
class ASGD(Rule):
    r"""Averaged gradient descent, as in ``torch.optim.ASGD``.

    .. math::
        \theta \leftarrow (1 - \lambda\eta_t)\,\theta - \eta_t g, \quad \eta_t = \eta\,(1 +
        \lambda\eta(t-1))^{-\alpha}, \qquad
        x \leftarrow x + \mu_t(\theta - x), \quad \mu_t = 1/\max(1, t - 1 - t_0)

    The average ``state["x"]`` is the result; it begins after ``t0`` steps. ``lambd`` is :math:`\lambda`;
    ``weight_decay`` is the
    coupled L2 term. Source: Polyak & Juditsky (1992).

    >>> rule, theta = ASGD(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9500, -3.0000])
    """

    lr: Rate = 1e-2
    lambd: Number = 1e-4
    alpha: Number = 0.75
    t0: float = 1e6
    weight_decay: Number = 0.0

    moments: ClassVar[tuple[str, ...]] = ("x",)
    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_nonnegative(lambd=self.lambd, alpha=self.alpha, t0=self.t0, weight_decay=self.weight_decay)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        rate = lr / (1 + self.lambd * lr * (t - 1)) ** self.alpha
        theta = (1 - self.lambd * rate) * theta - rate * l2(grad, theta, self.weight_decay)
        late = t - 1 - self.t0
        x = state["x"] + (theta - state["x"]) / (late * (late > 1) + (late <= 1))
        return theta, {"t": t, "x": x}


@dataclass(frozen=True)
class ScheduleFreeSGD(Rule):
    r"""Schedule-Free gradient descent: an average of the iterates takes the place of a falling rate.

    .. math::
        z \leftarrow z - \eta\,(g + \lambda y), \qquad x \leftarrow (1-c)\,x + c\,z, \qquad y \leftarrow (1-\beta)\,z
        + \beta\,x, \qquad
        c = \eta_t^2 / \textstyle\sum_{i\le t}\eta_i^2

    ``theta`` is :math:`y`, where the gradient is taken; the weights to evaluate and to save are ``state["x"]``. For
    rates that
    fall, the authors' code weighs by the largest rate so far. Source: Defazio et al., arXiv 2405.15682.

    >>> rule, theta = ScheduleFreeSGD(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9500, -3.0000])
    """

    lr: Rate = 1.0
    momentum: Number = 0.9
    weight_decay: Number = 0.0

    moments: ClassVar[tuple[str, ...]] = ("z", "x")
    numbers: ClassVar[Mapping[str, float]] = {"weights": 0.0}
    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_decay(momentum=self.momentum)
        base.check_nonnegative(weight_decay=self.weight_decay)

    def first(self, theta: Tensor) -> dict[str, Tensor]:
        """Both sequences begin at ``theta``."""
        return {name: theta.detach().clone() for name in self.moments}

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        z = state["z"] - lr * l2(grad, theta, self.weight_decay)
        weights = state["weights"] + lr**2
        x = state["x"] + _share(lr**2, weights) * (z - state["x"])
        y = (1 - self.momentum) * z + self.momentum * x
        return y, {"t": t, "weights": weights, "z": z, "x": x}


@dataclass(frozen=True)
class ScheduleFreeAdamW(Rule):
    r"""Schedule-Free AdamW: :class:`ScheduleFreeSGD` with RMSProp's step, and the average in place of the first moment.

    .. math:: z \leftarrow z - \eta\,\big(g/(\sqrt{\hat v} + \epsilon) + \lambda y\big)

    and :math:`x`, :math:`y`, :math:`c` as there, with :math:`\beta = \beta_1`. The weights to evaluate and to save
    are ``state["x"]``.
    Source: Defazio et al., arXiv 2405.15682.

    >>> rule, theta = ScheduleFreeAdamW(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    lr: Rate = 2.5e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0

    moments: ClassVar[tuple[str, ...]] = ("v", "z", "x")
    numbers: ClassVar[Mapping[str, float]] = {"weights": 0.0}
    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_betas(self.betas)
        base.check_nonnegative(eps=self.eps, weight_decay=self.weight_decay)

    def first(self, theta: Tensor) -> dict[str, Tensor]:
        """``v`` begins at 0, the two sequences at ``theta``."""
        return {"v": torch.zeros_like(theta), "z": theta.detach().clone(), "x": theta.detach().clone()}

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2 = self.betas
        v = beta2 * state["v"] + (1 - beta2) * grad**2
        z = state["z"] - lr * (preconditioned(grad, v / (1 - beta2**t), self.eps) + self.weight_decay * theta)
        weights = state["weights"] + lr**2
        x = state["x"] + _share(lr**2, weights) * (z - state["x"])
        y = (1 - beta1) * z + beta1 * x
        return y, {"t": t, "weights": weights, "v": v, "z": z, "x": x}


def _share(weight: Number, total: Number) -> Number:
    """``weight / total``, 0 where nothing has been weighed yet."""
    if isinstance(total, Tensor):
        return norms.ratio(torch.as_tensor(weight, dtype=total.dtype), total)
    return weight / total if total > 0 else 0.0
