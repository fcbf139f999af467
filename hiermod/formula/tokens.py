"""Formula text to tokens, and the complaint that points at a place in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn, Protocol

from hiermod.errors import FormulaError

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

_BRACKETS = {")": "(", "]": "[", "}": "{"}


class Placed(Protocol):
    """Anything with a place in the formula text."""

    @property
    def start(self) -> int:
        """Position of its first character."""

    @property
    def end(self) -> int:
        """Position after its last character."""


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
