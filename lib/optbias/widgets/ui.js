// What every widget is made of: a view bound to a model, controls, and canvas plots.
//
// The model is anywidget's in a live notebook and page.js's in the website; both have get, set, save_changes, on, off.
// A widget changes the model only through view.set and draws only in the function that it gives to view.draw, which
// runs once per frame when something changed: a trait, the theme, the size.

/** Line colours, as in optbias.figures: each has a contrast of at least 3 : 1 on white and on the dark theme. */
export const COLORS = ["#2f7fd6", "#c8690a", "#1c8c62", "#c2559a", "#9a7b00", "#7f6bd8", "#d4483b"];
/** The dash that goes with each colour. */
export const DASHES = [[], [7, 4], [8, 3, 2, 3], [2, 3], [8, 2, 2, 2, 2, 2], [1, 2], [14, 4]];
/** The marker that goes with each colour. */
export const MARKERS = ["circle", "square", "triangle", "diamond", "cross", "plus", "star"];

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

/** A number with three significant digits, as short as it can be. */
export function format(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "not a number" : x > 0 ? "infinity" : "minus infinity";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return x.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(+x.toPrecision(3));
}

/** An element: h("label", {class: "a", onclick: f}, child, "text"). */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

// -- scales of sliders: from a position 0 ... last to a value, and back -------------------------------------------------

const three = (x) => +x.toPrecision(3);

/** Evenly spaced values. */
export const linear = (min, max, step) => ({
  last: Math.round((max - min) / step),
  value: (k) => +(min + k * step).toPrecision(12),
  position: (x) => (x - min) / step,
});

/** From min to max, 20 values a decade; with `zero`, 0 stands below min. */
export const logarithmic = (min, max, zero = false) => {
  const count = Math.round(20 * Math.log10(max / min)), shift = zero ? 1 : 0;
  return {
    last: count + shift,
    value: (k) => (zero && k <= 0 ? 0 : three(min * 10 ** ((k - shift) / 20))),
    position: (x) => (x <= 0 ? 0 : 20 * Math.log10(x / min) + shift),
  };
};

/** A decay factor: 0 ... 1 - 10^-nines, even in the logarithm of 1 - beta, 20 values a nine. */
export const decay = (nines = 4) => ({
  last: 20 * nines,
  value: (k) => +(1 - three(10 ** (-k / 20))).toPrecision(12),
  position: (x) => -20 * Math.log10(1 - x),
});

/** An axis on which decay factors lie as on their slider: where one lies, the one there, its digits, and ticks. */
export const nines = {
  at: (beta) => -Math.log10(1 - beta),
  value: (x) => +(1 - three(10 ** -x)).toPrecision(12),
  show: (beta) => (beta < 1 ? String(nines.value(nines.at(beta))) : format(beta)), // three digits of 1 - beta
  ticks: ["0", "0.5", "0.9", "0.99", "0.999", "0.9999"].map((text) => [-Math.log10(1 - text), text]),
};

/** `x` in [low, high]; `usual` if it is no number at all. State may come from an address, which anyone can write. */
export const within = (x, usual, low, high) =>
  (typeof x === "number" && !Number.isNaN(x) ? clamp(x, low, high) : usual);

// -- the view ---------------------------------------------------------------------------------------------------------

const SAVE_EVERY = 100; // ms between two messages to the kernel while a slider is dragged
const SPEAK_AFTER = 500; // ms of rest before a screen reader is told the new state

