"""Laplace's method: against brute-force integrals, and its derivatives."""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import hiermod as hm
from hiermod.inference.diagnostics import pareto_k
from hiermod.inference.hmc import value_and_gradient

pytestmark = pytest.mark.density


def data(n=400, seed=1):
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, 8, n), rng.integers(0, 3, n) - 1.0
    eta = 0.3 + 0.5 * x + 0.8 * rng.normal(size=8)[g]
    return pd.DataFrame(
        {
            "b": rng.binomial(1, 1 / (1 + np.exp(-eta))),
            "k": rng.poisson(np.exp(eta)),
            "s": rng.binomial(9, 1 / (1 + np.exp(-eta))),
            "n": 9,
            "w": rng.integers(0, 3, n),
            "x": x,
            "g": g,
            "h": rng.integers(0, 4, n),
        }
    )


def laplace(formula, family, rows=400):
    model = hm.model(data(rows), formula, family=family)
    return model.plan(approximate="laplace"), model


def nodes(size, order=25):
    """Gauss-Hermite nodes and log weights of the standard normal distribution in `size`."""
    at, weight = np.polynomial.hermite_e.hermegauss(order)
    grid = np.stack(np.meshgrid(*[at] * size, indexing="ij"), -1).reshape(-1, size)
    logs = np.log(weight / np.sqrt(2 * np.pi))
    return grid, sum(np.meshgrid(*[logs] * size, indexing="ij")).ravel()


def brute_force(plan, model, position):
    """log of the integral over the effects by quadrature, level by level.

    The density of the whole model at one level's effects, the others at zero, factorises.
    """
    g = max(model.specification.groups, key=lambda g: g.shape[1])
    size, levels = g.shape
    assert g.noncentered
    whole, joint = np.zeros((1, plan.joint.dimensions)), plan.joint
    whole[:, plan._kept] = position
    out = np.flatnonzero(~plan._kept).reshape(size, levels)
    (base,) = joint.log_density(tf.constant(whole), joint.arguments).numpy()
    # What the prior density of a level is at zero, which the others keep.
    zero = -0.5 * size * np.log(2 * np.pi)
    total = base - levels * zero
    for j in range(levels):

        def density(effects, j=j):
            at = np.repeat(whole, len(effects), axis=0)
            at[:, out[:, j]] = effects
            return joint.log_density(tf.constant(at), joint.arguments).numpy() - (base - zero)

        # Around the level's own peak, found by Newton steps along the axes.
        centre = np.zeros(size)
        for step in [0.1] * 30 + [1e-3] * 3:
            moves = step * np.vstack([0 * np.eye(size), np.eye(size), -np.eye(size)])
            middle, up, down = density(centre + moves).reshape(3, size)
            curve = (2 * middle - up - down) / step**2
            centre = centre + np.clip((up - down) / (2 * step) / curve, -0.5, 0.5)
        grid, logs = nodes(size)
        width = 1.3 / np.sqrt(curve)
        found = density(centre + width * grid)
        normal = -0.5 * (grid**2).sum(1) - 0.5 * size * np.log(2 * np.pi) - np.log(width).sum()
        terms = logs + found - normal
        total += np.log(np.exp(terms - terms.max()).sum()) + terms.max()
    return total


CASES = [
    ("b ~ x + (1 | g)", "bernoulli"),
    ("weighted(b, w) ~ x + (1 | g)", "bernoulli"),
    ("prop(s, n) ~ x + (1 + x | g)", "binomial"),
    ("k ~ 1 + (1 | g)", "poisson"),
    ("k ~ 0 + (1 | g)", "poisson"),
    ("k ~ x + (1 | g) + (1 | h)", "poisson"),
]


@pytest.mark.parametrize(("formula", "family"), CASES)
def test_the_integral(formula, family):
    model = hm.model(data(), formula, family=family, noncentered=True)
    plan = model.plan(approximate="laplace")
    position = np.random.default_rng(2).normal(0, 0.3, (1, plan.dimensions))
    (found,) = plan.log_density(tf.constant(position), plan.arguments).numpy()
    expected = brute_force(plan, model, position)
    # Laplace's method is off by about one over the rows of a level, in each level.
    assert found == pytest.approx(expected, abs=0.02 * 8)
    assert found != pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("formula", "family"), CASES)
