"""Families: what a likelihood is made of. A new family is one entry of `FAMILIES`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hiermod.errors import ModelError, did_you_mean
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
        ``"positive"``, ``"probability"``, ``"real"``, ``"ordered"``, ascending numbers, or
        ``"simplex"``, positive ones that sum to 1.
    typical : float
        A value where the density is well behaved.
    thresholds : bool
        Whether there is one for each pair of neighbouring categories of the response.
    links : tuple of str
        Links that its formula can have, the default first; if empty, those of its support.
    size : int
        How many numbers it is, which the likelihood takes as a last axis; 0 if it is one number.
    distance : str
        Of thresholds, the name of another parameter, if that is the distance between neighbours:
        then the first one alone has a prior. The likelihood takes all thresholds as otherwise.
    """

    prior: str
    support: str = "positive"
    typical: float = 1.0
    thresholds: bool = False
    links: tuple[str, ...] = ()
    size: int = 0
    distance: str = ""

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
    categories : str
        ``"ordered"`` if the response is one of several ordered categories; the family has
        thresholds then, in place of an intercept. They are numbered from 1, and if ``lower`` is 0,
        that is a hurdle. ``"unordered"`` if their order means nothing.
    columns : bool
        Whether the response has several columns.
    single : str
        Of several unordered categories or columns, the family of one against all others. Each has
        a linear predictor then, the first one's being zero; ``{each}`` stands for them.
    decisions : bool
        Whether the response is the time of a decision, negative for one at the lower boundary, and
        the mean a drift.
    tails : str
        Expression of the same distribution whose ``log_cdf`` and ``log_survival_function`` are
        finite, with finite gradients, wherever the density is. Empty if there is none: then the
        response cannot be censored or truncated.
    points : tuple of float
        Ends of the support that have a probability, where the response is not of counts.

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
    categories: str = ""
    columns: bool = False
    single: str = ""
    decisions: bool = False
    points: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse parameters that are something else."""
        for name, parameter in self.parameters.items():
            if not isinstance(parameter, FamilyParameter):
                raise ModelError(
                    f"family {self.name!r}, parameter {name!r}: give a FamilyParameter, such as "
                    f"hm.FamilyParameter('exponential(1)'), not {type(parameter).__name__}."
                )

    @property
    def mixed(self) -> bool:
        """Whether it is a mixture, of which the responses as a whole do not tell the means."""
        return self.likelihood.startswith(MIXTURES)

    @property
    def distances(self) -> tuple[str, ...]:
        """Parameters that are distances between neighbouring thresholds."""
        return tuple(p.distance for p in self.parameters.values() if p.distance)

    @property
    def called(self) -> str:
        """Name of the distribution in equations."""
        return self.density or self.name

    def spread(self, outcomes: Sequence[str]) -> Family:
        """The family of as many probabilities, of which all but the first have a parameter."""
        names = [f"mu{re.sub(r'[^a-zA-Z0-9_]', '', outcome)}" for outcome in outcomes[1:]]
        if len({*names}) < len(names) or "mu" in names:
            raise ModelError(
                f"the linear predictors would be called {', '.join(names)}: rename levels (or "
                "columns) of the response so that they differ in letters and digits."
            )
        each = ", ".join(["eta", *names])
        share = FamilyParameter("normal(0, 1.5)", "probability", 0.5, links=self.links)
        return replace(
            self,
            likelihood=self.likelihood.replace("{each}", each),
            parameters={**dict.fromkeys(names, share), **self.parameters},
        )

    def scaled(self, y: FloatArray) -> FloatArray:
        """The response, or what of it has a logarithm, on the scale of the mean."""
        return np.log(y[y > 0]) if self.log_scale and (y > 0).any() else y


MIXTURES = ("Mixture(", "CircularMixture(")
"""How the likelihood of a mixture begins."""

NORMAL = "tfd.Normal(loc={mean}, scale=sigma)"
SKEW_NORMAL = "SkewNormal(mean={mean}, sd=sigma, alpha=alpha)"
EX_GAUSSIAN = "ExGaussian(mean={mean}, scale=sigma, beta=beta)"
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
    "simplex": (),
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
COM_POISSON = "ComPoisson(log_mean={log_mean}, shape=shape)"
BETA = "Beta(logit_mean={logit_mean}, phi=phi)"


def _ordinal(name: str, distribution: str, support: str, hurdle: bool = False) -> Family:
    """A family of ordered categories, and of a hurdle before them."""
    return Family(
        name,
        f"{distribution}(lambda eta: {{logit_mean}}, threshold, eta, disc{', hu' * hurdle})",
        PROBABILITY,
        {
            "threshold": FamilyParameter("normal(0, 2.5)", support, thresholds=True),
            "disc": FamilyParameter("constant(1)"),
            **({"hu": ZERO} if hurdle else {}),
        },
        counts=True,
        lower=0 if hurdle else 1,
        location=False,
        categories="ordered",
    )


def _several(name: str, distribution: str, single: str, **more: Any) -> Family:
    """A family of several probabilities."""
    return Family(name, distribution, ("softmax",), location=False, single=single, **more)


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
        SKEW_NORMAL,
        REAL,
        {"sigma": SIGMA, "alpha": FamilyParameter("normal(0, 4)", "real")},
        tails=SKEW_NORMAL,
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
        EX_GAUSSIAN,
        REAL,
        {"sigma": SIGMA, "beta": FamilyParameter("exponential({per_sd})")},
        tails=EX_GAUSSIAN,
    ),
    Family(
        "wiener",
        "Wiener(drift={mean}, boundary=bs, shift=ndt, bias=bias)",
        ("identity",),
        {
            "bs": FamilyParameter("gamma(2, 1)"),
            "ndt": FamilyParameter("uniform(0, {least})", typical=0.0),
            "bias": FamilyParameter("beta(1, 1)", "probability", typical=0.5),
        },
        decisions=True,
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
        tails=BETA,
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
        tails=BETA_BINOMIAL,
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
        tails=f"Inflated({BETA_BINOMIAL}, zi)",
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
        tails=f"Hurdle({BETA}, zi, counts=False)",
        points=(0.0,),
    ),
    Family(
        "zero_one_inflated_beta",
        f"ZeroOneInflated({BETA}, zoi, coi)",
        PROBABILITY,
        {"phi": PHI, "zoi": ZERO, "coi": FamilyParameter("beta(1, 1)", "probability", typical=0.5)},
        lower=0,
        upper=1,
        location=False,
        tails=f"ZeroOneInflated({BETA}, zoi, coi)",
        points=(0.0, 1.0),
    ),
    Family(
        "com_poisson",
        COM_POISSON,
        COUNTS,
        {"shape": FamilyParameter("gamma(2, 1, lb=0.2)")},
        counts=True,
        lower=0,
        tails=COM_POISSON,
    ),
    Family(
        "hurdle_poisson",
        f"Hurdle({POISSON}, hu, counts=True)",
        COUNTS,
        {"hu": ZERO},
        counts=True,
        lower=0,
        tails=f"Hurdle({POISSON_TAILS}, hu, counts=True)",
    ),
    Family(
        "hurdle_negbinomial",
        f"Hurdle({NEGATIVE_BINOMIAL}, hu, counts=True)",
        COUNTS,
        {"shape": SHAPE, "hu": ZERO},
        counts=True,
        lower=0,
        tails=f"Hurdle({NEGATIVE_BINOMIAL}, hu, counts=True)",
    ),
    Family(
        "hurdle_gamma",
        f"Hurdle({GAMMA}, hu, counts=False)",
        CONTINUOUS,
        {"shape": SHAPE, "hu": ZERO},
        lower=0,
        tails=f"Hurdle({GAMMA}, hu, counts=False)",
        points=(0.0,),
    ),
    Family(
        "hurdle_lognormal",
        f"Hurdle({LOG_NORMAL}, hu, counts=False)",
        ("identity",),
        {"sigma": SIGMA, "hu": ZERO},
        lower=0,
        log_scale=True,
        tails=f"Hurdle({LOG_NORMAL}, hu, counts=False)",
        points=(0.0,),
    ),
    _ordinal("cumulative", "Cumulative", "ordered"),
    _ordinal("sratio", "StoppingRatio", "real"),
    _ordinal("cratio", "ContinuationRatio", "real"),
    _ordinal("acat", "AdjacentCategory", "real"),
    _several(
        "categorical",
        "Categorical({each})",
        "bernoulli",
        counts=True,
        lower=1,
        categories="unordered",
    ),
    _several(
        "multinomial",
        'Multinomial({each}, trials=data["trials"])',
        "binomial",
        counts=True,
        lower=0,
        trials=True,
        columns=True,
    ),
    _several(
        "dirichlet",
        "Dirichlet({each}, phi=phi)",
        "beta",
        parameters={"phi": PHI},
        lower=0,
        upper=1,
        ends="()",
        columns=True,
    ),
    _several(
        "dirichlet_multinomial",
        'DirichletMultinomial({each}, trials=data["trials"], phi=phi)',
        "beta_binomial",
        parameters={"phi": PHI},
        counts=True,
        lower=0,
        trials=True,
        columns=True,
    ),
    _ordinal("hurdle_cumulative", "HurdleCumulative", "ordered", hurdle=True),
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
