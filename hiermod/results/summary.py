"""The table of a fit."""

from __future__ import annotations

from collections.abc import Sequence

import arviz as az
import pandas as pd
import xarray as xr

from hiermod.errors import ModelError, did_you_mean
from hiermod.results.checks import diagnostics, flatten, varying


def summary(
    posterior: xr.Dataset, var_names: Sequence[str] | None = None, interval: float = 0.9
) -> pd.DataFrame:
    """Means, standard deviations, intervals and diagnostics of every scalar.

    Parameters
    ----------
    posterior : Dataset
    var_names : sequence of str, optional
        Variables to show; all by default.
    interval : float
        Probability of the equal-tailed interval.

    Returns
    -------
    DataFrame
        Columns ``mean``, ``sd``, the ends of the interval such as ``5%`` and ``95%``,
        ``mcse_mean``, ``ess_bulk``, ``ess_tail``, ``r_hat``, the last four as ArviZ computes them.

    Raises
    ------
    ModelError
        If a variable does not exist.
    """
    names = [str(n) for n in posterior.data_vars]
    for name in var_names or []:
        if name not in names:
            raise ModelError(f"there is no variable {name!r}. {did_you_mean(name, names)}")
    shown = varying(posterior if var_names is None else posterior[list(var_names)])
    tail = (1 - interval) / 2
    over = ("chain", "draw")
    checks = diagnostics(shown)
    return pd.DataFrame(
        {
            "mean": flatten(shown.mean(over)),
            "sd": flatten(shown.std(over, ddof=1)),
            f"{100 * tail:g}%": flatten(shown.quantile(tail, over).drop_vars("quantile")),
            f"{100 - 100 * tail:g}%": flatten(shown.quantile(1 - tail, over).drop_vars("quantile")),
            "mcse_mean": flatten(az.mcse(shown, method="mean")),
            "ess_bulk": checks["ess_bulk"],
            "ess_tail": checks["ess_tail"],
            "r_hat": checks["r_hat"],
        }
    )
