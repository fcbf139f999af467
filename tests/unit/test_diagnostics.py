"""R-hat and effective sample sizes: ArviZ's numbers, and what they are for."""

import arviz as az
import numpy as np
import pytest
from scipy import signal, stats

from hiermod.inference import diagnostics as d

Q = 5
"""Quantities of a case."""


def autoregressive(generator, shape, rho):
    """Stationary AR(1) draws of variance 1."""
    noise = generator.normal(size=shape)
    noise[:, 1:] *= np.sqrt(1 - rho**2)
    return signal.lfilter([1], [1, -rho], noise, axis=1)


CASES = {
    "normal": lambda g, s: g.normal(size=s),
    "slow": lambda g, s: autoregressive(g, s, 0.9),
    "antithetic": lambda g, s: autoregressive(g, s, -0.7),
    "heavy tails": lambda g, s: g.standard_cauchy(s),
    "far from zero": lambda g, s: 1e6 + g.normal(size=s),
    "counts": lambda g, s: g.poisson(2, s),
    "two values": lambda g, s: g.integers(0, 2, s),
    "rare": lambda g, s: (g.uniform(size=s) < 0.02) + 0.0,
    "repeated draws": lambda g, s: np.repeat(g.normal(size=s), 3, 1)[:, : s[1]],
    "shifted": lambda g, s: g.normal(size=s) + np.arange(s[0])[:, None, None],
    "scaled": lambda g, s: g.normal(size=s) * (1 + np.arange(s[0]))[:, None, None],
    "constant": lambda g, s: np.full(s, 0.1),
}
SHAPES = [(4, 4), (2, 5), (4, 7), (3, 8), (2, 9), (1, 50), (1, 101), (4, 100), (3, 251)]


def arviz_tail(x):
    """The definition; ArviZ 0.23's quantiles can be off by rounding, which counts a draw less."""
    return min(float(az.ess(x <= np.quantile(x, p), method="mean")) for p in (0.05, 0.95))


