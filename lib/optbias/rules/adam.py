"""Adam and its variants: Adam (with coupled L2), AMSGrad, AdamW."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optbias import _checks
from optbias.rules import base
from optbias.rules.adaptive import preconditioned
from optbias.rules.base import Number, Rate, Rule, State, at_step, decay, l2


@dataclass(frozen=True)
class Adam(Rule):
    r"""Adam, as in ``torch.optim.Adam``.

    .. math::
        m \leftarrow \beta_1 m + (1-\beta_1) g, \qquad v \leftarrow \beta_2 v + (1-\beta_2) g^2, \\
        \theta \leftarrow \theta - \eta\,\hat m / (\sqrt{\hat v} + \epsilon), \qquad
        \hat m = m/(1-\beta_1^t), \quad \hat v = v/(1-\beta_2^t).

    ``eps_inside=True`` puts epsilon inside the root, :math:`\sqrt{\hat v + \epsilon}`, the form that
    the theory of the one-norm bias uses. ``bias_correction=False`` drops the hats.
    ``weight_decay`` is the *coupled* L2 term, :math:`g \leftarrow g + \lambda\theta`, which enters
    both moments; for decoupled decay use :class:`AdamW`. Source: Kingma & Ba, arXiv 1412.6980.

    >>> rule, theta = Adam(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    lr: Rate = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    eps_inside: bool = False
    bias_correction: bool = True

    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_betas(self.betas)
        base.check_nonnegative(eps=self.eps, weight_decay=self.weight_decay)
        _checks.flag("eps_inside", self.eps_inside)
        _checks.flag("bias_correction", self.bias_correction)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        beta1, beta2 = self.betas
        g = l2(grad, theta, self.weight_decay)
        m = beta1 * state["m"] + (1 - beta1) * g
        v = beta2 * state["v"] + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t) if self.bias_correction else m
        v_hat = v / (1 - beta2**t) if self.bias_correction else v
        step = preconditioned(m_hat, v_hat, self.eps, self.eps_inside)
        return theta - at_step(self.lr, t) * step, {"t": t, "m": m, "v": v}


@dataclass(frozen=True)
class AMSGrad(Adam):
    r"""AMSGrad: Adam that divides by the largest :math:`v` seen so far.

    As in ``torch.optim.Adam(amsgrad=True)`` the maximum is taken over the raw :math:`v`, and the
    hat is put on it afterwards. The paper has no hats: use ``bias_correction=False`` for it.
    Source: Reddi, Kale & Kumar, arXiv 1904.09237.

    >>> rule, theta = AMSGrad(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    moments: ClassVar[tuple[str, ...]] = ("m", "v", "v_max")

    elementwise = True

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        beta1, beta2 = self.betas
        g = l2(grad, theta, self.weight_decay)
        m = beta1 * state["m"] + (1 - beta1) * g
        v = beta2 * state["v"] + (1 - beta2) * g**2
        v_max = torch.maximum(state["v_max"], v)
        m_hat = m / (1 - beta1**t) if self.bias_correction else m
        v_hat = v_max / (1 - beta2**t) if self.bias_correction else v_max
        step = preconditioned(m_hat, v_hat, self.eps, self.eps_inside)
        return theta - at_step(self.lr, t) * step, {"t": t, "m": m, "v": v, "v_max": v_max}


@dataclass(frozen=True)
class AdamW(Adam):
    r"""AdamW: Adam's step beside a decay that it does not scale, as in ``torch.optim.AdamW``.

    .. math:: \theta \leftarrow (1 - \eta\lambda)\,\theta - \eta\,\hat m / (\sqrt{\hat v} + \epsilon)

    The moments see the plain gradient. The decay is multiplied by the learning rate, as in torch
    (in the paper's own form it is not). Source: Loshchilov & Hutter, arXiv 1711.05101.

    >>> rule, theta = AdamW(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.8990, -2.0980])
    """

    weight_decay: Number = 0.01

    elementwise = True

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2 = self.betas
        theta = decay(theta, lr, self.weight_decay)
        m = beta1 * state["m"] + (1 - beta1) * grad
        v = beta2 * state["v"] + (1 - beta2) * grad**2
        m_hat = m / (1 - beta1**t) if self.bias_correction else m
        v_hat = v / (1 - beta2**t) if self.bias_correction else v
        step = preconditioned(m_hat, v_hat, self.eps, self.eps_inside)
        return theta - lr * step, {"t": t, "m": m, "v": v}
