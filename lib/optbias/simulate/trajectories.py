"""Run a rule on a loss: trajectories, batched over starts and over hyper-parameters in one pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from optbias import _checks
from optbias.rules import Rule, State
from optbias.rules.base import at_step
from optbias.simulate import _fusion


@runtime_checkable
class HasGradient(Protocol):
    """A loss that knows its gradient, such as those of :mod:`optbias.losses.landscapes`.

    >>> from optbias.losses import landscapes
    >>> isinstance(landscapes.get("bowl"), HasGradient)
    True
    """

    def gradient(self, theta: Tensor) -> Tensor:
        """The gradient at each point of ``theta``, shape of ``theta``."""
        ...


Loss = HasGradient | Callable[[Tensor], Tensor]
"""A function from points ``(..., d)`` to values ``(...)``, with or without a ``gradient`` method."""

Gradient = Callable[[Tensor, Any], Tensor]
"""A gradient that may change in time: a function of the points and of the step ``t = 1, 2, ...``."""

CHUNK = 10
"""Steps that ``trajectory(..., compile=True)`` has the compiler fuse at a time."""

SEPARATE = 4
"""Coordinates up to which ``compile=True`` makes each a tensor of its own. The compiler's work grows with them."""


def gradient_of(loss: Loss) -> Callable[[Tensor], Tensor]:
    """The gradient function of ``loss``: its own if it has one, else by automatic differentiation.

    A plain function maps ``(..., d)`` to ``(...)``; the points of a batch must not interact. Raises
    TypeError for anything that is neither.

    >>> gradient_of(lambda theta: (theta**2).sum(-1))(torch.tensor([1.0, -2.0]))
    tensor([ 2., -4.])
    """
    if isinstance(loss, HasGradient):
        return loss.gradient
    if not callable(loss):
        raise TypeError(f"loss must be callable or have a gradient method; got {type(loss).__name__}")

    def gradient(theta: Tensor) -> Tensor:
        with torch.enable_grad():
            theta = theta.detach().requires_grad_(True)
            value = loss(theta)
            if not isinstance(value, Tensor) or not value.requires_grad:
                raise TypeError(f"loss must return a tensor that was computed from theta; got {_shown(value)}")
            (grad,) = torch.autograd.grad(value.sum(), theta)
        return grad

    return gradient


def _shown(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)} without a graph" if isinstance(value, Tensor) else repr(value)


