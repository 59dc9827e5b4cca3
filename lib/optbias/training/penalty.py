"""A multiple of the gradient's perturbed one-norm in the loss that a rule descends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optbias import _checks


@dataclass(frozen=True)
class OneNormPenalty:
    """Adds ``weight(t) * sum_i sqrt(g_i^2 + eps)`` to the loss that the rule sees in update ``t + 1``.

    ``g`` is the gradient of that update's batch. The rule gets ``g + weight H g / sqrt(g^2 + eps)``; what is measured
    stays the gradient of the loss alone. One product with the Hessian a step, by differentiating twice: the whole
    batch is one part, on one process, and a step costs some 3 to 3.7 plain ones.

    ``difference`` > 0 takes the product as the difference of two gradients instead, ``(g(theta + difference v) - g) /
    difference`` along ``v = g / sqrt(g^2 + eps)``, whose entries are at most 1: two plain steps, in as many parts and
    processes as there are. Its error is proportional to ``difference`` until rounding takes over: in float32 1e-5 is
    best, where a product is wrong by a thousandth (measured on the digits). Raises ValueError for ``eps <= 0``, where
    the norm has no derivative at 0.

    >>> penalty = OneNormPenalty(lambda t: 0.01 / t, eps=1e-6)
    >>> penalty.weight(2)
    0.005
    """

    weight: Callable[[int], float]
    eps: float
    difference: float = 0.0

    def __post_init__(self) -> None:
        if not callable(self.weight):
            raise TypeError(f"weight must be a function of the step; got {self.weight!r}")
        _checks.number("eps", self.eps, low=0.0, open_low=True)
        _checks.number("difference", self.difference, low=0.0)


class Weights:
    """The penalties of the living networks as columns; a network without one has the weight 0."""

    def __init__(self, penalties: Sequence[OneNormPenalty | None], like: Tensor) -> None:
        self.penalties, self.like = list(penalties), like
        self.eps = [1.0 if p is None else p.eps for p in self.penalties]
        self.difference = next((p.difference for p in self.penalties if p is not None), 0.0)

    def at(self, t: int) -> list[float]:
        """The weights in update ``t + 1``."""
        return [0.0 if p is None else float(p.weight(t)) for p in self.penalties]

    def direction(self, grads: Tensor) -> Tensor:
        """``g / sqrt(g^2 + eps)`` of each network, ``(K, N)``."""
        eps = torch.tensor(self.eps, dtype=grads.dtype, device=grads.device)
        return grads / (grads.square() + eps[:, None]).sqrt()

    def weighted_norm(self, grads: Sequence[Tensor], t: int) -> Tensor:
        """``sum_k weight_k sum_i sqrt(g_ki^2 + eps_k)``, 0-d, with a graph; each of ``grads`` is ``(K, *shape)``."""
        weight, eps = (torch.tensor(v, dtype=self.like.dtype, device=self.like.device) for v in (self.at(t), self.eps))
        total = self.like.new_zeros(())
        for grad in grads:
            flat = grad.reshape(len(weight), -1)
            total = total + ((flat.square() + eps[:, None]).sqrt().sum(1) * weight).sum()
        return total
