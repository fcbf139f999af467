"""What distributions of a row share."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd, tfb = tfp.distributions, tfp.bijectors


class Row(tfd.Distribution):  # type: ignore[name-defined]
    """Single numbers; keyword arguments are parameters that broadcast."""

    def __init__(self, *, name: str = "", **parameters: Any) -> None:
        self.p = {k: tf.convert_to_tensor(v, tf.float64) for k, v in parameters.items()}
        super().__init__(
            dtype=tf.float64,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            name=name or type(self).__name__,
        )

    def _batch_shape(self) -> tf.TensorShape:
        shape = tf.TensorShape([])
        for v in self.p.values():
            shape = tf.broadcast_static_shape(shape, v.shape)
        return shape

    def _batch_shape_tensor(self) -> tf.Tensor:
        shape = tf.constant([], tf.int32)
        for v in self.p.values():
            shape = tf.broadcast_dynamic_shape(shape, tf.shape(v))
        return shape

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _default_event_space_bijector(self) -> Any:
        return tfb.Identity()

    def _shape(self, n: Any) -> tf.Tensor:
        return tf.concat([[n], self._batch_shape_tensor()], 0)

    def _uniform(self, n: Any, seed: Any) -> tf.Tensor:
        """Uniform numbers in (0, 1) for `n` draws."""
        least = np.finfo(np.float64).tiny
        return tf.random.stateless_uniform(
            self._shape(n), tfp.random.sanitize_seed(seed), minval=least, dtype=tf.float64
        )

    def _normal(self, n: Any, seed: Any) -> tf.Tensor:
        """Standard normal numbers for `n` draws."""
        seed = tfp.random.sanitize_seed(seed)
        return tf.random.stateless_normal(self._shape(n), seed, dtype=tf.float64)


class Category(Row):
    """One of K categories, numbered from `lowest`; `size` is K."""

    size: int
    lowest = 1

    def log_probs(self) -> tf.Tensor:
        """Log probabilities of the categories, (..., K)."""
        raise NotImplementedError

    def _numbers(self) -> tf.Tensor:
        """The categories."""
        return tf.range(self.lowest, self.lowest + self.size, dtype=tf.float64)

    def _of(self, y: tf.Tensor) -> tf.Tensor:
        """Log probability of categories that there are."""
        table, number = self.log_probs(), self._numbers()
        chosen = tf.where(y[..., tf.newaxis] == number, table, tf.zeros_like(table))
        return tf.reduce_sum(chosen, -1)

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        inside = (y >= self.lowest) & (y < self.lowest + self.size)
        return tf.where(inside, self._of(y), np.float64(-np.inf))

    def probs(self) -> tf.Tensor:
        """Probabilities of the categories, (..., K)."""
        return tf.exp(self.log_probs())

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        below = tf.cumsum(self.probs(), -1)[..., :-1]
        above = self._uniform(n, seed)[..., tf.newaxis] > below
        return self.lowest + tf.reduce_sum(tf.cast(above, tf.float64), -1)

    def _mean(self) -> tf.Tensor:
        return tf.reduce_sum(self.probs() * self._numbers(), -1)

    def _variance(self) -> tf.Tensor:
        distance = self._numbers() - self._mean()[..., tf.newaxis]
        return tf.reduce_sum(self.probs() * distance**2, -1)


class Tailed(Row):
    """Rows whose two tails come from one computation, `log_tails`."""

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Log P(Y <= y) and log P(Y > y)."""
        raise NotImplementedError

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return self.log_tails(y)[0]

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return self.log_tails(y)[1]


