"""One step of a rule on flat buffers, with torch's fused kernels where the rule allows them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from optbias import _checks
from optbias.rules import AdaGrad, Adam, AdamW, AMSGrad, GradientDescent, Momentum, RMSProp, Rule
from optbias.rules.base import at_step
from optbias.torch_optimizer import BLOCK

SMALL = 4096
"""Networks with fewer parameters are updated together."""

NEVER_CORRECTED = 1e9
"""As the number of steps done this makes ``1 - beta^t`` equal to 1: the fused kernels without bias correction."""


class Update:
    """Applies one rule to ``theta`` and ``grads``, ``(K, N)``: the same rule for each of the ``K`` networks.

    ``how`` says which code does it. ``state`` holds the tensors that a checkpoint must keep besides
    ``theta``; ``t`` is the number of steps done. ``shapes`` are the parameters' shapes, for rules on matrices.
    """

    how: str

    def __init__(self, rule: Rule, theta: Tensor, grads: Tensor, shapes: Mapping[str, torch.Size]) -> None:
        self.rule, self.theta, self.grads, self.shapes, self.t = rule, theta, grads, shapes, 0
        self.state: dict[str, Tensor] = {}

    def step(self) -> None:
        """One step, in place."""
        raise NotImplementedError

    def second_moment(self) -> Tensor | None:
        """What the rule takes the root of, before eps is added: ``v_hat``, ``(K, N)``; None for a rule without."""
        raise NotImplementedError

    def preconditioner(self) -> Tensor | None:
        """The diagonal that the last step divided by, ``sqrt(v_hat) + eps``, ``(K, N)``; None for a rule without."""
        second = self.second_moment()
        if second is None:
            return None
        eps = getattr(self.rule, "eps", 0.0)
        return (second + eps).sqrt() if getattr(self.rule, "eps_inside", False) else second.sqrt() + eps


class Readable(Update):
    """The rule's own equations, block by block on a CPU (see :mod:`optbias.torch_optimizer`)."""

    def __init__(self, rule: Rule, theta: Tensor, grads: Tensor, shapes: Mapping[str, torch.Size]) -> None:
        super().__init__(rule, theta, grads, shapes)
        self.how = "the rule's equations"
        self.state = {name: torch.zeros_like(theta) for name in rule.moments}

    def step(self) -> None:
        """One step, in place."""
        theta, grads = self.theta.view(-1), self.grads.view(-1)
        state = {name: moment.view(-1) for name, moment in self.state.items()}
        size = BLOCK if theta.device.type == "cpu" else theta.numel()
        for start in range(0, theta.numel(), size):
            block = slice(start, start + size)
            before = {"t": self.t} | {name: moment[block] for name, moment in state.items()}
            new, after = self.rule.equations(theta[block], grads[block], before)
            theta[block] = new
            for name, moment in state.items():
                moment[block] = after[name]
        self.t += 1

    def second_moment(self) -> Tensor | None:
        """``v_hat``; None for a rule without, and for one that uses its second moment in another way."""
        name = next((name for name in ("v_max", "v", "s") if name in self.state), None)
        if name is None or type(self.rule) not in (Adam, AMSGrad, AdamW, RMSProp, AdaGrad):
            return None
        decay = self.rule.betas[1] if isinstance(self.rule, Adam) else getattr(self.rule, "rho", 0.0)
        corrected = getattr(self.rule, "bias_correction", False) and self.t > 0
        return self.state[name] / (1 - decay**self.t) if corrected else self.state[name]


class Merged(Readable):
    """The equations of many rules of one kind in one pass: their numbers are columns ``(K, 1)``.

    For networks so small that ``K`` calls would cost more than the arithmetic. The columns are float64, so
    torch computes in float64 and rounds the result: ``1 - beta`` keeps its digits.
    """

    def __init__(self, rules: Sequence[Rule], theta: Tensor, grads: Tensor, shapes: Mapping[str, torch.Size]) -> None:
        super().__init__(merged(rules, theta.device), theta, grads, shapes)
        self.how += f", {len(rules)} rules at once"

    @staticmethod
    def kind(rule: Rule) -> Hashable:
        """What must be equal in two rules so that they can be merged; an object of its own for one that cannot."""
        if rule.tensors() or not _plain(rule):
            return object()
        return type(rule), tuple((n, v) for n, v in rule.hyperparameters().items() if isinstance(v, (bool, str)))

    def step(self) -> None:
        """One step, in place."""
        new, after = self.rule.equations(self.theta, self.grads, {"t": self.t} | self.state)
        self.theta.copy_(new)
        for name, moment in self.state.items():
            moment.copy_(after[name])
        self.t += 1


