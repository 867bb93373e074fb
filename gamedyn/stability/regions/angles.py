"""How much of the left half-plane a stability region holds: the largest sector, disc, and piece of a sector."""

from __future__ import annotations

from math import atan2, cos, degrees, pi, radians, sin
from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import get
from gamedyn.stability.regions.axis import a_stable, r_infinity
from gamedyn.stability.regions.locus import Tangent, boundary_locus
from gamedyn.stability.regions.rays import first_end, ray_intervals
from gamedyn.stability.regions.zero_stability import zero_stable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gamedyn.methods import Method

__all__ = ["a_alpha", "disc_radius", "sector_radius"]

UNIT = 1e-9
"""Excess over 1 of a multiplier at infinity that is rounding."""

SKIN = 1e-9
"""Radians by which a point must lie inside a sector to be distinguished from one on its edge."""


def a_alpha(method: str | Method) -> float:
    """The angle of A(alpha)-stability, in degrees: the largest with `|arg(-z)| <= alpha` in the stability region.

    The least `|arg(-z)|` on the boundary locus, where it has the direction of the ray through it:
    `Im(z'(t)/z(t)) = 0`; and the directions in which the locus leaves 0 or goes to infinity.

    Args:
        method: a method whose modes decouple, or its name.

    Returns:
        90 for an A-stable method; 0 for one whose region does not hold the negative real axis.

    Raises:
        ArgumentError: for a method that needs blocks, a discrete map, or a method of another library.

    Source: Widlund 1967; Hairer, Wanner II, V.2, definition 2.1.

    Example:
        >>> round(a_alpha("bdf3"), 10), a_alpha("gauss4"), a_alpha("rk4")
        (86.0323668602, 90.0, 0.0)
    """
    chosen = get(method)
    if a_stable(chosen):
        return 90.0
    if r_infinity(chosen) > 1 + UNIT or not zero_stable(chosen) or ray_intervals(chosen, -1.0) != [(0.0, np.inf)]:
        return 0.0
    locus = boundary_locus(chosen)
    leaving = [_direction(x) for x in (*locus.tangents(), *locus.tangents(at_infinity=True))]
    return degrees(min(pi / 2, locus.least(_angle), *leaving))


def disc_radius(method: str | Method) -> float:
    """The largest r with the disc `|z + r| <= r` in the stability region.

    `r = -1 / (2 min Re(1/z))` over the boundary locus. A mode that the field turns no further than its r-disc,
    `|h lambda + r| <= r`, is damped: the condition of cocoercive games, and of circle contractivity.

    Args:
        method: a method whose modes decouple, or its name.

    Returns:
        inf for an A-stable method; 0 if no such disc is in the region.

    Raises:
        ArgumentError: for a method that needs blocks, a discrete map, or a method of another library.

    Source: Jeltsch, Nevanlinna 1981, Numer. Math. 37 (at most s for s explicit stages); Hairer, Wanner II, IV.12.

    Example:
        >>> round(disc_radius("euler"), 10), round(disc_radius("kutta3"), 8), disc_radius("sdirk2")
        (1.0, 1.25637266, inf)
    """
    chosen = get(method)
    if a_stable(chosen):
        return float("inf")
    axis = ray_intervals(chosen, -1.0)
    if not zero_stable(chosen) or not axis or axis[0][0] != 0:
        return 0.0
    locus = boundary_locus(chosen)
    least = locus.least(_inverse_real)
    met = -0.5 / least if least < 0 else float("inf")
    return float(min(met, axis[0][1] / 2, *(_osculating(x) for x in locus.tangents())))


def sector_radius(method: str | Method, angle: float) -> float:
    """The largest r with `{|z| <= r, |arg(-z)| <= angle}` in the stability region.

    The least |z| on the boundary locus inside the sector, where `Re(z'(t)/z(t)) = 0`, or where it crosses an edge.

    Args:
        method: a method whose modes decouple, or its name.
        angle: half the sector's angle, in degrees from the negative real axis, in [0, 90].

    Returns:
        inf for a sector that is all in the region; 0 if the method is not stable near 0 in it.

    Raises:
        ArgumentError: for another angle, a method that needs blocks, a discrete map, or a method of another library.

    Source: Hairer, Wanner II, V.2 (sectors; A(alpha)-stability is an infinite radius).

    Example:
        >>> round(sector_radius("euler", 60), 10), sector_radius("bdf3", 80), sector_radius("rk4", 0)
        (1.0, inf, 2.785293563405282)
    """
    chosen = get(method)
    if isinstance(angle, bool) or not isinstance(angle, (int, float, np.number)) or not 0 <= angle <= 90:
        raise ArgumentError("angle", "degrees from 0 to 90", angle)
    if a_stable(chosen):
        return float("inf")
    edges = [first_end(chosen, u) for u in {complex(-1.0), _edge(float(angle))}]
    if min(edges) == 0 or not zero_stable(chosen):
        return 0.0
    limit = radians(float(angle)) - SKIN

    def modulus(z: NDArray[np.complex128]) -> NDArray[np.float64]:
        return np.where(_angle(z) < limit, np.abs(z), np.nan)

    return float(min(*edges, boundary_locus(chosen).least(modulus)))


def _edge(angle: float) -> complex:
    """The direction of a sector's edge, exact on the axes."""
    if angle in (0.0, 90.0):
        return 1j if angle else complex(-1.0)
    return complex(-cos(radians(angle)), sin(radians(angle)))


def _angle(z: NDArray[np.complex128]) -> NDArray[np.float64]:
    """|arg(-z)|, in [0, pi]."""
    return np.arctan2(np.abs(z.imag), -z.real)


def _inverse_real(z: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.real(1 / z)


def _direction(tangent: Tangent) -> float:
    """|arg(-z)| of the direction in which a multiplier stays on the circle: `Re(slope z) = 0`.

    A multiple one goes both ways, `+- c sqrt(z)`: off the one direction in which both stay, one of them leaves.
    """
    x = tangent.slope
    if np.isinf(x):
        return 0.0
    if x == 0:  # z^2 decides
        return pi / 4
    return pi / 2 - abs(atan2(x.imag, x.real))


def _osculating(tangent: Tangent) -> float:
    """Radius of the disc that osculates the locus at 0, which has slope z as its imaginary axis."""
    x, bend = tangent.slope, tangent.curvature.real
    if x.real <= 0 or abs(x.imag) > UNIT * abs(x):
        return 0.0
    return -x.real / (2 * bend) if bend < -1e-11 * x.real**2 else float("inf")
