"""What pooling did to every level of a group."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter, ScalarFormatter
from numpy.typing import NDArray

from hiermod.plots import style
from hiermod.plots.estimates import split_codes
from hiermod.plots.plane import effect_label, plane, spread
from hiermod.results import Pooling

FloatArray = NDArray[np.float64]

MANY = 80
"""Levels beyond which they have no labels and smaller marks."""

HEADINGS = 12
"""Most different values of a split that get a heading each."""

CLOSE = 0.2
"""Levels nearer to the population value than this many standard deviations of levels have no
fraction: it would be a quotient of two small numbers."""


POPULATION: dict[str, Any] = {"color": style.BLACK, "lw": 1.1, "ls": "--", "zorder": 1}
COMPLETE: dict[str, Any] = {"color": style.GREY, "lw": 1.1, "ls": ":", "zorder": 1}

FRACTIONS = (-0.1, 1.1)
"""Shrinkage beyond these is drawn as a triangle at the edge."""


def shrinkage(
    pooling: Pooling,
    *,
    split: Sequence[Any] | NDArray[Any] | None = None,
    split_name: str | None = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """No pooling, partial pooling and complete pooling of every level.

    For one effect, as figure 13.1 of McElreath (2020), "Statistical Rethinking": each level's own
    estimate, its posterior mean and interval, the population value that pooling pulls to, and the
    estimate from all data as one level. Where levels differ in their amount of data, a second
    panel shows against it how much of the distance to the population value pooling has removed.
    For an intercept and a slope, as figure 14.5 there: both estimates in the plane. For more
    effects, a row for each.

    Parameters
    ----------
    pooling : Pooling
        K effects of J levels, from `hiermod.results.pooling`.
    split : sequence, length J, optional
        Levels are ordered by these values and, where there are few different ones, split by them;
        in the plane they are colours. By default levels are ordered by their amount of data.
    split_name : str, optional
        What the values are.
    figsize : pair of float, optional
        In inches.

    Returns
    -------
    Figure

    Raises
    ------
    ModelError
        If there is not one value of `split` for each level, or they are too many to be colours.
    """
    effects = len(pooling.effects)
    if effects == 2:
        return _two_effects(pooling, split, split_name, figsize)
    size = figsize or (11.0, 4.5 if effects == 1 else 0.6 + 3.2 * effects)
    beside = _sizes_differ(pooling)
    ratios = {"gridspec_kw": {"width_ratios": [2.3, 1]}} if beside else {}
    figure, axs = style.panels(effects, 1 + beside, size, **ratios)
    width = (0.59 if beside else 0.9) * size[0]
    for k, row in enumerate(axs):
        levels(row[0], pooling, k, split, split_name, width, labels=k == effects - 1)
        if beside:
            against_size(row[1], pooling, removed(pooling, [k]))
            row[1].set_xlabel(row[1].get_xlabel() if k == effects - 1 else "")
    figure.legend(
        handles=_legend(pooling), loc="outside lower left", ncols=2, frameon=False, fontsize=9
    )
    return figure


def _sizes_differ(pooling: Pooling) -> bool:
    """Whether there is anything to see in shrinkage against the amount of data."""
    return len(np.unique(pooling.size)) > 1


def _two_effects(
    pooling: Pooling, split: Any, split_name: str | None, figsize: tuple[float, float] | None
) -> Figure:
    """The plane and, where levels differ in their amount of data, shrinkage against it."""
    beside = _sizes_differ(pooling)
    size = figsize or ((11.0, 5.2) if beside else (7.5, 6.0))
    ratios = {"gridspec_kw": {"width_ratios": [1.55, 1]}} if beside else {}
    figure, axs = style.panels(1, 1 + beside, size, **ratios)
    handles = plane(axs[0, 0], pooling, split, split_name)
    if beside:
        against_size(axs[0, 1], pooling, removed(pooling, [0, 1]))
    columns = 4 if beside else 2
    figure.legend(
        handles=handles, loc="outside lower left", ncols=columns, frameon=False, fontsize=9
    )
    return figure


def levels(
    ax: Axes,
    pooling: Pooling,
    effect: int,
    split: Sequence[Any] | NDArray[Any] | None = None,
    split_name: str | None = None,
    width: float = 7.0,
    *,
    labels: bool = True,
) -> Axes:
    """The estimates of one effect, level by level.

    Parameters
    ----------
    ax : Axes
    pooling : Pooling
    effect : int
        Which of the K effects.
    split, split_name
        As for `shrinkage`.
    width : float
        Of the axes, in inches; labels are made to fit.
    labels : bool
        Whether the levels are labelled.

    Returns
    -------
    Axes
    """
    values, code = split_codes(split, len(pooling.levels))
    order = np.lexsort((code,)) if split is not None else np.argsort(pooling.size, kind="stable")
    code, x = code[order], np.arange(len(order))
    alone, mean = pooling.no_pooling[order, effect], pooling.mean[order, effect]
    low, high = pooling.low[order, effect], pooling.high[order, effect]
    small = len(x) > MANY
    longest = 44 if len(pooling.effects) == 1 else 27  # panels of several effects are lower
    style.tidy(ax).set_ylabel(fill(effect_label(pooling, effect), longest))
    ax.vlines(x, low, high, color=style.SKY, alpha=0.55, lw=1.5 if small else 3.5)
    ax.axhline(pooling.population[effect], **POPULATION)
    ax.axhline(pooling.complete[effect], **COMPLETE)
    finite = np.isfinite(alone)
    ax.vlines(x[finite], alone[finite], mean[finite], color=style.GREY, lw=0.8)
    own: dict[str, Any] = {"ls": "", "mfc": "white", "mec": style.VERMILLION, "mew": 1.2}
    ax.plot(x[finite], alone[finite], "o", ms=3.5 if small else 5.5, **own)
    ax.plot(x, mean, "o", color=style.BLUE, ms=2.8 if small else 4.5)
    _infinite(ax, x, alone, own)
    ax.set_xlim(-0.8, len(x) - 0.2)
    if split is not None and len(values) <= HEADINGS:
        _headings(ax, [f"{split_name or ''} {v}".strip() for v in values], code, width)
    ax.set_xticks([])
    if labels:
        if not small:
            style.level_ticks(ax, pooling.levels[order], width)
        ax.set_xlabel(_order_label(pooling, split, split_name, len(values)))
    return ax


def _infinite(ax: Axes, x: NDArray[Any], alone: FloatArray, own: dict[str, Any]) -> None:
    """Triangles at the edge of the axes, for estimates at plus or minus infinity."""
    ax.margins(y=0.09)
    low, high = ax.get_ylim()
    for sign, marker, edge in ((1, "^", high), (-1, "v", low)):
        at = x[alone == sign * np.inf]
        if len(at):
            inside = edge - sign * 0.03 * (high - low)
            ax.plot(at, np.full(len(at), inside), marker, ms=6.5, **own)
    ax.set_ylim(low, high)


def _headings(ax: Axes, names: list[str], code: NDArray[Any], width: float) -> None:
    """A line between the parts and a heading above each, in two rows if they would touch."""
    ends = np.searchsorted(code, np.arange(len(names) + 1)) - 0.5
    for end in ends[1:-1]:
        ax.axvline(end, color="0.8", lw=0.8, zorder=0)
    centres = (ends[:-1] + ends[1:]) / 2
    points = 72 * width / len(code)  # for each level
    half = np.array([len(name) for name in names]) * 0.3 * 9
    touch = np.diff(centres) * points < half[:-1] + half[1:] + 4
    for i, (centre, name) in enumerate(zip(centres, names, strict=True)):
        rise = 14 if touch.any() and i % 2 else 3
        ax.annotate(
            name,
            (centre, 1),
            (0, rise),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color="0.25",
        )


def _order_label(pooling: Pooling, split: Any, split_name: str | None, values: int) -> str:
    if split is not None:
        return f"{pooling.factor}, by {split_name or 'split'}" if values > 1 else pooling.factor
    if len(np.unique(pooling.size)) == 1:
        return f"{pooling.factor} ({pooling.size[0]:g} {pooling.size_label} each)"
    return f"{pooling.factor}, from few to many {pooling.size_label}"


def _legend(pooling: Pooling) -> list[Line2D]:
    """What the marks of `levels` mean."""
    own: dict[str, Any] = {"ls": "", "mfc": "white", "mec": style.VERMILLION, "mew": 1.2}
    handles = [Line2D([], [], marker="o", label="no pooling: the level's own data", **own)]
    if np.isinf(pooling.no_pooling).any():
        handles.append(Line2D([], [], marker="^", label="infinite", **own))
    interval = f"partial pooling: posterior mean, {style.percent(pooling.probability)} interval"
    handles.append(Line2D([], [], color=style.SKY, marker="o", mfc=style.BLUE, mec=style.BLUE))
    handles[-1].set(label=interval, lw=3)
    handles.append(Line2D([], [], label="population value", **POPULATION))
    handles.append(Line2D([], [], label="complete pooling: all data as one level", **COMPLETE))
    return handles


def removed(pooling: Pooling, effects: Sequence[int]) -> FloatArray:
    """Fraction of the distance to the population value that pooling removes from each level.

    Zero where the level keeps its own estimate, one where it takes the population value. For more
    than one effect, the part along the line between these two, with distances measured by the
    covariance of the levels.

    Parameters
    ----------
    pooling : Pooling
    effects : sequence of int
        Which of the K effects.

    Returns
    -------
    array, shape (J,)
        NaN for levels without a finite estimate of their own, and for those whose estimate nearly
        is the population value already.
    """
    picked = list(effects)
    metric = np.linalg.inv(spread(pooling)[np.ix_(picked, picked)])
    alone = pooling.no_pooling[:, picked] - pooling.population[picked]
    partial = pooling.mean[:, picked] - pooling.population[picked]
    known = np.asarray(np.isfinite(alone).all(axis=1))
    alone = np.where(known[:, None], alone, 0.0)
    squared = np.einsum("jk,kl,jl->j", alone, metric, alone)
    kept = np.einsum("jk,kl,jl->j", alone, metric, partial)
    far = squared > CLOSE**2
    return np.where(far, 1 - kept / np.where(far, squared, 1.0), np.nan)


def against_size(ax: Axes, pooling: Pooling, fraction: FloatArray) -> Axes:
    """Shrinkage against the amount of data of each level.

    Parameters
    ----------
    ax : Axes
    pooling : Pooling
    fraction : array, shape (J,)
        From `removed`; levels with NaN are left out, and counted above the axes.

    Returns
    -------
    Axes
    """
    style.tidy(ax)
    size, shown = pooling.size, np.isfinite(fraction)
    distinct = np.unique(size)
    wide = distinct[-1] > 20 * max(distinct[0], 1)
    few = len(distinct) <= 6
    gap = np.diff(distinct).min() if len(distinct) > 1 else 1.0
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(size)) * gap if few else 0.0
    x, y = (size + jitter)[shown], fraction[shown]
    inside = np.clip(y, *FRACTIONS)
    for marker, own in (("o", y == inside), ("^", y > inside), ("v", y < inside)):
        ax.plot(
            x[own], inside[own], marker, ms=5, color=style.BLUE, alpha=0.55, mec="white", mew=0.5
        )
    if medians := few and len(distinct) > 1:
        for value in distinct:
            if (here := y[size[shown] == value]).size:
                middle = float(np.median(here))
                ax.hlines(middle, value - 0.35 * gap, value + 0.35 * gap, color=style.BLACK, lw=1.8)
    _size_axes(ax, pooling, distinct, wide, few)
    _notes(ax, pooling, shown, medians)
    return ax


def _size_axes(ax: Axes, pooling: Pooling, distinct: FloatArray, wide: bool, few: bool) -> None:
    """Labels and ticks of the panel of shrinkage against size."""
    ax.set_ylim(-0.13, 1.13)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    low = len(pooling.effects) > 2
    what = "part of the distance to the population value that is removed"
    ax.set_ylabel("shrinkage" if low else fill(f"shrinkage: {what}", 42))
    ax.set_xlabel(f"{pooling.size_label} in each {pooling.factor}")
    ax.grid(axis="y", color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    if wide:
        ax.set_xscale("log")
        ticks = [digit * 10**power for power in range(8) for digit in (1, 2, 5)]
        ax.set_xticks([t for t in ticks if distinct[0] <= t <= distinct[-1]])
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
    elif few:
        ax.set_xticks(distinct)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _notes(ax: Axes, pooling: Pooling, shown: NDArray[np.bool_], medians: bool) -> None:
    """Say which levels the panel does not show, and what its lines are."""
    known = np.asarray(np.isfinite(pooling.no_pooling).all(axis=1))
    parts = []
    if n := int((~known).sum()):
        parts.append(f"{n} without a finite own estimate")
    if n := int((known & ~shown).sum()):
        parts.append(f"{n} close to the population value")
    notes = ["lines: medians"] * medians
    if parts:
        notes.append("not shown: " + ",\n".join(parts))
    ax.set_title("\n".join(notes), fontsize=8, loc="left", color="0.35")
