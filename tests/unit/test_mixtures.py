"""Mixtures of families."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import special, stats

import hiermod as hm
from hiermod import results
from hiermod.models import families, links
from hiermod.models.links import LINKS

ETA = np.array([-1.0, 0.3, 1.2])
SHARE = 0.3
SHARES = {
    2: {"theta1": SHARE},
    3: {"theta": [[0.3, 0.2, 0.5]]},
    4: {"theta": [[0.1, 0.2, 0.3, 0.4]]},
}


def evaluated(family, text, link=None, **values):
    filled = links.fill(getattr(family, text), LINKS[link or family.links[0]])
    given = {name: np.array(v) for name, v in values.items()}
    data = {"trials": tf.constant([10.0], tf.float64)}
    return links.evaluate(filled, eta=ETA, data=data, **given)


def negative_binomial(mean, shape):
    return stats.nbinom(shape, shape / (shape + mean))


CASES = {
    "ordered gaussians": (
        hm.mixture("gaussian", "gaussian"),
        {"gap": 2.0, "sigma1": 0.5, "sigma2": 1.5},
        [stats.norm(ETA, 0.5), stats.norm(ETA + 2.0, 1.5)],
    ),
    "ordered poissons": (
        hm.mixture("poisson", "poisson"),
        {"gap": 0.8},
        [stats.poisson(np.exp(ETA)), stats.poisson(np.exp(ETA + 0.8))],
    ),
    "counts": (
        hm.mixture("poisson", "negbinomial"),
        {"mu2": 4.0, "shape2": 1.7},
        [stats.poisson(np.exp(ETA)), negative_binomial(4.0, 1.7)],
    ),
    "a wide component": (
        hm.mixture("gaussian", "student", order="none"),
        {"mu2": 1.0, "sigma1": 0.5, "sigma2": 3.0, "nu2": 4.0},
        [stats.norm(ETA, 0.5), stats.t(4.0, 1.0, 3.0)],
    ),
    "successes": (
        hm.mixture("binomial", "binomial", order="none"),
        {"mu2": 0.7},
        [stats.binom(10, special.expit(ETA)), stats.binom(10, 0.7)],
    ),
    "three gaussians": (
        hm.mixture("gaussian", "gaussian", "gaussian"),
        {"gap2": 2.0, "gap3": 0.7, "sigma1": 0.5, "sigma2": 1.5, "sigma3": 0.9},
        [stats.norm(ETA, 0.5), stats.norm(ETA + 2.0, 1.5), stats.norm(ETA + 2.7, 0.9)],
    ),
    "three kinds": (
        hm.mixture("gaussian", "student", "gaussian"),
        {"mu2": 1.0, "mu3": -2.0, "sigma1": 0.5, "sigma2": 3.0, "nu2": 4.0, "sigma3": 0.9},
        [stats.norm(ETA, 0.5), stats.t(4.0, 1.0, 3.0), stats.norm(-2.0, 0.9)],
    ),
    "four kinds of counts": (
        hm.mixture("poisson", "negbinomial", "geometric", "poisson"),
        {"mu2": 4.0, "mu3": 1.2, "mu4": 9.0, "shape2": 1.7},
        [
            stats.poisson(np.exp(ETA)),
            negative_binomial(4.0, 1.7),
            negative_binomial(1.2, 1.0),
            stats.poisson(9.0),
        ],
    ),
}


def summed(shares, parts):
    return sum(share * part for share, part in zip(shares, parts, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_density_tails_moments_and_draws(case):
    family, values, parts = CASES[case]
    given = SHARES[len(parts)]
    assert next(iter(family.parameters)) == next(iter(given))
    assert set(family.parameters) == {*given, *values}
    shares = np.ravel(given["theta"]) if "theta" in given else np.array([SHARE, 1 - SHARE])
    values = values | given
    found = evaluated(family, "likelihood", **values)
    for y in (0.0, 1.0, 3.0, 7.0):
        density = "logpmf" if family.counts else "logpdf"
        rows = [np.broadcast_to(getattr(d, density)(y), 3) for d in parts]
        exact = special.logsumexp(rows, axis=0, b=shares[:, None])
        np.testing.assert_allclose(found.log_prob(np.float64(y)), exact, 1e-10)
        tails = evaluated(family, "tails", **values)
        at = np.full(3, y)
        below = summed(shares, [d.cdf(y) for d in parts])
        np.testing.assert_allclose(tails.log_cdf(at), np.log(below), 1e-10)
        above = summed(shares, [d.sf(y) for d in parts])
        np.testing.assert_allclose(tails.log_survival_function(at), np.log(above), 1e-10)
    mean = summed(shares, [d.mean() for d in parts])
    variance = summed(shares, [d.var() + d.mean() ** 2 for d in parts]) - mean**2
    np.testing.assert_allclose(found.mean(), np.broadcast_to(mean, 3), 1e-10)
    np.testing.assert_allclose(found.variance(), np.broadcast_to(variance, 3), 1e-10)
    n = 20_000
    drawn = found.sample(n, seed=tf.constant([1, 2], tf.int32)).numpy()
    # Every row has a draw of its own.
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 5 / np.sqrt(n)
    # Five standard errors; the variance's is with the draws' own kurtosis.
    assert (np.abs(drawn.mean(0) - mean) < 5 * np.sqrt(variance / n)).all()
    error = np.sqrt((np.abs(stats.kurtosis(drawn)) + 2) / n)
    assert (np.abs(drawn.var(0) / variance - 1) < 6 * error).all()
    for y in np.quantile(drawn[:, 1], [0.1, 0.3, 0.5, 0.7, 0.9]):
        below = summed(shares, [np.broadcast_to(d.cdf(y), 3)[1] for d in parts])
        assert np.mean(drawn[:, 1] <= y) == pytest.approx(below, abs=5 / np.sqrt(4 * n))


@pytest.mark.parametrize("case", CASES)
def test_gradients(case):
    family, values, parts = CASES[case]
    values = values | SHARES[len(parts)]
    names = ["eta", *values]
    at = [tf.constant(v, tf.float64) for v in (ETA, *values.values())]
    text = links.fill(family.likelihood, LINKS[family.links[0]])
    data = {"trials": tf.constant([10.0], tf.float64)}
    y = tf.constant([0.0, 2.0, 5.0], tf.float64)

    def total(*given):
        likely = links.evaluate(text, data=data, **dict(zip(names, given, strict=True)))
        return tf.reduce_sum(likely.log_prob(y))

    @tf.function(jit_compile=True)
    def compiled(*given):
        return total(*given), tf.gradients(total(*given), given)

    with tf.GradientTape() as tape:
        tape.watch(at)
        value = total(*at)
    slopes = tape.gradient(value, at)
    for found, expected in zip(tf.nest.flatten(compiled(*at)), [value, *slopes], strict=True):
        np.testing.assert_allclose(found, expected, 1e-10, 1e-12)
    step = 1e-5
    for i, slope in enumerate(slopes):
        moved = [total(*[v + s * (j == i) for j, v in enumerate(at)]) for s in (step, -step)]
        difference = float(moved[0] - moved[1]) / (2 * step)
        assert float(tf.reduce_sum(slope)) == pytest.approx(difference, rel=1e-6, abs=1e-7)


def test_rows_far_from_all_components_have_gradients():
    family = hm.mixture("gaussian", "gaussian", "gaussian")
    values = {"gap2": 2.0, "gap3": 0.7, "sigma1": 1e-3, "sigma2": 1.5, "sigma3": 0.9}
    values |= {"theta": [[1e-300, 1e-12, 1.0]]}
    at = {name: tf.constant(v, tf.float64) for name, v in values.items()}
    eta = tf.constant(ETA)
    with tf.GradientTape() as tape:
        tape.watch([eta, *at.values()])
        text = links.fill(family.likelihood, LINKS["identity"])
        density = links.evaluate(text, eta=eta, **at).log_prob(np.array([-1e6, 0.3, 1e6]))
    assert np.isfinite(density).all()
    for slope in tape.gradient(density, [eta, *at.values()]):
        assert np.isfinite(slope).all()


@pytest.fixture(scope="module")
def waits():
    """Two kinds of waits, as of the geyser: short ones and long ones."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=300)
    long = rng.random(300) > 0.35
    y = 54 + 2 * x + np.where(long, 26.0, 0.0) + rng.normal(size=300) * np.where(long, 5.0, 4.0)
    return pd.DataFrame({"y": y, "x": x, "g": np.arange(300) % 5})