def merged(rules: Sequence[Rule], device: torch.device) -> Rule:
    """One rule that is ``rules[k]`` on row ``k``: numbers that differ become columns ``(K, 1)``, float64."""

    def column(values: Sequence[Any]) -> Any:
        if any(callable(value) for value in values):
            return lambda t: column([at_step(value, t) for value in values])
        if all(value == values[0] for value in values):
            return values[0]
        if isinstance(values[0], tuple):
            return tuple(column(part) for part in zip(*values, strict=True))
        return torch.tensor(values, dtype=torch.float64, device=device).unsqueeze(1)

    numbers = [rule.hyperparameters() for rule in rules]
    return rules[0].replace(**{name: column([one[name] for one in numbers]) for name in numbers[0]})


class ByTensor(Readable):
    """For rules that mix coordinates: layerwise rules on one parameter at a time, others on the whole ``theta``."""

    def __init__(self, rule: Rule, theta: Tensor, grads: Tensor, shapes: Mapping[str, torch.Size]) -> None:
        super().__init__(rule, theta, grads, shapes)
        self.how += ", one parameter at a time" if rule.layerwise else ", on the whole vector"
        self.parts = dict(shapes) if rule.layerwise else {"theta": torch.Size([theta.shape[1]])}
        firsts = {name: self._refused(name, theta.new_zeros(shape)) for name, shape in self.parts.items()}
        # A moment lies beside theta if it has its shape in every part; the others have a tensor for each part.
        alike = [n for n in rule.moments if all(firsts[p][n].shape == shape for p, shape in self.parts.items())]
        self.flat = {name: self.state[name] for name in alike}
        self.own = {
            (part, name): torch.as_tensor(value, device=theta.device)
            .expand(len(theta), *getattr(value, "shape", ()))
            .clone()
            for part, first in firsts.items()
            for name, value in first.items()
            if name not in alike and name != "t"
        }
        self.state = self.flat | {f"{part}/{name}": value for (part, name), value in self.own.items()}
        self.begun = type(rule).first is Rule.first  # every moment begins at 0

    def _refused(self, name: str, zeros: Tensor) -> dict[str, Any]:
        try:
            return self.rule.init(zeros) | {
                n: torch.tensor(v, dtype=torch.float64) for n, v in self.rule.numbers.items()
            }
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def _rows(self, k: int) -> Iterator[tuple[str, Tensor, Tensor, dict[str, Tensor]]]:
        """Each part of network ``k``: its name, views into theta and the gradient, and its moments and numbers."""
        sizes = [shape.numel() for shape in self.parts.values()]
        rows = [buffer[k].split(sizes) for buffer in (self.theta, self.grads, *self.flat.values())]
        for (part, shape), theta, grad, *flat in zip(self.parts.items(), *rows, strict=True):
            state = {n: m.view(shape) for n, m in zip(self.flat, flat, strict=True)}
            own = {name: value[k] for (place, name), value in self.own.items() if place == part}
            yield part, theta.view(shape), grad.view(shape), state | own

    def step(self) -> None:
        """One step, in place."""
        for k in range(len(self.theta)):
            for _, theta, grad, state in self._rows(k):
                if not self.begun and self.t == 0:
                    # Now, because the networks got their parameters after this object was made.
                    for name, value in self.rule.first(theta).items():
                        state[name].copy_(value)
                new, after = self.rule.equations(theta, grad, {"t": self.t} | state)
                theta.copy_(new)
                for name, value in state.items():
                    value.copy_(torch.as_tensor(after[name]))
        self.t += 1


