"""What an evaluation of a flow takes and gives: a point, a request, a velocity; and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Members", "Point", "Request", "Velocity", "Work"]


class Point(NamedTuple):
    """Where a flow is evaluated.

    Attributes:
        t: time.
        leaves: the players' tensors, in the layout's order; of an ensemble with a leading dimension of members.
        buffers: what the modules' buffers are for this evaluation, which may write them; () leaves the modules' own.
        batch: what the losses take, or None.
        ended: called with the modules' buffers as soon as the losses have been evaluated, before any backward pass.
    """

    t: float | Tensor
    leaves: Sequence[Tensor]
    buffers: Sequence[Tensor]
    batch: Any
    ended: Callable[[Sequence[Tensor]], None] | None = None


class Velocity(NamedTuple):
    """The velocity, leaf by leaf, of the players asked for; and the losses of all."""

    leaves: list[Tensor]
    losses: tuple[Tensor, ...]


@dataclass(frozen=True)
class Members:
    """An ensemble that is evaluated at once, by `torch.func.vmap`.

    Attributes:
        count: number of members M.
        batch_dim: 0 if every member has its own batch, None if they share one.
        looped: why the members are evaluated one after the other; "" where they are not.
    """

    count: int
    batch_dim: int | None = None
    looped: str = ""


class Request(NamedTuple):
    """What is asked of a flow's velocity.

    Attributes:
        players: places of the players whose part is wanted; None: all.
        factors: by part, what it is multiplied with (a part not named: 0); None: 1 for every part.
        create_graph: whether the velocity is to be differentiated.
        members: the ensemble, or None for a single game.
        rates: by player, or player and module, a rate in the place of the flow's own: 0-dim, or (M,) of an ensemble.
        weights: the same by term.
        step: number of the step, for terms that act at intervals; None: their mean over steps.
    """

    players: tuple[int, ...] | None = None
    factors: Mapping[str, float] | None = None
    create_graph: bool = False
    members: Members | None = None
    rates: Mapping[str, Tensor] = {}
    weights: Mapping[str, Tensor] = {}
    step: int | None = None


@dataclass
class Work:
    """What has been done.

    Attributes:
        players: number of players.
        player_gradients: gradients of one player's loss in its own parameters.
        products: Jacobian-vector products, either way.
        double_backward: evaluations that differentiated a gradient (penalties).
        linearisations: evaluations whose graph was kept for products.
        second_graphs: of these, how many were differentiated once more, for products with J.
    """

    players: int
    player_gradients: int = 0
    products: int = 0
    double_backward: int = 0
    linearisations: int = 0
    second_graphs: int = 0

    def add(self, other: Work) -> None:
        """Count another piece of work in."""
        for f in fields(self)[1:]:
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    @property
    def evaluations(self) -> float:
        """Field evaluations: player gradients over players."""
        return self.player_gradients / self.players
