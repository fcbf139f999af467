"""What a user holds: `Model` and `Fit`, and the verbs that make them.

A method here is one call into a room of the package.
"""

from __future__ import annotations

import functools
import inspect
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from hiermod import formula as formulas
from hiermod import inference, models, plots, results
from hiermod.errors import DataError, FormulaError, ModelError, SamplingError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hiermod.formula import Design


P = ParamSpec("P")
R = TypeVar("R")


def _known_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Answer an unknown keyword with the known ones."""
    known = [n for n in inspect.signature(function).parameters if n != "self"]

    @functools.wraps(function)
    def checked(*args: P.args, **options: P.kwargs) -> R:
        for name in options:
            if name not in known:
                raise ModelError(
                    f"{function.__name__}() has no option {name!r}. {did_you_mean(name, known)}"
                )
        return function(*args, **options)

    return checked


class Model:
    """A model of a data frame: a formula, a family and priors, checked, not yet fitted.

    Made by `hiermod.model`.

    Attributes
    ----------
    design : Design
        The formula evaluated on the data: design matrices and group indices.
    specification : Specification
        Terms, priors, family and link.
    data : DataFrame
        What the user gave.
    """

    def __init__(self, specification: models.Specification, data: pd.DataFrame) -> None:
        # A shallow copy: later changes of the user's frame do not reach it.
        self.specification, self.data = specification, data.copy(deep=False)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: without the joint distribution and plans, which are made again."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_joint", "_plans")}

    @property
    def design(self) -> Design:
        """The formula evaluated on the data."""
        return self.specification.design

    @cached_property
    def _joint(self) -> models.Joint:
        return models.join(self.specification)

    @property
    def joint(self) -> Any:
        """The `tfd.JointDistributionSequential` of the parameters and the response.

        Its parts are named by Python identifiers; `joint_names` says what they are in the
        posterior. When the predictors are centred, its intercept is the one at their means.

        Examples
        --------
        >>> import hiermod as hm
        >>> kline = hm.load_data("Kline")
        >>> joint = hm.model(kline, "total_tools ~ contact", family="poisson").joint
        >>> joint.log_prob(joint.sample(3)).shape
        TensorShape([3])
        """
        return self._joint.distribution

    @property
    def joint_names(self) -> dict[str, str]:
        """What each part of `joint` is, by its name there, in names of the posterior."""
        return self._joint.names

    @property
    def priors(self) -> pd.DataFrame:
        """Every prior: its parameter, class, distribution with numbers, and where it came from.

        Examples
        --------
        >>> import hiermod as hm
        >>> model = hm.model(hm.load_data("Kline"), "total_tools ~ 1", family="poisson")
        >>> model.priors.loc["Intercept", "prior"]
        'normal(3.55, 2.5)'
        """
        return models.prior_table(self.specification)

    def equations(self) -> models.Equations:
        """The model in hierarchical form: LaTeX in a notebook, text elsewhere."""
        return models.equations(self.specification)

    def code(self) -> str:
        """A standalone TFP program that builds the same joint distribution.

        Returns
        -------
        str
            Python source with the data and the numbers of the priors written out. Running it
            defines ``joint``.
        """
        return models.code(self._joint)

    @cached_property
    def _plans(self) -> dict[tuple[bool, str | None], models.Plan]:
        return {}

    def plan(self, *, shortcuts: bool = True, approximate: str | None = None) -> models.Plan:
        """What `fit` samples, and what it sums up or integrates out beforehand, and why.

        Parameters
        ----------
        shortcuts, approximate
            As for `fit`.

        Returns
        -------
        Plan
            Prints as text.

        Raises
        ------
        ModelError
            If the approximation does not exist, or does not fit the model.

        Examples
        --------
        >>> import hiermod as hm
        >>> radon = hm.load_data("radon_mn")
        >>> hm.model(radon, "log_radon ~ floor + (1 | county)").plan()
        rows        919, as sums of squares and cross-products
        integrated  1|county, Intercept, floor
        sampled     1|county_sigma, sigma (2 numbers)
        """
        if not isinstance(shortcuts, bool):
            raise ModelError(f"shortcuts must be True or False, not {shortcuts!r}.")
        if approximate not in (None, "laplace"):
            raise ModelError(f'approximate must be "laplace" or None, not {approximate!r}.')
        if approximate and not shortcuts:
            raise ModelError("shortcuts=False samples everything: leave approximate= out.")
        key = shortcuts, approximate
        if key not in self._plans:
            self._plans[key] = models.plan(
                self._joint, shortcuts=shortcuts, approximate=approximate
            )
        return self._plans[key]

    def sample_prior(self, draws: int = 500, *, seed: int | None = None) -> Any:
        """Draws from the prior, and responses they imply.

        Parameters
        ----------
        draws : int
        seed : int, optional
            The same seed gives the same draws.

        Returns
        -------
        InferenceData (ArviZ 0.x) or DataTree (ArviZ 1.x)
            Groups ``prior``, ``prior_predictive``, ``observed_data`` and ``constant_data``; the
            prior has the names and dimensions of a posterior, with one chain.
        """
        inference.check_whole("draws", draws, 1)
        groups = results.prior(self._joint, draws, _seed(seed))
        s = self.specification
        groups |= {
            "observed_data": results.observed_data(s),
            "constant_data": results.constant_data(s),
        }
        return results.inference_data(groups)

    def plot_priors(
        self,
        var_names: Sequence[str] | None = None,
        *,
        draws: int = 100_000,
        seed: int | None = None,
        **options: Any,
    ) -> Figure:
        """A small panel with the density of every prior; see `hiermod.plots.priors`.

        Parameters
        ----------
        var_names : sequence of str, optional
            Parameters, as in `priors`; all by default.
        draws : int
            Of each prior; the densities are estimated from them.
        seed : int, optional
            The same seed gives the same draws.
        **options
            Of `hiermod.plots.priors`.

        Returns
        -------
        Figure

        Raises
        ------
        ModelError
            If there is no such parameter.

        Examples
        --------
        >>> import hiermod as hm
        >>> model = hm.model(hm.load_data("Kline"), "total_tools ~ contact", family="poisson")
        >>> [ax.get_title().splitlines()[0] for ax in model.plot_priors(seed=1).axes]
        ['Intercept at means', 'contact']
        """
        inference.check_whole("draws", draws, 1)
        shown = results.prior_draws(self._joint, var_names, draws, _seed(seed))
        return plots.priors(shown, **options)

    def plot_ppc(self, *, seed: int | None = None, **options: Any) -> Axes:
        """Observed responses and ones that the prior implies; see `hiermod.plots.ppc`.

        A prior predictive check, before any fit, with draws of `sample_prior`.
        """
        return self._plot_ppc(self.sample_prior(seed=seed), "prior_predictive", options)

    def _plot_ppc(self, idata: Any, group: str, options: dict[str, Any]) -> Axes:
        s = self.specification
        response, options = s.design.response, dict(options)
        if s.family.columns:
            options.setdefault("levels", response.columns)
        elif s.family.categories:
            options = {"levels": response.levels, "first": int(response.values.min())} | options
        return plots.ppc(idata, s.design.response.name, group=group, **options)

    @_known_keywords
    def fit(
        self,
        *,
        chains: int = 4,
        warmup: int = 500,
        draws: int | None = None,
        shortcuts: bool = True,
        approximate: str | None = None,
        sampler: str = "hmc",
        target_accept: float = 0.8,
        until: str | None = None,
        max_seconds: float | None = None,
        keep_warmup: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 30.0,
        seed: int | None = None,
        progress: bool = True,
    ) -> Fit:
        """Sample from the posterior with multi-chain HMC, or NUTS.

        Parameters
        ----------
        chains : int
            All chains run as one batch. From 32 on they are grouped into superchains with common
            starting points, and `Fit.check` reports nested R-hat, which needs few draws of each.
        warmup : int
            Transitions of each chain that adapt.
        draws : int, optional
            Transitions of each chain that are kept: 1000, or with `until` at most 20,000.
        shortcuts : bool
            Sum up equal rows and integrate out what can be, exactly: the posterior is the same, and
            `plan` tells what is done. False samples everything, row by row.
        approximate : str, optional
            ``"laplace"``: integrate the effects of the group with the most levels out by Laplace's
            method, for responses that are not gaussian. Not exact: importance weights tell how far
            it is off, and `Fit.check` says so.
        sampler : str
            ``"hmc"``, trajectories of a common length, or ``"nuts"``, where each chain ends its
            trajectory when it turns back: slower for most models, but without a length to learn.
        target_accept : float
            Mean acceptance the step size is adapted to; higher is slower and safer.
        until : str, optional
            Stop when the draws are enough: ``"ess >= 400"`` asks that of the bulk and the tail ESS
            of every quantity, and an R-hat below 1.01, or the one given as in
            ``"ess >= 400 and r_hat < 1.005"``.
        max_seconds : float, optional
            Stop the draws when the run took that long; warm-up is always finished.
        keep_warmup : bool
            Keep warm-up too, as groups ``warmup_posterior`` and ``warmup_sample_stats``.
        checkpoint : path, optional
            A file to write the state of the run to, from which `hiermod.resume` goes on.
        checkpoint_every : float
            Seconds between two writes.
        seed : int, optional
            The same seed gives the same draws; by default a new one, which is recorded.
        progress : bool
            Show a bar.

        Returns
        -------
        Fit
            After Ctrl-C during the draws, with those finished so far.

        Raises
        ------
        SamplingError
            If an option is out of range, or no finite starting point is found; says which part
            of the model is not finite.
        """
        if draws is None:
            draws = 1000 if until is None else 20_000
        settings = inference.Settings(
            warmup,
            draws,
            target_accept,
            _seed(seed),
            keep_warmup=keep_warmup,
            until=until,
            max_seconds=max_seconds,
            sampler=sampler,
        )
        inference.check_whole("chains", chains, 1)
        plan, place = self.plan(shortcuts=shortcuts, approximate=approximate), None
        if checkpoint is not None:
            header = {
                "settings": asdict(settings),
                "model": plan.fingerprint,
                "plan": {"shortcuts": shortcuts, "approximate": approximate},
            }
            place = inference.Checkpoint(
                Path(checkpoint), header, self._pickled(), checkpoint_every
            )
        centre, scale, radius = plan.start()
        start = functools.partial(
            inference.start_positions,
            plan.log_density,
            plan.arguments,
            centre,
            chains,
            settings.seed,
            radius,
            explain=plan.explain,
        )
        return self._run(plan, settings, start, scale, place, progress=progress, resume=False)

    def _run(
        self,
        plan: models.Plan,
        settings: inference.Settings,
        start: inference.Start | None,
        scale: NDArray[np.float64] | None,
        checkpoint: inference.Checkpoint | None,
        *,
        progress: bool,
        resume: bool,
    ) -> Fit:
        with inference.Bar(settings.warmup + settings.draws, show=progress) as bar:
            found = inference.run(
                plan.log_density,
                start,
                settings,
                plan.arguments,
                scale,
                report=bar if progress else None,
                quantities=lambda position: results.quantities(plan, position, settings.seed),
                checkpoint=checkpoint,
                resume=resume,
                explain=plan.explain,
            )
        return Fit(self, results.inference_data(results.convert(plan, found)))

    def _pickled(self) -> bytes:
        """The model as bytes; none if the user's own functions cannot be pickled."""
        try:
            return pickle.dumps(self)
        except (pickle.PicklingError, AttributeError, TypeError):
            return b""

    def __repr__(self) -> str:
        """Formula, family, data and priors."""
        return results.describe(self.specification, self.priors)

    def _repr_html_(self) -> str:
        return results.describe_html(self.specification, self.priors)


