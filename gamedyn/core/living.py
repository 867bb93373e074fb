"""How much memory operations hold: of storages that torch makes while the mode is on, on any device."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Living"]

SMALLEST = 2048
"""Bytes: what is not larger is left out."""


class Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The bytes of all storages that operations have made and that are still in use, `now`, and their `peak`.

    Example:
        >>> import torch
        >>> with Living() as living:
        ...     x = torch.zeros(1000)
        ...     del x
        >>> living.now, living.peak
        (0, 4000)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        self.peak: int = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and look at what it gives."""
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, torch.Tensor):
                self._seen(x.untyped_storage())
        return out

    def _seen(self, storage: Any) -> None:
        key = storage._cdata
        if key not in self._sizes and storage.nbytes() > SMALLEST:
            self._sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self._sizes.pop(key)
