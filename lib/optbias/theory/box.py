r"""What AdamW does in its box: the average update, the epsilon-barrier, and the way out.

If AdamW with weight decay :math:`\lambda` converges, with full-batch gradients of a :math:`C^1` loss, non-increasing
rates of infinite sum, :math:`\beta_1 \le \beta_2` and :math:`\epsilon = 0`, its limit is a KKT point of
:math:`\min f` over :math:`\|\theta\|_\infty \le 1/\lambda` (Xie & Li,
arXiv 2404.04454). This module holds the inequality behind it (:func:`average_update_bound`), what epsilon
changes (:func:`eps_penalty`), and losses on which :math:`\beta_1 > \beta_2` leaves the box (:class:`EscapeLoss`).
"""

from __future__ import annotations

import torch
from scipy.optimize import brentq
from torch import Tensor

from optbias import _checks
from optbias.norms import ratio
from optbias.rules import AdamW, Rule
from optbias.rules.base import check_betas

# --- The average update -------------------------------------------------------------------------


def squared_update_bound(v: Tensor, betas: tuple[float, float]) -> Tensor:
    r"""Lemma 4.2, pointwise: a bound on ``(m_t / sqrt(v_t))**2`` from the history of v alone.

    With :math:`\ell_t = \ln v_t`,

    .. math::
        \Delta_t^2 \le 1 + \frac{\beta_2-\beta_1}{1-\beta_2}\Big[\beta_1^{t-1}
            + (1-\beta_1)\sum_{j=1}^{t-1}\beta_1^{j-1}(\ell_t - \ell_{t-j})\Big].

    ``v`` holds the uncorrected :math:`v_1, v_2, \dots` along its first axis, all positive, with
    :math:`v_t - \beta_2 v_{t-1} \ge (1-\beta_2) g_t^2`. Returns the bound, shaped like ``v``. Raises
    ValueError unless ``beta1 <= beta2`` and ``v > 0``. Source: Xie & Li, arXiv 2404.04454, Lemma 4.2.

    >>> squared_update_bound(torch.ones(3, dtype=torch.float64), (0.9, 0.9))
    tensor([1., 1., 1.], dtype=torch.float64)
    """
    _checks.tensor("v", v)
    check_betas(betas)
    beta1, beta2 = betas
    if beta1 > beta2:
        raise ValueError(f"the bound needs beta1 <= beta2; got betas = {betas}")
    if v.ndim == 0 or not bool((v > 0).all()):
        raise ValueError(f"v must hold positive numbers along its first axis; got {v}")
    logs = v.log()
    bound = torch.empty_like(v)
    past = torch.zeros_like(v[0])  # sum_{j>=1} beta1^(j-1) logs[t-j]
    for t in range(1, len(v) + 1):
        weight = beta1 ** (t - 1)
        growth = (1 - weight) * logs[t - 1] - (1 - beta1) * past
        bound[t - 1] = 1 + (beta2 - beta1) / (1 - beta2) * (weight + growth)
        past = logs[t - 1] + beta1 * past
    return bound


def average_update_bound(v: Tensor, betas: tuple[float, float], rates: Tensor | None = None) -> Tensor:
    r"""Lemma 4.2: a bound on the square of the average update, for every horizon T.

    Bounds :math:`(\sum_{t\le T} \eta_t\Delta_t / \sum_{t\le T} \eta_t)^2`, the rates-weighted mean of
    :func:`squared_update_bound`. ``v`` as there; ``rates`` (T,) are the nonnegative learning rates,
    the first positive (None: all equal). Returns a tensor shaped like ``v``, entry T-1 for horizon T.

    >>> average_update_bound(torch.ones(3, dtype=torch.float64), (0.9, 0.99)).shape
    torch.Size([3])
    """
    pointwise = squared_update_bound(v, betas)
    weights = torch.ones(len(v), dtype=v.dtype) if rates is None else rates
    _checks.number("rates", weights, low=0.0)
    if weights.shape != (len(v),) or float(weights[0]) == 0:
        raise ValueError(
            f"rates must have shape ({len(v)},) and start with a positive rate; got {tuple(weights.shape)}"
        )
    weights = weights.reshape(-1, *[1] * (v.ndim - 1))
    return (weights * pointwise).cumsum(dim=0) / weights.cumsum(dim=0)


