// Recorded runs to explore: curves of the runs that the reader chooses, and one cursor through all plots.

import { format, group, h, row } from "./elements.js";
import { swatch } from "./ink.js";
import { logTicks } from "./plot.js";
import { View } from "./view.js";

const MOST = 7; // as many groups as there are colours
/** Factors that are looked at together. */
const PAIRS = [["beta", "rho"], ["optimizer", "weight_decay"]];
const isNumber = (x) => typeof x === "number" && Number.isFinite(x);
const isPlain = (x) => x !== null && typeof x === "object" && !Array.isArray(x);
const text = (value) => (isNumber(value) ? String(value) : value === true ? "yes" : value === false ? "no" : String(value));

/** The record as it can be drawn; what does not have the shape of optbias.widgets.explorer.compact is left out. */
export function clean(record) {
  const columns = (Array.isArray(record?.columns) ? record.columns : []).filter((name) => typeof name === "string");
  const studies = (Array.isArray(record?.studies) ? record.studies : []).filter(isPlain).map((study) => {
    const factors = (Array.isArray(study.factors) ? study.factors : []).filter((name) => typeof name === "string");
    const runs = (Array.isArray(study.runs) ? study.runs : []).filter((run) => (
      isPlain(run) && Array.isArray(run.is) && run.is.length >= factors.length && Array.isArray(run.step)
      && run.step.length > 0 && run.step.every((t, i) => isNumber(t) && t >= 0 && (i === 0 || t > run.step[i - 1]))
      && columns.every((name) => Array.isArray(run[name]) && run[name].length === run.step.length)
    ));
    return { name: String(study.name), title: String(study.title ?? study.name), wall: isPlain(study.wall) ? study.wall : {}, factors, runs };
  });
  const logarithmic = columns.filter((name) => Array.isArray(record.logarithmic) && record.logarithmic.includes(name));
  const titles = isPlain(record?.titles) ? record.titles : {};
  return { columns, logarithmic, titles, studies: studies.filter((study) => study.runs.length) };
}

/** Where the run is when `by` ("step" or a column that falls) has the value `at`: a row, with a fraction; null: never. */
export function position(run, by, at) {
  const values = run[by], last = values.length - 1;
  if (by === "step") {
    if (at <= values[0]) return 0;
    if (at > values[last]) return null;
    let i = 0;
    while (i < last && values[i + 1] < at) i++;
    return i === last ? last : i + (at - values[i]) / (values[i + 1] - values[i]);
  }
  // As optbias.experiments.measures.crossing: the first row below, and the way to it in logarithms.
  let before = -1;
  for (let i = 0; i <= last; i++) {
    if (!isNumber(values[i])) continue;
    if (values[i] < at) {
      if (before < 0) return i;
      return before + ((i - before) * Math.log(values[before] / at)) / Math.log(values[before] / values[i]);
    }
    before = i;
  }
  return null;
}

/** The value of a column at a row with a fraction, between the nearest rows that have one (`log`: in the logarithm); NaN
 * where there is none. */
export function value(run, name, row, log) {
  const values = run[name];
  let a = Math.floor(row), b = Math.ceil(row);
  while (a >= 0 && !isNumber(values[a])) a--;
  while (b < values.length && !isNumber(values[b])) b++;
  if (a < 0 || b >= values.length) return NaN;
  if (a === b) return values[a];
  const share = (row - a) / (b - a);
  if (log && values[a] > 0 && values[b] > 0) return values[a] ** (1 - share) * values[b] ** share;
  return values[a] + share * (values[b] - values[a]);
}

