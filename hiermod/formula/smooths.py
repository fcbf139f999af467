"""Smooths ``s(x)``: a basis, split into what its penalty leaves free and what it does not.

A function f of a column is a sum of basis columns, and its penalty, the integral of f''(x)^2, is
a quadratic form in their coefficients. Penalised least squares means normal coefficients whose
precision is that form: in its eigenvectors, scaled, they are independent with one standard
deviation, but for straight lines, whose penalty is zero (Wood 2017, "Generalized additive models",
second edition, section 5.8). Bases and split are those of formulae.

The penalised columns are made orthogonal to straight lines in the training rows, which does not
change their penalty: they are what is left beside the line that fits best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from formulae.transforms import TRANSFORMS

from hiermod.errors import DataError
from hiermod.formula.checks import check_terms_finite
from hiermod.formula.coding import row_values
from hiermod.formula.columns import levels_of
from hiermod.formula.design import FloatArray, Smooth, Term, label
from hiermod.formula.functions import Levels
from hiermod.formula.nodes import Scope
from hiermod.formula.records import SmoothPart
from hiermod.formula.splines import numbers
from hiermod.formula.tokens import fail

_ROWS = 16_384  # evaluated at a time
_LARGEST = 2**27
"""Most numbers in the table of rows and different values that a thin plate basis is made from."""


@dataclass(frozen=True)
class SmoothBasis:
    """A smooth whose basis has been made from the training rows.

    Attributes
    ----------
    part : SmoothPart
    spline : object
        formulae's transform of the column.
    levels : tuple
        Of the factor that it is by; empty if there is none.
    lines : array, shape (lines, K)
        What of the columns without penalty is taken from the penalised ones.
    size : float
        What the penalised columns are divided by, their root mean square: the standard deviation
        of the coefficients is then that of the penalised part of the smooth, in the mean over the
        training rows (Sorbye and Rue 2014, "Scaling intrinsic Gaussian Markov random field priors
        in spatial modelling").
    """

    part: SmoothPart
    spline: Any
    levels: tuple[Any, ...]
    lines: FloatArray
    size: float = 1.0

    def evaluate(self, scope: Scope) -> tuple[FloatArray, tuple[str, ...], Smooth]:
        """Columns of the rows.

        Returns
        -------
        array, shape (N, columns)
            Those without penalty; there are none of a cyclic smooth.
        tuple of str
            Their labels, if there are several.
        Smooth
        """
        free, penalised = _split(self.spline, _column(self.part, scope))
        by = _multipliers(self.part, self.levels, scope)[:, :, None]
        Z = by * ((penalised - free @ self.lines) / self.size)[:, None]
        free = (by * free[:, None]).reshape(len(Z), -1)
        levels = tuple(map(str, self.levels))
        labels = (levels or ("1", self.part.x.text)) if free.shape[1] > 1 else ()
        return free, labels, Smooth(label(self.part.name), levels, Z if levels else Z[:, 0])


def smooth_basis(part: SmoothPart, scope: Scope) -> SmoothBasis:
    """The basis of a smooth, made from the training rows.

    Raises
    ------
    DataError
        If the column is no number or not finite, or has fewer different values than ``k``.
    FormulaError
        If there is no such basis.
    """
    x = _column(part, scope)
    different = len(np.unique(x))
    if different < part.k:
        raise DataError(
            f"{part.name}: the column has {different} different values, fewer than k={part.k}. "
            "Ask for a smaller k, or write C(x) for a coefficient a value."
        )
    if part.basis == "tp" and len(x) * min(different, 2000) > _LARGEST:
        raise DataError(
            f"{part.name}: a thin plate basis of {len(x):,} rows takes too much memory. Write "
            "bs='cr' for a cubic one."
        )
    levels = _levels(part, scope)
    # As in mgcv: times a number, a constant is not the intercept, and stays.
    centred = part.by is None or bool(levels)
    options = {"period": part.period} if part.basis == "cc" else {}
    spline = TRANSFORMS[part.basis]()
    try:
        spline(x, df=part.k - centred - (part.basis == "cc"), center=centred, **options)
        free, penalised = _split(spline, x)
    except ValueError as error:
        fail(scope.source, part.call, f"{part.name} failed: {error}".rstrip("."), "Try another k.")
    lines = np.linalg.lstsq(free, penalised, rcond=None)[0].astype(np.float64)
    basis = SmoothBasis(part, spline, levels, lines)
    _, _, smooth = basis.evaluate(scope)
    return replace(basis, size=float(np.sqrt((smooth.Z**2).sum() / len(x))) or 1.0)


def with_smooths(
    X: FloatArray, terms: tuple[Term, ...], bases: tuple[SmoothBasis, ...], scope: Scope
) -> tuple[FloatArray, tuple[Term, ...], tuple[Smooth, ...]]:
    """Common columns and terms, with those of smooths after them; and the smooths."""
    if not bases:
        return X, terms, ()
    blocks, named, smooths = [X], list(terms), []
    width = X.shape[1]
    for basis in bases:
        free, labels, smooth = basis.evaluate(scope)
        columns = slice(width, width + free.shape[1])
        width = columns.stop
        blocks.append(free)
        named += [Term(f"{smooth.name}_linear", labels, columns, "numeric")] if free.size else []
        smooths.append(smooth)
    return np.concatenate(blocks, axis=1), tuple(named), tuple(smooths)


def _split(spline: Any, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Columns without penalty, which are straight lines, and those with a unit penalty each."""
    some = (x[i : i + _ROWS] for i in range(0, len(x), _ROWS))
    columns = np.concatenate([spline.to_random(spline.eval(part)) for part in some])
    lines = spline.null_space_dimension
    return columns[:, :lines], columns[:, lines:]


def _column(part: SmoothPart, scope: Scope) -> FloatArray:
    """What the smooth is a function of, shape (N,)."""
    value = row_values(part.x, scope, len(scope.data))
    if isinstance(value, Levels) or value.ndim != 1 or levels_of(value) is not None:
        fail(scope.source, part.x, f"{part.x.text} is no column of numbers", "A smooth needs one.")
    x = numbers(value)
    check_terms_finite(x[:, None], [Term(part.name, (), slice(0, 1), "numeric")])
    return x


def _levels(part: SmoothPart, scope: Scope) -> tuple[Any, ...]:
    """Levels of the factor that the smooth is by; empty if there is none, or a number."""
    if part.by is None:
        return ()
    value = row_values(part.by, scope, len(scope.data))
    if isinstance(value, Levels):
        return tuple(value.levels)
    if value.ndim != 1:
        fail(scope.source, part.by, f"{part.by.text} has several columns", "by= takes one.")
    return tuple(levels_of(value) or ())


def _multipliers(part: SmoothPart, levels: tuple[Any, ...], scope: Scope) -> FloatArray:
    """What the columns are multiplied by: one, a number, or indicators of levels; (N, J)."""
    if part.by is None:
        return np.ones((len(scope.data), 1))
    value = row_values(part.by, scope, len(scope.data))
    if not levels:
        return numbers(value)[:, None]
    values = np.asarray(value.data if isinstance(value, Levels) else value)
    return np.stack([values == level for level in levels], axis=1).astype(float)
