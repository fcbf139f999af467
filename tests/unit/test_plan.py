"""Plans: the reduced density is that of the whole model, integrated exactly."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import stats

import hiermod as hm
from hiermod.inference.hmc import value_and_gradient
from hiermod.models import marginal
from hiermod.models.compress import compress
from hiermod.models.families import FAMILIES
from hiermod.models.joint import arrays, log_jacobian

pytestmark = pytest.mark.density


def data(n=60, seed=1):
    rng = np.random.default_rng(seed)
    g = rng.integers(0, 7, n)
    frame = pd.DataFrame(
        {
            "g": g,
            "h": g // 3,  # g is nested in h
            "top": g // 6,  # and h in top
            "c": rng.integers(0, 5, n),  # crossed
            "x": rng.normal(size=n),
            "w": rng.integers(0, 4, n) / 2,
            "f": rng.choice(list("abc"), n),
            "two": rng.integers(0, 2, n),
            "trials": rng.integers(1, 9, n),
        }
    )
    for i in range(9):
        frame[f"x{i}"] = rng.normal(size=n)
    frame["y"] = 3.0 + 0.5 * frame["x"] + rng.normal(size=7)[g] + rng.normal(size=n)
    frame["b"] = rng.integers(0, 2, n)
    frame["k"] = rng.integers(0, 9, n)
    frame["s"] = rng.binomial(frame["trials"], 0.4)
    return frame


def flat(plan, position):
    """Positions of the whole model, with zeros for what is integrated out."""
    out = np.zeros((len(position), plan.joint.dimensions))
    out[:, plan._kept] = position
    return out


def integral(plan, position):
    """log of the integral of the whole density over what the plan integrates out.

    The logarithm of the density is quadratic there: one Newton step finds its maximum, and
    Laplace's formula is exact.
    """
    joint, out = plan.joint, np.flatnonzero(~plan._kept)
    whole = flat(plan, position)
    # The gradient is linear there, so its differences are the second derivatives.
    steps = np.vstack([np.zeros(whole.shape[1]), np.eye(whole.shape[1])[out]])
    at = (whole[:, None] + steps).reshape(-1, whole.shape[1])
    _, slopes = value_and_gradient(joint.log_density, tf.constant(at), joint.arguments)
    slopes = slopes.numpy().reshape(len(whole), len(steps), -1)[:, :, out]
    curvature = slopes[:, 1:] - slopes[:, :1]
    whole[:, out] -= np.linalg.solve(curvature, slopes[:, 0, :, None])[..., 0]
    value = joint.log_density(tf.constant(whole), joint.arguments).numpy()
    log_det = np.linalg.slogdet(-curvature)[1]
    return value + 0.5 * len(out) * np.log(2 * np.pi) - 0.5 * log_det, whole[:, out], curvature


CASES = {
    "no groups": ("y ~ x + f", {}),
    "intercepts": ("y ~ x + (1 | g)", {}),
    "centred form": ("y ~ x + (1 | g)", {"noncentered": False}),
    "textbook intercept": ("y ~ x + (1 | g)", {"center": False}),
    "correlated slopes": ("y ~ x + (1 + x | g)", {}),
    "correlated slopes, centred": ("y ~ x + (1 + x | g)", {"noncentered": False}),
    "independent slopes": ("y ~ x + (1 + x || g)", {}),
    "a slope alone": ("y ~ x + (0 + x | g)", {}),
    "levels as effects": ("y ~ 1 + (0 + f | g)", {}),
    "nested": ("y ~ x + (1 | h / g)", {}),
    "nested slopes": ("y ~ x + (1 + x | h) + (1 + x | g)", {}),
    "nested thrice": ("y ~ x + (1 + x | top) + (x || h) + (1 | g)", {}),
    "crossed, in the root": ("y ~ x + (1 | g) + (x || c)", {}),
    "crossed, in the root, centred": ("y ~ x + (1 | g) + (x || c)", {"noncentered": False}),
    "crossed, sampled": ("y ~ x + (1 + x | g) + (1 + x | c)", {}),
    "two crossed, sampled": ("y ~ x + (1 + x | g) + (1 + x | c) + (1 + x | f)", {}),
    "crossed, sampled, centred": ("y ~ x + (1 | g) + (1 + x | c)", {"noncentered": False}),
    "weights": ("weighted(y, w) ~ x + (1 + x | g)", {}),
    "weights and crossed": ("weighted(y, w) ~ x + (1 | g) + (1 + x | c)", {}),
    "offset": ("y ~ x + offset(2 * x0) + (1 | g)", {}),
    "offset and crossed": ("y ~ x + offset(2 * x0) + (1 | g) + (1 + x | c)", {}),
    "a prior that is not normal": (
        "y ~ x + f + (1 + x | g)",
        {"priors": {"x": "student_t(3, 0, 1)"}},
    ),
    "two, and factors": (
        "y ~ x + f + (1 + x | h) + (1 | g)",
        {"priors": {"f": "cauchy(0, 1)", "Intercept": "student_t(3, 0, 1)"}},
    ),
    "not normal, and crossed": (
        "y ~ x + f + (1 | g) + (1 + x | c)",
        {"priors": {"x": "student_t(3, 0, 1)", "Intercept": "logistic(0, 1)"}},
    ),
    "no normal prior at all": (
        "y ~ x + (1 | g)",
        {"priors": {"x": "cauchy(0, 1)", "Intercept": "cauchy(0, 1)"}},
    ),
    "constant coefficients": (
        "y ~ x + f + (1 + x | g)",
        {"priors": {"x": "constant(0.4)", "f": "constant(-1)"}},
    ),
    "constant intercept and deviation": (
        "y ~ x + (1 | g)",
        {"priors": {"Intercept": "constant(3)", "1|g_sigma": "constant(0.8)"}},
    ),
    "constant residuals": ("y ~ x + (1 | g)", {"priors": {"sigma": "constant(1.2)"}}),
    "a truncated prior": ("y ~ x + (1 | g)", {"priors": {"x": "normal(0, 1, lb=0)"}}),
    "a horseshoe": ("y ~ x + f + (1 | g)", {"priors": {"common": "horseshoe()"}}),
    "R2D2, and a coefficient that is integrated out": (
        "y ~ x + w + f + (1 + x | g)",
        {"priors": {"common": "r2d2(0.5, 2, 0.5)", "w": "normal(0, 1)"}},
    ),
    "a hyperprior, and crossed": (
        "y ~ x + f + (1 | g) + (1 + x | c)",
        {"priors": {"f": "laplace(0, exponential(1))"}},
    ),
    "Student-t effects, and nested": (
        'y ~ x + (1 | h) + (1 + x | gr(c, dist="student"))',
        {"noncentered": {"c": True}},
    ),
    "Student-t effects alone, centred": (
        'y ~ x + (1 + x || gr(g, dist="student"))',
        {"noncentered": False},
    ),
    "standard deviations by h, and crossed": ("y ~ x + (1 + x | gr(g, by=h)) + (1 | c)", {}),
    "effects that sum to zero": ("y ~ x + (1 + x | gr(c, zero_sum=True)) + (1 | g)", {}),
    "many effects": ("y ~ 1 + (" + " + ".join(f"x{i}" for i in range(9)) + " | g)", {}),
    "many columns": ("y ~ " + " + ".join(f"x{i}" for i in range(9)) + " + (1 | g)", {}),
    "no intercept": ("y ~ 0 + x + (0 + x | g)", {}),
    "a smooth": ("y ~ s(x, k=5)", {}),
    "a smooth, centred form": ("y ~ s(x, k=5) + (1 | g)", {"noncentered": False}),
    "smooths by a factor": ("weighted(y, w) ~ f + s(x, k=4, by=f) + (1 | g) + (1 | two)", {}),
    "a smooth by a factor, centred form": ("y ~ s(x, k=4, by=f)", {"noncentered": False}),
    "a smooth, sampled": ("y ~ s(x, k=40) + (1 | g) + (1 + x | c)", {}),
    "a smooth by a factor, sampled": (
        "y ~ s(x, k=20, by=f)",
        {"noncentered": False, "priors": {"Intercept": "cauchy(0, 1)"}},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_integral(case):
    formula, options = CASES[case]
    plan = hm.model(data(), formula, **options).plan()
    rng = np.random.default_rng(3)
    # Among them a group that hardly varies, and residuals that hardly do.
    position = rng.normal(0, 0.7, (4, plan.dimensions))
    position[2, [i for i, n in enumerate(unconstrained(plan)) if n.startswith("sigma_")]] = -9.0
    position[3, [i for i, n in enumerate(unconstrained(plan)) if n == "sigma"]] = -4.0
    expected, _, _ = integral(plan, plan.placed(position))
    # Conditioned effects add the log determinant of their map, tried in test_conditioning.
    _, log_det = plan.structure.values(tf.constant(position), plan.data)
    log_det -= log_jacobian(plan.parts, tf.constant(position))
    found = plan.log_density(tf.constant(position), plan.arguments).numpy()
    np.testing.assert_allclose(found, expected + log_det.numpy(), rtol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_gradient(case):
    formula, options = CASES[case]
    plan = hm.model(data(), formula, **options).plan()
    position = np.random.default_rng(4).normal(0, 0.5, (1, plan.dimensions))
    _, gradient = value_and_gradient(plan.log_density, tf.constant(position), plan.arguments)
    step = 1e-5 * np.eye(plan.dimensions)
    around = tf.constant(np.concatenate([position + step, position - step]))
    ahead, behind = np.split(plan.log_density(around, plan.arguments).numpy(), 2)
    np.testing.assert_allclose(gradient[0], (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-5)


def test_the_response_is_multivariate_normal():
    # The same by SciPy: mean and covariance of the response, everything gaussian integrated out.
    frame = data()
    priors = {"Intercept": "normal(2, 1.5)", "x": "normal(0.1, 0.7)"}
    plan = hm.model(frame, "y ~ x + (1 + x | g)", priors=priors, center=False).plan()
    sigmas, chol, sigma = np.array([0.8, 0.3]), np.array([[1.0, 0.0], [0.6, 0.8]]), 1.3
    values = {
        "sigma_g": tf.constant([sigmas[0]]),
        "sigma_g_x": tf.constant([sigmas[1]]),
        "chol_g": tf.constant(chol[None]),
        "sigma": tf.constant([sigma], tf.float64),
    }
    assert {p.identifier for p in plan.parts} == set(values)
    x = np.column_stack([np.ones(len(frame)), frame["x"]])
    root = sigmas[:, None] * chol
    same = frame["g"].to_numpy()[:, None] == frame["g"].to_numpy()
    covariance = x @ np.diag([1.5**2, 0.7**2]) @ x.T + same * (x @ root @ root.T @ x.T)
    covariance += sigma**2 * np.eye(len(frame))
    expected = stats.multivariate_normal(x @ [2, 0.1], covariance).logpdf(frame["y"])
    found = marginal.eliminate(plan.structure.layout, values, plan.data).log_density
    assert float(found[0]) == pytest.approx(expected, rel=1e-10)


def unconstrained(plan):
    return [p.identifier for p in plan.parts for _ in range(p.size)]


@pytest.mark.parametrize("case", [c for c in CASES if c != "many effects"])
def test_draws_of_what_was_integrated_out(case):
    formula, options = CASES[case]
    plan = hm.model(data(), formula, **options).plan()
    position = np.random.default_rng(4).normal(0, 0.5, (1, plan.dimensions))
    _, mode, curvature = integral(plan, plan.placed(position))
    n = 4000
    found = plan.recover(np.repeat(position[:, None], n, axis=1), seed=5).values
    sizes = {p.identifier: p for p in plan.joint.parts if p not in plan.parts}
    drawn = np.concatenate([found[name].reshape(n, -1) for name in sizes], axis=1)
    covariance = np.linalg.inv(-curvature[0])
    root = np.linalg.cholesky(np.linalg.inv(covariance))
    white = (drawn - mode[0]) @ root
    # Standard normal, independent: means, variances and correlations, at 5 standard errors.
    assert np.abs(white.mean(0)).max() < 5 / np.sqrt(n)
    scatter = white.T @ white / n - np.eye(white.shape[1])
    assert np.abs(scatter).max() < 5 * np.sqrt(2 / n)
    assert stats.kstest(white.ravel()[::7], "norm").pvalue > 1e-4


@pytest.mark.parametrize(
    ("family", "formula", "link"),
    [
        ("bernoulli", "b ~ two + f + (1 + two | h)", "logit"),
        ("bernoulli", "weighted(b, w) ~ two + (1 | h)", "probit"),
        ("bernoulli", "b ~ two + (1 | h)", "cloglog"),
        ("binomial", "prop(s, trials) ~ two + (1 | h)", "logit"),
        ("binomial", "weighted(prop(s, trials), w) ~ two + (1 | h)", "probit"),
        ("poisson", "k ~ two + offset(log(1 + top)) + (1 | h)", "log"),
        ("poisson", "weighted(k, w) ~ f + (1 | h)", "log"),
        ("poisson", "k ~ f + s(g, k=4, by=f)", "log"),
        ("gaussian", "y ~ two + (1 | h)", "log"),
        ("gaussian", "weighted(y, w) ~ two + (1 | h)", "log"),
    ],
)
def test_rows_summed_up(family, formula, link):
    model = hm.model(data(200), formula, family=family, link=link)
    plan = model.plan()
    assert plan.structure.summed
    position = np.random.default_rng(6).normal(0, 0.6, (5, plan.dimensions))
    whole = model.plan(shortcuts=False)
    values, log_det = whole.structure.values(tf.constant(position), whole.data)
    expected = whole.joint.distribution.log_prob([*values.values(), whole.joint.data["y"]])
    assert ("constant" in whole.data) == (family == "binomial")  # its coefficients, apart
    for one in (plan, whole):
        found = one.log_density(tf.constant(position), one.arguments)
        np.testing.assert_allclose(found, expected + log_det, rtol=1e-11)
    left = len(plan.data["count"])
    assert left < 40
    assert f"200 rows compressed to {left}" in plan.done


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("s | trials(trials) + cens('left') ~ x + (1 | g)", "binomial"),
        ("s | trials(trials) + trunc(ub=9) ~ x + (1 | g)", "binomial"),
        ("prop(s, trials) ~ x + (1 | g)", "beta_binomial"),
        ("prop(s, trials) ~ x", "zero_inflated_binomial"),
        ("prop(s, trials) ~ x + (1 | g)", "own"),
        ("k ~ x + (1 | g)", "poisson"),
    ],
)
def test_every_row_keeps_its_whole_density(formula, family):
    if family == "own":
        family = replace(FAMILIES["binomial"], name="own", totals="")
    plan = hm.model(data(), formula, family=family).plan(shortcuts=False)
    assert "constant" not in plan.data
    position = tf.constant(np.random.default_rng(6).normal(0, 0.6, (3, plan.dimensions)))
    values, log_det = plan.structure.values(position, plan.data)
    expected = plan.joint.distribution.log_prob([*values.values(), plan.joint.data["y"]])
    found = plan.log_density(position, plan.arguments)
    np.testing.assert_allclose(found, expected + log_det, rtol=1e-11)


def test_compression_is_of_equal_rows_only():
    frame = data(200).assign(two=lambda d: np.where(d.index == 0, 0.25, d["two"]))
    model = hm.model(frame, "b ~ two + (1 | h)", family="bernoulli")
    short = compress(model.specification, arrays(model.specification, model.design))
    counts = frame.groupby(["two", "h"])["b"].agg(["size", "sum"])
    assert sorted(zip(short["count"], short["total"], strict=True)) == sorted(
        map(tuple, counts.to_numpy(float))
    )


def test_nothing_to_compress():
    plan = hm.model(data(), "b ~ x + (1 | g)", family="bernoulli").plan()
    assert not plan.done
    assert plan.dimensions == plan.joint.dimensions
    assert "60, no two with equal predictors" in repr(plan)


def test_responses_far_from_zero_lose_no_digits():
    # Sums of squares of numbers near 1e6 have few digits left for a variance of one.
    formula = "y ~ x + (1 + x | g)"
    near, far = data(), data().assign(y=lambda d: d["y"] + 1e6)
    plans = [hm.model(d, formula).plan() for d in (near, far)]
    position = np.random.default_rng(7).normal(0, 0.5, (3, plans[0].dimensions))
    a, b = (p.log_density(tf.constant(position), p.arguments).numpy() for p in plans)
    np.testing.assert_allclose(a, b, rtol=1e-9)


def test_collinear_effects_are_named_and_integrated_out():
    formula = "y ~ x + (1 + x + I(2 * x) | g)"
    with pytest.warns(UserWarning, match=r"the effects 1, x, I\(2 \* x\) of 'g' are collinear"):
        plan = hm.model(data(), formula).plan()
    position = np.random.default_rng(8).normal(0, 0.5, (2, plan.dimensions))
    expected, _, _ = integral(plan, plan.placed(position))
    # Conditioned effects add the log determinant of their map, tried in test_conditioning.
    _, log_det = plan.structure.values(tf.constant(position), plan.data)
    log_det -= log_jacobian(plan.parts, tf.constant(position))
    found = plan.log_density(tf.constant(position), plan.arguments).numpy()
    np.testing.assert_allclose(found, expected + log_det.numpy(), rtol=1e-8)


def test_predictors_of_any_scale_lose_no_digits():
    # Far responses, and a predictor in large units: as the same model in small ones.
    formula = "y ~ x + (1 + z | g)"
    near = data().assign(z=lambda d: d["x"])
    far = near.assign(y=lambda d: d["y"] + 1e6, x=lambda d: d["x"] * 1e8)
    priors = (
        {"Intercept": "normal(0, 10)", "x": "normal(0, 2)"},
        {
            "Intercept": "normal(1e6, 10)",
            "x": "normal(0, 2e-8)",
        },
    )
    shared = {"group_sigma": "exponential(1)", "sigma": "exponential(1)"}
    plans = [
        hm.model(d, formula, priors=p | shared).plan()
        for d, p in zip((near, far), priors, strict=True)
    ]
    position = np.random.default_rng(7).normal(0, 0.5, (3, plans[0].dimensions))
    a, b = (p.log_density(tf.constant(position), p.arguments).numpy() for p in plans)
    np.testing.assert_allclose(a, b, rtol=1e-7)


def test_a_tight_prior_far_from_the_data_loses_no_digits():
    plan = hm.model(data(), "y ~ x + (1 | g)", priors={"x": "normal(0, 1e-8)"}).plan()
    near = hm.model(data(), "y ~ 1 + (1 | g)").plan()  # the same, but for a slope of 0
    position = np.random.default_rng(9).normal(0, 0.5, (3, plan.dimensions))
    a, b = (p.log_density(tf.constant(position), p.arguments).numpy() for p in (plan, near))
    np.testing.assert_allclose(a, b, rtol=1e-9)


def test_a_copy_of_a_model_has_the_same_plan():
    model = hm.model(data(), "y ~ x + (1 | g)")
    again = pickle.loads(pickle.dumps(model))
    assert again.plan().fingerprint == model.plan().fingerprint


def test_something_is_left_to_sample_beside_constants():
    frame, both = data(), {"sigma": "constant(1)", "1|g_sigma": "constant(1)"}
    plan = hm.model(frame, "y ~ x + (1 | g)", priors=both).plan()
    assert plan.notes["integrated"].startswith("nothing: as the rest is constant")
    assert plan.notes["sampled"] == "Intercept, x, 1|g (9 numbers)"
    lone = hm.model(
        frame, "b ~ 0 + (1 | g)", family="bernoulli", priors={"1|g_sigma": "constant(1)"}
    )
    with pytest.raises(hm.ModelError, match="would leave nothing to sample"):
        lone.plan(approximate="laplace")
    with pytest.raises(hm.PriorError, match="every parameter has a constant prior: there is noth"):
        hm.model(frame, "y ~ 1", priors={"Intercept": "constant(0)", "sigma": "constant(1)"})


def test_reasons():
    frame = data().assign(many=np.arange(60) % 35)
    priors = {"Intercept": "cauchy(0, 1)", "x": "cauchy(0, 1)"}
    plan = hm.model(frame, "y ~ x", priors=priors).plan()
    assert plan.notes["integrated"] == (
        "nothing; not Intercept, x: no prior of the form normal(mean, sd)"
    )
    plan = hm.model(frame, "y ~ index(many)").plan()
    assert plan.notes["integrated"].endswith("not Intercept, index(many): more than 32 columns")


def test_the_density_does_not_read_the_rows():
    sizes = {}
    for n in (100, 5000):
        plan = hm.model(data(n), "y ~ x + (1 + x | g)").plan()
        sizes[n] = sum(t.shape.num_elements() for t in tf.nest.flatten(plan.arguments))
    assert sizes[100] == sizes[5000]


def test_text():
    plan = hm.model(data(), "y ~ x + (1 | g) + (1 + x | c)").plan()
    assert repr(plan).splitlines() == [
        "rows        60, as sums of squares and cross-products",
        "integrated  1|g, Intercept, x; not c: crossed with g",
        "sampled     1|g_sigma, 1|c_sigma, x|c_sigma, c_cor, sigma, 1|c, x|c (15 numbers)",
    ]


def test_programs_are_shared():
    one, other = (hm.model(data(60, seed), "y ~ x + (1 | g)").plan() for seed in (1, 2))
    assert one.log_density is other.log_density
    assert one.log_density is not hm.model(data(), "y ~ x + (1 | h)").plan().log_density


def test_shortcuts_must_be_a_flag():
    with pytest.raises(hm.ModelError, match="shortcuts must be True or False, not 'no'"):
        hm.model(data(), "y ~ x").plan(shortcuts="no")


@pytest.mark.parametrize("size", [1, 2, 5, marginal.UNROLLED + 1])
def test_small_factorisations(size):
    rng = np.random.default_rng(size)
    a = rng.normal(size=(3, 4, size, size + 2))
    a = a @ np.swapaxes(a, -1, -2)
    lists = [[tf.constant(a[..., i, j]) for j in range(i + 1)] for i in range(size)]
    triangle = marginal.cholesky(lists)
    expected = np.linalg.cholesky(a)
    for i in range(size):
        for j in range(i + 1):
            np.testing.assert_allclose(triangle[i][j], expected[..., i, j], rtol=1e-9)
    right = rng.normal(size=(size, 3, 4))
    x = marginal.forward(triangle, [tf.constant(r) for r in right])
    z = marginal.backward(triangle, x)
    solved = np.linalg.solve(a, np.moveaxis(right, 0, -1)[..., None])[..., 0]
    np.testing.assert_allclose(np.stack(z, -1), solved, rtol=1e-7)
