"""Pooling of an intercept and a slope, in their plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from numpy.typing import NDArray

from hiermod.plots import style
from hiermod.plots.estimates import split_codes
from hiermod.results import Pooling

FloatArray = NDArray[np.float64]

ELLIPSES = (0.5, 0.9)
"""Probabilities inside the ellipses of the population."""

ROOM = 2.2
"""How far own estimates may lie outside of the largest ellipse and still be shown, in its radii."""

LABELLED = 20
"""Most levels that have their names in the plane."""


def spread(pooling: Pooling) -> FloatArray:
    """Covariance of the coefficients in the population of levels, shape (K, K).

    The covariance of the levels' posterior means plus the mean of their posterior covariances (the
    law of total variance).

    Parameters
    ----------
    pooling : Pooling

    Returns
    -------
    array, shape (K, K)
    """
    between = np.cov(pooling.mean, rowvar=False).reshape(2 * (len(pooling.effects),))
    return np.asarray(between + pooling.covariance.mean(axis=0))


def effect_label(pooling: Pooling, effect: int) -> str:
    """What an axis shows of an effect, and on which scale."""
    name, response = pooling.effects[effect], pooling.response
    scale = (
        ""
        if pooling.scale in ("identity", "response")
        else f" ({pooling.scale}\N{NO-BREAK SPACE}scale)"
    )
    if name != "Intercept":
        return f"effect of {name} on {response}{scale}"
    probability = pooling.scale == "response" and pooling.size_label == "trials"
    what = "probability" if probability else "mean"
    before = "Intercept: " if len(pooling.effects) > 1 else ""
    return f"{before}{what} of {response}{scale}"


POPULATION: dict[str, Any] = {
    "ls": "",
    "marker": "P",
    "color": style.BLACK,
    "mec": "white",
    "ms": 9,
}
COMPLETE: dict[str, Any] = {"ls": "", "marker": "X", "color": style.GREY, "mec": "white", "ms": 9}


def plane(
    ax: Axes,
    pooling: Pooling,
    split: Sequence[Any] | NDArray[Any] | None = None,
    split_name: str | None = None,
) -> list[Any]:
    """Arrows from the no-pooling to the partially pooled estimates of two effects.

    Parameters
    ----------
    ax : Axes
    pooling : Pooling
        With K = 2 effects.
    split : sequence, length J, optional
        Levels with one value have one colour.
    split_name : str, optional

    Returns
    -------
    list of artists
        For a legend.
    """
    values, code = split_codes(split, len(pooling.levels), len(style.COLORS))
    covariance = spread(pooling)
    alone, mean, population = pooling.no_pooling, pooling.mean, pooling.population
    finite = np.asarray(np.isfinite(alone).all(axis=1))
    for p in ELLIPSES:
        ax.add_patch(_ellipse(population, covariance, p))
    for start, end in zip(alone[finite], mean[finite], strict=True):
        ax.annotate(
            "",
            end,
            start,
            arrowprops={"arrowstyle": "-|>", "color": style.GREY, "lw": 0.8, "shrinkA": 3},
        )
    colors = np.array(style.COLORS)[code]
    edges = colors[finite] if split is not None else style.VERMILLION
    x, y = alone[finite].T
    ax.scatter(x, y, s=28, fc="white", ec=edges, lw=1.1, zorder=3)
    ax.scatter(mean[:, 0], mean[:, 1], s=20, c=colors, zorder=4)
    ax.plot(*pooling.complete, **COMPLETE, zorder=5)
    ax.plot(*population, **POPULATION, zorder=5)
    outside = _limits(ax, pooling, covariance, finite)
    _labels(ax, pooling, finite, outside)
    return _legend(pooling, values if split is not None else [], split_name)


def _ellipse(centre: FloatArray, covariance: FloatArray, probability: float) -> Ellipse:
    """The region of highest density of a bivariate normal distribution.

    Its squared Mahalanobis radius is the quantile of a chi-squared distribution with two degrees of
    freedom, -2 log(1 - p).
    """
    variances, axes = np.linalg.eigh(covariance)
    widths = 2 * np.sqrt(-2 * np.log1p(-probability) * variances)
    return Ellipse(
        (float(centre[0]), float(centre[1])),
        widths[1],
        widths[0],
        angle=float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))),
        fc=style.SKY,
        ec=style.BLUE,
        alpha=0.22,
        lw=1.0,
        zorder=0,
    )


def _limits(
    ax: Axes, pooling: Pooling, covariance: FloatArray, finite: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Limits with room for the population; tells which own estimates are far outside."""
    reach = ROOM * np.sqrt(-2 * np.log1p(-max(ELLIPSES)) * np.diag(covariance))
    outside = np.zeros(len(finite), bool)
    distance = np.abs(pooling.no_pooling - pooling.population) > reach
    outside[finite] = distance[finite].any(axis=1)
    room = reach / ROOM  # the largest ellipse
    seen = np.vstack(
        [
            pooling.mean,
            pooling.no_pooling[finite & ~outside],
            pooling.population + room,
            pooling.population - room,
        ]
    )
    low, high = seen.min(axis=0), seen.max(axis=0)
    pad = 0.07 * (high - low)
    ax.set_xlim(low[0] - pad[0], high[0] + pad[0])
    ax.set_ylim(low[1] - pad[1], high[1] + pad[1])
    return outside


