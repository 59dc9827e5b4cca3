# ruff: noqa: E501  (formulas stand as they do on the page)
r"""The theorems of Part I (landscapes, momentum, preconditioning) and Part II (Adam, AMSGrad, AdamW)."""

from __future__ import annotations

import numpy as np

from optbias.theory.theorems import hypotheses as h
from optbias.theory.theorems.hypotheses import number, pair, rule, vouched
from optbias.theory.theorems.run import Run, as_array, show
from optbias.theory.theorems.statement import Answer, Hypothesis, Theorem


def _factor(run: Run) -> Answer:
    beta = run.number("beta")
    return (None, "") if beta is None else (bool(np.all((beta >= 0) & (beta < 1))), f"beta = {show(beta)}")


def _below_limit(run: Run) -> Answer:
    """Whether eta times every curvature is below the limit of momentum's stability."""
    beta, rates, matrix = run.number("beta"), run.number("lr"), run.matrix
    if beta is None or rates is None or matrix is None:
        return None, ""
    highest = float(np.linalg.eigvalsh(matrix)[-1])
    limit = 2 * (1 + beta) / ((1 - beta) if run.rule.form == "ema" else 1)
    return bool(np.all(rates * highest < limit)), f"eta h = {show(rates * highest)}, the limit {show(limit)}"


def _positive_rate(run: Run) -> Answer:
    rates = run.rates((1,))
    return (None, "") if rates is None else (bool(np.all(rates > 0)), f"lr = {show(rates)}")


BETA = Hypothesis("beta", r"$0 \le \beta < 1$, constant", _factor)
POSITIVE_RATE = Hypothesis("rate-positive", r"a fixed $\eta > 0$", _positive_rate)
STABLE_RATE = Hypothesis("rate-stable", r"$\eta h$ below the limit of stability", _below_limit)
GD = rule("gradient descent", "GradientDescent")
MOMENTUM = rule("momentum, EMA form or heavy ball", "Momentum")
INVERTIBLE = vouched("invertible", "$S$ is invertible")

LANDSCAPES = (
    Theorem(
        "thm-landscapes-quadratic",
        "theorem",
        "Gradient descent with a fixed step on a quadratic",
        "landscapes",
        (GD, h.DEFINITE, POSITIVE_RATE, h.FULL_BATCH.reading("exact gradients")),
        r"""for all $t$ and $i$

```{math}
:label: eq-landscapes-factor
\langle u_i, \theta_t - \theta^* \rangle = (1 - \eta h_i)^t\, \langle u_i, \theta_0 - \theta^* \rangle .
```

Hence (a) the iterates converge to $\theta^*$ from every start if and only if $\eta < 2/h_{\max}$; (b) the component along $u_i$, if it
is not zero, changes its sign at every step if and only if $\eta h_i > 1$; (c) the factor per step, the largest of the
$|1-\eta h_i|$, is smallest for

```{math}
:label: eq-landscapes-best
\eta^* = \frac{2}{h_{\min} + h_{\max}}, \qquad \text{where it is}\quad \frac{\kappa - 1}{\kappa + 1}.
```""",
        r"""Let $f(\theta) = \tfrac12 (\theta-\theta^*)^\top H (\theta-\theta^*)$, with eigenvalues
$h_{\min} = h_1 \le \dots \le h_d = h_{\max}$ of $H$, unit eigenvectors $u_i$ and $\kappa = h_{\max}/h_{\min}$, and let
$\theta_t = \theta_{t-1} - \eta \nabla f(\theta_{t-1})$.""",
        "classical; {cite:t}`goh2017why` tells it with pictures",
    ),
    Theorem(
        "prop-landscapes-trace",
        "proposition",
        "What a random direction sees",
        "landscapes",
        (
            vouched("symmetric", r"$H$ is a symmetric $p \times p$ matrix"),
            vouched("uniform", "$d$ is uniformly distributed on the unit sphere"),
        ),
        r"$\mathbb E[d^\top H d] = \operatorname{tr}(H)/p$, the *mean* of the eigenvalues.",
    ),
)

