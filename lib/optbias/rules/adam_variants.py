"""Variants of Adam that treat each coordinate on its own: another average, another order, another direction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from optbias import _checks, norms
from optbias.rules import base
from optbias.rules.adaptive import preconditioned, quotient
from optbias.rules.base import Number, Rate, Rule, State, at_step, decay, l2


@dataclass(frozen=True)
class _LikeAdam(Rule):
    """The numbers that all rules of this file share."""

    lr: Rate = 1e-3
    betas: tuple[Number, ...] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0

    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_betas(self.betas)
        base.check_nonnegative(eps=self.eps, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class NAdam(_LikeAdam):
    r"""NAdam: Adam whose first moment looks one step ahead (Nesterov), as in ``torch.optim.NAdam``.

    .. math::
        \mu_t = \beta_1 (1 - \tfrac12\, 0.96^{\psi t}), \qquad
        \bar m = \frac{(1-\mu_t)\, g}{1 - \prod_{i \le t}\mu_i} + \frac{\mu_{t+1}\, m}{1 - \prod_{i \le t+1}\mu_i},
        \qquad
        \theta \leftarrow \theta - \eta\,\bar m / (\sqrt{\hat v} + \epsilon)

    ``momentum_decay`` is :math:`\psi`; ``decoupled=True`` decays beside the step. Source: Dozat (2016).

    >>> rule, theta = NAdam(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.8944, -2.1056])
    """

    lr: Rate = 2e-3
    momentum_decay: Number = 4e-3
    decoupled: bool = False

    numbers: ClassVar[Mapping[str, float]] = {"mu_product": 1.0}
    elementwise = True

    def __post_init__(self) -> None:
        super().__post_init__()
        base.check_nonnegative(momentum_decay=self.momentum_decay)
        _checks.flag("decoupled", self.decoupled)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2 = self.betas
        g = grad if self.decoupled else l2(grad, theta, self.weight_decay)
        theta = decay(theta, lr, self.weight_decay) if self.decoupled else theta
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (k * self.momentum_decay)) for k in (t, t + 1))
        product = state["mu_product"] * mu
        m = beta1 * state["m"] + (1 - beta1) * g
        v = beta2 * state["v"] + (1 - beta2) * g**2
        ahead = (1 - mu) / (1 - product) * g + mu_next / (1 - product * mu_next) * m
        step = preconditioned(ahead, v / (1 - beta2**t), self.eps)
        return theta - lr * step, {"t": t, "mu_product": product, "m": m, "v": v}


@dataclass(frozen=True)
class RAdam(_LikeAdam):
    r"""RAdam: Adam with a warm-up that its :math:`\beta_2` prescribes, as in ``torch.optim.RAdam``.

    .. math:: \theta \leftarrow \theta - \eta\, r_t\, \hat m \sqrt{1-\beta_2^t} / (\sqrt{v} + \epsilon)

    with the factor :math:`r_t` of :func:`rectifier`; while that is 0 the step is :math:`\eta\,\hat m`, momentum without
    a second moment. ``decoupled`` as in :class:`NAdam`. Source: Liu et al., arXiv 1908.03265.

    >>> rule, theta = RAdam(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9500, -3.0000])
    """

    decoupled: bool = False

    elementwise = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.flag("decoupled", self.decoupled)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2 = self.betas
        g = grad if self.decoupled else l2(grad, theta, self.weight_decay)
        theta = decay(theta, lr, self.weight_decay) if self.decoupled else theta
        m = beta1 * state["m"] + (1 - beta1) * g
        v = beta2 * state["v"] + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        r = rectifier(beta2, t)
        adaptive = (1 - beta2**t) ** 0.5 * preconditioned(m_hat, v, self.eps)
        return theta - lr * (r * adaptive + (r == 0) * m_hat), {"t": t, "m": m, "v": v}


def rectifier(beta2: Number, t: int) -> Number:
    r"""RAdam's factor :math:`r_t` in [0, 1) on the step; 0 where it does without the second moment.

    With :math:`\rho_\infty = 2/(1-\beta_2) - 1` and :math:`\rho_t = \rho_\infty - 2t\beta_2^t/(1-\beta_2^t)`,

    .. math:: r_t = \sqrt{\frac{(\rho_t-4)(\rho_t-2)\rho_\infty}{(\rho_\infty-4)(\rho_\infty-2)\rho_t}}
              \quad\text{if } \rho_t > 5,\ \text{else } 0.

    ``beta2`` in [0, 1) is a number or a tensor, ``t`` counts from 1; the result is of the kind of ``beta2``.
    Source: Liu et al., arXiv 1908.03265.

    >>> [round(rectifier(0.999, t), 3) for t in (5, 6, 550, 2733)]
    [0.0, 0.026, 0.498, 0.9]
    """
    last = 2 / (1 - beta2) - 1
    rho = last - 2 * t * beta2**t / (1 - beta2**t)
    rest = (last - 4) * (last - 2) * rho
    # Where rho <= 5 the fraction may be negative or 0 / 0 and is not used.
    fraction: Any = abs((rho - 4) * (rho - 2) * last / (rest + (rest == 0)))
    return (rho > 5) * fraction**0.5


@dataclass(frozen=True)
class Adamax(_LikeAdam):
    r"""Adamax: Adam with a maximum in place of the mean of squares, as in ``torch.optim.Adamax``.

    .. math:: u \leftarrow \max(\beta_2 u, |g| + \epsilon), \qquad \theta \leftarrow \theta - \eta\,\hat m / u

    ``weight_decay`` is the coupled L2 term. Source: Kingma & Ba, arXiv 1412.6980, section 7.1.

    >>> rule, theta = Adamax(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    lr: Rate = 2e-3

    moments: ClassVar[tuple[str, ...]] = ("m", "u")
    elementwise = True

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        beta1, beta2 = self.betas
        g = l2(grad, theta, self.weight_decay)
        m = beta1 * state["m"] + (1 - beta1) * g
        u = torch.maximum(beta2 * state["u"], g.abs() + self.eps)
        rate = at_step(self.lr, t) / (1 - beta1**t)
        return theta - rate * quotient(m, u, self.eps), {"t": t, "m": m, "u": u}


@dataclass(frozen=True)
class AdaBelief(_LikeAdam):
    r"""AdaBelief: Adam that divides by the size of the surprise :math:`g - m`, not of the gradient.

    .. math:: s \leftarrow \beta_2 s + (1-\beta_2)(g - m)^2 + \epsilon, \qquad
              \theta \leftarrow (1-\eta\lambda)\theta - \eta\,\hat m / (\sqrt{\hat s} + \epsilon)

    with :math:`m` after its own update. Epsilon is added twice, as in the paper. The decay is decoupled.
    Source: Zhuang et al., arXiv 2010.07468.

    >>> rule, theta = AdaBelief(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.8889, -2.1111])
    """

    eps: Number = 1e-16

    moments: ClassVar[tuple[str, ...]] = ("m", "s")
    elementwise = True

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2 = self.betas
        m = beta1 * state["m"] + (1 - beta1) * grad
        s = beta2 * state["s"] + (1 - beta2) * (grad - m) ** 2 + self.eps
        step = preconditioned(m / (1 - beta1**t), s / (1 - beta2**t), self.eps)
        return decay(theta, lr, self.weight_decay) - lr * step, {"t": t, "m": m, "s": s}


@dataclass(frozen=True)
class Yogi(_LikeAdam):
    r"""Yogi: Adam whose :math:`v` moves by at most :math:`(1-\beta_2) g^2`, up or down.

    .. math:: v \leftarrow v - (1-\beta_2)\,\mathrm{sign}(v - g^2)\, g^2

    Both moments begin at ``initial``, and both have hats, as in the common implementations (the paper has no hats). The
    decay is decoupled. Source: Zaheer et al. (2018).

    >>> rule, theta = Yogi(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9004, -2.1000])
    """

    lr: Rate = 1e-2
    eps: Number = 1e-3
    initial: float = 1e-6

    elementwise = True

    def __post_init__(self) -> None:
        super().__post_init__()
        base.check_nonnegative(initial=self.initial)

    def first(self, theta: Tensor) -> dict[str, Tensor]:
        """Both moments at ``initial``."""
        return {name: torch.full_like(theta, self.initial) for name in self.moments}

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2 = self.betas
        m = beta1 * state["m"] + (1 - beta1) * grad
        v = state["v"] - (1 - beta2) * torch.sign(state["v"] - grad**2) * grad**2
        step = preconditioned(m / (1 - beta1**t), v / (1 - beta2**t), self.eps)
        return decay(theta, lr, self.weight_decay) - lr * step, {"t": t, "m": m, "v": v}


@dataclass(frozen=True)
class LaProp(_LikeAdam):
    r"""LaProp: Adam in the other order, first the division and then the average.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1)\, g / (\sqrt{\hat v} + \epsilon), \qquad
              \theta \leftarrow (1-\eta\lambda)\theta - \eta\, m / (1-\beta_1^t)

    Source: Ziyin, Wang & Ueda, arXiv 2002.04839.

    >>> rule, theta = LaProp(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    elementwise = True

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2 = self.betas
        v = beta2 * state["v"] + (1 - beta2) * grad**2
        m = beta1 * state["m"] + (1 - beta1) * preconditioned(grad, v / (1 - beta2**t), self.eps)
        return decay(theta, lr, self.weight_decay) - lr * m / (1 - beta1**t), {"t": t, "m": m, "v": v}


@dataclass(frozen=True)
class ADOPT(_LikeAdam):
    r"""ADOPT: the gradient is divided by a :math:`v` that does not know it yet, then averaged.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1)\,\mathrm{clip}\!\left(\frac{g}{\max(\sqrt v, \epsilon)},
              (t-1)^{1/4}\right), \qquad \theta \leftarrow (1-\eta\lambda)\theta - \eta\, m, \qquad
              v \leftarrow \beta_2 v + (1-\beta_2) g^2

    The first step only takes :math:`v = g^2`. ``clip=False`` leaves out the bound, as in the theorem, which
    converges for every :math:`\beta_2`. Source: Taniguchi et al., arXiv 2411.02853.

    >>> rule, theta = ADOPT(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 1., -2.])
    """

    betas: tuple[Number, ...] = (0.9, 0.9999)
    eps: Number = 1e-6
    clip: bool = True

    elementwise = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.flag("clip", self.clip)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t) * (t > 1)
        beta1, beta2 = self.betas
        known = preconditioned_by_max(grad, state["v"], self.eps)
        limit = (t - 1) ** 0.25
        known = known.clamp(-limit, limit) if self.clip else (t > 1) * known
        m = beta1 * state["m"] + (1 - beta1) * known
        keep = beta2 * (t > 1)  # at the first step the average is the gradient's own square
        v = keep * state["v"] + (1 - keep) * grad**2
        return decay(theta, lr, self.weight_decay) - lr * m, {"t": t, "m": m, "v": v}


def preconditioned_by_max(g: Tensor, v: Tensor, eps: Number) -> Tensor:
    """``g / max(sqrt(v), eps)``; ``0 / 0`` is 0, and anything else over 0 the largest number there is."""
    root = torch.sqrt(v).clamp(min=eps)
    return norms.ratio(g, root).nan_to_num() if not isinstance(eps, Tensor) and eps == 0 else norms.ratio(g, root)


@dataclass(frozen=True)
class AdEMAMix(_LikeAdam):
    r"""AdEMAMix: AdamW with a second, slow average of the gradients.

    .. math:: \theta \leftarrow (1-\eta\lambda)\theta - \eta\,(\hat m + \alpha_t s) / (\sqrt{\hat v} + \epsilon), \qquad
              s \leftarrow \beta_{3,t} s + (1-\beta_{3,t}) g

    ``betas`` are :math:`\beta_1, \beta_2, \beta_3`. In the first ``warmup`` steps :math:`\alpha_t` grows in
    proportion to t
    and :math:`\beta_{3,t}` from :math:`\beta_1` so that its half-life grows in proportion (0: from the start the
    full values).
    Source: Pagliardini, Ablin & Grangier, arXiv 2409.03137.

    >>> rule, theta = AdEMAMix(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    betas: tuple[Number, ...] = (0.9, 0.999, 0.9999)
    alpha: Number = 5.0
    warmup: int = 0

    moments: ClassVar[tuple[str, ...]] = ("m", "s", "v")
    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_betas(self.betas, 3)
        base.check_nonnegative(eps=self.eps, weight_decay=self.weight_decay, alpha=self.alpha)
        if isinstance(self.warmup, bool) or not isinstance(self.warmup, int) or self.warmup < 0:
            raise ValueError(f"warmup must be an integer >= 0; got {self.warmup!r}")
        if self.warmup and any(isinstance(b, Tensor) or b == 0 for b in (self.betas[0], self.betas[2])):
            raise ValueError(f"with a warmup beta1 and beta3 must be positive numbers; got betas = {self.betas}")

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2, _ = self.betas
        alpha, beta3 = self.slow(t)
        m = beta1 * state["m"] + (1 - beta1) * grad
        s = beta3 * state["s"] + (1 - beta3) * grad
        v = beta2 * state["v"] + (1 - beta2) * grad**2
        step = preconditioned(m / (1 - beta1**t) + alpha * s, v / (1 - beta2**t), self.eps)
        return decay(theta, lr, self.weight_decay) - lr * step, {"t": t, "m": m, "s": s, "v": v}

    def slow(self, t: int) -> tuple[Number, Number]:
        """``alpha_t`` and ``beta_{3,t}``: the weight and the decay of the slow average at step ``t``."""
        beta1, _, beta3 = self.betas
        if not self.warmup or t >= self.warmup:
            return self.alpha, beta3
        share = t / self.warmup
        fast, slow = math.log(beta1), math.log(beta3)
        return self.alpha * share, min(math.exp(fast * slow / ((1 - share) * slow + share * fast)), beta3)


@dataclass(frozen=True)
class CautiousAdamW(_LikeAdam):
    r"""AdamW that leaves out the coordinates in which its step and the gradient disagree.

    .. math:: \theta \leftarrow (1-\eta\lambda)\theta - \eta\,\frac{\phi}{\bar\phi}\circ\frac{\hat m}{\sqrt{\hat v} +
              \epsilon},
              \qquad \phi = [\,m\, g > 0\,]

    with :math:`\bar\phi` the share of coordinates that stay (at least 1/1000), which keeps the length of the step; with
    ``scale=False`` it is 1, and the rule is elementwise. ``dim``: the axes of one parameter over which the share is
    taken (None: all). Source: Liang et al., arXiv 2411.16085.

    >>> rule, theta = CautiousAdamW(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.8990, -2.0980])
    """

    weight_decay: Number = 0.01
    scale: bool = True
    dim: base.Dim = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.flag("scale", self.scale)
        base.check_dim(self.dim)

    @property
    def elementwise(self) -> bool:
        """Not if the share of all coordinates counts."""
        return not self.scale

    @property
    def layerwise(self) -> bool:
        """The share is that of a layer."""
        return self.scale

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2 = self.betas
        m = beta1 * state["m"] + (1 - beta1) * grad
        v = beta2 * state["v"] + (1 - beta2) * grad**2
        mask = (m * grad > 0).to(theta.dtype)
        share = mask.mean(dim=self.dim, keepdim=True).clamp(min=1e-3) if self.scale else 1.0
        step = mask / share * preconditioned(m / (1 - beta1**t), v / (1 - beta2**t), self.eps)
        return decay(theta, lr, self.weight_decay) - lr * step, {"t": t, "m": m, "v": v}
