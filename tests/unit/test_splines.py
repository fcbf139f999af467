"""Bases of splines: against R, SciPy and their definitions."""

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import BSpline

from hiermod.errors import DataError, FormulaError
from hiermod.formula import design, new_design

N = 60


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "y": rng.normal(size=N),
            "x": rng.gamma(2, size=N),
            "month": rng.uniform(1, 13, size=N),
            "two": np.tile([0.0, 1.0], N // 2),
            "flat": np.ones(N),
            "f": np.repeat(["a", "b", "c"], N // 3),
        }
    )


def basis(right, data):
    return design(f"y ~ {right}", data).X


def same_span(one, other):
    """Whether two matrices, with a constant each, span the same functions."""
    one, other = (np.column_stack([np.ones(len(m)), m]) for m in (one, other))
    left = other - one @ np.linalg.lstsq(one, other, rcond=None)[0]
    return one.shape == other.shape and np.abs(left).max() < 1e-9 * np.abs(other).max()


R_NS = """
 0            0            0           0           0
 7.592323e-03 0.000000e+00 -8.670223e-02 2.601067e-01 -1.734045e-01
 6.073858e-02 0.000000e+00 -1.503044e-01 4.509132e-01 -3.006088e-01
 2.047498e-01 6.073858e-05 -1.677834e-01 5.033503e-01 -3.355669e-01
 4.334305e-01 1.311953e-02 -1.324404e-01 3.973211e-01 -2.648807e-01
 6.256681e-01 8.084305e-02 -7.399720e-02 2.219916e-01 -1.479944e-01
 6.477162e-01 2.468416e-01 -2.616007e-02 7.993794e-02 -5.329196e-02
 4.791667e-01 4.791667e-01 1.406302e-02 2.031093e-02 -1.354062e-02
 2.468416e-01 6.477162e-01 9.733619e-02 2.286023e-02 -1.524015e-02
 8.084305e-02 6.256681e-01 2.707683e-01 6.324188e-02 -4.052131e-02
 1.311953e-02 4.334305e-01 4.805984e-01 1.252603e-01 -5.240872e-02
 6.073858e-05 2.047498e-01 5.954160e-01 1.989926e-01 7.809246e-04
 0.000000e+00 6.073858e-02 5.009718e-01 2.755102e-01 1.627794e-01
 0.000000e+00 7.592323e-03 2.246113e-01 3.520408e-01 4.157556e-01
 0.000000e+00 0.000000e+00 -1.428571e-01 4.285714e-01 7.142857e-01
"""
"""R: ns(women$height, df = 5), the example of its help page."""


def test_ns_is_that_of_r():
    women = pd.DataFrame({"height": np.arange(58.0, 73), "y": np.arange(15.0)})
    expected = np.array(R_NS.split(), float).reshape(15, 5)
    np.testing.assert_allclose(basis("ns(height, df=5)", women), expected, rtol=1e-6, atol=1e-15)


def test_ns_and_cr_span_the_same_functions(data):
    inner = "[0.5, 1, 2.5]"
    ns, cr = basis(f"ns(x, knots={inner})", data), basis(f"cr(x, knots={inner})", data)
    assert same_span(ns, cr)
    assert not same_span(ns, basis("cr(x, knots=[0.5, 1, 2.6])", data))


def test_ns_is_cubic_and_linear_outside(data):
    result = design("y ~ ns(x, df=4)", data)
    high = data["x"].max()
    outside = pd.DataFrame({"x": high + np.array([0.0, 1.0, 2.0, 7.0])})
    X = new_design(result, outside).X
    np.testing.assert_allclose(X[3] - X[0], 7 * (X[1] - X[0]), rtol=1e-9, atol=1e-12)
    step = 1e-4  # slope and curvature go on at the end
    near = pd.DataFrame({"x": high + step * np.arange(-2, 3)})
    second = np.diff(new_design(result, near).X, 2, axis=0) / step**2
    assert np.abs(second).max() < 1e-2


