"""Which form the effects of a group are sampled in, chosen by what the data say of each level.

In the non-centred form a level's effect is a standard normal value times the standard deviation of
the group: right when the data say little of a level, because then the two are independent. Where
they say much, the effect itself is known and its standardised value is not: the centred form is
right (Betancourt and Girolami 2015, "Hamiltonian Monte Carlo for hierarchical models").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hiermod.formula.design import Design, Group, Smooth
from hiermod.models import families
from hiermod.models.links import Link
from hiermod.models.roughfit import Rows, by_level

FloatArray = NDArray[np.float64]

ENOUGH = 1.4
"""Information in the data of an average level, relative to that in the prior, from which on the
centred form is quicker (measured: see docs/sampling.md)."""

SURE = 5.0
"""Likelihood ratio statistic against levels without variation, from which on the centred form is
safe. Below it standard deviations near zero are plausible, and there that form is a funnel."""


def noncentered(design: Design, family: families.Family, link: Link) -> dict[str, bool]:
    """For every grouping factor and smooth, whether its non-centred form is the better one."""
    sizes = {group.factor: len(group.levels) for group in design.groups}
    sizes |= {smooth.name: smooth.Z.shape[-1] for smooth in design.smooths}
    return {
        name: ratio < ENOUGH or likelihood_ratio(ratio, sizes[name]) < SURE
        for name, ratio in information(design, family, link).items()
    }


def likelihood_ratio(ratio: float, levels: int) -> float:
    """The statistic against no variation, for normal estimates of the levels with this ratio.

    Examples
    --------
    >>> round(likelihood_ratio(1.5, 5), 1), round(likelihood_ratio(1.5, 50), 1)
    (1.6, 15.8)
    """
    return float(levels * (np.log1p(ratio) + 1 / (1 + ratio) - 1))


def information(design: Design, family: families.Family, link: Link) -> dict[str, float]:
    """What the data say of an average level, or coefficient of a smooth, relative to its prior.

    A score test of every level against the model without group effects: its mean is one when the
    levels are equal, and one plus the ratio of the variance of the effects to the sampling
    variance of a level's estimate when they are not (for a gaussian response this is the F
    statistic of the analysis of variance). Of several effects, the direction counts in which the
    data say least, such as the differences between effects that are strongly correlated; of a
    smooth that is by a factor, the level of which they say least.

    Returns
    -------
    dict
        From grouping factor to that ratio, at least 0, the smallest if there are several terms;
        and from the names of smooths.
    """
    residuals = _Residuals(design, family, link)
    out: dict[str, float] = {}
    for group in design.groups:
        ratio = max(residuals.ratio(group) - 1.0, 0.0)
        out[group.factor] = min(ratio, out.get(group.factor, np.inf))
    for smooth in design.smooths:
        out[smooth.name] = max(residuals.smooth_ratio(smooth) - 1.0, 0.0)
    return out


class _Residuals(Rows):
    """Scores and information of the rows under the model without group effects."""

    def __init__(self, design: Design, family: families.Family, link: Link) -> None:
        super().__init__(design, family, link)
        self.score, self.curvature = self._fit(design, link)

    def _fit(self, design: Design, link: Link) -> tuple[FloatArray, FloatArray]:
        """Maximum likelihood of the common coefficients, by a few damped Newton steps.

        A linear model needs one step, whole; on the scale of other links two units are a long way.
        """
        x = np.column_stack([np.ones(design.n_rows), design.X - design.X.mean(axis=0)])
        beta = np.zeros(x.shape[1])
        beta[0] = self.start
        longest, widest = (np.inf if link.name == "identity" else 2.0), 0.0
        for _ in range(8):
            score, curvature = self.derivatives(self.offset + x @ beta)
            gram = x.T @ (curvature[:, None] * x)
            step = np.linalg.lstsq(gram, x.T @ score, rcond=1e-10)[0]
            largest = np.abs(x @ step).max()
            widest = max(widest, largest)
            if not 1e-3 * widest < largest < np.inf:  # converged, or of no use
                return score, curvature
            beta = beta + step * min(1.0, longest / largest)
        return self.derivatives(self.offset + x @ beta)

    def ratio(self, group: Group) -> float:
        """The score statistics of the levels along the direction where they are least, averaged."""
        z, index, levels = group.Z, group.index, len(group.levels)
        score = by_level(index, self.score[:, None] * z, levels)
        weighted = self.curvature[:, None] * z
        info = by_level(index, weighted[:, :, None] * z[:, None, :], levels)
        # White scores: the inverse square root of the information times the score; what a level
        # has no information of, it does not count for.
        found, vectors = np.linalg.eigh(info)
        known = found > 1e-10 * found.max(axis=-1, keepdims=True, initial=0)
        root = np.where(known, 1.0, 0.0) / np.sqrt(np.where(known, found, 1.0))
        white = np.einsum("jkm,jm,jlm,jl->jk", vectors, root, vectors, score)
        rank = int(known.sum())
        least = np.linalg.eigvalsh(white.T @ white)[0]
        return self._over_dispersion(least / (rank / z.shape[1]), float((white**2).sum()), rank)

    def smooth_ratio(self, smooth: Smooth) -> float:
        """The score statistic of the coefficients, averaged; of the level where it is least."""
        rows, size = len(smooth.Z), smooth.Z.shape[-1]
        found = []
        for Z in np.moveaxis(smooth.Z.reshape(rows, -1, size), 1, 0):
            score, info = Z.T @ self.score, Z.T @ (self.curvature[:, None] * Z)
            explained = float(score @ np.linalg.lstsq(info, score, rcond=1e-10)[0])
            found.append(self._over_dispersion(explained / size, explained, size))
        return min(found)

    def _over_dispersion(self, statistic: float, explained: float, rank: int) -> float:
        """A statistic, over the variance that `rank` numbers leave when they explain so much."""
        if not self.dispersion:
            return float(statistic)
        left = float((self.score**2 / self.curvature).sum() - explained)
        freedom = len(self.score) - rank
        return float(statistic / (left / freedom)) if left > 0 and freedom > 0 else 1.0
