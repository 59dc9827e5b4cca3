"""Widgets on the website: one script and one style sheet for all of them, on the pages that have one.

A widget's cell leaves a ``<div class="optbias-widget">`` with its state and a picture (``optbias.widgets.base``). The
script finds these and brings them to life: no kernel, no widget manager, no module loader, so it works from a folder
on a disk too. The pictures become files, which only a browser without scripts fetches. What the notebook tells a
widget manager (the state of every widget, with its whole source) is left out.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.config import Config

SCRIPT, STYLE = "optbias-widgets.js", "optbias-widgets.css"
MARK = 'class="optbias-widget"'
FALLBACK = re.compile(
    r'(<div class="optbias-widget"[^>]*>)(<img [^>]*src=")data:image/png;base64,([^"]+)("[^>]*>.*?)(</div>)', re.S
)


def bundle() -> ModuleType:
    """``optbias.widgets.bundle``, loaded by itself: its package would bring torch along."""
    library = importlib.util.find_spec("optbias")
    if library is None or library.origin is None:
        raise RuntimeError("the library optbias is not installed: pip install -e ./lib")
    path = Path(library.origin).parent / "widgets" / "bundle.py"
    spec = importlib.util.spec_from_file_location("course_site_widget_bundle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def note(app: Sphinx, config: Config) -> None:
    """Make the pages be written again when the script or the style changed: their links carry its checksum."""
    made = bundle()
    config.course_widgets = hashlib.sha256((made.page_script() + made.style()).encode()).hexdigest()


def write(app: Sphinx) -> None:
    """Write the script and the style sheet."""
    if app.builder.format != "html":
        return
    static, made = Path(app.outdir) / "_static", bundle()
    static.mkdir(parents=True, exist_ok=True)
    for name, text in ((SCRIPT, made.page_script()), (STYLE, made.style())):
        part = static / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(static / name)


def forget_widget_manager(app: Sphinx, doctree: nodes.document) -> None:
    """Drop the state that would be embedded for a widget manager, which this site does not have."""
    NbMetadataCollector.get_js_files(app.env, app.env.docname).pop("ipywidgets_state", None)


def bring_to_life(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Add the script and the style sheet to a page with a widget, and write its pictures as files."""
    if MARK not in context.get("body", ""):
        return
    app.add_css_file(STYLE)
    app.add_js_file(SCRIPT, loading_method="defer")
    images = Path(app.outdir) / app.builder.imagedir

    def as_file(match: re.Match[str]) -> str:
        opening, image, data, rest, closing = match.groups()
        content = base64.b64decode(data)
        name = f"widget-{hashlib.sha256(content).hexdigest()[:16]}.png"
        images.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(content)
        address = context["pathto"](f"{app.builder.imagedir}/{name}", 1)
        return f"{opening}<noscript>{image}{address}{rest}</noscript>{closing}"

    context["body"] = FALLBACK.sub(as_file, context["body"])


def setup(app: Sphinx) -> None:
    app.add_config_value("course_widgets", "", "html", str)
    app.connect("config-inited", note)
    app.connect("builder-inited", write)
    app.connect("doctree-read", forget_widget_manager)
    app.connect("html-page-context", bring_to_life)
