"""Rows with equal predictors, summed up: their log-likelihood depends on a few sums only.

Of families without such sums, rows that are equal in everything are counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hiermod.models.specification import Specification

Arrays = dict[str, NDArray[Any]]


def compress(s: Specification, arrays: Arrays) -> Arrays:
    """Sum up rows with equal predictors, levels and offset.

    A weight is a multiple of a log-likelihood, so rows of different weights add up too. Where no
    two rows are equal the sums are those of single rows: their log-likelihood is then still the
    quicker one, since it leaves out constants (docs/shortcuts.md).

    Parameters
    ----------
    s : Specification
    arrays : dict
        The ``data`` of the program.

    Returns
    -------
    dict
        The ``data`` of the rows that are left, with ``count`` (rows, trials or exposure; by
        weight), ``total`` (sum of the response) and ``within`` (sum of squares of the response
        about its mean, of a gaussian response) in place of ``y``, ``trials``, ``rate`` and
        ``weights``.
    """
    of_levels = {k: v for k, v in arrays.items() if k.startswith("by_")}
    summed = {"y", "trials", "rate", "weights", *of_levels}
    inputs = {k: v for k, v in arrays.items() if k not in summed}
    y = arrays["y"]
    weights = arrays.get("weights", np.ones(len(y)))
    codes = _codes(inputs, len(y))
    _, first = np.unique(codes, return_index=True)
    size = arrays.get("trials", arrays.get("rate", np.ones(len(y))))

    def sums(values: NDArray[Any]) -> NDArray[Any]:
        return np.bincount(codes, weights * values, minlength=len(first))

    count = sums(size)
    total = sums(y)
    kept = count > 0
    out = {k: np.ascontiguousarray(v[..., first[kept]]) for k, v in inputs.items()}
    out |= of_levels | {"count": count[kept], "total": total[kept]}
    if s.family.residual:
        mean = total / np.where(kept, count, 1.0)
        out["within"] = sums((y - mean[codes]) ** 2)[kept]
    return out


def count_equal(arrays: Arrays) -> Arrays:
    """Rows that are equal in everything but their weights, once.

    Parameters
    ----------
    arrays : dict
        The ``data`` of the program.

    Returns
    -------
    dict
        The ``data`` of the rows that are left, all with the weight 1 if there are weights, and
        ``count``: how many each stands for, by weight.
    """
    of_levels = {k: v for k, v in arrays.items() if k.startswith("by_")}
    inputs = {k: v for k, v in arrays.items() if k != "weights" and k not in of_levels}
    inputs["y"] = arrays["y"].T  # of several columns, rows last
    codes = _codes(inputs, len(arrays["y"]))
    _, first = np.unique(codes, return_index=True)
    count = np.bincount(codes, arrays.get("weights"), minlength=len(first)).astype(np.float64)
    first, count = first[count > 0], count[count > 0]
    out = {k: np.ascontiguousarray(v[..., first]) for k, v in inputs.items()}
    out["y"] = np.ascontiguousarray(out["y"].T)
    if "weights" in arrays:
        out["weights"] = np.ones(len(first))
    return out | of_levels | {"count": count}


def _codes(inputs: Arrays, rows: int) -> NDArray[np.int64]:
    """A number for each row, equal for rows that are equal in all inputs."""
    codes = np.zeros(rows, np.int64)
    for column in (c for v in inputs.values() for c in v.reshape(-1, rows)):
        own, values = pd.factorize(column)
        codes, found = pd.factorize(codes * len(values) + own)
        if len(found) == rows:
            break
    return codes.astype(np.int64)
