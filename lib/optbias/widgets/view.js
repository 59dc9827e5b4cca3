// What every widget is made of: a view bound to a model, controls, and canvas plots.
//
// The model is anywidget's in a live notebook and page.js's in the website; both have get, set, save_changes, on, off.
// A widget changes the model only through view.set and draws only in the function that it gives to view.draw, which
// runs once per frame when something changed: a trait, the theme, the size.

import { clamp, format, h } from "./elements.js";
import { Plot } from "./plot.js";

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
