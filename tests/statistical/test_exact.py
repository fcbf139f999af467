"""Whole fits of models whose posteriors are known exactly."""

import arviz as az
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import logsumexp

import hiermod as hm
from hiermod import api
from hiermod.models import program

pytestmark = pytest.mark.statistical


def agrees(draws, mean, sd):
    """Enough effective draws, then mean and sd within five Monte Carlo standard errors."""
    draws = np.asarray(draws)
    assert az.ess(draws, method="bulk") > 1000
    assert abs(draws.mean() - mean) < 5 * az.mcse(draws, method="mean")
    assert abs(draws.std(ddof=1) - sd) < 5 * az.mcse(draws, method="sd")


def correlation_agrees(first, second, exact, moments):
    """The same for a correlation: the mean of the product of two standardised variables."""
    (m1, s1), (m2, s2) = moments
    product = (np.asarray(first) - m1) / s1 * (np.asarray(second) - m2) / s2
    assert abs(product.mean() - exact) < 5 * az.mcse(product, method="mean")


def fitted(fit_cache, name, *arguments, **options):
    if name not in fit_cache:
        fit_cache[name] = hm.fit(*arguments, **{"seed": 1, "progress": False} | options)
    return fit_cache[name]


# --- one parameter ------------------------------------------------------------------------------

COUNTS = pd.DataFrame({"y": [3, 7, 2, 5, 4, 9], "n": [10, 12, 8, 9, 9, 15]})


def by_quadrature(log_density, low, high):
    """Mean and sd of a density on an interval."""
    x = np.linspace(low, high, 20_001)
    weight = np.exp(log_density(x) - log_density(x).max())
    weight /= weight.sum()
    mean = weight @ x
    return mean, np.sqrt(weight @ (x - mean) ** 2)


def poisson_intercept(a):
    y = COUNTS["y"].to_numpy()
    return stats.norm.logpdf(a, 3, 0.5) + stats.poisson.logpmf(y, np.exp(a)[:, None]).sum(1)


def probit_intercept(a):
    y, n = COUNTS["y"].to_numpy(), COUNTS["n"].to_numpy()
    p = stats.norm.cdf(a)[:, None]
    return stats.t.logpdf(a, 3, 0, 1) + stats.binom.logpmf(y, n, p).sum(1)


def cut_poisson_intercept(a):
    """The same with a uniform prior whose lower end cuts the posterior off."""
    y = COUNTS["y"].to_numpy()
    inside = np.where((a > 1.6) & (a < 4), 0.0, -np.inf)
    return inside + stats.poisson.logpmf(y, np.exp(a)[:, None]).sum(1)


def gamma_poisson_intercept(a):
    """A positive prior on an intercept."""
    y = COUNTS["y"].to_numpy()
    return stats.gamma.logpdf(a, 2, scale=2) + stats.poisson.logpmf(y, np.exp(a)[:, None]).sum(1)


def beta_cloglog_intercept(a):
    """A prior on (0, 1), far from where the data put the intercept."""
    y, n = COUNTS["y"].to_numpy(), COUNTS["n"].to_numpy()
    p = -np.expm1(-np.exp(a))[:, None]
    return stats.beta.logpdf(a, 2, 3) + stats.binom.logpmf(y, n, p).sum(1)


