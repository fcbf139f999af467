"""Design matrices of a million rows: time and memory above the data frame itself."""

from __future__ import annotations

import resource
import time

import numpy as np
import pandas as pd

from hiermod.formula import design

ROWS = 1_000_000


def main() -> None:
    """Build the design once and tell what it took."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {
            "y": rng.normal(size=ROWS),
            "x1": rng.normal(size=ROWS),
            "x2": rng.normal(size=ROWS),
            "g": rng.integers(0, 100_000, ROWS),
            "h": rng.integers(0, 1_000, ROWS),
        }
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    built = design("y ~ x1 + x2 + (1 + x1 | g) + (1 | h)", data)
    seconds = time.perf_counter() - start
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    levels = ", ".join(f"{g.factor} {len(g.levels):,}" for g in built.groups)
    print(f"{built.n_rows:,} rows, levels {levels}: {seconds:.2f} s, {extra:,.0f} MB more")


if __name__ == "__main__":
    main()
