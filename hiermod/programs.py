"""Functions compiled by XLA under names that are the same in every process.

TensorFlow finds a kept program (see `hiermod.cache`) by its text, which holds the names of its
functions, and numbers them by what the process has traced before. Under such names a program is
found again only by a process that does the same from its start.
"""

from __future__ import annotations

import itertools
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

from hiermod import cache
from hiermod.errors import SamplingError
from hiermod.quiet import without_notices

SPAN = 1_000_000
"""Numbers set aside for one program; it takes a few for each loop and function in it."""

_numbering = threading.local()
_taken: set[int] = set()
_taking = threading.Lock()
_next_number = ops.uid


def _number() -> int:
    """The next number for a name: that of the program being traced, or TensorFlow's."""
    numbers = getattr(_numbering, "numbers", None)
    return _next_number() if numbers is None else next(numbers)


ops.uid = _number


@contextmanager
def stable_names(label: str) -> Iterator[None]:
    """Number the functions that this thread traces from a start that ``label`` decides.

    Names must differ within a process, so the same label again gives the next start.
    """
    start = (1 << 32) + zlib.crc32(label.encode())
    with _taking:
        while start in _taken:
            start += 1
        _taken.add(start)
    outer = getattr(_numbering, "numbers", None)
    _numbering.numbers = itertools.count(start * SPAN)
    try:
        yield
    finally:
        _numbering.numbers = outer


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
        Its first call of a kind traces and compiles, or loads.
    """
    programs: dict[str, Callable[..., Any]] = {}

    def call(*arguments: Any) -> Any:
        kind = _kind(arguments)
        if kind in programs:
            return programs[kind](*arguments)
        programs[kind], result = _first_call(function, arguments, f"{function.__name__} {kind}")
        return result

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
        with without_notices(), stable_names(label):
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
