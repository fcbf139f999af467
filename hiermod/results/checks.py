"""What is wrong with a fit, and what to do about it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

R_HAT_LIMIT = 1.01
"""Vehtari et al. (2021), section 4."""

ESS_PER_CHAIN = 100
"""Bulk and tail; Vehtari et al. (2021), section 4."""

E_BFMI_LIMIT = 0.3
"""Stan's limit; Betancourt (2016), "Diagnosing suboptimal cotangent disintegrations"."""


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
        (smallest of the chains).
    draws, chains : int
    """

    problems: tuple[Problem, ...]
    figures: dict[str, float]
    draws: int
    chains: int

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """The figures in a line."""
        f = self.figures
        return (
            f"worst R-hat {f['r_hat']:.3f}, smallest ESS {f['ess_bulk']:,.0f} (bulk) and "
            f"{f['ess_tail']:,.0f} (tail), {f['divergences']:.0f} divergences, "
            f"E-BFMI {f['e_bfmi']:.2f}"
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
    """R-hat and effective sample sizes of every scalar, as ArviZ computes them.

    Parameters
    ----------
    posterior : Dataset

    Returns
    -------
    DataFrame
        Indexed by names such as ``1|tank[3]``; columns ``r_hat`` (rank-normalised, split),
        ``ess_bulk``, ``ess_tail``.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # of chains that never moved
        return pd.DataFrame(
            {
                "r_hat": flatten(az.rhat(_halved(posterior), method="rank")),
                "ess_bulk": flatten(az.ess(posterior, method="bulk")),
                "ess_tail": flatten(az.ess(posterior, method="tail", prob=(0.05, 0.95))),
            }
        )


def _halved(posterior: xr.Dataset) -> xr.Dataset:
    """A single chain as two, its halves, for R-hat compares chains; several as they are."""
    if posterior.sizes["chain"] > 1:
        return posterior
    half = posterior.sizes["draw"] // 2
    parts = [
        posterior.isel(draw=slice(i * half, (i + 1) * half)).assign_coords(
            chain=[i], draw=np.arange(half)
        )
        for i in (0, 1)
    ]
    return xr.concat(parts, "chain")


def flatten(data: xr.Dataset) -> pd.Series:
    """A Series of all elements of all variables, labelled ``name[label, label]``."""
    data = (
        data.to_dataset()
        if hasattr(data, "to_dataset") and not isinstance(data, xr.Dataset)
        else data
    )
    labels: list[str] = []
    values: list[np.ndarray[Any, Any]] = []
    for name, variable in data.data_vars.items():
        index = (
            pd.MultiIndex.from_product([variable[d].to_numpy() for d in variable.dims])
            if variable.dims
            else None
        )
        labels += (
            [str(name)] if index is None else [f"{name}[{', '.join(map(str, k))}]" for k in index]
        )
        values.append(variable.to_numpy().ravel())
    return pd.Series(np.concatenate(values), index=labels)


def e_bfmi(sample_stats: xr.Dataset) -> np.ndarray[Any, Any]:
    """Energy Bayesian fraction of missing information of every chain (Betancourt 2016)."""
    energy = sample_stats["energy"].to_numpy()
    return np.asarray(np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1, ddof=1))


def check(posterior: xr.Dataset, sample_stats: xr.Dataset) -> Check:
    """Check a fit.

    Parameters
    ----------
    posterior, sample_stats : Dataset

    Returns
    -------
    Check
        Variables without variation, such as the diagonal of a correlation, are left out.
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
    target = float(posterior.attrs.get("target_accept", 0.8))
    problems = tuple(_problems(table, figures, energy, chains, draws, target))
    return Check(problems, figures, draws, chains)


def varying(posterior: xr.Dataset) -> xr.Dataset:
    """A posterior without what cannot vary: of a correlation matrix, the triangle below 1s."""
    out = {}
    for name, variable in posterior.data_vars.items():
        if str(variable.dims[-1]).endswith("__effect_dim_bis"):
            first, second = variable.dims[-2:]
            rows, columns = np.tril_indices(variable.sizes[first], -1)
            labels = [
                f"{variable[first].to_numpy()[r]}, {variable[second].to_numpy()[c]}"
                for r, c in zip(columns, rows, strict=True)
            ]
            pair = f"{name}_pair"
            values = variable.to_numpy()[..., rows, columns]
            variable = xr.DataArray(
                values, dims=("chain", "draw", pair), coords={pair: labels}, name=name
            )
        out[name] = variable
    return xr.Dataset(out)


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
    target: float,
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
    if figures["r_hat"] > R_HAT_LIMIT:
        high = table["r_hat"][table["r_hat"] > R_HAT_LIMIT]
        yield Problem(
            f"R-hat is above {R_HAT_LIMIT} for {len(high)} of {len(table)} quantities, up to "
            f"{figures['r_hat']:.3f}: {_worst(high, ascending=False)}.",
            f"The chains do not agree yet. Run longer (warmup and draws doubled, from {draws} "
            f"draws); if that does not help, look at fit.plot_trace() for chains in different "
            f"places, and give the parameters named here tighter priors.",
        )
    least = ESS_PER_CHAIN * chains
    for column, what in (("ess_bulk", "means and medians"), ("ess_tail", "interval ends")):
        if figures[column] < least:
            low = table[column][table[column] < least]
            yield Problem(
                f"{column} is below {least} for {len(low)} of {len(table)} quantities, down to "
                f"{figures[column]:.0f}: {_worst(low, ascending=True)}.",
                f"Their {what} are not precise. Run more draws: about "
                f"draws={_round_up(draws * least / max(figures[column], 1.0))}.",
            )
    if figures["divergences"]:
        yield Problem(
            f"{figures['divergences']:.0f} of {chains * draws} draws diverged.",
            "The sampler could not follow a sharply curved part of the posterior, and the draws "
            f"may miss it. {_next_step(target)}",
        )
    if figures["e_bfmi"] < E_BFMI_LIMIT:
        chain = int(np.argmin(energy))
        yield Problem(
            f"E-BFMI is {figures['e_bfmi']:.2f} in chain {chain}, below {E_BFMI_LIMIT}.",
            "Momentum draws do not carry the chain through all energies: heavy tails or a funnel. "
            "Use priors with lighter tails, or the other form of the group effects (noncentered=).",
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
