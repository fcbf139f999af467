"""A pinned joint distribution of TFP, as the engine wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import NDArray

from hiermod.errors import ModelError, did_you_mean
from hiermod.models.places import not_finite
from hiermod.models.positions import cut

FloatArray = NDArray[np.float64]
JointDistributionPinned = tfp.experimental.distributions.JointDistributionPinned


@dataclass(frozen=True, eq=False)
class Pinned:
    """The parts of a joint distribution that are not pinned, in an unconstrained vector.

    Attributes
    ----------
    distribution : tfd.JointDistribution
    pins : dict of tensor
        Values of the others, by name. They reach the engine as data: other pins of the same shapes
        share a compiled program.
    names : tuple of str
        The parts, in the order in which TensorFlow flattens their structure.
    given : dict of array
        Where to start, for the parts of which the user said so.
    """

    distribution: Any
    pins: dict[str, Any]
    names: tuple[str, ...]
    given: dict[str, Any]

    @classmethod
    def make(cls, pinned: Any, start: Mapping[str, Any] | None) -> Pinned:
        """From a `JointDistributionPinned`, checked.

        Raises
        ------
        ModelError
            If a part is discrete or a joint distribution itself, if TFP has no bijector for one,
            or if the log density of several chains is not one value a chain.
        """
        pins = {name: tf.nest.map_structure(tf.constant, v) for name, v in pinned.pins.items()}
        names = _names(pinned)
        for name, part in zip(names, _parts(pinned.dtype), strict=True):
            if tf.nest.is_nested(part):
                raise ModelError(
                    f"part {name!r} is a joint distribution itself: list its parts one by one."
                )
            if not tf.as_dtype(part).is_floating:
                raise ModelError(
                    f"part {name!r} is discrete ({tf.as_dtype(part).name}), and Hamiltonian Monte "
                    "Carlo needs a gradient: pin it, or sum it out."
                )
        for name in start or {}:
            if name not in names:
                raise ModelError(
                    f"start names {name!r}, which is no part to be sampled. "
                    f"{did_you_mean(name, names)}"
                )
        out = cls(pinned.distribution, pins, names, dict(start or {}))
        try:
            shape = out(tf.constant(np.stack([out.centre] * 3)), out.pins).shape
        except Exception as error:
            raise ModelError(
                "the pinned joint distribution cannot be evaluated for three chains at once, by "
                f"unnormalized_log_prob or its default bijectors: {error}. Pin parts that are "
                "discrete, and try the kind of joint distribution whose name ends in AutoBatched."
            ) from error
        if shape != (3,):
            raise ModelError(
                f"the log density of the pinned joint distribution has the shape {tuple(shape)} "
                "for 3 chains, not (3,). Try the kind of joint distribution whose name ends in "
                "AutoBatched."
            )
        return out

    def _pinned(self, pins: Any) -> Any:
        return JointDistributionPinned(self.distribution, **pins)

    def _split(self, position: tf.Tensor, pins: Any) -> tuple[Any, tf.Tensor]:
        """Values in the structure that TFP wants, and the log determinant of the Jacobian (...)."""
        pinned = self._pinned(pins)
        bijector = pinned.experimental_default_event_space_bijector()
        shapes = bijector.inverse_event_shape(pinned.event_shape)
        parts = cut(position, tf.nest.flatten(shapes))
        dtypes = tf.nest.flatten(pinned.dtype)
        raw = [tf.cast(part, dtype) for part, dtype in zip(parts, dtypes, strict=True)]
        packed = tf.nest.pack_sequence_as(shapes, raw)
        ranks = tf.nest.map_structure(lambda shape: shape.rank, shapes)
        log_det = tf.cast(bijector.forward_log_det_jacobian(packed, ranks), position.dtype)
        return bijector.forward(packed), log_det + tf.zeros(position.shape[:-1], position.dtype)

    @cached_property
    def centre(self) -> FloatArray:
        """Zero in the unconstrained space, or what was given, shape (dimensions,)."""
        pinned = self._pinned(self.pins)
        bijector = pinned.experimental_default_event_space_bijector()
        shapes = tf.nest.flatten(bijector.inverse_event_shape(pinned.event_shape))
        centre = np.zeros(sum(int(np.prod(shape.as_list())) for shape in shapes))
        if not self.given:
            return centre
        values, _ = self._split(tf.constant(centre), self.pins)
        chosen = [
            tf.constant(np.asarray(self.given.get(name, value)), value.dtype)
            for name, value in zip(self.names, tf.nest.flatten(values), strict=True)
        ]
        raw = bijector.inverse(tf.nest.pack_sequence_as(values, chosen))
        return np.concatenate([np.ravel(part).astype(np.float64) for part in tf.nest.flatten(raw)])

    def values(self, position: FloatArray) -> dict[str, FloatArray]:
        """Values by name at unconstrained positions (..., dimensions)."""
        values, _ = self._split(tf.constant(position), self.pins)
        parts = zip(self.names, tf.nest.flatten(values), strict=True)
        return {name: value.numpy().astype(np.float64) for name, value in parts}

    def explain(self, position: FloatArray) -> str:
        """Which part is not finite at an unconstrained position (dimensions,), at what values."""
        pinned = self._pinned(self.pins)

        def split(at: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            values, log_det = self._split(at, self.pins)
            return dict(zip(self.names, tf.nest.flatten(values), strict=True)), log_det

        def densities(values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            packed = tf.nest.pack_sequence_as(pinned.dtype, list(values.values()))
            found = pinned.unnormalized_log_prob_parts(packed)
            pins = _of_structure(found.pinned, self.distribution, lambda n: n in self.pins)
            named = zip(
                [*self.names, *pins],
                [*tf.nest.flatten(found.unpinned), *tf.nest.flatten(found.pinned)],
                strict=True,
            )
            return {f"the log density of {name}": v for name, v in named}

        return not_finite(position, split, densities)

    def __call__(self, position: tf.Tensor, pins: Any) -> tf.Tensor:
        """Log density (chains,) at unconstrained positions (chains, dimensions)."""
        values, log_det = self._split(position, pins)
        density = self._pinned(pins).unnormalized_log_prob(values)
        return tf.cast(density, position.dtype) + log_det

    @property
    def _structure(self) -> tuple[Any, ...]:
        return id(self.distribution), self.names, tuple(self.pins)

    def __hash__(self) -> int:
        """Equal for the same joint distribution with the same parts pinned."""
        return hash(self._structure)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pinned) and self._structure == other._structure


def _parts(structure: Any) -> list[Any]:
    """Parts of a structure of TFP, in the order in which TensorFlow flattens it."""
    if isinstance(structure, Mapping):
        return [structure[name] for name in sorted(structure)]
    return list(structure)


def _names(pinned: Any) -> tuple[str, ...]:
    """Names of the parts that are not pinned, in the same order."""
    return _of_structure(pinned.dtype, pinned.distribution, lambda name: name not in pinned.pins)


def _of_structure(
    structure: Any, distribution: Any, wanted: Callable[[str], bool]
) -> tuple[str, ...]:
    """Names of the parts of a structure, as it is flattened; of a list, from the distribution."""
    if isinstance(structure, Mapping):
        return tuple(sorted(structure))
    if hasattr(structure, "_fields"):
        return tuple(structure._fields)
    return tuple(name for name, _ in distribution.resolve_graph() if wanted(name))
