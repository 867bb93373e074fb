"""The stepper of Lookahead over methods that are no Runge-Kutta method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators._types import StepInfo, Stepper
from gamedyn.integrators.equations.newton import Anderson, NewtonKrylov
from gamedyn.integrators.steppers.multistep import MultistepStepper
from gamedyn.integrators.steppers.partitioned import PartitionedStepper
from gamedyn.integrators.steppers.predictor_corrector import PredictorCorrectorStepper
from gamedyn.methods import Lookahead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from gamedyn.core import VectorField
    from gamedyn.core.protocols import Linearised

__all__ = ["LookaheadStepper"]


INNER: tuple[Any, ...] = (MultistepStepper, PredictorCorrectorStepper, PartitionedStepper)


class LookaheadStepper(Stepper):
    """k inner steps, then `y + alpha (z - y)`; the inner memory is made anew every time."""

    takes: ClassVar[type] = Lookahead
    options: ClassVar[tuple[str, ...]] = ("solver", "history")
    solvers: ClassVar[tuple[type, ...]] = (NewtonKrylov, Anderson)

    def __init__(self, method: Lookahead, **options: Any) -> None:
        family = next(s for s in INNER if isinstance(method.inner, s.takes))
        for name in options:
            if name not in family.options:
                raise ArgumentError(name, f"none for {method.inner!r}", options[name])
        self.method, self.inner = method, family(method.inner, **options)
        self.variational = self.inner.variational  # type: ignore[misc]
        self._alpha, self._clock = float(method.alpha), float(method.alpha * method.k)

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, Any, StepInfo]:
        """One step of k inner ones."""
        slow: VectorField = _Slowed(field, t, self._clock)
        counts: dict[str, float] = {}
        inner, z = self.inner.init(slow, t, y, h), y
        for j in range(self.method.k):
            z, inner, info = self.inner.step(slow, t + j * h, z, h, inner)
            for name, count in info.counts.items():
                counts[name] = counts.get(name, 0.0) + count
            if info.status != "ok":
                return z, memory, StepInfo(info.status, counts)
        return torch.lerp(y, z, self._alpha), memory, StepInfo("ok", counts)


class _Slowed:
    """The field with time running slower from t on: the clock of Lookahead covers alpha k inner steps in one."""

    def __init__(self, field: VectorField, start: float | Tensor, clock: float) -> None:
        self._field, self._start, self._clock = field, start, clock
        self.layout, self.names, self.players, self.shape = field.layout, field.names, field.players, field.shape
        self.parts, self.whole_parts = field.parts, field.whole_parts
        self.rates, self.rated, self.noise = field.rates, field.rated, field.noise
        self.point, self.persistent, self.autonomous = field.point, field.persistent, field.autonomous
        self.work, self.batch_id, self.keeps_batch = field.work, field.batch_id, field.keeps_batch

    def _time(self, t: Any) -> Any:
        return self._start + (t - self._start) / self._clock

    def __call__(self, t: Any, y: Tensor, out: Tensor | None = None) -> Tensor:
        """The velocity at the slower time."""
        return self._field(self._time(t), y, out)

    def player(self, i: int, t: Any, y: Tensor, out: Tensor | None = None) -> Tensor:
        """One player's part."""
        return self._field.player(i, self._time(t), y, out)

    def weighted(self, factors: Mapping[str, float], t: Any, y: Tensor, out: Tensor | None = None) -> Tensor:
        """A weighted sum of parts."""
        return self._field.weighted(factors, self._time(t), y, out)

    def linearise(self, t: Any, y: Tensor) -> Linearised:
        """The field with its derivative."""
        return self._field.linearise(self._time(t), y)

    def stages(self, count: int, player: int | None = None) -> Tensor:
        """Room that the field does not keep: it is new in every step."""
        return self._field.room(count, player)

    def room(self, count: int, player: int | None = None) -> Tensor:
        """The same."""
        return self._field.room(count, player)

    def release(self, rows: Sequence[Tensor]) -> None:
        """Nothing is kept."""
