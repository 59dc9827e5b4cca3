r"""Online convex games on an interval, regret, and why Adam can lose one.

In round ``t = 1, 2, ...`` the player names a point :math:`x_t` of an interval, then sees the slope
:math:`g_t` of the linear loss :math:`f_t(x) = g_t x`, and moves. The *regret* is the player's total
loss minus that of the best fixed point in hindsight:

.. math:: R_T = \sum_{t=1}^T f_t(x_t) - \min_{x} \sum_{t=1}^T f_t(x).

The games here repeat a cycle of slopes: one spike, then small slopes of the other sign. On such a
game the moments of Adam become periodic, so the net movement per cycle has a closed form
(:func:`drift_per_cycle`), and so has the :math:`\beta_2` at which it changes sign
(:func:`break_even_beta2`). Source of the games: Reddi, Kale & Kumar, arXiv 1904.09237.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

from optbias import _checks
from optbias.rules import Adam, AdamW, AMSGrad, Rule
from optbias.rules.adaptive import preconditioned
from optbias.rules.base import Number, at_step, check_betas


@dataclass(frozen=True, eq=False)
class OnlineGame:
    """Linear losses ``f_t(x) = g_t x`` on ``[low, high]`` whose slopes repeat for ever.

    ``slopes`` has shape ``(period, ...)``: row ``(t - 1) % period`` is the slope of round ``t``; further
    axes are a batch of games played side by side. Raises TypeError or ValueError for slopes that are
    not finite numbers with at least one row, and for an empty interval.

    >>> OnlineGame(torch.tensor([3.0, -1.0, -1.0], dtype=torch.float64)).best_fixed_point
    tensor(-1., dtype=torch.float64)
    """

    slopes: Tensor
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _checks.tensor("slopes", self.slopes)
        if self.slopes.ndim == 0 or self.slopes.shape[0] == 0:
            raise ValueError(
                f"slopes must have one row for each round of the cycle; got shape {tuple(self.slopes.shape)}"
            )
        if not torch.isfinite(self.slopes).all():
            raise ValueError("slopes must be finite; got an infinity or a NaN among them")
        for name, end in (("low", self.low), ("high", self.high)):
            if isinstance(end, Tensor):
                raise TypeError(f"{name} must be a number: all games of a batch share one interval; got a tensor")
            _checks.number(name, end)
        if not self.low < self.high:
            raise ValueError(f"low must be below high; got the interval [{self.low:g}, {self.high:g}]")

    @property
    def period(self) -> int:
        """The number of rounds after which the slopes repeat."""
        return self.slopes.shape[0]

    def gradient(self, t: int) -> Tensor:
        """The slope of round ``t`` (1, 2, ...); it does not depend on the point played."""
        if isinstance(t, bool) or not isinstance(t, int) or t < 1:
            raise ValueError(f"t must be a round, an integer from 1 up; got {t!r}")
        return self.slopes[(t - 1) % self.period]

    def gradients(self, rounds: int) -> Tensor:
        """The slopes of rounds ``1 ... rounds``, shape ``(rounds, ...)``."""
        _rounds("rounds", rounds)
        return self.slopes[torch.arange(rounds) % self.period]

    @property
    def best_fixed_point(self) -> Tensor:
        """The point that minimises the loss summed over one cycle (``low`` where all points tie)."""
        return torch.where(self.slopes.sum(0) < 0, self.high, self.low).to(self.slopes.dtype)

    def project(self, x: Tensor) -> Tensor:
        """The nearest point of the interval."""
        return x.clamp(self.low, self.high)


def three_step_game(C: Number) -> OnlineGame:
    """The lecture's game on [-1, 1]: ``f_t(x) = C x`` if ``t mod 3 = 1``, else ``-x``.

    ``C`` is a number above 2, or a tensor of them (one game each); so the best fixed point is -1.

    >>> three_step_game(3.0).gradients(4)
    tensor([ 3., -1., -1.,  3.], dtype=torch.float64)
    """
    return rare_spike_game(C, 3)


def rare_spike_game(C: Number, cycle: int, rest: float = 1.0) -> OnlineGame:
    """On [-1, 1]: ``f_t(x) = C x`` if ``t mod cycle = 1``, else ``-rest * x``.

    Raises ValueError unless ``C > (cycle - 1) * rest > 0``, which makes -1 the best fixed point.
    ``rare_spike_game(1010, 101, rest=10)`` is the synthetic experiment of Reddi et al.

    >>> rare_spike_game(12.0, 8).period
    8
    """
    _cycle(cycle)
    _checks.number("rest", rest, low=0.0, open_low=True)
    _checks.number("C", C, low=(cycle - 1) * rest, open_low=True)
    spike = torch.as_tensor(C, dtype=torch.float64)
    return OnlineGame(torch.stack([spike] + [torch.full_like(spike, -rest)] * (cycle - 1)))


def play(rule: Rule, game: OnlineGame, rounds: int, start: Number = 0.0) -> Tensor:
    """The points that ``rule`` plays: ``Tensor[rounds + 1, *shape]``, row ``t - 1`` is :math:`x_t`.

    The last row is where the rule stands after the last round. After each step the point is
    projected to the interval (for one coordinate the projection does not depend on its weighting).
    ``shape`` is the game's batch broadcast with the rule's hyper-parameters. Raises TypeError for what
    is not a rule, ValueError for a number of rounds below 1 or a start outside the interval.

    >>> from optbias.rules import Adam
    >>> play(Adam(0.1, (0.0, 0.5), 0.0), three_step_game(3.0), 3)
    tensor([ 0.0000, -0.1000, -0.0478,  0.0205], dtype=torch.float64)
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"rule must be a rule from optbias.rules; got {rule!r}")
    _rounds("rounds", rounds)
    _checks.number("start", start, low=game.low, high=game.high)
    with torch.no_grad():
        x = torch.zeros_like(game.slopes[0]) + start
        # One trial step shows the shape of a schedule; it may not use every hyper-parameter yet (ADOPT's does not).
        first = rule.equations(x, game.gradient(1).expand(x.shape), rule.init(x))[0].shape
        shape = torch.broadcast_shapes(first, *(number.shape for _, number in rule.tensors()))
        x = x.expand(shape)
        points = torch.empty((rounds + 1, *shape), dtype=x.dtype)
        points[0] = x
        state = rule.init(x)
        for t in range(1, rounds + 1):
            x, state = rule.equations(x, game.gradient(t).expand(shape), state)
            x = game.project(x)
            points[t] = x
    return points


