"""One package on one model, in a process of its own; prints a line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from typing import Any

import numpy as np
from models import MODELS, frame

warnings.filterwarnings("ignore")


def hiermod_fit(model: dict[str, Any], seed: int) -> Any:
    """The whole call a user makes, checks included."""
    import hiermod as hm

    fit = hm.fit(
        frame(model["data"]), model["formula"], family=model["family"], seed=seed, progress=False
    )
    fit.check()
    return fit.idata


def bambi_fit(model: dict[str, Any], seed: int) -> Any:
    """Bambi with nutpie; effects of a level are independent in it, correlated in hiermod."""
    import arviz as az
    import bambi as bmb

    found = bmb.Model(model["formula"], frame(model["data"]), family=model["family"]).fit(
        inference_method="nutpie",
        random_seed=seed,
        chains=4,
        draws=1000,
        tune=500,
        progress_bar=False,
    )
    az.summary(found)
    return found


def main(package: str, name: str) -> None:
    """Import, fit twice, and tell what it took."""
    start = time.perf_counter()
    if package == "hiermod":
        import hiermod  # noqa: F401
    else:
        import bambi  # noqa: F401
        import nutpie  # noqa: F401
    import arviz as az

    times = {"import": time.perf_counter() - start}
    fit = {"hiermod": hiermod_fit, "bambi": bambi_fit}[package]
    for call, seed in (("first", 1), ("second", 2)):
        start = time.perf_counter()
        idata = fit(MODELS[name], seed)
        times[call] = time.perf_counter() - start
    posterior = idata["posterior"]
    # The diagonal of a correlation matrix is constant.
    names = [v for v in posterior.data_vars if not str(v).endswith("_cor")]
    ess = az.ess(posterior[names])
    r_hat = az.rhat(posterior[names])
    out = times | {
        "ess": min(float(np.min(ess[v])) for v in names),
        "r_hat": max(float(np.max(r_hat[v])) for v in names),
        "divergences": int(idata["sample_stats"]["diverging"].sum()),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
