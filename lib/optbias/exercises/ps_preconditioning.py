"""Public checks of the problem set on preconditioning, and the slips that they and the hidden tests can name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from optbias.exercises import Answer, CheckFailed, Step, numbers, same, same_run, task
from optbias.rules import AdaGrad, RMSProp

Hyper = dict[str, Any]
State = dict[str, Any]

RULES = ("torch.optim", "optbias.rules", "optbias.torch_optimizer", "optbias.simulate", "optbias.exercises")
"""What the answers that write a rule may not use: rules written by others."""


def several(answer: Answer, value: Any, names: Sequence[str]) -> tuple[Any, ...]:
    """What an answer returned for these names, a tuple; CheckFailed if it is not as many things."""
    if value is None:
        raise CheckFailed(f"{answer.shown_as} returned None. Is a return missing?")
    if not isinstance(value, (tuple, list)) or len(value) != len(names):
        asked = f"{len(names)} things, {', '.join(names)}"
        raise CheckFailed(f"{answer.shown_as} must return {asked}; got {type(value).__name__}")
    return tuple(value)


# -- The condition number --------------------------------------------------------------------------


def condition_slips(hessian: Tensor, preconditioner: Tensor) -> dict[str, Tensor]:
    """Wrong condition numbers, for positive definite matrices."""
    own = torch.linalg.eigvalsh(hessian)
    other = torch.linalg.eigvalsh(preconditioner)
    product = torch.linalg.eigvals(preconditioner @ hessian).real
    right = torch.linalg.eigvals(torch.linalg.solve(preconditioner, hessian)).real
    return {
        "that is the condition number of the Hessian alone: the preconditioner is not used": own[-1] / own[0],
        "that is the condition number of P H: divide by P, do not multiply": product.max() / product.min(),
        "that is the ratio of the two condition numbers: P and H need not have the same eigenvectors": (
            (own[-1] / own[0]) / (other[-1] / other[0])
        ),
        "these are singular values: P^-1 H is not symmetric, and its eigenvalues are asked": torch.linalg.cond(
            torch.linalg.solve(preconditioner, hessian)
        ),
        "the smallest is divided by the largest: the other way round": right.min() / right.max(),
        "that is the root of it: eigenvalues, and not their roots": (right.max() / right.min()).sqrt(),
        "that is the factor of gradient descent, (kappa - 1) / (kappa + 1); asked is kappa": (
            (right.max() - right.min()) / (right.max() + right.min())
        ),
        "that is the diagonal only: the eigenvalues are asked": hessian.diagonal().max() / hessian.diagonal().min(),
    }


def no_number(value: Any) -> None:
    """Require NaN: there is no condition number."""
    found = numbers(value, "the condition number")
    if found.numel() != 1:
        raise CheckFailed(f"one number is asked; got shape {tuple(found.shape)}")
    if not math.isnan(found.item()):
        raise CheckFailed(
            "this matrix is not positive definite, so it has no condition number: return math.nan. "
            "Are your numbers singular values, or absolute values?"
        )


@task("condition-number", "condition_number(hessian, preconditioner)", forbids=("optbias.exercises",))
def check_condition_number(answer: Answer) -> None:
    """Two by two, by hand."""
    eye = torch.eye(2, dtype=torch.float64)
    ravine = torch.tensor([[10.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    coupled = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    with answer.checking("diag(10, 1): 10"):
        same(answer(ravine, eye), 10.0, "kappa", slips=condition_slips(ravine, eye))
    with answer.checking("[[2, 1], [1, 2]]: 3"):
        same(answer(coupled, eye), 3.0, "kappa", slips=condition_slips(coupled, eye))
    with answer.checking("divided by itself: 1"):
        same(answer(coupled, coupled), 1.0, "kappa", slips=condition_slips(coupled, coupled))
    with answer.checking("diag(10, 1) divided by [[2, 1], [1, 2]]: (11 + sqrt(91)) / (11 - sqrt(91))"):
        right = (11 + math.sqrt(91)) / (11 - math.sqrt(91))
        same(answer(ravine, coupled), right, "kappa", slips=condition_slips(ravine, coupled))
    with answer.checking("the saddle diag(1, -1) has none"):
        no_number(answer(torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64)), eye))


# -- Newton ----------------------------------------------------------------------------------------


def newton_slips(params: Tensor, grads: Tensor, hessian: Tensor, lr: float, divide_by: str) -> dict[str, Tensor]:
    """Wrong steps. The Hessian is symmetric, invertible, and without zeros on its diagonal."""
    values, vectors = torch.linalg.eigh(hessian)

    def along(scale: Tensor) -> Tensor:
        return params - lr * (vectors * scale) @ (vectors.T @ grads)

    newton = along(1 / values)
    own = {
        "hessian": newton,
        "absolute": along(1 / values.abs()),
        "diagonal": params - lr * grads / hessian.diagonal(),
    }[divide_by]
    slips = {
        "that is gradient descent: nothing is divided": params - lr * grads,
        "the gradient is multiplied by the matrix: divide, that is, solve with it": {
            "hessian": params - lr * hessian @ grads,
            "absolute": along(values.abs()),
            "diagonal": params - lr * hessian.diagonal() * grads,
        }[divide_by],
        "lr is not used": params - (params - own) / lr,
        "the step goes uphill: subtract it": 2 * params - own,
    }
    if divide_by == "hessian":
        slips |= {
            "that divides by the diagonal only": params - lr * grads / hessian.diagonal(),
            "that divides by |H|: Newton's method takes the eigenvalues with their signs": along(1 / values.abs()),
            "each entry is divided by itself: solve with the matrix": params - lr * (grads / hessian).sum(-1),
        }
    elif divide_by == "absolute":
        slips |= {
            "that is Newton's step: where an eigenvalue is negative, it goes uphill": newton,
            "these are the absolute values of the entries; take those of the eigenvalues": (
                params - lr * torch.linalg.solve(hessian.abs(), grads)
            ),
            "eigenvalues below zero are cut off, and not made positive": along(
                torch.where(values > 0, 1 / values, 0.0)
            ),
            "that is |diagonal|: take the eigenvalues": params - lr * grads / hessian.diagonal().abs(),
        }
    else:
        slips |= {
            "that divides by the whole Hessian: take its diagonal": newton,
            "those are the eigenvalues: the diagonal's entries are asked": params - lr * grads / values,
            "the diagonal's signs are lost: divide by the diagonal as it is": params
            - lr * grads / hessian.diagonal().abs(),
        }
    return slips


@task("newton-step", "newton_step(params, grads, hessian, lr, divide_by)", forbids=("optbias.exercises",))
def check_newton_step(answer: Answer) -> None:
    """The worked example, and a saddle."""
    ravine = torch.tensor([[10.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    start = torch.tensor([1.0, 10.0], dtype=torch.float64)
    g = ravine @ start
    with answer.checking("the worked example, from (1, 10): Newton's step ends at 0"):
        moved = numbers(answer(start, g, ravine, 1.0, "hessian"), "params") + 1
        same(moved, [1.0, 1.0], "1 + params", slips={"that is gradient descent": 1 + start - g})
    saddle = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64) + torch.diag(
        torch.tensor([0.5, -0.25], dtype=torch.float64)
    )
    here = torch.tensor([1.0, 0.5], dtype=torch.float64)
    slips = newton_slips(here, saddle @ here, saddle, 1.0, "hessian")
    with answer.checking("at a saddle Newton's step ends on the saddle"):
        same(
            numbers(answer(here, saddle @ here, saddle, 1.0, "hessian"), "params") + 1,
            [1.0, 1.0],
            "1 + params",
            slips={
                what: wrong + 1 for what, wrong in newton_slips(here, saddle @ here, saddle, 1.0, "hessian").items()
            },
        )
    with answer.checking("and the step divided by |H| goes downhill: f becomes smaller"):
        there = numbers(answer(here, saddle @ here, saddle, 1.0, "absolute"), "params")
        if there.shape != here.shape:
            raise CheckFailed(f"params must have the shape {tuple(here.shape)}; got {tuple(there.shape)}")
        if not (there @ saddle @ there) < (here @ saddle @ here) - 1e-3:
            raise CheckFailed("f did not become smaller")
    with answer.checking("diag(3, -2) from (1, 1), divided by |H|: (0, 2)"):
        simple = torch.diag(torch.tensor([3.0, -2.0], dtype=torch.float64))
        one = torch.ones(2, dtype=torch.float64)
        slips = newton_slips(one, simple @ one, simple, 1.0, "absolute")
        same(answer(one, simple @ one, simple, 1.0, "absolute"), [0.0, 2.0], "params", slips=slips)
    with answer.checking("divided by the diagonal, [[2, 1], [1, 4]] from (1, 1), lr = 0.5: (0.25, 0.375)"):
        coupled = torch.tensor([[2.0, 1.0], [1.0, 4.0]], dtype=torch.float64)
        slips = newton_slips(one, coupled @ one, coupled, 0.5, "diagonal")
        same(answer(one, coupled @ one, coupled, 0.5, "diagonal"), [0.25, 0.375], "params", slips=slips)


# -- Exact line search -----------------------------------------------------------------------------


def line_search_slips(params: Tensor, hessian: Tensor) -> dict[str, Tensor]:
    """Wrong end points of the step."""
    g = hessian @ params
    top = torch.linalg.eigvalsh(hessian)
    return {
        "the learning rate is upside down: it is g.g over g.Hg": params - (g @ hessian @ g) / (g @ g) * g,
        "there is a 2 too many: the minimum along -g is at g.g over g.Hg": params - 2 * (g @ g) / (g @ hessian @ g) * g,
        "there is a half too many: the minimum along -g is at g.g over g.Hg": params
        - (g @ g) / (g @ hessian @ g) * g / 2,
        "that is the best constant learning rate, 2 / (smallest + largest); line search looks at g": params
        - 2 / (top[0] + top[-1]) * g,
        "that is 1 / (largest curvature): line search looks at g": params - g / top[-1],
        "the gradient is H theta; here theta itself was used": params
        - (params @ params) / (params @ hessian @ params) * params,
        "the learning rate was computed from theta, not from g": params
        - (params @ params) / (params @ hessian @ params) * g,
        "the step goes uphill: subtract it": params + (g @ g) / (g @ hessian @ g) * g,
    }


def same_end(got: Any, params: Tensor, hessian: Tensor) -> None:
    """Require the end point of an exact line search along the gradient."""
    there = numbers(got, "params")
    g = hessian @ params
    right = params - (g @ g) / (g @ hessian @ g) * g
    if there.shape == params.shape and there.norm() < 1e-9 * params.norm() < right.norm():
        raise CheckFailed("params: that is the minimum, and so Newton's step: line search goes along -g only")
    same(there, right, "params", slips=line_search_slips(params, hessian), tol=1e-8)


@task("line-search-step", "line_search_step(params, hessian)", forbids=("optbias.exercises", "scipy"))
def check_line_search_step(answer: Answer) -> None:
    """The worked example, and a start on an axis."""
    names = ("params", "share")
    ravine = torch.tensor([[10.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    start = torch.tensor([1.0, 10.0], dtype=torch.float64)
    with answer.checking("the worked example, from (1, 10): to (1 - 20/11, 10 - 20/11)"):
        there, _ = several(answer, answer(start, ravine), names)
        same_end(there, start, ravine)
    with answer.checking("and the share (9/11)^2 of the loss is left"):
        _, share = several(answer, answer(start, ravine), names)
        slips = {
            "that is the root of the share: the loss is asked, not the distance": 9 / 11,
            "that is the share that is gone": 1 - (9 / 11) ** 2,
            "that is the loss itself: divide by the loss before the step": 55 * (9 / 11) ** 2,
        }
        same(share, (9 / 11) ** 2, "share", slips=slips)
    with answer.checking("from (0, 2), on an axis, the minimum is reached in one step"):
        there, share = several(answer, answer(torch.tensor([0.0, 2.0], dtype=torch.float64), ravine), names)
        same(numbers(there, "params") + 1, [1.0, 1.0], "1 + params")
        same([share, 1.0], [0.0, 1.0], "share")


# -- AdaGrad and RMSProp ---------------------------------------------------------------------------


def fresh(params: Tensor, memory: str) -> State:
    """The state before the first step; ``memory`` is ``"s"`` for AdaGrad and ``"v"`` for RMSProp."""
    return {"t": 0, memory: torch.zeros_like(params)}


def adagrad(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The right step: the library's rule."""
    return AdaGrad(hyper["lr"], hyper["eps"]).equations(params, grads, state)


