"""Mirror descent on the simplex as a flow: in the logits, steps of Euler's method are multiplicative weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Game, State
from gamedyn.core.evaluation import Velocity
from gamedyn.flows._types import Flow, LeafwiseFlow, of_flow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamedyn.core import Point
    from gamedyn.core.evaluation import Request

__all__ = ["MirrorFlow", "mirror_descent"]


class MirrorFlow(LeafwiseFlow):
    """A flow on the logits of players that are shares; see `mirror_descent`.

    Attributes:
        game: whose players of shares are their logits.
        of: places of the players that are shares.
    """

    source = "Nemirovski, Yudin 1983; Krichene, Bayen, Bartlett 2015, NeurIPS, section 2"

    def __init__(self, flow: Flow, of: Sequence[int]) -> None:
        inner = of_flow(flow).game
        if flow.projects:
            remedy = "project what is made of it: flows.projected(flows.mirror_descent(flow), ...) sees logits"
            raise ArgumentError("flow", "one that is not put back into a set", repr(flow), remedy)
        self.of = frozenset(of)
        super().__init__(flow, _dual(inner, self.of))

    def __repr__(self) -> str:
        return f"MirrorFlow({self.inner!r})"

    @property
    def law(self) -> str:
        """The inner velocity at the shares, as that of their logits."""
        return f"theta' = v(x) less its mean, x = softmax(theta), of the flow {self.inner.law}"

    @property
    def tangent(self) -> Tensor:
        """Logits whose sum over each simplex stays, (n, m)."""
        blocks = [_tangent(leaf.shape, leaf.player in self.of, self.game) for leaf in self.game.layout.leaves]
        basis: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
        return basis

    def velocity(self, point: Point, request: Request) -> Velocity:
        """The inner velocity of the players and parts asked for, at the shares; of shares less its mean."""
        leaves = [self._share(x, i, request) for i, x in zip(self._players, point.leaves, strict=True)]
        inner = self.inner.velocity(point._replace(leaves=leaves), request)
        at = self.game.layout.leaf_slices
        wanted = range(len(at)) if request.players is None else request.players
        of_leaf = [i for i in wanted for _ in range(at[i].stop - at[i].start)]
        out = [v - v.mean(-1, keepdim=True) if i in self.of else v for i, v in zip(of_leaf, inner.leaves, strict=True)]
        return Velocity(out, inner.losses)

    def penalties(self, point: Point) -> list[Tensor]:
        """Those of the inner flow, at the shares."""
        leaves = [x.softmax(-1) if i in self.of else x for i, x in zip(self._players, point.leaves, strict=True)]
        return self.inner.penalties(point._replace(leaves=leaves))

    def point_of(self, y: Tensor) -> Tensor:
        """The shares of logits, (..., n)."""
        return self._mapped(y, lambda x: x.softmax(-1))

    def coordinates_of(self, y: Tensor) -> Tensor:
        """The logits of shares, with mean 0, (..., n)."""
        return self._mapped(y, _logits)

    def inner_state(self, state: Any) -> State:
        """A state (or a run's, or a flat vector of logits) as one of the inner game: the shares."""
        own = self.game.own(getattr(state, "state", state))
        return State(self.inner.game.layout, self.point_of(own.y), own.buffers)

    @property
    def _players(self) -> list[int]:
        return [leaf.player for leaf in self.game.layout.leaves]

    def _share(self, x: Tensor, i: int, request: Request) -> Tensor:
        if i not in self.of:
            return x
        return x.softmax(-1) if request.create_graph else x.detach().softmax(-1).requires_grad_()

    def _mapped(self, y: Tensor, fn: Any) -> Tensor:
        layout = self.game.layout
        views = zip(self._players, layout.views(y), strict=True)
        return layout.flat([fn(x) if i in self.of else x for i, x in views], y.dim() - 1)


def mirror_descent(flow: Flow, of: str | Sequence[str] | None = None) -> MirrorFlow:
    """Mirror descent with the entropy on the simplex, as a flow: `theta' = v(x)`, `x = softmax(theta)`.

    The players named are shares: positive, with sum 1 over the last dimension. Their state is the logits theta
    (`flow.inner_state(run)` gives the shares). Euler's method on it is multiplicative weights,
    `x_i+ ~ x_i exp(-h rate g_i)`, and alternating play alternating mirror descent, a symplectic Euler method; any other
    method steps it as well, and no share becomes negative. On the simplex x follows the replicator equation
    `x_i' = x_i (v_i - x . v)`. The mean of v is subtracted, which changes no share: theta keeps its sum.

    Args:
        flow: the flow, whose velocity at the shares moves the logits.
        of: players that are shares; None: all.

    Raises:
        ArgumentError: for a player that is a module, or is not positive with sum 1.
        UnknownNameError: for a player that the game lacks.

    Source: Nemirovski, Yudin 1983, *Problem complexity and method efficiency in optimization*;
        Krichene, Bayen, Bartlett 2015, NeurIPS, section 2 (as a flow).

    Example:
        >>> import torch
        >>> from gamedyn import Game, flows, solve
        >>> p = torch.tensor([0.5, 0.3, 0.2])
        >>> game = Game({"p": p}, lambda p: {"p": p @ torch.tensor([3.0, 1.0, 2.0])})
        >>> flow = flows.mirror_descent(flows.gradient(game))
        >>> run = solve(flow, "euler", h=1.0, steps=3)
        >>> flow.inner_state(run)["p"]  # p exp(-3 loss), normed
        tensor([0.0040, 0.9640, 0.0320])
    """
    layout = of_flow(flow).game.layout
    names = layout.players if of is None else (of,) if isinstance(of, str) else tuple(of)
    return MirrorFlow(flow, [layout.place(name) for name in names])


def _dual(game: Game, of: frozenset[int]) -> Game:
    """The game of the logits: other players, and what the losses are, stay."""
    players = dict(game.players)
    for i in of:
        name = game.layout.players[i]
        x = players[name]
        if not isinstance(x, Tensor) or not x.dim() or not _shares(x):
            got = f"{x.detach().reshape(-1)[:4].tolist()}" if isinstance(x, Tensor) else "a module"
            remedy = "shares that are 0 stay 0: leave them out"
            raise ArgumentError("of", f"a player {name!r} of positive shares, with sum 1", got, remedy)
        players[name] = _logits(x.detach())

    def losses(*args: Any) -> Any:
        return game.losses(*[x.softmax(-1) if i in of else x for i, x in enumerate(args)])

    return Game(players, losses, name=f"{game.name or 'game'} in logits")


def _shares(x: Tensor) -> bool:
    return bool((x > 0).all()) and float((x.sum(-1) - 1).abs().max()) <= 1e-5


def _logits(x: Tensor) -> Tensor:
    theta = x.log()
    return theta - theta.mean(-1, keepdim=True)


def _tangent(shape: Sequence[int], shares: bool, game: Game) -> Tensor:
    """Orthonormal basis of the directions of a leaf: of shares those whose sums are 0."""
    count = torch.Size(shape).numel()
    eye = torch.eye(count, dtype=game.dtype, device=game.device)
    if not shares:
        return eye
    k = shape[-1]
    ones = torch.full((k, 1), k**-0.5, dtype=game.dtype, device=game.device)
    rest = torch.linalg.qr(torch.cat([ones, torch.eye(k, dtype=game.dtype, device=game.device)], 1)).Q[:, 1:k]
    found: Tensor = torch.block_diag(*[rest] * (count // k))  # type: ignore[no-untyped-call]
    return found