# --- Epsilon ------------------------------------------------------------------------------------


def eps_penalty(theta: Tensor, weight_decay: float, eps: float, eps_inside: bool = False) -> Tensor:
    r"""What AdamW adds to the loss when epsilon is not 0: its fixed points minimise ``f + eps_penalty``.

    epsilon outside the root: :math:`\epsilon \sum_i [-|\theta_i| - \ln(1-\lambda|\theta_i|)/\lambda]`,
    a barrier that is infinite at the walls of the box. Inside:
    :math:`-(\sqrt\epsilon/\lambda)\sum_i \sqrt{1-\lambda^2\theta_i^2}`, finite there, with infinite
    slope. Shapes ``(..., d) -> (...)``; ``inf`` outside the box. Raises ValueError for
    ``weight_decay <= 0`` or ``eps < 0``.

    >>> eps_penalty(torch.tensor([0.0, 0.5], dtype=torch.float64), weight_decay=1.0, eps=0.1)
    tensor(0.0193, dtype=torch.float64)
    """
    _check_penalty(theta, weight_decay, eps, eps_inside)
    u = weight_decay * theta.abs()
    if eps_inside:
        each = -(1 - u.square()).clamp(min=0).sqrt() * eps**0.5 / weight_decay
    else:
        # At the walls the barrier is infinite, but with eps = 0 there is none.
        each = torch.where((u < 1) | (eps > 0), eps * (-u - torch.log1p(-u)) / weight_decay, 0.0)
    return torch.where(u > 1, torch.inf, each).sum(dim=-1)


def eps_penalty_slope(theta: Tensor, weight_decay: float, eps: float, eps_inside: bool = False) -> Tensor:
    r"""The gradient of :func:`eps_penalty` inside the box, shape of ``theta``.

    :math:`\epsilon\lambda\theta/(1-\lambda|\theta|)` outside the root,
    :math:`\sqrt\epsilon\lambda\theta/\sqrt{1-\lambda^2\theta^2}` inside it.

    >>> eps_penalty_slope(torch.tensor([0.0, 0.5], dtype=torch.float64), weight_decay=1.0, eps=0.1)
    tensor([0.0000, 0.1000], dtype=torch.float64)
    """
    _check_penalty(theta, weight_decay, eps, eps_inside)
    u = weight_decay * theta
    if eps_inside:
        return ratio(eps**0.5 * u, (1 - u.square()).sqrt())
    return ratio(eps * u, 1 - u.abs())


def _check_penalty(theta: Tensor, weight_decay: float, eps: float, eps_inside: bool) -> None:
    _checks.tensor("theta", theta)
    _checks.number("weight_decay", weight_decay, low=0.0, open_low=True)
    _checks.number("eps", eps, low=0.0)
    _checks.flag("eps_inside", eps_inside)


def eps_minimiser(
    curvature: Tensor, centre: Tensor, weight_decay: float, eps: float, eps_inside: bool = False
) -> Tensor:
    r"""The minimiser of :math:`\frac12\sum_i a_i(\theta_i-c_i)^2` plus :func:`eps_penalty`.

    ``curvature`` (all > 0) and ``centre`` are ``(d,)``. Each coordinate is the root of one monotone
    equation inside the box. With ``eps = 0`` it is ``centre`` clipped to the box.

    >>> one = torch.ones(1, dtype=torch.float64)
    >>> eps_minimiser(one, 3 * one, weight_decay=1.0, eps=0.0)
    tensor([1.], dtype=torch.float64)
    """
    _check_penalty(centre, weight_decay, eps, eps_inside)
    _checks.number("curvature", curvature, low=0.0, open_low=True)
    if curvature.shape != centre.shape or centre.ndim != 1:
        raise ValueError(
            f"curvature and centre must be vectors of one length; got {tuple(curvature.shape)}, {tuple(centre.shape)}"
        )
    radius = 1.0 / weight_decay
    if eps == 0:
        return centre.clamp(-radius, radius)

    def root(a: float, c: float) -> float:
        # In units of the radius and multiplied by its denominator, the equation has no pole at the walls.
        def slope(u: float) -> float:
            if eps_inside:
                return a * (u * radius - c) * (1 - u * u) ** 0.5 + eps**0.5 * u
            return a * (u * radius - c) * (1 - abs(u)) + eps * u

        # At the wall slope has the sign of u; at 0 that of -c. So the root lies on the side of c.
        return 0.0 if c == 0 else radius * brentq(slope, 0.0, 1.0 if c > 0 else -1.0, xtol=1e-16, rtol=1e-15)

    return torch.tensor(
        [root(a, c) for a, c in zip(curvature.tolist(), centre.tolist(), strict=True)], dtype=centre.dtype
    )


