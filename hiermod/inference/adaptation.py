"""Warm-up: its windows and the metric that they learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

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


def directions(
    draws: FloatArray, scale: FloatArray, rank: int
) -> tuple[FloatArray, FloatArray, float]:
    """The directions in which a diagonal metric is most wrong, and the variances along them.

    Eigenvectors of the sample correlation matrix whose eigenvalues are beyond what noise alone
    gives (Marchenko and Pastur 1967). Few draws in many dimensions exaggerate eigenvalues: they
    are freed of that bias (Baik and Silverstein 2006, spiked covariance model) and shrunk for the
    error of their vectors (Donoho, Gavish and Johnstone 2018, Frobenius loss). Consecutive draws
    resemble each other, and count half.

    Parameters
    ----------
    draws : array, shape (draws, chains, dimensions)
    scale : array, shape (dimensions,)
        Standard deviations.
    rank : int
        Most directions to return.

    Returns
    -------
    vectors : array, shape (dimensions, rank)
        Orthonormal; zero where there are fewer directions.
    variances : array, shape (rank,)
        One where there are fewer.
    longest : float, at least 1
        Standard deviation along the widest direction that is left, once these are scaled away.
    """
    flat = draws.reshape(-1, draws.shape[-1])
    n, dimensions = flat.shape
    white = (flat - flat.mean(axis=0)) / scale / np.sqrt(n)
    found, vectors = np.linalg.eigh(white.T @ white)
    ratio = 2 * dimensions / n
    high, low = (1 + np.sqrt(ratio)) ** 2, max(1 - np.sqrt(ratio), 0.0) ** 2
    beyond = (found > high) | ((found < low) & (ratio < 0.5))
    found, vectors = found[beyond], vectors[:, beyond]
    middle = found + 1 - ratio
    root = np.sqrt(np.maximum(middle**2 - 4 * found, 0))
    true = np.where(found > 1, middle + root, middle - root) / 2
    # The squared cosine of the angle between a vector and the true one.
    cosine = np.clip((1 - ratio / (true - 1) ** 2) / (1 + ratio / (true - 1)), 0, 1)
    shrunk = 1 + cosine * (true - 1)
    order = np.argsort(-np.abs(np.log(shrunk)))
    used, rest = order[:rank], order[rank:]
    out, variances = np.zeros((dimensions, rank)), np.ones(rank)
    out[:, : len(used)], variances[: len(used)] = vectors[:, used], shrunk[used]
    left = np.concatenate([[1.0], true[rest], true[used] / shrunk[used]])
    return out, variances, float(np.sqrt(left.max()))


def flat_directions(
    gradient: Callable[[FloatArray], FloatArray],
    position: FloatArray,
    scale: FloatArray,
    rank: int,
) -> tuple[FloatArray, FloatArray, float]:
    """The widest directions of a density in many dimensions: those in which it curves least.

    In thousands of dimensions some hundred draws do not show them; a hundred gradients do. They
    are the last eigenvectors of the Hessian of minus the log density, which the iteration of
    Lanczos finds from products with vectors, and these are differences of gradients. Where the
    density is normal, the variances along them are one over the eigenvalues.

    Parameters
    ----------
    gradient : function
        Of the log density, (places, dimensions) to the same.
    position : array, shape (places, dimensions)
        Where the Hessian is taken; the mean counts.
    scale : array, shape (dimensions,)
        The unit of each dimension.
    rank : int

    Returns
    -------
    vectors, variances, longest
        As of `directions`. A variance is 100 at most, and one where the density does not curve
        down.
    """
    size, step = len(scale), 1e-3

    def product(v: FloatArray) -> FloatArray:
        shift = step * scale * v.ravel()
        up, down = np.split(gradient(np.concatenate([position + shift, position - shift])), 2)
        change = (up - down).mean(axis=0)
        return np.where(np.isfinite(change), -scale * change / (2 * step), 0.0)

    hessian = LinearOperator((size, size), matvec=product, dtype=np.float64)
    options = {"which": "SA", "ncv": 3 * rank, "maxiter": 8, "tol": 0.05}
    try:
        curvature, found = eigsh(hessian, k=rank + 1, v0=np.ones(size), **options)
    except ArpackNoConvergence as error:
        curvature, found = error.eigenvalues, error.eigenvectors
    except ArpackError:  # there is no curvature at all
        curvature, found = np.ones(0), np.zeros((size, 0))
    order = np.argsort(curvature)
    curvature, found = curvature[order], found[:, order]
    wide = np.where(curvature > 0, 1 / np.maximum(curvature, 0.01), 1.0)
    vectors, variances = np.zeros((size, rank)), np.ones(rank)
    used = min(rank, len(wide))
    vectors[:, :used], variances[:used] = found[:, :used], wide[:used]
    return vectors, variances, float(np.sqrt(np.max(wide[rank:], initial=1.0)))
