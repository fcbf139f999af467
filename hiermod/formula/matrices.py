"""Formula and data frame to a `Design`, and the same evaluation for new rows.

formulae codes the terms (contrasts, full-rank rule, interactions); everything around it is ours:
what a formula may say, which functions it reaches, what the data must satisfy, grouping factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from formulae.environment import Environment
from formulae.terms import Call as CodedCall
from formulae.terms import Intercept, Model, Variable
from formulae.terms import Term as CodedTerm

from hiermod.errors import DataError
from hiermod.formula import checks
from hiermod.formula.columns import (
    check_factors,
    check_finite,
    complete_rows,
    levels_of,
    new_variable,
    select,
    variable,
)
from hiermod.formula.design import Design, FloatArray, Group, Response, Term
from hiermod.formula.functions import FUNCTIONS, Categories, Levels
from hiermod.formula.grammar import CommonTerm, Formula, parse
from hiermod.formula.groups import Grouping, grouping, level_index
from hiermod.formula.syntax import Call, Name, Node, Scope, fail

Functions = Mapping[str, Callable[..., Any]]


class Expression:
    """A call of the formula, in the form in which formulae evaluates calls.

    It stands in for formulae's own ``LazyCall``, which would look functions up in the caller's
    frame and modules. It carries the memory of stateful transforms.
    """

    callee = ""
    args: tuple[Any, ...] = ()

    def __init__(self, node: Call, source: str, functions: Functions) -> None:
        self.node = node
        self.source = source
        self.functions = dict(functions)
        self.memory: dict[Call, Callable[..., Any]] = {}

    def __str__(self) -> str:
        return self.node.text

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def eval(self, rows: pd.DataFrame, _: Any) -> Any:
        """Value for every row: numbers, one column or several, or categories."""
        scope = Scope(self.source, rows, self.functions, self.memory)
        with np.errstate(all="ignore"):  # non-finite results are reported by the checks
            value = self.node.evaluate(scope)
        if isinstance(value, Levels):
            return value
        if not isinstance(value, pd.Series):
            value = np.asarray(value)
        if value.shape[:1] != (len(rows),):
            message = f"{self} gives {value.shape} values for {len(rows)} rows"
            fail(self.source, self.node, message, "A term needs one value a row.")
        return value if value.ndim == 2 else variable(pd.Series(value, name=str(self)))


@dataclass(frozen=True)
class Basis:
    """Terms that have been coded on the training rows, and can be evaluated on others.

    Attributes
    ----------
    coded : tuple of formulae's Term
    terms : tuple of Term
        The columns of each.
    """

    coded: tuple[CodedTerm, ...]
    terms: tuple[Term, ...]

    def evaluate(self, rows: pd.DataFrame) -> FloatArray:
        """The columns for new rows, shape (N, P)."""
        blocks = [term.eval_new_data(rows) for term in self.coded]
        return _fill(blocks, self.terms, len(rows))


@dataclass(frozen=True)
class State:
    """What `new_design` needs of the training rows.

    Attributes
    ----------
    functions : mapping from name to callable
    levels : dict
        Levels of every column in an expression; None for numeric ones.
    common : Basis
    effects : tuple of Basis
        One for every group.
    groupings : tuple of Grouping
        One for every group.
    """

    functions: Functions
    levels: dict[str, list[Any] | None]
    common: Basis
    effects: tuple[Basis, ...]
    groupings: tuple[Grouping, ...]


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
        Functions that the formula may call besides those of `FUNCTIONS`.
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
    table = {**FUNCTIONS, "index": Categories, **(functions or {})}
    if isinstance(formula, str):
        formula = parse(formula, functions=tuple(functions or ()))
    left = formula.response_names() if response else []
    frame = select(formula.text, [*left, *formula.predictor_names()], data)
    keep = complete_rows(frame, dropna, "Use dropna=True to drop these rows, or fill them in.")
    frame = frame if keep is None else frame[keep]
    rows = _rows(frame, _expression_names(formula, response), variable)
    check_finite(rows)
    check_factors(rows, [name.name for node in _predictors(formula) for name in node.names()])
    coder = _Coder(formula, table, rows)
    X, common = coder.code(formula.common, formula.intercept)
    groups, groupings, effects = _groups(formula, coder, frame)
    _check_common(X, common.terms, formula)
    return Design(
        formula=formula,
        response=_response(formula, table, rows, values=response, trials=response),
        intercept=formula.intercept,
        X=X,
        terms=common.terms,
        groups=groups,
        offset=_offset(formula, table, rows),
        rows=frame.index.to_numpy(),
        dropped=len(data) - len(frame),
        state=State(
            table,
            {str(name): levels_of(rows[name]) for name in rows},
            common,
            effects,
            groupings,
        ),
    )


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
        Trials are read if their columns are there, and are one otherwise.

    Raises
    ------
    FormulaError
        If a column is not there.
    DataError
        If values are missing or infinite, or a predictor has a level that training had not.
    """
    state: State = design.state
    formula = design.formula
    trials = _has_trials(formula, data)
    left = formula.response_names() if response else trials
    frame = select(formula.text, [*left, *formula.predictor_names()], data)
    complete_rows(frame, False, "Drop or fill in these rows.")
    names = [name for name in _expression_names(formula, True) if name in frame]
    rows = _rows(frame, names, lambda raw: new_variable(raw, state.levels.get(str(raw.name))))
    check_finite(rows)
    X = state.common.evaluate(rows)
    checks.check_terms_finite(X, state.common.terms)
    groups = tuple(
        replace(group, index=level_index(factor, frame), Z=basis.evaluate(rows))
        for group, factor, basis in zip(design.groups, state.groupings, state.effects, strict=True)
    )
    for group in groups:
        checks.check_terms_finite(group.Z, group.effects)
    return replace(
        design,
        response=_response(
            formula, state.functions, rows, values=response, trials=response or bool(trials)
        ),
        X=X,
        groups=groups,
        offset=_offset(formula, state.functions, rows),
        rows=frame.index.to_numpy(),
        dropped=0,
    )


