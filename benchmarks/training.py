"""The training engine: a step against the plain loop, the cost of the probes, stacked sweeps against single runs.

A step's time is taken between two calls of the learning rate, from inside ``train``: nothing that happens once
is counted, and nothing that happens at every step is left out. Differences of a few per cent are looked for
there, so it is the process's own time that is taken, not the wall clock, which a busy machine stretches.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.timing import medians, report
from optbias.data import Split
from optbias.models import CNN, MLP, ResidualMLP, ResNet, Transformer
from optbias.rules import Adam, AdamW
from optbias.seeding import generator
from optbias.training import OneNormPenalty, Probes, train, train_many
from optbias.training.engine import Engine
from optbias.training.probes import Meter

F32 = torch.float32
STEPS = 16
"""Steps of each contestant in one round."""


def run(repeats: int) -> dict[str, Any]:
    """All comparisons."""
    return {
        "transformer": step(
            "transformer on 4,096 tokens", lambda: Transformer(1000, 32, 64, dtype=F32), text(128, 32, 1000), repeats
        ),
        "resnet": step("ResNet on 128 images", lambda: ResNet((1, 1, 1), 8, dtype=F32), images(128), repeats),
        "penalty": penalty("ResidualMLP 64-32-10, 4 blocks", digits, vectors(1000, 64, 10), repeats),
        "penalty, convolutions": penalty(
            "CNN on 200 images", lambda seed: CNN(16, 10, (8, 16), 32, dtype=F32), images(200), repeats
        ),
        "tiny sweep": sweep("MLP 8-16-3 on 100 examples", tiny, vectors(100, 8, 3), 50, 40, repeats, 10),
        "digits sweep": sweep("ResidualMLP 64-32-10, 4 blocks", digits, vectors(1000, 64, 10), 8, 12, repeats, 1.2),
        "larger sweep": sweep("ResidualMLP 192-48-10, 6 blocks", larger, vectors(1000, 192, 10), 5, 10, repeats, 1),
        "large sweep": sweep("ResidualMLP 192-128-10, 6 blocks", large, vectors(1000, 192, 10), 3, 6, repeats, 1),
    }


def tiny(seed: int) -> nn.Module:
    """211 parameters."""
    return MLP((8, 16, 3), seed=seed, dtype=F32)


def digits(seed: int) -> nn.Module:
    """11,178 parameters."""
    return ResidualMLP(64, 32, 4, 10, seed=seed, dtype=F32)


def larger(seed: int) -> nn.Module:
    """38,650 parameters."""
    return ResidualMLP(192, 48, 6, 10, seed=seed, dtype=F32)


def large(seed: int) -> nn.Module:
    """226,186 parameters."""
    return ResidualMLP(192, 128, 6, 10, seed=seed, dtype=F32)


def text(n: int, length: int, words: int) -> Split:
    """Random tokens and the next ones."""
    tokens = torch.randint(words, (n, length + 1), generator=generator(0))
    inputs, labels = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    return Split("text", words, inputs, labels, inputs[:1], labels[:1])


def images(n: int) -> Split:
    """Random images of 16 x 16 pixels."""
    random = generator(0)
    inputs = torch.randn(n, 3, 16, 16, generator=random, dtype=F32)
    labels = torch.randint(10, (n,), generator=random)
    return Split("images", 10, inputs, labels, inputs[:1], labels[:1])


def vectors(n: int, features: int, classes: int) -> Split:
    """Random vectors."""
    random = generator(0)
    inputs = torch.randn(n, features, generator=random, dtype=F32)
    labels = torch.randint(classes, (n,), generator=random)
    return Split("vectors", classes, inputs, labels, inputs[:1], labels[:1])


def step(name: str, make: Callable[[], nn.Module], split: Split, repeats: int) -> dict[str, Any]:
    """A full-batch step: written plainly, through the engine, and through the engine with every probe.

    Plain and engine's steps alternate, and every second step of the engine is measured. What the probes take is
    timed where they are called, after a gradient that has filled the cache with other things: as the difference
    of two steps it would drown in the noise of the network.
    """
    plainly, bare = [], []
    probed: dict[str, list[float]] = {"gradient": [], "parameters": [], "quantiles": [], "record": []}
    for counted in range(repeats + 1):
        with contextlib.ExitStack() as stack:
            for owner, method in ((Meter, "gradient"), (Meter, "parameters"), (Meter, "quantiles"), (Engine, "record")):
                stack.enter_context(timed(owner, method, probed[method]))
            plain, engine = alternating(make, split)
        if counted:
            plainly += plain
            bare += engine[1::2]
    seconds = {"plain loop, AdamW(fused=True)": statistics.median(plainly), "engine": statistics.median(bare)}
    cost = {method: statistics.median(times) for method, times in probed.items()}
    cost["quantiles"] /= Probes().quantiles_every
    seconds["engine, all probes"] = seconds["engine"] + sum(cost.values())
    size = sum(p.numel() for p in make().parameters())
    return report(
        f"one full-batch step of the {name}, {size:,} parameters, processor time",
        seconds,
        "engine",
        {"plain loop, AdamW(fused=True)": "at least 1 x", "engine, all probes": "at most 1.02 x"},
    )


@contextlib.contextmanager
def timed(owner: type, method: str, into: list[float]) -> Iterator[None]:
    """Take down how long each call of a method takes."""
    original = getattr(owner, method)

    def wrapper(*arguments: Any) -> Any:
        start = time.process_time()
        result = original(*arguments)
        into.append(time.process_time() - start)
        return result

    setattr(owner, method, wrapper)
    try:
        yield
    finally:
        setattr(owner, method, original)


def alternating(make: Callable[[], nn.Module], split: Split) -> tuple[list[float], list[float]]:
    """The times of steps as one would write them, and of the engine's steps 2, 3, ... between them."""
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    ends, starts = [], []

    def plain_step() -> None:
        optimizer.zero_grad()
        logits = model(split.inputs)
        functional.cross_entropy(logits.flatten(0, -2), split.labels.flatten()).backward()
        optimizer.step()

    def rate(t: int) -> float:
        # The engine calls this once in every update: the time from one call to the next is that of one step.
        ends.append(time.process_time())
        with torch.enable_grad():
            plain_step()
        starts.append(time.process_time())
        return 1e-3

    # Step 0 carries more than the others, and the kernel is tried once before it.
    train(make(), split, AdamW(lr=rate, weight_decay=1.0), STEPS + 2, probes=Probes(every=2, quantiles_every=2))
    plain = [end - start for start, end in zip(ends, starts, strict=True)]
    engine = [end - start for start, end in zip(starts, ends[1:], strict=False)]
    return plain[-STEPS:], engine[-STEPS:]


