"""Families of ordered categories with a choice of thresholds."""

from __future__ import annotations

from dataclasses import replace

from hiermod.errors import ModelError, did_you_mean
from hiermod.models import families
from hiermod.models.families import Family, FamilyParameter

DISTANCES = {
    "ordered": FamilyParameter("exponential(1)"),
    "real": FamilyParameter("normal(0, 1)", "real"),
}
"""The distance between neighbours, by the support of the thresholds."""

KINDS = ("flexible", "equidistant")


def ordinal(family: str | Family, *, threshold: str = "flexible") -> Family:
    """A family of ordered categories, and how its thresholds lie.

    Parameters
    ----------
    family : str or Family
        ``"cumulative"``, ``"sratio"``, ``"cratio"``, ``"acat"``, ``"hurdle_cumulative"``, or one of
        your own.
    threshold : str
        ``"flexible"``, each by itself, or ``"equidistant"``: threshold k is the first one plus
        (k - 1) ``delta``, as in brms.

    Returns
    -------
    Family
        Equidistant thresholds have two parameters. The prior of ``threshold`` is that of the first
        one, and speaks of the predictors' means as that of an intercept does. ``delta`` is positive
        where thresholds ascend, in the cumulative families, and any number in others. The posterior
        has all thresholds, as of flexible ones, and ``delta``.

    Raises
    ------
    ModelError
        If the family has no thresholds, or `threshold` is something else.

    Examples
    --------
    >>> import hiermod as hm
    >>> list(hm.ordinal("cumulative", threshold="equidistant").parameters)
    ['threshold', 'delta', 'disc']
    """
    given = families.family(family)
    if given.categories != "ordered":
        known = did_you_mean(
            given.name, [f.name for f in families.FAMILIES.values() if f.categories == "ordered"]
        )
        raise ModelError(f"family {given.name!r} has no ordered categories. {known}")
    if threshold not in KINDS:
        raise ModelError(
            f"threshold of an ordinal family must be {' or '.join(map(repr, KINDS))}, not "
            f"{threshold!r}."
        )
    if threshold == "flexible" or given.distances:
        return given
    parameters: dict[str, FamilyParameter] = {}
    for name, parameter in given.parameters.items():
        parameters[name] = parameter
        if parameter.thresholds:
            parameters[name] = replace(parameter, support="real", distance="delta")
            parameters["delta"] = DISTANCES[parameter.support]
    return replace(
        given,
        name=f"{given.name}_{threshold}",
        density=given.called,
        parameters=parameters,
    )
