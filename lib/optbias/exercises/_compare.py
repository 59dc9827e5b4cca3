"""Comparing an answer with what is right, and naming the slip that explains the difference."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optbias.exercises import _answers
from optbias.exercises._answers import Answer, CheckFailed, Unexplained

Step = Callable[[Tensor, Tensor, dict[str, Any], dict[str, Any]], tuple[Tensor, dict[str, Any]]]
"""An optimizer as the exercises ask for it: ``step(params, grads, state, hyper) -> params, state``."""

TOLERANCE = 1e-9
"""Relative to the numbers compared: wide for another order of the same sums, narrow for float32."""


def numbers(value: Any, what: str) -> Tensor:
    """``value`` (tensor, array, number, list of numbers) as a float64 tensor; CheckFailed for anything else."""
    if value is None:
        raise CheckFailed(f"{what}: got None. Is a return missing?")
    try:
        if isinstance(value, Tensor):
            return value.detach().cpu().to(torch.float64)
        if isinstance(value, (list, tuple)):
            if not value:
                return torch.empty(0, dtype=torch.float64)
            return torch.stack([numbers(entry, what) for entry in value])
        if isinstance(value, (int, float, np.number, np.ndarray)) and not isinstance(value, bool):
            return torch.from_numpy(np.asarray(value, dtype=np.float64).copy())
    except (TypeError, ValueError, RuntimeError):
        pass
    raise CheckFailed(f"{what}: expected a number, a list or a tensor of numbers; got {type(value).__name__}")


def close(a: Tensor, b: Tensor, tol: float = TOLERANCE, equal_nan: bool = False) -> bool:
    """Whether two float64 tensors agree to ``tol``, relative to the largest entry, and have the same shape."""
    if a.shape != b.shape:
        return False
    if equal_nan:
        if not torch.equal(torch.isnan(a), torch.isnan(b)):
            return False
        a, b = a[~torch.isnan(a)], b[~torch.isnan(b)]
    if a.numel() == 0:
        return True
    apart, size = (a - b).abs(), b.abs()
    if not torch.isfinite(apart).all():  # an infinity must be matched by its like; NaN never is
        finite = torch.isfinite(b)
        if not torch.equal(a[~finite], b[~finite]):
            return False
        apart, size = apart[finite], size[finite]
        if apart.numel() == 0:
            return True
    return bool((apart <= tol * (size + size.max())).all())


def same(
    got: Any,
    want: Any,
    what: str,
    *,
    slips: Mapping[str, Any] | None = None,
    tol: float = TOLERANCE,
) -> None:
    """Require ``got`` to be ``want``; say otherwise which slip it looks like.

    ``slips`` maps a sentence ("your v is not bias-corrected") to the value that this slip gives, or to a
    function that computes it. Those that give ``got`` are named. ``what`` names the value in the message ("the
    step at t = 1").
    """
    right = numbers(want, what)
    given = numbers(got, what)
    if given.numel() == right.numel() == 1:
        given = given.reshape(right.shape)
    if close(given, right, tol):
        return
    fitting = []
    for sentence, value in (slips or {}).items() if _answers.explains else ():
        wrong = numbers(value() if callable(value) else value, what)
        if close(given, wrong, tol) and not close(wrong, right, tol):
            fitting.append(sentence)
    if fitting:
        raise CheckFailed(f"{what}: {either(fitting)}")
    raise differing(what, given, right)


def either(sentences: Sequence[str]) -> str:
    """The slips that explain an answer, as one text: where several do, the test cannot tell which it is."""
    return ". Or: ".join(sentences[:3])


def differing(what: str, given: Tensor, right: Tensor) -> CheckFailed:
    """The error for a difference that no slip explains; a wrong shape explains itself, and so does float32."""
    how = difference(given, right)
    if given.shape != right.shape or how.startswith("right to about seven"):
        return CheckFailed(f"{what}: {how}")
    return Unexplained(what, how)


def difference(given: Tensor, right: Tensor) -> str:
    """What is wrong with ``given``, in words that do not give ``right`` away."""
    if given.shape != right.shape:
        return f"the shape should be {tuple(right.shape)}; got {tuple(given.shape)}"
    if torch.isnan(given).any():
        return "there is a NaN. Is something divided by zero, or a root taken of a negative number?"
    if not torch.equal(torch.isinf(given), torch.isinf(right)):
        return "infinite where it should not be" if torch.isinf(given).any() else "finite where it should be infinite"
    apart = (given - right).abs()
    apart = apart[torch.isfinite(apart)]
    scale = right[torch.isfinite(right)].abs().max().item() if right.numel() else 0.0
    if apart.numel() and apart.max().item() <= 3e-6 * scale:
        return "right to about seven digits only: was something computed in float32? Keep the dtype you are given"
    return f"differs by up to {apart.max().item():.2g} where the right values are of size {scale:.2g}"


def same_run(
    answer: Answer,
    reference: Step,
    start: Tensor,
    gradients: Tensor,
    hyper: dict[str, Any],
    *,
    state: dict[str, Any],
    watch: Sequence[str] = ("params",),
    slips: Mapping[str, Step] | None = None,
    tol: float = TOLERANCE,
) -> None:
    """Require the answer to go where ``reference`` goes when both are fed ``gradients``, one a step.

    ``start``, each ``gradients[k]`` and the moments in ``state`` have one shape. ``watch`` names what is
    compared after each step: ``"params"`` and keys of the state. ``slips`` maps a sentence to the step that
    someone with this misconception would write; those whose run is the answer's are named.
    """
    right = run(reference, start, gradients, hyper, state)
    given: list[dict[str, Any]] = []
    params, memory = start, dict(state)
    for number, (gradient, wanted) in enumerate(zip(gradients, right, strict=True), 1):
        params, memory = pair(answer, answer(params, gradient, memory, hyper), tuple(state))
        given.append({"params": params, **memory})
        for key in watch:
            what = f"params after step {number}" if key == "params" else f"state[{key!r}] after step {number}"
            if close(_like(numbers(given[-1][key], what), wanted[key]), numbers(wanted[key], what), tol):
                continue
            if not _answers.explains:
                raise CheckFailed(f"{what} differs")
            # More steps tell more slips apart.
            longer = gradients if len(gradients) > 3 else torch.cat([gradients, *(by * gradients[-1:] for by in _MORE)])
            setting = (start, longer, hyper, state)
            with contextlib.suppress(CheckFailed):
                for later in longer[number:]:
                    params, memory = pair(answer, answer(params, later, memory, hyper), tuple(state))
                    given.append({"params": params, **memory})
            fitting = [_fitting(slips, seen, right, setting, tol) for seen in (given, given[:number])]
            if fitting[0]:
                raise CheckFailed(f"{what}: {either(fitting[0])}")
            found = differing(what, numbers(given[number - 1][key], what), numbers(wanted[key], what))
            if fitting[1]:  # it explains the first steps and not the later ones: the family may know better
                found = Unexplained(what, either(fitting[1]))
            raise found


_MORE = (-0.7, 1.9, 0.3)
"""Further gradients for a short run that went wrong, in units of its last one."""


def _fitting(
    slips: Mapping[str, Step] | None,
    seen: list[dict[str, Any]],
    right: list[dict[str, Any]],
    setting: tuple[Tensor, Tensor, dict[str, Any], dict[str, Any]],
    tol: float,
) -> list[str]:
    """The sentences of those slips whose run is the one that was seen, which is not the right one."""
    if _alike(seen, right, tol):
        return []
    return [sentence for sentence, step in (slips or {}).items() if _explains(step, seen, setting, tol)]


def run(
    step: Step, start: Tensor, gradients: Tensor, hyper: dict[str, Any], state: dict[str, Any]
) -> list[dict[str, Any]]:
    """What ``step`` makes of the gradients: after each, the params and the state, in one dictionary."""
    return list(_running(step, start, gradients, hyper, state))


def _running(
    step: Step, start: Tensor, gradients: Tensor, hyper: dict[str, Any], state: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    params, memory = start, dict(state)
    for gradient in gradients:
        params, memory = step(params, gradient, memory, hyper)
        yield {"params": params, **memory}


def pair(answer: Answer, value: Any, keys: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """The params and the state that an optimizer returned; CheckFailed if it returned something else."""
    if value is None:
        raise CheckFailed(f"{answer.shown_as} returned None. Is a return missing?")
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise CheckFailed(f"{answer.shown_as} must return two things, params and state; got {type(value).__name__}")
    params, state = value
    if not isinstance(state, dict):
        raise CheckFailed(f"the state that {answer.shown_as} returns must be a dict; got {type(state).__name__}")
    if missing := [key for key in keys if key not in state]:
        raise CheckFailed(f"the state that {answer.shown_as} returns lacks {', '.join(map(repr, missing))}")
    return params, {key: state[key] for key in keys}


def moved(answer: Answer, value: Any, start: Tensor) -> Tensor:
    """The params that an optimizer returned; CheckFailed if they are still where they started."""
    params = numbers(pair(answer, value, ())[0], "params")
    if close(params, start.to(torch.float64)):
        raise CheckFailed("nothing moved: the params are where they started")
    return params


def _like(given: Tensor, wanted: Any) -> Tensor:
    shape = wanted.shape if isinstance(wanted, Tensor) else torch.Size()
    return given.reshape(shape) if given.numel() == shape.numel() == 1 else given


def _explains(
    step: Step,
    given: list[dict[str, Any]],
    setting: tuple[Tensor, Tensor, dict[str, Any], dict[str, Any]],
    tol: float,
) -> bool:
    """Whether the run of a slip is the run that was given, params and state. Stops where they part."""
    try:
        return _alike(given, _running(step, *setting), tol)
    except (ArithmeticError, RuntimeError, KeyError, TypeError, ValueError):
        return False  # this slip would not even run here


def _alike(given: list[dict[str, Any]], other: Iterable[dict[str, Any]], tol: float) -> bool:
    """Whether two runs agree as far as the first goes, NaN with NaN."""
    with contextlib.suppress(CheckFailed):  # something given is no number
        return all(
            close(_like(numbers(a[key], key), b[key]), numbers(b[key], key), tol, equal_nan=True)
            for a, b in zip(given, other, strict=False)
            for key in b
        )
    return False


def recorded_late(
    found: Mapping[str, Sequence[float]],
    right: Mapping[str, Sequence[float]],
    near: Callable[[tuple[float, ...], tuple[float, ...]], bool],
) -> None:
    """Raise :class:`CheckFailed` if a curve holds the right numbers one place too early or too late."""
    for key, row in found.items():
        if near(tuple(row[:-1]), tuple(right[key][1:])) and not near(tuple(row), tuple(right[key])):
            raise CheckFailed(f"{key} is recorded after the step; entry t belongs to the weights before step t + 1")
        if near(tuple(row[1:]), tuple(right[key][:-1])) and not near(tuple(row), tuple(right[key])):
            raise CheckFailed(f"{key} is recorded one step too late; entry t belongs to the weights after t steps")
