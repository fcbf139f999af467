"""Which parameters a plot shows, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hiermod import results
from hiermod.errors import ModelError, did_you_mean
from hiermod.results.checks import varying

Scalars = dict[str, NDArray[np.float64]]
"""Draws, shape (chain, draw), by names such as ``1|tank[3]``."""


def posterior(idata: Any) -> xr.Dataset:
    """The posterior of inference data; a Dataset is taken as it is."""
    return idata if isinstance(idata, xr.Dataset) else results.group(idata, "posterior")


def population(data: xr.Dataset) -> list[str]:
    """Names of the variables that are not deviations of single levels."""
    return [
        str(name)
        for name, variable in data.data_vars.items()
        if not any(str(d).endswith("__factor_dim") for d in variable.dims)
    ]


def scalars(data: xr.Dataset, var_names: Sequence[str] | None, most: int) -> Scalars:
    """The draws of every scalar that a plot shows.

    Parameters
    ----------
    data : Dataset
        Variables with dimensions (chain, draw, ...).
    var_names : sequence of str, optional
        Variables, or single elements such as ``"1|tank[3]"``; by default the population's
        parameters, of which no more than `most` are given.
    most : int

    Returns
    -------
    dict from str to array, shape (chain, draw)

    Raises
    ------
    ModelError
        If a name does not exist, or the names given have more than `most` elements.
    """
    if var_names is None:
        moving = varying(data)
        every = _all(moving[population(moving) or [str(n) for n in moving.data_vars]])
        return dict(islice(every.items(), most))
    chosen = [var_names] if isinstance(var_names, str) else list(var_names)
    found: Scalars = {}
    for name in chosen:
        found |= _named(data, name)
    if len(found) > most:
        raise ModelError(
            f"{', '.join(chosen)} would need {len(found)} panels, more than {most}. Name single "
            f"elements, for example {next(iter(found))!r}, or allow more: most={len(found)}."
        )
    return found


def _all(data: xr.Dataset) -> Scalars:
    return {label: v for name in data.data_vars for label, v in _elements(data[name])}


def _named(data: xr.Dataset, name: str) -> Scalars:
    """All elements of a variable, or one element."""
    if name in data.data_vars:
        return _all(varying(data[[name]], constants=True))
    for variable in data.data_vars:
        if name.startswith(f"{variable}["):
            own = _all(varying(data[[variable]], constants=True))
            if name in own:
                return {name: own[name]}
            raise ModelError(
                f"{variable!r} has no element {name!r}. It has {len(own)}, for example "
                f"{next(iter(own))!r}."
            )
    raise ModelError(
        f"there is no variable {name!r}. {did_you_mean(name, map(str, data.data_vars))}"
    )


def _elements(variable: xr.DataArray) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Every element of a variable with its name."""
    rest = [d for d in variable.dims if d not in ("chain", "draw")]
    values: Any = variable.transpose("chain", "draw", *rest).to_numpy()
    sizes = [range(variable.sizes[d]) for d in rest]
    labels = [variable[d].to_numpy() for d in rest]
    for at in product(*sizes):
        words = ", ".join(str(label[i]) for label, i in zip(labels, at, strict=True))
        yield f"{variable.name}[{words}]" if rest else str(variable.name), values[:, :, *at]
