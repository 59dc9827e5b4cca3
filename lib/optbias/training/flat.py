"""One flat buffer for all parameters and one for all gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Flat:
    """The parameters and gradients of ``K`` networks of one shape, as the rows of ``theta`` and ``grads``, ``(K, N)``.

    ``losses``, ``(K,)``, lies in the same buffer as ``grads``, so that one all-reduce sums both. ``theta``,
    ``grads`` and ``losses`` change in place and are never replaced.
    """

    def __init__(self, shapes: dict[str, torch.Size], rows: int, dtype: torch.dtype, device: torch.device) -> None:
        self.shapes = shapes
        self.size = sum(shape.numel() for shape in shapes.values())
        self.theta = torch.zeros(rows, self.size, dtype=dtype, device=device)
        self.summed = torch.zeros(rows * self.size + rows, dtype=dtype, device=device)
        self.grads = self.summed[: rows * self.size].view(rows, self.size)
        self.losses = self.summed[rows * self.size :]

    @property
    def rows(self) -> int:
        """The number of networks."""
        return len(self.theta)

    def views(self, buffer: Tensor) -> dict[str, Tensor]:
        """Views into ``buffer``, ``(K, N)``, by the parameter's name, each ``(K, *shape)``."""
        pieces = buffer.split([shape.numel() for shape in self.shapes.values()], dim=1)
        return {
            name: piece.view(len(buffer), *shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def take(self, grads: Sequence[Tensor], losses: Tensor, add: bool) -> None:
        """Write the parameters' gradients, each ``(K, *shape)``, into ``grads``, or add them; ``losses`` likewise.

        One concatenation instead of ``backward``'s accumulation: nothing to set to zero, one pass less.
        """
        rows = [(grad.to_dense() if grad.is_sparse else grad).reshape(self.rows, -1) for grad in grads]
        if add:
            self.grads.add_(torch.cat(rows, 1))
            self.losses.add_(losses)
        else:
            torch.cat(rows, 1, out=self.grads)
            self.losses.copy_(losses)

    def load(self, row: int, model: nn.Module) -> None:
        """Copy the parameters of ``model`` into a row of ``theta``."""
        parameters = trainable(model)
        with torch.no_grad():
            for name, view in self.views(self.theta).items():
                view[row].copy_(parameters[name])

    def bind(self, model: nn.Module) -> None:
        """Make the parameters of ``model`` and their ``.grad`` views into row 0."""
        self.load(0, model)
        values, grads = self.views(self.theta), self.views(self.grads)
        for name, parameter in trainable(model).items():
            parameter.data = values[name][0]
            parameter.grad = grads[name][0]


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name. Raises ValueError if there is none, TypeError for mixed dtypes."""
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not parameters:
        raise ValueError("model has no trainable parameter")
    dtypes = {p.dtype for p in parameters.values()}
    if len(dtypes) > 1:
        raise TypeError(f"the parameters must have one dtype; got {', '.join(sorted(map(str, dtypes)))}")
    return parameters


def shapes_of(model: nn.Module) -> dict[str, torch.Size]:
    """The shapes of the trainable parameters, by name."""
    return {name: parameter.shape for name, parameter in trainable(model).items()}
