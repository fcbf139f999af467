"""Places where a density is not finite, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def at_values(values: Mapping[str, Any]) -> str:
    """Values by name; of an array, the range.

    Examples
    --------
    >>> at_values({"sigma": 0.0, "b": [1.0, -2.5]})
    'at sigma = 0, b from -2.5 to 1'
    """
    return "at " + ", ".join(_value(name, np.asarray(v)) for name, v in values.items())


def _value(name: str, value: np.ndarray[Any, Any]) -> str:
    if value.size == 1:
        return f"{name} = {value.item():.4g}"
    if not value.size or np.isnan(value).any():
        return f"{name} with {np.isnan(value).sum()} of {value.size} nan"
    return f"{name} from {value.min():.4g} to {value.max():.4g}"
