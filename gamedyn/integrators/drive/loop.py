"""The one loop. It sees the Integrator protocol and knows no method by name."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError, SolveError
from gamedyn.core import State
from gamedyn.integrators._types import label
from gamedyn.integrators.drive.run import Records, Run, writable
from gamedyn.integrators.execution.compiled import CompiledStep

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from gamedyn.integrators._types import Integrator
    from gamedyn.jacobian import HeldField

__all__ = ["Loop", "Plan"]

CHECKPOINT_SECONDS = 60.0

FAILURES = {
    "non_finite": (
        "the state stopped being finite",
        "h = {h} may be beyond the method's stability limit: see gamedyn.spectrum.stable_steps",
    ),
    "not_converged": (
        "a stage did not converge",
        "h = {h}: take shorter steps, or a solver with a looser rtol (1e-3 for networks of ReLUs) or more iterations",
    ),
    "krylov_breakdown": ("a linear system was singular", "h = {h} meets an eigenvalue of J: take another step"),
    "step_too_small": (
        "the step fell below h_min",
        "the tolerances ask for shorter ones: a fast field (give a smaller h_min), one that is not smooth, or noise",
    ),
    "too_many_steps": ("max_steps was reached", "raise StepControl's max_steps, or loosen its tolerances"),
}
"""Statuses that end a run before its end, in words, and what may be done."""


@dataclass(frozen=True)
class Plan:
    """How far to go: step size, steps in all, first time, a shortened last step, times to save, rhythms."""

    h: float | Tensor | Callable[[int], float] | None
    steps: int
    start: float
    last: float | None
    saves: dict[int, float]
    every: int
    check_every: int
    end: float | None = None
    """End of an adaptive solve, whose steps are not known before."""


class Kept(NamedTuple):
    """What a failure must not lose: the last checked state, and all that is needed to go on from it."""

    y: Tensor
    memory: Any
    step: int
    t: float
    buffers: tuple[Tensor, ...]
    streams: dict[str, Any] | None


class Loop:
    """Steps a field by an integrator, keeping what a failure must not lose."""

    def __init__(
        self,
        field: HeldField,
        integrator: Integrator,
        plan: Plan,
        draw: Callable[[], Any] | None,
        streams: list[Any] | None,
        *,
        compile: bool,
        checkpoint: str | os.PathLike[str] | None,
        on_step: Callable[..., Any] | None,
    ) -> None:
        self.field, self.integrator, self.plan = field, integrator, plan
        self.draw, self.streams = draw, streams
        self.checkpoint, self.on_step = checkpoint, on_step
        self.compiled = CompiledStep(integrator) if compile else None
        self.stepping = self.compiled or integrator
        self.drawn = 0
        self.pending: list[Any] = []
        self.saved: dict[float, State] = {}
        self.rows: list[Tensor] = []
        self.marks: list[tuple[int, float]] = []
        self.extra: dict[str, list[float]] = {}
        self.counts: dict[str, float] = {}
        self.status = "done"

    @torch.no_grad()
    def run(self, state: State, past: Run | None, *, throw: bool, progress: bool) -> Run:
        """Go on from a state until the plan is fulfilled, or something happens."""
        self._began, self._past = time.perf_counter(), past
        step, y = (0, state.y) if past is None else (past.step, past.state.y)
        if past is not None and past.step > self.plan.steps:
            raise ArgumentError("steps", f"at least the {past.step} steps already done", self.plan.steps)
        if self.checkpoint is not None:
            writable(self.checkpoint)
        self._bring_buffers(state)
        streams = self._standing()
        first = self._next_batch()
        self.field.open(y, first, self._time(step) if past is None else past.t)
        self.field.draw = self._fresh_batch if self.field.sampling == "fresh" and self.draw is not None else None
        t = self._time(step) if past is None else past.t
        self._from = t
        memory = self._first_memory(t, y, past)
        self.good = Kept(y.clone(), _copied(memory), step, t, self._buffers(), streams)
        self.alive = torch.ones(y.shape[:-1], dtype=torch.bool, device=y.device)
        if past is not None and not isinstance(past.status, str):
            self.alive &= torch.tensor([s != "non_finite" for s in past.status], device=y.device)
        with self._bar(step, t, progress) as bar:
            try:
                with self.field.session() if self._alone() else contextlib.nullcontext():
                    y, memory, step, t = self._steps(y, memory, step, t, first, bar)
            except BaseException:  # Ctrl-C, or whatever the losses or on_step raise
                self.status = "interrupted"
                with contextlib.suppress(ArgumentError):  # a file that cannot be written must not hide the cause
                    self._finish()
                raise
        run = self._finish()
        if throw and self.status in FAILURES:
            raise SolveError(self._failure(step, run.step), run)
        return run

    def _bar(self, step: int, t: float, progress: bool) -> Any:
        return tqdm(total=self.plan.steps, initial=step, disable=None if progress else True, unit="step")

    def _failure(self, step: int, kept: int) -> str:
        what, remedy = FAILURES[self.status]
        where = f"{what} after step {step} (last checked finite state: step {kept}, error.run.state); "
        if not self.field.finite_at_start:
            return where + "the field was not finite at the start: look for nan or inf in parameters, batch and losses"
        return where + remedy.format(h=self._shown_h())

    def _steps(
        self, y: Tensor, memory: Any, step: int, t: float, batch: Any, bar: Any
    ) -> tuple[Tensor, Any, int, float]:
        plan, field = self.plan, self.field
        if step in plan.saves:
            self.saved[plan.saves[step]] = field.state(y.clone())
        noted = time.monotonic()
        while step < plan.steps:
            field.begin_step(batch)
            self.pending = [batch]
            h: Any = positive(f"h({step})", plan.h(step)) if callable(plan.h) else plan.h
            if plan.last is not None and step == plan.steps - 1:
                h = plan.last
            when = step * h if isinstance(h, Tensor) else t  # members with steps of their own have their own times
            with field.session():
                new, after, info = self.stepping.step(field, when, y, h, memory)
            self._record(step, t)
            self._count(info)
            if info.status != "ok":  # the step is rejected
                self.status = info.status if self._checked(y, memory, step, t) else "non_finite"
                break
            y, memory = new, after
            step += 1
            t = t + h if callable(plan.h) or h is plan.last else self._time(step)
            bar.update()
            stop = self._called(step, t, y)
            if step % plan.check_every == 0 or step == plan.steps or step in plan.saves or stop:
                if not self._checked(y, memory, step, t):
                    break
                if self.checkpoint is not None and time.monotonic() - noted > CHECKPOINT_SECONDS:
                    noted = time.monotonic()
                    self._finish()
            if step in plan.saves:
                self.saved[plan.saves[step]] = field.state(y.clone())
            if stop:
                self.status = "stopped"
                break
            batch = self._next_batch() if step < plan.steps else batch
        return y, memory, step, t

    def _record(self, step: int, t: float) -> None:
        if step % self.plan.every == 0 and self.field.losses:
            self.rows.append(torch.stack(self.field.losses))
            self.marks.append((step, t))

    def _count(self, info: Any) -> None:
        for name, count in info.counts.items():
            self.counts[name] = self.counts.get(name, 0.0) + count

    def _called(self, step: int, t: float, y: Tensor) -> bool:
        if self.on_step is None or step % self.plan.every:
            return False
        losses = dict(zip(self.field.names, self.field.losses, strict=False))
        with torch.enable_grad():
            answer = self.on_step(step, t, self.field.state(y.clone()), losses)
        try:
            return bool(answer)
        except (RuntimeError, ValueError, TypeError):
            remedy = "one truth value: any() or all() of them"
            raise ArgumentError("on_step", "a function that returns what is true or not", answer, remedy) from None

    def _checked(self, y: Tensor, memory: Any, step: int, t: float) -> bool:
        """Keep the state if it is finite; of an ensemble, the members that still are."""
        finite = y.isfinite().all(-1)
        if y.dim() == 1:
            if not bool(finite):
                self.status = "non_finite"
                return False
            self.good = Kept(y.clone(), _copied(memory), step, t, self._buffers(), self._standing())
            return True
        self.alive &= finite
        kept = torch.where(self.alive[:, None], y, self.good.y)
        self.good = Kept(kept, _copied(memory), step, t, self._buffers(), self._standing())
        return bool(self.alive.any())

    def _finish(self) -> Run:
        y, memory, step, t, buffers, streams = self.good
        run = Run(
            state=State(self.field.layout, y, buffers),
            memory=memory,
            t=t,
            step=step,
            status=self._statuses(),
            stats=self._stats(t),
            records=self._records(),
            saved={**(self._past.saved if self._past else {}), **self.saved},
            batches=streams,
        )
        if self.checkpoint is not None:
            run.save(self.checkpoint)
        return run

    def _statuses(self) -> str | tuple[str, ...]:
        if self.alive.dim() == 0:
            return self.status
        return tuple(self.status if ok else "non_finite" for ok in self.alive.tolist())

    def _stats(self, t: float) -> dict[str, Any]:
        work, before = self.field.work, self._past.stats if self._past else {}
        compiled = "no" if self.compiled is None else self.compiled.reason or "yes"
        sums = {
            "evaluations": work.evaluations,
            "player_gradients": work.player_gradients,
            "double_backward": work.double_backward,
            "products": work.products,
            **self.counts,
            "batches": self.drawn,
            "seconds": time.perf_counter() - self._began,
        }
        fresh, members = self.field.sampling == "fresh", self.field.members
        report: dict[str, Any] = getattr(self.integrator, "report", dict)()
        return {
            **{k: v for k, v in before.items() if isinstance(v, float) and k not in sums},
            **{k: v + before.get(k, 0) for k, v in sums.items()},
            **report,
            "start": before.get("start", self.plan.start),
            "integrated_time": self._integrated(t, before),
            "method": self._method(),
            "h": self._shown_h(),
            "sampling": "fresh (voids the order of the method)" if fresh else "frozen",
            "history": "none" if self.integrator.changes_h else getattr(self.integrator, "history", "stale"),
            "compiled": compiled,
            "check": self.field.checked,
            **({"members": f"one by one: {members.looped}"} if members is not None and members.looped else {}),
            **({"outside": outside} if (outside := self.field.effects.outside) else {}),
        }

    def _method(self) -> str:
        return label(self.integrator.method)

    def _shown_h(self) -> Any:
        return (
            "a function"
            if callable(self.plan.h)
            else "adaptive"
            if self.plan.end is not None
            else self.plan.h.flatten().tolist()
            if isinstance(self.plan.h, Tensor)
            else self.plan.h
        )

    def _records(self) -> Records:
        past = self._past
        steps = torch.tensor([m[0] for m in self.marks], dtype=torch.long)
        times = torch.tensor([m[1] for m in self.marks], dtype=torch.float64)
        values = torch.stack(self.rows).cpu() if self.rows else torch.zeros(0, len(self.field.names))
        losses = {name: values[:, i] for i, name in enumerate(self.field.names)} if self.rows else {}
        if past is not None and len(past.records.step):
            before = past.records.until(past.step)  # a failure's records go beyond the state it kept
            steps, times = torch.cat([before.step, steps]), torch.cat([before.t, times])
            losses = {k: torch.cat([v, losses[k]]) if k in losses else v for k, v in before.losses.items()}
        extra = {k: torch.tensor(v, dtype=torch.float64) for k, v in self.extra.items()}
        if past is not None:
            earlier = past.records.until(past.step).extra
            extra = {k: torch.cat([earlier[k], v]) if k in earlier else v for k, v in extra.items()}
        return Records(steps, times, losses, extra)

    def _first_memory(self, t: float, y: Tensor, past: Run | None) -> Any:
        h: Any = self.plan.h(0) if callable(self.plan.h) else self.plan.h
        memory = self.integrator.init(self.field, t, y, h)
        if past is None:
            return memory
        method, before = self._method(), past.stats.get("method", "another")
        if memory and method != before:
            raise ArgumentError("resume", f"a run of the same method ({method})", before)
        if isinstance(memory, dict) and set(memory) != set(past.memory):
            raise ArgumentError("resume", "a run whose steps were chosen in the same way", f"one of {before!r}")
        history = getattr(self.integrator, "history", "stale")
        if not self.integrator.changes_h and past.stats.get("history") != history:
            raise ArgumentError("history", f"the resumed run's {past.stats.get('history')!r}", history)
        if not self.integrator.changes_h and past.step and past.stats.get("h") != self._shown_h():
            remedy = "this method's steps must be equal: a one-step method can go on with another h"
            raise ArgumentError("h", f"the resumed run's {past.stats.get('h')}", self._shown_h(), remedy)
        return _copied(past.memory)

    def _bring_buffers(self, state: State) -> None:
        for own, given in zip(self.field.buffers, state.buffers, strict=True):
            own.copy_(given)

    def _standing(self) -> dict[str, Any] | None:
        """Where the streams of batches stand."""
        return None if self.streams is None else {"streams": [s.state_dict() for s in self.streams]}

    def _integrated(self, t: float, before: dict[str, Any]) -> Any:
        """Time gone through, that of the run gone on from included; of an ensemble a list."""
        h, done = self.plan.h, before.get("integrated_time", 0.0)
        if isinstance(h, Tensor):
            now = ((t - self._from) * h).flatten()
            return (now + torch.as_tensor(done, dtype=h.dtype, device=h.device)).tolist()
        return t - self._from + done

    def _fresh_batch(self) -> Any:
        """The step's own batch for its first evaluation, a new one for every other."""
        return self.pending.pop() if self.pending else self._next_batch()

    def _next_batch(self) -> Any:
        if self.draw is None:
            return None
        self.drawn += 1
        return self.draw()

    def _alone(self) -> bool:
        """Whether nobody else's code runs between the steps: the modules may then be the field's for the whole run."""
        ours = bool(self.streams) and all(isinstance(s.source, Tensor) for s in self.streams or ())
        return self.on_step is None and (self.draw is None or self.field.one_batch or ours)

    def _buffers(self) -> tuple[Tensor, ...]:
        return tuple(b.clone() for b in self.field.buffers)

    def _time(self, step: int) -> float:
        h = self.plan.h
        return self.plan.start + step * (0.0 if callable(h) or h is None else 1.0 if isinstance(h, Tensor) else h)


def _copied(memory: Any) -> Any:
    return torch.utils._pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, memory)
