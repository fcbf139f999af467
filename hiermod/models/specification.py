"""The specification: a design, a family, a link and a prior for every parameter, all checked."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hiermod.errors import ModelError, PriorError, did_you_mean
from hiermod.formula.design import Design, Group, Smooth, Term, label
from hiermod.models import centring, defaults, families, links, priors
from hiermod.models.priors import Prior

FloatArray = NDArray[np.float64]

CLASSES = ("Intercept", "common", "group_sigma", "group_cor", "smooth_sigma")
"""Roles whose name is also a class key of ``priors=``."""


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
        ``"Intercept"``, ``"common"``, ``"group_sigma"``, ``"group_cor"``, ``"smooth_sigma"`` or
        ``"auxiliary"``.
    labels : tuple of str
        Labels of its elements; empty for a scalar.
    size : int
        Rows and columns of a correlation; 0 otherwise.
    support : str
        What its prior is cut to, or must keep to: ``"positive"``, ``"probability"``, ``"real"``.
    of : str
        The parameter of the family whose linear predictor it belongs to; empty for the mean.
    prior : Prior
    """

    name: str
    identifier: str
    role: str
    labels: tuple[str, ...]
    prior: Prior
    size: int = 0
    support: str = "real"
    of: str = ""

    @property
    def kind(self) -> str:
        """Its key in ``priors=`` together with others: a class, or its name."""
        return _prefixed(self.of, self.role) if self.role in CLASSES else self.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a single draw."""
        if self.size:
            return (self.size, self.size)
        return (len(self.labels),) if self.labels else ()


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
    identifier : str
        Of the part that holds the effects in the joint distribution, shape (K, J).
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
    """

    group: Group
    sigmas: tuple[Parameter, ...]
    cor: Parameter | None
    identifier: str
    key: str
    noncentered: bool
    whole: GroupEffects | None = None
    first: int = 0

    @property
    def constant(self) -> bool:
        """Whether a single effect is all, and an intercept: no predictor is needed."""
        return [e.kind for e in self.group.effects] == ["intercept"]

    @property
    def shape(self) -> tuple[int, int]:
        """Effects and levels, (K, J)."""
        return self.group.Z.shape[1], len(self.group.levels)

    def name(self, effect: Term) -> str:
        """Name of the deviations of one effect in the posterior."""
        return f"{effect.name}|{self.group.factor}"


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
    def suffix(self) -> str:
        """End of the names of its arrays and functions in the program."""
        return f"_{self.parameter}" if self.parameter else ""