def test_ordered_components_are_found(waits):
    fit = hm.fit(waits, "y ~ x", family=hm.mixture("gaussian", "gaussian"), seed=1, progress=False)
    assert fit.check().ok
    truth = {"Intercept": 54, "x": 2, "theta1": 0.35, "gap": 26, "sigma1": 4, "sigma2": 5}
    for name, value in truth.items():
        draws = fit.posterior[name]
        assert abs(float(draws.mean()) - value) < 4 * float(draws.std()), name
    fit.add_log_likelihood().add_posterior_predictive(seed=1)
    drawn = fit.idata["posterior_predictive"]["y"]
    assert float(drawn.mean()) == pytest.approx(waits["y"].mean(), abs=2)


@pytest.fixture(scope="module")
def three():
    """Three kinds of rows, with one slope."""
    rng = np.random.default_rng(5)
    kind = rng.choice(3, 600, p=[0.5, 0.2, 0.3])
    x = rng.normal(size=600)
    y = (
        np.array([0.0, 6.0, 11.0])[kind]
        + 0.5 * x
        + rng.normal(size=600) * np.array([1, 0.5, 1.5])[kind]
    )
    return pd.DataFrame({"y": y, "x": x})


def test_three_ordered_components_are_found(three):
    family = hm.mixture("gaussian", "gaussian", "gaussian")
    fit = hm.fit(three, "y ~ x", family=family, seed=1, progress=False)
    assert fit.check().ok
    truth = {
        "Intercept": 0,
        "x": 0.5,
        "gap2": 6,
        "gap3": 5,
        "sigma1": 1,
        "sigma2": 0.5,
        "sigma3": 1.5,
    }
    for name, value in truth.items():
        draws = fit.posterior[name]
        assert abs(float(draws.mean()) - value) < 4 * float(draws.std()), name
    theta = fit.posterior["theta"]
    assert theta["theta_dim"].to_numpy().tolist() == ["1", "2", "3"]
    np.testing.assert_allclose(theta.sum("theta_dim"), 1, 1e-12)
    error = (theta.mean(("chain", "draw")) - [0.5, 0.2, 0.3]) / theta.std(("chain", "draw"))
    assert (np.abs(error) < 4).all()
    assert {"theta[1]", "theta[2]", "theta[3]"} < set(fit.summary().index)
    fit.add_log_likelihood().add_posterior_predictive(seed=1)
    drawn = fit.idata["posterior_predictive"]["y"]
    assert float(drawn.mean()) == pytest.approx(three["y"].mean(), abs=0.3)
    assert float(drawn.std()) == pytest.approx(three["y"].std(), rel=0.05)


