"""Families: what a likelihood is made of. A new family is one entry of `FAMILIES`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hiermod.errors import DataError, ModelError, did_you_mean
from hiermod.formula.design import Response
from hiermod.models.checks import check
from hiermod.models.links import Link, fill

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class FamilyParameter:
    """A parameter of a family beside the mean.

    Attributes
    ----------
    prior : str
        Its default prior, where ``{sd}`` is the standard deviation of the response (of its
        logarithm, if the family's `log_scale` is true), ``{per_sd}`` one over it, ``{least}``
        the smallest response, ``{mean}`` the mean of the response (or of its logarithm),
        ``{per_mean}`` one over it and ``{wide}`` 2.5 times ``{sd}``.
    support : str
        ``"positive"``, ``"probability"``, ``"real"`` or ``"ordered"``, ascending numbers.
    typical : float
        A value where the density is well behaved.
    thresholds : bool
        Whether there is one for each pair of neighbouring categories of the response.
    links : tuple of str
        Links that its formula can have, the default first; if empty, those of its support.
    """

    prior: str
    support: str = "positive"
    typical: float = 1.0
    thresholds: bool = False
    links: tuple[str, ...] = ()

    @property
    def allowed(self) -> tuple[str, ...]:
        """Links that its formula can have, the default first."""
        return self.links or LINKS_OF[self.support]


@dataclass(frozen=True)
class Family:
    """A distribution of the response given its mean, or another location.

    One of your own is ``family=`` of `hiermod.model` as the names of the others are, with the same
    rights; it is checked there.

    Attributes
    ----------
    name : str
    likelihood : str
        Expression of the TFP distribution of one row. It may use ``{mean}``, ``{log_mean}`` and
        ``{logit_mean}``, which the link fills in, ``data["trials"]``, its parameters by name,
        ``tf``, ``np``, and beside those of ``tfd`` the distributions of
        `hiermod.models.distributions`.
    links : tuple of str
        Links that it can have, its default first: one whose means lie in the range of the
        parameter for every linear predictor. (Beside inverse and 1/mu^2 all others do so too.)
    parameters : dict
        The parameters beside the mean, by name.
    totals : str
        Expression of the log-likelihood of rows with equal predictors, but for a constant: of
        ``data["count"]`` rows (or trials) with the sum ``data["total"]`` and the sum of squares
        ``data["within"]`` about their mean. Empty where it does not depend on them alone.
    density : str
        Name of the distribution in equations; that of the family if empty.
    counts : bool
        Whether the response must be a whole number.
    lower, upper : float
        The support of the response; ``upper`` is the number of trials if `trials` is true.
    ends : str
        Which ends belong to it, as in intervals: ``"[]"``, ``"()"``, ``"[)"`` or ``"(]"``.
    trials : bool
        Whether the response comes with a number of trials.
    location : bool
        Whether the response carries a location for the default prior of the intercept; if not,
        the mean is a probability, and the location is zero on the link scale.
    log_scale : bool
        Whether the mean is one of logarithms of the response.
    residual : str
        The standard deviation of a normal distribution about the mean, if that is what the family
        is: then effects integrate out.
    categories : bool
        Whether the response is one of several ordered categories; the family has thresholds then,
        in place of an intercept.
    tails : str
        Expression of the same distribution whose ``log_cdf`` and ``log_survival_function`` are
        finite, with finite gradients, wherever the density is. Empty if there is none: then the
        response cannot be censored or truncated.

    Examples
    --------
    >>> import hiermod as hm
    >>> smallest = hm.Family(
    ...     "gumbel_min",
    ...     likelihood="tfb.Scale(np.float64(-1))(tfd.Gumbel(loc=-{mean}, scale=sigma))",
    ...     links=("identity",),
    ...     parameters={"sigma": hm.FamilyParameter("exponential({per_sd})")},
    ... )
    >>> model = hm.model(hm.load_data("sleepstudy"), "Reaction ~ Days", family=smallest)
    >>> list(model.priors.index)
    ['Intercept', 'Days', 'sigma']
    """

    name: str
    likelihood: str
    links: tuple[str, ...]
    parameters: dict[str, FamilyParameter] = field(default_factory=dict)
    totals: str = ""
    density: str = ""
    counts: bool = False
    lower: float = -np.inf
    upper: float = np.inf
    ends: str = "[]"
    trials: bool = False
    location: bool = True
    log_scale: bool = False
    residual: str = ""
    tails: str = ""
    categories: bool = False

    def __post_init__(self) -> None:
        """Refuse parameters that are something else."""
        for name, parameter in self.parameters.items():
            if not isinstance(parameter, FamilyParameter):
                raise ModelError(
                    f"family {self.name!r}, parameter {name!r}: give a FamilyParameter, such as "
                    f"hm.FamilyParameter('exponential(1)'), not {type(parameter).__name__}."
                )

    @property
    def called(self) -> str:
        """Name of the distribution in equations."""
        return self.density or self.name

    def scaled(self, y: FloatArray) -> FloatArray:
        """The response, or what of it has a logarithm, on the scale of the mean."""
        return np.log(y[y > 0]) if self.log_scale and (y > 0).any() else y


NORMAL = "tfd.Normal(loc={mean}, scale=sigma)"
STUDENT = "StudentT(df=nu, loc={mean}, scale=sigma)"
LAPLACE = "tfd.Laplace(loc={mean}, scale=sigma)"
ASYMMETRIC = "AsymmetricLaplace(loc={mean}, scale=sigma, quantile=quantile)"
SHIFTED = "ShiftedLogNormal(loc={mean}, scale=sigma, shift=ndt)"
GEV = "GeneralizedExtremeValue(loc={mean}, scale=sigma, shape=xi)"
WEIBULL = "Weibull(log_mean={log_mean}, shape=shape)"
GEOMETRIC = "NegativeBinomial(log_mean={log_mean}, shape=np.float64(1))"

REAL = ("identity", "log", "inverse")
POSITIVE = ("log", "softplus", "squareplus")
CONTINUOUS = (*POSITIVE, "inverse")
COUNTS = (*POSITIVE, "sqrt")
PROBABILITY = ("logit", "probit", "probit_approx", "cloglog", "cauchit")
LINKS_OF = {
    "real": ("identity",),
    "ordered": ("identity",),
    "positive": POSITIVE,
    "probability": PROBABILITY,
}
"""Links of a parameter beside the mean that has a formula, by its support; the default first."""

LOGISTIC = 'data["total"] * ({logit_mean}) - data["count"] * tf.math.softplus({logit_mean})'
"""Of successes among trials."""

RATE = 'data["total"] * ({log_mean}) - data["count"] * tf.exp({log_mean})'
"""Of counts."""

SIGMA = FamilyParameter("exponential({per_sd})")
NU = FamilyParameter("gamma(2, 0.1)", typical=5.0, links=("logm1", *POSITIVE))
SHAPE = FamilyParameter("gamma(2, 0.5)")
PHI = FamilyParameter("gamma(2, 0.1)", typical=5.0)
ZERO = FamilyParameter("beta(1, 1)", "probability", typical=0.1)

POISSON = "tfd.Poisson(log_rate={log_mean})"
NEGATIVE_BINOMIAL = "NegativeBinomial(log_mean={log_mean}, shape=shape)"
BINOMIAL = 'tfd.Binomial(total_count=data["trials"], logits={logit_mean})'
POISSON_TAILS = POISSON.removeprefix("tfd.")
BINOMIAL_TAILS = BINOMIAL.removeprefix("tfd.")
BETA_BINOMIAL = 'BetaBinomial(trials=data["trials"], logit_mean={logit_mean}, phi=phi)'
GAMMA = "Gamma(log_mean={log_mean}, shape=shape)"
INVERSE_GAUSSIAN = "InverseGaussian(log_mean={log_mean}, shape=shape)"
LOG_NORMAL = "ShiftedLogNormal(loc={mean}, scale=sigma, shift=np.float64(0))"
BETA = "Beta(logit_mean={logit_mean}, phi=phi)"


def _ordinal(name: str, distribution: str, support: str) -> Family:
    """A family of ordered categories."""
    return Family(
        name,
        f"{distribution}(lambda eta: {{logit_mean}}, threshold, eta, disc)",
        PROBABILITY,
        {
            "threshold": FamilyParameter("normal(0, 2.5)", support, thresholds=True),
            "disc": FamilyParameter("constant(1)"),
        },
        counts=True,
        lower=1,
        location=False,
        categories=True,
    )


_ALL = (
    Family(
        "gaussian",
        NORMAL,
        REAL,
        {"sigma": SIGMA},
        totals=(
            '-0.5 * (data["count"] * (data["total"] / data["count"] - ({mean})) ** 2'
            ' + data["within"]) / sigma ** 2 - data["count"] * tf.math.log(sigma)'
        ),
        density="normal",
        residual="sigma",
        tails=NORMAL,
    ),
    Family(
        "student",
        "tfd.StudentT(df=nu, loc={mean}, scale=sigma)",
        REAL,
        {"sigma": SIGMA, "nu": NU},
        density="student_t",
        tails=STUDENT,
    ),
    Family(
        "skew_normal",
        "SkewNormal(mean={mean}, sd=sigma, alpha=alpha)",
        REAL,
        {"sigma": SIGMA, "alpha": FamilyParameter("normal(0, 4)", "real")},
    ),
    Family("laplace", LAPLACE, REAL, {"sigma": SIGMA}, tails=LAPLACE),
    Family(
        "asym_laplace",
        ASYMMETRIC,
        REAL,
        {
            "sigma": SIGMA,
            "quantile": FamilyParameter("beta(1, 1)", "probability", typical=0.5),
        },
        tails=ASYMMETRIC,
    ),
    Family(
        "gumbel",
        "tfd.Gumbel(loc={mean}, scale=sigma)",
        REAL,
        {"sigma": SIGMA},
        tails="Gumbel(loc={mean}, scale=sigma)",
    ),
    Family(
        "gev",
        GEV,
        REAL,
        {"sigma": SIGMA, "xi": FamilyParameter("normal(0, 0.5)", "real", typical=0.1)},
        tails=GEV,
    ),
    Family(
        "exgaussian",
        "ExGaussian(mean={mean}, scale=sigma, beta=beta)",
        REAL,
        {"sigma": SIGMA, "beta": FamilyParameter("exponential({per_sd})")},
    ),
    Family(
        "von_mises",
        "tfd.VonMises(loc={mean}, concentration=kappa)",
        ("tan_half",),
        {"kappa": FamilyParameter("gamma(2, 0.1)")},
        lower=-np.pi,
        upper=np.pi,
    ),
    Family(
        "lognormal",
        LOG_NORMAL,
        ("identity",),
        {"sigma": SIGMA},
        lower=0,
        ends="()",
        log_scale=True,
        tails=LOG_NORMAL,
    ),
    Family(
        "shifted_lognormal",
        SHIFTED,
        ("identity",),
        {"sigma": SIGMA, "ndt": FamilyParameter("uniform(0, {least})", typical=0.0)},
        lower=0,
        ends="()",
        log_scale=True,
        tails=SHIFTED,
    ),
    Family("gamma", GAMMA, CONTINUOUS, {"shape": SHAPE}, lower=0, ends="()", tails=GAMMA),
    Family(
        "weibull",
        WEIBULL,
        CONTINUOUS,
        {"shape": SHAPE},
        lower=0,
        ends="()",
        tails=WEIBULL,
    ),
    Family(
        "exponential",
        "tfd.Exponential(rate=tf.exp(-({log_mean})))",
        CONTINUOUS,
        totals='-data["count"] * ({log_mean}) - data["total"] * tf.exp(-({log_mean}))',
        lower=0,
        tails="Exponential(rate=tf.exp(-({log_mean})))",
    ),
    Family(
        "inverse_gaussian",
        INVERSE_GAUSSIAN,
        (*CONTINUOUS, "1/mu^2"),
        {"shape": FamilyParameter("gamma(1, 0.1)")},
        lower=0,
        ends="()",
        tails=INVERSE_GAUSSIAN,
    ),
    Family(
        "beta",
        BETA,
        PROBABILITY,
        {"phi": PHI},
        lower=0,
        upper=1,
        ends="()",
        location=False,
    ),
    Family(
        "bernoulli",
        "tfd.Bernoulli(logits={logit_mean}, dtype=tf.float64)",
        PROBABILITY,
        totals=LOGISTIC,
        counts=True,
        lower=0,
        upper=1,
        location=False,
    ),
    Family(
        "binomial",
        BINOMIAL,
        PROBABILITY,
        totals=LOGISTIC,
        counts=True,
        lower=0,
        trials=True,
        location=False,
        tails=BINOMIAL_TAILS,
    ),
    Family(
        "beta_binomial",
        BETA_BINOMIAL,
        PROBABILITY,
        {"phi": PHI},
        counts=True,
        lower=0,
        trials=True,
        location=False,
    ),
    Family(
        "poisson",
        POISSON,
        COUNTS,
        totals=RATE,
        counts=True,
        lower=0,
        tails=POISSON_TAILS,
    ),
    Family(
        "negbinomial",
        NEGATIVE_BINOMIAL,
        COUNTS,
        {"shape": SHAPE},
        counts=True,
        lower=0,
        tails=NEGATIVE_BINOMIAL,
    ),
    Family(
        "geometric",
        GEOMETRIC,
        COUNTS,
        totals=(
            'data["total"] * ({log_mean})'
            ' - (data["total"] + data["count"]) * tf.math.softplus({log_mean})'
        ),
        counts=True,
        lower=0,
        tails=GEOMETRIC,
    ),
    Family(
        "zero_inflated_poisson",
        f"Inflated({POISSON}, zi)",
        COUNTS,
        {"zi": ZERO},
        counts=True,
        lower=0,
        tails=f"Inflated({POISSON_TAILS}, zi)",
    ),
    Family(
        "zero_inflated_negbinomial",
        f"Inflated({NEGATIVE_BINOMIAL}, zi)",
        COUNTS,
        {"shape": SHAPE, "zi": ZERO},
        counts=True,
        lower=0,
        tails=f"Inflated({NEGATIVE_BINOMIAL}, zi)",
    ),
    Family(
        "zero_inflated_binomial",
        f"Inflated({BINOMIAL}, zi)",
        PROBABILITY,
        {"zi": ZERO},
        counts=True,
        lower=0,
        trials=True,
        location=False,
        tails=f"Inflated({BINOMIAL_TAILS}, zi)",
    ),
    Family(
        "zero_inflated_beta_binomial",
        f"Inflated({BETA_BINOMIAL}, zi)",
        PROBABILITY,
        {"phi": PHI, "zi": ZERO},
        counts=True,
        lower=0,
        trials=True,
        location=False,
    ),
    Family(
        "zero_inflated_beta",
        f"Hurdle({BETA}, zi, counts=False)",
        PROBABILITY,
        {"phi": PHI, "zi": ZERO},
        lower=0,
        upper=1,
        ends="[)",
        location=False,
    ),
    Family(
        "zero_one_inflated_beta",
        f"ZeroOneInflated({BETA}, zoi, coi)",
        PROBABILITY,
        {"phi": PHI, "zoi": ZERO, "coi": FamilyParameter("beta(1, 1)", "probability", typical=0.5)},
        lower=0,
        upper=1,
        location=False,
    ),
    Family(
        "com_poisson",
        "ComPoisson(log_mean={log_mean}, shape=shape)",
        COUNTS,
        {"shape": FamilyParameter("gamma(2, 1, lb=0.2)")},
        counts=True,
        lower=0,
    ),
    Family(
        "hurdle_poisson",
        f"Hurdle({POISSON}, hu, counts=True)",
        COUNTS,
        {"hu": ZERO},
        counts=True,
        lower=0,
    ),
    Family(
        "hurdle_negbinomial",
        f"Hurdle({NEGATIVE_BINOMIAL}, hu, counts=True)",
        COUNTS,
        {"shape": SHAPE, "hu": ZERO},
        counts=True,
        lower=0,
    ),
    Family(
        "hurdle_gamma",
        f"Hurdle({GAMMA}, hu, counts=False)",
        CONTINUOUS,
        {"shape": SHAPE, "hu": ZERO},
        lower=0,
    ),
    Family(
        "hurdle_lognormal",
        f"Hurdle({LOG_NORMAL}, hu, counts=False)",
        ("identity",),
        {"sigma": SIGMA, "hu": ZERO},
        lower=0,
        log_scale=True,
    ),
    _ordinal("cumulative", "Cumulative", "ordered"),
    _ordinal("sratio", "StoppingRatio", "real"),
    _ordinal("cratio", "ContinuationRatio", "real"),
    _ordinal("acat", "AdjacentCategory", "real"),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}


def family(given: str | Family) -> Family:
    """The family of that name, or one of the user's own, checked.

    Raises
    ------
    ModelError
        If there is none, or the user's own is not one.
    """
    if isinstance(given, Family):
        if FAMILIES.get(given.name) is not given:
            check(given, FAMILIES)
        return given
    if given not in FAMILIES:
        raise ModelError(f"unknown family {given!r}. {did_you_mean(str(given), FAMILIES)}")
    return FAMILIES[given]


def decorated(family: Family, link: Link, response: Response) -> Family:
    """The family of a response with known standard errors, or of censored or truncated rows.

    In an exposure, as of `rate()` in brms, the mean is multiplied by it, and so is the shape. With
    standard errors s alone they take the place of sigma; else it is sqrt(sigma^2 + s^2), as
    in brms. Rows are then seen one by one: sums of them do not tell their likelihood.

    Raises
    ------
    ModelError
        If the family cannot be decorated so.
    """
    if response.se is not None:
        if family.name not in MEASURED or link.name != "identity":
            raise ModelError(
                f"se() gives standard errors of a location, and family {family.name!r} with link "
                f"{link.name!r} has none that they fit. Families that do, with the link "
                f"'identity': {', '.join(MEASURED)}."
            )
        scale = 'data["se"]'
        if response.keeps_sigma:
            scale = f"tf.sqrt(sigma**2 + {scale} ** 2)"
        kept = {n: p for n, p in family.parameters.items() if n != "sigma" or response.keeps_sigma}
        family = replace(
            family,
            likelihood=re.sub(r"\bsigma\b", scale, family.likelihood),
            tails=re.sub(r"\bsigma\b", scale, family.tails),
            parameters=kept,
        )
    if response.rate is not None:
        if family.name not in EXPOSED:
            raise ModelError(
                f"rate() gives the exposure of counts, and not of family {family.name!r}. "
                f"Families that it fits: {', '.join(EXPOSED)}. Or add offset(log(exposure))."
            )
        likelihood, tails = _exposed(family.likelihood), _exposed(family.tails)
        family = replace(family, likelihood=likelihood, tails=tails)
    if response.status is not None or response.truncated:
        if not family.tails:
            able = ", ".join(f.name for f in FAMILIES.values() if f.tails)
            what = "truncated" if response.status is None else "censored"
            raise ModelError(
                f"a response of family {family.name!r} cannot be {what}: its distribution function "
                f"is not known well enough. Families that can be: {able}."
            )
        family = replace(family, likelihood=_bounded(family, response))
    return replace(family, totals="", residual="") if response.decorations else family


EXPOSED = ("poisson", "negbinomial", "geometric")
"""Families of counts in a given exposure: of twice as much, that of the sum of two."""


def _exposed(text: str) -> str:
    """A distribution of counts, that of the counts in an exposure; the shape grows with it too."""
    text = text.replace("{log_mean}", '({log_mean}) + tf.math.log(data["rate"])')
    return text.replace("shape=", 'shape=data["rate"] * ')


MEASURED = ("gaussian", "student")
"""Families whose sigma known standard errors add to."""


def _bounded(family: Family, response: Response) -> str:
    """Expression of the likelihood of truncated and censored rows."""

    def given(*names: str) -> str:
        return ", ".join(f'{n}=data["{n}"]' if n in response.given else f"{n}=None" for n in names)

    # Counts are 0 or more.
    least = -0.5 if family.counts else "-np.inf" if np.isinf(family.lower) else family.lower
    names = given("status", "y2", "lower", "upper")
    return f"Bounded({family.tails}, least={least}, {names}, counts={family.counts})"


def likelihood(family: Family, link: Link) -> str:
    """Source of the distribution of one row, given ``eta``.

    Examples
    --------
    >>> from hiermod.models.links import LINKS
    >>> likelihood(FAMILIES["poisson"], LINKS["log"])
    'tfd.Poisson(log_rate=eta)'
    """
    return fill(family.likelihood, link)


def totals(family: Family, link: Link) -> str:
    """Source of the log-likelihood of rows that are summed up, but for a constant."""
    return fill(family.totals, link)


def numbered(family: Family, response: Response) -> Response:
    """The response as the family takes it: numbers, for ordered categories 1, 2, ...

    Raises
    ------
    DataError
        If it has levels, and the family takes numbers; or it has not the ordered categories, each
        observed, that the family takes.
    """
    levels, name = response.levels, response.name
    if not family.categories:
        if levels and len(levels) != 2:
            raise DataError(
                f"the response {name!r} is categorical with {len(levels)} level(s): "
                f"{', '.join(levels[:10])}. It must have two, of which the second counts as 1, or "
                "be numeric."
            )
        return response
    values = response.values + bool(levels)
    if levels and not response.ordered and len(levels) > 2:
        raise DataError(
            f"family {family.name!r} needs the order of the levels of {name}: make it "
            "pd.Categorical(values, categories=[...], ordered=True), from the lowest to the "
            "highest, or number them from 1."
        )
    _reject(
        response,
        (values % 1 != 0) | (values < 1),
        values,
        f"family {family.name!r} needs categories in {name}: ordered levels, or whole numbers from "
        "1",
    )
    highest = len(levels) or int(values.max())
    missing = sorted({*range(1, highest + 1)} - {*values.astype(int).tolist()})
    if highest < 2:
        raise DataError(f"the response {name} has one category: there is nothing to model.")
    shown = levels or tuple(map(str, range(1, highest + 1)))
    if missing:
        raise DataError(
            f"no row has {name} = {shown[missing[0] - 1]}: the thresholds beside an empty category "
            "cannot be told apart. Join it with a neighbour, and number the categories from 1 "
            "without gaps."
        )
    return replace(response, values=values, levels=shown)


def check_response(family: Family, response: Response) -> None:
    """Check that a response lies in the support of its family.

    Parameters
    ----------
    family : Family
    response : Response

    Raises
    ------
    ModelError
        If trials are missing, or given to a family that has none.
    DataError
        If values are outside the support, weights are negative or the response does not vary
        where it must; names the first rows.
    """
    name, values, trials = response.name, response.values, response.trials
    if response.weights is not None:
        _reject(response, response.weights < 0, response.weights, "weights must be 0 or more")
        if not response.weights.any():
            raise DataError("all weights are 0.")
    if response.rate is not None:
        _reject(response, response.rate <= 0, response.rate, "exposures must be positive")
    if response.se is not None:
        _reject(response, response.se <= 0, response.se, "standard errors must be positive")
    if not family.counts and np.ptp(values) == 0:
        raise DataError(
            f"the response {name} is {values[0]:g} in every row: there is nothing to model."
        )
    if family.trials and trials is None:
        raise ModelError(
            f"family {family.name!r} needs the number of trials: write prop({name}, n) or "
            f"{name} | trials(n). For a response of 0 and 1, use family='bernoulli'."
        )
    if trials is not None and not family.trials:
        raise ModelError(
            f"family {family.name!r} has no trials. Use family='binomial', or the plain response "
            f"{name}."
        )
    if trials is not None:
        _reject(
            response,
            (trials < 0) | (trials % 1 != 0),
            trials,
            "trials must be whole numbers, 0 or more",
        )
        _reject(response, values > trials, values, f"{name} is larger than its number of trials")
    if family.counts:
        _reject(
            response,
            values % 1 != 0,
            values,
            f"family {family.name!r} needs whole numbers in {name}",
        )
    low = values < family.lower if family.ends[0] == "[" else values <= family.lower
    high = values > family.upper if family.ends[1] == "]" else values >= family.upper
    _reject(
        response,
        low | high,
        values,
        f"family {family.name!r} needs values {_support(family)} in {name}",
    )
    _check_bounds(family, response)


def _check_bounds(family: Family, response: Response) -> None:
    """Check the bounds of truncation and what is known of censored rows."""
    name, y, y2 = response.name, response.values, response.y2
    nothing = np.full(len(y), np.inf)
    lower = -nothing if response.lower is None else response.lower
    upper = nothing if response.upper is None else response.upper
    status = np.zeros(len(y)) if response.status is None else response.status
    _reject(
        response, lower >= upper, lower, "the lower bound of truncation must be below the upper one"
    )
    outside = f"{name} is outside the bounds of truncation, where nothing is observed"
    _reject(response, (y < lower) | (y > upper), y, outside)
    least = -np.inf if family.counts else np.maximum(family.lower, lower)
    _reject(response, (status < 0) & (y <= least), y, f"nothing lies below a left-censored {name}")
    most = upper if response.trials is None else np.minimum(upper, response.trials)
    _reject(response, (status > 0) & (y >= most), y, f"nothing lies above a censored {name}")
    if y2 is None:
        words = f"interval-censored rows need upper ends: write censored({name}, status, y2)"
        _reject(response, status == 2, y, words)
        return
    within = status == 2
    _reject(
        response, within & (y2 <= y), y2, f"the upper end of an interval must be larger than {name}"
    )
    _reject(
        response, within & (y2 > upper), y2, "the upper end of an interval is outside of the bounds"
    )
    if family.counts:
        _reject(
            response,
            within & (y2 % 1 != 0),
            y2,
            "the upper end of an interval must be a whole number",
        )


def _support(family: Family) -> str:
    """The support of the response in words."""
    if np.isinf(family.upper):
        return (
            f"of {family.lower:g} or more" if family.ends[0] == "[" else (f"above {family.lower:g}")
        )
    if family.ends == "[]":
        return f"from {family.lower:g} to {family.upper:g}"
    words = {"()": "above {} and below {}", "[)": "from {} to below {}", "(]": "above {} up to {}"}
    return words[family.ends].format(f"{family.lower:g}", f"{family.upper:g}")


def _reject(response: Response, bad: NDArray[np.bool_], values: FloatArray, message: str) -> None:
    """Raise a `DataError` that lists the first bad rows, if there are any."""
    rows = np.flatnonzero(bad)
    if len(rows):
        places = rows if response.positions is None else response.positions[rows]
        _, first = np.unique(places, return_index=True)  # frequency() repeats rows
        listed = [f"row {places[i]} has {values[rows[i]]:g}" for i in first]
        more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
        raise DataError(f"{message}: {', '.join(listed[:3])}{more} (rows counted from 0).")
