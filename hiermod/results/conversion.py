"""Draws to inference data: names, dimensions, coordinates and attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import arviz as az
import numpy as np
import tensorflow as tf
import xarray as xr
from numpy.typing import NDArray

from hiermod.formula.design import Term
from hiermod.inference.diagnostics import pareto_k
from hiermod.inference.run import Draws
from hiermod.models.joint import Joint
from hiermod.models.plans import Plan
from hiermod.models.program import effects_arguments
from hiermod.models.specification import GroupEffects, Parameter, Specification
from hiermod.results.checks import varying
from hiermod.results.rows import shift

Variable = tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]
"""Dimensions, values and coordinates of a variable."""


def posterior(
    joint: Joint, values: Mapping[str, NDArray[np.float64]], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """The variables that users see, from values of the parts of the joint distribution.

    Parameters
    ----------
    joint : Joint
    values : mapping
        From identifiers of parts to arrays (chain, draw, *shape of the part).
    attrs : mapping

    Returns
    -------
    Dataset
        ``Intercept`` (at predictors = 0), common coefficients and what their scales are made of,
        the family's parameters, standard deviations and correlations of groups, and the deviations
        of every level.
    """
    values = {name: np.asarray(v) for name, v in joint.functions.scaled(joint.data, values).items()}
    s, found = joint.specification, dataset(dict(_variables(joint, values)), attrs)
    for p in s.parameters:
        linear = s.at_means.get(p.name)
        moved = linear and not all(q.prior.constant for q in linear.common)
        if distance := s.distance(p):
            moved = moved or not distance.prior.constant
        if p.prior.constant and not moved:
            found[p.name].attrs["constant"] = 1
    return found


def _variables(
    joint: Joint, values: Mapping[str, NDArray[np.float64]]
) -> Iterator[tuple[str, Variable]]:
    s = joint.specification
    for linear in s.predictors:
        added = shift(linear, {p.name: values[p.identifier] for p in linear.common})
        if linear.intercept:
            at_means = values[linear.intercept.identifier]
            yield linear.intercept.name, ((), at_means - added, {})
        for p in linear.common:
            yield p.name, _common(p, values)
        for p in linear.scales:
            yield p.name, _common(p, values)
    for p in s.auxiliary:
        yield p.name, _thresholds(s, p, values) if p in s.thresholds else _common(p, values)
    for g in s.every_group:
        yield from _group_parameters(s, g, values)
    for g in s.every_group:
        yield from _deviations(joint, g, values)
    for one in s.every_smooth:
        sigma, dims, b = values[one.sigma.identifier], tuple(one.dims), values[one.identifier]
        yield one.sigma.name, (dims[:-1], sigma, {d: one.dims[d] for d in dims[:-1]})
        yield one.smooth.name, (dims, sigma[..., None] * b if one.noncentered else b, one.dims)


def _common(p: Parameter, values: Mapping[str, NDArray[np.float64]]) -> Variable:
    dims = (f"{p.name}_dim",) if p.labels else ()
    return dims, values[p.identifier], {d: list(p.labels) for d in dims}


def _thresholds(
    s: Specification, p: Parameter, values: Mapping[str, NDArray[np.float64]]
) -> Variable:
    """All thresholds at predictors = 0."""
    found = values[p.identifier]
    if linear := s.seen_from(p):
        added = shift(linear, {q.name: values[q.identifier] for q in linear.common})
        found = found + np.asarray(added)[..., np.newaxis]
    if distance := s.distance(p):
        steps = np.arange(len(s.categories))
        found = found + values[distance.identifier][..., np.newaxis] * steps
    dim = f"{p.name}_dim"
    return (dim,), found, {dim: list(s.categories)}


def expr_dim(s: Specification, g: GroupEffects, effect: Term) -> str:
    """Dimension of the columns of an effect: with the factor if another codes them otherwise."""
    codings = {e.labels for o in s.every_group for e in o.group.effects if e.name == effect.name}
    name = effect.name if len(codings) == 1 else f"{effect.name}|{g.group.factor}"
    return f"{name}__expr_dim"


def _group_parameters(
    s: Specification, g: GroupEffects, values: Mapping[str, NDArray[np.float64]]
) -> Iterator[tuple[str, Variable]]:
    """Standard deviations and correlation of a group term."""
    for p, effect in zip(g.sigmas, g.group.effects, strict=True):
        dims = (_sigma_dim(s, g, effect),) if p.labels else ()
        yield p.name, (dims, values[p.identifier], {d: list(p.labels) for d in dims})
    if g.cor:
        factor = values[g.cor.identifier]
        stem = g.cor.name.removesuffix("_cor")
        pair = (f"{stem}__effect_dim", f"{stem}__effect_dim_bis")
        coords: dict[str, Any] = dict.fromkeys(pair, effect_labels(g))
        kinds = {f"{g.group.by.name}__by_dim": list(g.group.by.labels)} if g.group.by else {}
        correlation = factor @ np.swapaxes(factor, -1, -2)
        yield g.cor.name, ((*kinds, *pair), correlation, coords | kinds)
    if g.df:
        yield g.df.name, ((), values[g.df.identifier], {})


def _sigma_dim(s: Specification, g: GroupEffects, effect: Term) -> str:
    """Dimension of the standard deviations of an effect."""
    if not g.group.by:
        return expr_dim(s, g, effect)
    by = f"{g.group.by.name}__by_dim"
    return f"{expr_dim(s, g, effect)}:{by}" if effect.labels else by


def effect_labels(g: GroupEffects) -> list[str]:
    """A label for each column of the effects of a group term."""
    return [
        f"{e.name}[{label}]" if label else e.name
        for e in g.group.effects
        for label in e.labels or [""]
    ]


def _deviations(
    joint: Joint, g: GroupEffects, values: Mapping[str, NDArray[np.float64]]
) -> Iterator[tuple[str, Variable]]:
    """Deviations of the levels, effect by effect."""
    if g.identifier not in values:  # too many to keep
        return
    u = values[g.identifier]
    if g.noncentered and not g.scaled:
        arguments = [tf.constant(values[name]) for name in effects_arguments(g)]
        u = getattr(joint.functions, f"effects_{g.key}")(*arguments).numpy()
    yield from by_effect(joint.specification, g, u)


def by_effect(
    s: Specification, g: GroupEffects, u: NDArray[np.float64]
) -> Iterator[tuple[str, Variable]]:
    """A variable for each effect, of values (..., K, J)."""
    levels = f"{g.group.factor}__factor_dim"
    for effect in g.group.effects:
        if effect.labels:
            expr = expr_dim(s, g, effect)
            coords = {expr: list(effect.labels), levels: g.group.levels}
            yield g.name(effect), ((expr, levels), u[..., effect.columns, :], coords)
        else:
            one = u[..., effect.columns.start, :]
            yield g.name(effect), ((levels,), one, {levels: g.group.levels})


def dataset(variables: Mapping[str, Variable], attrs: Mapping[str, Any]) -> xr.Dataset:
    """A Dataset of variables (chain, draw, ...)."""
    chains, draws = next(iter(variables.values()))[1].shape[:2]
    coords: dict[str, Any] = {"chain": np.arange(chains), "draw": np.arange(draws)}
    for _, _, own in variables.values():
        coords |= own
    data = {name: (("chain", "draw", *dims), v) for name, (dims, v, _) in variables.items()}
    return xr.Dataset(data, coords=coords, attrs=dict(attrs))


def row_labels(s: Specification) -> NDArray[Any]:
    """Coordinates of ``__obs__``: the row labels where they are unique, else row numbers."""
    rows = np.asarray(s.design.rows)
    plain = rows.dtype.kind in "iuU" or all(isinstance(r, str) for r in rows)
    if not plain or len(np.unique(rows)) < len(rows):
        return np.arange(len(rows))
    return rows if rows.dtype.kind in "iu" else rows.astype(str)


def per_row(
    s: Specification, name: str, values: NDArray[Any], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """A Dataset of one variable (chain, draw, __obs__), or of the columns of a response."""
    dims = row_dims(s)
    named = dict(list(dims.items())[: values.ndim - 2])
    return dataset({name: (tuple(named), values, named)}, attrs)


def row_dims(s: Specification) -> dict[str, Any]:
    """Dimensions of the response, with labels."""
    response = s.design.response
    columns = {f"{response.name}_dim": list(response.columns)} if response.columns else {}
    return {"__obs__": row_labels(s)} | columns


def attributes(s: Specification, draws: Draws | None = None) -> dict[str, Any]:
    """Attributes of a group: which library made it, from what, and how."""
    out = _made_by() | {
        "modeling_interface": "hiermod",
        "formula": ", ".join(dict.fromkeys(p.design.formula.text for p in s.predictors)),
        "family": s.family.name,
        "link": s.link.name,
        "center": int(s.center),
    }
    return out | _sampler(draws) if draws else out


def _made_by() -> dict[str, Any]:
    """Attributes that every group has."""
    return {
        "created_at": datetime.now(UTC).isoformat(),
        "arviz_version": az.__version__,
        "inference_library": "hiermod",
        "inference_library_version": version("hiermod"),
    }


def _sampler(draws: Draws) -> dict[str, Any]:
    """Attributes that tell how a run was made."""
    out: dict[str, Any] = {
        "sampler": draws.settings.sampler,
        "seed": draws.settings.seed,
        "target_accept": draws.settings.target_accept,
        "tuning_steps": draws.settings.warmup,
        "sampling_time": draws.seconds,
        "interrupted": int(draws.interrupted),
    }
    if draws.settings.sampler == "hmc":
        out["trajectory_length"] = draws.trajectory_length
    if draws.superchains:
        out["superchains"] = draws.superchains
    if draws.nonfinite:
        out["nonfinite_draws"] = draws.nonfinite.count
        out["nonfinite_first"] = draws.nonfinite.first
    return out


def convert(plan: Plan, draws: Draws) -> dict[str, xr.Dataset]:
    """The groups of a fit.

    Returns
    -------
    dict
        The `sampled_groups`, ``observed_data`` and ``constant_data``.
    """
    s, seed = plan.joint.specification, draws.settings.seed
    attrs = attributes(s, draws) | {"shortcuts": plan.done}
    found = plan.recover(draws.position, seed)
    warm = plan.recover(draws.warmup[0], seed).values if draws.warmup else None
    groups = sampled_groups(
        draws,
        posterior(plan.joint, found.values, attrs),
        posterior(plan.joint, warm, attrs) if warm else None,
    )
    if found.log_weights is not None:
        weights = found.log_weights
        groups["sample_stats"]["log_importance"] = (("chain", "draw"), weights)
        for data in groups.values():
            data.attrs["pareto_k"] = pareto_k(weights)
    if found.moments:
        groups["group_effects"] = _moments(s, found.moments, attrs)
    return groups | {
        "observed_data": observed_data(s),
        "constant_data": constant_data(s),
    }


def _moments(
    s: Specification,
    moments: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Means and standard deviations of effects whose draws were too many to keep."""
    data: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    for g in s.groups:
        for kind, values in zip(("mean", "sd"), moments.get(g.identifier, ()), strict=False):
            for name, (dims, v, own) in by_effect(s, g, values):
                data[f"{name}_{kind}"] = (dims, v)
                coords |= own
    return xr.Dataset(data, coords=coords, attrs=dict(attrs))


