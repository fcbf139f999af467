"""Simulation-based calibration of the whole path (Talts et al. 2018).

Parameters are drawn from the prior and data from the model at them; if the posterior is right, the
rank of each true value among its posterior draws is uniform. A p-value close to zero for a
parameter means that it is not. `make calibration` takes some minutes.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy import stats

import hiermod as hm
from hiermod import results
from hiermod.models.families import FAMILIES

KEPT = 99
"""Posterior draws that a true value is ranked among: thinned, so that they hardly depend on each
other."""

PRIORS = {"Intercept": "normal(0, 1)", "x": "normal(0, 0.5)", "group_sigma": "exponential(2)"}
OWN = {
    "sigma": "exponential(1)",
    "nu": "gamma(4, 0.5)",
    "alpha": "normal(0, 2)",
    "quantile": "beta(5, 5)",
    "beta": "exponential(1)",
    "kappa": "gamma(4, 1)",
    "shape": "gamma(4, 2)",
    "phi": "gamma(4, 0.4)",
    "zi": "beta(2, 5)",
    "hu": "beta(2, 5)",
    "threshold": "normal(0, 1.5)",
    "disc": "constant(1)",
    "xi": "normal(0, 0.2)",
    "zoi": "beta(2, 5)",
    "coi": "beta(2, 2)",
}
"""Priors of the parameters of families; the defaults depend on the data."""

CASES: dict[str, tuple[str | hm.Formulas, str, dict[str, str]]] = {
    name: (
        f"{'prop(y, n)' if family.trials else 'y'} ~ x + (1 | g)",
        name,
        {k: v for k, v in PRIORS.items() if not (family.categories and k == "Intercept")}
        | {p: OWN[p] for p in family.parameters},
    )
    for name, family in FAMILIES.items()
    if name != "shifted_lognormal"  # a shift beyond the first response has no density
}
CASES["com_poisson"][2]["shape"] = "gamma(4, 2, lb=0.2)"  # below, it has no density
CASES["correlated effects"] = ("y ~ x + (1 + x | g)", *CASES["gaussian"][1:])
CASES["independent effects"] = ("y ~ x + (1 + x || g)", *CASES["poisson"][1:])
CASES["a formula for sigma"] = (
    hm.formula("y ~ x + (1 |p| g)", sigma="~ x + (1 |p| g)"),
    "gaussian",
    PRIORS
    | {"sigma_Intercept": "normal(0, 0.5)", "sigma_x": "normal(0, 0.3)"}
    | {"sigma_group_sigma": "exponential(3)"},
)


def ranks(case: str, simulations: int) -> pd.DataFrame:
    """Rank of every population parameter in every simulation, 0 to KEPT."""
    formula, family, priors = CASES[case]
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(np.arange(12), 8), "x": rng.normal(size=96)})
    frame["n"], frame["y"] = 10, np.arange(96) % 2
    if FAMILIES[family].categories:
        frame["y"] = 1 + np.arange(96) % 4
    elif not FAMILIES[family].counts:
        frame["y"] = 0.3 + 0.4 * frame["y"]

    def model(y: np.ndarray) -> hm.Model:
        # One form for all simulations: the chosen one would depend on the data.
        return hm.model(
            frame.assign(y=y), formula, family=family, priors=priors, center=False,
            noncentered=True,
        )  # fmt: skip

    prior = model(frame["y"].to_numpy()).sample_prior(simulations, seed=1)
    truth = results.group(prior, "prior")
    simulated = results.group(prior, "prior_predictive")["y"].to_numpy()[0]
    names = [
        n
        for n, v in truth.data_vars.items()
        if not set(v.dims) - {"chain", "draw"} and "constant" not in v.attrs
    ]
    rows = []
    for i in range(simulations):
        if FAMILIES[family].categories and len(np.unique(simulated[i])) < 4:
            continue  # refused, and what is left out by the data alone does not bias the ranks
        fit = model(simulated[i]).fit(seed=i, progress=False, target_accept=0.9)
        row = {}
        for name in names:
            draws = fit.posterior[name].to_numpy().ravel()
            thinned = draws[np.linspace(0, len(draws) - 1, KEPT).astype(int)]
            row[name] = int((thinned < float(truth[name].to_numpy()[0, i])).sum())
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    """Run the study and print a p-value for every parameter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    for case in options.cases:
        found = ranks(case, options.simulations)
        for name in found:
            # Ten bins of ranks, a chi-square test against equal counts.
            counts = np.bincount(found[name] // 10, minlength=10)
            p = stats.chisquare(counts).pvalue
            print(f"{case:27} {name:17} p = {p:.3f}   ranks in tenths: {counts.tolist()}")


if __name__ == "__main__":
    main()
