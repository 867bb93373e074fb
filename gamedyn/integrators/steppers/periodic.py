"""The stepper of periodic steps: simultaneous moves with a length for each player."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn.integrators._types import OK, StepInfo, Stepper
from gamedyn.methods import Periodic

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField

__all__ = ["PeriodicStepper"]


class PeriodicStepper(Stepper):
    """`y_i <- y_i + h l_ji v_i(y)` for every move j; the moves of a step share its span of time evenly."""

    takes: ClassVar[type] = Periodic

    def __init__(self, method: Periodic) -> None:
        self.method = method
        self._lengths = [tuple(map(float, move)) for move in method.lengths]

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """No memory; checks that the moves fit the game."""
        self.method.check_players(len(field.names))
        return {}

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: an evaluation a move."""
        out, count = y.clone(), len(self._lengths)
        (velocity,) = field.stages(1)
        for j, lengths in enumerate(self._lengths):
            field(t + j / count * h if j else t, out, velocity)
            for at, length in zip(field.players, lengths, strict=True):
                if isinstance(h, torch.Tensor):
                    out[..., at].addcmul_(velocity[..., at], h, value=length)
                elif length:
                    out[..., at].add_(velocity[..., at], alpha=h * length)
        return out, {}, OK
