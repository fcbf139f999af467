"""hiermod without shortcuts, many seeds of every model in one process: is every fit to be trusted?

All have the default settings. Prints a line for each model and keeps the figures of every fit, as
soon as it is done, in `benchmarks/results/seeds.json`; a model that is run again replaces its entry
there, or with ``--resume`` gets the seeds that it lacks.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from models import MODELS, Model
from packages import CHAINS, HIERMOD_OPTIONS

RESULTS = Path(__file__).parent / "results" / "seeds.json"

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import hiermod as hm  # noqa: E402


def fits(model: Model, seeds: Iterable[int]) -> Iterator[dict[str, float]]:
    """Figures of the fit of every seed; seconds include the check, those of the first compiling."""
    data = model.data()
    for seed in seeds:
        start = time.perf_counter()
        fit = hm.fit(
            data,
            model.formula,
            family=model.family,
            chains=CHAINS,
            seed=seed,
            progress=False,
            **model.options,
            **HIERMOD_OPTIONS,
        )
        figures = fit.check().figures
        yield {
            "seed": seed,
            "date": datetime.date.today().isoformat(),
            "hiermod": importlib.metadata.version("hiermod"),
            "r_hat": figures["r_hat"],
            "ess": figures["ess_bulk"],
            "divergences": figures["divergences"],
            "n_steps": float(fit.idata["sample_stats"]["n_steps"].mean()),
            "seconds": time.perf_counter() - start,
        }


def main() -> None:
    """Run and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    names = [name for name, model in MODELS.items() if "hiermod" in model.packages]
    parser.add_argument("--models", nargs="*", default=names, choices=list(MODELS))
    parser.add_argument("--resume", action="store_true", help="keep the seeds that are there")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    stored = json.loads(options.output.read_text()) if options.output.exists() else {"models": {}}
    for name in options.models:
        there = stored["models"].get(name, {}) if options.resume else {}
        runs = there.get("runs", [])
        missing = {*range(1, options.seeds + 1)} - {run["seed"] for run in runs}
        for run in fits(MODELS[name], sorted(missing)):
            runs.append(run)
            stored["models"][name] = {"runs": runs}
            options.output.parent.mkdir(exist_ok=True)
            options.output.write_text(json.dumps(stored, indent=1) + "\n")
        good = sum(run["r_hat"] < 1.01 for run in runs)
        divergences = sum(run["divergences"] for run in runs)
        least = min(run["ess"] for run in runs)
        ess, steps, took = (median(run[k] for run in runs) for k in ("ess", "n_steps", "seconds"))
        print(
            f"{name:12} R-hat below 1.01 in {good} of {len(runs)}, {divergences:.0f} divergences, "
            f"smallest ESS {least:.0f} (median {ess:.0f}), {steps:.1f} steps a draw, {took:.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
