"""The page of results, `docs/benchmarks.md`, from `benchmarks/results/*.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
RESULTS = HERE / "results"

Run = dict[str, Any]
OURS = ("hiermod", "hiermod-shortcuts")

HOW = """\
# Benchmarks

One command measures hiermod beside other packages on the machine it runs on:

```bash
make bench                          # everything: hours
make bench BENCH="--models radon"   # one model; the results of the others stay
make bench-seeds                    # hiermod without shortcuts, twenty seeds of every model
make bench-gradient                 # one gradient beside NumPy and C
make bench-families                 # one gradient of every family beside its density by hand
make bench-shortcuts                # one gradient against the number of rows
make bench-centring                 # conditioned effects beside centred and non-centred ones
make bench-samplers                 # hiermod's HMC beside other metrics and samplers
make bench-docs                     # this page, from the stored results
```

## What is measured

Every measurement is a fresh process, and the packages take turns within every repeat, so that a
slow minute of the machine meets all of them. A process imports the package and fits the model
twice, with two seeds: four chains on two cores, each fit timed from the data frame to a posterior
whose R-hat and effective sample sizes (ESS) have been computed, for the peers by ArviZ. The first
fit includes all compiling; the second may use again what the package keeps in memory. Then another
process fits once: it finds what the first one has left on disk, as hiermod (compiled programs) and
PyTensor (compiled functions of Numba) do by themselves. Stated are the smallest bulk ESS and the
worst R-hat of all that hiermod reports: coefficients, standard deviations, correlations and the
effects of every level.

| package | what it is | what a second fit uses again |
|---|---|---|
| hiermod | `hiermod.fit` with `shortcuts=False`, and `.check()` | the compiled program |
| hiermod-shortcuts | the same with its exact shortcuts, as by default | the compiled program |
| bambi-nutpie, bambi-pymc, bambi-numpyro | Bambi with three samplers | the built model |
| pymc-nutpie | PyMC by hand, sampled by nutpie | the compiled model |
| numpyro | NumPyro by hand, float64, four chains in one batch | the compiled sampler |
| numpyro-parallel | the same, each chain on a device of its own | the compiled sampler |

All have the same data, row by row, and the same priors. The models by hand are the very model of
hiermod in non-centred form, correlations included; hiermod conditions group effects on the
data. Bambi's effects of a level are independent of
each other, so where hiermod's are correlated (bangladesh, chimpanzees, sleepstudy, UCBadmit) it
fits a simpler model. A measurement that exceeds
its limit of time is ended and not repeated. Without shortcuts hiermod computes binomial
coefficients, which depend on the data alone, beforehand. Memory is the peak of the main process;
what importing alone takes is in parentheses. Once in the first fits of a process Python's garbage
collector goes through all that TensorFlow has imported, which takes a quarter of a second here:
where that comes in the second fit it may be half of its time.
"""


def number(value: float) -> str:
    """Three significant digits, but no decimals from 100 on."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: Sequence[float], form: Callable[[float], str] = number) -> str:
    """Median, and the range where there are several."""
    if not values:
        return "–"
    middle = form(median(values))
    if len(values) == 1 or form(min(values)) == form(max(values)):
        return middle
    return f"{middle} ({form(min(values))}–{form(max(values))})"


def of(runs: Sequence[Run], value: Callable[[Run], float]) -> list[float]:
    """A figure of the runs that have it."""
    out = []
    for run in runs:
        try:
            out.append(value(run))
        except KeyError:
            continue
    return out


def speed(run: Run) -> float:
    """Effective draws per second of the second fit."""
    return run["second_ess"] / run["second"]


def cold_speed(run: Run) -> float:
    """Effective draws per second of the first fit."""
    return run["first_ess"] / run["first"]


def seconds(runs: Sequence[Run], call: str) -> str:
    """The times of a fit; or how it ended."""
    found = of(runs, lambda run: run[call])
    if found:
        return spread(found)
    if any("failed" in run for run in runs):
        return "failed"
    return f"> {number(max(of(runs, lambda run: run['over'])))}" if runs else "–"


def failures(packages: dict[str, list[Run]]) -> list[str]:
    """Why packages failed, a paragraph each."""
    why = {p: run["failed"] for p, runs in packages.items() for run in runs if "failed" in run}
    return [line for p, reason in why.items() for line in (f"{p} failed: `{reason}`", "")]