def test_the_gradient(formula, family):
    plan, _ = laplace(formula, family)
    position = np.random.default_rng(3).normal(0, 0.3, (2, plan.dimensions))
    _, slope = value_and_gradient(plan.log_density, tf.constant(position), plan.arguments)
    for i in range(plan.dimensions):
        step = 1e-5 * np.eye(plan.dimensions)[i]
        up, down = (
            plan.log_density(tf.constant(position + s), plan.arguments).numpy()
            for s in (step, -step)
        )
        np.testing.assert_allclose(slope[:, i], (up - down) / 2e-5, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("formula", "family", "at"),
    [
        ("b ~ 1 + (1 | g)", "bernoulli", [-4.0, 1.5]),
        ("b ~ 1 + (1 | g)", "bernoulli", [3.0, 1.0]),
        ("k ~ 1 + (1 | g)", "poisson", [-6.0, 1.5]),
        ("k ~ 1 + (1 | g)", "poisson", [3.0, -3.0]),
        ("prop(s, n) ~ 1 + (1 | g)", "binomial", [-8.0, -2.5]),
    ],
)
def test_peaks_far_away_are_found(formula, family, at):
    # There whole steps of Newton's method would overshoot, or have far to go.
    model = hm.model(data(), formula, family=family, noncentered=True)
    plan = model.plan(approximate="laplace")
    position = np.array([at])
    found, slope = value_and_gradient(plan.log_density, tf.constant(position), plan.arguments)
    assert found.numpy()[0] == pytest.approx(brute_force(plan, model, position), abs=0.3)
    for i in range(2):
        step = 1e-5 * np.eye(2)[i]
        up, down = (
            plan.log_density(tf.constant(position + s), plan.arguments).numpy()[0]
            for s in (step, -step)
        )
        assert float(slope[0, i]) == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-4)


def test_a_peak_that_is_not_found_is_not_finite(monkeypatch):
    monkeypatch.setattr("hiermod.models.laplace.ITERATIONS", 2)
    plan, _ = laplace("k ~ 1 + (1 | g)", "poisson")
    (found,) = plan.log_density(tf.constant([[-6.0, 1.5]], tf.float64), plan.arguments).numpy()
    assert np.isnan(found)
    assert "The log density with 1|g by Laplace's method integrated out is not" in plan.explain(
        np.array([-6.0, 1.5])
    )


def test_both_forms_are_one_density():
    position = np.random.default_rng(4).normal(0, 0.3, (3, 4))
    values = []
    for noncentered in (True, False):
        model = hm.model(data(), "k ~ x + (1 | g)", family="poisson", noncentered=noncentered)
        plan = model.plan(approximate="laplace")
        at = tf.constant(position[:, : plan.dimensions])
        values.append(plan.log_density(at, plan.arguments).numpy())
        drawn = plan.recover(np.repeat(position[:1, None, : plan.dimensions], 400, 1), seed=1)
        part = drawn.values["z_g" if noncentered else "u_g"]
        sd = np.exp(position[0, 2])
        values.append((part * (sd if noncentered else 1)).mean((0, 1, 2)))
        assert drawn.log_weights.shape == (1, 400)
        assert np.abs(drawn.log_weights).max() < 3
    np.testing.assert_allclose(values[0], values[2], rtol=1e-12)
    np.testing.assert_allclose(values[1], values[3], rtol=1e-9)


@pytest.mark.parametrize("shape", [-0.3, 0.2, 0.9])
def test_pareto_k_is_that_of_arviz(shape):
    rng = np.random.default_rng(5)
    log_weights = np.log1p(np.expm1(shape * rng.exponential(size=4000)) / shape)
    if not hasattr(az, "psislw"):
        pytest.skip("ArviZ 1 has it in other clothes")
    assert pareto_k(log_weights) == pytest.approx(float(az.psislw(log_weights)[1]), abs=0.02)


def test_weights_that_cannot_be_used():
    assert np.isnan(pareto_k(np.zeros(24)))
    assert pareto_k([0.0] * 50 + [np.inf]) == np.inf
    assert pareto_k([0.0] * 50 + [np.nan]) == np.inf
    assert pareto_k(np.zeros(50)) == -np.inf


@pytest.mark.parametrize(
    ("formula", "family", "method", "message"),
    [
        ("b ~ x + (1 | g)", "bernoulli", "vi", "approximate must be \"laplace\" or None, not 'vi'"),
        ("b ~ x + (1 | g)", "bernoulli", ["vi"], "approximate must be"),
        ("x ~ b + (1 | g)", "gaussian", "laplace", "leave it out"),
        ("b ~ x", "bernoulli", "laplace", "the model has none"),
    ],
)
def test_what_cannot_be_approximated(formula, family, method, message):
    with pytest.raises(hm.ModelError, match=message):
        hm.model(data(), formula, family=family).plan(approximate=method)


def test_text():
    plan, _ = laplace("b ~ x + (1 | g) + (1 | h)", "bernoulli")
    assert repr(plan).splitlines() == [
        "rows         400 compressed to 94 with equal predictors",
        "integrated   1|g by Laplace's method",
        "conditioned  1|h: on what the data say of them, given the rest",
        "sampled      Intercept, x, 1|g_sigma, 1|h_sigma, 1|h (8 numbers)",
    ]
