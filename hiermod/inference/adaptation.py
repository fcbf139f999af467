"""Warm-up: its windows, the pooled metric and the trajectory length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """A stretch of warm-up.

    Attributes
    ----------
    length : int
        Transitions.
    metric : str
        What its draws give when it ends: a ``"rough"`` metric, a ``"full"`` one, or none, ``""``.
    """

    length: int
    metric: str


def windows(warmup: int) -> tuple[Window, ...]:
    """The windows of a warm-up: a start, slow windows that double, an end.

    As in Stan (reference manual, "Automatic parameter tuning"), scaled to `warmup`: 15 % at the
    start to find the bulk, 75 % in doubling windows that learn the metric, 10 % at the end to
    settle the step size. The start learns a first, rough metric too.

    Examples
    --------
    >>> [w.length for w in windows(500)]
    [75, 25, 50, 100, 200, 50]
    """
    first, last = round(0.15 * warmup), round(0.10 * warmup)
    slow, size = warmup - first - last, max(1, round(0.05 * warmup))
    lengths: list[int] = []
    while slow > 0:
        # A window takes all that is left when the next one, twice as long, would not fit.
        take = size if slow >= 3 * size else slow
        lengths.append(take)
        slow, size = slow - take, 2 * size
    plan = [Window(first, "rough"), *(Window(n, "full") for n in lengths), Window(last, "")]
    plan[1] = Window(plan[1].length, "rough")
    return tuple(w for w in plan if w.length > 0)


def pooled_scale(draws: FloatArray, unit: FloatArray) -> FloatArray:
    """Standard deviation of every dimension, over all draws of all chains, shrunk.

    Parameters
    ----------
    draws : array, shape (draws, chains, dimensions)
    unit : array, shape (dimensions,)
        The order of magnitude of each dimension, such as the standard deviation of its prior.

    Returns
    -------
    array, shape (dimensions,)
        Variances are shrunk to 0.001 square units with the weight of five draws, as in Stan
        (`var_adaptation.hpp`), where the unit is 1; always positive.
    """
    flat = draws.reshape(-1, draws.shape[-1])
    n = len(flat)
    variance = flat.var(axis=0, ddof=1) if n > 1 else np.ones(flat.shape[1])
    return np.asarray(np.sqrt((n * variance + 5e-3 * unit**2) / (n + 5)))


def rough_scale(draws: FloatArray, gradients: FloatArray) -> FloatArray:
    """Scale of every dimension from draws that have not yet spread over the posterior.

    The variance of a normal density is the ratio of the standard deviations of its draws and of
    its gradients, wherever the draws are (Seyboldt et al. 2025, "Preconditioning Hamiltonian Monte
    Carlo by minimizing Fisher divergence", as in nutpie).

    Parameters
    ----------
    draws, gradients : array, shape (draws, chains, dimensions)
        Positions, and gradients of the log density there.

    Returns
    -------
    array, shape (dimensions,)
    """
    spread, slope = (x.reshape(-1, x.shape[-1]).std(axis=0) for x in (draws, gradients))
    return np.asarray(np.sqrt((spread + 1e-12) / (slope + 1e-12)))


def largest_scale(draws: FloatArray, scale: FloatArray) -> float:
    """Standard deviation along the widest direction after scaling; 1 if scaling is perfect.

    A trajectory must be long enough for the widest direction, as in SNAPER (Sountsov and Hoffman
    2021). The largest eigenvalue of the sample correlation matrix is found by power iteration,
    and freed of the bias that few draws in many dimensions give it (Baik and Silverstein 2006,
    spiked covariance model).

    Parameters
    ----------
    draws : array, shape (draws, chains, dimensions)
    scale : array, shape (dimensions,)

    Returns
    -------
    float, at least 1
    """
    flat = draws.reshape(-1, draws.shape[-1])
    n, dimensions = flat.shape
    white = (flat - flat.mean(axis=0)) / scale
    vector = np.random.default_rng(0).standard_normal(dimensions)
    observed = 0.0
    for _ in range(30):
        vector /= np.linalg.norm(vector)
        product = white.T @ (white @ vector) / n
        observed = float(vector @ product)
        vector = product
    ratio = dimensions / n
    if observed <= (1 + np.sqrt(ratio)) ** 2:  # within what noise alone gives
        return 1.0
    middle = observed + 1 - ratio
    return float(np.sqrt(max(1.0, (middle + np.sqrt(middle**2 - 4 * observed)) / 2)))
