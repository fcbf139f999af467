"""Compiled programs are kept, found again, and never in the way."""

import gc
import os
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path

import pytest
import tensorflow as tf

from hiermod import cache, programs

ROOT = Path(__file__).parents[2]

# One process of a user. What it prints is all that a fit and three small programs give.
CHILD = """
import sys

import numpy as np
import tensorflow as tf

import hiermod as hm
from hiermod import cache
from hiermod.programs import compiled


@compiled
def power(x, count):
    return tf.while_loop(lambda i, y: i < count, lambda i, y: (i + 1, y * x + 0.1), (0, x))[1]


def numbers(size):
    return np.asarray(power(tf.linspace(0.5, 1.5, size), tf.constant(5))).tobytes().hex()


if "fit" in sys.argv:
    kline = hm.load_data("Kline")
    fit = hm.fit(kline, "total_tools ~ 1", family="poisson", seed=1, draws=50, progress=False)
    print(fit.posterior["Intercept"].values.tobytes().hex()[:200])
if "other" in sys.argv:  # TensorFlow numbers its functions by what was traced before
    print(float(tf.function(lambda x: x + 1.0)(tf.constant(1.0))), file=sys.stderr)
print("---", file=sys.stderr)
print(numbers(3), numbers(4))
if "full" in sys.argv:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        numbers(5)
    except hm.SamplingError as error:
        print(error)
"""


