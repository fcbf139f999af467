"""The joint distribution of every kind of model: shapes, density, forms, generated code."""

import re
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

import hiermod as hm
from hiermod.models.joint import Part, constrain, log_jacobian

pytestmark = pytest.mark.density

tfd = tfp.distributions
SEED = tf.constant([5, 6], tf.int32)
N = 36

RIGHT = {
    "intercept": "1",
    "intercept and offset": "1 + offset(t)",
    "no intercept": "0 + x",
    "numeric": "x + w",
    "factor": "f",
    "factor without intercept": "0 + f",
    "interaction": "x * f",
    "product": "x:w",
    "basis": "poly(x, 2)",
    "offset": "x + offset(t)",
    "index": "index(f)",
    "index slopes": "0 + index(f) + index(f):x",
    "group": "x + (1 | g)",
    "group alone": "0 + (1 | g)",
    "crossed": "(1 | g) + (1 | h)",
    "nested": "(1 | g / f)",
    "correlated": "x + (1 + x | g)",
    "uncorrelated": "x + (1 + x || g)",
    "slope alone": "x + (0 + x | g)",
    "three effects": "x + w + (1 + x + w | g)",
    "factor in group": "f + (0 + f | g)",
    "factor beside intercept in group": "f + (f | g)",
    "factor in group, uncorrelated": "f + (f || g)",
    "smooth": "s(x, k=5)",
    "smooths by a factor": "f + s(x, k=4, by=f) + s(w, k=4, bs='cc', period=20) + (1 | g)",
    "everything": "x * f + offset(t) + (1 + x | g) + (0 + w || h) + (1 | f:h)",
}
SPECIAL = {
    "student": 'x + (1 + x || gr(g, dist="student"))',
    "student, correlated": '(1 | gr(g, dist="student")) + (0 + x + w | gr(g, dist="student"))',
    "by": "x + (1 | gr(g, by=kind)) + (0 + f || gr(g, by=kind))",
    "by, correlated": 'x + (1 + x | gr(g, by=kind, dist="student")) + (1 | h)',
    "zero sum": "x + (1 | gr(g, zero_sum=True)) + (1 + w | gr(h, zero_sum=True))",
}
LEFT = {
    "gaussian": "y",
    "gaussian weighted": "weighted(y, weight)",
    "bernoulli": "b",
    "binomial": "prop(k, n)",
    "binomial weighted": "weighted(k, weight) | trials(n)",
    "poisson": "c",
}


