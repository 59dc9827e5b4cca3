"""The presets ``gpu`` and ``paper``: what needs a GPU. Their runs keep checkpoints, and ``--study`` chooses among them.

``gpu`` is the course's own set-up at a size of minutes a run; ``paper`` has the authors' sizes, and their own settings
beside ours where the two differ:

- Cattaneo et al. normalise by **batches**: they add up the gradients of batches of 500 images, each with batch
  normalisation over its own 500. Such a sum is the gradient of a loss in which each image sees the others of its batch;
  it is not the full-batch gradient of one network (and their loader shuffles, so it changes from step to step; our
  order is fixed). The studies ``authors-...`` do so; ours have group normalisation, for which the sum is exact.
- Their convolutional network, SimpleViT and ResNet-101 on CIFAR-100; the learning rate 7.5e-5; rho at beta = 0.99.
- Xie and Li compare with Adam; Adam with an L2 term stands beside it here.

What is to be settled has three seeds. Nothing here has been run by the course: no GPU was at hand.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from optbias.experiments.runs import Setting
from optbias.experiments.sweep import grid

SEEDS = (0, 1, 2)
"""The seeds of what is to be settled."""

AUTHORS_PART = 500
"""Images in a batch of the authors' sum, over which their batch normalisation goes."""


def seeded(settings: Sequence[Setting], seeds: Sequence[int] = SEEDS) -> list[Setting]:
    """Each setting with each seed."""
    return [dataclasses.replace(s, seed=seed) for s in settings for seed in seeds]


# ---- the hill ------------------------------------------------------------------------------------------------------

_IMAGES = Setting(
    "hill-rho", "cifar10-32", "resnet", eps_inside=True, lr=1e-4, norm="group", activation="silu", width=64, depth=18,
)  # fmt: skip


def _over(base: Setting, study: str, beta: Sequence[float], rho: Sequence[float]) -> list[Setting]:
    return grid(dataclasses.replace(base, study=study), beta=beta, rho=rho)


def hill_gpu(digits: Sequence[Setting]) -> list[Setting]:
    """A ResNet-18 on 5,000 images, other networks beside it, and the orders on the digits (``digits``)."""
    base = dataclasses.replace(
        _IMAGES, train_size=5000, test_size=10_000, steps=800, evaluate_every=50, micro_batch=1000
    )
    cnn = dataclasses.replace(base, model="cnn", width=32, depth=3, inner=512, norm="group", micro_batch=0)
    vit = dataclasses.replace(
        base, model="vit", width=128, depth=4, heads=4, inner=256, norm="pre", activation="gelu", micro_batch=0
    )
    theirs = dataclasses.replace(base, norm="batch", micro_batch=AUTHORS_PART)
    return [
        *seeded(_over(base, "hill-rho", (0.9,), (0.9, 0.99, 0.999))),
        *seeded(_over(base, "hill-beta", (0.5, 0.9, 0.95), (0.99,))),
        *seeded(_over(cnn, "architectures", (0.9,), (0.9, 0.999))),
        *seeded(_over(vit, "architectures", (0.9,), (0.9, 0.999))),
        *seeded(_over(theirs, "authors-batch-norm", (0.9,), (0.9, 0.999))),
        *digits,
    ]


def hill_paper() -> list[Setting]:
    """ResNet-50 on all of CIFAR-10 with group normalisation, and the authors' own settings."""
    base = dataclasses.replace(
        _IMAGES, depth=50, activation="relu", train_size=50_000, test_size=10_000, eps=1e-7, steps=2000,
        evaluate_every=10, micro_batch=500,
    )  # fmt: skip
    theirs = dataclasses.replace(base, norm="batch", micro_batch=AUTHORS_PART)
    cnn = dataclasses.replace(base, model="cnn", width=32, depth=3, inner=512, norm="none", micro_batch=5000)
    vit = dataclasses.replace(
        base, model="vit", width=512, depth=6, heads=16, inner=1024, norm="pre", activation="gelu", micro_batch=2500
    )
    hundred = dataclasses.replace(theirs, data="cifar100-32", depth=101)
    return [
        *seeded(_over(base, "hill-rho", (0.9,), (0.95, 0.99, 0.999))),
        *seeded(_over(base, "hill-beta", (0.9, 0.95, 0.99), (0.999,))),
        # One seed each: what the authors ran, to be looked at beside theirs.
        *_over(theirs, "authors-batch-norm", (0.9,), (0.95, 0.99, 0.999)),
        *_over(dataclasses.replace(theirs, lr=7.5e-5, eps=1e-8), "authors-rho", (0.99,), (0.9, 0.95, 0.99, 0.999)),
        *_over(dataclasses.replace(theirs, lr=7.5e-5, eps=1e-8), "authors-beta", (0.9, 0.95, 0.99), (0.999,)),
        *_over(cnn, "authors-cnn", (0.9,), (0.95, 0.99, 0.999)),
        *_over(vit, "authors-vit", (0.9,), (0.95, 0.99, 0.999)),
        *_over(dataclasses.replace(hundred, lr=1e-4, eps=1e-8), "authors-cifar100", (0.999,), (0.999,)),
        *_over(dataclasses.replace(hundred, lr=1e-4, eps=1e-8), "authors-cifar100", (0.9,), (0.999,)),
    ]


HILL_QUESTIONS = {
    "authors-batch-norm": "The same with batch normalisation over parts of 500, as the authors' code has it",
    "authors-rho": "The authors' sweep of rho: beta 0.99, learning rate 7.5e-5",
    "authors-beta": "The authors' sweep of beta: rho 0.999, learning rate 7.5e-5",
    "authors-cnn": "The authors' convolutional network",
    "authors-vit": "The authors' SimpleViT",
    "authors-cifar100": "ResNet-101 on CIFAR-100",
}
"""What the studies ask that no smaller preset has."""

# ---- the box -------------------------------------------------------------------------------------------------------


def box_paper(words: str, coefficients: Sequence[float]) -> list[Setting]:
    """A two-layer transformer on all of the Penn Treebank in pieces of 64 words.

    Width, context, initial weights and epsilon are not known.
    """
    base = Setting(
        "paper", words, "transformer", lr=1e-3, eps=1e-16, train_size=14_524, context=64, width=200, depth=2,
        norm="pre", steps=12_800, evaluate_every=400, micro_batch=512, box=1.0,
    )  # fmt: skip
    pairs = [(0.99, 0.99), (0.9, 0.99), (0.9, 0.999), (0.99, 0.9)]
    adamw = dataclasses.replace(base, optimizer="AdamW")
    compared = dataclasses.replace(base, beta=0.99, rho=0.99)
    return [
        *seeded(
            [
                dataclasses.replace(adamw, beta=beta, rho=rho, weight_decay=decay)
                for (beta, rho), decay in itertools.product(pairs, (1.0, 2.0))
            ]
        ),
        *(dataclasses.replace(base, beta=beta, rho=rho) for beta, rho in pairs),
        *grid(
            dataclasses.replace(compared, study="against-l2", optimizer="Adam+L2"),
            weight_decay=coefficients,
            seed=SEEDS,
        ),
        *grid(
            dataclasses.replace(compared, study="against-l2", optimizer="AdamW"), weight_decay=(1.0, 2.0), seed=SEEDS
        ),
    ]
