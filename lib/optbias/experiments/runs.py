"""One setting of the reproductions, from names and numbers to a trained network and its measures.

:class:`Setting` is what a row of a recorded table knows about its run; the names of its fields are the names
of the columns. :func:`execute` is what a sweep runs (:mod:`optbias.experiments.sweep`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from optbias import _checks, data
from optbias.data import Split
from optbias.data.download import MissingFile
from optbias.experiments import measures
from optbias.experiments.sweep import Outcome, Where, key
from optbias.models import CNN, LSTM, MLP, ResidualMLP, ResNet, Transformer, VisionTransformer
from optbias.rules import Adam, AdamW, Rule
from optbias.rules.base import Rate
from optbias.theory.modified_equations import mean_lag
from optbias.training import OneNormPenalty, Probes, Run, TrainingError, train, train_many
from optbias.training.gradients import cross_entropy

OPTIMIZERS = ("Adam", "AdamW", "Adam+L2")
"""Adam, AdamW with decoupled decay, and Adam whose decay is the gradient of an L2 term (``Adam(weight_decay=...)``)."""


def squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over examples and classes of the squared distance to the label's unit vector."""
    target = torch.eye(logits.shape[-1], dtype=logits.dtype, device=logits.device)[labels]
    return (logits - target).square().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cross-entropy": cross_entropy, "squared-error": squared_error}
"""The training losses by name."""


@dataclass(frozen=True)
class Setting:
    """Everything that fixes one run.

    ``study`` names the question that the run belongs to. ``data`` is a name in :data:`DATA`; ``train_size``
    counts examples (images, or sequences of ``context`` tokens). ``model`` is a name in :data:`MODELS` with
    its ``width``, ``depth`` (layers or blocks) and ``norm``, the normalisation layers. ``beta`` and ``rho`` are
    the factors of the first and the second moment, also written beta1 and beta2. ``weight_decay`` is lambda for
    AdamW and the coefficient of the L2 term for Adam+L2. ``eps_inside``: under the root. ``decay_steps`` = s > 0
    makes the learning rate of step t ``lr / sqrt(1 + t/s)``; 0 keeps it constant. ``batch_size`` 0 is the
    full batch. ``start`` > 0 clips the initial weights to ``[-start, start]``. ``box`` is the half-width of
    the box that the probes look at, for runs without one of their own. ``precision`` is one of
    :data:`optbias.training.plan.PRECISIONS`, or ``"float64"`` for everything. ``kind`` is what is done: a training
    run, or what the experiment's own ``execute`` makes of another word. ``criterion`` names the loss, :data:`LOSSES`;
    ``test_size`` counts held-out images (0: up to twice ``train_size``); ``stop_below`` > 0 ends the run at that loss.
    ``dose`` is the dose of the explicit penalty that turns Adam's modified equation into that of ``(to_beta, to_rho)``
    (:class:`Steering`). ``skip``, ``attention`` and ``heads`` belong to the transformer; ``sharpness_every`` and
    ``slope_every`` are the probes'. ``inner`` is the width of a block's or a CNN's hidden layer (0: the model's own).

    A new field needs a default: the name of a run is made of the fields that have not theirs.
    """

    study: str
    data: str
    model: str
    optimizer: str = "Adam"
    beta: float = 0.9
    rho: float = 0.999
    lr: float = 1e-3
    weight_decay: float = 0.0
    eps: float = 1e-8
    eps_inside: bool = False
    decay_steps: int = 0
    batch_size: int = 0
    start: float = 0.0
    box: float = 0.0
    steps: int = 1000
    seed: int = 0
    train_size: int = 1000
    context: int = 0
    width: int = 32
    depth: int = 2
    norm: str = "none"
    activation: str = "gelu"
    micro_batch: int = 0
    evaluate_every: int = 0
    full_gradient_every: int = 1
    precision: str = "float32"
    kind: str = "training"
    criterion: str = "cross-entropy"
    test_size: int = 0
    stop_below: float = 0.0
    dose: float = 0.0
    to_beta: float = 0.0
    to_rho: float = 0.0
    skip: bool = True
    attention: bool = True
    sharpness_every: int = 0
    slope_every: int = 0
    heads: int = 4
    inner: int = 0

    def __post_init__(self) -> None:
        _checks.one_of("optimizer", self.optimizer, OPTIMIZERS)
        _checks.one_of("data", self.data, DATA)
        _checks.one_of("model", self.model, MODELS)
        _checks.one_of("criterion", self.criterion, LOSSES)
        if self.optimizer == "Adam" and self.weight_decay:
            raise ValueError(f"Adam has no weight decay here; got {self.weight_decay} (AdamW, Adam+L2)")

    @property
    def radius(self) -> float:
        """The half-width of the box that the run is measured against, NaN for none."""
        if self.optimizer == "AdamW" and self.weight_decay > 0:
            return 1 / self.weight_decay
        return self.box or math.nan

    @property
    def rate(self) -> Rate:
        """The learning rate, a number or a function of the step."""
        return InverseSquareRoot(self.lr, self.decay_steps) if self.decay_steps else self.lr

    def rule(self) -> Rule:
        """The update rule."""
        make = AdamW if self.optimizer == "AdamW" else Adam
        return make(
            lr=self.rate,
            betas=(self.beta, self.rho),
            eps=self.eps,
            weight_decay=self.weight_decay,
            eps_inside=self.eps_inside,
        )


