"""The lean densities are TFP's and SciPy's, value and gradient."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

from hiermod.models import lean
from hiermod.models.distributions.decorated import Weighted

pytestmark = pytest.mark.density

tfd = tfp.distributions
AT = np.array([-100.0, -40.0, -3.0, -1e-9, 0.0, 1e-9, 0.4, 40.0, 100.0])


def gradient(density, at):
    with tf.GradientTape() as tape:
        at = tf.constant(at)
        tape.watch(at)
        value = density(at)
    return value.numpy(), tape.gradient(value, at).numpy()


CASES = {
    "normal, location": (
        lambda d, x: d.Normal(x, np.float64(0.3)).log_prob(np.float64(1.5)),
        lambda x: stats.norm.logpdf(1.5, x, 0.3),
        lambda x: (1.5 - x) / 0.09,
    ),
    "normal, scale": (
        lambda d, x: d.Normal(np.float64(2), tf.exp(x / 10)).log_prob(np.float64(1.5)),
        lambda x: stats.norm.logpdf(1.5, 2, np.exp(x / 10)),
        lambda x: (0.25 * np.exp(-x / 5) - 1) / 10,
    ),
    "binomial": (
        lambda d, x: d.Binomial(np.float64(10), logits=x).log_prob(np.float64(3)),
        lambda x: 3 * special.log_expit(x) + 7 * special.log_expit(-x) + np.log(120),
        lambda x: 3 - 10 * special.expit(x),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_densities_and_gradients(case):
    ours, expected, slope = CASES[case]
    value, found = gradient(lambda x: ours(lean.distributions, x), AT)
    theirs, _ = gradient(lambda x: ours(tfd, x), AT)
    np.testing.assert_allclose(value, theirs, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(value, expected(AT), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found, slope(AT), rtol=1e-12, atol=1e-13)


def test_a_binomial_of_probabilities():
    value = lean.distributions.Binomial(np.float64(10), probs=[0.1, 0.5]).log_prob(np.float64(3))
    np.testing.assert_allclose(value, stats.binom.logpmf(3, 10, [0.1, 0.5]), rtol=1e-12)


def test_a_binomial_density_traces_nothing():
    y = np.arange(7919.0)  # a shape that no other test has

    def traced(d):
        before = tfp.math.lbeta.experimental_get_tracing_count()
        d.Binomial(y, logits=0.0 * y).log_prob(y)
        return tfp.math.lbeta.experimental_get_tracing_count() - before

    assert traced(lean.distributions) == 0
    assert traced(tfd) == 1


LOGITS = np.array([-3.0, 0.2, 4.0])


@pytest.mark.parametrize(
    ("distribution", "constant"),
    [
        (
            lean.Binomial(np.float64([[10], [10], [6]]), logits=LOGITS),
            -np.log(special.comb([[10], [10], [6]], [[0], [3], [6]])),
        ),
        (
            Weighted(
                lean.Binomial(np.float64(10), logits=LOGITS), weights=np.float64([[2], [0.5], [0]])
            ),
            -np.array([[2], [0.5], [0]]) * np.log(special.comb(10, [[0], [3], [6]])),
        ),
        (lean.Binomial(np.float64(10), probs=special.expit(LOGITS)), 0.0),
        (lean.Normal(LOGITS, np.float64(2)), 0.0),
    ],
    ids=["binomial", "weighted", "binomial of probabilities", "normal"],
)
def test_kernels_leave_out_what_depends_on_the_data_alone(distribution, constant):
    y = np.float64([[0], [3], [6]])
    left_out = lean.log_kernel(distribution, y) - distribution.log_prob(y)
    expected = np.broadcast_to(constant, left_out.shape)
    np.testing.assert_allclose(left_out, expected, rtol=1e-11, atol=1e-11)


def test_everything_else_is_tfp():
    assert lean.distributions.Gamma is tfd.Gamma
    assert set(vars(lean.distributions)) == {n for n in dir(tfd) if not n.startswith("_")}
