"""Effects as the sampler sees them: given the rest, about standard normal.

A normal approximation of the likelihood at a rough fit, ``-1/2 w (y* - eta)^2`` for every row with
fixed weights w and working responses y*, makes the effects u of a level normal given coefficients,
standard deviations and correlations: with u = Lambda z, G the cross-products of the level's rows by
w, and b what they say of u, ``A = I + Lambda' G Lambda = C C'`` is the precision of z and
``A^-1 Lambda' b`` its mean. The sampler moves x in ``z = C^-T (C^-1 Lambda' b + x)``, the density
of which is the exact one of z times that of the map, 1 / |C|. Where the approximation is good, x is
standard normal whatever the standard deviations are, and the funnel between them is gone; where
there are no data it is the non-centred form, where there are many the centred one. Where it is bad
the density is still the exact one (Kleppe 2019, "Dynamically rescaled Hamiltonian Monte Carlo for
Bayesian hierarchical models"; Osmundsen, Kleppe and Liesenfeld 2021, "Importance sampling-based
transport map Hamiltonian Monte Carlo for Bayesian hierarchical models").
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hiermod.formula.design import Design, Group
from hiermod.models import responses
from hiermod.models.centring import Rows, by_level
from hiermod.models.families import FAMILIES, Family
from hiermod.models.integrate import block_of
from hiermod.models.links import LINKS, Link
from hiermod.models.marginal import (
    Block,
    backward,
    between,
    cholesky,
    forward,
    log_determinant,
    mixed,
)
from hiermod.models.specification import Predictor, Specification

FloatArray = NDArray[np.float64]

STEPS = 8
"""Most steps of the rough fit."""

CLOSE = 0.01
"""Largest move of the linear predictor, over its spread, after which the fit is good enough."""

LONGEST = 2.0
"""Longest step, on the scale of a link that is not the identity."""

LEAST = 0.05
"""Least share of the information of a level that other groups leave."""


@dataclass(frozen=True)
class Conditioned:
    """A group term whose effects are sampled so.

    Attributes
    ----------
    block : Block
    coefficients : tuple of (str, bool)
        Identifiers of the intercept and the common coefficients of its linear predictor, and
        whether each is a vector.
    """

    block: Block
    coefficients: tuple[tuple[str, bool], ...]

    def place(
        self, x: tf.Tensor, values: Mapping[str, tf.Tensor], data: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The effects z, (chains, K, J), and the log determinant of the map, (chains,).

        Parameters
        ----------
        x : tensor, shape (chains, K, J)
        values : mapping
            Values of the other parts.
        data : mapping
            As `condition` gives it.
        """
        root = self.block.triangle(values)
        cross = [tf.unstack(row[:, None]) for row in tf.unstack(data["cross"])]
        matrix = between(root, cross, root)
        for a in range(self.block.effects):
            matrix[a][a] += 1.0
        triangle = cholesky(matrix)
        pull = data["pull"][None]
        if self.coefficients:
            beta = [values[n] if vector else values[n][:, None] for n, vector in self.coefficients]
            pull -= tf.tensordot(tf.concat(beta, -1) - data["centre"], data["columns"], axes=1)
        mean = forward(triangle, mixed(root, tf.unstack(pull, axis=1)))
        moved = [m + one for m, one in zip(mean, tf.unstack(x, axis=1), strict=True)]
        z = backward(triangle, moved)
        return tf.stack(z, axis=1), -0.5 * log_determinant(triangle)


def noncentered(s: Specification) -> Specification:
    """The same model, the effects that are to be conditioned in non-centred form."""

    def changed(p: Any) -> Any:
        groups = (replace(g, noncentered=g.noncentered or g.conditioned) for g in p.groups)
        return replace(p, groups=tuple(groups))

    return replace(changed(s), others=tuple(map(changed, s.others)))