def named(parameter):
    """A family of one's own, with a parameter of that name."""
    return hm.Family(
        "own",
        likelihood=f"tfd.Normal(loc={{mean}}, scale={parameter})",
        links=("identity",),
        parameters={parameter: hm.FamilyParameter("exponential(1)")},
    )


SOFTMAX = hm.mixture("gaussian", "gaussian", "gaussian", shares="softmax")


def test_shares_by_softmax():
    """Scores of every row, and one of all rows, beside the simplex of each row."""
    given = {"gap2": 1.0, "gap3": 3.0, "sigma1": 1.0, "sigma2": 0.5, "sigma3": 2.0}
    first, y = np.array([-2.0, 0.0, 3.0]), np.float64(1.3)
    found = evaluated(SOFTMAX, "likelihood", theta2=first, theta3=0.7, **given)
    simplex = special.softmax(np.stack([np.zeros(3), first, np.full(3, 0.7)], -1), axis=-1)
    plain = hm.mixture("gaussian", "gaussian", "gaussian")
    expected = evaluated(plain, "likelihood", theta=simplex, **given)
    np.testing.assert_allclose(found.log_prob(y), expected.log_prob(y), 1e-12)
    np.testing.assert_allclose(found.mean(), expected.mean(), 1e-12)
    np.testing.assert_allclose(found.variance(), expected.variance(), 1e-12)
    seed = tf.constant([1, 2], tf.int32)
    np.testing.assert_allclose(found.sample(5, seed=seed), expected.sample(5, seed=seed))
    tails = evaluated(SOFTMAX, "tails", theta2=first, theta3=0.7, **given)
    plain_tails = evaluated(plain, "tails", theta=simplex, **given)
    np.testing.assert_allclose(tails.log_cdf(y), plain_tails.log_cdf(y), 1e-12)
    pair = hm.mixture("poisson", "poisson", shares="softmax")
    found = evaluated(pair, "likelihood", theta2=first, gap=1.0)
    one = evaluated(
        hm.mixture("poisson", "poisson"), "likelihood", theta1=special.expit(-first), gap=1.0
    )
    np.testing.assert_allclose(found.log_prob(np.float64(2)), one.log_prob(np.float64(2)), 1e-12)


@pytest.mark.parametrize(
    "family", [hm.mixture("gaussian", "gaussian"), hm.mixture(*["gaussian"] * 3), SOFTMAX]
)
def test_pooling_has_no_response_scale(family, waits):
    model = hm.model(waits, "y ~ 1 + (1 | g)", family=family)
    with pytest.raises(hm.ModelError, match="not that of one linear predictor"):
        results.pooling(model._joint, None, "g", response=True)


