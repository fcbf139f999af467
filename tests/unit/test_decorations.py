"""Known standard errors, censored and truncated responses: densities, draws, errors."""

import itertools

import mpmath
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import special, stats

import hiermod as hm
from hiermod.models import decorations
from hiermod.models.families import FAMILIES
from hiermod.models.links import LINKS, evaluate, fill

pytestmark = pytest.mark.density

CENSORABLE = [name for name, family in FAMILIES.items() if family.tails]

# Frozen SciPy distributions of the same rows, by mean (or location) and the other parameters.
PARAMETERS = {
    "sigma": 0.8,
    "nu": 3.5,
    "shape": 1.7,
    "quantile": 0.3,
    "ndt": 0.2,
    "xi": 0.15,
    "zi": 0.3,
    "alpha": 2.5,
    "beta": 1.3,
    "phi": 5.0,
    "hu": 0.2,
    "zoi": 0.3,
    "coi": 0.6,
}


class Points:
    """A SciPy distribution with points at its ends, in place of what it has there."""

    def __init__(self, base, zero, one=0.0, counts=False):
        self.base, self.zero, self.one, self.counts = base, zero, one, counts
        self.none = base.cdf(0.0) if counts else 0.0
        self.rest = (1 - zero - one) / (1 - self.none)

    def logpdf(self, y):
        return np.log(self.rest) + (self.base.logpmf(y) if self.counts else self.base.logpdf(y))

    logpmf = logpdf

    def cdf(self, y):
        inside = self.zero + self.rest * np.maximum(self.base.cdf(y) - self.none, 0)
        return np.where(y < 0, 0, inside + np.where(y >= 1, self.one, 0))

    def sf(self, y):
        inside = self.rest * np.minimum(self.base.sf(y), 1 - self.none)
        return np.where(y < 0, 1, inside + np.where(y < 1, self.one, 0))

    def logcdf(self, y):
        return np.log(self.cdf(y))

    def logsf(self, y):
        return np.log(self.sf(y))


class Sums:
    """A distribution of counts, from a density that need not be normalised: a row each."""

    def __init__(self, weight, top=400):
        k = np.arange(top + 1)[:, None]
        weights = np.exp(np.broadcast_to(weight(k), (top + 1, len(np.atleast_1d(weight(0))))))
        self.p = np.asarray(weights / weights.sum(0), np.longdouble)

    def at(self, table, y):
        y, size = np.floor(y), table.shape[1]
        places = np.clip(y, 0, len(table) - 1).astype(int)
        found = table[np.broadcast_to(places, size), np.arange(size)].astype(float)
        return np.where(y < 0, 0.0, np.where(y >= len(table), table[-1].astype(float), found))

    def logpmf(self, y):
        return np.log(self.at(self.p, y))

    def cdf(self, y):
        return self.at(np.cumsum(self.p, 0), y)

    def sf(self, y):
        above = np.cumsum(self.p[::-1], 0)[::-1]
        return np.where(y < 0, 1.0, self.at(np.vstack([above[1:], 0 * above[:1]]), y))

    def logcdf(self, y):
        return np.log(self.cdf(y))

    def logsf(self, y):
        return np.log(self.sf(y))


class Exact:
    """A distribution whose density is SciPy's, and whose tails are those of `tails_of` below."""

    def __init__(self, name, density, **parameters):
        self.name, self.logpdf, self.parameters = name, density, parameters

    def tail(self, y, which):
        size = np.broadcast_shapes(np.shape(y), *(np.shape(v) for v in self.parameters.values()))
        names, columns = self.parameters, [y, *self.parameters.values()]
        out = np.empty(int(np.prod(size)))
        for i, row in enumerate(np.broadcast(*columns)):
            if np.isinf(row[0]):
                out[i] = 0.0 if (row[0] > 0) == (which == 0) else -np.inf
            else:
                out[i] = float(
                    tails_of(self.name, row[0], **dict(zip(names, row[1:], strict=True)))[which]
                )
        return out.reshape(size)

    def logcdf(self, y):
        return self.tail(y, 0)

    def logsf(self, y):
        return self.tail(y, 1)

    def cdf(self, y):
        return np.exp(self.logcdf(y))

    def sf(self, y):
        return np.exp(self.logsf(y))


def beta_tails(y, eta, phi):
    a, b = phi / (1 + mpmath.exp(-eta)), phi / (1 + mpmath.exp(eta))

    def part(a, b, y):  # by a sum of positive terms
        j, term, total = 0, mpmath.mpf(1), mpmath.mpf(1)
        while term > total * mpmath.eps:
            term *= (a + b + j) / (a + 1 + j) * y
            j, total = j + 1, total + term
        return total * y**a * (1 - y) ** b / (a * mpmath.beta(a, b))

    if y < (a + 1) / (a + b + 2):
        below = part(a, b, y)
        return below, 1 - below
    above = part(b, a, 1 - y)
    return 1 - above, above


def beta_binomial_tails(y, eta, phi, trials):
    a, b = phi / (1 + mpmath.exp(-eta)), phi / (1 + mpmath.exp(eta))
    ways = [mpmath.binomial(trials, k) for k in range(int(trials) + 1)]
    p = [w * mpmath.rf(a, k) * mpmath.rf(b, trials - k) for k, w in enumerate(ways)]
    parts = mpmath.fsum(p[: int(y) + 1]), mpmath.fsum(p[int(y) + 1 :])
    return tuple(part / sum(parts) for part in parts)


def com_poisson_tails(y, eta, shape):
    k, term, below, above = 0, mpmath.mpf(1), mpmath.mpf(0), mpmath.mpf(0)
    while k <= max(y, mpmath.exp(eta)) + 1 or term > above * mpmath.eps:
        below, above = (below + term, above) if k <= y else (below, above + term)
        k += 1
        term *= mpmath.exp(shape * (eta - mpmath.log(k)))
    return below / (below + above), above / (below + above)


