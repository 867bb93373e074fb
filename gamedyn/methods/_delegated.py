"""A method that another library steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from gamedyn.methods._method import Method

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Delegated"]


@dataclass(frozen=True)
class Delegated(Method):
    """`library:method`: stepped by that library, so no coefficients and no theory here.

    Example:
        >>> Delegated("torchdiffeq", "rk4").name
        'torchdiffeq:rk4'
    """

    has_theory: ClassVar[bool] = False

    library: str
    method: str
    options: Mapping[str, object] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name with its prefix."""
        return f"{self.library}:{self.method}"

    @property
    def kind(self) -> str:
        """The family in words."""
        return "another library's"

    @property
    def resamples(self) -> bool:
        """Whether every evaluation of a step may see a batch of its own: SciPy's solvers step one field."""
        return self.library != "scipy"

    @property
    def host_decides(self) -> str:
        """What the host decides within a step: unknown here."""
        return "another library steps"

    @property
    def ensembles(self) -> bool:
        """Whether many members are stepped at once: by torch.optim, in groups of their own."""
        return self.library == "torch.optim"
