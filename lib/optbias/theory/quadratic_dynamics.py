r"""Momentum on a quadratic, exactly: roots, rates, stability limits, best settings.

On a quadratic every eigendirection of the Hessian moves on its own. Along one with curvature
:math:`h` (an eigenvalue of the Hessian), momentum with factor :math:`\beta` is the recursion

.. math::
    \theta_{t+1} = (1 + \beta - a)\,\theta_t - \beta\,\theta_{t-1} \quad\text{(heavy ball)}, \qquad
    \theta_{t+1} = (1 + \beta)(1 - a)\,\theta_t - \beta(1 - a)\,\theta_{t-1} \quad\text{(Nesterov)},

whose behaviour the two roots of its characteristic polynomial decide. Here :math:`a` is the
dimensionless *step on curvature*: :math:`a = \eta h` in heavy-ball form and
:math:`a = (1 - \beta)\,\eta h` in EMA form. Every function takes :math:`x = \eta h` (argument
``lr_curvature``; negative at a direction of negative curvature) and the ``form``, as
:class:`optbias.rules.Momentum` does, and is exact for that rule.

Sources: Goh, *Why Momentum Really Works* (2017); Lessard, Recht & Packard, arXiv 1408.3595.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from optbias import _checks

Number = float | Tensor
"""A number, or a tensor of them; arguments broadcast against each other."""

REGIMES = ("monotone", "oscillating", "alternating", "not convergent")
"""What :func:`regime` tells apart; its codes are indices of this tuple."""


class Tuning(NamedTuple):
    """The best constant setting of a method for all curvatures in an interval, and its rate.

    >>> best_gradient_descent(1.0, 3.0).lr
    0.5
    """

    lr: float
    """Learning rate, in heavy-ball form (``torch.optim.SGD``'s ``lr``)."""
    beta: float
    """Momentum factor."""
    rate: float
    """The largest spectral radius over the interval: errors shrink like ``rate**t``, up to a factor of order t."""


def _coefficients(lr_curvature: Number, beta: Number, form: str, nesterov: bool) -> tuple[Tensor, Tensor]:
    """Trace and determinant of the iteration, broadcast, in float64."""
    _checks.number("lr_curvature", lr_curvature)
    _check_beta(beta)
    _checks.one_of("form", form, ("ema", "heavy_ball"))
    _checks.flag("nesterov", nesterov)
    x, b = torch.broadcast_tensors(
        torch.as_tensor(lr_curvature, dtype=torch.float64), torch.as_tensor(beta, dtype=torch.float64)
    )
    a = (1 - b) * x if form == "ema" else x
    if nesterov:
        return (1 + b) * (1 - a), b * (1 - a)
    return 1 + b - a, b.clone()


def _check_beta(beta: Number) -> None:
    _checks.number("beta", beta, low=0.0, high=1.0, open_high=True)


def iteration_matrix(lr_curvature: Number, beta: Number, form: str = "heavy_ball", nesterov: bool = False) -> Tensor:
    r"""The 2x2 matrix that maps :math:`(\theta_t, \theta_{t-1})` to :math:`(\theta_{t+1}, \theta_t)`.

    The arguments broadcast; the result has shape ``(..., 2, 2)``. Its trace and determinant are the
    sum and the product of :func:`roots`. Raises ValueError for ``beta`` outside [0, 1) or an unknown
    form.

    >>> iteration_matrix(1.0, 0.5)
    tensor([[ 0.5000, -0.5000],
            [ 1.0000,  0.0000]], dtype=torch.float64)
    """
    trace, det = _coefficients(lr_curvature, beta, form, nesterov)
    one, zero = torch.ones_like(trace), torch.zeros_like(trace)
    return torch.stack([torch.stack([trace, -det], -1), torch.stack([one, zero], -1)], -2)


def roots(lr_curvature: Number, beta: Number, form: str = "heavy_ball", nesterov: bool = False) -> Tensor:
    """The eigenvalues of :func:`iteration_matrix`, complex, shape ``(..., 2)``, larger modulus first.

    Of a complex pair, the one with positive imaginary part comes first.

    >>> roots(1.0, 0.25)
    tensor([0.1250+0.4841j, 0.1250-0.4841j], dtype=torch.complex128)
    """
    trace, det = _coefficients(lr_curvature, beta, form, nesterov)
    discriminant = trace**2 - 4 * det
    is_complex = discriminant < 0
    # Real roots: the larger one without cancellation, the other from the product of the two.
    side = torch.where(trace < 0, -1.0, 1.0)
    large = (trace + side * discriminant.clamp(min=0).sqrt()) / 2
    small = torch.where(large == 0, torch.zeros_like(large), det / large)
    imaginary = (-discriminant).clamp(min=0).sqrt() / 2
    zero = torch.zeros_like(trace)
    first = torch.complex(torch.where(is_complex, trace / 2, large), torch.where(is_complex, imaginary, zero))
    second = torch.complex(torch.where(is_complex, trace / 2, small), torch.where(is_complex, -imaginary, zero))
    return torch.stack([first, second], -1)


def rate(lr_curvature: Number, beta: Number, form: str = "heavy_ball", nesterov: bool = False) -> Tensor:
    """The spectral radius of :func:`iteration_matrix`: errors change like ``rate**t`` in the long run.

    Below 1 the direction converges; a smaller number is faster. Float64, shape of the arguments
    broadcast.

    >>> rate(1.0, 0.81)
    tensor(0.9000, dtype=torch.float64)
    """
    return roots(lr_curvature, beta, form, nesterov)[..., 0].abs()


def stability_limit(beta: Number, form: str = "heavy_ball", nesterov: bool = False) -> Tensor:
    r"""The largest :math:`\eta h`: a direction of curvature :math:`h > 0` converges iff
    :math:`\eta h` is below it.

    Heavy ball :math:`2(1+\beta)`; Nesterov :math:`2(1+\beta)/(1+2\beta)`; in EMA form both are divided
    by :math:`1-\beta`. Float64, shape of ``beta``.

    >>> stability_limit(0.5)
    tensor(3., dtype=torch.float64)
    """
    _check_beta(beta)
    _checks.one_of("form", form, ("ema", "heavy_ball"))
    _checks.flag("nesterov", nesterov)
    b = torch.as_tensor(beta, dtype=torch.float64)
    limit = 2 * (1 + b) / (1 + 2 * b) if nesterov else 2 * (1 + b)
    return limit / (1 - b) if form == "ema" else limit


def oscillation_window(beta: Number, form: str = "heavy_ball", nesterov: bool = False) -> tuple[Tensor, Tensor]:
    r"""The interval of :math:`\eta h` on whose inside the roots are complex (empty for ``beta = 0``).

    Heavy ball :math:`((1-\sqrt\beta)^2, (1+\sqrt\beta)^2)`; Nesterov
    :math:`((\frac{1-\beta}{1+\beta})^2, 1)`; in EMA form both are divided by :math:`1-\beta`.

    >>> [round(float(end), 4) for end in oscillation_window(0.25)]
    [0.25, 2.25]
    """
    _check_beta(beta)
    _checks.one_of("form", form, ("ema", "heavy_ball"))
    _checks.flag("nesterov", nesterov)
    b = torch.as_tensor(beta, dtype=torch.float64)
    if nesterov:
        low, high = ((1 - b) / (1 + b)) ** 2, torch.ones_like(b)
    else:
        low, high = (1 - b.sqrt()) ** 2, (1 + b.sqrt()) ** 2
    return (low / (1 - b), high / (1 - b)) if form == "ema" else (low, high)


def regime(lr_curvature: Number, beta: Number, form: str = "heavy_ball", nesterov: bool = False) -> Tensor:
    """Which of :data:`REGIMES` the slowest mode shows, as an integer code, shape broadcast.

    0 monotone: the dominant root is in [0, 1). 1 oscillating: a complex pair inside the unit circle.
    2 alternating: the dominant root is in (-1, 0), so the sign flips at every step.
    3 not convergent: a root on or outside the unit circle.

    >>> REGIMES[int(regime(1.0, 0.81))]
    'oscillating'
    """
    dominant = roots(lr_curvature, beta, form, nesterov)[..., 0]
    x = torch.as_tensor(lr_curvature, dtype=torch.float64).expand(dominant.shape)
    code = torch.zeros(dominant.shape, dtype=torch.int64)
    code[dominant.real < 0] = 2
    code[dominant.imag != 0] = 1
    # By the limits, not by |root| >= 1: on the boundary a computed root may round to just below 1.
    code[(x <= 0) | (x >= stability_limit(beta, form, nesterov))] = 3
    return code


def best_gradient_descent(smallest: float, largest: float) -> Tuning:
    r"""Gradient descent's best constant rate for curvatures in [smallest, largest], both > 0.

    :math:`\eta = 2/(h_{\min} + h_{\max})`, rate :math:`(\kappa - 1)/(\kappa + 1)`, where
    :math:`\kappa = h_{\max}/h_{\min}`.

    >>> best_gradient_descent(1.0, 3.0)
    Tuning(lr=0.5, beta=0.0, rate=0.5)
    """
    kappa = _condition(smallest, largest)
    return Tuning(2 / (smallest + largest), 0.0, (kappa - 1) / (kappa + 1))


def best_heavy_ball(smallest: float, largest: float) -> Tuning:
    r"""Polyak's pair: the best constant heavy ball for curvatures in [smallest, largest], both > 0.

    :math:`\eta = (2/(\sqrt{h_{\min}} + \sqrt{h_{\max}}))^2`, :math:`\sqrt\beta = (\sqrt\kappa - 1)/(\sqrt\kappa + 1)`,
    which is also the rate. Source: Polyak (1964); Goh (2017).

    >>> best_heavy_ball(1.0, 9.0)
    Tuning(lr=0.25, beta=0.25, rate=0.5)
    """
    root = _condition(smallest, largest) ** 0.5
    r = (root - 1) / (root + 1)
    return Tuning((2 / (smallest**0.5 + largest**0.5)) ** 2, r**2, r)


def best_nesterov(smallest: float, largest: float) -> Tuning:
    r"""The best constant Nesterov momentum for quadratics with curvatures in [smallest, largest].

    :math:`\eta = 4/(3h_{\max} + h_{\min})`, :math:`\beta = (\sqrt{3\kappa+1} - 2)/(\sqrt{3\kappa+1} + 2)`, rate
    :math:`1 - 2/\sqrt{3\kappa+1}`. Source: Lessard, Recht & Packard, arXiv 1408.3595.

    >>> round(best_nesterov(1.0, 9.0).rate, 4)
    0.622
    """
    root = (3 * _condition(smallest, largest) + 1) ** 0.5
    return Tuning(4 / (3 * largest + smallest), (root - 2) / (root + 2), 1 - 2 / root)


def _condition(smallest: float, largest: float) -> float:
    _checks.number("smallest", smallest, low=0.0, open_low=True)
    _checks.number("largest", largest, low=0.0, open_low=True)
    if largest < smallest:
        raise ValueError(f"largest must be at least smallest; got smallest={smallest!r}, largest={largest!r}")
    return float(largest) / float(smallest)
