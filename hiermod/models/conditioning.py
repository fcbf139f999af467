"""Effects as the sampler sees them: given the rest, about standard normal.

A normal approximation of the likelihood at a rough fit, ``-1/2 w (y* - eta)^2`` for every row with
fixed weights w and working responses y*, makes the effects u of a level normal given coefficients,
standard deviations, correlations and the effects of the groups before: with u = Lambda z, G the
cross-products of the level's rows by w, and b what they say of u, ``A = I + Lambda' G Lambda = C
C'`` is the precision of z and ``A^-1 Lambda' b`` its mean. The sampler moves x in ``z = C^-T (C^-1
Lambda' b + x)``, the density of which is the exact one of z times that of the map, 1 / |C|. Where
the approximation is good, x is standard normal whatever the standard deviations are, and the funnel
between them is gone; where there are no data it is the non-centred form, where there are many the
centred one. Where it is bad the density is still the exact one (Kleppe 2019, "Dynamically rescaled
Hamiltonian Monte Carlo for Bayesian hierarchical models"; Osmundsen, Kleppe and Liesenfeld 2021,
"Importance sampling-based transport map Hamiltonian Monte Carlo for Bayesian hierarchical models").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hiermod.formula.design import Design
from hiermod.models import responses
from hiermod.models.families import FAMILIES, Family
from hiermod.models.integrate import block_of
from hiermod.models.links import LINKS, Link
from hiermod.models.marginal import Block, sum_levels
from hiermod.models.roughfit import RoughFit, at_least, by_level
from hiermod.models.specification import Parameter, Predictor, Specification

FloatArray = NDArray[np.float64]


class Estimate(NamedTuple):
    """About where the numbers of a part are, one or several, unconstrained.

    Attributes
    ----------
    support : str
        That for which it holds: another one has another bijector.
    value : array
    information : array
        One over the variance of each.
    """

    support: str
    value: FloatArray
    information: FloatArray


@dataclass(frozen=True)
class Conditioned:
    """A group term whose effects are sampled so.

    Attributes
    ----------
    block : Block
    coefficients : tuple of (str, bool)
        Identifiers of the intercept and the common coefficients of its linear predictor, and
        whether each is a vector.
    before : tuple of Block
        Groups of the same linear predictor whose effects are placed before.
    """

    block: Block
    coefficients: tuple[tuple[str, bool], ...]
    before: tuple[Block, ...]

    def place(
        self, x: tf.Tensor, values: Mapping[str, tf.Tensor], data: Mapping[str, Any]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The effects z, (chains, K, J), and the log determinant of the map, (chains,).

        Parameters
        ----------
        x : tensor, shape (chains, K, J)
        values : mapping
            Values of the other parts, those of the groups before already in their places.
        data : mapping
            As `condition` gives it.
        """
        root = self.block.root(values)
        known = data["pull"][None]
        if self.coefficients:
            beta = [values[n] if vector else values[n][:, None] for n, vector in self.coefficients]
            known -= tf.tensordot(tf.concat(beta, -1) - data["centre"], data["columns"], axes=1)
        for other, pairs in zip(self.before, data["links"], strict=True):
            u = tf.matmul(other.root(values), values[other.identifier])
            met = tf.gather(u, pairs["there"], axis=-1)
            said = tf.reduce_sum(pairs["cross"] * met[:, None], axis=2)
            known -= sum_levels(said, pairs["here"], self.block.levels)
        half = tf.einsum("klj,clm->ckmj", data["cross"], root)
        matrix = tf.einsum("ckl,ckmj->clmj", root, half)
        matrix += tf.eye(self.block.effects, dtype=root.dtype)[..., None]
        pull = tf.matmul(root, known, transpose_a=True)
        if self.block.effects > 1:
            return move(x, matrix, pull)
        one = tf.math.rsqrt(matrix[:, 0])
        return one * (one * pull + x), tf.reduce_sum(tf.math.log(one), axis=[1, 2])


