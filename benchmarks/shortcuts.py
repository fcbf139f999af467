"""One gradient against the number of rows, with the exact shortcuts and without, on one core.

What is timed is the gradient of four chains, in a compiled loop of many as in a trajectory, for a
gaussian model (effects integrated out or sampled) and a Bernoulli model with two binary predictors
(rows summed up or one by one); both have 200 groups with a correlated intercept and slope. Prints
JSON lines, keeps them in `benchmarks/results/shortcuts.json` and draws `docs/images/shortcuts.png`.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["HIERMOD_CACHE"] = "off"

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from gradient import seconds

import hiermod as hm
from hiermod.inference.hmc import LogDensity, value_and_gradient
from hiermod.plots import style
from hiermod.programs import compiled

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "shortcuts.json"
FIGURE = HERE.parent / "docs" / "images" / "shortcuts.png"

CHAINS, GROUPS = 4, 200
ROWS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
FORMULAS = {"gaussian": "y ~ 1 + x + (1 + x | g)", "bernoulli": "y ~ 1 + a + b + (1 + a | g)"}
LABELS = {
    ("gaussian", False): "everything sampled",
    ("gaussian", True): "effects integrated out",
    ("bernoulli", False): "rows one by one",
    ("bernoulli", True): "rows summed up",
}


def simulated(family: str, rows: int) -> pd.DataFrame:
    """Rows of `GROUPS` groups: a continuous predictor, or two binary ones."""
    rng = np.random.default_rng(22)
    g = rng.integers(0, GROUPS, rows)
    u, v = rng.multivariate_normal([0, 0.5], [[0.49, 0.15], [0.15, 0.25]], GROUPS).T
    if family == "gaussian":
        x = rng.normal(size=rows)
        return pd.DataFrame({"y": u[g] + v[g] * x + rng.normal(size=rows), "x": x, "g": g})
    a, b = rng.integers(0, 2, (2, rows))
    y = rng.random(rows) < 1 / (1 + np.exp(-(u[g] + v[g] * a - 0.5 * b)))
    return pd.DataFrame({"y": y.astype(int), "a": a, "b": b, "g": g})


def gradient_seconds(log_density: LogDensity, position: Any, data: Any, repeats: int) -> float:
    """Time of one gradient: calls have so many that what a call costs by itself is lost in them."""

    @compiled
    def gradients(count: Any, position: Any, data: Any) -> Any:
        def body(i: Any, q: Any) -> Any:
            return i + 1, q + 1e-12 * value_and_gradient(log_density, q, data)[1]

        return tf.while_loop(lambda i, _: i < count, body, (tf.constant(0), position))[1]

    def call(count: int) -> Any:
        return gradients(tf.constant(count), position, data).numpy()

    count = 5 + int(0.1 / seconds(lambda: call(1), 3))
    return seconds(lambda: call(count), repeats) / count


def timed(family: str, rows: int, repeats: int) -> list[dict[str, Any]]:
    """Both densities of a model."""
    model = hm.model(simulated(family, rows), FORMULAS[family], family=family)
    found = []
    for shortcuts in (False, True):
        plan = model.plan(shortcuts=shortcuts)
        noise = np.random.default_rng(1).normal(size=(CHAINS, plan.dimensions))
        position = tf.constant(0.1 * noise)
        took = gradient_seconds(plan.log_density, position, plan.arguments, repeats)
        row = {"family": family, "rows": rows, "shortcuts": shortcuts}
        found.append(row | {"dimensions": plan.dimensions, "seconds": took})
    return found


def draw(results: list[dict[str, Any]]) -> None:
    """Milliseconds against rows, a panel for each model."""
    figure, ((left, right),) = style.panels(1, 2, (8.2, 3.6), sharey=True)
    for ax, family, title in ((left, "gaussian", "Gaussian"), (right, "bernoulli", "Bernoulli")):
        for shortcuts, color, marker in ((False, style.VERMILLION, "o"), (True, style.BLUE, "s")):
            chosen = [
                (r["rows"], 1000 * r["seconds"])
                for r in results
                if r["family"] == family and r["shortcuts"] == shortcuts
            ]
            label = LABELS[family, shortcuts]
            ax.loglog(*zip(*chosen, strict=True), color=color, marker=marker, ms=4, label=label)
        style.tidy(ax).set(xlabel="Number of rows", title=title)
        ax.legend(frameon=False, loc="upper left")
    left.set_ylabel("One gradient of four chains, ms")
    figure.savefig(FIGURE, dpi=150)
    plt.close(figure)


def main() -> None:
    """Measure, store, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--rows", nargs="*", type=int, default=list(ROWS))
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    results = []
    for family in FORMULAS:
        for rows in options.rows:
            found = timed(family, rows, options.repeats)
            results += found
            print(*map(json.dumps, found), sep="\n", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    draw(results)


if __name__ == "__main__":
    main()
