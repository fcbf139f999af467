"""Functions compiled by XLA under names that are the same in every process.

TensorFlow finds a kept program (see `hiermod.cache`) by its text, which holds the names of its
functions, and numbers them by what the process has traced before. Under such names a program is
found again only by a process that does the same from its start.
"""

from __future__ import annotations

import gc
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import tensorflow as tf
from tensorflow.python.eager.polymorphic_function import concrete_function
from tensorflow.python.ops import control_flow_util_v2

from hiermod import cache
from hiermod.errors import SamplingError
from hiermod.quiet import without_notices

_tracing = threading.local()
_taken: set[int] = set()
_taking = threading.Lock()


def _stable(name: Callable[..., str]) -> Callable[..., str]:
    """TensorFlow's maker of names ``stem_number``, with other numbers while a label is set."""

    @wraps(name)
    def named(*parts: str) -> str:
        made = name(*parts)
        counts = getattr(_tracing, "counts", None)
        if counts is None:
            return made
        stem = made.rpartition("_")[0]
        counts[stem] += 1
        return f"{stem}_{_tracing.start}_{counts[stem]}"

    return named


for _module, _name in (
    (concrete_function, "_inference_name"),
    (concrete_function, "_forward_name"),
    (concrete_function, "_backward_name"),
    (control_flow_util_v2, "unique_fn_name"),
    (control_flow_util_v2, "unique_grad_fn_name"),
):
    setattr(_module, _name, _stable(getattr(_module, _name)))


@contextmanager
def stable_names(label: str) -> Iterator[None]:
    """Number the functions that this thread traces from a start that ``label`` decides.

    Names must differ within a process, so the same label again gives the next start.
    """
    start = zlib.crc32(label.encode())
    with _taking:
        while start in _taken:
            start += 1
        _taken.add(start)
    outer = vars(_tracing).copy()
    _tracing.start, _tracing.counts = start, Counter()
    try:
        yield
    finally:
        vars(_tracing).clear()
        vars(_tracing).update(outer)


@contextmanager
def uncollected() -> Iterator[None]:
    """Let Python's garbage collector rest.

    Tracing makes objects by the ten thousand, all of which stay; that the collector looks through
    those, and through all that TensorFlow has imported, took a sixth of a small model's first fit.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of tensors, or find it among the kept programs; a decorator.

    Parameters
    ----------
    function : function
        Takes nested structures of tensors. As for `tf.function`, it is traced once for all calls
        with the same structure, shapes and types.

    Returns
    -------
    function
        Its first call of a kind traces and compiles, or loads; ``ready(*arguments)`` tells whether
        there was one.
    """
    programs: dict[str, Callable[..., Any]] = {}
    compiling = threading.Lock()

    def call(*arguments: Any) -> Any:
        kind = _kind(arguments)
        if kind not in programs:
            with compiling:
                if kind not in programs:
                    label = f"{function.__name__} {kind}"
                    programs[kind], result = _first_call(function, arguments, label)
                    return result
        return programs[kind](*arguments)

    call.ready = lambda *arguments: _kind(arguments) in programs  # type: ignore[attr-defined]
    return call


def _kind(arguments: Any) -> str:
    flat = tf.nest.flatten(arguments)
    return " ".join(f"{a.dtype.name}{a.shape}" for a in map(tf.convert_to_tensor, flat))


def _first_call(
    function: Callable[..., Any], arguments: Any, label: str
) -> tuple[Callable[..., Any], Any]:
    """The program and its result; a second attempt where a kept program may be at fault.

    TensorFlow raises when a kept file is damaged, and also when it cannot write one. A second
    attempt has other names, thus no file to read.
    """

    def attempt() -> tuple[Callable[..., Any], Any]:
        program = tf.function(function, jit_compile=True, autograph=False)
        with without_notices(), stable_names(label), uncollected():
            return program, program(*arguments)

    try:
        return attempt()
    except tf.errors.OpError as error:
        kept = cache.directory()
        if kept is None:
            raise
        if str(kept) in error.message:  # no room, or a file that cannot be read
            cache.clear()
    try:
        found = attempt()
    except tf.errors.OpError as error:
        if str(kept) not in error.message:
            raise
        raise SamplingError(
            f"TensorFlow cannot write the compiled program to {str(kept)!r}: {error.message}. "
            f"Make room there, or set the environment variable {cache.SETTING} to 'off' and start "
            "Python again."
        ) from error
    cache.clear()
    return found
