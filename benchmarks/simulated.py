"""Data sets that are drawn from their own models: parameters from the prior, rows from the model.

What `calibration.py` and `coverage.py` fit. A family needs a line in `SETTINGS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import hiermod as hm
from hiermod import results
from hiermod.models.families import FAMILIES
from hiermod.results.checks import flatten, varying

COEFFICIENTS = {"Intercept": "normal(0, 1)", "x": "normal(0, 0.5)", "group_sigma": "exponential(2)"}
"""Priors of the linear predictor; the defaults depend on the data."""

SIGMA = {"sigma": "exponential(1)"}
SHAPE = {"shape": "gamma(4, 2)"}
PHI = {"phi": "gamma(4, 0.4)"}
ZI = {"zi": "beta(2, 5)"}
HU = {"hu": "beta(2, 5)"}
ORDINAL = {"threshold": "normal(0, 1.5)", "disc": "constant(1)"}

SETTINGS: dict[str, dict[str, str]] = {
    "gaussian": SIGMA,
    "student": SIGMA | {"nu": "gamma(4, 0.5)"},
    "skew_normal": SIGMA | {"alpha": "normal(0, 2)"},
    "laplace": SIGMA,
    "asym_laplace": SIGMA | {"quantile": "beta(5, 5)"},
    "gumbel": SIGMA,
    "gev": SIGMA | {"xi": "normal(0, 0.2)"},
    "exgaussian": SIGMA | {"beta": "exponential(1)"},
    # A mean near pi could be that of a large or of a very negative linear predictor: two modes.
    "von_mises": {
        "Intercept": "normal(0, 0.3)",
        "x": "normal(0, 0.1)",
        "group_sigma": "exponential(8)",
        "kappa": "gamma(4, 1)",
    },
    "lognormal": SIGMA,
    # The shift must be below all responses: few are as near to it as 0.2.
    "shifted_lognormal": {
        "Intercept": "normal(1, 0.2)",
        "x": "normal(0, 0.2)",
        "group_sigma": "exponential(10)",
        "sigma": "gamma(20, 100)",
        "ndt": "uniform(0, 0.2)",
    },
    "gamma": SHAPE,
    "weibull": SHAPE,
    "exponential": {},
    "inverse_gaussian": SHAPE,
    "beta": PHI,
    "bernoulli": {},
    "binomial": {},
    "beta_binomial": PHI,
    "poisson": {},
    "negbinomial": SHAPE,
    "geometric": {},
    "zero_inflated_poisson": ZI,
    "zero_inflated_negbinomial": SHAPE | ZI,
    "zero_inflated_binomial": ZI,
    "zero_inflated_beta_binomial": PHI | ZI,
    "zero_inflated_beta": PHI | ZI,
    "zero_one_inflated_beta": PHI | {"zoi": "beta(2, 5)", "coi": "beta(2, 2)"},
    "com_poisson": {"shape": "gamma(4, 2, lb=0.2)"},  # below, it has no density
    "hurdle_poisson": HU,
    "hurdle_negbinomial": SHAPE | HU,
    "hurdle_gamma": SHAPE | HU,
    "hurdle_lognormal": SIGMA | HU,
    "cumulative": ORDINAL,
    "hurdle_cumulative": ORDINAL | HU,
    # The shift must be below all times, of which few are as short as 0.05.
    "wiener": {"bs": "gamma(40, 20)", "ndt": "uniform(0, 0.05)", "bias": "beta(10, 10)"},
    "sratio": ORDINAL,
    "cratio": ORDINAL,
    "acat": ORDINAL,
    "categorical": {},
    "multinomial": {},
    "dirichlet": PHI,
    "dirichlet_multinomial": PHI,
}
"""Priors of the parameters of every family, and of coefficients where they are to be others."""


@dataclass(frozen=True)
class Case:
    """A model with all its priors.

    Attributes
    ----------
    formula : str or Formulas
    family : Family
    priors : dict of str
    """

    formula: str | hm.Formulas
    family: hm.Family
    priors: dict[str, str] = field(default_factory=dict)


def of_family(name: str) -> Case:
    """A predictor and a group, with the family of that name.

    Raises
    ------
    KeyError
        If the family has no priors in `SETTINGS`.
    """
    family = FAMILIES[name]
    if not SETTINGS.get(name, {}).keys() >= family.parameters.keys() or name not in SETTINGS:
        missing = ", ".join(family.parameters) or "{}, as it has no parameters"
        raise KeyError(
            f"family {name!r} has no settings: add it to SETTINGS in benchmarks/simulated.py, with "
            f"priors of its parameters ({missing}), narrow enough for data sets that can be fitted."
        )
    thresholds = family.categories == "ordered"
    shown = {k: v for k, v in COEFFICIENTS.items() if not (thresholds and k == "Intercept")}
    return Case(f"{response(family)} ~ x + (1 | g)", family, shown | SETTINGS[name])


def response(family: hm.Family) -> str:
    """The response in a formula."""
    if family.columns:
        return "c(y, y2, y3)"
    if family.decisions:
        return "decided(y, upper)"
    return "prop(y, n)" if family.trials else "y"


def stand_ins(family: hm.Family, rows: int) -> dict[str, Any]:
    """Columns of a response that the family takes, before there is a drawn one."""
    turns = np.arange(rows)
    if family.columns:
        unit = 1 if family.counts else 0.1
        y, y2 = unit * (3 + turns % 2), unit * (3 + turns % 3)
        return {"y": y, "y2": y2, "y3": 10 * unit - y - y2}
    if family.categories:
        return {"y": 1 + turns % 4 if family.lower else turns % 5}
    if family.decisions:
        return {"y": 0.5 + 0.1 * (turns % 3), "upper": turns % 2}
    return {"y": turns % 2 if family.counts else 0.3 + 0.4 * (turns % 2)}


def cases() -> dict[str, Case]:
    """All families, and terms of formulas that the families do not have.

    Raises
    ------
    KeyError
        If a family has no settings.
    """
    gaussian = COEFFICIENTS | SIGMA
    few = {k: v for k, v in gaussian.items() if k != "x"}
    made = {name: of_family(name) for name in FAMILIES}
    normal, poisson = FAMILIES["gaussian"], FAMILIES["poisson"]
    components = {"theta1": "beta(5, 5)", "sigma1": "gamma(8, 8)", "sigma2": "gamma(8, 8)"}
    return made | {
        "correlated effects": Case("y ~ x + (1 + x | g)", normal, gaussian),
        "independent effects": Case("y ~ x + (1 + x || g)", poisson, COEFFICIENTS),
        "correlated effects of counts": Case("y ~ x + (1 + x | g)", poisson, COEFFICIENTS),
        "a formula for sigma": Case(
            hm.formula("y ~ x + (1 |p| g)", sigma="~ x + (1 |p| g)"),
            normal,
            COEFFICIENTS
            | {"sigma_Intercept": "normal(0, 0.5)", "sigma_x": "normal(0, 0.3)"}
            | {"sigma_group_sigma": "exponential(3)"},
        ),
        "a mixture of equal families": Case(
            "y ~ x + (1 | g)",
            hm.mixture("gaussian", "gaussian"),
            COEFFICIENTS | components | {"gap": "gamma(8, 2)"},
        ),
        "a mixture of two families": Case(
            "y ~ x + (1 | g)",
            hm.mixture("gaussian", "laplace"),
            COEFFICIENTS | components | {"mu2": "normal(4, 1)"},
        ),
        "a smooth": Case(
            "y ~ s(x) + (1 | g)",
            normal,
            few | {"common": "normal(0, 1)", "smooth_sigma": "exponential(1)"},
        ),
        "a smooth of counts": Case(
            "y ~ s(x)",
            poisson,
            {"Intercept": "normal(0, 1)"}
            | {"common": "normal(0, 0.5)", "smooth_sigma": "exponential(2)"},
        ),
        "a horseshoe": Case(
            "y ~ z1 + z2 + z3 + z4 + z5 + z6 + (1 | g)",
            normal,
            few | {"common": "horseshoe(df=3, scale_global=0.5, df_global=3)"},
        ),
        "a monotonic effect": Case(
            "y ~ mo(level) + (1 | g)",
            normal,
            few | {"mo(level)_mean": "normal(0, 0.5)", "mo(level)_simplex": "dirichlet(2)"},
        ),
    }


def predictors(rows: int, groups: int) -> pd.DataFrame:
    """All columns but the response; groups have equally many rows."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"g": np.arange(rows) * groups // rows, "x": rng.normal(size=rows), "n": 10}
    )
    for k in range(1, 7):
        frame[f"z{k}"] = rng.normal(size=rows)
    levels = rng.permutation(np.arange(rows) % 5)
    frame["level"] = pd.Categorical.from_codes(levels, list("abcde"), ordered=True)
    return frame


