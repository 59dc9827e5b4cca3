// Update rules and landscapes, as in optbias.rules and optbias.losses.landscapes: the same names, the same equations, the same
// order of operations. tests/widgets/test_parity.py compares trajectories with Python's.

// -- rules ------------------------------------------------------------------------------------------------------------
//
// step(p, x, g, s, t) changes the point x and the state s in place: p holds the hyper-parameters, g the gradient at x,
// s one array per moment, and t = 1, 2, ... counts the steps. x, g and the moments are Float64Arrays of one length.

/** A hyper-parameter that may be a function of the step. */
const at = (lr, t) => (typeof lr === "function" ? lr(t) : lr);

/** m / (sqrt(v) + eps), or m / sqrt(v + eps) with `inside`; 0 / 0 is 0. */
function preconditioned(m, v, eps, inside) {
  const denominator = inside ? Math.sqrt(v + eps) : Math.sqrt(v) + eps;
  return m === 0 && denominator === 0 ? 0 : m / denominator;
}

function gradientDescent(p, x, g, s, t) {
  const lr = at(p.lr, t), lambda = p.weight_decay;
  for (let i = 0; i < x.length; i++) {
    if (p.decoupled) x[i] = (1 - lr * lambda) * x[i] - lr * g[i];
    else x[i] -= lr * (g[i] + lambda * x[i]);
  }
}

function momentum(p, x, g, { m }, t) {
  const lr = at(p.lr, t), { beta, weight_decay: lambda } = p;
  const share = p.form === "ema" ? 1 - beta : 1;
  const correction = p.bias_correction ? 1 - beta ** t : 1;
  for (let i = 0; i < x.length; i++) {
    const fresh = share * (p.decoupled ? g[i] : g[i] + lambda * x[i]);
    const decayed = p.decoupled ? (1 - lr * lambda) * x[i] : x[i];
    m[i] = beta * m[i] + fresh;
    const step = p.nesterov ? beta * m[i] + fresh : m[i];
    x[i] = decayed - lr * (step / correction);
  }
}

function adaGrad(p, x, g, { s }, t) {
  const lr = at(p.lr, t);
  for (let i = 0; i < x.length; i++) {
    s[i] += g[i] * g[i];
    x[i] -= lr * preconditioned(g[i], s[i], p.eps, p.eps_inside);
  }
}

function rmsProp(p, x, g, { v }, t) {
  const lr = at(p.lr, t), { rho } = p;
  const correction = p.bias_correction ? 1 - rho ** t : 1;
  for (let i = 0; i < x.length; i++) {
    v[i] = rho * v[i] + (1 - rho) * (g[i] * g[i]);
    x[i] -= lr * preconditioned(g[i], v[i] / correction, p.eps, p.eps_inside);
  }
}

/** Adam (coupled L2), AMSGrad (`largest`: divides by the largest v so far) and AdamW (`decoupled` decay). */
const adamFamily = ({ decoupled = false, largest = false } = {}) => (p, x, g, { m, v, v_max }, t) => {
  const lr = at(p.lr, t), [beta1, beta2] = p.betas, lambda = p.weight_decay;
  const correction1 = p.bias_correction ? 1 - beta1 ** t : 1;
  const correction2 = p.bias_correction ? 1 - beta2 ** t : 1;
  for (let i = 0; i < x.length; i++) {
    const gradient = decoupled ? g[i] : g[i] + lambda * x[i];
    const decayed = decoupled ? (1 - lr * lambda) * x[i] : x[i];
    m[i] = beta1 * m[i] + (1 - beta1) * gradient;
    v[i] = beta2 * v[i] + (1 - beta2) * (gradient * gradient);
    if (largest) v_max[i] = Math.max(v_max[i], v[i]);
    const vHat = (largest ? v_max[i] : v[i]) / correction2;
    x[i] = decayed - lr * preconditioned(m[i] / correction1, vHat, p.eps, p.eps_inside);
  }
};

function normalizedSteepestDescent(p, x, g, { direction }, t) {
  const lr = at(p.lr, t);
  steepestDirection(g, p.norm, p.shape, direction);
  for (let i = 0; i < x.length; i++) x[i] = (1 - lr * p.weight_decay) * x[i] - lr * direction[i];
}

