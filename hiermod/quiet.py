"""TensorFlow's notices at start-up, held back.

Importing TensorFlow writes several lines to standard error from C++ (CPU features, CUDA drivers
that are not there) before its own log level takes effect, and one more when it first looks for
devices. They alarm readers of a notebook and say nothing about their model.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

NOTICE = re.compile(
    rb"absl::InitializeLog|oneDNN|cpu_feature_guard|rebuild TensorFlow|cudart_stub|cuda_platform"
    rb"|cuda_executor|Unable to register cu|computation_placer"
)


@contextmanager
def without_notices() -> Iterator[None]:
    """Hold back start-up notices; everything else that is written meanwhile follows afterwards."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError, ValueError):  # no standard error to hold back
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not NOTICE.search(line):
                    os.write(2, line)
