"""What every update rule shares: state, checks, hyper-parameters."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from optbias import _checks

Number = float | Tensor
"""A hyper-parameter: a number, or a tensor of numbers that broadcasts against the parameters."""

Rate = float | Tensor | Callable[[int], float | Tensor]
"""A learning rate: a :data:`Number`, or a function of the step ``t = 1, 2, ...`` that returns one."""

Dim = int | tuple[int, ...] | None
"""The axes of one parameter; None: all."""

State = dict[str, Any]
"""What a rule remembers: ``"t"``, the steps done; its moments, which are tensors; and its numbers, which are not."""


@dataclass(frozen=True)
class Rule(ABC):
    """An update rule: a pure function of tensors.

    ::

        state = rule.init(theta)
        theta, state = rule.update(theta, grad, state)

    Nothing is changed in place. A rule holds only its hyper-parameters; each may be a number or a
    tensor that broadcasts against ``theta``, so that one call advances a whole grid of settings.

    A rule of your own is a frozen dataclass that declares what it remembers and writes its equations, which
    return the new ``theta`` and the new state:

    >>> from dataclasses import dataclass
    >>> import torch
    >>> @dataclass(frozen=True)
    ... class Signum(Rule):
    ...     lr: float = 1e-3
    ...     beta: float = 0.9
    ...     moments = ("m",)
    ...     elementwise = True
    ...     def equations(self, theta, grad, state):
    ...         m = self.beta * state["m"] + (1 - self.beta) * grad
    ...         return theta - self.lr * m.sign(), {"t": state["t"] + 1, "m": m}
    >>> rule, theta = Signum(lr=0.1), torch.tensor([1.0, -2.0])
    >>> rule.update(theta, theta, rule.init(theta))[0]
    tensor([ 0.9000, -1.9000])

    That is enough for :func:`optbias.simulate.trajectory`, :func:`optbias.torch_optimizer.as_torch` and
    :func:`optbias.training.train`. What a subclass may declare:

    * :attr:`moments`, the names of the tensors in its state; :meth:`first` where one of them does not begin as
      zeros shaped like ``theta``;
    * :attr:`numbers`, the state that is no tensor, with its values before the first step;
    * :attr:`elementwise`, if each coordinate is updated on its own: then a big tensor is cut into blocks, which is
      faster. A class that writes its own ``equations`` and says nothing is taken not to be;
    * :attr:`layerwise`, if ``theta`` must be one parameter (a matrix) of a network and not all of them in a row;
    * ``__post_init__``, to check its numbers (the functions ``check_...`` of this module).
    """

    moments: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors in the state."""

    numbers: ClassVar[Mapping[str, float]] = {}
    """Names of what the state holds besides ``t`` and tensors, with their values before the first step."""

    torch_names: ClassVar[Mapping[str, str]] = {}
    """Hyper-parameters that have another name in the groups of a ``torch.optim`` optimizer, where schedulers look."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # New equations may mix coordinates even where those of the parent class do not.
        if "equations" in vars(cls) and "elementwise" not in vars(cls):
            cls.elementwise = False  # type: ignore[assignment,method-assign]

    @property
    def elementwise(self) -> bool:
        """Whether each coordinate is updated on its own (so that a tensor may be cut into blocks)."""
        return False

    @property
    def layerwise(self) -> bool:
        """Whether a network's parameters must be given one at a time, each with its own shape."""
        return False

    def first(self, theta: Tensor) -> dict[str, Tensor]:
        """The moments before the first step: zeros shaped like ``theta``. Override it for others."""
        return {name: torch.zeros_like(theta) for name in self.moments}

    def init(self, theta: Tensor) -> State:
        """The state before the first step: ``t = 0``, the moments of :meth:`first` and the :attr:`numbers`."""
        _checks.tensor("theta", theta)
        return {"t": 0} | dict(self.numbers) | self.first(theta)

    def update(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        """One step from ``theta`` with the gradient ``grad`` taken there.

        Shapes: ``grad`` like ``theta``; the results have the shape of ``theta`` broadcast with the
        hyper-parameters. Raises TypeError or ValueError for a wrong type, a wrong shape, a NaN in
        the gradient, or a state that belongs to another rule or to other parameters. An infinite gradient
        is a number: it makes NaN in the coordinates that it reaches, as in torch. A gradient
        whose *square* is beyond the dtype (above 1.8e19 in float32 and bfloat16, 255 in float16) makes an average of
        squares infinite: rules that divide by its root then leave that coordinate where it is, for good and
        without a word. torch does the same, from gradients on that are larger by 1 / sqrt(1 - beta2), because it
        multiplies in another order. Works under ``torch.func.vmap``, and on meta tensors.
        """
        _checks.tensor("theta", theta)
        _checks.tensor("grad", grad)
        if grad.shape != theta.shape:
            raise ValueError(f"grad must have the shape of theta, {tuple(theta.shape)}; got {tuple(grad.shape)}")
        if grad.dtype != theta.dtype:
            raise TypeError(f"grad must have the dtype of theta, {theta.dtype}; got {grad.dtype}")
        self._check_state(theta, state)
        check_no_nan(grad)
        new, after = self.equations(theta, grad, state)
        self.check_names(after)
        return new, after

    @abstractmethod
    def equations(self, theta: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
        """The equations of one step, without the checks of :meth:`update`."""

    def _check_state(self, theta: Tensor, state: State) -> None:
        self.check_names(state)
        firsts = {} if type(self).first is Rule.first else self.first(stand_in(theta))
        for name in self.moments:
            shape, full_shape = state[name].shape, firsts.get(name, theta).shape
            # A moment may still lack the axes that a grid of learning rates has given to theta.
            sizes = zip(reversed(shape), reversed(full_shape), strict=False)
            if len(shape) > len(full_shape) or any(size not in (1, full) for size, full in sizes):
                given = (
                    f"the shape of theta, {tuple(theta.shape)}" if name not in firsts else f"shape {tuple(full_shape)}"
                )
                raise ValueError(f"state[{name!r}] must have {given}; got {tuple(shape)}")

    def check_names(self, state: Any) -> None:
        """Raise ValueError unless ``state`` is a dict with ``t``, the moments and the numbers of this rule."""
        expected = {"t", *self.moments, *self.numbers}
        if not isinstance(state, dict) or set(state) != expected:
            given = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
            raise ValueError(f"state must be what {type(self).__name__} made, with {sorted(expected)}; got {given}")

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


def stand_in(theta: Tensor) -> Tensor:
    """A tensor of the shape and dtype of ``theta`` to try equations on: zeros, or no memory at all if it is big."""
    if theta.numel() <= 65_536:
        return torch.zeros_like(theta, requires_grad=False)
    # torch needs a second to load what tensors without memory take, once in a process.
    return torch.empty_like(theta, device="meta", requires_grad=False)


def at_step(lr: Rate, t: int) -> Number:
    """The learning rate of step ``t`` (1, 2, ...). Raises for a schedule that gives anything but numbers >= 0."""
    if not callable(lr):
        return lr
    value = lr(t)
    # Not while a compiler looks, and not where reading a number would make the host wait for a device.
    if not torch.compiler.is_compiling() and not (isinstance(value, Tensor) and value.device.type != "cpu"):
        _checks.number(f"lr({t})", value, low=0.0)
    return value


def l2(grad: Tensor, theta: Tensor, weight_decay: Number) -> Tensor:
    """Coupled weight decay, the gradient of ``f + weight_decay |theta|^2 / 2``: ``g + lambda theta``."""
    return grad if _is_zero(weight_decay) else grad + weight_decay * theta


def decay(theta: Tensor, lr: Number, weight_decay: Number) -> Tensor:
    """Decoupled weight decay: ``(1 - lr lambda) theta``."""
    return theta if _is_zero(weight_decay) else (1 - lr * weight_decay) * theta


def _is_zero(value: Number) -> bool:
    return not isinstance(value, Tensor) and value == 0


def check_no_nan(grad: Tensor) -> None:
    """Raise ValueError if ``grad`` holds a NaN. Tensors without numbers (meta, fake, inside ``vmap``) pass."""
    if torch.compiler.is_compiling():
        return
    try:
        # One pass suffices in the common case: a NaN always shows in the sum.
        suspicious = bool(torch.isnan(grad.sum()))
    except (RuntimeError, NotImplementedError):
        return
    if suspicious and torch.isnan(grad).any():
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


def check_betas(betas: Any, count: int = 2) -> None:
    """Require a pair (or ``count``) of decay factors in [0, 1)."""
    if not isinstance(betas, (tuple, list)) or len(betas) != count:
        form = "a pair (beta1, beta2)" if count == 2 else f"{count} numbers"
        raise TypeError(f"betas must be {form}; got {betas!r}")
    check_decay(**{f"betas[{k}]": beta for k, beta in enumerate(betas)})


def check_share(**shares: Any) -> None:
    """Require each to be a number in [0, 1]."""
    for name, value in shares.items():
        _checks.number(name, value, low=0.0, high=1.0)


def check_positive(**values: Any) -> None:
    """Require each to be a number > 0."""
    for name, value in values.items():
        _checks.number(name, value, low=0.0, open_low=True)


def check_dim(dim: Any) -> None:
    """Require None, an axis, or a tuple of axes."""
    axes = dim if isinstance(dim, tuple) else () if dim is None else (dim,)
    if any(isinstance(axis, bool) or not isinstance(axis, int) for axis in axes):
        raise TypeError(f"dim must be an integer, a tuple of them or None; got {dim!r}")


def check_matrix(rule: Rule, theta: Tensor) -> None:
    """Require a matrix, or a batch of them."""
    if theta.ndim < 2:
        raise ValueError(f"{type(rule).__name__} needs a matrix (two axes); got shape {tuple(theta.shape)}")


def check_nonnegative(**values: Any) -> None:
    """Require each to be a number >= 0."""
    for name, value in values.items():
        _checks.number(name, value, low=0.0)
