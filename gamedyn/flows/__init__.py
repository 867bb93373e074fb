"""What is solved: the ODE made from a game."""

from gamedyn._lib.border import border
from gamedyn.flows._types import Flow
from gamedyn.flows.adam import adam
from gamedyn.flows.adjusted import consensus, drift_cancelled, symplectic_adjustment
from gamedyn.flows.clipped import clipped
from gamedyn.flows.custom import custom, mapped
from gamedyn.flows.gradient import GradientFlow, gradient
from gamedyn.flows.mirror import mirror_descent
from gamedyn.flows.noisy import Noise, noisy
from gamedyn.flows.preconditioned import preconditioned
from gamedyn.flows.projected import ball, clip, projected, simplex
from gamedyn.flows.replicator import policy_gradient, replicator

__all__ = [
    "Flow",
    "GradientFlow",
    "Noise",
    "adam",
    "ball",
    "clip",
    "clipped",
    "consensus",
    "custom",
    "drift_cancelled",
    "gradient",
    "mapped",
    "mirror_descent",
    "noisy",
    "policy_gradient",
    "preconditioned",
    "projected",
    "replicator",
    "simplex",
    "symplectic_adjustment",
]

border(globals(), skip=("velocity", "penalties", "project", "point_of", "coordinates_of"))
