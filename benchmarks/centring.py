"""Group effects as the data say, beside the two forms of the textbook: what does the choice cost?

Simulated models of 40 levels with few to many rows each, without shortcuts. Every form of a model
is fitted in a process of its own, once to compile and then with several seeds. Keeps the figures in
`benchmarks/results/centring.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

RESULTS = Path(__file__).parent / "results" / "centring.json"
LEVELS = 40
ROWS = (2, 8, 32, 128)
FORMS: dict[str, dict[str, bool]] = {
    "conditioned": {},
    "non-centred": {"noncentered": True},
    "centred": {"noncentered": False},
}


def simulated(family: str, rows: int) -> pd.DataFrame:
    """So many rows of each level, whose effects have a standard deviation of 0.7."""
    rng = np.random.default_rng(rows)
    g = np.repeat(np.arange(LEVELS), rows)
    x = rng.normal(size=len(g))
    eta = 0.3 + 0.5 * x + 0.7 * rng.normal(size=LEVELS)[g]
    draw = {
        "gaussian": lambda: eta + rng.normal(size=len(g)),
        "bernoulli": lambda: (rng.random(len(g)) < 1 / (1 + np.exp(-eta))).astype(int),
    }
    return pd.DataFrame({"y": draw[family](), "x": x, "g": g})


def measure(family: str, rows: int, form: str, seeds: int) -> dict[str, Any]:
    """Figures of a form: the first fit, and the median of others."""
    import hiermod as hm

    data, runs = simulated(family, rows), []
    hm.fit(data, "y ~ x", family=family, shortcuts=False, progress=False)  # TensorFlow's own start
    for seed in range(seeds + 1):
        start = time.perf_counter()
        fit = hm.fit(
            data,
            "y ~ x + (1 | g)",
            family=family,
            shortcuts=False,
            seed=seed,
            progress=False,
            **FORMS[form],
        )
        figures = fit.check().figures
        run = {"seconds": time.perf_counter() - start, "ess": figures["ess_bulk"]}
        run |= {name: figures[name] for name in ("r_hat", "divergences")}
        runs.append(run)
    again = runs[1:]
    return {
        "family": family,
        "rows": rows,
        "form": form,
        "seeds": seeds,
        "first": runs[0]["seconds"],
        "second": median(run["seconds"] for run in again),
        "ess": median(run["ess"] for run in again),
        "least_ess": min(run["ess"] for run in again),
        "r_hat": max(run["r_hat"] for run in again),
        "divergences": sum(run["divergences"] for run in again),
    }


def main() -> None:
    """Run, or measure one form; store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--one", nargs=3, metavar=("FAMILY", "ROWS", "FORM"))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.one:
        family, rows, form = options.one
        print(json.dumps(measure(family, int(rows), form, options.seeds)))
        return
    found = []
    for family in ("gaussian", "bernoulli"):
        for rows in ROWS:
            for form in FORMS:
                command = [sys.executable, __file__, "--seeds", str(options.seeds)]
                out = subprocess.run(
                    [*command, "--one", family, str(rows), form],
                    env=os.environ | {"HIERMOD_CACHE": "off"},
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
                found.append(json.loads(out.splitlines()[-1]))
                print(out.splitlines()[-1], flush=True)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
