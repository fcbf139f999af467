"""Default priors: weakly informative, scaled to the data, every number explained.

With s the unit of the linear predictor (the standard deviation of a gaussian response under the
identity link, 1 on the log and logit scales, 0.6 on the probit scale, where the logistic's unit is
that long; under the inverse and square root links that of the response times the slope of the link
at the mean), and d(x) the spread of a predictor (its range if it has two values, as 0 and 1, else
its standard deviation; the rule of rstanarm's `get_scale_value`):

- a common coefficient: normal(0, 2.5 s / d(x)), as rstanarm;
- the intercept at the predictors' means: normal(m, 2.5 s), with m the mean response on the link
  scale, or normal(0, 1.5 s) for probabilities, which is nearly flat on (0, 1) (McElreath 2020,
  section 11.1); without centring, its variance includes what the slopes' priors add at
  predictors = 0;
- a drift between two boundaries: as a coefficient on the logit scale, with m = 0 and s = 1, which
  is for times in seconds;
- thresholds between ordered categories: as an intercept, with 2.5 s and an offset's mean for m;
- without an intercept, the coefficients of an index variable or full-rank factor have the prior of
  an intercept; if there is none, s becomes sqrt(s^2 + m^2), for something else must reach m;
- the standard deviation of group effects: exponential with mean s / d(x);
- the standard deviation of a smooth, which is that of its penalised part in a typical row:
  exponential with mean s;
- correlations of group effects: lkj(2);
- sigma of a gaussian response: exponential with mean sd(y), as rstanarm.

Half-t priors with three degrees of freedom, as brms has them for group standard deviations, are
wide on log and logit scales; exponential(1) and lkj(2) are what its users ask for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hiermod.formula.design import Design, Response, Term
from hiermod.models.families import Family, FamilyParameter
from hiermod.models.links import Link, evaluate
from hiermod.models.priors import Prior, make, parse

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Defaults:
    """The default priors of one model.

    Attributes
    ----------
    location, unit : float
        m and s of the module's text.
    spread : float
        Standard deviation of the response, for auxiliary parameters.
    least, mean : float
        The smallest response, and the mean.
    probability : bool
        Whether the mean is a probability.
    intercept_scale : float
        Standard deviation of the prior of the intercept.
    whole : float
        The size of a linear predictor that must reach m by itself; s where something else does.
    intercept_free : bool
        Whether there is no common intercept.
    """

    location: float
    unit: float
    spread: float
    least: float
    mean: float
    probability: bool
    intercept_scale: float
    whole: float
    intercept_free: bool

    @classmethod
    def of(cls, design: Design, family: Family, link: Link, center: bool) -> Defaults:
        """Read the scales off the data."""
        values, exposure = design.response.values, design.response.rate
        y = family.scaled(values if exposure is None else values / exposure)
        spread = float(np.std(y)) or 1.0
        probability = not family.location
        unit = 1.0
        if not family.decisions:
            unit = float(evaluate(link.unit, mean=typical_mean(design, family, link), sd=spread))
        location = typical_eta(design, family, link) if family.location else 0.0
        if family.categories == "ordered":  # thresholds are on the other side of the equation
            location = 0.0 - typical_eta(design, family, link)
        wide = 2.5 if family.location or family.categories == "ordered" else 1.5
        whole = float(np.hypot(unit, location))
        carried = design.intercept or any(is_index(design.X[:, t.columns]) for t in design.terms)
        return cls(
            location,
            unit,
            spread,
            float((np.abs(values) if family.decisions else values).min()),
            float(np.mean(y)),
            probability,
            intercept_scale=_intercept_scale(design, wide, unit, center),
            whole=unit if carried else whole,
            intercept_free=not design.intercept,
        )

    @classmethod
    def of_parameter(
        cls, design: Design, response: Response, family: Family, name: str, link: Link, center: bool
    ) -> Defaults:
        """Of the linear predictor of a parameter beside the mean."""
        auxiliary = family.parameters[name]
        probability, typical = auxiliary.support == "probability", auxiliary.typical
        y = family.scaled(response.values)
        spread = float(np.std(y)) or 1.0
        is_mean = "mean}" in auxiliary.prior
        if is_mean:
            typical = float(np.mean(y)) if np.isinf(link.low) else max(float(np.mean(y)), 0.1)
        elif "sd}" in auxiliary.prior:  # a standard deviation of the response
            typical = spread
        location, unit = 0.0, 1.0
        if auxiliary.support == "positive" or is_mean:
            location = float(evaluate(link.eta, mean=typical))
            unit = float(evaluate(link.unit, mean=typical, sd=spread if is_mean else typical))
        wide = 1.5 if probability else 2.5
        return cls(
            location,
            unit,
            1.0,
            0.0,
            0.0,
            probability,
            intercept_scale=_intercept_scale(design, wide, unit, center),
            whole=unit,
            intercept_free=not design.intercept,
        )

    def intercept(self) -> Prior:
        """Of the intercept."""
        return make("normal", self.location, self.intercept_scale, source="default")

    def common(self, term: Term, columns: FloatArray) -> Prior:
        """Of the coefficients of a common term; `columns` has shape (N, width)."""
        if self.intercept_free and is_index(columns):
            scale = (1.5 if self.probability else 2.5) * self.unit
            return make("normal", self.location, scale, source="default, as an intercept")
        if self.intercept_free and self.whole > self.unit:
            sizes = [float(np.sqrt(np.mean(x**2))) or 1.0 for x in columns.T]
        else:
            sizes = [spread_of(x) for x in columns.T]
        scales = tuple(2.5 * self.whole / size for size in sizes)
        return make("normal", 0.0, _one(scales), source="default, scaled to x")

    def group_sigma(self, effect: Term, columns: FloatArray) -> Prior:
        """Of the standard deviations of group effects; `columns` has shape (N, width)."""
        rates = tuple(spread_of(x) / self.whole for x in columns.T)
        constant = effect.kind == "intercept"
        source = "default, scaled to y" if constant else "default, scaled to x"
        return make("exponential", _one(rates), source=source)

    def smooth_sigma(self) -> Prior:
        """Of the standard deviations of smooths."""
        return make("exponential", 1 / self.whole, source="default, scaled to y")

    def group_cor(self) -> Prior:
        """Of the correlation of the effects of a group."""
        return make("lkj", 2.0, source="default")

    def auxiliary(self, auxiliary: FamilyParameter) -> Prior:
        """Of a family's parameter beside the mean."""
        text = auxiliary.prior.format(
            sd=self.spread,
            per_sd=1 / self.spread,
            least=self.least,
            mean=self.mean,
            per_mean=1 / (self.mean or 1.0),
            wide=2.5 * self.spread,
        )
        scaled = text != auxiliary.prior
        return parse(text, "default, scaled to y" if scaled else "default")


