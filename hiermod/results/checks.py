"""What is wrong with a fit, and what to do about it."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import special

from hiermod.inference.diagnostics import LEAST_DRAWS, diagnose

R_HAT_LIMIT = 1.01
"""Vehtari et al. (2021), section 4; for up to R_HAT_QUANTITIES, see `r_hat_limit`."""

R_HAT_QUANTITIES = 100

ESS_PER_CHAIN = 100
"""Bulk and tail; Vehtari et al. (2021), section 4. A superchain counts as a chain."""

E_BFMI_LIMIT = 0.3
"""Stan's limit; Betancourt (2016), "Diagnosing suboptimal cotangent disintegrations"."""

PARETO_K_LIMIT = 0.7
"""Vehtari et al. (2024), see `hiermod.inference.diagnostics.pareto_k`."""

ENERGIES = 200
"""Least number of draws for an E-BFMI: see docs/checks.md."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    what : str
        With the numbers.
    advice : str
        What to do.
    """

    what: str
    advice: str


@dataclass(frozen=True)
class Check:
    """The verdict on a fit.

    Attributes
    ----------
    problems : tuple of Problem
    figures : dict
        ``r_hat`` (worst), ``ess_bulk``, ``ess_tail`` (smallest), ``divergences``, ``e_bfmi``
        (smallest of the chains; of groups of chains where these are short); of an approximation
        ``pareto_k``.
    draws, chains : int
    superchains : int or None
        Of nested R-hat; None if R-hat is the split one.
    """

    problems: tuple[Problem, ...]
    figures: dict[str, float]
    draws: int
    chains: int
    superchains: int | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """The figures in a line."""
        f, nested = self.figures, ""
        if self.superchains:
            size = self.chains // self.superchains
            nested = f" (nested R-hat, {self.superchains} superchains of {size} chains)"
        return (
            f"worst R-hat {f['r_hat']:.3f}{nested}, smallest ESS {f['ess_bulk']:,.0f} (bulk) and "
            f"{f['ess_tail']:,.0f} (tail), {f['divergences']:.0f} divergences, "
            f"E-BFMI {f['e_bfmi']:.2f}"
            + (f", Pareto k of the approximation {f['pareto_k']:.2f}" if "pareto_k" in f else "")
        )

    def __str__(self) -> str:
        """The verdict, and advice for every problem."""
        head = "The checks found nothing wrong" if self.ok else "Do not trust this fit yet"
        lines = [_wrapped(f"{head}: {self.verdict}.")]
        for problem in self.problems:
            lines += [_wrapped(f"- {problem.what}", 2), _wrapped(problem.advice, 4)]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "The checks found nothing wrong" if self.ok else "Do not trust this fit yet"
        items = "".join(
            f"<li>{escape(p.what)}<br><em>{escape(p.advice)}</em></li>" for p in self.problems
        )
        return f"<p><strong>{head}</strong>: {escape(self.verdict)}.</p><ul>{items}</ul>"


def _wrapped(text: str, indent: int = 0) -> str:
    """Text in lines of at most 100 characters."""
    further = " " * (indent if indent != 2 else 4)
    return textwrap.fill(text, 100, initial_indent=" " * indent, subsequent_indent=further)


def diagnostics(posterior: xr.Dataset) -> pd.DataFrame:
    """R-hat and effective sample sizes of every scalar.

    Parameters
    ----------
    posterior : Dataset

    Returns
    -------
    DataFrame
        Indexed by names such as ``1|tank[3]``; columns ``r_hat`` (rank-normalised, split; nested if
        the posterior has `superchains`), ``ess_bulk``, ``ess_tail``.
    """
    superchains = superchains_of(posterior)
    return of_draws(posterior, lambda x: diagnose(x, superchains))


def of_draws(
    posterior: xr.Dataset, function: Callable[[Any], dict[str, np.ndarray[Any, Any]]]
) -> pd.DataFrame:
    """Apply a function of (chains, draws, quantities...) to all variables.

    Returns
    -------
    DataFrame
        Its columns are the function's keys; a row a scalar, labelled as by `flatten`.
    """
    over = ("chain", "draw")
    found = [
        function(variable.transpose(*over, ...).to_numpy())
        for variable in posterior.data_vars.values()
    ]
    columns = {k: np.concatenate([f[k].ravel() for f in found]) for k in found[0]}
    return pd.DataFrame(columns, index=_labels(posterior, without=over))


def superchains_of(posterior: xr.Dataset) -> int | None:
    """Number of superchains, if the chains are still in superchains of several chains."""
    superchains, chains = int(posterior.attrs.get("superchains", 1)), posterior.sizes["chain"]
    return superchains if 1 < superchains < chains and chains % superchains == 0 else None


