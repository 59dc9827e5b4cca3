r"""One step of Adam with weight decay, read as the solution of a small minimisation problem.

Adam's step without decay minimises a linear model of the loss plus the squared distance from where
the step begins, measured in the metric of :math:`D^{-1}`, where :math:`D` is Adam's diagonal scaling
:math:`\mathrm{diag}(1/(\sqrt{\hat v}+\epsilon))`:

.. math:: \langle \hat m, x - \theta\rangle + \tfrac{1}{2\eta}\,\|x - \theta\|_{D^{-1}}^2,
          \qquad \|x\|_{D^{-1}}^2 = x^\top D^{-1} x.

Add a penalty and the minimiser changes. :data:`FORMS` names the penalties that textbooks and slides
write here; only one of them gives AdamW. :func:`objective` evaluates the problem, :func:`minimiser`
is its closed form; the tests compare the two through a numerical minimiser that knows neither.
"""

from __future__ import annotations

import torch
from torch import Tensor

from optbias import _checks
from optbias.rules.base import Number

FORMS = {
    "constant": "a term without x, as when the penalty is written at the old point: no decay at all",
    "weighted_linear": "lambda <D^-1 theta, x>, the linearisation of the weighted penalty: AdamW exactly",
    "weighted": "(lambda / 2) |x|^2 in the metric of D^-1: AdamProx, AdamW up to O(lr^2)",
    "plain_linear": "lambda <theta, x>, the linearisation of the plain penalty: decay scaled by D",
    "plain": "(lambda / 2) |x|^2, the standard L2 penalty: decay scaled by D, implicitly",
}
"""The penalties: name, and what the term added to Adam's problem is."""


def scaling(v_hat: Tensor, eps: Number = 1e-8, eps_inside: bool = False) -> Tensor:
    r"""The diagonal of :math:`D`: ``1 / (sqrt(v_hat) + eps)``, or ``1 / sqrt(v_hat + eps)``.

    Shape of ``v_hat``. Raises ValueError for a negative ``eps`` or entry of ``v_hat``, and where the
    denominator is 0: there the metric of :math:`D^{-1}` is not one.

    >>> scaling(torch.tensor([4.0], dtype=torch.float64), eps=0.0)
    tensor([0.5000], dtype=torch.float64)
    """
    _checks.tensor("v_hat", v_hat)
    _checks.number("v_hat", v_hat, low=0.0)
    _checks.number("eps", eps, low=0.0)
    _checks.flag("eps_inside", eps_inside)
    denominator = torch.sqrt(v_hat + eps) if eps_inside else torch.sqrt(v_hat) + eps
    if (denominator == 0).any():
        raise ValueError("v_hat and eps must not both be 0; got a coordinate where they are")
    return 1 / denominator


def objective(
    x: Tensor, theta: Tensor, m_hat: Tensor, d: Tensor, lr: Number, weight_decay: Number, form: str
) -> Tensor:
    """The value at ``x`` of the problem that one step from ``theta`` solves.

    Shapes: ``x``, ``theta``, ``m_hat`` and ``d`` (the diagonal of D, from :func:`scaling`)
    ``(..., n)``, broadcasting; the result ``(...)``. ``form`` is a name in :data:`FORMS`. Raises
    ValueError for an unknown form, ``lr <= 0``, ``weight_decay < 0`` or ``d <= 0``.

    >>> one = torch.ones(1, dtype=torch.float64)
    >>> objective(0 * one, one, one, one, lr=0.1, weight_decay=0.0, form="weighted_linear")
    tensor(4., dtype=torch.float64)
    """
    _check(theta, m_hat, d, lr, weight_decay, form)
    _checks.tensor("x", x)
    move = x - theta
    model = (m_hat * move).sum(-1) + (move**2 / d).sum(-1) / (2 * lr)
    penalties = {
        "constant": -lr * theta.sum(-1),
        "weighted_linear": (theta / d * x).sum(-1),
        "weighted": (x**2 / d).sum(-1) / 2,
        "plain_linear": (theta * x).sum(-1),
        "plain": (x**2).sum(-1) / 2,
    }
    return model + weight_decay * penalties[form]


def minimiser(theta: Tensor, m_hat: Tensor, d: Tensor, lr: Number, weight_decay: Number, form: str) -> Tensor:
    r"""The minimiser of :func:`objective` in closed form. Shape ``(..., n)``.

    With :math:`y = \theta - \eta D \hat m`, Adam's step without decay:

    * ``constant``: :math:`y`;
    * ``weighted_linear``: :math:`y - \eta\lambda\theta`, which is AdamW;
    * ``weighted``: :math:`y / (1 + \eta\lambda)`;
    * ``plain_linear``: :math:`y - \eta\lambda D\theta`;
    * ``plain``: :math:`(I + \eta\lambda D)^{-1} y`.

    Raises as :func:`objective` does. Source of ``weighted``: Zhuang, Liu, Cutkosky & Orabona,
    arXiv 2202.00089, who read AdamW as an approximation of it.

    >>> one = torch.ones(1, dtype=torch.float64)
    >>> minimiser(one, one, one, lr=0.1, weight_decay=0.0, form="weighted_linear")
    tensor([0.9000], dtype=torch.float64)
    """
    _check(theta, m_hat, d, lr, weight_decay, form)
    y = theta - lr * d * m_hat
    if form == "constant":
        return y
    if form == "weighted_linear":
        return y - lr * weight_decay * theta
    if form == "weighted":
        return y / (1 + lr * weight_decay)
    if form == "plain_linear":
        return y - lr * weight_decay * d * theta
    return y / (1 + lr * weight_decay * d)


def _check(theta: Tensor, m_hat: Tensor, d: Tensor, lr: Number, weight_decay: Number, form: str) -> None:
    for name, value in {"theta": theta, "m_hat": m_hat, "d": d}.items():
        _checks.tensor(name, value)
    _checks.number("d", d, low=0.0, open_low=True)
    _checks.number("lr", lr, low=0.0, open_low=True)
    _checks.number("weight_decay", weight_decay, low=0.0)
    _checks.one_of("form", form, FORMS)
