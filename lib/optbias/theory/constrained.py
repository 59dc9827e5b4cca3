r"""Minimising over a norm ball: projections, exact minimisers, and the Frank-Wolfe bound.

Normalised steepest descent with weight decay is Frank-Wolfe on a ball. To check where it ends, this
module finds the same point in another way (an active-set solver, a root of one equation, or
projected gradient) and certifies it by its KKT gap, so that an oracle cannot be silently wrong.

Vector norms act on the last axis, matrix norms on the last two.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from scipy.optimize import brentq, lsq_linear
from torch import Tensor

from optbias import _checks, norms

EXACT_LINF_DIMENSION = 14
"""Up to this dimension the max-norm smoothness of a quadratic is found by trying every sign vector."""


def _dim(norm: str) -> int | None:
    """The axis that the functions of :mod:`optbias.norms` take for this norm."""
    return None if norm in ("spectral", "nuclear") else -1


def _check_ball(radius: float | Tensor, norm: str) -> None:
    _checks.number("radius", radius, low=0.0, open_low=True)
    _checks.one_of("norm", norm, norms.NORMS)


def project(x: Tensor, radius: float, norm: str = "linf") -> Tensor:
    r"""The Euclidean projection of ``x`` onto the ball of ``radius`` in ``norm``.

    ``linf`` clips; ``l2`` rescales; ``l1`` shrinks every entry by one common amount and cuts at 0;
    ``spectral`` clips the singular values, ``nuclear`` shrinks them. Shapes ``(..., d)`` or, for the
    matrix norms, ``(..., rows, columns)``; the result has the shape of ``x``. Raises ValueError for
    ``radius <= 0`` or an unknown norm.

    >>> project(torch.tensor([3.0, -0.5], dtype=torch.float64), 1.0)
    tensor([ 1.0000, -0.5000], dtype=torch.float64)
    """
    _check_ball(radius, norm)
    size = norms.norm(x, norm, _dim(norm))  # also checks x
    if norm == "linf":
        return x.clamp(-radius, radius)
    if norm == "l2":
        return x * (radius / size.clamp(min=radius)).unsqueeze(-1)
    if norm == "l1":
        return x.sign() * _shrink(x.abs(), radius)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    s = s.clamp(max=radius) if norm == "spectral" else _shrink(s, radius)
    return (u * s.unsqueeze(-2)) @ vh


def _shrink(a: Tensor, total: float) -> Tensor:
    """``max(a - tau, 0)`` with the smallest ``tau >= 0`` that brings the sum of ``a >= 0`` down to ``total``."""
    down, _ = a.sort(dim=-1, descending=True)
    count = torch.arange(1, a.shape[-1] + 1, dtype=a.dtype, device=a.device)
    taus = (down.cumsum(dim=-1) - total) / count
    # Entry k survives iff it exceeds the tau of the first k; the last such tau is the one.
    last = (down > taus).sum(dim=-1, keepdim=True).clamp(min=1) - 1
    return (a - taus.gather(-1, last).clamp(min=0)).clamp(min=0)


def projected_gradient(
    gradient: Callable[[Tensor], Tensor],
    theta0: Tensor,
    radius: float,
    norm: str,
    lr: float,
    *,
    tol: float = 1e-13,
    max_steps: int = 100_000,
) -> Tensor:
    """A minimiser of a convex loss over a ball, with a certificate.

    Accelerated projected gradient with restarts, from the projection of ``theta0`` (shape ``(d,)``,
    or a matrix), with step ``lr <= 1/L``, L the largest eigenvalue of the Hessian. It stops when
    the Frank-Wolfe gap, which bounds ``f(theta) - min f``, is below ``tol``, and raises RuntimeError
    if ``max_steps`` did not suffice: a point that is returned is certified.

    >>> c = torch.tensor([3.0, 0.2], dtype=torch.float64)
    >>> projected_gradient(lambda w: w - c, torch.zeros(2, dtype=torch.float64), 1.0, "linf", lr=0.5)
    tensor([1.0000, 0.2000], dtype=torch.float64)
    """
    _check_ball(radius, norm)
    _checks.number("lr", lr, low=0.0, open_low=True)
    theta = ahead = project(theta0, radius, norm)
    inertia = 1.0
    gap = float("inf")
    for _ in range(max_steps):
        new = project(ahead - lr * gradient(ahead), radius, norm)
        if ((ahead - new) * (new - theta)).sum() > 0:  # the inertia points uphill: start it afresh
            inertia = 1.0
        faster = (1 + (1 + 4 * inertia**2) ** 0.5) / 2
        ahead = new + (inertia - 1) / faster * (new - theta)
        theta, inertia = new, faster
        gap = float(radius * norms.kkt_gap(theta, gradient(theta), radius, norm))
        if gap <= tol:
            return theta
    raise RuntimeError(
        f"projected gradient reached a Frank-Wolfe gap of {gap:.3g} in {max_steps} steps, not {tol:.3g}; "
        "allow more steps or a larger tol"
    )


def minimise_quadratic(hessian: Tensor, centre: Tensor, radius: float, norm: str = "linf") -> Tensor:
    r"""The minimiser of ``1/2 (theta - centre)^T H (theta - centre)`` over ``norm(theta) <= radius``.

    ``hessian`` is symmetric positive semi-definite, ``(d, d)``; ``centre`` is ``(d,)``; ``norm`` is
    ``linf`` (an active-set solver, exact), ``l2`` (the root of the secular equation) or ``l1``
    (projected gradient). Every answer is certified by its Frank-Wolfe gap; RuntimeError if that
    fails. Raises ValueError for other norms, shapes, or a matrix that is not symmetric and PSD.

    >>> minimise_quadratic(torch.eye(2, dtype=torch.float64), torch.tensor([3.0, 0.2], dtype=torch.float64), 1.0)
    tensor([1.0000, 0.2000], dtype=torch.float64)
    """
    _check_ball(radius, norm)
    _checks.one_of("norm", norm, ("l1", "l2", "linf"))
    values, vectors = _spectrum(hessian)
    if centre.shape != values.shape:
        raise ValueError(f"centre must have shape {tuple(values.shape)}, like H's rows; got {tuple(centre.shape)}")
    scale = float(0.5 * (centre @ hessian @ centre)) + float(values[-1]) * radius**2
    if norms.norm(centre, norm) <= radius:
        return centre.clone()
    if norm == "linf":
        root = (vectors * values.sqrt()).T
        # lsq_linear minimises |root theta - root centre|^2 over the box; bvls ends in finitely many steps.
        fit = lsq_linear(root.numpy(), (root @ centre).numpy(), bounds=(-radius, radius), method="bvls", tol=1e-15)
        theta = torch.as_tensor(fit.x, dtype=centre.dtype)
    elif norm == "l2":
        theta = vectors @ _secular(values, vectors.T @ centre, radius)
    else:
        lr = 1.0 / max(float(values[-1]), 1e-300)
        return projected_gradient(lambda x: hessian @ (x - centre), centre, radius, norm, lr, tol=1e-12 * scale)
    gap = float(radius * norms.kkt_gap(theta, hessian @ (theta - centre), radius, norm))
    if gap > 1e-9 * scale:
        raise RuntimeError(f"the solver's point has a Frank-Wolfe gap of {gap:.3g}; is H badly conditioned?")
    return theta


def _spectrum(hessian: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (ascending, rounding below 0 cut off) and eigenvectors of a symmetric PSD matrix."""
    _checks.tensor("hessian", hessian)
    if hessian.ndim != 2 or hessian.shape[0] != hessian.shape[1]:
        raise ValueError(f"hessian must be a square matrix; got shape {tuple(hessian.shape)}")
    size = float(hessian.abs().max())
    if not torch.allclose(hessian, hessian.T, rtol=0, atol=1e-10 * size):
        raise ValueError("hessian must be symmetric; got a matrix that differs from its transpose")
    values, vectors = torch.linalg.eigh(hessian)
    if float(values[0]) < -1e-10 * max(size, 1e-300):
        raise ValueError(f"hessian must be positive semi-definite; its smallest eigenvalue is {float(values[0]):.3g}")
    return values.clamp(min=0), vectors


