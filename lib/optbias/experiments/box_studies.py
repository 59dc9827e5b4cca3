"""The studies of the preset ``evening`` about the box; ``docs/protocol.md`` has their questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from optbias.experiments.hill_studies import at, seeded
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import grid

WORDS = Setting(
    "box", "ptb-words", "lstm", optimizer="AdamW", weight_decay=1.0, beta=0.99, rho=0.99, lr=1e-2, train_size=32,
    context=16, width=32, depth=2,
)  # fmt: skip
"""512 words, an LSTM of width 32 with two layers."""

PAIRS = ((0.99, 0.99), (0.9, 0.9), (0.9, 0.99), (0.9, 0.999), (0.99, 0.9))
"""The pairs (beta1, beta2) of the long runs."""

IMAGES = (
    Setting("images", "digits", "mlp", width=32, depth=2, train_size=1000),
    Setting("images", "cifar10-16", "cnn", width=8, depth=3, activation="silu", train_size=300, test_size=2000),
    Setting("images", "cifar10-16", "vit", width=32, depth=2, norm="pre", train_size=300, test_size=2000),
)
"""The networks of ``images``."""


def horizon_lstm() -> list[Setting]:
    """The paper's rate and length, LSTM."""
    base = dataclasses.replace(WORDS, lr=1e-3, steps=12_800)
    return seeded([s for decay in (1.0, 2.0) for s in at(base, PAIRS, weight_decay=decay)], 5)


def horizon_transformer() -> list[Setting]:
    """The same, transformer."""
    return [dataclasses.replace(s, model="transformer", norm="pre") for s in horizon_lstm()]


def cross() -> list[Setting]:
    """lambda and the schedule, crossed; both lengths are read from one run."""
    base = dataclasses.replace(WORDS, steps=2500)
    return seeded(grid(base, weight_decay=(1.0, 2.0, 4.0, 8.0), decay_steps=(0, 200)), 5)


def box_minibatch() -> list[Setting]:
    """Batches from one sequence to all."""
    base = dataclasses.replace(WORDS, train_size=128, steps=2000, full_gradient_every=50)
    pairs = ((0.9, 0.9), (0.9, 0.99), (0.99, 0.9))
    return seeded([s for one in grid(base, batch_size=(1, 4, 16, 64, 0)) for s in at(one, pairs)], 5)


def against_l2() -> list[Setting]:
    """Two tasks, two searches, five rules each in one comparison; ``seed`` is the search's."""
    base = Setting("against-l2", "digits", "mlp", kind="tuning", steps=400, train_size=1000, batch_size=32)
    text = dataclasses.replace(base, data="shakespeare-characters", context=4)
    return seeded([base, text], 2)


def ablation() -> list[Setting]:
    """Normalisation, skip connections, attention."""
    base = dataclasses.replace(WORDS, model="transformer", steps=1250, weight_decay=2.0, evaluate_every=250)
    nets = grid(base, norm=("pre", "none"), skip=(True, False), attention=(True, False))
    adam = [dataclasses.replace(s, optimizer="Adam", weight_decay=0.0, box=0.5) for s in nets]
    return seeded([*nets, *adam], 5)


def images() -> list[Setting]:
    """Networks for images."""
    found = []
    for base in IMAGES:
        base = dataclasses.replace(base, beta=0.99, rho=0.99, lr=5e-3, steps=1250, evaluate_every=250)
        found += [
            dataclasses.replace(base, optimizer="AdamW", weight_decay=2.0),
            dataclasses.replace(base, optimizer="Adam", box=0.5),
        ]
    return seeded(found, 5)


STUDIES: dict[str, Callable[[], Sequence[Setting]]] = {
    "cross": cross,
    "horizon-lstm": horizon_lstm,
    "horizon-transformer": horizon_transformer,
    "against-l2": against_l2,
    "ablation": ablation,
    "box-minibatch": box_minibatch,
    "images": images,
}
"""The studies, in the order of their worth."""


def settings() -> list[Setting]:
    """All settings, each under its study's name."""
    return [dataclasses.replace(s, study=name) for name, make in STUDIES.items() for s in make()]


QUESTIONS = {
    "cross": "Does the KKT gap fall, and what of it is the schedule, what lambda?",
    "horizon-lstm": "Does the largest weight end below 1/lambda at the paper's own rate and length? (LSTM)",
    "horizon-transformer": "The same on a transformer",
    "against-l2": "Is AdamW better than Adam with an L2 term, each tuned with the same budget?",
    "ablation": "What do normalisation, skip connections and attention do to the box?",
    "box-minibatch": "Does the box hold in mini-batches?",
    "images": "Does the box show with images?",
}
"""What each study asks."""


def factor(setting: Setting) -> float:
    """How many times as long as a training step one of a setting takes: a search is hundreds of small runs."""
    return 200.0 if setting.kind == "tuning" else 1.0
