"""Adam's path on a network beside the flow and the corrected equation, in float64."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.func import functional_call

from optbias.experiments import runs
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import Outcome, Where
from optbias.rules import Adam
from optbias.simulate import trajectory
from optbias.theory.modified_equations import flow
from optbias.training.flat import trainable
from optbias.training.gradients import cross_entropy

HALVINGS = 4
"""How often the learning rate is halved, from ``Setting.lr`` on, over the same time ``lr * steps``."""


def flat_loss(setting: Setting, folder: str | None) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The network's training loss as a function of one flat vector ``(N,)``, float64, and its initial weights."""
    split = runs.split_of(setting, folder)
    model = runs.model_of(setting, split).double()
    parameters = trainable(model)
    sizes, shapes = [p.numel() for p in parameters.values()], [p.shape for p in parameters.values()]
    inputs, labels = split.inputs.double(), split.labels

    def loss(theta: Tensor) -> Tensor:
        parts = [piece.reshape(shape) for piece, shape in zip(theta.split(sizes), shapes, strict=True)]
        return cross_entropy(functional_call(model, dict(zip(parameters, parts, strict=True)), (inputs,)), labels)

    return loss, torch.cat([p.detach().reshape(-1) for p in parameters.values()])


def execute(setting: Setting, where: Where) -> Outcome:
    """Distances, largest over coordinates, of Adam's path from the two solutions, for each learning rate.

    The history has a row for each learning rate and time: ``step`` (of that rate), ``rate``, ``plain`` (the flow that
    Adam was made from) and ``corrected``. The summary has the largest over time, and the slopes of their logarithms
    over the two smallest rates.
    """
    began = time.process_time(), time.perf_counter()
    loss, start = flat_loss(setting, where.data)
    tables, rates = [], [setting.lr / 2**k for k in range(HALVINGS)]
    for k, lr in enumerate(rates):
        rule, steps = Adam(lr, (setting.beta, setting.rho), setting.eps, eps_inside=True), setting.steps * 2**k
        path = trajectory(rule, loss, start, steps)
        away = {
            name: (path - flow(rule, loss, start, steps, order=order, substeps=1)).abs().amax(1).numpy()
            for name, order in (("plain", 1), ("corrected", 2))
        }
        kept = np.arange(0, steps + 1, max(1, steps // 20))
        tables.append(pd.DataFrame({"step": kept, "rate": lr, **{n: v[kept] for n, v in away.items()}}))
        tables[-1].attrs = {n: float(v.max()) for n, v in away.items()}
    largest = {name: [t.attrs[name] for t in tables] for name in ("plain", "corrected")}
    cpu, clock = time.process_time() - began[0], time.perf_counter() - began[1]
    summary = {
        "parameters": len(start),
        "seconds": round(clock, 2),
        "cpu_seconds": round(cpu, 2),
        "ended": "finished",
        "last_step": setting.steps * 2 ** (HALVINGS - 1),
        "rates": rates,
        "largest": largest,
        "slope": {n: float(np.log2(v[-2] / v[-1])) for n, v in largest.items()},
        "loss": [float(loss(start)), float(loss(path[-1]))],
    }
    for t in tables:
        t.attrs = {}
    return Outcome(pd.concat(tables, ignore_index=True), summary)
