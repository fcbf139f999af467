"""Mixtures of two families, as a family."""

from __future__ import annotations

import re
from dataclasses import replace

from hiermod.errors import ModelError
from hiermod.models import families
from hiermod.models.families import Family, FamilyParameter
from hiermod.models.links import LINKS, fill

SUPPORTS = {"identity": "real", "log": "positive", "logit": "probability"}
"""Of a mean, by the default link of its family."""

MEANS = {
    "real": FamilyParameter("normal({mean}, {wide})", "real", typical=0.0),
    "positive": FamilyParameter("exponential({per_mean})", "positive", typical=1.0),
    "probability": FamilyParameter("beta(1, 1)", "probability", typical=0.5),
}
"""The mean of the second component where it is a parameter of its own, by its support."""

GAPS = {
    "real": "exponential({per_sd})",
    "positive": "exponential(1)",
    "probability": "exponential(1)",
}
"""Default priors of the gap between two means on the scale of the link."""


def mixture(*components: str | Family, order: str | None = None) -> Family:
    """A family whose responses come from one of two components each.

    Parameters
    ----------
    components : str or Family
        Two of them, by name or of your own.
    order : str, optional
        ``"mu"`` if the second component is the one with the larger linear predictor in every row,
        which tells two equal families apart; ``"none"`` if their means have nothing to do with each
        other. By default ``"mu"`` for equal families and ``"none"`` for others, as in brms.

    Returns
    -------
    Family
        Its parameters are ``theta1``, the probability of the first component, and those of the
        components with the number of the component, such as ``sigma1`` and ``sigma2``. The formula
        is that of the mean of the first component. With ``order="mu"``, that of the second has the
        linear predictor plus ``gap``, which is positive; with ``order="none"``, it is ``mu2``. All
        of them may have formulas.

    Raises
    ------
    ModelError
        If there are not two components, or they do not have the same support.

    Examples
    --------
    >>> import hiermod as hm
    >>> family = hm.mixture("gaussian", "gaussian")
    >>> list(family.parameters)
    ['theta1', 'gap', 'sigma1', 'sigma2']
    >>> list(hm.mixture("poisson", "negbinomial").parameters)
    ['theta1', 'mu2', 'shape2']
    """
    if len(components) != 2:
        raise ModelError(
            f"a mixture has two components, not {len(components)}: write for example "
            "hm.mixture('gaussian', 'gaussian')."
        )
    one, other = (families.family(c) for c in components)
    order = order or ("mu" if one == other else "none")
    _check(one, other, order)
    parameters = {"theta1": FamilyParameter("beta(1, 1)", "probability", typical=0.5)}
    support = SUPPORTS[other.links[0]]
    if order == "mu":
        parameters["gap"] = FamilyParameter(GAPS[support])
    else:
        whole = tuple(n for n in other.links if support == "real" or not LINKS[n].partial)
        parameters["mu2"] = replace(MEANS[support], links=whole)
    for number, component in ((1, one), (2, other)):
        parameters |= {f"{name}{number}": p for name, p in component.parameters.items()}
    return Family(
        f"mixture_{one.name}_{other.name}",
        likelihood=_expression(one, other, "likelihood", order),
        links=one.links,
        parameters=parameters,
        counts=one.counts,
        lower=one.lower,
        upper=one.upper,
        ends="".join(min(pair) for pair in zip(one.ends, other.ends, strict=True)),
        trials=one.trials,
        location=one.location,
        log_scale=one.log_scale,
        tails=_expression(one, other, "tails", order) if one.tails and other.tails else "",
        points=one.points,
    )


def _check(one: Family, other: Family, order: str) -> None:
    """Refuse components that do not go together."""
    if order not in ("mu", "none"):
        raise ModelError(f"order of a mixture must be 'mu' or 'none', not {order!r}.")
    if order == "mu" and one != other:
        raise ModelError(
            f"order='mu' is for a mixture of equal families, not of {one.name!r} and "
            f"{other.name!r}: leave it out."
        )
    for family in (one, other):
        if family.links[0] not in SUPPORTS or family.categories:
            raise ModelError(f"family {family.name!r} cannot be part of a mixture.")
    for what in ("counts", "trials", "lower", "upper", "log_scale"):
        if getattr(one, what) != getattr(other, what):
            raise ModelError(
                f"families {one.name!r} and {other.name!r} cannot be mixed: both must be of counts "
                "or not, of the same range, and about the response or both about its logarithm."
            )


def _expression(one: Family, other: Family, what: str, order: str) -> str:
    """The likelihood or the tails, of which the second component has a predictor of its own."""
    first, second = _numbered(one, what, 1), _numbered(other, what, 2)
    if order == "none":
        second = fill(second, LINKS["identity"])
    place = "eta + gap" if order == "mu" else "mu2 + tf.zeros_like(eta)"
    return f"Mixture(theta1, {first}, (lambda eta: {second})({place}))"


def _numbered(component: Family, what: str, number: int) -> str:
    """An expression whose parameters have the number of the component; keywords have none."""
    text = getattr(component, what)
    for name in component.parameters:
        text = re.sub(rf"\b{name}\b(?!=)", f"{name}{number}", text)
    return text
