"""Densities of the user's own, and what the checks say where sampling is hard."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

import hiermod as hm

pytestmark = pytest.mark.statistical
tfd, tfb = tfp.distributions, tfp.bijectors


def gamma(v):
    """A gamma variable and a pair of normals around it."""
    x = tfd.Normal(v["rate"][:, tf.newaxis], np.float64(2)).log_prob(v["x"])
    return tfd.Gamma(np.float64(3), np.float64(2)).log_prob(v["rate"]) + tf.reduce_sum(x, -1)


def test_constrained_variables_have_the_right_distribution():
    fit = hm.sample(
        gamma, {"rate": 1.0, "x": np.zeros(2)}, bijectors={"rate": tfb.Exp()}, seed=1,
        progress=False,
    )  # fmt: skip
    assert fit.check().ok
    rate = fit.posterior["rate"].to_numpy()[:, ::5].ravel()
    exact = stats.gamma(3, scale=0.5)
    assert stats.kstest(rate, exact.cdf).pvalue > 1e-3
    assert stats.kstest(rate, stats.gamma(3, scale=0.6).cdf).pvalue < 1e-6  # it would be noticed
    spread = float(fit.posterior["x"].std())
    assert spread == pytest.approx((4 + exact.var()) ** 0.5, rel=0.05)
    assert dict(fit.posterior.sizes) == {"chain": 4, "draw": 1000, "x_dim_0": 2}
    assert "rate" in repr(fit)


def test_the_same_density_is_compiled_once():
    traces = 0

    def density(v):
        nonlocal traces
        traces += not tf.executing_eagerly()
        return -0.5 * v["x"] ** 2

    options = {"warmup": 50, "draws": 30, "progress": False}
    hm.sample(density, {"x": 0.0}, seed=1, **options)
    first = traces
    hm.sample(density, {"x": 2.0}, seed=2, **options)
    assert traces == first > 0


def test_mistakes_in_a_density():
    def one(v):
        return -0.5 * tf.reduce_sum(v["x"] ** 2)

    with pytest.raises(hm.ModelError, match=r"one value a chain: for 3 chains .* shape \(\)"):
        hm.sample(one, {"x": [0.0, 1.0]}, progress=False)
    with pytest.raises(hm.ModelError, match="start must be a dict"):
        hm.sample(one, [0.0], progress=False)
    with pytest.raises(hm.ModelError, match="bijector for 'y', but no such variable"):
        hm.sample(one, {"x": 0.0}, bijectors={"y": tfb.Exp()}, progress=False)
    with pytest.raises(hm.ModelError, match="has no option 'drws'"):
        hm.sample(one, {"x": 0.0}, drws=10)
    with pytest.raises(hm.SamplingError, match="chains must be a whole number"):
        hm.sample(lambda v: -(v["x"] ** 2), {"x": 0.0}, chains=0, progress=False)


def test_the_checks_are_not_silent_on_a_funnel():
    def funnel(v):
        x = tfd.Normal(np.float64(0), tf.exp(v["v"] / 2)[:, tf.newaxis]).log_prob(v["x"])
        return tfd.Normal(np.float64(0), 3.0).log_prob(v["v"]) + tf.reduce_sum(x, -1)

    fit = hm.sample(funnel, {"v": 0.0, "x": np.zeros(9)}, seed=1, progress=False)
    assert not fit.check().ok
    assert fit.check().figures["divergences"] > 0
    assert fit.check().figures["e_bfmi"] < 0.3
