"""The joint distribution, and the way between it and what samplers and users see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import NDArray

from hiermod.formula.design import Design, Response
from hiermod.models import priors, program
from hiermod.models.conditioning import Estimate
from hiermod.models.defaults import shares
from hiermod.models.distributions import Outwards, StickBreaking, onto
from hiermod.models.links import evaluate
from hiermod.models.places import at_values
from hiermod.models.positions import cut
from hiermod.models.specification import Parameter, Specification

tfb = tfp.bijectors

EVERYTHING = "Every part is finite"
"""How `Joint.explain` begins where it finds nothing."""

FloatArray = NDArray[np.float64]
Data = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Part:
    """How a part of the joint distribution is laid out in an unconstrained vector.

    Attributes
    ----------
    identifier : str
    shape : tuple of int
        Of one draw of the part.
    support : str
        Of its prior, see `priors.support`; a ``"correlation"`` is its Cholesky factor, a
        ``"simplex"`` numbers above 0 that sum to 1; ``"ordered"`` numbers ascend.
    low, high : float
        Ends of the support; both are the value of a ``"constant"``.
    anchor : int
        Which of ``"ordered"`` numbers the others are seen from.
    """

    identifier: str
    shape: tuple[int, ...]
    support: str
    low: float = -np.inf
    high: float = np.inf
    anchor: int = 0

    @property
    def bijector(self) -> Any:
        """From unconstrained values to values of the part.

        Positive parts are exponentials, as in Stan, not TFP's default softplus: that is the
        geometry in which scale parameters are closest to normal.
        """
        if self.support == "correlation":
            return tfb.CorrelationCholesky()
        if self.support == "ordered":
            return Outwards(self.anchor)
        if self.support == "simplex":
            return StickBreaking()
        return onto(self.low, self.high)

    @property
    def unconstrained_shape(self) -> tuple[int, ...]:
        """Shape of the unconstrained value."""
        if self.support == "correlation":
            return (*self.shape[:-2], self.shape[-1] * (self.shape[-1] - 1) // 2)
        if self.support == "simplex":
            return (self.shape[0] - 1,)
        return (0,) if self.support == "constant" else self.shape

    @property
    def size(self) -> int:
        """Number of unconstrained dimensions."""
        return int(np.prod(self.unconstrained_shape))


@dataclass(frozen=True)
class Joint:
    """The textbook model of a specification.

    Attributes
    ----------
    specification : Specification
    source : str
        Source of the functions that define it.
    data, prior : dict of tensor
        Their arguments.
    parts : tuple of Part
        All parts but the response, in the order of the joint distribution.
    """

    specification: Specification
    source: str
    data: Data
    prior: Data
    parts: tuple[Part, ...]

    @property
    def functions(self) -> SimpleNamespace:
        """The functions of the source."""
        return program.functions(self.source)

    @cached_property
    def distribution(self) -> Any:
        """The `tfd.JointDistributionSequential`."""
        return self.functions.joint_distribution(self.data, self.prior)

    @cached_property
    def names(self) -> dict[str, str]:
        """What each part of the joint distribution is, in names of the posterior."""
        s, out = self.specification, {}
        for p in s.parameters:
            out[p.identifier] = p.name
            if p.size:
                out[p.identifier] += ", its Cholesky factor"
            if p.name in s.at_means:
                out[p.identifier] += " at the predictors' means"
            if p.prior.shrinkage:
                out[p.identifier] += ", standardised"
        for g in s.every_group:
            name = ", ".join(g.name(e) for e in g.group.effects)
            out[g.identifier] = f"{name}, standardised" if g.noncentered else name
        for one in s.every_smooth:
            name = one.smooth.name
            out[one.identifier] = f"{name}, standardised" if one.noncentered else name
        return out

    @property
    def dimensions(self) -> int:
        """Number of unconstrained dimensions."""
        return sum(part.size for part in self.parts)

    @property
    def log_density(self) -> Callable[[tf.Tensor, Any], tf.Tensor]:
        """``log_density(position, arguments)``; models of the same structure share the function."""
        return _log_density(self.source, self.parts)

    @property
    def arguments(self) -> tuple[Data, Data]:
        """Second argument of `log_density`."""
        return self.data, self.prior

    def start(self, about: Mapping[str, Estimate] | None = None) -> tuple[FloatArray, ...]:
        """Where to start, before any adaptation.

        Everything starts at its prior mean (scale parameters with truncated priors at the median,
        what has no mean at zero), but intercepts where the data put them, if the family is no
        mixture, and coefficients beside them at zero. Of what there is an estimate of, prior and
        estimate decide together.

        Parameters
        ----------
        about : mapping, optional
            Estimates, by identifier.

        Returns
        -------
        centre, scale, radius : array, shape (dimensions,)
            Unconstrained. Scales are standard deviations of priors, one where there is none, or of
            what is known. So far from the centre may chains start: half of one of a prior, two of
            what is known.
        """
        s, found = self.specification, []
        linear = [p for p in s.predictors if p.intercept]
        starts = {c.identifier: 0.0 for p in linear for c in p.common}
        if not s.plain.mixed:
            starts |= {p.intercept.identifier: p.start for p in linear if p.intercept}
        for part, distribution in zip(self.parts, self.distribution.model, strict=False):
            middle, spread = np.zeros(part.unconstrained_shape), np.ones(part.unconstrained_shape)
            if part.support == "real" and not callable(distribution):
                spread = _moment(distribution, "stddev", part.shape)
                spread = np.where(spread > 0, spread, 1.0)
                middle = _moment(distribution, "mean", part.shape, otherwise=0.0)
            if part.support == "ordered":
                at = evaluate(s.link.eta, mean=shares(s.design.response))
                middle = part.bijector.inverse(at).numpy()
            if part.support in ("positive", "half-line"):
                middle = np.log(_distance(distribution, part))
            centre, scale = np.ravel(middle), np.ravel(spread)
            radius = 0.5 * scale
            known = (about or {}).get(part.identifier)
            if known and known.support == part.support:
                prior = scale**-2
                precision = prior + known.information
                centre = (prior * centre + known.information * known.value) / precision
                scale = 1.0 / np.sqrt(precision)
                radius = np.minimum(radius, 2.0 * scale)
            elif part.support == "real" and part.identifier in starts:
                centre = np.full_like(centre, starts[part.identifier])
            found.append((centre, scale, radius))
        return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))

    def explain(self, position: FloatArray) -> str:
        """Which parts are not finite at an unconstrained position, and at what values.

        Parameters
        ----------
        position : array, shape (dimensions,)

        Returns
        -------
        str
            A sentence for each part whose log density is not finite; where there is none, for each
            whose gradient is not.
        """
        at = tf.constant(position)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(at)
            parts = [*constrain(self.parts, at), self.data["y"]]
            densities = []
            for i, part in enumerate(self.distribution.model):
                distribution = part(*reversed(parts[:i])) if callable(part) else part
                densities.append(distribution.log_prob(parts[i]))
        values = {p.identifier: v.numpy() for p, v in zip(self.parts, parts, strict=False)}
        keys = [*values, self.specification.response]
        found = [
            f"the log density of {self._part(key)} is {density:g} {self._place(key, values)}"
            for key, density in zip(keys, map(float, densities), strict=True)
            if not np.isfinite(density)
        ]
        if not found:
            found = [
                f"the gradient of the log density of {self._part(key)} is not finite "
                f"{self._place(key, values)}"
                for key, density in zip(keys, densities, strict=True)
                if not np.isfinite(tape.gradient(density, at, unconnected_gradients="zero")).all()
            ]
        if not found:  # the way from unconstrained values, where they are huge
            what, jacobian = EVERYTHING.lower(), log_jacobian(self.parts, at)
            if not np.isfinite(jacobian):
                what = f"the Jacobian of the parameters is {float(jacobian):g}"
            everything = {self.names[key]: value for key, value in values.items()}
            found = [f"{what} {at_values(everything)}"]
        return ". ".join(text[0].upper() + text[1:] for text in found) + "."

    def _part(self, key: str) -> str:
        """What users call a part of the joint distribution, the response included."""
        s = self.specification
        return s.design.response.name if key == s.response else self.names[key]

    def _place(self, key: str, values: dict[str, FloatArray]) -> str:
        """Values that the density of a part depends on, in words."""
        s = self.specification
        if key != s.response:
            own = [key]
            for g in s.every_group:
                if g.identifier == key and not g.noncentered:
                    own = program.effects_arguments(g)
            for one in s.every_smooth:
                if one.identifier == key and not one.noncentered:
                    own = [one.sigma.identifier, key]
            return at_values({self.names[k]: values[k] for k in own})
        scalars = {
            self.names[p.identifier]: values[p.identifier]
            for p in s.parameters
            if p.role not in ("group_sigma", "group_cor", "smooth_sigma")
        }
        rows, eta = self._bad_rows(values)
        if not len(rows):
            return at_values(scalars)
        at = {"linear predictor": eta[rows[0]], key: self.data["y"][rows[0]]}
        return (
            f"in {len(rows)} of {len(eta)} rows, first in row {s.design.rows[rows[0]]}, "
            f"{at_values(at | scalars)}"
        )

    def _bad_rows(self, values: dict[str, FloatArray]) -> tuple[NDArray[Any], FloatArray]:
        """Rows whose log-likelihood or its slope is not finite, and all linear predictors (N,)."""
        data = self.data
        tensors = {k: tf.constant(v) for k, v in values.items()}
        eta = self.functions.predict(data, tensors)
        others = self.functions.parameters(data, tensors)
        with tf.GradientTape() as tape:
            tape.watch(eta)
            density = self.functions.likelihood(data, eta, *others).log_prob(data["y"])
        bad = ~np.isfinite(density)
        if not bad.any():
            bad = ~np.isfinite(tape.gradient(density, eta))
        return np.flatnonzero(bad), eta.numpy()


def join(specification: Specification) -> Joint:
    """The joint distribution of a specification.

    Examples
    --------
    >>> from hiermod import load_data, model
    >>> joint = model(load_data("reedfrogs"), "prop(surv, density) ~ pred", family="binomial").joint
    >>> [part for part in joint.dtype]  # three parts: two coefficients and the response
    [tf.float64, tf.float64, tf.float64]
    """
    return Joint(
        specification=specification,
        source=program.source(specification),
        data={k: tf.constant(v) for k, v in arrays(specification, specification.design).items()},
        prior={p.identifier: _numbers(p) for p in specification.parameters},
        parts=(
            *(_part(p, specification.design.response) for p in specification.parameters),
            *(Part(g.identifier, g.part_shape, "real") for g in specification.every_group),
            *(Part(one.identifier, one.shape, "real") for one in specification.every_smooth),
        ),
    )


def arrays(specification: Specification, design: Design) -> dict[str, NDArray[Any]]:
    """The ``data`` of the program for a design: the training data, or new rows.

    Returns
    -------
    dict
        ``y``, and what the program needs of ``X`` (P, N; centred as in training), ``offset``,
        what `Response.given` names (N,), ``index_<group>`` (N,) and ``Z_<group>`` (K, N),
        ``S_<smooth>`` (K, N), or (J, K, N) of one that is by a factor; of the predictors of other
        parameters, ``X_<parameter>`` and so on. ``by_<group>`` (J,) is not of rows, but of levels.
    """
    response = design.response
    out: dict[str, NDArray[Any]] = {"y": response.values, **response.given}
    for p in specification.predictors:
        part = design.parameters[p.parameter] if p.parameter else design
        if part.terms:
            out[f"X{p.suffix}"] = np.ascontiguousarray((part.X - p.means).T)
        if program.needs_offset(p):
            offset = np.zeros(design.n_rows) if part.offset is None else part.offset
            out[f"offset{p.suffix}"] = offset
        for g, group in zip(p.groups, part.groups, strict=True):
            out[f"index_{g.key}"] = group.index
            if group.by:
                out[f"by_{g.key}"] = group.by.index
            if not g.constant:
                out[f"Z_{g.key}"] = np.ascontiguousarray(group.Z.T)
        for one, smooth in zip(p.smooths, part.smooths, strict=True):
            out[f"S_{one.key}"] = np.ascontiguousarray(np.moveaxis(smooth.Z, 0, -1))
    return out


def constrain(parts: Sequence[Part], position: tf.Tensor) -> list[tf.Tensor]:
    """Values of the parts, each (..., *part.shape), at positions (..., dimensions)."""
    values = []
    for part, raw in _cut(parts, position):
        if part.support == "constant":
            raw = tf.fill([*position.shape[:-1], *part.shape], np.float64(part.low))
        elif part.support != "real":
            raw = part.bijector.forward(raw)
        values.append(raw)
    return values


def log_jacobian(parts: Sequence[Part], position: tf.Tensor) -> tf.Tensor:
    """Log determinant of the Jacobian of `constrain`, shape (...)."""
    total = tf.zeros(position.shape[:-1], position.dtype)
    for part, raw in _cut(parts, position):
        if part.support not in ("real", "constant"):
            ndims = len(part.unconstrained_shape)
            total += part.bijector.forward_log_det_jacobian(raw, event_ndims=ndims)
    return total


def _cut(parts: Sequence[Part], position: tf.Tensor) -> Iterator[tuple[Part, tf.Tensor]]:
    """Each part with its own of the positions, in its shape."""
    return zip(parts, cut(position, [part.unconstrained_shape for part in parts]), strict=True)


@lru_cache(maxsize=64)
def _log_density(source: str, parts: tuple[Part, ...]) -> Callable[[tf.Tensor, Any], tf.Tensor]:
    """The log density, in unconstrained space, of all models with this source."""
    functions = program.functions(source)

    def log_density(position: tf.Tensor, arguments: tuple[Data, Data]) -> tf.Tensor:
        data, prior = arguments
        values = constrain(parts, position)
        model = functions.joint_distribution(data, prior).model
        y = tf.identity(data["y"])  # TFP keeps what its bijectors made of a tensor, over graphs
        return add_log_prob(log_jacobian(parts, position), model, [*values, y])

    return log_density


def add_log_prob(total: tf.Tensor, model: Sequence[Any], values: Sequence[Any]) -> tf.Tensor:
    """Add the log densities of the parts of a joint distribution, but those whose value is None.

    It is the `log_prob` of the joint distribution, without the sample that draws to learn shapes.
    """
    for i, (part, value) in enumerate(zip(model, values, strict=True)):
        if value is not None:
            distribution = part(*reversed(values[:i])) if callable(part) else part
            total += distribution.log_prob(value)
    return total


def _moment(
    distribution: Any, name: str, shape: tuple[int, ...], otherwise: float = 1.0
) -> FloatArray:
    """A moment of a prior; where there is none, a number of that name."""
    try:
        value = np.asarray(getattr(distribution, name)())
    except NotImplementedError:
        return np.full(shape, otherwise)
    return np.broadcast_to(np.where(np.isfinite(value), value, otherwise), shape)


def _distance(distribution: Any, part: Part) -> FloatArray:
    """Of the middle of a prior from the end of its half-line."""
    if "distributions" in distribution.parameters:  # a tfd.Blockwise
        one = replace(part, shape=())
        return np.array([float(_distance(d, one)) for d in distribution.distributions])
    if "sample_shape" in distribution.parameters:  # a tfd.Sample
        distribution = distribution.distribution
    try:
        middle = distribution.mean()
    except NotImplementedError:
        middle = distribution.quantile(np.float64(0.5))
    distance = np.abs(middle - (part.low if np.isfinite(part.low) else part.high))
    return np.broadcast_to(
        np.where(np.isfinite(distance) & (distance > 0), distance, 1.0), part.shape
    )


def _part(p: Parameter, response: Response) -> Part:
    """Layout of a parameter."""
    if p.support == "ordered":  # from the threshold nearest to the median on
        anchor = int(np.abs(shares(response) - 0.5).argmin())
        return Part(p.identifier, p.shape, "ordered", anchor=anchor)
    low, high = priors.ends(p.prior)
    return Part(p.identifier, p.shape, priors.support(p.prior), low, high)


def _numbers(p: Parameter) -> tf.Tensor | tuple[tf.Tensor, ...]:
    """The numbers of a prior, read by position."""
    return tuple(tf.constant(np.asarray(a, np.float64)) for a in p.prior.numbers)
