"""A model written out in hierarchical form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hiermod.models.specification import GroupEffects, Parameter, Specification


@dataclass(frozen=True)
class Equations:
    """The lines of a model: left side, sign (``~`` or ``=``), right side.

    Attributes
    ----------
    text, latex : tuple of (str, str, str)
    """

    text: tuple[tuple[str, str, str], ...]
    latex: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        """Plain text, aligned at the signs."""
        width = max(len(left) for left, _, _ in self.text)
        return "\n".join(f"{left:>{width}} {sign} {right}" for left, sign, right in self.text)

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        signs = {"~": r"\sim", "=": "="}
        lines = [f"{left} &{signs[sign]} {right}" for left, sign, right in self.latex]
        body = " \\\\\n".join(lines)
        return f"$$\\begin{{aligned}}\n{body}\n\\end{{aligned}}$$"


class _Text:
    """Notation of plain text: the names of the posterior."""

    times, minus, bar = " * ", " - ", "mean({})"

    def parameter(self, p: Parameter) -> str:
        return p.name

    def column(self, name: str) -> str:
        return f"{name}[i]"

    def deviation(self, g: GroupEffects, effect: str) -> str:
        return f"{effect}|{g.group.factor}"

    def of_row(self, g: GroupEffects, effect: str) -> str:
        return f"{self.deviation(g, effect)}[{g.group.factor}[i]]"

    def of_level(self, g: GroupEffects) -> str:
        names = [self.deviation(g, e.name) for e in g.group.effects]
        return f"{', '.join(names)} [j]" if len(names) > 1 else f"{names[0]}[j]"

    def link(self, s: Specification, mean: str) -> str:
        return mean if s.link.name == "identity" else f"{s.link.name}({mean})"

    def call(self, name: str, arguments: str) -> str:
        return f"{name}({arguments})"

    def covariance(self, g: GroupEffects) -> str:
        sigmas = ", ".join(p.name for p in g.sigmas)
        correlation = g.cor.name if g.cor else "I"
        return f"S {correlation} S), S = diag({sigmas}"

    def levels(self, g: GroupEffects) -> str:
        return f",  j = 1..{len(g.group.levels)}"

    def likelihood(self, s: Specification, mean: str) -> str:
        trials = ["trials[i]"] if s.family.trials else []
        inside = ", ".join([*trials, mean, *s.family.parameters])
        return f"{s.family.name}({inside})"

    def mean(self, s: Specification) -> str:
        return "p[i]" if not s.family.location else "mu[i]"


def _tex(name: str) -> str:
    """A name as upright LaTeX text."""
    for plain, safe in (("\\", ""), ("_", r"\_"), ("%", r"\%"), ("#", r"\#"), ("&", r"\&")):
        name = name.replace(plain, safe)
    return rf"\text{{{name}}}"


class _Latex:
    """Notation of the textbooks."""

    times, minus, bar = r"\,", " - ", r"\overline{{{}}}"

    def parameter(self, p: Parameter) -> str:
        if p.role == "Intercept":
            return r"\alpha"
        if p.role == "common":
            return rf"\beta_{{{_tex(p.name)}}}"
        if p.role == "group_sigma":
            return rf"\sigma_{{{_tex(p.name.removesuffix('_sigma'))}}}"
        if p.role == "group_cor":
            return rf"\mathbf{{R}}_{{{_tex(p.name.removesuffix('_cor'))}}}"
        return rf"\{p.name}" if p.name == "sigma" else _tex(p.name)

    def column(self, name: str) -> str:
        return rf"{_tex(name)}_i"

    def deviation(self, g: GroupEffects, effect: str) -> str:
        return rf"u^{{{_tex(f'{effect}|{g.group.factor}')}}}"

    def of_row(self, g: GroupEffects, effect: str) -> str:
        return rf"{self.deviation(g, effect)}_{{{_tex(g.group.factor)}[i]}}"

    def of_level(self, g: GroupEffects) -> str:
        names = [rf"{self.deviation(g, e.name)}_j" for e in g.group.effects]
        if len(names) == 1:
            return names[0]
        return r"\begin{bmatrix} " + r" \\ ".join(names) + r" \end{bmatrix}"

    def link(self, s: Specification, mean: str) -> str:
        return s.link.latex.format(mean)

    def call(self, name: str, arguments: str) -> str:
        return rf"\operatorname{{{name.replace('_', ' ').title()}}}({arguments})"

    def covariance(self, g: GroupEffects) -> str:
        sigmas = ", ".join(self.parameter(p) for p in g.sigmas)
        correlation = self.parameter(g.cor) if g.cor else ""
        return rf"\mathbf{{S}} {correlation} \mathbf{{S}}),\; \mathbf{{S}} = \operatorname{{diag}}({sigmas}"

    def levels(self, g: GroupEffects) -> str:
        return rf",\quad j = 1, \ldots, {len(g.group.levels)}"

    def likelihood(self, s: Specification, mean: str) -> str:
        return s.family.symbol.format(mean=mean)

    def mean(self, s: Specification) -> str:
        return "p_i" if not s.family.location else r"\mu_i"


def equations(specification: Specification) -> Equations:
    """The hierarchical form: response, linear predictor, group effects, priors.

    Examples
    --------
    >>> import hiermod as hm
    >>> frogs = hm.load_data("reedfrogs").assign(tank=lambda d: d.index)
    >>> print(hm.model(frogs, "prop(surv, density) ~ (1 | tank)", family="binomial").equations())
          surv[i] ~ binomial(trials[i], p[i])
      logit(p[i]) = Intercept + 1|tank[tank[i]]
        1|tank[j] ~ normal(0, 1|tank_sigma),  j = 1..48
        Intercept ~ normal(0, 1.5)
     1|tank_sigma ~ exponential(1)
    """
    return Equations(tuple(_lines(specification, _Text())), tuple(_lines(specification, _Latex())))


def _lines(s: Specification, n: _Text | _Latex) -> Iterator[tuple[str, str, str]]:
    mean = n.mean(s)
    yield n.column(s.design.response.name), "~", n.likelihood(s, mean)
    yield n.link(s, mean), "=", " + ".join(_terms(s, n))
    for g in s.groups:
        if len(g.group.effects) == 1 and not g.group.effects[0].labels:
            right = n.call("normal", f"0, {n.parameter(g.sigmas[0])}")
        else:
            right = n.call("multi_normal", f"0, {n.covariance(g)}")
        yield n.of_level(g), "~", right + n.levels(g)
    for p in s.parameters:
        name, _, inside = p.prior.text.partition("(")
        yield n.parameter(p), "~", n.call(name, inside.removesuffix(")"))


def _terms(s: Specification, n: _Text | _Latex) -> Iterator[str]:
    """The summands of the linear predictor."""
    if s.intercept:
        yield n.parameter(s.intercept)
    for p in s.common:
        x = n.column(p.name)
        if s.center:
            x = f"({x}{n.minus}{n.bar.format(n.column(p.name).removesuffix('[i]').removesuffix('_i'))})"
        yield f"{n.parameter(p)}{n.times}{x}"
    for g in s.groups:
        for effect in g.group.effects:
            x = "" if effect.name == "1" else f"{n.times}{n.column(effect.name)}"
            yield f"{n.of_row(g, effect.name)}{x}"
    if s.design.offset is not None:
        yield n.column("offset")
