"""Distributions of ordered categories, and of sorted numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from hiermod.models.distributions.row import Category, Row

tfb = tfp.bijectors


class Ordinal(Category):
    """One of K ordered categories.

    By K - 1 thresholds (..., K - 1), the location (...) and `disc`, one over the scale, of a latent
    variable, and by the logit of its distribution function.
    """

    def __init__(
        self, logit: Any, threshold: Any, location: Any, disc: Any, **parameters: Any
    ) -> None:
        self.logit, self.threshold = logit, tf.convert_to_tensor(threshold, tf.float64)
        self.size = self.threshold.shape[-1] + 2 - self.lowest
        each = self.threshold[..., 0]
        super().__init__(location=location, disc=disc, each=each, **parameters)

    def _latent(self) -> tf.Tensor:
        """Thresholds as seen from the location, (..., K - 1)."""
        location, disc = self.p["location"], self.p["disc"]
        return disc[..., tf.newaxis] * (self.threshold - location[..., tf.newaxis])


def between_logits(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Log of the difference of two probabilities, from their logits."""
    ends = tf.math.softplus(-high) + tf.math.softplus(low)
    return tf.math.log(-tf.math.expm1(low - high)) - ends


class Cumulative(Ordinal):
    """P(y <= k) is the distribution function at disc * (threshold[k] - location)."""

    def log_probs(self) -> tf.Tensor:
        """Log probabilities of the categories, (..., K)."""
        logits = self.logit(self._latent())
        first, last = -tf.math.softplus(-logits[..., :1]), -tf.math.softplus(logits[..., -1:])
        return tf.concat([first, between_logits(logits[..., :-1], logits[..., 1:]), last], -1)

    def _of(self, y: tf.Tensor) -> tf.Tensor:
        # Two thresholds of every row count: the link is worked out at these alone.
        size = self.threshold.shape[-1]

        def at(k: tf.Tensor) -> tf.Tensor:
            own = self.threshold[..., 0]
            for number in range(2, size + 1):
                own = tf.where(k == number, self.threshold[..., number - 1], own)
            return self.logit(self.p["disc"] * (own - self.p["location"]))

        first, last, high, low = y == 1, y == size + 1, at(y), at(y - 1)
        up_to, above = -tf.math.softplus(-high), -tf.math.softplus(low)
        gap = tf.where(first | last, np.float64(-1), low - high)
        inside = tf.math.log(-tf.math.expm1(gap)) + up_to + above  # as between_logits
        return tf.where(first, up_to, tf.where(last, above, inside))


class HurdleCumulative(Cumulative):
    """Zero with the probability `hurdle`, else one of the categories of `Cumulative`."""

    lowest = 0

    def __init__(self, logit: Any, threshold: Any, location: Any, disc: Any, hurdle: Any) -> None:
        super().__init__(logit, threshold, location, disc, hurdle=hurdle)

    def log_probs(self) -> tf.Tensor:
        """Log probabilities of zero and the categories, (..., K + 1)."""
        table, hurdle = super().log_probs(), self.p["hurdle"][..., tf.newaxis]
        table += tf.math.log1p(-hurdle)
        return tf.concat([tf.math.log(hurdle) + tf.zeros_like(table[..., :1]), table], -1)

    def _of(self, y: tf.Tensor) -> tf.Tensor:
        category = super()._of(tf.maximum(y, np.float64(1)))
        zero, other = tf.math.log(self.p["hurdle"]), tf.math.log1p(-self.p["hurdle"])
        return tf.where(y == 0, zero, other + category)


class StoppingRatio(Ordinal):
    """P(y = k | y >= k) is the distribution function at disc * (threshold[k] - location)."""

    def log_probs(self) -> tf.Tensor:
        """Log probabilities of the categories, (..., K)."""
        logits = self.logit(self._latent())
        stay, passed = -tf.math.softplus(-logits), -tf.math.softplus(logits)
        before = tf.cumsum(passed, -1)
        return tf.concat([stay[..., :1], stay[..., 1:] + before[..., :-1], before[..., -1:]], -1)


class ContinuationRatio(Ordinal):
    """P(y > k | y >= k) is the distribution function at disc * (location - threshold[k])."""

    def log_probs(self) -> tf.Tensor:
        """Log probabilities of the categories, (..., K)."""
        logits = self.logit(-self._latent())
        stay, passed = -tf.math.softplus(logits), -tf.math.softplus(-logits)
        before = tf.cumsum(passed, -1)
        return tf.concat([stay[..., :1], stay[..., 1:] + before[..., :-1], before[..., -1:]], -1)


class AdjacentCategory(Ordinal):
    """P(y = k + 1 | y is k or k + 1) is the one at disc * (location - threshold[k])."""

    def log_probs(self) -> tf.Tensor:
        """Log probabilities of the categories, (..., K)."""
        sums = tf.cumsum(self.logit(-self._latent()), -1)
        return tf.math.log_softmax(tf.concat([tf.zeros_like(sums[..., :1]), sums], -1), -1)


class Ordered(Row):
    """Numbers in ascending order that were drawn independently, and sorted."""

    def __init__(self, base: Any, size: int, name: str = "") -> None:
        self.base, self.size = base, size
        super().__init__(name=name)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self.size])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self.size], tf.int32)

    def _default_event_space_bijector(self) -> Any:
        return tfb.Ascending()

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        ascending = tf.reduce_all(x[..., 1:] > x[..., :-1], -1)
        orders = tf.math.lgamma(np.float64(self.size + 1))
        density = tf.reduce_sum(self.base.log_prob(x), -1) + orders
        return tf.where(ascending, density, np.float64(-np.inf))

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        return tf.sort(self.base.sample([n, self.size], seed=seed), axis=-1)
