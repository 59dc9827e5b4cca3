"""What a run is to do, where, and in which order: everything that is fixed before the first step."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optbias import _checks
from optbias.rules import Rule
from optbias.seeding import generator
from optbias.training.gradients import Data, Loss, cross_entropy
from optbias.training.penalty import OneNormPenalty
from optbias.training.probes import Probes, whole
from optbias.training.updates import first_rates

PRECISIONS = ("float32", "tf32", "bfloat16")
"""How matrix products are computed; parameters, gradients and moments keep the run's dtype."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an engine is to do, for ``K`` networks: ``rules``, ``seeds`` and ``probes`` have one entry for each."""

    rules: tuple[Rule, ...]
    seeds: tuple[int, ...]
    probes: tuple[Probes, ...]
    steps: int
    batch_size: int | None = None
    micro_batch: int | None = None
    evaluate_every: int = 0
    full_gradient_every: int = 0
    stop_below: float | None = None
    checkpoint: Path | None = None
    checkpoint_seconds: float = 60.0
    resume: bool = False
    precision: str = "float32"
    fused: bool | str = "auto"
    progress: bool = False
    label: str = ""
    loss: Loss = cross_entropy
    penalties: tuple[OneNormPenalty | None, ...] = ()

    def check(self, data: Data, dtype: torch.dtype) -> None:
        """Raise ValueError or TypeError for what cannot be done."""
        whole("steps", self.steps, 0)
        _checks.one_of("precision", self.precision, PRECISIONS)
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"dtype must be torch.float32 or torch.float64; got {dtype}. See precision for fewer digits"
            )
        if self.precision != "float32" and dtype != torch.float32:
            raise ValueError(f"precision={self.precision!r} needs dtype=torch.float32; got {dtype}")
        if not callable(self.loss):
            raise TypeError(f"loss must be a function of logits and labels; got {self.loss!r}")
        for name in ("batch_size", "micro_batch"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), 1)
        if self.batch_size is not None and self.batch_size > len(data):
            raise ValueError(f"batch_size must be at most the {len(data)} training examples; got {self.batch_size}")
        for name in ("evaluate_every", "full_gradient_every"):
            whole(name, getattr(self, name), 0)
        if self.full_gradient_every and self.batch_size is None:
            raise ValueError("full_gradient_every is for runs with mini-batches; every step of this one is full-batch")
        if self.evaluate_every and len(data.test_inputs) == 0:
            raise ValueError("evaluate_every needs held-out data; split.test_inputs is empty")
        if self.stop_below is not None:
            _checks.number("stop_below", self.stop_below)
            if self.batch_size is not None and not self.full_gradient_every:
                raise ValueError("stop_below compares the loss of the whole training set: give full_gradient_every too")
        _checks.number("checkpoint_seconds", self.checkpoint_seconds, low=0.0)
        if self.resume and self.checkpoint is None:
            raise ValueError("resume=True needs the checkpoint's path")
        for seed in self.seeds:
            generator(seed)  # refuses what is no seed
        for rule in self.rules:
            if not isinstance(rule, Rule):
                raise TypeError(f"rule must be a rule from optbias.rules; got {rule!r}")
            for name, number in rule.tensors():
                if number.numel() != 1:
                    raise ValueError(
                        f"a run has one setting; {name} holds {number.numel()} numbers. Use train_many for a grid"
                    )
        for own in self.probes:
            if not isinstance(own, Probes):
                raise TypeError(f"probes must be optbias.training.Probes; got {own!r}")
        for penalty in self.penalties:
            if penalty is not None and not isinstance(penalty, OneNormPenalty):
                raise TypeError(f"penalty must be optbias.training.OneNormPenalty or None; got {penalty!r}")
        n = len(data) if self.batch_size is None else self.batch_size
        given = [p for p in self.penalties if p is not None]
        if len({p.difference for p in given}) > 1:
            raise ValueError("the penalties of a sweep may differ in weight and eps only")
        exact = any(p.difference == 0 for p in given)
        if exact and self.micro_batch is not None and self.micro_batch < n:
            raise ValueError(
                "a penalty on the gradient's norm needs the batch in one part: micro_batch=None, or difference=1e-5"
            )
        first = replace(self.probes[0], radius=None, eps=None, tolerance=0.0)
        for own in self.probes:
            if replace(own, radius=None, eps=None, tolerance=0.0) != first:
                raise ValueError("the probes of a sweep may differ in radius, eps and tolerance only")

    def fingerprint(self, data: Data) -> dict[str, Any]:
        """What must be the same when a run is resumed; ``steps`` may grow."""
        seen = hashlib.sha256()
        for part in (data.inputs, data.labels, data.test_inputs, data.test_labels):
            seen.update(part.detach().cpu().contiguous().numpy().tobytes())
        penalties = [
            None if p is None else [p.eps, p.difference, *map(p.weight, (0, 1, 10, 100, 1000))] for p in self.penalties
        ]
        return {
            "penalties": penalties if any(penalties) else None,
            "rules": [f"{described(rule)} {first_rates(rule)}" for rule in self.rules],
            "seeds": list(self.seeds),
            "probes": [repr(own) for own in self.probes],
            "batch_size": self.batch_size,
            "micro_batch": self.micro_batch,
            "evaluate_every": self.evaluate_every,
            "full_gradient_every": self.full_gradient_every,
            "stop_below": self.stop_below,
            "precision": self.precision,
            "loss": getattr(self.loss, "__qualname__", type(self.loss).__qualname__),
            "data": seen.hexdigest(),
        }

    @property
    def columns(self) -> list[str]:
        """The columns of a history besides ``step``."""
        return [
            "loss",
            *self.probes[0].columns(),
            "batch_loss",
            "test_loss",
            "test_accuracy",
            "sharpness",
            "norm_slope",
        ]


