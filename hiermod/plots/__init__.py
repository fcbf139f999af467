"""Inference data to figures.

Functions of one panel take ``ax=`` and return the Axes; those of many return the Figure.
"""

from hiermod.plots.chains import rank, trace
from hiermod.plots.estimates import densities, forest
from hiermod.plots.predictive import ppc
from hiermod.plots.priors import priors
from hiermod.plots.shrinkage import shrinkage

__all__ = ["densities", "forest", "ppc", "priors", "rank", "shrinkage", "trace"]
