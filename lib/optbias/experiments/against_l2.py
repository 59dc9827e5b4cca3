"""AdamW against an L2 term, in the course's fair protocol (:mod:`optbias.experiments.fair_comparison`)."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pandas as pd
from torch import Tensor

from optbias.experiments import fair_comparison as fair
from optbias.experiments import runs
from optbias.experiments.fair_comparison import Contender, Protocol, Range, StackedMLP, Task
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import Outcome, Where
from optbias.rules import Adam, AdamW, Momentum

DRAWS = 16
"""Settings that each rule may try."""


def contenders() -> tuple[Contender, ...]:
    """Five rules; every learning rate and every decay has decades to choose from."""
    memory, long_memory = Range(0.5, 0.99, "memory"), Range(0.5, 0.999, "memory")
    adam = {"lr": Range(1e-4, 0.1), "beta1": memory, "beta2": long_memory}
    sgd = {"lr": Range(1e-3, 1.0), "beta": memory}
    return (
        Contender(
            "AdamW",
            lambda lr, beta1, beta2, decay: AdamW(lr=lr, betas=(beta1, beta2), weight_decay=decay),
            adam | {"decay": Range(1e-3, 10.0)},
        ),
        Contender(
            "Adam + L2",
            lambda lr, beta1, beta2, decay: Adam(lr=lr, betas=(beta1, beta2), weight_decay=decay),
            adam | {"decay": Range(1e-6, 1e-1)},
        ),
        Contender("Adam", lambda lr, beta1, beta2: Adam(lr=lr, betas=(beta1, beta2)), adam),
        Contender(
            "SGD + L2",
            lambda lr, beta, decay: Momentum(lr=lr, beta=beta, form="heavy_ball", weight_decay=decay),
            sgd | {"decay": Range(1e-6, 1e-1)},
        ),
        Contender(
            "SGD, decoupled",
            lambda lr, beta, decay: Momentum(lr=lr, beta=beta, form="heavy_ball", weight_decay=decay, decoupled=True),
            sgd | {"decay": Range(1e-5, 1.0)},
        ),
    )


def task_of(setting: Setting, folder: str | None) -> Task:
    """The task of a setting: images of digits, or the next character after the last ``context`` ones, one-hot."""
    if setting.data == "digits":
        return fair.digits_task(setting.steps)
    # A quarter to train on, a quarter to tune on, the second half of the text for the test.
    n = 2 * setting.train_size
    split = runs.split_of(dataclasses.replace(setting, train_size=2 * n), folder)
    pool, test = ((split.inputs[part].double(), split.labels[part]) for part in (slice(n), slice(n, 2 * n)))
    network = StackedMLP((split.inputs.shape[1], 32, split.classes))
    return Task(split.name, pool, test, network, setting.train_size, setting.batch_size, setting.steps)


def execute(setting: Setting, where: Where) -> Outcome:
    """One search: each rule tunes ``DRAWS`` settings on 3 seeds, and the winner is trained on 10 fresh ones.

    The summary has for each rule the chosen setting and, by evaluation seed, the held-out loss and error, the training
    loss, the largest weight and the share of weights within 1 % of ``1/decay`` (decoupled decay only). The history has
    the validation loss along the run, mean over seeds.
    """
    began = time.process_time(), time.perf_counter()
    protocol = Protocol(DRAWS, (0, 1, 2), tuple(range(100, 110)), draw_seed=setting.seed)

    def weights(theta: Tensor, chosen: dict[str, float]) -> dict[str, list[float]]:
        linf = theta.abs().amax(-1).flatten()
        radius = 1 / chosen.get("decay", np.inf) if chosen.get("decay") else np.inf
        share = (theta.abs() >= 0.99 * radius).double().mean(-1).flatten()
        return {"linf": linf.tolist(), "share_on_wall": share.tolist()}

    record = fair.compare(task_of(setting, where.data), contenders(), protocol, look=weights)
    curves = [
        pd.DataFrame({"step": one["curve"]["steps"], "rule": k, "test_loss": one["curve"]["validation_loss"]})
        for k, one in enumerate(record["contenders"].values())
    ]
    summary = {
        "parameters": record["task"]["parameters"],
        "seconds": round(time.perf_counter() - began[1], 2),
        "cpu_seconds": round(time.process_time() - began[0], 2),
        "ended": "finished",
        "last_step": setting.steps,
        "task": record["task"],
        "rules": {
            name: {key: one[key] for key in ("chosen", "evaluation", "looked", "diverged")}
            for name, one in record["contenders"].items()
        },
    }
    return Outcome(pd.concat(curves, ignore_index=True).astype({"test_loss": float}), summary)
