// The box: what weight decay makes of three methods on a quadratic of two variables, and the loss made for beta1 > beta2.

import { landscape, simulate } from "./core.js";
import { format, group, h, row, within } from "./elements.js";
import { decay, linear, logarithmic, nines } from "./scales.js";
import { COLORS, legend } from "./ink.js";
import { View } from "./view.js";

// -- the mathematics --------------------------------------------------------------------------------------------------

const clip = (x, radius) => Math.min(radius, Math.max(-radius, x));

/** The symmetric matrix with curvature low, and high along `angle` (degrees). */
export function matrix([low, high], angle) {
  const c = Math.cos((angle * Math.PI) / 180), s = Math.sin((angle * Math.PI) / 180), off = (high - low) * c * s;
  return [[high * c * c + low * s * s, off], [off, high * s * s + low * c * c]];
}

/** The minimiser of the quadratic with Hessian H (positive definite) and this centre over the box |theta_i| <= radius. */
export function boxMinimiser(H, centre, radius) {
  const f = landscape("quadratic", { H, minimiser: centre });
  if (Math.max(...centre.map(Math.abs)) <= radius) return [...centre];
  // Else it lies on an edge: on each, the other coordinate goes where its derivative vanishes, or to a corner.
  const edges = [0, 1].flatMap((i) => [-radius, radius].map((wall) => {
    const point = [0, 0], j = 1 - i;
    point[i] = wall;
    point[j] = clip(centre[j] - (H[j][i] / H[j][j]) * (wall - centre[i]), radius);
    return point;
  }));
  return edges.reduce((best, point) => (f.value(point) < f.value(best) ? point : best));
}

/** The minimiser of the quadratic plus lambda |theta|^2 / 2. */
export function ridge(H, centre, lambda) {
  const [[a, b], [, d]] = H, right = H.map((line) => line[0] * centre[0] + line[1] * centre[1]);
  const det = (a + lambda) * (d + lambda) - b * b;
  return [((d + lambda) * right[0] - b * right[1]) / det, ((a + lambda) * right[1] - b * right[0]) / det];
}

/** The KKT gap of the box with half-width 1 / lambda, divided by the gradient's one-norm; 0 / 0 is 0. */
export function relativeGap(theta, gradient, lambda) {
  let size = 0, inner = 0;
  for (let i = 0; i < theta.length; i++) {
    size += Math.abs(gradient[i]);
    inner += theta[i] * gradient[i];
  }
  return size === 0 ? 0 : (size + lambda * inner) / size;
}

/** How the loss of optbias.theory.box.EscapeLoss is made: AdamW with these numbers is led out of the box. */
export const ESCAPE = { betas: [0.99, 0.9], r: 0.995, lr: 0.005, weight_decay: 1, steps: 3000 };

/** That loss, of one variable: {gradient(x, out), minimiser}. */
export function escapeLoss({ betas, r, lr, weight_decay, steps } = ESCAPE) {
  const rule = { rule: "AdamW", lr, betas, eps: 0, weight_decay };
  const { path } = simulate(rule, (x, out, t) => (out[0] = r ** t), [1], steps);
  const ratio = ((1 - betas[0]) / (1 - betas[0] / r)) * Math.sqrt((1 - betas[1] / r ** 2) / (1 - betas[1]));
  const minimiser = -ratio / weight_decay;
  // The derivative is r^t on a flat piece around iterate t - 1, 0 around the minimiser, and linear in between.
  const nodes = [minimiser, ...path.slice(0, steps).reverse()];
  const slopes = nodes.map((_, k) => (k ? r ** (steps + 1 - k) : 0));
  const half = 0.3 * nodes.slice(1).reduce((least, node, k) => Math.min(least, node - nodes[k]), Infinity);
  const gradient = (x, out) => {
    let low = 0, high = nodes.length; // the first node to the right of x
    while (low < high) {
      const middle = (low + high) >> 1;
      if (nodes[middle] <= x[0]) low = middle + 1;
      else high = middle;
    }
    const left = Math.max(0, low - 1), right = Math.min(nodes.length - 1, low);
    const from = nodes[left] + half, to = nodes[right] - half;
    if (low === nodes.length && x[0] > from) out[0] = slopes[left] + (x[0] - from); // beyond the last: slope 1
    else if (low === 0 && x[0] < to) out[0] = slopes[right] + (x[0] - to);
    else if (x[0] <= from || left === right) out[0] = slopes[left];
    else if (x[0] >= to) out[0] = slopes[right];
    else out[0] = slopes[left] + ((slopes[right] - slopes[left]) / (to - from)) * (x[0] - from);
  };
  return { gradient, minimiser };
}

