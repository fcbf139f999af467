"""The plan: what is sampled, and what is summed up or integrated out beforehand, and why.

`Joint` is the whole textbook model; a plan is what the engine samples of it, with functions that
recover the rest. The posterior is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hiermod.errors import ModelError
from hiermod.models import laplace, marginal, program
from hiermod.models.compress import Arrays, compress, count_equal
from hiermod.models.conditioning import Conditioned, Estimate, condition, noncentered
from hiermod.models.defaults import typical_eta
from hiermod.models.integrate import block_of, integrate
from hiermod.models.joint import (
    EVERYTHING,
    Data,
    Joint,
    Part,
    add_log_prob,
    arrays,
    constrain,
    join,
    log_jacobian,
)
from hiermod.models.lean import log_kernel
from hiermod.models.places import at_values
from hiermod.models.specification import Specification
from hiermod.programs import compiled

FloatArray = NDArray[np.float64]

CHUNK = 2**22
"""Numbers that a piece of the draws may hold when effects are drawn."""

FEWER = 0.9
"""Share of the rows up to which counting equal ones pays."""

KEEP = 2**27
"""Most draws of effects that are integrated out which are kept: 1 GiB of numbers."""


@dataclass(frozen=True)
class Structure:
    """What makes the density of a plan, but for numbers: equal ones share a compiled program.

    Attributes
    ----------
    source : str
        Of the program.
    parts : tuple of Part
        All parts of the joint distribution but the response.
    summed : bool
        Whether rows with equal predictors are summed up.
    counted : bool
        Whether rows that are equal in everything are counted.
    layout : Layout, optional
        What is integrated out exactly.
    laplace : Block, optional
        What is integrated out approximately.
    predictor : str
        Source of the linear predictor without it.
    conditioned : tuple of Conditioned
        Effects that are sampled by what the data say of them, given the rest.
    """

    source: str
    parts: tuple[Part, ...]
    summed: bool
    counted: bool = False
    layout: marginal.Layout | None = None
    laplace: marginal.Block | None = None
    predictor: str = ""
    conditioned: tuple[Conditioned, ...] = ()

    @cached_property
    def sampled(self) -> tuple[Part, ...]:
        """The parts that the engine samples."""
        out = self.layout.identifiers if self.layout else set()
        out |= {self.laplace.identifier} if self.laplace else set()
        return tuple(p for p in self.parts if p.identifier not in out)

    @property
    def dimensions(self) -> int:
        """Number of sampled, unconstrained dimensions."""
        return sum(p.size for p in self.sampled)

    def values(self, position: tf.Tensor, data: Data) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Of the sampled parts, by identifier, at (chains, dimensions), and the log Jacobian."""
        found = constrain(self.sampled, position)
        values = {p.identifier: v for p, v in zip(self.sampled, found, strict=True)}
        log_det = log_jacobian(self.sampled, position)
        if self.conditioned:
            known = program.functions(self.source).scaled(data, values)
            for one, own in zip(self.conditioned, data["conditioned"], strict=True):
                name = one.block.identifier
                known[name], more = one.place(values[name], known, own)
                values[name] = known[name]
                log_det += more
        return values, log_det


class Recovered(NamedTuple):
    """All parts of the joint distribution.

    Attributes
    ----------
    values : dict
        From identifiers to draws (chains, draws, ...).
    moments : dict
        From the identifiers of effects whose draws are too many to keep, to means and standard
        deviations of the deviations, each (K, J).
    log_weights : array, shape (chains, draws), optional
        Of an approximation: log of the density over the approximate one.
    """

    values: dict[str, FloatArray]
    moments: dict[str, tuple[FloatArray, FloatArray]]
    log_weights: FloatArray | None = None


