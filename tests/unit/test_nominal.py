"""Several linear predictors: categories without an order, counts and shares of several kinds."""

import dataclasses

import mpmath
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import xarray as xr
from scipy import stats

import hiermod as hm
from hiermod import results
from hiermod.models import families, links
from hiermod.models.families import FAMILIES
from hiermod.results.rows import fitted, log_likelihood

SEVERAL = [name for name, family in FAMILIES.items() if family.single]
ETAS = [(0.5, -1.0), (0.0, 0.0), (20.0, -25.0), (-6.0, 7.0)]
PHIS = (0.05, 3.0, 1e4)
COUNTS = [(3.0, 0.0, 4.0), (0.0, 0.0, 1.0), (200.0, 5000.0, 30.0), (0.0, 0.0, 0.0)]
SHARES = [(0.2, 0.3, 0.5), (1e-9, 0.3, 0.7 - 1e-9), (0.999, 5e-4, 5e-4)]


def exact(name, y, etas, phi):
    """The log density with 60 digits; of a category its number."""
    weights = [mpmath.exp(e) for e in (0, *etas)]
    shares = [w / mpmath.fsum(weights) for w in weights]
    if name == "categorical":
        return mpmath.log(shares[int(y) - 1])
    each = [phi * p for p in shares]
    if name == "dirichlet":
        logs = [(a - 1) * mpmath.log(mpmath.mpf(v)) for a, v in zip(each, y, strict=True)]
        return mpmath.loggamma(phi) + mpmath.fsum(logs) - mpmath.fsum(map(mpmath.loggamma, each))
    n = sum(y)
    ways = mpmath.loggamma(n + 1) - mpmath.fsum(mpmath.loggamma(v + 1) for v in y)
    if name == "multinomial":
        return ways + mpmath.fsum(v * mpmath.log(p) for v, p in zip(y, shares, strict=True))
    more = [mpmath.loggamma(a + v) - mpmath.loggamma(a) for a, v in zip(each, y, strict=True)]
    return ways + mpmath.fsum(more) + mpmath.loggamma(phi) - mpmath.loggamma(phi + n)


def distribution(name, etas, phi=3.0, trials=None):
    """That of rows, given linear predictors of the second and third outcome."""
    family = FAMILIES[name].spread(["a", "b", "c"])
    known = {"mub": etas[0], "muc": etas[1]}
    known |= {"phi": tf.convert_to_tensor(phi, tf.float64)} if "phi" in family.parameters else {}
    text = families.likelihood(family, links.LINKS["softmax"])
    zero = tf.zeros_like(tf.convert_to_tensor(etas[0]))
    return links.evaluate(text, eta=zero, data={"trials": trials}, **known)


def cases(name):
    ys = {"categorical": (1.0, 2.0, 3.0), "dirichlet": SHARES}.get(name, COUNTS)
    phis = PHIS if "phi" in FAMILIES[name].parameters else PHIS[:1]
    return [(y, etas, phi) for y in ys for etas in ETAS for phi in phis]


@pytest.mark.density
@pytest.mark.parametrize("name", SEVERAL)
def test_densities_and_their_gradients(name):
    grid = cases(name)
    y = np.array([case[0] for case in grid])
    trials = y.sum(axis=-1) if y.ndim == 2 else None
    at = [tf.constant([case[1][k] for case in grid], tf.float64) for k in (0, 1)]
    phi = tf.constant([case[2] for case in grid], tf.float64)
    step = mpmath.mpf(10) ** -25
    with mpmath.workdps(60):

        def both(y, etas, phi, k):
            """Value, and slope in a linear predictor or (k = 2) in the logarithm of phi."""
            etas, phi = [mpmath.mpf(e) for e in etas], mpmath.mpf(phi)

            def moved(sign):
                new = [e + sign * step * (j == k) for j, e in enumerate(etas)]
                return exact(name, y, new, phi * mpmath.exp(sign * step * (k == 2)))

            return float(exact(name, y, etas, phi)), float((moved(1) - moved(-1)) / (2 * step))

        value, first = np.array([both(*case, 0) for case in grid]).T
        second = np.array([both(*case, 1)[1] for case in grid])
        third = np.array([both(*case, 2)[1] for case in grid])

    def log_prob(one, other, phi):
        return distribution(name, (one, other), phi, trials).log_prob(y)

    for call in (log_prob, tf.function(log_prob, jit_compile=True)):
        with tf.GradientTape() as tape:
            tape.watch([*at, phi])
            found = call(*at, phi)
        slopes = tape.gradient(found, [*at, phi], unconnected_gradients="zero")
        size = 1e-10 * np.maximum(1, np.abs(value))
        assert (np.abs(found.numpy() - value) < size).all()
        for got, want in zip((*slopes[:2], slopes[2] * phi), (first, second, third), strict=True):
            # A slope is a difference of terms of the size of the counts, or of phi.
            scale = 1.0 + np.abs(want) + (phi.numpy() * 30 if "phi" in FAMILIES[name].parameters
                                          else np.zeros_like(want))  # fmt: skip
            assert (np.abs(got.numpy() - want) < 1e-9 * scale).all()


