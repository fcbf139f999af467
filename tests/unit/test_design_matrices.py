"""Formula and data to matrices: names, labels, shapes and values."""

import copy
import pickle

import formulae
import numpy as np
import pandas as pd
import pytest

from hiermod.errors import DataError, FormulaError
from hiermod.formula import FUNCTIONS, design, new_design, parse

N = 24


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(20261121)
    return pd.DataFrame(
        {
            "y": rng.normal(size=N),
            "x": rng.normal(size=N),
            "z": rng.normal(size=N),
            "w": rng.uniform(1, 2, size=N),
            "k": np.repeat([3, 1, 2], N // 3),
            "b": np.tile([True, False, False, True], N // 4),
            "f": np.tile(list("cab"), N // 3),
            "h": np.repeat(["u", "v"], N // 2),
            "n": rng.integers(5, 9, size=N),
            "s": rng.integers(0, 5, size=N),
        }
    )


# formula; [(name, labels, kind)]
TERMS = [
    ("y ~ 1", []),
    ("y ~ x", [("x", (), "numeric")]),
    ("y ~ b", [("b", (), "numeric")]),
    ("y ~ f", [("f", ("b", "c"), "categorical")]),
    ("y ~ 0 + f", [("f", ("a", "b", "c"), "categorical")]),
    ("y ~ 0 + f + h", [("f", ("a", "b", "c"), "categorical"), ("h", ("v",), "categorical")]),
    ("y ~ C(k)", [("C(k)", ("2", "3"), "categorical")]),
    ("y ~ C(f, Treatment('b'))", [("C(f, Treatment('b'))", ("a", "c"), "categorical")]),
    ("y ~ C(f, Sum)", [("C(f, Sum)", ("a", "b"), "categorical")]),
    (
        "y ~ C(f, levels=['b', 'c', 'a'])",
        [("C(f, levels=['b', 'c', 'a'])", ("c", "a"), "categorical")],
    ),
    ("y ~ T(f, 'c')", [("T(f, 'c')", ("a", "b"), "categorical")]),
    ("y ~ S(f, 'a')", [("S(f, 'a')", ("b", "c"), "categorical")]),
    ("y ~ x:z", [("x:z", (), "numeric")]),
    (
        "y ~ f*x",
        [
            ("f", ("b", "c"), "categorical"),
            ("x", (), "numeric"),
            ("f:x", ("b", "c"), "categorical"),
        ],
    ),
    ("y ~ f:x", [("f:x", ("a", "b", "c"), "categorical")]),
    (
        "y ~ f + f:h",
        [("f", ("b", "c"), "categorical"), ("f:h", ("a, v", "b, v", "c, v"), "categorical")],
    ),
    (
        "y ~ f:h",  # full rank needs h before it
        [
            ("h", ("v",), "categorical"),
            ("f:h", ("b, u", "b, v", "c, u", "c, v"), "categorical"),
        ],
    ),
    (
        "y ~ f:h + h",  # coded as h + f:h, kept in the order as written
        [("f:h", ("b, u", "b, v", "c, u", "c, v"), "categorical"), ("h", ("v",), "categorical")],
    ),
    (
        "y ~ 0 + f/h + h",
        [
            ("f", ("a", "b", "c"), "categorical"),
            ("f:h", ("b, v", "c, v"), "categorical"),
            ("h", ("v",), "categorical"),
        ],
    ),
    ("y ~ poly(x, 2)", [("poly(x, 2)", ("0", "1"), "numeric")]),
    ("y ~ poly(x, 1)", [("poly(x, 1)", (), "numeric")]),
    ("y ~ h:poly(x, 2)", [("h:poly(x, 2)", ("u, 0", "u, 1", "v, 0", "v, 1"), "categorical")]),
    ("y ~ x:poly(z, 2)", [("x:poly(z, 2)", ("0", "1"), "numeric")]),
    ("y ~ bs(x, df=4):z", [("bs(x, df=4):z", ("0", "1", "2", "3"), "numeric")]),
    ("y ~ index(f)", [("index(f)", ("a", "b", "c"), "index")]),
    ("y ~ index(k)", [("index(k)", ("1", "2", "3"), "index")]),
    (
        "y ~ x + index(f) + h",  # the index takes the place of an intercept
        [
            ("x", (), "numeric"),
            ("index(f)", ("a", "b", "c"), "index"),
            ("h", ("v",), "categorical"),
        ],
    ),
    (
        "y ~ 0 + index(f) + h",
        [("index(f)", ("a", "b", "c"), "index"), ("h", ("v",), "categorical")],
    ),
    (
        "y ~ 0 + index(f) + index(f):x",
        [("index(f)", ("a", "b", "c"), "index"), ("index(f):x", ("a", "b", "c"), "index")],
    ),
    (
        "y ~ index(f):h",
        [("index(f):h", ("a, u", "a, v", "b, u", "b, v", "c, u", "c, v"), "index")],
    ),
]


@pytest.mark.parametrize(("formula", "terms"), TERMS)
def test_terms(formula, terms, data):
    result = design(formula, data)
    assert [(term.name, term.labels, term.kind) for term in result.terms] == terms
    assert result.X.dtype == np.float64
    assert result.X.shape == (N, sum(max(1, len(labels)) for _, labels, _ in terms))
    stops = [0] + [term.columns.stop for term in result.terms]
    assert [term.columns.start for term in result.terms] == stops[:-1]
    assert stops[-1] == result.X.shape[1]


# right-hand sides for which formulae by itself gives the same matrix
SAME_AS_FORMULAE = [
    "1",
    "x",
    "0 + x",
    "x + z",
    "x - 1",
    "x*z",
    "f",
    "0 + f",
    "f + h",
    "0 + f + h",
    "f*h",
    "f:h",
    "f:x",
    "x + f:x",
    "f*x*h",
    "x/f",
    "(x + z + f)**2",
    "f*h - f:h",
    "b + f:b",
    "center(x) + poly(z, 3)",
    "bs(x, df=5) + cr(z, df=4)",
    "C(k) + C(f, Sum)",
    "T(f, 'b') + S(k)",
    "I(x**2) + I(x + z)",
    "I(x > 0)",
    "poly(x, 2):f + h",
]


@pytest.mark.parametrize("right", SAME_AS_FORMULAE)
def test_matrix_is_that_of_formulae(right, data):
    ours = design(f"y ~ {right}", data)
    theirs = formulae.design_matrices(f"y ~ {right}", data).common
    X = np.column_stack([np.ones(N), ours.X]) if ours.intercept else ours.X
    np.testing.assert_allclose(X, theirs.design_matrix, rtol=1e-12)
    names = ["Intercept"] * ours.intercept + [term.name for term in ours.terms]
    assert names == list(theirs.terms)


def test_values_by_hand(data):
    f, k, x = data["f"].to_numpy(), data["k"].to_numpy(), data["x"].to_numpy()
    X = design("y ~ f + x + f:x + C(k, Sum) + b", data).X
    expected = [
        f == "b",
        f == "c",
        x,
        (f == "b") * x,
        (f == "c") * x,
    ]
    np.testing.assert_array_equal(X[:, :5], np.column_stack(expected))
    np.testing.assert_array_equal(X[:, 5], (k == 1) * 1.0 - (k == 3))
    np.testing.assert_array_equal(X[:, 7], data["b"])
    index = design("y ~ index(f) + index(f):x", data).X
    each = np.column_stack([f == "a", f == "b", f == "c"])
    np.testing.assert_array_equal(index, np.column_stack([each, each * x[:, None]]))


def test_arithmetic_binds_as_in_python(data):
    x, z, w = (data[name].to_numpy() for name in "xzw")
    X = design("y ~ I(-w**2) + I((x + z)/w) + I(x + z/w) + I(x - (z - w)) + {2**w}", data).X
    expected = [-(w**2), (x + z) / w, x + z / w, x - (z - w), 2**w]
    np.testing.assert_allclose(X, np.column_stack(expected), rtol=1e-15)


# function, its value on a column
ELEMENTWISE = {
    "I": lambda w: w,
    "abs": np.abs,
    "ceil": np.ceil,
    "cos": np.cos,
    "exp": np.exp,
    "expm1": np.expm1,
    "floor": np.floor,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "round": np.round,
    "sign": np.sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
    "center": lambda w: w - np.mean(w),
    "scale": lambda w: (w - np.mean(w)) / np.std(w, ddof=1),
    "standardize": lambda w: (w - np.mean(w)) / np.std(w, ddof=1),
}
MANY_COLUMNS = {
    "poly": ("poly(w, 3)", 3),
    "bs": ("bs(w, df=5)", 5),
    "cc": ("cc(w, 1, df=5)", 5),
    "cr": ("cr(w, df=5)", 5),
    "ns": ("ns(w, df=5)", 5),
    "tp": ("tp(w, df=5)", 5),
    "mo": ("mo(k)", 2),
    "C": ("C(f)", 2),
    "S": ("S(f)", 2),
    "T": ("T(f)", 2),
    "Sum": ("C(f, Sum())", 2),
    "Treatment": ("C(f, Treatment('b'))", 2),
    "B": ("B(f, 'b')", 1),
    "binary": ("binary(f)", 1),
}


def test_the_tables_above_cover_every_function():
    assert {*ELEMENTWISE, *MANY_COLUMNS} == set(FUNCTIONS)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_functions(name, data):
    column = "x" if name in ("ceil", "floor", "round", "sign") else "w"
    result = design(f"y ~ 1 + {name}({column})", data)
    expected = ELEMENTWISE[name](data[column].to_numpy())
    np.testing.assert_allclose(result.X[:, 0], expected, rtol=1e-14)


@pytest.mark.parametrize("name", MANY_COLUMNS)
def test_other_functions(name, data):
    text, width = MANY_COLUMNS[name]
    result = design(f"y ~ {text}", data)
    assert [(term.name, term.width) for term in result.terms] == [(text, width)]


def test_binary(data):
    np.testing.assert_array_equal(design("y ~ B(f, 'b')", data).X[:, 0], data["f"] == "b")
    np.testing.assert_array_equal(design("y ~ B(f)", data).X[:, 0], data["f"] == "a")


def test_functions_of_the_caller(data):
    def lag(x, by=1):
        return np.roll(x, by)

    def pair(x):
        return pd.DataFrame({"a": x, "b": x**2})

    result = design("y ~ lag(x, by=2) + pair(z)", data, functions={"lag": lag, "pair": pair})
    assert [term.name for term in result.terms] == ["lag(x, by=2)", "pair(z)"]
    expected = np.column_stack([np.roll(data["x"], 2), data["z"], data["z"] ** 2])
    np.testing.assert_array_equal(result.X, expected)
    labels = design("y ~ up(f)", data, functions={"up": lambda f: [v.upper() for v in f]})
    assert labels.terms[0].labels == ("B", "C")


def test_nothing_of_the_caller_is_reached(data):
    x2 = data["x"] * 2  # noqa: F841
    secret = np.exp  # noqa: F841
    with pytest.raises(FormulaError, match="unknown column 'x2'"):
        design("y ~ x2", data)
    with pytest.raises(FormulaError, match="unknown function 'secret'"):
        design("y ~ secret(x)", data)
    with pytest.raises(FormulaError, match=r"unknown function '__import__'"):
        design("y ~ __import__('os')", data)


def test_function_forgotten_after_parsing(data):
    formula = parse("y ~ double(x)", functions=["double"])
    assert design(formula, data, functions={"double": lambda x: 2 * x}).X.shape == (N, 1)
    with pytest.raises(FormulaError, match="'double' is not known here"):
        design(formula, data)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ C(log(x))", r"C\(log\(x\)\): missing values in \d+ of 24 rows"),
        ("y ~ holes(f)", r"holes\(f\) gives missing values in 8 rows"),
    ],
)
def test_missing_categories_are_never_coded(formula, message, data):
    functions = {"holes": lambda f: [None if v == "a" else v for v in f]}
    with pytest.raises(DataError, match=message):
        design(formula, data, functions=functions)


def test_stateful_function_of_the_caller(data):
    class FirstRow:
        __stateful_transform__ = True
        first = None

        def __call__(self, x):
            self.first = x.iloc[0] if self.first is None else self.first
            return x - self.first

    result = design("y ~ FirstRow(x) + FirstRow(z)", data, functions={"FirstRow": FirstRow})
    expected = data[["x", "z"]] - data[["x", "z"]].iloc[0]
    np.testing.assert_array_equal(result.X, expected)
    np.testing.assert_array_equal(new_design(result, data[5:]).X, expected[5:])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: 1.0, r"f\(x\) gives values of shape \(\) for 24 rows"),
        (lambda x: x[:3], r"f\(x\) gives values of shape \(3,\) for 24 rows"),
        (lambda x: [["a", "b"]] * N, r"f\(x\) gives columns that are not numeric"),
        (lambda x: 1 / 0, r"f\(x\) failed: division by zero"),
        (lambda x, z: x, r"f\(x\) failed: .*missing 1 required"),
    ],
)
def test_functions_that_fail(function, message, data):
    with pytest.raises(FormulaError, match=message) as caught:
        design("y ~ z + f(x)", data, functions={"f": function})
    assert str(caught.value).split("\n")[1:3] == ["  y ~ z + f(x)", "          ^^^^"]


