"""What a game's graphs hold in memory, measured by one evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gamedyn.core.effects import storage

if TYPE_CHECKING:
    from gamedyn.core import Field, State

__all__ = ["FORWARD", "FORWARD_DOUBLE", "KEPT", "evaluation_bytes"]

KEPT = 4.5
"""Bytes of both kept graphs, at their peak, over those that one evaluation makes (measured: 1.6 to 4.2)."""

FORWARD = 2.5
"""The same of a forward-over-reverse product (measured: 1.1 to 2.0)."""

FORWARD_DOUBLE = 4.0
"""The same where the flow differentiates a gradient (measured: 1.3 to 3.6)."""


class _Produced(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of every tensor that operations make."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        known = {storage(x) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and storage(x) not in known:
                self.bytes += x.numel() * x.element_size()
        return out


def evaluation_bytes(field: Field, state: State) -> int:
    """Bytes of all tensors that one evaluation of the field makes: a bound on what its graph can hold."""
    with _Produced() as produced:
        field.peek(0.0, state.y)
    return int(produced.bytes)
