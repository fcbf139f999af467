"""Models and fits in words, for terminals and notebooks."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import xarray as xr

from hiermod.models.specification import GroupEffects, Specification
from hiermod.results.checks import Check
from hiermod.results.summary import summary


def _head(s: Specification) -> list[tuple[str, str]]:
    """What both a model and a fit say of themselves."""
    design = s.design
    rows = f"{design.n_rows:,} rows"
    if design.dropped:
        rows += f" ({design.dropped:,} dropped for missing values)"
    groups = ", ".join(
        f"{g.group.factor}{' of ' * bool(p.parameter)}{p.parameter} "
        f"({len(g.group.levels):,} levels{_form(g)})"
        for p in s.predictors
        for g in p.groups
    )
    smooths = ", ".join(
        f"{one.smooth.name} ({int(np.prod(one.shape))} coefficients, "
        f"{'non-centred' if one.noncentered else 'centred'})"
        for one in s.every_smooth
    )
    main = design.formula
    others = [p for p in s.others if p.design.formula is not main]  # not those it stands for
    linked = [f"{s.link.name} link", *(f"{p.parameter}: {p.link.name} link" for p in others)]
    if s.family.single:
        outcomes = design.response.columns or design.response.levels
        linked[0] += f", {outcomes[0]!r} as reference"
    return [
        ("formula", design.formula.text),
        *((p.parameter, p.design.formula.text.partition(" ")[2]) for p in others),
        ("family", ", ".join([s.family.name, *linked])),
        ("data", rows),
        *([("groups", groups)] if groups else []),
        *([("smooths", smooths)] if smooths else []),
    ]


def _form(g: GroupEffects) -> str:
    """In which form effects are sampled that are not conditioned on the data."""
    return "" if g.conditioned else f", {'non-centred' if g.noncentered else 'centred'}"


def _sampler(posterior: xr.Dataset) -> str:
    """The run, in a line."""
    a = posterior.attrs
    early = " (interrupted)" if a.get("interrupted") else ""
    return (
        f"{posterior.sizes['chain']} chains of {posterior.sizes['draw']:,} draws{early} after "
        f"{a['tuning_steps']:,} of warm-up, seed {a['seed']}, {a['sampling_time']:.1f} s"
    )


def _fit_head(s: Specification, posterior: xr.Dataset) -> list[tuple[str, str]]:
    """What a fit says of itself."""
    done = posterior.attrs.get("shortcuts")
    short = [("shortcuts", done)] if done else []
    lost = [g.group.factor for g in s.every_group if g.name(g.group.effects[0]) not in posterior]
    if lost:
        text = f"too many to keep: see idata['group_effects'] and draw_effects({lost[0]!r}, levels)"
        short.append(("draws of " + ", ".join(lost), text))
    return [*_head(s), *short, ("sampler", _sampler(posterior))]


def _table(s: Specification, posterior: xr.Dataset) -> pd.DataFrame:
    """Summary of everything but the deviations of single levels."""
    hidden = {g.name(e) for g in s.every_group for e in g.group.effects}
    hidden |= {one.smooth.name for one in s.every_smooth}
    return summary(posterior, [str(n) for n in posterior.data_vars if n not in hidden])


def _text(head: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in head)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in head)


def _html(head: list[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(n)}</th>"
        f"<td style='text-align:left'>{escape(v)}</td></tr>"
        for n, v in head
    )
    return f"<table>{cells}</table>"


def _format(table: pd.DataFrame) -> pd.DataFrame:
    """The table with as many decimals as the standard deviation of a row makes worth reading."""
    with np.errstate(divide="ignore"):
        size = np.floor(np.log10(table["sd"].to_numpy()))
    decimals = np.clip(2 - np.where(np.isfinite(size), size, 0), 0, 6).astype(int)
    out = table.astype(object)
    for column in table:
        values = table[column]
        if str(column).startswith("ess"):
            out[column] = [f"{v:,.0f}" for v in values]
        elif column == "r_hat":
            out[column] = [f"{v:.3f}" for v in values]
        else:
            extra = 1 if column == "mcse_mean" else 0
            out[column] = [f"{v:.{d + extra}f}" for v, d in zip(values, decimals, strict=True)]
    return out


def describe(s: Specification, priors: pd.DataFrame) -> str:
    """A model as text."""
    return f"hiermod model, not fitted\n{_text(_head(s))}\n\n{priors.to_string()}"


def describe_html(s: Specification, priors: pd.DataFrame) -> str:
    """A model as HTML."""
    return f"<p><strong>hiermod model</strong>, not fitted</p>{_html(_head(s))}{priors.to_html()}"


def describe_fit(s: Specification, posterior: xr.Dataset, check: Check) -> str:
    """A fit as text."""
    table = _format(_table(s, posterior)).to_string()
    return f"hiermod fit\n{_text(_fit_head(s, posterior))}\n\n{table}\n\n{check}"


def describe_fit_html(s: Specification, posterior: xr.Dataset, check: Check) -> str:
    """A fit as HTML."""
    head = _html(_fit_head(s, posterior))
    table = _format(_table(s, posterior)).to_html()
    return f"<p><strong>hiermod fit</strong></p>{head}{table}{check._repr_html_()}"
