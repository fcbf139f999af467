"""Figures show the numbers they were given, and say what these are."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

import hiermod as hm
from hiermod import plots, results
from hiermod.errors import ModelError
from hiermod.plots import style
from hiermod.plots.scalars import population, scalars

CHAINS, DRAWS, LEVELS = 4, 200, 30


@pytest.fixture(scope="module")
def posterior():
    rng = np.random.default_rng(1)
    levels = [f"g{j}" for j in range(LEVELS)]
    cor = np.broadcast_to(np.eye(2), (CHAINS, DRAWS, 2, 2)).copy()
    cor[..., 0, 1] = cor[..., 1, 0] = rng.uniform(-0.5, 0.5, (CHAINS, DRAWS))
    over = ("chain", "draw")
    return xr.Dataset(
        {
            "Intercept": (over, rng.normal(2, 1, (CHAINS, DRAWS))),
            "C(x)": ((*over, "C(x)_dim"), rng.normal(0, 1, (CHAINS, DRAWS, 2))),
            "sigma": (over, rng.exponential(1, (CHAINS, DRAWS))),
            "g_cor": ((*over, "g__effect_dim", "g__effect_dim_bis"), cor),
            "1|g": ((*over, "g__factor_dim"), rng.normal(0, 1, (CHAINS, DRAWS, LEVELS))),
        },
        coords={
            "C(x)_dim": ["b", "c"],
            "g__factor_dim": levels,
            "g__effect_dim": ["1", "x"],
            "g__effect_dim_bis": ["1", "x"],
        },
    )


def idata(posterior, diverging=0, observed=None, predicted=None):
    flags = np.zeros((CHAINS, DRAWS), bool)
    flags.flat[:diverging] = True
    groups = {
        "posterior": posterior,
        "sample_stats": xr.Dataset({"diverging": (("chain", "draw"), flags)}),
    }
    if observed is not None:
        groups["observed_data"] = xr.Dataset({"y": ("__obs__", observed)})
        groups["posterior_predictive"] = xr.Dataset(
            {"y": (("chain", "draw", "__obs__"), predicted)}
        )
    return results.inference_data(groups)


POPULATION = ["Intercept", "C(x)[b]", "C(x)[c]", "sigma", "g_cor[1, x]"]


def legend_of(figure):
    return [t.get_text() for legend in figure.legends for t in legend.get_texts()]


class TestScalars:
    def test_the_default_is_the_population_without_constants(self, posterior):
        assert population(posterior) == ["Intercept", "C(x)", "sigma", "g_cor"]
        assert list(scalars(posterior, None, 20)) == POPULATION

    def test_the_default_stops_at_the_limit(self, posterior):
        assert list(scalars(posterior, None, 2)) == POPULATION[:2]

    def test_single_elements(self, posterior):
        found = scalars(posterior, ["1|g[g3]", "sigma"], 20)
        assert list(found) == ["1|g[g3]", "sigma"]
        np.testing.assert_array_equal(found["1|g[g3]"], posterior["1|g"][:, :, 3])

    def test_one_name_need_not_be_in_a_list(self, posterior):
        assert list(scalars(posterior, "sigma", 20)) == ["sigma"]

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["sigme"], "no variable 'sigme'. Did you mean 'sigma'"),
            (["1|g[nowhere]"], "no element '1|g[nowhere]'. It has 30, for example '1|g[g0]'"),
            (["1|g"], "would need 30 panels, more than 20.*'1|g[g0]'.*most=30"),
        ],
    )
    def test_errors(self, posterior, names, message):
        pattern = re.escape(message).replace(r"\.\*", ".*")
        with pytest.raises(ModelError, match=pattern):
            scalars(posterior, names, 20)


class TestTrace:
    def test_a_row_for_every_scalar(self, posterior):
        figure = plots.trace(idata(posterior))
        assert isinstance(figure, Figure)
        left, right = figure.axes[::2], figure.axes[1::2]
        assert [ax.get_ylabel() for ax in left] == POPULATION
        assert right[-1].get_xlabel() == "draw"
        assert legend_of(figure) == [f"chain {c}" for c in range(CHAINS)]

    def test_lines_are_the_draws(self, posterior):
        figure = plots.trace(idata(posterior), ["sigma"])
        for chain, line in enumerate(figure.axes[1].lines):
            np.testing.assert_array_equal(line.get_ydata(), posterior["sigma"][chain])

    def test_divergences_are_marked(self, posterior):
        figure = plots.trace(idata(posterior, diverging=3), ["sigma"])
        left, right = figure.axes
        np.testing.assert_array_equal(left.lines[-1].get_xdata(), posterior["sigma"][0, :3])
        np.testing.assert_array_equal(right.lines[-1].get_xdata(), [0, 1, 2])
        assert legend_of(figure)[-1] == "3 divergent draws"

    def test_a_stuck_chain_is_a_line(self, posterior):
        stuck = posterior[["sigma"]].copy(deep=True)
        stuck["sigma"][1] = 0.5
        figure = plots.trace(stuck)
        assert list(figure.axes[0].lines[1].get_xdata()) == [0.5, 0.5]


class TestRank:
    def test_bars_hold_all_draws(self, posterior):
        figure = plots.rank(idata(posterior), ["sigma"], bins=10)
        heights = [bar.get_height() for bar in figure.axes[0].patches]
        # Half the room of a chain is the expected height, so each chain's bars have mean 0.5.
        assert len(heights) == 10 * CHAINS
        assert np.mean(heights) == pytest.approx(0.5)
        assert legend_of(figure) == ["expected if chains agree"]

    def test_differences_end_at_zero(self, posterior):
        figure = plots.rank(idata(posterior), kind="ecdf")
        shown = [ax for ax in figure.axes if ax.get_visible()]
        assert [ax.get_title() for ax in shown] == POPULATION
        for line in shown[0].lines[:CHAINS]:
            assert abs(line.get_ydata()[-1]) < 0.05

    def test_a_chain_elsewhere_stands_out(self, posterior):
        moved = posterior[["sigma"]].copy(deep=True)
        moved["sigma"][2] += 100
        heights = [bar.get_height() for bar in plots.rank(moved, bins=4).axes[0].patches]
        assert heights[8:12] == [0, 0, 0, 1]  # all of chain 2 in the last quarter

    def test_unknown_kind(self, posterior):
        with pytest.raises(ModelError, match="'bars' or 'ecdf', not 'lines'"):
            plots.rank(idata(posterior), kind="lines")


class TestForest:
    def test_means_and_intervals(self, posterior):
        ax = plots.forest(idata(posterior), ["sigma"], intervals=(0.5, 0.8))
        assert isinstance(ax, Axes)
        assert ax.lines[0].get_xdata()[0] == pytest.approx(float(posterior["sigma"].mean()))
        ends = ax.collections[1].get_segments()[0][:, 0]
        np.testing.assert_allclose(ends, np.quantile(posterior["sigma"], [0.1, 0.9]))
        texts = [t.get_text() for t in ax.get_legend().get_texts()]
        assert texts == ["50 % interval", "80 % interval", "mean"]

    def test_names_on_the_axis(self, posterior):
        ax = plots.forest(idata(posterior))
        assert [t.get_text() for t in ax.get_yticklabels()] == POPULATION

    def test_levels_of_one_variable_in_order(self, posterior):
        ax = plots.forest(idata(posterior), ["1|g"], order=True, zero=True)
        assert ax.get_xlabel() == "1|g"
        assert (np.diff(ax.lines[0].get_xdata()) <= 0).all()
        top = f"g{posterior['1|g'].mean(('chain', 'draw')).to_numpy().argmax()}"
        assert ax.get_yticklabels()[0].get_text() == top

    def test_draws_in_given_axes(self, posterior):
        ax = plt.figure().add_subplot()
        assert plots.forest(idata(posterior), ax=ax) is ax

    def test_impossible_interval(self, posterior):
        with pytest.raises(ModelError, match="between 0 and 1"):
            plots.forest(idata(posterior), intervals=(0.5, 90))


class TestDensities:
    def test_a_panel_for_every_level(self, posterior):
        split = np.repeat([10, 25, 35], 10)
        figure = plots.densities(posterior, "1|g", split=split, split_name="size", reference=0)
        shown = [ax for ax in figure.axes if ax.get_visible()]
        assert [ax.get_title() for ax in shown] == [f"g{j}" for j in range(LEVELS)]
        assert legend_of(figure) == ["size 10", "size 25", "size 35"]
        assert shown[0].lines[0].get_color() != shown[29].lines[0].get_color()
        assert figure.get_supylabel() == "posterior density of each g"

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("2|g", {}, "no variable '2|g'"),
            ("sigma", {}, "'sigma' has 0"),
            ("1|g", {"most": 10}, "30 panels, more than 10"),
            ("1|g", {"split": [1, 2]}, "one value for each of the 30 levels"),
            ("1|g", {"split": np.arange(30)}, "30 different values, more than the 7"),
        ],
    )
    def test_errors(self, posterior, name, options, message):
        with pytest.raises(ModelError) as error:
            plots.densities(posterior, name, **options)
        assert message in str(error.value)


class TestPredictive:
    def test_whole_numbers_are_bars(self, posterior):
        rng = np.random.default_rng(2)
        y = rng.poisson(3, 60)
        predicted = rng.poisson(3, (CHAINS, DRAWS, 60))
        ax = plots.ppc(idata(posterior, observed=y, predicted=predicted), "y")
        assert isinstance(ax, Axes)
        heights = [bar.get_height() for bar in ax.patches]
        assert heights[: y.max() + 1] == list(np.bincount(y))
        mean = [(predicted == value).sum() / (CHAINS * DRAWS) for value in range(3)]
        np.testing.assert_allclose(ax.lines[0].get_ydata()[:3], mean)
        texts = {t.get_text() for t in ax.get_legend().get_texts()}
        assert texts == {"observed", "predicted: mean", "predicted: 90 % interval"}

    def test_binary_responses_have_two_bars(self, posterior):
        rng = np.random.default_rng(2)
        y, predicted = rng.integers(2, size=40), rng.integers(2, size=(CHAINS, DRAWS, 40))
        ax = plots.ppc(idata(posterior, observed=y, predicted=predicted), "y")
        assert len(ax.patches) == 2
        assert list(ax.get_xticks()) == [0, 1]

    def test_many_values_share_bars(self, posterior):
        rng = np.random.default_rng(2)
        y, predicted = rng.poisson(200, 60), rng.poisson(200, (CHAINS, DRAWS, 60))
        ax = plots.ppc(idata(posterior, observed=y, predicted=predicted), "y", bins=10)
        assert len(ax.patches) <= 10
        assert sum(bar.get_height() for bar in ax.patches) == 60
        assert "neighbouring values" in ax.get_ylabel()

    def test_continuous_responses_are_densities(self, posterior):
        rng = np.random.default_rng(2)
        y, predicted = rng.normal(size=60), rng.normal(size=(CHAINS, DRAWS, 60))
        ax = plots.ppc(idata(posterior, observed=y, predicted=predicted), "y", draws=20)
        assert len(ax.lines) == 20 + 2
        texts = {t.get_text() for t in ax.get_legend().get_texts()}
        assert texts == {"20 predictive draws", "mean of the draws", "observed"}

    def test_predictions_of_the_prior_without_far_tails(self, posterior):
        rng = np.random.default_rng(2)
        y, predicted = rng.normal(size=60), rng.standard_cauchy((CHAINS, DRAWS, 60))
        data = idata(posterior, observed=y, predicted=predicted)
        results.add_group(
            data, "prior_predictive", xr.Dataset({"y": (("chain", "draw", "__obs__"), predicted)})
        )
        ax = plots.ppc(data, "y", group="prior_predictive")
        x = ax.lines[0].get_xdata()
        low, high = np.quantile(predicted, [0.05, 0.95])
        assert x[0] == pytest.approx(low, abs=0.5)
        assert x[-1] == pytest.approx(high, abs=0.5)
        with pytest.raises(ModelError, match="no group 'prior_predictive'"):
            plots.ppc(
                idata(posterior, observed=y, predicted=predicted), "y", group="prior_predictive"
            )

    def test_errors(self, posterior):
        with pytest.raises(ModelError, match="no group 'observed_data'"):
            plots.ppc(idata(posterior), "y")
        with pytest.raises(ModelError, match="group must be 'posterior_predictive' or"):
            plots.ppc(idata(posterior), "y", group="prior")
        y = np.zeros(5)
        data = idata(posterior, observed=y, predicted=np.zeros((CHAINS, DRAWS, 5)))
        with pytest.raises(ModelError, match="no response 'z'"):
            plots.ppc(data, "z")


class TestStyle:
    def test_density_integrates_to_one_and_stays_in_range(self):
        values = np.random.default_rng(3).exponential(1, 2000)
        points, height = style.density(values)
        assert np.trapezoid(height, points) == pytest.approx(1, abs=0.01)
        assert points.min() >= values.min()
        # Exponential: no dip at zero, thanks to reflection.
        assert height[0] == pytest.approx(1, abs=0.2)

    def test_density_is_the_normal_one(self):
        points, height = style.density(np.random.default_rng(3).normal(size=100_000))
        true = np.exp(-(points**2) / 2) / np.sqrt(2 * np.pi)
        # Standard error of the estimate at this bandwidth is 0.005 at most.
        np.testing.assert_allclose(height, true, atol=0.02)

    def test_labels_that_cannot_fit_are_left_out(self):
        ax = plt.figure().add_subplot()
        style.level_ticks(ax, range(1000), 7.0)
        assert len(ax.get_xticks()) == 0

    def test_long_labels_are_turned(self):
        ax = plt.figure().add_subplot()
        style.level_ticks(ax, [f"a long name {i}" for i in range(20)], 7.0)
        assert ax.get_xticklabels()[0].get_rotation() == 90

    def test_a_notebook_shows_a_figure_once(self, monkeypatch):
        figure, _ = style.panels(1, 1, (2, 2))
        monkeypatch.setattr(style.matplotlib, "get_backend", lambda: "module://inline")
        with pytest.raises(NotImplementedError):  # so that IPython goes on to show it
            figure._ipython_display_()
        assert not plt.fignum_exists(figure.number)


class TestPriors:
    def test_a_panel_for_every_prior_with_its_text(self):
        study = hm.load_data("sleepstudy")
        model = hm.model(
            study, "Reaction ~ Days + (Days | Subject)", priors={"sigma": "constant(25)"}
        )
        axs = model.plot_priors(seed=1).axes
        shown = [ax.get_title().split("\n") for ax in axs if ax.get_visible()]
        assert [name for name, _ in shown] == ["Intercept at means", *model.priors.index[1:]]
        assert [text for _, text in shown] == list(model.priors["prior"])
        (line,) = axs[list(model.priors.index).index("sigma")].lines
        assert list(line.get_xdata()) == [25.0, 25.0]

    @pytest.mark.parametrize(
        ("prior", "exact"),
        [
            ("normal(2, 3)", stats.norm(2, 3)),
            ("student_t(3, 0, 2.5)", stats.t(3, 0, 2.5)),
            ("cauchy(0, 1)", stats.cauchy()),
            ("exponential(2)", stats.expon(scale=0.5)),
            ("uniform(1, 4)", stats.uniform(1, 3)),
            ("gamma(2, 0.1)", stats.gamma(2, scale=10)),
        ],
    )
    def test_curves_are_densities(self, prior, exact):
        kline = hm.load_data("Kline")
        model = hm.model(
            kline, "total_tools ~ contact", family="poisson", priors={"contact": prior}
        )
        (ax,) = model.plot_priors("contact", seed=1).axes
        x, height = ax.lines[0].get_data()
        inner = slice(len(x) // 50, -len(x) // 50)  # not the ends, where tails are cut off
        peak = exact.pdf(x).max()
        np.testing.assert_allclose(height[inner], exact.pdf(x)[inner], atol=0.06 * peak)
        assert exact.cdf(x[-1]) - exact.cdf(x[0]) > 0.94  # most of it is shown, and not too much
        assert (x[-1] - x[0]) < 13 * np.diff(exact.ppf([0.25, 0.75]))[0]

    def test_elements_share_a_curve_unless_they_differ(self):
        data = pd.DataFrame({"y": np.arange(6.0), "f": list("abcabc")})
        (one,) = hm.model(data, "y ~ 0 + f").plot_priors("f", seed=1).axes
        model = hm.model(data, "y ~ 0 + f", priors={"f[b]": "normal(90, 1)"})
        (three,) = model.plot_priors(["f"], seed=1).axes
        assert len(one.lines) == 1
        assert [line.get_label() for line in three.lines] == ["a", "b", "c"]
        x, height = three.lines[1].get_data()
        assert x[height.argmax()] == pytest.approx(90, abs=0.5)

    def test_correlations_and_shrunk_coefficients_are_those_of_the_posterior(self):
        study = hm.load_data("sleepstudy")
        priors = {"Days": "normal(0, exponential(0.1))", "Subject_cor": "lkj(1)"}
        model = hm.model(study, "Reaction ~ Days + (Days | Subject)", priors=priors)
        found = {p.name: p.draws[""] for p in results.prior_draws(model._joint, None, 20_000, 1)}
        drawn = results.group(model.sample_prior(2000, seed=1), "prior")
        for name, exact in {
            "Subject_cor": drawn["Subject_cor"][..., 0, 1],
            "Days": drawn["Days"],
        }.items():
            assert stats.ks_2samp(found[name], exact.to_numpy().ravel()).pvalue > 1e-4
        assert found["Days"].std() == pytest.approx(np.sqrt(2) * 10, rel=0.1)

    def test_errors(self):
        model = hm.model(hm.load_data("Kline"), "total_tools ~ contact", family="poisson")
        with pytest.raises(ModelError, match="no prior of 'contct'"):
            model.plot_priors("contct")

    def test_predictions_before_any_fit(self):
        model = hm.model(hm.load_data("Kline"), "total_tools ~ contact", family="poisson")
        ax = model.plot_ppc(seed=1)
        assert ax.get_xlabel() == "total_tools"
        assert sum(bar.get_height() for bar in ax.patches) == len(model.data)

    def test_predictions_of_ordered_categories_have_their_names(self):
        levels = ["no", "maybe", "yes"]
        answers = pd.Categorical(levels * 4, categories=levels, ordered=True)
        model = hm.model(pd.DataFrame({"answer": answers}), "answer ~ 1", family="cumulative")
        ax = model.plot_ppc(seed=1)
        assert [label.get_text() for label in ax.get_xticklabels()] == levels
