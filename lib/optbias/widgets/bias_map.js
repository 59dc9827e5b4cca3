// The bias map: what Adam's memory adds to the loss over (beta, rho); beside it, on a toy, Adam and its two equations.

import { landscape, simulate } from "./core.js";
import { format, group, h, row, within } from "./elements.js";
import { decay, linear, logarithmic, nines } from "./scales.js";
import { COLORS, legend, rgb } from "./ink.js";
import { View } from "./view.js";

// -- as in optbias.theory.modified_equations, for Adam with epsilon inside the root ------------------------------------------

/** How old the gradients in an average are: in the long run, or when it holds n + 1 of them. */
export function meanLag(beta, n) {
  const late = beta / (1 - beta);
  return n === undefined ? late : late - ((n + 1) * beta ** (n + 1)) / (1 - beta ** (n + 1));
}

/** The weight of the gradient's one-norm in units of the learning rate: half the brace, for ratio = epsilon / g^2. */
export const bias = (beta, rho, ratio, n) => meanLag(beta, n) + 0.5 - (meanLag(rho, n) + 0.5) / (1 + ratio);

const TOY = landscape("bilinear");

/**
 * Adam's equation of `order` 1 or 2 on the toy, from `start`, at the times 0, lr, 2 lr, ...: two Runge-Kutta steps for
 * each. It stops where the solution is not finite, or runs three times as fast as the sign flow: there the correction has
 * outgrown what it corrects. Returns {path, done}, NaN after `done`.
 */
export function equation(order, { beta, rho, lr, eps }, start, steps, path = new Float64Array(2 * steps + 2)) {
  const g = new Float64Array(2), d = new Float64Array(2), u = new Float64Array(2);
  let own, other; // the lags' parts of the weight, the same within a step
  const field = (x, out) => {
    TOY.gradient(x, g);
    for (let i = 0; i < 2; i++) {
      d[i] = 1 / Math.sqrt(g[i] * g[i] + eps);
      out[i] = -(u[i] = d[i] * g[i]);
    }
    if (order === 1) return;
    // With f = (3/2 - 2 x y)^2 / 2 the Hessian is [[4 y^2, 8 x y - 3], [8 x y - 3, 4 x^2]].
    const off = 8 * x[0] * x[1] - 3;
    for (let i = 0; i < 2; i++) {
      const hu = 4 * x[1 - i] * x[1 - i] * u[i] + off * u[1 - i];
      out[i] -= lr * d[i] * (own - other * g[i] * g[i] * d[i] * d[i]) * hu;
    }
  };
  const k = [0, 1, 2, 3].map(() => new Float64Array(2)), x = Float64Array.from(start), y = new Float64Array(2);
  const shift = (by, slope) => {
    y[0] = x[0] + by * slope[0];
    y[1] = x[1] + by * slope[1];
    return y;
  };
  const dt = lr / 2;
  path.set(x);
  let done = 0;
  for (let n = 0; n < steps && done === n; n++) {
    const before = [x[0], x[1]];
    [own, other] = [meanLag(beta, n) + 0.5, meanLag(rho, n) + 0.5];
    for (let half = 0; half < 2; half++) {
      field(x, k[0]);
      field(shift(0.5 * dt, k[0]), k[1]);
      field(shift(0.5 * dt, k[1]), k[2]);
      field(shift(dt, k[2]), k[3]);
      for (let i = 0; i < 2; i++) x[i] += (dt / 6) * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);
    }
    const moved = Math.max(Math.abs(x[0] - before[0]), Math.abs(x[1] - before[1]));
    if (!(moved <= 3 * lr)) break; // also where it is not a number
    path.set(x, 2 * n + 2);
    done = n + 1;
  }
  path.fill(NaN, 2 * done + 2, 2 * steps + 2);
  return { path, done };
}

/** Adam on the toy, as `equation` writes it. */
export const adam = ({ beta, rho, lr, eps }, start, steps, path) =>
  simulate({ rule: "Adam", lr, betas: [beta, rho], eps, eps_inside: true }, TOY.gradient, start, steps, { path });

// -- the widget -------------------------------------------------------------------------------------------------------

const USUAL = { beta: 0.9, rho: 0.95, ratio: 1e-6, lr: 0.01, eps: 0.01, time: 1.8, start: [2.8, 3.5] };
const NINES = 3.3; // the map's axes end at 0.9995
const MOST = 2000; // steps
/** From the reverse of a penalty, c = -1000, to a penalty, c = 1000, in quarters of a decade. */
const PALETTE = Array.from({ length: 25 }, (_, k) => [...rgb(COLORS[k < 12 ? 5 : 1]), 15 * Math.abs(k - 12)]);
const LEVELS = [-1000, -100, -10, -1, 1, 10, 100, 1000];
const NAMES = ["Adam", "first-order equation", "corrected equation"];
const WINDOW = [0, 4];

