"""The same models by hand in PyMC and NumPyro, as their users would: non-centred, row by row.

What ends in ``_raw`` is not of interest and left out of the diagnostics; the rest is what hiermod
reports: coefficients, the intercept at predictors = 0, standard deviations, correlations below the
diagonal, and the effects of every level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from models import Model

Arrays = dict[str, Any]


def arrays(model: Model, data: pd.DataFrame) -> Arrays:
    """Response, centred predictor and group indices; numbers of levels are ``levels_<group>``."""
    out: Arrays = {"y": data[model.response].to_numpy()}
    if model.trials:
        out["trials"] = data[model.trials].to_numpy()
    if model.predictor:
        x = data[model.predictor].to_numpy(float)
        out |= {"x": x, "centred": x - x.mean(), "mean": x.mean()}
    if model.structure == "treatments":
        out["treatment"] = pd.factorize(data["treatment"], sort=True)[0]
    for g in model.groups:
        out[g], levels = pd.factorize(data[g], sort=True)
        out[f"levels_{g}"] = len(levels)
    return out


def sd_rates(model: Model, group: str) -> np.ndarray:
    """Rates of the priors of the standard deviations of a group's effects."""
    names = [n for n in model.priors if n.endswith(f"|{group}_sigma")]
    rates = [model.priors[n][0] for n in names]
    return np.array(rates * 4 if model.structure == "treatments" else rates, float)


def pymc(model: Model, data: pd.DataFrame) -> Any:
    """The model in PyMC."""
    import pymc as pm

    d, priors = arrays(model, data), model.priors

    def common() -> Any:
        """Intercept and slope."""
        intercept = pm.Normal("Intercept_raw", *priors["Intercept"])
        if not model.predictor:
            return pm.Deterministic("Intercept", intercept)
        slope = pm.Normal(model.predictor, *priors[model.predictor])
        pm.Deterministic("Intercept", intercept - slope * d["mean"])
        return intercept + slope * d["centred"]

    def independent(g: str) -> Any:
        """An effect of every level."""
        sigma = pm.Exponential(f"{g}_sigma", *priors[f"1|{g}_sigma"])
        z = pm.Normal(f"{g}_z_raw", shape=d[f"levels_{g}"])
        return pm.Deterministic(g, sigma * z)

    def correlated(g: str) -> Any:
        """Effects of every level, (effects, levels)."""
        rates = sd_rates(model, g)
        k = len(rates)
        chol, cor, sigma = pm.LKJCholeskyCov(
            f"{g}_chol_raw",
            n=k,
            eta=2,
            sd_dist=pm.Exponential.dist(rates, shape=k),
            store_in_trace=False,
        )
        pm.Deterministic(f"{g}_sigma", sigma)
        pm.Deterministic(f"{g}_cor", cor[np.tril_indices(k, -1)])
        z = pm.Normal(f"{g}_z_raw", shape=(k, d[f"levels_{g}"]))
        return pm.Deterministic(g, chol @ z)

    with pm.Model() as built:
        if model.structure == "intercepts":
            eta = common()
            for g in model.groups:
                eta = eta + independent(g)[d[g]]
        elif model.structure == "slopes":
            (g,) = model.groups
            effects = correlated(g)
            eta = common() + effects[0, d[g]] + effects[1, d[g]] * d["x"]
        else:
            eta = pm.Normal("treatment", *priors["treatment"], shape=4)[d["treatment"]]
            for g in model.groups:
                eta = eta + correlated(g)[d["treatment"], d[g]]
        if model.family == "gaussian":
            pm.Normal("y", eta, pm.Exponential("sigma", *priors["sigma"]), observed=d["y"])
        elif model.family == "binomial":
            pm.Binomial("y", d["trials"], logit_p=eta, observed=d["y"])
        else:
            pm.Bernoulli("y", logit_p=eta, observed=d["y"])
    return built


def numpyro(model: Model, data: pd.DataFrame) -> tuple[Callable[..., None], Arrays]:
    """The model in NumPyro, and the arrays it takes."""
    import jax.numpy as jnp
    import numpyro
    from numpyro import deterministic, sample
    from numpyro import distributions as dist

    found, priors = arrays(model, data), model.priors
    levels = {g: found.pop(f"levels_{g}") for g in model.groups}

    def common(d: Arrays) -> Any:
        """Intercept and slope."""
        intercept = sample("Intercept_raw", dist.Normal(*priors["Intercept"]))
        if not model.predictor:
            return deterministic("Intercept", intercept)
        slope = sample(model.predictor, dist.Normal(*priors[model.predictor]))
        deterministic("Intercept", intercept - slope * d["mean"])
        return intercept + slope * d["centred"]

    def independent(g: str) -> Any:
        """An effect of every level."""
        sigma = sample(f"{g}_sigma", dist.Exponential(*priors[f"1|{g}_sigma"]))
        z = sample(f"{g}_z_raw", dist.Normal().expand([levels[g]]).to_event(1))
        return deterministic(g, sigma * z)

    def correlated(g: str) -> Any:
        """Effects of every level, (effects, levels)."""
        rates = sd_rates(model, g)
        k = len(rates)
        sigma = sample(f"{g}_sigma", dist.Exponential(jnp.asarray(rates)).to_event(1))
        chol = sample(f"{g}_chol_raw", dist.LKJCholesky(k, 2.0))
        deterministic(f"{g}_cor", (chol @ chol.T)[np.tril_indices(k, -1)])
        z = sample(f"{g}_z_raw", dist.Normal().expand([k, levels[g]]).to_event(2))
        return deterministic(g, (sigma[:, None] * chol) @ z)

    def built(**d: Any) -> None:
        if model.structure == "intercepts":
            eta = common(d)
            for g in model.groups:
                eta = eta + independent(g)[d[g]]
        elif model.structure == "slopes":
            (g,) = model.groups
            effects = correlated(g)
            eta = common(d) + effects[0, d[g]] + effects[1, d[g]] * d["x"]
        else:
            treatment = sample(
                "treatment", dist.Normal(*priors["treatment"]).expand([4]).to_event(1)
            )
            eta = treatment[d["treatment"]]
            for g in model.groups:
                eta = eta + correlated(g)[d["treatment"], d[g]]
        if model.family == "gaussian":
            likelihood = dist.Normal(eta, sample("sigma", dist.Exponential(*priors["sigma"])))
        elif model.family == "binomial":
            likelihood = dist.Binomial(d["trials"], logits=eta)
        else:
            likelihood = dist.Bernoulli(logits=eta)
        with numpyro.plate("rows", len(d["y"])):
            sample("y", likelihood, obs=d["y"])

    return built, found
