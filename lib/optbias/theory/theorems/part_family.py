# ruff: noqa: E501  (formulas stand as they do on the page)
r"""The identities of the page on the family: what one rule is in terms of another, and what bounds its step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optbias.theory.theorems import hypotheses as h
from optbias.theory.theorems.hypotheses import number, rule, setting, vouched
from optbias.theory.theorems.run import Run, as_array, show
from optbias.theory.theorems.statement import Answer, Hypothesis, Theorem


def both(key: str, text: str, holds: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Hypothesis:
    """A condition on (beta1, beta2) of whatever rule has such a pair."""

    def ask(run: Run) -> Answer:
        pair = getattr(run.rule, "betas", None)
        if pair is None or len(pair) != 2:
            return None, ""
        first, second = (as_array(beta) for beta in pair)
        return bool(np.all(holds(first, second))), f"betas = ({show(first)}; {show(second)})"

    return Hypothesis(key, text, ask)


def _one_basis(run: Run) -> Answer:
    frequency = getattr(run.rule, "frequency", None)
    if frequency is None or run.steps is None:
        return None, ""
    return run.steps <= frequency + 1, f"{run.steps} steps, a new basis every {frequency}"


EQUAL = both("betas-equal", r"$\beta_1=\beta_2=\beta\in(0,1)$", lambda b1, b2: (b1 == b2) & (b1 > 0) & (b1 < 1))
NO_FIRST = both("beta1-zero", r"$\beta_1=0$, $\beta_2\in[0,1)$", lambda b1, b2: (b1 == 0) & (b2 >= 0) & (b2 < 1))
GAME = vouched(
    "game", r"the slopes are $C$ in the rounds $1, N+1, 2N+1, \dots$ and $-1$ in the others, with $C>N-1\ge1$"
)
NO_DECAY = h.NO_DECAY

STATEMENTS = (
    Theorem(
        "thm-family-snr",
        "theorem",
        "With equal betas Adam is a signal-to-noise ratio",
        "family",
        (rule("Adam or AdamW", "Adam", "AdamW"), EQUAL, h.EPS_ZERO),
        r"""
1. $v_t = m_t^2+\beta\,n_t$ with the noise $n_t=\beta n_{t-1}+(1-\beta)(m_{t-1}-g_t)^2$, $n_0=0$;
2. $\hat v_t-\hat m_t^2$ is the variance of $g_1,\dots,g_t$ under the weights $\frac{1-\beta}{1-\beta^t}\beta^{t-i}$, whose mean is $\hat m_t$.

So with or without hats the step has the length $\eta\,\big/\sqrt{1+\text{noise}/\text{signal}^2}\le\eta$ where $m_t\ne0$.""",
        r"Let $g_1,g_2,\dots$ be any numbers (what enters the memories), and $m_0=v_0=0$.",
        "(1) {cite:t}`orvieto2025search`; proofs ours",
    ),
    Theorem(
        "cor-family-adabelief",
        "corollary",
        "At equal betas AdaBelief knows what Adam knows",
        "family",
        (rule("AdaBelief", "AdaBelief"), EQUAL, h.EPS_ZERO),
        r"""$s_t=\beta^2n_t$, with the noise $n_t$ of {prf:ref}`thm-family-snr`. If $r_t=\hat m_t/\sqrt{\hat v_t}$ is Adam's step on the same gradients and $q_t=\hat m_t/\sqrt{\hat s_t}$
AdaBelief's, then wherever $m_t\ne0$

$$
\frac1{r_t^2} = 1-\beta^t+\frac1{\beta\,q_t^2}.
$$

So $|r_t|$ and $|q_t|$ grow with each other, by the same function in every coordinate. Where $|r_t|\le1$, $|q_t|\le\beta^{-(t+1)/2}$, with equality for constant gradients.""",
        source="the rule is that of {cite:t}`zhuang2020adabelief`; the identity is ours",
    ),
    Theorem(
        "prop-family-adafactor",
        "proposition",
        "Shampoo with power ½ is Adafactor in the eigenbasis",
        "family",
        (
            rule("Shampoo", "Shampoo"),
            number("power", "the power is $1/2$", "power", lambda x: x == 0.5),
            h.EPS_ZERO,
            vouched(
                "weights",
                r"$V_{ij}=a_ib_j/\sum_ka_k$, where $a$ and $b$ are the sums over rows and over columns of $\sum_kw_kG_k'^2$",
            ),
        ),
        r"""the step of Adafactor's $V$ in the basis, turned back, is Shampoo's times a number:

$$
Q_L\,\bigl(G'_{ij}/\sqrt{V_{ij}}\bigr)\,Q_R^\top = \sqrt{\operatorname{tr}L}\;L^{-1/2}\,G\,R^{-1/2}.
$$""",
        r"""Let $L=\sum_kw_kG_kG_k^\top$ and $R=\sum_kw_kG_k^\top G_k$ with weights $w_k\ge0$, $G$ the last gradient; $Q_L$, $Q_R$ their eigenvectors, and
$G_k'=Q_L^\top G_kQ_R$. Directions in which $L$ or $R$ is 0 are left out on both sides.""",
        "{cite:t}`vyas2024soap`",
    ),
    Theorem(
        "prop-family-soap",
        "proposition",
        "SOAP with one basis is Adam in it",
        "family",
        (
            rule("SOAP", "SOAP"),
            h.CONSTANT_RATE,
            Hypothesis("one-basis", "the run is over before the basis is renewed", _one_basis),
        ),
        r"""$Q_L^\top\theta_tQ_R$ is what Adam makes of the gradients $Q_L^\top G_2Q_R,\,Q_L^\top G_3Q_R,\dots$, with the same numbers (AdamW, if $\lambda>0$). With equal betas and
$\epsilon=0$ a step (without its decay) is at most $\eta\sqrt{pq}$ long in one coordinate of a $p\times q$ matrix; for $p=q$ no smaller bound holds for all gradients.""",
        r"Let $Q_L,Q_R$ be the basis that SOAP takes from the first gradient, and $\lambda$ its decay.",
        "{cite:t}`vyas2024soap`; the bound is ours",
    ),
    Theorem(
        "prop-family-schedulefree",
        "proposition",
        "Schedule-Free returns a weighted mean",
        "family",
        (
            rule("Schedule-Free SGD or AdamW", "ScheduleFreeSGD", "ScheduleFreeAdamW"),
            h.RATES_NONNEGATIVE,
        ),
        r"""for any gradients and every $t$ with a positive rate up to $t$

$$
x_t = \sum_{i\le t}\eta_i^2\,z_i\Big/\sum_{i\le t}\eta_i^2 .
$$

For a constant rate it is the plain mean of $z_1,\dots,z_t$; the start $z_0$ has no weight.""",
        source="{cite:t}`defazio2024road`",
    ),
    Theorem(
        "cor-family-signum",
        "corollary",
        "Signum's box",
        "family",
        (
            rule("Signum, Lion or sign descent", "Signum", "Lion", "SignGD"),
            h.DECAY.reading(r"$\lambda>0$, decoupled"),
            h.DAMPED,
        ),
        r"""for every coordinate, any gradients and any memory

$$
|\theta_{T,i}|-\frac1\lambda \le \prod_{t\le T}(1-\lambda\eta_t)\,\Bigl(|\theta_{0,i}|-\frac1\lambda\Bigr).
$$

A weight in $[-\frac1\lambda,\frac1\lambda]$ stays there; one outside comes as close as one likes if $\sum_t\eta_t=\infty$.""",
        source="{prf:ref}`thm-linf-constraint-contraction` for each coordinate",
    ),
    Theorem(
        "thm-family-adopt",
        "theorem",
        "ADOPT wins the spike game with every β₂",
        "family",
        (
            GAME,
            rule("ADOPT", "ADOPT"),
            setting("no-clip", "without the clipping", "clip", False),
            NO_FIRST,
            h.CONSTANT_RATE,
            number("eps-small", r"$\epsilon\le1$", "eps", lambda x: x <= 1),
            NO_DECAY,
        ),
        r"""$y_k$, the point after the $k$-th spike, satisfies

$$
y_{k+1}\le\max\Bigl(-1,\; y_k-\eta\,\frac{C-(N-1)}{C}\Bigr).
$$

So it reaches the best fixed point $-1$ and is there again after each later spike.""",
        r"On $[-1,1]$ the player of linear losses moves by the rule and is projected.",
        r"derivation ours; that ADOPT converges for every $\beta_2$ on smooth stochastic problems is the theorem of {cite:t}`taniguchi2024adopt`",
    ),
    Theorem(
        "prop-family-adopt-clip",
        "proposition",
        "Clipped, ADOPT is slow for small β₂",
        "family",
        (
            GAME,
            rule("ADOPT", "ADOPT"),
            setting("clip", "with the clipping (the default)", "clip", True),
            both("betas-zero", r"$\beta_1=\beta_2=0$", lambda b1, b2: (b1 == 0) & (b2 == 0)),
            h.CONSTANT_RATE,
            number("eps-small", r"$\epsilon\le1$", "eps", lambda x: x <= 1),
            NO_DECAY,
            vouched("free", "away from the ends of the interval"),
        ),
        r"""the cycle that ends with the spike of round $t$ moves the point by

$$
\eta\,\Bigl[N-2+\frac1C-\min\bigl(C,(t-1)^{1/4}\bigr)\Bigr],
$$

the *wrong* way as long as $t-1<(N-2+\frac1C)^4$.""",
        source="derivation ours",
    ),
    Theorem(
        "prop-family-adamax",
        "proposition",
        "The sharp bound on Adamax's step",
        "family",
        (
            rule(r"Adamax, $\epsilon\ge0$", "Adamax"),
            both(
                "betas",
                r"$0\le\beta_1<1$, $0<\beta_2<1$",
                lambda b1, b2: (b1 >= 0) & (b1 < 1) & (b2 > 0) & (b2 < 1),
            ),
        ),
        r"""for every $t$ with $u_t>0$

$$
\frac{|\hat m_t|}{u_t}\le B_t=\frac{1-\beta_1}{1-\beta_1^t}\sum_{k=0}^{t-1}\Bigl(\frac{\beta_1}{\beta_2}\Bigr)^k ,
$$

with equality for $\epsilon=0$ and gradients that shrink, $g_i=\beta_2^i$. $B_t$ grows from $B_1=1$ to $\frac{1-\beta_1}{1-\beta_1/\beta_2}$ if $\beta_1<\beta_2$ (1.009 at
$0.9$ and $0.999$), without bound if not.""",
        r"Let $g_1,g_2,\dots$ be any numbers.",
        r"derivation ours; {cite:t}`kingma2015adam` state the bound 1",
    ),
    Theorem(
        "prop-family-radam",
        "proposition",
        "RAdam is Adam with a warm-up of known length",
        "family",
        (
            rule("RAdam", "RAdam"),
            both(
                "betas",
                r"$0\le\beta_1<1$, $\frac23<\beta_2<1$",
                lambda b1, b2: (b1 >= 0) & (b1 < 1) & (b2 > 2 / 3) & (b2 < 1),
            ),
            h.EPS_ZERO,
        ),
        r"""as long as $\rho_t\le5$ the step is $\eta\,\hat m_t$; later it is Adam's with the rate $\eta\,r_t$. Whatever the gradients:

1. $\rho_t=1+2\,\mathrm E[K]$ for $K\in\{0,\dots,t-1\}$ with weights in proportion to $\beta_2^K$. So $\rho_t$ grows from 1 to $\rho_\infty=\frac{1+\beta_2}{1-\beta_2}$, and $\rho_t\le t$.
2. $r_t^2=f(\rho_t)/f(\rho_\infty)$ with $f(\rho)=\rho-6+8/\rho$. So $r_t=0$ at least for $t\le5$, and only there if $\beta_2\ge0.84$; then $r_t$ grows to 1.
3. For $\beta_2\to1$ with $\tau=(1-\beta_2)\,t$ fixed, $r_t\to\sqrt{1-\tau/(e^\tau-1)}$: one half at $\tau=0.55$, nine tenths at $\tau=2.73$.""",
        source="the rule is that of {cite:t}`liu2020variance`; derivation ours",
    ),
)