def _secular(values: Tensor, centre: Tensor, radius: float) -> Tensor:
    """``(D + mu)^{-1} D c`` with the ``mu >= 0`` that gives it the length ``radius``, D diagonal."""
    target = values * centre

    def point(mu: float) -> Tensor:
        # A direction without curvature stays at 0, the shortest of its minimisers.
        return norms.ratio(target, values + mu)

    def excess(mu: float) -> float:
        return float(point(mu).norm()) - radius

    if excess(0.0) <= 0:
        return point(0.0)
    mu = brentq(excess, 0.0, float(target.norm()) / radius, xtol=1e-300, rtol=1e-15, maxiter=1000)
    return point(mu)


def smoothness(hessian: Tensor, norm: str = "linf") -> float:
    r"""The smoothness constant L of a quadratic with this Hessian: ``|grad(x) - grad(y)|_* <= L |x - y|``.

    It is ``max x^T H x`` over ``norm(x) <= 1`` (H symmetric PSD, shape ``(d, d)``). ``l2``: the
    largest eigenvalue. ``l1``: the largest diagonal entry. ``linf``: the maximum over sign vectors,
    exact up to ``d = EXACT_LINF_DIMENSION``; beyond it the sum of all ``|H_ij|``, an upper bound
    that a diagonal H attains. Raises ValueError for other norms or matrices.

    >>> smoothness(torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64)))
    4.0
    """
    _checks.one_of("norm", norm, ("l1", "l2", "linf"))
    values, _ = _spectrum(hessian)
    if norm == "l2":
        return float(values[-1])
    if norm == "l1":
        return float(hessian.diagonal().max())
    d = hessian.shape[0]
    if d > EXACT_LINF_DIMENSION:
        return float(hessian.abs().sum())
    signs = torch.tensor(list(itertools.product((1.0, -1.0), repeat=d - 1)), dtype=hessian.dtype)
    signs = torch.cat([torch.ones(len(signs), 1, dtype=hessian.dtype), signs], dim=1)  # s and -s agree
    return float(((signs @ hessian) * signs).sum(dim=1).max())


