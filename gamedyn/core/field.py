"""The vector field of a flow: `field(t, y)` on one batch after another, whatever evaluating changes held."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.ambient import ambient, sheltered
from gamedyn.core.binding import in_modes
from gamedyn.core.checkpointing import checkpoints, evaluating
from gamedyn.core.effects import Effects, Observed
from gamedyn.core.evaluation import Point, Request, Velocity, Work
from gamedyn.core.game import describe
from gamedyn.core.protocols import of_flow
from gamedyn.core.randomness import RandomState
from gamedyn.core.state import State
from gamedyn.core.traced import TracedField

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gamedyn.core.evaluation import Members
    from gamedyn.core.protocols import FlowLike
    from gamedyn.core.state import Layout

__all__ = ["Field"]

SAMPLING = ("frozen", "fresh")


class Field:
    """The field of a flow on one batch after another.

    Args:
        flow: what is solved.
        buffers: modules' buffers; the field owns them and advances them once per step. Of a game whose modules have
            none, and for evaluations that leave the modules' own alone: ().
        sampling: "frozen" holds one batch over a step; "fresh" draws one for every evaluation, which voids
            the order of the method.
        members: the ensemble, or None for a single game.
        rates: of an ensemble, by player: (M,), where members differ.
        weights: the same by term.
        one_batch: whether every step has the same batch (or none): its `batch_id` then changes only where
            buffers advance or losses draw.

    A call writes nothing but `out`. `point` is a buffer that stage points may be written to: evaluating there
    saves a copy.
    """

    persistent = True

    def __init__(
        self,
        flow: FlowLike,
        buffers: Sequence[Tensor] = (),
        *,
        sampling: str = "frozen",
        members: Members | None = None,
        rates: Mapping[str, Tensor] | None = None,
        weights: Mapping[str, Tensor] | None = None,
        one_batch: bool = False,
    ) -> None:
        self.one_batch, self.flow, self.members = one_batch, flow, members
        of_flow(flow)
        self.buffers = tuple(b.detach().clone() for b in buffers)
        self.sampling = choice("sampling", sampling, SAMPLING)
        self.layout: Layout = flow.game.layout
        self.players, self.names = tuple(self.layout.slices), self.layout.players
        lead = () if members is None else (members.count,)
        self.shape = torch.Size((*lead, self.layout.n))
        self.point: Tensor = torch.zeros(self.shape, dtype=flow.game.dtype, device=flow.game.device)
        self.leaves = [v.requires_grad_() for v in self.layout.views(self.point.detach())]
        self.work = Work(len(self.names))
        self.batch_id, self.batch = -1, None
        self.losses: tuple[Tensor, ...] = ()
        """Losses at the first evaluation of the step, in the players' order."""
        self.draw: Callable[[], Any] | None = None
        self.effects, self._modes = Effects(flow.game.modules), [m.training for m in flow.game.modules]
        self.randomness: tuple[str, ...] = ()
        """Kinds of generators that the losses draw from."""
        self.finite_at_start = True
        self._base = self.buffers  # what every evaluation of a step begins from
        self._random: RandomState | None = None
        self._first = False
        self._owner: int | None = None
        self._seen: Observed | None = None
        self._views: dict[tuple[int, int], list[Tensor]] = {}
        self._double = flow.double_backward
        self._share = 1 if flow.separates_players else len(self.names)
        self._whole = Request(members=members, rates=rates or {}, weights=weights or {})
        self._requests: dict[int | None, Request] = {
            i: self._whole._replace(players=None if i is None else (i,)) for i in (None, *range(len(self.names)))
        }

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts whose weighted sums can be asked for."""
        return self.flow.parts

    @property
    def whole_parts(self) -> tuple[str, ...]:
        """The parts that the flow is made of."""
        return self.flow.whole_parts

    @property
    def autonomous(self) -> bool:
        """Whether the field does not depend on time."""
        return self.flow.autonomous

    @property
    def rates(self) -> dict[str, Any]:
        """By player, its rate: a number, or (M, 1) of an ensemble whose members differ."""
        own = {k: v.reshape(-1, 1) for k, v in self._whole.rates.items()}
        return {**self.flow.rates, **own}

    def begin_step(self, batch: Any) -> None:
        """Start a step on a batch: the next evaluation advances the buffers, all replay its randomness."""
        self.batch_id += self.batch_id < 0 or not self.keeps_batch
        self.batch, self.losses, self._first = batch, (), True
        self._base = self.buffers
        self._random = RandomState(self.flow.game.device, self.randomness) if self.randomness else None

    @property
    def draws_randomness(self) -> bool:
        """Whether the losses draw from default generators."""
        return bool(self.randomness)

    @property
    def keeps_batch(self) -> bool:
        """Whether the next step's field is this step's: one batch, nothing that advances, no randomness."""
        return self.one_batch and not self.effects and not self.randomness

    def __call__(self, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """v(t, y), shape of y, written to `out` if given."""
        if out is None:
            out = torch.empty_like(self.point)
        self._evaluate(t, y, self._requests[None], None, out)
        self.work.player_gradients += self.work.players
        return out

    def player(self, i: int, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """v_i(t, y), the entries of player i alone; at that player's cost, where the flow separates players."""
        if out is None:
            out = torch.empty_like(self.point[..., self.players[i]])
        self._evaluate(t, y, self._requests[i], i, out)
        self.work.player_gradients += self._share
        return out

    def weighted(self, factors: Mapping[str, float], t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """`sum_parts factor v_part(t, y)`, shape of y: parts that are not named are left out and cost nothing."""
        if out is None:
            out = torch.empty_like(self.point)
        self._evaluate(t, y, self._whole._replace(factors=factors), None, out)
        self.work.player_gradients += self.work.players
        return out

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
        return self.point.new_empty((count, *self.shape[:-1], at.stop - at.start))

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """The modules are the field's for so long, in the modes in which it was made; modes around are off.

        Evaluations and products open one of their own; around many of them it saves the opening. On every way out the
        modules hold what they held before. Other threads wait that evaluate a game with one of these modules.
        """
        me = threading.get_ident()
        if self._owner == me and not ambient():
            yield
            return
        game, before = self.flow.game, self._owner
        with sheltered(), game.binding.borrowed(), in_modes(game.modules, self._held_modes()), checkpoints():
            try:
                self._owner = me
                yield
            finally:
                self._owner = before

    def follow_modes(self) -> None:
        """Take the modes that the modules have now (`train()` and `eval()` between steps) for those to be held."""
        modes = [m.training for m in self.flow.game.modules]
        if modes != self._modes:
            self._modes, seen = modes, self.effects
            self.effects = Effects(self.flow.game.modules)
            self.effects.tensors, self.effects.slots = seen.tensors, seen.slots

    def _held_modes(self) -> list[bool]:
        """Spectral norms do not iterate by themselves."""
        if not self.effects.spectral:
            return self._modes
        held = {id(m) for m in self.effects.spectral}
        return [mode and id(m) not in held for m, mode in zip(self.flow.game.modules, self._modes, strict=True)]

    def _evaluate(self, t: float | Tensor, y: Tensor, request: Request, player: int | None, out: Tensor) -> None:
        if self._owner != threading.get_ident():
            with self.session():
                return self._evaluate(t, y, request, player, out)
        if y is not self.point:
            self.point.copy_(y.detach())
        if self.draw is not None:
            self.batch = self.draw()
        value = self.velocity(t, self.leaves, request)
        self.work.double_backward += self._double
        if not self.losses:
            self.losses = tuple([x.detach() for x in value.losses])
        torch._foreach_copy_(self._row_views(out, player), value.leaves)
        return None

    def _row_views(self, out: Tensor, player: int | None) -> list[Tensor]:
        found = self._views.get((out.data_ptr(), -1 if player is None else player))
        return self.layout.views(out, player) if found is None else found

    def velocity(
        self, t: float | Tensor, leaves: Sequence[Tensor], request: Request, batch: Any = ..., *, flow: Any = None
    ) -> Velocity:
        """The flow's velocity at leaves, in a session: from the step's buffers, with the step's random numbers.

        Args:
            t: time.
            leaves: tensors that require grad, or duals.
            request: what is wanted.
            batch: another than the step's.
            flow: another flow of the same game.
        """
        flow, batch = self.flow if flow is None else flow, self.batch if batch is ... else batch
        if request.members is not None and request.members.looped:
            return self._one_by_one(t, leaves, request, batch)
        first, self._first = self._first, False
        evaluating(plain=request.create_graph or self._double)
        if self._random is not None and not first:
            self._random.restore()
        if not self.buffers and not self.effects and self._seen is None:
            with torch.enable_grad():
                found: Velocity = flow.velocity(Point(t, leaves, (), batch), request)
            return found
        if first:
            self._advance_spectral(leaves)
        buffers = self.scratch(request.members)
        ended: Callable[[Sequence[Tensor]], None] | None = None
        if self.members is None:
            ended = self._keep if first else None if self._seen is None else self._seen.ended
        watching = self._seen or contextlib.nullcontext()
        with torch.enable_grad(), self.effects.outside_held(advance=first), watching:
            value: Velocity = flow.velocity(Point(t, leaves, buffers, batch, ended), request)
        return value

    def scratch(self, members: Members | None = None) -> tuple[Tensor, ...]:
        """The buffers as an evaluation may have them: copies, if it may write them; of an ensemble one for each."""
        own = self._base if members is None else [b.expand((members.count, *b.shape)) for b in self._base]
        return tuple([b.clone() for b in own] if self.effects.buffers else own)

    def _one_by_one(self, t: Any, leaves: Sequence[Tensor], request: Request, batch: Any) -> Velocity:
        """The members of an ensemble one after the other: for losses that `vmap` cannot take."""
        rows, losses = [], []
        for m in range(self.shape[0]):
            mine = [x[m].detach().requires_grad_() for x in leaves]
            single = request._replace(
                members=None,
                rates={k: v[m] if v.dim() else v for k, v in request.rates.items()},
                weights={k: v[m] if v.dim() else v for k, v in request.weights.items()},
            )
            when = t[m, 0] if isinstance(t, Tensor) and t.dim() else t
            own = batch
            if self.members is not None and self.members.batch_dim == 0:
                own = torch.utils._pytree.tree_map(lambda x, m=m: x[m] if isinstance(x, Tensor) else x, batch)
            value = self.velocity(when, mine, single, own)
            rows.append(value.leaves)
            losses.append(value.losses)
        return Velocity([torch.stack(x) for x in zip(*rows, strict=True)], _stacked(losses))

    def _advance_spectral(self, leaves: Sequence[Tensor]) -> None:
        """Before the first evaluation of a step: one power iteration at its point."""
        if self.effects.spectral and self.members is None:
            self._base = tuple([b.clone() for b in self._base])
            self.flow.game.binding.put(leaves, self._base)
            modes = {id(m): True for m in self.effects.spectral}
            modules = self.flow.game.modules
            with in_modes(modules, [modes.get(id(m), m.training) for m in modules]):
                self.effects.iterate_spectral()
            self._keep(self._base)

    def _keep(self, buffers: Sequence[Tensor]) -> None:
        """What the first evaluation of a step leaves is the next step's."""
        self.buffers = tuple([b.detach().clone() for b in buffers])

    @contextlib.contextmanager
    def doubled(self) -> Iterator[None]:
        """In a session: buffers and frozen parameters in float64, for leaves in float64."""
        binding, base = self.flow.game.binding, self._base
        frozen = binding.frozen()
        try:
            binding.put_frozen([x.double() if x.is_floating_point() else x for x in frozen])
            self._base = tuple([b.double() if b.is_floating_point() else b for b in base])
            yield
        finally:
            self._base = base
            binding.put_frozen(frozen)

    def hold(self) -> None:
        """Let nothing advance until the next step begins: for looking without touching."""
        self._first = False

    def advance(self, y: Tensor) -> None:
        """Advance what evaluating advances, by evaluating the losses (for steps that trace theirs, or keep graphs)."""
        if self._first and self.effects and self.members is None:
            with self.session(), torch.enable_grad():
                leaves = [v.clone().requires_grad_() for v in self.layout.views(y.detach())]
                self.velocity(0.0, leaves, Request(), flow=_Losses(self.flow))
        self._first = False

    def peek(self, t: float, y: Tensor) -> Tensor:
        """v(t, y), not counted as work."""
        work, self.work = self.work, Work(self.work.players)
        try:
            return self(t, y)
        finally:
            self.work = work

    def open(self, y: Tensor, batch: Any, t: float = 0.0) -> None:
        """The one opening: refuse what cannot be honoured, check the losses, see what evaluating changes.

        Raises:
            ArgumentError: for players that have changed or have hooks; losses that are not what they must be, write
                parameters, or are no function of players and batch even with the default generators replayed.
        """
        self.flow.game.refuse_changes()
        random = RandomState(self.flow.game.device)
        try:
            self.flow.check(self._one(batch))
        finally:
            random.restore()
        self.probe(y, batch, t)

    def _one(self, batch: Any) -> Any:
        """One member's batch."""
        if self.members is None or self.members.batch_dim is None:
            return batch
        return torch.utils._pytree.tree_map(lambda x: x[0] if isinstance(x, Tensor) else x, batch)

    def probe(self, y: Tensor, batch: Any, t: float = 0.0) -> None:
        """Evaluate twice at one point: see what is drawn and written, and refuse what still differs.

        Raises:
            ArgumentError: as `open`.
        """
        self.batch, self._random, self._base, self._first = batch, None, self.buffers, False
        random = RandomState(self.flow.game.device)
        draw, self.draw = self.draw, None
        try:
            first, losses = self._observed(t, y, random)
            random.restore()
            second, again = self._scaled_back(t, y)
            if not _close(first, second) and self.flow.scales:
                random.restore()
                self._refuse_unscaled(first, self.peek(t, y))
        finally:
            random.restore()
            self.draw, self.losses = draw, ()
        self.finite_at_start = bool(first.isfinite().all())
        if not _close(first, second):
            gap = float((first - second).norm() / first.norm().clamp_min(1e-30))
            differing = [n for n, a, b in zip(self.names, losses, again, strict=False) if not torch.equal(a, b)]
            whose = ", ".join(differing) or "no loss, but gradients"
            raise ArgumentError(
                "losses",
                "a deterministic function of players and batch",
                f"two evaluations at one point that differ by {gap:.2g} of the field's norm (differing: {whose})",
                f"draw noise outside the losses and pass it in the batch (here {describe(batch)}); "
                "what a loss remembers between calls belongs in a buffer of a player's module",
            )

    def _scaled_back(self, t: float, y: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The second evaluation, and its losses: at rates of other size and sign where the flow has them, undone."""
        request, scale = self._whole, 1.0
        if self.flow.scales:
            scale = -0.5  # rounds nothing
            own = {
                p: torch.as_tensor(r, dtype=self.point.dtype, device=self.point.device) for p, r in self._own_rates()
            }
            request = request._replace(rates={p: scale * r for p, r in own.items()})
        self.point.copy_(y.detach())
        with self.session():
            found = self.velocity(t, self.leaves, request)
        value = self.layout.flat([x.detach() for x in found.leaves], len(self.shape) - 1)
        return value / scale, tuple([x.detach() for x in found.losses])

    def _own_rates(self) -> list[tuple[str, Any]]:
        return list({**self.flow.rates, **self._whole.rates}.items())

    def _refuse_unscaled(self, first: Tensor, second: Tensor) -> None:
        if _close(first, second):
            remedy = "write what the hook does into the losses, or map the velocity: gamedyn.flows.mapped"
            got = "one that is another function of the gradient's size and sign (a tensor's hook that clips?)"
            raise ArgumentError("losses", "a backward pass that is linear in what it is given", got, remedy)

    def _observed(self, t: float, y: Tensor, random: RandomState) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The first evaluation: whether it draws, what it writes; members one by one where they cannot be mapped."""
        self.effects, self.losses = Effects(self.flow.game.modules), ()
        self._modes = [m.training for m in self.flow.game.modules]
        seen = self._seen = Observed(self.flow.game.modules)
        self.point.copy_(y.detach())
        try:
            with self.session():
                found = self.velocity(t, self.leaves, self._whole)
        except (RuntimeError, ValueError, NotImplementedError) as error:
            if self.members is None or self.members.looped or isinstance(error, ArgumentError):
                raise
            random.restore()
            self._loop(f"{type(error).__name__}: {str(error).splitlines()[0]}")
            return self._observed(t, y, random)
        finally:
            self._seen = None
        self.randomness = random.moved()
        if seen.written(self.leaves):
            remedy = "clip or project after the step, in a loop of your own: a field is evaluated at a point"
            got = "functions that write them (weight clipping, max_norm, in-place updates)"
            raise ArgumentError("losses", "functions that leave the players' parameters alone", got, remedy)
        if self.members is None and not self.effects.spectral:
            changed = any(not torch.equal(a, b) for a, b in zip(seen.buffers, self._base, strict=False))
            self.effects.buffers = changed or seen.written(seen.buffers)
        game = self.flow.game
        known = [self.point, *self.buffers, *game.binding.buffers(), *torch.utils._pytree.tree_leaves(self.batch)]
        self.effects.tensors = seen.tensors([x for x in known if isinstance(x, Tensor)])
        self.effects.slots = seen.slots()
        value = self.layout.flat([x.detach() for x in found.leaves], len(self.shape) - 1)
        return value, tuple([x.detach() for x in found.losses])

    def _loop(self, why: str) -> None:
        """From now on evaluate members one after the other."""
        self.members = replace(self.members, looped=why)  # type: ignore[type-var]
        self._whole = self._whole._replace(members=self.members)
        self._requests = {i: r._replace(members=self.members) for i, r in self._requests.items()}

    def functional(self, batch: Any, buffers: Sequence[Tensor]) -> TracedField:
        """This field as a pure function, for tracing."""
        return TracedField(self, batch, buffers)

    @property
    def standing(self) -> tuple[Tensor, ...]:
        """The buffers that the evaluations of this step begin from."""
        return self._base

    def state(self, y: Tensor) -> State:
        """A state at `y` with a copy of the buffers."""
        return State(self.layout, y, tuple(b.clone() for b in self.buffers))


def _stacked(losses: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
    return tuple([torch.stack([x.detach() for x in each]) for each in zip(*losses, strict=True)])


def _close(a: Tensor, b: Tensor) -> bool:
    """Whether two evaluations are the same, but for what sums in another order make of them."""
    rtol = torch.finfo(a.dtype).eps ** 0.5
    return torch.allclose(a, b, rtol=rtol, atol=1e-3 * rtol * float(a.abs().nan_to_num().max()), equal_nan=True)


class _Losses:
    """A flow whose velocity is not wanted: only its losses are evaluated."""

    def __init__(self, flow: FlowLike) -> None:
        self._game = flow.game

    def velocity(self, point: Point, request: Request) -> Velocity:
        return Velocity([], self._game.evaluate(point)[0])
