"""Smooths: their penalty, their density, and what they find."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import stats
from scipy.integrate import simpson
from scipy.interpolate import CubicSpline, make_smoothing_spline

import hiermod as hm
from hiermod.errors import DataError, FormulaError, ModelError
from hiermod.formula import design, designs, new_design, parse
from hiermod.inference.hmc import value_and_gradient
from hiermod.results import rows
from hiermod.results.pooling import _population

N = 90


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    x = rng.gamma(3, size=N)
    return pd.DataFrame(
        {
            "x": x,
            "z": rng.normal(2, 1, size=N),
            "month": rng.uniform(0, 12, size=N),
            "f": np.tile(["a", "b", "c"], N // 3),
            "code": np.tile([1, 2], N // 2),
            "g": np.repeat(np.arange(9), N // 9),
            "y": np.sin(x) + rng.normal(0, 0.3, size=N),
            "count": rng.poisson(np.exp(np.sin(x))),
        }
    )


BASES = ["s(x)", "s(x, bs='cr')", "s(x, k=5)", "s(month, bs='cc', period=12)"]

TERMS = [  # the formula, common terms with their labels, smooths with their levels and shapes
    ("s(x)", [("s(x)_linear", ())], [("s(x)", (), (N, 8))]),
    ("0 + s(x, k=3)", [("s(x, k=3)_linear", ())], [("s(x, k=3)", (), (N, 1))]),
    (
        "s(log(x), bs='cr', k=6)",
        [("s(log(x), bs='cr', k=6)_linear", ())],
        [("s(log(x), bs='cr', k=6)", (), (N, 4))],
    ),
    (
        "s(month, bs='cc', period=12)",
        [],
        [("s(month, bs='cc', period=12)", (), (N, 8))],
    ),
    (
        "f + s(x, by=f, k=5)",
        [("f", ("b", "c")), ("s(x, by=f, k=5)_linear", ("a", "b", "c"))],
        [("s(x, by=f, k=5)", ("a", "b", "c"), (N, 3, 3))],
    ),
    (
        "s(x, by=C(code))",
        [("s(x, by=C(code))_linear", ("1", "2"))],
        [("s(x, by=C(code))", ("1", "2"), (N, 2, 8))],
    ),
    ("s(x, by=z)", [("s(x, by=z)_linear", ("1", "x"))], [("s(x, by=z)", (), (N, 8))]),
    (
        "s(month, bs='cc', period=12, by=z, k=6)",
        [("s(month, bs='cc', period=12, by=z, k=6)_linear", ())],
        [("s(month, bs='cc', period=12, by=z, k=6)", (), (N, 4))],
    ),
    (
        "z + s(x) + s(x)",
        [("z", ()), ("s(x)_linear", ())],
        [("s(x)", (), (N, 8))],
    ),
    (
        "s(x / 2)",
        [("s(x \N{DIVISION SIGN} 2)_linear", ())],
        [("s(x \N{DIVISION SIGN} 2)", (), (N, 8))],
    ),
]


@pytest.mark.parametrize(("right", "terms", "smooths"), TERMS)
def test_terms(right, terms, smooths, data):
    result = design(f"y ~ {right}", data)
    assert [(t.name, t.labels) for t in result.terms] == terms
    assert [(s.name, s.levels, s.Z.shape) for s in result.smooths] == smooths
    assert result.X.shape == (N, sum(t.width for t in result.terms))


@pytest.mark.parametrize("right", [right for right, _, _ in TERMS])
def test_new_rows_are_those_of_training(right, data):
    result = design(f"y ~ {right}", data)
    some = [3, 3, 17]
    new = new_design(result, data.drop(columns="y").iloc[some])
    np.testing.assert_allclose(new.X, result.X[some], rtol=1e-9, atol=1e-12)
    for ours, trained in zip(new.smooths, result.smooths, strict=True):
        assert (ours.name, ours.levels) == (trained.name, trained.levels)
        np.testing.assert_allclose(ours.Z, trained.Z[some], rtol=1e-9, atol=1e-12)


def grid_of(right, data, points=4001):
    """Penalised columns on a fine grid over the range of the penalty, and the grid."""
    result = design(f"y ~ {right}", data)
    (name,) = parse(f"y ~ {right}").smooths[0].x.names()
    low, high = data[name.name].min(), data[name.name].max()
    if "cc" in right:
        high = low + 12
    grid = np.linspace(low, high, points)
    return new_design(result, pd.DataFrame({name.name: grid})).smooths[0].Z, grid


@pytest.mark.parametrize("right", BASES)
def test_the_penalty_is_the_same_for_all_coefficients(right, data):
    # The integrals of products of second derivatives are a multiple of the identity.
    Z, grid = grid_of(right, data)
    second = CubicSpline(grid, Z, axis=0)(grid, 2)
    gram = simpson(second[:, :, None] * second[:, None, :], x=grid, axis=0)
    np.testing.assert_allclose(gram / gram[0, 0], np.eye(len(gram)), atol=0.01)


@pytest.mark.parametrize("right", BASES)
def test_columns_are_beside_the_line_and_of_unit_size(right, data):
    result = design(f"y ~ {right}", data)
    (Z,) = (s.Z for s in result.smooths)
    assert np.mean(np.sum(Z**2, axis=1)) == pytest.approx(1)
    np.testing.assert_allclose(np.ones(N) @ Z, 0, atol=1e-9)
    np.testing.assert_allclose(result.X.T @ Z, 0, atol=1e-9)
    if result.X.size:
        np.testing.assert_allclose(result.X[:, 0], stats.zscore(data["x"]), atol=1e-10)


def ridge(X, Z, y, penalty):
    """Fitted values of least squares on X and Z, with a penalty for the coefficients of Z."""
    M = np.column_stack([np.ones(len(y)), X, Z])
    free = 1 + X.shape[1]
    D = np.diag(np.r_[np.zeros(free), np.full(Z.shape[1], penalty)])
    return M @ np.linalg.solve(M.T @ M + D, M.T @ y)


def curvature(Z, grid):
    """The integral of the squared second derivative of each column, alike for all."""
    return simpson(CubicSpline(grid, Z, axis=0)(grid, 2)[:, 0] ** 2, x=grid)


def test_with_a_column_a_value_it_is_the_smoothing_spline():
    # The posterior mode given sigma and s(x)_sigma, for the largest k, by SciPy.
    rng = np.random.default_rng(2)
    x = np.sort(rng.uniform(0, 5, 25))
    frame = pd.DataFrame({"x": x, "y": np.cos(2 * x) + rng.normal(0, 0.2, 25)})
    result = design("y ~ s(x, k=25)", frame)
    penalty = 0.3
    ours = ridge(result.X, result.smooths[0].Z, frame["y"], penalty)
    Z, grid = grid_of("s(x, k=25)", frame, 20001)
    spline = make_smoothing_spline(x, frame["y"], lam=penalty / curvature(Z, grid))
    np.testing.assert_allclose(ours, spline(x), atol=1e-4)
    wrong = make_smoothing_spline(x, frame["y"], lam=1.3 * penalty / curvature(Z, grid))
    assert np.abs(ours - wrong(x)).max() > 1e-3


def test_a_cubic_smooth_is_penalised_least_squares(data):
    # By hand: the natural cubic spline through values at the knots, and its penalty.
    x, y, k, penalty = data["x"].to_numpy(), data["y"].to_numpy(), 7, 0.2
    knots = np.quantile(np.unique(x), np.linspace(0, 1, k))
    spline = CubicSpline(knots, np.eye(k), bc_type="natural")
    result = design("y ~ s(x, bs='cr', k=7)", data)
    ours = ridge(result.X, result.smooths[0].Z, y, penalty)
    Z, grid = grid_of("s(x, bs='cr', k=7)", data)
    second = spline(grid, 2)
    S = simpson(second[:, :, None] * second[:, None, :], x=grid, axis=0)
    B = spline(x)
    theirs = B @ np.linalg.solve(B.T @ B + penalty / curvature(Z, grid) * S, B.T @ y)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("basis", ["tp", "cr"])
def test_units_do_not_matter(basis, data):
    one = design(f"y ~ s(x, bs='{basis}')", data)
    other = design(f"y ~ s(x, bs='{basis}')", data.assign(x=1000 - 20 * data["x"]))
    np.testing.assert_allclose(one.X, -other.X, atol=1e-9)
    covariances = [r.smooths[0].Z @ r.smooths[0].Z.T for r in (one, other)]
    np.testing.assert_allclose(*covariances, atol=1e-7)


def test_smooths_of_levels_are_one_smooth_each(data):
    whole = design("y ~ s(x)", data)
    by = design("y ~ s(x, by=f)", data)
    for j, level in enumerate("abc"):
        own = (data["f"] == level).to_numpy()
        np.testing.assert_allclose(by.smooths[0].Z[own, j], whole.smooths[0].Z[own])
        assert not by.smooths[0].Z[~own, j].any()
        np.testing.assert_allclose(by.X[:, j], whole.X[:, 0] * own)


def test_a_number_multiplies_a_smooth(data):
    # As in mgcv, a constant stays in the basis.
    by = design("y ~ s(x, by=z)", data)
    line = np.column_stack([np.ones(N), stats.zscore(data["x"])])
    np.testing.assert_allclose(by.X, line * data[["z"]].to_numpy(), atol=1e-9)
    plain = design("y ~ s(x, by=one)", data.assign(one=np.where(data.index == 0, 1.0001, 1.0)))
    expected = design("y ~ s(x)", data).smooths[0].Z
    np.testing.assert_allclose(
        plain.smooths[0].Z @ plain.smooths[0].Z.T, expected @ expected.T, atol=0.02
    )


@pytest.mark.parametrize(
    ("right", "message"),
    [
        ("s(code)", r"s\(code\): the column has 2 different values, fewer than k=10"),
        ("s(log(x - 5))", r"the term 's\(log\(x - 5\)\)' has no finite value in \d+ of 90 rows"),
        ("x + s(x)", r"predictor 's\(x\)_linear' is a linear combination of 'x'"),
        ("z + s(x, by=z)", r"predictor 's\(x, by=z\)_linear\[1\]' is a linear combination of 'z'"),
    ],
)
def test_bad_columns(right, message, data):
    with pytest.raises(DataError, match=message):
        design(f"y ~ {right}", data)


@pytest.mark.parametrize(
    ("right", "message", "under"),
    [
        ("s(f)", "f is no column of numbers", "f"),
        ("s(C(code))", r"C\(code\) is no column of numbers", "C(code)"),
        ("s(x, by=poly(z, 2))", r"poly\(z, 2\) has several columns", "poly(z, 2)"),
        ("s(x, by=nothing)", "unknown column 'nothing'", "nothing"),
    ],
)
def test_bad_terms(right, message, under, data):
    with pytest.raises(FormulaError, match=message) as caught:
        design(f"y ~ {right}", data)
    assert str(caught.value).split("\n")[2].strip() == "^" * len(under)


def test_a_large_thin_plate_basis_is_refused():
    frame = pd.DataFrame({"x": np.arange(100_000.0), "y": np.zeros(100_000)})
    with pytest.raises(DataError, match=r"takes too much memory\. Write bs='cr'"):
        design("y ~ s(x)", frame)
    assert design("y ~ s(x, bs='cr')", frame).smooths[0].Z.shape == (100_000, 8)


def test_new_rows_of_an_unknown_level(data):
    result = design("y ~ s(x, by=f)", data)
    with pytest.raises(DataError, match="column 'f' has levels that the training rows do not have"):
        new_design(result, data.head(2).assign(f="d"))


def test_a_name_twice(data):
    with pytest.raises(ModelError, match="'s\\(x\\)' has two meanings"):
        hm.model(data.assign(**{"s(x)": data["z"]}), "y ~ s(x) + `s(x)`")


# The model


@pytest.mark.density
@pytest.mark.parametrize("noncentered", [True, False])
def test_density_by_hand(noncentered, data):
    model = hm.model(
        data,
        "count ~ s(z, k=5) + s(x, k=4, by=f)",
        family="poisson",
        priors={
            "Intercept": "normal(0, 1)",
            "common": "normal(0, 2)",
            "smooth_sigma": "exponential(2)",
            "s(x, k=4, by=f)_sigma": "half_normal(3)",
        },
        center=False,
        noncentered=noncentered,
    )
    one, other = model.design.smooths
    rng = np.random.default_rng(1)
    beta, sigma, sigmas = rng.normal(size=5), 0.7, np.array([0.5, 1.0, 2.0])
    b, bs = rng.normal(size=3), rng.normal(size=(3, 2))
    parts = [beta[0], beta[1], beta[2:], sigma, sigmas, b, bs, data["count"].to_numpy()]
    found = model.joint.log_prob([tf.constant(part, tf.float64) for part in parts])
    expected = stats.norm.logpdf(beta, 0, [1, 2, 2, 2, 2]).sum()
    expected += stats.expon.logpdf(sigma, scale=1 / 2) + stats.halfnorm.logpdf(sigmas, 0, 3).sum()
    if noncentered:
        expected += stats.norm.logpdf(b).sum() + stats.norm.logpdf(bs).sum()
        b, bs = sigma * b, sigmas[:, None] * bs
    else:
        expected += stats.norm.logpdf(b, 0, sigma).sum()
        expected += stats.norm.logpdf(bs, 0, sigmas[:, None]).sum()
    eta = np.column_stack([np.ones(N), model.design.X]) @ beta
    eta += one.Z @ b + np.einsum("njk,jk->n", other.Z, bs)
    expected += stats.poisson.logpmf(data["count"], np.exp(eta)).sum()
    assert float(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.density
def test_the_posterior_mode_is_penalised_least_squares(data):
    priors = {
        "Intercept": "normal(0, 1e6)",
        "common": "normal(0, 1e6)",
        "s(x)_sigma": "constant(0.7)",
        "sigma": "constant(0.3)",
    }
    model = hm.model(data, "y ~ s(x)", priors=priors, center=False, noncentered=False)
    X, Z, joint = model.design.X, model.design.smooths[0].Z, model._joint
    M = np.column_stack([np.ones(N), X, Z])

    def steepest(penalty):
        """The largest slope of the log density where that penalised sum of squares is least."""
        D = np.diag(np.r_[0, 0, np.full(8, penalty)])
        at = np.linalg.solve(M.T @ M + D, M.T @ data["y"].to_numpy())
        _, slope = value_and_gradient(joint.log_density, tf.constant(at[None]), joint.arguments)
        return np.abs(slope).max()

    assert steepest(0.3**2 / 0.7**2) < 1e-6
    assert steepest(1.1 * 0.3**2 / 0.7**2) > 1e-2


def test_the_prior_table_does_not_depend_on_units(data):
    one = hm.model(data, "y ~ s(x)").priors
    other = hm.model(data.assign(x=5000 * data["x"] - 3), "y ~ s(x)").priors
    pd.testing.assert_frame_equal(one, other)
    assert one.loc["s(x)_sigma", "class"] == "smooth_sigma"
    rate = float(one.loc["s(x)_sigma", "prior"].removeprefix("exponential(").rstrip(")"))
    assert rate == pytest.approx(1 / data["y"].std(ddof=0), rel=1e-3)


def test_prior_draws_have_the_names_and_sizes_of_the_posterior(data):
    model = hm.model(data, "y ~ f + s(x, by=f)", priors={"smooth_sigma": "constant(2)"})
    prior = hm.model(data, "y ~ f + s(x, by=f)").sample_prior(20).prior
    assert prior["s(x, by=f)"].dims == ("chain", "draw", "s(x, by=f)_by_dim", "s(x, by=f)_dim")
    assert prior["s(x, by=f)_sigma"].dims == ("chain", "draw", "s(x, by=f)_by_dim")
    assert prior["s(x, by=f)_by_dim"].values.tolist() == ["a", "b", "c"]
    drawn = model.sample_prior(2000, seed=1).prior["s(x, by=f)"].to_numpy()[0]
    curves = np.einsum("njk,sjk->sn", model.design.smooths[0].Z, drawn)
    # sigma is the standard deviation of the curves, in the mean over the rows.
    assert np.mean(curves**2) == pytest.approx(2**2, rel=0.05)


def test_equations(data):
    model = hm.model(data, "y ~ s(z, k=5) + s(x, k=4, by=f)")
    lines = str(model.equations()).split("\n")
    assert "mu[i] = Intercept" in lines[1]
    assert lines[1].endswith("+ sum(s(z, k=5) * basis[i]) + sum(s(x, k=4, by=f) * basis[i])")
    assert lines[2].strip() == "s(z, k=5)[k] ~ normal(0, s(z, k=5)_sigma)   for k = 1..3"
    expected = "s(x, k=4, by=f)[j, k] ~ normal(0, s(x, k=4, by=f)_sigma[j])"
    assert lines[3].strip() == expected + "   for j = 1..3, k = 1..2"
    assert (
        r"b^{\text{s(z, k=5)}}_{k} &\sim \operatorname{Normal}(0, \sigma_{\text{s(z, k=5)}})"
        in (model.equations()._repr_latex_())
    )


def test_smooths_of_other_parameters(data):
    result = designs("y ~ s(x)", {"sigma": "~ s(x, k=4)"}, data)
    assert [s.name for s in result.parameters["sigma"].smooths] == ["sigma_s(x, k=4)"]
    model = hm.model(data, hm.formula("y ~ s(x)", sigma="~ s(x, k=4)"))
    assert model.priors.loc["sigma_s(x, k=4)_sigma", "class"] == "sigma_smooth_sigma"
    assert "sigma_s(x, k=4)" in model.sample_prior(3).prior
    new = new_design(result, data.head(4))
    assert new.parameters["sigma"].smooths[0].Z.shape == (4, 2)


@pytest.mark.density
def test_laplace_beside_a_smooth(data):
    model = hm.model(data, "count ~ s(x, k=4) + (1 | g)", family="poisson")
    plan = model.plan(approximate="laplace")
    assert {p.identifier for p in plan.joint.parts} - {p.identifier for p in plan.parts} == {"z_g"}
    # Without group effects the approximation is the density itself.
    position = np.random.default_rng(0).normal(0, 0.3, (1, plan.dimensions))
    at = [p.identifier for p in plan.parts for _ in range(p.size)].index("sigma_g")
    position[0, at] = -12
    whole = np.zeros((1, plan.joint.dimensions))
    whole[:, plan._kept] = position
    exact = plan.joint.log_density(tf.constant(whole), plan.joint.arguments)
    exact += 9 / 2 * np.log(2 * np.pi)  # the density of nine standardised effects at zero
    found = plan.log_density(tf.constant(position), plan.arguments)
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_forms_are_chosen_by_the_data(data):
    sure = hm.model(data, "y ~ s(x)").specification.smooths[0]
    unsure = hm.model(data, "y ~ s(z)").specification.smooths[0]
    assert (sure.noncentered, unsure.noncentered) == (False, True)
    given = hm.model(data, "y ~ s(x)", noncentered={"s(x)": True}).specification.smooths[0]
    assert given.noncentered


def test_population_values_have_the_mean_of_the_smooths(data):
    model = hm.model(data, "y ~ z + s(x, by=f) + (1 | g)")
    prior, s = model.sample_prior(4).prior, model.specification
    eta = rows.by_row(model._joint, prior, lambda data, eta, p: eta)
    alone = eta - prior["1|g"].to_numpy()[..., model.design.groups[0].index]
    found = _population(s, s.groups[0], prior)
    np.testing.assert_allclose(found[..., 0], alone.mean(-1), rtol=1e-10)


# What it finds


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 10, 300)
    f = rng.choice(["a", "b"], 300)
    frame = pd.DataFrame({"x": x, "f": f, "truth": np.where(f == "a", np.sin(x), 0.2 * x)})
    return frame.assign(y=frame["truth"] + rng.normal(0, 0.5, 300))


@pytest.fixture(scope="module")
def fit(waves, fit_cache):
    name = "waves"
    if name not in fit_cache:
        fit_cache[name] = hm.fit(waves, "y ~ f + s(x, by=f)", seed=1, progress=False)
    return fit_cache[name]


def test_recovery(fit, waves):
    joint = fit.model._joint
    fitted = rows.fitted(joint, fit.idata.posterior)
    mean, sd = fitted.mean((0, 1)), fitted.std((0, 1))
    z = (mean - waves["truth"]) / sd
    assert np.sqrt(np.mean(z**2)) < 1.5
    assert np.sqrt(np.mean((mean - waves["truth"]) ** 2)) < 0.15  # of a signal of size 0.8
    sigma = fit.idata.posterior["s(x, by=f)_sigma"].mean(("chain", "draw"))
    assert float(sigma[0]) > 5 * float(sigma[1])  # a wave and a straight line
    noise = fit.idata.posterior["sigma"]
    assert float(abs(noise.mean() - 0.5)) < 4 * float(noise.std())


def test_new_rows_of_a_fit(fit, waves):
    joint, posterior = fit.model._joint, fit.idata.posterior
    design = new_design(fit.model.design, waves.head(7))
    new = rows.by_row(joint, posterior, lambda data, eta, p: eta, design)
    old = rows.by_row(joint, posterior, lambda data, eta, p: eta)
    np.testing.assert_allclose(new, old[..., :7], rtol=1e-8, atol=1e-10)


def test_log_likelihood_and_drawn_responses(fit, waves):
    joint, posterior = fit.model._joint, fit.idata.posterior
    found = rows.log_likelihood(joint, posterior)[0, 5]
    eta = rows.by_row(joint, posterior, lambda data, eta, p: eta)[0, 5]
    sigma = float(posterior["sigma"][0, 5])
    np.testing.assert_allclose(found, stats.norm.logpdf(waves["y"], eta, sigma), rtol=1e-10)
    drawn = rows.predictive(joint, posterior, seed=1)
    assert np.std(drawn - rows.fitted(joint, posterior)) == pytest.approx(0.5, rel=0.1)


def test_the_printed_fit(fit):
    text = str(fit)
    assert "smooths    s(x, by=f) (16 coefficients, non-centred)" in text
    assert "s(x, by=f)_sigma[a]" in text
    assert "s(x, by=f)[a, 0]" not in text  # coefficients, like effects of levels, are not shown
    assert "s(x, by=f)[a, 0]" in fit.summary().index