@dataclass(frozen=True)
class Steering:
    """The weight of the one-norm penalty that steers Adam with factors ``(beta, rho)`` to another pair's equation.

    By the theory Adam descends, to second order, also ``lr (tau_n(beta) - tau_n(rho))`` times the perturbed one-norm
    of the gradient. The weight of update ``n + 1`` is ``dose`` times that of the pair ``to`` less its own: dose 1
    makes the two modified equations agree. ``to = (0, 0)``, or any equal pair, cancels the term.
    """

    dose: float
    lr: float
    own: tuple[float, float]
    to: tuple[float, float]

    def __call__(self, n: int) -> float:
        ages = [float(mean_lag(beta, n)) - float(mean_lag(rho, n)) for beta, rho in (self.to, self.own)]
        return self.dose * self.lr * (ages[0] - ages[1])


@dataclass(frozen=True)
class InverseSquareRoot:
    """The learning rate ``lr / sqrt(1 + t/s)`` of step ``t``: it sums to infinity, as Theorem 1.1 wants it."""

    lr: float
    s: int

    def __call__(self, t: int) -> float:
        return self.lr / math.sqrt(1 + t / self.s)


def _text(loader: Callable[..., Split], level: str) -> Callable[[Setting, str | None], Split]:
    def load(s: Setting, folder: str | None) -> Split:
        return _for_model(s, loader(level, sequences=s.train_size, context=s.context, folder=folder))

    return load


def _generated(level: str) -> Callable[[Setting, str | None], Split]:
    return lambda s, folder: _for_model(s, data.generated_text(level, sequences=s.train_size, context=s.context))


