"""A log density of named variables, as the engine wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import NDArray

from hiermod.errors import ModelError, did_you_mean
from hiermod.models.places import not_finite
from hiermod.models.positions import cut

LogProb = Callable[[dict[str, tf.Tensor]], tf.Tensor]


@dataclass(frozen=True, eq=False)
class Density:
    """Named variables in an unconstrained vector.

    Attributes
    ----------
    log_prob : function
        From a dict of tensors (chains, ...) to log densities (chains,).
    start : dict of float64 array
        A value of each variable.
    bijectors : dict
        From unconstrained to constrained values; identity where there is none.
    """

    log_prob: LogProb
    start: dict[str, NDArray[np.float64]]
    bijectors: Mapping[str, Any]

    @classmethod
    def make(
        cls, log_prob: LogProb, start: Mapping[str, Any] | None, bijectors: Mapping[str, Any] | None
    ) -> Density:
        """A density, its arguments checked."""
        if isinstance(log_prob, tfp.distributions.JointDistribution):
            raise ModelError(
                "a joint distribution is to be conditioned on data first: "
                "hm.sample(joint.experimental_pin(y=...))."
            )
        if not isinstance(start, Mapping) or not start:
            raise ModelError('start must be a dict from names to values, such as {"x": 0.0}.')
        for name in bijectors or {}:
            if name not in start:
                raise ModelError(
                    f"there is a bijector for {name!r}, but no such variable in start. "
                    f"{did_you_mean(name, list(start))}"
                )
        values = {str(name): np.asarray(v, np.float64) for name, v in start.items()}
        out = cls(log_prob, values, dict(bijectors or {}))
        three, _ = out._split(tf.constant(np.stack([out.centre] * 3)))
        shape = tf.convert_to_tensor(log_prob(three)).shape
        if shape != (3,):
            raise ModelError(
                f"log_prob must return one value a chain: for 3 chains it returned the shape "
                f"{tuple(shape)}. Its variables have an axis for the chains in front; sum over "
                "the others only."
            )
        return out

    def _bijector(self, name: str) -> Any:
        return self.bijectors.get(name, tfp.bijectors.Identity())

    @property
    def centre(self) -> NDArray[np.float64]:
        """The start, unconstrained, shape (dimensions,)."""
        return np.concatenate(
            [np.ravel(self._bijector(n).inverse(tf.constant(v))) for n, v in self.start.items()]
        )

    def _split(self, position: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Values (..., *shape) by name, and the log determinant of the Jacobian (...)."""
        shapes = [self._bijector(n).inverse_event_shape(v.shape) for n, v in self.start.items()]
        log_det, values = tf.zeros(position.shape[:-1], position.dtype), {}
        for name, raw, shape in zip(self.start, cut(position, shapes), shapes, strict=True):
            bijector = self._bijector(name)
            values[name] = bijector.forward(raw)
            log_det += bijector.forward_log_det_jacobian(raw, event_ndims=shape.rank)
        return values, log_det

    def values(self, position: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Values by name at unconstrained positions (..., dimensions)."""
        return {name: v.numpy() for name, v in self._split(tf.constant(position))[0].items()}

    def explain(self, position: NDArray[np.float64]) -> str:
        """What is not finite at an unconstrained position (dimensions,), and at what values."""
        return not_finite(position, self._split, lambda v: {"log_prob": self.log_prob(v)})

    def __call__(self, position: tf.Tensor, _: Any) -> tf.Tensor:
        """Log density (chains,) at unconstrained positions (chains, dimensions)."""
        values, log_det = self._split(position)
        return self.log_prob(values) + log_det

    @property
    def _structure(self) -> tuple[Any, ...]:
        shapes = tuple((name, value.shape) for name, value in self.start.items())
        return self.log_prob, shapes, frozenset((n, type(b)) for n, b in self.bijectors.items())

    def __hash__(self) -> int:
        """Equal for equal functions, shapes and bijectors, which then share a compiled program."""
        return hash(self._structure)

    def __eq__(self, other: object) -> bool:
        # TFP compares bijectors by type and parameters; those of equal arrays differ in their hash.
        return (
            isinstance(other, Density)
            and self._structure == other._structure
            and all(b == other.bijectors[name] for name, b in self.bijectors.items())
        )
