"""Games, their states, fields and batches. The sign convention is stated in `game`."""

from gamedyn._lib.border import border
from gamedyn.core.batches import Batches, batches, in_memory, moved, moved_to, stacked
from gamedyn.core.evaluation import Members, Point, Request, Velocity, Work
from gamedyn.core.field import Field
from gamedyn.core.game import SIGN_CONVENTION, Game
from gamedyn.core.parallel import data_parallel
from gamedyn.core.point import length_scale, point
from gamedyn.core.protocols import FlowLike, Linearised, NoiseLike, VectorField, of_flow
from gamedyn.core.state import Layout, Leaf, State

__all__ = [
    "SIGN_CONVENTION",
    "Batches",
    "Field",
    "FlowLike",
    "Game",
    "Layout",
    "Leaf",
    "Linearised",
    "Members",
    "NoiseLike",
    "Point",
    "Request",
    "State",
    "VectorField",
    "Velocity",
    "Work",
    "batches",
    "data_parallel",
    "in_memory",
    "length_scale",
    "moved",
    "moved_to",
    "of_flow",
    "point",
    "stacked",
]

border(
    globals(),
    skip=("Field", "Game.evaluate", "Game.called_with", "Layout", "State", "Velocity", "Point", "Request", "Work"),
)