export class View {
  /** `label` names the widget to a screen reader; `traits` are the names of the model's state that it shows. */
  constructor(el, model, { label, traits }) {
    this.model = model;
    this.plots = [];
    this.controls = new Set();
    this.builders = [];
    this.undo = [];
    this.area = h("div", { class: "ob-plots" });
    this.panel = h("div", { class: "ob-controls" });
    this.line = h("p", { class: "ob-status", "aria-hidden": "true" });
    this.live = h("p", { class: "ob-spoken", role: "status" });
    this.root = h("div", { class: "ob", role: "group", "aria-label": label }, this.area, this.panel, this.line, this.live);
    // JupyterLab would take arrows and letters for its own commands.
    this.root.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && event.key !== "Escape") event.stopPropagation();
    });
    el.append(this.root);
    const changed = () => this.refresh();
    for (const trait of traits) {
      model.on(`change:${trait}`, changed);
      this.undo.push(() => model.off(`change:${trait}`, changed));
    }
    this.#watch();
  }

  #watch() {
    // Reading sizes and styles makes the browser lay out the page: done only when they may have changed.
    const sized = new ResizeObserver(() => this.remeasure());
    const seen = new IntersectionObserver((entries) => {
      this.visible = entries.at(-1).isIntersecting;
      if (this.visible) this.redraw();
    }, { rootMargin: "200px" });
    const themed = new MutationObserver(() => this.remeasure());
    sized.observe(this.area);
    seen.observe(this.root);
    for (const host of [document.documentElement, document.body]) {
      themed.observe(host, { attributeFilter: ["data-theme", "theme", "class", "data-jp-theme-light", "style"] });
    }
    const printing = matchMedia("print"), scheme = matchMedia("(prefers-color-scheme: dark)");
    const print = () => this.#paint(), recolor = () => this.remeasure();
    printing.addEventListener("change", print);
    scheme.addEventListener("change", recolor);
    this.undo.push(() => {
      [sized, seen, themed].forEach((observer) => observer.disconnect());
      printing.removeEventListener("change", print);
      scheme.removeEventListener("change", recolor);
      cancelAnimationFrame(this.frame);
      clearTimeout(this.speaking);
      this.stop();
      this.save();
      this.root.remove();
    });
  }

  get(trait) {
    return this.model.get(trait);
  }

  /** Change traits of the model: view.set({beta: 0.9}). Python hears of it at most every 100 ms. */
  set(changes) {
    for (const [trait, value] of Object.entries(changes)) this.model.set(trait, value);
    this.saving ??= setTimeout(() => this.save(), SAVE_EVERY);
    this.refresh();
  }

  save() {
    if (this.saving === undefined) return;
    clearTimeout(this.saving);
    this.saving = undefined;
    this.model.save_changes();
  }

  /** The function that draws; call once, at the end of mount. */
  draw(paint) {
    this.paint = paint;
    this.refresh();
    return () => this.destroy();
  }

  /**
   * A function that puts controls up or takes them down (element.release()) when the state asks for others; it runs
   * before the controls are set.
   */
  rebuild(build) {
    this.builders.push(build);
    build();
  }

  /** Show the model's state in the controls and, in the next frame, in the plots. */
  refresh() {
    for (const build of this.builders) build();
    for (const control of this.controls) control();
    this.redraw();
  }

  remeasure() {
    this.measured = false;
    this.redraw();
  }

  redraw() {
    if (this.frame === undefined && this.paint && this.visible) {
      this.frame = requestAnimationFrame(() => this.#paint());
    }
  }

  #paint() {
    this.frame = undefined;
    try {
      if (!this.measured) for (const plot of this.plots) plot.fit();
      this.measured = true;
      this.paint?.();
      this.root.removeAttribute("data-error");
    } catch (error) {
      // A reader is not helped by a figure that freezes: say it and stay ready for the next setting.
      this.root.setAttribute("data-error", String(error?.stack ?? error));
      this.say("This setting cannot be drawn. Choose another one.");
    }
  }

  /** Say the state in words: at once below the figure, and to a screen reader when it has come to rest. */
  say(text) {
    if (this.line.textContent === text) return;
    this.line.textContent = text;
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => (this.live.textContent = text), SPEAK_AFTER);
  }

  /** Call step(seconds since the last frame) each frame until it returns false. */
  play(step, ended) {
    this.stop();
    let last = performance.now();
    const next = (now) => {
      const going = step(Math.min(0.1, (now - last) / 1000));
      last = now;
      if (going) this.playing = requestAnimationFrame(next);
      else this.stop();
    };
    this.ended = ended;
    this.playing = requestAnimationFrame(next);
  }

  stop() {
    if (this.playing === undefined) return;
    cancelAnimationFrame(this.playing);
    this.playing = undefined;
    this.ended?.();
  }

  destroy() {
    this.undo.splice(0).forEach((undo) => undo());
  }

  // -- controls: each returns its element; `get` and `set` read and write what it shows --------------------------------

  /** {get, set} for one trait, to spread into a control: {...view.trait("beta"), label: "β", scale: decay()}. */
  trait(name) {
    return { get: () => this.get(name), set: (value) => this.set({ [name]: value }) };
  }

  #control(update) {
    this.controls.add(update);
    update();
    return () => this.controls.delete(update);
  }

  slider({ label, scale, get, set, show = format }) {
    const input = h("input", { type: "range", min: 0, max: scale.last, step: 1 });
    const output = h("output");
    const element = h("label", { class: "ob-slider" }, h("span", {}, label), input, output);
    const position = (value) => clamp(Math.round(scale.position(value)) || 0, 0, scale.last);
    input.addEventListener("input", () => {
      // Where several positions have one value, a key's press goes on to the next value, or it would be taken back.
      const from = get(), way = Math.sign(+input.value - position(from));
      let k = +input.value;
      while (way && scale.value(k) === from && k > 0 && k < scale.last) k += way;
      set(scale.value(k));
    });
    element.release = this.#control(() => {
      const value = get(), text = show(value);
      // A value that Python set between two positions is shown as it is; only the thumb is rounded.
      if (+input.value !== position(value)) input.value = position(value);
      if (output.textContent !== text) {
        output.textContent = text;
        input.setAttribute("aria-valuetext", text);
      }
    });
    return element;
  }

  /** `options`: [value, text] pairs. */
  select({ label, options, get, set }) {
    const input = h("select", {}, ...options.map(([value, text]) => h("option", { value }, text)));
    input.addEventListener("change", () => set(input.value));
    const element = h("label", { class: "ob-select" }, h("span", {}, label), input);
    element.release = this.#control(() => (input.value = get()));
    return element;
  }

  checkbox({ label, get, set }) {
    const input = h("input", { type: "checkbox" });
    input.addEventListener("change", () => set(input.checked));
    const element = h("label", { class: "ob-check" }, input, h("span", {}, label));
    element.release = this.#control(() => (input.checked = get()));
    return element;
  }

  /** `label` is a text, or a function that returns it. */
  button(label, onclick, attributes = {}) {
    const element = h("button", { type: "button", class: "ob-button", onclick, ...attributes });
    element.release = this.#control(() => {
      const text = typeof label === "function" ? label() : label;
      if (element.textContent !== text) element.textContent = text;
    });
    return element;
  }

  /** A button that puts the state into the page's address; nothing where there is no such address (a notebook). */
  shareButton() {
    if (!this.model.share) return null;
    return this.button("Link to this state", async () => {
      this.say((await this.model.share()) ? "The link is copied; it is also in the address bar." : "The link is in the address bar.");
    });
  }

  plot(options) {
    const plot = new Plot(this, options);
    this.plots.push(plot);
    this.area.append(plot.element);
    return plot;
  }
}