def trajectory(
    rule: Rule,
    loss: Loss,
    theta0: Tensor,
    steps: int,
    *,
    gradient: Gradient | None = None,
    project: Callable[[Tensor], Tensor] | None = None,
    compile: bool = False,
) -> Tensor:
    """The iterates ``theta_0 ... theta_steps`` of ``rule`` on ``loss``.

    ``theta0`` has shape ``(..., d)``: any number of leading axes is a batch of independent runs, and
    hyper-parameters of the rule that are tensors of shape ``(..., 1)`` broadcast against it. Returns
    ``Tensor[steps + 1, *shape]`` where ``shape`` is ``theta0`` broadcast with the hyper-parameters.

    ``gradient(theta, t)``, if given, replaces the gradient of ``loss`` at step ``t = 1, 2, ...``: for
    noise, mini-batches, or a loss that changes in time. ``project`` maps each new iterate back to a
    feasible set. Runs that diverge carry inf and NaN; the others go on (except with a matrix norm,
    whose singular value decomposition refuses NaN).

    ``compile=True`` lets ``torch.compile`` fuse ten steps at a time; the numbers agree up to
    rounding. The first call then takes some ten seconds more and needs a C++ compiler, so it pays
    only for a big grid that is run many times. ``t`` is then a 0-d tensor, and the gradient must be
    a formula (``gradient=``, or a loss that has a ``gradient`` method).

    Raises TypeError for a rule or loss of the wrong kind, and ValueError for a number of steps that
    is not an integer >= 0 and for shapes that do not fit together.

    >>> from optbias.losses import landscapes
    >>> from optbias.rules import GradientDescent
    >>> path = trajectory(GradientDescent(0.25), landscapes.get("bowl"), torch.tensor([1.0, -1.0]), 3)
    >>> path
    tensor([[ 1.0000, -1.0000],
            [ 0.5000, -0.5000],
            [ 0.2500, -0.2500],
            [ 0.1250, -0.1250]])
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"rule must be a rule from optbias.rules; got {rule!r}")
    _checks.tensor("theta0", theta0)
    _checks.flag("compile", compile)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps must be an integer >= 0; got {steps!r}")
    if gradient is None:
        if compile and not isinstance(loss, HasGradient):
            raise ValueError("compile=True needs gradient=, or a loss that has a gradient method; got neither")
        gradient = _constant_in_time(gradient_of(loss))

    with torch.no_grad():
        theta = theta0.detach().expand(broadcast_shape(rule, theta0))
        if compile and theta.ndim:
            # The coordinates are the slowest axis in memory, so that the runs of a batch fill the vector units.
            path = theta.new_empty((steps + 1, theta.shape[-1], *theta.shape[:-1])).movedim(1, -1)
        else:
            path = theta.new_empty((steps + 1, *theta.shape))
        path[0] = theta
        parts = _apart(path[0], theta.shape[-1] if compile and _separable(rule, theta) else 1)
        states = [rule.init(part) for part in parts]
        if compile:
            now = torch.zeros((), dtype=torch.float64)  # a tensor, so that the code of one chunk serves for all
            states = [state | {"t": now} for state in states]
        for done in range(0, steps, CHUNK):
            chunk = path[done + 1 : done + 1 + CHUNK]
            # A last, shorter chunk is not worth compiling on its own.
            advance = _compiled_advance() if compile and len(chunk) == CHUNK else _advance
            parts, states = advance(rule, gradient, project, parts, states, chunk)
    return path


def broadcast_shape(rule: Rule, theta0: Tensor) -> torch.Size:
    """The shape of ``theta0`` broadcast with every tensor among the rule's hyper-parameters.

    Raises ValueError if they do not broadcast.

    >>> from optbias.rules import Adam
    >>> broadcast_shape(Adam(torch.tensor([[0.1], [0.2], [0.3]])), torch.zeros(2))
    torch.Size([3, 2])
    """
    shapes = [("theta0", theta0.shape), *((name, tensor.shape) for name, tensor in _tensors(rule))]
    try:
        return torch.broadcast_shapes(*(shape for _, shape in shapes))
    except RuntimeError as error:
        given = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes)
        raise ValueError(
            f"hyper-parameters must broadcast with theta0, as (..., 1) does with (..., d); got {given}"
        ) from error


def _tensors(rule: Rule) -> list[tuple[str, Tensor]]:
    """Name and value of each hyper-parameter that is a tensor, a scheduled learning rate at its first step."""
    lr = rule.hyperparameters().get("lr")
    return (rule.replace(lr=at_step(lr, 1)) if callable(lr) else rule).tensors()


def _constant_in_time(gradient: Callable[[Tensor], Tensor]) -> Gradient:
    return lambda theta, t: gradient(theta)


def _separable(rule: Rule, theta: Tensor) -> bool:
    """Whether each coordinate of ``theta`` may be a tensor of its own, and there are few enough to compile them all."""
    return (
        rule.elementwise
        and theta.ndim > 0
        and 1 < theta.shape[-1] <= SEPARATE
        and all(value.ndim == 0 or value.shape[-1] == 1 for _, value in _tensors(rule))
    )


def _apart(theta: Tensor, count: int) -> list[Tensor]:
    """``theta`` in one piece, or its ``count`` coordinates, each of shape ``(..., 1)``."""
    return [theta] if count == 1 else [part.unsqueeze(-1) for part in theta.unbind(-1)]


def _together(parts: list[Tensor]) -> Tensor:
    """What :func:`_apart` took apart."""
    return parts[0] if len(parts) == 1 else torch.stack([part.squeeze(-1) for part in parts], -1)


def _advance(
    rule: Rule,
    gradient: Gradient,
    project: Callable[[Tensor], Tensor] | None,
    parts: list[Tensor],
    states: list[State],
    path: Tensor,
) -> tuple[list[Tensor], list[State]]:
    """Fill ``path`` with the next iterates; return the last of them and the state after it, in the same parts."""
    iterates = []
    theta = _together(parts)
    for _ in range(len(path)):
        shape = theta.shape
        t = states[0]["t"]
        grads = _apart(_gradient_at(theta, t + 1, gradient), len(parts))
        updates = [
            rule.equations(part, grad, state | {"t": t}) for part, grad, state in zip(parts, grads, states, strict=True)
        ]
        parts = [part for part, _ in updates]
        states = [state for _, state in updates]
        if "t" not in states[0]:
            raise ValueError(
                f"the equations of {type(rule).__name__} must return t in the state; got {sorted(states[0])}"
            )
        theta = _together(parts)
        if project is not None:
            theta = project(theta)
            if not isinstance(theta, Tensor):
                raise TypeError(f"project must return a tensor; got {theta!r}")
            parts = _apart(theta, len(parts))
        if theta.shape != shape:
            raise ValueError(f"a step must keep the shape {tuple(shape)}; step {int(t + 1)} made {tuple(theta.shape)}")
        iterates += parts
    # All at once: a compiler writes them where they belong, without a tensor for each.
    if len(parts) == 1:
        path.copy_(torch.stack(iterates))
    else:
        coordinates = torch.stack([part.squeeze(-1) for part in iterates])
        path.movedim(-1, 1).copy_(coordinates.unflatten(0, (len(path), len(parts))))
    return parts, states


def _gradient_at(theta: Tensor, t: Any, gradient: Gradient) -> Tensor:
    """The gradient of step ``t``; one that is the same for all runs or all coordinates may be given once."""
    looks = not torch.compiler.is_compiling()
    before = theta._version if looks else 0
    grad = gradient(theta, t)
    if looks and not isinstance(grad, Tensor):
        raise TypeError(f"a gradient must be a tensor; step {int(t)} got {grad!r}")
    if looks and theta._version != before:
        raise ValueError(f"a gradient must not change theta in place; that of step {int(t)} did")
    if grad.shape == theta.shape:
        return grad
    shared = range(1, min(grad.dim(), theta.dim()) + 1)  # not zip: the compiler of PyTorch 2.6 stumbles over strict=
    if any(grad.shape[-d] != theta.shape[-d] and 1 not in (grad.shape[-d], theta.shape[-d]) for d in shared):
        raise ValueError(
            f"a gradient must have the shape of theta, {tuple(theta.shape)}, or broadcast to it; "
            f"step {int(t)} got {tuple(grad.shape)}"
        )
    return grad.expand(torch.broadcast_shapes(grad.shape, theta.shape))


@functools.cache
def _compiled_advance() -> Callable[..., tuple[list[Tensor], list[State]]]:
    return torch.compile(_advance, dynamic=False, backend=_fusion.backend)
