"""The largest eigenvalue of the preconditioned Hessian."""

from __future__ import annotations

import math

import torch
from scipy.sparse.linalg import ArpackError
from torch import Tensor

from optbias.losses.curvature import top_eigenvalues
from optbias.training.gradients import Work


def sharpness(work: Work, row: int, preconditioner: Tensor | None, tol: float) -> float:
    """The largest eigenvalue of ``P^-1 H`` for network ``row`` of ``work``, ``H`` the Hessian of its training loss.

    ``preconditioner`` is the diagonal of ``P``, ``(N,)``, or None for the identity. A coordinate where it is 0
    is one that never had a gradient; it does not move and is left out. By Lanczos iteration on
    ``P^-1/2 H P^-1/2``, which has the same eigenvalues, to the relative accuracy ``tol``. NaN where the numbers are not
    finite or the iteration does not converge. Adam with a constant rate is stable on a quadratic as long as
    this is below ``2 (1 + beta1) / ((1 - beta1) lr)``. Source: Cohen et al., arXiv 2207.14484.
    """
    theta = work.flat.theta[row]
    scale = None
    if preconditioner is not None:
        scale = torch.where(preconditioner > 0, preconditioner, math.inf).rsqrt()
    try:
        found = top_eigenvalues(Preconditioned(work, row, scale), theta, tol=tol)
    except ArpackError:
        return math.nan
    assert isinstance(found, Tensor)
    return float(found[0])


class Preconditioned:
    """``v -> P^-1/2 H P^-1/2 v``, which is symmetric and has the eigenvalues of ``P^-1 H``."""

    def __init__(self, work: Work, row: int, scale: Tensor | None) -> None:
        self.work, self.row, self.scale = work, row, scale

    def hvp(self, theta: Tensor, vector: Tensor) -> Tensor:
        """The product at the present parameters (``theta`` is not looked at)."""
        if self.scale is None:
            return self.work.product(self.row, vector)
        return self.scale * self.work.product(self.row, self.scale * vector)