@dataclass(frozen=True)
class Specification(Predictor):
    """A model, complete and checked; nothing is compiled yet.

    As a `Predictor` it is that of the mean.

    Attributes
    ----------
    family : Family
    others : tuple of Predictor
        Of the parameters that have a formula of their own.
    auxiliary : tuple of Parameter
        The other parameters of the family, such as ``sigma``.
    response : str
        Identifier of the response in the joint distribution.
    """

    family: families.Family
    others: tuple[Predictor, ...]
    auxiliary: tuple[Parameter, ...]
    response: str

    @property
    def predictors(self) -> tuple[Predictor, ...]:
        """That of the mean, and the others."""
        return (self, *self.others)

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
            for part in (*((p.intercept,) if p.intercept else ()), *p.common)
        ]
        grouped = [p for g in self.every_group for p in (*g.sigmas, *((g.cor,) if g.cor else ()))]
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
    families.check_response(kind, design.response)
    if not isinstance(center, bool):
        raise ModelError(f"center must be True or False, not {center!r}.")
    for name in design.parameters:
        if name not in kind.parameters:
            known = ", ".join(kind.parameters) or "none beside the mean"
            raise ModelError(f"family {kind.name!r} has no parameter {name!r}. It has: {known}.")
    chosen = _links(kind, link, design)
    plain, kind = kind, families.decorated(kind, chosen[""], design.response)
    for name in set(design.parameters) - set(kind.parameters):
        raise ModelError(
            f"known standard errors take the place of {name!r}, which has a formula: write "
            f"se({design.response.name}, s, {name}=True) to keep both."
        )
    functions = {f"linear_predictor_{name}" for name in design.parameters}
    identifiers = _Identifiers({*links.RESERVED, *functions, *kind.parameters})
    rules = {
        name: defaults.Defaults.of(part, kind, chosen[name], center and part.intercept)
        if not name
        else defaults.Defaults.of_parameter(
            part, design.response, kind, name, chosen[name], center and part.intercept
        )
        for name, part in _parts(design)
    }
    drafts = [
        d for name, part in _parts(design) for d in _linear(name, part, rules[name], identifiers)
    ]
    blocks = _blocks(design)
    drafts += [d for block in blocks for d in _grouped(block, design, rules, identifiers)]
    drafts += [
        d for name, part in _parts(design) for d in _smoothed(name, part, rules[name], identifiers)
    ]
    for name, auxiliary in kind.parameters.items():
        if name not in design.parameters:
            prior, support = rules[""].auxiliary(auxiliary), auxiliary.support
            drafts.append(Parameter(name, name, "auxiliary", (), prior, support=support))
    if not drafts:
        raise ModelError("the model has no parameters: add an intercept or a predictor.")
    _check_names(drafts, design)
    given = priors.merge(priors_, {key for d in drafts for key in (d.kind, d.name)})
    made = {d.name: _with_prior(d, given) for d in drafts}
    deviate = blocks or any(part.smooths for _, part in _parts(design))
    if all(p.prior.constant for p in made.values()) and not deviate:
        raise PriorError(
            "every parameter has a constant prior: there is nothing to estimate. Leave one of them "
            f"out of priors=: {', '.join(made)}."
        )
    forms = _forms(design, plain, chosen[""], noncentered)
    grouped: dict[str, list[GroupEffects]] = {name: [] for name, _ in _parts(design)}
    for block in blocks:
        for (name, _), effects in zip(
            block, _effects(block, design, made, identifiers, forms), strict=True
        ):
            grouped[name].append(effects)
    typical = defaults.typical_eta(design, kind, chosen[""])
    mean, *others = (
        Predictor(
            parameter=name,
            design=part,
            link=chosen[name],
            center=center and part.intercept,
            intercept=made.get(_prefixed(name, "Intercept")),
            common=tuple(made[t.name] for t in part.terms),
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
        others=tuple(others),
        auxiliary=tuple(made[n] for n in kind.parameters if n not in design.parameters),
        response=identifiers(design.response.name),
    )


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
    out = {"": links.link(given.get("mu", family.links[0]), family.links)}
    for name in design.parameters:
        allowed = families.LINKS_OF[family.parameters[name].support]
        out[name] = links.link(given.get(name, allowed[0]), allowed)
    return out


def _linear(
    parameter: str, design: Design, rule: defaults.Defaults, identifiers: _Identifiers
) -> Iterator[Parameter]:
    """The intercept and coefficients of a linear predictor with their default priors."""
    if design.intercept:
        name = _prefixed(parameter, "Intercept")
        yield Parameter(name, identifiers(name), "Intercept", (), rule.intercept(), of=parameter)
    for term in design.terms:
        prior = rule.common(term, design.X[:, term.columns])
        identifier = identifiers(term.name)
        yield Parameter(term.name, identifier, "common", term.labels, prior, of=parameter)


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
    place = next(i for i, g in enumerate(part.groups) if g is group)
    return _prefixed(name, cor_name(part.groups, place))


def _grouped(
    block: Block, design: Design, rules: Mapping[str, defaults.Defaults], identifiers: _Identifiers
) -> Iterator[Parameter]:
    """The standard deviations and the correlation of a block, with their default priors."""
    for name, group in block:
        for effect in group.effects:
            shown = name if effect.kind == "intercept" else effect.name
            yield Parameter(
                f"{effect.name}|{group.factor}_sigma",
                identifiers(f"sigma_{group.factor}" + f"_{shown}" * bool(shown)),
                "group_sigma",
                effect.labels,
                rules[name].group_sigma(effect, group.Z[:, effect.columns]),
                support="positive",
                of=name,
            )
    name, first = block[0]
    if len(block) > 1 or first.correlated:
        yield Parameter(
            _cor_name(block, design),
            identifiers(_prefixed(name, f"chol_{first.factor}")),
            "group_cor",
            (),
            rules[name].group_cor(),
            size=sum(group.Z.shape[1] for _, group in block),
            of=name,
        )


def _check_names(drafts: Sequence[Parameter], design: Design) -> None:
    """Refuse a column whose name is that of another part of the model."""
    names = [d.name for d in drafts]
    groups = [g for _, part in _parts(design) for g in part.groups]
    terms = [t for _, part in _parts(design) for t in part.terms]
    names += [f"{e.name}|{g.factor}" for g in groups for e in g.effects]
    smooths = [s.name for _, part in _parts(design) for s in part.smooths]
    names += smooths
    dims = {f"{t.name}_dim" for t in terms if t.labels}
    dims |= {f"{g.factor}__factor_dim" for g in groups}
    dims |= {f"{e.name}__expr_dim" for g in groups for e in g.effects if e.labels}
    dims |= {f"{name}{end}" for name in smooths for end in ("_dim", "_by_dim")}
    taken = dims | {"chain", "draw", "__obs__", *CLASSES[1:]}
    clashes = sorted({n for n in names if names.count(n) > 1} | (taken & set(names)))
    clashes += [design.response.name] if design.response.name in ("chain", "draw") else []
    if clashes:
        raise ModelError(
            f"{clashes[0]!r} has two meanings in this model: it is the name of a column and of "
            f"another part of the model or its results. Rename the column in the data."
        )


def cor_name(groups: tuple[Group, ...], i: int) -> str:
    """Name of the correlation of a group term: ``g_cor``, or longer for a second one of ``g``."""
    group = groups[i]
    if any(g.factor == group.factor and g.correlated for g in groups[:i]):
        return f"{'+'.join(e.name for e in group.effects)}|{group.factor}_cor"
    return f"{group.factor}_cor"


def _with_prior(draft: Parameter, given: Mapping[str, Prior]) -> Parameter:
    """The draft with the user's prior, if there is one, checked for its support."""
    prior = given.get(draft.name) or given.get(draft.kind) or draft.prior
    has, wants = priors.support(prior), draft.support
    correlation = draft.role == "group_cor"
    if correlation != (has == "correlation"):
        wanted = "lkj(eta)" if correlation else "a distribution of numbers, such as normal(0, 1)"
        raise PriorError(
            f"prior of {draft.name!r}, {prior.text!r}, does not fit: it needs {wanted}."
        )
    if prior.constant:
        priors.check_constant(prior, wants, draft.name)
    elif wants == "positive":
        prior = priors.on_positive(prior, draft.name)
    elif wants == "probability":
        priors.check_probability(prior, draft.name)
    return replace(draft, prior=prior)


def _forms(
    design: Design,
    family: families.Family,
    link: links.Link,
    noncentered: bool | Mapping[str, bool] | None,
) -> dict[str, dict[str, bool]]:
    """For every predictor, grouping factor and smooth, whether the form is the non-centred one.

    What is not given is chosen by the data for the mean, and non-centred for other parameters, of
    which a level tells less.
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
    out = {name: dict.fromkeys(factors, True) | given for name, _ in _parts(design)}
    chosen = [*(g.factor for g in design.groups), *(smooth.name for smooth in design.smooths)]
    if not given.keys() >= {*chosen}:
        out[""] = centring.noncentered(design, family, link) | given
    return out


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
            identifier=own,
            key=identifiers(f"levels_{known}").removeprefix("levels_"),
            noncentered=noncentered,
            whole=whole,
        )

    name, first = block[0]
    if len(block) == 1:
        yield effects(name, first, forms[name][first.factor])
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
    at_means = {p.intercept: p.center for p in s.predictors if p.common}
    rows = []
    for p in s.parameters:
        source = p.prior.source
        if not source.startswith("default"):
            source = "yours" if source == p.name else f"yours, from {source!r}"
        if p in at_means:
            source += "; at predictors' means" if at_means[p] else "; at predictors = 0"
        rows.append({"parameter": p.name, "class": p.kind, "prior": p.prior.text, "source": source})
    return pd.DataFrame(rows).set_index("parameter")
