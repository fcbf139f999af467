"""Group terms with options: Student-t effects, kinds of levels, effects that sum to zero."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import stats

import hiermod as hm
from hiermod.formula import new_design
from hiermod.models.distributions import sum_to_zero

N = 60
SEED = tf.constant([5, 6], tf.int32)
G = np.arange(N) % 6
KIND = np.array(list("bbaaab"))


def data():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(N, 2)), columns=["x", "y"])
    return frame.assign(g=G, kind=KIND[G], h=rng.integers(0, 4, N))


def log_lkj(factor):
    """lkj(2) of a 2 x 2 Cholesky factor: uniform powers of 1 - r^2, over those of the diagonal."""
    r = factor[1, 0]
    return np.log1p(-(r**2)) - np.log(4 / 3)


def log_df(df):
    """gamma(2, 0.1) above 1."""
    prior = stats.gamma(2, scale=10)
    return prior.logpdf(df) - prior.logsf(1)


def student_by_hand(v, frame):
    sd = np.array([v["sigma_g"], v["sigma_g_x"]])
    covariance = np.diag(sd) @ v["chol_g"] @ v["chol_g"].T @ np.diag(sd)
    effects = stats.multivariate_t(np.zeros(2), covariance, v["df_g"])
    mean = v["u_g"][0, G] + v["u_g"][1, G] * frame["x"]
    return mean, (
        effects.logpdf(v["u_g"].T).sum()
        + stats.expon.logpdf(sd).sum()
        + log_lkj(v["chol_g"])
        + log_df(v["df_g"])
    )


def standardised_student_by_hand(v, frame):
    """The effects of a level share what makes them heavy-tailed, correlated or not."""
    u = np.array([v["sigma_g"], v["sigma_g_x"]])[:, None] * v["z_g"]
    effects = stats.multivariate_t(np.zeros(2), np.eye(2), v["df_g"])
    prior = stats.expon.logpdf([v["sigma_g"], v["sigma_g_x"]]).sum() + log_df(v["df_g"])
    return u[0, G] + u[1, G] * frame["x"], effects.logpdf(v["z_g"].T).sum() + prior


def by_hand(v, frame):
    """Level j has the standard deviations and the correlation of its kind."""
    u, kinds = np.empty((2, 6)), {"a": 0, "b": 1}
    for j in range(6):
        k = kinds[KIND[j]]
        sd = np.array([v["sigma_g"][k], v["sigma_g_x"][k]])
        u[:, j] = np.diag(sd) @ v["chol_g"][k] @ v["z_g"][:, j]
    return u[0, G] + u[1, G] * frame["x"], (
        stats.expon.logpdf([v["sigma_g"], v["sigma_g_x"]]).sum()
        + sum(map(log_lkj, v["chol_g"]))
        + stats.norm.logpdf(v["z_g"]).sum()
    )


def zero_sum_by_hand(v, frame):
    """Coordinates of an orthonormal basis of what sums to zero."""
    basis = sum_to_zero(tf.eye(5, dtype=tf.float64)).numpy()
    u = np.array([v["sigma_g"], v["sigma_g_x"]])[:, None] * (v["z_g"] @ basis)
    assert np.abs(u.sum(1)).max() < 1e-12
    prior = stats.expon.logpdf([v["sigma_g"], v["sigma_g_x"]]).sum()
    return u[0, G] + u[1, G] * frame["x"], stats.norm.logpdf(v["z_g"]).sum() + prior


BY_HAND = {
    "student": (student_by_hand, '(1 + x | gr(g, dist="student"))', False),
    "student, standardised": (
        standardised_student_by_hand,
        '(1 + x || gr(g, dist="student"))',
        True,
    ),
    "by": (by_hand, "(1 + x | gr(g, by=kind))", None),
    "zero sum": (zero_sum_by_hand, "(1 + x || gr(g, zero_sum=True))", None),
}


@pytest.mark.density
@pytest.mark.parametrize("name", BY_HAND)
def test_density_is_that_of_the_textbook(name):
    density, term, noncentered = BY_HAND[name]
    frame = data()
    priors = {
        "Intercept": "normal(1, 2)",
        "group_sigma": "exponential(1)",
        "sigma": "exponential(1)",
    }
    model = hm.model(frame, f"y ~ 1 + {term}", priors=priors, noncentered=noncentered)
    *drawn, _ = model.joint.sample(4, seed=SEED)
    found = model.joint.log_prob([*drawn, model._joint.data["y"]])
    for i in range(4):
        v = {k: x.numpy()[i] for k, x in zip(model.joint_names, drawn, strict=True)}
        mean, expected = density(v, frame)
        expected += stats.norm.logpdf(v["Intercept"], 1, 2) + stats.expon.logpdf(v["sigma"])
        expected += stats.norm.logpdf(frame["y"], v["Intercept"] + mean, v["sigma"]).sum()
        np.testing.assert_allclose(found[i], expected, rtol=1e-10)


@pytest.mark.density
@pytest.mark.parametrize("n", [2, 3, 10])
def test_sum_to_zero_is_an_orthonormal_basis(n):
    basis = sum_to_zero(tf.eye(n - 1, dtype=tf.float64)).numpy()
    np.testing.assert_allclose(basis @ basis.T, np.eye(n - 1), atol=1e-14)
    # So that standard normal coordinates are the projection of n standard normal numbers.
    np.testing.assert_allclose(basis.T @ basis, np.eye(n) - 1 / n, atol=1e-14)


@pytest.mark.density
def test_both_forms_of_student_effects_are_the_same_density():
    standard, direct = (
        hm.model(data(), 'y ~ 1 + (1 + x | gr(g, dist="student"))', noncentered=flag)
        for flag in (True, False)
    )
    *drawn, _ = standard.joint.sample(3, seed=SEED)
    y, values = standard._joint.data["y"], dict(zip(standard.joint_names, drawn, strict=True))
    sd = np.stack([values["sigma_g"], values["sigma_g_x"]], axis=-1)
    scale = sd[:, :, None] * values["chol_g"].numpy()
    values["z_g"] = scale @ values["z_g"].numpy()
    np.testing.assert_allclose(
        direct.joint.log_prob([*values.values(), y]),
        standard.joint.log_prob([*drawn, y]) - 6 * np.linalg.slogdet(scale)[1],
        rtol=1e-10,
    )


# --- draws from the prior -----------------------------------------------------------------------


def test_student_effects_are_normal_ones_mixed_over_chi_square():
    """brms: u = sqrt(df / chi2_df) sigma z, one chi2 for the effects of a level."""
    priors = {"group_sigma": "constant(2)", "g_df": "constant(3)"}
    formula = 'y ~ 1 + (1 + x || gr(g, dist="student"))'
    drawn = hm.model(data(), formula, priors=priors).sample_prior(3000, seed=1)["prior"]
    one, other = drawn["1|g"].to_numpy()[0, :, 2], drawn["x|g"].to_numpy()[0, :, 2]
    rng = np.random.default_rng(4)
    mixed = np.sqrt(3 / rng.chisquare(3, 3000)) * 2 * rng.normal(size=(2, 3000))
    assert stats.ks_2samp(one, mixed[0]).pvalue > 1e-3
    assert stats.ks_2samp(np.hypot(one, other), np.hypot(*mixed)).pvalue > 1e-3
    apart = np.hypot(one, np.roll(other, 1))  # were they independent, this would be the same
    assert stats.ks_2samp(apart, np.hypot(*mixed)).pvalue < 1e-2
    assert stats.ks_2samp(one, 2 * rng.normal(size=3000)).pvalue < 1e-3


def test_effects_that_sum_to_zero_are_the_projection_of_independent_ones():
    priors = {"group_sigma": "constant(2)"}
    drawn = hm.model(data(), "y ~ 1 + (1 | gr(g, zero_sum=True))", priors=priors)
    u = drawn.sample_prior(4000, seed=1)["prior"]["1|g"].to_numpy()[0]
    assert np.abs(u.sum(1)).max() < 1e-12
    expected = 4 * (np.eye(6) - 1 / 6)
    error = np.sqrt((expected**2 + np.outer(*[np.diag(expected)] * 2)) / 4000)
    assert (np.abs(np.cov(u.T) - expected) < 5 * error).all()


def test_the_spread_of_levels_is_that_of_their_kind():
    priors = {"group_sigma": "constant(1)"}
    model = hm.model(data(), "y ~ 1 + (1 | gr(g, by=kind))", priors=priors)
    values = {"sigma_g": np.array([[[1.0, 10.0]]]), "z_g": np.full((1, 1, 1, 6), 0.5)}
    u = model._joint.functions.scaled(model._joint.data, values)["z_g"].numpy()
    np.testing.assert_allclose(u[0, 0, 0], np.where(KIND == "a", 0.5, 5.0))


# --- what users see -----------------------------------------------------------------------------


def test_names_and_dimensions():
    formula = 'y ~ 1 + (1 + x | gr(g, by=kind, dist="student")) + (1 | gr(h, zero_sum=True))'
    model = hm.model(data(), formula)
    assert list(model.priors.index) == [
        "Intercept", "1|g_sigma", "x|g_sigma", "g_cor", "g_df", "1|h_sigma", "sigma",
    ]  # fmt: skip
    assert model.priors.loc["g_df"].tolist() == ["g_df", "gamma(2, 0.1, lb=1)", "default"]
    drawn = model.sample_prior(5, seed=1)["prior"]
    assert drawn["1|g_sigma"].dims == ("chain", "draw", "kind__by_dim")
    assert drawn["kind__by_dim"].to_numpy().tolist() == ["a", "b"]
    assert drawn["g_cor"].dims[2:] == ("kind__by_dim", "g__effect_dim", "g__effect_dim_bis")
    np.testing.assert_allclose(drawn["1|h"].sum("h__factor_dim"), 0, atol=1e-12)
    lines = [" ".join(line.split()) for line in str(model.equations()).splitlines()]
    assert (
        "(1|g[j], x|g[j]) ~ multi_student_t(g_df, 0, S_g g_cor[kind[j]] S_g) for j = 1..6" in lines
    )
    assert "S_g = diag(1|g_sigma[kind[j]], x|g_sigma[kind[j]])" in lines
    assert "1|h[j] ~ normal(0, 1|h_sigma) for j = 1..4, summing to 0" in lines
    assert r"\operatorname{MultiStudentT}" in model.equations()._repr_latex_()


def test_a_factor_among_effects_by_kind():
    frame = data().assign(f=lambda d: np.where(d["x"] > 0, "u", "v"))
    model = hm.model(frame, "y ~ 1 + (0 + f | gr(g, by=kind))", priors={"sigma": "exponential(1)"})
    drawn = model.sample_prior(3, seed=1)["prior"]["f|g_sigma"]
    (dim,) = drawn.dims[2:]
    assert drawn[dim].to_numpy().tolist() == ["u:a", "u:b", "v:a", "v:b"]
    values = {
        "sigma_g_f": np.array([1.0, 2.0, 3.0, 4.0]),
        "chol_g": np.array([np.eye(2)] * 2),
        "z_g": np.ones((2, 6)),
    }
    u = model._joint.functions.scaled(model._joint.data, values)["z_g"].numpy()
    np.testing.assert_allclose(u[:, KIND == "a"], [[1.0] * 3, [3.0] * 3])
    np.testing.assert_allclose(u[:, KIND == "b"], [[2.0] * 3, [4.0] * 3])


def test_a_kind_of_levels_has_a_prior_of_its_own():
    priors = {"group_sigma": "exponential(2)", "1|g_sigma[b]": "exponential(5)"}
    model = hm.model(data(), "y ~ 1 + (1 | gr(g, by=kind))", priors=priors)
    assert model.priors.loc["1|g_sigma", "prior"] == "exponential([2, 5])"
    assert model.priors.loc["1|g_sigma[b]", "source"] == "yours"


def test_a_second_student_term_of_a_factor_has_its_own_df():
    formula = 'y ~ 1 + (1 | gr(g, dist="student")) + (0 + x | gr(g, dist="student"))'
    assert {"g_df", "x|g_df"} <= set(hm.model(data(), formula).priors.index)


def test_gr_without_options_is_the_factor():
    one, other = (hm.model(data(), f"y ~ x + (1 | {g})") for g in ('gr(g, dist="gaussian")', "g"))
    assert one.joint_names == other.joint_names
    assert one.plan().notes == other.plan().notes
    assert [g.factor for g in hm.model(data(), "y ~ (1 | gr(g:h))").design.groups] == ["g:h"]


@pytest.mark.parametrize(
    ("term", "says"),
    [
        ('gr(g, dist="student")', "not g: Student-t effects"),
        ("gr(g, by=kind)", "not g: standard deviations by kind"),
        ("gr(g, zero_sum=True)", "not g: effects that sum to zero"),
    ],
)
def test_the_plan_says_why_they_are_sampled(term, says):
    notes = hm.model(data(), f"y ~ x + (1 | {term}) + (1 | h)").plan().notes
    assert notes["integrated"] == f"1|h, Intercept, x; {says}"
    assert notes["sampled"].split(" (")[0].endswith(", 1|g")
    frame = data().assign(b=lambda d: d["y"] > 0)
    with pytest.raises(hm.ModelError, match="for group effects: the model has only"):
        hm.model(frame, f"b ~ x + (1 | {term})", family="bernoulli").plan(approximate="laplace")


def test_rows_are_summed_up_with_kinds_of_levels():
    frame = data().assign(b=lambda d: d["y"] > 0, x=lambda d: np.sign(d["x"]))
    model = hm.model(frame, "b ~ x + (1 | gr(g, by=kind))", family="bernoulli")
    plan, whole = model.plan(), model.plan(shortcuts=False)
    assert "60 rows compressed to 12" in plan.done
    position = tf.constant(np.random.default_rng(1).normal(0, 0.5, (3, plan.dimensions)))
    np.testing.assert_allclose(
        plan.log_density(position, plan.arguments),
        whole.log_density(position, whole.arguments),
        rtol=1e-11,
    )


def test_a_column_that_varies_within_a_level():
    frame = data()
    frame.loc[7, "kind"] = "a"
    with pytest.raises(hm.DataError) as info:
        hm.model(frame, "y ~ (1 | gr(g, by=kind))")
    assert str(info.value) == (
        "by=kind: the column must be constant within the levels of 'g', but level '1' has 'a', "
        "'b'. Group by both, (1 | g:kind), or leave by= out."
    )
    with pytest.raises(hm.DataError, match="by=kind: the column has one value only, 'a'"):
        hm.model(frame.assign(kind="a"), "y ~ (1 | gr(g, by=kind))")
    with pytest.raises(hm.FormulaError, match="unknown column 'kin'"):
        hm.model(frame, "y ~ (1 | gr(g, by=kin))")
    with pytest.raises(hm.DataError, match="missing values in 'kind': 1"):
        hm.model(data().assign(kind=lambda d: d["kind"].where(d.index > 0)),
                 "y ~ (1 | gr(g, by=kind))")  # fmt: skip


@pytest.mark.parametrize("term", ["gr(g, by=kind)", "gr(g, zero_sum=True)"])
def test_they_have_no_centred_form(term):
    for flag in (False, {"g": False}):
        with pytest.raises(hm.ModelError, match="only a non-centred form"):
            hm.model(data(), f"y ~ (1 | {term}) + (1 | h)", noncentered=flag)
    hm.model(data(), f"y ~ (1 | {term}) + (1 | h)", noncentered={"h": False})


def test_new_rows_keep_the_kinds():
    model = hm.model(data(), "y ~ (1 | gr(g, by=kind))")
    again = new_design(model.design, data().iloc[3:9])
    assert again.groups[0].by is model.design.groups[0].by
    np.testing.assert_array_equal(again.groups[0].index, G[3:9])
