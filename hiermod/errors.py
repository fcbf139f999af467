"""The errors that hiermod raises for mistakes a user can mend.

Every message says what is wrong, where, and what to do. All are `ValueError`s.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HiermodError(ValueError):
    """Base class: something in the call needs to change."""


class FormulaError(HiermodError):
    """The formula cannot be read, or names something that the data do not have.

    Parameters
    ----------
    message : str
        What is wrong, one sentence.
    text : str, optional
        The formula as the user wrote it.
    start, end : int, optional
        Where in `text` the problem is; carets are drawn under ``text[start:end]``.
    hint : str, optional
        What to do.
    """

    def __init__(
        self, message: str, text: str = "", start: int = -1, end: int = -1, hint: str = ""
    ) -> None:
        lines = [message]
        if text:
            lines.append(pointed(text, start, end))
        if hint:
            lines.append("  " + hint)
        super().__init__("\n".join(lines))


def pointed(text: str, start: int, end: int) -> str:
    """A text, and carets under ``text[start:end]`` unless `start` is negative."""
    carets = "\n  " + " " * start + "^" * max(1, end - start) if start >= 0 else ""
    return f"  {text}{carets}"


class DataError(HiermodError):
    """The data do not fit the model: missing, out of range, or without variation."""


class PriorError(HiermodError):
    """A prior cannot be read, names nothing in the model, or has the wrong support."""


class ModelError(HiermodError):
    """An unknown or unfitting family, link or option."""


class SamplingError(HiermodError):
    """The sampler cannot start or go on, for example at an infinite density."""


def did_you_mean(word: str, allowed: Iterable[str], label: str = "Allowed") -> str:
    """The allowed words after a label, and the nearest one first if any is near.

    Examples
    --------
    >>> did_you_mean("flor", ["floor", "county"])
    "Did you mean 'floor'? Allowed: county, floor."
    """
    words = sorted(map(str, allowed))
    lower = {w.lower(): w for w in reversed(words)}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    guess = f"Did you mean '{lower[near[0]]}'? " if near else ""
    return f"{guess}{label}: {', '.join(words)}."
