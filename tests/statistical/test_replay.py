"""Where the density is not finite: the run tells which part of the model, and at what values."""

import re
from contextlib import suppress
from dataclasses import replace

import arviz as az
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import hiermod as hm
from hiermod import results
from hiermod.inference import Checkpoint, Settings, run, start_positions
from hiermod.inference.hmc import Metric
from hiermod.inference.replay import retrace

pytestmark = pytest.mark.statistical
tfb = tfp.bijectors

SETTINGS = Settings(warmup=100, draws=150, seed=4)


def root(position, data=()):
    """A density that is NaN where the first variable is below -1."""
    x, z = position[:, 0], position[:, 1]
    return tf.math.log(1 + x) - 0.5 * x**2 - 0.5 * z**2


def sampled(log_density, *, settings=SETTINGS, explain=str, **options):
    start = start_positions(log_density, (), np.zeros(2), 4, settings.seed)
    return run(log_density, start, settings, explain=explain, **options)


METRIC = Metric(*(tf.constant(x, tf.float64) for x in ([1.0], [[0.0]], [1.0], [0.0])))


def test_a_trajectory_is_followed_to_where_the_density_ends():
    def half(q, _):
        return tf.where(q[:, 0] > -1, -0.5 * q[:, 0] ** 2, np.float64(np.nan))

    go = {"step_size": 0.5, "n_steps": 10, "metric": METRIC, "data": ()}
    met = retrace(half, np.array([0.0]), np.array([-2.0]), **go)
    assert met.position == pytest.approx(-2 * np.sin(1.0))  # -2 sin(0.5) is still above -1
    assert not met.diverged
    few = retrace(half, np.array([0.0]), np.array([-2.0]), **go | {"n_steps": 1})
    assert few.position is None


@pytest.mark.parametrize("sampler", ["hmc", "nuts"])
def test_what_is_met_is_told_once_and_counted(sampler):
    settings, places = replace(SETTINGS, sampler=sampler), []

    def explain(position):
        places.append(position)
        return "It is NaN."

    draws = sampled(root, settings=settings, explain=explain)
    (place,) = places
    assert place.shape == (2,)
    assert place[0] < -1
    assert draws.nonfinite.first == "It is NaN."
    assert 0 < draws.nonfinite.count <= draws.statistics["diverging"].sum()
    assert "nonfinite" not in draws.statistics
    unasked = sampled(root, settings=settings, explain=None)
    np.testing.assert_array_equal(unasked.position, draws.position)


@pytest.mark.parametrize("sampler", ["hmc", "nuts"])
def test_a_gradient_that_is_not_finite_ends_a_trajectory(sampler):
    @tf.custom_gradient
    def edge(x):
        return tf.zeros_like(x), lambda upstream: tf.where(x > 1, np.float64(np.nan), upstream)

    def density(position, data=()):
        return -0.5 * tf.reduce_sum(position**2, -1) + 0.0 * edge(position[:, 0])

    draws = sampled(density, settings=replace(SETTINGS, sampler=sampler))
    assert (draws.position[..., 0] <= 1).all()
    assert np.isfinite(draws.position).all()
    assert draws.nonfinite.count > 0


def test_nothing_is_told_where_nothing_was_met():
    def normal(position, data=()):
        return -0.5 * tf.reduce_sum(position**2, -1)

    def never(position):
        raise AssertionError

    assert sampled(normal, explain=never).nonfinite is None


def test_a_divergence_that_ends_at_infinity_is_no_region():
    """With a step too long, a normal density overflows; the density is not to blame."""
    met = retrace(
        lambda q, _: -0.5 * tf.reduce_sum(q**2, -1) * 1e4,
        np.array([1.0]), np.array([1.0]), 1.0, 1000, METRIC, (),
    )  # fmt: skip
    assert met.diverged
    assert met.position is None


class Killed(Exception):
    """Ends a run as a crash would."""


@pytest.mark.parametrize("stop", [110, 200])
def test_what_was_met_survives_a_stop(tmp_path, stop):
    def report(progress):
        if progress.done >= stop:
            raise Killed

    whole, path = sampled(root), tmp_path / "run"
    with pytest.raises(Killed):
        sampled(root, report=report, checkpoint=Checkpoint(path, {}, every=0))
    resumed = sampled(root, checkpoint=Checkpoint(path, {}, every=0), resume=True)
    assert resumed.nonfinite == whole.nonfinite


