// The slots: fill the places and a rule's name appears, or name a rule and see its path beside Adam's.

import { LANDSCAPES, RULES, landscape, losses, simulate } from "./core.js";
import { format, group, h, row, within } from "./elements.js";
import { legend } from "./ink.js";
import { logarithmic } from "./scales.js";
import { PLACES, TABLE, differing, matching, nearest, slotsOf, words } from "./slot_table.js";
import { View } from "./view.js";

const GROUNDS = Object.keys(LANDSCAPES).filter((name) => landscape(name).dim === 2);
const SHOWN = 6; // names in a sentence

/** The known words of a state; anything else is an open place. */
export const cleanSlots = (given) =>
  Object.fromEntries(PLACES.map(([key], i) => [key, words(i).includes(given?.[key]) ? given[key] : ""]));

/** The rule that is drawn: the one asked for if it fits, else the first that fits, else the nearest. */
export function drawn(slots, wanted) {
  const fit = matching(slots);
  return fit.includes(wanted) ? wanted : fit[0] ?? nearest(slots);
}

export function mount(el, model) {
  const traits = ["landscape", "lr", "rule", "slots", "start", "steps"];
  const initial = Object.fromEntries(traits.map((trait) => [trait, structuredClone(model.get(trait))]));
  const view = new View(el, model, { label: "Slots of an optimizer", traits });
  const map = view.plot({ label: "Map of the loss with the paths", height: 1, x: "θ₁", y: "θ₂" });
  const curves = view.plot({ label: "Loss against the step", height: 1, x: "step" });

  // -- the state, as it can be used ------------------------------------------------------------------------------------

  const ground = () => (GROUNDS.includes(view.get("landscape")) ? view.get("landscape") : "ravine");
  const usual = () => landscape(ground()).start;
  const start = () => usual().map((own, i) => within(view.get("start")?.[i], own, -1e6, 1e6));
  const lr = () => within(view.get("lr"), 0.1, 1e-5, 10);
  const steps = () => Math.round(within(view.get("steps"), 80, 1, 500));
  const slots = () => cleanSlots(view.get("slots"));
  const rule = () => drawn(slots(), view.get("rule"));

  // -- controls --------------------------------------------------------------------------------------------------------

  const name = h("p", { class: "ob-name" });
  const fits = h("div", { class: "ob-row" });
  view.panel.append(
    name,
    row(
      view.select({
        label: "Name a rule", options: Object.keys(TABLE).map((one) => [one, one]), get: rule,
        set: (one) => view.set({ rule: one, slots: slotsOf(one) }),
      }),
      view.button("Leave all slots open", () => view.set({ slots: cleanSlots({}) })),
      view.button("Reset", () => view.set(structuredClone(initial))),
      view.shareButton() ?? "",
    ),
    group(
      "Or fill the slots",
      h("div", { class: "ob-sliders" }, ...PLACES.map(([key, text], i) => view.select({
        label: text, options: [["", "any"], ...words(i).map((word) => [word, word])], get: () => slots()[key],
        set: (word) => {
          const filled = { ...slots(), [key]: word };
          view.set({ slots: filled, rule: drawn(filled, rule()) });
        },
      }))),
      fits,
    ),
    row(
      view.slider({ label: "learning rate η", scale: logarithmic(1e-3, 1), get: lr, set: (value) => view.set({ lr: value }) }),
      view.slider({ label: "steps", scale: logarithmic(10, 500), get: steps, set: (n) => view.set({ steps: Math.round(n) }) }),
      view.select({
        label: "landscape", options: GROUNDS.map((one) => [one, one]), get: ground,
        set: (one) => view.set({ landscape: one, start: landscape(one).start }),
      }),
    ),
  );
  map.handle({ label: "Start point", get: start, set: (point) => view.set({ start: point }) });

  let fitsKey, buttons = [];
  view.rebuild(() => {
    const fit = matching(slots()), key = fit.join();
    if (key === fitsKey) return;
    fitsKey = key;
    buttons.forEach((button) => button.release());
    buttons = fit.length > 1 && fit.length < Object.keys(TABLE).length
      ? fit.map((one) => view.button(one, () => view.set({ rule: one, slots: slots() })))
      : [];
    fits.replaceChildren(...buttons);
  });

  // -- the picture -----------------------------------------------------------------------------------------------------

  let kept = {};
  const runs = () => {
    const key = JSON.stringify([ground(), start(), lr(), steps(), rule()]);
    if (kept.key !== key) {
      const f = landscape(ground());
      // The browser runs what moves one point; the rules of a whole layer have no path here.
      const lanes = [...new Set(["Adam", rule()])].filter((one) => Object.hasOwn(RULES, one));
      const all = lanes.map((one) => {
        const run = simulate({ rule: one, lr: lr() }, f.gradient, start(), steps());
        return { name: one, run, values: losses(f, run) };
      });
      kept = { key, f, all, low: spread(f, all) };
    }
    return kept;
  };
  /** The range of the losses that are drawn: above a finite minimum, on a logarithmic axis, only what is positive. */
  const spread = (f, all) => {
    const log = Number.isFinite(f.minimum), floor = log ? f.minimum : 0;
    const heights = all.flatMap(({ run, values }) => Array.from(values.slice(0, run.done + 1), (value) => value - floor))
      .filter((height) => Number.isFinite(height) && (!log || height > 0));
    const first = Math.max(heights[0] ?? 1, log ? 1e-12 : -Infinity);
    let [low, high] = [Math.min(...heights), Math.max(...heights)];
    if (log) [low, high] = [Math.max(low, first * 1e-12) / 1.5, Math.min(high, first * 1e3) * 1.5];
    else [low, high] = [Math.max(low, first - 100), Math.min(high, first + 100)];
    return high > low ? [low, high] : [log ? 0.1 : 0, 1];
  };

  const drawMap = ({ f, all }) => {
    map.begin({ x: f.domain[0], y: f.domain[1] });
    map.contours(f.name, (x, y) => f.value([x, y]));
    for (const [x, y] of f.minimisers) map.text("×", x, y);
    all.forEach(({ run }, index) => {
      const count = run.done + 1;
      map.line((i) => run.path[2 * i], (i) => run.path[2 * i + 1], count, { color: index, width: 1.6 });
      if (count > 0) map.dot(run.path[2 * count - 2], run.path[2 * count - 1], index, 5);
    });
    map.end();
  };
  const drawCurves = ({ f, all, low: [low, high] }) => {
    const log = Number.isFinite(f.minimum), floor = log ? f.minimum : 0;
    curves.labels.y = floor ? "f − minimum" : "f";
    curves.begin({ x: [0, steps()], y: [low, high], ylog: log });
    all.forEach(({ run, values }, index) => {
      curves.series(floor ? values.map((value) => value - floor) : values, run.done + 1, { color: index });
    });
    curves.end();
  };

  /** What is found, in one short line. */
  const found = () => {
    const fit = matching(slots()), count = Object.keys(TABLE).length;
    if (fit.length === 1) return fit[0];
    if (fit.length === count) return `Any of ${count} rules`;
    return fit.length ? `One of ${fit.length} rules` : "No rule of the library";
  };
  const why = () => {
    const fit = matching(slots()), one = rule();
    const places = (keys) => keys.map((key) => PLACES.find(([own]) => own === key)[1]).join(", ");
    if (fit.length === 0) return `No rule has all of these; ${one} is the nearest, with another ${places(differing(one, slots()))}.`;
    if (fit.length > 1) {
      const more = fit.length > SHOWN ? ` and ${fit.length - SHOWN} more` : "";
      return `${fit.slice(0, SHOWN).join(", ")}${more} fill them so; ${one} is drawn.`;
    }
    const other = differing(one, slotsOf("Adam"));
    return one === "Adam" ? "This is Adam." : `${one} differs from Adam in: ${places(other)}.`;
  };
  const ends = ({ all }) => {
    const parts = all.map(({ name: one, run, values }) => (run.done < steps()
      ? `${one} left the range of numbers at step ${run.done + 1}` : `${one} ${format(values[steps()])}`));
    const missing = Object.hasOwn(RULES, rule()) ? "" : ` ${rule()} updates whole layers and has no path here.`;
    return `Loss after ${steps()} steps: ${parts.join("; ")}.${missing}`;
  };

  const key = h("div");
  view.panel.prepend(key);
  let lanesKey;
  return view.draw(() => {
    const now = runs(), lanes = now.all.map((one) => one.name);
    if (lanesKey !== lanes.join()) {
      lanesKey = lanes.join();
      key.replaceChildren(legend(lanes));
    }
    drawMap(now);
    drawCurves(now);
    if (name.textContent !== found()) name.textContent = found();
    map.describe(`Paths of ${lanes.join(" and ")} from ${start().map(format).join(", ")} on the landscape ${ground()}.`);
    curves.describe(ends(now));
    view.say(`${why()} ${ends(now)}`);
  });
}
