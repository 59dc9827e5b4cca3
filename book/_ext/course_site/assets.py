"""What the site serves besides its pages: MathJax from an installed package, the derived notebooks."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

# What a page of this book can ask for: the TeX component, its fonts, extensions that it loads on
# demand, and the accessibility tools that the reader can switch on in MathJax's menu, in English.
MATHJAX_PARTS = (
    "tex-chtml.js",
    "ui/lazy.js",
    "output/chtml/fonts/**/*.woff",
    "input/tex/extensions/*.js",
    "a11y/*.js",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
)


def mathjax_source() -> Path:
    """The folder of MathJax inside the installed package ``sphinx-mathjax-offline``."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package sphinx-mathjax-offline is not installed: pip install -r requirements.txt")
    return Path(spec.origin).parent / "static" / "mathjax"


def note_assets(app: Sphinx, config: Config) -> None:
    """Make the pages be written again when a style sheet or script of ours changed."""
    digest = hashlib.sha256()
    for folder in config.html_static_path:
        for path in sorted(p for p in (Path(app.confdir or app.srcdir) / folder).rglob("*") if p.is_file()):
            digest.update(path.name.encode() + path.read_bytes())
    config.course_assets = digest.hexdigest()


def copy_mathjax(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    source, target = mathjax_source(), Path(app.outdir) / "_static" / "vendor" / "mathjax"
    for pattern in MATHJAX_PARTS:
        for path in source.glob(pattern):
            copy = target / path.relative_to(source)
            if not copy.exists() or copy.stat().st_size != path.stat().st_size:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


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
    app.connect("builder-inited", copy_mathjax)
    app.connect("build-finished", finish, priority=900)
