"""The instructor's report: one static page, no script, nothing loaded. And the same as JSON."""

from __future__ import annotations

import html
import json
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optbias.grading import plain
from optbias.grading.assignment import Assignment
from optbias.grading.session import STATES, Result

_PLACE = re.compile(r"^(?:params|state\['\w+'\]) after step \d+: ")


def misconceptions(of: Assignment, results: Mapping[str, Result], most: int = 15) -> list[tuple[str, str, int]]:
    """What went wrong most often: the task, the words, and for how many students."""
    counted: Counter[tuple[str, str]] = Counter()
    for result in results.values():
        if result.state == "rejected":
            continue
        said = {
            (of.task(test), _PLACE.sub("", text.partition(": ")[2] or text)) for test, text in result.messages.items()
        }
        counted.update(said)
    return [(task, words, count) for (task, words), count in counted.most_common(most)]


def summary(of: Assignment, results: Mapping[str, Result]) -> dict[str, Any]:
    """The report as plain data."""
    looked_at = [result for result in results.values() if result.state in ("graded", "repaired")]
    rates = {
        task: sum(all(result.scores.get(test) for test in tests) for result in looked_at)
        for task, tests in of.tasks.items()
    }
    parts = {test: sum(bool(result.scores.get(test)) for result in looked_at) for test in of.tests}
    return {
        "assignment": of.name,
        "tests": of.version,
        "students": len(results),
        "states": {state: sum(result.state == state for result in results.values()) for state in STATES},
        "whole_tasks_right": rates,
        "tests_passed": parts,
        "looked_at": len(looked_at),
        "misconceptions": [
            {"task": task, "words": words, "students": count} for task, words, count in misconceptions(of, results)
        ],
        "submissions": {
            name: {key: value for key, value in result.as_dict().items() if key != "notebook"}
            | {"points": result.points, "waits": [one for one, score in result.scores.items() if score is None]}
            for name, result in sorted(results.items())
        },
    }


def write(of: Assignment, results: Mapping[str, Result], page: Path, *, seed: bool, sandbox: bool) -> None:
    """Write the page, and the same as JSON beside it; each whole or not at all."""
    data = summary(of, results)
    data["exam_seed_set"], data["sandbox"] = seed, sandbox
    whole(page.with_suffix(".json"), json.dumps(data, ensure_ascii=False, indent=1) + "\n")
    whole(page, _page(of, results, data))


def whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", errors="replace", newline="")
    os.replace(part, path)


# -- the page ----------------------------------------------------------------------------------------------------------

_STYLE = """
body { max-width: 68rem; margin: 1rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; margin: .5rem 0; } .wide { overflow-x: auto; }
th, td { border: 1px solid #bbb; padding: .2rem .55rem; text-align: left; vertical-align: top; }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.warn { border-left: .3rem solid #b3261e; padding-left: .8rem; } summary { cursor: pointer; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
svg .bar { fill: #3b6ea8; } svg .rest { fill: #d9dfe6; }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #16181b; } th, td { border-color: #555; }
  svg .bar { fill: #7fb0e6; } svg .rest { fill: #333a42; } }
"""


def text(value: Any) -> str:
    """Text that stays text in a page."""
    return html.escape(plain.shortened(str(value), 2000))


def _page(of: Assignment, results: Mapping[str, Result], data: Mapping[str, Any]) -> str:
    most, states = sum(of.points.values()), data["states"]
    told = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    parts = [
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{text(of.name)}: report</title><style>{_STYLE}</style></head><body>",
        f"<h1>{text(of.name)}</h1><p>{data['students']} submissions: {text(told) or 'none'}. "
        f"{most:g} points in all, {sum(of.points[name] for name in of.written):g} of them graded by a person.</p>",
    ]
    if not data["exam_seed_set"]:
        parts.append(
            "<p class='warn'><strong>The exam seed was not set</strong> (OPTBIAS_EXAM_SEED): the hidden tests drew the "
            "numbers that anybody with a copy of the repository can draw.</p>"
        )
    if not data["sandbox"]:
        parts.append("<p class='warn'><strong>Graded without a sandbox:</strong> student code ran as the grader.</p>")
    parts += ["<h2>Points</h2>", histogram([result.points for result in results.values()], most)]
    parts += ["<h2>Tasks</h2><p>The share of the notebooks in which every test of the task passed.</p>"]
    parts.append(shares(data["whole_tasks_right"], data["looked_at"]))
    parts.append("<details><summary>Test by test</summary><table><tr><th>test</th><th>points</th><th>passed</th>"
                 "<th>looks at</th></tr>")  # fmt: skip
    parts += [
        f"<tr><td>{text(test)}</td><td class='n'>{of.points[test]:g}</td>"
        f"<td class='n'>{count} of {data['looked_at']}</td><td>{text(of.about[test])}</td></tr>"
        for test, count in data["tests_passed"].items()
    ]
    parts.append("</table></details><h2>What went wrong most often</h2><table><tr><th>students</th><th>task</th>"
                 "<th>what the test said</th></tr>")  # fmt: skip
    parts += [
        f"<tr><td class='n'>{one['students']}</td><td>{text(one['task'])}</td><td>{text(one['words'])}</td></tr>"
        for one in data["misconceptions"]
    ]
    parts.append("</table>")
    parts += _special(results)
    parts += ["<h2>Time</h2>", times(results)]
    parts += ["<h2>All submissions</h2><div class='wide'><table><tr><th>student</th><th>state</th><th>points</th>"
              "<th>waits</th><th>seconds</th><th>notes</th></tr>"]  # fmt: skip
    for name, result in sorted(results.items()):
        waits = sum(of.points[one] for one, score in result.scores.items() if score is None)
        notes = "; ".join([*result.reasons, *result.notes])
        parts.append(
            f"<tr><td>{text(name)}</td><td>{text(result.state)}</td><td class='n'>{result.points:g}</td>"
            f"<td class='n'>{waits:g}</td><td class='n'>{result.seconds:.1f}</td><td>{text(notes)}</td></tr>"
        )
    parts.append("</table></div></body></html>\n")
    return "".join(parts)


