"""Densities of the rows against SciPy: every family with every link it allows."""

import dataclasses
import itertools
import math
import pickle

import mpmath
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

import hiermod as hm
from hiermod.models import checks, families, links, program
from hiermod.models.checks import check
from hiermod.models.families import FAMILIES
from hiermod.models.links import LINKS, link

pytestmark = pytest.mark.density

OWN = hm.Family(  # of a user
    "power_exponential",
    likelihood="tfd.GeneralizedNormal(loc={mean}, scale=sigma, power=power)",
    links=("identity", "log"),
    parameters={
        "sigma": hm.FamilyParameter("exponential({per_sd})"),
        "power": hm.FamilyParameter("gamma(4, 2)", typical=2.0),
    },
)
NEW = hm.Family(  # an entry and nothing else: see `rows_of` and `reference`
    "logistic",
    likelihood="tfd.Logistic(loc={mean}, scale=sigma)",
    links=("identity", "log"),
    parameters={"sigma": hm.FamilyParameter("exponential({per_sd})")},
)
NUMBERS = {
    name: family for name, family in FAMILIES.items() if not (family.categories or family.single)
}
"""Those of categories and of several columns are in test_ordinal and test_nominal."""
ALL = {**NUMBERS, OWN.name: OWN, NEW.name: NEW}

CASES = [(family, name) for family in ALL.values() for name in family.links]
IDS = [f"{family.name}-{name}" for family, name in CASES]
# Every family with its default link, and every link once: what is dear, compiling and drawing.
ONCE = {name: family.name for family in reversed(ALL.values()) for name in family.links}
FEW = [c for c in CASES if c[1] == c[0].links[0] or ONCE[c[1]] == c[0].name]
FEW_IDS = [f"{family.name}-{name}" for family, name in FEW]

# What the mean of a family is, and for each link a grid of the linear predictor that reaches the
# ends of what float64 can say about such a mean.
SPACE = {
    name: "probability"
    if not family.location
    else "circle"
    if family.links == ("tan_half",)
    else "positive"
    if family.links[0] == "log"
    else "real"
    for name, family in ALL.items()
}
ETA = {
    ("real", "identity"): [-1e8, -3.0, 0.0, 0.5, 40.0, 1e8],
    ("real", "log"): [-300.0, -5.0, 0.0, 0.5, 3.0, 20.0],
    ("probability", "identity"): [1e-300, 1e-10, 0.1, 0.5, 0.9, 1 - 1e-10],
    ("probability", "log"): [-700.0, -40.0, -10.0, -1.0, -1e-3, -1e-8, -1e-16],
    ("probability", "logit"): [-700.0, -40.0, -10.0, -1.0, -1e-8, 0.0, 0.5, 3.0, 10.0, 40.0, 700.0],
    ("probability", "probit"): [-37.0, -10.0, -5.0, -1.0, 0.0, 1.0, 5.0, 8.0, 10.0, 37.0],
    ("probability", "cloglog"): [-700.0, -40.0, -10.0, -1.0, 0.0, 1.0, 3.0, 6.0],
    ("positive", "log"): [-700.0, -30.0, -1.0, 0.0, 2.0, 9.2, 20.0, 700.0],
    ("probability", "probit_approx"): [-8.0, -3.0, -1.0, 0.0, 0.5, 3.0, 8.0],
    ("probability", "cauchit"): [-1e8, -300.0, -2.0, 0.0, 0.5, 3.0, 1e6],
    ("positive", "softplus"): [-700.0, -40.0, -39.9, -1.0, 0.0, 2.0, 50.0, 1e6],
    ("positive", "squareplus"): [-1e6, -50.0, -1.0, 0.0, 2.0, 50.0, 1e6],
    ("positive", "inverse"): [1e-300, 1e-10, 0.1, 1.0, 30.0, 1e9, 1e300],
    ("positive", "1/mu^2"): [1e-100, 1e-10, 0.1, 1.0, 30.0, 1e9, 1e100],
    ("positive", "sqrt"): [-1e4, -2.0, 1e-100, 1e-3, 0.5, 1.0, 30.0, 1e4],
    ("positive", "logm1"): [-700.0, -30.0, -1.0, 0.0, 2.0, 20.0, 700.0],
    ("real", "inverse"): [-1e8, -3.0, -0.02, 0.5, 40.0, 1e8],
    ("circle", "tan_half"): [-1e6, -3.0, -0.5, 0.0, 1.0, 40.0, 1e6],
}
# Where the density itself leaves what float64 holds, or its parts cancel in the reference too.
NARROWER = {
    "gamma": (1e-130, 1e130),
    "exponential": (1e-130, 1e130),
    "inverse_gaussian": (1e-60, 1e60),
    "weibull": (1e-3, 1e3),
    "lognormal": (-300.0, 300.0),
    "shifted_lognormal": (-300.0, 300.0),
    "hurdle_lognormal": (-300.0, 300.0),
    "hurdle_gamma": (1e-130, 1e130),
    "beta": (1e-12, 1 - 1e-12),
    "zero_inflated_beta": (1e-12, 1 - 1e-12),
    "hurdle_poisson": (1e-12, 1e8),
    "hurdle_negbinomial": (1e-12, 1e8),
    "exgaussian": (-50.0, 50.0),
    "skew_normal": (-1e3, 1e3),
    "gumbel": (-50.0, 50.0),
    "gev": (-50.0, 50.0),
    "wiener": (-50.0, 50.0),
    "zero_one_inflated_beta": (1e-12, 1 - 1e-12),
    "com_poisson": (1e-12, 1e4),
    "power_exponential": (-50.0, 50.0),
}


def etas(family, name):
    """Linear predictors that reach the ends of what the family can say."""
    grid = np.array(ETA[SPACE[family.name], name])
    low, high = NARROWER.get(family.name, (-np.inf, np.inf))
    with np.errstate(all="ignore"):
        mean = MEAN[name](grid)[0]
    return grid[(mean >= low) & (mean <= high)]


def identity(eta):
    with np.errstate(invalid="ignore", divide="ignore"):
        return eta, np.log(eta), np.log1p(-eta)


def log(eta):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.exp(eta), eta, np.log(-np.expm1(eta))


def cloglog(eta):
    return -np.expm1(-np.exp(eta)), np.log(-np.expm1(-np.exp(eta))), -np.exp(eta)


