"""The game's own spectrum, laid over the theory: eigenvalues, tangents of steps, equilibria."""

from gamedyn.spectrum.equilibrium import Equilibrium, find_equilibrium
from gamedyn.spectrum.jacobian import GameJacobian
from gamedyn.spectrum.linearise import Linearisation, dense, linearise, stable_steps
from gamedyn.spectrum.modified import modified_field
from gamedyn.spectrum.outer import outer_eigenvalues
from gamedyn.spectrum.tangent import StepTangent, step_radius
from gamedyn.spectrum.verify import verify

__all__ = [
    "Equilibrium",
    "GameJacobian",
    "Linearisation",
    "StepTangent",
    "dense",
    "find_equilibrium",
    "linearise",
    "modified_field",
    "outer_eigenvalues",
    "stable_steps",
    "step_radius",
    "verify",
]