def _special(results: Mapping[str, Result]) -> list[str]:
    parts = []
    for state, title in (("rejected", "Rejected"), ("failed", "Failed"), ("repaired", "Repaired")):
        chosen = {name: result for name, result in sorted(results.items()) if result.state == state}
        if chosen:
            parts.append(f"<h2>{title}</h2><ul>")
            parts += [f"<li>{text(name)}: {text('; '.join(result.reasons))}</li>" for name, result in chosen.items()]
            parts.append("</ul>")
    odd = {name: result.suspicious for name, result in sorted(results.items()) if result.suspicious}
    if odd:
        parts.append("<h2>Worth a look</h2><p>Words in the code that a cheat would need, and that may well be "
                     "harmless. No points were changed by this.</p><ul>")  # fmt: skip
        parts += [f"<li>{text(name)}: {text('; '.join(found))}</li>" for name, found in odd.items()]
        parts.append("</ul>")
    return parts


def shares(counts: Mapping[str, int], of: int) -> str:
    """A bar for each task."""
    if not of:
        return "<p>None.</p>"
    rows = []
    for row, (name, count) in enumerate(counts.items()):
        y, width = 24 * row, 360 * count / of
        rows.append(
            f"<text x='0' y='{y + 15}'>{text(name)}</text>"
            f"<rect class='rest' x='220' y='{y + 3}' width='360' height='16'/>"
            f"<rect class='bar' x='220' y='{y + 3}' width='{width:.1f}' height='16'/>"
            f"<text x='590' y='{y + 15}'>{count} of {of}</text>"
        )
    said = "; ".join(f"{name} {count} of {of}" for name, count in counts.items())
    return (
        f"<svg role='img' aria-label='{text(said)}' viewBox='0 0 680 {24 * len(counts)}' width='100%' "
        f"style='max-width:680px'>{''.join(rows)}</svg>"
    )


def histogram(points: Sequence[float], most: float) -> str:
    """How many submissions have how many points, in ten classes."""
    if not points or most <= 0:
        return "<p>None.</p>"
    counts = [0] * 10
    for value in points:
        counts[min(9, max(0, math.floor(10 * value / most)))] += 1
    bars = []
    for number, count in enumerate(counts):
        height = 100 * count / max(counts)
        low, high = most * number / 10, most * (number + 1) / 10
        bars.append(
            f"<rect class='bar' x='{64 * number + 4}' y='{120 - height:.1f}' width='56' height='{height:.1f}'/>"
            f"<text x='{64 * number + 32}' y='{112 - height:.1f}' text-anchor='middle'>{count or ''}</text>"
            f"<text x='{64 * number + 32}' y='136' text-anchor='middle'>{low:.3g}-{high:.3g}</text>"
        )
    middle = sorted(points)[len(points) // 2]
    said = f"points of {len(points)} submissions, median {middle:g}; counts by tenths of {most:g}: {counts}"
    return (
        f"<svg role='img' aria-label='{text(said)}' viewBox='0 0 640 142' width='100%' style='max-width:640px'>"
        f"{''.join(bars)}</svg>"
        f"<p>Median {middle:g} of {most:g} points (written answers count when they are graded).</p>"
    )


def times(results: Mapping[str, Result]) -> str:
    """How long grading took: the whole, the middle, the longest ones."""
    if not results:
        return "<p>None.</p>"
    seconds = sorted(result.seconds for result in results.values())
    longest = sorted(results.values(), key=lambda result: -result.seconds)[:5]
    said = ", ".join(f"{text(result.student)} {result.seconds:.1f} s" for result in longest)
    peak = max(result.peak_mib for result in results.values())
    return (
        f"<p>{sum(seconds):.0f} seconds in all, median {seconds[len(seconds) // 2]:.2f} a submission. Longest: {said}. "
        f"Most memory of one: {peak} MiB beside what it shares.</p>"
    )


def students_page(of: Assignment, result: Result) -> str:
    """A student's feedback where there is no nbgrader: the questions, their points, what to know."""
    rows = []
    for name, most in of.points.items():
        score = result.scores.get(name)
        worth = "–" if score is None else f"{score:g}"
        said = result.messages.get(name) or ("A person grades this." if score is None else "All checks passed.")
        if score == 0.0 and name in of.written and not result.messages.get(name):
            said = "Not answered."
        rows.append(f"<tr><td>{text(name)}</td><td class='n'>{worth} / {most:g}</td><td>{text(said)}</td></tr>")
    notes = "; ".join([*result.reasons, *result.notes])
    return (
        f"<section id='{text(result.student)}'><h2>{text(result.student)}: {result.points:g} points</h2>"
        f"<p>{text(result.state)}{': ' + text(notes) if notes else ''}</p>"
        f"<table><tr><th>question</th><th>points</th><th>what to know</th></tr>{''.join(rows)}</table></section>"
    )
