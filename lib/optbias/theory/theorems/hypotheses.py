"""The conditions that theorems of the book share, each as a question that a run can answer.

An answer is read from the objects of the run: the rule's type and numbers, its schedule, the loss. A schedule that is
a function of the step is asked at every step of the run (1,000 where the run does not say how many) and at
1e4, 1e5, ..., 1e12. What it does there decides how fast it falls; a computer cannot know more of a function. What no
object can tell (a limit exists, noise is independent) is answered by None: the page has to vouch for it in words.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optbias.theory.theorems.run import HORIZON, Run, as_array, show
from optbias.theory.theorems.statement import Answer, Hypothesis

ADAPTIVE = ("Adam", "AdamW", "AMSGrad")


def vouched(key: str, text: str) -> Hypothesis:
    """A condition that no object can answer for."""
    return Hypothesis(key, text)


def rule(text: str, *names: str) -> Hypothesis:
    """The update rule is one of the classes named."""

    def ask(run: Run) -> Answer:
        return run.is_a(*names), f"the rule {type(run.rule).__name__}"

    return Hypothesis("rule", text, ask)


def number(
    key: str, text: str, name: str, holds: Callable[[np.ndarray], np.ndarray], index: int | None = None
) -> Hypothesis:
    """A hyper-parameter satisfies ``holds``, in each entry."""

    def ask(run: Run) -> Answer:
        if run.rule is None:
            return None, ""
        value = run.number(name, index)
        if value is None:
            return None, ""
        shown = name if index is None else f"{name}[{index}]"
        return bool(np.all(holds(value))), f"{shown} = {show(value)}"

    return Hypothesis(key, text, ask)


def setting(key: str, text: str, name: str, wanted: object) -> Hypothesis:
    """A setting of the rule that is no number has the value ``wanted``."""

    def ask(run: Run) -> Answer:
        if run.rule is None or not hasattr(run.rule, name):
            return None, ""
        found = getattr(run.rule, name)
        return found == wanted, f"{name} = {found!r}"

    return Hypothesis(key, text, ask)


# -- the rule ------------------------------------------------------------------------------------------------------


def _eps(run: Run) -> np.ndarray | None:
    """Epsilon; 0 for a rule that has none."""
    if run.rule is None:
        return None
    value = run.number("eps")
    return np.zeros(()) if value is None else value


def _eps_zero(run: Run) -> Answer:
    eps = _eps(run)
    return (None, "") if eps is None else (bool(np.all(eps == 0)), f"eps = {show(eps)}")


def _eps_positive(run: Run) -> Answer:
    eps = _eps(run)
    return (None, "") if eps is None else (bool(np.all(eps > 0)), f"eps = {show(eps)}")


EPS_ZERO = Hypothesis("eps-zero", r"$\epsilon = 0$", _eps_zero)
EPS_POSITIVE = Hypothesis("eps-positive", r"$\epsilon > 0$", _eps_positive)
EPS_OUTSIDE = setting("eps-outside", r"$\epsilon$ outside the root", "eps_inside", False)
EPS_INSIDE = setting("eps-inside", r"$\epsilon$ *inside* the root", "eps_inside", True)


def _eps_beside(run: Run) -> Answer:
    """Epsilon outside the root; where it is 0 the place does not matter."""
    zero, _ = _eps_zero(run)
    return (True, "eps = 0") if zero else EPS_OUTSIDE.ask(run)


EPS_OUTSIDE_OR_ZERO = Hypothesis("eps-outside", r"$\epsilon$ outside the root", _eps_beside)
UNCORRECTED = setting("no-bias-correction", "no bias correction", "bias_correction", False)
CORRECTED = setting("bias-correction", "bias correction", "bias_correction", True)


def betas(run: Run) -> tuple[np.ndarray, np.ndarray] | None:
    """The two betas, beta1 = 0 for RMSProp; None if the rule has none."""
    pair = getattr(run.rule, "betas", None)
    if pair is not None and run.is_a(*ADAPTIVE):
        return as_array(pair[0]), as_array(pair[1])
    rho = run.number("rho")
    return None if rho is None else (np.zeros(()), rho)


def pair(key: str, text: str, holds: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Hypothesis:
    """A condition on (beta1, beta2)."""

    def ask(run: Run) -> Answer:
        found = betas(run)
        if found is None:
            return None, ""
        shown = "; ".join(show(each) for each in found)
        return bool(np.all(holds(*found))), f"betas = ({shown})"

    return Hypothesis(key, text, ask)


BETAS_ORDERED = pair("betas-ordered", r"$\beta_1 \le \beta_2 < 1$", lambda b1, b2: (b1 <= b2) & (b2 < 1))
BETAS_EQUAL = pair("betas-equal", r"$\beta_1 = \beta_2 \in [0, 1)$", lambda b1, b2: (b1 == b2) & (b2 < 1))
BETAS_IN_RANGE = pair(
    "betas", r"$\beta_1, \beta_2 \in [0, 1)$", lambda b1, b2: (b1 >= 0) & (b1 < 1) & (b2 >= 0) & (b2 < 1)
)
NO_MOMENTUM = pair("beta1-zero", r"$\beta_1 = 0$", lambda b1, b2: b1 == 0)

DECAY = number("decay", r"decoupled decay $\lambda > 0$ on every coordinate", "weight_decay", lambda x: x > 0)
PENALTY = number("penalty", r"the coupled term with $\lambda \ge 0$", "weight_decay", lambda x: x >= 0)
STRICT_PENALTY = number("penalty-positive", r"$\lambda > 0$", "weight_decay", lambda x: x > 0)
NO_DECAY = number("no-decay", "no weight decay", "weight_decay", lambda x: x == 0)

# -- learning rates ------------------------------------------------------------------------------------------------


def _asked(run: Run) -> tuple[tuple[int, ...], np.ndarray] | None:
    """The steps at which the schedule was asked, and its values there."""
    near = tuple(range(1, min(run.steps or 1000, 20_000) + 1))
    if not callable(getattr(run.rule, "lr", None)):
        near = near[:2]
    for steps in (near + tuple(t for t in HORIZON if t > near[-1]), near):
        values = run.rates(steps)
        if values is not None:
            return steps, values
    return None


def _positive_rate(run: Run) -> Answer:
    asked = _asked(run)
    if asked is None:
        return None, ""
    lowest = asked[1].min()
    return bool(lowest >= 0), f"a rate of {lowest:.3g}"


def _constant(run: Run) -> Answer:
    if run.rule is None or not hasattr(run.rule, "lr"):
        return None, ""
    if callable(run.rule.lr):
        return False, "a rate that is a function of the step"
    value = as_array(run.rule.lr)
    return bool(np.all(value > 0)), f"lr = {show(value)}"


def _not_increasing(run: Run) -> Answer:
    asked = _asked(run)
    if asked is None:
        return None, ""
    steps, values = asked
    rises = np.diff(values, axis=0) > 1e-12 * np.abs(values[:-1])
    if rises.any():
        first = int(np.argmax(rises.any(axis=1)))
        return False, f"a rate that rises after step {steps[first]}"
    return True, "rates that do not rise"


def _sum_diverges(run: Run) -> Answer:
    if run.rule is None or not hasattr(run.rule, "lr"):
        return None, ""
    values = run.rates(HORIZON)
    if values is None:
        return None, ""
    gone = ~(values > 0)
    if gone.any():
        first = int(np.argmax(gone.any(axis=1)))
        return False, f"a rate of {values[first].min():.3g} at step {HORIZON[first]:.0e}: a finite sum"
    exponents = -np.diff(np.log10(values), axis=0)[-1]
    slowest, fastest = exponents.min(), exponents.max()
    if fastest < 0.999:
        return True, f"rates that fall like t^-{fastest:.3g}"
    if fastest > 1.001:
        return False, f"rates that fall like t^-{fastest:.3g}: a finite sum"
    scaled = values * np.asarray(HORIZON, dtype=float)[:, None]
    if np.all(np.abs(scaled[-1] / scaled[-4] - 1) < 1e-2):
        return True, "rates that fall like 1/t"
    return None, f"rates that fall like t^-{slowest:.4g}"


def _damped(run: Run) -> Answer:
    asked, decay = _asked(run), run.number("weight_decay")
    if asked is None or decay is None:
        return None, ""
    largest = (
        asked[1] * decay.reshape(-1) if decay.size in (1, asked[1].shape[1]) else np.outer(asked[1].max(1), decay)
    ).max()
    return bool(largest <= 1), f"eta lambda up to {largest:.4g}"


def rates(text: str, key: str, formula: Callable[[Run, np.ndarray], np.ndarray | None]) -> Hypothesis:
    """The schedule is the one that ``formula`` gives, up to rounding; None where it cannot be known."""

    def ask(run: Run) -> Answer:
        asked = _asked(run)
        if asked is None:
            return None, ""
        steps, values = asked
        wanted = formula(run, np.asarray(steps, dtype=float)[:, None])
        if wanted is None:
            return None, ""
        near = bool(np.all(np.abs(values - wanted) <= 1e-9 * np.abs(wanted)))
        return near, f"eta_1 = {show(values[0])}, eta_{steps[1]} = {show(values[1])}"

    return Hypothesis(key, text, ask)


RATES_NONNEGATIVE = Hypothesis("rates", r"$\eta_t \ge 0$", _positive_rate)
CONSTANT_RATE = Hypothesis("rate-constant", r"a constant rate $\eta > 0$", _constant)
NOT_INCREASING = Hypothesis("rates-not-increasing", r"$\eta_t \ge 0$ does not increase", _not_increasing)
SUM_DIVERGES = Hypothesis("rates-sum", r"$\sum_t \eta_t = \infty$", _sum_diverges)
DAMPED = Hypothesis("rates-damped", r"$0 \le \lambda\eta_t \le 1$", _damped)
ROOT_RATES = rates(
    r"rates $\eta_t = \eta/\sqrt t$",
    "rates-root",
    lambda run, t: None if (v := run.rates((1,))) is None else v[0] / t**0.5,
)

# -- the loss and its gradients ------------------------------------------------------------------------------------


def _full_batch(run: Run) -> Answer:
    return (True, "its own gradient") if run.loss is not None and run.gradient is None else (None, "")


def _declared(run: Run, name: str) -> Answer:
    value = getattr(run.loss, name, None)
    return (value, f"a loss with {name} = {value}") if isinstance(value, bool) else (None, "")


def lowest_eigenvalue(run: Run) -> float | None:
    """The smallest eigenvalue of a quadratic loss's Hessian; None for other losses."""
    return None if run.matrix is None else float(np.linalg.eigvalsh(run.matrix)[0])


