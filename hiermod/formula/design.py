"""The records that leave the formula room."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hiermod.formula.grammar import Formula

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


def label(name: str) -> str:
    """The name of a part of a model: as written, but with a division sign for a slash.

    Names of variables and dimensions go into NetCDF files, where a slash separates groups.

    Examples
    --------
    >>> label("I(x / 2)")
    'I(x \N{DIVISION SIGN} 2)'
    """
    return name.replace("/", "\N{DIVISION SIGN}")


@dataclass(frozen=True)
class Term:
    """Neighbouring columns of a design matrix that belong to one term of the formula.

    Attributes
    ----------
    name : str
        As written, spaces normalised: ``"x"``, ``"f:x"``, ``"poly(x, 2)"``; ``"1"`` for the
        intercept among the effects of a group.
    labels : tuple of str
        One label a column (levels of a factor, ``"0"``, ``"1"``, ... for a basis); empty when the
        term is a single numeric column and its coefficient a scalar.
    columns : slice
        The columns, start inclusive, stop exclusive.
    kind : str
        ``"numeric"``, ``"categorical"``, ``"index"`` (one column a level, beside an intercept),
        ``"whole"`` (a basis that has a constant in it), ``"intercept"`` (among the effects of
        a group), or ``"monotonic"`` (the steps of an ordered column).
    level : str
        Of a monotonic effect of one level of a factor: this level. The name ends with it,
        ``"mo(x):f[b]"``.
    steps : tuple of tuple of str
        Of a monotonic effect, the levels of every ordered column but its lowest; of two such
        columns the effect has a step for every pair, those of the second next to each other.
    """

    name: str
    labels: tuple[str, ...]
    columns: slice
    kind: str
    level: str = ""
    steps: tuple[tuple[str, ...], ...] = ()

    @property
    def product(self) -> str:
        """The name without a level: ``"mo(x):f"``, that of the product in the formula."""
        return self.name.removesuffix(f"[{self.level}]")

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.columns.stop - self.columns.start


@dataclass(frozen=True)
class By:
    """Kinds of levels of a group, ``gr(g, by=x)``: each has standard deviations of its own.

    Attributes
    ----------
    name : str
        Of the column.
    labels : tuple of str
        Of the kinds.
    index : int32 array, shape (J,)
        Number of the kind of every level.
    """

    name: str
    labels: tuple[str, ...]
    index: IntArray


@dataclass(frozen=True)
class Group:
    """One group term ``(effects | factor)``, as an index and a small matrix.

    Attributes
    ----------
    factor : str
        ``"district"``; ``"g:h"`` for an interaction of grouping factors.
    effects : tuple of Term
        What varies between the levels; their columns are those of `Z`.
    correlated : bool
        Whether the effects of a level are correlated a priori (``|``, not ``||``).
        Always false for a single column.
    index : int32 array, shape (N,)
        Level number of every row, 0..J-1; -1 for a level unseen in training (new data only).
    levels : array, shape (J,)
        Labels of the levels, integers or str.
    Z : float64 array, shape (N, K)
        The effect expression, evaluated row by row.
    id : str
        Shared with group terms of other formulas whose effects are correlated with these.
    student : bool
        Whether the effects of a level are Student-t, not normal.
    zero_sum : bool
        Whether each effect sums to zero over the levels.
    by : By, optional
        Kinds of levels with standard deviations and correlations of their own.
    """

    factor: str
    effects: tuple[Term, ...]
    correlated: bool
    index: IntArray
    levels: NDArray[Any]
    Z: FloatArray
    id: str = ""
    student: bool = False
    zero_sum: bool = False
    by: By | None = None

    @property
    def special(self) -> str:
        """What keeps the effects from being independent draws from one normal, in words."""
        if self.zero_sum:
            return "effects that sum to zero"
        if self.student:
            return "Student-t effects"
        return f"standard deviations by {self.by.name}" if self.by else ""


@dataclass(frozen=True)
class Smooth:
    """The penalised part of a smooth: columns whose coefficients share a standard deviation.

    What the penalty leaves free, a straight line, is a common term.

    Attributes
    ----------
    name : str
        As written: ``"s(x)"``, ``"s(x, by=f)"``.
    levels : tuple of str
        Of a factor that it is by, with a smooth and a standard deviation each; else empty.
    Z : float64 array, shape (N, K) or (N, J, K)
        The columns, for every level; zero in the rows of other levels.
    """

    name: str
    levels: tuple[str, ...]
    Z: FloatArray


@dataclass(frozen=True)
class Response:
    """The left-hand side.

    Attributes
    ----------
    name : str
        The column that is modelled, for example ``"surv"`` in ``prop(surv, density)``.
    values : float64 array, shape (N,), or (N, K) of a response of K columns
    trials : float64 array, shape (N,), optional
        Number of trials of a binomial response, or the sum of counts of several kinds.
    rate : float64 array, shape (N,), optional
        Exposure of a count, whose mean is a multiple of it.
    weights : float64 array, shape (N,), optional
        Multipliers of the log-likelihood of each row.
    se : float64 array, shape (N,), optional
        Known standard errors of the response.
    keeps_sigma : bool
        Whether sigma adds to them: the variance is then sigma^2 + se^2.
    status : float64 array, shape (N,), optional
        -1 for a row that is left-censored, 0 for one that is observed, 1 right-censored, 2 known
        to lie in an interval.
    y2 : float64 array, shape (N,), optional
        Upper ends of the intervals.
    lower, upper : float64 array, shape (N,), optional
        Bounds outside of which a response is not observed at all.
    decided : bool
        Whether the values are times of decisions, negative for those at the lower boundary.
    levels : tuple of str
        Of a categorical response, of which the values are numbers from 0.
    ordered : bool
        Whether their order means something.
    lowest : str
        The first level of the column, observed or not, of a response whose levels have an order.
    positions : int64 array, shape (N,), optional
        Of the rows in the data frame, counted from 0.
    columns : tuple of str
        Names of its columns, if it has several.
    """

    name: str
    values: FloatArray
    trials: FloatArray | None = None
    rate: FloatArray | None = None
    weights: FloatArray | None = None
    se: FloatArray | None = None
    keeps_sigma: bool = False
    status: FloatArray | None = None
    y2: FloatArray | None = None
    lower: FloatArray | None = None
    upper: FloatArray | None = None
    decided: bool = False
    levels: tuple[str, ...] = ()
    ordered: bool = False
    lowest: str = ""
    positions: NDArray[np.int64] | None = None
    columns: tuple[str, ...] = ()

    @property
    def given(self) -> dict[str, FloatArray]:
        """What the formula gives beside the values, each of shape (N,)."""
        names = ("trials", "rate", "weights", "se", "status", "y2", "lower", "upper")
        return {n: v for n in names if (v := getattr(self, n)) is not None}

    @property
    def size(self) -> FloatArray | None:
        """Trials or exposure, (N,): the expected response is so many times the modelled mean."""
        return self.rate if self.trials is None else self.trials

    @property
    def decorations(self) -> tuple[str, ...]:
        """What makes its likelihood one of single rows, in words."""
        said = {
            "known standard errors": self.se is not None,
            "censoring": self.status is not None,
            "truncation": self.truncated,
        }
        return tuple(word for word, true in said.items() if true)

    @property
    def truncated(self) -> bool:
        """Whether responses are observed between bounds only."""
        return self.lower is not None or self.upper is not None


@dataclass(frozen=True)
class Design:
    """A formula evaluated on data: everything numeric that a model needs.

    Attributes
    ----------
    formula : Formula
    response : Response
    intercept : bool
        Whether there is a common intercept (it has no column in `X`).
    X : float64 array, shape (N, P)
        Common predictors, uncentred, without the intercept.
    terms : tuple of Term
        The common terms; their columns are those of `X`.
    groups : tuple of Group
    smooths : tuple of Smooth
    offset : float64 array, shape (N,), optional
    rows : array, shape (N,)
        Labels of the rows of the data frame that were used.
    positions : int64 array, shape (N,)
        Their positions in the data frame, counted from 0.
    dropped : int
        Rows dropped for missing values.
    parameters : dict of Design
        Of the parameters of the family that have a formula of their own, by name; the same rows.
    state : object
        What `formula.new_design` needs to evaluate new rows the way the training rows were.
    """

    formula: Formula
    response: Response
    intercept: bool
    X: FloatArray
    terms: tuple[Term, ...]
    groups: tuple[Group, ...]
    smooths: tuple[Smooth, ...]
    offset: FloatArray | None
    rows: NDArray[Any]
    positions: NDArray[np.int64]
    dropped: int = 0
    parameters: dict[str, Design] = field(default_factory=dict)
    state: Any = field(default=None, repr=False, compare=False)

    @property
    def n_rows(self) -> int:
        """Number of rows, N."""
        return len(self.response.values)
