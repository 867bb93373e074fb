"""The game's own spectrum, laid over the theory: eigenvalues, tangents of steps, equilibria."""

from gamedyn.spectrum.answers import Answer
from gamedyn.spectrum.confirm import Confirmation, confirm
from gamedyn.spectrum.controller import SpectralController
from gamedyn.spectrum.equilibrium import Equilibrium, find_equilibrium
from gamedyn.spectrum.extent import Extent, extent
from gamedyn.spectrum.flow_stability import FlowStability
from gamedyn.spectrum.jacobian import GameJacobian
from gamedyn.spectrum.linearise import Linearisation, dense, linearise, stable_steps
from gamedyn.spectrum.modified import modified_field
from gamedyn.spectrum.monitor import SpectralMonitor, SpectralRecord
from gamedyn.spectrum.outer import outer_eigenvalues, outer_pairs
from gamedyn.spectrum.symmetries import Symmetry, scaling_symmetries
from gamedyn.spectrum.tangent import StepTangent, step_radius
from gamedyn.spectrum.verdict import Degeneracy, Verdict, verdict
from gamedyn.spectrum.verify import verify

__all__ = [
    "Answer",
    "Confirmation",
    "Degeneracy",
    "Equilibrium",
    "Extent",
    "FlowStability",
    "GameJacobian",
    "Linearisation",
    "SpectralController",
    "SpectralMonitor",
    "SpectralRecord",
    "StepTangent",
    "Symmetry",
    "Verdict",
    "confirm",
    "dense",
    "extent",
    "find_equilibrium",
    "linearise",
    "modified_field",
    "outer_eigenvalues",
    "outer_pairs",
    "scaling_symmetries",
    "stable_steps",
    "step_radius",
    "verdict",
    "verify",
]
