"""Data that cannot be modelled are refused, and the message says why."""

import numpy as np
import pandas as pd
import pytest

from hiermod.errors import DataError, FormulaError
from hiermod.formula import design

N = 30


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    x, z = rng.normal(size=(2, N))
    f, h = np.tile(list("abc"), 10), np.tile(["u", "v"], 15)
    frame = pd.DataFrame({"y": rng.normal(size=N), "x": x, "z": z, "f": f, "h": h})
    frame["both"] = 2 * x - z + 3
    frame["nearly"] = x + 1e-6 * rng.normal(size=N)
    frame["one"] = 1.0
    frame["zero"] = 0
    frame["single"] = "k"
    frame["g"] = np.tile(np.arange(5), 6)
    frame["inf"] = np.where(np.arange(N) < 2, np.inf, x)
    frame["hole"] = np.where(np.arange(N) < 3, np.nan, x)
    frame["date"] = pd.date_range("2020-01-01", periods=N)
    frame["mixed"] = pd.Series([1, "a"] * 15, dtype=object)
    frame["complex"] = 1j * x
    frame["f2"] = frame["f"].map({"a": "p", "b": "q", "c": "q"})
    return frame


REFUSED = [
    ("y ~ inf", "infinite values in 'inf': 2 (of 30 rows)."),
    ("inf ~ x", "infinite values in 'inf': 2 (of 30 rows)."),
    ("y ~ hole", "missing values in 'hole': 3 (of 30 rows). Use dropna=True"),
    ("hole ~ x", "missing values in 'hole': 3 (of 30 rows). Use dropna=True"),
    ("y ~ x + (1 | hole)", "missing values in 'hole': 3 (of 30 rows). Use dropna=True"),
    ("y ~ x + offset(hole)", "missing values in 'hole': 3 (of 30 rows). Use dropna=True"),
    ("y ~ z + log(x)", "the term 'log(x)' has no finite value in "),
    ("y ~ z + (0 + log(x) | g)", "the term 'log(x)' has no finite value in "),
    ("log(x) ~ z", "the response 'log(x)' has no finite value in "),
    ("y ~ offset(log(x))", "the offset 'log(x)' has no finite value in "),
    ("y ~ date", "column 'date' holds datetime64 values."),
    ("y ~ mixed", "column 'mixed' holds mixed-integer values."),
    ("y ~ complex", "column 'complex' holds complex values."),
    # without variation
    ("y ~ one", "predictor 'one' is constant: 1 in all rows"),
    ("y ~ x + I(one + 2)", "predictor 'I(one + 2)' is constant: 3 in all rows"),
    ("y ~ 0 + zero", "predictor 'zero' is zero in all rows: Remove it."),
    ("y ~ x + (1 + one | g)", "in group 'g', effect 'one' is constant: 1 in all rows"),
    ("y ~ single", "the predictor 'single' has one level only, 'k'. Remove it."),
    ("y ~ x + (1 + single | g)", "the predictor 'single' has one level only, 'k'. Remove it."),
    ("y ~ index(single)", "the predictor 'single' has one level only, 'k'. Remove it."),
    ("y ~ C(one)", "C(one): a factor needs two levels or more, and has one: 1."),
    ("y ~ (1 | single)", "the grouping factor 'single' has one level only, 'k'."),
    ("y ~ scale(one)", "scale(one): scale() needs a column that varies"),
    ("y ~ f*f2", "predictor 'f2[q]' is a linear combination of 'f[b]', 'f[c]'"),
    ("y ~ 0 + f:f2", "predictor 'f:f2[a, q]' is zero in all rows: that combination does not occur"),
    # collinear
    ("y ~ x + I(2*x)", "predictor 'I(2 * x)' is a linear combination of 'x' and the intercept"),
    ("y ~ x + z + both", "predictor 'both' is a linear combination of 'x', 'z' and the intercept"),
    ("y ~ both + x + h + z", "predictor 'z' is a linear combination of 'both', 'x' and the inter"),
    ("y ~ 0 + x + I(2*x)", "predictor 'I(2 * x)' is a linear combination of 'x': their"),
    ("y ~ 0 + f + one", "predictor 'one' is a linear combination of 'f[a]', 'f[b]', 'f[c]': their"),
    ("y ~ x + center(x)", "predictor 'center(x)' is a linear combination of 'x' and"),
    ("y ~ poly(x, 2) + x", "predictor 'x' is a linear combination of 'poly(x, 2)[0]' and"),
    ("y ~ index(f) + x + I(2*x)", "predictor 'I(2 * x)' is a linear combination of 'x' and"),
    # levels
    ("prop(y, f) ~ x", "the trials 'f' must be numeric; it has the levels a, b, c."),
    ("weighted(y, h) ~ x", "the weights 'h' must be numeric; it has the levels u, v."),
    ("y ~ offset(f)", "the offset 'f' must be numeric; it has the levels a, b, c."),
    ("poly(y, 2) ~ x", "the response 'poly(y, 2)' must be one column of numbers."),
    ("C(h) ~ x", "the response 'C(h)' must be one column of numbers."),
    ("y ~ T(f, 'z')", "T(f, 'z'): there is no level 'z'. Levels: a, b, c."),
    ("y ~ S(f, 'z')", "S(f, 'z'): there is no level 'z'. Levels: a, b, c."),
    ("y ~ C(f, levels=['a', 'b'])", "the levels given (a, b) are not those in the data (a, b, c)."),
    ("y ~ B(f, 'z')", "column 'f' has no value 'z'. It has: a, b, c."),
]


