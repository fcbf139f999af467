"""The table of a fit."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import xarray as xr

from hiermod.errors import ModelError, did_you_mean
from hiermod.inference.diagnostics import mcse_mean
from hiermod.results.checks import diagnostics, flatten, of_draws, varying


def check_probability(value: float) -> None:
    """Refuse what is no probability of an interval."""
    if not 0 < value < 1:
        raise ModelError(f"interval must be between 0 and 1, such as 0.9, not {value!r}.")


def chosen(posterior: xr.Dataset, var_names: Sequence[str] | str | None) -> xr.Dataset:
    """Some variables of a posterior; all where none are named.

    Raises
    ------
    ModelError
        If a variable does not exist.
    """
    if var_names is None:
        return posterior
    var_names = [var_names] if isinstance(var_names, str) else list(var_names)
    names = [str(n) for n in posterior.data_vars]
    for name in var_names:
        if name not in names:
            raise ModelError(f"there is no variable {name!r}. {did_you_mean(name, names)}")
    return posterior[var_names]


def summary(
    posterior: xr.Dataset, var_names: Sequence[str] | str | None = None, interval: float = 0.9
) -> pd.DataFrame:
    """Means, standard deviations, intervals and diagnostics of every scalar.

    Parameters
    ----------
    posterior : Dataset
    var_names : str or sequence of str, optional
        Variables to show; all by default.
    interval : float
        Probability of the equal-tailed interval.

    Returns
    -------
    DataFrame
        Columns ``mean``, ``sd``, the ends of the interval such as ``5%`` and ``95%``,
        ``mcse_mean``, ``ess_bulk``, ``ess_tail``, ``r_hat``, the last four as ArviZ computes them;
        ``r_hat`` is nested if the posterior has superchains.

    Raises
    ------
    ModelError
        If a variable does not exist.
    """
    check_probability(interval)
    shown = varying(chosen(posterior, var_names), constants=True)
    tail = (1 - interval) / 2
    over = ("chain", "draw")

    def quantile(share: float) -> pd.Series:
        # By variable: one of them may be called "quantile" itself.
        return flatten(shown.map(lambda v: v.quantile(share, over).drop_vars("quantile")))

    checks = diagnostics(shown)
    return pd.DataFrame(
        {
            "mean": flatten(shown.mean(over)),
            "sd": flatten(shown.std(over, ddof=1)),
            f"{100 * tail:g}%": quantile(tail),
            f"{100 - 100 * tail:g}%": quantile(1 - tail),
            "mcse_mean": of_draws(shown, lambda x: {"mean": mcse_mean(x)})["mean"],
            "ess_bulk": checks["ess_bulk"],
            "ess_tail": checks["ess_tail"],
            "r_hat": checks["r_hat"],
        }
    )
