"""Checks of a design matrix that save a hopeless fit: constant and collinear columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from hiermod.errors import DataError
from hiermod.formula.design import FloatArray, Term

_ROWS = 16_384  # per block; a block of a few columns stays in the processor's cache
_TOLERANCE = 1e-9
SETTLED = ("index", "whole")
"""Kinds of terms that may repeat an intercept, which their priors settle."""


def column_names(terms: Sequence[Term]) -> list[str]:
    """A name for every column: ``"x"``, ``"f[b]"``, ``"poly(x, 2)[0]"``."""
    return [
        f"{term.name}[{label}]" if label else term.name
        for term in terms
        for label in (term.labels or ("",))
    ]


def with_sums(X: FloatArray, terms: tuple[Term, ...]) -> tuple[FloatArray, tuple[Term, ...]]:
    """The columns, with one for every monotonic effect, that of its average: their sum.

    The data need not tell the steps apart, for instance where no row of a city has a level. The
    prior of their shares does.

    Parameters
    ----------
    X : float64 array, shape (N, P)
    terms : tuple of Term
        They cover the columns of `X`.
    """
    if all(term.kind != "monotonic" for term in terms):
        return X, terms
    blocks, summed, start = [], [], 0
    for term in terms:
        block = X[:, term.columns]
        if term.kind == "monotonic":
            block = block.sum(axis=1, keepdims=True)
            term = replace(term, labels=())
        blocks.append(block)
        summed.append(replace(term, columns=slice(start, start + block.shape[1])))
        start += block.shape[1]
    return np.concatenate(blocks, axis=1), tuple(summed)


def check_columns_vary(X: FloatArray, terms: Sequence[Term], intercept: bool, what: str) -> None:
    """Raise a `DataError` if a column is constant beside an intercept, or zero in all rows.

    Parameters
    ----------
    X : float64 array, shape (N, P)
    terms : sequence of Term
        They cover the columns of `X`; those of the kinds of `SETTLED` are passed over.
    intercept : bool
        Whether a constant column would repeat an intercept.
    what : str
        What a column is, for the message: ``"predictor"``.
    """
    if X.shape[1] == 0:
        return
    low, high = X.min(axis=0), X.max(axis=0)
    for term in terms:
        for j in range(term.columns.start, term.columns.stop):
            if term.kind in (*SETTLED, "intercept") or low[j] != high[j]:
                continue
            name = column_names(terms)[j]
            if low[j] == 0:
                hint = "that combination does not occur. " if ":" in term.name else ""
                raise DataError(f"{what} {name!r} is zero in all rows: {hint}Remove it.")
            if intercept:
                raise DataError(
                    f"{what} {name!r} is constant: {low[j]:g} in all rows, which the intercept "
                    "already says. Remove it."
                )


def check_collinear(X: FloatArray, terms: Sequence[Term], centred: bool) -> None:
    """Raise a `DataError` if a column is a linear combination of columns before it.

    The eigenvalues of the correlations clear most data at once. In doubt, the triangular factor R
    of X = QR is built block by block: column j is dependent when |R[j, j]| is negligible beside
    the norm of the column (Golub and Van Loan 2013, section 5.4). Nothing is checked when there
    are more columns than rows, which is meaningful with shrinking priors.

    Parameters
    ----------
    X : float64 array, shape (N, P)
        Columns that vary.
    terms : sequence of Term
        They cover the columns of `X`; those of the kinds of `SETTLED` are passed over.
    centred : bool
        Whether an intercept, or an index term, takes up the means of the columns.
    """
    free = [t.columns for t in terms if t.kind not in SETTLED]
    used = [j for columns in free for j in range(columns.start, columns.stop)]
    n_rows = len(X)
    if len(used) < 1 + (not centred) or len(used) >= n_rows:
        return
    means = X.mean(axis=0)[used] * centred
    if _clearly_independent(X, used, means):
        return
    R: FloatArray = np.zeros((0, len(used)))
    for block in _blocks(X, used, means):
        R = np.asarray(np.linalg.qr(np.vstack([R, block]), mode="r"))
    norms = np.linalg.norm(R, axis=0)
    # Rounding of a column with a large mean leaves a residual of this relative size.
    largest = np.maximum(X.max(axis=0), -X.min(axis=0))[used]
    rounding = 100 * np.finfo(float).eps * np.sqrt(n_rows) * largest / norms
    for j in range(1, len(used)):
        if abs(R[j, j]) <= max(_TOLERANCE, rounding[j]) * norms[j]:
            weights = np.linalg.solve(R[:j, :j], R[:j, j])
            partners = np.flatnonzero(np.abs(weights) * norms[:j] > 1e-6 * norms[j])
            names = [column_names(terms)[k] for k in used]
            others = ", ".join(repr(names[k]) for k in partners)
            raise DataError(
                f"predictor {names[j]!r} is a linear combination of {others}"
                f"{' and the intercept' * centred}: their coefficients cannot be told apart. "
                "Remove one of them."
            )


def _blocks(X: FloatArray, used: list[int], means: FloatArray) -> Iterator[FloatArray]:
    """The centred columns, some rows at a time."""
    for start in range(0, len(X), _ROWS):
        yield X[start : start + _ROWS, used] - means


def _clearly_independent(X: FloatArray, used: list[int], means: FloatArray) -> bool:
    """Whether the smallest eigenvalue of the correlations is far above rounding."""
    products: FloatArray = np.zeros((len(used), len(used)))
    for block in _blocks(X, used, means):
        products += block.T @ block
    norms = np.sqrt(np.diag(products))
    return bool(np.linalg.eigvalsh(products / np.outer(norms, norms))[0] > 1e-8)


def check_terms_finite(X: FloatArray, terms: Sequence[Term]) -> None:
    """Raise a `DataError` that names the term and counts the rows where it is not finite."""
    for term in terms:
        bad = ~np.isfinite(X[:, term.columns]).all(axis=1)
        if bad.any():
            raise DataError(
                f"the term {term.name!r} has no finite value in {int(bad.sum())} of {len(X)} rows "
                f"(first: row {int(np.argmax(bad))}, counted from 0). Check what it is computed "
                "from, for example the logarithm of a number that is not positive."
            )
