"""Bases of functions of a column: polynomials and splines, which remember the training rows."""

# ruff: noqa: D102 - the class says what calling it does

from __future__ import annotations

from typing import Any

import numpy as np
from formulae.transforms import TRANSFORMS
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import qr

from hiermod.errors import DataError

FloatArray = NDArray[np.float64]


def numbers(x: Any) -> FloatArray:
    """One column of numbers, shape (N,).

    Raises
    ------
    DataError
        If it is text, or several columns.
    """
    values = np.asarray(x)
    if values.ndim != 1 or values.dtype.kind not in "biuf":
        raise DataError("a basis needs one column of numbers.")
    return values.astype(float)


class Basis:
    """A basis from formulae, which learns its knots from the training rows.

    Subclasses say which; it does the work, and this checks what it is given.
    """

    __stateful_transform__ = True
    kind: str

    def __init__(self) -> None:
        self.transform = TRANSFORMS[self.kind]()
        self.trained = False

    def __call__(self, x: Any, *arguments: Any, **options: Any) -> FloatArray:
        values = numbers(x)
        if self.trained:
            return self.evaluate(values, *arguments, **options)
        different = len(np.unique(values))
        if different < 2:
            raise DataError("a basis needs a column that varies; this one is constant. Remove it.")
        columns = self.evaluate(values, *arguments, **options)
        if columns.shape[1] >= different:
            raise DataError(
                f"the column has {different} different values, too few for a basis of "
                f"{columns.shape[1]} columns. Ask for fewer, or write C(x) for a coefficient a "
                "value."
            )
        self.trained = True
        return columns

    def evaluate(self, x: FloatArray, *arguments: Any, **options: Any) -> FloatArray:
        """Columns of the basis, shape (N, columns)."""
        if "intercept" in options:
            raise DataError("intercept= is not taken. For the whole basis write center=False.")
        with np.errstate(all="ignore"):  # few different values; said by the caller
            return np.asarray(self.transform(x, *arguments, **options))


class Polynomial(Basis):
    """Orthonormal polynomials, ``poly(x, 2)``, as R's; ``raw=True`` for plain powers."""

    kind = "poly"


class BSplines(Basis):
    """B-splines ``bs(x, df=5)``, with inner knots at quantiles.

    Centred on the training rows; ``center=False`` keeps the whole basis, whose columns add up to 1.
    """

    kind = "bs"


class CubicSplines(Basis):
    """Natural cubic splines ``cr(x, df=5)``, with the basis and the knots of mgcv's ``"cr"``.

    Coefficients are values at the knots, but for the centring (Wood 2017, section 5.3.1).
    """

    kind = "cr"


class ThinPlateSplines(Basis):
    """Thin plate regression splines ``tp(x, df=5)`` of one column (Wood 2003)."""

    kind = "tp"


class CyclicSplines(Basis):
    """Cyclic cubic splines ``cc(x, period=12, df=5)``: rows a whole period apart are alike."""

    kind = "cc"

    def __call__(self, x: Any, period: Any = None, *arguments: Any, **options: Any) -> FloatArray:
        if period is None:
            raise DataError(
                "a cyclic spline needs its period, for example period=12 for months: the range of "
                "the data is shorter."
            )
        return super().__call__(x, period, *arguments, **options)


class NaturalSplines(Basis):
    """Natural cubic splines ``ns(x, df=5)``, with the basis and the knots of R's ``splines::ns``.

    They are cubic between knots and linear outside of the range of the training rows, and span the
    same functions as `CubicSplines` with the same knots. There are ``df - 1`` inner knots, at
    quantiles of the column.

    Examples
    --------
    >>> heights = np.arange(58.0, 73.0)
    >>> NaturalSplines()(heights, df=5)[1].round(4).tolist()  # R: ns(women$height, df = 5)[2, ]
    [0.0076, 0.0, -0.0867, 0.2601, -0.1734]
    """

    def __init__(self) -> None:
        self.trained = False
        self.spline: BSpline | None = None

    def evaluate(self, x: FloatArray, df: Any = None, knots: Any = None) -> FloatArray:
        """Columns of the basis, shape (N, df)."""
        if self.spline is None:
            self.spline = _natural(x, _inner_knots(x, df, knots))
        low, high = self.spline.t[[0, -1]]
        inside = np.clip(x, low, high)
        tails = (x - inside)[:, None] * self.spline.derivative()(inside)
        return np.asarray(self.spline(inside) + tails)


def _inner_knots(x: FloatArray, df: Any, knots: Any) -> FloatArray:
    """The inner knots of a natural spline: those given, or quantiles."""
    if (df is None) == (knots is None):
        raise DataError("give the number of columns, df=5, or the inner knots, knots=[1, 2].")
    if knots is None:
        if not isinstance(df, int) or df < 1:
            raise DataError(f"df must be a whole number, 1 or more, not {df}.")
        inner = np.quantile(x, np.linspace(0, 1, df + 1)[1:-1])
    else:
        inner = np.sort(np.asarray(knots, dtype=float))
    between = np.all((inner > x.min()) & (inner < x.max()))
    if not between or len(np.unique(inner)) < len(inner):
        hint = " Many values are equal: ask for fewer columns, or give knots=." * (knots is None)
        raise DataError(
            f"inner knots must be different and lie between {x.min():g} and {x.max():g}, the range "
            f"of the column. They are {', '.join(f'{knot:g}' for knot in inner)}.{hint}"
        )
    return np.asarray(inner)


def _natural(x: FloatArray, inner: FloatArray) -> BSpline:
    """B-splines but the first, projected to where both second derivatives at the ends are 0."""
    ends = np.array([x.min(), x.max()])
    knots = np.concatenate([np.repeat(ends[:1], 4), inner, np.repeat(ends[1:], 4)])
    size = len(inner) + 4
    curvature = BSpline(knots, np.eye(size), 3).derivative(2)(ends)[:, 1:]
    rotation = qr(curvature.T)[0]
    return BSpline(knots, np.vstack([np.zeros(size - 3), rotation[:, 2:]]), 3)