def test_response(data):
    for formula, trials, weights in [
        ("s ~ x", None, None),
        ("prop(s, n) ~ x", data["n"], None),
        ("prop(s, 10) ~ x", np.full(N, 10.0), None),
        ("s | trials(n) + weights(w) ~ x", data["n"], data["w"]),
        ("weighted(s, 1/w) ~ x", None, 1 / data["w"]),
    ]:
        response = design(formula, data).response
        assert response.name == "s"
        np.testing.assert_array_equal(response.values, data["s"])
        assert response.values.dtype == np.float64
        for found, expected in [(response.trials, trials), (response.weights, weights)]:
            assert (found is None) == (expected is None)
            if expected is not None:
                np.testing.assert_array_equal(found, expected)
                assert found.dtype == np.float64


def test_response_that_is_a_call(data):
    response = design("log(w) ~ x", data).response
    assert response.name == "log(w)"
    np.testing.assert_array_equal(response.values, np.log(data["w"]))
    response = design("scale(y) ~ x", data).response
    np.testing.assert_allclose(
        [response.values.mean(), response.values.std(ddof=1)], [0, 1], atol=1e-12
    )


def test_response_with_two_values(data):
    np.testing.assert_array_equal(design("b ~ x", data).response.values, data["b"])
    np.testing.assert_array_equal(design("h ~ x", data).response.values, data["h"] == "v")
    ordered = data.assign(h=pd.Categorical(data["h"], categories=["v", "unused", "u"]))
    np.testing.assert_array_equal(design("h ~ x", ordered).response.values, data["h"] == "u")