def play_long(rule: Adam, game: OnlineGame, rounds: int, start: float = 0.0) -> Tensor:
    r"""What :func:`play` returns, fast enough for a million rounds; one game, one setting.

    The slopes do not depend on the points. So the moments of all rounds come first, as linear
    filters of the slopes, and then the steps, all at once; what remains is a walk between two walls.
    Takes :class:`~optbias.rules.Adam` or :class:`~optbias.rules.AMSGrad` without weight decay, with
    numbers (not tensors) as hyper-parameters, and a game without batch axes; raises TypeError or
    ValueError for anything else. Agrees with :func:`play` to rounding.

    >>> from optbias.rules import Adam
    >>> play_long(Adam(0.1, (0.0, 0.5), 0.0), three_step_game(3.0), 3)
    tensor([ 0.0000, -0.1000, -0.0478,  0.0205], dtype=torch.float64)
    """
    if not isinstance(rule, Adam) or isinstance(rule, AdamW):
        raise TypeError(f"rule must be Adam or AMSGrad; got {type(rule).__name__}")
    settings = (*rule.betas, rule.eps, rule.weight_decay, start)
    if any(isinstance(value, Tensor) for value in settings) or isinstance(rule.lr, Tensor):
        raise TypeError("play_long takes numbers as hyper-parameters and start; use play for tensors of them")
    if rule.weight_decay != 0:
        raise ValueError(f"weight_decay must be 0, or the gradients depend on the points; got {rule.weight_decay!r}")
    if game.slopes.ndim != 1:
        raise ValueError(f"play_long plays one game; got slopes of shape {tuple(game.slopes.shape)}; use play")
    _rounds("rounds", rounds)
    _checks.number("start", start, low=game.low, high=game.high)

    beta1, beta2 = (float(b) for b in rule.betas)
    g = game.gradients(rounds)
    m, v = _average(g, beta1), _average(g**2, beta2)
    if isinstance(rule, AMSGrad):
        v = torch.cummax(v, dim=0).values
    if rule.bias_correction:
        t = torch.arange(1, rounds + 1, dtype=g.dtype)
        m, v = m / (1 - beta1**t), v / (1 - beta2**t)
    lr = rule.lr
    rates = torch.tensor([float(at_step(lr, t)) for t in range(1, rounds + 1)], dtype=g.dtype) if callable(lr) else lr
    steps = (rates * preconditioned(m, v, rule.eps, rule.eps_inside)).tolist()

    x = float(start)
    points = [x]
    low, high = float(game.low), float(game.high)
    for step in steps:
        x -= step
        if x < low:
            x = low
        elif x > high:
            x = high
        points.append(x)
    return torch.tensor(points, dtype=g.dtype)


