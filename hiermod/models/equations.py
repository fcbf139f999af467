"""A model written out in hierarchical form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hiermod.formula.design import Term
from hiermod.models.links import Link
from hiermod.models.priors import Prior
from hiermod.models.specification import (
    GroupEffects,
    Parameter,
    Predictor,
    Shrunk,
    SmoothEffects,
    Specification,
)


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

    times = " * "

    def parameter(self, p: Parameter) -> str:
        return p.name

    def column(self, name: str) -> str:
        return f"{name}[i]"

    def mean_of(self, name: str) -> str:
        return f"mean({name})"

    def of_level(self, name: str, p: Parameter) -> str:
        """The coefficient of the level of a factor that a row has."""
        return f"{name}[{_column(p.of, p.name)}[i]]"

    def reached(self, steps: str, levels: list[str]) -> str:
        """The sum of the steps up to a level, or two."""
        return f"sum({steps} up to {', '.join(levels)})"

    def average(self, text: str) -> str:
        return f"mean({text})"

    def deviation(self, g: GroupEffects, effect: Term, index: str) -> str:
        return f"{g.name(effect)}[{index}]"

    def row_index(self, g: GroupEffects) -> str:
        return f"{g.group.factor}[i]"

    def vector(self, names: list[str]) -> str:
        return f"({', '.join(names)})"

    def link(self, link: Link, mean: str) -> str:
        if link.name in ("identity", "1/mu^2"):
            return link.eta.replace("mean", mean).replace("**", "^").replace("1.0", "1")
        return f"{link.name}({mean})"

    def call(self, name: str, arguments: str) -> str:
        return f"{name}({arguments})"

    def covariance(self, g: GroupEffects) -> tuple[str, str, str]:
        """The covariance of the effects of a level; its factor's name; what that is."""
        diagonal = f"diag({', '.join(self.of_kind(p.name, g) for p in g.sigmas)})"
        name = f"S_{g.key}"
        cor = f"{self.of_kind(g.cor.name, g)} " if g.cor else ""
        return f"{name} {cor}{name}", name, diagonal

    def levels(self, g: GroupEffects) -> str:
        zero = ", summing to 0" * g.group.zero_sum
        return f"   for j = 1..{len(g.group.levels)}{zero}"

    def of_kind(self, name: str, g: GroupEffects) -> str:
        """A parameter of the kind of level that a level is."""
        return f"{name}[{g.group.by.name}[j]]" if g.group.by else name

    def smooth(self, s: SmoothEffects) -> str:
        """The penalised part of a smooth in a row."""
        return f"sum({s.smooth.name} * basis[i])"

    def coefficient(self, s: SmoothEffects) -> tuple[str, str, str]:
        """One coefficient of a smooth; its standard deviation; which there are."""
        j = "j, " * bool(s.sigma.labels)
        sizes = f"j = 1..{s.shape[0]}, " * bool(j) + f"k = 1..{s.shape[-1]}"
        return f"{s.smooth.name}[{j}k]", s.sigma.name + "[j]" * bool(j), f"   for {sizes}"

    def note(self, text: str) -> str:
        return text

    def hypotenuse(self, one: str, other: str) -> str:
        return f"sqrt({one}^2 + {other}^2)"

    def trials(self) -> str:
        return "trials[i]"

    def mean(self, s: Specification) -> str:
        return "mu[i]" if s.family.location or s.thresholds else "p[i]"

    def at_means(self, intercept: str) -> str:
        return f"{intercept} at means"

    def element(self, name: str, label: str) -> str:
        """One coefficient of a term."""
        return f"{name}[{label}]"

    def scales(self, key: str) -> str:
        """The scales of coefficients that share a shrinkage prior."""
        return f"s_{key}"

    def of_member(self, scales: str, p: Parameter) -> str:
        """Those of one term."""
        return f"{scales}[{p.name}]"


def _tex(name: str) -> str:
    """A name as upright LaTeX text."""
    for plain, safe in (("\\", ""), ("_", r"\_"), ("%", r"\%"), ("#", r"\#"), ("&", r"\&")):
        name = name.replace(plain, safe)
    return rf"\text{{{name}}}"


