"""Grouping factors as integer codes, and the matrices of their effects."""

import numpy as np
import pandas as pd
import pytest

from hiermod.errors import DataError
from hiermod.formula import design, new_design


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "y": np.arange(8.0),
            "x": [1.0, -1.0, 2.0, 0.5, 3.0, -2.0, 0.0, 1.5],
            "f": list("abababab"),
            "g": ["k", "m", "l", "k", "m", "l", "k", "m"],
            "h": [2, 1, 1, 2, 2, 1, 1, 1],
        }
    )


# group term, factor, effects, K, correlated, levels, index
GROUPS = [
    ("(1 | g)", "g", ["1"], 1, False, ["k", "l", "m"], [0, 2, 1, 0, 2, 1, 0, 2]),
    ("(x | g)", "g", ["1", "x"], 2, True, ["k", "l", "m"], [0, 2, 1, 0, 2, 1, 0, 2]),
    ("(x || g)", "g", ["1", "x"], 2, False, ["k", "l", "m"], [0, 2, 1, 0, 2, 1, 0, 2]),
    ("(0 + x | h)", "h", ["x"], 1, False, [1, 2], [1, 0, 0, 1, 1, 0, 0, 0]),
    ("(0 + f | h)", "h", ["f"], 2, True, [1, 2], [1, 0, 0, 1, 1, 0, 0, 0]),
    ("(f | h)", "h", ["1", "f"], 2, True, [1, 2], [1, 0, 0, 1, 1, 0, 0, 0]),
    (
        "(1 | g:h)",
        "g:h",
        ["1"],
        1,
        False,
        ["k:1", "k:2", "l:1", "m:1", "m:2"],
        [1, 3, 2, 1, 4, 2, 0, 3],
    ),
    (
        "(1 | h:f:g)",
        "h:f:g",
        ["1"],
        1,
        False,
        ["1:a:k", "1:a:l", "1:b:l", "1:b:m", "2:a:k", "2:a:m", "2:b:k"],
        [4, 3, 1, 6, 5, 2, 0, 3],
    ),
]


@pytest.mark.parametrize(
    ("text", "factor", "effects", "width", "correlated", "levels", "index"), GROUPS
)
def test_groups(text, factor, effects, width, correlated, levels, index, data):
    (group,) = design(f"y ~ 1 + {text}", data).groups
    assert group.factor == factor
    assert [effect.name for effect in group.effects] == effects
    assert group.correlated is correlated
    assert group.levels.tolist() == levels
    assert group.index.tolist() == index
    assert group.index.dtype == np.int32
    assert group.Z.shape == (8, width)
    assert group.Z.dtype == np.float64


def test_effect_matrices(data):
    x, b = data["x"].to_numpy(), (data["f"] == "b").to_numpy()
    one = np.ones(8)
    for text, columns in [
        ("(1 | g)", [one]),
        ("(x | g)", [one, x]),
        ("(0 + f | g)", [~b, b]),
        ("(f*x | g)", [one, b, x, b * x]),
        ("(I(x**2) + center(x) || g)", [one, x**2, x - x.mean()]),
    ]:
        (group,) = design(f"y ~ 1 + {text}", data).groups
        np.testing.assert_array_equal(group.Z, np.column_stack(columns))
    (group,) = design("y ~ 1 + (f + x | g)", data).groups
    assert [(e.name, e.labels, e.columns, e.kind) for e in group.effects] == [
        ("1", (), slice(0, 1), "intercept"),
        ("f", ("b",), slice(1, 2), "categorical"),
        ("x", (), slice(2, 3), "numeric"),
    ]


def test_nested_and_crossed(data):
    nested, inner, crossed = design("y ~ 1 + (x | g/h) + (1 | f)", data).groups
    assert [group.factor for group in (nested, inner, crossed)] == ["g", "g:h", "f"]
    assert len(inner.levels) == 5
    assert nested.correlated and inner.correlated and not crossed.correlated


