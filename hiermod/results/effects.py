"""Draws of group effects that were too many to keep, made again for some levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
import xarray as xr
from numpy.typing import NDArray

from hiermod.errors import ModelError, did_you_mean
from hiermod.models import program
from hiermod.models.joint import Joint, arrays
from hiermod.models.specification import GroupEffects, Specification
from hiermod.results.conversion import by_effect, dataset
from hiermod.results.rows import predictor_inputs

FloatArray = NDArray[np.float64]


def draw_effects(
    joint: Joint, posterior: xr.Dataset, factor: str, levels: Any, seed: int
) -> xr.Dataset:
    """Draws of the effects of some levels of a group.

    Those of the posterior where they were kept; else new ones, from the normal distribution of the
    effects given every draw of the rest.

    Parameters
    ----------
    joint : Joint
    posterior : Dataset
    factor : str
        A grouping factor.
    levels : label or sequence of labels, optional
        All levels where not given.
    seed : int

    Returns
    -------
    Dataset
        A variable for each effect, (chain, draw, level).

    Raises
    ------
    ModelError
        If the model has no such group, or the group no such level.
    """
    s = joint.specification
    factors = list(dict.fromkeys(g.group.factor for g in s.groups))
    if factor not in factors:
        raise ModelError(f"no group {factor!r} in the model. {did_you_mean(factor, factors)}")
    terms = [g for g in s.groups if g.group.factor == factor]
    picked = _numbers(terms[0], levels)
    out: dict[Any, xr.DataArray] = {}
    for g in terms:
        names = [g.name(e) for e in g.group.effects]
        if all(name in posterior for name in names):
            level = f"{factor}__factor_dim"
            out |= {name: posterior[name].isel({level: picked}) for name in names}
        else:
            some, again = np.unique(picked, return_inverse=True)
            u = _drawn(joint, posterior, g, some, seed)[..., again]
            chosen = replace(g, group=replace(g.group, levels=g.group.levels[picked]))
            out |= dataset(dict(by_effect(s, chosen, u)), posterior.attrs).data_vars
    return xr.Dataset(out, attrs=posterior.attrs)


def _numbers(g: GroupEffects, levels: Any) -> NDArray[np.int64]:
    """Positions of levels."""
    if levels is None:
        return np.arange(g.shape[1])
    levels = np.atleast_1d(np.asarray(levels)).tolist()
    if not levels:
        raise ModelError(f"levels is empty: name levels of {g.group.factor!r}, or leave it out.")
    place = {level: i for i, level in enumerate(g.group.levels.tolist())}
    for level in levels:
        if level not in place:
            known = [str(x) for x in place]
            raise ModelError(
                f"no level {level!r} of {g.group.factor!r}. {did_you_mean(str(level), known)}"
            )
    return np.array([place[level] for level in levels], np.int64)


def _drawn(
    joint: Joint, posterior: xr.Dataset, g: GroupEffects, picked: NDArray[np.int64], seed: int
) -> FloatArray:
    """Deviations of some levels given everything else, shape (chain, draw, K, levels)."""
    s = joint.specification
    lead = (posterior.sizes["chain"], posterior.sizes["draw"])
    sigma = posterior[s.family.residual].to_numpy().reshape(-1, 1, 1)
    scale = np.concatenate(
        [posterior[p.name].to_numpy().reshape(len(sigma), -1) for p in g.sigmas], axis=1
    )
    root = scale[:, :, None] * np.eye(len(scale[0]))
    if g.cor:
        size = g.shape[0]
        cor = posterior[g.cor.name].to_numpy().reshape(-1, size, size)
        root = scale[:, :, None] * np.linalg.cholesky(cor)
    root = root / sigma
    generator = np.random.default_rng([seed, 4])
    out = np.empty((len(sigma), g.shape[0], len(picked)))
    given, order = arrays(s, s.design), np.argsort(g.group.index, kind="stable")
    ends = np.searchsorted(g.group.index[order], [picked, picked + 1])
    others = _others(s, posterior, g)
    for j, (begin, end) in enumerate(ends.T):
        data = {k: v[..., order[begin:end]] for k, v in given.items()}
        left = data["y"] - others(data)
        z = g.group.Z[order[begin:end]]
        own = z * data.get("weights", np.ones(len(z)))[:, None]
        precision = np.eye(g.shape[0]) + np.swapaxes(root, 1, 2) @ (own.T @ z) @ root
        right = np.swapaxes(root, 1, 2) @ (left @ own / sigma[:, 0])[..., None]
        triangle = np.linalg.cholesky(precision)
        white = np.linalg.solve(triangle, right) + generator.standard_normal(right.shape)
        spherical = np.linalg.solve(np.swapaxes(triangle, 1, 2), white)
        out[:, :, j] = (sigma * root @ spherical)[..., 0]
    return out.reshape(*lead, *out.shape[1:])


def _others(
    s: Specification, posterior: xr.Dataset, g: GroupEffects
) -> Callable[[dict[str, Any]], FloatArray]:
    """From data of rows to their linear predictor without a group term, (draws, rows)."""
    reduced = replace(s, groups=tuple(o for o in s.groups if o is not g))
    inputs = [tf.constant(x) for x in predictor_inputs(reduced, posterior)]
    functions = program.functions(program.predictor(reduced))
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]

    def predictor(data: dict[str, Any]) -> FloatArray:
        zeros = {"offset": np.zeros(len(data["y"]))}
        tensors = {k: tf.constant(v) for k, v in (zeros | data).items()}
        eta = np.asarray(functions.linear_predictor(tensors, *inputs))
        return np.broadcast_to(eta, (draws, eta.shape[-1]))  # it may have no terms

    return predictor