def penalty(name: str, make: Callable[[int], nn.Module], split: Split, repeats: int) -> dict[str, Any]:
    """A full-batch step with the explicit one-norm penalty, one Hessian product, against one without.

    Differentiating twice costs about 3 gradients by counting operations, a difference of two gradients costs 2.
    """
    exact, difference = OneNormPenalty(lambda t: 1e-4, 1e-8), OneNormPenalty(lambda t: 1e-4, 1e-8, 1e-5)
    rule = Adam(lr=1e-4, eps=1e-8, eps_inside=True)
    seconds = medians(
        {
            "plain": lambda: train(make(0), split, rule, STEPS),
            "with the penalty, by a difference": lambda: train(make(0), split, rule, STEPS, penalty=difference),
            "with the penalty, differentiated twice": lambda: train(make(0), split, rule, STEPS, penalty=exact),
        },
        repeats,
        time.process_time,
    )
    title = f"{STEPS} full-batch steps of {name}, processor time"
    return report(title, seconds, "plain", {"with the penalty, by a difference": "at most 2.2 x"})


def sweep(
    name: str, make: Callable[[int], nn.Module], split: Split, settings: int, steps: int, repeats: int, target: float
) -> dict[str, Any]:
    """``train_many`` as the engine chooses against the same runs one after another, all probes on."""
    grid = [(Adam(betas=(0.9, 0.8 + 0.19 * k / settings), eps=1e-8, eps_inside=True), k % 3) for k in range(settings)]
    way = train_many(make, split, grid, 1)[0].facts["sweep"].split(":")[0].split(" in one")[0]
    chosen = f"as the engine chooses ({way})"
    seconds = medians(
        {
            chosen: lambda: train_many(make, split, grid, steps),
            "one after another": lambda: train_many(make, split, grid, steps, stack=False),
        },
        repeats,
    )
    return report(
        f"{steps} steps of {settings} settings of {name}",
        seconds,
        chosen,
        {"one after another": f"at least {target:g} x"},
    )
