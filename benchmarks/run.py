"""hiermod beside other packages: the same rows, in turn, each measurement in a fresh process.

Absolute times depend on the machine and its load: read the ratios. `make bench` installs the peers,
runs this and writes `benchmarks/results/latest.json`; a model that is run again replaces its entry
there, so models can be run one at a time. `render.py` makes a page of it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from models import MODELS, Model

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "latest.json"
DISTRIBUTIONS = {
    "hiermod": ("hiermod", "tensorflow", "tensorflow-probability"),
    "peers": ("bambi", "pymc", "pytensor", "nutpie", "numba", "numpyro", "jax"),
}


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [
        line.split(":", 1)[1].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions(peers: str | None) -> dict[str, str]:
    """Of the packages in both environments."""
    found = {name: importlib.metadata.version(name) for name in DISTRIBUTIONS["hiermod"]}
    if peers:
        code = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
        command = [peers, "-c", code, *DISTRIBUTIONS["peers"]]
        numbers = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        found |= dict(zip(DISTRIBUTIONS["peers"], numbers, strict=True))
    return found


def measure(command: list[str], limit: float) -> dict[str, Any]:
    """Two runs of the worker: one that finds no compiled program on disk, and one that does.

    What packages keep on disk by themselves (hiermod its programs, PyTensor those of Numba) goes to
    a directory of this measurement, which is empty at first.
    """
    with tempfile.TemporaryDirectory() as kept:
        environment = os.environ | {
            "HIERMOD_CACHE": f"{kept}/hiermod",
            "PYTENSOR_FLAGS": f"base_compiledir={kept}/pytensor",
        }
        found = process(command, limit, environment)
        if "second" in found:
            again = process([*command, "--fits", "1"], limit, environment)
            found |= {f"kept_{n}": again[n] for n in ("import", "first", "first_ess") if n in again}
    return found


def process(command: list[str], limit: float, environment: dict[str, str]) -> dict[str, Any]:
    """One run of the worker: what it told last, and whether it was stopped, or why it failed."""
    child = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that its own worker processes end with it
    )
    ended: dict[str, Any] = {}
    try:
        out, err = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        ended["over"] = limit
    except KeyboardInterrupt:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    if ended:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
    elif child.returncode:
        ended["failed"] = reason(child.returncode, err)
        print(err[-2000:], file=sys.stderr)
    lines = [line for line in out.splitlines() if line.startswith("{")]
    found = json.loads(lines[-1]) if lines else {}
    return found if "second" in found else found | ended


def reason(code: int, err: str) -> str:
    """Why a process failed: the signal that ended it, or what it wrote last."""
    if code < 0:
        return signal.Signals(-code).name
    return err.strip().rpartition("\n")[2].replace("`", "'") or f"exit {code}"


def header(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    """What is stored of a model beside its runs."""
    return {
        "formula": model.formula,
        "family": model.family,
        "rows": len(model.data()),
        "warmup": options.warmup or model.warmup,
        "draws": options.draws or model.draws,
        "limit": options.limit,
    }


def complete(runs: list[dict[str, Any]], repeat: int) -> bool:
    """Whether this repeat need not be run: it is there, or an earlier one did not finish."""
    return len(runs) > repeat or any("over" in run or "failed" in run for run in runs)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python of the other packages; without it hiermod alone")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--packages", nargs="*", help="default: those of each model")
    parser.add_argument("--warmup", type=int, help="default: that of each model")
    parser.add_argument("--draws", type=int, help="default: that of each model")
    parser.add_argument("--limit", type=float, default=900, help="seconds for one measurement")
    parser.add_argument(
        "--resume", action="store_true", help="keep the runs that are there, if made alike"
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()

    stored = json.loads(options.output.read_text()) if options.output.exists() else {}
    if stored.get("machine") != machine():
        stored = {"machine": machine(), "models": {}}
    numbers = versions(options.peers)
    for name in options.models:
        model = MODELS[name]
        head = header(model, options) | {"versions": numbers}
        old = stored["models"].get(name, {})
        resumed = options.resume and head.items() <= old.items()
        runs: dict[str, list[dict[str, Any]]] = old["packages"] if resumed else {}
        stored["models"][name] = head | {
            "date": datetime.date.today().isoformat(),
            "packages": runs,
        }
        for repeat in range(options.repeats):
            for package in options.packages or model.packages:
                python = sys.executable if package.startswith("hiermod") else options.peers
                if not python or complete(runs.setdefault(package, []), repeat):
                    continue
                command = [python, str(HERE / "worker.py"), package, name]
                command += ["--warmup", str(head["warmup"]), "--draws", str(head["draws"])]
                command += ["--seed", str(1 + 2 * repeat)]
                run = measure(command, options.limit)
                runs[package].append(run)
                print(name, package, json.dumps(run), flush=True)
                options.output.parent.mkdir(exist_ok=True)
                options.output.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()