def _for_model(s: Setting, split: Split) -> Split:
    """Text as a plain network reads it: the context one-hot, and the token that follows it; as it is for others."""
    if s.model not in STACKED:
        return split

    def inputs(tokens: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(tokens, split.classes).flatten(1).float()

    return dataclasses.replace(
        split,
        inputs=inputs(split.inputs),
        labels=split.labels[:, -1],
        test_inputs=inputs(split.test_inputs),
        test_labels=split.test_labels[:, -1],
    )


def _cifar(size: int, loader: Callable[..., Split] = data.cifar10) -> Callable[[Setting, str | None], Split]:
    def load(s: Setting, folder: str | None) -> Split:
        flat = s.model in ("residual-mlp", "mlp")
        # The images are the same for every seed, as in the papers: a seed is another network.
        return loader(
            s.train_size,
            s.test_size or min(10_000, 2 * s.train_size),
            size=size,
            images=not flat,
            folder=folder,
            dtype=torch.float32,
        )

    return load


def _fashion(size: int) -> Callable[[Setting, str | None], Split]:
    def load(s: Setting, folder: str | None) -> Split:
        return data.fashion_mnist(
            s.train_size,
            s.test_size or min(10_000, 2 * s.train_size),
            size=size,
            images=s.model not in ("residual-mlp", "mlp"),
            folder=folder,
            dtype=torch.float32,
        )

    return load


def _digits(s: Setting, folder: str | None) -> Split:
    return data.digits(s.train_size, dtype=torch.float32)


DATA: dict[str, Callable[[Setting, str | None], Split]] = {
    "ptb-words": _text(data.penn_treebank, "word"),
    "ptb-characters": _text(data.penn_treebank, "character"),
    "shakespeare-words": _text(data.shakespeare, "word"),
    "shakespeare-characters": _text(data.shakespeare, "character"),
    "generated-words": _generated("word"),
    "generated-characters": _generated("character"),
    "digits": _digits,
    "cifar10-8": _cifar(8),
    "cifar10-16": _cifar(16),
    "cifar10-32": _cifar(32),
    "cifar100-8": _cifar(8, data.cifar100),
    "cifar100-32": _cifar(32, data.cifar100),
    "fashion-mnist-8": _fashion(8),
    "fashion-mnist-16": _fashion(16),
}
"""The data sets by name: text by its unit, CIFAR-10 by the side of the (mean-pooled) image."""


def _f32(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    return functools.partial(make, dtype=torch.float32)


MODELS: dict[str, Callable[[Setting, Split], nn.Module]] = {
    "lstm": lambda s, d: _f32(LSTM)(d.classes, s.width, s.depth, seed=s.seed),
    "transformer": lambda s, d: _f32(Transformer)(
        d.classes, s.context, s.width, s.heads, s.depth, s.activation, s.norm, s.skip, s.attention, seed=s.seed
    ),
    "mlp": lambda s, d: _f32(MLP)((_features(d), *[s.width] * s.depth, d.classes), s.activation, seed=s.seed),
    "residual-mlp": lambda s, d: _f32(ResidualMLP)(
        _features(d), s.width, s.depth, d.classes, s.activation, s.norm, seed=s.seed
    ),
    "cnn": lambda s, d: _f32(CNN)(
        d.inputs.shape[-1],
        d.classes,
        tuple(s.width * 2**k for k in range(s.depth)),
        s.inner or 4 * s.width,
        s.activation,
        s.norm,
        channels=d.inputs.shape[1],
        seed=s.seed,
    ),
    "resnet": lambda s, d: _f32(ResNet)(
        s.depth if s.depth > 9 else (1,) * s.depth,
        s.width,
        d.classes,
        s.norm,
        s.activation,
        channels=d.inputs.shape[1],
        seed=s.seed,
    ),
    "vit": lambda s, d: _f32(VisionTransformer)(
        d.inputs.shape[-1],
        d.classes,
        width=s.width,
        heads=s.heads,
        layers=s.depth,
        inner=s.inner or 128,
        norm=s.norm,
        channels=d.inputs.shape[1],
        seed=s.seed,
    ),
}
"""The networks by name. A ``resnet`` of depth 18, 34, 50 or 101 is the known one; of depth < 10, so many blocks."""

STACKED = ("mlp", "residual-mlp")
"""The models of which several are trained in one pass."""


def _features(split: Split) -> int:
    return math.prod(split.inputs.shape[1:])


@functools.lru_cache(maxsize=8)
def _load(name: str, train_size: int, context: int, flat: bool, folder: str | None, test_size: int = 0) -> Split:
    # Only the fields that the loaders look at; `flat` stands for the model's taste.
    model = "residual-mlp" if flat else "cnn"
    return DATA[name](Setting("", name, model, train_size=train_size, context=context, test_size=test_size), folder)


def split_of(setting: Setting, folder: str | None = None) -> Split:
    """The data of a setting, kept in memory for the next one. Raises DataError where the files are missing."""
    flat = setting.model in STACKED
    return _load(setting.data, setting.train_size, setting.context, flat, folder, setting.test_size)


def available(name: str, folder: str | None = None) -> bool:
    """Whether the data set called ``name`` can be read here without a download."""
    context = 0 if name.startswith(("digits", "cifar", "fashion")) else 16
    try:
        DATA[name](Setting("", name, "cnn", train_size=64, context=context), folder)
    except MissingFile:
        return False
    return True


def describe_data(setting: Setting, folder: str | None = None) -> dict[str, Any]:
    """Name, source, checksum and size of a setting's data, for the record."""
    split = split_of(setting, folder)
    return {"name": split.name, "source": split.source, **split.facts}


def model_of(setting: Setting, split: Split) -> nn.Module:
    """The network at its start."""
    model = MODELS[setting.model](setting, split)
    if setting.start > 0:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.clamp_(-setting.start, setting.start)
    return model


def together(setting: Setting) -> Any:
    """What settings must share to be trained in one pass."""
    same = dataclasses.replace(setting, optimizer="Adam", weight_decay=0.0, beta=0.9, rho=0.999, lr=1.0, seed=0)
    # One dose makes a Hessian product of the whole stack; then all may have one.
    dosed = float(setting.dose != 0)
    return dataclasses.replace(same, study="", decay_steps=0, dose=dosed, to_beta=0.0, to_rho=0.0)


def group_size(setting: Setting) -> int:
    """How many such settings are trained in one pass; the others of a sweep go to other workers."""
    return 8 if setting.model in STACKED and setting.kind == "training" else 1


def train_group(group: tuple[Setting, ...], where: Where, split: Split | None = None) -> list[Run]:
    """Train the networks of ``group``, which agree in all that :func:`together` keeps; one run each.

    A run whose loss or gradient stops being finite ends there; ``run.error`` says so. ``split`` is the setting's own
    if it is not given.
    """
    first = group[0]
    split = split_of(first, where.data) if split is None else split
    options: dict[str, Any] = {
        "batch_size": first.batch_size or None,
        "micro_batch": first.micro_batch or None,
        "evaluate_every": first.evaluate_every,
        "full_gradient_every": first.full_gradient_every if first.batch_size else 0,
        "device": where.device,
        "precision": "float32" if first.precision == "float64" else first.precision,
        "allow_batch_norm": first.norm == "batch",
        "dtype": torch.float64 if first.precision == "float64" else None,
        "loss": LOSSES[first.criterion],
        "stop_below": first.stop_below or None,
    }
    penalties = [
        OneNormPenalty(Steering(s.dose, s.lr, (s.beta, s.rho), (s.to_beta, s.to_rho)), s.eps) if s.dose else None
        for s in group
    ]
    probes = [
        Probes(
            radius=None if math.isnan(s.radius) else s.radius,
            eps=s.eps if s.eps_inside else s.eps**2,
            sharpness_every=s.sharpness_every,
            sharpness_tol=1e-2,
            slope_every=s.slope_every,
        )
        for s in group
    ]
    if where.checkpoints is not None:
        options |= {"checkpoint": checkpoint_of(group, where), "resume": True}
    if where.progress:
        options["progress"] = True
    if len(group) > 1:
        by_seed = {s.seed: s for s in group}
        return train_many(
            lambda seed: model_of(by_seed[seed], split),
            split,
            [(s.rule(), s.seed) for s in group],
            first.steps,
            probes=probes,
            penalties=penalties,
            **options,
        )
    try:
        return [
            train(
                model_of(first, split),
                split,
                first.rule(),
                first.steps,
                probes=probes[0],
                penalty=penalties[0],
                seed=first.seed,
                **options,
            )
        ]
    except TrainingError as error:
        if error.run is None or not error.run.error:
            raise
        return [error.run]


def checkpoint_of(group: tuple[Setting, ...], where: Where) -> Path:
    """Where the checkpoint of a group lies while it runs: a file, or a folder for several networks."""
    assert where.checkpoints is not None
    return Path(where.checkpoints) / key(group[0])


Measure = Callable[[Setting, pd.DataFrame], dict[str, Any]]
"""Numbers about a run from its whole history; they go into the record."""

ROWS = 160
"""About how many rows of a run's history are recorded."""


def execute(group: tuple[Setting, ...], where: Where, measure: Measure) -> list[Outcome]:
    """Train ``group`` and measure each run: a thinned history, and a summary with ``measure``'s numbers in it."""
    began = time.process_time(), time.perf_counter()
    runs = train_group(group, where)
    cpu, clock = time.process_time() - began[0], time.perf_counter() - began[1]
    outcomes = []
    for setting, run in zip(group, runs, strict=True):
        history = run.history
        summary = {
            "parameters": run.facts["parameters"],
            "examples": run.facts["examples"],
            "seconds": round(clock / len(group), 2),
            "cpu_seconds": round(cpu / len(group), 2),
            "how": {name: run.facts.get(name) for name in ("update", "compiled", "stacked", "precision", "device")},
            "ended": run.error or "finished",
            "last_step": int(history["step"].iloc[-1]),
            **measure(setting, history),
        }
        empty = [name for name in history.columns if history[name].isna().all()]
        outcomes.append(Outcome(measures.thinned(history, ROWS).drop(columns=empty), summary))
    if where.checkpoints is not None and int(os.environ.get("RANK", "0")) == 0:
        done = checkpoint_of(group, where)
        for file in (*done.glob("*"), *done.parent.glob(f"{done.name}.*"), done):
            file.rmdir() if file.is_dir() else file.unlink(missing_ok=True)
    return outcomes


PATIENCE = 0.15
"""Seconds after which a measured step is long enough to be believed."""


def cost_model(setting: Setting, where: Where) -> Callable[[Setting], float]:
    """How long a step of such a setting takes here: a function of the setting, in seconds for each network.

    Steps on a few examples are timed, and on more of them until a step takes a seventh of a second; the rest is
    linear in the number of examples. Networks that are trained in one pass are timed so. On a CPU it is the
    processor's time that counts: that of a core which others do not use.
    """
    whole = split_of(_few(setting), where.data)
    size = group_size(setting)
    one = dataclasses.replace(
        setting, steps=2, batch_size=0, micro_batch=0, evaluate_every=0, full_gradient_every=1, start=0.0,
        decay_steps=0, dose=0.0, stop_below=0.0, sharpness_every=0, slope_every=0,
    )  # fmt: skip
    group = tuple(dataclasses.replace(one, seed=k) for k in range(size))
    alone = dataclasses.replace(where, checkpoints=None, progress=False)

    def timed(examples: int) -> float:
        part = dataclasses.replace(whole, inputs=whole.inputs[:examples], labels=whole.labels[:examples])
        (run, *_) = train_group(group, alone, part)
        seconds = run.facts["cpu_seconds" if run.facts["device"] == "cpu" else "seconds"]
        return seconds / (one.steps + 1) / size

    least = min(len(whole.inputs), 8)
    timed(least)  # what happens once
    points = [(least, timed(least))]
    while points[-1][0] < len(whole.inputs) and points[-1][1] * size < PATIENCE:
        examples = min(len(whole.inputs), 8 * points[-1][0])
        points.append((examples, timed(examples)))
    (n, seconds), (fewer, before) = points[-1], points[max(0, len(points) - 2)]
    slope = max(0.0, (seconds - before) / (n - fewer)) if n > fewer else seconds / n
    held_out = len(whole.test_inputs) / max(1, len(whole.inputs))

    def gradient(examples: int) -> float:
        return max(1e-5, seconds + slope * (examples - n))

    def per_step(s: Setting) -> float:
        found = gradient(s.batch_size or s.train_size)
        if s.batch_size and s.full_gradient_every:
            found += gradient(s.train_size) / s.full_gradient_every
        if s.evaluate_every:
            # A pass without a gradient is a third of one with.
            found += slope * s.train_size * held_out / 3 / s.evaluate_every
        return found

    return per_step


def _few(setting: Setting) -> Setting:
    """The setting with at most some hundred images, which need no long reading to be timed."""
    few = min(setting.train_size, 500) if setting.data.startswith("cifar") else setting.train_size
    return dataclasses.replace(setting, train_size=few)
