"""Effects that the sampler moves by what the data say of them: the density is the same."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import hiermod as hm
from hiermod.models import plans, roughfit


def data(rows=240):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=rows), "g": rng.integers(0, 12, rows)})
    frame["h"], frame["f"] = rng.integers(0, 5, rows), rng.choice(list("abc"), rows)
    frame["w"], frame["m"] = rng.choice([1.0, 2.0], rows), np.arange(rows) % 9 + 0.5
    eta = 0.3 + 0.5 * frame["x"] + rng.normal(size=12)[frame["g"]]
    frame["y"] = eta + rng.normal(0, 0.7, rows)
    frame["n"] = 1 + frame.index % 4
    frame["s"] = rng.binomial(frame["n"], 1 / (1 + np.exp(-eta)))
    frame["k"] = rng.poisson(np.exp(eta))
    frame["c"] = pd.cut(frame["y"], [-np.inf, -0.5, 0.5, 1.5, np.inf], labels=False) + 1
    return frame


CASES = {
    "intercepts": ("prop(s, n) ~ x + (1 | g)", "binomial"),
    "slopes": ("k ~ x + (1 + x | g)", "poisson"),
    "independent": ("k ~ x + (1 + x || g)", "negbinomial"),
    "three effects": ("y ~ x + f + (0 + f | g)", "gaussian"),
    "five effects, crossed": ("k ~ x + (1 + x * f - x | g) + (0 + f | h)", "poisson"),
    "crossed": ("y ~ x + (1 + x | g) + (1 | h)", "student"),
    "twice": ("prop(s, n) ~ x + (1 | g) + (0 + x | g)", "binomial"),
    "no intercept": ("k ~ 0 + f + (1 | g)", "poisson"),
    "only groups": ("k ~ 0 + (1 | g)", "poisson"),
    "heavy tails": ('y ~ x + (1 + x | gr(g, dist="student"))', "gaussian"),
    "ordinal": ("c ~ x + (1 | g)", "cumulative"),
    "outcomes": ("c ~ x + (1 | g)", "categorical"),
    "weights and offset": ("weighted(k, w) ~ offset(x) + (1 | g)", "poisson"),
    "smooth": ("y ~ s(x, k=5) + (1 | g)", "gaussian"),
    "horseshoe": ("y ~ x + f + (1 | g)", "gaussian", {"common": "horseshoe()"}),
}


def model(case, **options):
    formula, family, *priors = CASES[case]
    return hm.model(data(), formula, family=family, priors=priors[0] if priors else None, **options)


@pytest.mark.parametrize("case", CASES)
def test_the_density_is_that_of_the_joint_distribution_and_the_map(case):
    plan = model(case).plan(shortcuts=False)
    joint, structure = plan.joint, plan.structure
    assert structure.conditioned
    position = tf.constant(np.random.default_rng(1).normal(0, 0.7, (3, plan.dimensions)))
    names = [p.identifier for p in joint.parts]
    begins = np.cumsum([0, *(p.size for p in joint.parts)])

    def textbook(position):
        """The unconstrained position of the joint distribution, effects in their place."""
        values, _ = structure.values(position, plan.data)
        pieces = tf.split(position, np.diff(begins), axis=-1)
        for one in structure.conditioned:
            name = one.block.identifier
            size = joint.parts[names.index(name)].size
            pieces[names.index(name)] = tf.reshape(values[name], [-1, size])
        return tf.concat(pieces, -1)

    with tf.GradientTape() as tape:
        tape.watch(position)
        mapped = textbook(position)
    jacobian = np.linalg.slogdet(tape.batch_jacobian(mapped, position).numpy())[1]
    expected = joint.log_density(mapped, joint.arguments).numpy() + jacobian
    found = plan.log_density(position, plan.arguments).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-8)
    # What is kept of a position is the place in the joint distribution.
    kept = plan.recover(position.numpy()[None]).values
    for one in structure.conditioned:
        name = one.block.identifier
        part = mapped.numpy()[:, begins[names.index(name)] : begins[names.index(name) + 1]]
        np.testing.assert_allclose(kept[name].reshape(3, -1), part, rtol=1e-12)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (1 + x | g)"])
def test_effects_of_a_gaussian_model_are_standard_normal(formula):
    """Given the rest, whatever it is, if sigma is the one that the fit has found."""
    plan = hm.model(data(), formula).plan(shortcuts=False)
    (one,), (known,) = plan.structure.conditioned, plan.data["conditioned"]
    rows = np.bincount(data()["g"], minlength=12)
    sigma = np.sqrt(rows[0] / known["cross"].numpy()[0, 0, 0])
    names = [p.identifier for p in plan.parts]
    at = np.cumsum([0, *(p.size for p in plan.parts)])
    rng = np.random.default_rng(2)
    for _ in range(3):
        place = rng.normal(0, 0.8, plan.dimensions)
        place[at[names.index("sigma")]] = np.log(sigma)
        effects = slice(at[names.index(one.block.identifier)], None)
        effects = slice(effects.start, effects.start + one.block.size)
        moved = np.stack([place, place])
        moved[0, effects] = 0.0
        value = plan.log_density(tf.constant(moved), plan.arguments).numpy()
        assert value[1] - value[0] == pytest.approx(-0.5 * (place[effects] ** 2).sum(), rel=1e-7)


def test_the_fit_is_near_the_posterior_of_the_effects():
    made = hm.model(data(), "k ~ x + (1 | g)", family="poisson")
    fit = made.fit(seed=1, progress=False)
    x = made.plan().data["conditioned"][0]
    variance = 1 / (x["cross"].numpy()[0, 0] + 1 / float(fit.posterior["1|g_sigma"].mean()) ** 2)
    mean = fit.posterior["1|g"].mean(("chain", "draw")).to_numpy()
    sd = fit.posterior["1|g"].std(("chain", "draw")).to_numpy()
    assert sd.min() > 0.8 * np.sqrt(variance).min()
    assert np.corrcoef(variance * x["pull"].numpy()[0], mean)[0, 1] > 0.97
    assert fit.check().ok


def start_of(made):
    """Centre, scale and radius of the start of what is sampled, by name; positive ones as logs."""
    plan = made.plan(shortcuts=False)
    ends = np.cumsum([p.size for p in plan.parts])[:-1]
    found = zip(*(np.split(x, ends) for x in plan.start()), strict=True)
    return dict(zip([plan.joint.names[p.identifier] for p in plan.parts], found, strict=True))


def test_chains_start_at_the_rough_fit():
    """Of sleepstudy: lme4's estimates (Bates et al. 2015, section 1.2), of standard deviations too.

    The standard errors are lme4's, that of the intercept at the mean of Days.
    """
    start = start_of(hm.model(hm.load_data("sleepstudy"), "Reaction ~ Days + (Days | Subject)"))
    for name, value, error in (
        ("Intercept at the predictors' means", 298.5, 9.05),
        ("Days", 10.467, 1.546),
    ):
        centre, scale, radius = start[name]
        assert abs(centre - value) < 0.3 * error
        assert scale == pytest.approx(error, rel=0.2)
        assert radius == pytest.approx(2 * scale)
    for name, value in {"1|Subject": 24.74, "Days|Subject": 5.922}.items():
        centre, scale, _ = start[f"{name}_sigma"]
        assert np.exp(centre) == pytest.approx(value, rel=0.1)
        assert 1 / np.sqrt(2 * 18) < scale < 0.3  # of 18 subjects, none is known fully
    centre, scale, _ = start["sigma"]
    assert np.exp(centre) == pytest.approx(25.59, rel=0.05)
    assert scale == pytest.approx(1 / np.sqrt(2 * 180), rel=0.25)


def test_chains_start_at_the_priors_of_what_the_data_do_not_tell():
    """Groups that do not differ; a strong prior; a bounded one; a predictor that separates."""
    frame = data().assign(z=0.0)
    frame.loc[frame["s"] == frame["n"], "z"] = 1.0
    flat = frame.assign(g=np.arange(len(frame)) % 12, s=1, n=2)
    priors = {"x": "normal(-3, 0.01)", "1|g_sigma": "exponential(1)"}
    start = start_of(hm.model(flat, "prop(s, n) ~ x + (1 | g)", family="binomial", priors=priors))
    assert start["x"][0] == pytest.approx(-3, abs=0.05)
    assert start["1|g_sigma"][1] > 0.5
    bounded = hm.model(frame, "y ~ x + (1 | g)", priors={"x": "normal(0, 1, lb=0)"})
    assert start_of(bounded)["x"][1] == 1
    priors = {"z": "normal(0, 1)"}
    separated = hm.model(frame, "prop(s, n) ~ z + (1 | g)", family="binomial", priors=priors)
    centre, scale, radius = start_of(separated)["z"]
    assert 0 < centre < 3
    assert 0.1 < scale <= 1
    assert radius <= 0.5


def test_the_rough_fit_knows_what_a_row_is_worth():
    """Of rows that count for as much as a hundred or a 240th, and of some that say nothing."""
    frame = data().assign(many=100.0, few=1 / 240)
    alone = start_of(hm.model(frame, "y ~ x + (1 | g)"))["sigma"]
    many = start_of(hm.model(frame, "weighted(y, many) ~ x + (1 | g)"))["sigma"]
    assert many[0] == pytest.approx(alone[0], abs=0.1)
    assert many[1] == pytest.approx(alone[1] / 10, rel=0.1)
    assert start_of(hm.model(frame, "weighted(y, few) ~ x + (1 | g)"))["sigma"][1] > 0.4
    # A gaussian likelihood of a log mean curves upwards beyond twice the mean.
    rng = np.random.default_rng(2)
    frame["e"] = np.exp(0.5 + 0.3 * frame["x"]) + rng.normal(size=len(frame))
    skewed = hm.model(frame, "e ~ x + (1 | g)", link="log")
    assert start_of(skewed)["sigma"][0] == pytest.approx(0, abs=0.2)
    known = start_of(hm.model(frame, "se(y, w, sigma=True) ~ x + (1 | g)"))["sigma"]
    assert known[1] == 1  # residuals tell the sum of two


@pytest.mark.parametrize("family", ["poisson", "geometric", "negbinomial"])
def test_the_rough_fit_knows_exposures(family):
    rng = np.random.default_rng(3)
    frame = data().assign(hours=np.exp(rng.normal(6, 1, 240)))
    frame["n"] = rng.poisson(frame["hours"] * np.exp(0.3 * frame["x"]))
    start = start_of(hm.model(frame, "rate(n, hours) ~ x + (1 | g)", family=family))
    assert start["Intercept at the predictors' means"][0] == pytest.approx(0, abs=0.1)
    assert start["x"][0] == pytest.approx(0.3, abs=0.1)
    if family == "poisson":
        same = hm.model(frame, "n ~ x + offset(log(hours)) + (1 | g)", family=family)
        assert start["x"][0] == pytest.approx(start_of(same)["x"][0], abs=0.01)


@pytest.mark.parametrize(
    ("formula", "options", "expected"),
    [
        ("k ~ (1 | g) + (1 | h)", {}, ["h", "g"]),  # few levels first
        ("k ~ (1 | g) + (1 | h)", {"noncentered": {"g": False}}, ["h"]),
        ("k ~ (1 | g) + (1 | h)", {"noncentered": True}, []),
        ("k ~ (1 | gr(g, zero_sum=True))", {}, []),
        ("k ~ (0 + C(m) | g) + (1 | h)", {}, ["h"]),  # nine effects of a level
        ("k ~ (1 | g)", {"link": "sqrt"}, ["g"]),
        (hm.formula("k ~ (1 | h)", shape="~ (1 | g)"), {"family": "negbinomial"}, ["h"]),
        (hm.formula("k ~ (1 |p| g)", shape="~ (1 |p| g)"), {"family": "negbinomial"}, []),
    ],
)
def test_which_effects(formula, options, expected):
    made = hm.model(data(), formula, **({"family": "poisson"} | options))
    found = made.plan().structure.conditioned
    assert [one.block.factor for one in found] == expected
    shown = repr(made).partition("groups")[2].split("\n")[0]
    assert shown.count("centred") == len(made._joint.specification.every_group) - len(expected) or (
        "sigma" in shown or "shape" in shown
    )


def test_gaussian_effects_that_are_integrated_out_are_not_conditioned():
    plan = hm.model(data(), "y ~ x + (1 | g)").plan()
    assert not plan.structure.conditioned


def test_nothing_is_known_where_the_rough_fit_fails(monkeypatch):
    def broken(self, eta):
        return np.full_like(eta, np.nan), np.full_like(eta, np.nan)

    made = model("intercepts")
    monkeypatch.setattr(roughfit.Rows, "derivatives", broken)
    plan = made.plan()
    assert plan.structure.conditioned
    assert plan.data["conditioned"][0]["cross"].numpy().max() < 1e-9
    position = np.random.default_rng(1).normal(size=(1, 2, plan.dimensions))
    kept = plan.recover(position).values["z_g" if "z_g" in plan.joint.names else "u_g"]
    # The non-centred form.
    np.testing.assert_allclose(kept.ravel(), position[..., -12:].ravel(), atol=1e-9)


def test_crossed_effects_are_placed_one_given_the_other():
    """Of a gaussian model the last group is standard normal given all else; few are the steps."""
    made = hm.model(data(), "y ~ x + (1 + x | g) + (1 | h)")
    plan = made.plan(shortcuts=False)
    h, g = plan.structure.conditioned
    assert [one.factor for one in g.before] == ["h"]
    assert not h.before
    known = plan.data["conditioned"][1]
    rows = np.bincount(data()["g"], minlength=12)
    sigma = np.sqrt(rows[0] / known["cross"].numpy()[0, 0, 0])
    names = [p.identifier for p in plan.parts]
    at = np.cumsum([0, *(p.size for p in plan.parts)])
    rng = np.random.default_rng(2)
    begin = at[names.index(g.block.identifier)]
    effects = slice(begin, begin + g.block.size)
    for _ in range(3):
        place = rng.normal(0, 0.8, plan.dimensions)
        place[at[names.index("sigma")]] = np.log(sigma)
        moved = np.stack([place, place])
        moved[0, effects] = 0.0
        value = plan.log_density(tf.constant(moved), plan.arguments).numpy()
        assert value[1] - value[0] == pytest.approx(-0.5 * (place[effects] ** 2).sum(), rel=1e-7)


def test_draws_recovered_in_pieces_are_those_of_one(monkeypatch):
    plan = model("crossed").plan(shortcuts=False)
    position = np.random.default_rng(1).normal(0, 0.7, (2, 6, plan.dimensions))
    whole = plan.recover(position).values
    monkeypatch.setattr(plans, "CHUNK", 240)
    pieces = plan.recover(position).values
    for name, values in whole.items():
        np.testing.assert_allclose(pieces[name], values, rtol=1e-12, atol=1e-14)


def test_given_all_that_comes_before_little_is_left_to_share():
    """Three groups, two of them nested and the last with few rows a level: curvatures near one."""
    rng = np.random.default_rng(4)
    rows = 600
    item, subject = rng.integers(0, 40, rows), rng.integers(0, 200, rows)
    frame = pd.DataFrame({"item": item, "kind": item // 10, "subject": subject})
    frame["y"] = (
        rng.normal(size=4)[item // 10]
        + rng.normal(size=40)[item]
        + rng.normal(size=200)[subject]
        + rng.normal(size=rows)
    )
    plan = hm.model(frame, "y ~ 1 + (1 | kind) + (1 | item) + (1 | subject)").plan(shortcuts=False)
    assert [one.block.factor for one in plan.structure.conditioned] == ["kind", "item", "subject"]
    sizes = [p.size for p in plan.parts]
    effects = np.repeat([p.size > 1 for p in plan.parts], sizes)
    place = tf.zeros([1, plan.dimensions], tf.float64)  # standard deviations and sigma are one

    with tf.GradientTape() as outer:
        outer.watch(place)
        with tf.GradientTape() as tape:
            tape.watch(place)
            value = plan.log_density(place, plan.arguments)
        slope = tape.gradient(value, place)
    hessian = -outer.jacobian(slope, place).numpy()[0, :, 0][np.ix_(effects, effects)]
    curvatures = np.linalg.eigvalsh(hessian)
    assert curvatures.min() > 0.25
    assert curvatures.max() < 1.6
