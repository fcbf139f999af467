"""The choice between centred and non-centred effects."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import hiermod as hm
from hiermod.models import centring


def information(model):
    s = model._joint.specification
    return centring.information(s.design, s.family, s.link)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e4])
def test_ratio_of_a_gaussian_response_is_the_f_statistic(unit):
    rng = np.random.default_rng(1)
    group = np.repeat(list("abcde"), [3, 5, 8, 13, 21])
    y = unit * (rng.normal(size=50) + 0.8 * pd.factorize(group)[0])
    model = hm.model(pd.DataFrame({"y": y, "g": group}), "y ~ 1 + (1 | g)")
    f = scipy.stats.f_oneway(*(y[group == level] for level in "abcde"))
    # The score test has a degree of freedom more: a level's mean is not taken from the data.
    assert information(model)["g"] == pytest.approx(f.statistic * 4 / 5 - 1, rel=1e-6)


def test_common_predictors_are_taken_out_first():
    """A steep slope, many units of the response long, leaves the ratio as it is."""
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(10), 12)
    x = np.tile(np.arange(12.0), 10)
    y = rng.normal(size=120) + rng.normal(size=10)[group]
    flat, steep = (
        hm.model(pd.DataFrame({"y": y + slope * x, "x": x, "g": group}), "y ~ 1 + x + (1 | g)")
        for slope in (0.0, 1e3)
    )
    assert information(flat)["g"] > 1
    assert information(steep)["g"] == pytest.approx(information(flat)["g"], rel=1e-6)


def test_logistic_scores_are_those_of_the_fitted_model():
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(30), 40)
    x = rng.normal(size=1200)
    p = 1 / (1 + np.exp(-(3 + 4 * x)))  # far from where the search starts
    y = rng.binomial(1, p)
    data = pd.DataFrame({"y": y, "x": x, "g": group})
    model = hm.model(data, "y ~ 1 + x + (1 | g)", family="bernoulli")
    # Levels are equal: the statistic of 30 levels is one, give or take sqrt(2 / 30).
    assert information(model)["g"] < 3 * np.sqrt(2 / 30)
