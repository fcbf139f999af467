"""The runner: many compiled blocks, one small loop on the host."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hiermod.errors import SamplingError
from hiermod.inference.adaptation import Window, largest_scale, pooled_scale, rough_scale, windows
from hiermod.inference.hmc import (
    LogDensity,
    State,
    StepSize,
    Transitions,
    Tuning,
    block_program,
    draw_noise,
    value_and_gradient,
)
from hiermod.inference.progress import Progress, Report

FloatArray = NDArray[np.float64]

BLOCK = 25
"""Transitions in one compiled block: short enough to watch and to interrupt."""

STATISTICS = ("lp", "energy", "acceptance_rate", "diverging", "step_size", "n_steps")


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes
    ----------
    warmup, draws : int
        Transitions of each chain before and after adaptation ends.
    target_accept : float
        Mean acceptance that the step size is adapted to, in (0, 1).
    seed : int
    max_steps : int
        Most leapfrog steps of a transition.
    """

    warmup: int = 500
    draws: int = 1000
    target_accept: float = 0.8
    seed: int = 0
    max_steps: int = 1000

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 < self.target_accept < 1:
            raise SamplingError(f"target_accept must be between 0 and 1, not {self.target_accept}.")
        for name, least in (("warmup", 20), ("draws", 1), ("max_steps", 1), ("seed", 0)):
            check_whole(name, getattr(self, name), least)


