"""What this book adds to Sphinx.

* :mod:`.freshness` re-executes the pages that depend on a changed module of ``lib/`` and re-reads
  everything after a build that did not end well.
* :mod:`.execution` executes the pages that need it, several at a time, before they are read.
* :mod:`.assets` offers the derived notebooks for download and follows changes of style sheets and scripts.
* :mod:`.mathematics` sets the formulas while the book is built.
* :mod:`.status` has the directives of the status page.
* :mod:`.widgets` brings the widgets of a page to life without a kernel.
* :mod:`.theorems` draws the theorems and what refers to them, :mod:`.previews` shows them at the link.
* :mod:`.api` fills the API reference and links the code of the pages to it.
* :mod:`.predict` has the questions that a reader answers before the page does.
* :mod:`.dropdowns` folds proofs and solutions without a script.
* :mod:`.lightness` makes the pages load faster and mends what the theme leaves to mend.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from sphinx.application import Sphinx

from . import (
    api,
    assets,
    dropdowns,
    execution,
    freshness,
    lightness,
    mathematics,
    predict,
    previews,
    status,
    theorems,
    widgets,
)


def setup(app: Sphinx) -> dict[str, object]:
    for part in (
        freshness,
        execution,
        assets,
        mathematics,
        status,
        theorems,
        api,
        predict,
        dropdowns,
        widgets,
        previews,
        lightness,
    ):
        part.setup(app)
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parents[1].rglob("*.py")))
    # A new env_version makes Sphinx read every page again, so a change of this extension takes effect.
    return {
        "version": "1",
        "env_version": zlib.crc32(sources),
        "parallel_read_safe": False,
        "parallel_write_safe": True,
    }
