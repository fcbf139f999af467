"""Do 90 % intervals cover what is true 9 times in 10? For every family, and other terms.

Parameters are drawn from the prior, 2,000 rows in 40 groups from the model at them, and the model
is fitted with the defaults (but 400 draws a chain, enough for intervals): over all draws from the
prior, a central 90 % interval must then cover the true value with a probability of 0.9. Printed,
and kept in `benchmarks/results/coverage.json`, is how often it does, with the two-sided p-value of
a binomial test. `make coverage` takes more than an hour on one core.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import simulated
from scipy import stats
from simulated import Case

import hiermod as hm
from hiermod.results.checks import of_draws

RESULTS = Path(__file__).parent / "results" / "coverage.json"

INTERVAL = 0.9

R_HAT = 1.05
"""Above it chains are far apart; such fits, which `Fit.check` rejects, are counted all the same."""

ROWS, GROUPS = 2000, 40


def covered(
    case: Case,
    number: int,
    *,
    seed: int = 1,
    rows: int = ROWS,
    groups: int = GROUPS,
    draws: int = 400,
) -> dict[str, Any]:
    """How many intervals cover the truth, are below and above it, by parameter."""
    began = time.perf_counter()
    frame = simulated.predictors(rows, groups)
    if case.family.totals and "s(x)" not in str(case.formula):  # so that rows are summed up
        frame["x"] = frame["x"].round()
    counts: dict[str, Counter[str]] = {}
    refused, failed, divergences, worst, apart = 0, [], 0, 1.0, []
    for i, one in enumerate(simulated.simulations(case, number, frame, seed)):
        if one is None:
            refused += 1
            continue
        try:
            fit = one.model.fit(draws=draws, seed=seed + i, progress=False)
        except hm.SamplingError as error:
            failed.append(f"{i}: {error}")
            continue
        posterior = simulated.population(fit.posterior)
        ends = of_draws(
            posterior,
            lambda x: {
                "low": np.quantile(x, (1 - INTERVAL) / 2, (0, 1)),
                "high": np.quantile(x, (1 + INTERVAL) / 2, (0, 1)),
            },
        )
        for name, truth in one.truth.items():
            low, high = ends.loc[name]
            where = "below" if high < truth else "above" if low > truth else "covered"
            counts.setdefault(str(name), Counter()).update([where])
        figures = fit.check().figures
        divergences += int(figures["divergences"])
        worst = max(worst, float(figures["r_hat"]))
        apart += [i] if figures["r_hat"] > R_HAT else []
    return {
        "date": datetime.date.today().isoformat(),
        "hiermod": importlib.metadata.version("hiermod"),
        "simulations": number,
        "rows": rows,
        "groups": groups,
        "draws": draws,
        "refused": refused,
        "failed": failed,
        "divergences": divergences,
        "worst_r_hat": worst,
        "apart": apart,
        "seconds": time.perf_counter() - began,
        "parameters": counts,
    }


def line(case: str, name: str, covered: int, fits: int) -> str:
    """Share covered, and the p-value against that of the interval."""
    p = stats.binomtest(covered, fits, INTERVAL).pvalue
    return f"{case:28} {name:24} {covered:5} of {fits:5}  {covered / fits:.3f}  p = {p:.3f}"


def report(case: str, entry: dict[str, Any]) -> str:
    """Lines of a case."""
    lines = [
        line(case, name, found.get("covered", 0), sum(found.values()))
        for name, found in entry["parameters"].items()
    ]
    lines.append(
        f"{case:28} {entry['rows']:,} rows, {entry['seconds']:.0f} s, "
        f"{entry['divergences']} divergences, "
        f"R-hat above {R_HAT} in {len(entry['apart'])} fits, up to {entry['worst_r_hat']:.3f}, "
        f"{entry['refused']} data sets refused, {len(entry['failed'])} fits failed"
    )
    return "\n".join(lines)


def total(stored: dict[str, Any]) -> str:
    """The line of all parameters."""
    found = [p for entry in stored.values() for p in entry["parameters"].values()]
    hit, fits = sum(p.get("covered", 0) for p in found), sum(sum(p.values()) for p in found)
    return (
        f"{line('all', f'{len(found)} parameters', hit, fits)} (parameters of one simulation "
        "depend on each other: the p-value is a rough one)"
    )


def store(path: Path, stored: dict[str, Any]) -> None:
    """Write, so that an interrupted run leaves a whole file."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(stored, indent=1) + "\n")
    part.replace(path)


def main() -> None:
    """Run, store, print."""
    cases = simulated.cases()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=50)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--cases", nargs="*", default=list(cases), choices=list(cases))
    parser.add_argument("--resume", action="store_true", help="skip cases that are stored already")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    stored = json.loads(options.output.read_text()) if options.output.exists() else {}
    for name in options.cases:
        if not (options.resume and name in stored):
            seed = zlib.crc32(name.encode()) % 2**31  # else cases would share their draws
            stored[name] = covered(cases[name], options.simulations, seed=seed, draws=options.draws)
            store(options.output, stored)
        print(report(name, stored[name]), flush=True)
    print(total({name: stored[name] for name in options.cases}))


if __name__ == "__main__":
    main()