@dataclass(frozen=True)
class Plan:
    """What is sampled, integrated out and summed up.

    Made by `Model.plan`; prints as text.

    Attributes
    ----------
    joint : Joint
        The whole model.
    structure : Structure
    data : dict
        What the density needs of the data.
    notes : dict of str
        What was done, and why not more, under ``"rows"``, ``"integrated"``, ``"conditioned"`` (if
        effects are) and ``"sampled"``.
    done : str
        What was done, in a few words; empty if nothing.
    about : dict of Estimate
        About where parts are, by identifier, as far as the data have been asked.
    """

    joint: Joint
    structure: Structure
    data: Data
    notes: dict[str, str]
    done: str
    about: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The sampled parts."""
        return self.structure.sampled

    @property
    def dimensions(self) -> int:
        """Number of sampled, unconstrained dimensions."""
        return self.structure.dimensions

    @property
    def log_density(self) -> Callable[[tf.Tensor, Any], tf.Tensor]:
        """``log_density(position, arguments)``; plans of the same structure share the function."""
        s = self.structure
        changed = s.layout or s.summed or s.counted or s.conditioned or "constant" in self.data
        return _log_density(s) if changed else self.joint.log_density

    @property
    def arguments(self) -> tuple[Data, Data]:
        """Second argument of `log_density`."""
        return self.data, self.joint.prior

    @property
    def fingerprint(self) -> str:
        """A digest of the structure and the data: equal for equal densities."""
        digest = hashlib.sha256(repr(self.structure).encode())
        for tensor in tf.nest.flatten(self.arguments):
            digest.update(np.ascontiguousarray(tensor).tobytes())
        return digest.hexdigest()

    def start(self) -> tuple[FloatArray, ...]:
        """Where to start, as `Joint.start`: centre, scale and radius, each (dimensions,)."""
        return tuple(array[self._kept] for array in self.joint.start(self.about))

    @cached_property
    def _kept(self) -> NDArray[np.bool_]:
        """Which dimensions of the whole model are sampled."""
        flags = [np.full(p.size, p in self.parts) for p in self.joint.parts]
        return np.concatenate(flags)

    def placed(self, position: FloatArray) -> FloatArray:
        """Positions (chains, dimensions), effects that are conditioned as the model has them."""
        values, _ = self.structure.values(tf.constant(position), self.data)
        held = {one.block.identifier for one in self.structure.conditioned}
        out, begin = position.copy(), 0
        for part in self.parts:
            if part.identifier in held:
                found = values[part.identifier].numpy()
                out[:, begin : begin + part.size] = found.reshape(len(out), -1)
            begin += part.size
        return out

    def explain(self, position: FloatArray) -> str:
        """As `Joint.explain`; what is integrated out is looked at where it starts."""
        whole = self.joint.start()[0]
        whole[self._kept] = self.placed(position[None])[0]
        found = self.joint.explain(whole)
        if self._kept.all() or not found.startswith(EVERYTHING):
            return found
        values, _ = self.structure.values(tf.constant(position[None]), self.data)
        where = at_values({self.joint.names[name]: v.numpy()[0] for name, v in values.items()})
        return f"The log density with {self.notes['integrated']} integrated out is not, {where}."

    def keeps(self, draws: int) -> bool:
        """Whether so many draws of the effects that are integrated out fit in `KEEP` numbers."""
        layout = self.structure.layout
        return not layout or not layout.chain or draws * layout.chain[0].size <= KEEP

    def recover(self, position: FloatArray, seed: int = 0) -> Recovered:
        """Values of all parts of the joint distribution, what was integrated out drawn.

        Parameters
        ----------
        position : array, shape (chains, draws, dimensions)
        seed : int

        Returns
        -------
        Recovered
        """
        lead = position.shape[:-1]
        values = self._values(position.reshape(-1, position.shape[-1]))
        size = int(np.prod(lead))
        out = {name: v.numpy() for name, v in values.items()}
        moments: dict[str, tuple[FloatArray, FloatArray]] = {}
        weights = None
        generator = np.random.default_rng([seed, 3])
        if self.structure.layout:
            drawn, moments = self._exact(values, size, generator)
            out |= drawn
        if self.structure.laplace:
            drawn, weights = self._approximate(values, size, generator)
            out |= drawn
            weights = weights.reshape(lead)
        shaped = {
            p.identifier: out[p.identifier].reshape(*lead, *p.shape)
            for p in self.joint.parts
            if p.identifier in out
        }
        return Recovered(shaped, moments, weights)

    def _values(self, position: FloatArray) -> dict[str, tf.Tensor]:
        """Values of the sampled parts (draws, ...) at (draws, dimensions), piece by piece."""
        links = [link for one in self.data.get("conditioned", ()) for link in one["links"]]
        width = max((len(link["here"]) for link in links), default=0)
        size = len(position)
        if size * width <= CHUNK:
            return self.structure.values(tf.constant(position), self.data)[0]
        step, values = max(1, CHUNK // width), _values_program(self.structure)
        # Of one size, or two programs would be compiled: the last piece begins again.
        rows = [np.arange(begin, begin + step) % size for begin in range(0, size, step)]
        pieces = [values(tf.constant(position[some]), self.data) for some in rows]
        return {name: tf.concat([p[name] for p in pieces], axis=0)[:size] for name in pieces[0]}

    def _exact(
        self, values: dict[str, tf.Tensor], size: int, generator: np.random.Generator
    ) -> tuple[dict[str, FloatArray], dict[str, tuple[FloatArray, FloatArray]]]:
        """Draws of what was integrated out, and moments of what is not kept."""
        layout, few = self.structure.layout, not self.keeps(size)
        assert layout
        step = max(1, CHUNK // marginal.width(layout, self.data))
        many = few or size > 64 * step
        if many:  # pieces of one size, or two programs would be compiled
            step = max(n for n in range(1, step + 1) if size % n == 0)
        draw = _draw_program(self.structure, few) if many else _draw(self.structure, few)
        pieces: list[dict[str, FloatArray]] = []
        sums = None
        for piece, noise in _pieces(values, step, marginal.noises(layout, few), generator):
            drawn, partial = draw(piece, self.data, noise)
            pieces.append({name: v.numpy() for name, v in drawn.items()})
            if few:
                sums = np.add(partial, 0.0 if sums is None else sums)
        out = {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]}
        if sums is None:
            return out, {}
        mean, square = sums / size
        return out, {layout.chain[0].identifier: (mean, np.sqrt(square - mean**2))}

    def _approximate(
        self, values: dict[str, tf.Tensor], size: int, generator: np.random.Generator
    ) -> tuple[dict[str, FloatArray], FloatArray]:
        """Draws of what was integrated out approximately, and log importance weights."""
        block = self.structure.laplace
        assert block
        step = max(1, CHUNK // (4 * block.effects * (block.size + len(self.data["count"]))))
        draws, weights = zip(
            *(
                laplace.draw(_problem(self.structure, piece, self.data), noise)
                for piece, noise in _pieces(values, step, block.size, generator)
            ),
            strict=True,
        )
        return {block.identifier: np.concatenate(draws)}, np.concatenate(weights)

    def __repr__(self) -> str:
        """What is done to the rows, what is integrated out, and what is sampled."""
        width = max(map(len, self.notes))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in self.notes.items())


def plan(joint: Joint, *, shortcuts: bool = True, approximate: str | None = None) -> Plan:
    """The plan of a model.

    Parameters
    ----------
    joint : Joint
    shortcuts : bool
        False samples everything, row by row.
    approximate : str, optional
        ``"laplace"`` integrates group effects of a model that is not gaussian out approximately.

    Raises
    ------
    ModelError
        If an approximation is asked for that does not exist, or does not fit the model.
    """
    s = joint.specification
    gaussian = not s.others and bool(s.family.residual) and s.link.name == "identity"
    exact = shortcuts and approximate is None and gaussian
    # Effects that are sampled where others integrate out are better off in their forms.
    if not exact and any(g.conditioned and not g.noncentered for g in s.every_group):
        joint = join(noncentered(s))
        s = joint.specification
    rows = s.design.n_rows
    structure, data = Structure(joint.source, joint.parts, False), joint.data
    reason = "nothing: shortcuts are off"
    notes = {"rows": f"{rows:,}, one by one"}
    done, about = "", dict[str, Estimate]()
    if approximate is not None:
        block, predictor, made, reason = _laplace(joint)
        structure = replace(structure, summed=True, laplace=block, predictor=predictor)
        if not structure.dimensions:
            raise ModelError(
                f"approximate='laplace' would leave nothing to sample beside {reason}: all else is "
                "constant. Leave it out."
            )
        data = _tensors(made | {"constant": _constant(joint, made)})
        notes["rows"] = f"{rows:,} compressed to {len(made['count']):,} with equal predictors"
        done = f"integrated out, approximately: {reason}"
    elif exact:
        layout, products, reason = integrate(s, arrays(s, s.design))
        integrated = replace(structure, layout=layout)
        if integrated.dimensions:
            structure, data = integrated, _tensors(products)
            notes["rows"] = f"{rows:,}, as sums of squares and cross-products"
            done = f"integrated out {reason}"
        else:
            reason = "nothing: as the rest is constant, nothing would be left to sample"
    elif shortcuts and not program.summable(s):
        reason = "nothing: only for a gaussian response with an identity link is that exact"
        if s.others:
            varying = " and ".join(p.parameter for p in s.others)
            have = "has a formula of its own" if len(s.others) == 1 else "have formulas"
            reason = f"nothing: {varying} {have}"
        short = count_equal(arrays(s, s.design))
        left = len(short["count"])
        if left < FEWER * rows:
            structure, data = replace(structure, counted=True), _tensors(short)
            done = f"{rows:,} rows compressed to {left:,}"
            notes["rows"] = f"{rows:,} compressed to {left:,} that differ"
        elif not s.others:
            notes["rows"] += f": {_of_rows(s)} has no sums that the rest depends on"
    elif shortcuts:
        reason = "nothing: only for a gaussian response with an identity link is that exact"
        short = compress(s, arrays(s, s.design))
        structure = replace(structure, summed=True)
        data = _tensors(short | {"constant": _constant(joint, short)})
        left = len(short["count"])
        notes["rows"] = f"{rows:,}, no two with equal predictors"
        if left < rows:
            done = f"{rows:,} rows compressed to {left:,}"
            notes["rows"] = f"{rows:,} compressed to {left:,} with equal predictors"
    elif program.summable(s) and s.family.trials:
        data = data | {"constant": tf.constant(_constant(joint))}
    if not exact:
        conditioned, known, about = condition(s, {p.identifier for p in structure.sampled})
        structure = replace(structure, conditioned=conditioned)
        data = data | ({"conditioned": _tensors(known)} if known else {})
    called = {p.identifier: p.name for p in s.parameters}
    called |= {g.identifier: ", ".join(map(g.name, g.group.effects)) for g in s.every_group}
    called |= {one.identifier: one.smooth.name for one in s.every_smooth}
    notes["integrated"] = reason
    if structure.conditioned:
        effects = [called[one.block.identifier] for one in structure.conditioned]
        notes["conditioned"] = f"{', '.join(effects)}: on what the data say of them, given the rest"
    names = [called[p.identifier] for p in structure.sampled if p.size]
    size = structure.dimensions
    notes["sampled"] = f"{', '.join(names)} ({size:,} number{'s' * (size != 1)})"
    return Plan(joint, structure, data, notes, done, about)


def _of_rows(s: Specification) -> str:
    """What makes the likelihood one of single rows, in words."""
    words = " and ".join(s.design.response.decorations)
    return f"a response with {words}" if words else f"family {s.family.name}"


def _laplace(joint: Joint) -> tuple[marginal.Block, str, Arrays, str]:
    """The block, the predictor without it, the rows and the words of an approximation."""
    s = joint.specification
    if s.design.response.decorations:
        raise ModelError(f"approximate='laplace' does not know {_of_rows(s)} yet: leave it out.")
    if s.family.residual:
        exact = "what can be integrated out is, exactly"
        peaks = f"with the link {s.link.name} the effects may have several peaks"
        raise ModelError(
            "approximate='laplace' is for responses that are not gaussian: leave it out; "
            f"{exact if s.link.name == 'identity' else peaks}."
        )
    if not program.summable(s):
        if s.others:
            raise ModelError("approximate='laplace' is for models with one formula.")
        raise ModelError(f"approximate='laplace' does not know family {s.family.name!r} yet.")
    plain = [g for g in s.groups if not g.group.special]
    if not plain:
        has = f"only {s.groups[0].group.special}" if s.groups else "none"
        raise ModelError(f"approximate='laplace' is for group effects: the model has {has}.")
    g = max(plain, key=lambda g: g.shape[1])
    others = tuple(o for o in s.groups if o is not g)
    short = compress(s, arrays(s, s.design))
    short.setdefault("offset", np.zeros(len(short["count"])))  # for a predictor without terms
    words = f"{', '.join(map(g.name, g.group.effects))} by Laplace's method"
    return block_of(g), program.predictor(replace(s, groups=others)), short, words


def _tensors(values: Any) -> Any:
    return tf.nest.map_structure(tf.constant, values)


def _constant(joint: Joint, short: Arrays | None = None) -> np.float64:
    """What totals or, without their data, kernels of rows leave out of the log-likelihood.

    It is the same at all linear predictors, and found at one.
    """
    s = joint.specification
    ones = {p.identifier: tf.ones([], tf.float64) for p in s.auxiliary}
    at = np.float64(typical_eta(s.design, s.family, s.link))

    def eta(size: int) -> tf.Tensor:
        return tf.fill([size], tf.constant(at))

    y = joint.data["y"]
    rows = joint.functions.likelihood(joint.data, eta(s.design.n_rows), *ones.values())
    if short is None:
        kept = log_kernel(rows, y)
    else:
        kept = joint.functions.totals(_tensors(short), eta(len(short["count"])), ones)
    return np.float64(tf.reduce_sum(rows.log_prob(y)) - tf.reduce_sum(kept))


def _pieces(
    values: dict[str, tf.Tensor], step: int, noises: int, generator: np.random.Generator
) -> Iterator[tuple[dict[str, tf.Tensor], tf.Tensor]]:
    """Pieces of the draws, with standard normal numbers for each."""
    size = len(next(iter(values.values())))
    for begin in range(0, size, step):
        piece = {name: v[begin : begin + step] for name, v in values.items()}
        shape = min(step, size - begin), noises
        yield piece, tf.constant(generator.standard_normal(shape))


def _problem(structure: Structure, values: dict[str, tf.Tensor], data: Data) -> laplace.Problem:
    """The effects that are integrated out approximately, given the rest."""
    assert structure.laplace
    totals = program.functions(structure.source).totals
    eta = program.functions(structure.predictor).predict(data, values)
    chains = next(iter(values.values())).shape[0]
    eta = tf.broadcast_to(eta, [chains, eta.shape[-1]])  # it may depend on nothing sampled
    return laplace.Problem(
        structure.laplace, lambda eta: totals(data, eta, values), data, values, eta
    )


def _draw(structure: Structure, only_moments: bool) -> Callable[..., Any]:
    """`marginal.draw` of a structure: (values, data, noise) to its results."""

    def draw(values: dict[str, tf.Tensor], data: Data, noise: tf.Tensor) -> Any:
        assert structure.layout
        values = program.functions(structure.source).scaled(data, values)
        return marginal.draw(structure.layout, values, data, noise, only_moments)

    return draw


@lru_cache(maxsize=16)
def _draw_program(structure: Structure, only_moments: bool) -> Callable[..., Any]:
    """The same, compiled, where there is much to compute."""
    return compiled(_draw(structure, only_moments))


@lru_cache(maxsize=16)
def _values_program(structure: Structure) -> Callable[..., dict[str, tf.Tensor]]:
    """Values of the sampled parts of all plans with this structure: (position, data) to them."""

    @compiled
    def values(position: tf.Tensor, data: Data) -> dict[str, tf.Tensor]:
        return structure.values(position, data)[0]

    return values


@lru_cache(maxsize=64)
def _log_density(structure: Structure) -> Callable[[tf.Tensor, Any], tf.Tensor]:
    """The log density, in unconstrained space, of all plans with this structure."""
    functions = program.functions(structure.source)
    layout = structure.layout

    def log_density(position: tf.Tensor, arguments: tuple[Data, Data]) -> tf.Tensor:
        data, prior = arguments
        values, log_det = structure.values(position, data)
        listed = [values.get(p.identifier) for p in structure.parts]
        model = functions.joint_distribution(data, prior).model
        if layout:
            total = marginal.eliminate(layout, functions.scaled(data, values), data).log_density
        elif structure.laplace:
            total = data["constant"] + laplace.peak(_problem(structure, values, data)).log_density
        elif structure.summed:
            by_row = functions.totals(data, functions.predict(data, values), values)
            total = data["constant"] + tf.reduce_sum(by_row, -1)
        else:
            eta, given = functions.predict(data, values), functions.parameters(data, values)
            y = tf.identity(data["y"])  # TFP keeps what its bijectors made of a tensor, over graphs
            rows = functions.likelihood(data, eta, *given)
            by_row = log_kernel(rows, y) if "constant" in data else rows.log_prob(y)
            by_row = data["count"] * by_row if structure.counted else by_row
            total = data.get("constant", 0.0) + tf.reduce_sum(by_row, -1)
        return add_log_prob(total + log_det, model, [*listed, None])

    return log_density
