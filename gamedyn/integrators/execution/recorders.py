"""What records a function of tensors at fixed addresses and runs it again: a CUDA graph, or a tape on the CPU.

A recorder calls the function several times, so that whoever asks restores what it writes, and `replay` runs the same
operations on the same memory without Python's say. Both refuse what would be wrong on either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.utils._pytree import tree_leaves

from gamedyn.integrators.execution.operations import Operation, Operations

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CannotCaptureError", "CudaGraphs", "Recorder", "Recording", "Tape", "recorder"]

WARM_UPS = 3
"""As many as libraries take until they allocate nothing more (CUDA Graphs, PyTorch's own `make_graphed_callables`)."""


class CannotCaptureError(RuntimeError):
    """A function does something that cannot be recorded."""


class Recording(Protocol):
    """What was recorded."""

    def replay(self) -> None:
        """The same operations on the same memory."""


class Recorder(Protocol):
    """How to record."""

    def record(self, function: Callable[[], None]) -> Recording:
        """Call the function several times and record one of them.

        Raises:
            CannotCaptureError: where it waits for the device, or freezes in what the host has decided.
        """


class CudaGraphs:
    """Records as a CUDA graph: warmed up on a side stream, in a memory pool of its own."""

    def record(self, function: Callable[[], None]) -> Recording:
        """See `Recorder`."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                function()
            seen(function)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side):
            function()
        return graph


class Tape:
    """Records the operations with their tensors, and runs them again into the same memory: a CUDA graph on the CPU."""

    def record(self, function: Callable[[], None]) -> Recording:
        """See `Recorder`."""
        function()
        return Tracks([o for o in seen(function) if o.runs])


class Tracks:
    """Operations to be run again."""

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = [(o, {id(x) for x in o.fresh}) for o in operations]

    @torch.no_grad()
    def replay(self) -> None:
        """The same operations on the same memory."""
        for operation, fresh in self.operations:
            again: Any = operation.function(*operation.args, **operation.kwargs)
            if fresh:
                for kept, now in zip(tree_leaves(operation.out), tree_leaves(again), strict=True):
                    if id(kept) in fresh:
                        kept.copy_(now)


def seen(function: Callable[[], None]) -> Operations:
    """A call of the function, operation by operation.

    Raises:
        CannotCaptureError: where one waits for the device, or freezes in what the host has decided.
    """
    with Operations() as operations:
        function()
    if why := [*operations.reads, *operations.sends]:
        raise CannotCaptureError("; ".join(dict.fromkeys(why)))
    return operations


def recorder(device: torch.device) -> Recorder:
    """That of a device: a CUDA graph there, a tape on the CPU."""
    return CudaGraphs() if device.type == "cuda" else Tape()
