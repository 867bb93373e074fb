"""What changes when a module is merely evaluated, and must not inside a step.

Batch norm writes running statistics, spectral norm its power-iteration vectors, dropout draws. Within a
step all are held, so that every stage sees one field; once per step, at its first evaluation, they advance.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["RandomState", "SideEffects"]


class SideEffects:
    """The modules of a game that change when evaluated in training mode."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.statistics = [m for m in modules if isinstance(m, _NormBase) and m.training and m.track_running_stats]
        self.spectral = [m for m in modules if isinstance(m, _SpectralNorm) and m.training]
        ids = {id(m) for m in self.spectral}
        self._owners = [
            (m, name)
            for m in modules
            if is_parametrized(m)
            for name, chain in cast("nn.ModuleDict", m.parametrizations).items()
            if any(id(p) in ids for p in cast("nn.ModuleList", chain))
        ]

    def __bool__(self) -> bool:
        return bool(self.statistics or self.spectral)

    @contextlib.contextmanager
    def held(self, *, statistics: bool = True) -> Iterator[None]:
        """Hold spectral-norm vectors, and batch statistics too unless told otherwise."""
        norms = self.statistics if statistics else []
        momenta = [m.momentum for m in norms]
        for m in norms:
            m.track_running_stats = False
            if isinstance(m, _InstanceNorm):  # looks at its statistics all the same; with momentum 0 they stay
                m.momentum = 0.0
        for s in self.spectral:
            s.training = False
        try:
            yield
        finally:
            for m, momentum in zip(norms, momenta, strict=True):
                m.track_running_stats, m.momentum = True, momentum
            for s in self.spectral:
                s.training = True

    def iterate_spectral(self) -> None:
        """One power iteration of every spectral norm, at the parameters now bound."""
        with torch.no_grad():
            for module, name in self._owners:
                getattr(module, name)


class RandomState:
    """The default generators' state, to replay the randomness inside losses at every stage of a step."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        """Set the default generators back."""
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)

    def same(self) -> bool:
        """Whether nothing has been drawn since."""
        if not torch.equal(self._cpu, torch.get_rng_state()):
            return False
        return self._cuda is None or torch.equal(self._cuda, torch.cuda.get_rng_state(self._device))
