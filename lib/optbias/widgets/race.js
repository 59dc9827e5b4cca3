// The race: any rules, any landscape, one start.

import { LANDSCAPES, RULES, landscape, losses, simulate } from "./core.js";
import { format, group, h, reducedMotion, row } from "./elements.js";
import { decay, linear, logarithmic } from "./scales.js";
import { swatch } from "./ink.js";
import { View } from "./view.js";

const TITLES = {
  GradientDescent: "gradient descent", Momentum: "EMA momentum", AdaGrad: "AdaGrad", RMSProp: "RMSProp", Adam: "Adam",
  AMSGrad: "AMSGrad", AdamW: "AdamW", SignGD: "sign descent", NormalizedSteepestDescent: "normalised steepest descent",
  Lion: "Lion", Muon: "Muon (the point as a column)",
};
const titled = (name) => TITLES[name] ?? name;
/** What a lane is called. */
const title = (rule) => (rule.form === "heavy_ball" ? "heavy ball" : titled(rule.rule).split(" (")[0]);
const MOST = 7; // as many as there are colours

/** How each hyper-parameter is set: a slider (short name, label, scale), a checkbox or a choice. */
const KNOBS = {
  lr: ["η", "learning rate η", logarithmic(1e-5, 10)],
  beta: ["β", "momentum β", decay(4)],
  momentum: ["μ", "momentum μ", decay(4)],
  rho: ["ρ", "decay ρ", decay(5)],
  betas: [["β₁", "first decay β₁", decay(4)], ["β₂", "second decay β₂", decay(5)]],
  eps: ["ε", "ε", logarithmic(1e-12, 10, true)],
  weight_decay: ["λ", "weight decay λ", logarithmic(1e-4, 10, true)],
  nesterov: "Nesterov",
  decoupled: "decay beside the step",
  bias_correction: "bias correction",
  eps_inside: "ε inside the root",
  form: [["ema", "average (EMA)"], ["heavy_ball", "sum (heavy ball)"]],
  norm: [["linf", "max norm"], ["l2", "2-norm"], ["l1", "1-norm"]],
};
/** Scales of the landscapes' parameters; each is called what Python calls it. */
const LANDSCAPE_SCALES = {
  flat: logarithmic(0.01, 10), steep: logarithmic(0.1, 100), up: logarithmic(0.1, 10), down: logarithmic(0.1, 10),
  width: logarithmic(1e-3, 10), gentle: logarithmic(0.1, 10), curvature: logarithmic(0.01, 10),
  a: linear(-1.5, 1.5, 0.1), b: logarithmic(0.1, 1000), target: logarithmic(0.1, 10), factor: logarithmic(0.1, 10),
};

const isNumber = (x) => typeof x === "number" && Number.isFinite(x);

/** A rule as it can be run: known names, numbers in their ranges, defaults for the rest; null if it is none. */
export function cleanRule(given) {
  const kind = given && Object.hasOwn(RULES, given.rule) ? RULES[given.rule] : null;
  if (!kind) return null;
  const clean = { rule: given.rule };
  for (const [name, value] of Object.entries(kind.defaults)) {
    const wanted = given[name];
    const factor = ["beta", "betas", "rho", "momentum"].includes(name);
    const number = (x, usual) => (isNumber(x) && x >= 0 && (!factor || x < 1) ? x : usual);
    if (typeof value === "number") clean[name] = number(wanted, value);
    else if (Array.isArray(value)) clean[name] = value.map((usual, i) => number(wanted?.[i], usual));
    else if (typeof value === "boolean") clean[name] = typeof wanted === "boolean" ? wanted : value;
    else clean[name] = KNOBS[name].some(([option]) => option === wanted) ? wanted : value;
  }
  if (clean.bias_correction && (clean.form === "heavy_ball" || clean.nesterov)) clean.bias_correction = false;
  return clean;
}

function cleanLandscape(name, parameters) {
  const known = Object.hasOwn(LANDSCAPES, name) ? name : "ravine";
  const full = { ...LANDSCAPES[known].parameters };
  for (const [key, usual] of Object.entries(full)) {
    const value = parameters?.[key];
    if (isNumber(usual)) full[key] = isNumber(value) && (value > 0 || key === "a") ? value : usual;
    else if (key === "H" && value?.length === 2 && value.every((r) => r?.length === 2 && r.every(isNumber))) full.H = value;
    else if (key === "minimiser" && value?.length === 2 && value.every(isNumber)) full.minimiser = value;
  }
  return landscape(known, full);
}

/**
 * The smallest and largest of the first n losses as they are drawn: above a finite minimum, on a logarithmic axis, only
 * what is positive counts.
 */
