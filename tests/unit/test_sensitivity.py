"""The log prior of draws, and power-scaling sensitivity against exact posteriors."""

import arviz as az
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import xarray as xr
from scipy import stats

import hiermod as hm
from hiermod import results

Y = np.array([1.2, -0.4, 2.9, 0.3, 1.8, 0.9, 2.2, -0.1])
SIGMA = 2.0


def normal_fit(mean, scale):
    """The mean of normal responses with a normal prior: its posterior, of quantiles as draws."""
    priors = {"Intercept": f"normal({mean}, {scale})", "sigma": f"constant({SIGMA})"}
    model = hm.model(pd.DataFrame({"y": Y}), "y ~ 1", priors=priors)
    draws = posterior(mean, scale).ppf((np.arange(4000) + 0.5) / 4000)
    draws = np.random.default_rng(1).permutation(draws).reshape(4, 1000)
    over = ("chain", "draw")
    data = {"Intercept": (over, draws), "sigma": (over, np.full((4, 1000), SIGMA), {"constant": 1})}
    coords = {"chain": np.arange(4), "draw": np.arange(1000)}
    return hm.Fit(model, results.inference_data({"posterior": xr.Dataset(data, coords=coords)}))


def posterior(mean, scale, prior=1.0, likelihood=1.0):
    """The exact posterior with prior and likelihood raised to powers."""
    own, data = prior / scale**2, likelihood * len(Y) / SIGMA**2
    return stats.norm((own * mean + data * Y.mean()) / (own + data), (own + data) ** -0.5)


def sensitivity(whole, lower, upper):
    """Gradient of the cumulative Jensen-Shannon distance (Kallioinen et al. 2024), integrated."""
    return (distance(whole, lower) + distance(whole, upper)) / (2 * np.log2(1.01))


def distance(p, q):
    """Between two normals, over the range of 4000 draws."""
    x = np.linspace(*p.ppf([0.5 / 4000, 1 - 0.5 / 4000]), 20_001)
    found = []
    for P, Q in ((p.cdf(x), q.cdf(x)), (p.sf(x), q.sf(x))):
        M = (P + Q) / 2
        divergence = P * np.log2(P / M) + Q * np.log2(Q / M)
        found.append(np.sqrt(np.trapezoid(divergence, x) / np.trapezoid(P + Q, x)))
    return max(found)


@pytest.mark.parametrize(
    ("mean", "scale", "diagnosis"),
    [
        (0.0, 50.0, "-"),
        (8.0, 1.0, "potential prior-data conflict"),
        (1.1, 0.05, "strong prior / weak likelihood"),
    ],
)
def test_a_conjugate_posterior_is_known(mean, scale, diagnosis):
    table = normal_fit(mean, scale).sensitivity()
    assert list(table.index) == ["Intercept"]  # not sigma, which is constant
    whole, low, high = posterior(mean, scale), 1 / 1.01, 1.01
    # ArviZ 0.x scales by 1/1.01 and 1.01, 1.x by 0.99 and 1.01; and both are of 4000 draws.
    near = {"rel": 0.05, "abs": 2e-4}
    prior = sensitivity(whole, *(posterior(mean, scale, prior=a) for a in (low, high)))
    data = sensitivity(whole, *(posterior(mean, scale, likelihood=a) for a in (low, high)))
    assert table.loc["Intercept", "prior"] == pytest.approx(prior, **near)
    assert table.loc["Intercept", "likelihood"] == pytest.approx(data, **near)
    assert table.loc["Intercept", "diagnosis"] == diagnosis


def test_a_flat_prior_has_no_sensitivity():
    fit = normal_fit(0.0, 50.0)
    fit.model = hm.model(
        fit.model.data, "y ~ 1", priors={"Intercept": "uniform(-90, 90)", "sigma": "constant(2)"}
    )
    assert fit.sensitivity()["prior"].tolist() == [0.0]


DATA = pd.DataFrame(
    {
        "y": np.random.default_rng(2).normal(size=24),
        "x": np.random.default_rng(3).normal(5, 1, size=24),
        "f": list("abc") * 8,
        "g": list("pqrs") * 6,
        "k": list("uuvvwwuuvvww") * 2,
    }
)
FORMULAS = {
    "centred": ("y ~ f + (1 + x | g) + s(x, k=5)", {}),
    "shrinkage": ("y ~ x + f", {"priors": {"f": "normal(0, exponential(1))"}}),
    "thresholds": ("k ~ x", {"family": "cumulative"}),
    "sigma": (hm.formula("y ~ x", sigma="~ x + (1 | g)"), {}),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_log_prior_is_that_of_the_joint_distribution(name):
    formula, options = FORMULAS[name]
    data = DATA.assign(k=pd.Categorical(DATA["k"], ordered=True))
    model = hm.model(data, formula, **options)
    plan, generator = model.plan(shortcuts=False), np.random.default_rng(4)
    values = plan.recover(generator.normal(0, 0.5, (2, 5, plan.dimensions))).values
    draws = results.conversion.posterior(model._joint, values, {})
    found = results.group(
        hm.Fit(model, results.inference_data({"posterior": draws})).add_log_prior().idata,
        "log_prior",
    )
    s = model.specification
    shown = [p for p in s.parameters if not p.prior.shrinkage and not p.prior.constant]
    assert list(found) == [p.name for p in shown]
    assert ("f" in found) == (name == "centred")
    parts = dict(zip((p.identifier for p in s.parameters), model.joint.model, strict=False))
    for p in shown:
        exact = parts[p.identifier].log_prob(tf.constant(values[p.identifier]))
        np.testing.assert_allclose(found[p.name], exact, rtol=1e-9, atol=1e-9)


def test_log_prior_is_the_density_of_the_reported_prior():
    found = normal_fit(8.0, 1.0)
    exact = stats.norm(8, 1).logpdf(found.posterior["Intercept"])
    np.testing.assert_allclose(
        results.group(found.add_log_prior().idata, "log_prior")["Intercept"], exact
    )


def test_the_group_serves_arviz():
    fit = normal_fit(8.0, 1.0)
    own = fit.sensitivity()["prior"]
    fit.add_log_prior()
    if hasattr(az, "psense"):
        theirs = az.psense(fit.idata, var_names=["Intercept"])["Intercept"]
    else:
        theirs = az.psens(fit.idata, component="prior", var_names=["Intercept"])
    assert float(theirs) == pytest.approx(own["Intercept"])


def test_shortcuts_do_not_change_it():
    priors = {"x": "normal(1, 0.2)", "Intercept": "normal(0, 1)", "group_sigma": "exponential(1)"}
    model = hm.model(DATA, "y ~ x + (1 | g)", priors=priors)
    names = ["x", "sigma"]
    short, whole = (
        model.fit(shortcuts=on, seed=1, progress=False).sensitivity(names) for on in (True, False)
    )
    # Both are of 4000 draws; seeds differ by less than a tenth.
    np.testing.assert_allclose(short["prior"], whole["prior"], rtol=0.15)
    np.testing.assert_allclose(short["likelihood"], whole["likelihood"], rtol=0.15)


def test_errors():
    with pytest.raises(hm.errors.ModelError, match="no variable 'Intercpt'"):
        normal_fit(0.0, 1.0).sensitivity(["Intercpt"])
