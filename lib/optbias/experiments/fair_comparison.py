"""A fair comparison of update rules on a real network: one protocol, the same for each rule.

The protocol, which :func:`compare` carries out:

1. Every rule gets the same number of *draws* from its own stated search space (:class:`Contender`).
2. Each draw is trained on the same *tuning seeds* and scored by the mean validation loss at the last
   step; the best draw is chosen. A run that ends above the loss of guessing counts as guessing.
3. The chosen settings are trained again on *evaluation seeds* that tuning never saw. A seed fixes
   the split into training and validation data, the initial weights and the order of the
   mini-batches, the same ones for each rule, so that results are compared seed by seed
   (:func:`paired_interval`). The test data are fixed and are used only here.

All runs of one rule, draws times seeds, are trained at once as one stack of networks: the
parameters are one tensor ``(runs, parameters)`` and a layer is one batched matrix product.

Command line::

    python -m optbias.experiments.fair_comparison --preset full --out results/fair-comparison/digits-1000-0.json

Sources for the protocol: Choi et al., arXiv 1910.05446 (search spaces decide rankings); Sivaprasad
et al., arXiv 1910.11758 (tuning budgets); Bouthillier et al., arXiv 2103.03098 (sources of variance).
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import scipy.stats
import torch
from torch import Tensor
from tqdm import tqdm

from optbias import _checks, data
from optbias.experiments import store
from optbias.experiments.store import save_json as save
from optbias.models import ACTIVATIONS, MLP
from optbias.rules import Adam, GradientDescent, Momentum, RMSProp, Rule
from optbias.seeding import generator

METRICS = ("train_loss", "validation_loss", "test_loss", "train_error", "validation_error", "test_error")
"""What is measured at the end of a run: mean cross-entropy (nats) and share of wrong answers."""

SCALES: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "linear": lambda u, low, high: low + u * (high - low),
    "log": lambda u, low, high: low * (high / low) ** u,
    # For averages' factors: what matters is the memory 1 / (1 - beta), so 1 - beta is log-uniform.
    "memory": lambda u, low, high: 1 - (1 - low) * ((1 - high) / (1 - low)) ** u,
}
"""How a uniform number becomes a hyper-parameter: ``linear``, ``log``, or ``memory`` (log in 1 - value)."""


@dataclass(frozen=True)
class Range:
    """The interval ``[low, high]`` of one hyper-parameter and the scale on which it is drawn."""

    low: float
    high: float
    scale: str = "log"

    def __post_init__(self) -> None:
        _checks.one_of("scale", self.scale, SCALES)
        _checks.number("low", self.low, low=0.0, open_low=self.scale == "log")
        _checks.number("high", self.high, low=self.low)
        if self.scale == "memory" and not self.high < 1:
            raise ValueError(f"high must be below 1 on the scale 'memory'; got {self.high}")

    def at(self, u: Tensor) -> Tensor:
        """The values at the uniform numbers ``u`` in [0, 1], any shape."""
        return SCALES[self.scale](u, self.low, self.high)


@dataclass(frozen=True)
class Contender:
    """A family of rules with its search space: ``make(**values)`` builds the rule.

    ``make`` gets one tensor of shape ``(runs, 1)`` per entry of ``space``.
    """

    name: str
    make: Callable[..., Rule]
    space: Mapping[str, Range]

    def draw(self, draws: int, seed: int) -> dict[str, Tensor]:
        """``draws`` independent settings, as one tensor ``(draws,)`` per hyper-parameter."""
        u = torch.rand(len(self.space), draws, dtype=torch.float64, generator=generator(seed))
        return {name: bounds.at(u[i]) for i, (name, bounds) in enumerate(self.space.items())}

    def rule(self, values: Mapping[str, Tensor], copies: int) -> Rule:
        """The rule that runs each setting of ``values`` on ``copies`` seeds: run ``i * copies + s``."""
        return self.make(**{name: v.repeat_interleave(copies).unsqueeze(1) for name, v in values.items()})


def standard_contenders() -> tuple[Contender, ...]:
    """SGD, momentum, RMSProp and Adam; every learning rate has four decades, every memory its usual range."""
    memory = Range(0.5, 0.99, "memory")
    long_memory = Range(0.5, 0.999, "memory")
    return (
        Contender("SGD", lambda lr: GradientDescent(lr=lr), {"lr": Range(1e-3, 10.0)}),
        Contender(
            "momentum",
            lambda lr, beta: Momentum(lr=lr, beta=beta, form="heavy_ball"),
            {"lr": Range(1e-4, 1.0), "beta": memory},
        ),
        Contender(
            "RMSProp",
            lambda lr, rho: RMSProp(lr=lr, rho=rho),
            {"lr": Range(1e-5, 0.1), "rho": long_memory},
        ),
        Contender(
            "Adam",
            lambda lr, beta1, beta2: Adam(lr=lr, betas=(beta1, beta2)),
            {"lr": Range(1e-5, 0.1), "beta1": memory, "beta2": long_memory},
        ),
    )


@dataclass(frozen=True)
class StackedMLP:
    """Many networks :class:`optbias.models.MLP` at once; their parameters are the rows of ``theta (runs, size)``.

    ``sizes`` are the layer widths, input first; ``activation`` is a name in
    :data:`optbias.models.ACTIVATIONS`. A row holds what ``parameters_to_vector`` makes of the module.
    """

    sizes: tuple[int, ...]
    activation: str = "tanh"

    @property
    def size(self) -> int:
        """The number of parameters of one network."""
        return sum((a + 1) * b for a, b in itertools.pairwise(self.sizes))

    def init(self, seed: int) -> Tensor:
        """The initial parameters of the network of this seed, shape ``(size,)``, float64."""
        module = MLP(self.sizes, self.activation, seed=seed)
        return torch.nn.utils.parameters_to_vector(module.parameters()).detach()

    def __call__(self, theta: Tensor, x: Tensor) -> Tensor:
        """Logits ``(runs, n, classes)`` of inputs ``x (runs, n, features)``."""
        start, last = 0, len(self.sizes) - 2
        for layer, (a, b) in enumerate(itertools.pairwise(self.sizes)):
            weight = theta[:, start : start + a * b].view(-1, b, a)
            bias = theta[:, start + a * b : start + (a + 1) * b].unsqueeze(1)
            x = torch.baddbmm(bias, x, weight.transpose(1, 2))
            x = x if layer == last else ACTIVATIONS[self.activation](x)
            start += (a + 1) * b
        return x


@dataclass(frozen=True)
class Task:
    """Data, network and length of training.

    ``pool`` is ``(inputs, labels)`` for training and validation; each seed takes its own
    ``train_size`` of them to train on. ``test`` is never split or tuned on. ``steps`` mini-batches
    of ``batch_size`` are drawn without replacement within an epoch.
    """

    name: str
    pool: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    network: StackedMLP
    train_size: int
    batch_size: int
    steps: int

    def __post_init__(self) -> None:
        available = len(self.pool[1])
        if not 0 < self.train_size < available:
            raise ValueError(f"train_size must lie between 1 and {available - 1}; got {self.train_size}")
        if not 0 < self.batch_size <= self.train_size:
            raise ValueError(f"batch_size must lie between 1 and train_size = {self.train_size}; got {self.batch_size}")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1; got {self.steps}")

    @property
    def guessing(self) -> float:
        """The cross-entropy of guessing uniformly, ``ln(classes)``."""
        return math.log(self.network.sizes[-1])

    def describe(self) -> dict[str, Any]:
        """The numbers that define the task, for the record."""
        return {
            "name": self.name,
            "layers": list(self.network.sizes),
            "activation": self.network.activation,
            "parameters": self.network.size,
            "train": self.train_size,
            "validation": len(self.pool[1]) - self.train_size,
            "test": len(self.test[1]),
            "batch_size": self.batch_size,
            "steps": self.steps,
        }


def digits_task(steps: int = 1000, hidden: int = 32, batch_size: int = 32) -> Task:
    """scikit-learn's digits (1,797 images of 8 x 8, pixels in [0, 1]) and a tanh network 64-``hidden``-10.

    400 images are held out for the test, fixed; of the other 1,397 each seed trains on 1,000.
    """
    split = data.digits(train=1397, seed=0, scale="unit")
    network = StackedMLP((64, hidden, split.classes))
    pool, test = (split.inputs, split.labels), (split.test_inputs, split.test_labels)
    return Task(split.name, pool, test, network, 1000, batch_size, steps)


TASKS: dict[str, Callable[..., Task]] = {"digits": digits_task}
"""The tasks that the command line knows, by name; each takes ``steps``."""


@dataclass(frozen=True)
class Protocol:
    """The budget, the same for every contender: ``draws`` settings, each on ``tuning_seeds``."""

    draws: int = 32
    tuning_seeds: tuple[int, ...] = (0, 1, 2)
    evaluation_seeds: tuple[int, ...] = tuple(range(100, 120))
    draw_seed: int = 0
    curve_points: int = 20

    def __post_init__(self) -> None:
        if self.draws < 1 or self.curve_points < 1:
            raise ValueError(f"draws and curve_points must be at least 1; got {self.draws}, {self.curve_points}")
        if not self.tuning_seeds or len(self.evaluation_seeds) < 2:
            raise ValueError("a protocol needs at least one tuning seed and two evaluation seeds")
        shared = set(self.tuning_seeds) & set(self.evaluation_seeds)
        if shared:
            raise ValueError(f"evaluation seeds must be fresh; also used for tuning: {sorted(shared)}")


PRESETS: dict[str, tuple[Protocol, int]] = {
    "smoke": (Protocol(draws=3, tuning_seeds=(0,), evaluation_seeds=(100, 101), curve_points=2), 20),
    "live": (Protocol(draws=8, tuning_seeds=(0,), evaluation_seeds=tuple(range(100, 106))), 200),
    "full": (Protocol(), 1000),
}
"""Named sizes: the protocol and the number of training steps."""


@dataclass(frozen=True)
class _Seeds:
    """What a list of seeds fixes, stacked: initial weights, data split, order of the mini-batches."""

    theta: Tensor
    train: Tensor
    validation: Tensor
    batches: Tensor

    @classmethod
    def of(cls, task: Task, seeds: Sequence[int]) -> _Seeds:
        parts = []
        per_epoch = task.train_size // task.batch_size
        for seed in seeds:
            source = generator(seed)
            split = torch.randperm(len(task.pool[1]), generator=source)
            epochs = [
                torch.randperm(task.train_size, generator=source)[: per_epoch * task.batch_size]
                for _ in range(math.ceil(task.steps / per_epoch))
            ]
            train = split[: task.train_size]
            batches = train[torch.cat(epochs)].view(-1, task.batch_size)[: task.steps]
            parts.append((task.network.init(seed), train, split[task.train_size :], batches))
        return cls(*(torch.stack(part) for part in zip(*parts, strict=True)))


def train(
    task: Task, rule: Rule, seeds: Sequence[int], settings: int = 1, curve_points: int = 20, label: str = ""
) -> dict[str, Any]:
    """Train ``settings`` times ``len(seeds)`` networks at once with a rule that holds all settings.

    The rule's tensors have shape ``(settings * len(seeds), 1)``, seed fastest (:meth:`Contender.rule`).
    Returns each of :data:`METRICS` at the last step as a tensor ``(settings, seeds)``, and
    ``"curve"``: the steps and the validation loss there, ``(points, settings, seeds)``, and the final ``"theta"``.
    A run that overflows carries inf or NaN; the others go on.
    """
    stack = _Seeds.of(task, seeds)
    shape = (settings, len(seeds))
    inputs, labels = task.pool
    theta = stack.theta.repeat(settings, 1)
    state = rule.init(theta)
    marks = {max(1, round(task.steps * (i + 1) / curve_points)) for i in range(curve_points)}
    curve = []

    def split_metrics(index: Tensor) -> tuple[Tensor, Tensor]:
        # One seed at a time: the validation inputs of all runs together would not fit the cache.
        losses, errors = torch.empty(shape), torch.empty(shape)
        for s in range(len(seeds)):
            losses[:, s], errors[:, s] = _metrics(
                task.network, theta[s :: len(seeds)], inputs[index[s]], labels[index[s]]
            )
        return losses, errors

    for t in tqdm(range(1, task.steps + 1), desc=label, disable=not label, unit="step", mininterval=1.0):
        batch = stack.batches[:, t - 1]
        x, y = inputs[batch].repeat(settings, 1, 1), labels[batch].repeat(settings, 1)
        with torch.enable_grad():
            leaf = theta.requires_grad_(True)
            logits = task.network(leaf, x)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum")
            (grad,) = torch.autograd.grad(loss / task.batch_size, leaf)
        with torch.no_grad():
            theta, state = rule.equations(leaf.detach(), grad, state)
            if t in marks:
                curve.append(split_metrics(stack.validation)[0])
    with torch.no_grad():
        train_loss, train_error = split_metrics(stack.train)
        validation_loss, validation_error = split_metrics(stack.validation)
        test_loss, test_error = (m.view(shape) for m in _metrics(task.network, theta, *task.test))
    values = (train_loss, validation_loss, test_loss, train_error, validation_error, test_error)
    return dict(zip(METRICS, values, strict=True)) | {
        "curve": {"steps": sorted(marks), "validation_loss": torch.stack(curve)},
        "theta": theta.view(*shape, -1),
    }


def _metrics(network: StackedMLP, theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    logits = network(theta, x.expand(len(theta), *x.shape))
    labels = y.repeat(len(theta))
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels, reduction="none")
    return losses.view(len(theta), -1).mean(1), (logits.argmax(-1) != y).to(losses.dtype).mean(1)


def scores(validation_loss: Tensor, guessing: float) -> Tensor:
    """The score of each setting: its mean validation loss over seeds, ``(settings, seeds) -> (settings,)``.

    A run that diverged, or ended above ``guessing``, counts as ``guessing``.
    """
    return torch.nan_to_num(validation_loss, nan=math.inf).clamp(max=guessing).mean(1)


def expected_best(values: Sequence[float], k: int) -> float:
    """The mean, over all choices of ``k`` of the ``values``, of the smallest one: the score of a budget ``k``.

    Raises ValueError unless ``1 <= k <= len(values)``.
    """
    n = len(values)
    if not 1 <= k <= n:
        raise ValueError(f"k must lie between 1 and the number of values, {n}; got {k}")
    # The i-th smallest is the best of the k if the other k - 1 come from the n - i larger ones.
    return sum(v * math.comb(n - i, k - 1) for i, v in enumerate(sorted(values), start=1)) / math.comb(n, k)


def paired_interval(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean of the differences ``a - b``, seed by seed, and its Student interval: ``(mean, low, high)``.

    Raises ValueError for unequal lengths, fewer than two pairs, or a level outside (0, 1).
    """
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"a and b must have one entry per seed, at least two; got {len(a)} and {len(b)}")
    _checks.number("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    d = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    half = scipy.stats.t.ppf(0.5 + level / 2, len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d))
    return float(d.mean()), float(d.mean() - half), float(d.mean() + half)


def compare(
    task: Task,
    contenders: Sequence[Contender] | None = None,
    protocol: Protocol | None = None,
    progress: bool = False,
    look: Callable[[Tensor, dict[str, float]], Any] | None = None,
) -> dict[str, Any]:
    """Carry out the protocol; returns a record made of plain numbers, lists and strings.

    ``record["contenders"][name]`` holds the ``space``, the ``draws`` (values of each
    hyper-parameter), their ``scores``, the ``chosen`` setting, ``evaluation`` (each of
    :data:`METRICS`, one entry per evaluation seed) and the validation ``curve`` (mean over those
    seeds). Runs that overflowed are null. ``look(theta, chosen)`` makes what stands under ``looked`` from the final
    weights of the evaluation, ``(1, seeds, parameters)``.
    """
    contenders = standard_contenders() if contenders is None else contenders
    protocol = Protocol() if protocol is None else protocol
    if len({c.name for c in contenders}) != len(contenders) or not contenders:
        raise ValueError(f"contenders need different names, at least one; got {[c.name for c in contenders]}")
    results: dict[str, Any] = {}
    for contender in contenders:
        name = contender.name
        values = contender.draw(protocol.draws, protocol.draw_seed)
        rule = contender.rule(values, len(protocol.tuning_seeds))
        label = f"{name}, tuning" if progress else ""
        tuned = train(task, rule, protocol.tuning_seeds, protocol.draws, 1, label)
        ranked = scores(tuned["validation_loss"], task.guessing)
        best = int(ranked.argmin())
        chosen = {key: v[best : best + 1] for key, v in values.items()}
        final = train(
            task,
            contender.rule(chosen, len(protocol.evaluation_seeds)),
            protocol.evaluation_seeds,
            1,
            protocol.curve_points,
            f"{name}, evaluation" if progress else "",
        )
        results[name] = {
            "space": {key: asdict(bounds) for key, bounds in contender.space.items()},
            "draws": {key: v.tolist() for key, v in values.items()},
            "scores": ranked.tolist(),
            "diverged": int((~torch.isfinite(tuned["validation_loss"])).sum()),
            "chosen": {key: v.item() for key, v in chosen.items()},
            "evaluation": {metric: _finite(final[metric][0]) for metric in METRICS},
            "curve": {
                "steps": final["curve"]["steps"],
                "validation_loss": _finite(final["curve"]["validation_loss"].mean((1, 2))),
            },
        }
        if look is not None:
            results[name]["looked"] = look(final["theta"], results[name]["chosen"])
    return {"task": task.describe(), "protocol": asdict(protocol), "contenders": results}


def _finite(values: Tensor) -> list[float | None]:
    return [v if math.isfinite(v) else None for v in values.tolist()]


def recorded(name: str) -> dict[str, Any] | None:
    """The recorded run ``results/fair-comparison/<name>.json``, or None where there is no checkout."""
    return store.recorded("fair-comparison", name)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m optbias.experiments.fair_comparison", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--task", choices=sorted(TASKS), default="digits")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="full")
    parser.add_argument("--steps", type=int, help="training steps (default: the preset's)")
    parser.add_argument("--draws", type=int, help="settings per rule (default: the preset's)")
    parser.add_argument("--draw-seed", type=int, help="seed of the search (default: the preset's, 0)")
    parser.add_argument("--out", required=True, help="the JSON file to write")
    options = parser.parse_args(arguments)
    # The matrices are small: a second thread only waits for the first.
    torch.set_num_threads(1)
    protocol, steps = PRESETS[options.preset]
    if options.draws is not None:
        protocol = replace(protocol, draws=options.draws)
    if options.draw_seed is not None:
        protocol = replace(protocol, draw_seed=options.draw_seed)
    task = TASKS[options.task](steps=steps if options.steps is None else options.steps)
    contenders = standard_contenders()
    tuning, evaluation = protocol.draws * len(protocol.tuning_seeds), len(protocol.evaluation_seeds)
    print(
        f"{len(contenders)} rules, each {tuning} runs to tune and {evaluation} to evaluate, {task.steps} steps; "
        f"about {len(contenders) * (tuning + evaluation) * task.steps * 1.2e-4:.0f} s on one core",
        flush=True,
    )
    started = time.perf_counter()
    record = compare(task, contenders, protocol, progress=True)
    given = [f"--{k.replace('_', '-')} {v}" for k, v in vars(options).items() if v is not None]
    seconds = time.perf_counter() - started
    record["provenance"] = store.provenance(" ".join([parser.prog, *given]), seconds)
    save(record, options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