@pytest.mark.parametrize("score", [-800.0, 0.0, 800.0])
def test_logarithms_of_extreme_shares_are_finite(score):
    text = links.fill(SOFTMAX.likelihood, LINKS["identity"])
    given = {"gap2": 1.0, "gap3": 3.0, "sigma1": 1.0, "sigma2": 0.5, "sigma3": 2.0, "theta3": 1.0}
    given = {name: np.array(value) for name, value in given.items()}
    theta2 = tf.constant(score, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(theta2)
        density = links.evaluate(text, eta=ETA, theta2=theta2, **given).log_prob(np.float64(1))
    assert np.isfinite(density.numpy()).all()
    assert np.isfinite(tape.gradient(density, theta2).numpy())


def test_shares_that_depend_on_a_predictor_are_found():
    rng = np.random.default_rng(6)
    x = rng.normal(size=900)
    scores = np.stack([np.zeros(900), 0.5 + 1.0 * x, -0.3 - 0.8 * x], -1)
    kind = (rng.random(900)[:, None] > special.softmax(scores, -1).cumsum(-1)).sum(-1)
    y = np.array([0.0, 6.0, 11.0])[kind] + rng.normal(size=900)
    frame = pd.DataFrame({"y": y, "x": x})
    formula = hm.formula("y ~ 1", theta2="~ x", theta3="~ x")
    priors = {"gap2": "normal(6, 2)", "gap3": "normal(5, 2)"}
    fit = hm.fit(frame, formula, family=SOFTMAX, priors=priors, seed=1, progress=False)
    assert fit.check().ok
    truth = {"theta2_Intercept": 0.5, "theta2_x": 1, "theta3_Intercept": -0.3, "theta3_x": -0.8}
    for name, value in truth.items():
        draws = fit.posterior[name]
        assert abs(float(draws.mean()) - value) < 4 * float(draws.std()), name
        assert float(draws.std()) < 0.25
    fit.add_posterior_predictive(seed=1)
    drawn = fit.idata["posterior_predictive"]["y"].to_numpy().reshape(-1, 900)
    high = x > 0.5
    for rows in (high, ~high):
        assert drawn[:, rows].mean() == pytest.approx(y[rows].mean(), abs=0.4)


def test_models_of_three(three):
    family = hm.mixture("gaussian", "gaussian", "student")
    model = hm.model(three, hm.formula("y ~ x", mu3="~ x", sigma2="~ x"), family=family)
    table = model.priors["prior"]
    assert table["theta"] == "dirichlet(1)"
    assert table["mu2"] == table["mu3_Intercept"]
    assert "theta ~ dirichlet(1)" in str(model.equations())
    ordered = hm.model(
        three, hm.formula("y ~ x", gap3="~ x"), family=hm.mixture(*["gaussian"] * 3),
        priors={"theta": "dirichlet(4)", "gap2": "normal(3, 1)"},
    )  # fmt: skip
    assert ordered.priors["prior"]["theta"] == "dirichlet(4)"
    truncated = hm.model(three, "truncated(y, -20) ~ x", family=hm.mixture(*["gaussian"] * 3))
    scored = hm.model(three, hm.formula("y ~ x", theta2="~ x"), family=SOFTMAX)
    for m in (scored, model, ordered, truncated):
        scope: dict = {}
        exec(m.code(), scope)
        drawn = m.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
        found = m.joint.log_prob(drawn)
        assert np.isfinite(found).all()
        # TFP's normal density with a scale of 1e-6, which a draw has, has eight digits.
        np.testing.assert_allclose(scope["joint"].log_prob(drawn), found, 1e-9)
        plan = m.plan()
        start = plan.start()[0][None]
        assert np.isfinite(plan.log_density(tf.constant(start), plan.arguments)).all()
    shown = m.sample_prior(5, seed=1)["prior"]
    assert shown["theta"].shape == (1, 5, 3)


def test_chains_start_where_the_priors_tell_components_apart():
    """The mean of all responses, at which intercepts start otherwise, lies between the two."""
    rng = np.random.default_rng(5)
    near, far = rng.normal(0, 0.5, 200), rng.laplace(4, 0.5, 200)
    frame = pd.DataFrame({"y": np.concatenate([near, far])})
    family = hm.mixture("gaussian", "laplace")
    priors = {"sigma1": "gamma(8, 8)", "sigma2": "gamma(8, 8)", "theta1": "beta(5, 5)"}
    for first, second in ((0, 4), (4, 0)):
        means = {"Intercept": f"normal({first}, 1)", "mu2": f"normal({second}, 1)"}
        model = hm.model(frame, "y ~ 1", family=family, priors=priors | means)
        fit = model.fit(warmup=200, draws=200, seed=1, progress=False)
        assert fit.check().figures["r_hat"] < 1.05
        assert float(fit.posterior["Intercept"].mean()) == pytest.approx(first, abs=0.2)
        assert float(fit.posterior["mu2"].mean()) == pytest.approx(second, abs=0.2)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"formula": hm.formula("y ~ x", theta="~ x")}, hm.ModelError, "'theta' has several values and cannot have a formula: leave theta= out, or write hm.mixture(..., shares=\"softmax\")"),  # noqa: E501
        ({"formula": hm.formula("y ~ x", theta1="~ x")}, hm.ModelError, "no parameter 'theta1'. It has: theta, gap2, gap3"),  # noqa: E501
        ({"priors": {"theta": "beta(1, 1)"}}, hm.PriorError, "'theta', 'beta(1, 1)', does not fit: it needs dirichlet(1)"),  # noqa: E501
        ({"priors": {"theta[1]": "dirichlet(1)"}}, hm.PriorError, "'theta[1]'"),
        ({"priors": {"sigma1": "dirichlet(1)"}}, hm.PriorError, "it needs a distribution of numbers"),  # noqa: E501
    ],
)  # fmt: skip
def test_errors_of_three(three, given, error, says):
    formula = given.pop("formula", "y ~ x")
    with pytest.raises(error) as info:
        hm.model(three, formula, family=hm.mixture(*["gaussian"] * 3), **given)
    assert says in str(info.value)