def hurdle_poisson_tails(y, eta, hu):
    rate = mpmath.exp(eta)
    terms = [mpmath.exp(k * eta - mpmath.loggamma(k + 1)) for k in range(1, int(y) + 1)]
    below = mpmath.fsum(terms) / mpmath.expm1(rate)
    above = mpmath.gammainc(y + 1, 0, rate, regularized=True) / -mpmath.expm1(-rate)
    return hu + (1 - hu) * below, (1 - hu) * above


def exgaussian_tails(y, eta, sigma, beta):
    with mpmath.workdps(400):
        z, r = (y - eta + beta) / sigma, sigma / beta
        tail = mpmath.exp(r * r / 2 - r * z) * mpmath.ncdf(z - r)
        return mpmath.ncdf(z) - tail, mpmath.ncdf(-z) + tail


def skew_normal_tails(y, eta, sigma, alpha):
    shift = mpmath.sqrt(2 / mpmath.pi) * alpha / mpmath.sqrt(1 + alpha**2)
    scale = sigma / mpmath.sqrt(1 - shift**2)
    z = (y - eta + scale * shift) / scale
    h, slant = abs(z), alpha if z < 0 else -alpha
    # By Owen's T function, in the angles whose tangents are slants; its ends are where it falls.
    with mpmath.workdps(40):
        low, high = mpmath.atan(abs(slant)), mpmath.pi / 2
        width = min(high - low, 60 / (h * (1 + slant**2) * (1 + h * abs(slant))))
        ends = [low + width * (mpmath.mpf(k) / 16) ** 2 for k in range(17)]
        part = mpmath.quad(lambda t: mpmath.exp(-((h / mpmath.cos(t)) ** 2) / 2), ends) / mpmath.pi
        part = 2 * mpmath.ncdf(-h) - part if slant < 0 else part
    return (part, 1 - part) if z < 0 else (1 - part, part)


def inverse_gaussian_tails(y, eta, shape):
    with mpmath.workdps(400):
        mean = mpmath.exp(eta)
        root, unit = mpmath.sqrt(shape / y), y / mean
        other = mpmath.exp(2 * shape / mean) * mpmath.ncdf(-root * (unit + 1))
        below = mpmath.ncdf(root * (unit - 1)) + other
        return below, mpmath.ncdf(root * (1 - unit)) - other


def tails_of(name, *values, **parameters):
    """Logarithms of P(Y <= y) and P(Y > y), with 60 digits."""
    with mpmath.workdps(60):
        row = [mpmath.mpf(float(v)) if isinstance(v, float) else mpmath.mpf(v) for v in values]
        named = {
            k: v if isinstance(v, mpmath.mpf) else mpmath.mpf(float(v))
            for k, v in parameters.items()
        }
        return [mpmath.log(v) if v else -mpmath.inf for v in EXACT[name][0](*row, **named)]


# Rows by y, the linear predictor and the parameters, far into the tails.
EXACT = {
    "inverse_gaussian": (
        inverse_gaussian_tails,
        {"y": (0.02, 0.3, 1.0, 2.0, 30.0, 400.0), "eta": (0.0, 1.5), "shape": (0.05, 1.0, 60.0)},
    ),
    "beta": (
        beta_tails,
        {
            "y": (1e-8, 0.01, 0.4, 0.98, 1 - 1e-6),
            "eta": (-9.0, -2.0, 0.0, 5.0),
            "phi": (0.02, 1.0, 2.0, 30.0, 2000.0),
        },
    ),
    "beta_binomial": (
        beta_binomial_tails,
        {
            "y": (0.0, 1.0, 7.0, 39.0),
            "eta": (-9.0, -1.0, 4.0),
            "phi": (0.02, 1.0, 30.0, 1e4),
            "trials": (40.0,),
        },
    ),
    "com_poisson": (
        com_poisson_tails,
        {"y": (0.0, 1.0, 5.0, 60.0), "eta": (-5.0, 0.0, 1.7, 4.5), "shape": (0.2, 1.0, 9.0)},
    ),
    "hurdle_poisson": (
        hurdle_poisson_tails,
        {"y": (1.0, 2.0, 30.0), "eta": (-18.0, -0.3, 0.5, 4.5), "hu": (1e-9, 0.3)},
    ),
    "exgaussian": (
        exgaussian_tails,
        {
            "y": (-30.0, -2.0, 0.3, 5.0, 40.0),
            "eta": (0.0,),
            "sigma": (0.3, 2.0),
            "beta": (1e-4, 0.2, 1.0, 60.0),
        },
    ),
    "skew_normal": (
        skew_normal_tails,
        {
            "y": (-9.0, -1.5, 0.1, 0.9, 5.0),
            "eta": (0.0,),
            "sigma": (0.4, 1.5),
            "alpha": (-40.0, -1.0, 0.01, 0.3, 6.0),
        },
    ),
}


class Inflated:
    """A SciPy distribution with additional zeros."""

    def __init__(self, base, zi):
        self.base, self.zi = base, zi

    def logpmf(self, y):
        inside = np.log1p(-self.zi) + self.base.logpmf(y)
        return np.where(y == 0, np.logaddexp(np.log(self.zi), inside), inside)

    def sf(self, y):
        return np.where(y < 0, 1, (1 - self.zi) * self.base.sf(y))

    def cdf(self, y):
        return np.where(y < 0, 0, self.zi + (1 - self.zi) * self.base.cdf(y))

    def logcdf(self, y):
        return np.log(self.cdf(y))

    def logsf(self, y):
        return np.log(self.sf(y))


def skew_normal(m, p):
    shift = np.sqrt(2 / np.pi) * p["alpha"] / np.hypot(1, p["alpha"])
    scale = p["sigma"] / np.sqrt(1 - shift**2)
    return stats.skewnorm(p["alpha"], m - scale * shift, scale)


