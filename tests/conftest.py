"""What all tests share.

No windows, no TensorFlow chatter, no programs kept by earlier runs, each model fitted once.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it when it is imported
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HIERMOD_CACHE", "off")


@pytest.fixture(scope="session")
def fit_cache() -> dict[str, Any]:
    """Fits shared by the whole test run.

    Use it as ``if name not in fit_cache: fit_cache[name] = hm.fit(...)``; a fit is never changed.
    """
    return {}


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """Close every figure that a test has left open."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
