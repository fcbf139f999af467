"""The functions that a formula can call: this table, what the caller adds, and nothing else."""

# ruff: noqa: D102 - the class says what calling it does

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from formulae.categorical import CategoricalBox, Encoding, Sum, Treatment

from hiermod.errors import DataError
from hiermod.formula.splines import (
    BSplines,
    CubicSplines,
    CyclicSplines,
    NaturalSplines,
    Polynomial,
    ThinPlateSplines,
)

CONTRASTS: MappingProxyType[str, type[Encoding]] = MappingProxyType(
    {"Treatment": Treatment, "Sum": Sum}
)


class Scale:
    """Standardise: subtract the mean, divide by the standard deviation of the training rows.

    The standard deviation has the divisor n - 1, as ``scale()`` of R and ``.std()`` of pandas.
    (NumPy, and with it formulae and Bambi, divides by n: their coefficients are larger by the
    factor sqrt(n / (n - 1)).)
    """

    __stateful_transform__ = True

    def __init__(self) -> None:
        self.moments: tuple[float, float] | None = None

    def __call__(self, x: Any) -> Any:
        values = np.asarray(x, dtype=float)
        if self.moments is None:
            self.moments = float(np.mean(values)), float(np.std(values, ddof=1))
        mean, sd = self.moments
        if not sd > 0:
            raise DataError("scale() needs a column that varies; this one is constant. Remove it.")
        return (values - mean) / sd


class Center:
    """Subtract the mean of the training rows."""

    __stateful_transform__ = True

    def __init__(self) -> None:
        self.mean: float | None = None

    def __call__(self, x: Any) -> Any:
        values = np.asarray(x, dtype=float)
        if self.mean is None:
            self.mean = float(np.mean(values))
        return values - self.mean


class Levels(CategoricalBox):
    """Categories with their order and contrast, as formulae's evaluation expects them.

    formulae's own box insists that every level occurs in the data, which is wrong for new rows;
    `Categories` checks instead.
    """

    data: Any = None
    contrast: Any = None
    levels: Any = None

    def __init__(self, data: Any, contrast: Encoding | None, levels: list[Any]) -> None:
        self.data = data
        self.contrast = contrast
        self.levels = levels


class Categories:
    """Treat a column as categorical: ``C(x)``, ``C(x, Sum)``, ``C(x, levels=["b", "a"])``.

    The training rows fix the levels: those given, or the category order, or sorted order.
    """

    __stateful_transform__ = True

    def __init__(self) -> None:
        self.levels: list[Any] | None = None

    def __call__(
        self,
        data: Any,
        contrast: Encoding | type[Encoding] | None = None,
        levels: Sequence[Any] | None = None,
    ) -> Levels:
        if isinstance(data, Levels):  # C(T(x)) and the like
            contrast = data.contrast if contrast is None else contrast
            levels = data.levels if levels is None else levels
            data = data.data
        coding = contrast() if isinstance(contrast, type) else contrast
        values = _plain(data)
        observed = list(values.cat.categories)
        if self.levels is None:
            self.levels = _training_levels(observed, levels)
            _check_reference(coding, self.levels)
        unseen = [level for level in observed if level not in self.levels]
        if unseen:
            raise DataError(
                f"column {values.name!r} has levels that the training rows do not have: "
                f"{_words(unseen)}. Known: {_words(self.levels)}."
            )
        return Levels(values.to_numpy(), coding, self.levels)


class Monotonic:
    """Steps of an ordered column: whether it has reached each level but the lowest."""

    __stateful_transform__ = True

    def __init__(self) -> None:
        self.levels: list[Any] = []

    def __call__(self, x: Any) -> Any:
        values = pd.Series(x)
        if not self.levels:
            self.levels = _in_order(values)
        unseen = sorted(set(values) - set(self.levels))
        if unseen:
            raise DataError(
                f"the values of mo() were {_words(self.levels)} in training; {_words(unseen)} "
                "cannot be placed among them."
            )
        place = values.map({level: i for i, level in enumerate(self.levels)})
        reached = place.to_numpy(dtype=int)[:, np.newaxis] >= np.arange(1, len(self.levels))
        return reached.astype(float)