export const group = (legend, ...children) => h("fieldset", { class: "ob-group" }, h("legend", {}, legend), ...children);
export const row = (...children) => h("div", { class: "ob-row" }, ...children);
export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A legend: beside the line and the marker number i stands names[i], of an array or of {i: name, ...}. */
export const legend = (names) =>
  row(...Object.entries(names).map(([i, name]) => h("span", { class: "ob-check" }, swatch(+i), name)));

/** A piece of line with its marker, for legends. */
export function swatch(index) {
  const canvas = h("canvas", { class: "ob-swatch", width: 68, height: 28, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  stroke(context, { color: index });
  context.beginPath();
  context.moveTo(0, 7);
  context.lineTo(34, 7);
  context.stroke();
  marker(context, 17, 7, MARKERS[index], COLORS[index]);
  return canvas;
}

function stroke(context, { color = 0, dash = color, width = 1.8 }) {
  context.strokeStyle = COLORS[color] ?? color;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.setLineDash(DASHES[dash] ?? []);
  context.lineDashOffset = 0;
}

const PIECE = 100; // points

/**
 * A line drawn point by point, and stroked in pieces: the outline of a path that crosses itself a thousand times takes
 * three times as long to fill in one go. The next piece begins with the last segment of the one before, so that no corner
 * lacks its join, and dashes run on.
 */
class Pen {
  begin(context, style) {
    Object.assign(this, { context, count: 0, length: 0, x: 0, y: 0 });
    stroke(context, style);
    context.beginPath();
  }

  move(x, y) {
    this.context.moveTo(x, y);
    this.x = x;
    this.y = y;
  }

  to(x, y) {
    const { context: c } = this;
    c.lineTo(x, y);
    if (++this.count === PIECE) {
      c.stroke();
      c.beginPath();
      c.lineDashOffset = this.length;
      c.moveTo(this.x, this.y);
      c.lineTo(x, y);
      this.count = 0;
    }
    this.length += Math.sqrt((x - this.x) ** 2 + (y - this.y) ** 2);
    this.x = x;
    this.y = y;
  }

  end() {
    this.context.stroke();
  }
}

/** Red, green and blue of "#2f7fd6" or "rgb(47, 127, 214)". */
export function rgb(color) {
  if (color[0] === "#") return [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return color.match(/\d+(\.\d+)?/g).slice(0, 3).map(Number);
}

const SPOKES = { cross: [[1, 1], [1, -1]], plus: [[1, 0], [0, 1]], star: [[1, 0], [0.5, 0.87], [0.5, -0.87]] };
const CORNERS = {
  square: [[-1, -1], [1, -1], [1, 1], [-1, 1]],
  triangle: [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]],
  diamond: [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]],
};

function marker(context, x, y, shape, color, size = 4) {
  const spokes = SPOKES[shape], corners = CORNERS[shape];
  context.setLineDash([]);
  context.lineWidth = 2;
  context.strokeStyle = context.fillStyle = color;
  context.beginPath();
  if (spokes) {
    for (const [dx, dy] of spokes) {
      context.moveTo(x - size * dx, y - size * dy);
      context.lineTo(x + size * dx, y + size * dy);
    }
    context.stroke();
    return;
  }
  if (corners) corners.forEach(([dx, dy]) => context.lineTo(x + size * dx, y + size * dy));
  else context.arc(x, y, size, 0, 2 * Math.PI);
  context.closePath();
  context.fill();
}

// -- plots ------------------------------------------------------------------------------------------------------------

const LOWEST = 150; // px; also in the style sheet
const MARGIN = { left: 54, right: 10, top: 10, bottom: 34 };

/** About `count` round numbers in [low, high]. */
export function ticks(low, high, count = 5) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9 * step; k++) found.push(+(k * step).toPrecision(12));
  return found;
}

