"""Draws to inference data, and inference data to answers."""

from hiermod.results.checks import Check, Problem, check, diagnostics
from hiermod.results.conversion import (
    attributes,
    constant_data,
    convert,
    observed_data,
    per_row,
    plain,
    prior,
    quantities,
    sampled_groups,
)
from hiermod.results.describe import describe, describe_fit, describe_fit_html, describe_html
from hiermod.results.effects import draw_effects
from hiermod.results.groups import add_group, group, has_group, inference_data, save
from hiermod.results.pooling import Pooling, level_values, pooling
from hiermod.results.priors import PriorDraws, prior_draws
from hiermod.results.rows import fitted, log_likelihood, predictive
from hiermod.results.sensitivity import log_prior, sensitivity
from hiermod.results.summary import summary

__all__ = [
    "Check",
    "Pooling",
    "PriorDraws",
    "Problem",
    "add_group",
    "attributes",
    "check",
    "constant_data",
    "convert",
    "describe",
    "describe_fit",
    "describe_fit_html",
    "describe_html",
    "diagnostics",
    "draw_effects",
    "fitted",
    "group",
    "has_group",
    "inference_data",
    "level_values",
    "log_likelihood",
    "log_prior",
    "observed_data",
    "per_row",
    "plain",
    "pooling",
    "predictive",
    "prior",
    "prior_draws",
    "quantities",
    "sampled_groups",
    "save",
    "sensitivity",
    "summary",
]
