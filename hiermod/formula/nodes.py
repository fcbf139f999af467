"""The syntax tree of a formula: what each node is called, which columns it uses, its value.

Every node keeps its place in the text, so that any later complaint can be drawn under the
characters that caused it.
"""

# ruff: noqa: D102 - what `Node` documents is not repeated in its kinds

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from hiermod.errors import DataError, FormulaError, HiermodError
from hiermod.formula.tokens import Token, fail

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNARY: dict[str, Callable[[Any], Any]] = {"+": operator.pos, "-": operator.neg}


@dataclass
class Scope:
    """Where the names and the functions of an expression are looked up: here and nowhere else.

    Attributes
    ----------
    source : str
        The formula, for error messages.
    data : mapping from column name to Series
    functions : mapping from name to callable
    memory : dict
        The stateful transforms met so far; with it, new rows are evaluated as the training rows.
    """

    source: str
    data: Mapping[str, Any] | pd.DataFrame
    functions: Mapping[str, Callable[..., Any]]
    memory: dict[Call, Callable[..., Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """A part of the syntax tree, from character `start` up to `end`."""

    start: int
    end: int

    @property
    def text(self) -> str:
        """The expression as written, with normal spaces and without backticks."""
        raise NotImplementedError

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes directly below this one."""
        return ()

    def walk(self) -> Iterator[Node]:
        """The node itself and all below it, from left to right."""
        yield self
        for child in self.children:
            yield from child.walk()

    def names(self) -> list[Name]:
        """The columns that the expression uses, in order of appearance."""
        return [node for node in self.walk() if isinstance(node, Name)]

    def calls(self) -> list[Call]:
        """The function calls in the expression, outer ones first."""
        return [node for node in self.walk() if isinstance(node, Call)]

    def evaluate(self, scope: Scope) -> Any:
        """Value of the expression, one entry a row unless it is a constant."""
        raise NotImplementedError


@dataclass(frozen=True)
class Name(Node):
    """A column."""

    name: str

    @property
    def text(self) -> str:
        return self.name

    def evaluate(self, scope: Scope) -> Any:
        return scope.data[self.name]


@dataclass(frozen=True)
class Literal(Node):
    """A number, a string, True, False, None, a contrast class, or a list of such values."""

    value: Any = field(hash=False)
    written: str

    @property
    def text(self) -> str:
        return self.written

    def evaluate(self, scope: Scope) -> Any:
        return self.value


@dataclass(frozen=True)
class Parens(Node):
    """An expression in parentheses."""

    inner: Node

    @property
    def text(self) -> str:
        return f"({self.inner.text})"

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.inner,)

    def evaluate(self, scope: Scope) -> Any:
        return self.inner.evaluate(scope)


@dataclass(frozen=True)
class Unary(Node):
    """A sign before an expression."""

    op: str
    right: Node

    @property
    def text(self) -> str:
        return self.op + self.right.text

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.right,)

    def evaluate(self, scope: Scope) -> Any:
        return _UNARY[self.op](self.right.evaluate(scope))


@dataclass(frozen=True)
class Binary(Node):
    """Two expressions and the operator between them; `mark` is where the operator stands."""

    op: str
    mark: Token
    left: Node
    right: Node

    @property
    def text(self) -> str:
        return f"{self.left.text} {self.op} {self.right.text}"

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.left, self.right)

    def evaluate(self, scope: Scope) -> Any:
        if self.op not in _BINARY:
            fail(scope.source, self.mark, f"{self.op!r} cannot be used inside a function call")
        left, right = self.left.evaluate(scope), self.right.evaluate(scope)
        try:
            return _BINARY[self.op](left, right)
        except (TypeError, ValueError) as error:
            message = f"{self.text!r} cannot be computed: {error}."
            raise FormulaError(message, scope.source, self.start, self.end) from error


@dataclass(frozen=True)
class Call(Node):
    """A function call; `options` are the keyword arguments."""

    function: str
    arguments: tuple[Node, ...]
    options: tuple[tuple[str, Node], ...] = ()

    @property
    def text(self) -> str:
        words = [node.text for node in self.arguments]
        words += [f"{name}={node.text}" for name, node in self.options]
        return f"{self.function}({', '.join(words)})"

    @property
    def children(self) -> tuple[Node, ...]:
        return self.arguments + tuple(node for _, node in self.options)

    def evaluate(self, scope: Scope) -> Any:
        arguments = [node.evaluate(scope) for node in self.arguments]
        options = {name: node.evaluate(scope) for name, node in self.options}
        try:
            return self._transform(scope)(*arguments, **options)
        except DataError as error:
            raise DataError(f"{self.text}: {error}") from error
        except HiermodError:
            raise
        except Exception as error:  # whatever a transform or a user's function raises
            message = f"{self.text} failed: {error}."
            raise FormulaError(message, scope.source, self.start, self.end) from error

    def _transform(self, scope: Scope) -> Callable[..., Any]:
        function = scope.functions[self.function]
        if not getattr(function, "__stateful_transform__", False):
            return function
        if self not in scope.memory:
            scope.memory[self] = function()
        return scope.memory[self]
