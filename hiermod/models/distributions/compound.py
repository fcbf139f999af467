"""Distributions that are made of others: inflated, hurdles, mixtures, within bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from hiermod.models.distributions.bijectors import onto
from hiermod.models.distributions.row import Row, Tailed, tails


class Inflated(Tailed):
    """Zero with an additional probability, else a draw of another distribution of counts."""

    def __init__(self, base: Any, extra: Any) -> None:
        self.base = base
        super().__init__(extra=extra, base=tf.zeros(base.batch_shape_tensor(), tf.float64))

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        one, other = tf.math.log(self.p["extra"]), tf.math.log1p(-self.p["extra"])
        of_base = other + self.base.log_prob(y)
        return tf.where(y == 0, tfp.math.log_add_exp(one, of_base), of_base)

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Those of the other distribution, with the zeros below."""
        one, other = tf.math.log(self.p["extra"]), tf.math.log1p(-self.p["extra"])
        below, above = tails(self.base, y)
        return tfp.math.log_add_exp(one, other + below), other + above

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        extra = self._uniform(n, first) < self.p["extra"]
        return tf.where(extra, tf.zeros([], tf.float64), self.base.sample(n, seed=second))

    def _mean(self) -> tf.Tensor:
        return (1.0 - self.p["extra"]) * self.base.mean()

    def _variance(self) -> tf.Tensor:
        extra, mean = self.p["extra"], self.base.mean()
        return (1.0 - extra) * (self.base.variance() + extra * mean**2)


class Hurdle(Tailed):
    """Zero with a given probability, else a positive draw of another distribution."""

    TRIES = 1000

    def __init__(self, base: Any, zero: Any, counts: bool) -> None:
        self.base, self.counts = base, counts
        super().__init__(zero=zero, base=tf.zeros(base.batch_shape_tensor(), tf.float64))

    def _log_positive(self) -> tf.Tensor:
        """Log of the probability that the other distribution gives to positive values."""
        if not self.counts:
            return tf.zeros([], tf.float64)
        return tfp.math.log1mexp(self.base.log_prob(tf.zeros([], tf.float64)))

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        zero, other = tf.math.log(self.p["zero"]), tf.math.log1p(-self.p["zero"])
        inside = 1.0 if self.counts else 0.5  # anywhere, where the density is not used
        density = self.base.log_prob(
            tf.where(y == 0, tf.fill(tf.shape(y), tf.cast(inside, y.dtype)), y)
        )
        return tf.where(y == 0, zero, other + density - self._log_positive())

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of y of 0 or more."""
        zero, other = tf.math.log(self.p["zero"]), tf.math.log1p(-self.p["zero"])
        inside = 1.0 if self.counts else 0.5
        positive = y > 0
        below, above = tails(self.base, tf.where(positive, y, np.float64(inside)))
        if self.counts:
            # What its own zeros leave: of P(Y <= y) if these are few, else of P(Y > y).
            zeros, some = self.base.log_prob(tf.zeros([], tf.float64)), self._log_positive()
            few, above = zeros < -0.7, above - some
            rest = tfp.math.log1mexp(tf.where(few, below - zeros, np.float64(1)))
            small = tfp.math.log1mexp(tf.where(few, np.float64(-1), above))
            below = tf.where(few, below + rest - some, small)
        return (
            tf.where(positive, tfp.math.log_add_exp(zero, other + below), zero),
            other + tf.where(positive, above, np.float64(0)),
        )

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        zero = self._uniform(n, first) < self.p["zero"]
        drawn = self.base.sample(n, seed=second)
        nothing, one = tf.zeros_like(drawn), tf.ones_like(drawn)
        if self.counts:

            def again(drawn: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                seed, own = tfp.random.split_seed(seed, 2)
                return tf.where(drawn == 0, self.base.sample(n, seed=own), drawn), seed

            drawn, _ = tf.while_loop(
                lambda drawn, seed: tf.reduce_any(drawn == 0),
                again,
                (drawn, second),
                maximum_iterations=self.TRIES,
            )
            # What is still zero has so small a mean that a positive count is a one.
            drawn = tf.where(drawn == 0, one, drawn)
        return tf.where(zero, nothing, drawn)

    def _mean(self) -> tf.Tensor:
        return (1.0 - self.p["zero"]) * self.base.mean() / tf.exp(self._log_positive())

    def _variance(self) -> tf.Tensor:
        mean = self.base.mean()
        square = (self.base.variance() + mean**2) / tf.exp(self._log_positive())
        return (1.0 - self.p["zero"]) * square - self._mean() ** 2


class ZeroOneInflated(Tailed):
    """Zero or one with a probability `extra`, else a draw of another distribution inside (0, 1).

    What is extra is a one with the probability `ones`.
    """

    def __init__(self, base: Any, extra: Any, ones: Any) -> None:
        self.base = base
        shape = tf.zeros(base.batch_shape_tensor(), tf.float64)
        super().__init__(extra=extra, ones=ones, base=shape)

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        extra, ones = self.p["extra"], self.p["ones"]
        at_end = (y == 0) | (y == 1)
        inside = self.base.log_prob(tf.where(at_end, tf.fill(tf.shape(y), np.float64(0.5)), y))
        end = tf.math.log(extra) + tf.where(y == 1, tf.math.log(ones), tf.math.log1p(-ones))
        return tf.where(at_end, end, tf.math.log1p(-extra) + inside)

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of y from 0 to below 1."""
        extra, ones, positive = self.p["extra"], self.p["ones"], y > 0
        below, above = tails(self.base, tf.where(positive, y, np.float64(0.5)))
        zero, one = (tf.math.log(extra) + tf.math.log(share) for share in (1.0 - ones, ones))
        other = tf.math.log1p(-extra)
        return (
            tf.where(positive, tfp.math.log_add_exp(zero, other + below), zero),
            tfp.math.log_add_exp(one, other + tf.where(positive, above, np.float64(0))),
        )

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second, third = tfp.random.split_seed(seed, 3)
        end = tf.cast(self._uniform(n, second) < self.p["ones"], tf.float64)
        extra = self._uniform(n, first) < self.p["extra"]
        return tf.where(extra, end, self.base.sample(n, seed=third))

    def _mean(self) -> tf.Tensor:
        extra, ones = self.p["extra"], self.p["ones"]
        return extra * ones + (1.0 - extra) * self.base.mean()

    def _variance(self) -> tf.Tensor:
        extra, ones, mean = self.p["extra"], self.p["ones"], self.base.mean()
        square = extra * ones + (1.0 - extra) * (self.base.variance() + mean**2)
        return square - self._mean() ** 2


