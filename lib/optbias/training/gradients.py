"""Losses and exact gradients over a data set, part by part, of one network or of a stack of networks."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from optbias.training.flat import Flat, trainable
from optbias.training.penalty import Weights
from optbias.training.world import World

Loss = Callable[[Tensor, Tensor], Tensor]


class HasSplit(Protocol):
    """What :func:`optbias.training.train` reads of a data set, see :class:`optbias.data.Split`."""

    @property
    def inputs(self) -> Tensor:
        """Training inputs, ``(n, ...)``."""

    @property
    def labels(self) -> Tensor:
        """Their labels, ``(n, ...)``."""

    @property
    def test_inputs(self) -> Tensor:
        """Held-out inputs."""

    @property
    def test_labels(self) -> Tensor:
        """Their labels."""


@dataclass
class Data:
    """A data set on the device of the run, with inputs in its dtype."""

    inputs: Tensor
    labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor

    @classmethod
    def of(cls, split: HasSplit, dtype: torch.dtype, device: torch.device) -> Data:
        """The tensors of ``split``, moved. Raises ValueError for parts that do not fit together."""
        moved = [
            part.to(device=device, dtype=dtype if part.is_floating_point() else part.dtype)
            for part in (split.inputs, split.labels, split.test_inputs, split.test_labels)
        ]
        for kind, inputs, labels in (("inputs", *moved[:2]), ("test_inputs", *moved[2:])):
            if len(inputs) != len(labels):
                raise ValueError(f"{kind} and their labels must have one length; got {len(inputs)} and {len(labels)}")
        if len(moved[0]) == 0:
            raise ValueError("split.inputs must hold at least one example; got none")
        return cls(*moved)

    def __len__(self) -> int:
        return len(self.inputs)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy over all targets: logits ``(*shape, classes)``, labels ``shape``."""
    return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