function signGD(p, x, g, s, t) {
  const lr = at(p.lr, t);
  for (let i = 0; i < x.length; i++) x[i] = (1 - lr * p.weight_decay) * x[i] - lr * Math.sign(g[i]);
}

function lion(p, x, g, { m }, t) {
  const lr = at(p.lr, t), [beta1, beta2] = p.betas;
  for (let i = 0; i < x.length; i++) {
    const delta = Math.sign(beta1 * m[i] + (1 - beta1) * g[i]);
    m[i] = beta2 * m[i] + (1 - beta2) * g[i];
    x[i] = (1 - lr * p.weight_decay) * x[i] - lr * delta;
  }
}

/** Muon with the exact singular value decomposition (optbias: orthogonalize="svd"). */
function muon(p, x, g, { m, direction }, t) {
  const lr = at(p.lr, t), mu = p.momentum, [rows, columns] = p.shape;
  for (let i = 0; i < x.length; i++) {
    m[i] = mu * m[i] + (1 - mu) * g[i];
    direction[i] = p.nesterov ? mu * m[i] + (1 - mu) * g[i] : m[i];
  }
  steepestDirection(direction, "spectral", p.shape, direction);
  const scale = p.adjust_lr ? Math.sqrt(Math.max(1, rows / columns)) : 1;
  for (let i = 0; i < x.length; i++) x[i] = (1 - lr * p.weight_decay) * x[i] - lr * scale * direction[i];
}

function signum(p, x, g, { m }, t) {
  const lr = at(p.lr, t), { beta } = p;
  for (let i = 0; i < x.length; i++) {
    m[i] = beta * m[i] + (1 - beta) * g[i];
    x[i] = (1 - lr * p.weight_decay) * x[i] - lr * Math.sign(m[i]);
  }
}

function adadelta(p, x, g, { v, d }, t) {
  const lr = at(p.lr, t), { rho, eps } = p;
  for (let i = 0; i < x.length; i++) {
    const gradient = g[i] + p.weight_decay * x[i];
    v[i] = rho * v[i] + (1 - rho) * (gradient * gradient);
    const step = Math.sqrt(d[i] + eps) * preconditioned(gradient, v[i], eps, true);
    d[i] = rho * d[i] + (1 - rho) * (step * step);
    x[i] -= lr * step;
  }
}

function rprop(p, x, g, { before, s }, t) {
  const [shorter, longer] = p.etas, [least, largest] = p.step_sizes;
  for (let i = 0; i < x.length; i++) {
    if (t === 1) s[i] = p.lr;
    const sign = Math.sign(g[i] * before[i]);
    s[i] = Math.min(Math.max(s[i] * (sign > 0 ? longer : sign < 0 ? shorter : 1), least), largest);
    before[i] = sign < 0 ? 0 : g[i];
    x[i] -= Math.sign(before[i]) * s[i];
  }
}

function nAdam(p, x, g, { m, v, product }, t) {
  const lr = at(p.lr, t), [beta1, beta2] = p.betas, lambda = p.weight_decay;
  const [mu, next] = [t, t + 1].map((k) => beta1 * (1 - 0.5 * 0.96 ** (k * p.momentum_decay)));
  // One number, kept in every entry of an array.
  const sofar = (t === 1 ? 1 : product[0]) * mu;
  product.fill(sofar);
  for (let i = 0; i < x.length; i++) {
    const gradient = p.decoupled ? g[i] : g[i] + lambda * x[i];
    const decayed = p.decoupled ? (1 - lr * lambda) * x[i] : x[i];
    m[i] = beta1 * m[i] + (1 - beta1) * gradient;
    v[i] = beta2 * v[i] + (1 - beta2) * (gradient * gradient);
    const ahead = ((1 - mu) / (1 - sofar)) * gradient + (next / (1 - sofar * next)) * m[i];
    x[i] = decayed - lr * preconditioned(ahead, v[i] / (1 - beta2 ** t), p.eps, false);
  }
}