def _labels(
    ax: Axes, pooling: Pooling, finite: NDArray[np.bool_], outside: NDArray[np.bool_]
) -> None:
    """Axes, names of the levels where these are few, and what is not shown."""
    style.tidy(ax).set(xlabel=effect_label(pooling, 0), ylabel=effect_label(pooling, 1))
    if len(pooling.levels) <= LABELLED:
        for level, start, end in zip(
            pooling.levels[finite], pooling.no_pooling[finite], pooling.mean[finite], strict=True
        ):
            away = ax.transData.transform(start) - ax.transData.transform(end)
            away = away / (np.hypot(*away) or 1.0)
            ax.annotate(
                style.text(level),
                start,
                tuple(9 * away),
                textcoords="offset points",
                fontsize=7.5,
                color="0.3",
                ha="left" if away[0] > 0.4 else "right" if away[0] < -0.4 else "center",
                va="bottom" if away[1] > 0.4 else "top" if away[1] < -0.4 else "center",
                annotation_clip=True,
            )
    notes = [f"{pooling.factor}: {len(pooling.levels)} levels"]
    if len(np.unique(pooling.size)) == 1:
        notes[0] += f" of {pooling.size[0]:g} {pooling.size_label}"
    if n := int((~finite).sum()):
        notes.append(f"{n} without a finite estimate of their own")
    if n := int(outside.sum()):
        notes.append(f"{n} with one outside of the figure")
    ax.set_title(", ".join(notes), fontsize=8, loc="left", color="0.35")


def _legend(pooling: Pooling, values: list[str], split_name: str | None) -> list[Any]:
    own = style.BLACK if values else style.VERMILLION
    filled = style.BLACK if values else style.BLUE
    patches = [
        Line2D(
            [],
            [],
            ls="",
            marker="o",
            mfc="white",
            mec=own,
            label="no pooling: the level's own data",
        ),
        Line2D([], [], ls="", marker="o", color=filled, label="partial pooling: posterior mean"),
        Line2D([], [], label="population value", **POPULATION),
        Line2D([], [], label="complete pooling: all data as one level", **COMPLETE),
        Ellipse((0, 0), 1, 1, fc=style.SKY, ec=style.BLUE, alpha=0.4),
    ]
    share = " and ".join(style.percent(p) for p in ELLIPSES)
    patches[-1].set_label(f"population: {share} of the levels")
    return patches + [
        Line2D([], [], ls="", marker="o", color=style.COLORS[i], label=f"{split_name or ''} {v}")
        for i, v in enumerate(values)
    ]
