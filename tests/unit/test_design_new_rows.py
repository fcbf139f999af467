"""New rows are evaluated with what the training rows taught."""

import numpy as np
import pandas as pd
import pytest

from hiermod.errors import DataError, FormulaError
from hiermod.formula import design, new_design

N = 40


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    return pd.DataFrame(
        {
            "y": rng.normal(size=N),
            "x": rng.normal(3, 2, size=N),
            "z": rng.uniform(size=N),
            "b": np.tile([True, False], N // 2),
            "k": np.tile([1, 2, 3, 4], N // 4),
            "f": np.tile(list("abcde"), N // 5),
            "h": np.repeat(["u", "v"], N // 2),
            "n": np.full(N, 9),
            "s": rng.integers(0, 9, size=N),
            "w": rng.uniform(1, 2, size=N),
        }
    )


FORMULAS = [
    "y ~ x + b",
    "y ~ f*x",
    "y ~ 0 + f + h",
    "y ~ f:h",
    "y ~ scale(x) + center(z)",
    "y ~ scale(log(w)) + poly(scale(x), 3)",
    "y ~ bs(x, df=5) + cr(z, df=4)",
    "y ~ cc(x, 6, df=4) + tp(z, df=4) + ns(w, df=3)",
    "y ~ C(k, Sum) + T(f, 'c')",
    "y ~ C(f, levels=['e', 'd', 'c', 'b', 'a']):x",
    "y ~ index(f) + index(f):scale(x) + h",
    "y ~ B(f, 'c') + I(x > 3) + I(f == 'b')",
    "y ~ x + offset(scale(z)) + (1 + scale(x) | f) + (0 + h | k:f)",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_training_rows_again(formula, data):
    """Any part of the training rows gives the same rows, whatever levels the part lacks."""
    result = design(formula, data)
    for rows in (np.arange(N), np.arange(N)[::-1], np.array([7]), np.array([3, 3, 12])):
        new = new_design(result, data.iloc[rows])
        np.testing.assert_allclose(new.X, result.X[rows], rtol=1e-12, atol=1e-12)
        assert new.terms == result.terms
        if result.offset is not None:
            np.testing.assert_allclose(new.offset, result.offset[rows], rtol=1e-12)
        for ours, theirs in zip(new.groups, result.groups, strict=True):
            np.testing.assert_array_equal(ours.index, theirs.index[rows])
            np.testing.assert_allclose(ours.Z, theirs.Z[rows], rtol=1e-12)


def test_transforms_remember_the_training_rows(data):
    x = data["x"].to_numpy()
    result = design("y ~ scale(x) + center(z) + offset(center(x)) + (0 + scale(x) | f)", data)
    new = new_design(result, pd.DataFrame({"x": [10.0], "z": [5.0], "f": ["a"]}))
    scaled = (10 - x.mean()) / x.std(ddof=1)
    np.testing.assert_allclose(new.X, [[scaled, 5 - data["z"].mean()]])
    np.testing.assert_allclose(new.offset, [10 - x.mean()])
    np.testing.assert_allclose(new.groups[0].Z, [[scaled]])
    # evaluating new rows has taught nothing
    np.testing.assert_array_equal(new_design(result, data).X, result.X)


def test_response_is_read_on_request(data):
    result = design("scale(y) | weights(w) ~ x", data)
    without = new_design(result, data[["x"]].head(3))
    assert np.isnan(without.response.values).all()
    assert without.response.weights is None
    assert without.n_rows == 3
    new = new_design(result, data.head(3), response=True)
    np.testing.assert_allclose(new.response.values, result.response.values[:3])
    np.testing.assert_array_equal(new.response.weights, data["w"].head(3))
    with pytest.raises(FormulaError, match="unknown column 'y'"):
        new_design(result, data[["x", "w"]], response=True)


def test_a_response_of_two_levels_keeps_its_coding(data):
    result = design("h ~ x", data)
    new = new_design(result, data.tail(3), response=True)
    assert new.response.values.tolist() == [1, 1, 1]
    with pytest.raises(DataError, match="column 'h' has levels that the training rows do not have"):
        new_design(result, data.head(3).assign(h="w"), response=True)


def test_trials(data):
    result = design("prop(s, n) ~ x", data)
    assert new_design(result, data.head(2)).response.trials.tolist() == [9, 9]
    assert new_design(result, data[["x"]].head(2)).response.trials.tolist() == [1, 1]
    assert np.isnan(new_design(result, data.head(2)).response.values).all()
    constant = design("prop(s, 12) ~ x", data)
    assert new_design(constant, data[["x"]].head(2)).response.trials.tolist() == [12, 12]


def test_rows_and_dropped(data):
    result = design("y ~ x", data.assign(x=data["x"].where(data.index > 3)), dropna=True)
    assert result.dropped == 4
    new = new_design(result, data.set_axis([f"r{i}" for i in range(N)]))
    assert new.dropped == 0
    assert new.rows[:2].tolist() == ["r0", "r1"]


@pytest.mark.parametrize(
    ("formula", "column", "value", "message"),
    [
        (
            "y ~ f",
            "f",
            "z",
            "column 'f' has levels that the training rows do not have: 'z'. Known: ",
        ),
        ("y ~ f:x", "f", "z", "column 'f' has levels that the training rows do not have: 'z'"),
        ("y ~ C(f)", "f", "z", "column 'f' has levels that the training rows do not have: 'z'"),
        ("y ~ index(f)", "f", "z", "column 'f' has levels that the training rows do not have: 'z'"),
        (
            "y ~ C(k)",
            "k",
            7,
            "column 'k' has levels that the training rows do not have: 7. Known: 1",
        ),
        ("y ~ index(k)", "k", 7, "column 'k' has levels that the training rows do not have: 7"),
        ("y ~ (0 + f | h)", "f", "z", "column 'f' has levels that the training rows do not have"),
        ("y ~ x", "x", "z", "column 'x' was numeric in training, and is not now"),
        ("y ~ x", "x", np.nan, "missing values in 'x': 2 (of 2 rows). Drop or fill in these rows."),
        ("y ~ (1 | f)", "f", None, "missing values in 'f': 2 (of 2 rows). Drop or fill in"),
        ("y ~ x", "x", np.inf, "infinite values in 'x': 2 (of 2 rows)."),
        ("y ~ log(w)", "w", -1.0, "the term 'log(w)' has no finite value in 2 of 2 rows"),
        ("y ~ (0 + log(w) | h)", "w", -1.0, "the term 'log(w)' has no finite value in 2 of 2 rows"),
        ("y ~ offset(log(w))", "w", -1.0, "the offset 'log(w)' has no finite value in 2 of 2 rows"),
    ],
)
def test_new_rows_that_are_refused(formula, column, value, message, data):
    result = design(formula, data)
    with pytest.raises(DataError) as caught:
        new_design(result, data.head(2).assign(**{column: [value, value]}))
    assert message in str(caught.value)


def test_a_column_that_is_not_there(data):
    result = design("y ~ x + (1 | f)", data)
    with pytest.raises(FormulaError, match="unknown column 'f'"):
        new_design(result, data[["x"]])


def test_constant_new_columns_are_no_problem(data):
    result = design("y ~ x + f + (x | h)", data)
    new = new_design(result, data.head(3).assign(x=1.0, f="a"))
    assert new.X.tolist() == [[1, 0, 0, 0, 0]] * 3


def test_categories_of_new_rows_may_be_others(data):
    result = design("y ~ f + (1 | f)", data.assign(f=pd.Categorical(data["f"], list("edcba"))))
    for column in (["a", "e"], pd.Categorical(["a", "e"]), pd.Categorical(["a", "e"], list("xae"))):
        new = new_design(result, pd.DataFrame({"f": column}))
        assert new.X.tolist() == [[0, 0, 0, 1], [0, 0, 0, 0]]
        assert new.groups[0].index.tolist() == [4, 0]