MOMENTUM_PAGE = (
    Theorem(
        "thm-momentum-forms",
        "proposition",
        "EMA and heavy ball are the same method",
        "momentum",
        (
            BETA,
            vouched("same-start", r"both methods start from the same $\theta_0$ with $m_0 = 0$"),
        ),
        r"""EMA
momentum with learning rates $\eta_t$ and heavy-ball momentum with learning rates $(1-\beta)\,\eta_t$
have the same iterates, for any sequence of losses and any schedule.""",
    ),
    Theorem(
        "thm-momentum-disc",
        "lemma",
        "Both roots in a disc",
        "momentum",
        (vouched("real", "$s$ and $q$ are real, $r > 0$"),),
        r"""both roots of $z^2 - sz + q$ (sum $s$, product $q$) have modulus less than
$r$ if and only if $|q| < r^2$ and $|s| < r + q/r$. If both have modulus at most $r$, then $|q| \le r^2$ and
$|s| \le r + q/r$.""",
    ),
    Theorem(
        "thm-momentum-stability",
        "theorem",
        "When momentum is stable on a quadratic",
        "momentum",
        (
            MOMENTUM,
            number("no-nesterov", "no look-ahead (Nesterov)", "nesterov", lambda x: x == 0),
            BETA,
            POSITIVE_RATE,
            h.QUADRATIC.reading("$f$ is a quadratic, $h$ one of its curvatures"),
            h.FULL_BATCH.reading("exact gradients"),
        ),
        r"""from every start, the
coordinate along $h$ converges to its minimiser if and only if

```{math}
:label: eq-momentum-stability
0 < \eta h < 2(1+\beta) \quad\text{(heavy ball)}, \qquad
0 < \eta h < 2\,\frac{1+\beta}{1-\beta} \quad\text{(EMA)}.
```

The motion oscillates (complex roots) if and only if $(1-\sqrt\beta)^2 < a < (1+\sqrt\beta)^2$; then both
roots have modulus $\sqrt\beta$, whatever the curvature.""",
        source="{cite:t}`polyak1964some`; {cite:t}`goh2017why`",
    ),
    Theorem(
        "thm-momentum-best",
        "theorem",
        "The best heavy ball on a quadratic",
        "momentum",
        (
            rule("the heavy ball", "Momentum"),
            BETA,
            POSITIVE_RATE,
            h.DEFINITE.reading(
                r"$f$ is a quadratic whose curvatures fill $[h_{\min}, h_{\max}]$ or contain at least its two ends, "
                r"$0 < h_{\min} \le h_{\max}$"
            ),
        ),
        r"""$r(\eta, \beta) \ge r_*$, with equality only at
$(\eta_*, \beta_*)$, where (heavy-ball form)

```{math}
:label: eq-momentum-best
r_* = \sqrt{\beta_*} = \frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}, \qquad
\eta_* = \Bigl(\frac{2}{\sqrt{h_{\min}} + \sqrt{h_{\max}}}\Bigr)^2 .
```""",
        r"Put $\kappa = h_{\max}/h_{\min}$, and let $r(\eta,\beta)$ be the largest modulus of a root of $p$ over all curvatures.",
        "{cite:t}`polyak1964some`; {cite:t}`goh2017why`",
    ),
    Theorem(
        "thm-momentum-noise",
        "proposition",
        "Where momentum settles under noise",
        "momentum",
        (
            MOMENTUM,
            BETA,
            h.DEFINITE.reading(r"$f = \tfrac12 h\theta^2$, $h > 0$"),
            vouched("noise", r"independent gradient noise of mean 0 and variance $\sigma^2$"),
            STABLE_RATE,
        ),
        r"""in the stationary state

```{math}
:label: eq-momentum-noise
\begin{aligned}
\operatorname{Var}\theta &= \frac{\eta\,\sigma^2}{h\,\bigl(2 - \eta h\,\frac{1-\beta}{1+\beta}\bigr)}
\quad\text{(EMA)}, \\
\operatorname{Var}\theta &= \frac{\eta\,\sigma^2\,(1+\beta)}{h\,(1-\beta)\,(2(1+\beta) - \eta h)}
\quad\text{(heavy ball)}.
\end{aligned}
```""",
    ),
    Theorem(
        "thm-momentum-nesterov-forms",
        "proposition",
        "What PyTorch's parameters are",
        "momentum",
        (
            h.CONSTANT_RATE.reading(r"constant $\eta$"),
            BETA,
            vouched("same-start", r"both start from the same point, with $\theta_{-1} = \theta_0$ and $m_0 = 0$"),
        ),
        r"""PyTorch's parameters are the look-ahead points, $\vartheta_t = y_t$, and
$\theta_t = \vartheta_t + \eta\beta\, m_t$.""",
    ),
)


