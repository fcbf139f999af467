"""What was estimated: intervals and densities of many parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hiermod.errors import ModelError, did_you_mean
from hiermod.plots import style
from hiermod.plots.scalars import posterior, scalars

FloatArray = NDArray[np.float64]


def forest(
    idata: Any,
    var_names: Sequence[str] | None = None,
    *,
    ax: Axes | None = None,
    intervals: tuple[float, float] = (0.5, 0.9),
    order: bool = False,
    zero: bool = False,
    most: int = 120,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Posterior mean and two intervals of every scalar, a row each.

    Parameters
    ----------
    idata : InferenceData, DataTree or Dataset
    var_names : sequence of str, optional
        Variables, or single elements such as ``"1|tank[3]"``; by default the parameters of the
        population, the first `most` of them.
    ax : Axes, optional
        By default of a new figure, as high as the rows need.
    intervals : pair of float
        Probabilities of the thick and the thin interval, which are equal-tailed.
    order : bool
        Sort the rows by their means, the largest on top.
    zero : bool
        Mark zero.
    most : int
        Largest number of rows.
    figsize : pair of float, optional
        In inches, of the new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError
        If a name does not exist, there would be more than `most` rows, or an interval is not
        between 0 and 1.
    """
    if not all(0 < p < 1 for p in intervals):
        raise ModelError(f"intervals must lie between 0 and 1, not {intervals}.")
    shown = scalars(posterior(idata), var_names, most)
    names, draws = list(shown), np.stack([v.ravel() for v in shown.values()])  # (rows, S)
    if order:
        by_mean = np.argsort(-draws.mean(axis=1))
        names, draws = [names[i] for i in by_mean], draws[by_mean]
    ax = style.axes(ax, figsize or (7.0, 1.1 + 0.19 * len(names)))
    rows = np.arange(len(names))
    for p, width in zip(sorted(intervals), (3.6, 1.2), strict=True):
        low, high = np.quantile(draws, [(1 - p) / 2, (1 + p) / 2], axis=1)
        ax.hlines(rows, low, high, color=style.BLUE, lw=width, label=f"{style.percent(p)} interval")
    ax.plot(draws.mean(axis=1), rows, "o", ms=5, mfc="white", mec=style.BLUE, mew=1.4, label="mean")
    if zero:
        ax.axvline(0, color=style.GREY, lw=0.9, ls="--", zorder=0)
    _forest_labels(ax, names)
    return ax


def _forest_labels(ax: Axes, names: list[str]) -> None:
    """Rows from the top; where all are of one variable, its name is below and not in every row."""
    ax.set_ylim(len(names) - 0.4, -0.6)
    one = {name.partition("[")[0] for name in names}
    labels, xlabel = names, "value"
    if len(one) == 1 and len(names) > 1:
        xlabel = one.pop()
        labels = [name[len(xlabel) + 1 : -1] for name in names]
    ax.set_yticks(range(len(names)), labels, fontsize=9 if len(names) <= 40 else 8)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(xlabel)
    ax.grid(axis="y", color="0.93", lw=0.6)
    ax.set_axisbelow(True)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, borderaxespad=0.2)


