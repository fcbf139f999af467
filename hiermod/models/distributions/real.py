"""Distributions of all numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from hiermod.models.distributions.row import (
    Row,
    Tailed,
    far_tail,
    growth,
    log1p_ratio,
    log_or,
    log_phi,
    log_reached,
    with_slope,
)
from hiermod.models.distributions.special import (
    log_normal_and_exponential,
    log_skew_tail,
)

tfd = tfp.distributions


class SkewNormal(Tailed):
    """By its mean and standard deviation, and the slant alpha (Azzalini 1985), as in brms."""

    def _location(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Location and scale of the classical form, and delta = alpha / sqrt(1 + alpha^2)."""
        alpha = self.p["alpha"]
        delta = alpha / tf.sqrt(1.0 + alpha**2)
        shift = np.sqrt(2 / np.pi) * delta
        scale = self.p["sd"] / tf.sqrt(1.0 - shift**2)
        return self.p["mean"] - scale * shift, scale, delta

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        location, scale, _ = self._location()
        z = (y - location) / scale
        constant = 0.5 * np.log(2 / np.pi) - tf.math.log(scale)
        return constant - 0.5 * z * z + log_phi(self.p["alpha"] * z)

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """By Owen's T function, of which the derivatives are known (Owen 1956)."""
        location, scale, _ = self._location()
        z = (y - location) / scale
        alpha = self.p["alpha"] + tf.zeros_like(z)
        at, slant = tf.stop_gradient(z), tf.stop_gradient(alpha)
        below = at < 0
        near = tf.minimum(log_skew_tail(tf.abs(at), tf.where(below, slant, -slant)), -1e-16)
        far = tfp.math.log1mexp(near)
        density = 0.5 * np.log(2 / np.pi) - 0.5 * at * at
        density += tfd.Normal(np.float64(0), np.float64(1)).log_cdf(slant * at)
        square = 1.0 + slant * slant
        turn = -0.5 * at * at * square - tf.math.log(np.pi * square)

        def moved(tail: tf.Tensor, sign: float) -> tf.Tensor:
            tail = with_slope(z, tail, sign * tf.exp(density - tail))
            return with_slope(alpha, tail, -sign * tf.exp(turn - tail))

        return moved(tf.where(below, near, far), 1.0), moved(tf.where(below, far, near), -1.0)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        location, scale, delta = self._location()
        one, other = tf.abs(self._normal(n, first)), self._normal(n, second)
        return location + scale * (delta * one + tf.sqrt(1.0 - delta**2) * other)

    def _mean(self) -> tf.Tensor:
        return tf.broadcast_to(self.p["mean"], self._batch_shape_tensor())

    def _variance(self) -> tf.Tensor:
        return tf.broadcast_to(self.p["sd"] ** 2, self._batch_shape_tensor())


class StudentT(tfd.StudentT):  # type: ignore[name-defined]
    """With logarithms of its tails."""

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        z, df = (y - self.loc) / self.scale, self.df + tf.zeros_like(y)
        at = tf.stop_gradient(z)
        unit = tfd.StudentT(df, np.float64(0), np.float64(1))
        size = tf.maximum(tf.abs(at), 1e-8)
        # Half of the incomplete beta function; its leading term (Abramowitz and Stegun 26.5.4).
        half = 0.5 * tfp.math.betainc(
            0.5 * df, tf.fill(tf.shape(df), np.float64(0.5)), df / (df + size**2)
        )
        far = unit.log_prob(size) + tf.math.log((df + size**2) / (df * size))
        log_tail = tf.where(at > 0, tf.math.log1p(-half), log_or(half, far))
        return with_slope(z, log_tail, tf.exp(unit.log_prob(at) - log_tail))

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return self._log_cdf(2.0 * self.loc - y)


class Gumbel(tfd.Gumbel):  # type: ignore[name-defined]
    """With logarithms of its tails."""

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return -growth((self.loc - y) / self.scale)

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return log_reached((self.loc - y) / self.scale)


class AsymmetricLaplace(Row):
    """Whose quantile of probability `quantile` is `loc` (Yu and Moyeed 2001, as in brms)."""

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        q, z = self.p["quantile"], (y - self.p["loc"]) / self.p["scale"]
        below = tf.math.log(q) + (1.0 - q) * z
        above = tf.math.log1p((q - 1.0) * tf.exp(-q * tf.maximum(z, 0.0)))
        return tf.where(z < 0, below, above)

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        q, z = self.p["quantile"], (y - self.p["loc"]) / self.p["scale"]
        below = tf.math.log1p(-q * tf.exp((1.0 - q) * tf.minimum(z, 0.0)))
        return tf.where(z < 0, below, tf.math.log1p(-q) - q * z)

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        q, scale = self.p["quantile"], self.p["scale"]
        z = (y - self.p["loc"]) / scale
        loss = tf.where(z < 0, (q - 1.0) * z, q * z)
        return tf.math.log(q) + tf.math.log1p(-q) - tf.math.log(scale) - loss

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        q, u = self.p["quantile"], self._uniform(n, seed)
        below, above = tf.math.log(u / q) / (1.0 - q), -tf.math.log1p((q - u) / (1.0 - q)) / q
        return self.p["loc"] + self.p["scale"] * tf.where(u < q, below, above)

    def _mean(self) -> tf.Tensor:
        q = self.p["quantile"]
        return self.p["loc"] + self.p["scale"] * (1.0 - 2.0 * q) / (q * (1.0 - q))

    def _variance(self) -> tf.Tensor:
        q = self.p["quantile"]
        spread = self.p["scale"] ** 2 * (1.0 - 2.0 * q + 2.0 * q**2) / (q * (1.0 - q)) ** 2
        return tf.broadcast_to(spread, self._batch_shape_tensor())


