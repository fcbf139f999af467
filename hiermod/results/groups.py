"""The one place that knows which ArviZ is installed.

ArviZ 0.x keeps groups in an `arviz.InferenceData`, ArviZ 1.x in an `xarray.DataTree`. Everything
else in hiermod works on `xarray.Dataset`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hiermod.files import replacing

TREE = int(az.__version__.partition(".")[0]) >= 1
"""Whether inference data are a DataTree (ArviZ 1.x)."""


def inference_data(groups: Mapping[str, xr.Dataset]) -> Any:
    """Inference data made of these groups, as the installed ArviZ calls it."""
    if TREE:
        return xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    return az.InferenceData(**groups)


def add_group(idata: Any, name: str, data: xr.Dataset) -> None:
    """Add a group, or replace it."""
    if TREE:
        idata[name] = xr.DataTree(data)
        return
    if name in idata.groups():
        del idata[name]
    idata.add_groups({name: data})


def has_group(idata: Any, name: str) -> bool:
    """Whether there is such a group."""
    return name in (idata.children if TREE else idata.groups())


def group(idata: Any, name: str) -> xr.Dataset:
    """A group as a Dataset."""
    found = idata[name]
    return found.to_dataset() if TREE else found


def power_scaling(posterior: xr.Dataset, component: NDArray[np.float64]) -> xr.Dataset:
    """Sensitivity of every variable to raising a component of the density to a power.

    ArviZ's: the gradient, with respect to the binary logarithm of the power, of the cumulative
    Jensen-Shannon distance to the posterior, by Pareto-smoothed importance sampling (Kallioinen,
    Paananen, Buerkner and Vehtari 2024).

    Parameters
    ----------
    posterior : Dataset
    component : array, shape (chain, draw)
        Logarithm of the prior or of the likelihood.

    Returns
    -------
    Dataset
        The variables without chain and draw.
    """
    if np.ptp(component) == 0:  # no power changes it
        return xr.zeros_like(posterior.isel(chain=0, draw=0, drop=True))
    log = xr.Dataset({"total": (("chain", "draw"), component)})
    idata = inference_data({"posterior": posterior, "log_prior": log})
    return az.psense(idata) if TREE else az.psens(idata, component="prior")


def save(idata: Any, path: str | os.PathLike[str]) -> Path:
    """Write all groups to a NetCDF file, whole or not at all.

    The file is written beside its place and moved there when it is complete, so that a failure
    leaves an older file as it was.

    Parameters
    ----------
    idata : InferenceData or DataTree
    path : path

    Returns
    -------
    Path
    """
    with replacing(path) as unfinished:
        idata.to_netcdf(str(unfinished), engine="h5netcdf")
    return Path(path)
