"""What a formula means: response, common terms, group terms and offsets, each with its place.

``parse`` accepts exactly what the design can evaluate; all else is a `FormulaError` with a caret
under it. Interactions are expanded here, so that everything downstream sees plain lists of terms.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from hiermod.errors import did_you_mean
from hiermod.formula.functions import FUNCTIONS
from hiermod.formula.nodes import Binary, Call, Literal, Name, Node, Parens, Unary
from hiermod.formula.records import CommonTerm, Formula, GroupPart, ResponsePart, SmoothPart
from hiermod.formula.syntax import COMPARISONS, Parser
from hiermod.formula.tokens import Token, fail, tokenize

__all__ = ["CommonTerm", "Formula", "GroupPart", "ResponsePart", "parse"]

_LATER = "is not supported yet"
_REJECTED: dict[str, tuple[str, str]] = {
    "factor": ("factor() is R's", "Use C(x)."),
    "as.factor": ("as.factor() is R's", "Use C(x)."),
    "te": (f"te() {_LATER}", "Write s(x) + s(z)."),
    "t2": (f"t2() {_LATER}", "Write s(x) + s(z)."),
    "gp": (f"gp() {_LATER}", "Write s(x)."),
    "hsgp": (f"hsgp() {_LATER}", "Write s(x)."),
    "me": (f"me() {_LATER}", "Use the measured column as it is."),
    "mi": (f"mi() {_LATER}", "Fill in or drop the missing values first."),
    "mm": (f"mm() {_LATER}", "Use one grouping factor, (1 | g)."),
    "gr": ("gr() stands right of '|'", 'Write (1 | gr(g, dist="student")).'),
    "cs": (f"cs() {_LATER}", "Write the predictor as it is."),
    "constrained": (f"constrained() {_LATER}", "Ignoring bounds of the response biases the fit."),
    "cbind": ("cbind() is R's", "Write prop(successes, trials), or c(a, b)."),
}
_ADDITIONS: dict[str, dict[str, str]] = {
    "trials": {"": "trials"},
    "rate": {"": "rate"},
    "weights": {"": "weights"},
    "frequency": {"": "frequency"},
    "se": {"": "se", "sigma": "keeps_sigma"},
    "cens": {"": "status", "y2": "y2"},
    "trunc": {"lb": "lower", "ub": "upper"},
    "dec": {"": "decision"},
}
"""What may follow the bar of ``y | trials(n)``: its arguments by keyword, as fields of the
response; a nameless one must be given."""
_AROUND = {
    "prop": "trials",
    "p": "trials",
    "proportion": "trials",
    "rate": "rate",
    "weighted": "weights",
    "frequency": "frequency",
    "se": "se",
    "censored": "cens",
    "truncated": "trunc",
    "decided": "dec",
}
"""What may stand around the response, ``prop(y, n)``, as the addition that it is."""
_USAGE = {
    "trials": "Write prop(successes, trials), or successes | trials(n).",
    "rate": "Write rate(y, exposure), or y | rate(exposure).",
    "frequency": "Write frequency(y, n), or y | frequency(n), with the number of equal rows.",
    "weights": "Write weighted(y, weights), or y | weights(w).",
    "se": "Write se(y, s), or y | se(s); with sigma=True, sigma is kept.",
    "cens": "Write censored(y, status), or y | cens(status); with intervals (status, y2).",
    "trunc": "Write truncated(y, lb=0, ub=9), or y | trunc(lb=0, ub=9); one of them is enough.",
    "dec": "Write decided(y, choice), or y | dec(choice), with the boundary that was reached.",
}
_LEFT_ONLY = (*_AROUND, *_ADDITIONS)
_FLAGS = {"True": True, "TRUE": True, "False": False, "FALSE": False}
_WHOLE_TERMS = ("offset", "index", "s", "mo")
_GR = ("dist", "by", "zero_sum")
_GR_USAGE = 'gr(g, dist="student"), gr(g, by=x) or gr(g, zero_sum=True)'
_SMOOTH = {"by": None, "k": 10, "bs": "tp", "period": None}
"""The options of a smooth, with their defaults."""
_LEAST = {"tp": 3, "cr": 3, "cc": 4}
"""The bases of a smooth, and the smallest k of each."""


def parse(text: str, *, functions: Collection[str] = ()) -> Formula:
    """Read a formula, and refuse all that is not supported.

    Parameters
    ----------
    text : str
        For example ``"y ~ 1 + x + (1 + x | g)"``.
    functions : collection of str, optional
        Names of functions that the formula may call besides those of `FUNCTIONS`.

    Returns
    -------
    Formula

    Raises
    ------
    FormulaError
        With a caret under the first thing that cannot be read, and what to write instead.

    Examples
    --------
    >>> formula = parse("y ~ a*b + offset(log(n)) + (1 + x || g/h)")
    >>> [term.name for term in formula.common]
    ['a', 'b', 'a:b']
    >>> [(group.name, group.effect_names, group.correlated) for group in formula.groups]
    [('g', ['1', 'x'], False), ('g:h', ['1', 'x'], False)]
    """
    source = re.sub(r"\s", " ", text)
    left, right = _sides(source, tokenize(source))
    return _Reader(source, {*FUNCTIONS, *functions}).formula(
        Parser(source, left).parse(), Parser(source, right).parse()
    )


def _sides(source: str, tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """Tokens before and after the ``~``, each with an end mark."""
    tildes = [i for i, token in enumerate(tokens) if token.kind == "op" and token.text == "~"]
    example = "Write response ~ predictors, for example y ~ x."
    if not tildes:
        fail(source, tokens[-1], "the formula has no '~'", example)
    if len(tildes) > 1:
        fail(source, tokens[tildes[1]], "a formula has one '~'", example)
    at = tildes[0]
    tilde = tokens[at]
    left, right = tokens[:at], tokens[at + 1 :]
    if not left:
        fail(source, tilde, "the response is missing before '~'", example)
    if len(right) == 1:
        fail(source, right[0], "nothing follows '~'", "For an intercept only, write 1.")
    if [t.text for t in left].count("(") != [t.text for t in left].count(")"):
        fail(source, tilde, "'~' cannot stand inside parentheses", example)
    return [*left, Token("end", "", tilde.start, tilde.end)], right


@dataclass
class _Sum:
    """Terms collected from left to right."""

    intercept: bool
    terms: dict[frozenset[str], CommonTerm]
    groups: list[GroupPart]
    offsets: list[Node]
    smooths: list[SmoothPart]

    @classmethod
    def empty(cls, intercept: bool) -> _Sum:
        return cls(intercept, {}, [], [], [])

    @property
    def special(self) -> bool:
        """Whether there is more than common terms."""
        return bool(self.groups or self.offsets or self.smooths)


class _Reader:
    """From the two syntax trees to a `Formula`; `allowed` are the names of functions."""

    def __init__(self, source: str, allowed: set[str]) -> None:
        self.source = source
        self.allowed = allowed

    def formula(self, left: Node, right: Node) -> Formula:
        response = self.response(left)
        found = _Sum.empty(True)
        self.add(right, found, keep=True)
        formula = Formula(
            self.source,
            response,
            found.intercept,
            tuple(found.terms.values()),
            tuple(found.groups),
            tuple(found.offsets),
            tuple(found.smooths),
        )
        if not (formula.intercept or formula.common or formula.groups or formula.smooths):
            fail(self.source, right, "the formula has no terms", "For an intercept, write 1.")
        self.check_response_is_no_predictor(formula)
        self.check_repeated_effects(formula.groups)
        self.check_shared(formula.groups)
        return formula

    # The left-hand side

    def response(self, node: Node) -> ResponsePart:
        if not (isinstance(node, Binary) and node.op == "|"):
            return self.response_value(node)
        part = self.response_value(node.left)
        for addition in self.additions(node.right):
            part = self.decorated(part, addition, addition.function, addition.arguments)
        return part

    def additions(self, node: Node) -> list[Call]:
        """The calls after the bar of brms' ``y | trials(n) + weights(w)``."""
        if isinstance(node, Binary) and node.op == "+":
            return self.additions(node.left) + self.additions(node.right)
        if isinstance(node, Call):
            if node.function in _ADDITIONS:
                return [node]
            self.reject(node)
        hint = "Write y | trials(n), rate(e), weights(w), frequency(n), se(s), cens(status), "
        hint += "dec(choice) or trunc(lb=0), joined by '+'."
        fail(self.source, node, "not a response addition", hint)

    def decorated(
        self, part: ResponsePart, call: Call, name: str, arguments: tuple[Node, ...]
    ) -> ResponsePart:
        """The response with what a call adds to it, of which `arguments` come by position."""
        fields = _ADDITIONS[name]
        pairs = [*zip(fields, arguments, strict=False), *call.options]
        words = [word for word, _ in pairs]
        once = len(arguments) <= len(fields) and len({*words}) == len(words)
        if not (once and words and {*words} <= {*fields} and ("" in words or "" not in fields)):
            message = f"these are not the arguments of {call.function}()"
            fail(self.source, call, message, _USAGE[name])
        if any(getattr(part, field) for field in fields.values()):
            fail(self.source, call, f"{name}() is given twice", "Keep one of them.")
        given: dict[str, Any] = {fields[w]: self.given(fields[w], node) for w, node in pairs}
        if not any(given.values()):
            fail(self.source, call, f"{call.function}() gives nothing", _USAGE[name])
        return replace(part, **given)

    def given(self, field: str, node: Node) -> Node | bool | None:
        """An argument of what is added to a response."""
        if field == "keeps_sigma":
            if node.text not in _FLAGS:
                fail(self.source, node, f"sigma is {node.text}", "Write sigma=True or sigma=False.")
            return _FLAGS[node.text]
        if isinstance(node, Literal) and node.value is None and field in ("y2", "lower", "upper"):
            return None
        if field == "trials":
            self.check_trials(node)
        return self.expression(node)

    def response_value(self, node: Node) -> ResponsePart:
        if isinstance(node, Parens):
            return self.response_value(node.inner)
        if isinstance(node, Name):
            return ResponsePart(node)
        if not isinstance(node, Call):
            hint = "Write a column, prop(y, n), weighted(y, w), or I(...) around arithmetic."
            fail(self.source, node, "this cannot be a response", hint)
        if node.function in _AROUND:
            inner = self.response_value(node.arguments[0]) if node.arguments else None
            return self.decorated(
                inner or ResponsePart(node), node, _AROUND[node.function], node.arguments[1:]
            )
        if not node.names():
            fail(self.source, node, "the response uses no column", "Write y, or log(y).")
        if node.function == "c":
            if node.options or len(node.arguments) < 2:
                fail(self.source, node, "these are not columns", "Write c(a, b, c).")
            return ResponsePart(node, columns=tuple(map(self.expression, node.arguments)))
        return ResponsePart(self.expression(node))

    def arguments(self, call: Call, count: int, usage: str) -> tuple[Node, ...]:
        if call.options or len(call.arguments) != count:
            fail(self.source, call, f"{call.function}() takes {count} argument(s)", usage)
        return call.arguments

    def check_trials(self, node: Node) -> None:
        if isinstance(node, Literal) and not (isinstance(node.value, int) and node.value > 0):
            hint = "Trials are a column or a positive whole number."
            fail(self.source, node, f"{node.text} is no number of trials", hint)

    # The right-hand side

    def add(self, node: Node, found: _Sum, keep: bool) -> None:
        """Add the terms of an expression to what was found, or take them away."""
        if isinstance(node, Parens) and not _is_bar(node.inner):
            self.add(node.inner, found, keep)
        elif isinstance(node, Unary):
            self.add(node.right, found, keep == (node.op == "+"))
        elif isinstance(node, Binary) and node.op in "+-":
            self.add(node.left, found, keep)
            self.add(node.right, found, keep == (node.op == "+"))
        elif isinstance(node, Parens):
            if not keep:
                fail(self.source, node, "a group term cannot be removed", "Leave it out.")
            found.groups += self.group(node)
        elif isinstance(node, Literal):
            found.intercept = self.intercept(node, keep)
        elif isinstance(node, Call) and node.function == "offset":
            if not keep:
                fail(self.source, node, "an offset cannot be removed", "Write offset(-x).")
            argument = self.arguments(node, 1, "offset(x)")[0]
            found.offsets.append(self.expression(argument))
        elif isinstance(node, Call) and node.function == "s":
            if not keep:
                fail(self.source, node, "a smooth cannot be removed", "Leave it out.")
            part = self.smooth(node)
            found.smooths += [part] if part.name not in [p.name for p in found.smooths] else []
        else:
            self.add_terms(self.expand(node), found, keep)

    def add_terms(self, terms: Iterable[CommonTerm], found: _Sum, keep: bool) -> None:
        for term in terms:
            if keep:
                found.terms.setdefault(term.key, term)
            elif found.terms.pop(term.key, None) is None:
                where = term.factors[0]
                message = f"there is no term {term.name!r} before this that could be removed"
                fail(self.source, where, message, "Inside I() a minus is arithmetic: I(-x).")

    def intercept(self, node: Literal, keep: bool) -> bool:
        if type(node.value) is int and node.value in (0, 1):
            return (node.value == 1) == keep
        hint = "A term is a column or a call; use 1 with, 0 without intercept, or offset(2)."
        fail(self.source, node, f"{node.text} is not a term", hint)

    def expand(self, node: Node) -> list[CommonTerm]:
        """Terms of an expression without numbers: products become sums of interactions."""
        if isinstance(node, Name):
            return [CommonTerm((node,))]
        if isinstance(node, Call):
            return [CommonTerm((self.atom(node),))]
        if isinstance(node, Parens):
            return self.expand_parens(node)
        if isinstance(node, Binary) and node.op in _PRODUCTS:
            if node.op == "**":
                return self.power(node)
            left, right = self.expand(node.left), self.expand(node.right)
            return _unique(_PRODUCTS[node.op](left, right))
        if _is_bar(node):
            hint = "Write (1 | g) for an intercept that varies between the levels of g."
            mark = node.mark if isinstance(node, Binary) else node
            fail(self.source, mark, "a group term needs parentheses around it", hint)
        if isinstance(node, Binary) and node.op in COMPARISONS:
            fail(self.source, node.mark, f"{node.op!r} is no formula operator", "Wrap it in I().")
        fail(self.source, node, f"{node.text} cannot be part of an interaction")

    def expand_parens(self, node: Parens) -> list[CommonTerm]:
        if _is_bar(node.inner):
            hint = "Join it with '+': x + (1 | g)."
            fail(self.source, node, "a group term cannot be part of an interaction", hint)
        found = _Sum.empty(False)
        if any(isinstance(part, Literal) for part in _summands(node.inner)):
            hint = "Write the 0 or 1 outside of the interaction."
            fail(self.source, node, "a number cannot be part of an interaction", hint)
        self.add(node.inner, found, keep=True)
        if found.special:
            hint = "Join it with '+' at the top level of the formula."
            fail(self.source, node, "a group term, offset or smooth inside an interaction", hint)
        return list(found.terms.values())

    def power(self, node: Binary) -> list[CommonTerm]:
        terms = self.expand(node.left)
        exponent = node.right
        if not (isinstance(exponent, Literal) and type(exponent.value) is int and exponent.value):
            hint = "Write for example (a + b)**2, or I(x**2) for a square."
            fail(self.source, exponent, "the exponent must be a positive whole number", hint)
        if len(terms) == 1:
            hint = f"For the power of a number, write I({node.text})."
            fail(self.source, node, "'**' makes interactions of a sum of terms", hint)
        sets = [c for n in range(1, exponent.value + 1) for c in combinations(terms, n)]
        return _unique(_product(chosen) for chosen in sets)

    def atom(self, call: Call) -> Node:
        """A call that is a term, or one factor of an interaction."""
        if call.function == "offset":
            hint = "Join it with '+': x + offset(z)."
            fail(self.source, call, "offset() cannot be part of an interaction", hint)
        if call.function == "s":
            hint = "Write s(x, by=f) for a smooth of x at every level of f."
            fail(self.source, call, "a smooth cannot be part of an interaction", hint)
        if call.function == "index":
            argument = self.arguments(call, 1, "index(f)")[0]
            if not isinstance(argument, Name):
                fail(self.source, argument, "index() takes a column", "Make the column first.")
            return call
        if call.function == "mo":
            argument = self.arguments(call, 1, "mo(x)")[0]
            if not isinstance(argument, Name):
                fail(self.source, argument, "mo() takes a column", "Make the column first.")
            return call
        self.expression(call)
        if not call.names():
            hint = "For a constant, write offset(2)."
            fail(self.source, call, f"{call.text} uses no column", hint)
        return call

    def expression(self, node: Node) -> Node:
        """Check an expression that is evaluated as arithmetic; the node comes back."""
        for call in node.calls():
            self.reject(call)
        for part in node.walk():
            if isinstance(part, Binary) and part.op in ("|", "||", ":"):
                hint = "Inside a function, write arithmetic only."
                fail(self.source, part.mark, f"{part.op!r} inside a function", hint)
        return node

    def reject(self, call: Call) -> None:
        """Complain about a call of a function that is not in the table."""
        name = call.function
        if name in self.allowed and name != "mo":
            return
        where = Token("name", name, call.start, call.start + len(name))
        if name in _REJECTED:
            fail(self.source, where, *_REJECTED[name])
        if name in _WHOLE_TERMS:
            fail(self.source, where, f"{name}() cannot be inside another function")
        if name in _LEFT_ONLY:
            fail(self.source, where, f"{name}() belongs to the left of '~'")
        last = name.rpartition(".")[2]
        if "." in name and last in self.allowed:
            fail(self.source, where, f"unknown function {name!r}", f"Write {last}(x).")
        hint = f"{did_you_mean(name, self.allowed)} Add your own with functions={{{name!r}: ...}}."
        fail(self.source, where, f"unknown function {name!r}", hint)

    def smooth(self, call: Call) -> SmoothPart:
        """The arguments of ``s()``, checked."""
        given = dict(call.options)
        if len(call.arguments) != 1 or len(given) < len(call.options) or {*given} - {*_SMOOTH}:
            hint = "Write s(x), s(x, k=20), s(x, by=f), s(x, bs='cr') or s(x, bs='cc', period=12)."
            hint += " Of two columns, s(x) + s(z)." * (len(call.arguments) > 1)
            fail(self.source, call, "these are not the arguments of s()", hint)
        (x,) = map(self.expression, call.arguments)
        by = given.pop("by", None)
        for node in (x, *([by] if by else [])):
            if not self.expression(node).names():
                fail(self.source, node, f"{node.text} uses no column", "Write s(x), s(x, by=f).")
        values = _SMOOTH | {word: self.option(word, node) for word, node in given.items()}
        basis, k, period = values["bs"], values["k"], values["period"]
        if basis not in _LEAST:
            hint = "Use bs='tp' (thin plate), bs='cr' (cubic) or bs='cc' (cyclic, with period=)."
            fail(self.source, given["bs"], f"s() has no basis {basis!r}", hint)
        if type(k) is not int or k < _LEAST[basis]:
            hint = f"For bs={basis!r} it must be a whole number, {_LEAST[basis]} or more."
            fail(self.source, given.get("k", call), f"k is {k}", hint)
        if (basis == "cc") != (period is not None):
            hint = "A cyclic smooth has both: s(x, bs='cc', period=12)."
            fail(self.source, call, "bs='cc' and period= belong together", hint)
        if period is not None and not (isinstance(period, (int, float)) and period > 0):
            fail(self.source, given["period"], f"the period is {period}", "Write a number above 0.")
        return SmoothPart(call, x, by, k, basis, period)

    def option(self, word: str, node: Node) -> Any:
        """The value of an option that is a constant."""
        if not isinstance(node, Literal):
            fail(self.source, node, f"{word} must be a number or text in quotes")
        return node.value

    # Group terms

    def group(self, node: Parens) -> list[GroupPart]:
        bar = node.inner
        assert isinstance(bar, Binary)
        effects_node, shared = bar.left, ""
        if isinstance(bar.left, Binary) and _is_bar(bar.left):
            if "||" in (bar.op, bar.left.op) or not isinstance(bar.left.right, Name):
                hint = "Between two '|' stands a name, (1 + x |id| g), that terms of several "
                hint += "formulas share; else a group term has one '|'."
                fail(self.source, bar.mark, "this is no group term", hint)
            effects_node, shared = bar.left.left, bar.left.right.name
        found = _Sum.empty(True)
        self.add(effects_node, found, keep=True)
        effects = tuple(found.terms.values())
        if found.special or any(effect.is_index for effect in effects):
            hint = "Left of '|' stand columns and calls; for one effect a level write (0 + f | g)."
            fail(self.source, effects_node, "this cannot vary between the levels of a group", hint)
        if not (found.intercept or effects):
            fail(self.source, effects_node, "the group term has no effects", "Write (1 | g).")
        factors_node, options = self.gr(bar.right)
        if shared and options:
            hint = "Leave the id out, or the options of gr()."
            fail(self.source, bar.right, "gr() does not go with an id", hint)
        return [
            GroupPart(
                factors,
                found.intercept,
                effects,
                bar.op == "|",
                node.start,
                node.end,
                shared,
                **options,
            )
            for factors in self.factors(factors_node)
        ]

    def gr(self, node: Node) -> tuple[Node, dict[str, Any]]:
        """The grouping factor of ``gr(g, by=x)`` and its options, as fields of a `GroupPart`."""
        if not (isinstance(node, Call) and node.function == "gr"):
            return node, {}
        given = dict(node.options)
        if len(node.arguments) != 1 or len(node.options) != len({*given} & {*_GR}):
            fail(self.source, node, "these are not the arguments of gr()", f"Write {_GR_USAGE}.")
        options: dict[str, Any] = {}
        if dist := given.get("dist"):
            known = {"gaussian": False, "student": True}
            if not (isinstance(dist, Literal) and dist.value in [*known]):
                hint = 'Write dist="student", or dist="gaussian", which is the default.'
                fail(self.source, dist, f"dist is {dist.text}", hint)
            options["student"] = known[dist.value]
        if flag := given.get("zero_sum"):
            if flag.text not in _FLAGS:
                hint = "Write zero_sum=True or zero_sum=False."
                fail(self.source, flag, f"zero_sum is {flag.text}", hint)
            options["zero_sum"] = _FLAGS[flag.text]
        if by := given.get("by"):
            if not isinstance(by, Name):
                fail(self.source, by, "by= takes a column", "Make the column first.")
            options["by"] = by
        if options.get("zero_sum") and (options.get("student") or by):
            hint = "Leave one of them out."
            fail(self.source, node, "zero_sum=True goes with neither by= nor student", hint)
        return node.arguments[0], options

    def factors(self, node: Node) -> list[tuple[Name, ...]]:
        """The grouping factors right of a bar: two for ``g/h``, namely g and g:h."""
        if isinstance(node, Name):
            return [(node,)]
        if isinstance(node, Parens):
            return self.factors(node.inner)
        if isinstance(node, Binary) and node.op in (":", "/"):
            left, right = self.factors(node.left), self.factors(node.right)
            if len(right) == 1 and (len(left) == 1 or node.op == "/"):
                nested = (*left[-1], *right[0])
                return [*left, nested] if node.op == "/" else [nested]
        if isinstance(node, Call):
            if node.function in _REJECTED:
                self.reject(node)
            hint = f"Make a column of {node.text} in the data frame, and group by that column."
            fail(self.source, node, "a grouping factor must be a column", hint)
        if isinstance(node, Binary) and node.op in "+*":
            hint = f"Write (1 | {node.left.text}) + (1 | {node.right.text})"
            hint += "." if node.op == "+" else f" + (1 | {node.left.text}:{node.right.text})."
            fail(self.source, node.mark, f"{node.op!r} cannot join grouping factors", hint)
        fail(self.source, node, "this is no grouping factor", "Write g, g:h or g/h.")

    # Checks of the whole

    def check_response_is_no_predictor(self, formula: Formula) -> None:
        modelled = {name.name for name in formula.response.value.names()}
        for name in formula.predictor_names():
            if name.name in modelled:
                message = f"the response {name.name!r} is also a predictor"
                fail(self.source, name, message, "Remove it from the right of '~'.")

    def check_shared(self, groups: Sequence[GroupPart]) -> None:
        """Refuse an id that two terms of this formula have for the same factor."""
        for i, group in enumerate(groups):
            if group.id and any((g.id, g.name) == (group.id, group.name) for g in groups[:i]):
                hint = f"Write one term, (1 + x |{group.id}| {group.name})."
                fail(self.source, group, f"the id {group.id!r} occurs twice", hint)

    def check_repeated_effects(self, groups: Iterable[GroupPart]) -> None:
        seen: set[tuple[frozenset[str], frozenset[str]]] = set()
        for group in groups:
            factor = frozenset(name.name for name in group.factors)
            keys = [frozenset(["1"])] * group.intercept + [term.key for term in group.effects]
            for name, key in zip(group.effect_names, keys, strict=True):
                if (factor, key) in seen:
                    other = [effect.name for effect in group.effects] or ["x"]
                    hint = "Keep one of them."
                    if name == "1":
                        hint += f" (x | g) is (1 + x | g); write (0 + {other[0]} | {group.name})"
                        hint += " for no intercept."
                    message = f"the effect {name}|{group.name} occurs twice"
                    fail(self.source, group, message, hint)
                seen.add((factor, key))


def _is_bar(node: Node) -> bool:
    return isinstance(node, Binary) and node.op in ("|", "||")


def _summands(node: Node) -> list[Node]:
    """The parts of a sum, through parentheses."""
    if isinstance(node, Parens):
        return _summands(node.inner)
    if isinstance(node, Unary) or (isinstance(node, Binary) and node.op in "+-"):
        return [part for child in node.children for part in _summands(child)]
    return [node]


def _unique(terms: Iterable[CommonTerm]) -> list[CommonTerm]:
    found: dict[frozenset[str], CommonTerm] = {}
    for term in terms:
        found.setdefault(term.key, term)
    return list(found.values())


def _product(terms: Iterable[CommonTerm]) -> CommonTerm:
    product = CommonTerm(())
    for term in terms:
        product = product * term
    return product


def _interactions(left: list[CommonTerm], right: list[CommonTerm]) -> list[CommonTerm]:
    return [a * b for a in left for b in right]


_PRODUCTS = {
    ":": _interactions,
    "*": lambda left, right: left + right + _interactions(left, right),
    "/": lambda left, right: left + _interactions([_product(left)], right),
    "**": _interactions,
}
