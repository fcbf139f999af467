"""Is the sampler right? One compiled block, and whole runs, on densities with known answers."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import arviz as az
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from hiermod.errors import SamplingError
from hiermod.inference import Settings, hmc, run, start_positions
from hiermod.inference.adaptation import directions, flat_directions, windows
from hiermod.inference.diagnostics import diagnose
from hiermod.inference.hmc import (
    FEW_NUMBERS,
    HMC,
    LONGEST_STEP,
    Metric,
    Point,
    State,
    StepSize,
    Tuning,
    block_program,
    leap,
    update_step_size,
    value_and_gradient,
)
from hiermod.inference.nuts import NUTS
from hiermod.inference.run import SAMPLERS, superchains

pytestmark = pytest.mark.statistical
runner = import_module("hiermod.inference.run")  # the function of that name hides it

COVARIANCE = np.array([[1.0, 0.9], [0.9, 4.0]])
PRECISION = tf.constant(np.linalg.inv(COVARIANCE))
SHAPES = np.array([0.7, 3.0])  # of two log-gamma variables, the first with a long left tail


def gaussian(position, data=()):
    """Two normal variables with correlation 0.45."""
    return -0.5 * tf.einsum("ci,ij,cj->c", position, PRECISION, position)


def log_gamma(position, data=()):
    """Logarithms of gamma variables: log p = shape x - exp(x)."""
    return tf.reduce_sum(tf.constant(SHAPES) * position - tf.exp(position), -1)


def colder(log_density):
    """The same target 10 % cooler: its logarithm times 1 / 0.9."""
    return lambda position, data=(): log_density(position, data) / 0.9


def gaussian_draws(generator, n):
    return generator.multivariate_normal(np.zeros(2), COVARIANCE, n)


def log_gamma_draws(generator, n):
    return np.log(generator.gamma(SHAPES, size=(n, 2)))


def gaussian_margins(x):
    """Each margin with its distribution function, and the quadratic form with its own."""
    for i in range(2):
        yield stats.kstest(x[:, i], stats.norm(0, np.sqrt(COVARIANCE[i, i])).cdf)
    yield stats.kstest(-2 * gaussian(tf.constant(x)).numpy(), stats.chi2(2).cdf)


def log_gamma_margins(x):
    for i in range(2):
        yield stats.kstest(np.exp(x[:, i]), stats.gamma(SHAPES[i]).cdf)
    # The two are independent: so are the uniforms that they turn into.
    u = stats.gamma(SHAPES).cdf(np.exp(x))
    yield stats.kstest((u[:, 0] + u[:, 1]) % 1, stats.uniform().cdf)


TARGETS = {
    "gaussian": (gaussian, gaussian_draws, gaussian_margins, 1.2),
    "log gamma": (log_gamma, log_gamma_draws, log_gamma_margins, 0.8),
}


METRIC = Metric(
    scale=tf.constant([0.8, 1.5], tf.float64),
    vectors=tf.constant([[0.6, 0.0], [0.8, 0.0]], tf.float64),  # the second one is not used
    values=tf.constant([0.6, 1.0], tf.float64),
    centre=tf.constant([0.2, -0.3], tf.float64),
)


def moved(log_density, draws, step_size, seed, sampler=HMC, change=None, count=5, data=()):
    """Independent draws of a target, each after some transitions; and what these were."""
    chains, dimensions = draws.shape
    position = tf.constant(draws)
    state = State(position, *value_and_gradient(log_density, position, data))
    log_step = tf.constant(np.log(step_size), tf.float64)
    zero = tf.constant(0.0, tf.float64)
    step = StepSize(log_step, log_step, zero, zero, log_step)
    tuning = Tuning(
        metric=METRIC,  # any metric must do
        trajectory_length=tf.constant(1.2, tf.float64),
        target_accept=tf.constant(0.8, tf.float64),
        max_steps=tf.constant(50),
        adapt=tf.constant(False),
        count=tf.constant(count),
    )
    noise = sampler.draw_noise(np.random.default_rng(seed), 5, chains, dimensions)
    if change:
        noise = change(noise)
    state, _, done = block_program(log_density, 5, sampler)(state, step, tuning, noise, data)
    return state.position.numpy(), done.rows(count)


@pytest.mark.parametrize(
    ("sampler", "data"),
    [("hmc", ()), ("hmc", np.zeros(1)), ("nuts", ())],
    ids=["hmc", "hmc, few data", "nuts"],
)
@pytest.mark.parametrize("name", TARGETS)
def test_transitions_leave_the_target_invariant(name, sampler, data, monkeypatch):
    monkeypatch.setattr(hmc, "FEW_NUMBERS", 10**6)  # so that one number is few for all chains
    log_density, draw, margins, step_size = TARGETS[name]
    sampler = SAMPLERS[sampler]
    draws = draw(np.random.default_rng(1), 100_000)
    found, rows = moved(log_density, draws, step_size, 2, sampler, data=data)
    acceptance = rows["acceptance_rate"].mean()
    assert 0.5 < acceptance < 0.97  # else acceptance and rejection are not tried
    assert not np.isclose(found, draws).all(axis=1).any() or acceptance < 1
    assert min(test.pvalue for test in margins(found)) > 1e-3

    # The same test must notice a target that is 10 % cooler.
    wrong, _ = moved(colder(log_density), draws, step_size, 2, sampler, data=data)
    assert min(test.pvalue for test in margins(wrong)) < 1e-9


def test_few_data_have_the_density_at_every_step_and_the_same_draws():
    target, draw, _, step_size = TARGETS["log gamma"]
    chains = 500
    draws, found, few = draw(np.random.default_rng(1), chains), [], FEW_NUMBERS // chains
    for numbers, copies in ((0, 2), (few, 1), (few + 1, 2)):
        traced = []

        def log_density(position, data, traced=traced):
            traced.append(not tf.executing_eagerly())
            return target(position)

        data = tf.zeros(numbers) if numbers else ()
        found.append(moved(log_density, draws, step_size, 2, data=data))
        assert sum(traced) == copies
    (first, rows), *others = found
    assert 0.5 < rows["acceptance_rate"].mean() < 0.97
    for position, statistics in others:
        np.testing.assert_allclose(position, first, rtol=1e-11)
        for name in ("lp", "energy", "acceptance_rate"):
            np.testing.assert_allclose(statistics[name], rows[name], rtol=1e-9, atol=1e-9)


def test_without_rejections_the_target_is_not_invariant():
    """The test has the power to see a missing Metropolis step: all proposals accepted."""
    log_density, draw, margins, _ = TARGETS["log gamma"]
    draws = draw(np.random.default_rng(1), 100_000)
    position = tf.constant(draws)
    generator = np.random.default_rng(2)
    for _ in range(5):
        momentum = tf.constant(generator.standard_normal(draws.shape))
        q, p, step = position, momentum, 0.9
        for _ in range(2):
            p = p + 0.5 * step * value_and_gradient(log_density, q, ())[1]
            q = q + step * p
            p = p + 0.5 * step * value_and_gradient(log_density, q, ())[1]
        position = q
    assert min(test.pvalue for test in margins(position.numpy())) < 1e-9


@pytest.mark.parametrize(("part", "value"), [(0, 0.0), (1, 0.0), (2, 0.0)])
def test_without_a_choice_of_its_trees_nuts_is_not_invariant(part, value):
    """Always forward; always the last leaf; always the new half: each is noticed."""
    log_density, draw, margins, step_size = TARGETS["log gamma"]
    draws = draw(np.random.default_rng(1), 100_000)

    def change(noise):
        tree = noise.tree.numpy()
        tree[:, :, part] = value
        return noise._replace(tree=tf.constant(tree))

    wrong, _ = moved(log_density, draws, step_size, 2, NUTS, change)
    assert min(test.pvalue for test in margins(wrong)) < 1e-9


def leaves_until_a_turn(position, white, forward, step_size):
    """Steps of a tree, by looking at every subtree of every doubling."""
    scale, vectors, values, centre = (x.numpy() for x in METRIC)
    root = np.diag(scale) @ (np.eye(2) + vectors @ np.diag(np.sqrt(values) - 1) @ vectors.T)
    inverse_mass = root @ root.T
    mass = np.linalg.inv(inverse_mass)

    def move(q, p, step):
        p = p - 0.5 * step * (PRECISION.numpy() @ q - mass @ (q - centre))
        turn = [np.cos(step), np.sin(step)]
        q, p = (
            centre + turn @ np.array([q - centre, inverse_mass @ p]),
            turn @ np.array([p, -mass @ (q - centre)]),
        )
        return q, p - 0.5 * step * (PRECISION.numpy() @ q - mass @ (q - centre))

    def turns(points):
        (q, p), (r, o) = points[0], points[-1]
        return (r - q) @ p <= 0 or (r - q) @ o <= 0

    tree, n_steps = [(position, np.linalg.solve(root.T, white))], 0
    for ahead in forward:
        sign, new = (1, []) if ahead else (-1, [])
        for leaf in range(1, len(tree) + 1):
            new.append(move(*(new or tree[::sign])[-1], sign * step_size))
            n_steps += 1
            ended = [new[-size:][::sign] for size in (2, 4, 8, 16) if leaf % size == 0]
            if any(map(turns, ended)):
                return n_steps
        tree = (tree[::sign] + new)[::sign]
        if turns(tree):
            break
    return n_steps


@pytest.mark.parametrize("step_size", [0.15, 0.6])
def test_trees_end_where_a_subtree_turns(step_size):
    draws = gaussian_draws(np.random.default_rng(1), 300)
    noises = []
    _, rows = moved(
        gaussian, draws, step_size, 2, NUTS, lambda n: noises.append(n) or n, count=1
    )  # fmt: skip
    white, forward = noises[0].momentum.numpy()[0], noises[0].tree.numpy()[0, :, 0] < 0.5
    expected = [
        leaves_until_a_turn(draws[c], white[c], forward[:5, c], step_size)  # at most 50 steps
        for c in range(300)
    ]
    np.testing.assert_array_equal(rows["n_steps"][0], expected)
    assert len(set(expected)) > 3


# --- whole runs ---------------------------------------------------------------------------------

SCALES = np.array([0.03, 1.0, 30.0, 5.0])
CENTRES = np.array([0.1, 0.0, -50.0, 1.0])


def wide(position, data=()):
    """Normal variables whose scales span three orders of magnitude."""
    return -0.5 * tf.reduce_sum(((position - CENTRES) / SCALES) ** 2, -1)


def funnel_of_two(position, data=()):
    """A mild funnel: v ~ normal(0, 0.5), x ~ normal(0, exp(v / 2))."""
    v, x = position[:, 0], position[:, 1]
    return -2 * v**2 - 0.5 * v - 0.5 * x**2 * tf.exp(-v)


def sampled(log_density, dimensions, *, chains=4, data=(), report=None, **settings):
    settings = Settings(**{"seed": 3} | settings)
    start = start_positions(log_density, data, np.zeros(dimensions), chains, settings.seed)
    return run(log_density, start, settings, data, report=report)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_warm_up_finds_the_normal_density(sampler):
    draws = sampled(wide, 4, draws=2000, sampler=sampler)
    assert draws.position.shape == (4, 2000, 4)
    np.testing.assert_allclose(draws.metric[0], SCALES, rtol=0.25)
    away = (draws.metric[3] - CENTRES) / SCALES
    np.testing.assert_allclose(away, 0, atol=0.3)
    # Where it is known, only the error of what was learned costs accuracy: steps are the longest.
    assert draws.statistics["acceptance_rate"].mean() > 0.9
    assert draws.statistics["step_size"].max() > 0.99 * LONGEST_STEP
    assert not draws.statistics["diverging"].any()
    for i in range(4):
        x = draws.position[..., i]
        assert az.ess(x) > 1000
        assert abs(x.mean() - CENTRES[i]) < 5 * az.mcse(x, method="mean")
        assert abs(x.std(ddof=1) - SCALES[i]) < 5 * az.mcse(x, method="sd")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_warm_up_finds_the_acceptance(sampler):
    found = [
        sampled(log_gamma, 2, draws=2000, sampler=sampler, target_accept=target)
        .statistics["acceptance_rate"]
        .mean()
        for target in (0.8, 0.95)
    ]
    # Of the mean of the last window; the average iterate is a little cautious.
    assert 0.7 < found[0] < 0.93
    assert 0.91 < found[1] < 0.99
    assert found[0] < found[1]


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_measurement_does_not_matter(unit):
    """A metric shrunk to a number, not to a unit, would need thousands of steps."""
    sd = unit * np.array([1.0, 4.0, 0.5])

    def log_density(position, data=()):
        return -0.5 * tf.reduce_sum((position / sd) ** 2, -1)

    settings = Settings(seed=3, draws=500)
    start = start_positions(log_density, (), np.zeros(3), 4, 3, radius=1.5 * sd)
    draws = run(log_density, start, settings, scale=3 * sd)
    np.testing.assert_allclose(draws.metric[0], sd, rtol=0.25)
    assert draws.statistics["n_steps"].mean() < 20
    for i in range(3):
        assert az.ess(draws.position[..., i]) > 500


def test_statistics_are_what_they_are_called():
    draws = sampled(gaussian, 2, draws=200, warmup=200)
    s = draws.statistics
    assert all(v.shape == (4, 200) for v in s.values())
    lp = gaussian(tf.constant(draws.position.reshape(-1, 2))).numpy().reshape(4, 200)
    np.testing.assert_allclose(s["lp"], lp, rtol=1e-10, atol=1e-12)
    assert (s["energy"] >= -s["lp"]).all()  # a kinetic energy is not negative
    assert ((s["acceptance_rate"] >= 0) & (s["acceptance_rate"] <= 1)).all()
    # Common to the chains and jittered, but no longer adapted: no trend.
    for name in ("step_size", "n_steps"):
        assert (s[name] == s[name][0]).all()
    halves = s["step_size"][0].reshape(2, -1)
    assert stats.ks_2samp(*halves).pvalue > 0.01
    length = s["n_steps"] * s["step_size"]
    assert (length < 1.5 * draws.trajectory_length + s["step_size"]).all()
    assert s["n_steps"].min() >= 1


def test_a_model_of_middling_size_runs_in_two_groups(monkeypatch):
    """With the moments of one that runs in one, and the same draws on a machine with one core."""
    data = tf.zeros(10_000)
    two, one = sampled(wide, 4, data=data), sampled(wide, 4)
    for name in ("step_size", "n_steps"):
        first, second = two.statistics[name][:2], two.statistics[name][2:]
        assert (first == first[0]).all()
        assert (second == second[0]).all()
        assert (first[0] != second[0]).mean() > 0.5
    for i in range(4):
        x, y = two.position[..., i], one.position[..., i]
        error = np.hypot(az.mcse(x, method="mean"), az.mcse(y, method="mean"))
        assert abs(x.mean() - y.mean()) < 5 * error
        assert x.std() == pytest.approx(y.std(), rel=0.15)
        assert az.rhat(x) < 1.01
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(runner, "workers", lambda: pool)
        np.testing.assert_array_equal(sampled(wide, 4, data=data).position, two.position)


@pytest.mark.parametrize("n", [1, 3, 1000])
def test_the_depth_of_a_tree_is_that_of_its_steps(n):
    draws = sampled(wide, 4, warmup=100, draws=200, sampler="nuts", max_steps=n, keep_warmup=True)
    for s in (draws.statistics, draws.warmup[1]):
        steps, depth = s["n_steps"], s["tree_depth"]
        assert depth.dtype.kind == "i"
        assert depth.shape == s["lp"].shape
        assert steps.min() >= 1
        assert steps.max() <= n
        assert (2.0 ** (depth - 1) <= steps).all()
        assert (steps <= 2.0**depth - 1).all()
    steps = draws.statistics["n_steps"]
    assert (steps[0] != steps[1]).any() == (n > 1)  # each chain has its own
    assert "tree_depth" not in sampled(gaussian, 2, warmup=50, draws=50).statistics


def test_what_nuts_says_of_its_draws_is_so():
    draws = sampled(gaussian, 2, draws=200, warmup=200, sampler="nuts")
    s = draws.statistics
    lp = gaussian(tf.constant(draws.position.reshape(-1, 2))).numpy().reshape(4, 200)
    np.testing.assert_allclose(s["lp"], lp, rtol=1e-10, atol=1e-12)
    assert (s["energy"] >= -s["lp"]).all()  # a kinetic energy is not negative
    assert ((s["acceptance_rate"] > 0) & (s["acceptance_rate"] <= 1)).all()
    assert len(np.unique(s["step_size"])) == 1


def test_another_sampler_has_other_draws_of_the_same_density():
    hmc, nuts = (sampled(funnel_of_two, 2, draws=4000, sampler=s).position for s in SAMPLERS)
    assert np.isclose(hmc, nuts).mean() < 1e-3
    v, x = np.moveaxis(nuts, -1, 0)
    for draws, mean in ((v, 0), (v**2, 0.25), (x**2, np.exp(0.125))):
        assert az.ess(draws) > 400
        assert abs(draws.mean() - mean) < 5 * az.mcse(draws, method="mean")
        # A mean 10 standard errors away would be noticed.
        assert abs(draws.mean() - mean - 10 * az.mcse(draws, method="mean")) > 5 * az.mcse(
            draws, method="mean"
        )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_seed_decides(sampler):
    first, again, other = (
        sampled(gaussian, 2, draws=50, seed=s, sampler=sampler).position for s in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()
    assert not np.isclose(first[0], first[1]).any()  # chains have noise of their own


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_more_draws_begin_with_the_same_draws(sampler):
    few, many = (sampled(gaussian, 2, draws=n, sampler=sampler).position for n in (40, 130))
    np.testing.assert_array_equal(few, many[:, :40])


@pytest.mark.parametrize(("sampler", "few"), [("hmc", FEW_NUMBERS), ("hmc", 0), ("nuts", 0)])
def test_nothing_is_traced_again(sampler, few, monkeypatch):
    monkeypatch.setattr(hmc, "FEW_NUMBERS", few)
    traces = 0

    def log_density(position, data):
        nonlocal traces
        traces += not tf.executing_eagerly()
        return -0.5 * tf.reduce_sum((position - data["centre"]) ** 2, -1)

    def go(centre, **settings):
        data = {"centre": tf.constant(centre)}
        return sampled(log_density, 3, data=data, sampler=sampler, **settings)

    go(np.zeros(3), warmup=50, draws=30)
    first = traces
    assert 1 <= first <= 3
    moved = go(np.full(3, 5.0), warmup=300, draws=500, seed=11, target_accept=0.9)
    assert traces == first
    assert abs(moved.position.mean() - 5) < 0.2  # the new data did arrive
    go(np.zeros(3), warmup=50, draws=30, chains=2)  # another shape is another program
    assert traces > first


def funnel(position, data=()):
    """Neal (2003), section 8: v ~ normal(0, 3), nine x ~ normal(0, exp(v / 2))."""
    v, x = position[:, 0], position[:, 1:]
    return -(v**2) / 18 - 4.5 * v - 0.5 * tf.reduce_sum(x**2, -1) * tf.exp(-v)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_divergences_are_recorded_on_a_funnel(sampler):
    draws = sampled(funnel, 10, sampler=sampler)
    diverging = draws.statistics["diverging"]
    assert diverging.dtype == bool
    assert diverging.sum() > 0
    assert not sampled(gaussian, 2, sampler=sampler).statistics["diverging"].any()
    # They are where the funnel is narrow.
    v = draws.position[..., 0]
    assert v[diverging].mean() < v.mean()


class Stop:
    """A report that presses Ctrl-C."""

    def __init__(self, phase, done):
        self.phase, self.done, self.seen = phase, done, []

    def __call__(self, progress):
        self.seen.append(progress)
        if progress.phase == self.phase and progress.done >= self.done:
            raise KeyboardInterrupt


def test_an_interrupt_keeps_the_draws_so_far():
    whole = sampled(gaussian, 2, warmup=100, draws=200)
    report = Stop("draws", 190)
    part = sampled(gaussian, 2, warmup=100, draws=200, report=report)
    assert part.interrupted
    assert not whole.interrupted
    kept = part.position.shape[1]
    assert 90 <= kept <= 115
    np.testing.assert_array_equal(part.position, whole.position[:, :kept])
    assert all(v.shape == (4, kept) for v in part.statistics.values())
    done = [p.done for p in report.seen]
    assert done == sorted(done)
    assert report.seen[-1].total == 300


@pytest.mark.parametrize("stop", [("warmup", 1), ("warmup", 60)])
def test_an_interrupt_before_any_draw_is_passed_on(stop):
    with pytest.raises(KeyboardInterrupt):
        sampled(gaussian, 2, warmup=100, draws=200, report=Stop(*stop))


def test_a_density_that_is_nowhere_finite():
    def nowhere(position, data=()):
        return tf.reduce_sum(position, -1) * np.nan

    with pytest.raises(SamplingError, match=r"at the start, in 3 of 3 places tried\. It is NaN\."):
        start_positions(nowhere, (), np.zeros(2), 3, 0, explain=lambda position: "It is NaN.")


def test_a_start_is_found_where_most_of_the_space_is_not_allowed():
    def corner(position, data=()):
        inside = tf.reduce_all(tf.abs(position) < 0.05, -1)
        return tf.where(inside, -tf.reduce_sum(position**2, -1), np.float64(-np.inf))

    positions = start_positions(corner, (), np.zeros(2), 4, 0)
    assert (np.abs(positions) < 0.05).all()
    assert np.unique(positions).size == 8


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"warmup": 5}, "warmup must be a whole number, at least 20, not 5"),
        ({"draws": 0}, "draws must be a whole number, at least 1, not 0"),
        ({"draws": 10.5}, "draws must be a whole number, at least 1, not 10.5"),
        ({"seed": -1}, "seed must be a whole number, at least 0, not -1"),
        ({"target_accept": 1.0}, "target_accept must be between 0 and 1, not 1.0"),
        ({"target_accept": 0}, "target_accept must be between 0 and 1, not 0"),
        ({"target_accept": float("nan")}, "target_accept must be between 0 and 1, not nan"),
        ({"sampler": "nut"}, "unknown sampler 'nut'. Did you mean 'nuts'? Allowed: hmc, nuts."),
        ({"sampler": None}, "unknown sampler None. Allowed: hmc, nuts."),
    ],
)
def test_options_out_of_range(option, says):
    with pytest.raises(SamplingError) as info:
        Settings(**option)
    assert says in str(info.value)


@pytest.mark.parametrize("warmup", [20, 37, 100, 500, 1000, 5001])
def test_windows_add_up(warmup):
    plan = windows(warmup)
    assert sum(w.length for w in plan) == warmup
    assert min(w.length for w in plan) > 0


def test_the_metric_learns_directions_beside_the_axes():
    generator = np.random.default_rng(0)
    correlation = np.array([[1, 0.95, 0], [0.95, 1, 0], [0, 0, 1]])
    x = generator.multivariate_normal(np.zeros(3), correlation, (2000, 4))
    vectors, variances, longest = directions(x, np.ones(3), 4)
    np.testing.assert_allclose(np.sort(variances), [0.05, 1, 1, 1.95], rtol=0.06)
    widest = vectors[:, variances.argmax()]
    np.testing.assert_allclose(abs(widest), [0.5**0.5, 0.5**0.5, 0], atol=0.03)
    assert longest == pytest.approx(1, abs=0.05)
    # With fewer directions than there are, what is left is told.
    _, (only,), longest = directions(x, np.ones(3), 1)
    assert only == pytest.approx(0.05, rel=0.06)
    assert longest == pytest.approx(np.sqrt(1.95), rel=0.02)


def test_the_metric_does_not_learn_noise():
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((20, 4, 100))  # fewer draws than dimensions
    vectors, variances, longest = directions(noise, np.ones(100), 16)
    assert longest < 1.3
    assert abs(vectors).max() == 0
    assert (variances == 1).all()


UNITS = np.exp(np.linspace(-3, 3, 600))
WIDE = np.linalg.qr(np.random.default_rng(1).standard_normal((600, 3)))[0]
WIDTHS = np.array([3.0, 5.0, 8.0])


def ridges(position, data=()):
    """A normal density in 600 dimensions, three of whose directions are wide in the given units."""
    white = position / UNITS
    along = tf.matmul(white, tf.constant(WIDE)) ** 2 * (1 - 1 / WIDTHS**2)
    return -0.5 * (tf.reduce_sum(white**2, -1) - tf.reduce_sum(along, -1))


def test_in_many_dimensions_the_metric_learns_from_curvature():
    def gradient(position):
        return value_and_gradient(ridges, tf.constant(position), ())[1].numpy()

    places = np.random.default_rng(2).standard_normal((2, 600))
    vectors, variances, longest = flat_directions(gradient, places, UNITS, 4)
    np.testing.assert_allclose(np.sort(variances), [1, 9, 25, 64], rtol=1e-3)
    np.testing.assert_allclose(abs(WIDE[:, 2] @ vectors[:, variances.argmax()]), 1, atol=1e-4)
    assert longest == pytest.approx(1, abs=1e-3)
    _, variances, longest = flat_directions(gradient, places, UNITS, 2)
    np.testing.assert_allclose(np.sort(variances), [25, 64], rtol=1e-3)
    assert longest == pytest.approx(3, rel=1e-3)


def test_a_density_without_curvature_teaches_the_metric_nothing():
    """Nor one that is not finite."""
    for value in (0.0, np.nan):
        vectors, variances, longest = flat_directions(
            lambda x, value=value: np.full_like(x, value), np.zeros((2, 600)), UNITS, 4
        )
        assert np.isfinite(vectors).all()
        assert (variances == 1).all()
        assert longest == 1


def test_many_dimensions_with_wide_directions_are_sampled_well():
    draws = sampled(ridges, 600, draws=1000)
    white = draws.position / UNITS
    assert draws.statistics["n_steps"].mean() < 15  # a diagonal metric would need 8 times as many
    for i in range(3):
        x = white @ WIDE[:, i]
        assert az.ess(x) > 1000
        assert abs(x.mean()) < 5 * az.mcse(x, method="mean")
        assert abs(x.std() - WIDTHS[i]) < 5 * az.mcse(x, method="sd")
    narrow = white - white @ WIDE @ WIDE.T
    assert narrow.var() == pytest.approx(597 / 600, rel=0.01)


def test_the_longest_step_is_left_as_soon_as_it_is_too_long():
    """Adaptation does not go on behind the limit, where it would have to come back from."""
    one, zero, target = (tf.constant(x, tf.float64) for x in (1.0, 0.0, 0.8))
    step = StepSize(*(tf.constant(x, tf.float64) for x in (-2.0, -2.0, 0.0, 0.0, 0.0)))
    for _ in range(200):
        step = update_step_size(step, one, target)
        assert np.exp(step.log_step) <= LONGEST_STEP
    assert np.exp(step.log_step) == LONGEST_STEP
    for _ in range(3):
        step = update_step_size(step, zero, target)
    assert np.exp(step.log_step) < 0.2


def _covariance(metric):
    root = metric.spread(tf.eye(metric.scale.shape[0], dtype=tf.float64)).numpy()
    return root.T @ root


def test_the_metric_is_its_matrix():
    scale, vectors, values, _ = (x.numpy() for x in METRIC)
    rotated = np.eye(2) + vectors @ np.diag(values - 1) @ vectors.T
    inverse_mass = np.diag(scale) @ rotated @ np.diag(scale)
    x = np.random.default_rng(1).standard_normal((5, 2))
    np.testing.assert_allclose(METRIC.velocity(tf.constant(x)), x @ inverse_mass, rtol=1e-12)
    spread = METRIC.spread(tf.constant(np.eye(2))).numpy()
    np.testing.assert_allclose(spread.T @ spread, inverse_mass, rtol=1e-12)
    np.testing.assert_allclose(METRIC.whiten(METRIC.spread(tf.constant(x))), x, rtol=1e-12)
    momentum = METRIC.momentum(tf.constant(x))
    np.testing.assert_allclose(METRIC.velocity(momentum), x, rtol=1e-12)


def test_in_the_normal_density_of_the_metric_a_step_of_any_length_is_exact():
    precision, centre = np.linalg.inv(_covariance(METRIC)), METRIC.centre.numpy()

    def its_own(position, data=()):
        away = position - centre
        return -0.5 * tf.einsum("ci,ij,cj->c", away, tf.constant(precision), away)

    generator = np.random.default_rng(5)
    position = tf.constant(generator.normal(0, 3, (50, 2)))
    white = tf.constant(generator.normal(size=(50, 2)))
    start = State(position, *value_and_gradient(its_own, position, ()))
    at = Point.begin(start, white, METRIC)
    np.testing.assert_allclose(at.force, 0, atol=1e-9)
    energy = 0.5 * tf.reduce_sum(white**2, -1) - start.log_density
    for step in tf.unstack(tf.constant([0.01, 1.0, 2.0], tf.float64)):
        at, value = leap(lambda q: value_and_gradient(its_own, q, ()), at, step, METRIC)
        after = 0.5 * tf.reduce_sum(METRIC.whiten(at.velocity) ** 2, -1) - value
        np.testing.assert_allclose(after, energy, rtol=1e-10)
    # Once round is where it began.
    end, _ = leap(
        lambda q: value_and_gradient(its_own, q, ()),
        at,
        tf.constant(2 * np.pi - 3.01, tf.float64),
        METRIC,
    )
    np.testing.assert_allclose(end.position, position, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("target", [gaussian, log_gamma])
def test_steps_are_reversible_keep_volume_and_are_of_second_order(target):
    def evaluate(q):
        return value_and_gradient(target, q, ())

    def leaps(inputs, step, count):
        position, velocity = inputs[:, :2], inputs[:, 2:]
        gradient = evaluate(position)[1]
        at = Point(position, velocity, gradient, METRIC.force(position, gradient))
        for _ in range(count):
            at, _ = leap(evaluate, at, tf.constant(step, tf.float64), METRIC)
        return tf.concat([at.position, at.velocity], -1)

    begin = tf.constant(np.random.default_rng(6).normal(0, 0.7, (20, 4)))
    np.testing.assert_allclose(leaps(leaps(begin, 0.5, 4), -0.5, 4), begin, rtol=1e-9, atol=1e-9)
    with tf.GradientTape() as tape:
        tape.watch(begin)
        end = leaps(begin, 0.5, 2)
    volume = np.linalg.det(tape.batch_jacobian(end, begin))
    np.testing.assert_allclose(volume, 1, rtol=1e-9)
    exact = leaps(begin, 0.001, 600)
    coarse, fine = (np.abs(leaps(begin, s, n) - exact).max() for s, n in ((0.1, 6), (0.05, 12)))
    assert coarse / fine == pytest.approx(4, rel=0.1)


# --- when to stop, many chains, warm-up ---------------------------------------------------------


def test_until_stops_when_the_draws_are_enough():
    few = sampled(gaussian, 2, draws=20_000, until="ess >= 400")
    many = sampled(gaussian, 2, draws=20_000, until="ess >= 4000")
    for draws, least in ((few, 400), (many, 4000)):
        found = diagnose(draws.position)
        assert min(found["ess_bulk"].min(), found["ess_tail"].min()) >= least
        assert found["r_hat"].max() < 1.01
    assert few.position.shape[1] < many.position.shape[1] < 20_000
    np.testing.assert_array_equal(few.position, many.position[:, : few.position.shape[1]])
    # What cannot be reached ends at the limit.
    assert sampled(gaussian, 2, draws=150, until="ess >= 1e9").position.shape[1] == 150


def test_progress_towards_until_is_that_of_the_quantities():
    seen = []
    draws = sampled(gaussian, 2, draws=20_000, until="ess >= 1500", report=seen.append)
    assert {p.wanted for p in seen} == {(1500.0, 1.01)}
    ess = [p.ess for p in seen if p.phase == "draws"]
    found = diagnose(draws.position)
    assert ess[-1] == min(found["ess_bulk"].min(), found["ess_tail"].min()) >= 1500
    assert seen[-1].r_hat == found["r_hat"].max()
    assert np.isnan(ess[0])
    sampled(gaussian, 2, draws=200, report=seen.append)
    assert seen[-1].wanted is None


def test_until_asks_the_quantities_it_is_given():
    start = start_positions(gaussian, (), np.zeros(2), 4, 3)
    settings = Settings(seed=3, draws=2000, until="ess >= 400")

    def stuck(position):
        """A quantity in which the chains never agree."""
        return position[..., :1] + 10 * np.arange(4)[:, None, None]

    assert run(gaussian, start, settings, quantities=stuck).position.shape[1] == 2000
    assert run(gaussian, start, settings).position.shape[1] < 2000


def test_a_limit_of_time_ends_the_draws():
    draws = sampled(gaussian, 2, warmup=20, draws=10**7, max_seconds=0.5)
    assert 0 < draws.position.shape[1] < 10**7
    assert not draws.interrupted


def test_many_chains_start_together_and_are_told_apart_by_nested_r_hat():
    places = start_positions(gaussian, (), np.zeros(2), 256, 3)
    assert len(np.unique(places[:, 0])) == superchains(256) == 16
    assert (places[:16] == places[0]).all()
    draws = sampled(gaussian, 2, chains=256, warmup=100, draws=5)
    assert draws.superchains == 16
    assert diagnose(draws.position, 16)["r_hat"].max() < 1.05
    moved = draws.position + 5 * (np.arange(256) < 16)[:, None, None]  # one superchain elsewhere
    assert diagnose(moved, 16)["r_hat"].min() > 1.05


def test_warm_up_is_kept_when_asked():
    draws = sampled(wide, 4, warmup=100, draws=50, keep_warmup=True)
    position, statistics = draws.warmup
    assert position.shape == (4, 100, 4)
    assert statistics["lp"].shape == (4, 100)
    assert len(np.unique(statistics["step_size"])) > 50  # it was being adapted
    plain = sampled(wide, 4, warmup=100, draws=50)
    assert plain.warmup is None
    np.testing.assert_array_equal(plain.position, draws.position)


@pytest.mark.parametrize("text", ["ess > many", "r_hat < 1.01", "", 400, "ess >= 400, r_hat < 1"])
def test_what_until_does_not_understand(text):
    with pytest.raises(SamplingError, match="until must be text such as"):
        Settings(until=text)


def test_what_until_cannot_reach():
    with pytest.raises(SamplingError, match="r_hat is never below 1"):
        Settings(until="ess >= 400 and r_hat < 1")
