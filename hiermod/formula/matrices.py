"""Formula and data frame to a `Design`, and the same evaluation for new rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hiermod.errors import DataError
from hiermod.formula import checks
from hiermod.formula.coding import Basis, Coder, Functions, row_values, with_intercept
from hiermod.formula.columns import (
    check_factors,
    check_finite,
    complete_rows,
    levels_of,
    new_variable,
    select,
    variable,
)
from hiermod.formula.design import Design, FloatArray, Group, Response, Term, label
from hiermod.formula.functions import FUNCTIONS, Categories, Levels
from hiermod.formula.grammar import parse
from hiermod.formula.groups import Grouping, grouping, kinds, level_index
from hiermod.formula.nodes import Call, Name, Node, Scope
from hiermod.formula.records import Formula
from hiermod.formula.smooths import SmoothBasis, smooth_basis, with_smooths
from hiermod.formula.tokens import fail

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class State:
    """What `new_design` needs of the training rows.

    Attributes
    ----------
    functions : mapping from name to callable
    memory : dict
        Stateful transforms of the response, its trials and weights, and the offset.
    levels : dict
        Levels of every column in an expression; None for numeric ones.
    common : Basis
    effects : tuple of Basis
        One for every group.
    groupings : tuple of Grouping
        One for every group.
    smooths : tuple of SmoothBasis
    """

    functions: Functions
    memory: dict[Call, Callable[..., Any]]
    levels: dict[str, list[Any] | None]
    common: Basis
    effects: tuple[Basis, ...]
    groupings: tuple[Grouping, ...]
    smooths: tuple[SmoothBasis, ...]


def design(
    formula: str | Formula,
    data: pd.DataFrame,
    *,
    functions: Functions | None = None,
    dropna: bool = False,
    response: bool = True,
) -> Design:
    """Evaluate a formula on a data frame.

    Parameters
    ----------
    formula : str or Formula
    data : DataFrame, shape (N, ...)
        Not modified; only the columns that the formula uses are read.
    functions : mapping from name to callable, optional
        Functions that the formula may call besides those of `FUNCTIONS`. A class whose attribute
        ``__stateful_transform__`` is true is created once for every call in the formula; the
        object is called with the training rows first, and with new rows later.
    dropna : bool
        Whether to drop the rows that miss a value in a column that is used.
    response : bool
        False if the left-hand side is the name of a parameter (``"sigma ~ x"``), not a column;
        the response values are then all nan.

    Returns
    -------
    Design

    Raises
    ------
    FormulaError
        If the formula cannot be read, or names a column that does not exist.
    DataError
        If values are missing or infinite, or a predictor, factor or grouping factor does not
        vary, or predictors are collinear.

    Examples
    --------
    >>> data = pd.DataFrame({"y": [1.0, 2.0, 4.0], "x": [0, 1, 5], "g": ["b", "a", "b"]})
    >>> result = design("y ~ x + (1 | g)", data)
    >>> result.X.tolist(), result.groups[0].index.tolist(), result.groups[0].levels.tolist()
    ([[0.0], [1.0], [5.0]], [1, 0, 1], ['a', 'b'])
    """
    if isinstance(formula, str):
        formula = parse(formula, functions=tuple(functions or ()))
    if "Intercept" in formula.columns:
        raise DataError(
            "the column 'Intercept' cannot be told from the intercept of the model. "
            "Rename it in the data."
        )
    table = _functions(formula, functions or {})
    left = formula.response_names() if response else []
    frame = select(formula.text, [*left, *formula.predictor_names()], data)
    used = complete_rows(frame, dropna, "Use dropna=True to drop these rows, or fill them in.")
    dropped = len(data) - len(used)
    if response:
        used = _repeated(formula, data, table, used)
    frame = frame if len(used) == len(data) else frame.iloc[used]
    rows = _rows(frame, _expression_names(formula, response), variable)
    check_finite(rows)
    check_factors(rows, [name.name for node in formula.predictors() for name in node.names()])
    _check_order(formula, frame)
    coder = Coder(formula.text, table, rows)
    scope = Scope(formula.text, rows, table)
    X, common = coder.code(formula.common, formula.intercept)
    groups, groupings, effects = _groups(formula, coder, frame)
    bases = tuple(smooth_basis(part, scope) for part in formula.smooths)
    X, terms, smooths = with_smooths(X, common.terms, bases, scope)
    _check_common(X, terms, formula)
    return Design(
        formula=formula,
        response=replace(
            _response(formula, scope, values=response, trials=response),
            ordered=bool(order := _order(formula, frame) if response else []),
            lowest=order[0] if order else "",
            positions=used,
        ),
        intercept=formula.intercept,
        X=X,
        terms=terms,
        groups=groups,
        smooths=smooths,
        offset=_offset(formula, scope),
        rows=frame.index.to_numpy(),
        positions=used,
        dropped=dropped,
        state=State(
            table,
            scope.memory,
            {str(name): levels_of(rows[name]) for name in rows},
            common,
            effects,
            groupings,
            bases,
        ),
    )


def designs(
    formula: str,
    parameters: Mapping[str, str],
    data: pd.DataFrame,
    *,
    functions: Functions | None = None,
    dropna: bool = False,
) -> Design:
    """Evaluate the formula of the response, and those of other parameters, on the same rows.

    Parameters
    ----------
    formula : str
    parameters : mapping from name to str
        The right-hand sides, ``"~ x"``; names of their terms begin with that of the parameter.
    data, functions, dropna
        As for `design`.

    Returns
    -------
    Design
        With `Design.parameters`.
    """
    if not parameters:
        return design(formula, data, functions=functions, dropna=dropna)
    known = tuple(functions or ())
    first = parse(formula, functions=known)
    others = {name: parse(f"{name} {text}", functions=known) for name, text in parameters.items()}
    frames = [select(first.text, [*first.response_names(), *first.predictor_names()], data)]
    frames += [select(other.text, other.predictor_names(), data) for other in others.values()]
    joined = pd.concat(frames, axis=1)
    joined = joined.loc[:, ~joined.columns.duplicated()]
    used = complete_rows(joined, dropna, "Use dropna=True to drop these rows, or fill them in.")
    dropped = len(data) - len(used)
    used = _repeated(first, data, _functions(first, functions or {}), used)
    first = replace(first, response=replace(first.response, frequency=None))
    rows = data if len(used) == len(data) else data.iloc[used]
    return replace(
        design(first, rows, functions=functions),
        positions=used,
        dropped=dropped,
        parameters={
            name: _prefixed(design(other, rows, functions=functions, response=False), name)
            for name, other in others.items()
        },
    )


def spread(design: Design, names: Sequence[str]) -> Design:
    """A design whose terms are those of several parameters, and no longer those of the mean.

    Parameters
    ----------
    design : Design
    names : sequence of str
        The parameters. What the formula says holds for each that has none of its own.

    Returns
    -------
    Design
        With an empty linear predictor of the mean, and `names` first among its parameters.
    """
    terms = replace(design, parameters={})
    copies = {n: design.parameters.get(n) or _prefixed(terms, n) for n in names}
    return replace(
        design,
        intercept=False,
        X=design.X[:, :0],
        terms=(),
        groups=(),
        smooths=(),
        offset=None,
        parameters=copies | design.parameters,
        state=replace(design.state, common=Basis((), ()), effects=(), groupings=(), smooths=()),
    )


def _prefixed(part: Design, name: str) -> Design:
    """The design of a parameter, its name before those of the terms."""

    def named(terms: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(replace(t, name=f"{name}_{t.name}") for t in terms)

    groups = tuple(replace(g, effects=named(g.effects)) for g in part.groups)
    smooths = tuple(replace(s, name=f"{name}_{s.name}") for s in part.smooths)
    return replace(part, terms=named(part.terms), groups=groups, smooths=smooths)


def new_design(design: Design, data: pd.DataFrame, *, response: bool = False) -> Design:
    """Evaluate the formula of a design on other rows, as the training rows were evaluated.

    Transforms keep what they learned from the training rows (means, knots), factors keep their
    levels and their reference.

    Parameters
    ----------
    design : Design
        Of the training rows.
    data : DataFrame, shape (M, ...)
    response : bool
        Whether to read the response and its weights too; else the values are nan.

    Returns
    -------
    Design
        M rows. A level of a grouping factor that the training rows do not have gets index -1.
        Trials and exposures are read if their columns are there, and are one otherwise.

    Raises
    ------
    FormulaError
        If a column is not there.
    DataError
        If values are missing or infinite, or a predictor has a level that training had not.
    """
    state: State = design.state
    formula = design.formula
    size = _has_size(formula, data)
    left = formula.response_names() if response else size
    frame = select(formula.text, [*left, *formula.predictor_names()], data)
    used = complete_rows(frame, False, "Drop or fill in these rows.")
    names = [name for name in _expression_names(formula, True) if name in frame]
    rows = _rows(frame, names, lambda raw: new_variable(raw, state.levels.get(str(raw.name))))
    check_finite(rows)
    scope = Scope(formula.text, rows, state.functions, state.memory)
    X = state.common.evaluate(rows)
    checks.check_terms_finite(X, state.common.terms)
    X, _, smooths = with_smooths(X, state.common.terms, state.smooths, scope)
    groups = tuple(
        replace(group, index=level_index(factor, frame), Z=basis.evaluate(rows))
        for group, factor, basis in zip(design.groups, state.groupings, state.effects, strict=True)
    )
    for group in groups:
        checks.check_terms_finite(group.Z, group.effects)
    return replace(
        design,
        response=_response(formula, scope, values=response, trials=response or bool(size)),
        X=X,
        groups=groups,
        smooths=tuple(
            replace(new, name=old.name) for new, old in zip(smooths, design.smooths, strict=True)
        ),
        offset=None if design.offset is None else _offset(formula, scope),
        rows=frame.index.to_numpy(),
        positions=used,
        dropped=0,
        parameters={name: new_design(part, data) for name, part in design.parameters.items()},
    )


# Which columns, and where


def _functions(formula: Formula, added: Functions) -> Functions:
    """All that the formula may call."""
    table = {**FUNCTIONS, **added, "index": Categories}
    for call in formula.calls():
        if call.function not in table:  # parsed with functions that are not given now
            hint = f"Give it again: functions={{{call.function!r}: ...}}."
            fail(formula.text, call, f"the function {call.function!r} is not known here", hint)
    return table


def _expression_names(formula: Formula, response: bool) -> list[str]:
    """Columns that are evaluated, rather than only grouped by."""
    nodes = [*(formula.response.nodes() if response else []), *formula.predictors()]
    names = [name.name for node in (*nodes, *formula.offsets) for name in node.names()]
    return list(dict.fromkeys(names))


def _rows(
    frame: pd.DataFrame, names: Iterable[str], convert: Callable[[pd.Series], pd.Series]
) -> pd.DataFrame:
    columns = {name: convert(frame[name]) for name in names}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)), copy=False)


def _has_size(formula: Formula, data: pd.DataFrame) -> list[Name]:
    """The columns of the trials or the exposure, if the data have them all."""
    size = formula.response.trials or formula.response.rate
    names = size.names() if size else []
    return names if all(name.name in data for name in names) else []


def _repeated(formula: Formula, data: pd.DataFrame, table: Functions, used: Positions) -> Positions:
    """Positions of the rows, each as often as the formula says that it stands for."""
    node = formula.response.frequency
    if node is None:
        return used
    rows = _rows(data.iloc[used], [name.name for name in node.names()], variable)
    times = _numbers(node, "frequency", Scope(formula.text, rows, table))
    bad = np.flatnonzero((times < 0) | (times % 1 != 0))
    if len(bad):
        raise DataError(
            f"the frequency {node.text!r} counts equal rows, so it must be a whole number, 0 or "
            f"more: row {used[bad[0]]} has {times[bad[0]]:g} (rows counted from 0). Write "
            "weighted(y, w) for weights that are something else."
        )
    if not times.any():
        raise DataError(f"the frequency {node.text!r} is 0 in all rows.")
    return np.repeat(used, times.astype(np.int64))


# The parts of a design


def _groups(
    formula: Formula, coder: Coder, frame: pd.DataFrame
) -> tuple[tuple[Group, ...], tuple[Grouping, ...], tuple[Basis, ...]]:
    groups, groupings, effects = [], [], []
    for part in formula.groups:
        factor, index = grouping([name.name for name in part.factors], frame)
        Z, basis = coder.code(part.effects, part.intercept)
        if part.intercept:
            Z, basis = with_intercept(Z, basis)
        checks.check_columns_vary(Z, basis.terms, part.intercept, f"in group {part.name!r}, effect")
        correlated = part.correlated and Z.shape[1] > 1
        groups.append(
            Group(
                label(part.name),
                basis.terms,
                correlated,
                index,
                factor.levels,
                Z,
                part.id,
                part.student,
                part.zero_sum,
                kinds(part.by.name, factor, index, frame) if part.by else None,
            )
        )
        groupings.append(factor)
        effects.append(basis)
    return tuple(groups), tuple(groupings), tuple(effects)


def _check_common(X: FloatArray, terms: tuple[Term, ...], formula: Formula) -> None:
    spans = formula.intercept or any(term.kind in checks.SETTLED for term in terms)
    X, terms = checks.with_sums(X, terms)
    checks.check_columns_vary(X, terms, spans, "predictor")
    checks.check_collinear(X, terms, spans)


def _offset(formula: Formula, scope: Scope) -> FloatArray | None:
    """The sum of the offsets, shape (N,)."""
    if not formula.offsets:
        return None
    total: FloatArray = np.zeros(len(scope.data))
    for node in formula.offsets:
        total = total + _numbers(node, "offset", scope)
    return total


def _response(formula: Formula, scope: Scope, *, values: bool, trials: bool) -> Response:
    """The left-hand side: all of it if values are asked for, trials as far as they are known."""
    part, n_rows = formula.response, len(scope.data)
    numbers, levels = np.full((n_rows, len(part.columns)) if part.columns else n_rows, np.nan), None
    if values and part.columns:
        numbers = np.stack([_numbers(node, "response", scope) for node in part.columns], axis=1)
    elif values:
        numbers, levels = _response_values(part.value, scope)
    given: dict[str, Any] = {
        name: _status(node, scope) if name == "status" else _numbers(node, what, scope)
        for name, what in _GIVEN.items()
        if values and (node := getattr(part, name)) is not None
    }
    for name, what in (("trials", "trials"), ("rate", "exposure")):
        if (node := getattr(part, name)) is not None:
            readable = trials or not node.names()
            given[name] = _numbers(node, what, scope) if readable else np.ones(n_rows)
    if values and part.decision is not None:
        numbers = _signed(part.name, numbers, part.decision, scope)
    return Response(
        label(part.name),
        numbers,
        decided=part.decision is not None,
        keeps_sigma=part.keeps_sigma,
        levels=tuple(map(str, levels or ())),
        columns=tuple(node.text for node in part.columns),
        **given,
    )


def _response_values(node: Node, scope: Scope) -> tuple[FloatArray, list[Any] | None]:
    """The modelled values, those of a categorical response numbers from 0, and its levels."""
    value = row_values(node, scope, len(scope.data)) if node.names() else None
    if isinstance(value, pd.Series) and (levels := levels_of(value)) is not None:
        codes: FloatArray = np.asarray(value.cat.codes, np.float64)
        return codes, levels
    return _numbers(node, "response", scope), None


_GIVEN = {
    "weights": "weights",
    "se": "standard errors",
    "status": "status",
    "y2": "upper end",
    "lower": "lower bound",
    "upper": "upper bound",
}
"""Parts of the left-hand side besides the values and the trials, in words."""

STATUS = {"none": 0.0, "left": -1.0, "right": 1.0, "interval": 2.0}
"""How a row is censored, as in Bambi, and the number of it, as in brms."""


def _status(node: Node, scope: Scope) -> FloatArray:
    """The number of the status of every row, shape (N,)."""
    return _coded(
        node,
        scope,
        STATUS,
        f"the status {node.text!r} must be 'none', 'left', 'right' or 'interval' (0, -1, 1 or 2)",
        "Write censored(y, status), or censored(y, status, y2) with the upper ends of intervals.",
    )


DECISIONS = {"lower": 0.0, "upper": 1.0}
"""Which boundary was reached, and the number of it, as in brms."""


def _signed(name: str, times: FloatArray, node: Node, scope: Scope) -> FloatArray:
    """Times of decisions, negative for those at the lower boundary, shape (N,)."""
    upper = _coded(
        node,
        scope,
        DECISIONS,
        f"the decision {node.text!r} must be 'lower' or 'upper' (0 or 1)",
        "Write decided(y, choice), or y | dec(choice).",
    )
    rows = np.flatnonzero(times <= 0)
    if len(rows):
        raise DataError(
            f"{name} must be times of decisions, above 0: row {rows[0]} has {times[rows[0]]:g} "
            "(rows counted from 0)."
        )
    return np.where(upper == 1, times, -times)


def _coded(
    node: Node, scope: Scope, codes: dict[str, float], message: str, hint: str
) -> FloatArray:
    """The numbers of words, or such numbers themselves, of every row, shape (N,)."""
    value = node.evaluate(scope)
    value = value if isinstance(value, pd.Series) else pd.Series(value, range(len(scope.data)))
    known: dict[Any, float] = {key: n for word, n in codes.items() for key in (word, n)}
    numbers = value.astype(object).map(known).to_numpy(np.float64)
    rows = np.flatnonzero(np.isnan(numbers))
    if len(rows):
        shown = ", ".join(f"row {r} has {value.iloc[r]}" for r in rows[:3])
        more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
        raise DataError(f"{message}: {shown}{more} (rows counted from 0). {hint}")
    return numbers


def _numbers(node: Node, what: str, scope: Scope) -> FloatArray:
    """Value of an expression for every row, shape (N,)."""
    n_rows = len(scope.data)
    if not node.names():
        constant = node.evaluate(scope)
        if not isinstance(constant, (int, float)):
            fail(scope.source, node, f"the {what} must be a column or a number")
        return np.full(n_rows, float(constant))
    value = row_values(node, scope, n_rows)
    if isinstance(value, Levels) or value.ndim != 1:
        raise DataError(f"the {what} {node.text!r} must be one column of numbers.")
    levels = levels_of(value)
    if levels is not None:
        shown = ", ".join(map(str, levels[:10]))
        raise DataError(f"the {what} {value.name!r} must be numeric; it has the levels {shown}.")
    numbers = value.to_numpy(dtype=np.float64)
    bad = int((~np.isfinite(numbers)).sum())
    if bad:
        raise DataError(f"the {what} {node.text!r} has no finite value in {bad} of {n_rows} rows.")
    return numbers


def _check_order(formula: Formula, frame: pd.DataFrame) -> None:
    """Refuse mo() of levels without an order, products of three mo(), and mo() within groups."""
    for term in formula.common:
        if len(term.monotonic) > 2:
            hint = "Let one of the columns be a number, or a factor, C(x)."
            fail(formula.text, term.monotonic[2], "two mo() can be multiplied, not three", hint)
    for part in formula.groups:
        for effect in part.effects:
            if effect.monotonic:
                hint = "Let the column vary between groups as a number."
                call = effect.monotonic[0]
                fail(formula.text, call, "mo() cannot vary between groups yet", hint)
    for call in formula.calls():
        column = frame[call.names()[0].name] if call.function == "mo" else None
        if column is None or pd.api.types.is_numeric_dtype(column):
            continue
        dtype = column.dtype
        if not (isinstance(dtype, pd.CategoricalDtype) and dtype.ordered):
            raise DataError(
                f"{call.text} needs the order of the levels of {column.name!r}: make it "
                "pd.Categorical(values, categories=[...], ordered=True), from the lowest to the "
                "highest, or number them."
            )


def _order(formula: Formula, frame: pd.DataFrame) -> list[str]:
    """All levels of the response, if it is a column of categories whose order means something."""
    node = formula.response.value
    dtype = frame[node.name].dtype if isinstance(node, Name) else None
    if not isinstance(dtype, pd.CategoricalDtype) or not dtype.ordered:
        return []
    return list(map(str, dtype.categories))
