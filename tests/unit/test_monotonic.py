"""Monotonic effects of ordered columns, ``mo(x)``."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import stats

import hiermod as hm
from hiermod.formula import design, new_design

LEVELS = ["low", "middle", "high", "top"]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(5)
    x, z, g = rng.integers(0, 4, 300), rng.normal(size=300), rng.integers(0, 10, 300)
    reached = np.array([0.0, 1.2, 1.4, 2.4])[x]
    y = 1.0 + reached + 0.5 * z + rng.normal(0, 0.5, 10)[g] + rng.normal(0, 0.8, 300)
    ordered = pd.Categorical.from_codes(x, LEVELS, ordered=True)
    return pd.DataFrame(
        {"y": y, "x": ordered, "n": x + 3, "z": z, "g": g, "f": np.array(LEVELS)[x]}
    )


def test_the_columns_say_which_levels_are_reached(frame):
    made = design("y ~ mo(x) + mo(n):z", frame)
    steps, product = made.terms
    assert steps.kind == product.kind == "monotonic"
    assert steps.labels == ("middle", "high", "top")
    assert product.labels == ("4", "5", "6")
    at_least = frame["x"].cat.codes.to_numpy()[:, None] >= np.array([1, 2, 3])
    np.testing.assert_array_equal(made.X[:, steps.columns], at_least)
    np.testing.assert_array_equal(
        made.X[:, product.columns], at_least * frame["z"].to_numpy()[:, None]
    )
    few = new_design(made, frame.iloc[[7, 3]])
    np.testing.assert_array_equal(few.X, made.X[[7, 3]])


@pytest.mark.parametrize("center", [True, False])
def test_the_density(frame, center):
    priors = {
        "mo(x)": "normal(0.5, 2)",
        "mo(x)_simplex": "dirichlet(2)",
        "Intercept": "normal(1, 3)",
        "sigma": "exponential(1)",
        "z": "normal(0, 1)",
    }
    model = hm.model(frame, "y ~ z + mo(x)", priors=priors, center=center)
    alpha, slope, mean, sigma = 0.8, 0.4, 0.7, 0.9
    simplex = np.array([0.5, 0.2, 0.3])
    given = {"Intercept": alpha, "z": slope, "mo_x": np.ones(3), "mo_x__mean": mean,
             "mo_x__simplex": simplex, "sigma": sigma}  # fmt: skip
    values = [tf.constant(np.asarray(given[p.identifier], np.float64)) for p in model._joint.parts]
    reached = 3 * mean * np.concatenate([[0], simplex.cumsum()])[frame["x"].cat.codes]
    eta = alpha + slope * frame["z"] + reached
    eta -= center * (slope * frame["z"].mean() + reached.mean())
    expected = (
        stats.norm(eta, sigma).logpdf(frame["y"]).sum()
        + stats.norm(1, 3).logpdf(alpha)
        + stats.norm(0, 1).logpdf(slope)
        + stats.norm(0.5, 2).logpdf(mean)
        + stats.dirichlet([2, 2, 2]).logpdf(simplex)
        + stats.expon.logpdf(sigma)
    )
    found = float(model.joint.log_prob([*values, frame["y"].to_numpy()]))
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.fixture(scope="module")
def fits(frame):
    model = hm.model(frame, "y ~ z + mo(x) + mo(x):z + (1 | g)")
    return [model.fit(seed=1, progress=False, shortcuts=shortcuts) for shortcuts in (True, False)]


def test_the_posterior_with_and_without_shortcuts(fits):
    assert "not mo(x), mo(x):z: no prior of the form normal(mean, sd)" in str(fits[0].model.plan())
    one, other = (f.posterior for f in fits)
    assert fits[0].check().ok
    for name in ("Intercept", "z", "mo(x)", "mo(x)_mean", "mo(x)_simplex", "sigma", "1|g"):
        over = ("chain", "draw")
        far = (one[name].mean(over) - other[name].mean(over)) / one[name].std(over)
        assert float(np.abs(far).max()) < 0.2, name  # some thousand draws: 0.03 apart


def test_what_was_put_in_is_found(fits):
    p = fits[0].posterior
    np.testing.assert_allclose(p["mo(x)"].mean(("chain", "draw")), [1.2, 0.2, 1.0], atol=0.25)
    np.testing.assert_allclose(p["mo(x)"], 3 * p["mo(x)_mean"] * p["mo(x)_simplex"].rename(
        {"mo(x)_simplex_dim": "mo(x)_dim"}), rtol=1e-12)  # fmt: skip
    assert (np.sign(p["mo(x)"]) == np.sign(p["mo(x)_mean"])).all()
    assert abs(float(p["mo(x):z_mean"].mean())) < 0.2


def test_it_prints(frame):
    model = hm.model(frame, "y ~ mo(x) + (1 | g)")
    table = model.priors
    assert list(table.index) == ["Intercept", "mo(x)_mean", "mo(x)_simplex", "1|g_sigma", "sigma"]
    assert table.loc["mo(x)_mean", "class"] == "common"
    # As of a column of 0, 1, 2, 3.
    plain = hm.model(frame, "y ~ n + (1 | g)").priors
    assert table.loc["mo(x)_mean", "prior"] == plain.loc["n", "prior"]
    text = str(model.equations())
    assert "mo(x) = 3 * mo(x)_mean * mo(x)_simplex" in text
    assert "sum(mo(x) up to x[i])" in text
    scope: dict = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_allclose(
        scope["joint"].log_prob(drawn), model.joint.log_prob(drawn), rtol=1e-12
    )
    prior = model.sample_prior(50, seed=1)["prior"]
    np.testing.assert_allclose(prior["mo(x)_simplex"].sum("mo(x)_simplex_dim"), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "priors", "error", "says"),
    [
        ("y ~ mo(f)", {}, hm.DataError, "mo(f) needs the order of the levels of 'f'"),
        ("y ~ mo(z)", {}, hm.DataError, "mo() needs ordered levels, or whole numbers"),
        ("y ~ mo(two)", {}, hm.DataError, "mo() needs three levels or more, and has 2"),
        ("y ~ mo(gap)", {}, hm.DataError, "mo() needs rows with every value between 0 and 4; there is none with 3"),  # noqa: E501
        ("y ~ mo(x):f", {}, hm.DataError, "an interaction of mo() is with columns of numbers"),
        ("y ~ (mo(x) | g)", {}, hm.FormulaError, "mo() cannot vary between groups yet"),
        ("y ~ log(mo(n))", {}, hm.FormulaError, "mo() cannot be inside another function"),
        ("y ~ mo(n + 1)", {}, hm.FormulaError, "mo() takes a column"),
        ("y ~ mo(x)", {"mo(x)_simplex": "normal(0, 1)"}, hm.PriorError, "it needs dirichlet(1)"),
        ("y ~ mo(x)", {"mo(x)": "normal(0, 1)", "mo(x)_mean": "normal(0, 2)"}, hm.PriorError, "give one of them"),  # noqa: E501
        ("y ~ mo(x)", {"common": "horseshoe()"}, hm.PriorError, "a monotonic term cannot share scales"),  # noqa: E501
    ],
)  # fmt: skip
def test_bad_input(frame, formula, priors, error, says):
    gap = np.array([0, 1, 2, 4])[frame["x"].cat.codes]
    data = frame.assign(two=frame["n"] > 4, gap=gap)
    with pytest.raises(error) as info:
        hm.model(data, formula, priors=priors)
    assert says in str(info.value)
