"""Terms to columns: the one module that knows how formulae codes them.

formulae decides contrasts and full rank, and multiplies interactions out. It gets terms that are
already expanded, and expressions that evaluate themselves.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from hiermod.formula.columns import levels_of, variable
from hiermod.formula.design import FloatArray, Term, label
from hiermod.formula.functions import Levels, Monotonic
from hiermod.formula.nodes import Call, Node, Scope
from hiermod.formula.records import CommonTerm
from hiermod.formula.tokens import fail

Functions = Mapping[str, Callable[..., Any]]
_ROWS = 4096  # copied at a time


def row_values(node: Node, scope: Scope, n_rows: int) -> Any:
    """Value of an expression, one for every row.

    Parameters
    ----------
    node : Node
    scope : Scope
    n_rows : int
        N.

    Returns
    -------
    Series of shape (N,), array of shape (N, columns), or Levels
        Numbers, booleans or ordered categories.

    Raises
    ------
    FormulaError
        If the expression does not have one value a row.
    DataError
        If a category is missing. (Missing numbers are found later, with their term.)
    """
    with np.errstate(all="ignore"):  # what is not finite is reported with its term
        value = node.evaluate(scope)
    if isinstance(value, Levels):
        return value
    value = value if isinstance(value, pd.Series) else np.asarray(value)
    if value.ndim not in (1, 2) or len(value) != n_rows:
        message = f"{node.text} gives values of shape {value.shape} for {n_rows} rows"
        fail(scope.source, node, message, "It needs one value for every row.")
    if value.ndim == 2:
        if value.dtype.kind not in "biuf":
            fail(scope.source, node, f"{node.text} gives columns that are not numeric")
        return value
    if not getattr(value.dtype, "ordered", False):  # else keep levels that new rows may lack
        value = variable(pd.Series(value, name=node.text))
    if levels_of(value) is not None and value.isna().any():
        raise DataError(f"{node.text} gives missing values in {int(value.isna().sum())} rows.")
    return value


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
        return row_values(self.node, scope, len(rows))


@dataclass(frozen=True)
class Basis:
    """Terms that have been coded on the training rows, and can be evaluated on others.

    Attributes
    ----------
    coded : tuple of formulae's Term
    terms : tuple of Term
        The columns of each; a monotonic effect of a factor is a term for every level.
    """

    coded: tuple[CodedTerm, ...]
    terms: tuple[Term, ...]

    def evaluate(self, rows: pd.DataFrame) -> FloatArray:
        """The columns for new rows, shape (N, P)."""
        blocks = [term.eval_new_data(rows) for term in self.coded]
        return _fill(blocks, len(rows))


class Coder:
    """Codes terms on the training rows."""

    def __init__(self, source: str, functions: Functions, rows: pd.DataFrame) -> None:
        self.source = source
        self.functions = functions
        self.rows = rows

    def code(self, terms: tuple[CommonTerm, ...], intercept: bool) -> tuple[FloatArray, Basis]:
        """Columns of the terms, shape (N, P), without one for the intercept.

        Index terms are coded one by one, at full rank, and take the place of an intercept.
        """
        spans = intercept or any(term.is_index and len(term.factors) == 1 for term in terms)
        blocks = self.together([term for term in terms if not term.is_index], spans)
        for term in terms:
            if term.is_index:
                blocks[term] = self.coded(self.bind(term))
        coded = [part for term in terms for part in blocks[term]]
        described = tuple(_describe((term, part) for term in terms for part in blocks[term]))
        X = _fill([term.data for term in coded], len(self.rows))
        checks.check_terms_finite(X, described)
        for term in coded:
            _forget_rows(term)
        return X, Basis(tuple(coded), described)

    def together(
        self, terms: list[CommonTerm], intercept: bool
    ) -> dict[CommonTerm, list[CodedTerm]]:
        """Every term coded, and before it those terms that full rank asks for.

        formulae meets terms of few factors first, as patsy and R sort them: it fails on a factor
        that an interaction before it already spans.
        """
        bound = {term: self.bind(term) for term in sorted(terms, key=lambda t: len(t.factors))}
        coded = self.coded(*([Intercept()] if intercept else []), *bound.values())
        blocks: dict[CommonTerm, list[CodedTerm]] = {}
        for term in bound:
            upto = next(i for i, found in enumerate(coded) if found is bound[term]) + 1
            blocks[term], coded = coded[:upto], coded[upto:]
        return blocks

    def coded(self, *terms: Any) -> list[CodedTerm]:
        """The terms and those that full rank adds, evaluated, without the intercept."""
        model = Model(*terms)
        model.eval(self.rows, Environment([{}]))
        return [term for term in model.common_terms if term.kind != "intercept"]

    def bind(self, term: CommonTerm) -> CodedTerm:
        """The term in the form of formulae, mo() last, so that its steps are neighbours."""
        return CodedTerm(
            *(
                CodedCall(Expression(factor, self.source, self.functions))
                if isinstance(factor, Call)
                else Variable(factor.text)
                for factor in sorted(term.factors, key=lambda f: bool(CommonTerm((f,)).monotonic))
            )
        )


def _describe(coded: Iterable[tuple[CommonTerm, CodedTerm]]) -> Iterator[Term]:
    """Names and labels of the columns, from terms as written and what each was coded as."""
    start = 0
    for whole, term in coded:
        written = whole.among([part.name for part in term.components])  # full rank may ask for less
        labels = tuple(str(level) for level in term.levels or ())
        width = 1 if term.data.ndim == 1 else term.data.shape[1]
        if not labels and width > 1:
            labels = tuple(str(i) for i in range(width))
        names, levels = [written.name], [""]
        steps = _steps(term) if written.monotonic else ()
        categorical = any(part.kind == "categoric" for part in term.components)
        kind = "categorical" if categorical else "numeric"
        kind = "index" if written.is_index else "whole" if written.is_whole else kind
        if written.monotonic:
            kind, labels = "monotonic", tuple(map(":".join, itertools.product(*steps)))
            levels = _levels(term.components[: -len(steps)])
            names = [f"{written.name}[{level}]" if level else written.name for level in levels]
        for name, level in zip(names, levels, strict=True):
            columns = slice(start, start + width // len(levels))
            yield Term(label(name), labels, columns, kind, label(level), steps)
            start = columns.stop


def _levels(components: list[Any]) -> list[str]:
    """Labels of the columns of a product; an empty one for a single column of numbers."""
    product = CodedTerm(*components)
    product.kind = "interaction"
    return product.levels or [""]


def _steps(term: CodedTerm) -> tuple[tuple[str, ...], ...]:
    """The levels of every mo(), but the lowest."""
    calls = (part.call for part in term.components if hasattr(part, "call"))
    found = (state for call in calls for state in call.memory.values())
    levels = [state.levels[1:] for state in found if isinstance(state, Monotonic)]
    return tuple(tuple(map(str, own)) for own in levels)


def _fill(blocks: list[Any], n_rows: int) -> FloatArray:
    """The blocks side by side, each of shape (N,) or (N, columns)."""
    wide = [np.reshape(block, (n_rows, -1)) for block in blocks]
    ends = np.cumsum([0, *(block.shape[1] for block in wide)])
    X = np.empty((n_rows, ends[-1]))
    for start in range(0, n_rows, _ROWS):  # row by row is several times faster than by column
        some = slice(start, start + _ROWS)
        for block, begin, end in zip(wide, ends, ends[1:], strict=False):
            X[some, begin:end] = block[some]
    return X


def _forget_rows(term: CodedTerm) -> None:
    """Drop the training rows that formulae keeps; coding new rows does not need them."""
    term.data = None
    for part in term.components:
        part.value = None
        part._intermediate_data = None


class _Ones:
    """The intercept among the effects of a group, coded."""

    def eval_new_data(self, rows: pd.DataFrame) -> FloatArray:
        return np.ones(len(rows))


def with_intercept(X: FloatArray, basis: Basis) -> tuple[FloatArray, Basis]:
    """The columns with one of ones before them, as the term ``"1"``."""
    shifted = [
        replace(term, columns=slice(term.columns.start + 1, term.columns.stop + 1))
        for term in basis.terms
    ]
    terms = (Term("1", (), slice(0, 1), "intercept"), *shifted)
    return np.column_stack([np.ones(len(X)), X]), Basis((_Ones(), *basis.coded), terms)