# Mean, its logarithm, and the logarithm of one minus it.
MEAN = {
    "identity": identity,
    "log": log,
    "logit": lambda e: (special.expit(e), special.log_expit(e), special.log_expit(-e)),
    "probit": lambda e: (special.ndtr(e), special.log_ndtr(e), special.log_ndtr(-e)),
    "cloglog": cloglog,
    "probit_approx": lambda e: MEAN["logit"](0.07056 * e**3 + 1.5976 * e),
    "cauchit": lambda e: (
        np.arctan2(1, -e) / np.pi,
        np.log(np.arctan2(1, -e) / np.pi),
        np.log(np.arctan2(1, e) / np.pi),
    ),
    "softplus": lambda e: (
        np.logaddexp(0, e),
        np.where(e < -40, e, np.log(np.logaddexp(0, np.maximum(e, -40)))),
        None,
    ),
    "squareplus": lambda e: (np.exp(np.arcsinh(e / 2)), np.arcsinh(e / 2), None),
    "inverse": lambda e: (1 / e, -np.log(np.abs(e)), None),
    "1/mu^2": lambda e: (1 / np.sqrt(e), -np.log(e) / 2, None),
    "sqrt": lambda e: (e * e, 2 * np.log(np.abs(e)), None),
    "logm1": lambda e: (1 + np.exp(e), np.logaddexp(0, e), None),
    "tan_half": lambda e: (2 * np.arctan(e), None, None),
}