def _smooth(run: Run) -> Answer:
    return (True, "a quadratic") if run.matrix is not None else _declared(run, "smooth")


def _convex(run: Run) -> Answer:
    lowest = lowest_eigenvalue(run)
    if lowest is None:
        return _declared(run, "convex")
    return lowest >= -1e-12 * float(np.abs(run.matrix).max()), f"a Hessian with the eigenvalue {lowest:.3g}"  # type: ignore[arg-type]


def _definite(run: Run) -> Answer:
    lowest = lowest_eigenvalue(run)
    return (None, "") if lowest is None else (lowest > 0, f"a Hessian with the eigenvalue {lowest:.3g}")


def _quadratic(run: Run) -> Answer:
    return (True, "a quadratic") if run.matrix is not None else (None, "")


FULL_BATCH = Hypothesis("full-batch", r"full-batch gradients, $g_t = \nabla f(\theta_{t-1})$", _full_batch)
SMOOTH = Hypothesis("smooth", "$f$ is continuously differentiable", _smooth)
L_SMOOTH = Hypothesis("lipschitz-gradient", "$f$ is $L$-smooth", _smooth)
CONVEX = Hypothesis("convex", "$f$ is convex", _convex)
DEFINITE = Hypothesis("positive-definite", "$f$ is a quadratic with a positive definite Hessian $H$", _definite)
QUADRATIC = Hypothesis("quadratic", "$f$ is a quadratic", _quadratic)
CONVERGES = vouched("converges", r"the iterates converge, $\theta_t \to \theta_\infty$")

# -- the start -----------------------------------------------------------------------------------------------------


def _zero_start(run: Run) -> Answer:
    if run.start is None:
        return None, ""
    start = as_array(run.start)
    return bool(np.all(start == 0)), f"a start with entries up to {np.abs(start).max():.3g}"


ZERO_START = Hypothesis("start-zero", r"$w_0 = 0$", _zero_start)
