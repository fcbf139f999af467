"""Distributions of positive numbers and of shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from hiermod.models.distributions.row import (
    Row,
    Tailed,
    chances,
    growth,
    log_dirichlet,
    log_or,
    log_reached,
)
from hiermod.models.distributions.special import log_beta_tails

tfd = tfp.distributions


class Exponential(tfd.Exponential):  # type: ignore[name-defined]
    """With logarithms of its tails."""

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return log_reached(tf.math.log(self.rate) + tf.math.log(y))

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return -self.rate * y


class ShiftedLogNormal(Row):
    """A lognormal number and a shift that every response is longer than."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        inside = y > self.p["shift"]
        left = tf.where(inside, y - self.p["shift"], 1.0)
        log = tf.math.log(left)
        z = (log - self.p["loc"]) * (1.0 / self.p["scale"])
        constant = tf.math.log(self.p["scale"]) + 0.5 * np.log(2 * np.pi)
        return tf.where(inside, -0.5 * z * z - log - constant, -np.inf)

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        inside = y > self.p["shift"]
        log = tf.math.log(tf.where(inside, y - self.p["shift"], 1.0))
        tail = tfd.Normal(self.p["loc"], self.p["scale"]).log_cdf(log)
        return tf.where(inside, tail, -np.inf)

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        inside = y > self.p["shift"]
        log = tf.math.log(tf.where(inside, y - self.p["shift"], 1.0))
        tail = tfd.Normal(self.p["loc"], self.p["scale"]).log_survival_function(log)
        return tf.where(inside, tail, 0.0)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        log = self.p["loc"] + self.p["scale"] * self._normal(n, seed)
        return self.p["shift"] + tf.exp(log)

    def _mean(self) -> tf.Tensor:
        return self.p["shift"] + tf.exp(self.p["loc"] + 0.5 * self.p["scale"] ** 2)

    def _variance(self) -> tf.Tensor:
        square = self.p["scale"] ** 2
        spread = tf.math.expm1(square) * tf.exp(2.0 * self.p["loc"] + square)
        return tf.broadcast_to(spread, self._batch_shape_tensor())


class Gamma(Row):
    """By its mean and shape: the variance is mean^2 / shape.

    (The derivative of TFP's density in the shape is wrong where that is exactly one.)
    """

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        shape = self.p["shape"]
        log_rate = tf.math.log(shape) - self.p["log_mean"]
        powers = shape * (log_rate + tf.math.log(y)) - tf.math.log(y)
        return powers - tf.exp(log_rate) * y - tf.math.lgamma(shape)

    def _log_tail(self, y: tf.Tensor, above: bool) -> tf.Tensor:
        """The incomplete gamma function, or its leading term."""
        shape = self.p["shape"] + tf.zeros_like(y + self.p["log_mean"])
        log_x = tf.math.log(shape) - self.p["log_mean"] + tf.math.log(y)
        x = growth(log_x)
        power = shape * log_x - x - tf.math.lgamma(shape)
        if above:
            p, far = tf.math.igammac(shape, x), power - log_x
            ratio = (shape - 1.0) / x
        else:
            p, far = tf.math.igamma(shape, x), power - tf.math.log(shape)
            ratio = x / (shape + 1.0)
        return log_or(p, far - tf.math.log1p(-tf.minimum(ratio, 0.999)))

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return self._log_tail(y, False)

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return self._log_tail(y, True)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        log_unit = tf.math.log(tf.broadcast_to(self.p["shape"], self._batch_shape_tensor()))
        log_rate = log_unit - self.p["log_mean"]
        return tf.exp(tfd.ExpGamma(tf.exp(log_unit), log_rate=log_rate).sample(n, seed=seed))

    def _mean(self) -> tf.Tensor:
        return tf.broadcast_to(tf.exp(self.p["log_mean"]), self._batch_shape_tensor())

    def _variance(self) -> tf.Tensor:
        return tf.exp(2.0 * self.p["log_mean"]) / self.p["shape"]


