// Elements of the page, and numbers as text.

export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

/** Three significant digits. */
export const three = (x) => +x.toPrecision(3);

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

/** `x` in [low, high]; `usual` if it is no number at all. State may come from an address, which anyone can write. */
export const within = (x, usual, low, high) =>
  (typeof x === "number" && !Number.isNaN(x) ? clamp(x, low, high) : usual);

export const group = (legend, ...children) => h("fieldset", { class: "ob-group" }, h("legend", {}, legend), ...children);
export const row = (...children) => h("div", { class: "ob-row" }, ...children);
export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