def _bounded_below(run: Run) -> Answer:
    lowest = h.lowest_eigenvalue(run)
    return (None, "") if lowest is None else (lowest >= 0, f"a Hessian with the eigenvalue {lowest:.3g}")


PRECONDITIONING = (
    Theorem(
        "thm-preconditioning-variables",
        "proposition",
        "A preconditioner is a change of variables",
        "preconditioning",
        (INVERTIBLE.reading(r"$S$ is invertible, and $\theta = S\varphi$"),),
        r"""gradient descent with rate $\eta$ on
$\varphi \mapsto f(S\varphi)$ is, seen in $\theta$, the step {eq}`eq-preconditioning-step` with
$P^{-1} = SS^\top$. If $f$ is quadratic with Hessian $H$ positive definite, the condition number that counts is
that of $S^\top H S$, whose eigenvalues are those of $P^{-1}H$.""",
    ),
    Theorem(
        "thm-preconditioning-line-search",
        "theorem",
        "Exact line search, and its worst case",
        "preconditioning",
        (
            h.DEFINITE.reading(
                r"$f = \tfrac12\theta^\top H\theta$ with $H$ positive definite, of condition number $\kappa$"
            ),
            vouched("line-search", "gradient descent with exact line search"),
        ),
        r"""
```{math}
:label: eq-preconditioning-kantorovich
f(\theta_t) \le \Bigl(\frac{\kappa-1}{\kappa+1}\Bigr)^2 f(\theta_{t-1}),
```

with equality (for $\kappa > 1$) if and only if the gradient has equally large parts in the eigenspaces of
$h_{\min}$ and $h_{\max}$ and no other part (or is zero). Then every further step has equality too.""",
        source="classical; see {cite:t}`nocedal2006numerical`",
    ),
    Theorem(
        "thm-preconditioning-affine",
        "proposition",
        "Affine invariance",
        "preconditioning",
        (
            INVERTIBLE.reading(r"$S$ is invertible, and $\tilde f(\varphi) = f(S\varphi)$"),
            vouched("hessian-invertible", "$H$ is invertible along the run"),
        ),
        r"""Newton's iterates for
$\tilde f$ from $\varphi_0$ satisfy $S\varphi_t = \theta_t$, where $\theta_t$ are those for $f$ from
$\theta_0 = S\varphi_0$. They do not change when $f$ is multiplied by a constant.""",
    ),
    Theorem(
        "thm-preconditioning-adagrad",
        "theorem",
        "AdaGrad's sum converges on smooth losses",
        "preconditioning",
        (
            rule("AdaGrad", "AdaGrad"),
            h.EPS_ZERO.reading(r"$\epsilon = 0$, with $0/0 = 0$"),
            h.CONSTANT_RATE.reading(r"any constant $\eta > 0$"),
            h.FULL_BATCH.reading("exact gradients"),
            h.L_SMOOTH.reading("$f$ is $L$-smooth in the Euclidean norm (convex or not)"),
            Hypothesis("bounded-below", "$f$ is bounded below", _bounded_below),
        ),
        r"every $s_{t,i}$ converges, and $\nabla f(\theta_t) \to 0$.",
        source="the proof below; for one common scalar $s_t$ with a rate, {cite:t}`ward2020adagrad`",
    ),
)