def test_models_around_it(waits):
    parts = hm.formula("y ~ x + (1 | g)", mu2="~ x", theta1="~ x", sigma2="~ x")
    model = hm.model(waits, parts, family=hm.mixture("gaussian", "student", order="none"))
    priors = model.priors["prior"]
    mean, sd = waits["y"].mean(), waits["y"].std(ddof=0)
    assert priors["mu2_Intercept"] == f"normal({mean:.4g}, {2.5 * sd:.4g})"
    assert priors["theta1_Intercept"] == "normal(0, 1.5)"
    plain = hm.model(waits, "y ~ x", family=hm.mixture("gaussian", "student", order="none"))
    assert plain.priors.loc["mu2", "prior"] == priors["mu2_Intercept"]
    assert "mixture_gaussian_student(mu[i], theta1, mu2, sigma1" in str(plain.equations())
    for m in (model, plain):
        scope: dict = {}
        exec(m.code(), scope)
        drawn = m.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
        found = m.joint.log_prob(drawn)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(scope["joint"].log_prob(drawn), found, 1e-12)
        plan = m.plan()
        start = plan.start()[0][None]
        assert np.isfinite(plan.log_density(tf.constant(start), plan.arguments)).all()
    censored = hm.model(waits, "truncated(y, 20) ~ x", family=hm.mixture("gaussian", "gaussian"))
    assert np.isfinite(censored.joint.log_prob(censored.joint.sample(seed=[1, 2])))


def test_components_may_be_of_the_users_own():
    mine = hm.Family(
        "own",
        likelihood="tfd.GeneralizedNormal(loc={mean}, scale=sigma, power=power)",
        links=("identity",),
        parameters={
            "sigma": hm.FamilyParameter("exponential({per_sd})"),
            "power": hm.FamilyParameter("gamma(4, 2)", typical=2.0),
        },
    )
    family = hm.mixture("gaussian", mine)
    assert list(family.parameters) == ["theta1", "mu2", "sigma1", "sigma2", "power2"]
    assert not family.tails
    values = {"theta1": SHARE, "mu2": 1.0, "sigma1": 0.5, "sigma2": 2.0, "power2": 1.5}
    found = evaluated(family, "likelihood", **values).log_prob(np.float64(0.7))
    one, other = stats.norm(ETA, 0.5), stats.gennorm(1.5, 1.0, 2.0)
    exact = np.log(SHARE * one.pdf(0.7) + (1 - SHARE) * other.pdf(0.7))
    np.testing.assert_allclose(found, exact, 1e-10)


def test_supports_are_those_of_both():
    family = hm.mixture("gamma", "exponential")
    assert (family.lower, family.upper, family.ends) == (0, np.inf, "()")
    with pytest.raises(hm.DataError, match="needs values above 0"):
        hm.model(pd.DataFrame({"y": [0.0, 1.0, 2.0]}), "y ~ 1", family=family)


line = hm.Family(
    "line", "tfd.Normal({mean}, np.float64(1))", ("identity",), lower=-np.pi, upper=np.pi
)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: hm.mixture("gaussian"), "a mixture has two components or more, not 1"),
        (lambda: hm.mixture(["gaussian", "gaussian"]), "one after the other, not as a list"),
        (
            lambda: hm.mixture("gaussian", hm.mixture("gaussian", "student")),
            "'mixture_gaussian_student' cannot be part of a mixture: it is one. Give all comp",
        ),
        (lambda: hm.mixture("poisson", "poisson", "gamma"), "'poisson' and 'gamma' cannot be mixe"),
        (lambda: hm.mixture("gaussian", "cumulative"), "of ordered categories or not"),
        (lambda: hm.mixture("cumulative", "hurdle_cumulative"), "of the same range"),
        (lambda: hm.mixture("wiener", "gaussian"), "'wiener' and 'gaussian' cannot be mixed"),
        (
            lambda: hm.mixture("categorical", "categorical"),
            "it has a linear predictor for every outcome, and a mixture one for every component",
        ),
        (lambda: hm.mixture("gaussian", "gausian"), "Did you mean 'gaussian'?"),
        (lambda: hm.mixture("gaussian", "poisson"), "'gaussian' and 'poisson' cannot be mixed"),
        (lambda: hm.mixture("gamma", "lognormal"), "all about its logarithm"),
        (lambda: hm.mixture("von_mises", line), "'von_mises' and 'line' cannot be mixed"),
        (lambda: hm.mixture("gaussian", "student", order="mu"), "for a mixture of equal families"),
        (lambda: hm.mixture("gaussian", "student", order="up"), "must be 'mu' or 'none', not 'up'"),
        (
            lambda: hm.mixture("gaussian", "student", shares="own"),
            "must be 'simplex' or 'softmax', not 'own'",
        ),
        (
            lambda: hm.mixture("gaussian", named("theta"), shares="softmax"),
            "'own' cannot be component 2: the mixture has its own theta2. Rename",
        ),
    ],
)
def test_errors(make, says):
    with pytest.raises(hm.ModelError) as info:
        make()
    assert says in str(info.value)


