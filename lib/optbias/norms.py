r"""Norms, their duals, and what optimisation over their balls needs.

Three views of one object run through the course. For a norm :math:`\|\cdot\|` with dual
:math:`\|g\|_* = \max_{\|\Delta\| \le 1} \langle g, \Delta \rangle`:

* the *steepest direction* attains that maximum (:func:`steepest_direction`);
* the *linear minimisation oracle* of the ball of radius r is minus r times it (:func:`lmo`);
* a point of the ball is a KKT point of ``min L over the ball`` iff
  :math:`\|\nabla L\|_* + \langle \theta, \nabla L\rangle / r = 0` (:func:`kkt_gap`).

Vector norms (``l1``, ``l2``, ``linf``) are taken over ``dim``; ``dim=None`` means the whole tensor.
Matrix norms (``spectral``, ``nuclear``) are taken over the last two axes, batched over the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from optbias import _checks

DUAL_OF = {"l1": "linf", "l2": "l2", "linf": "l1", "spectral": "nuclear", "nuclear": "spectral"}
"""Each norm's name and the name of its dual."""

NORMS = tuple(DUAL_OF)
"""The names that every function of this module takes."""

_VECTOR_ORDER = {"l1": 1, "l2": 2, "linf": torch.inf}
_MATRIX_ORDER = {"spectral": 2, "nuclear": "nuc"}

Dim = int | tuple[int, ...] | None
"""The axes over which a norm is taken; None: all."""


def _check(x: Tensor, norm: str) -> None:
    _checks.tensor("x", x)
    _checks.one_of("norm", norm, NORMS)
    if norm in _MATRIX_ORDER and x.ndim < 2:
        raise ValueError(f"the {norm} norm needs a matrix (two axes or more); got shape {tuple(x.shape)}")


def _check_dim(x: Tensor, dim: Dim) -> None:
    axes = () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    places = [axis % x.ndim if -x.ndim <= axis < x.ndim else None for axis in axes]
    if None in places or len(set(places)) < len(places):
        raise ValueError(f"dim must name different axes of a tensor of shape {tuple(x.shape)}; got {dim!r}")


def norm(x: Tensor, name: str, dim: Dim = None) -> Tensor:
    """The norm called ``name`` of ``x``.

    Shapes: ``x`` any floating tensor; the result has the axes ``dim`` (matrix norms: the last two)
    removed. Raises ValueError for an unknown name or a matrix norm of a vector.

    >>> norm(torch.tensor([3.0, -4.0]), "l2")
    tensor(5.)
    """
    _check(x, name)
    if name in _MATRIX_ORDER:
        return torch.linalg.matrix_norm(x, ord=_MATRIX_ORDER[name])
    _check_dim(x, dim)
    if x.numel() == 0:
        return x.abs().sum(dim=dim)  # torch knows no largest entry of nothing
    if name == "l2":
        # Dividing by the largest entry first keeps the squares from under- or overflowing.
        largest = torch.linalg.vector_norm(x.detach(), ord=torch.inf, dim=dim, keepdim=True)
        unit = torch.where((largest == 0) | torch.isinf(largest), 1.0, largest)
        return (unit * torch.linalg.vector_norm(x / unit, dim=dim, keepdim=True)).sum(dim=dim)
    return torch.linalg.vector_norm(x, ord=_VECTOR_ORDER[name], dim=dim)


def dual_norm(x: Tensor, name: str, dim: Dim = None) -> Tensor:
    """The dual of the norm called ``name``: ``max <x, d>`` over ``norm(d, name) <= 1``.

    >>> dual_norm(torch.tensor([3.0, -4.0]), "linf")
    tensor(7.)
    """
    _check(x, name)
    return norm(x, DUAL_OF[name], dim)


def linf(x: Tensor) -> Tensor:
    """``max |x_i|`` over all entries, a 0-d tensor: the norm of AdamW's box.

    >>> linf(torch.tensor([3.0, -4.0]))
    tensor(4.)
    """
    return norm(x, "linf")


def perturbed_one_norm(g: Tensor, eps: float | Tensor, dim: Dim = None) -> Tensor:
    r"""``sum_i sqrt(g_i**2 + eps)``, the quantity that Adam's implicit bias is about.

    Not a norm: it is ``p * sqrt(eps)`` at 0 and not homogeneous. As ``eps -> 0`` it becomes the
    one-norm; for ``eps`` much larger than ``g**2`` it is ``p sqrt(eps) + |g|_2**2 / (2 sqrt(eps))``.
    ``eps`` is the optimizer's epsilon *inside* the root. Source: Cattaneo, Klusowski & Shigida,
    arXiv 2309.00079. Raises ValueError for ``eps < 0``.

    >>> perturbed_one_norm(torch.tensor([3.0, -4.0]), 9.0)
    tensor(9.2426)
    """
    _checks.tensor("g", g)
    _checks.number("eps", eps, low=0.0)
    # Not the root of the sum of squares: those under- and overflow.
    root = eps.sqrt() if isinstance(eps, Tensor) else torch.full((), eps**0.5, dtype=g.dtype, device=g.device)
    return torch.hypot(g, root.to(g.dtype)).sum(dim=dim)


