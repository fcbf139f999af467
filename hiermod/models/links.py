"""Links, as expressions of the linear predictor.

A link is written once, as the source of TensorFlow expressions of ``eta``: the program that
`model.joint` is built from, and that `model.code()` prints, is put together from them. Likelihoods
ask for the mean on the scale on which they are stable (`log`, `logit`), not always for the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from hiermod.errors import ModelError, did_you_mean
from hiermod.models import distributions, lean

NAMES: dict[str, Any] = {
    "np": np,
    "tf": tf,
    "tfp": tfp,
    "tfd": lean.distributions,
    "tfb": tfp.bijectors,
    "normal": lean.Normal(np.float64(0), np.float64(1)),
    **distributions.OWN,
}
"""What expressions may use beside their arguments."""

RESERVED = {"data", "prior", "eta", "joint", "mean", "likelihood", "linear_predictor", *NAMES}
"""Names that have a meaning in the program of a model."""


def evaluate(expression: str, **arguments: Any) -> Any:
    """Value of an expression of a link or a family; arrays are taken as float64 tensors.

    Examples
    --------
    >>> float(evaluate(LINKS["log"].mean, eta=0.0))
    1.0
    """
    values = {
        k: tf.constant(v, tf.float64) if isinstance(v, np.ndarray | float) else v
        for k, v in arguments.items()
    }
    return eval(expression, {**NAMES, **values})


@dataclass(frozen=True)
class Link:
    """A link function g with g(mean) = eta.

    Attributes
    ----------
    name : str
    mean : str
        Expression of the mean, the inverse link.
    eta : str
        Expression of the linear predictor in terms of ``mean``.
    log_mean : str
        Expression of the logarithm of the mean; empty if that can be negative.
    logit_mean : str
        Expression of its logit; empty if that can be outside (0, 1).
    latex : str
        The link in LaTeX, with ``{}`` for the mean.
    unit : str
        What a unit of the linear predictor is worth in default priors: an expression of ``mean``
        and ``sd``, a typical mean and the standard deviation of the response.
    low, high : float
        Ends of the means that it gives.
    partial : bool
        Whether linear predictors that are not positive have no mean, or a negative one.
    """

    name: str
    mean: str
    eta: str
    log_mean: str
    logit_mean: str
    latex: str
    unit: str = "1.0"
    low: float = 0.0
    high: float = 1.0
    partial: bool = False

    @property
    def means(self) -> str:
        """The means that it gives, in words."""
        if np.isinf(self.low):
            return "any number"
        if np.isinf(self.high):
            return f"above {self.low:g}"
        return f"from {self.low:.3g} to {self.high:.3g}"


# log(-expm1(-x)) is the logarithm of 1 - exp(-x) (Maechler 2012, "Accurately computing
# log(1 - exp(-|a|))"); ``normal`` is the standard normal distribution.
LINKS: dict[str, Link] = {
    link.name: link
    for link in (
        Link(
            name="identity",
            mean="eta",
            eta="mean",
            log_mean="tf.math.log(eta)",
            logit_mean="tf.math.log(eta) - tf.math.log1p(-eta)",
            latex="{}",
            unit="sd",
            low=-np.inf,
            high=np.inf,
        ),
        Link(
            name="softmax",
            mean="eta",
            eta="mean",
            log_mean="",
            logit_mean="",
            latex="{}",
            low=-np.inf,
            high=np.inf,
        ),
        Link(
            name="log",
            mean="tf.exp(eta)",
            eta="tf.math.log(mean)",
            log_mean="eta",
            logit_mean="eta - tf.math.log(-tf.math.expm1(eta))",
            latex=r"\log {}",
            high=np.inf,
        ),
        Link(
            name="logit",
            mean="tf.math.sigmoid(eta)",
            eta="tf.math.log(mean) - tf.math.log1p(-mean)",
            log_mean="tf.math.log_sigmoid(eta)",
            logit_mean="eta",
            latex=r"\operatorname{{logit}} {}",
        ),
        Link(
            name="probit",
            mean="normal.cdf(eta)",
            eta="normal.quantile(mean)",
            log_mean="normal.log_cdf(eta)",
            logit_mean="normal.log_cdf(eta) - normal.log_cdf(-eta)",
            latex=r"\Phi^{{-1}}({})",
            unit="0.6",
        ),
        Link(
            name="probit_approx",
            mean="tf.math.sigmoid(0.07056 * eta**3 + 1.5976 * eta)",
            # The real root of that cubic, by hyperbolic functions.
            eta="np.sqrt(4 * 1.5976 / (3 * 0.07056)) * tf.sinh(tf.asinh("
            "(tf.math.log(mean) - tf.math.log1p(-mean)) * np.sqrt(27 * 0.07056 / 4 / 1.5976**3)"
            ") / 3)",
            log_mean="tf.math.log_sigmoid(0.07056 * eta**3 + 1.5976 * eta)",
            logit_mean="0.07056 * eta**3 + 1.5976 * eta",
            latex=r"\tilde\Phi^{{-1}}({})",
            unit="0.6",
        ),
        Link(
            name="cloglog",
            mean="-tf.math.expm1(-tf.exp(eta))",
            eta="tf.math.log(-tf.math.log1p(-mean))",
            log_mean="tf.math.log(-tf.math.expm1(-tf.exp(eta)))",
            logit_mean="tf.exp(eta) + tf.math.log(-tf.math.expm1(-tf.exp(eta)))",
            latex=r"\log(-\log(1 - {}))",
        ),
        Link(
            name="cauchit",
            mean="tf.atan2(tf.ones_like(eta), -eta) / np.pi",
            eta="tf.tan(np.pi * (mean - 0.5))",
            log_mean="tf.math.log(tf.atan2(tf.ones_like(eta), -eta) / np.pi)",
            logit_mean="tf.math.log(tf.atan2(tf.ones_like(eta), -eta))"
            " - tf.math.log(tf.atan2(tf.ones_like(eta), eta))",
            latex=r"\tan(\pi ({} - 1/2))",
        ),
        Link(
            name="softplus",
            mean="tf.math.softplus(eta)",
            eta="mean + tf.math.log(-tf.math.expm1(-mean))",
            # Below -40 it is the exponential, in float64.
            log_mean="tf.where(eta < -40, eta, "
            "tf.math.log(tf.math.softplus(tf.maximum(eta, np.float64(-40)))))",
            logit_mean="",
            latex=r"\log(\exp({}) - 1)",
            unit="sd",
            high=np.inf,
        ),
        Link(
            name="squareplus",
            mean="tf.exp(tf.asinh(0.5 * eta))",  # (eta + sqrt(eta**2 + 4)) / 2
            eta="mean - 1 / mean",
            log_mean="tf.asinh(0.5 * eta)",
            logit_mean="",
            latex=r"{0} - 1 / {0}",
            unit="sd",
            high=np.inf,
        ),
        # Those below are of eta > 0 only, or have the same mean for eta and -eta; the units are
        # those of the response times the slope of the link.
        Link(
            name="inverse",
            mean="1.0 / eta",
            eta="1.0 / mean",
            log_mean="-tf.math.log(eta)",
            logit_mean="",
            latex="1 / {}",
            unit="sd / mean**2",
            low=-np.inf,
            high=np.inf,
            partial=True,
        ),
        Link(
            name="1/mu^2",
            mean="tf.math.rsqrt(eta)",
            eta="1.0 / mean**2",
            log_mean="-0.5 * tf.math.log(eta)",
            logit_mean="",
            latex="1 / {}^2",
            unit="2.0 * sd / mean**3",
            high=np.inf,
            partial=True,
        ),
        Link(
            name="sqrt",
            mean="eta**2",
            eta="tf.sqrt(mean)",
            log_mean="2.0 * tf.math.log(tf.abs(eta))",
            logit_mean="",
            latex=r"\sqrt{{{}}}",
            unit="0.5 * sd / mean**0.5",
            high=np.inf,
        ),
        Link(
            name="logm1",
            mean="(1.0 + tf.exp(eta))",
            eta="tf.math.log(mean - 1.0)",
            log_mean="tf.math.softplus(eta)",
            logit_mean="",
            latex=r"\log({} - 1)",
            low=1.0,
            high=np.inf,
        ),
        Link(
            name="tan_half",
            mean="2 * tf.atan(eta)",
            eta="tf.tan(0.5 * mean)",
            log_mean="",
            logit_mean="",
            latex=r"\tan({} / 2)",
            low=-np.pi,
            high=np.pi,
        ),
    )
}


def fill(text: str, link: Link) -> str:
    """An expression of ``eta``, from one of ``{mean}``, ``{log_mean}`` and ``{logit_mean}``."""
    return text.format(mean=link.mean, log_mean=link.log_mean, logit_mean=link.logit_mean)


def link(name: str, allowed: tuple[str, ...] = tuple(LINKS), of: str = "") -> Link:
    """The link of that name.

    Parameters
    ----------
    name : str
    allowed : tuple of str
    of : str
        What it is a link of, in the message.

    Raises
    ------
    ModelError
        If there is none, or it is not among `allowed`.

    Examples
    --------
    >>> link("cloglog").mean
    '-tf.math.expm1(-tf.exp(eta))'
    """
    if name in LINKS and name not in allowed:
        raise ModelError(
            f"link {name!r} (of values {LINKS[name].means}) does not fit {of}. Links that do: "
            f"{', '.join(sorted(allowed))}."
        )
    if name not in allowed:
        raise ModelError(f"unknown link {name!r}. {did_you_mean(str(name), allowed)}")
    return LINKS[name]
