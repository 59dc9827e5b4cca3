"""What the site serves besides its pages: style sheets and scripts of ours, the derived notebooks."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def note_assets(app: Sphinx, config: Config) -> None:
    """Make the pages be written again when a style sheet or script of ours changed."""
    digest = hashlib.sha256()
    for folder in config.html_static_path:
        for path in sorted(p for p in (Path(app.confdir or app.srcdir) / folder).rglob("*") if p.is_file()):
            digest.update(path.name.encode() + path.read_bytes())
    config.course_assets = digest.hexdigest()


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Offer the derived notebook of each page (not the executed copy); drop pages that are no longer listed."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for name in app.env.found_docs:
        derived = Path(app.env.doc2path(name)).with_suffix(".ipynb")
        offered = out / "_sources" / f"{name}.ipynb"
        if derived.is_file() and offered.is_file():
            shutil.copyfile(derived, offered)
    for folder in {(out / name).parent for name in app.env.found_docs}:
        for page in folder.glob("*.html"):
            name = page.relative_to(out).with_suffix("").as_posix()
            if folder != out and name not in app.env.found_docs:
                page.unlink()


def setup(app: Sphinx) -> None:
    app.add_config_value("course_assets", "", "html", str)
    app.connect("config-inited", note_assets)
    app.connect("build-finished", finish, priority=900)