def table(thresholds, location, disc=1.0):
    """Probabilities of the categories of cumulative logits, by row."""
    below = special.expit(disc * (np.asarray(thresholds) - np.reshape(location, (-1, 1))))
    whole = np.pad(below, [(0, 0), (1, 1)], constant_values=((0, 0), (0, 1)))
    return np.diff(whole, axis=1)


CUTS, OTHER = [-1.0, 0.2, 1.5], [-0.4, 0.1, 0.3]
ORDINAL = {
    "in common": (
        hm.mixture("cumulative", "cumulative"),
        {"gap": 0.8, "threshold": CUTS, "disc1": 1.0, "disc2": 0.6},
        [table(CUTS, ETA), table(CUTS, ETA + 0.8, 0.6)],
    ),
    "their own": (
        hm.mixture("cumulative", "cumulative", order="none"),
        {"mu2": 0.0, "threshold1": CUTS, "disc1": 1.0, "threshold2": OTHER, "disc2": 2.0},
        [table(CUTS, ETA), table(OTHER, 0 * ETA, 2.0)],
    ),
    "two kinds": (
        hm.mixture("cumulative", "sratio"),
        {"mu2": 0.4, "threshold1": CUTS, "disc1": 1.0, "threshold2": [0.0, 0.0, 0.0], "disc2": 1.0},
        [table(CUTS, ETA), [[0.401312, 0.240260, 0.143841, 0.214587]] * 3],
    ),
}


@pytest.mark.parametrize("case", ORDINAL)
def test_ordered_categories(case):
    family, values, parts = ORDINAL[case]
    assert list(family.parameters) == ["theta1", *values]
    found = evaluated(
        family, "likelihood", theta1=SHARE, **{n: np.array([v]) for n, v in values.items()}
    )
    exact = summed([SHARE, 1 - SHARE], [np.array(p) for p in parts])
    tolerance = 1e-5 if case == "two kinds" else 1e-12
    np.testing.assert_allclose(found.probs(), exact, tolerance)
    for y in (1.0, 2.0, 4.0):
        density = found.log_prob(np.full(3, y))
        np.testing.assert_allclose(density, np.log(exact[:, int(y) - 1]), tolerance)
    assert np.isneginf(found.log_prob(np.full(3, 5.0))).all()
    np.testing.assert_allclose(found.mean(), exact @ [1, 2, 3, 4], tolerance)
    drawn = found.sample(20_000, seed=tf.constant([1, 2], tf.int32)).numpy()
    for row in range(3):
        counts = np.bincount(drawn[:, row].astype(int), minlength=5)[1:]
        assert stats.chisquare(counts, 20_000 * exact[row]).pvalue > 1e-4