def regret(points: Tensor, game: OnlineGame) -> Tensor:
    """The regret :math:`R_1 ... R_T` of points ``(T + 1, ...)`` as :func:`play` returns them.

    Shape ``(T, ...)``. Row ``T - 1`` compares the first ``T`` points with the fixed point that is best for
    those ``T`` rounds. The last row of ``points`` has not been played and does not count.

    >>> from optbias.rules import Adam
    >>> game = three_step_game(3.0)
    >>> regret(play(Adam(0.1, (0.0, 0.5), 0.0), game, 3), game)
    tensor([3.0000, 2.1000, 1.1478], dtype=torch.float64)
    """
    _checks.tensor("points", points)
    if points.ndim == 0 or len(points) < 2:
        raise ValueError(f"points must have two rows or more, as play returns; got shape {tuple(points.shape)}")
    g = game.gradients(len(points) - 1)
    if points.ndim < g.ndim:
        raise ValueError(
            f"points must have the axes of the game's batch, {tuple(g.shape[1:])}; got shape {tuple(points.shape)}"
        )
    g = g.reshape(len(g), *(1,) * (points.ndim - g.ndim), *g.shape[1:])
    total = g.cumsum(0)
    return (g * points[:-1]).cumsum(0) - torch.minimum(total * game.low, total * game.high)


def drift_per_cycle(C: Number, beta2: Number, cycle: int = 3, beta1: Number = 0.0) -> Tensor:
    r"""Adam's net movement per cycle of the spike game, in units of the learning rate.

    For slopes C once and -1 ``cycle - 1`` times the moments settle to a period. With j = 0, 1, ... the
    number of rounds since the spike and N = ``cycle``,

    .. math::
        m_j = -1 + (C + 1)\,\beta_1^j / \textstyle\sum_{i<N}\beta_1^i, \qquad
        v_j = 1 + (C^2 - 1)\,\beta_2^j / \textstyle\sum_{i<N}\beta_2^i, \qquad
        \text{drift} = -\textstyle\sum_{j<N} m_j / \sqrt{v_j}.

    It holds away from the walls, for a constant rate, epsilon 0 and late times (the bias correction
    has died out). Positive means: towards +1, the wrong end. ``C > 0``, ``beta2`` in [0, 1] (at 1 the
    limit) and ``beta1`` in [0, 1) are numbers or tensors that broadcast; so does the result. The slopes may
    be scaled: ``C`` is the ratio of the spike to the rest.

    >>> drift_per_cycle(3.0, beta2=0.1)
    tensor(0.6809, dtype=torch.float64)
    """
    _cycle(cycle)
    _checks.number("C", C, low=0.0, open_low=True)
    _checks.number("beta2", beta2, low=0.0, high=1.0)
    _checks.number("beta1", beta1, low=0.0, high=1.0, open_high=True)
    spike = torch.as_tensor(C, dtype=torch.float64)[..., None]
    m = -1 + (spike + 1) * _share(beta1, cycle)
    v = 1 + (spike**2 - 1) * _share(beta2, cycle)
    return -(m / v.sqrt()).sum(-1)


def break_even_beta2(C: Number, cycle: int = 3) -> Tensor:
    """The ``beta2`` at which Adam (``beta1 = 0``) stops drifting the wrong way; same shape as ``C``.

    The root of :func:`drift_per_cycle` by bisection, to rounding. Below it Adam goes to +1, above it to
    the best fixed point -1. Raises ValueError unless ``C > cycle - 1`` and ``cycle >= 3`` (otherwise
    there is no sign change).

    >>> break_even_beta2(3.0)
    tensor(0.4723, dtype=torch.float64)
    """
    _cycle(cycle, least=3)
    _checks.number("C", C, low=cycle - 1, open_low=True)
    spike = torch.as_tensor(C, dtype=torch.float64)
    low, high = torch.zeros_like(spike), torch.ones_like(spike)
    for _ in range(60):
        middle = (low + high) / 2
        wrong_way = drift_per_cycle(spike, middle, cycle) > 0
        low, high = torch.where(wrong_way, middle, low), torch.where(wrong_way, high, middle)
    return (low + high) / 2


@dataclass(frozen=True, eq=False)
class RegretBound:
    """The three terms of the bound on AMSGrad's regret, each ``Tensor[T]`` (entry T - 1: the bound on R_T).

    >>> amsgrad_regret_bound(three_step_game(3.0).gradients(30), 0.1, (0.0, 0.9)).distance.shape
    torch.Size([30])
    """

    distance: Tensor
    momentum: Tensor
    gradients: Tensor

    @property
    def total(self) -> Tensor:
        """The bound: the sum of the three terms."""
        return self.distance + self.momentum + self.gradients


