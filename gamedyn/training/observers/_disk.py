"""What observers write: a disk that takes no more warns, and the run goes on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError, warn_caller
from gamedyn.integrators.drive.checkpoints import CheckpointWarning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["written"]


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """Warn of what cannot be written to a path, as of a checkpoint; the next time it is tried again."""
    try:
        yield
    except (OSError, ArgumentError) as error:
        cause = error.__cause__ if isinstance(error, ArgumentError) else error
        if not isinstance(cause, OSError):
            raise
        text = f"{path} could not be written ({cause.strerror or cause}); the run goes on without it"
        warn_caller(text, CheckpointWarning)
