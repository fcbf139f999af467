"""Priors: their notation, their distributions, their support."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow_probability as tfp

from hiermod.errors import PriorError, did_you_mean, pointed
from hiermod.formula.design import label
from hiermod.models import shrinkage
from hiermod.models.links import evaluate
from hiermod.models.shrinkage import Shrinkage

tfd = tfp.distributions


@dataclass(frozen=True)
class Distribution:
    """A distribution that a prior string can name.

    Attributes
    ----------
    name : str
        Stan's name.
    arguments : tuple of str
        TFP's names of the arguments, in Stan's order.
    tfp : str
        Name of the class in `tfp.distributions`.
    support : str
        ``"real"``, ``"positive"``, ``"interval"``, ``"correlation"``, ``"simplex"`` or
        ``"constant"``.
    positive : tuple of str
        Arguments that must be positive.
    """

    name: str
    arguments: tuple[str, ...]
    tfp: str
    support: str
    positive: tuple[str, ...] = ()


DISTRIBUTIONS: dict[str, Distribution] = {
    d.name: d
    for d in (
        Distribution("normal", ("loc", "scale"), "Normal", "real", ("scale",)),
        Distribution("student_t", ("df", "loc", "scale"), "StudentT", "real", ("df", "scale")),
        Distribution("cauchy", ("loc", "scale"), "Cauchy", "real", ("scale",)),
        Distribution("laplace", ("loc", "scale"), "Laplace", "real", positive=("scale",)),
        Distribution("double_exponential", ("loc", "scale"), "Laplace", "real", ("scale",)),
        Distribution("logistic", ("loc", "scale"), "Logistic", "real", positive=("scale",)),
        Distribution("gumbel", ("loc", "scale"), "Gumbel", "real", ("scale",)),
        Distribution("half_normal", ("scale",), "HalfNormal", "positive", positive=("scale",)),
        Distribution("exponential", ("rate",), "Exponential", "positive", positive=("rate",)),
        Distribution(
            "gamma",
            ("concentration", "rate"),
            "Gamma",
            "positive",
            positive=("concentration", "rate"),
        ),
        Distribution(
            "inv_gamma",
            ("concentration", "scale"),
            "InverseGamma",
            "positive",
            positive=("concentration", "scale"),
        ),
        Distribution("lognormal", ("loc", "scale"), "LogNormal", "positive", positive=("scale",)),
        Distribution("chi_square", ("df",), "Chi2", "positive", ("df",)),
        Distribution(
            "weibull",
            ("concentration", "scale"),
            "Weibull",
            "positive",
            ("concentration", "scale"),
        ),
        Distribution(
            "beta",
            ("concentration1", "concentration0"),
            "Beta",
            "interval",
            positive=("concentration1", "concentration0"),
        ),
        Distribution("uniform", ("low", "high"), "Uniform", "interval"),
        Distribution("constant", ("loc",), "Deterministic", "constant"),
        Distribution(
            "lkj", ("concentration",), "CholeskyLKJ", "correlation", positive=("concentration",)
        ),
        Distribution(
            "dirichlet", ("concentration",), "Dirichlet", "simplex", positive=("concentration",)
        ),
    )
}

# The same distributions cut at zero, for parameters that are positive; their location is zero.
HALVES: dict[str, Distribution] = {
    "normal": Distribution("normal", ("loc", "scale"), "HalfNormal", "positive"),
    "student_t": Distribution("student_t", ("df", "loc", "scale"), "HalfStudentT", "positive"),
    "cauchy": Distribution("cauchy", ("loc", "scale"), "HalfCauchy", "positive"),
}

OTHERS: dict[str, Callable[..., Any]] = {
    "std_normal": lambda: tfd.Normal(0.0, 1.0),
    "exp_mod_normal": lambda mu, sigma, lambda_: tfd.ExponentiallyModifiedGaussian(
        mu, sigma, lambda_
    ),
    "inv_chi_square": lambda nu: tfd.InverseGamma(nu / 2, 0.5),
    "scaled_inv_chi_square": lambda nu, sigma: tfd.InverseGamma(nu / 2, nu * sigma**2 / 2),
    "rayleigh": lambda sigma: tfd.Weibull(2.0, sigma * np.sqrt(2)),
    "loglogistic": lambda alpha, beta: tfd.LogLogistic(np.log(alpha), 1 / beta),
    "pareto": lambda y_min, alpha: tfd.Pareto(alpha, y_min),
    "pareto_type_2": lambda mu, lambda_, alpha: tfd.GeneralizedPareto(
        mu, lambda_ / alpha, 1 / alpha
    ),
    "beta_proportion": lambda mu, kappa: tfd.Beta(mu * kappa, (1 - mu) * kappa),
    "von_mises": lambda mu, kappa: tfd.VonMises(mu, kappa),
}
"""Distributions of other arguments in Stan than in TFP, by Stan's name: as TFP's with numbers."""

LEAST_MASS = 1e-8
"""Probability that bounds must leave: of less, float64 does not hold the density to 1e-8."""


@dataclass(frozen=True)
class Prior:
    """A prior of one parameter.

    Attributes
    ----------
    text : str
        In Stan's notation, ``"normal(0, 1.5)"``; of a TFP distribution, its TFP call.
    source : str
        Where it came from: ``"default"`` and what it is scaled to, or the key of ``priors=``.
    distribution : Distribution or None
        None for a TFP distribution of the user's.
    arguments : tuple of float or tuple of float
        Numbers, one an argument; a tuple has one number per column of the term.
    custom : tfd.Distribution, optional
        The user's own.
    bounds : (float, float, float), optional
        What it is truncated to, and the probability that the whole has there.
    shrinkage : Shrinkage, optional
        What standardised values are multiplied by; `distribution` and `arguments` are then theirs.
    elements : tuple of Prior
        Of coefficients of one term whose distributions differ; there is nothing else then.
    """

    text: str
    source: str
    distribution: Distribution | None
    arguments: tuple[Any, ...] = ()
    custom: Any = None
    bounds: tuple[float, ...] = ()
    shrinkage: Shrinkage | None = None
    elements: tuple[Prior, ...] = ()

    @property
    def numbers(self) -> tuple[Any, ...]:
        """The arguments, and bounds if there are any."""
        inner = (number for element in self.elements for number in element.numbers)
        return (*inner, *self.arguments, *self.bounds)

    @property
    def constant(self) -> bool:
        """Whether it fixes its parameter."""
        if self.distribution is None or self.shrinkage:
            return False
        return self.distribution.name == "constant"


def make(name: str, *arguments: Any, source: str) -> Prior:
    """A prior from the table, with numbers (or one tuple of numbers per column).

    Examples
    --------
    >>> make("normal", 0.0, 1.5, source="default").text
    'normal(0, 1.5)'
    """
    shown = ", ".join(
        "[" + ", ".join(f"{v:.4g}" for v in a) + "]" if isinstance(a, tuple) else f"{a:.4g}"
        for a in arguments
    )
    return Prior(f"{name}({shown})", source, DISTRIBUTIONS[name], tuple(arguments))


def joined(given: Mapping[int, Prior], others: Prior, size: int) -> Prior:
    """The prior of a term with several coefficients, some of which have priors of their own.

    Parameters
    ----------
    given : mapping from int
        By the place of the coefficient.
    others : Prior
        Of the other coefficients.
    size : int
        Number of coefficients.

    Raises
    ------
    PriorError
        If they have not all the same support.

    Examples
    --------
    >>> normal, other = make("normal", 0.0, 2.0, source="default"), parse("cauchy(0, 1)", "f[b]")
    >>> joined({1: parse("normal(0, 1)", "f[b]")}, normal, 2).text
    'normal(0, [2, 1])'
    >>> joined({1: other}, normal, 2).text
    '[normal(0, 2), cauchy(0, 1)]'
    """
    elements = [given.get(i) or _element(others, i) for i in range(size)]
    first = elements[0]
    for prior in given.values():
        if any((support(e), ends(e)) != (support(prior), ends(prior)) for e in elements):
            raise PriorError(
                f"prior of {prior.source!r}, {prior.text!r}, does not fit: all coefficients of a "
                "term must have the same bounds, or none, and none may be constant. Give the term "
                "a prior with these bounds too, or make a column of its own for the coefficient."
            )
    if first.distribution and all(
        e.distribution == first.distribution and not e.bounds for e in elements
    ):
        columns = [tuple(map(float, c)) for c in zip(*(e.arguments for e in elements), strict=True)]
        numbers = [c[0] if len({*c}) == 1 else c for c in columns]
        made = make(first.distribution.name, *numbers, source=others.source)
        cut = ", cut at 0" * (first.distribution in HALVES.values())
        return replace(made, text=made.text + cut, distribution=first.distribution)
    text = f"[{', '.join(e.text for e in elements)}]"
    return Prior(text, others.source, None, elements=tuple(elements))


def _element(prior: Prior, i: int) -> Prior:
    """The prior of one coefficient, of a prior with numbers for each."""
    if not any(isinstance(a, tuple) for a in prior.arguments):
        return prior
    assert prior.distribution
    numbers = [a[i] if isinstance(a, tuple) else a for a in prior.arguments]
    return make(prior.distribution.name, *numbers, source=prior.source)


_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\(.*\)\s*$", re.DOTALL)


def parse(text: str, source: str) -> Prior:
    """Read a prior in Stan's notation.

    Parameters
    ----------
    text : str
        For example ``"student_t(3, 0, 2.5)"``; ``"exponential(1, lb=2)"``, truncated; or, with a
        scale that is a parameter itself, ``"normal(0, exponential(1))"`` or ``"horseshoe()"``.
    source : str
        Key of ``priors=`` that it stands under, for messages.

    Raises
    ------
    PriorError
        If it cannot be read, or its numbers are out of range.

    Examples
    --------
    >>> parse("exponential(1)", "sigma").arguments
    (1.0,)
    """
    where = f"prior of {source!r}, {text!r}"
    match = _CALL.match(text)
    if not match:
        raise PriorError(f"{where}, is not of the form name(numbers), such as normal(0, 1).")
    name = match[1]
    known = [*DISTRIBUTIONS, *OTHERS, *shrinkage.PRIORS]
    if name not in known:
        half = name.removeprefix("half_")
        cut = f"On a positive parameter, {half}(...) at 0 is cut to its half. " * (half in HALVES)
        raise PriorError(
            f"prior of {source!r}: unknown distribution.\n{pointed(text, *match.span(1))}\n"
            f"  {cut}{did_you_mean(name, known)}"
        )
    try:
        call: Any = ast.parse(text.strip(), mode="eval").body
        nested = any(isinstance(a, ast.Call) for a in call.args[-1:])
        numbers = tuple(float(ast.literal_eval(a)) for a in call.args[: len(call.args) - nested])
        given = {k.arg: float(ast.literal_eval(k.value)) for k in call.keywords}
    except (ValueError, SyntaxError, TypeError, AttributeError) as error:
        raise PriorError(f"{where}: the arguments must be numbers.") from error
    if name in OTHERS:
        return _other(text, source, name, numbers, bool(nested or given))
    if nested:
        return _hyper(text, source, name, call)
    if name in shrinkage.PRIORS:
        return _shrinking(text, source, name, numbers, given)
    distribution = DISTRIBUTIONS[name]
    if len(numbers) != len(distribution.arguments):
        raise PriorError(
            f"{where}: {name} takes {len(distribution.arguments)} numbers "
            f"({', '.join(distribution.arguments)}), not {len(numbers)}."
        )
    values = dict(zip(distribution.arguments, numbers, strict=True))
    if not np.all(np.isfinite([*numbers, *given.values()])):
        raise PriorError(f"{where}: the arguments must be finite.")
    for argument in distribution.positive:
        if not values[argument] > 0:
            raise PriorError(f"{where}: {argument} must be positive.")
    if name == "uniform" and not values["low"] < values["high"]:
        raise PriorError(f"{where}: the lower end must be below the upper end.")
    prior = make(name, *numbers, source=source)
    return _bounded(prior, given, where) if given else prior


def _hyper(text: str, source: str, name: str, call: ast.Call) -> Prior:
    """A prior whose scale has a prior, ``normal(0, exponential(1))``."""
    where, distribution = f"prior of {source!r}, {text!r}", DISTRIBUTIONS.get(name)
    if not distribution or (*distribution.arguments[-2:], distribution.support) != (
        "loc", "scale", "real",
    ):  # fmt: skip
        raise PriorError(
            f"{where}: only a scale can have a prior, in normal(0, ...), student_t(3, 0, ...), "
            "cauchy(0, ...), laplace(0, ...) and logistic(0, ...)."
        )
    before = ", ".join(map(ast.unparse, call.args[:-1]))
    standard = parse(f"{name}({before}, 1)", source)
    if call.keywords or standard.arguments[-2] != 0:
        raise PriorError(f"{where}: with a prior for its scale, the location must be 0, unbounded.")
    inner = parse(ast.unparse(call.args[-1]), source)
    shown = f"{standard.text[:-2]}{inner.text})"
    return replace(standard, text=shown, shrinkage=shrinkage.hyperprior(inner))


def _other(text: str, source: str, name: str, numbers: tuple[float, ...], more: bool) -> Prior:
    """A prior from the table `OTHERS`."""
    where, takes = f"prior of {source!r}, {text!r}", [*inspect.signature(OTHERS[name]).parameters]
    if more or len(numbers) != len(takes):
        shown = ", ".join(takes).replace("_,", ",").removesuffix("_") or "none"
        raise PriorError(f"{where}: {name} takes {len(takes)} numbers ({shown}) and nothing else.")
    positive = [v for v, argument in zip(numbers, takes, strict=True) if argument != "mu"]
    if not np.isfinite(numbers).all() or min(positive, default=1) <= 0:
        raise PriorError(f"{where}: the arguments must be finite, and positive but for mu.")
    if name == "beta_proportion" and not 0 < numbers[0] < 1:
        raise PriorError(f"{where}: mu must be between 0 and 1.")
    shown = ", ".join(f"{v:.4g}" for v in numbers)
    return replace(read(OTHERS[name](*numbers), source), text=f"{name}({shown})")


def _shrinking(
    text: str, source: str, name: str, numbers: tuple[float, ...], given: dict[Any, float]
) -> Prior:
    """A prior from the table of `models.shrinkage`."""
    where, function = f"prior of {source!r}, {text!r}", shrinkage.PRIORS[name]
    signature = inspect.signature(function)
    try:
        bound = signature.bind(*numbers, **given)
    except TypeError as error:
        takes = ", ".join(f"{p.name}={p.default:g}" for p in signature.parameters.values())
        raise PriorError(f"{where}: {name} takes {takes}.") from error
    bound.apply_defaults()
    for argument, value in bound.arguments.items():
        if not 0 < value < np.inf:
            raise PriorError(f"{where}: {argument} must be positive and finite.")
    try:
        made = function(**bound.arguments)
    except ValueError as error:
        raise PriorError(f"{where}: {error}.") from error
    shown = f"{name}({', '.join(f'{value:.4g}' for value in bound.arguments.values())})"
    return replace(make("normal", 0.0, 1.0, source=source), text=shown, shrinkage=made)


def _bounded(prior: Prior, given: dict[Any, float], where: str) -> Prior:
    """The prior truncated to ``lb`` and ``ub``, checked."""
    unknown = sorted(map(str, set(given) - {"lb", "ub"}))
    if unknown or support(prior) in ("correlation", "simplex", "constant"):
        what = unknown[0] if unknown else next(iter(given))
        raise PriorError(
            f"{where}: there is no argument {what}. Numbers stand alone, in the order of "
            "docs/priors.md; the bounds of a distribution of numbers are lb= and ub=."
        )
    low, high = ends(prior)
    bounds = given.get("lb", low), given.get("ub", high)
    if not bounds[0] < bounds[1]:
        raise PriorError(f"{where}: the lower bound must be below the upper bound.")
    if bounds[0] < low or bounds[1] > high:
        raise PriorError(f"{where}: the bounds must lie in its support, from {low:g} to {high:g}.")
    shown = ", ".join(f"{name}={value:.4g}" for name, value in sorted(given.items()))
    return truncate(prior, bounds, f"{prior.text[:-1]}, {shown})")


def truncate(prior: Prior, bounds: tuple[float, float], text: str) -> Prior:
    """The prior within bounds inside its support, with another text.

    Raises
    ------
    PriorError
        If there is next to nothing of it.
    """
    found = replace(prior, text=text, bounds=bounds)
    mass = float(evaluate(source(found, None)).mass)
    if not mass >= LEAST_MASS:
        raise PriorError(
            f"prior of {prior.source!r}, {text!r}: within the bounds there is only {mass:.2g} of "
            "its probability. Move the bounds or the distribution."
        )
    return replace(found, bounds=(*bounds, mass))


def read(value: Any, source: str) -> Prior:
    """A prior from what a user gives: a string, or a scalar TFP distribution.

    Raises
    ------
    PriorError
        If it is neither, or a distribution that is not scalar and continuous.
    """
    if isinstance(value, str):
        return parse(value, source)
    if not isinstance(value, tfd.Distribution):
        raise PriorError(
            f"prior of {source!r}: give a string such as 'normal(0, 1)' or a TFP distribution, "
            f"not {type(value).__name__}."
        )
    if tuple(value.event_shape) or tuple(value.batch_shape):
        raise PriorError(
            f"prior of {source!r}: the distribution must be scalar, but its batch shape is "
            f"{tuple(value.batch_shape)} and its event shape {tuple(value.event_shape)}."
        )
    fixed = isinstance(value, tfd.Deterministic) or not value.dtype.is_floating
    if fixed or value.experimental_default_event_space_bijector() is None:
        raise PriorError(
            f"prior of {source!r}: the distribution must be continuous. To fix a parameter, write "
            "for example 'constant(2)'."
        )
    try:
        code = custom_source(value)
        text = re.sub(r"np\.float64\((.*?)\)", r"\1", code.replace("tfd.", ""))
        prior = Prior(text, source, None, custom=eval(code, {"tfd": tfd, "np": np}))
    except (AttributeError, TypeError, ValueError) as error:
        raise PriorError(
            f"prior of {source!r}: {type(value).__name__} is not made of numbers alone; give a "
            f"distribution such as tfd.Gamma(2.0, 0.1)."
        ) from error
    return prior


def custom_source(distribution: Any) -> str:
    """The call that makes a TFP distribution, in float64.

    Examples
    --------
    >>> custom_source(tfd.Gamma(2.0, rate=0.5))
    'tfd.Gamma(concentration=np.float64(2.0), rate=np.float64(0.5))'
    """
    skip = {"validate_args", "allow_nan_stats", "name", "force_probs_to_zero_outside_support"}
    parts = []
    for name, value in distribution.parameters.items():
        if name in skip or value is None:
            continue
        if isinstance(value, tfd.Distribution):
            parts.append(f"{name}={custom_source(value)}")
        elif isinstance(value, bool):
            parts.append(f"{name}={value}")
        else:
            parts.append(f"{name}={_number(float(np.asarray(value)))}")
    return f"tfd.{type(distribution).__name__}({', '.join(parts)})"


def support(prior: Prior) -> str:
    """Support of a prior, as of a `Distribution`; also ``"half-line"``, another than (0, inf)."""
    if prior.elements:
        return support(prior.elements[0])
    if prior.distribution is not None and not prior.bounds:
        return prior.distribution.support
    low, high = np.isinf(ends(prior))
    if low and high:
        return "real"
    if low or high:
        return "positive" if ends(prior)[0] == 0 else "half-line"
    return "interval"


def on_positive(prior: Prior, name: str) -> Prior:
    """The prior of a parameter that is positive: cut at zero if it has negative values.

    Raises
    ------
    PriorError
        If it cannot be cut, or leaves (0, inf).

    Examples
    --------
    >>> on_positive(parse("normal(0, 1)", "sigma"), "sigma").distribution.tfp
    'HalfNormal'
    """
    low, high = ends(prior)
    if low >= 0:
        return prior
    half = HALVES.get(prior.distribution.name) if prior.distribution is not None else None
    if low > -np.inf or high <= 0 or half is None:
        raise PriorError(
            f"prior of {name!r}, {prior.text!r}, does not fit: {name} is positive. Use for example "
            f"'exponential(1)', 'half_normal(1)' or 'normal(0, 1)', which is cut at zero."
        )
    values, text = (
        dict(zip(half.arguments, prior.arguments, strict=True)),
        f"{prior.text}, cut at 0",
    )
    if prior.bounds or (half.name == "normal" and values["loc"]):
        return truncate(prior, (0.0, high), text)
    if values["loc"] == 0:
        if half.name == "normal":
            half = DISTRIBUTIONS["half_normal"]
        kept = tuple(values[a] for a in half.arguments)
        return replace(prior, text=text, distribution=half, arguments=kept)
    raise PriorError(
        f"prior of {name!r}, {prior.text!r}, does not fit: on a positive parameter its location "
        f"must be 0, or a bound lb=0 cut it there."
    )


def check_constant(prior: Prior, support: str, name: str) -> None:
    """Refuse a constant that a parameter with this support cannot be."""
    (value,) = prior.arguments
    low, high = {"positive": (0, np.inf), "probability": (0, 1)}.get(support, (-np.inf, np.inf))
    if not low < value < high:
        what = {"positive": "positive", "probability": "a probability between 0 and 1"}[support]
        raise PriorError(f"prior of {name!r}, {prior.text!r}, does not fit: {name} is {what}.")


def check_unbounded(prior: Prior, name: str) -> None:
    """Refuse a prior of ordered numbers that has an end, or is one constant."""
    if prior.constant or np.isfinite(ends(prior)).any():
        raise PriorError(
            f"prior of {name!r}, {prior.text!r}, does not fit: it is that of each of several "
            "numbers in ascending order, which have no bounds. Use for example 'normal(0, 1.5)'."
        )


def check_probability(prior: Prior, name: str) -> None:
    """Refuse a prior of a probability that leaves (0, 1)."""
    low, high = ends(prior)
    if low < 0 or high > 1:
        raise PriorError(
            f"prior of {name!r}, {prior.text!r}, does not fit: {name} is a probability. Use for "
            "example 'beta(1, 1)' or 'uniform(0, 0.5)'."
        )


def source(prior: Prior, numbers: str | None, first: int = 0) -> str:
    """Source of the TFP distribution of a prior.

    Parameters
    ----------
    prior : Prior
    numbers : str or None
        Expression that the arguments are read from by position; None writes them out.
    first : int
        Position of the first of them.

    Examples
    --------
    >>> source(parse("normal(0, 1.5)", "x"), None)
    'tfd.Normal(loc=np.float64(0.0), scale=np.float64(1.5))'
    >>> source(parse("normal(0, 1.5)", "x"), 'prior["x"]')
    'tfd.Normal(loc=prior["x"][0], scale=prior["x"][1])'
    """
    if prior.elements:
        parts = []
        for element in prior.elements:
            parts.append(source(element, numbers, first))
            first += len(element.numbers)
        return f"tfd.Blockwise([{', '.join(parts)}])"
    if prior.distribution is None:
        return custom_source(prior.custom)
    values = [
        _number(a) if numbers is None else f"{numbers}[{i}]"
        for i, a in enumerate(prior.numbers, first)
    ]
    pairs = zip(prior.distribution.arguments, values, strict=False)
    whole = f"tfd.{prior.distribution.tfp}({', '.join(f'{k}={v}' for k, v in pairs)})"
    if not prior.bounds:
        return whole
    pairs = zip(("low", "high", "mass"), values[len(prior.arguments) :], strict=False)
    return f"Truncated({whole}, {', '.join(f'{k}={v}' for k, v in pairs)})"


def _number(value: Any) -> str:
    """A float64 as source."""
    if isinstance(value, tuple):
        return f"np.array({list(value)!r})"
    if np.isinf(value):
        return f"np.float64({'-' * (value < 0)}np.inf)"
    return f"np.float64({float(value)!r})"


def ends(prior: Prior) -> tuple[float, float]:
    """Ends of the support of a scalar prior."""
    if prior.elements:
        return ends(prior.elements[0])
    if prior.distribution is None:
        bijector = prior.custom.experimental_default_event_space_bijector()
        # Far out, where maps onto half-lines and intervals have reached their ends.
        low, high = np.sort(bijector.forward(np.array([-1e300, 1e300])))
        if np.isnan(low):  # TruncatedNormal with an end at infinity has no map
            low, high = (
                np.float64(prior.custom.parameters.get(k, np.nan)) for k in ("low", "high")
            )
        low = 0.0 if abs(low) < 1e-290 else float(low)
        return (-np.inf if low < -1e290 else low), (np.inf if high > 1e290 else float(high))
    if prior.bounds:
        return prior.bounds[0], prior.bounds[1]
    if prior.distribution.name == "uniform":
        return prior.arguments
    if prior.distribution.name == "constant":
        return prior.arguments * 2
    return {"real": (-np.inf, np.inf), "positive": (0.0, np.inf)}.get(
        prior.distribution.support, (0.0, 1.0)
    )


def merge(
    priors: Mapping[str, Any] | None, allowed: Collection[str], elements: Collection[str]
) -> dict[str, Prior]:
    """Read a user's ``priors=`` and check its keys.

    Parameters
    ----------
    priors : mapping, optional
    allowed : collection of str
        Every name and class that the model has.
    elements : collection of str
        Names of single coefficients of terms that have several.

    Raises
    ------
    PriorError
        If a key names nothing in the model.
    """
    out = {}
    if priors is not None and not isinstance(priors, Mapping):
        raise PriorError(
            f"priors must be a dict such as {{'Intercept': 'normal(0, 1)'}}, not "
            f"{type(priors).__name__}."
        )
    for written, value in (priors or {}).items():
        key = label(written)
        if key not in allowed and key not in elements:
            known = [*allowed, *(elements if "[" in key else ())]
            raise PriorError(
                f"there is no parameter or class {key!r} in the model. {did_you_mean(key, known)}"
            )
        out[key] = read(value, key)
    return out