export function mount(el, model) {
  const traits = ["beta", "rho", "ratio", "lr", "eps", "time", "start"];
  const initial = Object.fromEntries(traits.map((trait) => [trait, structuredClone(model.get(trait))]));
  const view = new View(el, model, { label: "The bias map", traits });
  const map = view.plot({ label: "Map of the bias", height: 0.945, x: "β", y: "ρ" });
  const toy = view.plot({ label: "The toy with three paths", height: 0.945, x: "θ₁", y: "θ₂" });
  const balance = view.plot({ label: "Balance", height: 0.5, x: "step", y: "θ₂ − θ₁" });
  const misses = view.plot({ label: "Distance from Adam", height: 0.5, x: "step", y: "distance" });

  const state = () => {
    const number = (name, low, high) => within(view.get(name), USUAL[name], low, high);
    const lr = number("lr", 1e-3, 1), time = number("time", 0.1, 10);
    return {
      beta: number("beta", 0, 0.9999), rho: number("rho", 0, 0.9999), ratio: number("ratio", 0, 1e6),
      lr, time, eps: number("eps", 0, 1e6), steps: Math.min(MOST, Math.max(1, Math.round(time / lr))),
      start: USUAL.start.map((usual, i) => within(view.get("start")?.[i], usual, ...WINDOW)),
    };
  };
  const control = (name) => ({ get: () => state()[name], set: (x) => view.set({ [name]: x }) });
  const sliders = (...all) => h("div", { class: "ob-sliders" }, ...all);
  view.panel.append(
    legend(NAMES),
    row(view.button("Reset", () => view.set(structuredClone(initial))), view.shareButton() ?? ""),
    group("The map, with the weight c", sliders(
      view.slider({ label: "β", scale: decay(3), show: nines.show, ...control("beta") }),
      view.slider({ label: "ρ", scale: decay(3), show: nines.show, ...control("rho") }),
      view.slider({ label: "ε / g²", scale: logarithmic(1e-6, 1e3, true), ...control("ratio") }))),
    group("The toy, with the same β and ρ", sliders(
      view.slider({ label: "learning rate η", scale: logarithmic(1e-3, 1), ...control("lr") }),
      view.slider({ label: "ε", scale: logarithmic(1e-8, 1e4, true), ...control("eps") }),
      view.slider({ label: "time, steps × η", scale: linear(0.1, 6, 0.1), ...control("time") }))),
  );
  map.handle({
    label: "Adam's β and ρ", get: () => [nines.at(state().beta), nines.at(state().rho)],
    set: (at) => {
      const [beta, rho] = at.map(nines.value);
      view.set({ beta, rho });
    },
    show: () => `${nines.show(state().beta)}, ${nines.show(state().rho)}`,
  });
  toy.handle({ label: "Start on the toy", get: () => state().start, set: (start) => view.set({ start }) });

  const drawMap = ({ beta, rho, ratio }) => {
    const factor = (part) => 1 - 10 ** (-NINES * part);
    map.begin({ x: [0, NINES], y: [0, NINES], xticks: nines.ticks.slice(0, 5), yticks: nines.ticks.slice(0, 5) });
    map.background(ratio, (context) => map.cells(context, 72, PALETTE, (i, j) => {
      const c = bias(factor((i + 0.5) / 72), factor((j + 0.5) / 72), ratio);
      return 12 + Math.sign(c) * Math.min(12, Math.round(4 * Math.log10(1 + Math.abs(c))));
    }));
    // Where the weight is c: (1 + rho) / (1 - rho) = q with q / (1 + ratio) = (1 + beta) / (1 - beta) - 2 c.
    const level = (c) => (i) => {
      const own = factor(i / 60), q = ((1 + own) / (1 - own) - 2 * c) * (1 + ratio);
      return q >= 1 ? nines.at((q - 1) / (q + 1)) : NaN;
    };
    const across = (i) => (NINES * i) / 60;
    for (const c of LEVELS) {
      map.line(across, level(c), 61, { color: map.ink, dash: 3, width: 0.8, alpha: 0.6 });
      // Written where the line leaves the map: at rho = 0, or at beta = 0.
      const q = 1 / (1 + ratio) + 2 * c, foot = nines.at((q - 1) / (q + 1)), side = level(c)(0);
      const [x, y] = c > 0 ? [foot + 0.06, 0.12] : [0.06, side + 0.1];
      if (x > 0 && x < NINES - 0.3 && y > 0 && y < NINES) map.text(`c = ${c}`.replace("-", "−"), x, y, { align: "left" });
    }
    map.line(across, level(0), 61, { color: map.ink, dash: -1, width: 2 });
    const name = (text, x, y, sign) => bias(factor(x), factor(y), ratio) * sign > 0 && map.text(text, x * NINES, y * NINES);
    name("penalty", 0.72, 0.2, 1);
    name("the reverse", 0.3, 0.78, -1);
    map.dot(nines.at(beta), nines.at(rho), 0);
    map.end();
  };

  const drawToy = (paths) => {
    toy.begin({ x: WINDOW, y: WINDOW });
    toy.line((i) => 0.15 * 1.06 ** i, (i) => 0.75 / (0.15 * 1.06 ** i), 60, { color: toy.ink, dash: -1, width: 1.2, alpha: 0.7 });
    toy.text("minima", 2.6, 0.75 / 2.6 + 0.16);
    toy.dot(Math.sqrt(0.75), Math.sqrt(0.75), 6, 6);
    paths.forEach(({ path, done }, k) =>
      toy.line((n) => path[2 * n], (n) => path[2 * n + 1], done + 1, { color: k, width: k ? 1.8 : 1.4 }));
    const [{ path, done }] = paths;
    if (done <= 120) for (let n = 1; n < done; n++) toy.dot(path[2 * n], path[2 * n + 1], 0, 2);
    paths.forEach(({ path: p, done: last }, k) => toy.dot(p[2 * last], p[2 * last + 1], k, 4.5));
    toy.end();
  };

  const drawBalance = (paths, steps) => {
    let low = Infinity, high = -Infinity;
    const apart = paths.map(({ path, done }) => Float64Array.from({ length: done + 1 }, (_, n) => {
      const own = path[2 * n + 1] - path[2 * n];
      low = Math.min(low, own);
      high = Math.max(high, own);
      return own;
    }));
    const pad = 0.1 * (high - low) + 0.02;
    balance.begin({ x: [0, 1.02 * steps], y: [Math.max(-3, low - pad), Math.min(3, high + pad)] });
    apart.forEach((values, k) => balance.series(values, values.length, { color: k }));
    apart.forEach((values, k) => balance.dot(values.length - 1, values.at(-1), k));
    balance.end();
    return apart.map((values) => values.at(-1));
  };

  const drawMisses = (paths, steps) => {
    const [{ path }, ...others] = paths;
    const away = others.map(({ path: own, done }) => Float64Array.from({ length: done + 1 }, (_, n) =>
      Math.max(Math.abs(own[2 * n] - path[2 * n]), Math.abs(own[2 * n + 1] - path[2 * n + 1])) || NaN));
    let low = Infinity, high = 0;
    for (const values of away) {
      for (const value of values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (!(low < high)) [low, high] = [1e-3, 1];
    misses.begin({ x: [0, 1.02 * steps], y: [Math.max(low, 1e-6 * high) / 1.5, 1.5 * high], ylog: true });
    away.forEach((values, k) => {
      misses.series(values, values.length, { color: k + 1 });
      misses.dot(values.length - 1, values.at(-1), k + 1);
    });
    misses.end();
    return away.map((values) => values.at(-1));
  };

  let key = "", paths = [{}, {}, {}];
  return view.draw(() => {
    const now = state(), { beta, rho, ratio, start, steps } = now;
    if (key !== JSON.stringify(now)) {
      const room = (k) => (paths[k].path?.length === 2 * steps + 2 ? paths[k].path : undefined);
      paths = [adam(now, start, steps, room(0)), equation(1, now, start, steps, room(1)), equation(2, now, start, steps, room(2))];
      key = JSON.stringify(now);
    }
    const c = bias(beta, rho, ratio);
    drawMap(now);
    drawToy(paths);
    const apart = drawBalance(paths, steps), away = drawMisses(paths, steps);
    const what = Math.abs(c) < 1e-9 ? "no bias of first order" : c > 0 ? "the one-norm is penalised" : "the reverse of a penalty";
    const verdict = `β = ${nines.show(beta)}, ρ = ${nines.show(rho)}, ε/g² = ${format(ratio)}: weight c = ${format(c).replace("-", "−")}, ${what}.`;
    const [{ path, done }] = paths, end = [path[2 * done], path[2 * done + 1]];
    const ways = [1, 2].map((k) => (paths[k].done < steps
      ? `the ${NAMES[k]} stops at step ${paths[k].done}, where it has no meaning any more`
      : `the ${NAMES[k]} is ${format(away[k - 1] || 0)} away from it`));
    const story = `On the toy Adam is at (${end.map(format).join(", ")}) after step ${done}; `
      + `θ₂ − θ₁ went from ${format(start[1] - start[0])} to ${format(apart[0])}; ${ways.join(", ")}.`;
    map.describe(verdict);
    toy.describe(`${story} The star is the balanced minimum.`);
    balance.describe(`In the end ${NAMES.map((name, k) => `${name} ${format(apart[k])}`).join(", ")}. 0 is balanced.`);
    misses.describe(`In the end ${ways.join(", ")}.`);
    view.say(`${verdict} ${story}`);
  });
}
