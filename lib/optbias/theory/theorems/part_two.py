# ruff: noqa: E501  (formulas stand as they do on the page)
r"""The theorems of Part III: the box, backward error analysis, generalisation, other norms."""

from __future__ import annotations

import numpy as np

from optbias.theory.theorems import hypotheses as h
from optbias.theory.theorems.hypotheses import number, pair, rates, rule, vouched
from optbias.theory.theorems.run import Run, as_array, show
from optbias.theory.theorems.statement import Answer, Hypothesis, Theorem

STEEPEST = ("NormalizedSteepestDescent", "SignGD", "Signum", "Lion")


def norm_of(run: Run) -> str | None:
    """The norm in whose ball the run's rule moves: its own, the max-norm for signs and Adam; None where unknown."""
    if run.is_a("NormalizedSteepestDescent"):
        return run.rule.norm
    if run.is_a("Muon"):
        return "spectral"
    return "linf" if run.is_a("SignGD", "Signum", "Lion", *h.ADAPTIVE) else None


def _in_ball(run: Run) -> Answer:
    from optbias import norms

    norm, decay = norm_of(run), run.number("weight_decay")
    if norm is None or decay is None or run.start is None or decay.size != 1:
        return None, ""
    size = as_array(norms.norm(run.start, norm))
    return bool(np.all(size * decay <= 1)), f"a start of norm {show(size)}"


def _frank_wolfe_rates(run: Run, t: np.ndarray) -> np.ndarray | None:
    decay = run.number("weight_decay")
    return None if decay is None else 2 / (decay.reshape(1, -1) * (t + 1))


def _steepest(run: Run) -> Answer:
    if run.rule is None:
        return None, ""
    exact = run.is_a(*STEEPEST) or (run.is_a("Muon") and run.rule.orthogonalize == "svd" and not run.rule.adjust_lr)
    return (True, "an exact steepest direction") if exact else (None, f"the rule {type(run.rule).__name__}")


def _bounded_direction(run: Run) -> Answer:
    """Whether every update is at most 1 long: steepest directions, and Adam with equal betas."""
    if run.is_a("Adam", "AdamW"):
        holds, found = h.BETAS_EQUAL.ask(run)
        return (True, found) if holds else (None, found)
    return _steepest(run)


def _gd_rate(run: Run) -> Answer:
    rate, matrix = run.number("lr"), run.matrix
    if rate is None or matrix is None:
        return None, ""
    limit = 2 / float(np.linalg.eigvalsh(matrix)[-1])
    return bool(np.all((rate > 0) & (rate < limit))), f"lr = {show(rate)}, the limit {limit:.4g}"


BOUNDED = Hypothesis("update-bounded", r"$\lVert\Delta_t\rVert \le 1$", _bounded_direction)
DECAYED = number(
    "decay",
    r"$\theta_t=(1-\lambda\eta_t)\theta_{t-1}-\eta_t\Delta_t$ with $\lambda>0$",
    "weight_decay",
    lambda x: x > 0,
)
IN_BALL = Hypothesis("in-ball", r"$\lVert\theta_0\rVert\le 1/\lambda$", _in_ball)
FW_RATES = rates(r"$\eta_t=\frac{2}{\lambda(t+1)}$ for $t = 1, 2, \dots$", "rates-frank-wolfe", _frank_wolfe_rates)
SMOOTH_IN_NORM = h.L_SMOOTH.reading(
    r"$f$ is $L$-smooth in the norm of the method: $\lVert\nabla f(x)-\nabla f(y)\rVert_*\le L\lVert x-y\rVert$"
)

C1 = h.SMOOTH
ADAMW_RULE = rule("AdamW", "AdamW")


def limits_of_adamw(correction: Hypothesis) -> tuple[Hypothesis, ...]:
    """The assumptions of Theorem 1.1, without bias correction (the theorem) or with it (the remark)."""
    return (
        C1,
        h.FULL_BATCH,
        ADAMW_RULE,
        h.DECAY,
        h.EPS_ZERO,
        correction,
        h.BETAS_ORDERED,
        h.NOT_INCREASING,
        h.SUM_DIVERGES,
        h.CONVERGES,
    )


