"""The specification: a design, a family, a link and a prior for every parameter, all checked."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hiermod.errors import ModelError, PriorError, did_you_mean
from hiermod.formula.design import Design, Group, Term, label
from hiermod.models import centring, defaults, families, links, priors
from hiermod.models.priors import Prior

FloatArray = NDArray[np.float64]

CLASSES = ("Intercept", "common", "group_sigma", "group_cor")
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
        ``"Intercept"``, ``"common"``, ``"group_sigma"``, ``"group_cor"`` or ``"auxiliary"``.
    labels : tuple of str
        Labels of its elements; empty for a scalar.
    size : int
        Rows and columns of a correlation; 0 otherwise.
    support : str
        What its prior is cut to, or must keep to: ``"positive"``, ``"probability"``, ``"real"``.
    prior : Prior
    """

    name: str
    identifier: str
    role: str
    labels: tuple[str, ...]
    prior: Prior
    size: int = 0
    support: str = "real"

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
    """

    group: Group
    sigmas: tuple[Parameter, ...]
    cor: Parameter | None
    identifier: str
    key: str
    noncentered: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Effects and levels, (K, J)."""
        return self.group.Z.shape[1], len(self.group.levels)

    def name(self, effect: Term) -> str:
        """Name of the deviations of one effect in the posterior."""
        return f"{effect.name}|{self.group.factor}"


@dataclass(frozen=True)
class Specification:
    """A model, complete and checked; nothing is compiled yet.

    Attributes
    ----------
    design : Design
    family : Family
    link : Link
    center : bool
        Whether the common predictors are centred and the prior of the intercept speaks of the
        intercept at their means.
    intercept : Parameter, optional
    common : tuple of Parameter
        One for each of `design.terms`.
    groups : tuple of GroupEffects
    auxiliary : tuple of Parameter
        Of the family, such as ``sigma``.
    response : str
        Identifier of the response in the joint distribution.
    """

    design: Design
    family: families.Family
    link: links.Link
    center: bool
    intercept: Parameter | None
    common: tuple[Parameter, ...]
    groups: tuple[GroupEffects, ...]
    auxiliary: tuple[Parameter, ...]
    response: str

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Everything that has a prior, in the order of the joint distribution."""
        first = (self.intercept,) if self.intercept else ()
        grouped = [p for g in self.groups for p in (*g.sigmas, *((g.cor,) if g.cor else ()))]
        return (*first, *self.common, *grouped, *self.auxiliary)

    @cached_property
    def means(self) -> FloatArray:
        """What is subtracted from the common predictors, shape (P,)."""
        if self.center:
            return np.asarray(self.design.X.mean(axis=0))
        return np.zeros(self.design.X.shape[1])


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
    link: str | None = None,
    priors_: Mapping[str, Any] | None = None,
    center: bool = True,
    noncentered: bool | Mapping[str, bool] | None = None,
) -> Specification:
    """Put a model together and check it.

    Parameters
    ----------
    design : Design
    family : str or Family
    link : str, optional
        By default the family's own.
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
    response = design.response
    families.check_response(kind, response)
    if not isinstance(center, bool):
        raise ModelError(f"center must be True or False, not {center!r}.")
    chosen = links.link(link or kind.links[0], kind.links)
    center = center and design.intercept
    rule = defaults.Defaults.of(design, kind, chosen, center)
    identifiers = _Identifiers({*links.RESERVED, *kind.parameters})
    drafts = list(_drafts(design, kind, rule, identifiers))
    if not drafts:
        raise ModelError("the model has no parameters: add an intercept or a predictor.")
    _check_names(drafts, design)
    classes = {d.role for d in drafts} & set(CLASSES)
    given = priors.merge(priors_, classes | {d.name for d in drafts})
    made = {d.name: _with_prior(d, given) for d in drafts}
    if all(p.prior.constant for p in made.values()) and not design.groups:
        raise PriorError(
            "every parameter has a constant prior: there is nothing to estimate. Leave one of them "
            f"out of priors=: {', '.join(made)}."
        )
    return Specification(
        design=design,
        family=kind,
        link=chosen,
        center=center,
        intercept=made.get("Intercept"),
        common=tuple(made[t.name] for t in design.terms),
        groups=tuple(_groups(design, made, identifiers, _forms(design, kind, chosen, noncentered))),
        auxiliary=tuple(made[name] for name in kind.parameters),
        response=identifiers(response.name),
    )


