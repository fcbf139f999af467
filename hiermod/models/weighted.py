"""A distribution whose log density counts with a weight."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class Weighted(tfd.Distribution):  # type: ignore[name-defined]
    """Rows whose log-likelihood is multiplied by a weight, as `weights()` of brms.

    Draws are those of the plain distribution: a weight says how much a row counts, not how it
    varies. With whole-number weights the likelihood is that of repeated rows.
    """

    def __init__(self, distribution: Any, weights: Any, name: str = "Weighted") -> None:
        self.distribution, self.weights = distribution, weights
        super().__init__(
            dtype=distribution.dtype,
            reparameterization_type=distribution.reparameterization_type,
            validate_args=False,
            allow_nan_stats=True,
            name=name,
        )

    def _batch_shape(self) -> tf.TensorShape:
        return self.distribution.batch_shape

    def _batch_shape_tensor(self) -> tf.Tensor:
        return self.distribution.batch_shape_tensor()

    def _event_shape(self) -> tf.TensorShape:
        return self.distribution.event_shape

    def _event_shape_tensor(self) -> tf.Tensor:
        return self.distribution.event_shape_tensor()

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        return self.distribution.sample(n, seed=seed)

    def _log_prob(self, value: tf.Tensor) -> tf.Tensor:
        return self.weights * self.distribution.log_prob(value)

    def _mean(self) -> tf.Tensor:
        return self.distribution.mean()

    def _default_event_space_bijector(self) -> Any:
        return self.distribution.experimental_default_event_space_bijector()
