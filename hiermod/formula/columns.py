"""The columns that a formula needs, checked, and turned into plain numbers or ordered levels."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hiermod.errors import DataError, did_you_mean
from hiermod.formula.nodes import Name
from hiermod.formula.tokens import fail

_MANY = 30  # columns, beyond which an error lists only the nearest


def select(source: str, names: Sequence[Name], data: pd.DataFrame) -> pd.DataFrame:
    """The columns that a formula names, without copying the others.

    Parameters
    ----------
    source : str
        The formula, for error messages.
    names : sequence of Name
    data : DataFrame, shape (N, ...)

    Returns
    -------
    DataFrame, shape (N, number of different names)

    Raises
    ------
    FormulaError
        If a column does not exist.
    DataError
        If `data` is no data frame, has no rows, or has a needed column twice.
    """
    if not isinstance(data, pd.DataFrame):
        kind = type(data).__name__
        raise DataError(f"data must be a pandas DataFrame, not {kind}. Use pandas.DataFrame(data).")
    if len(data) == 0:
        raise DataError("the data have no rows.")
    columns = list(data.columns)
    for name in names:
        if name.name not in columns:
            words = [str(column) for column in columns]
            if len(words) > _MANY:
                words = difflib.get_close_matches(name.name, words, n=_MANY, cutoff=0.3)
            hint = did_you_mean(name.name, words, "Columns")
            fail(source, name, f"unknown column {name.name!r}", hint)
    wanted = list(dict.fromkeys(name.name for name in names))
    twice = [name for name in wanted if columns.count(name) > 1]
    if twice:
        raise DataError(f"the data have several columns named {_quoted(twice)}. Rename them.")
    return data[wanted]


def complete_rows(frame: pd.DataFrame, dropna: bool, advice: str) -> NDArray[np.int64]:
    """Positions of the rows without a missing value, shape (N,).

    Raises
    ------
    DataError
        If values are missing and `dropna` is false (says how many in which column), or if no
        row is left.
    """
    counts = {name: int(frame[name].isna().sum()) for name in frame}
    found = [f"{name!r}: {count}" for name, count in counts.items() if count]
    if not found:
        return np.arange(len(frame))
    if not dropna:
        raise DataError(f"missing values in {', '.join(found)} (of {len(frame)} rows). {advice}")
    keep = np.ones(len(frame), dtype=bool)
    for name, count in counts.items():
        if count:
            keep &= frame[name].notna().to_numpy()
    if not keep.any():
        raise DataError(f"every row has a missing value: {', '.join(found)}.")
    return np.flatnonzero(keep)


def check_finite(frame: pd.DataFrame) -> None:
    """Raise a `DataError` that counts the infinite values of each column, if there are any."""
    found = []
    for name in frame:
        if pd.api.types.is_float_dtype(frame[name].dtype):
            count = int(np.isinf(frame[name].to_numpy(dtype=float)).sum())
            found += [f"{name!r}: {count}"] * (count > 0)
    if found:
        raise DataError(f"infinite values in {', '.join(found)} (of {len(frame)} rows).")


def variable(raw: pd.Series) -> pd.Series:
    """A column ready for arithmetic and for coding.

    Parameters
    ----------
    raw : Series, shape (N,)
        Of any dtype, without missing values.

    Returns
    -------
    Series, shape (N,)
        bool, int64 or float64; or ordered categories: those observed, in category order for a
        categorical column and sorted for text.

    Raises
    ------
    DataError
        For dates, complex numbers, and mixtures of types.
    """
    raw = raw.infer_objects().reset_index(drop=True)
    types = pd.api.types
    if isinstance(raw.dtype, pd.CategoricalDtype):
        return raw.cat.remove_unused_categories().cat.as_ordered()
    for holds, dtype in _NUMBERS:
        if holds(raw.dtype):
            return pd.Series(raw.to_numpy(dtype=dtype), name=raw.name)
    if types.infer_dtype(raw) != "string":
        raise DataError(
            f"column {raw.name!r} holds {types.infer_dtype(raw)} values. "
            "A formula takes numbers, booleans, text and categories: convert it first."
        )
    codes, levels = pd.factorize(raw, sort=True)
    return _coded(raw, codes, list(levels))


_NUMBERS: tuple[tuple[Callable[[Any], bool], type], ...] = (
    (pd.api.types.is_bool_dtype, np.bool_),
    (pd.api.types.is_integer_dtype, np.int64),
    (pd.api.types.is_float_dtype, np.float64),
)


def levels_of(column: pd.Series) -> list[Any] | None:
    """Levels of a column made by `variable`; None for numbers."""
    categorical = isinstance(column.dtype, pd.CategoricalDtype)
    return list(column.cat.categories) if categorical else None


def new_variable(raw: pd.Series, levels: Sequence[Any] | None) -> pd.Series:
    """A column of new rows, coded as the training column was.

    Parameters
    ----------
    raw : Series, shape (N,)
    levels : sequence, optional
        Levels of the training column; None if that was numeric.

    Raises
    ------
    DataError
        If the column has other levels, or is text where it was numeric.
    """
    if levels is None:
        column = variable(raw)
        if levels_of(column) is not None:
            raise DataError(f"column {raw.name!r} was numeric in training, and is not now.")
        return column
    raw = raw.reset_index(drop=True)
    codes = pd.Index(levels).get_indexer(pd.Index(raw.to_numpy()))
    unseen = raw[codes < 0].unique()
    if len(unseen):
        raise DataError(
            f"column {raw.name!r} has levels that the training rows do not have: "
            f"{_quoted(unseen[:10])}. Known: {_quoted(levels)}."
        )
    return _coded(raw, codes, list(levels))


def _coded(raw: pd.Series, codes: NDArray[Any], levels: list[Any]) -> pd.Series:
    dtype = pd.CategoricalDtype(levels, ordered=True)
    return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype), name=raw.name)


def check_factors(frame: pd.DataFrame, names: Collection[str]) -> None:
    """Raise a `DataError` if a categorical predictor has a single level."""
    for name in names:
        levels = levels_of(frame[name])
        if levels is not None and len(levels) < 2:
            raise DataError(
                f"the predictor {name!r} has one level only, {str(levels[0])!r}. Remove it."
            )


def _quoted(words: Iterable[Any]) -> str:
    return ", ".join(repr(str(word)) for word in words)
