"""Any rule of :mod:`optbias.rules` as a ``torch.optim.Optimizer``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optbias import _checks
from optbias.rules import Rule
from optbias.rules.base import at_step, check_no_nan, stand_in

BLOCK = 65_536
"""Entries updated at a time on a CPU. The temporaries of one block stay in the cache, which is what
makes the readable, out-of-place equations as fast as a loop of in-place operations."""

_ADDED_BY_TORCH = {"params", "param_names", "initial_lr", "differentiable"}


def as_torch(rule: Rule, params: ParamsT) -> RuleOptimizer:
    """``rule`` as a ``torch.optim.Optimizer`` over ``params``.

    ``params`` is what every torch optimizer takes: tensors, named tensors, or dicts that also name
    hyper-parameters of the rule for that group (``{"params": [...], "lr": 0.1}``). Learning-rate
    schedulers (with a number as ``lr``; ``OneCycleLR`` and ``CyclicLR`` need ``cycle_momentum=False`` for a rule
    without momentum), ``state_dict``, hooks and closures work as usual. A rule that is not elementwise sees
    one parameter at a time. A schedule, a function as ``lr``, is not saved in a ``state_dict``: it belongs to the
    program.

    What can be refused is refused here: ValueError for an empty list, an unknown hyper-parameter, a parameter
    whose shape or dtype the rule cannot take, TypeError for parameters that are not real. A step raises
    ValueError for a NaN in a gradient or a bad number from a schedule, and ``load_state_dict`` for the state of
    another rule or of other parameters; then nothing has been changed. A gradient whose square is beyond
    the dtype raises nothing, as in torch (see :meth:`optbias.rules.Rule.update`): clip, or look at the norms.

    >>> from optbias.models import MLP
    >>> from optbias.rules import Adam
    >>> network = MLP([2, 1])
    >>> optimizer = as_torch(Adam(lr=0.1), network.parameters())
    >>> network(torch.ones(1, 2, dtype=torch.float64)).sum().backward()
    >>> optimizer.step()
    >>> optimizer.param_groups[0]["lr"]
    0.1
    """
    return RuleOptimizer(rule, params)


class RuleOptimizer(torch.optim.Optimizer):
    """The optimizer that :func:`as_torch` returns. Each step applies ``rule.equations``.

    >>> from optbias.rules import Lion
    >>> isinstance(as_torch(Lion(), [torch.nn.Parameter(torch.ones(2))]), torch.optim.Optimizer)
    True
    """

    def __init__(self, rule: Rule, params: ParamsT) -> None:
        if not isinstance(rule, Rule):
            raise TypeError(f"rule must be a rule from optbias.rules; got {rule!r}")
        self.rule = rule
        names = rule.torch_names
        defaults = {names.get(name, name): value for name, value in rule.hyperparameters().items()}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group (torch calls this for the first ones too), after checking what it names."""
        known, names = self.rule.hyperparameters(), self.rule.torch_names
        if isinstance(param_group, dict):
            param_group = {names.get(name, name): value for name, value in param_group.items()}
            unknown = set(param_group) - {names.get(name, name) for name in known} - _ADDED_BY_TORCH
            if unknown:
                raise ValueError(
                    f"{type(self.rule).__name__} has no hyper-parameter {', '.join(sorted(unknown))}; "
                    f"it has {', '.join(sorted(known))}"
                )
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            # A scheduler changes a tensor in place; the rule, and the other groups, keep theirs.
            group.update({name: _own(group[name]) for name in self.defaults})
            tried: set[tuple[Any, ...]] = set()
            for param in group["params"]:
                _checks.tensor("a parameter", param)
                if (kind := (param.shape, param.dtype)) not in tried:
                    _try(self._rule_of(group), param)
                tried.add(kind)
        except Exception:
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step for every parameter that has a gradient. Returns the closure's loss, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work = []
        for group in self.param_groups:
            rule = self._rule_of(group)
            for param in group["params"]:
                if param.grad is not None:
                    _check_gradient(param.grad)
                    t = self.state[param]["t"] + 1 if self.state.get(param) else 1
                    work.append((_at(rule, t), param, param.grad))
        later = []
        for rule, param, grad in work:
            state = self.state.get(param) or rule.init(param)
            if not rule.elementwise:
                # Equations on a whole tensor may refuse it (a decomposition that fails): first all of them, then write.
                later.append((rule, param, state, rule.equations(param, grad, dict(state))))
                continue
            self.state[param] = state
            if _in_blocks(rule, param):
                _step_in_blocks(rule, param, grad, state)
            else:
                _write(rule, param, state, rule.equations(param, grad, dict(state)))
        for rule, param, state, result in later:
            self.state[param] = state
            _write(rule, param, state, result)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """As for every torch optimizer; each group also holds the name of the rule, and no function."""
        found = super().state_dict()
        found["param_groups"] = [
            {name: value for name, value in group.items() if not callable(value)} | {"rule": type(self.rule).__name__}
            for group in found["param_groups"]
        ]
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from ``state_dict``, which the same rule made for the same parameters in the same order.

        Hyper-parameters that it lacks keep their present values. Raises ValueError for the state of another
        optimizer or of other shapes; then nothing has been changed. The tensors are copied.
        """
        # As the last of the hooks: those of the user may translate a foreign state first.
        handle = self.register_load_state_dict_pre_hook(_translated)  # type: ignore[arg-type]
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()

    def _rule_of(self, group: dict[str, Any]) -> Rule:
        """The rule with the hyper-parameters of ``group``, which a scheduler may have changed."""
        names = self.rule.torch_names
        return self.rule.replace(**{name: group[names.get(name, name)] for name in self.rule.hyperparameters()})

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"rule": self.rule}  # torch would leave it out of copies and pickles


def _own(value: Any) -> Any:
    """A copy of a tensor or of the tensors in a tuple; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(_own(part) for part in value)
    return value.detach().clone() if isinstance(value, Tensor) else value


