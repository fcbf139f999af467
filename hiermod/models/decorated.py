"""Distributions of rows that a response's decorations change: weights, censoring, truncation."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class Decorated(tfd.Distribution):  # type: ignore[name-defined]
    """Another density for the rows of a distribution; draws and means are those of the plain one.

    `given` are numbers of the rows that the density needs, None where there are none; `least` is
    what all responses are larger than.
    """

    def __init__(self, distribution: Any, least: float = -np.inf, **given: Any) -> None:
        self.distribution, self.least, self.given = distribution, least, given
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

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Log P(Y <= y) and log P(Y > y) of the plain distribution, y outside the support too."""
        inside = y > self.least
        safe = tf.where(inside, y, tf.ones_like(y))
        below, above = (
            self.distribution.log_cdf(safe),
            self.distribution.log_survival_function(safe),
        )
        return tf.where(inside, below, -np.inf), tf.where(inside, above, 0.0)

    def log_between(self, low: Any, high: Any) -> tf.Tensor:
        """Log P(low < Y <= high) of the plain distribution; None is no bound."""
        if low is None or high is None:
            return self.log_tails(high)[0] if low is None else self.log_tails(low)[1]
        empty = high <= low
        below_low, above_low = self.log_tails(low)
        below_high, above_high = self.log_tails(tf.where(empty, low + 1.0, high))
        # A difference of the smaller tails keeps the digits.
        upper = above_low < below_low
        large = tf.where(upper, above_low, below_high)
        small = tf.where(upper, above_high, below_low)
        gap = tf.maximum(large - small, np.finfo(np.float64).tiny)
        return tf.where(empty, np.float64(-np.inf), large + tfp.math.log1mexp(gap))


class Weighted(Decorated):
    """Rows whose log-likelihood is multiplied by a weight, as `weights()` of brms.

    Draws are those of the plain distribution: a weight says how much a row counts, not how it
    varies. With whole-number weights the likelihood is that of repeated rows.
    """

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        return self.given["weights"] * self.distribution.log_prob(y)


class Censored(Decorated):
    """Rows of which some are known to an interval only, as `cens()` of brms.

    By status, the log-likelihood of a row is the log of: -1, P(Y <= y); 0, the density; 1,
    P(Y > y); 2, P(y < Y <= y2). Draws are of what was censored.
    """

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        status, y2 = self.given["status"], self.given["y2"]
        below, above = self.log_tails(y)
        exact = self.distribution.log_prob(
            tf.where((status == 0) | (y > self.least), y, tf.ones_like(y))
        )
        out = tf.where(status == 0, exact, tf.where(status < 0, below, above))
        return out if y2 is None else tf.where(status == 2, self.log_between(y, y2), out)


class Truncated(Decorated):
    """Rows observed because they lie from `lower` to `upper`, both included, as `trunc()` of brms.

    Draws lie there; the mean is that without the bounds.
    """

    STEPS = 64

    def bounds(self) -> tuple[Any, Any]:
        """Bounds of which the lower one is not included: of counts, the next lower number."""
        lower, upper = self.given["lower"], self.given["upper"]
        if not self.given["counts"]:
            return lower, upper
        return (
            None if lower is None else tf.math.ceil(lower) - 1.0,
            None if upper is None else tf.math.floor(upper),
        )

    def within(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Log P(lower <= Y <= y) and log P(y < Y <= upper), for y between the bounds."""
        low, high = self.bounds()
        return self.log_between(low, y), self.log_between(y, high)

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        return self.distribution.log_prob(y) - self.log_between(*self.bounds())

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return self.within(y)[0] - self.log_between(*self.bounds())

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return self.within(y)[1] - self.log_between(*self.bounds())

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        """The inverse of the distribution function, by bisection of asinh(y)."""
        shape = tf.concat([[n], self._batch_shape_tensor()], 0)
        seed = tfp.random.sanitize_seed(seed)
        least = np.finfo(np.float64).tiny
        uniform = tf.random.stateless_uniform(shape, seed, minval=least, dtype=tf.float64)
        lower, upper = self.bounds()
        share = tf.math.log(uniform) + self.log_between(lower, upper)
        half, far = (0.5, 37.0) if self.given["counts"] else (0.0, 300.0)
        start = max(self.least, -np.sinh(far)) if lower is None else tf.maximum(lower, self.least)
        low = tf.zeros(shape, tf.float64) + tf.asinh(tf.cast(start, tf.float64))
        high = tf.zeros(shape, tf.float64)
        high += np.float64(far) if upper is None else tf.asinh(upper + half)

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
        drawn = drawn if lower is None else tf.maximum(drawn, lower)
        return drawn if upper is None else tf.minimum(drawn, upper)


KINDS = {kind.__name__: kind for kind in (Decorated, Weighted, Censored, Truncated)}
"""By name, for the expressions of likelihoods."""
