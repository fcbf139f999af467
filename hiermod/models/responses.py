"""Responses, checked and put into the numbers that their family takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hiermod.errors import DataError, ModelError
from hiermod.formula.design import Response
from hiermod.models.families import Family

FloatArray = NDArray[np.float64]


def numbered(family: Family, response: Response) -> Response:
    """The response as the family takes it: numbers, for ordered categories 1, 2, ...

    Before them comes 0, the hurdle, if the family has one.

    Raises
    ------
    DataError
        If it has levels, and the family takes numbers; or it has not the ordered categories, each
        observed, that the family takes.
    """
    levels, name = response.levels, response.name
    if bool(response.columns) != family.columns:
        raise ModelError(
            f"family {family.name!r} takes one column as its response, not {name}."
            if response.columns
            else f"family {family.name!r} takes several columns as its response: write c(a, b, c)."
        )
    if family.columns and family.trials and response.trials is None:
        return replace(response, trials=response.values.sum(axis=1))
    if not family.categories:
        if levels and len(levels) != 2:
            raise DataError(
                f"the response {name!r} is categorical with {len(levels)} level(s): "
                f"{', '.join(levels[:10])}. It must have two, of which the second counts as 1, or "
                "be numeric."
            )
        return response
    ordered = family.categories == "ordered"
    first = 0 if ordered and family.lower == 0 else 1
    values = response.values + first * bool(levels)
    if ordered and levels and not response.ordered and len(levels) > 2:
        raise DataError(
            f"family {family.name!r} needs the order of the levels of {name}: make it "
            "pd.Categorical(values, categories=[...], ordered=True), from the lowest to the "
            "highest, or number them from 1."
        )
    _reject(
        response,
        (values % 1 != 0) | (values < first),
        values,
        f"family {family.name!r} needs categories in {name}: {'ordered ' * ordered}levels, or "
        f"whole numbers from {first}",
    )
    highest = len(levels) - 1 + first if levels else int(values.max())
    shown = levels or tuple(map(str, range(first, highest + 1)))
    if first == 0 and (0 not in values or shown[0] != (response.lowest or "0")):
        raise DataError(
            f"no row has {name} = {response.lowest or 0}, which is the hurdle of family "
            f"{family.name!r}. Without one use family='cumulative', with categories from 1."
        )
    if highest < 2:
        beside = " beside the hurdle" if first == 0 else ""
        raise DataError(f"the response {name} has one category{beside}: there is nothing to model.")
    if highest < 3 and family.distances:
        raise DataError(
            f"the response {name} has two categories, between which there is one threshold: "
            f"distances need three or more. Use family={family.called!r}."
        )
    missing = sorted({*range(1, highest + 1)} - {*values.astype(int).tolist()})
    if missing:
        why, what = "there is nothing to tell its probability from", "Leave it out"
        if ordered:
            why = "the thresholds beside an empty category cannot be told apart"
            what = "Join it with a neighbour"
        raise DataError(
            f"no row has {name} = {shown[missing[0] - first]}: {why}. {what}, and number the "
            "categories from 1 without gaps."
        )
    return replace(response, values=values, levels=shown)


def below(family: Family, response: Response) -> tuple[str, ...]:
    """Names of the thresholds: of the categories that they end, all but the highest."""
    return response.levels[family.lower == 0 : -1]


def check(family: Family, response: Response) -> None:
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
    if response.columns:
        _check_columns(family, response)
        return
    if response.weights is not None:
        _reject(response, response.weights < 0, response.weights, "weights must be 0 or more")
        if not response.weights.any():
            raise DataError("all weights are 0.")
    if response.rate is not None:
        _reject(response, response.rate <= 0, response.rate, "exposures must be positive")
    if response.se is not None:
        _reject(response, response.se <= 0, response.se, "standard errors must be positive")
    if not family.counts and np.ptp(values) == 0:
        raise DataError(
            f"the response {name} is {values[0]:g} in every row: there is nothing to model."
        )
    if family.decisions != response.decided:
        if response.decided:
            raise ModelError(
                f"dec() gives decisions, which are for family 'wiener', not {family.name!r}: leave "
                "it out."
            )
        raise ModelError(
            f"family {family.name!r} needs the decisions: write decided({name}, choice) or "
            f"{name} | dec(choice), where the choice is 'lower' or 'upper' (0 or 1)."
        )
    if family.trials and trials is None:
        raise ModelError(
            f"family {family.name!r} needs the number of trials: write prop({name}, n) or "
            f"{name} | trials(n). For a response of 0 and 1, use family='bernoulli'."
        )
    if trials is not None and not family.trials:
        raise ModelError(
            f"family {family.name!r} has no trials. Use family='binomial', or the plain response "
            f"{name}."
        )
    if trials is not None:
        _reject(
            response,
            (trials < 0) | (trials % 1 != 0),
            trials,
            "trials must be whole numbers, 0 or more",
        )
        _reject(response, values > trials, values, f"{name} is larger than its number of trials")
    if family.counts:
        _reject(
            response,
            values % 1 != 0,
            values,
            f"family {family.name!r} needs whole numbers in {name}",
        )
    low = values < family.lower if family.ends[0] == "[" else values <= family.lower
    high = values > family.upper if family.ends[1] == "]" else values >= family.upper
    _reject(
        response,
        low | high,
        values,
        f"family {family.name!r} needs values {_support(family)} in {name}",
    )
    _check_bounds(family, response)


def single(response: Response, number: int) -> Response:
    """One category or column of several, against all others; numbers from 0."""
    values = response.values
    one = values[:, number] if response.columns else (values == number + 1).astype(float)
    return replace(response, values=one, columns=())


def _check_columns(family: Family, response: Response) -> None:
    """Check a response of several columns: each of them, and their sum."""
    total = response.values.sum(axis=1)
    plain = replace(family, trials=False)
    for name, values in zip(response.columns, response.values.T, strict=True):
        check(plain, replace(response, name=name, values=values, trials=None, columns=()))
    if response.trials is None:
        wrong = np.abs(total - 1) > 1e-6
        _reject(response, wrong, total, f"the shares {response.name} must sum to 1")
    else:
        wrong = total != response.trials
        _reject(response, wrong, total, f"the counts {response.name} must sum to the trials")


def _check_bounds(family: Family, response: Response) -> None:
    """Check the bounds of truncation and what is known of censored rows."""
    name, y, y2 = response.name, response.values, response.y2
    nothing = np.full(len(y), np.inf)
    lower = -nothing if response.lower is None else response.lower
    upper = nothing if response.upper is None else response.upper
    status = np.zeros(len(y)) if response.status is None else response.status
    _reject(
        response, lower >= upper, lower, "the lower bound of truncation must be below the upper one"
    )
    outside = f"{name} is outside the bounds of truncation, where nothing is observed"
    _reject(response, (y < lower) | (y > upper), y, outside)
    reached = family.counts | ((y == family.lower) & (family.lower in family.points))
    empty = (y <= np.maximum(family.lower, lower)) & ~reached
    _reject(response, (status < 0) & empty, y, f"nothing lies below a left-censored {name}")
    most = np.minimum(upper, family.upper if response.trials is None else response.trials)
    _reject(response, (status > 0) & (y >= most), y, f"nothing lies above a censored {name}")
    if y2 is None:
        words = f"interval-censored rows need upper ends: write censored({name}, status, y2)"
        _reject(response, status == 2, y, words)
        return
    within = status == 2
    _reject(
        response, within & (y2 <= y), y2, f"the upper end of an interval must be larger than {name}"
    )
    _reject(
        response, within & (y2 > upper), y2, "the upper end of an interval is outside of the bounds"
    )
    if family.counts:
        _reject(
            response,
            within & (y2 % 1 != 0),
            y2,
            "the upper end of an interval must be a whole number",
        )


def _support(family: Family) -> str:
    """The support of the response in words."""
    if np.isinf(family.upper):
        return (
            f"of {family.lower:g} or more" if family.ends[0] == "[" else (f"above {family.lower:g}")
        )
    if family.ends == "[]":
        return f"from {family.lower:g} to {family.upper:g}"
    words = {"()": "above {} and below {}", "[)": "from {} to below {}", "(]": "above {} up to {}"}
    return words[family.ends].format(f"{family.lower:g}", f"{family.upper:g}")


def _reject(response: Response, bad: NDArray[np.bool_], values: FloatArray, message: str) -> None:
    """Raise a `DataError` that lists the first bad rows, if there are any."""
    rows = np.flatnonzero(bad)
    if len(rows):
        places = rows if response.positions is None else response.positions[rows]
        _, first = np.unique(places, return_index=True)  # frequency() repeats rows
        listed = [f"row {places[i]} has {values[rows[i]]:g}" for i in first]
        more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
        raise DataError(f"{message}: {', '.join(listed[:3])}{more} (rows counted from 0).")
