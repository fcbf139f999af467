"""Priors: notation, densities, supports, defaults."""

import math

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import xarray as xr
from scipy import integrate, stats
from scipy.special import gammaln

import hiermod as hm
from hiermod.models import priors
from hiermod.models.joint import Part, constrain, log_jacobian
from hiermod.models.links import NAMES
from hiermod.models.priors import (
    DISTRIBUTIONS,
    OTHERS,
    ends,
    on_positive,
    parse,
    read,
    source,
    support,
)

tfd, tfb = tfp.distributions, tfp.bijectors

# Stan's name -> (arguments in Stan's notation, the same in SciPy's).
SCIPY = {
    "normal": ("0.5, 2", stats.norm(0.5, 2)),
    "student_t": ("3, 0.5, 2", stats.t(3, 0.5, 2)),
    "cauchy": ("0.5, 2", stats.cauchy(0.5, 2)),
    "laplace": ("0.5, 2", stats.laplace(0.5, 2)),
    "double_exponential": ("0.5, 2", stats.laplace(0.5, 2)),
    "logistic": ("0.5, 2", stats.logistic(0.5, 2)),
    "gumbel": ("0.5, 2", stats.gumbel_r(0.5, 2)),
    "half_normal": ("2", stats.halfnorm(scale=2)),
    "exponential": ("3", stats.expon(scale=1 / 3)),
    "gamma": ("2.5, 3", stats.gamma(2.5, scale=1 / 3)),
    "inv_gamma": ("2.5, 3", stats.invgamma(2.5, scale=3)),
    "lognormal": ("0.5, 2", stats.lognorm(2, scale=math.exp(0.5))),
    "chi_square": ("3", stats.chi2(3)),
    "weibull": ("2.5, 3", stats.weibull_min(2.5, scale=3)),
    "beta": ("2.5, 3", stats.beta(2.5, 3)),
    "uniform": ("-1, 4", stats.uniform(-1, 5)),
}
OTHER = {
    "std_normal": ("", stats.norm()),
    "exp_mod_normal": ("0.5, 2, 0.8", stats.exponnorm(1 / 1.6, 0.5, 2)),
    "inv_chi_square": ("3", stats.invgamma(1.5, scale=0.5)),
    "scaled_inv_chi_square": ("3, 2", stats.invgamma(1.5, scale=6)),
    "rayleigh": ("2", stats.rayleigh(scale=2)),
    "loglogistic": ("2, 3", stats.fisk(3, scale=2)),
    "pareto": ("2, 3", stats.pareto(3, scale=2)),
    "pareto_type_2": ("1, 2, 3", stats.lomax(3, loc=1, scale=2)),
    "beta_proportion": ("0.3, 5", stats.beta(1.5, 3.5)),
    "von_mises": ("0, 2", stats.vonmises(2)),
}
SCALAR = [
    name
    for name, d in DISTRIBUTIONS.items()
    if d.support not in ("correlation", "simplex", "constant")
]


def built(prior):
    """The TFP distribution of a prior, as the program builds it."""
    return eval(source(prior, None), NAMES)


def data():
    return pd.DataFrame(
        {
            "y": [2.0, 5.0, 9.0, 4.0, 5.0, 11.0],
            "b": [0, 1, 1, 0, 1, 1],
            "x": [0.0, 1.0, 2.0, 3.0, 4.0, 8.0],
            "f": list("aabbcc"),
            "g": list("pqpqpq"),
        }
    )


# --- densities ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCALAR)
def test_density_is_scipys(name):
    text, expected = SCIPY[name]
    distribution = built(parse(f"{name}({text})", "x"))
    x = expected.ppf([1e-8, 1e-3, 0.1, 0.3, 0.5, 0.9, 0.999, 1 - 1e-8])
    np.testing.assert_allclose(distribution.log_prob(x), expected.logpdf(x), rtol=1e-10)
    assert distribution.dtype == tf.float64


@pytest.mark.parametrize("name", OTHERS)
def test_other_names_of_stan(name):
    text, expected = OTHER[name]
    prior = parse(f"{name}({text})", "x")
    x = expected.ppf([1e-6, 1e-3, 0.1, 0.3, 0.5, 0.9, 0.999, 1 - 1e-6])
    np.testing.assert_allclose(built(prior).log_prob(x), expected.logpdf(x), rtol=1e-9, atol=1e-10)
    low, high = (-np.pi, np.pi) if name == "von_mises" else expected.support()
    assert ends(prior) == pytest.approx((low, high))
    assert prior.text == f"{name}({text})"
    with pytest.raises(hm.PriorError, match="and nothing else"):
        parse(f"{name}({text}{', ' * bool(text)}lb=1)", "x")
    for number in range(len(text.split(", ")) if text else 0):
        wrong = text.split(", ")
        wrong[number] = "inf" if "inf" not in wrong else "-1"
        with pytest.raises(hm.PriorError):
            parse(f"{name}({', '.join(wrong)})", "x")