class _Latex:
    """Notation of the textbooks."""

    times = r"\,"

    def parameter(self, p: Parameter) -> str:
        if p.role == "Intercept":
            return rf"\alpha^{{{_tex(p.of)}}}" if p.of else r"\alpha"
        if p.role == "common":
            return rf"\beta_{{{_tex(p.name)}}}"
        if p.role in ("group_sigma", "smooth_sigma"):
            return rf"\sigma_{{{_tex(p.name.removesuffix('_sigma'))}}}"
        if p.role == "group_cor":
            return rf"\mathbf{{R}}_{{{_tex(p.name.removesuffix('_cor'))}}}"
        return rf"\{p.name}" if p.name == "sigma" else _tex(p.name)

    def column(self, name: str) -> str:
        return rf"{_tex(name)}_i"

    def mean_of(self, name: str) -> str:
        return rf"\overline{{{_tex(name)}}}"

    def of_level(self, name: str, p: Parameter) -> str:
        return rf"\beta_{{{_tex(p.name)}[i]}}"

    def reached(self, steps: str, levels: list[str]) -> str:
        if len(levels) == 1:
            return rf"\sum_{{k \le {levels[0]}}} {{{steps}}}_k"
        return rf"\sum_{{j \le {levels[0]}}} \sum_{{k \le {levels[1]}}} {{{steps}}}_{{jk}}"

    def average(self, text: str) -> str:
        return rf"\overline{{{text}}}"

    def deviation(self, g: GroupEffects, effect: Term, index: str) -> str:
        return rf"u^{{{_tex(g.name(effect))}}}_{{{index}}}"

    def row_index(self, g: GroupEffects) -> str:
        return rf"{_tex(g.group.factor)}[i]"

    def vector(self, names: list[str]) -> str:
        return r"\begin{bmatrix} " + r" \\ ".join(names) + r" \end{bmatrix}"

    def link(self, link: Link, mean: str) -> str:
        return link.latex.format(mean)

    def call(self, name: str, arguments: str) -> str:
        special = {"lkj": "LKJ", "multi_normal": "MVNormal", "softmax": "softmax"}
        shown = special.get(name) or "".join(part.capitalize() for part in name.split("_"))
        return rf"\operatorname{{{shown}}}({arguments})"

    def covariance(self, g: GroupEffects) -> tuple[str, str, str]:
        """The covariance of the effects of a level; its factor's name; what that is."""
        sigmas = ", ".join(self.of_kind(self.parameter(p), g) for p in g.sigmas)
        diagonal = rf"\operatorname{{diag}}({sigmas})"
        name = rf"\mathbf{{S}}_{{{_tex(g.group.factor)}}}"
        cor = self.of_kind(self.parameter(g.cor), g) if g.cor else ""
        return f"{name} {cor} {name}", name, diagonal

    def levels(self, g: GroupEffects) -> str:
        zero = r",\ \text{summing to 0}" * g.group.zero_sum
        return rf"\quad j = 1, \ldots, {len(g.group.levels)}{zero}"

    def of_kind(self, name: str, g: GroupEffects) -> str:
        return rf"{{{name}}}_{{[{_tex(g.group.by.name)}[j]]}}" if g.group.by else name

    def smooth(self, s: SmoothEffects) -> str:
        """The penalised part of a smooth in a row."""
        name, j = _tex(s.smooth.name), "j" * bool(s.sigma.labels)
        return rf"\sum_{{{j}k}} b^{{{name}}}_{{{j}k}} B^{{{name}}}_{{i{j}k}}"

    def coefficient(self, s: SmoothEffects) -> tuple[str, str, str]:
        """One coefficient of a smooth; its standard deviation; which there are."""
        j = "j" * bool(s.sigma.labels)
        sizes = rf"j = 1, \ldots, {s.shape[0]},\ " * bool(j) + rf"k = 1, \ldots, {s.shape[-1]}"
        sigma = rf"\sigma_{{{_tex(s.smooth.name)}{', j' * bool(j)}}}"
        return rf"b^{{{_tex(s.smooth.name)}}}_{{{j}k}}", sigma, rf"\quad {sizes}"

    def note(self, text: str) -> str:
        return rf"\text{{{text}}}" if text else ""

    def hypotenuse(self, one: str, other: str) -> str:
        return rf"\sqrt{{{one}^2 + {other}^2}}"

    def trials(self) -> str:
        return "n_i"

    def mean(self, s: Specification) -> str:
        return r"\mu_i" if s.family.location or s.thresholds else "p_i"

    def at_means(self, intercept: str) -> str:
        return rf"{intercept}_{{\text{{at means}}}}"

    def element(self, name: str, label: str) -> str:
        return rf"{{{name}}}_{{[{_tex(label)}]}}"

    def scales(self, key: str) -> str:
        return rf"\mathbf{{s}}^{{{_tex(key)}}}"

    def of_member(self, scales: str, p: Parameter) -> str:
        return rf"{scales}_{{{_tex(p.name)}}}"