def test_bs_against_scipy(data):
    x = data["x"].to_numpy()
    inner = np.quantile(x, [1 / 3, 2 / 3])
    knots = np.r_[[x.min()] * 4, inner, [x.max()] * 4]
    whole = BSpline.design_matrix(x, knots, 3).toarray()
    result = design("y ~ 0 + bs(x, df=6, center=False)", data)
    np.testing.assert_allclose(result.X, whole, atol=1e-12)
    centred = basis("bs(x, df=5)", data)
    np.testing.assert_allclose(centred.mean(0), 0, atol=1e-12)
    left = centred - whole @ np.linalg.lstsq(whole, centred, rcond=None)[0]
    np.testing.assert_allclose(left, 0, atol=1e-12)


def test_a_whole_basis_may_stand_beside_an_intercept(data):
    result = design("y ~ bs(x, df=6, center=False)", data)
    assert [t.kind for t in result.terms] == ["whole"]
    np.testing.assert_allclose(result.X.sum(1), 1)
    with pytest.raises(DataError, match="'month' is a linear combination of"):
        design("y ~ bs(x, df=6, center=False) + I(2 * month) + month", data)


def test_cc_goes_round(data):
    result = design("y ~ cc(month, period=12, df=5)", data)
    some = pd.DataFrame({"month": [2.0, 7.3]})
    rows = new_design(result, some).X
    np.testing.assert_allclose(new_design(result, some + 12).X, rows, atol=1e-12)
    np.testing.assert_allclose(new_design(result, some - 24).X, rows, atol=1e-12)
    # value, slope and curvature agree where the ends meet
    step, seam = 1e-4, data["month"].min()
    near = pd.DataFrame({"month": seam + step * np.arange(-3, 4)})
    values = new_design(result, near).X
    assert np.abs(np.diff(values, 3, axis=0) / step**2).max() < 1e-2


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("ns(x)", r"ns\(x\): give the number of columns, df=5, or the inner knots"),
        ("ns(x, df=0)", "df must be a whole number, 1 or more, not 0"),
        ("ns(x, df=2.5)", "df must be a whole number, 1 or more, not 2.5"),
        ("ns(x, knots=[1, 99])", "must be different and lie between .* the range of the column"),
        ("ns(x, knots=[1, 1])", "must be different"),
        ("ns(two, df=3)", r"They are 0, 1\. Many values are equal: ask for fewer columns"),
        ("cc(month, df=4)", "a cyclic spline needs its period, for example period=12"),
        ("bs(x, df=5, intercept=True)", "For the whole basis write center=False"),
        ("bs(f, df=5)", r"bs\(f, df=5\): a basis needs one column of numbers"),
        ("cr(poly(x, 2))", "a basis needs one column of numbers"),
        *[
            (f"{call}", "this one is constant. Remove it")
            for call in (
                "poly(flat, 2)",
                "bs(flat, df=5)",
                "cr(flat)",
                "ns(flat, df=2)",
                "tp(flat)",
                "cc(flat, 3)",
            )
        ],
        *[
            (call, "2 different values, too few for a basis of . columns")
            for call in ("poly(two, 2)", "bs(two, df=5)", "ns(two, knots=[0.3])")
        ],
    ],
)
def test_bad_input(term, message, data):
    with pytest.raises(DataError, match=message):
        design(f"y ~ {term}", data)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("bs(x, df=2)", "df=2 is too small for degree=3"),
        ("cr(x, df=0)", "'df' must be greater than or equal to 1"),
        ("cc(x, -1)", "'period' must be finite and greater than zero"),
        ("tp(x, df=1)", "'df' must be greater than or equal to 2"),
        ("bs(x, knots=[-9, 1])", "fall below lower bound"),
    ],
)
def test_what_formulae_refuses_is_shown_in_place(term, message, data):
    with pytest.raises(FormulaError, match=message) as caught:
        design(f"y ~ {term}", data)
    assert str(caught.value).split("\n")[2].strip() == "^" * len(term)
