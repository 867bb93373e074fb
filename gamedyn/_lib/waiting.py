"""A sign of life for work that cannot say how far it is."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["waiting"]

DELAY, EVERY = 2.0, 0.5
"""Seconds before anything is shown, and between two signs."""


@contextlib.contextmanager
def waiting(what: str, *, shown: bool = True) -> Iterator[None]:
    """Show what is being done and for how long, after two seconds: on a terminal, unless TQDM_DISABLE is set.

    Args:
        what: in a few words.
        shown: whether to.
    """
    quiet = os.environ.get("TQDM_DISABLE", "") not in ("", "0")
    if quiet or not (shown and sys.stderr.isatty()):
        yield
        return
    done = threading.Event()

    def live() -> None:
        if done.wait(DELAY):
            return
        with tqdm(desc=what, bar_format="{desc} [{elapsed}]", leave=False, disable=None) as bar:
            bar.start_t = time.time() - DELAY
            while not done.wait(EVERY):
                bar.refresh()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
