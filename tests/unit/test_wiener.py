"""Times of decisions: the first passage of a diffusion."""

import itertools

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import integrate, stats

import hiermod as hm
from hiermod.models.distributions.diffusion import Wiener, log_sinh_ratio

PLACES = [
    (1.0, 1.5, 0.2, 0.5),
    (-2.0, 1.0, 0.1, 0.2),
    (0.0, 2.0, 0.3, 0.9),
    (6.0, 1.5, 0.0, 0.05),
]
"""Drift, boundary, shift and bias."""


def test_times_before_the_shift_have_no_density():
    at = [tf.constant(x, tf.float64) for x in PLACES[0]]
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = Wiener(*at).log_prob(np.array([-0.2, 0.1, 0.2, 0.3]))
        kept = value[3]
    assert np.isfinite(value).tolist() == [False, False, False, True]
    assert np.isfinite([float(slope) for slope in tape.gradient(kept, at)]).all()


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_choices_and_times_are_drawn_by_their_density(place):
    n = 10_000
    found = Wiener(*map(np.float64, place))
    drawn = found.sample(n, seed=tf.constant([5, 6], tf.int32)).numpy()
    total = 0.0
    for side in (-1, 1):
        own = np.sort(side * drawn[np.sign(drawn) == side])

        def density(t, side=side):
            return np.exp(float(found.log_prob(np.float64(side * t))))

        chance = float(found._moments(side > 0)[0])
        total += chance
        assert stats.binomtest(len(own), n, chance).pvalue > 1e-4
        ends = [place[2], *np.quantile(own, np.linspace(0, 1, 25))]
        mass = [integrate.quad(density, a, b, epsabs=1e-8)[0] for a, b in itertools.pairwise(ends)]
        below = np.cumsum(mass) / chance
        share = np.searchsorted(own, ends[1:], side="right") / len(own)
        assert below[-1] == pytest.approx(1, abs=20 / len(own))
        assert np.abs(share - below).max() < 2.23 / np.sqrt(len(own))  # one in ten thousand
    assert total == pytest.approx(1, abs=1e-12)
    error = drawn.std() / np.sqrt(n)
    assert float(found.mean()) == pytest.approx(drawn.mean(), abs=5 * error)
    spread = np.sqrt((stats.kurtosis(drawn) + 2) / n)
    assert float(found.variance()) == pytest.approx(drawn.var(), rel=6 * spread)


def test_the_series_of_moments_meets_the_closed_form():
    x = np.array([0.3 - 1e-9, 0.3 + 1e-9, 1e-12, 0.0])
    value, slope, curve = (v.numpy() for v in log_sinh_ratio(tf.constant(x)))
    for found, limit in ((value, 0.0), (slope, 1 / 6), (curve, -1 / 90)):
        assert found[0] == pytest.approx(found[1], abs=3e-9)
        assert found[2:] == pytest.approx([limit, limit], abs=1e-12)


@pytest.fixture(scope="module")
def trials():
    x = np.tile([0.0, 1.0], 200)
    made = Wiener(0.5 + 1.2 * x, np.float64(1.6), np.float64(0.25), np.float64(0.45))
    y = made.sample(1, seed=tf.constant([1, 2], tf.int32)).numpy()[0]
    choice = np.where(y > 0, "upper", "lower")
    return pd.DataFrame({"rt": np.abs(y), "choice": choice, "x": x, "g": np.arange(400) % 10})


def test_parameters_are_found(trials):
    fit = hm.fit(trials, "rt | dec(choice) ~ x", family="wiener", chains=2, seed=1, progress=False)
    assert fit.check().ok
    truth = {"Intercept": 0.5, "x": 1.2, "bs": 1.6, "ndt": 0.25, "bias": 0.45}
    for name, value in truth.items():
        draws = fit.posterior[name]
        assert abs(float(draws.mean()) - value) < 4 * float(draws.std()), name
    table = fit.model.priors["prior"]
    assert table["ndt"] == f"uniform(0, {trials['rt'].min():.4g})"
    assert table[["Intercept", "x", "bs", "bias"]].tolist() == [
        "normal(0, 2.5)", "normal(0, 2.5)", "gamma(2, 1)", "beta(1, 1)",
    ]  # fmt: skip
    observed = fit.idata["observed_data"]["rt"].to_numpy()
    np.testing.assert_array_equal(observed > 0, trials["choice"] == "upper")


def test_models_around_it(trials):
    numbers = trials.assign(choice=(trials["choice"] == "upper"))
    models = [
        hm.model(trials, "rt | dec(choice) ~ x", family="wiener"),
        hm.model(numbers, "decided(rt, choice) ~ x", family="wiener"),
        hm.model(numbers, hm.formula("decided(rt, choice) ~ x + (1 | g)", bs="~ x", bias="~ x"),
                 family="wiener"),
    ]  # fmt: skip
    np.testing.assert_array_equal(models[0]._joint.data["y"], models[1]._joint.data["y"])
    for m in models:
        scope: dict = {}
        exec(m.code(), scope)
        drawn = m.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
        np.testing.assert_allclose(scope["joint"].log_prob(drawn), m.joint.log_prob(drawn), 1e-12)
        plan = m.plan()
        start = tf.constant(plan.start()[0][None])
        assert np.isfinite(plan.log_density(start, plan.arguments)).all()


@pytest.mark.parametrize(
    ("formula", "family", "error", "says"),
    [
        ("rt ~ x", "wiener", hm.ModelError, "needs the decisions: write decided(rt, choice)"),
        ("decided(rt, choice) ~ x", "gamma", hm.ModelError, "which are for family 'wiener', not"),
        ("rt | dec(x) ~ 1", "wiener", hm.DataError, "must be 'lower' or 'upper' (0 or 1): row 2"),
        ("decided(x, choice) ~ 1", "wiener", hm.DataError, "x must be times of decisions, above 0"),
        ("decided(rt) ~ 1", "wiener", hm.FormulaError, "Write decided(y, choice), or y | dec("),
    ],
)  # fmt: skip
def test_bad_input(formula, family, error, says):
    frame = pd.DataFrame({"rt": [0.4, 0.6, 0.9], "choice": [0, 1, 1], "x": [0.0, 1.0, 2.0]})
    with pytest.raises(error) as info:
        hm.model(frame, formula, family=family)
    assert says in str(info.value)
