"""Whether the model could have made the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hiermod import results
from hiermod.errors import ModelError, did_you_mean
from hiermod.plots import style

FloatArray = NDArray[np.float64]

MOST_FOR_COUNTS = 1000
"""Predictive draws that the intervals of a bar chart are made of."""

TAILS = {"posterior_predictive": 0.001, "prior_predictive": 0.05}
"""Share of the predictions on either side that is not shown; those of priors can go very far."""


def ppc(
    idata: Any,
    response_name: str,
    *,
    group: str = "posterior_predictive",
    ax: Axes | None = None,
    draws: int = 50,
    interval: float = 0.9,
    bins: int = 24,
    levels: Sequence[str] = (),
    first: int = 1,
    figsize: tuple[float, float] = (7.0, 4.0),
) -> Axes:
    """Observed responses beside ones that the model predicts.

    Continuous responses are compared by their densities; whole numbers by how often each value,
    or range of values, occurs: bars for the data, points and intervals for the predictions
    (Gabry, Simpson, Vehtari, Betancourt and Gelman 2019, section 4). Of a response of several
    columns the mean of each is shown so.

    Parameters
    ----------
    idata : InferenceData or DataTree
        With the groups ``observed_data`` and `group`.
    response_name : str
    group : str
        Where the predictions are: ``"posterior_predictive"``, or ``"prior_predictive"``.
    ax : Axes, optional
    draws : int
        Predictive draws whose densities are shown.
    interval : float
        Probability of the intervals of the counts.
    bins : int
        Most bars; beyond them, neighbouring values share one.
    levels : sequence of str
        Names of the values of a response of categories, or of its columns.
    first : int
        The value that the first of `levels` names; the next ones follow.
    figsize : pair of float
        In inches, of the new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError
        If a group or the response is missing, or `group` is another.
    """
    if group not in TAILS:
        raise ModelError(f"group must be {' or '.join(map(repr, TAILS))}, not {group!r}.")
    observed, predicted = _values(idata, response_name, group)
    ax = style.axes(ax, figsize)
    if observed.ndim == 2:
        _columns(ax, observed, _thin(predicted, MOST_FOR_COUNTS), interval)
    elif np.array_equal(observed, np.round(observed)):
        _counts(ax, observed, _thin(predicted, MOST_FOR_COUNTS), interval, bins, TAILS[group])
    else:
        _densities(ax, observed, _thin(predicted, draws), TAILS[group])
        ax.set(yticks=[], ylabel="density")
        ax.spines["left"].set_visible(False)
    if levels:
        crowded = sum(map(len, levels)) > 60  # characters that fit side by side
        ax.set_xticks(range(first, first + len(levels)), levels)
        if crowded:
            ax.tick_params(axis="x", rotation=30)
            for label in ax.get_xticklabels():
                label.set_horizontalalignment("right")
    ax.set_xlabel(response_name)
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    return ax


def _values(idata: Any, name: str, predictions: str) -> tuple[FloatArray, FloatArray]:
    """Observed responses, shape (N,) or (N, K), and predictions, shape (S, *that)."""
    verb = "add_prior" if predictions == "prior_predictive" else "add_posterior_predictive"
    for group in ("observed_data", predictions):
        if not results.has_group(idata, group):
            raise ModelError(
                f"the inference data have no group {group!r}: fit.{verb}() adds the predictions."
            )
    found = results.group(idata, predictions)
    if name not in found:
        raise ModelError(
            f"there is no response {name!r}. {did_you_mean(name, map(str, found.data_vars))}"
        )
    observed = results.group(idata, "observed_data")[name].to_numpy()
    predicted = found[name].transpose("chain", "draw", ...).to_numpy()
    return observed, predicted.reshape(-1, *observed.shape)


def _thin(draws: FloatArray, most: int) -> FloatArray:
    """No more than so many draws, evenly spaced."""
    return draws[np.unique(np.linspace(0, len(draws) - 1, most).astype(int))]


def _densities(ax: Axes, observed: FloatArray, predicted: FloatArray, tail: float) -> None:
    # The far tails of a few draws would squeeze the rest.
    low, high = np.quantile(predicted, [tail, 1 - tail])
    ends = (min(low, observed.min()), max(high, observed.max()))
    heights = []
    for i, values in enumerate(predicted):
        points, height = style.density(values, ends)
        heights.append(height)
        label = f"{len(predicted)} predictive draws" if i == 0 else None
        ax.plot(points, height, color=style.SKY, lw=0.7, alpha=0.6, label=label)
    mean = np.mean(heights, axis=0)
    ax.plot(points, mean, color=style.VERMILLION, lw=2, ls="--", label="mean of the draws")
    ax.plot(*style.density(observed, ends), color=style.BLACK, lw=2, label="observed")
    ax.set_ylim(bottom=0)


def _counts(
    ax: Axes,
    observed: FloatArray,
    predicted: FloatArray,
    interval: float,
    bins: int,
    tail: float,
) -> None:
    # The far tail of a few draws is not worth a bar.
    low = int(min(observed.min(), np.quantile(predicted, tail)))
    high = int(max(observed.max(), np.quantile(predicted, 1 - tail)))
    width = -(-(high - low + 1) // bins)
    edges = np.arange(low, high + width + 1, width) - 0.5
    centres = (edges[:-1] + edges[1:]) / 2
    counts = np.stack([np.histogram(values, edges)[0] for values in predicted])
    _bars(ax, centres, np.histogram(observed, edges)[0], counts, interval, width)
    ax.set_ylabel("rows" if width == 1 else f"rows in {width} neighbouring values")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if high - low == 1:
        ax.set_xticks([low, high])
        ax.set_xlim(low - 0.8, high + 0.8)


def _columns(ax: Axes, observed: FloatArray, predicted: FloatArray, interval: float) -> None:
    """The mean of each column, of responses (N, K) and predictions (S, N, K)."""
    means: FloatArray = observed.mean(axis=0)
    places: FloatArray = np.arange(1.0, len(means) + 1)
    _bars(ax, places, means, predicted.mean(axis=1), interval)
    ax.set_ylabel("mean of the column")


def _bars(
    ax: Axes,
    centres: FloatArray,
    observed: FloatArray,
    predicted: FloatArray,
    interval: float,
    width: float = 1.0,
) -> None:
    """Bars of the data, (K,), with points and intervals of predictions, (S, K)."""
    ax.bar(centres, observed, width=0.85 * width, color=style.GREY, alpha=0.6, label="observed")
    ends = np.quantile(predicted, [(1 - interval) / 2, (1 + interval) / 2], axis=0)
    ax.vlines(
        centres,
        *ends,
        color=style.BLUE,
        lw=1.8,
        label=f"predicted: {style.percent(interval)} interval",
    )
    ax.plot(centres, predicted.mean(axis=0), "o", color=style.BLUE, ms=4.5, label="predicted: mean")