ADAM = (
    Theorem(
        "prop-adam-unbiased",
        "proposition",
        "What bias correction makes unbiased",
        "adam",
        (
            h.CORRECTED,
            vouched(
                "constant-moments",
                r"$\mathbb E\, g_k = \mu$ for all $k \le t$ (for $\hat m_t$), or $\mathbb E\, g_k^2 = \nu$ for all $k \le t$ "
                r"(for $\hat v_t$)",
            ),
        ),
        r"$\mathbb E\,\hat m_t = \mu$, or $\mathbb E\,\hat v_t = \nu$.",
        r"Let $g_1, \dots, g_t$ be random numbers, dependent in any way.",
    ),
    Theorem(
        "thm-adam-step",
        "theorem",
        "The sharp bound on a step",
        "adam",
        (
            rule("Adam's quotient, with or without bias correction", *h.ADAPTIVE[:2]),
            pair(
                "betas",
                r"$0 \le \beta_1 < 1$ and $0 < \beta_2 < 1$",
                lambda b1, b2: (b1 >= 0) & (b1 < 1) & (b2 > 0) & (b2 < 1),
            ),
            h.EPS_ZERO,
        ),
        r"""for every $t$ with $v_t > 0$

$$
\frac{|\hat m_t|}{\sqrt{\hat v_t}} \le C(\beta_1, \beta_2) = \frac{1-\beta_1}{\sqrt{(1-\beta_2)(1-q)}}
= \sqrt{1 + \frac{(\beta_1-\beta_2)^2}{(1-\beta_2)(\beta_2-\beta_1^2)}} \qquad \text{if } \beta_1^2 < \beta_2,
$$

and no smaller constant will do. If $\beta_1^2 \ge \beta_2$, the ratio has no bound. In particular $C = 1$ if and only if
$\beta_1 = \beta_2$.""",
        r"Let $g_1, g_2, \dots$ be any real numbers, and put $q = \beta_1^2/\beta_2$.",
    ),
)


def _spike(run: Run) -> np.ndarray | None:
    """C of the game that the run plays, as its loss says; None for anything but a game."""
    slopes = getattr(run.loss, "slopes", None)
    return None if slopes is None else as_array(slopes)[0]


def _three_step_game(run: Run) -> Answer:
    spike = _spike(run)
    if spike is None:
        return None, ""
    slopes = as_array(run.loss.slopes)
    three = slopes.shape[0] == 3 and bool(np.all(slopes[1:] == -1)) and (run.loss.low, run.loss.high) == (-1, 1)
    return three and bool(np.all(spike > 2)), f"a cycle of {slopes.shape[0]} slopes, the first {show(spike)}"


def _three_step_beta2(run: Run) -> Answer:
    found, spike = h.betas(run), _spike(run)
    if found is None or spike is None:
        return None, ""
    return bool(np.all(np.abs(found[1] - 1 / (1 + spike**2)) < 1e-12)), f"beta2 = {show(found[1])}"


def _starts_at_one(run: Run) -> Answer:
    return (
        (None, "")
        if run.start is None
        else (bool(np.all(as_array(run.start) == 1)), f"x_1 = {show(as_array(run.start))}")
    )


def _reddi_rate(run: Run) -> Answer:
    found, first = h.betas(run), run.rates((1,))
    if found is None or first is None:
        return None, ""
    limit = np.sqrt(1 - found[1])
    return bool(np.all((first > 0) & (first < limit))), f"eta = {show(first)}, the limit {show(limit)}"


def _eps_small(run: Run) -> Answer:
    found, eps, rate, matrix = h.betas(run), run.number("eps"), run.number("lr"), run.matrix
    if eps is not None and np.all(eps == 0):
        return True, "eps = 0"
    if found is None or eps is None or rate is None or matrix is None:
        return None, ""
    limit = 0.5 * float(np.linalg.eigvalsh(matrix)[0]) * rate * (1 - found[0]) / (1 + found[0])
    return bool(np.all(eps < limit)), f"eps = {show(eps)}, the limit {show(limit)}"


