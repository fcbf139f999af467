"""Ordered categories: densities, thresholds, counted rows, bad input."""

import itertools
from dataclasses import replace

import mpmath
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import special, stats

import hiermod as hm
from hiermod.models import families, links
from hiermod.models.distributions.bijectors import Outwards
from hiermod.models.distributions.ordinal import Ordered
from hiermod.models.families import FAMILIES
from hiermod.results.rows import fitted, log_likelihood

ORDINAL = [name for name, family in FAMILIES.items() if family.categories == "ordered"]
CASES = list(itertools.product(ORDINAL, FAMILIES["cumulative"].links))
THRESHOLDS = [[-1.0, 0.5, 2.0], [-1e-3, 0.0, 1e-3], [-30.0, -29.0, 25.0]]
HU = 0.15
"""The probability of a hurdle."""
ETAS = {"cloglog": [-3.0, 0.0, 0.7], "probit": [-8.0, 0.3, 6.0], "probit_approx": [-3.0, 0.3, 3.0]}


def distribution_function(link, x):
    """With 60 digits: of the latent variable, and one minus it."""
    if link == "logit":
        return 1 / (1 + mpmath.exp(-x)), 1 / (1 + mpmath.exp(x))
    if link == "probit":
        return mpmath.ncdf(x), mpmath.ncdf(-x)
    if link == "cloglog":
        return -mpmath.expm1(-mpmath.exp(x)), mpmath.exp(-mpmath.exp(x))
    if link == "cauchit":
        return mpmath.atan2(1, -x) / mpmath.pi, mpmath.atan2(1, x) / mpmath.pi
    cubic = mpmath.mpf(0.07056) * x**3 + mpmath.mpf(1.5976) * x
    return distribution_function("logit", cubic)


def probabilities(name, link, thresholds, eta, disc):
    """As docs/families.md gives them, of categories 1, 2, ..."""
    latent = [disc * (mpmath.mpf(t) - eta) for t in thresholds]
    if name == "hurdle_cumulative":
        hu = mpmath.mpf(HU)
        table = probabilities("cumulative", link, thresholds, eta, disc)
        return [hu, *((1 - hu) * p for p in table)]
    if name in ("cratio", "acat"):
        latent = [-x for x in latent]
    below, above = zip(*(distribution_function(link, x) for x in latent), strict=True)
    if name == "cumulative":
        inside = [
            b - a if b < 0.5 else c - d
            for a, b, c, d in zip(below, below[1:], above, above[1:], strict=False)
        ]
        return [below[0], *inside, above[-1]]
    if name == "acat":
        odds = [mpmath.fprod(b / a for b, a in zip(below[:k], above[:k], strict=True))
                for k in range(len(latent) + 1)]  # fmt: skip
        return [o / mpmath.fsum(odds) for o in odds]
    stop, go = (below, above) if name == "sratio" else (above, below)
    out = [mpmath.fprod(go[:k]) * stop[k] for k in range(len(latent))]
    return [*out, mpmath.fprod(go)]


