"""Where the widgets' mathematics runs in a browser: the counterpart of the fixture ``node``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser

from optbias.widgets import bundle

# What Node's process is to such code.
PROCESS = "let written = ''; const process = { stdout: { write: (text) => { written += text; } } };"
_IMPORT = re.compile(r'^\s*import \{([^}]*)\} from "\./(\w+)\.js";$', re.M)


def in_chromium(browser: Browser) -> Callable[[str], Any]:
    """Run in Chromium what ``node`` runs in Node: the same code, with the bundle's scopes in place of its imports."""

    def run(code: str) -> Any:
        needed = bundle.scopes(*(name for _, name in _IMPORT.findall(code)))
        body = _IMPORT.sub(r"const {\1} = \2;", code)
        page = browser.new_page()
        try:
            return json.loads(page.evaluate(f"() => {{ {PROCESS}\n{needed}{body}\nreturn written; }}"))
        finally:
            page.close()

    return run
