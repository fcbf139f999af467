"""Checks of a family of the user's own."""

from __future__ import annotations

import ast
import difflib
import keyword
import string
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import NDArray

from hiermod.errors import ModelError, PriorError, did_you_mean
from hiermod.models import lean, priors
from hiermod.models.links import LINKS, NAMES, RESERVED, Link, evaluate, fill

if TYPE_CHECKING:
    from hiermod.models.families import Family, FamilyParameter

SCALES = ("mean", "log_mean", "logit_mean")
"""Placeholders of expressions."""

SCALED = ("sd", "per_sd", "least", "mean", "per_mean", "wide")
"""Placeholders of the default priors of parameters."""

SUPPORTS = {
    "positive": (0.0, np.inf),
    "probability": (0.0, 1.0),
    "real": (-np.inf, np.inf),
    "ordered": (-np.inf, np.inf),
    "simplex": (0.0, 1.0),
}

ETA = np.tile([-2.0, -0.5, 0.5, 2.0], (3, 1))
"""Linear predictors at which expressions are tried: three draws of four rows."""


def check(family: Family, taken: Collection[str]) -> None:
    """Check a family that is not among the built-in ones, by trying its expressions.

    Parameters
    ----------
    family : Family
    taken : collection of str
        Names of other families.

    Raises
    ------
    ModelError
        Says what does not exist, clashes or cannot be evaluated.
    """
    if family.name in taken:
        raise ModelError(f"there is a family {family.name!r} already: give yours another name.")
    where = f"family {family.name!r}"
    if family.single or family.columns or "softmax" in family.links:
        raise ModelError(
            f"{where}: a family of your own has one linear predictor for its response; single=, "
            "columns= and the link 'softmax' are for those of several outcomes."
        )
    if isinstance(family.links, str) or not family.links:
        raise ModelError(f"{where}: links must be a tuple of names, such as ('identity', 'log').")
    for name in family.links:
        if name not in LINKS:
            raise ModelError(f"{where}: unknown link {name!r}. {did_you_mean(str(name), LINKS)}")
    if not family.location:
        _check_range(family.links, "probability", f"{where}: with location=False its mean")
    if family.ends not in ("[]", "()", "[)", "(]") or not family.lower < family.upper:
        raise ModelError(
            f"{where}: lower must be below upper, and ends be '[]', '()', '[)' or '(]'."
        )
    for name, parameter in family.parameters.items():
        _check_parameter(name, parameter, where)
    for name in family.distances:
        if name not in family.parameters:
            raise ModelError(f"{where}: distance must name a parameter, not {name!r}.")
    for what in ("likelihood", "totals"):
        if getattr(family, what):
            _check_text(family, what, f"{where}: its {what} {getattr(family, what)!r}")
    for name in family.links:
        _try_likelihood(family, LINKS[name], f"{where}, link {name!r}: its likelihood")
    _try_sums(family, LINKS[family.links[0]], where)


def _check_parameter(name: str, parameter: FamilyParameter, where: str) -> None:
    """Name, prior and support of a parameter beside the mean."""
    meant = {"Intercept", "common", "group_sigma", "group_cor", "smooth_sigma"}
    meant |= {"chain", "draw", *RESERVED}
    if not name.isidentifier() or keyword.iskeyword(name) or name in meant:
        why = "has another meaning here" if name in meant else "is not a Python identifier"
        raise ModelError(f"{where}: parameter {name!r} {why}. Give it another name.")
    if parameter.support not in SUPPORTS:
        known = did_you_mean(str(parameter.support), SUPPORTS)
        raise ModelError(f"{where}, parameter {name!r}: unknown support. {known}")
    _check_range(parameter.allowed, parameter.support, f"{where}: parameter {name!r}")
    if parameter.support == "simplex" and parameter.size < 2:
        raise ModelError(f"{where}: parameter {name!r} is a simplex: give its size, 2 or more.")
    low, high = SUPPORTS[parameter.support]
    if not low <= parameter.typical < high:
        raise ModelError(
            f"{where}, parameter {name!r}: typical={parameter.typical:g} is not inside its support."
        )
    try:
        priors.parse(parameter.prior.format(**dict.fromkeys(SCALED, 1.0)), name)
    except PriorError as error:
        raise ModelError(f"{where}: {error}") from error
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(
            f"{where}: prior of {name!r}, {parameter.prior!r}, may have "
            f"{', '.join(f'{{{word}}}' for word in SCALED)} in braces, and nothing else."
        ) from error


def _check_range(names: Collection[str], support: str, what: str) -> None:
    """Refuse links that give values outside of a support."""
    low, high = SUPPORTS[support]
    fit = [n for n, link in LINKS.items() if low <= link.low and link.high <= high]
    for name in names:
        if name not in fit:
            of = f" (of values {LINKS[name].means})" if name in LINKS else ""
            raise ModelError(
                f"{what} is {_article(support)}, which link {name!r}{of} does not fit. Links that "
                f"do: {', '.join(sorted(fit))}."
            )


def _article(support: str) -> str:
    """A support as what a number is."""
    return {"positive": "positive", "probability": "a probability", "real": "any number"}[support]


