"""Formula text to a syntax tree: tokens, nodes, and a recursive-descent parser.

Nothing here knows what a formula means; `grammar` does. Every node keeps its place in the text, so
that any later complaint can be drawn under the characters that caused it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from hiermod.errors import FormulaError, HiermodError
from hiermod.formula.functions import CONTRASTS

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>[^\W\d][\w.]*)
    | (?P<quoted>`[^`]+`)
    | (?P<string>"[^"]*"|'[^']*')
    | (?P<op>\|\||\*\*|==|!=|<=|>=|[-+*/:()\[\]{},=~|<>])
    """,
    re.VERBOSE,
)

# What to say about text that is no token.
_NOT_SUPPORTED: dict[str, tuple[str, str]] = {
    "^": ("'^' is not supported", "Use '**': (a + b)**2 for interactions, I(x**2) for a square."),
    "%in%": ("'%in%' is not supported", "Use ':' for an interaction."),
    "%": ("'%' is not supported", "Compute the column before, with pandas."),
    "``": ("a name in backticks is empty", "Write the column's name between the backticks."),
    "`": ("this backtick is never closed", "Close the name with another backtick."),
    '"': ("this string is never closed", "Close it with another quotation mark."),
    "'": ("this string is never closed", "Close it with another quotation mark."),
    ".": (
        "'.' for all columns is not supported",
        "Write the predictors out; put a name that begins with a dot in backticks.",
    ),
}

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
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")

# Binary operators from the loosest to the tightest; unary signs and ** bind tighter still.
_LEVELS: tuple[tuple[str, ...], ...] = (("|", "||"), COMPARISONS, ("+", "-"), ("*", "/"), (":",))
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_CONSTANTS = {"True": True, "False": False, "None": None}


