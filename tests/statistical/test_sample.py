"""Densities of the user's own, and what the checks say where sampling is hard."""

import re

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
        gamma, {"rate": 1.0, "x": np.zeros(2)}, bijectors={"rate": tfb.Exp()}, seed=2,
        target_accept=0.9,  # the logarithm of the rate has a steep side: one fit in seven diverges
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


def test_equal_bijectors_share_a_program():
    traces = 0

    def density(v):
        nonlocal traces
        traces += not tf.executing_eagerly()
        return -0.5 * tf.reduce_sum(tf.math.log(v["x"]) ** 2, -1) - tf.reduce_sum(v["x"], -1)

    def go(bijector):
        start = {"x": [1.0, 1.0]}
        return hm.sample(
            density, start, bijectors={"x": bijector}, warmup=50, draws=30, seed=1, progress=False
        )

    def chain(scale):
        return tfb.Chain([tfb.Scale(np.array([1.0, scale])), tfb.Exp()])

    first = go(chain(2.0))
    before = traces
    again = go(chain(2.0))
    assert traces == before > 0
    np.testing.assert_array_equal(first.posterior["x"], again.posterior["x"])
    other = go(chain(3.0))  # another number is another program
    assert traces > before
    assert not np.array_equal(first.posterior["x"], other.posterior["x"])

    class Own(tfb.Bijector):
        """A user's bijector that does not tell TFP its parameters: each is another one."""

        def __init__(self, power):
            super().__init__(forward_min_event_ndims=0)
            self.power = power

        def _forward(self, x):
            return tf.exp(self.power * x)

        def _inverse(self, y):
            return tf.math.log(y) / self.power

        def _forward_log_det_jacobian(self, x):
            return self.power * x + np.log(self.power)

    before = traces
    one, two = go(Own(1.0)), go(Own(2.0))
    assert traces > before + 1
    assert not np.array_equal(one.posterior["x"], two.posterior["x"])


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


def test_a_density_without_a_gradient():
    def kink(v):
        return -tf.sqrt(tf.abs(v["x"] - v["x"])) - v["x"] ** 2

    with pytest.raises(
        hm.SamplingError, match="The gradient of log_prob in x is not finite at x = "
    ):
        hm.sample(kink, {"x": 0.0}, progress=False)
    with pytest.raises(hm.SamplingError, match="does not depend on the position"):
        hm.sample(lambda v: tf.zeros_like(tf.stop_gradient(v["x"])), {"x": 0.0}, progress=False)


def test_the_checks_are_not_silent_on_a_funnel():
    def funnel(v):
        x = tfd.Normal(np.float64(0), tf.exp(v["v"] / 2)[:, tf.newaxis]).log_prob(v["x"])
        return tfd.Normal(np.float64(0), 3.0).log_prob(v["v"]) + tf.reduce_sum(x, -1)

    fit = hm.sample(funnel, {"v": 0.0, "x": np.zeros(9)}, seed=1, progress=False)
    assert not fit.check().ok
    assert fit.check().figures["divergences"] > 0
    assert fit.check().figures["e_bfmi"] < 0.3


# --- pinned joint distributions -----------------------------------------------------------------

ZERO, ONE = np.float64(0), np.float64(1)


def conjugate(kind):
    """A normal mean with a normal prior, three observations of it, and an independent gamma."""
    mean, rate = tfd.Normal(ZERO, ONE, name="mean"), tfd.Gamma(3 * ONE, 2 * ONE, name="rate")
    if kind == "named":
        parts = {
            "mean": mean, "rate": rate, "y": lambda mean: tfd.Sample(tfd.Normal(mean, ONE), 3),
        }  # fmt: skip
        return tfd.JointDistributionNamedAutoBatched(parts)
    if kind == "sequential":

        def y(rate, mean):
            return tfd.Independent(tfd.Normal(mean[..., None] * np.ones(3), ONE), 1, name="y")

        return tfd.JointDistributionSequential([mean, rate, y])

    @tfd.JointDistributionCoroutineAutoBatched
    def joint():
        m = yield mean
        yield rate
        yield tfd.Sample(tfd.Normal(m, ONE), 3, name="y")

    return joint


@pytest.mark.parametrize("kind", ["named", "sequential", "coroutine"])
def test_a_pinned_joint_distribution(kind):
    pinned = conjugate(kind).experimental_pin(y=np.array([1.0, 2.0, 3.0]))
    fit = hm.sample(pinned, seed=1, progress=False)
    assert set(fit.posterior.data_vars) == {"mean", "rate"}
    assert fit.check().ok
    for name, exact in {"mean": stats.norm(1.5, 0.5), "rate": stats.gamma(3, scale=0.5)}.items():
        draws = fit.posterior[name].to_numpy()[:, ::5].ravel()
        assert stats.kstest(draws, exact.cdf).pvalue > 1e-3
        assert stats.kstest(draws, lambda x, e=exact: e.cdf(x - 0.15)).pvalue < 1e-4


