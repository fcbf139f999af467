"""The program: a specification as the source of a TFP joint distribution.

`model.joint` is built by running this source, `model.code()` prints it, and the engine compiles
it: they cannot differ. What varies between data sets of the same structure (arrays, numbers of the
priors) is not in the source but in its arguments, so the source is also the key under which
compiled programs are kept.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from hiermod.models import families, priors
from hiermod.models.links import NAMES
from hiermod.models.specification import (
    GroupEffects,
    Parameter,
    Predictor,
    SmoothEffects,
    Specification,
)

HEADER = """\
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions
"""


def source(specification: Specification, *, literal: bool = False) -> str:
    """Source of the functions that make up a model.

    Parameters
    ----------
    specification : Specification
    literal : bool
        Write the numbers of the priors out, instead of reading them from ``prior``.

    Returns
    -------
    str
        Defines ``effects_<group>`` for every group term, ``coefficients`` if some are shrunk,
        ``linear_predictor`` (and ``linear_predictor_<parameter>``), ``likelihood``,
        ``joint_distribution`` and, if not `literal`, ``predict`` (and ``predict_<parameter>``),
        ``parameters``, ``scaled`` and ``totals``. Arrays
        come in through ``data``: ``X`` (P, N), ``Z_<group>`` (K, N), ``index_<group>`` (N,),
        ``S_<smooth>`` (K, N) or (J, K, N),
        ``offset`` (N,), what `Response.given` names, (N,); ``totals`` has its own, see
        `models.compress`.
    """
    s = specification
    wholes = {g.whole.key: g.whole for p in s.predictors for g in p.groups if g.whole}
    parts = [*filter(None, map(_effects, wholes.values())), *map(_linear, s.predictors)]
    parts.append(_likelihood(s))
    if not literal:
        parts += [*map(_predict, s.predictors), _parameters(s), _scaled(s)]
        parts += [_totals(s)] if summable(s) else []
    return "\n\n".join([*parts, _joint(s, literal)])


def predictor(specification: Specification) -> str:
    """Source of the linear predictor of the mean alone: ``predict`` and what it needs."""
    return "\n\n".join([_linear(specification), _predict(specification)])


def summable(s: Specification) -> bool:
    """Whether the likelihood of rows with equal predictors depends on sums over them alone."""
    return bool(s.family.totals) and not s.others


@lru_cache(maxsize=256)
def functions(text: str) -> SimpleNamespace:
    """Run a source; the functions it defines.

    The text is put together in this module from identifiers and numbers only.
    """
    namespace: dict[str, Any] = dict(NAMES)
    exec(compile(text, "<hiermod model>", "exec"), namespace)
    return SimpleNamespace(**namespace)


def effects_arguments(g: GroupEffects) -> list[str]:
    """Arguments of ``effects_<group>``, after ``data`` where it needs them."""
    return [*(p.identifier for p in g.sigmas), *([g.cor.identifier] if g.cor else []), g.identifier]


def deviations(g: GroupEffects) -> str:
    """Name, inside the program, of the deviations of a group term."""
    return f"u_{g.key}" if g.noncentered else g.identifier


def coefficients(p: Predictor) -> list[str]:
    """Identifiers of the intercept and the common coefficients."""
    first = [p.intercept.identifier] if p.intercept else []
    return [*first, *(c.identifier for c in p.common)]


def shrunk_arguments(p: Predictor) -> list[str]:
    """Arguments of ``coefficients``: standardised values, and what their scales are made of."""
    members = [member for block in p.shrunk for member in block.members]
    units = [block.unit for block in p.shrunk if block.unit]
    return list(dict.fromkeys(part.identifier for part in (*members, *p.scales, *units)))


def _shrunk(p: Predictor) -> str:
    """Coefficients from standardised values, by name, if there are some."""
    if not p.shrunk:
        return ""
    lines = [f"def coefficients{p.suffix}({', '.join(shrunk_arguments(p))}):"]
    lines.append('    """Coefficients from their standardised values, by name."""')
    made = []
    for block in p.shrunk:
        wide = {
            scale.name: part.identifier + "[..., tf.newaxis]" * (not scale.each)
            for scale, part in zip(block.shrinkage.scales, block.scales, strict=True)
        }
        unit = f" * {block.unit.identifier}[..., tf.newaxis]" if block.unit else ""
        found = block.shrinkage.code.format(unit=unit, size=len(block.labels), **wide)
        lines.append(f"    {block.identifier} = {found}")
        for member, place in zip(block.members, block.slices(), strict=True):
            at = f"{place.start}:{place.stop}" if isinstance(place, slice) else place
            name = member.identifier
            made.append(f'        "{name}": {name} * {block.identifier}[..., {at}],\n')
    return "\n".join([*lines, f"    return {{\n{''.join(made)}    }}\n"])


def _scaled(s: Specification) -> str:
    """Coefficients, and effects that do not integrate out, in place of standardised values."""
    value = 'values["{}"]'
    made = [f"**{_call_shrunk(p, value)}" for p in s.predictors if p.shrunk]
    made += [f'"{g.identifier}": {_given(g, value)}' for g in s.every_group if g.scaled]
    return (
        "def scaled(data, values):\n"
        '    """Values by name, in place of some standardised ones what is made of them."""\n'
        f"    return {{{', '.join(['**values', *made])}}}\n"
    )


def _call_shrunk(p: Predictor, value: str) -> str:
    """A call of ``coefficients``, from a pattern for the value of a part."""
    return f"coefficients{p.suffix}({', '.join(map(value.format, shrunk_arguments(p)))})"


def _call_predictor(p: Predictor, value: str) -> list[str]:
    """Arguments of a call of ``linear_predictor``, from a pattern for the value of a part."""
    made = [value.format(name) for name in coefficients(p)]
    made += [_given(g, value) for g in p.groups]
    made += [_smooth(one, value) for one in p.smooths]
    if not p.shrunk:
        return ["data", *made]
    members = {member.identifier for block in p.shrunk for member in block.members}
    named = zip(predictor_arguments(p), made, strict=True)
    kept = [f"{name}={found}" for name, found in named if name not in members]
    return ["data", *kept, f"**{_call_shrunk(p, value)}"]


def predictor_arguments(p: Predictor) -> list[str]:
    """Arguments of ``linear_predictor`` after ``data``."""
    return [*coefficients(p), *map(deviations, p.groups), *(f"b_{s.key}" for s in p.smooths)]


def parameter_arguments(s: Specification) -> list[str]:
    """Arguments of ``likelihood`` after ``data`` and ``eta``, in the order of the family.

    A parameter with a formula comes as its linear predictor.
    """
    names = {p.name: p.identifier for p in s.auxiliary}
    return [names.get(name, f"eta_{name}") for name in s.family.parameters]


def needs_offset(s: Predictor) -> bool:
    """Whether the predictor adds an offset; a lone intercept needs one to have a row for each."""
    return s.design.offset is not None or not (s.common or s.groups or s.smooths)


def _scale(g: GroupEffects) -> str:
    """Expression of the standard deviations of a group's effects, shape [..., K]."""
    if len(g.sigmas) == 1:
        (only,) = g.sigmas
        return only.identifier if only.labels else f"{only.identifier}[..., tf.newaxis]"
    columns = ", ".join(
        p.identifier if p.labels else f"{p.identifier}[..., tf.newaxis]" for p in g.sigmas
    )
    return f"tf.concat([{columns}], axis=-1)"


