"""Distributions of counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from hiermod.models.distributions.positive import Beta
from hiermod.models.distributions.row import (
    Row,
    Tailed,
    chances,
    growth,
    log_or,
    rising,
    with_slope,
)
from hiermod.models.distributions.special import log_outward

tfd = tfp.distributions


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


class BetaBinomial(Tailed):
    """Successes whose probability is beta(mean phi, (1 - mean) phi) in every row."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        n, phi = self.p["trials"], self.p["phi"]
        left = n - y
        ways = tf.math.lgamma(n + 1.0) - tf.math.lgamma(y + 1.0) - tf.math.lgamma(left + 1.0)
        mean, rest = chances(self.p["logit_mean"])
        return ways + rising(mean * phi, y) + rising(rest * phi, left) - rising(phi, n)

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Sums of the density, on the side that the mean says is the smaller one."""
        mean, rest = chances(self.p["logit_mean"])
        n, phi = self.p["trials"] + tf.zeros_like(y), self.p["phi"]
        inside = y < n
        y = tf.where(inside, y, tf.zeros_like(y))
        whole = tf.zeros_like(mean * phi + y)
        a, b = mean * phi + whole, rest * phi + whole
        of_a, of_b = tf.stop_gradient(a), tf.stop_gradient(b)
        expected = n * tf.stop_gradient(mean)
        # By Markov's inequality the other tail is at least half of this.
        below = (expected - y) / tf.maximum(n - y, 1.0) > (y + 1.0 - expected) / (y + 1.0)
        sign = tf.where(below, np.float64(-1), np.float64(1))

        def ratio(j: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """P(k) / P(k - 1), or one over it."""
            k = y + 1.0 + sign * j
            known = (k >= 1.0) & (k <= n)
            k = tf.where(known, k, tf.ones_like(k))
            left = tf.maximum(n - k, 0.0)
            up = (left + 1.0) * (of_a + k - 1.0), k * (of_b + left)
            r = tf.where(below, up[1] / up[0], up[0] / up[1])
            turn = tf.stack([sign / (of_a + k - 1.0), -sign / (of_b + left)])
            return tf.where(known, r, tf.zeros_like(r)), turn

        total, (slope_a, slope_b) = log_outward(ratio, whole)
        total = with_slope(b, with_slope(a, tf.stop_gradient(total), slope_a), slope_b)
        near = tf.minimum(self._log_prob(tf.where(below, y, y + 1.0)) + total, 0.0)
        far = tfp.math.log1mexp(near)
        all_of_it, none = tf.zeros_like(near), tf.fill(tf.shape(near), np.float64(-np.inf))
        return (
            tf.where(inside, tf.where(below, near, far), all_of_it),
            tf.where(inside, tf.where(below, far, near), none),
        )

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        chance = Beta(**{k: self.p[k] for k in ("logit_mean", "phi")}).sample(n, seed=first)
        return tfd.Binomial(self.p["trials"], probs=chance).sample(seed=second)

    def _mean(self) -> tf.Tensor:
        return self.p["trials"] * tf.math.sigmoid(self.p["logit_mean"]) + 0.0 * self.p["phi"]

    def _variance(self) -> tf.Tensor:
        (mean, rest), n, phi = chances(self.p["logit_mean"]), self.p["trials"], self.p["phi"]
        return n * mean * rest * (phi + n) / (phi + 1.0)


class ComPoisson(Tailed):
    """Conway-Maxwell-Poisson: p(y) is as (mu^y / y!)^shape; mu is its mode, about its mean.

    Its constant Z, the sum over y, is good to 1e-10 for shapes from 0.2 to 200, and refused as nan
    beyond. With mu shape >= 30 and mu >= 2 shape the logarithm of Z is that of its integral by
    Laplace's method, in powers of 1 / (mu shape) up to the eighth (Gaunt et al. 2019,
    doi:10.1007/s10463-017-0629-6, whose equation 31 has the first three; the logarithm is taken of
    the series here); elsewhere Z is the sum of its first terms.
    """

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
        known = (shape >= 0.2) & (shape <= 200.0)
        summed = known & ~far
        total = self._log_sum(  # with few terms where it is not asked for
            tf.where(summed, log_mean, tf.zeros_like(log_mean)),
            tf.where(summed, shape, np.float64(200)),
        )
        return tf.where(known, tf.where(far, laplace, total), np.float64(np.nan))

    @staticmethod
    @tf.custom_gradient
    def _log_sum(log_mean: tf.Tensor, shape: tf.Tensor) -> Any:
        """Logarithm of the sum of its terms, up to where they are negligible in every row.

        Arguments have one shape. The terms are parts of the largest one, that of the mode. With
        them go what gives the means, variances and covariance of k and of the logarithm p of
        mu^k / k!, and so the first and second derivatives; there are no third ones.
        """
        log, power = tf.stop_gradient(log_mean), tf.stop_gradient(shape)
        mode = tf.math.floor(tf.exp(log))
        top = mode * log - tf.math.lgamma(mode + 1.0)

        def add(k: tf.Tensor, _: tf.Tensor, total: tf.Tensor, *sums: tf.Tensor) -> tuple[Any, ...]:
            p = k * log - tf.math.lgamma(k + 1.0) - top
            term = tf.exp(power * p)
            of_k, away = k - mode, term * p
            new = term * of_k, away, term * of_k**2, away * of_k, away * p
            more = (k < mode) | (term > 1e-17 * total)
            return k + 1.0, more, total + term, *(a + b for a, b in zip(sums, new, strict=True))

        none = tf.zeros_like(log)
        found = tf.while_loop(
            lambda _, more, *__: tf.reduce_any(more),
            add,
            (tf.zeros([], tf.float64), none == 0.0, *[none] * 6),
            maximum_iterations=512,
        )
        total, *sums = found[2:]
        mean, mean_p, square, product, square_p = (x / total for x in sums)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            covariance = product - mean * mean_p
            of_k = with_slope(shape, mode + mean, covariance)
            of_k = with_slope(log_mean, of_k, shape * (square - mean**2))
            of_p = with_slope(shape, top + mean_p, square_p - mean_p**2)
            of_p = with_slope(log_mean, of_p, mode + mean + shape * covariance)
            return upstream * shape * of_k, upstream * of_p

        return power * top + tf.math.log(total), gradient

    def _wide(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Logarithm of the mode, and shape, of every row."""
        whole = tf.zeros(self._batch_shape_tensor(), tf.float64)
        return self.p["log_mean"] + whole, self.p["shape"] + whole

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        log_mean, shape = self._wide()
        ways = y * log_mean - tf.math.lgamma(y + 1.0)
        return shape * ways - self._log_constant(log_mean, shape)

    def log_tails(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Sums of the density, on the side of the mode."""
        log_mean, shape = self._wide()
        whole = tf.zeros_like(log_mean + y)
        log_mean, shape, y = log_mean + whole, shape + whole, y + whole
        of_log, of_shape = tf.stop_gradient(log_mean), tf.stop_gradient(shape)
        below = tf.math.log(y + 1.0) <= of_log
        sign = tf.where(below, np.float64(-1), np.float64(1))

        def ratio(j: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """P(k) / P(k - 1), or one over it."""
            k = y + 1.0 + sign * j
            known = k >= 1.0
            log = sign * (of_log - tf.math.log(tf.maximum(k, 1.0)))
            r = tf.exp(of_shape * log)
            return tf.where(known, r, tf.zeros_like(r)), tf.stack([sign * of_shape, log])

        total, (slope_log, slope_shape) = log_outward(ratio, whole)
        total = with_slope(log_mean, tf.stop_gradient(total), slope_log)
        total = with_slope(shape, total, slope_shape)
        near = tf.minimum(self._log_prob(tf.where(below, y, y + 1.0)) + total, 0.0)
        far = tfp.math.log1mexp(near)
        return tf.where(below, near, far), tf.where(below, far, near)

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
