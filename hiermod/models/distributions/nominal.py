"""Distributions of categories without an order, and of shares and counts of several."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from hiermod.models.distributions.row import Category, Row, log_dirichlet, rising

tfd = tfp.distributions


class Softmax(Row):
    """Rows of K probabilities, in the ratios of the exponentials of K linear predictors."""

    def __init__(self, *predictors: Any, name: str = "", **parameters: Any) -> None:
        self.size = len(predictors)
        numbered = {f"eta{i}": predictor for i, predictor in enumerate(predictors)}
        super().__init__(name=name, **numbered, **parameters)

    def log_each(self) -> list[tf.Tensor]:
        """Their logarithms, one tensor for each: what is not stacked is quicker."""
        etas = [self.p[f"eta{i}"] for i in range(self.size)]
        largest = etas[0]
        for eta in etas[1:]:
            largest = tf.maximum(largest, eta)
        largest = tf.stop_gradient(largest)
        total = largest + tf.math.log(sum(tf.exp(eta - largest) for eta in etas))
        return [eta - total for eta in etas]

    def log_shares(self) -> tf.Tensor:
        """Their logarithms, (..., K)."""
        shape = self._batch_shape_tensor()
        return tf.stack([tf.broadcast_to(one, shape) for one in self.log_each()], axis=-1)


class Categorical(Softmax, Category):
    """One of K categories."""

    def log_probs(self) -> tf.Tensor:
        """Log probabilities of the categories, (..., K)."""
        return self.log_shares()

    def _of(self, y: tf.Tensor) -> tf.Tensor:
        first, *others = self.log_each()
        for number, one in enumerate(others, start=2):
            first = tf.where(y == number, one, first)
        return first


class Columns(Softmax):
    """K numbers in every row, (..., K)."""

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self.size])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self.size], tf.int32)


def log_ways(y: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
    """Logarithm of the number of orders in which n things, y of each kind, can come."""
    return tf.math.lgamma(n + 1.0) - tf.reduce_sum(tf.math.lgamma(y + 1.0), axis=-1)


def split(n: tf.Tensor, shares: tf.Tensor, seed: Any) -> tf.Tensor:
    """Counts (..., K) of `n` things of K kinds, one kind after the other."""
    size = shares.shape[-1]
    left, rest, counts = n + tf.zeros_like(shares[..., 0]), tf.ones_like(shares[..., 0]), []
    for k, one in enumerate(tfp.random.split_seed(seed, size)):
        chance = tf.clip_by_value(tf.math.divide_no_nan(shares[..., k], rest), 0.0, 1.0)
        if k == size - 1:
            chance = tf.ones_like(chance)
        counts.append(tfd.Binomial(left, probs=chance).sample(seed=one))
        left, rest = left - counts[-1], rest - shares[..., k]
    return tf.stack(counts, axis=-1)


class Multinomial(Columns):
    """Counts of `trials` things of K kinds."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        powers = sum(y[..., k] * one for k, one in enumerate(self.log_each()))
        return log_ways(y, self.p["trials"]) + powers

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        shares = tf.broadcast_to(
            tf.exp(self.log_shares()), tf.concat([self._shape(n), [self.size]], 0)
        )
        return split(self.p["trials"], shares, seed)

    def _mean(self) -> tf.Tensor:
        return self.p["trials"][..., tf.newaxis] * tf.exp(self.log_shares())

    def _variance(self) -> tf.Tensor:
        shares = tf.exp(self.log_shares())
        return self.p["trials"][..., tf.newaxis] * shares * (1.0 - shares)


class Dirichlet(Columns):
    """Shares of a whole, with means of which phi is the precision: concentrations mean * phi."""

    def concentrations(self) -> tf.Tensor:
        """Of the shares, (..., K)."""
        return self.p["phi"][..., tf.newaxis] * tf.exp(self.log_shares())

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        logs = (tf.math.log(y[..., k]) for k in range(self.size))
        return log_dirichlet(self.p["phi"], zip(self.log_each(), logs, strict=True))

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        # By logarithms: gamma numbers of small concentrations would be zero.
        logs = tfd.ExpGamma(self.concentrations(), tf.ones([], tf.float64)).sample(n, seed=seed)
        # A share that rounds to zero is not in the support.
        shares = tf.maximum(tf.nn.softmax(logs), 1e-300)
        return tf.broadcast_to(shares, tf.concat([self._shape(n), [self.size]], 0))

    def _mean(self) -> tf.Tensor:
        return tf.exp(self.log_shares())

    def _variance(self) -> tf.Tensor:
        shares = tf.exp(self.log_shares())
        return shares * (1.0 - shares) / (1.0 + self.p["phi"][..., tf.newaxis])


class DirichletMultinomial(Dirichlet):
    """Counts of `trials` things of K kinds, whose shares are Dirichlet in every row."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        n, phi = self.p["trials"], self.p["phi"]
        each = enumerate(phi * tf.exp(one) for one in self.log_each())
        more = sum(rising(one, y[..., k]) for k, one in each) - rising(phi, n)
        return log_ways(y, n) + more

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        return split(self.p["trials"], super()._sample_n(n, first), second)

    def _mean(self) -> tf.Tensor:
        return self.p["trials"][..., tf.newaxis] * tf.exp(self.log_shares())

    def _variance(self) -> tf.Tensor:
        n, more = (self.p[name][..., tf.newaxis] for name in ("trials", "phi"))
        return n * super()._variance() * (n + more)
