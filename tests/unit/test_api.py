"""What a user holds: order of checks, options, words of a model and a fit, equations."""

import pickle

import numpy as np
import pandas as pd
import pytest

import hiermod as hm
from hiermod import api


def data():
    return pd.DataFrame(
        {
            "y": [0, 1, 1, 0, 1, 1],
            "z": [1.0, 3.0, 2.0, 5.0, 4.0, 6.0],
            "x": [1.0, 2.0, 3.0, 4.0, 5.0, 7.0],
            "n": [4, 5, 6, 7, 8, 9],
            "g": list("aabbcc"),
        }
    )


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"chains": 0}, "chains must be a whole number, at least 1, not 0"),
        ({"chains": 2.5}, "chains must be a whole number, at least 1, not 2.5"),
        ({"warmup": 3}, "warmup must be a whole number, at least 20, not 3"),
        ({"draws": 0}, "draws must be a whole number, at least 1, not 0"),
        ({"target_accept": 1.2}, "target_accept must be between 0 and 1, not 1.2"),
        ({"target_accept": 0.0}, "target_accept must be between 0 and 1, not 0.0"),
        ({"sampler": "gibbs"}, "unknown sampler 'gibbs'. Allowed: hmc, nuts."),
        ({"sampler": "NUTS"}, "unknown sampler 'NUTS'. Did you mean 'nuts'?"),
        ({"seed": -3}, "seed must be a whole number, at least 0, not -3"),
    ],
)
def test_an_option_out_of_range_is_said_before_anything_is_compiled(option, says, monkeypatch):
    monkeypatch.setattr(api.inference, "run", lambda *_, **__: pytest.fail("compiled first"))
    with pytest.raises(hm.SamplingError) as info:
        hm.fit(data(), "z ~ x", progress=False, **option)
    assert says in str(info.value)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"formula": "z ~ w"}, hm.FormulaError),
        ({"formula": "z ~ x", "family": "gauss"}, hm.ModelError),
        ({"formula": "z ~ x", "link": "sqrt"}, hm.ModelError),
        ({"formula": "z ~ x", "family": "bernoulli"}, hm.DataError),
        ({"formula": "z ~ x", "priors": {"w": "normal(0, 1)"}}, hm.PriorError),
        ({"formula": "z ~ x", "noncentered": {"g": True}}, hm.ModelError),
    ],
)
def test_mistakes_in_a_model_are_said_before_anything_is_compiled(options, error, monkeypatch):
    monkeypatch.setattr(api.models, "join", lambda *_: pytest.fail("built first"))
    with pytest.raises(error) as info:
        hm.fit(data(), **options)
    assert isinstance(info.value, hm.HiermodError)
    assert isinstance(info.value, ValueError)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (  # rates beyond the largest float
            {"formula": "y ~ 1", "family": "poisson",
             "priors": {"Intercept": "uniform(1000, 1001)"}},
            "The log density of y is",
        ),
        (
            {"formula": "y ~ x", "family": "bernoulli",
             "priors": {"x": "uniform(1e308, 1.7e308)"}},
            "The log density of x is -inf at x =",
        ),
    ],
)  # fmt: skip
def test_an_infinite_density_at_the_start_names_the_part(options, part):
    with pytest.raises(hm.SamplingError) as info:
        hm.fit(data(), seed=1, progress=False, **options)
    message = str(info.value)
    assert "not finite at the start, in 4 of 4 places" in message
    assert part in message
    assert not any(f"The log density of {name}" in message for name in ("Intercept", "sigma"))


# --- a model ------------------------------------------------------------------------------------


def test_a_model_says_what_it_is():
    model = hm.model(data(), "prop(y, n) ~ x + (1 | g)", family="binomial")
    text = repr(model)
    for part in (
        "not fitted", "prop(y, n) ~ x + (1 | g)", "binomial, logit link", "6 rows", "g (3 levels",
        "Intercept", "normal(0, 1.5)", "1|g_sigma", "exponential(1)",
    ):  # fmt: skip
        assert part in text
    html = model._repr_html_()
    assert "prop(y, n) ~ x + (1 | g)" in html
    assert "exponential(1)" in html


def test_the_data_are_left_alone():
    frame = data()
    before = frame.copy(deep=True)
    hm.model(frame, "z ~ scale(x) + C(g) + (1 | g)")
    pd.testing.assert_frame_equal(frame, before)


def test_dropped_rows_are_mentioned():
    frame = data()
    frame.loc[2, "x"] = np.nan
    with pytest.raises(hm.DataError, match="missing values in 'x': 1"):
        hm.model(frame, "z ~ x")
    model = hm.model(frame, "z ~ x", dropna=True)
    assert "5 rows (1 dropped for missing values)" in repr(model)
    assert model.design.n_rows == 5