def _scale_by_level(g: GroupEffects) -> str:
    """The same for every level, shape [..., K, 1 or J]."""
    if not g.group.by:
        return f"{_scale(g)}[..., tf.newaxis]"
    kinds = f"tf.stack(tf.split({_scale(g)}, {g.shape[0]}, axis=-1), axis=-2)"
    return f'tf.gather({kinds}, data["by_{g.key}"], axis=-1)'


def _effects(g: GroupEffects) -> str:
    """Deviations from standard normal values; a group in centred form needs none."""
    if not g.noncentered:
        return ""
    z = f"sum_to_zero({g.identifier})" if g.group.zero_sum else g.identifier
    if g.cor and g.group.by:
        factor = f'tf.gather({g.cor.identifier}, data["by_{g.key}"], axis=-3)'
        result = f'{_scale_by_level(g)} * tf.einsum("...jab,...bj->...aj", {factor}, {z})'
    elif g.cor:
        result = f"tf.matmul({_scale(g)}[..., tf.newaxis] * {g.cor.identifier}, {z})"
    else:
        result = f"{_scale_by_level(g)} * {z}"
    data = ["data"] * bool(g.group.by)
    return (
        f"def effects_{g.key}({', '.join([*data, *effects_arguments(g)])}):\n"
        f'    """Deviations of the levels, shape [..., effects, levels]."""\n'
        f"    return {result}\n"
    )