SCIPY = {
    "gaussian": lambda m, p: stats.norm(m, p["sigma"]),
    "student": lambda m, p: stats.t(p["nu"], m, p["sigma"]),
    "laplace": lambda m, p: stats.laplace(m, p["sigma"]),
    "asym_laplace": lambda m, p: stats.laplace_asymmetric(
        np.sqrt(p["quantile"] / (1 - p["quantile"])),
        m,
        p["sigma"] / np.sqrt(p["quantile"] * (1 - p["quantile"])),
    ),
    "gumbel": lambda m, p: stats.gumbel_r(m, p["sigma"]),
    "gev": lambda m, p: stats.genextreme(-p["xi"], m, p["sigma"]),
    "lognormal": lambda m, p: stats.lognorm(p["sigma"], scale=np.exp(m)),
    "shifted_lognormal": lambda m, p: stats.lognorm(p["sigma"], p["ndt"], np.exp(m)),
    "weibull": lambda m, p: stats.weibull_min(
        p["shape"], scale=np.exp(m) / special.gamma(1 + 1 / p["shape"])
    ),
    "exponential": lambda m, p: stats.expon(scale=np.exp(m)),
    "poisson": lambda m, p: stats.poisson(np.exp(m)),
    "negbinomial": lambda m, p: stats.nbinom(p["shape"], p["shape"] / (p["shape"] + np.exp(m))),
    "gamma": lambda m, p: stats.gamma(p["shape"], scale=np.exp(m) / p["shape"]),
    "inverse_gaussian": lambda m, p: stats.invgauss(np.exp(m) / p["shape"], scale=p["shape"]),
    "binomial": lambda m, p: stats.binom(TRIALS, special.expit(m)),
    "zero_inflated_poisson": lambda m, p: Inflated(SCIPY["poisson"](m, p), p["zi"]),
    "zero_inflated_negbinomial": lambda m, p: Inflated(SCIPY["negbinomial"](m, p), p["zi"]),
    "zero_inflated_binomial": lambda m, p: Inflated(SCIPY["binomial"](m, p), p["zi"]),
    "beta": lambda m, p: stats.beta(special.expit(m) * p["phi"], special.expit(-m) * p["phi"]),
    "beta_binomial": lambda m, p: Sums(
        stats.betabinom(TRIALS, special.expit(m) * p["phi"], special.expit(-m) * p["phi"]).logpmf,
        TRIALS,
    ),
    "zero_inflated_beta_binomial": lambda m, p: Inflated(SCIPY["beta_binomial"](m, p), p["zi"]),
    "com_poisson": lambda m, p: Sums(lambda k: p["shape"] * (k * m - special.gammaln(k + 1.0))),
    "exgaussian": lambda m, p: Exact(
        "exgaussian",
        stats.exponnorm(p["beta"] / p["sigma"], m - p["beta"], p["sigma"]).logpdf,
        eta=m,
        sigma=p["sigma"],
        beta=p["beta"],
    ),
    "skew_normal": skew_normal,
    "zero_inflated_beta": lambda m, p: Points(SCIPY["beta"](m, p), p["zi"]),
    "zero_one_inflated_beta": lambda m, p: Points(
        SCIPY["beta"](m, p), p["zoi"] * (1 - p["coi"]), p["zoi"] * p["coi"]
    ),
    "hurdle_poisson": lambda m, p: Points(SCIPY["poisson"](m, p), p["hu"], counts=True),
    "hurdle_negbinomial": lambda m, p: Points(SCIPY["negbinomial"](m, p), p["hu"], counts=True),
    "hurdle_gamma": lambda m, p: Points(SCIPY["gamma"](m, p), p["hu"]),
    "hurdle_lognormal": lambda m, p: Points(SCIPY["lognormal"](m, p), p["hu"]),
    "geometric": lambda m, p: stats.nbinom(1, 1 / (1 + np.exp(m))),
}
TRIALS = 10
# Truncation, for families of all numbers and of positive ones.
BOUNDS = {"lower": 0.5, "upper": 7.0}


def unit(name):
    """What the rows are told in: all of them lie in (0, 1), for shares."""
    return 0.125 if FAMILIES[name].upper == 1 else 1.0


def rows(name):
    """Rows of every status, of counts or not, and linear predictors on both sides of them."""
    y = np.array([1.0, 2.0, 4.0, 6.0])
    if not FAMILIES[name].counts:
        y = y - 0.3
    table = pd.DataFrame(
        [
            {"y": v * unit(name), "status": s, "y2": min(v + w, 7.0) * unit(name), "eta": eta}
            for v in y
            for s in ("none", "left", "right", "interval")
            for w in (1.0, 3.0)
            for eta in (-1.0, 0.4, 1.5)
        ]
    )
    return table[(table["status"] != "interval") | (table["y2"] > table["y"])]


def likelihood(name, formula, table, **options):
    """The model, and its log-likelihood of rows as a function of eta and the parameters."""
    if FAMILIES[name].trials:
        formula = formula.replace("(y,", "(prop(y, n),").replace("y | ", "y | trials(n) + ")
        table = table.assign(n=TRIALS if table["y"].max() < TRIALS else 4000)
    model = hm.model(table, f"{formula} ~ 1", family=name, **options)
    joint = model._joint
    names = [p.name for p in model.specification.auxiliary]

    def log_prob(eta, *values):
        return joint.functions.likelihood(joint.data, eta, *values).log_prob(joint.data["y"])

    return model, names, log_prob


