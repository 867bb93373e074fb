"""Games, their states, fields and batches. The sign convention is stated in `game`."""

from gamedyn.core.batches import Batches, batches, moved, moved_to, stacked
from gamedyn.core.field import Field, FlowLike, Members, Request, Velocity, Work
from gamedyn.core.game import SIGN_CONVENTION, Game
from gamedyn.core.products import Products
from gamedyn.core.state import Layout, Leaf, State

__all__ = [
    "SIGN_CONVENTION",
    "Batches",
    "Field",
    "FlowLike",
    "Game",
    "Layout",
    "Leaf",
    "Members",
    "Products",
    "Request",
    "State",
    "Velocity",
    "Work",
    "batches",
    "moved",
    "moved_to",
    "stacked",
]
