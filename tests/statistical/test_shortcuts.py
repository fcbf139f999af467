"""With shortcuts and without them the posterior is the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special

import hiermod as hm
from hiermod.results.summary import summary


def penicillin(rng):
    """As the data of lme4: each of 24 plates with each of 6 samples."""
    plate, sample = np.divmod(np.arange(144), 6)
    y = 23 + 0.85 * rng.normal(size=24)[plate] + 1.9 * rng.normal(size=6)[sample]
    return pd.DataFrame(
        {"diameter": y + 0.55 * rng.normal(size=144), "plate": plate, "sample": sample}
    )


def simulated(rng, levels, rows, sd, slope=0.0):
    g, x = np.arange(rows) % levels, rng.normal(size=rows)
    y = 1 + sd * rng.normal(size=levels)[g] + slope * rng.normal(size=levels)[g] * x
    return pd.DataFrame({"y": y + rng.normal(size=rows), "g": g, "x": x})


def rng(seed=12):
    """A generator of its own for each data set: they do not depend on which tests run."""
    return np.random.default_rng(seed)


CASES = {
    "sleepstudy": (
        lambda: hm.load_data("sleepstudy"),
        "Reaction ~ Days + (1 + Days | Subject)",
        "gaussian",
    ),
    "radon": (lambda: hm.load_data("radon_mn"), "log_radon ~ floor + (1 | county)", "gaussian"),
    "crossed, in the root": (
        lambda: penicillin(rng()),
        "diameter ~ 1 + (1 | plate) + (1 | sample)",
        "gaussian",
    ),
    "crossed, sampled": (
        lambda: simulated(rng(), 40, 400, 1.0).assign(h=rng(13).integers(0, 35, 400)),
        "y ~ x + (1 | g) + (1 | h)",
        "gaussian",
    ),
    "cbpp": (
        lambda: hm.load_data("cbpp"),
        "prop(incidence, size) ~ period + (1 | herd)",
        "binomial",
    ),
    "bangladesh": (
        lambda: hm.load_data("bangladesh").rename(columns={"use.contraception": "used"}),
        "used ~ urban + (1 + urban | district)",
        "bernoulli",
    ),
    "hardly any variation": (
        lambda: simulated(rng(), 20, 100, 0.01),
        "y ~ x + (1 | g)",
        "gaussian",
    ),
    "one row a level": (lambda: simulated(rng(), 60, 60, 1.0), "y ~ x + (1 | g)", "gaussian"),
    "huge groups": (
        lambda: simulated(rng(), 15, 3000, 1.0, 0.5),
        "y ~ x + (1 + x | g)",
        "gaussian",
    ),
}


def distances(one, other):
    """Between means, in standard errors; and between logarithms of sds, nearly so."""
    a, b = (summary(f.posterior) for f in (one, other))
    varies = a["sd"] > 1e-9  # but not the diagonal of a correlation
    a, b = a[varies], b[varies]
    distance = ((a["mean"] - b["mean"]) / np.hypot(a["mcse_mean"], b["mcse_mean"])).abs()
    # Of n independent normal draws the log of the sd has standard error 1 / sqrt(2 n).
    ess = np.minimum(a["ess_tail"], b["ess_tail"])
    return distance, np.log(a["sd"] / b["sd"]).abs() * np.sqrt(ess)


@pytest.mark.parametrize("case", CASES)
def test_the_posterior_is_that_without_shortcuts(case):
    frame, formula, family = CASES[case]
    options = {"draws": 2000, "seed": 5, "progress": False, "target_accept": 0.95}
    # Of one row a level the two variances are told apart by their priors only; with a wide one the
    # whole model is a funnel that cannot be sampled well.
    priors = {"sigma": "gamma(100, 100)"} if case == "one row a level" else None
    model = hm.model(frame(), formula, family=family, priors=priors)
    short, whole = model.fit(**options), model.fit(shortcuts=False, **options)
    assert bool(model.plan().done) == (case != "cbpp")
    assert list(short.posterior.data_vars) == list(whole.posterior.data_vars)
    distance, spread = distances(short, whole)
    assert distance.max() < 5, distance.nlargest(3)
    assert spread.max() < 7, spread.nlargest(3)


def test_a_wrong_posterior_is_seen():
    # The negative control of the comparison above: effects that are drawn too widely by a fifth.
    frame, formula, _ = CASES["radon"]
    model = hm.model(frame(), formula)
    options = {"draws": 2000, "seed": 5, "progress": False}
    whole = model.fit(shortcuts=False, **options)
    short = model.fit(**options)
    effects = short.posterior["1|county"]
    mean = effects.mean(("chain", "draw"))
    short.posterior["1|county"] = mean + 1.2 * (effects - mean)
    _, spread = distances(short, whole)
    assert spread.max() > 10


def test_laplace_is_close_where_it_says_so():
    frame, formula, family = CASES["bangladesh"]
    model = hm.model(frame(), formula, family=family)
    exact = model.fit(seed=5, draws=2000, progress=False)
    close = model.fit(seed=5, draws=2000, progress=False, approximate="laplace")
    assert close.check().ok, close.check()
    assert close.check().figures["pareto_k"] < 0.7
    assert close.idata["sample_stats"]["log_importance"].shape == (4, 2000)
    a, b = (summary(f.posterior) for f in (exact, close))
    varies = a["sd"] > 1e-9
    assert ((a["mean"] - b["mean"]).abs() / a["sd"])[varies].max() < 0.15
    assert np.log(a["sd"] / b["sd"])[varies].abs().max() < 0.1
    assert "approximately: 1|district, urban|district by Laplace's method" in repr(close)


def test_laplace_says_where_it_is_off():
    # One yes or no a level: far from normal.
    rng = np.random.default_rng(8)
    u = 3 * rng.normal(size=200)
    frame = pd.DataFrame({"y": rng.binomial(1, 1 / (1 + np.exp(-u))), "g": range(200)})
    fit = hm.fit(
        frame,
        "y ~ 1 + (1 | g)",
        family="bernoulli",
        priors={"1|g_sigma": "lognormal(1.1, 0.1)"},
        approximate="laplace",
        seed=1,
        progress=False,
    )
    assert fit.check().figures["pareto_k"] > 0.7
    assert "The approximation is off" in str(fit.check())


def test_draws_too_many_to_keep(monkeypatch):
    frame, formula, _ = CASES["sleepstudy"]
    model = hm.model(frame(), formula)
    kept = model.fit(seed=3, progress=False)
    monkeypatch.setattr("hiermod.models.plans.KEEP", 1000)
    fit = model.fit(seed=3, progress=False)
    assert "1|Subject" not in fit.posterior
    assert "too many to keep" in repr(fit)
    moments = fit.idata["group_effects"]
    for name in ("1|Subject", "Days|Subject"):
        draws = kept.posterior[name]
        sd = draws.std(("chain", "draw"))
        # The draws have Monte Carlo error; the moments are exact but for that of the rest.
        np.testing.assert_allclose(
            moments[f"{name}_mean"], draws.mean(("chain", "draw")), atol=float(0.1 * sd.min())
        )
        np.testing.assert_allclose(moments[f"{name}_sd"], sd, rtol=0.1)
    alone = fit.draw_effects("Subject", 310, seed=1)["1|Subject"]
    assert alone.sizes["Subject__factor_dim"] == 1
    twice = fit.draw_effects("Subject", [372, 372], seed=1)["1|Subject"].to_numpy()
    np.testing.assert_array_equal(twice[..., 0], twice[..., 1])
    with pytest.raises(hm.ModelError, match="levels is empty"):
        fit.draw_effects("Subject", [])
    some = fit.draw_effects("Subject", [310, 372], seed=1)
    for name in ("1|Subject", "Days|Subject"):
        one, other = some[name], kept.posterior[name].sel(Subject__factor_dim=[310, 372])
        assert one.dims == other.dims
        over = ("chain", "draw")
        np.testing.assert_allclose(one.std(over), other.std(over), rtol=0.1)
        far = np.abs(one.mean(over) - other.mean(over)) / other.std(over)
        assert (far < 0.1).all()
    np.testing.assert_array_equal(
        kept.draw_effects("Subject", [310])["1|Subject"].squeeze(),
        kept.posterior["1|Subject"].sel(Subject__factor_dim=310),
    )
    with pytest.raises(hm.ModelError, match="too many to keep"):
        fit.add_log_likelihood()
    with pytest.raises(hm.ModelError, match="no level 99 of 'Subject'"):
        fit.draw_effects("Subject", [99])
    with pytest.raises(hm.ModelError, match="no group 'subject'"):
        fit.draw_effects("subject")


def test_levels_of_a_model_without_other_terms(monkeypatch):
    monkeypatch.setattr("hiermod.models.plans.KEEP", 100)
    frame = simulated(rng(), 6, 60, 1.0)
    fit = hm.fit(frame, "y ~ 0 + (1 | g)", draws=50, warmup=100, seed=1, progress=False)
    found = fit.draw_effects("g", [2, 4], seed=1)["1|g"]
    assert found.shape == (4, 50, 2)
    far = (found.mean(("chain", "draw")) - fit.idata["group_effects"]["1|g_mean"][[2, 4]]) / (
        found.std(("chain", "draw"))
    )
    assert (np.abs(far) < 0.5).all()


def test_a_fit_is_resumed_with_its_plan(tmp_path):
    model = hm.model(simulated(rng(), 6, 60, 1.0), "y ~ x + (1 | g)")
    options = {"draws": 40, "warmup": 60, "seed": 1, "progress": False}
    whole = model.fit(checkpoint=tmp_path / "a", checkpoint_every=0, **options)
    again = hm.resume(tmp_path / "a", progress=False)
    for name in ("1|g", "x", "sigma"):
        np.testing.assert_array_equal(whole.posterior[name], again.posterior[name])


def test_log_likelihood_is_of_the_rows():
    frame, formula, family = CASES["bangladesh"]
    data = frame().head(300)
    fit = hm.fit(data, formula, family=family, draws=50, warmup=100, seed=1, progress=False)
    assert "300 rows compressed to" in repr(fit)
    fit.add_log_likelihood()
    assert fit.idata["log_likelihood"]["used"].sizes["__obs__"] == 300
    first = fit.posterior.isel(chain=0, draw=0)
    u = first.sel(district__factor_dim=data["district"].to_numpy())
    slope = first["urban"] + u["urban|district"]
    eta = first["Intercept"] + u["1|district"] + slope * data["urban"].to_numpy()
    sign = 2 * data["used"].to_numpy() - 1
    np.testing.assert_allclose(
        fit.idata["log_likelihood"]["used"][0, 0], special.log_expit(sign * eta), rtol=1e-9
    )
