"""Modes around a call that must not reach into the field: what is evaluated is the losses, as they are written."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ambient", "sheltered", "shielded"]

F = TypeVar("F", bound="Callable[..., Any]")
TYPES = ("cpu", "cuda")


def ambient() -> bool:
    """Whether any mode is on that `sheltered` turns off: a fraction of a microsecond."""
    return (
        torch.is_inference_mode_enabled()
        or torch.is_anomaly_enabled()
        or bool(parametrize._cache_enabled)
        or torch.is_autocast_enabled("cpu")
        or torch.is_autocast_enabled("cuda")
    )


@contextlib.contextmanager
def sheltered() -> Iterator[None]:
    """Autocast, inference mode, anomaly detection and cached parametrisations off.

    Autocast inside the losses is theirs; around the call it would round sums of stages and Newton's residuals.
    Cached parametrisations would keep the weights of another point; inference mode cannot differentiate; anomaly
    detection reads numbers on the host, which no batched product survives.
    """
    if not ambient():
        yield
        return
    kept, enabled = parametrize._cache, parametrize._cache_enabled
    with contextlib.ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.autograd.set_detect_anomaly(False))
        for kind in TYPES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        try:
            parametrize._cache, parametrize._cache_enabled = {}, 0
            yield
        finally:
            parametrize._cache, parametrize._cache_enabled = kept, enabled


def shielded(function: F) -> F:
    """A function that the modes around its call do not reach (`sheltered`)."""

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        if not ambient():
            return function(*args, **kwargs)
        with sheltered():
            return function(*args, **kwargs)

    return inside  # type: ignore[return-value]