// -- the widget -------------------------------------------------------------------------------------------------------

const NAMES = ["sign descent + decay", "AdamW", "Adam + L2"];
const KKT = 6, RIDGE = 3; // the numbers of their colour, dash and marker
const REACH = 2.5;
const PAGE = {
  loss: "quadratic", curvatures: [1.5 - Math.sqrt(1.06), 1.5 + Math.sqrt(1.06)], angle: (Math.atan2(1.8, 1) * 90) / Math.PI,
  minimiser: [1.7, 0.2], start: [-1.6, 1.8], weight_decay: 1, lr: 0.1, decaying: true, betas: [0.9, 0.95], steps: 2000,
};
export const PRESETS = {
  "a minimiser outside the box": PAGE,
  "the same, curvatures along the axes": { ...PAGE, angle: 0 },
  "a minimiser inside, constant rate": { ...PAGE, minimiser: [0.5, -0.3], lr: 0.02, decaying: false },
  "default betas, from outside": {
    ...PAGE, minimiser: [2.2, 0.2], start: [2.2, 0.2], betas: [0.9, 0.999], lr: 0.02, decaying: false, steps: 1500,
  },
  "β₁ > β₂ on a quadratic": { ...PAGE, start: [0, 0], betas: [0.99, 0.9], steps: 1500 },
  "β₁ > β₂ on a loss made for it": {
    ...PAGE, loss: "escape", betas: ESCAPE.betas, lr: ESCAPE.lr, weight_decay: 1, decaying: false, steps: ESCAPE.steps,
  },
};

const point = (x) => `(${Array.from(x, format).join(", ")})`;

