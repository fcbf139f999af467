"""Tails with all digits and derivatives, which TensorFlow and TFP do not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from hiermod.models.distributions.row import with_slope


def beta_fraction(a: tf.Tensor, b: tf.Tensor, x: tf.Tensor) -> Any:
    """Log of I_x(a, b) a B(a, b) / (x^a (1 - x)^b), and its derivatives in a and b.

    By its continued fraction (DLMF 8.17.22), summed up as Steed does and with derivatives that go
    along. Up to x = (a + 1) / (a + b + 2) it takes some sqrt(max(a, b)) steps, at most 20,000.
    """

    def step(d: tf.Tensor, slope: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        last, change, total, last_slope, change_slope, total_slope = state
        new = 1.0 / (1.0 + d * last)
        by = slope * last + d * last_slope
        new_slope = -new * new * by
        factor, factor_slope = -d * last * new, -(by * new + d * last * new_slope)
        change_slope = factor_slope * change + factor * change_slope
        change = factor * change
        return new, change, total + change, new_slope, change_slope, total_slope + change_slope

    def both(m: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        k = a + 2.0 * m
        even = m * x / ((k - 1.0) * k)
        d = even * (b - m)
        state = step(d, tf.stack([-d * (1.0 / (k - 1.0) + 1.0 / k), even]), *state)
        d = -(a + m) * (a + b + m) * x / (k * (k + 1.0))
        of_b = 1.0 / (a + b + m)
        of_a = 1.0 / (a + m) + of_b - 1.0 / k - 1.0 / (k + 1.0)
        return m + 1.0, *step(d, d * tf.stack([of_a, of_b]), *state)

    def unfinished(m: tf.Tensor, *state: tf.Tensor) -> tf.Tensor:
        _, change, total, _, change_slope, total_slope = state
        moves = tf.abs(change) > 1e-16 * tf.abs(total)
        turns = tf.abs(change_slope) > 1e-13 * tf.abs(total_slope) + 1e-16 * tf.abs(total)
        return tf.reduce_any(moves) | tf.reduce_any(turns)

    one, none = tf.ones_like(x), tf.zeros_like(tf.stack([x, x]))
    d = -(a + b) * x / (a + 1.0)
    slope = tf.stack([-(d + x) / (a + 1.0), -x / (a + 1.0)])
    start = step(d, slope, one, one, one, none, none, none)
    found = tf.while_loop(
        unfinished, both, (tf.ones([], tf.float64), *start), maximum_iterations=10_000
    )
    total, total_slope = found[3], found[6] / found[3]
    return tf.math.log(total), total_slope[0], total_slope[1]


def log_beta_tails(a: tf.Tensor, b: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Log I_x(a, b) and log(1 - I_x(a, b)), the tails of a beta number; x are data in (0, 1).

    The tail on the side of x is that of a continued fraction, the other one minus it.
    """
    whole = tf.zeros_like(a + b + x)
    a, b, x = a + whole, b + whole, x + whole
    below = x < (a + 1.0) / (a + b + 2.0)
    one, other = tf.where(below, a, b), tf.where(below, b, a)
    log_x, log_rest = tf.math.log(x), tf.math.log1p(-x)
    at, rest = tf.where(below, log_x, log_rest), tf.where(below, log_rest, log_x)
    fraction, slope, other_slope = beta_fraction(
        tf.stop_gradient(one), tf.stop_gradient(other), tf.where(below, x, 1.0 - x)
    )
    fraction = with_slope(one, tf.stop_gradient(fraction), slope)
    fraction = with_slope(other, fraction, other_slope)
    # log(a B(a, b)), finite for the smallest a.
    constant = tfp.math.lbeta(one + 1.0, other) + tf.math.log(one + other)
    near = one * at + other * rest - constant + fraction
    # Beside a tail of nearly all there is one that shrinks with a, as the derivative tells.
    tiny = near > -1e-8
    turn = at - tf.math.digamma(one + 1.0) + tf.math.digamma(one + other) + slope
    far = tf.math.log(one) + tf.math.log(
        tf.stop_gradient(tf.where(tiny, -turn, tf.ones_like(turn)))
    )
    far = tf.where(tiny, far, tfp.math.log1mexp(tf.where(tiny, -tf.ones_like(near), near)))
    near = tf.minimum(near, 0.0)
    return tf.where(below, near, far), tf.where(below, far, near)


