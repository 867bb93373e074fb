"""The vector field as an integrator sees it: `field(t, y)`, one player's part, and what it cost."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.frozen import RandomState, SideEffects
from gamedyn.core.game import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gamedyn.core.game import Game
    from gamedyn.core.products import Products
    from gamedyn.core.state import Layout, State
    from gamedyn.core.traced_field import TracedField

__all__ = ["Field", "FlowLike", "Members", "Request", "Velocity", "Work"]

SAMPLING = ("frozen", "fresh")


class Velocity(NamedTuple):
    """The velocity, leaf by leaf, of the players asked for; and the losses of all."""

    leaves: list[Tensor]
    losses: tuple[Tensor, ...]


class FlowLike(Protocol):
    """What a field needs of a flow."""

    game: Game

    @property
    def double_backward(self) -> bool:
        """Whether an evaluation differentiates a gradient."""

    @property
    def separates_players(self) -> bool:
        """Whether one player's part costs that player's gradient alone."""

    @property
    def autonomous(self) -> bool:
        """Whether the field does not depend on time."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts whose sum it is: "game", and its penalty terms."""

    def check(self, batch: Any = None) -> None:
        """Check what the flow takes from its game."""

    def velocity(
        self,
        t: float | Tensor,
        leaves: Sequence[Tensor],
        buffers: Sequence[Tensor],
        batch: Any,
        request: Request,
    ) -> Velocity:
        """The field at `leaves`."""


@dataclass(frozen=True)
class Members:
    """An ensemble: how many members, which dimension of a batch counts them, and what differs between them.

    Attributes:
        count: number of members M.
        batch_dim: 0 if every member has its own batch, None if they share one.
        rates: per player, a tensor (M,), where members differ.
        weights: per term, a tensor (M,), where members differ.
    """

    count: int
    batch_dim: int | None = None
    rates: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)


class Request(NamedTuple):
    """What is asked of a flow's velocity.

    Attributes:
        players: places of the players whose part is wanted; None: all.
        factors: by part, what it is multiplied with (a part not named: 0); None: 1 for every part.
        create_graph: whether the velocity is to be differentiated.
        members: the ensemble, or None for a single game.
    """

    players: tuple[int, ...] | None = None
    factors: Mapping[str, float] | None = None
    create_graph: bool = False
    members: Members | None = None


@dataclass
class Work:
    """What has been done.

    Attributes:
        player_gradients: gradients of one player's loss in its own parameters.
        products: Jacobian-vector products, either way.
        double_backward: evaluations that differentiated a gradient (penalties).
        linearisations: evaluations whose graph was kept for products.
        second_graphs: of these, how many were differentiated once more, for products with J.
        players: number of players.
    """

    players: int
    player_gradients: int = 0
    products: int = 0
    double_backward: int = 0
    linearisations: int = 0
    second_graphs: int = 0

    def add(self, other: Work) -> None:
        """Count another piece of work in."""
        self.player_gradients += other.player_gradients
        self.products += other.products
        self.double_backward += other.double_backward
        self.linearisations += other.linearisations
        self.second_graphs += other.second_graphs

    @property
    def evaluations(self) -> float:
        """Field evaluations: player gradients over players."""
        return self.player_gradients / self.players


