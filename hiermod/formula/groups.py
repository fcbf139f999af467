"""Grouping factors as integer codes; no indicator matrix is ever built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hiermod.errors import DataError
from hiermod.formula.design import By, IntArray, label

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Grouping:
    """The levels of a grouping factor, as the training rows had them.

    Attributes
    ----------
    columns : tuple of str
        The columns whose combinations are the levels.
    values : tuple of Index
        The values of each column, in level order.
    observed : tuple of int64 array
        For every column after the first, the combinations that occur: number of the combination
        so far times the number of values of this column, plus the number of its value; sorted.
    levels : array, shape (J,)
        Labels, integers or str; ``"a:b"`` for a combination.
    """

    columns: tuple[str, ...]
    values: tuple[pd.Index[Any], ...]
    observed: tuple[Codes, ...]
    levels: NDArray[Any]

    @property
    def name(self) -> str:
        """Name of the factor, ``"g:h"`` for a combination of columns."""
        return ":".join(self.columns)


def grouping(columns: Sequence[str], frame: pd.DataFrame) -> tuple[Grouping, IntArray]:
    """Levels of a grouping factor, and the level number of every row.

    Parameters
    ----------
    columns : sequence of str
        One column, or several for an interaction.
    frame : DataFrame, shape (N, ...)
        Without missing values in these columns.

    Returns
    -------
    grouping : Grouping
        Levels in category order for categorical columns, else sorted; unused ones are dropped,
        and of an interaction only the observed combinations are levels.
    index : int32 array, shape (N,), values in 0..J-1

    Raises
    ------
    DataError
        If a column has fractions, or there is one level only, or labels are ambiguous.

    Examples
    --------
    >>> frame = pd.DataFrame({"g": ["b", "a", "b"], "h": [1, 1, 2]})
    >>> factor, index = grouping(["g", "h"], frame)
    >>> factor.levels.tolist(), index.tolist()
    (['a:1', 'b:1', 'b:2'], [1, 0, 2])
    """
    codes, first = _factorize(frame[columns[0]])
    labels = _labels(first)
    values, observed = [first], []
    for column in columns[1:]:
        more, index = _factorize(frame[column])
        codes, pairs = pd.factorize(codes * len(index) + more, sort=True)
        left, right = (part.tolist() for part in np.divmod(pairs, len(index)))
        before, names = labels.tolist(), _labels(index).tolist()
        labels = np.array([f"{before[i]}:{names[j]}" for i, j in zip(left, right, strict=True)])
        values.append(index)
        observed.append(pairs)
    factor = Grouping(tuple(columns), tuple(values), tuple(observed), labels)
    if len(labels) < 2:
        raise DataError(
            f"the grouping factor {factor.name!r} has one level only, {str(labels[0])!r}. "
            "Remove its group term."
        )
    if len(set(labels.tolist())) < len(labels):
        raise DataError(f"different levels of {factor.name!r} have the same label. Rename them.")
    return factor, codes.astype(np.int32)


def kinds(column: str, factor: Grouping, index: IntArray, frame: pd.DataFrame) -> By:
    """Kinds of the levels of a grouping factor, by a column that is constant within each.

    Parameters
    ----------
    column : str
    factor : Grouping
    index : int32 array, shape (N,)
        Level number of every row.
    frame : DataFrame, shape (N, ...)

    Raises
    ------
    DataError
        If the column varies within a level (says which), or does not vary at all.

    Examples
    --------
    >>> frame = pd.DataFrame({"g": [1, 1, 2, 3], "x": ["b", "b", "a", "b"]})
    >>> kinds("x", *grouping(["g"], frame), frame)
    By(name='x', labels=('a', 'b'), index=array([1, 0, 1], dtype=int32))
    """
    codes, values = _factorize(frame[column])
    of_level = np.zeros(len(factor.levels), np.int32)
    of_level[index] = codes
    labels = tuple(map(str, _labels(values).tolist()))
    varies = np.flatnonzero(of_level[index] != codes)
    if len(varies):
        level = index[varies[0]]
        found = ", ".join(repr(labels[c]) for c in np.unique(codes[index == level])[:3])
        raise DataError(
            f"by={column}: the column must be constant within the levels of {factor.name!r}, but "
            f"level {str(factor.levels[level])!r} has {found}. Group by both, "
            f"(1 | {factor.name}:{column}), or leave by= out."
        )
    if len(labels) < 2:
        raise DataError(
            f"by={column}: the column has one value only, {labels[0]!r}. Leave by= out."
        )
    return By(label(column), labels, of_level)


def level_index(factor: Grouping, frame: pd.DataFrame) -> IntArray:
    """Level number of every new row.

    Parameters
    ----------
    factor : Grouping
        From the training rows.
    frame : DataFrame, shape (N, ...)

    Returns
    -------
    int32 array, shape (N,)
        -1 for a level that the training rows do not have.
    """
    parts = [
        _lookup(index, frame[column])
        for index, column in zip(factor.values, factor.columns, strict=True)
    ]
    codes = parts[0]
    steps = zip(parts[1:], factor.values[1:], factor.observed, strict=True)
    for more, index, pairs in steps:
        combined = np.where((codes < 0) | (more < 0), -1, codes * len(index) + more)
        codes = pd.Index(pairs).get_indexer(pd.Index(combined))
    return codes.astype(np.int32)


def _factorize(raw: pd.Series) -> tuple[Codes, pd.Index[Any]]:
    """Codes and values of one column."""
    if isinstance(raw.dtype, pd.CategoricalDtype):
        values = raw.cat.remove_unused_categories()
        return np.array(values.cat.codes, dtype=np.int64), values.cat.categories
    codes, uniques = pd.factorize(_whole(raw), sort=True)
    return np.array(codes, dtype=np.int64), pd.Index(uniques)


def _whole(raw: pd.Series) -> pd.Series:
    """Floats that are all whole numbers as integers."""
    if not pd.api.types.is_float_dtype(raw.dtype):
        return raw
    values = raw.to_numpy(dtype=float)
    if not np.all(values == np.round(values)):
        raise DataError(
            f"the grouping factor {raw.name!r} has fractions. Convert it to integers, or to a "
            "category or text if its values are labels."
        )
    return pd.Series(values.astype(np.int64), name=raw.name)


def _lookup(index: pd.Index[Any], raw: pd.Series) -> Codes:
    """Number of each value in the index; -1 if it is not there."""
    new = pd.Index(raw.to_numpy())
    numeric = pd.api.types.is_numeric_dtype
    if numeric(index.dtype) != numeric(new.dtype):
        was, now = ("numbers", "text")[:: 1 if numeric(index.dtype) else -1]
        raise DataError(
            f"the grouping factor {raw.name!r} was {was} in training, and is {now} now."
        )
    return index.get_indexer(new).astype(np.int64)


def _labels(values: pd.Index[Any]) -> NDArray[Any]:
    """Integers as integers, everything else as text."""
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.to_numpy(dtype=np.int64)
    return np.array([str(value) for value in values])