# Which columns, and where


def _predictors(formula: Formula) -> list[Node]:
    """The expressions that are coded into design matrices."""
    terms = [*formula.common, *(effect for group in formula.groups for effect in group.effects)]
    return [factor for term in terms for factor in term.factors]


def _expression_names(formula: Formula, response: bool) -> list[str]:
    """Columns that are evaluated, rather than only grouped by."""
    nodes = [*(formula.response.nodes() if response else []), *_predictors(formula)]
    names = [name.name for node in (*nodes, *formula.offsets) for name in node.names()]
    return list(dict.fromkeys(names))


def _rows(
    frame: pd.DataFrame, names: Iterable[str], convert: Callable[[pd.Series], pd.Series]
) -> pd.DataFrame:
    columns = {name: convert(frame[name]) for name in names}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)), copy=False)


def _has_trials(formula: Formula, data: pd.DataFrame) -> list[Name]:
    """The columns of the trials, if the data have them all."""
    trials = formula.response.trials
    names = trials.names() if trials else []
    return names if all(name.name in data for name in names) else []


# The parts of a design


class _Coder:
    """Codes terms on the training rows."""

    def __init__(self, formula: Formula, functions: Functions, rows: pd.DataFrame) -> None:
        self.source = formula.text
        self.functions = functions
        self.rows = rows

    def code(
        self, terms: tuple[CommonTerm, ...], intercept: bool, first: tuple[Term, ...] = ()
    ) -> tuple[FloatArray, Basis]:
        """Columns of the terms, shape (N, P), without one for the intercept.

        Index terms are coded one by one, at full rank, and take the place of an intercept.
        """
        bound = {term: self.bind(term) for term in terms}
        spans = intercept or any(term.is_index and len(term.factors) == 1 for term in terms)
        plain = [bound[term] for term in terms if not term.is_index]
        together = self.coded(*([Intercept()] if spans else []), *plain)
        coded: list[CodedTerm] = []
        for term in terms:
            if term.is_index:
                coded += self.coded(bound[term])
                continue
            # formulae puts a term before another where full rank asks for it
            upto = next(i for i, found in enumerate(together) if found is bound[term]) + 1
            coded += together[:upto]
            together = together[upto:]
        indexes = {term.name for term in terms if term.is_index}
        described = _describe(coded, indexes)
        X = _fill([term.data for term in coded], described, len(self.rows))
        checks.check_terms_finite(X, described)
        for term in coded:
            _forget_rows(term)
        return X, Basis(tuple(coded), described)

    def coded(self, *terms: Any) -> list[CodedTerm]:
        model = Model(*terms)
        model.eval(self.rows, Environment([{}]))
        return [term for term in model.common_terms if term.kind != "intercept"]

    def bind(self, term: CommonTerm) -> CodedTerm:
        """The term in the form of formulae."""
        return CodedTerm(
            *(
                CodedCall(Expression(factor, self.source, self.functions))
                if isinstance(factor, Call)
                else Variable(factor.text)
                for factor in term.factors
            )
        )


