"""What a game's graphs hold in memory, measured by one evaluation; and what there is."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from gamedyn.core import Field, State

__all__ = ["FORWARD", "FORWARD_DOUBLE", "KEPT", "available", "evaluation_bytes"]

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
        known = {x.untyped_storage().data_ptr() for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and x.untyped_storage().data_ptr() not in known:
                self.bytes += int(x.untyped_storage().nbytes())
        return out


def evaluation_bytes(field: Field, state: State, batch: Any) -> int:
    """Bytes of all tensors that one evaluation of the field makes: a bound on what its graph can hold."""
    field.batch = batch
    with _Produced() as produced:
        field.peek(0.0, state.y)
    return int(produced.bytes)


def available(device: torch.device) -> int:
    """Bytes of memory that are free on a device, those that PyTorch or the system keeps for reuse included."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + unused)
    with contextlib.suppress(OSError, StopIteration):  # pages of the file cache count: they are given up when asked for
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
    return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
