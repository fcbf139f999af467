"""How the chains ran: traces and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import rankdata

from hiermod import results
from hiermod.errors import ModelError
from hiermod.plots import style
from hiermod.plots.scalars import posterior, scalars

FloatArray = NDArray[np.float64]


def trace(
    idata: Any,
    var_names: Sequence[str] | None = None,
    *,
    most: int = 16,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Density of every chain on the left, trace on the right; a row for every scalar.

    Parameters
    ----------
    idata : InferenceData, DataTree or Dataset
    var_names : sequence of str, optional
        Variables, or single elements such as ``"1|tank[3]"``; by default the parameters of the
        population, the first `most` of them.
    most : int
        Largest number of rows.
    figsize : pair of float, optional
        In inches.

    Returns
    -------
    Figure

    Raises
    ------
    ModelError
        If a name does not exist, or there would be more than `most` rows.
    """
    shown = scalars(posterior(idata), var_names, most)
    diverging = _diverging(idata)
    size = figsize or (11.0, 0.7 + 1.35 * len(shown))
    figure, axs = style.panels(len(shown), 2, size, gridspec_kw={"width_ratios": [1, 1.8]})
    for (left, right), (name, draws) in zip(axs, shown.items(), strict=True):
        _densities(left, draws, name)
        _traces(right, draws)
        if diverging is not None and diverging.any():
            _rugs(left, right, draws, diverging)
    for ax in axs[:-1, 1]:
        ax.tick_params(labelbottom=False)
    axs[-1, 1].set_xlabel("draw")
    axs[-1, 0].set_xlabel("value")
    chains = next(iter(shown.values())).shape[0]
    _legend(figure, chains, 0 if diverging is None else int(diverging.sum()))
    return figure


def _diverging(idata: Any) -> NDArray[np.bool_] | None:
    """Which draws diverged, shape (chain, draw), where that is known."""
    if isinstance(idata, xr.Dataset) or not results.has_group(idata, "sample_stats"):
        return None
    stats = results.group(idata, "sample_stats")
    return np.asarray(stats["diverging"], bool) if "diverging" in stats else None


def _densities(ax: Axes, draws: FloatArray, name: str) -> None:
    style.tidy(ax).set_ylabel(name, rotation=0, ha="right", va="center")
    for chain, values in enumerate(draws):
        if np.ptp(values):
            ax.plot(*style.density(values), lw=1.4, **style.chain_style(chain))
        else:
            ax.axvline(values[0], **style.chain_style(chain))
    ax.set_ylim(bottom=0)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)


def _traces(ax: Axes, draws: FloatArray) -> None:
    style.tidy(ax)
    for chain, values in enumerate(draws):
        ax.plot(values, lw=0.5, alpha=0.75, color=style.chain_style(chain)["color"])
    ax.set_xlim(0, max(draws.shape[1] - 1, 1))


def _rugs(left: Axes, right: Axes, draws: FloatArray, diverging: NDArray[np.bool_]) -> None:
    """A tick for every draw that diverged."""
    ticks: dict[str, Any] = {
        "color": style.BLACK,
        "marker": "|",
        "ls": "",
        "ms": 7,
        "clip_on": False,
    }
    at = diverging.nonzero()
    left.plot(draws[at], np.zeros(len(at[0])), **ticks)
    right.plot(at[1], np.zeros(len(at[0])), transform=right.get_xaxis_transform(), **ticks)


def _legend(figure: Figure, chains: int, diverging: int) -> None:
    handles = [Line2D([], [], label=f"chain {c}", **style.chain_style(c)) for c in range(chains)]
    if diverging:
        label = f"{diverging} divergent draw{'s' * (diverging > 1)}"
        handles.append(Line2D([], [], color=style.BLACK, marker="|", ls="", label=label))
    figure.legend(
        handles=handles, loc="outside upper right", ncols=min(len(handles), 8), frameon=False
    )