def sampled_groups(
    draws: Draws, found: xr.Dataset, warmup: xr.Dataset | None
) -> dict[str, xr.Dataset]:
    """What a run gives.

    Parameters
    ----------
    draws : Draws
    found, warmup : Dataset
        The variables that users see, at the positions of draws and warm-up.

    Returns
    -------
    dict
        ``posterior``; ``sample_stats``, with the adapted metric in ``metric_centre``,
        ``metric_scale``, ``metric_vectors`` and ``metric_values``; and ``warmup_posterior`` and
        ``warmup_sample_stats`` if warm-up was kept.
    """
    scale, vectors, values, centre = draws.metric
    metric = xr.Dataset(
        {
            "metric_centre": ("unconstrained_dim", centre),
            "metric_scale": ("unconstrained_dim", scale),
            "metric_vectors": (("unconstrained_dim", "direction_dim"), vectors),
            "metric_values": ("direction_dim", values),
        }
    )
    out = {
        "posterior": found,
        "sample_stats": _statistics(draws.statistics, found.attrs).merge(metric),
    }
    if draws.warmup and warmup is not None:
        out["warmup_posterior"] = warmup
        out["warmup_sample_stats"] = _statistics(draws.warmup[1], found.attrs)
    return out


def plain(values: Mapping[str, NDArray[np.float64]], draws: Draws) -> xr.Dataset:
    """A posterior of arrays (chain, draw, ...) by name, without a model."""
    variables: dict[str, Variable] = {}
    for name, v in values.items():
        dims = tuple(f"{name}_dim_{i}" for i in range(v.ndim - 2))
        coords = {d: np.arange(n) for d, n in zip(dims, v.shape[2:], strict=True)}
        variables[name] = dims, v, coords
    return dataset(variables, _made_by() | _sampler(draws))


