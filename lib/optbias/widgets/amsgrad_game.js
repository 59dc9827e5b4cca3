// The AMSGrad game: the slope is C once in N rounds, else -1. Adam beside AMSGrad, on [-1, 1].

import { simulate } from "./core.js";
import { format, group, h, row, within } from "./elements.js";
import { decay, linear, logarithmic, nines } from "./scales.js";
import { legend } from "./ink.js";
import { View } from "./view.js";

// -- as in optbias.theory.online, for beta1 = 0 ------------------------------------------------------------------------------

/** The moves of one late cycle, spike first, away from the walls and in units of the rate; `largest`: AMSGrad's. */
export function cycleMoves(C, beta2, cycle, largest = false) {
  const v = new Float64Array(cycle);
  let power = 1, total = 0;
  for (let j = 0; j < cycle; j++, power *= beta2) total += v[j] = power;
  for (let j = 0; j < cycle; j++) v[j] = 1 + (C * C - 1) * (v[j] / total);
  const top = v.reduce((a, b) => Math.max(a, b));
  return v.map((own, j) => (j ? 1 : -C) / Math.sqrt(largest ? top : own));
}

/** The net movement per cycle, in units of the rate: positive is towards +1. */
export const driftPerCycle = (C, beta2, cycle, largest) =>
  cycleMoves(C, beta2, cycle, largest).reduce((sum, move) => sum + move, 0);

