"""What a formula says, read and checked, before it has seen any data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hiermod.formula.nodes import Call, Name, Node


@dataclass(frozen=True)
class ResponsePart:
    """The left-hand side.

    Attributes
    ----------
    value : Node
        The expression that is modelled; its text is the name of the response.
    columns : tuple of Node
        Of a response of several columns, ``c(a, b)``: these.
    trials, rate, weights : Node, optional
    frequency : Node, optional
        How many equal rows a row stands for.
    se : Node, optional
        Known standard errors.
    keeps_sigma : bool
        Whether sigma adds to them.
    status, y2 : Node, optional
        How a row is censored, and the upper end of its interval.
    lower, upper : Node, optional
        Between which bounds responses are observed at all.
    decision : Node, optional
        Which boundary was reached, of a response that is the time that took.
    """

    value: Node
    columns: tuple[Node, ...] = ()
    trials: Node | None = None
    rate: Node | None = None
    weights: Node | None = None
    frequency: Node | None = None
    se: Node | None = None
    keeps_sigma: bool = False
    status: Node | None = None
    y2: Node | None = None
    lower: Node | None = None
    upper: Node | None = None
    decision: Node | None = None

    @property
    def name(self) -> str:
        """Name of the response, for example ``"surv"`` or ``"log(y)"``."""
        return self.value.text

    def nodes(self) -> list[Node]:
        """The expressions of the left-hand side."""
        sizes = (self.trials, self.rate, self.weights, self.frequency)
        given = (*sizes, self.se, self.status, self.y2, self.lower, self.upper, self.decision)
        return [*(self.columns or [self.value]), *(node for node in given if node is not None)]


@dataclass(frozen=True)
class CommonTerm:
    """A product of expressions; one factor for a main effect.

    Attributes
    ----------
    factors : tuple of Node
        Columns and calls; no two have the same text.
    """

    factors: tuple[Node, ...]

    @property
    def name(self) -> str:
        """Name of the term, for example ``"floor:uranium"``."""
        return ":".join(factor.text for factor in self.factors)

    @property
    def key(self) -> frozenset[str]:
        """What makes two terms the same: their factors, in any order."""
        return frozenset(factor.text for factor in self.factors)

    @property
    def is_index(self) -> bool:
        """Whether the term has one coefficient for every level, ``index(f)``."""
        return any(call.function == "index" for f in self.factors for call in f.calls())

    @property
    def monotonic(self) -> list[Call]:
        """The calls of mo(), which has one coefficient for every step of an ordered column."""
        return [call for f in self.factors for call in f.calls() if call.function == "mo"]

    @property
    def is_whole(self) -> bool:
        """Whether the term is a whole basis, ``bs(x, df=7, center=False)``."""
        return any(
            word == "center" and node.text == "False"
            for factor in self.factors
            for call in factor.calls()
            for word, node in call.options
        )

    def among(self, names: Collection[str]) -> CommonTerm:
        """The product of the factors with these texts."""
        return CommonTerm(tuple(f for f in self.factors if f.text in names))

    def __mul__(self, other: CommonTerm) -> CommonTerm:
        """The interaction of two terms."""
        new = tuple(factor for factor in other.factors if factor.text not in self.key)
        return CommonTerm(self.factors + new)


@dataclass(frozen=True)
class GroupPart:
    """One group term, ``(effects | factor)``; ``g/h`` has become two of them.

    Attributes
    ----------
    factors : tuple of Name
        The columns whose combinations are the levels.
    intercept : bool
    effects : tuple of CommonTerm
        What varies beside the intercept.
    correlated : bool
        ``|``, not ``||``.
    start, end : int
        The place of the parentheses in the text.
    id : str
        Of ``(effects |id| factor)``: effects that share it are correlated across formulas.
    student, zero_sum : bool
        Of ``gr(factor, dist="student")`` and ``gr(factor, zero_sum=True)``.
    by : Name, optional
        Of ``gr(factor, by=column)``.
    """

    factors: tuple[Name, ...]
    intercept: bool
    effects: tuple[CommonTerm, ...]
    correlated: bool
    start: int
    end: int
    id: str = ""
    student: bool = False
    zero_sum: bool = False
    by: Name | None = None

    @property
    def name(self) -> str:
        """Name of the grouping factor, for example ``"school:class"``."""
        return ":".join(factor.name for factor in self.factors)

    @property
    def effect_names(self) -> list[str]:
        """Names of the effects, ``"1"`` for the intercept."""
        return ["1"] * self.intercept + [effect.name for effect in self.effects]


@dataclass(frozen=True)
class SmoothPart:
    """One smooth, ``s(x, k=10, by=f)``.

    Attributes
    ----------
    call : Call
        The whole of it.
    x : Node
        What it is a function of.
    by : Node, optional
        A factor, with a smooth for every level, or a number that multiplies the smooth.
    k : int
        Size of the basis before the smooth is centred, as in mgcv.
    basis : str
        ``"tp"``, ``"cr"`` or ``"cc"``.
    period : float, optional
        Of a cyclic basis.
    """

    call: Call
    x: Node
    by: Node | None
    k: int
    basis: str
    period: float | None

    @property
    def name(self) -> str:
        """As written, for example ``"s(x, k=5)"``."""
        return self.call.text

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The expressions that are evaluated."""
        return (self.x, self.by) if self.by else (self.x,)


@dataclass(frozen=True)
class Formula:
    """A formula that has been read and checked, not yet seen any data.

    Attributes
    ----------
    text : str
        As the user wrote it, on one line.
    response : ResponsePart
    intercept : bool
        Whether there is a common intercept.
    common : tuple of CommonTerm
        The common terms without the intercept, interactions expanded.
    groups : tuple of GroupPart
    offsets : tuple of Node
        The expressions inside ``offset()``; they are added.
    smooths : tuple of SmoothPart
    """

    text: str
    response: ResponsePart
    intercept: bool
    common: tuple[CommonTerm, ...]
    groups: tuple[GroupPart, ...]
    offsets: tuple[Node, ...]
    smooths: tuple[SmoothPart, ...] = ()

    def __str__(self) -> str:
        return self.text

    def predictors(self) -> list[Node]:
        """The expressions of the common terms, of the smooths and of the effects of groups."""
        effects = [effect for group in self.groups for effect in group.effects]
        factors = [factor for term in (*self.common, *effects) for factor in term.factors]
        return factors + [node for smooth in self.smooths for node in smooth.nodes]

    def predictor_names(self) -> list[Name]:
        """Every column on the right, those of grouping factors included, with repetitions."""
        factors = [factor for group in self.groups for factor in group.factors]
        factors += [group.by for group in self.groups if group.by]
        nodes = (*self.predictors(), *factors, *self.offsets)
        return [name for node in nodes for name in node.names()]

    def response_names(self) -> list[Name]:
        """Every column on the left, with repetitions."""
        return [name for node in self.response.nodes() for name in node.names()]

    def calls(self) -> list[Call]:
        """Every function call that is evaluated, with repetitions."""
        nodes = (*self.response.nodes(), *self.predictors(), *self.offsets)
        return [call for node in nodes for call in node.calls()]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the formula needs, in order of appearance.

        Examples
        --------
        >>> from hiermod.formula import parse
        >>> parse("prop(surv, n) ~ size + (1 | tank)").columns
        ('surv', 'n', 'size', 'tank')
        """
        names = [name.name for name in (*self.response_names(), *self.predictor_names())]
        return tuple(dict.fromkeys(names))
