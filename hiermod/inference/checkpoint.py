"""Checkpoints: a file from which a run goes on, to the same draws."""

from __future__ import annotations

import json
import time
import warnings
import zipfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hiermod.errors import SamplingError
from hiermod.files import replacing

FORMAT = "hiermod checkpoint 2"


@dataclass
class Checkpoint:
    """Where a run writes its state, and how often.

    Attributes
    ----------
    path : Path
    header : dict
        Kept in the file beside the state of the run: what it is a run of.
    blob : bytes
        Kept in the file as it is.
    every : float
        Seconds between two writes; more where a write takes long, to spend 5 % of the time.
    """

    path: Path
    header: dict[str, Any]
    blob: bytes = b""
    every: float = 30.0
    _next: float = field(default=0.0, init=False)
    _warned: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Refuse a place that cannot be written to before anything is sampled."""
        self.path = Path(self.path)
        if not self.path.parent.is_dir():
            raise SamplingError(
                f"there is no folder {str(self.path.parent)!r} for the checkpoint {self.path.name}."
            )
        if not self.every >= 0:
            raise SamplingError(f"checkpoint_every must be 0 or more seconds, not {self.every!r}.")
        self._next = time.perf_counter() + self.every

    def due(self) -> bool:
        """Whether it is time to write."""
        return time.perf_counter() >= self._next

    def write(self, arrays: dict[str, NDArray[Any]], run: dict[str, Any]) -> None:
        """Replace the file, whole; warn once and go on if that fails."""
        begin = time.perf_counter()
        record = {
            "format": FORMAT,
            "versions": versions(),
            "header": self.header,
            "run": run,
        }
        kept: dict[str, Any] = {f"array:{name}": values for name, values in arrays.items()}
        try:
            with replacing(self.path) as unfinished, open(unfinished, "wb") as file:
                np.savez(
                    file,
                    record=np.array(json.dumps(record)),
                    blob=np.frombuffer(self.blob, np.uint8),
                    **kept,
                )
        except OSError as error:
            if not self._warned:
                warnings.warn(
                    f"the checkpoint {self.path} could not be written ({error}). Sampling goes on; "
                    "an older checkpoint there is as it was.",
                    RuntimeWarning,
                    stacklevel=2,
                )
                self._warned = True
        now = time.perf_counter()
        self._next = now + max(self.every, 20 * (now - begin))


def versions() -> dict[str, str]:
    """Versions that the draws depend on."""
    return {name: version(name) for name in ("hiermod", "tensorflow", "tensorflow-probability")}


def read(path: Path) -> tuple[dict[str, Any], bytes]:
    """What a checkpoint holds: a record with its arrays, and the blob.

    Raises
    ------
    SamplingError
        If the file is none of ours, or of other versions of the software.
    """
    if not Path(path).exists():
        raise SamplingError(f"there is no checkpoint {str(path)!r}.")
    try:
        with np.load(path, allow_pickle=False) as file:
            record = json.loads(str(file["record"]))
            blob = file["blob"].tobytes()
            arrays = {n.removeprefix("array:"): file[n] for n in file if n.startswith("array:")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SamplingError(f"{str(path)!r} is no checkpoint of hiermod: {error}.") from None
    if record["versions"] != versions():
        there, here = record["versions"], versions()
        other = ", ".join(
            f"{n} {there.get(n)}, here {here[n]}" for n in here if there.get(n) != here[n]
        )
        raise SamplingError(
            f"the checkpoint {str(path)!r} is of other versions, with other draws: {other}. "
            "Resume with those versions, or fit again."
        )
    return record | {"arrays": arrays}, blob
