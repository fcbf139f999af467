"""Group effects integrated out approximately, by Laplace's method, level by level.

Given everything else, the effects of each level have a log density with one peak: its height and
its curvature give the integral (Tierney and Kadane 1986; adjoint-differentiated as in Margossian,
Vehtari, Simpson and Agrawal 2020, "Hamiltonian Monte Carlo using an adjoint-differentiated Laplace
approximation"). The peak is found by Newton's method; a last step of it, from a point that counts
as constant, carries the derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from hiermod.models import marginal
from hiermod.models.marginal import Block, Rows, Values

ITERATIONS, TOLERANCE = 100, 1e-8
"""Of Newton's method; where it has not converged by then the density is NaN."""


class Peak(NamedTuple):
    """The spherical effects at the peak, and what surrounds it.

    Attributes
    ----------
    effects : Rows
        By effect, (chains, J).
    triangle : list of Rows
        Cholesky factor of minus the second derivatives, lower triangle.
    height : tensor, shape (chains,)
        Log density of the response and the effects, but for a constant.
    log_density : tensor, shape (chains,)
        Of the response, approximately.
    """

    effects: Rows
    triangle: list[Rows]
    height: tf.Tensor
    log_density: tf.Tensor


class Problem:
    """The effects of one block, given everything else.

    Parameters
    ----------
    block : Block
    likelihood : function
        From linear predictors (chains, rows) to log-likelihoods of the rows.
    data : mapping
        ``index_<key>`` (rows,) and, unless the only effect is an intercept, ``Z_<key>`` (K, rows).
    values : mapping
        Of what is sampled.
    eta : tensor, shape (chains, rows)
        Linear predictor without the effects.
    """

    def __init__(
        self,
        block: Block,
        likelihood: Callable[[tf.Tensor], tf.Tensor],
        data: Mapping[str, Any],
        values: Values,
        eta: tf.Tensor,
    ) -> None:
        self.block, self.likelihood, self.eta = block, likelihood, eta
        self.index, z = data[f"index_{block.key}"], data.get(f"Z_{block.key}")
        self.z = [tf.ones_like(eta[0])] if z is None else tf.unstack(z)
        self.triangle = block.triangle(values)

    def fixed(self) -> Problem:
        """The same, with nothing to differentiate by."""
        out = object.__new__(Problem)
        out.__dict__ |= self.__dict__
        out.eta = tf.stop_gradient(self.eta)
        out.triangle = tf.nest.map_structure(tf.stop_gradient, self.triangle)
        return out

    def predictor(self, z: Rows) -> tf.Tensor:
        """Linear predictor, (chains, rows)."""
        deviations = marginal.deviations(self.triangle, z)
        rows = (tf.gather(u, self.index, axis=-1) for u in deviations)
        return self.eta + sum(x * u for x, u in zip(self.z, rows, strict=True))

    def height(self, z: Rows) -> tf.Tensor:
        """Log density of the response and the effects, but for a constant, (chains,)."""
        likelihood = tf.reduce_sum(self.likelihood(self.predictor(z)), -1)
        return likelihood - 0.5 * sum(tf.reduce_sum(x**2, -1) for x in z)

    def _sums(self, x: tf.Tensor) -> tf.Tensor:
        return marginal.sum_levels(x, self.index, self.block.levels)

    def derivatives(self, z: Rows) -> tuple[Rows, list[Rows]]:
        """First and minus second derivatives of the height, (chains, J)."""
        eta = self.predictor(z)
        with tf.GradientTape() as outer:
            outer.watch(eta)
            with tf.GradientTape() as inner:
                inner.watch(eta)
                value = self.likelihood(eta)
            slope = inner.gradient(value, eta)
        curve = -outer.gradient(slope, eta)
        mixed = marginal.mixed(self.triangle, [self._sums(slope * x) for x in self.z])
        first = [m - x for m, x in zip(mixed, z, strict=True)]
        cross = [[self._sums(curve * x * y) for y in self.z] for x in self.z]
        second = marginal.between(self.triangle, cross, self.triangle)
        for a in range(len(z)):
            second[a][a] += 1.0
        return first, second

    def step(self, z: Rows) -> tuple[Rows, list[Rows]]:
        """A whole step of Newton's method, and the Cholesky factor it is made with."""
        first, second = self.derivatives(z)
        triangle = marginal.cholesky(second)
        solved = marginal.forward(triangle, first)
        return marginal.backward(triangle, solved), triangle


def peak(problem: Problem) -> Peak:
    """The peak, and the integral by Laplace's method; differentiable by what is sampled."""
    fixed = problem.fixed()
    size, levels = problem.block.effects, problem.block.levels
    start = tf.zeros([size, tf.shape(problem.eta)[0], levels], tf.float64)

    largest = [tf.reduce_max(tf.abs(x)) for x in problem.z]

    def advance(i: tf.Tensor, z: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, ...]:
        step, _ = fixed.step(tf.unstack(z, size))
        # Damped: no linear predictor moves by more than one, far from where the curve was taken.
        moves = marginal.deviations(fixed.triangle, step)
        move = sum(tf.abs(u) * x for u, x in zip(moves, largest, strict=True))
        return i + 1, z + tf.stack(step) / (1.0 + move), tf.reduce_max(move, -1)

    _, found, left = tf.while_loop(
        lambda i, z, left: (i < ITERATIONS) & tf.reduce_any(left > TOLERANCE),
        advance,
        (tf.constant(0), start, tf.ones_like(problem.eta[:, 0])),
        parallel_iterations=1,
    )
    z = tf.unstack(tf.stop_gradient(found), size)
    # The derivative of the peak is that of a step whose matrix counts as constant.
    _, triangle = fixed.step(z)
    constant = tf.nest.map_structure(tf.stop_gradient, triangle)
    first, _ = problem.derivatives(z)
    last = marginal.backward(constant, marginal.forward(constant, first))
    z = [x + y for x, y in zip(z, last, strict=True)]
    _, second = problem.derivatives(z)
    triangle = marginal.cholesky(second)
    height = problem.height(z)
    log_det = 2.0 * sum(tf.reduce_sum(tf.math.log(row[-1]), -1) for row in triangle)
    height = tf.where(left <= TOLERANCE, height, tf.constant(np.nan, height.dtype))
    return Peak(z, triangle, height, height - 0.5 * log_det)


def draw(problem: Problem, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws of the effects, and how far they are off.

    Parameters
    ----------
    problem : Problem
        With draws in place of chains.
    noise : tensor, shape (draws, K * J)
        Standard normal numbers.

    Returns
    -------
    tensor, shape (draws, K, J)
        As the joint distribution has them, from the normal approximation.
    tensor, shape (draws,)
        Log of the importance weights: the density over that of the approximation.
    """
    block, found = problem.block, peak(problem)
    white = tf.unstack(tf.reshape(noise, [-1, block.effects, block.levels]), axis=1)
    away = marginal.backward(found.triangle, white)
    z = [x + y for x, y in zip(found.effects, away, strict=True)]
    weight = problem.height(z) - found.height + 0.5 * tf.reduce_sum(noise**2, -1)
    values = z if block.noncentered else marginal.deviations(problem.triangle, z)
    return tf.stack(values, 1), weight