ARVIZ = {
    "r_hat": lambda x: float(az.rhat(x, method="rank")),
    "split_r_hat": lambda x: float(az.rhat(x, method="split")),
    "ess_bulk": lambda x: float(az.ess(x, method="bulk")),
    "ess_tail": arviz_tail,
    "mcse_mean": lambda x: float(az.mcse(x, method="mean")),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_numbers_are_arvizs(case, shape):
    x = CASES[case](np.random.default_rng(3), (*shape, Q))
    together = d.diagnose(x)
    for name, reference in ARVIZ.items():
        found = getattr(d, name)(x)
        assert found.shape == (Q,)
        if name in together:
            np.testing.assert_array_equal(together[name], found)
        if shape[0] == 1 and "r_hat" in name:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = [reference(np.ascontiguousarray(x[..., i])) for i in range(Q)]
        if case == "constant" and "r_hat" in name:
            expected = [np.nan] * Q  # ArviZ's may be rounding errors over rounding errors
        moving = np.array(expected) < 1e8  # chains of one value each: as large as rounding says
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        np.testing.assert_allclose(found[moving], np.array(expected)[moving], rtol=1e-10)
        assert (found[np.array(expected) >= 1e8] > 1e7).all()


def test_tail_ess_of_other_probabilities():
    x = CASES["slow"](np.random.default_rng(5), (4, 200, Q))
    found = d.ess_tail(x, (0.2, 0.7))
    expected = [float(az.ess(x[..., i], method="tail", prob=(0.2, 0.7))) for i in range(Q)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("draws", [8, 51, 100])
def test_a_single_chain_is_two_by_its_halves(draws):
    x = np.random.default_rng(2).normal(size=(1, draws, Q))
    half = draws // 2
    halves = np.concatenate([x[:, :half], x[:, half : 2 * half]])
    np.testing.assert_array_equal(d.r_hat(x), d.r_hat(halves))


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_too_few_draws(draws):
    x = np.random.default_rng(2).normal(size=(4, draws, Q))
    for name in ARVIZ:
        assert np.isnan(getattr(d, name)(x)).all()
    assert all(np.isnan(v).all() for v in d.diagnose(x).values())


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_diagnostics_and_leaves_others_alone(wrong):
    x = np.random.default_rng(2).normal(size=(4, 50, 3))
    before = d.diagnose(x)
    x[1, 7, 1] = wrong
    for name, value in d.diagnose(x).items():
        assert np.isnan(value).tolist() == [False, True, False]
        np.testing.assert_array_equal(value[[0, 2]], before[name][[0, 2]])


def test_shapes_and_pieces(monkeypatch):
    x = np.random.default_rng(2).normal(size=(4, 50, 2, 3))
    whole = d.diagnose(x)
    for size in (1, 450):  # a quantity at a time; two, and the last alone
        monkeypatch.setattr(d, "PIECE", size)
        for name, value in d.diagnose(x).items():
            assert value.shape == (2, 3)
            np.testing.assert_array_equal(value, whole[name])
    assert d.r_hat(x[..., 0, 0]).shape == ()
    assert d.diagnose(x[..., :0])["ess_tail"].shape == (2, 0)
    np.testing.assert_array_equal(d.r_hat(np.moveaxis(x, 3, 2)), whole["r_hat"].T)


# --- what they are for --------------------------------------------------------------------------


def test_ranks_do_not_see_monotone_transformations():
    x = np.random.default_rng(4).normal(size=(4, 200, Q)) + np.arange(4)[:, None, None] / 5
    for name in ("ess_bulk", "ess_tail"):
        np.testing.assert_allclose(getattr(d, name)(np.exp(x)), getattr(d, name)(x), rtol=1e-12)
    assert not np.isclose(d.split_r_hat(np.exp(3 * x)), d.split_r_hat(x), rtol=1e-3).any()


def test_the_order_of_chains_is_of_no_matter_and_that_of_draws_is():
    x = autoregressive(np.random.default_rng(4), (4, 200, Q), 0.8)
    before, turned = d.diagnose(x), d.diagnose(x[::-1])
    shuffled = d.diagnose(np.random.default_rng(1).permuted(x, axis=1))
    for name in before:
        np.testing.assert_allclose(turned[name], before[name], rtol=1e-10)
    assert np.median(shuffled["ess_bulk"] / before["ess_bulk"]) > 5


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.7, 0.95])
def test_ess_of_an_autoregression_is_known(rho):
    """n (1 - ρ)/(1 + ρ); the mean over 50 quantities, of which each is off by a tenth or so."""
    shape = (4, 4000, 50)
    found = d.ess_bulk(autoregressive(np.random.default_rng(9), shape, rho)).mean()
    assert found == pytest.approx(16000 * (1 - rho) / (1 + rho), rel=0.06)


def test_r_hat_sees_locations_scales_and_drifts():
    x = np.random.default_rng(4).normal(size=(4, 1000, 4))
    x[3, :, 1] += 0.5
    x[3, :, 2] *= 2
    x[:, :, 3] += np.linspace(0, 1, 1000)
    assert (d.r_hat(x) > 1.01).tolist() == [False, True, True, True]
    assert (d.split_r_hat(x) > 1.01).tolist() == [False, True, False, True]


# --- superchains --------------------------------------------------------------------------------


def test_nested_r_hat_by_hand():
    """Means of superchains 2 and 6: variance 8. Within: 2 between their chains, 2 within these."""
    x = np.array([[0, 2], [2, 4], [4, 6], [6, 8]])
    assert d.nested_r_hat(x, 2) == pytest.approx(np.sqrt(1 + 8 / 4), rel=1e-14)
    one = x.mean(1, keepdims=True)  # a draw each: only the variance between chains is left
    assert d.nested_r_hat(one, 2) == pytest.approx(np.sqrt(1 + 8 / 2), rel=1e-14)
    single = x.reshape(2, 4)  # superchains of one chain: only that within
    assert d.nested_r_hat(single, 2) == pytest.approx(np.sqrt(1 + 8 / (8 / 3)), rel=1e-14)