def rank(
    idata: Any,
    var_names: Sequence[str] | None = None,
    *,
    kind: Literal["bars", "ecdf"] = "bars",
    bins: int = 20,
    most: int = 24,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Ranks of the draws of each chain among those of all chains; a panel for every scalar.

    Where the chains agree, the ranks of each are uniform: bars as high as the dashed line, or
    differences near zero (Vehtari, Gelman, Simpson, Carpenter and Bürkner 2021, section 5).

    Parameters
    ----------
    idata : InferenceData, DataTree or Dataset
    var_names : sequence of str, optional
        Variables, or single elements such as ``"1|tank[3]"``; by default the parameters of the
        population, the first `most` of them.
    kind : {"bars", "ecdf"}
        A histogram for each chain, or the difference of each chain's empirical distribution
        function from the uniform one (Säilynoja, Bürkner and Vehtari 2022).
    bins : int
        Of the histograms.
    most : int
        Largest number of panels.
    figsize : pair of float, optional
        In inches.

    Returns
    -------
    Figure

    Raises
    ------
    ModelError
        If a name or `kind` does not exist, or there would be more than `most` panels.
    """
    if kind not in ("bars", "ecdf"):
        raise ModelError(f"kind must be 'bars' or 'ecdf', not {kind!r}.")
    shown = scalars(posterior(idata), var_names, most)
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    size = figsize or (2.75 * max(columns, 2), 0.7 + 2.2 * rows)
    figure, axs = style.panels(rows, columns, size, sharex=True)
    for ax, (name, draws) in zip(axs.flat, shown.items(), strict=False):
        style.tidy(ax).set_title(name, fontsize=10)
        ranks = rankdata(draws, method="average").reshape(draws.shape)
        if kind == "bars":
            _rank_bars(ax, ranks, bins)
        else:
            _rank_ecdf(ax, ranks)
    _finish_ranks(figure, axs, len(shown), kind, next(iter(shown.values())).shape[0])
    return figure


def _rank_bars(ax: Axes, ranks: FloatArray, bins: int) -> None:
    """Histograms above each other; the expected height is half of a chain's room."""
    chains, draws = ranks.shape
    edges = np.linspace(0.5, ranks.size + 0.5, bins + 1)
    for chain, own in enumerate(ranks):
        count = np.histogram(own, edges)[0]
        height = np.minimum(0.5 * count * bins / draws, 1.0)
        ax.bar(
            edges[:-1],
            height,
            width=np.diff(edges),
            bottom=chain,
            align="edge",
            color=style.chain_style(chain)["color"],
            alpha=0.75,
            edgecolor="white",
            lw=0.4,
        )
        ax.axhline(chain + 0.5, color=style.BLACK, lw=0.9, ls="--")
    ax.set(ylim=(0, chains + 0.05), xlim=(0, ranks.size), yticks=np.arange(chains) + 0.5)
    ax.set_yticklabels([str(c) for c in range(chains)])
    ax.tick_params(axis="y", length=0)


def _rank_ecdf(ax: Axes, ranks: FloatArray) -> None:
    """Differences of the distribution functions from the uniform one."""
    draws = ranks.shape[1]
    for chain, own in enumerate(ranks):
        part = np.arange(1, draws + 1) / draws
        at = np.sort(own)
        ax.plot(at, part - at / ranks.size, lw=1.2, **style.chain_style(chain))
    ax.axhline(0, color=style.BLACK, lw=0.9, ls="--")
    largest = max(0.05, 1.1 * float(np.abs(ax.get_ylim()).max()))
    ax.set(ylim=(-largest, largest), xlim=(0, ranks.size))


def _finish_ranks(figure: Figure, axs: NDArray[Any], used: int, kind: str, chains: int) -> None:
    """Labels at the margins, no empty panels, one legend."""
    for ax in axs.flat[used:]:
        ax.set_visible(False)
    for ax in axs.flat[max(0, used - axs.shape[1]) : used]:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel("rank among all draws")
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    for ax in axs[:, 0]:
        ax.set_ylabel("chain" if kind == "bars" else "difference from uniform")
    uniform = Line2D([], [], color=style.BLACK, lw=0.9, ls="--", label="expected if chains agree")
    handles = [uniform]
    if kind == "ecdf":
        handles += [
            Line2D([], [], label=f"chain {c}", **style.chain_style(c)) for c in range(chains)
        ]
    figure.legend(
        handles=handles, loc="outside upper right", ncols=min(len(handles), 3), frameon=False
    )