/** RAdam's factor on the step; 0 where it does without the second moment. */
export function rectifier(beta2, t) {
  const last = 2 / (1 - beta2) - 1, rho = last - (2 * t * beta2 ** t) / (1 - beta2 ** t);
  return rho > 5 ? Math.sqrt(((rho - 4) * (rho - 2) * last) / ((last - 4) * (last - 2) * rho)) : 0;
}

function rAdam(p, x, g, { m, v }, t) {
  const lr = at(p.lr, t), [beta1, beta2] = p.betas, lambda = p.weight_decay, r = rectifier(beta2, t);
  for (let i = 0; i < x.length; i++) {
    const gradient = p.decoupled ? g[i] : g[i] + lambda * x[i];
    const decayed = p.decoupled ? (1 - lr * lambda) * x[i] : x[i];
    m[i] = beta1 * m[i] + (1 - beta1) * gradient;
    v[i] = beta2 * v[i] + (1 - beta2) * (gradient * gradient);
    const mHat = m[i] / (1 - beta1 ** t);
    x[i] = decayed - lr * (r > 0 ? r * Math.sqrt(1 - beta2 ** t) * preconditioned(mHat, v[i], p.eps, false) : mHat);
  }
}

function adamax(p, x, g, { m, u }, t) {
  const lr = at(p.lr, t), [beta1, beta2] = p.betas;
  for (let i = 0; i < x.length; i++) {
    const gradient = g[i] + p.weight_decay * x[i];
    m[i] = beta1 * m[i] + (1 - beta1) * gradient;
    u[i] = Math.max(beta2 * u[i], Math.abs(gradient) + p.eps);
    x[i] -= lr * ((m[i] === 0 && u[i] === 0 ? 0 : m[i] / u[i]) / (1 - beta1 ** t));
  }
}

function adaBelief(p, x, g, { m, s }, t) {
  const lr = at(p.lr, t), [beta1, beta2] = p.betas;
  for (let i = 0; i < x.length; i++) {
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    s[i] = beta2 * s[i] + (1 - beta2) * (g[i] - m[i]) ** 2 + p.eps;
    const step = preconditioned(m[i] / (1 - beta1 ** t), s[i] / (1 - beta2 ** t), p.eps, false);
    x[i] = (1 - lr * p.weight_decay) * x[i] - lr * step;
  }
}

function yogi(p, x, g, { m, v }, t) {
  const lr = at(p.lr, t), [beta1, beta2] = p.betas;
  for (let i = 0; i < x.length; i++) {
    if (t === 1) m[i] = v[i] = p.initial;
    const square = g[i] * g[i];
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    v[i] -= (1 - beta2) * Math.sign(v[i] - square) * square;
    const step = preconditioned(m[i] / (1 - beta1 ** t), v[i] / (1 - beta2 ** t), p.eps, false);
    x[i] = (1 - lr * p.weight_decay) * x[i] - lr * step;
  }
}

function laProp(p, x, g, { m, v }, t) {
  const lr = at(p.lr, t), [beta1, beta2] = p.betas;
  for (let i = 0; i < x.length; i++) {
    v[i] = beta2 * v[i] + (1 - beta2) * (g[i] * g[i]);
    m[i] = beta1 * m[i] + (1 - beta1) * preconditioned(g[i], v[i] / (1 - beta2 ** t), p.eps, false);
    x[i] = (1 - lr * p.weight_decay) * x[i] - (lr * m[i]) / (1 - beta1 ** t);
  }
}

function adopt(p, x, g, { m, v }, t) {
  const lr = t > 1 ? at(p.lr, t) : 0, [beta1, beta2] = p.betas, limit = (t - 1) ** 0.25;
  for (let i = 0; i < x.length; i++) {
    const root = Math.max(Math.sqrt(v[i]), p.eps);
    const known = g[i] === 0 && root === 0 ? 0 : g[i] / root;
    m[i] = beta1 * m[i] + (1 - beta1) * (p.clip ? Math.min(Math.max(known, -limit), limit) : t > 1 ? known : 0);
    v[i] = t > 1 ? beta2 * v[i] + (1 - beta2) * (g[i] * g[i]) : g[i] * g[i];
    x[i] = (1 - lr * p.weight_decay) * x[i] - lr * m[i];
  }
}

