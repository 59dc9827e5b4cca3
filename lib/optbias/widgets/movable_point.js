// A point in a plot that mouse, finger and arrow keys move.

import { clamp, format, h } from "./elements.js";

/**
 * A point that the reader moves: by mouse and touch, by a click anywhere in the plot, by the arrow keys (with Shift
 * in finer steps). `get` returns [x, y]; `set` takes it, rounded, inside the frame; `show` puts it into words. A plot
 * may have several such points: a click beside them moves the first.
 */
export function handle(plot, { label, get, set, show = (point) => point.map(format).join(", ") }) {
  const knob = h("button", { type: "button", class: "ob-handle", "aria-roledescription": "movable point" });
  const first = !plot.overlay, frame = (plot.overlay ??= h("div", { class: "ob-frame" })), placed = plot.place;
  frame.append(knob);
  plot.element.append(frame);
  /** To the point that lies at these parts of the frame's width and height. */
  const move = (right, up) => set([plot.x(clamp(right, 0, 1)), plot.y(clamp(up, 0, 1))]);
  const parts = ([x, y]) => {
    const { left, top, width, height } = plot.frame;
    const part = (v) => (Number.isFinite(v) ? clamp(v, 0, 1) : 0);
    return [part((plot.px(x) - left) / width), part(1 - (plot.py(y) - top) / height)];
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
  plot.place = () => {
    placed?.();
    const [x, y] = get(), inside = plot.frame;
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