def between(distribution, low, high):
    """Log P(low < Y <= high), in the tail that keeps the digits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.log(distribution.cdf(high) - distribution.cdf(low))
        above = np.log(distribution.sf(low) - distribution.sf(high))
    return np.where(distribution.sf(low) < 0.5, above, below)


def expected(name, table, *, censored, bounds):
    """The log-likelihood of the rows by SciPy."""
    d = SCIPY[name](table["eta"].to_numpy(), PARAMETERS)
    y, y2, status = (table[c].to_numpy() for c in ("y", "y2", "status"))
    low, high = bounds.get("lower", -np.inf), bounds.get("upper", np.inf)
    if FAMILIES[name].counts:
        low = np.ceil(low) - 1
    exact = d.logpmf(y) if FAMILIES[name].counts else d.logpdf(y)
    if not censored:
        return exact - between(d, low, high)
    parts = {
        "none": exact,
        "left": between(d, low, y) if bounds else d.logcdf(y),
        "right": between(d, y, high) if bounds else d.logsf(y),
        "interval": between(d, y, y2),
    }
    whole = between(d, low, high) if bounds else 0.0
    return np.select([status == s for s in parts], list(parts.values())) - whole


CASES = {
    "censored": ("censored(y, status, y2)", True, ()),
    "truncated": ("truncated(y, {lower}, {upper})", False, ("lower", "upper")),
    "truncated below": ("y | trunc(lb={lower})", False, ("lower",)),
    "truncated above": ("y | trunc(ub={upper})", False, ("upper",)),
    "both": ("y | cens(status, y2) + trunc(lb={lower}, ub={upper})", True, ("lower", "upper")),
}


def usable(table, censored, bounds):
    """Rows for which something lies above them."""
    if not censored:
        return table[table["status"] == "none"].drop_duplicates(["y", "eta"])
    at_end = (table["y"] >= bounds.get("upper", np.inf)) & (table["status"] == "right")
    return table[~at_end]


def evaluated(log_prob, eta, parameters):
    """Log-likelihoods, and derivatives of their sum."""
    with tf.GradientTape() as tape:
        tape.watch([eta, *parameters])
        values = log_prob(eta, *parameters)
        total = tf.reduce_sum(values)
    return values, tape.gradient(total, [eta, *parameters], unconnected_gradients="zero")


COMPILED = ("gaussian", "weibull", "lognormal", "poisson", "gamma", "binomial")
COMPILED += ("beta", "beta_binomial", "com_poisson", "exgaussian", "skew_normal")
"""One family of each kind of tail: compiling takes seconds."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", CENSORABLE)
def test_density_and_gradient(name, case):
    formula, censored, ends = CASES[case]
    bounds = {end: BOUNDS[end] * unit(name) for end in ends}
    formula = formula.format(**bounds)
    table = usable(rows(name), censored, bounds)
    _, names, log_prob = likelihood(name, formula, table)
    eta = tf.constant(table["eta"].to_numpy())
    parameters = [tf.constant(PARAMETERS[n], tf.float64) for n in names]
    values, gradients = evaluated(log_prob, eta, parameters)
    np.testing.assert_allclose(
        values, expected(name, table, censored=censored, bounds=bounds), rtol=1e-10, atol=1e-10
    )
    if case == "both" and name in COMPILED:  # all that the others have
        compiled = tf.function(lambda *a: evaluated(log_prob, a[0], a[1:]), jit_compile=True)
        for found, other in zip(
            tf.nest.flatten(compiled(eta, *parameters)), [values, *gradients], strict=True
        ):
            np.testing.assert_allclose(found, other, rtol=1e-9, atol=1e-10)
    step = 1e-5
    for i, (at, slope) in enumerate(zip([eta, *parameters], gradients, strict=True)):

        def moved(by, i=i):
            inputs = [eta, *parameters]
            inputs[i] = inputs[i] + by
            return log_prob(*inputs)

        difference = (moved(step) - moved(-step)) / (2 * step)
        difference = difference if i == 0 else tf.reduce_sum(difference)
        np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-6, err_msg=str(at))


@pytest.mark.parametrize("name", CENSORABLE)
def test_far_tails_are_finite_and_so_are_their_gradients(name):
    """Starting points are bad guesses: rows a thousand units off must still have a slope."""
    table = pd.DataFrame(
        {
            "y": [1.0, 2.0, 400.0, 3000.0] * 3,
            "status": ["none"] * 4 + ["left"] * 4 + ["right"] * 4,
        }
    )
    if FAMILIES[name].upper == 1:
        table["y"] = [1e-8, 0.2, 0.9, 1 - 1e-8] * 3
    _, names, log_prob = likelihood(name, "censored(y, status)", table)
    # Of a location, and of a logarithm.
    far = 1000.0 if FAMILIES[name].links[0] == "identity" and not FAMILIES[name].log_scale else 6.0
    # Beyond, the density of these is zero, of gumbel in float64.
    far = {"gumbel": 300.0, "gev": 5.0}.get(name, far)
    graph = tf.function(lambda *a: evaluated(log_prob, a[0], a[1:]))  # loops are slow without
    for eta in (-far, 0.0, 0.5 * far, far):
        parameters = [tf.constant(PARAMETERS[n], tf.float64) for n in names]
        found = graph(tf.fill([12], np.float64(eta)), *parameters)
        for part in tf.nest.flatten(found):
            assert np.isfinite(part).all(), (eta, part)


