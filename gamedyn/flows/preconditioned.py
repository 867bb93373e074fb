"""A flow behind a fixed diagonal preconditioner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.evaluation import Velocity
from gamedyn.flows._types import Flow, LeafwiseFlow

if TYPE_CHECKING:
    from gamedyn.core import Game, Point
    from gamedyn.core.evaluation import Request

__all__ = ["PreconditionedFlow", "preconditioned"]


class PreconditionedFlow(LeafwiseFlow):
    """`P^-1 v` with a fixed diagonal P; see `preconditioned`.

    Attributes:
        inner: the flow.
        P: the diagonal, (n,).
    """

    source = "Cohen et al. 2022"

    def __init__(self, flow: Flow, P: Mapping[str, Tensor] | Tensor) -> None:
        super().__init__(flow)
        self.P = _diagonal(self.game, P)
        self._inverse = self.game.layout.views(1 / self.P)

    def __repr__(self) -> str:
        return f"PreconditionedFlow({self.inner!r}, P from {float(self.P.min()):.3g} to {float(self.P.max()):.3g})"

    def velocity(self, point: Point, request: Request) -> Velocity:
        """The inner velocity of the players and parts asked for, divided by P."""
        inner, at = self.inner.velocity(point, request), self.game.layout.leaf_slices
        wanted = range(len(at)) if request.players is None else request.players
        shares = [x for i in wanted for x in self._inverse[at[i]]]
        return Velocity([x * s for x, s in zip(inner.leaves, shares, strict=True)], inner.losses)


def preconditioned(flow: Flow, P: Mapping[str, Tensor] | Tensor) -> PreconditionedFlow:
    """The flow `P^-1 v` with a fixed positive diagonal P, whose Jacobian is `P^-1 J`.

    Adam and RMSProp divide by a running second moment. Frozen at its value at some point it is such a P, and the
    spectrum of `P^-1 J` is what theory has to say about them there: the second moment itself cannot be linearised at a
    stationary point, where it is 0. Stationary points stay.

    Args:
        flow: the flow.
        P: positive and finite: one tensor for every player by name (flat, or of a tensor player's shape), or the
            whole diagonal, (n,), in the order of the players.

    Raises:
        ArgumentError: if `flow` is not a flow, or P misses a player, is of another size, or not positive and finite.

    Source: Cohen et al. 2022, *Adaptive gradient methods at the edge of stability*: there P^-1 times a Hessian.

    Example:
        >>> import torch
        >>> from gamedyn import flows, games
        >>> P = {"x": torch.tensor([2.0]), "y": torch.tensor([0.5])}
        >>> flow = preconditioned(flows.gradient(games.bilinear()), P)
        >>> flow.field()(0.0, torch.tensor([1.0, 2.0], dtype=torch.float64))
        tensor([-1.,  2.], dtype=torch.float64)
    """
    return PreconditionedFlow(flow, P)


def _diagonal(game: Game, P: Mapping[str, Tensor] | Tensor) -> Tensor:
    """P as a flat vector of the game's kind, checked."""
    layout = game.layout
    if isinstance(P, Mapping):
        if set(P) != set(layout.players):
            raise ArgumentError("P", f"one tensor for each of {list(layout.players)}", f"{sorted(map(str, P))}")
        flat = torch.cat([_of_player(game, i, P[name]) for i, name in enumerate(layout.players)])
    else:
        flat = _tensor("P", P, game)
        if flat.shape != (layout.n,):
            raise ArgumentError("P", f"({layout.n},), or one tensor per player by name", f"shape {tuple(flat.shape)}")
    if not bool((flat.isfinite() & (flat > 0)).all()):
        bad = flat[~(flat.isfinite() & (flat > 0))]
        raise ArgumentError("P", "positive, finite entries", f"{len(bad)} others, the first {float(bad[0]):g}")
    return flat


def _of_player(game: Game, i: int, value: Any) -> Tensor:
    layout, name = game.layout, game.layout.players[i]
    given = _tensor(f"P[{name!r}]", value, game)
    size = layout.slices[i].stop - layout.slices[i].start
    first = layout.leaves[layout.leaf_slices[i]][0]
    shapes = {(size,), tuple(first.shape)} if first.name == "" else {(size,)}
    if tuple(given.shape) not in shapes:
        raise ArgumentError(f"P[{name!r}]", " or ".join(map(str, sorted(shapes))), f"shape {tuple(given.shape)}")
    return given.reshape(-1)


def _tensor(argument: str, value: Any, game: Game) -> Tensor:
    try:
        return torch.as_tensor(value, dtype=game.dtype, device=game.device).detach().clone()
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError(argument, "a tensor of positive numbers", type(value).__name__) from None
