"""Many runs: one network per setting, stacked in one pass where that pays."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from optbias.rules import Rule
from optbias.training.engine import Engine
from optbias.training.flat import Flat, shapes_of, trainable
from optbias.training.gradients import Data, HasSplit, Stack, batch_norms
from optbias.training.penalty import OneNormPenalty
from optbias.training.plan import Plan, find_device, set_up
from optbias.training.probes import Probes
from optbias.training.run import Run, TrainingError
from optbias.training.single import train
from optbias.training.updates import Merged
from optbias.training.world import World

LARGEST_STACKED = 65_536
"""Parameters of a network above which a stack gains nothing on a CPU: arithmetic is all, and the cache too small."""

LARGEST_PART = 4096
"""Targets in one part of a batch above which a stack's activations leave the cache of a CPU."""

LARGEST_MAPPED, FEWEST_MAPPED = 4096, 4
"""Parameters and number of networks between which ``torch.func.vmap`` pays, for networks without ``stacked``."""

LARGEST_ON_GPU = 1_000_000
"""Parameters of a network above which it is supposed to fill a GPU by itself (not measured)."""

PLANNED = {field.name for field in dataclasses.fields(Plan)}
"""The options that a plan takes over as they are."""

ROOM = 2_000_000
"""Parameters that one stack may hold on a CPU."""