/** Powers of ten in [low, high], at most `count` of them. */
export function logTicks(low, high, count = 5) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const step = Math.max(1, Math.ceil((last - first) / count));
  return Array.from({ length: Math.max(0, Math.floor((last - first) / step) + 1) }, (_, k) => 10 ** (first + k * step));
}

/** One canvas with axes. Coordinates are those of the data; what leaves the frame is clipped. */
export class Plot {
  /** `height` is relative to the width; `x` and `y` label the axes; a `wide` plot takes a row of its own. */
  constructor(view, { label, height = 1, x = "", y = "", wide = false }) {
    Object.assign(this, { view, height, labels: { x, y }, cache: {}, pen: new Pen() });
    // The place is taken before the first drawing, so that the page does not move when it comes.
    this.canvas = h("canvas", { role: "img", "aria-label": label, style: `aspect-ratio: ${1 / height}` });
    this.label = label;
    this.element = h("div", { class: wide ? "ob-plot ob-wide" : "ob-plot" }, this.canvas);
    this.size = { width: 0, height: 0 };
    this.range = { x: [0, 1], y: [0, 1] };
  }

  /** Say to a screen reader what is to be seen. */
  describe(text) {
    const label = `${this.label}. ${text}`;
    if (this.canvas.getAttribute("aria-label") !== label) this.canvas.setAttribute("aria-label", label);
  }

  /** Give the canvas as many pixels as the screen shows. */
  fit() {
    const width = Math.max(120, this.element.clientWidth), height = Math.round(Math.max(LOWEST, this.height * width));
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    if (this.size.width !== width || this.ratio !== ratio) {
      this.size = { width, height };
      this.ratio = ratio;
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = `${height}px`;
      this.cache = {};
    }
    this.context ??= this.canvas.getContext("2d"); // not before it is needed: it costs more than all else here
    const style = getComputedStyle(this.element);
    this.ink = style.color;
    this.font = `12px ${style.fontFamily}`;
  }

