"""The processes that share a game: of most games, one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["Alone"]


class Alone:
    """One process that has everything; `gamedyn.core.collectives.Ranks` are many.

    Attributes:
        alone: whether no other process takes part.
        weight: this process's share of a batch's samples.
    """

    alone = True
    weight = 1.0

    def agreed(self, y: Tensor, *, stop: bool) -> bool:
        """Whether to stop at y: what this process wants, and what others want where they take part."""
        return stop

    def agree_on(self, facts: Mapping[str, Any]) -> None:
        """Refuse what is not the same in all processes: of one, nothing."""

    def least(self, number: float) -> float:
        """The least over processes, for choices that must be one in all of them."""
        return number

    def share(self, n: int) -> slice:
        """Which of n entries of the state are this process's, where each keeps its own: all."""
        return slice(0, n)

    def gather_(self, y: Tensor) -> Tensor:
        """A state of which every process has its own share, made whole in all."""
        return y