def steepest_direction(g: Tensor, name: str, dim: Dim = None) -> Tensor:
    """A ``d`` with ``norm(d, name) <= 1`` that maximises ``<g, d>``; 0 where ``g`` is 0.

    ``linf``: ``sign(g)``. ``l2``: ``g / |g|_2``. ``l1``: the sign of one largest coordinate (the
    first, if several tie) and 0 elsewhere. ``spectral``: ``U V^T`` of the singular value
    decomposition, over the singular values that are not 0. ``nuclear``: ``u_1 v_1^T``.
    Shape of ``g``; ``dim`` as in :func:`norm`.

    >>> steepest_direction(torch.tensor([3.0, -4.0]), "linf")
    tensor([ 1., -1.])
    """
    _check(g, name)
    if name in _VECTOR_ORDER:
        _check_dim(g, dim)
    if name == "linf" or g.numel() == 0:
        return g.sign()
    if name == "l2":
        # Dividing by the largest entry first keeps the squares from under- or overflowing.
        g = ratio(g, torch.linalg.vector_norm(g, ord=torch.inf, dim=dim, keepdim=True))
        return ratio(g, torch.linalg.vector_norm(g, dim=dim, keepdim=True))
    if name == "l1":
        return _largest_coordinate(g, dim)
    if g.dtype in (torch.float16, torch.bfloat16):
        return steepest_direction(g.float(), name).to(g.dtype)  # no decomposition in so few digits
    g = ratio(g, g.abs().amax(dim=(-2, -1), keepdim=True))
    try:
        u, s, vh = torch.linalg.svd(g, full_matrices=False)
    except torch.linalg.LinAlgError as error:
        raise ValueError("a singular value decomposition needs finite numbers; got an infinity or a NaN") from error
    if name == "nuclear":
        keep = torch.zeros_like(s)
        keep[..., 0] = (s[..., 0] > 0).to(s.dtype)
    else:
        # Rounding leaves singular values of about eps * s_max where the matrix has none.
        tiny = s[..., :1] * max(g.shape[-2:]) * torch.finfo(g.dtype).eps
        keep = (s > tiny).to(s.dtype)
    return (u * keep.unsqueeze(-2)) @ vh


def _largest_coordinate(g: Tensor, dim: Dim) -> Tensor:
    if g.ndim == 0:
        return g.sign()
    axes = tuple(range(g.ndim)) if dim is None else (dim,) if isinstance(dim, int) else dim
    last = tuple(range(-len(axes), 0))
    moved = g.movedim(axes, last)
    flat = moved.flatten(-len(axes))
    index = flat.abs().argmax(dim=-1, keepdim=True)
    picked = torch.zeros_like(flat).scatter(-1, index, flat.gather(-1, index).sign())
    return picked.reshape(moved.shape).movedim(last, axes)


def lmo(g: Tensor, radius: float | Tensor, norm: str, dim: Dim = None) -> Tensor:
    """Linear minimisation oracle: an ``s`` with ``|s| <= radius`` that minimises ``<g, s>``.

    Its value is ``-radius * dual_norm(g, norm)``. Shape of ``g``, with which a tensor ``radius`` must
    broadcast; ``dim`` as in :func:`norm`. Raises ValueError unless ``radius > 0``.

    >>> lmo(torch.tensor([3.0, -4.0]), 2.0, "linf")
    tensor([-2.,  2.])
    """
    _checks.number("radius", radius, low=0.0, open_low=True)
    return -radius * steepest_direction(g, norm, dim)


def kkt_gap(
    theta: Tensor, grad: Tensor, radius: float | Tensor, norm: str = "linf", dim: Dim = None, relative: bool = False
) -> Tensor:
    """How far ``theta`` is from a KKT point of ``min L`` over the ball ``norm(theta) <= radius``.

    ``dual_norm(grad) + <theta, grad> / radius``, with the axes ``dim`` (as in :func:`norm`) summed
    away; a tensor ``radius`` must broadcast with that. It is never negative inside the ball, and 0 there
    exactly at the KKT points; it equals the Frank-Wolfe gap divided by ``radius``. With
    ``relative=True`` it is divided by ``dual_norm(grad)`` (0 where the gradient is 0), so that 1
    says that nothing is aligned and 0 that ``theta`` is a KKT point. Outside the ball it may be
    negative: check the norm too. Source: Xie & Li, arXiv 2404.04454, Lemma 3.8.

    >>> kkt_gap(torch.tensor([1.0, 0.5]), torch.tensor([-2.0, 0.0]), radius=1.0)
    tensor(0.)
    """
    _checks.tensor("theta", theta)
    _checks.tensor("grad", grad)
    _checks.number("radius", radius, low=0.0, open_low=True)
    if theta.shape != grad.shape:
        raise ValueError(f"theta and grad must have one shape; got {tuple(theta.shape)} and {tuple(grad.shape)}")
    size = dual_norm(grad, norm, dim)
    inner = (theta * grad).sum(dim=(-2, -1) if norm in _MATRIX_ORDER else dim)
    gap = size + inner / radius
    return ratio(gap, size) if relative else gap


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """``numerator / denominator`` with ``0 / 0 = 0``, the course's convention for ``eps = 0``.

    >>> ratio(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 4.0]))
    tensor([0.0000, 0.2500])
    """
    return torch.where((numerator == 0) & (denominator == 0), 0.0, numerator / denominator)
