"""Run a rule on a loss: trajectories, batched over starts and over hyper-parameters in one pass."""

from __future__ import annotations

from typing import Any, Callable, Protocol, runtime_checkable

import torch
from torch import Tensor

from optbias import _checks
from optbias.rules import Rule


@runtime_checkable
class HasGradient(Protocol):
    """A loss that knows its gradient, such as those of :mod:`optbias.landscapes`."""

    def gradient(self, theta: Tensor) -> Tensor:
        """The gradient at each point of ``theta``, shape of ``theta``."""
        ...


Loss = HasGradient | Callable[[Tensor], Tensor]


def gradient_of(loss: Loss) -> Callable[[Tensor], Tensor]:
    """The gradient function of ``loss``: its own if it has one, else by automatic differentiation.

    A plain function maps ``(..., d)`` to ``(...)``; the points of a batch must not interact.
    """
    if isinstance(loss, HasGradient):
        return loss.gradient
    if not callable(loss):
        raise TypeError(f"loss must be callable or have a gradient method; got {type(loss).__name__}")

    def gradient(theta: Tensor) -> Tensor:
        with torch.enable_grad():
            theta = theta.detach().requires_grad_(True)
            (grad,) = torch.autograd.grad(loss(theta).sum(), theta)
        return grad

    return gradient


def trajectory(
    rule: Rule,
    loss: Loss,
    theta0: Tensor,
    steps: int,
    *,
    gradient: Callable[[Tensor, int], Tensor] | None = None,
    project: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The iterates ``theta_0 ... theta_steps`` of ``rule`` on ``loss``.

    ``theta0`` has shape ``(..., d)``: any number of leading axes is a batch of independent runs, and
    hyper-parameters of the rule that are tensors of shape ``(..., 1)`` broadcast against it. Returns
    ``Tensor[steps + 1, *shape]`` where ``shape`` is ``theta0`` broadcast with the hyper-parameters.

    ``gradient(theta, t)``, if given, replaces the gradient of ``loss`` at step ``t = 1, 2, ...``: for
    noise, mini-batches, or a loss that changes in time. ``project`` maps each new iterate back to a
    feasible set. Runs that diverge carry inf and NaN; the others go on. Raises ValueError for a
    negative number of steps and TypeError for a rule or loss of the wrong kind.
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"rule must be a rule from optbias.rules; got {rule!r}")
    _checks.tensor("theta0", theta0)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps must be a non-negative integer; got {steps!r}")
    grad_fn: Any = gradient
    if grad_fn is None:
        plain = gradient_of(loss)

        def grad_fn(theta: Tensor, t: int) -> Tensor:
            return plain(theta)

    with torch.no_grad():
        theta = theta0.detach().expand(broadcast_shape(rule, theta0))
        path = torch.empty((steps + 1, *theta.shape), dtype=theta.dtype, device=theta.device)
        path[0] = theta
        state = rule.init(theta)
        for t in range(1, steps + 1):
            theta, state = rule.equations(theta, grad_fn(theta, t), state)
            if project is not None:
                theta = project(theta)
            path[t] = theta
    return path


def broadcast_shape(rule: Rule, theta0: Tensor) -> torch.Size:
    """The shape of ``theta0`` broadcast with every tensor among the rule's hyper-parameters."""
    shapes = [theta0.shape]
    for value in rule.hyperparameters().values():
        shapes += [v.shape for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, Tensor)]
    return torch.broadcast_shapes(*shapes)
