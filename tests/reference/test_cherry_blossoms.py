"""B-splines of the book, m4.7, against the posterior by numerical integration."""

import arviz as az
import numpy as np
import pytest
from scipy import stats
from scipy.interpolate import BSpline

import hiermod as hm

pytestmark = pytest.mark.reference


def exact(M, y, location, scale):
    """Means and standard deviations of the coefficients and of sigma.

    Given sigma the coefficients are normal; sigma, exponential(1) a priori, is on a grid, which is
    fine enough that half of it gives the same to six digits.
    """
    grid = np.linspace(4, 9, 2001)
    prior = np.diag(scale**-2.0)
    log_weights, means, variances = [], [], []
    for sigma in grid:
        precision = prior + M.T @ M / sigma**2
        covariance = np.linalg.inv(precision)
        mean = covariance @ (prior @ location + M.T @ y / sigma**2)
        # p(y | sigma) = p(y | mean, sigma) p(mean) / p(mean | y, sigma)
        log_weights.append(
            stats.norm.logpdf(y, M @ mean, sigma).sum()
            + stats.norm.logpdf(mean, location, scale).sum()
            + 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
            + stats.expon.logpdf(sigma)
        )
        means.append(mean)
        variances.append(np.diag(covariance))
    weights = np.exp(np.array(log_weights) - max(log_weights))
    weights /= weights.sum()
    assert max(weights[0], weights[-1]) < 1e-12
    means = np.array(means)
    mean = weights @ means
    sd = np.sqrt(weights @ (np.array(variances) + (means - mean) ** 2))
    return np.r_[mean, weights @ grid], np.r_[
        sd, np.sqrt(weights @ grid**2 - (weights @ grid) ** 2)
    ]


@pytest.fixture(scope="module")
def blossoms():
    return hm.load_data("cherry_blossoms").dropna(subset="doy")


@pytest.mark.parametrize("shortcuts", [True, False])
def test_m4_7(blossoms, shortcuts):
    year, day = blossoms["year"].to_numpy(float), blossoms["doy"].to_numpy(float)
    knots = np.quantile(year, np.linspace(0, 1, 15))  # the ends among them, as in the book
    B = BSpline.design_matrix(year, np.r_[[knots[0]] * 3, knots, [knots[-1]] * 3], 3).toarray()
    M = np.column_stack([np.ones(len(day)), B])
    mean, sd = exact(M, day, np.r_[100.0, np.zeros(17)], np.full(18, 10.0))
    term = "bs(year, df=17, center=False)"
    fit = hm.fit(
        blossoms,
        f"doy ~ 1 + {term}",
        priors={"Intercept": "normal(100, 10)", term: "normal(0, 10)", "sigma": "exponential(1)"},
        center=False,
        shortcuts=shortcuts,
        draws=2000,
        seed=4,
        progress=False,
    )
    posterior = fit.idata.posterior
    found = [
        posterior["Intercept"],
        *posterior[term].transpose(f"{term}_dim", ...),
        posterior["sigma"],
    ]
    for draws, wanted_mean, wanted_sd in zip(found, mean, sd, strict=True):
        draws = draws.to_numpy()
        assert abs(draws.mean() - wanted_mean) < 5 * float(az.mcse(draws, method="mean"))
        assert abs(draws.std() - wanted_sd) < 5 * float(az.mcse(draws, method="sd"))
