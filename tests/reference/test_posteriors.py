"""The same posteriors as PyMC with nutpie found: every parameter of every model, mean and sd."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest
import tensorflow_probability as tfp
import xarray as xr
from scipy.special import expit, logit

import hiermod as hm

pytestmark = pytest.mark.reference

FOLDER = Path(__file__).parent / "data"
DRAWS = 4000  # of each of 4 chains: enough to tell a wrong sd by 10 % from noise


@dataclass(frozen=True)
class Case:
    """A model in our notation, and its parameters by the names of the reference.

    `data` and `priors` are those of the file's ``model``; `center=False` everywhere, because the
    references put the prior on the intercept at predictors = 0. What begins with `absent` in the
    reference is integrated out of our model.
    """

    data: Callable[[], pd.DataFrame]
    formula: str
    family: str
    priors: dict[str, Any]
    quantities: Callable[[xr.Dataset], dict[str, xr.DataArray]]
    absent: tuple[str, ...] = ()


def frogs():
    return hm.load_data("reedfrogs").assign(
        tank=lambda d: np.arange(1, len(d) + 1), attacked=lambda d: (d["pred"] == "pred") * 1
    )


def bangladesh():
    return hm.load_data("bangladesh").rename(columns={"use.contraception": "contraception"})


def chimpanzees():
    return hm.load_data("chimpanzees").assign(
        treatment=lambda d: 1 + d["prosoc_left"] + 2 * d["condition"]
    )


def kline():
    logs = np.log(hm.load_data("Kline")["population"])
    return hm.load_data("Kline").assign(P=(logs - logs.mean()) / logs.std(ddof=1))


def schools():
    return hm.load_data("eight_schools").assign(school=lambda d: np.arange(1, len(d) + 1))


def divorces():
    data = hm.load_data("WaffleDivorce")
    columns = {"D": "Divorce", "M": "Marriage", "A": "MedianAgeMarriage"}
    out = {k: (data[v] - data[v].mean()) / data[v].std() for k, v in columns.items()}
    return pd.DataFrame(out).assign(D_sd=data["Divorce SE"] / data["Divorce"].std())


TROLLEY = "response ~ action + contact + intention + intention:action + intention:contact"


def trolley():
    return hm.load_data("Trolley")


EDUCATION = (
    "Elementary School",
    "Middle School",
    "Some High School",
    "High School Graduate",
    "Some College",
    "Bachelor's Degree",
    "Master's Degree",
    "Graduate Degree",
)


def educated():
    data = hm.load_data("Trolley")
    return data.assign(edu=pd.Categorical(data["edu"], EDUCATION, ordered=True))


def cutpoints(p):
    return {f"cutpoints[{k}]": p["threshold"].sel(threshold_dim=str(k)) for k in range(1, 7)}


def radon():
    return hm.load_data("radon_mn")


def admissions():
    return hm.load_data("UCBadmit").rename(columns={"applicant.gender": "gender"})


def effects(posterior, group, **names):
    """Deviations of a group with an intercept and a slope, dimensions (level, effect)."""
    parts = [posterior[f"{effect}|{group}"] for effect in names.values()]
    joined = xr.concat(parts, xr.DataArray(list(names), dims="effect", name="effect"))
    return joined.transpose("chain", "draw", f"{group}__factor_dim", "effect")


def correlation(posterior, name):
    """The one free element of a 2 x 2 correlation matrix."""
    return posterior[name][..., 0, 1].reset_coords(drop=True)


def of_genders(p):
    """Coefficients of both genders, and the male one less the female one on each scale."""
    a = p["index(gender)"].rename({"index(gender)_dim": "gender"})
    male, female = a.sel(gender="male", drop=True), a.sel(gender="female", drop=True)
    return a, male - female, expit(male) - expit(female)


def admission_rates(p):
    a, diff_a, diff_p = of_genders(p)
    return {"a": a, "diff_a": diff_a, "diff_p": diff_p}


RADON = {
    "Intercept": "normal(0, 10)",
    "common": "normal(0, 10)",
    "group_sigma": "half_normal(1)",
    "sigma": "half_normal(1)",
}
CHIMPS = {
    "Intercept": "normal(0, 1.5)",
    "index(treatment)": "normal(0, 0.5)",
    "group_sigma": "exponential(1)",
}


def of_outcomes(p, *names):
    """The same quantity of both outcomes that have a linear predictor."""
    at = xr.DataArray([2, 3], dims="outcome", name="outcome")
    parts = [xr.concat([p[f"mu{k}_{name}"] for k in (2, 3)], at) for name in names]
    return [part.transpose("chain", "draw", "outcome", ...) for part in parts]


CASES = {
    "Boxes_categorical": Case(
        lambda: hm.load_data("Boxes"),
        "y ~ age + majority_first + (1 | culture)",
        "categorical",
        {
            "Intercept": "normal(0, 1.5)",
            "common": "normal(0, 1)",
            "group_sigma": "exponential(1)",
        },
        lambda p: dict(
            zip(
                "abcsu",
                of_outcomes(
                    p, "Intercept", "age", "majority_first", "1|culture_sigma", "1|culture"
                ),
                strict=True,
            )
        ),
    ),
    "Howell1_m4_5": Case(
        lambda: hm.load_data("Howell1"),
        "height ~ scale(weight) + I(scale(weight)**2)",
        "gaussian",
        {
            "Intercept": "normal(178, 20)",
            "scale(weight)": "lognormal(0, 1)",
            "I(scale(weight) ** 2)": "normal(0, 1)",
            "sigma": "uniform(0, 50)",
        },
        lambda p: {
            "a": p["Intercept"],
            "b1": p["scale(weight)"],
            "b2": p["I(scale(weight) ** 2)"],
            "sigma": p["sigma"],
        },
    ),
    "reedfrogs_m13_1": Case(
        frogs,
        "prop(surv, density) ~ 0 + index(tank)",
        "binomial",
        {"index(tank)": "normal(0, 1.5)"},
        lambda p: {"a": p["index(tank)"]},
    ),
    "reedfrogs_m13_2": Case(
        frogs,
        "prop(surv, density) ~ 1 + (1 | tank)",
        "binomial",
        {"Intercept": "normal(0, 1.5)", "1|tank_sigma": "exponential(1)"},
        lambda p: {
            "a_bar": p["Intercept"],
            "sigma": p["1|tank_sigma"],
            "u": p["1|tank"],
            "a": p["Intercept"] + p["1|tank"],
        },
    ),
    "reedfrogs_pred": Case(
        frogs,
        "prop(surv, density) ~ 1 + attacked + (1 | tank)",
        "binomial",
        {
            "Intercept": "normal(0, 1.5)",
            "attacked": "normal(-0.5, 1)",
            "1|tank_sigma": "exponential(1)",
        },
        lambda p: {
            "a_bar": p["Intercept"],
            "bP": p["attacked"],
            "sigma": p["1|tank_sigma"],
            "u": p["1|tank"],
        },
    ),
    "bangladesh_intercepts": Case(
        bangladesh,
        "contraception ~ 1 + (1 | district)",
        "bernoulli",
        {"Intercept": "normal(0, 1)", "1|district_sigma": "exponential(1)"},
        lambda p: {
            "a_bar": p["Intercept"],
            "sigma": p["1|district_sigma"],
            "a": p["Intercept"] + p["1|district"],
        },
    ),
    "bangladesh_slopes": Case(
        bangladesh,
        "contraception ~ 1 + urban + (1 + urban | district)",
        "bernoulli",
        {
            "Intercept": "normal(0, 1)",
            "urban": "normal(0, 0.5)",
            "group_sigma": "exponential(1)",
            "district_cor": "lkj(2)",
        },
        lambda p: {
            "a_bar": p["Intercept"],
            "b_bar": p["urban"],
            "sigma[Intercept]": p["1|district_sigma"],
            "sigma[urban]": p["urban|district_sigma"],
            "rho": correlation(p, "district_cor"),
            "u": effects(p, "district", Intercept="1", urban="urban"),
        },
    ),
    "sleepstudy": Case(
        lambda: hm.load_data("sleepstudy"),
        "Reaction ~ 1 + Days + (1 + Days | Subject)",
        "gaussian",
        {
            "Intercept": "normal(250, 100)",
            "Days": "normal(0, 20)",
            "1|Subject_sigma": "half_normal(50)",
            "Days|Subject_sigma": "half_normal(20)",
            "Subject_cor": "lkj(2)",
            "sigma": "half_normal(50)",
        },
        lambda p: {
            "Intercept": p["Intercept"],
            "b_Days": p["Days"],
            "sd[Intercept]": p["1|Subject_sigma"],
            "sd[Days]": p["Days|Subject_sigma"],
            "rho": correlation(p, "Subject_cor"),
            "sigma": p["sigma"],
            "u": effects(p, "Subject", Intercept="1", Days="Days"),
        },
    ),
    "cbpp": Case(
        lambda: hm.load_data("cbpp"),
        "prop(incidence, size) ~ 1 + C(period) + (1 | herd)",
        "binomial",
        {
            "Intercept": "normal(0, 2)",
            "C(period)": "normal(0, 1.5)",
            "1|herd_sigma": "exponential(1)",
        },
        lambda p: {
            "Intercept": p["Intercept"],
            "b_period": p["C(period)"],
            "sd_herd": p["1|herd_sigma"],
            "u": p["1|herd"],
        },
    ),
    "radon_pooled": Case(
        radon,
        "log_radon ~ 1 + floor",
        "gaussian",
        {k: v for k, v in RADON.items() if k != "group_sigma"},
        lambda p: {"alpha": p["Intercept"], "beta": p["floor"], "sigma_y": p["sigma"]},
    ),
    "radon_partially_pooled": Case(
        radon,
        "log_radon ~ 1 + (1 | county_idx)",
        "gaussian",
        {k: v for k, v in RADON.items() if k != "common"},
        lambda p: {
            "mu_alpha": p["Intercept"],
            "sigma_alpha": p["1|county_idx_sigma"],
            "sigma_y": p["sigma"],
            "alpha": p["Intercept"] + p["1|county_idx"],
        },
    ),
    "radon_variable_intercept": Case(
        radon,
        "log_radon ~ 1 + floor + (1 | county_idx)",
        "gaussian",
        RADON,
        lambda p: {
            "mu_alpha": p["Intercept"],
            "beta": p["floor"],
            "sigma_alpha": p["1|county_idx_sigma"],
            "sigma_y": p["sigma"],
            "alpha": p["Intercept"] + p["1|county_idx"],
        },
    ),
    "chimpanzees_m13_4": Case(
        chimpanzees,
        "pulled_left ~ 1 + index(treatment) + (1 | actor) + (1 | block)",
        "bernoulli",
        CHIMPS,
        lambda p: {
            "a_bar": p["Intercept"],
            "sigma_a": p["1|actor_sigma"],
            "sigma_g": p["1|block_sigma"],
            "b": p["index(treatment)"],
            "a": p["Intercept"] + p["1|actor"],
            "g": p["1|block"],
        },
    ),
    "chimpanzees_m13_5": Case(
        chimpanzees,
        "pulled_left ~ 1 + index(treatment) + (1 | actor)",
        "bernoulli",
        CHIMPS,
        lambda p: {
            "a_bar": p["Intercept"],
            "sigma_a": p["1|actor_sigma"],
            "b": p["index(treatment)"],
            "a": p["Intercept"] + p["1|actor"],
        },
    ),
    "UCBadmit_m11_7": Case(
        admissions,
        "prop(admit, applications) ~ 0 + index(gender)",
        "binomial",
        {"index(gender)": "normal(0, 1.5)"},
        admission_rates,
    ),
    "UCBadmit_m11_8": Case(
        admissions,
        "prop(admit, applications) ~ 0 + index(gender) + index(dept)",
        "binomial",
        {"common": "normal(0, 1.5)"},
        lambda p: admission_rates(p) | {"delta": p["index(dept)"]},
    ),
    "UCBadmit_m12_1": Case(
        admissions,
        "prop(admit, applications) ~ 0 + index(gender)",
        "beta_binomial",
        {"common": "normal(0, 1.5)", "phi": "exponential(1, lb=2)"},
        lambda p: {
            "a": of_genders(p)[0],
            "da": of_genders(p)[1],
            "theta": p["phi"],
            "phi": p["phi"] - 2,
        },
    ),
    "WaffleDivorce_m5_3t": Case(
        divorces,
        "D ~ 1 + M + A",
        "student",
        {
            "Intercept": "normal(0, 0.2)",
            "common": "normal(0, 0.5)",
            "sigma": "exponential(1)",
            "nu": "constant(2)",
        },
        lambda p: {"a": p["Intercept"], "bM": p["M"], "bA": p["A"], "sigma": p["sigma"]},
    ),
    "monastery_m12_3": Case(
        lambda: hm.load_data("monastery_sim"),
        "y ~ 1",
        "zero_inflated_poisson",
        {"Intercept": "normal(1, 0.5)", "zi": tfp.distributions.LogitNormal(-1.5, 1.0)},
        lambda p: {
            "al": p["Intercept"],
            "lambda": np.exp(p["Intercept"]),
            "ap": logit(p["zi"]),
            "p_drink": p["zi"],
        },
    ),
    "Kline_m11_9": Case(
        kline,
        "total_tools ~ 1",
        "poisson",
        {"Intercept": "normal(3, 0.5)"},
        lambda p: {"a": p["Intercept"]},
    ),
    "Kline_m11_10": Case(
        kline,
        "total_tools ~ 0 + index(contact) + index(contact):P",
        "poisson",
        {"index(contact)": "normal(3, 0.5)", "index(contact):P": "normal(0, 0.2)"},
        lambda p: {"a": p["index(contact)"], "b": p["index(contact):P"]},
    ),
    "eight_schools": Case(
        schools,
        "se(y, sigma) ~ 1 + (1 | school)",
        "gaussian",
        {"Intercept": "normal(0, 5)", "1|school_sigma": "cauchy(0, 5)"},
        lambda p: {
            "mu": p["Intercept"],
            "tau": p["1|school_sigma"],
            "theta": p["Intercept"] + p["1|school"],
        },
    ),
    "WaffleDivorce_m15_1": Case(
        divorces,
        "se(D, D_sd, sigma=True) ~ 1 + A + M",
        "gaussian",
        {"Intercept": "normal(0, 0.2)", "common": "normal(0, 0.5)", "sigma": "exponential(1)"},
        lambda p: {"a": p["Intercept"], "bA": p["A"], "bM": p["M"], "sigma": p["sigma"]},
        absent=("D_true",),
    ),
    "Trolley_m12_4": Case(
        trolley, "response ~ 1", "cumulative", {"threshold": "normal(0, 1.5)"}, cutpoints
    ),
    "Trolley_m12_5": Case(
        trolley,
        TROLLEY,
        "cumulative",
        {"common": "normal(0, 0.5)", "threshold": "normal(0, 1.5)"},
        lambda p: (
            cutpoints(p)
            | {
                "bA": p["action"],
                "bC": p["contact"],
                "bI": p["intention"],
                "bIA": p["intention:action"],
                "bIC": p["intention:contact"],
            }
        ),
    ),
    "Trolley_m12_6": Case(
        educated,
        "response ~ action + contact + intention + mo(edu)",
        "cumulative",
        {
            "common": "normal(0, 1)",
            "mo(edu)": f"normal(0, {1 / 7!r})",  # of a step; the book's is that of all seven
            "mo(edu)_simplex": "dirichlet(2)",
            "threshold": "normal(0, 1.5)",
        },
        lambda p: (
            cutpoints(p)
            | {
                "bA": p["action"],
                "bC": p["contact"],
                "bI": p["intention"],
                "bE": 7 * p["mo(edu)_mean"],
            }
            | {
                f"delta[{k}]": p["mo(edu)_simplex"].isel({"mo(edu)_simplex_dim": k - 1}, drop=True)
                for k in range(1, 8)
            }
        ),
    ),
}


def scalars(quantities):
    """From names such as ``a[3]`` and ``u[3,urban]`` to draws (chain, draw)."""
    out = {}
    for name, values in quantities.items():
        values = values.transpose("chain", "draw", ...)
        labels = [values[d].astype(str).to_numpy() for d in values.dims[2:]]
        for place in np.ndindex(values.shape[2:]):
            of = ",".join(label[i] for label, i in zip(labels, place, strict=True))
            out[f"{name}[{of}]" if of else name] = values.to_numpy()[(..., *place)]
    return out


WITH_NUTS = ("reedfrogs_m13_2", "Kline_m11_10")  # one with group effects, one without


@pytest.mark.parametrize(
    ("name", "sampler"), [*((n, "hmc") for n in CASES), *((n, "nuts") for n in WITH_NUTS)]
)
def test_the_posterior_is_that_of_the_reference(name, sampler):
    case = CASES[name]
    reference = pd.DataFrame(json.loads((FOLDER / f"{name}.json").read_text())["params"]).T
    reference = reference[~reference.index.str.startswith(case.absent)]
    fit = hm.fit(
        case.data(),
        case.formula,
        family=case.family,
        priors=case.priors,
        center=False,
        draws=DRAWS,
        sampler=sampler,
        seed=20,
        progress=False,
    )
    found = scalars(case.quantities(fit.posterior))
    assert set(found) == set(reference.index)

    # Both sides have Monte Carlo error: five standard errors of the difference leave one false
    # alarm in a thousand runs of all these comparisons, and seeds are fixed. An sd estimated from
    # n effective draws has standard error sd / sqrt(2 n).
    ours = pd.DataFrame(
        {
            "mean": {k: v.mean() for k, v in found.items()},
            "sd": {k: v.std(ddof=1) for k, v in found.items()},
            "mcse_mean": {k: float(az.mcse(v, method="mean")) for k, v in found.items()},
            "mcse_sd": {k: float(az.mcse(v, method="sd")) for k, v in found.items()},
        }
    ).loc[reference.index]
    theirs = reference.assign(mcse_sd=reference["sd"] / np.sqrt(2 * reference["ess_bulk"]))
    for column in ("mean", "sd"):
        error = np.hypot(ours[f"mcse_{column}"], theirs[f"mcse_{column}"])
        distance = (ours[column] - theirs[column]) / error
        assert (distance.abs() <= 5).all(), (column, distance[~(distance.abs() <= 5)])
    ratio = ours["sd"] / theirs["sd"]
    assert ratio.between(0.9, 1 / 0.9).all(), ratio[~ratio.between(0.9, 1 / 0.9)]
