"""Freed arrays are kept for the next ones, where the C library can be told to."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, torch
from gamedyn._lib.allocator import keep_freed_memory
print(keep_freed_memory())
for _ in range(20): torch.ones(6_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): torch.ones(6_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def told(**environment):
    """Whether a process could tell, and the page faults of ten arrays of 24 MB there."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_") and k != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=own | environment, capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    return kept == "True", int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_arrays_get_the_pages_of_freed_ones():
    # rejects: mallopt's parameters mixed up, one of the two left out, what the user asks for overridden
    assert told()[0]
    assert told()[1] < 100  # a new array has 5,860 pages of 4 KB
    kept, faults = told(MALLOC_MMAP_THRESHOLD_="100000")
    assert not kept
    assert faults > 10 * 5_000
