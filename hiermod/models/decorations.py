"""What decorations of a response make of its family: standard errors, exposure, bounds."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from hiermod.errors import ModelError
from hiermod.formula.design import Response
from hiermod.models.families import FAMILIES, Family
from hiermod.models.links import Link

EXPOSED = ("poisson", "negbinomial", "geometric")
"""Families of counts in a given exposure: of twice as much, that of the sum of two."""

MEASURED = ("gaussian", "student")
"""Families whose sigma known standard errors add to."""


def decorated(family: Family, link: Link, response: Response) -> Family:
    """The family of a response with known standard errors, or of censored or truncated rows.

    In an exposure, as of `rate()` in brms, the mean is multiplied by it, and so is the shape. With
    standard errors s alone they take the place of sigma; else it is sqrt(sigma^2 + s^2), as
    in brms. Rows are then seen one by one: sums of them do not tell their likelihood.

    Raises
    ------
    ModelError
        If the family cannot be decorated so.
    """
    if response.se is not None:
        if family.name not in MEASURED or link.name != "identity":
            raise ModelError(
                f"se() gives standard errors of a location, and family {family.name!r} with link "
                f"{link.name!r} has none that they fit. Families that do, with the link "
                f"'identity': {', '.join(MEASURED)}."
            )
        scale = 'data["se"]'
        if response.keeps_sigma:
            scale = f"tf.sqrt(sigma**2 + {scale} ** 2)"
        kept = {n: p for n, p in family.parameters.items() if n != "sigma" or response.keeps_sigma}
        family = replace(
            family,
            likelihood=re.sub(r"\bsigma\b", scale, family.likelihood),
            tails=re.sub(r"\bsigma\b", scale, family.tails),
            parameters=kept,
        )
    if response.rate is not None:
        if family.name not in EXPOSED:
            raise ModelError(
                f"rate() gives the exposure of counts, and not of family {family.name!r}. "
                f"Families that it fits: {', '.join(EXPOSED)}. Or add offset(log(exposure))."
            )
        family = exposed(family)
    if response.status is not None or response.truncated:
        if not family.tails:
            able = ", ".join(f.name for f in FAMILIES.values() if f.tails)
            what = "truncated" if response.status is None else "censored"
            raise ModelError(
                f"a response of family {family.name!r} cannot be {what}: its distribution function "
                f"is not known well enough. Families that can be: {able}."
            )
        family = replace(family, likelihood=_bounded(family, response))
    return replace(family, totals="", residual="") if response.decorations else family


def exposed(family: Family) -> Family:
    """A family of counts, for those in an exposure; the shape grows with it too."""

    def grown(text: str) -> str:
        text = text.replace("{log_mean}", '({log_mean}) + tf.math.log(data["rate"])')
        return text.replace("shape=", 'shape=data["rate"] * ')

    return replace(family, likelihood=grown(family.likelihood), tails=grown(family.tails))


def _bounded(family: Family, response: Response) -> str:
    """Expression of the likelihood of truncated and censored rows."""

    def given(*names: str) -> str:
        return ", ".join(f'{n}=data["{n}"]' if n in response.given else f"{n}=None" for n in names)

    # Counts are 0 or more; some responses can be equal to the lower end.
    ends = -0.5 if family.counts else family.lower, family.upper
    least, most = (repr(v) if np.isfinite(v) else "-np.inf" if v < 0 else "np.inf" for v in ends)
    reached = family.lower in family.points
    names = given("status", "y2", "lower", "upper")
    return (
        f"Bounded({family.tails}, least={least}, most={most}, reached={reached}, {names}, "
        f"counts={family.counts})"
    )
