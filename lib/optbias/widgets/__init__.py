"""Figures that answer: widgets that work in the website without a kernel, in JupyterLab and on Colab.

A widget is three things with one name, here ``race``:

``race.js``
    ``export function mount(el, model)`` builds the widget inside ``el`` and returns what undoes it. ``model`` has
    ``get``, ``set``, ``on``, ``off`` (anywidget's in a notebook, ``page.js``'s in the website). It imports from
    ``core.js`` (rules, landscapes, ``simulate``, ``losses``: the mathematics, held against Python by
    ``tests/widgets/test_parity.py``), ``view.js`` (the widget's frame and its controls), ``scales.js`` (of sliders),
    ``plot.js`` (a canvas with axes; ``movable_point.js``, ``contours.js``), ``ink.js`` (colours, lines, markers,
    legends), ``slot_table.js`` (what each rule is made of) and ``elements.js`` (pieces of the page, numbers as text)::

        import { simulate, landscape } from "./core.js";
        import { row } from "./elements.js";
        import { decay } from "./scales.js";
        import { View } from "./view.js";

        export function mount(el, model) {
          const traits = ["beta"];          // all that Python and the browser share
          const view = new View(el, model, { label: "What it is", traits });
          const plot = view.plot({ label: "What is plotted", height: 0.6, x: "step", y: "x" });
          view.panel.append(row(view.slider({ ...view.trait("beta"), label: "β", scale: decay() })));
          return view.draw(() => {            // once per frame, when something changed
            plot.begin({ x: [0, 10], y: [0, 1] });
            plot.line((i) => i, (i) => view.get("beta") ** i, 11, { color: 0 });
            plot.end();
            plot.describe("The powers of beta.");       // for a screen reader
            view.say(`β is ${view.get("beta")}.`);      // the state in words
          });
        }

    Colours, dashes and markers go by number (``COLORS``, ``DASHES``, ``MARKERS``); ink is the host's text colour, so
    a widget does nothing for dark pages. State lives in the model only: read it with ``view.get``, change it with
    ``view.set``. It may come from the page's address, so take nothing for granted: ``NaN``, 0 and nonsense
    must end in a clipped curve or a sentence from ``view.say``, never in an exception. ``plot.handle`` makes a
    point that mouse, finger and arrow keys move; ``view.play`` animates (ask ``reducedMotion()`` first);
    ``view.rebuild`` puts controls up and takes them down; ``plot.background`` keeps what is costly to draw.

``race.py``
    A subclass of :class:`~optbias.widgets.base.Widget` with ``kind = "race"``, the same traits (``.tag(sync=True)``,
    checked by ``@traitlets.validate``), ``draw`` (the picture for print and where no script runs) and ``describe``
    (its words). It computes with ``optbias``, so the picture is also a test of the JavaScript.

``bundle.WIDGETS``
    names it. Imports in the JavaScript are written ``import { a, b } from "./core.js";``, exports ``export function``,
    ``export const`` or ``export class`` at the beginning of a line.

In a page the widget is the last line of a cell, with ``mystnb: figure:`` where it is to be a numbered figure. With
``name="race-ravine"`` links (``#widget=race-ravine:{"shown": 3}``) and predictions (``:shows: race-ravine {...}``) can
set it. ``tests/widgets/test_framework.py`` drives every widget in Chromium: themes, screen reader, phone, nonsense,
every control at every end; what is particular to one widget stands in a test file of its own (``stage`` opens it).
"""

from optbias.widgets.amsgrad_game import AMSGradGame
from optbias.widgets.bias_map import BiasMap
from optbias.widgets.box import Box
from optbias.widgets.explorer import Explorer
from optbias.widgets.phase import Phase
from optbias.widgets.race import Race
from optbias.widgets.slots import Slots

__all__ = ["AMSGradGame", "BiasMap", "Box", "Explorer", "Phase", "Race", "Slots"]
