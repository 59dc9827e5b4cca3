"""Any rule of :mod:`optbias.rules` as a ``torch.optim.Optimizer``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from optbias import _checks
from optbias.rules import Rule
from optbias.rules.base import check_no_nan

BLOCK = 65_536
"""Entries updated at a time on a CPU. The temporaries of one block stay in the cache, which is what
makes the readable, out-of-place equations as fast as a loop of in-place operations."""

_ADDED_BY_TORCH = {"params", "param_names", "initial_lr"}


def as_torch(rule: Rule, params: Iterable[Tensor] | Iterable[dict[str, Any]]) -> RuleOptimizer:
    """``rule`` as a ``torch.optim.Optimizer`` over ``params``.

    ``params`` is what every torch optimizer takes: tensors, or dicts that also name
    hyper-parameters of the rule for that group (``{"params": [...], "lr": 0.1}``). Learning-rate
    schedulers (with a number as ``lr``), ``state_dict`` and closures work as usual. Raises
    ValueError for an empty list, an unknown hyper-parameter, or a state of another rule, TypeError
    for parameters that are not real, and, at a step, ValueError for a NaN in a gradient: then no
    parameter has been changed.
    """
    return RuleOptimizer(rule, params)


class RuleOptimizer(torch.optim.Optimizer):
    """The optimizer that :func:`as_torch` returns. Each step applies ``rule.equations``."""

    def __init__(self, rule: Rule, params: Iterable[Tensor] | Iterable[dict[str, Any]]) -> None:
        if not isinstance(rule, Rule):
            raise TypeError(f"rule must be a rule from optbias.rules; got {rule!r}")
        self.rule = rule
        super().__init__(params, rule.hyperparameters())

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group (torch calls this for the first ones too), after checking what it names."""
        known = set(self.rule.hyperparameters())
        unknown = set(param_group) - known - _ADDED_BY_TORCH
        if unknown:
            raise ValueError(
                f"{type(self.rule).__name__} has no hyper-parameter {', '.join(sorted(unknown))}; "
                f"it has {', '.join(sorted(known))}"
            )
        # The numbers are checked now, not at the first step.
        self.rule.replace(**{name: value for name, value in param_group.items() if name in known})
        super().add_param_group(param_group)
        for param in self.param_groups[-1]["params"]:
            _checks.tensor("a parameter", param)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step for every parameter that has a gradient. Returns the closure's loss, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work = [
            (self._rule_of(group), param, param.grad)
            for group in self.param_groups
            for param in group["params"]
            if param.grad is not None
        ]
        for _, _, grad in work:
            _check_gradient(grad)
        for rule, param, grad in work:
            state = self.state[param]
            if not state:
                state.update(rule.init(param))
            if _in_blocks(rule, param):
                _step_in_blocks(rule, param, grad, state)
            else:
                _step_at_once(rule, param, grad, state)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from ``state_dict``, which the same rule made. Raises ValueError for another rule's."""
        name, expected = type(self.rule).__name__, set(self.rule.hyperparameters())
        for group in state_dict["param_groups"]:
            if not expected <= set(group):
                raise ValueError(
                    f"{name} needs {', '.join(sorted(expected))} in each group of a state_dict; "
                    f"got {', '.join(sorted(set(group) - {'params'}))}"
                )
        for state in state_dict["state"].values():
            if set(state) != {"t", *self.rule.moments}:
                raise ValueError(
                    f"{name} needs a state with {', '.join(sorted({'t', *self.rule.moments}))}; "
                    f"got {', '.join(sorted(map(str, state)))}"
                )
        super().load_state_dict(state_dict)

    def _rule_of(self, group: dict[str, Any]) -> Rule:
        """The rule with the hyper-parameters of ``group``, which a scheduler may have changed."""
        return self.rule.replace(**{name: group[name] for name in self.rule.hyperparameters()})

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"rule": self.rule}  # torch would leave it out of copies and pickles


def _check_gradient(grad: Tensor) -> None:
    if grad.is_sparse:
        raise TypeError("a gradient must be dense; got a sparse one. Use an embedding with sparse=False")
    check_no_nan(grad)


def _in_blocks(rule: Rule, param: Tensor) -> bool:
    return (
        rule.elementwise
        and param.device.type == "cpu"
        and param.numel() > BLOCK
        and param.is_contiguous()
        # A tensor of many hyper-parameters cannot be cut along with the parameter.
        and all(number.numel() == 1 for _, number in rule.tensors())
    )


def _step_at_once(rule: Rule, param: Tensor, grad: Tensor, state: dict[str, Any]) -> None:
    new, after = rule.equations(param, grad, dict(state))
    param.copy_(new)
    state["t"] = after["t"]
    for name in rule.moments:
        # In place, so that a moment keeps the parameter's memory layout whatever the gradient's is.
        state[name].copy_(after[name])


def _step_in_blocks(rule: Rule, param: Tensor, grad: Tensor, state: dict[str, Any]) -> None:
    """The same numbers as :func:`_step_at_once`, block by block."""
    theta, flat_grad = param.view(-1), grad.reshape(-1)
    flat = {name: state[name].view(-1) for name in rule.moments}
    for start in range(0, theta.numel(), BLOCK):
        block = slice(start, start + BLOCK)
        before = {"t": state["t"]} | {name: moment[block] for name, moment in flat.items()}
        new, after = rule.equations(theta[block], flat_grad[block], before)
        theta[block] = new
        for name, moment in flat.items():
            moment[block] = after[name]
    state["t"] += 1
