"""The studies of the preset ``evening`` about the perturbed one-norm; ``docs/protocol.md`` has their questions.

Each function lists the runs of one study. Sizes were chosen with seeds from 1000 on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from optbias.experiments.runs import Setting
from optbias.experiments.sweep import grid

DIGITS = Setting(
    "order", "digits", "residual-mlp", lr=1e-4, eps_inside=True, width=32, depth=4, norm="layer", steps=700,
    evaluate_every=20, stop_below=0.28,
)  # fmt: skip
"""The digits network of the grid and of the penalty."""

CIFAR = Setting(
    "hill", "cifar10-8", "residual-mlp", lr=3e-4, eps_inside=True, width=48, depth=6, norm="layer", steps=400,
    evaluate_every=20, test_size=10_000, stop_below=0.05,
)  # fmt: skip
"""The network that shows the hill."""

CNN = Setting(
    "other", "cifar10-16", "cnn", lr=5e-4, eps_inside=True, width=8, depth=3, norm="none", activation="silu", steps=300,
    train_size=300, test_size=2000, evaluate_every=20,
)  # fmt: skip
"""The shape of the authors' plain convolutional network, small: mean instead of maximum pooling, no dropout."""

VIT = Setting(
    "other", "cifar10-16", "vit", lr=1e-3, eps_inside=True, width=32, depth=2, norm="pre", steps=300, train_size=300,
    test_size=2000, evaluate_every=20,
)  # fmt: skip

LSTM = Setting(
    "other", "ptb-words", "lstm", lr=3e-3, eps_inside=True, width=32, depth=2, steps=300, train_size=32, context=16,
    evaluate_every=20,
)  # fmt: skip

PAIRS = ((0.5, 0.9), (0.5, 0.99), (0.9, 0.99))
"""The pairs whose own bias is cancelled."""


def seeded(settings: Iterable[Setting], seeds: int) -> list[Setting]:
    """The settings with the seeds 0, 1, ..."""
    return [dataclasses.replace(s, seed=seed) for s in settings for seed in range(seeds)]


def at(base: Setting, pairs: Iterable[tuple[float, float]], **more: object) -> list[Setting]:
    """``base`` at pairs ``(beta, rho)``."""
    return [dataclasses.replace(base, beta=beta, rho=rho, **more) for beta, rho in pairs]  # type: ignore[arg-type]


def hill_rho() -> list[Setting]:
    """The hill over rho."""
    return seeded(at(CIFAR, [(0.9, rho) for rho in (0.9, 0.98, 0.99, 0.999)]), 20)


def hill_beta() -> list[Setting]:
    """The hill over beta."""
    return seeded(at(CIFAR, [(beta, 0.99) for beta in (0.5, 0.8, 0.9, 0.95)]), 20)


def controls() -> list[Setting]:
    """Pairs without a bias, and an epsilon that takes rho out of it (its norm is compared unperturbed)."""
    equal = at(CIFAR, [(x, x) for x in (0.5, 0.8, 0.9, 0.95)])
    large = at(dataclasses.replace(CIFAR, eps=1.0, lr=0.1), [(0.9, rho) for rho in (0.9, 0.99, 0.999)])
    return seeded([*equal, *large], 5)


def grid_study() -> list[Setting]:
    """25 pairs on two data sets, at small rates."""
    digits = dataclasses.replace(DIGITS, lr=5e-5, steps=900, stop_below=0.65, evaluate_every=0)
    cifar = dataclasses.replace(CIFAR, lr=1e-4, steps=500, stop_below=1.15, evaluate_every=0, test_size=0)
    axes = {"beta": (0.0, 0.5, 0.8, 0.9, 0.95), "rho": (0.8, 0.9, 0.95, 0.99, 0.999)}
    return seeded([*grid(digits, **axes), *grid(cifar, **axes)], 5)


def penalty() -> list[Setting]:
    """The theory's own term, from (0.9, 0.99) towards (0.9, 0.9)."""
    start = dataclasses.replace(DIGITS, beta=0.9, rho=0.99, to_beta=0.9, to_rho=0.9)
    plain = at(DIGITS, [(0.9, 0.99), (0.9, 0.9)])
    return seeded([*plain, *grid(start, dose=(0.5, 1.0, 1.5))], 20)


def penalty_beta() -> list[Setting]:
    """The same from (0.5, 0.99) towards (0.9, 0.99)."""
    start = dataclasses.replace(DIGITS, beta=0.5, rho=0.99, to_beta=0.9, to_rho=0.99)
    plain = at(DIGITS, [(0.5, 0.99), (0.9, 0.99)])
    return seeded([*plain, *grid(start, dose=(0.5, 1.0, 1.5))], 20)


def penalty_cancel() -> list[Setting]:
    """Three pairs, plain and with their own bias cancelled."""
    return seeded([*at(DIGITS, PAIRS), *at(DIGITS, PAIRS, dose=1.0)], 10)


NETWORKS: dict[str, Setting] = {
    "CIFAR-10, residual MLP": dataclasses.replace(
        CIFAR, lr=3e-5, steps=600, stop_below=1.45, test_size=2000, evaluate_every=50
    ),
    "digits, no normalisation": dataclasses.replace(DIGITS, norm="none", steps=700),
    "CIFAR-10, convolutions": dataclasses.replace(CNN, data="cifar10-8", depth=2, lr=3e-4, steps=200, stop_below=1.95),
    "words, LSTM": dataclasses.replace(LSTM, lr=1e-3, steps=100, stop_below=4.9),
}
"""The other networks of the penalty."""


