"""Figures that read in light and in dark, and for colour-blind readers.

Backgrounds are transparent and every ink has a middle tone, so one picture serves both themes.
Lines differ by dash or marker as well as by colour. Alternative texts stand in the cell that draws.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import torch
from cycler import cycler

INK = "#737b85"
"""Axes, labels, grid: a grey with a contrast of 4.3 : 1 on white and on the dark theme."""

COLORS = {
    "blue": "#2f7fd6",
    "orange": "#c8690a",
    "green": "#1c8c62",
    "pink": "#c2559a",
    "gold": "#9a7b00",
    "violet": "#7f6bd8",
    "red": "#d4483b",
}
"""The line colours, by name; each has a contrast of at least 3 : 1 on both backgrounds."""

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
"""The dash that goes with each colour."""

STYLE: Any = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.transparent": True,
    "legend.facecolor": "none",
    "legend.framealpha": 0.0,
    "legend.edgecolor": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.labelcolor": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=list(COLORS.values())) + cycler(linestyle=DASHES),
    "lines.linewidth": 2.0,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "figure.figsize": (7.0, 3.6),
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
    "image.cmap": "cividis",
}
"""The rcParams of every figure."""


def use_style() -> None:
    """Make :data:`STYLE` the default for the figures that follow (pages call it in their set-up).

    >>> use_style()
    """
    mpl.rcParams.update(STYLE)
    with contextlib.suppress(ImportError):
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        # Outside a notebook the call would start an IPython shell of its own.
        if get_ipython() is not None:
            set_matplotlib_formats("png", bbox_inches="tight", dpi=STYLE["savefig.dpi"])


@contextlib.contextmanager
def style() -> Iterator[None]:
    """:data:`STYLE` for the figures drawn inside the ``with`` block.

    >>> import matplotlib.pyplot as plt
    >>> with style():
    ...     figure = plt.figure()
    >>> plt.close(figure)
    """
    with mpl.rc_context(STYLE):
        yield


def contours(ax: plt.Axes, loss: Any, xlim: tuple[float, float], ylim: tuple[float, float], **kwargs: Any) -> Any:
    """Contour lines of a two-dimensional ``loss`` (maps ``(..., 2)`` to ``(...)``) on ``ax``.

    ``levels`` and the other keywords go to ``Axes.contour``. Returns the contour set.

    >>> from optbias.losses import landscapes
    >>> import matplotlib.pyplot as plt
    >>> figure, axes = plt.subplots()
    >>> lines = contours(axes, landscapes.get("ravine"), (-1, 1), (-1, 1))
    >>> plt.close(figure)
    """
    x = torch.linspace(*xlim, 201, dtype=torch.float64)
    y = torch.linspace(*ylim, 201, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    with torch.no_grad():
        values = loss(grid)
    options: dict[str, Any] = {"levels": 14, "colors": INK, "linewidths": 0.8, "alpha": 0.6} | kwargs
    lines = ax.contour(x.numpy(), y.numpy(), values.numpy(), **options)
    ax.set(xlim=xlim, ylim=ylim, xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
    ax.grid(False)
    return lines


def path(ax: plt.Axes, iterates: Any, label: str, color: str | None = None, **kwargs: Any) -> None:
    """The iterates of one run, ``(steps + 1, 2)``, as a line with small markers and a ringed start.

    >>> import matplotlib.pyplot as plt
    >>> figure, axes = plt.subplots()
    >>> path(axes, torch.tensor([[1.0, 1.0], [0.5, 0.2]]), "two points")
    >>> plt.close(figure)
    """
    points = iterates.detach().cpu().numpy() if hasattr(iterates, "detach") else iterates
    options: dict[str, Any] = {"marker": "o", "markersize": 3, "linewidth": 1.4} | kwargs
    (line,) = ax.plot(points[:, 0], points[:, 1], label=label, color=color, **options)
    ax.plot(*points[0], marker="o", markersize=8, markerfacecolor="none", color=line.get_color(), linestyle="none")
