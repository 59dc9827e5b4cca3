// Everything that is folded is opened for printing, and closed again after it. Paper is light, whatever the screen is.
addEventListener("beforeprint", () => {
  const root = document.documentElement;
  root.dataset.themeOnScreen = root.dataset.theme ?? "light";
  root.dataset.theme = "light";
  for (const image of document.querySelectorAll("img[loading=lazy]")) image.loading = "eager";
  for (const element of document.querySelectorAll("details:not([open])")) {
    element.dataset.openedForPrint = "";
    element.open = true;
  }
});
addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = document.documentElement.dataset.themeOnScreen ?? "light";
  for (const element of document.querySelectorAll("details[data-opened-for-print]")) {
    delete element.dataset.openedForPrint;
    element.open = false;
  }
});

// A link to a folded proof or solution opens it.
const openTarget = () => {
  if (location.hash.startsWith("#widget=")) return; // the state of a widget, not a place
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let element = target; element; element = element.parentElement) {
    if (element.tagName === "DETAILS") element.open = true;
  }
};
addEventListener("hashchange", openTarget);
openTarget();

// A prediction: the reader chooses and commits, then the answer opens. Nothing is stored or sent.
for (const form of document.querySelectorAll(".predict-form")) {
  const box = form.closest(".predict");
  const answer = box.querySelector("details.predict-answer");
  const button = form.querySelector(".predict-commit");
  const verdict = form.querySelector(".predict-verdict");
  const choices = [...form.querySelectorAll(".predict-choice")];
  const inputs = [...form.querySelectorAll("input")];
  const chosen = () => choices.find((choice) => choice.querySelector("input").checked);
  // A widget of the page shows the question's setting as soon as the reader has committed.
  const show = (scroll) => {
    if (!form.dataset.shows) return;
    const detail = { ...JSON.parse(form.dataset.shows), scroll };
    document.dispatchEvent(new CustomEvent("optbias:show", { detail }));
  };
  const seen = form.dataset.shows && Object.assign(document.createElement("button"), {
    type: "button", className: "predict-commit", textContent: "Show it in the figure", onclick: () => show(true),
  });
  if (seen) button.after(" ", seen);
  const mark = (choice, text) => {
    const note = document.createElement("em");
    note.className = "predict-mark";
    note.textContent = ` ${text}`;
    choice.append(note);
  };
  const ask = () => {
    form.querySelectorAll(".predict-mark").forEach((note) => note.remove());
    inputs.forEach((input) => { input.disabled = false; input.checked = false; });
    delete form.dataset.committed;
    button.textContent = "Commit";
    verdict.textContent = "";
    if (seen) seen.hidden = true;
    if (answer) { answer.hidden = true; answer.open = false; }
  };
  const reveal = () => {
    const mine = chosen();
    if (choices.length && !mine) {
      verdict.textContent = "Choose one first.";
      return;
    }
    inputs.forEach((input) => { input.disabled = true; });
    form.dataset.committed = "";
    button.textContent = "Ask me again";
    const right = mine && "right" in mine.dataset;
    const more = answer ? "" : " The text below says why.";
    verdict.textContent = !mine ? `Compare with the ${answer ? "answer" : "text below"}.` : right ? `That is right.${more}` : `The marked one is right.${more}`;
    for (const choice of choices) {
      if ("right" in choice.dataset) mark(choice, choice === mine ? "your prediction, and right" : "right");
      else if (choice === mine) mark(choice, "your prediction");
    }
    if (answer) { answer.hidden = false; answer.open = true; }
    show(false);
    if (seen) seen.hidden = false;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if ("committed" in form.dataset) ask();
    else reveal();
  });
  button.hidden = false;
  ask();
}

