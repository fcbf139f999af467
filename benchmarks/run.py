"""hiermod beside Bambi with nutpie, on the same rows, in turn, each time in a fresh process.

Absolute times depend on the machine and its load: read the ratios. `make bench` installs the peer,
runs this and writes `benchmarks/results/latest.json` and a table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median

from models import MODELS

HERE = Path(__file__).parent
FIGURES = ("import", "first", "second", "ess", "r_hat", "divergences", "memory_mb")


def measure(python: str, package: str, model: str) -> dict[str, float]:
    """One run of the worker."""
    done = subprocess.run(
        [python, str(HERE / "worker.py"), package, model],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        raise SystemExit(f"{package} failed on {model}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def table(results: dict[str, dict[str, list[dict[str, float]]]]) -> str:
    """A Markdown table of medians, and of ratios of medians."""
    lines = [
        "| model | package | import s | first fit s | second fit s | smallest bulk ESS "
        "| worst R-hat | ESS/s, second fit | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for model, packages in results.items():
        speed = {}
        for package, runs in packages.items():
            m = {name: median(run[name] for run in runs) for name in FIGURES}
            speed[package] = median(run["ess"] / run["second"] for run in runs)
            lines.append(
                f"| {model} | {package} | {m['import']:.1f} | {m['first']:.1f} | {m['second']:.2f} "
                f"| {m['ess']:,.0f} | {m['r_hat']:.3f} | {speed[package]:,.0f} "
                f"| {m['memory_mb']:,.0f} |"
            )
        if "bambi" in packages:
            pairs = list(zip(packages["bambi"], packages["hiermod"], strict=True))
            first = median(b["first"] / h["first"] for b, h in pairs)
            second = median((h["ess"] / h["second"]) / (b["ess"] / b["second"]) for b, h in pairs)
            lines.append(
                f"| {model} | **ratio** | | {first:.1f} times sooner | | | "
                f"| **{second:.1f} times** | |"
            )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python with Bambi and nutpie; without it hiermod alone")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    options = parser.parse_args()
    pythons = {"hiermod": sys.executable} | ({"bambi": options.peers} if options.peers else {})
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for model in options.models:
        results[model] = {package: [] for package in pythons}
        for _ in range(options.repeats):
            for package, python in pythons.items():
                results[model][package].append(measure(python, package, model))
                print(model, package, json.dumps(results[model][package][-1]), flush=True)
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": sys.version}
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "latest.json").write_text(
        json.dumps({"machine": machine, "results": results}, indent=1)
    )
    (HERE / "results" / "latest.md").write_text(table(results) + "\n")
    print("\n" + table(results))


if __name__ == "__main__":
    main()
