"""TFP's distributions, but with a normal density that takes fewer passes over the rows.

A bernoulli and a binomial of our own, with one sigmoid in the gradient instead of two, did not make
fits faster.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

HALF_LOG_2PI = np.float64(0.5 * np.log(2 * np.pi))


class Normal(tfd.Normal):  # type: ignore[name-defined]
    """A normal distribution with one division for each scale, not two for each row."""

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        z = (x - self.loc) * (1.0 / self.scale)
        return -0.5 * z * z - (tf.math.log(self.scale) + HALF_LOG_2PI)


distributions = SimpleNamespace(
    **{name: getattr(tfd, name) for name in dir(tfd) if not name.startswith("_")}
    | {"Normal": Normal}
)
"""`tfp.distributions` with `Normal` in place of TFP's."""