def test_other_pins_reach_the_same_program():
    traces = 0

    def y(mean):
        nonlocal traces
        traces += not tf.executing_eagerly()
        return tfd.Normal(mean, ONE)

    joint = tfd.JointDistributionNamed({"mean": tfd.Normal(ZERO, ONE), "y": y})
    options = {"warmup": 200, "draws": 1000, "progress": False, "seed": 1}
    low = hm.sample(joint.experimental_pin(y=ZERO), **options)
    before = traces
    high = hm.sample(joint.experimental_pin(y=4 * ONE), start={"mean": 2.0}, **options)
    assert traces == before > 0
    assert float(low.posterior["mean"].mean()) == pytest.approx(0, abs=0.1)
    assert float(high.posterior["mean"].mean()) == pytest.approx(2, abs=0.1)


def test_a_support_that_depends_on_another_part():
    joint = tfd.JointDistributionNamed(
        {
            "low": tfd.Normal(ZERO, ONE),
            "x": lambda low: tfd.Uniform(low, low + 2),
            "y": lambda x: tfd.Normal(x, 100 * ONE),
        }
    )
    fit = hm.sample(joint.experimental_pin(y=ZERO), seed=1, progress=False)
    inside = fit.posterior["x"] - fit.posterior["low"]
    assert 0 < inside.min() < 0.1
    assert 1.9 < inside.max() < 2
    assert stats.kstest(inside.to_numpy()[:, ::5].ravel(), stats.uniform(0, 2).cdf).pvalue > 1e-3


def test_float32_is_computed_in_float32_and_reported_in_float64():
    joint = tfd.JointDistributionNamedAutoBatched(
        {"mean": tfd.Normal(0.0, 1.0), "y": lambda mean: tfd.Normal(mean, 1.0)}
    )
    fit = hm.sample(joint.experimental_pin(y=1.0), seed=1, progress=False)
    assert fit.posterior["mean"].dtype == np.float64
    draws = fit.posterior["mean"].to_numpy()[:, ::5].ravel()
    assert stats.kstest(draws, stats.norm(0.5, 0.5**0.5).cdf).pvalue > 1e-3


def test_the_joint_distribution_of_a_model_gives_its_posterior():
    frogs = hm.load_data("reedfrogs").assign(tank=lambda d: d.index)
    model = hm.model(frogs, "prop(surv, density) ~ 1 + (1 | tank)", family="binomial")
    pinned = model.joint.experimental_pin(surv=model.design.response.values)
    found = hm.sample(pinned, seed=1, progress=False)
    fit = model.fit(seed=1, progress=False)
    for ours, theirs in (("1|tank_sigma", "sigma_tank"), ("Intercept", "Intercept")):
        a, b = fit.summary().loc[ours], found.summary().loc[theirs]
        error = np.hypot(a["mcse_mean"], b["mcse_mean"])
        assert abs(a["mean"] - b["mean"]) < 5 * error
        assert a["sd"] == pytest.approx(b["sd"], rel=0.15)


def test_a_pinned_joint_distribution_names_the_part_that_is_not_finite():
    joint = tfd.JointDistributionSequential(
        [
            tfd.Normal(ZERO, ONE, name="a"),
            lambda a: tfd.Normal(ZERO, tf.sqrt(a + 1), name="y"),
            lambda y, a: tfd.Normal(a, ONE, name="z"),
        ]
    )
    pinned = joint.experimental_pin(z=ZERO, y=ONE)
    (what,) = (
        p.what
        for p in hm.sample(pinned, seed=1, progress=False).check().problems
        if "not finite" in p.what
    )
    assert re.search(r"the log density of y is nan at a = -1\.\d+\.$", what)


def test_mistakes_in_a_joint_distribution():
    joint = conjugate("sequential")
    with pytest.raises(hm.ModelError, match="conditioned on data first"):
        hm.sample(joint, progress=False)
    pinned = joint.experimental_pin(y=np.ones(3))
    with pytest.raises(hm.ModelError, match="leave out bijectors="):
        hm.sample(pinned, bijectors={"rate": tfb.Exp()}, progress=False)
    with pytest.raises(
        hm.ModelError, match=r"'mu', which is no part to be sampled\. Allowed: mean"
    ):
        hm.sample(pinned, {"mu": 1.0}, progress=False)
    mixed = {"k": tfd.Poisson(ONE), "z": tfd.Bernoulli(0.5), "y": lambda k: tfd.Normal(k, ONE)}
    mixed = tfd.JointDistributionNamed(mixed)
    with pytest.raises(hm.ModelError, match=r"part 'z' is discrete \(int32\)"):
        hm.sample(mixed.experimental_pin(y=ONE), progress=False)
    inner = tfd.JointDistributionNamed({"b": tfd.Normal(ZERO, ONE)})
    outer = tfd.JointDistributionNamed({"a": inner, "y": lambda a: tfd.Normal(a["b"], ONE)})
    with pytest.raises(hm.ModelError, match="part 'a' is a joint distribution itself"):
        hm.sample(outer.experimental_pin(y=ONE), progress=False)
    flat = tfd.JointDistributionNamed(
        {"m": tfd.Normal(ZERO, ONE), "y": lambda m: tfd.Normal(m, np.ones(4))}
    )
    with pytest.raises(hm.ModelError, match="AutoBatched"):
        hm.sample(flat.experimental_pin(y=np.ones(4)), progress=False)
    counts = tfd.JointDistributionNamed({"k": tfd.Poisson(ONE), "y": lambda k: tfd.Normal(k, ONE)})
    with pytest.raises(hm.ModelError, match="Pin parts that are discrete"):
        hm.sample(counts.experimental_pin(y=ONE), progress=False)
