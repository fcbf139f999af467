"""Distributions of a row that TFP lacks, or whose density loses digits there.

Written so that they print: `model.code()` copies their source into its program.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd, tfb = tfp.distributions, tfp.bijectors


def onto(low: float, high: float) -> Any:
    """The map from all numbers onto those between two ends, which may be infinite."""
    if np.isinf(low) and np.isinf(high):
        return tfb.Identity()
    if np.isinf(high):
        return tfb.Chain([tfb.Shift(np.float64(low)), tfb.Exp()]) if low else tfb.Exp()
    if np.isinf(low):
        return tfb.Chain([tfb.Shift(np.float64(high)), tfb.Scale(np.float64(-1)), tfb.Exp()])
    return tfb.Sigmoid(np.float64(low), np.float64(high))


class StickBreaking(tfb.IteratedSigmoidCentered):  # type: ignore[name-defined]
    """The map from n - 1 numbers onto n shares of 1, as Stan's.

    Shares are exponentials of their logarithms: in TFP's a share below 1e-16 may be 0, where a
    Dirichlet with concentrations below 1 is infinite.
    """

    def _logarithms(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of the shares, and of what is left of the stick after each, relative to before."""
        n = x.shape[-1]
        x -= np.log(np.arange(n, 0, -1.0))  # zeros give equal shares
        left = tf.math.log_sigmoid(-x)
        before = tf.cumsum(left, axis=-1, exclusive=True)
        last = tf.reduce_sum(left, axis=-1, keepdims=True)
        return tf.concat([tf.math.log_sigmoid(x) + before, last], axis=-1), left

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        return tf.exp(self._logarithms(x)[0])

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        shares, left = self._logarithms(x)
        return tf.reduce_sum(shares[..., :-1] + left, axis=-1)


class Outwards(tfb.Bijector):  # type: ignore[name-defined]
    """From numbers to ascending ones: one stays, the others are exponentials away from it.

    TFP's `Ascending` begins at the lowest, which may be the least known: all others would have to
    make up for its moves.
    """

    def __init__(self, anchor: int) -> None:
        self.anchor = anchor
        super().__init__(forward_min_event_ndims=1, name="Outwards")

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        low, fixed, high = tf.split(x, [self.anchor, 1, x.shape[-1] - self.anchor - 1], axis=-1)
        below = tf.cumsum(tf.exp(low), axis=-1, reverse=True)
        return tf.concat([fixed - below, fixed, fixed + tf.cumsum(tf.exp(high), axis=-1)], axis=-1)

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        gaps = tf.math.log(y[..., 1:] - y[..., :-1])
        a = self.anchor
        return tf.concat([gaps[..., :a], y[..., a : a + 1], gaps[..., a:]], axis=-1)

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(x, axis=-1) - x[..., self.anchor]


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


class SkewNormal(Row):
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
        log_cdf = tfd.Normal(np.float64(0), np.float64(1)).log_cdf(self.p["alpha"] * z)
        return 0.5 * np.log(2 / np.pi) - tf.math.log(scale) - 0.5 * z * z + log_cdf

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        location, scale, delta = self._location()
        one, other = tf.abs(self._normal(n, first)), self._normal(n, second)
        return location + scale * (delta * one + tf.sqrt(1.0 - delta**2) * other)

    def _mean(self) -> tf.Tensor:
        return tf.broadcast_to(self.p["mean"], self._batch_shape_tensor())

    def _variance(self) -> tf.Tensor:
        return tf.broadcast_to(self.p["sd"] ** 2, self._batch_shape_tensor())


def log_reached(z: tf.Tensor) -> tf.Tensor:
    """log(1 - exp(-exp(z))), which is z far below zero."""
    small = z < -30.0
    return tf.where(small, z, tfp.math.log1mexp(growth(tf.where(small, tf.zeros_like(z), z))))


def growth(z: tf.Tensor) -> tf.Tensor:
    """exp(z), finite for all z: else derivatives of rows that do not use it would not be."""
    return tf.exp(tf.minimum(z, 700.0))


