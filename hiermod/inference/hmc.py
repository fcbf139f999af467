"""Hamiltonian Monte Carlo, and the compiled block of transitions that all samplers share.

All chains move as one batch, with a common number of steps, so that no chain waits for
another. A block is one XLA program that serves warm-up and draws alike: step-size adaptation is a
switch, the metric and the data are arguments, and random numbers come from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.stats import qmc

from hiermod.errors import SamplingError
from hiermod.programs import compiled

LogDensity = Callable[[tf.Tensor, Any], tf.Tensor]
"""``log_density(position, data)``: positions (chains, dimensions) -> log densities (chains,)."""

DIVERGENCE = 1000.0
"""Energy error beyond which a trajectory counts as divergent (Stan's `max_deltaH`)."""

# Dual averaging, Hoffman and Gelman (2014), section 3.2; the constants are theirs and Stan's.
GAMMA, T0, KAPPA = 0.05, 10.0, 0.75

LONGEST_STEP = 1.0
"""Longest step, of the `2 pi` of a turn: in a normal density any step is exact, and the best length
of a trajectory is a quarter of a turn; longer steps would leave what is not normal to chance."""

FEW_NUMBERS = 20_000
"""Numbers, chains times those in the data, up to which every step has the value of the density with
its gradient, so that both are compiled together: a first fit of sleepstudy takes 2.7 seconds then,
not 3.2. A value at the end of trajectories alone is compiled on its own, but quicker where data are
more (by a fifth for two chains and the 10,273 numbers of bangladesh)."""

STEP_JITTER = 0.5
"""Step sizes are uniform between this share of the adapted one and the whole: where the posterior
is more sharply curved than on average, a chain with one step size for all can be stuck for long."""

LENGTH_JITTER = 0.5
"""Trajectory lengths are uniform within this share of their mean, more or less."""


class State(NamedTuple):
    """Where the chains are.

    Attributes
    ----------
    position : (chains, dimensions), unconstrained
    log_density : (chains,)
    gradient : (chains, dimensions)
    """

    position: tf.Tensor
    log_density: tf.Tensor
    gradient: tf.Tensor


class StepSize(NamedTuple):
    """State of dual averaging (Hoffman and Gelman 2014, algorithm 5); all scalars.

    Attributes
    ----------
    log_step : the step size in use
    log_average : the averaged iterate, which is used once adaptation ends
    error : running mean of target minus achieved acceptance
    count : updates so far
    shrink_to : the log step that the iterates are pulled to
    """

    log_step: tf.Tensor
    log_average: tf.Tensor
    error: tf.Tensor
    count: tf.Tensor
    shrink_to: tf.Tensor


class Metric(NamedTuple):
    """The normal density that the posterior is taken to be like; its covariance inverts the mass.

    The covariance is ``D (I + V (diag(values) - I) V') D`` with ``D = diag(scale)``.

    Attributes
    ----------
    scale : (dimensions,), standard deviations
    vectors : (dimensions, rank), orthonormal directions V in the scaled space, zero where unused
    values : (rank,), variances along them, one where unused
    centre : (dimensions,), the mean
    """

    scale: tf.Tensor
    vectors: tf.Tensor
    values: tf.Tensor
    centre: tf.Tensor

    def _along(self, x: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
        """Stretch x (chains, dimensions), in the scaled space, along the directions."""
        inside = tf.linalg.matmul(x, self.vectors) * (factor - 1.0)
        return x + tf.linalg.matmul(inside, self.vectors, transpose_b=True)

    def velocity(self, gradient: tf.Tensor) -> tf.Tensor:
        """Inverse mass matrix times a gradient, both (chains, dimensions)."""
        return self.scale * self._along(self.scale * gradient, self.values)

    def spread(self, white: tf.Tensor) -> tf.Tensor:
        """Velocities with the covariance of the metric, from standard normal numbers."""
        return self.scale * self._along(white, tf.sqrt(self.values))

    def whiten(self, velocity: tf.Tensor) -> tf.Tensor:
        """The inverse of `spread`."""
        return self._along(velocity / self.scale, tf.math.rsqrt(self.values))

    def momentum(self, velocity: tf.Tensor) -> tf.Tensor:
        """The mass matrix times velocities; the inverse of `velocity`."""
        return self._along(velocity / self.scale, 1.0 / self.values) / self.scale

    def force(self, position: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        """Acceleration by what the posterior has beside the normal density."""
        return self.velocity(gradient) + (position - self.centre)

    def flow(
        self, position: tf.Tensor, velocity: tf.Tensor, time: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Motion in the normal density alone: a turn about its centre, once round in 2 pi."""
        away, cosine, sine = position - self.centre, tf.cos(time), tf.sin(time)
        return self.centre + cosine * away + sine * velocity, cosine * velocity - sine * away


class Tuning(NamedTuple):
    """What a block is told, and does not change.

    Attributes
    ----------
    metric : Metric
    trajectory_length : scalar, mean, in units of the whitened space
    target_accept : scalar
    max_steps : int32 scalar, most steps a transition may take
    adapt : bool scalar, whether the step size is being adapted
    count : int32 scalar, transitions to run, at most the block's capacity
    """

    metric: Metric
    trajectory_length: tf.Tensor
    target_accept: tf.Tensor
    max_steps: tf.Tensor
    adapt: tf.Tensor
    count: tf.Tensor


class Noise(NamedTuple):
    """Random numbers of one block.

    Attributes
    ----------
    momentum : (capacity, chains, dimensions), standard normal
    accept : (capacity, chains), log of uniforms
    jitter : (capacity, 2), uniform in (0, 1); for the length and the step size
    """

    momentum: tf.Tensor
    accept: tf.Tensor
    jitter: tf.Tensor


STATISTICS: dict[str, type] = {
    "lp": np.float64,
    "energy": np.float64,
    "acceptance_rate": np.float64,
    "diverging": np.bool_,
    "nonfinite": np.bool_,
    "step_size": np.float64,
    "n_steps": np.int32,
}
"""What a block tells of every transition and chain, and its type. ``nonfinite``: rejected because
the density or its gradient was not finite; divergent too."""


class Transitions(NamedTuple):
    """What a block returns for every transition; the first axis is the block's capacity.

    Attributes
    ----------
    position, gradient : (capacity, chains, dimensions)
    numbers : (capacity, statistics, chains)
        The `STATISTICS`, all as floats: one array compiles sooner than seven.
    """

    position: tf.Tensor
    gradient: tf.Tensor
    numbers: tf.Tensor

    def rows(self, count: int) -> dict[str, NDArray[Any]]:
        """Arrays (count, chains, ...) by name, of the first `count` transitions."""
        position, gradient, numbers = (x[:count].numpy() for x in self)
        told = {n: numbers[:, i].astype(t) for i, (n, t) in enumerate(STATISTICS.items())}
        return {"position": position, "gradient": gradient} | told


class Sampler(NamedTuple):
    """What one sampler does otherwise than another.

    Attributes
    ----------
    draw_noise : function
        ``(generator, capacity, chains, dimensions) -> noise``, a nest of tensors whose first axis
        is the block's capacity.
    transition : function
        ``(log_density, state, step_size, tuning, noise, data) -> (state, statistics)``: the adapted
        step size and the noise of one transition, to the new state and a dict of `STATISTICS` but
        for ``lp``, each (chains,) or a scalar.
    """

    draw_noise: Callable[[np.random.Generator, int, int, int], Any]
    transition: Callable[..., tuple[State, dict[str, tf.Tensor]]]


def draw_noise(
    generator: np.random.Generator, capacity: int, chains: int, dimensions: int
) -> Noise:
    """Random numbers for one block, from a NumPy generator.

    The numbers for trajectory lengths are a van der Corput sequence, turned at random: each is
    uniform, and together they cover the lengths more evenly than independent ones (as in Hoffman,
    Radul and Sountsov 2021, "An adaptive-MCMC scheme for setting trajectory lengths").
    """
    jitter = generator.random((capacity, 2))
    even = qmc.Halton(1, scramble=False).random(capacity)[:, 0]
    jitter[:, 0] = (jitter[0, 0] + even) % 1.0
    return Noise(
        momentum=tf.constant(generator.standard_normal((capacity, chains, dimensions))),
        accept=tf.constant(np.log1p(-generator.random((capacity, chains)))),
        jitter=tf.constant(jitter),
    )


def value_and_gradient(
    log_density: LogDensity, position: tf.Tensor, data: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Log density (chains,) and its gradient (chains, dimensions); there must be one."""
    with tf.GradientTape() as tape:
        tape.watch(position)
        value = log_density(position, data)
    gradient = tape.gradient(value, position)
    if gradient is None:
        raise SamplingError("the log density does not depend on the position.")
    return value, gradient


class Point(NamedTuple):
    """A point of a trajectory, and what the next step from it needs; all (chains, dimensions).

    Attributes
    ----------
    position
    velocity : inverse mass matrix times the momentum
    gradient : of the log density
    force : `Metric.force`
    """

    position: tf.Tensor
    velocity: tf.Tensor
    gradient: tf.Tensor
    force: tf.Tensor

    @classmethod
    def begin(cls, state: State, momentum: tf.Tensor, metric: Metric) -> Point:
        """Where a trajectory begins, from standard normal numbers (chains, dimensions)."""
        force = metric.force(state.position, state.gradient)
        return cls(state.position, metric.spread(momentum), state.gradient, force)


def leap(
    evaluate: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    point: Point,
    step: tf.Tensor,
    metric: Metric,
) -> tuple[Point, tf.Tensor]:
    """One step and the log density (chains,) there.

    Half of the force, the motion in the normal density of the metric, half of the force. The
    leapfrog has a straight line in the middle; here only what is not normal costs accuracy
    (Shahbaba, Lan, Johnson and Neal 2014, "Split Hamiltonian Monte Carlo"; Casas, Sanz-Serna and
    Shaw 2022, "Split Hamiltonian Monte Carlo revisited"). It is reversible and keeps volume as the
    leapfrog does. Velocities are carried in place of momenta: one product with the metric.

    Parameters
    ----------
    evaluate : function
        From positions to the log density and its gradient.
    step : tensor, scalar or shape (chains, 1)
        Negative for a step back.
    """
    velocity = point.velocity + 0.5 * step * point.force
    position, velocity = metric.flow(point.position, velocity, step)
    value, gradient = evaluate(position)
    force = metric.force(position, gradient)
    return Point(position, velocity + 0.5 * step * force, gradient, force), value


def transition(
    log_density: LogDensity,
    state: State,
    step_size: tf.Tensor,
    n_steps: tf.Tensor,
    metric: Metric,
    momentum: tf.Tensor,
    log_uniform: tf.Tensor,
    data: Any,
) -> tuple[State, dict[str, tf.Tensor]]:
    """One HMC transition of every chain (Neal 2011, figure 2), with steps of `leap`.

    Parameters
    ----------
    momentum : tensor, shape (chains, dimensions)
        Standard normal numbers.
    log_uniform : tensor, shape (chains,)

    Returns
    -------
    State
        The accepted or repeated state of each chain.
    dict
        ``energy``, ``acceptance_rate``, ``diverging`` and ``nonfinite``, each (chains,).
    """
    numbers = log_uniform.shape[0] * sum(x.shape.num_elements() for x in tf.nest.flatten(data))
    everywhere = 0 < numbers <= FEW_NUMBERS  # without data it is not known what a value costs

    def evaluate(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return value_and_gradient(log_density, position, data)

    def advance(i: tf.Tensor, point: Point, value: tf.Tensor) -> tuple[tf.Tensor, ...]:
        point, there = leap(evaluate, point, step_size, metric)
        return i + 1, point, there if everywhere else value

    _, end, value = tf.while_loop(
        lambda i, *_: i < n_steps,
        advance,
        (tf.constant(0), Point.begin(state, momentum, metric), state.log_density),
        parallel_iterations=1,
    )
    # A value is needed at the end only, and costs more than the gradient for many likelihoods.
    value = value if everywhere else log_density(end.position, data)
    new = State(end.position, value, end.gradient)
    energy_before = 0.5 * tf.reduce_sum(momentum**2, -1) - state.log_density
    energy_after = 0.5 * tf.reduce_sum(metric.whiten(end.velocity) ** 2, -1) - new.log_density
    log_ratio = energy_before - energy_after
    # A trajectory that meets NaN is rejected; where a gradient is not finite, no velocity is.
    finite = tf.math.is_finite(log_ratio)
    log_ratio = tf.where(finite, log_ratio, tf.constant(-np.inf, log_ratio.dtype))
    accept = log_uniform < log_ratio

    def choose(new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
        return tf.where(accept if new.shape.rank == 1 else accept[:, tf.newaxis], new, old)

    return State(*(choose(n, o) for n, o in zip(new, state, strict=True))), {
        "energy": choose(energy_after, energy_before),
        "acceptance_rate": tf.exp(tf.minimum(log_ratio, tf.zeros_like(log_ratio))),
        "diverging": log_ratio < -DIVERGENCE,
        "nonfinite": ~finite,
    }


def update_step_size(step: StepSize, acceptance: tf.Tensor, target: tf.Tensor) -> StepSize:
    """One update of dual averaging with the mean acceptance of all chains."""
    count = step.count + 1.0
    error = step.error + (target - acceptance - step.error) / (count + T0)
    pace = tf.sqrt(count) / GAMMA
    log_step = tf.minimum(step.shrink_to - error * pace, np.log(LONGEST_STEP))
    error = (step.shrink_to - log_step) / pace  # or steps could not get shorter for long
    weight = count**-KAPPA
    average = weight * log_step + (1.0 - weight) * step.log_average
    return StepSize(log_step, average, error, count, step.shrink_to)


def jittered_transition(
    log_density: LogDensity,
    state: State,
    step_size: tf.Tensor,
    tuning: Tuning,
    noise: Noise,
    data: Any,
) -> tuple[State, dict[str, tf.Tensor]]:
    """A `transition` whose step size and number of steps are random; for `Sampler`."""
    step_size = step_size * (1.0 - STEP_JITTER * noise.jitter[1])
    length = (1.0 + LENGTH_JITTER * (2.0 * noise.jitter[0] - 1.0)) * tuning.trajectory_length
    # Bounded before the cast: a tiny step in early warm-up would overflow int32.
    n_steps = tf.clip_by_value(
        tf.math.ceil(length / step_size),
        tf.ones_like(length),
        tf.cast(tuning.max_steps, length.dtype),
    )
    n_steps = tf.cast(n_steps, tf.int32)
    state, info = transition(
        log_density, state, step_size, n_steps, tuning.metric, noise.momentum, noise.accept, data
    )
    return state, info | {"step_size": step_size, "n_steps": n_steps}


HMC = Sampler(draw_noise, jittered_transition)
"""Trajectories of a jittered length that all chains have in common."""


@lru_cache(maxsize=32)
def block_program(
    log_density: LogDensity, capacity: int, sampler: Sampler = HMC
) -> Callable[..., Any]:
    """The compiled block of one log density.

    Parameters
    ----------
    log_density : LogDensity
        Also the key of the cache: the same function gives the same program, and the program is
        compiled once per set of shapes.
    capacity : int
        Most transitions in one call.
    sampler : Sampler

    Returns
    -------
    function
        ``(state, step, tuning, noise, data) -> (state, step, transitions)``; of the transitions
        only the first ``tuning.count`` have meaning.
    """

    @compiled
    def block(
        state: State, step: StepSize, tuning: Tuning, noise: Any, data: Any
    ) -> tuple[State, StepSize, Transitions]:
        def one(
            i: tf.Tensor, state: State, step: StepSize, out: tuple[tf.TensorArray, ...]
        ) -> tuple[Any, ...]:
            state, info = sampler.transition(
                log_density,
                state,
                tf.exp(step.log_step),
                tuning,
                tf.nest.map_structure(lambda x: tf.gather(x, i), noise),
                data,
            )
            adapted = update_step_size(
                step, tf.reduce_mean(info["acceptance_rate"]), tuning.target_accept
            )
            step = StepSize(
                *(tf.where(tuning.adapt, new, old) for new, old in zip(adapted, step, strict=True))
            )
            info["lp"] = state.log_density
            dtype, chains = state.position.dtype, state.log_density.shape
            numbers = [tf.broadcast_to(tf.cast(info[n], dtype), chains) for n in STATISTICS]
            row = Transitions(state.position, state.gradient, tf.stack(numbers))
            return i + 1, state, step, tuple(a.write(i, v) for a, v in zip(out, row, strict=True))

        chains, dimensions = state.position.shape
        shapes = (chains, dimensions), (chains, dimensions), (len(STATISTICS), chains)
        out = tuple(
            tf.TensorArray(state.position.dtype, size=capacity, element_shape=s) for s in shapes
        )
        _, state, step, out = tf.while_loop(
            lambda i, *_: i < tuning.count,
            one,
            (tf.constant(0), state, step, out),
            parallel_iterations=1,
        )
        return state, step, Transitions(*(a.stack() for a in out))

    return block