def _intercept_scale(design: Design, wide: float, unit: float, center: bool) -> float:
    """Of an intercept that is `wide` units at the predictors' means."""
    slopes = [] if center else [2.5 / spread_of(x) * x.mean() for x in design.X.T]
    return unit * float(np.linalg.norm([wide, *slopes]))


def _one(values: tuple[float, ...]) -> float | tuple[float, ...]:
    """A single number if all are the same."""
    return values[0] if np.ptp(values) <= 1e-12 * max(values) else values


def is_index(columns: FloatArray) -> bool:
    """Whether columns, shape (N, width), are indicators of which one is on in every row."""
    return bool(np.isin(columns, (0.0, 1.0)).all() and (columns.sum(axis=1) == 1).all())


def typical_mean(design: Design, family: Family, link: Link) -> float:
    """The mean response, kept off the ends of what the link can give."""
    y, size = family.scaled(design.response.values), design.response.size
    mean = float(np.mean(y) if size is None else np.sum(y) / (np.sum(size) or 1.0))
    if not family.location:
        return float(np.clip(mean, 0.05, 0.95))
    if np.isfinite(link.low) and (family.counts or np.isneginf(family.lower)):
        return max(mean, 0.1)
    return mean


def typical_eta(design: Design, family: Family, link: Link) -> float:
    """The linear predictor that gives the typical mean."""
    if family.single:
        return 0.0
    if family.categories:  # their thresholds carry the level
        return 0.0 if design.offset is None else -float(np.mean(design.offset))
    mean = 0.0 if family.decisions else typical_mean(design, family, link)
    offset = 0.0 if design.offset is None else float(np.mean(design.offset))
    return float(evaluate(link.eta, mean=mean)) - offset


def shares(response: Response) -> FloatArray:
    """Of the rows up to each category but the last, shape (K - 1,)."""
    counts = np.bincount(response.values.astype(int))[1:]
    return np.asarray(counts.cumsum()[:-1] / counts.sum())


def spread_of(x: FloatArray) -> float:
    """d(x) of the module's text; 1 for a constant.

    Examples
    --------
    >>> spread_of(np.array([0.0, 1.0, 1.0]))
    1.0
    """
    low, high = float(x.min()), float(x.max())
    if low == high:
        return 1.0
    two = bool(np.all((x == low) | (x == high)))
    return high - low if two else float(np.std(x))