function adEMAMix(p, x, g, { m, s, v }, t) {
  const lr = at(p.lr, t), [beta1, beta2, full] = p.betas;
  let { alpha } = p, beta3 = full;
  if (t < p.warmup) {
    const share = t / p.warmup, fast = Math.log(beta1), slow = Math.log(full);
    alpha *= share;
    beta3 = Math.min(Math.exp((fast * slow) / ((1 - share) * slow + share * fast)), full);
  }
  for (let i = 0; i < x.length; i++) {
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    s[i] = beta3 * s[i] + (1 - beta3) * g[i];
    v[i] = beta2 * v[i] + (1 - beta2) * (g[i] * g[i]);
    const step = preconditioned(m[i] / (1 - beta1 ** t) + alpha * s[i], v[i] / (1 - beta2 ** t), p.eps, false);
    x[i] = (1 - lr * p.weight_decay) * x[i] - lr * step;
  }
}

function cautiousAdamW(p, x, g, { m, v, mask }, t) {
  const lr = at(p.lr, t), [beta1, beta2] = p.betas;
  let share = 0;
  for (let i = 0; i < x.length; i++) {
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    v[i] = beta2 * v[i] + (1 - beta2) * (g[i] * g[i]);
    mask[i] = m[i] * g[i] > 0 ? 1 : 0;
    share += mask[i] / x.length;
  }
  share = p.scale ? Math.max(share, 1e-3) : 1;
  for (let i = 0; i < x.length; i++) {
    const step = preconditioned(m[i] / (1 - beta1 ** t), v[i] / (1 - beta2 ** t), p.eps, false);
    x[i] = (1 - lr * p.weight_decay) * x[i] - lr * ((mask[i] / share) * step);
  }
}

function aSGD(p, x, g, { x: average }, t) {
  const lr = at(p.lr, t), rate = lr / (1 + p.lambd * lr * (t - 1)) ** p.alpha;
  const mu = 1 / Math.max(1, t - 1 - p.t0);
  for (let i = 0; i < x.length; i++) {
    x[i] = (1 - p.lambd * rate) * x[i] - rate * (g[i] + p.weight_decay * x[i]);
    average[i] += (x[i] - average[i]) * mu;
  }
}

/** Schedule-Free: `adaptive` divides the gradient as RMSProp does. `s.x` is what to evaluate. */
const scheduleFree = (adaptive) => (p, y, g, { v, z, x, weights }, t) => {
  const lr = at(p.lr, t), beta = adaptive ? p.betas[0] : p.momentum, lambda = p.weight_decay;
  const total = (t === 1 ? 0 : weights[0]) + lr ** 2, c = total > 0 ? lr ** 2 / total : 0;
  weights.fill(total);
  for (let i = 0; i < y.length; i++) {
    if (t === 1) z[i] = x[i] = y[i];
    let step = g[i];
    if (adaptive) {
      const beta2 = p.betas[1];
      v[i] = beta2 * v[i] + (1 - beta2) * (g[i] * g[i]);
      step = preconditioned(g[i], v[i] / (1 - beta2 ** t), p.eps, false);
    }
    z[i] -= lr * (step + lambda * y[i]);
    x[i] += c * (z[i] - x[i]);
    y[i] = (1 - beta) * z[i] + beta * x[i];
  }
};

const ADAM = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, eps_inside: false, bias_correction: true };

const LIKE_ADAM = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0 };

