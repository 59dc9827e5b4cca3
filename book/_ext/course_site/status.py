"""The directives of the status page: what was executed, with which versions, and every claim.

The records come from the executed notebooks themselves: a claim leaves its record in its cell's
output (see ``optbias.claims``), the execution leaves its time. The page that shows them is written
again whenever one of the records changed, also in an incremental build.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from optbias.theory.theorems import THEOREMS, plain

from .execution import executed

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "_tools"))

import numerals  # noqa: E402
from project import Project  # noqa: E402

MIME = "application/vnd.optbias.claim+json"
PACKAGES = (
    "optbias",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "ipykernel",
    "jupyter-book",
    "Sphinx",
)
KINDS = {
    "measured": "measured here",
    "theorem": "consequence of a theorem",
    "reported": "reported by a source, reproduced here",
}


class status_table(nodes.General, nodes.Element):
    """Stands for a table until every page was read; ``kind`` says which."""


class StatusDirective(SphinxDirective):
    """One of :data:`TABLES`."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        _store(self.env, "course_status_pages").setdefault(self.env.docname, True)
        return [status_table(kind=self.name)]


def _store(env: BuildEnvironment, name: str) -> dict:
    if not hasattr(env, name):
        setattr(env, name, {})
    return getattr(env, name)


def claims_of(notebook: dict) -> list[dict[str, str]]:
    """The records of the claims that an executed notebook checked, in order."""
    return [
        dict(output["data"][MIME])
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        for output in cell.get("outputs", [])
        if MIME in output.get("data", {})
    ]


def collect(app: Sphinx, doctree: nodes.document) -> None:
    found = executed(app.env, app.env.docname)
    if found is None:
        return
    notebook, seconds = found
    cells = sum(cell["cell_type"] == "code" for cell in notebook["cells"])
    record = {"cells": cells, "seconds": seconds, "claims": claims_of(notebook)}
    _store(app.env, "course_records")[app.env.docname] = record


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _store(env, "course_records").pop(docname, None)
    _store(env, "course_status_pages").pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    for name in ("course_records", "course_status_pages"):
        _store(env, name).update({k: v for k, v in _store(other, name).items() if k in docnames})


def write_again(app: Sphinx, env: BuildEnvironment) -> list[str]:
    shown = (
        [_in_reading_order(env), versions(), _numbers(app), _audited(app)] if _store(env, "course_status_pages") else []
    )
    records = json.dumps(shown, sort_keys=True)
    if getattr(env, "course_status_shown", None) == records:
        return []
    env.course_status_shown = records  # type: ignore[attr-defined]
    return sorted(_store(env, "course_status_pages"))