# --- what users read ----------------------------------------------------------------------------


def problem(fit):
    """The problem that speaks of it, if there is one."""
    return next((p.what for p in fit.check().problems if "not finite" in p.what), None)


def test_an_interrupt_while_looking_neither_loses_nor_repeats_draws(tmp_path):
    asked = []

    def stop(position):
        asked.append(position)
        raise KeyboardInterrupt

    whole, path = sampled(root), tmp_path / "run"
    with suppress(KeyboardInterrupt):  # raised again if there was no draw before
        sampled(root, explain=stop, checkpoint=Checkpoint(path, {}, every=0))
    assert len(asked) == 1
    resumed = sampled(root, checkpoint=Checkpoint(path, {}, every=0), resume=True)
    np.testing.assert_array_equal(resumed.position, whole.position)


def test_a_density_of_ones_own():
    def log_prob(v):
        return 0.5 * tf.math.log(v["x"]) - v["x"] - 0.5 * tf.reduce_sum(v["z"] ** 2, -1)

    fit = hm.sample(log_prob, {"x": 1.0, "z": np.zeros(3)}, seed=1, progress=False)
    found = re.fullmatch(
        r"In ([\d,]+) of 4,000 transitions the density was not finite\. "
        r"The first time: log_prob is nan at x = (\S+), z from \S+ to \S+\.",
        problem(fit),
    )
    assert found, problem(fit)
    assert 0 < int(found[1].replace(",", "")) <= fit.check().figures["divergences"]
    assert float(found[2]) < 0
    # With the support declared there is nothing to tell.
    free = hm.sample(
        log_prob, {"x": 1.0, "z": np.zeros(3)}, bijectors={"x": tfb.Exp()}, seed=1, progress=False
    )
    assert problem(free) is None
    assert "nonfinite_draws" not in free.idata["sample_stats"].attrs


def outlier():
    """Counts of which the last has a predictor so large that its mean overflows."""
    g = np.random.default_rng(0)
    x, w = np.r_[g.normal(size=40), 5000.0], np.r_[np.ones(40), 0.0]
    y = np.r_[g.poisson(np.exp(0.5 + 0.12 * x[:40])), 3]
    return pd.DataFrame({"x": x, "y": y, "w": w})


def fitted(data):
    return hm.fit(
        data, "weighted(y, w) ~ x", family="poisson", center=False, seed=1, progress=False,
        priors={"x": "normal(0, 1)", "Intercept": "normal(0, 2)"}, shortcuts=False,
    )  # fmt: skip


def test_an_assertion_that_xla_leaves_out_does_not_end_the_run():
    def log_prob(v):
        with tf.control_dependencies([tf.debugging.assert_positive(v["x"], "x must be positive")]):
            return tf.math.log(v["x"]) - v["x"]

    fit = hm.sample(log_prob, {"x": 2.0}, seed=1, warmup=200, draws=200, progress=False)
    assert "The first time: tensorFlow says:" not in problem(fit)
    assert "x must be positive" in problem(fit)


def test_a_model_names_the_row_and_its_values(tmp_path):
    """A row of weight 0 whose mean overflows: 0 times infinity; shortcuts leave it out."""
    fit = fitted(outlier())
    found = re.search(
        r"the log density of y is nan in 1 of 41 rows, first in row 40, at linear predictor = "
        r"(\S+), y = 3, Intercept = (\S+), x = (\S+)\.$",
        problem(fit),
    )
    assert found, problem(fit)
    eta, intercept, x = map(float, found.groups())
    assert eta > 709
    assert intercept + 5000 * x == pytest.approx(eta, rel=1e-3)
    text = str(fit.check())
    assert "Raise target_accept" not in text  # which would not help
    again = az.from_netcdf(fit.save(tmp_path / "fit.nc"), engine="h5netcdf")
    loaded = results.check(again["posterior"], again["sample_stats"])
    assert str(loaded) == text


def test_the_same_model_without_that_row_says_nothing():
    fit = fitted(outlier()[:40])
    assert problem(fit) is None
    assert fit.check().ok