def test_a_model_with_other_names_of_stan():
    priors = {"x": "std_normal()", "sigma": "scaled_inv_chi_square(3, 2)", "Intercept": "exp_mod_normal(0, 1, 2)"}  # fmt: skip  # noqa: E501
    model = hm.model(data(), "y ~ x", priors=priors)
    assert list(model.priors["prior"]) == [priors["Intercept"], priors["x"], priors["sigma"]]
    assert "sigma ~ scaled_inv_chi_square(3, 2)" in str(model.equations())
    scope: dict = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_allclose(scope["joint"].log_prob(drawn), model.joint.log_prob(drawn), 1e-12)
    with pytest.raises(hm.PriorError, match="does not fit: sigma is positive"):
        hm.model(data(), "y ~ x", priors={"sigma": "std_normal()"})


@pytest.mark.parametrize("name", SCALAR)
def test_ends_are_scipys(name):
    text, expected = SCIPY[name]
    assert ends(parse(f"{name}({text})", "x")) == expected.support()


@pytest.mark.parametrize("name", ["normal", "student_t", "cauchy"])
def test_a_prior_of_a_positive_parameter_is_cut_at_zero(name):
    text = SCIPY[name][0].replace("0.5", "0")
    whole = {"normal": stats.norm, "student_t": lambda *a: stats.t(3, *a), "cauchy": stats.cauchy}
    half = on_positive(parse(f"{name}({text})", "sigma"), "sigma")
    x = np.array([1e-6, 0.1, 1.0, 5.0, 40.0])
    np.testing.assert_allclose(
        built(half).log_prob(x), whole[name](0, 2).logpdf(x) + np.log(2), rtol=1e-10
    )
    assert support(half) == "positive"
    assert half.text == f"{name}({text}), cut at 0"


@pytest.mark.parametrize(("loc", "scale"), [(1.0, 2.0), (-3.0, 1.0), (30.0, 2.0)])
def test_a_shifted_normal_is_cut_at_zero_and_normalised(loc, scale):
    half = built(on_positive(parse(f"normal({loc}, {scale})", "sigma"), "sigma"))
    expected = stats.truncnorm(-loc / scale, np.inf, loc, scale)
    x = expected.ppf([1e-3, 0.2, 0.5, 0.9, 0.999])
    np.testing.assert_allclose(half.log_prob(x), expected.logpdf(x), rtol=1e-9)
    mass, _ = integrate.quad(
        lambda v: float(half.prob(np.float64(v))), *expected.ppf([0, 1 - 1e-14])
    )
    assert mass == pytest.approx(1, abs=1e-8)
    assert float(half.prob(np.float64(-0.1))) == 0


# --- truncated, and constant --------------------------------------------------------------------

BOUNDS = {
    "inside": (0.2, 0.7),
    "below a quantile": (0.0, 0.6),
    "above a quantile": (0.6, 1.0),
    "a tail": (0.9999, 1.0),
}


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("name", SCALAR)
def test_a_truncated_prior_is_normalised_and_drawn(name, bounds):
    text, whole = SCIPY[name]
    low, high = whole.ppf(BOUNDS[bounds])
    given = f", lb={low!r}" * (BOUNDS[bounds][0] > 0) + f", ub={high!r}" * (BOUNDS[bounds][1] < 1)
    prior = parse(f"{name}({text}{given})".replace("np.float64", ""), "x")
    assert ends(prior) == (low, high)
    distribution = built(prior)
    mass = whole.cdf(high) - whole.cdf(low)
    x = whole.ppf(whole.cdf(low) + mass * np.array([1e-3, 0.2, 0.5, 0.99]))
    np.testing.assert_allclose(distribution.log_prob(x), whole.logpdf(x) - np.log(mass), rtol=1e-8)
    beyond = np.array([low - 1e-3, high + 1e-3])
    assert (distribution.prob(beyond[np.isfinite(beyond)]).numpy() == 0).all()

    drawn = distribution.sample(2000, seed=tf.constant([1, 2], tf.int32)).numpy()
    assert ((drawn >= low) & (drawn <= high)).all()
    shares = (whole.cdf(drawn) - whole.cdf(low)) / mass
    assert stats.kstest(shares, "uniform").pvalue > 1e-3

    # The way there from all numbers, with its Jacobian.
    part = Part("x", (), support(prior), *ends(prior))
    raw = np.linspace(-3, 3, 7)[:, None]
    (value,) = constrain([part], tf.constant(raw))
    assert ((value.numpy() > low) & (value.numpy() < high)).all()
    step = 1e-5
    (up,), (down,) = (constrain([part], tf.constant(raw + s)) for s in (step, -step))
    slope = np.abs(up.numpy() - down.numpy()) / (2 * step)
    np.testing.assert_allclose(log_jacobian([part], tf.constant(raw)), np.log(slope), atol=1e-4)
    again = distribution.experimental_default_event_space_bijector().forward(raw[:, 0])
    np.testing.assert_allclose(again, value, rtol=1e-12)


