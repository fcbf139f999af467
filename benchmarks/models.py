"""The models of the benchmark: data, formula, priors; imports no package that is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DATA = Path(__file__).parent.parent / "datasets"

SMALL = (
    "hiermod",
    "hiermod-shortcuts",
    "bambi-nutpie",
    "bambi-pymc",
    "bambi-numpyro",
    "pymc-nutpie",
    "numpyro",
    "numpyro-parallel",
)


@dataclass(frozen=True)
class Model:
    """One model, for every package.

    Attributes
    ----------
    data : function
        The data frame.
    formula, family : str
        As hiermod and Bambi spell them.
    structure : str
        Which of the hand-written models it is: ``"intercepts"`` (group intercepts), ``"slopes"``
        (an intercept and a slope of one group, correlated) or ``"treatments"`` (an effect of every
        treatment, correlated, in two groups).
    response : str
    priors : dict of tuple of float
        The numbers of every prior but those of correlations, which are LKJ(2): mean and standard
        deviation of a normal, or rate of an exponential, for ``.._sigma`` and ``sigma``. They are
        hiermod's defaults, to the digits that it prints, unless `options` say otherwise.
    groups : tuple of str
    predictor, trials : str, optional
    options : dict
        Further options of `hiermod.fit`.
    packages : tuple of str
        Which run on it.
    warmup, draws : int
        Of each of the four chains.
    """

    data: Callable[[], pd.DataFrame]
    formula: str
    family: str
    structure: str
    response: str
    priors: dict[str, tuple[float, ...]]
    groups: tuple[str, ...]
    predictor: str | None = None
    trials: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = SMALL
    warmup: int = 500
    draws: int = 1000


def read(name: str) -> pd.DataFrame:
    """A data set, without hiermod."""
    (path,) = DATA.glob(f"{name}.csv*")
    return pd.read_csv(path)


def chimpanzees() -> pd.DataFrame:
    """With the four treatments of Statistical Rethinking (2nd edition), section 11.1."""
    data = read("chimpanzees")
    return data.assign(treatment=(1 + data["prosoc_left"] + 2 * data["condition"]).astype(str))


def admissions() -> pd.DataFrame:
    """Applicants, one a row."""
    data = read("UCBadmit_long")
    return data.assign(male=(data["applicant.gender"] == "male").astype(int))


def million(rows: int = 1_000_000, groups: int = 10_000) -> pd.DataFrame:
    """Simulated yes-or-no answers."""
    rng = np.random.default_rng(20)
    g, x = rng.integers(0, groups, rows), rng.normal(size=rows)
    eta = -0.5 + 0.8 * x + 0.7 * rng.normal(size=groups)[g]
    return pd.DataFrame({"y": rng.binomial(1, 1 / (1 + np.exp(-eta))), "x": x, "g": g})


def gaussian_million(rows: int = 1_000_000, groups: int = 100_000) -> pd.DataFrame:
    """Simulated measurements, ten of each group on average."""
    rng = np.random.default_rng(21)
    g, x = rng.integers(0, groups, rows), rng.normal(size=rows)
    u, v = rng.multivariate_normal([1, 0.5], [[0.49, 0.15], [0.15, 0.25]], groups).T
    return pd.DataFrame({"y": u[g] + v[g] * x + rng.normal(size=rows), "x": x, "g": g})


MODELS: dict[str, Model] = {
    "reedfrogs": Model(
        data=lambda: read("reedfrogs").assign(tank=range(48)),
        formula="prop(surv, density) ~ 1 + (1 | tank)",
        family="binomial",
        structure="intercepts",
        response="surv",
        trials="density",
        groups=("tank",),
        priors={"Intercept": (0, 1.5), "1|tank_sigma": (1,)},
    ),
    "bangladesh": Model(
        data=lambda: read("bangladesh").rename(columns={"use.contraception": "used"}),
        formula="used ~ 1 + urban + (1 + urban | district)",
        family="bernoulli",
        structure="slopes",
        response="used",
        predictor="urban",
        groups=("district",),
        priors={
            "Intercept": (0, 1.5),
            "urban": (0, 2.5),
            "1|district_sigma": (1,),
            "urban|district_sigma": (1,),
        },
    ),
    "UCBadmit": Model(
        data=admissions,
        formula="admit ~ 1 + male + (1 + male | dept)",
        family="bernoulli",
        structure="slopes",
        response="admit",
        predictor="male",
        groups=("dept",),
        priors={
            "Intercept": (0, 1.5),
            "male": (0, 2.5),
            "1|dept_sigma": (1,),
            "male|dept_sigma": (1,),
        },
    ),
    "chimpanzees": Model(  # m14.3 of Statistical Rethinking, 2nd edition
        data=chimpanzees,
        formula="pulled_left ~ 0 + treatment + (0 + treatment | actor) + (0 + treatment | block)",
        family="bernoulli",
        structure="treatments",
        response="pulled_left",
        groups=("actor", "block"),
        priors={"treatment": (0, 1), "treatment|actor_sigma": (1,), "treatment|block_sigma": (1,)},
        options={"center": False, "priors": {"treatment": "normal(0, 1)"}},
    ),
    "radon": Model(
        data=lambda: read("radon_mn"),
        formula="log_radon ~ 1 + floor + (1 | county)",
        family="gaussian",
        structure="intercepts",
        response="log_radon",
        predictor="floor",
        groups=("county",),
        priors={
            "Intercept": (1.265, 2.047),
            "floor": (0, 2.047),
            "1|county_sigma": (1.221,),
            "sigma": (1.221,),
        },
    ),
    "sleepstudy": Model(
        data=lambda: read("sleepstudy"),
        formula="Reaction ~ 1 + Days + (1 + Days | Subject)",
        family="gaussian",
        structure="slopes",
        response="Reaction",
        predictor="Days",
        groups=("Subject",),
        priors={
            "Intercept": (298.5, 140.4),
            "Days": (0, 48.89),
            "1|Subject_sigma": (0.0178,),
            "Days|Subject_sigma": (0.05113,),
            "sigma": (0.0178,),
        },
    ),
    "InstEval": Model(
        data=lambda: read("InstEval"),
        formula="y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept)",
        family="gaussian",
        structure="intercepts",
        response="y",
        predictor="service",
        groups=("s", "d", "dept"),
        priors={
            "Intercept": (3.206, 3.333),
            "service": (0, 3.333),
            "1|s_sigma": (0.75,),
            "1|d_sigma": (0.75,),
            "1|dept_sigma": (0.75,),
            "sigma": (0.75,),
        },
        packages=(
            "hiermod",
            "hiermod-shortcuts",
            "bambi-nutpie",
            "pymc-nutpie",
            "numpyro-parallel",
        ),
    ),
    "million": Model(
        data=million,
        formula="y ~ 1 + x + (1 | g)",
        family="bernoulli",
        structure="intercepts",
        response="y",
        predictor="x",
        groups=("g",),
        priors={"Intercept": (0, 1.5), "x": (0, 2.502), "1|g_sigma": (1,)},
        packages=("hiermod", "bambi-nutpie", "pymc-nutpie", "numpyro-parallel"),
        warmup=200,
        draws=200,
    ),
    "gaussian_million": Model(
        data=gaussian_million,
        formula="y ~ 1 + x + (1 + x | g)",
        family="gaussian",
        structure="slopes",
        response="y",
        predictor="x",
        groups=("g",),
        priors={
            "Intercept": (1, 3.53),
            "x": (0, 3.528),
            "1|g_sigma": (0.7083,),
            "x|g_sigma": (0.7086,),
            "sigma": (0.7083,),
        },
        packages=("hiermod-shortcuts",),
    ),
}