def test_response_may_be_the_name_of_a_parameter(data):
    result = design("sigma ~ x + (1 | f)", data, response=False)
    assert result.response.name == "sigma"
    assert np.isnan(result.response.values).all()
    assert result.X.shape == (N, 1)


def test_offset(data):
    assert design("y ~ x", data).offset is None
    result = design("y ~ x + offset(log(n)) + offset(2) + offset(w - 1)", data)
    np.testing.assert_allclose(result.offset, np.log(data["n"]) + 2 + data["w"] - 1)
    assert [term.name for term in result.terms] == ["x"]


# Columns of every dtype

DTYPES = {
    "Int64": (pd.array([4, 1, 2, 5, 3, 9], dtype="Int64"), [4, 1, 2, 5, 3, 9]),
    "uint8": (np.array([4, 1, 2, 5, 3, 9], dtype="uint8"), [4, 1, 2, 5, 3, 9]),
    "Float64": (pd.array([4, 1, 2, 5, 3, 9.5], dtype="Float64"), [4, 1, 2, 5, 3, 9.5]),
    "float32": (np.array([4, 1, 2, 5, 3, 9.5], dtype="float32"), [4, 1, 2, 5, 3, 9.5]),
    "object numbers": (np.array([4, 1, 2, 5, 3, 9.5], dtype=object), [4, 1, 2, 5, 3, 9.5]),
    "bool": (np.array([True, False] * 3), [1, 0] * 3),
    "boolean": (pd.array([True, False] * 3, dtype="boolean"), [1, 0] * 3),
    "object bool": (np.array([True, False] * 3, dtype=object), [1, 0] * 3),
    "object text": (np.array(["b", "a"] * 3, dtype=object), [1, 0] * 3),
    "string": (pd.array(["b", "a"] * 3, dtype="string"), [1, 0] * 3),
    "str": (pd.Series(["b", "a"] * 3), [1, 0] * 3),
    "category": (pd.Categorical(["b", "a"] * 3), [1, 0] * 3),
    "category order": (pd.Categorical(["b", "a"] * 3, categories=["b", "c", "a"]), [0, 1] * 3),
    "ordered": (pd.Categorical(["b", "a"] * 3, categories=list("ba"), ordered=True), [0, 1] * 3),
    "category of int": (pd.Categorical([7, 3] * 3), [1, 0] * 3),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_of_predictors(dtype):
    column, expected = DTYPES[dtype]
    data = pd.DataFrame({"y": np.arange(6.0), "x": column})
    result = design("y ~ x", data)
    np.testing.assert_array_equal(result.X[:, 0], expected)
    np.testing.assert_array_equal(new_design(result, data[::-1]).X[:, 0], expected[::-1])


@pytest.mark.parametrize("kind", ["int64", "double", "string", "bool"])
def test_arrow_dtypes(kind):
    pytest.importorskip("pyarrow")
    values = ["b", "a"] * 3 if kind == "string" else [1, 0] * 3
    column = pd.Series(values).astype(f"{kind}[pyarrow]")
    data = pd.DataFrame({"y": np.arange(6.0), "x": column})
    result = design("y ~ x + (1 | x)", data)
    np.testing.assert_array_equal(result.X[:, 0], [1, 0] * 3)
    np.testing.assert_array_equal(result.groups[0].index, [1, 0] * 3)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([7] * N),
        pd.Index([f"row {i}" for i in range(N)]),
        pd.MultiIndex.from_product([[1, 2], range(N // 2)]),
        pd.RangeIndex(N, 0, -1),
    ],
    ids=["repeated", "text", "multi", "backwards"],
)
def test_any_row_index(index, data):
    formula = "prop(s, n) ~ x*f + scale(z) + I(x * z) + offset(w) + (x | f:k)"
    plain, other = design(formula, data), design(formula, data.set_axis(index))
    np.testing.assert_array_equal(other.X, plain.X)
    np.testing.assert_array_equal(other.offset, plain.offset)
    np.testing.assert_array_equal(other.response.trials, plain.response.trials)
    np.testing.assert_array_equal(other.groups[0].index, plain.groups[0].index)
    assert list(other.rows) == list(index)


def test_any_column_name(data):
    named = data.rename(columns={"x": "kcal.per.g", "z": "größe (cm)", "f": "Ärzte", "h": "log"})
    result = design(
        "y ~ kcal.per.g + log(w) + `größe (cm)`:Ärzte + log + (1 + `größe (cm)` | Ärzte)", named
    )
    assert [term.name for term in result.terms] == [
        "kcal.per.g",
        "log(w)",
        "größe (cm):Ärzte",
        "log",
    ]
    assert [effect.name for effect in result.groups[0].effects] == ["1", "größe (cm)"]
    same = design("y ~ x + log(w) + z:f + h + (1 + z | f)", data)
    np.testing.assert_array_equal(result.X, same.X)


def test_the_data_are_not_modified(data):
    before = data.copy(deep=True)
    design("scale(y) ~ C(k)*x + poly(z, 2) + b + (f | h)", data)
    pd.testing.assert_frame_equal(data, before)


def test_a_design_can_be_pickled_and_copied(data):
    result = design("scale(y) ~ scale(x) + bs(z, df=4) + f + (1 + x | f/h)", data)
    for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        np.testing.assert_array_equal(new_design(other, data).X, result.X)


def test_the_state_holds_no_rows():
    rng = np.random.default_rng(4)
    data = pd.DataFrame(rng.normal(size=(20_000, 3)), columns=["y", "x", "z"])
    data["f"] = np.tile(list("abcd"), 5_000)
    result = design("scale(y) ~ scale(x)*f + poly(z, 2) + C(f, Sum) - C(f, Sum) + (1 | f)", data)
    assert len(pickle.dumps(result.state)) < 20_000


def test_dropna(data):
    holes = data.copy()
    holes["unused"] = np.nan
    holes.loc[2, "x"] = np.nan
    holes.loc[[2, 5], "f"] = None
    message = r"missing values in 'x': 1, 'f': 2 \(of 24 rows\)\. Use dropna=True"
    with pytest.raises(DataError, match=message):
        design("y ~ x + (1 | f)", holes)
    result = design("y ~ x + (1 | f)", holes, dropna=True)
    assert (result.n_rows, result.dropped) == (N - 2, 2)
    assert list(result.rows) == [i for i in range(N) if i not in (2, 5)]
    shifted = design("y ~ x + (1 | f)", holes.set_axis(range(100, 100 + N)), dropna=True)
    np.testing.assert_array_equal(shifted.positions, result.rows)
    complete = design("y ~ x + (1 | f)", data.drop([2, 5]))
    np.testing.assert_array_equal(result.X, complete.X)
    np.testing.assert_array_equal(result.groups[0].index, complete.groups[0].index)
    assert design("y ~ z", holes).dropped == 0
