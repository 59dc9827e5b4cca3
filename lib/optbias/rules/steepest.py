"""Normalised steepest descent and its momentum versions: SignGD, Signum, NSD with weight decay, Lion, Muon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optbias import _checks, norms
from optbias.rules import base
from optbias.rules.base import Number, Rate, Rule, State, at_step, decay


@dataclass(frozen=True)
class NormalizedSteepestDescent(Rule):
    r"""Normalised steepest descent with decoupled weight decay, in any norm.

    .. math:: \theta \leftarrow (1-\eta\lambda)\,\theta - \eta\,\Delta, \qquad
              \Delta \in \arg\max_{\|\Delta\| \le 1} \langle g, \Delta\rangle

    ``norm``: ``"linf"`` (sign descent), ``"l2"`` (normalised gradient), ``"l1"`` (one coordinate),
    ``"spectral"``, ``"nuclear"`` (on the last two axes). ``dim`` says over which axes a vector norm is taken;
    None takes the whole tensor, -1 treats leading axes as a batch. With :math:`\lambda > 0` this is
    Frank-Wolfe on the ball of radius :math:`1/\lambda` with steps :math:`\lambda\eta`.
    Source: Xie & Li, arXiv 2404.04454.

    >>> NormalizedSteepestDescent(0.1, "l2").update(torch.zeros(2), torch.tensor([3.0, 4.0]), {"t": 0})[0]
    tensor([-0.0600, -0.0800])
    """

    lr: Rate = 1e-3
    norm: str = "linf"
    weight_decay: Number = 0.0
    dim: int | None = None

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        _checks.one_of("norm", self.norm, norms.NORMS)
        base.check_nonnegative(weight_decay=self.weight_decay)
        if self.dim is not None and (isinstance(self.dim, bool) or not isinstance(self.dim, int)):
            raise TypeError(f"dim must be an integer or None; got {self.dim!r}")

    @property
    def elementwise(self) -> bool:
        """Only the sign of sign descent is taken coordinate by coordinate."""
        return self.norm == "linf"

    @property
    def layerwise(self) -> bool:
        """Matrix norms need a matrix."""
        return self.norm in ("spectral", "nuclear")

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        theta = decay(theta, lr, self.weight_decay)
        delta = norms.steepest_direction(grad, self.norm, self.dim)
        return theta - lr * delta, {"t": t}


@dataclass(frozen=True)
class SignGD(Rule):
    r"""Sign descent: :math:`\theta \leftarrow (1-\eta\lambda)\theta - \eta\,\mathrm{sign}(g)`, with sign(0) = 0.

    Normalised steepest descent in the max norm, and Adam with :math:`\beta_1=\beta_2=\epsilon=0`.

    >>> rule, theta = SignGD(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    lr: Rate = 1e-3
    weight_decay: Number = 0.0

    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_nonnegative(weight_decay=self.weight_decay)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        theta = decay(theta, lr, self.weight_decay)
        return theta - lr * grad.sign(), {"t": t}


@dataclass(frozen=True)
class Signum(Rule):
    r"""Signum: sign descent on a moving average of the gradient.

    .. math:: m \leftarrow \beta m + (1-\beta) g, \qquad \theta \leftarrow (1-\eta\lambda)\theta -
              \eta\,\mathrm{sign}(m)

    Lion with equal betas, up to the order of step and average. Source: Bernstein et al., arXiv 1802.04434.

    >>> rule, theta = Signum(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    lr: Rate = 1e-3
    beta: Number = 0.9
    weight_decay: Number = 0.0

    moments: ClassVar[tuple[str, ...]] = ("m",)
    torch_names: ClassVar[dict[str, str]] = {"beta": "momentum"}
    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_decay(beta=self.beta)
        base.check_nonnegative(weight_decay=self.weight_decay)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        m = self.beta * state["m"] + (1 - self.beta) * grad
        return decay(theta, lr, self.weight_decay) - lr * m.sign(), {"t": t, "m": m}


@dataclass(frozen=True)
class Lion(Rule):
    r"""Lion: sign descent on a mixture of the gradient and its moving average.

    .. math::
        \theta \leftarrow (1-\eta\lambda)\,\theta - \eta\,\mathrm{sign}(\beta_1 m + (1-\beta_1) g), \qquad
        m \leftarrow \beta_2 m + (1-\beta_2) g

    Source: Chen et al., arXiv 2302.06675.

    >>> rule, theta = Lion(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9000, -2.1000])
    """

    lr: Rate = 1e-4
    betas: tuple[Number, Number] = (0.9, 0.99)
    weight_decay: Number = 0.0

    moments: ClassVar[tuple[str, ...]] = ("m",)

    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_betas(self.betas)
        base.check_nonnegative(weight_decay=self.weight_decay)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        beta1, beta2 = self.betas
        theta = decay(theta, lr, self.weight_decay)
        delta = torch.sign(beta1 * state["m"] + (1 - beta1) * grad)
        m = beta2 * state["m"] + (1 - beta2) * grad
        return theta - lr * delta, {"t": t, "m": m}


@dataclass(frozen=True)
class Muon(Rule):
    r"""Muon: steepest descent in the spectral norm on the momentum of a matrix.

    .. math::
        m \leftarrow \mu m + (1-\mu) g, \qquad
        \theta \leftarrow (1-\eta\lambda)\,\theta - \eta\,s\,\mathrm{orth}(m), \qquad
        \mathrm{orth}(U \Sigma V^\top) = U V^\top

    with ``nesterov=True`` on :math:`\mu m + (1-\mu) g` instead of :math:`m`. ``orthogonalize``:
    ``"newton_schulz"`` is the quintic iteration in bfloat16 that ``torch.optim.Muon`` runs (its
    singular values end near 1, not at 1); ``"svd"`` is exact, in the dtype of the gradient, and
    batched over leading axes. ``adjust_lr=True`` takes :math:`s = \sqrt{\max(1, rows/columns)}` as
    torch does by default; the theorem about the spectral ball needs ``adjust_lr=False``
    (:math:`s = 1`). The defaults are those of ``torch.optim.Muon``. Source: Jordan et al. (2024).

    >>> rule, theta = Muon(0.1, orthogonalize="svd"), torch.eye(2)
    >>> theta, state = rule.update(theta, torch.tensor([[1.0, 2.0], [0.0, 3.0]]), rule.init(theta))
    >>> theta.shape, state["t"]
    (torch.Size([2, 2]), 1)
    """

    lr: Rate = 1e-3
    momentum: Number = 0.95
    weight_decay: Number = 0.1
    nesterov: bool = True
    orthogonalize: str = "newton_schulz"
    ns_steps: int = 5
    adjust_lr: bool = True

    moments: ClassVar[tuple[str, ...]] = ("m",)

    layerwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_decay(momentum=self.momentum)
        base.check_nonnegative(weight_decay=self.weight_decay)
        _checks.flag("nesterov", self.nesterov)
        _checks.flag("adjust_lr", self.adjust_lr)
        _checks.one_of("orthogonalize", self.orthogonalize, ("newton_schulz", "svd"))
        if isinstance(self.ns_steps, bool) or not isinstance(self.ns_steps, int) or not 1 <= self.ns_steps < 100:
            raise ValueError(f"ns_steps must be an integer in [1, 100); got {self.ns_steps!r}")

    def init(self, theta: Tensor) -> State:
        """As for every rule; raises ValueError unless ``theta`` is a matrix (svd: or a batch)."""
        state = super().init(theta)
        if theta.ndim != 2 and not (self.orthogonalize == "svd" and theta.ndim > 2):
            raise ValueError(f"Muon needs a matrix (two axes); got shape {tuple(theta.shape)}")
        return state

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        mu = self.momentum
        m = mu * state["m"] + (1 - mu) * grad
        direction = mu * m + (1 - mu) * grad if self.nesterov else m
        if self.orthogonalize == "svd":
            delta = norms.steepest_direction(direction, "spectral")
        else:
            delta = newton_schulz(direction, self.ns_steps).to(theta.dtype)
        rows, columns = theta.shape[-2:]
        scale = max(1.0, rows / columns) ** 0.5 if self.adjust_lr else 1.0
        theta = decay(theta, lr, self.weight_decay)
        return theta - lr * scale * delta, {"t": t, "m": m}


def newton_schulz(g: Tensor, steps: int = 5) -> Tensor:
    """Nearly ``U V^T`` of the matrix ``g``, by Muon's quintic Newton-Schulz iteration in bfloat16.

    Each step maps every singular value s to ``a s + b s^3 + c s^5``; the coefficients are chosen to
    lift small values fast, not to converge: after five steps the values lie roughly in [0.7, 1.2].
    Shape ``(rows, columns)``, returned in bfloat16. Source: Jordan et al. (2024).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    tall = g.shape[0] > g.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
