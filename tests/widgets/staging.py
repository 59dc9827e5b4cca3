"""A page with widgets on it and nothing else, and what the tests do there."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from optbias.widgets import bundle

# The colours of the book's theme, under the names by which the widgets ask for them.
HOST = """
:root[data-theme=light] { --pst-color-text-base: #323232; background: #ffffff }
:root[data-theme=dark] { --pst-color-text-base: #ced6dd; background: #121212; color-scheme: dark }
body { font-family: sans-serif; max-width: 760px; margin: 0 auto; padding: 0 8px; color: var(--pst-color-text-base) }
"""


def stage_html(*widgets: Any, theme: str = "light", before: str = "") -> str:
    """A page that holds the widgets, without their pictures, and the website's one script."""
    parts = "".join(widget.html(picture=b"") for widget in widgets)
    return (
        f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Stage</title>'
        f'<meta name="viewport" content="width=device-width"><style>{HOST}{bundle.style()}</style></head><body><main>'
        f"<h1>Stage</h1>{before}{parts}</main>"
        f"<script>{bundle.page_script()}</script></body></html>"
    )


def settle(page: Page) -> None:
    """Wait until what was changed has been drawn."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


# The mean brightness of the inked pixels in the margin of the first plot, where the numbers stand.
MEAN_INK = """() => {
  const canvas = document.querySelector(".ob-plot canvas"), context = canvas.getContext("2d");
  const { data } = context.getImageData(0, 0, 40, canvas.height);
  let sum = 0, count = 0;
  for (let k = 0; k < data.length; k += 4) if (data[k + 3] > 200) { sum += data[k]; count += 1; }
  return sum / count;
}"""
