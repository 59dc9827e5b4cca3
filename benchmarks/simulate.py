"""1,000 settings x 2,000 steps of Adam on Rosenbrock: one call of ``trajectory`` against the alternatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.timing import medians, report
from optbias.losses import landscapes
from optbias.rules import Adam
from optbias.simulate import trajectory

SETTINGS, STEPS = 1000, 2000
LOOPED = 1
"""Settings that the loop over ``torch.optim`` really runs; its time is multiplied up."""

RATES = np.logspace(-4, -1, SETTINGS)
START = (-1.2, 1.0)


def run(repeats: int) -> dict[str, Any]:
    """Check that all contestants compute the same iterates, then time them."""
    contestants: dict[str, Callable[[], np.ndarray]] = {
        "trajectory": lambda: ours(compiled=False),
        "trajectory, compile=True": lambda: ours(compiled=True),
        "NumPy, vectorised": with_numpy,
    }
    if (jax_run := with_jax()) is None:
        print("JAX and optax are not installed, left out: pip install -r benchmarks/requirements.txt")
    else:
        contestants["JAX, optax.adam, scan + vmap, compiled"] = jax_run
    expected = ours(compiled=False)
    for name, work in contestants.items():
        # Rounding grows along the curved valley; 1e-6 is far below what any mistake would make.
        np.testing.assert_allclose(work(), expected, rtol=1e-6, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(torch_optim(float(RATES[-1])), expected[:, -1], rtol=1e-6, atol=1e-6)

    loop = f"loop over torch.optim.Adam ({LOOPED} of {SETTINGS} run)"
    seconds = medians({**contestants, loop: lambda: [torch_optim(float(r)) for r in RATES[-LOOPED:]]}, repeats)
    seconds[loop] *= SETTINGS / LOOPED
    return report(
        f"Adam on Rosenbrock: {SETTINGS} settings x {STEPS} steps in float64, relative to trajectory",
        seconds,
        "trajectory",
        {
            loop: "at least 1000 x",
            "JAX, optax.adam, scan + vmap, compiled": "trajectory, compile=True is to be no slower",
        },
    )


def ours(compiled: bool) -> np.ndarray:
    """One call for the whole grid."""
    rule = Adam(lr=torch.from_numpy(RATES)[:, None])
    start = torch.tensor(START, dtype=torch.float64)
    return trajectory(rule, landscapes.get("rosenbrock"), start, STEPS, compile=compiled).numpy()


def torch_optim(lr: float) -> np.ndarray:
    """One setting with ``torch.optim.Adam``, as one would write it."""
    theta = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = torch.optim.Adam([theta], lr=lr)
    path = [theta.detach().clone()]
    for _ in range(STEPS):
        optimizer.zero_grad()
        x, y = theta
        loss = (1 - x) ** 2 + 100 * (y - x**2) ** 2
        loss.backward()
        optimizer.step()
        path.append(theta.detach().clone())
    return torch.stack(path).numpy()


def with_numpy() -> np.ndarray:
    """The whole grid in NumPy, one step at a time."""
    b1, b2, eps = 0.9, 0.999, 1e-8
    lr = RATES[:, None]
    theta = np.tile(np.array(START), (SETTINGS, 1))
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    path = np.empty((STEPS + 1, SETTINGS, 2))
    path[0] = theta
    for t in range(1, STEPS + 1):
        x, y = theta[:, 0], theta[:, 1]
        side = 200 * (y - x**2)
        g = np.stack((2 * (x - 1) - 2 * x * side, side), axis=-1)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        theta = theta - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        path[t] = theta
    return path


def with_jax() -> Callable[[], np.ndarray] | None:
    """The whole grid with ``optax.adam``, compiled; None where JAX or optax is missing."""
    try:
        import jax
        import optax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)

    def loss(theta: Any) -> Any:
        x, y = theta
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    def path(lr: Any) -> Any:
        optimizer = optax.adam(lr)
        start = jax.numpy.array(START)

        def step(carry: Any, _: None) -> Any:
            theta, state = carry
            updates, state = optimizer.update(jax.grad(loss)(theta), state)
            theta = optax.apply_updates(theta, updates)
            return (theta, state), theta

        _, iterates = jax.lax.scan(step, (start, optimizer.init(start)), None, length=STEPS)
        return jax.numpy.concatenate((start[None], iterates))

    # The batch is the second axis, as in a trajectory.
    compiled = jax.jit(jax.vmap(path, out_axes=1))
    rates = jax.numpy.asarray(RATES)
    return lambda: np.asarray(compiled(rates).block_until_ready())