def test_prior_draws_have_a_seed():
    model = hm.model(data(), "z ~ x + (1 | g)")
    first, again, other = (
        model.sample_prior(20, seed=s)["prior"]["x"].to_numpy() for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()
    assert first.shape == (1, 20)


# --- a fit --------------------------------------------------------------------------------------


@pytest.fixture
def fit(fit_cache):
    if "small" not in fit_cache:
        fit_cache["small"] = hm.fit(
            data(), "z ~ x + (1 | g)", seed=1, warmup=200, draws=300, progress=False
        )
    return fit_cache["small"]


def test_a_fit_says_what_it_is(fit):
    text = repr(fit)
    for part in (
        "hiermod fit", "z ~ x + (1 | g)", "gaussian, identity link", "6 rows", "g (3 levels",
        "4 chains of 300 draws after 200 of warm-up, seed 1", "Intercept", "1|g_sigma", "r_hat",
        "worst R-hat", "divergences", "E-BFMI",
    ):  # fmt: skip
        assert part in text
    assert not any(line.startswith("1|g[") for line in text.splitlines())  # no rows of levels
    assert "1|g[a]" in fit.summary().index
    assert "worst R-hat" in fit._repr_html_()


def test_warm_up_and_what_it_learned_are_groups(fit):
    warm = fit.model.fit(
        seed=1, warmup=60, draws=30, keep_warmup=True, shortcuts=False, progress=False
    ).idata
    before, after = warm["warmup_posterior"], warm["posterior"]
    assert list(before.data_vars) == list(after.data_vars)
    assert [d.sizes["draw"] for d in (before, after)] == [60, 30]
    told, kept = warm["warmup_sample_stats"], warm["sample_stats"]
    assert told["lp"].shape == (4, 60)
    assert len(np.unique(told["step_size"])) > 20  # it was being adapted
    metric = {n: kept[n].shape for n in kept.data_vars if n.startswith("metric_")}
    assert {*told.data_vars} == {*kept.data_vars} - {*metric}
    dimensions = fit.model.plan(shortcuts=False).dimensions
    assert metric.pop("metric_centre") == metric.pop("metric_scale") == (dimensions,)
    (directions,) = metric.pop("metric_values")
    assert metric == {"metric_vectors": (dimensions, directions)}
    assert not hasattr(fit.idata, "warmup_posterior")


def test_nothing_is_printed_without_a_bar(capfd):
    hm.fit(data(), "z ~ x", seed=1, warmup=50, draws=25, progress=False)
    out, err = capfd.readouterr()
    assert out == ""
    assert "draw" not in err


# --- equations ----------------------------------------------------------------------------------

EQUATIONS = {
    "frogs": (
        lambda: hm.model(
            hm.load_data("reedfrogs").assign(tank=lambda d: d.index),
            "prop(surv, density) ~ 1 + (1 | tank)",
            family="binomial",
        ),
        """\
     surv[i] ~ binomial(trials[i], p[i])
 logit(p[i]) = Intercept + 1|tank[tank[i]]
   1|tank[j] ~ normal(0, 1|tank_sigma)   for j = 1..48
   Intercept ~ normal(0, 1.5)
1|tank_sigma ~ exponential(1)""",
        [
            (r"\text{surv}_i", "~", r"\operatorname{Binomial}(n_i, p_i)"),
            (r"\operatorname{logit} p_i", "=", r"\alpha + u^{\text{1|tank}}_{\text{tank}[i]}"),
            (
                r"u^{\text{1|tank}}_{j}",
                "~",
                r"\operatorname{Normal}(0, \sigma_{\text{1|tank}})\quad j = 1, \ldots, 48",
            ),
            (r"\alpha", "~", r"\operatorname{Normal}(0, 1.5)"),
            (r"\sigma_{\text{1|tank}}", "~", r"\operatorname{Exponential}(1)"),
        ],
    ),
    "sleepstudy": (
        lambda: hm.model(
            hm.load_data("sleepstudy"),
            "Reaction ~ Days + (1 + Days | Subject)",
            priors={
                "Intercept": "normal(250, 100)",
                "Days": "normal(0, 20)",
                "group_sigma": "exponential(0.1)",
                "sigma": "half_normal(50)",
            },
        ),
        """\
                    Reaction[i] ~ normal(mu[i], sigma)
                          mu[i] = Intercept + Days * Days[i] + 1|Subject[Subject[i]] \
+ Days|Subject[Subject[i]] * Days[i]
(1|Subject[j], Days|Subject[j]) ~ multi_normal(0, S_Subject Subject_cor S_Subject)   for j = 1..18
                      S_Subject = diag(1|Subject_sigma, Days|Subject_sigma)
             Intercept at means = Intercept + Days * mean(Days)
             Intercept at means ~ normal(250, 100)
                           Days ~ normal(0, 20)
                1|Subject_sigma ~ exponential(0.1)
             Days|Subject_sigma ~ exponential(0.1)
                    Subject_cor ~ lkj(2)
                          sigma ~ half_normal(50)""",
        [
            (r"\text{Reaction}_i", "~", r"\operatorname{Normal}(\mu_i, \sigma)"),
            (
                r"\mu_i",
                "=",
                r"\alpha + \beta_{\text{Days}}\,\text{Days}_i "
                r"+ u^{\text{1|Subject}}_{\text{Subject}[i]} "
                r"+ u^{\text{Days|Subject}}_{\text{Subject}[i]}\,\text{Days}_i",
            ),
            (
                r"\begin{bmatrix} u^{\text{1|Subject}}_{j} \\ "
                r"u^{\text{Days|Subject}}_{j} \end{bmatrix}",
                "~",
                r"\operatorname{MVNormal}(0, \mathbf{S}_{\text{Subject}} "
                r"\mathbf{R}_{\text{Subject}} \mathbf{S}_{\text{Subject}})"
                r"\quad j = 1, \ldots, 18",
            ),
            (
                r"\mathbf{S}_{\text{Subject}}",
                "=",
                r"\operatorname{diag}(\sigma_{\text{1|Subject}}, \sigma_{\text{Days|Subject}})",
            ),
            (
                r"\alpha_{\text{at means}}",
                "=",
                r"\alpha + \beta_{\text{Days}}\,\overline{\text{Days}}",
            ),
            (r"\alpha_{\text{at means}}", "~", r"\operatorname{Normal}(250, 100)"),
            (r"\beta_{\text{Days}}", "~", r"\operatorname{Normal}(0, 20)"),
            (r"\sigma_{\text{1|Subject}}", "~", r"\operatorname{Exponential}(0.1)"),
            (r"\sigma_{\text{Days|Subject}}", "~", r"\operatorname{Exponential}(0.1)"),
            (r"\mathbf{R}_{\text{Subject}}", "~", r"\operatorname{LKJ}(2)"),
            (r"\sigma", "~", r"\operatorname{HalfNormal}(50)"),
        ],
    ),
    "tools": (
        lambda: hm.model(
            hm.load_data("Kline"),
            "total_tools ~ 0 + index(contact) + offset(mean_TU) + (1 | culture)",
            family="poisson",
            priors={"common": "student_t(3, 0, 1)"},
        ),
        """\
 total_tools[i] ~ poisson(mu[i])
     log(mu[i]) = index(contact)[index(contact)[i]] + 1|culture[culture[i]] + offset[i]
   1|culture[j] ~ normal(0, 1|culture_sigma)   for j = 1..10
 index(contact) ~ student_t(3, 0, 1)
1|culture_sigma ~ exponential(1)""",
        [
            (r"\text{total\_tools}_i", "~", r"\operatorname{Poisson}(\mu_i)"),
            (
                r"\log \mu_i",
                "=",
                r"\beta_{\text{index(contact)}[i]} "
                r"+ u^{\text{1|culture}}_{\text{culture}[i]} + \text{offset}_i",
            ),
            (
                r"u^{\text{1|culture}}_{j}",
                "~",
                r"\operatorname{Normal}(0, \sigma_{\text{1|culture}})\quad j = 1, \ldots, 10",
            ),
            (r"\beta_{\text{index(contact)}}", "~", r"\operatorname{StudentT}(3, 0, 1)"),
            (r"\sigma_{\text{1|culture}}", "~", r"\operatorname{Exponential}(1)"),
        ],
    ),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_equations(name):
    build, text, latex = EQUATIONS[name]
    found = build().equations()
    assert str(found) == repr(found) == text
    assert list(found.latex) == latex
    body = found._repr_latex_()
    assert body.startswith("$$\\begin{aligned}\n")
    assert body.count(" \\\\\n") == len(latex) - 1
    assert body.count(r"&\sim") + body.count("&=") == len(latex)


# --- mistakes in the call ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda d: hm.fit(d, "y ~ x", drws=3), hm.ModelError, "Did you mean 'draws'?"),
        (lambda d: hm.model(d, "y ~ x").fit(chain=3), hm.ModelError, "Did you mean 'chains'?"),
        (lambda d: hm.model(d, None), hm.FormulaError, "formula must be text"),
        (lambda d: hm.model([1], "y ~ x"), hm.DataError, "data must be a pandas DataFrame"),
        (lambda d: hm.model(d, "y ~ x", center="no"), hm.ModelError, "center must be True or"),
        (lambda d: hm.model(d, "y ~ (1|g)", noncentered=1), hm.ModelError, "noncentered must be"),
        (lambda d: hm.model(d, "y ~ x").sample_prior(0), hm.SamplingError, "draws must be"),
        (lambda d: hm.model(d, "y ~ x").sample_prior(5, seed="a"), hm.SamplingError, "seed must"),
        (
            lambda d: hm.model(d.assign(w=-1.0), "weighted(y, w) ~ x"),
            hm.DataError,
            "weights must be 0 or more",
        ),
        (lambda d: hm.model(d.assign(y=1.0), "y ~ x"), hm.DataError, "y is 1 in every row"),
    ],
)
def test_a_mistake_in_the_call_is_named(call, error, says):
    with pytest.raises(error) as info:
        call(data())
    assert says in str(info.value)


def test_models_can_be_pickled_and_keep_their_data():
    frame = data()
    model = hm.model(frame, "y ~ x + (1 | g)")
    before = model.joint.log_prob(model.joint.sample(seed=(1, 2)))
    again = pickle.loads(pickle.dumps(model))
    assert float(again.joint.log_prob(again.joint.sample(seed=(1, 2)))) == float(before)
    frame["y"] = -7.0
    assert not (model.data["y"] == -7).any()
