"""Any rule of :mod:`optbias.rules` as a ``torch.optim.Optimizer``."""

from __future__ import annotations

from typing import Any, Callable, Iterable

import torch
from torch import Tensor

from optbias.rules import Rule
from optbias.rules.base import check_no_nan

BLOCK = 65_536
"""Entries updated at a time. The temporaries of one block stay in the cache, which is what makes
the readable, out-of-place equations as fast as a loop of in-place operations."""


def as_torch(rule: Rule, params: Iterable[Tensor] | Iterable[dict[str, Any]]) -> RuleOptimizer:
    """``rule`` as a ``torch.optim.Optimizer`` over ``params``.

    ``params`` is what every torch optimizer takes: tensors, or dicts that also name
    hyper-parameters of the rule for that group (``{"params": [...], "lr": 0.1}``). Learning-rate
    schedulers, ``state_dict`` and closures work as usual. Raises ValueError for an empty list or
    an unknown hyper-parameter, and ValueError at a step for a NaN in a gradient.
    """
    return RuleOptimizer(rule, params)


class RuleOptimizer(torch.optim.Optimizer):
    """The optimizer that :func:`as_torch` returns. Each step applies ``rule.equations``."""

    def __init__(self, rule: Rule, params: Iterable[Tensor] | Iterable[dict[str, Any]]) -> None:
        if not isinstance(rule, Rule):
            raise TypeError(f"rule must be a rule from optbias.rules; got {rule!r}")
        self.rule = rule
        super().__init__(params, rule.hyperparameters())
        known = {"params", *rule.hyperparameters()}
        for group in self.param_groups:
            unknown = set(group) - known - {"param_names"}
            if unknown:
                raise ValueError(
                    f"{type(rule).__name__} has no hyper-parameter {sorted(unknown)}; it has {sorted(known - {'params'})}"
                )
            self._rule_of(group)  # checks the numbers now, not at the first step

    def _rule_of(self, group: dict[str, Any]) -> Rule:
        """The rule with the hyper-parameters of ``group``."""
        values = {name: group[name] for name in self.rule.hyperparameters()}
        return self.rule.replace(**values)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step for every parameter that has a gradient. Returns the closure's loss, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rule = self._rule_of(group)
            for param in group["params"]:
                if param.grad is not None:
                    self._step_one(rule, param)
        return loss

    def _step_one(self, rule: Rule, param: Tensor) -> None:
        if param.grad.is_sparse:
            raise TypeError("sparse gradients are not supported; got one. Use dense embeddings (sparse=False)")
        check_no_nan(param.grad)
        state = self.state[param]
        if not state:
            state.update(rule.init(param))
        if rule.elementwise and param.numel() > BLOCK and param.is_contiguous() and param.grad.is_contiguous():
            self._step_in_blocks(rule, param, state)
            return
        new, new_state = rule.equations(param, param.grad, dict(state))
        param.copy_(new)
        state.update(new_state)

    @staticmethod
    def _step_in_blocks(rule: Rule, param: Tensor, state: dict[str, Any]) -> None:
        """The same numbers as one call on the whole tensor, block by block."""
        flat = {name: state[name].view(-1) for name in rule.moments}
        theta, grad = param.view(-1), param.grad.view(-1)
        for start in range(0, theta.numel(), BLOCK):
            block = slice(start, start + BLOCK)
            before = {"t": state["t"]} | {name: tensor[block] for name, tensor in flat.items()}
            new, after = rule.equations(theta[block], grad[block], before)
            theta[block] = new
            for name, tensor in flat.items():
                tensor[block] = after[name]
        state["t"] += 1