class Mixture(Row):
    """A draw of one of several distributions, each with its share: `shares` has shape (..., K)."""

    def __init__(self, shares: Any, *components: Any) -> None:
        self.components = components
        self.shares = tf.unstack(tf.convert_to_tensor(shares, tf.float64), axis=-1)
        shapes = {
            f"base{k}": tf.zeros(c.batch_shape_tensor(), tf.float64)
            for k, c in enumerate(components)
        }
        super().__init__(share=self.shares[0], **shapes)

    def _add(self, function: str, y: tf.Tensor) -> tf.Tensor:
        """Logarithm of the sum of densities, or probabilities, from those of the components."""
        parts = zip(self.shares, self.components, strict=True)
        first, *others = [tf.math.log(share) + getattr(c, function)(y) for share, c in parts]
        for other in others:
            # Two of -inf, outside of the support, would give NaN.
            first = tf.where(first == -np.inf, other, tfp.math.log_add_exp(first, other))
        return first

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        return self._add("log_prob", y)

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return self._add("log_cdf", y)

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return self._add("log_survival_function", y)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, *seeds = tfp.random.split_seed(seed, len(self.components) + 1)
        left = self._uniform(n, first)
        out, *others = [c.sample(n, seed=s) for c, s in zip(self.components, seeds, strict=True)]
        for share, other in zip(self.shares, others, strict=False):
            left -= share
            out = tf.where(left < 0, out, other)
        return out

    def _mean(self) -> tf.Tensor:
        parts = zip(self.shares, self.components, strict=True)
        return sum(share * c.mean() for share, c in parts)

    def _variance(self) -> tf.Tensor:
        mean = self._mean()
        parts = zip(self.shares, self.components, strict=True)
        return sum(share * (c.variance() + (c.mean() - mean) ** 2) for share, c in parts)

    def probs(self) -> tf.Tensor:
        """Probabilities of the categories, (..., K), of components that have them."""
        parts = zip(self.shares, self.components, strict=True)
        return sum(share[..., tf.newaxis] * c.probs() for share, c in parts)


class CircularMixture(Mixture):
    """One of angles: their mean is the direction of the mean of points on the unit circle.

    The variance is one minus the length of that, as of `tfd.VonMises`.
    """

    def _point(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean of the cosine and of the sine."""
        parts = [*zip(self.shares, self.components, strict=True)]
        lengths = [share * (1.0 - c.variance()) for share, c in parts]
        cosine = sum(r * tf.cos(c.mean()) for r, (_, c) in zip(lengths, parts, strict=True))
        return cosine, sum(r * tf.sin(c.mean()) for r, (_, c) in zip(lengths, parts, strict=True))

    def _mean(self) -> tf.Tensor:
        cosine, sine = self._point()
        return tf.atan2(sine, cosine)

    def _variance(self) -> tf.Tensor:
        cosine, sine = self._point()
        return 1.0 - tf.sqrt(cosine**2 + sine**2)


class Truncated(Row):
    """Another distribution between two ends, drawn by its quantiles.

    `mass` is its probability between them; given as a number it need not be compiled.
    """

    def __init__(self, base: Any, low: Any, high: Any, mass: Any = None, name: str = "") -> None:
        self.base = base
        shape = tf.zeros(base.batch_shape_tensor(), tf.float64)
        super().__init__(name=name, low=low, high=high, base=shape)
        self.mass = self._below("high") - self._below("low") if mass is None else mass

    def _default_event_space_bijector(self) -> Any:
        return onto(*(tf.get_static_value(self.p[end]) for end in ("low", "high")))

    def _below(self, end: str) -> tf.Tensor:
        """Probability of the whole distribution below an end."""
        x, tail = self.p[end], tf.constant(float(end == "high"), tf.float64)
        return tf.where(tf.math.is_inf(x), tail, self.base.cdf(x))

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        inside = (y >= self.p["low"]) & (y <= self.p["high"])
        return tf.where(inside, self.base.log_prob(y) - tf.math.log(self.mass), -np.inf)

    def _quantile(self, p: tf.Tensor) -> tf.Tensor:
        below = tf.minimum(self._below("low") + p * self.mass, 1.0 - 2.0**-53)
        return tf.clip_by_value(self.base.quantile(below), self.p["low"], self.p["high"])

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        return self.quantile(self._uniform(n, seed))
