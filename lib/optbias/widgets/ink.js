// Colours, lines and markers, and the legends that name them.

import { h, row } from "./elements.js";

/** Line colours, as in optbias.figures: each has a contrast of at least 3 : 1 on white and on the dark theme. */
export const COLORS = ["#2f7fd6", "#c8690a", "#1c8c62", "#c2559a", "#9a7b00", "#7f6bd8", "#d4483b"];
/** The dash that goes with each colour. */
export const DASHES = [[], [7, 4], [8, 3, 2, 3], [2, 3], [8, 2, 2, 2, 2, 2], [1, 2], [14, 4]];
/** The marker that goes with each colour. */
export const MARKERS = ["circle", "square", "triangle", "diamond", "cross", "plus", "star"];

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

export function stroke(context, { color = 0, dash = color, width = 1.8 }) {
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
export class Pen {
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

export function marker(context, x, y, shape, color, size = 4) {
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
