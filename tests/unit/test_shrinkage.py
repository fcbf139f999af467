"""Priors whose scales are parameters: densities by hand, draws by their definition, notation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import stats

import hiermod as hm

N = 40
SEED = tf.constant([5, 6], tf.int32)


def data():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(N, 3)), columns=["x", "w", "y"])
    return frame.assign(f=rng.permutation(list("abcd") * (N // 4)), k=rng.poisson(2, N))


def columns(frame):
    """x, w and the indicators of f, centred."""
    x = np.column_stack([frame[["x", "w"]], pd.get_dummies(frame["f"], dtype=float).iloc[:, 1:]])
    return x - x.mean(0)


def standardised(v):
    return np.concatenate([[v["x"], v["w"]], v["f"]])


def half_t(x, df, scale):
    return (stats.t.logpdf(x, df, 0, scale) + np.log(2)).sum()


# --- densities ----------------------------------------------------------------------------------


def horseshoe_by_hand(v, frame):
    """Piironen and Vehtari (2017): b ~ normal(0, t l~), l~^2 = c2 l^2 / (c2 + t^2 l^2)."""
    t, c2, local = v["common_global"] * v["sigma"], v["common_slab"], v["common_local"]
    scale = t * np.sqrt(c2 * local**2 / (c2 + t**2 * local**2))
    mean = v["Intercept"] + columns(frame) @ (scale * standardised(v))
    return (
        stats.norm.logpdf(v["Intercept"], 0, 2)
        + stats.norm.logpdf(standardised(v)).sum()
        + half_t(v["common_global"], 2, 0.1)
        + stats.invgamma.logpdf(c2, 3, scale=6 / 2 * 1.5**2)
        + half_t(local, 3, 1)
        + stats.expon.logpdf(v["sigma"])
        + stats.norm.logpdf(frame["y"], mean, v["sigma"]).sum()
    )


def r2d2_by_hand(v, frame):
    """brms: b ~ normal(0, sqrt(phi tau2)), tau2 = sigma^2 R2 / (1 - R2)."""
    R2, phi = v["common_R2"], v["common_phi"]
    scale = np.sqrt(phi * v["sigma"] ** 2 * R2 / (1 - R2))
    mean = v["Intercept"] + columns(frame) @ (scale * standardised(v))
    return (
        stats.norm.logpdf(v["Intercept"], 0, 2)
        + stats.norm.logpdf(standardised(v)).sum()
        + stats.beta.logpdf(R2, 0.3 * 4, 0.7 * 4)
        + stats.dirichlet.logpdf(phi / phi.sum(), np.full(5, 0.8))
        + stats.expon.logpdf(v["sigma"])
        + stats.norm.logpdf(frame["y"], mean, v["sigma"]).sum()
    )


def counts_by_hand(v, frame):
    """A horseshoe without a sigma, and a coefficient with a prior of its own."""
    t, c2, local = v["common_global"], v["common_slab"], v["common_local"]
    scale = 1 / np.sqrt(1 / c2 + 1 / (t * local) ** 2)
    shrunk = scale * np.concatenate([[v["x"]], v["f"]])
    eta = v["Intercept"] + columns(frame) @ np.concatenate([[shrunk[0], v["w"]], shrunk[1:]])
    return (
        stats.norm.logpdf(v["Intercept"], 0, 2)
        + stats.norm.logpdf(v["x"])
        + stats.t.logpdf(v["w"], 4, 0, 3)
        + stats.norm.logpdf(v["f"]).sum()
        + half_t(t, 1, 1)
        + stats.invgamma.logpdf(c2, 2, scale=4 / 2 * 2**2)
        + half_t(local, 1, 1)
        + stats.poisson.logpmf(frame["k"], np.exp(eta)).sum()
    )


def lasso_by_hand(v, frame):
    """Laplace coefficients with a scale of their own; a normal hyperprior for one term."""
    beta = np.concatenate([np.array([v["x"], v["w"]]) * v["common_scale"], v["f_scale"] * v["f"]])
    mean = v["Intercept"] + columns(frame) @ beta
    return (
        stats.norm.logpdf(v["Intercept"], 0, 2)
        + stats.laplace.logpdf([v["x"], v["w"]]).sum()
        + stats.norm.logpdf(v["f"]).sum()
        + stats.expon.logpdf(v["common_scale"], scale=1 / 2)
        + stats.halfnorm.logpdf(v["f_scale"], scale=3)
        + stats.expon.logpdf(v["sigma"])
        + stats.norm.logpdf(frame["y"], mean, v["sigma"]).sum()
    )


def of_sigma_by_hand(v, frame):
    """A horseshoe on the formula of sigma, whose scales nothing multiplies."""
    t, c2, local = (v[f"sigma_common_{name}"] for name in ("global", "slab", "local"))
    beta = v["sigma_x"] / np.sqrt(1 / c2 + 1 / (t * local[0]) ** 2)
    eta = v["sigma_Intercept"] + columns(frame)[:, 0] * beta
    return (
        stats.norm.logpdf(v["Intercept"], 0, 2)
        + stats.norm.logpdf(v["sigma_Intercept"], 0, 1)
        + stats.norm.logpdf(v["sigma_x"])
        + half_t(t, 1, 1)
        + stats.invgamma.logpdf(c2, 2, scale=8)
        + half_t(local, 1, 1)
        + stats.norm.logpdf(frame["y"], v["Intercept"], np.exp(eta)).sum()
    )


FIXED = {"Intercept": "normal(0, 2)", "sigma": "exponential(1)"}
BY_HAND = {
    "horseshoe": (
        horseshoe_by_hand,
        "y ~ x + w + f",
        {"priors": FIXED | {"common": "horseshoe(3, 0.1, df_global=2, scale_slab=1.5, df_slab=6)"}},
    ),
    "R2D2": (r2d2_by_hand, "y ~ x + w + f", {"priors": FIXED | {"common": "r2d2(0.3, 4, 0.8)"}}),
    "counts": (
        counts_by_hand,
        "k ~ x + w + f",
        {
            "family": "poisson",
            "priors": {
                "Intercept": "normal(0, 2)",
                "common": "horseshoe()",
                "w": "student_t(4, 0, 3)",
            },
        },
    ),
    "lasso": (
        lasso_by_hand,
        "y ~ x + w + f",
        {
            "priors": FIXED
            | {"common": "laplace(0, exponential(2))", "f": "normal(0, normal(0, 3))"}
        },
    ),
    "of sigma": (
        of_sigma_by_hand,
        hm.formula("y ~ 1", sigma="~ x"),
        {
            "priors": {
                "Intercept": "normal(0, 2)",
                "sigma_Intercept": "normal(0, 1)",
                "sigma_common": "horseshoe()",
            }
        },
    ),
}


@pytest.mark.density
@pytest.mark.parametrize("name", BY_HAND)
def test_density_is_that_of_the_paper(name):
    by_hand, formula, options = BY_HAND[name]
    frame = data()
    model = hm.model(frame, formula, **options)
    *drawn, _ = model.joint.sample(4, seed=SEED)
    found = model.joint.log_prob([*drawn, model._joint.data["y"]])
    for i in range(4):
        values = {k: v.numpy()[i] for k, v in zip(model.joint_names, drawn, strict=True)}
        np.testing.assert_allclose(found[i], by_hand(values, frame), rtol=1e-10)


@pytest.mark.density
def test_log_density_sums_up_rows_of_shrunk_counts():
    frame = data().assign(x=lambda d: np.sign(d["x"]))
    model = hm.model(frame, "k ~ x + f", family="poisson", priors={"common": "horseshoe()"})
    plan, whole = model.plan(), model.plan(shortcuts=False)
    assert "40 rows compressed to 8" in plan.done
    position = tf.constant(np.random.default_rng(1).normal(0, 0.5, (3, plan.dimensions)))
    np.testing.assert_allclose(
        plan.log_density(position, plan.arguments),
        whole.log_density(position, whole.arguments),
        rtol=1e-11,
    )


# --- draws from the prior -----------------------------------------------------------------------

DRAWS = 4000


def horseshoe_draws(rng, sigma):
    tau = np.abs(rng.standard_t(1, (DRAWS, 1))) * sigma
    local, c2 = np.abs(rng.standard_t(1, (DRAWS, 5))), stats.invgamma(2, scale=8).rvs(
        (DRAWS, 1), random_state=rng
    )  # fmt: skip
    return rng.normal(size=(DRAWS, 5)) * tau * np.sqrt(c2 * local**2 / (c2 + tau**2 * local**2))


def r2d2_draws(rng, sigma):
    R2 = rng.beta(1, 1, (DRAWS, 1))
    phi = rng.dirichlet(np.full(5, 0.5), DRAWS)
    return rng.normal(size=(DRAWS, 5)) * sigma * np.sqrt(phi * R2 / (1 - R2))


def laplace_draws(rng, sigma):
    return rng.exponential(1, (DRAWS, 1)) * rng.laplace(size=(DRAWS, 5))


@pytest.mark.parametrize(
    ("text", "by_definition"),
    [
        ("horseshoe()", horseshoe_draws),
        ("r2d2()", r2d2_draws),
        ("laplace(0, exponential(1))", laplace_draws),
    ],
)
def test_prior_draws_are_those_of_the_definition(text, by_definition):
    priors = {"common": text, "sigma": "constant(3)"}
    drawn = hm.model(data(), "y ~ x + w + f", priors=priors).sample_prior(DRAWS, seed=1)["prior"]
    rng = np.random.default_rng(8)
    expected = by_definition(rng, 3.0)
    found = np.column_stack([drawn["x"][0], drawn["w"][0], drawn["f"][0]])
    for i in range(5):
        assert stats.ks_2samp(found[:, i], expected[:, i]).pvalue > 1e-3
    # They share the global scale: of how many is the size above the median of all?
    large = [(np.abs(b) > np.median(np.abs(b))).sum(1) for b in (found, expected)]
    counts = np.array([np.bincount(n, minlength=6) for n in large])
    assert stats.chi2_contingency(counts).pvalue > 1e-3
    # A scale that is half as large again would be seen.
    assert stats.ks_2samp(found[:, 0], expected[:, 0] * 1.5).pvalue < 1e-3


# --- what users see -----------------------------------------------------------------------------


def test_the_table_of_priors_and_the_names_of_the_posterior():
    model = hm.model(data(), "y ~ x + w + f", priors={"common": "r2d2(0.5, 4)", "w": "normal(0,1)"})
    table = model.priors.drop(["Intercept", "sigma"])
    assert table["prior"].to_dict() == {
        "x": "r2d2(0.5, 4, 0.5)",
        "w": "normal(0, 1)",
        "f": "r2d2(0.5, 4, 0.5)",
        "common_R2": "beta(2, 2)",
        "common_phi": "dirichlet(0.5)",
    }
    assert set(table["class"]) == {"common"}
    assert table.loc["common_phi", "source"] == "yours, from 'common'"
    assert model.joint_names["x"] == "x, standardised"
    drawn = model.sample_prior(5, seed=1)["prior"]
    assert drawn["common_phi"].dims == ("chain", "draw", "common_phi_dim")
    assert drawn["common_phi_dim"].to_numpy().tolist() == ["x", "f[b]", "f[c]", "f[d]"]
    np.testing.assert_allclose(drawn["common_phi"].sum("common_phi_dim"), 1, rtol=1e-12)
    assert drawn["f"].dims == ("chain", "draw", "f_dim")


def test_equations():
    priors = {"common": "horseshoe()", "f": "student_t(4, 0, exponential(2))"}
    lines = str(hm.model(data(), "y ~ x + w + f", priors=priors).equations()).splitlines()
    lines = [" ".join(line.split()) for line in lines]
    for line in (
        "x ~ normal(0, s_common[x])",
        "w ~ normal(0, s_common[w])",
        "f ~ student_t(4, 0, f_scale)",
        "s_common = 1 / sqrt(1 / (common_local * common_global * sigma)^2 + 1 / common_slab)",
        "common_global ~ student_t(1, 0, 1), cut at 0",
        "common_slab ~ inv_gamma(2, 8)",
        "f_scale ~ exponential(2)",
    ):
        assert line in lines
    model = hm.model(data(), "y ~ x", priors={"common": "horseshoe()"})
    latex = model.equations()._repr_latex_()
    assert r"\sqrt{1 / (\text{common\_local}\,\text{common\_global}\,\sigma)^2" in latex


def test_sigma_multiplies_where_it_has_the_unit_of_the_linear_predictor():
    def unit(*arguments, **options):
        model = hm.model(data(), *arguments, priors={"common": "horseshoe()"}, **options)
        (block,) = model.specification.shrunk
        return block.unit and block.unit.name

    assert unit("y ~ x") == "sigma"
    assert unit("y ~ x", family="student") == "sigma"
    assert unit("y ~ x", link="log") is None
    assert unit(hm.formula("y ~ x", sigma="~ w")) is None
    assert unit("k ~ x", family="poisson") is None


def test_shrunk_coefficients_are_sampled_and_the_plan_says_so():
    notes = (
        hm.model(data(), "y ~ x + w + f", priors={"f": "normal(0, exponential(1))"}).plan().notes
    )
    assert notes["integrated"] == "Intercept, x, w; not f: no prior of the form normal(mean, sd)"
    assert notes["sampled"] == "f, f_scale, sigma (5 numbers)"


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("common", "horseshoe(0)", "df must be positive and finite"),
        ("common", "horseshoe(scale_slab=-1)", "scale_slab must be positive and finite"),
        ("common", "horseshoe(1, 1, 1, 1, 1, 1)", "horseshoe takes df=1, scale_global=1, df_g"),
        ("common", "horseshoe(par=1)", "horseshoe takes df=1"),
        ("common", "r2d2(1)", "mean_R2 must be below 1"),
        ("common", "r2d2(0.5, prec=3)", "r2d2 takes mean_R2=0.5, prec_R2=2, cons_D2=0.5"),
        ("common", "horseshoes()", "^^^^^^^^^^\n  Did you mean 'horseshoe'?"),
        ("common", "normal(1, exponential(1))", "the location must be 0"),
        ("common", "normal(0, exponential(1), lb=0)", "the location must be 0, unbounded"),
        ("common", "normal(exponential(1), 1)", "the arguments must be numbers"),
        ("common", "gamma(2, exponential(1))", "only a scale can have a prior"),
        ("common", "horseshoe(exponential(1))", "only a scale can have a prior"),
        ("common", "normal(0, laplace(0, 1))", "common_scale is positive"),
        ("common", "normal(0, horseshoe())", "it is for common coefficients"),
        ("common", "normal(0, exponential(-1))", "rate must be positive"),
        ("common", "dirichlet(1)", "it needs a distribution of numbers"),
        ("Intercept", "horseshoe()", "it is for common coefficients"),
        ("sigma", "normal(0, exponential(1))", "it is for common coefficients"),
        ("x", "r2d2()", "divides variance among coefficients, but there is only one"),
    ],
)
def test_a_prior_that_cannot_be(key, text, says):
    with pytest.raises(hm.PriorError) as info:
        hm.model(data(), "y ~ x + f", priors={key: text})
    assert says in str(info.value)
    assert "prior of" in str(info.value)


def test_a_column_named_like_a_parameter_of_a_prior_is_refused():
    frame = data().rename(columns={"w": "common_scale"})
    hm.model(frame, "y ~ x + common_scale")
    with pytest.raises(hm.ModelError, match="'common_scale' has two meanings in this model"):
        hm.model(frame, "y ~ x + common_scale", priors={"common": "normal(0, exponential(1))"})


def test_columns_named_like_functions_of_the_program():
    frame = data()
    priors = {"common": "horseshoe()"}
    same = hm.model(frame, "y ~ x + w", priors=priors)
    names = {"x": "coefficients", "w": "scale_common"}
    model = hm.model(frame.rename(columns=names), "y ~ coefficients + scale_common", priors=priors)
    drawn = model.joint.sample(3, seed=SEED)
    np.testing.assert_array_equal(model.joint.log_prob(drawn), same.joint.log_prob(drawn))