@pytest.mark.parametrize("name", SEVERAL)
def test_draws_match_the_density(name):
    etas = tuple(tf.constant([e, -e], tf.float64) for e in (0.7, -0.4))
    rows = distribution(name, etas, 3.0, tf.constant([12.0, 5.0], tf.float64))
    drawn = rows.sample(20_000, seed=tf.constant([3, 4], tf.int32)).numpy()
    weights = np.exp([[0, 0], *[e.numpy() for e in etas]]).T
    shares = weights / weights.sum(axis=1, keepdims=True)
    assert rows.mean().numpy() == pytest.approx(drawn.mean(axis=0), abs=0.08)
    assert rows.variance().numpy() == pytest.approx(drawn.var(axis=0), rel=0.05)
    for row, n in enumerate((12, 5)):
        p = shares[row]
        if name == "categorical":
            counts = [(drawn[:, row] == k).sum() for k in (1, 2, 3)]
            assert stats.chisquare(counts, p * 20_000).pvalue > 1e-4
            assert stats.chisquare(counts, p[::-1] * 20_000).pvalue < 1e-4
            continue
        total = 1.0 if name == "dirichlet" else n
        assert drawn[:, row].sum(axis=1) == pytest.approx(total, abs=1e-12)
        for k in range(3):  # marginally a binomial, beta or beta-binomial
            a, b = 3.0 * p[k], 3.0 * (1 - p[k])
            if name == "dirichlet":
                assert stats.kstest(drawn[:, row, k], stats.beta(a, b).cdf).pvalue > 1e-4
                continue
            one = stats.binom(n, p[k]) if name == "multinomial" else stats.betabinom(n, a, b)
            counts = np.bincount(drawn[:, row, k].astype(int), minlength=n + 1)
            expected = one.pmf(np.arange(n + 1)) * 20_000
            few = expected < 10
            if few.any():
                counts = np.append(counts[~few], counts[few].sum())
                expected = np.append(expected[~few], expected[few].sum())
            kept = expected > 0
            assert stats.chisquare(counts[kept], expected[kept]).pvalue > 1e-4
    if name != "categorical":  # the kinds exclude each other
        assert np.corrcoef(drawn[:, 0, 0], drawn[:, 0, 1])[0, 1] < -0.1


def data(rows=60):
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"x": rng.normal(size=rows), "g": np.arange(rows) % 6})
    etas = np.stack([np.zeros(rows), 0.5 + frame["x"], -0.2 - 0.5 * frame["x"]], axis=1)
    p = np.exp(etas) / np.exp(etas).sum(axis=1, keepdims=True)
    frame["choice"] = [rng.choice(["car", "bus", "foot"], p=q) for q in p[:, [1, 0, 2]]]
    frame[["a", "b", "c"]] = [rng.multinomial(9, q) for q in p]
    frame[["p", "q", "r"]] = [rng.dirichlet(8 * q) for q in p]
    return frame


def model(name, formula=None, frame=None, **options):
    left = {"categorical": "choice", "dirichlet": "c(p, q, r)"}.get(name, "c(a, b, c)")
    frame = data() if frame is None else frame
    return hm.model(frame, formula or f"{left} ~ x + (1 | g)", family=name, **options)