class Weibull(Row):
    """By its mean and shape: the scale is mean / gamma(1 + 1 / shape)."""

    def _log_scale(self) -> tf.Tensor:
        return self.p["log_mean"] - tf.math.lgamma(1.0 + 1.0 / self.p["shape"])

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        shape = self.p["shape"]
        z = shape * (tf.math.log(y) - self._log_scale())
        return tf.math.log(shape) - tf.math.log(y) + z - tf.exp(z)

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return log_reached(self.p["shape"] * (tf.math.log(y) - self._log_scale()))

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return -growth(self.p["shape"] * (tf.math.log(y) - self._log_scale()))

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        unit = -tf.math.log(self._uniform(n, seed))
        return tf.exp(self._log_scale() + tf.math.log(unit) / self.p["shape"])

    def _mean(self) -> tf.Tensor:
        return tf.broadcast_to(tf.exp(self.p["log_mean"]), self._batch_shape_tensor())

    def _variance(self) -> tf.Tensor:
        shape = self.p["shape"]
        ratio = tf.math.lgamma(1.0 + 2.0 / shape) - 2.0 * tf.math.lgamma(1.0 + 1.0 / shape)
        return tf.exp(2.0 * self.p["log_mean"]) * tf.math.expm1(ratio)


class InverseGaussian(Row):
    """By its mean and shape: the variance is mean^3 / shape."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        log_mean, shape = self.p["log_mean"], self.p["shape"]
        distance = (y * tf.exp(-log_mean) - 1.0) ** 2 / y
        constant = tf.math.log(shape) - np.log(2 * np.pi) - 3.0 * tf.math.log(y)
        return 0.5 * (constant - shape * distance)

    def _ends(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Places a and b, b^2 = a^2 + 4 shape / mean: P(Y > y) = Phi(-a) - phi(a) Phi(-b) / phi(b).

        (Shuster 1968, "On the inverse Gaussian distribution function".)
        """
        root, unit = tf.sqrt(self.p["shape"] / y), y * tf.exp(-self.p["log_mean"])
        return root * (unit - 1.0), root * (unit + 1.0)

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        a, b = self._ends(y)
        first = tfd.Normal(np.float64(0), np.float64(1)).log_cdf(a)
        return tfp.math.log_add_exp(
            first, -0.5 * a * a - np.log(2) + tfp.math.logerfcx(b / np.sqrt(2))
        )

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        a, b = self._ends(y)
        small = a < -5.0  # where the other tail is negligible
        one = tfp.math.logerfcx(tf.where(small, tf.zeros_like(a), a) / np.sqrt(2))
        gap = one - tfp.math.logerfcx(b / np.sqrt(2))
        gap = tf.where(small, tf.ones_like(gap), gap)
        far = -0.5 * a * a - np.log(2) + one + tfp.math.log1mexp(gap)
        below = tf.where(small, self._log_cdf(y), -tf.ones_like(y))
        return tf.where(small, tfp.math.log1mexp(-below), far)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        mean = tf.broadcast_to(tf.exp(self.p["log_mean"]), self._batch_shape_tensor())
        return tfd.InverseGaussian(mean, self.p["shape"]).sample(n, seed=seed)

    def _mean(self) -> tf.Tensor:
        return tf.broadcast_to(tf.exp(self.p["log_mean"]), self._batch_shape_tensor())

    def _variance(self) -> tf.Tensor:
        return tf.exp(3.0 * self.p["log_mean"]) / self.p["shape"]


class Beta(Tailed):
    """By its mean, on the logit scale, and phi: the variance is mean (1 - mean) / (1 + phi)."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        logit = self.p["logit_mean"]
        both = (
            (tf.math.log_sigmoid(logit), tf.math.log(y)),
            (tf.math.log_sigmoid(-logit), tf.math.log1p(-y)),
        )
        return log_dirichlet(self.p["phi"], both)

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The incomplete beta function."""
        mean, rest = chances(self.p["logit_mean"])
        return log_beta_tails(mean * self.p["phi"], rest * self.p["phi"], y)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        mean, rest = chances(self.p["logit_mean"])
        one = tf.broadcast_to(mean * self.p["phi"], self._batch_shape_tensor())
        drawn = tfd.Beta(one, rest * self.p["phi"]).sample(n, seed=seed)
        # What rounds to an end is not in the support.
        return tf.clip_by_value(drawn, np.finfo(np.float64).tiny, 1.0 - 2.0**-53)

    def _mean(self) -> tf.Tensor:
        return tf.math.sigmoid(self.p["logit_mean"]) + 0.0 * self.p["phi"]

    def _variance(self) -> tf.Tensor:
        mean, rest = chances(self.p["logit_mean"])
        return mean * rest / (1.0 + self.p["phi"])
