// One canvas with axes.

import { clamp, format, h, three } from "./elements.js";
import { COLORS, MARKERS, Pen, marker, rgb } from "./ink.js";
import { marchingSquares } from "./contours.js";
import { handle } from "./movable_point.js";

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

  /** A point that the reader moves, see movable_point.js. */
  handle(options) {
    return handle(this, options);
  }
}