RATE_CONDITIONS = (
    h.CONVEX,
    SMOOTH_IN_NORM,
    h.FULL_BATCH.reading("the gradients are exact and full-batch"),
    Hypothesis(
        "steepest",
        r"an exact steepest direction: $\lVert\Delta_t\rVert\le1$ and $\langle g_t,\Delta_t\rangle=\lVert g_t\rVert_*$",
        _steepest,
    ),
    h.DECAY.reading(r"$\lambda>0$"),
    FW_RATES,
)

BOX = (
    Theorem(
        "thm-linf-constraint-contraction",
        "lemma",
        "The ball attracts",
        "linf-constraint",
        (
            DECAYED.reading(r"$\theta_t=(1-\lambda\eta_t)\theta_{t-1}-\eta_t\Delta_t$"),
            BOUNDED,
            h.DAMPED,
        ),
        r"""
```{math}
:label: eq-linf-constraint-contraction
\lVert\theta_T\rVert - \frac1\lambda \;\le\; \prod_{t=1}^{T}(1-\lambda\eta_t)\,\Bigl(\lVert\theta_0\rVert-\frac1\lambda\Bigr).
```

So an iterate in the ball stays in it, and one outside approaches it. Nothing is assumed about the loss, or about where
$\Delta_t$ comes from.""",
    ),
    Theorem(
        "thm-linf-constraint-gap",
        "lemma",
        "The KKT gap (Lemma 3.8)",
        "linf-constraint",
        (
            vouched("differentiable", r"$f$ is differentiable at $\theta$"),
            vouched("in-ball", r"$\lVert\theta\rVert\le 1/\lambda$"),
        ),
        r"""with $g=\nabla f(\theta)$ and

```{math}
:label: eq-linf-constraint-gap
G(\theta) = \lVert g\rVert_* + \lambda\,\langle\theta, g\rangle ,
```

$G(\theta)\ge 0$, and these are equivalent: (a) $\theta$ is a KKT point; (b) $G(\theta)=0$; (c) no point of the ball lies
downhill to first order, $\langle g, s-\theta\rangle\ge 0$ for every $\lVert s\rVert\le 1/\lambda$. If $f$ is convex, then moreover
$f(\theta)-\min_{\text{ball}} f\le G(\theta)/\lambda$, so that KKT points are exactly the constrained minimisers.""",
        source="{cite:t}`xie2024implicit`; $G/\\lambda$ is the gap of {cite:t}`jaggi2013revisiting`",
        also=(("distance", (h.CONVEX,)),),
    ),
    Theorem(
        "thm-linf-constraint-rate",
        "theorem",
        "Rate of NSD with weight decay (Theorem 3.5)",
        "linf-constraint",
        RATE_CONDITIONS,
        r"""with $B=\max(\lVert\theta_0\rVert,1/\lambda)$ and $\theta_\star$ a minimiser of $f$ over the ball of radius $1/\lambda$, for every $t\ge1$

```{math}
:label: eq-linf-constraint-rate
f(\theta_t)-f(\theta_\star)\;\le\;\frac{2L\,(1+\lambda B)^2}{(t+2)\,\lambda^2} .
```

From a start in the ball the right side is $8L/((t+2)\lambda^2)$.""",
        source="{cite:t}`xie2024implicit`; for Frank-Wolfe in general {cite:t}`jaggi2013revisiting`",
        also=(("ball", (IN_BALL,)),),
    ),
    Theorem(
        "thm-linf-constraint-gaprate",
        "corollary",
        "The KKT gap goes to 0",
        "linf-constraint",
        RATE_CONDITIONS,
        r"""$G(\theta_t)\to0$, and for $1\le K<T$ the smallest gap among $\theta_K,\dots,\theta_{T-1}$ is at most
$\lambda\,\bigl(\frac{4C}{K+2}+C\sum\gamma_t^2\bigr)/\sum\gamma_t$, sums over $K<t\le T$. With $T=2K$ this is $O(1/K)$.""",
    ),
    Theorem(
        "thm-linf-constraint-average",
        "proposition",
        "Limits of bounded updates",
        "linf-constraint",
        (
            DECAYED,
            h.RATES_NONNEGATIVE,
            h.SUM_DIVERGES.reading(r"$S_T=\sum_{t\le T}\eta_t\to\infty$"),
            h.CONVERGES.reading(r"$\theta_t\to\theta_\infty$"),
        ),
        r"""
```{math}
:label: eq-linf-constraint-cesaro
\bar\Delta_T:=\frac{1}{S_T}\sum_{t=1}^{T}\eta_t\Delta_t\;\longrightarrow\;-\lambda\,\theta_\infty .
```

If moreover $f$ is continuously differentiable, $g_\infty=\nabla f(\theta_\infty)$,

- (i) $\limsup_T\lVert\bar\Delta_T\rVert\le1$, and
- (ii) $\langle\bar\Delta_T,g_\infty\rangle\to\lVert g_\infty\rVert_*$,

then $\theta_\infty$ is a KKT point of $\min f$ over $\lVert\theta\rVert\le1/\lambda$. Normalised steepest descent fulfils (i) and (ii) in every norm, with any rates whose sum diverges.""",
        source="{cite:t}`xie2024implicit`, Theorem 3.7, for normalised steepest descent",
    ),
    Theorem(
        "thm-linf-constraint-hardbox",
        "theorem",
        "The hard box",
        "linf-constraint",
        (
            rule(r"AdamW, with $\epsilon\ge0$ in either place, with or without bias correction", "AdamW"),
            h.BETAS_EQUAL,
            h.DECAY.reading(r"$\lambda>0$"),
            h.DAMPED,
        ),
        r"at every step $\lvert\Delta_{t,i}\rvert\le1$, and $\lVert\theta_t\rVert_\infty\le\max(\lVert\theta_0\rVert_\infty,1/\lambda)$.",
        "**Any** gradients: mini-batch, noisy, of any loss.",
    ),
    Theorem(
        "thm-linf-constraint-average-update",
        "theorem",
        "Average update bound (Lemma 4.2)",
        "linf-constraint",
        (
            pair(
                "betas-ordered",
                r"$0\le\beta_1\le\beta_2<1$, $\beta_2>0$",
                lambda b1, b2: (b1 <= b2) & (b2 < 1) & (b2 > 0),
            ),
            h.UNCORRECTED.reading(r"$m_0=0$ and $m_t=\beta_1m_{t-1}+(1-\beta_1)g_t$, without bias correction"),
            h.EPS_ZERO,
            vouched("denominator", r"$v_0\ge0$, $v_1>0$ and $v_t-\beta_2v_{t-1}\ge(1-\beta_2)g_t^2$"),
        ),
        r"""for every $t\ge1$

```{math}
:label: eq-linf-constraint-pointwise
\Delta_t^2\;\le\;1+\frac{\beta_2-\beta_1}{1-\beta_2}\Bigl[\beta_1^{t-1}+(1-\beta_1)\sum_{j=1}^{t-1}\beta_1^{j-1}\,(\ell_t-\ell_{t-j})\Bigr]=:b_t ,
```

and for any weights $\eta_t\ge0$, not all zero, $\bigl(\sum_{t\le T}\eta_t\Delta_t/S_T\bigr)^2\le\sum_{t\le T}\eta_tb_t/S_T$. With constant weights

```{math}
:label: eq-linf-constraint-constant
\Bigl(\frac1T\sum_{t\le T}\Delta_t\Bigr)^2\le 1+\frac{\beta_2-\beta_1}{(1-\beta_2)(1-\beta_1)}\,\frac{1+\ln(v_{\max}/v_{\min})}{T} .
```""",
        r"Let the $g_t$ be real numbers; write $\ell_t=\ln v_t$ and $\Delta_t=m_t/\sqrt{v_t}$.",
        "{cite:t}`xie2024implicit`; the inequality as displayed is derived here",
    ),
    Theorem(
        "thm-linf-constraint-adamw",
        "theorem",
        "Limits of AdamW (Theorem 1.1)",
        "linf-constraint",
        limits_of_adamw(h.UNCORRECTED),
        r"""$\theta_\infty$ is a KKT point of $\min f(\theta)$ over $\lVert\theta\rVert_\infty\le1/\lambda$. If $f$ is convex, it is a constrained minimiser.""",
        source="{cite:t}`xie2024implicit`",
        also=(("minimiser", (h.CONVEX,)),),
    ),
    Theorem(
        "rem-linf-constraint-bias",
        "remark",
        "With bias correction, as in torch",
        "linf-constraint",
        limits_of_adamw(h.CORRECTED),
        r"""$\theta_\infty$ is a KKT point of the box, and a constrained minimiser if $f$ is convex, as in {prf:ref}`thm-linf-constraint-adamw` (in
`torch.optim.AdamW(eps=0)` as long as no gradient entry is 0 from the start: torch makes NaN of $0/0$).

The reason: bias correction multiplies $\Delta_t$ by $c_t=\sqrt{1-\beta_2^t}/(1-\beta_1^t)$, which tends to 1 geometrically. For $\beta_1\le\beta_2$, $\beta_1^2\le\beta_2^2<\beta_2$, and then $|\Delta_t|$ has a finite upper bound ([Adam](adam.md)). So
$\sum_t\eta_t|c_t-1||\Delta_t|$ is finite, and the averages $\bar\Delta_T$ with and without correction have the same limits. (The correction makes the *effective* rate non-monotone, which is why we argue this way.)""",
        source="the theorem, and the argument given here",
        also=(("minimiser", (h.CONVEX,)),),
    ),
    Theorem(
        "prop-linf-networks-entry",
        "proposition",
        "No earlier than this",
        "linf-networks",
        (
            DECAYED.reading(r"$\theta_t=(1-\lambda\eta)\,\theta_{t-1}-\eta\,\Delta_t$ with a constant $\eta$"),
            Hypothesis("rates-damped", r"$0<\lambda\eta<1$", h.DAMPED.ask),
            BOUNDED.reading(r"$|\Delta_{t,i}|\le1$ (as for equal betas)"),
            vouched("start-outside", r"$\lVert\theta_0\rVert_\infty=M>1/\lambda$"),
        ),
        r"""if $\lVert\theta_t\rVert_\infty\le1/\lambda$, then

```{math}
:label: eq-linf-networks-entry

t\;\ge\;\frac{\ln\frac{1+\lambda M}{2}}{-\ln(1-\lambda\eta)} .
```

There is no upper bound.""",
    ),
)


