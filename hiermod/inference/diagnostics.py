"""Whether chains agree, and how many independent draws they are worth.

R-hat and effective sample sizes of many quantities at once. Draws are arrays of shape (chains,
draws, quantities...), results of shape (quantities...). The numbers are ArviZ's (and those of the R
package posterior), which work quantity by quantity: here all quantities of a piece share their
sorting, Fourier transforms and sums.

A quantity with a draw that is not finite has no diagnostics: all are NaN, as in posterior.

References
----------
Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), "Rank-normalization, folding, and
localization: an improved R-hat for assessing convergence of MCMC", Bayesian Analysis 16(2).
Margossian, Hoffman, Sountsov, Riou-Durand, Vehtari and Gelman (2024), "Nested R-hat: assessing the
convergence of Markov chain Monte Carlo when running many short chains", Bayesian Analysis.
Geyer (1992), "Practical Markov chain Monte Carlo", Statistical Science 7(4).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, special

from hiermod.inference.threads import workers

Array = NDArray[np.float64]

PIECE = 2**17
"""Draws that a thread works on at a time (1 MB); temporary arrays take some ten times that."""

LEAST_DRAWS = 4
"""Of a chain that is to be split: its halves need a variance."""


# --- the diagnostics ----------------------------------------------------------------------------


def diagnose(draws: ArrayLike, superchains: int | None = None) -> dict[str, Array]:
    """R-hat and both effective sample sizes, which share the ranks.

    Parameters
    ----------
    draws : (chains, draws, quantities...)
    superchains : int, optional
        Number of superchains; consecutive chains share one. R-hat is then the nested one of
        `nested_r_hat`, of the rank-normalised and of the folded draws, whichever is larger:
        draws without a variance have no plain R-hat, and the plain one compares locations only.

    Returns
    -------
    dict of str to (quantities...) array
        ``r_hat``, ``ess_bulk``, ``ess_tail``.
    """
    values = np.asarray(draws)
    chains, n = values.shape[:2]

    def of_piece(x: Array) -> Array:
        r = bulk = tail = np.full(len(x), np.nan)
        if n >= LEAST_DRAWS:
            halves = _Ranked(_halved(x))
            scores = halves.scores()
            bulk = _ess(scores)
            tail = _ess_tail(x, (0.05, 0.95), halves.sorted if n % 2 == 0 else None)
        if superchains is not None:
            whole = _Ranked(x)
            r = _larger(*(_nested(z, superchains) for z in (whole.scores(), whole.folded())))
        elif chains == 1:
            r = _rank_r_hat(x)
        elif n >= LEAST_DRAWS:
            r = _larger(_r_hat(scores), _r_hat(halves.folded()))
        return np.stack([r, bulk, tail])

    if superchains is not None:
        _check_superchains(chains, n, superchains)
    r, bulk, tail = _in_pieces(of_piece, values)
    return {"r_hat": r, "ess_bulk": bulk, "ess_tail": tail}


def r_hat(draws: ArrayLike) -> Array:
    """Rank-normalised split R-hat, the larger of bulk and folded (Vehtari et al. 2021).

    Parameters
    ----------
    draws : (chains, draws, quantities...)
        A single chain is compared with itself: its halves stand for two chains.

    Returns
    -------
    (quantities...) array
        ``az.rhat(method="rank")``. NaN of a constant, and of chains of fewer than 4 draws.
    """
    return _in_pieces(lambda x: _rank_r_hat(x)[None], draws)[0]


def split_r_hat(draws: ArrayLike) -> Array:
    """Plain split R-hat: no ranks, so cheap enough to watch tens of thousands of dimensions.

    Parameters
    ----------
    draws : (chains, draws, quantities...)

    Returns
    -------
    (quantities...) array
        ``az.rhat(method="split")``. NaN of a constant, and of chains of fewer than 4 draws.
    """

    def of_piece(x: Array) -> Array:
        if x.shape[2] < LEAST_DRAWS:
            return np.full((1, len(x)), np.nan)
        return _r_hat(_halved(x))[None]

    return _in_pieces(of_piece, draws)[0]


def nested_r_hat(draws: ArrayLike, superchains: int) -> Array:
    """Nested R-hat, for many short chains (Margossian et al. 2024, equations 4 to 8).

    Chains that begin at the same point form a superchain. The variance between the means of
    superchains is compared with that within them: the variance between the chains of a superchain,
    plus the variance within its chains. Chains of one draw will do.

    Parameters
    ----------
    draws : (chains, draws, quantities...)
    superchains : int
        Chains are in order: the first ``chains / superchains`` are the first superchain.

    Returns
    -------
    (quantities...) array
        At least 1; NaN of a constant. Plain, as in the paper and in posterior's ``rhat_nested``:
        neither split nor ranked (``az.rhat_nested(method="identity")``). Splitting is what
        ArviZ's default does; it needs four draws, and only moves variance between the two parts
        of the denominator.

    Raises
    ------
    ValueError
        If superchains are not of equal size, fewer than two, or of one draw each.
    """
    values = np.asarray(draws)
    _check_superchains(values.shape[0], values.shape[1], superchains)
    return _in_pieces(lambda x: _nested(x, superchains)[None], values)[0]


def ess_bulk(draws: ArrayLike) -> Array:
    """Effective sample size of the rank-normalised draws.

    Parameters
    ----------
    draws : (chains, draws, quantities...)

    Returns
    -------
    (quantities...) array
        ``az.ess(method="bulk")``. The number of draws for a constant, as in ArviZ; NaN of chains
        of fewer than 4 draws.
    """

    def of_piece(x: Array) -> Array:
        if x.shape[2] < LEAST_DRAWS:
            return np.full((1, len(x)), np.nan)
        return _ess(_Ranked(_halved(x)).scores())[None]

    return _in_pieces(of_piece, draws)[0]


def ess_tail(draws: ArrayLike, probabilities: tuple[float, float] = (0.05, 0.95)) -> Array:
    """Effective sample size of the ends of an interval, the smaller of the two.

    Parameters
    ----------
    draws : (chains, draws, quantities...)
    probabilities : tuple of float
        Of the quantiles at the ends.

    Returns
    -------
    (quantities...) array
        ``az.ess(method="tail", prob=probabilities)``; constants and short chains as `ess_bulk`.
    """
    return _in_pieces(lambda x: _ess_tail(x, probabilities)[None], draws)[0]


def mcse_mean(draws: ArrayLike) -> Array:
    """Monte Carlo standard error of the mean.

    Parameters
    ----------
    draws : (chains, draws, quantities...)

    Returns
    -------
    (quantities...) array
        ``az.mcse(method="mean")``: sd / √ESS, with the ESS of the draws as they are.
    """

    def of_piece(x: Array) -> Array:
        if x.shape[2] < LEAST_DRAWS:
            return np.full((1, len(x)), np.nan)
        return (x.std(axis=(1, 2), ddof=1) / np.sqrt(_ess(_halved(x))))[None]

    return _in_pieces(of_piece, draws)[0]


# --- their parts: of (quantities, chains, draws) ------------------------------------------------


def _in_pieces(function: Callable[[Array], Array], draws: ArrayLike) -> Array:
    """Apply a function of (quantities, chains, draws) with results (k, quantities), in pieces.

    The pieces bound the memory, and are worked on side by side.
    """
    values = np.asarray(draws)
    chains, n, *rest = values.shape
    count = int(np.prod(rest))
    values = values.reshape(chains, n, count) if count else np.zeros((chains, n, 1))
    width = max(1, PIECE // (chains * n))

    def of(start: int) -> Array:
        piece = np.moveaxis(values[:, :, start : start + width], 2, 0)
        x = np.ascontiguousarray(piece, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # of chains that never moved
            return np.where(np.isfinite(x).all((1, 2)), function(x), np.nan)

    found = list(workers().map(of, range(0, values.shape[2], width)))
    return np.concatenate(found, axis=1)[:, :count].reshape(len(found[0]), *rest)


def _halved(x: Array) -> Array:
    """Halves of chains as chains; of an odd number of draws the middle one is left out."""
    n = x.shape[2]
    return np.concatenate([x[..., : n // 2], x[..., n - n // 2 :]], axis=1)


class _Ranked:
    """Normal scores of draws by their ranks among all chains (Vehtari et al. 2021, eq. 14).

    Parameters
    ----------
    x : (quantities, chains, draws)
    """

    def __init__(self, x: Array) -> None:
        self.shape = x.shape
        values = x.reshape(len(x), -1)
        self._rows = np.arange(len(x))[:, None] * values.shape[1]
        self._order = np.argsort(values, axis=1) + self._rows  # places in the flat array
        self.sorted = values.ravel()[self._order]

    def scores(self) -> Array:
        """Scores of the draws, of the shape of x."""
        return self._back(_scores(self.sorted), self._order)

    def folded(self) -> Array:
        """Scores of the distances from the median, of the shape of x."""
        low, high = (self.sorted.shape[1] - 1) // 2, self.sorted.shape[1] // 2
        median = (self.sorted[:, [low]] + self.sorted[:, [high]]) / 2
        distance = np.abs(self.sorted - median)
        order = np.argsort(distance, axis=1, kind="stable")  # quick, for it falls and then rises
        order += self._rows
        return self._back(_scores(distance.ravel()[order]), self._order.ravel()[order])

    def _back(self, scores: Array, order: NDArray[np.intp]) -> Array:
        """From the order of sizes to that of draws."""
        out = np.empty(scores.size)
        out[order] = scores
        return out.reshape(self.shape)


def _scores(ordered: Array) -> Array:
    """Normal scores of sorted (quantities, size) values; equal values have their average rank."""
    size = ordered.shape[1]
    rank = np.arange(2 * size - 1) / 2 + 1  # averages of ranks are whole or half
    table = special.ndtri((rank - 3 / 8) / (size + 1 / 4))
    scores = np.tile(table[::2], (len(ordered), 1))
    same = np.zeros((len(ordered), size + 1), bool)  # as the value before
    same[:, 1:-1] = ordered[:, 1:] == ordered[:, :-1]
    before, after = same[:, :-1], same[:, 1:]
    first, last = np.flatnonzero(after & ~before), np.flatnonzero(before & ~after)
    mean = table[first % size + last % size]
    scores.ravel()[np.flatnonzero(before | after)] = np.repeat(mean, last - first + 1)
    return scores


def _larger(bulk: Array, folded: Array) -> Array:
    """The larger R-hat; the folded one of two-valued draws may be NaN."""
    return np.where(folded > bulk, folded, bulk)


def _rank_r_hat(x: Array) -> Array:
    chains, n = x.shape[1:]
    if chains == 1:
        return _rank_r_hat(_halved(x[..., : n - n % 2])) if n > 1 else np.full(len(x), np.nan)
    if n < LEAST_DRAWS:
        return np.full(len(x), np.nan)
    ranked = _Ranked(_halved(x))
    return _larger(_r_hat(ranked.scores()), _r_hat(ranked.folded()))


def _r_hat(x: Array) -> Array:
    """R-hat of chains as they are (Vehtari et al. 2021, equations 1 to 4)."""
    n = x.shape[2]
    between = n * x.mean(2).var(1, ddof=1)
    within = x.var(2, ddof=1).mean(1)
    return _moving(x, np.sqrt((between / within + n - 1) / n))


def _check_superchains(chains: int, draws: int, superchains: int) -> None:
    if superchains < 2 or chains % superchains or chains * draws == superchains:
        raise ValueError(
            f"superchains must be at least 2, of equal size and of two draws or more, which "
            f"{superchains} superchains of {chains} chains of {draws} draws are not."
        )


def _nested(x: Array, superchains: int) -> Array:
    """Nested R-hat of chains as they are."""
    quantities, chains, draws = x.shape
    x = x.reshape(quantities, superchains, chains // superchains, draws)
    means = x.mean(3)
    between = means.mean(2).var(1, ddof=1)
    within = np.zeros(quantities)
    if chains > superchains:
        within += means.var(2, ddof=1).mean(1)
    if draws > 1:
        within += x.var(3, ddof=1).mean((1, 2))
    return _moving(x, np.sqrt(1 + between / within))


def _moving(x: Array, r: Array) -> Array:
    """NaN for constants, whose variances are zero up to rounding."""
    return np.where(np.ptp(x.reshape(len(x), -1), axis=1) > 0, r, np.nan)


def _ess_tail(x: Array, probabilities: tuple[float, float], ordered: Array | None = None) -> Array:
    """Of whether draws are at most a quantile: at most the draw at or below the quantile, then."""
    if x.shape[2] < LEAST_DRAWS:
        return np.full(len(x), np.nan)
    values = x.reshape(len(x), -1)
    places = [int((values.shape[1] - 1) * p) for p in probabilities]
    ends = (np.partition(values, places, axis=1) if ordered is None else ordered)[:, places]
    parts = [_ess(_halved((x <= end[:, None, None]).astype(np.float64))) for end in ends.T]
    return np.minimum(*parts)


def _ess(x: Array) -> Array:
    """Effective sample size of chains as they are, by Geyer's initial monotone sequence.

    Autocorrelations of lags 2k and 2k + 1 are added in pairs, up to the first sum that is not
    positive, and sums may not rise (Vehtari et al. 2021, equations 10 to 13). The mean over
    chains is taken of the spectra, so that there is one inverse transform a quantity.
    """
    chains, n = x.shape[1:]
    length = fft.next_fast_len(2 * n, real=True)
    means = x.mean(2)
    spectrum = np.fft.rfft(x - means[..., None], length)  # pads line by line, unlike SciPy's
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).mean(1)
    covariance = np.fft.irfft(power, length)[:, :n] / n
    within = covariance[:, :1] * n / (n - 1)
    total = covariance[:, :1] + means.var(1, ddof=1)[:, None]
    rho = 1 - (within - covariance) / total
    rho[:, 0] = 1

    pairs = max(0, (n - 3) // 2)  # after the first, as far as ArviZ and posterior look
    sums = rho[:, : 2 * pairs + 2].reshape(len(x), pairs + 1, 2).sum(2)
    stop = ~(sums > 0)
    stop[:, -1] = True
    end = stop.argmax(1)[:, None]  # the first pair that does not count
    even, odd_too = np.take_along_axis(rho, 2 * end, 1), np.take_along_axis(sums, end, 1) >= 0
    remainder = np.where((even > 0) | odd_too, even, 0)[:, 0]
    counted = np.where(np.arange(pairs + 1) < end, np.minimum.accumulate(sums, 1), 0).sum(1)
    size = chains * n
    tau = np.maximum(-1 + 2 * counted + remainder, 1 / np.log10(size))
    constant = np.ptp(x, axis=(1, 2)) < np.finfo(np.float64).resolution
    return np.where(constant, size, size / tau)


def pareto_k(log_weights: ArrayLike) -> float:
    """Shape of the generalised Pareto distribution of the largest importance weights.

    Below 0.7 the weights correct an approximation reliably, which then is a good one (Vehtari,
    Simpson, Gelman, Yao and Gabry 2024, "Pareto smoothed importance sampling"); fitted as by Zhang
    and Stephens (2009), with the prior of that paper on small samples.

    Parameters
    ----------
    log_weights : array

    Returns
    -------
    float
        Infinite if a weight is not finite; NaN of fewer than 25, whose tail has under 5.

    Examples
    --------
    >>> weights = np.random.default_rng(1).pareto(2.0, 4000)  # with a tail of shape 1 / 2
    >>> bool(0.35 < pareto_k(np.log(weights)) < 0.65)
    True
    """
    x = np.sort(np.ravel(log_weights))
    if len(x) < 25:
        return float("nan")
    if not np.isfinite(x[-1]) or np.isnan(x).any():
        return float("inf")
    size = int(min(0.2 * len(x), 3 * np.sqrt(len(x))))
    top = np.exp(x[-size:] - x[-1])
    y = top - np.exp(x[-size - 1] - x[-1])
    if y[-1] <= 0 or y[0] == y[-1]:  # all alike: no tail
        return float("-inf")
    grid = 1 - np.sqrt((30 + int(np.sqrt(size))) / (np.arange(1, 31 + int(np.sqrt(size))) - 0.5))
    theta = grid / (3 * y[int(size / 4 + 0.5) - 1]) + 1 / y[-1]
    k = np.log1p(-theta[:, None] * y).mean(axis=1)
    profile = size * (np.log(-theta / k) - k - 1)
    weights = 1 / np.exp(profile - profile[:, None]).sum(axis=1)
    best = float(np.log1p(-(theta @ weights) * y).mean())
    return (size * best + 10 * 0.5) / (size + 10)