@pytest.mark.parametrize(("formula", "message"), REFUSED)
def test_refused(formula, message, data):
    with pytest.raises(DataError) as caught:
        design(formula, data)
    assert message in str(caught.value)


ACCEPTED = [
    "y ~ 0 + one",
    "y ~ 0 + one + x",
    "y ~ x + nearly",
    "y ~ (0 + one | g)",
    "y ~ index(f) + index(h)",
    "y ~ one + x - one",
    "y ~ 0 + f + x",
    "y ~ I(x + 1e6) + z",
    "y ~ I(1e-9*x) + I(1e9*z)",
]


@pytest.mark.parametrize("formula", ACCEPTED)
def test_accepted(formula, data):
    design(formula, data)


def test_years_and_their_powers_are_not_collinear():
    data = pd.DataFrame({"year": np.arange(1950.0, 2021.0)})
    data["y"] = np.sin(data["year"])
    design("y ~ year + I(year**2) + I(year**3)", data)
    with pytest.raises(DataError, match=r"'I\(year ÷ 3 \+ 5\)' is a linear combination of 'year'"):
        design("y ~ year + I(year**2) + I(year/3 + 5)", data)


def test_more_columns_than_rows_are_for_shrinking_priors():
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.normal(size=(6, 9)), columns=list("yabcdefgh"))
    assert design("y ~ a + b + c + d + e + f + g + h", data).X.shape == (6, 8)


def test_collinear_columns_in_many_blocks():
    rng = np.random.default_rng(2)
    data = pd.DataFrame(rng.normal(size=(40_000, 4)), columns=list("yabc"))
    data["d"] = data["a"] - 3 * data["c"]
    design("y ~ a + b + c", data)
    with pytest.raises(DataError, match="predictor 'd' is a linear combination of 'a', 'c' and"):
        design("y ~ a + b + c + d", data)


def test_data_that_are_no_data(data):
    with pytest.raises(DataError, match="the data have no rows"):
        design("y ~ x", data[:0])
    with pytest.raises(DataError, match="data must be a pandas DataFrame, not dict"):
        design("y ~ x", {"y": [1], "x": [2]})
    with pytest.raises(DataError, match="the data have several columns named 'x'"):
        design("y ~ x", pd.concat([data[["y", "x"]], data[["x"]]], axis=1))
    design("y ~ x", pd.concat([data[["y", "x", "z"]], data[["z"]]], axis=1))
    with pytest.raises(DataError, match="every row has a missing value: 'x': 2"):
        design("y ~ x", pd.DataFrame({"y": [1.0, 2.0], "x": [np.nan, np.nan]}), dropna=True)


def test_unknown_column():
    data = pd.DataFrame(columns=["log_radon", "floor", "uranium", "county"], data=[[1, 0, 2, 3]])
    with pytest.raises(FormulaError) as caught:
        design("log_radon ~ 1 + floor + (1 + flor | county)", data)
    assert str(caught.value) == (
        "unknown column 'flor'.\n"
        "  log_radon ~ 1 + floor + (1 + flor | county)\n"
        "                               ^^^^\n"
        "  Did you mean 'floor'? Columns: county, floor, log_radon, uranium."
    )


@pytest.mark.parametrize(
    ("formula", "name"),
    [
        ("why ~ x", "why"),
        ("y ~ log(ex)", "ex"),
        ("y ~ x + (1 | gee)", "gee"),
        ("prop(y, enn) ~ x", "enn"),
        ("y ~ x + offset(log(off))", "off"),
        ("y ~ `no such`", "`no such`"),
    ],
)
def test_place_of_an_unknown_column(formula, name, data):
    with pytest.raises(FormulaError) as caught:
        design(formula, data)
    _, text, carets, _ = str(caught.value).split("\n")
    assert text[carets.index("^") : len(carets)] == name


def test_unknown_column_among_very_many():
    data = pd.DataFrame(np.zeros((3, 200)), columns=[f"gene_{i}" for i in range(200)])
    with pytest.raises(FormulaError) as caught:
        design("gene_1 ~ gene_777", data)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("formula", "message", "carets"),
    [
        ("y ~ log(f)", r"log\(f\) failed", "^^^^^^"),
        ("y ~ I(f + 1)", r"'f \+ 1' cannot be computed", "^^^^^"),
        ("y ~ x + bs(z)", r"bs\(z\) failed: Must specify", "^^^^^"),
        ("weighted(y, 'w') ~ x", "the weights must be a column or a number", "^^^"),
    ],
)
def test_expressions_that_fail(formula, message, carets, data):
    with pytest.raises(FormulaError, match=message) as caught:
        design(formula, data)
    assert str(caught.value).split("\n")[2].strip() == carets


def test_a_column_named_intercept():
    frame = pd.DataFrame({"y": [1.0, 2.0, 4.0], "Intercept": [0.0, 1.0, 5.0]})
    with pytest.raises(DataError, match="'Intercept' cannot be told from the intercept"):
        design("y ~ Intercept", frame)
