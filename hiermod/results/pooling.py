"""No pooling, partial pooling, complete pooling: what a group term did to every level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
import xarray as xr
from numpy.typing import NDArray

from hiermod.errors import DataError, ModelError, did_you_mean
from hiermod.formula.design import Design, label
from hiermod.models.joint import Joint
from hiermod.models.links import evaluate
from hiermod.models.specification import GroupEffects, Specification
from hiermod.results.conversion import effect_labels
from hiermod.results.rows import by_row, effects
from hiermod.results.summary import check_probability

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class Pooling:
    """Estimates of the coefficients of every level, K effects of J levels.

    Coefficients are totals (population value plus deviation), with the other predictors at their
    means and the other groups at their averages.

    Attributes
    ----------
    factor : str
    effects : tuple of str
        Labels of the effects, length K.
    levels : array, shape (J,)
    size : array, shape (J,)
        Data of each level: trials if the response has them, else rows.
    size_label : str
        ``"trials"`` or ``"rows"``.
    no_pooling : array, shape (J, K)
        Maximum likelihood from the level's own rows; infinite where they are all at an end of the
        support, NaN where they cannot tell.
    mean, low, high : array, shape (J, K)
        Posterior mean and interval.
    covariance : array, shape (J, K, K)
        Of the posterior.
    complete : array, shape (K,)
        Maximum likelihood from the rows of all levels together, as if there were no groups.
    population : array, shape (K,)
        Posterior mean of the population value, which partial pooling pulls the levels to.
    probability : float
        Of the interval.
    response : str
        Name of the response.
    scale : str
        ``"response"``, or the link of the linear predictor.
    """

    factor: str
    effects: tuple[str, ...]
    levels: NDArray[Any]
    size: FloatArray
    size_label: str
    no_pooling: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    covariance: FloatArray
    complete: FloatArray
    population: FloatArray
    probability: float
    response: str
    scale: str


def pooling(
    joint: Joint,
    posterior: xr.Dataset,
    factor: str,
    *,
    response: bool = False,
    probability: float = 0.9,
) -> Pooling:
    """Compare the levels of a grouping factor with and without pooling.

    Parameters
    ----------
    joint : Joint
    posterior : Dataset
    factor : str
        A grouping factor of the model.
    response : bool
        Give the mean of the response (a probability, a rate) instead of the linear predictor.
    probability : float
        Of the intervals, which are equal-tailed.

    Returns
    -------
    Pooling

    Raises
    ------
    ModelError
        If the model has no such group, or `response` is asked for effects beyond an intercept.
    """
    check_probability(probability)
    s = joint.specification
    if s.outcomes:
        raise ModelError(
            f"family {s.family.name!r} has a linear predictor for each of {len(s.outcomes)} "
            "outcomes, and shrinkage is shown for one: plot the effects with fit.plot_forest()."
        )
    g = _group(s, factor)
    if response and (s.thresholds or s.plain.mixed):
        raise ModelError(
            f"the mean response of family {s.family.name!r} is not that of one linear predictor: "
            "use response=False."
        )
    if response and [e.name for e in g.group.effects] != ["1"]:
        raise ModelError(
            f"the response scale is for an intercept only, but {factor!r} has the effects "
            f"{', '.join(effect_labels(g))}: use response=False."
        )
    population = _population(s, g, posterior)
    totals = population[..., None] + effects(g, posterior)  # (chain, draw, K, J)
    totals = totals.reshape(-1, *totals.shape[2:]).swapaxes(1, 2)  # (S, J, K)
    population = population.reshape(-1, population.shape[-1])
    rows = _Rows.of(joint, g, posterior, totals.mean(axis=0))
    alone = rows.maximum_likelihood(g.group.index, totals.mean(axis=0))
    together = rows.maximum_likelihood(
        np.zeros_like(g.group.index), population.mean(axis=0, keepdims=True)
    )
    if response:
        totals, alone, together, population = (
            evaluate(s.link.mean, eta=v).numpy() for v in (totals, alone, together, population)
        )
    tail = (1 - probability) / 2
    low, high = np.quantile(totals, [tail, 1 - tail], axis=0)
    centred = totals - totals.mean(axis=0)
    trials = s.design.response.trials
    weight = np.ones(s.design.n_rows) if trials is None else trials
    return Pooling(
        factor=g.group.factor,
        effects=tuple("Intercept" if e == "1" else e for e in effect_labels(g)),
        levels=g.group.levels,
        size=_by_level(g.group.index, weight, len(g.group.levels)),
        size_label="rows" if trials is None else "trials",
        no_pooling=alone,
        mean=totals.mean(axis=0),
        low=low,
        high=high,
        covariance=np.einsum("sjk,sjl->jkl", centred, centred) / (len(centred) - 1),
        complete=together[0],
        population=population.mean(axis=0),
        probability=probability,
        response=s.design.response.name,
        scale="response" if response else s.link.name,
    )


def _group(s: Specification, factor: str) -> GroupEffects:
    found = [g for g in s.groups if g.group.factor == label(factor)]
    if not found:
        elsewhere = ((p.parameter, g) for p in s.others for g in p.groups)
        others = [name for name, g in elsewhere if g.group.factor == label(factor)]
        if others:
            raise ModelError(
                f"the effects of {factor!r} are in the formula of {others[0]}, and shrinkage is "
                "shown for those in the formula of the response: plot them with fit.plot_forest()."
            )
        names = ", ".join(sorted({g.group.factor for g in s.groups})) or "none"
        raise ModelError(f"the model has no grouping factor {factor!r}. It has: {names}.")
    first, rest = found[0], found[1:]
    for other in rest:  # (1 | g) + (0 + x | g): one table of all effects of the factor
        shift = first.group.Z.shape[1]
        moved = tuple(
            replace(e, columns=slice(e.columns.start + shift, e.columns.stop + shift))
            for e in other.group.effects
        )
        group = replace(
            first.group,
            effects=(*first.group.effects, *moved),
            Z=np.column_stack([first.group.Z, other.group.Z]),
        )
        first = replace(first, group=group, sigmas=(*first.sigmas, *other.sigmas))
    return first


def _columns(s: Specification, g: GroupEffects) -> tuple[list[int], FloatArray]:
    """For each effect its common column (-1 for the intercept, -2 for none); and the others' means.

    The means, shape (P,), are zero for the columns that are effects themselves.
    """
    names = [
        f"{t.name}[{label}]" if label else t.name
        for t in s.design.terms
        for label in t.labels or [""]
    ]
    own = [-1 if e == "1" else names.index(e) if e in names else -2 for e in effect_labels(g)]
    means = np.array(s.design.X.mean(axis=0))
    means[[c for c in own if c >= 0]] = 0.0
    return own, means


def _beta(s: Specification, posterior: xr.Dataset) -> FloatArray:
    """Common coefficients, shape (chain, draw, P)."""
    parts = [posterior[p.name].to_numpy() for p in s.common]
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], 0)
    return np.concatenate(
        [
            np.empty(shape),
            *(v if p.labels else v[..., None] for p, v in zip(s.common, parts, strict=True)),
        ],
        axis=-1,
    )


def _population(s: Specification, g: GroupEffects, posterior: xr.Dataset) -> FloatArray:
    """Population values of the effects, shape (chain, draw, K)."""
    own, means = _columns(s, g)
    beta = _beta(s, posterior)
    level = beta @ means
    if s.intercept:
        level = level + posterior[s.intercept.name].to_numpy()
    for one in s.smooths:
        b = posterior[one.smooth.name].to_numpy()
        level = level + (b * one.smooth.Z.mean(axis=0)).sum(axis=tuple(range(2, b.ndim)))
    zero = np.zeros(level.shape)
    return np.stack([level if c == -1 else zero if c == -2 else beta[..., c] for c in own], axis=-1)


@dataclass(frozen=True)
class _Rows:
    """The rows of a group term, everything but its coefficients fixed at posterior means.

    Attributes
    ----------
    joint : Joint
    z : array, shape (N, K)
    offset : array, shape (N,)
        What the rest of the model adds to the linear predictor.
    parameters : list of tensor
        Of the family.
    """

    joint: Joint
    z: FloatArray
    offset: FloatArray
    parameters: list[tf.Tensor]

    @classmethod
    def of(cls, joint: Joint, g: GroupEffects, posterior: xr.Dataset, totals: FloatArray) -> _Rows:
        """Take the coefficients of the levels, shape (J, K), off the linear predictor."""
        average = posterior.mean(("chain", "draw")).expand_dims(chain=1, draw=1)
        parameters: list[tf.Tensor] = []

        def keep(data: Any, eta: tf.Tensor, given: list[tf.Tensor]) -> tf.Tensor:
            parameters[:] = [v[0] for v in given]
            return eta

        eta = by_row(joint, average, keep)[0, 0]
        z = g.group.Z
        offset = eta - np.einsum("nk,nk->n", z, totals[g.group.index])
        return cls(joint, z, offset, parameters)

    def predictor(self, b: FloatArray, index: IntArray) -> FloatArray:
        """Linear predictor for coefficients (J, K)."""
        return np.asarray(self.offset + np.einsum("nk,nk->n", self.z, b[index]))

    def maximum_likelihood(self, index: IntArray, start: FloatArray) -> FloatArray:
        """Coefficients of every level from its own rows alone, by Newton's method.

        Parameters
        ----------
        index : array, shape (N,)
            Level of every row.
        start : array, shape (J, K)

        Returns
        -------
        array, shape (J, K)
            Infinite or NaN as in `Pooling.no_pooling`.
        """
        z, (levels, k) = self.z, start.shape
        squares = z[:, :, None] * z[:, None, :]
        slope, curve = self._derivatives(tf.constant(self.predictor(start, index)))
        tells = ((slope != 0) | (curve != 0)).astype(float)  # not rows before a hurdle, say
        gram = _by_level(index, tells[:, None, None] * squares, levels)
        known = np.linalg.matrix_rank(gram, hermitian=True) == k
        ridge = 1e-9 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(k)
        b = np.where(known[:, None], start, 0.0)
        for _ in range(100):
            slope, curve = self._derivatives(tf.constant(self.predictor(b, index)))
            gradient = _by_level(index, slope[:, None] * z, levels)
            hessian = _by_level(index, -curve[:, None, None] * squares, levels) + ridge
            hessian[~known] = np.eye(k)
            step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
            step = np.where(known[:, None], step, 0.0)
            b = b + np.clip(step, -2.0 * (1 + abs(b)), 2.0 * (1 + abs(b)))
            if np.abs(step).max() < 1e-9 * (1 + np.abs(b).max()):
                break
        return _at_ends(self, b, known, index)

    def _derivatives(self, eta: tf.Tensor) -> tuple[FloatArray, FloatArray]:
        """First and second derivative of every row's log-likelihood in its linear predictor."""
        data = self.joint.data
        with tf.GradientTape() as outer:
            outer.watch(eta)
            with tf.GradientTape() as inner:
                inner.watch(eta)
                likelihood = self.joint.functions.likelihood(data, eta, *self.parameters)
                value = likelihood.log_prob(data["y"])
            slope = inner.gradient(value, eta)
        return slope.numpy(), outer.gradient(slope, eta).numpy()


