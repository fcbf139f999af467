"""The packages: how each prepares a model, and fits and checks it.

An entry of `PACKAGES` is called with a model and its data frame, inside the time of the first fit,
and returns ``fit(seed) -> (InferenceData, Figures)``. What a package can use again in a second fit
(a built or compiled model) lives in that function.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import handwritten
import numpy as np
import pandas as pd
from models import Model

CHAINS, CORES = 4, 2

# Options of `hiermod.fit` where the engine is measured: it samples everything, row by row.
HIERMOD_OPTIONS: dict[str, Any] = {"shortcuts": False}


class Figures(NamedTuple):
    """Of a checked posterior.

    Attributes
    ----------
    ess, r_hat : smallest bulk effective sample size and worst R-hat of all that is reported
    divergences : number of draws
    """

    ess: float
    r_hat: float
    divergences: int


Fit = Callable[[int], tuple[Any, Figures]]


def checked(idata: Any) -> tuple[Any, Figures]:
    """Diagnostics of every quantity but the ones that are only means to others, by ArviZ."""
    import arviz as az

    # nutpie also keeps what it samples, in names that end in two underscores.
    names = [n for n in map(str, idata["posterior"].data_vars) if not n.endswith(("_raw", "__"))]
    table = az.summary(idata, names, kind="diagnostics", round_to="none")
    divergences = int(idata["sample_stats"]["diverging"].sum())
    return idata, Figures(float(table["ess_bulk"].min()), float(table["r_hat"].max()), divergences)


def hiermod(**options: Any) -> Callable[[Model, pd.DataFrame], Fit]:
    """`hiermod.fit`, from formula to verdict; a second call finds the compiled program."""

    def prepare(model: Model, data: pd.DataFrame) -> Fit:
        import hiermod as hm

        def fit(seed: int) -> tuple[Any, Figures]:
            found = hm.fit(
                data,
                model.formula,
                family=model.family,
                chains=CHAINS,
                warmup=model.warmup,
                draws=model.draws,
                seed=seed,
                progress=False,
                **model.options,
                **options,
            )
            figures = found.check().figures
            return found.idata, Figures(
                figures["ess_bulk"], figures["r_hat"], int(figures["divergences"])
            )

        return fit

    return prepare


def bambi(method: str, **options: Any) -> Callable[[Model, pd.DataFrame], Fit]:
    """Bambi with the same priors; the built `bambi.Model` is kept.

    Its effects of a level are independent, where hiermod's are correlated.
    """

    def prepare(model: Model, data: pd.DataFrame) -> Fit:
        import bambi as bmb

        def prior(name: str, numbers: tuple[float, ...]) -> Any:
            if name == "sigma":
                return bmb.Prior("Exponential", lam=numbers[0])
            if name.endswith("_sigma"):
                return bmb.Prior("Normal", mu=0, sigma=bmb.Prior("Exponential", lam=numbers[0]))
            return bmb.Prior("Normal", mu=numbers[0], sigma=numbers[1])

        priors = {n.removesuffix("_sigma"): prior(n, p) for n, p in model.priors.items()}
        built = bmb.Model(model.formula, data, family=model.family, priors=priors)

        def fit(seed: int) -> tuple[Any, Figures]:
            return checked(
                built.fit(
                    inference_method=method,
                    random_seed=seed,
                    chains=CHAINS,
                    cores=CORES,
                    tune=model.warmup,
                    draws=model.draws,
                    progressbar=False,
                    **options,
                )
            )

        return fit

    return prepare


def pymc_nutpie(model: Model, data: pd.DataFrame) -> Fit:
    """PyMC by hand, sampled by nutpie; the compiled model is kept."""
    import nutpie

    compiled = nutpie.compile_pymc_model(handwritten.pymc(model, data))

    def fit(seed: int) -> tuple[Any, Figures]:
        return checked(
            nutpie.sample(
                compiled,
                chains=CHAINS,
                cores=CORES,
                tune=model.warmup,
                draws=model.draws,
                seed=seed,
                progress_bar=False,
            )
        )

    return fit


def numpyro(transform: str) -> Callable[[Model, pd.DataFrame], Fit]:
    """NumPyro by hand, all chains in one program; with ``"pmap"`` each on a device of its own.

    `MCMC.run` compiles in every call; what is kept is a compiled function around it.
    """

    def prepare(model: Model, data: pd.DataFrame) -> Fit:
        import arviz as az
        import jax
        from numpyro.infer import MCMC, NUTS

        function, arrays = handwritten.numpyro(model, data)

        def chain(key: Any, arrays: handwritten.Arrays) -> tuple[dict[str, Any], Any]:
            mcmc = MCMC(
                NUTS(function),
                num_warmup=model.warmup,
                num_samples=model.draws,
                progress_bar=False,
            )
            mcmc.run(key, **arrays)
            return mcmc.get_samples(), mcmc.get_extra_fields()["diverging"]

        chains = getattr(jax, transform)(chain, in_axes=(0, None))
        compiled = jax.jit(chains) if transform == "vmap" else chains

        def fit(seed: int) -> tuple[Any, Figures]:
            draws, diverging = compiled(jax.random.split(jax.random.PRNGKey(seed), CHAINS), arrays)
            return checked(
                az.from_dict(
                    {name: np.asarray(value) for name, value in draws.items()},
                    sample_stats={"diverging": np.asarray(diverging)},
                )
            )

        return fit

    return prepare


PACKAGES: dict[str, Callable[[Model, pd.DataFrame], Fit]] = {
    "hiermod": hiermod(**HIERMOD_OPTIONS),
    "hiermod-shortcuts": hiermod(),
    "bambi-nutpie": bambi("nutpie"),
    "bambi-pymc": bambi("pymc"),
    "bambi-numpyro": bambi("numpyro", nuts_sampler_kwargs={"chain_method": "vectorized"}),
    "pymc-nutpie": pymc_nutpie,
    "numpyro": numpyro("vmap"),
    "numpyro-parallel": numpyro("pmap"),
}


def imports(package: str) -> float:
    """Import what a user of the package imports; seconds of the package itself.

    These are what hiermod takes beside TensorFlow, TFP and ArviZ; peers have no such stack.
    """
    os.environ |= {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    stack = ("tensorflow", "tensorflow_probability") if "hiermod" in package else ()
    own = ("hiermod", "bambi", "pymc", "nutpie", "numpyro")
    for name in (*stack, "arviz"):
        import_module(name)
    start = time.perf_counter()
    for name in own:
        if name in package:
            import_module(name)
    took = time.perf_counter() - start
    if "numpyro" in package:
        numpyro = import_module("numpyro")
        numpyro.enable_x64()  # as the others
        if package.endswith("-parallel"):
            numpyro.set_host_device_count(CHAINS)
    return took