@tf.custom_gradient
def move(x: tf.Tensor, matrix: tf.Tensor, pull: tf.Tensor) -> Any:
    """Of ``A = C C'`` the vectors ``C^-T (C^-1 b + x)``, and the sum of the logarithms of 1 / |C|.

    The gradient is by hand, and so a few operations: with ``W = C^-1``, ``dW = -Phi(W dA W') W``,
    where Phi takes the lower triangle and half of the diagonal (Murray 2016, "Differentiation of
    the Cholesky decomposition").

    Parameters
    ----------
    x : tensor, shape (chains, K, J)
    matrix : tensor, shape (chains, K, K, J)
        The A of every level.
    pull : tensor, shape (chains, K, J)
        The b of every level.

    Returns
    -------
    tensor, shape (chains, K, J)
    tensor, shape (chains,)
    """
    size = x.shape[1]
    eye = np.eye(size)[..., None]
    root = _inverse_root(matrix)
    turned = tf.transpose(root, [0, 2, 1, 3])

    def times(matrices: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(matrices * vectors[:, None], axis=2)

    def product(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        return tf.einsum("ckaj,cabj->ckbj", left, right)

    left = times(root, pull) + x

    def gradient(of_moved: tf.Tensor, of_log: tf.Tensor) -> tuple[tf.Tensor, ...]:
        of_left = times(root, of_moved)
        of_root = left[:, :, None] * of_moved[:, None] + of_left[:, :, None] * pull[:, None]
        inner = product(of_root, turned) + eye * of_log[:, None, None, None]
        inner *= np.tri(size)[..., None] - 0.5 * eye
        return of_left, -product(product(turned, inner), root), times(turned, of_left)

    diagonal = tf.reduce_sum(root * eye, axis=2)
    return (times(turned, left), tf.reduce_sum(tf.math.log(diagonal), axis=[1, 2])), gradient


def _inverse_root(matrix: tf.Tensor) -> tf.Tensor:
    """C^-1 of ``A = C C'``, (chains, K, K, J): row after row, of all levels at once."""
    size = matrix.shape[1]
    rows, beside = [], tf.zeros_like(matrix[:, :, :0])  # what A has turned the unit matrix into
    for k in range(size):
        pivot = tf.math.rsqrt(matrix[:, :1, 0])
        column = matrix[:, 1:, 0] * pivot
        row = tf.concat([beside[:, 0] * pivot, pivot], axis=1)
        rows.append(tf.pad(row, [[0, 0], [0, size - k - 1], [0, 0]]))
        matrix = matrix[:, 1:, 1:] - column[:, :, None] * column[:, None]
        beside = tf.pad(beside[:, 1:], [[0, 0], [0, 0], [0, 1], [0, 0]])
        beside -= column[:, :, None] * row[:, None]
    return tf.stack(rows, axis=1)


def noncentered(s: Specification) -> Specification:
    """The same model, the effects that are to be conditioned in non-centred form."""

    def changed(p: Any) -> Any:
        groups = (replace(g, noncentered=g.noncentered or g.conditioned) for g in p.groups)
        return replace(p, groups=tuple(groups))

    return replace(changed(s), others=tuple(map(changed, s.others)))


def condition(
    s: Specification, sampled: Set[str]
) -> tuple[tuple[Conditioned, ...], list[dict[str, Any]], dict[str, Estimate]]:
    """The group terms to condition among those that are sampled, and the arrays of each.

    Parameters
    ----------
    s : Specification
        Of `noncentered`.
    sampled : set of str
        Identifiers of the parts that are sampled.

    Returns
    -------
    tuple of Conditioned
    list of dict
        ``cross`` (K, K, J), ``pull`` (K, J), ``columns`` (P, K, J), ``centre`` (P,), and ``links``
        to each of the groups before.
    dict of Estimate
        About where other parts of the linear predictor of the mean are, by identifier.
    """
    found, made, about = [], [], {}
    for p in s.predictors:
        numbers = [i for i, g in enumerate(p.groups) if g.conditioned and g.identifier in sampled]
        if not numbers:
            continue
        parts = (*((p.intercept,) if p.intercept else ()), *p.common)
        names = tuple((c.identifier, bool(c.labels)) for c in parts)
        # Factors with few levels first: the coarser of two that are nested, and fewer pairs.
        numbers.sort(key=lambda i: p.groups[i].shape[1])
        design, family, link = _likelihood(s, p)
        intercept = design.intercept and p.intercept is not None
        fit = RoughFit(design, family, link, p.means, intercept=intercept)
        made += _arrays(fit, numbers)
        if not p.parameter and not family.mixed:
            about = _estimates(s, fit, numbers)
        blocks = tuple(block_of(p.groups[i]) for i in numbers)
        found += [Conditioned(one, names, blocks[:n]) for n, one in enumerate(blocks)]
    return tuple(found), made, about


def _estimates(s: Specification, fit: RoughFit, numbers: list[int]) -> dict[str, Estimate]:
    """What a rough fit says of coefficients, and of logarithms of standard deviations."""
    out: dict[str, Estimate] = {}

    def take(
        support: str,
        parameters: Iterable[Parameter],
        values: FloatArray,
        information: FloatArray,
    ) -> None:
        begin = 0
        for p in parameters:
            own = slice(begin, begin + max(len(p.labels), 1))
            out[p.identifier] = Estimate(support, values[own], information[own])
            begin = own.stop

    coefficients = (*((s.intercept,) if s.intercept else ()), *s.common)
    variances = np.diagonal(np.linalg.inv(fit.about_coefficients()))
    take("real", coefficients, fit.beta[: fit.size], 1.0 / variances)
    for p in coefficients:
        if p.prior.shrinkage:  # then the part holds something else
            del out[p.identifier]
    for i in numbers:
        logs = 0.5 * np.log(np.maximum(np.diagonal(fit.spread[i]), 1e-300))
        take("positive", s.groups[i].sigmas, logs, fit.about_deviations(i))
    sigma = s.plain.residual in {p.name for p in s.auxiliary[:1]}
    if sigma and s.design.response.se is None:
        log, known = np.log(fit.dispersion) / 2, 2.0 * fit.freedom
        take("positive", s.auxiliary[:1], np.array([log]), np.array([known]))
    return out


def _likelihood(s: Specification, p: Predictor) -> tuple[Design, Family, Link]:
    """What depends on a linear predictor: of one of several outcomes, that against the others."""
    if not p.parameter:
        return s.design, s.plain, s.link
    one = FAMILIES[s.family.single]
    response = responses.single(s.design.response, 1 + s.outcomes.index(p.parameter))
    return replace(p.design, response=response), one, LINKS[one.links[0]]


def _arrays(fit: RoughFit, numbers: list[int]) -> list[dict[str, Any]]:
    """The arrays of the groups of these numbers, which are placed in this order.

    What the data say of a level, given coefficients and the groups before, is what is left when the
    effects of the groups after it are integrated out, at their rough covariances: the last group
    first, and before all of them those that are not conditioned. What this makes the levels of a
    group share would be dense, and is left out; and so would be what is left between two groups:
    that is taken to shrink as the levels themselves do.
    """
    others = [i for i in range(len(fit.groups)) if i not in numbers]
    order = [*numbers, *others]
    info = {i: fit.information(i) for i in order}
    columns = {i: fit.products(i, fit.x[:, : fit.size]) for i in order}
    made = []
    for n, i in reversed([*enumerate(order)]):
        whole = fit.information(i)
        left = at_least(info[i], whole)
        links = {a: fit.meetings(i, a) for a in order[:n]}
        if i in numbers:
            share = left @ np.linalg.pinv(whole)
            kept = {
                a: m | {"cross": np.einsum("pkl,lmp->kmp", share[m["here"]], m["cross"])}
                for a, m in links.items()
            }
            # At the fit, what later groups take from the scores balances their own.
            pull = np.einsum("jkl,jl->jk", left, fit.u[i]) + fit.scores(i)
            for a, m in kept.items():
                moved = np.einsum("kmp,pm->pk", m["cross"], fit.u[a][m["there"]])
                pull += by_level(m["here"], moved, len(pull))
            made.append(
                {
                    "cross": np.moveaxis(left, 0, -1),
                    "pull": pull.T,
                    "columns": np.moveaxis(columns[i], (0, 2), (-1, 0)),
                    "centre": fit.beta[: fit.size],
                    "links": [*kept.values()],
                }
            )
        variance = np.linalg.pinv(left + np.linalg.pinv(fit.spread[i]))
        for a, m in links.items():
            here, there, cross = m["here"], m["there"], np.moveaxis(m["cross"], -1, 0)
            taken = np.swapaxes(cross, 1, 2) @ variance[here]
            levels = len(info[a])
            info[a] = info[a] - by_level(there, taken @ cross, levels)
            columns[a] = columns[a] - by_level(there, taken @ columns[i][here], levels)
    contiguous = partial(tf.nest.map_structure, np.ascontiguousarray)
    return [{name: contiguous(v) for name, v in one.items()} for one in reversed(made)]
