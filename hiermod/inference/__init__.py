"""The engine: a batched log density to draws. It knows nothing of formulas."""

from hiermod.errors import SamplingError
from hiermod.inference.checkpoint import Checkpoint, read
from hiermod.inference.progress import Bar, Progress
from hiermod.inference.run import Draws, Settings, Start, check_whole, run, start_positions

__all__ = [
    "Bar",
    "Checkpoint",
    "Draws",
    "Progress",
    "SamplingError",
    "Settings",
    "Start",
    "check_whole",
    "read",
    "run",
    "start_positions",
]