function extent(values, n, minimum) {
  const log = Number.isFinite(minimum), floor = log ? minimum : 0;
  let low = Infinity, high = -Infinity;
  for (let i = 0; i < n; i++) {
    const value = values[i] - floor;
    if (value < low && (!log || value > 0)) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

/** Curvatures and angle of a symmetric 2 x 2 matrix, and back. */
function principal([[a, b], [, d]]) {
  const spread = Math.hypot((a - d) / 2, b), middle = (a + d) / 2;
  return { low: middle - spread, high: middle + spread, angle: (Math.atan2(2 * b, a - d) / 2) * (180 / Math.PI) };
}
function matrix({ low, high, angle }) {
  const c = Math.cos((angle * Math.PI) / 180), s = Math.sin((angle * Math.PI) / 180);
  const off = (high - low) * c * s;
  return [[high * c * c + low * s * s, off], [off, high * s * s + low * c * c]];
}

export function mount(el, model) {
  const traits = ["landscape", "parameters", "start", "rules", "steps", "shown"];
  const initial = Object.fromEntries(traits.map((trait) => [trait, structuredClone(model.get(trait))]));
  const view = new View(el, model, { label: "Race of update rules", traits });
  const map = view.plot({ label: "Map of the loss with the paths", height: 1, x: "θ₁", y: "θ₂" });
  const curves = view.plot({ label: "Loss against the step", height: 1, x: "step" });

  // -- the state, as it can be used ------------------------------------------------------------------------------------

  let lossGiven = [], lossKey, f;
  const loss = () => {
    const given = [view.get("landscape"), view.get("parameters")];
    if (!f || given[0] !== lossGiven[0] || given[1] !== lossGiven[1]) {
      lossGiven = given;
      f = cleanLandscape(...given);
      lossKey = JSON.stringify([f.name, f.parameters]);
    }
    return f;
  };
  const start = () => loss().start.map((usual, i) => (isNumber(view.get("start")?.[i]) ? view.get("start")[i] : usual));
  const steps = () => (isNumber(view.get("steps")) ? Math.min(2000, Math.max(1, Math.round(view.get("steps")))) : 200);
  const shown = () => (isNumber(view.get("shown")) ? Math.min(steps(), Math.max(0, Math.round(view.get("shown")))) : steps());
  let rulesGiven, rulesClean = [];
  const rules = () => {
    const given = view.get("rules");
    if (given !== rulesGiven) {
      rulesGiven = given;
      rulesClean = [].concat(given ?? []).map(cleanRule).filter(Boolean).slice(0, MOST);
    }
    return rulesClean;
  };
  const setRule = (index, changes) => {
    view.set({ rules: rules().map((rule, i) => (i === index ? cleanRule({ ...rule, ...changes }) : rule)) });
  };

  // -- controls --------------------------------------------------------------------------------------------------------

  const ground = h("div", { class: "ob-sliders" });
  const lanes = h("div", { class: "ob-lanes" });
  const running = () => view.playing !== undefined;
  const play = () => {
    if (running()) return view.stop();
    if (reducedMotion()) return view.set({ shown: steps() });
    let at = shown() >= steps() ? 0 : shown();
    view.play((seconds) => {
      at += (seconds * steps()) / 6;
      view.set({ shown: Math.min(steps(), Math.floor(at)) });
      return at < steps();
    }, () => view.refresh());
    view.refresh();
  };
  const add = view.select({
    label: "Add a rule",
    options: [["", "choose …"], ...Object.keys(RULES).map((name) => [name, titled(name)])],
    get: () => "",
    set: (name) => {
      if (name && rules().length < MOST) view.set({ rules: [...rules(), cleanRule({ rule: name, lr: 0.05 })] });
      else view.refresh();
    },
  });
  view.panel.append(
    row(
      view.button(() => (running() ? "Pause" : "Play"), play),
      view.button("Step", () => view.set({ shown: shown() + 1 })),
      view.button("To the start", () => (view.stop(), view.set({ shown: 0 }))),
      view.button("Reset", () => (view.stop(), view.set(structuredClone(initial)))),
      view.shareButton() ?? "",
    ),
    row(
      view.slider({
        label: "steps shown", scale: { last: 200, value: (k) => Math.round((k / 200) * steps()), position: (x) => (x / steps()) * 200 },
        get: shown, set: (value) => (view.stop(), view.set({ shown: value })),
      }),
      view.slider({
        label: "steps", scale: logarithmic(10, 2000), get: steps,
        set: (value) => view.set({ steps: Math.round(value), shown: Math.round(value) }),
      }),
    ),
    group(
      "Landscape",
      view.select({
        label: "shape", options: Object.keys(LANDSCAPES).map((name) => [name, name]), get: () => loss().name,
        set: (name) => view.set({ landscape: name, parameters: {}, start: landscape(name).start }),
      }),
      ground,
    ),
    group("Rules", lanes, add),
  );

  let groundKey, groundControls = [];
  const buildGround = () => {
    if (groundKey === loss().name) return;
    groundKey = loss().name;
    groundControls.forEach((control) => control.release());
    const set = (key) => (value) => view.set({ parameters: { ...loss().parameters, [key]: value } });
    groundControls = Object.keys(loss().parameters).filter((key) => LANDSCAPE_SCALES[key]).map((key) => view.slider({
      label: key, scale: LANDSCAPE_SCALES[key], get: () => loss().parameters[key], set: set(key),
    }));
    if (loss().name === "quadratic") {
      const knobs = { low: ["one curvature", logarithmic(0.01, 100)], high: ["other curvature", logarithmic(0.01, 100)], angle: ["angle", linear(-90, 90, 1)] };
      groundControls = Object.entries(knobs).map(([key, [label, scale]]) => view.slider({
        label, scale, get: () => principal(loss().parameters.H)[key],
        set: (value) => set("H")(matrix({ ...principal(loss().parameters.H), [key]: value })),
        show: (value) => format(value) + (key === "angle" ? "°" : ""),
      }));
    }
    if (loss().dim === 3) {
      groundControls.push(view.slider({
        label: "third coordinate of the start", scale: linear(-2, 2, 0.05), get: () => start()[2],
        set: (z) => view.set({ start: [...start().slice(0, 2), z] }),
      }));
    }
    ground.replaceChildren(...groundControls);
  };

  /** One control for the hyper-parameter `name` of lane `index`. */
  const knob = (index, name) => {
    const get = () => rules()[index]?.[name], set = (value) => setRule(index, { [name]: value });
    const what = KNOBS[name];
    if (typeof what === "string") return [view.checkbox({ label: what, get, set })];
    if (name === "form" || name === "norm") return [view.select({ label: name, options: what, get, set })];
    if (name !== "betas") return [view.slider({ label: what[1], scale: what[2], get: () => get() ?? 0, set })];
    return what.map(([, label, scale], i) => view.slider({
      label, scale, get: () => get()?.[i] ?? 0, set: (value) => set(get().map((old, j) => (j === i ? value : old))),
    }));
  };
  const summary = (rule) => {
    const parts = [];
    for (const [name, value] of Object.entries(rule)) {
      if (name === "betas") parts.push(`β₁ ${format(value[0])}`, `β₂ ${format(value[1])}`);
      else if (["lr", "beta", "rho", "momentum"].includes(name)) parts.push(`${KNOBS[name][0]} ${format(value)}`);
      else if (name === "weight_decay" && value > 0) parts.push(`λ ${format(value)}`);
      else if (name === "nesterov" && value && rule.rule === "Momentum") parts.push("Nesterov");
      else if (name === "norm") parts.push(KNOBS.norm.find(([norm]) => norm === value)[1]);
    }
    return `${title(rule)}, ${parts.join(", ")}`;
  };

  let lanesKey, laneControls = [], heads = [];
  const buildLanes = () => {
    const names = rules().map((rule) => rule.rule), key = names.join();
    if (key !== lanesKey) {
      const open = new Set([...lanes.children].flatMap((lane, i) => (lane.open ? [i] : [])));
      lanesKey = key;
      laneControls.forEach((control) => control.release());
      laneControls = [];
      heads = [];
      lanes.replaceChildren(...names.map((name, index) => {
        const controls = Object.keys(RULES[name].defaults).filter((knobName) => KNOBS[knobName]).flatMap((n) => knob(index, n));
        const remove = view.button("Remove this rule", () => view.set({ rules: rules().filter((_, i) => i !== index) }));
        laneControls.push(...controls, remove);
        heads.push(h("span"));
        const lane = h("details", { class: "ob-lane" }, h("summary", {}, swatch(index), heads[index]),
          h("div", { class: "ob-sliders" }, ...controls), remove);
        lane.open = open.has(index);
        return lane;
      }));
    }
    rules().forEach((rule, index) => {
      const text = summary(rule);
      if (heads[index].textContent !== text) heads[index].textContent = text;
    });
  };
  view.rebuild(() => {
    buildGround();
    buildLanes();
  });

  map.handle({ label: "Start point", get: () => start().slice(0, 2), set: ([x, y]) => view.set({ start: [x, y, ...start().slice(2)] }) });

  // -- the picture -----------------------------------------------------------------------------------------------------

  const runs = Array.from({ length: MOST }, () => ({ key: "", run: {}, loss: undefined, low: 0, high: 0 }));
  const race = () => {
    const f = loss(), from = start(), count = steps(), ground = JSON.stringify([lossKey, from, count]);
    return rules().map((rule, i) => {
      const kept = runs[i], key = ground + JSON.stringify(rule);
      if (kept.key !== key) {
        kept.run = simulate(rule, f.gradient, from, count, { path: kept.run.path });
        kept.loss = losses(f, kept.run, kept.loss);
        Object.assign(kept, extent(kept.loss, kept.run.done + 1, f.minimum));
        kept.key = key;
      }
      return kept;
    });
  };

  /** The smallest and largest loss on the map. */
  let spanKey, span;
  const lossSpan = () => {
    const { domain: [x, y], value } = loss(), key = `${lossKey}${start()[2]}`;
    if (spanKey === key) return span;
    const values = new Float64Array(21 * 21), point = Float64Array.from(start());
    for (let i = 0; i <= 20; i++) {
      for (let j = 0; j <= 20; j++) {
        point[0] = x[0] + ((x[1] - x[0]) * i) / 20;
        point[1] = y[0] + ((y[1] - y[0]) * j) / 20;
        values[21 * i + j] = value(point);
      }
    }
    spanKey = key;
    return (span = [Math.min(...values), Math.max(...values)]);
  };

  const drawMap = (all, t) => {
    const { domain, minimisers, dim, value } = loss(), point = Float64Array.from(start());
    map.begin({ x: domain[0], y: domain[1] });
    map.contours(lossKey + (dim === 3 ? point[2] : ""), (x, y) => {
      point[0] = x;
      point[1] = y;
      return value(point);
    });
    for (const [x, y] of minimisers) map.text("×", x, y);
    all.forEach(({ run }, index) => {
      const count = Math.min(run.done, t) + 1;
      map.line((i) => run.path[i * dim], (i) => run.path[i * dim + 1], count, { color: index, width: 1.6 });
      if (count <= 61) for (let i = 1; i < count - 1; i++) map.dot(run.path[i * dim], run.path[i * dim + 1], index, 2);
      if (count > 0) map.dot(run.path[(count - 1) * dim], run.path[(count - 1) * dim + 1], index, 5);
    });
    map.end();
  };

  const drawCurves = (all, t) => {
    const floor = loss().minimum, [lowest, highest] = lossSpan();
    const log = Number.isFinite(floor);
    let low = Infinity, high = -Infinity;
    for (const kept of all) {
      low = Math.min(low, kept.low);
      high = Math.max(high, kept.high);
    }
    const size = highest - lowest;
    if (log) {
      high = Math.min(high, 1e3 * size) * 1.5;
      low = Math.max(Math.min(low, high / 100), 1e-12 * size) / 1.5;
    } else {
      high = Math.min(high, highest + size);
      low = Math.max(low, lowest - size);
      [low, high] = [low - 0.05 * size, high + 0.05 * size];
    }
    if (!(high > low)) [low, high] = [log ? 0.1 : 0, 1];
    curves.labels.y = floor === 0 ? "f" : log ? "f − minimum" : "f";
    curves.begin({ x: [0, steps()], y: [low, high], ylog: log });
    all.forEach(({ loss: values, run }, index) => {
      curves.series(log && floor !== 0 ? values.map((value) => value - floor) : values, run.done + 1, { color: index });
      const last = Math.min(t, run.done);
      if (last >= 0) curves.dot(last, log ? Math.max(values[last] - floor, low) : values[last], index, 4.5);
    });
    if (t < steps()) curves.line(() => t, (i) => (i ? high : low), 2, { color: curves.ink, dash: 3, width: 1, alpha: 0.7 });
    curves.end();
  };

  const words = (all, t) => {
    if (all.length === 0) return "No rule is chosen: add one.";
    const titles = rules().map(title);
    const parts = rules().map((rule, i) => {
      const { run, loss: values } = all[i], alone = titles.indexOf(titles[i]) === titles.lastIndexOf(titles[i]);
      const name = alone ? titles[i] : `${titles[i]}, η ${format(rule.lr)}:`;
      if (run.done < t) return `${name} left the range of numbers at step ${run.done + 1}`;
      return `${name} ${format(values[t])}`;
    });
    return `Step ${t} of ${steps()}, loss: ${parts.join("; ")}.`;
  };

  return view.draw(() => {
    const all = race(), t = shown();
    drawMap(all, t);
    drawCurves(all, t);
    const text = words(all, t);
    map.describe(`Start at ${start().map(format).join(", ")} on the landscape ${loss().name}.`);
    curves.describe(text);
    view.say(text);
  });
}
