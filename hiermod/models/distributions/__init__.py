"""Distributions of a row that TFP lacks, or whose density loses digits there.

Written so that they print: `model.code()` copies their source into its program.
"""

from __future__ import annotations

import inspect
from typing import Any

from hiermod.models.distributions import (
    bijectors,
    compound,
    counts,
    decorated,
    diffusion,
    nominal,
    ordinal,
    positive,
    real,
    row,
    special,
)
from hiermod.models.distributions.bijectors import Outwards, StickBreaking, onto, sum_to_zero

__all__ = ["KNOWN", "OWN", "Outwards", "StickBreaking", "onto", "sum_to_zero"]

KNOWN: dict[str, Any] = {
    name: thing
    for module in (
        *(bijectors, row, special, real, positive, counts, compound),
        *(nominal, ordinal, diffusion, decorated),
    )
    for name, thing in vars(module).items()
    if getattr(thing, "__module__", "") == module.__name__
}
"""Everything by name; classes come after those that they are kinds of."""

OWN = {name: thing for name, thing in KNOWN.items() if inspect.isclass(thing)} | {
    "sum_to_zero": sum_to_zero
}
"""By name, for the expressions of likelihoods."""
