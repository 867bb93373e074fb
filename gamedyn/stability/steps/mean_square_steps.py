"""The steps at which second moments decay when every step draws a batch with a Jacobian of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from gamedyn.methods import get
from gamedyn.stability.matrices.eigenvalues import BlockJacobian, eigenvalue_array, jacobian_matrix
from gamedyn.stability.matrices.mean_square import drawn_games, same_game, second_moment_radius
from gamedyn.stability.steps.scans import BEYOND
from gamedyn.stability.steps.step_sets import ZERO, StepSet, sorted_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from gamedyn.methods import Method
    from gamedyn.stability.regions.rays import Interval

    Real = NDArray[np.float64]
    Jacobian = NDArray[np.float64] | BlockJacobian

__all__ = ["mean_square_steps"]

UNIT = 1e-11
"""Excess over 1 of a computed radius that is rounding."""

NEAR, FAR = 0.05, 8.0
"""Ends of the evenly scanned part, over the largest modulus of an eigenvalue."""

MORE = 40
"""Points of the first part beyond, in which the step doubles; each later one has half as many, seven at least."""

NOTHING = 1e-12
"""Share of the largest eigenvalue below which one counts as zero."""


def mean_square_steps(
    method: str | Method,
    jacobians: Sequence[ArrayLike | BlockJacobian],
    weights: Sequence[float] | None = None,
) -> StepSet:
    """The steps at which second moments do not grow: `mean_square_radius(h) <= 1`, scanned and refined.

    The set lies within that of the mean of the steps, and for Euler within that of the mean of J: noise only takes
    away. On a bare rotation a little noise takes away the small steps, at which rk4 damps less than the noise adds, and
    all steps of alternating play, which damps nothing.

    Args:
        method: one of our methods, or its name.
        jacobians: J of every batch, (n, n) each; of partitioned methods BlockJacobians.
        weights: their probabilities; None: all the same.

    Returns:
        A StepSet with `flow_stable`, `growing` and `neutral` of the mean of J. No eigenvalue binds; `sensitivity` is
        `d ln rho / d ln h` of the root of the mean square, to compare with that of `stable_steps`.

    Raises:
        ArgumentError: as `mean_square_radius`.

    Source: Higham 2000, SIAM J. Numer. Anal. 38; Saito, Mitsui 1996, SIAM J. Numer. Anal. 33.

    Example:
        >>> noisy = [[[-1.0 + s]] for s in (2.0, -2.0)]  # h < -2 lambda / (lambda^2 + sigma^2)
        >>> round(mean_square_steps("euler", noisy).limit, 12)
        0.4
    """
    chosen = get(method)
    games, chances = drawn_games(chosen, jacobians, weights)
    if all(same_game(J, games[0]) for J in games[1:]):
        games, chances = games[:1], np.ones(1)
    mean = sum(
        (w * jacobian_matrix(J) for w, J in zip(chances, games, strict=True)), np.zeros_like(jacobian_matrix(games[0]))
    )
    _, facts = sorted_modes(eigenvalue_array(BlockJacobian(mean, (len(mean),))), ZERO)

    def excess(h: float) -> float:
        return second_moment_radius(chosen, games, chances, float(h)) - 1

    sizes = np.abs(np.concatenate([np.linalg.eigvals(jacobian_matrix(J)) for J in games]))
    slowest = float(sizes[sizes > NOTHING * sizes.max(initial=0.0)].min(initial=np.inf))
    intervals = _scanned(excess, _grid(games), chosen.explicit, slowest)
    slope = float("nan")
    if intervals and np.isfinite(end := intervals[0][1]):
        d = 1e-5
        slope = (np.log1p(excess(end * (1 + d))) - np.log1p(excess(end * (1 - d)))) / (4 * d)
    growing = facts["growing"]
    return StepSet(
        intervals,
        None,
        None,
        slope,
        stabilised=growing if intervals else (),
        damped_intervals=() if growing else intervals,
        **facts,
    )


def _grid(games: list[Jacobian]) -> Real:
    """Steps to scan: geometric near 0, then even to where most explicit methods have broken down."""
    norm = max(float(np.linalg.norm(jacobian_matrix(J), 2)) for J in games)
    if not norm:
        return np.array([1.0])
    scale = max(max(float(np.abs(np.linalg.eigvals(jacobian_matrix(J))).max()) for J in games), 1e-3 * norm)
    points = int(np.clip(6e6 / len(jacobian_matrix(games[0])) ** 2.2, 24, 240))
    small = np.geomspace(1e-4 / norm, NEAR / scale, max(12, points // 4))
    return np.unique(np.concatenate([small, np.linspace(NEAR / scale, FAR / scale, points)]))


def _scanned(excess: Callable[[float], float], grid: Real, explicit: bool, slowest: float) -> tuple[Interval, ...]:
    """Where `excess(h) <= 0` to rounding, up to steps that stand for all larger ones (see `scans`)."""
    values, last, count = [excess(h) for h in grid], grid[-1], MORE
    while grid[-1] < BEYOND / slowest and not (values[-1] > UNIT and explicit):
        more = np.linspace(grid[-1], 2 * grid[-1], count)[1:]
        count = max(7, count // 2)
        grid, values = np.concatenate([grid, more]), [*values, *map(excess, more)]
    inside = [v <= UNIT for v in values]
    seen = next((i for i, v in enumerate(values) if abs(v) > UNIT), len(grid))
    if seen < len(grid) and grid[seen] <= NEAR / FAR * last:  # what rounding hides near 0 has the sign seen first
        inside[:seen] = [inside[seen]] * seen
    edges = [0.0] if inside[0] else []
    for i in range(len(grid) - 1):
        if inside[i] != inside[i + 1]:
            level = UNIT if min(values[i], values[i + 1]) >= -UNIT else 0.0  # a neutral stretch hovers at 0

            def shifted(h: float, level: float = level) -> float:
                return excess(h) - level

            edges.append(float(brentq(shifted, grid[i], grid[i + 1], xtol=1e-13 * grid[i + 1])))
    if inside[-1]:
        edges.append(float("inf"))
    return tuple(zip(edges[::2], edges[1::2], strict=True))