class Work:
    """The losses, gradients and Hessian products of ``K`` networks that one engine trains.

    ``indices`` choose a mini-batch: ``(b,)``, or ``(K, b)`` with one for each network; None is the whole data set. A
    batch is cut into parts of ``micro_batch`` examples, whose gradients are added up with their shares as
    weights: the exact gradient of the mean, if the network treats each example by itself.
    """

    def __init__(
        self,
        flat: Flat,
        data: Data,
        loss: Loss,
        world: World,
        micro_batch: int | None,
        precision: str,
    ) -> None:
        self.flat, self.data, self.loss, self.world = flat, data, loss, world
        self.micro_batch, self.precision = micro_batch, precision
        self.device = flat.theta.device
        self.parameters: list[Tensor] = []
        self.extra: Tensor | None = None
        # Which parameters the last gradient's loss depends on, in the order of flat.shapes.
        self.reached = torch.ones(len(flat.shapes), dtype=torch.bool, device=self.device)
        self.all_reached = True

    def gradient(self, indices: Tensor | None = None) -> None:
        """Fill ``flat.grads`` and ``flat.losses`` with those of the batch, on every process."""
        n = len(self.data) if indices is None else indices.shape[-1]
        parts = self.parts(n)
        reached = [False] * len(self.parameters)
        if not parts:
            self.flat.summed.zero_()
        for i, part in enumerate(parts):
            weight = (part.stop - part.start) / n
            losses = self.losses(*self.batch(indices, part))
            total = losses.sum()
            found = torch.autograd.grad(total * weight if weight < 1 else total, self.parameters, allow_unused=True)
            grads = [torch.zeros_like(p) if g is None else g for g, p in zip(found, self.parameters, strict=True)]
            reached = [before or g is not None for before, g in zip(reached, found, strict=True)]
            self.flat.take(grads, losses.detach() * weight, add=i > 0)
        self.world.sum(self.flat.summed)
        if self.world.size > 1 or not all(reached) or not self.all_reached:
            self.note_reached(reached)

    def note_reached(self, reached: Sequence[bool]) -> None:
        """Remember which parameters had a gradient, as the first process saw it."""
        self.reached = torch.tensor(reached, device=self.device)
        self.world.from_first(self.reached)
        self.all_reached = bool(self.reached.all())

    @contextlib.contextmanager
    def unreached_kept(self) -> Iterator[None]:
        """Within this context ``flat.theta`` may change; parameters without a gradient are put back, as in torch."""
        if self.all_reached:
            yield
            return
        sizes = [shape.numel() for shape in self.flat.shapes.values()]
        left = self.reached.logical_not().repeat_interleave(torch.tensor(sizes, device=self.device))
        before = self.flat.theta[:, left]
        yield
        self.flat.theta[:, left] = before

    def penalised(self, weights: Weights, t: int, indices: Tensor | None = None) -> None:
        """:meth:`gradient`, and in ``extra``, ``(K, N)``, the gradient of the penalties of update ``t + 1``.

        Raises ValueError for a batch in several parts: the norm of a sum is not the sum of the norms.
        """
        if weights.difference > 0:
            self._penalised_by_difference(weights, t, indices)
            return
        n = len(self.data) if indices is None else indices.shape[-1]
        if self.world.size > 1 or (self.micro_batch or n) < n:
            raise ValueError("a penalty on the gradient's norm needs the batch in one part and one process")
        with twice_differentiable():
            losses = self.losses(*self.batch(indices, slice(0, n)))
            found = torch.autograd.grad(losses.sum(), self.parameters, create_graph=True, allow_unused=True)
            grads = [torch.zeros_like(p) if g is None else g for g, p in zip(found, self.parameters, strict=True)]
            self.note_reached([g is not None for g in found])
            norm = weights.weighted_norm(grads, t)
            rows = self.flat.rows
            self.extra = torch.zeros_like(self.flat.grads)
            if norm.requires_grad:
                second = torch.autograd.grad(norm, self.parameters, materialize_grads=True)
                torch.cat([part.reshape(rows, -1) for part in second], 1, out=self.extra)
        self.flat.take([grad.detach() for grad in grads], losses.detach(), add=False)

    def _penalised_by_difference(self, weights: Weights, t: int, indices: Tensor | None) -> None:
        """The same with the Hessian's product as the difference of two gradients."""
        flat = self.flat
        before = {name: buffer.clone() for name, buffer in self.buffers().items()}
        with torch.no_grad():
            theta = flat.theta.clone()
        self.gradient(indices)
        here, losses = flat.grads.clone(), flat.losses.clone()
        with torch.no_grad():
            flat.theta.add_(weights.direction(here), alpha=weights.difference)
        after = {name: buffer.clone() for name, buffer in self.buffers().items()}
        for name, buffer in self.buffers().items():
            buffer.copy_(before[name])
        self.gradient(indices)
        for name, buffer in self.buffers().items():
            buffer.copy_(after[name])
        factor = torch.tensor(weights.at(t), dtype=here.dtype, device=here.device)[:, None] / weights.difference
        self.extra = (flat.grads - here) * factor
        with torch.no_grad():
            flat.theta.copy_(theta)
        flat.grads.copy_(here)
        flat.losses.copy_(losses)

    def parts(self, n: int) -> list[slice]:
        """This process's share of the parts of a batch of ``n``."""
        size = self.micro_batch or -(-n // self.world.size)
        return [slice(a, min(a + size, n)) for a in range(0, n, size)][self.world.rank :: self.world.size]

    def batch(self, indices: Tensor | None, part: slice) -> tuple[Tensor, Tensor]:
        """Inputs and labels of a part."""
        if indices is None:
            return self.data.inputs[part], self.data.labels[part]
        chosen = indices[..., part]
        return self.data.inputs[chosen], self.data.labels[chosen]

    def losses(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of each network on a part, ``(K,)``, with a graph."""
        raise NotImplementedError

    def test(self) -> tuple[Tensor, Tensor]:
        """Held-out loss and accuracy (NaN where labels are not classes), each ``(K,)``."""
        raise NotImplementedError

    def buffers(self) -> dict[str, Tensor]:
        """Tensors that training changes besides the parameters: running averages of normalisation layers."""
        return {}

    def product(self, row: int, vector: Tensor) -> Tensor:
        """The Hessian of the training loss of network ``row`` times ``vector``, ``(N,)``."""
        self.world.from_first(vector)
        total = torch.zeros_like(vector)
        n = len(self.data)
        with twice_differentiable():
            for part in self.parts(n):
                parameters = self.leaves(row)
                loss = self.loss_at(parameters, row, *self.batch(None, part)) * ((part.stop - part.start) / n)
                grads = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, materialize_grads=True)
                along = sum(
                    (g.reshape(-1) @ v for g, v in zip(grads, self._split(vector), strict=True)), vector.new_zeros(())
                )
                if along.requires_grad:
                    second = torch.autograd.grad(along, list(parameters.values()), materialize_grads=True)
                    total += torch.cat([s.reshape(-1) for s in second])
        self.world.sum(total)
        return total

    def leaves(self, row: int) -> dict[str, Tensor]:
        """The parameters of network ``row``, apart from every graph."""
        return {
            name: view[row].detach().requires_grad_(True) for name, view in self.flat.views(self.flat.theta).items()
        }

    def loss_at(self, parameters: dict[str, Tensor], row: int, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of network ``row`` with other parameters."""
        raise NotImplementedError

    def _split(self, vector: Tensor) -> Sequence[Tensor]:
        return vector.split([shape.numel() for shape in self.flat.shapes.values()])

    def precise(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which a network computes: bfloat16 where it was asked for."""
        if self.precision == "bfloat16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()


class OneNetwork(Work):
    """A module whose parameters are views into the one row of ``flat``."""

    def __init__(self, model: nn.Module, *arguments: Any, compiled: bool = False) -> None:
        super().__init__(*arguments)
        self.model = model
        self.parameters = list(trainable(model).values())
        self.called: Callable[..., Any] = model
        self.compiled = "no"
        if compiled:
            self._compile()

    def _compile(self) -> None:
        mode = "reduce-overhead" if self.device.type == "cuda" else "default"
        buffers = {name: buffer.clone() for name, buffer in self.buffers().items()}
        try:
            self.called = torch.compile(self.model, mode=mode)
            self.compiled = f"torch.compile, mode={mode!r}"
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                self.gradient()  # the compiler runs at the first call
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            self.called, self.compiled = self.model, f"no: {type(error).__name__}: {reason}"
            warnings.warn(
                f"torch.compile failed, so the run goes on without it ({type(error).__name__}: {reason})",
                RuntimeWarning,
                stacklevel=2,
            )
        for name, buffer in self.buffers().items():
            buffer.copy_(buffers[name])

    def losses(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss on a part, ``(1,)``, with a graph."""
        with self.precise():
            logits = self.called(inputs)
        return self._value(logits, labels).reshape(1)

    def _value(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.loss(logits.to(self.flat.theta.dtype), labels)

    def test(self) -> tuple[Tensor, Tensor]:
        """Held-out loss and accuracy, each ``(1,)``."""
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        n = len(self.data.test_inputs)
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad(), self.precise():
            for part in self.parts(n):
                labels = self.data.test_labels[part]
                logits = self.model(self.data.test_inputs[part])
                share = (part.stop - part.start) / n
                sums[0] += self._value(logits, labels).double() * share
                sums[1] += right(logits, labels) * share
        self.model.train(was_training)
        self.world.sum(sums)
        return sums[:1], sums[1:]

    def buffers(self) -> dict[str, Tensor]:
        """The module's buffers."""
        return dict(self.model.named_buffers())

    def loss_at(self, parameters: dict[str, Tensor], row: int, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss with other parameters."""
        kept = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        return self.loss(functional_call(self.model, parameters | kept, (inputs,)), labels)


class Stack(Work):
    """``K`` networks of one shape in one pass: by the module's own ``stacked``, or by ``torch.func.vmap``."""

    def __init__(self, model: nn.Module, flat: Flat, *arguments: Any) -> None:
        super().__init__(flat, *arguments)
        self.model = model
        self.own = callable(getattr(model, "stacked", None))
        self.how = "the module's batched products" if self.own else "torch.func.vmap"
        self.named = {name: view.detach().requires_grad_() for name, view in flat.views(flat.theta).items()}
        self.parameters = list(self.named.values())

    def logits(self, parameters: dict[str, Tensor], inputs: Tensor, each: bool) -> Tensor:
        """Logits ``(K, n, ..., classes)``; ``each`` says that ``inputs`` hold one batch for each network."""
        if self.own:
            return self.model.stacked(parameters, inputs)  # type: ignore[operator]
        run = torch.func.vmap(lambda p, x: functional_call(self.model, p, (x,)), in_dims=(0, 0 if each else None))
        return run(parameters, inputs)

    def losses(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of each network on a part, ``(K,)``, with a graph."""
        each = labels.ndim > self.data.labels.ndim
        with self.precise():
            logits = self.logits(self.named, inputs, each)
        return self._values(logits.to(self.flat.theta.dtype), labels, each)

    def _values(self, logits: Tensor, labels: Tensor, each: bool) -> Tensor:
        rows = len(logits)
        if self.loss is not cross_entropy:
            return torch.func.vmap(self.loss, in_dims=(0, 0 if each else None))(logits, labels)
        # expand and reshape copy, which costs nothing beside the network
        repeated = (labels if each else labels.expand(rows, *labels.shape)).reshape(-1)
        values = functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), repeated, reduction="none")
        return values.view(rows, -1).mean(1)

    def test(self) -> tuple[Tensor, Tensor]:
        """Held-out losses and accuracies, each ``(K,)``."""
        sums = torch.zeros(2, self.flat.rows, dtype=torch.float64, device=self.device)
        n = len(self.data.test_inputs)
        with torch.no_grad(), self.precise():
            for part in self.parts(n):
                labels, share = self.data.test_labels[part], (part.stop - part.start) / n
                logits = self.logits(self.named, self.data.test_inputs[part], False)
                sums[0] += self._values(logits.to(self.flat.theta.dtype), labels, False) * share
                sums[1] += torch.stack([right(row, labels) for row in logits]) * share
        self.world.sum(sums)
        return sums[0], sums[1]

    def loss_at(self, parameters: dict[str, Tensor], row: int, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of network ``row`` with other parameters."""
        return self.loss(functional_call(self.model, parameters, (inputs,)), labels)


def right(logits: Tensor, labels: Tensor) -> Tensor:
    """The share of targets whose largest logit is the label's; NaN where labels are not classes. 0-d, float64."""
    if labels.is_floating_point() or logits.shape[:-1] != labels.shape:
        return torch.full((), torch.nan, dtype=torch.float64, device=logits.device)
    return (logits.argmax(-1) == labels).double().mean()


@contextlib.contextmanager
def twice_differentiable() -> Iterator[None]:
    """Leave out kernels that have no second derivative: fused attention, and cuDNN's recurrent networks."""
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield


def batch_norms(model: nn.Module) -> list[str]:
    """The names of the layers that normalise over the batch in training mode."""
    return [name for name, part in model.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
