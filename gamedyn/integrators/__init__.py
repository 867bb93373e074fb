"""How a flow is solved: one stepper per family of methods, and the loop that drives them."""

from gamedyn._lib.border import border
from gamedyn.integrators import steps
from gamedyn.integrators._types import Integrator, StepInfo
from gamedyn.integrators.bridges.scipy import scipy_methods
from gamedyn.integrators.bridges.torch_optim import preconditioner, torch_optim_methods
from gamedyn.integrators.bridges.torchdiffeq import torchdiffeq_methods
from gamedyn.integrators.dispatch import STEPPERS, stepper
from gamedyn.integrators.drive.adaptive import Adaptive, NoiseWarning
from gamedyn.integrators.drive.checkpoints import Checkpoints, CheckpointWarning
from gamedyn.integrators.drive.counts import StepCounts, step_counts
from gamedyn.integrators.drive.dense import DenseOutput
from gamedyn.integrators.drive.ensemble import solve_ensemble
from gamedyn.integrators.drive.events import Event
from gamedyn.integrators.drive.observers import Every, Observer, View
from gamedyn.integrators.drive.records import Records
from gamedyn.integrators.drive.run import Run
from gamedyn.integrators.drive.solve import solve
from gamedyn.integrators.drive.trajectory import Trajectory
from gamedyn.integrators.equations.newton import Anderson, Krylov, NewtonKrylov, fixed_point

__all__ = [
    "STEPPERS",
    "Adaptive",
    "Anderson",
    "CheckpointWarning",
    "Checkpoints",
    "DenseOutput",
    "Event",
    "Every",
    "Integrator",
    "Krylov",
    "NewtonKrylov",
    "NoiseWarning",
    "Observer",
    "Records",
    "Run",
    "StepCounts",
    "StepInfo",
    "Trajectory",
    "View",
    "fixed_point",
    "preconditioner",
    "scipy_methods",
    "solve",
    "solve_ensemble",
    "step_counts",
    "stepper",
    "steps",
    "torch_optim_methods",
    "torchdiffeq_methods",
]

border(globals())
