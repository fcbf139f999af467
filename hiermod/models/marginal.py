"""Gaussian effects integrated out of a gaussian model, exactly.

With a gaussian response and an identity link, the effects of groups and the common coefficients
with normal priors are jointly normal given the standard deviations and correlations. They are
eliminated level by level, as in a block Cholesky factorisation of the normal equations with the
response as their last column (Bates, Maechler, Bolker and Walker 2015, "Fitting linear
mixed-effects models using lme4", section 3.4, whose spherical effects ``u = Lambda z`` are ours):
first the levels of the innermost factor, each on its own, then those of a factor that it is nested
in, at last the root, where what is left (coefficients, factors with few levels) is one dense block.
What the sampler sees is the density of the rest, at a cost that does not depend on the number of
rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

Values = Mapping[str, tf.Tensor]
Rows = list[tf.Tensor]
"""One tensor for each effect of a block."""

Moments = tuple[tf.Tensor, tf.Tensor]

UNROLLED = 8
"""Size up to which a block is factorised element by element, all levels at once."""


@dataclass(frozen=True)
class Block:
    """A group term.

    Attributes
    ----------
    identifier : str
        Of its part of the joint distribution.
    factor, key : str
        Its grouping factor, and the name of its arrays.
    sigmas : tuple of (str, bool)
        Identifiers of its standard deviations, and whether each is a vector.
    cor : str or None
        Identifier of the Cholesky factor of its correlation.
    effects, levels : int
        K and J.
    noncentered : bool
        Whether the part holds the spherical effects z or the deviations.
    """

    identifier: str
    factor: str
    key: str
    sigmas: tuple[tuple[str, bool], ...]
    cor: str | None
    effects: int
    levels: int
    noncentered: bool

    @property
    def size(self) -> int:
        """Number of effects of all levels."""
        return self.effects * self.levels

    def scale(self, values: Values) -> tf.Tensor:
        """Standard deviations of the effects, shape (chains, K)."""
        return tf.concat(
            [values[name] if vector else values[name][:, None] for name, vector in self.sigmas],
            axis=-1,
        )

    def triangle(self, values: Values) -> list[Rows]:
        """The lower triangle of Lambda: deviations are Lambda z; elements (chains,)."""
        scale = self.scale(values)
        if self.cor is None:
            zero = tf.zeros_like(scale[:, 0])
            return [[zero] * a + [scale[:, a]] for a in range(self.effects)]
        factor = values[self.cor]
        return [[scale[:, a] * factor[:, a, b] for b in range(a + 1)] for a in range(self.effects)]

    def root(self, values: Values) -> tf.Tensor:
        """Lambda as a whole, shape (chains, K, K)."""
        scale = self.scale(values)
        factor = np.eye(self.effects) if self.cor is None else values[self.cor]
        return scale[:, :, None] * factor

    def deviations(self, values: Values) -> Rows:
        """Deviations of the levels, where they are sampled; by effect, (chains, J)."""
        z = tf.unstack(values[self.identifier], axis=1)
        return deviations(self.triangle(values), z) if self.noncentered else z


@dataclass(frozen=True)
class Curve:
    """The coefficients of a smooth.

    Attributes
    ----------
    identifier : str
        Of its part of the joint distribution.
    sigma : str
        Identifier of its standard deviation.
    shape : tuple of int
        Of the coefficients: (K,), or (J, K) with a standard deviation for each of J levels.
    noncentered : bool
        Whether the part holds standard normal values or the coefficients.
    """

    identifier: str
    sigma: str
    shape: tuple[int, ...]
    noncentered: bool

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return int(np.prod(self.shape))

    def scale(self, values: Values) -> tf.Tensor:
        """Standard deviations of the coefficients, shape (chains, size)."""
        sigma = values[self.sigma][..., None] * tf.ones(self.shape, tf.float64)
        return tf.reshape(sigma, [-1, self.size])

    def coefficients(self, values: Values) -> tf.Tensor:
        """The coefficients, where they are sampled, shape (chains, size)."""
        held = tf.reshape(values[self.identifier], [-1, self.size])
        return self.scale(values) * held if self.noncentered else held


@dataclass(frozen=True)
class Layout:
    """What is integrated out, and in which order; models with equal layouts share a program.

    Attributes
    ----------
    chain : tuple of Block
        Eliminated level by level: each is nested in the next, the innermost first.
    coefficients : tuple of (str, int)
        Intercept and common coefficients in the root: identifier, and number of columns or 0 for a
        scalar.
    curves : tuple of Curve
        In the root, after the coefficients.
    crossed : tuple of Block
        In the root, after the curves: uncorrelated effects of factors with few levels.
    linear : tuple of (str, int)
        Coefficients that are sampled.
    bends : tuple of Curve
        Curves that are sampled.
    sampled : tuple of Block
        Group terms that are sampled.
    sigma : str
        Identifier of the residual standard deviation.
    """

    chain: tuple[Block, ...]
    coefficients: tuple[tuple[str, int], ...]
    curves: tuple[Curve, ...]
    crossed: tuple[Block, ...]
    linear: tuple[tuple[str, int], ...]
    bends: tuple[Curve, ...]
    sampled: tuple[Block, ...]
    sigma: str

    @property
    def identifiers(self) -> set[str]:
        """Of the parts of the joint distribution that are integrated out."""
        blocks: tuple[Block | Curve, ...] = (*self.chain, *self.curves, *self.crossed)
        return {*(name for name, _ in self.coefficients), *(b.identifier for b in blocks)}


def cholesky(matrix: list[Rows]) -> list[Rows]:
    """Lower triangles of the Cholesky factors of many matrices; of those the lower parts count."""
    size = len(matrix)
    if size > UNROLLED:
        pick = [[matrix[max(a, b)][min(a, b)] for b in range(size)] for a in range(size)]
        found = tf.linalg.cholesky(tf.stack([tf.stack(row, -1) for row in pick], -2))
        return [[found[..., a, b] for b in range(a + 1)] for a in range(size)]
    out: list[Rows] = []
    for a in range(size):
        out.append([])
        for b in range(a + 1):
            left = matrix[a][b]
            for t in range(b):
                left = left - out[a][t] * out[b][t]
            out[a].append(tf.sqrt(left) if a == b else left / out[b][b])
    return out


def forward(triangle: list[Rows], right: Rows) -> Rows:
    """Solve with a lower triangle; of elements (chains, J), also (chains, columns, J)."""
    triangle = _beside_columns(triangle, right)
    out: Rows = []
    for row, left in zip(triangle, right, strict=True):
        for x, known in zip(row, out, strict=False):
            left = left - x * known
        out.append(left / row[-1])
    return out


def backward(triangle: list[Rows], right: Rows) -> Rows:
    """Solve with the transpose of a lower triangle, as `forward`."""
    triangle = _beside_columns(triangle, right)
    out: Rows = [None] * len(triangle)
    for a in reversed(range(len(triangle))):
        left = right[a]
        for t in range(a + 1, len(triangle)):
            left = left - triangle[t][a] * out[t]
        out[a] = left / triangle[a][a]
    return out


def _beside_columns(triangle: list[Rows], right: Rows) -> list[Rows]:
    """Elements of the triangle, with an axis for columns if the right side has one."""
    if right and right[0].shape.rank > triangle[0][0].shape.rank:
        return [[x[:, None] for x in row] for row in triangle]
    return triangle


def sum_levels(x: tf.Tensor, index: tf.Tensor, levels: int) -> tf.Tensor:
    """Sums over the last axis by level: (..., N) to (..., J)."""
    last = x.shape.rank - 1
    sums = tf.math.unsorted_segment_sum(tf.transpose(x, [last, *range(last)]), index, levels)
    return tf.transpose(sums, [*range(1, last + 1), 0])


def through(pairs: Mapping[str, tf.Tensor], u: Rows, levels: int) -> Rows:
    """Cross-products of two groups times effects of the second.

    By effect of the first group, (chains, J).

    Parameters
    ----------
    pairs : mapping
        ``here`` and ``there``, the levels that meet, (pairs,); ``cross`` (K, K', pairs).
    u : list of tensor, shape (chains, J')
    levels : int
        J of the first.
    """
    met = [tf.gather(x, pairs["there"], axis=-1) for x in u]
    rows = [
        sum(c * x for c, x in zip(tf.unstack(row), met, strict=True))
        for row in tf.unstack(pairs["cross"])
    ]
    return [sum_levels(row, pairs["here"], levels) for row in rows]


def mixed(triangle: list[Rows], x: Rows) -> Rows:
    """The transpose of Lambda times effects, each (chains, ..., J) or with one chain for all."""
    shape = (-1,) + (1,) * (x[0].shape.rank - 1)
    return [
        sum(tf.reshape(triangle[p][a], shape) * x[p] for p in range(a, len(x)))
        for a in range(len(x))
    ]


def between(left: list[Rows], cross: list[Rows], right: list[Rows]) -> list[Rows]:
    """Lambda' C Lambda of every level, from C by effect and effect and the Lambda of each."""
    half = turned([mixed(right, row) for row in cross])
    return turned([mixed(left, column) for column in half])


def turned(rows: list[Rows]) -> list[Rows]:
    """Rows as columns."""
    return [list(column) for column in zip(*rows, strict=True)]


@dataclass(frozen=True)
class Eliminated:
    """The factorisation, for the density and for drawing what was integrated out.

    Attributes
    ----------
    triangles : list
        For each block of the chain the lower triangle of its Cholesky factor, (chains, J).
    couplings : list of dict
        For each block, by number of a later one, the rows between them: by effect of this block
        and of that one, (chains, J).
    to_root : list of Rows
        For each block, by effect, (chains, columns + 1, J); the last column is the response.
    scale : tensor, shape (chains, columns + 1)
        What those columns are still to be multiplied by.
    root : list of Rows
        The Cholesky factor of the root, elements (chains,).
    right : Rows
        The response in the root, (chains,).
    log_density : tensor, shape (chains,)
        Log density of the response.
    """

    triangles: list[list[Rows]]
    couplings: list[dict[int, list[Rows]]]
    to_root: list[Rows]
    scale: tf.Tensor
    root: list[Rows]
    right: Rows
    log_density: tf.Tensor


def eliminate(layout: Layout, values: Values, data: Mapping[str, Any]) -> Eliminated:
    """Integrate out what the layout says.

    Parameters
    ----------
    layout : Layout
    values : mapping
        Values of the sampled parts, (chains, ...).
    data : mapping
        Cross-products, as `hiermod.models.integrate` gives them.
    """
    chain, n = layout.chain, len(layout.chain)
    inverse = 1.0 / values[layout.sigma]
    # Everything is divided by sigma, so that the rows have variance one.
    relative = [[[x * inverse for x in row] for row in block.triangle(values)] for block in chain]
    scale = tf.pad(_root_scale(layout, values, data), [[0, 0], [0, 1]], constant_values=1.0)
    scale *= inverse[:, None]
    levels, in_root, corner = _response(layout, values, data)

    wide = [
        [_beside(x, y) for x, y in zip(tf.unstack(fixed), response, strict=True)]
        for fixed, response in zip(data["to_root"], levels, strict=True)
    ]
    alone = n == 1 and max(chain[0].effects, scale.shape[1]) <= UNROLLED
    eliminated = _alone if alone else _nested
    triangles, couplings, to_root, log_det, gram = eliminated(chain, relative, wide, data)
    last = tf.concat([in_root, corner[:, None]], -1)
    left = tf.concat([_beside(data["root"], in_root), last[:, :, None]], 2) - gram
    left = left * scale[:, :, None] * scale[:, None, :] + data["prior"]
    root, right, of_root, squares = _root(left)
    log_det += of_root
    spread = data["rows"] * (np.log(2 * np.pi) - 2.0 * tf.math.log(inverse))
    log_density = -0.5 * (spread + log_det + squares)
    return Eliminated(triangles, couplings, to_root, scale, root, right, log_density)


def _root(matrix: tf.Tensor) -> tuple[list[Rows], Rows, tf.Tensor, tf.Tensor]:
    """The dense block with the response as its last column, factorised.

    Parameters
    ----------
    matrix : tensor, shape (chains, columns + 1, columns + 1)

    Returns
    -------
    ``root`` and ``right`` of `Eliminated`; the log determinant of the block, and what is left of
    the square of the response, both (chains,).
    """
    size = matrix.shape[-1] - 1
    if size > UNROLLED:  # the response as well: its row of the factor is the solution
        factor = tf.linalg.cholesky(matrix)
        diagonal = tf.linalg.diag_part(factor)
        rows = [tf.unstack(row, axis=-1) for row in tf.unstack(factor, axis=-2)]
        root = [row[: a + 1] for a, row in enumerate(rows[:-1])]
        log_det = 2.0 * tf.reduce_sum(tf.math.log(diagonal[:, :-1]), -1)
        return root, rows[-1][:-1], log_det, diagonal[:, -1] ** 2
    *rows, response = (tf.unstack(row, axis=-1) for row in tf.unstack(matrix, axis=-2))
    root = cholesky([row[: a + 1] for a, row in enumerate(rows)])
    right = forward(root, response[:-1])
    log_det, squares = tf.constant(0.0, tf.float64), response[-1]
    for row, white in zip(root, right, strict=True):
        log_det += 2.0 * tf.math.log(row[-1])
        squares -= white * white
    return root, right, log_det, squares


Factors = tuple[list[list[Rows]], list[dict[int, list[Rows]]], list[Rows], tf.Tensor, tf.Tensor]
"""``triangles``, ``couplings`` and ``to_root`` of `Eliminated`, the log determinant, and products
of the columns of the root that the blocks account for."""


def _nested(
    chain: tuple[Block, ...], relative: list[list[Rows]], wide: list[Rows], data: Mapping[str, Any]
) -> Factors:
    """Blocks, each nested in the next."""
    n = len(chain)
    couplings: list[dict[int, list[Rows]]] = []
    for i, block in enumerate(chain):
        rows = [_cross(c) for c in data["cross"][i]]
        found = {k: between(relative[i], rows[k - i], relative[k]) for k in range(i, n)}
        for a in range(block.effects):
            found[i][a][a] += 1.0
        couplings.append(found)
    to_root = [mixed(root, columns) for root, columns in zip(relative, wide, strict=True)]
    log_det, gram = tf.constant(0.0, tf.float64), tf.constant(0.0, tf.float64)
    triangles = []
    for i in range(n):
        triangle = cholesky(couplings[i][i])
        log_det += log_determinant(triangle)
        triangles.append(triangle)
        to_root[i] = forward(triangle, to_root[i])
        gram += _gram(to_root[i])
        for k in range(i + 1, n):
            couplings[i][k] = turned([forward(triangle, c) for c in turned(couplings[i][k])])
        for k in range(i + 1, n):

            def up(x: tf.Tensor, i: int = i, k: int = k) -> tf.Tensor:
                if chain[i].factor == chain[k].factor:
                    return x
                return sum_levels(x, data["up"][i][k - i - 1], chain[k].levels)

            for b, column in enumerate(turned(couplings[i][k])):
                for m in range(k, n):
                    for c, other in enumerate(turned(couplings[i][m])):
                        total = sum(x * y for x, y in zip(column, other, strict=True))
                        couplings[k][m][b][c] -= up(total)
                total = sum(x[:, None] * y for x, y in zip(column, to_root[i], strict=True))
                to_root[k][b] -= up(total)
    return triangles, couplings, to_root, log_det, gram


def _alone(
    chain: tuple[Block, ...], relative: list[list[Rows]], wide: list[Rows], data: Mapping[str, Any]
) -> Factors:
    """A single block, with a derivative in closed form.

    Automatic differentiation keeps three times as many arrays of the size of the levels. With
    A = I + Lambda' G Lambda = L L' and V = L^-1 Lambda' B, and g and M the adjoints of log det A
    and of V'V, the adjoints of Lambda and of B are, with H = L^-T V M and
    N = L^-T (g I - V M V') L^-1, ``2 sum_j (G Lambda N + B H')`` and ``2 Lambda H``.
    """
    size, cross = chain[0].effects, _cross(data["cross"][0][0])
    pairs = [(a, b) for a in range(size) for b in range(a + 1)]

    @tf.custom_gradient
    def found(*given: tf.Tensor) -> Any:
        root: list[Rows] = [[] for _ in range(size)]
        for (a, _), x in zip(pairs, given, strict=False):
            root[a].append(x)
        columns = turned([tf.unstack(x, axis=1) for x in given[len(pairs) :]])
        matrix = between(root, cross, root)
        for a in range(size):
            matrix[a][a] += 1.0
        triangle = cholesky(matrix)
        white = [forward(triangle, mixed(root, column)) for column in columns]

        def gradient(of_det: tf.Tensor, of_gram: tf.Tensor, *_: tf.Tensor) -> Rows:
            weights = 0.5 * (of_gram + tf.linalg.matrix_transpose(of_gram))
            weighed = [
                [
                    dot([weights[:, i, j, None] for j in range(len(white))], row)
                    for row in turned(white)
                ]
                for i in range(len(white))
            ]
            inner = [[-dot(x, y) for y in turned(white)] for x in turned(weighed)]
            for a in range(size):
                inner[a][a] += of_det[:, None]
            inner = [backward(triangle, row) for row in inner]
            inner = [backward(triangle, column) for column in turned(inner)]
            solved = [backward(triangle, column) for column in weighed]
            reach = [mixed(root, row) for row in cross]
            of_root = [
                dot(reach[a], inner[b]) + dot(turned(columns)[a], turned(solved)[b])
                for a, b in pairs
            ]
            of_columns = turned([deviations(root, column) for column in solved])
            return [2.0 * tf.reduce_sum(x, -1) for x in of_root] + [
                2.0 * tf.stack(x, 1) for x in of_columns
            ]

        flat = [x for row in triangle for x in row]
        stacked = [tf.stack(x, 1) for x in turned(white)]
        return (log_determinant(triangle), _gram(stacked), *flat, *stacked), gradient

    log_det, gram, *rest = found(*(relative[0][a][b] for a, b in pairs), *wide[0])
    triangle: list[Rows] = [[] for _ in range(size)]
    for (a, _), x in zip(pairs, rest, strict=False):
        triangle[a].append(x)
    return [triangle], [{}], [rest[len(pairs) :]], log_det, gram


def dot(left: Rows, right: Rows) -> tf.Tensor:
    """Sum of products."""
    return sum(x * y for x, y in zip(left, right, strict=True))


def _cross(products: tf.Tensor) -> list[Rows]:
    """Cross-products by effect and effect, (1, J)."""
    return [tf.unstack(row[:, None]) for row in tf.unstack(products)]


def log_determinant(triangle: list[Rows]) -> tf.Tensor:
    """Of all levels, from Cholesky factors."""
    return 2.0 * sum(tf.reduce_sum(tf.math.log(row[-1]), -1) for row in triangle)


def _gram(rows: Rows) -> tf.Tensor:
    """Products of columns (chains, columns, J), summed over effects and levels."""
    size = rows[0].shape[1]
    if size > UNROLLED:
        return tf.add_n([tf.matmul(x, x, transpose_b=True) for x in rows])
    split = [tf.unstack(x, axis=1) for x in rows]

    def product(i: int, j: int) -> tf.Tensor:
        return tf.reduce_sum(sum(columns[i] * columns[j] for columns in split), -1)

    sums = [[product(i, j) for j in range(i + 1)] for i in range(size)]
    whole = [[sums[max(i, j)][min(i, j)] for j in range(size)] for i in range(size)]
    return tf.stack([tf.stack(row, -1) for row in whole], -2)


def _beside(fixed: tf.Tensor, response: tf.Tensor) -> tf.Tensor:
    """Columns (columns, ...) and a last one (chains, ...): (chains, columns + 1, ...)."""
    shape = tf.concat([tf.shape(response)[:1], tf.shape(fixed)], 0)
    return tf.concat([tf.broadcast_to(fixed, shape), response[:, None]], 1)


def _root_scale(layout: Layout, values: Values, data: Mapping[str, Any]) -> tf.Tensor:
    """Prior standard deviations of the columns of the root, (chains, columns)."""
    chains = values[layout.sigma].shape[0]
    fixed = tf.broadcast_to(data["scales"], [chains, data["scales"].shape[0]])
    return tf.concat(
        [
            fixed,
            *(curve.scale(values) for curve in layout.curves),
            *(tf.repeat(b.scale(values), b.levels, axis=-1) for b in layout.crossed),
        ],
        -1,
    )


def _response(
    layout: Layout, values: Values, data: Mapping[str, Any]
) -> tuple[list[Rows], tf.Tensor, tf.Tensor]:
    """What is left of the response without the sampled effects, as cross-products.

    Returns
    -------
    list of Rows
        With the effects of each block: by effect, (chains, J), or (1, J) if nothing is sampled.
    tensor, shape (chains or 1, columns)
        With the root.
    tensor, shape (chains or 1,)
        With itself.
    """
    # Of the response and of the columns of sampled coefficients; these about their fitted values.
    linear = [
        fitted - (values[name] if width else values[name][:, None])
        for (name, width), fitted in zip(layout.linear, data["fitted_linear"], strict=True)
    ]
    linear += [-curve.coefficients(values) for curve in layout.bends]
    chains = values[layout.sigma].shape[0] if linear or layout.sampled else 1
    mix = tf.concat([tf.ones([chains, 1], tf.float64), *linear], -1)
    levels = [[tf.matmul(mix, row) for row in tf.unstack(x)] for x in data["levels"]]
    in_root = tf.matmul(mix, data["in_root"])
    corner = tf.reduce_sum(tf.matmul(mix, data["corner"]) * mix, -1)
    effects = [block.deviations(values) for block in layout.sampled]
    for g, u in enumerate(effects):
        known = data["sampled"][g]
        for b, x in enumerate(u):
            in_root -= tf.matmul(x, known["root"][b])
            corner -= 2.0 * tf.reduce_sum(x * tf.matmul(mix, known["response"][b]), -1)
            for a, y in enumerate(u):
                corner += tf.reduce_sum(x * y * known["own"][a, b], -1)
        for i, pairs in enumerate(known["chain"]):
            for a, told in enumerate(through(pairs, u, layout.chain[i].levels)):
                levels[i][a] -= told
        for pairs, v in zip(known["others"], effects[g + 1 :], strict=True):
            for a, row in enumerate(tf.unstack(pairs["cross"])):
                for c, y in zip(tf.unstack(row), v, strict=True):
                    here = tf.gather(u[a], pairs["here"], axis=-1)
                    there = tf.gather(y, pairs["there"], axis=-1)
                    corner += 2.0 * tf.reduce_sum(c * here * there, -1)
    return levels, in_root, corner


def width(layout: Layout, data: Mapping[str, Any]) -> int:
    """Numbers that `draw` holds for each draw."""
    columns = data["prior"].shape[0]
    blocks = sum(b.size * (columns + b.effects + 4) for b in layout.chain)
    pairs = sum(p["here"].shape[0] for known in data["sampled"] for p in known["chain"])
    return int(columns**2 + blocks + 2 * pairs)


def noises(layout: Layout, only_moments: bool) -> int:
    """Random numbers that `draw` uses for each draw."""
    root = sum(max(n, 1) for _, n in layout.coefficients)
    root += sum(b.size for b in layout.curves) + sum(b.size for b in layout.crossed)
    return root + sum(b.size for b in layout.chain[only_moments:])


def draw(
    layout: Layout,
    values: Values,
    data: Mapping[str, Any],
    noise: tf.Tensor,
    only_moments: bool = False,
) -> tuple[dict[str, tf.Tensor], Moments | None]:
    """A draw of everything that was integrated out, given each draw of the rest.

    Parameters
    ----------
    layout, values, data
        As for `eliminate`, with draws in place of chains.
    noise : tensor, shape (draws, `noises`)
        Standard normal numbers.
    only_moments : bool
        Work out moments of the innermost block instead of drawing it.

    Returns
    -------
    dict
        From identifiers to tensors (draws, ...), as the joint distribution has them.
    tuple of tensor, optional
        Sums over the draws of the means and of the mean squares of the deviations of the innermost
        block, each (K, J), given everything else.
    """
    found = eliminate(layout, values, data)
    used = 0

    def noisy(right: tf.Tensor) -> tf.Tensor:
        nonlocal used
        part = noise[:, used] if right.shape.rank == 1 else noise[:, used : used + right.shape[1]]
        used += 1 if right.shape.rank == 1 else right.shape[1]
        return right + part

    root = backward(found.root, [noisy(x) for x in found.right])
    out: dict[str, tf.Tensor] = {}
    begin = 0
    for (name, width), fitted in zip(layout.coefficients, data["fitted"], strict=True):
        z = tf.stack(root[begin : begin + max(width, 1)], -1)
        value = fitted + data["scales"][begin : begin + max(width, 1)] * z
        out[name] = value if width else value[:, 0]
        begin += max(width, 1)
    for curve in layout.curves:
        z = tf.stack(root[begin : begin + curve.size], -1)
        z = z if curve.noncentered else curve.scale(values) * z
        out[curve.identifier] = tf.reshape(z, [-1, *curve.shape])
        begin += curve.size
    for block in layout.crossed:
        z = tf.stack(root[begin : begin + block.size], -1)
        z = tf.reshape(z, [-1, block.effects, block.levels])
        z = z if block.noncentered else block.scale(values)[..., None] * z
        out[block.identifier] = z
        begin += block.size
    against = tf.stack([*(-z for z in root), tf.ones_like(values[layout.sigma])], -1)
    against = (against * found.scale)[:, None]
    drawn: dict[int, Rows] = {}
    for i in reversed(range(len(layout.chain))):
        block = layout.chain[i]
        last = only_moments and i == 0
        right = [tf.matmul(against, x)[:, 0] for x in found.to_root[i]]
        right = right if last else [noisy(x) for x in right]
        for k, rows in found.couplings[i].items():
            if k == i:
                continue
            for a, row in enumerate(rows):
                for x, z in zip(row, drawn[k], strict=True):
                    same = block.factor == layout.chain[k].factor
                    z = z if same else tf.gather(z, data["up"][i][k - i - 1], axis=-1)
                    right[a] = right[a] - x * z
        drawn[i] = backward(found.triangles[i], right)
        if last:
            return out, _moments(block.triangle(values), found.triangles[i], drawn[i])
        z = drawn[i] if block.noncentered else deviations(block.triangle(values), drawn[i])
        out[block.identifier] = tf.stack(z, 1)
    return out, None


def deviations(triangle: list[Rows], z: Rows) -> Rows:
    """Lambda z, each (draws, ..., J)."""
    shape = (-1,) + (1,) * (z[0].shape.rank - 1)
    return [sum(tf.reshape(x, shape) * z[b] for b, x in enumerate(row)) for row in triangle]


def _moments(triangle: list[Rows], factor: list[Rows], mean: Rows) -> Moments:
    """Sums over the draws of means and mean squares of deviations, from those of z."""
    means = deviations(triangle, mean)
    squares = []
    for row, middle in zip(triangle, means, strict=True):
        padded = [x[:, None] for x in row] + [tf.zeros([1, 1], tf.float64)] * (len(mean) - len(row))
        spread = sum(v**2 for v in forward(factor, padded))
        squares.append(tf.reduce_sum(spread + middle**2, 0))
    return tf.stack([tf.reduce_sum(m, 0) for m in means]), tf.stack(squares)
