"""The generators that losses may draw from without being asked: PyTorch's, Python's and NumPy's default ones."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["OwnRandomness", "RandomState", "reseeded"]


CPU, KINDS = torch.device("cpu"), ("torch", "python", "numpy")


class RandomState:
    """The default generators' states, to replay the randomness inside losses at every stage of a step.

    Args:
        device: whose generator counts besides the CPU's.
        kinds: of "torch", "cuda", "python", "numpy"; None: all that there are.
    """

    def __init__(self, device: torch.device, kinds: tuple[str, ...] | None = None) -> None:
        known = _generators(device)
        self._generators = known if kinds is None else {k: known[k] for k in kinds}
        self.kinds = tuple(self._generators)
        self._states = {kind: get() for kind, (get, _) in self._generators.items()}

    def restore(self) -> None:
        """Set the generators back."""
        for kind, (_, put) in self._generators.items():
            put(self._states[kind])

    def state_dict(self) -> dict[str, Any]:
        """The states as tensors, numbers and tuples of them."""
        return {k: _told(state) for k, state in self._states.items()}

    @classmethod
    def of(cls, device: torch.device, states: Mapping[str, Any]) -> RandomState:
        """Those that `state_dict` gave."""
        found = cls(device, tuple(k for k in states if k in _generators(device)))
        found._states = {k: _read(k, states[k]) for k in found.kinds}
        return found

    def moved(self) -> tuple[str, ...]:
        """Kinds of generators that have been drawn from since."""
        return tuple(k for k, (get, _) in self._generators.items() if not _same(get(), self._states[k]))


class OwnRandomness:
    """Default generators of one's own, seeded: what is called inside draws from them, and the caller's stand still.

    Args:
        seed: of PyTorch's, Python's and NumPy's.
    """

    def __init__(self, seed: int) -> None:
        self._own = RandomState(CPU, KINDS)
        self._own._states = {
            "torch": torch.Generator().manual_seed(seed).get_state(),
            "python": random.Random(seed).getstate(),
            "numpy": np.random.RandomState(seed % 2**32).get_state(legacy=True),
        }

    def state_dict(self) -> dict[str, Any]:
        """Where they stand, as tensors, numbers and tuples of them."""
        return self._own.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let them stand there."""
        self._own = RandomState.of(CPU, state)

    @contextlib.contextmanager
    def drawn_from(self) -> Iterator[None]:
        """Put them in the place of the default ones."""
        caller = RandomState(CPU, KINDS)
        self._own.restore()
        try:
            yield
        finally:
            self._own = RandomState(CPU, KINDS)
            caller.restore()


def reseeded(holders: Iterable[Any], seed: int) -> None:
    """Seed the generators that objects hold as attributes, each with another seed: PyTorch's, NumPy's and Python's."""
    kinds = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
    attributes = [x for h in holders for x in list(getattr(h, "__dict__", {}).values())]
    found = {id(x): x for x in attributes if isinstance(x, kinds)}
    for own, generator in enumerate(found.values(), seed):
        if isinstance(generator, torch.Generator):
            generator.manual_seed(own)
        elif isinstance(generator, np.random.Generator):
            bits: Any = generator.bit_generator
            bits.state = type(bits)(own).state
        elif isinstance(generator, np.random.RandomState):
            generator.seed(own % 2**32)
        else:
            generator.seed(own)


def _generators(device: torch.device) -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    found: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
        "torch": (torch.get_rng_state, torch.set_rng_state),
        "python": (random.getstate, random.setstate),
        "numpy": (lambda: np.random.get_state(legacy=True), np.random.set_state),  # noqa: NPY002
    }
    if device.type == "cuda":
        found["cuda"] = (
            lambda: torch.cuda.get_rng_state(device),
            lambda state: torch.cuda.set_rng_state(state, device),
        )
    return found


def _told(state: Any) -> Any:
    if isinstance(state, np.ndarray):
        return torch.from_numpy(state.astype(np.int64))
    return tuple(map(_told, state)) if isinstance(state, tuple) else state


def _read(kind: str, state: Any) -> Any:
    if kind == "numpy":
        name, keys, *rest = state
        return (name, keys.cpu().numpy().astype(np.uint32), *rest)
    return state.cpu() if isinstance(state, torch.Tensor) else state


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, tuple) and len(a) < 10:  # of arrays and numbers; Python's holds 625 numbers
        return all(map(_same, a, b))
    return bool(a == b)
