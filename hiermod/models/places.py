"""Places where a density is not finite, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

Values = dict[str, tf.Tensor]


def not_finite(
    position: np.ndarray[Any, Any],
    split: Callable[[tf.Tensor], tuple[Values, tf.Tensor]],
    densities: Callable[[Values], Values],
) -> str:
    """What is not finite at an unconstrained position, and at what values.

    Parameters
    ----------
    position : array, shape (dimensions,)
    split : function
        From positions (1, dimensions) to values of the variables and the log determinant of the
        Jacobian.
    densities : function
        From these values to log densities (1,), by what they are called in a sentence.

    Returns
    -------
    str
        A sentence for each density; if all are finite, for each whose gradient is not.
    """
    at = tf.constant(position[None])
    values, log_det = split(at)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(values)
        found = densities(values)
    where = at_values({name: v[0].numpy() for name, v in values.items()})
    bad = [f"{name} is {float(v[0]):g}" for name, v in found.items() if not np.isfinite(v[0])]
    for name, density in found.items() if not bad else ():
        slopes = tape.gradient(density, values, unconnected_gradients="zero")
        steep = [n for n, slope in slopes.items() if not np.isfinite(slope).all()]
        if steep:
            bad.append(f"the gradient of {name} in {', '.join(steep)} is not finite")
    if not bad and not np.isfinite(log_det[0]):
        bad = [f"the log Jacobian of the bijectors is {float(log_det[0]):g}"]
    what = "; ".join(bad) or "everything is finite"
    return f"{sentence(what)} {where}."


def sentence(text: str) -> str:
    """With a capital letter, if it begins with an article."""
    return "T" + text[1:] if text.startswith("the ") else text


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