def r_hat_limit(quantities: int, groups: int) -> float:
    """Limit for the worst R-hat of so many quantities.

    Where chains agree, R-hat² - 1 is about χ²/(ESS a group) with ``groups - 1`` degrees of
    freedom, divided by these. The excess over 1 that is allowed grows as does the quantile of χ²
    that one of the quantities is expected to exceed, from that of 100.

    Parameters
    ----------
    quantities : int
    groups : int
        What R-hat compares: halves of chains, or superchains.

    Returns
    -------
    float
        1.01 up to 100 quantities; of four chains, 1.013 for 1000 and 1.015 for 4000.
    """
    largest, usual = (
        special.chdtri(groups - 1, 1 / max(n, R_HAT_QUANTITIES))
        for n in (quantities, R_HAT_QUANTITIES)
    )
    return round(float(1 + (R_HAT_LIMIT - 1) * largest / usual), 3)


def flatten(data: xr.Dataset) -> pd.Series:
    """A Series of all elements of all variables, labelled ``name[label, label]``."""
    values = [variable.to_numpy().ravel() for variable in data.data_vars.values()]
    return pd.Series(np.concatenate(values), index=_labels(data))


def _labels(data: xr.Dataset, without: tuple[str, ...] = ()) -> list[str]:
    """Labels of the elements of all variables, some dimensions aside."""
    labels: list[str] = []
    for name, variable in data.data_vars.items():
        dims = [d for d in variable.dims if d not in without]
        keys = itertools.product(*(pd.Index(variable[d].to_numpy()) for d in dims))
        labels += [f"{name}[{', '.join(map(str, k))}]" if dims else str(name) for k in keys]
    return labels


def e_bfmi(sample_stats: xr.Dataset) -> np.ndarray[Any, Any]:
    """Energy Bayesian fraction of missing information (Betancourt 2016).

    Mean square of the steps of the energy, over its variance. Of short chains each would be noisy
    and the worst of many always low: as many consecutive chains are taken together as have
    `ENERGIES` draws, with the variance around their common mean.

    Returns
    -------
    array, shape (groups,)
        Groups are consecutive chains, as many in each; single ones if they have `ENERGIES` draws.
        NaN of chains of one draw.
    """
    energy = sample_stats["energy"].to_numpy()
    chains, draws = energy.shape
    if draws < 2:
        return np.full(1, np.nan)
    size = next(
        k for k in range(1, chains + 1) if not chains % k and (k * draws >= ENERGIES or k == chains)
    )
    steps = np.square(np.diff(energy, axis=1)).mean(axis=1).reshape(-1, size).mean(axis=1)
    return np.asarray(steps / energy.reshape(-1, size * draws).var(axis=1, ddof=1))


def check(posterior: xr.Dataset, sample_stats: xr.Dataset) -> Check:
    """Check a fit.

    Parameters
    ----------
    posterior, sample_stats : Dataset

    Returns
    -------
    Check
        What cannot vary is left out: constants, and the diagonal of a correlation.
    """
    table = diagnostics(varying(posterior))
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    energy = e_bfmi(sample_stats)
    figures = {
        "r_hat": float(table["r_hat"].max()),
        "ess_bulk": float(table["ess_bulk"].min()),
        "ess_tail": float(table["ess_tail"].min()),
        "divergences": float(sample_stats["diverging"].sum()),
        "e_bfmi": float(energy.min()),
    }
    if "pareto_k" in posterior.attrs:
        figures["pareto_k"] = float(posterior.attrs["pareto_k"])
    superchains = superchains_of(posterior)
    problems = tuple(_problems(table, figures, energy, chains, draws, superchains, posterior.attrs))
    return Check(problems, figures, draws, chains, superchains)


def varying(posterior: xr.Dataset, constants: bool = False) -> xr.Dataset:
    """A posterior without what cannot vary.

    Of a correlation matrix, the triangle below 1s; no variables that the model fixes, unless
    `constants` are wanted too.
    """
    out = {}
    for name, variable in posterior.data_vars.items():
        if variable.attrs.get("constant") and not constants:
            continue
        if str(variable.dims[-1]).endswith("__effect_dim_bis"):
            first, second = variable.dims[-2:]
            rows, columns = np.tril_indices(variable.sizes[first], -1)
            labels = [
                f"{variable[first].to_numpy()[r]}, {variable[second].to_numpy()[c]}"
                for r, c in zip(columns, rows, strict=True)
            ]
            pair = f"{name}_pair"
            values = variable.to_numpy()[..., rows, columns]
            dims = [*variable.dims[:-2], pair]
            coords = {d: variable[d] for d in dims[2:-1]} | {pair: labels}
            variable = xr.DataArray(values, dims=dims, coords=coords, name=name)
        out[name] = variable
    return xr.Dataset(out, attrs=posterior.attrs)


def _worst(series: pd.Series, ascending: bool) -> str:
    """Names of the three worst elements."""
    worst = series.sort_values(ascending=ascending).index[:3]
    return ", ".join(worst)