def penalty_networks() -> list[Setting]:
    """The penalty on other networks."""
    found: list[Setting] = []
    for base in NETWORKS.values():
        start = dataclasses.replace(base, beta=0.9, rho=0.99, to_beta=0.9, to_rho=0.9)
        found += [*at(base, [(0.9, 0.99), (0.9, 0.9)]), *grid(start, dose=(0.5, 1.0))]
    return seeded(found, 5)


def burst() -> list[Setting]:
    """The hill with its sharpness and the size of the bias, over the learning rate at fixed lr * steps."""
    found = []
    for lr, every in ((1e-4, 30), (3e-4, 10), (6e-4, 5)):
        base = dataclasses.replace(
            CIFAR,
            lr=lr,
            steps=round(0.09 / lr),
            evaluate_every=0,
            test_size=0,
            stop_below=0.2,
            sharpness_every=every,
            slope_every=every,
        )
        found += at(base, [(0.9, 0.9), (0.9, 0.999), (0.95, 0.99)])
    return seeded(found, 3)


def regime_map() -> list[Setting]:
    """Where a small network's loss spikes."""
    base = Setting(
        "regime-map", "digits", "mlp", lr=1e-2, width=32, depth=2, activation="tanh", criterion="squared-error",
        train_size=200, steps=3000,
    )  # fmt: skip
    return seeded(grid(base, lr=(1e-3, 3e-3, 1e-2), beta=(0.0, 0.5, 0.9, 0.99), rho=(0.9, 0.99, 0.999)), 3)


def ode_network() -> list[Setting]:
    """Adam's path on a network against the equations, each setting over several rates."""
    base = Setting(
        "ode-network", "digits", "mlp", kind="ode", precision="float64", eps=1e-4, eps_inside=True, width=8, depth=1,
        activation="tanh", train_size=200, lr=1e-3, steps=100,
    )  # fmt: skip
    pairs = [(0.0, 0.9), (0.5, 0.9), (0.9, 0.9), (0.9, 0.95), (0.9, 0.99), (0.9, 0.999), (0.95, 0.9)]
    return seeded(at(base, pairs), 3)


def minibatch() -> list[Setting]:
    """The order in mini-batches."""
    digits = dataclasses.replace(
        DIGITS, lr=3e-4, steps=250, stop_below=0.45, evaluate_every=0, full_gradient_every=5, batch_size=20
    )
    cifar = dataclasses.replace(
        CIFAR, steps=400, stop_below=1.4, evaluate_every=0, test_size=0, full_gradient_every=5, batch_size=20
    )
    pairs = [(0.9, 0.9), (0.9, 0.999), (0.5, 0.999)]
    return seeded(
        [s for base in (digits, cifar) for one in grid(base, batch_size=(20, 100, 500)) for s in at(one, pairs)], 10
    )


def architectures() -> list[Setting]:
    """The hill in other networks and data."""
    mlp = dataclasses.replace(CIFAR, model="mlp", norm="none", activation="gelu", depth=3, lr=3e-4)
    found = []
    for data in ("cifar10", "fashion-mnist"):
        for base, size in ((mlp, 8), (CIFAR, 8), (CNN, 16), (VIT, 16)):
            found.append(dataclasses.replace(base, data=f"{data}-{size}", test_size=2000, stop_below=0.2))
    found.append(LSTM)
    return seeded([s for base in found for s in at(base, [(0.9, 0.9), (0.9, 0.999)])], 3)


STUDIES: dict[str, Callable[[], Sequence[Setting]]] = {
    "hill-rho": hill_rho,
    "hill-beta": hill_beta,
    "controls": controls,
    "penalty": penalty,
    "grid": grid_study,
    "penalty-beta": penalty_beta,
    "penalty-cancel": penalty_cancel,
    "penalty-networks": penalty_networks,
    "burst": burst,
    "regime-map": regime_map,
    "ode-network": ode_network,
    "minibatch": minibatch,
    "architectures": architectures,
}
"""The studies, in the order of their worth."""


def settings() -> list[Setting]:
    """All settings, each under its study's name."""
    return [dataclasses.replace(s, study=name) for name, make in STUDIES.items() for s in make()]


QUESTIONS = {
    "hill-rho": "Is the norm larger for a larger rho at matched loss, through and after the hill?",
    "hill-beta": "Is the norm smaller for a larger beta at matched loss?",
    "controls": "Does the effect go away where the theory's term does?",
    "penalty": "Does the theory's own term, added to the gradient, undo what rho does?",
    "grid": "Is the weight of tau(beta) against tau(rho) the theory's 1?",
    "penalty-beta": "Does the theory's own term, added to the gradient, do what beta does?",
    "penalty-cancel": "Do pairs agree once the bias is cancelled?",
    "penalty-networks": "Does the term undo what rho does on other networks?",
    "burst": "Is the burst on the hill an instability of the preconditioned sharpness?",
    "regime-map": "Where do spikes begin?",
    "ode-network": "Where does Adam's path on a network stay near the corrected equation?",
    "minibatch": "Does the order in rho and beta survive mini-batches?",
    "architectures": "Is there a hill, and is it ordered, in other networks and data?",
}
"""What each study asks."""


def factor(setting: Setting) -> float:
    """How many times as long as a training step one of a setting takes."""
    if setting.kind == "ode":
        return 15 * (4 + 4 * 3 + 1)  # halved rates; two Runge-Kutta steps, one with Hessian products
    return (2.6 if setting.dose else 1.0) + (6.0 if setting.sharpness_every else 0.0)
