"""Priors of coefficients whose scales are made of other parameters.

A coefficient is a standardised value times a scale, and the scale an expression of parameters that
have priors themselves: one for all coefficients, or one for each. That makes a hyperprior on
their standard deviation, the regularised horseshoe, and R2D2. A new one is a function here that
returns a `Shrinkage`, and its name in `PRIORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scale:
    """A parameter that scales are made of.

    Attributes
    ----------
    name : str
        End of its name: ``"local"`` of ``common_local``.
    prior : str or Prior
        Its prior; a string in Stan's notation.
    each : bool
        Whether there is one for each coefficient.
    support : str
        ``"positive"``, ``"probability"``, ``"real"`` or ``"simplex"``.
    role : str
        That of the `Parameter`.
    labels : tuple of str
        What it has an element for, if not for each coefficient.
    """

    name: str
    prior: Any
    each: bool = False
    support: str = "positive"
    role: str = "scale"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shrinkage:
    """How the scales of coefficients are made.

    Attributes
    ----------
    scales : tuple of Scale
    code, text, latex : str
        The scales as an expression of TensorFlow, in plain text and in LaTeX: patterns of the names
        of `scales`, of ``{size}``, the number of coefficients, and of ``{unit}``, which is "times
        sigma" where the response has a sigma in the units of the linear predictor.
    """

    scales: tuple[Scale, ...]
    code: str
    text: str
    latex: str


def hyperprior(prior: Any) -> Shrinkage:
    """One scale for all coefficients, with a prior."""
    return Shrinkage((Scale("scale", prior),), "{scale} * np.ones({size})", "{scale}", "{scale}")


def monotonic(mean: Any, simplexes: Mapping[str, tuple[Any, tuple[str, ...]]]) -> Shrinkage:
    """The steps of a monotonic effect (Buerkner and Charpentier 2020), from priors.

    Of D steps that are on average `mean`, the d-th is D times mean times the d-th number of the
    simplex. Of two ordered columns the steps are those of the first times those of the second.
    Nothing is standardised here: the coefficients are the steps themselves.

    Parameters
    ----------
    mean : Prior
    simplexes : mapping
        From the name of each simplex to its prior and labels.
    """
    scales = [
        Scale(name, prior, each=True, support="simplex", role="simplex", labels=labels)
        for name, (prior, labels) in simplexes.items()
    ]
    code = text = latex = f"{{{scales[0].name}}}"
    for other in scales[1:]:
        name = f"{{{other.name}}}"
        pair = f"tf.repeat({code}, {len(other.labels)}, -1)", f"[{name}] * {len(scales[0].labels)}"
        code = f"{pair[0]} * tf.concat({pair[1]}, -1)"
        text, latex = f"{text}[j] * {name}[k]", rf"{latex}_j\,{name}_k"
    return Shrinkage(
        (Scale("mean", mean, support="real", role="common"), *scales),
        f"{{size}} * {{mean}} * {code}",
        f"{{size}} * {{mean}} * {text}",
        rf"{{size}}\,{{mean}}\,{latex}",
    )


def horseshoe(
    df: float = 1.0,
    scale_global: float = 1.0,
    df_global: float = 1.0,
    scale_slab: float = 2.0,
    df_slab: float = 4.0,
) -> Shrinkage:
    """The regularised horseshoe (Piironen and Vehtari 2017, equation 2.8).

    With local scales l, global scale t and variance of the slab c2, the scale of a coefficient is
    t l sqrt(c2 / (c2 + t^2 l^2)); l ~ student_t+(df, 0, 1), t ~ student_t+(df_global, 0,
    scale_global) times sigma, c2 ~ inv_gamma(df_slab / 2, scale_slab^2 df_slab / 2). Arguments and
    defaults are brms'.

    Examples
    --------
    >>> [(scale.name, scale.prior) for scale in horseshoe(scale_global=0.5).scales]
    [('global', 'student_t(1.0, 0, 0.5)'), ('slab', 'inv_gamma(2.0, 8.0)'), \
('local', 'student_t(1.0, 0, 1)')]
    """
    half = df_slab / 2
    return Shrinkage(
        (
            Scale("global", f"student_t({df_global!r}, 0, {scale_global!r})"),
            Scale("slab", f"inv_gamma({half!r}, {half * scale_slab**2!r})"),
            Scale("local", f"student_t({df!r}, 0, 1)", each=True),
        ),
        "tf.math.rsqrt(1.0 / tf.square({local} * {global}{unit}) + 1.0 / {slab})",
        "1 / sqrt(1 / ({local} * {global}{unit})^2 + 1 / {slab})",
        r"1 \Big/ \sqrt{{1 / ({local}\,{global}{unit})^2 + 1 / {slab}}}",
    )


def r2d2(mean_R2: float = 0.5, prec_R2: float = 2.0, cons_D2: float = 0.5) -> Shrinkage:
    """R2D2 (Zhang, Naughton, Bondell and Reich 2022), with normal coefficients as in brms.

    R2 ~ beta(mean_R2 prec_R2, (1 - mean_R2) prec_R2) is the share of the variance that is
    explained; R2 / (1 - R2), times sigma^2, is divided among the coefficients in proportions
    phi ~ dirichlet(cons_D2, ..., cons_D2). Arguments and defaults are brms'.

    Examples
    --------
    >>> [(scale.name, scale.prior) for scale in r2d2(0.25, 4).scales]
    [('R2', 'beta(1.0, 3.0)'), ('phi', 'dirichlet(0.5)')]
    """
    if not mean_R2 < 1:
        raise ValueError("mean_R2 must be below 1")
    return Shrinkage(
        (
            Scale("R2", f"beta({mean_R2 * prec_R2!r}, {(1 - mean_R2) * prec_R2!r})",
                  support="probability"),
            Scale("phi", f"dirichlet({cons_D2!r})", each=True, support="simplex"),
        ),
        "tf.sqrt({phi} * {R2} / (1.0 - {R2})){unit}",
        "sqrt({phi} * {R2} / (1 - {R2})){unit}",
        r"\sqrt{{{phi}\,{R2} / (1 - {R2})}}{unit}",
    )  # fmt: skip


PRIORS: dict[str, Callable[..., Shrinkage]] = {"horseshoe": horseshoe, "r2d2": r2d2}
"""By the names that prior strings call them."""
