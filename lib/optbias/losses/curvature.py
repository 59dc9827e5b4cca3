"""The Hessian of a network's loss: whole, as products with vectors, and its largest eigenvalues.

:class:`NetworkLoss` turns a network, its data and a criterion into a landscape: a function of one flat
vector of parameters with value, gradient and Hessian, like those of :mod:`optbias.losses.landscapes`. So
``simulate.trajectory(rule, NetworkLoss(...), theta0, steps)`` trains the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn import functional

from optbias import _checks
from optbias.seeding import generator

Criterion = Callable[[Tensor, Tensor], Tensor]
"""A loss of outputs ``(n, ...)`` and targets ``(n, ...)`` that returns one number, such as the cross entropy."""


class NetworkLoss:
    """``f(theta) = criterion(model_theta(inputs), targets)`` on a fixed batch of data.

    ``theta`` is the flat vector of all trainable parameters, in the order of ``model.named_parameters()``;
    its length is ``dim``. ``criterion(outputs, targets)`` returns a scalar; by default the mean
    cross-entropy. The model is not changed: its parameters at construction are kept in ``theta0``.
    The model must work under ``torch.func.functional_call`` and must not draw random numbers (no dropout).

    Value and gradient accept any leading axes, ``(..., dim)``; ``chunk`` limits how many of them (and how
    many columns of a Hessian) are computed at once, which bounds the memory.

    >>> from optbias.models import MLP
    >>> loss = NetworkLoss(MLP([2, 3]), torch.ones(4, 2, dtype=torch.float64), torch.tensor([0, 1, 2, 0]))
    >>> theta = torch.zeros(9, dtype=torch.float64)
    >>> round(float(loss(theta)), 4)
    1.0986
    """

    name = "network"

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        criterion: Criterion = functional.cross_entropy,
        *,
        chunk: int = 64,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
        if not callable(criterion):
            raise TypeError(f"criterion must be callable; got {criterion!r}")
        if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
            raise ValueError(f"chunk must be a whole number >= 1; got {chunk!r}")
        parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        if not parameters:
            raise ValueError("model has no trainable parameter")
        frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
        self.model, self.inputs, self.targets, self.criterion, self.chunk = model, inputs, targets, criterion, chunk
        self._fixed = frozen | dict(model.named_buffers())
        self.shapes = {name: p.shape for name, p in parameters.items()}
        self.theta0 = self.flatten(parameters)
        self.dim = self.theta0.numel()

    def flatten(self, parameters: dict[str, Tensor]) -> Tensor:
        """The flat vector ``(dim,)`` of parameters given by name."""
        if set(parameters) != set(self.shapes):
            raise ValueError(f"parameters must be named {sorted(self.shapes)}; got {sorted(parameters)}")
        for name, shape in self.shapes.items():
            if parameters[name].shape != shape:
                given = tuple(parameters[name].shape)
                raise ValueError(f"the parameter {name!r} must have shape {tuple(shape)}; got {given}")
        return torch.cat([parameters[name].reshape(-1) for name in self.shapes])

    def unflatten(self, theta: Tensor) -> dict[str, Tensor]:
        """The parameters by name, as views of the flat vector ``theta``, ``(dim,)``."""
        pieces = theta.split([shape.numel() for shape in self.shapes.values()])
        return {name: piece.view(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}

    def outputs(self, theta: Tensor, inputs: Tensor | None = None) -> Tensor:
        """The network's outputs with the parameters ``theta``, ``(dim,)``, on its own or other inputs."""
        values = self.unflatten(self._checked(theta, flat=True)) | self._fixed
        return functional_call(self.model, values, (self.inputs if inputs is None else inputs,))

    def accuracy(self, theta: Tensor, inputs: Tensor | None = None, labels: Tensor | None = None) -> float:
        """The share of examples whose largest output is the label's, on its own or other data."""
        with torch.no_grad():
            guess = self.outputs(theta, inputs).argmax(-1)
        return float((guess == (self.targets if labels is None else labels)).double().mean())

    def __call__(self, theta: Tensor) -> Tensor:
        """The loss at each point: ``(..., dim)`` to ``(...)``."""
        return self._batched(self._scalar, theta)

    def gradient(self, theta: Tensor) -> Tensor:
        """The gradient at each point: ``(..., dim)`` to ``(..., dim)``."""
        return self._batched(grad(self._scalar), theta)

    def hessian(self, theta: Tensor) -> Tensor:
        """The whole Hessian at one point, ``(dim,)`` to ``(dim, dim)``: ``dim`` Hessian-vector products."""
        self._checked(theta, flat=True)
        eye = torch.eye(self.dim, dtype=theta.dtype, device=theta.device)
        matrix = vmap(lambda v: self._product(theta, v), chunk_size=self.chunk)(eye)
        return (matrix + matrix.T) / 2

    def hvp(self, theta: Tensor, vector: Tensor) -> Tensor:
        """The Hessian at ``theta``, ``(dim,)``, times ``vector``, ``(..., dim)``: costs a few gradients each."""
        self._checked(theta, flat=True)
        if self._checked(vector).ndim == 1:
            return self._product(theta, vector)
        rows = vector.reshape(-1, self.dim)
        return vmap(lambda v: self._product(theta, v), chunk_size=self.chunk)(rows).reshape(vector.shape)

    def _product(self, theta: Tensor, vector: Tensor) -> Tensor:
        # Forward over reverse: the derivative of the gradient along the vector.
        return jvp(grad(self._scalar), (theta,), (vector,))[1]

    def _scalar(self, theta: Tensor) -> Tensor:
        values = self.unflatten(theta) | self._fixed
        return self.criterion(functional_call(self.model, values, (self.inputs,)), self.targets)

    def _batched(self, function: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
        if self._checked(theta).ndim == 1:
            return function(theta)
        rows = vmap(function, chunk_size=self.chunk)(theta.reshape(-1, self.dim))
        return rows.reshape(*theta.shape[:-1], *rows.shape[1:])

    def _checked(self, theta: Tensor, flat: bool = False) -> Tensor:
        _checks.tensor("theta", theta)
        if theta.ndim == 0 or theta.shape[-1] != self.dim or (flat and theta.ndim != 1):
            allowed = f"({self.dim},)" if flat else f"(..., {self.dim})"
            raise ValueError(f"the flat parameters must have shape {allowed}; got {tuple(theta.shape)}")
        return theta


def top_eigenvalues(
    loss: Any, theta: Tensor, count: int = 1, *, tol: float = 1e-9, seed: int = 0, vectors: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """The ``count`` largest eigenvalues of the Hessian of ``loss`` at ``theta``, ``(dim,)``, largest first.

    By Lanczos iteration (ARPACK through ``scipy.sparse.linalg.eigsh``), from Hessian-vector products only:
    the Hessian is never formed, so ``dim`` may be large. ``loss`` is a :class:`NetworkLoss`, or any
    twice differentiable function of ``theta``. ``tol`` is the relative accuracy, ``seed`` chooses the
    first vector. With ``vectors=True`` also the unit eigenvectors, ``(count, dim)``.

    Raises ValueError unless ``1 <= count < dim`` (for the whole spectrum use the Hessian itself).

    >>> from optbias.losses import landscapes
    >>> top_eigenvalues(landscapes.get("ravine"), torch.ones(2, dtype=torch.float64)).round(decimals=6)
    tensor([10.], dtype=torch.float64)
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    _checks.tensor("theta", theta)
    dim = theta.numel()
    if theta.ndim != 1:
        raise ValueError(f"theta must have shape (dim,); got {tuple(theta.shape)}")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count < dim:
        raise ValueError(f"count must be a whole number in [1, {dim - 1}]; got {count!r}")
    _checks.number("tol", tol, low=0.0)
    theta = theta.detach()
    product = loss.hvp if hasattr(loss, "hvp") else lambda at, v: jvp(grad(loss), (at,), (v,))[1]

    def matvec(v: np.ndarray) -> np.ndarray:
        tensor = torch.as_tensor(v.reshape(-1), dtype=theta.dtype, device=theta.device)
        return product(theta, tensor).detach().cpu().numpy()

    kind = np.float32 if theta.dtype in (torch.float32, torch.float16, torch.bfloat16) else np.float64
    operator = LinearOperator((dim, dim), matvec=matvec, dtype=kind)
    first = torch.randn(dim, generator=generator(seed), dtype=torch.float64).numpy()
    values, columns = eigsh(operator, k=count, which="LA", tol=tol, v0=first)
    order = np.argsort(values)[::-1]
    top = torch.as_tensor(values[order].copy())
    return (top, torch.as_tensor(columns[:, order].T.copy())) if vectors else top
