"""The runner: many compiled blocks, one small loop on the host."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hiermod.errors import SamplingError, did_you_mean
from hiermod.inference.adaptation import (
    directions,
    flat_directions,
    pooled_scale,
    rough_scale,
    windows,
)
from hiermod.inference.checkpoint import Checkpoint, read
from hiermod.inference.diagnostics import diagnose, split_r_hat
from hiermod.inference.hmc import (
    HMC,
    LogDensity,
    Metric,
    State,
    StepSize,
    Tuning,
    block_program,
    value_and_gradient,
)
from hiermod.inference.nuts import NUTS
from hiermod.inference.progress import Progress, Report
from hiermod.inference.replay import TRIES, Nonfinite, retrace
from hiermod.inference.threads import workers

FloatArray = NDArray[np.float64]

BLOCK = 25
"""Transitions in one compiled block: short enough to watch and to interrupt."""

QUICK_BLOCK, QUICK = 100, 50_000
"""Transitions in a block of a quick model, and its size: numbers that all chains read for a
gradient. There, calling a block takes as long as a block of `BLOCK`."""

SIDE_BY_SIDE = 20_000, 500_000
"""Sizes of a model between which the chains run in two groups, each in a thread. Smaller ones are
over too soon, and in larger ones XLA itself shares every gradient out among the cores."""

UNKNOWN = np.float64(-1e300)
"""Log density of a state that was not evaluated: every finite one is higher."""

RANK = 16
"""Directions beside the axes that the metric knows."""

FIRST_STEPS = 8
"""Most steps of a trajectory in the first window of warm-up."""

MANY_DIMENSIONS = 500
"""Dimensions beyond which scales and directions come from gradients."""

MANY_CHAINS = 32
"""Number of chains from which on they are grouped into superchains, for nested R-hat."""

SAMPLERS = {"hmc": HMC, "nuts": NUTS}

Explain = Callable[[FloatArray], str]
"""From a position (dimensions,) to which part of the model is not finite there."""


Check = Literal["nothing", "value", "gradient"]
"""What is to be finite where a chain starts: of the density its value, or its gradient too."""


class Start(Protocol):
    """Where the chains start, and what is to be finite there."""

    def __call__(self, *, check: Check) -> FloatArray:
        """A position of every chain, as `start_positions` gives it."""


Quantities = Callable[[FloatArray], FloatArray]
"""From positions (chains, draws, dimensions) to what users see of them (chains, draws, ...)."""


@dataclass(frozen=True)
class Until:
    """When there are draws enough.

    Attributes
    ----------
    ess : float
        Bulk and tail effective sample size that every quantity must reach.
    r_hat : float
        R-hat that every quantity must stay below.
    """

    ess: float
    r_hat: float = 1.01

    @classmethod
    def parse(cls, text: str) -> Until:
        """From text such as ``"ess >= 400"`` or ``"ess >= 400 and r_hat < 1.005"``.

        Examples
        --------
        >>> Until.parse("ess >= 400")
        Until(ess=400.0, r_hat=1.01)
        """
        number = r"(\d+(?:\.\d*)?(?:e\d+)?)"
        form = rf"\s*ess\s*>=?\s*{number}\s*(?:and\s+r_hat\s*<=?\s*{number}\s*)?"
        found = re.fullmatch(form, text) if isinstance(text, str) else None
        if not found:
            raise SamplingError(
                f'until must be text such as "ess >= 400" or "ess >= 400 and r_hat < 1.005", '
                f"not {text!r}."
            )
        ess, r_hat = found.groups()
        out = cls(float(ess)) if r_hat is None else cls(float(ess), float(r_hat))
        if out.r_hat <= 1:
            raise SamplingError(f"r_hat is never below 1: until={text!r} cannot be reached.")
        return out

    def met(self, ess: float, r_hat: float) -> bool:
        """Whether these are enough; NaN is not."""
        return ess >= self.ess and r_hat < self.r_hat


def worst(draws: FloatArray, superchains: int | None) -> tuple[float, float]:
    """Least ESS, bulk or tail, and largest R-hat; what never moves does not count, NaN of none."""
    found = diagnose(draws, superchains)
    if not np.isfinite(found["r_hat"]).any():
        return np.nan, np.nan
    least = min(np.nanmin(found["ess_bulk"]), np.nanmin(found["ess_tail"]))
    return float(least), float(np.nanmax(found["r_hat"]))


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes
    ----------
    warmup, draws : int
        Transitions of each chain before and after adaptation ends; with `until`, the most draws.
    target_accept : float
        Mean acceptance that the step size is adapted to, in (0, 1).
    seed : int
    max_steps : int
        Most steps of a transition; a tree of NUTS has at most log2(max_steps + 1)
        doublings, 10 of them.
    keep_warmup : bool
        Whether the transitions of warm-up are returned too.
    until : str, optional
        When to stop before `draws`: see `Until`.
    max_seconds : float, optional
        Stop when the run took that long; warm-up is always finished.
    sampler : str
        ``"hmc"`` or ``"nuts"``.
    """

    warmup: int = 500
    draws: int = 1000
    target_accept: float = 0.8
    seed: int = 0
    max_steps: int = 1023
    keep_warmup: bool = False
    until: str | None = None
    max_seconds: float | None = None
    sampler: str = "hmc"

    def __post_init__(self) -> None:
        """Check the values."""
        if self.sampler not in [*SAMPLERS]:
            raise SamplingError(
                f"unknown sampler {self.sampler!r}. {did_you_mean(str(self.sampler), SAMPLERS)}"
            )
        if not 0 < self.target_accept < 1:
            raise SamplingError(f"target_accept must be between 0 and 1, not {self.target_accept}.")
        for name, least in (("warmup", 20), ("draws", 1), ("max_steps", 1), ("seed", 0)):
            check_whole(name, getattr(self, name), least)
        if self.until is not None:
            Until.parse(self.until)
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise SamplingError(f"max_seconds must be positive, not {self.max_seconds!r}.")


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
        ``diverging``, ``step_size``, ``n_steps`` (one gradient each); of NUTS
        ``tree_depth`` too (doublings, the one that ended the tree included).
    settings : Settings
    metric : tuple of float64 array
        The adapted `Metric`: scale (dimensions,), vectors (dimensions, rank), values (rank,),
        centre (dimensions,).
    trajectory_length : float
        Mean length of a trajectory, in units of the whitened space; NUTS does not use it.
    seconds : float
        Wall time of the run, compilation included.
    interrupted : bool
        Whether the run was ended early; the draws until then are here.
    superchains : int or None
        Number of groups of consecutive chains that had a starting point in common.
    warmup : tuple, optional
        Positions and statistics of warm-up, in the same form, if they were asked for.
    nonfinite : Nonfinite, optional
        Of draws whose trajectory met a density that is not finite, if any did.
    """

    position: FloatArray
    statistics: dict[str, NDArray[Any]]
    settings: Settings
    metric: tuple[FloatArray, ...]
    trajectory_length: float
    seconds: float
    interrupted: bool = False
    superchains: int | None = None
    warmup: tuple[FloatArray, dict[str, NDArray[Any]]] | None = None
    nonfinite: Nonfinite | None = None


def superchains(chains: int) -> int | None:
    """Number of superchains of so many chains: 16 if they divide evenly, else the next less.

    None for fewer than `MANY_CHAINS` chains, which all start at places of their own.

    Examples
    --------
    >>> superchains(256), superchains(4)
    (16, None)
    """
    if chains < MANY_CHAINS:
        return None
    return max((k for k in range(2, 17) if chains % k == 0), default=None)


def start_positions(
    log_density: LogDensity,
    data: Any,
    centre: FloatArray,
    chains: int,
    seed: int,
    radius: FloatArray | float = 0.5,
    explain: Explain | None = None,
    check: Check = "gradient",
) -> FloatArray:
    """A place for each chain where the density and its gradient are finite.

    Uniform within `radius` around `centre` in every dimension; a chain that meets an
    infinite density tries again, nearer by half, ten times. The chains of a superchain start at
    the same place (Margossian et al. 2021).

    Parameters
    ----------
    log_density : LogDensity
    data : nest of tensors
    centre : array, shape (dimensions,)
    chains, seed : int
    radius : float or array, shape (dimensions,)
    explain : function, optional
        ``explain(position (dimensions,))`` tells which part of the model is not finite.
    check : str
        What is to be finite: ``"nothing"``, so that the places are those tried first; the
        ``"value"`` of the density; or also its ``"gradient"``.

    Returns
    -------
    array, shape (chains, dimensions)

    Raises
    ------
    SamplingError
        If a chain found no finite start, or `chains` is no number of chains.
    """
    check_whole("chains", chains, 1)

    def finite(positions: FloatArray) -> NDArray[np.bool_]:
        """Whether what is checked is finite, at (places, dimensions)."""
        where = tf.constant(positions)
        if check == "nothing":
            return np.ones(places, bool)
        if check == "value":
            return np.isfinite(log_density(where, data))
        value, gradient = value_and_gradient(log_density, where, data)
        return np.isfinite(value) & np.isfinite(gradient).all(-1)

    places = superchains(chains) or chains
    generator = np.random.default_rng([seed, 0])
    positions, bad = np.zeros((places, len(centre))), np.ones(places, bool)
    for _ in range(10):
        fresh = centre + radius * generator.uniform(-1, 1, positions.shape)
        positions = np.where(bad[:, None], fresh, positions)
        bad = ~finite(positions)
        if not bad.any():
            return np.repeat(positions, chains // places, axis=0)
        radius = radius / 2
    where = f" {explain(positions[bad.argmax()])}" if explain else ""
    raise SamplingError(
        f"the log density or its gradient is not finite at the start, "
        f"in {bad.sum()} of {places} places tried.{where}"
    )


def _unknown(position: tf.Tensor) -> State:
    """A state at positions (chains, dimensions) that is not evaluated."""
    return State(position, tf.fill([len(position)], UNKNOWN), tf.zeros_like(position))


def _start_step(log_step: float, shrink: float) -> StepSize:
    """Dual averaging at its beginning, pulled to a step `shrink` times as long."""
    return StepSize(
        *(
            tf.constant(v, tf.float64)
            for v in (log_step, log_step, 0.0, 0.0, log_step + np.log(shrink))
        )
    )


@dataclass
class _Run:
    """The mutable side of a run; a checkpoint keeps what the caller of `run` does not give."""

    log_density: LogDensity
    data: Any
    settings: Settings
    unit: FloatArray
    state: State
    step: StepSize
    metric: tuple[FloatArray, ...]
    length: float = np.pi / 2
    blocks: int = 0
    window: int = 0
    seconds: float = 0.0
    tries: int = 0
    region: str | None = None
    ahead: tuple[int, list[Any]] | None = None
    explain: Explain | None = None
    rows: dict[str, list[dict[str, NDArray[Any]]]] = field(
        default_factory=lambda: {"window": [], "warmup": [], "draws": []}
    )

    @classmethod
    def begin(
        cls,
        log_density: LogDensity,
        data: Any,
        settings: Settings,
        start: FloatArray,
        scale: FloatArray | None,
    ) -> _Run:
        """A run at its start, positions (chains, dimensions)."""
        unit = np.ones(start.shape[1]) if scale is None else scale
        return cls(
            log_density,
            data,
            settings,
            unit,
            _unknown(tf.constant(start)),
            _start_step(np.log(0.1), 10.0),
            (unit, np.zeros((len(unit), RANK)), np.ones(RANK), start.mean(axis=0)),
        )

    @property
    def chains(self) -> int:
        """Number of chains."""
        return int(self.state.position.shape[0])

    @cached_property
    def size(self) -> int:
        """Numbers that all chains read for a gradient."""
        return self.chains * (len(self.unit) + sum(map(np.size, tf.nest.flatten(self.data))))

    @property
    def capacity(self) -> int:
        """Transitions in a block."""
        return QUICK_BLOCK if self.size <= QUICK else BLOCK

    @property
    def groups(self) -> int:
        """Groups of chains that run side by side; the draws depend on it, so not on the machine."""
        low, high = SIDE_BY_SIDE
        return 2 if low <= self.size <= high and self.chains % 2 == 0 else 1

    def count(self, *kinds: str) -> int:
        """Transitions of these kinds so far."""
        return sum(len(rows["lp"]) for kind in kinds for rows in self.rows[kind])

    def joined(self, kind: str, name: str) -> NDArray[Any]:
        """An array (chains, transitions, ...) of all rows of a kind."""
        return np.concatenate([rows[name] for rows in self.rows[kind]]).swapaxes(0, 1)

    @property
    def program(self) -> Any:
        """The compiled block."""
        return block_program(self.log_density, self.capacity, SAMPLERS[self.settings.sampler])

    def tuning(self, count: int, *, adapt: bool, max_steps: int) -> Tuning:
        """What a block is told."""
        return Tuning(
            Metric(*(tf.constant(x) for x in self.metric)),
            tf.constant(self.length, tf.float64),
            tf.constant(self.settings.target_accept, tf.float64),
            tf.constant(max_steps),
            tf.constant(adapt),
            tf.constant(count),
        )

    def noise(self, block: int) -> list[Any]:
        """Random numbers of a block, for every group of chains."""
        if self.ahead is None or self.ahead[0] != block:
            size, draw = self.chains // self.groups, SAMPLERS[self.settings.sampler].draw_noise
            # Generators of their own: the draws depend on the seed, the block and the group alone.
            seeds = [[self.settings.seed, block + 1, group] for group in range(self.groups)]
            generators = map(np.random.default_rng, seeds)
            found = [draw(g, self.capacity, size, len(self.unit)) for g in generators]
            self.ahead = block, found
        return self.ahead[1]

    def parts(self) -> list[tuple[State, Any]]:
        """State of every group of chains, and its random numbers for the next block."""
        size = self.chains // self.groups
        cut = [slice(g * size, (g + 1) * size) for g in range(self.groups)]
        states = [State(*(x[own] for x in self.state)) for own in cut]
        return list(zip(states, self.noise(self.blocks), strict=True))

    def evaluate(self, position: tf.Tensor, noise: Any) -> tuple[State, bool]:
        """States at positions (chains of a group, dimensions), and whether all are finite.

        The block does it, by one transition of no length: it is compiled, or will be needed.
        """
        tuning = self.tuning(1, adapt=False, max_steps=1)
        still = _start_step(-np.inf, 1.0)
        state, _, done = self.program(_unknown(position), still, tuning, noise, self.data)
        return state, not done.rows(1)["nonfinite"].any()

    def settle(self) -> bool:
        """Evaluate the density at the start; whether it is finite."""
        found = [self.evaluate(state.position, noise) for state, noise in self.parts()]
        states = [state for state, _ in found]
        self.state = State(*(tf.concat(parts, axis=0) for parts in zip(*states, strict=True)))
        return all(finite for _, finite in found)

    def ready(self) -> bool:
        """Whether the block is compiled."""
        state, noise = self.parts()[0]
        tuning = self.tuning(1, adapt=False, max_steps=1)
        return bool(self.program.ready(state, self.step, tuning, noise, self.data))

    def block(self, count: int, *, adapt: bool, max_steps: int) -> None:
        """Run `count` transitions and keep their rows, arrays of shape (count, chains, ...)."""
        tuning = self.tuning(count, adapt=adapt, max_steps=max_steps)
        parts = self.parts()

        def one(part: tuple[State, Any]) -> tuple[State, StepSize, dict[str, NDArray[Any]]]:
            state, noise = part
            state, step, done = self.program(state, self.step, tuning, noise, self.data)
            return state, step, done.rows(count)

        running = workers().map(one, parts)
        self.noise(self.blocks + 1)  # meanwhile
        states, steps, outs = zip(*running, strict=True)
        out = {name: np.concatenate([o[name] for o in outs], axis=1) for name in outs[0]}
        if self.settings.sampler == "nuts":
            # A tree of d doublings has 2^(d - 1) to 2^d - 1 steps: d is their number of bits.
            out["tree_depth"] = np.frexp(out["n_steps"])[1]
        if not adapt and out["nonfinite"].any():
            self.look(out, np.concatenate([n.momentum for _, n in parts], axis=1), tuning.metric)
        state = State(*(tf.concat(parts, axis=0) for parts in zip(*states, strict=True)))
        # Dual averaging is linear in the acceptance, but where a step is the longest.
        step = StepSize(*(tf.reduce_mean(parts, axis=0) for parts in zip(*steps, strict=True)))
        gradient = out.pop("gradient")
        # What takes time is done: an interrupt would have to fall between these lines to part them.
        self.state, self.step, self.blocks = state, step, self.blocks + 1
        if adapt:
            self.rows["window"].append(out | {"gradient": gradient})
        else:
            self.rows["draws"].append(out)
        if adapt and self.settings.keep_warmup:
            self.rows["warmup"].append(out)

    def look(self, out: dict[str, NDArray[Any]], momentum: FloatArray, metric: Metric) -> None:
        """See where the density was not finite; `state` is still that before the block."""
        for i, chain in np.argwhere(out["nonfinite"]):
            if self.region is not None or self.tries == TRIES:
                return
            self.tries += 1
            before = out["position"][i - 1] if i else self.state.position.numpy()
            ways = (1, -1) if self.settings.sampler == "nuts" else (1,)  # a tree grows both ways
            try:
                met = [
                    retrace(
                        self.log_density,
                        before[chain],
                        way * momentum[i, chain],
                        out["step_size"][i, chain],
                        out["n_steps"][i, chain],
                        metric,
                        self.data,
                    )
                    for way in ways
                ]
                where = [m.position for m in met if m.position is not None]
                if where or not all(m.diverged for m in met):
                    self.region = self.explain(where[0]) if self.explain and where else ""
            except tf.errors.OpError as error:
                # XLA leaves out assertions, such as those of validate_args=True.
                self.region = f"TensorFlow says: {error.message.splitlines()[0]}"

    def nonfinite(self) -> Nonfinite | None:
        """Draws whose trajectory met a density that is not finite."""
        if self.region is None:
            return None
        return Nonfinite(int(self.joined("draws", "nonfinite").sum()), self.region)

    def warm(self) -> None:
        """One block of warm-up; at the end of a window, take what it taught."""
        window = windows(self.settings.warmup)[self.window]
        # With a poor metric long trajectories are dear and teach little: they may double in every
        # window.
        limit = min(FIRST_STEPS * 2**self.window, self.settings.max_steps)
        left = window.length - self.count("window")
        self.block(min(self.capacity, left), adapt=True, max_steps=limit)
        if self.count("window") == window.length:
            draws, gradients = (
                np.concatenate([rows[k] for rows in self.rows["window"]])
                for k in ("position", "gradient")
            )
            self.learn(window.metric, draws, gradients)
            self.window += 1
            self.rows["window"] = []

    def learn(self, metric: str, draws: FloatArray, gradients: FloatArray) -> None:
        """Take what a window taught; arrays of shape (draws, chains, dimensions)."""
        if not metric:  # the last window: from here on the averaged step size, fixed
            self.step = self.step._replace(log_step=self.step.log_average)
            return
        if metric == "rough":
            # The first half is on the way to the bulk.
            half = len(draws) // 2
            draws, gradients = draws[half:], gradients[half:]
            _, vectors, values, _ = self.metric
            scale = rough_scale(draws, gradients)
            self.metric = scale, vectors, values, draws.mean(axis=(0, 1))
        else:
            if len(self.unit) <= MANY_DIMENSIONS:
                scale = pooled_scale(draws, self.unit)
                vectors, values, longest = directions(draws, scale, RANK)
            else:
                scale = rough_scale(draws, gradients)
                # Two places for each of these, as many as the block has chains.
                few = self.state.position.numpy()[: max(self.chains // self.groups // 2, 1)]
                vectors, values, longest = flat_directions(self.gradient, few, scale, RANK)
                # Trajectories overshoot, by half a step or less. A quarter turn of the widest
                # direction is much more of most others, and of thousands some then are too slow.
                overshoot = 0.5 * float(np.exp(self.step.log_average))
                longest = max(longest - overshoot / (np.pi / 2), 1.0)
            self.metric = scale, vectors, values, draws.mean(axis=(0, 1))
            self.length = np.pi / 2 * longest
        self.step = _start_step(float(self.step.log_average), 2.0)

    def gradient(self, position: FloatArray) -> FloatArray:
        """Gradients of the log density, both (places, dimensions); zero where it is not finite."""
        size, noise = self.chains // self.groups, self.noise(self.blocks)[0]
        pieces = [position[begin : begin + size] for begin in range(0, len(position), size)]
        full = [tf.constant(np.resize(piece, (size, len(self.unit)))) for piece in pieces]
        found = [self.evaluate(piece, noise)[0].gradient.numpy() for piece in full]
        return np.concatenate(found)[: len(position)]

    def progress(
        self, seconds: float, r_hat: float, ess: float = np.nan, until: Until | None = None
    ) -> Progress:
        """Where the run stands."""
        s = self.settings
        drawn = self.count("draws")
        warmed = sum(w.length for w in windows(s.warmup)[: self.window]) + self.count("window")
        return Progress(
            phase="draws" if drawn else "warmup",
            chains=self.chains,
            done=warmed + drawn,
            total=s.warmup + s.draws,
            divergences=sum(int(rows["diverging"].sum()) for rows in self.rows["draws"]),
            step_size=float(np.exp(self.step.log_step)),
            draws_per_second=(warmed + drawn) * self.chains / max(seconds, 1e-9),
            r_hat=r_hat,
            warmup=s.warmup,
            ess=ess,
            wanted=(until.ess, until.r_hat) if until else None,
        )


def run(
    log_density: LogDensity,
    start: FloatArray | Start | None,
    settings: Settings,
    data: Any = (),
    scale: FloatArray | None = None,
    report: Report | None = None,
    quantities: Quantities | None = None,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
    explain: Explain | None = None,
) -> Draws:
    """Adapt, then draw.

    Parameters
    ----------
    log_density : LogDensity
        ``log_density(position, data)``, (chains, dimensions) to (chains,), in unconstrained space.
    start : array, shape (chains, dimensions), or function, optional
        As `start_positions` gives it, or ``start(check=...)`` that calls it: in a later fit of a
        compiled model nothing need be evaluated in Python. Not needed with `resume`.
    settings : Settings
    data : nest of tensors
        Reach `log_density` as its second argument; other data of the same shapes compile nothing.
    scale : array, shape (dimensions,), optional
        Standard deviations to begin with, before any are learned; ones where not given.
    report : function, optional
        Called with `Progress` after every block.
    quantities : function, optional
        What ``settings.until`` speaks of; the unconstrained positions where not given.
    checkpoint : Checkpoint, optional
        Where, and how often, to write what `resume` needs.
    resume : bool
        Go on from `checkpoint` instead of `start`; the draws are those of a run that was never
        stopped.
    explain : function, optional
        Asked once, where a draw's trajectory met a density that is not finite.

    Returns
    -------
    Draws
        An interrupt (Ctrl-C) after warm-up ends the run and keeps the draws so far.

    Raises
    ------
    KeyboardInterrupt
        If interrupted during warm-up, before there is any draw.
    """
    begin = time.perf_counter()
    if resume and checkpoint:
        job = _restored(read(checkpoint.path)[0], log_density, data, settings)
    else:
        assert start is not None
        job = _begun(log_density, start, settings, data, scale)
    job.explain = explain
    before, groups = job.seconds, superchains(job.chains)
    until = None if settings.until is None else Until.parse(settings.until)
    look, shown, r_hat, ess = 100, begin, np.nan, np.nan

    def seconds() -> float:
        return before + time.perf_counter() - begin

    def enough() -> bool:
        nonlocal look, r_hat, ess
        drawn = job.count("draws")
        while look < drawn:
            # Looking costs time as drawing does: look again when there are a quarter more.
            look = BLOCK * -(-5 * look // (4 * BLOCK))
        if drawn >= settings.draws or (settings.max_seconds and seconds() >= settings.max_seconds):
            return drawn > 0
        if until is None or drawn < look:
            return False
        position = job.joined("draws", "position")
        ess, r_hat = worst(quantities(position) if quantities else position, groups)
        return until.met(ess, r_hat)

    interrupted = False
    try:
        while job.window < len(windows(settings.warmup)) or not enough():
            if job.window < len(windows(settings.warmup)):
                job.warm()
            else:
                left = settings.draws - job.count("draws")
                job.block(min(job.capacity, left), adapt=False, max_steps=settings.max_steps)
            if report:
                drawn, now = job.count("draws"), time.perf_counter()
                if (
                    until is None
                    and drawn >= 100
                    and (now - shown > 1.0 or drawn == settings.draws)
                ):
                    r_hat = float(np.nanmax(split_r_hat(job.joined("draws", "position"))))
                    shown = now
                report(job.progress(seconds(), r_hat, ess, until))
            if checkpoint and checkpoint.due():
                job.seconds = seconds()
                checkpoint.write(_arrays(job), _record(job))
        if report and until:  # what the last look has found
            report(job.progress(seconds(), r_hat, ess, until))
    except KeyboardInterrupt:
        job.seconds = seconds()
        if checkpoint:
            checkpoint.write(_arrays(job), _record(job))
        if not job.rows["draws"]:
            raise
        interrupted = True
    if checkpoint and not interrupted:
        job.seconds = seconds()
        checkpoint.write(_arrays(job), _record(job))
    names = [n for n in job.rows["draws"][0] if n not in ("position", "nonfinite")]

    def stacked(kind: str) -> tuple[FloatArray, dict[str, NDArray[Any]]]:
        return job.joined(kind, "position"), {n: job.joined(kind, n) for n in names}

    position, statistics = stacked("draws")
    return Draws(
        position=position,
        statistics=statistics,
        settings=settings,
        metric=job.metric,
        trajectory_length=job.length,
        seconds=seconds(),
        interrupted=interrupted,
        superchains=groups,
        warmup=stacked("warmup") if settings.keep_warmup else None,
        nonfinite=job.nonfinite(),
    )


def _begun(
    log_density: LogDensity,
    start: FloatArray | Start,
    settings: Settings,
    data: Any,
    scale: FloatArray | None,
) -> _Run:
    """A run at its start, the density evaluated there."""
    if isinstance(start, np.ndarray):
        job = _Run.begin(log_density, data, settings, start, scale)
        job.settle()
        return job

    def begin(check: Check) -> _Run:
        return _Run.begin(log_density, data, settings, start(check=check), scale)

    job = begin("nothing")
    if not job.ready():  # compiling takes time: first see whether there is a value
        job = begin("value")
    if not job.settle():
        job = begin("gradient")
        job.settle()
    return job


def _arrays(job: _Run) -> dict[str, NDArray[Any]]:
    """The arrays of a run, for a checkpoint."""
    out = {"unit": job.unit}
    for name, values in (("state", job.state), ("step", job.step), ("metric", job.metric)):
        out |= {f"{name}.{i}": np.asarray(v) for i, v in enumerate(values)}
    for kind, rows in job.rows.items():
        if rows:
            out |= {f"{kind}/{n}": np.concatenate([r[n] for r in rows]) for n in rows[0]}
    return out


KEPT = ("length", "blocks", "window", "seconds", "tries", "region")
"""Fields of a run that a checkpoint keeps in its record."""


def _record(job: _Run) -> dict[str, Any]:
    """The numbers of a run, for a checkpoint."""
    return {n: getattr(job, n) for n in KEPT}


def _restored(
    checkpoint: dict[str, Any], log_density: LogDensity, data: Any, settings: Settings
) -> _Run:
    """A run as a checkpoint left it."""
    arrays = checkpoint["arrays"]

    def record(name: str, size: int) -> list[NDArray[Any]]:
        return [arrays[f"{name}.{i}"] for i in range(size)]

    job = _Run(
        log_density,
        data,
        settings,
        arrays["unit"],
        State(*(tf.constant(x) for x in record("state", 3))),
        StepSize(*(tf.constant(x) for x in record("step", 5))),
        tuple(record("metric", 4)),
        **checkpoint["run"],
    )
    for kind in job.rows:
        rows = {k.split("/")[1]: v for k, v in arrays.items() if k.startswith(f"{kind}/")}
        if rows:
            job.rows[kind] = [rows]
    return job
