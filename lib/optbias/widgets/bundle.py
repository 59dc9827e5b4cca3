"""Put the widgets' JavaScript files together: no Node, no bundler.

Each file becomes a function scope that returns what it exports, so names of different files cannot
collide. The files may say ``import { a, b as c } from "./core.js"`` and ``export function``,
``export class`` or ``export const``, each at the beginning of a line; anything else of the two
keywords is refused.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
WIDGETS = ("race", "phase", "amsgrad_game", "box", "bias_map", "explorer", "slots")
"""Every widget: the name of its JavaScript file, which exports ``mount(el, model)``."""

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', re.M)
_EXPORT = re.compile(r"^export (?=(?:function\*?|class|const) (\w+))", re.M)
_LEFT = re.compile(r"^\s*(?:import|export)\b.*$", re.M)


def _source(name: str) -> str:
    path = FOLDER / f"{name}.js"
    if not path.is_file():
        found = ", ".join(sorted(p.stem for p in FOLDER.glob("*.js")))
        raise ValueError(f"name must be that of a JavaScript file of the widgets ({found}); got {name!r}")
    return path.read_text(encoding="utf-8")


def scopes(*names: str) -> str:
    """``const NAME = (() => {...})();`` for each file named and each that it imports, in an order that runs."""
    done: dict[str, str] = {}

    def add(name: str, above: tuple[str, ...] = ()) -> None:
        if name in above:
            raise ValueError(f"the JavaScript files import each other in a circle: {' -> '.join((*above, name))}")
        if name in done:
            return
        text = _source(name)
        for names, imported in _IMPORT.findall(text):
            if re.search(rf"\b{imported}\s*(?:,|$)", names):
                raise ValueError(f"{name}.js imports a name that is its file's own: {imported}; rename one of the two")
            add(imported, (*above, name))
        exported = _EXPORT.findall(text)
        text = _EXPORT.sub("", _IMPORT.sub(lambda m: f"const {{{m[1].replace(' as ', ': ')}}} = {m[2]};", text))
        if left := _LEFT.search(text):
            raise ValueError(f"{name}.js has an import or export of a kind that the bundle does not know: {left[0]!r}")
        done[name] = f"const {name} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();\n"

    for name in names:
        add(name)
    return "".join(done.values())


def module(name: str) -> str:
    """The ES module of one widget, as anywidget wants it."""
    return f"{scopes(name)}export default {{ render: ({{ model, el }}) => {name}.mount(el, model) }};\n"


def page_script() -> str:
    """The one classic script of the website: it mounts every widget that it finds in the page."""
    table = ", ".join(f"{name}: {name}.mount" for name in WIDGETS)
    return f'(() => {{\n"use strict";\n{scopes("page", *WIDGETS)}page.mountAll({{ {table} }});\n}})();\n'


def style() -> str:
    """The style sheet of all widgets."""
    return (FOLDER / "widgets.css").read_text(encoding="utf-8")
