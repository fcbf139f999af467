"""Draws to inference data, and the answers: names, rows, checks, summary, pooling, files."""

import re

import arviz as az
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import xarray as xr
from scipy import signal, special, stats

import hiermod as hm
from hiermod import inference, results
from hiermod.inference.diagnostics import diagnose
from hiermod.results import checks, rows

N = 24
CHAINS, DRAWS = 2, 50


def data():
    generator = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "y": generator.normal(1, 2, N),
            "n": generator.integers(3, 9, N),
            "k": generator.integers(0, 3, N),
            "x": generator.normal(2, 1, N),
            "w": generator.integers(1, 4, N) * 0.5,
            "t": generator.uniform(0, 1, N),
            "f": ["a", "b", "c"] * (N // 3),
            "g": ["p", "q", "r", "s"] * (N // 4),
            "h": np.repeat([10, 20, 30, 40], N // 4),
        },
        index=[f"row {i}" for i in range(N)],
    )


def drawn(model, seed=5):
    """A fit whose draws are made up: what follows from draws does not ask where they are from."""
    plan, generator = model.plan(shortcuts=False), np.random.default_rng(seed)
    shape = (CHAINS, DRAWS)
    found = inference.Draws(
        position=generator.normal(0, 0.5, (*shape, plan.dimensions)),
        statistics={
            "lp": generator.normal(size=shape),
            "energy": generator.normal(size=shape),
            "acceptance_rate": generator.uniform(size=shape),
            "diverging": np.zeros(shape, bool),
            "step_size": np.full(shape, 0.3),
            "n_steps": np.full(shape, 7),
        },
        settings=inference.Settings(warmup=100, draws=DRAWS, seed=9),
        metric=(
            np.ones(plan.dimensions),
            np.zeros((plan.dimensions, 2)),
            np.ones(2),
            np.zeros(plan.dimensions),
        ),
        trajectory_length=1.6,
        seconds=1.5,
    )
    return hm.Fit(model, results.inference_data(results.convert(plan, found))), found


MODELS = {
    "gaussian": (
        "weighted(y, w) ~ x + f + offset(t) + (1 + x | g) + (1 | h)",
        {"noncentered": True},
    ),
    "centred effects": ("y ~ x + (f || g)", {"noncentered": False}),
    "binomial": ("prop(k, n) ~ x + (1 | g)", {"family": "binomial"}),
    "no intercept": ("k ~ 0 + index(f) + (0 + x | g)", {"family": "poisson"}),
    "lone intercept": ("y ~ 1", {}),
}


def made(name):
    formula, options = MODELS[name]
    return hm.model(data(), formula, **options)


# --- names, dimensions, coordinates -------------------------------------------------------------


def test_names_and_dimensions_of_a_posterior():
    fit, _ = drawn(made("gaussian"))
    over = ("chain", "draw")
    assert {str(k): v.dims for k, v in fit.posterior.data_vars.items()} == {
        "Intercept": over,
        "x": over,
        "f": (*over, "f_dim"),
        "sigma": over,
        "1|g_sigma": over,
        "x|g_sigma": over,
        "g_cor": (*over, "g__effect_dim", "g__effect_dim_bis"),
        "1|h_sigma": over,
        "1|g": (*over, "g__factor_dim"),
        "x|g": (*over, "g__factor_dim"),
        "1|h": (*over, "h__factor_dim"),
    }
    coords = {str(k): v.to_numpy().tolist() for k, v in fit.posterior.coords.items()}
    assert coords == {
        "chain": [0, 1],
        "draw": list(range(DRAWS)),
        "f_dim": ["b", "c"],
        "g__effect_dim": ["1", "x"],
        "g__effect_dim_bis": ["1", "x"],
        "g__factor_dim": ["p", "q", "r", "s"],
        "h__factor_dim": [10, 20, 30, 40],
    }


def test_a_factor_in_a_group_has_both_dimensions():
    fit, _ = drawn(made("centred effects"))
    assert fit.posterior["f|g"].dims == ("chain", "draw", "f__expr_dim", "g__factor_dim")
    assert fit.posterior["f|g_sigma"].dims == ("chain", "draw", "f__expr_dim")
    assert fit.posterior["f__expr_dim"].to_numpy().tolist() == ["b", "c"]
    assert "g_cor" not in fit.posterior


def test_groups_and_attributes():
    fit, found = drawn(made("gaussian"))
    stats_ = fit.idata["sample_stats"]
    for name in ("lp", "energy", "acceptance_rate", "diverging", "step_size", "n_steps"):
        assert stats_[name].dims == ("chain", "draw")
        np.testing.assert_array_equal(stats_[name], found.statistics[name])
    for group in (fit.posterior, results.group(fit.idata, "sample_stats")):
        attrs = group.attrs
        assert attrs["inference_library"] == "hiermod"
        assert attrs["inference_library_version"] == hm.__version__
        assert attrs["formula"] == MODELS["gaussian"][0]
        assert (attrs["family"], attrs["link"], attrs["center"]) == ("gaussian", "identity", 1)
        assert (attrs["seed"], attrs["tuning_steps"], attrs["target_accept"]) == (9, 100, 0.8)
        assert attrs["sampling_time"] == 1.5
        assert attrs["interrupted"] == 0
        assert pd.Timestamp(attrs["created_at"]).tzinfo is not None

    frame = data()
    observed = results.group(fit.idata, "observed_data")
    assert observed["y"].dims == ("__obs__",)
    np.testing.assert_array_equal(observed["y"], frame["y"])
    assert observed["__obs__"].to_numpy().tolist() == list(frame.index)
    constant = results.group(fit.idata, "constant_data")
    np.testing.assert_array_equal(constant["X"].sel(__column__="x"), frame["x"])
    np.testing.assert_array_equal(constant["X"].sel(__column__="f[c]"), frame["f"] == "c")
    np.testing.assert_array_equal(constant["levels of g"], frame["g"])
    np.testing.assert_array_equal(constant["levels of h"], frame["h"])
    np.testing.assert_array_equal(constant["weights"], frame["w"])
    np.testing.assert_array_equal(constant["offset"], frame["t"])


# --- values -------------------------------------------------------------------------------------


def test_the_reported_intercept_is_at_predictors_zero():
    model = made("gaussian")
    fit, found = drawn(model)
    at_means = model.plan(shortcuts=False).recover(found.position).values["Intercept"]
    beta = np.concatenate([fit.posterior["x"].values[..., None], fit.posterior["f"].values], -1)
    expected = at_means - beta @ model.design.X.mean(axis=0)
    np.testing.assert_allclose(fit.posterior["Intercept"], expected, rtol=1e-12)


def test_deviations_and_correlations_from_the_parts():
    model = made("gaussian")
    fit, found = drawn(model)
    v, p = model.plan(shortcuts=False).recover(found.position).values, fit.posterior
    sd = np.stack([p["1|g_sigma"], p["x|g_sigma"]], -1)
    u = sd[..., None] * (v["chol_g"] @ v["z_g"])
    np.testing.assert_allclose(p["1|g"], u[..., 0, :], rtol=1e-12)
    np.testing.assert_allclose(p["x|g"], u[..., 1, :], rtol=1e-12)
    correlation = v["chol_g"] @ np.swapaxes(v["chol_g"], -1, -2)
    np.testing.assert_allclose(p["g_cor"], correlation, rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(p["g_cor"], 0, 2, 3), 1, rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_log_likelihood_of_the_rows_adds_up(name):
    model = made(name)
    fit, found = drawn(model)
    fit.add_log_likelihood()
    group = results.group(fit.idata, "log_likelihood")
    response = model.design.response.name
    assert group[response].dims == ("chain", "draw", "__obs__")
    values = [
        tf.constant(v) for v in model.plan(shortcuts=False).recover(found.position).values.values()
    ]
    expected = model.joint.log_prob_parts([*values, model._joint.data["y"]])[-1]
    np.testing.assert_allclose(group[response].sum("__obs__"), expected, rtol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_pieces_of_any_size_give_the_same_rows(name, monkeypatch):
    model = made(name)
    fit, _ = drawn(model)
    functions = (results.log_likelihood, results.fitted)
    whole = [function(model._joint, fit.posterior) for function in functions]
    for chunk in (1, 7 * N, 10**9):
        monkeypatch.setattr(rows, "CHUNK", chunk)
        for function, expected in zip(functions, whole, strict=True):
            found = function(model._joint, fit.posterior)
            assert found.shape == (CHAINS, DRAWS, N)
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_fitted_is_the_textbook_mean():
    model = made("binomial")
    fit, _ = drawn(model)
    frame, p = data(), fit.posterior
    u = p["1|g"].sel(g__factor_dim=xr.DataArray(frame["g"].to_list(), dims="row"))
    eta = p["Intercept"] + p["x"] * xr.DataArray(frame["x"].to_numpy(), dims="row") + u
    expected = frame["n"].to_numpy() * special.expit(eta.transpose("chain", "draw", "row"))
    np.testing.assert_allclose(results.fitted(model._joint, p), expected, rtol=1e-10)


def test_posterior_predictive_has_the_moments_of_the_likelihood():
    model = made("binomial")
    fit, _ = drawn(model)
    one = fit.posterior.isel(chain=[0], draw=[0])
    many = xr.concat([one] * 4000, "draw").assign_coords(draw=np.arange(4000))
    p = results.fitted(model._joint, one)[0, 0] / data()["n"].to_numpy()
    found = results.predictive(model._joint, many, seed=3)[0]
    expected = stats.binom(data()["n"], p)
    assert (found % 1 == 0).all()
    assert (np.abs(found.mean(0) - expected.mean()) < 5 * expected.std() / np.sqrt(4000)).all()
    kurtosis = expected.stats(moments="k")
    error = expected.var() * np.sqrt((kurtosis + 2) / 4000)
    assert (np.abs(found.var(0) - expected.var()) < 5 * error).all()


def test_the_seed_of_predictions_decides(monkeypatch):
    fit, _ = drawn(made("gaussian"))

    def draws(seed):
        fit.add_posterior_predictive(seed=seed)
        return results.group(fit.idata, "posterior_predictive")["y"].to_numpy()

    first = draws(1)
    np.testing.assert_array_equal(draws(1), first)
    assert not np.isclose(draws(2), first).any()
    monkeypatch.setattr(rows, "CHUNK", 7 * N)  # pieces have random numbers of their own
    pieces = draws(1).reshape(-1, N)
    assert len(np.unique(pieces)) == pieces.size


def test_the_prior_group():
    model = made("gaussian")
    fit, _ = drawn(model)
    assert fit.add_prior(3000, seed=1) is fit
    prior = results.group(fit.idata, "prior")
    assert set(prior.data_vars) == set(fit.posterior.data_vars)
    assert {k: v.dims for k, v in prior.data_vars.items()} == {
        k: v.dims for k, v in fit.posterior.data_vars.items()
    }
    assert (prior.sizes["chain"], prior.sizes["draw"]) == (1, 3000)
    rate = model.specification.auxiliary[0].prior.arguments[0]
    sigma = prior["sigma"].to_numpy().ravel()
    assert stats.kstest(sigma, stats.expon(scale=1 / rate).cdf).pvalue > 1e-3
    rho = prior["g_cor"].to_numpy()[0, :, 0, 1]
    assert stats.kstest(rho, stats.beta(2, 2, loc=-1, scale=2).cdf).pvalue > 1e-3
    predictive = results.group(fit.idata, "prior_predictive")["y"]
    assert predictive.shape == (1, 3000, N)
    alone = results.group(model.sample_prior(3000, seed=1), "prior")
    xr.testing.assert_equal(alone.drop_attrs(), prior.drop_attrs())


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_file_holds_all_of_it(name, tmp_path):
    fit, _ = drawn(made(name))
    fit.add_log_likelihood().add_prior(20, seed=1)
    path = fit.save(tmp_path / "fit.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]
    again = az.from_netcdf(path, engine="h5netcdf")
    groups = ["posterior", "sample_stats", "observed_data", "prior", "log_likelihood"]
    groups += ["constant_data"] * (name != "lone intercept")  # which has none
    for group in groups:
        before, after = results.group(fit.idata, group), results.group(again, group)
        assert set(before.data_vars) == set(after.data_vars)
        for variable in before.data_vars:
            np.testing.assert_array_equal(before[variable], after[variable])
            assert before[variable].dims == after[variable].dims
    for key in ("formula", "family", "seed", "sampling_time", "inference_library"):
        assert again["posterior"].attrs[key] == fit.posterior.attrs[key]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    fit, _ = drawn(made("lone intercept"))
    path = fit.save(tmp_path / "fit.nc")
    before = path.read_bytes()
    fit.idata["posterior"].attrs["broken"] = object()  # NetCDF has no such thing
    with pytest.raises(Exception, match=r"(?i)broken|object|invalid"):
        fit.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


def test_a_save_into_a_folder_that_is_not_there(tmp_path):
    fit, _ = drawn(made("lone intercept"))
    with pytest.raises(OSError, match="nowhere"):
        fit.save(tmp_path / "nowhere" / "fit.nc")


# --- summary and checks -------------------------------------------------------------------------


def test_summary_is_arvizs():
    fit, _ = drawn(made("gaussian"))
    table = fit.summary(interval=0.8)
    assert list(table.columns) == [
        "mean", "sd", "10%", "90%", "mcse_mean", "ess_bulk", "ess_tail", "r_hat",
    ]  # fmt: skip
    assert "g_cor[1, x]" in table.index
    assert not any(f"g_cor[{e}, {e}]" in table.index for e in ("1", "x"))
    p = fit.posterior
    for label, x in {
        "Intercept": p["Intercept"],
        "f[c]": p["f"].sel(f_dim="c"),
        "1|h[30]": p["1|h"].sel(h__factor_dim=30),
        "g_cor[1, x]": p["g_cor"][..., 0, 1],
    }.items():
        x = x.to_numpy()
        assert table.loc[label].to_dict() == pytest.approx(
            {
                "mean": x.mean(),
                "sd": x.std(ddof=1),
                "10%": np.quantile(x, 0.1),
                "90%": np.quantile(x, 0.9),
                "mcse_mean": float(az.mcse(x, method="mean")),
                "ess_bulk": float(az.ess(x, method="bulk")),
                "ess_tail": float(az.ess(x, method="tail", prob=(0.05, 0.95))),
                "r_hat": float(az.rhat(x)),
            },
            rel=1e-10,
        )
    assert list(fit.summary(["sigma"]).index) == ["sigma"]
    with pytest.raises(hm.ModelError, match=r"no variable 'sgma'\. Did you mean 'sigma'"):
        fit.summary(["sgma"])


def posterior(**variables):
    """A posterior of four chains, as good as independent unless a variable says otherwise."""
    generator = np.random.default_rng(0)
    values = {"a": generator.normal(size=(4, 1000))} | variables
    return xr.Dataset({k: (("chain", "draw"), v) for k, v in values.items()})


def statistics(diverging=0, energy=None):
    generator = np.random.default_rng(1)
    marks = np.zeros(4000, bool)
    marks[:diverging] = True
    energy = generator.normal(size=(4, 1000)) if energy is None else energy
    return xr.Dataset(
        {
            "diverging": (("chain", "draw"), marks.reshape(4, 1000)),
            "energy": (("chain", "draw"), energy),
        }
    )


def autoregressive(rho, seed=2):
    noise = np.random.default_rng(seed).normal(size=(4, 1000))
    out = np.zeros_like(noise)
    for i in range(1, 1000):
        out[:, i] = rho * out[:, i - 1] + np.sqrt(1 - rho**2) * noise[:, i]
    return out


NOISE = np.random.default_rng(4).normal(size=(4, 1000))
FAULTS = {
    "none": (posterior(), statistics(), []),
    "stuck": (posterior(b=np.repeat(NOISE[:, :1], 1000, 1)), statistics(), ["R-hat", "ess_bulk"]),
    "constant": (posterior(b=np.ones((4, 1000))), statistics(), ["never moved"]),
    "disagreeing": (
        posterior(b=NOISE + np.arange(4)[:, None]), statistics(), ["R-hat", "ess_bulk"],
    ),
    "scales": (posterior(b=NOISE * [[1], [1], [1], [9]]), statistics(), ["R-hat"]),
    "slow": (posterior(b=autoregressive(0.97)), statistics(), ["ess_bulk", "ess_tail"]),
    "divergences": (posterior(), statistics(diverging=3), ["3 of 4000 draws diverged"]),
    "energy": (
        posterior(), statistics(energy=autoregressive(0.95)), ["E-BFMI"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_problem_is_found_when_it_is_there(name):
    draws, sampler, expected = FAULTS[name]
    found = results.check(draws, sampler)
    assert found.ok == (not expected)
    for word in expected:
        assert any(word in p.what for p in found.problems), (word, found)
    if name == "none":
        assert found.problems == ()
    if name in ("constant", "divergences", "energy"):
        assert len(found.problems) == 1
    if name in ("disagreeing", "slow", "scales"):
        assert all(" b" in p.what and not p.what.endswith("a.") for p in found.problems)
    assert all(p.advice for p in found.problems)
    assert str(found).startswith("The checks found nothing wrong" if found.ok else "Do not trust")
    assert found._repr_html_().count("<li>") == len(found.problems)


def test_figures_are_arvizs():
    draws, sampler = posterior(b=autoregressive(0.9)), statistics(diverging=2)
    figures = results.check(draws, sampler).figures
    assert figures == pytest.approx(
        {
            "r_hat": max(float(az.rhat(draws[k].to_numpy())) for k in "ab"),
            "ess_bulk": min(float(az.ess(draws[k].to_numpy(), method="bulk")) for k in "ab"),
            "ess_tail": min(
                float(az.ess(draws[k].to_numpy(), method="tail", prob=(0.05, 0.95))) for k in "ab"
            ),
            "divergences": 2,
            "e_bfmi": float(np.min(az.bfmi(sampler["energy"].to_numpy()))),
        },
        rel=1e-10,
    )


def energies(chains, draws, fraction, seed=0):
    """Energies with this E-BFMI: autoregressions, whose mean square step is 2 - 2 rho."""
    noise = np.random.default_rng(seed).normal(size=(chains, draws + 500))
    rho = 1 - fraction / 2
    x = signal.lfilter([np.sqrt(1 - rho**2)], [1, -rho], noise, axis=1)[:, 500:]
    return xr.Dataset({"energy": (("chain", "draw"), x)})


@pytest.mark.parametrize(("chains", "draws"), [(256, 20), (4, 50), (1024, 5), (4, 1000), (7, 30)])
def test_energies_of_short_chains_are_taken_together(chains, draws):
    found = checks.e_bfmi(energies(chains, draws, 0.6))
    assert draws * chains / len(found) >= min(checks.ENERGIES, draws * chains)
    assert found.min() > 0.3
    assert checks.e_bfmi(energies(chains, draws, 0.12)).min() < 0.3
    mean = np.mean([checks.e_bfmi(energies(chains, draws, 0.6, seed)) for seed in range(20)])
    assert mean == pytest.approx(0.6, rel=0.1)


def test_the_worst_of_many_short_chains_alone_would_be_low():
    """What the groups are for: E-BFMI of each chain by itself, as ArviZ has it."""
    alone = az.bfmi(energies(256, 20, 0.6)["energy"].to_numpy())
    assert alone.min() < 0.3


def test_a_low_e_bfmi_names_the_chains():
    energy = energies(256, 20, 1.0)["energy"].to_numpy().copy()
    energy[32:48] = energies(16, 20, 0.05)["energy"]
    draws = xr.Dataset({"a": (("chain", "draw"), np.random.default_rng(1).normal(size=(256, 20)))})
    sampler = xr.Dataset(
        {
            "diverging": (("chain", "draw"), np.zeros((256, 20), bool)),
            "energy": (("chain", "draw"), energy),
        }
    )
    found = results.check(draws.assign_attrs(superchains=16), sampler)
    (what,) = (p.what for p in found.problems)
    assert re.fullmatch(r"E-BFMI is 0\.\d\d in chains 32 to 47, below 0\.3\.", what)


def test_one_draw_has_no_e_bfmi():
    assert np.isnan(checks.e_bfmi(energies(64, 1, 0.6))).all()


def test_one_chain_is_not_enough():
    one = {"chain": [0]}
    found = results.check(posterior().isel(one), statistics().isel(one))
    assert "There is one chain only." in [p.what for p in found.problems]


def many(x, **attrs):
    """A posterior of one variable of many levels, and its sampler's statistics."""
    draws = xr.Dataset({"u": (("chain", "draw", "level"), x)}, attrs=attrs)
    sampler = xr.Dataset(
        {
            "diverging": (("chain", "draw"), np.zeros(x.shape[:2], bool)),
            "energy": (("chain", "draw"), np.random.default_rng(1).normal(size=x.shape[:2])),
        }
    )
    return draws.assign_coords(level=np.arange(x.shape[2])), sampler


def test_the_worst_of_thousands_may_be_worse_than_that_of_a_few():
    """ESS 1500: without trouble 1.01 is exceeded, and a chain half a sd off is still found."""
    noise = np.random.default_rng(8).normal(size=(4, 500, 4000))
    x = signal.lfilter([1], [1, -1 / 7], noise, axis=1) * np.sqrt(1 - 1 / 49)
    draws, sampler = many(x)
    found = results.check(draws, sampler)
    assert 1.01 < found.figures["r_hat"] < 1.015
    assert found.ok
    x[2, :, 1234] += 0.5
    problems = results.check(draws, sampler).problems
    assert problems[0].what.startswith("R-hat is above 1.015 for 1 of 4000 quantities")
    assert all(p.what.endswith(": u[1234].") for p in problems)


def test_limits_of_r_hat():
    limit = checks.r_hat_limit
    assert [limit(n, 8) for n in (1, 42, 100)] == [1.01] * 3
    assert [limit(n, 8) for n in (1000, 4000)] == [1.013, 1.015]
    for n in (1000, 4000):  # the worst of n at an ESS where 1.01 is the worst of 100
        per_group = stats.chi2.isf(1 / 100, 7) / 7 / (1.01**2 - 1)
        worst = np.sqrt(1 + stats.chi2.isf(1 / n, 7) / 7 / per_group)
        assert limit(n, 8) == pytest.approx(worst, abs=6e-4)
    assert limit(4000, 16) < limit(4000, 8)


def test_superchains_are_checked_by_nested_r_hat():
    generator = np.random.default_rng(6)
    x = generator.normal(size=(256, 12, 3))
    draws, sampler = many(x, superchains=16)
    table = results.summary(draws)
    np.testing.assert_array_equal(table["r_hat"], diagnose(x, 16)["r_hat"])
    found = results.check(draws, sampler)
    assert found.ok
    assert "(nested R-hat, 16 superchains of 16 chains)" in found.verdict
    assert found.figures["r_hat"] == table["r_hat"].max()

    x[:, :, 1] += np.repeat(generator.normal(0, 0.5, 16), 16)[:, None]  # where each began
    found = results.check(draws, sampler)
    assert found.problems[0].what.startswith("Nested R-hat is above 1.01 for 1 of 3 quantities")
    assert "u[1]" in found.problems[0].what


def test_chains_that_are_no_longer_in_superchains():
    draws, sampler = many(np.random.default_rng(6).normal(size=(8, 200, 3)), superchains=4)
    assert results.check(draws, sampler).superchains == 4
    seven = {"chain": slice(7)}
    found = results.check(draws.isel(seven), sampler.isel(seven))
    assert found.superchains is None
    assert "nested" not in found.verdict


def test_superchains_of_a_draw_or_two():
    x = np.random.default_rng(6).normal(size=(4096, 2, 3))
    draws, sampler = many(x, superchains=8)
    found = results.check(draws, sampler)
    assert [p.what for p in found.problems] == [
        "Chains of 2 draws are too short for effective sample sizes."
    ]
    assert found.figures["r_hat"] < 1.01


# --- pooling ------------------------------------------------------------------------------------


def test_no_pooling_of_proportions_is_their_logit():
    frame = pd.DataFrame(
        {"g": list("aabbccdd"), "k": [1, 2, 5, 5, 0, 0, 3, 4], "n": [4, 4, 5, 5, 3, 2, 8, 9]}
    )
    fit, _ = drawn(hm.model(frame, "prop(k, n) ~ 1 + (1 | g)", family="binomial"))
    sums = frame.groupby("g")[["k", "n"]].sum()
    with np.errstate(divide="ignore"):
        expected = special.logit(sums["k"] / sums["n"]).to_numpy()  # b: inf, c: -inf
    found = results.pooling(fit.model._joint, fit.posterior, "g")
    np.testing.assert_allclose(found.no_pooling[:, 0], expected, rtol=1e-8)
    np.testing.assert_array_equal(found.size, sums["n"])
    assert (found.size_label, found.scale, found.effects) == ("trials", "logit", ("Intercept",))
    assert found.levels.tolist() == list("abcd")
    total = (fit.posterior["Intercept"] + fit.posterior["1|g"]).to_numpy().reshape(-1, 4)
    np.testing.assert_allclose(found.mean[:, 0], total.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.low[:, 0], np.quantile(total, 0.05, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance[:, 0, 0], total.var(0, ddof=1), rtol=1e-10)
    np.testing.assert_allclose(found.population, fit.posterior["Intercept"].mean(), rtol=1e-12)

    pooled = sums.sum()
    np.testing.assert_allclose(
        found.complete, special.logit(pooled["k"] / pooled["n"]), rtol=1e-8, atol=1e-12
    )

    on_response = results.pooling(fit.model._joint, fit.posterior, "g", response=True)
    np.testing.assert_allclose(on_response.no_pooling[:, 0], sums["k"] / sums["n"], rtol=1e-8)
    assert on_response.scale == "response"


def test_no_pooling_of_lines_is_least_squares_level_by_level():
    frame = data()
    frame["y"] += frame["x"]
    fit, _ = drawn(hm.model(frame, "y ~ x + (1 + x | g)"))
    found = results.pooling(fit.model._joint, fit.posterior, "g")
    expected = [np.polyfit(part["x"], part["y"], 1)[::-1] for _, part in frame.groupby("g")]
    np.testing.assert_allclose(found.no_pooling, expected, rtol=1e-7)
    assert found.effects == ("Intercept", "x")
    assert found.size_label == "rows"
    with pytest.raises(hm.ModelError, match="the response scale is for an intercept only"):
        results.pooling(fit.model._joint, fit.posterior, "g", response=True)


def test_a_level_that_cannot_tell_has_no_estimate():
    """A slope needs two values of x: level d has one, and levels of one row have one."""
    frame = pd.DataFrame(
        {
            "g": list("aaabbbcdd"),
            "x": [0.0, 1, 2, 0, 1, 2, 1, 1, 1],
            "y": [1.0, 2, 4, 0, 1, 3, 2, 5, 6],
        }
    )
    fit, _ = drawn(hm.model(frame, "y ~ x + (1 + x | g)"))
    found = results.pooling(fit.model._joint, fit.posterior, "g").no_pooling
    expected = [np.polyfit(p["x"], p["y"], 1)[::-1] for _, p in list(frame.groupby("g"))[:2]]
    np.testing.assert_allclose(found[:2], expected, rtol=1e-7)
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize("family", ["hurdle_poisson", "hurdle_gamma"])
def test_a_level_of_hurdles_alone_has_no_estimate(family):
    """Zeros of level a say nothing of the mean beyond the hurdle; in poisson they say much."""
    frame = pd.DataFrame({"g": list("aaabbbb"), "y": [0, 0, 0, 0, 2, 5, 3]})
    fit, _ = drawn(hm.model(frame, "y ~ 1 + (1 | g)", family=family))
    alone, rest = results.pooling(fit.model._joint, fit.posterior, "g").no_pooling.ravel()
    assert np.isnan(alone)
    assert np.isfinite(rest)
    fit, _ = drawn(hm.model(frame, "y ~ 1 + (1 | g)", family="poisson"))
    assert results.pooling(fit.model._joint, fit.posterior, "g").no_pooling[0, 0] == -np.inf


def test_no_pooling_of_counts_with_exposure():
    frame = pd.DataFrame({"g": list("aabbcc"), "k": [3, 5, 0, 0, 8, 1], "t": [1.0, 2, 1, 3, 2, 1]})
    frame["log_t"] = np.log(frame["t"])
    fit, _ = drawn(hm.model(frame, "k ~ 1 + offset(log_t) + (1 | g)", family="poisson"))
    sums = frame.groupby("g")[["k", "t"]].sum()
    with np.errstate(divide="ignore"):
        expected = np.log(sums["k"] / sums["t"])
    found = results.pooling(fit.model._joint, fit.posterior, "g").no_pooling
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-8)


def test_an_unknown_group():
    fit, _ = drawn(made("binomial"))
    with pytest.raises(hm.ModelError, match=r"no grouping factor 'tank'\. It has: g\."):
        results.pooling(fit.model._joint, fit.posterior, "tank")
    spread = hm.model(data(), hm.formula("y ~ x", sigma="~ 1 + (1 | g)"))
    with pytest.raises(hm.ModelError, match="effects of 'g' are in the formula of sigma"):
        results.pooling(spread._joint, drawn(spread)[0].posterior, "g")


def test_a_slash_in_a_name_can_be_saved(tmp_path):
    frame = data().assign(**{"a/b": data()["x"] ** 2, "g/h": data()["g"]})
    model = hm.model(
        frame, "y ~ I(x / 2) + `a/b` + (1 | `g/h`)", priors={"I(x / 2)": "normal(0, 3)"}
    )
    fit, _ = drawn(model)
    assert [str(n) for n in fit.posterior.data_vars][:3] == ["Intercept", "I(x ÷ 2)", "a÷b"]
    assert model.priors.loc["I(x ÷ 2)", "prior"] == "normal(0, 3)"
    assert fit.save(tmp_path / "fit.nc").stat().st_size > 0
    assert results.pooling(model._joint, fit.posterior, "g/h").factor == "g÷h"


def test_a_single_chain_is_checked_by_its_halves():
    found = results.check(posterior().isel({"chain": [0]}), statistics().isel({"chain": [0]}))
    assert np.isfinite(found.figures["r_hat"])
    assert not any("never moved" in p.what for p in found.problems)


def test_a_factor_with_two_terms_is_pooled_as_one():
    whole, _ = drawn(hm.model(data(), "y ~ x + (1 + x || g)"))
    parts, _ = drawn(hm.model(data(), "y ~ x + (1 | g) + (0 + x | g)"))
    assert parts.pooling("g").effects == whole.pooling("g").effects == ("Intercept", "x")


def test_a_factor_coded_in_two_ways_has_dims_of_its_own():
    fit, _ = drawn(hm.model(data(), "y ~ (1 + f | g) + (0 + f | h)"))
    assert fit.posterior["f|g"].dims[2] == "f|g__expr_dim"
    assert fit.posterior.sizes["f|h__expr_dim"] == fit.posterior.sizes["f|g__expr_dim"] + 1


def test_a_predictor_may_end_like_a_correlation():
    fit, _ = drawn(hm.model(data().rename(columns={"x": "x_cor"}), "y ~ x_cor"))
    assert "x_cor" in fit.summary().index


@pytest.mark.parametrize("interval", [0, 1, 95])
def test_an_interval_is_a_probability(interval):
    fit, _ = drawn(hm.model(data(), "y ~ x + (1 | g)"))
    with pytest.raises(hm.ModelError, match="between 0 and 1"):
        fit.summary(interval=interval)
    with pytest.raises(hm.ModelError, match="between 0 and 1"):
        fit.pooling("g", interval=interval)
