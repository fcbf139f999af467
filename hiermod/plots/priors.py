"""What was assumed: the density of every prior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hiermod.plots import style
from hiermod.results.priors import PriorDraws

FloatArray = NDArray[np.float64]


def priors(
    shown: Sequence[PriorDraws], *, columns: int = 4, figsize: tuple[float, float] | None = None
) -> Figure:
    """A small panel with the density of every prior.

    Parameters
    ----------
    shown : sequence of PriorDraws
    columns : int
        Panels beside each other.
    figsize : pair of float, optional
        In inches.

    Returns
    -------
    Figure
        A constant is a vertical line; elements of a parameter that differ in distribution have a
        curve each. Far tails are cut off.
    """
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    size = figsize or (max(2.7 * columns, 3.4), 0.4 + 1.75 * rows)
    figure, axs = style.panels(rows, columns, size)
    for ax in axs.flat:
        style.tidy(ax).set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.tick_params(labelsize=8, length=2)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    for ax, prior in zip(axs.flat, shown, strict=False):
        _panel(ax, prior)
    for ax in axs.flat[len(shown) :]:
        ax.set_visible(False)
    figure.supylabel("prior density", fontsize=10)
    return figure


def _panel(ax: Axes, prior: PriorDraws) -> None:
    ax.set_title(f"{style.text(prior.name, 34)}\n{style.text(prior.text, 38)}", fontsize=8, pad=3)
    limits = [_limits(values) for values in prior.draws.values()]
    ends = min(low for low, _ in limits), max(high for _, high in limits)
    for i, (label, values) in enumerate(prior.draws.items()):
        if values.min() == values.max():
            ax.axvline(values[0], **style.chain_style(i), lw=1.8, label=label)
            continue
        points, height = style.density(values, ends)
        if len(prior.draws) == 1:
            ax.fill_between(points, height, color=style.COLORS[i], alpha=0.35, lw=0)
        ax.plot(points, height, **style.chain_style(i), lw=1.3, label=label)
    ax.set_ylim(bottom=0)
    if 1 < len(prior.draws) <= len(style.COLORS):
        ax.legend(fontsize=7, frameon=False, handlelength=1.6, borderaxespad=0.1)


def _limits(values: FloatArray) -> tuple[float, float]:
    """Ends of what is shown of a prior: nearly all of it, but of heavy tails only the beginning.

    Where the draws go hardly farther than what is shown, all are: there the prior has an end.
    """
    low, first, middle, third, high = np.quantile(values, [0.003, 0.25, 0.5, 0.75, 0.997])
    reach = 6 * (third - first)
    low, high = max(low, middle - reach), min(high, middle + reach)
    slack = 0.05 * (high - low)
    low = values.min() if low - values.min() < slack else low
    high = values.max() if values.max() - high < slack else high
    return float(low), float(high)