// On a narrow screen, formulas that share a line with a wide gap (\qquad) between them stand below one another.
const MATHML = "http://www.w3.org/1998/Math/MathML";
const isGap = (element) => element.localName === "mspace" && element.getAttribute("width") === "2em";
const stack = () => {
  if (innerWidth > 600) return;
  for (const formula of document.querySelectorAll(".bd-article span.math")) {
    if (formula.clientWidth && formula.scrollWidth > formula.clientWidth + 3) formula.classList.add("wide");
  }
  for (const box of document.querySelectorAll("div.math > div")) {
    const formula = box.firstElementChild;
    if (!box.clientWidth || box.scrollWidth <= box.clientWidth + 1) continue;
    if (formula?.localName !== "math" || ![...formula.children].some(isGap)) continue;
    const table = document.createElementNS(MATHML, "mtable");
    table.setAttribute("displaystyle", "true");
    table.setAttribute("scriptlevel", "0");
    let cell = null;
    for (const part of [...formula.children]) {
      if (isGap(part) || !cell) {
        if (cell && !cell.children.length) continue;
        const row = document.createElementNS(MATHML, "mtr");
        cell = document.createElementNS(MATHML, "mtd");
        row.append(cell);
        table.append(row);
      }
      if (!isGap(part)) cell.append(part);
    }
    formula.replaceChildren(table);
  }
};
stack();
document.fonts?.ready.then(stack);
addEventListener("resize", stack);
document.addEventListener("toggle", stack, true);

// A link to a theorem, an equation, a source or a word of the glossary shows what it leads to: on hover, on focus, on the
// first tap. Everything it shows stands in the page already (course_site/previews.py).
const previews = new Map(
  [...document.querySelectorAll("template[data-for]")].map((template) => [template.dataset.for, template]),
);
if (previews.size) {
  const box = document.createElement("div");
  Object.assign(box, { id: "preview", className: "preview", hidden: true });
  box.setAttribute("role", "tooltip");
  (document.querySelector("main") ?? document.body).append(box);
  let shown = null;
  let timer = 0;
  let pointer = "mouse";
  const previewOf = (link) => {
    const url = new URL(link.href, location.href);
    return previews.get(`${url.pathname.split("/").pop()}#${decodeURIComponent(url.hash.slice(1))}`);
  };
  const linkAt = (target) => {
    const link = target.closest?.(".bd-article a.reference.internal[href*='#']");
    return link && previewOf(link) ? link : null;
  };
  const place = () => {
    if (!shown) return;
    const at = shown.getClientRects()[0];
    if (!at || at.bottom < 0 || at.top > innerHeight) return hide();
    const [above, below] = [at.top - 16, innerHeight - at.bottom - 16];
    box.style.maxHeight = `${Math.max(above, below, 80)}px`;
    const height = box.offsetHeight;
    box.style.top = `${height <= below || below >= above ? at.bottom + 8 : at.top - 8 - height}px`;
    box.style.left = `${Math.max(8, Math.min(at.left, document.documentElement.clientWidth - box.offsetWidth - 8))}px`;
  };
  const hide = () => {
    clearTimeout(timer);
    shown?.removeAttribute("aria-describedby");
    shown = null;
    box.hidden = true;
  };
  const show = (link) => {
    clearTimeout(timer);
    if (shown === link) return;
    hide();
    shown = link;
    box.replaceChildren(previewOf(link).content.cloneNode(true));
    if (pointer === "touch") {
      const more = document.createElement("p");
      Object.assign(more, { className: "preview-more", textContent: "Tap the link again to go there." });
      box.append(more);
    }
    link.removeAttribute("title"); // the browser's own note would cover this one
    link.setAttribute("aria-describedby", box.id);
    box.hidden = false;
    box.scrollTop = 0;
    place();
  };
  const later = (action, wait) => {
    clearTimeout(timer);
    timer = setTimeout(action, wait);
  };
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const link = linkAt(event.target);
    if (link) later(() => show(link), shown ? 60 : 180);
    else if (box.contains(event.target)) clearTimeout(timer);
    else if (shown && document.activeElement !== shown) later(hide, 250);
    else clearTimeout(timer);
  });
  document.addEventListener("pointerdown", (event) => {
    pointer = event.pointerType;
    if (shown && !box.contains(event.target) && linkAt(event.target) !== shown) hide();
  });
  document.addEventListener("focusin", (event) => {
    const link = linkAt(event.target);
    if (link?.matches(":focus-visible") && pointer !== "touch") show(link);
    else if (!link && shown && !box.contains(event.target)) hide();
  });
  document.addEventListener("focusout", () => { if (pointer !== "touch") later(hide, 250); });
  document.addEventListener("click", (event) => {
    const link = linkAt(event.target);
    if (!link || pointer !== "touch") return link && hide();
    if (shown === link) return hide();
    event.preventDefault();
    show(link);
  }, true);
  document.addEventListener("keydown", (event) => {
    pointer = "keys";
    if (event.key === "Escape") hide();
  });
  addEventListener("scroll", place, { passive: true, capture: true });
  addEventListener("resize", place);
}
