"""One package on one model, in a process of its own; prints a line of JSON after every stage."""

from __future__ import annotations

import argparse
import json
import logging
import resource
import time
import warnings
from dataclasses import replace

import packages
from models import MODELS

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def peak_mb() -> float:
    """Most memory this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Import, fit twice, and tell what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", choices=list(packages.PACKAGES))
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("--warmup", type=int)
    parser.add_argument("--draws", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fits", type=int, default=2, choices=(1, 2))
    parser.add_argument("--save", help="file for the posterior of the last fit")
    options = parser.parse_args()
    model = MODELS[options.model]
    model = replace(
        model, warmup=options.warmup or model.warmup, draws=options.draws or model.draws
    )
    start = time.perf_counter()
    found: dict[str, float] = {
        "import_own": packages.imports(options.package),
        "import": time.perf_counter() - start,
        "import_mb": peak_mb(),
    }
    print(json.dumps(found), flush=True)
    data = model.data()
    fit = None
    for i, call in enumerate(("first", "second")[: options.fits]):
        start = time.perf_counter()
        fit = fit or packages.PACKAGES[options.package](model, data)
        idata, figures = fit(options.seed + i)
        found[call] = time.perf_counter() - start
        found |= {f"{call}_{name}": value for name, value in figures._asdict().items()}
        found["peak_mb"] = peak_mb()
        print(json.dumps(found), flush=True)
    if options.save:
        idata["posterior"].to_netcdf(options.save)


if __name__ == "__main__":
    main()