  /**
   * Clear, set the ranges, draw the axes; all that follows is clipped to the frame. `xticks` and `yticks`,
   * [position, text] pairs, stand in place of round numbers.
   */
  begin({ x, y, xlog = false, ylog = false, xticks, yticks }) {
    const { context: c, ratio, size } = this;
    Object.assign(this, { range: { x, y }, xlog, ylog, xticks, yticks });
    this.frame = {
      left: MARGIN.left, top: MARGIN.top,
      width: size.width - MARGIN.left - MARGIN.right, height: size.height - MARGIN.top - MARGIN.bottom,
    };
    const { frame } = this;
    const scale = (range, log, start, length) => {
      const [a, b] = log ? range.map(Math.log10) : range;
      return log ? (v) => start + (length * (Math.log10(v) - a)) / (b - a) : (v) => start + (length * (v - a)) / (b - a);
    };
    this.px = scale(x, xlog, frame.left, frame.width);
    this.py = scale(y, ylog, frame.top + frame.height, -frame.height);
    const inverse = ([low, high], log) => (part) => {
      const value = log ? low * (high / low) ** part : low + (high - low) * part;
      return log ? three(value) : +value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(high - low))));
    };
    this.x = inverse(x, xlog);
    this.y = inverse(y, ylog);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, size.width, size.height);
    this.#axes();
    c.save();
    c.beginPath();
    c.rect(frame.left, frame.top, frame.width, frame.height);
    c.clip();
  }

  end() {
    this.context.restore();
    this.place?.();
  }

  #axes() {
    const { context: c, frame, range, ink, labels } = this;
    c.font = this.font;
    c.fillStyle = c.strokeStyle = ink;
    c.lineWidth = 1;
    c.setLineDash([]);
    c.textAlign = "center";
    c.textBaseline = "top";
    const bottom = frame.top + frame.height, lines = new Path2D();
    const round = (log, ends, count) => (log ? logTicks : ticks)(...ends, count).map((v) => [v, format(v)]);
    for (const [v, text] of this.xticks ?? round(this.xlog, range.x, frame.width / 70)) {
      const at = this.px(v);
      lines.moveTo(at, frame.top);
      lines.lineTo(at, bottom);
      c.fillText(text, at, bottom + 4);
    }
    c.fillText(labels.x, frame.left + frame.width / 2, bottom + 18);
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const [v, text] of this.yticks ?? round(this.ylog, range.y, frame.height / 45)) {
      const at = this.py(v);
      lines.moveTo(frame.left, at);
      lines.lineTo(frame.left + frame.width, at);
      c.fillText(text, frame.left - 4, at);
    }
    c.save();
    c.translate(8, frame.top + frame.height / 2);
    c.rotate(-Math.PI / 2);
    c.textAlign = "center";
    c.fillText(labels.y, 0, 0);
    c.restore();
    c.globalAlpha = 0.15;
    c.stroke(lines);
    c.globalAlpha = 0.6;
    c.strokeRect(frame.left, frame.top, frame.width, frame.height);
    c.globalAlpha = 1;
  }

  /**
   * A line through n points; xs(i) and ys(i) give the coordinates. A point that is not finite breaks it. Points that
   * would fall on the same pixel are left out.
   */
  line(xs, ys, n, style = {}) {
    const { context: c, pen, px, py } = this;
    pen.begin(c, style);
    c.globalAlpha = style.alpha ?? 1;
    let drawing = false;
    for (let i = 0; i < n; i++) {
      const x = clamp(px(xs(i)), -9999, 9999), y = clamp(py(ys(i)), -9999, 9999);
      if (!(Number.isFinite(x) && Number.isFinite(y))) {
        drawing = false;
        continue;
      }
      if (drawing && i < n - 1 && Math.abs(x - pen.x) + Math.abs(y - pen.y) < 1) continue;
      if (drawing) pen.to(x, y);
      else pen.move(x, y);
      drawing = true;
    }
    pen.end();
    c.globalAlpha = 1;
  }

  /** A curve of values over 0 ... n - 1; where several fall on one pixel, their smallest and largest are drawn. */
  series(values, n, style = {}) {
    const { context: c, pen, px, py, ylog } = this, at = (value) => clamp(py(value), -9999, 9999);
    pen.begin(c, style);
    // Plain numbers in one loop: what a function inside would share with it the browser keeps, and collects, as objects.
    let column = NaN, first = 0, last = 0, low = 0, high = 0;
    for (let i = 0; i <= n; i++) {
      const value = i < n ? values[i] : NaN, drawn = ylog ? value >= 0 : !Number.isNaN(value);
      const x = drawn ? Math.round(px(i)) : NaN;
      if (x === column) {
        last = value;
        if (value < low) low = value;
        if (value > high) high = value;
        continue;
      }
      if (!Number.isNaN(column)) {
        // The ends of the pixel's span in the order in which the curve goes through them; a short one is one point.
        const top = at(high), bottom = at(low), short = bottom - top < 1.5;
        if (!short) pen.to(column, last > first ? bottom : top);
        pen.to(column, short ? at(last) : last > first ? top : bottom);
      } else if (drawn) pen.move(x, at(value));
      column = x;
      first = last = low = high = value;
    }
    pen.end();
  }

  dot(x, y, index, size = 4.5) {
    const a = this.px(x), b = this.py(y);
    if (Number.isFinite(a) && Number.isFinite(b)) marker(this.context, a, b, MARKERS[index], COLORS[index], size);
  }

  text(text, x, y, { align = "center", baseline = "middle", color = this.ink } = {}) {
    Object.assign(this.context, { font: this.font, fillStyle: color, textAlign: align, textBaseline: baseline });
    this.context.fillText(text, this.px(x), this.py(y));
  }

  /** What paint(context) draws, kept until `key` changes: for backgrounds that cost time. */
  background(key, paint) {
    const full = `${key}|${this.ink}|${this.size.width}|${this.ratio}`;
    if (this.cache.key !== full) {
      const canvas = this.cache.canvas ?? h("canvas", { width: this.canvas.width, height: this.canvas.height });
      const context = canvas.getContext("2d");
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      context.globalAlpha = 1;
      context.clearRect(0, 0, this.size.width, this.size.height);
      paint(context);
      Object.assign(this.cache, { key: full, canvas });
    }
    this.context.drawImage(this.cache.canvas, 0, 0, this.size.width, this.size.height);
  }

  /** Colour the frame: n x n cells, each with the entry of `palette` ([red, green, blue, alpha], 0 to 255) at index(i, j). */
  cells(context, n, palette, index) {
    const { frame, cache } = this;
    if (cache.small?.width !== n) {
      cache.small = h("canvas", { width: n, height: n });
      cache.pen = cache.small.getContext("2d");
      cache.image = new ImageData(n, n);
    }
    const { data } = cache.image;
    for (let j = 0, at = 0; j < n; j++) {
      for (let i = 0; i < n; i++) {
        const color = palette[index(i, n - 1 - j)];
        for (let k = 0; k < 4; k++) data[at++] = color[k];
      }
    }
    cache.pen.putImageData(cache.image, 0, 0);
    context.drawImage(cache.small, frame.left, frame.top, frame.width, frame.height);
  }

  /** Shade and contours of f(x, y) over the frame; lines lie at the quantiles, so that flat parts show them too. */
  contours(key, f, levels = 14) {
    this.background(key, (context) => {
      const n = 60, { frame, range, cache } = this;
      cache.values ??= new Float64Array(n * n);
      cache.sorted ??= new Float64Array(n * n);
      cache.ranks ??= new Uint8Array(n * n);
      const { values, sorted, ranks } = cache;
      for (let j = 0; j < n; j++) {
        const y = range.y[0] + ((range.y[1] - range.y[0]) * j) / (n - 1);
        for (let i = 0; i < n; i++) values[j * n + i] = f(range.x[0] + ((range.x[1] - range.x[0]) * i) / (n - 1), y);
      }
      sorted.set(values);
      sorted.sort();
      const at = Array.from({ length: levels }, (_, k) => sorted[Math.floor(((k + 0.5) / levels) * (n * n - 1))]);
      for (let k = 0; k < n * n; k++) {
        let rank = 0;
        while (rank < levels && values[k] > at[rank]) rank++;
        ranks[k] = rank;
      }
      const ink = rgb(this.ink), palette = Array.from({ length: levels + 1 }, (_, rank) => [...ink, (70 * rank) / levels]);
      this.cells(context, n, palette, (i, j) => ranks[j * n + i]);
      context.strokeStyle = this.ink;
      context.globalAlpha = 0.3;
      context.lineWidth = 0.8;
      context.beginPath();
      marchingSquares(context, values, ranks, n, at, frame);
      context.stroke();
    });
  }

  /**
   * A point that the reader moves: by mouse and touch, by a click anywhere in the plot, by the arrow keys (with Shift
   * in finer steps). `get` returns [x, y]; `set` takes it, rounded, inside the frame; `show` puts it into words. A plot
   * may have several such points: a click beside them moves the first.
   */
  handle({ label, get, set, show = (point) => point.map(format).join(", ") }) {
    const knob = h("button", { type: "button", class: "ob-handle", "aria-roledescription": "movable point" });
    const first = !this.overlay, frame = (this.overlay ??= h("div", { class: "ob-frame" })), placed = this.place;
    frame.append(knob);
    this.element.append(frame);
    /** To the point that lies at these parts of the frame's width and height. */
    const move = (right, up) => set([this.x(clamp(right, 0, 1)), this.y(clamp(up, 0, 1))]);
    const parts = ([x, y]) => {
      const { left, top, width, height } = this.frame;
      const part = (v) => (Number.isFinite(v) ? clamp(v, 0, 1) : 0);
      return [part((this.px(x) - left) / width), part(1 - (this.py(y) - top) / height)];
    };
    const follow = (event) => {
      const box = frame.getBoundingClientRect();
      move((event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height);
    };
    let dragged = null;
    const begin = (event) => {
      // A finger beside the point scrolls the page; a finger on it, or the mouse anywhere, drags.
      const beside = first && event.target === frame && event.pointerType !== "touch";
      if (event.button !== 0 || !(beside || event.target === knob)) return;
      event.preventDefault();
      knob.focus({ preventScroll: true });
      dragged = event.pointerId;
      event.target.setPointerCapture(dragged);
      if (event.target !== knob) follow(event);
    };
    frame.addEventListener("pointerdown", begin);
    frame.addEventListener("pointermove", (event) => event.pointerId === dragged && follow(event));
    for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, () => (dragged = null));
    frame.addEventListener("click", (event) => first && event.target === frame && follow(event));
    knob.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const size = event.shiftKey ? 0.005 : 0.025, [right, up] = parts(get());
      move(right + way[0] * size, up + way[1] * size);
    });
    const name = () => {
      const text = `${label}: ${show(get())}. Arrow keys move it.`;
      if (knob.getAttribute("aria-label") !== text) knob.setAttribute("aria-label", text);
    };
    name(); // already before it is drawn for the first time
    this.place = () => {
      placed?.();
      const [x, y] = get(), inside = this.frame;
      Object.assign(frame.style, {
        left: `${inside.left}px`, top: `${inside.top}px`, width: `${inside.width}px`, height: `${inside.height}px`,
      });
      const [right, up] = parts([x, y]);
      knob.style.left = `${100 * right}%`;
      knob.style.top = `${100 * (1 - up)}%`;
      name();
    };
    return knob;
  }
}

