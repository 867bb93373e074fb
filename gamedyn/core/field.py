"""The vector field of a flow: `field(t, y)`, one player's part, and the one way to open it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.binding import in_modes
from gamedyn.core.effects import Effects, Observed
from gamedyn.core.evaluation import Request, Work
from gamedyn.core.game import describe
from gamedyn.core.holding import Holding
from gamedyn.core.randomness import RandomState
from gamedyn.core.state import State
from gamedyn.core.traced import TracedField

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gamedyn.core.protocols import NoiseLike

__all__ = ["Field"]

PIECE = 2**14
"""Entries that are compared at a time: a comparison takes a few vectors of its own."""


class Field(Holding):
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
        """By player, and by "player.module": a number, or (M, 1) of an ensemble whose members differ."""
        own = {k: v.reshape(-1, 1) for k, v in self.asked().rates.items()}
        return {**self.flow.rates, **self.flow.module_rates, **own}

    @property
    def noise(self) -> NoiseLike | None:
        """What is added to it by chance, or None."""
        return self.flow.noise

    @property
    def rated(self) -> list[tuple[str, slice]]:
        """Runs of leaves that have one rate: its name in `rates`, and their places."""
        return self.flow.rated

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
        self._evaluate(t, y, self.asked(factors=factors), None, out)
        self.work.player_gradients += self.work.players
        return out

    def keep_stages(self, how: str) -> None:
        """From now on keep `stages` "full", in "bfloat16", or in the memory of the "host"."""
        bfloat16: dict[str, Any] = {"dtype": torch.bfloat16}
        host: dict[str, Any] = {"device": "cpu", "pin_memory": self.point.is_cuda}
        self._kept = {"full": {}, "bfloat16": bfloat16, "host": host}[how]

    def stages(self, count: int, player: int | None = None) -> Tensor:
        """Room for `count` field values (or one player's), shape (count, ..., n), kept as `keep_stages` says."""
        room = self._room(count, player, **self._kept)
        for row in room:  # views of rows that are written again and again are made once
            self._views[row.data_ptr(), -1 if player is None else player] = self.layout.views(row, player)
        return room

    def release(self, rows: Sequence[Tensor]) -> None:
        """Forget rows of `stages` that will not be written again: nothing here keeps them then."""
        for row in rows:
            self._views.pop((row.data_ptr(), -1), None)

    def room(self, count: int, player: int | None = None) -> Tensor:
        """As `stages`, for rows that are not kept."""
        return self._room(count, player)

    def _room(self, count: int, player: int | None, **kept: Any) -> Tensor:
        at = slice(0, self.layout.n) if player is None else self.players[player]
        return self.point.new_empty((count, *self.shape[:-1], at.stop - at.start), **kept)

    def _evaluate(self, t: float | Tensor, y: Tensor, request: Request, player: int | None, out: Tensor) -> None:
        leaves = self.leafwise(t, y, request)
        views = self._views.get((out.data_ptr(), -1 if player is None else player))
        if views is None:  # of a row that `stages` has not given: to make them would cost more
            out.copy_(self.layout.flat([x.detach() for x in leaves], out.dim() - 1))
        else:
            torch._foreach_copy_(views, leaves)

    def leafwise(self, t: float | Tensor, y: Tensor, request: Request) -> list[Tensor]:
        """What is asked for at (t, y), leaf by leaf; players' gradients are not counted."""
        if self._owner != threading.get_ident():
            with self.session():
                return self.leafwise(t, y, request)
        if y is not self.point:
            self.point.copy_(y.detach())
        if self.draw is not None:
            self.batch = self.draw()
        value = self.velocity(t, self.leaves, request)
        self.work.double_backward += self._double
        if not self.losses:
            self.losses = tuple([x.detach() for x in value.losses])
            self.figures = self._figures()
        return value.leaves

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
        random, modules = RandomState(self.flow.game.device), self.flow.game.modules
        try:
            with self.flow.game.binding.locked(), in_modes(modules, [m.training for m in modules]):
                self.flow.check(self._one(batch))  # the losses may leave modules in other modes
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
        self.finite_at_start = all(bool(x.isfinite().all()) for x in _pieces(first))
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
        request, scale = self.asked(), 1.0
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
        return value.div_(scale), tuple([x.detach() for x in found.losses])

    def _own_rates(self) -> list[tuple[str, Any]]:
        return list({**self.flow.rates, **self.flow.module_rates, **self.asked().rates}.items())

    def _refuse_unscaled(self, first: Tensor, second: Tensor) -> None:
        if _close(first, second):
            remedy = "write what the hook does into the losses, or map the velocity: gamedyn.flows.mapped"
            got = "one that is another function of the gradient's size and sign (a tensor's hook that clips?)"
            raise ArgumentError("losses", "a backward pass that is linear in what it is given", got, remedy)

    def _observed(self, t: float, y: Tensor, random: RandomState) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The first evaluation: whether it draws, what it writes; members one by one where they cannot be mapped."""
        self.losses = ()
        with self.flow.game.binding.locked():
            self.effects = Effects(self.flow.game.modules)
            self._modes = [m.training for m in self.flow.game.modules]
        seen = self._seen = Observed(self.flow.game.modules)
        self.point.copy_(y.detach())
        try:
            with self.session():
                found = self.velocity(t, self.leaves, self.asked())
                self.effects.modes = [m.training for m in self.flow.game.modules] != self._held_modes()
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
            remedy = "clip or project after the step: gamedyn.flows.projected; a field is evaluated at a point"
            got = "functions that write them (weight clipping, max_norm, in-place updates)"
            raise ArgumentError("losses", "functions that leave the players' parameters alone", got, remedy)
        if self.members is None and not self.effects.spectral:
            changed = any(not torch.equal(a, b) for a, b in zip(seen.buffers, self._base, strict=False))
            self.effects.buffers = changed or seen.written(seen.buffers)
        game = self.flow.game
        own = [b for _, _, b in game.binding.own_buffers()]
        known = [self.point, *self.buffers, *own, *torch.utils._pytree.tree_leaves(self.batch)]
        self.effects.tensors = seen.tensors([x for x in known if isinstance(x, Tensor)])
        self.effects.slots = seen.slots()
        value = self.layout.flat([x.detach() for x in found.leaves], len(self.shape) - 1)
        return value, tuple([x.detach() for x in found.losses])

    def _loop(self, why: str) -> None:
        """From now on evaluate members one after the other."""
        self.members = replace(self.members, looped=why)  # type: ignore[type-var]
        self._ask(self.asked(members=self.members))

    def functional(self, batch: Any, buffers: Sequence[Tensor]) -> TracedField:
        """This field as a pure function, for tracing."""
        return TracedField(self, batch, buffers)

    def state(self, y: Tensor) -> State:
        """A state at `y` with a copy of the buffers."""
        return State(self.layout, y, tuple(b.clone() for b in self.buffers))


def _close(a: Tensor, b: Tensor) -> bool:
    """Whether two evaluations are the same, but for what sums in another order make of them."""
    rtol, pieces = torch.finfo(a.dtype).eps ** 0.5, (_pieces(a), _pieces(b))
    atol = 1e-3 * rtol * max(float(x.abs().nan_to_num().max()) for x in pieces[0])
    return all(torch.allclose(x, y, rtol=rtol, atol=atol, equal_nan=True) for x, y in zip(*pieces, strict=True))


def _pieces(x: Tensor) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = torch.split(x.flatten(), PIECE)
    return found
