"""The game's own spectrum, laid over the theory: eigenvalues, tangents of steps, equilibria."""

from gamedyn._lib.border import border
from gamedyn.jacobian import FrozenField, GameJacobian
from gamedyn.spectrum.confirm import Confirmation, confirm
from gamedyn.spectrum.controller import SpectralController
from gamedyn.spectrum.diagnostics import (
    Band,
    BatchSpread,
    LimitCycle,
    NumericalRange,
    PathAngle,
    PlaneDensity,
    RotationIndex,
    SpectralDensity,
    batch_spread,
    find_limit_cycle,
    numerical_range,
    part_density,
    path_angle,
    planar_path_angle,
    plane_density,
    rotation_index,
)
from gamedyn.spectrum.equilibrium import Equilibrium, find_equilibrium
from gamedyn.spectrum.linearise import Linearisation, linearise, stable_steps
from gamedyn.spectrum.modified import modified_field
from gamedyn.spectrum.monitor import SpectralMonitor, SpectralRecord
from gamedyn.spectrum.outer import outer_eigenvalues, outer_pairs
from gamedyn.spectrum.tangent import StepTangent, step_radius
from gamedyn.spectrum.verdicts import (
    Answer,
    Degeneracy,
    Extent,
    FlowStability,
    Symmetry,
    Verdict,
    extent,
    scaling_symmetries,
    verdict,
)
from gamedyn.spectrum.verify import verify

__all__ = [
    "Answer",
    "Band",
    "BatchSpread",
    "Confirmation",
    "Degeneracy",
    "Equilibrium",
    "Extent",
    "FlowStability",
    "FrozenField",
    "GameJacobian",
    "LimitCycle",
    "Linearisation",
    "NumericalRange",
    "PathAngle",
    "PlaneDensity",
    "RotationIndex",
    "SpectralController",
    "SpectralDensity",
    "SpectralMonitor",
    "SpectralRecord",
    "StepTangent",
    "Symmetry",
    "Verdict",
    "batch_spread",
    "confirm",
    "extent",
    "find_equilibrium",
    "find_limit_cycle",
    "linearise",
    "modified_field",
    "numerical_range",
    "outer_eigenvalues",
    "outer_pairs",
    "part_density",
    "path_angle",
    "planar_path_angle",
    "plane_density",
    "rotation_index",
    "scaling_symmetries",
    "stable_steps",
    "step_radius",
    "verdict",
    "verify",
]

border(globals())
