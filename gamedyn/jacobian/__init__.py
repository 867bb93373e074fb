"""The Jacobian of a game's flow: one operator, several ways to its products, and the field that they are held to."""

from gamedyn._lib.border import border
from gamedyn.jacobian.averaged import AveragedProducts
from gamedyn.jacobian.compiled import Code, CompiledProducts
from gamedyn.jacobian.formed import FormedProducts
from gamedyn.jacobian.forward import ForwardProducts
from gamedyn.jacobian.held import HeldField
from gamedyn.jacobian.kept import KeptProducts
from gamedyn.jacobian.operator import STRATEGIES, GameJacobian
from gamedyn.jacobian.products import Products

__all__ = [
    "STRATEGIES",
    "AveragedProducts",
    "Code",
    "CompiledProducts",
    "FormedProducts",
    "ForwardProducts",
    "GameJacobian",
    "HeldField",
    "KeptProducts",
    "Products",
]

border(
    globals(),
    skip=(
        "HeldField",
        "Products",
        "KeptProducts",
        "ForwardProducts",
        "CompiledProducts",
        "FormedProducts",
        "AveragedProducts",
    ),
)