def equations(specification: Specification) -> Equations:
    """The hierarchical form: response, linear predictor, group effects, priors.

    The intercept in the linear predictor is the reported one, at predictors = 0. When the
    predictors are centred its prior speaks of the intercept at their means, on a line of its own.

    Examples
    --------
    >>> import hiermod as hm
    >>> frogs = hm.load_data("reedfrogs").assign(tank=lambda d: d.index)
    >>> print(hm.model(frogs, "prop(surv, density) ~ (1 | tank)", family="binomial").equations())
         surv[i] ~ binomial(trials[i], p[i])
     logit(p[i]) = Intercept + 1|tank[tank[i]]
       1|tank[j] ~ normal(0, 1|tank_sigma)   for j = 1..48
       Intercept ~ normal(0, 1.5)
    1|tank_sigma ~ exponential(1)
    """
    return Equations(tuple(_lines(specification, _Text())), tuple(_lines(specification, _Latex())))


def _lines(s: Specification, n: _Text | _Latex) -> Iterator[tuple[str, str, str]]:
    of_row = {"": n.mean(s)} | {p.parameter: n.column(p.parameter) for p in s.others}
    known = of_row | {p.name: n.parameter(p) for p in s.auxiliary}
    arguments = [n.trials()] if s.family.trials else []
    response = s.design.response
    names = [name for name in s.family.parameters if name not in s.family.distances]
    if response.rate is not None:
        exposed = ("", *(name for name in names if name == "shape"))
        known |= {name: f"{n.column('exposure')}{n.times}{known[name]}" for name in exposed}
    if response.se is not None:
        se = n.column("se")
        known["sigma"] = n.hypotenuse(known["sigma"], se) if "sigma" in known else se
        names = ["sigma", *(name for name in names if name != "sigma")]
    if s.family.single:
        own = [name for name in names if name not in s.outcomes]
        shares = ", ".join(["0", *(known[name] for name in s.outcomes)])
        arguments += [n.call("softmax", shares), *(known[name] for name in own)]
    else:
        arguments += [known[name] for name in ("", *names)]
    given = [word for word in response.decorations if word != "known standard errors"]
    note = n.note(f"   with {' and '.join(given)}" if given else "")
    called = f"{s.family.called}_{s.link.name}" if s.thresholds else s.family.called
    yield n.column(response.name), "~", n.call(called, ", ".join(arguments)) + note
    for predictor in s.others if s.family.single else s.predictors:
        of = of_row[predictor.parameter]
        plain = (predictor is s and s.thresholds) or predictor.parameter in s.outcomes
        left = of if plain else n.link(predictor.link, of)
        yield left, "=", " + ".join(_terms(predictor, n)) or "0"
    for g in s.every_group:
        yield from _effects(g, n)
    blocks = {m.name: b for p in s.predictors for b in p.shrunk for m in b.members}
    for one in s.every_smooth:
        left, sigma, which = n.coefficient(one)
        yield left, "~", n.call("normal", f"0, {sigma}") + which
    for p in s.parameters:
        left = n.parameter(p)
        if p.name in s.at_means:
            left = n.at_means(left)
            sums = [n.parameter(p), *_sums(s.at_means[p.name], n, n.mean_of)]
            yield left, "=", (" - " if p in s.thresholds else " + ").join(sums)
        if p.prior.shrinkage:
            yield from _shrunk(blocks[p.name], p, n)
        elif p.prior.elements:
            for label, prior in zip(p.labels, p.prior.elements, strict=True):
                yield n.element(left, label), *_prior(prior, n)
        else:
            sign, right = _prior(p.prior, n)
            left = n.element(left, p.labels[0]) if s.distance(p) else left
            yield left, sign, right + n.note("   ascending" if p.support == "ordered" else "")
        for first in s.thresholds:
            if s.distance(first) is p:
                whole = n.parameter(first)
                begin = n.element(whole, s.categories[0])
                yield n.element(whole, "k"), "=", f"{begin} + (k - 1){n.times}{n.parameter(p)}"


