"""The models of the benchmark: data, formula and priors, as each package spells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

DATA = Path(__file__).parent.parent / "datasets"


def frame(name: str) -> pd.DataFrame:
    """A data set, without hiermod."""
    data = pd.read_csv(DATA / f"{name}.csv")
    if name == "reedfrogs":
        return data.assign(tank=range(len(data)))
    if name == "bangladesh":
        return data.rename(columns={"use.contraception": "used"})
    return data


# Every package gets its own default priors, except where the name of the model says otherwise.
MODELS: dict[str, dict[str, Any]] = {
    "reedfrogs": {
        "data": "reedfrogs",
        "formula": "prop(surv, density) ~ 1 + (1 | tank)",
        "family": "binomial",
    },
    "bangladesh": {
        "data": "bangladesh",
        "formula": "used ~ 1 + urban + (1 + urban | district)",
        "family": "bernoulli",
    },
    "sleepstudy": {
        "data": "sleepstudy",
        "formula": "Reaction ~ 1 + Days + (1 + Days | Subject)",
        "family": "gaussian",
    },
    "radon": {
        "data": "radon_mn",
        "formula": "log_radon ~ 1 + floor + (1 | county)",
        "family": "gaussian",
    },
}
