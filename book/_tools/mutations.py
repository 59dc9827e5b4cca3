"""The mutations of the audit: deliberate mistakes in the library, each of the kind that people make.

Each is a piece of source text that occurs exactly once in its file (or once after ``after``), and what is put in its
place. ``book/_tools/audit.py`` runs the pages against them: a page must refuse what would make it untrue.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """In ``file`` of the library the first ``old`` after ``after`` becomes ``new``; ``name`` says what it is."""

    name: str
    file: str
    old: str
    new: str
    after: str = ""

    def span(self, text: str) -> tuple[int, int]:
        """Where the old text stands. Raises ValueError if it is not there, or twice without ``after``."""
        start = text.find(self.after) if self.after else 0
        place = text.find(self.old, max(start, 0)) if start >= 0 else -1
        if place < 0:
            raise ValueError(
                f"mutation {self.name!r}: {self.old!r} is not in {self.file}; bring the mutation up to date"
            )
        if not self.after and text.find(self.old, place + 1) >= 0:
            raise ValueError(f"mutation {self.name!r}: {self.old!r} stands more than once in {self.file}; give after=")
        return place, place + len(self.old)

    def apply(self, text: str) -> str:
        """The source with the mistake in it."""
        start, end = self.span(text)
        return text[:start] + self.new + text[end:]

    def line(self, text: str) -> int:
        """The line in which the old text begins, from 1."""
        return text.count("\n", 0, self.span(text)[0]) + 1

    def check(self, library: Path) -> None:
        """Raise ValueError if the mutation no longer fits the library, or makes what is no Python."""
        compile(self.apply((library / self.file).read_text(encoding="utf-8")), self.file, "exec")


_ADAM, _ADAPTIVE, _MOMENTUM = "rules/adam.py", "rules/adaptive.py", "rules/momentum.py"
_STEEPEST, _BASE, _NORMS = "rules/steepest.py", "rules/base.py", "norms.py"
_M, _V = 'm = beta1 * state["m"] + (1 - beta1) * g', 'v = beta2 * state["v"] + (1 - beta2) * g**2'

MUTATIONS = (
    # update rules
    Mutation(
        "Adam: beta1 and beta2 exchanged",
        _ADAM,
        "beta1, beta2 = self.betas",
        "beta2, beta1 = self.betas",
        "class Adam(",
    ),
    Mutation("Adam: the hat of m dropped", _ADAM, "m / (1 - beta1**t) if", "m if", "class Adam("),
    Mutation("Adam: the hat of v dropped", _ADAM, "v / (1 - beta2**t) if", "v if", "class Adam("),
    Mutation(
        "Adam: the hats count from zero", _ADAM, "m / (1 - beta1**t)", "m / (1 - beta1 ** (t + 1))", "class Adam("
    ),
    Mutation("Adam: m is a sum", _ADAM, "(1 - beta1) * g", "g", "class Adam("),
    Mutation("Adam: v averages |g|", _ADAM, "g**2", "g.abs()", "class Adam("),
    Mutation(
        "Adam: the L2 term has the wrong sign", _BASE, "grad + weight_decay * theta", "grad - weight_decay * theta"
    ),
    Mutation("AMSGrad: a minimum for the maximum", _ADAM, "torch.maximum", "torch.minimum"),
    Mutation("AMSGrad: no maximum", _ADAM, 'torch.maximum(state["v_max"], v)', "v"),
    Mutation("AMSGrad: the hat of v dropped", _ADAM, "v_max / (1 - beta2**t) if", "v_max if"),
    Mutation(
        "AdamW: beta1 and beta2 exchanged",
        _ADAM,
        "beta1, beta2 = self.betas",
        "beta2, beta1 = self.betas",
        "class AdamW(",
    ),
    Mutation("AdamW: the hat of v dropped", _ADAM, "v / (1 - beta2**t) if", "v if", "class AdamW("),
    Mutation(
        "AdamW: the decay enters the gradient",
        _ADAM,
        "(1 - beta1) * grad",
        "(1 - beta1) * (grad + self.weight_decay * theta)",
        "class AdamW(",
    ),
    Mutation("AdamW: m is a sum", _ADAM, "(1 - beta1) * grad", "grad", "class AdamW("),
    Mutation("decay without the learning rate", _BASE, "(1 - lr * weight_decay) * theta", "(1 - weight_decay) * theta"),
    Mutation("decay three times too strong", _BASE, "(1 - lr * weight_decay)", "(1 - 3 * lr * weight_decay)"),
    Mutation("decay with the wrong sign", _BASE, "(1 - lr * weight_decay)", "(1 + lr * weight_decay)"),
    Mutation(
        "epsilon inside and outside exchanged",
        _ADAPTIVE,
        "torch.sqrt(v + eps) if eps_inside",
        "torch.sqrt(v + eps) if not eps_inside",
    ),
    Mutation("epsilon dropped", _ADAPTIVE, "torch.sqrt(v) + eps\n", "torch.sqrt(v)\n"),
    Mutation("epsilon inside is squared", _ADAPTIVE, "torch.sqrt(v + eps)", "torch.sqrt(v + eps**2)"),
    Mutation("no root in the denominator", _ADAPTIVE, "torch.sqrt(v) + eps\n", "v + eps\n"),
    Mutation(
        "AdaGrad: the newest gradient is missing",
        _ADAPTIVE,
        "preconditioned(grad, s,",
        'preconditioned(grad, state["s"],',
    ),
    Mutation(
        "AdaGrad: an average for the sum",
        _ADAPTIVE,
        's = state["s"] + grad**2',
        's = state["s"] + (grad**2 - state["s"]) / t',
    ),
    Mutation(
        "RMSProp: rho and 1 - rho exchanged",
        _ADAPTIVE,
        'self.rho * state["v"] + (1 - self.rho)',
        '(1 - self.rho) * state["v"] + self.rho',
        "class RMSProp(",
    ),
    Mutation(
        "RMSProp: always corrected",
        _ADAPTIVE,
        "v / (1 - self.rho**t) if self.bias_correction",
        "v / (1 - self.rho**t) if True",
    ),
    Mutation(
        "RMSProp: the newest gradient is missing",
        _ADAPTIVE,
        "preconditioned(grad, v_hat,",
        'preconditioned(grad, state["v"],',
    ),
    Mutation("gradient descent: three times the rate", _MOMENTUM, "theta - lr * g,", "theta - 3 * lr * g,"),
    Mutation("gradient descent: uphill", _MOMENTUM, "theta - lr * g,", "theta + lr * g,"),
    Mutation(
        "momentum: the two forms exchanged", _MOMENTUM, 'if self.form == "ema" else g', 'if self.form != "ema" else g'
    ),
    Mutation(
        "momentum: the average off by one step",
        _MOMENTUM,
        "if self.nesterov else m\n",
        'if self.nesterov else state["m"]\n',
    ),
    Mutation(
        "momentum: Nesterov without the fresh gradient", _MOMENTUM, "self.beta * m + fresh if", "self.beta * m if"
    ),
    Mutation("momentum: beta squared", _MOMENTUM, "m = self.beta * ", "m = self.beta**2 * "),
    Mutation("momentum: the hat counts from zero", _MOMENTUM, "self.beta**t", "self.beta ** (t + 1)"),
    Mutation("sign descent: the gradient itself", _STEEPEST, "lr * grad.sign()", "lr * grad"),
    Mutation(
        "steepest descent: uphill",
        _STEEPEST,
        "theta - lr * delta",
        "theta + lr * delta",
        "class NormalizedSteepestDescent",
    ),
    Mutation("Lion: beta1 and beta2 exchanged", _STEEPEST, "beta1, beta2 = self.betas", "beta2, beta1 = self.betas"),
    Mutation(
        "Lion: no sign",
        _STEEPEST,
        'torch.sign(beta1 * state["m"] + (1 - beta1) * grad)',
        '(beta1 * state["m"] + (1 - beta1) * grad)',
    ),
    Mutation(
        "Muon: not orthogonalised",
        _STEEPEST,
        'norms.steepest_direction(direction, "spectral")',
        'norms.steepest_direction(direction, "l2")',
    ),
    Mutation("Muon: rows over columns turned round", _STEEPEST, "rows / columns", "columns / rows"),
    Mutation("Newton-Schulz: another last coefficient", _STEEPEST, "2.0315", "1.0315"),
    Mutation(
        "NAdam, RAdam and kin: v never decays",
        "rules/adam_variants.py",
        'beta2 * state["v"]',
        'state["v"]',
        "class NAdam(",
    ),
    Mutation(
        "averaged SGD: the average of the wrong sign",
        "rules/averaged.py",
        '(theta - state["x"]) /',
        '(theta + state["x"]) /',
    ),
    Mutation(
        "LARS: the trust ratio upside down",
        "rules/layerwise.py",
        "norms.ratio(size, slope +",
        "norms.ratio(slope, size +",
    ),
    Mutation("Shampoo: no right factor", "rules/matrix.py", " @ inverse_power(right, self.power, self.eps)", ""),
    Mutation(
        "the family's table: everything is the same",
        "theory/family.py",
        "return bool((a - b).abs().max() <=",
        "return bool((a - b).abs().max() >=",
    ),
    # running
    Mutation(
        "trajectory: one gradient late",
        "simulate/trajectories.py",
        "_gradient_at(theta, t + 1, gradient)",
        "_gradient_at(theta, t, gradient)",
    ),
    # norms
    Mutation("KKT gap: a minus", _NORMS, "size + inner / radius", "size - inner / radius"),
    Mutation("KKT gap: times the radius", _NORMS, "size + inner / radius", "size + inner * radius"),
    Mutation("dual norm: the norm itself", _NORMS, "norm(x, DUAL_OF[name], dim)", "norm(x, name, dim)"),
    Mutation("perturbed one-norm: epsilon for its root", _NORMS, "torch.full((), eps**0.5,", "torch.full((), eps,"),
    Mutation("steepest direction: the smallest coordinate", _NORMS, "abs().argmax", "abs().argmin"),
    Mutation("LMO: no minus", _NORMS, "-radius * steepest_direction", "radius * steepest_direction"),
    # theory
    Mutation(
        "step bound: 1 - beta2 without the root",
        "theory/step_size.py",
        "(1 - beta1) / math.sqrt(1 - beta2) * ",
        "(1 - beta1) / (1 - beta2) * ",
    ),
    Mutation(
        "step bound: the closed form without the 1",
        "theory/step_size.py",
        "math.sqrt(1 + (beta1 - beta2) ** 2",
        "math.sqrt((beta1 - beta2) ** 2",
    ),
    Mutation(
        "worst gradients: upside down", "theory/step_size.py", "math.log(beta1 / beta2)", "math.log(beta2 / beta1)"
    ),
    Mutation(
        "uncorrected factor upside down",
        "theory/step_size.py",
        "(1 - beta1**steps) / torch.sqrt(1 - beta2**steps)",
        "torch.sqrt(1 - beta2**steps) / (1 - beta1**steps)",
    ),
    Mutation(
        "step under noise: 1 + beta1 without its sign",
        "theory/step_size.py",
        "floor = (1 - beta1) / (1 + beta1)",
        "floor = 1 - beta1",
    ),
    Mutation("two-cycle: a factor 2", "theory/limit_cycles.py", "(2 * (1 + beta1)) - eps", "(1 + beta1) - eps"),
    Mutation("two-cycle: epsilon with a plus", "theory/limit_cycles.py", "- eps / curvature", "+ eps / curvature"),
    Mutation(
        "two-cycle: m with the other sign", "theory/limit_cycles.py", "return a, -(1 - beta1)", "return a, (1 - beta1)"
    ),
    Mutation(
        "momentum's roots: the EMA form without 1 - beta",
        "theory/quadratic_dynamics.py",
        '(1 - b) * x if form == "ema" else x',
        "x",
    ),
    Mutation(
        "momentum's roots: a factor 3 in the discriminant",
        "theory/quadratic_dynamics.py",
        "trace**2 - 4 * det",
        "trace**2 - 3 * det",
    ),
    Mutation(
        "stability limit: 1 - beta for 1 + beta",
        "theory/quadratic_dynamics.py",
        "else 2 * (1 + b)\n",
        "else 2 * (1 - b)\n",
    ),
    Mutation(
        "best heavy ball: no roots",
        "theory/quadratic_dynamics.py",
        "(smallest**0.5 + largest**0.5)) ** 2",
        "(smallest + largest)) ** 2",
    ),
    Mutation(
        "best gradient descent: 1 for 2",
        "theory/quadratic_dynamics.py",
        "Tuning(2 / (smallest + largest)",
        "Tuning(1 / (smallest + largest)",
    ),
    Mutation(
        "best Nesterov: 2 kappa for 3 kappa",
        "theory/quadratic_dynamics.py",
        "(3 * _condition(smallest, largest) + 1)",
        "(2 * _condition(smallest, largest) + 1)",
    ),
    Mutation(
        "regret: the worst fixed point for the best",
        "theory/online.py",
        "torch.minimum(total * game.low, total * game.high)",
        "torch.maximum(total * game.low, total * game.high)",
    ),
    Mutation("regret: the point after the round", "theory/online.py", "(g * points[:-1])", "(g * points[1:])"),
    Mutation("drift: no minus", "theory/online.py", "-(m / v.sqrt()).sum(-1)", "(m / v.sqrt()).sum(-1)"),
    Mutation("drift: v from the bare spike", "theory/online.py", "v = 1 + (spike**2 - 1)", "v = 1 + spike**2"),
    Mutation(
        "AMSGrad's bound: the momentum term three times",
        "theory/online.py",
        "momentum=diameter**2",
        "momentum=3 * diameter**2",
    ),
    Mutation("the game: no walls", "theory/online.py", "x.clamp(self.low, self.high)", "x"),
    Mutation(
        "mean lag: a factor 3", "theory/modified_equations.py", "lag = b / (1 - b) if", "lag = 3 * b / (1 - b) if"
    ),
    Mutation(
        "finite lag: one step too few",
        "theory/modified_equations.py",
        "_finite_lag(b, n + 1)",
        "_finite_lag(b, max(n, 1))",
    ),
    Mutation(
        "bias coefficient: the half dropped",
        "theory/modified_equations.py",
        "return mean_lag(beta, n) + 0.5 - ",
        "return mean_lag(beta, n) - ",
    ),
    Mutation(
        "modified field: the correction with a minus",
        "theory/modified_equations.py",
        "(u + lr * correction)",
        "(u - lr * correction)",
    ),
    Mutation(
        "modified field: the bracket's sign",
        "theory/modified_equations.py",
        "bracket - (mean_lag(rho, step)",
        "bracket + (mean_lag(rho, step)",
    ),
    Mutation("modified field: no half decay", "theory/modified_equations.py", "+ 0.5 * decay * u", "+ decay * u"),
    Mutation(
        "flow: Euler in disguise", "theory/modified_equations.py", "dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)", "dt * k1"
    ),
    Mutation(
        "Lemma 4.2: beta1 - beta2", "theory/box.py", "(beta2 - beta1) / (1 - beta2)", "(beta1 - beta2) / (1 - beta2)"
    ),
    Mutation("escape ratio: no root", "theory/box.py", "(1 - beta2)).sqrt()", "(1 - beta2))"),
    Mutation(
        "epsilon's penalty: wrong sign", "theory/box.py", "eps * (-u - torch.log1p(-u))", "eps * (u + torch.log1p(-u))"
    ),
    Mutation("epsilon's slope: no wall", "theory/box.py", "ratio(eps * u, 1 - u.abs())", "eps * u"),
    Mutation(
        "epsilon's minimiser: epsilon twice", "theory/box.py", "(1 - abs(u)) + eps * u", "(1 - abs(u)) + 2 * eps * u"
    ),
    Mutation(
        "Frank-Wolfe: the rate t, not t + 1",
        "theory/constrained.py",
        "return lambda t: 2.0 / (weight_decay * (t + 1))",
        "return lambda t: 2.0 / (weight_decay * t)",
    ),
    Mutation(
        "Frank-Wolfe bound: eighty times too small",
        "theory/constrained.py",
        "return 2.0 * L * (1.0 + weight_decay * B) ** 2 /",
        "return 0.025 * L * (1.0 + weight_decay * B) ** 2 /",
    ),
    Mutation(
        "projection: off the ball",
        "theory/constrained.py",
        "return x.clamp(-radius, radius)",
        "return x.clamp(-radius / 2, radius / 2)",
    ),
    Mutation(
        "constrained minimum: half the box",
        "theory/constrained.py",
        "bounds=(-radius, radius)",
        "bounds=(-radius / 2, radius / 2)",
    ),
    Mutation(
        "smoothness: the trace",
        "theory/constrained.py",
        "return float(hessian.diagonal().max())",
        "return float(hessian.diagonal().sum())",
    ),
    Mutation(
        "proximal: the decay of y",
        "theory/proximal.py",
        "return y / (1 + lr * weight_decay)\n",
        "return y * (1 - lr * weight_decay)\n",
    ),
    Mutation(
        "proximal: the weighted decay unweighted",
        "theory/proximal.py",
        "return y / (1 + lr * weight_decay * d)",
        "return y / (1 + lr * weight_decay)",
    ),
    Mutation("proximal: the model without its half", "theory/proximal.py", ".sum(-1) / (2 * lr)", ".sum(-1) / lr"),
    Mutation(
        "minimum norm: from the other side of the start",
        "theory/margins.py",
        "solution = origin + ",
        "solution = -origin + ",
    ),
    Mutation(
        "margin: the mean for the minimum",
        "theory/margins.py",
        "value = float((signed @ w).min())",
        "value = float((signed @ w).mean())",
    ),
    # losses
    Mutation("diagonal quadratic: no half", "losses/landscapes.py", "0.5 * (self._diagonal", "1.0 * (self._diagonal"),
    Mutation(
        "quadratic: the gradient doubled",
        "losses/landscapes.py",
        "self.centre.to(theta)) @ self.H.to(theta)\n\n",
        "self.centre.to(theta)) @ self.H.to(theta) * 2\n\n",
        "class Quadratic",
    ),
    Mutation(
        "diagonal quadratic: the gradient without the curvature",
        "losses/landscapes.py",
        "return self._diagonal.to(self._checked(theta)) * theta",
        "return self._checked(theta) * 1.0",
    ),
    Mutation(
        "cliff: the slope with the other sign",
        "losses/landscapes.py",
        "a + b * x / torch.sqrt",
        "a - b * x / torch.sqrt",
    ),
    Mutation(
        "Rosenbrock: the inner gradient's factor", "losses/landscapes.py", "value=-2.0), side", "value=-1.0), side"
    ),
    Mutation(
        "plateau: the gradient of another width",
        "losses/landscapes.py",
        "(2.0 * self.width**2) * theta / depth**2",
        "(2.0 * self.width**2) * theta / depth",
    ),
    Mutation(
        "bilinear: half the pull",
        "losses/landscapes.py",
        "pull = self.factor * (self",
        "pull = 0.5 * self.factor * (self",
    ),
    Mutation(
        "generic: the wave upside down",
        "losses/landscapes.py",
        "torch.cos(x * z) / 3.0, y * z - 1.0",
        "-torch.cos(x * z) / 3.0, y * z - 1.0",
    ),
    Mutation(
        "network's Hessian: not symmetrised but doubled",
        "losses/curvature.py",
        "(matrix + matrix.T) / 2",
        "(matrix + matrix.T)",
    ),
    Mutation("largest eigenvalues: the smallest", "losses/curvature.py", 'which="LA"', 'which="SA"'),
    Mutation(
        "random direction: the filters' norms upside down",
        "losses/surfaces.py",
        "piece * (sizes[0] / sizes[1])",
        "piece * (sizes[1] / sizes[0])",
    ),
    # measures of the experiments
    Mutation("crossing: no interpolation in the logarithm", "experiments/measures.py", "np.exp(between)", "between"),
    Mutation(
        "interval: one-sided",
        "experiments/fair_comparison.py",
        "d.mean() - half",
        "d.mean() - half / 2",
        "def paired_interval",
    ),
    Mutation(
        "expected best: with replacement in the count",
        "experiments/fair_comparison.py",
        "math.comb(n - i, k - 1)",
        "math.comb(n - i + 1, k - 1)",
    ),
)

QUICK = (
    "Adam: beta1 and beta2 exchanged",
    "Adam: the hat of v dropped",
    "decay without the learning rate",
    "epsilon inside and outside exchanged",
    "epsilon dropped",
    "momentum: the two forms exchanged",
    "momentum: the average off by one step",
    "uncorrected factor upside down",
    "two-cycle: a factor 2",
    "momentum's roots: the EMA form without 1 - beta",
    "stability limit: 1 - beta for 1 + beta",
    "drift: v from the bare spike",
)
"""A tenth of the mutations: what ``make test`` runs, on two pages that refuse them all."""