/** Every rule by its name in optbias.rules: defaults, names of the state's arrays, and the step. */
export const RULES = {
  GradientDescent: { defaults: { lr: 1e-3, weight_decay: 0, decoupled: false }, state: [], step: gradientDescent },
  Momentum: {
    defaults: {
      lr: 1e-3, beta: 0.9, form: "ema", nesterov: false, bias_correction: false, weight_decay: 0, decoupled: false,
    },
    state: ["m"],
    step: momentum,
  },
  AdaGrad: { defaults: { lr: 1e-2, eps: 1e-10, eps_inside: false }, state: ["s"], step: adaGrad },
  RMSProp: {
    defaults: { lr: 1e-2, rho: 0.99, eps: 1e-8, eps_inside: false, bias_correction: false },
    state: ["v"],
    step: rmsProp,
  },
  Adam: { defaults: ADAM, state: ["m", "v"], step: adamFamily() },
  AMSGrad: { defaults: ADAM, state: ["m", "v", "v_max"], step: adamFamily({ largest: true }) },
  AdamW: { defaults: { ...ADAM, weight_decay: 0.01 }, state: ["m", "v"], step: adamFamily({ decoupled: true }) },
  SignGD: { defaults: { lr: 1e-3, weight_decay: 0 }, state: [], step: signGD },
  NormalizedSteepestDescent: {
    defaults: { lr: 1e-3, norm: "linf", weight_decay: 0 },
    state: ["direction"],
    step: normalizedSteepestDescent,
  },
  Lion: { defaults: { lr: 1e-4, betas: [0.9, 0.99], weight_decay: 0 }, state: ["m"], step: lion },
  Muon: {
    defaults: { lr: 1e-3, momentum: 0.95, weight_decay: 0.1, nesterov: true, adjust_lr: true },
    state: ["m", "direction"],
    step: muon,
  },
  Signum: { defaults: { lr: 1e-3, beta: 0.9, weight_decay: 0 }, state: ["m"], step: signum },
  Adadelta: { defaults: { lr: 1, rho: 0.9, eps: 1e-6, weight_decay: 0 }, state: ["v", "d"], step: adadelta },
  Rprop: { defaults: { lr: 1e-2, etas: [0.5, 1.2], step_sizes: [1e-6, 50] }, state: ["before", "s"], step: rprop },
  NAdam: {
    defaults: { ...LIKE_ADAM, lr: 2e-3, momentum_decay: 4e-3, decoupled: false },
    state: ["m", "v", "product"],
    step: nAdam,
  },
  RAdam: { defaults: { ...LIKE_ADAM, decoupled: false }, state: ["m", "v"], step: rAdam },
  Adamax: { defaults: { ...LIKE_ADAM, lr: 2e-3 }, state: ["m", "u"], step: adamax },
  AdaBelief: { defaults: { ...LIKE_ADAM, eps: 1e-16 }, state: ["m", "s"], step: adaBelief },
  Yogi: { defaults: { ...LIKE_ADAM, lr: 1e-2, eps: 1e-3, initial: 1e-6 }, state: ["m", "v"], step: yogi },
  LaProp: { defaults: LIKE_ADAM, state: ["m", "v"], step: laProp },
  ADOPT: { defaults: { ...LIKE_ADAM, betas: [0.9, 0.9999], eps: 1e-6, clip: true }, state: ["m", "v"], step: adopt },
  AdEMAMix: {
    defaults: { ...LIKE_ADAM, betas: [0.9, 0.999, 0.9999], alpha: 5, warmup: 0 },
    state: ["m", "s", "v"],
    step: adEMAMix,
  },
  CautiousAdamW: {
    defaults: { ...LIKE_ADAM, weight_decay: 0.01, scale: true },
    state: ["m", "v", "mask"],
    step: cautiousAdamW,
  },
  ASGD: { defaults: { lr: 1e-2, lambd: 1e-4, alpha: 0.75, t0: 1e6, weight_decay: 0 }, state: ["x"], step: aSGD },
  ScheduleFreeSGD: {
    defaults: { lr: 1, momentum: 0.9, weight_decay: 0 },
    state: ["z", "x", "weights"],
    step: scheduleFree(false),
  },
  ScheduleFreeAdamW: {
    defaults: { ...LIKE_ADAM, lr: 2.5e-3 },
    state: ["v", "z", "x", "weights"],
    step: scheduleFree(true),
  },
};

/**
 * Run `rule`, such as {rule: "Adam", lr: 0.1}, from `start` for `steps` steps. What it does not name has its default.
 *
 * `gradient(x, out, t)` writes the gradient at x, of step t, into out. Options: `path`, a Float64Array to write into;
 * `shape`, the [rows, columns] of x for the matrix rules (default: a column); `project(x)`, which maps each new iterate
 * back to a feasible set, in place. Returns {path, done, dim}: iterate t is path[t * dim ...]; `done` is the last finite
 * one. A run that leaves the finite numbers stops there, and the rest of its path is NaN.
 */
