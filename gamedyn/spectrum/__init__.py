"""The game's own spectrum, laid over the theory: eigenvalues, tangents of steps, equilibria."""

from gamedyn.spectrum.answers import Answer
from gamedyn.spectrum.batch_spread import Band, BatchSpread, batch_spread
from gamedyn.spectrum.confirm import Confirmation, confirm
from gamedyn.spectrum.controller import SpectralController
from gamedyn.spectrum.cycles import LimitCycle, find_limit_cycle
from gamedyn.spectrum.density import PlaneDensity, SpectralDensity, part_density, plane_density
from gamedyn.spectrum.equilibrium import Equilibrium, find_equilibrium
from gamedyn.spectrum.extent import Extent, extent
from gamedyn.spectrum.field_of_values import NumericalRange, numerical_range
from gamedyn.spectrum.flow_stability import FlowStability
from gamedyn.spectrum.jacobian import GameJacobian
from gamedyn.spectrum.linearise import Linearisation, dense, linearise, stable_steps
from gamedyn.spectrum.modified import modified_field
from gamedyn.spectrum.monitor import SpectralMonitor, SpectralRecord
from gamedyn.spectrum.outer import outer_eigenvalues, outer_pairs
from gamedyn.spectrum.paths import PathAngle, RotationIndex, path_angle, planar_path_angle, rotation_index
from gamedyn.spectrum.symmetries import Symmetry, scaling_symmetries
from gamedyn.spectrum.tangent import StepTangent, step_radius
from gamedyn.spectrum.verdict import Degeneracy, Verdict, verdict
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
    "dense",
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
