"""The Jacobian of a game's flow: one operator, several ways to its products, and the field that they are held to."""

from gamedyn._lib.border import border
from gamedyn.jacobian.held import HeldField
from gamedyn.jacobian.operator import STRATEGIES, GameJacobian

__all__ = ["STRATEGIES", "GameJacobian", "HeldField"]

border(globals(), skip=("HeldField",))