AMSGRAD = (
    Theorem(
        "thm-amsgrad-failure",
        "theorem",
        "Adam can have linear regret",
        "amsgrad",
        (
            Hypothesis(
                "game",
                "the game on $[-1,1]$ with $f_t = Cx$ in every third round, $-x$ in the others, and $C > 2$",
                _three_step_game,
            ),
            rule("Adam", "Adam"),
            h.UNCORRECTED,
            h.EPS_ZERO,
            h.NO_MOMENTUM,
            Hypothesis("beta2", r"$\beta_2 = 1/(1+C^2)$", _three_step_beta2),
            h.ROOT_RATES,
            Hypothesis("rate-small", r"$0 < \eta < \sqrt{1-\beta_2}$", _reddi_rate),
            Hypothesis("start", "projection to the interval, from $x_1 = 1$", _starts_at_one),
        ),
        r"$x_{3k+1} = 1$ for all $k \ge 0$, so $R_T/T \not\to 0$.",
        source="{cite:t}`reddi2018convergence`, Theorem 1",
    ),
    Theorem(
        "prop-amsgrad-drift",
        "proposition",
        "Drift per cycle",
        "amsgrad",
        (
            vouched("game", "the gradients are $C > 0$ once and then $-1$ for $N - 1$ rounds, repeated for ever"),
            rule("Adam", "Adam"),
            h.BETAS_IN_RANGE,
            h.EPS_ZERO,
            h.CONSTANT_RATE,
            vouched("free", "the whole line: no projection"),
        ),
        r"""the moments converge, geometrically fast, to periodic sequences. With
$j=0,1,\dots,N-1$ the number of rounds since the last spike, these are

```{math}
:label: eq-amsgrad-moments

m_j = -1 + (C+1)\,\frac{\beta_1^j}{\sum_{i<N}\beta_1^i},
\qquad
v_j = 1 + (C^2-1)\,\frac{\beta_2^j}{\sum_{i<N}\beta_2^i}
\qquad (0^0=1),
```

and the net movement per cycle tends to $\eta\,\Delta$ with

```{math}
:label: eq-amsgrad-drift

\Delta = -\sum_{j=0}^{N-1} \frac{m_j}{\sqrt{v_j}}.
```

In particular, for $N=3$, $\beta_1=0$, $b=\beta_2$ and $k=(1-b)/(1-b^3)$,

$$
\Delta = -\frac{C}{\sqrt{k(C^2+b+b^2)}} + \frac{1}{\sqrt{k(1+bC^2+b^2)}} + \frac{1}{\sqrt{k(1+b+b^2C^2)}}.
$$""",
    ),
    Theorem(
        "prop-amsgrad-memory",
        "proposition",
        "The memory that Adam needs",
        "amsgrad",
        (
            vouched("game", "the gradients are $C = rN$ once and then $-1$ for $N - 1$ rounds, with a fixed $r > 1$"),
            h.NO_MOMENTUM,
            h.EPS_ZERO,
            vouched("long-cycle", r"$N \to \infty$"),
        ),
        r"""the break-even value satisfies $N(1-\beta_2^*)\to s$, where $s>0$ solves

```{math}
:label: eq-amsgrad-memory

\frac{e^{s/2}-1}{s/2} = r .
```

For $r=1$ the solution is $s=0$, and the next order decides: $N^2(1-\beta_2^*)\to4$.""",
    ),
    Theorem(
        "thm-amsgrad-every-beta",
        "theorem",
        "Adam fails for every choice, if the game is chosen last",
        "amsgrad",
        (
            rule("Adam", "Adam"),
            pair(
                "betas",
                r"constants $\beta_1, \beta_2 \in [0,1)$ with $\beta_1 < \sqrt{\beta_2}$",
                lambda b1, b2: b1 < b2**0.5,
            ),
            h.UNCORRECTED,
            h.ROOT_RATES,
            vouched("game-last", r"the problem is chosen after $(\beta_1, \beta_2)$"),
        ),
        r"""there is an online convex optimisation problem on
which Adam has $R_T/T\not\to0$. Their Theorem 3 says the same in a stochastic setting: the
losses are independent draws from a fixed distribution, and Adam does not converge to the minimiser of the expected loss.""",
        source="{cite:t}`reddi2018convergence`, Theorem 2",
    ),
    Theorem(
        "thm-amsgrad-zhang",
        "theorem",
        "For a fixed problem, a large β2 comes close",
        "amsgrad",
        (
            vouched("finite-sum", r"$f=\sum_i f_i$ is a finite sum of smooth functions, bounded below"),
            vouched(
                "affine-variance",
                r"the second moment of the gradients is bounded by an affine function of $\lVert\nabla f\rVert^2$",
            ),
            vouched("random-order", "Adam goes through the $f_i$ in random order"),
            vouched("rates", r"rates of order $1/\sqrt t$"),
            pair("betas", r"$\beta_1 < \sqrt{\beta_2} < 1$", lambda b1, b2: (b1 < b2**0.5) & (b2 < 1)),
            vouched("beta2-large", r"$\beta_2$ is above a threshold that depends on the problem"),
        ),
        r"""Adam comes to a
neighbourhood of critical points, whose size grows with the variance of the gradients; under the strong growth condition (no
variance where $\nabla f=0$) it comes to critical points. For small $\beta_2$ it can diverge.""",
        source="{cite:t}`zhang2022adam`, stated informally; the constants are in the paper",
    ),
    Theorem(
        "thm-amsgrad-bound",
        "theorem",
        "AMSGrad's regret",
        "amsgrad",
        (
            rule("AMSGrad", "AMSGrad"),
            h.UNCORRECTED,
            h.EPS_ZERO.reading(r"$\epsilon = 0$, and projection in the norm weighted by $\sqrt{\hat v_t}$"),
            vouched("bounded-set", r"each coordinate of the feasible set has diameter at most $D_\infty$"),
            vouched(
                "convex-losses", r"the $f_t$ are convex with $\lVert\nabla f_t\rVert_\infty\le G_\infty$ on that set"
            ),
            h.ROOT_RATES,
            pair(
                "betas",
                r"$\beta_{1t}\le\beta_1<1$ with $\beta_{11}=\beta_1$, and $\gamma=\beta_1/\sqrt{\beta_2}<1$",
                lambda b1, b2: b1 < b2**0.5,
            ),
        ),
        r"""
```{math}
:label: eq-amsgrad-bound

\begin{aligned}
R_T \le{}& \frac{D_\infty^2\sqrt T}{\eta(1-\beta_1)} \sum_{i=1}^d \sqrt{\hat v_{T,i}}
+ \frac{D_\infty^2}{(1-\beta_1)^2} \sum_{t=1}^T \sum_{i=1}^d \frac{\beta_{1t}\sqrt{\hat v_{t,i}}}{\eta_t} \\
&+ \frac{\eta\sqrt{1+\ln T}}{(1-\beta_1)^2(1-\gamma)\sqrt{1-\beta_2}} \sum_{i=1}^d \lVert g_{1:T,i}\rVert_2 .
\end{aligned}
```""",
        source="{cite:t}`reddi2018convergence`, Theorem 4",
    ),
    Theorem(
        "thm-amsgrad-simple",
        "theorem",
        "Regret of AMSGrad without momentum",
        "amsgrad",
        (
            rule("AMSGrad", "AMSGrad"),
            h.NO_MOMENTUM.reading(r"$\beta_1 = 0$, $\beta_2 \in [0, 1)$"),
            h.EPS_ZERO.reading(r"$\epsilon = 0$ (with $0/0 = 0$)"),
            h.UNCORRECTED,
            h.ROOT_RATES,
            vouched("bounded-set", "the feasible set is an interval of length $D$, with projection to it"),
            vouched("convex-losses", r"the $f_t$ are convex on it, with subgradients $|g_t| \le G$"),
        ),
        r"""for every $T$

```{math}
:label: eq-amsgrad-simple

\begin{aligned}
R_T &\le \frac{D^2\sqrt{T\,\hat v_T}}{2\eta} + \frac{\eta}{2}\sum_{t=1}^T\frac{g_t^2}{\sqrt{t\,\hat v_t}} \\
&\le \Big(\frac{D^2}{2\eta} + \frac{\eta}{\sqrt{1-\beta_2}}\Big)\,G\sqrt T .
\end{aligned}
```""",
    ),
    Theorem(
        "thm-amsgrad-bock",
        "theorem",
        "Adam has 2-cycles on quadratics",
        "amsgrad",
        (
            h.DEFINITE.reading(r"$f(\theta)=\tfrac12c\theta^2$ with $c > 0$"),
            h.FULL_BATCH.reading("full gradients"),
            h.CONSTANT_RATE,
            rule("Adam, at late times (or without bias correction)", "Adam", "AdamW"),
            h.EPS_OUTSIDE_OR_ZERO,
            Hypothesis("eps-small", r"$\epsilon < \tfrac12 c\,\eta\,(1-\beta_1)/(1+\beta_1)$", _eps_small),
        ),
        r"""the cycle {eq}`eq-amsgrad-cycle` exists, and for no larger $\epsilon$; its amplitude does not depend on $\beta_2$, nor for $\epsilon=0$
on $c$. With bias correction the correction tends to 1, so the cycle is that of the limiting map. The paper states it for all choices of the hyper-parameters
and analyses stability.""",
        source="{cite:t}`bock2019nonconvergence`, from the abstract; the formula is derived here",
    ),
    Theorem(
        "thm-amsgrad-dereich",
        "theorem",
        "No convergence at non-vanishing rates",
        "amsgrad",
        (
            rule(
                "an adaptive method such as RMSProp or Adam (the precise class is in the paper)",
                "Adam",
                "AdamW",
                "AMSGrad",
                "RMSProp",
            ),
            vouched("rates-bounded-below", "rates that stay asymptotically bounded away from zero"),
            vouched("noise", "a stochastic problem with non-degenerate noise"),
        ),
        r"the iterates do not converge to *any* possible random limit point.",
        source="{cite:t}`dereich2024nonconvergence`, from the abstract",
    ),
)