def test_text_and_start_of_truncated_priors():
    priors_ = {
        "sigma": "normal(3, 1, ub=5)",
        "x": "normal(0, 1, ub=-0.5)",
        "f": "exponential(0.01, lb=2)",
    }
    model = hm.model(data(), "y ~ x + f", priors=priors_)
    assert model.priors.loc["sigma", "prior"] == "normal(3, 1, ub=5), cut at 0"
    assert model.priors.loc["f", "prior"] == "exponential(0.01, lb=2)"
    joint = model._joint
    centre, *_ = joint.start()
    values = dict(zip(joint.names, constrain(joint.parts, tf.constant(centre)), strict=True))
    assert float(values["x"]) == pytest.approx(stats.norm.ppf(stats.norm.cdf(-0.5) / 2))
    assert values["f"].numpy() == pytest.approx(2 + 100 * np.log(2))


def test_coefficients_start_at_zero_beside_an_intercept():
    """Their priors' means may be no place: here the inverse of a mean would be negative."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=100)})
    frame["y"] = rng.gamma(5, 1 / (5 * np.clip(0.8 + 0.1 * frame["x"], 0.2, None)))
    options = {"family": "gamma", "link": "inverse", "priors": {"x": "normal(0.5, 0.1)"}}
    plan = hm.model(frame, "y ~ x", **options).plan()
    at = dict(zip(plan.joint.names.values(), plan.start()[0], strict=False))
    assert at["x"] == 0
    assert at["Intercept at the predictors' means"] == pytest.approx(1 / frame["y"].mean())
    assert np.isfinite(plan.log_density(tf.constant(plan.start()[0][None]), plan.arguments))
    plan = hm.model(frame, "y ~ 0 + x", priors={"x": "normal(0.5, 0.1)"}).plan(shortcuts=False)
    assert plan.start()[0][0] == 0.5


def test_a_constant_is_everywhere_but_in_the_sampler():
    frame = data()
    fixed = {"x": "constant(0.5)", "f": "constant(-1)", "1|g_sigma": "constant(2)"}
    model = hm.model(frame, "y ~ x + f + (1 | g)", priors=fixed, family="student")
    assert "x = 0.5" in str(model.equations())
    assert "constant(0.5)" in model.code()
    assert "x" not in model.plan().notes["sampled"].split(", ")
    fit = model.fit(chains=2, warmup=100, draws=100, seed=1, progress=False, until="ess >= 10")
    fit.add_posterior_predictive(seed=1).add_log_likelihood().add_prior(20, seed=1)
    for part in (fit.posterior, fit.idata["prior"]):
        assert (part["x"] == 0.5).all()
        assert (part["f"] == -1).all()
        assert (part["1|g_sigma"] == 2).all()
    assert not any("never moved" in p.what for p in fit.check().problems)
    table = fit.summary()
    assert table.loc["x", ["mean", "sd"]].tolist() == [0.5, 0]
    assert np.isnan(table.loc["x", "r_hat"])
    assert np.isfinite(table.loc["sigma", "r_hat"])
    fit.plot_trace(["x", "sigma"])
    fit.plot_rank(["x", "f"])
    fit.plot_forest(["f", "sigma"])
    with pytest.raises(hm.ModelError, match="'f' is constant in this model: it has no density"):
        fit.plot_densities("f")


def test_a_constant_stays_one_in_a_file(tmp_path):
    model = hm.model(data(), "y ~ x", priors={"x": "constant(0.5)"}, center=False)
    fit = model.fit(chains=2, warmup=50, draws=50, seed=1, progress=False)
    with xr.open_dataset(fit.save(tmp_path / "a.nc"), group="posterior", engine="h5netcdf") as kept:
        assert kept["x"].attrs["constant"] == 1
        assert "constant" not in kept["Intercept"].attrs


def log_lkj(factor, eta):
    """Density of a Cholesky factor under LKJ (Lewandowski, Kurowicka and Joe 2009, theorem 5)."""
    k = len(factor)
    diagonal = np.log(np.diag(factor))
    i = np.arange(1, k + 1)
    kernel = 2 * (eta - 1) * diagonal.sum() + ((k - i) * diagonal).sum()
    j = np.arange(1, k)
    beta = eta + (k - 1 - j) / 2  # each of the j canonical correlations of level j is beta(b, b)
    constant = (j / 2 * np.log(np.pi) + gammaln(beta) - gammaln(eta + (k - 1) / 2)).sum()
    return kernel - constant


@pytest.mark.parametrize("eta", [0.7, 1.0, 2.0, 5.5])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_lkj_is_the_density_of_the_paper(size, eta):
    generator = np.random.default_rng(7)
    roots = generator.standard_normal((size, size + 2))
    covariance = roots @ roots.T
    sd = np.sqrt(np.diag(covariance))
    factor = np.linalg.cholesky(covariance / np.outer(sd, sd))
    found = tfd.CholeskyLKJ(size, concentration=np.float64(eta)).log_prob(factor)
    assert float(found) == pytest.approx(log_lkj(factor, eta), rel=1e-10)


def test_lkj_of_two_effects_integrates_to_one():
    def density(r):
        return math.exp(log_lkj(np.array([[1, 0], [r, math.sqrt(1 - r * r)]]), 2.0))

    assert integrate.quad(density, -1, 1)[0] == pytest.approx(1, abs=1e-8)


# --- notation -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["normal(0,1)", " normal( 0 , 1 ) ", "normal(-0.0, 1e0)", "normal(0, +1)"]
)
def test_spaces_and_spellings_of_numbers_do_not_matter(text):
    assert parse(text, "x").arguments == (0.0, 1.0)
    assert parse(text, "x").text.replace("-0", "0") == "normal(0, 1)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("normal", "is not of the form name(numbers)"),
        ("normal(0, 1", "is not of the form name(numbers)"),
        ("", "is not of the form name(numbers)"),
        ("normal(0, 1) + 1", "is not of the form name(numbers)"),
        ("norml(0, 1)", "unknown distribution.\n  norml(0, 1)\n  ^^^^^\n  Did you mean 'normal'?"),
        (" Normal(0, 1)", "\n   Normal(0, 1)\n   ^^^^^^\n  Did you mean 'normal'?"),
        ("normal(0)", "normal takes 2 numbers (loc, scale), not 1"),
        ("normal(0, 1, 2)", "normal takes 2 numbers (loc, scale), not 3"),
        ("exponential()", "exponential takes 1 numbers (rate), not 0"),
        ("normal(0, s)", "the arguments must be numbers"),
        ("normal(0, 1 + 1)", "the arguments must be numbers"),
        ("normal(0; 1)", "the arguments must be numbers"),
        ("normal(0, __import__('os'))", "^^^^^^^^^^\n  Allowed: "),
        ("normal(__import__('os'), 1)", "the arguments must be numbers"),
        ("normal(0, 0)", "scale must be positive"),
        ("normal(0, -1)", "scale must be positive"),
        ("student_t(0, 0, 1)", "df must be positive"),
        ("gamma(2, -1)", "rate must be positive"),
        ("normal(1e999, 1)", "the arguments must be finite"),
        ("normal(0, 1e999)", "the arguments must be finite"),
        ("uniform(2, 2)", "the lower end must be below the upper end"),
        ("lkj(0)", "concentration must be positive"),
        ("normal(0, 1, lb=2, ub=1)", "the lower bound must be below the upper bound"),
        ("normal(0, 1, lb=1, ub=1)", "the lower bound must be below the upper bound"),
        ("exponential(1, lb=-1)", "the bounds must lie in its support, from 0 to inf"),
        ("uniform(0, 5, ub=6)", "the bounds must lie in its support, from 0 to 5"),
        ("normal(0, 1, lb=9)", "within the bounds there is only 0 of its probability"),
        ("exponential(1, lb=30)", "there is only 9.4e-14 of its probability"),
        ("normal(0, 1, lower=0)", "there is no argument lower"),
        ("normal(0, scale=1)", "normal takes 2 numbers (loc, scale), not 1"),
        ("normal(0, 1, lb=1e999)", "the arguments must be finite"),
        ("normal(0, 1, lb=x)", "the arguments must be numbers"),
        ("lkj(2, lb=0)", "there is no argument lb"),
        ("constant(2, ub=3)", "there is no argument ub"),
        ("constant(1, 2)", "constant takes 1 numbers (loc), not 2"),
    ],
)
def test_a_prior_that_cannot_be_read(text, says):
    with pytest.raises(hm.PriorError) as info:
        hm.model(data(), "y ~ x", priors={"x": text})
    assert says in str(info.value)
    assert "'x'" in str(info.value)


@pytest.mark.parametrize(
    ("key", "guess"),
    [
        ("intercept", "Intercept"),
        ("X", "x"),
        ("qqq", None),
        ("1|g_sd", "1|g_sigma"),
        ("Sigma", "sigma"),
        ("group_sigmas", "group_sigma"),
    ],
)
def test_a_key_that_names_nothing(key, guess):
    with pytest.raises(hm.PriorError) as info:
        hm.model(data(), "y ~ x + (1 | g)", priors={key: "normal(0, 1)"})
    message = str(info.value)
    assert message.startswith(f"there is no parameter or class {key!r} in the model.")
    assert (f"Did you mean '{guess}'?" in message) == (guess is not None)
    for name in ("Intercept", "x", "1|g_sigma", "sigma", "common", "group_sigma"):
        assert name in message
    assert "group_cor" not in message  # the model has no correlation


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("sigma", "laplace(0, 1)", "sigma is positive"),
        ("sigma", "uniform(-1, 1)", "sigma is positive"),
        ("sigma", "student_t(3, 1, 2)", "its location must be 0, or a bound lb=0 cut it there"),
        ("sigma", "normal(0, 1, lb=-1)", "sigma is positive"),
        ("sigma", "normal(0, 1, ub=0)", "sigma is positive"),
        ("sigma", "laplace(0, 1, ub=1)", "sigma is positive"),
        ("sigma", "constant(0)", "sigma is positive"),
        ("group_sigma", "constant(-1)", "1|g_sigma is positive"),
        ("g_cor", "constant(0)", "it needs lkj(eta)"),
        ("sigma", tfd.Normal(0.0, 1.0), "sigma is positive"),
        ("1|g_sigma", "logistic(0, 1)", "1|g_sigma is positive"),
        ("group_sigma", "lkj(2)", "it needs a distribution of numbers"),
        ("Intercept", "lkj(2)", "it needs a distribution of numbers"),
        ("g_cor", "normal(0, 1)", "it needs lkj(eta)"),
        ("group_cor", "uniform(-1, 1)", "it needs lkj(eta)"),
    ],
)
def test_a_prior_with_the_wrong_support(key, text, says):
    with pytest.raises(hm.PriorError) as info:
        hm.model(data(), "y ~ x + (1 + x | g)", priors={key: text})
    assert says in str(info.value)


def test_a_name_wins_over_its_class_in_either_order():
    given = [("group_sigma", "exponential(2)"), ("x|g_sigma", "exponential(7)")]
    for order in (given, given[::-1]):
        table = hm.model(data(), "y ~ x + (1 + x | g)", priors=dict(order)).priors
        assert table.loc["x|g_sigma", ["prior", "source"]].tolist() == [
            "exponential(7)",
            "yours",
        ]
        assert table.loc["1|g_sigma", ["prior", "source"]].tolist() == [
            "exponential(2)",
            "yours, from 'group_sigma'",
        ]


# --- single coefficients of a term --------------------------------------------------------------


def by_element(model, name):
    """log density of a part, of values 0.3, 0.6, ..., one after the other changed."""
    joint = model.joint
    parts = dict(zip(model.joint_names, joint.model, strict=False))
    size = len(next(p.labels for p in model.specification.parameters if p.identifier == name))
    values = 0.3 * np.arange(1, size + 1)
    return values, float(parts[name].log_prob(values))


def test_a_coefficient_of_a_factor_has_a_prior_of_its_own():
    model = hm.model(data(), "y ~ x + f", priors={"f[c]": "normal(1, 0.5)"})
    scale = 2.5 * np.std(data()["y"])
    table = model.priors
    assert table.loc["f", "prior"] == f"normal([0, 1], [{scale:.4g}, 0.5])"
    assert table.loc["f", "source"] == "default, scaled to x"
    assert table.loc["f[c]"].tolist() == ["common", "normal(1, 0.5)", "yours"]
    (b, c), found = by_element(model, "f")
    expected = stats.norm.logpdf(b, 0, scale) + stats.norm.logpdf(c, 1, 0.5)
    assert found == pytest.approx(expected, rel=1e-12)
    assert model.plan().notes["integrated"] == "Intercept, x, f"


def test_a_coefficient_with_another_distribution():
    priors_ = {"common": "normal(0, 2)", "f[b]": "student_t(3, 0, 1)", "f[c]": tfd.Normal(1.0, 0.5)}
    model = hm.model(data(), "y ~ x + f", priors=priors_)
    assert model.priors.loc["f", "prior"] == ("[student_t(3, 0, 1), Normal(loc=1.0, scale=0.5)]")
    (b, c), found = by_element(model, "f")
    expected = stats.t.logpdf(b, 3, 0, 1) + stats.norm.logpdf(c, 1, 0.5)
    assert found == pytest.approx(expected, rel=1e-12)
    assert model.plan().notes["integrated"].startswith("Intercept, x; not f")
    lines = [" ".join(line.split()) for line in str(model.equations()).splitlines()]
    assert "f[b] ~ student_t(3, 0, 1)" in lines
    scope = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(3, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_allclose(scope["joint"].log_prob(drawn), model.joint.log_prob(drawn))
    fit = model.fit(chains=2, warmup=100, draws=100, seed=1, progress=False, shortcuts=False)
    assert fit.posterior["f"].dims == ("chain", "draw", "f_dim")


def test_single_standard_deviations_of_groups():
    priors_ = {"f|g_sigma[b]": "normal(0, 1)", "f|g_sigma[c]": "student_t(3, 0, 2)"}
    model = hm.model(data(), "y ~ 1 + (0 + f || g)", priors=priors_)
    rate = 1 / np.std(data()["y"])
    assert model.priors.loc["f|g_sigma", "prior"] == (
        f"[exponential({rate:.4g}), normal(0, 1), cut at 0, student_t(3, 0, 2), cut at 0]"
    )
    (a, b, c), found = by_element(model, "sigma_g_f")
    expected = stats.expon.logpdf(a, scale=1 / rate) + stats.halfnorm.logpdf(b)
    expected += stats.t.logpdf(c, 3, 0, 2) + np.log(2)
    assert found == pytest.approx(expected, rel=1e-12)
    centre, *_ = model._joint.start()
    assert np.isfinite(centre).all()
    priors_ = {"group_sigma": "normal(0, 2)", "f|g_sigma[b]": "normal(0, 1)"}
    same = hm.model(data(), "y ~ 1 + (0 + f || g)", priors=priors_)
    assert same.priors.loc["f|g_sigma", "prior"] == "half_normal([2, 1, 2])"


def test_an_element_of_a_default_with_a_number_for_each():
    model = hm.model(data(), "y ~ f:x", priors={"f:x[b]": "normal(0, 1)"})
    whole = hm.model(data(), "y ~ f:x").specification.common[0].prior.arguments[1]
    assert model.specification.common[0].prior.arguments == (0.0, (whole[0], 1.0, whole[2]))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"f[d]": "normal(0, 1)"},
            "no parameter or class 'f[d]' in the model. Did you mean 'f[c]'",
        ),
        ({"f[b]": "normal(0, 1, lb=0)"}, "all coefficients of a term must have the same bounds"),
        ({"f[b]": "constant(0)"}, "none may be constant"),
        ({"f[b]": "lkj(2)"}, "it needs a distribution of numbers"),
        ({"common": "horseshoe()", "f[b]": "normal(0, 1)"}, "is for all coefficients of 'f'"),
        ({"f[b]": "normal(0, exponential(1))"}, "is for all coefficients of 'f'"),
        ({"f[b": "normal(0, 1)"}, "no parameter or class"),
    ],
)
def test_a_prior_that_a_single_coefficient_cannot_have(given, says):
    with pytest.raises(hm.PriorError) as info:
        hm.model(data(), "y ~ x + f", priors=given)
    assert says in str(info.value)
    assert "'f" in str(info.value) or "common" in str(info.value)


@pytest.mark.parametrize("name", ["common", "sigma", "draw", "f_dim"])
def test_a_column_named_like_another_part_is_refused(name):
    frame = data().rename(columns={"x": name})
    with pytest.raises(hm.ModelError, match=f"'{name}' has two meanings in this model"):
        hm.model(frame, f"y ~ {name} + f + (1 | g)")


# --- TFP distributions --------------------------------------------------------------------------

TFP = {
    "float32": (tfd.Gamma(2.0, 0.5), (0.0, np.inf)),
    "float64": (tfd.Gamma(np.float64(2.0), np.float64(0.5)), (0.0, np.inf)),
    "log rate": (tfd.Gamma(2.0, log_rate=0.25), (0.0, np.inf)),
    "normal": (tfd.Normal(0.0, 1.5), (-np.inf, np.inf)),
    "gumbel": (tfd.Gumbel(0.0, 2.0), (-np.inf, np.inf)),
    "inverse gamma": (tfd.InverseGamma(2.0, 1.0), (0.0, np.inf)),
    "weibull": (tfd.Weibull(2.0, 1.0), (0.0, np.inf)),
    "half cauchy": (tfd.HalfCauchy(0.0, 1.0), (0.0, np.inf)),
    "kumaraswamy": (tfd.Kumaraswamy(2.0, 2.0), (0.0, 1.0)),
    "uniform": (tfd.Uniform(-1.0, 4.0), (-1.0, 4.0)),
    "truncated": (tfd.TruncatedNormal(0.0, 1.0, 0.0, 2.0), (0.0, 2.0)),
    "truncated below": (tfd.TruncatedNormal(1.0, 2.0, 0.0, np.inf), (0.0, np.inf)),
    "von mises": (tfd.VonMises(0.0, 1.0), (-np.pi, np.pi)),
    "pareto": (tfd.Pareto(2.0, 3.0), (3.0, np.inf)),
    "shifted half cauchy": (tfd.HalfCauchy(1.0, 1.0), (1.0, np.inf)),
    "truncated above": (tfd.TruncatedNormal(0.0, 1.0, -np.inf, 0.0), (-np.inf, 0.0)),
    "logit-normal": (tfd.LogitNormal(-1.5, 1.0), (0.0, 1.0)),
}


@pytest.mark.parametrize("name", TFP)
def test_a_tfp_distribution_as_prior(name):
    distribution, expected = TFP[name]
    prior = read(distribution, "x")
    assert ends(prior) == pytest.approx(expected, rel=1e-12)
    kind = {(True, True): "real", (False, False): "interval"}
    half = "positive" if expected == (0.0, np.inf) else "half-line"
    assert support(prior) == kind.get(tuple(np.isinf(expected)), half)
    again = built(prior)
    assert again.dtype == tf.float64
    x = distribution.sample(5, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_allclose(
        again.log_prob(tf.cast(x, tf.float64)), distribution.log_prob(x), rtol=2e-5, atol=2e-5
    )


@pytest.mark.parametrize("name", [n for n, (_, e) in TFP.items() if e[0] == 0.0])
def test_a_positive_tfp_distribution_fits_a_positive_parameter(name):
    model = hm.model(data(), "y ~ x", priors={"sigma": TFP[name][0]})
    joint = model.joint
    drawn = joint.sample(3, seed=tf.constant([3, 4], tf.int32))
    assert np.isfinite(joint.log_prob(drawn)).all()
    sigma = drawn[joint._flat_resolve_names().index("sigma")]
    assert (sigma.numpy() > 0).all()


@pytest.mark.parametrize(
    ("distribution", "says"),
    [
        (tfd.Normal([0.0, 1.0], 1.0), "must be scalar, but its batch shape is (2,)"),
        (tfd.MultivariateNormalDiag([0.0, 0.0]), "its event shape (2,)"),
        (tfd.Sample(tfd.Normal(0.0, 1.0), 3), "its event shape (3,)"),
        (tfd.CholeskyLKJ(2, 1.0), "its event shape (2, 2)"),
        (tfd.Poisson(3.0), "must be continuous"),
        (tfd.Bernoulli(0.5), "must be continuous"),
        (
            tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), tfb.Softplus()),
            "TransformedDistribution is not made of numbers alone; give",
        ),
        (1.5, "give a string such as 'normal(0, 1)' or a TFP distribution, not float"),
        (None, "not NoneType"),
    ],
    ids=lambda v: getattr(v, "name", "") or None,
)
def test_what_cannot_be_a_prior(distribution, says):
    with pytest.raises(hm.PriorError) as info:
        hm.model(data(), "y ~ x", priors={"x": distribution})
    assert says in str(info.value)
    assert "'x'" in str(info.value)


def test_an_infinite_number_keeps_its_sign():
    assert priors._number(-np.inf) == "np.float64(-np.inf)"
    assert priors._number(np.inf) == "np.float64(np.inf)"


# --- defaults -----------------------------------------------------------------------------------


def test_defaults_of_a_gaussian_model():
    frame = data()
    sd_y, mean_y = np.std(frame["y"]), frame["y"].mean()
    sd_x = np.std(frame["x"])
    model = hm.model(frame, "y ~ x + b + f + (1 + x | g)")
    numbers = {p.name: p.prior.arguments for p in model.specification.parameters}
    assert numbers == {
        "Intercept": pytest.approx((mean_y, 2.5 * sd_y), rel=1e-12),
        "x": pytest.approx((0, 2.5 * sd_y / sd_x), rel=1e-12),
        "b": pytest.approx((0, 2.5 * sd_y), rel=1e-12),  # two values: their range, 1
        "f": pytest.approx((0, 2.5 * sd_y), rel=1e-12),
        "1|g_sigma": pytest.approx((1 / sd_y,), rel=1e-12),
        "x|g_sigma": pytest.approx((sd_x / sd_y,), rel=1e-12),
        "g_cor": (2.0,),
        "sigma": pytest.approx((1 / sd_y,), rel=1e-12),
    }
    table = model.priors
    assert list(table.columns) == ["class", "prior", "source"]
    assert table.index.name == "parameter"
    assert table["class"].to_dict() == {
        "Intercept": "Intercept",
        "x": "common",
        "b": "common",
        "f": "common",
        "1|g_sigma": "group_sigma",
        "x|g_sigma": "group_sigma",
        "g_cor": "group_cor",
        "sigma": "sigma",
    }
    assert table.loc["Intercept", "source"] == "default; at predictors' means"
    assert table.loc["Intercept", "prior"] == f"normal({mean_y:.4g}, {2.5 * sd_y:.4g})"


def test_defaults_of_a_logistic_model():
    frame = data()
    model = hm.model(frame, "b ~ x + f + (1 + x | g)", family="bernoulli", center=False)
    numbers = {p.name: p.prior.arguments for p in model.specification.parameters}
    sd_x = np.std(frame["x"])
    # At predictors = 0: what the priors of the slopes add there.
    columns, scales = (
        model.design.X.mean(axis=0),
        [2.5 / sd_x] + [2.5] * (len(model.design.X[0]) - 1),
    )
    reach = np.sqrt(1.5**2 + np.sum((scales * columns) ** 2))
    assert numbers == {
        "Intercept": pytest.approx((0, reach), rel=1e-12),
        "x": pytest.approx((0, 2.5 / sd_x), rel=1e-12),
        "f": (0.0, 2.5),
        "1|g_sigma": (1.0,),
        "x|g_sigma": pytest.approx((sd_x,), rel=1e-12),
        "g_cor": (2.0,),
    }
    assert model.priors.loc["Intercept", "source"] == "default; at predictors = 0"


def test_defaults_of_a_probit_model_have_the_shorter_unit():
    model = hm.model(data(), "b ~ f", family="bernoulli", link="probit")
    numbers = {p.name: p.prior.arguments for p in model.specification.parameters}
    assert numbers["Intercept"] == pytest.approx((0, 1.5 * 0.6))
    assert numbers["f"] == pytest.approx((0, 2.5 * 0.6))


def test_defaults_of_a_count_model_with_exposure():
    frame = data()
    model = hm.model(frame, "y ~ f + offset(x)", family="poisson")
    location, scale = model.specification.intercept.prior.arguments
    assert location == pytest.approx(np.log(frame["y"].mean()) - frame["x"].mean())
    assert scale == 2.5


def test_columns_of_a_term_have_priors_of_their_own():
    frame = data()
    prior = hm.model(frame, "y ~ f:x").specification.common[0].prior
    spread = [np.std(np.where(frame["f"] == level, frame["x"], 0)) for level in "abc"]
    spread[0] = 1.0  # in level a, x has two values, 0 and 1: their range
    loc, scale = prior.arguments
    assert loc == 0
    np.testing.assert_allclose(scale, 2.5 * np.std(frame["y"]) / np.array(spread), rtol=1e-12)
    assert prior.text.startswith("normal(0, [")


# --- defaults that must reach the data ----------------------------------------------------------


def test_without_an_intercept_the_levels_of_a_factor_have_its_prior():
    frame = data().assign(y=lambda d: d["y"] + 1000)
    mean, sd = frame["y"].mean(), np.std(frame["y"])
    for formula, name in (("y ~ 0 + index(f)", "index(f)"), ("y ~ 0 + f", "f")):
        (prior,) = [
            p.prior for p in hm.model(frame, formula).specification.common if p.name == name
        ]
        assert prior.arguments == pytest.approx((mean, 2.5 * sd), rel=1e-12)
        assert prior.source == "default, as an intercept"


def test_when_nothing_carries_the_location_the_unit_includes_it():
    frame = data().assign(y=lambda d: d["y"] + 1000)
    whole = np.hypot(frame["y"].mean(), np.std(frame["y"]))
    model = hm.model(frame, "y ~ 0 + x + (1 | g)")
    numbers = {p.name: p.prior.arguments for p in model.specification.parameters}
    rms = np.sqrt(np.mean(frame["x"] ** 2))
    assert numbers["x"] == pytest.approx((0, 2.5 * whole / rms), rel=1e-12)
    assert numbers["1|g_sigma"] == pytest.approx((1 / whole,), rel=1e-12)


def test_priors_must_be_a_mapping():
    with pytest.raises(hm.PriorError, match="priors must be a dict"):
        hm.model(data(), "y ~ x", priors=["normal(0, 1)"])
