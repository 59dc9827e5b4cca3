"""``python -m benchmarks.conformance``: our rules against optax, pytorch_optimizer, schedulefree and lion-pytorch.

Each pair gets the same 200 gradients (plus a tenth of the iterate, so that a difference feeds back) in float64;
printed is the largest difference of the iterates, relative to the largest iterate. ``make conformance`` installs the
libraries into an environment of its own. Where two libraries mean different things by one name, the line says in
which convention.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from optbias import rules
from optbias.rules import Rule
from optbias.seeding import generator

STEPS = 200
AGREE = 1e-9
Path_ = np.ndarray


def gradients(shape: tuple[int, ...]) -> torch.Tensor:
    """Random gradients, shape ``(STEPS, *shape)``."""
    return torch.randn(STEPS, *shape, generator=generator(0), dtype=torch.float64)


def start(shape: tuple[int, ...]) -> torch.Tensor:
    """Where all begin."""
    return torch.randn(shape, generator=generator(1), dtype=torch.float64)


def ours(rule: Rule, shape: tuple[int, ...]) -> Path_:
    """The iterates of a rule."""
    theta, path = start(shape), []
    state = rule.init(theta)
    for grad in gradients(shape):
        theta, state = rule.update(theta, grad + 0.1 * theta, state)
        path.append(theta.numpy())
    return np.stack(path)


def with_torch(make: Callable[[list[Any]], torch.optim.Optimizer], shape: tuple[int, ...]) -> Path_:
    """The iterates of an optimizer in the style of torch."""
    param, path = torch.nn.Parameter(start(shape)), []
    optimizer = make([param])
    if hasattr(optimizer, "train"):
        optimizer.train()
    for grad in gradients(shape):
        param.grad = grad + 0.1 * param.detach()
        optimizer.step()
        path.append(param.detach().clone().numpy())
    return np.stack(path)


def with_optax(transformation: Any, shape: tuple[int, ...]) -> Path_:
    """The iterates of an optax transformation."""
    import jax
    import optax

    theta = jax.numpy.array(start(shape).numpy())
    state, path = transformation.init(theta), []
    update = jax.jit(transformation.update)
    for grad in gradients(shape):
        step, state = update(grad.numpy() + 0.1 * theta, state, theta)
        theta = optax.apply_updates(theta, step)
        path.append(np.array(theta))
    return np.stack(path)


def pairs() -> Iterator[tuple[str, Rule, Callable[[tuple[int, ...]], Path_], str]]:
    """Name, our rule, the other library's run, and in which convention they differ ("" if they must agree)."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import lion_pytorch
    import optax
    import pytorch_optimizer as po
    import schedulefree
    from optax import contrib

    def jaxed(made: Any) -> Callable[[tuple[int, ...]], Path_]:
        return lambda shape: with_optax(made, shape)

    def torched(kind: Any, **options: Any) -> Callable[[tuple[int, ...]], Path_]:
        return lambda shape: with_torch(lambda p: kind(p, **options), shape)

    b = {"b1": 0.8, "b2": 0.95}
    base = {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3}
    lr, eps = 0.02, 1e-3
    yield "optax.adam", rules.Adam(**base), jaxed(optax.adam(lr, **b, eps=eps)), ""
    yield (
        "optax.adamw",
        rules.AdamW(**base, weight_decay=0.1),
        jaxed(optax.adamw(lr, **b, eps=eps, weight_decay=0.1)),
        "",
    )
    yield "optax.amsgrad", rules.AMSGrad(**base), jaxed(optax.amsgrad(lr, **b, eps=eps)), "optax: maximum after the hat"
    yield "optax.rmsprop", rules.RMSProp(lr, 0.9, eps), jaxed(optax.rmsprop(lr, 0.9, eps, eps_in_sqrt=False)), ""
    adagrad = optax.adagrad(lr, initial_accumulator_value=0.0, eps=eps)
    yield "optax.adagrad", rules.AdaGrad(lr, eps, True), jaxed(adagrad), ""
    yield "optax.adadelta", rules.Adadelta(lr), jaxed(optax.adadelta(lr)), ""
    yield "optax.lion", rules.Lion(lr, (0.8, 0.95), 0.1), jaxed(optax.lion(lr, **b, weight_decay=0.1)), ""
    yield "optax.adamax", rules.Adamax(**base), jaxed(optax.adamax(lr, **b, eps=eps)), ""
    yield (
        "optax.nadam",
        rules.NAdam(**base),
        jaxed(optax.nadam(lr, **b, eps=eps)),
        ("optax: constant mu = beta1; torch and we: mu_t of Dozat's schedule"),
    )
    yield (
        "optax.radam",
        rules.RAdam(**base),
        jaxed(optax.radam(lr, **b, eps=eps)),
        ("optax: eps beside the corrected root; torch and we: beside the uncorrected one"),
    )
    yield "optax.radam, eps 0", rules.RAdam(lr, (0.8, 0.95), 0.0), jaxed(optax.radam(lr, **b, eps=0.0)), ""
    yield "optax.adabelief", rules.AdaBelief(**base), jaxed(optax.adabelief(lr, **b, eps=eps, eps_root=eps)), ""
    yield "optax.yogi", rules.Yogi(**base), jaxed(optax.yogi(lr, **b, eps=eps)), ""
    signum = optax.signum(lr, b1=0.8) if "b1" in optax.signum.__code__.co_varnames else optax.signum(lr, 0.8)
    yield "optax.signum", rules.Signum(lr, 0.8), jaxed(signum), ""
    lamb = optax.lamb(lr, **b, eps=eps, weight_decay=0.1)
    yield "optax.lamb", rules.LAMB(**base, weight_decay=0.1), jaxed(lamb), ""
    lars = optax.lars(lr, weight_decay=0.1, trust_coefficient=0.5, momentum=0.8)
    yield (
        "optax.lars",
        rules.LARS(lr, 0.8, 0.1, trust=0.5),
        jaxed(lars),
        ("optax: |g + wd theta|; paper and we: |g| + wd |theta|"),
    )
    lars = optax.lars(lr, weight_decay=0.0, trust_coefficient=0.5, momentum=0.8)
    yield "optax.lars, no decay", rules.LARS(lr, 0.8, 0.0, trust=0.5), jaxed(lars), ""
    yield "optax.contrib.adopt", rules.ADOPT(**base), jaxed(contrib.adopt(lr, **b, eps=eps)), ""
    mix = contrib.ademamix(lr, b1=0.8, b2=0.95, b3=0.99, alpha=2.0, eps=eps, weight_decay=0.1)
    mixed = rules.AdEMAMix(lr, (0.8, 0.95, 0.99), eps, 0.1, alpha=2.0)
    yield "optax.contrib.ademamix", mixed, jaxed(mix), ""
    free = contrib.schedule_free_sgd(lr, b1=0.8)
    yield "optax.contrib.schedule_free_sgd", rules.ScheduleFreeSGD(lr, 0.8), jaxed(free), ""
    muon = rules.NormalizedSteepestDescent(lr, "linf")
    yield "optax.sign_sgd", muon, jaxed(optax.sign_sgd(lr)), ""

    wd = {"weight_decay": 0.1}
    full = {**base, **wd}
    decoupled = {"weight_decouple": True}
    yield (
        "pytorch_optimizer.ADOPT",
        rules.ADOPT(**full),
        torched(po.ADOPT, **full, **decoupled),
        ("theirs: the bound t^(1/4) counts the first step, which takes v only and decays"),
    )
    yield (
        "pytorch_optimizer.LaProp",
        rules.LaProp(**full),
        torched(po.LaProp, **full, **decoupled),
        ("theirs: eps under the uncorrected root, and the decay after the step"),
    )
    laprop = torched(po.LaProp, lr=lr, betas=(0.8, 0.95), eps=1e-30, weight_decay=0.0)
    yield (
        "pytorch_optimizer.LaProp, no eps or decay",
        rules.LaProp(lr, (0.8, 0.95), 0.0),
        laprop,
        ("theirs: 1e-15 under the root, always"),
    )
    yield "pytorch_optimizer.Yogi", rules.Yogi(**full), torched(po.Yogi, **full, **decoupled), ""
    yield "pytorch_optimizer.AdaBelief", rules.AdaBelief(**full), torched(po.AdaBelief, **full, **decoupled), ""
    mix = torched(po.AdEMAMix, lr=lr, betas=(0.8, 0.95, 0.99), eps=eps, weight_decay=0.1, alpha=2.0, **decoupled)
    yield "pytorch_optimizer.AdEMAMix", mixed, mix, ""
    warm = torched(
        po.AdEMAMix,
        lr=lr,
        betas=(0.8, 0.95, 0.99),
        eps=eps,
        weight_decay=0.1,
        alpha=2.0,
        t_alpha_beta3=100,
        **decoupled,
    )
    yield "pytorch_optimizer.AdEMAMix, warm-up", mixed.replace(warmup=100), warm, ""
    yield (
        "pytorch_optimizer.Lamb",
        rules.LAMB(**full),
        torched(po.Lamb, **full),
        ("theirs: no bias correction, |theta| clipped at 10"),
    )
    yield (
        "pytorch_optimizer.LARS",
        rules.LARS(lr, 0.8, 0.1, 0.5),
        torched(po.LARS, lr=lr, momentum=0.8, weight_decay=0.1, trust_coefficient=0.5),
        "",
    )
    yield (
        "pytorch_optimizer.Lion",
        rules.Lion(lr, (0.8, 0.95), 0.1),
        torched(po.Lion, lr=lr, betas=(0.8, 0.95), weight_decay=0.1, **decoupled),
        "",
    )
    soap = {"lr": lr, "betas": (0.8, 0.95), "eps": 1e-15, "weight_decay": 0.0}
    yield (
        "pytorch_optimizer.SOAP (matrix)",
        rules.SOAP(**soap, frequency=1),
        torched(po.SOAP, **soap, shampoo_beta=0.95, precondition_frequency=1, correct_bias=True),
        "theirs: v and the basis are sorted by the eigenvalues' estimates before each QR",
    )
    yield (
        "pytorch_optimizer.SOAP, fixed basis (matrix)",
        rules.SOAP(**soap, frequency=1000),
        torched(po.SOAP, **soap, shampoo_beta=0.95, precondition_frequency=1000, correct_bias=True),
        "",
    )
    yield (
        "pytorch_optimizer.Shampoo (matrix)",
        rules.Shampoo(lr, eps=eps),
        torched(po.Shampoo, lr=lr, matrix_eps=eps, weight_decay=0.0),
        "",
    )
    cautious = torched(po.AdamW, **full, cautious=True) if "cautious" in str(po.AdamW.__init__.__doc__) else None
    if cautious is not None:
        yield "pytorch_optimizer.AdamW(cautious)", rules.CautiousAdamW(**full), cautious, ""

    yield (
        "schedulefree.SGDScheduleFree",
        rules.ScheduleFreeSGD(lr, 0.8, 0.1),
        torched(schedulefree.SGDScheduleFreeReference, lr=lr, momentum=0.8, weight_decay=0.1),
        "",
    )
    yield (
        "schedulefree.AdamWScheduleFree",
        rules.ScheduleFreeAdamW(**full),
        torched(schedulefree.AdamWScheduleFreeReference, **full),
        "",
    )
    yield (
        "lion_pytorch.Lion",
        rules.Lion(lr, (0.8, 0.95), 0.1),
        torched(lion_pytorch.Lion, lr=lr, betas=(0.8, 0.95), weight_decay=0.1),
        "",
    )


def main() -> int:
    """Run every pair and print the table; 1 if a pair that must agree does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformance", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table, wrong = [], 0
    for name, rule, other, convention in pairs():
        shape = (4, 3)
        mine = ours(rule, shape)
        try:
            theirs = other(shape)
        except Exception as error:  # another library's own failure is a line of the table
            print(f"{name:48} could not run: {type(error).__name__}: {str(error)[:80]}")
            wrong += 1
            continue
        found = float(np.abs(mine - theirs).max() / np.abs(mine).max())
        verdict = "agrees" if found <= AGREE else f"differs: {convention}" if convention else "DIFFERS"
        wrong += verdict == "DIFFERS"
        table.append({"name": name, "rule": type(rule).__name__, "difference": found, "verdict": verdict})
        print(f"{name:48} {found:8.1e}  {verdict}", flush=True)
    print(
        f"{sum(row['verdict'] == 'agrees' for row in table)} of {len(table)} agree to {AGREE:g}; "
        f"{wrong} must and do not"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
