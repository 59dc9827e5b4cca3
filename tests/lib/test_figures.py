"""Figures: inks that read on both themes, a style that can be undone, helpers that draw what they say."""

import subprocess
import sys

import matplotlib as mpl
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from optbias import figures
from optbias.losses import landscapes

BACKGROUNDS = {"light": "#ffffff", "dark": "#14181e"}


@pytest.fixture(autouse=True)
def headless():
    with mpl.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


def luminance(colour):
    """Relative luminance, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_of_contrast():
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_inks_read_on_both_themes(theme):
    assert contrast(figures.INK, BACKGROUNDS[theme]) >= 4
    for name, colour in figures.COLORS.items():
        assert contrast(colour, BACKGROUNDS[theme]) >= 3, name


def test_lines_differ_by_dash_too():
    assert len(figures.DASHES) == len(figures.COLORS) == len(set(figures.COLORS.values()))
    assert len(set(map(str, figures.DASHES))) == len(figures.DASHES)
    with figures.style():
        _, ax = plt.subplots()
        lines = [ax.plot([0, 1])[0] for _ in figures.COLORS]
    assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == len(lines)


def test_the_context_restores_what_was():
    before = dict(mpl.rcParams)
    with figures.style():
        assert mpl.rcParams["text.color"] == figures.INK
        assert mpl.rcParams["figure.facecolor"] == "none"
    assert dict(mpl.rcParams) == before
    with pytest.raises(RuntimeError, match="in the block"), figures.style():
        raise RuntimeError("in the block")
    assert dict(mpl.rcParams) == before


def test_use_style_lasts():
    figures.use_style()
    for key in ("text.color", "axes.edgecolor", "savefig.transparent", "image.cmap"):
        assert mpl.rcParams[key] == figures.STYLE[key]


def test_use_style_starts_no_shell_outside_a_notebook():
    code = "from optbias.figures import use_style; import IPython; use_style(); assert IPython.get_ipython() is None"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_saved_figures_are_transparent(tmp_path):
    with figures.style():
        fig, _ = plt.subplots()
        fig.savefig(tmp_path / "figure.png")
    assert plt.imread(tmp_path / "figure.png")[0, 0, 3] == 0


def test_contours_show_the_loss():
    _, ax = plt.subplots()
    loss = landscapes.get("ravine")
    lines = figures.contours(ax, loss, (-2, 2), (-1, 1), levels=[1.0])
    (level,) = lines.get_paths()
    values = loss(torch.tensor(level.vertices))
    torch.testing.assert_close(values, torch.ones_like(values), rtol=0, atol=2e-3)
    assert ax.get_xlim() == (-2, 2)
    assert ax.get_ylim() == (-1, 1)
    assert ax.get_xlabel() == r"$\theta_1$"


@pytest.mark.parametrize("convert", [lambda x: x, lambda x: x.clone().requires_grad_(True), lambda x: x.numpy()])
def test_a_path_has_its_start_ringed(convert):
    _, ax = plt.subplots()
    iterates = torch.tensor([[1.0, 2.0], [0.5, 1.0], [0.0, 0.0]])
    figures.path(ax, convert(iterates), "a run", color=figures.COLORS["green"], linewidth=3)
    line, ring = ax.lines
    assert line.get_xydata().tolist() == iterates.tolist()
    assert (line.get_label(), line.get_linewidth()) == ("a run", 3)
    assert ring.get_xydata().tolist() == [[1.0, 2.0]]
    assert ring.get_color() == line.get_color() == figures.COLORS["green"]
    assert len(ax.get_legend_handles_labels()[1]) == 1