export function simulate(rule, gradient, start, steps, { path, shape, project } = {}) {
  const kind = RULES[rule.rule];
  if (!kind) throw new RangeError(`there is no rule ${rule.rule}; there are ${Object.keys(RULES).join(", ")}`);
  const dim = start.length;
  const p = { ...kind.defaults, shape: shape ?? [dim, 1], ...rule };
  const state = Object.fromEntries(kind.state.map((name) => [name, new Float64Array(dim)]));
  const x = Float64Array.from(start), g = new Float64Array(dim);
  if (!path || path.length !== (steps + 1) * dim) path = new Float64Array((steps + 1) * dim);
  path.set(x, 0);
  let done = x.every(Number.isFinite) ? 0 : -1;
  for (let t = 1; t <= steps && done === t - 1; t++) {
    gradient(x, g, t);
    kind.step(p, x, g, state, t);
    if (project) project(x);
    let finite = true;
    for (let i = 0; i < dim; i++) {
      path[t * dim + i] = x[i];
      finite = finite && Number.isFinite(x[i]);
    }
    if (finite) done = t;
  }
  path.fill(NaN, (done + 1) * dim);
  return { path, done, dim };
}

/** The loss along a path, written into `out` (or a new array): one number per iterate. */
export function losses(landscape, { path, dim }, out) {
  const count = path.length / dim, x = new Float64Array(dim);
  if (!out || out.length !== count) out = new Float64Array(count);
  for (let t = 0; t < count; t++) {
    for (let i = 0; i < dim; i++) x[i] = path[t * dim + i];
    out[t] = landscape.value(x);
  }
  return out;
}

// -- norms ------------------------------------------------------------------------------------------------------------

/** As optbias.norms.steepest_direction: the d with norm(d) <= 1 that maximises <g, d>, written into out. */
export function steepestDirection(g, norm, shape, out) {
  const n = g.length;
  if (norm === "linf") {
    for (let i = 0; i < n; i++) out[i] = Math.sign(g[i]);
  } else if (norm === "l2") {
    // Dividing by the largest entry first keeps the squares from under- or overflowing.
    let largest = 0, sum = 0;
    for (let i = 0; i < n; i++) largest = Math.max(largest, Math.abs(g[i]));
    for (let i = 0; i < n; i++) {
      out[i] = largest === 0 ? 0 : g[i] / largest;
      sum += out[i] * out[i];
    }
    const length = Math.sqrt(sum);
    for (let i = 0; i < n; i++) out[i] = length === 0 ? 0 : out[i] / length;
  } else if (norm === "l1") {
    let best = 0;
    for (let i = 1; i < n; i++) if (Math.abs(g[i]) > Math.abs(g[best])) best = i;
    const sign = Math.sign(g[best]);
    for (let i = 0; i < n; i++) out[i] = 0;
    out[best] = sign;
  } else if (norm === "spectral" || norm === "nuclear") {
    const [rows, columns] = shape, { u, s, v } = svd(g, rows, columns);
    // Rounding leaves singular values of about eps * s_max where the matrix has none.
    const tiny = Math.max(...s) * Math.max(rows, columns) * Number.EPSILON;
    const first = s.indexOf(Math.max(...s));
    const keep = (k) => (norm === "nuclear" ? k === first && s[k] > 0 : s[k] > tiny);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        let sum = 0;
        for (let k = 0; k < s.length; k++) if (keep(k)) sum += u[k][i] * v[k][j];
        out[i * columns + j] = sum;
      }
    }
  } else throw new RangeError(`there is no norm ${norm}`);
  return out;
}

