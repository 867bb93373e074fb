"""The one loop. It knows no method, no step size and no observer by name: it asks them."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import finite
from gamedyn._lib.errors import ArgumentError, SolveError
from gamedyn.core.batches import in_memory
from gamedyn.integrators._types import label
from gamedyn.integrators.drive.checkpoints import Signals
from gamedyn.integrators.drive.dense import DenseOutput, Node, part
from gamedyn.integrators.drive.events import Events
from gamedyn.integrators.drive.keeping import Keeper, history
from gamedyn.integrators.drive.observers import Due, View, looked
from gamedyn.integrators.drive.plan import FAILURES, NEAR, PartFailed, Progress, StreamEnded, copied, samples
from gamedyn.integrators.drive.records import RecordLog
from gamedyn.integrators.execution import executed

if TYPE_CHECKING:
    from gamedyn.core import State
    from gamedyn.integrators._types import Integrator
    from gamedyn.integrators.drive.plan import Around, Plan
    from gamedyn.integrators.drive.run import Run
    from gamedyn.integrators.drive.step_sizes import StepSize
    from gamedyn.jacobian import FrozenField

__all__ = ["Loop"]


class Loop:
    """Steps a field by a stepper, keeping what a failure must not lose.

    Args:
        field: the field.
        integrator: its stepper.
        size: how long the steps are.
        plan: how far to go.
        around: what it talks to.
        begin: the state and, of a run gone on from, that run; let go of once the first step is taken.
    """

    def __init__(
        self,
        field: FrozenField,
        integrator: Integrator,
        size: StepSize,
        plan: Plan,
        around: Around,
        begin: tuple[State, Run | None],
    ) -> None:
        self._begin: Any = begin
        self.field, self.size, self.plan, self.around = field, size, plan, around
        self.integrator = size.stepper(integrator)
        self.execution = executed(self.integrator, around.execution)
        self.drawn = self.drawn_samples = 0
        self.pending: list[Any] = []
        self.saved: dict[float, State] = {}
        self.log = RecordLog(field.names)
        self.recording = Due(plan.every)
        self._lead = int(field.members is not None and field.members.batch_dim == 0)
        self.figures: dict[str, Any] = {}
        self._scheduled: dict[str, float] = {}
        self.counts: dict[str, float] = {}
        self._wish = False  # somebody here wants to stop
        self.status, self.began = "done", time.perf_counter()
        self._nodes: list[Node] = []
        self._saves = list(plan.saves)

    @torch.no_grad()
    def run(self, *, throw: bool, progress: bool) -> Run:
        """Go on from where it begins until the plan is fulfilled, or something happens."""
        keeper, step, t, batch = self._begun()
        try:
            return self._watched(step, t, batch, throw=throw, progress=progress)
        finally:
            keeper.close()

    def _begun(self) -> tuple[Keeper, int, float, Any]:
        """Begin: the keeper, the step, the time, the first batch; the point and the memory wait in `_begin`."""
        (state, past), self._begin = self._begin, None
        self._past, keeper = past, Keeper(self, past)
        self._keeper = keeper
        step, y = (0, state.y) if past is None else (past.step, past.state.y)
        t = self.since = self.plan.start if past is None else self.size.resumed(self.plan.start, step, past.t)
        for own, given in zip(self.field.buffers, state.buffers, strict=True):
            own.copy_(given)
        keeper.take_place()
        for watch in self.around.watching:
            watch.begin(self.field.flow)
        place = keeper.place()  # before a batch is drawn
        try:
            first = self._next_batch()
        except StreamEnded:
            raise ArgumentError("batches", "at least one batch", "an iterator that has ended") from None
        self.field.open(y, first, t)
        keeper.replay()
        self.field.draw = self._fresh_batch if self.field.sampling == "fresh" and self.around.draw is not None else None
        memory = self._first_memory(t, y, past)
        self.startup, self._started = self.field.work.evaluations, self.integrator.started(memory)
        self._refuse_parts(memory)
        self.events = Events(self.around.events, {} if past is None else past.events)
        if self.events:
            self.events.begin(t, self.field.state(y.clone()))
        keeper.begin(y, memory, step, t, {**keeper.place(), **place})
        if self.integrator.in_place and self.execution.name == "eager":
            y = self.field.point.copy_(y)
        self._begin = y, memory
        if past is not None:  # its account is wanted still, not what it had reached
            self._past = keeper.past = replace(past, memory=None, state=past.state.with_y(y.new_empty(0)))
        return keeper, step, t, first

    def _watched(self, step: int, t: float, batch: Any, *, throw: bool, progress: bool) -> Run:
        """The steps, with a bar, and with what is written whatever ends them."""
        writer = self._keeper.writer
        on_disk = writer is not None
        with Progress(self.plan, step, t, shown=progress) as bar, Signals(on=on_disk) as self._signals:
            try:
                with self.field.session() if self._alone() else contextlib.nullcontext():
                    step = self._steps(step, t, batch, bar)
            except BaseException as raised:  # Ctrl-C, a signal, or whatever the losses or an observer raise
                self.status, error = "interrupted", self._signals.behind(raised)
                run = self._finish()
                with contextlib.suppress(AttributeError):  # of an exception that takes no attributes
                    error.run = run  # type: ignore[attr-defined]
                    kept = f", and in {writer.to.folder}: resume= goes on from there" if writer is not None else ""
                    last = (
                        f"the run up to step {run.step}, where its state was last looked at (check_every), is error.run"
                    )
                    error.add_note(last + kept)
                if error is raised:
                    raise
                raise error from raised
        run = self._finish()
        self._signals.obeyed()  # one that was heard in the last step, too
        if throw and self.status in FAILURES:
            raise SolveError(self._failure(step, run.step), run)
        return run

    def _failure(self, step: int, kept: int) -> str:
        what, remedy = FAILURES[self.status]
        where = f"{what} after step {step} (last checked finite state: step {kept}, error.run.state); "
        if not self.field.finite_at_start:
            return where + "the field was not finite at the start: look for nan or inf in parameters, batch and losses"
        return where + remedy.format(h=self.size.shown)

    def _over(self, step: int, t: float) -> bool:
        """Whether the plan is fulfilled."""
        plan = self.plan
        return (
            (plan.steps is not None and step >= plan.steps)
            or (plan.end is not None and t >= plan.end)
            or (plan.evaluations is not None and self.evaluations >= plan.evaluations)
            or (plan.images is not None and self.images >= plan.images)
        )

    def _steps(self, step: int, t: float, batch: Any, bar: Any) -> int:
        field, processes = self.field, self.field.flow.game.processes
        (y, memory), self._begin = (
            self._begin,
            None,
        )  # referenced by nothing else, so that the first step lets go of them
        self._keep_start(t, y)
        while not self._over(step, t):
            self._signals.obeyed()
            field.begin_step(batch, step)
            self.pending = [batch]
            self._count_samples(batch)
            still = self._schedule(step) if self.around.schedules else ()
            h = self._asked(step, t)
            left = y.clone() if self.execution.in_place and (self._saves or self.events or still) else y
            with field.session():
                new, after, info = self.execution.step(field, self.size.when(step, t), y, h, memory)
            self._count(info)
            if info.status != "ok":  # the step is rejected
                self.status = info.status if self._keeper.checked(y, memory, step, t) else "non_finite"
                break
            new = field.flow.project(new)
            for at in still:
                new[at] = left[at]
            if field.flow.projects or still:
                after = self.integrator.moved(after)
            taken = h if info.h is None else info.h
            self.figures = self._figures(taken, info)
            if self.recording.due(self, step, t) and (field.losses or self.figures):
                self.log.add(step, t, field.losses, self.figures)
            was, t = t, self._clock(step, t, taken)
            try:
                ended = self._met(left, memory, was, t, new)
                if ended is not None:
                    t, new, after = *ended, self.integrator.moved(after)
                self._keep(left, memory, was, t, new)
            except PartFailed as failed:
                self.status = str(failed)
                break
            y, memory, step = new, after, step + 1
            if not self._started:
                self.startup, self._started = field.work.evaluations, self.integrator.started(memory)
            bar.step(self.evaluations, self.images, t)
            view = View(self, step, t, taken, y)
            self._wish |= self._shown(view) or ended is not None
            over = self._over(step, t)
            due = over or step % self.plan.check_every == 0 or (self._wish and processes.alone)
            stop = due and processes.agreed(y, stop=self._wish)
            if (due or processes.alone) and not self._keeper.looked(y, memory, step, t, due=due, over=over):
                break
            if stop:
                self.status = "stopped"
                break
            try:
                batch = batch if over else self._next_batch()
            except StreamEnded:
                self.status = "stream_ended" if self._keeper.checked(y, memory, step, t) else "non_finite"
                break
        return step

    def _schedule(self, step: int) -> list[slice]:
        """Set the rates and weights of a step; the entries whose rate is 0, which it leaves where they are."""
        still: list[slice] = []
        for name, (scaled, fn, entries) in self.around.schedules.items():
            self._scheduled[name] = finite(f"{name} at step {step}", fn(step))
            scaled.fill_(self._scheduled[name])
            still += entries if self._scheduled[name] == 0 else ()
        return still

    def _asked(self, step: int, t: float) -> Any:
        """The step's size: the step size's, cut to the end."""
        plan = self.plan
        if plan.last is not None and plan.steps is not None and step == plan.steps - 1:
            return plan.last
        h = self.size.size(step, t)
        if plan.end is None or plan.steps is not None or isinstance(h, Tensor):
            return h
        left = plan.end - t
        return left if h >= left * (1 - 1e-9) else h

    def _clock(self, step: int, t: float, taken: Any) -> float:
        """The time after a step; the plan's end to the bit."""
        end = self.plan.end
        if end is not None and (
            step + 1 == self.plan.steps or (self.plan.steps is None and taken >= (end - t) * (1 - 1e-12))
        ):
            return end
        return self.size.clock(self.plan.start, step, t, taken)

    def _shown(self, view: View) -> bool:
        """Let the step size and the observers see a step; whether one wants to stop."""
        self.size.after_step(view)
        return looked(self.around.watching, self, view) if self.around.watching else False

    def _keep_start(self, t: float, y: Tensor) -> None:
        self._saves = [x for x in self._saves if x >= t]
        if self._saves and self._saves[0] == t:
            self.saved[self._saves.pop(0)] = self.field.state(y.clone())
        if self.plan.dense:
            self._nodes.append(Node(t, y.clone()))

    def _met(self, y: Tensor, memory: Any, t: float, after: float, new: Tensor) -> tuple[float, Tensor] | None:
        """Note the events within the step from t, with their states; where one of them ends the run, if one does."""
        if not self.events or not bool(new.isfinite().all()):  # of a state that is lost nothing is asked
            return None
        last = self.field.state(new.clone())
        found, stop = self.events.found(t, after, last, lambda when: self._part(y, memory, t, when - t))
        self.saved.update(found)
        return (found[-1][0], found[-1][1].y.clone()) if stop else None

    def _keep(self, y: Tensor, memory: Any, t: float, after: float, new: Tensor) -> None:
        """States at times within the step from t, by steps of the method that end there; the nodes of dense output."""
        near = after + NEAR * (after - t)
        while self._saves and self._saves[0] <= near:
            when = self._saves.pop(0)
            inside = after - when > NEAR * (after - t)
            self.saved[when] = self._part(y, memory, t, when - t) if inside else self.field.state(new.clone())
        if self.plan.dense:
            self._nodes[-1] = self._nodes[-1].stepped(self.field, memory)
            self._nodes.append(Node(after, new.clone()))

    def _part(self, y: Tensor, memory: Any, t: float, h: float) -> State:
        """The state h after the step's beginning, by a step of the method."""
        reached = self.field.point.clone() if self.integrator.in_place else None
        with self.field.session():
            at, info = part(self.integrator, self.field, t, y, h, memory)
        if reached is not None:  # the step's end is the point itself
            self.field.point.copy_(reached)
        if info.status != "ok":
            raise PartFailed(info.status)
        return self.field.state(at)

    def _refuse_parts(self, memory: Any) -> None:
        """Refuse times within steps that have no parts: of methods that remember, and of fresh batches.

        Raises:
            ArgumentError: for dense output, and for times that are no multiple of its steps.
        """
        fresh = self.field.sampling == "fresh"
        if not fresh and (not memory or hasattr(self.integrator, "part")):
            return
        whose = "on fresh batches" if fresh else f"for {self._method()}, which remembers"
        remedy = 'take sampling="frozen"' if fresh else "take a one-step method"
        if self.plan.dense:
            raise ArgumentError("dense", f"False {whose}", True, remedy)
        if self.around.events:
            raise ArgumentError("events", f"none {whose}", list(self.around.events), remedy)
        h = self.size.first
        for when in self._saves:
            steps = (when - self.plan.start) / h if isinstance(h, float) and self.size.equal else math.nan
            if not abs(steps - round(steps if steps == steps else 0)) <= NEAR * max(1.0, abs(steps)):
                raise ArgumentError("save_at", f"times at the end of a step of {self.size.shown}", when, remedy)

    def _figures(self, taken: Any, info: Any) -> dict[str, Any]:
        """What is recorded of a step besides its losses."""
        h = {} if self.size.equal else {"h": taken}
        return {**self._scheduled, **h, **info.figures, **self.field.figures}

    def _count(self, info: Any) -> None:
        for name, count in info.counts.items():
            self.counts[name] = self.counts.get(name, 0.0) + count

    @property
    def evaluations(self) -> float:
        """Field evaluations so far, those of the run gone on from included."""
        return self.field.work.evaluations + (self._past.stats["evaluations"] if self._past else 0.0)

    @property
    def images(self) -> int:
        """Samples seen so far, likewise."""
        return self.drawn_samples + int(self._past.stats.get("images", 0) if self._past else 0)

    def counted(self, unit: str, t: float) -> float:
        """How far the run is, in evaluations, images, seconds of the wall clock, or integrated time."""
        if unit == "time":
            return t - self.plan.start
        return time.perf_counter() - self.began if unit == "seconds" else getattr(self, unit)

    def _finish(self) -> Run:
        run = self._keeper.written(self.status)
        if self.plan.dense and len(self._nodes) > 1:
            earlier = None if self._past is None else self._past.dense
            run.dense = DenseOutput(self._nodes, self.field, self.integrator, earlier).until(run.t)
        return run

    def _method(self) -> str:
        return label(self.integrator.method)

    def _first_memory(self, t: float, y: Tensor, past: Run | None) -> Any:
        """That of a resumed run, as its stepper wants it; else the stepper's own first."""
        memory = self.integrator.init(self.field, t, y, self.size.first)
        if past is None:
            return memory
        method, before = self._method(), past.stats.get("method", "another")
        if memory and method != before:
            raise ArgumentError("resume", f"a run of the same method ({method})", before)
        if isinstance(memory, dict) and set(memory) != set(past.memory):
            raise ArgumentError("resume", "a run whose steps were chosen in the same way", f"one of {before!r}")
        if not self.integrator.changes_h and past.stats.get("history") != history(self.integrator):
            raise ArgumentError("history", f"the resumed run's {past.stats.get('history')!r}", history(self.integrator))
        if not self.integrator.changes_h and past.step and past.stats.get("h") != self.size.shown:
            remedy = "this method's steps must be equal: a one-step method can go on with another h"
            raise ArgumentError("h", f"the resumed run's {past.stats.get('h')}", self.size.shown, remedy)
        resumed = getattr(self.integrator, "resumed", None)
        return resumed(self.field, t, y, copied(past.memory)) if resumed else copied(past.memory)

    def _fresh_batch(self) -> Any:
        """The step's own batch for its first evaluation, a new one for every other."""
        if self.pending:
            return self.pending.pop()
        batch = self._next_batch()
        self._count_samples(batch)
        return batch

    def _count_samples(self, batch: Any) -> None:
        """Count a batch's samples, those of other processes' shards included."""
        self.drawn_samples += round(samples(batch, self._lead) / self.field.flow.game.processes.weight)

    def _next_batch(self) -> Any:
        if self.around.draw is None:
            return None
        self.drawn += 1
        return self.around.draw()

    def _alone(self) -> bool:
        """Whether nobody else's code runs between the steps: the modules may then be the field's for the whole run."""
        streams = self.around.streams
        ours = bool(streams) and all(in_memory(s.source) is not None for s in streams or ())
        return not self.around.watching and (self.around.draw is None or self.field.one_batch or ours)
