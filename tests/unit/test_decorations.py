"""Known standard errors, censored and truncated responses: densities, draws, errors."""

import mpmath
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import special, stats

import hiermod as hm
from hiermod.models import decorations
from hiermod.models.families import FAMILIES
from hiermod.models.links import evaluate

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
    "geometric": lambda m, p: stats.nbinom(1, 1 / (1 + np.exp(m))),
}
TRIALS = 10
# Truncation, for families of all numbers and of positive ones.
BOUNDS = {"lower": 0.5, "upper": 7.0}


def rows(name):
    """Rows of every status, of counts or not, and linear predictors on both sides of them."""
    y = np.array([1.0, 2.0, 4.0, 6.0])
    if not FAMILIES[name].counts:
        y = y - 0.3
    table = pd.DataFrame(
        [
            {"y": v, "status": s, "y2": min(v + w, 7.0), "eta": eta}
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
    "censored": ("censored(y, status, y2)", True, {}),
    "truncated": ("truncated(y, 0.5, 7)", False, BOUNDS),
    "truncated below": ("y | trunc(lb=0.5)", False, {"lower": 0.5}),
    "truncated above": ("y | trunc(ub=7)", False, {"upper": 7.0}),
    "both": ("y | cens(status, y2) + trunc(lb=0.5, ub=7)", True, BOUNDS),
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
"""One family of each kind of tail: compiling takes seconds."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", CENSORABLE)
def test_density_and_gradient(name, case):
    formula, censored, bounds = CASES[case]
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
    _, names, log_prob = likelihood(name, "censored(y, status)", table)
    # Of a location, and of a logarithm.
    far = 1000.0 if FAMILIES[name].links[0] == "identity" and not FAMILIES[name].log_scale else 6.0
    # Beyond, the density of these is zero, of gumbel in float64.
    far = {"gumbel": 300.0, "gev": 5.0}.get(name, far)
    for eta in (-far, 0.0, 0.5 * far, far):
        parameters = [tf.constant(PARAMETERS[n], tf.float64) for n in names]
        found = evaluated(log_prob, tf.fill([12], np.float64(eta)), parameters)
        for part in tf.nest.flatten(found):
            assert np.isfinite(part).all(), (eta, part)


@pytest.mark.parametrize("shape", [0.05, 1.0, 60.0])
def test_tails_of_inverse_gaussian_with_all_digits(shape):
    y = np.array([0.02, 0.3, 1.0, 2.0, 30.0, 400.0])
    unit = evaluate(FAMILIES["inverse_gaussian"].tails.format(log_mean="eta"), eta=0.0, shape=shape)
    below, above = [], []
    with mpmath.workdps(400):
        for v in map(mpmath.mpf, y):
            root = mpmath.sqrt(shape / v)
            other = mpmath.exp(2 * mpmath.mpf(shape)) * mpmath.ncdf(-root * (v + 1))
            below.append(float(mpmath.log(mpmath.ncdf(root * (v - 1)) + other)))
            above.append(float(mpmath.log(mpmath.ncdf(root * (1 - v)) - other)))
    np.testing.assert_allclose(unit.log_cdf(y), below, 1e-10, 1e-15)
    np.testing.assert_allclose(unit.log_survival_function(y), above, 1e-10, 1e-15)


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
    table = pd.DataFrame({"y": [2.0, 3.0, 2.0], "eta": [-1.0, 0.5, 2.0]})
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
    for y in (1.8, 2.0, 2.7, 3.0):
        mass = np.exp(between(d, below, min(y, high)) - between(d, below, high))
        mass = np.where(y < low, 0, mass)
        # Five standard errors of a share.
        error = 5 * np.sqrt(mass * (1 - mass) / n) + 1e-9
        assert (np.abs((drawn <= y).mean(0) - mass) < error).all()


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
    ("censored(y, c, y2)", "exgaussian", hm.ModelError, "family 'exgaussian' cannot be censored"),
    ("censored(prop(k, 4), 'right')", "binomial", hm.DataError, "nothing lies above a censored k: row 3 has 4"),  # noqa: E501
    ("truncated(k, 0)", "hurdle_poisson", hm.ModelError, "cannot be truncated"),
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
    ("y | cens('right') + trunc(ub=4)", "gaussian", hm.DataError, "nothing lies above a censored y: row 3 has 4"),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(("response", "family", "kind", "says"), ERRORS)
def test_errors(response, family, kind, says):
    with pytest.raises(kind) as info:
        hm.model(TABLE.assign(s0=[1.0, 0, 1, 1, 1, 1]), f"{response} ~ x", family=family)
    assert says in str(info.value)


def test_the_error_lists_the_families_that_can_be_censored():
    with pytest.raises(hm.ModelError) as info:
        hm.model(TABLE, "censored(y, c, y2) ~ x", family="exgaussian")
    assert str(info.value).endswith(f"Families that can be: {', '.join(CENSORABLE)}.")
    assert set(CENSORABLE) == set(SCIPY)
    assert decorations.MEASURED == ("gaussian", "student")
