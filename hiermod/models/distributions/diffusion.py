"""The first passage of a diffusion: how long a decision takes, and what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from hiermod.models.distributions.row import Row


class Wiener(Row):
    """Time and place of the first passage of a Brownian motion with unit variance and a drift.

    It starts at `bias` times `boundary`, between 0 and `boundary`, after the time `shift`. A draw
    is the time, negative where the lower boundary was reached. With u the time in units of
    boundary^2 and w the distance of the start from the boundary reached, in units of that between
    the boundaries, densities are series for small u or for large u (Navarro and Fuss 2009, "Fast
    and accurate calculations for first-passage times in Wiener diffusion models"); their terms are
    grouped such that nothing cancels where w is next to 0 or 1.
    """

    SWITCH = 0.3

    def __init__(self, drift: Any, boundary: Any, shift: Any, bias: Any) -> None:
        super().__init__(drift=drift, boundary=boundary, shift=shift, bias=bias)

    def _seen_from(self, upper: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Of the boundary reached: distance w of the start, 1 - w, and the drift away from it."""
        bias, drift = self.p["bias"], self.p["drift"]
        w, rest = tf.where(upper, 1.0 - bias, bias), tf.where(upper, bias, 1.0 - bias)
        return w, rest, tf.where(upper, -drift, drift)

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        a = self.p["boundary"]
        w, rest, away = self._seen_from(y > 0)
        t = tf.abs(y) - self.p["shift"]
        after = t > 0
        t = tf.where(after, t, tf.ones_like(t))
        drifting = -away * a * w - 0.5 * away**2 * t
        density = drifting - 2.0 * tf.math.log(a) + self._log_without_drift(t / a**2, w, rest)
        return tf.where(after, density, np.float64(-np.inf))

    def _log_without_drift(self, u: tf.Tensor, w: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
        """Log density of u at the boundary reached."""
        near, low = tf.minimum(w, rest), w <= rest
        early, late = tf.minimum(u, self.SWITCH), tf.maximum(u, self.SWITCH)

        def pair(n: int) -> tf.Tensor:
            """Two images at the distances n - near and n + near, but for exp(-w^2 / (2 u))."""
            lead = n if n % 2 == 0 else n - 1
            far = 0.5 * lead * (2 * n - lead - 2.0 * near) / early
            reached = -tf.math.expm1(-2.0 * n * near / early)
            return tf.exp(-far) * ((n + near) * reached - 2.0 * near)

        images = tf.where(
            low, near - pair(2) - pair(4) - pair(6), pair(1) + pair(3) + pair(5) + pair(7)
        )
        small = tf.math.log(images) - 0.5 * w**2 / early - 1.5 * tf.math.log(early)
        side = tf.where(low, np.float64(1), np.float64(-1))
        waves = sum(
            k * side ** (k + 1) * tf.exp(-0.5 * (k * k - 1) * np.pi**2 * late)
            * tf.sin(k * np.pi * near)
            for k in range(1, 7)
        )  # fmt: skip
        large = tf.math.log(waves) - 0.5 * np.pi**2 * late + np.log(np.pi)
        return tf.where(u < self.SWITCH, small - 0.5 * np.log(2 * np.pi), large)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        first, second = tfp.random.split_seed(seed, 2)
        upper = self._uniform(n, first) < self._moments(True)[0]
        w, rest, away = self._seen_from(upper)
        pull = tf.maximum(tf.abs(away) * self.p["boundary"], 1e-8)
        at = self._uniform(n, second)
        low, high = tf.fill(tf.shape(at), np.float64(-80)), tf.fill(tf.shape(at), np.float64(4))
        log_u = tfp.math.find_root_chandrupatla(
            lambda x: self._reached(tf.exp(x), w, rest, pull) - at,
            low,
            high,
            position_tolerance=1e-11,
            value_tolerance=1e-12,
            max_iterations=100,
        ).estimated_root
        t = tf.exp(log_u) * self.p["boundary"] ** 2 + self.p["shift"]
        return tf.where(upper, t, -t)

    def _reached(self, u: tf.Tensor, w: tf.Tensor, rest: tf.Tensor, pull: tf.Tensor) -> tf.Tensor:
        """Probability of times up to u, of those that reach the boundary at all.

        `pull` is the size of the drift in units of 1 / boundary. All is multiplied by
        exp(pull * w).
        """
        early, late = tf.minimum(u, self.SWITCH), tf.maximum(u, self.SWITCH)
        root, small = tf.sqrt(early), tf.zeros_like(u)
        for k in range(-3, 3):
            r = tf.abs(w + 2.0 * k)
            toward = tf.exp((w - r) * pull) * tf.math.erfc((r / root - pull * root) / np.sqrt(2))
            against = tfp.math.erfcx((r / root + pull * root) / np.sqrt(2))
            against *= tf.exp(w * pull - 0.5 * (early * pull**2 + r**2 / early))
            small += (0.5 if k >= 0 else -0.5) * (toward + against)
        whole = tf.math.expm1(-2.0 * pull * rest) / tf.math.expm1(-2.0 * pull)
        left = tf.zeros_like(u)
        for k in range(1, 7):
            rate = pull**2 + (k * np.pi) ** 2
            wave = 2.0 * np.pi * k * tf.sin(k * np.pi * w) / rate
            left += wave * tf.exp(pull * w - 0.5 * rate * late)
        return tf.where(u < self.SWITCH, small, whole - left) / whole

    def _moments(self, upper: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Probability of a boundary; and times it the mean of t and of t^2, before the shift.

        By derivatives of the Laplace transform, exp(-away w a) sinh(rest a q) / sinh(a q), with
        q^2 = drift^2 + 2 s.
        """
        w, rest, away = self._seen_from(tf.constant(upper))
        a = self.p["boundary"]
        one, two = (rest * a) ** 2, a**2
        ratios = zip(log_sinh_ratio(one * away**2), log_sinh_ratio(two * away**2), strict=True)
        value, slope, curve = (x * one**i - y * two**i for i, (x, y) in enumerate(ratios))
        chance = rest * tf.exp(value - away * w * a)
        return chance, -2.0 * slope * chance, 4.0 * (slope**2 + curve) * chance

    def _mean(self) -> tf.Tensor:
        high, low = self._moments(True), self._moments(False)
        return high[1] - low[1] + self.p["shift"] * (high[0] - low[0])

    def _variance(self) -> tf.Tensor:
        high, low = self._moments(True), self._moments(False)
        shift = self.p["shift"]
        square = high[2] + low[2] + 2.0 * shift * (high[1] + low[1]) + shift**2
        return square - self._mean() ** 2


def log_sinh_ratio(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """log(sinh(r) / r) with r = sqrt(x), and its first and second derivative in x."""
    small = x < 0.3
    near, far = tf.where(small, x, tf.zeros_like(x)), tf.where(small, tf.ones_like(x), x)
    # zeta(2 k) / (k pi^(2 k)), with alternating signs: the series of log(sinh(r) / r)
    zeta = [1.6449340668482264, 1.0823232337111382, 1.0173430619844491, 1.0040773561979443]
    zeta += [1.0009945751278180, 1.0002460865533080, 1.0000612481350587, 1.0000152822594086]
    series = [-((-1.0) ** k) * z / k / np.pi ** (2 * k) for k, z in enumerate(zeta, 1)]
    terms = list(enumerate(series, 1))
    r = tf.sqrt(far)
    coth, steep = 1.0 / tf.tanh(r), tf.exp(-2.0 * r)
    csch = 4.0 * steep / (1.0 - steep) ** 2
    exact = (
        r + tf.math.log(-tf.math.expm1(-2.0 * r)) - tf.math.log(2.0 * r),
        0.5 * (r * coth - 1.0) / far,
        0.5 / far**2 - 0.25 * coth / (far * r) - 0.25 * csch / far,
    )
    sums = (
        sum(c * near**k for k, c in terms),
        sum(c * k * near ** (k - 1) for k, c in terms),
        sum(c * k * (k - 1) * near ** (k - 2) for k, c in terms[1:]),
    )
    return tuple(tf.where(small, s, e) for s, e in zip(sums, exact, strict=True))
