"""What every update rule shares: state, checks, hyper-parameters."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

import torch
from torch import Tensor

from optbias import _checks

Number = float | Tensor
"""A hyper-parameter: a number, or a tensor of numbers that broadcasts against the parameters."""

Rate = float | Tensor | Callable[[int], float | Tensor]
"""A learning rate: a :data:`Number`, or a function of the step ``t = 1, 2, ...`` that returns one."""

State = dict[str, Any]
"""What a rule remembers: ``"t"``, the steps done, and its moments, tensors shaped like theta."""

Self = TypeVar("Self", bound="Rule")


@dataclass(frozen=True)
class Rule:
    """An update rule: a pure function of tensors.

    ::

        state = rule.init(theta)
        theta, state = rule.update(theta, grad, state)

    Nothing is changed in place. A rule holds only its hyper-parameters; each may be a number or a
    tensor that broadcasts against ``theta``, so that one call advances a whole grid of settings.
    Subclasses write their equations in :meth:`equations` and nothing else.
    """

    moments = ()
    """Names of the tensors in the state."""

    elementwise = True
    """Whether each coordinate is updated on its own (so that a tensor may be cut into blocks)."""

    def init(self, theta: Tensor) -> State:
        """The state before the first step: ``t = 0`` and every moment 0, shaped like ``theta``."""
        _checks.tensor("theta", theta)
        return {"t": 0} | {name: torch.zeros_like(theta) for name in self.moments}

    def update(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        """One step from ``theta`` with the gradient ``grad`` taken there.

        Shapes: ``grad`` like ``theta``; the results have the shape of ``theta`` broadcast with the
        hyper-parameters. Raises TypeError or ValueError for a wrong type, a wrong shape, a NaN in
        the gradient, or a state that belongs to another rule.
        """
        _checks.tensor("theta", theta)
        _checks.tensor("grad", grad)
        if grad.shape != theta.shape:
            raise ValueError(
                f"grad must have the shape of theta, {tuple(theta.shape)}; got {tuple(grad.shape)}"
            )
        if not isinstance(state, dict) or set(state) != {"t", *self.moments}:
            given = sorted(state) if isinstance(state, dict) else type(state).__name__
            raise ValueError(
                f"state must be what {type(self).__name__}.init returned, with "
                f"{sorted({'t', *self.moments})}; got {given}"
            )
        check_no_nan(grad)
        return self.equations(theta, grad, state)

    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        """The equations of one step, without the checks of :meth:`update`."""
        raise TypeError(f"{type(self).__name__} has no equations; use one of the rules in optbias.rules")

    def replace(self: Self, **changes: Any) -> Self:
        """The same rule with other hyper-parameters (checked again)."""
        return dataclasses.replace(self, **changes)

    def hyperparameters(self) -> dict[str, Any]:
        """Name and value of each hyper-parameter."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def at_step(lr: Rate, t: int) -> Number:
    """The learning rate of step ``t`` (1, 2, ...)."""
    return lr(t) if callable(lr) else lr


def check_no_nan(grad: Tensor) -> None:
    """Raise ValueError if ``grad`` holds a NaN."""
    # One pass suffices in the common case: a NaN always shows in the sum.
    if torch.isnan(grad.sum()) and torch.isnan(grad).any():
        raise ValueError(
            f"grad holds {int(torch.isnan(grad).sum())} NaN of {grad.numel()} entries; a gradient must be a "
            "number. Look for an overflow in the loss, or lower the learning rate"
        )


def check_rate(lr: Any) -> None:
    """Require a learning rate: a number >= 0, a tensor of them, or a function of the step."""
    if not callable(lr):
        _checks.number("lr", lr, low=0.0)


def check_decay(**decays: Any) -> None:
    """Require each to be a decay factor of a moving average: a number in [0, 1)."""
    for name, value in decays.items():
        _checks.number(name, value, low=0.0, high=1.0, open_high=True)


def check_betas(betas: Any) -> None:
    """Require a pair of decay factors in [0, 1)."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"betas must be a pair (beta1, beta2); got {betas!r}")
    check_decay(**{"betas[0]": betas[0], "betas[1]": betas[1]})


def check_nonnegative(**values: Any) -> None:
    """Require each to be a number >= 0."""
    for name, value in values.items():
        _checks.number(name, value, low=0.0)
