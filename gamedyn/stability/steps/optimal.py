"""The polynomial with the largest stable step on the rays to given eigenvalues, by bisection and exchange."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gamedyn.stability.steps.first_steps import outermost
from gamedyn.stability.steps.minimax import Basis, Bound, least_excess, polynomial_values, taylor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Real = NDArray[np.float64]
    Complex = NDArray[np.complex128]

__all__ = ["Rays"]

NEAR, NEAR_ZERO = 1e-5, 1e-2
"""Weight below which a point is so near z = 0 that rounding hides on which side of 1 |P| is; and the weight of the
point that stands for the limit there."""

MOST_ADDED, ABOVE = 64, 1e-9
"""How many points at which |P| is too large are added at once, and the excess over the bound that counts."""


STEEP = 1e-5
"""Cosine below which a ray counts as the imaginary axis near z = 0."""


class Rays:
    """Points on the rays to the eigenvalues, in units of the largest modulus, and the best polynomial on them."""

    def __init__(self, modes: Complex, stages: int, order: int, damping: float) -> None:
        self.modes, self.stages, self.order, self.damping = outermost(modes), stages, order, damping
        self.scale = float(np.abs(modes).max())
        self.fine = max(24, min(24 * stages, 200_000 // len(self.modes)))
        self.x = self._rays(_outer(self.modes), 6 * stages + 12)
        self.basis = Basis.on(self.x, order, stages - order)

    def _rays(self, modes: Complex, points: int, start: float = 0.0, end: float = 1.0) -> Complex:
        shares = start + (end - start) * np.sin(0.5 * np.pi * np.arange(1, points + 1) / points)
        return np.asarray(np.outer(modes / self.scale, shares).ravel())

    def add(self, x: Complex) -> None:
        """More points."""
        self.x = np.concatenate([self.x, x])

    def solved(self, reach: float, *, settle: bool) -> tuple[Real, float]:
        """The best coefficients for a step of `reach / scale`, and their excess."""
        z = reach * self.x
        bound = Bound.at(z, self.order, self.damping)
        kept = np.flatnonzero(bound.weight > NEAR)
        fixed, columns, bound = taylor(z[kept], self.order), self.basis.at(self.x[kept]), bound[kept]
        if (self.modes.real > -STEEP * np.abs(self.modes)).any():
            start, slopes = self._near_zero(reach)
            fixed, columns = np.append(fixed, 1 + start), np.vstack([columns, slopes])
            bound = Bound(np.append(bound.level, 1.0), np.append(bound.weight, NEAR_ZERO))
        return least_excess(fixed, columns, bound, gap=1e-9, settle=settle)

    def _near_zero(self, reach: float) -> tuple[float, Real]:
        """The excess in the limit z = iy, y -> 0, as if it were a point: half the first term of |P|^2 - 1 there.

        The coefficient of y^(2q), q = order // 2 + 1, is `sum_{j+k=2q} (-1)^((j-k)/2) c_j c_k`.
        """
        p, q = self.order, self.order // 2 + 1
        known = sum((-1) ** (j - q) / math.factorial(j) / math.factorial(2 * q - j) for j in range(2 * q - p, p + 1))
        weights = np.zeros(self.basis.free)
        for j in range(p + 1, min(2 * q, p + self.basis.free) + 1):
            weights[j - p - 1] = 2 * (-1) ** (j - q) / math.factorial(2 * q - j) / reach**j
        slopes = self.basis.powers(np.eye(self.basis.free)) @ weights
        return 0.5 * NEAR_ZERO * known, 0.5 * NEAR_ZERO * slopes

    def largest_reach(self, most: float) -> tuple[float, Real]:
        """By bisection from above: the largest reach at which an excess below 0 exists."""
        low, high, a = 0.0, most, np.zeros(self.basis.free)
        gallop = 1e-6
        while high - low > 1e-7 * high and high > 1e-4:
            if low:
                middle = 0.5 * (low + high)
            else:  # near the last reach first, then ever further down
                middle, gallop = high * (1 - gallop), min(0.5, 20 * gallop)
            found, excess = self.solved(middle, settle=True)
            if excess <= 0:
                low, a = middle, found
            else:
                high = middle
        return low, a

    def coefficients(self, a: Real, reach: float) -> Real:
        """Of P in z, constant term first."""
        free = self.basis.powers(a) / reach ** np.arange(self.order + 1, self.order + 1 + self.basis.free)
        return np.concatenate([[1 / math.factorial(k) for k in range(self.order + 1)], free])

    def offenders(self, c: Real, reach: float, modes: Complex, points: int) -> Complex:
        """The points at which |P| is above its bound and largest along a ray, between the scanned ones, too."""
        shares = np.arange(1, points + 1) / points
        x = np.outer(modes / self.scale, shares)
        bound = Bound.at(reach * x.ravel(), self.order, self.damping)
        raw = bound.excess(polynomial_values(c, reach * x.ravel()))
        excess = np.where(bound.weight > NEAR, raw, -1.0).reshape(x.shape)
        before, at, after = excess[:, :-2], excess[:, 1:-1], excess[:, 2:]
        ray, place = np.nonzero((at > ABOVE) & (at >= before) & (at >= after))
        bend = (before - 2 * at + after)[ray, place]
        turn = 0.5 * (before - after)[ray, place] / np.where(bend < 0, bend, -np.inf)
        found = modes[ray] / self.scale * (place + 2 + np.clip(turn, -0.5, 0.5)) / points
        ends = modes[excess[:, -1] > ABOVE] / self.scale
        worst = np.concatenate([at[ray, place], excess[excess[:, -1] > ABOVE, -1]])
        return np.concatenate([found, ends])[np.argsort(-worst)[:MOST_ADDED]]


def _outer(modes: Complex, bins: int = 24) -> Complex:
    """The longest mode in each of a few sectors, and the one nearest the imaginary axis."""
    sector = np.minimum((np.angle(modes) - np.pi / 2) / (np.pi / 2) * bins, bins - 1).astype(int)
    chosen = {int(np.argmax(np.where(sector == i, np.abs(modes), 0))) for i in set(sector.tolist())}
    return modes[sorted({*chosen, int(np.argmax(modes.real / np.abs(modes)))})]
