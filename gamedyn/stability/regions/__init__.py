"""Where a method is stable: membership, rays, axes, angles, zero-stability."""

from gamedyn._lib.border import border
from gamedyn.stability.regions.amplification import amplification
from gamedyn.stability.regions.angles import a_alpha, disc_radius, sector_radius
from gamedyn.stability.regions.axis import (
    a_stable,
    axis_intervals,
    e_polynomial,
    l_stable,
    r_infinity,
    stiffly_accurate,
    unstable_bands,
)
from gamedyn.stability.regions.membership import is_stable
from gamedyn.stability.regions.rays import ray_intervals
from gamedyn.stability.regions.zero_stability import strongly_stable, zero_stable

__all__ = [
    "a_alpha",
    "a_stable",
    "amplification",
    "axis_intervals",
    "disc_radius",
    "e_polynomial",
    "is_stable",
    "l_stable",
    "r_infinity",
    "ray_intervals",
    "sector_radius",
    "stiffly_accurate",
    "strongly_stable",
    "unstable_bands",
    "zero_stable",
]

border(globals())