def _drafts(
    design: Design, family: families.Family, rule: defaults.Defaults, identifiers: _Identifiers
) -> Iterator[Parameter]:
    """Every parameter with its default prior."""
    if design.intercept:
        yield Parameter("Intercept", identifiers("Intercept"), "Intercept", (), rule.intercept())
    for term in design.terms:
        columns = design.X[:, term.columns]
        yield Parameter(
            term.name, identifiers(term.name), "common", term.labels, rule.common(term, columns)
        )
    for i, group in enumerate(design.groups):
        for effect in group.effects:
            yield Parameter(
                f"{effect.name}|{group.factor}_sigma",
                identifiers(f"sigma_{group.factor}" + f"_{effect.name}" * (effect.name != "1")),
                "group_sigma",
                effect.labels,
                rule.group_sigma(effect, group.Z[:, effect.columns]),
                support="positive",
            )
        if group.correlated:
            yield Parameter(
                cor_name(design.groups, i),
                identifiers(f"chol_{group.factor}"),
                "group_cor",
                (),
                rule.group_cor(),
                size=group.Z.shape[1],
            )
    for name, auxiliary in family.parameters.items():
        prior, support = rule.auxiliary(auxiliary), auxiliary.support
        yield Parameter(name, name, "auxiliary", (), prior, support=support)


def _check_names(drafts: Sequence[Parameter], design: Design) -> None:
    """Refuse a column whose name is that of another part of the model."""
    names = [d.name for d in drafts]
    names += [f"{e.name}|{g.factor}" for g in design.groups for e in g.effects]
    dims = {f"{t.name}_dim" for t in design.terms if t.labels}
    dims |= {f"{g.factor}__factor_dim" for g in design.groups}
    dims |= {f"{e.name}__expr_dim" for g in design.groups for e in g.effects if e.labels}
    taken = dims | {"chain", "draw", "__obs__", "common", "group_sigma", "group_cor"}
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
    prior = given.get(draft.name) or given.get(draft.role) or draft.prior
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
) -> dict[str, bool]:
    """For every grouping factor, whether its effects are sampled in non-centred form."""
    factors = sorted({g.factor for g in design.groups})
    if isinstance(noncentered, Mapping):
        noncentered = {label(factor): flag for factor, flag in noncentered.items()}
        for factor in noncentered:
            if factor not in factors:
                raise ModelError(
                    f"noncentered names {factor!r}, which is not a grouping factor of the model. "
                    f"{did_you_mean(str(factor), factors)}"
                )
        given = dict(noncentered)
    else:
        given = {} if noncentered is None else dict.fromkeys(factors, noncentered)
    for flag in given.values():
        if not isinstance(flag, bool):
            raise ModelError(f"noncentered must be True or False for a factor, not {flag!r}.")
    if all(factor in given for factor in factors):
        return given
    return centring.noncentered(design, family, link) | given


def _groups(
    design: Design,
    made: Mapping[str, Parameter],
    identifiers: _Identifiers,
    noncentered: Mapping[str, bool],
) -> Iterator[GroupEffects]:
    """The group terms with their parameters."""
    for i, group in enumerate(design.groups):
        flag = noncentered[group.factor]
        yield GroupEffects(
            group=group,
            sigmas=tuple(made[f"{e.name}|{group.factor}_sigma"] for e in group.effects),
            cor=made[cor_name(design.groups, i)] if group.correlated else None,
            identifier=identifiers(f"{'z' if flag else 'u'}_{group.factor}"),
            key=identifiers(f"levels_{group.factor}").removeprefix("levels_"),
            noncentered=flag,
        )


def prior_table(specification: Specification) -> pd.DataFrame:
    """Every prior of a model.

    Returns
    -------
    DataFrame
        Indexed by parameter; columns ``class`` (a key of ``priors=``), ``prior`` and ``source``.
    """
    s = specification
    rows = []
    for p in s.parameters:
        source = p.prior.source
        if not source.startswith("default"):
            source = "yours" if source == p.name else f"yours, from {source!r}"
        if p is s.intercept and s.common:
            source += "; at predictors' means" if s.center else "; at predictors = 0"
        kind = p.role if p.role in CLASSES else p.name
        rows.append({"parameter": p.name, "class": kind, "prior": p.prior.text, "source": source})
    return pd.DataFrame(rows).set_index("parameter")
