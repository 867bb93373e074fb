"""A game: players, each with a loss of its own.

The sign convention, stated here once: every player descends its own loss,

    v_i = -rate_i * grad_i loss_i,    J = dv/dy,    stable: Re(eigenvalues of J) < 0.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.state import Layout, Leaf, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gamedyn.core.critical import CriticalPoint

__all__ = ["SIGN_CONVENTION", "Game"]

SIGN_CONVENTION = "v_i = -rate_i * grad_i loss_i; J = dv/dy; stable: every eigenvalue of J has negative real part"

Slot = tuple[dict[str, Any], str, int]


class Game:
    """Players, and the losses they minimise.

    Args:
        players: modules or floating-point tensors by name; of a module, the parameters that require grad.
        losses: called positionally, `losses(*players)` or `losses(*players, batch)`, with the user's own
            modules holding the current parameters; returns a scalar tensor for every player by name.
        name: for reports.
        equilibrium: declared stationary point, one tensor per player, or None.
        jacobian: declared Jacobian of v (rates 1) at that point, (n, n), or None.
        invariant: declared conserved quantity of the flow, a function of the players' tensors, or None.
        zero_sum: declared: the losses add up to zero.
        critical_points: declared stationary points with their classes.

    The user's modules are bound to other tensors only while a loss is being evaluated, and restored on
    every exit: they are bit-identical after any solve or analysis until `write`.

    Raises:
        ArgumentError: if there is no player, one is not a module or a floating tensor, has nothing to
            train, shares a parameter with another, or lies on another device or in another dtype.

    Example:
        >>> x, y = torch.ones(1), torch.ones(1)
        >>> game = Game({"x": x, "y": y}, lambda x, y: {"x": (x * y).sum(), "y": -(x * y).sum()})
        >>> game.state()["x"]
        tensor([1.])
    """

    traces = True
    """Whether evaluations can be traced, to be compiled."""

    def __init__(
        self,
        players: Mapping[str, nn.Module | Tensor],
        losses: Callable[..., Mapping[str, Tensor]],
        *,
        name: str = "",
        equilibrium: Mapping[str, Tensor] | None = None,
        jacobian: Tensor | None = None,
        invariant: Callable[..., Tensor] | None = None,
        zero_sum: bool = False,
        critical_points: Sequence[CriticalPoint] = (),
    ) -> None:
        if not players:
            raise ArgumentError("players", "at least one player", "none")
        if not callable(losses):
            raise ArgumentError("losses", "a function of the players (and a batch)", losses)
        self.players, self.losses, self.name = dict(players), losses, name
        self.equilibrium, self.jacobian, self.invariant, self.zero_sum = equilibrium, jacobian, invariant, zero_sum
        self.critical_points = tuple(critical_points)
        leaves, self._own, self._slots, self._buffer_slots = _collect(self.players)
        self.layout = Layout(tuple(self.players), leaves)
        self._tensor_players = tuple(not isinstance(p, nn.Module) for p in self.players.values())
        self._modules_in_order: list[Any] = list(self.players.values())
        _same_kind(self.layout, self._own)

    def __repr__(self) -> str:
        label = self.name or "Game"
        sizes = (f"{p}: {s.stop - s.start}" for p, s in zip(self.players, self.layout.slices, strict=True))
        return f"{label}({', '.join(sizes)})"

    @property
    def device(self) -> torch.device:
        """Where the players live."""
        return self._own[0].device

    @property
    def dtype(self) -> torch.dtype:
        """Their floating-point type."""
        return self._own[0].dtype

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """Every submodule of every player, once."""
        found = {id(m): m for p in self.players.values() if isinstance(p, nn.Module) for m in p.modules()}
        return tuple(found.values())

    def state(self) -> State:
        """The players' present parameters and buffers, copied."""
        y = self.layout.flat([p.detach() for p in self._own])
        return State(self.layout, y, tuple(d[k].detach().clone() for d, k, _ in self._first_buffer_slots()))

    def state_of(self, parts: Mapping[str, Tensor]) -> State:
        """The state with the given tensor per player.

        Raises:
            ArgumentError: if a player is missing or of another size.
        """
        return self.state().with_y(self.layout.joined({k: v.to(self._own[0]) for k, v in parts.items()}))

    def equilibrium_state(self) -> State:
        """The declared stationary point.

        Raises:
            ArgumentError: if the game declares none.
        """
        if self.equilibrium is None:
            raise ArgumentError("game", "a game that declares an equilibrium", self)
        return self.state_of(self.equilibrium)

    def _first_buffer_slots(self) -> list[Slot]:
        seen: dict[int, Slot] = {}
        for slot in self._buffer_slots:
            seen.setdefault(slot[2], slot)
        return list(seen.values())

    @contextlib.contextmanager
    def bound(self, leaves: Sequence[Tensor], buffers: Sequence[Tensor] = ()) -> Iterator[list[Any]]:
        """The players holding `leaves` (and `buffers`), as arguments for the losses; restored on exit."""
        slots = [*self._slots, *self._buffer_slots] if buffers else self._slots
        tensors = [*leaves, *buffers] if buffers else leaves
        shift = len(leaves)
        old = [d[k] for d, k, _ in slots]
        try:
            for d, k, i in self._slots:
                d[k] = leaves[i]
            if buffers:
                for d, k, i in self._buffer_slots:
                    d[k] = tensors[shift + i]
            yield [
                leaves[self.layout.leaf_slices[i].start] if is_tensor else player
                for i, (player, is_tensor) in enumerate(zip(self.players.values(), self._tensor_players, strict=True))
            ]
        finally:
            for (d, k, _), tensor in zip(slots, old, strict=True):
                d[k] = tensor

    def own(self, state: Any) -> State:
        """A state of this game, from a state, a run (its state), or a flat vector (n,) where no module has buffers.

        It is brought to the players' device and floating-point type.

        Raises:
            ArgumentError: if it is none of these, belongs to another game, or holds an ensemble.
        """
        found = getattr(state, "state", state)
        if isinstance(found, Tensor):
            found = State(self.layout, found, self._no_buffers())
        if not isinstance(found, State) or found.layout.signature != self.layout.signature:
            got = repr(found) if isinstance(found, State) else type(state).__name__
            raise ArgumentError("state", f"a state of {self!r}", got)
        if found.y.shape != (self.layout.n,):
            remedy = "one member of an ensemble: state.member(i)"
            raise ArgumentError(
                "state", f"a state of {self.layout.n} parameters", f"shape {tuple(found.y.shape)}", remedy
            )
        return State(self.layout, found.y, found.buffers).to(self.device, self.dtype)

    def _no_buffers(self) -> tuple[Tensor, ...]:
        """The buffers of a flat vector, which has none: those of the modules would be of another point."""
        if self._buffer_slots:
            expected = "a State: modules of this game have buffers (batch or spectral norm), which belong to the point"
            remedy = "run.state; with the modules' present buffers: game.state().with_y(y)"
            raise ArgumentError("state", expected, "a flat vector", remedy)
        return ()

    @contextlib.contextmanager
    def at(self, state: State) -> Iterator[dict[str, Any]]:
        """The user's modules holding `state`, for the length of a `with`; yields the players by name.

        Tensor players are yielded, not bound. Nothing done inside changes `state`, and the modules' modes
        (`train`, `eval`) are put back too. A run stands for its state.

        Raises:
            ArgumentError: if the state belongs to another game, or holds an ensemble.
        """
        state = self.own(state)
        modes = [(m, m.training) for m in self.modules]
        leaves = [v.clone() for v in self.layout.views(state.y.detach())]
        try:
            with self.bound(leaves, [b.clone() for b in state.buffers]) as players, torch.no_grad():
                yield dict(zip(self.players, players, strict=True))
        finally:
            for module, mode in modes:
                module.training = mode

    def write(self, state: State) -> None:
        """Copy a state (or a run's) into the user's own parameters and buffers, for good.

        Raises:
            ArgumentError: if the state belongs to another game, or holds an ensemble.
        """
        state = self.own(state)
        with torch.no_grad():
            for own, value in zip(self._own, self.layout.views(state.y), strict=True):
                own.copy_(value)
            for (d, k, _), value in zip(self._first_buffer_slots(), state.buffers, strict=False):
                d[k].copy_(value)

    def evaluate(self, leaves: Sequence[Tensor], buffers: Sequence[Tensor], batch: Any) -> tuple[Tensor, ...]:
        """The losses in the players' order, unchecked: the hot path (`bound`, without its generator)."""
        slots = self._slots
        if buffers or any(self._tensor_players):
            with self.bound(leaves, buffers) as players:
                values = self.losses(*players) if batch is None else self.losses(*players, batch)
            return tuple([values[p] for p in self.layout.players])
        old = [d[k] for d, k, _ in slots]
        try:
            for d, k, i in slots:
                d[k] = leaves[i]
            players = self._modules_in_order
            values = self.losses(*players) if batch is None else self.losses(*players, batch)
        finally:
            for (d, k, _), tensor in zip(slots, old, strict=True):
                d[k] = tensor
        return tuple([values[p] for p in self.layout.players])

    def evaluate_with(
        self, leaves: Sequence[Tensor], buffers: Sequence[Tensor], batch: Any, terms: Sequence[Callable[..., Tensor]]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The losses, and `value(players, parameters, batch)` of each term at the same parameters; unchecked."""
        names = self.layout.players
        parameters = {n: leaves[at] for n, at in zip(names, self.layout.leaf_slices, strict=True)}
        with self.bound(leaves, buffers) as players:
            values = self.losses(*players) if batch is None else self.losses(*players, batch)
            by_name = dict(zip(names, players, strict=True))
            inside = tuple([value(by_name, parameters, batch) for value in terms])
        return tuple([values[n] for n in names]), inside

    def least(self, number: float) -> float:
        """The least of a number over all processes that share the game: of one process, the number."""
        return number

    def check(self, batch: Any = None) -> None:
        """Evaluate the losses once, at the present parameters, and check everything they must be.

        Raises:
            ArgumentError: if the losses cannot take the batch, miss a player, name a stranger, are not
                scalar, or do not depend on their player.
        """
        leaves = [v.clone().requires_grad_() for v in self.layout.views(self.state().y)]
        buffers = self.state().buffers
        with torch.enable_grad(), self.bound(leaves, buffers) as players:
            try:
                values = self.losses(*players) if batch is None else self.losses(*players, batch)
            except Exception as error:
                got = f"{type(error).__name__}: {error}; the batch is {describe(batch)}"
                remedy = (
                    "a batch is what the batches yield: (loader's item, noise) with latent=, the loader's item "
                    "without; losses are called as losses(*players, batch), or losses(*players) when there is no batch"
                )
                raise ArgumentError("losses", "a function that takes the players and the batch", got, remedy) from error
        names = list(self.layout.players)
        if not hasattr(values, "keys") or set(values) != set(names):
            got = str(sorted(values)) if hasattr(values, "keys") else type(values).__name__
            raise ArgumentError("losses", f"a dict with one loss for each of {names}", got)
        for i, name in enumerate(names):
            value = values[name]
            if not isinstance(value, Tensor) or value.numel() != 1 or value.dim() != 0:
                got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise ArgumentError(f"losses[{name!r}]", "a scalar tensor", got, "take a mean or a sum")
            mine = leaves[self.layout.leaf_slices[i]]
            grads = (
                torch.autograd.grad(value, mine, retain_graph=True, allow_unused=True)
                if value.requires_grad
                else [None]
            )
            if all(g is None for g in grads):
                remedy = "detach() or no_grad in the loss?"
                raise ArgumentError(
                    f"losses[{name!r}]", f"a loss that depends on player {name!r}", "one that does not", remedy
                )


def describe(batch: Any) -> str:
    """The structure of a batch, for messages."""
    if isinstance(batch, Tensor):
        return f"Tensor{tuple(batch.shape)} {str(batch.dtype).removeprefix('torch.')}"
    if isinstance(batch, (tuple, list)):
        return "(" + ", ".join(map(describe, batch)) + ")"
    if isinstance(batch, dict):
        return "{" + ", ".join(f"{k}: {describe(v)}" for k, v in batch.items()) + "}"
    return type(batch).__name__


def _collect(
    players: Mapping[str, nn.Module | Tensor],
) -> tuple[list[Leaf], list[Tensor], list[Slot], list[Slot]]:
    """Trainable tensors, and the dictionary entries that hold them (tied parameters hold one leaf twice)."""
    leaves: list[Leaf] = []
    own: list[Tensor] = []
    slots: list[Slot] = []
    buffer_slots: list[Slot] = []
    owner: dict[int, tuple[int, int]] = {}  # id of a parameter -> (player, leaf)
    buffers: dict[int, int] = {}
    for i, (name, player) in enumerate(players.items()):
        if isinstance(player, Tensor):
            _floating(name, player)
        found = {"": player} if isinstance(player, Tensor) else _trainable(name, player)
        for key, tensor in found.items():
            if id(tensor) in owner:
                other = list(players)[owner[id(tensor)][0]]
                got = f"{key or name!r} in both {other!r} and {name!r}"
                raise ArgumentError("players", "parameters owned by one player each", got, "freeze or copy it in one")
            owner[id(tensor)] = (i, len(leaves))
            leaves.append(Leaf(i, key, tensor.shape))
            own.append(tensor)
        if isinstance(player, nn.Module):
            for module in player.modules():
                for key, p in module._parameters.items():
                    if p is not None and id(p) in owner:
                        slots.append((module._parameters, key, owner[id(p)][1]))
                for key, b in module._buffers.items():
                    if b is not None:
                        buffer_slots.append((module._buffers, key, buffers.setdefault(id(b), len(buffers))))
    return leaves, own, slots, buffer_slots


def _trainable(name: str, player: object) -> dict[str, Tensor]:
    if not isinstance(player, nn.Module):
        raise ArgumentError(f"players[{name!r}]", "a module or a floating-point tensor", type(player).__name__)
    found: dict[str, Tensor] = {k: p for k, p in player.named_parameters() if p.requires_grad}
    if not found:
        raise ArgumentError(f"players[{name!r}]", "a module with a parameter that requires grad", "none")
    for module in player.modules():
        for hook in module._forward_pre_hooks.values():
            if type(hook).__name__ in ("SpectralNorm", "WeightNorm"):
                remedy = "use torch.nn.utils.parametrizations, which does not rewrite the module's attributes"
                raise ArgumentError(f"players[{name!r}]", "no old-style weight hooks", type(hook).__name__, remedy)
    return found


def _floating(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise ArgumentError(f"players[{name!r}]", "a floating-point tensor", f"dtype {tensor.dtype}", "call .float()")
    if tensor.numel() == 0:
        raise ArgumentError(f"players[{name!r}]", "a tensor with entries", "an empty one")


def _same_kind(layout: Layout, own: Sequence[Tensor]) -> None:
    for what in ("device", "dtype"):
        kinds = {str(getattr(t, what)): layout.players[leaf.player] for t, leaf in zip(own, layout.leaves, strict=True)}
        if len(kinds) > 1:
            got = ", ".join(f"{player}: {kind}" for kind, player in kinds.items())
            raise ArgumentError("players", f"one {what} for all parameters", got, f"move them with .to({what}=...)")
