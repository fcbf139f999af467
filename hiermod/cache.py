"""Compiled programs, kept on disk from one Python process to the next.

TensorFlow can write the programs that XLA has compiled to a directory and read them back. It takes
the directory from an environment variable once, when it first looks for devices; so `keeping` must
surround that. A program is machine code, hence a sub-directory for each kind of machine.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SETTING = "HIERMOD_CACHE"
"""The environment variable: a directory, or one of `OFF`."""

OFF = ("", "0", "off", "false", "no")

LIMIT = 500_000_000
"""Bytes that may stay when hiermod is imported; a program takes about one million."""

ROOM = 100_000_000
"""Bytes that must be free: where a program cannot be written, TensorFlow does not run it."""

UNFINISHED = 3600.0
"""Seconds after which a file that is still being written has been abandoned."""

FLAGS, FLAG = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory"

_directory: Path | None = None


def directory() -> Path | None:
    """Where this process keeps programs; None if it does not, or if the user's flags say where."""
    return _directory


@contextmanager
def keeping(tensorflow: str) -> Iterator[None]:
    """Tell TensorFlow the directory; inside, it must look for devices for the first time.

    Nothing happens if the user has set a directory in ``TF_XLA_FLAGS``, and where TensorFlow has
    looked before, nothing can.

    Parameters
    ----------
    tensorflow : str
        Its version.

    Warns
    -----
    RuntimeWarning
        If the directory cannot be used.
    """
    global _directory
    flags = os.environ.get(FLAGS)
    # What does not begin with a dash is the name of a file of flags.
    if FLAG in (flags or "") or not (flags or "-").startswith("-"):
        yield
        return
    _directory = _prepare(tensorflow)
    if _directory is None:
        yield
        return
    quoted = str(_directory).replace("\\", "\\\\").replace('"', '\\"')
    os.environ[FLAGS] = f'{flags} {FLAG}="{quoted}"' if flags else f'{FLAG}="{quoted}"'
    try:
        yield
    finally:  # the processes that this one starts decide for themselves
        if flags is None:
            del os.environ[FLAGS]
        else:
            os.environ[FLAGS] = flags


def _prepare(tensorflow: str) -> Path | None:
    """The directory for programs of this machine, made and pruned."""
    chosen = os.environ.get(SETTING)
    if chosen is not None and chosen.strip().lower() in OFF:
        return None
    try:
        root = Path(chosen).expanduser().absolute() if chosen else default_directory()
        found = root / f"tensorflow-{tensorflow}-{machine()}"
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=found):
            pass
        prune(root, LIMIT)
        if shutil.disk_usage(found).free < ROOM:
            raise OSError(f"less than {ROOM // 1_000_000} MB are free in {str(found)!r}")
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        warnings.warn(
            f"hiermod cannot keep compiled programs: {error}. Every first fit will take some "
            f"seconds more. Set {SETTING} to a directory that can be written, or to 'off'.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return found


def default_directory() -> Path:
    """``hiermod/xla`` in the user's directory for caches."""
    if sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "hiermod" / "xla"


def machine() -> str:
    """A short name of what the machine code is made for: the processor and XLA's own flags."""
    about = [platform.machine(), str(os.cpu_count()), os.environ.get("XLA_FLAGS", "")]
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if re.match(r"model name|flags|Features|CPU (implementer|part)", line):
                    about.append(line)
                if not line.strip():  # the first processor stands for all
                    break
    except OSError:
        about.append(platform.processor())
    return hashlib.sha256("\n".join(about).encode()).hexdigest()[:12]


def prune(root: Path, limit: int) -> None:
    """Delete the programs that were not used for longest, until the others take ``limit`` bytes.

    Other processes may read, write and delete in the same directory meanwhile.

    Parameters
    ----------
    root : Path
        The directory above those of the machines.
    limit : int
    """
    programs = []
    for path in _files(root):
        with suppress(OSError):
            about = path.stat()
            used = max(about.st_atime, about.st_mtime)
            if path.suffix == ".tmp" and used < time.time() - UNFINISHED:
                path.unlink()
            elif path.suffix == ".pb":
                programs.append((used, about.st_size, path))
    total = sum(size for _, size, _ in programs)
    for _, size, path in sorted(programs):
        if total <= limit:
            break
        with suppress(OSError):
            path.unlink()
        total -= size


def clear() -> None:
    """Delete the programs of this machine."""
    if _directory is not None:
        for path in _files(_directory.parent):
            if path.parent == _directory:
                with suppress(OSError):
                    path.unlink()


def _files(root: Path) -> list[Path]:
    """TensorFlow's files in the directories of all machines."""
    return list(root.glob("tensorflow-*/xla_compile_cache__*"))
