"""What is solved: the ODE made from a game."""

from gamedyn._lib.border import border
from gamedyn.flows._types import Flow, of_flow
from gamedyn.flows.adam import AdamFlow, adam
from gamedyn.flows.adjusted import (
    AdjustedFlow,
    ConsensusFlow,
    DriftCancelledFlow,
    SymplecticFlow,
    consensus,
    drift_cancelled,
    sga,
    symplectic_adjustment,
)
from gamedyn.flows.clipped import ClippedFlow, clipped
from gamedyn.flows.custom import CustomFlow, MappedFlow, custom, mapped
from gamedyn.flows.gradient import GradientFlow, gradient
from gamedyn.flows.mirror import MirrorFlow, mirror_descent
from gamedyn.flows.noisy import Noise, NoisyFlow, noisy
from gamedyn.flows.preconditioned import PreconditionedFlow, preconditioned
from gamedyn.flows.projected import ProjectedFlow, ball, clip, projected, simplex
from gamedyn.flows.replicator import PopulationFlow, policy_gradient, replicator

__all__ = [
    "AdamFlow",
    "AdjustedFlow",
    "ClippedFlow",
    "ConsensusFlow",
    "CustomFlow",
    "DriftCancelledFlow",
    "Flow",
    "GradientFlow",
    "MappedFlow",
    "MirrorFlow",
    "Noise",
    "NoisyFlow",
    "PopulationFlow",
    "PreconditionedFlow",
    "ProjectedFlow",
    "SymplecticFlow",
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
    "of_flow",
    "policy_gradient",
    "preconditioned",
    "projected",
    "replicator",
    "sga",
    "simplex",
    "symplectic_adjustment",
]

border(globals(), skip=("velocity", "penalties", "project", "point_of", "coordinates_of"))
