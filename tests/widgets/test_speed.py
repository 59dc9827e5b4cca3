"""A slider's move is drawn at once. The exact figure is a benchmark (``make bench``); this bound no machine misses."""

from __future__ import annotations

import pytest

from benchmarks import widgets
from browser import require_chromium


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("label", ["learning rate", "b"])
def test_a_slider_move_is_drawn_within_a_few_frames(label: str) -> None:
    require_chromium()
    times = sorted(widgets.measure(label, moves=20))
    assert len(times) == 20
    assert times[0] > 0
    assert times[len(times) // 4] < 6 * widgets.FRAME, times