def _beta_of_momentum(run: Run) -> Answer:
    beta = run.number("beta")
    return (None, "") if beta is None else (bool(np.all((beta >= 0) & (beta < 1))), f"beta = {show(beta)}")


BOUNDED_THREE = vouched("bounded-derivatives", "$f$ has bounded partial derivatives up to third order")
BOUNDED_FOUR = vouched("bounded-derivatives", "$f$ has bounded partial derivatives up to fourth order")
FIXED_TIME = vouched("fixed-time", r"a fixed time $T > 0$ and a small $\eta$")
FACTORS = pair("betas", r"$\beta, \rho \in [0, 1)$ fixed", lambda b1, b2: (b1 < 1) & (b2 < 1))
ADAM_EQUATION = (
    rule("Adam or RMSProp", "Adam", "RMSProp"),
    h.CORRECTED,
    h.EPS_POSITIVE,
    h.EPS_INSIDE,
    FACTORS,
    h.FULL_BATCH.reading("full batch"),
    BOUNDED_FOUR,
    FIXED_TIME,
)

BACKWARD = (
    Theorem(
        "thm-backward-error-gd",
        "theorem",
        "The modified equation of gradient descent",
        "backward-error",
        (
            rule("gradient descent", "GradientDescent"),
            h.FULL_BATCH.reading("full batch"),
            BOUNDED_THREE,
            FIXED_TIME,
        ),
        r"""$\max_{n\eta\le T}\lVert\theta_n - \tilde\theta(n\eta)\rVert \le C\eta^2$ for all small enough $\eta$, where $C$ depends on $f$ and $T$ but not on $\eta$.""",
        r"""Let $\theta_{n+1} = \theta_n - \eta\nabla f(\theta_n)$
and let $\tilde\theta$ solve

$$
\dot{\tilde\theta} = -\nabla\Bigl(f + \frac{\eta}{4}\lVert\nabla f\rVert_2^2\Bigr)(\tilde\theta), \qquad \tilde\theta(0) = \theta_0 .
$$""",
        "{cite:t}`barrett2021implicit`",
    ),
    Theorem(
        "thm-backward-error-momentum",
        "theorem",
        "The modified equation of momentum",
        "backward-error",
        (
            rule(r"EMA momentum, $\theta_{n+1} = \theta_n-\eta\,\hat m_n$", "Momentum"),
            h.CORRECTED,
            Hypothesis("beta", r"$\beta\in[0,1)$ fixed", _beta_of_momentum),
            h.FULL_BATCH.reading("full batch"),
            BOUNDED_THREE,
            FIXED_TIME,
        ),
        r"""the iterates follow

```{math}
:label: eq-backward-error-momentum

\dot{\tilde\theta} = -\nabla\Bigl(f + \underbrace{\frac{\eta}{4}\lVert\nabla f\rVert_2^2}_{\text{finite step}} + \underbrace{\frac{\eta}{2}\,\tau(\beta)\lVert\nabla f\rVert_2^2}_{\text{memory}}\Bigr)
= -\nabla\Bigl(f + \frac{\eta}{4}\,\frac{1+\beta}{1-\beta}\,\lVert\nabla f\rVert_2^2\Bigr)
```

on $[0,T]$ with an error of order $\eta^2$.""",
        source="the split into memory and finite step is that of {cite:t}`cattaneo2025memory`; derivation ours",
    ),
    Theorem(
        "thm-backward-error-adam",
        "theorem",
        "The modified equation of Adam",
        "backward-error",
        ADAM_EQUATION,
        r"""$\max_{n\eta\le T}\lVert\theta_n-\tilde\theta(n\eta)\rVert \le C\eta^2$ with $C$ independent of $\eta$ (but not of $\epsilon$, $\beta$, $\rho$, $T$), where $\tilde\theta$ solves, for $t \in [n\eta, (n+1)\eta]$ and each coordinate $j$,

$$
\dot{\tilde\theta}_j = -\frac{1}{\sqrt{g_j^2+\epsilon}}\left\{ g_j + \eta\,
\Bigl[\tau_n(\beta)+\tfrac12 - \bigl(\tau_n(\rho)+\tfrac12\bigr)\, s_j\Bigr]\,\partial_j\lVert\nabla f\rVert_{1,\epsilon} \right\},
\qquad s_j = \frac{g_j^2}{g_j^2+\epsilon}.
$$

The same holds with $\tau$ in place of $\tau_n$, when the bracket reads

$$
\frac12\left\{\frac{1+\beta}{1-\beta} - \frac{1+\rho}{1-\rho} + \frac{1+\rho}{1-\rho}\,\frac{\epsilon}{g_j^2+\epsilon}\right\}.
$$

RMSProp with bias correction is the case $\beta = 0$.""",
        source="{cite:t}`cattaneo2024implicit`; the derivation below is ours",
    ),
    Theorem(
        "cor-backward-error-relatives",
        "corollary",
        r"$\epsilon$ outside the root, and AdamW",
        "backward-error",
        (
            rule("Adam, RMSProp or AdamW", "Adam", "RMSProp", "AdamW"),
            *(x for x in ADAM_EQUATION if x.key not in ("rule", "eps-inside")),
            vouched("no-zero", "a path on which no $g_j$ vanishes"),
        ),
        r"""
1. With $\epsilon$ *outside* the root, as in `torch.optim`, put $D = \operatorname{diag}\bigl(1/(|g|+\epsilon)\bigr)$, $s = |g|D$ and $u=Dg$; then $\dot{\tilde\theta} = -u - \eta D\bigl[\tau(\beta)+\tfrac12-(\tau(\rho)+\tfrac12)s\bigr]Hu$.
2. *AdamW* with either $\epsilon$: put $u = Dg + \lambda\theta$; then

```{math}
:label: eq-backward-error-adamw

\dot{\tilde\theta} = -u - \eta\Bigl\{D\bigl[\tau(\beta)+\tfrac12-(\tau(\rho)+\tfrac12)s\bigr]Hu + \tfrac\lambda2u\Bigr\}.
```""",
        source="derivation ours; for the memory part see {cite:t}`cattaneo2025memory`",
    ),
    Theorem(
        "prop-backward-error-toy",
        "proposition",
        "Which way the toy is pushed",
        "backward-error",
        (
            vouched("toy", r"the toy loss, where $\theta_1,\theta_2>0$ and $r<0$"),
            vouched("equation", r"$\theta$ follows the corrected equation of Adam for $\epsilon\to0$"),
        ),
        r"""
with the weight $c=\frac{\beta-\rho}{(1-\beta)(1-\rho)}$

```{math}
:label: eq-backward-error-toy

\dot\delta = -\eta c\,\frac{\delta}{\theta_1\theta_2}, \qquad \delta = \theta_2-\theta_1 .
```

A penalty ($c>0$) makes the end point more balanced, the reverse ($c<0$) less.""",
        source="derivation ours",
    ),
    Theorem(
        "thm-backward-error-reshuffle",
        "theorem",
        "Reshuffled gradient descent",
        "backward-error",
        (
            vouched(
                "finite-sum", r"$f = \frac1m\sum_{k=1}^m f_k$, each $f_k$ with bounded derivatives up to third order"
            ),
            rule("gradient descent, without momentum", "GradientDescent"),
            vouched("reshuffled", "it visits the $m$ batches once each, in an order drawn uniformly from all $m!$"),
        ),
        r"""the *mean* over the orders of its end
point differs by $O(\eta^3)$ from the solution at time $m\eta$ of the gradient flow of

```{math}
:label: eq-backward-error-reshuffle

f + \frac{\eta}{4m}\sum_{k=1}^m\lVert\nabla f_k\rVert_2^2 .
```""",
        source="{cite:t}`smith2021origin`",
    ),
)


