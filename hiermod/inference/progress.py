"""Progress of a run, for people to watch."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from tqdm import TqdmWarning

with warnings.catch_warnings():
    # In a notebook without ipywidgets tqdm draws its bar in text, and need not say so.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes
    ----------
    phase : str
        ``"warmup"`` or ``"draws"``.
    chains : int
    done, total : int
        Transitions of each chain, warm-up included.
    divergences : int
        Divergent draws so far, all chains, warm-up not counted.
    step_size : float
    draws_per_second : float
        Transitions of all chains, warm-up and compilation included.
    r_hat : float
        Largest split R-hat of the unconstrained dimensions so far, or with `wanted` the one that
        is to become small enough; NaN before there is one.
    warmup : int
        Transitions of each chain in warm-up.
    ess : float
        With `wanted`, the least ESS when it was last worked out; NaN before.
    wanted : pair of float, optional
        The ESS and the R-hat at which the draws end.
    """

    phase: str
    chains: int
    done: int
    total: int
    divergences: int
    step_size: float
    draws_per_second: float
    r_hat: float
    warmup: int
    ess: float = math.nan
    wanted: tuple[float, float] | None = None


Report = Callable[[Progress], None]


COUNTED = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]{postfix}"
SHARES = "{desc} {percentage:3.0f}%|{bar}| [{elapsed}]{postfix}"


class Bar:
    """A tqdm bar that takes `Progress`; a context manager.

    It fills with transitions; where the draws end at an ESS, first with warm-up and then with ESS.

    Parameters
    ----------
    total : int
        Transitions of each chain, warm-up included.
    show : bool
        False gives a bar that prints nothing.
    """

    def __init__(self, total: int, show: bool) -> None:
        self._total = total
        self._bar = tqdm(
            total=total,
            disable=not show,
            # A file or a log gets a line now and then, not every redraw.
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
            miniters=0,  # redrawn by time alone: what it fills with may stand still
            unit="draw",
            dynamic_ncols=True,
            bar_format=COUNTED,
        )

    def __enter__(self) -> Bar:
        return self

    def __call__(self, progress: Progress) -> None:
        """Show `progress`."""
        p = progress
        done: float = p.done
        title = f"{p.chains} chains, {p.phase}"
        worst = f", R-hat up to {p.r_hat:.2f}" if p.r_hat > 0 else ""
        if p.wanted:
            self._bar.bar_format = SHARES
            share = p.done / p.warmup
            if p.phase == "draws":
                ess, (least, limit) = np.nan_to_num(p.ess), p.wanted
                share = min(ess / least, 1.0)
                title += f" {p.done - p.warmup:,}, ESS {ess:,.0f} of {least:,.0f}"
                worst = f", R-hat {p.r_hat:.3f} (to be below {limit:g})" if p.r_hat > 0 else ""
            done = share * self._total
        self._bar.set_description_str(title, refresh=False)
        self._bar.set_postfix_str(
            f"{p.draws_per_second:,.0f} draws/s, divergences {p.divergences}, "
            f"step size {p.step_size:.3g}{worst}",
            refresh=False,
        )
        self._bar.update(done - self._bar.n)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