@pytest.mark.density
@pytest.mark.parametrize(("name", "link"), CASES)
def test_probabilities_and_their_gradients(name, link):
    text = families.likelihood(FAMILIES[name], links.LINKS[link])
    y = np.arange(FAMILIES[name].lower, 5.0)
    grid = itertools.product(THRESHOLDS, ETAS.get(link, [-40.0, 0.3, 40.0]), (0.1, 1.0))
    for thresholds, eta, disc in grid:
        if abs(thresholds[0]) == 30 and link in ETAS:
            continue  # their probabilities leave float64
        with mpmath.workdps(60):

            def reference(eta=eta, disc=disc, thresholds=tuple(thresholds)):
                found = probabilities(name, link, thresholds, mpmath.mpf(eta), mpmath.mpf(disc))
                return [mpmath.log(p) for p in found]

            step = mpmath.mpf(10) ** -20

            def slope(step=step, reference=reference, **changed):
                ends = (reference(**{k: v + s for k, v in changed.items()}) for s in (step, -step))
                return [(a - b) / (2 * step) for a, b in zip(*ends, strict=True)]

            exact = np.array([float(v) for v in reference()])
            slopes = np.array([float(v) for v in slope(eta=mpmath.mpf(eta))])
            in_disc = np.array([float(v) for v in slope(disc=mpmath.mpf(disc))])

        def found(at, disc, text=text, thresholds=thresholds):
            return links.evaluate(text, eta=at, threshold=[thresholds], disc=disc, hu=HU)

        at, scale = tf.constant(np.full(len(y), eta)), tf.constant(np.full(len(y), disc))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([at, scale])
            value = found(at, scale).log_prob(y)
        np.testing.assert_allclose(value, exact, rtol=1e-10, atol=1e-10)
        # A difference of thresholds of 1e-3, seen from 40 away, has ten digits.
        np.testing.assert_allclose(tape.gradient(value, at), slopes, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(tape.gradient(value, scale), in_disc, rtol=1e-8, atol=1e-8)
        table = found(at, scale).log_probs()
        np.testing.assert_allclose(np.diag(table), exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ORDINAL)
def test_draws_are_as_frequent_as_they_are_probable(name):
    text = families.likelihood(FAMILIES[name], links.LINKS["logit"])
    rows = links.evaluate(
        text, eta=np.array([0.3, -1.0]), threshold=np.array([[-1.0, 0.5, 2.0]]), disc=np.ones(2),
        hu=np.array(HU),
    )  # fmt: skip
    first = int(FAMILIES[name].lower)
    drawn = rows.sample(20_000, seed=tf.constant([1, 2], tf.int32)).numpy()
    for row, probs in enumerate(rows.probs().numpy()):
        assert probs.sum() == pytest.approx(1, abs=1e-12)
        counts = [(drawn[:, row] == k).sum() for k in range(first, 5)]
        assert stats.chisquare(counts, probs * 20_000).pvalue > 1e-4
        assert stats.chisquare(counts, probs[::-1] * 20_000).pvalue < 1e-4
    assert rows.mean().numpy() == pytest.approx(drawn.mean(0), abs=0.05)
    assert rows.variance().numpy() == pytest.approx(drawn.var(0), abs=0.05)
    assert (rows.log_prob(tf.constant([first - 1.0, 5.0], tf.float64)) == -np.inf).numpy().all()


def test_the_prior_is_that_of_sorted_draws():
    import tensorflow_probability as tfp

    base = tfp.distributions.Normal(np.float64(0), np.float64(1.5))
    ordered = Ordered(base, 3)
    x = np.array([-1.0, 0.2, 1.1])
    expected = np.log(6) + stats.norm(0, 1.5).logpdf(x).sum()
    assert float(ordered.log_prob(x)) == pytest.approx(expected, rel=1e-12)
    assert float(ordered.log_prob(x[::-1])) == -np.inf
    drawn = ordered.sample(4000, seed=tf.constant([1, 2], tf.int32)).numpy()
    assert (np.diff(drawn) > 0).all()
    u = stats.norm(0, 1.5).cdf(drawn)  # the k-th of n uniforms is beta(k, n + 1 - k)
    for k in range(3):
        assert stats.kstest(u[:, k], stats.beta(k + 1, 3 - k).cdf).pvalue > 1e-4


@pytest.mark.parametrize("anchor", [0, 1, 3])
def test_the_map_onto_ascending_numbers(anchor):
    x = tf.constant(np.random.default_rng(1).normal(size=(5, 4)))
    outwards = Outwards(anchor)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = outwards.forward(x)
    assert (np.diff(y) > 0).all()
    np.testing.assert_array_equal(y[:, anchor], x[:, anchor])
    np.testing.assert_allclose(outwards.inverse(tf.identity(y)), x, rtol=1e-12, atol=1e-12)
    jacobian = tape.batch_jacobian(y, x).numpy()
    np.testing.assert_allclose(
        outwards.forward_log_det_jacobian(x, event_ndims=1),
        np.log(np.abs(np.linalg.det(jacobian))),
        rtol=1e-12,
    )


def test_the_threshold_that_is_known_best_is_the_anchor(frame):
    rare = frame.assign(y=np.searchsorted([1, 2, 60, 200], np.arange(240)) + 1)
    model = hm.model(rare, "y ~ x", family="cumulative")
    part = next(p for p in model._joint.parts if p.identifier == "threshold")
    assert part.anchor == 2  # 61 of 240 lie below it
    fit = model.fit(chains=2, warmup=200, draws=300, seed=1, progress=False)
    assert int(fit.idata["sample_stats"]["diverging"].sum()) == 0


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(3)
    out = pd.DataFrame({"x": rng.integers(0, 3, 240), "g": np.repeat(list("abcdefgh"), 30)})
    latent = 0.8 * out["x"] + rng.normal(0, 0.5, 8).repeat(30) + rng.logistic(size=240)
    return out.assign(y=np.searchsorted([-0.5, 1.0, 2.5], latent) + 1)


@pytest.fixture(scope="module")
def model(frame):
    return hm.model(frame, "y ~ x + (1 | g)", family="cumulative")


@pytest.mark.parametrize("center", [True, False])
def test_the_density_of_the_model(frame, center):
    model = hm.model(
        frame, "y ~ x + (1 | g)", family="cumulative", center=center,
        priors={"x": "normal(0, 1)", "1|g_sigma": "exponential(2)", "threshold": "normal(0, 2)"},
        noncentered=True,
    )  # fmt: skip
    x, sigma, z = 0.7, 0.4, np.linspace(-1, 1, 8)
    threshold = np.array([-0.4, 0.9, 2.2])
    parts = {p.identifier: p for p in model._joint.parts}
    values = {"x": x, "sigma_g": sigma, "threshold": threshold, "disc": 1.0, "z_g": z[None]}
    given = [tf.constant(np.asarray(values[name], np.float64)) for name in parts]
    by_row = x * (frame["x"] - frame["x"].mean() * center) + sigma * np.repeat(z, 30)
    edges = np.array([-np.inf, *threshold, np.inf])
    y = frame["y"].to_numpy()
    rows = np.log(special.expit(edges[y] - by_row) - special.expit(edges[y - 1] - by_row))
    expected = (
        rows.sum()
        + stats.norm.logpdf(x)
        + stats.expon.logpdf(sigma, scale=0.5)
        + np.log(6)
        + stats.norm(0, 2).logpdf(threshold).sum()
        + stats.norm.logpdf(z).sum()
    )
    # A constant has the density one.
    found = sum(
        float((part(*reversed(given[:i])) if callable(part) else part).log_prob(v))
        for i, (part, v) in enumerate(
            zip(model._joint.distribution.model, [*given, y.astype(float)], strict=True)
        )
    )
    assert found == pytest.approx(expected, rel=1e-10)


def test_counted_rows_have_the_density_of_all(frame):
    for formula, family in (
        ("y ~ x + (1 | g)", "cumulative"),
        ("weighted(y, w) ~ x + (1 | g)", "acat"),
        (hm.formula("y ~ x + (1 | g)", disc="~ 0 + x"), "cumulative"),
        (hm.formula("y ~ x", sigma="~ x"), "gaussian"),
        ("y ~ x", "student"),
    ):
        weighted = frame.assign(w=np.arange(240) % 3)
        model = hm.model(weighted, formula, family=family)
        plan, whole = model.plan(), model.plan(shortcuts=False)
        assert "240 compressed to" in str(plan)
        at = tf.constant(whole.start()[0] + np.random.default_rng(1).normal(0, 0.3, (3, 1)))
        np.testing.assert_allclose(
            plan.log_density(at, plan.arguments), whole.log_density(at, whole.arguments), rtol=1e-11
        )


def test_a_response_that_hardly_repeats_is_left_as_it_is(frame):
    rng = np.random.default_rng(1)
    model = hm.model(frame.assign(x=rng.normal(size=240)), "y ~ x", family="sratio")
    assert "240, one by one" in str(model.plan())


def test_what_is_reported_speaks_of_predictors_at_zero(model, frame):
    prior = model.sample_prior(5, seed=1)
    posterior = (
        prior["prior"].to_dataset() if hasattr(prior["prior"], "to_dataset") else prior.prior
    )
    found = fitted(model._joint, posterior)
    assert found.shape == (1, 5, 240, 4)
    draw = posterior.isel(chain=0, draw=2)
    eta = (
        float(draw["x"]) * frame["x"].to_numpy()
        + draw["1|g"].sel(g__factor_dim=frame["g"].to_list()).to_numpy()
    )
    below = special.expit(draw["threshold"].to_numpy() - eta[:, None])
    edges = np.column_stack([np.zeros(240), below, np.ones(240)])
    np.testing.assert_allclose(found[0, 2], np.diff(edges), atol=1e-12)
    chosen = np.log(np.diff(edges)[np.arange(240), frame["y"] - 1])
    np.testing.assert_allclose(log_likelihood(model._joint, posterior)[0, 2], chosen, rtol=1e-8)
    assert list(draw["threshold_dim"].to_numpy()) == ["1", "2", "3"]
    assert set(np.unique(prior["prior_predictive"]["y"])) <= {1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize("name", ORDINAL)
def test_the_printed_program(name, frame):
    frame = frame.assign(y=frame["y"] - 1) if FAMILIES[name].lower == 0 else frame
    model = hm.model(frame, "y ~ x + (1 | g)", family=name)
    scope: dict = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_array_equal(scope["joint"].log_prob(drawn), model.joint.log_prob(drawn))
    given = "threshold, disc, hu" if FAMILIES[name].lower == 0 else "threshold, disc"
    assert f"y[i] ~ {name}_logit(mu[i], {given})" in str(model.equations())
    assert r"\text{threshold}" in model.equations()._repr_latex_()
    start = model.plan().start()[0][None]
    assert np.isfinite(model.plan().log_density(tf.constant(start), model.plan().arguments)).all()


def test_the_table_of_priors(model):
    table = model.priors
    assert table.loc["threshold", "prior"] == "normal(0, 2.5)"
    assert table.loc["threshold", "source"] == "default; at predictors' means"
    assert "Intercept" not in table.index
    assert "threshold at means = threshold - x * mean(x)" in str(model.equations())


def test_the_prior_of_thresholds_reaches_where_they_are(frame):
    far = frame.assign(far=frame["x"] + 1000.0)
    plain, shifted = (
        hm.model(far, "y ~ far", family="cumulative", center=c) for c in (True, False)
    )
    sd = 2.5 / float(np.std(far["far"]))
    assert plain.priors.loc["threshold", "prior"] == "normal(0, 2.5)"
    prior = shifted.specification.thresholds[0].prior
    assert prior.arguments[1] == pytest.approx(np.hypot(2.5, sd * far["far"].mean()), rel=1e-6)
    offset = hm.model(far, "y ~ x + offset(far)", family="cumulative").specification.thresholds[0]
    assert offset.prior.arguments == pytest.approx((far["far"].mean(), 2.5))


def test_constant_thresholds_at_the_means_vary_at_zero(frame):
    model = hm.model(frame, "y ~ x", family="acat", priors={"threshold": "constant(0)"})
    prior = model.sample_prior(5, seed=1)["prior"]
    assert "constant" not in prior["threshold"].attrs
    assert "constant" in prior["disc"].attrs


def test_the_response_scale_of_levels_is_refused(frame):
    top = frame.assign(y=np.where(frame["g"] == "a", 4, frame["y"]))
    fit = hm.fit(top, "y ~ x + (1 | g)", family="cumulative", chains=2, warmup=100, draws=50,
                 seed=1, progress=False)  # fmt: skip
    assert fit.pooling("g").no_pooling[0] == np.inf
    with pytest.raises(hm.ModelError, match="not that of one linear predictor"):
        fit.pooling("g", response=True)


def test_levels_in_their_order(frame):
    names = ["none", "some", "most", "all"]
    levels = pd.Categorical.from_codes(frame["y"] - 1, names, ordered=True)
    one = hm.model(frame.assign(y=levels), "y ~ x", family="cumulative")
    other = hm.model(frame, "y ~ x", family="cumulative")
    np.testing.assert_array_equal(one._joint.data["y"], other._joint.data["y"])
    assert one.specification.thresholds[0].labels == ("none", "some", "most")
    two = hm.model(frame.assign(y=np.where(frame["y"] > 2, "yes", "no")), "y ~ x", family="acat")
    assert two.specification.thresholds[0].labels == ("no",)


@pytest.fixture(scope="module")
def pain():
    """No pain at all, or one of three grades, of which the first predictor shifts both."""
    rng = np.random.default_rng(8)
    x = rng.integers(0, 3, 900).astype(float)
    none = rng.random(900) < special.expit(-1.0 + 0.8 * x)
    grade = np.searchsorted([-0.5, 1.0], 0.7 * x + rng.logistic(size=900)) + 1
    names = np.array(["none", "mild", "severe", "worst"])
    shown = pd.Categorical(names[np.where(none, 0, grade)], names, ordered=True)
    return pd.DataFrame({"y": np.where(none, 0, grade), "x": x, "shown": shown})


def test_a_hurdle_before_the_categories(pain):
    parts = hm.formula("shown ~ x", hu="~ x")
    fit = hm.fit(pain, parts, family="hurdle_cumulative", chains=2, seed=1, progress=False)
    assert fit.check().ok
    found = fit.posterior
    assert found["threshold"]["threshold_dim"].to_numpy().tolist() == ["mild", "severe"]
    means = found.mean(("chain", "draw"))
    truth = {"x": 0.7, "hu_Intercept": -1.0, "hu_x": 0.8}
    for name, value in truth.items():
        assert abs(float(means[name]) - value) < 4 * float(found[name].std()), name
    sd = found["threshold"].std(("chain", "draw")).to_numpy()
    assert (np.abs(means["threshold"].to_numpy() - [-0.5, 1.0]) < 4 * sd).all()
    # The two halves are models of their own: of the hurdle, and of the rows beyond it.
    above = hm.fit(pain[pain["y"] > 0], "y ~ x", family="cumulative", chains=2, seed=1,
                   progress=False)  # fmt: skip
    assert float(means["x"]) == pytest.approx(
        float(above.posterior["x"].mean()), abs=0.15 * float(found["x"].std())
    )
    probs = fitted(fit.model._joint, found)
    assert probs.shape[2:] == (900, 4)
    np.testing.assert_allclose(probs.sum(-1), 1, 1e-12)
    for x in (0, 1, 2):
        rows = (pain["x"] == x).to_numpy()
        shares = np.bincount(pain["y"][rows], minlength=4) / rows.sum()
        assert np.abs(probs[:, :, rows].mean((0, 1, 2)) - shares).max() < 0.06
    fit.add_log_likelihood().add_posterior_predictive(seed=1)
    drawn = fit.idata["posterior_predictive"]["shown"]
    assert set(np.unique(drawn)) == {0.0, 1.0, 2.0, 3.0}
    axes = fit.plot_ppc()
    assert [label.get_text() for label in axes.get_xticklabels()] == list(
        pain["shown"].cat.categories
    )
    assert axes.get_xticks().tolist() == [0, 1, 2, 3]


def test_a_hurdle_as_a_number(pain):
    model = hm.model(pain, "y ~ x", family="hurdle_cumulative", priors={"hu": "beta(2, 2)"})
    named = hm.model(pain, "shown ~ x", family="hurdle_cumulative")
    np.testing.assert_array_equal(model._joint.data["y"], named._joint.data["y"])
    assert model.specification.thresholds[0].labels == ("1", "2")
    assert model.priors["prior"][["threshold", "hu"]].tolist() == ["normal(0, 2.5)", "beta(2, 2)"]
    plan = model.plan()
    assert "900 compressed to 12" in str(plan)


def test_levels_that_are_all_hurdles_are_not_known(pain):
    g = np.arange(900) % 9
    y = np.where(g == 0, 0, np.where(g == 1, np.minimum(pain["y"], 1), pain["y"]))
    y = np.where(g == 2, np.where(pain["y"] > 0, 3, 0), y)
    fit = hm.fit(pain.assign(g=g, y=y), "y ~ x + (1 | g)", family="hurdle_cumulative", chains=2,
                 warmup=100, draws=50, seed=1, progress=False)  # fmt: skip
    alone = fit.pooling("g").no_pooling.ravel()
    assert np.isnan(alone[0])
    assert alone[1:3].tolist() == [-np.inf, np.inf]
    assert np.isfinite(alone[3:]).all()


@pytest.mark.parametrize(
    ("y", "says"),
    [
        ([1, 2, 3, 3], "no row has y = 0, which is the hurdle of family 'hurdle_cumulative'. Without one use family='cumulative'"),  # noqa: E501
        ([0, 1, 3, 3], "no row has y = 2: the thresholds beside an empty category"),
        ([0, 1, 1, 0], "y has one category beside the hurdle"),
        ([0, -1, 2, 3], "ordered levels, or whole numbers from 0: row 1 has -1"),
        (list("abcd"), "needs the order of the levels of y"),
        (pd.Categorical(list("bccd"), list("abcd"), ordered=True), "no row has y = a, which is the hurdle"),  # noqa: E501
        (pd.Categorical(list("abba"), list("abcd"), ordered=True), "y has one category beside the hurdle"),  # noqa: E501
    ],
)  # fmt: skip
def test_bad_input_of_a_hurdle(y, says):
    with pytest.raises(hm.DataError) as info:
        hm.model(pd.DataFrame({"y": y, "x": [0, 1, 0, 1]}), "y ~ x", family="hurdle_cumulative")
    assert says in str(info.value)


EQUIDISTANT = hm.ordinal("cumulative", threshold="equidistant")


@pytest.mark.parametrize("center", [True, False])
def test_the_density_with_equidistant_thresholds(frame, center):
    priors = {"x": "normal(0, 1)", "threshold": "normal(-1, 2)", "delta": "exponential(3)"}
    model = hm.model(frame, "y ~ x", family=EQUIDISTANT, center=center, priors=priors)
    x, first, delta = 0.7, -0.4, 1.3
    values = {"x": x, "threshold": [first], "delta": delta, "disc": 1.0}
    given = [tf.constant(np.asarray(values[p.identifier])) for p in model._joint.parts]
    parts = model._joint.distribution.model
    likely = parts[-1](*reversed(given)).log_prob(model._joint.data["y"])
    by_row = x * (frame["x"] - frame["x"].mean() * center)
    edges = np.array([-np.inf, *(first + delta * np.arange(3)), np.inf])
    y = frame["y"].to_numpy()
    rows = np.log(special.expit(edges[y] - by_row) - special.expit(edges[y - 1] - by_row))
    assert float(likely) == pytest.approx(rows.sum(), rel=1e-10)
    expected = [stats.norm.logpdf(x), stats.norm(-1, 2).logpdf(first),
                stats.expon.logpdf(delta, scale=1 / 3)]  # fmt: skip
    found = [float(part.log_prob(v)) for part, v in zip(parts[:3], given, strict=False)]
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ORDINAL)
def test_what_is_reported_with_equidistant_thresholds(name, frame):
    first = int(FAMILIES[name].lower)
    family = hm.ordinal(name, threshold="equidistant")
    model = hm.model(frame.assign(y=frame["y"] + first - 1), "y ~ x + (1 | g)", family=family)
    below = ["1", "2", "3"] if first else ["1", "2"]
    prior = model.sample_prior(5, seed=1)["prior"]
    prior = prior.to_dataset() if hasattr(prior, "to_dataset") else prior
    assert list(prior["threshold_dim"].to_numpy()) == below
    distance = prior["threshold"].diff("threshold_dim") - prior["delta"]
    np.testing.assert_allclose(distance, 0, atol=1e-12)
    positive = name in ("cumulative", "hurdle_cumulative")
    assert bool((prior["delta"] > 0).all()) == positive
    # The same rows as with flexible thresholds at these places.
    flexible = hm.model(frame.assign(y=frame["y"] + first - 1), "y ~ x + (1 | g)", family=name)
    assert flexible.specification.thresholds[0].labels == tuple(below)
    for quantity in (fitted, log_likelihood):
        np.testing.assert_allclose(
            quantity(model._joint, prior), quantity(flexible._joint, prior), rtol=1e-9, atol=1e-12
        )
    scope: dict = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_array_equal(scope["joint"].log_prob(drawn), model.joint.log_prob(drawn))
    plan = model.plan()
    start = tf.constant(plan.start()[0][None])
    assert np.isfinite(plan.log_density(start, plan.arguments)).all()


def test_equidistant_thresholds_are_found():
    rng = np.random.default_rng(4)
    x = rng.normal(3, 1, 600)
    latent = 0.8 * x + rng.logistic(size=600)
    data = pd.DataFrame({"x": x, "y": np.searchsorted(np.arange(0.5, 6, 1.1), latent) + 1})
    fit = hm.fit(data, "y ~ x", family=EQUIDISTANT, chains=2, seed=1, progress=False)
    flexible = hm.fit(data, "y ~ x", family="cumulative", chains=2, seed=1, progress=False)
    assert fit.check().ok
    found, other = fit.posterior, flexible.posterior
    for name, value in {"x": 0.8, "delta": 1.1}.items():
        assert abs(float(found[name].mean()) - value) < 4 * float(found[name].std())
    sizes = ("chain", "draw")
    distance = found["threshold"].mean(sizes) - other["threshold"].mean(sizes)
    assert (np.abs(distance) < 2 * other["threshold"].std(sizes)).all()
    assert {"threshold[1]", "threshold[5]", "delta"} < set(fit.summary().index)
    assert {"threshold[5]", "delta"} < set(fit.sensitivity().index)
    table = fit.model.priors
    assert table.loc["threshold", "source"] == "default; of the first; at predictors' means"
    assert table.loc["delta", "prior"] == "exponential(1)"
    text = str(fit.model.equations())
    assert "y[i] ~ cumulative_logit(mu[i], threshold, disc)" in text
    assert "threshold at means[1] ~ normal(0, 2.5)" in text
    assert "threshold[k] = threshold[1] + (k - 1) * delta" in text


def test_a_constant_first_threshold(frame):
    model = hm.model(frame, "y ~ 1", family=EQUIDISTANT, priors={"threshold": "constant(-1)"})
    prior = model.sample_prior(5, seed=1)["prior"]
    assert "constant" not in prior["threshold"].attrs
    assert (prior["threshold"][..., 0] == -1).all()
    named = hm.model(frame, "y ~ 1", family=EQUIDISTANT, priors={"threshold[1]": "normal(-2, 1)"})
    assert "threshold[1] ~ normal(-2, 1)" in str(named.equations())


def test_kinds_of_thresholds():
    assert hm.ordinal("acat") is FAMILIES["acat"]
    assert hm.ordinal(EQUIDISTANT, threshold="equidistant") is EQUIDISTANT
    with pytest.raises(hm.ModelError, match="'gaussian' has no ordered categories"):
        hm.ordinal("gaussian", threshold="equidistant")
    with pytest.raises(hm.ModelError, match="must be 'flexible' or 'equidistant', not 'even'"):
        hm.ordinal("acat", threshold="even")
    frame = pd.DataFrame({"y": [1, 2, 3, 1], "x": [0.0, 1.0, 2.0, 4.0]})
    with pytest.raises(hm.ModelError, match="'delta' is the distance between thresholds"):
        hm.model(frame, hm.formula("y ~ x", delta="~ x"), family=EQUIDISTANT)
    with pytest.raises(hm.DataError, match=r"two categories.*Use family='cumulative'"):
        hm.model(frame.assign(y=[1, 2, 1, 1]), "y ~ x", family=EQUIDISTANT)
    parameters = {n: p for n, p in EQUIDISTANT.parameters.items() if n != "delta"}
    with pytest.raises(hm.ModelError, match="distance must name a parameter, not 'delta'"):
        hm.model(frame, "y ~ x", family=replace(EQUIDISTANT, parameters=parameters))


@pytest.mark.parametrize(
    ("changed", "given", "error", "says"),
    [
        ({"y": list("abcd")}, {}, hm.DataError, "family 'cumulative' needs the order of the levels of y: make it pd.Categorical(values, categories=[...], ordered=True)"),  # noqa: E501
        ({"y": [0, 1, 2, 3]}, {}, hm.DataError, "needs categories in y: ordered levels, or whole numbers from 1: row 0 has 0"),  # noqa: E501
        ({"y": [1, 1.5, 2, 3]}, {}, hm.DataError, "whole numbers from 1: row 1 has 1.5"),
        ({"y": [1, 2, 4, 5]}, {}, hm.DataError, "no row has y = 3: the thresholds beside an empty category cannot be told apart"),  # noqa: E501
        ({"y": [1, 1, 1, 1]}, {}, hm.DataError, "y has one category"),
        ({}, {"formula": "y ~ 0 + x"}, hm.ModelError, "has thresholds in place of an intercept: leave 0 +"),  # noqa: E501
        ({}, {"priors": {"threshold": "exponential(1)"}}, hm.PriorError, "numbers in ascending order, which have no bounds"),  # noqa: E501
        ({}, {"priors": {"threshold": "constant(1)"}}, hm.PriorError, "numbers in ascending order"),
        ({}, {"priors": {"Intercept": "normal(0, 1)"}}, hm.PriorError, "no parameter or class 'Intercept'"),  # noqa: E501
        ({}, {"formula": "censored(y, x) ~ 1"}, hm.ModelError, "cannot be censored"),
        ({}, {"formula": hm.formula("y ~ x", threshold="~ x")}, hm.ModelError, "'threshold' has one value for each pair of categories"),  # noqa: E501
        ({}, {"formula": hm.formula("y ~ x", disc="~ 0 + C(x)")}, hm.ModelError, "all levels of C(x) together are an intercept of disc"),  # noqa: E501
        ({}, {"link": "log"}, hm.ModelError, "link 'log' (of values above 0) does not fit the mean of family 'cumulative'"),  # noqa: E501
    ],
)  # fmt: skip
def test_bad_input(changed, given, error, says):
    frame = pd.DataFrame({"y": [1, 2, 3, 4], "x": [0, 1, 0, 1]} | changed)
    with pytest.raises(error) as info:
        hm.model(frame, given.pop("formula", "y ~ x"), family="cumulative", **given)
    assert says in str(info.value)


def test_a_scale_is_one_at_the_first_level_of_a_factor(frame):
    data = frame.assign(k=np.where(frame["g"] < "d", "p", "q"))
    model = hm.model(data, hm.formula("y ~ x", disc="~ k + x"), family="cumulative")
    assert [name for name in model.priors.index if "disc" in name] == ["disc_k", "disc_x"]
    values = {"x": 0.3, "threshold": [-1.0, 0.4, 1.2], "disc_k": [0.7], "disc_x": -0.2}
    given = [tf.constant(values[p.identifier], tf.float64) for p in model._joint.parts]
    disc = np.exp(0.7 * (data["k"] == "q") - 0.2 * data["x"])
    eta = 0.3 * (data["x"] - data["x"].mean())  # thresholds speak of the predictors' means
    table = [
        probabilities("cumulative", "logit", [-1.0, 0.4, 1.2], mpmath.mpf(e), mpmath.mpf(d))
        for e, d in zip(eta, disc, strict=True)
    ]
    rows = [float(mpmath.log(own[y - 1])) for own, y in zip(table, data["y"], strict=True)]
    found = model.joint.log_prob([*given, data["y"].to_numpy(float)]).numpy()
    priors = [p.log_prob(v) for p, v in zip(model.joint.model, given, strict=False)]
    assert found - float(sum(priors)) == pytest.approx(sum(rows), rel=1e-9)