/** Singular values s and vectors u[k], v[k] of a small matrix (row by row), by one-sided Jacobi rotations. */
export function svd(a, rows, columns) {
  if (rows < columns) {
    const transposed = Array.from(a, (_, i) => a[(i % rows) * columns + Math.floor(i / rows)]);
    const { u, s, v } = svd(transposed, columns, rows);
    return { u: v, s, v: u };
  }
  const column = (j) => Array.from({ length: rows }, (_, i) => a[i * columns + j]);
  const u = Array.from({ length: columns }, (_, j) => column(j));
  const v = Array.from({ length: columns }, (_, j) => Array.from({ length: columns }, (_, i) => +(i === j)));
  const dot = (p, q) => p.reduce((sum, value, i) => sum + value * q[i], 0);
  const rotate = (p, q, c, s) => p.forEach((value, i) => ([p[i], q[i]] = [c * value - s * q[i], s * value + c * q[i]]));
  for (let sweep = 0, rotated = true; rotated && sweep < 40; sweep++) {
    rotated = false;
    for (let j = 0; j < columns - 1; j++) {
      for (let k = j + 1; k < columns; k++) {
        const alpha = dot(u[j], u[j]), beta = dot(u[k], u[k]), gamma = dot(u[j], u[k]);
        if (!(Math.abs(gamma) > 1e-16 * Math.sqrt(alpha * beta))) continue;
        rotated = true;
        const zeta = (beta - alpha) / (2 * gamma);
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const cosine = 1 / Math.sqrt(1 + tangent * tangent);
        rotate(u[j], u[k], cosine, cosine * tangent);
        rotate(v[j], v[k], cosine, cosine * tangent);
      }
    }
  }
  const s = u.map((vector) => Math.hypot(...vector));
  u.forEach((vector, k) => vector.forEach((value, i) => (vector[i] = s[k] === 0 ? 0 : value / s[k])));
  return { u, s, v };
}

// -- landscapes -------------------------------------------------------------------------------------------------------

/** A loss sum_i c_i (x_i)^2 / 2. */
function diagonal(c) {
  return {
    value: (x) => 0.5 * (c[0] * x[0] * x[0] + c[1] * x[1] * x[1]),
    gradient: (x, out) => {
      out[0] = c[0] * x[0];
      out[1] = c[1] * x[1];
    },
    minimisers: [[0, 0]],
    minimum: 0,
  };
}

const box = (x, y = x) => [[-x, x], [-y, y]];

