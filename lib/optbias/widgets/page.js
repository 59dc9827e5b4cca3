// The widgets in the website, where there is no kernel: each finds its state beside it in the page.

/** What anywidget's model does, for a state that lives in the page only. */
function pageModel(state) {
  const heard = new Map();
  return {
    get: (name) => state[name],
    set: (name, value) => {
      state[name] = value;
      for (const callback of heard.get(`change:${name}`) ?? []) callback();
    },
    on: (event, callback) => heard.set(event, (heard.get(event) ?? new Set()).add(callback)),
    off: (event, callback) => heard.get(event)?.delete(callback),
    save_changes: () => {},
  };
}

const PREFIX = "#widget=";

/** The name of a widget and what an address says of its state; null if the address is an ordinary one. */
function fromAddress() {
  if (!location.hash.startsWith(PREFIX)) return null;
  try {
    const [name, text] = decodeURIComponent(location.hash.slice(PREFIX.length)).split(/:(.*)/s);
    const state = JSON.parse(text);
    return state && typeof state === "object" ? { name, state } : null;
  } catch {
    return null;
  }
}

const kind = (value) => (Array.isArray(value) ? "array" : value === null ? "null" : typeof value);

/** Mount every widget of the page; `mounts` has the function of each kind. */
export function mountAll(mounts) {
  const models = new Map();
  const show = (wanted) => {
    const found = wanted && models.get(wanted.name);
    if (!found) return;
    for (const [trait, value] of Object.entries(wanted.state)) {
      // Anyone can write an address. A value of another kind is left out; the widget checks what is inside.
      if (kind(value) === kind(found.initial[trait])) found.model.set(trait, value);
    }
    if (wanted.scroll !== false) found.element.scrollIntoView({ block: "center" });
  };
  for (const element of document.querySelectorAll(".optbias-widget[data-widget]")) {
    const mount = mounts[element.dataset.widget];
    if (!mount) continue;
    let { name } = element.dataset;
    while (models.has(name)) name += "-again"; // the same widget twice on a page
    const initial = JSON.parse(element.dataset.state), model = pageModel({ ...initial });
    model.share = async () => {
      const differs = ([trait, value]) => JSON.stringify(value) !== JSON.stringify(model.get(trait));
      const state = Object.fromEntries(Object.entries(initial).filter(differs).map(([t]) => [t, model.get(t)]));
      history.replaceState(null, "", PREFIX + encodeURIComponent(`${name}:${JSON.stringify(state)}`));
      try {
        await navigator.clipboard.writeText(location.href);
        return true;
      } catch {
        return false; // not allowed here; the address bar has it
      }
    };
    element.replaceChildren();
    mount(element, model);
    models.set(name, { element, model, initial });
  }
  addEventListener("hashchange", () => show(fromAddress()));
  // A prediction that was committed (course.js) sets the widget that goes with it.
  document.addEventListener("optbias:show", ({ detail }) => show(detail));
  show(fromAddress());
}
