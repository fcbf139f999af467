"""Progress of a run, for people to watch."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

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
        Largest split R-hat of the unconstrained dimensions so far; NaN before there is one.
    """

    phase: str
    chains: int
    done: int
    total: int
    divergences: int
    step_size: float
    draws_per_second: float
    r_hat: float


Report = Callable[[Progress], None]


class Bar:
    """A tqdm bar that takes `Progress`; a context manager.

    Parameters
    ----------
    total : int
        Transitions of each chain, warm-up included.
    show : bool
        False gives a bar that prints nothing.
    """

    def __init__(self, total: int, show: bool) -> None:
        self._bar = tqdm(
            total=total,
            disable=not show,
            # A file or a log gets a line now and then, not every redraw.
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
            unit="draw",
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]{postfix}",
        )

    def __enter__(self) -> Bar:
        return self

    def __call__(self, progress: Progress) -> None:
        """Show `progress`."""
        self._bar.set_description_str(f"{progress.chains} chains, {progress.phase}", refresh=False)
        worst = f", R-hat up to {progress.r_hat:.2f}" if progress.r_hat > 0 else ""
        self._bar.set_postfix_str(
            f"{progress.draws_per_second:,.0f} draws/s, divergences {progress.divergences}, "
            f"step size {progress.step_size:.3g}{worst}",
            refresh=False,
        )
        self._bar.update(progress.done - self._bar.n)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