def check_whole(name: str, value: Any, least: int) -> None:
    """Refuse what is not a whole number of at least `least`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise SamplingError(f"{name} must be a whole number, at least {least}, not {value!r}.")


@dataclass(frozen=True)
class Draws:
    """What a run returns.

    Attributes
    ----------
    position : float64 array, shape (chains, draws, dimensions)
        Unconstrained positions.
    statistics : dict of array, shape (chains, draws)
        ``lp`` (log density in the unconstrained space), ``energy``, ``acceptance_rate``,
        ``diverging``, ``step_size``, ``n_steps`` (leapfrog steps, one gradient each).
    settings : Settings
    scale : float64 array, shape (dimensions,)
        Standard deviations that make up the adapted diagonal metric.
    trajectory_length : float
        Mean length of a trajectory, in units of the scaled space.
    seconds : float
        Wall time of the run, compilation included.
    interrupted : bool
        Whether the run was ended early; the draws until then are here.
    """

    position: FloatArray
    statistics: dict[str, NDArray[Any]]
    settings: Settings
    scale: FloatArray
    trajectory_length: float
    seconds: float
    interrupted: bool = False


def start_positions(
    log_density: LogDensity,
    data: Any,
    centre: FloatArray,
    chains: int,
    seed: int,
    scale: FloatArray | None = None,
    explain: Callable[[FloatArray], str] | None = None,
) -> FloatArray:
    """Positions, one a chain, where the density and its gradient are finite.

    Uniform within half of `scale` around `centre` in every dimension; a chain that meets an
    infinite density tries again, nearer by half, ten times.

    Parameters
    ----------
    log_density : LogDensity
    data : nest of tensors
    centre : array, shape (dimensions,)
    chains, seed : int
    scale : array, shape (dimensions,), optional
        One where it is not given.
    explain : function, optional
        ``explain(position (dimensions,))`` tells which part of the model is not finite.

    Returns
    -------
    array, shape (chains, dimensions)

    Raises
    ------
    SamplingError
        If a chain found no finite start, or `chains` is no number of chains.
    """
    check_whole("chains", chains, 1)
    generator = np.random.default_rng([seed, 0])
    radius = 0.5 * (np.ones(len(centre)) if scale is None else scale)
    positions = centre + radius * generator.uniform(-1, 1, (chains, len(centre)))
    for _ in range(10):
        value, gradient = value_and_gradient(log_density, tf.constant(positions), data)
        if gradient is None:
            raise SamplingError("the log density does not depend on the position.")
        bad = ~(np.isfinite(value.numpy()) & np.isfinite(gradient.numpy()).all(-1))
        if not bad.any():
            return positions
        radius = radius / 2
        fresh = centre + radius * generator.uniform(-1, 1, positions.shape)
        positions = np.where(bad[:, None], fresh, positions)
    where = f" {explain(positions[bad.argmax()])}" if explain else ""
    raise SamplingError(
        f"the log density or its gradient is not finite at the start of {bad.sum()} of {chains} "
        f"chains.{where}"
    )


def _start_step(log_step: float, shrink: float) -> StepSize:
    """Dual averaging at its beginning, pulled to a step `shrink` times as long."""
    return StepSize(
        *(
            tf.constant(v, tf.float64)
            for v in (log_step, log_step, 0.0, 0.0, log_step + np.log(shrink))
        )
    )


class _Run:
    """The mutable side of a run: the state of the chains and of the adaptation."""

    def __init__(
        self,
        log_density: LogDensity,
        data: Any,
        start: FloatArray,
        scale: FloatArray | None,
        settings: Settings,
    ) -> None:
        self.chains, self.dimensions = start.shape
        self.program, self.data, self.settings = block_program(log_density, BLOCK), data, settings
        position = tf.constant(start, tf.float64)
        self.state = State(position, *value_and_gradient(log_density, position, data))
        self.step = _start_step(np.log(0.1), 10.0)
        self.unit = np.ones(self.dimensions) if scale is None else scale
        self.scale = self.unit
        self.length = np.pi / 2
        self.blocks = 0

    def block(self, count: int, *, adapt: bool, max_steps: int) -> dict[str, NDArray[Any]]:
        """Run `count` transitions; arrays of shape (count, chains, ...)."""
        self.blocks += 1
        # A generator of its own for each block: the draws depend on the seed and the block alone.
        generator = np.random.default_rng([self.settings.seed, self.blocks])
        tuning = Tuning(
            tf.constant(self.scale),
            tf.constant(self.length, tf.float64),
            tf.constant(self.settings.target_accept, tf.float64),
            tf.constant(max_steps),
            tf.constant(adapt),
            tf.constant(count),
        )
        noise = draw_noise(generator, BLOCK, self.chains, self.dimensions)
        self.state, self.step, rows = self.program(self.state, self.step, tuning, noise, self.data)
        out = {name: v.numpy()[:count] for name, v in zip(Transitions._fields, rows, strict=True)}
        for name in ("step_size", "n_steps"):  # common to the chains
            out[name] = np.repeat(out[name][:, None], self.chains, axis=1)
        return out

    def learn(self, window: Window, draws: FloatArray, gradients: FloatArray) -> None:
        """Take what a window of warm-up taught; arrays of shape (draws, chains, dimensions)."""
        if window.metric == "rough":
            # The first half is on the way to the bulk.
            half = len(draws) // 2
            self.scale = rough_scale(draws[half:], gradients[half:])
        elif window.metric == "full":
            self.scale = pooled_scale(draws, self.unit)
            self.length = np.pi / 2 * largest_scale(draws, self.scale)
        if window.metric:
            self.step = _start_step(float(self.step.log_average), 2.0)

    def settle(self) -> None:
        """End adaptation: from here on the averaged step size, fixed."""
        self.step = self.step._replace(log_step=self.step.log_average)


def run(
    log_density: LogDensity,
    start: FloatArray,
    settings: Settings,
    data: Any = (),
    scale: FloatArray | None = None,
    report: Report | None = None,
) -> Draws:
    """Adapt, then draw.

    Parameters
    ----------
    log_density : LogDensity
        ``log_density(position, data)``, (chains, dimensions) to (chains,), in unconstrained space.
    start : array, shape (chains, dimensions)
    settings : Settings
    data : nest of tensors
        Reach `log_density` as its second argument; other data of the same shapes compile nothing.
    scale : array, shape (dimensions,), optional
        Standard deviations to begin with, before any are learned; ones where not given.
    report : function, optional
        Called with `Progress` after every block.

    Returns
    -------
    Draws
        An interrupt (Ctrl-C) after warm-up ends the run and keeps the draws so far.

    Raises
    ------
    KeyboardInterrupt
        If interrupted during warm-up, before there is any draw.
    """
    begin, job, kept = time.perf_counter(), _Run(log_density, data, start, scale, settings), []
    total, done, divergences = settings.warmup + settings.draws, 0, 0

    def stretch(length: int, phase: str, max_steps: int) -> Any:
        nonlocal done, divergences
        for first in range(0, length, BLOCK):
            rows = job.block(
                min(BLOCK, length - first), adapt=phase == "warmup", max_steps=max_steps
            )
            done += len(rows["lp"])
            divergences += 0 if phase == "warmup" else int(rows["diverging"].sum())
            if report:
                step_size = float(rows["step_size"][-1, 0])
                report(Progress(phase, done, total, divergences, step_size))
            yield rows

    for i, window in enumerate(windows(settings.warmup)):
        # With a poor metric long trajectories are dear and teach little: they may double in every
        # window.
        limit = min(32 * 2**i, settings.max_steps)
        rows = list(stretch(window.length, "warmup", limit))
        draws, gradients = (np.concatenate([r[k] for r in rows]) for k in ("position", "gradient"))
        job.learn(window, draws, gradients)
    job.settle()
    interrupted = False
    try:
        for rows in stretch(settings.draws, "draws", settings.max_steps):
            del rows["gradient"]
            kept.append(rows)
    except KeyboardInterrupt:
        if not kept:
            raise
        interrupted = True
    by_chain = {
        name: np.concatenate([rows[name] for rows in kept]).swapaxes(0, 1) for name in kept[0]
    }
    return Draws(
        position=by_chain.pop("position"),
        statistics=by_chain,
        settings=settings,
        scale=job.scale,
        trajectory_length=job.length,
        seconds=time.perf_counter() - begin,
        interrupted=interrupted,
    )
