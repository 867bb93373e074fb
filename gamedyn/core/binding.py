"""The users' modules holding other tensors than their own: put in, and always put back.

Two rules. Tensors are exchanged by one call that runs no Python in between, which no signal can cut. And what is put
back is put back twice, by nested `finally` clauses: an interrupt that falls into the inner one is followed by the
outer one.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from operator import setitem
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

__all__ = ["Binding", "Slot", "in_modes"]

LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
"""One for each module that a game has: games that share a module never evaluate at the same time."""
MAKING = threading.Lock()


class Slot(NamedTuple):
    """An entry of a module's dictionary that holds a tensor, and the tensor's place among those that are put there."""

    holder: Any
    key: str
    place: int


class Binding:
    """The slots of a game's modules.

    Args:
        parameters: slots of the leaves (tied parameters have several).
        buffers: slots of the buffers.
        frozen: slots of parameters that are not trained.
        modules: every module of every player.

    Attributes:
        depth: how many `borrowed` are open.
        current: the leaves that were put last, while any are.
    """

    def __init__(
        self, parameters: Sequence[Slot], buffers: Sequence[Slot], frozen: Sequence[Slot], modules: Sequence[nn.Module]
    ) -> None:
        slots = [*parameters, *buffers, *frozen]
        self._holders, self._keys = [s.holder for s in slots], [s.key for s in slots]
        self._leaves, self._buffers = [s.place for s in parameters], [s.place for s in buffers]
        self._first_frozen = len(parameters) + len(buffers)
        self._once = [self._buffers.index(place) for place in range(len(set(self._buffers)))]
        self.depth = 0
        self.current: Sequence[Tensor] | None = None
        self._original: list[Any] = []
        self._locks = _locks(modules)

    def put(self, leaves: Sequence[Tensor], buffers: Sequence[Tensor] = ()) -> None:
        """Let the modules hold these; nothing but the leaves where no more are given. Only inside `borrowed`."""
        values = [leaves[i] for i in self._leaves]
        if buffers:
            values += [buffers[i] for i in self._buffers]
        deque(map(setitem, self._holders, self._keys, values), maxlen=0)
        self.current = leaves

    def put_frozen(self, frozen: Sequence[Tensor]) -> None:
        """Let the modules hold other tensors as parameters that are not trained, slot by slot."""
        at = self._first_frozen
        deque(map(setitem, self._holders[at:], self._keys[at:], frozen), maxlen=0)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """No other thread that uses one of the modules may come in: for looking at what they hold."""
        return _locked(self._locks)

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[None]:
        """Whatever is put inside, the modules hold afterwards what they held before. No other thread may come in."""
        with _locked(self._locks):
            own, depth = self.__dict__, self.depth  # what is known of the slots is put back with them
            kept = [*self._held(0, None), depth, self.current]
            holders, keys = [*self._holders, own, own], [*self._keys, "depth", "current"]
            try:
                try:
                    if not depth:
                        self._original = kept
                    self.depth = depth + 1
                    yield
                finally:
                    deque(map(setitem, holders, keys, kept), maxlen=0)
            finally:
                deque(map(setitem, holders, keys, kept), maxlen=0)

    def leaf_place(self, holder: Any, key: str) -> int | None:
        """Which leaf a dictionary holds at a key; None for what is no leaf."""
        at = range(len(self._leaves))
        return next((self._leaves[i] for i in at if self._holders[i] is holder and self._keys[i] == key), None)

    def buffer_place(self, holder: Any, key: str) -> int:
        """Which buffer a dictionary holds at a key."""
        first = len(self._leaves)
        at = range(len(self._buffers))
        return next(self._buffers[i] for i in at if self._holders[first + i] is holder and self._keys[first + i] == key)

    def leaves(self) -> dict[int, Tensor]:
        """What the modules hold now, by the leaf's place; players that are tensors have no slot."""
        return dict(zip(self._leaves, self._held(0, len(self._leaves)), strict=True))

    def buffers(self) -> list[Tensor]:
        """The buffers that the modules hold now, each once."""
        at = len(self._leaves)
        return [self._holders[at + i][self._keys[at + i]] for i in self._once]

    def frozen(self) -> list[Tensor]:
        """The parameters that are not trained, slot by slot."""
        return self._held(self._first_frozen, None)

    def own_buffers(self) -> list[tuple[Any, str, Tensor]]:
        """The users' own buffers, whatever the modules hold now: (holder, key, tensor), each once."""
        at, held = len(self._leaves), self._original if self.depth else self._held(0, None)
        return [(self._holders[at + i], self._keys[at + i], held[at + i]) for i in self._once]

    def _held(self, first: int, end: int | None) -> list[Any]:
        try:
            return [d[k] for d, k in zip(self._holders[first:end], self._keys[first:end], strict=True)]
        except KeyError as error:
            got, remedy = f"{error.args[0]!r} taken away (a parametrisation?)", "make the game anew"
            raise ArgumentError(
                "players", "the modules and parameters that the game was made with", got, remedy
            ) from error


@contextlib.contextmanager
def in_modes(modules: Sequence[nn.Module], modes: Sequence[bool]) -> Iterator[None]:
    """Modules in these modes (`training`), and afterwards in those that they had, whatever is done inside."""
    before = [m.training for m in modules]
    try:
        try:
            _set_modes(modules, modes)
            yield
        finally:
            _set_modes(modules, before)
    finally:
        _set_modes(modules, before)


def _set_modes(modules: Sequence[nn.Module], modes: Sequence[bool]) -> None:
    changed = [(m, mode) for m, mode in zip(modules, modes, strict=True) if m.training is not mode]
    for m, mode in changed:
        m.training = mode


def _locks(modules: Sequence[nn.Module]) -> list[Any]:
    with MAKING:
        new: Any = threading.RLock()
        found = {id(lock): lock for lock in (LOCKS.setdefault(m, new) for m in modules)}
    return [found[i] for i in sorted(found)]


@contextlib.contextmanager
def _locked(locks: Sequence[Any]) -> Iterator[None]:
    if not locks:
        yield
    elif len(locks) == 1:
        with locks[0]:
            yield
    else:
        with locks[0], _locked(locks[1:]):
            yield