@pytest.mark.parametrize("name", EXACT)
def test_tails_and_their_derivatives_with_all_digits(name):
    _, grid = EXACT[name]
    rows = [dict(zip(grid, row, strict=True)) for row in itertools.product(*grid.values())]
    given = {k: tf.constant([row[k] for row in rows], tf.float64) for k in grid}
    moving = {k: v for k, v in given.items() if k not in ("y", "trials")}
    family = FAMILIES[name]
    text = fill(family.tails, LINKS[family.links[0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(moving)
        likely = evaluate(text, data=given, **{k: v for k, v in given.items() if k != "y"})
        found = likely.log_cdf(given["y"]), likely.log_survival_function(given["y"])
    exact = np.array([[float(v) for v in tails_of(name, **row)] for row in rows]).T
    for tail, right in zip(found, exact, strict=True):
        # Of what is nearly all, the logarithm is as good as one minus it.
        np.testing.assert_allclose(tail, right, 1e-10, 1e-15)
    for which, tail in enumerate(found):
        slopes = tape.gradient(tail, moving)
        for parameter, slope in slopes.items():
            for i in range(0, len(rows), 7):
                with mpmath.workdps(60):
                    row = {k: mpmath.mpf(v) for k, v in rows[i].items()}
                    step = mpmath.mpf(10) ** -15
                    up, down = (
                        tails_of(name, **row | {parameter: row[parameter] + sign * step})[which]
                        for sign in (1, -1)
                    )
                    right = float((up - down) / (2 * step)) if mpmath.isfinite(up) else 0.0
                assert float(slope[i]) == pytest.approx(right, rel=1e-8, abs=1e-10), rows[i]


def test_censored_rows_beyond_the_end_of_gev():
    table = pd.DataFrame({"y": [-9.0, -9.0, 0.0, 9.0, 9.0], "c": [-1, 1, 0, -1, 1]})
    _, _, log_prob = likelihood("gev", "censored(y, c)", table)
    for xi, impossible in ((0.2, [0]), (-0.2, [4])):
        given = [tf.constant(v, tf.float64) for v in (1.0, xi)]
        found = log_prob(tf.zeros([5], tf.float64), *given).numpy()
        assert np.flatnonzero(~np.isfinite(found)).tolist() == impossible
        assert found[1 if xi > 0 else 3] == 0


@pytest.mark.parametrize("name", ["poisson", "negbinomial", "student", "gamma"])
def test_leading_terms_join_the_tails(name):
    """Where a tail is too small for float64 its leading term takes over, at about 1e-290."""
    if name == "student":
        y, eta = np.array([500.0, -500.0]), np.linspace(-20, 20, 9)
        parameters = {"sigma": 1.0, "nu": 250.0}
    elif name == "gamma":  # of which the tail is a density of its own
        y, eta = np.array([2.0, 900.0]), np.log([60.0, 200.0, 900.0, 1500.0, 4000.0])
        parameters = {"shape": 120.0}
    else:
        y, eta = np.array([2.0, 900.0]), np.log([60.0, 200.0, 900.0, 1500.0, 4000.0])
        parameters = {"shape": 300.0}
    for status in ("left", "right"):
        table = pd.DataFrame({"y": [*y, 5.0], "status": [status, status, "none"]})
        _, names, log_prob = likelihood(name, "censored(y, status)", table)
        for at in eta:
            given = [tf.constant(parameters[n], tf.float64) for n in names]
            found = log_prob(tf.fill([3], np.float64(at)), *given).numpy()[:2]
            d = SCIPY[name](at, {**PARAMETERS, **parameters})
            exact = d.logcdf(y) if status == "left" else d.logsf(y)
            near = exact > -650
            np.testing.assert_allclose(found[near], exact[near], rtol=1e-9, atol=1e-12)
            assert (found[~near] < -640).all()


@pytest.mark.parametrize("name", ["gaussian", "student"])
@pytest.mark.parametrize("keeps", [False, True])
def test_standard_errors(name, keeps):
    table = pd.DataFrame({"y": [1.0, 2.0, -0.5, 8.0], "s": [0.1, 1.0, 2.0, 0.7]})
    formulas = [f"se(y, s, sigma={keeps})", f"y | se(s, sigma={str(keeps).upper()})"]
    for formula in formulas:
        model, names, log_prob = likelihood(name, formula, table)
        assert ("sigma" in names) == keeps
        eta = np.array([0.3, 1.0, 1.0, -2.0])
        given = [tf.constant(PARAMETERS[n], tf.float64) for n in names]
        scale = np.hypot(PARAMETERS["sigma"] * keeps, table["s"])
        d = SCIPY[name](eta, {**PARAMETERS, "sigma": scale})
        np.testing.assert_allclose(log_prob(tf.constant(eta), *given), d.logpdf(table["y"]), 1e-12)
        assert "sigma" in model.priors.index or not keeps


def test_standard_errors_of_censored_rows():
    table = pd.DataFrame({"y": [1.0, 2.0], "s": [0.1, 1.0], "c": [1, 0]})
    _, _, log_prob = likelihood("gaussian", "y | se(s) + cens(c)", table)
    found = log_prob(tf.constant([0.9, 1.0], tf.float64))
    right = stats.norm(0.9, 0.1).logsf(1.0), stats.norm(1, 1).logpdf(2)
    np.testing.assert_allclose(found, right, rtol=1e-12)


def test_weights_multiply_what_is_censored():
    table = pd.DataFrame({"y": [1.0, 2.0], "w": [3.0, 0.5], "c": ["right", "none"]})
    _, names, plain = likelihood("weibull", "censored(y, c)", table)
    _, _, weighted = likelihood("weibull", "weighted(censored(y, c), w)", table)
    eta, given = tf.constant([0.1, 0.2], tf.float64), [tf.constant(1.4, tf.float64)]
    assert names == ["shape"]
    np.testing.assert_allclose(weighted(eta, *given), plain(eta, *given) * table["w"], 1e-14)


def test_statuses_have_three_spellings():
    words = pd.DataFrame({"y": [1.0, 2.0, 3.0], "c": ["none", "left", "right"]})
    numbers = words.assign(c=[0, -1, 1])
    frames = [words, numbers, words.assign(c=words["c"].astype("category"))]
    found = [hm.model(f, "censored(y, c) ~ 1").joint for f in frames]
    point = [tf.constant(v, tf.float64) for v in (1.0, 2.0)]
    y = tf.constant(words["y"].to_numpy())
    assert len({float(joint.log_prob([*point, y])) for joint in found}) == 1
    flag = hm.model(words.assign(c=[False, True, True]), "y | cens(c) ~ 1").specification
    assert flag.design.response.status.tolist() == [0, 1, 1]


# --- exposure and frequencies --------------------------------------------------------------------

COUNTS = pd.DataFrame(
    {
        "k": [0, 3, 1, 7, 2, 12, 5, 4],
        "e": [0.5, 1.0, 2.0, 2.0, 1.0, 3.0, 0.5, 2.0],
        "x": [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0],
        "g": list("aabbccdd"),
        "n": [1, 2, 0, 3, 1, 1, 4, 2],
    }
)


@pytest.mark.parametrize("link", ["log", "sqrt", "softplus"])
@pytest.mark.parametrize("name", decorations.EXPOSED)
def test_exposure_multiplies_the_mean_and_the_shape(name, link):
    """Of twice the exposure, the count is the sum of two."""
    eta, e, y = np.linspace(0.2, 1.5, 8), COUNTS["e"].to_numpy(), COUNTS["k"].to_numpy()
    mean = e * {"log": np.exp, "sqrt": np.square, "softplus": np.log1p}[link](
        np.exp(eta) if link == "softplus" else eta
    )
    shape = e * (PARAMETERS["shape"] if name == "negbinomial" else 1.0)
    d = stats.poisson(mean) if name == "poisson" else stats.nbinom(shape, shape / (shape + mean))
    for formula in ("rate(k, e)", "k | rate(e)"):
        _, names, log_prob = likelihood(name, formula, COUNTS, link=link)
        given = [tf.constant(PARAMETERS[n], tf.float64) for n in names]
        np.testing.assert_allclose(log_prob(tf.constant(eta), *given), d.logpmf(y), 1e-10)
    # Censored rows too.
    _, names, log_prob = likelihood(name, "k | rate(e) + cens('right')", COUNTS, link=link)
    found = log_prob(tf.constant(eta), *(tf.constant(PARAMETERS[n], tf.float64) for n in names))
    np.testing.assert_allclose(found, d.logsf(y), 1e-9)


def test_exposure_with_a_log_link_is_an_offset():
    exposed = hm.model(COUNTS, "rate(k, e) ~ x + (1 | g)", family="poisson", center=False)
    offset = hm.model(COUNTS, "k ~ x + (1 | g) + offset(log(e))", family="poisson", center=False)
    drawn = exposed.joint.sample(5, seed=tf.constant([1, 2], tf.int32))
    prior = {n: offset.joint.model[i].log_prob(drawn[i]) for i, n in ((0, "Intercept"), (1, "x"))}
    found = [joint.model[-1](*reversed(drawn[:-1])).log_prob(drawn[-1])
             for joint in (exposed.joint, offset.joint)]  # fmt: skip
    np.testing.assert_allclose(*found, 1e-12)
    assert np.isfinite(list(prior.values())).all()
    # The default prior is about the rate: all counts over all exposures.
    assert exposed.specification.start == pytest.approx(np.log(34 / 12))
    assert str(exposed.equations()).strip().startswith("k[i] ~ poisson(exposure[i] * mu[i])")


def test_exposures_add_up_exactly():
    table = pd.concat([COUNTS] * 3, ignore_index=True)
    for name in ("poisson", "geometric"):
        model = hm.model(table, "rate(k, e) ~ x", family=name)
        plan, plain = model.plan(), model.plan(shortcuts=False)
        assert plan.notes["rows"].startswith("24 compressed to 2")
        at = tf.constant(np.random.default_rng(1).normal(size=(5, 2)))
        gap = plan.log_density(at, plan.arguments) - plain.log_density(at, plain.arguments)
        assert np.ptp(gap) < 1e-10


def test_new_rows_without_an_exposure_have_one_unit():
    from hiermod.formula import new_design

    design = hm.model(COUNTS, "rate(k, e) ~ x", family="poisson").specification.design
    assert new_design(design, COUNTS[["x"]]).response.rate.tolist() == [1.0] * 8
    assert new_design(design, COUNTS[["x", "e"]]).response.rate.tolist() == list(COUNTS["e"])


def test_a_frequency_is_so_many_rows():
    repeated = COUNTS.loc[np.repeat(COUNTS.index, COUNTS["n"])].reset_index(drop=True)
    models = [
        hm.model(data, parts, family="negbinomial")
        for data, left in [(COUNTS, "frequency(k, n)"), (COUNTS, "k | frequency(n)"),
                           (repeated, "k")]
        for parts in [hm.formula(f"{left} ~ x + (1 | g)", shape="~ x")]
    ]  # fmt: skip
    short, brms, long = models
    # Everything else follows from these: priors, centring, sums, log-likelihood of each row.
    pd.testing.assert_frame_equal(short.priors, long.priors)
    assert short._joint.source == brms._joint.source == long._joint.source
    for data in (short._joint.data, brms._joint.data):
        assert data.keys() == long._joint.data.keys()
        for key, value in long._joint.data.items():
            np.testing.assert_array_equal(data[key], value)
    assert short.specification.design.n_rows == 14
    assert short.specification.design.dropped == 0


def test_a_frequency_with_missing_rows_and_doubled_labels():
    table = COUNTS.assign(x=COUNTS["x"].where(COUNTS.index > 0)).set_index(pd.Index([5] * 8))
    model = hm.model(table, "frequency(k, n) ~ x", family="poisson", dropna=True)
    design = model.specification.design
    assert (design.n_rows, design.dropped) == (13, 1)
    assert design.positions.tolist() == [1, 1, 3, 3, 3, 4, 5, 6, 6, 6, 6, 7, 7]
    assert design.response.values.tolist() == table["k"].iloc[design.positions].tolist()
    assert model.sample_prior(2, seed=1).prior_predictive.sizes["__obs__"] == 13


# --- draws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        *((name, {"lb": 1.5, "ub": 4.0}) for name in CENSORABLE if name != "geometric"),
        *(
            (name, bounds)
            for name in ("gaussian", "poisson")
            for bounds in ({"lb": 2.0}, {"ub": 3.0})
        ),
    ],
    ids=str,
)
def test_draws_lie_inside_the_bounds(name, bounds):
    bounds = {end: value * unit(name) for end, value in bounds.items()}
    table = pd.DataFrame(
        {"y": np.array([2.0, 3.0, 2.0]) * unit(name), "eta": [-1.0, 0.5, 2.0]},
    )
    words = ", ".join(f"{k}={v}" for k, v in bounds.items())
    model, names, _ = likelihood(name, f"y | trunc({words})", table)
    eta = tf.constant(table["eta"].to_numpy())
    given = [tf.constant(PARAMETERS[n], tf.float64) for n in names]
    likely = model._joint.functions.likelihood(model._joint.data, eta, *given)
    n = 5000
    drawn = likely.sample(n, seed=tf.constant([3, 4], tf.int32)).numpy()
    low, high = bounds.get("lb", -np.inf), bounds.get("ub", np.inf)
    assert drawn.shape == (n, 3)
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    d = SCIPY[name](table["eta"].to_numpy(), PARAMETERS)
    below = np.ceil(low) - 1 if FAMILIES[name].counts else low
    for y in np.array([1.8, 2.0, 2.7, 3.0]) * unit(name):
        mass = np.exp(between(d, below, min(y, high)) - between(d, below, high))
        mass = np.where(y < low, 0, mass)
        # Five standard errors of a share.
        error = 5 * np.sqrt(mass * (1 - mass) / n) + 1e-9
        assert (np.abs((drawn <= y).mean(0) - mass) < error).all()


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.points])
def test_zeros_at_the_end_of_the_support(name):
    """They lie at or below zero, and inside of bounds from zero on."""
    high = 2.0 * unit(name)
    table = pd.DataFrame(
        {"y": np.array([0.0, 0.0, 0.0, 1.0, 0.0]) * unit(name), "y2": high}
        | {"c": ["left", "right", "interval", "none", "none"]}
    )
    d = SCIPY[name](0.3, PARAMETERS)
    zero, below = d.cdf(0.0), d.cdf(high)
    inside, none = d.logpdf(table["y"][3]), np.log(zero)
    for formula, parts in [
        ("y | cens(c, y2)", [none, np.log(1 - zero), np.log(below - zero), inside, none]),
        (
            f"y | cens(c, y2) + trunc(0, {high})",
            np.array([none, np.log(below - zero), np.log(below - zero), inside, none])
            - np.log(below),
        ),
    ]:
        model, names, log_prob = likelihood(name, formula, table)
        eta = tf.fill([5], np.float64(0.3))
        given = [tf.constant(PARAMETERS[n], tf.float64) for n in names]
        values, gradients = evaluated(log_prob, eta, given)
        np.testing.assert_allclose(values, parts, 1e-10)
        assert all(np.isfinite(slope).all() for slope in gradients)
    likely = model._joint.functions.likelihood(model._joint.data, eta, *given)
    drawn = likely.sample(2000, seed=tf.constant([3, 4], tf.int32)).numpy()
    share = zero / below
    assert (drawn == 0).mean() == pytest.approx(share, abs=5 * np.sqrt(share / 10_000))
    assert drawn.max() <= high