def log_or(p: tf.Tensor, far: tf.Tensor) -> tf.Tensor:
    """log(p), or an approximation where p is too small for float64."""
    small = p < 1e-290
    return tf.where(small, far, tf.math.log(tf.where(small, tf.ones_like(p), p)))


def with_slope(x: tf.Tensor, value: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """A value whose derivative in x is `slope`."""
    return value + (x - tf.stop_gradient(x)) * tf.stop_gradient(slope)


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


class Exponential(tfd.Exponential):  # type: ignore[name-defined]
    """With logarithms of its tails."""

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return log_reached(tf.math.log(self.rate) + tf.math.log(y))

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return -self.rate * y


class Poisson(tfd.Poisson):  # type: ignore[name-defined]
    """With logarithms of its tails: the incomplete gamma functions, or their leading term."""

    def _log_tail(self, y: tf.Tensor, above: bool) -> tf.Tensor:
        log_rate = self.log_rate + tf.zeros_like(y)
        rate = tf.exp(tf.stop_gradient(log_rate))
        if above:
            p, first, ratio = tf.math.igamma(y + 1.0, rate), y + 1.0, rate / (y + 2.0)
        else:
            p, first, ratio = tf.math.igammac(y + 1.0, rate), y, y / rate
        far = self.log_prob(first) - tf.math.log1p(-tf.minimum(ratio, 0.999))
        log_tail = log_or(p, tf.stop_gradient(far))
        slope = tf.exp(self.log_prob(y) + log_rate - log_tail)
        return with_slope(log_rate, log_tail, slope if above else -slope)

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return self._log_tail(y, False)

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return self._log_tail(y, True)


class Binomial(tfd.Binomial):  # type: ignore[name-defined]
    """With logarithms of its tails: the incomplete beta function, or its leading term."""

    def _log_tail(self, y: tf.Tensor, above: bool) -> tf.Tensor:
        logit, n = self.logits + tf.zeros_like(y), tf.maximum(self.total_count, 1.0)
        at = tf.stop_gradient(logit)
        inside = y < self.total_count
        k = tf.where(inside, y, tf.zeros_like(y))
        if above:
            p, first = tfp.math.betainc(k + 1.0, n - k, tf.math.sigmoid(at)), k + 1.0
            ratio = (n - first) / (first + 1.0) * growth(at)
        else:
            p, first = tfp.math.betainc(n - k, k + 1.0, tf.math.sigmoid(-at)), k
            ratio = k / (n - k + 1.0) * growth(-at)
        unit = tfd.Binomial(n, logits=at)
        far = unit.log_prob(first) - tf.math.log1p(-tf.minimum(ratio, 0.999))
        log_tail = log_or(p, far)
        # In the logit of the probability, by the density of a beta number.
        slope = tf.exp(unit.log_prob(k) + tf.math.log(n - k) + tf.math.log_sigmoid(at) - log_tail)
        log_tail = with_slope(logit, log_tail, slope if above else -slope)
        return tf.where(inside, log_tail, np.float64(-np.inf if above else 0))

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return self._log_tail(y, False)

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return self._log_tail(y, True)


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


class ExGaussian(Row):
    """A normal number and an exponential one of mean `beta`, added; `mean` is of the sum."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        scale, beta = self.p["scale"], self.p["beta"]
        z = (y - self.p["mean"] + beta) / scale
        ratio = scale / beta
        w = z - ratio
        # Of a short tail, the square of the ratio cancels: what is left is a scaled erfc.
        log_cdf = tfd.Normal(np.float64(0), np.float64(1)).log_cdf(tf.maximum(w, 0.0))
        long = ratio * (0.5 * ratio - z) + log_cdf
        short = tfp.math.logerfcx(tf.maximum(-w, 0.0) / np.sqrt(2)) - 0.5 * z * z - np.log(2)
        return -tf.math.log(beta) + tf.where(w > 0, long, short)

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


class ShiftedLogNormal(Row):
    """A lognormal number and a shift that every response is longer than."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        inside = y > self.p["shift"]
        left = tf.where(inside, y - self.p["shift"], 1.0)
        log = tf.math.log(left)
        density = tfd.Normal(self.p["loc"], self.p["scale"]).log_prob(log) - log
        return tf.where(inside, density, -np.inf)

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


def stirling(x: tf.Tensor) -> tf.Tensor:
    """log(x) - 1 / (2 x) - digamma(x), for x of 10 or more."""
    s = 1.0 / (x * x)
    series = 1 / 252 - s * (1 / 240 - s * (1 / 132 - s * (691 / 32760)))
    return s * (1 / 12 - s * (1 / 120 - s * series))


def rising(a: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """lgamma(a + k) - lgamma(a) for whole k, exact to rounding for huge `a` too.

    So is its derivative in `a`, by Stirling's series (Abramowitz and Stegun, 6.3.18); there is none
    in `k`, which are data.
    """
    whole = tf.zeros_like(a + k)

    @tf.custom_gradient
    def rise(a: tf.Tensor) -> Any:
        large, small, size = tf.maximum(a, 10.0), tf.minimum(a, 10.0), k + whole
        far = -tfp.math.log_gamma_difference(size, large)
        near = tf.math.lgamma(small + size) - tf.math.lgamma(small)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            above = large + size
            slope = tf.math.log1p(size / large) + 0.5 * size / (large * above)
            slope += stirling(large) - stirling(above)
            near = tf.math.digamma(small + size) - tf.math.digamma(small)
            return upstream * tf.where(a > 10.0, slope, near)

        return tf.where(a > 10.0, far, near), gradient

    return rise(a + whole)


class NegativeBinomial(Row):
    """By its mean and shape: the variance is mean + mean^2 / shape."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        log_mean, shape = self.p["log_mean"], self.p["shape"]
        # log(1 + mean / shape), and mean / (mean + shape).
        ratio = log_mean - tf.math.log(shape)
        spread = tf.math.softplus(ratio)
        ways = rising(shape, y) - tf.math.lgamma(y + 1.0)
        return ways - shape * spread + y * (ratio - spread)

    def _log_tail(self, y: tf.Tensor, above: bool) -> tf.Tensor:
        """The incomplete beta function, or its leading term."""
        shape = self.p["shape"] + tf.zeros_like(y)
        logit = self.p["log_mean"] - tf.math.log(shape)
        at = tf.stop_gradient(logit)
        if above:
            p = tfp.math.betainc(y + 1.0, shape, tf.math.sigmoid(at))
            first, ratio = y + 1.0, (y + 1.0 + shape) / (y + 2.0) * tf.math.sigmoid(at)
        else:
            p = tfp.math.betainc(shape, y + 1.0, tf.math.sigmoid(-at))
            first, ratio = y, y / (tf.maximum(y - 1.0 + shape, 1e-9) * tf.math.sigmoid(at))
        far = self._log_prob(first) - tf.math.log1p(-tf.minimum(ratio, 0.999))
        log_tail = log_or(p, tf.stop_gradient(far))
        # In the logit of the probability, by the density of a beta number.
        slope = tf.exp(
            self._log_prob(y) + tf.math.log(y + shape) + tf.math.log_sigmoid(at) - log_tail
        )
        return with_slope(logit, log_tail, slope if above else -slope)

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return self._log_tail(y, False)

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return self._log_tail(y, True)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        shape = tf.broadcast_to(self.p["shape"], self._batch_shape_tensor())
        log_unit = tf.math.log(shape)
        rate = tfd.ExpGamma(shape, log_rate=log_unit - self.p["log_mean"]).sample(n, seed=first)
        return tfd.Poisson(log_rate=rate).sample(seed=second)

    def _mean(self) -> tf.Tensor:
        return tf.broadcast_to(tf.exp(self.p["log_mean"]), self._batch_shape_tensor())

    def _variance(self) -> tf.Tensor:
        mean = tf.exp(self.p["log_mean"])
        return mean + mean**2 / self.p["shape"]


def chances(logit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A probability and one minus it; neither is ever zero, where a gamma function has no value."""
    least = np.finfo(np.float64).tiny
    return (
        tf.maximum(tf.math.sigmoid(logit), least),
        tf.maximum(tf.math.sigmoid(-logit), least),
    )


class Beta(Row):
    """By its mean, on the logit scale, and phi: the variance is mean (1 - mean) / (1 + phi)."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        mean, rest = chances(self.p["logit_mean"])
        one, other = mean * self.p["phi"], rest * self.p["phi"]
        powers = (one - 1.0) * tf.math.log(y) + (other - 1.0) * tf.math.log1p(-y)
        return powers - tfp.math.lbeta(one, other)

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


class BetaBinomial(Row):
    """Successes whose probability is beta(mean phi, (1 - mean) phi) in every row."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        n, phi = self.p["trials"], self.p["phi"]
        left = n - y
        ways = tf.math.lgamma(n + 1.0) - tf.math.lgamma(y + 1.0) - tf.math.lgamma(left + 1.0)
        mean, rest = chances(self.p["logit_mean"])
        return ways + rising(mean * phi, y) + rising(rest * phi, left) - rising(phi, n)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        chance = Beta(**{k: self.p[k] for k in ("logit_mean", "phi")}).sample(n, seed=first)
        return tfd.Binomial(self.p["trials"], probs=chance).sample(seed=second)

    def _mean(self) -> tf.Tensor:
        return self.p["trials"] * tf.math.sigmoid(self.p["logit_mean"]) + 0.0 * self.p["phi"]

    def _variance(self) -> tf.Tensor:
        (mean, rest), n, phi = chances(self.p["logit_mean"]), self.p["trials"], self.p["phi"]
        return n * mean * rest * (phi + n) / (phi + 1.0)


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


class Inflated(Row):
    """Zero with an additional probability, else a draw of another distribution of counts."""

    def __init__(self, base: Any, extra: Any) -> None:
        self.base = base
        super().__init__(extra=extra, base=tf.zeros(base.batch_shape_tensor(), tf.float64))

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        one, other = tf.math.log(self.p["extra"]), tf.math.log1p(-self.p["extra"])
        of_base = other + self.base.log_prob(y)
        return tf.where(y == 0, tfp.math.log_add_exp(one, of_base), of_base)

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        one, other = tf.math.log(self.p["extra"]), tf.math.log1p(-self.p["extra"])
        return tfp.math.log_add_exp(one, other + self.base.log_cdf(y))

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        return tf.math.log1p(-self.p["extra"]) + self.base.log_survival_function(y)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        extra = self._uniform(n, first) < self.p["extra"]
        return tf.where(extra, tf.zeros([], tf.float64), self.base.sample(n, seed=second))

    def _mean(self) -> tf.Tensor:
        return (1.0 - self.p["extra"]) * self.base.mean()

    def _variance(self) -> tf.Tensor:
        extra, mean = self.p["extra"], self.base.mean()
        return (1.0 - extra) * (self.base.variance() + extra * mean**2)


class Hurdle(Row):
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


class ZeroOneInflated(Row):
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
    """A draw of one of two distributions, of the first one with the probability `share`."""

    def __init__(self, share: Any, one: Any, other: Any) -> None:
        self.one, self.other = one, other
        shape = tf.zeros(one.batch_shape_tensor(), tf.float64)
        super().__init__(share=share, base=shape + tf.zeros(other.batch_shape_tensor(), tf.float64))

    def _add(self, one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        """Logarithms of two densities, or probabilities, added up."""
        share = self.p["share"]
        return tfp.math.log_add_exp(tf.math.log(share) + one, tf.math.log1p(-share) + other)

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        return self._add(self.one.log_prob(y), self.other.log_prob(y))

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        return self._add(self.one.log_cdf(y), self.other.log_cdf(y))

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        one, other = self.one.log_survival_function(y), self.other.log_survival_function(y)
        return self._add(one, other)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second, third = tfp.random.split_seed(seed, 3)
        taken = self._uniform(n, first) < self.p["share"]
        one, other = self.one.sample(n, seed=second), self.other.sample(n, seed=third)
        return tf.where(taken, one, other)

    def _mean(self) -> tf.Tensor:
        share = self.p["share"]
        return share * self.one.mean() + (1.0 - share) * self.other.mean()

    def _variance(self) -> tf.Tensor:
        share, one, other = self.p["share"], self.one, self.other
        within = share * one.variance() + (1.0 - share) * other.variance()
        return within + share * (1.0 - share) * (one.mean() - other.mean()) ** 2


def log1p_ratio(u: tf.Tensor) -> tf.Tensor:
    """log(1 + u) / u, with all digits of its derivative near zero too, by its series."""
    small = tf.abs(u) < 0.05
    far = tf.where(small, tf.ones_like(u), u)
    near, series = tf.where(small, u, tf.zeros_like(u)), tf.zeros_like(u)
    for k in range(14, 0, -1):
        series = 1.0 / k - near * series
    return tf.where(small, series, tf.math.log1p(far) / far)


class GeneralizedExtremeValue(Row):
    """By location, scale and shape: heavy above for xi > 0, bounded for xi < 0, gumbel for 0."""

    def _log_hazard(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The t of P(Y <= y) = exp(-exp(-t)), log(1 + xi z) / xi; xi z; whether y is in range."""
        z = (y - self.p["loc"]) / self.p["scale"]
        u = self.p["shape"] * z
        inside = u > -1.0
        u = tf.where(inside, u, tf.zeros_like(u))
        return z * log1p_ratio(u), u, inside

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        t, u, inside = self._log_hazard(y)
        density = -tf.math.log(self.p["scale"]) - t - tf.math.log1p(u) - growth(-t)
        return tf.where(inside, density, -np.inf)

    def _log_cdf(self, y: tf.Tensor) -> tf.Tensor:
        t, _, inside = self._log_hazard(y)
        beyond = tf.where(self.p["shape"] > 0, np.float64(-np.inf), np.float64(0))
        return tf.where(inside, -growth(-t), beyond)

    def _log_survival_function(self, y: tf.Tensor) -> tf.Tensor:
        t, _, inside = self._log_hazard(y)
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


class ComPoisson(Row):
    """Conway-Maxwell-Poisson: p(y) is as (mu^y / y!)^shape; mu is its mode, about its mean.

    Its constant Z, the sum over y, is good to 1e-10 for shapes from 0.2 to 200, and refused as nan
    beyond. With mu shape >= 30 and mu >= 2 shape the logarithm of Z is that of its integral by
    Laplace's method, in powers of 1 / (mu shape) up to the eighth (Gaunt et al. 2019,
    doi:10.1007/s10463-017-0629-6, whose equation 31 has the first three; the logarithm is taken of
    the series here); elsewhere Z is the sum of its first terms.
    """

    TERMS = 512
    TRIES = 1000
    # Coefficients of shape^(2 i) in each power of 1 / (mu shape), and what divides them.
    SERIES = (
        ((-1, 1), 24),
        ((-1, 1), 48),
        ((-161, 170, -9), 5760),
        ((-367, 410, -43), 5760),
        ((-601285, 707007, -107247, 1525), 2903040),
        ((-636688, 783363, -151662, 4987), 725760),
        ((-6389072441, 8183064500, -1893190278, 99814100, -615881), 1393459200),
        ((-993607187, 1318965920, -350370174, 25400360, -388919), 34836480),
    )

    def _log_constant(self, log_mean: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        mean = tf.exp(log_mean)
        far = (mean * shape >= 30.0) & (mean >= 2.0 * shape)
        # Series of the integral.
        n, square = (
            tf.where(far, mean * shape, np.float64(100)),
            tf.where(far, shape, np.float64(1)) ** 2,
        )
        laplace = tf.zeros_like(n)
        for numbers, divisor in reversed(self.SERIES):
            factor = sum(c * square**i for i, c in enumerate(numbers))
            laplace = (laplace + factor / divisor) / n
        laplace += n - 0.5 * tf.math.log(shape)
        laplace += 0.5 * (1.0 - shape) * (np.log(2 * np.pi) + log_mean)
        # The sum.
        k = np.arange(float(self.TERMS))
        near = tf.where(far, tf.zeros_like(log_mean), log_mean)[..., tf.newaxis]
        terms = shape[..., tf.newaxis] * (near * k - tf.math.lgamma(tf.constant(k + 1.0)))
        known = (shape >= 0.2) & (shape <= 200.0)
        total = tf.where(far, laplace, tf.reduce_logsumexp(terms, -1))
        return tf.where(known, total, np.float64(np.nan))

    def _wide(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Logarithm of the mode, and shape, of every row."""
        whole = tf.zeros(self._batch_shape_tensor(), tf.float64)
        return self.p["log_mean"] + whole, self.p["shape"] + whole

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        log_mean, shape = self._wide()
        ways = y * log_mean - tf.math.lgamma(y + 1.0)
        return shape * ways - self._log_constant(log_mean, shape)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        # Rejection from a density that is flat at the mode and falls exponentially, which fits all
        # log-concave ones (Devroye 1986, "Non-uniform random variate generation", section VI.2).
        shape = self._shape(n)
        mode = tf.math.floor(tf.exp(self.p["log_mean"])) + tf.zeros(shape, tf.float64)
        height = tf.exp(self._log_prob(mode))
        width = 1.0 + 0.5 * height

        def again(drawn: tf.Tensor, missing: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
            seed, *own = tfp.random.split_seed(seed, 5)
            part, place, side, level = (self._uniform(n, s) for s in own)
            flat = part <= width / (1.0 + width)
            away = tf.where(flat, place * width, width - tf.math.log(place)) / height
            tried = mode + tf.math.round(away) * tf.sign(side - 0.5)
            bound = tf.math.log(level) + tf.minimum(width - height * away, 0.0)
            inside = self._log_prob(tf.maximum(tried, 0.0)) - tf.math.log(height)
            taken = missing & (tried >= 0) & (bound <= inside)
            return tf.where(taken, tried, drawn), missing & ~taken, seed

        drawn, _, _ = tf.while_loop(
            lambda _, missing, __: tf.reduce_any(missing),
            again,
            (
                tf.fill(shape, np.float64(np.nan)),
                tf.fill(shape, True),
                tfp.random.sanitize_seed(seed),
            ),
            maximum_iterations=self.TRIES,
        )
        return drawn

    def _slopes(self) -> tuple[tf.Tensor, tf.Tensor]:
        """First and second derivative of log Z in the logarithm of the mode."""
        log_mean, shape = self._wide()
        with tf.GradientTape() as outer:
            outer.watch(log_mean)
            with tf.GradientTape() as inner:
                inner.watch(log_mean)
                constant = self._log_constant(log_mean, shape)
            first = inner.gradient(constant, log_mean)
        return first / shape, outer.gradient(first, log_mean) / shape**2

    def _mean(self) -> tf.Tensor:
        return self._slopes()[0]

    def _variance(self) -> tf.Tensor:
        return self._slopes()[1]


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


class Ordinal(Row):
    """One of K ordered categories, numbered from 1.

    By K - 1 thresholds (..., K - 1), the location (...) and `disc`, one over the scale, of a latent
    variable, and by the logit of its distribution function.
    """

    def __init__(
        self, logit: Any, threshold: Any, location: Any, disc: Any, name: str = ""
    ) -> None:
        self.logit, self.threshold = logit, tf.convert_to_tensor(threshold, tf.float64)
        super().__init__(name=name, location=location, disc=disc, each=self.threshold[..., 0])

    def _latent(self) -> tf.Tensor:
        """Thresholds as seen from the location, (..., K - 1)."""
        location, disc = self.p["location"], self.p["disc"]
        return disc[..., tf.newaxis] * (self.threshold - location[..., tf.newaxis])

    def log_probs(self) -> tf.Tensor:
        """Log probabilities of the categories, (..., K)."""
        raise NotImplementedError

    def _of(self, y: tf.Tensor) -> tf.Tensor:
        """Log probability of categories that there are."""
        table = self.log_probs()
        number = tf.range(1, table.shape[-1] + 1, dtype=tf.float64)
        chosen = tf.where(y[..., tf.newaxis] == number, table, tf.zeros_like(table))
        return tf.reduce_sum(chosen, -1)

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        inside = (y >= 1) & (y <= self.threshold.shape[-1] + 1)
        return tf.where(inside, self._of(y), np.float64(-np.inf))

    def probs(self) -> tf.Tensor:
        """Probabilities of the categories, (..., K)."""
        return tf.exp(self.log_probs())

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        below = tf.cumsum(self.probs(), -1)[..., :-1]
        above = self._uniform(n, seed)[..., tf.newaxis] > below
        return 1.0 + tf.reduce_sum(tf.cast(above, tf.float64), -1)

    def _mean(self) -> tf.Tensor:
        probs = self.probs()
        return tf.reduce_sum(probs * tf.range(1, probs.shape[-1] + 1, dtype=tf.float64), -1)

    def _variance(self) -> tf.Tensor:
        probs = self.probs()
        number = tf.range(1, probs.shape[-1] + 1, dtype=tf.float64)
        return tf.reduce_sum(probs * (number - self._mean()[..., tf.newaxis]) ** 2, -1)


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
        number = tf.range(1, size + 1, dtype=tf.float64)

        def at(k: tf.Tensor) -> tf.Tensor:
            own = tf.where(k[..., tf.newaxis] == number, self.threshold, np.float64(0))
            return self.logit(self.p["disc"] * (tf.reduce_sum(own, -1) - self.p["location"]))

        first, last, high, low = y == 1, y == size + 1, at(y), at(y - 1)
        inside = between_logits(
            tf.where(first | last, np.float64(-1), low), tf.where(first | last, np.float64(1), high)
        )
        end = tf.where(first, -tf.math.softplus(-high), -tf.math.softplus(low))
        return tf.where(first | last, end, inside)


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


HELPERS = {
    thing.__name__: thing
    for thing in (
        onto,
        Row,
        stirling,
        rising,
        chances,
        growth,
        log_reached,
        log_or,
        with_slope,
        Ordinal,
        between_logits,
        log1p_ratio,
    )
}
"""What their source needs, by name."""


def sum_to_zero(z: tf.Tensor) -> tf.Tensor:
    """From n - 1 numbers to n that sum to zero, last axis: lengths and angles stay the same.

    The numbers with a zero behind them, reflected so that the direction of the last one becomes
    that of equal numbers (a Householder reflection): no matrix is needed. Independent standard
    normal numbers become the projection of n such numbers onto those that sum to zero.
    """
    n = z.shape[-1] + 1
    total = tf.reduce_sum(z, axis=-1, keepdims=True)
    shift = total / (np.sqrt(n) + n)
    return tf.concat([z - shift, -total / np.sqrt(n)], axis=-1)


OWN = {
    kind.__name__: kind
    for kind in (
        sum_to_zero,
        SkewNormal,
        StudentT,
        Gumbel,
        Exponential,
        Poisson,
        Binomial,
        AsymmetricLaplace,
        ExGaussian,
        ShiftedLogNormal,
        NegativeBinomial,
        Beta,
        BetaBinomial,
        Gamma,
        Weibull,
        InverseGaussian,
        Inflated,
        Hurdle,
        ZeroOneInflated,
        Mixture,
        GeneralizedExtremeValue,
        ComPoisson,
        Truncated,
        Cumulative,
        StoppingRatio,
        ContinuationRatio,
        AdjacentCategory,
        Ordered,
    )
}
"""By name, for the expressions of likelihoods."""
