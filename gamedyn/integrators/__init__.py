"""How a flow is solved: one stepper per family of methods, and the loop that drives them."""

from gamedyn._lib.border import border
from gamedyn.integrators._types import Integrator, StepInfo
from gamedyn.integrators.adaptive import NoiseWarning, StepControl
from gamedyn.integrators.dense import DenseOutput
from gamedyn.integrators.dispatch import STEPPERS, stepper
from gamedyn.integrators.ensemble import solve_ensemble
from gamedyn.integrators.newton import Anderson, Krylov, NewtonKrylov, fixed_point
from gamedyn.integrators.run import Records, Run
from gamedyn.integrators.scipy import scipy_methods
from gamedyn.integrators.solve import solve
from gamedyn.integrators.torch_optim import preconditioner, torch_optim_methods
from gamedyn.integrators.torchdiffeq import torchdiffeq_methods

__all__ = [
    "STEPPERS",
    "Anderson",
    "DenseOutput",
    "Integrator",
    "Krylov",
    "NewtonKrylov",
    "NoiseWarning",
    "Records",
    "Run",
    "StepControl",
    "StepInfo",
    "fixed_point",
    "preconditioner",
    "scipy_methods",
    "solve",
    "solve_ensemble",
    "stepper",
    "torch_optim_methods",
    "torchdiffeq_methods",
]

border(globals())
