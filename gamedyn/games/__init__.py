"""Games with known answers, and the GAN game."""

from __future__ import annotations

from gamedyn._lib.border import border
from gamedyn._lib.discover import Registry
from gamedyn.core.critical import CriticalPoint
from gamedyn.games._types import GameFamily
from gamedyn.games.adversarial import GAN as gan
from gamedyn.games.adversarial import mlp
from gamedyn.games.affine_quadratic import AFFINE_QUADRATIC_GAN as affine_quadratic_gan
from gamedyn.games.dirac import DIRAC_GAN as dirac_gan
from gamedyn.games.matrix_games import BIMATRIX as bimatrix
from gamedyn.games.matrix_games import ITERATED_PRISONERS_DILEMMA as iterated_prisoners_dilemma
from gamedyn.games.matrix_games import MATCHING_PENNIES as matching_pennies
from gamedyn.games.matrix_games import ROCK_PAPER_SCISSORS as rock_paper_scissors
from gamedyn.games.polynomial import CONSENSUS_COUNTEREXAMPLE as consensus_counterexample
from gamedyn.games.polynomial import CYCLIC as cyclic
from gamedyn.games.polynomial import STACKELBERG_POLYNOMIAL as stackelberg_polynomial
from gamedyn.games.polynomial import TANDEM as tandem
from gamedyn.games.quadratic import BILINEAR as bilinear
from gamedyn.games.quadratic import QUADRATIC as quadratic
from gamedyn.games.quadratic import ROTATION as rotation

__all__ = [
    "CriticalPoint",
    "GameFamily",
    "affine_quadratic_gan",
    "bilinear",
    "bimatrix",
    "consensus_counterexample",
    "cyclic",
    "dirac_gan",
    "gan",
    "get",
    "iterated_prisoners_dilemma",
    "matching_pennies",
    "members",
    "mlp",
    "names",
    "quadratic",
    "rock_paper_scissors",
    "rotation",
    "stackelberg_polynomial",
    "tandem",
]

_REGISTRY: Registry[GameFamily] = Registry("gamedyn.games", GameFamily, "game")


def names() -> tuple[str, ...]:
    """Canonical names of the families, sorted."""
    return _REGISTRY.names()


def members() -> dict[str, GameFamily]:
    """All families by canonical name."""
    return dict(_REGISTRY.members())


def get(name: str) -> GameFamily:
    """The family of a name or alias.

    Raises:
        UnknownNameError: if nothing is called so, with the nearest names.

    Example:
        >>> get("dirac").name
        'dirac_gan'
    """
    return _REGISTRY.get(name)


border(globals())