C1 = h.SMOOTH
ADAM_L2 = rule("Adam with the coupled term", "Adam")

ADAMW = (
    Theorem(
        "thm-adamw-momentum",
        "proposition",
        "Where momentum with decoupled decay ends",
        "adamw",
        (
            C1,
            h.FULL_BATCH,
            h.CONSTANT_RATE,
            rule("momentum, EMA form or heavy ball", "Momentum"),
            BETA,
            h.CONVERGES,
        ),
        r"""$\nabla f(\theta_\infty) + \lambda_{\mathrm{eff}}\,\theta_\infty = 0$ with
$\lambda_{\mathrm{eff}} = \lambda$ for the EMA form and $\lambda_{\mathrm{eff}} = (1-\beta)\lambda$ for
the heavy ball. With the coupled penalty it is $\lambda$ for both.""",
        r"Let momentum run with decoupled decay $\lambda$.",
    ),
    Theorem(
        "thm-adamw-l2",
        "proposition",
        "Limits of Adam + L2 are stationary points of the penalised loss",
        "adamw",
        (
            C1,
            h.FULL_BATCH,
            ADAM_L2.reading(r"Adam with the coupled term $\lambda\theta$, $\epsilon\ge 0$ on either side of the root"),
            h.BETAS_IN_RANGE,
            h.RATES_NONNEGATIVE,
            h.SUM_DIVERGES,
            h.CONVERGES,
        ),
        r"""$\nabla f(\theta_\infty)+\lambda\theta_\infty = 0$: a stationary point of
$f+\tfrac{\lambda}{2}\lVert\theta\rVert^2$ and, if $f$ is convex and $\lambda>0$, its only minimiser.""",
        also=(("minimiser", (h.CONVEX, h.STRICT_PENALTY)),),
    ),
    Theorem(
        "thm-adamw-fixed",
        "proposition",
        "What the limits of AdamW satisfy",
        "adamw",
        (
            C1,
            h.FULL_BATCH,
            rule("AdamW", "AdamW"),
            h.DECAY,
            h.BETAS_IN_RANGE,
            h.EPS_POSITIVE,
            h.EPS_OUTSIDE,
            h.RATES_NONNEGATIVE,
            h.SUM_DIVERGES,
            h.CONVERGES,
        ),
        r"""with $g=\nabla f(\theta_\infty)$, for every coordinate,

```{math}
:label: eq-adamw-balance
\lambda\,\theta_{\infty,i} = -\frac{g_i}{|g_i|+\epsilon},
\qquad\text{equivalently}\qquad
g_i = -\,\frac{\epsilon\lambda\,\theta_{\infty,i}}{1-\lambda|\theta_{\infty,i}|} .
```

So $\lVert\theta_\infty\rVert_\infty < 1/\lambda$, and $\theta_\infty$ is a stationary point of
$f + \epsilon\sum_i\varphi(\theta_i)$ with the barrier
$\varphi(x) = -|x| - \tfrac1\lambda\ln(1-\lambda|x|)$. As $\epsilon\to 0$, every accumulation point
of such $\theta_\infty$ is a KKT point of $\min f$ over the box $\lVert\theta\rVert_\infty\le 1/\lambda$.""",
        also=(("minimiser", (h.CONVEX,)),),
    ),
)

STATEMENTS = LANDSCAPES + MOMENTUM_PAGE + PRECONDITIONING + ADAM + ADAMW + AMSGRAD
