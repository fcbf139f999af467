"""Mixtures of families, as a family."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import replace

import numpy as np

from hiermod.errors import ModelError
from hiermod.models import families
from hiermod.models.families import Family, FamilyParameter
from hiermod.models.links import LINKS, fill

SUPPORTS = {"identity": "real", "log": "positive", "logit": "probability", "tan_half": "angle"}
"""Of a mean, by the default link of its family; beside these there are drifts and latent values."""

ZERO = FamilyParameter("constant(0)", "real", typical=0.0, links=("identity",))

MEANS = {
    "real": FamilyParameter("normal({mean}, {wide})", "real", typical=0.0),
    "positive": FamilyParameter("exponential({per_mean})", "positive", typical=1.0),
    "probability": FamilyParameter("beta(1, 1)", "probability", typical=0.5),
    "angle": FamilyParameter(f"uniform({-np.pi}, {np.pi})", "real", typical=0.0),
    "drift": FamilyParameter("normal(0, 2.5)", "real", typical=0.0),
    "latent": ZERO,  # the thresholds carry it
}
"""The mean of a later component where it is a parameter of its own, by its support."""

GAPS = dict.fromkeys(MEANS, "exponential(1)") | {"real": "exponential({per_sd})"}
"""Default priors of the gap between two means on the scale of the link."""


def mixture(*components: str | Family, order: str | None = None, shares: str = "simplex") -> Family:
    """A family whose responses come from one of several components each.

    Parameters
    ----------
    components : str or Family
        Two or more of them, by name or of your own.
    order : str, optional
        ``"mu"`` if every component has a larger linear predictor than the one before it, in every
        row, which tells equal families apart; ``"none"`` if their means have nothing to do with
        each other. By default ``"mu"`` for equal families, but of angles, which go round, and
        ``"none"`` for others.
    shares : str
        ``"simplex"`` if the probabilities of the components are parameters, ``"softmax"`` if they
        are the softmax of 0 for the first and ``theta2``, ``theta3`` and so on for the others:
        real numbers, which may have formulas, as in brms.

    Returns
    -------
    Family
        Its parameters are the probabilities of the components, and those of the components with the
        number of the component, such as ``sigma1`` and ``sigma2``. The formula is that of the mean
        of the first component.

        Of two components, ``theta1`` is the probability of the first. With ``order="mu"``, the
        second has the linear predictor of the first plus ``gap``, which is positive; with
        ``order="none"`` its mean is ``mu2``.

        Of more, ``theta`` are the probabilities of all, which sum to 1 (with ``shares="softmax"``
        there are scores instead, of two components too). With ``order="mu"``, the
        linear predictor of each is that of the one before plus ``gap2``, ``gap3``, and so on; with
        ``order="none"`` their means are ``mu2``, ``mu3``, and so on.

        Components of ordered categories have their thresholds in common with ``order="mu"``, and
        with ``order="none"`` each its own, ``threshold1`` and so on, in place of intercepts; the
        locations ``mu2`` and so on are then zero, unless they have a formula.

        All but ``theta`` and thresholds may have formulas.

    Raises
    ------
    ModelError
        If there are not two components or more, one is itself a mixture, they do not have the
        same support, or an option is unknown.

    Examples
    --------
    >>> import hiermod as hm
    >>> family = hm.mixture("gaussian", "gaussian")
    >>> list(family.parameters)
    ['theta1', 'gap', 'sigma1', 'sigma2']
    >>> list(hm.mixture("poisson", "negbinomial").parameters)
    ['theta1', 'mu2', 'shape2']
    >>> list(hm.mixture("poisson", "poisson", "poisson").parameters)
    ['theta', 'gap2', 'gap3']
    >>> list(hm.mixture("poisson", "poisson", "poisson", shares="softmax").parameters)
    ['theta2', 'theta3', 'gap2', 'gap3']
    """
    for one in components:
        if not isinstance(one, str | Family):
            raise ModelError(
                f"components of a mixture are given one after the other, not as a "
                f"{type(one).__name__}: write for example hm.mixture('gaussian', 'gaussian')."
            )
    if len(components) < 2:
        raise ModelError(
            f"a mixture has two components or more, not {len(components)}: write for example "
            "hm.mixture('gaussian', 'gaussian')."
        )
    parts = [families.family(c) for c in components]
    one = parts[0]
    if order is None:
        alike = all(part == one for part in parts) and one.links[0] != "tan_half"
        order = "mu" if alike else "none"
    _check(parts, order)
    each, parameters = _shares(len(parts), shares)
    for number, other in enumerate(parts[1:], 2):
        support = _support(other)
        if order == "mu":
            parameters[_gap(number, len(parts))] = FamilyParameter(GAPS[support])
        else:
            whole = tuple(n for n in other.links if support == "real" or not LINKS[n].partial)
            mean = MEANS[support]
            parameters[f"mu{number}"] = replace(mean, links=mean.links or whole)
    common = _common(one) if order == "mu" else frozenset()
    parameters |= {name: p for name, p in one.parameters.items() if name in common}
    for number, component in enumerate(parts, 1):
        own = {
            f"{name}{number}": replace(p, distance=f"{p.distance}{number}" if p.distance else "")
            for name, p in component.parameters.items()
            if name not in common
        }
        if clash := sorted(parameters.keys() & own):
            raise ModelError(
                f"family {component.name!r} cannot be component {number}: the mixture has its own "
                f"{', '.join(clash)}. Rename the parameter in that family."
            )
        parameters |= own
    return Family(
        "_".join(["mixture", *(part.name for part in parts)]),
        likelihood=_expression(parts, "likelihood", order, each, common),
        links=one.links,
        parameters=parameters,
        counts=one.counts,
        lower=one.lower,
        upper=one.upper,
        ends="".join(min(ends) for ends in zip(*(part.ends for part in parts), strict=True)),
        trials=one.trials,
        location=one.location,
        log_scale=one.log_scale,
        tails=_expression(parts, "tails", order, each, common)
        if all(p.tails for p in parts)
        else "",
        categories=one.categories,
        decisions=one.decisions,
        points=one.points,
    )


def _shares(count: int, kind: str) -> tuple[str, dict[str, FamilyParameter]]:
    """The probabilities of the components, as an expression, and the parameters they come from."""
    if kind not in ("simplex", "softmax"):
        raise ModelError(f"shares of a mixture must be 'simplex' or 'softmax', not {kind!r}.")
    if kind == "softmax":
        score = FamilyParameter("normal(0, 1.5)", "real", typical=0.0)
        scores = {f"theta{number}": score for number in range(2, count + 1)}
        softmax = f"tf.exp(Softmax(np.float64(0), {', '.join(scores)}).log_shares())"
        return f"tf.maximum({softmax}, 1e-300)", scores  # or a logarithm of one would be infinite
    if count == 2:
        first = FamilyParameter("beta(1, 1)", "probability", typical=0.5)
        return "tf.stack([theta1, 1.0 - theta1], -1)", {"theta1": first}
    every = FamilyParameter("dirichlet(1)", "simplex", typical=1 / count, size=count)
    return "theta", {"theta": every}


def _support(family: Family) -> str:
    """What the mean of a family is."""
    if family.decisions:
        return "drift"
    return "latent" if family.categories else SUPPORTS[family.links[0]]


def _common(family: Family) -> Set[str]:
    """Parameters that equal, ordered components have in common: thresholds."""
    found = {name: p.distance for name, p in family.parameters.items() if p.thresholds}
    return {*found, *found.values()} - {""}


def _gap(number: int, count: int) -> str:
    """Name of the gap between the linear predictor of a component and that before it."""
    return "gap" if count == 2 else f"gap{number}"


def _check(parts: Sequence[Family], order: str) -> None:
    """Refuse components that do not go together."""
    one = parts[0]
    if order not in ("mu", "none"):
        raise ModelError(f"order of a mixture must be 'mu' or 'none', not {order!r}.")
    for family in parts:
        if family.mixed:
            raise ModelError(
                f"family {family.name!r} cannot be part of a mixture: it is one. Give all "
                "components to one hm.mixture()."
            )
        if family.single:
            raise ModelError(
                f"family {family.name!r} cannot be part of a mixture: it has a linear predictor "
                "for every outcome, and a mixture one for every component."
            )
    for other in parts[1:]:
        if order == "mu" and one != other:
            raise ModelError(
                f"order='mu' is for a mixture of equal families, not of {one.name!r} and "
                f"{other.name!r}: leave it out."
            )
        angles = (_support(one) == "angle") != (_support(other) == "angle")
        kinds = ("categories", "decisions", "counts", "trials", "lower", "upper", "log_scale")
        for what in (*kinds, "points"):
            if angles or getattr(one, what) != getattr(other, what):
                raise ModelError(
                    f"families {one.name!r} and {other.name!r} cannot be mixed: all must be of "
                    "counts or not, of ordered categories or not, of the same range, and about the "
                    "response or all about its logarithm."
                )


def _expression(
    parts: Sequence[Family], what: str, order: str, shares: str, common: Set[str]
) -> str:
    """The likelihood or the tails, of which later components have predictors of their own."""
    made, place = [_numbered(parts[0], what, 1, common)], "eta"
    for number, part in enumerate(parts[1:], 2):
        own = _numbered(part, what, number, common)
        if order == "mu":
            place += f" + {_gap(number, len(parts))}"
        else:
            place = f"mu{number} + tf.zeros_like(eta)"
            own = own if part.categories else fill(own, LINKS["identity"])
        made.append(f"(lambda eta: {own})({place})")
    kind = "CircularMixture(" if _support(parts[0]) == "angle" else "Mixture("
    return f"{kind}{shares}, {', '.join(made)})"


def _numbered(component: Family, what: str, number: int, common: Set[str]) -> str:
    """An expression whose parameters have the number of the component; keywords have none."""
    text = getattr(component, what)
    for name in component.parameters.keys() - common:
        text = re.sub(rf"\b{name}\b(?!=)", f"{name}{number}", text)
    return text
