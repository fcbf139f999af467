"""One gradient of the million-row model, on one core: hiermod beside NumPy and C.

What is timed is one call that gives the log density and its gradient, which is what a leapfrog step
costs. Every number of chains is measured in a fresh process, and memory in another one. Prints JSON
lines and keeps them in `benchmarks/results/gradient.json`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from models import MODELS
from numpy.typing import NDArray

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "gradient.json"

FloatArray = NDArray[np.float64]
Gradient = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


def arrays(arguments: Any) -> tuple[FloatArray, FloatArray, NDArray[np.int32]]:
    """Response, centred predictor and group of every row, from the data of the log density."""
    data = {name: tensor.numpy() for name, tensor in arguments[0].items()}
    return data["y"], data["X"][0], data["index_g"]


def by_numpy(y: FloatArray, x: FloatArray, g: NDArray[np.int32], levels: int) -> Gradient:
    """The log density by hand; position: intercept, slope, log sigma, effects of the levels."""

    def normal(x: Any, scale: Any) -> Any:
        return -0.5 * (x / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)

    def one(q: FloatArray) -> tuple[float, FloatArray]:
        intercept, slope, log_sigma, u = q[0], q[1], q[2], q[3:]
        sigma = np.exp(log_sigma)
        eta = intercept + slope * x + u[g]
        e = np.exp(-np.abs(eta))
        residual = y - np.where(eta < 0, e, 1.0) / (1.0 + e)
        value = (y * eta - np.maximum(eta, 0.0) - np.log1p(e)).sum() + normal(u, sigma).sum()
        value += normal(intercept, 1.5) + normal(slope, 2.5) - sigma + log_sigma
        head = [
            residual.sum() - intercept / 1.5**2,
            residual @ x - slope / 2.5**2,
            (u @ u) / sigma**2 - levels - sigma + 1.0,
        ]
        return value, np.append(head, np.bincount(g, residual, levels) - u / sigma**2)

    def gradient(position: FloatArray) -> tuple[FloatArray, FloatArray]:
        values, gradients = zip(*map(one, position), strict=True)
        return np.array(values), np.stack(gradients)

    return gradient


def by_c(y: FloatArray, x: FloatArray, g: NDArray[np.int32], levels: int) -> Gradient | None:
    """The same in C; none without a compiler."""
    if not shutil.which("gcc"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "gradient.so"
        flags = ["-O3", "-march=native", "-shared", "-fPIC"]
        source = HERE / "gradient.c"
        subprocess.run(["gcc", *flags, "-o", library, source, "-lm"], check=True)
        function = ctypes.CDLL(str(library)).value_and_gradient
    y, x, g = (np.ascontiguousarray(a) for a in (y, x, g.astype(np.int32)))

    def pointer(array: NDArray[Any]) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def gradient(position: FloatArray) -> tuple[FloatArray, FloatArray]:
        value, found = np.empty(len(position)), np.empty_like(position)
        sizes = (ctypes.c_int64(n) for n in (len(position), len(y), levels))
        function(*sizes, *map(pointer, (y, x, g, position, value, found)))
        return value, found

    return gradient


def by_hiermod(
    rows: int | None = None, *, sampled: bool = False
) -> tuple[Callable[..., Any], Any, int]:
    """The compiled function of (position, arguments), arguments, and number of levels.

    Of centred effects, as by hand, or of effects as they are `sampled`, conditioned on the data.
    """
    import tensorflow as tf

    import hiermod as hm
    from hiermod.inference.hmc import value_and_gradient

    chosen = MODELS["million"]
    # Form and prior are given, because the model by hand has them.
    model = hm.model(
        chosen.data().iloc[:rows],
        chosen.formula,
        family=chosen.family,
        priors={"x": "normal(0, 2.5)"},
        noncentered=None if sampled else False,
    )
    plan = model.plan(shortcuts=False)
    compiled = tf.function(
        lambda position, arguments: value_and_gradient(plan.log_density, position, arguments),
        jit_compile=True,
        autograph=False,
    )
    return compiled, plan.arguments, plan.dimensions - 3


def start(chains: int, levels: int) -> FloatArray:
    """Positions in the bulk."""
    noise = np.random.default_rng(1).normal(size=(chains, 3 + levels))
    position = 0.5 * noise
    position[:, :3] = [-0.5, 0.8, -0.4] + 0.01 * noise[:, :3]
    return position


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median time of a call, after a first one."""
    call()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return median(times)


def timed(chains: int, repeats: int) -> list[dict[str, Any]]:
    """Times of all implementations, checked against each other first."""
    import tensorflow as tf

    compiled, arguments, levels = by_hiermod()
    position = start(chains, levels)
    tensor = tf.constant(position)

    def hiermod() -> Any:
        return tuple(t.numpy() for t in compiled(tensor, arguments))

    rows = [{"implementation": "hiermod", "seconds": seconds(hiermod, repeats)}]
    value, gradient = hiermod()
    for name, make in (("NumPy", by_numpy), ("C", by_c)):
        by_hand = make(*arrays(arguments), levels)
        if by_hand is None:
            continue
        np.testing.assert_allclose(by_hand(position)[0], value, rtol=1e-9)
        np.testing.assert_allclose(by_hand(position)[1], gradient, rtol=1e-6, atol=1e-6)
        took = seconds(lambda f=by_hand: f(position), repeats)
        rows.append({"implementation": name, "seconds": took, "ratio": rows[0]["seconds"] / took})
    density, given, _ = by_hiermod(sampled=True)

    def conditioned() -> Any:
        return tuple(t.numpy() for t in density(tensor, given))

    took = seconds(conditioned, repeats)
    rows.append({"implementation": "hiermod, effects conditioned", "seconds": took})
    return [{"chains": chains} | row for row in rows]


def status(name: str) -> int:
    """A size of this process, in bytes: ``VmRSS`` (now) or ``VmHWM`` (its peak)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise KeyError(name)


def memory(chains: int) -> dict[str, float]:
    """Growth of the peak during one call of the compiled function, over the bytes of the data.

    TensorFlow keeps the memory of a call for the next one, so the call is the first. It compiles;
    that has been done before with fewer rows, so that what the compiler keeps for ever is there.
    """
    import tensorflow as tf

    for rows in (20_000, None):
        compiled, arguments, levels = by_hiermod(rows)
        position = tf.constant(start(chains, levels))
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins again at what is held now
        before = status("VmRSS")
        compiled(position, arguments)
        grown = status("VmHWM") - before
    size = sum(t.numpy().nbytes for t in tf.nest.flatten(arguments))
    return {"data_mb": size / 1e6, "peak_mb": grown / 1e6, "memory_over_data": grown / size}


def child(*arguments: str) -> Any:
    """The answer of this script in a fresh process, where freed memory leaves at once."""
    environment = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "HIERMOD_CACHE": "off",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure both numbers of chains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--chains", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.chains:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        found = memory(options.chains) if options.memory else timed(options.chains, options.repeats)
        print(json.dumps(found))
        return
    rows = []
    for chains in (4, 1):
        found = child("--chains", str(chains), "--repeats", str(options.repeats))
        found[0] |= child("--chains", str(chains), "--memory")
        rows += found
        print(*map(json.dumps, found), sep="\n", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
