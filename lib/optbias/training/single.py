"""Training one network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from optbias.rules import Rule
from optbias.training.engine import Engine
from optbias.training.flat import Flat, shapes_of, trainable
from optbias.training.gradients import Data, HasSplit, Loss, OneNetwork, Work, batch_norms, cross_entropy
from optbias.training.penalty import OneNormPenalty
from optbias.training.plan import Plan, find_device, set_up
from optbias.training.probes import Probes
from optbias.training.run import Run, TrainingError
from optbias.training.world import World


def train(
    model: nn.Module,
    split: HasSplit,
    rule: Rule,
    steps: int,
    *,
    batch_size: int | None = None,
    micro_batch: int | None = None,
    loss: Loss = cross_entropy,
    probes: Probes | None = None,
    evaluate_every: int = 0,
    full_gradient_every: int = 0,
    stop_below: float | None = None,
    checkpoint: Path | str | None = None,
    checkpoint_seconds: float = 60.0,
    resume: bool = False,
    device: str | torch.device = "auto",
    dtype: torch.dtype | None = None,
    precision: str = "float32",
    fused: bool | str = "auto",
    compile: bool = False,
    allow_batch_norm: bool = False,
    penalty: OneNormPenalty | None = None,
    seed: int = 0,
    progress: bool = False,
    label: str = "",
) -> Run:
    """Train ``model`` in place with ``rule`` for ``steps`` steps; returns its :class:`Run`.

    ``split`` has ``inputs``, ``labels``, ``test_inputs`` and ``test_labels`` (:class:`optbias.data.Split`).
    ``loss(logits, labels)`` is a mean over examples; by default the mean cross-entropy over all targets.

    **Batches.** ``batch_size=None`` takes the full batch at every step, a number takes mini-batches without
    replacement within an epoch, in an order that ``seed`` fixes (examples left over at an epoch's end are
    left out). ``micro_batch`` cuts every batch into parts of that size: less memory, and the same gradient
    up to rounding. A network with batch normalisation is refused with more than one part, since its
    gradient would not be that of the batch; ``allow_batch_norm=True`` normalises each part by itself, as the
    code of Cattaneo et al. does.

    **Measuring.** ``probes`` says what is measured at each step (:class:`Probes`); ``evaluate_every`` > 0 adds the
    held-out loss and accuracy. With mini-batches the columns of the training loss and its gradient are
    measured on the *whole* training set every ``full_gradient_every`` steps, and not at all if that is 0.
    ``stop_below`` ends the run at the first step whose training loss is smaller. ``penalty`` adds a multiple of the
    gradient's perturbed one-norm to the loss that the rule descends (:class:`OneNormPenalty`); what is measured stays
    the loss without it.

    **Checkpoints.** With ``checkpoint``, a file, the state is written every ``checkpoint_seconds`` and at the
    end, whole or not at all; ``resume=True`` goes on from it, if it is there, to the same numbers bit for bit
    (on a CPU with the same number of threads). The file before it is kept as ``NAME.previous`` and is read if
    the newest one is damaged.

    **Machines.** ``device="auto"`` takes a GPU if there is one. Started by ``torchrun``, the processes share the
    parts of each batch and sum their gradients (:class:`optbias.training.world.World`). ``dtype`` is that of
    parameters, gradients and moments (None: the model's). ``precision`` ``"tf32"`` or ``"bfloat16"`` computes
    matrix products with fewer digits; ``fused`` as in :func:`optbias.training.updates.update`. ``compile=True``
    compiles the network with ``torch.compile`` (on a GPU with CUDA graphs), or warns why not and goes on.
    ``run.facts`` records all of it.

    Raises ValueError or TypeError for bad arguments, and :class:`TrainingError`, which carries the run up to
    there, for a loss or gradient that is not finite and for a checkpoint that cannot be written or read.

    >>> from optbias.data import digits
    >>> from optbias.models import MLP
    >>> from optbias.rules import Adam
    >>> run = train(MLP([64, 10]), digits(train=50), Adam(0.01), 3, progress=False)
    >>> bool(run.history["loss"].iloc[-1] < run.history["loss"].iloc[0])
    True
    """
    where = find_device(device)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    dtype = next(iter(trainable(model).values())).dtype if dtype is None else dtype
    model.to(device=where, dtype=dtype)
    shapes = shapes_of(model)
    data = Data.of(split, dtype, where)
    world = World(where)
    plan = Plan(
        steps=steps, batch_size=batch_size, micro_batch=micro_batch, probes=(Probes() if probes is None else probes,),
        evaluate_every=evaluate_every, full_gradient_every=full_gradient_every, stop_below=stop_below,
        checkpoint=None if checkpoint is None else Path(checkpoint), checkpoint_seconds=checkpoint_seconds,
        resume=resume, precision=precision, fused=fused, seeds=(seed,), rules=(rule,), progress=progress, label=label,
        loss=loss, penalties=(penalty,),
    )  # fmt: skip
    plan.check(data, dtype)
    refuse_batch_norm(model, plan, len(data), world, allow_batch_norm)
    was_training = model.training
    model.train()

    def build(rows: Sequence[int]) -> Work:
        flat = Flat(shapes, 1, dtype, where)
        flat.bind(model)
        return OneNetwork(model, flat, data, loss, world, micro_batch, precision, compiled=compile)

    try:
        with set_up(where, precision, seed):
            (run,) = Engine(build, plan, data, world).run()
    finally:
        model.train(was_training)
        for parameter in trainable(model).values():
            parameter.grad = None
    if run.error:
        raise TrainingError(run.error, [run])
    return run


def refuse_batch_norm(model: nn.Module, plan: Plan, n: int, world: World, allowed: bool) -> None:
    """Raise ValueError for batch normalisation over more than one part of a batch, unless that is allowed."""
    n = n if plan.batch_size is None or plan.full_gradient_every else plan.batch_size
    size = plan.micro_batch or -(-n // world.size)
    found = batch_norms(model)
    if found and size < n and not allowed:
        raise ValueError(
            f"the network normalises over the batch ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''}), so "
            f"the gradients of parts of {size} do not add up to that of the batch of {n}. Use the batch at once "
            "(micro_batch=None, one process), another normalisation (layer or group), or allow_batch_norm=True for "
            "statistics of each part, which is not the full-batch gradient"
        )
