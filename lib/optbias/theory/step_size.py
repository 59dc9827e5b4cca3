r"""How long Adam's steps can be, in closed form: the step cap, the sequences that attain it, the
effect of the missing bias correction, and the step under noise.

Throughout, the *step* is the update divided by the learning rate, :math:`\hat m / \sqrt{\hat v}`
with :math:`\epsilon = 0`, in one coordinate. A positive :math:`\epsilon` only makes it shorter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optbias import _checks
from optbias.rules import Adam
from optbias.rules.base import check_betas

Betas = tuple[float, float]
"""The pair (beta1, beta2), each in [0, 1)."""


def adam_step_supremum(betas: Betas, t: int | None = None, bias_correction: bool = True) -> float:
    r"""The largest possible Adam step, :math:`\sup |m_t| / \sqrt{v_t}`, over all gradients.

    After ``t`` steps and with :math:`q = \beta_1^2/\beta_2` it is, without bias correction,

    .. math:: \frac{1-\beta_1}{\sqrt{1-\beta_2}} \sqrt{1 + q + \dots + q^{t-1}},

    and :math:`\sqrt{1-\beta_2^t} / (1-\beta_1^t)` times that with it. ``t=None`` gives the supremum
    over all ``t``: infinity if :math:`q \ge 1`, and otherwise, with and without bias correction,

    .. math:: \frac{1-\beta_1}{\sqrt{(1-\beta_2)(1-q)}}
        = \sqrt{1 + \frac{(\beta_1-\beta_2)^2}{(1-\beta_2)(\beta_2-\beta_1^2)}},

    which is 1 for :math:`\beta_1 = \beta_2` and larger for any other pair. Returns a plain number
    (in units of the learning rate); raises ValueError for betas outside [0, 1) or ``t < 1``.
    Attained by :func:`worst_case_gradients`.

    >>> round(adam_step_supremum((0.9, 0.999)), 3), adam_step_supremum((0.9, 0.9))
    (7.27, 1.0)
    """
    beta1, beta2 = _pair(betas)
    _checks.flag("bias_correction", bias_correction)
    if t is not None:
        _positive_int("t", t)
    if beta1 == beta2 and (t is None or bias_correction):
        return 1.0
    if t is None:
        if beta1 * beta1 >= beta2:
            return math.inf
        return math.sqrt(1 + (beta1 - beta2) ** 2 / ((1 - beta2) * (beta2 - beta1 * beta1)))
    if beta2 == 0.0 and t > 1 and beta1 > 0.0:
        # v remembers one gradient only; where that one is tiny, nothing holds the older ones in m.
        return math.inf
    if beta1 == 0.0 or t == 1:
        total = 1.0
    elif beta1 * beta1 == beta2:
        total = float(t)
    else:
        q = beta1 * beta1 / beta2
        # torch's expm1 overflows to infinity where math.expm1 raises.
        total = -torch.expm1(t * torch.tensor(q, dtype=torch.float64).log()).item() / (1 - q)
    bound = (1 - beta1) / math.sqrt(1 - beta2) * math.sqrt(total)
    return bound * math.sqrt(1 - beta2**t) / (1 - beta1**t) if bias_correction else bound


def worst_case_gradients(betas: Betas, steps: int) -> Tensor:
    r"""The gradients :math:`g_1 \dots g_T` whose last step is the longest: :math:`g_t = (\beta_1/\beta_2)^{T-t}`.

    They are the case of equality in the Cauchy-Schwarz inequality, and grow by the factor
    :math:`\beta_2/\beta_1` a step (they shrink if :math:`\beta_1 > \beta_2`). Shape ``(steps,)``,
    float64, scaled to end at 1 (for shrinking ones: to begin at 1); any multiple does as well.
    Raises ValueError for ``betas`` with a zero: then no sequence attains the supremum but a single
    gradient (:math:`\beta_1 = 0`) or none does (:math:`\beta_2 = 0`).

    >>> worst_case_gradients((0.9, 0.999), 3)
    tensor([0.8116, 0.9009, 1.0000], dtype=torch.float64)
    """
    beta1, beta2 = _pair(betas)
    _positive_int("steps", steps)
    if beta1 == 0.0 or beta2 == 0.0:
        raise ValueError(f"betas must both lie in (0, 1) for a worst case that is a sequence; got {tuple(betas)}")
    age = torch.arange(steps - 1, -1, -1, dtype=torch.float64)
    exponent = age if beta1 <= beta2 else age - (steps - 1)
    return torch.exp(exponent * math.log(beta1 / beta2))


def adam_steps(gradients: Tensor, betas: Betas, bias_correction: bool = True) -> Tensor:
    r"""The steps :math:`m_t/\sqrt{v_t}` that :class:`optbias.rules.Adam` takes on given gradients.

    ``gradients`` has shape ``(T, ...)``, time first; the result has the same shape. ``eps`` is 0,
    with 0/0 = 0; gradients whose square underflows to 0 (below 1e-162) give an infinite step. This
    runs the library's rule; nothing is restated here.

    >>> adam_steps(torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64), (0.0, 0.0))
    tensor([ 1., -1.,  1.], dtype=torch.float64)
    """
    _checks.tensor("gradients", gradients)
    if gradients.ndim == 0 or gradients.shape[0] == 0:
        raise ValueError(f"gradients must have time as first axis, at least one step; got {tuple(gradients.shape)}")
    rule = Adam(lr=1.0, betas=_pair(betas), eps=0.0, bias_correction=bias_correction)
    origin = torch.zeros_like(gradients[0])
    state = rule.init(origin)
    steps = torch.empty_like(gradients)
    for t, grad in enumerate(gradients):
        theta, state = rule.update(origin, grad, state)
        steps[t] = -theta
    return steps


def uncorrected_step_factor(betas: Betas, t: int | Tensor) -> float | Tensor:
    r"""How much longer step ``t`` is without bias correction: :math:`(1-\beta_1^t) / \sqrt{1-\beta_2^t}`.

    It multiplies the step for *any* gradients (for a constant gradient it is the step itself).
    ``t`` is an integer >= 1 or a tensor of them; the result is a number or a tensor of its shape.

    >>> round(uncorrected_step_factor((0.9, 0.999), 1), 3)
    3.162
    """
    beta1, beta2 = _pair(betas)
    if not isinstance(t, Tensor):
        _positive_int("t", t)
        return (1 - beta1**t) / math.sqrt(1 - beta2**t)
    if t.numel() and t.min() < 1:
        raise ValueError(f"t counts steps from 1; got a tensor with smallest entry {t.min().item():g}")
    steps = t.to(torch.float64)
    return (1 - beta1**steps) / torch.sqrt(1 - beta2**steps)


def nsr_prediction(nsr: float, beta1: float = 0.9) -> tuple[float, float]:
    r"""Mean and root mean square of the Adam step under stationary noise, for a long memory in v.

    For independent gradients with mean :math:`\mu > 0` and standard deviation :math:`\sigma`,
    ``nsr`` :math:`= \sigma/\mu` (``math.inf`` for pure noise), as :math:`\beta_2 \to 1` after the
    start: mean :math:`1/\sqrt{1+\mathrm{NSR}^2}` and mean square
    :math:`(1 + \mathrm{NSR}^2 (1-\beta_1)/(1+\beta_1)) / (1 + \mathrm{NSR}^2)`.
    Returns ``(mean, rms)``, in units of the learning rate.

    >>> [round(part, 3) for part in nsr_prediction(1.0)]
    [0.707, 0.725]
    """
    if isinstance(nsr, bool) or not isinstance(nsr, (int, float)):
        raise TypeError(f"nsr must be a number >= 0 (math.inf for pure noise); got {nsr!r}")
    if not nsr >= 0:
        raise ValueError(f"nsr must be a number >= 0 (math.inf for pure noise); got {nsr!r}")
    _checks.number("beta1", beta1, low=0.0, high=1.0, open_high=True)
    floor = (1 - beta1) / (1 + beta1)
    if math.isinf(nsr):
        return 0.0, math.sqrt(floor)
    noise = nsr * nsr
    return 1 / math.sqrt(1 + noise), math.sqrt((1 + noise * floor) / (1 + noise))


def _pair(betas: Betas) -> Betas:
    check_betas(betas)
    for i, value in enumerate(betas):
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(f"betas[{i}] must be one number here; got a tensor of shape {tuple(value.shape)}")
    return float(betas[0]), float(betas[1])


def _positive_int(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer >= 1; got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be an integer >= 1; got {value!r}")
