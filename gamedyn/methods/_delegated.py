"""A method that another library steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Delegated"]


@dataclass(frozen=True)
class Delegated:
    """`library:method`: stepped by that library, so no coefficients and no theory here.

    Example:
        >>> Delegated("torchdiffeq", "rk4").name
        'torchdiffeq:rk4'
    """

    library: str
    method: str
    options: Mapping[str, object] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name with its prefix."""
        return f"{self.library}:{self.method}"
