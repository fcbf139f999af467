"""A run that was stopped goes on to the draws it would have had."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

import hiermod as hm
from hiermod.errors import SamplingError
from hiermod.inference import Checkpoint, Settings, read, run, start_positions
from hiermod.inference.run import SAMPLERS

pytestmark = pytest.mark.statistical

SETTINGS = Settings(warmup=110, draws=130, seed=4)


def density(position, data=()):
    """Three normal variables of different scales."""
    return -0.5 * tf.reduce_sum((position / tf.constant([0.1, 1.0, 20.0], tf.float64)) ** 2, -1)


class Killed(Exception):
    """Ends a run as a crash would: no code of the runner sees it coming."""


def sample(path=None, stop=None, resume=False, settings=SETTINGS):
    def report(progress):
        if stop and progress.done >= stop:
            raise Killed

    place = Checkpoint(path, {}, every=0) if path else None
    start = start_positions(density, (), np.zeros(3), 4, settings.seed)
    return run(density, start, settings, report=report, checkpoint=place, resume=resume)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("stop", [50, 110, 135, 240])  # a block before is in the file
def test_a_killed_run_goes_on_to_the_same_draws(tmp_path, stop, sampler):
    settings = replace(SETTINGS, sampler=sampler, keep_warmup=True)
    whole, path = sample(settings=settings), tmp_path / "run"
    with pytest.raises(Killed):
        sample(path, stop, settings=settings)
    resumed = sample(path, resume=True, settings=settings)
    for name, values in whole.warmup[1].items():
        np.testing.assert_array_equal(resumed.warmup[1][name], values)
    np.testing.assert_array_equal(resumed.position, whole.position)
    for name, values in whole.statistics.items():
        np.testing.assert_array_equal(resumed.statistics[name], values)


def test_until_stops_at_the_same_draw_after_a_stop(tmp_path):
    settings = Settings(warmup=110, draws=5000, seed=4, until="ess >= 1500")
    whole, path = sample(settings=settings), tmp_path / "run"
    with pytest.raises(Killed):
        sample(path, 260, settings=settings)
    resumed = sample(path, resume=True, settings=settings)
    assert 150 < whole.position.shape[1] < 5000
    np.testing.assert_array_equal(resumed.position, whole.position)


SCRIPT = """
import sys
import hiermod as hm
frogs = hm.load_data("reedfrogs").assign(tank=lambda d: d.index)
model = hm.model(frogs, "prop(surv, density) ~ 1 + (1 | tank)", family="binomial")
model.fit(seed=1, draws=20000, checkpoint=sys.argv[1], checkpoint_every=0.02, progress=False)
"""


def test_a_fit_goes_on_after_kill_9(tmp_path):
    path = tmp_path / "frogs.checkpoint"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)])
    try:
        for _ in range(1200):
            if path.exists() and read(path)[0]["run"]["window"] >= 6:
                break
            assert process.poll() is None, "the fit ended before it could be killed"
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    record, _ = read(path)
    drawn = len(record["arrays"]["draws/lp"]) if "draws/lp" in record["arrays"] else 0
    assert drawn < 20_000
    resumed = hm.resume(path, progress=False)
    frogs = hm.load_data("reedfrogs").assign(tank=lambda d: d.index)
    model = hm.model(frogs, "prop(surv, density) ~ 1 + (1 | tank)", family="binomial")
    whole = model.fit(seed=1, draws=20_000, progress=False)
    for name in ("Intercept", "1|tank"):
        np.testing.assert_array_equal(resumed.posterior[name], whole.posterior[name])


def test_a_fit_with_nuts_goes_on_with_nuts(tmp_path):
    kline, path = hm.load_data("Kline"), tmp_path / "tools"
    model = hm.model(kline, "total_tools ~ contact", family="poisson")
    options = {"seed": 1, "warmup": 50, "draws": 60, "sampler": "nuts", "progress": False}
    whole = model.fit(**options)

    def stop(bar, progress):
        if progress.done >= 100:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hm.inference.Bar, "__call__", stop)
        with pytest.raises(Killed):
            model.fit(**options | {"progress": True}, checkpoint=path, checkpoint_every=0)
    assert read(path)[0]["header"]["settings"]["sampler"] == "nuts"
    resumed = hm.resume(path, progress=False)
    assert resumed.posterior.attrs["sampler"] == "nuts"
    np.testing.assert_array_equal(resumed.posterior["Intercept"], whole.posterior["Intercept"])
    stats = resumed.idata["sample_stats"]
    np.testing.assert_array_equal(stats["tree_depth"], whole.idata["sample_stats"]["tree_depth"])


def test_a_full_disk_leaves_the_old_checkpoint_and_the_run(tmp_path, monkeypatch):
    path = tmp_path / "run"
    with pytest.raises(Killed):
        sample(path, 50)
    old = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(RuntimeWarning, match="could not be written.*No space left") as warned:
        sample(path)
    assert len(warned) == 1
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_what_cannot_be_resumed(tmp_path):
    with pytest.raises(SamplingError, match="there is no checkpoint"):
        hm.resume(tmp_path / "none")
    (tmp_path / "text").write_text("no checkpoint")
    with pytest.raises(SamplingError, match="is no checkpoint of hiermod"):
        hm.resume(tmp_path / "text")
    with pytest.raises(SamplingError, match="there is no folder"):
        Checkpoint(tmp_path / "nowhere" / "run", {})

    kline, path = hm.load_data("Kline"), tmp_path / "tools"
    model = hm.model(kline, "total_tools ~ 1", family="poisson")
    fit = model.fit(
        seed=1, warmup=50, draws=50, checkpoint=path, checkpoint_every=0, progress=False
    )
    other = hm.model(kline.assign(total_tools=kline["total_tools"] + 1), "total_tools ~ 1",
                     family="poisson")  # fmt: skip
    with pytest.raises(SamplingError, match="is of another model, or of other data"):
        hm.resume(path, model=other)
    again = hm.resume(path, model=model, progress=False)
    np.testing.assert_array_equal(again.posterior["Intercept"], fit.posterior["Intercept"])

    with np.load(path) as file:
        arrays = dict(file)
    record = json.loads(str(arrays["record"]))
    record["versions"]["tensorflow"] = "1.0"
    with (tmp_path / "old").open("wb") as file:
        np.savez(file, **arrays | {"record": np.array(json.dumps(record))})
    with pytest.raises(SamplingError, match=r"other versions, with other draws: tensorflow 1\.0"):
        hm.resume(tmp_path / "old")


def test_a_model_that_cannot_be_pickled_is_asked_for(tmp_path):
    kline, path = hm.load_data("Kline"), tmp_path / "tools"
    model = hm.model(
        kline, "total_tools ~ double(contact == 'high')", family="poisson",
        functions={"double": lambda x: 2.0 * x},
    )  # fmt: skip
    model.fit(seed=1, warmup=50, draws=50, checkpoint=path, checkpoint_every=0, progress=False)
    assert not read(path)[1]
    with pytest.raises(SamplingError, match="give it as model="):
        hm.resume(path)
    assert hm.resume(path, model=model, progress=False).posterior.sizes["draw"] == 50