# --- The way out: beta1 > beta2 -----------------------------------------------------------------


def escape_ratio(r: float | Tensor, betas: tuple[float, float]) -> Tensor:
    r"""The size R(r) to which AdamW's update tends on gradients that shrink like ``r**t``.

    .. math:: R(r) = \frac{1-\beta_1}{1-\beta_1/r}\sqrt{\frac{1-\beta_2/r^2}{1-\beta_2}}

    R(1) = 1, and R grows as r falls below 1 exactly if :math:`\beta_1 > \beta_2`. Needs
    :math:`\beta_1 < r \le 1` and :math:`\sqrt{\beta_2} \le r` (else the moments forget more slowly
    than the gradients fall and there is no such limit); ValueError otherwise.

    >>> round(float(escape_ratio(0.995, (0.99, 0.9))), 3)
    1.898
    """
    check_betas(betas)
    beta1, beta2 = betas
    _checks.number("r", r, low=max(beta1, beta2**0.5), high=1.0)
    r = torch.as_tensor(r, dtype=torch.float64)
    if bool((r <= beta1).any()):
        raise ValueError(f"r must be larger than beta1 = {beta1}; got {r.min():g}")
    return (1 - beta1) / (1 - beta1 / r) * ((1 - beta2 / r**2) / (1 - beta2)).sqrt()