class FusedAdam(Update):
    """Adam, AdamW and AMSGrad by ``torch._fused_adam_`` and ``torch._fused_adamw_``.

    The kernel adds eps outside the root. For eps inside it, the buffer ``v`` holds the moving average of
    ``g^2 + eps`` instead of ``g^2``: bias-corrected, that is ``v_hat + eps``. The kernel adds ``(1 - beta2) g^2``;
    the missing ``(1 - beta2) eps`` is added before it, divided by the ``beta2`` that the kernel multiplies by.
    """

    rule: Adam

    def __init__(self, rule: Adam, theta: Tensor, grads: Tensor, shapes: Mapping[str, torch.Size]) -> None:
        super().__init__(rule, theta, grads, shapes)
        self.kernel = torch._fused_adamw_ if isinstance(rule, AdamW) else torch._fused_adam_
        self.how = self.kernel.__name__ + (", eps under the root inside the average of g^2" if rule.eps_inside else "")
        self.state = {name: torch.zeros_like(theta) for name in rule.moments}
        self._count = torch.zeros((), dtype=torch.float32, device=theta.device)
        if not rule.bias_correction:
            self._count.fill_(NEVER_CORRECTED)
            if rule.eps_inside:
                self.state["v"].fill_(rule.eps)

    @staticmethod
    def allows(rule: Rule, dtype: torch.dtype) -> bool:
        """Whether this class computes ``rule``."""
        if type(rule) not in (Adam, AdamW, AMSGrad) or rule.tensors():
            return False
        assert isinstance(rule, Adam)
        # The kernel knows no 0 / 0 = 0: eps must be there, and survive in the dtype.
        smallest = rule.eps * (1 - rule.betas[1]) if rule.eps_inside else rule.eps
        if smallest < torch.finfo(dtype).tiny:
            return False
        return not rule.eps_inside or (bool(rule.betas[1] > 0) and not isinstance(rule, AMSGrad))

    def step(self) -> None:
        """One step, in place."""
        rule = self.rule
        beta1, beta2, eps = float(rule.betas[0]), float(rule.betas[1]), float(rule.eps)
        self.t += 1
        if rule.bias_correction:
            self._count.fill_(self.t)
        if rule.eps_inside:
            self.state["v"].add_(eps * (1 - beta2) / beta2)
        largest = [self.state["v_max"]] if "v_max" in self.state else []
        self.kernel(
            [self.theta], [self.grads], [self.state["m"]], [self.state["v"]], largest, [self._count],
            lr=float(at_step(rule.lr, self.t)), beta1=beta1, beta2=beta2, weight_decay=float(rule.weight_decay),
            eps=0.0 if rule.eps_inside else eps, amsgrad=bool(largest), maximize=False,
        )  # fmt: skip

    def second_moment(self) -> Tensor | None:
        """``v_hat``."""
        beta2, t = self.rule.betas[1], self.t
        v = self.state.get("v_max", self.state["v"])
        correction = 1 - beta2**t if self.rule.bias_correction and t > 0 else 1.0
        corrected = v / correction
        return (corrected - self.rule.eps).clamp_(min=0) if self.rule.eps_inside and t > 0 else corrected


class FusedSGD(Update):
    """Gradient descent and momentum by ``torch._fused_sgd_``; the average form is its ``dampening=beta`` from 0."""

    rule: GradientDescent | Momentum

    def __init__(
        self, rule: GradientDescent | Momentum, theta: Tensor, grads: Tensor, shapes: Mapping[str, torch.Size]
    ) -> None:
        super().__init__(rule, theta, grads, shapes)
        self.how = "_fused_sgd_"
        self.state = {name: torch.zeros_like(theta) for name in rule.moments}

    @staticmethod
    def allows(rule: Rule, dtype: torch.dtype) -> bool:
        """Whether this class computes ``rule``."""
        if type(rule) is GradientDescent:
            return not rule.tensors()
        if type(rule) is not Momentum or rule.tensors() or rule.bias_correction:
            return False
        assert isinstance(rule, Momentum)
        return not (rule.nesterov and rule.form == "ema")

    def step(self) -> None:
        """One step, in place."""
        rule = self.rule
        self.t += 1
        lr = float(at_step(rule.lr, self.t))
        if rule.decoupled and rule.weight_decay:
            self.theta.mul_(1 - lr * rule.weight_decay)
        beta = float(rule.beta) if isinstance(rule, Momentum) else 0.0
        torch._fused_sgd_(
            [self.theta], [self.grads], [self.state["m"]] if beta else [],
            weight_decay=0.0 if rule.decoupled else float(rule.weight_decay), momentum=beta, lr=lr,
            dampening=beta if isinstance(rule, Momentum) and rule.form == "ema" else 0.0,
            nesterov=isinstance(rule, Momentum) and rule.nesterov, maximize=False, is_first_step=False,
        )  # fmt: skip

    def second_moment(self) -> Tensor | None:
        """None: no adaptive state."""
        return None


