import copy
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import hiermod as hm
from hiermod.models.families import FAMILIES

FOLDER = Path(__file__).parents[2] / "benchmarks"


def module(name, known="benchmarks_{}"):
    spec = importlib.util.spec_from_file_location(known.format(name), FOLDER / f"{name}.py")
    found = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


# As those that import them call them.
models, simulated = module("models", "{}"), module("simulated", "{}")
render, bench = module("render"), module("run")
calibration, coverage, families = map(module, ("calibration", "coverage", "families"))


def run(first, second, ess):
    figures = {"import": 1.0, "import_mb": 300.0, "peak_mb": 400.0}
    for call, seconds in (("first", first), ("second", second)):
        figures |= {call: seconds, f"{call}_ess": ess, f"{call}_r_hat": 1.004}
        figures |= {f"{call}_divergences": 0}
    return figures | {"kept_first": first / 2}


ENTRY = {
    "formula": "y ~ 1 + (1 | g)",
    "family": "gaussian",
    "rows": 1000,
    "warmup": 500,
    "draws": 1000,
    "limit": 900.0,
    "date": "2020-01-01",
    "versions": {"hiermod": "0.1.0"},
    "packages": {
        "hiermod": [run(3.0, 0.5, 1000.0), run(4.0, 1.0, 1000.0)],
        "nimble": [run(9.0, 5.0, 1000.0), run(4.0, 5.0, 1000.0)],
        "slow": [{"import": 2.0, "import_mb": 300.0, "over": 900.0}],
        "broken": [{"failed": "MemoryError: 75 GiB"}],
    },
}
MACHINE = {"cpu": "a CPU", "cpus": 2, "memory_gb": 8.0, "system": "Linux", "python": "3.11"}