def _at_ends(rows: _Rows, b: FloatArray, known: NDArray[np.bool_], index: IntArray) -> FloatArray:
    """Infinite estimates where the rows of a level are all at an end of the support."""
    s = rows.joint.specification
    y, trials = s.design.response.values, s.design.response.trials
    low, upper = s.family.lower, s.family.upper
    if s.thresholds:  # a hurdle before the categories says nothing about them
        low, upper = 1, y.max()
    top = trials if trials is not None else np.full(len(y), upper)
    levels = len(b)
    at_low = _by_level(index, (y > low).astype(float), levels) == 0
    at_high = _by_level(index, ((y < top) & (y >= low)).astype(float), levels) == 0
    sign = np.where(at_high, 1.0, -1.0)[:, None]
    end = (at_low | at_high)[:, None]
    single = b.shape[1] == 1
    b = np.where(end, sign * np.inf if single else np.nan, b)
    # Other separations, within a level, leave a huge linear predictor behind.
    huge = s.link.name != "identity"
    largest = np.zeros(levels)
    finite = np.where(np.isfinite(b), b, 0.0)
    np.maximum.at(largest, index, np.abs(rows.predictor(finite, index)))
    apart = (largest > 12)[:, None] & huge & ~end
    return np.where(known[:, None] & ~apart, b, np.nan)


