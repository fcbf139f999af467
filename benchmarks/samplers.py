"""hiermod's HMC, with its metric and with others, beside NUTS, SNAPER and ChEES.

SNAPER (Sountsov and Hoffman 2021) and ChEES (Hoffman, Radul and Sountsov 2021) are TFP's, with its
adaptation of a diagonal metric and of the step size; all samplers have the density that hiermod
samples, scaled as it begins, and the same starts. Without shortcuts. Keeps the figures of all seeds
in `benchmarks/results/samplers.json`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from models import MODELS, Model
from packages import CHAINS, HIERMOD_OPTIONS

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.experimental.mcmc import (
    gradient_based_trajectory_length_adaptation as lengths,
)

import hiermod as hm
from hiermod import inference, results
from hiermod.inference.diagnostics import diagnose

runner = import_module("hiermod.inference.run")  # the function of that name hides it
RESULTS = Path(__file__).parent / "results" / "samplers.json"
DRAWS = 1000
BURN_IN = 1000  # TFP's default; hiermod's warm-up is half as long
SNAPER = lengths.snaper_criterion

Run = dict[str, float]


def ours(sampler: str, rank: float = runner.RANK) -> Callable[[Model], Callable[[int], Run]]:
    """A sampler of hiermod, with so many directions beside the axes of its metric."""

    def prepared(model: Model) -> Callable[[int], Run]:
        built = hm.model(model.data(), model.formula, family=model.family, **model.options)
        directions = min(rank, built.plan(**HIERMOD_OPTIONS).dimensions)

        def run(seed: int) -> Run:
            runner.RANK = int(directions)
            fit = built.fit(
                chains=CHAINS,
                draws=DRAWS,
                sampler=sampler,
                seed=seed,
                progress=False,
                **HIERMOD_OPTIONS,
            )
            steps = fit.idata["sample_stats"]["n_steps"]
            found = {n: fit.check().figures[n] for n in ("ess_bulk", "r_hat", "divergences")}
            return found | {"gradients": float(steps.max("chain").sum())}

        return run

    return prepared


def chees(
    *states: Any, direction: Any, state_mean: Any, state_mean_weight: Any, **more: Any
) -> Any:
    """The criterion of ChEES with the arguments of SNAPER's."""
    return lengths.chees_criterion(*states, **more)


def theirs(criterion: Callable[..., Any]) -> Callable[[Model], Callable[[int], Run]]:
    """TFP's adaptation of trajectory lengths by a criterion."""

    def prepared(model: Model) -> Callable[[int], Run]:
        built = hm.model(model.data(), model.formula, family=model.family, **model.options)
        plan = built.plan(**HIERMOD_OPTIONS)
        centre, scale, radius = plan.start()

        @tf.function(jit_compile=True, autograph=False)
        def sample(begin: tf.Tensor, seed: tf.Tensor) -> Any:
            lengths.snaper_criterion = criterion  # the kernel reads it while it is traced
            kept = tfp.experimental.mcmc.sample_snaper_hmc(
                lambda z: plan.log_density(centre + scale * z, plan.arguments),
                DRAWS,
                num_burnin_steps=BURN_IN,
                init_state=begin,
                event_space_bijector=tfp.bijectors.Identity(),
                event_dtype=tf.float64,
                event_shape=tf.TensorShape([plan.dimensions]),
                seed=seed,
            )
            state, told = kept.trace
            return state, told["n_steps"], told["diverging"]

        def run(seed: int) -> Run:
            begin = inference.start_positions(
                plan.log_density, plan.arguments, centre, CHAINS, seed, radius
            )
            z, steps, diverging = sample((begin - centre) / scale, tf.constant([seed, 0]))
            position = (centre + scale * z.numpy()).swapaxes(0, 1)
            found = diagnose(results.quantities(plan, position, seed))
            return {
                "ess_bulk": float(found["ess_bulk"].min()),
                "r_hat": float(found["r_hat"].max()),
                "divergences": float(diverging.numpy().sum()),
                "gradients": float(steps.numpy().sum()),
            }

        return run

    return prepared


SAMPLERS = {
    "hiermod": ours("hmc"),
    "diagonal metric": ours("hmc", rank=0),
    "dense metric": ours("hmc", rank=np.inf),
    "NUTS": ours("nuts"),
    "SNAPER": theirs(SNAPER),
    "ChEES": theirs(chees),
}


def main() -> None:
    """Run and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    small = [name for name, model in MODELS.items() if "numpyro" in model.packages]
    parser.add_argument("--models", nargs="*", default=small, choices=list(MODELS))
    parser.add_argument("--samplers", nargs="*", default=list(SAMPLERS), choices=list(SAMPLERS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    stored = json.loads(options.output.read_text()) if options.output.exists() else {}
    for name in options.models:
        for sampler in options.samplers:
            run = SAMPLERS[sampler](MODELS[name])
            runs = [run(seed) for seed in range(1, options.seeds + 1)]
            stored.setdefault(name, {})[sampler] = runs
            options.output.parent.mkdir(exist_ok=True)
            options.output.write_text(json.dumps(stored, indent=1) + "\n")
            ess = median(1000 * run["ess_bulk"] / run["gradients"] for run in runs)
            print(f"{name:12} {sampler:15} {ess:6.0f} ESS for 1,000 gradients", flush=True)


if __name__ == "__main__":
    main()
