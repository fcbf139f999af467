"""Densities of the rows against SciPy: every family with every link it allows."""

import math

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

import hiermod as hm
from hiermod.models import program
from hiermod.models.families import FAMILIES
from hiermod.models.links import LINKS, link

CASES = [(family, name) for family in FAMILIES.values() for name in family.links]
IDS = [f"{family.name}-{name}" for family, name in CASES]

# What the mean of a family is, and for each link a grid of the linear predictor that reaches the
# ends of what float64 can say about such a mean.
SPACE = {
    "gaussian": "real",
    "bernoulli": "probability",
    "binomial": "probability",
    "poisson": "positive",
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
    ("positive", "identity"): [1e-300, 1e-3, 1.0, 7.5, 1e4, 1e8],
}


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
}

# Responses with trials and parameters beside the mean; edges of the support and large counts.
# Beyond 1e4 or so a count density is a small difference of terms that float64 does not hold to
# 1e-10, in SciPy as in TFP.
ROWS = {
    "gaussian": [
        {"y": y, "sigma": s} for y in (-1e8, -3.0, 0.0, 0.5, 1e3) for s in (1e-3, 1.0, 50.0)
    ],
    "bernoulli": [{"y": 0.0}, {"y": 1.0}],
    "binomial": [
        {"y": float(y), "trials": float(n)}
        for y, n in (
            *((0, 0), (0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (0, 1000), (500, 1000)),
            *((1000, 1000), (1, 10_000), (5000, 10_000), (9999, 10_000)),
        )
    ],
    "poisson": [{"y": y} for y in (0.0, 1.0, 7.0, 150.0, 1e4)],
}


def log_choose(n, k):
    return np.array([math.log(math.comb(int(a), int(b))) for a, b in zip(n, k, strict=True)])


# SciPy's binom and bernoulli take the mean, not its logit: beside 0 and 1 the textbook formula
# with SciPy's logarithms is the more exact reference.
DENSITY = {
    "gaussian": lambda r, mean, *_: stats.norm.logpdf(r["y"], mean, r["sigma"]),
    "bernoulli": lambda r, _, log_p, log_q: np.where(r["y"] == 1, log_p, log_q),
    "binomial": lambda r, _, log_p, log_q: (
        log_choose(r["trials"], r["y"])
        + np.where(r["y"] > 0, r["y"] * log_p, 0)
        + np.where(r["y"] < r["trials"], (r["trials"] - r["y"]) * log_q, 0)
    ),
    "poisson": lambda r, mean, log_mean, _: r["y"] * log_mean - mean - special.gammaln(r["y"] + 1),
}
SCIPY = {
    "gaussian": lambda r, mean: stats.norm(mean, r.get("sigma")),
    "bernoulli": lambda r, mean: stats.bernoulli(mean),
    "binomial": lambda r, mean: stats.binom(r.get("trials"), mean),
    "poisson": lambda r, mean: stats.poisson(mean),
}
RESPONSE = {"binomial": "prop(y, trials)"}
MODERATE = {"real": [-1.5, 0.2, 2.0], "positive": [0.3, 1.4, 3.0]}
MODERATE_PROBABILITY = {
    "identity": [0.2, 0.5, 0.85],
    "log": [-3.0, -1.0, -0.2],
    "logit": [-2.0, 0.3, 1.7],
    "probit": [-1.2, 0.3, 1.1],
    "cloglog": [-2.0, -0.3, 0.8],
}


def moderate(family, name):
    space = SPACE[family.name]
    return MODERATE_PROBABILITY[name] if space == "probability" else MODERATE[space]


def grid(family, etas):
    """A row of the data for every combination of response and linear predictor."""
    rows = pd.DataFrame([{**row, "eta": eta} for row in ROWS[family.name] for eta in etas])
    return rows.to_dict("series")


def likelihood(family, name, rows):
    """``log_prob(eta)`` of the rows, of a model made from a formula."""
    frame = pd.DataFrame({k: v for k, v in rows.items() if k in ("y", "trials")})
    response = RESPONSE.get(family.name, "y")
    model = hm.model(frame, f"{response} ~ 1", family=family.name, link=name)
    functions = program.functions(program.source(model.specification))
    data = model._joint.data
    # One draw of the parameters for each row: (draws, 1) against (rows,), and the diagonal.
    parameters = [tf.constant(rows[p].to_numpy()) for p in family.parameters]

    def log_prob(eta):
        values = [tf.gather(p, tf.range(len(frame))) for p in parameters]
        if not values:
            return functions.likelihood(data, eta).log_prob(data["y"])
        square = functions.likelihood(data, eta[tf.newaxis, :], *values).log_prob(data["y"])
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


@pytest.mark.parametrize(("family", "name"), CASES, ids=IDS)
def test_density_of_a_row_is_scipys(family, name):
    rows = grid(family, ETA[SPACE[family.name], name])
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
    step = 1e-3

    def reference(shift):
        return DENSITY[family.name](plain, *MEAN[name](eta + shift * step))

    # Fourth order: error step^4, beside rounding of the density itself over the step.
    differences = (8 * (reference(1) - reference(-1)) - (reference(2) - reference(-2))) / 12 / step
    rounding = 1e-15 * np.abs(reference(0)) / step
    error = np.abs(gradient.numpy() - differences)
    assert (error <= 1e-7 * np.abs(differences) + 20 * rounding + 1e-7).all()


@pytest.mark.parametrize(("family", "name"), CASES, ids=IDS)
def test_compiled_and_eager_agree(family, name):
    rows = grid(family, ETA[SPACE[family.name], name])
    log_prob = likelihood(family, name, rows)
    eta = tf.constant(rows["eta"].to_numpy())
    compiled = tf.function(lambda e: value_and_gradient(log_prob, e), jit_compile=True)(eta)
    for found, expected in zip(compiled, value_and_gradient(log_prob, eta), strict=True):
        close(found.numpy(), expected.numpy())


@pytest.mark.parametrize(("family", "name"), CASES, ids=IDS)
def test_drawn_responses_have_the_moments_of_the_density(family, name):
    etas = np.array(moderate(family, name))
    row = next((r for r in ROWS[family.name] if r.get("trials") == 10), ROWS[family.name][1])
    frame = pd.DataFrame([row] * len(etas))
    if family.unit == "sd":
        frame["y"] += np.arange(len(etas))  # what is observed does not matter here
    model = hm.model(frame, f"{RESPONSE.get(family.name, 'y')} ~ 1", family=family.name, link=name)
    functions, data = model._joint.functions, model._joint.data
    inner = [tf.constant([row[p]], tf.float64) for p in family.parameters]
    distribution = functions.likelihood(data, tf.constant(etas[None]), *inner)
    n = 40_000
    drawn = distribution.sample(n, seed=tf.constant([11, 12], tf.int32)).numpy()[:, 0]
    expected = SCIPY[family.name](row, MEAN[name](etas)[0])
    # Five standard errors of a mean and of a variance, from the exact moments.
    variance, kurtosis = expected.var(), expected.stats(moments="k")
    assert (np.abs(drawn.mean(0) - expected.mean()) < 5 * np.sqrt(variance / n)).all()
    error = variance * np.sqrt((kurtosis + 2) / n)
    # A fair coin has kurtosis -2: what is left is the square of the error of the mean.
    assert (np.abs(drawn.var(0) - variance) < 5 * error + 25 * variance / n).all()
    fitted = functions.fitted(data, tf.constant(etas[None])).numpy()[0]
    np.testing.assert_allclose(fitted, expected.mean(), rtol=1e-12)


# --- links --------------------------------------------------------------------------------------


def evaluated(expression, **values):
    scope = {"tf": tf, "normal": tfp.distributions.Normal(np.float64(0), np.float64(1))}
    return eval(expression, scope | {k: tf.constant(v) for k, v in values.items()}).numpy()


@pytest.mark.parametrize("name", LINKS)
def test_link_there_and_back(name):
    eta = np.array(MODERATE_PROBABILITY[name])
    mean = evaluated(LINKS[name].mean, eta=eta)
    np.testing.assert_allclose(mean, MEAN[name](eta)[0], rtol=1e-13)
    np.testing.assert_allclose(evaluated(LINKS[name].eta, mean=mean), eta, rtol=1e-12)


@pytest.mark.parametrize("name", LINKS)
def test_log_and_logit_of_the_mean_agree_with_the_mean(name):
    eta = np.array(ETA["probability", name])
    _, log_mean, log_rest = MEAN[name](eta)
    # Beside zero a logarithm of 1 - tiny is good to a rounding error of 1.
    for expression, expected in (
        (LINKS[name].log_mean, log_mean),
        (LINKS[name].logit_mean, log_mean - log_rest),
    ):
        found = evaluated(expression, eta=eta)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-15)


