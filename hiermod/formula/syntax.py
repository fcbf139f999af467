"""Tokens to a syntax tree, by recursive descent. What the tree means, `grammar` knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from hiermod.formula.functions import CONTRASTS
from hiermod.formula.nodes import Binary, Call, Literal, Name, Node, Parens, Scope, Unary
from hiermod.formula.tokens import Token, fail

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_CONSTANTS = {"True": True, "False": False, "None": None}

# Binary operators from the loosest to the tightest; unary signs and ** bind tighter still.
_LEVELS: tuple[tuple[str, ...], ...] = (("|", "||"), COMPARISONS, ("+", "-"), ("*", "/"), (":",))


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
