"""Flows that a user writes: a map of another flow's field, or a field of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Game
from gamedyn.core.evaluation import Velocity
from gamedyn.flows._types import Flow, FlowOfFlow, of_flow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gamedyn.core import Point
    from gamedyn.core.evaluation import Request

__all__ = ["CustomFlow", "MappedFlow", "custom", "mapped"]


class MappedFlow(FlowOfFlow):
    """A flow whose velocity is a function of another's; see `mapped`."""

    def __init__(self, flow: Flow, fn: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]) -> None:
        super().__init__(flow)
        self.fn = fn

    @property
    def descends_losses(self) -> bool:
        """Not known: a function may turn a velocity into any other."""
        return False

    def velocity(self, point: Point, request: Request) -> Velocity:
        """The function of the inner velocity, for all players; then those asked for."""
        layout, members = self.game.layout, request.members
        lead = 0 if members is None else 1
        inner = self.inner.velocity(point, request._replace(players=None, factors=None))
        flat = layout.flat(inner.leaves, lead)

        def mapped_flat(y: Tensor) -> Tensor:
            return layout.joined(self.fn(layout.parts(y)))

        flat = mapped_flat(flat) if members is None else torch.func.vmap(mapped_flat)(flat)
        return Velocity(_selected(layout.views(_scaled(flat, request)), self.game, request.players), inner.losses)


class CustomFlow(Flow):
    """A flow given by a function; see `custom`."""

    def __init__(self, fn: Callable[..., Mapping[str, Tensor]], like: Game) -> None:
        super().__init__(like)
        self.fn = fn

    @property
    def law(self) -> str:
        """A function of the user's."""
        return f"v = {getattr(self.fn, '__name__', 'fn')}(t, state, batch)"

    @property
    def autonomous(self) -> bool:
        """Not known: its function takes the time."""
        return False

    def check(self, batch: Any = None) -> None:
        """Nothing: the game's losses are not used."""

    def velocity(self, point: Point, request: Request) -> Velocity:
        """The function's value, for all players; then those asked for."""
        layout, members = self.game.layout, request.members

        def once(y: Tensor, inner: Any, when: float | Tensor = point.t) -> Tensor:
            return layout.joined(self.fn(when, layout.parts(y), inner))

        flat = layout.flat(point.leaves, 0 if members is None else 1)
        if members is None:
            v = once(flat, point.batch)
        else:  # members with steps of their own have times of their own, (M, 1)
            times = torch.as_tensor(point.t, dtype=flat.dtype, device=flat.device).expand(members.count, 1)[:, 0]
            v = torch.func.vmap(once, in_dims=(0, members.batch_dim, 0))(flat, point.batch, times)
        v = v if request.create_graph else v.detach()
        return Velocity(_selected(layout.views(_scaled(v, request)), self.game, request.players), ())


def mapped(flow: Flow, fn: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]) -> MappedFlow:
    """The flow with velocity `fn(v)`, v by player name.

    Args:
        flow: the flow whose velocity is mapped.
        fn: takes and returns one tensor per player: a tensor player's own shape, 1-D for a module. It must
            be differentiable for spectra, and survive vmap for ensembles.

    Raises:
        ArgumentError: if `fn` cannot be called, or (when stepping) returns other players or sizes.

    Example:
        >>> from gamedyn import flows, games
        >>> slow = flows.mapped(flows.gradient(games.bilinear()), lambda v: {k: 0.5 * x for k, x in v.items()})
        >>> slow.field()(0.0, torch.tensor([1.0, 2.0], dtype=torch.float64))
        tensor([-1.0000,  0.5000], dtype=torch.float64)
    """
    if not callable(fn):
        raise ArgumentError("fn", "a function of the velocity by player", fn)
    return MappedFlow(of_flow(flow), fn)


def custom(fn: Callable[..., Mapping[str, Tensor]], like: Game) -> CustomFlow:
    """The flow with velocity `fn(t, state, batch)`, state and result by player name.

    Args:
        fn: takes the time, one tensor per player (a tensor player's own shape, 1-D for a module) and the
            batch (None without one); returns one tensor per player.
        like: the game whose players it moves; its losses are not used, so a run records none.

    Raises:
        ArgumentError: if `fn` cannot be called, or (when stepping) returns other players or sizes.

    Example:
        >>> from gamedyn import flows, games
        >>> flow = flows.custom(lambda t, s, batch: {"x": -s["x"], "y": -2 * s["y"]}, like=games.bilinear())
        >>> flow.field()(0.0, torch.tensor([1.0, 1.0], dtype=torch.float64))
        tensor([-1., -2.], dtype=torch.float64)
    """
    if not callable(fn):
        raise ArgumentError("fn", "a function of (t, state, batch)", fn)
    if not isinstance(like, Game):
        raise ArgumentError("like", "a Game", type(like).__name__, "a flow's is flow.game")
    return CustomFlow(fn, like)


def _scaled(v: Tensor, request: Request) -> Tensor:
    """The only part of such a flow is "game"."""
    return v if request.factors is None else v * request.factors.get("game", 0.0)


def _selected(leaves: list[Tensor], game: Game, players: Sequence[int] | None) -> list[Tensor]:
    if players is None:
        return leaves
    return [x for i in players for x in leaves[game.layout.leaf_slices[i]]]
