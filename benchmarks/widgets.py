"""The race in Chromium: from a slider's move to the picture, 2,000 steps of six rules, as a part of a 60 Hz frame."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book" / "_tools"), str(ROOT / "tests" / "book")]

from browser import chromium, launched  # noqa: E402
from optbias import rules, widgets  # noqa: E402
from optbias.widgets import bundle  # noqa: E402

FRAME = 1000 / 60
"""Milliseconds."""
MOVES = 60
"""Slider moves in one repetition, after those of WARM that are not counted."""
WARM = 30
"""Moves in which the browser compiles what it runs."""
SIX = (
    rules.GradientDescent(0.01),
    rules.Momentum(0.01, 0.9),
    rules.RMSProp(0.003),
    rules.Adam(0.01),
    rules.AMSGrad(0.01),
    rules.AdamW(0.01),
)

# One move: the slider's event, the frame that draws, and the main thread free again after the frame was handed on.
MEASURE = """async ([label, warm, moves]) => {
  const slider = [...document.querySelectorAll(".ob-slider")].find((one) => one.textContent.startsWith(label));
  slider.closest("details")?.setAttribute("open", "");
  const input = slider.querySelector("input"), channel = new MessageChannel(), last = +input.max, times = [];
  const free = () => new Promise((done) => { channel.port1.onmessage = done; channel.port2.postMessage(0); });
  for (let move = -warm; move < moves; move++) {
    await new Promise((done) => setTimeout(done, 20));
    input.value = Math.round(last * (0.45 + 0.1 * Math.abs(((move + warm) % 20) / 10 - 1)));
    // Asked for before the widget asks for its own, so that it comes first in the frame.
    const frame = new Promise((done) => requestAnimationFrame(() => done(performance.now())));
    const before = performance.now();
    input.dispatchEvent(new Event("input", { bubbles: true }));
    const handled = performance.now() - before, start = await frame;
    await free();
    if (move >= 0) times.push(handled + performance.now() - start);
  }
  return times;
}"""


def page() -> str:
    """A page with one race of six rules over 2,000 steps."""
    race = widgets.Race("rosenbrock", rules=SIX, steps=2000, name="benchmark")
    return (
        f"<!doctype html><meta charset=utf-8><title>Race</title><style>{bundle.style()}</style>"
        f'<body style="max-width:760px;margin:auto">{race.html()}<script>{bundle.page_script()}</script>'
    )


def measure(label: str, moves: int = MOVES) -> list[float]:
    """Milliseconds of each move of the slider whose label begins with ``label``; RuntimeError without a Chromium."""
    program = chromium()
    if program is None:
        raise RuntimeError("no Chromium was found; the widgets' benchmark needs one")
    with tempfile.TemporaryDirectory() as folder, launched(program) as browser:
        file = Path(folder) / "race.html"
        file.write_text(page(), encoding="utf-8")
        window = browser.new_page(viewport={"width": 1000, "height": 900})
        window.goto(file.as_uri())
        return window.evaluate(MEASURE, [label, WARM, moves])


def run(repeats: int) -> dict[str, Any]:
    """Time the moves of a rule's slider (one rule is run again) and of a landscape's (all six are, and the map)."""
    print(f"\nA slider's move in a race of six rules over 2,000 steps, relative to a frame of {FRAME:.1f} ms")
    found: dict[str, Any] = {"frame": FRAME, "moves": repeats * MOVES}
    for name, label in (("one rule's learning rate", "learning rate"), ("the landscape's b", "b")):
        times = sorted(time for _ in range(repeats) for time in measure(label))
        median, high = statistics.median(times), times[int(0.99 * len(times))]
        found[name] = {"median": median / FRAME, "99th percentile": high / FRAME}
        print(
            f"  {name:<26} median {median / FRAME:5.2f} x, 99th percentile {high / FRAME:5.2f} x"
            f" ({high:.1f} ms)   (target: at most 0.96 x)"
        )
    return found


if __name__ == "__main__":
    print(json.dumps(run(3)))
