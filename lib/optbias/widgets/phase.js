// Momentum's phase diagram: what a quadratic's slowest mode does, over (step on curvature, momentum).

import { simulate } from "./core.js";
import { format, h, row } from "./elements.js";
import { linear, logarithmic } from "./scales.js";
import { COLORS, rgb } from "./ink.js";
import { View } from "./view.js";

// -- as in optbias.theory.quadratic_dynamics ---------------------------------------------------------------------------------

export const REGIMES = ["monotone", "oscillating", "alternating", "not convergent"];

/** Trace and determinant of the iteration; x = learning rate times curvature. */
function coefficients(x, beta, form, nesterov) {
  const a = form === "ema" ? (1 - beta) * x : x;
  return nesterov ? [(1 + beta) * (1 - a), beta * (1 - a)] : [1 + beta - a, beta];
}

/** The two roots as [real, imaginary], larger modulus first. */
export function roots(x, beta, form = "heavy_ball", nesterov = false) {
  const [trace, det] = coefficients(x, beta, form, nesterov);
  const discriminant = trace ** 2 - 4 * det;
  if (discriminant < 0) {
    const imaginary = Math.sqrt(-discriminant) / 2;
    return [[trace / 2, imaginary], [trace / 2, -imaginary]];
  }
  // The larger root without cancellation, the other from the product of the two.
  const large = (trace + (trace < 0 ? -1 : 1) * Math.sqrt(discriminant)) / 2;
  return [[large, 0], [large === 0 ? 0 : det / large, 0]];
}

/** The largest step on curvature that converges is below this. */
export function stabilityLimit(beta, form = "heavy_ball", nesterov = false) {
  const limit = (2 * (1 + beta)) / (nesterov ? 1 + 2 * beta : 1);
  return form === "ema" ? limit / (1 - beta) : limit;
}

/** Which of REGIMES the slowest mode shows. */
export function regime(x, beta, form = "heavy_ball", nesterov = false) {
  if (x <= 0 || x >= stabilityLimit(beta, form, nesterov)) return 3;
  const [[real, imaginary]] = roots(x, beta, form, nesterov);
  return imaginary !== 0 ? 1 : real < 0 ? 2 : 0;
}

// -- the widget -------------------------------------------------------------------------------------------------------

const REGION_COLORS = [COLORS[2], COLORS[0], COLORS[4], COLORS[6]];
/** The window of each form. In EMA form the limit grows without bound, so its axis is logarithmic. */
const WINDOWS = { heavy_ball: { x: [0, 4.2], xlog: false }, ema: { x: [0.01, 100], xlog: true } };
const BETAS = [0, 0.99];