def _given(g: GroupEffects, value: str) -> str:
    """Expression of the deviations of a group term, from a pattern for the value of a part."""
    whole = g.whole or g
    made = value.format(whole.identifier)
    if whole.noncentered:
        arguments = [value.format(name) for name in effects_arguments(whole)]
        data = ["data"] * bool(whole.group.by)
        made = f"effects_{whole.key}({', '.join([*data, *arguments])})"
    return f"{made}[..., {g.first}:{g.first + g.shape[0]}, :]" if g.whole else made


def _smooth(s: SmoothEffects, value: str) -> str:
    """Expression of the coefficients of a smooth, from a pattern for the value of a part."""
    sigma, held = value.format(s.sigma.identifier), value.format(s.identifier)
    return f"{sigma}[..., tf.newaxis] * {held}" if s.noncentered else held


def _linear(s: Predictor) -> str:
    """The effects of the groups and the linear predictor."""
    own = [_effects(g) for g in s.groups if not g.whole]
    return "\n\n".join(part for part in (*own, _shrunk(s), _predictor(s)) if part)


def _predict(s: Predictor) -> str:
    """The linear predictor, from the values of the parts of the joint distribution."""
    inside = ", ".join(_call_predictor(s, 'values["{}"]'))
    return (
        f"def predict{s.suffix}(data, values):\n"
        '    """Linear predictor of the rows, from values by name."""\n'
        f"    return linear_predictor{s.suffix}({inside})\n"
    )


def _parameters(s: Specification) -> str:
    """What the likelihood takes beside the linear predictor of the mean."""
    values = {p.name: f'values["{p.identifier}"]' for p in s.auxiliary}
    made = [values.get(name, f"predict_{name}(data, values)") for name in s.family.parameters]
    return (
        "def parameters(data, values):\n"
        '    """Arguments of the likelihood after the first two, from values by name."""\n'
        f"    return [{', '.join(made)}]\n"
    )


def _predictor(s: Predictor) -> str:
    """The linear predictor."""
    arguments = ", ".join(["data", *predictor_arguments(s)])
    lines = [f"def linear_predictor{s.suffix}({arguments}):"]
    lines.append('    """Linear predictor of the rows, shape [..., rows]."""')
    terms = [f"{s.intercept.identifier}[..., tf.newaxis]"] if s.intercept else []
    if s.common:
        columns = ", ".join(
            p.identifier if p.labels else f"{p.identifier}[..., tf.newaxis]" for p in s.common
        )
        lines.append(f"    beta = tf.concat([{columns}], axis=-1)")
        terms.append(f'tf.tensordot(beta, data["X{s.suffix}"], axes=1)')
    for g in s.groups:
        taken = f'tf.gather({deviations(g)}, data["index_{g.key}"], axis=-1)'
        if g.constant:
            terms.append(f"{taken}[..., 0, :]")
        else:
            terms.append(f'tf.reduce_sum({taken} * data["Z_{g.key}"], axis=-2)')
    for one in s.smooths:
        axes = len(one.shape)
        terms.append(f'tf.tensordot(b_{one.key}, data["S_{one.key}"], axes={axes})')
    if needs_offset(s):
        terms.append(f'data["offset{s.suffix}"]')
    lines.append(f"    eta = {terms[0]}")
    lines += [f"    eta += {term}" for term in terms[1:]]
    return "\n".join([*lines, "    return eta\n"])


