// Everything that is folded is opened for printing, and closed again after it.
addEventListener("beforeprint", () => {
  for (const element of document.querySelectorAll("details:not([open])")) {
    element.dataset.openedForPrint = "";
    element.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const element of document.querySelectorAll("details[data-opened-for-print]")) {
    delete element.dataset.openedForPrint;
    element.open = false;
  }
});

// A link to a folded proof or solution opens it.
const openTarget = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let element = target; element; element = element.parentElement) {
    if (element.tagName === "DETAILS") element.open = true;
  }
};
addEventListener("hashchange", openTarget);
openTarget();

// MathJax sets the formulas near the window first. When the page has come to rest the others follow, so that
// nothing is missing for search in the page, for copying and for screen readers.
const whenIdle = window.requestIdleCallback ?? ((work) => setTimeout(work, 200));
const setRemainingMath = () => window.MathJax?.startup?.document?.lazyTypesetAll?.();
addEventListener("load", () => setTimeout(() => whenIdle(setRemainingMath), 12000));