def _describe(coded: list[CodedTerm], indexes: set[str]) -> tuple[Term, ...]:
    terms, start = [], 0
    for term in coded:
        width = 1 if term.data.ndim == 1 else term.data.shape[1]
        labels = tuple(str(level) for level in term.levels or ())
        if not labels and width > 1:
            labels = tuple(str(i) for i in range(width))
        categorical = any(part.kind == "categoric" for part in term.components)
        kind = "categorical" if categorical else "numeric"
        kind = "index" if term.name in indexes else kind
        terms.append(Term(term.name, labels, slice(start, start + width), kind))
        start += width
    return tuple(terms)


def _fill(blocks: list[Any], terms: tuple[Term, ...], n_rows: int) -> FloatArray:
    X = np.empty((n_rows, terms[-1].columns.stop if terms else 0))
    for block, term in zip(blocks, terms, strict=True):
        X[:, term.columns] = np.reshape(block, (n_rows, term.width))
    return X


def _forget_rows(term: CodedTerm) -> None:
    """Drop the training rows that formulae keeps; coding new rows does not need them."""
    term.data = None
    for part in term.components:
        part.value = None
        part._intermediate_data = None


def _groups(
    formula: Formula, coder: _Coder, frame: pd.DataFrame
) -> tuple[tuple[Group, ...], tuple[Grouping, ...], tuple[Basis, ...]]:
    groups, groupings, effects = [], [], []
    for part in formula.groups:
        factor, index = grouping([name.name for name in part.factors], frame)
        Z, basis = coder.code(part.effects, part.intercept)
        if part.intercept:
            basis = _with_intercept(basis)
            Z = np.column_stack([np.ones(len(Z)), Z])
        checks.check_columns_vary(Z, basis.terms, part.intercept, f"in group {part.name!r}, effect")
        correlated = part.correlated and Z.shape[1] > 1
        groups.append(Group(part.name, basis.terms, correlated, index, factor.levels, Z))
        groupings.append(factor)
        effects.append(basis)
    return tuple(groups), tuple(groupings), tuple(effects)


class _Ones:
    """The coded intercept of a group term."""

    def eval_new_data(self, rows: pd.DataFrame) -> FloatArray:
        return np.ones(len(rows))


def _with_intercept(basis: Basis) -> Basis:
    shifted = [
        replace(term, columns=slice(term.columns.start + 1, term.columns.stop + 1))
        for term in basis.terms
    ]
    return Basis((_Ones(), *basis.coded), (Term("1", (), slice(0, 1), "numeric"), *shifted))


def _check_common(X: FloatArray, terms: tuple[Term, ...], formula: Formula) -> None:
    spans = formula.intercept or any(term.kind == "index" for term in terms)
    checks.check_columns_vary(X, terms, spans, "predictor")
    checks.check_collinear(X, terms, spans)


def _offset(formula: Formula, functions: Functions, rows: pd.DataFrame) -> FloatArray | None:
    """The sum of the offsets, shape (N,)."""
    if not formula.offsets:
        return None
    return np.sum(
        [_numbers(node, "offset", formula, functions, rows) for node in formula.offsets], axis=0
    )


def _response(
    formula: Formula, functions: Functions, rows: pd.DataFrame, *, values: bool, trials: bool
) -> Response:
    """The left-hand side: values and weights if asked for, trials as far as they are known."""
    part, n_rows = formula.response, len(rows)
    numbers = np.full(n_rows, np.nan)
    weights = None
    if values:
        numbers = _numbers(part.value, "response", formula, functions, rows)
        if part.weights is not None:
            weights = _numbers(part.weights, "weights", formula, functions, rows)
    known = None
    if part.trials is not None:
        known = np.ones(n_rows)
        if trials or not part.trials.names():
            known = _numbers(part.trials, "trials", formula, functions, rows)
    return Response(part.name, numbers, known, weights)


def _numbers(
    node: Node, what: str, formula: Formula, functions: Functions, rows: pd.DataFrame
) -> FloatArray:
    """Value of an expression for every row, shape (N,); two levels become 0 and 1."""
    with np.errstate(all="ignore"):
        value = node.evaluate(Scope(formula.text, rows, functions))
    if np.ndim(value) == 0:
        value = np.full(len(rows), value)
    levels = levels_of(value) if isinstance(value, pd.Series) else None
    if levels is not None:
        if what != "response":
            raise DataError(f"the {what} {node.text!r} must be numeric.")
        if len(levels) != 2:
            shown = ", ".join(map(str, levels[:10]))
            raise DataError(
                f"the response {node.text!r} is categorical with {len(levels)} level(s), {shown}. "
                "A categorical response must have two, of which the second counts as 1."
            )
        value = value.cat.codes
    numbers = np.asarray(value, dtype=np.float64).reshape(len(rows))
    bad = int((~np.isfinite(numbers)).sum())
    if bad:
        raise DataError(f"the {what} {node.text!r} has no finite value in {bad} rows.")
    return numbers
