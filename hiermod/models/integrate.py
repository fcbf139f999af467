"""Which effects of a gaussian model are integrated out, and the cross-products that this needs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hiermod.models import priors
from hiermod.models.compress import Arrays
from hiermod.models.marginal import Block, Curve, Layout
from hiermod.models.roughfit import Effects, meetings
from hiermod.models.specification import GroupEffects, Parameter, SmoothEffects, Specification

FloatArray = NDArray[np.float64]

ROOT = 32
"""Most columns of the dense block: beyond it factorising costs more than sampling."""


def integrate(s: Specification, given: Arrays) -> tuple[Layout, dict[str, Any], str]:
    """Choose what to integrate out.

    Parameters
    ----------
    s : Specification
        With a gaussian response and an identity link.
    given : dict
        The ``data`` of the program.

    Returns
    -------
    Layout
    dict
        Arrays for `marginal.eliminate`.
    str
        What is integrated out, and what is not, and why, in words.
    """
    chain, rest = _chain(tuple(g for g in s.groups if not g.group.special))
    special = [g for g in s.groups if g.group.special]
    linear = (*((s.intercept,) if s.intercept else ()), *s.common)
    normal = list(filter(_is_normal, linear))
    if sum(_width(p) for p in normal) > ROOT:
        normal = []
    columns = sum(_width(p) for p in normal)
    bent = columns + sum(int(np.prod(one.shape)) for one in s.smooths)
    curves, bends = (s.smooths, ()) if bent <= ROOT else ((), s.smooths)
    # A dense block pays when nothing is left to sample beside it (measured: InstEval).
    columns = (bent if curves else columns) + sum(int(np.prod(g.shape)) for g in rest)
    dense = columns <= ROOT and all(g.cor is None for g in rest)
    crossed, sampled = (rest, special) if dense else ([], [*rest, *special])
    left = [p for p in linear if p not in normal]
    layout = Layout(
        chain=tuple(map(block_of, chain)),
        coefficients=tuple((p.identifier, len(p.labels)) for p in normal),
        curves=tuple(map(_curve, curves)),
        crossed=tuple(map(block_of, crossed)),
        linear=tuple((p.identifier, len(p.labels)) for p in left),
        bends=tuple(map(_curve, bends)),
        sampled=tuple(map(block_of, sampled)),
        sigma=s.auxiliary[0].identifier,
    )
    rows = _Rows(s, given)
    for g in s.groups:
        rows.warn_of_collinear_effects(g)
    made = rows.arrays(chain, curves, crossed, sampled, normal, left, bends)
    made |= {name: v for name, v in given.items() if name.startswith("by_")}
    return layout, made, _words(s, layout, sampled, left)


def _width(p: Parameter) -> int:
    """Columns of a coefficient."""
    return max(len(p.labels), 1)


def block_of(g: GroupEffects) -> Block:
    """What `marginal` needs to know of a group term."""
    return Block(
        identifier=g.identifier,
        factor=g.group.factor,
        key=g.key,
        sigmas=tuple((p.identifier, bool(p.labels)) for p in g.sigmas),
        cor=g.cor.identifier if g.cor else None,
        effects=g.shape[0],
        levels=g.shape[1],
        noncentered=g.noncentered and not g.scaled,
    )


def _curve(s: SmoothEffects) -> Curve:
    """What `marginal` needs to know of a smooth."""
    return Curve(s.identifier, s.sigma.identifier, s.shape, s.noncentered)


def _chain(groups: tuple[GroupEffects, ...]) -> tuple[list[GroupEffects], list[GroupEffects]]:
    """Terms that are nested in one another, beginning with the most levels, and the others."""
    chain: list[GroupEffects] = []
    rest = []
    for g in sorted(groups, key=lambda g: -g.shape[1]):
        if not chain or _above(chain[-1], g) is not None:
            chain.append(g)
        else:
            rest.append(g)
    return chain, rest


def _above(inner: GroupEffects, outer: GroupEffects) -> NDArray[np.int32] | None:
    """The level of `outer` that each level of `inner` lies in; None if it is not nested."""
    found = np.zeros(inner.shape[1], np.int32)
    found[inner.group.index] = outer.group.index
    return found if np.array_equal(found[inner.group.index], outer.group.index) else None


def _words(
    s: Specification, layout: Layout, sampled: list[GroupEffects], left: list[Parameter]
) -> str:
    """What is integrated out, and why not more."""
    names = {p.identifier: p.name for p in s.parameters}
    effects = {g.identifier: g for g in s.groups}
    found = []
    for block in (*layout.chain, *layout.crossed):
        g = effects[block.identifier]
        found += [g.name(e) for e in g.group.effects]
    found += [names[name] for name, _ in layout.coefficients]
    smooths = {one.identifier: one.smooth.name for one in s.smooths}
    found += [smooths[curve.identifier] for curve in layout.curves]
    words = [", ".join(found) or "nothing"]
    crossed = dict.fromkeys(g.group.factor for g in sampled if not g.group.special)
    if crossed:
        words.append(f"not {', '.join(crossed)}: crossed with {layout.chain[0].factor}")
    words += [f"not {g.group.factor}: {g.group.special}" for g in sampled if g.group.special]
    wide = [p.name for p in left if _is_normal(p)]
    wide += [smooths[curve.identifier] for curve in layout.bends]
    other = [p.name for p in left if not _is_normal(p) and not p.prior.constant]
    if wide:
        words.append(f"not {', '.join(wide)}: more than {ROOT} columns")
    if other:
        words.append(f"not {', '.join(other)}: no prior of the form normal(mean, sd)")
    return "; ".join(words)


def _is_normal(p: Parameter) -> bool:
    """Whether a coefficient has a prior that integrates out."""
    prior = p.prior
    normal = prior.distribution == priors.DISTRIBUTIONS["normal"]
    return normal and not prior.bounds and not prior.shrinkage


class _Rows:
    """The rows of a gaussian model, with weights; from them cross-products."""

    def __init__(self, s: Specification, arrays: Arrays) -> None:
        self._arrays, y = arrays, arrays["y"]
        self.weights = arrays.get("weights", np.ones(len(y)))
        self.y = y - arrays.get("offset", 0.0)
        self.common = dict(zip([p.identifier for p in s.common], s.design.terms, strict=True))

    def columns(self, parameters: list[Parameter]) -> FloatArray:
        """Columns of coefficients, shape (columns, rows)."""
        x, n = self._arrays.get("X"), len(self.y)
        blocks = [
            x[self.common[p.identifier].columns]
            if x is not None and p.identifier in self.common
            else np.ones((1, n))
            for p in parameters
        ]
        return np.concatenate(blocks) if blocks else np.zeros((0, n))

    def curves(self, smooths: Sequence[SmoothEffects]) -> list[FloatArray]:
        """Columns of smooths, each of shape (columns, rows)."""
        return [self._arrays[f"S_{s.key}"].reshape(-1, len(self.y)) for s in smooths]

    def effects(self, g: GroupEffects) -> Effects:
        """Levels (rows,) and effects (K, rows) of a group term."""
        z = self._arrays.get(f"Z_{g.key}", np.ones((1, len(self.y))))
        return self._arrays[f"index_{g.key}"], z

    def warn_of_collinear_effects(self, g: GroupEffects) -> None:
        """Say which effects the data cannot tell apart; the cross-products are singular there."""
        _, z = self.effects(g)
        size = np.sqrt((z**2).mean(axis=1))
        if np.linalg.matrix_rank(z / np.where(size > 0, size, 1.0)[:, None]) < len(z):
            names = ", ".join(e.name for e in g.group.effects)
            warnings.warn(
                f"the effects {names} of {g.group.factor!r} are collinear: the data tell only sums "
                "of them apart, and the priors the rest. The posterior is correct, but leave one "
                "of them out if you want to interpret them.",
                stacklevel=2,
            )

    def by_level(self, g: GroupEffects, columns: FloatArray) -> FloatArray:
        """Weighted cross-products with the effects of a group term, shape (K, columns, J)."""
        index, z = self.effects(g)
        return np.array(
            [
                [np.bincount(index, self.weights * a * c, minlength=g.shape[1]) for c in columns]
                for a in z
            ]
        ).reshape(len(z), len(columns), g.shape[1])

    def pairs(self, one: GroupEffects, other: GroupEffects) -> dict[str, NDArray[Any]]:
        """Weighted cross-products of two group terms, by the pairs of levels that meet."""
        return meetings(self.effects(one), self.effects(other), self.weights)

    def dense(self, one: GroupEffects, other: GroupEffects) -> FloatArray:
        """The same, in full: shape (K, K' * J', J) for K effects of J levels and K' of J'."""
        pairs = self.pairs(one, other)
        out = np.zeros((one.shape[0], *other.shape, one.shape[1]))
        cross = np.moveaxis(pairs["cross"], -1, 0)  # where two index arrays meet a slice
        out[:, :, pairs["there"], pairs["here"]] = np.moveaxis(cross, 0, -1)
        return out.reshape(one.shape[0], -1, one.shape[1])

    def _fit(self, columns: FloatArray, location: FloatArray, scale: FloatArray) -> FloatArray:
        """About where the posterior of the coefficients will be; the first have normal priors.

        The response enters about this fit: sums of squares of large numbers lose digits.
        """
        size = np.sqrt((columns**2 * self.weights).sum(axis=1))
        size = np.where(size > 0, size, 1.0)
        unit = columns / size[:, None]
        gram, right = (unit * self.weights) @ unit.T, (unit * self.weights) @ self.y
        least = np.linalg.lstsq(gram, right, rcond=1e-12)[0]
        variance = (self.weights * (self.y - least @ unit) ** 2).sum() / self.weights.sum()
        precision, middle = np.zeros((2, len(size)))
        n = len(scale)
        precision[:n] = variance / (scale * size[:n]) ** 2
        middle[:n] = location * size[:n]
        ridge = np.linalg.lstsq(gram + np.diag(precision), right + precision * middle, rcond=1e-12)[
            0
        ]
        return np.asarray(ridge / size)

    def arrays(
        self,
        chain: list[GroupEffects],
        curves: Sequence[SmoothEffects],
        crossed: list[GroupEffects],
        sampled: list[GroupEffects],
        normal: list[Parameter],
        left: list[Parameter],
        bends: Sequence[SmoothEffects],
    ) -> dict[str, Any]:
        """Arrays for `marginal.eliminate`; see there."""
        w = self.weights
        x, other = self.columns(normal), self.columns(left)
        n = len(x)
        location, scale = _moments(normal)
        fit = self._fit(np.concatenate([x, other]), location, scale)
        left_over = (self.y - fit @ np.concatenate([x, other]))[None]
        response = np.concatenate([left_over, other, *self.curves(bends)])
        x = np.concatenate([x, *self.curves(curves)])
        size = len(x) + sum(int(np.prod(g.shape)) for g in crossed)
        shift = np.zeros(size)
        shift[:n] = (location - fit[:n]) / scale
        prior = np.diag([*np.ones(size), shift @ shift])
        prior[-1, :-1] = prior[:-1, -1] = shift
        beside = [_flat(self.by_level(g, x)) for g in crossed]
        among = [[_flat(self.dense(g, o)).T for o in crossed] for g in crossed]
        root = np.block(
            [[(x * w) @ x.T, *beside], *([b.T, *r] for b, r in zip(beside, among, strict=True))]
        )
        in_root = [(response * w) @ x.T, *(_flat(self.by_level(g, response)) for g in crossed)]
        to_root = [
            np.concatenate([self.by_level(c, x), *(self.dense(c, g) for g in crossed)], axis=1)
            for c in chain
        ]
        return {
            "rows": np.float64(w.sum()),
            "prior": prior,
            "scales": scale,
            "fitted": [fit[:n][i] for i in _slices(normal)],
            "fitted_linear": [fit[n:][i] for i in _slices(left)],
            "root": root,
            "in_root": np.concatenate(in_root, axis=1),
            "corner": (response * w) @ response.T,
            "to_root": to_root,
            "levels": [self.by_level(g, response) for g in chain],
            "cross": [
                [self.by_level(g, self.effects(outer)[1]) for outer in chain[i:]]
                for i, g in enumerate(chain)
            ],
            "up": [[_above(g, outer) for outer in chain[i + 1 :]] for i, g in enumerate(chain)],
            "sampled": [
                {
                    "root": np.swapaxes(self.by_level(g, x), 1, 2),
                    "response": self.by_level(g, response),
                    "own": self.by_level(g, self.effects(g)[1]),
                    "chain": [self.pairs(c, g) for c in chain],
                    "others": [self.pairs(g, o) for o in sampled[i + 1 :]],
                }
                for i, g in enumerate(sampled)
            ],
        }


def _flat(x: FloatArray) -> FloatArray:
    """From (K, columns, J) to (columns, K * J)."""
    return np.asarray(np.swapaxes(x, 0, 1).reshape(x.shape[1], -1))


def _slices(parameters: list[Parameter]) -> Iterator[slice]:
    begin = 0
    for p in parameters:
        yield slice(begin, begin + _width(p))
        begin += _width(p)


def _moments(parameters: list[Parameter]) -> tuple[FloatArray, FloatArray]:
    """Means and standard deviations of normal priors, by column."""
    pairs = [[np.broadcast_to(a, _width(p)) for a in p.prior.arguments] for p in parameters]
    location = [a for a, _ in pairs] or [np.zeros(0)]
    scale = [b for _, b in pairs] or [np.zeros(0)]
    return np.concatenate(location).astype(float), np.concatenate(scale).astype(float)
