"""Checks of arguments. Each error says what was given and what is allowed."""

from __future__ import annotations

from typing import Any, Callable

import torch
from torch import Tensor

Number = float | Tensor
Schedule = Callable[[int], Number]


def number(
    name: str,
    value: Any,
    *,
    low: float = float("-inf"),
    high: float = float("inf"),
    open_high: bool = False,
    open_low: bool = False,
) -> None:
    """Require ``value`` to be a real number, or a tensor of them, inside an interval.

    Raises TypeError for anything else (strings, booleans, integer tensors are allowed numbers
    only if real) and ValueError for NaN or a number outside ``[low, high]``; ``open_low`` and
    ``open_high`` exclude the ends.
    """
    left, right = "(" if open_low else "[", ")" if open_high else "]"
    allowed = f"a number in {left}{low:g}, {high:g}{right}"
    if isinstance(value, Tensor):
        if value.dtype == torch.bool or value.is_complex():
            raise TypeError(f"{name} must be {allowed}, or a real tensor of them; got {value.dtype}")
        smallest, largest = (value.min().item(), value.max().item()) if value.numel() else (low, high)
    elif isinstance(value, bool) or not hasattr(value, "__float__") or isinstance(value, str):
        raise TypeError(f"{name} must be {allowed}, or a tensor of them; got {value!r}")
    else:
        smallest = largest = float(value)
    too_low = smallest < low or (open_low and smallest <= low)
    too_high = largest > high or (open_high and largest >= high)
    # NaN compares false with everything, so it is asked for by name.
    if too_low or too_high or smallest != smallest or largest != largest:
        shown = value if not isinstance(value, Tensor) else f"a tensor with values in [{smallest:g}, {largest:g}]"
        raise ValueError(f"{name} must be {allowed}; got {shown}")


def one_of(name: str, value: Any, allowed: Any) -> None:
    """Require ``value`` to be one of ``allowed``; the ValueError lists them."""
    if value not in tuple(allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


def flag(name: str, value: Any) -> None:
    """Require ``value`` to be True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False; got {value!r}")


def tensor(name: str, value: Any) -> None:
    """Require ``value`` to be a real floating-point tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor; got {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers; got {value.dtype}")