FUSED: tuple[Any, ...] = (FusedAdam, FusedSGD)


def update(
    rule: Rule, theta: Tensor, grads: Tensor, shapes: Mapping[str, torch.Size], fused: bool | str = "auto"
) -> Update:
    """The :class:`Update` for ``rule``: fused if it may be (``"auto"``), must be (True), or never (False).

    Raises ValueError for ``fused=True`` with a rule that has no fused kernel.
    """
    _checks.one_of("fused", fused, ("auto", True, False))
    reason = f"no kernel computes {rule}"
    if fused:
        for kind in FUSED:
            if kind.allows(rule, theta.dtype):
                try:
                    # On numbers that are thrown away, to see that this build of torch has the kernel.
                    trial = [torch.zeros(1, 1, dtype=theta.dtype, device=theta.device) for _ in range(2)]
                    kind(rule, *trial, shapes).step()
                    return kind(rule, theta, grads, shapes)
                except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
                    reason = f"this build of torch lacks the kernel ({error})"
        if fused is True:
            raise ValueError(f"fused=True asks for a fused kernel; {reason}. Use fused='auto'")
    if not _plain(rule):
        return ByTensor(rule, theta, grads, shapes)
    return Readable(rule, theta, grads, shapes)


def updates(
    rules: Sequence[Rule],
    theta: Tensor,
    grads: Tensor,
    shapes: Mapping[str, torch.Size],
    fused: bool | str = "auto",
    merge: bool = False,
) -> list[tuple[slice, Update]]:
    """What updates ``theta`` and ``grads``, ``(K, N)``, row ``k`` by ``rules[k]``: slices of rows with their Updates.

    Neighbours with the same rule share one update. With ``merge`` so do neighbours of one kind, if the networks
    are small and no kernel is demanded; whether they do depends on nothing else, so the state of a row keeps
    its meaning when other rows go.
    """
    merge = merge and theta.shape[1] < SMALL and fused is not True

    def kind(rule: Rule) -> Hashable:
        return Merged.kind(rule) if merge else None

    kinds = [kind(rule) for rule in rules]
    found: list[tuple[slice, Update]] = []
    start = 0
    for k in range(1, len(rules) + 1):
        if k < len(rules) and (kinds[start] == kinds[k] if merge else same_rule(rules[start], rules[k])):
            continue
        part = slice(start, k)
        if merge and _plain(rules[start]) and not rules[start].tensors():
            found.append((part, Merged(rules[part], theta[part], grads[part], shapes)))
        else:
            found.append((part, update(rules[start], theta[part], grads[part], shapes, fused)))
        start = k
    return found


def _plain(rule: Rule) -> bool:
    """Whether any piece of any row may be updated on its own, from a state of zeros."""
    return rule.elementwise and not rule.numbers and type(rule).first is Rule.first


def same_rule(a: Rule, b: Rule) -> bool:
    """Whether two networks can share one update."""
    return a is b or (not a.tensors() and not b.tensors() and a == b)


def first_rates(rule: Rule) -> list[float]:
    """The learning rates of a few steps: what tells two schedules apart when a run is resumed."""
    lr = getattr(rule, "lr", math.nan)
    steps = (1, 2, 10, 100, 1000, 10_000) if callable(lr) else (1,)
    return [float(torch.as_tensor(at_step(lr, t)).double().sum()) for t in steps]