class ExGaussian(Tailed):
    """A normal number and an exponential one of mean `beta`, added; `mean` is of the sum."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        scale, beta = self.p["scale"], self.p["beta"]
        z = (y - self.p["mean"] + beta) / scale
        ratio = scale / beta
        w = z - ratio
        # Far below, the squares of log_phi(w) and of the ratio cancel.
        long = ratio * (0.5 * ratio - z) + log_phi(tf.maximum(w, -37.0))
        short = tf.math.log(far_tail(tf.maximum(-w, 37.0))) - 0.5 * z * z
        return -tf.math.log(beta) + tf.where(w > -37.0, long, short)

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """P(Y > y) is the normal tail and beta times the density; far below, see there."""
        z = (y - self.p["mean"] + self.p["beta"]) / self.p["scale"]
        ratio = self.p["scale"] / self.p["beta"] + tf.zeros_like(z)
        at, r = tf.stop_gradient(z), tf.stop_gradient(ratio)
        unit = tfd.Normal(np.float64(0), np.float64(1))
        density = tf.stop_gradient(self._log_prob(y) + tf.math.log(self.p["beta"]))
        low = at < 5.0
        below, turn = log_normal_and_exponential(at, r)
        exponent = tf.where(low, -tf.ones_like(at), density)
        high = tf.math.log(-tf.math.expm1(exponent) - unit.cdf(-tf.maximum(at, 5.0)))
        below = tf.where(low, below, high)
        above = tfp.math.log_add_exp(unit.log_cdf(-at), density)
        small = below < -0.7
        above = tf.where(small, tfp.math.log1mexp(tf.where(small, below, -1.0)), above)
        below = tf.where(small, below, tfp.math.log1mexp(above))
        # Derivatives of P(Y <= y) in z and in the ratio.
        in_z, normal = density + tf.math.log(r), unit.log_prob(at)
        long = tfp.math.log_add_exp(normal, density + tf.math.log(tf.maximum(at - r, 1e-300)))
        in_ratio = tf.where(at > r, long, normal + tf.math.log(turn))

        def moved(tail: tf.Tensor, sign: float) -> tf.Tensor:
            tail = with_slope(z, tail, sign * tf.exp(in_z - tail))
            return with_slope(ratio, tail, sign * tf.exp(in_ratio - tail))

        return moved(below, 1.0), moved(above, -1.0)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        tail = -tf.math.log(self._uniform(n, first)) - 1.0
        noise = self.p["scale"] * self._normal(n, second)
        return self.p["mean"] + self.p["beta"] * tail + noise

    def _mean(self) -> tf.Tensor:
        return tf.broadcast_to(self.p["mean"], self._batch_shape_tensor())

    def _variance(self) -> tf.Tensor:
        spread = self.p["scale"] ** 2 + self.p["beta"] ** 2
        return tf.broadcast_to(spread, self._batch_shape_tensor())


class GeneralizedExtremeValue(Row):
    """By location, scale and shape: heavy above for xi > 0, bounded for xi < 0, gumbel for 0."""

    def _log_hazard(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The t of P(Y <= y) = exp(-exp(-t)), log(1 + xi z) / xi; whether y is in range."""
        z = (y - self.p["loc"]) / self.p["scale"]
        u = self.p["shape"] * z
        inside = u > -1.0
        u = tf.where(inside, u, tf.zeros_like(u))
        return z * log1p_ratio(u), inside

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        t, inside = self._log_hazard(y)
        density = -tf.math.log(self.p["scale"]) - (1.0 + self.p["shape"]) * t - growth(-t)
        return tf.where(inside, density, -np.inf)

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        t, inside = self._log_hazard(y)
        beyond = tf.where(self.p["shape"] > 0, np.float64(-np.inf), np.float64(0))
        return tf.where(inside, -growth(-t), beyond)

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        t, inside = self._log_hazard(y)
        beyond = tf.where(self.p["shape"] > 0, np.float64(0), np.float64(-np.inf))
        return tf.where(inside, log_reached(-t), beyond)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        t = -tf.math.log(-tf.math.log(self._uniform(n, seed)))
        u = self.p["shape"] * t
        flat = tf.abs(u) < 1e-12
        one = tf.ones_like(u)
        grown = tf.where(flat, one, tf.math.expm1(u) / tf.where(flat, one, u))
        return self.p["loc"] + self.p["scale"] * t * grown

    def _moment(self, k: float) -> tf.Tensor:
        """Gamma(1 - k xi), where it exists, and infinity."""
        below = 1.0 - k * self.p["shape"]
        inside = below > 0
        gamma = tf.exp(tf.math.lgamma(tf.where(inside, below, tf.ones_like(below))))
        return tf.where(inside, gamma, np.float64(np.inf))

    def _mean(self) -> tf.Tensor:
        shape = self.p["shape"]
        flat = tf.abs(shape) < 1e-7
        excess = (self._moment(1) - 1.0) / tf.where(flat, tf.ones_like(shape), shape)
        excess = tf.where(flat, tf.fill(tf.shape(shape), np.float64(np.euler_gamma)), excess)
        return self.p["loc"] + self.p["scale"] * excess

    def _variance(self) -> tf.Tensor:
        shape = self.p["shape"]
        flat = tf.abs(shape) < 1e-5
        first, second = self._moment(1), self._moment(2)
        square = tf.where(tf.math.is_inf(second), tf.zeros_like(first), first**2)
        spread = (second - square) / tf.where(flat, tf.ones_like(shape), shape) ** 2
        spread = tf.where(flat, tf.fill(tf.shape(shape), np.float64(np.pi**2 / 6)), spread)
        return tf.broadcast_to(self.p["scale"] ** 2 * spread, self._batch_shape_tensor())