class Order:
    """The order of the mini-batches: a new permutation in every epoch, fixed by the seed."""

    def __init__(self, n: int, batch_size: int, seed: int) -> None:
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self.per_epoch = n // batch_size
        self._epoch, self._permutation = -1, torch.empty(0, dtype=torch.int64)

    def __call__(self, t: int) -> Tensor:
        """The indices of the mini-batch of step ``t + 1``, shape ``(batch_size,)``."""
        epoch, place = divmod(t, self.per_epoch)
        if epoch != self._epoch:
            # A seed of its own for every epoch: a resumed run need not draw the epochs before.
            own = int(np.random.SeedSequence((self.seed, epoch)).generate_state(1)[0])
            self._epoch, self._permutation = epoch, torch.randperm(self.n, generator=generator(own))
        return self._permutation[place * self.batch_size : (place + 1) * self.batch_size]


def described(rule: Rule) -> str:
    """The name and the numbers of a rule, without a schedule's address in memory."""
    numbers = {n: "schedule" if callable(v) else v for n, v in rule.hyperparameters().items()}
    return f"{type(rule).__name__}({', '.join(f'{name}={value}' for name, value in numbers.items())})"


def find_device(device: str | torch.device) -> torch.device:
    """The device that ``"auto"`` means, or the one that is named. Raises ValueError for one that is not there."""
    if device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    kind = f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N'; got {str(device)!r}"
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise ValueError(kind) from error
    if where.type not in ("cpu", "cuda") or (where.type == "cpu" and where.index):
        raise ValueError(kind)
    if where.type == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if where.index is None and count:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % count)
    if where.index is None or where.index >= count:
        there = f"; there are cuda:0 to cuda:{count - 1}" if count > 1 else "; there is cuda:0" if count else ""
        raise ValueError(
            f"device={str(device)!r} asks for a GPU that torch does not see{there}: 'auto' takes what is there"
        )
    return where


@contextlib.contextmanager
def set_up(device: torch.device, precision: str, seed: int) -> Iterator[None]:
    """Random state, TF32 and determinism for the time of a run; everything is put back afterwards."""
    cuda = device.type == "cuda"
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[device] if cuda else []))
        torch.manual_seed(seed)
        if cuda:
            stack.enter_context(torch.cuda.device(device))
            # cuDNN's recurrent layers would like their weights in an order of their own. They lie in the flat buffer in
            # that of the module; cuDNN takes a copy of them at each call, which is little beside the sequence itself.
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
            matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
            before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark)
            matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
            cudnn.deterministic, cudnn.benchmark = True, False

            def put_back() -> None:
                matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before

            stack.callback(put_back)
        yield