class Field:
    """The field of a flow on one batch after another.

    Args:
        flow: what is solved.
        buffers: modules' buffers; the field owns them and advances them once per step.
        sampling: "frozen" holds one batch over a step; "fresh" draws one for every evaluation, which voids
            the order of the method.
        members: the ensemble, or None for a single game.
        one_batch: whether every step has the same batch (or none): its `batch_id` then changes only where
            buffers advance or losses draw.

    A call writes nothing but `out`. `point` is a buffer that stage points may be written to: evaluating there
    saves a copy.
    """

    def __init__(
        self,
        flow: FlowLike,
        buffers: Sequence[Tensor] = (),
        *,
        sampling: str = "frozen",
        members: Members | None = None,
        one_batch: bool = False,
    ) -> None:
        self.one_batch = one_batch
        self.flow, self.buffers, self.members = flow, tuple(buffers), members
        self.sampling = choice("sampling", sampling, SAMPLING)
        layout = flow.game.layout
        self.layout: Layout = layout
        self.players = tuple(layout.slices)
        self.names = layout.players
        lead = () if members is None else (members.count,)
        self.shape = torch.Size((*lead, layout.n))
        self.point: Tensor | None = torch.zeros(self.shape, dtype=flow.game.dtype, device=flow.game.device)
        self.leaves = [v.requires_grad_() for v in layout.views(self.point.detach())]
        self.work = Work(len(layout.players))
        self.batch_id, self.batch = -1, None
        self.losses: tuple[Tensor, ...] = ()
        """Losses at the first evaluation of the step, in the players' order."""
        self.draw: Callable[[], Any] | None = None
        self.effects = SideEffects(flow.game.modules)
        self.draws_randomness = False
        self.finite_at_start = True
        self._random: RandomState | None = None
        self._advance = False
        self._examined: FlowLike | None = None
        self._views: dict[tuple[int, int], list[Tensor]] = {}
        self._double = flow.double_backward
        self._share = 1 if flow.separates_players else len(layout.players)
        self._requests: dict[int | None, Request] = {
            i: Request(None if i is None else (i,), members=members) for i in (None, *range(len(layout.players)))
        }

    def begin_step(self, batch: Any) -> None:
        """Start a step on a batch: the next evaluation advances the buffers, all replay its randomness."""
        self.batch_id += self.batch_id < 0 or not self.keeps_batch
        self.batch, self.losses = batch, ()
        self._advance = bool(self.effects) and self.members is None
        self._random = RandomState(self.flow.game.device) if self.draws_randomness else None

    @property
    def keeps_batch(self) -> bool:
        """Whether the next step's field is this step's: one batch, no buffers that advance, no randomness."""
        return self.one_batch and not self.effects and not self.draws_randomness

    def __call__(self, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """v(t, y), shape of y, written to `out` if given."""
        if out is None:
            out = torch.empty(self.shape, dtype=self.flow.game.dtype, device=self.flow.game.device)
        self._evaluate(t, y, self._requests[None], None, out)
        self.work.player_gradients += self.work.players
        return out

    def player(self, i: int, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """v_i(t, y), the entries of player i alone; at that player's cost, where the flow separates players."""
        if out is None:
            out = torch.empty_like(self.point[..., self.players[i]])  # type: ignore[index]
        self._evaluate(t, y, self._requests[i], i, out)
        self.work.player_gradients += self._share
        return out

    def weighted(self, factors: Mapping[str, float], t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """`sum_parts factor v_part(t, y)`, shape of y: parts that are not named are left out and cost nothing."""
        if out is None:
            out = torch.empty(self.shape, dtype=self.flow.game.dtype, device=self.flow.game.device)
        self._evaluate(t, y, Request(factors=factors, members=self.members), None, out)
        self.work.player_gradients += self.work.players
        return out

    def linearise(self, t: float | Tensor, y: Tensor) -> Products:
        """The field at a point with its derivative: `.value`, `.jvp(u)`, `.vjp(u)`, `.cross(u)`; shape (n,).

        Raises:
            ArgumentError: if the field cannot be differentiated: its graph is cut, or an operation has no
                second derivative.
        """
        from gamedyn.core.products import Products

        self.advance(y)  # the graph has buffers of its own
        first = self._examined is None
        products = Products(self._examined or self.flow, t, y, self.batch, self, examine=first)
        self._examined = products.taken
        if first and products.taken is not self.flow:
            products = Products(products.taken, t, y, self.batch, self)
        if not self.losses:
            self.losses = products.losses
        return products

    def examined(self, t: float | Tensor, y: Tensor, batch: Any) -> FlowLike:
        """The flow as its derivative is taken; looked at once, at the first point asked about.

        Raises:
            ArgumentError: for losses that cannot be differentiated twice.
        """
        from gamedyn.core.products import examined

        if self._examined is None:
            self._examined = examined(self.flow, t, y, batch, self)
        return self._examined

    def stages(self, count: int, player: int | None = None) -> Tensor:
        """Room for `count` field values (or one player's), shape (count, ..., n)."""
        room = self.room(count, player)
        for row in room:  # views of rows that are written again and again are made once
            self._views[row.data_ptr(), -1 if player is None else player] = self.layout.views(row, player)
        return room

    def release(self, rows: Sequence[Tensor]) -> None:
        """Forget rows of `stages` that will not be written again: nothing here keeps them then."""
        for row in rows:
            self._views.pop((row.data_ptr(), -1), None)

    def room(self, count: int, player: int | None = None) -> Tensor:
        """As `stages`, for rows that are not kept."""
        at = slice(0, self.layout.n) if player is None else self.players[player]
        shape = (count, *self.shape[:-1], at.stop - at.start)
        return torch.empty(shape, dtype=self.flow.game.dtype, device=self.flow.game.device)

    def _evaluate(self, t: float | Tensor, y: Tensor, request: Request, player: int | None, out: Tensor) -> None:
        if y is not self.point:
            self.point.copy_(y.detach())  # type: ignore[union-attr]
        if self.draw is not None:
            self.batch = self.draw()
        with torch.enable_grad():
            if self.effects or self._random is not None:
                with self.held(self.leaves):
                    value = self.flow.velocity(t, self.leaves, self.buffers, self.batch, request)
            else:
                value = self.flow.velocity(t, self.leaves, self.buffers, self.batch, request)
        self.work.double_backward += self._double
        if not self.losses:
            self.losses = tuple([x.detach() for x in value.losses])
        torch._foreach_copy_(self._row_views(out, player), value.leaves)

    def _row_views(self, out: Tensor, player: int | None) -> list[Tensor]:
        found = self._views.get((out.data_ptr(), -1 if player is None else player))
        return self.layout.views(out, player) if found is None else found

    @contextlib.contextmanager
    def held(self, leaves: Sequence[Tensor]) -> Iterator[None]:
        """Side effects held and randomness replayed; at the first evaluation of a step, advanced first."""
        first, self._advance = self._advance, False
        if self._random is not None:
            self._random.restore()
        if first and self.effects.spectral:
            with self.flow.game.bound(leaves, self.buffers):
                self.effects.iterate_spectral()
        with self.effects.held(statistics=not first):
            yield

    def hold(self) -> None:
        """Let nothing advance until the next step begins: for looking without touching."""
        self._advance = False

    @torch.no_grad()
    def advance(self, y: Tensor) -> None:
        """Advance buffers once at y by a forward pass of their own (steps that trace their evaluations)."""
        if self._advance:
            leaves = self.layout.views(y)
            with self.held(leaves):
                self.flow.game.evaluate(leaves, self.buffers, self.batch)

    def peek(self, t: float, y: Tensor) -> Tensor:
        """v(t, y), not counted as work."""
        work, self.work = self.work, Work(self.work.players)
        try:
            return self(t, y)
        finally:
            self.work = work

    def probe(self, y: Tensor, batch: Any) -> None:
        """Evaluate twice at one point: find out whether losses draw, refuse those that still differ.

        Raises:
            ArgumentError: if two evaluations at one point and batch differ even with the default
                generators replayed.
        """
        self.batch, self._random = batch, None
        start = RandomState(self.flow.game.device)
        draw, self.draw = self.draw, None
        try:
            self.losses = ()
            first = self.peek(0.0, y)
            losses: tuple[Tensor, ...] = self.losses
            self.draws_randomness = not start.same()
            self.finite_at_start = bool(first.isfinite().all())
            start.restore()
            self.losses = ()
            second = self.peek(0.0, y)
            again: tuple[Tensor, ...] = self.losses
            start.restore()
            self.losses = ()
        finally:
            self.draw = draw
        if not torch.allclose(
            first, second, rtol=1e-3, atol=1e-6 * float(first.abs().nan_to_num().max()), equal_nan=True
        ):
            gap = float((first - second).norm() / first.norm().clamp_min(1e-30))
            differing = [n for n, a, b in zip(self.names, losses, again, strict=False) if not torch.equal(a, b)]
            whose = ", ".join(differing) or "no loss, but gradients"
            raise ArgumentError(
                "losses",
                "a deterministic function of players and batch",
                f"two evaluations at one point that differ by {gap:.2g} of the field's norm (differing: {whose})",
                f"draw noise outside the losses and pass it in the batch (here {describe(batch)})",
            )

    def functional(self, batch: Any, buffers: Sequence[Tensor]) -> TracedField:
        """This field as a pure function, for tracing."""
        from gamedyn.core.traced_field import TracedField

        return TracedField(self, batch, buffers)

    def state(self, y: Tensor) -> State:
        """A state at `y` with a copy of the buffers."""
        from gamedyn.core.state import State

        return State(self.layout, y, tuple(b.clone() for b in self.buffers))
