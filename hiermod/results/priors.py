"""Draws of single priors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hiermod.errors import ModelError, did_you_mean
from hiermod.models import priors, program
from hiermod.models.joint import Joint
from hiermod.models.specification import Parameter

FloatArray = NDArray[np.float64]


class PriorDraws(NamedTuple):
    """Draws of the prior of a parameter.

    Attributes
    ----------
    name : str
        Of the parameter; with "at means" if the prior speaks of the predictors' means.
    text : str
        The prior, as `Model.priors` shows it.
    draws : dict from str to array, shape (S,)
        By labels of the elements that differ in distribution; elements that have one distribution
        are taken together, with an empty label.
    """

    name: str
    text: str
    draws: dict[str, FloatArray]


def prior_draws(
    joint: Joint, var_names: Sequence[str] | None, draws: int, seed: int
) -> list[PriorDraws]:
    """Draws of every prior of a model, each of what its text speaks of.

    Parameters
    ----------
    joint : Joint
    var_names : str or sequence of str, optional
        Parameters, all by default.
    draws, seed : int

    Returns
    -------
    list of PriorDraws
        In the order of the table of priors. Group effects and coefficients of smooths are not among
        them: their distribution is part of the model.

    Raises
    ------
    ModelError
        If there is no such parameter.
    """
    s = joint.specification
    shown = {p.name: p for p in s.parameters if not _steps(p)}
    var_names = [var_names] if isinstance(var_names, str) else var_names
    for name in var_names or []:
        if name not in shown:
            raise ModelError(f"there is no prior of {name!r}. {did_you_mean(name, shown)}")
    values = _draw(joint, draws, seed)
    return [
        PriorDraws(
            f"{name} at means" if name in s.at_means else name,
            shown[name].prior.text,
            _curves(shown[name], values[shown[name].identifier]),
        )
        for name in var_names or shown
    ]


def _draw(joint: Joint, draws: int, seed: int) -> dict[str, FloatArray]:
    """Draws of all parameters, (draws, *shape), the coefficients of shrinkage priors included."""
    s = joint.specification
    seeds = np.random.default_rng([seed, 5]).integers(2**31, size=(len(s.parameters), 2))
    values = {
        p.identifier: part.sample(draws, seed=tf.constant(pair, tf.int32))
        for p, part, pair in zip(s.parameters, joint.distribution.model, seeds, strict=False)
    }
    for linear in s.predictors:
        if linear.shrunk:
            arguments = [values[name] for name in program.shrunk_arguments(linear)]
            values |= getattr(joint.functions, f"coefficients{linear.suffix}")(*arguments)
    return {name: np.asarray(v) for name, v in values.items()}


def _steps(p: Parameter) -> bool:
    """Whether it is the steps of a monotonic effect, which are made of what has priors."""
    return p.prior.shrinkage is not None and priors.support(p.prior) == "constant"


def _curves(p: Parameter, values: FloatArray) -> dict[str, FloatArray]:
    """Draws by the label of elements that differ in distribution."""
    if p.size:  # of a correlation all elements have one distribution
        correlation = values @ np.swapaxes(values, -1, -2)
        return {"": correlation[..., *np.tril_indices(p.size, -1)].ravel()}
    per_element = p.prior.elements or any(isinstance(a, tuple) for a in p.prior.arguments)
    if p.labels and (per_element or p.support == "ordered"):
        return {str(label): values[..., i] for i, label in enumerate(p.labels)}
    return {"": values.ravel()}
