r"""The 2-cycle of Adam on a quadratic: its amplitude, its state, its stability.

On :math:`f(x) = \tfrac12 c x^2` with a constant learning rate :math:`\eta`, Adam can jump for ever
between :math:`+a` and :math:`-a`. On that orbit :math:`v = (ca)^2` is constant, :math:`m` changes only
its sign, and the step must be :math:`2a`, which gives

.. math:: a = \frac{\eta (1-\beta_1)}{2 (1+\beta_1)} - \frac{\epsilon}{c}.

Existence: Bock & Weiss (2019), arXiv 2210.02070; the formula is derived in the chapter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from optbias import _checks
from optbias.rules import Adam
from optbias.rules.base import Number, State, check_betas


def two_cycle_amplitude(lr: Number, beta1: Number, eps: Number = 0.0, curvature: Number = 1.0) -> Tensor:
    """The amplitude ``a`` of Adam's 2-cycle on ``curvature * x**2 / 2``; it does not depend on beta2.

    ``lr > 0``, ``0 <= beta1 < 1``, ``eps >= 0`` (outside the root), ``curvature > 0``: numbers or tensors that
    broadcast; float64. Raises ValueError where ``eps`` is so large that there is no cycle.

    >>> float(two_cycle_amplitude(lr=0.1, beta1=0.0))
    0.05
    """
    _checks.number("lr", lr, low=0.0, open_low=True)
    _checks.number("beta1", beta1, low=0.0, high=1.0, open_high=True)
    _checks.number("eps", eps, low=0.0)
    _checks.number("curvature", curvature, low=0.0, open_low=True)
    lr, beta1, eps, curvature = (torch.as_tensor(x, dtype=torch.float64) for x in (lr, beta1, eps, curvature))
    amplitude = lr * (1 - beta1) / (2 * (1 + beta1)) - eps / curvature
    if (amplitude <= 0).any():
        raise ValueError(
            "there is a 2-cycle only for eps < curvature * lr * (1 - beta1) / (2 * (1 + beta1)); "
            f"got an amplitude of {amplitude.min().item():.3g}"
        )
    return amplitude


def two_cycle_state(
    lr: Number, betas: tuple[Number, Number], eps: Number = 0.0, curvature: Number = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """``(x, m, v)`` on the 2-cycle, at the upper point, before the step from it.

    One step of ``Adam(lr, betas, eps, bias_correction=False)`` with the gradient ``curvature * x`` leads to
    ``(-x, -m, v)`` and a second one back. Arguments as in :func:`two_cycle_amplitude`.

    >>> [round(float(part), 4) for part in two_cycle_state(0.1, (0.9, 0.999))]
    [0.0026, -0.0001, 0.0]
    """
    check_betas(betas)
    a = two_cycle_amplitude(lr, betas[0], eps, curvature)
    beta1 = torch.as_tensor(betas[0], dtype=torch.float64)
    gradient = a * torch.as_tensor(curvature, dtype=torch.float64)
    # m stands for the gradients seen so far, the last of which was at -a.
    return a, -(1 - beta1) / (1 + beta1) * gradient, gradient**2


def two_cycle_spectral_radius(beta1: Number, beta2: Number) -> Tensor:
    """The spectral radius of two steps of Adam, linearised at the 2-cycle (epsilon 0, late times).

    Below 1 the cycle attracts what starts near it, above 1 it repels. It does not depend on the
    learning rate or the curvature, which only set the units of x, m and v. ``0 <= beta1 < 1`` and
    ``0 < beta2 < 1`` are numbers or tensors that broadcast; the result has their common shape. The
    derivative is that of the library's own Adam, by automatic differentiation.

    >>> round(float(two_cycle_spectral_radius(0.9, 0.999)), 4)
    1.1013
    """
    _checks.number("beta2", beta2, low=0.0, high=1.0, open_low=True, open_high=True)
    check_betas((beta1, beta2))
    b1, b2 = torch.broadcast_tensors(*(torch.as_tensor(b, dtype=torch.float64) for b in (beta1, beta2)))

    def two_steps(z: Tensor, b1: Tensor, b2: Tensor) -> Tensor:
        rule = Adam(lr=1.0, eps=0.0, bias_correction=False)
        # Set past the checks, which need values that a traced tensor does not have.
        object.__setattr__(rule, "betas", (b1, b2))
        x = z[0]
        state: State = {"t": 0, "m": z[1], "v": z[2]}
        for _ in range(2):
            x, state = rule.equations(x, x, state)
        return torch.stack([x, state["m"], state["v"]])

    cycle = torch.stack(two_cycle_state(1.0, (b1, b2)), dim=-1).reshape(-1, 3)
    jacobian = torch.func.vmap(torch.func.jacrev(two_steps))(cycle, b1.reshape(-1), b2.reshape(-1))
    return torch.linalg.eigvals(jacobian).abs().amax(-1).reshape(b1.shape)
