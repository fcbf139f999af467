"""hiermod: hierarchical Bayesian models from a formula, on TensorFlow Probability.

>>> import hiermod as hm
>>> frogs = hm.load_data("reedfrogs").assign(tank=lambda d: d.index)
>>> model = hm.model(frogs, "prop(surv, density) ~ 1 + (1 | tank)", family="binomial")
"""

import os

# TensorFlow's start-up notices (CPU features, missing GPU drivers) say nothing to our users.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from hiermod.api import Fit, Model, fit, model  # noqa: E402
from hiermod.datasets import list_data, load_data  # noqa: E402
from hiermod.errors import (  # noqa: E402
    DataError,
    FormulaError,
    HiermodError,
    ModelError,
    PriorError,
    SamplingError,
)

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "Fit",
    "FormulaError",
    "HiermodError",
    "Model",
    "ModelError",
    "PriorError",
    "SamplingError",
    "fit",
    "list_data",
    "load_data",
    "model",
]