@pytest.mark.parametrize("shape", [(8, 5), (8, 50), (12, 11), (4, 30)], ids=str)
def test_nested_r_hat_is_arvizs(shape):
    arviz_stats = pytest.importorskip("arviz_stats")
    if not hasattr(arviz_stats, "rhat_nested"):
        pytest.skip("of a later arviz_stats")
    x = np.random.default_rng(7).gamma(2, size=(*shape, Q))
    ids = np.repeat(np.arange(4), shape[0] // 4)
    expected = [
        arviz_stats.rhat_nested(
            np.ascontiguousarray(x[..., i]), superchain_ids=ids, method="identity"
        )
        for i in range(Q)
    ]
    np.testing.assert_allclose(d.nested_r_hat(x, 4), expected, rtol=1e-10)


@pytest.mark.parametrize("draws", [1, 4, 7])
def test_nested_r_hat_in_a_diagnosis_is_of_ranks(draws):
    x = np.random.default_rng(7).standard_cauchy((8, draws, Q))

    def nested(values):
        ranks = stats.rankdata(values.reshape(-1, Q), axis=0).reshape(values.shape)
        return d.nested_r_hat(stats.norm.ppf((ranks - 3 / 8) / (8 * draws + 1 / 4)), 4)

    found = d.diagnose(x, superchains=4)
    expected = np.maximum(nested(x), nested(np.abs(x - np.median(x, axis=(0, 1)))))
    np.testing.assert_allclose(found["r_hat"], expected, rtol=1e-10)
    for name in ("ess_bulk", "ess_tail"):
        np.testing.assert_array_equal(found[name], d.diagnose(x)[name])
    assert np.isnan(d.diagnose(np.ones((8, draws, 1)), 4)["r_hat"]).all()


@pytest.mark.parametrize("draws", [1, 10])
def test_nested_r_hat_sees_superchains_that_have_not_forgotten_where_they_began(draws):
    """And only if the chains are in their superchains; the mean is known wherever these agree."""
    generator, size = np.random.default_rng(11), 64
    x = generator.normal(size=(16 * size, draws, 400))
    within = 1 / draws + (draws > 1)

    def excess(values):
        return d.nested_r_hat(values, 16) ** 2 - 1

    agree = excess(x)
    assert agree.mean() == pytest.approx(1 / draws / size / within, rel=0.1)
    x += np.repeat(generator.normal(0, 0.5, (16, 1, 400)), size, axis=0)
    assert (excess(x) > agree.max()).mean() > 0.99
    mixed = excess(generator.permutation(x, axis=0))
    assert mixed.mean() == pytest.approx((1 / draws + 1 / 4) / size / (within + 1 / 4), rel=0.1)


def test_nested_r_hat_of_a_diagnosis_sees_scales():
    generator = np.random.default_rng(11)
    x = generator.normal(size=(256, 5, 50))
    agree = d.diagnose(x, 16)["r_hat"]
    scales = np.repeat(np.exp(generator.normal(0, 0.5, (16, 1, 50))), 16, axis=0)
    assert (d.diagnose(x * scales, 16)["r_hat"] > agree.max()).all()
    assert (d.nested_r_hat(x * scales, 16) > agree.max()).mean() < 0.2


@pytest.mark.parametrize(
    ("chains", "draws", "superchains"), [(6, 5, 4), (6, 5, 1), (4, 1, 4), (4, 5, 8)]
)
def test_superchains_that_cannot_be(chains, draws, superchains):
    x = np.zeros((chains, draws, 1))
    with pytest.raises(ValueError, match=f"{superchains} superchains of {chains} chains"):
        d.nested_r_hat(x, superchains)
    with pytest.raises(ValueError, match="of equal size"):
        d.diagnose(x, superchains)
