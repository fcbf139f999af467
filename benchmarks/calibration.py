"""Simulation-based calibration of the whole path (Talts et al. 2018).

Parameters are drawn from the prior and data from the model at them; if the posterior is right, the
rank of each true value among its posterior draws is uniform. A p-value close to zero for a
parameter means that it is not. `make calibration` takes some minutes.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import simulated
from scipy import stats
from simulated import Case

from hiermod.results.checks import of_draws

KEPT = 99
"""Posterior draws that a true value is ranked among: thinned, so that they hardly depend on each
other."""

# One form for all simulations: the chosen one would depend on the data.
FORM = {"center": False, "noncentered": True}


def ranks(case: Case, simulations: int) -> pd.DataFrame:
    """Rank of every population parameter in every simulation, 0 to KEPT."""

    def thinned(draws: np.ndarray) -> dict[str, np.ndarray]:
        flat = draws.reshape(-1, *draws.shape[2:])
        return {
            str(k): flat[i] for k, i in enumerate(np.linspace(0, len(flat) - 1, KEPT, dtype=int))
        }

    rows = []
    frame = simulated.predictors(96, 12)
    for i, one in enumerate(simulated.simulations(case, simulations, frame, **FORM)):
        if one is not None:
            fit = one.model.fit(seed=i, progress=False, target_accept=0.9)
            draws = of_draws(simulated.population(fit.posterior), thinned)
            rows.append(draws.lt(one.truth, axis=0).sum(axis=1))
    return pd.DataFrame(rows)


def main() -> None:
    """Run the study and print a p-value for every parameter."""
    cases = simulated.cases()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--cases", nargs="*", default=list(cases), choices=list(cases))
    options = parser.parse_args()
    for case in options.cases:
        found = ranks(cases[case], options.simulations)
        for name in found:
            # Ten bins of ranks, a chi-square test against equal counts.
            counts = np.bincount(found[name] // 10, minlength=10)
            p = stats.chisquare(counts).pvalue
            print(f"{case:28} {name:17} p = {p:.3f}   ranks in tenths: {counts.tolist()}")


if __name__ == "__main__":
    main()
