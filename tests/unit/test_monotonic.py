"""Monotonic effects of ordered columns, ``mo(x)``."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import stats

import hiermod as hm
from hiermod.formula import design, new_design

LEVELS = ["low", "middle", "high", "top"]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(5)
    x, z, g = rng.integers(0, 4, 300), rng.normal(size=300), rng.integers(0, 10, 300)
    reached = np.array([0.0, 1.2, 1.4, 2.4])[x]
    y = 1.0 + reached + 0.5 * z + rng.normal(0, 0.5, 10)[g] + rng.normal(0, 0.8, 300)
    ordered = pd.Categorical.from_codes(x, LEVELS, ordered=True)
    return pd.DataFrame(
        {"y": y, "x": ordered, "n": x + 3, "z": z, "g": g, "f": np.array(LEVELS)[x]}
    )


def test_the_columns_say_which_levels_are_reached(frame):
    made = design("y ~ mo(x) + mo(n):z", frame)
    steps, product = made.terms
    assert steps.kind == product.kind == "monotonic"
    assert steps.labels == ("middle", "high", "top")
    assert product.labels == ("4", "5", "6")
    at_least = frame["x"].cat.codes.to_numpy()[:, None] >= np.array([1, 2, 3])
    np.testing.assert_array_equal(made.X[:, steps.columns], at_least)
    np.testing.assert_array_equal(
        made.X[:, product.columns], at_least * frame["z"].to_numpy()[:, None]
    )
    few = new_design(made, frame.iloc[[7, 3]])
    np.testing.assert_array_equal(few.X, made.X[[7, 3]])


@pytest.mark.parametrize("center", [True, False])
def test_the_density(frame, center):
    priors = {
        "mo(x)": "normal(0.5, 2)",
        "mo(x)_simplex": "dirichlet(2)",
        "Intercept": "normal(1, 3)",
        "sigma": "exponential(1)",
        "z": "normal(0, 1)",
    }
    model = hm.model(frame, "y ~ z + mo(x)", priors=priors, center=center)
    alpha, slope, mean, sigma = 0.8, 0.4, 0.7, 0.9
    simplex = np.array([0.5, 0.2, 0.3])
    given = {"Intercept": alpha, "z": slope, "mo_x": np.ones(3), "mo_x__mean": mean,
             "mo_x__simplex": simplex, "sigma": sigma}  # fmt: skip
    values = [tf.constant(np.asarray(given[p.identifier], np.float64)) for p in model._joint.parts]
    reached = 3 * mean * np.concatenate([[0], simplex.cumsum()])[frame["x"].cat.codes]
    eta = alpha + slope * frame["z"] + reached
    eta -= center * (slope * frame["z"].mean() + reached.mean())
    expected = (
        stats.norm(eta, sigma).logpdf(frame["y"]).sum()
        + stats.norm(1, 3).logpdf(alpha)
        + stats.norm(0, 1).logpdf(slope)
        + stats.norm(0.5, 2).logpdf(mean)
        + stats.dirichlet([2, 2, 2]).logpdf(simplex)
        + stats.expon.logpdf(sigma)
    )
    found = float(model.joint.log_prob([*values, frame["y"].to_numpy()]))
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.fixture(scope="module")
def fits(frame):
    model = hm.model(frame, "y ~ z + mo(x) + mo(x):z + (1 | g)")
    return [model.fit(seed=1, progress=False, shortcuts=shortcuts) for shortcuts in (True, False)]


def test_the_posterior_with_and_without_shortcuts(fits):
    assert "not mo(x), mo(x):z: no prior of the form normal(mean, sd)" in str(fits[0].model.plan())
    one, other = (f.posterior for f in fits)
    assert fits[0].check().ok
    for name in ("Intercept", "z", "mo(x)", "mo(x)_mean", "mo(x)_simplex", "sigma", "1|g"):
        over = ("chain", "draw")
        far = (one[name].mean(over) - other[name].mean(over)) / one[name].std(over)
        assert float(np.abs(far).max()) < 0.2, name  # some thousand draws: 0.03 apart


def test_what_was_put_in_is_found(fits):
    p = fits[0].posterior
    np.testing.assert_allclose(p["mo(x)"].mean(("chain", "draw")), [1.2, 0.2, 1.0], atol=0.25)
    np.testing.assert_allclose(p["mo(x)"], 3 * p["mo(x)_mean"] * p["mo(x)_simplex"].rename(
        {"mo(x)_simplex_dim": "mo(x)_dim"}), rtol=1e-12)  # fmt: skip
    assert (np.sign(p["mo(x)"]) == np.sign(p["mo(x)_mean"])).all()
    assert abs(float(p["mo(x):z_mean"].mean())) < 0.2


def test_it_prints(frame):
    model = hm.model(frame, "y ~ mo(x) + (1 | g)")
    table = model.priors
    assert list(table.index) == ["Intercept", "mo(x)_mean", "mo(x)_simplex", "1|g_sigma", "sigma"]
    assert table.loc["mo(x)_mean", "class"] == "common"
    # As of a column of 0, 1, 2, 3.
    plain = hm.model(frame, "y ~ n + (1 | g)").priors
    assert table.loc["mo(x)_mean", "prior"] == plain.loc["n", "prior"]
    text = str(model.equations())
    assert "mo(x) = 3 * mo(x)_mean * mo(x)_simplex" in text
    assert "sum(mo(x) up to x[i])" in text
    scope: dict = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_allclose(
        scope["joint"].log_prob(drawn), model.joint.log_prob(drawn), rtol=1e-12
    )
    prior = model.sample_prior(50, seed=1)["prior"]
    np.testing.assert_allclose(prior["mo(x)_simplex"].sum("mo(x)_simplex_dim"), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "priors", "error", "says"),
    [
        ("y ~ mo(f)", {}, hm.DataError, "mo(f) needs the order of the levels of 'f'"),
        ("y ~ mo(z)", {}, hm.DataError, "mo() needs ordered levels, or whole numbers"),
        ("y ~ mo(two)", {}, hm.DataError, "mo() needs three levels or more, and has 2"),
        ("y ~ mo(gap)", {}, hm.DataError, "mo() needs rows with every value between 0 and 4; there is none with 3"),  # noqa: E501
        ("y ~ mo(x):f", {}, hm.DataError, "'mo(x):f[low]' is zero in all rows"),
        ("y ~ mo(x) + index(city):mo(x)", {}, hm.DataError, "'index(city):mo(x)[c]' is a linear combination of 'mo(x)', 'index(city):mo(x)[a]'"),  # noqa: E501
        ("y ~ z + mo(x):mo(n):mo(g)", {}, hm.FormulaError, "two mo() can be multiplied, not three"),
        (
            "y ~ mo(x):mo(n)",
            {"mo(x):mo(n)_simplex3": "dirichlet(1)"},
            hm.PriorError,
            "mo(x):mo(n)_simplex, mo(x):mo(n)_simplex1, mo(x):mo(n)_simplex2, sigma",
        ),
        ("y ~ (mo(x) | g)", {}, hm.FormulaError, "mo() cannot vary between groups yet"),
        ("y ~ (mo(x):city | g)", {}, hm.FormulaError, "mo() cannot vary between groups yet"),
        ("y ~ mo(x):city", {"mo(x):city": "normal(0, 1)", "mo(x):city_mean": "normal(0, 2)"}, hm.PriorError, "give one of them"),  # noqa: E501
        ("y ~ mo(x):city", {"mo(x):city[d]": "normal(0, 1)"}, hm.PriorError, "Did you mean 'mo(x):city["),  # noqa: E501
        ("y ~ log(mo(n))", {}, hm.FormulaError, "mo() cannot be inside another function"),
        ("y ~ mo(n + 1)", {}, hm.FormulaError, "mo() takes a column"),
        ("y ~ mo(x)", {"mo(x)_simplex": "normal(0, 1)"}, hm.PriorError, "it needs dirichlet(1)"),
        ("y ~ mo(x)", {"mo(x)": "normal(0, 1)", "mo(x)_mean": "normal(0, 2)"}, hm.PriorError, "give one of them"),  # noqa: E501
        ("y ~ mo(x)", {"common": "horseshoe()"}, hm.PriorError, "a monotonic term cannot share scales"),  # noqa: E501
    ],
)  # fmt: skip
def test_bad_input(frame, formula, priors, error, says):
    gap = np.array([0, 1, 2, 4])[frame["x"].cat.codes]
    city = np.array(list("abc"))[frame["g"] % 3]
    data = frame.assign(two=frame["n"] > 4, gap=gap, city=city)
    with pytest.raises(error) as info:
        hm.model(data, formula, priors=priors)
    assert says in str(info.value)


# Interactions with factors


@pytest.fixture(scope="module")
def cities():
    rng = np.random.default_rng(6)
    x, city, home = rng.integers(0, 4, 600), rng.integers(0, 3, 600), rng.integers(0, 2, 600)
    reached = np.array([[0, 1.2, 1.4, 2.4], [0, 0.0, -1.0, -1.2], [0, 1.2, 2.4, 3.4]])[city, x]
    return pd.DataFrame(
        {
            "y": 1.0 + reached + 0.5 * (city == 1) + rng.normal(0, 0.5, 600),
            "x": pd.Categorical.from_codes(x, LEVELS, ordered=True),
            "z": rng.normal(size=600),
            "city": np.array(list("abc"))[city],
            "home": np.array(list("no"))[home],
            **{f"city_{level}": (city == i) * 1.0 for i, level in enumerate("abc")},
            **{f"home_{level}": (home == i) * 1.0 for i, level in enumerate("no")},
        }
    )


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("mo(x)*city",
         {"mo(x)": "1", "mo(x):city[b]": "city_b", "mo(x):city[c]": "city_c"}),
        ("city*mo(x)",
         {"mo(x)": "1", "city:mo(x)[b]": "city_b", "city:mo(x)[c]": "city_c"}),
        ("mo(x):city", {f"mo(x):city[{i}]": f"city_{i}" for i in "abc"}),
        ("0 + mo(x):city", {f"mo(x):city[{i}]": f"city_{i}" for i in "abc"}),
        ("index(city):mo(x)", {f"index(city):mo(x)[{i}]": f"city_{i}" for i in "abc"}),
        ("mo(x) + mo(x):S(city)",
         {"mo(x)": "1", "mo(x):S(city)[a]": "city_a - city_c", "mo(x):S(city)[b]": "city_b - city_c"}),  # noqa: E501
        ("mo(x):city:z", {f"mo(x):city:z[{i}]": f"city_{i} * z" for i in "abc"}),
        ("mo(x):z + city:mo(x):z",
         {"mo(x):z": "z", "city:mo(x):z[b]": "city_b * z", "city:mo(x):z[c]": "city_c * z"}),
        ("mo(x)*city*home",
         {"mo(x)": "1", "mo(x):city[b]": "city_b", "mo(x):city[c]": "city_c", "mo(x):home[o]": "home_o",  # noqa: E501
          "mo(x):city:home[b, o]": "city_b * home_o", "mo(x):city:home[c, o]": "city_c * home_o"}),
        ("mo(x) + mo(x):city:home",  # full rank asks for the levels of home
         {"mo(x)": "1", "mo(x):home[o]": "home_o"}
         | {f"mo(x):city:home[{i}, {j}]": f"city_{i} * home_{j}" for i in "bc" for j in "no"}),
    ],
)  # fmt: skip
def test_a_factor_gives_each_of_its_columns_steps_of_their_own(cities, formula, expected):
    made = design(f"y ~ {formula}", cities)
    found = {t.name: t for t in made.terms if t.kind == "monotonic"}
    assert list(found) == list(expected)
    at_least = cities["x"].cat.codes.to_numpy()[:, None] >= np.array([1, 2, 3])
    for name, times in expected.items():
        assert found[name].labels == ("middle", "high", "top")
        column = cities.eval(times) * np.ones(len(cities))
        by_hand = at_least * column.to_numpy()[:, None] if times != "1" else at_least
        np.testing.assert_array_equal(made.X[:, found[name].columns], by_hand)
    few = new_design(made, cities.iloc[[7, 3, 11]])
    np.testing.assert_array_equal(few.X, made.X[[7, 3, 11]])


def test_a_basis_gives_each_of_its_columns_steps_of_their_own(cities):
    made = design("y ~ poly(z, 2) + mo(x):poly(z, 2)", cities)
    basis, *steps = made.terms
    assert [t.name for t in steps] == ["mo(x):poly(z, 2)[0]", "mo(x):poly(z, 2)[1]"]
    for i, term in enumerate(steps):  # its second column is that the third level is reached
        reached = cities["x"].cat.codes >= 2
        np.testing.assert_array_equal(
            made.X[:, term.columns][:, 1], made.X[:, basis.columns][:, i] * reached
        )


def test_a_factor_may_lack_levels_of_the_ordered_column(cities):
    some = cities[(cities["city"] != "b") | (cities["x"] != "high")]
    product = design("y ~ mo(x)*city", some).terms[-2]
    assert product.name == "mo(x):city[b]"
    assert product.labels == ("middle", "high", "top")
    lowest = cities[(cities["city"] != "b") | (cities["x"] == "low")]
    with pytest.raises(hm.DataError, match=r"'mo\(x\):city\[b\]' is zero in all rows"):
        design("y ~ mo(x)*city", lowest)


FACTOR = "y ~ mo(x)*city"
COLUMNS = "y ~ mo(x) + city_b + city_c + mo(x):city_b + mo(x):city_c"
TWINS = {
    "mo(x):city[b]": "mo(x):city_b",
    "mo(x):city[b]_mean": "mo(x):city_b_mean",
    "mo(x):city[b]_simplex": "mo(x):city_b_simplex",
    "mo(x):city[c]": "mo(x):city_c",
    "mo(x):city[c]_mean": "mo(x):city_c_mean",
    "mo(x):city[c]_simplex": "mo(x):city_c_simplex",
}
"""Names of the model of the factor, and of that of columns of 0 and 1."""


@pytest.mark.parametrize("center", [True, False])
def test_the_density_is_that_of_columns_of_0_and_1(cities, center):
    priors = {
        "Intercept": "normal(1, 3)",
        "common": "normal(0, 2)",
        "mo(x)_mean": "normal(0.5, 1)",
        "mo(x)_simplex": "dirichlet(2)",
    }
    of_levels = {"mo(x):city": "normal(0, 1)", "mo(x):city[c]_mean": "normal(0, 0.5)",
                 "mo(x):city_simplex": "dirichlet(3)"}  # fmt: skip
    of_columns = {"mo(x):city_b": "normal(0, 1)", "mo(x):city_c": "normal(0, 0.5)",
                  "mo(x):city_b_simplex": "dirichlet(3)",
                  "mo(x):city_c_simplex": "dirichlet(3)"}  # fmt: skip
    factor = hm.model(cities, FACTOR, priors=priors | of_levels, center=center)
    columns = hm.model(cities, COLUMNS, priors=priors | of_columns, center=center)
    *values, _ = factor.joint.sample(5, seed=tf.constant([1, 2], tf.int32))
    y = cities["y"].to_numpy()
    found = factor.joint.log_prob([*values, y])
    # The identifiers of mo(x):city[b]_mean and mo(x):city_b_mean differ by an underscore.
    identifiers = [p.identifier.replace("__", "_") for p in factor._joint.parts]
    given = dict(zip(identifiers, values, strict=True))
    given |= {"city_b": given["city"][:, 0], "city_c": given["city"][:, 1]}
    twins = [given[p.identifier.replace("__", "_")] for p in columns._joint.parts]
    np.testing.assert_allclose(found, columns.joint.log_prob([*twins, y]), rtol=1e-10)


@pytest.fixture(scope="module")
def posteriors(cities):
    factor = hm.fit(cities, FACTOR, seed=1, progress=False)
    columns = hm.fit(cities, COLUMNS, seed=2, progress=False, shortcuts=False)
    assert factor.check().ok
    assert columns.check().ok
    return factor.posterior, columns.posterior


def test_the_posterior_is_that_of_columns_of_0_and_1(posteriors):
    factor, columns = posteriors
    over = ("chain", "draw")
    for name in ("Intercept", "mo(x)", "mo(x)_mean", "mo(x)_simplex", *TWINS, "sigma"):
        one, other = factor[name], columns[TWINS.get(name, name)].to_numpy()
        far = (one.mean(over) - other.mean((0, 1))) / one.std(over)
        assert float(np.abs(far).max()) < 0.2, name  # some thousand draws: 0.03 apart


def test_what_was_put_in_for_levels_is_found(posteriors):
    found = posteriors[0].mean(("chain", "draw"))
    np.testing.assert_allclose(found["mo(x)"], [1.2, 0.2, 1.0], atol=0.25)
    np.testing.assert_allclose(found["mo(x):city[b]"], [-1.2, -1.2, -1.2], atol=0.35)
    np.testing.assert_allclose(found["mo(x):city[c]"], [0.0, 1.0, 0.0], atol=0.35)
    assert list(found["mo(x):city[c]"].coords["mo(x):city[c]_dim"]) == ["middle", "high", "top"]


def test_a_factor_prints(cities):
    priors = {"mo(x):city": "normal(0, 1)", "mo(x):city[c]": "normal(0, 2)",
              "mo(x):city[c]_simplex": "dirichlet(2)"}  # fmt: skip
    model = hm.model(cities, f"{FACTOR} + mo(x):city:z", priors=priors)
    table = model.priors
    assert table.loc["mo(x):city[b]_mean", ["prior", "source"]].tolist() == [
        "normal(0, 1)",
        "yours, from 'mo(x):city'",
    ]
    assert table.loc["mo(x):city[c]_mean", "prior"] == "normal(0, 2)"
    assert table["prior"].filter(like="city[").filter(like="simplex").tolist() == [
        "dirichlet(1)",
        "dirichlet(2)",
    ]
    text, latex = str(model.equations()), model.equations()._repr_latex_()
    assert "sum(mo(x):city[b] up to x[i]) * city[b][i] + " in text
    assert "sum(mo(x):city:z[a] up to x[i]) * city:z[a][i] + " in text
    assert "mo(x):city[c] = 3 * mo(x):city[c]_mean * mo(x):city[c]_simplex" in text
    steps = r"{\beta_{\text{mo(x):city[b]}}}_k"  # not two subscripts of one letter
    assert rf"\sum_{{k \le \text{{x}}_i}} {steps}\,\text{{city[b]}}_i + " in latex
    scope: dict = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_allclose(
        scope["joint"].log_prob(drawn), model.joint.log_prob(drawn), rtol=1e-12
    )
    prior = model.sample_prior(50, seed=1)["prior"]
    np.testing.assert_allclose(
        prior["mo(x):city[c]_simplex"].sum("mo(x):city[c]_simplex_dim"), 1, rtol=1e-12
    )


def test_levels_with_slashes_and_colons(cities):
    data = cities.assign(city=cities["city"].replace({"b": "b/1", "c": "c:2"}))
    model = hm.model(data, FACTOR, priors={"mo(x):city[b/1]": "normal(0, 1)"})
    assert model.priors.loc["mo(x):city[b÷1]_mean", "prior"] == "normal(0, 1)"
    assert "sum(mo(x):city[c:2] up to x[i]) * city[c:2][i]" in str(model.equations())


def test_factors_in_the_formulas_of_other_parameters(cities):
    model = hm.model(cities, hm.formula("y ~ 1", sigma="~ mo(x):city"))
    assert "sigma_mo(x):city[b]_mean" in model.priors.index
    assert "sum(sigma_mo(x):city[b] up to x[i]) * city[b][i]" in str(model.equations())


@pytest.fixture(scope="module")
def pairs():
    """Two ordered columns; the second counts the more the higher the first."""
    rng = np.random.default_rng(8)
    x, n = rng.integers(0, 4, 500), rng.integers(3, 6, 500)
    joint = 2.0 * np.array([0.0, 0.2, 0.9, 1.0])[x] * np.array([0.0, 0.7, 1.0])[n - 3]
    frame = pd.DataFrame({"x": pd.Categorical.from_codes(x, LEVELS, ordered=True), "n": n})
    frame["f"], frame["z"] = rng.choice(list("ab"), 500), rng.normal(size=500)
    return frame.assign(y=0.5 + joint + rng.normal(0, 0.5, 500))


@pytest.mark.parametrize("formula", ["y ~ mo(x):mo(n)", "y ~ mo(n):z:mo(x)", "y ~ mo(x):f:mo(n)"])
def test_a_product_of_two_has_a_step_for_every_pair(pairs, formula):
    made = design(formula, pairs)
    codes = pairs["x"].cat.codes.to_numpy()
    reached = {
        "x": (LEVELS[1:], codes[:, None] >= np.array([1, 2, 3])),
        "n": (["4", "5"], pairs["n"].to_numpy()[:, None] >= np.array([4, 5])),
    }
    (one, first), (two, second) = reached["n" if "mo(n):z" in formula else "x"], reached["n"]
    if "mo(n):z" in formula:
        two, second = reached["x"]
    steps = (first[:, :, None] * second[:, None, :]).reshape(500, -1)
    times = {"y ~ mo(x):mo(n)": [np.ones(500)], "y ~ mo(n):z:mo(x)": [pairs["z"].to_numpy()]}
    columns = times.get(formula, [(pairs["f"] == level).to_numpy() for level in "ab"])
    assert len(made.terms) == len(columns)
    for term, column in zip(made.terms, columns, strict=True):
        assert term.labels == tuple(f"{a}:{b}" for a in one for b in two)
        np.testing.assert_array_equal(made.X[:, term.columns], steps * column[:, None])
    few = new_design(made, pairs.iloc[[7, 3]])
    np.testing.assert_array_equal(few.X, made.X[[7, 3]])


def test_the_density_of_a_product_of_two(pairs):
    name = "mo(x):mo(n)"
    priors = {name: "normal(0.5, 2)", f"{name}_simplex": "dirichlet(2)"}
    priors |= {
        f"{name}_simplex2": "dirichlet(3)",
        "Intercept": "normal(1, 3)",
        "sigma": "constant(1)",
    }
    model = hm.model(pairs, f"y ~ {name}", priors=priors, center=False)
    alpha, mean, first, second = 0.8, 0.7, np.array([0.5, 0.2, 0.3]), np.array([0.4, 0.6])
    given = {"Intercept": alpha, "mo_x_mo_n": np.ones(6), "mo_x_mo_n__mean": mean, "sigma": 1.0}
    given |= {"mo_x_mo_n__simplex1": first, "mo_x_mo_n__simplex2": second}
    values = [tf.constant(np.asarray(given[p.identifier], np.float64)) for p in model._joint.parts]
    upto = [np.concatenate([[0], simplex.cumsum()]) for simplex in (first, second)]
    eta = alpha + 6 * mean * upto[0][pairs["x"].cat.codes] * upto[1][pairs["n"] - 3]
    expected = (
        stats.norm(eta, 1).logpdf(pairs["y"]).sum()
        + stats.norm(1, 3).logpdf(alpha)
        + stats.norm(0.5, 2).logpdf(mean)
        + stats.dirichlet([2, 2, 2]).logpdf(first)
        + stats.dirichlet([3, 3]).logpdf(second)
    )
    found = float(model.joint.log_prob([*values, pairs["y"].to_numpy()]))
    assert found == pytest.approx(expected, rel=1e-10)
    text = str(model.equations())
    assert f"sum({name} up to x[i], n[i])" in text
    assert f"{name} = 6 * {name}_mean * {name}_simplex1[j] * {name}_simplex2[k]" in text
    assert r"\sum_{j \le \text{x}_i} \sum_{k \le \text{n}_i}" in model.equations()._repr_latex_()
    scope: dict = {}
    exec(model.code(), scope)
    drawn = model.joint.sample(2, seed=tf.constant([1, 2], tf.int32))
    np.testing.assert_allclose(
        scope["joint"].log_prob(drawn), model.joint.log_prob(drawn), rtol=1e-12
    )


def test_a_product_of_two_is_found(pairs):
    fit = hm.fit(pairs, "y ~ mo(x)*mo(n)", seed=1, progress=False)
    assert fit.check().ok
    p, over = fit.posterior, ("chain", "draw")
    for name, truth in {
        "mo(x):mo(n)_mean": 2.0 / 6,
        "mo(x):mo(n)_simplex1": [0.2, 0.7, 0.1],
        "mo(x):mo(n)_simplex2": [0.7, 0.3],
        "mo(x)_mean": 0.0,
    }.items():
        assert (np.abs(p[name].mean(over) - truth) < 3 * p[name].std(over)).all(), name
    assert float(p["mo(x):mo(n)_simplex1"].std(over).max()) < 0.15
