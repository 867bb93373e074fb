"""What the C library does with freed memory."""

from __future__ import annotations

import ctypes
import os
import platform

__all__ = ["keep_freed_memory"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt`, as <malloc.h> numbers them."""

NEVER = 2**31 - 1
"""The largest number that `mallopt` takes."""


def keep_freed_memory() -> bool:
    """Let this process keep freed arrays for the next ones; whether the C library was asked to.

    By default glibc gives large arrays back to the system as they are freed, and each evaluation of a network on the
    CPU gets its pages anew, zeroed one by one. For programs of one's own alone: it holds for the whole process. Nothing
    is changed where the C library is another one, or is configured already (MALLOC_..., GLIBC_TUNABLES).

    Source: mallopt(3).
    """
    told = any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    if told or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(p, NEVER) == 1 for p in (TRIM_THRESHOLD, MMAP_THRESHOLD))
