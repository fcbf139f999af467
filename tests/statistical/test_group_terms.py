"""Group terms with options give the posteriors that they should."""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import pytest

import hiermod as hm
from hiermod.models.distributions import sum_to_zero

pytestmark = pytest.mark.statistical


def agree(one, other):
    """Means and standard deviations of two runs of draws, within their Monte Carlo errors."""
    for moment in ("mean", "sd"):
        summary = np.mean if moment == "mean" else np.std
        error = np.hypot(az.mcse(one, method=moment), az.mcse(other, method=moment))
        assert abs(summary(one) - summary(other)) < 5 * error


def test_standard_deviations_by_kind_are_those_of_fits_to_each_kind():
    """With nothing else unknown the kinds are separate models."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(40), 8)
    kind = np.where(np.arange(40) % 2, "wide", "tight")
    sd = np.where(kind == "wide", 2.0, 0.4)
    frame = pd.DataFrame({"g": g, "kind": kind[g]})
    frame["y"] = rng.normal(0, sd)[g] + rng.normal(size=len(g))
    options = {
        "priors": {
            "Intercept": "constant(0)",
            "sigma": "constant(1)",
            "group_sigma": "exponential(1)",
        },
        "seed": 1,
        "progress": False,
    }
    fit = hm.fit(frame, "y ~ 1 + (1 | gr(g, by=kind))", draws=2000, **options)
    for name in ("tight", "wide"):
        alone = hm.fit(frame[frame["kind"] == name], "y ~ 1 + (1 | g)", **options)
        found = fit.posterior["1|g_sigma"].sel(kind__by_dim=name).to_numpy()
        agree(found, alone.posterior["1|g_sigma"].to_numpy())
        level = 1 if name == "wide" else 0
        agree(
            fit.posterior["1|g"].sel(g__factor_dim=level).to_numpy(),
            alone.posterior["1|g"].sel(g__factor_dim=level).to_numpy(),
        )


def test_effects_that_sum_to_zero_have_their_exact_posterior():
    """Intercept and effects are normal given the standard deviations, which are constant."""
    rng = np.random.default_rng(4)
    g = rng.integers(0, 5, 40)
    y = 1 + np.array([1.0, -0.5, 0.2, 0.8, -1.5])[g] + rng.normal(size=40)
    priors = {
        "Intercept": "normal(0, 3)",
        "sigma": "constant(1)",
        "1|g_sigma": "constant(0.8)",
    }
    fit = hm.fit(
        pd.DataFrame({"g": g, "y": y}), "y ~ 1 + (1 | gr(g, zero_sum=True))",
        priors=priors, seed=1, progress=False, shortcuts=False,
    )  # fmt: skip
    basis = np.asarray(sum_to_zero(np.eye(4)))
    design = np.column_stack([np.ones(40), 0.8 * basis.T[g]])
    precision = design.T @ design + np.diag([1 / 9, 1, 1, 1, 1])
    mean, covariance = np.linalg.solve(precision, design.T @ y), np.linalg.inv(precision)
    out = np.zeros((6, 5))
    out[0, 0], out[1:, 1:] = 1, 0.8 * basis.T
    mean, sd = out @ mean, np.sqrt(np.diag(out @ covariance @ out.T))
    found = [
        fit.posterior["Intercept"].to_numpy(),
        *np.moveaxis(fit.posterior["1|g"].to_numpy(), -1, 0),
    ]
    for draws, m, s in zip(found, mean, sd, strict=True):
        assert az.ess(draws) > 1000
        assert abs(draws.mean() - m) < 5 * az.mcse(draws, method="mean")
        assert abs(draws.std() - s) < 5 * az.mcse(draws, method="sd")


@pytest.fixture(scope="module")
def outlier():
    """Thirty levels, one of them far out; fits with normal and with Student-t effects."""
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(30), 6)
    u = rng.normal(0, 0.5, 30)
    u[7] = 8.0
    frame = pd.DataFrame({"g": g, "y": u[g] + rng.normal(size=len(g))})
    return frame, {
        term: hm.fit(frame, f"y ~ 1 + (1 | {term})", seed=1, progress=False)
        for term in ("g", 'gr(g, dist="student")')
    }


def test_student_effects_let_a_level_be_far_out(outlier):
    frame, fits = outlier
    normal, student = fits.values()
    assert student.posterior["g_df"].median() < 5
    assert float(student.posterior["1|g_sigma"].mean()) < 0.6 * float(
        normal.posterior["1|g_sigma"].mean()
    )
    raw = frame.groupby("g")["y"].mean()

    def shrunk(fit, level):
        found = fit.posterior["Intercept"] + fit.posterior["1|g"].sel(g__factor_dim=level)
        return abs(float(found.mean()) - raw[level])

    assert shrunk(student, 7) < shrunk(normal, 7) + 0.1
    others = [i for i in range(30) if i != 7]
    assert np.mean([shrunk(student, i) for i in others]) > 1.3 * np.mean(
        [shrunk(normal, i) for i in others]
    )


def test_both_forms_of_student_effects_have_the_same_posterior(outlier):
    frame, _ = outlier
    one, other = (
        hm.fit(frame, 'y ~ 1 + (1 | gr(g, dist="student"))', noncentered=flag, seed=2,
               target_accept=0.95, draws=2000, progress=False).posterior
        for flag in (True, False)
    )  # fmt: skip
    for name in ("1|g_sigma", "sigma", "Intercept"):
        agree(one[name].to_numpy(), other[name].to_numpy())
    agree(np.log(one["g_df"].to_numpy()), np.log(other["g_df"].to_numpy()))