def test_draws_far_from_the_bulk():
    """Bounds thirty standard deviations off, where a rejection would never end."""
    table = pd.DataFrame({"y": [31.0, 32.0]})
    model, _, _ = likelihood("gaussian", "truncated(y, 30, 33)", table)
    one = tf.constant(1.0, tf.float64)
    eta = tf.zeros([2], tf.float64)
    drawn = model._joint.functions.likelihood(model._joint.data, eta, one).sample(4000, seed=[1, 2])
    excess = drawn.numpy() - 30
    assert (excess >= 0).all()
    # Mills' ratio: an exponential of rate 30 nearly.
    assert excess.mean() == pytest.approx(1 / 30 - 2 / 30**3, abs=5 / 30 / np.sqrt(8000))


def test_what_follows_from_a_fit():
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"y": rng.poisson(2.0, 200)}).query("y > 0")
    model = hm.model(table, "truncated(y, 1) ~ 1", family="poisson")
    fit = model.fit(seed=1, draws=300, warmup=300, chains=2, progress=False)
    # The maximum of the zero-truncated likelihood solves mean = rate / (1 - exp(-rate)).
    rate = 2.0
    for _ in range(100):
        rate = table["y"].mean() * -np.expm1(-rate)
    assert fit.posterior["Intercept"].mean() == pytest.approx(np.log(rate), abs=0.05)
    fit.add_log_likelihood()
    fit.add_posterior_predictive(seed=1)
    eta = fit.posterior["Intercept"].to_numpy()[..., None]
    plain = stats.poisson.logpmf(table["y"].to_numpy(), np.exp(eta))
    right = plain - np.log(-np.expm1(-np.exp(eta)))
    np.testing.assert_allclose(fit.idata.log_likelihood["y"], right, rtol=1e-9)
    drawn = fit.idata.posterior_predictive["y"].to_numpy()
    assert drawn.min() == 1
    assert drawn.mean() == pytest.approx(table["y"].mean(), abs=0.1)


