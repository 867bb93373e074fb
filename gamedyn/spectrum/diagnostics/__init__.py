"""Of paths and fields: angles, rotation, cycles, densities, and what changes from batch to batch."""

from gamedyn.spectrum.diagnostics.batch_spread import Band, BatchSpread, batch_spread
from gamedyn.spectrum.diagnostics.cycles import LimitCycle, find_limit_cycle
from gamedyn.spectrum.diagnostics.density import PlaneDensity, SpectralDensity, part_density, plane_density
from gamedyn.spectrum.diagnostics.field_of_values import NumericalRange, numerical_range
from gamedyn.spectrum.diagnostics.paths import (
    PathAngle,
    RotationIndex,
    path_angle,
    planar_path_angle,
    rotation_index,
)

__all__ = [
    "Band",
    "BatchSpread",
    "LimitCycle",
    "NumericalRange",
    "PathAngle",
    "PlaneDensity",
    "RotationIndex",
    "SpectralDensity",
    "batch_spread",
    "find_limit_cycle",
    "numerical_range",
    "part_density",
    "path_angle",
    "planar_path_angle",
    "plane_density",
    "rotation_index",
]
