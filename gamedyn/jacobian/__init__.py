"""The Jacobian of a game's flow: one operator, several ways to its products, and the field with all else frozen."""

from gamedyn._lib.border import border
from gamedyn.jacobian.frozen import FrozenField
from gamedyn.jacobian.operator import STRATEGIES, GameJacobian

__all__ = ["STRATEGIES", "FrozenField", "GameJacobian"]

border(globals(), skip=("FrozenField",))
