"""Is my AdamW an AdamW? Which of Adam's conventions an optimizer follows, found by running it.

The same name means different updates in different libraries: the decay may be coupled or not and multiplied by the
rate or
not, epsilon may stand under the root or beside it and before or after the hat, the hats may be missing, AMSGrad's
maximum may
be taken before or after the hat. :func:`identify` feeds an optimizer a few known gradients and compares its steps
with every
combination.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from optbias.rules import RULES
from optbias.rules.base import Rule

__all__ = ["Conventions", "identify"]

SETTINGS: dict[str, Any] = {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.3, "weight_decay": 0.5}
"""What the optimizer is made with: numbers so large that every convention shows."""

# Sizes that rise and fall, so that a maximum of v differs from v; no mixture of them is 0, where a sign would hang
# on rounding.
GRADIENTS = ((1.03, -0.51), (3.07, 0.23), (-0.11, 2.09), (0.31, -0.43), (-2.03, 0.17), (0.053, 0.61), (0.41, -0.029))
START = (2.0, -1.5)
AGREE = 1e-9

DECAY = {
    "none": "none",
    "coupled": "coupled: added to the gradient (L2)",
    "decoupled": "decoupled, times the learning rate (AdamW of torch)",
    "fixed": "decoupled, not times the learning rate",
    "after": "decoupled, times the learning rate, on the weights after the step",
}
EPS = {
    "beside": "beside the root of the corrected v",
    "under": "under the root, added to the corrected v",
    "beside raw": "beside the root of the raw v, corrected afterwards",
    "under raw": "under the root, added to the raw v, corrected afterwards",
}
BIAS = {"both": "of m and v", "m": "of m only", "v": "of v only", "none": "none"}
MAXIMUM = {
    "none": "none",
    "before": "of the raw v, before the hat (torch's AMSGrad)",
    "after": "of the corrected v, after the hat (optax's AMSGrad)",
}


@dataclass(frozen=True)
class Conventions:
    """What :func:`identify` found.

    ``decay``, ``eps``, ``bias_correction`` and ``maximum`` are in words, None where no combination fits;
    alternatives that gave
    the same numbers are joined by "or". ``rules`` are the rules of this library that make the same steps,
    ``difference`` is the
    largest relative difference from the nearest combination.

    >>> identify(torch.optim.AdamW).decay
    'decoupled, times the learning rate (AdamW of torch)'
    """

    decay: str | None
    eps: str | None
    bias_correction: str | None
    maximum: str | None
    rules: tuple[str, ...]
    difference: float

    @property
    def is_adam(self) -> bool:
        """Whether some combination of conventions fits."""
        return self.decay is not None

    def __str__(self) -> str:
        known = f"the same steps as {', '.join(self.rules)} of optbias" if self.rules else "no rule of optbias"
        if not self.is_adam:
            return f"not a form of Adam (the nearest differs by {self.difference:.1g}); {known}"
        return "\n".join(
            (
                f"weight decay     {self.decay}",
                f"epsilon          {self.eps}",
                f"bias correction  {self.bias_correction}",
                f"maximum          {self.maximum}",
                f"identified as    {known}",
            )
        )


def identify(factory: Callable[..., Any]) -> Conventions:
    """Which conventions of Adam an optimizer follows.

    ``factory(params, lr=..., betas=..., eps=..., weight_decay=...)`` makes it: a class like ``torch.optim.AdamW``,
    or a function
    around another library's. Keywords that it does not take are left out (then there is no weight decay, say). It needs
    ``step()`` and reads ``param.grad``. Takes milliseconds. Raises TypeError for what cannot be called or makes no
    optimizer.

    >>> import torch
    >>> from optbias import identify
    >>> print(identify(torch.optim.AdamW))
    weight decay     decoupled, times the learning rate (AdamW of torch)
    epsilon          beside the root of the corrected v
    bias correction  of m and v
    maximum          none
    identified as    the same steps as AdamW of optbias
    """
    if not callable(factory):
        raise TypeError(f"factory must make an optimizer from parameters; got {factory!r}")
    settings = {name: value for name, value in SETTINGS.items() if _takes(factory, name)}
    path = _run(lambda params: factory(params, **settings))
    found: list[tuple[str, ...]] = []
    nearest = math.inf
    for names in itertools.product(DECAY, EPS, BIAS, MAXIMUM):
        gap = _gap(path, list(_adam(*names, **settings)))
        nearest = min(nearest, gap)
        if gap <= AGREE:
            found.append(names)
    same = tuple(kind.__name__ for kind in RULES if _same_rule(kind, settings, path))
    if not found:
        return Conventions(None, None, None, None, same, nearest)
    decay, eps, bias, maximum = (
        " or ".join(text[name] for name in dict.fromkeys(names[k] for names in found))
        for k, text in enumerate((DECAY, EPS, BIAS, MAXIMUM))
    )
    if "weight_decay" not in settings:
        decay = "not tried: the factory takes no weight_decay"
    return Conventions(decay, eps, bias, maximum, same, nearest)


def _takes(factory: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)


def _run(make: Callable[[list[Any]], Any]) -> list[tuple[float, ...]]:
    """The points that an optimizer visits on the known gradients."""
    param = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = make([param])
    if not callable(getattr(optimizer, "step", None)):
        raise TypeError(f"factory must return an optimizer with a step method; got {optimizer!r}")
    if callable(getattr(optimizer, "train", None)):
        optimizer.train()  # Schedule-Free asks for it
    path = []
    for grad in GRADIENTS:
        param.grad = torch.tensor(grad, dtype=torch.float64)
        optimizer.step()
        path.append(tuple(param.detach().tolist()))
    return path


def _gap(path: list[tuple[float, ...]], other: list[tuple[float, ...]]) -> float:
    pairs = [(a, b) for one, two in zip(path, other, strict=True) for a, b in zip(one, two, strict=True)]
    gap = max(abs(a - b) for a, b in pairs) / max(1.0, max(abs(a) for a, _ in pairs))
    return gap if gap == gap else math.inf  # a NaN is no agreement


def _adam(
    decay: str,
    eps_place: str,
    bias: str,
    maximum: str,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Iterator[tuple[float, ...]]:
    """The points of Adam in one combination of conventions, coordinate by coordinate."""
    (b1, b2), size = betas, len(START)
    x, m, v, largest = list(START), [0.0] * size, [0.0] * size, [0.0] * size
    for t, grad in enumerate(GRADIENTS, 1):
        c1 = 1 - b1**t if bias in ("both", "m") else 1.0
        c2 = 1 - b2**t if bias in ("both", "v") else 1.0
        for i, g in enumerate(grad):
            g = g + weight_decay * x[i] if decay == "coupled" else g
            m[i] = b1 * m[i] + (1 - b1) * g
            v[i] = b2 * v[i] + (1 - b2) * g * g
            largest[i] = max(largest[i], v[i] / c2 if maximum == "after" else v[i])
            raw = {"none": v[i], "before": largest[i], "after": largest[i] * c2}[maximum]
            root = {
                "beside": math.sqrt(raw / c2) + eps,
                "under": math.sqrt(raw / c2 + eps),
                "beside raw": (math.sqrt(raw) + eps) / math.sqrt(c2),
                "under raw": math.sqrt(raw + eps) / math.sqrt(c2),
            }[eps_place]
            shrink = {"decoupled": lr * weight_decay, "after": lr * weight_decay, "fixed": weight_decay}.get(decay, 0.0)
            step = lr * m[i] / c1 / root
            x[i] = (1 - shrink) * (x[i] - step) if decay == "after" else (1 - shrink) * x[i] - step
        yield tuple(x)


def _same_rule(kind: type[Rule], settings: dict[str, Any], path: list[tuple[float, ...]]) -> bool:
    """Whether a rule makes the same steps; numbers that it lacks are left out, one beta stands for both."""
    from optbias.torch_optimizer import as_torch

    fields = kind.__dataclass_fields__
    own = {name: value for name, value in settings.items() if name in fields}
    if "betas" in settings and "betas" not in fields and ("beta" in fields or "momentum" in fields):
        own["beta" if "beta" in fields else "momentum"] = settings["betas"][0]
    try:
        return _gap(path, _run(lambda params: as_torch(kind(**own), params))) <= AGREE
    except (TypeError, ValueError):
        return False  # a rule of matrices, or with three betas


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``python -m optbias identify``."""
    parser.add_argument(
        "optimizer",
        metavar="MODULE:CLASS",
        help="an optimizer class like torch.optim:AdamW, or a function that makes one, in a module found from here",
    )


def run(options: argparse.Namespace) -> int:
    """Print what :func:`identify` finds; 0 if the optimizer is a form of Adam or a rule of the library, else 1."""
    module, colon, name = options.optimizer.partition(":")
    if not colon or not module or not name:
        raise ValueError(f"name it as MODULE:CLASS, for example torch.optim:AdamW; got {options.optimizer!r}")
    sys.path.insert(0, "")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot find {options.optimizer}: {error}") from error
    finally:
        sys.path.remove("")
    found = identify(factory)
    print(found)
    return 0 if found.is_adam or found.rules else 1