def _likelihood(s: Specification) -> str:
    """The distribution of the rows, not yet joined into one event."""
    arguments = ", ".join(["data", "eta", *parameter_arguments(s)])
    expression = families.likelihood(s.family, s.link)
    if s.design.response.weights is not None:
        expression = f'Weighted({expression}, weights=data["weights"])'
    wide = "".join(f"    {p.identifier} = {_by_row(p, p.identifier)}\n" for p in s.auxiliary)
    for p in s.others:
        inverse = re.sub(r"\beta\b", f"eta_{p.parameter}", p.link.mean)
        wide += f"    {p.parameter} = {inverse}\n"
    for first in s.thresholds:
        if distance := s.distance(first):
            steps = f"{distance.identifier}[..., tf.newaxis] * np.arange({len(s.categories)}.0)"
            wide += f"    {first.identifier} += {steps}\n"
    return (
        f"def likelihood({arguments}):\n"
        f'    """Distribution of the response of every row, given the linear predictor."""\n'
        f"{wide}    return {expression}\n"
    )


def _by_row(p: Parameter, value: str) -> str:
    """Expression of a parameter with an axis for the rows."""
    return f"{value}[..., tf.newaxis{', :' if p.labels else ''}]"


def _totals(s: Specification) -> str:
    value = 'values["{}"]'
    named = "".join(
        f"    {p.identifier} = {_by_row(p, value.format(p.identifier))}\n" for p in s.auxiliary
    )
    return (
        "def totals(data, eta, values):\n"
        '    """Log-likelihood of rows that are summed up, but for a constant."""\n'
        f"{named}    return {families.totals(s.family, s.link)}\n"
    )


def _prior(p: Parameter, literal: bool) -> str:
    """One part of the joint distribution."""
    distribution = priors.source(p.prior, None if literal else f'prior["{p.identifier}"]')
    if p.size:
        (eta,) = ["" if literal else f'prior["{p.identifier}"][0]']
        eta = priors._number(p.prior.arguments[0]) if literal else eta
        if p.labels:
            one = f"tfd.CholeskyLKJ({p.size}, concentration={eta})"
            return f"tfd.Sample({one}, {len(p.labels)}, name={p.identifier!r})"
        return f"tfd.CholeskyLKJ({p.size}, concentration={eta}, name={p.identifier!r})"
    if p.support == "ordered":
        return f"Ordered({distribution}, {len(p.labels)}, name={p.identifier!r})"
    if p.support == "simplex":
        (one,) = p.prior.arguments if literal else (f'prior["{p.identifier}"][0]',)
        return f"tfd.Dirichlet({one} * np.ones({len(p.labels)}), name={p.identifier!r})"
    if not p.labels:
        return f"{distribution[:-1]}, name={p.identifier!r})"
    if p.prior.elements:
        return f"{distribution[:-1]}, name={p.identifier!r})"
    if any(isinstance(a, tuple) for a in p.prior.arguments):
        return (
            f"tfd.Independent({distribution}, reinterpreted_batch_ndims=1, name={p.identifier!r})"
        )
    return f"tfd.Sample({distribution}, {len(p.labels)}, name={p.identifier!r})"


def _standard(identifier: str, shape: tuple[int, ...]) -> str:
    """A part of standard normal values."""
    one = "tfd.Normal(np.float64(0), np.float64(1))"
    return f"tfd.Sample({one}, {list(shape)}, name={identifier!r})"


