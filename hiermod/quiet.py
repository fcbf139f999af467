"""TensorFlow's notices at start-up, held back.

Importing TensorFlow writes several lines to standard error from C++ (CPU features, CUDA drivers
that are not there) before its own log level takes effect, and one more when it first looks for
devices; some more at the first compilation, and when it reads a compiled program that was kept
(`hiermod.cache`), on file formats and tuning. They alarm readers of a notebook and say nothing
about their model.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

NOTICE = re.compile(
    rb"absl::InitializeLog|oneDNN|cpu_feature_guard|rebuild TensorFlow|cudart_stub|cuda_platform"
    rb"|cuda_executor|Unable to register cu|computation_placer"
    rb"|service\.cc.*(XLA service|StreamExecutor)|dump_mlir_util|Compiled cluster using XLA"
    rb"|text_format.*XlaSerializedCacheEntry|cpu_aot_loader.*feature \+prefer-no-(scatter|gather) "
)

_holding = threading.Lock()


@contextmanager
def without_notices() -> Iterator[None]:
    """Hold back notices; everything else that is written meanwhile follows afterwards.

    Standard error belongs to the process: while one thread holds it, others do not try.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if not _holding.acquire(blocking=False):
        yield
        return
    try:
        with _standard_error_held():
            yield
    finally:
        _holding.release()


@contextmanager
def _standard_error_held() -> Iterator[None]:
    with ExitStack() as stack:
        try:
            sys.stderr.flush()
            held = stack.enter_context(tempfile.TemporaryFile())
            kept = os.dup(2)
        except (OSError, AttributeError, ValueError):  # nothing to hold back, or nowhere to hold it
            yield
            return
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
