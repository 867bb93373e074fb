"""What a member of the games package is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.border import bordered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gamedyn.core import Game

__all__ = ["GameFamily", "start"]


@dataclass(frozen=True)
class GameFamily:
    """A named family of games: call it for a member.

    Attributes:
        name: canonical name.
        make: builds a game from its arguments.
        examples: functions without arguments that give (game, batch or None), on which the contract suite runs.
        source: where the game comes from.
        aliases: other names.
    """

    name: str
    make: Callable[..., Game]
    examples: tuple[Callable[[], tuple[Game, Any]], ...]
    source: str
    aliases: tuple[str, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Game:
        """A game of this family; arguments as in its documentation."""
        return self.make(*args, **kwargs)

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.make.__doc__)
        object.__setattr__(self, "make", bordered(self.make, through=1))


def start(
    values: Sequence[float] | Tensor | None, n: int, dtype: torch.dtype, device: torch.device | str | None
) -> Tensor:
    """A player's first point: `values`, or ones."""
    if values is None:
        return torch.ones(n, dtype=dtype, device=device)
    return torch.as_tensor(values, dtype=dtype, device=device).reshape(n).clone()
