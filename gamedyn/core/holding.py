"""How a flow is evaluated with everything frozen that evaluating changes: buffers, generators, modes, modules."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import choice
from gamedyn.core.ambient import ambient, sheltered
from gamedyn.core.binding import in_modes
from gamedyn.core.checkpointing import checkpoints, evaluating
from gamedyn.core.effects import Effects, Observed
from gamedyn.core.evaluation import Point, Request, Velocity, Work
from gamedyn.core.protocols import of_flow
from gamedyn.core.randomness import RandomState
from gamedyn.core.spectral_norm import SpectralVectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gamedyn.core.evaluation import Members
    from gamedyn.core.protocols import FlowLike
    from gamedyn.core.state import Layout

__all__ = ["Holding"]

SAMPLING = ("frozen", "fresh")


class Holding:
    """A flow on one batch after another, evaluated at any leaves; arguments as for `Field`, which it is the base of."""

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
        self.figures: dict[str, Any] = {}
        """What the losses returned beside the players' there, by name; of ensembles and compiled steps, none; of
        captured steps, tensors alone."""
        self.losses: tuple[Tensor, ...] = ()
        """Losses at the first evaluation of the step, in the players' order."""
        self.draw: Callable[[], Any] | None = None
        with flow.game.binding.locked():  # another thread's session may have the modules in other modes
            self.effects, self._modes = Effects(flow.game.modules), [m.training for m in flow.game.modules]
        self.randomness: tuple[str, ...] = ()
        """Kinds of generators that the losses draw from."""
        self.finite_at_start = True
        self._vectors: SpectralVectors | None = None  # of a field that is looked at
        self._base = self.buffers  # what every evaluation of a step begins from
        self._random: RandomState | None = None
        self._first = False
        self._owner: int | None = None
        self._seen: Observed | None = None
        self._views: dict[tuple[int, int], list[Tensor]] = {}
        self._kept: dict[str, Any] = {}
        self._share = 1 if flow.separates_players else len(self.names)
        self._steady = not flow.intervals and (members is not None or not (rates or weights))
        self._requests: dict[int | None, Request] = {}
        self._ask(Request(members=members, rates=rates or {}, weights=weights or {}))

    def begin_step(self, batch: Any, step: int | None = None) -> None:
        """Start a step on a batch: the next evaluation advances the buffers, all replay its randomness.

        Args:
            batch: what the losses take.
            step: its number, for terms that act at intervals; None: their mean over steps.
        """
        self.batch_id += self.batch_id < 0 or not self.keeps_batch
        if self.flow.intervals:
            self._ask(self.asked(step=step))
        self.batch, self.losses, self.figures, self._first = batch, (), {}, True
        self._base = self.buffers
        self._random = RandomState(self.flow.game.device, self.randomness) if self.randomness else None

    @property
    def draws_randomness(self) -> bool:
        """Whether the losses draw from default generators."""
        return bool(self.randomness)

    @property
    def keeps_batch(self) -> bool:
        """Whether the next step's field is this step's: one batch, nothing that advances, no randomness."""
        return self.one_batch and self._steady and not self.effects and not self.randomness

    def asked(self, **changes: Any) -> Request:
        """What its whole value is asked with at present (rates, weights, the step), with changes."""
        return self._requests[None]._replace(**changes)

    def _ask(self, request: Request) -> None:
        """Ask with this from now on."""
        self._requests = {i: request._replace(players=(i,)) for i in range(len(self.names))}
        self._requests[None] = request
        self._double = self.flow.double_backward_in(request.step)

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
        """Take the modes that the modules have now (`train()` and `eval()` between steps) for those to keep."""
        modes = [m.training for m in self.flow.game.modules]
        if modes != self._modes:
            self._modes, seen = modes, self.effects
            self.effects = Effects(self.flow.game.modules)
            self.effects.tensors, self.effects.slots, self.effects.modes = seen.tensors, seen.slots, seen.modes

    def _held_modes(self) -> list[bool]:
        """Spectral norms do not iterate by themselves."""
        if not self.effects.spectral:
            return self._modes
        held = {id(m) for m in self.effects.spectral}
        return [mode and id(m) not in held for m, mode in zip(self.flow.game.modules, self._modes, strict=True)]

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
        if not (self.buffers or self.effects or self.effects.modes) and self._seen is None:
            with torch.enable_grad():
                found: Velocity = flow.velocity(Point(t, leaves, (), batch), request)
            return found
        if first:
            self._advance_spectral(leaves)
        buffers = self.scratch(request.members, leaves)
        ended: Callable[[Sequence[Tensor]], None] | None = None
        if self.members is None:
            ended = self._keep if first else None if self._seen is None else self._seen.ended
        watching = self._seen or contextlib.nullcontext()
        if self._seen is not None:
            self._seen.lent(buffers)
        with torch.enable_grad(), self.effects.outside_held(advance=first), self._one_mode(), watching:
            value: Velocity = flow.velocity(Point(t, leaves, buffers, batch, ended), request)
        return value

    def scratch(self, members: Members | None, leaves: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The buffers as an evaluation may have them: copies if it may write them; of an ensemble one for each."""
        own = self._base if members is None else [b.expand((members.count, *b.shape)) for b in self._base]
        return self.at_leaves(leaves, tuple([b.clone() for b in own] if self.effects.buffers else own))

    def at_leaves(self, leaves: Sequence[Tensor], buffers: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Buffers with those that are functions of the leaves, where the field is looked at."""
        if self._vectors is None:
            return tuple(buffers)
        with torch.enable_grad():
            return self._vectors.converged(leaves, buffers)

    def _one_mode(self) -> contextlib.AbstractContextManager[None]:
        """Modules that the losses leave in other modes are put back after every evaluation."""
        if not self.effects.modes:
            return contextlib.nullcontext()
        return in_modes(self.flow.game.modules, self._held_modes())

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

    def _figures(self) -> dict[str, Any]:
        """What the losses have just returned beside the players'; of one game alone, whose values are no one else's."""
        if self.members is not None:
            return {}
        return {k: x.detach() if isinstance(x, Tensor) else x for k, x in self.flow.game.figures.items()}

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

    @contextlib.contextmanager
    def elsewhere(self, batch: Any, buffers: Sequence[Tensor]) -> Iterator[Callable[[], None]]:
        """Evaluate on another batch, from other buffers, nothing advancing; afterwards the step goes on.

        What is yielded begins again: work, losses, and rooms as they were.
        """
        names = ("batch", "_base", "_first", "losses", "figures", "work", "_views")
        kept = {name: getattr(self, name) for name in names}

        def again() -> None:
            self.work, self.losses, self.figures = Work(len(self.names)), (), {}
            self._views = dict(kept["_views"])

        try:
            self.batch, self._base, self._first = batch, tuple(buffers), False
            yield again
        finally:
            vars(self).update(kept)

    def hold(self) -> None:
        """Let nothing advance until the next step begins: for looking without touching."""
        self._first = False
        if self.effects.spectral and self.members is None:
            self._vectors = SpectralVectors(self.effects.owners, self.flow.game.binding)

    def advance(self, y: Tensor) -> None:
        """Advance what evaluating advances, by evaluating the losses (for steps that trace theirs, or keep graphs)."""
        if self._first and self.effects and self.members is None:
            with self.session(), torch.enable_grad():
                leaves = [v.clone().requires_grad_() for v in self.layout.views(y.detach())]
                self.velocity(0.0, leaves, Request(), flow=_Losses(self.flow))
        self._first = False

    @property
    def replayed(self) -> RandomState | None:
        """The default generators as this step's evaluations find them, where the losses draw."""
        return self._random

    def stand_at(
        self, batch: Any, buffers: Sequence[Tensor], random: RandomState | None, request: Request | None = None
    ) -> None:
        """Freeze what an earlier step was made with, so that it can be made again; nothing advances."""
        self.batch_id += 1
        self._ask(request or self.asked())
        self.batch, self.losses, self._first = batch, (), False
        self._base, self._random = tuple(buffers), random

    @property
    def standing(self) -> tuple[Tensor, ...]:
        """The buffers that the evaluations of this step begin from."""
        return self._base


def _stacked(losses: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
    return tuple([torch.stack([x.detach() for x in each]) for each in zip(*losses, strict=True)])


class _Losses:
    """A flow whose velocity is not wanted: only its losses are evaluated."""

    def __init__(self, flow: FlowLike) -> None:
        self._game = flow.game

    def velocity(self, point: Point, request: Request) -> Velocity:
        return Velocity([], self._game.evaluate(point)[0])