def versions() -> list[tuple[str, str]]:
    found = [("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    machine = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "64-bit ARM", "arm64": "64-bit ARM"}
    system = {"Darwin": "macOS"}.get(platform.system(), platform.system())
    cores = os.cpu_count()
    return [
        *found,
        ("platform", f"{system} on {machine.get(platform.machine(), platform.machine())}, {cores} CPU cores"),
    ]


def _in_reading_order(env: BuildEnvironment) -> list[tuple[str, dict]]:
    records = _store(env, "course_records")
    order = {name: i for i, name in enumerate(_toctree(env, env.config.root_doc))}
    return sorted(records.items(), key=lambda item: (order.get(item[0], len(order)), item[0]))


def _toctree(env: BuildEnvironment, name: str) -> Iterable[str]:
    yield name
    for child in env.toctree_includes.get(name, []):
        yield from _toctree(env, child)


# -- turning records into tables --------------------------------------------------------------------------------------


def replace(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in list(doctree.findall(status_table)):
        node.replace_self(TABLES[node["kind"]](app, docname))


def _summary(app: Sphinx, docname: str) -> list[nodes.Node]:
    records = _in_reading_order(app.env)
    seconds = sum(record["seconds"] for _, record in records)
    kinds = [claim["kind"] for _, record in records for claim in record["claims"]]
    claims = len(kinds)
    cells = sum(record["cells"] for _, record in records)
    now = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    text = (
        f"State of {time.strftime('%d %B %Y', now).lstrip('0')}: {len(records)} pages with {cells} code cells ran from "
        f"top to bottom without an error, in {seconds:.0f} seconds together, and checked {claims} claims. "
        f"All of them hold: {kinds.count('measured')} measured here, {kinds.count('theorem')} what a theorem says of "
        f"a run that meets its conditions, {kinds.count('reported')} reported by a source."
    )
    return [nodes.paragraph("", text)]


def _execution(app: Sphinx, docname: str) -> list[nodes.Node]:
    rows = [
        [_page_link(app, docname, name), str(record["cells"]), str(len(record["claims"])), f"{record['seconds']:.1f}"]
        for name, record in _in_reading_order(app.env)
    ]
    return [_table(["Page", "Code cells", "Claims", "Seconds"], rows, [5, 2, 2, 2])]


def _versions(app: Sphinx, docname: str) -> list[nodes.Node]:
    return [_table(["What", "Version"], [list(row) for row in versions()], [1, 2])]


def _ledger(app: Sphinx, docname: str) -> list[nodes.Node]:
    made: list[nodes.Node] = []
    for name, record in _in_reading_order(app.env):
        if not record["claims"]:
            continue
        heading = nodes.rubric("", "", _page_link(app, docname, name))
        heading["ids"] = [f"claims-{nodes.make_id(name.rpartition('/')[2])}"]
        rows = []
        for claim in record["claims"]:
            statement = nodes.paragraph("", claim["statement"])
            note = "; ".join(
                filter(None, (KINDS.get(claim["kind"], claim["kind"]), claim["source"], claim.get("ground", "")))
            )
            note += f"; {claim['seeds']} seeds" if claim.get("seeds") else ""
            rows.append(
                [
                    [statement, nodes.paragraph("", note, classes=["claim-note"])],
                    nodes.literal("", claim["measured"]),
                    nodes.literal("", claim["allowed"]),
                ]
            )
        made += [heading, _table(["Claim", "Measured", "Allowed"], rows, [6, 3, 3])]
    return made or [nodes.paragraph("", "No page has checked a claim yet.")]


def _theorems(app: Sphinx, docname: str) -> list[nodes.Node]:
    """Each theorem with its conditions and the number of claims that stand on it."""
    cited = [
        claim["theorem"].partition(":")[0]
        for _, record in _in_reading_order(app.env)
        for claim in record["claims"]
        if claim.get("theorem")
    ]
    order = {name.rpartition("/")[2]: i for i, name in enumerate(_toctree(app.env, app.env.config.root_doc))}
    rows: list[list] = []
    for theorem in sorted(THEOREMS.values(), key=lambda theorem: order.get(theorem.page, len(order))):
        target = next((name for name in app.env.all_docs if name.rpartition("/")[2] == theorem.page), None)
        name = nodes.Text(f"{theorem.kind.capitalize()}: {plain(theorem.name)}")
        if target is not None:
            uri = f"{app.builder.get_relative_uri(docname, target)}#{theorem.key}"
            name = nodes.reference("", "", name, internal=True, refuri=uri)
        conditions = "; ".join(plain(hypothesis.text) for hypothesis in theorem.hypotheses)
        rows.append([name, conditions, str(cited.count(theorem.key))])
    return [_table(["Statement", "Conditions", "Claims"], rows, [4, 7, 1])]


def _loose(app: Sphinx, docname: str) -> list[nodes.Node]:
    rows: list[list] = [
        [
            [nodes.paragraph("", claim["statement"]), nodes.paragraph("", "", _page_link(app, docname, name))],
            nodes.literal("", claim["measured"]),
            nodes.literal("", claim["allowed"]),
            claim["loose"],
        ]
        for name, record in _in_reading_order(app.env)
        for claim in record["claims"]
        if claim.get("loose")
    ]
    if not rows:
        return [nodes.paragraph("", "None: each bound lies within a factor of ten of its value.")]
    return [_table(["Claim", "Measured", "Allowed", "Why not sharper"], rows, [4, 2, 2, 4])]


def _numbers(app: Sphinx) -> dict[str, dict[str, int]]:
    """For each page how many numbers of its text each kind of hand explains."""
    project = Project(Path(app.srcdir))
    values = {
        name.rpartition("/")[2]: [value for claim in record["claims"] for value in claim.get("values", ())]
        for name, record in _store(app.env, "course_records").items()
    }
    checker = numerals.Checker({name: path for name, path in project.pages.items() if path.is_file()}, values)
    return {name: numerals.counts(checker.page(name)[0]) for name in checker.texts}


def _numbers_table(app: Sphinx, docname: str) -> list[nodes.Node]:
    found = {name: counts for name, counts in _numbers(app).items() if counts}
    rows: list[list] = [
        [
            _page_link(app, docname, f"book/{name}"),
            str(sum(counts.values())),
            *(str(counts.get(hand, 0)) for hand in (*numerals.HANDS, "")),
        ]
        for name, counts in found.items()
    ]
    total = [sum(counts.get(hand, 0) for counts in found.values()) for hand in (*numerals.HANDS, "")]
    rows.append(["Together", str(sum(total)), *map(str, total)])
    heads = ["Page", "Numbers", *(hand.capitalize() for hand in numerals.HANDS), "Unexplained"]
    return [_table(heads, rows, [4, 2, 2, 2, 2, 2, 2, 2, 2])]


def _audited(app: Sphinx) -> dict:
    path = Path(app.srcdir) / "results" / "audit" / "audit.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _audit(app: Sphinx, docname: str) -> list[nodes.Node]:
    found = _audited(app)
    if not found:
        return [nodes.paragraph("", "No audit is recorded here; `make audit` runs one.")]
    made, claims = found["provenance"], [c for page in found["claims"].values() for c in page.values()]
    refusing = sum(isinstance(claim, list) for claim in claims)
    text = (
        f"Recorded on {made['date']} ({made['runs']:,} of {made['planned']:,} planned runs of pages, "
        f"{made['cpu_seconds'] / 60:.0f} minutes of computing): "
        f"{len(found['mutations'])} mutations, {sum(bool(m['refused']) for m in found['mutations'])} of them refused; "
        f"{refusing} of {len(claims)} claims on {len(found['claims'])} pages refuse at least one."
    )
    rest = [
        f"{sum(claim == key for claim in claims)} claims refuse none: {why}."
        for key, why in found["reasons"].items()
        if key in claims
    ]
    came, went = _since(found["claims"], _in_reading_order(app.env))
    if came or went:
        rest.append(
            f"The pages have changed since: {came} of their claims are not in this table, and {went} that are have "
            "gone or have other words. `make audit` runs the changed pages again."
        )
    rows: list[list] = []
    for mutation in found["mutations"]:
        by = "; ".join(
            f"{page}: {statements[0]}" + (f" (and {len(statements) - 1} more)" if len(statements) > 1 else "")
            for page, statements in mutation["refused"].items()
        )
        rows.append([mutation["name"], nodes.literal("", mutation["file"]), by or "nobody"])
    silent: list[list] = [
        [_page_link(app, docname, f"book/{page}"), statement, found["reasons"][why]]
        for page, statements in found["claims"].items()
        for statement, why in statements.items()
        if isinstance(why, str)
    ]
    return [
        *(nodes.paragraph("", line) for line in (text, *rest)),
        _table(["Mutation", "File", "Refused by"], rows, [3, 2, 6]),
        nodes.rubric("", "Claims that refuse no mutation"),
        _table(["Page", "Claim", "Why"], silent, [2, 5, 4]),
    ]


def _since(audited: dict[str, dict], records: list[tuple[str, dict]]) -> tuple[int, int]:
    """How many claims of the pages built here the audit does not know, and how many of its own are there no more."""
    came = went = 0
    for name, record in records:
        known = set(audited.get(name.rpartition("/")[2], ()))
        now = {claim["statement"] for claim in record["claims"]}
        came, went = came + len(now - known), went + len(known - now)
    return came, went


def _page_link(app: Sphinx, docname: str, target: str) -> nodes.Node:
    title = app.env.titles[target].astext() if target in app.env.titles else target
    uri = app.builder.get_relative_uri(docname, target)
    return nodes.reference("", title, internal=True, refuri=uri)


def _table(head: list[str], rows: list[list], widths: list[int]) -> nodes.table:
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *[_row(row) for row in rows])
    return nodes.table("", group, classes=["status-table"])


def _row(cells: list) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        if isinstance(cell, list):
            content = cell
        elif isinstance(cell, nodes.Node):
            content = [nodes.paragraph("", "", cell)]
        else:
            content = [nodes.paragraph("", cell)]
        row += nodes.entry("", *content)
    return row


TABLES = {
    "claims-ledger": _ledger,
    "execution-table": _execution,
    "versions-table": _versions,
    "build-summary": _summary,
    "theorems-table": _theorems,
    "loose-claims": _loose,
    "numbers-table": _numbers_table,
    "audit-table": _audit,
}
"""The directives of the status page and what makes their contents."""


def setup(app: Sphinx) -> None:
    app.add_node(status_table)
    for name in TABLES:
        app.add_directive(name, StatusDirective)
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("env-updated", write_again)
    app.connect("doctree-resolved", replace)
