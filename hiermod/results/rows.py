"""Quantities of every row and draw, worked out in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import xarray as xr
from numpy.typing import NDArray

from hiermod.errors import ModelError
from hiermod.formula.design import Design
from hiermod.models.joint import Joint, arrays
from hiermod.models.specification import GroupEffects, Parameter, Predictor, Specification

FloatArray = NDArray[np.float64]

CHUNK = 2**22
"""Numbers (draws times rows) worked out at once."""


def effects(g: GroupEffects, posterior: xr.Dataset) -> FloatArray:
    """Deviations of a group term, shape (chain, draw, K, J).

    Raises
    ------
    ModelError
        If they were too many to keep.
    """
    blocks = []
    for effect in g.group.effects:
        if g.name(effect) not in posterior:
            raise ModelError(
                f"the draws of {g.name(effect)} were too many to keep: fewer draws, or "
                f"shortcuts=False, keep them; fit.draw_effects({g.group.factor!r}, levels) makes "
                "those of some levels."
            )
        values = posterior[g.name(effect)].to_numpy()
        blocks.append(values if effect.labels else values[..., None, :])
    return np.concatenate(blocks, axis=-2)


def predictor_inputs(s: Predictor, posterior: xr.Dataset) -> list[FloatArray]:
    """Arguments of the program's linear predictor, each (chain * draw, ...), from a posterior."""
    out = [posterior[p.name].to_numpy() for p in s.common]
    if s.intercept:
        out.insert(0, posterior[s.intercept.name].to_numpy() + shift(s, posterior))
    out += [effects(g, posterior) for g in s.groups]
    out += [posterior[one.smooth.name].to_numpy() for one in s.smooths]
    return [v.reshape(-1, *v.shape[2:]) for v in out]


def shift(s: Predictor, coefficients: Mapping[Hashable, Any]) -> Any:
    """The common terms at the predictors' means, shape (chain, draw), or 0 if there are none.

    `coefficients` are arrays (chain, draw, ...) by the names of the terms: a posterior is that.
    """
    total: Any = 0.0
    for p, term in zip(s.common, s.design.terms, strict=True):
        beta = np.asarray(coefficients[p.name])
        total = total + (beta if p.labels else beta[..., None]) @ s.means[term.columns]
    return total


def thresholds(s: Specification, p: Parameter, posterior: xr.Dataset) -> FloatArray:
    """Those at the predictors' means that have a prior, (chain, draw, all of them or the first)."""
    found = posterior[p.name].to_numpy()[..., : len(p.labels)]
    linear = s.seen_from(p)
    return np.asarray(found - np.expand_dims(shift(linear, posterior) if linear else 0.0, -1))


def by_row(
    joint: Joint,
    posterior: xr.Dataset,
    quantity: Callable[[Any, tf.Tensor, list[tf.Tensor]], tf.Tensor],
    design: Design | None = None,
) -> FloatArray:
    """A quantity of every draw and row.

    Parameters
    ----------
    joint : Joint
    posterior : Dataset
        With the variables of `conversion.posterior`; of the prior as well.
    quantity : function
        ``quantity(data, eta, parameters)`` with the linear predictor (draws, rows) and the
        family's parameters of a piece of the draws, each (draws,), or its linear predictor
        (draws, rows) if it has one; and the program's data.
    design : Design, optional
        Other rows than those of training.

    Returns
    -------
    array, shape (chain, draw, N), or (chain, draw, N, K) of a quantity with K numbers
    """
    s = joint.specification
    data = joint.data
    if design is not None:
        data = {k: tf.constant(v) for k, v in arrays(s, design).items()}
    inputs = {p.parameter: predictor_inputs(p, posterior) for p in s.predictors}
    fixed = {p.name: posterior[p.name].to_numpy() for p in s.auxiliary}
    fixed |= {p.name: thresholds(s, p, posterior) for p in s.thresholds}
    fixed = {name: v.reshape(-1, *v.shape[2:]) for name, v in fixed.items()}
    chains, draws, rows = posterior.sizes["chain"], posterior.sizes["draw"], data["y"].shape[0]
    pieces = []
    step = max(1, CHUNK // rows)
    for begin in range(0, chains * draws, step):
        piece = slice(begin, begin + step)
        etas = {
            p.parameter: getattr(joint.functions, f"linear_predictor{p.suffix}")(
                data, *(tf.constant(v[piece]) for v in inputs[p.parameter])
            )
            for p in s.predictors
        }
        known = etas | {name: tf.constant(v[piece]) for name, v in fixed.items()}
        given = [known[name] for name in s.family.parameters]
        pieces.append(np.asarray(quantity(data, etas[""], given)))
    out = np.concatenate(pieces)
    return out.reshape(chains, draws, *out.shape[1:])


def log_likelihood(joint: Joint, posterior: xr.Dataset) -> FloatArray:
    """Log-likelihood of every row, shape (chain, draw, N); a weight counts."""
    likelihood = joint.functions.likelihood
    return by_row(
        joint, posterior, lambda data, eta, p: likelihood(data, eta, *p).log_prob(data["y"])
    )


def total_log_likelihood(joint: Joint, posterior: xr.Dataset) -> FloatArray:
    """Log-likelihood of all rows together, shape (chain, draw)."""
    likelihood = joint.functions.likelihood

    def total(data: Any, eta: tf.Tensor, p: list[tf.Tensor]) -> tf.Tensor:
        return tf.reduce_sum(likelihood(data, eta, *p).log_prob(data["y"]), axis=-1)

    return by_row(joint, posterior, total)


def predictive(joint: Joint, posterior: xr.Dataset, seed: int) -> FloatArray:
    """A response drawn for every draw and row, shape (chain, draw, N), or that of its columns."""
    likelihood, generator = joint.functions.likelihood, np.random.default_rng([seed, 2])

    def draw(data: Any, eta: tf.Tensor, p: list[tf.Tensor]) -> tf.Tensor:
        pair = generator.integers(2**31, size=2)
        return likelihood(data, eta, *p).sample(seed=tf.constant(pair, tf.int32))

    return by_row(joint, posterior, draw)


def fitted(joint: Joint, posterior: xr.Dataset) -> FloatArray:
    """Expected response of every row, shape (chain, draw, N).

    Of categories the probability of each, shape (chain, draw, N, K); so of several columns.
    """
    likelihood = joint.functions.likelihood
    what = "probs" if joint.specification.family.categories else "mean"
    return by_row(joint, posterior, lambda data, eta, p: getattr(likelihood(data, eta, *p), what)())