def amsgrad_regret_bound(
    slopes: Tensor,
    lr: float,
    betas: tuple[float, float],
    diameter: float = 2.0,
    beta1_decay: float = 1.0,
) -> RegretBound:
    r"""The bound of Theorem 4 of Reddi et al. on AMSGrad's regret, in one dimension.

    .. math::
        R_T \le \frac{D^2 \sqrt{T \hat v_T}}{\alpha (1-\beta_1)}
        + \frac{D^2}{(1-\beta_1)^2} \sum_{t=1}^T \frac{\beta_{1t} \sqrt{\hat v_t}}{\alpha_t}
        + \frac{\alpha \sqrt{1 + \ln T}}{(1-\beta_1)^2 (1-\beta_1/\sqrt{\beta_2}) \sqrt{1-\beta_2}}
          \Big(\sum_{t=1}^T g_t^2\Big)^{1/2}

    for the rates :math:`\alpha_t = \alpha/\sqrt t` and :math:`\beta_{1t} = \beta_1\lambda^{t-1}`, without bias
    correction. ``slopes`` are :math:`g_1 ... g_T`; ``lr`` is :math:`\alpha > 0`; ``diameter`` is D;
    ``beta1_decay`` is :math:`\lambda` in (0, 1], where 1 keeps :math:`\beta_1` constant and makes the middle term
    grow like :math:`T^{3/2}`. Raises ValueError unless :math:`\beta_1 < \sqrt{\beta_2}` or both are 0. The
    published proof has a gap for decaying :math:`\beta_{1t}` (Tran & Phong, arXiv 1904.03590).

    >>> amsgrad_regret_bound(three_step_game(3.0).gradients(30), 0.1, (0.0, 0.9)).total.shape
    torch.Size([30])
    """
    _checks.tensor("slopes", slopes)
    if slopes.ndim != 1 or len(slopes) == 0:
        raise ValueError(f"slopes must be one sequence g_1 ... g_T; got shape {tuple(slopes.shape)}")
    _checks.number("lr", lr, low=0.0, open_low=True)
    check_betas(betas)
    _checks.number("diameter", diameter, low=0.0, open_low=True)
    _checks.number("beta1_decay", beta1_decay, low=0.0, high=1.0, open_low=True)
    beta1, beta2 = betas
    if beta1 > 0 and not beta1**2 < beta2:
        raise ValueError(f"the bound needs beta1 < sqrt(beta2); got beta1={beta1!r}, beta2={beta2!r}")
    gamma = beta1 / beta2**0.5 if beta1 > 0 else 0.0

    t = torch.arange(1, len(slopes) + 1, dtype=slopes.dtype)
    root_v = torch.cummax(_average(slopes**2, beta2), dim=0).values.sqrt()
    beta1_t = beta1 * beta1_decay ** (t - 1)
    return RegretBound(
        distance=diameter**2 * t.sqrt() * root_v / (lr * (1 - beta1)),
        momentum=diameter**2 / (1 - beta1) ** 2 * (beta1_t * root_v * t.sqrt() / lr).cumsum(0),
        gradients=lr
        * (1 + t.log()).sqrt()
        * (slopes**2).cumsum(0).sqrt()
        / ((1 - beta1) ** 2 * (1 - gamma) * (1 - beta2) ** 0.5),
    )


def _average(values: Tensor, beta: float) -> Tensor:
    """The moving average ``a_t = beta a_{t-1} + (1 - beta) values_t`` from ``a_0 = 0``, all t at once."""
    filtered = lfilter(np.array([1 - beta]), np.array([1.0, -beta]), values.detach().numpy())
    return torch.from_numpy(filtered)


def _share(beta: Number, cycle: int) -> Tensor:
    """``beta^j / (1 + beta + ... + beta^(cycle-1))`` for j = 0 ... cycle - 1, on a new last axis."""
    powers = torch.as_tensor(beta, dtype=torch.float64)[..., None] ** torch.arange(cycle)
    return powers / powers.sum(-1, keepdim=True)


def _cycle(cycle: int, least: int = 2) -> None:
    if isinstance(cycle, bool) or not isinstance(cycle, int) or cycle < least:
        raise ValueError(f"cycle must be an integer from {least} up; got {cycle!r}")


def _rounds(name: str, rounds: int) -> None:
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ValueError(f"{name} must be a positive integer; got {rounds!r}")
