"""Logarithms of gamma functions, and what is summed up beside them, against 60-digit mpmath."""

import mpmath
import numpy as np
import pytest
import tensorflow as tf

from hiermod.models.distributions.counts import ComPoisson
from hiermod.models.distributions.row import rising, stirling_excess

SIZES = np.concatenate(
    [10.0 ** np.arange(-285, 16, 12), np.linspace(0.01, 30, 40), [9.9999999, 10, 10.0000001]]
)
COUNTS = (0.0, 1.0, 2.0, 9.0, 40.0, 1e6, 1e12)


def derivatives(function, x, jit):
    """Value, first and second derivative of a function of one number, for many numbers."""

    @tf.function(jit_compile=jit)
    def all_three(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = function(x)
            slope = inner.gradient(value, x)
        return value, slope, outer.gradient(slope, x)

    return [found.numpy() for found in all_three(tf.constant(x))]


def exactly(function, *grid):
    """A function of mpmath on a grid, in floats."""
    with mpmath.workdps(60):
        return np.array([float(function(*map(mpmath.mpf, row))) for row in zip(*grid, strict=True)])


@pytest.mark.parametrize("jit", [False, True])
def test_what_stirlings_formula_leaves(jit):
    value, slope, curve = derivatives(stirling_excess, SIZES, jit)
    expected = exactly(
        lambda a: (
            mpmath.loggamma(a) - ((a - 0.5) * mpmath.log(a) - a + mpmath.log(2 * mpmath.pi) / 2)
        ),
        SIZES,
    )
    np.testing.assert_allclose(value, expected, rtol=1e-11)
    expected = exactly(lambda a: mpmath.digamma(a) - mpmath.log(a) + 0.5 / a, SIZES)
    np.testing.assert_allclose(slope, expected, rtol=1e-11)
    usual = (SIZES > 1e-6) & (SIZES < 1e3)
    expected = exactly(lambda a: mpmath.psi(1, a) - 1 / a - 0.5 / a**2, SIZES[usual])
    np.testing.assert_allclose(curve[usual], expected, rtol=1e-9)


@pytest.mark.parametrize("jit", [False, True])
def test_rising_factorials(jit):
    a, k = (x.ravel() for x in np.meshgrid(SIZES, COUNTS))
    value, slope, curve = derivatives(lambda a: rising(a, tf.constant(k)), a, jit)
    expected = exactly(lambda a, k: mpmath.loggamma(a + k) - mpmath.loggamma(a), a, k)
    np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-12)
    assert not value[k == 0].any()
    expected = exactly(lambda a, k: mpmath.digamma(a + k) - mpmath.digamma(a), a, k)
    np.testing.assert_allclose(slope, expected, rtol=1e-13, atol=1e-18)
    usual = (a > 1e-6) & (a < 1e3) & (k > 0)
    expected = exactly(lambda a, k: mpmath.psi(1, a + k) - mpmath.psi(1, a), a[usual], k[usual])
    np.testing.assert_allclose(curve[usual], expected, rtol=1e-9)


@pytest.mark.parametrize("jit", [False, True])
def test_the_constant_of_com_poisson_has_second_derivatives(jit):
    """Those of its sum; they are variances and a covariance."""
    mean, shape = map(np.array, zip(*SUMS, *OTHERS, strict=True))

    @tf.function(jit_compile=jit)
    def found(x, shape):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch([x, shape])
            with tf.GradientTape() as inner:
                inner.watch([x, shape])
                value = ComPoisson(log_mean=x, shape=shape)._log_constant(x, shape)
            slopes = inner.gradient(value, [x, shape])
        of_mean, of_shape = (outer.gradient(slope, [x, shape]) for slope in slopes)
        return value, *slopes, *of_mean, *of_shape

    value, by_mean, by_shape, *curves = (
        x.numpy() for x in found(tf.constant(np.log(mean)), tf.constant(shape))
    )
    expected = np.array([moments(*row) for row in SUMS]).T
    summed = slice(len(SUMS))
    slopes = [value[summed], by_mean[summed], by_shape[summed]]
    np.testing.assert_allclose(slopes, expected[:3], rtol=1e-12)
    for curve, which in zip(curves, (3, 4, 4, 5), strict=True):
        np.testing.assert_allclose(curve[summed], expected[which], rtol=1e-10)
    # Of the others, that are no sums, the second is poisson, the last is refused.
    others = [x[len(SUMS) :] for x in (value, by_mean, by_shape, *curves)]
    assert np.isfinite([x[:2] for x in others]).all()
    assert np.isnan(others[0][2])
    np.testing.assert_allclose([others[k][1] for k in (0, 1, 3)], 40, rtol=1e-9)


SUMS = [(0.3, 0.2), (140.0, 0.2), (3.0, 0.5), (1.0, 1.0), (7.5, 2.0), (20.0, 12.0), (300.0, 160.0)]
"""Means and shapes for which the constant is a sum."""

OTHERS = [(500.0, 2.0), (40.0, 1.0), (3.0, 0.1)]
"""Two for which it is a series of the integral, and a shape that is refused."""


def moments(mean, shape):
    """Log constant, and its derivatives in the logarithm of the mean and in the shape."""
    with mpmath.workdps(60):
        log, nu = mpmath.mpf(np.log(mean)), mpmath.mpf(shape)
        k = range(900)
        p = [j * log - mpmath.loggamma(j + 1) for j in k]
        terms = [mpmath.exp(nu * x) for x in p]
        total = mpmath.fsum(terms)

        def average(*factors):
            return mpmath.fdot(terms, (mpmath.fprod(x) for x in zip(*factors, strict=True))) / total

        of_k, of_p = average(k), average(p)
        covariance = average(k, p) - of_k * of_p
        variance, of_shape = average(k, k) - of_k**2, average(p, p) - of_p**2
        found = mpmath.log(total), nu * of_k, of_p, nu**2 * variance, of_k + nu * covariance
        return [float(x) for x in (*found, of_shape)]
