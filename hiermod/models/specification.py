"""The specification: a design, a family, a link and a prior for every parameter, all checked."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hiermod.errors import ModelError, PriorError, did_you_mean
from hiermod.formula.design import Design, Group, Smooth, Term, label
from hiermod.formula.matrices import spread
from hiermod.models import centring, decorations, defaults, families, links, priors, responses
from hiermod.models.priors import Prior
from hiermod.models.shrinkage import Shrinkage, monotonic

FloatArray = NDArray[np.float64]

CLASSES = ("Intercept", "common", "group_sigma", "group_cor", "smooth_sigma")
"""Roles whose name is also a class key of ``priors=``."""

FEW_EFFECTS = 8
"""Most effects of a level that are conditioned on the data: with more, finding what the data say of
them costs more than it saves (measured: see docs/sampling.md)."""


@dataclass(frozen=True)
class Parameter:
    """A part of the joint distribution that has a prior.

    Attributes
    ----------
    name : str
        Name in the posterior and key in ``priors=``.
    identifier : str
        Name in the joint distribution, a Python identifier.
    role : str
        ``"Intercept"``, ``"common"``, ``"scale"`` (that coefficients are made with),
        ``"group_sigma"``, ``"group_cor"``, ``"group_df"``, ``"smooth_sigma"`` or ``"auxiliary"``.
    labels : tuple of str
        Labels of its elements; empty for a scalar, or a single correlation.
    size : int
        Rows and columns of a correlation; 0 otherwise.
    support : str
        What its prior is cut to, or must keep to: ``"positive"``, ``"probability"``, ``"simplex"``
        or ``"real"``.
    of : str
        The parameter of the family whose linear predictor it belongs to; empty for the mean.
    prior : Prior
    own : tuple of Prior
        Those of single elements, whose source is their name.
    outcome : bool
        Whether that predictor is one of several that the formula of the response stands for.
    """

    name: str
    identifier: str
    role: str
    labels: tuple[str, ...]
    prior: Prior
    size: int = 0
    support: str = "real"
    of: str = ""
    own: tuple[Prior, ...] = ()
    outcome: bool = False

    @property
    def elements(self) -> tuple[str, ...]:
        """Names of elements that can have priors of their own, as in summaries: ``f[b]``.

        Ordered numbers share one: sorted draws of it are drawn from their prior. So do those that
        sum to 1.
        """
        if self.support in ("ordered", "simplex"):
            return ()
        return tuple(label(f"{self.name}[{name}]") for name in self.labels)

    @property
    def kind(self) -> str:
        """Its key in ``priors=`` together with others: a class, or its name."""
        if self.role == "scale":
            return self.prior.source
        return _prefixed(self.of, self.role) if self.role in CLASSES else self.name

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of ``priors=`` that it heeds, the first that is given."""
        every = tuple(key.removeprefix(f"{self.of}_") for key in (self.name, self.kind))
        name, kind = every if self.outcome else ("", "")
        return tuple(filter(None, (self.name, name, self.kind, kind)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a single draw."""
        square = (self.size, self.size) if self.size else ()
        return (len(self.labels), *square) if self.labels else square


@dataclass(frozen=True)
class GroupEffects:
    """The effects of one group term and their parameters.

    Attributes
    ----------
    group : Group
    sigmas : tuple of Parameter
        Standard deviations, one parameter for each of `group.effects`.
    cor : Parameter, optional
        Correlation of the effects of a level.
    df : Parameter, optional
        Degrees of freedom of Student-t effects.
    identifier : str
        Of the part that holds the effects in the joint distribution, shape `part_shape`.
    function : str
        Name of the function of the program that gives the deviations.
    noncentered : bool
        Whether that part holds standard normal values, which sigma and the correlation turn into
        deviations, or the deviations themselves.
    whole : GroupEffects, optional
        The effects of several linear predictors, correlated with each other, that these are a part
        of: they have the part of the joint distribution.
    first : int
        Number of the first of these effects among the whole.
    conditioned : bool
        Whether the sampler may move them by what the data say of each level, in place of a form;
        see `hiermod.models.conditioning`.
    """

    group: Group
    sigmas: tuple[Parameter, ...]
    cor: Parameter | None
    df: Parameter | None
    identifier: str
    key: str
    noncentered: bool
    whole: GroupEffects | None = None
    first: int = 0
    conditioned: bool = False

    @property
    def constant(self) -> bool:
        """Whether a single effect is all, and an intercept: no predictor is needed."""
        return [e.kind for e in self.group.effects] == ["intercept"]

    @property
    def shape(self) -> tuple[int, int]:
        """Effects and levels, (K, J)."""
        return self.group.Z.shape[1], len(self.group.levels)

    @property
    def scaled(self) -> bool:
        """Whether the part holds standardised values of effects that do not integrate out."""
        return self.noncentered and bool(self.group.special)

    @property
    def part_shape(self) -> tuple[int, int]:
        """Shape of the part: where effects sum to zero, they have a dimension less than levels."""
        return self.shape[0], self.shape[1] - self.group.zero_sum

    def name(self, effect: Term) -> str:
        """Name of the deviations of one effect in the posterior."""
        return f"{effect.name}|{self.group.factor}"


@dataclass(frozen=True)
class Shrunk:
    """Common coefficients that are standardised values times scales made of other parameters.

    Attributes
    ----------
    key : str
        Key of the prior that they share.
    identifier : str
        Name of their scales in the program.
    members : tuple of Parameter
        The coefficients; as parts of the joint distribution they are standardised.
    scales : tuple of Parameter
        One for each of `Shrinkage.scales`.
    unit : Parameter, optional
        The sigma that multiplies the scales.
    """

    key: str
    identifier: str
    members: tuple[Parameter, ...]
    scales: tuple[Parameter, ...]
    unit: Parameter | None

    @property
    def shrinkage(self) -> Shrinkage:
        """How the scales are made."""
        found = self.members[0].prior.shrinkage
        assert found
        return found

    @property
    def labels(self) -> tuple[str, ...]:
        """A label for each coefficient."""
        return tuple(name for p in self.members for name in p.elements or (p.name,))

    def slices(self) -> Iterator[int | slice]:
        """Of each member among the coefficients: its place, or those of its elements."""
        begin = 0
        for p in self.members:
            yield slice(begin, begin + len(p.labels)) if p.labels else begin
            begin += max(len(p.labels), 1)


@dataclass(frozen=True)
class SmoothEffects:
    """The penalised part of a smooth and its parameter.

    Attributes
    ----------
    smooth : Smooth
    sigma : Parameter
        Standard deviation of the coefficients; one for each level of a factor that it is by.
    identifier : str
        Of the part that holds the coefficients in the joint distribution.
    key : str
        End of the name of its array in the program.
    noncentered : bool
        Whether that part holds standard normal values, which times sigma are the coefficients, or
        the coefficients themselves.
    """

    smooth: Smooth
    sigma: Parameter
    identifier: str
    key: str
    noncentered: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the coefficients, (K,) or (J, K)."""
        return self.smooth.Z.shape[1:]

    @property
    def dims(self) -> dict[str, list[Any]]:
        """Dimensions of the coefficients, with labels: those of `sigma` first."""
        name, levels = self.smooth.name, list(self.smooth.levels)
        by = {f"{name}_by_dim": levels} if levels else {}
        return by | {f"{name}_dim": list(range(self.shape[-1]))}


@dataclass(frozen=True)
class Predictor:
    """A linear predictor: of the mean, or of another parameter of the family.

    Attributes
    ----------
    parameter : str
        The parameter; empty for the mean.
    design : Design
    link : Link
    center : bool
        Whether the common predictors are centred and the prior of the intercept speaks of the
        intercept at their means.
    intercept : Parameter, optional
    common : tuple of Parameter
        One for each of `design.terms`.
    shrunk : tuple of Shrunk
        Those of `common` whose scales are made of other parameters.
    groups : tuple of GroupEffects
    smooths : tuple of SmoothEffects
    start : float
        The intercept at which the linear predictor begins.
    """

    parameter: str
    design: Design
    link: links.Link
    center: bool
    intercept: Parameter | None
    common: tuple[Parameter, ...]
    shrunk: tuple[Shrunk, ...]
    groups: tuple[GroupEffects, ...]
    smooths: tuple[SmoothEffects, ...]
    start: float

    @cached_property
    def means(self) -> FloatArray:
        """What is subtracted from the common predictors, shape (P,)."""
        if self.center:
            return np.asarray(self.design.X.mean(axis=0))
        return np.zeros(self.design.X.shape[1])

    @property
    def centred(self) -> bool:
        """Whether there is something that is centred."""
        return self.center and bool(self.common)

    @property
    def scales(self) -> tuple[Parameter, ...]:
        """What the scales of common coefficients are made of."""
        return tuple(p for block in self.shrunk for p in block.scales)

    @property
    def suffix(self) -> str:
        """End of the names of its arrays and functions in the program."""
        return f"_{self.parameter}" if self.parameter else ""


@dataclass(frozen=True)
class Specification(Predictor):
    """A model, complete and checked; nothing is compiled yet.

    As a `Predictor` it is that of the mean.

    Attributes
    ----------
    family, plain : Family
        With what decorates the response, and without.
    others : tuple of Predictor
        Of the parameters that have a formula of their own.
    auxiliary : tuple of Parameter
        The other parameters of the family, such as ``sigma``.
    response : str
        Identifier of the response in the joint distribution.
    outcomes : tuple of str
        Those of `others` that the formula of the response stands for: one for each of several
        probabilities but the first. The predictor of the mean is empty then.
    """

    family: families.Family
    plain: families.Family
    others: tuple[Predictor, ...]
    auxiliary: tuple[Parameter, ...]
    response: str
    outcomes: tuple[str, ...]

    @property
    def predictors(self) -> tuple[Predictor, ...]:
        """That of the mean, and the others."""
        return (self, *self.others)

    @property
    def thresholds(self) -> tuple[Parameter, ...]:
        """Those between categories: of the mean, whose intercept they carry, come first."""
        known = self.family.parameters
        return tuple(p for p in self.auxiliary if known[p.name].thresholds)

    def distance(self, p: Parameter) -> Parameter | None:
        """That between neighbouring thresholds, if `p` is the first of them alone."""
        known = self.family.parameters.get(p.name)
        return next((q for q in self.auxiliary if known and q.name == known.distance), None)

    @property
    def categories(self) -> tuple[str, ...]:
        """Labels of all thresholds."""
        return responses.below(self.family, self.design.response)

    @property
    def at_means(self) -> dict[str, Predictor]:
        """Names of parameters whose priors speak of the predictors' means, with the predictor."""
        found = {p.intercept.name: p for p in self.predictors if p.intercept and p.centred}
        located = {p.name: self.seen_from(p) for p in self.thresholds}
        return found | {name: p for name, p in located.items() if p and p.centred}

    def seen_from(self, threshold: Parameter) -> Predictor | None:
        """The linear predictor that thresholds are compared with, if it has a formula."""
        mean = mean_of(threshold.name)
        return next((p for p in self.predictors if p.parameter == mean), None)

    @cached_property
    def every_group(self) -> tuple[GroupEffects, ...]:
        """The group terms of all predictors; once, those that are parts of a whole."""
        found = {(g.whole or g).identifier: g.whole or g for p in self.predictors for g in p.groups}
        return tuple(found.values())

    @property
    def every_smooth(self) -> tuple[SmoothEffects, ...]:
        """The smooths of all predictors."""
        return tuple(smooth for p in self.predictors for smooth in p.smooths)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Everything that has a prior, in the order of the joint distribution."""
        linear = [
            part
            for p in self.predictors
            for part in (*((p.intercept,) if p.intercept else ()), *p.common, *p.scales)
        ]
        grouped = [
            p
            for g in self.every_group
            for p in (*g.sigmas, *((g.cor,) if g.cor else ()), *((g.df,) if g.df else ()))
        ]
        return (*linear, *grouped, *(s.sigma for s in self.every_smooth), *self.auxiliary)


class _Identifiers:
    """Gives every name a Python identifier of its own, none of those that are taken."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def __call__(self, name: str) -> str:
        base = re.sub(r"\W+", "_", name).strip("_") or "term"
        base = base if base.isascii() else "".join(c if c.isascii() else "_" for c in base)
        if base[0].isdigit() or keyword.iskeyword(base):
            base = f"_{base}" if base[0].isdigit() else f"{base}_"
        base = base.lstrip("_") if not base.lstrip("_")[:1].isdigit() else f"x{base.lstrip('_')}"
        base, i = base or "term", 2
        identifier = base
        while identifier in self._taken:
            identifier, i = f"{base}_{i}", i + 1
        self._taken.add(identifier)
        return identifier


def specify(
    design: Design,
    family: str | families.Family = "gaussian",
    link: str | Mapping[str, str] | None = None,
    priors_: Mapping[str, Any] | None = None,
    center: bool = True,
    noncentered: bool | Mapping[str, bool] | None = None,
) -> Specification:
    """Put a model together and check it.

    Parameters
    ----------
    design : Design
    family : str or Family
    link : str or mapping from parameter to str, optional
        Of the mean, or by parameter, where that of the mean is called ``"mu"``; by default those of
        the family.
    priors_ : mapping, optional
        From names or classes to strings or TFP distributions; a name wins over its class.
    center : bool
        Without an intercept nothing is centred.
    noncentered : bool or mapping from grouping factor to bool, optional
        What is not given is chosen by the data, see `hiermod.models.centring`.

    Returns
    -------
    Specification

    Raises
    ------
    ModelError, DataError, PriorError
        See `hiermod.model`.
    """
    kind = families.family(family)
    kind, design, outcomes = _settled(kind, design)
    if not isinstance(center, bool):
        raise ModelError(f"center must be True or False, not {center!r}.")
    _check_formulas(kind, design)
    chosen = _links(kind, link, design)
    plain, kind = kind, decorations.decorated(kind, chosen[""], design.response)
    for name in set(design.parameters) - set(kind.parameters):
        raise ModelError(
            f"known standard errors take the place of {name!r}, which has a formula: write "
            f"se({design.response.name}, s, {name}=True) to keep both."
        )
    functions = {
        f"{function}{suffix}"
        for function in ("linear_predictor", "coefficients")
        for suffix in ("", *(f"_{name}" for name in design.parameters))
    }
    identifiers = _Identifiers({*links.RESERVED, *functions, *kind.parameters})
    anchored = _anchored(kind)
    centred = {  # a scale that thresholds carry is one at predictors = 0
        name: center and part.intercept and not (name in anchored and name.startswith("disc"))
        for name, part in _parts(design)
    }
    rules = {
        name: defaults.Defaults.of(
            replace(part, response=design.response), kind, chosen[""], centred[name]
        )
        if name in {"", *anchored} and not name.startswith("disc")
        else defaults.Defaults.of_parameter(
            part, design.response, kind, name, chosen[name], centred[name]
        )
        for name, part in _parts(design)
    }
    blocks = _blocks(design)
    drafts = list(_drafts(design, kind, blocks, rules, identifiers))
    if not drafts:
        raise ModelError("the model has no parameters: add an intercept or a predictor.")
    drafts = [replace(d, outcome=d.of in outcomes) for d in drafts]
    steps = [t for _, part in _parts(design) for t in part.terms if t.kind == "monotonic"]
    given = _given(priors_, drafts, steps)
    made = {d.name: _with_prior(d, given) for d in drafts}
    made |= {term.name: _steps(made[term.name], term, given) for term in steps}
    unit = made.get("sigma") if chosen[""].name == "identity" else None
    shrunk = {
        name: tuple(
            _shrunk([made[t.name] for t in part.terms], identifiers, None if name else unit)
        )
        for name, part in _parts(design)
    }
    scales = [p for blocks_ in shrunk.values() for block in blocks_ for p in block.scales]
    _check_names([*drafts, *scales], design)
    deviate = blocks or any(part.smooths for _, part in _parts(design))
    if all(p.prior.constant for p in made.values()) and not deviate:
        raise PriorError(
            "every parameter has a constant prior: there is nothing to estimate. Leave one of them "
            f"out of priors=: {', '.join(made)}."
        )
    forms, given_forms = _forms(design, plain, chosen[""], outcomes, noncentered)
    grouped: dict[str, list[GroupEffects]] = {name: [] for name, _ in _parts(design)}
    for block in blocks:
        for (name, _), effects in zip(
            block, _effects(block, design, made, identifiers, forms), strict=True
        ):
            group = effects.group
            bound = effects.whole is not None or group.by is not None or group.zero_sum
            bound |= group.factor in given_forms or chosen[name].partial or kind.decisions
            bound |= group.Z.shape[1] > FEW_EFFECTS
            free = not bound and name in ("", *outcomes)
            grouped[name].append(replace(effects, conditioned=free))
    typical = defaults.typical_eta(design, kind, chosen[""])
    mean, *others = (
        Predictor(
            parameter=name,
            design=part,
            link=chosen[name],
            center=centred[name],
            intercept=made.get(_prefixed(name, "Intercept")),
            common=tuple(made[t.name] for t in part.terms),
            shrunk=shrunk[name],
            groups=tuple(grouped[name]),
            smooths=tuple(
                _smooth_effects(smooth, made, identifiers, forms[name]) for smooth in part.smooths
            ),
            start=rules[name].location if name else typical,
        )
        for name, part in _parts(design)
    )
    return Specification(
        **{f.name: getattr(mean, f.name) for f in fields(Predictor)},
        family=kind,
        plain=plain,
        others=tuple(others),
        auxiliary=tuple(made[n] for n in kind.parameters if n not in design.parameters),
        response=identifiers(design.response.name),
        outcomes=outcomes,
    )


def _settled(
    kind: families.Family, design: Design
) -> tuple[families.Family, Design, tuple[str, ...]]:
    """Family and design, the response in the family's numbers, and parameters for its outcomes."""
    design = replace(design, response=responses.numbered(kind, design.response))
    responses.check(kind, design.response)
    if not kind.single:
        return kind, design, ()
    whole = kind.spread(design.response.columns or design.response.levels)
    outcomes = tuple(name for name in whole.parameters if name not in kind.parameters)
    return whole, spread(design, outcomes), outcomes


def _anchored(kind: families.Family) -> set[str]:
    """Linear predictors that have no intercept, as thresholds carry the place and the scale.

    That of the mean is "". Components of a mixture have thresholds in common, and the scale of the
    first, or each its own.
    """
    count = sum(p.thresholds for p in kind.parameters.values())
    pattern = r"mu\d+|disc\d*" if count > 1 else "disc1?"
    return {"", *filter(re.compile(pattern).fullmatch, kind.parameters)} if count else set()


def _check_thresholds(kind: families.Family, design: Design) -> None:
    """Refuse formulas that leave out an intercept which is not there, and have one all the same."""
    for name, part in _parts(design):
        if name not in _anchored(kind) or part.intercept:
            continue
        if not name.startswith("disc"):
            of = f" of {name}" if name else ""
            raise ModelError(
                f"family {kind.name!r} has thresholds in place of an intercept: leave 0 + (or - 1) "
                f"out of the formula{of}."
            )
        for term in part.terms:
            if defaults.is_index(part.X[:, term.columns]):
                factor = term.name.removeprefix(f"{name}_")
                raise ModelError(
                    f"all levels of {factor} together are an intercept of {name}, which cannot be "
                    "told from the scale of the thresholds: leave 0 + (or - 1) out of the formula "
                    f"of {name}, and it is 1 at the first level."
                )


def _check_formulas(kind: families.Family, design: Design) -> None:
    """Refuse formulas that the family has no use for."""
    if kind.categories == "ordered":
        _check_thresholds(kind, design)
    for name in design.parameters:
        if name not in kind.parameters:
            known = ", ".join(kind.parameters) or "none beside the mean"
            raise ModelError(f"family {kind.name!r} has no parameter {name!r}. It has: {known}.")
        if kind.parameters[name].thresholds:
            raise ModelError(
                f"{name!r} has one value for each pair of categories and cannot have a formula: "
                "what shifts them all is the formula of the response."
            )
        if name in kind.distances:
            raise ModelError(
                f"{name!r} is the distance between thresholds and cannot have a formula: what "
                "shifts them all is the formula of the response, what stretches them that of disc."
            )
        if kind.parameters[name].size:
            raise ModelError(
                f"{name!r} has several values and cannot have a formula: leave {name}= out"
                + (', or write hm.mixture(..., shares="softmax").' if kind.mixed else ".")
            )


def _drafts(
    design: Design,
    kind: families.Family,
    blocks: Iterable[Block],
    rules: Mapping[str, defaults.Defaults],
    identifiers: _Identifiers,
) -> Iterator[Parameter]:
    """All parameters with their default priors."""
    for name, part in _parts(design):
        for draft in _linear(name, part, rules[name], identifiers):
            if not (name in _anchored(kind) and draft.role == "Intercept"):
                yield draft
    for block in blocks:
        yield from _grouped(block, design, rules, identifiers)
    for name, part in _parts(design):
        yield from _smoothed(name, part, rules[name], identifiers)
    for name, auxiliary in kind.parameters.items():
        if name not in design.parameters:
            prior, support = rules[""].auxiliary(auxiliary), auxiliary.support
            labels = tuple(str(k + 1) for k in range(auxiliary.size))
            if auxiliary.thresholds:
                prior, labels = _located(name, rules), responses.below(kind, design.response)
                labels = labels[:1] if auxiliary.distance else labels
            yield Parameter(name, name, "auxiliary", labels, prior, support=support)


def _located(threshold: str, rules: Mapping[str, defaults.Defaults]) -> Prior:
    """The default prior of thresholds, from the linear predictor that they are compared with."""
    mean = mean_of(threshold)
    if mean in rules:
        return rules[mean].intercept()
    return priors.make("normal", 0.0, 2.5, source="default")


def mean_of(threshold: str) -> str:
    """The parameter of the linear predictor that thresholds are compared with: "" of the first.

    Examples
    --------
    >>> mean_of("threshold"), mean_of("threshold1"), mean_of("threshold2")
    ('', '', 'mu2')
    """
    number = re.sub(r"\D", "", threshold)
    return f"mu{number}" if number not in ("", "1") else ""


def _given(
    priors_: Mapping[str, Any] | None, drafts: Sequence[Parameter], steps: Sequence[Term]
) -> dict[str, Prior]:
    """The user's priors by key; `steps` are the monotonic terms.

    A prior of ``mo(x):f`` is that of every level, ``mo(x):f[b]``, that has none of its own.
    """
    elements = {name for d in drafts if not d.size for name in d.elements}
    names = {name for term in steps for name in (term.name, term.product)}
    keys = {key for d in drafts for key in d.keys} | names
    ends = ("_mean", "_simplex")
    keys |= {f"{name}{end}" for name in names for end in ends}
    keys |= {
        f"{name}_{end}"
        for term in steps
        for name in (term.name, term.product)
        for end in _simplexes(term)
    }
    given = priors.merge(priors_, keys, elements)
    for name in sorted(names):
        if name in given and f"{name}_mean" in given:
            raise PriorError(f"{name!r} and '{name}_mean' are the same prior: give one of them.")
    of_means = {
        term.name: given[f"{name}{end}"]
        for term in steps
        for name in (term.product, term.name)
        for end in ("", "_mean")
        if f"{name}{end}" in given
    }
    return given | of_means


def _parts(design: Design) -> Iterator[tuple[str, Design]]:
    """The design of the mean, named "", and those of other parameters."""
    yield "", design
    yield from design.parameters.items()


def _prefixed(parameter: str, name: str) -> str:
    """A name of a part of a linear predictor, as in the posterior."""
    return f"{parameter}_{name}" if parameter else name


def _links(
    family: families.Family, link: str | Mapping[str, str] | None, design: Design
) -> dict[str, links.Link]:
    """The link of every linear predictor."""
    given = dict(link) if isinstance(link, Mapping) else {"mu": link} if link else {}
    for name in given:
        if name != "mu" and name not in design.parameters:
            raise ModelError(
                f"link names {name!r}, which has no formula. "
                f"{did_you_mean(str(name), ('mu', *design.parameters))}"
            )
    where = f"of family {family.name!r}"
    out = {"": links.link(given.get("mu", family.links[0]), family.links, f"the mean {where}")}
    for name in design.parameters:
        allowed = family.parameters[name].allowed
        out[name] = links.link(given.get(name, allowed[0]), allowed, f"{name!r} {where}")
    return out


def _linear(
    parameter: str, design: Design, rule: defaults.Defaults, identifiers: _Identifiers
) -> Iterator[Parameter]:
    """The intercept and coefficients of a linear predictor with their default priors."""
    if design.intercept:
        name = _prefixed(parameter, "Intercept")
        yield Parameter(name, identifiers(name), "Intercept", (), rule.intercept(), of=parameter)
    for term in design.terms:
        identifier, columns, labels = identifiers(term.name), design.X[:, term.columns], term.labels
        if term.kind == "monotonic":  # first the average step, as of a number; see `_steps`
            columns, labels = columns.sum(axis=1, keepdims=True), ()
        prior = rule.common(term, columns)
        yield Parameter(term.name, identifier, "common", labels, prior, of=parameter)


def _steps(p: Parameter, term: Term, given: Mapping[str, Prior]) -> Parameter:
    """The coefficients of the steps of a monotonic term, from the parameter of the average step."""
    if p.prior.shrinkage:
        raise PriorError(
            f"prior of {p.name!r}, {p.prior.text!r}, does not fit: a monotonic term cannot share "
            "scales with other terms. Give it one of numbers, such as normal(0, 1)."
        )
    simplexes = {}
    for end, labels in zip(_simplexes(term), term.steps, strict=True):
        keys = [f"{name}_{e}" for e in (end, "simplex") for name in (p.name, term.product)]
        known = next((given[key] for key in keys if key in given), None)
        simplexes[end] = known or priors.parse("dirichlet(1)", "default"), labels
    made = replace(
        priors.make("constant", 1.0, source=p.name),
        text=f"steps of {p.name}",
        shrinkage=monotonic(p.prior, simplexes),
    )
    return replace(p, labels=term.labels, prior=made)


def _simplexes(term: Term) -> tuple[str, ...]:
    """Ends of the names of the simplexes of a monotonic term, with a number if there are two."""
    if len(term.steps) == 1:
        return ("simplex",)
    return tuple(f"simplex{k}" for k in range(1, len(term.steps) + 1))


def _shrunk(
    common: Sequence[Parameter], identifiers: _Identifiers, unit: Parameter | None
) -> Iterator[Shrunk]:
    """The coefficients of a predictor that share a shrinkage prior, and what it is made of."""
    for key in dict.fromkeys(p.prior.source for p in common if p.prior.shrinkage):
        members = tuple(p for p in common if p.prior.source == key)
        block = Shrunk(key, identifiers(f"scale_{key}"), members, (), None)
        if "{unit}" in block.shrinkage.code:
            block = replace(block, unit=unit)
        scales = []
        for scale in block.shrinkage.scales:
            name, prior = f"{key}_{scale.name}", scale.prior
            labels = scale.labels or block.labels
            draft = Parameter(
                name,
                identifiers(name),
                scale.role,
                labels if scale.each else (),
                priors.parse(prior, key) if isinstance(prior, str) else prior,
                support=scale.support,
                of=members[0].of,
            )
            if scale.support == "simplex" and len(block.labels) < 2:
                raise PriorError(
                    f"prior of {key!r}, {members[0].prior.text!r}, divides variance among "
                    "coefficients, but there is only one: give it normal(0, exponential(1)), or "
                    "the same prior to all by 'common'."
                )
            scales.append(_with_prior(draft, {}))
        yield replace(block, scales=tuple(scales))


def _smoothed(
    parameter: str, design: Design, rule: defaults.Defaults, identifiers: _Identifiers
) -> Iterator[Parameter]:
    """The standard deviations of the smooths of a linear predictor with their default priors."""
    for smooth in design.smooths:
        yield Parameter(
            f"{smooth.name}_sigma",
            identifiers(f"sigma_{smooth.name}"),
            "smooth_sigma",
            smooth.levels,
            rule.smooth_sigma(),
            support="positive",
            of=parameter,
        )


Block = list[tuple[str, Group]]
"""Group terms whose effects are correlated, each with the parameter whose predictor it is in."""


def _blocks(design: Design) -> list[Block]:
    """The group terms, those together that share an id and a factor."""
    found: dict[tuple[str, str, int], Block] = {}
    for name, part in _parts(design):
        for i, group in enumerate(part.groups):
            key = (group.id, group.factor, -1) if group.id else (name, group.factor, i)
            found.setdefault(key, []).append((name, group))
    return list(found.values())


def _cor_name(block: Block, design: Design) -> str:
    """Name of the correlation of a block: that of its first term."""
    name, group = block[0]
    part = design.parameters[name] if name else design
    before = any(g.factor == group.factor and g.correlated for g in _before(part, group))
    return _prefixed(name, _name_of(group, "cor", before))


def _df_name(block: Block, design: Design) -> str:
    """Name of the degrees of freedom of a block: that of its first term."""
    name, group = block[0]
    part = design.parameters[name] if name else design
    before = any(g.factor == group.factor and g.student for g in _before(part, group))
    return _prefixed(name, _name_of(group, "df", before))


def _before(design: Design, group: Group) -> tuple[Group, ...]:
    """The group terms before this one."""
    return design.groups[: next(i for i, g in enumerate(design.groups) if g is group)]


def _grouped(
    block: Block, design: Design, rules: Mapping[str, defaults.Defaults], identifiers: _Identifiers
) -> Iterator[Parameter]:
    """The standard deviations and the correlation of a block, with their default priors."""
    for name, group in block:
        for effect in group.effects:
            shown = name if effect.kind == "intercept" else effect.name
            columns = np.repeat(group.Z[:, effect.columns], len(_kinds(group) or [""]), axis=1)
            yield Parameter(
                f"{effect.name}|{group.factor}_sigma",
                identifiers(f"sigma_{group.factor}" + f"_{shown}" * bool(shown)),
                "group_sigma",
                by_labels(effect, group),
                rules[name].group_sigma(effect, columns),
                support="positive",
                of=name,
            )
    name, first = block[0]
    if len(block) > 1 or first.correlated:
        yield Parameter(
            _cor_name(block, design),
            identifiers(_prefixed(name, f"chol_{first.factor}")),
            "group_cor",
            _kinds(first),
            rules[name].group_cor(),
            size=sum(group.Z.shape[1] for _, group in block),
            of=name,
        )
    if first.student:
        yield Parameter(
            _df_name(block, design),
            identifiers(_prefixed(name, f"df_{first.factor}")),
            "group_df",
            (),
            priors.parse("gamma(2, 0.1, lb=1)", "default"),
            support="positive",
            of=name,
        )


def _kinds(group: Group) -> tuple[str, ...]:
    """Labels of the kinds of levels, if there are some."""
    return group.by.labels if group.by else ()


def by_labels(effect: Term, group: Group) -> tuple[str, ...]:
    """Labels of the standard deviations of an effect: its columns, kinds of levels, or both."""
    if not (effect.labels and group.by):
        return effect.labels or _kinds(group)
    return tuple(f"{label}:{kind}" for label in effect.labels for kind in group.by.labels)


def _check_names(drafts: Sequence[Parameter], design: Design) -> None:
    """Refuse a column whose name is that of another part of the model."""
    names = [d.name for d in drafts]
    groups = [g for _, part in _parts(design) for g in part.groups]
    terms = [t for _, part in _parts(design) for t in part.terms]
    names += [f"{e.name}|{g.factor}" for g in groups for e in g.effects]
    smooths = [s.name for _, part in _parts(design) for s in part.smooths]
    names += smooths
    dims = {f"{t.name}_dim" for t in terms if t.labels}
    dims |= {f"{d.name}_dim" for d in drafts if d.role == "auxiliary" and d.labels}
    dims |= {f"{g.factor}__factor_dim" for g in groups}
    dims |= {f"{e.name}__expr_dim" for g in groups for e in g.effects if e.labels}
    dims |= {f"{g.by.name}__by_dim" for g in groups if g.by}
    dims |= {f"{name}{end}" for name in smooths for end in ("_dim", "_by_dim")}
    taken = dims | {"chain", "draw", "__obs__", *CLASSES[1:]}
    clashes = sorted({n for n in names if names.count(n) > 1} | (taken & set(names)))
    clashes += [design.response.name] if design.response.name in ("chain", "draw") else []
    if clashes:
        raise ModelError(
            f"{clashes[0]!r} has two meanings in this model: it is the name of a column and of "
            f"another part of the model or its results. Rename the column in the data."
        )


def _name_of(group: Group, end: str, longer: bool) -> str:
    """Name of a parameter of a group term: ``g_cor``, or longer for a second one of ``g``."""
    effects = "+".join(e.name for e in group.effects)
    return f"{effects}|{group.factor}_{end}" if longer else f"{group.factor}_{end}"


def _with_prior(draft: Parameter, given: Mapping[str, Prior]) -> Parameter:
    """The draft with the user's prior, if there is one, checked for its support."""
    known = (given[key] for key in draft.keys if key in given)
    prior = _fitting(next(known, draft.prior), draft)
    own = {i: _fitting(given[n], draft) for i, n in enumerate(draft.elements) if n in given}
    if not own:
        return replace(draft, prior=prior)
    for shrinking in (p for p in (prior, *own.values()) if p.shrinkage):
        raise PriorError(
            f"prior of {shrinking.source!r}, {shrinking.text!r}, is for all coefficients of "
            f"{draft.name!r}, of which some have priors of their own. Give {draft.name!r} a prior "
            "without parameters of its own, such as normal(0, 1)."
        )
    whole = priors.joined(own, prior, len(draft.labels))
    return replace(draft, prior=whole, own=tuple(own.values()))


def _fitting(prior: Prior, draft: Parameter) -> Prior:
    """A prior, checked for what a parameter needs, and cut to it."""
    has, wants = priors.support(prior), draft.support
    kind = "correlation" if draft.role == "group_cor" else wants
    if kind != has and {kind, has} & {"correlation", "simplex"}:
        numbers = "a distribution of numbers, such as normal(0, 1)"
        wanted = {"correlation": "lkj(eta)", "simplex": "dirichlet(1)"}.get(kind, numbers)
        raise PriorError(
            f"prior of {draft.name!r}, {prior.text!r}, does not fit: it needs {wanted}."
        )
    if prior.shrinkage and draft.role != "common":
        raise PriorError(
            f"prior of {draft.name!r}, {prior.text!r}, does not fit: it is for common "
            "coefficients, and has parameters of its own. Give numbers, such as normal(0, 1)."
        )
    if wants == "ordered":
        priors.check_unbounded(prior, draft.name)
    elif prior.constant:
        priors.check_constant(prior, wants, draft.name)
    elif wants == "positive":
        return priors.on_positive(prior, draft.name)
    elif wants == "probability":
        priors.check_probability(prior, draft.name)
    return prior


def _forms(
    design: Design,
    family: families.Family,
    link: links.Link,
    outcomes: Sequence[str],
    noncentered: bool | Mapping[str, bool] | None,
) -> tuple[dict[str, dict[str, bool]], Collection[str]]:
    """For every predictor, grouping factor and smooth, whether the form is the non-centred one.

    What is not given is chosen by the data for the mean, or each of several outcomes, and
    non-centred for other parameters, of which a level tells less. Beside that, what was given.
    """
    factors = sorted({g.factor for _, part in _parts(design) for g in part.groups})
    factors += [smooth.name for _, part in _parts(design) for smooth in part.smooths]
    if isinstance(noncentered, Mapping):
        noncentered = {label(factor): flag for factor, flag in noncentered.items()}
        for factor in noncentered:
            if factor not in factors:
                raise ModelError(
                    f"noncentered names {factor!r}, which is no grouping factor or smooth of the "
                    f"model. {did_you_mean(str(factor), factors)}"
                )
        given = dict(noncentered)
    else:
        given = {} if noncentered is None else dict.fromkeys(factors, noncentered)
    for flag in given.values():
        if not isinstance(flag, bool):
            raise ModelError(f"noncentered must be True or False for a factor, not {flag!r}.")
    for g in (g for _, part in _parts(design) for g in part.groups):
        if (g.by or g.zero_sum) and given.get(g.factor) is False:
            raise ModelError(
                f"noncentered=False is for {g.factor!r} too, whose effects have by= or zero_sum= "
                "and only a non-centred form: name the other grouping factors, {'h': False}."
            )
    out = {name: dict.fromkeys(factors, True) | given for name, _ in _parts(design)}
    likely = {"": (design, family, link)}
    for number, name in enumerate(outcomes, start=1):
        one = families.FAMILIES[family.single]
        part = replace(design.parameters[name], response=responses.single(design.response, number))
        likely[name] = (part, one, links.LINKS[one.links[0]])
    for name, (part, kind, own) in likely.items():
        factors = [*(g.factor for g in part.groups), *(smooth.name for smooth in part.smooths)]
        if not given.keys() >= {*factors}:
            out[name] = centring.noncentered(part, kind, own) | given
    return out, given


def _effects(
    block: Block,
    design: Design,
    made: Mapping[str, Parameter],
    identifiers: _Identifiers,
    forms: Mapping[str, Mapping[str, bool]],
) -> Iterator[GroupEffects]:
    """The group terms of a block with their parameters."""

    def effects(
        name: str, group: Group, noncentered: bool, whole: GroupEffects | None = None
    ) -> GroupEffects:
        known = _prefixed(name, group.factor)
        own = whole.identifier if whole else identifiers(f"{'z' if noncentered else 'u'}_{known}")
        return GroupEffects(
            group=group,
            sigmas=tuple(made[f"{e.name}|{group.factor}_sigma"] for e in group.effects),
            cor=made.get(_cor_name(block, design)) if len(block) > 1 or group.correlated else None,
            df=made[_df_name(block, design)] if group.student else None,
            identifier=own,
            key=identifiers(f"levels_{known}").removeprefix("levels_"),
            noncentered=noncentered,
            whole=whole,
        )

    name, first = block[0]
    if len(block) == 1:
        only = bool(first.by or first.zero_sum)
        yield effects(name, first, only or forms[name][first.factor])
        return
    flag = any(forms[name][group.factor] for name, group in block)
    whole = effects(f"{name}_{first.id}" if name else first.id, _joined(block), flag)
    begin = 0
    for name, group in block:
        yield replace(effects(name, group, flag, whole), first=begin)
        begin += group.Z.shape[1]


def _smooth_effects(
    smooth: Smooth,
    made: Mapping[str, Parameter],
    identifiers: _Identifiers,
    forms: Mapping[str, bool],
) -> SmoothEffects:
    """A smooth with its parameter."""
    noncentered = forms[smooth.name]
    return SmoothEffects(
        smooth=smooth,
        sigma=made[f"{smooth.name}_sigma"],
        identifier=identifiers(f"{'z' if noncentered else 'b'}_{smooth.name}"),
        key=identifiers(f"smooth_{smooth.name}").removeprefix("smooth_"),
        noncentered=noncentered,
    )


def _joined(block: Block) -> Group:
    """A group term with the effects of a block."""
    begin, effects = 0, []
    for _, group in block:
        for e in group.effects:
            columns = slice(e.columns.start + begin, e.columns.stop + begin)
            effects.append(replace(e, columns=columns))
        begin += group.Z.shape[1]
    Z = np.concatenate([group.Z for _, group in block], axis=1)
    return replace(block[0][1], effects=tuple(effects), correlated=True, Z=Z)


def prior_table(specification: Specification) -> pd.DataFrame:
    """Every prior of a model.

    Returns
    -------
    DataFrame
        Indexed by parameter; columns ``class`` (a key of ``priors=``), ``prior`` and ``source``.
    """
    s = specification
    at_means = {p.intercept.name: p.center for p in s.predictors if p.common and p.intercept}
    located = {p.name: s.seen_from(p) for p in s.thresholds}
    at_means |= {name: p.center for name, p in located.items() if p and p.common}
    rows = []
    for p in s.parameters:
        source = p.prior.source
        if p.prior.shrinkage and priors.support(p.prior) == "constant":
            continue  # steps, which are made of what has priors
        if not source.startswith("default"):
            source = "yours" if source == p.name else f"yours, from {source!r}"
        if s.distance(p):
            source += "; of the first"
        if p.name in at_means:
            source += "; at predictors' means" if at_means[p.name] else "; at predictors = 0"
        rows.append({"parameter": p.name, "class": p.kind, "prior": p.prior.text, "source": source})
        rows += [
            {"parameter": one.source, "class": p.kind, "prior": one.text, "source": "yours"}
            for one in p.own
        ]
    return pd.DataFrame(rows).set_index("parameter")
