"""Families: what a likelihood is made of. A new family is one entry of `FAMILIES`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hiermod.errors import DataError, ModelError, did_you_mean
from hiermod.formula.design import Response
from hiermod.models.links import Link

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Auxiliary:
    """A positive parameter of a family beside the mean.

    Attributes
    ----------
    symbol : str
        In LaTeX.
    prior : str
        Its default prior, where ``{sd}`` is the standard deviation of the response and
        ``{per_sd}`` one over it.
    """

    symbol: str
    prior: str


@dataclass(frozen=True)
class Family:
    """A distribution of the response given its mean.

    Attributes
    ----------
    name : str
    links : tuple of str
        Links that it can have, its default first: those whose means lie in the range of the
        parameter for every linear predictor.
    likelihood : str
        Expression of the TFP distribution of one row. It may use ``{mean}``, ``{log_mean}`` and
        ``{logit_mean}``, which the link fills in, ``data["trials"]``, and its parameters by name.
    fitted : str
        Expression of the expected response, with ``{mean}``.
    totals : str
        Expression of the log-likelihood of rows with equal predictors, but for a constant: of
        ``data["count"]`` rows (or trials) with the sum ``data["total"]`` and the sum of squares
        ``data["within"]`` about their mean.
    density : str
        Name of the distribution in equations.
    parameters : dict
        The parameters beside the mean, by name.
    counts : bool
        Whether the response must be a whole number.
    lower, upper : float
        The support of the response, ends included; ``upper`` is the number of trials if
        `trials` is true.
    trials : bool
        Whether the response comes with a number of trials.
    location : bool
        Whether the response carries a location for the default prior of the intercept; if not,
        the location is zero on the link scale.
    residual : str
        The standard deviation of a normal distribution about the mean, if that is what the family
        is: then effects integrate out.
    unit : str
        What a unit of the linear predictor is worth in default priors: ``"sd"`` when it is a unit
        of the response (its standard deviation is the scale), else ``"link"`` (scale one).
    """

    name: str
    links: tuple[str, ...]
    likelihood: str
    fitted: str
    totals: str
    density: str
    parameters: dict[str, Auxiliary] = field(default_factory=dict)
    counts: bool = False
    lower: float = -np.inf
    upper: float = np.inf
    trials: bool = False
    location: bool = True
    residual: str = ""
    unit: str = "link"


LOGISTIC = 'data["total"] * ({logit_mean}) - data["count"] * tf.math.softplus({logit_mean})'
"""Of successes among trials."""

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="gaussian",
            links=("identity", "log"),
            likelihood="tfd.Normal(loc={mean}, scale=sigma[..., tf.newaxis])",
            fitted="{mean}",
            totals=(
                '-0.5 * (data["count"] * (data["total"] / data["count"] - ({mean})) ** 2'
                ' + data["within"]) / sigma[..., tf.newaxis] ** 2'
                ' - data["count"] * tf.math.log(sigma[..., tf.newaxis])'
            ),
            density="normal",
            parameters={"sigma": Auxiliary(r"\sigma", "exponential({per_sd})")},
            residual="sigma",
            unit="sd",
        ),
        Family(
            name="bernoulli",
            links=("logit", "probit", "cloglog"),
            likelihood="tfd.Bernoulli(logits={logit_mean}, dtype=tf.float64)",
            fitted="{mean}",
            totals=LOGISTIC,
            density="bernoulli",
            counts=True,
            lower=0,
            upper=1,
            location=False,
        ),
        Family(
            name="binomial",
            links=("logit", "probit", "cloglog"),
            likelihood='tfd.Binomial(total_count=data["trials"], logits={logit_mean})',
            fitted='data["trials"] * {mean}',
            totals=LOGISTIC,
            density="binomial",
            counts=True,
            lower=0,
            trials=True,
            location=False,
        ),
        Family(
            name="poisson",
            links=("log",),
            likelihood="tfd.Poisson(log_rate={log_mean})",
            fitted="{mean}",
            totals='data["total"] * ({log_mean}) - data["count"] * tf.exp({log_mean})',
            density="poisson",
            counts=True,
            lower=0,
        ),
    )
}


def family(name: str) -> Family:
    """The family of that name.

    Raises
    ------
    ModelError
        If there is none.
    """
    if name not in FAMILIES:
        raise ModelError(f"unknown family {name!r}. {did_you_mean(str(name), FAMILIES)}")
    return FAMILIES[name]


def likelihood(family: Family, link: Link) -> str:
    """Source of the distribution of one row, given ``eta``.

    Examples
    --------
    >>> from hiermod.models.links import LINKS
    >>> likelihood(FAMILIES["poisson"], LINKS["log"])
    'tfd.Poisson(log_rate=eta)'
    """
    return family.likelihood.format(
        mean=link.mean, log_mean=link.log_mean, logit_mean=link.logit_mean
    )


def totals(family: Family, link: Link) -> str:
    """Source of the log-likelihood of rows that are summed up, but for a constant."""
    return family.totals.format(mean=link.mean, log_mean=link.log_mean, logit_mean=link.logit_mean)


def fitted(family: Family, link: Link) -> str:
    """Source of the expected response of one row, given ``eta``."""
    return family.fitted.format(mean=link.mean)


def check_response(family: Family, response: Response) -> None:
    """Check that a response lies in the support of its family.

    Parameters
    ----------
    family : Family
    response : Response

    Raises
    ------
    ModelError
        If trials are missing, or given to a family that has none.
    DataError
        If values are outside the support, weights are negative or the response does not vary
        where it must; names the first rows.
    """
    name, values, trials = response.name, response.values, response.trials
    if response.weights is not None:
        _reject(response.weights < 0, response.weights, "weights must be 0 or more")
        if not response.weights.any():
            raise DataError("all weights are 0.")
    if family.unit == "sd" and np.ptp(values) == 0:
        raise DataError(
            f"the response {name} is {values[0]:g} in every row: there is nothing to model."
        )
    if family.trials and trials is None:
        raise ModelError(
            f"family 'binomial' needs the number of trials: write prop({name}, n) or "
            f"{name} | trials(n). For a response of 0 and 1, use family='bernoulli'."
        )
    if trials is not None and not family.trials:
        raise ModelError(
            f"family {family.name!r} has no trials. Use family='binomial', or the plain response "
            f"{name}."
        )
    if trials is not None:
        _reject((trials < 0) | (trials % 1 != 0), trials, "trials must be whole numbers, 0 or more")
        _reject(values > trials, values, f"{name} is larger than its number of trials")
    if family.counts:
        _reject(values % 1 != 0, values, f"family {family.name!r} needs whole numbers in {name}")
    support = f"from {family.lower:g} to {family.upper:g}"
    if np.isinf(family.upper):
        support = f"of {family.lower:g} or more"
    outside = (values < family.lower) | (values > family.upper)
    _reject(outside, values, f"family {family.name!r} needs values {support} in {name}")


def _reject(bad: NDArray[np.bool_], values: FloatArray, message: str) -> None:
    """Raise a `DataError` that lists the first bad rows, if there are any."""
    rows = np.flatnonzero(bad)
    if len(rows):
        shown = ", ".join(f"row {r} has {values[r]:g}" for r in rows[:3])
        more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
        raise DataError(f"{message}: {shown}{more} (rows counted from 0).")
