"""Theorems on the pages: the card that states one, and the role that refers to one with its conditions.

A card, ``:::{theorem} KEY``, is drawn from ``optbias.theory.theorems`` and becomes a numbered block of sphinx-proof.
``{thm}`KEY` `` refers to it where a theorem is repeated: on the screen as a link whose preview (:mod:`.previews`) shows
the whole statement, on paper with its name and conditions written out.
"""

from __future__ import annotations

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

import theorem_cards


class TheoremDirective(SphinxDirective):
    """``:::{theorem} KEY``; what stands in it follows the statement on the card."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        key = self.arguments[0]
        try:
            kind, title, lines = theorem_cards.card(key, list(self.content))
        except ValueError as error:
            raise self.error(str(error)) from error
        for path in theorem_cards.FILES:
            self.env.note_dependency(str(path))
        text = [f":::::{{prf:{kind}}} {title}", f":label: {key}", "", *lines, ":::::"]
        source, _ = self.get_source_info()
        made = nodes.Element()
        made.document = self.state.document
        self.state.nested_parse(StringList(text, source), self.content_offset, made)
        return made.children


class TheoremRole(SphinxRole):
    """``{thm}`KEY` ``, ``{thm}`KEY:part` `` or ``{thm}`words <KEY>` ``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            words, theorem, part = theorem_cards.reference(self.text)
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        for path in theorem_cards.FILES:
            self.env.note_dependency(str(path))
        link = addnodes.pending_xref(
            "",
            nodes.inline("", words or theorem.key, classes=["xref", "prf", "prf-ref"]),
            refdomain="prf",
            reftype="ref",
            reftarget=theorem.key,
            refexplicit=bool(words),
            refdoc=self.env.docname,
            refwarn=True,
        )
        text = f" ({theorem.name}, if: {theorem_cards.conditions(theorem, part)})"
        parsed, messages = self.inliner.parse(text, self.lineno, self.inliner, self.inliner.parent)
        spelled = nodes.inline("", "", *parsed, classes=["thm-conditions"])
        return [nodes.inline("", "", link, spelled, classes=["thm"])], messages


def setup(app: Sphinx) -> None:
    app.add_directive("theorem", TheoremDirective)
    app.add_role("thm", TheoremRole())