def _by_level(index: Any, values: FloatArray, levels: int) -> FloatArray:
    """Sums over the rows of every level, shape (J, ...)."""
    out = np.zeros((levels, *values.shape[1:]))
    np.add.at(out, index, values)
    return out


def level_values(design: Design, data: pd.DataFrame, factor: str, column: str) -> NDArray[Any]:
    """Value of a column in every level of a factor, where it does not vary within levels.

    Parameters
    ----------
    design : Design
    data : DataFrame
        The data that the model was made from.
    factor, column : str

    Returns
    -------
    array, shape (J,)

    Raises
    ------
    ModelError
        If there is no such column or factor.
    DataError
        If the column varies within a level, or is missing there; says in which.
    """
    if column not in data.columns:
        hint = did_you_mean(column, map(str, data.columns), "Columns")
        raise ModelError(f"the data have no column {column!r}. {hint}")
    g = next((g for g in design.groups if g.factor == label(factor)), None)
    if g is None:
        raise ModelError(f"the model has no grouping factor {factor!r}.")
    values = data[column].iloc[design.positions]
    by_level = pd.DataFrame({"level": g.index, "value": values.to_numpy()}).groupby("level")[
        "value"
    ]
    varies = by_level.agg(lambda v: len(pd.unique(v)) > 1)
    if varies.any():
        raise DataError(
            f"column {column!r} varies within {varies.sum()} levels of {factor!r}, for example "
            f"{g.levels[varies.to_numpy().argmax()]!s}: levels can only be split by a column that "
            f"is constant in each."
        )
    return by_level.first().to_numpy()