SEPARABLE = vouched("separable", "the data are linearly separable, with the logistic loss")

GENERALIZATION = (
    Theorem(
        "thm-generalization-minnorm",
        "theorem",
        "Gradient descent finds the nearest solution",
        "generalization",
        (
            rule("gradient descent", "GradientDescent"),
            h.QUADRATIC.reading(r"$f(w) = \tfrac12\lVert Aw-b\rVert_2^2$"),
            vouched("rank", r"$A\in\mathbb R^{n\times d}$ has rank $n$"),
            h.FULL_BATCH.reading("exact gradients"),
            Hypothesis("rate-stable", r"$0<\eta<2/\lambda_{\max}(A^\top A)$", _gd_rate),
        ),
        r"""gradient descent from $w_0$ converges to

$$
w_\infty = w_0 + A^\top(AA^\top)^{-1}(b - Aw_0),
$$

the solution of $Aw=b$ that is nearest to $w_0$ in the two-norm. It is the minimum-norm solution if and only if $w_0$ lies in the row space of $A$; $w_0=0$ does.""",
        source="classical",
    ),
    Theorem(
        "prop-generalization-sign",
        "proposition",
        "Adaptive methods stay on the sign line",
        "generalization",
        (
            vouched("sign", r"$X\operatorname{sign}(X^\top y) = c\,y$ for a number $c\ne0$"),
            rule("AdaGrad, RMSProp, Adam or AMSGrad", "AdaGrad", "RMSProp", "Adam", "AMSGrad"),
            h.EPS_ZERO,
            h.FULL_BATCH.reading(r"full batch, on $\tfrac12\lVert Xw-y\rVert^2$"),
            h.ZERO_START,
        ),
        r"""the iterates are all multiples of $\operatorname{sign}(X^\top y)$. If the loss
goes to 0, the limit is $\operatorname{sign}(X^\top y)/c$.""",
        source="the lemma of {cite:t}`wilson2017marginal`",
    ),
    Theorem(
        "prop-generalization-minnorm",
        "proposition",
        "The minimum-norm solution of the construction",
        "generalization",
        (vouched("both-classes", r"$n_+\ge1$ positive and $n_-\ge1$ negative examples"),),
        r"""the minimum-norm solution of $Xw=y$ is $w=\sum_i\alpha_ix_i$ with

```{math}
:label: eq-generalization-alpha

\begin{gathered}
\alpha_i = \frac{4n_-+5}{Z}\ \text{ if } y_i=+1, \\
\alpha_i = -\frac{4n_++1}{Z}\ \text{ if } y_i=-1, \\
Z = 8n_+n_-+15n_++3n_-+5,
\end{gathered}
```

and it classifies every new example correctly.""",
        source="the construction is that of {cite:t}`wilson2017marginal`; weights and proof ours",
    ),
    Theorem(
        "thm-generalization-margin",
        "theorem",
        "Directions on separable data",
        "generalization",
        (SEPARABLE, h.FULL_BATCH.reading("full batch")),
        r"""
1. Gradient descent with a constant learning rate $\eta<2/L$, $L$ the smoothness of the loss, converges in direction to the maximum *two-norm* margin, from every start.
2. Adam *without* $\epsilon$, with $\beta_1\le\beta_2<1$ and learning rates that decay like $t^{-a}$, $0 < a \le 1$ (and the regularity conditions of the paper), converges in direction to the maximum *max-norm* margin.
3. *With* a fixed $\epsilon>0$ and a constant learning rate that is small enough, RMSProp, and Adam under the paper's conditions on $(\beta_1,\beta_2)$, converge in direction to the two-norm one.""",
        source="(1) {cite:t}`soudry2018implicit`; (2) {cite:t}`zhang2024implicit`; (3) {cite:t}`wang2021implicit` for RMSProp, also in "
        "homogeneous networks, and {cite:t}`wang2022momentum` for Adam with momentum. We state them as these papers report them and prove none",
        also=(
            ("descent", (rule("gradient descent", "GradientDescent"), h.CONSTANT_RATE)),
            ("adam", (rule("Adam", "Adam"), h.EPS_ZERO, h.BETAS_ORDERED, h.NOT_INCREASING, h.SUM_DIVERGES)),
            ("epsilon", (rule("RMSProp or Adam", "RMSProp", "Adam"), h.EPS_POSITIVE, h.CONSTANT_RATE)),
        ),
    ),
    Theorem(
        "prop-generalization-rotation",
        "proposition",
        "What is invariant",
        "generalization",
        (vouched("orthogonal", r"$Q$ is orthogonal, $\bar f(w)=f(Qw)$ and $\bar w_0=Q^\top w_0$"),),
        r"""
1. Gradient descent, momentum in both forms, and gradient descent with gradients normalised in the two-norm make $\bar w_t=Q^\top w_t$ for all $t$: the losses are the same.
2. Signed updates, AdaGrad, RMSProp and Adam do so if $Q$ permutes coordinates and flips signs; for a general $Q$ they do not.
3. For a linear model with inputs $x_i$, $\bar f$ is the loss on the inputs $Q^\top x_i$. The maximum two-norm margin is the same and its direction turns along; the maximum max-norm margin changes in general.""",
        source="folklore; for what it costs Adam, {cite:t}`xie2025adam`",
        also=(("descent", (rule("gradient descent or momentum", "GradientDescent", "Momentum"),)),),
    ),
)