def _problems(
    table: pd.DataFrame,
    figures: dict[str, float],
    energy: Any,
    chains: int,
    draws: int,
    superchains: int | None,
    attrs: Mapping[Any, Any],
) -> Iterator[Problem]:
    if chains < 2:
        yield Problem(
            "There is one chain only.",
            "Run four, so that R-hat can tell whether they agree: chains=4.",
        )
    undefined = table["r_hat"].isna()
    if undefined.any():
        yield Problem(
            f"{undefined.sum()} quantities never moved or are not finite, for example "
            f"{table.index[undefined][0]}.",
            "The chains are stuck: look at fit.plot_trace(), and at priors and data of that part.",
        )
    limit = r_hat_limit(len(table), superchains or 2 * max(chains, 2))
    if figures["r_hat"] > limit:
        high = table["r_hat"][table["r_hat"] > limit]
        name = "Nested R-hat" if superchains else "R-hat"
        yield Problem(
            f"{name} is above {limit} for {len(high)} of {len(table)} quantities, up to "
            f"{figures['r_hat']:.3f}: {_worst(high, ascending=False)}.",
            f"The chains do not agree yet. Run longer (warmup and draws doubled, from {draws} "
            f"draws); if that does not help, look at fit.plot_trace() for chains in different "
            f"places, and give the parameters named here tighter priors.",
        )
    if draws < LEAST_DRAWS:
        yield Problem(
            f"Chains of {draws} draws are too short for effective sample sizes.",
            f"Run at least {LEAST_DRAWS} draws, better many more: draws=100.",
        )
    least = ESS_PER_CHAIN * (superchains or chains)
    for column, what in (("ess_bulk", "means and medians"), ("ess_tail", "interval ends")):
        if figures[column] < least:
            low = table[column][table[column] < least]
            yield Problem(
                f"{column} is below {least} for {len(low)} of {len(table)} quantities, down to "
                f"{figures[column]:.0f}: {_worst(low, ascending=True)}.",
                f"Their {what} are not precise. Run more draws: about "
                f"draws={_round_up(draws * least / max(figures[column], 1.0))}.",
            )
    yield from _divergences(figures, chains * draws, attrs)
    if np.isnan(figures.get("pareto_k", 0.0)):
        yield Problem(
            "There are too few draws to tell how far the approximation is off.",
            "Run at least 25, better many more: draws=1000.",
        )
    if figures.get("pareto_k", 0.0) > PARETO_K_LIMIT:
        yield Problem(
            f"The approximation is off: Pareto k of its importance weights is "
            f"{figures['pareto_k']:.2f}, above {PARETO_K_LIMIT}.",
            "Compare with a fit without approximate=, which is exact: the difference may matter or "
            "not, but importance weights cannot tell.",
        )
    if figures["e_bfmi"] < E_BFMI_LIMIT:
        size, worst = chains // len(energy), int(np.argmin(energy))
        first, last = worst * size, worst * size + size - 1
        where = f"chain {first}" if size == 1 else f"chains {first} to {last}"
        yield Problem(
            f"E-BFMI is {figures['e_bfmi']:.2f} in {where}, below {E_BFMI_LIMIT}.",
            "Momentum draws do not carry the chain through all energies: heavy tails or a funnel. "
            "Use priors with lighter tails, or the other form of the group effects (noncentered=).",
        )


def _divergences(
    figures: dict[str, float], transitions: int, attrs: Mapping[Any, Any]
) -> Iterator[Problem]:
    """Divergences at finite densities, and at others."""
    nonfinite = int(attrs.get("nonfinite_draws", 0))
    finite = int(figures["divergences"]) - nonfinite
    if finite > 0:
        yield Problem(
            f"{figures['divergences']:.0f} of {transitions} draws diverged"
            + (f", {finite} of them where the density is finite." if nonfinite else "."),
            "The sampler could not follow a sharply curved part of the posterior, and the draws "
            f"may miss it. {_next_step(float(attrs.get('target_accept', 0.8)))}",
        )
    if nonfinite:
        first = attrs.get("nonfinite_first")
        yield Problem(
            f"In {nonfinite:,} of {transitions:,} transitions the density was not finite."
            + (f" The first time: {first.replace('The ', 'the ', 1)}" if first else ""),
            "Those were rejected, and count as divergent: the draws miss what is there and behind. "
            "If it is impossible, keep the sampler away with a tighter prior, or a bijector; if it "
            "is possible, write the density in a form that is finite there.",
        )


def _next_step(target: float) -> str:
    """What to try against divergences, given the target_accept they came with."""
    higher = next((t for t in (0.95, 0.99) if t > target), None)
    if higher:
        return f"Raise target_accept from {target:g} to {higher:g}."
    return (
        "target_accept is high already: use the other form of the group effects (noncentered=), "
        "tighter priors for the standard deviations of groups with few levels, or leave out a "
        "group that has one row per level when sigma is to be estimated too."
    )


def _round_up(draws: float) -> int:
    """Up to the next 500."""
    return int(np.ceil(draws / 500) * 500)