def tails(distribution: Any, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Log P(Y <= y) and log P(Y > y) of a distribution of rows."""
    if isinstance(distribution, Tailed):
        return distribution.log_tails(y)
    return distribution.log_cdf(y), distribution.log_survival_function(y)


def log_reached(z: tf.Tensor) -> tf.Tensor:
    """log(1 - exp(-exp(z))), which is z far below zero."""
    small = z < -30.0
    return tf.where(small, z, tfp.math.log1mexp(growth(tf.where(small, tf.zeros_like(z), z))))


def growth(z: tf.Tensor) -> tf.Tensor:
    """exp(z), finite for all z: else derivatives of rows that do not use it would not be."""
    return tf.exp(tf.minimum(z, 700.0))


def log_phi(z: tf.Tensor) -> tf.Tensor:
    """Log of the standard normal distribution function; TFP's takes three times as long."""
    size = tf.where(z > 0.0, z, -z)  # the slope of tf.abs is zero at zero
    tail = 0.5 * tf.math.erfc(tf.minimum(size, 37.0) / np.sqrt(2))
    far = z < -37.0
    inside = tf.where(z > 0.0, 1.0 - tail, tf.where(far, far_tail(tf.maximum(size, 37.0)), tail))
    return tf.math.log(inside) - tf.where(far, 0.5 * z * z, tf.zeros_like(z))


def far_tail(z: tf.Tensor) -> tf.Tensor:
    """P(Z > z) exp(z^2 / 2) of a standard normal number, from z = 37 on, by a series."""
    square = 1.0 / (z * z)  # the next term is below 1e-13
    series = 1.0 - square * (1.0 - 3.0 * square * (1.0 - 5.0 * square * (1.0 - 7.0 * square)))
    return series / (z * np.sqrt(2 * np.pi))


def log_or(p: tf.Tensor, far: tf.Tensor) -> tf.Tensor:
    """log(p), or an approximation where p is too small for float64."""
    small = p < 1e-290
    return tf.where(small, far, tf.math.log(tf.where(small, tf.ones_like(p), p)))


def with_slope(x: tf.Tensor, value: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """A value whose derivative in x is `slope`."""
    return value + (x - tf.stop_gradient(x)) * tf.stop_gradient(slope)


def shifted(x: tf.Tensor, low: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A positive number, raised by 10 where `low`, and what leads back from there.

    That is the product x (x + 1) ... (x + 9), by which the gamma function has grown, and the
    derivative of its logarithm; one and zero where x is not low.
    """
    product, slope = tf.where(low, x, tf.ones_like(x)), tf.ones_like(x)
    for i in range(1, 10):
        factor = tf.where(low, x + float(i), tf.ones_like(x))
        product, slope = product * factor, slope * factor + product
    none = tf.zeros_like(x)
    return tf.where(low, x + 10.0, x), product, tf.where(low, slope / product, none)


def digamma_rest(x: tf.Tensor) -> tf.Tensor:
    """log(x) - 1 / (2 x) - digamma(x), for x of 10 or more."""
    s = 1.0 / (x * x)
    series = 1 / 252 - s * (1 / 240 - s * (1 / 132 - s * (691 / 32760)))
    return s * (1 / 12 - s * (1 / 120 - s * series))


def stirling_rest(x: tf.Tensor) -> tf.Tensor:
    """lgamma(x) - ((x - 1/2) log(x) - x + log(2 pi) / 2), for x of 10 or more."""
    s = 1.0 / (x * x)
    series = 1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - s * (691 / 360360 - s / 156)))
    return (1 / 12 - s * (1 / 360 - s * series)) / x


@tf.custom_gradient
def stirling_excess(a: tf.Tensor) -> Any:
    """lgamma(a) - ((a - 1/2) log(a) - a + log(2 pi) / 2), small for large a.

    By Stirling's series (Abramowitz and Stegun, 6.1.41), as `rising`: several times as fast as
    TensorFlow's function in XLA, and its derivative has all digits.
    """
    low = a < 10.0
    size, product, slope = shifted(a, low)
    log, log_size = tf.math.log(a), tf.math.log(size)
    more = (size - 0.5) * log_size - (a - 0.5) * log - (size - a) - tf.math.log(product)
    excess = stirling_rest(size) + tf.where(low, more, tf.zeros_like(a))

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        digamma = log_size - log - 0.5 / size + 0.5 / a - slope
        return upstream * (tf.where(low, digamma, tf.zeros_like(a)) - digamma_rest(size))

    return excess, gradient


def log_dirichlet(phi: tf.Tensor, each: Any) -> tf.Tensor:
    """Log density of shares; of each, the logarithms of its mean and of the share itself.

    Stirling's formula for each gamma function: what is large in it cancels by hand.
    """
    log_phi, half = tf.math.log(phi), 0.5 * np.log(2 * np.pi)
    total = stirling_excess(phi) - 0.5 * log_phi + half
    for log_mean, log in each:
        a = tf.maximum(phi * tf.exp(log_mean), np.finfo(np.float64).tiny)
        total += a * (log - log_mean) - log - stirling_excess(a) + 0.5 * (log_phi + log_mean) - half
    return total


def rising(a: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """lgamma(a + k) - lgamma(a) for whole k, exact to rounding for huge `a` too.

    So is its derivative in `a` (Abramowitz and Stegun, 6.3.18); there is none in `k`, which are
    data.
    """
    whole = tf.zeros_like(a + k)

    @tf.custom_gradient
    def rise(a: tf.Tensor) -> Any:
        low = a < 10.0
        begin, product, turn = shifted(a, low)
        end, end_product, end_turn = shifted(a + k, low)
        ratio = tf.math.log1p(k / begin)
        value = (begin - 0.5) * ratio + k * (tf.math.log(end) - 1.0)
        value += stirling_rest(end) - stirling_rest(begin)
        value -= tf.math.log(end_product) - tf.math.log(product)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            slope = ratio + 0.5 * k / (begin * end) - (end_turn - turn)
            return upstream * (slope + digamma_rest(begin) - digamma_rest(end))

        return value, gradient

    return rise(a + whole)


def chances(logit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A probability and one minus it; neither is ever zero, where a gamma function has no value."""
    least = np.finfo(np.float64).tiny
    return (
        tf.maximum(tf.math.sigmoid(logit), least),
        tf.maximum(tf.math.sigmoid(-logit), least),
    )


def log1p_ratio(u: tf.Tensor) -> tf.Tensor:
    """log(1 + u) / u, with all digits of its derivative near zero too, by its series."""
    small = tf.abs(u) < 1e-3
    far = tf.where(small, tf.ones_like(u), u)
    near, series = tf.where(small, u, tf.zeros_like(u)), tf.zeros_like(u)
    for k in range(6, 0, -1):
        series = 1.0 / k - near * series
    return tf.where(small, series, tf.math.log1p(far) / far)