# Responses with trials and parameters beside the mean; edges of the support and large counts.
# Beyond 1e4 or so a count density is a small difference of terms that float64 does not hold to
# 1e-10, in SciPy as in TFP.
SUCCESSES = (
    *((0, 0), (0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (0, 1000), (500, 1000)),
    *((1000, 1000), (1, 10_000), (5000, 10_000), (9999, 10_000)),
)


def product(**values):
    """Rows of all combinations; `successes` are pairs of y and trials."""
    rows = [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    for row in rows:
        if "successes" in row:
            row["y"], row["trials"] = map(float, row.pop("successes"))
    return rows


ROWS = {
    "gaussian": [
        {"y": y, "sigma": s} for y in (-1e8, -3.0, 0.0, 0.5, 1e3) for s in (1e-3, 1.0, 50.0)
    ],
    "bernoulli": [{"y": 0.0}, {"y": 1.0}],
    "binomial": product(successes=SUCCESSES),
    "poisson": [{"y": y} for y in (0.0, 1.0, 7.0, 150.0, 1e4)],
    "geometric": [{"y": y} for y in (0.0, 1.0, 7.0, 150.0, 1e4)],
    "student": product(y=(-1e3, 0.0, 0.5, 40.0), sigma=(1e-3, 1.0, 50.0), nu=(0.5, 3.0, 1e4)),
    "skew_normal": product(
        y=(-3.0, 0.0, 2.0), sigma=(0.1, 1.0, 50.0), alpha=(-1e3, -2.0, 0.0, 5.0)
    ),
    "laplace": product(y=(-1e3, 0.0, 0.4, 40.0), sigma=(1e-3, 1.0, 50.0)),
    "asym_laplace": product(
        y=(-1e3, 0.0, 0.4, 40.0), sigma=(1e-3, 1.0, 50.0), quantile=(1e-6, 0.1, 0.5, 0.99)
    ),
    "gumbel": product(y=(-3.0, 0.0, 0.4, 40.0), sigma=(0.5, 1.0, 50.0)),
    "gev": product(
        y=(-1.0, 0.0, 0.4, 40.0),
        sigma=(0.5, 1.0, 50.0),
        xi=(-0.4, -1e-6, -1e-17, 0.0, 1e-9, 1e-3, 0.2, 1.5),
    ),
    "exgaussian": product(
        y=(-5.0, 0.0, 3.0, 40.0), sigma=(0.5, 1.0, 9.0), beta=(1e-2, 0.3, 1.0, 50.0)
    ),
    "wiener": product(
        y=(-1.3, -0.21, 0.3, 0.9, 5.0),
        bs=(0.3, 1.0, 3.0),
        ndt=(1e-6, 0.2),
        bias=(1e-6, 0.3, 0.5, 0.999),
    ),
    "von_mises": product(y=(-np.pi, -1.0, 0.0, 2.0, np.pi), kappa=(1e-8, 0.5, 10.0, 1e4)),
    "lognormal": product(y=(1e-8, 0.5, 1.0, 1e6), sigma=(1e-2, 1.0, 20.0)),
    "shifted_lognormal": product(y=(0.5, 1.0, 1e6), sigma=(1e-2, 1.0, 20.0), ndt=(1e-6, 0.2)),
    "gamma": product(y=(1e-8, 0.5, 1.0, 1e6), shape=(1e-4, 0.5, 1.0, 30.0, 1e3)),
    "weibull": product(y=(1e-4, 0.5, 1.0, 100.0), shape=(0.1, 0.5, 1.0, 6.0)),
    "exponential": product(y=(0.0, 1e-8, 0.5, 1.0, 1e6)),
    "inverse_gaussian": product(y=(1e-3, 0.5, 1.0, 1e3), shape=(1e-4, 0.5, 1.0, 1e6)),
    "beta": product(y=(1e-8, 0.2, 0.5, 1 - 1e-8), phi=(1e-2, 0.5, 2.0, 100.0, 1e4)),
    "beta_binomial": product(successes=SUCCESSES, phi=(1e-2, 1.0, 100.0, 1e8)),
    "negbinomial": product(y=(0.0, 1.0, 7.0, 150.0, 1e4), shape=(1e-4, 0.5, 1.0, 30.0, 1e10)),
    "zero_inflated_poisson": product(y=(0.0, 1.0, 150.0), zi=(1e-12, 0.3, 1 - 1e-12)),
    "zero_inflated_negbinomial": product(y=(0.0, 1.0, 150.0), shape=(0.5, 30.0), zi=(1e-12, 0.3)),
    "zero_inflated_binomial": product(successes=SUCCESSES, zi=(1e-12, 0.3, 1 - 1e-12)),
    "zero_inflated_beta_binomial": product(successes=SUCCESSES, phi=(1.0, 100.0), zi=(1e-12, 0.3)),
    "zero_inflated_beta": product(y=(0.0, 1e-8, 0.5), phi=(0.5, 2.0, 100.0), zi=(1e-12, 0.3)),
    "zero_one_inflated_beta": product(
        y=(0.0, 1e-8, 0.5, 1.0), phi=(0.5, 2.0, 100.0), zoi=(1e-12, 0.3), coi=(1e-12, 0.4)
    ),
    "com_poisson": product(y=(0.0, 1.0, 7.0, 150.0), shape=(0.2, 0.7, 1.0, 2.5, 12.0)),
    "hurdle_poisson": product(y=(0.0, 1.0, 150.0), hu=(1e-12, 0.3, 1 - 1e-12)),
    "hurdle_negbinomial": product(y=(0.0, 1.0, 150.0), shape=(0.5, 30.0), hu=(1e-12, 0.3)),
    "hurdle_gamma": product(y=(0.0, 0.5, 1e6), shape=(0.5, 30.0), hu=(1e-12, 0.3)),
    "hurdle_lognormal": product(y=(0.0, 0.5, 1e6), sigma=(1e-2, 1.0), hu=(1e-12, 0.3)),
    OWN.name: product(y=(-30.0, 0.4, 12.0), sigma=(0.1, 1.0, 50.0), power=(1.3, 2.0, 5.0)),
}


def log_choose(n, k):
    return np.array([math.log(math.comb(int(a), int(b))) for a, b in zip(n, k, strict=True)])


def exactly(function):
    """A reference that works with 60 digits, for each row."""

    def of_rows(r, *means):
        size = len(r["y"])
        columns = {k: np.broadcast_to(v, size) for k, v in r.items()}
        out = []
        with mpmath.workdps(60):
            for i in range(size):
                row = {k: mpmath.mpf(float(v[i])) for k, v in columns.items()}
                given = [None if m is None else mpmath.mpf(float(m[i])) for m in means]
                out.append(float(function(row, *given)))
        return np.array(out)

    return of_rows


def rising(a, k):
    return mpmath.loggamma(a + k) - mpmath.loggamma(a)


@exactly
def negative_binomial(r, mean, log_mean, _):
    shape, y = r.get("shape", mpmath.mpf(1)), r["y"]
    log_rest = mpmath.log1p(mpmath.exp(log_mean) / shape)
    ways = rising(shape, y) - mpmath.loggamma(y + 1)
    return ways - (shape + y) * log_rest + y * (log_mean - mpmath.log(shape))


@exactly
def beta_binomial(r, mean, log_p, log_q):
    n, y, phi = r["trials"], r["y"], r["phi"]
    ways = mpmath.log(mpmath.binomial(n, y))
    one, other = mpmath.exp(log_p) * phi, mpmath.exp(log_q) * phi
    return ways + rising(one, y) + rising(other, n - y) - rising(phi, n)


@exactly
def gamma(r, mean, log_mean, _):
    shape, y = r["shape"], r["y"]
    rate = mpmath.log(shape) - log_mean
    powers = shape * rate + (shape - 1) * mpmath.log(y) - mpmath.exp(rate) * y
    return powers - mpmath.loggamma(shape)


@exactly
def beta(r, mean, log_p, log_q):
    one, other = mpmath.exp(log_p) * r["phi"], mpmath.exp(log_q) * r["phi"]
    constant = mpmath.loggamma(one) + mpmath.loggamma(other) - mpmath.loggamma(one + other)
    return (one - 1) * mpmath.log(r["y"]) + (other - 1) * mpmath.log1p(-r["y"]) - constant


@exactly
def weibull(r, mean, log_mean, _):
    shape = r["shape"]
    log_scale = log_mean - mpmath.loggamma(1 + 1 / shape)
    z = mpmath.log(r["y"]) - log_scale
    return mpmath.log(shape) - log_scale + (shape - 1) * z - mpmath.exp(shape * z)


@exactly
def inverse_gaussian(r, mean, log_mean, _):
    y, mean = r["y"], mpmath.exp(log_mean)
    distance = r["shape"] * (y - mean) ** 2 / (mean**2 * y)
    return (mpmath.log(r["shape"]) - mpmath.log(2 * mpmath.pi * y**3) - distance) / 2


@exactly
def exgaussian(r, mean, *_):
    sigma, beta = r["sigma"], r["beta"]
    z, ratio = (r["y"] - mean + beta) / sigma, sigma / beta
    return -mpmath.log(beta) + ratio * (ratio / 2 - z) + mpmath.log(mpmath.ncdf(z - ratio))


@exactly
def gev(r, mean, *_):
    z, xi = (r["y"] - mean) / r["sigma"], r["xi"]
    if 1 + xi * z <= 0:
        return -mpmath.inf
    t = mpmath.log1p(xi * z) / xi if xi else z
    return -mpmath.log(r["sigma"]) - (1 + xi) * t - mpmath.exp(-t)


@exactly
def wiener(r, drift, *_):
    """The first passage at the upper boundary for y > 0, seen from there."""
    start, away = r["bias"], drift
    if r["y"] > 0:
        start, away = 1 - start, -drift
    t = abs(r["y"]) - r["ndt"]
    u = t / r["bs"] ** 2
    images = (start + 2 * mpmath.mpf(k) for k in range(-30, 31))
    if u < 1:
        series = mpmath.fsum(x * mpmath.exp(-(x**2) / (2 * u)) for x in images)
        series /= mpmath.sqrt(2 * mpmath.pi * u**3)
    else:
        waves = ((k, mpmath.exp(-((k * mpmath.pi) ** 2) * u / 2)) for k in range(1, 20))
        series = mpmath.pi * mpmath.fsum(
            k * e * mpmath.sin(k * mpmath.pi * start) for k, e in waves
        )
    drifting = -away * r["bs"] * start - away**2 * t / 2
    return mpmath.log(series) - 2 * mpmath.log(r["bs"]) + drifting


def log_com_poisson(y, log_mean, shape):
    """Summed up term by term, with the digits of long doubles."""
    k = np.arange(16_000)
    log_factorial = np.cumsum(np.log(np.maximum(k, 1).astype(np.longdouble)))
    out = []
    for row in np.broadcast(y, log_mean, shape):
        at, log, nu = (np.longdouble(v) for v in row)
        terms = nu * (k * log - log_factorial)
        top = terms.max()
        constant = top + np.log(np.exp(terms - top).sum())
        out.append(float(terms[int(at)] - constant))
    return np.array(out)


def skew_normal(r, mean):
    delta = r["alpha"] / np.hypot(1, r["alpha"])
    scale = r["sigma"] / np.sqrt(1 - 2 / np.pi * delta**2)
    return stats.skewnorm(r["alpha"], mean - scale * delta * np.sqrt(2 / np.pi), scale)


def asym_laplace(r, mean):
    q = r["quantile"]
    kappa = np.sqrt(q / (1 - q))
    return stats.laplace_asymmetric(kappa, mean, r["sigma"] / np.sqrt(q * (1 - q)))


def inflated(density):
    """With an additional probability of zero."""

    def of_rows(r, *means):
        inside = np.log1p(-r["zi"]) + density(r, *means)
        return np.where(r["y"] == 0, np.logaddexp(np.log(r["zi"]), inside), inside)

    return of_rows


def hurdle(density, extra="hu", counts=False):
    """Zero, or positive."""

    def of_rows(r, *means):
        zero, positive = r["y"] == 0, r | {"y": np.where(r["y"] == 0, 1.0, r["y"])}
        if extra == "zi":
            positive["y"] = np.where(zero, 0.5, r["y"])
        inside = density(positive, *means)
        if counts:
            none = density(r | {"y": np.zeros(len(zero))}, *means)
            inside = inside - np.log(-np.expm1(none))
        return np.where(zero, np.log(r[extra]), np.log1p(-r[extra]) + inside)

    return of_rows


def zero_one_inflated_beta(r, *means):
    y, zoi, coi = r["y"], r["zoi"], r["coi"]
    inside = beta(r | {"y": np.where((y == 0) | (y == 1), 0.5, y)}, *means)
    ends = [np.log(zoi) + np.log1p(-coi), np.log(zoi) + np.log(coi)]
    return np.select([y == 0, y == 1], ends, np.log1p(-zoi) + inside)


def binomial(r, _, log_p, log_q):
    return (
        log_choose(r["trials"], r["y"])
        + np.where(r["y"] > 0, r["y"] * log_p, 0)
        + np.where(r["y"] < r["trials"], (r["trials"] - r["y"]) * log_q, 0)
    )


def poisson(r, mean, log_mean, _):
    return r["y"] * log_mean - mean - special.gammaln(r["y"] + 1)


def lognormal(r, mean, *_):
    left = r["y"] - r.get("ndt", 0.0)
    return stats.norm.logpdf(np.log(left), mean, r["sigma"]) - np.log(left)


# SciPy's binom and bernoulli take the mean, not its logit: beside 0 and 1 the textbook formula
# with SciPy's logarithms is the more exact reference.
DENSITY = {
    "gaussian": lambda r, mean, *_: stats.norm.logpdf(r["y"], mean, r["sigma"]),
    "student": lambda r, mean, *_: stats.t.logpdf(r["y"], r["nu"], mean, r["sigma"]),
    "skew_normal": lambda r, mean, *_: skew_normal(r, mean).logpdf(r["y"]),
    "laplace": lambda r, mean, *_: (
        -np.log(2 * r["sigma"]) - np.abs(r["y"] - mean) / r["sigma"]  # SciPy's underflows
    ),
    "asym_laplace": lambda r, mean, *_: (
        np.log(r["quantile"])
        + np.log1p(-r["quantile"])
        - np.log(r["sigma"])
        - (r["y"] - mean) / r["sigma"] * (r["quantile"] - (r["y"] < mean))
    ),
    "gumbel": lambda r, mean, *_: stats.gumbel_r.logpdf(r["y"], mean, r["sigma"]),
    "gev": gev,
    "exgaussian": exgaussian,
    "wiener": wiener,
    "von_mises": lambda r, mean, *_: stats.vonmises.logpdf(r["y"], r["kappa"], mean),
    "lognormal": lognormal,
    "shifted_lognormal": lognormal,
    "gamma": gamma,
    "weibull": weibull,
    "exponential": lambda r, _, log_mean, __: -log_mean - r["y"] * np.exp(-log_mean),
    "inverse_gaussian": inverse_gaussian,
    "beta": beta,
    "bernoulli": lambda r, _, log_p, log_q: np.where(r["y"] == 1, log_p, log_q),
    "binomial": binomial,
    "beta_binomial": beta_binomial,
    "poisson": poisson,
    "negbinomial": negative_binomial,
    "geometric": negative_binomial,
    "zero_inflated_poisson": inflated(poisson),
    "zero_inflated_negbinomial": inflated(negative_binomial),
    "zero_inflated_binomial": inflated(binomial),
    "zero_inflated_beta_binomial": inflated(beta_binomial),
    "zero_inflated_beta": hurdle(beta, "zi"),
    "zero_one_inflated_beta": zero_one_inflated_beta,
    "com_poisson": lambda r, _, log_mean, __: log_com_poisson(r["y"], log_mean, r["shape"]),
    "hurdle_poisson": hurdle(poisson, counts=True),
    "hurdle_negbinomial": hurdle(negative_binomial, counts=True),
    "hurdle_gamma": hurdle(gamma),
    "hurdle_lognormal": hurdle(lognormal),
    OWN.name: lambda r, mean, *_: stats.gennorm.logpdf(r["y"], r["power"], mean, r["sigma"]),
}
RESPONSE = {name: "prop(y, trials)" for name, family in ALL.items() if family.trials}
RESPONSE["wiener"] = "decided(time, upper)"
MODERATE = {
    "real": [-1.5, 0.2, 2.0],
    "positive": [0.3, 1.4, 3.0],
    "circle": [-1.0, 0.2, 2.0],
}
MODERATE_PROBABILITY = {
    "identity": [0.2, 0.5, 0.85],
    "log": [-3.0, -1.0, -0.2],
    "logit": [-2.0, 0.3, 1.7],
    "probit": [-1.2, 0.3, 1.1],
    "cloglog": [-2.0, -0.3, 0.8],
    "probit_approx": [-1.2, 0.3, 1.1],
    "cauchit": [-2.0, 0.3, 1.7],
}


def framed(columns):
    """A data frame with the response also as a time and a decision."""
    frame = pd.DataFrame(columns)
    return frame.assign(time=frame["y"].abs(), upper=(frame["y"] > 0).astype(int))


def moderate(family, name):
    space = SPACE[family.name]
    if (space, name) == ("real", "inverse"):  # nearer to zero, means move far in one step
        return [-9.0, 8.0, 20.0]
    return MODERATE_PROBABILITY[name] if space == "probability" else MODERATE[space]


def grid(family, etas):
    """A row of the data for every combination of response and linear predictor."""
    rows = pd.DataFrame([{**row, "eta": eta} for row in rows_of(family) for eta in etas])
    return rows.to_dict("series")


def rows_of(family):
    """Responses and parameters to try; of a family that has none in `ROWS`, from its entry."""
    if family.name in ROWS:
        return ROWS[family.name]
    given = {name: (0.7 * p.typical, p.typical) for name, p in family.parameters.items()}
    given |= {"trials": (10.0,)} if family.trials else {}
    return product(y=checks._responses(family).numpy().ravel(), **given)


def reference(family, name, rows):
    """The density by rows and linear predictor; of a family without one in `DENSITY`, its own."""
    if family.name in DENSITY:
        return lambda plain, eta: DENSITY[family.name](plain, *MEAN[name](eta))
    own = likelihood(family, name, rows)
    given = family.parameters
    return lambda plain, eta: own(tf.constant(eta), [tf.constant(plain[p]) for p in given]).numpy()


def likelihood(family, name, rows):
    """``log_prob(eta)`` of the rows, of a model made from a formula."""
    frame = framed({k: v for k, v in rows.items() if k in ("y", "trials")})
    response = RESPONSE.get(family.name, "y")
    given = family.name if family.name in FAMILIES else family
    model = hm.model(frame, f"{response} ~ 1", family=given, link=name)
    functions = program.functions(program.source(model.specification))
    data = model._joint.data
    # One draw of the parameters for each row: (draws, 1) against (rows,), and the diagonal.
    parameters = [tf.constant(rows[p].to_numpy()) for p in family.parameters]

    def log_prob(eta, parameters=parameters):
        if not parameters:
            return functions.likelihood(data, eta).log_prob(data["y"])
        square = functions.likelihood(data, eta[tf.newaxis, :], *parameters).log_prob(data["y"])
        return tf.linalg.diag_part(square)

    return log_prob


def value_and_gradient(log_prob, eta):
    with tf.GradientTape() as tape:
        tape.watch(eta)
        value = log_prob(eta)
    return value, tape.gradient(value, eta)


def close(found, expected, relative=1e-10):
    """To 1e-10 relative; beside zero, where a logarithm of 1 - tiny stands, absolute."""
    np.testing.assert_allclose(found, expected, rtol=relative, atol=relative)


def test_every_family_states_its_reference_density():
    assert {*NUMBERS} <= {*DENSITY}


STATED = [case for case in CASES if case[0] is not NEW]


@pytest.mark.parametrize(("family", "name"), STATED, ids=[f"{f.name}-{n}" for f, n in STATED])
def test_density_of_a_row_is_scipys(family, name):
    rows = grid(family, etas(family, name))
    eta = rows["eta"].to_numpy()
    log_prob = likelihood(family, name, rows)
    value, gradient = value_and_gradient(log_prob, tf.constant(eta))
    plain = {k: v.to_numpy() for k, v in rows.items()}
    close(value.numpy(), DENSITY[family.name](plain, *MEAN[name](eta)))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(("family", "name"), CASES, ids=IDS)
def test_gradient_is_that_of_finite_differences(family, name):
    rows = grid(family, moderate(family, name))
    eta = rows["eta"].to_numpy()
    _, gradient = value_and_gradient(likelihood(family, name, rows), tf.constant(eta))
    plain = {k: v.to_numpy() for k, v in rows.items()}
    density, step = reference(family, name, rows), 1e-3

    def moved(shift):
        return density(plain, eta + shift * step)[inside]

    inside = np.full(len(eta), True)
    inside = np.isfinite(moved(0))  # of a family whose support depends on its parameters
    # Fourth order: error step^4, beside rounding of the density itself over the step.
    differences = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / 12 / step
    rounding = 1e-15 * np.abs(moved(0)) / step
    error = np.abs(gradient.numpy()[inside] - differences)
    assert (error <= 1e-7 * np.abs(differences) + 20 * rounding + 1e-7).all()


@pytest.mark.parametrize("family", [f for f in ALL.values() if f.parameters], ids=lambda f: f.name)
def test_gradient_in_the_parameters_beside_the_mean(family):
    name = family.links[0]
    rows = grid(family, moderate(family, name))
    eta = rows["eta"].to_numpy()
    log_prob = likelihood(family, name, rows)
    given = [tf.constant(rows[p].to_numpy()) for p in family.parameters]
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = log_prob(tf.constant(eta), given)
    slopes = tape.gradient(value, given)
    plain, density = {k: v.to_numpy() for k, v in rows.items()}, reference(family, name, rows)
    for parameter, slope in zip(family.parameters, slopes, strict=True):
        at = plain[parameter]
        # Up to one, a probability moves on the side of it that is near.
        room = (
            np.minimum(at, 1 - at)
            if family.parameters[parameter].support == "probability"
            else np.abs(at)
        )
        step = 1e-4 * np.where(room > 0, room, 1.0)

        def moved(shift, at=at, step=step, parameter=parameter):
            found = density(plain | {parameter: at + shift * step}, eta)
            return np.where(np.isneginf(found), 0.0, found)  # out of the support, flat

        differences = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / 12
        differences, rounding = differences / step, 1e-15 * np.abs(moved(0)) / step
        error = np.abs(slope.numpy() - differences) - 20 * rounding - 1e-7
        told = step > 1e-12  # nearer to one, a step is rounding alone
        assert (error <= 1e-6 * np.abs(differences))[told].all(), parameter


@pytest.mark.parametrize(("family", "name"), FEW, ids=FEW_IDS)
def test_compiled_and_eager_agree(family, name):
    rows = grid(family, etas(family, name))
    log_prob = likelihood(family, name, rows)
    eta = tf.constant(rows["eta"].to_numpy())
    compiled = tf.function(lambda e: value_and_gradient(log_prob, e), jit_compile=True)(eta)
    for found, expected in zip(compiled, value_and_gradient(log_prob, eta), strict=True):
        close(found.numpy(), expected.numpy())


@pytest.mark.parametrize(("family", "name"), FEW, ids=FEW_IDS)
def test_drawn_responses_have_the_density(family, name):
    """Shares of the draws beside probabilities from the density, and their moments."""
    typical = {p: np.array([a.typical]) for p, a in family.parameters.items()}
    typical |= {"ndt": np.array([0.1])} if "ndt" in typical else {}
    for eta in moderate(family, name):
        trials = {"trials": tf.constant([10.0], tf.float64)}
        text = families.likelihood(family, link(name))
        distribution = links.evaluate(text, eta=np.array([eta]), data=trials, **typical)
        n = 40_000
        drawn = distribution.sample(n, seed=tf.constant([11, 12], tf.int32)).numpy().ravel()
        points, mass = probabilities(family, distribution, drawn)
        assert mass.sum() == pytest.approx(1, abs=2e-4)
        places = np.searchsorted(points, drawn, side="right") - 1
        if not family.counts:
            mass = np.where(points[:-1] == points[1:], 0, mass)
        counted = np.bincount(np.clip(places, 0, len(mass) - 1), minlength=len(mass))
        # The largest distance of distribution functions: one in ten thousand is beyond.
        distance = np.abs(np.cumsum(counted) / n - np.cumsum(mass)).max()
        assert distance < 2.23 / np.sqrt(n) + 2e-4
        if family.name != "von_mises":  # whose mean is a direction
            error = drawn.std() / np.sqrt(n)
            assert float(distribution.mean().numpy().item()) == pytest.approx(
                drawn.mean(), abs=5 * error
            )
            kurtosis = stats.kurtosis(drawn)
            assert float(distribution.variance().numpy().item()) == pytest.approx(
                drawn.var(), rel=6 * np.sqrt((max(kurtosis, 0) + 2) / n)
            )


def probabilities(family, distribution, drawn):
    """Left ends of cells, or whole numbers, and the probability of each."""

    def density(y):
        return np.exp(distribution.log_prob(tf.constant(y[:, None])).numpy()[:, 0])

    if family.counts:
        points = np.arange(0.0, drawn.max() + 200.0)
        points = points[points <= (10 if family.trials else family.upper)]
        return points, density(points)
    spread = drawn.std()
    low = max(family.lower, drawn.min() - 30 * spread)
    high = min(family.upper, drawn.max() + 30 * spread)
    ends = np.quantile(drawn, np.linspace(0, 1, 401))
    points = np.unique(np.concatenate([[low], ends[ends > low], [high]]))
    x, w = np.polynomial.legendre.leggauss(20)
    middle, half = (points[1:] + points[:-1]) / 2, (points[1:] - points[:-1]) / 2
    inside = (middle[:, None] + half[:, None] * x).ravel()
    mass = (density(inside).reshape(-1, 20) * w).sum(1) * half
    for end, cell in ((0.0, 0), (1.0, -1)):  # point masses, in the first cell and the last
        if (drawn == end).any():
            mass[cell] += density(np.full(1, end))[0]
    return points, mass


def com_poisson(log_mean, shape):
    text = families.likelihood(FAMILIES["com_poisson"], link("log"))
    return links.evaluate(text, eta=np.array(log_mean), shape=np.array(shape))


def test_com_poisson_where_its_sum_and_its_integral_meet():
    shapes = np.array([0.2, 0.5, 0.99, 1.01, 2.0, 3.8, 4.5, 10.0, 50.0, 200.0])
    for shape in shapes:
        mean = max(30.0 / shape, 2.0 * shape) * np.array([0.7, 0.999, 1.001, 1.5])
        found = com_poisson(np.log(mean), shape).log_prob(np.floor(mean))
        close(found, log_com_poisson(np.floor(mean), np.log(mean), shape))


def test_com_poisson_refuses_shapes_that_it_cannot_do():
    found = com_poisson([0.0, 0.0, 0.0, 0.0], [0.19, 0.2, 200.0, 201.0]).log_prob(np.float64(1))
    assert np.isfinite(found).tolist() == [False, True, True, False]


def test_com_poisson_with_shape_one_is_poisson():
    log_mean = np.log([1e-3, 2.0, 40.0, 1e4])
    y = np.array([0.0, 3.0, 30.0, 10_100.0])
    likely = com_poisson(log_mean, 1.0)
    close(likely.log_prob(y), stats.poisson.logpmf(y, np.exp(log_mean)))
    close(likely.mean(), np.exp(log_mean))
    close(likely.variance(), np.exp(log_mean), 1e-8)


def test_wiener_at_the_ends_of_times_and_biases():
    """Fast and slow times, beside the switch of the series too; starts beside the boundaries."""
    rows = itertools.product(
        (-1.0, 1.0),
        (1e-8, 1e-3, 0.05, 0.3 - 1e-9, 0.3 + 1e-9, 1.0, 20.0, 500.0),
        (-20.0, 0.0, 0.4, 8.0),
        (0.3, 2.5),
        (1e-12, 1e-3, 0.1, 0.5, 0.77, 0.999, 1 - 1e-12),
    )
    grid = [(side * (u * a**2 + 0.2), v, a, 0.2, w) for side, u, v, a, w in rows]
    y, drift, *rest = np.array(grid).T
    given = dict(zip(("bs", "ndt", "bias"), rest, strict=True))
    exact = wiener({"y": y, **given}, drift)
    at = [tf.constant(x) for x in (drift, *rest)]

    def density(*at):
        names = ("eta", "bs", "ndt", "bias")
        text = families.likelihood(FAMILIES["wiener"], link("identity"))
        return links.evaluate(text, **dict(zip(names, at, strict=True))).log_prob(y)

    with tf.GradientTape() as tape:
        tape.watch(at)
        value = density(*at)
    close(value, exact)
    for slope in tape.gradient(value, at):
        assert np.isfinite(slope).all()
    close(tf.function(density, jit_compile=True)(*at), exact)


def test_moments_of_gev_where_there_are_none():
    text = families.likelihood(FAMILIES["gev"], link("identity"))
    xi = np.array([-0.4, -1e-3, 0.0, 1e-4, 0.2, 0.6, 1.2])
    likely = links.evaluate(text, eta=np.zeros(7), sigma=np.array(2.0), xi=xi)
    mean, variance = stats.genextreme(-xi[:5], 0, 2.0).stats("mv")
    np.testing.assert_allclose(likely.mean()[:5], mean, 1e-8)
    np.testing.assert_allclose(likely.variance()[:5], variance, 1e-6)
    assert np.isfinite(likely.mean()).tolist() == [True] * 6 + [False]
    assert np.isinf(likely.variance()).tolist() == [False] * 5 + [True] * 2


# --- links --------------------------------------------------------------------------------------


def evaluated(expression, **values):
    scope = {"np": np, "tf": tf, "normal": tfp.distributions.Normal(np.float64(0), np.float64(1))}
    return eval(expression, scope | {k: tf.constant(v) for k, v in values.items()}).numpy()


@pytest.mark.parametrize("name", sorted(set(LINKS) - {"softmax"}))  # see test_nominal
def test_link_there_and_back(name):
    eta = np.array(MODERATE_PROBABILITY.get(name, [-3.0, -0.2, 0.3, 1.7]))
    eta = eta[eta > 0] if name in ("1/mu^2", "sqrt") else eta
    mean = evaluated(LINKS[name].mean, eta=eta)
    np.testing.assert_allclose(mean, MEAN[name](eta)[0], rtol=1e-13)
    np.testing.assert_allclose(evaluated(LINKS[name].eta, mean=mean), eta, rtol=1e-12)


@pytest.mark.parametrize(("space", "name"), ETA)
def test_log_and_logit_of_the_mean_agree_with_the_mean(space, name):
    eta = np.array(ETA[space, name])
    mean, log_mean, log_rest = MEAN[name](eta)
    expected = {"mean": mean}
    if space in ("positive", "probability"):
        expected["log_mean"] = log_mean
    if space == "probability":
        expected["logit_mean"] = log_mean - log_rest
    for form, values in expected.items():
        found = evaluated(getattr(LINKS[name], form), eta=eta)
        # Beside zero a logarithm of 1 - tiny is good to a rounding error of 1.
        np.testing.assert_allclose(found, values, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(("space", "name"), ETA)
def test_means_lie_in_the_range_that_a_link_states(space, name):
    mean = evaluated(LINKS[name].mean, eta=np.array(ETA[space, name]))
    # "identity" and "log" are links of a probability in these grids only.
    assert ((mean >= LINKS[name].low) & (mean <= LINKS[name].high)).all()


def test_every_link_is_allowed_by_a_family():
    of_parameters = {n for f in FAMILIES.values() for p in f.parameters.values() for n in p.allowed}
    of_means = {name for family in FAMILIES.values() for name in family.links}
    assert of_means | of_parameters == set(LINKS)
    assert set(LINKS) - of_means == {"logm1"}
    assert link("logit") is LINKS["logit"]


@pytest.mark.parametrize("family", NUMBERS.values(), ids=NUMBERS)
def test_a_link_that_the_family_does_not_have(family):
    y = [0.0, 1.0, 1.0] if family.counts else [0.2, 0.5, 0.3]
    frame = framed({"y": y, "trials": [1.0, 1.0, 1.0]})
    response = RESPONSE.get(family.name, "y")
    allowed = ", ".join(sorted(family.links))
    with pytest.raises(hm.ModelError) as info:
        hm.model(frame, f"{response} ~ 1", family=family.name, link="square")
    assert str(info.value).startswith("unknown link 'square'.")
    assert str(info.value).endswith(f"Allowed: {allowed}.")
    with pytest.raises(hm.ModelError) as info:
        hm.model(frame, f"{response} ~ 1", family=family.name, link="logm1")
    assert str(info.value) == (
        f"link 'logm1' (of values above 1) does not fit the mean of family {family.name!r}. "
        f"Links that do: {allowed}."
    )


def test_degrees_of_freedom_with_a_formula_are_above_one():
    parts = hm.formula("y ~ 1", nu="~ x")
    frame = pd.DataFrame({"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 3.0]})
    model = hm.model(frame, parts, family="student")
    assert model.specification.others[0].link.name == "logm1"
    assert model.priors.loc["nu_Intercept", "prior"] == "normal(1.386, 2.5)"  # log(5 - 1)
    likelihood = model._joint.functions.likelihood
    given = [tf.constant(1.3, tf.float64), tf.constant([-1.0, 0.5, 2.0], tf.float64)]
    found = likelihood(model._joint.data, tf.zeros([3], tf.float64), *given).log_prob(frame["y"])
    close(found, stats.t.logpdf(frame["y"], 1 + np.exp(given[1]), 0, 1.3))


PARTIAL = [(f.name, n) for f in FAMILIES.values() for n in f.links if LINKS[n].partial]


@pytest.mark.parametrize(
    ("family", "name"), [c for c in PARTIAL if SPACE[c[0]] == "positive"], ids=str
)
def test_linear_predictors_out_of_range_have_no_density(family, name):
    """The engine refuses what is not finite, and says where; it must not be a wrong number."""
    rows = grid(FAMILIES[family], [-2.0, -1e-9])
    log_prob = likelihood(FAMILIES[family], name, rows)
    value, gradient = value_and_gradient(log_prob, tf.constant(rows["eta"].to_numpy()))
    assert (~np.isfinite(value) | ~np.isfinite(gradient)).all()


@pytest.mark.parametrize(("family", "name"), [*PARTIAL, ("poisson", "sqrt")], ids=str)
def test_chains_start_in_the_range_of_a_link(family, name):
    y = stats.gamma(2.0, scale=2.5).rvs(60, random_state=1)
    y = np.round(y) if FAMILIES[family].counts else y
    frame = pd.DataFrame({"y": y, "x": np.tile([0.0, 1.0], 30), "g": np.repeat(list("abc"), 20)})
    model = hm.model(frame, "y ~ x + (1 | g)", family=family, link=name)
    assert model.specification.start == pytest.approx(
        {"inverse": 1 / y.mean(), "1/mu^2": y.mean() ** -2, "sqrt": y.mean() ** 0.5}[name]
    )
    slope = {"inverse": y.mean() ** -2, "1/mu^2": 2 / y.mean() ** 3, "sqrt": y.mean() ** -0.5 / 2}
    prior = model.priors.loc["Intercept", "prior"]
    scale = float(prior.removesuffix(")").split(", ")[1])
    assert scale == pytest.approx(2.5 * y.std() * slope[name], rel=1e-3)
    plan = model.plan()
    centre = tf.constant(plan.start()[0][None])
    assert np.isfinite(plan.log_density(centre, plan.arguments)).all()


def test_a_fit_with_a_partial_link():
    rng = np.random.default_rng(4)
    x = np.tile([0.0, 1.0], 150)
    frame = pd.DataFrame({"x": x, "y": rng.gamma(4.0, 1 / (4.0 * (0.2 + 0.3 * x)))})
    fit = hm.fit(frame, "y ~ x", family="gamma", link="inverse", seed=1, progress=False)
    assert fit.check().ok
    # The means of the two cells are all that the two coefficients tell.
    cells = 1 / frame.groupby("x")["y"].mean()
    found = fit.posterior
    assert float(found["Intercept"].mean()) == pytest.approx(cells[0], rel=0.03)
    assert float(found["x"].mean()) == pytest.approx(cells[1] - cells[0], rel=0.1)
    assert "1 / mu[i]^2 = " in str(
        hm.model(frame, "y ~ x", family="inverse_gaussian", link="1/mu^2").equations()
    )


@pytest.mark.parametrize(("name", "guess"), [("guassian", "gaussian"), ("Poisson", "poisson")])
def test_an_unknown_family(name, guess):
    with pytest.raises(hm.ModelError) as info:
        hm.model(pd.DataFrame({"y": [1.0, 2.0]}), "y ~ 1", family=name)
    message = str(info.value)
    assert message.startswith(f"unknown family {name!r}. Did you mean {guess!r}?")
    assert all(family in message for family in FAMILIES)


# --- families of the user's own -----------------------------------------------------------------


def own(**changed):
    """A model of a family of the user's own."""
    sigma = {"sigma": hm.FamilyParameter("exponential({per_sd})")}
    fields = {"likelihood": "tfd.Gumbel(loc={mean}, scale=sigma)", "links": ("identity",)}
    family = hm.Family(**{"name": "own", "parameters": sigma, **fields, **changed})
    return hm.model(
        pd.DataFrame({"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 3.0]}), "y ~ x", family=family
    )


def with_sigma(prior="exponential(1)", **options):
    return {"sigma": hm.FamilyParameter(prior, **options)}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": "gaussian"}, "there is a family 'gaussian' already"),
        ({"links": "identity"}, "links must be a tuple of names"),
        ({"links": ()}, "links must be a tuple of names"),
        ({"links": ("logg",)}, "unknown link 'logg'. Did you mean 'log'?"),
        ({"ends": "()()"}, "ends be '[]'"),
        ({"lower": 2.0, "upper": 1.0}, "lower must be below upper"),
        ({"likelihood": "tfd.Gumbel({mu}, sigma)"}, "unknown placeholder {mu}"),
        ({"likelihood": "tfd.Gumble({mean}, sigma)"}, "no tfd.Gumble. Did you mean 'Gumbel'?"),
        ({"likelihood": "tfd.Gumbel({mean}, sigm)"}, "'sigm'. Did you mean 'sigma'?"),
        ({"likelihood": "print({mean}, sigma)"}, "unknown name 'print'"),
        ({"likelihood": "tfd.Gumbel({mean}, sigma"}, "is not an expression of Python"),
        ({"likelihood": "tfd.Gumbel(0.0, sigma)"}, "does not depend on the mean"),
        ({"likelihood": "tfd.Gumbel({mean}, 1.0)"}, "does not depend on the parameter 'sigma'"),
        ({"likelihood": "tfd.Gumbel({mean}, skale=sigma)"}, "cannot be evaluated: TypeError"),
        ({"likelihood": "{mean} + sigma"}, "must be a TFP distribution, not EagerTensor"),
        ({"likelihood": "tfd.Independent(tfd.Normal({mean}, sigma), 1)"}, "of single numbers"),
        ({"likelihood": "tfd.Normal(tf.reduce_sum({mean}), sigma)"}, "(3, 4), not (3, 1)"),
        ({"likelihood": "tfd.Bernoulli({mean} + sigma)"}, "must be of float64 values, not int32"),
        ({"likelihood": "tfd.Normal(np.nan * ({mean}), sigma)"}, "has no finite log_prob at resp"),
        ({"likelihood": "tfd.Normal(tf.stop_gradient({mean}), sigma)"}, "without a gradient"),
        (
            {"likelihood": "tfd.Gumbel({log_mean}, sigma)", "links": ("tan_half",)},
            "needs {log_mean}, which link 'tan_half' does not have",
        ),
        ({"parameters": {"sigma": "exponential(1)"}}, "give a FamilyParameter"),
        ({"parameters": {"eta": hm.FamilyParameter("exponential(1)")}}, "another meaning here"),
        ({"parameters": {"a b": hm.FamilyParameter("exponential(1)")}}, "is not a Python identif"),
        ({"parameters": with_sigma("exponental(1)")}, "unknown distribution.\n  exponental(1)\n"),
        ({"parameters": with_sigma("exponential({mu})")}, "may have {sd}, {per_sd}, {least}, {me"),
        ({"parameters": with_sigma(links=("identity",))}, "parameter 'sigma' is positive, which"),
        ({"parameters": with_sigma(links=("lgo",))}, "which link 'lgo' does not fit. Links"),
        ({"location": False}, "its mean is a probability, which link 'identity' (of values any"),
        ({"parameters": with_sigma(support="unit")}, "unknown support. Allowed: ordered, positive"),
        ({"parameters": with_sigma(support="probability")}, "typical=1 is not inside its support"),
        ({"parameters": with_sigma(support="simplex")}, "is a simplex: give its size, 2 or more"),
        ({"totals": 'data["total"] * {mean}'}, "its totals are not sums of its log-likelihood"),
        ({"residual": "sigma"}, "residual is for a normal distribution about the mean"),
        ({"residual": "tau"}, "residual must name a parameter"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_a_family_that_cannot_be(changed, says):
    with pytest.raises(hm.ModelError) as info:
        own(**changed)
    assert says in str(info.value)
    assert changed.get("name", "own") in str(info.value)


@pytest.mark.parametrize("name", [name for name in FAMILIES if not FAMILIES[name].single])
def test_what_is_asked_of_the_users_families_holds_for_all(name):
    if name != "shifted_lognormal":  # at its typical shift, 0, it is another
        check(dataclasses.replace(FAMILIES[name], name="own"), FAMILIES)


def test_a_family_of_the_users_own_has_the_same_rights():
    frame = pd.DataFrame({"y": stats.lognorm(0.5).rvs(60, random_state=1), "g": list("abc") * 20})
    # TFP makes it of a bijector, and keeps what that made of a tensor.
    mine = hm.Family(
        "own_lognormal",
        likelihood="tfd.LogNormal(loc={mean}, scale=sigma)",
        links=("identity",),
        parameters={"sigma": hm.FamilyParameter("exponential({per_sd})")},
        lower=0,
        ends="()",
        log_scale=True,
    )
    model, theirs = (hm.model(frame, "y ~ (1 | g)", family=f) for f in (mine, "lognormal"))
    model = pickle.loads(pickle.dumps(model))
    drawn = theirs.joint.sample(3, seed=tf.constant([1, 2], tf.int32))
    close(model.joint.log_prob(drawn), theirs.joint.log_prob(drawn))
    scope: dict = {}
    exec(model.code(), scope)
    close(scope["joint"].log_prob(drawn), model.joint.log_prob(drawn))
    assert "y[i] ~ own_lognormal(mu[i], sigma)" in str(model.equations())
    assert "family own_lognormal has no sums" in str(model.plan())
    with pytest.raises(hm.DataError, match="family 'own_lognormal' needs values above 0"):
        hm.model(frame.assign(y=frame["y"] - 1), "y ~ (1 | g)", family=mine)
    fits = [m.fit(chains=2, warmup=60, draws=60, seed=1, progress=False) for m in (model, theirs)]
    mean, other = (float(f.posterior["sigma"].mean()) for f in fits)
    assert mean == pytest.approx(other, abs=0.05)
    fits[0].add_log_likelihood().add_posterior_predictive(seed=1)
    assert (fits[0].idata["posterior_predictive"]["y"] > 0).all()


@pytest.mark.parametrize("family", NUMBERS.values(), ids=NUMBERS)
def test_the_printed_program_of_every_family(family):
    rows = grid(family, moderate(family, family.links[0])[:1])
    frame = framed({k: v for k, v in rows.items() if k in ("y", "trials")})
    model = hm.model(frame, f"{RESPONSE.get(family.name, 'y')} ~ 1", family=family.name)
    scope: dict = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_array_equal(scope["joint"].log_prob(drawn), model.joint.log_prob(drawn))


# --- support of the response --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "response", "frame", "kind", "says"),
    [
        ("bernoulli", "y", {"y": [0, 1, 2, 1, 3, -1, 5]}, hm.DataError, "from 0 to 1 in y: row 2 has 2, row 4 has 3, row 5 has -1 and 1 more"),  # noqa: E501
        ("bernoulli", "y", {"y": [0, 0.5, 1]}, hm.DataError, "needs whole numbers in y: row 1 has 0.5"),  # noqa: E501
        ("poisson", "y", {"y": [3, -2, 1]}, hm.DataError, "values of 0 or more in y: row 1 has -2"),
        ("poisson", "y", {"y": [3, 2.5, 1]}, hm.DataError, "needs whole numbers in y: row 1 has 2.5"),  # noqa: E501
        ("binomial", "prop(y, n)", {"y": [3, 4], "n": [5, 3]}, hm.DataError, "y is larger than its number of trials: row 1 has 4"),  # noqa: E501
        ("binomial", "prop(y, n)", {"y": [-1, 2], "n": [5, 3]}, hm.DataError, "of 0 or more in y: row 0 has -1"),  # noqa: E501
        ("binomial", "prop(y, n)", {"y": [1, 2], "n": [5, 3.5]}, hm.DataError, "trials must be whole numbers, 0 or more: row 1 has 3.5"),  # noqa: E501
        ("gaussian", "y", {"y": list("abc")}, hm.DataError, "the response 'y' is categorical with 3 level(s): a, b, c."),  # noqa: E501
        ("bernoulli", "y", {"y": list("aa")}, hm.DataError, "the response 'y' is categorical with 1 level(s): a."),  # noqa: E501
        ("binomial", "y", {"y": [0, 1]}, hm.ModelError, "write prop(y, n) or y | trials(n)"),
        ("bernoulli", "prop(y, n)", {"y": [0, 1], "n": [1, 1]}, hm.ModelError, "'bernoulli' has no trials. Use family='binomial'"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_response_outside_the_support(family, response, frame, kind, says):
    with pytest.raises(kind) as info:
        hm.model(pd.DataFrame(frame), f"{response} ~ 1", family=family)
    assert says in str(info.value)


# --- the model around it ------------------------------------------------------------------------


@pytest.mark.parametrize("family", NUMBERS.values(), ids=NUMBERS)
def test_a_model_of_every_family(family):
    y = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0] if family.counts else [0.2, 0.5, 0.3, 0.4, 0.7, 0.1]
    frame = framed({"y": y, "trials": 3.0, "x": [1.0, 2, 4, 1, 3, 2], "g": list("aabbcc")})
    response = RESPONSE.get(family.name, "y")
    model = hm.model(frame, f"{response} ~ x + (1 | g)", family=family.name)
    values = model.joint.sample(3, seed=tf.constant([3, 4], tf.int32))
    found = model.joint.log_prob(values)
    assert found.shape == (3,)
    name = model.specification.design.response.name
    assert model.sample_prior(4, seed=1).prior_predictive[name].shape == (1, 4, 6)
    # The density that is sampled is that of the joint distribution, where it starts.
    plan = model.plan()
    start = plan.start()[0][None]
    assert np.isfinite(plan.log_density(tf.constant(start), plan.arguments)).all()
    assert family.called in str(model.equations())
