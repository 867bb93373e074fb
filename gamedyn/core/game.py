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
from gamedyn.core.ambient import sheltered
from gamedyn.core.binding import Binding, in_modes
from gamedyn.core.checkpointing import checkpoints
from gamedyn.core.players import Structure, Used, collected, refuse_captured, refuse_hooks
from gamedyn.core.processes import Alone
from gamedyn.core.state import Layout, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gamedyn.core.critical import CriticalPoint
    from gamedyn.core.evaluation import Point

__all__ = ["SIGN_CONVENTION", "Game", "describe"]

SIGN_CONVENTION = "v_i = -rate_i * grad_i loss_i; J = dv/dy; stable: every eigenvalue of J has negative real part"


class Game:
    """Players, and the losses they minimise.

    Args:
        players: modules or floating-point tensors by name; of a module, the parameters that require grad.
        losses: called positionally, `losses(*players)` or `losses(*players, batch)`, with the user's own
            modules holding the current parameters; returns a scalar tensor for every player by name. Other numbers
            and scalar tensors among them are figures, which a solve records once a step.
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

    processes = Alone()
    """Those that share the game: this one."""

    def settle(self) -> None:
        """Nothing is on its way: no other process takes part."""

    def agree_on(self, facts: Mapping[str, Any]) -> None:
        """Nothing to agree on: no other process takes part."""

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
        found = collected(self.players)
        self._own, self.modules, self._structure = found.own, found.modules, Structure(self.players)
        self.layout = Layout(tuple(self.players), found.leaves, found.buffer_names)
        self.binding = Binding(found.slots, found.buffers, found.frozen, found.modules)
        self._arguments: list[Any] = list(self.players.values())
        self._tensors = [
            (i, self.layout.leaf_slices[i].start) for i, p in enumerate(self._arguments) if isinstance(p, Tensor)
        ]
        self.figures: dict[str, Any] = {}
        self._standing: Sequence[Tensor] | None = None
        """Leaves that `at` has put in the players' place, for the players that are tensors."""

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

    def state(self) -> State:
        """The players' present parameters and buffers, copied; inside `at`, those of its state."""
        leaves = list(self._own)
        with self.binding.locked():
            for place, held in self.binding.leaves().items():
                leaves[place] = held
            for _, first in self._tensors if self._standing is not None else ():
                leaves[first] = self._standing[first]  # type: ignore[index]
            y = self.layout.flat([p.detach() for p in leaves])
            return State(self.layout, y, tuple(b.detach().clone() for b in self.binding.buffers()))

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
        if self.binding.buffers():
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
        leaves = [v.clone() for v in self.layout.views(state.y.detach())]
        modes = [m.training for m in self.modules]
        before = self._standing
        with self.binding.borrowed(), torch.no_grad(), in_modes(self.modules, modes):
            self.binding.put(leaves, [b.clone() for b in state.buffers])
            try:
                self._standing = leaves
                yield dict(zip(self.players, self.called_with(leaves), strict=True))
            finally:
                self._standing = before

    def write(self, state: State) -> None:
        """Copy a state (or a run's) into the user's own parameters and buffers, for good.

        Inside `at` too it is these that are written, and not what the modules hold for the time being.

        Raises:
            ArgumentError: if the state belongs to another game, or holds an ensemble.
        """
        state = self.own(state)
        with self.binding.locked(), torch.no_grad():
            for own, value in zip(self._own, self.layout.views(state.y), strict=True):
                own.copy_(value)
            for (_, _, own), value in zip(self.binding.own_buffers(), state.buffers, strict=bool(state.buffers)):
                own.copy_(value)

    def evaluate(
        self, point: Point, terms: Sequence[Callable[..., Tensor]] = (), ahead: Sequence[int] = ()
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The losses in the players' order, and `value(players, parameters, batch)` of each term, unchecked.

        The hot path. Inside `binding.borrowed` the modules go on holding the point, for backward passes.

        Args:
            point: where.
            terms: penalty terms, evaluated with the losses.
            ahead: players whose gradients come next, in this order, without a graph. Until `settle` neither they
                nor the losses are read: other processes' parts may be on their way.
        """
        leaves, batch, binding = point.leaves, point.batch, self.binding
        if not binding.depth:
            with binding.borrowed():
                return Game.evaluate(self, point, terms)
        if binding.current is not leaves or point.buffers:
            binding.put(leaves, point.buffers)
        players = self.called_with(leaves)
        values = self.losses(*players) if batch is None else self.losses(*players, batch)
        inside: tuple[Tensor, ...] = ()
        names = self.layout.players
        if terms:
            parameters = {n: leaves[at] for n, at in zip(names, self.layout.leaf_slices, strict=True)}
            by_name = dict(zip(names, players, strict=True))
            inside = tuple([value(by_name, parameters, batch) for value in terms])
        if point.ended is not None:
            point.ended(binding.buffers())
        self.figures = {} if len(values) == len(names) else {k: v for k, v in values.items() if k not in names}
        return tuple([values[n] for n in names]), inside

    def called_with(self, leaves: Sequence[Tensor]) -> list[Any]:
        """What the losses are called with: modules, which hold the leaves, and leaves of tensor players."""
        if not self._tensors:
            return self._arguments
        out = list(self._arguments)
        for i, first in self._tensors:
            out[i] = leaves[first]
        return out

    def refuse_changes(self, *, quick: bool = False) -> None:
        """Refuse players that are no longer what the game was made of, or that have hooks.

        Args:
            quick: whether a look at the parameters will do, where nothing else has happened.

        Raises:
            ArgumentError: with what has changed, and the hook's place.
        """
        with self.binding.locked():
            if quick and self._structure.same_parameters():
                return
            self._structure.refuse_changed(bound=self.binding.depth > 0)
            refuse_hooks(self.players)

    def check(self, batch: Any = None, terms: Sequence[Any] = ()) -> None:
        """Evaluate the losses (and penalty terms) once, at the present parameters, and check what they must be.

        Raises:
            ArgumentError: if the losses cannot take the batch, miss a player, name a stranger, are not
                scalar, do not depend on their player, leave parameters without requires_grad, use parameters that
                are captured from outside, or have sparse gradients; if a term cannot be evaluated or is not scalar.
        """
        leaves = [v.clone().requires_grad_() for v in self.layout.views(self.state().y)]
        with torch.enable_grad(), sheltered(), self.binding.borrowed(), checkpoints():
            self.binding.put(leaves, self.state().buffers)
            players = self.called_with(leaves)
            used = Used(self._own)
            try:
                with used:
                    values = self.losses(*players) if batch is None else self.losses(*players, batch)
            except ArgumentError as error:
                _refuse_backward(leaves, error)
                raise
            except Exception as error:
                _refuse_backward(leaves, error)
                got = f"{type(error).__name__}: {error}; the batch is {describe(batch)}"
                remedy = (
                    "a batch is what the batches yield: (loader's item, noise) with latent=, the loader's item "
                    "without; losses are called as losses(*players, batch), or losses(*players) when there is no batch"
                )
                raise ArgumentError("losses", "a function that takes the players and the batch", got, remedy) from error
            _refuse_backward(leaves)
            used.refuse()
            self._refuse_values(values, leaves)
            for term in terms:
                self._refuse_term(term, dict(zip(self.players, players, strict=True)), leaves, batch)

    def _refuse_term(self, term: Any, players: dict[str, Any], leaves: Sequence[Tensor], batch: Any) -> None:
        own = {n: leaves[at] for n, at in zip(self.layout.players, self.layout.leaf_slices, strict=True)}
        argument = f"term {term.name!r}"
        try:
            value = term.value(players, own, batch)
        except ArgumentError as error:
            expected = f"{error.argument}: {error.expected}"
            raise ArgumentError(argument, expected, error.got, error.remedy) from error
        except RuntimeError:  # no second derivative; an error says so where it is asked for
            raise
        except Exception as error:
            got = f"{type(error).__name__}: {error}; the batch is {describe(batch)}"
            remedy = "the term's `real` and `fake` say what its player is given: with labels, losses.labelled_samples"
            raise ArgumentError(argument, "a penalty that can be evaluated on this batch", got, remedy) from error
        if not isinstance(value, Tensor) or value.dim() != 0:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ArgumentError(argument, "a scalar tensor", got, "take a mean or a sum")

    def _refuse_values(self, values: Any, leaves: Sequence[Tensor]) -> None:
        names = list(self.layout.players)
        if not hasattr(values, "keys") or not set(names) <= set(values):
            got = str(sorted(values)) if hasattr(values, "keys") else type(values).__name__
            raise ArgumentError("losses", f"a dict with one loss for each of {names}", got)
        for name in set(values) - set(names):
            _refuse_figure(name, values[name])
        for name, own in zip(names, self.layout.leaf_slices, strict=True):
            self._refuse_value(name, values[name], leaves, own)

    def _refuse_value(self, name: str, value: Any, leaves: Sequence[Tensor], own: slice) -> None:
        argument = f"losses[{name!r}]"
        if not isinstance(value, Tensor) or value.dim() != 0:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ArgumentError(argument, "a scalar tensor", got, "take a mean or a sum")
        if not all(x.requires_grad for x in leaves):
            remedy = "turn requires_grad on again before the losses return, or let a loss detach what it must not see"
            raise ArgumentError("losses", "functions that leave requires_grad as it is", "parameters left off", remedy)
        self._refuse_captured(value, leaves)
        grads: Sequence[Tensor | None] = [None]
        if value.requires_grad:
            grads = torch.autograd.grad(value, leaves[own], retain_graph=True, allow_unused=True)
        if all(g is None for g in grads):
            remedy = "detach() or no_grad in the loss?"
            raise ArgumentError(argument, f"a loss that depends on player {name!r}", "one that does not", remedy)
        if any(g is not None and g.is_sparse for g in grads):
            raise ArgumentError(argument, "dense gradients", "sparse ones", "sparse=False: a field is a dense vector")

    def _refuse_captured(self, value: Tensor, leaves: Sequence[Tensor]) -> None:
        """Refuse parameters in a loss's graph that are not those that the players hold for the time being."""
        bound = {id(x) for x in leaves}
        for x in variables(value):
            if id(x) not in bound and isinstance(x, nn.Parameter):
                refuse_captured("a parameter of no player", x)


def _refuse_figure(name: Any, value: Any) -> None:
    """Refuse what stands beside the losses and is no figure: a number or a scalar tensor, under a name."""
    if isinstance(name, str) and (isinstance(value, (int, float)) or getattr(value, "shape", None) == ()):
        return
    got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    raise ArgumentError(f"losses[{name!r}]", "a player's loss, or a figure: a number or a scalar tensor", got)


def _refuse_backward(leaves: Sequence[Tensor], cause: Exception | None = None) -> None:
    if any(x.grad is not None for x in leaves):
        remedy = "return the losses; the step takes the gradients that its method needs"
        raise ArgumentError("losses", "a function that does not call backward", "one that does", remedy) from cause


def variables(value: Tensor) -> Iterator[Tensor]:
    """The leaves of a tensor's graph."""
    seen: set[Any] = {None}
    waiting: list[Any] = [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
            if hasattr(node, "variable"):
                yield node.variable


def describe(batch: Any) -> str:
    """The structure of a batch, for messages."""
    if isinstance(batch, Tensor):
        return f"Tensor{tuple(batch.shape)} {str(batch.dtype).removeprefix('torch.')}"
    if isinstance(batch, (tuple, list)):
        return "(" + ", ".join(map(describe, batch)) + ")"
    if isinstance(batch, dict):
        return "{" + ", ".join(f"{k}: {describe(v)}" for k, v in batch.items()) + "}"
    return type(batch).__name__
