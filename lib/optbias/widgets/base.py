"""What every widget shares: an anywidget that is also a picture, and a piece of a page that the website animates."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import math
import os
import re
import sys
from typing import Any, ClassVar

import anywidget
import ipywidgets
import matplotlib.pyplot as plt
import traitlets
from IPython import get_ipython
from PIL import Image

from optbias import figures
from optbias.widgets import bundle

WIDTH = 760
"""Width of the static picture on a page, in CSS pixels."""


class Widget(anywidget.AnyWidget):
    """Base of the widgets. A subclass gives :attr:`kind`, synced traits, :meth:`draw` and :meth:`describe`.

    In a live notebook it is an anywidget. Its output also holds ``text/html``, a ``<div>`` with the state and the
    static picture, which the website's script turns into the same widget, and ``image/png`` for PDF.
    """

    kind: ClassVar[str] = ""
    """The name of the JavaScript file, one of :data:`optbias.widgets.bundle.WIDGETS`."""

    name = traitlets.Unicode("", help="what links in the page call this widget; by default made from its state")

    @traitlets.validate("name")
    def _check_name(self, proposal: Any) -> str:
        if not re.fullmatch(r"[\w-]*", proposal["value"]):
            raise ValueError(f"name must be made of letters, digits, - and _; got {proposal['value']!r}")
        return proposal["value"]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the class the bundled script and style of its :attr:`kind`."""
        if "kind" in cls.__dict__:  # anywidget makes further subclasses, whose traits these would replace
            cls._esm = bundle.module(cls.kind)
            cls._css = bundle.style()
        super().__init_subclass__(**kwargs)

    def draw(self, figure: plt.Figure) -> None:
        """Draw the present state on ``figure`` (as wide as the page's column), for print and where no script runs."""
        raise NotImplementedError

    def describe(self) -> str:
        """What the picture shows, in words, for those who do not see it."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """The traits that Python and the browser share, by name."""
        own = set(self.trait_names(sync=True)) - set(ipywidgets.DOMWidget.class_trait_names())
        return {name: getattr(self, name) for name in sorted(own) if not name.startswith("_")}

    def picture(self) -> bytes:
        """The present state as a PNG file."""
        with figures.style():
            figure = plt.figure(figsize=(7.6, 3.8))
            try:
                self.draw(figure)
                drawn = io.BytesIO()
                figure.savefig(drawn, format="png", dpi=150)
            finally:
                plt.close(figure)
        # A palette makes the file a fifth as large.
        small = io.BytesIO()
        Image.open(drawn).quantize(96, method=Image.Quantize.FASTOCTREE).save(small, format="png", optimize=True)
        return small.getvalue()

    def html(self, picture: bytes | None = None) -> str:
        """The widget as a piece of a page: its state, and the picture that stands there until a script takes over."""
        text = json.dumps(self.state(), sort_keys=True, ensure_ascii=False, allow_nan=False)
        name = self.name or f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        data = base64.b64encode(self.picture() if picture is None else picture).decode()
        return (
            f'<div class="optbias-widget" data-widget="{self.kind}" data-name="{html.escape(name)}" '
            f'data-state="{html.escape(text)}">'
            f'<img alt="{html.escape(self.describe())}" width="{WIDTH}" height="{WIDTH // 2}" loading="lazy" '
            f'src="data:image/png;base64,{data}">'
            "<p>This figure can be moved where scripts run: on the course's website and in a live notebook.</p></div>"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundled = super()._repr_mimebundle_(**kwargs)
        if bundled is None:
            return None
        data, metadata = bundled if isinstance(bundled, tuple) else (bundled, {})
        if not _live():
            del data["application/vnd.jupyter.widget-view+json"]
        picture = self.picture()
        data |= {
            "text/plain": f"{type(self).__name__}: {self.describe()}",
            "text/html": self.html(picture),
            "image/png": base64.b64encode(picture).decode(),
        }
        return data, metadata


def _live() -> bool:
    """Whether the cell is run by a front end that can show widgets, and not by a converter.

    JupyterLab and Notebook say in the request which cell it is; nbclient, on which nbconvert and the book's builder
    stand, says nothing. A converted notebook then shows the picture, where it would otherwise hold an empty
    place for a widget manager that it looks for on the network.
    """
    shell = get_ipython()
    elsewhere = "google.colab" in sys.modules or "VSCODE_PID" in os.environ
    if shell is None or elsewhere or not hasattr(shell, "get_parent"):
        return True
    return bool((shell.get_parent() or {}).get("metadata", True))


def finite(name: str, values: Any, count: int | None = None) -> list[float]:
    """``values`` as a list of ``count`` finite floats; TypeError or ValueError say what is wrong."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be numbers; got {values!r}") from error
    if not all(map(math.isfinite, numbers)) or (count is not None and len(numbers) != count):
        allowed = f"{count} finite numbers" if count is not None else "finite numbers"
        raise ValueError(f"{name} must be {allowed}; got {numbers!r}")
    return numbers