class Placed(Protocol):
    """Anything with a place in the formula text."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...


@dataclass(frozen=True)
class Token:
    """One word of the formula; `kind` is name, quoted, number, string, op or end."""

    kind: str
    text: str
    start: int
    end: int


def fail(source: str, where: Placed, message: str, hint: str = "") -> NoReturn:
    """Raise a `FormulaError` with carets under `where`."""
    raise FormulaError(message + ".", source, where.start, where.end, hint)


def tokenize(source: str) -> list[Token]:
    """Words of a formula, without the spaces between them.

    Parameters
    ----------
    source : str

    Returns
    -------
    list of Token
        The last one has kind ``"end"`` and no width.

    Raises
    ------
    FormulaError
        At a character that no formula has, an open string or backtick, or an open parenthesis.

    Examples
    --------
    >>> [token.text for token in tokenize("y ~ log(x)")]
    ['y', '~', 'log', '(', 'x', ')', '']
    """
    tokens = []
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            _fail_at(source, position)
        position = match.end()
        if match.lastgroup != "space":
            tokens.append(Token(match.lastgroup or "", match.group(), match.start(), position))
    end = len(source.rstrip())
    tokens.append(Token("end", "", end, end))
    _check_brackets(source, tokens)
    return tokens


def _fail_at(source: str, position: int) -> NoReturn:
    for begin, (message, hint) in _NOT_SUPPORTED.items():
        if source.startswith(begin, position):
            fail(source, Token("", begin, position, position + len(begin)), message, hint)
    character = source[position]
    hint = "Put a column name with special characters in backticks: `my column`."
    fail(
        source,
        Token("", character, position, position + 1),
        f"unexpected character {character!r}",
        hint,
    )


def _check_brackets(source: str, tokens: list[Token]) -> None:
    opened: list[Token] = []
    for token in tokens:
        if token.kind != "op":
            continue
        if token.text in _BRACKETS.values():
            opened.append(token)
        elif token.text in _BRACKETS:
            if not opened or opened[-1].text != _BRACKETS[token.text]:
                fail(source, token, f"{token.text!r} closes nothing that is open")
            opened.pop()
    if opened:
        fail(source, opened[-1], f"{opened[-1].text!r} is never closed")


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
    data: Mapping[str, Any]
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
        """This node and all below it, from left to right."""
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


class Parser:
    """Tokens to a tree; operators bind as in Python, with ``:`` tighter than ``*``.

    Parameters
    ----------
    source : str
        The whole formula, for error messages.
    tokens : sequence of Token
        One side of the formula, ending with an ``"end"`` token.
    """

    def __init__(self, source: str, tokens: Sequence[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.position = 0
        self.depth = 0  # of function calls

    @property
    def token(self) -> Token:
        """The next token."""
        return self.tokens[self.position]

    def sees(self, *texts: str) -> bool:
        """Whether the next token is one of these operators."""
        return self.token.kind == "op" and self.token.text in texts

    def take(self) -> Token:
        """The next token, and step over it."""
        token = self.token
        self.position += 1
        return token

    def parse(self) -> Node:
        """The tree of all tokens.

        Raises
        ------
        FormulaError
            If they do not make one expression.
        """
        node = self.expression()
        self.expect_end()
        return node

    def expect_end(self) -> None:
        """Complain unless all tokens are used."""
        if self.token.kind != "end":
            fail(
                self.source,
                self.token,
                f"unexpected {self.token.text!r}",
                "Terms are joined by operators, such as '+'.",
            )

    def expression(self, level: int = 0) -> Node:
        """Operators of this level, and all that bind tighter."""
        if level == len(_LEVELS):
            return self.unary()
        node = self.expression(level + 1)
        while self.sees(*_LEVELS[level]):
            mark = self.take()
            right = self.expression(level + 1)
            node = Binary(node.start, right.end, mark.text, mark, node, right)
        return node

    def unary(self) -> Node:
        """A sign, or a power."""
        if self.sees("+", "-"):
            sign = self.take()
            right = self.unary()
            return Unary(sign.start, right.end, sign.text, right)
        base = self.primary()
        if self.sees("**"):
            mark = self.take()
            exponent = self.unary()
            return Binary(base.start, exponent.end, "**", mark, base, exponent)
        return base

    def primary(self) -> Node:
        """A name, literal, call, list or parenthesis."""
        token = self.take()
        if token.kind == "name":
            return self.name_or_call(token)
        if token.kind == "quoted":
            return Name(token.start, token.end, token.text[1:-1])
        if token.kind == "number":
            value = float(token.text) if re.search(r"[.eE]", token.text) else int(token.text)
            return Literal(token.start, token.end, value, token.text)
        if token.kind == "string":
            return Literal(token.start, token.end, token.text[1:-1], token.text)
        if token.text == "(":
            inner = self.expression()
            return Parens(token.start, self.close(")").end, inner)
        if token.text == "{":  # {x + 1} is I(x + 1)
            inner = self.inside_call(self.expression)
            return Call(token.start, self.close("}").end, "I", (inner,))
        if token.text == "[":
            return self.constant_list(token)
        if token.kind == "end":
            fail(self.source, token, "something is missing here", "Write a term.")
        fail(self.source, token, f"a term is missing before {token.text!r}")

    def name_or_call(self, token: Token) -> Node:
        """What a bare word begins."""
        if self.sees("("):
            return self.inside_call(lambda: self.call(token))
        if self.sees("["):
            fail(
                self.source,
                self.token,
                "square brackets after a name are not supported",
                "Choose the level before, with pandas: a column of 0 and 1.",
            )
        if self.depth and token.text in CONTRASTS:
            return Literal(token.start, token.end, CONTRASTS[token.text], token.text)
        if token.text in _CONSTANTS:
            return Literal(token.start, token.end, _CONSTANTS[token.text], token.text)
        return Name(token.start, token.end, token.text)

    def inside_call(self, rule: Callable[[], Node]) -> Node:
        """Apply a rule one level deeper in function calls."""
        self.depth += 1
        node = rule()
        self.depth -= 1
        return node

    def call(self, name: Token) -> Node:
        """The arguments of a function, and the call."""
        self.take()
        arguments: list[Node] = []
        options: list[tuple[str, Node]] = []
        while not self.sees(")"):
            following = self.tokens[self.position + 1]
            if self.token.kind == "name" and following.text == "=" and following.kind == "op":
                option = self.take().text
                self.take()
                options.append((option, self.expression()))
            elif options:
                fail(self.source, self.token, "an argument without a name follows a named one")
            else:
                arguments.append(self.expression())
            if not self.sees(")"):
                self.separator()
        end = self.close(")").end
        return Call(name.start, end, name.text, tuple(arguments), tuple(options))

    def constant_list(self, opening: Token) -> Node:
        """A list of numbers or strings, such as the knots of a spline."""
        items: list[Any] = []
        while not self.sees("]"):
            node = self.unary()
            if not all(isinstance(part, (Literal, Unary)) for part in node.walk()):
                fail(self.source, node, "a list may hold only numbers and strings")
            items.append(node.evaluate(Scope(self.source, {}, {})))
            if not self.sees("]"):
                self.separator()
        end = self.close("]").end
        written = ", ".join(repr(item) for item in items)
        return Literal(opening.start, end, items, f"[{written}]")

    def separator(self) -> None:
        """Step over a comma."""
        if not self.sees(","):
            fail(self.source, self.token, f"unexpected {self.token.text!r}", "Is a comma missing?")
        self.take()

    def close(self, bracket: str) -> Token:
        """Step over a closing bracket."""
        if not self.sees(bracket):
            fail(self.source, self.token, f"unexpected {self.token.text!r}")
        return self.take()
