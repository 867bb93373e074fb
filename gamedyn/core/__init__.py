"""Games, their states, fields and batches. The sign convention is stated in `game`."""

from gamedyn._lib.border import border
from gamedyn.core.batches import Batches, batches
from gamedyn.core.evaluation import Point, Work
from gamedyn.core.field import Field
from gamedyn.core.game import SIGN_CONVENTION, Game
from gamedyn.core.parallel import data_parallel
from gamedyn.core.protocols import VectorField
from gamedyn.core.state import State

__all__ = [
    "SIGN_CONVENTION",
    "Batches",
    "Field",
    "Game",
    "Point",
    "State",
    "VectorField",
    "Work",
    "batches",
    "data_parallel",
]

border(
    globals(),
    skip=("Field", "Game.evaluate", "Game.called_with", "Layout", "State", "Velocity", "Point", "Request", "Work"),
)
