"""Distributions of rows that a response's decorations change: weights, censoring, truncation."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from hiermod.models.distributions.row import tails
from hiermod.models.lean import log_kernel

tfd = tfp.distributions


class Decorated(tfd.Distribution):  # type: ignore[name-defined]
    """Another density for the rows of a distribution; draws and means are those of the plain one.

    `given` are numbers of the rows that the density needs, None where there are none.
    """

    def __init__(self, distribution: Any, **given: Any) -> None:
        self.distribution, self.given = distribution, given
        super().__init__(
            dtype=distribution.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            name=type(self).__name__,
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

    def _mean(self) -> tf.Tensor:
        return self.distribution.mean()

    def _default_event_space_bijector(self) -> Any:
        return self.distribution.experimental_default_event_space_bijector()


class Weighted(Decorated):
    """Rows whose log-likelihood is multiplied by a weight, as `weights()` of brms.

    Draws are those of the plain distribution: a weight says how much a row counts, not how it
    varies. With whole-number weights the likelihood is that of repeated rows.
    """

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        return self.given["weights"] * self.distribution.log_prob(y)

    def log_kernel(self, y: tf.Tensor) -> tf.Tensor:
        """The same without what depends on the data alone."""
        return self.given["weights"] * log_kernel(self.distribution, y)


class Bounded(Decorated):
    """Rows that are censored or truncated, as `cens()` and `trunc()` of brms.

    By status, a row has the log-likelihood: -1, log P(Y <= y); 0, the log density; 1, log P(Y > y);
    2, log P(y < Y <= y2). Rows are observed because they lie from `lower` to `upper`, both
    included, so all this is given that they do. Draws lie there, and are of what was censored;
    the mean is that without the bounds. All responses are larger than `least`, or equal to it if
    it is `reached`, and at most `most`.
    """

    STEPS = 64

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Log P(Y <= y) and log P(Y > y) of the plain distribution, for all y."""
        inside = self._above_least(y) & (y < self.given["most"])
        safe = tf.where(inside, y, self._inside())
        below, above = tails(self.distribution, safe)
        none, whole = tf.constant(-np.inf, tf.float64), tf.zeros([], tf.float64)
        high = y >= self.given["most"]
        return (
            tf.where(inside, below, tf.where(high, whole, none)),
            tf.where(inside, above, tf.where(high, none, whole)),
        )

    def _above_least(self, y: tf.Tensor) -> tf.Tensor:
        """Where a number has responses at or below it."""
        least = self.given["least"]
        return y >= least if self.given["reached"] else y > least

    def _inside(self) -> tf.Tensor:
        """A response, for rows that do not use it."""
        most = self.given["most"]
        middle = 0.5 * (self.given["least"] + most) if np.isfinite(most) else 1.0
        return tf.constant(middle, tf.float64)

    def log_between(self, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        """Log P(low < Y <= high) of the plain distribution."""
        empty = high <= low
        # Both at once: what is compiled is half as long.
        ends = tf.stack([low + tf.zeros_like(high), tf.where(empty, low + 1.0, high)])
        for _ in range(self.distribution.batch_shape.rank - ends.shape.rank + 1):
            ends = tf.expand_dims(ends, 1)
        below, above = self.log_tails(ends)
        (below_low, below_high), (above_low, above_high) = tf.unstack(below), tf.unstack(above)
        # A difference of the smaller tails keeps the digits.
        upper = above_low < below_low
        large = tf.where(upper, above_low, below_high)
        small = tf.where(upper, above_high, below_low)
        gap = tf.maximum(large - small, np.finfo(np.float64).tiny)
        return tf.where(empty, np.float64(-np.inf), large + tfp.math.log1mexp(gap))

    def bounds(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Bounds of which the lower one is not included: of counts, the next lower number."""
        lower, upper = self.given["lower"], self.given["upper"]
        lower = tf.constant(-np.inf, tf.float64) if lower is None else lower
        upper = tf.constant(np.inf, tf.float64) if upper is None else upper
        if self.given["reached"]:
            lower = tf.where(lower <= self.given["least"], np.float64(-np.inf), lower)
        if not self.given["counts"]:
            return lower, upper
        return tf.math.ceil(lower) - 1.0, tf.math.floor(upper)

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        lower, upper = self.bounds()
        status, y2 = self.given["status"], self.given["y2"]
        whole = tf.zeros([], tf.float64)
        if self.given["lower"] is not None or self.given["upper"] is not None:
            whole = self.log_between(lower, upper)
        if status is None:
            return self.distribution.log_prob(y) - whole
        within = self._above_least(y) & (y <= self.given["most"])
        safe = tf.where((status == 0) | within, y, self._inside())
        exact = self.distribution.log_prob(safe)
        low = tf.where(status < 0, lower, y)
        high = tf.where(status < 0, y, upper if y2 is None else tf.where(status == 2, y2, upper))
        return tf.where(status == 0, exact, self.log_between(low, high)) - whole

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        if self.given["lower"] is None and self.given["upper"] is None:
            return self.distribution.sample(n, seed=seed)
        # The inverse of the distribution function, by bisection of asinh(y).
        shape = tf.concat([[n], self._batch_shape_tensor()], 0)
        seed = tfp.random.sanitize_seed(seed)
        least = np.finfo(np.float64).tiny
        uniform = tf.random.stateless_uniform(shape, seed, minval=least, dtype=tf.float64)
        lower, upper = self.bounds()
        share = tf.math.log(uniform) + self.log_between(lower, upper)
        half, far = (0.5, 37.0) if self.given["counts"] else (0.0, 300.0)
        zero = tf.zeros(shape, tf.float64)
        least, most = self.given["least"], self.given["most"]
        low = zero + tf.maximum(tf.asinh(tf.maximum(lower, least)), -far)
        high = zero + tf.minimum(tf.asinh(tf.minimum(upper, most) + half), far)

        def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            middle = 0.5 * (low + high)
            y = tf.sinh(middle)
            y = tf.math.floor(y) if self.given["counts"] else y
            reached = self.log_between(lower, y) >= share
            return tf.where(reached, low, middle), tf.where(reached, middle, high)

        _, high = tf.while_loop(lambda *_: True, halve, (low, high), maximum_iterations=self.STEPS)
        drawn = tf.sinh(high)
        if self.given["counts"]:
            return tf.math.floor(drawn)
        drawn = tf.clip_by_value(drawn, lower, tf.minimum(upper, most))
        if not self.given["reached"]:
            return drawn
        least = tf.constant(least, tf.float64)
        return tf.where(self.log_between(lower, least) >= share, least, drawn)
