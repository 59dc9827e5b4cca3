"""What the browser tests share: a Chromium, a local server, and one visit to each page with all that it showed."""

from __future__ import annotations

import functools
import gzip
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, sync_playwright

from project import Project

HOST = "127.0.0.1"
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
COMPRESSED = (".html", ".css", ".js", ".svg", ".json")


def chromium() -> str | None:
    """The path of an installed Chromium."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def require_chromium() -> str:
    """The path of a Chromium; without one the test is skipped, or fails where CI is set."""
    path = chromium()
    if path is None:
        message = f"no Chromium was found ({', '.join(PROGRAMS)}): the browser tests cannot run"
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(message + ", and CI=true asks for them")
        pytest.skip(message)
    return path


def listed_pages() -> list[str]:
    """The addresses of all pages of the table of contents, then those that Sphinx adds."""
    return [f"book/{name}.html" for name in Project().pages] + ["search.html", "genindex.html"]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, compressed where the browser accepts it, as GitHub Pages does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path = path / "index.html"
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Cache-Control", "max-age=600")
        if path.suffix in COMPRESSED and "gzip" in self.headers.get("Accept-Encoding", ""):
            content = _compressed(path, path.stat().st_mtime_ns)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@functools.lru_cache(maxsize=512)
def _compressed(path: Path, changed: int) -> bytes:
    return gzip.compress(path.read_bytes(), 6, mtime=0)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which ``folder`` is served."""
    server = http.server.ThreadingHTTPServer((HOST, 0), functools.partial(Handler, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def launched(program: str) -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """What one page asked for and what it showed."""

    requests_elsewhere: list[str] = field(default_factory=list)
    not_found: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    raw_mathematics: list[str] = field(default_factory=list)
    open_at_load: list[str] = field(default_factory=list)
    repeated_ids: list[str] = field(default_factory=list)
    violations: dict[str, list[str]] = field(default_factory=dict)
    wider_than_phone: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)


class Reader:
    """One window with the network cut off, which remembers what happened in it."""

    def __init__(self, browser: Browser, base: str):
        self.base = base
        self.context = browser.new_context(viewport=DESKTOP, color_scheme="light", reduced_motion="reduce")
        self.context.route("**/*", self._route)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.seen.console.append(f"error: {error}"))
        self.page.on("response", self._response)
        self.seen = Visit()

    def _route(self, route: Route) -> None:
        if route.request.url.startswith((self.base + "/", "data:", "blob:")):
            route.continue_()
        else:
            self.seen.requests_elsewhere.append(route.request.url)
            route.abort()

    def _console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.seen.console.append(f"{message.type}: {message.text}")

    def _response(self, response) -> None:
        if response.status >= 400:
            self.seen.not_found.append(response.url)

    def open(self, address: str, theme: str = "light") -> Page:
        """Go to a page and wait for its fonts. The theme follows the system's wish."""
        self.page.set_viewport_size(DESKTOP)
        self.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        self.seen = Visit()
        self.page.goto(f"{self.base}/{address}", wait_until="load")
        self.page.evaluate("document.fonts.ready")
        return self.page

    def visit(self, address: str) -> Visit:
        """Look at a page as a reader would: at a desk, at night, on a phone."""
        page = self.open(address)
        seen = self.seen
        page.wait_for_function("document.documentElement.dataset.theme === 'light'")
        seen.open_at_load = page.evaluate(OPEN_DROPDOWNS)
        seen.repeated_ids = page.evaluate(REPEATED_IDS)
        seen.raw_mathematics = page.evaluate(RAW_MATHEMATICS)
        page.evaluate(OPEN_ALL)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        seen.wider_than_phone = page.evaluate(WIDER_THAN_WINDOW)
        seen.cut_off = page.evaluate(CUT_OFF)
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        page.evaluate(THIN_OUT)
        seen.violations["light"] = violations(page)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        seen.violations["dark"] = violations(page, "color-contrast")  # the one rule that depends on the theme
        return seen


def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core calls serious or critical, one line each."""
    options: dict = {"resultTypes": ["violations"], "preload": False}  # else axe fetches style sheets itself
    if rules:
        options["runOnly"] = list(rules)
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{violation['id']} ({violation['impact']}): {node['target'][0]}: {node['html'][:160]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


OPEN_DROPDOWNS = """() => [...document.querySelectorAll(
    '.bd-article details[open], .bd-article .dropdown:is(.proof, .solution):not(details)')]
  .map(element => element.outerHTML.slice(0, 120))"""

OPEN_ALL = "() => document.querySelectorAll('details').forEach(element => { element.open = true })"

REPEATED_IDS = """() => {
  const seen = new Map();
  for (const element of document.querySelectorAll('.bd-article [id]'))
    seen.set(element.id, (seen.get(element.id) ?? 0) + 1);
  return [...seen].filter(([, times]) => times > 1).map(([id, times]) => `${id}: ${times} times`);
}"""

# axe-core takes a minute on a page with thousands of elements. It loses nothing with each formula as one text (it has
# no rule for what is inside) and with one coloured word of each kind in code blocks.
THIN_OUT = """() => {
  document.querySelectorAll('math').forEach(element => { element.textContent = element.textContent; });
  const seen = new Set();
  for (const word of document.querySelectorAll('.highlight pre span')) {
    const kind = word.parentElement.closest('.highlight').parentElement.className + '/' + word.className;
    if (seen.has(kind)) word.replaceWith(word.textContent);
    else seen.add(kind);
  }
  document.querySelectorAll('.highlight pre').forEach(element => element.normalize());
}"""

RAW_MATHEMATICS = r"""() => {
  const wrong = [];
  for (const element of document.querySelectorAll('.bd-article .math'))
    if (!element.querySelector('math')?.getBoundingClientRect().width && element.checkVisibility())
      wrong.push('not set: ' + element.textContent.slice(0, 120));
  const font = [...document.fonts].find(font => font.family.includes('STIX Two Math'));
  if (document.querySelector('math') && font?.status !== 'loaded')
    wrong.push('the font of the formulas was not loaded');
  const text = document.querySelector('.bd-article') ?? document.body;
  const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const inCode = walker.currentNode.parentElement.closest('pre, code, script, style');
    if (!inCode && /\$\$|\\\(|\\\[|\\[a-z]{2,}/.test(walker.currentNode.data))
      wrong.push('raw: ' + walker.currentNode.data.trim().slice(0, 120));
  }
  return wrong;
}"""

WIDER_THAN_WINDOW = """() => {
  const width = document.documentElement.scrollWidth;
  if (width <= innerWidth) return [];
  const wide = [...document.querySelectorAll('body *')].filter(element => {
    const box = element.getBoundingClientRect();
    return box.right > innerWidth + 1 && box.width > 0 && box.left < innerWidth;
  });
  return [`the page is ${width} px wide in a window of ${innerWidth} px`,
    ...wide.slice(0, 5).map(element => element.outerHTML.slice(0, 120))];
}"""

# A formula, table or code block that is wider than its column must lie in something that scrolls.
CUT_OFF = """() => {
  const scrolls = element => {
    for (let at = element; at && !at.matches('.bd-article'); at = at.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(at).overflowX)) return true;
    return false;
  };
  const column = document.querySelector('.bd-article')?.getBoundingClientRect();
  return [...document.querySelectorAll('.bd-article :is(math, table, pre, img)')]
    .filter(element => element.getBoundingClientRect().right > column.right + 1 && !scrolls(element))
    .map(element => (element.closest('[id]')?.id ?? '') + ': ' + element.outerHTML.slice(0, 120));
}"""