def _prior(prior: Prior, n: _Text | _Latex) -> tuple[str, str]:
    """Sign and right side of the line of a prior."""
    name, _, rest = prior.text.partition("(")
    inside, _, cut = rest.rpartition(")")
    return ("=", inside) if prior.constant else ("~", n.call(name, inside) + n.note(cut))


def _effects(g: GroupEffects, n: _Text | _Latex) -> Iterator[tuple[str, str, str]]:
    """The distribution of the deviations of a level."""
    names = [n.deviation(g, effect, "j") for effect in g.group.effects]
    df = f"{n.parameter(g.df)}, " if g.df else ""
    if len(names) == 1 and not g.group.effects[0].labels:
        sigma = n.of_kind(n.parameter(g.sigmas[0]), g)
        kind = "student_t" if df else "normal"
        yield names[0], "~", n.call(kind, f"{df}0, {sigma}") + n.levels(g)
        return
    covariance, name, diagonal = n.covariance(g)
    left = n.vector(names) if len(names) > 1 else names[0]
    kind = "multi_student_t" if df else "multi_normal"
    yield left, "~", n.call(kind, f"{df}0, {covariance}") + n.levels(g)
    yield name, "=", diagonal


def _shrunk(b: Shrunk, p: Parameter, n: _Text | _Latex) -> Iterator[tuple[str, str, str]]:
    """The distribution of a coefficient; with the last of them, how their scales are made."""
    names = {
        scale.name: n.parameter(part)
        for scale, part in zip(b.shrinkage.scales, b.scales, strict=True)
    }
    unit = f"{n.times}{n.parameter(b.unit)}" if b.unit else ""
    found = (b.shrinkage.latex if isinstance(n, _Latex) else b.shrinkage.text).format(
        unit=unit, size=len(b.labels), **names
    )
    assert p.prior.distribution
    if p.prior.distribution.name == "constant":
        yield n.parameter(p), "=", found
        return
    shape = [f"{value:g}" for value in p.prior.arguments[:-2]]
    scales = n.scales(b.key)
    simple = len(names) == 1
    scale = found if simple else n.of_member(scales, p)
    yield n.parameter(p), "~", n.call(p.prior.distribution.name, ", ".join([*shape, "0", scale]))
    if p is b.members[-1] and not simple:
        yield scales, "=", found


def _common(p: Parameter, term: Term, n: _Text | _Latex, of: Callable[[str], str]) -> str:
    """The contribution of a common term; `of` gives a column, or its mean."""
    if term.kind == "monotonic":
        factors = _column(p.of, term.product).split(":")
        ordered = [n.column(f[3:-1]) for f in factors if f.startswith("mo(")]
        others = [f for f in factors if not f.startswith("mo(")]
        if term.level:  # one column of a factor, or of several
            others = [f"{':'.join(others)}[{term.level}]"]
        reached = n.reached(n.parameter(p), ordered)
        product = n.times.join([reached, *map(n.column, others)])
        return product if of == n.column else n.average(product)
    if term.kind not in ("numeric", "whole"):
        of_level = n.of_level(n.parameter(p), p)
        return of_level if of == n.column else n.average(of_level)
    return f"{n.parameter(p)}{n.times}{of(_column(p.of, p.name))}"


def _column(parameter: str, name: str) -> str:
    """A column, from the name of a term of the linear predictor of a parameter."""
    return name.removeprefix(f"{parameter}_") if parameter else name


def _sums(s: Predictor, n: _Text | _Latex, of: Callable[[str], str]) -> Iterator[str]:
    """The contributions of the common terms."""
    for p, term in zip(s.common, s.design.terms, strict=True):
        yield _common(p, term, n, of)


def _terms(s: Predictor, n: _Text | _Latex) -> Iterator[str]:
    """The summands of the linear predictor."""
    if s.intercept:
        yield n.parameter(s.intercept)
    yield from _sums(s, n, n.column)
    for g in s.groups:
        for effect in g.group.effects:
            of_row = n.deviation(g, effect, n.row_index(g))
            yield (
                of_row
                if effect.kind == "intercept"
                else f"{of_row}{n.times}{n.column(_column(s.parameter, effect.name))}"
            )
    yield from map(n.smooth, s.smooths)
    if s.design.offset is not None:
        yield n.column("offset")