def frank_wolfe_rate(weight_decay: float) -> Callable[[int], float]:
    """The schedule ``lr(t) = 2 / (weight_decay * (t + 1))``, ``t = 1, 2, ...``, of Theorem 3.5.

    >>> [frank_wolfe_rate(1.0)(t) for t in (1, 3)]
    [1.0, 0.5]
    """
    _checks.number("weight_decay", weight_decay, low=0.0, open_low=True)
    return lambda t: 2.0 / (weight_decay * (t + 1))


def frank_wolfe_bound(t: int | Tensor, L: float, weight_decay: float, B: float) -> Tensor:
    r"""``2 L (1 + lambda B)^2 / ((t + 2) lambda^2)``: the bound on ``f(theta_t) - min f`` of Theorem 3.5.

    ``t >= 1`` is a step or a tensor of steps; ``L`` the smoothness constant in the norm of the ball;
    ``B = max(|theta_0|, 1/lambda)``. For ``theta_0`` in the ball it is ``8 L / ((t + 2) lambda^2)``.
    Source: Xie & Li, arXiv 2404.04454, Theorem 3.5. Raises ValueError for ``t < 1``, ``L < 0``,
    ``weight_decay <= 0`` or ``B < 1/weight_decay``.

    >>> frank_wolfe_bound(8, L=1.0, weight_decay=1.0, B=1.0)
    tensor(0.8000, dtype=torch.float64)
    """
    _checks.number("t", t, low=1.0)
    _checks.number("L", L, low=0.0)
    _checks.number("weight_decay", weight_decay, low=0.0, open_low=True)
    # B is often max(|theta_0|, 1/lambda) after rounding.
    _checks.number("B", B, low=(1.0 - 1e-12) / weight_decay)
    steps = torch.as_tensor(t, dtype=torch.float64)
    return 2.0 * L * (1.0 + weight_decay * B) ** 2 / ((steps + 2.0) * weight_decay**2)


def best_gap_bound(start: int, stop: int, L: float, weight_decay: float, B: float) -> float:
    r"""A bound on the smallest KKT gap among ``theta_start ... theta_(stop-1)`` in Theorem 3.5's setting.

    With ``C = L (1 + lambda B)^2 / (2 lambda^2)`` and ``gamma_t = 2/(t+1)`` it is
    ``lambda (4 C/(start + 2) + C sum gamma_t^2) / sum gamma_t``, sums over ``start < t <= stop``;
    at ``stop = 2 start`` it falls like ``1/start``. Derived on the page on the box, after Jaggi
    (2013). ``start >= 1``; ValueError unless ``stop > start``.

    >>> round(best_gap_bound(10, 100, L=1.0, weight_decay=1.0, B=1.0), 3)
    0.295
    """
    if stop <= start:
        raise ValueError(f"stop must be larger than start; got start = {start}, stop = {stop}")
    C = L * (1.0 + weight_decay * B) ** 2 / (2.0 * weight_decay**2)
    gamma = 2.0 / (torch.arange(start + 1, stop + 1, dtype=torch.float64) + 1.0)
    first = float(frank_wolfe_bound(start, L, weight_decay, B))
    return weight_decay * (first + C * float(gamma.square().sum())) / float(gamma.sum())
