"""Games with known answers, and the GAN game."""

from __future__ import annotations

from gamedyn._lib.discover import Registry
from gamedyn.games._types import GameFamily
from gamedyn.games.adversarial import GAN as gan
from gamedyn.games.adversarial import mlp
from gamedyn.games.affine_quadratic import AFFINE_QUADRATIC_GAN as affine_quadratic_gan
from gamedyn.games.dirac import DIRAC_GAN as dirac_gan
from gamedyn.games.quadratic import BILINEAR as bilinear
from gamedyn.games.quadratic import QUADRATIC as quadratic
from gamedyn.games.quadratic import ROTATION as rotation

__all__ = [
    "GameFamily",
    "affine_quadratic_gan",
    "bilinear",
    "dirac_gan",
    "gan",
    "get",
    "members",
    "mlp",
    "names",
    "quadratic",
    "rotation",
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