class Posterior:
    """Draws, and what can be asked of them without knowing the model.

    Made by `hiermod.sample`.

    Attributes
    ----------
    idata : InferenceData (ArviZ 0.x) or DataTree (ArviZ 1.x)
        Groups ``posterior`` and ``sample_stats``. All of ArviZ works on it.
    """

    def __init__(self, idata: Any) -> None:
        self.idata = idata

    @property
    def posterior(self) -> xr.Dataset:
        """The posterior group, variables with dimensions (chain, draw, ...)."""
        return results.group(self.idata, "posterior")

    def summary(
        self, var_names: Sequence[str] | None = None, *, interval: float = 0.9
    ) -> pd.DataFrame:
        """Means, standard deviations, intervals and diagnostics.

        Parameters
        ----------
        var_names : sequence of str, optional
            Variables to show; all by default.
        interval : float
            Probability of the equal-tailed interval.

        Returns
        -------
        DataFrame
            Columns ``mean``, ``sd``, the two ends of the interval, ``mcse_mean``, ``ess_bulk``,
            ``ess_tail``, ``r_hat``.

        Raises
        ------
        ModelError
            If a variable does not exist.
        """
        return results.summary(self.posterior, var_names, interval)

    @cached_property
    def _check(self) -> results.Check:
        return results.check(self.posterior, results.group(self.idata, "sample_stats"))

    def check(self) -> results.Check:
        """What is wrong with this fit, and what to do about it.

        Rank-normalised split R-hat, bulk and tail ESS (Vehtari et al. 2021), divergences and
        E-BFMI (Betancourt 2016); for each problem a sentence of advice.

        Returns
        -------
        Check
            Prints as text; ``.ok``, ``.problems`` and ``.figures`` are for programs.
        """
        return self._check

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `idata` to a NetCDF file, whole or not at all.

        Parameters
        ----------
        path : path
            An older file there stays as it was if writing fails.

        Returns
        -------
        Path
        """
        return results.save(self.idata, path)

    def plot_trace(self, var_names: Sequence[str] | None = None, **options: Any) -> Figure:
        """Density and trace of every scalar; see `hiermod.plots.trace`."""
        return plots.trace(self.idata, var_names, **options)

    def plot_rank(self, var_names: Sequence[str] | None = None, **options: Any) -> Figure:
        """Ranks of the draws of each chain; see `hiermod.plots.rank`."""
        return plots.rank(self.idata, var_names, **options)

    def plot_forest(self, var_names: Sequence[str] | None = None, **options: Any) -> Axes:
        """Intervals of many parameters; see `hiermod.plots.forest`."""
        return plots.forest(self.idata, var_names, **options)

    def plot_densities(self, var_name: str, **options: Any) -> Figure:
        """A small panel with the density of every level; see `hiermod.plots.densities`."""
        return plots.densities(self.idata, var_name, **options)

    def __repr__(self) -> str:
        """Verdict and table."""
        return f"{self.check()}\n\n{self.summary().round(3)}"


class Fit(Posterior):
    """A posterior and everything that can be asked of it.

    Made by `hiermod.fit`.

    Attributes
    ----------
    model : Model
    idata : InferenceData (ArviZ 0.x) or DataTree (ArviZ 1.x)
        Groups ``posterior``, ``sample_stats``, ``observed_data`` and ``constant_data``; the
        ``add_`` methods add more. All of ArviZ works on it.
    """

    def __init__(self, model: Model, idata: Any) -> None:
        super().__init__(idata)
        self.model = model

    def add_log_likelihood(self) -> Fit:
        """Add the group ``log_likelihood``, for `az.loo` and the like; returns the fit.

        The log-likelihood of every row and draw; worked out in pieces, so that beside the result
        little memory is needed.
        """
        return self._add_rows("log_likelihood", results.log_likelihood)

    def add_log_prior(self) -> Fit:
        """Add the group ``log_prior``, for ArviZ's prior sensitivity; returns the fit.

        The log density of the prior of every parameter of `Model.priors` at every draw. Group
        effects, coefficients of smooths and coefficients with a shrinkage prior are not among them:
        given the parameters of their distribution, they are part of the model.
        """
        results.add_group(
            self.idata, "log_prior", results.log_prior(self.model._joint, self.posterior)
        )
        return self

    def sensitivity(self, var_names: Sequence[str] | None = None) -> pd.DataFrame:
        """How much the posterior changes when the priors, or the likelihood, count more or less.

        Each is raised to powers near 1 in turn, the priors all together, and the draws are weighted
        accordingly (power-scaling; Kallioinen, Paananen, Buerkner and Vehtari 2024, "Detecting and
        diagnosing prior and likelihood sensitivity with power-scaling"). The priors are those of
        `add_log_prior`. The computation is ArviZ's.

        Parameters
        ----------
        var_names : sequence of str, optional
            Variables to show; all by default.

        Returns
        -------
        DataFrame
            A row for every scalar, as in `summary`, but for constants. Columns ``prior`` and
            ``likelihood``, above 0.05 where the posterior is sensitive; and ``diagnosis``:
            ``"potential prior-data conflict"`` if it is to both, ``"strong prior / weak
            likelihood"`` if it is to the prior alone, ``"-"`` otherwise.

        Raises
        ------
        ModelError
            If a variable does not exist, or the draws of group effects were too many to keep.

        Examples
        --------
        >>> import hiermod as hm
        >>> kline, priors = hm.load_data("Kline"), {"Intercept": "normal(0, 0.1)"}
        >>> fit = hm.fit(
        ...     kline, "total_tools ~ 1", family="poisson", priors=priors, seed=1, progress=False
        ... )
        >>> fit.sensitivity().loc["Intercept", "diagnosis"]
        'potential prior-data conflict'
        """
        return results.sensitivity(self.model._joint, self.posterior, var_names)

    def add_posterior_predictive(self, *, seed: int | None = None) -> Fit:
        """Add the group ``posterior_predictive``, a response for every row and draw.

        Returns the fit.

        Parameters
        ----------
        seed : int, optional
        """
        return self._add_rows(
            "posterior_predictive", lambda j, p: results.predictive(j, p, _seed(seed))
        )

    def add_prior(self, draws: int = 500, *, seed: int | None = None) -> Fit:
        """Add the groups ``prior`` and ``prior_predictive``; returns the fit.

        Parameters
        ----------
        draws : int
        seed : int, optional
        """
        inference.check_whole("draws", draws, 1)
        for name, data in results.prior(self.model._joint, draws, _seed(seed)).items():
            results.add_group(self.idata, name, data)
        return self

    def draw_effects(
        self, group: str, levels: Any = None, *, seed: int | None = None
    ) -> xr.Dataset:
        """Draws of the effects of some levels of a group, also where they were not kept.

        Of a group with very many levels, whose effects were integrated out, the posterior holds no
        draws; ``fit.idata["group_effects"]`` has their means and standard deviations, and this
        makes the draws of some levels, given the draws of everything else.

        Parameters
        ----------
        group : str
            A grouping factor.
        levels : label or sequence of labels, optional
            All by default, one after the other.
        seed : int, optional

        Returns
        -------
        Dataset
            A variable for each effect, with dimensions (chain, draw, level).

        Raises
        ------
        ModelError
            If there is no such group or level.
        """
        return results.draw_effects(self.model._joint, self.posterior, group, levels, _seed(seed))

    def _add_rows(
        self, name: str, rows: Callable[[models.Joint, xr.Dataset], np.ndarray[Any, Any]]
    ) -> Fit:
        s = self.model.specification
        values = rows(self.model._joint, self.posterior)
        data = results.per_row(s, s.design.response.name, values, results.attributes(s))
        results.add_group(self.idata, name, data)
        return self

    def plot_ppc(
        self, *, group: str = "posterior_predictive", seed: int | None = None, **options: Any
    ) -> Axes:
        """Observed responses and ones the model predicts; see `hiermod.plots.ppc`.

        Adds the group ``posterior_predictive`` if it is not there yet. With
        ``group="prior_predictive"``, after `add_prior`, those that the prior implies.
        """
        if group == "posterior_predictive" and not results.has_group(self.idata, group):
            self.add_posterior_predictive(seed=seed)
        return self.model._plot_ppc(self.idata, group, options)

    def pooling(
        self, group: str, *, response: bool = False, interval: float = 0.9
    ) -> results.Pooling:
        """Estimates of every level of a group without, with partial and with complete pooling.

        Parameters
        ----------
        group : str
            A grouping factor.
        response : bool
            On the scale of the response instead of the link.
        interval : float
            Probability of the intervals.

        Returns
        -------
        Pooling
            The numbers that `plot_shrinkage` draws.

        Raises
        ------
        ModelError
            If the model has no such group, or `response` is asked for more than an intercept.
        """
        return results.pooling(
            self.model._joint, self.posterior, group, response=response, probability=interval
        )

    def plot_shrinkage(
        self,
        group: str,
        *,
        response: bool = False,
        interval: float = 0.9,
        split: str | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """No pooling, partial pooling and complete pooling of every level of a group.

        Parameters
        ----------
        group : str
            A grouping factor.
        response : bool
            On the scale of the response instead of the link.
        interval : float
            Probability of the intervals.
        split : str, optional
            Column of the data, constant within each level, that the levels are ordered and split
            by.
        figsize : pair of float, optional
            In inches.

        Returns
        -------
        Figure
            For an intercept: the levels, and beside them shrinkage against the amount of data.
            For an intercept and a slope: both estimates in the plane, with arrows and ellipses.
        """
        found = self.pooling(group, response=response, interval=interval)
        by = (
            None
            if split is None
            else results.level_values(self.model.design, self.model.data, group, split)
        )
        return plots.shrinkage(found, split=by, split_name=split, figsize=figsize)

    def __repr__(self) -> str:
        """Formula, sampler, verdict and a table of the population's parameters."""
        return results.describe_fit(self.model.specification, self.posterior, self.check())

    def _repr_html_(self) -> str:
        return results.describe_fit_html(self.model.specification, self.posterior, self.check())


def _seed(seed: int | None) -> int:
    """The seed, or a new one."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    inference.check_whole("seed", seed, 0)
    return int(seed)


@dataclass(frozen=True)
class Formulas:
    """The formula of the response, and those of other parameters of the family.

    Made by `hiermod.formula`.

    Attributes
    ----------
    main : str
    parameters : dict of str
        Right-hand sides, ``"~ x"``, by name.
    """

    main: str
    parameters: dict[str, str]

    def __str__(self) -> str:
        return ", ".join([self.main, *(f"{k} {v}" for k, v in self.parameters.items())])


def formula(main: str, **parameters: str) -> Formulas:
    """Formulas for several parameters of a family: a distributional model.

    Parameters
    ----------
    main : str
        Of the response: ``"y ~ x + (1 | g)"``.
    **parameters : str
        Of other parameters of the family, by name, on the scale of their link (a logarithm, or a
        logit of a probability): ``sigma="~ x + (1 | g)"``. Their terms are called ``sigma_x``,
        ``sigma_1|g`` and so on; the classes of their priors ``sigma_common``,
        ``sigma_group_sigma``, ``sigma_group_cor``.

    Returns
    -------
    Formulas
        For `hiermod.model` and `hiermod.fit`.

    Raises
    ------
    FormulaError
        If a formula is not text, or that of a parameter does not begin with ``~``.

    Examples
    --------
    >>> import hiermod as hm
    >>> study = hm.load_data("sleepstudy")
    >>> parts = hm.formula("Reaction ~ Days + (1 | Subject)", sigma="~ Days")
    >>> list(hm.model(study, parts).priors.index)
    ['Intercept', 'Days', 'sigma_Intercept', 'sigma_Days', '1|Subject_sigma']
    """
    for name, text in {"": main, **parameters}.items():
        if not isinstance(text, str):
            raise FormulaError(
                f"a formula must be text such as 'y ~ x', not {type(text).__name__}."
            )
        if name and not text.lstrip().startswith("~"):
            raise FormulaError(f"the formula of {name!r} must begin with '~': {name}='~ x'.")
    return Formulas(main, dict(parameters))


@_known_keywords
def model(
    data: pd.DataFrame,
    formula: str | Formulas,
    *,
    family: str | models.Family = "gaussian",
    link: str | Mapping[str, str] | None = None,
    priors: Mapping[str, Any] | None = None,
    center: bool = True,
    noncentered: bool | Mapping[str, bool] | None = None,
    dropna: bool = False,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> Model:
    """A model of a data frame, checked and ready to fit.

    Parameters
    ----------
    data : DataFrame
        Not modified; only the columns that the formula names are read.
    formula : str or Formulas
        For example ``"y ~ x + (1 + x | g)"``; `hiermod.formula` gives other parameters a formula.
    family : str or Family
        Of any number: ``"gaussian"``, ``"student"``, ``"skew_normal"``, ``"laplace"``,
        ``"asym_laplace"``, ``"gumbel"``, ``"exgaussian"``, ``"von_mises"``. Of positive numbers:
        ``"lognormal"``, ``"shifted_lognormal"``, ``"gamma"``, ``"weibull"``, ``"exponential"``,
        ``"inverse_gaussian"``, ``"hurdle_gamma"``, ``"hurdle_lognormal"``. Of proportions:
        ``"beta"``, ``"zero_inflated_beta"``. Of successes: ``"bernoulli"``, ``"binomial"``,
        ``"beta_binomial"``, ``"zero_inflated_binomial"``, ``"zero_inflated_beta_binomial"``. Of
        counts: ``"poisson"``, ``"negbinomial"``, ``"geometric"``, ``"zero_inflated_poisson"``,
        ``"zero_inflated_negbinomial"``, ``"hurdle_poisson"``, ``"hurdle_negbinomial"``. Of
        categories: ``"categorical"``, or in order ``"cumulative"``, ``"sratio"``, ``"cratio"``,
        ``"acat"``. Of several columns, ``c(a, b, c)``: ``"multinomial"``, ``"dirichlet"``,
        ``"dirichlet_multinomial"``. Or a `Family` of your own.
    link : str or mapping from parameter to str, optional
        Of the mean; or by parameter, ``{"mu": "log", "sigma": "softplus"}``. By default the
        family's own, and a log or logit for other parameters that have a formula.
    priors : mapping, optional
        From names of parameters (``"Intercept"``, ``"x"``, ``"1|g_sigma"``, ``"g_cor"``,
        ``"sigma"``) or classes (``"common"``, ``"group_sigma"``, ``"group_cor"``,
        ``"smooth_sigma"``) to strings such as ``"normal(0, 1)"`` or scalar TFP distributions. A
        name wins over its class, and that of a single coefficient, ``"f[b]"``, over both; what is
        not named has a default, shown by `Model.priors`. Common coefficients can share
        ``"horseshoe()"``, ``"r2d2()"`` or ``"normal(0, exponential(1))"``, see docs/priors.md.
    center : bool
        Whether the prior of the intercept speaks of the intercept at the means of the predictors,
        which is easier to sample. False gives the textbook model, where it speaks of the reported
        intercept, at predictors = 0.
    noncentered : bool or mapping from grouping factor or smooth to bool, optional
        Whether group effects, and coefficients of smooths, are sampled as standard normal values
        that are scaled afterwards (better for little data) or directly (better for much). The
        posterior is the same. By default the sampler moves group effects by what the data say of
        each level, which is better than either; see docs/sampling.md.
    dropna : bool
        Drop rows with missing values instead of refusing them.
    functions : mapping, optional
        Functions of your own, by the name they have in the formula.

    Returns
    -------
    Model

    Raises
    ------
    FormulaError
        If the formula cannot be read, with a caret under the place.
    DataError
        If the data do not fit it: missing values, a constant predictor, a response outside the
        support of the family.
    ModelError
        If the family, link or grouping factor of an option does not exist or fit.
    PriorError
        If a prior cannot be read, names nothing, or has the wrong support.

    Examples
    --------
    >>> import hiermod as hm
    >>> frogs = hm.load_data("reedfrogs").assign(tank=lambda d: d.index)
    >>> model = hm.model(frogs, "prop(surv, density) ~ 1 + (1 | tank)", family="binomial")
    >>> list(model.priors.index)
    ['Intercept', '1|tank_sigma']
    """
    if not isinstance(data, pd.DataFrame):
        raise DataError(f"data must be a pandas DataFrame, not {type(data).__name__}.")
    if isinstance(formula, str):
        formula = Formulas(formula, {})
    if not isinstance(formula, Formulas):
        raise FormulaError(f"formula must be text such as 'y ~ x', not {type(formula).__name__}.")
    design = formulas.designs(
        formula.main, formula.parameters, data, functions=functions, dropna=dropna
    )
    return Model(
        models.specify(design, family, link, priors, center=center, noncentered=noncentered), data
    )


@_known_keywords
def fit(
    data: pd.DataFrame,
    formula: str | Formulas,
    *,
    family: str | models.Family = "gaussian",
    link: str | Mapping[str, str] | None = None,
    priors: Mapping[str, Any] | None = None,
    center: bool = True,
    noncentered: bool | Mapping[str, bool] | None = None,
    dropna: bool = False,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    chains: int = 4,
    warmup: int = 500,
    draws: int | None = None,
    shortcuts: bool = True,
    approximate: str | None = None,
    sampler: str = "hmc",
    target_accept: float = 0.8,
    until: str | None = None,
    max_seconds: float | None = None,
    keep_warmup: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 30.0,
    seed: int | None = None,
    progress: bool = True,
) -> Fit:
    """Fit a multilevel model: `model` and `Model.fit` in one call.

    Parameters
    ----------
    data, formula, family, link, priors, center, noncentered, dropna, functions
        As for `model`.
    chains, warmup, draws, shortcuts, approximate, sampler, target_accept, until, max_seconds
        As for `Model.fit`.
    keep_warmup, checkpoint, checkpoint_every, seed, progress
        As for `Model.fit`.

    Returns
    -------
    Fit

    Raises
    ------
    FormulaError, DataError, ModelError, PriorError, SamplingError
        As `model` and `Model.fit` do, before anything is compiled.

    Examples
    --------
    >>> import hiermod as hm
    >>> kline = hm.load_data("Kline")
    >>> fit = hm.fit(kline, "total_tools ~ 1", family="poisson", seed=1, progress=False)
    >>> bool(3.4 < fit.summary().loc["Intercept", "mean"] < 3.7)
    True
    """
    made = model(
        data,
        formula,
        family=family,
        link=link,
        priors=priors,
        center=center,
        noncentered=noncentered,
        dropna=dropna,
        functions=functions,
    )
    return made.fit(
        chains=chains,
        warmup=warmup,
        draws=draws,
        shortcuts=shortcuts,
        approximate=approximate,
        sampler=sampler,
        target_accept=target_accept,
        until=until,
        max_seconds=max_seconds,
        keep_warmup=keep_warmup,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        seed=seed,
        progress=progress,
    )


@_known_keywords
def resume(
    path: str | os.PathLike[str],
    *,
    model: Model | None = None,
    checkpoint_every: float = 30.0,
    progress: bool = True,
) -> Fit:
    """Go on with a fit from its checkpoint, to the draws that it would have had.

    Parameters
    ----------
    path : path
        What `fit` was given as ``checkpoint=``; it goes on being written. The file holds the model
        as a pickle: open only files that you trust.
    model : Model, optional
        The model that was fitted; needed only where it could not be pickled, for example because
        of ``functions=`` without a module.
    checkpoint_every, progress
        As for `Model.fit`.

    Returns
    -------
    Fit

    Raises
    ------
    SamplingError
        If the file is no checkpoint, or one of another model or of other versions of the software.

    Examples
    --------
    >>> import tempfile
    >>> import hiermod as hm
    >>> kline = hm.load_data("Kline")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = f"{folder}/tools.checkpoint"
    ...     made = hm.model(kline, "total_tools ~ 1", family="poisson")
    ...     whole = made.fit(seed=1, draws=50, checkpoint=file, checkpoint_every=0, progress=False)
    ...     again = hm.resume(file, progress=False)
    >>> bool((again.posterior["Intercept"] == whole.posterior["Intercept"]).all())
    True
    """
    record, blob = inference.read(Path(path))
    if model is None and not blob:
        raise SamplingError(
            f"the model in {str(path)!r} could not be stored with it: give it as model=."
        )
    model = model or pickle.loads(blob)
    header = record["header"]
    plan = model.plan(**header["plan"])
    if plan.fingerprint != header["model"]:
        raise SamplingError(
            f"the checkpoint {str(path)!r} is of another model, or of other data: resume it with "
            "the model that was fitted."
        )
    place = inference.Checkpoint(Path(path), header, blob, checkpoint_every)
    settings = inference.Settings(**header["settings"])
    return model._run(plan, settings, None, None, place, progress=progress, resume=True)


@_known_keywords
def sample(
    log_prob: Any,
    start: Mapping[str, Any] | None = None,
    *,
    bijectors: Mapping[str, Any] | None = None,
    chains: int = 4,
    warmup: int = 500,
    draws: int | None = None,
    sampler: str = "hmc",
    target_accept: float = 0.8,
    until: str | None = None,
    max_seconds: float | None = None,
    keep_warmup: bool = False,
    seed: int | None = None,
    progress: bool = True,
) -> Posterior:
    """Sample from any log density written in TensorFlow or TFP, with the engine of `fit`.

    Parameters
    ----------
    log_prob : function, or pinned joint distribution
        From a dict of float64 tensors, each (chains, ...) with an axis for the chains in front, to
        log densities (chains,). It is compiled by XLA; another call with the same function, the
        same shapes and equal bijectors compiles nothing. Or ``joint.experimental_pin(y=...)`` of
        any joint distribution of TFP: another call with the same joint distribution, and other
        values of the same shapes, compiles nothing.
    start : mapping
        From names to values of the shape of one draw; chains start around it. Of a pinned joint
        distribution optional, and so is each name; else zero in the unconstrained space.
    bijectors : mapping, optional
        From names to `tfp.bijectors`, for variables that are not free: ``{"tau": tfb.Exp()}``.
        `log_prob` gets constrained values, and the Jacobian is added to it. A pinned joint
        distribution has its own, TFP's defaults.
    chains, warmup, draws, sampler, target_accept, until, max_seconds
        As for `Model.fit`.
    keep_warmup, seed, progress
        As for `Model.fit`.

    Returns
    -------
    Posterior

    Raises
    ------
    ModelError
        If `log_prob` does not return one value a chain, or a joint distribution has discrete parts.
    SamplingError
        If an option is out of range, or no finite starting point is found.

    Examples
    --------
    >>> import hiermod as hm
    >>> import tensorflow as tf
    >>> def log_prob(v):
    ...     return -0.5 * tf.reduce_sum((v["x"] - 3.0) ** 2, axis=-1)
    >>> found = hm.sample(log_prob, {"x": [0.0, 0.0]}, seed=1, progress=False)
    >>> bool(abs(found.posterior["x"].mean() - 3.0) < 0.1)
    True
    """
    if draws is None:
        draws = 1000 if until is None else 20_000
    settings = inference.Settings(
        warmup,
        draws,
        target_accept,
        _seed(seed),
        keep_warmup=keep_warmup,
        until=until,
        max_seconds=max_seconds,
        sampler=sampler,
    )
    density: models.Density | models.Pinned
    data: Any = ()
    if isinstance(log_prob, models.JointDistributionPinned):
        if bijectors is not None:
            raise ModelError("a pinned joint distribution has bijectors: leave out bijectors=.")
        density = models.Pinned.make(log_prob, start)
        data = density.pins
    else:
        density = models.Density.make(log_prob, start, bijectors)
    places = functools.partial(
        inference.start_positions,
        density,
        data,
        density.centre,
        chains,
        settings.seed,
        explain=density.explain,
    )

    def scalars(position: NDArray[np.float64]) -> NDArray[np.float64]:
        values = density.values(position).values()
        return np.concatenate([v.reshape(*v.shape[:2], -1) for v in values], axis=-1)

    with inference.Bar(warmup + draws, show=progress) as bar:
        found = inference.run(
            density,
            places,
            settings,
            data,
            report=bar if progress else None,
            quantities=scalars,
            explain=density.explain,
        )
    return Posterior(
        results.inference_data(
            results.sampled_groups(
                found,
                results.plain(density.values(found.position), found),
                results.plain(density.values(found.warmup[0]), found) if found.warmup else None,
            )
        )
    )