LEVELS = {
    "unused categories": (pd.Categorical(list("baba"), categories=list("zbya")), ["b", "a"], "U"),
    "ordered": (pd.Categorical(list("baba"), list("ba"), ordered=True), ["b", "a"], "U"),
    "categories of int": (pd.Categorical([7, 3, 7, 3]), [3, 7], "i"),
    "whole floats": ([7.0, 3.0, 7.0, 3.0], [3, 7], "i"),
    "Int64": (pd.array([7, 3, 7, 3], dtype="Int64"), [3, 7], "i"),
    "negative": ([-7, 3, -7, 3], [-7, 3], "i"),
    "bool": ([True, False, True, False], ["False", "True"], "U"),
    "boolean": (pd.array([True, False] * 2, dtype="boolean"), ["False", "True"], "U"),
    "string": (pd.array(list("baba"), dtype="string"), ["a", "b"], "U"),
    "object": (np.array(list("baba"), dtype=object), ["a", "b"], "U"),
    "dates": (
        pd.to_datetime(["2020-02-01", "2020-01-01"] * 2),
        ["2020-01-01 00:00:00", "2020-02-01 00:00:00"],
        "U",
    ),
}


@pytest.mark.parametrize("name", LEVELS)
def test_levels_of_every_dtype(name):
    column, levels, kind = LEVELS[name]
    data = pd.DataFrame({"y": np.arange(4.0), "g": column})
    result = design("y ~ 1 + (1 | g)", data)
    (group,) = result.groups
    assert group.levels.tolist() == levels
    assert group.levels.dtype.kind == kind
    again = new_design(result, data[::-1]).groups[0]
    np.testing.assert_array_equal(again.index, group.index[::-1])


def test_new_levels_get_minus_one(data):
    result = design("y ~ 1 + (x | g) + (1 | g:h) + (1 | h)", data)
    new = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "g": ["m", "k", "q", "l"], "h": [1, 9, 1, 2]})
    g, gh, h = new_design(result, new).groups
    assert g.index.tolist() == [2, 0, -1, 1]
    assert gh.index.tolist() == [3, -1, -1, -1]  # l:2 was never observed
    assert h.index.tolist() == [0, -1, 0, 1]
    assert g.levels.tolist() == ["k", "l", "m"]
    assert g.Z.tolist() == [[1, 1], [1, 2], [1, 3], [1, 4]]
    assert g.index.dtype == np.int32


def test_many_levels_need_no_matrix():
    # An indicator matrix would have 4e9 entries.
    n, levels = 50_000, 20_000
    rng = np.random.default_rng(3)
    g = rng.permutation(np.concatenate([np.arange(levels), rng.integers(levels, size=n - levels)]))
    data = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n), "g": 10 * g})
    (group,) = design("y ~ x + (x | g)", data).groups
    np.testing.assert_array_equal(group.index, g)
    np.testing.assert_array_equal(group.levels, 10 * np.arange(levels))


ERRORS = [
    ([0.5, 1.0, 2.0], "the grouping factor 'g' has fractions. Convert it to integers"),
    ([3, 3, 3], "the grouping factor 'g' has one level only, '3'. Remove its group term."),
    (["1", 1, 2], "different levels of 'g' have the same label. Rename them."),
]


@pytest.mark.parametrize(("column", "message"), ERRORS)
def test_grouping_factors_that_are_refused(column, message):
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0], "g": column})
    with pytest.raises(DataError, match=message):
        design("y ~ 1 + (1 | g)", data)


def test_another_kind_of_grouping_factor_in_new_rows(data):
    result = design("y ~ 1 + (1 | h)", data)
    message = "the grouping factor 'h' was numbers in training, and is text now"
    with pytest.raises(DataError, match=message):
        new_design(result, pd.DataFrame({"h": ["1", "2"]}))
    result = design("y ~ 1 + (1 | g)", data)
    message = "the grouping factor 'g' was text in training, and is numbers now"
    with pytest.raises(DataError, match=message):
        new_design(result, pd.DataFrame({"g": [1, 2]}))
