"""What all plots share: colours, figures, densities, tick labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

FloatArray = NDArray[np.float64]

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#222222"
"""The palette of Okabe and Ito (2008), "Color Universal Design", without its yellow."""

GREY = "#8C8C8C"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY, BLACK)
LINES = ("-", "--", "-.", ":")


class Panels(Figure):
    """A figure that a notebook shows once, also where it is the value of a cell."""

    def _ipython_display_(self) -> None:
        """Close the figure before it is shown: a notebook shows open ones when a cell ends."""
        if "inline" in matplotlib.get_backend():
            plt.close(self)
        raise NotImplementedError  # tells IPython to go on and show the figure


def panels(
    rows: int, columns: int, figsize: tuple[float, float], **options: Any
) -> tuple[Figure, NDArray[Any]]:
    """A figure and its axes, shape (rows, columns), with room made for labels and legends."""
    return plt.subplots(
        rows,
        columns,
        figsize=figsize,
        squeeze=False,
        layout="constrained",
        FigureClass=Panels,
        **options,
    )


def axes(ax: Axes | None, figsize: tuple[float, float]) -> Axes:
    """The axes given, or those of a new figure."""
    if ax is None:
        ax = plt.subplots(figsize=figsize, layout="constrained")[1]
    return tidy(ax)


def tidy(ax: Axes) -> Axes:
    """Axes without the frame at the top and on the right."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def chain_style(chain: int) -> dict[str, Any]:
    """Colour and line style of a chain."""
    return {"color": COLORS[chain % len(COLORS)], "linestyle": LINES[chain % len(LINES)]}


def density(
    values: FloatArray, ends: tuple[float, float] | None = None, *, bins: int = 400
) -> tuple[FloatArray, FloatArray]:
    """Kernel density estimate with reflection at the ends of the range.

    A Gaussian kernel with Silverman's bandwidth (Silverman 1986, equation 3.31). Reflection keeps
    the density of, say, a standard deviation from leaking below zero.

    Parameters
    ----------
    values : array, shape (n,)
        Not all the same.
    ends : pair of float, optional
        Range of the estimate; by default that of the values.
    bins : int
        Number of points B.

    Returns
    -------
    points, density : arrays, shape (B,)

    Examples
    --------
    >>> points, height = density(np.random.default_rng(1).normal(size=2000))
    >>> float(np.round(np.trapezoid(height, points), 2))
    1.0
    """
    low, high = ends if ends is not None else (values.min(), values.max())
    count, edges = np.histogram(values, bins=bins, range=(low, high), density=False)
    width = edges[1] - edges[0]
    quartiles = np.quantile(values, [0.25, 0.75])
    spread = min(values.std(), np.diff(quartiles)[0] / 1.34) or values.std()
    bandwidth = 0.9 * spread * len(values) ** -0.2
    height = gaussian_filter1d(count / (len(values) * width), bandwidth / width, mode="reflect")
    return (edges[:-1] + edges[1:]) / 2, height


def percent(probability: float) -> str:
    """A probability in words.

    Examples
    --------
    >>> percent(0.9), percent(0.955)
    ('90 %', '95.5 %')
    """
    return f"{100 * probability:.4g} %"


def text(value: Any, longest: int = 18) -> str:
    """A level or a value as a label that is not too long.

    Examples
    --------
    >>> text(10.0), text("a very long name of a county")
    ('10', 'a very long name …')
    """
    number = isinstance(value, float | np.floating)
    out = f"{value:g}" if number else str(value).strip()
    return out if len(out) <= longest else out[: longest - 2].rstrip() + " …"


def level_ticks(ax: Axes, labels: Iterable[Any], width: float) -> None:
    """Label the levels at x = 0, 1, ... so that the labels do not touch.

    Parameters
    ----------
    ax : Axes
    labels : iterable, length J
    width : float
        Of the axes, in inches.

    Notes
    -----
    Long labels are turned; where even these do not fit there are none.
    """
    names = [text(label) for label in labels]
    room = 72 * width / max(len(names), 1)  # points for each label
    longest = max(map(len, names), default=1)
    level = min((room - 2.5) / (0.64 * longest), 9.0)  # size of labels that are not turned
    turned = level < 6.5
    size = min(0.85 * room, 8.5) if turned else level
    if size < 5:
        ax.set_xticks([])
        return
    ax.set_xticks(range(len(names)), names, fontsize=size, rotation=90 if turned else 0)
    ax.tick_params(axis="x", length=2)