def test_every_link_is_allowed_by_a_family():
    assert {name for family in FAMILIES.values() for name in family.links} == set(LINKS)
    assert link("logit") is LINKS["logit"]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_link_that_the_family_does_not_have(family):
    frame = pd.DataFrame({"y": [0.0, 1.0, 1.0], "trials": [1.0, 1.0, 1.0]})
    with pytest.raises(hm.ModelError) as info:
        hm.model(frame, f"{RESPONSE.get(family.name, 'y')} ~ 1", family=family.name, link="sqrt")
    message = str(info.value)
    assert message.startswith("unknown link 'sqrt'.")
    assert message.endswith(f"Allowed: {', '.join(sorted(family.links))}.")


@pytest.mark.parametrize(("name", "guess"), [("guassian", "gaussian"), ("Poisson", "poisson")])
def test_an_unknown_family(name, guess):
    with pytest.raises(hm.ModelError) as info:
        hm.model(pd.DataFrame({"y": [1.0, 2.0]}), "y ~ 1", family=name)
    message = str(info.value)
    assert message.startswith(f"unknown family {name!r}. Did you mean {guess!r}?")
    assert all(family in message for family in FAMILIES)


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
        ("binomial", "y", {"y": [0, 1]}, hm.ModelError, "write prop(y, n) or y | trials(n)"),
        ("bernoulli", "prop(y, n)", {"y": [0, 1], "n": [1, 1]}, hm.ModelError, "'bernoulli' has no trials. Use family='binomial'"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_response_outside_the_support(family, response, frame, kind, says):
    with pytest.raises(kind) as info:
        hm.model(pd.DataFrame(frame), f"{response} ~ 1", family=family)
    assert says in str(info.value)
