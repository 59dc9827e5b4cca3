"""What every update rule shares: state, checks, hyper-parameters."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from optbias import _checks

Number = float | Tensor
"""A hyper-parameter: a number, or a tensor of numbers that broadcasts against the parameters."""

Rate = float | Tensor | Callable[[int], float | Tensor]
"""A learning rate: a :data:`Number`, or a function of the step ``t = 1, 2, ...`` that returns one."""

State = dict[str, Any]
"""What a rule remembers: ``"t"``, the steps done, and its moments, tensors shaped like theta."""


@dataclass(frozen=True)
class Rule(ABC):
    """An update rule: a pure function of tensors.

    ::

        state = rule.init(theta)
        theta, state = rule.update(theta, grad, state)

    Nothing is changed in place. A rule holds only its hyper-parameters; each may be a number or a
    tensor that broadcasts against ``theta``, so that one call advances a whole grid of settings.
    A subclass names its :attr:`moments`, checks its numbers and writes its :meth:`equations`.
    """

    moments: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors in the state."""

    @property
    def elementwise(self) -> bool:
        """Whether each coordinate is updated on its own (so that a tensor may be cut into blocks)."""
        return True

    def init(self, theta: Tensor) -> State:
        """The state before the first step: ``t = 0`` and every moment 0, shaped like ``theta``."""
        _checks.tensor("theta", theta)
        return {"t": 0} | {name: torch.zeros_like(theta) for name in self.moments}

    def update(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        """One step from ``theta`` with the gradient ``grad`` taken there.

        Shapes: ``grad`` like ``theta``; the results have the shape of ``theta`` broadcast with the
        hyper-parameters. Raises TypeError or ValueError for a wrong type, a wrong shape, a NaN in
        the gradient, or a state that belongs to another rule or to other parameters.
        """
        _checks.tensor("theta", theta)
        _checks.tensor("grad", grad)
        if grad.shape != theta.shape:
            raise ValueError(f"grad must have the shape of theta, {tuple(theta.shape)}; got {tuple(grad.shape)}")
        if grad.dtype != theta.dtype:
            raise TypeError(f"grad must have the dtype of theta, {theta.dtype}; got {grad.dtype}")
        self._check_state(theta, state)
        check_no_nan(grad)
        return self.equations(theta, grad, state)

    @abstractmethod
    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        """The equations of one step, without the checks of :meth:`update`."""

    def _check_state(self, theta: Tensor, state: State) -> None:
        expected = {"t", *self.moments}
        if not isinstance(state, dict) or set(state) != expected:
            given = sorted(state) if isinstance(state, dict) else type(state).__name__
            raise ValueError(f"state must be what {type(self).__name__} made, with {sorted(expected)}; got {given}")
        for name in self.moments:
            shape = state[name].shape
            # A moment may still lack the axes that a grid of learning rates has given to theta.
            sizes = zip(reversed(shape), reversed(theta.shape), strict=False)
            if len(shape) > theta.ndim or any(size not in (1, full) for size, full in sizes):
                raise ValueError(
                    f"state[{name!r}] must have the shape of theta, {tuple(theta.shape)}; got {tuple(shape)}"
                )

    def replace(self, **changes: Any) -> Self:
        """The same rule with other hyper-parameters (checked again)."""
        return dataclasses.replace(self, **changes)

    def hyperparameters(self) -> dict[str, Any]:
        """Name and value of each hyper-parameter."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def tensors(self) -> list[tuple[str, Tensor]]:
        """Name and value of each hyper-parameter that is a tensor; ``betas`` may count twice."""
        numbers = [
            (name, number)
            for name, value in self.hyperparameters().items()
            for number in (value if isinstance(value, (tuple, list)) else (value,))
        ]
        return [(name, number) for name, number in numbers if isinstance(number, Tensor)]


def at_step(lr: Rate, t: int) -> Number:
    """The learning rate of step ``t`` (1, 2, ...)."""
    return lr(t) if callable(lr) else lr


def l2(grad: Tensor, theta: Tensor, weight_decay: Number) -> Tensor:
    """Coupled weight decay, the gradient of ``f + weight_decay |theta|^2 / 2``: ``g + lambda theta``."""
    return grad if _is_zero(weight_decay) else grad + weight_decay * theta


def decay(theta: Tensor, lr: Number, weight_decay: Number) -> Tensor:
    """Decoupled weight decay: ``(1 - lr lambda) theta``."""
    return theta if _is_zero(weight_decay) else (1 - lr * weight_decay) * theta


def _is_zero(value: Number) -> bool:
    return not isinstance(value, Tensor) and value == 0


def check_no_nan(grad: Tensor) -> None:
    """Raise ValueError if ``grad`` holds a NaN."""
    # One pass suffices in the common case: a NaN always shows in the sum.
    if torch.isnan(grad.sum()) and torch.isnan(grad).any():
        raise ValueError(
            f"grad must hold numbers; got {int(torch.isnan(grad).sum())} NaN among {grad.numel()} entries. "
            "Look for an overflow in the loss, or lower the learning rate"
        )


def check_rate(lr: Any) -> None:
    """Require a learning rate: a number >= 0, a tensor of them, or a function of the step (not called here)."""
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