# --- the model -----------------------------------------------------------------------------------

TABLE = pd.DataFrame(
    {
        "y": [0.5, 1.0, 2.0, 4.0, 3.0, 2.5],
        "k": [0, 1, 2, 4, 3, 2],
        "s": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        "c": ["none", "left", "right", "interval", "none", "right"],
        "y2": [1.0, 2.0, 3.0, 5.0, 4.0, 3.0],
        "x": [0.0, 1.0, 0.5, 0.2, 0.9, 0.1],
        "g": ["a", "b", "a", "b", "c", "c"],
    }
)
MODELS = [
    ("se(y, s) ~ x + (1 | g)", "gaussian"),
    ("y | se(s, sigma=TRUE) + weights(s) ~ x", "student"),
    ("censored(y, c, y2) ~ x", "gumbel"),
    ("censored(y, c, y2) ~ x", "exponential"),
    ("y | cens(c, y2) + trunc(lb=0.1, ub=9) ~ x", "shifted_lognormal"),
    ("truncated(k, 0, 9) ~ x", "poisson"),
    ("k | cens(c, y2) ~ x + (1 | g)", "poisson"),
    ("k | trials(9) + cens(c, y2) ~ x", "zero_inflated_beta_binomial"),
    ("censored(y, c, y2) ~ x", "exgaussian"),
    ("censored(s, 'right') ~ x", "beta"),
]


@pytest.mark.parametrize(("formula", "family"), MODELS)
def test_the_program_gives_the_same_density(formula, family):
    model = hm.model(TABLE, formula, family=family)
    scope = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(3, seed=tf.constant([5, 6], tf.int32))
    response = tf.constant(model.specification.design.response.values)
    point = [*drawn[:-1], tf.stack([response] * 3)]
    found = scope["joint"].log_prob(point)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, model.joint.log_prob(point), rtol=1e-12)
    assert model.plan().notes["rows"].startswith("6, one by one: a response with ")
    assert model.sample_prior(2, seed=1).prior_predictive.sizes["draw"] == 2