/** Every landscape of optbias.losses.landscapes by name: its parameters with their defaults, and what makes it. */
export const LANDSCAPES = {
  bowl: { parameters: {}, make: () => ({ ...diagonal([2, 2]), domain: box(1.5), start: [1, 1] }) },
  ravine: {
    parameters: { flat: 1, steep: 5 },
    make: ({ flat, steep }) => ({ ...diagonal([2 * flat, 2 * steep]), domain: box(1.5, 1.25), start: [1, 1] }),
  },
  saddle: {
    parameters: { up: 1, down: 1 },
    make: ({ up, down }) => ({
      ...diagonal([up, -down]), minimisers: [], minimum: -Infinity, domain: box(1.5), start: [1, 1e-3],
    }),
  },
  plateau: {
    parameters: { width: 1 },
    make: ({ width }) => ({
      value: (x) => {
        const r2 = x[0] * x[0] + x[1] * x[1];
        return r2 / (width ** 2 + r2);
      },
      gradient: (x, out) => {
        const depth = width ** 2 + (x[0] * x[0] + x[1] * x[1]);
        out[0] = (2 * width ** 2 * x[0]) / depth ** 2;
        out[1] = (2 * width ** 2 * x[1]) / depth ** 2;
      },
      minimisers: [[0, 0]], minimum: 0, domain: box(5 * width), start: [4 * width, 2 * width],
    }),
  },
  cliff: {
    parameters: { gentle: 1, steep: 50, width: 0.01, curvature: 0.5 },
    make: ({ gentle, steep, width, curvature }) => {
      const a = (steep - gentle) / 2, b = (steep + gentle) / 2, root = Math.sqrt(gentle * steep);
      const lowest = (-width * a) / root;
      return {
        value: (x) =>
          a * x[0] + b * Math.sqrt(x[0] * x[0] + width ** 2) + 0.5 * curvature * x[1] * x[1] - width * root,
        gradient: (x, out) => {
          out[0] = a + (b * x[0]) / Math.sqrt(x[0] * x[0] + width ** 2);
          out[1] = curvature * x[1];
        },
        minimisers: [[lowest, 0]], minimum: 0, domain: [[Math.min(-6, 2 * lowest), 0.5], [-2, 2]], start: [-2, 1.5],
      };
    },
  },
  rosenbrock: {
    parameters: { a: 1, b: 100 },
    make: ({ a, b }) => {
      const reach = Math.max(2, Math.abs(a) + 1);
      return {
        value: (x) => (a - x[0]) ** 2 + b * (x[1] - x[0] * x[0]) ** 2,
        gradient: (x, out) => {
          const side = 2 * b * (x[1] - x[0] * x[0]);
          out[0] = 2 * (x[0] - a) - 2 * x[0] * side;
          out[1] = side;
        },
        minimisers: [[a, a ** 2]],
        minimum: 0,
        domain: [[-reach, reach], [-1, Math.max(3, a ** 2 + 1)]],
        start: [-1.2, 1],
      };
    },
  },
  bilinear: {
    parameters: { target: 1.5, factor: 2 },
    make: ({ target, factor }) => {
      const side = Math.sqrt(target / factor);
      const interval = [-Math.max(1.5, side + 0.5), Math.max(4, side + 0.5)];
      return {
        value: (x) => 0.5 * (target - factor * x[0] * x[1]) ** 2,
        gradient: (x, out) => {
          const pull = factor * (factor * x[0] * x[1] - target);
          const first = x[0];
          out[0] = pull * x[1];
          out[1] = pull * first;
        },
        minimisers: [[side, side], [-side, -side]], minimum: 0, domain: [interval, interval], start: [2.8, 3.5],
      };
    },
  },
  generic: {
    parameters: {},
    make: () => ({
      value: ([x, y, z]) => {
        const u = Math.abs(x + 0.5 * y);
        const logCosh = u + Math.log1p(Math.exp(-2 * u)) - Math.LN2;
        return logCosh + 0.5 * (y * z - 1) ** 2 + 0.25 * z * z + Math.sin(x * z) / 3 + 0.1 * x * x;
      },
      gradient: ([x, y, z], out) => {
        const tanh = Math.tanh(x + 0.5 * y), wave = Math.cos(x * z) / 3, residual = y * z - 1;
        out[0] = tanh + z * wave + 0.2 * x;
        out[1] = 0.5 * tanh + z * residual;
        out[2] = y * residual + 0.5 * z + x * wave;
      },
      minimisers: [], minimum: NaN, domain: [[-2, 2], [-2.5, 2.5], [-2, 2]], start: [1.5, 2, 1.5],
    }),
  },
  quadratic: {
    parameters: { H: [[1, 0], [0, 1]], minimiser: null },
    make: ({ H, minimiser }) => {
      const dim = H.length, centre = minimiser ?? new Array(dim).fill(0), away = new Float64Array(dim);
      const times = (row) => row.reduce((sum, entry, j) => sum + entry * away[j], 0);
      const bounded = dim !== 2 || H[0][0] + H[1][1] >= Math.hypot(H[0][0] - H[1][1], 2 * H[0][1]) * (1 - 1e-12);
      const gradient = (x, out) => {
        for (let i = 0; i < dim; i++) away[i] = x[i] - centre[i];
        for (let i = 0; i < dim; i++) out[i] = times(H[i]);
      };
      const pull = new Float64Array(dim);
      return {
        value: (x) => {
          gradient(x, pull);
          return 0.5 * pull.reduce((sum, entry, i) => sum + entry * away[i], 0);
        },
        // Above two dimensions H is taken to be positive semi-definite.
        gradient, minimisers: bounded ? [centre] : [], minimum: bounded ? 0 : -Infinity,
        domain: centre.map((c) => [c - 2.5, c + 2.5]), start: centre.map((c) => c + 1),
      };
    },
  },
};

/** The landscape called `name`: value(x), gradient(x, out), dim, domain, start, minimisers, minimum, parameters. */
export function landscape(name, parameters = {}) {
  const kind = LANDSCAPES[name];
  if (!kind) throw new RangeError(`there is no landscape ${name}; there are ${Object.keys(LANDSCAPES).join(", ")}`);
  const full = { ...kind.parameters, ...parameters }, made = kind.make(full);
  return { name, parameters: full, dim: made.start.length, ...made };
}