def _check_text(family: Family, what: str, where: str) -> None:
    """Placeholders and names of an expression."""
    text = getattr(family, what)
    try:
        used = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
        tree = ast.parse(text.format(**dict.fromkeys(used, "eta")), mode="eval")
    except (SyntaxError, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"{where} is not an expression of Python: {error}.") from error
    for field in used - set(SCALES):
        known = did_you_mean(field, SCALES)
        raise ModelError(f"{where} has an unknown placeholder {{{field}}}. {known}")
    if not used:
        raise ModelError(f"{where} does not depend on the mean: write {{mean}} where it stands.")
    for link in family.links:
        for field in used:
            if not getattr(LINKS[link], field):
                raise ModelError(f"{where} needs {{{field}}}, which link {link!r} does not have.")
    named = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    allowed = {"data", "eta", *NAMES, *family.parameters}
    for name in sorted(named - allowed):
        known = did_you_mean(name, allowed - {"eta"})
        raise ModelError(f"{where} has an unknown name {name!r}. {known}")
    for name in family.parameters:
        if what == "likelihood" and name not in named | {*family.distances}:
            raise ModelError(f"{where} does not depend on the parameter {name!r}.")
    kinds = [n for n in vars(lean.distributions) if n[0].isupper()]
    of_tfd = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and _is_tfd(n.value)}
    for name in sorted(of_tfd - set(kinds)):
        near = difflib.get_close_matches(name, kinds, n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"{where}: there is no tfd.{name}.{guess}")


def _is_tfd(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "tfd"


def _responses(family: Family) -> Any:
    """Responses in the support, shape (responses, 1, 1)."""
    low, high = family.lower, 10.0 if family.trials else family.upper
    if family.categories:
        y = np.arange(0.0 if low == 0 else 1.0, 5.0)
    elif family.counts:
        y = np.arange(max(low, 0.0), min(high, 10.0) + 1)
    elif np.isfinite([low, high]).all():
        y = low + (high - low) * np.array([0.1, 0.3, 0.5, 0.9])
    elif np.isfinite(low):
        y = low + np.array([0.1, 0.5, 1.0, 2.0, 10.0])
    else:
        y = min(high, 5.0) - np.array([0.1, 1.0, 3.0, 5.0, 7.0])
    return tf.constant(y[:, None, None], tf.float64)


def _arguments(family: Family) -> dict[str, Any]:
    """Values for an expression at `ETA`."""
    factors = np.array([[1.0], [0.9], [0.8]])
    data = {"trials": tf.fill([4], np.float64(10))}
    between = np.array([[[-1.0, 0.5, 2.0]]])

    def of(p: FamilyParameter) -> NDArray[np.float64]:
        if p.thresholds:
            return between
        return np.full((1, 1, p.size), p.typical) if p.size else factors * p.typical

    return {"data": data} | {name: of(p) for name, p in family.parameters.items()}


def _try_likelihood(family: Family, link: Link, where: str) -> None:
    """Evaluate the likelihood, its density and draws."""
    eta, y = tf.constant(ETA), _responses(family)
    try:
        with tf.GradientTape() as tape:
            tape.watch(eta)
            found = evaluate(fill(family.likelihood, link), eta=eta, **_arguments(family))
            for problem in _problems(found):
                raise ModelError(f"{where} {problem}.")
            density = found.log_prob(y)
        slope = tape.gradient(density, eta)
        drawn = found.sample(2, seed=tf.constant([1, 2], tf.int32))
    except ModelError:
        raise
    except Exception as error:
        line = str(error).partition("\n")[0]
        raise ModelError(f"{where} cannot be evaluated: {type(error).__name__}: {line}") from error
    if slope is None:
        raise ModelError(f"{where} has a log_prob without a gradient in the mean.")
    if not np.isfinite(density).any():
        raise ModelError(
            f"{where} has no finite log_prob at responses {_shown(y)} and linear predictors "
            f"{_shown(ETA[0])}. Are its lower and upper ends right?"
        )
    if drawn.shape != (2, *ETA.shape):
        raise ModelError(f"{where} gives two draws of shape {tuple(drawn.shape)}.")


def _problems(found: Any) -> Iterator[str]:
    """Why an evaluated likelihood is not a distribution of rows."""
    if not isinstance(found, tfp.distributions.Distribution):
        yield f"must be a TFP distribution, not {type(found).__name__}"
    elif tuple(found.event_shape):
        yield f"must be of single numbers, but its events have shape {tuple(found.event_shape)}"
    elif tuple(found.batch_shape) != ETA.shape:
        shape = tuple(found.batch_shape)
        yield f"must have a distribution for every draw and row: {ETA.shape}, not {shape}"
    elif found.dtype != tf.float64:
        yield f"must be of float64 values, not {found.dtype.name}: try dtype=tf.float64"


def _try_sums(family: Family, link: Link, where: str) -> None:
    """Compare what the family says of sums and of residuals with its likelihood."""
    if not (family.totals or family.residual):
        return
    eta, y = tf.constant(ETA), _responses(family)[:2]
    given = _arguments(family)
    rows = evaluate(fill(family.likelihood, link), eta=eta, **given)
    density = rows.log_prob(y).numpy()
    if family.totals:
        sums = {
            "count": tf.fill([4], np.float64(20 if family.trials else 2)),
            "total": tf.fill([4], tf.reduce_sum(y)),
            "within": tf.fill([4], 2 * tf.math.reduce_variance(y)),
        }
        totals = evaluate(fill(family.totals, link), eta=eta, **given | {"data": sums})
        if np.ptp(totals - density.sum(0)) > 1e-8 * np.abs(density).max():
            raise ModelError(f"{where}: its totals are not sums of its log-likelihood.")
    if family.residual:
        if family.residual not in family.parameters:
            raise ModelError(f"{where}: residual must name a parameter, or be left out.")
        mean, scale = evaluate(link.mean, eta=eta), given[family.residual]
        normal = lean.Normal(mean, tf.constant(scale)).log_prob(y)
        if not np.allclose(normal, density, rtol=1e-8):
            raise ModelError(
                f"{where}: residual is for a normal distribution about the mean: leave it out."
            )


def _shown(values: Any) -> str:
    return ", ".join(f"{v:g}" for v in np.ravel(values))