BEYOND = (
    Theorem(
        "thm-beyond-memory",
        "theorem",
        "Limits of steepest descent with memory",
        "beyond",
        (
            C1,
            h.FULL_BATCH,
            DECAYED,
            Hypothesis(
                "steepest",
                r"$\Delta_t$ is an *exact* steepest direction of a memory $c_t$: $\lVert\Delta_t\rVert\le1$ and "
                r"$\langle c_t,\Delta_t\rangle=\lVert c_t\rVert_*$; the memory follows convergent gradients: if $g_t\to g$, then $c_t\to g$",
                _steepest,
            ),
            h.SUM_DIVERGES.reading(r"$\eta_t\ge0$ and $\sum_t\eta_t=\infty$"),
            h.CONVERGES.reading(r"the iterates converge, $\theta_t\to\theta_\infty$"),
        ),
        r"""$\theta_\infty$ is a KKT point of $\min f$ over $\lVert\theta\rVert\le1/\lambda$, and a minimiser there if $f$ is convex. If $\lambda\eta_t\le1$, then at *every* step
$\lVert\theta_t\rVert\le\max(\lVert\theta_0\rVert,1/\lambda)$, whatever the gradients ({prf:ref}`thm-linf-constraint-contraction`).""",
        source="{cite:t}`xie2024implicit`, Theorem 3.7, for $c_t=g_t$; with memory the proof is the same, and given here",
        also=(("minimiser", (h.CONVEX,)),),
    ),
)

STATEMENTS = BOX + BACKWARD + GENERALIZATION + BEYOND
