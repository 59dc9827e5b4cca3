"""Slices through the loss of a network: random directions, filter normalisation, values on a grid.

Source: Li, Xu, Taylor, Studer and Goldstein, Visualizing the Loss Landscape of Neural Nets, NeurIPS 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor

from optbias import _checks
from optbias.losses.curvature import NetworkLoss
from optbias.seeding import generator

NORMALISATIONS = ("filter", "layer", "none")
"""How :func:`random_direction` scales a direction."""


def random_direction(
    loss: NetworkLoss, theta: Tensor, seed: int, *, normalise: str = "filter", vectors: str = "zero"
) -> Tensor:
    """A random Gaussian direction in the parameter space of ``loss``, ``(dim,)``.

    ``normalise="filter"`` scales every filter of the direction to the norm of the same filter of
    ``theta``: ``d_i <- d_i |w_i| / |d_i|``. A filter is what feeds one output unit: a row of a linear
    layer's matrix, or ``weight[i]`` of a convolution. ``"layer"`` does so for whole parameters, ``"none"``
    scales the direction as a whole to the norm of ``theta``.

    Parameters with one axis (biases, gains of normalisation layers) have no filters: ``vectors="zero"``
    keeps them fixed, as the paper does; ``"scale"`` treats each as one filter.

    Raises ValueError for an unknown option or a ``theta`` of the wrong shape.

    >>> from optbias.losses.curvature import NetworkLoss
    >>> from optbias.models import MLP
    >>> loss = NetworkLoss(MLP([2, 3]), torch.ones(4, 2, dtype=torch.float64), torch.tensor([0, 1, 2, 0]))
    >>> random_direction(loss, torch.ones(9, dtype=torch.float64), seed=0).shape
    torch.Size([9])
    """
    _checks.one_of("normalise", normalise, NORMALISATIONS)
    _checks.one_of("vectors", vectors, ("zero", "scale"))
    _check_point(loss, theta)
    noise = torch.randn(loss.dim, generator=generator(seed), dtype=torch.float64).to(theta)
    weights, pieces = loss.unflatten(theta.detach()), loss.unflatten(noise)
    scaled = {}
    for name, piece in pieces.items():
        weight = weights[name]
        if piece.ndim <= 1 and vectors == "zero":
            scaled[name] = torch.zeros_like(piece)
        elif normalise == "none":
            scaled[name] = piece
        elif normalise == "layer" or piece.ndim <= 1:
            scaled[name] = piece * (weight.norm() / piece.norm())
        else:
            axes = tuple(range(1, piece.ndim))
            sizes = [torch.linalg.vector_norm(p, dim=axes, keepdim=True) for p in (weight, piece)]
            scaled[name] = piece * (sizes[0] / sizes[1])
    direction = loss.flatten(scaled)
    return direction * (theta.norm() / direction.norm()) if normalise == "none" else direction


def loss_surface(
    loss: NetworkLoss, theta: Tensor, first: Tensor, second: Tensor, *, extent: float = 1.0, points: int = 25
) -> tuple[Tensor, Tensor]:
    """The loss on a square slice: ``values[j, i] = loss(theta + a_i first + a_j second)``.

    The offsets ``a`` are ``points`` equally spaced numbers in ``[-extent, extent]``; an odd number of
    points puts ``theta`` on the grid. Returns ``(a, values)``, of shapes ``(points,)`` and
    ``(points, points)``, ready for ``Axes.contour(a, a, values)``.

    Raises ValueError for a shape that does not fit, ``extent <= 0`` or ``points < 2``.

    >>> from optbias.losses.curvature import NetworkLoss
    >>> from optbias.models import MLP
    >>> loss = NetworkLoss(MLP([2, 3]), torch.ones(4, 2, dtype=torch.float64), torch.tensor([0, 1, 2, 0]))
    >>> theta = torch.zeros(9, dtype=torch.float64)
    >>> first, second = (random_direction(loss, torch.ones_like(theta), seed=s, vectors="scale") for s in (0, 1))
    >>> ticks, values = loss_surface(loss, theta, first, second, points=5)
    >>> ticks.shape, values.shape
    (torch.Size([5]), torch.Size([5, 5]))
    """
    for direction in (theta, first, second):
        _check_point(loss, direction)
    _checks.number("extent", extent, low=0.0, open_low=True, open_high=True)
    if isinstance(points, bool) or not isinstance(points, int) or points < 2:
        raise ValueError(f"points must be a whole number >= 2; got {points!r}")
    offsets = torch.linspace(-extent, extent, points, dtype=theta.dtype, device=theta.device)
    rows = []
    with torch.no_grad():
        # One row at a time: the whole grid would need points^2 copies of the parameters.
        for b in offsets:
            rows.append(loss(theta + offsets[:, None] * first + b * second))
    return offsets, torch.stack(rows)


def _check_point(loss: NetworkLoss, theta: Tensor) -> None:
    _checks.tensor("theta", theta)
    if theta.shape != (loss.dim,):
        raise ValueError(f"points and directions must have shape ({loss.dim},); got {tuple(theta.shape)}")