def _try(rule: Rule, param: Tensor) -> None:
    """Raise ValueError or TypeError if ``rule`` cannot update ``param``: one step on a tensor that stands for it."""
    without = stand_in(param)
    for name, number in _at(rule, 1).tensors():
        if number.numel() > 1 and _broadcast(number.shape, param.shape) != param.shape:
            raise ValueError(
                f"{name} must broadcast to each parameter; got shape {tuple(number.shape)} for {tuple(param.shape)}"
            )
    state = rule.init(without)
    rule.check_names(state)
    try:
        new, after = rule.equations(without, without, dict(state))
    except (NotImplementedError, RuntimeError):
        return  # equations that look at numbers, of which a big parameter has none here; the first step will tell
    rule.check_names(after)
    for name, made, wanted in [("theta", new, without), *((n, after[n], state[n]) for n in rule.moments)]:
        if made.shape != wanted.shape:
            raise ValueError(
                f"the equations of {type(rule).__name__} must keep the shape of {name}, {tuple(wanted.shape)}; "
                f"they made {tuple(made.shape)}"
            )


def _broadcast(*shapes: torch.Size) -> torch.Size | None:
    try:
        return torch.broadcast_shapes(*shapes)
    except RuntimeError:
        return None


def _at(rule: Rule, t: int) -> Rule:
    """``rule`` with the rate of step ``t`` in place of a schedule, so that a bad one is found before anything moves."""
    lr = rule.hyperparameters().get("lr")
    return rule.replace(lr=at_step(lr, t)) if callable(lr) else rule


def _translated(optimizer: RuleOptimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    """``state_dict`` as ``torch.optim.Optimizer.load_state_dict`` is to see it, after all checks."""
    rule, name = optimizer.rule, type(optimizer.rule).__name__
    groups = [dict(group) for group in state_dict["param_groups"]]
    for group, present in zip(groups, optimizer.param_groups, strict=False):
        made_by = group.pop("rule", "another optimizer")
        if made_by != name:
            raise ValueError(f"{name} needs a state_dict that {name} made; got one of {made_by}")
        unknown = set(group) - set(present) - _ADDED_BY_TORCH
        if unknown:
            raise ValueError(f"{name} has no hyper-parameter {', '.join(sorted(map(str, unknown)))}")
        there, here = group.get("param_names"), present.get("param_names")
        if there and here and there != here and sorted(there) == sorted(here):
            raise ValueError(f"the parameters must have the order of the state_dict, {there}; got {here}")
        # Not all of the defaults: torch adds one of its own when a state is loaded.
        for missing in (set(optimizer.defaults) & set(present)) - set(group):
            group[missing] = present[missing]
    saved = [key for group in groups for key in group["params"]]
    present_params = [param for group in optimizer.param_groups for param in group["params"]]
    states = {}
    param_of = dict(zip(saved, present_params, strict=False))
    for key, state in state_dict["state"].items():
        rule.check_names(state)
        state = dict(state) | {"t": int(state["t"])}
        for moment, wanted in rule.first(stand_in(param_of[key])).items() if key in param_of else ():
            if state[moment].shape != wanted.shape:
                raise ValueError(
                    f"state[{moment!r}] of parameter {key} must have shape {tuple(wanted.shape)}; "
                    f"got {tuple(state[moment].shape)}. Are the parameters in another order?"
                )
        for number in rule.numbers:
            # As a tensor it would be rounded to the dtype of the parameter.
            value = state[number]
            state[number] = float(value) if isinstance(value, Tensor) and value.numel() == 1 else value
        states[key] = {part: _own(value) for part, value in state.items()}
    return {**state_dict, "state": states, "param_groups": groups}


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


def _write(rule: Rule, param: Tensor, state: dict[str, Any], result: tuple[Tensor, dict[str, Any]]) -> None:
    """Put the result of a step where torch keeps it."""
    new, after = result
    param.copy_(new)
    for name in ("t", *rule.numbers):
        state[name] = after[name]
    for name in rule.moments:
        # In place, so that a moment keeps the parameter's memory layout whatever the gradient's is.
        state[name].copy_(after[name])


def _step_in_blocks(rule: Rule, param: Tensor, grad: Tensor, state: dict[str, Any]) -> None:
    """The same numbers as from the whole tensor at once, block by block."""
    theta, flat_grad = param.view(-1), grad.reshape(-1)
    flat = {name: state[name].view(-1) for name in rule.moments}
    alike = {name: state[name] for name in ("t", *rule.numbers)}
    for start in range(0, theta.numel(), BLOCK):
        block = slice(start, start + BLOCK)
        before = alike | {name: moment[block] for name, moment in flat.items()}
        new, after = rule.equations(theta[block], flat_grad[block], before)
        theta[block] = new
        for name, moment in flat.items():
            moment[block] = after[name]
    state.update({name: after[name] for name in alike})
