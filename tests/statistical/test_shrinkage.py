"""Shrinkage priors find the few coefficients that are not zero."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hiermod as hm

pytestmark = pytest.mark.statistical

P, SIGNALS = 20, {"x3": 2.0, "x8": -1.5, "x15": 1.0}
NOISE = [f"x{i}" for i in range(P) if f"x{i}" not in SIGNALS]
PRIORS = {
    "normal": "normal(0, 5)",
    "horseshoe": f"horseshoe(scale_global={3 / (P - 3) / np.sqrt(60):.4f})",
    "r2d2": "r2d2()",
    "hyperprior": "normal(0, exponential(1))",
}


@pytest.fixture(scope="module")
def fits():
    """One sparse regression, 60 rows of 20 predictors, with every prior."""
    rng = np.random.default_rng(21)
    frame = pd.DataFrame(rng.normal(size=(60, P)), columns=[f"x{i}" for i in range(P)])
    frame["y"] = sum(b * frame[name] for name, b in SIGNALS.items()) + rng.normal(size=60)
    formula = "y ~ " + " + ".join(frame.columns[:-1])
    return {
        name: hm.fit(
            frame, formula, priors={"common": text}, seed=1, target_accept=0.95, progress=False
        )
        for name, text in PRIORS.items()
    }


def table(fit):
    found = fit.summary()
    assert found["r_hat"].max() < 1.02
    assert found["ess_bulk"].min() > 200
    return found


@pytest.mark.parametrize("name", PRIORS)
def test_signals_are_found(fits, name):
    found = table(fits[name])
    for signal, truth in SIGNALS.items():
        assert found.loc[signal, "5%"] * np.sign(truth) > 0
        assert abs(found.loc[signal, "mean"] - truth) < 4 * found.loc[signal, "sd"]


def test_noise_is_shrunk_more_than_by_a_normal_prior(fits):
    size = {name: table(fit).loc[NOISE, "mean"].abs().mean() for name, fit in fits.items()}
    assert size["horseshoe"] < 0.5 * size["normal"]
    assert size["r2d2"] < 0.75 * size["normal"]
    assert size["hyperprior"] < size["normal"]


def test_signals_are_shrunk_least_by_the_horseshoe(fits):
    """One scale for all coefficients must do for signals and noise; local scales do for each."""
    least = {
        name: min(table(fit).loc[s, "mean"] / truth for s, truth in SIGNALS.items())
        for name, fit in fits.items()
    }
    kept = {name: table(fit).loc["x3", "mean"] for name, fit in fits.items()}
    assert least["horseshoe"] > 0.6
    assert kept["horseshoe"] > kept["hyperprior"]


def test_local_scales_tell_signals_from_noise(fits):
    local = fits["horseshoe"].posterior["common_local"].median(("chain", "draw"))
    of_noise = local.sel(common_local_dim=NOISE).max()
    assert all(local.sel(common_local_dim=signal) > of_noise for signal in SIGNALS)


def test_the_scale_of_many_coefficients_is_recovered():
    """With 80 coefficients from normal(0, 0.7), their scale is known to about 8 %."""
    rng = np.random.default_rng(5)
    levels = rng.integers(0, 80, 1600)
    frame = pd.DataFrame({"f": levels.astype(str)})
    frame["y"] = rng.normal(0, 0.7, 80)[levels] + rng.normal(size=1600)
    fit = hm.fit(
        frame, "y ~ 0 + f", priors={"common": "normal(0, exponential(1))"}, seed=1, progress=False
    )
    found = fit.summary(["common_scale"]).iloc[0]
    assert abs(found["mean"] - 0.7) < 4 * found["sd"] < 0.4
    # The same model as group effects, whose standard deviation is integrated out exactly.
    group = hm.fit(
        frame, "y ~ 0 + (1 | f)", priors={"1|f_sigma": "exponential(1)"}, seed=1, progress=False
    )
    expected = group.summary(["1|f_sigma"]).iloc[0]
    error = 5 * np.hypot(found["mcse_mean"], expected["mcse_mean"])
    assert abs(found["mean"] - expected["mean"]) < error