export function mount(el, model) {
  const traits = ["form", "nesterov", "lr_curvature", "beta", "steps"];
  const initial = Object.fromEntries(traits.map((trait) => [trait, model.get(trait)]));
  const view = new View(el, model, { label: "Phase diagram of momentum", traits });
  const map = view.plot({ label: "Phase diagram", height: 0.95, x: "learning rate × curvature, ηh", y: "β" });
  const plane = view.plot({ label: "Roots in the complex plane", height: 0.95, x: "real part", y: "imaginary part" });
  const curve = view.plot({ label: "The trajectory", height: 0.36, x: "step", y: "θ", wide: true });

  const number = (trait, low, high, usual) => {
    const value = view.get(trait);
    return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : usual;
  };
  const state = () => ({
    form: view.get("form") === "ema" ? "ema" : "heavy_ball",
    nesterov: view.get("nesterov") === true,
    x: number("lr_curvature", 0, 1e3, 1),
    beta: number("beta", 0, 0.999, 0.8),
    steps: Math.round(number("steps", 1, 500, 60)),
  });

  const scales = { heavy_ball: linear(0, 4.2, 0.01), ema: logarithmic(0.01, 100) };
  view.panel.append(
    h("p", { class: "ob-legend" }, ...REGIMES.map((name, code) => h("span", {},
      h("i", { style: `background: color-mix(in srgb, ${REGION_COLORS[code]} 32%, transparent)` }), name))),
    row(
      view.select({
        label: "form", options: [["heavy_ball", "heavy ball (a sum)"], ["ema", "EMA (an average)"]],
        get: () => state().form, set: (form) => view.set({ form }),
      }),
      view.checkbox({ label: "Nesterov", get: () => state().nesterov, set: (nesterov) => view.set({ nesterov }) }),
      view.button("Reset", () => view.set({ ...initial })),
      view.shareButton() ?? "",
    ),
    row(
      view.slider({
        label: "ηh",
        scale: { last: 420, value: (k) => own(k), position: (x) => (scales[state().form].position(x) / scales[state().form].last) * 420 },
        get: () => state().x, set: (value) => view.set({ lr_curvature: value }),
      }),
      view.slider({ label: "β", scale: linear(0, 0.99, 0.01), get: () => state().beta, set: (beta) => view.set({ beta }) }),
      view.slider({ label: "steps", scale: logarithmic(10, 500), get: () => state().steps, set: (n) => view.set({ steps: Math.round(n) }) }),
    ),
  );
  function own(position) {
    const scale = scales[state().form];
    return scale.value(Math.round((position / 420) * scale.last));
  }
  map.handle({
    label: "Chosen point, ηh and β", get: () => [state().x, state().beta],
    set: ([x, beta]) => view.set({ lr_curvature: x, beta }),
  });

  const drawMap = ({ form, nesterov }) => {
    const { x: range, xlog } = WINDOWS[form];
    map.begin({ x: range, y: BETAS, xlog });
    const x = (part) => (xlog ? range[0] * (range[1] / range[0]) ** part : range[0] + (range[1] - range[0]) * part);
    const beta = (part) => BETAS[0] + (BETAS[1] - BETAS[0]) * part;
    map.background(`${form}${nesterov}`, (context) => {
      const n = 180, code = (i, j) => regime(x((i + 0.5) / n), beta((j + 0.5) / n), form, nesterov);
      const codes = Uint8Array.from({ length: n * n }, (_, k) => code(k % n, Math.floor(k / n)));
      const palette = [...REGION_COLORS.map((color) => [...rgb(color), 80]), [...rgb(map.ink), 200]];
      // A cell whose neighbour is of another kind is part of the border, which is drawn in ink.
      const at = (i, j) => codes[Math.min(j, n - 1) * n + Math.min(i, n - 1)];
      map.cells(context, n, palette, (i, j) => (at(i, j) !== at(i + 1, j) || at(i, j) !== at(i, j + 1) ? 4 : at(i, j)));
      label(context, (i, j) => at(i * 4, j * 4), n / 4);
    });
    map.end();
  };
  /** Write each regime's name where it lies deepest inside its region, if it is wide enough there. */
  const label = (context, at, n) => {
    const found = REGIMES.map(() => ({ depth: 0 })), { frame } = map;
    for (let j = 0; j < n; j++) {
      for (let i = 0; i < n; i++) {
        const code = at(i, j), inside = (a, b) => a >= 0 && b >= 0 && a < n && b < n && at(a, b) === code;
        let depth = 1;
        // Names are wider than high: distance counts less sideways.
        while (inside(i - 2 * depth, j) && inside(i + 2 * depth, j) && inside(i, j - depth) && inside(i, j + depth)) depth++;
        if (depth > found[code].depth) found[code] = { depth, i, j };
      }
    }
    Object.assign(context, { font: map.font, fillStyle: map.ink, textAlign: "center", textBaseline: "middle" });
    found.forEach(({ depth, i, j }, code) => {
      const x = frame.left + (frame.width * (i + 0.5)) / n, y = frame.top + frame.height * (1 - (j + 0.5) / n);
      const fits = depth && context.measureText(REGIMES[code]).width < (4 * depth * frame.width) / n;
      if (fits) context.fillText(REGIMES[code], x, y);
    });
  };

  const drawPlane = (pair) => {
    const reach = Math.min(4, Math.max(1.25, ...pair.map(([re, im]) => 1.1 * Math.hypot(re, im))));
    plane.begin({ x: [-reach, reach], y: [-reach, reach] });
    const angle = (i) => (2 * Math.PI * i) / 90;
    plane.line((i) => Math.cos(angle(i)), (i) => Math.sin(angle(i)), 91, { color: plane.ink, dash: 1, width: 1.2 });
    const size = Math.hypot(...pair[0]);
    plane.line((i) => size * Math.cos(angle(i)), (i) => size * Math.sin(angle(i)), 91, { color: 0, dash: 3, width: 1.2 });
    for (const [re, im] of pair) plane.dot(re, im, 0, 6);
    plane.end();
  };

  const gradient = (x, out) => (out[0] = x[0]);
  let kept = {};
  const drawCurve = ({ form, nesterov, x, beta, steps }, rate) => {
    // On theta^2 / 2 the curvature is 1, so the learning rate is the step on curvature.
    kept = simulate({ rule: "Momentum", lr: x, beta, form, nesterov }, gradient, [1], steps, { path: kept.path });
    const top = Math.min(10, Math.max(1.1, ...kept.path.slice(0, kept.done + 1).map(Math.abs)) * 1.05);
    curve.begin({ x: [0, steps], y: [-top, top] });
    for (const side of [-1, 1]) curve.line((t) => t, (t) => side * rate ** t, steps + 1, { color: curve.ink, dash: 3, width: 1, alpha: 0.7 });
    curve.line((t) => t, (t) => kept.path[t], kept.done + 1, { color: 0, dash: -1 });
    if (steps <= 150) for (let t = 0; t <= kept.done; t++) curve.dot(t, kept.path[t], 0, 2.5);
    curve.end();
  };

  const complex = ([[re, im], [other]]) => (im ? `${format(re)} ± ${format(im)}i` : `${format(re)} and ${format(other)}`);
  return view.draw(() => {
    const now = state(), { form, nesterov, x, beta } = now;
    const pair = roots(x, beta, form, nesterov), rate = Math.hypot(...pair[0]), code = regime(x, beta, form, nesterov);
    drawMap(now);
    drawPlane(pair);
    drawCurve(now, rate);
    const name = `${nesterov ? "Nesterov, " : ""}${form === "ema" ? "EMA" : "heavy ball"}`;
    const why = x > 0 ? `the limit is ηh = ${format(stabilityLimit(beta, form, nesterov))}` : "ηh is 0, so nothing moves";
    const verdict = code === 3 ? `not convergent (${why})` : REGIMES[code];
    const text = `${name} at ηh = ${format(x)}, β = ${format(beta)}: ${verdict}. Roots ${complex(pair)}; `
      + `in the long run each step multiplies the error by ${format(rate)}.`;
    map.describe(`The chosen point is ${verdict}.`);
    plane.describe(`Roots ${complex(pair)}; the unit circle is dashed.`);
    curve.describe(text);
    view.say(text);
  });
}