/** The beta2 at which Adam's drift changes its sign; null where it does not (C <= N - 1, or N < 3). */
export function breakEven(C, cycle) {
  if (!(C > cycle - 1) || cycle < 3) return null;
  let low = 0, high = 1;
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2;
    if (driftPerCycle(C, middle, cycle) > 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Play `rounds` rounds: the points and the average regret; entry t belongs to round t = 1, 2, ... (entry 0 is NaN). */
export function playGame(rule, { C, cycle, beta2, lr, decaying, start, rounds }, kept = {}) {
  const { path } = simulate(
    { rule, lr: decaying ? (t) => lr / Math.sqrt(t) : lr, betas: [0, beta2], eps: 0, bias_correction: false },
    (x, out, t) => (out[0] = (t - 1) % cycle ? -1 : C),
    [start], rounds, { path: kept.path, project: (x) => (x[0] = Math.min(1, Math.max(-1, x[0]))) },
  );
  const size = rounds + 1;
  const points = kept.points?.length === size ? kept.points : new Float64Array(size).fill(NaN);
  const regret = kept.regret?.length === size ? kept.regret : new Float64Array(size).fill(NaN);
  let paid = 0, sum = 0;
  for (let t = 1; t <= rounds; t++) {
    const slope = (t - 1) % cycle ? -1 : C;
    points[t] = path[t - 1];
    paid += slope * points[t];
    sum += slope;
    regret[t] = (paid + Math.abs(sum)) / t; // the best fixed point has paid -|sum|
  }
  return { path, points, regret };
}

// -- the widget -------------------------------------------------------------------------------------------------------

const LECTURE = { C: 3, cycle: 3, beta2: 0.1, lr: 0.85, decaying: true, start: 0, rounds: 3000 };
export const PRESETS = {
  "the lecture's game": LECTURE,
  "Theorem 1: C = 10, β₂ = 1/101": { ...LECTURE, C: 10, beta2: 1 / 101, lr: 0.895, start: 1 },
  "the default β₂ = 0.999": { ...LECTURE, beta2: 0.999 },
  "a rare spike: C = N = 10, β₂ = 0.9": { ...LECTURE, C: 10, cycle: 10, beta2: 0.9 },
  "Reddi et al.: C = N = 101, β₂ = 0.99": {
    ...LECTURE, C: 101, cycle: 101, beta2: 0.99, lr: 0.03, decaying: false, rounds: 10000,
  },
};

/** Spikes from 1 to 1000: steps of 0.5 at first, then wider ones. */
const SPIKES = [1];
while (SPIKES.at(-1) < 1000) {
  const c = SPIKES.at(-1);
  SPIKES.push(c + (c < 10 ? 0.5 : c < 40 ? 1 : c < 100 ? 2 : c < 200 ? 5 : 25));
}
const spikes = {
  last: SPIKES.length - 1,
  value: (k) => SPIKES[k],
  position: (C) => SPIKES.findLastIndex((c) => c <= C),
};

const signed = (x) => (x > 0 ? "+" : "") + format(x).replace("-", "−");
// The drift's axis: even near 0, logarithmic far from it, so that its sign can be read beside a drift of 100.
const squash = (x) => Math.asinh(10 * x);
const DRIFTS = [-10, -1, -0.1, 0, 0.1, 1, 10, 100].map((x) => [squash(x), signed(x)]);
const NINES = 4;

export function mount(el, model) {
  const traits = ["C", "cycle", "beta2", "lr", "decaying", "start", "rounds"];
  const initial = Object.fromEntries(traits.map((trait) => [trait, model.get(trait)]));
  const view = new View(el, model, { label: "The AMSGrad game", traits });
  const drift = view.plot({ label: "Drift per cycle against beta2", height: 0.72, x: "β₂", y: "drift / η" });
  const moves = view.plot({ label: "One cycle", height: 0.72, x: "rounds since the spike", y: "moved / η" });
  const played = view.plot({ label: "The points played", height: 0.72, x: "round t", y: "x" });
  const regrets = view.plot({ label: "Average regret", height: 0.72, x: "round t", y: "regret / t" });

  const state = () => ({
    C: within(view.get("C"), 3, 0.01, 1e4),
    cycle: Math.round(within(view.get("cycle"), 3, 2, 128)),
    beta2: within(view.get("beta2"), 0.1, 0, 0.9999),
    lr: within(view.get("lr"), 0.85, 0, 10),
    decaying: view.get("decaying") !== false,
    start: within(view.get("start"), 0, -1, 1),
    rounds: Math.round(within(view.get("rounds"), 3000, 10, 10000)),
  });
  const control = (name, turn = (x) => x) => ({ get: () => state()[name], set: (x) => view.set({ [name]: turn(x) }) });
  const names = Object.keys(PRESETS);
  view.panel.append(
    legend(["AMSGrad", "Adam"]),
    row(
      view.select({
        label: "Try", options: [["", "choose …"], ...names.map((name) => [name, name])], get: () => "",
        set: (name) => (name ? view.set(PRESETS[name]) : view.refresh()),
      }),
      view.button("Reset", () => view.set(initial)),
      view.shareButton() ?? "",
    ),
    group("The game", h("div", { class: "ob-sliders" },
      view.slider({ label: "spike C", scale: spikes, ...control("C") }),
      view.slider({ label: "cycle N", scale: linear(3, 128, 1), ...control("cycle") }),
      view.slider({ label: "rounds", scale: logarithmic(100, 10000), ...control("rounds", Math.round) }),
      view.slider({ label: "start x₁", scale: linear(-1, 1, 0.1), ...control("start") }))),
    group("The players", h("div", { class: "ob-sliders" },
      view.slider({ label: "β₂", scale: decay(NINES), show: nines.show, ...control("beta2") }),
      view.slider({ label: "rate η", scale: logarithmic(0.001, 10), ...control("lr") }),
      view.checkbox({ label: "rate falls like η/√t", ...control("decaying") }))),
  );
  drift.handle({
    label: "β₂ on the curve of the drift",
    get: () => [nines.at(state().beta2), squash(driftPerCycle(state().C, state().beta2, state().cycle))],
    set: ([x]) => Math.abs(x - nines.at(state().beta2)) > 5e-4 && view.set({ beta2: Math.min(0.9999, nines.value(x)) }),
    show: () => `${nines.show(state().beta2)}, drift ${signed(driftPerCycle(state().C, state().beta2, state().cycle))}`,
  });

  const drawDrift = ({ C, cycle, beta2 }, turn) => {
    const n = 121, at = (i) => 1 - 10 ** ((-NINES * i) / (n - 1)), curves = [true, false].map((largest) =>
      Array.from({ length: n }, (_, i) => squash(driftPerCycle(C, at(i), cycle, largest))));
    const all = curves.flat(), low = Math.min(-1.5, ...all) - 1, high = Math.max(1.5, ...all) + 1;
    drift.begin({ x: [0, NINES + 0.2], y: [low, high], xticks: nines.ticks, yticks: DRIFTS.filter(([y]) => y > low && y < high) });
    drift.line((i) => i * 9, () => 0, 2, { color: drift.ink, dash: -1, width: 1 });
    if (turn !== null) drift.line(() => nines.at(turn), (i) => (i ? high : low), 2, { color: drift.ink, dash: 3, width: 1.2 });
    curves.forEach((curve, k) => drift.line((i) => (NINES * i) / (n - 1), (i) => curve[i], n, { color: k }));
    drift.dot(nines.at(beta2), squash(driftPerCycle(C, beta2, cycle, true)), 0);
    drift.dot(nines.at(beta2), squash(driftPerCycle(C, beta2, cycle)), 1);
    drift.text("↑ towards +1", NINES, high - 0.07 * (high - low), { align: "right" });
    drift.text("↓ towards −1", NINES, low + 0.07 * (high - low), { align: "right" });
    drift.end();
  };

  const drawMoves = ({ C, beta2, cycle }) => {
    const stand = [true, false].map((largest) => {
      const sums = [0];
      for (const move of cycleMoves(C, beta2, cycle, largest)) sums.push(sums.at(-1) + move);
      return sums;
    });
    const all = stand.flat(), low = Math.min(...all), high = Math.max(...all), pad = 0.08 * (high - low);
    moves.begin({ x: [0, 1.04 * cycle], y: [low - pad, high + pad] });
    moves.line((i) => i * 999, () => 0, 2, { color: moves.ink, dash: -1, width: 1 });
    stand.forEach((sums, k) => {
      moves.line((j) => j, (j) => sums[j], cycle + 1, { color: k });
      sums.forEach((y, j) => (j === cycle || cycle <= 20) && moves.dot(j, y, k, j === cycle ? 4.5 : 3));
    });
    moves.end();
  };

  const drawPlayed = ({ rounds }, runs, best) => {
    played.begin({ x: [1, 1.2 * rounds], y: [-1.12, 1.12], xlog: true });
    if (best) played.line((i) => (i ? 1e5 : 1), () => best, 2, { color: played.ink, dash: 3, width: 1.2 });
    runs.forEach(({ points }, k) => played.series(points, rounds + 1, { color: k, width: 1.4 }));
    runs.forEach(({ points }, k) => played.dot(rounds, points[rounds], k));
    played.end();
  };

  const drawRegret = ({ C, cycle, rounds }, runs) => {
    const worst = (2 * Math.abs(C - cycle + 1)) / cycle;
    let low = Infinity, high = worst;
    for (const { regret } of runs) {
      for (let t = 1; t <= rounds; t++) {
        high = Math.max(high, regret[t]);
        if (regret[t] > 0) low = Math.min(low, regret[t]);
      }
    }
    high = 1.6 * (high || 1);
    regrets.begin({ x: [1, 1.2 * rounds], y: [Math.min(high / 30, Math.max(0.7 * low, high * 1e-5)), high], xlog: true, ylog: true });
    regrets.line((i) => (i ? 1e5 : 1), () => worst, 2, { color: regrets.ink, dash: 3, width: 1.2 });
    runs.forEach(({ regret }, k) => regrets.series(regret, rounds + 1, { color: k, width: 1.4 }));
    runs.forEach(({ regret }, k) => regrets.dot(rounds, regret[rounds], k));
    regrets.end();
  };

  let key = "", runs = [{}, {}];
  return view.draw(() => {
    const now = state(), { C, cycle, beta2, rounds } = now, best = -Math.sign(C - cycle + 1);
    if (key !== JSON.stringify(now)) {
      runs = ["AMSGrad", "Adam"].map((rule, k) => playGame(rule, now, runs[k]));
      key = JSON.stringify(now);
    }
    const turn = breakEven(C, cycle), own = driftPerCycle(C, beta2, cycle);
    drawDrift(now, turn);
    drawMoves(now);
    drawPlayed(now, runs, best);
    drawRegret(now, runs);
    const [amsgrad, adam] = runs, verdict = !best || !own ? "" : Math.sign(own) === best ? ", the right way" : ", the wrong way";
    const sums = best < 0
      ? `Over a cycle the slopes add up to ${signed(C - cycle + 1)}: the best point is −1.`
      : best ? `Over a cycle the slopes add up to ${signed(C - cycle + 1)}: the best point is +1, and Adam finds it.`
        : "Over a cycle the slopes add up to 0: all points are equally good.";
    const drifts = `Adam's drift per cycle is ${signed(own)} η${verdict}.`
      + (turn === null ? "" : ` It turns at the break-even β₂ = ${nines.show(turn)}; β₂ is ${nines.show(beta2)}.`);
    const late = Math.min(cycle, rounds), mean = ({ points }) => points.slice(-late).reduce((a, b) => a + b) / late;
    const ends = `Over the last of ${rounds} rounds Adam is at ${signed(mean(adam))} on average, AMSGrad at ${signed(mean(amsgrad))}`;
    const pays = `the average regrets are ${signed(adam.regret[rounds])} and ${signed(amsgrad.regret[rounds])}`;
    drift.describe(drifts);
    moves.describe(`A spike moves Adam down, ${cycle - 1} rounds move it up: in sum ${signed(own)}. `
      + `AMSGrad: ${signed(driftPerCycle(C, beta2, cycle, true))}.`);
    played.describe(`${ends}. The dotted line is the best fixed point.`);
    regrets.describe(`In the end ${pays}. The dotted line is what the worst point costs.`);
    view.say(`${sums} ${drifts} ${ends}; ${pays}.`);
  });
}
