"""Games, their states, fields and batches. The sign convention is stated in `game`."""

from gamedyn.core.averaged import AveragedProducts
from gamedyn.core.batches import Batches, batches, moved, moved_to, stacked
from gamedyn.core.field import Field, FlowLike, Members, Request, Velocity, Work
from gamedyn.core.formed import FormedProducts
from gamedyn.core.forward import ForwardProducts
from gamedyn.core.game import SIGN_CONVENTION, Game
from gamedyn.core.parallel import data_parallel
from gamedyn.core.products import Products
from gamedyn.core.state import Layout, Leaf, State
from gamedyn.core.traced import Code, CompiledProducts

__all__ = [
    "SIGN_CONVENTION",
    "AveragedProducts",
    "Batches",
    "Code",
    "CompiledProducts",
    "Field",
    "FlowLike",
    "FormedProducts",
    "ForwardProducts",
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
    "data_parallel",
    "moved",
    "moved_to",
    "stacked",
]