@pytest.fixture(scope="module")
def answers():
    """Some answer by x, others in the middle, or at the ends, whatever x is."""
    rng = np.random.default_rng(4)
    x, of_x = rng.normal(size=1200), rng.random(1200) < 0.7
    rows = np.where(of_x[:, None], table([-1.5, 0.0, 1.5], 2.0 * x), [[0.45, 0.05, 0.05, 0.45]])
    y = 1 + (rng.random((1200, 1)) > rows.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return pd.DataFrame({"x": x, "y": y})


def test_ordered_components_with_thresholds_of_their_own_are_found(answers):
    fit = hm.fit(
        answers,
        "y ~ x",
        family=hm.mixture("cumulative", "cumulative", order="none"),
        seed=1,
        progress=False,
    )
    assert fit.check().figures["r_hat"] < 1.02
    truth = {"x": 2.0, "theta1": 0.7, "threshold1": [-1.5, 0.0, 1.5]}
    truth["threshold2"] = special.logit([0.45, 0.5, 0.55])
    for name, value in truth.items():
        draws = fit.posterior[name]
        error = np.abs(draws.mean(("chain", "draw")) - value) / draws.std(("chain", "draw"))
        assert (error < 3.5).all(), name
    fitted = results.fitted(fit.model._joint, fit.posterior)
    assert fitted.shape == (4, 1000, 1200, 4)
    np.testing.assert_allclose(fitted.sum(-1), 1.0, 1e-12)
    shares = np.bincount(answers["y"])[1:] / 1200
    np.testing.assert_allclose(fitted.mean((0, 1, 2)), shares, atol=0.02)
    # What is kept of thresholds gives the density that was sampled.
    direct = results.log_likelihood(fit.model._joint, fit.posterior)[0, 0]
    at = {n: fit.posterior[n][0, 0].to_numpy() for n in ("x", *list(truth)[1:])}
    rows = summed(
        [at["theta1"], 1 - at["theta1"]],
        [table(at["threshold1"], at["x"] * answers["x"]), table(at["threshold2"], np.zeros(1200))],
    )
    np.testing.assert_allclose(direct, np.log(rows[np.arange(1200), answers["y"] - 1]), 1e-9)


@pytest.mark.parametrize("order", ["mu", "none"])
def test_models_of_equidistant_thresholds(answers, order):
    even = hm.ordinal("cumulative", threshold="equidistant")
    model = hm.model(answers, "y ~ x", family=hm.mixture(even, even, order=order))
    names = ["threshold1", "threshold2"] if order == "none" else ["threshold"]
    delta = [name.replace("threshold", "delta") for name in names]
    assert {*names, *delta} < {*model.priors.index}
    assert (
        list(model.priors["source"][names])
        == [
            "default; of the first; at predictors' means",
            "default; of the first",
        ][: len(names)]
    )
    for one, gap in zip(names, delta, strict=True):
        assert f"{one}[k] = {one}[1] + (k - 1) * {gap}" in str(model.equations())
    scope: dict = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_allclose(scope["joint"].log_prob(drawn), model.joint.log_prob(drawn), 1e-12)
    kept = model.sample_prior(draws=5, seed=1)["prior"]
    for one, gap in zip(names, delta, strict=True):
        steps = np.diff(kept[one].to_numpy(), axis=-1)
        np.testing.assert_allclose(steps, np.repeat(kept[gap].to_numpy()[..., None], 2, -1), 1e-9)


@pytest.mark.parametrize(
    ("order", "parts", "says"),
    [
        ("none", {"mu2": "~ 0 + x"}, "leave 0 + (or - 1) out of the formula of mu2"),
        ("none", {"disc2": "~ 0 + k"}, "all levels of k together are an intercept of disc2, which"),
        ("mu", {"disc1": "~ 0 + k"}, "all levels of k together are an intercept of disc1, which"),
        ("mu", {"threshold": "~ x"}, "has one value for each pair of categories"),
    ],
)
def test_errors_of_ordered_components(answers, order, parts, says):
    family = hm.mixture("cumulative", "cumulative", order=order)
    data = answers.assign(k=np.where(answers["x"] > 0, "p", "q"))
    with pytest.raises(hm.ModelError) as info:
        hm.model(data, hm.formula("y ~ x", **parts), family=family)
    assert says in str(info.value)
    right = {name: text.replace("0 + ", "") for name, text in parts.items() if name != "threshold"}
    priors = hm.model(data, hm.formula("y ~ x", **right), family=family).priors
    assert not any("Intercept" in name for name in priors.index)


def test_thresholds_are_compared_with_the_predictor_of_their_component(answers):
    family = hm.mixture("cumulative", "cumulative", order="none")
    far = answers.assign(far=answers["x"] + 20.0)
    one = hm.model(far, "y ~ x + offset(far)", family=family).priors
    assert one.loc["threshold1", "prior"] == f"normal({far['far'].mean():.4g}, 2.5)"
    assert one.loc["threshold2", "prior"] == "normal(0, 2.5)"
    both = hm.model(far, hm.formula("y ~ x", mu2="~ far + offset(far)"), family=family)
    assert both.priors.loc["threshold1", "prior"] == "normal(0, 2.5)"
    assert both.priors.loc["threshold2", "prior"] == one.loc["threshold1", "prior"]
    assert both.priors.loc["threshold2", "source"] == "default; at predictors' means"
    # Those at predictors = 0, which are kept, give the density that was sampled.
    made = hm.model(far, hm.formula("y ~ x", mu2="~ far"), family=family)
    draw = made.sample_prior(draws=3, seed=1)["prior"]
    posterior = draw.to_dataset() if hasattr(draw, "to_dataset") else draw
    found = results.log_likelihood(made._joint, posterior)[0, 1]
    at = {n: posterior[n][0, 1].to_numpy() for n in posterior.data_vars}
    rows = summed(
        [at["theta1"], 1 - at["theta1"]],
        [
            table(at["threshold1"], at["x"] * far["x"]),
            table(at["threshold2"], at["mu2_far"] * far["far"]),
        ],
    )
    np.testing.assert_allclose(found, np.log(rows[np.arange(1200), far["y"] - 1]), 1e-9)


def test_angles():
    family = hm.mixture("von_mises", "von_mises", order="none")
    values = {"theta1": SHARE, "mu2": 2.8, "kappa1": 1.5, "kappa2": 4.0}
    assert set(family.parameters) == {*values}
    assert not family.tails
    found = evaluated(family, "likelihood", **values)
    parts = [stats.vonmises(1.5, 2 * np.arctan(ETA)), stats.vonmises(4.0, 2.8)]
    y = np.linspace(-np.pi, np.pi, 2001)[:, None]
    density = summed([SHARE, 1 - SHARE], [p.pdf(y) for p in parts])
    np.testing.assert_allclose(found.log_prob(y), np.log(density), 1e-10)
    point = np.trapezoid(density * np.exp(1j * y), y, axis=0)
    np.testing.assert_allclose(found.mean(), np.angle(point), 1e-6)
    np.testing.assert_allclose(found.variance(), 1 - np.abs(point), 1e-6)
    drawn = found.sample(20_000, seed=tf.constant([1, 2], tf.int32)).numpy()
    for row in range(3):
        below = np.append(
            0, np.cumsum((density[1:, row] + density[:-1, row]) / 2 * np.diff(y[:, 0]))
        )
        assert (
            stats.kstest(drawn[:, row], lambda v, b=below: np.interp(v, y[:, 0], b)).pvalue > 1e-4
        )
    assert hm.mixture("von_mises", "von_mises") == family
    gapped = evaluated(
        hm.mixture("von_mises", "von_mises", order="mu"),
        "likelihood",
        **{"theta1": SHARE, "gap": 0.7, "kappa1": 1.5, "kappa2": 4.0},
    )
    np.testing.assert_allclose(gapped.components[1].mean(), 2 * np.arctan(ETA + 0.7), 1e-12)


def test_two_directions_are_found():
    rng = np.random.default_rng(2)
    first = rng.random(500) < 0.6
    angle = np.where(first, rng.vonmises(-0.5, 3.0, 500), rng.vonmises(2.6, 6.0, 500))
    data = pd.DataFrame({"angle": angle})
    family = hm.mixture("von_mises", "von_mises", order="none")
    model = hm.model(data, "angle ~ 1", family=family)
    assert model.priors["prior"]["mu2"] == "uniform(-3.142, 3.142)"
    fit = model.fit(seed=1, progress=False)
    # The two may change places: one mode, and what each chain says of it.
    second = fit.posterior["mu2"].median("draw").to_numpy()
    share = fit.posterior["theta1"].median("draw").to_numpy()
    for mu2, theta1 in zip(second, share, strict=True):
        assert (abs(mu2 - 2.6), abs(theta1 - 0.6)) < (0.2, 0.1) or (
            abs(mu2 + 0.5) < 0.2 and abs(theta1 - 0.4) < 0.1
        )


def test_decisions():
    family = hm.mixture("wiener", "wiener", order="none")
    own = {"bs": 1.3, "ndt": 0.1, "bias": 0.4}, {"bs": 2.0, "ndt": 0.2, "bias": 0.6}
    values = {f"{n}{k}": v for k, part in enumerate(own, 1) for n, v in part.items()}
    assert set(family.parameters) == {"theta1", "mu2", *values}
    found = evaluated(family, "likelihood", theta1=SHARE, mu2=-0.5, **values)
    y = np.array([[0.5], [-0.7], [2.0]])
    wiener = families.FAMILIES["wiener"]
    one = evaluated(wiener, "likelihood", **own[0])
    steady = wiener.likelihood.format(mean="eta * 0.0 - 0.5")
    second = links.evaluate(steady, eta=ETA, **{n: np.array(v) for n, v in own[1].items()})
    rows = [np.asarray(d.log_prob(y)) for d in (one, second)]
    exact = special.logsumexp(rows, axis=0, b=np.reshape([SHARE, 1 - SHARE], (2, 1, 1)))
    np.testing.assert_allclose(found.log_prob(y), exact, 1e-12)
    trials = pd.DataFrame({"t": [0.5, 0.7, 2.0, 0.9], "up": [1, 0, 1, 1]})
    model = hm.model(trials, "decided(t, up) ~ 1", family=family)
    assert model.priors["prior"]["mu2"] == "normal(0, 2.5)"
    assert model.priors["prior"]["ndt2"] == "uniform(0, 0.5)"
    drawn = model.joint.sample(3, seed=tf.constant([1, 2], tf.int32))
    assert np.isfinite(model.joint.log_prob(drawn)).all()