def condition(
    s: Specification, sampled: Set[str]
) -> tuple[tuple[Conditioned, ...], list[dict[str, FloatArray]]]:
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
        ``cross`` (K, K, J), ``pull`` (K, J), ``columns`` (P, K, J) and ``centre`` (P,).
    """
    found, made = [], []
    for p in s.predictors:
        numbers = [i for i, g in enumerate(p.groups) if g.conditioned and g.identifier in sampled]
        if not numbers:
            continue
        parts = (*((p.intercept,) if p.intercept else ()), *p.common)
        names = tuple((c.identifier, bool(c.labels)) for c in parts)
        fit = _Fit(*_likelihood(s, p), p)
        for i in numbers:
            found.append(Conditioned(block_of(p.groups[i]), names))
            made.append(fit.arrays(i))
    return tuple(found), made


def _likelihood(s: Specification, p: Predictor) -> tuple[Design, Family, Link]:
    """What depends on a linear predictor: of one of several outcomes, that against the others."""
    if not p.parameter:
        return s.design, s.plain, s.link
    one = FAMILIES[s.family.single]
    response = responses.single(s.design.response, 1 + s.outcomes.index(p.parameter))
    return replace(p.design, response=response), one, LINKS[one.links[0]]


class _Fit:
    """A rough fit of a linear predictor, coefficients and effects in turn.

    The covariance of the effects of a group begins with the inverse of what an average level's
    data say, and follows by steps of the EM algorithm.
    """

    def __init__(self, design: Design, family: Family, link: Link, p: Predictor) -> None:
        self.rows, self.groups = Rows(design, family, link), design.groups
        self.longest = np.inf if link.name == "identity" else LONGEST
        size = design.n_rows
        ones = [np.ones((size, 1))] if design.intercept and p.intercept else []
        curves = [one.Z.reshape(size, -1) for one in design.smooths]
        self.x = np.concatenate([*ones, design.X - p.means, *curves], axis=1)
        self.size = self.x.shape[1] - sum(curve.shape[1] for curve in curves)
        self.beta = np.zeros(self.x.shape[1])
        self.eta = self.rows.offset + np.zeros(size)
        if ones:
            self.beta[0] = self.rows.start
            self.eta += self.rows.start
        self.u = [np.zeros((len(g.levels), g.Z.shape[1])) for g in self.groups]
        self.spread: list[FloatArray] = []
        self.freedom = float(size)
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
        if self.rows.dispersion and known.any():
            left = float((score[known] ** 2 / weight[known]).sum()) / self.freedom
            scale = left if np.isfinite(left) and left > 0 else 1.0
            self.score, self.weight = self.score / scale, self.weight / scale

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
            info, pull = self._of_levels(group)
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
        self.freedom = max(self.freedom, 0.1 * len(self.eta))

    def _of_levels(self, group: Group) -> tuple[FloatArray, FloatArray]:
        """Information, (J, K, K), and scores, (J, K), of the effects of the levels."""
        z, levels = group.Z, len(group.levels)
        weighted = self.weight[:, None] * z
        info = by_level(group.index, weighted[:, :, None] * z[:, None, :], levels)
        return info, by_level(group.index, self.score[:, None] * z, levels)

    def arrays(self, number: int) -> dict[str, FloatArray]:
        """The arrays of a group, see `condition`.

        What the data say of a level is what is left when the effects of other groups, which they
        would have to be told from, are integrated out.
        """
        x = self.x[:, : self.size]
        info, columns = self._products(self.groups[number], x)
        left, left_columns = info.copy(), columns.copy()
        for other in range(len(self.groups)):
            if other != number:
                self._integrate(number, other, x, left, left_columns)
        sizes = np.diagonal(info, axis1=1, axis2=2).max(axis=0)
        root = np.linalg.cholesky(info + np.diag(1e-12 * (sizes + 1e-12)))
        inverse = np.linalg.inv(root)
        shares, vectors = np.linalg.eigh(inverse @ left @ np.swapaxes(inverse, -1, -2))
        # Integrated out one by one, the other groups may have taken too much.
        turned = root @ vectors
        left = turned * np.maximum(shares, LEAST)[:, None, :] @ np.swapaxes(turned, -1, -2)
        _, score = self._of_levels(self.groups[number])
        made = {
            "cross": np.moveaxis(left, 0, -1),
            "pull": (np.einsum("jkl,jl->jk", left, self.u[number]) + score).T,
            "columns": np.moveaxis(left_columns, (0, 2), (-1, 0)),
            "centre": self.beta[: self.size],
        }
        return {name: np.ascontiguousarray(v) for name, v in made.items()}

    def _products(self, group: Group, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Cross-products of the effects of every level, (J, K, K), and with columns, (J, K, P)."""
        weighted = (self.weight[:, None] * group.Z)[:, :, None]
        levels = len(group.levels)
        info = by_level(group.index, weighted * group.Z[:, None, :], levels)
        return info, by_level(group.index, weighted * x[:, None, :], levels)

    def _integrate(
        self, number: int, other: int, x: FloatArray, info: FloatArray, columns: FloatArray
    ) -> None:
        """Take off what the effects of another group account for."""
        one, two = self.groups[number], self.groups[other]
        pairs, index = np.unique(
            one.index.astype(np.int64) * len(two.levels) + two.index, return_inverse=True
        )
        here, there = np.divmod(pairs, len(two.levels))
        weighted = (self.weight[:, None] * one.Z)[:, :, None] * two.Z[:, None, :]
        cross = by_level(index.astype(np.int32), weighted, len(pairs))
        its_info, its_columns = self._products(two, x)
        variance = np.linalg.pinv(its_info + np.linalg.pinv(self.spread[other]))
        taken = cross @ variance[there]
        np.subtract.at(info, here, taken @ np.swapaxes(cross, -1, -2))
        np.subtract.at(columns, here, taken @ its_columns[there])
