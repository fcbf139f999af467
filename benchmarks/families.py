"""One gradient of the rows of every family, over that of its log density written by hand.

Timed are the log-likelihood of 4,000 rows and its gradient in the linear predictor of every row and
in the parameters of the family, compiled by XLA in float64, in a compiled loop of many as in a
trajectory. What hiermod runs and what is written here by hand take turns in one process on one
core, and the shortest times are compared; they must agree first, in value and gradient. By hand are
the formulas of textbooks in plain TensorFlow, written to be fast; they need not work at the ends of
what float64 can say. Prints JSON lines and keeps them in `benchmarks/results/families.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("HIERMOD_CACHE", "off")
if __name__ == "__main__":  # TensorFlow has as many threads as there are cores when it is imported
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np
import pandas as pd
import tensorflow as tf
from simulated import response, stand_ins

import hiermod as hm
from hiermod.models.families import FAMILIES
from hiermod.programs import compiled

RESULTS = Path(__file__).parent / "results" / "families.json"

Density = Callable[[Any, Any, Any], Any]
"""Log densities (N,) from the data (``y``, ``trials``), ``eta`` (N,) and the parameters by name."""

HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)

VALUES: dict[str, Any] = {
    "sigma": 1.2,
    "nu": 5.0,
    "alpha": 2.0,
    "quantile": 0.3,
    "xi": 0.1,
    "beta": 0.8,
    "kappa": 2.0,
    "ndt": 0.1,
    "bs": 1.5,
    "bias": 0.4,
    "shape": 1.5,
    "phi": 5.0,
    "zi": 0.2,
    "hu": 0.2,
    "zoi": 0.2,
    "coi": 0.4,
    "threshold": [-1.0, 0.5, 1.5],
    "disc": 1.0,
}
"""Of the parameters of families."""

KNOWN = ("disc",)
"""Parameters whose prior is a constant: no gradient is needed."""

BY_HAND: dict[str, Density] = {}
"""By the name of the family."""

lgamma, log, log1p, exp = tf.math.lgamma, tf.math.log, tf.math.log1p, tf.exp
softplus, sigmoid = tf.math.softplus, tf.math.sigmoid


def by_hand(density: Density) -> Density:
    """Enter a density under its own name."""
    BY_HAND[density.__name__] = density
    return density


def log_normal_cdf(z: Any) -> Any:
    return log(0.5 * tf.math.erfc(-z * np.sqrt(0.5)))


@by_hand
def gaussian(d: Any, eta: Any, p: Any) -> Any:
    z = (d.y - eta) * (1 / p.sigma)
    return -0.5 * z * z - log(p.sigma) - HALF_LOG_2PI


@by_hand
def student(d: Any, eta: Any, p: Any) -> Any:
    z = (d.y - eta) * (1 / p.sigma)
    constant = lgamma(0.5 * (p.nu + 1)) - lgamma(0.5 * p.nu) - 0.5 * log(np.pi * p.nu)
    return constant - log(p.sigma) - 0.5 * (p.nu + 1) * log1p(z * z * (1 / p.nu))


@by_hand
def skew_normal(d: Any, eta: Any, p: Any) -> Any:
    shift = np.sqrt(2 / np.pi) * p.alpha / tf.sqrt(1 + p.alpha**2)
    scale = p.sigma / tf.sqrt(1 - shift**2)
    z = (d.y - eta) * (1 / scale) + shift
    return np.log(2) - HALF_LOG_2PI - log(scale) - 0.5 * z * z + log_normal_cdf(p.alpha * z)


@by_hand
def laplace(d: Any, eta: Any, p: Any) -> Any:
    return -tf.abs(d.y - eta) / p.sigma - log(2 * p.sigma)


@by_hand
def asym_laplace(d: Any, eta: Any, p: Any) -> Any:
    z = (d.y - eta) * (1 / p.sigma)
    return log(p.quantile * (1 - p.quantile) / p.sigma) - tf.maximum(
        (p.quantile - 1) * z, p.quantile * z
    )


@by_hand
def gumbel(d: Any, eta: Any, p: Any) -> Any:
    z = (d.y - eta) * (1 / p.sigma)
    return -z - exp(-z) - log(p.sigma)


@by_hand
def gev(d: Any, eta: Any, p: Any) -> Any:
    t = log1p((d.y - eta) * (p.xi / p.sigma)) * (1 / p.xi)
    return -log(p.sigma) - (1 + p.xi) * t - exp(-t)


@by_hand
def exgaussian(d: Any, eta: Any, p: Any) -> Any:
    ratio = p.sigma / p.beta
    z = (d.y - eta + p.beta) * (1 / p.sigma)
    return ratio * (0.5 * ratio - z) - log(p.beta) + log_normal_cdf(z - ratio)


@by_hand
def von_mises(d: Any, eta: Any, p: Any) -> Any:
    constant = log(tf.math.bessel_i0e(p.kappa)) + np.log(2 * np.pi)
    return p.kappa * (tf.cos(d.y - 2 * tf.atan(eta)) - 1) - constant


@by_hand
def lognormal(d: Any, eta: Any, p: Any) -> Any:
    log_y = log(d.y)
    z = (log_y - eta) * (1 / p.sigma)
    return -0.5 * z * z - log_y - log(p.sigma) - HALF_LOG_2PI


@by_hand
def shifted_lognormal(d: Any, eta: Any, p: Any) -> Any:
    return lognormal(SimpleNamespace(y=d.y - p.ndt), eta, p)


@by_hand
def gamma(d: Any, eta: Any, p: Any) -> Any:
    log_rate = log(p.shape) - eta
    constant = (p.shape - 1) * log(d.y) - lgamma(p.shape)
    return p.shape * log_rate - d.y * exp(log_rate) + constant


@by_hand
def weibull(d: Any, eta: Any, p: Any) -> Any:
    log_y = log(d.y)
    z = p.shape * (log_y - eta + lgamma(1 + 1 / p.shape))
    return log(p.shape) - log_y + z - exp(z)


@by_hand
def exponential(d: Any, eta: Any, p: Any) -> Any:
    return -eta - d.y * exp(-eta)


@by_hand
def inverse_gaussian(d: Any, eta: Any, p: Any) -> Any:
    distance = (d.y * exp(-eta) - 1) ** 2 / d.y
    return 0.5 * (log(p.shape) - 3 * log(d.y) - p.shape * distance) - HALF_LOG_2PI


@by_hand
def beta(d: Any, eta: Any, p: Any) -> Any:
    one = sigmoid(eta) * p.phi
    other = p.phi - one
    constant = lgamma(p.phi) - lgamma(one) - lgamma(other)
    return constant + (one - 1) * log(d.y) + (other - 1) * log1p(-d.y)


@by_hand
def bernoulli(d: Any, eta: Any, p: Any) -> Any:
    return d.y * eta - softplus(eta)


def log_choose(n: Any, k: Any) -> Any:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


@by_hand
def binomial(d: Any, eta: Any, p: Any) -> Any:
    return log_choose(d.trials, d.y) + d.y * eta - d.trials * softplus(eta)


@by_hand
def beta_binomial(d: Any, eta: Any, p: Any) -> Any:
    one = sigmoid(eta) * p.phi
    other = p.phi - one
    ways = log_choose(d.trials, d.y) + lgamma(p.phi) - lgamma(p.phi + d.trials)
    ways += lgamma(one + d.y) - lgamma(one)
    return ways + lgamma(other + d.trials - d.y) - lgamma(other)


@by_hand
def poisson(d: Any, eta: Any, p: Any) -> Any:
    return d.y * eta - exp(eta) - lgamma(d.y + 1)


@by_hand
def negbinomial(d: Any, eta: Any, p: Any) -> Any:
    log_total = log(exp(eta) + p.shape)
    ways = lgamma(d.y + p.shape) - lgamma(p.shape) - lgamma(d.y + 1)
    return ways + p.shape * (log(p.shape) - log_total) + d.y * (eta - log_total)


@by_hand
def geometric(d: Any, eta: Any, p: Any) -> Any:
    return d.y * eta - (d.y + 1) * softplus(eta)


def inflated(density: Density, zero: Density) -> Density:
    """With more zeros; `zero` is the log probability of one."""

    def more(d: Any, eta: Any, p: Any) -> Any:
        at_zero = log(p.zi + (1 - p.zi) * exp(zero(d, eta, p)))
        return tf.where(d.y == 0, at_zero, log1p(-p.zi) + density(d, eta, p))

    return more


def zero_of_poisson(d: Any, eta: Any, p: Any) -> Any:
    return -exp(eta)


def zero_of_negbinomial(d: Any, eta: Any, p: Any) -> Any:
    return -p.shape * log1p(exp(eta) / p.shape)


def zero_of_binomial(d: Any, eta: Any, p: Any) -> Any:
    return -d.trials * softplus(eta)


def zero_of_beta_binomial(d: Any, eta: Any, p: Any) -> Any:
    other = sigmoid(-eta) * p.phi
    return lgamma(other + d.trials) - lgamma(other) + lgamma(p.phi) - lgamma(p.phi + d.trials)


def hurdle(density: Density, name: str, inside: float, zero: Density | None = None) -> Density:
    """Zero with the probability of that name; `zero` is the log probability that is left out."""

    def over(d: Any, eta: Any, p: Any) -> Any:
        none, extra = d.y == 0, getattr(p, name)
        positive = SimpleNamespace(**vars(d) | {"y": tf.where(none, np.float64(inside), d.y)})
        found = log1p(-extra) + density(positive, eta, p)
        found -= log1p(-exp(zero(d, eta, p))) if zero else 0
        return tf.where(none, log(extra), found)

    return over


BY_HAND |= {
    "zero_inflated_poisson": inflated(poisson, zero_of_poisson),
    "zero_inflated_negbinomial": inflated(negbinomial, zero_of_negbinomial),
    "zero_inflated_binomial": inflated(binomial, zero_of_binomial),
    "zero_inflated_beta_binomial": inflated(beta_binomial, zero_of_beta_binomial),
    "zero_inflated_beta": hurdle(beta, "zi", 0.5),
    "hurdle_poisson": hurdle(poisson, "hu", 1.0, zero_of_poisson),
    "hurdle_negbinomial": hurdle(negbinomial, "hu", 1.0, zero_of_negbinomial),
    "hurdle_gamma": hurdle(gamma, "hu", 1.0),
    "hurdle_lognormal": hurdle(lognormal, "hu", 1.0),
}


@by_hand
def zero_one_inflated_beta(d: Any, eta: Any, p: Any) -> Any:
    ends = (d.y == 0) | (d.y == 1)
    inside = beta(SimpleNamespace(y=tf.where(ends, np.float64(0.5), d.y)), eta, p)
    one, zero = log(p.zoi * p.coi), log(p.zoi * (1 - p.coi))
    return tf.where(ends, tf.where(d.y == 1, one, zero), log1p(-p.zoi) + inside)


TERMS = 512
"""Of the constant of a Conway-Maxwell-Poisson distribution: as many as hiermod has, which it needs
for its smallest shapes. (With the values here 64 would do.)"""


@by_hand
def com_poisson(d: Any, eta: Any, p: Any) -> Any:
    k, top = np.arange(float(TERMS)), tf.stop_gradient(p.shape * exp(eta))  # near the largest term
    terms = p.shape * (eta[:, tf.newaxis] * k - lgamma(tf.constant(k + 1)))
    constant = top + log(tf.reduce_sum(exp(terms - top[:, tf.newaxis]), -1))
    return p.shape * (d.y * eta - lgamma(d.y + 1)) - constant


def latent(eta: Any, p: Any) -> Any:
    """Thresholds from the linear predictor, (N, K - 1)."""
    return p.disc * (p.threshold - eta[:, tf.newaxis])


def categories(p: Any) -> Any:
    """Numbers of the categories but the last."""
    return np.arange(1.0, p.threshold.shape[-1] + 1)


@by_hand
def cumulative(d: Any, eta: Any, p: Any) -> Any:
    k = d.y[:, tf.newaxis]
    above = tf.reduce_sum(tf.where(k == categories(p), p.threshold, np.float64(0)), -1)
    below = tf.reduce_sum(tf.where(k == categories(p) + 1, p.threshold, np.float64(0)), -1)
    high = tf.where(d.y > categories(p)[-1], np.float64(1), sigmoid(p.disc * (above - eta)))
    low = tf.where(d.y == 1, np.float64(0), sigmoid(p.disc * (below - eta)))
    return log(high - low)


@by_hand
def hurdle_cumulative(d: Any, eta: Any, p: Any) -> Any:
    category = cumulative(SimpleNamespace(y=tf.maximum(d.y, 1.0)), eta, p)
    return tf.where(d.y == 0, log(p.hu), log1p(-p.hu) + category)


@by_hand
def wiener(d: Any, eta: Any, p: Any) -> Any:
    """By the two series of Navarro and Fuss (2009), each with a fixed number of terms."""
    upper = d.y > 0
    time = tf.abs(d.y) - p.ndt
    drift, w = tf.where(upper, -eta, eta), tf.where(upper, 1 - p.bias, p.bias)
    t = time / p.bs**2
    short = sum((w + 2 * k) * exp(-((w + 2 * k) ** 2) / (2 * t)) for k in range(-3, 4))
    long = sum(
        k * exp(-((k * np.pi) ** 2) * t / 2) * tf.sin(k * np.pi * w) for k in np.arange(1.0, 8)
    )
    first = tf.where(t < 0.25, short * tf.math.rsqrt(2 * np.pi * t**3), np.pi * long)
    return log(first) - 2 * log(p.bs) - drift * p.bs * w - drift**2 * time / 2


@by_hand
def sratio(d: Any, eta: Any, p: Any) -> Any:
    x, k = latent(eta, p), d.y[:, tf.newaxis]
    passed = tf.where(k >= categories(p), -softplus(x), np.float64(0))
    return tf.reduce_sum(passed + tf.where(k == categories(p), x, np.float64(0)), -1)


@by_hand
def cratio(d: Any, eta: Any, p: Any) -> Any:
    return sratio(d, eta, p)  # the same with a symmetric link


@by_hand
def acat(d: Any, eta: Any, p: Any) -> Any:
    sums = tf.cumsum(-latent(eta, p), -1)
    own = tf.reduce_sum(tf.where(d.y[:, tf.newaxis] == categories(p) + 1, sums, np.float64(0)), -1)
    return own - log(1 + tf.reduce_sum(exp(sums), -1))


def others(eta: Any, p: Any) -> list[Any]:
    """Linear predictors of the second and further outcomes; that of the first one is zero."""
    return [eta, *(v for n, v in vars(p).items() if n.startswith("mu"))]


def log_total(etas: list[Any]) -> Any:
    return log(1 + sum(map(exp, etas)))


@by_hand
def categorical(d: Any, eta: Any, p: Any) -> Any:
    etas = others(eta, p)
    own = sum(tf.where(d.y == k, e, np.float64(0)) for k, e in enumerate(etas, 2))
    return own - log_total(etas)


@by_hand
def multinomial(d: Any, eta: Any, p: Any) -> Any:
    etas, y = others(eta, p), tf.unstack(d.y, axis=-1)
    ways = lgamma(d.trials + 1) - sum(lgamma(one + 1) for one in y)
    own = sum(one * e for one, e in zip(y[1:], etas, strict=True))
    return ways + own - d.trials * log_total(etas)


def concentrations(eta: Any, p: Any) -> list[Any]:
    weights = [tf.ones_like(eta), *map(exp, others(eta, p))]
    return [p.phi * one / sum(weights) for one in weights]


@by_hand
def dirichlet(d: Any, eta: Any, p: Any) -> Any:
    both = zip(concentrations(eta, p), tf.unstack(d.y, axis=-1), strict=True)
    return lgamma(p.phi) + sum((a - 1) * log(y) - lgamma(a) for a, y in both)


@by_hand
def dirichlet_multinomial(d: Any, eta: Any, p: Any) -> Any:
    both = zip(concentrations(eta, p), tf.unstack(d.y, axis=-1), strict=True)
    ways = lgamma(d.trials + 1) + lgamma(p.phi) - lgamma(d.trials + p.phi)
    return ways + sum(lgamma(a + y) - lgamma(a) - lgamma(y + 1) for a, y in both)


def simulated(name: str, rows: int) -> tuple[Density, Any, Any, dict[str, Any]]:
    """Log density of hiermod, data of drawn responses, ``eta`` and parameters.

    Raises
    ------
    KeyError
        If there is no density by hand, or no value of a parameter.
    """
    family = FAMILIES[name]
    missing = [p for p in family.parameters if p not in VALUES]
    if name not in BY_HAND or missing:
        what = f"VALUES of {', '.join(missing)}" if missing else "a function of that name"
        raise KeyError(
            f"family {name!r} has no log density by hand: add to benchmarks/families.py {what}."
        )
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"n": np.full(rows, 10), **stand_ins(family, rows)})
    model = hm.model(frame, f"{response(family)} ~ 1", family=name)
    joint, parameters = model._joint, model.specification.family.parameters
    linear = [p.parameter for p in model.specification.others]  # of further outcomes
    given = {
        p: tf.constant(0.5 * rng.normal(size=rows) if p in linear else VALUES[p], tf.float64)
        for p in parameters
    }
    eta = given.pop(linear[0]) if linear else tf.constant(0.5 * rng.normal(size=rows))

    def likelihood(data: dict[str, Any], eta: Any, given: dict[str, Any]) -> Any:
        first = eta
        if linear:  # that of the first outcome is zero
            first, given = data["offset"], given | {linear[0]: eta}
        return joint.functions.likelihood(data, first, *(given[p] for p in parameters))

    def hiermod(d: Any, eta: Any, p: Any) -> Any:
        return likelihood(vars(d), eta, vars(p)).log_prob(d.y)

    drawn = likelihood(joint.data, eta, given).sample(seed=tf.constant([1, 2], tf.int32))
    return hiermod, dict(joint.data) | {"y": drawn}, eta, given


def gradient(density: Density, data: Any, eta: Any, given: dict[str, Any]) -> tuple[Any, Any]:
    """Sum of the log densities, and its slopes in `eta` and the parameters that are not known."""
    at = [eta, *(v for n, v in given.items() if n not in KNOWN)]
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = tf.reduce_sum(density(SimpleNamespace(**data), eta, SimpleNamespace(**given)))
    return value, tape.gradient(value, at)


def agree(hiermod: Density, hand: Density, *point: Any) -> None:
    """Check that value and gradients are the same.

    Raises
    ------
    AssertionError
        If they are not.
    """
    value, slopes = gradient(hiermod, *point)
    other, others = gradient(hand, *point)
    np.testing.assert_allclose(value, other, rtol=1e-9)
    for one, two in zip(slopes, others, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-8)


def loop(density: Density) -> Callable[..., Any]:
    """So many gradients, in one program."""

    @compiled
    def gradients(count: Any, data: Any, eta: Any, given: Any) -> Any:
        def body(i: Any, total: Any, eta: Any, given: Any) -> Any:
            value, (slope, *slopes) = gradient(density, data, eta, given)
            free = [n for n in given if n not in KNOWN]
            moved = {n: given[n] + 1e-12 * s for n, s in zip(free, slopes, strict=True)}
            return i + 1, total + value, eta + 1e-12 * slope, given | moved

        start = (tf.constant(0), tf.constant(0.0, tf.float64), eta, given)
        return tf.while_loop(lambda i, *_: i < count, body, start)[1:]

    return gradients


def timed(name: str, rows: int, repeats: int, least: float = 0.02) -> dict[str, Any]:
    """Seconds of a gradient of both, which take turns in calls of `least` seconds."""
    hiermod, *point = simulated(name, rows)
    agree(hiermod, BY_HAND[name], *point)
    loops, counts = [loop(hiermod), loop(BY_HAND[name])], [1, 1]

    def seconds(which: int) -> float:
        begin = time.process_time()
        tf.nest.map_structure(lambda t: t.numpy(), loops[which](tf.constant(counts[which]), *point))
        return (time.process_time() - begin) / counts[which]

    for which in (0, 1):
        seconds(which)
        while counts[which] * seconds(which) < least:
            counts[which] *= 2
    ours, theirs = np.transpose([[seconds(0), seconds(1)] for _ in range(repeats)])
    return {
        "family": name,
        "rows": rows,
        "hiermod": ours.min(),
        "by_hand": theirs.min(),
        "ratio": ours.min() / theirs.min(),
    }


def main() -> None:
    """Measure, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    rows = {row["family"]: row for row in stored}
    for name in options.families:
        rows[name] = timed(name, options.rows, options.repeats)
        print(json.dumps(rows[name]), flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        kept = [rows[family] for family in FAMILIES if family in rows]
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
