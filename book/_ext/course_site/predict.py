"""``{predict}``: a question that the reader answers before the page does.

::

    :::{predict}
    Does momentum need fewer or more steps?

    - [ ] fewer
    - [x] more

    More: 83 instead of 61.
    :::

First the question, then the choices as a task list (right ones marked; without choices there is a line to write in),
then the answer, which may be left out where the page goes on with it. The reader chooses and commits; then the answer
opens and the choices say which was right. The choice is kept in the page only (``course.js``). Without scripts the
answer is folded. ``:shows: NAME {"trait": value}`` also sets a widget of the page (``name=`` in its cell) when the
reader commits.
"""

from __future__ import annotations

import json
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from predictions import parts


class predict_form(nodes.General, nodes.Element):
    """The choices, and the button that commits one."""


class predict_choice(nodes.General, nodes.TextElement):
    """One choice; ``right`` says whether it is the right one."""


def shown(text: str) -> str:
    """The option ``:shows:``: a widget's name and the state to set, checked."""
    name, _, state = directives.unchanged_required(text).strip().partition(" ")
    if not isinstance(json.loads(state or "{}"), dict):
        raise ValueError('shows: must be NAME {"trait": value, ...}')
    return json.dumps({"name": name, "state": json.loads(state or "{}")}, sort_keys=True)


class PredictDirective(SphinxDirective):
    """See the module's text."""

    has_content = True
    option_spec = {"shows": shown}

    def run(self) -> list[nodes.Node]:
        try:
            question, choices, answer = parts(list(self.content))
        except ValueError as error:
            raise self.error(str(error)) from error
        serial = self.env.new_serialno("predict") + 1
        box = nodes.admonition("", classes=["predict"])
        box += nodes.title("", "Predict")
        asked = nodes.container("", ids=[f"predict-{serial}"], is_div=True)
        self._parse(question, asked)
        box += asked
        form = predict_form("", number=serial, shows=self.options.get("shows", ""))
        for right, text, at in choices:
            holder = nodes.Element()
            self.state.nested_parse(StringList([text], source="predict"), self.content_offset + at, holder)
            inline = [child for part in holder.children for child in part.children]
            form += predict_choice("", "", *inline, right=right, number=serial)
        box += form
        if any(self.content[i].strip() for i in answer):
            reveal = nodes.admonition("", classes=["dropdown", "predict-answer"])
            reveal += nodes.title("", "Answer")
            self._parse(answer, reveal)
            box += reveal
        return [box]

    def _parse(self, lines: range, into: nodes.Element) -> None:
        text = StringList([self.content[i] for i in lines], source="predict")
        self.state.nested_parse(text, self.content_offset + (lines[0] if lines else 0), into)


def visit_form(self: Any, node: predict_form) -> None:
    number = node["number"]
    shows = self.attval(node["shows"]) if node["shows"] else ""
    self.body.append(f'<form class="predict-form"{f" data-shows={chr(34)}{shows}{chr(34)}" if shows else ""}>\n')
    if node.children:
        self.body.append(f'<div role="radiogroup" aria-labelledby="predict-{number}">\n')
    else:
        self.body.append('<label class="predict-line">Your prediction <input type="text" autocomplete="off"></label>\n')


def depart_form(self: Any, node: predict_form) -> None:
    if node.children:
        self.body.append("</div>\n")
    self.body.append(
        '<button type="submit" class="predict-commit" hidden>Commit</button>\n'
        '<p class="predict-verdict" role="status"></p>\n</form>\n'
    )


def visit_choice(self: Any, node: predict_choice) -> None:
    right = ' data-right=""' if node["right"] else ""
    self.body.append(
        f'<label class="predict-choice"{right}><input type="radio" name="predict-{node["number"]}"> <span>'
    )


def depart_choice(self: Any, node: predict_choice) -> None:
    self.body.append("</span></label>\n")


def visit_nothing(self: Any, node: nodes.Node) -> None:
    """A form cannot be filled in on paper."""


def visit_item(self: Any, node: predict_choice) -> None:
    self.body.append("\n\n$\\circ$~")


def setup(app: Sphinx) -> None:
    paper = (visit_nothing, visit_nothing)
    app.add_node(predict_form, html=(visit_form, depart_form), latex=paper, text=paper)
    app.add_node(predict_choice, html=(visit_choice, depart_choice), latex=(visit_item, visit_nothing), text=paper)
    app.add_directive("predict", PredictDirective)
