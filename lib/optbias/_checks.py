"""Checks of arguments. Each error says what was given and what is allowed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Require ``value`` to be a finite real number, or a tensor of them, inside an interval.

    ``open_low`` and ``open_high`` exclude the ends (infinite ends are always excluded). Raises
    TypeError for anything but a real number or a real tensor (a boolean or a string is neither) and
    ValueError for NaN, for an infinity, or for a number outside the interval.
    """
    open_low, open_high = open_low or math.isinf(low), open_high or math.isinf(high)
    allowed = f"a number in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
    if isinstance(value, Tensor):
        if value.dtype == torch.bool or value.is_complex():
            raise TypeError(f"{name} must be {allowed}, or a real tensor of them; got a tensor of {value.dtype}")
        if value.numel() == 0:
            raise ValueError(f"{name} must be {allowed}, or a tensor of them; got an empty tensor")
        smallest, largest = value.min().item(), value.max().item()
        shown = f"a tensor with values in [{smallest:g}, {largest:g}]"
    elif _computes(value):
        smallest = largest = float(value)
        shown = str(value)
    else:
        raise TypeError(f"{name} must be {allowed}, or a tensor of them; got {value!r}")
    # Written so that NaN, which compares false with everything, is refused.
    above = smallest > low if open_low else smallest >= low
    below = largest < high if open_high else largest <= high
    if not (above and below):
        raise ValueError(f"{name} must be {allowed}; got {shown}")


def _computes(value: Any) -> bool:
    """Whether ``value`` is a real number that torch can multiply by: a fraction of integers is not."""
    exact = isinstance(value, numbers.Rational) and not isinstance(value, numbers.Integral)
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and not exact


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Require ``value`` to be one of ``allowed``; the ValueError lists them."""
    choices = tuple(allowed)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")


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