class Simulation(NamedTuple):
    """One data set.

    Attributes
    ----------
    truth : Series
        The parameters that it was drawn at, by name, elements of vectors by ``name[label]``.
    model : Model
    """

    truth: pd.Series
    model: hm.Model


def simulations(
    case: Case, number: int, frame: pd.DataFrame, seed: int = 1, **options: Any
) -> Iterator[Simulation | None]:
    """Models of data sets that were drawn from the prior; none where the data are refused.

    What is left out because of the data alone does not bias what is seen in the others.

    Parameters
    ----------
    case : Case
    number : int
    frame : DataFrame
        From `predictors`.
    seed : int
        Of the draws from the prior.
    **options
        Further options of `hiermod.model`.
    """
    family = case.family

    def model(columns: dict[str, Any]) -> hm.Model:
        data = frame.assign(**columns)
        return hm.model(data, case.formula, family=family, priors=case.priors, **options)

    start = stand_ins(family, len(frame))
    drawn = model(start).sample_prior(number, seed=seed)
    prior = results.group(drawn, "prior")
    (responses,) = results.group(drawn, "prior_predictive").data_vars.values()
    for i in range(number):
        y = responses[0, i].to_numpy().T
        if family.decisions:
            y = np.stack([np.abs(y), y > 0])
        if family.categories and len(np.unique(y)) < (4 if family.lower else 5):
            yield None  # a model of fewer categories
            continue
        try:
            found = model(dict(zip(start, np.atleast_2d(y), strict=True)))
        except hm.DataError:
            yield None
            continue
        yield Simulation(
            flatten(population(prior.isel(chain=[0], draw=[i])).isel(chain=0, draw=0)), found
        )


def population(draws: Any) -> Any:
    """What varies in a posterior or prior, but for the deviations of the levels of groups."""
    kept = [n for n, v in draws.data_vars.items() if not str(v.dims[-1]).endswith("__factor_dim")]
    return varying(draws[kept])
