"""Where a spectral radius stays at most 1: scanned over all steps, from the fastest mode's to beyond the slowest's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq, minimize_scalar

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gamedyn.stability.matrices.eigenvalues import BlockJacobian

__all__ = ["UNIT", "first_steps", "scanned_intervals"]

UNIT = 1e-10
"""Excess over 1 of a computed spectral radius that counts as none."""

BEYOND = 2.0**10
"""A step so many times that of the slowest mode stands for all larger ones: the step's matrix has its limit there."""

FLAT = 1e-9
"""Differences of the radius between neighbours below which a turning point is rounding."""


def scanned_intervals(
    radius: Callable[[float], float],
    level: Callable[[float], float],
    grid: NDArray[np.float64],
    slowest: float,
    *,
    explicit: bool,
    xtol: float,
) -> list[tuple[float, float]]:
    """The intervals of steps at which the radius is at most its level.

    The scan goes on by doublings until a mode of modulus `slowest` is carried BEYOND its own time: past that the
    eigenvalues of a rational function of h J have their limits, so that what is stable there is stable for ever. Of an
    explicit method it ends where the radius has left 1 behind: its matrix is a polynomial in h. Turning points are
    looked at closely, so that an interval, or a gap, narrower than the grid is found if the radius bends there at all.

    Args:
        radius: of one step of size h.
        level: what counts as no growth, near h = 0 less than 1 + UNIT where the flow itself grows.
        grid: steps to begin with, sorted.
        slowest: modulus of the slowest mode that counts.
        explicit: whether a step solves no equation.
        xtol: relative accuracy of the ends.
    """
    h, r = list(grid), [radius(x) for x in grid]
    last = max(BEYOND / slowest, 2 * h[-1])
    count = max(24, len(h) // 4)
    while h[-1] < last and not (explicit and r[-1] > 1 + UNIT):
        more = np.linspace(h[-1], 2 * h[-1], count)[1:]
        count = max(7, count // 2)
        h, r = [*h, *more], [*r, *(radius(x) for x in more)]
    h, r = _with_turns(radius, h, r)
    inside = [x <= level(at) for at, x in zip(h, r, strict=True)]
    edges: list[float] = [0.0] if inside[0] else []
    for i in range(len(h) - 1):
        if inside[i] != inside[i + 1]:
            neutral = min(r[i], r[i + 1]) >= 1 - UNIT  # a neutral stretch hovers at 1

            def excess(at: float, neutral: bool = neutral) -> float:
                return radius(at) - (level(at) if neutral else 1.0)

            edges.append(float(brentq(excess, h[i], h[i + 1], xtol=xtol * h[i + 1])))
    if inside[-1]:
        edges.append(float("inf"))
    return list(zip(edges[::2], edges[1::2], strict=True))


def _with_turns(radius: Callable[[float], float], h: list[float], r: list[float]) -> tuple[list[float], list[float]]:
    """The scan with the largest or smallest radius between its points added, where a turn may cross 1."""
    added: list[tuple[float, float]] = []
    for i in range(1, len(h) - 1):
        before, at, after = r[i - 1], r[i], r[i + 1]
        up, down = at >= max(before, after), at <= min(before, after)
        spread = max(abs(at - before), abs(at - after))
        below, above = at <= 1 + UNIT, at > 1 + UNIT
        if spread > FLAT and ((up and below) or (down and above)):
            sign = -1.0 if up else 1.0
            found = minimize_scalar(
                lambda x, sign=sign: sign * radius(x),
                bounds=(h[i - 1], h[i + 1]),
                method="bounded",
                options={"xatol": 1e-3 * (h[i + 1] - h[i - 1]), "maxiter": 24},
            )
            added.append((float(found.x), sign * float(found.fun)))
    every = sorted([*zip(h, r, strict=True), *added])
    return [x for x, _ in every], [y for _, y in every]


def first_steps(J: BlockJacobian, values: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Steps to begin with: geometric near 0, then even to where most explicit compositions have broken down.

    The number of points falls with the size of J, whose eigenvalues each point costs.
    """
    norm = float(np.linalg.norm(J.matrix, 2))
    own = max(float(np.abs(np.linalg.eigvals(J.matrix[s, s])).max()) for s in J.slices)
    scale = max(float(np.abs(values).max()), own, 1e-3 * norm)
    points = int(np.clip(6e7 / len(values) ** 2.2, 24, 600))
    small = np.geomspace(1e-4 / norm, 0.05 / scale, max(8, points // 6))
    return np.unique(np.concatenate([small, np.linspace(0.05 / scale, 8 / scale, points)]))