PAIRS = {
    "categorical": ("bernoulli", "y"),
    "multinomial": ("binomial", "prop(b, n)"),
    "dirichlet": ("beta", "q"),
    "dirichlet_multinomial": ("beta_binomial", "prop(b, n)"),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_of_two_outcomes_it_is_the_plain_family(name):
    frame = data().assign(n=lambda d: d["a"] + d["b"], q=lambda d: 1 - d["p"])
    frame["y"] = (frame["choice"] != "bus").astype(int)
    left = {"categorical": "y", "dirichlet": "c(p, q)"}.get(name, "c(a, b)")
    family, plain = PAIRS[name]
    one = hm.model(frame.assign(y=frame["y"] + 1), f"{left} ~ x + (1 | g)", family=name)._joint
    other = hm.model(frame, f"{plain} ~ x + (1 | g)", family=family)._joint
    rng = np.random.default_rng(2)
    place = {"Intercept": 0.3, "x": -0.7, "1|g": rng.normal(size=6), "1|g_sigma": 0.5, "phi": 4.0}
    prefix = f"mu{(one.specification.design.response.columns or ('1', '2'))[1]}_"
    named = {k if k == "phi" else prefix + k: v for k, v in place.items()}
    prefixes = {prefix.removesuffix("_")}
    assert {p.parameter for p in one.specification.others} == prefixes

    def posterior(values):
        arrays = {k: np.asarray(v, np.float64) for k, v in values.items()}
        dims = {k: ("chain", "draw", *(["g__factor_dim"] * v.ndim)) for k, v in arrays.items()}
        return xr.Dataset({k: (dims[k], v[None, None]) for k, v in arrays.items()})

    found = log_likelihood(one, posterior(named))
    expected = log_likelihood(other, posterior(place))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    priors = [p.prior.text for p in one.specification.parameters]
    assert sorted(priors) == sorted(p.prior.text for p in other.specification.parameters)


def test_names_and_shared_keys_of_priors():
    priors = {"common": "normal(0, 1)", "b_x": "normal(0, 9)"}
    with pytest.raises(hm.PriorError, match="b_x"):
        model("multinomial", priors=priors)
    found = model(
        "multinomial",
        priors={
            "common": "normal(0, 1)",
            "mub_x": "normal(0, 2)",
            "group_sigma": "exponential(3)",
            "muc_group_sigma": "exponential(4)",
            "Intercept": "normal(0, 5)",
            "muc_Intercept": "normal(0, 6)",
        },
    ).priors["prior"]
    assert found.to_dict() == {
        "mub_Intercept": "normal(0, 5)",
        "mub_x": "normal(0, 2)",
        "muc_Intercept": "normal(0, 6)",
        "muc_x": "normal(0, 1)",
        "mub_1|g_sigma": "exponential(3)",
        "muc_1|g_sigma": "exponential(4)",
    }


def test_a_formula_of_one_outcome_takes_the_place_of_the_common_one():
    parts = hm.formula("c(a, b, c) ~ x + (1 |k| g)", muc="~ 1 + (1 |k| g)", phi="~ x")
    made = hm.model(data(), parts, family="dirichlet_multinomial")
    assert list(made.priors.index) == [
        "mub_Intercept", "mub_x", "muc_Intercept", "phi_Intercept", "phi_x",
        "mub_1|g_sigma", "muc_1|g_sigma", "mub_g_cor",
    ]  # fmt: skip
    text = str(made.equations())
    assert "dirichlet_multinomial(trials[i], softmax(0, mub[i], muc[i]), phi[i])" in text
    assert "muc[i] = muc_Intercept + muc_1|g[g[i]]" in text
    assert "p[i]" not in text
    assert "'a' as reference" in repr(made) and "mub  " not in repr(made).split("\n\n")[0]


def test_an_offset_belongs_to_every_outcome():
    frame = data()
    plain = model("multinomial", "c(a, b, c) ~ 1", frame)
    moved = model("multinomial", "c(a, b, c) ~ 1 + offset(x)", frame)
    values = {"mub_Intercept": tf.constant([0.3], tf.float64), "muc_Intercept": np.array([-0.2])}
    values = {k: tf.constant(v, tf.float64) for k, v in values.items()}
    for name in ("mub", "muc"):
        one, other = (
            getattr(m._joint.functions, f"predict_{name}")(m._joint.data, values)
            for m in (plain, moved)
        )
        np.testing.assert_allclose(other - one, frame["x"].to_numpy()[None])
    assert (moved._joint.functions.predict(moved._joint.data, values).numpy() == 0).all()


@pytest.fixture(scope="module", params=SEVERAL)
def fit(request):
    return model(request.param).fit(seed=1, draws=250, progress=False)


def test_fit_and_what_it_gives(fit):
    s = fit.model.specification
    outcomes = s.design.response.columns or s.design.response.levels
    assert fit.check().figures["r_hat"] < 1.1
    name = s.design.response.name
    fit.add_posterior_predictive(seed=1)
    fit.add_log_likelihood()
    drawn = results.group(fit.idata, "posterior_predictive")[name]
    observed = results.group(fit.idata, "observed_data")[name]
    assert drawn.dims[2:] == observed.dims
    if s.family.columns:
        assert list(observed[f"{name}_dim"].to_numpy()) == list(outcomes)
        total = observed.sum(f"{name}_dim").to_numpy()
        assert np.allclose(drawn.sum(f"{name}_dim"), total)
    assert results.group(fit.idata, "log_likelihood")[name].dims == ("chain", "draw", "__obs__")
    shares = fitted(fit.model._joint, fit.posterior)
    assert shares.shape[2:] == (60, 3)
    total = s.design.response.trials if s.design.response.trials is not None else np.ones(60)
    assert np.allclose(shares.sum(axis=-1), total)
    # Each outcome is about as frequent as it was.
    y = observed.to_numpy()
    y = y if s.family.columns else np.eye(3)[(y - 1).astype(int)]
    assert shares.mean(axis=(0, 1, 2)) == pytest.approx(y.mean(axis=0), rel=0.25)
    axes = fit.plot_ppc()
    assert [t.get_text() for t in axes.get_xticklabels()] == list(outcomes)
    with pytest.raises(hm.ModelError, match="outcomes"):
        fit.pooling("g")
    assert "X" in results.group(fit.idata, "constant_data")


def test_code_gives_the_same_density(fit):
    made = {}
    exec(compile(fit.model.code(), "<code>", "exec"), made)
    joint = fit.model._joint
    drawn = list(joint.distribution.sample(seed=tf.constant([1, 2], tf.int32)))
    drawn[-1] = joint.data["y"]
    found, expected = made["joint"].log_prob(drawn), joint.distribution.log_prob(drawn)
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("name", ["categorical", "multinomial"])
def test_equal_rows_are_counted(name):
    frame = pd.concat([data(20)] * 6, ignore_index=True)
    made = model(name, frame=frame)
    plan = made.plan()
    assert plan.done == "120 rows compressed to 20"
    position = tf.constant(np.random.default_rng(1).normal(size=(3, plan.dimensions)))
    plain = made.plan(shortcuts=False)
    short = plan.log_density(position, plan.arguments)
    whole = plain.log_density(position, plain.arguments)
    np.testing.assert_allclose(short, whole, rtol=1e-10)


def test_levels_and_numbers_are_the_same():
    frame = data()
    numbers = pd.Categorical(frame["choice"]).codes + 1
    one = model("categorical", frame=frame)
    other = model("categorical", frame=frame.assign(choice=numbers))
    assert one.priors.index[0] == "mucar_Intercept"
    assert other.priors.index[0] == "mu2_Intercept"
    assert np.array_equal(one._joint.data["y"], other._joint.data["y"])


BAD = {
    "several columns": (lambda d: (d, "a ~ x", "multinomial"), r"several columns.*c\(a, b, c\)"),
    "one column": (lambda d: (d, "c(a, b) ~ x", "poisson"), "takes one column"),
    "sum": (lambda d: (d.assign(p=2 * d["p"]), "c(p, q, r) ~ x", "dirichlet"),
            r"must sum to 1|needs values"),
    "shares of one": (lambda d: (d.assign(p=d["p"] * 0.5), "c(p, q, r) ~ x", "dirichlet"),
                      "must sum to 1: row 0 has"),
    "whole": (lambda d: (d.assign(a=d["a"] + 0.5), "c(a, b) ~ x", "multinomial"),
              "whole numbers in a"),
    "negative": (lambda d: (d.assign(a=-1.0 - d["a"]), "c(a, b) ~ x", "multinomial"), "in a"),
    "trials": (lambda d: (d.assign(n=20), "c(a, b) | trials(n) ~ x", "multinomial"),
               "sum to the trials: row 0"),
    "no parameter": (lambda d: (d, hm.formula("choice ~ x", mucart="~ 1"), "categorical"),
                     "no parameter 'mucart'. It has: mucar, mufoot"),
    "one category": (lambda d: (d.assign(choice="car"), "choice ~ x", "categorical"),
                     "one category"),
    "empty": (lambda d: (d.assign(choice=np.arange(60) % 2 * 2 + 1), "choice ~ x", "categorical"),
              "no row has choice = 2"),
    "names": (lambda d: (d.assign(choice=d["choice"].map({"car": "a!", "bus": "a?", "foot": "0"})),
                         "choice ~ x", "categorical"), "rename levels"),
    "columns": (lambda d: (d, "c(a) ~ x", "multinomial"), r"Write c\(a, b, c\)"),
    "link": (lambda d: (d, "choice ~ x", "categorical"), "link 'logit'"),
    "mixture": (lambda d: (d, "choice ~ x", hm.mixture("categorical", "categorical")), "mixture"),
}  # fmt: skip


def test_a_family_of_the_users_own_has_one_predictor():
    mine = dataclasses.replace(FAMILIES["categorical"], name="own")
    with pytest.raises(hm.ModelError, match="one linear predictor"):
        hm.model(data(), "choice ~ x", family=mine)


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    make, message = BAD[case]
    with pytest.raises(hm.HiermodError, match=message):
        frame, formula, family = make(data())
        hm.model(frame, formula, family=family, link="logit" if case == "link" else None)