export function mount(el, model) {
  const traits = [
    "loss", "curvatures", "angle", "minimiser", "start", "weight_decay", "lr", "decaying", "betas", "steps"
  ];
  const initial = Object.fromEntries(traits.map((trait) => [trait, structuredClone(model.get(trait))]));
  const view = new View(el, model, { label: "AdamW and its box", traits });
  const map = view.plot({ label: "Map of the loss with the box and the paths", height: 0.945, x: "θ₁", y: "θ₂" });
  const sizes = view.plot({ label: "Largest coordinate against the step", height: 0.46, x: "step", y: "‖θ‖∞" });
  const gaps = view.plot({ label: "Relative KKT gap against the step", height: 0.46, x: "step", y: "KKT gap" });
  map.element.style.gridRow = "span 2";

  const pair = (trait, low, high) => PAGE[trait].map((usual, i) => within(view.get(trait)?.[i], usual, low, high));
  const state = () => ({
    escape: view.get("loss") === "escape",
    curvatures: pair("curvatures", 0.01, 100),
    angle: within(view.get("angle"), 0, -90, 90),
    minimiser: pair("minimiser", -REACH, REACH),
    start: pair("start", -REACH, REACH),
    lambda: within(view.get("weight_decay"), 1, 0, 10),
    lr: within(view.get("lr"), 0.1, 0, 1),
    decaying: view.get("decaying") !== false,
    betas: pair("betas", 0, 0.9999),
    steps: Math.round(within(view.get("steps"), 2000, 10, 3000)),
  });

  // -- controls --------------------------------------------------------------------------------------------------------

  const control = (name, key = name, turn = (x) => x) => ({ get: () => state()[key], set: (x) => view.set({ [name]: turn(x) }) });
  const part = (name, i) => ({
    get: () => state()[name][i],
    set: (x) => view.set({ [name]: state()[name].map((old, j) => (j === i ? x : old)) }),
  });
  const names = Object.keys(PRESETS), sliders = (...all) => h("div", { class: "ob-sliders" }, ...all);
  const shape = group("The quadratic", sliders(
    view.slider({ label: "one curvature", scale: logarithmic(0.01, 100), ...part("curvatures", 0) }),
    view.slider({ label: "the other", scale: logarithmic(0.01, 100), ...part("curvatures", 1) }),
    view.slider({ label: "its angle", scale: linear(-90, 90, 1), ...control("angle"), show: (x) => `${format(x)}°` })));
  const hint = h("span", {}, "Both rings can be moved: the start, and the minimiser ×.");
  view.panel.append(
    legend({ ...NAMES, [RIDGE]: "ridge path, ridge solution", [KKT]: "box, its KKT point" }), hint,
    row(
      view.select({
        label: "Try", options: [["", "choose …"], ...names.map((name) => [name, name])], get: () => "",
        set: (name) => (name ? view.set(structuredClone(PRESETS[name])) : view.refresh()),
      }),
      view.button("Reset", () => view.set(structuredClone(initial))),
      view.shareButton() ?? "",
    ),
    group("The methods", sliders(
      view.slider({ label: "weight decay λ", scale: logarithmic(0.1, 10, true), ...control("weight_decay", "lambda") }),
      view.slider({ label: "rate η", scale: logarithmic(1e-3, 1), ...control("lr") }),
      view.slider({ label: "β₁", scale: decay(3), show: nines.show, ...part("betas", 0) }),
      view.slider({ label: "β₂", scale: decay(4), show: nines.show, ...part("betas", 1) }),
      view.slider({ label: "steps", scale: logarithmic(10, 3000), ...control("steps", "steps", Math.round) }),
      view.checkbox({ label: "rate falls like η/√t", ...control("decaying") }))),
    shape,
  );
  const knobs = [["minimiser", "Minimiser of the quadratic"], ["start", "Start point"]].map(([name, label]) =>
    map.handle({ label, get: () => state()[name], set: (x) => state().escape || view.set({ [name]: x }) }));

  // -- the picture -----------------------------------------------------------------------------------------------------

  let made, key = "", runs = [{}, {}, {}];
  const simulateAll = (now, f) => {
    const { betas, lambda, lr, decaying, steps } = now;
    const common = { lr: decaying ? (t) => lr / Math.sqrt(t) : lr, weight_decay: lambda, betas, eps: 0 };
    return ["SignGD", "AdamW", "Adam"].map((rule, k) => {
      const run = simulate({ rule, ...common }, f.gradient, f.start, steps, { path: runs[k].path });
      const { path, done, dim } = run, theta = new Float64Array(dim), g = new Float64Array(dim);
      const again = runs[k].size?.length === steps + 1;
      const size = again ? runs[k].size : new Float64Array(steps + 1), gap = again ? runs[k].gap : new Float64Array(steps + 1);
      for (let t = 0; t <= done; t++) {
        for (let i = 0; i < dim; i++) theta[i] = path[t * dim + i];
        f.gradient(theta, g);
        size[t] = theta.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
        const own = relativeGap(theta, g, lambda);
        gap[t] = own > 0 ? own : NaN; // outside the box it may be negative, and means nothing
      }
      return { ...run, size, gap };
    });
  };
  const wash = (plot, x, y) => {
    const { context: c } = plot, [left, right] = x.map(plot.px), [bottom, top] = y.map(plot.py);
    c.globalAlpha = 0.1;
    c.fillStyle = COLORS[KKT];
    c.fillRect(left, top, right - left, bottom - top);
    c.globalAlpha = 1;
  };

  const drawMap = ({ curvatures, angle, minimiser }, f, radius) => {
    map.labels = { x: "θ₁", y: "θ₂" };
    map.begin({ x: [-REACH, REACH], y: [-REACH, REACH] });
    const reach = Math.min(radius, 2 * REACH), corners = [[1, 1], [-1, 1], [-1, -1], [1, -1], [1, 1]];
    if (radius < Infinity) wash(map, [-reach, reach], [-reach, reach]);
    // Level lines are ellipses. Each lies half as far again from the minimiser as the one before.
    const turn = (angle * Math.PI) / 180, wide = Math.sqrt(Math.max(...curvatures));
    for (let size = 0.2; size < 12; size *= 1.5) {
      const ends = curvatures.map((h) => (size * wide) / Math.sqrt(h)), phase = (i) => (i * Math.PI) / 36;
      const along = (i) => ends[1] * Math.cos(phase(i)), across = (i) => ends[0] * Math.sin(phase(i));
      map.line((i) => minimiser[0] + along(i) * Math.cos(turn) - across(i) * Math.sin(turn),
        (i) => minimiser[1] + along(i) * Math.sin(turn) + across(i) * Math.cos(turn), 73,
        { color: map.ink, dash: -1, width: 0.8, alpha: 0.35 });
    }
    if (radius < Infinity) map.line((i) => corners[i][0] * reach, (i) => corners[i][1] * reach, 5, { color: KKT, dash: -1 });
    const path = Array.from({ length: 61 }, (_, i) => ridge(f.H, minimiser, 10 ** (i / 10 - 3)));
    map.line((i) => path[i][0], (i) => path[i][1], 61, { color: RIDGE, width: 1.6 });
    runs.forEach((run, k) => map.line((t) => run.path[2 * t], (t) => run.path[2 * t + 1], run.done + 1, { color: k, width: 1.6 }));
    map.text("×", ...minimiser);
    map.dot(...f.ridge, RIDGE, 5);
    runs.forEach(({ path: p, done }, k) => map.dot(p[2 * done], p[2 * done + 1], k, 5));
    if (f.kkt) map.dot(...f.kkt, KKT, 9);
    map.end();
  };

  /** The loss made for beta1 > beta2 has one variable: the paths against the step, and the derivative. */
  const drawEscape = (f, radius, steps) => {
    map.labels = { x: "step", y: "θ" };
    map.begin({ x: [0, 1.02 * steps], y: [-2.2, 1.2] });
    wash(map, [0, 2 * steps], [-Math.min(9, radius), Math.min(9, radius)]);
    for (const wall of [-radius, radius]) map.line((i) => i * 9e3, () => wall, 2, { color: KKT, dash: -1 });
    runs.forEach(({ path, done }, k) => map.series(path, done + 1, { color: k }));
    runs.forEach(({ path, done }, k) => map.dot(done, path[done], k, 5));
    map.dot(steps, f.kkt?.[0], KKT, 9);
    map.end();
    sizes.labels = { x: "θ", y: "f′(θ)" };
    sizes.begin({ x: [-2.2, 1.2], y: [-0.3, 1.1] });
    wash(sizes, [-Math.min(9, radius), Math.min(9, radius)], [-9, 9]);
    const out = [0], slope = (x) => (f.gradient([x], out), out[0]);
    sizes.line((i) => -2.2 + 0.02 * i, (i) => slope(-2.2 + 0.02 * i), 171, { color: sizes.ink, dash: -1 });
    runs.forEach(({ path, done }, k) => sizes.dot(path[done], slope(path[done]), k));
    sizes.end();
  };

  const drawSizes = (radius, steps) => {
    let top = radius < 3 * REACH ? 1.3 * radius : 0;
    for (const { size, done } of runs) for (let t = 0; t <= done; t++) top = Math.max(top, Math.min(2 * REACH, size[t]));
    sizes.labels = { x: "step", y: "‖θ‖∞" };
    sizes.begin({ x: [0, 1.02 * steps], y: [0, 1.05 * top || 1] });
    if (radius < Infinity) {
      wash(sizes, [0, 2 * steps], [0, radius]);
      sizes.line((i) => i * 9e3, () => radius, 2, { color: KKT, dash: -1 });
    }
    runs.forEach(({ size, done }, k) => sizes.series(size, done + 1, { color: k, width: 1.4 }));
    runs.forEach(({ size, done }, k) => sizes.dot(done, size[done], k));
    sizes.end();
  };

  const drawGaps = (lambda, steps) => {
    let low = 0.1;
    for (const { gap, done } of runs) for (let t = 0; t <= done; t++) if (gap[t] < low) low = gap[t];
    gaps.begin({ x: [0, 1.02 * steps], y: [Math.max(1e-8, low / 2), 4], ylog: true });
    if (lambda) {
      runs.forEach(({ gap, done }, k) => gaps.series(gap, done + 1, { color: k, width: 1.4 }));
      runs.forEach(({ gap, done }, k) => gaps.dot(done, gap[done], k));
    } else gaps.text("λ = 0: no box", steps / 2, 0.5);
    gaps.end();
  };

  const words = ({ escape, lambda, minimiser, steps }, f) => {
    const gone = runs.map(({ done }, k) => (done < steps ? `${NAMES[k]} left the range of numbers at step ${done + 1}` : ""));
    const end = ({ path, done, dim }) => (dim === 1 ? format(path[done]) : point(path.slice(dim * done, dim * done + dim)));
    const gap = ({ gap: all, size, done }) =>
      (size[done] * lambda > 1 + 1e-6 ? ", outside the box" : Number.isNaN(all[done]) ? "" : ` with gap ${format(all[done])}`);
    const each = runs.map((run, k) => gone[k] || `${NAMES[k]} at ${end(run)}${lambda ? gap(run) : ""}`).join("; ");
    const ends = `After ${steps} steps: ${each}`;
    if (escape) {
      return `A convex loss of one variable, least at ${format(f.minimiser)}, made so that AdamW with β = (0.99, 0.9), η = 0.005, `
        + `λ = 1 is led out of its box. ${lambda ? `The box ends at −${format(1 / lambda)}. ` : "λ = 0: there is no box. "}${ends}.`;
    }
    if (!lambda) return `λ = 0: there is no box, and all three look for the minimiser ${point(minimiser)}. ${ends}.`;
    const inside = Math.max(...minimiser.map(Math.abs)) <= 1 / lambda;
    return `The box has half-width ${format(1 / lambda)}; its KKT point is ${inside ? "the minimiser " : ""}${point(f.kkt)}, `
      + `the ridge solution is ${point(f.ridge)}. ${ends}.`;
  };

  return view.draw(() => {
    const now = state(), { escape, lambda, steps } = now, radius = 1 / lambda;
    const H = matrix(now.curvatures, now.angle);
    const f = escape
      ? { ...(made ??= escapeLoss()), start: [1], kkt: lambda ? [Math.max(made.minimiser, -radius)] : null }
      : {
        ...landscape("quadratic", { H, minimiser: now.minimiser }), start: now.start, H,
        ridge: ridge(H, now.minimiser, lambda), kkt: lambda ? boxMinimiser(H, now.minimiser, radius) : null,
      };
    if (key !== JSON.stringify(now)) {
      if (runs[0].dim !== f.start.length) runs = [{}, {}, {}];
      runs = simulateAll(now, f);
      key = JSON.stringify(now);
    }
    for (const knob of knobs) knob.hidden = escape;
    shape.hidden = hint.hidden = escape;
    if (escape) drawEscape(f, radius, steps);
    else {
      drawMap(now, f, radius);
      drawSizes(radius, steps);
    }
    drawGaps(lambda, steps);
    const text = words(now, f);
    map.describe(text);
    sizes.describe(escape ? "The derivative of the loss, with the box shaded." : "The wall of the box is a line, its inside shaded.");
    gaps.describe(lambda ? "0 says that a point in the box is a KKT point." : "There is no box.");
    view.say(text);
  });
}
