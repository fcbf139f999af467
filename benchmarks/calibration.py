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

KEPT = 99
"""Posterior draws that a true value is ranked among: thinned, so that they hardly depend on each
other."""

PRIORS = {"Intercept": "normal(0, 1)", "x": "normal(0, 0.5)", "group_sigma": "exponential(2)"}
CASES: dict[str, tuple[str, str, dict[str, str]]] = {
    "gaussian": ("y ~ x + (1 + x | g)", "gaussian", PRIORS | {"sigma": "exponential(1)"}),
    "bernoulli": ("y ~ x + (1 | g)", "bernoulli", PRIORS),
    "binomial": ("prop(y, n) ~ x + (1 | g)", "binomial", PRIORS),
    "poisson": ("y ~ x + (1 + x || g)", "poisson", PRIORS),
}


def ranks(case: str, simulations: int) -> pd.DataFrame:
    """Rank of every population parameter in every simulation, 0 to KEPT."""
    formula, family, priors = CASES[case]
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(np.arange(12), 8), "x": rng.normal(size=96)})
    frame["n"], frame["y"] = 10, np.arange(96) % 2

    def model(y: np.ndarray) -> hm.Model:
        # One form for all simulations: the chosen one would depend on the data.
        return hm.model(
            frame.assign(y=y), formula, family=family, priors=priors, center=False,
            noncentered=True,
        )  # fmt: skip

    prior = model(frame["y"].to_numpy()).sample_prior(simulations, seed=1)
    truth = results.group(prior, "prior")
    simulated = results.group(prior, "prior_predictive")["y"].to_numpy()[0]
    names = [n for n in truth.data_vars if not set(truth[n].dims) - {"chain", "draw"}]
    rows = []
    for i in range(simulations):
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
            print(f"{case:10} {name:15} p = {p:.3f}   ranks in tenths: {counts.tolist()}")


if __name__ == "__main__":
    main()
