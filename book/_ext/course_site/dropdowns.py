"""Proofs and solutions with ``:class: dropdown`` become native ``<details>`` elements.

The usual script for this (sphinx-togglebutton) needs a title paragraph, which a proof does not have: it stopped
with an error at the first proof and left every proof and solution of the page open. A ``<details>`` element needs
no script, opens with the keyboard, is found by the browser's search, and says its state to a screen reader.
``course.js`` opens them all for printing.

The transform also removes ids that sphinx-proof and sphinx-exercise repeat on a page (``proof``,
``proof-content``, ``solution-content``, ...), and gives each proof an id of its own.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxTranslator
from sphinx_exercise.nodes import solution_node
from sphinx_proof.nodes import proof_node

REPEATED = re.compile(r"^(proof|[a-z]+-content)$")


class details(nodes.General, nodes.Element):
    """A closed ``<details>``; its first child is its :class:`summary`."""


class summary(nodes.TextElement):
    """The line that stays to be seen."""


def _foldable(node: nodes.Node) -> bool:
    return (
        isinstance(node, nodes.admonition | solution_node)
        and "dropdown" in node["classes"]
        and "sd-dropdown" not in node["classes"]
    )


def _title(node: nodes.Element) -> list[nodes.Node]:
    """Take the title out of ``node``; a proof has none, but begins with the word "Proof."."""
    if node.children and isinstance(node[0], nodes.title):
        title = node[0]
        node.remove(title)
        # A link inside the line that folds would compete with it for the click.
        for link in list(title.findall(nodes.reference)):
            link.replace_self(link.children)
        return list(title.children)
    for text in node.findall(nodes.Text):
        rest = re.sub(r"^Proof\.\s*", "", text.astext())
        if rest != text.astext():
            paragraph = text.parent
            text.parent.replace(text, nodes.Text(rest))
            if not paragraph.astext().strip() and not any(True for _ in paragraph.findall(nodes.image)):
                paragraph.parent.remove(paragraph)
        break
    return [nodes.Text("Proof" if "proof" in node["classes"] else "Details")]


def fold(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if app.builder.format != "html":
        return
    proofs = 0
    for node in list(doctree.findall(nodes.admonition)):
        if "proof" in node["ids"] and isinstance(node.parent, proof_node):
            proofs += 1
            node["ids"] = [f"proof-{proofs}"]
    for node in [n for n in doctree.findall(nodes.Element) if _foldable(n)]:
        heading = summary("", "", *_title(node))
        body = nodes.container("", *node.children, classes=["dropdown-body"], is_div=True)
        node.replace_self(details("", heading, body, ids=node["ids"], classes=["admonition", *node["classes"]]))
    for section in doctree.findall(nodes.section):
        section["ids"] = [name for name in section["ids"] if not REPEATED.match(name)]


def visit_details(self: SphinxTranslator, node: details) -> None:
    self.body.append(self.starttag(node, "details"))


def depart_details(self: SphinxTranslator, node: details) -> None:
    self.body.append("</details>\n")


def visit_summary(self: SphinxTranslator, node: summary) -> None:
    self.body.append(self.starttag(node, "summary", "", CLASS="admonition-title"))


def depart_summary(self: SphinxTranslator, node: summary) -> None:
    self.body.append("</summary>\n")


def setup(app: Sphinx) -> None:
    app.add_node(details, html=(visit_details, depart_details))
    app.add_node(summary, html=(visit_summary, depart_summary))
    app.connect("doctree-resolved", fold)
    app.add_js_file("course.js", loading_method="defer")
