"""How far the posterior rests on the priors, and on the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import tensorflow as tf
import xarray as xr
from numpy.typing import NDArray

from hiermod.models.joint import Joint
from hiermod.models.specification import Parameter
from hiermod.results.checks import flatten, varying
from hiermod.results.conversion import Variable, attributes, dataset
from hiermod.results.groups import power_scaling
from hiermod.results.rows import shift, thresholds, total_log_likelihood
from hiermod.results.summary import chosen

FloatArray = NDArray[np.float64]

SENSITIVE = 0.05
"""Sensitivity from which on a posterior depends on a component, as in priorsense and ArviZ."""


def log_prior(joint: Joint, posterior: xr.Dataset) -> xr.Dataset:
    """Log density of the prior of every parameter at every draw.

    Parameters
    ----------
    joint : Joint
    posterior : Dataset

    Returns
    -------
    Dataset
        A variable (chain, draw) for every parameter of `Model.priors` that is not constant; that of
        a correlation is of its Cholesky factor, as in Stan. What has a distribution given other
        parameters is not among them: group effects, coefficients of smooths, and coefficients with
        a shrinkage prior.
    """
    s = joint.specification
    lead = posterior.sizes["chain"], posterior.sizes["draw"]
    found: dict[str, Variable] = {}
    for p, part in zip(s.parameters, joint.distribution.model, strict=False):
        if p.prior.shrinkage is None and not p.prior.constant:
            value = _value(joint, p, posterior).reshape(-1, *p.shape)
            found[p.name] = (), part.log_prob(tf.constant(value)).numpy().reshape(lead), {}
    return dataset(found, attributes(s))


def _value(joint: Joint, p: Parameter, posterior: xr.Dataset) -> FloatArray:
    """The part of the joint distribution that a parameter is, (chain, draw, *shape)."""
    s, value = joint.specification, posterior[p.name].to_numpy()
    if p.size:
        return np.linalg.cholesky(value)
    if p in s.thresholds:
        return thresholds(s, p, posterior)
    if p.name in s.at_means:
        return np.asarray(value + shift(s.at_means[p.name], posterior))
    return np.asarray(value)


def sensitivity(
    joint: Joint, posterior: xr.Dataset, var_names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Sensitivity of every scalar to the priors and to the likelihood, by power-scaling.

    Parameters
    ----------
    joint : Joint
    posterior : Dataset
    var_names : str or sequence of str, optional
        Variables to show; all by default.

    Returns
    -------
    DataFrame
        Columns ``prior``, ``likelihood`` and ``diagnosis``.

    Raises
    ------
    ModelError
        If a variable does not exist, or the draws of group effects were too many to keep.
    """
    shown = varying(chosen(posterior, var_names))
    prior = log_prior(joint, posterior)
    components = {
        "prior": sum((v.to_numpy() for v in prior.data_vars.values()), np.zeros(1)),
        "likelihood": total_log_likelihood(joint, posterior),
    }
    table = pd.DataFrame(
        {name: flatten(power_scaling(shown, log)) for name, log in components.items()}
    )
    strong, weak = table["prior"] >= SENSITIVE, table["likelihood"] < SENSITIVE
    table["diagnosis"] = "-"
    table.loc[strong & ~weak, "diagnosis"] = "potential prior-data conflict"
    table.loc[strong & weak, "diagnosis"] = "strong prior / weak likelihood"
    return table
