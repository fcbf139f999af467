"""Formulas for several parameters of a family."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import special, stats

import hiermod as hm
from hiermod.formula import designs, new_design
from hiermod.models.joint import arrays, constrain


def data(n=90, seed=1):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "w": rng.normal(size=n),
            "g": rng.integers(0, 5, n),
            "f": rng.choice(list("ab"), n),
            "y": rng.normal(size=n),
            "k": rng.poisson(2.0, n),
            "s": rng.uniform(0.5, 1.0, n),
            "linear_predictor_sigma": rng.normal(size=n),
        }
    )


def parts_at(model, seed=3):
    """A position and the values of the parts of the joint distribution by name."""
    parts = model._joint.parts
    size = sum(p.size for p in parts)
    position = np.random.default_rng(seed).normal(0, 0.5, (2, size))
    values = constrain(parts, tf.constant(position))
    return {p.identifier: v.numpy() for p, v in zip(parts, values, strict=True)}, values


def test_the_density_is_the_one_written_by_hand():
    frame = data()
    model = hm.model(
        frame,
        hm.formula("y ~ x + (1 | g)", sigma="~ w + offset(0.1 * x) + (1 + x | g)"),
        center=False,
        noncentered=True,
    )
    v, values = parts_at(model)
    joint, rows = model.joint, frame
    found = joint.model[-1](*reversed(values)).log_prob(frame["y"].to_numpy()).numpy()
    mu = v["Intercept"][:, None] + v["x"][:, None] * rows["x"].to_numpy()
    mu = mu + (v["sigma_g"][:, None, None] * v["z_g"])[:, 0][:, rows["g"]]
    scale = np.stack([v["sigma_g_sigma"], v["sigma_g_sigma_x"]], -1)
    u = (scale[..., None] * v["sigma_chol_g"]) @ v["z_sigma_g"]
    eta = v["sigma_Intercept"][:, None] + v["sigma_w"][:, None] * rows["w"].to_numpy()
    eta = eta + 0.1 * rows["x"].to_numpy()
    eta = eta + u[:, 0][:, rows["g"]] + u[:, 1][:, rows["g"]] * rows["x"].to_numpy()
    expected = stats.norm.logpdf(rows["y"].to_numpy(), mu, np.exp(eta)).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_probability_of_zeros_has_a_logit():
    frame = data()
    model = hm.model(
        frame,
        hm.formula("k ~ x", zi="~ 0 + index(f)"),
        family="zero_inflated_poisson",
        link={"zi": "probit"},
    )
    v, values = parts_at(model)
    found = model.joint.model[-1](*reversed(values)).log_prob(frame["k"].to_numpy() * 1.0).numpy()
    x = frame["x"].to_numpy() - frame["x"].mean()
    rate = np.exp(v["Intercept"][:, None] + v["x"][:, None] * x)
    zi = special.ndtr(v["zi_index_f"][:, (frame["f"] == "b").to_numpy() * 1])
    k = frame["k"].to_numpy()
    plain = (1 - zi) * stats.poisson.pmf(k, rate)
    expected = np.log(plain + zi * (k == 0)).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_program_defines_the_same_joint_distribution():
    model = hm.model(data(), hm.formula("y ~ x + (1 | g)", sigma="~ f", nu="~ 1"), family="student")
    scope = {}
    exec(model.code(), scope)
    values = model.joint.sample(3, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_allclose(
        scope["joint"].log_prob(values), model.joint.log_prob(values), rtol=1e-12
    )


def test_known_standard_errors_beside_a_formula_for_sigma():
    parts = hm.formula("se(y, s, sigma=True) ~ linear_predictor_sigma", sigma="~ w")
    model = hm.model(data(), parts, center=False)
    v, values = parts_at(model)
    frame = data()
    found = model.joint.model[-1](*reversed(values)).log_prob(frame["y"].to_numpy()).numpy()
    mu = (
        v["Intercept"][:, None]
        + values[1].numpy()[:, None] * frame["linear_predictor_sigma"].to_numpy()
    )
    sigma = np.exp(v["sigma_Intercept"][:, None] + v["sigma_w"][:, None] * frame["w"].to_numpy())
    expected = stats.norm.logpdf(frame["y"], mu, np.hypot(sigma, frame["s"].to_numpy())).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_names_and_classes_of_priors():
    model = hm.model(
        data(),
        hm.formula("y ~ x + (1 | g)", sigma="~ x + (1 + x | g)"),
        priors={
            "Intercept": "normal(0, 7)",
            "common": "normal(0, 6)",
            "group_sigma": "exponential(5)",
            "sigma_common": "normal(0, 0.4)",
            "sigma_group_sigma": "exponential(3)",
            "sigma_g_cor": "lkj(9)",
        },
    )
    assert model.priors["prior"].to_dict() == {
        "Intercept": "normal(0, 7)",
        "x": "normal(0, 6)",
        "sigma_Intercept": model.priors.loc["sigma_Intercept", "prior"],
        "sigma_x": "normal(0, 0.4)",
        "1|g_sigma": "exponential(5)",
        "sigma_1|g_sigma": "exponential(3)",
        "sigma_x|g_sigma": "exponential(3)",
        "sigma_g_cor": "lkj(9)",
    }
    # The logarithm of the standard deviation of the response, not that itself.
    assert model.priors.loc["sigma_Intercept", "prior"].startswith(
        f"normal({np.log(data()['y'].std(ddof=0)):.4g}, 2.5"
    )


def test_default_priors_are_on_the_scale_of_the_link():
    frame = data().assign(y=lambda d: 100 * d["y"])
    spread = frame["y"].std(ddof=0)
    for link, location, unit in (
        ("log", np.log(spread), 1.0),
        ("softplus", np.log(np.expm1(spread)), spread),
        ("squareplus", spread - 1 / spread, spread),
    ):
        model = hm.model(frame, hm.formula("y ~ x", sigma="~ w"), link={"sigma": link})
        expected = f"normal({location:.4g}, {2.5 * unit:.4g})"
        assert model.priors.loc["sigma_Intercept", "prior"] == expected
        slope = f"normal(0, {2.5 * unit / frame['w'].std(ddof=0):.4g})"
        assert model.priors.loc["sigma_w", "prior"] == slope


def test_a_mean_direction_may_be_negative():
    angles = pd.DataFrame({"y": [-2.0, -1.5, -1.8, -1.2]})
    model = hm.model(angles, "y ~ 1", family="von_mises")
    location = np.tan(angles["y"].mean() / 2)
    assert model.priors.loc["Intercept", "prior"] == f"normal({location:.4g}, 2.5)"


def test_equations():
    model = hm.model(data(), hm.formula("y ~ x", sigma="~ w + (1 | g)"), center=False)
    lines = [" ".join(line.split()) for line in str(model.equations()).splitlines()]
    assert lines[:4] == [
        "y[i] ~ normal(mu[i], sigma[i])",
        "mu[i] = Intercept + x * x[i]",
        "log(sigma[i]) = sigma_Intercept + sigma_w * w[i] + sigma_1|g[g[i]]",
        "sigma_1|g[j] ~ normal(0, sigma_1|g_sigma) for j = 1..5",
    ]
    assert r"\log \text{sigma}_i" in model.equations()._repr_latex_()


def test_rows_that_miss_a_value_in_any_formula_are_dropped():
    frame = data()
    frame.loc[3, "w"], frame.loc[5, "x"] = np.nan, np.nan
    parts = hm.formula("y ~ x", sigma="~ w")
    with pytest.raises(hm.DataError, match=r"missing values in 'x': 1, 'w': 1 \(of 90 rows\)"):
        hm.model(frame, parts)
    model = hm.model(frame, parts, dropna=True)
    assert model.design.dropped == 2
    assert model.design.n_rows == model.design.parameters["sigma"].n_rows == 88
    assert set(model.design.rows) == set(frame.index) - {3, 5}


def test_new_rows():
    frame = data()
    model = hm.model(frame, hm.formula("y ~ scale(x) + (1 | g)", sigma="~ scale(w) + (1 | g)"))
    again = new_design(model.design, frame.iloc[10:30])
    whole, part = (arrays(model.specification, d) for d in (model.design, again))
    for name in ("X", "X_sigma", "index_g", "index_sigma_g"):
        np.testing.assert_array_equal(part[name], whole[name][..., 10:30])
    assert list(copy.copy(model).specification.design.parameters) == ["sigma"]


def test_without_formulas_the_design_is_the_plain_one():
    assert designs("y ~ x", {}, data()).parameters == {}


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: hm.formula("y ~ x", sigma="x"), hm.FormulaError, "must begin with '~': sigma="),
        (lambda: hm.formula("y ~ x", sigma=3), hm.FormulaError, "not int"),
        (lambda: hm.model(data(), 3), hm.FormulaError, "not int"),
        (
            lambda: hm.model(data(), hm.formula("y ~ x", nu="~ x")),
            hm.ModelError,
            "family 'gaussian' has no parameter 'nu'. It has: sigma.",
        ),
        (
            lambda: hm.model(data(), hm.formula("k ~ x", sigma="~ x"), family="poisson"),
            hm.ModelError,
            "It has: none beside the mean.",
        ),
        (
            lambda: hm.model(data(), hm.formula("y ~ x", sigma="~ w"), link={"sigma": "logit"}),
            hm.ModelError,
            "does not fit 'sigma' of family 'gaussian'. Links that do: log, softplus, squareplus.",
        ),
        (
            lambda: hm.model(data(), hm.formula("se(y, s) ~ x", sigma="~ w")),
            hm.ModelError,
            "write se(y, s, sigma=True)",
        ),
        (
            lambda: hm.model(data(), "y ~ x", link={"sigma": "log"}),
            hm.ModelError,
            "link names 'sigma', which has no formula.",
        ),
        (
            lambda: hm.model(data(), hm.formula("y ~ x", sigma="~ q")),
            hm.FormulaError,
            "unknown column 'q'",
        ),
        (
            lambda: hm.model(data(), hm.formula("k ~ x + (1 | g)", zi="~ x"),
                             family="zero_inflated_poisson").plan(approximate="laplace"),
            hm.ModelError,
            "with one formula",
        ),
    ],
)  # fmt: skip
def test_bad_input(make, kind, says):
    with pytest.raises(kind) as info:
        make()
    assert says in str(info.value)


def test_effects_that_share_an_id_are_correlated():
    frame = data()
    model = hm.model(
        frame,
        hm.formula("y ~ 1 + (1 + x |p| g)", sigma="~ 1 + (1 |p| g) + (0 + w | g)"),
        noncentered=True,
    )
    v, values = parts_at(model)
    found = model.joint.model[-1](*reversed(values)).log_prob(frame["y"].to_numpy()).numpy()
    scale = np.stack([v["sigma_g"], v["sigma_g_x"], v["sigma_g_sigma"]], -1)
    u = (scale[..., None] * v["chol_g"]) @ v["z_p_g"]
    g, x, w = (frame[name].to_numpy() for name in "gxw")
    mu = v["Intercept"][:, None] + u[:, 0][:, g] + u[:, 1][:, g] * x
    slope = v["sigma_g_sigma_w"][:, None] * v["z_sigma_g"][:, 0]
    eta = v["sigma_Intercept"][:, None] + u[:, 2][:, g] + slope[:, g] * w
    expected = stats.norm.logpdf(frame["y"].to_numpy(), mu, np.exp(eta)).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert "g_cor" in model.priors.index
    assert "(1|g[j], x|g[j], sigma_1|g[j]) ~ multi_normal" in str(model.equations())


@pytest.mark.parametrize("centred", [True, False])
def test_both_forms_of_a_shared_block_are_the_same_distribution(centred):
    parts = hm.formula("y ~ 1 + (1 |p| g)", sigma="~ 1 + (1 |p| g)")
    model = hm.model(data(), parts, noncentered=not centred)
    scope = {}
    exec(model.code(), scope)
    values = model.joint.sample(3, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_allclose(
        scope["joint"].log_prob(values), model.joint.log_prob(values), rtol=1e-12
    )
    group = model.specification.every_group[0]
    assert (group.identifier[0] == "u") == centred
    if centred:
        sigmas = np.stack([values[2], values[3]], -1)  # after both intercepts
        root = sigmas[..., None] * values[4].numpy()
        expected = [
            stats.multivariate_normal(np.zeros(2), r @ r.T).logpdf(u.T).sum()
            for r, u in zip(root, values[5].numpy(), strict=True)
        ]
        found = model.joint.model[5](*reversed(values[:5])).log_prob(values[5])
        np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("y ~ (1 |p| g) + (0 + x |p| g)", "the id 'p' occurs twice"),
        ("y ~ (1 || p | g)", "this is no group term"),
        ("y ~ (1 | 2 | g)", "this is no group term"),
    ],
)
def test_an_id_that_cannot_be(text, says):
    with pytest.raises(hm.FormulaError) as info:
        hm.model(data(), text)
    assert says in str(info.value)
