"""What this book adds to Sphinx.

* :mod:`.freshness` re-executes the pages that depend on a changed module of ``lib/`` and re-reads
  everything after a build that did not end well.
* :mod:`.execution` executes the pages that need it, several at a time, before they are read.
* :mod:`.assets` serves MathJax from the site itself and offers the derived notebooks for download.
* :mod:`.status` has the directives of the status page.
* :mod:`.dropdowns` folds proofs and solutions without a script.
* :mod:`.lightness` makes the pages load faster and mends what the theme leaves to mend.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from sphinx.application import Sphinx

from . import assets, dropdowns, execution, freshness, lightness, status


def setup(app: Sphinx) -> dict[str, object]:
    for part in (freshness, execution, assets, status, dropdowns, lightness):
        part.setup(app)
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    # A new env_version makes Sphinx read every page again, so a change of this extension takes effect.
    return {
        "version": "1",
        "env_version": zlib.crc32(sources),
        "parallel_read_safe": False,
        "parallel_write_safe": True,
    }
