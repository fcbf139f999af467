"""Trajectories that met a density that is not finite, run again to see where.

The compiled block only marks such transitions, which costs nothing. A transition is decided by its
start, its random numbers, its step size and the metric, all of which the host knows: so one of them
is run again here, step by step, to the first position that is not finite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hiermod.inference.hmc import (
    DIVERGENCE,
    LogDensity,
    Metric,
    Point,
    State,
    leap,
    value_and_gradient,
)

FloatArray = NDArray[np.float64]

TRIES = 4
"""Most transitions that a run looks at again; each costs as much as it did the first time."""


@dataclass(frozen=True)
class Nonfinite:
    """What a run tells of densities that were not finite.

    Attributes
    ----------
    count : int
        Draws whose trajectory was rejected for it, all chains.
    first : str
        Which part of the model was not finite in the first of them, and at what values; empty if
        that is not known.
    """

    count: int
    first: str


@dataclass(frozen=True)
class Retraced:
    """What a trajectory met.

    Attributes
    ----------
    position : array, shape (dimensions,), or None
        The first one whose log density or gradient is not finite. None after a divergence, and if
        there was no such position, since rounding can lead a trajectory elsewhere.
    diverged : bool
        Whether the trajectory diverged before it met any: then it got there because its step was
        too long, and the density there is not to blame.
    """

    position: FloatArray | None
    diverged: bool


@lru_cache(maxsize=8)
def _stepwise(log_density: LogDensity) -> Callable[..., Any]:
    """Value and gradient of one chain, as a graph, which is made faster than a program of XLA."""
    return tf.function(
        lambda position, data: value_and_gradient(log_density, position, data), autograph=False
    )


def retrace(
    log_density: LogDensity,
    start: FloatArray,
    momentum: FloatArray,
    step_size: float,
    n_steps: int,
    metric: Metric,
    data: Any,
) -> Retraced:
    """Follow one trajectory to where the density or its gradient is not finite.

    Parameters
    ----------
    log_density : LogDensity
    start : array, shape (dimensions,)
    momentum : array, shape (dimensions,)
        The standard normal numbers of the transition; with their signs changed, the way back.
    step_size : float
    n_steps : int
    metric : Metric
    data : nest of tensors

    Returns
    -------
    Retraced
    """
    step = tf.constant(step_size, tf.float64)
    position = tf.constant(start[None])
    evaluate = _stepwise(log_density)
    state = State(position, *evaluate(position, data))
    point, value = Point.begin(state, tf.constant(momentum[None]), metric), state.log_density

    def energy() -> float:
        return float(0.5 * np.sum(np.square(metric.whiten(point.velocity))) - value[0])

    limit = energy() + DIVERGENCE
    for _ in range(n_steps):
        point, value = leap(lambda q: evaluate(q, data), point, step, metric)
        if not (np.isfinite(value[0]) and np.isfinite(point.gradient).all()):
            return Retraced(point.position[0].numpy(), diverged=False)
        if energy() > limit:
            return Retraced(None, diverged=True)
    return Retraced(None, diverged=False)