ONE = {
    # formula, family, link, prior, exact mean and sd
    "poisson": (
        "y ~ 1", "poisson", "log", "normal(3, 0.5)", by_quadrature(poisson_intercept, -1, 5),
    ),
    "probit": (
        "prop(y, n) ~ 1", "binomial", "probit", "student_t(3, 0, 1)",
        by_quadrature(probit_intercept, -4, 4),
    ),
    "uniform prior": (
        "y ~ 1", "poisson", "log", "uniform(1.6, 4)", by_quadrature(cut_poisson_intercept, 1.6, 4),
    ),
    "beta prior": (
        "prop(y, n) ~ 1", "binomial", "cloglog", "beta(2, 3)",
        by_quadrature(beta_cloglog_intercept, 0, 1),
    ),
    "gamma prior": (
        "y ~ 1", "poisson", "log", "gamma(2, 0.5)",
        by_quadrature(gamma_poisson_intercept, 0, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE)
def test_one_parameter(name):
    formula, family, link, prior, (mean, sd) = ONE[name]
    fit = hm.fit(
        COUNTS, formula, family=family, link=link, priors={"Intercept": prior}, draws=2000,
        seed=4, progress=False,
    )  # fmt: skip
    agrees(fit.posterior["Intercept"], mean, sd)


# --- gaussian models: exact given the scale parameters, quadrature over those -------------------


def exact(A, y, prior_mean, prior_sd, sigma, log_prior):
    """Moments of a linear model y ~ normal(A b, sigma), b ~ normal(prior_mean, prior_sd).

    `prior_sd` (G, P), `sigma` and `log_prior` (G,) are given on a grid of G points of equal
    weight; `log_prior` includes the Jacobian of the grid.

    Returns the mean and covariance of (b, functions of the grid) as weights and conditionals.
    """
    precision = np.einsum("np,nq->pq", A, A) / sigma[:, None, None] ** 2
    precision = precision + np.eye(A.shape[1]) / prior_sd[:, :, None] ** 2
    right = A.T @ y / sigma[:, None] ** 2 + prior_mean / prior_sd**2
    covariance = np.linalg.inv(precision)
    mean = np.einsum("gpq,gq->gp", covariance, right)
    log_evidence = (
        log_prior
        - len(y) * np.log(sigma)
        - 0.5 * (y @ y) / sigma**2
        - np.log(prior_sd).sum(1)
        - 0.5 * (prior_mean**2 / prior_sd**2).sum(1)
        + 0.5 * np.linalg.slogdet(covariance)[1]
        + 0.5 * np.einsum("gp,gp->g", right, mean)
    )
    weight = np.exp(log_evidence - logsumexp(log_evidence))
    total = weight @ mean
    spread = np.einsum("g,gpq->pq", weight, covariance)
    spread += np.einsum("g,gp,gq->pq", weight, mean - total, mean - total)
    return weight, total, spread


def moments(weight, x):
    mean = weight @ x
    return mean, np.sqrt(weight @ (x - mean) ** 2)


LINE = pd.DataFrame(
    {
        "x": [4.0, 5.0, 5.5, 6.0, 7.0, 8.0, 8.5, 9.0],
        "y": [2.1, 3.9, 3.2, 5.0, 4.7, 7.2, 6.1, 8.3],
    }
)


@pytest.mark.parametrize("center", [True, False])
def test_a_regression(center):
    """Intercept, slope and sigma; the prior of the intercept is at the mean of x, or at x = 0."""
    fit = hm.fit(
        LINE,
        "y ~ x",
        priors={"Intercept": "normal(1, 3)", "x": "normal(0.5, 1)", "sigma": "exponential(1)"},
        center=center,
        draws=3000,
        seed=2,
        progress=False,
    )
    middle = LINE["x"].mean() if center else 0.0
    A = np.column_stack([np.ones(len(LINE)), LINE["x"] - middle])
    t = np.linspace(np.log(0.05), np.log(20), 4001)
    sigma = np.exp(t)
    weight, mean, covariance = exact(
        A,
        LINE["y"].to_numpy(),
        np.array([1.0, 0.5]),
        np.broadcast_to([3.0, 1.0], (len(t), 2)),
        sigma,
        stats.expon.logpdf(sigma) + t,
    )
    # Back to x = 0.
    back = np.array([[1, -middle], [0, 1]])
    mean, covariance = back @ mean, back @ covariance @ back.T
    sd = np.sqrt(np.diag(covariance))
    p = fit.posterior
    agrees(p["Intercept"], mean[0], sd[0])
    agrees(p["x"], mean[1], sd[1])
    agrees(p["sigma"], *moments(weight, sigma))
    correlation_agrees(
        p["Intercept"], p["x"], covariance[0, 1] / sd.prod(), list(zip(mean, sd, strict=True))
    )


def schools(spread):
    generator = np.random.default_rng(12)
    index = np.repeat(np.arange(5), [2, 3, 6, 8, 4])
    levels = generator.normal(0, spread, 5)
    return pd.DataFrame({"g": index, "y": 3 + levels[index] + generator.normal(0, 1, len(index))})


@pytest.mark.parametrize(("noncentered", "spread"), [(True, 1.2), (False, 4.0)])
def test_a_one_way_layout(noncentered, spread):
    """Mean, deviations of the levels, both standard deviations: quadrature in two dimensions.

    The centred form is exact only where no variation is implausible; it is not chosen elsewhere.
    """
    frame = schools(spread)
    assert hm.model(frame, "y ~ (1 | g)")._joint.specification.groups[0].noncentered == noncentered
    fit = hm.fit(
        frame,
        "y ~ (1 | g)",
        priors={
            "Intercept": "normal(0, 5)",
            "1|g_sigma": "normal(0, 2)",
            "sigma": "exponential(1)",
        },
        target_accept=0.95,
        draws=8000,
        seed=3,
        progress=False,
    )
    A = np.column_stack([np.ones(len(frame)), np.eye(5)[frame["g"]]])
    s, t = (
        v.ravel()
        for v in np.meshgrid(np.linspace(-1.6, 1.6, 161), np.linspace(-12, 3.5, 401), indexing="ij")
    )
    sigma, tau = np.exp(s), np.exp(t)
    prior_sd = np.column_stack([np.full(len(s), 5.0), np.repeat(tau[:, None], 5, axis=1)])
    weight, mean, covariance = exact(
        A,
        frame["y"].to_numpy(),
        np.zeros(6),
        prior_sd,
        sigma,
        stats.expon.logpdf(sigma) + s + stats.halfnorm.logpdf(tau, scale=2) + t,
    )
    sd = np.sqrt(np.diag(covariance))
    p = fit.posterior
    agrees(p["sigma"], *moments(weight, sigma))
    agrees(p["1|g_sigma"], *moments(weight, tau))
    agrees(p["Intercept"], mean[0], sd[0])
    for j in range(5):
        u = p["1|g"].sel(g__factor_dim=j)
        agrees(u, mean[1 + j], sd[1 + j])
        correlation_agrees(
            p["Intercept"], u, covariance[0, 1 + j] / (sd[0] * sd[1 + j]),
            [(mean[0], sd[0]), (mean[1 + j], sd[1 + j])],
        )  # fmt: skip


def test_the_prior_of_a_correlation_is_sampled_as_it_is():
    """Two observations say next to nothing: the correlation keeps its LKJ(2) margin, a beta."""
    frame = pd.DataFrame(
        {"g": [0, 0, 1, 1, 2, 2], "x": [0.0, 1.0] * 3, "y": [0.0, 1.0, -1.0, 0.0, 1.0, 0.0]}
    )
    fit = hm.fit(
        frame, "y ~ x + (1 + x | g)", priors={"sigma": "normal(10000, 1)", "g_cor": "lkj(2)"},
        draws=2000, seed=5, progress=False,
    )  # fmt: skip
    rho = fit.posterior["g_cor"][..., 0, 1]
    agrees(rho, 0.0, stats.beta(2, 2, loc=-1, scale=2).std())
    agrees(fit.posterior["sigma"], 10_000, 1.0)


# --- a fit as a user sees it --------------------------------------------------------------------


@pytest.fixture(scope="module")
def frogs():
    return hm.load_data("reedfrogs").assign(tank=lambda d: d.index)


def test_frogs_with_default_settings(fit_cache, frogs):
    """R-hat itself is noisy: the worst of 50 may pass 1.01 in one fit of many, so five are run."""
    worst = []
    for seed in range(1, 6):
        fit = fitted(
            fit_cache,
            f"frogs {seed}",
            frogs,
            "prop(surv, density) ~ 1 + (1 | tank)",
            family="binomial",
            seed=seed,
        )
        assert dict(fit.posterior.sizes) == {"chain": 4, "draw": 1000, "tank__factor_dim": 48}
        table = fit.summary()
        assert len(table) == 50
        assert (table["ess_bulk"] > 1000).all()
        assert (table["ess_tail"] > 1000).all()
        assert fit.check().figures["divergences"] == 0
        worst.append(table["r_hat"].max())
    assert max(worst) < 1.015
    assert sorted(worst)[-2] < 1.01


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_the_response_does_not_matter(unit):
    frame = schools(1.2).assign(y=lambda d: d["y"] * unit)
    fit = hm.fit(frame, "y ~ (1 | g)", seed=1, target_accept=0.95, progress=False)
    assert (fit.summary()["ess_bulk"] > 400).all()
    assert float(fit.idata["sample_stats"]["n_steps"].mean()) < 60


def test_the_seed_decides():
    def draws(seed):
        fit = hm.fit(
            COUNTS, "y ~ 1", family="poisson", warmup=100, draws=50, seed=seed, progress=False
        )
        return fit.posterior["Intercept"].to_numpy(), fit.posterior.attrs["seed"]

    first, again, other, free = draws(7), draws(7), draws(8), draws(None)
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.isclose(first[0], other[0]).any()
    assert (first[1], other[1]) == (7, 8)
    np.testing.assert_array_equal(draws(int(free[1]))[0], free[0])  # a new seed is recorded


def test_new_data_of_the_same_shape_trace_nothing(monkeypatch):
    frame = pd.DataFrame({"y": [1.0, 3.0, 2.0, 5.0, 4.0, 6.0], "g": list("aabbcc")})
    source = program.source(hm.model(frame, "y ~ (1 | g)").specification)
    functions, traces = program.functions(source), 0
    build = functions.joint_distribution

    def counting(*arguments):
        nonlocal traces
        traces += not tf.executing_eagerly()
        return build(*arguments)

    monkeypatch.setattr(functions, "joint_distribution", counting)

    def go(data, **options):
        settings = {"seed": 1, "warmup": 50, "draws": 30, "progress": False} | options
        return hm.fit(data, "y ~ (1 | g)", **settings)

    go(frame)
    first = traces
    assert 1 <= first <= 3
    go(frame, seed=2, draws=80, warmup=120)
    go(frame.assign(y=frame["y"] * 3 + 100))  # other numbers, other default priors
    go(frame.assign(y=frame["y"][::-1].to_numpy()), priors={"Intercept": "normal(2, 9)"})
    assert traces == first
    go(frame.iloc[:5])  # rows are summed up: other levels, not other rows, are new shapes
    assert traces == first
    go(frame, shortcuts=False)
    first = traces
    go(frame.iloc[:5], shortcuts=False)
    assert traces > first


def test_an_interrupted_fit_says_so(monkeypatch):
    plain = api.inference.Bar.__call__

    def press(bar, progress):
        plain(bar, progress)
        if progress.phase == "draws" and progress.done >= 200:
            raise KeyboardInterrupt

    monkeypatch.setattr(api.inference.Bar, "__call__", press)
    fit = hm.fit(COUNTS, "y ~ 1", family="poisson", warmup=100, draws=1000, seed=1)
    kept = fit.posterior.sizes["draw"]
    assert 50 <= kept <= 100
    assert fit.posterior.attrs["interrupted"] == 1
    assert "(interrupted)" in repr(fit)
