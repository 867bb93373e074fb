"""What memory a device has left."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import torch

from gamedyn._lib.errors import ArgumentError

__all__ = ["available", "check_room"]


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


def check_room(rows: int, like: torch.Tensor, remedy: str) -> None:
    """Refuse so many vectors of the length of one where they do not fit.

    Raises:
        ArgumentError: with what it would take, and what there is.
    """
    needed, free = rows * like.numel() * like.element_size(), available(like.device)
    if needed > free:
        got = f"{rows} vectors of {like.numel()} numbers, {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free"
        raise ArgumentError("vectors", "as many as fit into memory", got, remedy)
