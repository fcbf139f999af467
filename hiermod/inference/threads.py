"""Threads for work that lets go of Python's lock: compiled programs, sorts, Fourier transforms."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache


@cache
def workers() -> ThreadPoolExecutor:
    """As many threads as there are cores; what they run must not ask for one itself."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="hiermod")