def _in_order(values: pd.Series) -> list[Any]:
    """The levels of an ordered column, from the lowest to the highest."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        levels = list(values.cat.categories)
    else:
        if (values % 1 != 0).any():
            raise DataError("mo() needs ordered levels, or whole numbers.")
        levels = sorted(set(values))
        gaps = sorted(set(range(int(levels[0]), int(levels[-1]) + 1)) - set(map(int, levels)))
        if gaps:
            raise DataError(
                f"mo() needs rows with every value between {levels[0]:g} and {levels[-1]:g}; there "
                f"is none with {gaps[0]}. For steps between the values that occur, make it ordered "
                "levels."
            )
    if len(levels) < 3:
        raise DataError(
            f"mo() needs three levels or more, and has {len(levels)}: write it as it is."
        )
    return levels


class TreatmentCategories(Categories):
    """Categorical with a chosen reference level: ``T(x, "b")``."""

    def __call__(self, data: Any, ref: Any = None, levels: Sequence[Any] | None = None) -> Levels:
        return super().__call__(data, Treatment(ref), levels)


class SumCategories(Categories):
    """Categorical with sum-to-zero contrasts: ``S(x)``; `omit` is the level without a column."""

    def __call__(self, data: Any, omit: Any = None, levels: Sequence[Any] | None = None) -> Levels:
        return super().__call__(data, Sum(omit), levels)


class Binary:
    """One where the column equals `success` (by default the first level), zero elsewhere."""

    __stateful_transform__ = True

    def __init__(self) -> None:
        self.success: Any = None

    def __call__(self, x: Any, success: Any = None) -> Any:
        if self.success is None:
            values = _plain(x)
            self.success = values.cat.categories[0] if success is None else success
            if self.success not in list(values.cat.categories):
                raise DataError(
                    f"binary(): column {values.name!r} has no value {success!r}. "
                    f"It has: {_words(list(values.cat.categories))}."
                )
        return (np.asarray(x) == self.success).astype(float)


def _plain(data: Any) -> pd.Series:
    """A categorical series with the observed levels only, whole numbers as integers."""
    values = pd.Series(data)
    if values.dtype.kind == "f" and np.all(values == np.round(values)):
        values = values.astype("int64")
    if values.isna().any():
        raise DataError(f"missing values in {int(values.isna().sum())} of {len(values)} rows.")
    return values.astype("category").cat.remove_unused_categories()


def _training_levels(observed: list[Any], given: Sequence[Any] | None) -> list[Any]:
    levels = observed if given is None else list(given)
    if set(levels) != set(observed) or len(set(levels)) != len(levels):
        raise DataError(
            f"the levels given ({_words(levels)}) are not those in the data ({_words(observed)})."
        )
    if len(levels) < 2:
        raise DataError(f"a factor needs two levels or more, and has one: {_words(levels)}.")
    return levels


def _check_reference(coding: Encoding | None, levels: list[Any]) -> None:
    chosen = [getattr(coding, name, None) for name in ("reference", "omit")]
    for level in chosen:
        if level is not None and level not in levels:
            raise DataError(f"there is no level {level!r}. Levels: {_words(levels)}.")


def _words(levels: Sequence[Any]) -> str:
    shown = ", ".join(map(str, levels[:10]))
    return shown if len(levels) <= 10 else f"{shown}, ... ({len(levels)} levels)"


def identity(x: Any) -> Any:
    """The argument itself: arithmetic inside ``I()`` is arithmetic, not formula operators."""
    return x


FUNCTIONS: MappingProxyType[str, Callable[..., Any]] = MappingProxyType(
    {
        # element by element
        "I": identity,
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
        # remembering the training rows
        "center": Center,
        "scale": Scale,
        "standardize": Scale,
        "poly": Polynomial,
        "bs": BSplines,
        "cc": CyclicSplines,
        "cr": CubicSplines,
        "ns": NaturalSplines,
        "tp": ThinPlateSplines,
        "mo": Monotonic,
        # categories
        "B": Binary,
        "binary": Binary,
        "C": Categories,
        "S": SumCategories,
        "T": TreatmentCategories,
        "Sum": Sum,
        "Treatment": Treatment,
    }
)
"""Every function that formula text can reach, by its name in the formula."""