def table(page, heading):
    """Rows of the first table under a heading, as lists of cells."""
    rows = page.split(heading)[1].split("---|\n")[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_page_of_results():
    page = render.page({"latest": {"machine": MACHINE, "models": {"invented": ENTRY}}})
    assert table(page, "## Ratios") == [
        # Paired within a repeat: 10 and 5 times as fast, 3 times and as soon.
        [
            "invented",
            "nimble",
            "7.50 (5.00–10.0)",
            "2.00 (1.00–3.00)",
            "1.75 (1.00–2.50)",
            "2.00 (1.00–3.00)",
        ],
        ["invented", "slow", "–", "> 299", "> 225", "–"],
        ["invented", "broken", "–", "–", "–", "–"],
    ]
    ours, _, slow, broken = table(page, "### invented")
    assert ours[2:6] == ["3.50 (3.00–4.00)", "1.75 (1.50–2.00)", "0.75 (0.50–1.00)", "1,000"]
    assert slow[2:5] == ["> 900", "–", "> 900"]
    assert broken[2:5] == ["failed", "–", "failed"]
    assert "broken failed: `MemoryError: 75 GiB`" in page


def test_why_a_package_failed():
    assert bench.reason(1, "Traceback\n  ...\nMemoryError: no `x`\n") == "MemoryError: no 'x'"
    assert bench.reason(-9, "a warning\n") == "SIGKILL"
    assert bench.reason(2, "") == "exit 2"


def test_shortcuts_have_a_table_of_their_own():
    latest = {"machine": MACHINE, "models": {"invented": copy.deepcopy(ENTRY)}}
    without = render.page({"latest": latest})
    assert "## With the exact shortcuts" not in without
    packages = latest["models"]["invented"]["packages"]
    packages["hiermod-shortcuts"] = [run(3.0, 0.25, 1000.0), run(4.0, 0.5, 1000.0)]
    packages["pymc-nutpie"] = packages.pop("nimble")
    alone = {"packages": {"hiermod-shortcuts": [run(3.0, 2.0, 1000.0)]}}
    latest["models"] |= {"alone": ENTRY | alone, "none": ENTRY}
    page = render.page({"latest": latest})
    assert "bambi" not in page.split("## With the exact shortcuts")[1].split("## Absolute")[0]
    assert table(page, "## With the exact shortcuts") == [
        ["invented", "1,000", "0.38 (0.25–0.50)", "3,000 (2,000–4,000)", "15.0 (10.0–20.0)"],
        ["alone", "1,000", "2.00", "500", ""],
    ]
    peers = [row[:3] for row in table(page, "## Ratios") if row[0] != "none"]
    assert ["invented", "pymc-nutpie", "7.50 (5.00–10.0)"] in peers
    assert {row[1] for row in peers} == {"pymc-nutpie", "slow", "broken"}


def test_reading_of_the_figure_of_rows():
    rows = [
        {"family": family, "shortcuts": shortcuts, "rows": n, "seconds": seconds}
        for family in ("gaussian", "bernoulli")
        for shortcuts in (False, True)
        for n, seconds in (
            (1000, 4.12e-5),
            (10_000, 3e-4),
            (1_000_000, 3e-5 if shortcuts else 0.03),
        )
    ]
    page = render.page({"shortcuts": rows})
    assert "images/shortcuts.png" in page
    assert "From 1,000 to 1,000,000 rows" in page
    assert page.count("from 0.041 to 30 ms") == page.count("from 0.041 to 0.03 ms") == 2


def test_pages_of_seeds_and_gradients():
    seed = {"seed": 1, "r_hat": 1.004, "ess": 900.0, "divergences": 0, "n_steps": 7, "seconds": 2}
    runs = [seed, seed | {"r_hat": 1.02, "ess": 300.0, "divergences": 3}]
    page = render.page({"seeds": {"models": {"invented": {"runs": runs}}}})
    assert table(page, "## Many seeds")[0][1:5] == ["1 of 2 seeds", "3", "300", "600"]
    rows = [{"chains": 4, "implementation": "C", "seconds": 0.0123, "ratio": 0.5}]
    page = render.page({"gradient": rows})
    assert table(page, "## One gradient") == [["4", "C", "12.3", "0.50", ""]]
    rows = [{"family": "gamma", "rows": 9, "hiermod": 3e-5, "by_hand": 2e-5, "ratio": 1.5}]
    page = render.page({"families": rows})
    assert table(page, "## One gradient of every family") == [["gamma", "30.0", "20.0", "1.50"]]
    row = {"family": "gaussian", "rows": 5, "seeds": 3, "second": 0.5, "first": 2.0}
    rows = [
        row | {"form": form, "ess": ess, "divergences": n}
        for form, ess, n in (("conditioned", 900, 0), ("non-centred", 450, 1), ("centred", 90, 12))
    ]
    page = render.page({"centring": rows})
    found = ["gaussian", "5", "1,800", "900", "180", "0", "1", "12", "2.00", "2.00", "2.00"]
    assert table(page, "## Conditioned effects") == [found]
    run = {"ess_bulk": 900.0, "gradients": 3000.0, "r_hat": 1.004, "divergences": 0.0}
    runs = [run, run | {"r_hat": 1.02, "divergences": 2.0}, run]
    page = render.page({"samplers": {"invented": {"hiermod": runs}, "other": {"NUTS": [run]}}})
    assert table(page, "## Samplers") == [
        ["hiermod", "300 (2 of 3, 2 div.)", "–"],
        ["NUTS", "–", "300 (1 of 1, 0 div.)"],
    ]


def test_a_page_without_results_says_so():
    assert "no stored results" in render.page({})


def test_a_fit_that_was_not_reached_is_over_the_limit():
    entry = copy.deepcopy(ENTRY)
    first_only = {k: v for k, v in run(9.0, 5.0, 1000.0).items() if not k.startswith("second")}
    entry["packages"]["nimble"] = [first_only | {"over": 900.0}]
    page = render.page({"latest": {"machine": MACHINE, "models": {"invented": entry}}})
    assert table(page, "### invented")[1][2:5] == ["9.00", "4.50", "> 900"]
    assert table(page, "## Ratios")[0][2:4] == ["–", "3.00"]


@pytest.mark.parametrize("name", [n for n in models.MODELS if "million" not in n])
def test_models_by_hand_have_the_priors_of_hiermod(name):
    """The numbers that the peers are given are those that hiermod prints."""
    model = models.MODELS[name]
    priors = hm.model(model.data(), model.formula, family=model.family, **model.options).priors
    shown = {n: p for n, p in priors["prior"].items() if not n.endswith("_cor")}
    assert set(priors["prior"]) - set(shown.values()) <= {"lkj(2)"}
    given = {
        n: f"{'normal' if len(numbers) == 2 else 'exponential'}({', '.join(map(str, numbers))})"
        for n, numbers in model.priors.items()
    }
    assert given == shown


@pytest.mark.density
@pytest.mark.parametrize("name", FAMILIES)
def test_log_densities_by_hand_are_those_of_hiermod(name):
    hiermod, *point = families.simulated(name, 200)
    families.agree(hiermod, families.BY_HAND[name], *point)
    with pytest.raises(AssertionError):
        families.agree(lambda d, e, p: hiermod(d, e + 1e-6, p), families.BY_HAND[name], *point)


def test_a_family_needs_settings(monkeypatch):
    new = replace(FAMILIES["student"], name="new")
    monkeypatch.setitem(FAMILIES, "new", new)
    with pytest.raises(KeyError, match=r"'new' has no settings: .* \(sigma, nu\)"):
        simulated.cases()
    with pytest.raises(KeyError, match=r"add to benchmarks/families\.py a function of that name"):
        families.simulated("new", 10)
    other = replace(new, name="gaussian", parameters={"tau": new.parameters["nu"]})
    monkeypatch.setitem(FAMILIES, "gaussian", other)
    with pytest.raises(KeyError, match="VALUES of tau"):
        families.simulated("gaussian", 10)


def test_coverage_of_a_case(tmp_path, monkeypatch, capsys):
    case = simulated.cases()["gaussian"]
    found = coverage.covered(case, 2, rows=40, groups=4, draws=50)
    assert set(found["parameters"]) == {"Intercept", "x", "sigma", "1|g_sigma"}
    assert all(sum(counts.values()) == 2 for counts in found["parameters"].values())
    assert (
        coverage.covered(case, 2, rows=40, groups=4, draws=50)["parameters"] == found["parameters"]
    )
    found["parameters"] = {"x": {"covered": 45, "below": 5}, "sigma": {"above": 10, "covered": 40}}
    path = tmp_path / "coverage.json"
    coverage.store(path, {"gaussian": found})
    arguments = ["coverage", "--resume", "--cases", "gaussian", "--output", str(path)]
    monkeypatch.setattr(sys, "argv", arguments)
    coverage.main()
    shown = capsys.readouterr().out
    assert "45 of    50  0.900  p = 1.000" in shown
    assert "40 of    50  0.800  p = 0.030" in shown
    assert "85 of   100  0.850  p = 0.096" in shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acat", ["x", "threshold[1]", "threshold[2]", "threshold[3]", "1|g_sigma"]),
        ("correlated effects", ["sigma", "1|g_sigma", "x|g_sigma", "g_cor[1, x]"]),
        ("dirichlet_multinomial", ["muy2_x", "muy3_1|g_sigma", "phi"]),
        ("a monotonic effect", ["mo(level)[b]", "mo(level)_simplex[e]"]),
        ("a horseshoe", ["z6", "common_global", "common_local[z1]"]),
        ("a smooth", ["s(x)_linear", "s(x)_sigma", "s(x)[7]"]),
    ],
)
def test_every_number_has_a_true_value(name, expected):
    case = simulated.cases()[name]
    found = [s for s in simulated.simulations(case, 5, simulated.predictors(60, 4)) if s]
    names = list(found[0].truth.index)
    assert set(expected) <= set(names)
    assert not [n for n in names if "|g[" in n or n == "disc"]
    assert not (found[0].truth == found[1].truth).any()