def test_equations():
    def first(formula):
        equations = hm.model(TABLE, formula).equations()
        return str(equations).split("\n")[0].strip(), equations.latex[0][2]

    assert first("se(y, s) ~ x")[0] == "y[i] ~ normal(mu[i], se[i])"
    text, latex = first("y | se(s, sigma=TRUE) + cens(c, y2) ~ x")
    assert text == "y[i] ~ normal(mu[i], sqrt(sigma^2 + se[i]^2))   with censoring"
    assert r"\sqrt{\sigma^2 + \text{se}_i^2}" in latex


def test_shortcuts_do_not_apply():
    plan = hm.model(TABLE, "y | se(s) + cens(c, y2) ~ x + (1 | g)").plan()
    assert not plan.done
    assert plan.notes["rows"] == (
        "6, one by one: a response with known standard errors and censoring has no sums that the "
        "rest depends on"
    )
    for formula, family in [
        ("truncated(k, 0) ~ (1 | g)", "poisson"),
        ("se(y, s) ~ (1 | g)", "gaussian"),
    ]:
        with pytest.raises(hm.ModelError, match="does not know a response with"):
            hm.model(TABLE, formula, family=family).plan(approximate="laplace")


def test_constant_data_tells_of_them():
    prior = hm.model(TABLE, "y | se(s) + cens(c, y2) + trunc(ub=9) ~ x").sample_prior(2, seed=1)
    assert {"se", "status", "y2", "upper"} <= set(prior.constant_data.data_vars)


def test_new_rows_read_them_with_the_response():
    from hiermod.formula import new_design

    design = hm.model(TABLE, "y | cens(c, y2) + trunc(lb=s - 1) ~ x").specification.design
    response = new_design(design, TABLE.iloc[[2, 3]], response=True).response
    assert response.status.tolist() == [1, 2]
    assert response.lower == pytest.approx(TABLE["s"].iloc[[2, 3]].to_numpy() - 1)
    assert new_design(design, TABLE[["x"]]).response.given == {}


# --- errors --------------------------------------------------------------------------------------

ERRORS = [
    ("se(y, s0)", "gaussian", hm.DataError, "standard errors must be positive: row 1 has 0"),
    ("se(y, s)", "gumbel", hm.ModelError, "Families that do, with the link 'identity': gaussian, student."),  # noqa: E501
    ("se(k, s)", "poisson", hm.ModelError, "family 'poisson' with link 'log' has none"),
    ("censored(y, c)", "gaussian", hm.DataError, "interval-censored rows need upper ends: write censored(y, status, y2): row 3 has 4"),  # noqa: E501
    ("censored(y, c, y)", "gaussian", hm.DataError, "the upper end of an interval must be larger than y: row 3 has 4"),  # noqa: E501
    ("censored(y, g)", "gaussian", hm.DataError, "'none', 'left', 'right' or 'interval' (0, -1, 1 or 2): row 0 has a, row 1 has b, row 2 has a and 3 more"),  # noqa: E501
    ("censored(y, y2, c)", "gaussian", hm.DataError, "the status 'y2' must be 'none'"),
    ("censored(s, 'right')", "von_mises", hm.ModelError, "family 'von_mises' cannot be censored"),
    ("censored(prop(k, 4), 'right')", "binomial", hm.DataError, "nothing lies above a censored k: row 3 has 4"),  # noqa: E501
    ("truncated(s, 0)", "von_mises", hm.ModelError, "cannot be truncated"),
    ("rate(k, s)", "zero_inflated_poisson", hm.ModelError, "rate() gives the exposure of counts, and not of family 'zero_inflated_poisson'. Families that it fits: poisson, negbinomial, geometric."),  # noqa: E501
    ("rate(k, s0)", "poisson", hm.DataError, "exposures must be positive: row 1 has 0"),
    ("rate(k, s, x)", "poisson", hm.FormulaError, "Write rate(y, exposure), or y | rate(exposure)."),  # noqa: E501
    ("frequency(k, s)", "poisson", hm.DataError, "the frequency 's' counts equal rows, so it must be a whole number, 0 or more: row 0 has 0.1"),  # noqa: E501
    ("frequency(k, x - x)", "poisson", hm.DataError, "the frequency 'x - x' is 0 in all rows"),
    ("k | frequency()", "poisson", hm.FormulaError, "with the number of equal rows"),
    ("truncated(y, 1)", "gaussian", hm.DataError, "y is outside the bounds of truncation, where nothing is observed: row 0 has 0.5"),  # noqa: E501
    ("truncated(k, ub=2)", "poisson", hm.DataError, "row 3 has 4, row 4 has 3"),
    ("truncated(y, 5, 4)", "gaussian", hm.DataError, "the lower bound of truncation must be below the upper one: row 0 has 5"),  # noqa: E501
    ("y | cens('left') + trunc(lb=0.5)", "gaussian", hm.DataError, "nothing lies below a left-censored y: row 0 has 0.5"),  # noqa: E501
    ("censored(u, 'right')", "zero_one_inflated_beta", hm.DataError, "nothing lies above a censored u: row 5 has 1"),  # noqa: E501
    ("censored(u, 'left')", "exponential", hm.DataError, "nothing lies below a left-censored u: row 0 has 0"),  # noqa: E501
    ("y | cens('right') + trunc(ub=4)", "gaussian", hm.DataError, "nothing lies above a censored y: row 3 has 4"),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(("response", "family", "kind", "says"), ERRORS)
def test_errors(response, family, kind, says):
    with pytest.raises(kind) as info:
        hm.model(
            TABLE.assign(s0=[1.0, 0, 1, 1, 1, 1], u=[0, 0.2, 0.4, 0.6, 0.8, 1]),
            f"{response} ~ x",
            family=family,
        )
    assert says in str(info.value)


def test_the_error_lists_the_families_that_can_be_censored():
    with pytest.raises(hm.ModelError) as info:
        hm.model(TABLE, "censored(s, 'right') ~ x", family="von_mises")
    assert str(info.value).endswith(f"Families that can be: {', '.join(CENSORABLE)}.")
    assert set(CENSORABLE) == set(SCIPY)
    assert decorations.MEASURED == ("gaussian", "student")
