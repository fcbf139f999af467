"""The No-U-Turn Sampler: every chain finds the length of each trajectory by itself.

Trees are built leaf by leaf, without recursion, as in NumPyro (Phan, Pradhan and Jankowiak 2019,
"Composable effects for flexible and accelerated probabilistic programming in NumPyro"; Lao and
Dillon 2019, "Unrolled implementation of No-U-Turn Sampler"). All chains build the same doubling at
the same time: a chain whose tree is complete waits for the longest one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from hiermod.inference.hmc import (
    DIVERGENCE,
    LogDensity,
    Point,
    Sampler,
    State,
    Tuning,
    leap,
    value_and_gradient,
)

MAX_DEPTH = 10
"""Most doublings of a tree, as in Stan: 1023 steps."""


Marks = tuple[tf.TensorArray, tf.TensorArray]
"""Positions and momenta, each (chains, dimensions), at the first leaves of open subtrees."""


class Noise(NamedTuple):
    """Random numbers of one block.

    Attributes
    ----------
    momentum : (capacity, chains, dimensions), standard normal
    tree : (capacity, `MAX_DEPTH`, 3, chains), uniform in (0, 1); of each doubling: its direction,
        which of its leaves it proposes, and whether the tree takes that one
    """

    momentum: tf.Tensor
    tree: tf.Tensor


class Proposal(NamedTuple):
    """The point that stands for a tree, drawn from its points in proportion to their density.

    Attributes
    ----------
    state : State
    energy : (chains,)
    log_weight : (chains,), log of the sum over the tree of ``exp(energy at the start - energy)``
    """

    state: State
    energy: tf.Tensor
    log_weight: tf.Tensor


class Counts(NamedTuple):
    """What is counted over the leaves of a tree; all (chains,).

    Attributes
    ----------
    acceptance : sum over leaves of the probability that Metropolis would take them
    n_steps : int32
    diverging, nonfinite : bool
    """

    acceptance: tf.Tensor
    n_steps: tf.Tensor
    diverging: tf.Tensor
    nonfinite: tf.Tensor


def draw_noise(
    generator: np.random.Generator, capacity: int, chains: int, dimensions: int
) -> Noise:
    """Random numbers for one block, from a NumPy generator."""
    return Noise(
        momentum=tf.constant(generator.standard_normal((capacity, chains, dimensions))),
        tree=tf.constant(generator.random((capacity, MAX_DEPTH, 3, chains))),
    )


def choose(condition: tf.Tensor, new: Any, old: Any) -> Any:
    """One of two nests of tensors, chain by chain."""

    def one(n: tf.Tensor, o: tf.Tensor) -> tf.Tensor:
        return tf.where(condition if n.shape.rank == 1 else condition[:, tf.newaxis], n, o)

    return tf.nest.map_structure(one, new, old)


def turning(displacement: tf.Tensor, *momenta: tf.Tensor) -> tf.Tensor:
    """Whether going on would bring the ends of a trajectory nearer (chains,).

    Hoffman and Gelman (2014), equation 9, which for a constant metric is the generalised criterion
    of Betancourt (2017), appendix A.4.2, with velocities summed step by step.

    Parameters
    ----------
    displacement : tensor, shape (chains, dimensions)
        From the earlier end to the later one.
    momenta : tensor, shape (chains, dimensions)
        At both ends.
    """
    ends = [tf.reduce_sum(displacement * p, -1) <= 0 for p in momenta]
    return tf.reduce_any(ends, 0)


def with_leaf(
    proposal: Proposal, uniform: tf.Tensor, leaf: State, energy: tf.Tensor, log_ratio: tf.Tensor
) -> tuple[Proposal, tf.Tensor]:
    """The proposal of a subtree that has grown by a leaf, and a uniform number for the next.

    The leaf takes the place of the earlier ones with the probability of its share of the weight.
    What the decision leaves of the uniform number is uniform again.
    """
    log_weight = tf.reduce_logsumexp([proposal.log_weight, log_ratio], 0)
    share = tf.exp(log_ratio - log_weight)
    take = uniform < share
    uniform = tf.where(take, uniform / share, (uniform - share) / (1.0 - share))
    state, energy = choose(take, (leaf, energy), (proposal.state, proposal.energy))
    return Proposal(state, energy, log_weight), uniform


def with_subtree(tree: Proposal, new: Proposal, uniform: tf.Tensor) -> Proposal:
    """The proposal of a tree that has grown by a subtree, which is preferred to its old half."""
    take = uniform < tf.exp(new.log_weight - tree.log_weight)
    state, energy = choose(take, (new.state, new.energy), (tree.state, tree.energy))
    log_weight = tf.reduce_logsumexp([tree.log_weight, new.log_weight], 0)
    return Proposal(state, energy, log_weight)


def look_back(
    marks: Marks, leaf: tf.Tensor, position: tf.Tensor, momentum: tf.Tensor, step: tf.Tensor
) -> tuple[Marks, tf.Tensor]:
    """The marks with a leaf of this number; and whether a subtree that it completes has turned.

    Leaves 2 k are the first ones of subtrees, and have a mark until the last of these is complete:
    the mark of as many binary digits 1 as k has. An odd leaf completes as many subtrees as its
    number has digits 1 at the end.
    """

    def ones(number: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.raw_ops.PopulationCount(x=number), tf.int32)

    mark = ones(leaf // 2)
    completed = ones(tf.bitwise.bitwise_xor(leaf, leaf + 1)) - 1
    place = tf.where(completed == 0, mark, MAX_DEPTH)  # the last place is for odd leaves, not read
    positions, momenta = marks[0].write(place, position), marks[1].write(place, momentum)

    def look(i: tf.Tensor, turned: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        displacement = tf.sign(step) * (position - positions.read(i))
        return i - 1, turned | turning(displacement, momenta.read(i), momentum)

    _, turned = tf.while_loop(
        lambda i, _: i > mark - completed,
        look,
        (mark, tf.zeros(position.shape[:1], tf.bool)),
        parallel_iterations=1,
    )
    return (positions, momenta), turned


class Doubling(NamedTuple):
    """The new half of a tree, while it grows.

    Attributes
    ----------
    leaf : int32 scalar, number of the next leaf, from 0
    alive : (chains,), bool, whether the leaf is wanted: nothing has turned or diverged yet
    point : Point, the last leaf
    proposal : Proposal
    uniform : (chains,), uniform in (0, 1)
    counts : Counts, of the whole tree
    marks : Marks
    """

    leaf: tf.Tensor
    alive: tf.Tensor
    point: Point
    proposal: Proposal
    uniform: tf.Tensor
    counts: Counts
    marks: Marks


def transition(
    log_density: LogDensity,
    state: State,
    step_size: tf.Tensor,
    tuning: Tuning,
    noise: Noise,
    data: Any,
) -> tuple[State, dict[str, tf.Tensor]]:
    """One NUTS transition of every chain, with multinomial sampling of its trajectory.

    Betancourt (2017), "A conceptual introduction to Hamiltonian Monte Carlo", appendix A.3.

    Parameters
    ----------
    noise : Noise
        Of one transition, without the axis of the capacity.

    Returns
    -------
    State
        The chosen state of each chain.
    dict
        ``energy``, ``acceptance_rate``, ``diverging``, ``nonfinite`` and ``n_steps``, each
        (chains,), and ``step_size``.
    """
    metric = tuning.metric
    chains, dimensions = state.position.shape
    start_energy = 0.5 * tf.reduce_sum(noise.momentum**2, -1) - state.log_density

    def evaluate(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return value_and_gradient(log_density, position, data)

    def grow(step: tf.Tensor, d: Doubling) -> Doubling:
        """One more leaf."""
        point, value = leap(evaluate, d.point, step, metric)
        momentum = metric.momentum(point.velocity)
        energy = 0.5 * tf.reduce_sum(momentum * point.velocity, -1) - value
        log_ratio = start_energy - energy
        # A point that meets NaN ends the trajectory; its gradient is in the velocity.
        finite = tf.math.is_finite(log_ratio)
        log_ratio = tf.where(finite, log_ratio, tf.constant(-np.inf, log_ratio.dtype))
        diverging = log_ratio < -DIVERGENCE
        counts = Counts(
            d.counts.acceptance + tf.exp(tf.minimum(log_ratio, tf.zeros_like(log_ratio))),
            d.counts.n_steps + 1,
            diverging,
            ~finite,
        )
        leaf = State(point.position, value, point.gradient)
        proposal, uniform = with_leaf(d.proposal, d.uniform, leaf, energy, log_ratio)
        marks, turned = look_back(d.marks, d.leaf, point.position, momentum, step)
        return Doubling(
            d.leaf + 1,
            d.alive & ~diverging & ~turned,
            point,
            proposal,
            uniform,
            choose(d.alive, counts, d.counts),
            marks,
        )

    def double(
        depth: tf.Tensor,
        active: tf.Tensor,
        left: Point,
        right: Point,
        tree: Proposal,
        counts: Counts,
        marks: Any,
    ) -> tuple[Any, ...]:
        """As many leaves again, at one end of the tree."""
        direction, uniform, merge = tf.unstack(tf.gather(noise.tree, depth))
        forward = direction < 0.5
        step = tf.where(forward, step_size, -step_size)[:, tf.newaxis]
        nothing = tree._replace(log_weight=tf.fill([chains], tf.constant(-np.inf, step.dtype)))
        begun = Doubling(
            tf.constant(0), active, choose(forward, right, left), nothing, uniform, counts, marks
        )
        (done,) = tf.while_loop(
            lambda d: (d.leaf < tf.bitwise.left_shift(1, depth)) & tf.reduce_any(d.alive),
            lambda d: (grow(step, d),),
            (begun,),
            parallel_iterations=1,
        )
        # A chain that is not alive keeps its tree, and needs no ends any more.
        left, right = choose(forward, left, done.point), choose(forward, done.point, right)
        tree = choose(done.alive, with_subtree(tree, done.proposal, merge), tree)
        ends = (metric.momentum(end.velocity) for end in (left, right))
        turned = turning(right.position - left.position, *ends)
        return depth + 1, done.alive & ~turned, left, right, tree, done.counts, done.marks

    start = Point.begin(state, noise.momentum, metric)
    zero = tf.zeros([chains], state.position.dtype)
    marks = tuple(
        tf.TensorArray(
            state.position.dtype,
            size=MAX_DEPTH + 1,
            element_shape=(chains, dimensions),
            clear_after_read=False,
        )
        for _ in range(2)
    )
    _, _, _, _, tree, counts, _ = tf.while_loop(
        lambda depth, active, *_: (
            (depth < MAX_DEPTH)
            & (tf.bitwise.left_shift(2, depth) - 1 <= tuning.max_steps)
            & tf.reduce_any(active)
        ),
        double,
        (
            tf.constant(0),
            tf.ones([chains], tf.bool),
            start,
            start,
            Proposal(state, start_energy, zero),
            Counts(zero, tf.zeros([chains], tf.int32), *2 * [tf.zeros([chains], tf.bool)]),
            marks,
        ),
        parallel_iterations=1,
    )
    return tree.state, {
        "energy": tree.energy,
        "acceptance_rate": counts.acceptance / tf.cast(counts.n_steps, zero.dtype),
        "diverging": counts.diverging,
        "nonfinite": counts.nonfinite,
        "step_size": step_size,
        "n_steps": counts.n_steps,
    }


NUTS = Sampler(draw_noise, transition)
"""Trajectories that end where they would turn back, chain by chain."""