/**
 * Add to the path the contours of `values` (n x n) at each of the levels, over the frame; ranks[k] is how many of the
 * levels lie below values[k], so that a cell whose corners have one rank is crossed by none.
 */
function marchingSquares(context, values, ranks, n, levels, frame) {
  const width = frame.width / (n - 1), height = frame.height / (n - 1), bottom = frame.top + frame.height;
  for (let j = 0; j < n - 1; j++) {
    for (let i = 0; i < n - 1; i++) {
      const k = j * n + i, r0 = ranks[k], r1 = ranks[k + 1], r2 = ranks[k + n + 1], r3 = ranks[k + n];
      const last = Math.max(r0, r1, r2, r3);
      for (let rank = Math.min(r0, r1, r2, r3); rank < last; rank++) {
        const level = levels[rank];
        if (rank > 0 && level === levels[rank - 1]) continue; // drawn already
        const a = values[k] - level, b = values[k + 1] - level, c = values[k + n + 1] - level, d = values[k + n] - level;
        // Where the contour crosses the four sides, two by two.
        let open = false;
        for (let side = 0; side < 4; side++) {
          const p = side === 1 ? b : side === 2 ? d : a, q = side === 0 ? b : side === 3 ? d : c;
          if (p > 0 === q > 0) continue;
          const part = p / (p - q), right = side === 1 ? i + 1 : side === 3 ? i : i + part;
          const up = side === 0 ? j : side === 2 ? j + 1 : j + part;
          if (open) context.lineTo(frame.left + width * right, bottom - height * up);
          else context.moveTo(frame.left + width * right, bottom - height * up);
          open = !open;
        }
      }
    }
  }
}
