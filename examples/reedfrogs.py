"""Tadpoles in 48 tanks: a first multilevel model.

Vonesh and Bolker (2005) put 10, 25 or 35 tadpoles of reed frogs in each of 48 tanks and counted
the survivors. How likely is survival in each tank? Each tank by itself says little, all tanks
together say nothing of their differences; a multilevel model learns from the tanks how alike they
are, and lets each borrow from the others as much as that warrants.

The model is m13.2 of McElreath (2020), "Statistical Rethinking", second edition, section 13.1.

    python examples/reedfrogs.py            # writes to output/
    python examples/reedfrogs.py elsewhere
"""

import sys
from pathlib import Path

import matplotlib
from scipy.special import expit

import hiermod as hm
from hiermod import plots

matplotlib.use("Agg")  # figures go to files
output = Path(sys.argv[1] if len(sys.argv) > 1 else "output")
output.mkdir(parents=True, exist_ok=True)


def save(figure, name):
    path = output / f"{name}.png"
    figure.savefig(path, dpi=150)
    print(f"  {path}")


# The data: one row for each tank, `surv` survivors of `density` tadpoles.
frogs = hm.load_data("reedfrogs").assign(tank=lambda d: d.index)

# The model, before any fit: priors with their numbers, and the equations.
model = hm.model(
    frogs,
    "prop(surv, density) ~ 1 + (1 | tank)",
    family="binomial",
    priors={"Intercept": "normal(0, 1.5)", "1|tank_sigma": "exponential(1)"},
)
print(model, model.equations(), sep="\n\n", end="\n\n")

# Four chains of 1,000 draws.
fit = model.fit(seed=1, progress=sys.stderr.isatty())

# Can the fit be trusted? The last line is the verdict; with advice if something is wrong.
print(fit, end="\n\n")
table = fit.summary()
table.to_csv(output / "summary.csv")
print(table.head(8).round(2), f"... and {len(table) - 8} rows more", sep="\n", end="\n\n")
print("Written:", f"  {output / 'summary.csv'}", sep="\n")

# The chains should look like one another, and like noise.
save(fit.plot_trace(), "trace")
save(fit.plot_trace(["1|tank[0]", "1|tank[19]", "1|tank[40]"]), "trace_tanks")
save(fit.plot_rank(), "rank")

# The posterior of every tank. What is computed from it has its names and dimensions.
survival = expit(fit.posterior["Intercept"] + fit.posterior["1|tank"])
tanks = fit.posterior.assign({"probability of survival": survival})
save(
    plots.densities(tanks, "probability of survival", split=frogs["density"], split_name="density"),
    "tanks",
)
save(fit.plot_forest(["1|tank"], order=True, zero=True).figure, "forest")

# What pooling did: estimates move towards the dashed line, most in tanks with few tadpoles.
save(fit.plot_shrinkage("tank", response=True, split="density"), "shrinkage")
save(fit.plot_shrinkage("tank", split="density"), "shrinkage_logit")

# Could this model have made these data?
save(fit.plot_ppc(seed=1).figure, "ppc")

# Everything, for ArviZ and for later.
print(f"  {fit.save(output / 'reedfrogs.nc')}")