def rmsprop(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The right step: the library's rule."""
    return RMSProp(hyper["lr"], hyper["rho"], hyper["eps"]).equations(params, grads, state)


def slipped(
    memory: str,
    *,
    share: str = "right",
    square: bool = True,
    root: bool = True,
    eps: str = "beside",
    old: bool = False,
    keep: tuple[str, ...] = ("t", "memory"),
    hat: bool = False,
    rate: str = "lr",
    sign: float = 1.0,
    numerator: str = "g",
    whole: bool = False,
    centred: bool = False,
) -> Step:
    """AdaGrad (``memory="s"``) or RMSProp (``"v"``) with a slip: what someone with a misconception would write."""

    def step(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        t, rho = state["t"] + 1, hyper.get("rho", 0.0)
        seen = grads - grads.mean() if centred else grads
        size = seen**2 if square else seen.abs()
        size = size.sum().expand_as(size) if whole else size
        if memory == "s":
            new = {"right": state["s"] + size, "latest": size, "mean": (state["s"] * (t - 1) + size) / t}[share]
        else:
            new = {
                "right": rho * state["v"] + (1 - rho) * size,
                "swapped": (1 - rho) * state["v"] + rho * size,
                "sum": state["v"] + size,
                "no factor": rho * state["v"] + size,
                "latest": size,
            }[share]
        below = state[memory] if old else new
        below = below / (1 - rho**t) if hat else below
        if eps == "inside":
            below = (below + hyper["eps"]).sqrt()
        else:
            below = (below.sqrt() if root else below) + (0.0 if eps == "none" else hyper["eps"])
        lr = {"lr": hyper["lr"], "per root t": hyper["lr"] / t**0.5}[rate]
        top = {"g": grads, "sign": grads.sign(), "root": grads.abs()}[numerator]
        kept = {"t": t if "t" in keep else state["t"], memory: new if "memory" in keep else state[memory]}
        return params - sign * lr * top / below, kept

    return step


def _common(memory: str) -> dict[str, Step]:
    """Slips that both rules share."""
    return {
        f"{memory} is not kept in the state: the next step must find it": slipped(memory, keep=("t",)),
        "t is not kept in the state: it must grow by 1 in every step": slipped(memory, keep=("memory",)),
        f"the state is returned as it came: t and {memory} must be the new ones": slipped(memory, keep=()),
        f"the step divides by the old {memory}: the gradient of this step belongs to it": slipped(memory, old=True),
        f"the root is missing: divide by the root of {memory}": slipped(memory, root=False),
        f"{memory} holds |g|; it must hold squares": slipped(memory, square=False),
        "epsilon stands under the root; here it stands beside it": slipped(memory, eps="inside"),
        "epsilon is missing": slipped(memory, eps="none"),
        "the step goes uphill: subtract it": slipped(memory, sign=-1.0),
        "the sign of the gradient is divided; divide the gradient": slipped(memory, numerator="sign"),
        "the sign of the gradient is lost": slipped(memory, numerator="root"),
        f"{memory} holds squares around the mean of the gradient; it must hold the squares of the gradient itself": (
            slipped(memory, centred=True)
        ),
        f"one number for all coordinates: {memory} has an entry for each": slipped(memory, whole=True),
    }


ADAGRAD_SLIPS: dict[str, Step] = {
    "there is no memory in it: s must add up the squares of all steps": slipped("s", share="latest"),
    "s is a mean: AdaGrad's is a sum": slipped("s", share="mean"),
    "the learning rate is divided by the root of t as well: s does that already": slipped("s", rate="per root t"),
} | _common("s")
"""What the checks of AdaGrad can name."""

RMSPROP_SLIPS: dict[str, Step] = {
    "there is no memory in it: v must average over the steps": slipped("v", share="latest"),
    "v is bias-corrected: RMSProp, as asked here and as in torch, is not": slipped("v", hat=True),
    "rho and 1 - rho are swapped: rho is the share of the old v that stays": slipped("v", share="swapped"),
    "v is a sum: that is AdaGrad": slipped("v", share="sum"),
    "v lacks the factor 1 - rho before the square": slipped("v", share="no factor"),
} | _common("v")
"""What the checks of RMSProp can name."""


def _check_rule(answer: Answer, right: Step, memory: str, hyper: Hyper, slips: dict[str, Step]) -> None:
    """Small visible examples of each thing that the tests look at."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    gradients = torch.tensor([[0.3, -4.0, 0.02], [0.1, -2.0, -0.05], [0.4, 1.0, 0.01]], dtype=torch.float64)
    state = fresh(start, memory)
    with answer.checking("the first step"):
        same_run(answer, right, start, gradients[:1], hyper, state=state, slips=slips)
    with answer.checking("three steps"):
        same_run(answer, right, start, gradients, hyper, state=state, slips=slips)
    with answer.checking("what the state holds"):
        same_run(answer, right, start, gradients, hyper, state=state, watch=("t", memory), slips=slips)
    with answer.checking("a large epsilon"):
        same_run(answer, right, start, gradients, hyper | {"eps": 0.5}, state=state, slips=slips)
    with answer.checking("a gradient of zero moves nothing"):
        zero = torch.zeros(3, dtype=torch.float64)
        params, _ = several(answer, answer(start, zero, state, hyper), ("params", "state"))
        same(params, start, "params")
    with answer.checking("the arguments are left as they are"):
        answer.pure(start, gradients[0], state, hyper)


@task("adagrad-step", "adagrad_step(params, grads, state, hyper)", forbids=RULES)
def check_adagrad_step(answer: Answer) -> None:
    """Small visible examples."""
    _check_rule(answer, adagrad, "s", {"lr": 0.1, "eps": 1e-10}, ADAGRAD_SLIPS)


@task("rmsprop-step", "rmsprop_step(params, grads, state, hyper)", forbids=RULES)
def check_rmsprop_step(answer: Answer) -> None:
    """Small visible examples."""
    _check_rule(answer, rmsprop, "v", {"lr": 0.1, "rho": 0.9, "eps": 1e-8}, RMSPROP_SLIPS)


# -- Step lengths ----------------------------------------------------------------------------------

ON_A_SLOPE = ("adagrad", "rmsprop", "corrected", "gradient descent")
"""The rules of the task on step lengths."""


def length_slips(rule: str, t: int, gradient: float, lr: float, rho: float) -> dict[str, float]:
    """Wrong lengths of step t on a slope."""
    size = abs(gradient)
    slips = {
        "adagrad": {
            "that is the first step's length: s grows with every step": lr,
            "s is t times g^2, and its root grows like the root of t": lr / t,
            "the gradient cancels: the step is g over the root of t g^2": lr * size / math.sqrt(t),
            "that is the distance up to here: the sum of the lengths": lr * sum(k**-0.5 for k in range(1, t + 1)),
            "off by one: the first step has t = 1": lr / math.sqrt(t + 1),
        },
        "rmsprop": {
            "that is the length in the long run: v starts from zero": lr,
            "that is the first step's length: v grows": lr / math.sqrt(1 - rho),
            "the root is missing: v = (1 - rho^t) g^2": lr / (1 - rho**t),
            "the factor is upside down: v is too small at first, so the steps are too long": lr * math.sqrt(1 - rho**t),
            "the gradient cancels: the step is g over the root of v": lr * size / math.sqrt(1 - rho**t),
            "off by one: the first step has t = 1": lr / math.sqrt(1 - rho ** (t + 1)),
        },
        "corrected": {
            "the correction removes the factor: v / (1 - rho^t) is g^2": lr / math.sqrt(1 - rho**t),
            "the correction is applied the wrong way": lr * math.sqrt(1 - rho**t),
            "the gradient cancels: the step is g over |g|": lr * size,
            "that is AdaGrad's length": lr / math.sqrt(t),
        },
        "gradient descent": {
            "gradient descent does not divide: the gradient stays": lr,
            "a length is not negative": lr * gradient,
            "that is the distance up to here: one step is asked": lr * size * t,
        },
    }
    return slips[rule]


def length_of_a_step(rule: str, t: int, gradient: float, lr: float, rho: float) -> float:
    """The length of step t, by running the rule."""
    made = {
        "adagrad": AdaGrad(lr, eps=0.0),
        "rmsprop": RMSProp(lr, rho, eps=0.0),
        "corrected": RMSProp(lr, rho, eps=0.0, bias_correction=True),
    }
    if rule == "gradient descent":
        return lr * abs(gradient)
    at, grad = torch.zeros(1, dtype=torch.float64), torch.full((1,), gradient, dtype=torch.float64)
    state, before = made[rule].init(at), at
    for _ in range(t):
        before = at
        at, state = made[rule].update(at, grad, state)
    return (at - before).abs().item()


@task("slope-length", "slope_length(rule, t, gradient, lr, rho)", forbids=RULES)
def check_slope_length(answer: Answer) -> None:
    """Against runs."""
    for rule in ON_A_SLOPE:
        with answer.checking(f"{rule}: steps 1, 2 and 30 on a slope of -3, lr = 0.1, rho = 0.9"):
            for t in (1, 2, 30):
                given = (rule, t, -3.0, 0.1, 0.9)
                same(answer(*given), length_of_a_step(*given), f"length of step {t}", slips=length_slips(*given))


# -- Rotation --------------------------------------------------------------------------------------


def turned_ravine(kappa: float, angle: float) -> Tensor:
    """The Hessian with curvatures 1 and kappa whose axes are turned by ``angle`` (radians)."""
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    return turn @ torch.diag(torch.tensor([1.0, kappa], dtype=torch.float64)) @ turn.T


def jacobi_right(kappa: float, angle: float) -> float:
    """The condition number after Jacobi scaling, from the eigenvalues."""
    hessian = turned_ravine(kappa, angle)
    scale = hessian.diagonal().rsqrt()
    values = torch.linalg.eigvalsh(scale[:, None] * hessian * scale)
    return (values[-1] / values[0]).item()


def jacobi_slips(kappa: float, angle: float) -> dict[str, Any]:
    """Wrong condition numbers after Jacobi scaling."""
    hessian = turned_ravine(kappa, angle)
    h = hessian.diagonal()
    c = abs(hessian[0, 1].item()) / math.sqrt(h[0].item() * h[1].item())
    rooted = (kappa - 1) * abs(math.sin(angle) * math.cos(angle)) / (h[0] * h[1]).item()

    def of(c: float) -> float:
        return (1 + c) / (1 - c) if c < 1 else math.inf

    return {
        "that is kappa itself: nothing is scaled, or the diagonal is divided by twice": kappa,
        "scaled, the eigenvalues are 1 + c and 1 - c; asked is their ratio, the larger over the smaller": (1 - c)
        / (1 + c),
        "the angle is in radians": lambda: jacobi_right(kappa, math.radians(angle)),
        "the root is missing in the scaled entry: divide by the root of H11 H22": of(rooted),
        "these are singular values of D^-1 H, which is not symmetric": torch.linalg.cond(hessian / h[:, None]),
        "that is the scaled entry c; asked is (1 + c) / (1 - c)": c,
        "that is the ratio of the diagonal's entries": h.max() / h.min(),
        "H12 is (kappa - 1) sin cos, not kappa sin cos": of(
            kappa * abs(math.sin(angle) * math.cos(angle)) / math.sqrt((h[0] * h[1]).item())
        ),
    }


@task("jacobi-condition", "jacobi_condition(kappa, angle)", forbids=("optbias.exercises",))
def check_jacobi_condition(answer: Answer) -> None:
    """The chapter's angles."""
    with answer.checking("kappa = 100, along the axes: 1"):
        same(answer(100.0, 0.0), 1.0, "kappa after scaling", slips=jacobi_slips(100.0, 0.0))
    with answer.checking("kappa = 100, turned by pi / 4: still 100"):
        same(answer(100.0, math.pi / 4), 100.0, "kappa after scaling", slips=jacobi_slips(100.0, math.pi / 4))
    with answer.checking("kappa = 100, turned by 0.3, and the other way by 0.3"):
        for angle in (0.3, -0.3):
            right = jacobi_right(100.0, angle)
            same(answer(100.0, angle), right, "kappa after scaling", slips=jacobi_slips(100.0, angle))


# -- Spot the error --------------------------------------------------------------------------------

FOUND = ("the point", "the cosine")


def point_slips(curvature: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Wrong points."""
    return {
        "the gradient is curvature * theta: divide what is wanted by the curvature": curvature * wanted,
        "that is what is wanted of the gradient; asked is the point that has this gradient": wanted,
        "the root of the square of g is |g|: no root is left": (wanted / curvature).sqrt(),
        "the square of g is asked to be wanted^2, not wanted": wanted.sqrt() / curvature,
        "that is the inverse of the curvature: the gradient there is 1 everywhere": 1 / curvature,
        "upside down: divide what is wanted by the curvature": curvature / wanted,
        "that is the gradient's mirror image: the entries should be positive": -wanted / curvature,
    }


def cosine_slips(curvature: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Wrong cosines, for the right point ``wanted / curvature``."""
    point = wanted / curvature
    ones = torch.ones_like(point)

    def cosine(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b) / (a.norm() * b.norm())

    right = cosine(ones, point)
    return {
        "that is the cosine between the gradient and Newton's direction; AdaGrad's first step is the sign of g": cosine(
            wanted, point
        ),
        "that is the cosine between AdaGrad's step and the gradient; asked is Newton's direction": cosine(ones, wanted),
        "that is the angle; asked is its cosine": torch.arccos(right),
        "the lengths are missing: divide the inner product by both norms": ones @ point,
        "one of the two lengths is missing": (ones @ point) / point.norm(),
        "AdaGrad's direction has the length sqrt(d), not d": (ones @ point) / (point.norm() * len(point)),
        "that is the squared cosine": right**2,
        "the curvature is not Newton's direction: it is H^-1 g": cosine(ones, curvature),
        "the two steps go the same way: the cosine is positive": -right,
    }


@task("curvature-counterexample", "curvature_counterexample(curvature, wanted)", forbids=RULES)
def check_curvature_counterexample(answer: Answer) -> None:
    """The worked example."""
    curvature = torch.tensor([10.0, 1.0], dtype=torch.float64)
    wanted = torch.tensor([10.0, 10.0], dtype=torch.float64)
    with answer.checking("curvatures (10, 1), |g| = (10, 10): the point (1, 10)"):
        point, _ = several(answer, answer(curvature, wanted), FOUND)
        same(point, [1.0, 10.0], "the point", slips=point_slips(curvature, wanted))
    with answer.checking("the same: AdaGrad's first step and Newton's make an angle of 39.3 degrees"):
        _, cosine = several(answer, answer(curvature, wanted), FOUND)
        right = 11 / math.sqrt(2 * 101)
        same(cosine, right, "the cosine", slips=cosine_slips(curvature, wanted))
    with answer.checking("|g| = (3, 0.5): is the gradient at your point what was wanted?"):
        other = torch.tensor([3.0, 0.5], dtype=torch.float64)
        point, _ = several(answer, answer(curvature, other), FOUND)
        at = numbers(point, "the point")
        if at.shape != other.shape:
            raise CheckFailed(f"the point must have the shape of wanted, {tuple(other.shape)}; got {tuple(at.shape)}")
        same(curvature * at, other, "the gradient there")