def _group_part(g: GroupEffects, earlier: list[str]) -> str:
    """The part of the joint distribution that holds the effects of a group term."""
    if g.noncentered and not g.df:
        return _standard(g.identifier, g.part_shape)
    if g.df:
        size = g.shape[0]
        scale = f"tf.linalg.LinearOperatorIdentity({size}, dtype=tf.float64)"
        if not g.noncentered:
            factor = g.cor.identifier if g.cor else f"np.eye({size})"
            scale = (
                "tf.linalg.LinearOperatorLowerTriangular(\n                        "
                f"{_scale(g)}[..., tf.newaxis] * {factor}\n                    )"
            )
        of_level = (
            f"tfd.MultivariateStudentTLinearOperator(\n"
            f"                    df={g.df.identifier},\n"
            f"                    loc=np.zeros({size}),\n"
            f"                    scale={scale},\n"
            f"                )"
        )
    elif g.cor:
        of_level = (
            f"tfd.MultivariateNormalTriL(\n"
            f"                    scale_tril={_scale(g)}[..., tf.newaxis]\n"
            f"                    * {g.cor.identifier}\n"
            f"                )"
        )
    else:
        of_level = ""
    if of_level:
        body = (
            f"tfd.TransformedDistribution(\n"
            f"            tfd.Sample(\n"
            f"                {of_level},\n"
            f"                {g.shape[1]},\n"
            f"            ),\n"
            f"            tfb.Transpose(rightmost_transposed_ndims=2),\n"
            f"            name={g.identifier!r},\n"
            f"        )"
        )
    else:
        body = (
            f"tfd.Independent(\n"
            f"            tfd.Normal(np.zeros({list(g.shape)}), {_scale(g)}[..., tf.newaxis]),\n"
            f"            reinterpreted_batch_ndims=2,\n"
            f"            name={g.identifier!r},\n"
            f"        )"
        )
    return f"lambda {', '.join(reversed(earlier))}: {body}"


def _smooth_part(s: SmoothEffects, earlier: list[str]) -> str:
    """The part of the joint distribution that holds the coefficients of a smooth."""
    if s.noncentered:
        return _standard(s.identifier, s.shape)
    scale = f"{s.sigma.identifier}[..., tf.newaxis]"
    return (
        f"lambda {', '.join(reversed(earlier))}: tfd.Independent(\n"
        f"            tfd.Normal(np.zeros({list(s.shape)}), {scale}),\n"
        f"            reinterpreted_batch_ndims={len(s.shape)},\n"
        f"            name={s.identifier!r},\n"
        f"        )"
    )


def _joint(s: Specification, literal: bool) -> str:
    """The joint distribution; its parts in the order of `Specification.parameters`, groups next."""
    lines, names = [], []

    def add(name: str, expression: str, comment: str) -> None:
        lines.append(f"        # {comment}")
        lines.append(f"        {expression},")
        names.append(name)

    for p in s.parameters:
        add(p.identifier, _prior(p, literal), f"{p.name} ~ {p.prior.text}" if literal else p.role)
    for g in s.every_group:
        add(g.identifier, _group_part(g, names), f"effects of {g.group.factor}")
    for one in s.every_smooth:
        add(one.identifier, _smooth_part(one, names), f"coefficients of {one.smooth.name}")
    comma = ",\n                    "

    def linear(p: Predictor) -> str:
        inside = comma.join(_call_predictor(p, "{}"))
        return f"linear_predictor{p.suffix}(\n                    {inside},\n                )"

    etas = {f"eta_{p.parameter}": linear(p) for p in s.others}
    given = ["data", linear(s), *(etas.get(name, name) for name in parameter_arguments(s))]
    row = "".join(f"                {name},\n" for name in given)
    lines.append(
        f"        lambda {', '.join(reversed(names))}: tfd.Independent(\n"
        f"            likelihood(\n{row}            ),\n"
        f"            reinterpreted_batch_ndims=1,\n"
        f"            name={s.response!r},\n"
        f"        ),"
    )
    arguments = "data" if literal else "data, prior"
    return (
        f"def joint_distribution({arguments}):\n"
        f'    """The joint distribution of the parameters and the response."""\n'
        f"    parts = [\n" + "\n".join(lines) + "\n    ]\n"
        "    return tfd.JointDistributionSequential(\n"
        "        parts, batch_ndims=0, use_vectorized_map=False\n"
        "    )\n"
    )
