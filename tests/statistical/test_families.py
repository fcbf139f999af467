"""Parameters of families are found again in data that were drawn with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import special

import hiermod as hm
from hiermod.models import families, links

pytestmark = pytest.mark.statistical

ROWS, LEVELS = 2000, 40
TRUTH = {
    "student": {"sigma": 0.7, "nu": 4.0},
    "skew_normal": {"sigma": 1.0, "alpha": 4.0},
    "gev": {"sigma": 0.8, "xi": 0.15},
    "gamma": {"shape": 3.0},
    "beta": {"phi": 8.0},
    "negbinomial": {"shape": 1.5},
    "zero_inflated_poisson": {"zi": 0.3},
    "hurdle_lognormal": {"sigma": 0.6, "hu": 0.25},
    "sratio": {"threshold": [-0.5, 0.4, 1.0], "disc": 1.0},
    "cratio": {"threshold": [-0.5, 0.4, 1.0], "disc": 1.0},
    "acat": {"threshold": [-0.5, 0.4, 1.0], "disc": 1.0},
}
COMMON = {"Intercept": 0.5, "x": 0.4, "1|g_sigma": 0.6}


def simulated(name, seed=7):
    rng = np.random.default_rng(seed)
    family = families.FAMILIES[name]
    frame = pd.DataFrame({"g": rng.integers(0, LEVELS, ROWS), "x": rng.normal(size=ROWS)})
    u = rng.normal(0, COMMON["1|g_sigma"], LEVELS)
    level = 0.0 if family.categories else COMMON["Intercept"]
    eta = (level + COMMON["x"] * frame["x"] + u[frame["g"]]).to_numpy()
    text = families.likelihood(family, links.LINKS[family.links[0]])
    given = {k: np.array([v]) for k, v in TRUTH[name].items()}
    drawn = links.evaluate(text, eta=eta, **given).sample(seed=tf.constant([seed, 1], tf.int32))
    return frame.assign(y=drawn.numpy())


def distances(fit, truth):
    """Posterior means from the truth, in posterior standard deviations."""
    p = fit.posterior
    over = ("chain", "draw")
    varying = {k: v for k, v in truth.items() if k in p and "constant" not in p[k].attrs}
    far = {k: (p[k].mean(over) - v) / p[k].std(over) for k, v in varying.items()}
    return {k: float(np.abs(v).max()) for k, v in far.items()}


@pytest.mark.parametrize("name", TRUTH)
def test_parameters_are_found(name):
    fit = hm.fit(simulated(name), "y ~ x + (1 | g)", family=name, seed=1, progress=False)
    assert fit.check().ok
    far = distances(fit, COMMON | TRUTH[name])
    # Four standard deviations: one in sixteen thousand for each of some thirty numbers.
    assert max(map(abs, far.values())) < 4, far


def test_a_wrong_family_is_far_off():
    data = simulated("zero_inflated_poisson")
    fit = hm.fit(data, "y ~ x + (1 | g)", family="poisson", seed=1, progress=False)
    assert abs(distances(fit, COMMON)["Intercept"]) > 4


def test_a_formula_for_another_parameter_is_found():
    rng = np.random.default_rng(11)
    g, x = rng.integers(0, LEVELS, ROWS), rng.normal(size=ROWS)
    root = np.linalg.cholesky([[1.0, 0.6], [0.6, 1.0]])
    u, v = (rng.normal(size=(LEVELS, 2)) @ root.T * [0.8, 0.4]).T
    sd = np.exp(-0.3 + 0.4 * x + v[g])
    y = 1.0 + 0.5 * x + u[g] + sd * rng.normal(size=ROWS)
    parts = hm.formula("y ~ x + (1 |p| g)", sigma="~ x + (1 |p| g)")
    fit = hm.fit(pd.DataFrame({"y": y, "x": x, "g": g}), parts, seed=1, progress=False)
    assert fit.check().ok
    truth = {"x": 0.5, "sigma_x": 0.4, "1|g_sigma": 0.8, "sigma_1|g_sigma": 0.4}
    assert max(map(abs, distances(fit, truth).values())) < 4
    found = fit.posterior["g_cor"][..., 0, 1]
    assert abs(float((found.mean() - 0.6) / found.std())) < 4
    # The levels themselves, by their own uncertainty.
    levels = fit.posterior["sigma_1|g"]
    z = (levels.mean(("chain", "draw")) + fit.posterior["sigma_Intercept"].mean() - v + 0.3) / (
        levels.std(("chain", "draw"))
    )
    assert 0.5 < float(z.std()) < 1.6


def test_a_formula_with_one_number_is_the_plain_model():
    data = simulated("zero_inflated_poisson")
    options = {"family": "zero_inflated_poisson", "seed": 1, "progress": False}
    plain = hm.fit(data, "y ~ x", priors={"zi": "uniform(0, 1)"}, **options)
    # The logistic distribution is the uniform one on the logit scale.
    parts, priors = hm.formula("y ~ x", zi="~ 1"), {"zi_Intercept": "logistic(0, 1)"}
    whole = hm.fit(data, parts, priors=priors, **options)
    one, other = plain.posterior["zi"], special.expit(whole.posterior["zi_Intercept"])
    assert abs(float(one.mean() - other.mean())) < 0.15 * float(one.std())
    assert float(other.std() / one.std()) == pytest.approx(1, abs=0.1)
