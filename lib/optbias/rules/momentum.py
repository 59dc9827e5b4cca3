"""Gradient descent, with and without momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from optbias import _checks
from optbias.rules import base
from optbias.rules.base import Number, Rate, Rule, State, at_step, decay, l2


@dataclass(frozen=True)
class GradientDescent(Rule):
    r"""Gradient descent: :math:`\theta \leftarrow \theta - \eta g`.

    ``weight_decay`` :math:`\lambda` is the coupled L2 term, :math:`g \leftarrow g + \lambda\theta`,
    as in ``torch.optim.SGD``; with ``decoupled=True`` the decay
    :math:`\theta \leftarrow (1 - \eta\lambda)\theta` stands beside the gradient step instead (the
    same thing here, and not the same with momentum).

    >>> rule, theta = GradientDescent(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9500, -3.0000])
    """

    lr: Rate = 1e-3
    weight_decay: Number = 0.0
    decoupled: bool = False

    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_nonnegative(weight_decay=self.weight_decay)
        _checks.flag("decoupled", self.decoupled)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        g = grad if self.decoupled else l2(grad, theta, self.weight_decay)
        theta = decay(theta, lr, self.weight_decay) if self.decoupled else theta
        return theta - lr * g, {"t": t}


@dataclass(frozen=True)
class Momentum(Rule):
    r"""Gradient descent with momentum, in the two forms that the field uses.

    ``form="ema"``: :math:`m \leftarrow \beta m + (1-\beta) g`, a moving average of the gradients;
    ``form="heavy_ball"`` (Polyak): :math:`m \leftarrow \beta m + g`, their discounted sum. Both
    step :math:`\theta \leftarrow \theta - \eta m`. The EMA form at rate :math:`\eta` *is* the heavy
    ball at rate :math:`\eta(1-\beta)`, and ``torch.optim.SGD(momentum=beta)`` is the heavy ball.
    With ``nesterov=True`` the step uses the average as it would be after one more gradient like
    this one. ``bias_correction`` (EMA only) divides m by :math:`1 - \beta^t`. ``weight_decay`` and
    ``decoupled`` as in :class:`GradientDescent`.

    >>> rule, theta = Momentum(0.1), torch.tensor([1.0, -2.0])
    >>> theta, state = rule.update(theta, torch.tensor([0.5, 10.0]), rule.init(theta))
    >>> theta
    tensor([ 0.9950, -2.1000])
    """

    lr: Rate = 1e-3
    beta: Number = 0.9
    form: str = "ema"
    nesterov: bool = False
    bias_correction: bool = False
    weight_decay: Number = 0.0
    decoupled: bool = False

    moments: ClassVar[tuple[str, ...]] = ("m",)
    torch_names: ClassVar[dict[str, str]] = {"beta": "momentum"}

    elementwise = True

    def __post_init__(self) -> None:
        base.check_rate(self.lr)
        base.check_decay(beta=self.beta)
        _checks.one_of("form", self.form, ("ema", "heavy_ball"))
        _checks.flag("nesterov", self.nesterov)
        _checks.flag("bias_correction", self.bias_correction)
        if self.bias_correction and (self.form != "ema" or self.nesterov):
            raise ValueError("bias_correction=True needs form='ema' and nesterov=False: only an average has this bias")
        base.check_nonnegative(weight_decay=self.weight_decay)
        _checks.flag("decoupled", self.decoupled)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        t = state["t"] + 1
        lr = at_step(self.lr, t)
        g = grad if self.decoupled else l2(grad, theta, self.weight_decay)
        theta = decay(theta, lr, self.weight_decay) if self.decoupled else theta
        fresh = (1 - self.beta) * g if self.form == "ema" else g
        m = self.beta * state["m"] + fresh
        step = self.beta * m + fresh if self.nesterov else m
        if self.bias_correction:
            step = step / (1 - self.beta**t)
        return theta - lr * step, {"t": t, "m": m}