def data():
    generator = np.random.default_rng(3)
    n = generator.integers(0, 9, N)
    return pd.DataFrame(
        {
            "y": generator.normal(1, 2, N),
            "b": generator.integers(0, 2, N),
            "n": n,
            "k": generator.binomial(n, 0.4),
            "c": generator.poisson(3, N),
            "weight": generator.integers(1, 4, N) * 0.5,
            "x": generator.normal(2, 1, N),
            "w": generator.normal(-1, 3, N),
            "t": generator.uniform(0, 1, N),
            "f": generator.permutation(list("abc") * (N // 3)),
            "g": generator.permutation(list("pqrs") * (N // 4)),
            "h": generator.permutation([10, 20, 30] * (N // 3)),
        }
    ).assign(kind=lambda d: d["g"].map({"p": "A", "q": "B", "r": "A", "s": "B"}))


def built(left, right, **options):
    terms = {**RIGHT, **SPECIAL}[right]
    return hm.model(data(), f"{LEFT[left]} ~ {terms}", family=left.split()[0], **options)


CONSTANT = {"x": "constant(0.5)", "f": "constant(-1)", "1|g_sigma": "constant(2)"}
BOUNDED = {
    "Intercept": "normal(0, 1, ub=0)",
    "x": "student_t(3, 0, 1, lb=-2, ub=1)",
    "f": "cauchy(0, 1, lb=1)",
    "1|g_sigma": "exponential(1, lb=2)",
    "sigma": "normal(1, 1, ub=4)",
}
SHRUNK = (
    {"common": "horseshoe()"},
    {"common": "r2d2()", "x": "normal(0, 1)"},
    {"f": "normal(0, exponential(1))", "x:f": "student_t(3, 0, normal(0, 1))"},
)


def grid():
    """Every right side with a gaussian response, a few with every response; every form."""
    for right, flag in product(RIGHT, (True, False)):
        yield "gaussian", right, {"center": flag, "noncentered": flag}
    for right, flag in product(("correlated", "everything"), (True, False)):
        yield "gaussian", right, {"center": flag, "noncentered": not flag}
    for left, right in product(LEFT, ("intercept", "index slopes", "everything")):
        if left != "gaussian":
            yield left, right, {"noncentered": {"g": False}} if right == "everything" else {}
    for right, flag in product(("student", "student, correlated"), (True, False)):
        yield "gaussian", right, {"noncentered": flag}
    for left, right in product(("gaussian", "bernoulli"), SPECIAL):
        yield left, right, {}
    for priors in (CONSTANT, BOUNDED, *SHRUNK):
        yield "gaussian", "everything", {"priors": priors}


GRID = list(grid())


def label(value):
    return "".join("ny"[bool(v)] for v in value.values()) if isinstance(value, dict) else value


# --- protocol -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("left", "right", "options"), GRID, ids=label)
def test_a_joint_distribution_keeps_its_promises(left, right, options):
    model = built(left, right, **options)
    joint = model.joint
    singles = joint.sample(seed=SEED)
    density = joint.log_prob(singles)
    assert density.shape == ()
    assert np.isfinite(density)
    for shape in ([1], [3], [2, 3]):
        drawn = joint.sample(shape, seed=SEED)
        found = joint.log_prob(drawn)
        assert found.shape == shape
        # The density of a batch is that of its members, one by one.
        last = [v[(-1,) * len(shape)] for v in drawn]
        np.testing.assert_allclose(
            found.numpy()[(-1,) * len(shape)], joint.log_prob(last), rtol=1e-12
        )
    assert [v.shape for v in singles[:-1]] == [p.shape for p in model._joint.parts]
    assert singles[-1].shape == (N,)

    names = [name for name, _ in joint.resolve_graph()]
    response = model.specification.response
    assert names == [*model.joint_names, response]
    pinned = joint.experimental_pin(**{response: singles[-1]})
    np.testing.assert_allclose(pinned.unnormalized_log_prob(singles[:-1]), density, rtol=1e-12)

    # The printed program defines the same distribution, on its own.
    scope: dict = {}
    exec(model.code(), scope)
    drawn = joint.sample(3, seed=SEED)
    np.testing.assert_allclose(
        scope["joint"].log_prob(drawn), joint.log_prob(drawn), rtol=1e-13, atol=1e-12
    )
    np.testing.assert_array_equal(scope["data"]["y"], model.design.response.values)

    # The density that is sampled is that of the joint distribution, over the unconstrained space.
    position = np.random.default_rng(9).normal(0, 0.5, (2, model._joint.dimensions))
    values = constrain(model._joint.parts, tf.constant(position))
    log_det = log_jacobian(model._joint.parts, tf.constant(position))
    np.testing.assert_allclose(
        model._joint.log_density(tf.constant(position), model._joint.arguments),
        joint.log_prob([*values, model._joint.data["y"]]) + log_det,
        rtol=1e-12,
    )


def test_names_of_parts_are_identifiers_and_map_to_the_posterior():
    frame = data().rename(columns={"x": "my x", "w": "class", "g": "1st", "f": "é"})
    model = hm.model(frame, "y ~ `my x` + class + `1st` + é + (1 | h)")
    assert all(name.isidentifier() and name.isascii() for name in model.joint_names)
    shown = set(model.joint_names.values())
    assert shown >= {"Intercept at the predictors' means", "sigma", "1|h_sigma", "class"}
    assert model.joint_names["z_h"] == "1|h, standardised"
    assert np.isfinite(model.joint.log_prob(model.joint.sample(2, seed=SEED))).all()


def test_columns_named_like_the_program_do_not_confuse_it():
    frame = data().rename(columns={"y": "normal", "x": "data", "w": "eta", "f": "tf", "g": "prior"})
    model = hm.model(frame, "normal ~ data + eta + tf + (1 + data | prior)")
    plain = built("gaussian", "intercept")  # builds beside it, with the same names inside
    same = hm.model(data(), "y ~ x + w + f + (1 + x | g)")
    drawn = model.joint.sample(3, seed=SEED)
    np.testing.assert_array_equal(model.joint.log_prob(drawn), same.joint.log_prob(drawn))
    assert np.isfinite(plain.joint.log_prob(plain.joint.sample(seed=SEED)))
    scope: dict = {}
    exec(model.code(), scope)
    np.testing.assert_array_equal(scope["joint"].log_prob(drawn), model.joint.log_prob(drawn))


@pytest.mark.parametrize("name", ["likelihood", "linear_predictor", "sigma."])
def test_a_column_named_like_a_function_or_parameter(name):
    frame = data()
    model = hm.model(frame.rename(columns={"x": name}), f"y ~ `{name}`")
    same = hm.model(frame, "y ~ x")
    drawn = model.joint.sample(3, seed=SEED)
    np.testing.assert_array_equal(model.joint.log_prob(drawn), same.joint.log_prob(drawn))


COMPILED = ["group", "three effects", "everything"]


@pytest.mark.parametrize("noncentered", [True, False])
@pytest.mark.parametrize("right", COMPILED)
def test_compiled_and_eager_agree(right, noncentered):
    inner = built("gaussian", right, noncentered=noncentered)._joint
    position = tf.constant(np.random.default_rng(4).normal(0, 0.5, (3, inner.dimensions)))

    def value_and_gradient(position, arguments):
        with tf.GradientTape() as tape:
            tape.watch(position)
            value = inner.log_density(position, arguments)
        return value, tape.gradient(value, position)

    compiled = tf.function(value_and_gradient, jit_compile=True, autograph=False)
    for found, expected in zip(
        compiled(position, inner.arguments),
        value_and_gradient(position, inner.arguments),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


# --- the density, written out by hand -----------------------------------------------------------


def log_lkj(factor, eta):
    """Lewandowski, Kurowicka and Joe (2009), for the Cholesky factor."""
    k = len(factor)
    i, j = np.arange(1, k + 1), np.arange(1, k)
    b = eta + (k - 1 - j) / 2
    constant = j / 2 * np.log(np.pi) + special.gammaln(b) - special.gammaln(eta + (k - 1) / 2)
    return ((k - i + 2 * (eta - 1)) * np.log(np.diag(factor))).sum() - constant.sum()


def logistic_by_hand(v, frame):
    """k ~ binomial(n, p), logit p = a + b (x - mean x) + sigma_g z_g + sigma_h z_h."""
    eta = v["Intercept"] + v["x"] * (frame["x"] - frame["x"].mean())
    eta += v["sigma_g"] * v["z_g"][0, pd.Categorical(frame["g"]).codes]
    eta += v["sigma_h"] * v["z_h"][0, pd.Categorical(frame["h"]).codes]
    return (
        stats.norm.logpdf(v["Intercept"], 0.5, 1.5)
        + stats.t.logpdf(v["x"], 3, 0, 2)
        + stats.expon.logpdf(v["sigma_g"], scale=1 / 2)
        + stats.halfnorm.logpdf(v["sigma_h"], scale=0.7)
        + stats.norm.logpdf(v["z_g"]).sum()
        + stats.norm.logpdf(v["z_h"]).sum()
        + np.log(special.comb(frame["n"], frame["k"])).sum()
        + (frame["k"] * special.log_expit(eta)).sum()
        + ((frame["n"] - frame["k"]) * special.log_expit(-eta)).sum()
    )


def gaussian_by_hand(v, frame):
    """y ~ normal(a + b x + u1_g + u2_g x, sigma), u_g ~ normal(0, S R S): effects themselves."""
    sd = np.array([v["sigma_g"], v["sigma_g_x"]])
    correlation = v["chol_g"] @ v["chol_g"].T
    u = v["u_g"][:, pd.Categorical(frame["g"]).codes]
    mean = v["Intercept"] + v["x"] * frame["x"] + u[0] + u[1] * frame["x"]
    covariance = np.diag(sd) @ correlation @ np.diag(sd)
    return (
        stats.norm.logpdf(v["Intercept"], 1, 3)
        + stats.norm.logpdf(v["x"], 0, 2)
        + stats.expon.logpdf(sd, scale=1).sum()
        + log_lkj(v["chol_g"], 2.0)
        + stats.gamma.logpdf(v["sigma"], 2, scale=1 / 0.5)
        + stats.multivariate_normal.logpdf(v["u_g"].T, np.zeros(2), covariance).sum()
        + stats.norm.logpdf(frame["y"], mean, v["sigma"]).sum()
    )


def three_effects_by_hand(v, frame):
    """The same with three effects, from standard normal values: u = S L z."""
    sd = np.array([v["sigma_g"], v["sigma_g_x"], v["sigma_g_w"]])
    u = (np.diag(sd) @ v["chol_g"] @ v["z_g"])[:, pd.Categorical(frame["g"]).codes]
    mean = v["Intercept"] + v["x"] * (frame["x"] - frame["x"].mean())
    mean += v["w"] * (frame["w"] - frame["w"].mean()) + u[0] + u[1] * frame["x"] + u[2] * frame["w"]
    return (
        stats.norm.logpdf(v["Intercept"], 1, 3)
        + stats.norm.logpdf([v["x"], v["w"]], 0, 2).sum()
        + stats.expon.logpdf(sd, scale=1).sum()
        + log_lkj(v["chol_g"], 1.5)
        + stats.halfcauchy.logpdf(v["sigma"], scale=2)
        + stats.norm.logpdf(v["z_g"]).sum()
        + stats.norm.logpdf(frame["y"], mean, v["sigma"]).sum()
    )


def poisson_by_hand(v, frame):
    """Weighted counts with an offset, a factor, and its uncorrelated effects in groups."""
    dummies = pd.get_dummies(frame["f"], dtype=float).to_numpy()
    mean = dummies @ v["f"] + frame["t"]
    sd = np.concatenate([np.atleast_1d(v["sigma_g"]), v["sigma_g_f"]])
    effects = sd[:, None] * v["z_g"]
    z = np.column_stack([np.ones(N), dummies[:, 1:]])
    mean = mean + (z * effects[:, pd.Categorical(frame["g"]).codes].T).sum(1)
    return (
        stats.norm.logpdf(v["f"], 0, 1).sum()
        + stats.expon.logpdf(sd, scale=1).sum()
        + stats.norm.logpdf(v["z_g"]).sum()
        + (frame["weight"] * stats.poisson.logpmf(frame["c"], np.exp(mean))).sum()
    )


BY_HAND = {
    "logistic": (
        logistic_by_hand,
        "prop(k, n) ~ x + (1 | g) + (1 | h)",
        {
            "family": "binomial",
            "noncentered": True,
            "priors": {
                "Intercept": "normal(0.5, 1.5)",
                "x": "student_t(3, 0, 2)",
                "1|g_sigma": "exponential(2)",
                "1|h_sigma": "normal(0, 0.7)",
            },
        },
    ),
    "gaussian": (
        gaussian_by_hand,
        "y ~ x + (1 + x | g)",
        {
            "center": False,
            "noncentered": False,
            "priors": {
                "Intercept": "normal(1, 3)",
                "x": "normal(0, 2)",
                "group_sigma": "exponential(1)",
                "g_cor": "lkj(2)",
                "sigma": "gamma(2, 0.5)",
            },
        },
    ),
    "three effects": (
        three_effects_by_hand,
        "y ~ x + w + (1 + x + w | g)",
        {
            "noncentered": True,
            "priors": {
                "Intercept": "normal(1, 3)",
                "common": "normal(0, 2)",
                "group_sigma": "exponential(1)",
                "g_cor": "lkj(1.5)",
                "sigma": "cauchy(0, 2)",
            },
        },
    ),
    "poisson": (
        poisson_by_hand,
        "weighted(c, weight) ~ 0 + f + offset(t) + (f || g)",
        {
            "family": "poisson",
            "noncentered": True,
            "priors": {"f": "normal(0, 1)", "group_sigma": "exponential(1)"},
        },
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_density_is_that_of_the_textbook(name):
    by_hand, formula, options = BY_HAND[name]
    frame = data()
    model = hm.model(frame, formula, **options)
    *drawn, _ = model.joint.sample(4, seed=SEED)
    found = model.joint.log_prob([*drawn, model._joint.data["y"]])
    for i in range(4):
        values = {k: v.numpy()[i] for k, v in zip(model.joint_names, drawn, strict=True)}
        np.testing.assert_allclose(found[i], by_hand(values, frame), rtol=1e-10)


FORMS = ["group", "crossed", "nested", "correlated", "uncorrelated", "three effects", "slope alone",
         "factor in group", "factor beside intercept in group", "everything"]  # fmt: skip


@pytest.mark.parametrize("right", FORMS)
def test_both_forms_of_group_effects_are_the_same_density(right):
    """log p(sigma, L, u) = log p(sigma, L, z) - log |du/dz|, with u = diag(sigma) L z."""
    standard, direct = (built("gaussian", right, noncentered=flag) for flag in (True, False))
    *drawn, _ = standard.joint.sample(3, seed=SEED)
    y = standard._joint.data["y"]
    values = dict(zip(standard.joint_names, drawn, strict=True))
    log_det = 0.0
    moved = dict(values)
    for g in standard.specification.groups:
        k, levels = g.shape
        sd = np.concatenate([np.reshape(values[p.identifier], (3, -1)) for p in g.sigmas], axis=1)
        factor = np.eye(k) if g.cor is None else values[g.cor.identifier].numpy()
        scale = sd[:, :, None] * factor
        moved[g.identifier] = scale @ values[g.identifier].numpy()
        log_det = log_det + levels * np.linalg.slogdet(scale)[1]
    np.testing.assert_allclose(
        direct.joint.log_prob([*moved.values(), y]),
        standard.joint.log_prob([*drawn, y]) - log_det,
        rtol=1e-10,
    )


@pytest.mark.parametrize("right", ["correlated", "factor in group, uncorrelated"])
def test_centring_moves_the_intercept_and_nothing_else(right):
    """With a flat enough prior the likelihood at a' = a + mean(X) b is that at a, uncentred."""
    centred, plain = (built("gaussian", right, center=flag) for flag in (True, False))
    *drawn, _ = plain.joint.sample(3, seed=SEED)
    values = dict(zip(plain.joint_names, drawn, strict=True))
    beta = np.concatenate(
        [np.reshape(values[p.identifier], (3, -1)) for p in plain.specification.common], axis=1
    )
    moved = values | {"Intercept": values["Intercept"] + beta @ plain.design.X.mean(0)}
    y = plain._joint.data["y"]
    np.testing.assert_allclose(
        centred.joint.log_prob_parts([*moved.values(), y])[-1],
        plain.joint.log_prob_parts([*drawn, y])[-1],
        rtol=1e-10,
    )
    assert (plain.specification.means == 0).all()
    np.testing.assert_allclose(centred.specification.means, plain.design.X.mean(0))


# --- change of variables ------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 4])
def test_jacobian_of_the_unconstrained_space(size):
    parts = (
        Part("p", (size,), "simplex"),
        Part("many", (2, size, size), "correlation"),
        Part("a", (2,), "real"),
        Part("s", (), "positive"),
        Part("t", (3,), "positive"),
        Part("i", (2,), "interval", -1.0, 4.0),
        Part("L", (size, size), "correlation"),
    )
    dimensions = sum(p.size for p in parts)
    position = np.random.default_rng(size).normal(0, 0.7, dimensions)

    def free(q):
        """The values that a density is a density of: of a Cholesky factor, below the diagonal.

        Of a simplex, all but the last.
        """
        values = constrain(parts, tf.constant(q))
        shares, many, *rest, factor = (v.numpy() for v in values)
        factors = [f[np.tril_indices(size, -1)] for f in (*many, factor)]
        return np.concatenate([shares[:-1], *factors[:2], *map(np.ravel, rest), factors[2]])

    step = 1e-4
    shifts = np.eye(dimensions) * step
    jacobian = np.array(
        [
            (8 * (free(position + s) - free(position - s)) - free(position + 2 * s)
             + free(position - 2 * s)) / (12 * step)
            for s in shifts
        ]
    )  # fmt: skip
    log_det = log_jacobian(parts, tf.constant(position))
    assert float(log_det) == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=1e-8)
    values = constrain(parts, tf.constant(position))
    factor, shares = values[-1].numpy(), values[0].numpy()
    np.testing.assert_allclose(np.diag(factor @ factor.T), 1, rtol=1e-12)
    assert (shares > 0).all()
    assert shares.sum() == pytest.approx(1, rel=1e-12)


def test_shares_far_out_are_small_but_not_zero():
    """TFP's own map gives the last share as 0 here, where a Dirichlet may be infinite."""
    part = (Part("p", (3,), "simplex"),)
    position = tf.constant([[0.0, 0.0], [60.0, 2.0], [-300.0, -300.0], [200.0, 400.0]])
    position = tf.cast(position, tf.float64)
    (shares,) = constrain(part, position)
    assert (shares.numpy() > 0).all()
    np.testing.assert_allclose(tf.reduce_sum(shares, -1), 1, rtol=1e-14)
    np.testing.assert_allclose(shares[0], [1 / 3] * 3, rtol=1e-14)
    theirs = tfp.bijectors.IteratedSigmoidCentered()
    np.testing.assert_allclose(shares[:2], theirs.forward(position[:2]), rtol=1e-12, atol=1e-15)
    assert theirs.forward(position[1])[-1] == 0
    assert np.isfinite(log_jacobian(part, position)).all()


def test_an_interval_prior_stays_inside():
    model = built("gaussian", "numeric", priors={"x": "uniform(-1, 4)", "w": "beta(2, 3)"})
    plan = model.plan(shortcuts=False)
    values = plan.recover(np.full((3, plan.dimensions), 50.0)).values
    assert (values["x"] <= 4).all()
    assert (values["w"] <= 1).all()


# --- options ------------------------------------------------------------------------------------


def test_noncentered_is_chosen_group_by_group():
    model = hm.model(data(), "y ~ (1 | g) + (1 | h)", noncentered={"g": False})
    assert {g.group.factor: g.noncentered for g in model.specification.groups} == {
        "g": False,
        "h": True,
    }
    assert list(model.joint_names)[-2:] == ["u_g", "z_h"]


def test_noncentered_names_an_unknown_factor():
    with pytest.raises(hm.ModelError) as info:
        hm.model(data(), "y ~ (1 | g) + (1 | h)", noncentered={"gg": False})
    message = str(info.value)
    assert message.startswith("noncentered names 'gg', which is no grouping factor or smooth")
    assert message.endswith("Did you mean 'g'? Allowed: g, h.")


NOT_FINITE = {
    "likelihood": (
        ("c ~ x", {"family": "poisson"}), {"x": -800.0},
        r"The log density of c is -inf in \d+ of 36 rows, first in row \d+, at linear predictor = "
        r"\d+, c = \d+, Intercept at the predictors' means = 0, x = -800\.",
    ),
    "sigma": (
        ("y ~ 1", {}), {"sigma": 800.0},
        r"The log density of sigma is -inf at sigma = inf\. The log density of y is -inf in 36 of "
        r"36 rows, first in row 0, at linear predictor = 0, y = \S+, Intercept = 0, sigma = inf\.",
    ),
    "centred effects": (
        ("y ~ (1 | g)", {"noncentered": False}), {"sigma_g": -800.0},
        r"The log density of 1\|g is nan at 1\|g_sigma = 0, 1\|g from 0 to 0\.",
    ),
    "standardised effects": (
        ("y ~ (1 | g)", {"noncentered": True}), {"z_g": np.nan},
        r"The log density of 1\|g, standardised is nan at 1\|g, standardised with 4 of 4 nan\. "
        r"The log density of y is nan in 36 of 36 rows, .*",
    ),
    "nothing": (("y ~ 1", {}), {}, r"Every part is finite at Intercept = 0, sigma = 1\."),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_FINITE)
def test_which_part_is_not_finite_and_at_what_values(name):
    (formula, options), values, says = NOT_FINITE[name]
    joint = hm.model(data(), formula, **options)._joint
    position = [np.full(p.size, values.get(p.identifier, 0.0)) for p in joint.parts]
    found = joint.explain(np.concatenate(position))
    assert re.fullmatch(says, found), found


def test_a_gradient_that_is_not_finite():
    joint = hm.model(data(), "b ~ x", family="bernoulli")._joint

    class Rooted(type(joint)):
        """Its likelihood has the root of a coefficient: at 0 a value, but no slope."""

        @property
        def distribution(self):
            def likelihood(x, intercept):
                mean = (intercept + tf.sqrt(tf.abs(x))) * np.ones(N)
                return tfd.Independent(tfd.Normal(mean, np.float64(1)), 1)

            return SimpleNamespace(model=[*joint.distribution.model[:-1], likelihood])

    rooted = Rooted(joint.specification, joint.source, joint.data, joint.prior, joint.parts)
    assert rooted.explain(np.zeros(2)) == (
        "The gradient of the log density of b is not finite at Intercept at the predictors' means "
        "= 0, x = 0."
    )
