"""hiermod: hierarchical Bayesian models from a formula, on TensorFlow Probability.

>>> import hiermod as hm
>>> frogs = hm.load_data("reedfrogs").assign(tank=lambda d: d.index)
>>> model = hm.model(frogs, "prop(surv, density) ~ 1 + (1 | tank)", family="binomial")
"""

from hiermod.cache import keeping as _keeping
from hiermod.quiet import without_notices

with without_notices():
    import tensorflow as _tf

    # Not deferred: whoever asks TensorFlow for its devices first decides whether programs are kept.
    with _keeping(_tf.__version__):
        _tf.config.list_physical_devices()

from hiermod.api import Fit, Formulas, Model, Posterior, fit, formula, model, resume, sample
from hiermod.datasets import list_data, load_data
from hiermod.errors import (
    DataError,
    FormulaError,
    HiermodError,
    ModelError,
    PriorError,
    SamplingError,
)
from hiermod.models import Family, FamilyParameter, mixture, ordinal

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "Family",
    "FamilyParameter",
    "Fit",
    "FormulaError",
    "Formulas",
    "HiermodError",
    "Model",
    "ModelError",
    "Posterior",
    "PriorError",
    "SamplingError",
    "fit",
    "formula",
    "list_data",
    "load_data",
    "mixture",
    "model",
    "ordinal",
    "resume",
    "sample",
]
