"""Make the README's pictures from the built book: ``make pictures``. Needs a Chromium.

python book/_tools/pictures.py [--site _build/html] [--page momentum] [--widget linf-constraint]
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from project import ROOT

sys.path.append(str(ROOT / "tests" / "book"))

from browser import chromium, launched, served  # noqa: E402

OUTPUT = ROOT / "docs" / "pictures"
LIMIT = 300_000
DESK = {"width": 1200, "height": 900}
PHONE = {"width": 390, "height": 844}


def save(png: bytes, path: Path) -> None:
    """Write a screenshot with a palette, which keeps it small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > LIMIT:
        raise SystemExit(f"{path} has {size} bytes, more than {LIMIT}")
    print(f"{path}: {picture.width} x {picture.height}, {size // 1000} kB")


def take(site: Path, name: str, program: str, out: Path) -> None:
    """The chapter ``name`` in both themes and on a phone, and its first group of claims."""
    with served(site) as base, launched(program) as browser:
        for label, size, theme in (("light", DESK, "light"), ("dark", DESK, "dark"), ("phone", PHONE, "light")):
            context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")
            page = context.new_page()
            page.goto(f"{base}/book/{name}.html", wait_until="load")
            page.evaluate("document.fonts.ready.then(() => null)")
            # Below the title, where text, formulas and a figure stand together.
            page.locator(".bd-article figure img").first.evaluate(
                "image => scrollTo(0, image.getBoundingClientRect().bottom + scrollY - innerHeight + 80)"
            )
            page.wait_for_function("[...document.images].every(image => image.complete || image.loading === 'lazy')")
            page.locator(".bd-article figure img").first.evaluate("image => image.decode()")
            page.mouse.move(size["width"] / 2, size["height"] - 2)
            save(page.screenshot(), out / f"chapter-{label}.png")
            if label == "light":
                save(_claims(page), out / "claims.png")
            context.close()


def take_widget(site: Path, name: str, program: str, out: Path) -> None:
    """The first figure with controls of the page ``name``, as a reader finds it."""
    with served(site) as base, launched(program) as browser:
        page = browser.new_page(viewport=DESK, color_scheme="light", reduced_motion="reduce")
        page.goto(f"{base}/book/{name}.html", wait_until="load")
        page.add_style_tag(content="#pst-skip-link, .bd-header-article { visibility: hidden }")
        widget = page.locator(".optbias-widget").first
        widget.scroll_into_view_if_needed()
        page.wait_for_function("document.querySelector('.optbias-widget .ob-status')?.textContent")
        save(widget.screenshot(), out / "widget.png")


def _claims(page: Page) -> bytes:
    """The first code cell that shows a table, with the checks of its numbers in the next."""
    page.add_style_tag(content="#pst-skip-link, .bd-header-article, #pst-back-to-top { visibility: hidden }")
    shows = "div.cell:has(.cell_output :is(pre, table)):not(:has(.claim))"
    checks = page.locator(f"{shows} + div.cell:has(.claim)").first
    run = checks.locator("xpath=preceding-sibling::div[1]").bounding_box()
    under = checks.bounding_box()
    assert run
    assert under
    area = {"x": run["x"], "y": run["y"], "width": run["width"], "height": under["y"] + under["height"] - run["y"]}
    # Bounding boxes count from the top of the window, a picture of the full page from the top of the page.
    area["y"] += page.evaluate("scrollY")
    return page.screenshot(clip=area, full_page=True)  # type: ignore[arg-type]


def main(arguments: list[str] | None = None) -> int:
    """Take the pictures named in the README."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html", help="the folder of the built book")
    parser.add_argument("--page", default="momentum", help="the chapter that is shown")
    parser.add_argument("--widget", default="linf-constraint", help="the page whose first widget is shown")
    parser.add_argument("--out", type=Path, default=OUTPUT, help="the folder of the pictures")
    options = parser.parse_args(arguments)
    program = chromium()
    if program is None:
        print("The pictures need a Chromium on the PATH.", file=sys.stderr)
        return 1
    take(options.site.resolve(), options.page, program, options.out)
    take_widget(options.site.resolve(), options.widget, program, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
