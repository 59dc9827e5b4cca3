"""Rules that look at a layer as a whole: trust ratios (LARS, LAMB), fewer second moments (Adam-mini, Adafactor)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optbias import _checks, norms
from optbias.rules import base
from optbias.rules.adaptive import preconditioned, quotient
from optbias.rules.base import Number, Rate, Rule, State, at_step, decay


@dataclass(frozen=True)
class LARS(Rule):
    r"""LARS: momentum with a learning rate for each layer, in proportion to the layer's norm.

    .. math:: m \leftarrow \mu m + \eta\,\kappa\,\frac{\|\theta\|}{\|g\| + \lambda\|\theta\| + \epsilon}\,(g +
              \lambda\theta), \qquad
              \theta \leftarrow \theta - m

    with the plain rate where the layer or its gradient is 0. ``trust`` is :math:`\kappa`. ``dim``: the axes of one
    layer
    (None: all). Source: You, Gitman & Ginsburg, arXiv 1708.03888.

    >>> rule, theta = LARS(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 1.0000, -2.0002])
    """

    lr: Rate = 0.1
    momentum: Number = 0.9
    weight_decay: Number = 0.0
    trust: Number = 1e-3
    eps: Number = 0.0
    dim: base.Dim = None

    moments: ClassVar[tuple[str, ...]] = ("m",)
    layerwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_decay(momentum=self.momentum)
        base.check_nonnegative(weight_decay=self.weight_decay, trust=self.trust, eps=self.eps)
        base.check_dim(self.dim)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        size, slope = _length(theta, self.dim), _length(grad, self.dim)
        rate = self.trust * norms.ratio(size, slope + self.weight_decay * size + self.eps)
        rate = torch.where((size > 0) & (slope > 0), rate, 1.0)
        m = self.momentum * state["m"] + at_step(self.lr, t) * rate * (grad + self.weight_decay * theta)
        return theta - m, {"t": t, "m": m}


@dataclass(frozen=True)
class LAMB(Rule):
    r"""LAMB: Adam's step, decay included, stretched to the length of the layer.

    .. math:: u = \hat m / (\sqrt{\hat v} + \epsilon) + \lambda\theta, \qquad
              \theta \leftarrow \theta - \eta\,\frac{\|\theta\|}{\|u\|}\, u

    with the factor 1 where the layer or the step is 0. ``dim``: the axes of one layer (None: all).
    Source: You et al., arXiv 1904.00962.

    >>> rule, theta = LAMB(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.8419, -2.1581])
    """

    lr: Rate = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-6
    weight_decay: Number = 0.0
    dim: base.Dim = None

    moments: ClassVar[tuple[str, ...]] = ("m", "v")
    layerwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_betas(self.betas)
        base.check_nonnegative(eps=self.eps, weight_decay=self.weight_decay)
        base.check_dim(self.dim)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        beta1, beta2 = self.betas
        m = beta1 * state["m"] + (1 - beta1) * grad
        v = beta2 * state["v"] + (1 - beta2) * grad**2
        u = preconditioned(m / (1 - beta1**t), v / (1 - beta2**t), self.eps) + self.weight_decay * theta
        size, length = _length(theta, self.dim), _length(u, self.dim)
        trust = torch.where((size > 0) & (length > 0), norms.ratio(size, length), 1.0)
        return theta - at_step(self.lr, t) * trust * u, {"t": t, "m": m, "v": v}


@dataclass(frozen=True)
class AdamMini(Rule):
    r"""Adam-mini: AdamW with one second moment for each block, the mean of its squares.

    .. math:: v \leftarrow \beta_2 v + (1-\beta_2)\,\mathrm{mean}_{\text{block}}(g^2)

    A block is the weights of one output (a row: all axes but the first), or the whole tensor for a vector and with
    ``rows=False``. The paper cuts attention by heads, which a rule cannot know. ``batch`` counts the leading axes
    that are independent runs. Source: Zhang et al., arXiv 2406.16793.

    >>> rule, theta = AdamMini(0.1), torch.eye(2)
    >>> theta, state = rule.update(theta, torch.tensor([[1.0, 2.0], [0.0, 3.0]]), rule.init(theta))
    >>> theta.shape, state["t"]
    (torch.Size([2, 2]), 1)
    """

    lr: Rate = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    rows: bool = True
    batch: int = 0

    moments: ClassVar[tuple[str, ...]] = ("m", "v")
    layerwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_betas(self.betas)
        base.check_nonnegative(eps=self.eps, weight_decay=self.weight_decay)
        _checks.flag("rows", self.rows)
        if isinstance(self.batch, bool) or not isinstance(self.batch, int) or self.batch < 0:
            raise ValueError(f"batch must be an integer >= 0; got {self.batch!r}")

    def first(self, theta: Tensor) -> dict[str, Tensor]:
        """``m`` like theta, ``v`` with one number for each block."""
        return {"m": torch.zeros_like(theta), "v": torch.zeros_like(self._mean(theta))}

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2 = self.betas
        m = beta1 * state["m"] + (1 - beta1) * grad
        v = beta2 * state["v"] + (1 - beta2) * self._mean(grad**2)
        step = preconditioned(m / (1 - beta1**t), v / (1 - beta2**t), self.eps)
        return decay(theta, lr, self.weight_decay) - lr * step, {"t": t, "m": m, "v": v}

    def _mean(self, x: Tensor) -> Tensor:
        begin = self.batch + (1 if self.rows and x.ndim - self.batch > 1 else 0)
        axes = tuple(range(begin, x.ndim))
        return x.mean(dim=axes, keepdim=True) if axes else x


@dataclass(frozen=True)
class Adafactor(Rule):
    r"""Adafactor: the second moment of a matrix from its row and column means, as in ``torch.optim.Adafactor``.

    .. math::
        R \leftarrow (1-\gamma_t) R + \gamma_t\,\mathrm{mean}_j\, g_{ij}^2, \quad
        C \leftarrow (1-\gamma_t) C + \gamma_t\,\mathrm{mean}_i\, g_{ij}^2, \quad
        V = R\,C / \mathrm{mean}(R), \quad \gamma_t = t^{c}, \\
        u = g / \max(\sqrt V, \epsilon_1), \qquad
        \theta \leftarrow (1-\eta\lambda)\theta
        - \max(\epsilon_2, \mathrm{rms}\,\theta)\min(\eta, t^{-1/2})\; u / \max(1, \mathrm{rms}(u)/d)

    ``beta2_decay`` is c < 0. Vectors keep the whole :math:`V`. ``eps1=None`` is the rounding of the dtype. ``dim``:
    the axes of
    one parameter in the means over all entries (None: all). There is no first moment. Source: Shazeer & Stern, arXiv
    1804.04235.

    >>> rule, theta = Adafactor(0.1), torch.eye(2)
    >>> theta, state = rule.update(theta, torch.tensor([[1.0, 2.0], [0.0, 3.0]]), rule.init(theta))
    >>> theta.shape, state["t"]
    (torch.Size([2, 2]), 1)
    """

    lr: Rate = 1e-2
    beta2_decay: float = -0.8
    eps1: float | None = None
    eps2: Number = 1e-3
    d: Number = 1.0
    weight_decay: Number = 0.0
    dim: base.Dim = None

    layerwise = True
    moments: ClassVar[tuple[str, ...]] = ("rows", "columns", "v")

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        _checks.number("beta2_decay", self.beta2_decay, high=0.0)
        base.check_nonnegative(eps2=self.eps2, weight_decay=self.weight_decay)
        if self.eps1 is not None:
            base.check_nonnegative(eps1=self.eps1)
        _checks.number("d", self.d, low=1.0)
        base.check_dim(self.dim)

    def first(self, theta: Tensor) -> dict[str, Tensor]:
        """A matrix: its ``rows`` and ``columns``, and an empty ``v``; a vector (``dim=-1``: always): ``v`` alone."""
        if not self._factored(theta):
            return {"rows": theta.new_zeros(0), "columns": theta.new_zeros(0), "v": torch.zeros_like(theta)}
        zeros = torch.zeros_like(theta)
        return {"rows": zeros[..., :, :1].clone(), "columns": zeros[..., :1, :].clone(), "v": theta.new_zeros(0)}

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr, new = at_step(self.lr, t), t**self.beta2_decay
        eps1 = torch.finfo(theta.dtype).eps if self.eps1 is None else self.eps1
        rows, columns, v = (state[name] for name in self.moments)
        if self._factored(theta):
            square = grad**2
            rows = (1 - new) * rows + new * square.mean(-1, keepdim=True)
            columns = (1 - new) * columns + new * square.mean(-2, keepdim=True)
            second = rows / rows.mean(-2, keepdim=True).clamp(min=eps1) * columns
        else:
            second = v = (1 - new) * v + new * grad**2
        u = quotient(grad, second.clamp(min=eps1**2).sqrt(), eps1**2)
        rate = torch.clamp(_rms(theta, self.dim), min=self.eps2) * _smaller(lr, t**-0.5)
        clipped = rate / torch.clamp(_rms(u, self.dim) / self.d, min=1.0)
        theta = decay(theta, lr, self.weight_decay)
        return theta - clipped * u, {"t": t, "rows": rows, "columns": columns, "v": v}

    def _factored(self, theta: Tensor) -> bool:
        return theta.ndim > 1 and self.dim not in (-1, (-1,))


def _smaller(a: Number, b: Number) -> Number:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return torch.minimum(
            *(torch.as_tensor(x, dtype=None if isinstance(x, Tensor) else torch.float64) for x in (a, b))
        )
    return min(a, b)


def _length(x: Tensor, dim: base.Dim) -> Tensor:
    return torch.linalg.vector_norm(x, dim=dim, keepdim=True)


def _rms(x: Tensor, dim: base.Dim) -> Tensor:
    # A norm needs no room for the squares.
    length = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return length / (x.numel() / max(length.numel(), 1)) ** 0.5