export function mount(el, model) {
  const traits = ["record", "study", "chosen", "colour_by", "left", "right", "right_against", "cursor", "cursor_by"];
  const initial = Object.fromEntries(traits.map((trait) => [trait, model.get(trait)]));
  const view = new View(el, model, { label: "Recorded runs", traits });
  const plots = [
    view.plot({ label: "Curves of the chosen runs against the step", height: 0.85, x: "step" }),
    view.plot({ label: "Curves of the chosen runs, second plot", height: 0.85 }),
  ];

  // -- the state, as it can be used ------------------------------------------------------------------------------------

  let given, record;
  const known = () => {
    if (!record || given !== view.get("record")) {
      given = view.get("record");
      record = clean(given);
    }
    return record;
  };
  /** What a column or a factor is called. */
  const title = (name) => (Object.hasOwn(known().titles, name) ? String(known().titles[name]) : name);
  const isLog = (name) => known().logarithmic.includes(name);
  const there = (run, name, r) => value(run, name, r, isLog(name));
  const NONE = { name: "", title: "", wall: {}, factors: [], runs: [] };
  const study = () => known().studies.find(({ name }) => name === view.get("study")) ?? known().studies[0] ?? NONE;
  /** The values of each factor that varies in the study, in the order of the record. */
  const factors = () => Object.fromEntries(study().factors
    .map((name, k) => [name, [...new Set(study().runs.map((run) => text(run.is[k])))]])
    .filter(([, values]) => values.length > 1));
  const choice = (name, all) => {
    const wanted = isPlain(view.get("chosen")) && Object.hasOwn(view.get("chosen"), name) ? text(view.get("chosen")[name]) : "";
    return all.includes(wanted) ? wanted : "";
  };
  /** What may have colours, as lists of factors. */
  const colourings = (all) => {
    const names = Object.keys(all);
    return [...names.map((name) => [name]), ...PAIRS.filter((pair) => pair.every((name) => names.includes(name)))];
  };
  const colourBy = (all) => {
    const possible = colourings(all);
    return possible.find((names) => names.join(", ") === view.get("colour_by")) ?? possible.find(([name]) => name !== "seed") ?? possible[0] ?? [];
  };
  const measured = (trait, usual) => {
    const { columns } = known();
    return columns.includes(view.get(trait)) ? view.get(trait) : columns[usual] ?? columns[0] ?? "loss";
  };
  const against = () => (view.get("right_against") === "loss" && known().columns.includes("loss") ? "loss" : "step");
  const cursorBy = () => (view.get("cursor_by") === "loss" && against() === "loss" ? "loss" : "step");

  /** What is drawn: the chosen runs in groups of one colour, and the other runs of the study. */
  const chosen = () => {
    const all = factors(), { factors: names, runs } = study(), by = colourBy(all).map((name) => names.indexOf(name));
    const picked = names.map((name) => (all[name] ? choice(name, all[name]) : ""));
    const inside = new Set(runs.filter((run) => picked.every((wanted, i) => wanted === "" || text(run.is[i]) === wanted)));
    // A value keeps its colour whatever else is chosen, as long as there are colours for all.
    const label = (run) => by.map((k) => (isNumber(run.is[k]) ? `${title(names[k])} = ${run.is[k]}` : text(run.is[k]))).join(", ") || "the run";
    const labels = [...new Set(runs.map(label))], present = labels.filter((one) => [...inside].some((run) => label(run) === one));
    const enough = labels.length <= MOST;
    const groups = present.slice(0, MOST).map((one, i) => ({
      color: enough ? labels.indexOf(one) : i, label: one, runs: runs.filter((run) => inside.has(run) && label(run) === one),
    }));
    const drawn = new Set(groups.flatMap((one) => one.runs));
    return { groups, others: runs.filter((run) => !drawn.has(run)), left: present.length - groups.length };
  };

  // -- the cursor: one row of each run, given by the step, or by the loss where an axis shows it ------------------------

  const longest = () => Math.max(1, ...study().runs.map((run) => run.step.at(-1)));
  const cursor = () => {
    const by = cursorBy(), at = view.get("cursor");
    if (by === "loss") return { by, at: isNumber(at) && at > 0 ? at : 1 };
    return { by, at: isNumber(at) ? Math.min(longest(), Math.max(0, at)) : 0 };
  };
  const rows = (runs) => runs.map((run) => position(run, cursor().by, cursor().at));
  /** Where the cursor stands on the axis `axis`: the given place, or the middle of where the chosen runs are. */
  const stands = (axis) => {
    const { by, at } = cursor();
    if (axis === by) return at;
    const runs = chosen().groups.flatMap((one) => one.runs), found = [];
    rows(runs).forEach((r, i) => r !== null && found.push(there(runs[i], axis, r)));
    const finite = found.filter((x) => isNumber(x) && (axis === "step" || x > 0));
    if (finite.length === 0) return range(axis)[1];
    const sum = finite.reduce((total, x) => total + (axis === "step" ? x : Math.log(x)), 0) / finite.length;
    return axis === "step" ? sum : Math.exp(sum);
  };

  /** Smallest and largest value of a column over the chosen runs, with a margin; on logarithmic axes of what is positive. */
  const range = (name) => {
    if (name === "step") return [0, longest()];
    const log = isLog(name), runs = chosen().groups.flatMap((one) => one.runs);
    let low = Infinity, high = -Infinity;
    for (const run of runs.length ? runs : study().runs) {
      for (const x of run[name] ?? []) {
        if (!isNumber(x) || Math.abs(x) > 1e30 || (log && x < 1e-30)) continue;
        low = Math.min(low, x);
        high = Math.max(high, x);
      }
    }
    if (!(high >= low)) return [0.1, 1];
    if (log) return low === high ? [low / 2, high * 2] : [low / (high / low) ** 0.04, high * (high / low) ** 0.04];
    const margin = 0.04 * (high - low) || 0.5;
    return [low - margin, high + margin];
  };

  // -- controls --------------------------------------------------------------------------------------------------------

  const top = row(), filters = row(), legend = row(), axes = row();
  const table = h("table", { class: "ob-table" });
  // Moves as the handles in the plots do; a finger finds it more easily.
  const along = view.slider({
    label: "cursor, step", scale: { last: 200, value: (k) => Math.round((k / 200) * longest()), position: (t) => (200 * t) / longest() },
    get: () => Math.round(stands("step")), set: (step) => view.set({ cursor: step, cursor_by: "step" }),
  });
  view.panel.append(
    row(along), top, group("Choose runs", filters), legend, group("Plots", axes),
    h("div", { class: "ob-scroll", tabindex: 0, role: "region", "aria-label": "Values at the cursor" }, table),
  );

  let builtKey, built = [];
  view.rebuild(() => {
    const all = factors(), { columns, studies } = known();
    const key = JSON.stringify([study().name, all, columns, studies.map(({ name }) => name)]);
    if (key === builtKey) return;
    builtKey = key;
    built.forEach((control) => control.release());
    const choose = (name, wanted) => view.set({ chosen: { ...(isPlain(view.get("chosen")) ? view.get("chosen") : {}), [name]: wanted } });
    const what = view.select({
      label: "question", options: studies.map(({ name, title }) => [name, title]),
      get: () => study().name, set: (name) => view.set({ study: name, chosen: {}, colour_by: "" }),
    });
    const buttons = [view.button("Reset", () => view.set({ ...initial })), view.shareButton()].filter(Boolean);
    const picks = Object.entries(all).map(([name, values]) => view.select({
      label: title(name), options: [["", "all"], ...values.map((one) => [one, one])],
      get: () => choice(name, values), set: (wanted) => choose(name, wanted),
    }));
    const colour = Object.keys(all).length > 1 ? [view.select({
      label: "colours", options: colourings(all).map((names) => [names.join(", "), names.map(title).join(", ")]),
      get: () => colourBy(all).join(", "), set: (names) => view.set({ colour_by: names }),
    })] : [];
    const quantities = columns.map((name) => [name, title(name)]);
    const places = [
      view.select({ label: "left", options: quantities, get: () => measured("left", 1), set: (left) => view.set({ left }) }),
      view.select({ label: "right", options: quantities, get: () => measured("right", 0), set: (right) => view.set({ right }) }),
      view.select({
        label: "right, against", options: [["step", "the step"], ...(columns.includes("loss") ? [["loss", "the training loss"]] : [])],
        get: against, set: (name) => view.set({ right_against: name }),
      }),
    ];
    built = [what, ...buttons, ...picks, ...colour, ...places];
    top.replaceChildren(what, ...buttons);
    filters.replaceChildren(...picks, ...colour);
    axes.replaceChildren(...places);
  });

  let legendKey;
  const drawLegend = (groups) => {
    const key = JSON.stringify(groups.map(({ color, label }) => [color, label]));
    if (key === legendKey) return;
    legendKey = key;
    legend.replaceChildren(...groups.map(({ color, label }) => h("span", { class: "ob-check" }, swatch(color), label)));
  };

  /** The step nearest to x; a key that moves by less than a step moves by one. */
  const whole = (x) => {
    const before = Math.round(stands("step")), step = Math.round(x);
    return step === before && x !== before ? before + Math.sign(x - before) : step;
  };
  const axisOf = (i) => (i === 0 ? "step" : against());
  plots.forEach((plot, i) => plot.handle({
    label: i === 0 ? "Cursor of the left plot" : "Cursor of the right plot",
    get: () => [stands(axisOf(i)), plot.y?.(0.05) ?? 0], // low in the frame, where it hides least
    set: ([x]) => view.set({ cursor: axisOf(i) === "step" ? whole(x) : x, cursor_by: axisOf(i) }),
    show: ([x]) => `${axisOf(i)} ${format(axisOf(i) === "step" ? Math.round(x) : x)}`,
  }));

  // -- the picture -----------------------------------------------------------------------------------------------------

  const draw = (plot, name, axis, { groups, others }) => {
    const xlog = axis !== "step", ylog = isLog(name);
    // The loss falls while a run goes on: its axis is turned round, so that time goes to the right in both plots.
    const x = range(axis), y = range(name);
    Object.assign(plot.labels, { x: xlog ? "training loss (falling)" : "step", y: title(name) });
    const xticks = xlog ? logTicks(...x, 4).map((at) => [at, format(at)]) : undefined;
    plot.begin({ x: xlog ? [x[1], x[0]] : x, y, xlog, ylog, xticks });
    const curve = (run, style) => {
      const at = run[name].flatMap((one, i) => (isNumber(one) && isNumber(run[axis][i]) ? [i] : []));
      plot.line((i) => run[axis][at[i]], (i) => run[name][at[i]], at.length, style);
    };
    for (const run of others) curve(run, { color: plot.ink, dash: -1, width: 1, alpha: 0.14 });
    const wall = study().wall[name];
    for (const at of Array.isArray(wall) ? wall.filter(isNumber) : []) {
      plot.line((i) => x[i], () => at, 2, { color: 6, dash: -1, width: 1.2, alpha: 0.8 });
    }
    for (const { color, runs } of groups) for (const run of runs) curve(run, { color, width: 1.6 });
    const here = stands(axis);
    plot.line(() => here, (i) => y[i], 2, { color: plot.ink, dash: 3, width: 1 });
    for (const { color, runs } of groups) {
      rows(runs).forEach((r, i) => r !== null && plot.dot(there(runs[i], axis, r), there(runs[i], name, r), color, 4));
    }
    plot.end();
  };

  const shownColumns = () => [...new Set(["step", "loss", measured("left", 1), measured("right", 0)])]
    .filter((name) => name === "step" || known().columns.includes(name));
  /** A row of the table for each group: its name, how many of its runs get there, mean and range of each column. */
  const valuesAtCursor = (groups, names) => groups.map(({ label, runs }) => {
    const at = rows(runs);
    const cells = names.map((name) => {
      const found = at.flatMap((r, i) => (r === null ? [] : [there(runs[i], name, r)])).filter(isNumber);
      if (!found.length) return "–";
      const show = (x) => (name === "step" ? String(Math.round(x)) : format(x));
      const [mean, low, high] = [found.reduce((a, b) => a + b) / found.length, Math.min(...found), Math.max(...found)].map(show);
      return low === high ? mean : `${mean} (${low} to ${high})`;
    });
    return [label, `${at.filter((r) => r !== null).length} of ${runs.length}`, ...cells];
  });
  let tableKey;
  const drawTable = (names, lines) => {
    const key = JSON.stringify([names, lines]);
    if (key === tableKey) return;
    tableKey = key;
    const head = ["at the cursor", "runs there", ...names.map((name) => title(name))];
    table.replaceChildren(
      h("thead", {}, h("tr", {}, ...head.map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", {}, ...lines.map(([first, ...others]) => h("tr", {}, h("th", { scope: "row" }, first), ...others.map((one) => h("td", {}, one))))),
    );
  };

  return view.draw(() => {
    const what = chosen(), { by, at } = cursor();
    drawLegend(what.groups);
    draw(plots[0], measured("left", 1), "step", what);
    draw(plots[1], measured("right", 0), against(), what);
    const names = shownColumns(), lines = valuesAtCursor(what.groups, names);
    drawTable(names, lines);
    const count = what.groups.reduce((n, one) => n + one.runs.length, 0);
    if (known().studies.length === 0) return view.say("There are no recorded runs to show here.");
    const where = by === "loss" ? `where the training loss first falls below ${format(at)}` : `at step ${format(at)}`;
    const left = measured("left", 1), k = 2 + names.indexOf(left);
    const values = count === 0 ? "no run has all of these values; choose “all” somewhere"
      : lines.map((line) => `${line[0]}: ${line[k]}`).join("; ");
    const more = what.left > 0 ? ` ${what.left} more groups are drawn in grey.` : "";
    plots[0].describe(`${title(left)} of ${count} runs; ${where}, ${values}.`);
    plots[1].describe(`${title(measured("right", 0))} against the ${against()} of the same runs.`);
    view.say(`${study().title}. ${title(left)} ${where}: ${values}.${more}`);
  });
}