class PrescribedLoss:
    r"""A C1 loss of one variable whose derivative takes given values at given points.

    ``nodes`` (n,), distinct, in any order, and ``slopes`` (n,): the derivative is ``slopes[i]`` on a
    flat piece around ``nodes[i]`` and linear between the pieces. The flat pieces make an orbit that
    visits the nodes stable: an iterate that is a rounding error off still sees the exact slope.
    Beyond the outermost nodes the derivative goes on with slope ``tail`` (0: constant). If the slopes
    increase with the nodes, the loss is convex. Like a landscape it has ``__call__``:
    ``(..., 1) -> (...)``, ``gradient``: ``(..., 1) -> (..., 1)``, and the value 0 at the leftmost node.

    >>> nodes, slopes = torch.tensor([[0.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)
    >>> loss = PrescribedLoss(nodes, slopes)
    >>> loss.gradient(torch.tensor([[0.0], [0.5]], dtype=torch.float64)).squeeze()
    tensor([-1.,  0.], dtype=torch.float64)
    """

    def __init__(self, nodes: Tensor, slopes: Tensor, tail: float = 0.0) -> None:
        _checks.tensor("nodes", nodes)
        _checks.tensor("slopes", slopes)
        _checks.number("tail", tail, low=0.0)
        if nodes.ndim != 1 or nodes.shape != slopes.shape or len(nodes) < 2:
            raise ValueError(
                "nodes and slopes must be vectors of one length, two or more; "
                f"got {tuple(nodes.shape)} and {tuple(slopes.shape)}"
            )
        self.nodes, order = nodes.sort()
        self.tail = tail
        spacing = float(self.nodes.diff().min())
        if spacing < 100 * torch.finfo(nodes.dtype).eps * float(nodes.abs().max()):
            raise ValueError(
                f"nodes must be clearly distinct; the closest two differ by {spacing:.3g}. Use fewer steps"
            )
        half = 0.3 * spacing
        self._knots = torch.stack([self.nodes - half, self.nodes + half], dim=1).reshape(-1)
        self._slopes = slopes[order].repeat_interleave(2)
        areas = self._knots.diff() * (self._slopes[1:] + self._slopes[:-1]) / 2
        integral = torch.cat([torch.zeros(1, dtype=nodes.dtype), areas.cumsum(dim=0)])
        self._integral = integral - half * self._slopes[0]

    def _piece(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Index of the knot to the left, distance from it, and rate of change of the derivative there."""
        last = len(self._knots) - 1
        k = torch.searchsorted(self._knots, x.contiguous(), right=True) - 1
        inside = k.clamp(0, last - 1)
        rate = (self._slopes[inside + 1] - self._slopes[inside]) / (self._knots[inside + 1] - self._knots[inside])
        rate = torch.where((k < 0) | (k >= last), torch.full_like(rate, self.tail), rate)
        k = k.clamp(0, last)
        return k, x - self._knots[k], rate

    def __call__(self, theta: Tensor) -> Tensor:
        k, step, rate = self._piece(theta[..., 0])
        return self._integral[k] + step * (self._slopes[k] + rate * step / 2)

    def gradient(self, theta: Tensor) -> Tensor:
        """The derivative, shape of ``theta``."""
        k, step, rate = self._piece(theta)
        return self._slopes[k] + rate * step


def prescribed_path(rule: Rule, slopes: Tensor, start: float) -> Tensor:
    """The iterates ``(n + 1, 1)`` of ``rule`` from ``start`` when step t sees the gradient ``slopes[t-1]``.

    >>> from optbias.rules import SignGD
    >>> prescribed_path(SignGD(0.1), torch.tensor([-1.0, -1.0], dtype=torch.float64), 0.0).squeeze()
    tensor([0.0000, 0.1000, 0.2000], dtype=torch.float64)
    """
    theta = torch.tensor([start], dtype=slopes.dtype)
    state = rule.init(theta)
    path = [theta]
    for slope in slopes:
        theta, state = rule.equations(theta, slope.reshape(1), state)
        path.append(theta)
    return torch.stack(path)


class EscapeLoss(PrescribedLoss):
    r"""A convex C1 loss on which AdamW with :math:`\beta_1 > \beta_2` converges outside its box.

    On gradients :math:`g_t = r^t` the update tends to R(r) > 1 (:func:`escape_ratio`), so the
    iterates from 1 fall monotonically to :math:`-R/\lambda`. The loss is the one whose derivative at
    the t-th iterate *is* :math:`r^t`: it falls with the iterates, so it is convex, and AdamW with these
    hyper-parameters follows it exactly for ``steps`` steps (``orbit``, ``(steps + 1, 1)``). It is least at
    ``minimiser`` = -R/lambda (and on the tiny flat piece around it); ``domain`` is a window for plots.

    ``betas``, ``r``, ``lr``, ``weight_decay``, ``bias_correction``: those of the AdamW to mislead
    (epsilon 0). Raises ValueError if R(r) <= 1, or if the nodes come too close for float64.

    >>> loss = EscapeLoss(steps=300)
    >>> loss.orbit.shape, bool(loss.minimiser.abs() > 1)
    (torch.Size([301, 1]), True)
    """

    name = "escape"

    def __init__(
        self,
        betas: tuple[float, float] = (0.99, 0.9),
        r: float = 0.995,
        lr: float = 0.005,
        weight_decay: float = 1.0,
        steps: int = 3000,
        bias_correction: bool = True,
    ) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps must be a positive integer; got {steps!r}")
        limit = float(escape_ratio(r, betas))
        if limit <= 1:
            raise ValueError(
                f"R({r:g}) = {limit:.4g} with betas = {betas}: AdamW stays in its box. Choose beta1 > beta2"
            )
        _checks.number("weight_decay", weight_decay, low=0.0, open_low=True)
        self.rule = AdamW(lr, betas, 0.0, weight_decay, bias_correction=bias_correction)
        self.minimiser = torch.tensor([-limit / weight_decay], dtype=torch.float64)
        slopes = r ** torch.arange(1, steps + 1, dtype=torch.float64)
        self.orbit = prescribed_path(self.rule, slopes, start=1.0)
        nodes = torch.cat([self.orbit[:-1, 0], self.minimiser])
        if not bool((nodes.diff() < 0).all()):
            raise ValueError("the iterates do not fall towards the minimiser; use fewer steps or a smaller lr")
        self.domain = ((1.25 * float(self.minimiser), 1.25),)
        super().__init__(nodes, torch.cat([slopes, torch.zeros(1, dtype=torch.float64)]), tail=1.0)
