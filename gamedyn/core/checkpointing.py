"""Checkpointed activations inside a field.

A reentrant checkpoint accumulates into `.grad` during a backward pass of its own, which no gradient with respect to
given tensors can have; the other kind gives the same numbers and can. Where a gradient is differentiated again, nothing
is saved by computing activations twice, and what is computed again would be of the point that the modules hold by then:
both kinds are plain calls there.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from torch.utils import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["checkpoints", "evaluating"]

WITHIN = threading.local()
REENTRANT: Any = checkpoint.CheckpointFunction
OTHER: Any = checkpoint._checkpoint_without_reentrant_generator
MAKING = threading.Lock()


class _Reentrant:
    """Stands for `CheckpointFunction` while fields are evaluated; for threads that evaluate none it is the same."""

    users = 0
    """Evaluations that are going on."""

    @staticmethod
    def apply(function: Any, preserve: bool, *args: Any) -> Any:
        """What `checkpoint(..., use_reentrant=True)` calls."""
        mode = getattr(WITHIN, "mode", None)
        if mode is None:
            return REENTRANT.apply(function, preserve, *args)
        if mode == "plain":
            return function(*args)
        return checkpoint.checkpoint(function, *args, use_reentrant=False, preserve_rng_state=preserve)


def _other(*args: Any, **kwargs: Any) -> Any:
    """Stands for the generator around a call of the other kind."""
    return _around() if getattr(WITHIN, "mode", None) == "plain" else OTHER(*args, **kwargs)


def _around() -> Iterator[None]:
    yield


@contextlib.contextmanager
def checkpoints() -> Iterator[None]:
    """PyTorch's two ways replaced for as long as any thread evaluates a field; `evaluating` says how, by thread."""
    before = getattr(WITHIN, "mode", None)
    try:
        with MAKING:
            _Reentrant.users += 1
            checkpoint.CheckpointFunction = _Reentrant  # type: ignore[misc,assignment]
            checkpoint._checkpoint_without_reentrant_generator = _other
        WITHIN.mode = "other"
        yield
    finally:
        WITHIN.mode = before
        with MAKING:
            _Reentrant.users -= 1
            if not _Reentrant.users:
                checkpoint.CheckpointFunction = REENTRANT  # type: ignore[misc]
                checkpoint._checkpoint_without_reentrant_generator = OTHER


def evaluating(*, plain: bool) -> None:
    """Inside `checkpoints`: whether checkpointed calls are plain ones from now on, for gradients of gradients."""
    WITHIN.mode = "plain" if plain else "other"