def child(directory: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    environment |= {"HIERMOD_CACHE": str(directory), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def result(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """What a child printed, and its standard error while it compiled small programs."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out, err.split("---\n")[1]


def kept(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in directory.glob("tensorflow-*/*")}


def test_processes_share_programs_and_survive_damage(tmp_path: Path) -> None:
    directory = tmp_path / 'with space, "quote", é'
    first, second = (child(directory, "fit") for _ in range(2))
    draws, _ = result(first)
    assert result(second)[0] == draws
    files = kept(directory)
    assert len(files) == 3
    assert {path.suffix for path in files} == {".pb"}

    # A third process compiles nothing, gives the same bits, and TensorFlow says nothing about it.
    found, notices = result(child(directory, "fit", "other"))
    assert found == draws
    assert kept(directory) == files
    assert notices == ""

    for i, path in enumerate(files):
        if i % 2:
            path.write_bytes(b"not a program")
        else:
            os.truncate(path, path.stat().st_size // 2)
    found, _ = result(child(directory, "full"))
    small, message = found.split("\n", 1)
    assert small in draws
    assert message.startswith("TensorFlow cannot write the compiled program to")
    assert "HIERMOD_CACHE" in message


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process in which nothing has been decided."""
    monkeypatch.setattr(cache, "_directory", None)
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    monkeypatch.delenv("HIERMOD_CACHE", raising=False)
    return monkeypatch


def test_the_directory_is_that_of_the_version_and_the_machine(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh.setenv("HIERMOD_CACHE", str(tmp_path))
    with cache.keeping("2.21.0"):
        expected = tmp_path / f"tensorflow-2.21.0-{cache.machine()}"
        assert os.environ["TF_XLA_FLAGS"] == f'--tf_xla_persistent_cache_directory="{expected}"'
    assert "TF_XLA_FLAGS" not in os.environ
    assert cache.directory() == expected
    assert list(expected.iterdir()) == []


def test_xla_flags_make_another_machine(fresh: pytest.MonkeyPatch) -> None:
    fresh.delenv("XLA_FLAGS", raising=False)
    plain = cache.machine()
    assert plain == cache.machine()
    fresh.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert cache.machine() != plain


def test_other_flags_stay(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setenv("HIERMOD_CACHE", str(tmp_path))
    fresh.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug=false")
    with cache.keeping("2.21.0"):
        first, second = os.environ["TF_XLA_FLAGS"].split()
        assert first == "--tf_xla_clustering_debug=false"
        assert second.startswith("--tf_xla_persistent_cache_directory=")
    assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_clustering_debug=false"


@pytest.mark.parametrize(
    "flags", ["--tf_xla_persistent_cache_directory=/elsewhere", "a-file-of-flags.txt"]
)
def test_a_directory_of_the_user_stays(
    fresh: pytest.MonkeyPatch, tmp_path: Path, flags: str
) -> None:
    fresh.setenv("HIERMOD_CACHE", str(tmp_path))
    fresh.setenv("TF_XLA_FLAGS", flags)
    with cache.keeping("2.21.0"):
        assert os.environ["TF_XLA_FLAGS"] == flags
    assert cache.directory() is None


@pytest.mark.parametrize("value", ["off", "0", "", "OFF"])
def test_off(fresh: pytest.MonkeyPatch, value: str) -> None:
    fresh.setenv("HIERMOD_CACHE", value)
    with cache.keeping("2.21.0"):
        assert "TF_XLA_FLAGS" not in os.environ
    assert cache.directory() is None


def test_a_directory_that_cannot_be_made_is_said_once(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    fresh.setenv("HIERMOD_CACHE", str(tmp_path / "file" / "xla"))
    with (
        pytest.warns(RuntimeWarning, match="HIERMOD_CACHE to a directory") as said,
        cache.keeping("2.21.0"),
    ):
        assert "TF_XLA_FLAGS" not in os.environ
    assert len(said) == 1
    assert cache.directory() is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_directory_that_cannot_be_written_is_said(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh.setenv("HIERMOD_CACHE", str(tmp_path))
    with cache.keeping("2.21.0"):
        pass
    made = cache.directory()
    assert made is not None
    made.chmod(0o500)
    with pytest.warns(RuntimeWarning, match="ermission"), cache.keeping("2.21.0"):
        pass
    assert cache.directory() is None


def test_a_full_disk_is_said(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setenv("HIERMOD_CACHE", str(tmp_path))
    fresh.setattr(cache, "ROOM", 10**18)
    with pytest.warns(RuntimeWarning, match="are free in"), cache.keeping("2.21.0"):
        pass
    assert cache.directory() is None


def test_the_default_directory_follows_xdg(fresh: pytest.MonkeyPatch) -> None:
    fresh.setattr(sys, "platform", "linux")
    fresh.setenv("XDG_CACHE_HOME", "/caches")
    assert cache.default_directory() == Path("/caches/hiermod/xla")
    fresh.delenv("XDG_CACHE_HOME")
    assert cache.default_directory() == Path.home() / ".cache/hiermod/xla"


def program(path: Path, days: float, size: int = 100) -> Path:
    """A file that was written and used some days ago."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - 86_400 * days,) * 2)
    return path


def test_pruning_takes_what_was_not_used_for_longest(tmp_path: Path) -> None:
    here, there = tmp_path / "tensorflow-2.21.0-a", tmp_path / "tensorflow-2.20.0-b"
    new, old, older = (program(here / f"xla_compile_cache__{d}.pb", d, size=100) for d in (1, 2, 3))
    oldest = program(there / "xla_compile_cache__4.pb", 4)
    os.utime(older, (time.time(), older.stat().st_mtime))  # read just now
    foreign = program(here / "notes.txt", 5)
    unfinished = program(here / "xla_compile_cache__1.pb-x.tmp", 1)
    being_written = program(here / "xla_compile_cache__2.pb-x.tmp", 0)
    # Another process deletes a file between our listing and our look at it.
    gone = here / "xla_compile_cache__gone.pb"
    gone.symlink_to(tmp_path / "nowhere")

    cache.prune(tmp_path, limit=200)

    assert not old.exists() and not oldest.exists() and not unfinished.exists()
    assert new.exists() and older.exists() and foreign.exists() and being_written.exists()


def test_nothing_is_pruned_within_the_limit(tmp_path: Path) -> None:
    path = program(tmp_path / "tensorflow-2.21.0-a" / "xla_compile_cache__1.pb", 1000)
    cache.prune(tmp_path, limit=100)
    assert path.exists()


def test_clearing_leaves_other_machines_and_files(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = program(tmp_path / "tensorflow-2.21.0-a" / "xla_compile_cache__1.pb", 1)
    there = program(tmp_path / "tensorflow-2.21.0-b" / "xla_compile_cache__1.pb", 1)
    foreign = program(here.parent / "notes.txt", 1)
    fresh.setattr(cache, "_directory", here.parent)
    cache.clear()
    assert not here.exists()
    assert there.exists() and foreign.exists()


def traced_name(label: str) -> str:
    with programs.stable_names(label):
        return tf.function(lambda x: x + 1.0).get_concrete_function(tf.constant(1.0)).name.decode()


def test_names_depend_on_the_label_and_differ_within_a_process() -> None:
    start = zlib.crc32(b"a label of this test")
    first, second = traced_name("a label of this test"), traced_name("a label of this test")
    assert first.endswith(f"_{start}_1")
    assert second.endswith(f"_{start + 1}_1")
    assert str(start) not in traced_name("another label of this test")


def test_labels_nest() -> None:
    with programs.stable_names("an outer label"):
        inner = traced_name("an inner label")
        outer = tf.function(lambda x: x + 1.0).get_concrete_function(tf.constant(1.0)).name.decode()
    assert inner.endswith(f"_{zlib.crc32(b'an inner label')}_1")
    assert outer.endswith(f"_{zlib.crc32(b'an outer label')}_1")


def test_names_outside_are_those_of_tensorflow() -> None:
    traced_name("a third label of this test")
    name = tf.function(lambda x: x + 1.0).get_concrete_function(tf.constant(1.0)).name.decode()
    assert str(zlib.crc32(b"a third label of this test")) not in name


def test_a_program_is_traced_once_for_each_kind_of_argument() -> None:
    traced = []

    @programs.compiled
    def double(x: tf.Tensor) -> tf.Tensor:
        traced.append(x.shape)
        return 2.0 * x

    for _ in range(2):
        assert double(tf.constant([1.0, 2.0])).numpy().tolist() == [2.0, 4.0]
        assert double(tf.constant(3.0)).numpy() == 6.0
    assert len(traced) == 2


def test_an_error_of_the_program_itself_is_raised() -> None:
    @programs.compiled
    def broken(x: tf.Tensor) -> tf.Tensor:
        return tf.strings.as_string(x)

    with warnings.catch_warnings(), pytest.raises(tf.errors.InvalidArgumentError):
        warnings.simplefilter("ignore")
        broken(tf.constant(1.0))


def test_the_garbage_collector_rests_while_a_program_is_traced() -> None:
    collecting = []

    @programs.compiled
    def double(x: tf.Tensor) -> tf.Tensor:
        collecting.append(gc.isenabled())
        if x.dtype == tf.string:
            raise TypeError("no number")
        return 2.0 * x

    double(tf.constant(1.0))
    assert gc.isenabled()
    with pytest.raises(TypeError, match="no number"):
        double(tf.constant("one"))
    assert gc.isenabled()
    gc.disable()
    try:
        double(tf.constant([1.0, 2.0]))
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert collecting == [False, False, False]