def train_many(
    make_model: Callable[[int], nn.Module],
    split: HasSplit,
    settings: Sequence[tuple[Rule, int]],
    steps: int,
    *,
    stack: bool | str = "auto",
    probes: Probes | Sequence[Probes] | None = None,
    labels: Sequence[str] | None = None,
    penalties: Sequence[OneNormPenalty | None] | None = None,
    checkpoint: Path | str | None = None,
    **options: Any,
) -> list[Run]:
    """One run for each ``(rule, seed)`` of ``settings``, of the network ``make_model(seed)``, in their order.

    ``seed`` also fixes the order of mini-batches. ``probes`` and ``labels`` may have one entry for each setting
    (probes may differ in radius, eps and tolerance only), as may ``penalties``; ``checkpoint`` is a folder. ``options``
    are the other arguments of :func:`optbias.training.train`.

    Several networks of one shape can be trained as one stack: parameters ``(K, N)``, each layer one batched
    product. That saves the overhead of small operations and computes the same up to rounding.
    ``stack="auto"`` does it where it was found to be faster, by a fixed rule (:func:`does_not_pay`), so that the same
    call gives the same numbers: on a CPU for parts of up to 4,096 targets and networks with up to 65,536
    parameters that have a method ``stacked(parameters, inputs)``, or for four and more networks with up to 4,096
    that have not (``torch.func.vmap``); on a GPU, not measured, for the former up to a million. Otherwise, and with
    ``stack=False``, the runs follow one another. ``stack=True`` insists. ``run.facts["sweep"]`` says which.

    A run that diverges ends by itself: its ``error`` says why, and the others go on. Raises what ``train`` raises
    for bad arguments, ValueError for ``stack=True`` where it is impossible, and TrainingError for a checkpoint that
    cannot be written or read.

    >>> from optbias.data import digits
    >>> from optbias.models import MLP
    >>> from optbias.rules import Adam, SignGD
    >>> settings = [(Adam(0.01), 0), (SignGD(0.01), 0)]
    >>> runs = train_many(lambda seed: MLP([64, 10], seed=seed), digits(train=50), settings, 2)
    >>> len(runs)
    2
    """
    settings = list(settings)
    known = set(inspect.signature(train).parameters) - {"model", "split", "rule", "steps", "seed", "label", "penalty"}
    if unknown := set(options) - known:
        raise TypeError(f"train_many has no option {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    if not settings:
        raise ValueError("settings must hold at least one (rule, seed)")
    each = list(probes) if isinstance(probes, Sequence) else [probes or Probes()] * len(settings)
    names = [""] * len(settings) if labels is None else list(labels)
    added = [None] * len(settings) if penalties is None else list(penalties)
    if not len(each) == len(names) == len(added) == len(settings):
        raise ValueError(
            f"probes, labels and penalties must have one entry for each of the {len(settings)} settings; "
            f"got {len(each)}, {len(names)} and {len(added)}"
        )
    folder = None if checkpoint is None else Path(checkpoint)
    if stack not in ("auto", True, False):
        raise ValueError(f"stack must be 'auto', True or False; got {stack!r}")
    reason = "as asked"
    if stack:
        models, reason = candidates(make_model, split, settings, options, insist=stack is True)
        if models is not None:
            return _stacked(models, split, settings, steps, each, names, added, folder, options)
        if stack is True:
            raise ValueError(f"stack=True, but {reason}")
    runs = []
    for k, (rule, seed) in enumerate(settings):
        own = None if folder is None else folder / f"run-{k:04d}.checkpoint"
        try:
            run = train(
                make_model(seed), split, rule, steps,
                probes=each[k], seed=seed, checkpoint=own, label=names[k], penalty=added[k], **options,
            )  # fmt: skip
        except TrainingError as error:
            if error.run is None or not error.run.error:
                raise
            run = error.run
        run.facts["sweep"] = f"one after another: {reason}"
        runs.append(run)
    return runs


def candidates(
    make_model: Callable[[int], nn.Module],
    split: HasSplit,
    settings: Sequence[tuple[Rule, int]],
    options: dict[str, Any],
    insist: bool,
) -> tuple[dict[int, nn.Module] | None, str]:
    """The networks of all seeds if they are to be stacked, or None and the reason why not."""
    if len(settings) < 2:
        return None, "there is one setting only"
    if options.get("compile"):
        return None, "compile=True compiles one network at a time"
    if any(not rule.elementwise for rule, _ in settings if isinstance(rule, Rule)):
        return None, "a rule mixes coordinates"
    first = make_model(settings[0][1])
    shapes = shapes_of(first)
    size = sum(shape.numel() for shape in shapes.values())
    own = callable(getattr(first, "stacked", None))
    device = find_device(options.get("device", "auto"))
    if not insist and (reason := does_not_pay(size, own, device, part_of(split, options), len(settings))):
        return None, reason
    seeds = dict.fromkeys(seed for _, seed in settings)
    models = {seed: first if seed == settings[0][1] else make_model(seed) for seed in seeds}
    if batch_norms(first):
        return None, "batch normalisation has running averages of its own"
    fixed = dict(first.named_buffers()) | {n: p for n, p in first.named_parameters() if not p.requires_grad}
    for model in models.values():
        theirs = dict(model.named_buffers()) | {n: p for n, p in model.named_parameters() if not p.requires_grad}
        same = shapes_of(model) == shapes and set(theirs) == set(fixed)
        if not same or any(not torch.equal(value, theirs[name]) for name, value in fixed.items()):
            return None, "the networks of different seeds differ in more than their trained parameters"
    if not own and (problem := unmappable(first, split, device)):
        return None, problem
    return models, ""


def does_not_pay(size: int, own: bool, device: torch.device, part: int, count: int) -> str:
    """Why a stack would be no faster than one run after another; empty if it is.

    The limits for a CPU were measured (``benchmarks/training.py`` has some of the cases), that for a GPU is a guess.
    """
    if device.type != "cpu":
        if not own:
            return "torch.func.vmap was not measured on a GPU"
        return f"{size:,} parameters are too many for a stack to pay" if size > LARGEST_ON_GPU else ""
    if size > (LARGEST_STACKED if own else LARGEST_MAPPED):
        return f"{size:,} parameters are too many for a stack to pay"
    if part > LARGEST_PART:
        return f"parts of {part:,} targets are too large for a stack to pay; see micro_batch"
    if not own and count < FEWEST_MAPPED:
        return f"{count} networks are too few for torch.func.vmap to pay"
    return ""


def part_of(split: HasSplit, options: dict[str, Any]) -> int:
    """The number of targets in one part of a batch."""
    given = [options.get("batch_size"), options.get("micro_batch"), len(split.inputs)]
    return min(number for number in given if number) * max(1, split.labels[:1].numel())


def unmappable(model: nn.Module, split: HasSplit, device: torch.device) -> str:
    """Why ``torch.func.vmap`` cannot batch a network, found by trying; empty if it can."""
    if any(isinstance(part, nn.RNNBase) for part in model.modules()):
        return "torch.func.vmap has no rule for recurrent layers"
    parameters = {name: torch.stack([p.detach()] * 2).requires_grad_() for name, p in trainable(model).items()}
    dtype = next(iter(parameters.values())).dtype
    inputs = split.inputs[:2].to(device, dtype if split.inputs.is_floating_point() else None)
    try:
        logits = torch.func.vmap(lambda own: functional_call(model, own, (inputs,)))(parameters)
        torch.autograd.grad(logits.sum(), list(parameters.values()), materialize_grads=True)
    except Exception as error:
        return f"torch.func.vmap cannot batch it ({(str(error).splitlines() or [''])[0][:100]})"
    return ""


def _stacked(
    models: dict[int, nn.Module],
    split: HasSplit,
    settings: Sequence[tuple[Rule, int]],
    steps: int,
    each: Sequence[Probes],
    names: Sequence[str],
    added: Sequence[OneNormPenalty | None],
    folder: Path | None,
    options: dict[str, Any],
) -> list[Run]:
    device = find_device(options.get("device", "auto"))
    first = next(iter(models.values()))
    dtype = options.get("dtype") or next(iter(trainable(first).values())).dtype
    for model in models.values():
        model.to(device=device, dtype=dtype).train()
    data, world = Data.of(split, dtype, device), World(device)
    shapes = shapes_of(first)
    size = sum(shape.numel() for shape in shapes.values())
    # Rules of one kind side by side, so that they share updates.
    order = sorted(range(len(settings)), key=lambda k: _kind_of(settings, k))
    chunks = math.ceil(len(order) * size / ROOM) if device.type == "cpu" else 1
    length = math.ceil(len(order) / chunks)
    runs: dict[int, Run] = {}
    for start in range(0, len(order), length):
        rows = order[start : start + length]
        plan = Plan(
            steps=steps, **{name: value for name, value in options.items() if name in PLANNED},
            rules=tuple(settings[k][0] for k in rows), seeds=tuple(settings[k][1] for k in rows),
            probes=tuple(each[k] for k in rows),
            penalties=tuple(added[k] for k in rows),
            label=f"{len(rows)} networks" if options.get("progress") else "",
            checkpoint=None if folder is None else folder / f"stack-{start:04d}.checkpoint",
        )  # fmt: skip
        plan.check(data, dtype)

        def build(alive: Sequence[int], seeds: tuple[int, ...] = plan.seeds, plan: Any = plan) -> Stack:
            flat = Flat(shapes, len(alive), dtype, device)
            for k, row in enumerate(alive):
                flat.load(k, models[seeds[row]])
            return Stack(first, flat, data, plan.loss, world, plan.micro_batch, plan.precision)

        with set_up(device, plan.precision, plan.seeds[0]):
            engine = Engine(build, plan, data, world)
            found = engine.run()
        assert isinstance(engine.work, Stack)
        for k, run in zip(rows, found, strict=True):
            run.label = names[k]
            run.facts["sweep"] = f"stacked, {len(rows)} networks in one pass by {engine.work.how}"
            runs[k] = run
    return [runs[k] for k in range(len(settings))]


def _kind_of(settings: Sequence[tuple[Rule, int]], k: int) -> tuple[str, str, int]:
    rule = settings[k][0]
    kind = Merged.kind(rule)
    return type(rule).__name__, repr(kind) if isinstance(kind, tuple) else "", k
