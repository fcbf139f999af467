"""The shrinkage plot shows the numbers of the pooling record."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from hiermod import plots
from hiermod.errors import ModelError
from hiermod.plots.plane import spread
from hiermod.plots.shrinkage import against_size, levels, removed
from hiermod.results import Pooling


def pooling(effects=1, count=12, seed=1, **changes):
    """Levels whose own estimates are pulled to the population value by known fractions."""
    rng = np.random.default_rng(seed)
    size = np.repeat([5.0, 20.0, 80.0], count // 3)
    population = np.linspace(1.0, 2.0, effects)
    alone = population + rng.normal(0, 1, (count, effects))
    keep = (size / (size + 10))[:, None]
    mean = population + keep * (alone - population)
    sd = 0.3 * np.ones((count, effects))
    made = Pooling(
        factor="tank",
        effects=("Intercept", "x", "z")[:effects],
        levels=np.arange(count),
        size=size,
        size_label="rows",
        no_pooling=alone,
        mean=mean,
        low=mean - sd,
        high=mean + sd,
        covariance=np.broadcast_to(0.09 * np.eye(effects), (count, effects, effects)),
        complete=population - 0.3,
        population=population,
        probability=0.9,
        response="y",
        scale="logit",
    )
    return replace(made, **changes)


def marks(ax, marker, filled):
    """Positions of the marks of one kind, shape (n, 2)."""
    white = "white"
    found = [
        line.get_xydata()
        for line in ax.lines
        if line.get_marker() == marker and (line.get_markerfacecolor() != white) == filled
    ]
    return np.concatenate(found) if found else np.empty((0, 2))


def legend_of(figure):
    return [t.get_text() for legend in figure.legends for t in legend.get_texts()]


class TestOneEffect:
    def test_positions_are_the_estimates(self):
        p = pooling()
        left = plots.shrinkage(p).axes[0]
        np.testing.assert_array_equal(marks(left, "o", filled=True)[:, 1], p.mean[:, 0])
        np.testing.assert_array_equal(marks(left, "o", filled=False)[:, 1], p.no_pooling[:, 0])
        bars = np.array([s[:, 1] for s in left.collections[0].get_segments()])
        np.testing.assert_array_equal(bars, np.c_[p.low, p.high])
        dashed = [line for line in left.lines if line.get_linestyle() == "--"]
        assert set(dashed[0].get_ydata()) == {p.population[0]}
        dotted = [line for line in left.lines if line.get_linestyle() == ":"]
        assert set(dotted[0].get_ydata()) == {p.complete[0]}

    def test_labels(self):
        figure = plots.shrinkage(pooling())
        assert isinstance(figure, Figure)
        left, right = figure.axes
        assert left.get_ylabel().replace("\xa0", " ") == "mean of y (logit scale)"
        assert left.get_xlabel() == "tank, from few to many rows"
        assert right.get_xlabel() == "rows in each tank"
        assert legend_of(figure) == [
            "no pooling: the level's own data",
            "partial pooling: posterior mean, 90 % interval",
            "population value",
            "complete pooling: all data as one level",
        ]

    @pytest.mark.parametrize(
        ("scale", "size_label", "label"),
        [
            ("response", "trials", "probability of y"),
            ("response", "rows", "mean of y"),
            ("identity", "rows", "mean of y"),
        ],
    )
    def test_scale(self, scale, size_label, label):
        figure = plots.shrinkage(pooling(scale=scale, size_label=size_label))
        assert figure.axes[0].get_ylabel() == label

    def test_levels_are_in_order_of_their_data(self):
        p = pooling()
        p = replace(p, size=p.size[::-1])
        left = plots.shrinkage(p).axes[0]
        order = np.argsort(p.size, kind="stable")
        np.testing.assert_array_equal(marks(left, "o", filled=True)[:, 1], p.mean[order, 0])
        assert [t.get_text() for t in left.get_xticklabels()] == [str(j) for j in order]

    def test_split_orders_divides_and_names(self):
        p = pooling()
        split = np.tile([25, 10], 6)
        left = plots.shrinkage(p, split=split, split_name="density").axes[0]
        order = np.argsort(split, kind="stable")
        np.testing.assert_array_equal(marks(left, "o", filled=True)[:, 1], p.mean[order, 0])
        assert [t.get_text() for t in left.texts] == ["density 10", "density 25"]
        assert left.get_xlabel() == "tank, by density"
        assert any(set(line.get_xdata()) == {5.5} for line in left.lines)

    def test_crowded_headings_are_in_two_rows(self):
        split = [f"a very long one {j}" for j in range(12)]
        left = plots.shrinkage(pooling(), split=split).axes[0]
        assert len({text.xyann[1] for text in left.texts}) == 2

    def test_headings_do_not_overlap(self):
        figure = plots.shrinkage(pooling(), split=np.repeat([1, 2, 3], 4), split_name="density")
        figure.canvas.draw()
        boxes = [t.get_window_extent() for t in figure.axes[0].texts]
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))

    def test_infinite_and_missing_estimates(self):
        p = pooling()
        p.no_pooling[0], p.no_pooling[1], p.no_pooling[2] = np.inf, -np.inf, np.nan
        figure = plots.shrinkage(p)
        left, right = figure.axes
        bottom, top = left.get_ylim()
        ((x, y),) = marks(left, "^", filled=False)
        assert x == 0 and p.high.max() < y < top
        ((x, y),) = marks(left, "v", filled=False)
        assert x == 1 and bottom < y < p.low.min()
        assert len(marks(left, "o", filled=False)) == 9
        assert "infinite" in legend_of(figure)
        assert "3 without a finite own estimate" in right.get_title(loc="left")

    @pytest.mark.parametrize("effects", [1, 2, 3])
    def test_no_text_is_cut_off(self, effects):
        p = pooling(effects)
        p.no_pooling[:3], p.no_pooling[3] = np.nan, p.population
        figure = plots.shrinkage(p)
        figure.canvas.draw()
        for ax in figure.axes:
            texts = [ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]
            for box in (t.get_window_extent() for t in texts if t.get_text()):
                assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1
                assert 0 <= box.y0 <= box.y1 <= figure.bbox.y1

    def test_many_levels_have_no_labels(self):
        left = plots.shrinkage(pooling(count=300)).axes[0]
        assert len(left.get_xticks()) == 0

    def test_equal_sizes_need_no_second_panel(self):
        figure = plots.shrinkage(pooling(size=np.full(12, 10.0)))
        assert len(figure.axes) == 1
        assert figure.axes[0].get_xlabel() == "tank (10 rows each)"

    def test_wrong_split(self):
        with pytest.raises(ModelError, match="one value for each of the 12 levels"):
            plots.shrinkage(pooling(), split=[1, 2])

    def test_panels_can_be_drawn_alone(self):
        from matplotlib import pyplot as plt

        p = pooling()
        first, second = plt.figure().subplots(1, 2)
        assert levels(first, p, 0) is first
        assert against_size(second, p, removed(p, [0])) is second


class TestRemoved:
    @pytest.mark.parametrize("effects", [1, 2, 3])
    def test_known_fractions(self, effects):
        p = pooling(effects)
        found = removed(p, range(effects))
        known = np.isfinite(found)
        assert known.sum() >= 9
        np.testing.assert_allclose(found[known], (10 / (p.size + 10))[known])

    def test_own_estimates_at_the_population_value_have_none(self):
        p = pooling()
        p.no_pooling[3] = p.population
        assert np.isnan(removed(p, [0])[3])
        figure = plots.shrinkage(p)
        assert "close to the population value" in figure.axes[1].get_title(loc="left")

    def test_spread_is_total_variance(self):
        rng = np.random.default_rng(5)
        draws = rng.normal(0, 0.5, (4000, 40, 2)) + rng.normal(0, 1, (40, 2))
        p = pooling(2, count=42)
        mean = draws.mean(axis=0)
        cov = np.einsum("sjk,sjl->jkl", draws - mean, draws - mean) / 3999
        p = replace(p, mean=mean, covariance=cov)
        within = np.mean([np.cov(d, rowvar=False) for d in draws], axis=0)
        # The covariance among levels, draw by draw, has the same expectation.
        np.testing.assert_allclose(spread(p), within, rtol=0.02, atol=0.02)


class TestTwoEffects:
    def test_positions_are_the_estimates(self):
        p = pooling(2)
        plane = plots.shrinkage(p).axes[0]
        own, partial = (c.get_offsets() for c in plane.collections)
        np.testing.assert_array_equal(own, p.no_pooling)
        np.testing.assert_array_equal(partial, p.mean)
        cross = next(line for line in plane.lines if line.get_marker() == "P")
        np.testing.assert_array_equal(cross.get_xydata()[0], p.population)
        together = next(line for line in plane.lines if line.get_marker() == "X")
        np.testing.assert_array_equal(together.get_xydata()[0], p.complete)
        assert plane.get_xlabel().replace("\xa0", " ") == "Intercept: mean of y (logit scale)"
        assert plane.get_ylabel().replace("\xa0", " ") == "effect of x on y (logit scale)"

    def test_arrows_go_to_the_posterior_means(self):
        p = pooling(2)
        arrows = [t for t in plots.shrinkage(p).axes[0].texts if t.arrow_patch is not None]
        np.testing.assert_array_equal([a.xy for a in arrows], p.mean)
        np.testing.assert_array_equal([a.xyann for a in arrows], p.no_pooling)

    def test_ellipses_hold_what_they_say(self):
        p = pooling(2)
        plane = plots.shrinkage(p).axes[0]
        rng = np.random.default_rng(2)
        x = rng.multivariate_normal(p.population, spread(p), 20_000)
        ellipses = [patch for patch in plane.patches if isinstance(patch, Ellipse)]
        share = []
        for e in ellipses:
            a = np.radians(e.angle)
            turned = (x - e.center) @ np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
            share.append(np.mean(np.sum((2 * turned / (e.width, e.height)) ** 2, axis=1) < 1))
        # Binomial standard errors are below 0.004.
        np.testing.assert_allclose(share, [0.5, 0.9], atol=0.015)

    def test_legend_and_notes(self):
        p = pooling(2)
        p.no_pooling[0] = np.nan
        figure = plots.shrinkage(p)
        assert "population: 50 % and 90 % of the levels" in legend_of(figure)
        assert figure.axes[0].get_title(loc="left") == (
            "tank: 12 levels, 1 without a finite estimate of their own"
        )

    def test_far_estimates_do_not_squeeze_the_rest(self):
        p = pooling(2)
        p.no_pooling[0] = 1000.0
        plane = plots.shrinkage(p).axes[0]
        assert plane.get_xlim()[1] < 20
        assert "1 with one outside of the figure" in plane.get_title(loc="left")

    def test_split_is_colour(self):
        figure = plots.shrinkage(pooling(2), split=["a", "b"] * 6, split_name="kind")
        assert legend_of(figure)[-2:] == ["kind a", "kind b"]
        colors = figure.axes[0].collections[1].get_facecolors()
        assert len(np.unique(colors, axis=0)) == 2

    def test_too_many_colours(self):
        with pytest.raises(ModelError, match="12 different values, more than the 7"):
            plots.shrinkage(pooling(2), split=np.arange(12))


def test_three_effects_have_a_row_each():
    figure = plots.shrinkage(pooling(3))
    assert len(figure.axes) == 6
    assert [ax.get_ylabel().split()[0] for ax in figure.axes[::2]] == [
        "Intercept:",
        "effect",
        "effect",
    ]
    assert figure.axes[0].get_xlabel() == ""
