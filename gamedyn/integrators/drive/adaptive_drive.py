"""The loop of adaptive solves: it goes on until a time, and keeps what dense output needs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from gamedyn.integrators.drive.adaptive import AdaptiveStepper
from gamedyn.integrators.drive.dense import DenseOutput
from gamedyn.integrators.drive.loop import CHECKPOINT_SECONDS, Loop

if TYPE_CHECKING:
    from gamedyn.integrators.drive.run import Run

__all__ = ["AdaptiveLoop"]


class AdaptiveLoop(Loop):
    """Steps until the plan's end; `save_at` and `dense` are served by Hermite interpolation."""

    def __init__(self, *args: Any, times: tuple[float, ...] = (), dense: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self._times = sorted(times)
        self._dense: list[tuple[float, Tensor, Tensor]] | None = [] if dense else None

    def _steps(
        self, y: Tensor, memory: Any, step: int, t: float, batch: Any, bar: Any
    ) -> tuple[Tensor, Any, int, float]:
        plan, field, noted = self.plan, self.field, time.monotonic()
        stepper: AdaptiveStepper = self.integrator  # type: ignore[assignment]
        end: float = plan.end  # type: ignore[assignment]
        self._times = [x for x in self._times if x >= t]
        if self._times and self._times[0] == t:
            self.saved[self._times.pop(0)] = field.state(y.clone())
        self.extra = {"t": [], "h": [], "error": []}
        while t < end:
            field.begin_step(batch)
            self.pending = [batch]
            with field.session():
                new, after, info = stepper.step(field, t, y, end - t, memory)
            self._record(step, t)
            self._count(info)
            if info.status != "ok":
                self.status = info.status if self._checked(y, memory, step, t) else "non_finite"
                return y, memory, step, t
            start, taken = t, float(info.h or 0.0)
            t = end if taken >= (end - t) * (1 - 1e-12) else t + taken
            y, memory, step = new, after, step + 1
            for name, value in (("t", start), ("h", taken), ("error", stepper.last["size"])):
                self.extra[name].append(value)
            self._keep(stepper, start, t)
            bar.update(taken)
            stop = self._called(step, t, y)
            if (step % plan.check_every == 0 or stop or t >= end) and not self._checked(y, memory, step, t):
                return y, memory, step, t
            if self.checkpoint is not None and time.monotonic() - noted > CHECKPOINT_SECONDS:
                noted = time.monotonic()
                self._finish()
            if stop or (t < end and memory["tried"] >= stepper.control.max_steps):
                self.status = "stopped" if stop else "too_many_steps"
                if not stop:
                    self._checked(y, memory, step, t)
                return y, memory, step, t
            batch = self._next_batch() if t < end else batch
        return y, memory, step, t

    def _keep(self, stepper: AdaptiveStepper, start: float, t: float) -> None:
        """What lies within the step just made: times to save, and the nodes of dense output."""
        field = self.field
        while self._times and self._times[0] <= t:
            when = self._times.pop(0)
            y = stepper.last["new"] if when == t else stepper.at(field, when)
            self.saved[when] = field.state(y.clone())
        if self._dense is not None:
            stepper.at(field, t)
            s = stepper.last
            if not self._dense:
                self._dense.append((start, s["y"].clone(), s["first"].clone()))
            self._dense.append((t, s["new"].clone(), s["last"].clone()))

    def _finish(self) -> Any:
        run = super()._finish()
        if self._dense:
            times, points, slopes = zip(*self._dense, strict=True)
            at = torch.tensor(times, dtype=torch.float64)
            dense = DenseOutput(at, torch.stack(points), torch.stack(slopes))
            earlier = None if self._past is None else self._past.dense
            run.dense = (dense if earlier is None else earlier.joined(dense)).until(run.t)
        return run

    def _first_memory(self, t: float, y: Tensor, past: Run | None) -> Any:
        """That of the resumed run: attempts are counted anew, and its slope stays if it is this field's."""
        memory = {**super()._first_memory(t, y, past), "tried": 0}
        if memory["slope"] is not None:  # the batch, or the flow, may be another one
            present = self.field.peek(t, y)
            near = torch.finfo(y.dtype).eps ** 0.5 * present.norm()
            if not (memory["slope"] - present).norm() <= near:
                memory["slope"] = None
        return memory

    def _bar(self, step: int, t: float, progress: bool) -> Any:
        total = float(self.plan.end) - t  # type: ignore[arg-type]
        shown = "{l_bar}{bar}| {n:.4g}/{total:.4g} of time [{elapsed}<{remaining}]"
        return tqdm(total=total, disable=None if progress else True, bar_format=shown)
