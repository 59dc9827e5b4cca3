r"""Backward error analysis: the differential equation that a rule follows to second order.

A rule with learning rate :math:`\eta` is a map :math:`\theta_{n+1} = \theta_n - \eta F_n`. To first order it follows
:math:`\dot\theta = -u(\theta)` with :math:`u` its update direction on a frozen gradient; to second order it follows

.. math::
    \dot\theta = -u - \eta\left\{ D\left[\tau(\beta)+\tfrac12 - (\tau(\rho)+\tfrac12)\,s\right] H u
                 + \tfrac{\lambda}{2} u \right\}, \qquad u = D g + \lambda\theta,

where :math:`g` and :math:`H` are gradient and Hessian at :math:`\theta`, :math:`\tau(\beta) = \beta/(1-\beta)` is
the mean lag of a moving average, :math:`D` is the diagonal scaling and :math:`s \in [0, 1]` says how far it is from
constant (1 only for :math:`\epsilon = 0`):

* Adam, RMSProp, AdamW with epsilon inside the root: :math:`D = (g^2+\epsilon)^{-1/2}`, :math:`s = g^2 D^2`;
  outside: :math:`D = (|g|+\epsilon)^{-1}`, :math:`s = |g| D`. RMSProp has :math:`\beta = 0`.
* Gradient descent and momentum: :math:`D = 1` and :math:`s = 0`; gradient descent has :math:`\beta = 0`.

:math:`\lambda` is 0 but for AdamW. Near the start, where bias-corrected averages hold few gradients,
:math:`\tau` is replaced by the lag of the average at that step (``exact=True``).

Sources: Barrett & Dherin, arXiv 2009.11162 (gradient descent); Cattaneo, Klusowski & Shigida,
arXiv 2309.00079 (Adam, RMSProp). The chapter on backward error analysis derives every term.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optbias import _checks
from optbias.rules import Adam, AdamW, AMSGrad, GradientDescent, Momentum, RMSProp, Rule
from optbias.rules.base import Number
from optbias.simulate import Loss, broadcast_shape, gradient_of, trajectory

Field = Callable[[Tensor, float], Tensor]
"""A vector field: ``(theta, n) -> dtheta/dt`` in the interval that belongs to step ``n = 0, 1, ...``"""


def mean_lag(beta: Number, n: int | None = None) -> Number:
    r"""How old, on average, the gradients in a moving average are, in steps.

    ``n=None``: :math:`\tau(\beta) = \beta/(1-\beta)`, the limit. An integer ``n >= 0``: the lag
    :math:`\tau_n = \beta/(1-\beta) - (n+1)\beta^{n+1}/(1-\beta^{n+1})` of the bias-corrected average
    of the ``n + 1`` gradients seen by then.

    >>> round(mean_lag(0.9), 6), round(mean_lag(0.5, n=1), 6)
    (9.0, 0.333333)
    """
    _checks.number("beta", beta, low=0.0, high=1.0, open_high=True)
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 0):
        raise ValueError(f"n must be None or an integer >= 0; got {n!r}")
    b = torch.as_tensor(beta, dtype=torch.float64)
    lag = b / (1 - b) if n is None else _finite_lag(b, n + 1)
    return lag.to(beta.dtype) if isinstance(beta, Tensor) else float(lag)


def _finite_lag(beta: Tensor, count: int) -> Tensor:
    """The lag of the average of ``count`` gradients. For ``beta`` near 1 the two terms of the formula cancel."""
    x = -beta.log()  # beta^k = exp(-k x)
    formula = beta / (1 - beta) - count / torch.expm1(count * x)
    # With h(x) = 1 / (e^x - 1) - 1 / x the poles at 0 are gone.
    return torch.where(x > 1, formula, _without_pole(x) - count * _without_pole(count * x))


def _without_pole(x: Tensor) -> Tensor:
    """``1 / (e^x - 1) - 1 / x`` for ``x > 0``; near 0 by its series of Bernoulli numbers."""
    square = x * x
    series = torch.zeros_like(x)
    for coefficient in (1 / 74724249600, -691 / 1307674368000, 1 / 47900160, -1 / 1209600, 1 / 30240, -1 / 720, 1 / 12):
        series = series * square + coefficient
    return torch.where(x < 0.5, -0.5 + x * series, 1 / torch.expm1(x) - 1 / x)


def bias_coefficient(
    g: Tensor, betas: tuple[Number, Number], eps: Number, *, eps_inside: bool = True, n: int | None = None
) -> Tensor:
    r"""The bracket :math:`\tau(\beta)+\frac12-(\tau(\rho)+\frac12)s` for each coordinate of the gradient ``g``.

    Multiplied by :math:`\eta`, it is the weight with which Adam adds the gradient's perturbed one-norm to the
    loss: positive penalises it, negative rewards it. As :math:`\epsilon \to 0` it becomes
    :math:`(\beta-\rho)/((1-\beta)(1-\rho))`; for :math:`\epsilon \gg g^2` it is :math:`\frac12(1+\beta)/(1-\beta)`.

    >>> bias_coefficient(torch.tensor([1e-6, 1.0], dtype=torch.float64), (0.9, 0.999), eps=1e-6)
    tensor([   9.4990, -989.9990], dtype=torch.float64)
    """
    _checks.tensor("g", g)
    _checks.number("eps", eps, low=0.0)
    beta, rho = betas
    _, s = _scaling(g, eps, eps_inside)
    return mean_lag(beta, n) + 0.5 - (mean_lag(rho, n) + 0.5) * s


def sign_threshold(betas: tuple[Number, Number]) -> Number:
    r"""The value :math:`g^2/\epsilon` at which :func:`bias_coefficient` changes its sign (epsilon inside).

    Below it the one-norm is penalised, above it the reverse. Infinite where :math:`\beta \ge \rho`: there the
    penalty never turns.

    >>> round(float(sign_threshold((0.9, 0.999))), 6)
    0.009596
    """
    beta, rho = betas
    critical = (mean_lag(beta) + 0.5) / (mean_lag(rho) + 0.5)
    if isinstance(critical, Tensor):
        return torch.where(critical < 1, critical / (1 - critical), torch.full_like(critical, float("inf")))
    return critical / (1 - critical) if critical < 1 else float("inf")


def _scaling(g: Tensor, eps: Number, eps_inside: bool) -> tuple[Tensor, Tensor]:
    """``D`` and ``s`` of the module's formula."""
    size = g.abs()
    if eps_inside:
        # Not the root of a sum of squares: those under- and overflow.
        root = torch.as_tensor(eps, dtype=torch.float64).sqrt().to(g)
        denominator = torch.hypot(size, root)
    else:
        denominator = size + eps
    # Where gradient and eps are 0 nothing moves, as in the rules: D = s = 0.
    still = denominator == 0
    d = torch.where(still, 0.0, 1 / denominator)
    share = torch.where(still, 0.0, size / denominator)
    return d, share.square() if eps_inside else share