def absolute(packages: dict[str, list[Run]]) -> list[str]:
    """Rows of the table of absolute figures."""
    rows = []
    for package, runs in packages.items():
        hats = of(runs, lambda run: max(run["first_r_hat"], run.get("second_r_hat", 0)))
        divergences = of(
            runs, lambda run: run["first_divergences"] + run.get("second_divergences", 0)
        )
        memory = spread(of(runs, lambda run: run["peak_mb"]))
        imported = of(runs, lambda run: run["import_mb"])
        cells = [
            package,
            spread(of(runs, lambda run: run["import"])),
            seconds(runs, "first"),
            spread(of(runs, lambda run: run["kept_first"])),
            seconds(runs, "second"),
            spread(of(runs, lambda run: run["second_ess"])),
            spread(of(runs, cold_speed)),
            spread(of(runs, speed)),
            f"{max(hats):.3f}" if hats else "–",
            f"{sum(divergences):.0f}" if divergences else "–",
            f"{memory} ({number(median(imported))})" if imported and memory != "–" else "–",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def paired(
    ours: Sequence[Run], theirs: Sequence[Run], ratio: Callable[[Run, Run], float]
) -> list[float]:
    """A ratio in every repeat that both have."""
    out = []
    for us, them in zip(ours, theirs, strict=False):
        try:
            out.append(ratio(us, them))
        except KeyError:
            continue
    return out


def ratios(model: str, packages: dict[str, list[Run]]) -> list[str]:
    """Rows of the table of ratios of hiermod to every peer; above one hiermod is better."""
    ours, rows = packages.get("hiermod", []), []
    for peer, theirs in packages.items():
        if peer in OURS:
            continue
        first = paired(ours, theirs, lambda us, them: them["first"] / us["first"])
        total = paired(
            ours,
            theirs,
            lambda us, them: (them["import"] + them["first"]) / (us["import"] + us["first"]),
        )
        cells = [model, peer]
        cells.append(spread(paired(ours, theirs, lambda us, them: speed(us) / speed(them))))
        if first:
            kept = paired(ours, theirs, lambda us, them: them["kept_first"] / us["kept_first"])
            cells += [spread(first), spread(total), spread(kept)]
        else:  # stopped in its first fit: the ratio is larger than that of the limit
            bounds = paired(
                ours,
                theirs,
                lambda us, them: (them["over"] - them["import"]) / us["first"],
            )
            whole = paired(
                ours, theirs, lambda us, them: them["over"] / (us["import"] + us["first"])
            )
            cells += [f"> {number(min(b))}" if b else "–" for b in (bounds, whole)] + ["–"]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def shortcuts(models: dict[str, Any]) -> list[str]:
    """The table of hiermod with its exact shortcuts, of the models that have such runs."""
    stored = {n: e for n, e in models.items() if e["packages"].get("hiermod-shortcuts")}
    if not stored:
        return []
    peers = [
        peer
        for peer in ("bambi-nutpie", "pymc-nutpie")
        if any(e["packages"].get(peer) for e in stored.values())
    ]
    heads = ["model", "rows", "second fit s", "ESS/s", *(f"ESS/s over {p}" for p in peers)]
    lines = [
        "",
        "## With the exact shortcuts",
        "",
        "What `hiermod.fit` does by default: rows with equal predictors are summed up; effects and",
        "coefficients of gaussian models are integrated out, and drawn afterwards. The posterior",
        "is the same, and the peers have the same rows, one by one. The ESS is again the smallest",
        "of all that is reported, or where draws of effects are too many to keep, of the rest.",
        "",
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
    ]
    for name, entry in stored.items():
        ours = entry["packages"]["hiermod-shortcuts"]
        cells = [name, f"{entry['rows']:,}", seconds(ours, "second"), spread(of(ours, speed))]
        for peer in peers:
            theirs = entry["packages"].get(peer, [])
            found = spread(paired(ours, theirs, lambda us, them: speed(us) / speed(them)))
            cells.append(found if theirs else "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def conditions(results: dict[str, Any]) -> str:
    """The machine and the versions."""
    m = results["machine"]
    found: dict[str, set[str]] = {}
    for entry in results["models"].values():
        for name, version in entry["versions"].items():
            found.setdefault(name, set()).add(version)
    dates = sorted({entry["date"] for entry in results["models"].values()})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    listed = ", ".join(f"{name} {' and '.join(sorted(v))}" for name, v in found.items())
    return (
        f"{m['cpu']}, {m['cpus']} CPUs, {m['memory_gb']:g} GB, {m['system']}, "
        f"Python {m['python']}; {listed}; {when}."
    )


def suite(results: dict[str, Any]) -> str:
    """The tables of the suite."""
    lines = ["## Ratios", "", "Measured on: " + conditions(results), ""]
    lines += [
        "How many times as many effective draws per second hiermod gives in a second fit, and how",
        "many times sooner its first checked posterior is there: in the first process of all,",
        "without and with the import, and in one that finds programs on disk. Shortcuts are off.",
        "Medians over repeats of the ratio within a repeat, and their range. Above one hiermod is",
        "ahead.",
        "",
        "| model | peer | ESS/s, second fit | first fit | import and first fit "
        "| first fit, programs on disk |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in results["models"].items():
        lines += ratios(name, entry["packages"])
    lines += shortcuts(results["models"])
    lines += ["", "## Absolute figures", "", "Medians over repeats, and their range.", ""]
    every = [run for e in results["models"].values() for run in e["packages"].get("hiermod", [])]
    if own := of(every, lambda run: run["import_own"]):
        lines += [f"Beside TensorFlow, TFP and ArviZ, importing hiermod takes {spread(own)} s.", ""]
    for name, entry in results["models"].items():
        repeats = max((len(runs) for runs in entry["packages"].values()), default=0)
        lines += [
            f"### {name}",
            "",
            f"`{entry['formula']}`, {entry['family']}, {entry['rows']:,} rows; "
            f"{entry['warmup']} + {entry['draws']} draws of each chain, repeated {repeats} times, "
            f"limit {entry['limit']:g} s.",
            "",
            "| package | import s | first fit s | first fit, programs on disk s | second fit s "
            "| smallest ESS | ESS/s, first | ESS/s, second | worst R-hat | divergences "
            "| memory MB |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *absolute(entry["packages"]),
            "",
            *failures(entry["packages"]),
        ]
    return "\n".join(lines)


def seeds(results: dict[str, Any]) -> str:
    """The table of `seeds.py`."""
    lines = [
        "## Many seeds",
        "",
        "hiermod without shortcuts and with default settings, by the figures of `fit.check()`: is",
        "every fit to be trusted? Some fits had other work beside them: read their seconds so.",
        "",
        "| model | R-hat below 1.01 | divergences | smallest ESS: least | median "
        "| steps a draw | median s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in results["models"].items():
        runs = entry["runs"]
        lines.append(
            f"| {name} | {sum(run['r_hat'] < 1.01 for run in runs)} of {len(runs)} seeds "
            f"| {sum(run['divergences'] for run in runs):.0f} "
            f"| {number(min(run['ess'] for run in runs))} "
            f"| {number(median(run['ess'] for run in runs))} "
            f"| {number(median(run['n_steps'] for run in runs))} "
            f"| {number(median(run['seconds'] for run in runs))} |"
        )
    return "\n".join(lines) + "\n"


def gradients(results: list[dict[str, Any]]) -> str:
    """The table of `gradient.py`."""
    lines = [
        "## One gradient of a million rows",
        "",
        "Log density and gradient of `million` with centred effects, on one core, beside the same",
        "arithmetic by hand; and with effects that are conditioned on the data, as they are",
        "sampled. Memory is what a call of the compiled program adds to the peak of the process,",
        "over the size of the data.",
        "",
        "| chains | implementation | ms | hiermod's time over it | memory over data |",
        "|---|---|---|---|---|",
    ]
    for row in results:
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        memory = f"{row['memory_over_data']:.2f}" if "memory_over_data" in row else ""
        lines.append(
            f"| {row['chains']} | {row['implementation']} | {number(1000 * row['seconds'])} "
            f"| {ratio} | {memory} |"
        )
    return "\n".join(lines) + "\n"


def families(results: list[dict[str, Any]]) -> str:
    """The table of `families.py`."""
    lines = [
        "## One gradient of every family",
        "",
        f"Log-likelihood of {results[0]['rows']:,} rows and its gradient in the linear predictor",
        "of every row and in the parameters of the family, on one core, in microseconds: what",
        "hiermod runs where no rows are summed up, beside the formula of a textbook in plain",
        "TensorFlow, which XLA compiles too and which need not work for extreme values. The",
        "shortest of many times that took turns.",
        "",
        "| family | hiermod | by hand | ratio |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['family']} | {number(1e6 * row['hiermod'])} | {number(1e6 * row['by_hand'])} "
        f"| {row['ratio']:.2f} |"
        for row in results
    ]
    return "\n".join(lines) + "\n"


def rows(results: list[dict[str, Any]]) -> str:
    """The figure of `shortcuts.py`, and what it tells at both ends."""
    sizes = [row["rows"] for row in results]
    least, most = min(sizes), max(sizes)

    def times(family: str, shortcuts: bool) -> str:
        found = {
            row["rows"]: f"{1000 * row['seconds']:.2g}"
            for row in results
            if (row["family"], row["shortcuts"]) == (family, shortcuts)
        }
        return f"from {found[least]} to {found[most]} ms"

    lines = [
        "## One gradient against the number of rows",
        "",
        "![Time of one gradient against the number of rows, with the exact shortcuts and without]"
        "(images/shortcuts.png)",
        "",
        "Log density and gradient of four chains, on one core, of models with 200 groups, a",
        "correlated intercept and slope, and a continuous (gaussian) or two binary (Bernoulli)",
        f"predictors. From {least:,} to {most:,} rows the time of a gradient goes",
        f"{times('gaussian', False)} where all of the gaussian model is sampled and",
        f"{times('gaussian', True)} where its effects and coefficients are integrated out,",
        f"{times('bernoulli', False)} with the rows of the Bernoulli model one by one and",
        f"{times('bernoulli', True)} with equal rows summed up.",
    ]
    return "\n".join(lines) + "\n"


def centring(results: list[dict[str, Any]]) -> str:
    """The table of `centring.py`."""
    found = {(row["family"], row["rows"], row["form"]): row for row in results}
    seeds = results[0]["seeds"]
    lines = [
        "## Conditioned effects beside centred and non-centred ones",
        "",
        "Models of 40 levels, `y ~ x + (1 | g)`, without shortcuts: the effects are sampled as the",
        "data say (the default), or all in the one form or the other. Effective draws a second,",
        f"checks included (smallest of all quantities; medians of {seeds} fits), divergences of",
        "all fits, and the seconds of a first fit.",
        "",
        "| family | rows a level | ESS/s: conditioned | non-centred | centred "
        "| divergences: conditioned | non-centred | centred "
        "| first fit s: conditioned | non-centred | centred |",
        "|---" * 11 + "|",
    ]
    forms = ("conditioned", "non-centred", "centred")
    for family, rows in dict.fromkeys((row["family"], row["rows"]) for row in results):
        own = [found[family, rows, form] for form in forms]
        cells = [family, f"{rows}", *(number(row["ess"] / row["second"]) for row in own)]
        cells += [f"{row['divergences']:,.0f}" for row in own]
        cells += [number(row["first"]) for row in own]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def samplers(results: dict[str, dict[str, list[Run]]]) -> str:
    """The table of `samplers.py`."""
    seeds = max(len(runs) for entry in results.values() for runs in entry.values())
    lines = [
        "## Samplers on the same densities",
        "",
        "hiermod's HMC (16 directions beside the axes of its metric), with a diagonal metric and",
        "with as many directions as dimensions (dense), and NUTS; and TFP's SNAPER and ChEES, with",
        "4 chains, a diagonal metric and twice the warm-up. All sample what hiermod samples",
        f"without shortcuts, from the same starts: {seeds} seeds, 1,000 draws. Smallest bulk ESS",
        "for 1,000 gradients of a chain and of those that it waits for (medians), seeds with every",
        "R-hat below 1.01, and divergences of all.",
        "",
        "| sampler | " + " | ".join(results) + " |",
        "|---" * (len(results) + 1) + "|",
    ]
    for sampler in dict.fromkeys(name for entry in results.values() for name in entry):
        cells = [sampler]
        for entry in results.values():
            runs = entry.get(sampler, [])
            good = sum(run["r_hat"] < 1.01 for run in runs)
            divergences = sum(run["divergences"] for run in runs)
            ess = [1000 * run["ess_bulk"] / run["gradients"] for run in runs]
            told = f"{good} of {len(runs)}, {divergences:,.0f} div."
            cells.append(f"{number(median(ess))} ({told})" if runs else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def page(parts: dict[str, Any]) -> str:
    """The page, from the stored results by the names of their files."""
    out = [HOW]
    sections: dict[str, Callable[[Any], str]]
    sections = {
        "latest": suite,
        "seeds": seeds,
        "gradient": gradients,
        "families": families,
        "shortcuts": rows,
        "centring": centring,
        "samplers": samplers,
    }
    for name, section in sections.items():
        if parts.get(name):
            out.append(section(parts[name]))
    if len(out) == 1:
        out.append("There are no stored results yet.\n")
    return "\n".join(out).rstrip() + "\n"


def main() -> None:
    """Write the page."""
    stored = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    PAGE.write_text(page(stored))


if __name__ == "__main__":
    main()
