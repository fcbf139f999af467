"""A rough fit: about where the posterior is, and what the rows say there.

Iteratively reweighted least squares, with normal effects of groups (Breslow and Clayton 1993,
"Approximate inference in generalized linear mixed models").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hiermod.formula.design import Design
from hiermod.models import families
from hiermod.models.decorations import exposed
from hiermod.models.defaults import shares, typical_eta
from hiermod.models.links import LINKS, Link, evaluate

FloatArray = NDArray[np.float64]
Effects = tuple[NDArray[np.integer], FloatArray]
"""Of a group term: the level of every row, (N,), and its effects, (K, N)."""

STEPS = 8
"""Most steps of the rough fit."""

CLOSE = 0.01
"""Largest move of the linear predictor, over its spread, after which the fit is good enough."""

LONGEST = 2.0
"""Longest step, on the scale of a link that is not the identity."""

FLAT = 1e-6
"""Share of the median weight of the rows, below which a row is as good as without."""

LEAST = 0.05
"""Least share of information that is left where groups are integrated out; one at a time, and with
what their levels share left out, they may seem to take more than all."""


class Rows:
    """The likelihood of the rows, as a function of their linear predictor.

    Attributes
    ----------
    start : float
        A typical linear predictor, without its offset.
    offset : float or array, shape (N,)
    weights : array, shape (N,)
        How often the likelihood counts each; zero where it says nothing.
    dispersion : bool
        Whether the family has a dispersion; it is one here.
    """

    def __init__(self, design: Design, family: families.Family, link: Link) -> None:
        self.start = typical_eta(design, family, link)
        self.offset = 0.0 if design.offset is None else design.offset
        response = design.response
        if link.partial:  # a step could leave its range; what levels tell hardly depends on it
            link = LINKS[family.links[0]]
        y, weights = response.values, np.ones(design.n_rows)
        weights = weights if response.weights is None else response.weights
        if family.log_scale:  # the zeros of a hurdle say nothing
            y, weights = np.log(np.where(y > 0, y, 1.0)), weights * (y > 0)
        size = response.size
        if link.name == "identity" and not family.decisions:
            # A location is about as well known as a mean.
            family, size = families.FAMILIES["gaussian"], None
        elif response.rate is not None:
            family = exposed(family)
        # Sums of one row: of families that have them, a likelihood without constants.
        whole = f'({families.likelihood(family, link)}\n).log_prob(data["y"])'
        self._text = families.totals(family, link) or whole
        sizes, values = tf.constant(1.0 if size is None else size, tf.float64), tf.constant(y)
        # The dispersion is one here and estimated later; the mean does not depend on it.
        self._arguments = {
            "data": {
                **dict.fromkeys(("trials", "rate", "count"), sizes),
                **dict.fromkeys(("y", "total"), values),
                "within": np.float64(0),
            },
            **{
                name: np.full([1, p.size] if p.size else [1], p.typical)
                for name, p in family.parameters.items()
            },
            **{
                name: evaluate(link.eta, mean=shares(response)).numpy()[np.newaxis]
                for name, p in family.parameters.items()
                if p.thresholds
            },
        }
        self.weights = weights
        self.dispersion = bool(family.parameters) and not family.categories

    def derivatives(self, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """First and minus second derivative of the log-likelihood of the rows."""
        x = tf.constant(eta)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = evaluate(self._text, eta=x, **self._arguments)
            slope = inner.gradient(value, x)
        second = outer.gradient(slope, x).numpy()
        return self.weights * slope.numpy(), np.maximum(-self.weights * second, 1e-12)


class RoughFit:
    """A rough fit of a linear predictor, coefficients and effects in turn.

    The covariance of the effects of a group begins with the inverse of what an average level's
    data say, and follows by steps of the EM algorithm.

    Parameters
    ----------
    design, family, link
        The likelihood and its linear predictor.
    means : array, shape (P,)
        What the predictors are centred by.
    intercept : bool
        Whether there is one.

    Attributes
    ----------
    x : array, shape (N, coefficients)
        Columns of the intercept, the common terms and smooths.
    size : int
        Number of columns without smooths.
    beta : array, shape (coefficients,)
    u : list of array, shape (J, K)
        Effects of each group.
    spread : list of array, shape (K, K)
        Covariances of the effects of each group.
    score, weight : array, shape (N,)
        First and minus second derivative of the log-likelihood of the rows; of families with a
        dispersion, at the one that the rows have.
    dispersion : float
        That of the rows, as a variance; one of other families.
    freedom : float
        Number of rows, as often as they count, less what the fit has used up.
    worth : float
        How often a row counts, on average.
    """

    def __init__(
        self,
        design: Design,
        family: families.Family,
        link: Link,
        means: FloatArray,
        *,
        intercept: bool,
    ) -> None:
        self.rows, self.groups = Rows(design, family, link), design.groups
        self.longest = np.inf if link.name == "identity" else LONGEST
        size = design.n_rows
        ones = [np.ones((size, 1))] if intercept else []
        curves = [one.Z.reshape(size, -1) for one in design.smooths]
        self.x = np.concatenate([*ones, design.X - means, *curves], axis=1)
        self.size = self.x.shape[1] - sum(curve.shape[1] for curve in curves)
        self.beta = np.zeros(self.x.shape[1])
        self.eta = self.rows.offset + np.zeros(size)
        if ones:
            self.beta[0] = self.rows.start
            self.eta += self.rows.start
        self.u = [np.zeros((len(g.levels), g.Z.shape[1])) for g in self.groups]
        self.spread: list[FloatArray] = []
        self.worth = float(self.rows.weights.mean()) or 1.0
        self.freedom, self.dispersion = size * self.worth, 1.0
        for _ in range(STEPS):
            before = self.eta
            self._weigh()
            self._move_coefficients()
            self._move_effects()
            if np.abs(self.eta - before).max() < CLOSE * self.eta.std():
                break
        self._weigh()

    def _weigh(self) -> None:
        """Scores and weights of the rows at the present fit, (N,)."""
        score, weight = self.rows.derivatives(self.eta)
        known = np.isfinite(score) & np.isfinite(weight) & (weight > 0)
        self.score, self.weight = np.where(known, score, 0.0), np.where(known, weight, 0.0)
        # Where a likelihood curves upwards, a row has no weight; it tells no dispersion either.
        told = known & (self.weight > FLAT * np.median(self.weight))
        if self.rows.dispersion and told.any():
            left = float((score[told] ** 2 / weight[told]).sum()) / self.freedom
            self.dispersion = left if np.isfinite(left) and left > 0 else 1.0
            self.score, self.weight = self.score / self.dispersion, self.weight / self.dispersion

    def _moved(self, move: FloatArray) -> None:
        """Go so far with the linear predictor; the scores follow to first order."""
        self.eta = self.eta + move
        self.score = self.score - self.weight * move

    def _move_coefficients(self) -> None:
        if not self.x.size:
            return
        weighted = self.weight[:, None] * self.x
        step = np.linalg.lstsq(self.x.T @ weighted, self.x.T @ self.score, rcond=1e-10)[0]
        largest = float(np.abs(self.x @ step).max())
        if np.isfinite(largest):
            step = step * min(1.0, self.longest / max(largest, 1e-300))
            self.beta = self.beta + step
            self._moved(self.x @ step)

    def _move_effects(self) -> None:
        self.freedom = len(self.eta) - float(self.size)
        for i, group in enumerate(self.groups):
            info, pull = self.information(i), self.scores(i)
            if len(self.spread) == i:
                self.spread.append(np.linalg.pinv(info.mean(axis=0)))
            precision = np.linalg.pinv(self.spread[i])
            variance = np.linalg.pinv(info + precision)
            step = np.einsum("jkl,jl->jk", variance, pull - self.u[i] @ precision)
            along = (group.Z * step[group.index]).sum(axis=1)
            largest = np.zeros(len(step))
            np.maximum.at(largest, group.index, np.abs(along))
            step *= np.minimum(1.0, self.longest / np.maximum(largest, 1e-300))[:, None]
            if not np.isfinite(step).all():
                continue
            self.u[i] = self.u[i] + step
            self._moved((group.Z * step[group.index]).sum(axis=1))
            outer = np.einsum("jk,jl->jkl", self.u[i], self.u[i])
            self.spread[i] = (outer + variance).mean(axis=0)
            self.freedom -= float(np.einsum("jkl,jlk->", variance, info))
        self.freedom = self.worth * max(self.freedom, 0.1 * len(self.eta))

    def scores(self, i: int) -> FloatArray:
        """Scores of the effects of a group, (J, K)."""
        group = self.groups[i]
        return by_level(group.index, self.score[:, None] * group.Z, len(group.levels))

    def information(self, i: int) -> FloatArray:
        """Information of the effects of every level of a group, (J, K, K)."""
        return self.products(i, self.groups[i].Z)

    def products(self, i: int, columns: FloatArray) -> FloatArray:
        """Weighted cross-products of effects, by level, with columns (N, P): (J, K, P)."""
        group = self.groups[i]
        weighted = (self.weight[:, None] * group.Z)[:, :, None] * columns[:, None, :]
        return by_level(group.index, weighted, len(group.levels))

    def variance(self, i: int) -> FloatArray:
        """Covariance of the effects of every level of a group given the rest, (J, K, K)."""
        return np.linalg.pinv(self.information(i) + np.linalg.pinv(self.spread[i]))

    def about_coefficients(self) -> FloatArray:
        """Information of the coefficients, the effects of each group integrated out."""
        x = self.x[:, : self.size]
        whole = x.T @ (self.weight[:, None] * x)
        left = whole.copy()
        for i in range(len(self.groups)):
            shared = self.products(i, x)
            left -= np.einsum("jkp,jkl,jlq->pq", shared, self.variance(i), shared)
        return at_least(left[None], whole[None])[0]

    def about_deviations(self, i: int) -> FloatArray:
        """Information of the logarithms of the standard deviations of a group's effects, (K,).

        It is that of as many normal values as there are levels; each counts for as much as the data
        say of it.
        """
        total = np.maximum(np.diagonal(self.spread[i]), 1e-300)
        known = 1.0 - np.diagonal(self.variance(i), axis1=1, axis2=2) / total
        return np.asarray(2.0 * (np.clip(known, 0.0, 1.0) ** 2).sum(axis=0))

    def meetings(self, i: int, j: int) -> dict[str, NDArray[Any]]:
        """Weighted cross-products of the effects of two groups, as of `meetings`."""
        one, two = ((group.index, group.Z.T) for group in (self.groups[i], self.groups[j]))
        return meetings(one, two, self.weight)


def meetings(one: Effects, other: Effects, weights: FloatArray) -> dict[str, NDArray[Any]]:
    """Weighted cross-products of the effects of two groups, by the pairs of levels that meet.

    Parameters
    ----------
    one, other : tuple
        Levels (N,) and effects (K, N).
    weights : array, shape (N,)

    Returns
    -------
    dict
        ``here`` and ``there``, levels of the two in the order of the first (pairs,); ``cross``
        (K, K', pairs).
    """
    (i, z), (k, v) = one, other
    size = int(k.max(initial=0)) + 1
    met, pair = np.unique(i.astype(np.int64) * size + k, return_inverse=True)
    here, there = np.divmod(met, size)
    cross = [[np.bincount(pair, weights * a * b) for b in v] for a in z]
    return {
        "here": here.astype(np.int32),
        "there": there.astype(np.int32),
        "cross": np.array(cross),
    }


def at_least(left: FloatArray, info: FloatArray) -> FloatArray:
    """What is left of information, (J, K, K), but a share of all there was in every direction."""
    sizes = np.diagonal(info, axis1=1, axis2=2).max(axis=0)
    root = np.linalg.cholesky(info + np.diag(1e-12 * (sizes + 1e-12)))
    inverse = np.linalg.inv(root)
    shares, vectors = np.linalg.eigh(inverse @ left @ np.swapaxes(inverse, -1, -2))
    turned = root @ vectors
    return turned * np.maximum(shares, LEAST)[:, None, :] @ np.swapaxes(turned, -1, -2)


def by_level(index: NDArray[np.integer], values: FloatArray, levels: int) -> FloatArray:
    """Sums of the rows of every level, (J, ...), of values (N, ...)."""
    flat = values.reshape(len(values), -1)
    out: FloatArray = np.zeros((levels, flat.shape[1]))
    for number, column in enumerate(flat.T):
        out[:, number] = np.bincount(index, column, levels)
    return out.reshape(levels, *values.shape[1:])