def quantities(plan: Plan, position: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """All varying scalars of the posterior at positions: shape (chain, draw, quantity)."""
    shown = varying(posterior(plan.joint, plan.recover(position, seed).values, {}))
    return np.concatenate(
        [v.to_numpy().reshape(*position.shape[:2], -1) for v in shown.data_vars.values()], axis=-1
    )


def _statistics(statistics: Mapping[str, NDArray[Any]], attrs: Mapping[str, Any]) -> xr.Dataset:
    """A group of sampler statistics."""
    return dataset({name: ((), v, {}) for name, v in statistics.items()}, attrs)


def observed_data(s: Specification) -> xr.Dataset:
    """The response."""
    response = s.design.response
    return xr.Dataset(
        {response.name: (tuple(row_dims(s)), response.values)},
        coords=row_dims(s),
        attrs=attributes(s),
    )


def constant_data(s: Specification) -> xr.Dataset:
    """What the response is conditioned on: predictors, levels, trials and the like, offset."""
    first = s.others[0] if s.family.single else s
    design = first.design
    data: dict[str, Any] = {}
    coords: dict[str, Any] = {"__obs__": row_labels(s)}
    if design.terms:
        names = [t.name.removeprefix(f"{first.parameter}_") for t in design.terms]
        labels = [
            f"{name}[{label}]" if label else name
            for name, t in zip(names, design.terms, strict=True)
            for label in t.labels or [""]
        ]
        data["X"] = (("__obs__", "__column__"), design.X)
        coords["__column__"] = labels
    for g in s.every_group:
        data[f"levels of {g.group.factor}"] = ("__obs__", g.group.levels[g.group.index])
    data |= {name: ("__obs__", values) for name, values in s.design.response.given.items()}
    if design.offset is not None:
        data["offset"] = ("__obs__", design.offset)
    return xr.Dataset(data, coords=coords, attrs=attributes(s))


def prior(joint: Joint, draws: int, seed: int) -> dict[str, xr.Dataset]:
    """Draws from the prior: the groups ``prior`` and ``prior_predictive``, with one chain."""
    s = joint.specification
    pair = np.random.default_rng([seed, 1]).integers(2**31, size=2)
    drawn = joint.distribution.sample(draws, seed=tf.constant(pair, tf.int32))
    *values, y = (v.numpy()[None] for v in drawn)
    attrs = attributes(s) | {"seed": seed}
    named = {p.identifier: v for p, v in zip(joint.parts, values, strict=True)}
    return {
        "prior": posterior(joint, named, attrs),
        "prior_predictive": per_row(s, s.design.response.name, y, attrs),
    }
