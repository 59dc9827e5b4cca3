"""Oracles for implicit bias: exact minimum-norm and maximum-margin solutions, and Wilson's construction.

An optimizer that fits its data leaves open *which* of the many fitting solutions it picks. These functions
compute the candidates exactly, so that a run can be compared with them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linprog, nnls
from torch import Tensor

from optbias import _checks, norms
from optbias.seeding import generator


def min_norm_solution(a: Tensor, b: Tensor, start: Tensor | None = None) -> Tensor:
    """The solution of ``a @ w = b`` that is nearest to ``start`` (default 0) in the two-norm.

    It is where gradient descent on :class:`LeastSquares`, started at ``start``, ends. Shapes: ``a (n, d)``,
    ``b (n,)``, ``start (d,)``; returns ``(d,)``. Raises ValueError if no solution is exact to the rounding of
    the dtype, equation by equation (whatever the scale of each), or if a number is not finite.

    >>> a, b = torch.ones(1, 2, dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)
    >>> min_norm_solution(a, b)
    tensor([1.0000, 1.0000], dtype=torch.float64)
    """
    _system(a, b)
    origin = a.new_zeros(a.shape[1]) if start is None else start
    _checks.tensor("start", origin)
    if origin.shape != a.shape[1:]:
        raise ValueError(f"start must have the shape {tuple(a.shape[1:])}; got {tuple(origin.shape)}")
    if not bool(torch.isfinite(a).all() & torch.isfinite(b).all()):
        raise ValueError("a and b must hold finite numbers; got an infinity or a NaN")
    # The same equations with rows of size 1, so that neither the decomposition nor the check depends on their scale.
    size = a.abs().amax(dim=1)
    size = torch.where(size == 0, 1.0, size)
    rows, missing = a / size[:, None], b / size - (a / size[:, None]) @ origin
    solution = origin + torch.linalg.pinv(rows) @ missing
    residual = (rows @ solution - b / size).abs()
    rounding = 10 * max(a.shape) * torch.finfo(a.dtype).eps * (rows.abs() @ solution.abs() + (b / size).abs())
    if not bool((residual <= rounding).all()):
        worst = int((residual / rounding).nan_to_num(torch.inf).argmax())
        raise ValueError(
            f"a @ w = b has no exact solution: the best one misses equation {worst} by "
            f"{float(residual[worst] * size[worst]):.3g}"
        )
    return solution


def max_margin(x: Tensor, y: Tensor, norm: str = "l2") -> tuple[Tensor, float]:
    """The direction ``w`` with ``|w| = 1`` in ``norm`` that has the largest margin, and that margin.

    The margin is ``min_i y_i <x_i, w>``. ``l2`` is a quadratic programme (the hard-margin support vector
    machine without bias), solved as a non-negative least-squares problem (Lawson & Hanson, 1974); ``linf``
    and ``l1`` are linear programmes. Shapes: ``x (n, d)``, ``y (n,)`` of +1 and -1; returns ``(d,)`` and
    a float. Raises ValueError if the data cannot be separated by a plane through 0 (or, in ``l2``, not by a margin that
    float64 can tell from 0).

    >>> x = torch.tensor([[2.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    >>> y = torch.tensor([1.0, -1.0], dtype=torch.float64)
    >>> round(max_margin(x, y)[1], 6)
    2.0
    """
    _system(x, y)
    _checks.one_of("norm", norm, ("l2", "linf", "l1"))
    if not bool(((y == 1) | (y == -1)).all()):
        raise ValueError(f"y must hold +1 and -1 only; got {sorted(set(y.tolist()))[:5]}")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x must hold finite numbers; got an infinity or a NaN")
    signed = (y[:, None] * x).detach().double().numpy()
    # All margins scale with the data: solve for data of size 1.
    size = float(np.abs(signed).max())
    if size > 0:
        signed = signed / size
    w = _largest_l2_margin(signed) if norm == "l2" else _largest_polyhedral_margin(signed, norm)
    value = float((signed @ w).min())
    if not _positive(signed, w):
        if norm == "l2" and _positive(signed, _largest_polyhedral_margin(signed, "linf")):
            raise ValueError(
                "the l2 margin is too small beside the data to be computed in float64: rescale the features"
            )
        raise ValueError("the data cannot be separated by a plane through 0: the largest margin is not positive")
    return torch.from_numpy(w).to(x.dtype), value * size


def _positive(signed: np.ndarray, w: np.ndarray) -> bool:
    """Whether all margins are positive, by more than the rounding of their own products."""
    rounding = 8 * signed.shape[1] * np.finfo(float).eps * np.abs(w).max(initial=0.0)
    return bool((signed @ w).min() > rounding)


def _largest_l2_margin(signed: np.ndarray) -> np.ndarray:
    """The unit vector along the shortest ``w`` with ``signed @ w >= 1``."""
    n, d = signed.shape
    stacked = np.vstack([signed.T, np.ones((1, n))])
    target = np.zeros(d + 1)
    target[-1] = 1.0
    u, _ = nnls(stacked, target)
    residual = stacked @ u - target
    w = residual[:d]
    length = np.linalg.norm(w)
    # Not separable: 0 lies in the hull of the signed points, and the residual is 0.
    return w / length if length > 1e-14 else np.zeros(d)


def _largest_polyhedral_margin(signed: np.ndarray, norm: str) -> np.ndarray:
    """The shortest ``w`` in ``linf`` or ``l1`` with ``signed @ w >= 1``, made a unit vector; 0 if there is none."""
    n, d = signed.shape
    # In units of its column each feature has size 1: the solver would drop a tiny one.
    column = np.abs(signed).max(axis=0)
    column = np.where(column == 0, 1.0, column)
    rows = signed / column
    if norm == "linf":
        # u_j = column_j w_j and the length s in units of the smallest column: |u_j| <= reach_j s.
        reach = column / column.min()
        cost = np.r_[np.zeros(d), 1.0]
        walls = np.vstack([np.hstack([sign * np.eye(d), -reach[:, None]]) for sign in (1, -1)])
        above = np.vstack([np.hstack([-rows, np.zeros((n, 1))]), walls])
        solved = linprog(cost, A_ub=above, b_ub=np.r_[-np.ones(n), np.zeros(2 * d)], bounds=[(None, None)] * (d + 1))
        w = None if solved.x is None else solved.x[:d] / column
    else:
        # w = p - q with p, q >= 0; the cost is their sum.
        price = column.min() / column
        solved = linprog(
            np.r_[price, price], A_ub=np.hstack([-rows, rows]), b_ub=-np.ones(n), bounds=[(0, None)] * 2 * d
        )
        w = None if solved.x is None else (solved.x[:d] - solved.x[d:]) / column
    if w is None:
        return np.zeros(d)
    return w / (np.abs(w).max() if norm == "linf" else np.abs(w).sum())


def margin(w: Tensor, x: Tensor, y: Tensor, norm: str = "l2") -> Tensor:
    """``min_i y_i <x_i, w> / |w|`` for each ``w`` of shape ``(..., d)``; returns ``(...)``. 0 where ``w`` is 0.

    >>> x = torch.tensor([[2.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    >>> y = torch.tensor([1.0, -1.0], dtype=torch.float64)
    >>> margin(torch.tensor([1.0, 0.0], dtype=torch.float64), x, y)
    tensor(2., dtype=torch.float64)
    """
    _system(x, y)
    _checks.tensor("w", w)
    if w.dtype != x.dtype or y.dtype != x.dtype:
        raise TypeError(f"w, x and y must have one dtype; got {w.dtype}, {x.dtype} and {y.dtype}")
    smallest = (w @ (y[:, None] * x).T).amin(-1)
    return norms.ratio(smallest, norms.norm(w, norm, dim=-1))


@dataclass(frozen=True)
class LeastSquares:
    """Half the sum of squares ``|x w - y|^2 / 2`` of a linear model.

    ``x (n, d)``, ``y (n,)``. Batched over the leading axes of ``w (..., d)``. Raises ValueError for other shapes.

    >>> x = torch.eye(2, dtype=torch.float64)
    >>> LeastSquares(x, x.sum(0))(0 * x[0])
    tensor(1., dtype=torch.float64)
    """

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        _system(self.x, self.y)

    def __call__(self, w: Tensor) -> Tensor:
        """The loss, shape ``(...)``."""
        return 0.5 * (w @ self.x.T - self.y).square().sum(-1)

    def gradient(self, w: Tensor) -> Tensor:
        """The gradient ``x^T (x w - y)``, shape of ``w``."""
        return (w @ self.x.T - self.y) @ self.x


@dataclass(frozen=True)
class LogisticLoss:
    """The mean logistic loss ``log(1 + exp(-y_i <x_i, w>))`` of a linear classifier without bias.

    ``x (..., n, d)``, ``y (..., n)`` of +1 and -1: leading axes, if any, are data sets. Batched over the leading
    axes of ``w (..., d)``, which broadcast with those of ``x``. The gradient stays accurate when the margins are
    large and it is tiny. Raises ValueError for shapes that do not fit.

    >>> x = torch.tensor([[2.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    >>> y = torch.tensor([1.0, -1.0], dtype=torch.float64)
    >>> LogisticLoss(x, y)(torch.zeros(2, dtype=torch.float64))
    tensor(0.6931, dtype=torch.float64)
    """

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        _checks.tensor("x", self.x)
        _checks.tensor("y", self.y)
        if self.x.ndim < 2 or self.y.shape != self.x.shape[:-1] or self.y.numel() == 0:
            raise ValueError(
                f"need shapes (..., n, d) and (..., n) with n > 0; got {tuple(self.x.shape)} and {tuple(self.y.shape)}"
            )
        if not bool((self.y.abs() == 1).all()):
            raise ValueError("y must hold +1 and -1 only; for labels 0 and 1 use 2 y - 1")

    def __call__(self, w: Tensor) -> Tensor:
        """The loss, shape ``(...)``."""
        return torch.nn.functional.softplus(-self._margins(w)).mean(-1)

    def gradient(self, w: Tensor) -> Tensor:
        """The gradient, shape of ``w``."""
        weights = torch.sigmoid(-self._margins(w)) / self.x.shape[-2]
        return -(weights.unsqueeze(-2) @ self._signed).squeeze(-2)

    def _margins(self, w: Tensor) -> Tensor:
        return (self._signed @ w.unsqueeze(-1)).squeeze(-1)

    @functools.cached_property
    def _signed(self) -> Tensor:
        return self.y.unsqueeze(-1) * self.x


@dataclass(frozen=True)
class WilsonProblem(LeastSquares):
    """The data set on which adaptive methods predict +1 for everything, with its squared loss.

    ``x (n, 3 + 5 n)`` holds the label, two constants, and a private block of five for each example; ``y (n,)``
    the labels, +1 and -1. See :func:`wilson_problem`.

    >>> problem = wilson_problem(n=20)
    >>> problem.x.shape, problem.y.shape
    (torch.Size([20, 103]), torch.Size([20]))
    """

    def sign_solution(self) -> Tensor:
        """``sign(x^T y) / 4``, which fits the data: where full-batch AdaGrad, RMSProp and Adam end."""
        return torch.sign(self.x.T @ self.y) / 4

    def min_norm_weights(self) -> tuple[float, float]:
        """The two coefficients (of the +1 and of the -1 examples) of the minimum-norm solution."""
        plus, minus = int((self.y > 0).sum()), int((self.y < 0).sum())
        z = 15 * plus + 3 * minus + 8 * plus * minus + 5
        return (4 * minus + 5) / z, -(4 * plus + 1) / z

    def test_error(self, w: Tensor, y: Tensor) -> Tensor:
        """Share of fresh examples with labels ``y`` that ``w (..., d)`` misclassifies. Their private blocks are new."""
        score = w[..., :1] * y + w[..., 1:2] + w[..., 2:3]
        return (torch.sign(score) != y).to(w.dtype).mean(-1)


def wilson_problem(n: int = 200, p: float = 0.55, seed: int = 0) -> WilsonProblem:
    """The construction of Wilson et al. (arXiv 1705.08292) for ``n`` examples with P(y = +1) = ``p`` > 1/2.

    Feature 1 is the label, features 2 and 3 are 1, and each example has five features of its own: all five
    are 1 if its label is -1, the first alone if it is +1. Labels are redrawn (the next seeds) until their
    sum is positive and both occur. Raises ValueError for n < 3 or p outside (1/2, 1).

    >>> wilson_problem(n=20).x.shape
    torch.Size([20, 103])
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 3:
        raise ValueError(f"n must be an integer >= 3; got {n!r}")
    _checks.number("p", p, low=0.5, high=1.0, open_low=True, open_high=True)
    rng = generator(seed)
    y = torch.zeros(n)
    while not (y.sum() > 0 and (y < 0).any()):
        y = torch.where(torch.rand(n, generator=rng, dtype=torch.float64) < p, 1.0, -1.0).to(torch.float64)
    x = torch.zeros(n, 3 + 5 * n, dtype=torch.float64)
    x[:, 0], x[:, 1], x[:, 2] = y, 1.0, 1.0
    for i in range(n):
        x[i, 3 + 5 * i : 3 + 5 * i + (1 if y[i] > 0 else 5)] = 1.0
    return WilsonProblem(x, y)


def _system(a: Tensor, b: Tensor) -> None:
    _checks.tensor("the matrix", a)
    _checks.tensor("the right-hand side", b)
    if a.ndim != 2 or b.ndim != 1 or len(a) != len(b) or len(a) == 0:
        raise ValueError(f"need shapes (n, d) and (n,) with n > 0; got {tuple(a.shape)} and {tuple(b.shape)}")