def log_outward(ratio: Any, like: tf.Tensor) -> Any:
    """Log of 1 + r(1) + r(1) r(2) + ..., a tail over its first term, and its derivatives.

    `ratio` gives r(j), and the derivatives of its logarithm in the parameters on a first axis; it
    is 0 beyond the last term. The sum has at most 100,000 terms, and ends where they are too small.
    """

    def add(j: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        term, total, slope, total_slope, _ = state
        r, turn = ratio(j)
        term, slope = term * r, slope + turn
        more = term * tf.maximum(r, 1.0) > 1e-18 * total
        return j + 1.0, term, total + term, slope, total_slope + term * slope, more

    one, first = tf.ones_like(like), tf.ones([], tf.float64)
    none = tf.zeros_like(ratio(first)[1])
    found = tf.while_loop(
        lambda *state: tf.reduce_any(state[-1]),
        add,
        (first, one, one, none, none, one > 0),
        maximum_iterations=100_000,
    )
    return tf.math.log(found[2]), tf.unstack(found[4] / found[2])


def log_skew_tail(h: tf.Tensor, a: tf.Tensor) -> tf.Tensor:
    """Log of P(Z < -h) of a skew normal number with slant a, for h >= 0.

    Its derivative in the slant is known, so this is the integral of exp(-h^2 (1 + s^2) / 2) /
    (1 + s^2) / pi over slants s above a: by Gauss and Legendre's rule in asinh(s), up to where it
    is negligible. Of a < 0 it is what the integral over s > -a leaves of twice the normal tail.
    """
    nodes, weights = np.polynomial.legendre.leggauss(40)
    h, s = tf.maximum(h, 1e-100), tf.abs(a)
    # The square of s grows by that until exp(-40), or asinh(s) by 40.
    square = s * s + 80.0 / (h * h)
    root = s * tf.sqrt(1.0 + square) + tf.sqrt(square * (1.0 + s * s))
    width = tf.minimum(tf.asinh(80.0 / (h * h) / root), 40.0)[..., tf.newaxis]
    h, s, u = h[..., tf.newaxis], s[..., tf.newaxis], 0.5 * (nodes + 1.0) * width
    slope = tf.sqrt(1.0 + s * s)
    grown = tf.math.expm1(u)
    more = 0.5 * grown * grown / (grown + 1.0)  # cosh(u) - 1
    rise = grown - more  # sinh(u)
    gone = s * more + slope * rise
    value = tf.exp(-0.5 * (h * gone) * (h * (gone + 2.0 * s)))
    value /= slope * (1.0 + more) + s * rise
    total = tf.reduce_sum(0.5 * weights * width * value, -1)
    h, slope = h[..., 0], slope[..., 0]
    thin = tf.math.log(total / np.pi) - 0.5 * (h * slope) ** 2
    twice = tf.math.log(mills(h)) - 0.5 * h * h + 0.5 * np.log(2 / np.pi)
    return tf.where(a < 0, twice + tfp.math.log1mexp(tf.maximum(twice - thin, 0.5)), thin)


def log_normal_and_exponential(z: tf.Tensor, r: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Log of P(X + E / r < z) for a standard normal and an exponential number, of z up to 5.

    It is phi(z) times the difference of Mills' ratios R at -z and r - z; where they are near, by
    the integral of -R', which is 1 - t R(t). Also its value at t = r - z, or -5 if that is less.
    """
    nodes, weights = np.polynomial.legendre.leggauss(12)
    z_low, x = tf.minimum(z, 5.0), tf.maximum(-z, -5.0)
    unit = np.append(0.5 * (nodes + 1.0), 0.0)
    last = tf.maximum(r - z, -5.0)[..., tf.newaxis]
    t = tf.concat([x[..., tf.newaxis] + unit * r[..., tf.newaxis], last], -1)
    ratio = mills(t)
    # By its series for large t.
    large = t > 20.0
    square = 1.0 / tf.where(large, t, tf.ones_like(t)) ** 2
    slope = tf.zeros_like(t)
    for k in range(10, 0, -1):
        slope = square * (2.0 * k - 1.0) * (1.0 - slope)
    slope = tf.where(large, slope, 1.0 - t * ratio)
    near = r * tf.reduce_sum(0.5 * weights * slope[..., :-2], -1)
    far = ratio[..., -2] - ratio[..., -1]
    found = tf.math.log(tf.where(r < tf.maximum(x, 1.0), near, far))
    return found - 0.5 * z_low * z_low - 0.5 * np.log(2 * np.pi), slope[..., -1]


def mills(x: tf.Tensor) -> tf.Tensor:
    """Mills' ratio of the normal distribution, P(X > x) over the density."""
    return np.sqrt(np.pi / 2) * tfp.math.erfcx(x / np.sqrt(2))