def _hessian_vector(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """``(theta, u) -> H(theta) u``: from the loss's own Hessian if it has one, else by differentiation."""
    hessian = getattr(loss, "hessian", None)
    if callable(hessian):
        return lambda theta, u: (hessian(theta) @ u.unsqueeze(-1)).squeeze(-1)

    def product(theta: Tensor, u: Tensor) -> Tensor:
        with torch.enable_grad():
            theta = theta.detach().requires_grad_(True)
            (g,) = torch.autograd.grad(loss(theta).sum(), theta, create_graph=True)  # type: ignore[operator]
            # The gradient of a linear loss is a constant.
            return torch.autograd.grad(g, theta, u, materialize_grads=True)[0] if g.requires_grad else 0 * u

    return product


def modified_field(rule: Rule, loss: Loss, *, order: int = 2, exact: bool = True) -> Field:
    """The vector field that ``rule`` follows on ``loss`` to the given ``order`` (1 or 2).

    ``order=1`` is the flow that the rule was made from, ``order=2`` adds the bias. ``exact=False`` uses the
    limit of the lags instead of those of each step. The rule's learning rate must be a number or a tensor,
    and its weight decay 0 unless it is AdamW (put a coupled L2 term into the loss). Raises TypeError for a
    rule without a known equation.

    >>> from optbias.losses import landscapes
    >>> from optbias.rules import GradientDescent
    >>> field = modified_field(GradientDescent(0.1), landscapes.get("bowl"))
    >>> field(torch.tensor([1.0, 0.0], dtype=torch.float64), 0)
    tensor([-2.2000, -0.0000], dtype=torch.float64)
    """
    _checks.one_of("order", order, (1, 2))
    if not isinstance(rule, (GradientDescent, Momentum, RMSProp, Adam)) or isinstance(rule, AMSGrad):
        raise TypeError(
            "modified equations are known here for GradientDescent, Momentum, RMSProp, Adam and AdamW; "
            f"got {type(rule).__name__}"
        )
    if callable(rule.lr):
        raise TypeError("the learning rate of a modified equation must be a number or a tensor; got a function")
    if getattr(rule, "nesterov", False):
        raise TypeError("the modified equation of Nesterov's form is not implemented; use nesterov=False")
    decay: Number = 0.0
    if isinstance(rule, AdamW):
        decay = rule.weight_decay
    elif not isinstance(rule, RMSProp) and not _is_zero(rule.weight_decay):
        raise ValueError("put a coupled L2 term into the loss, and use weight_decay=0")
    beta, rho = _factors(rule)
    # The heavy ball is the moving average at the rate lr / (1 - beta).
    heavy = isinstance(rule, Momentum) and rule.form == "heavy_ball"
    lr = rule.lr / (1 - beta) if heavy else rule.lr
    speed = 1 / (1 - beta) if heavy else 1.0
    gradient, hessian_vector = gradient_of(loss), _hessian_vector(loss)

    def field(theta: Tensor, n: float) -> Tensor:
        g = gradient(theta)
        if rho is None:
            d, s = torch.ones_like(g), torch.zeros_like(g)
        else:
            d, s = _scaling(g, rule.eps, rule.eps_inside)  # type: ignore[union-attr]
        u = d * g + decay * theta
        if order == 1:
            return -speed * u
        step = int(n) if exact else None
        bracket = mean_lag(beta, step) + 0.5
        if rho is not None:
            bracket = bracket - (mean_lag(rho, step) + 0.5) * s
        correction = d * bracket * hessian_vector(theta, u) + 0.5 * decay * u
        return -speed * (u + lr * correction)

    return field


def _is_zero(value: Number) -> bool:
    return not isinstance(value, Tensor) and value == 0


def _factors(rule: Rule) -> tuple[Number, Number | None]:
    """The factors (beta, rho) of the rule's two averages; rho is None where it has no second one."""
    if isinstance(rule, Adam):
        return rule.betas
    if isinstance(rule, RMSProp):
        return 0.0, rule.rho
    return (rule.beta, None) if isinstance(rule, Momentum) else (0.0, None)


def flow(
    rule: Rule, loss: Loss, theta0: Tensor, steps: int, *, order: int = 2, exact: bool = True, substeps: int = 2
) -> Tensor:
    """The solution of the modified equation at the times ``0, lr, 2 lr, ...``: ``Tensor[steps + 1, *shape]``.

    Arguments as in :func:`optbias.simulate.trajectory` and :func:`modified_field`. Integrated by the classical
    Runge-Kutta method with ``substeps`` steps per learning rate; the field is smooth within each interval.
    Raises ValueError unless ``steps`` is an integer >= 0 and ``substeps`` one >= 1.

    >>> from optbias.losses import landscapes
    >>> from optbias.rules import GradientDescent
    >>> flow(GradientDescent(0.1), landscapes.get("bowl"), torch.tensor([1.0, 0.0], dtype=torch.float64), 3).shape
    torch.Size([4, 2])
    """
    for name, value, low in (("steps", steps, 0), ("substeps", substeps, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"{name} must be an integer >= {low}; got {value!r}")
    _checks.tensor("theta0", theta0)
    field = modified_field(rule, loss, order=order, exact=exact)
    dt = rule.lr / substeps  # type: ignore[attr-defined]
    theta = theta0.detach().expand(broadcast_shape(rule, theta0))
    path = torch.empty((steps + 1, *theta.shape), dtype=theta.dtype)
    path[0] = theta
    with torch.no_grad():
        for n in range(steps):
            for _ in range(substeps):
                k1 = field(theta, n)
                k2 = field(theta + 0.5 * dt * k1, n)
                k3 = field(theta + 0.5 * dt * k2, n)
                k4 = field(theta + dt * k3, n)
                theta = theta + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            path[n + 1] = theta
    return path


@dataclass(frozen=True)
class OrderOfAccuracy:
    """Global errors of the two flows against the rule, over a list of learning rates.

    >>> import numpy as np
    >>> found = OrderOfAccuracy(np.array([0.2, 0.1]), np.array([0.02, 0.01]), np.array([0.004, 0.001]))
    >>> round(float(found.slope()), 3)
    2.0
    """

    lr: np.ndarray
    """The learning rates, shape ``(k,)``."""
    first: np.ndarray
    """Largest distance (over steps and coordinates) to the first-order flow, shape ``(k, *batch)``."""
    second: np.ndarray
    """The same for the corrected flow."""

    def slope(self, which: str = "second", last: int = 4) -> np.ndarray:
        """The fitted power of the learning rate in the error, over the ``last`` smallest rates."""
        _checks.one_of("which", which, ("first", "second"))
        errors = getattr(self, which)[-last:]
        x = np.log(self.lr[-last:])
        flat = np.log(errors).reshape(len(x), -1)
        return np.polyfit(x, flat, 1)[0].reshape(errors.shape[1:])


def order_of_accuracy(
    rule: Rule,
    loss: Loss,
    theta0: Tensor,
    time: float,
    steps: tuple[int, ...] = (128, 256, 512, 1024, 2048),
    *,
    exact: bool = True,
    flow_of: Rule | None = None,
) -> OrderOfAccuracy:
    """Run ``rule`` and its two flows over ``[0, time]`` with ``lr = time / n`` for each ``n`` in ``steps``.

    The rule's own learning rate is replaced. For the heavy ball the flow's time runs as ``lr`` per step too.
    ``flow_of`` compares with the flows of another rule instead: a control that must fail. Hyper-parameters
    that are tensors of shape ``(..., 1)`` make a batch, as does ``theta0`` of shape ``(..., d)``. Raises ValueError
    unless ``time`` is positive and ``steps`` holds at least two increasing positive integers.

    >>> from optbias.losses import landscapes
    >>> from optbias.rules import GradientDescent
    >>> start, bowl = torch.ones(2, dtype=torch.float64), landscapes.get("bowl")
    >>> found = order_of_accuracy(GradientDescent(0.1), bowl, start, 1.0, (32, 64))
    >>> bool(found.second[-1] < found.first[-1])
    True
    """
    _checks.number("time", time, low=0.0, open_low=True)
    if len(steps) < 2 or min(steps) < 1 or any(b <= a for a, b in itertools.pairwise(steps)):
        raise ValueError(f"steps must hold at least two increasing positive integers; got {steps!r}")
    rates: list[float] = []
    first: list[np.ndarray] = []
    second: list[np.ndarray] = []
    for n in steps:
        lr = time / n
        run = trajectory(rule.replace(lr=lr), loss, theta0, n)
        model = (flow_of or rule).replace(lr=lr)
        rates.append(lr)
        for order, errors in ((1, first), (2, second)):
            solution = flow(model, loss, theta0, n, order=order, exact=exact, substeps=1)
            errors.append((run - solution).abs().amax(dim=(0, -1)).numpy())
    return OrderOfAccuracy(np.array(rates), np.array(first), np.array(second))
