"""Closed forms for the classes of stationary points that the games declare."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING

from gamedyn.core.critical import CriticalPoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = ["above_zero", "eigenvalues_of_pair", "scalar_pair"]

ROUNDING = 1e-13


def above_zero(*values: float, scale: float = 1.0) -> str:
    """Whether all values are positive: "no" if one is negative, "undecided" at 0, which rounding of `scale` is."""
    if any(x < -ROUNDING * scale for x in values):
        return "no"
    return "yes" if all(x > ROUNDING * scale for x in values) else "undecided"


def eigenvalues_of_pair(matrix: Sequence[Sequence[float]]) -> tuple[tuple[complex, complex], bool]:
    """Both eigenvalues of a 2x2 matrix, and whether it is defective: a double one, and no diagonal matrix."""
    (a, b), (c, d) = matrix
    mean, spread = (a + d) / 2, (a - d) / 2
    under = spread * spread + b * c
    scale = max(spread * spread, abs(b * c))
    if abs(under) <= ROUNDING * scale:
        return (complex(mean), complex(mean)), scale > 0 or b != 0 or c != 0
    root = cmath.sqrt(under)
    return (mean - root, mean + root), False


def scalar_pair(
    point: Mapping[str, Tensor],
    hessian: Sequence[Sequence[float]],
    cross: tuple[float, float] = (0.0, 0.0),
    name: str = "origin",
) -> CriticalPoint:
    """A stationary point of two players with one number each, where neither's loss slopes in the other's number.

    Args:
        point: one tensor per player.
        hessian: H, `[[D_11 L_1, D_12 L_1], [D_21 L_2, D_22 L_2]]`; `J = -H`.
        cross: `D_22 L_1` and `D_11 L_2`, on which no eigenvalue depends, but what a leader makes of its follower.
        name: for reports.
    """
    (a, b), (c, d) = hessian
    first, second = point
    values, defective = eigenvalues_of_pair([[-a, -b], [-c, -d]])
    scale = max(map(abs, (a, b, c, d, *cross))) or 1.0
    real = max(z.real for z in values)
    return CriticalPoint(
        point,
        eigenvalues=values,
        stability="yes" if real < -ROUNDING * scale else "no" if real > ROUNDING * scale else "undecided",
        nash=above_zero(a, d, scale=scale),
        stackelberg={first: _leads(a, b, cross[0], c, d, scale), second: _leads(d, c, cross[1], b, a, scale)},
        defective=defective,
        name=name,
    )


def _leads(own: float, mixed: float, cross: float, back: float, follower: float, scale: float) -> str:
    """The leader's verdict: the follower's curvature, then the leader's along `Dr = -back / follower`."""
    verdict = above_zero(follower, scale=scale)
    if verdict != "yes":
        return verdict
    slope = -back / follower
    total = own + 2 * mixed * slope + cross * slope * slope
    return above_zero(total, scale=scale * max(1.0, math.fabs(slope), slope * slope))
