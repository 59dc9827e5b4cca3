"""Rules that scale a gradient matrix from the left and from the right: Shampoo, and SOAP, which is Adam in its
basis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optbias.rules import base
from optbias.rules.adaptive import preconditioned
from optbias.rules.base import Number, Rate, Rule, State, at_step, decay


@dataclass(frozen=True)
class Shampoo(Rule):
    r"""Shampoo: a matrix gradient between powers of two second moments.

    .. math:: L \leftarrow \beta L + c\, G G^\top, \quad R \leftarrow \beta R + c\, G^\top G, \qquad
              \theta \leftarrow (1-\eta\lambda)\theta - \eta\,(L + \epsilon I)^{-p}\, G\, (R + \epsilon I)^{-p}

    ``beta=1`` sums (:math:`c = 1`, the paper, like AdaGrad); ``beta < 1`` averages (:math:`c = 1-\beta`). ``power``
    is p: 1/4 in the
    paper, 1/2 in later work. Works on the last two axes, batched over the others; directions that no gradient has
    had are left out when epsilon is 0. Source: Gupta, Koren & Singer, arXiv 1802.09568.

    >>> rule, theta = Shampoo(0.1), torch.eye(2)
    >>> theta, state = rule.update(theta, torch.tensor([[1.0, 2.0], [0.0, 3.0]]), rule.init(theta))
    >>> theta.shape, state["t"]
    (torch.Size([2, 2]), 1)
    """

    lr: Rate = 1e-2
    beta: Number = 1.0
    power: float = 0.25
    eps: Number = 1e-6
    weight_decay: Number = 0.0

    moments: ClassVar[tuple[str, ...]] = ("left", "right")
    layerwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_share(beta=self.beta)
        base.check_positive(power=self.power)
        base.check_nonnegative(eps=self.eps, weight_decay=self.weight_decay)

    def first(self, theta: Tensor) -> dict[str, Tensor]:
        """The two moments, square matrices of zeros. Raises ValueError unless ``theta`` is a matrix or a batch of
        them."""
        base.check_matrix(self, theta)
        return dict(zip(self.moments, _squares(theta), strict=True))

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        new = 1 - self.beta + (self.beta == 1)
        left = self.beta * state["left"] + new * grad @ grad.mT
        right = self.beta * state["right"] + new * grad.mT @ grad
        step = inverse_power(left, self.power, self.eps) @ grad @ inverse_power(right, self.power, self.eps)
        return decay(theta, lr, self.weight_decay) - lr * step, {"t": t, "left": left, "right": right}


@dataclass(frozen=True)
class SOAP(Rule):
    r"""SOAP: Adam in the eigenbasis of Shampoo's two moments.

    .. math:: G' = Q_L^\top G\, Q_R, \qquad v \leftarrow \beta_2 v + (1-\beta_2)\, G'^2, \qquad
              \theta \leftarrow (1-\eta\lambda)\theta - \eta\; Q_L\,\frac{Q_L^\top \hat m\, Q_R}{\sqrt{\hat v} +
              \epsilon}\, Q_R^\top

    with :math:`m` an average of :math:`G`, and :math:`Q_L, Q_R` the eigenvectors of the averages (:math:`\beta_2`) of
    :math:`G G^\top` and :math:`G^\top G`. Every ``frequency`` steps each basis makes one step of subspace iteration,
    a QR
    decomposition. The first step only takes the basis, as in the authors' code. A gradient without
    full rank leaves axes free, and the path depends on those that the decomposition returns: two machines may differ
    by more than rounding. ``v`` stays with the index of its axis when the basis turns (the paper's algorithm; the
    authors' code sorts the axes), so a step may be long after a spike. Source: Vyas et al., arXiv 2409.11321.

    >>> rule, theta = SOAP(0.1), torch.eye(2)
    >>> theta, state = rule.update(theta, torch.tensor([[1.0, 2.0], [0.0, 3.0]]), rule.init(theta))
    >>> theta.shape, state["t"]
    (torch.Size([2, 2]), 1)
    """

    lr: Rate = 3e-3
    betas: tuple[Number, Number] = (0.95, 0.95)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    frequency: int = 10

    moments: ClassVar[tuple[str, ...]] = ("m", "v", "left", "right", "q_left", "q_right")
    layerwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_betas(self.betas)
        base.check_nonnegative(eps=self.eps, weight_decay=self.weight_decay)
        if isinstance(self.frequency, bool) or not isinstance(self.frequency, int) or self.frequency < 1:
            raise ValueError(f"frequency must be a positive integer; got {self.frequency!r}")

    def first(self, theta: Tensor) -> dict[str, Tensor]:
        """Zeros, the bases included. Raises ValueError unless ``theta`` is a matrix or a batch of them."""
        base.check_matrix(self, theta)
        zeros = [torch.zeros_like(theta), torch.zeros_like(theta), *_squares(theta), *_squares(theta)]
        return dict(zip(self.moments, zeros, strict=True))

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t, (beta1, beta2) = state["t"] + 1, self.betas
        lr, (m, v, left, right, ql, qr) = at_step(self.lr, t), (state[name] for name in self.moments)
        if t > 1:
            k = t - 1  # Adam's own count: the first step has taken the basis only
            m = beta1 * m + (1 - beta1) * grad
            v = beta2 * v + (1 - beta2) * (ql.mT @ grad @ qr) ** 2
            step = preconditioned(ql.mT @ m @ qr / (1 - beta1**k), v / (1 - beta2**k), self.eps)
            theta = decay(theta, lr, self.weight_decay) - lr * (ql @ step @ qr.mT)
        left = beta2 * left + (1 - beta2) * grad @ grad.mT
        right = beta2 * right + (1 - beta2) * grad.mT @ grad
        if t == 1:
            ql, qr = (torch.linalg.eigh(a).eigenvectors.flip(-1) for a in (left, right))
        elif (t - 1) % self.frequency == 0:
            ql, qr = (torch.linalg.qr(a @ q).Q for a, q in ((left, ql), (right, qr)))
        return theta, {"t": t} | dict(zip(self.moments, (m, v, left, right, ql, qr), strict=True))


def inverse_power(a: Tensor, power: float, eps: Number) -> Tensor:
    """``(a + eps I)^(-power)`` of symmetric positive semi-definite matrices ``(..., n, n)``, by their eigenvalues.

    With ``eps = 0`` eigenvalues that are 0 up to rounding are left out (the pseudo-inverse). Raises ValueError for an
    infinity or a NaN.
    """
    if not bool(torch.isfinite(a).all()):
        raise ValueError("an eigenvalue decomposition needs finite numbers; got an infinity or a NaN")
    values, vectors = torch.linalg.eigh(a)
    values = values.clamp(min=0) + eps
    kept = values > values.amax(-1, keepdim=True) * a.shape[-1] * torch.finfo(a.dtype).eps
    scale = torch.where(kept, torch.where(kept, values, 1.0) ** -power, 0.0)
    return vectors * scale.unsqueeze(-2) @ vectors.mT


def _squares(theta: Tensor) -> tuple[Tensor, Tensor]:
    """Zeros for the left and for the right side of a matrix."""
    *batch, rows, columns = theta.shape
    return theta.new_zeros(*batch, rows, rows), theta.new_zeros(*batch, columns, columns)