def densities(
    idata: Any,
    var_name: str,
    *,
    split: Sequence[Any] | NDArray[Any] | None = None,
    split_name: str | None = None,
    reference: float | None = None,
    xlabel: str | None = None,
    same_height: bool = False,
    columns: int = 8,
    most: int = 100,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """A small panel with the posterior density of every level.

    Parameters
    ----------
    idata : InferenceData, DataTree or Dataset
        A Dataset may hold what you have computed from the posterior, for example the survival
        probability of every tank.
    var_name : str
        A variable with one dimension beside (chain, draw), for example ``"1|tank"``.
    split : sequence, length J, optional
        A value for each level; levels of one value have one colour.
    split_name : str, optional
        What the values of `split` are.
    reference : float, optional
        Marked by a dashed line in every panel.
    xlabel : str, optional
        By default `var_name`.
    same_height : bool
        Draw all panels to one vertical scale, so that all areas are equal; by default each fills
        its panel, and widths alone are compared.
    columns : int
        Panels beside each other.
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
        If the variable does not exist, is constant or has another shape, there would be more than
        `most` panels, or `split` has another length or more values than there are colours.
    """
    variable = _one_dimensional(posterior(idata), var_name, most)
    (dim,) = (d for d in variable.dims if d not in ("chain", "draw"))
    draws = variable.transpose(dim, ...).to_numpy().reshape(variable.sizes[dim], -1)
    values, code = split_codes(split, len(draws), len(style.COLORS))
    columns = min(columns, len(draws))
    rows = -(-len(draws) // columns)
    size = figsize or (11.0, 0.9 + 0.95 * rows)
    figure, axs = style.panels(rows, columns, size, sharex=True, sharey=same_height)
    low, high = np.quantile(draws, [0.001, 0.999], axis=1)  # not the farthest draw of any level
    ends = (float(low.min()), float(high.max()))
    for ax, level, own, c in zip(axs.flat, variable[dim].to_numpy(), draws, code, strict=False):
        points, height = style.density(own, ends)
        ax.fill_between(points, height, color=style.COLORS[c], alpha=0.35, lw=0)
        ax.plot(points, height, color=style.COLORS[c], lw=1.1)
        if reference is not None:
            ax.axvline(reference, color=style.BLACK, lw=0.8, ls="--")
        ax.set_title(style.text(level, 16), fontsize=8, pad=2)
    _density_labels(figure, axs, len(draws), xlabel or var_name, str(dim))
    if split is not None:
        lines = [
            Line2D([], [], color=style.COLORS[i], lw=3, label=f"{split_name or ''} {v}".strip())
            for i, v in enumerate(values)
        ]
        figure.legend(handles=lines, loc="outside upper right", ncols=len(lines), frameon=False)
    return figure


def _one_dimensional(data: xr.Dataset, name: str, most: int) -> xr.DataArray:
    """A variable (chain, draw, level)."""
    if name not in data.data_vars:
        raise ModelError(
            f"there is no variable {name!r}. {did_you_mean(name, map(str, data.data_vars))}"
        )
    variable = data[name]
    if variable.attrs.get("constant"):
        raise ModelError(f"{name!r} is constant in this model: it has no density.")
    sizes = [n for d, n in variable.sizes.items() if d not in ("chain", "draw")]
    if len(sizes) != 1:
        raise ModelError(
            f"a panel for each level needs a variable with one dimension beside chain and draw; "
            f"{name!r} has {len(sizes)}."
        )
    if sizes[0] > most:
        raise ModelError(
            f"{name!r} would need {sizes[0]} panels, more than {most}. Use plots.forest, or allow "
            f"more: most={sizes[0]}."
        )
    return variable


def split_codes(
    split: Sequence[Any] | NDArray[Any] | None, levels: int, most: int | None = None
) -> tuple[list[str], NDArray[np.intp]]:
    """Sorted distinct values of a split as labels, and the number of each level's value.

    Raises
    ------
    ModelError
        If there is not one value for each level, or there are more than `most` different ones.
    """
    if split is None:
        return [""], np.zeros(levels, np.intp)
    values = np.asarray(split)
    if values.shape != (levels,):
        raise ModelError(
            f"split needs one value for each of the {levels} levels; its shape is {values.shape}."
        )
    if values.dtype == object:
        values = values.astype(str)
    distinct, code = np.unique(values, return_inverse=True)
    if most is not None and len(distinct) > most:
        raise ModelError(
            f"split has {len(distinct)} different values, more than the {most} that can be told "
            f"apart: group them first, for example with pandas.cut."
        )
    return [style.text(v) for v in distinct], code


def _density_labels(figure: Figure, axs: NDArray[Any], used: int, xlabel: str, dim: str) -> None:
    """One label for all panels; ticks at the bottom only."""
    for ax in axs.flat:
        style.tidy(ax).set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.tick_params(labelsize=8, length=2)
        ax.set_ylim(bottom=0)
    for ax in axs.flat[used:]:
        ax.set_visible(False)
    for ax in axs.flat[max(0, used - axs.shape[1]) : used]:
        ax.tick_params(labelbottom=True)
    figure.supxlabel(xlabel, fontsize=10)
    level = dim.removesuffix("__factor_dim").removesuffix("_dim")
    figure.supylabel(f"posterior density of each {level}", fontsize=10)
