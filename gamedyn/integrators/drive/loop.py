"""The one loop. It knows no method, no step size and no observer by name: it asks them."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from tqdm.auto import tqdm

from gamedyn._lib.errors import ArgumentError, SolveError
from gamedyn.core import State
from gamedyn.core.randomness import RandomState
from gamedyn.integrators._types import label
from gamedyn.integrators.drive.checkpoints import Writer, signals
from gamedyn.integrators.drive.dense import DenseOutput, Node, part
from gamedyn.integrators.drive.observers import Due, View, Watch, looked
from gamedyn.integrators.drive.records import RecordLog, Records
from gamedyn.integrators.drive.run import Run
from gamedyn.integrators.execution.compiled import CompiledStep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gamedyn.integrators._types import Integrator
    from gamedyn.integrators.drive.checkpoints import Checkpoints
    from gamedyn.integrators.drive.observers import Every
    from gamedyn.integrators.drive.step_sizes import StepSize
    from gamedyn.jacobian import HeldField

__all__ = ["FAILURES", "Loop", "Plan", "StreamEnded"]

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
    "too_many_steps": ("max_steps was reached", "raise Adaptive's max_steps, or loosen its tolerances"),
    "stream_ended": (
        "the batches ended",
        "gamedyn.batches(loader) begins again when the loader ends; what was done is kept",
    ),
}
"""Statuses that end a run before its end, in words, and what may be done."""


NEAR = 1e-9
"""Share of a step by which a time may miss its end and be that end."""


class StreamEnded(Exception):
    """An iterator of batches that has no more."""


@dataclass(frozen=True)
class Plan:
    """How far to go, and what to keep on the way.

    Attributes:
        start: time of step 0.
        steps: in all, or None.
        end: time of the end, or None.
        last: a shortened last step of `steps` equal ones, or None.
        evaluations: in all, start-up included, or None.
        images: in all, or None.
        saves: times to save, sorted, each in or at the end of a step.
        every: rhythm of the records.
        check_every: steps between looks whether the state is finite.
        dense: whether to keep the nodes of dense output.
    """

    start: float
    steps: int | None = None
    end: float | None = None
    last: float | None = None
    evaluations: float | None = None
    images: int | None = None
    saves: tuple[float, ...] = ()
    every: Every = None  # type: ignore[assignment]
    check_every: int = 50
    dense: bool = False


class Kept(NamedTuple):
    """What a failure must not lose: the last checked state, and all that is needed to go on from it."""

    y: Tensor
    memory: Any
    step: int
    t: float
    buffers: tuple[Tensor, ...]
    place: dict[str, Any]


@dataclass
class Around:
    """What a loop talks to besides its field and its stepper.

    Attributes:
        draw: gives a batch, or None.
        streams: those whose place is kept.
        watching: observers.
        checkpoint: where the run is kept on disk.
        compile: whether to compile the step.
        facts: what is solved, by what, on what.
        schedules: by what is multiplied ("rate G", "weight r1") a tensor of the field and its function of the step.
    """

    draw: Callable[[], Any] | None = None
    streams: list[Any] | None = None
    watching: Sequence[Watch] = ()
    checkpoint: Checkpoints | None = None
    compile: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    schedules: Mapping[str, tuple[Tensor, Callable[[int], float]]] = field(default_factory=dict)


class Loop:
    """Steps a field by a stepper, keeping what a failure must not lose."""

    def __init__(self, field: HeldField, integrator: Integrator, size: StepSize, plan: Plan, around: Around) -> None:
        self.field, self.size, self.plan, self.around = field, size, plan, around
        self.integrator = size.stepper(integrator)
        self.compiled = CompiledStep(self.integrator) if around.compile else None
        self.stepping: Any = self.compiled or self.integrator
        self.drawn = self._samples = 0
        self.pending: list[Any] = []
        self.saved: dict[float, State] = {}
        self.log = RecordLog(field.names)
        self.recording = Due(plan.every)
        self.figures: dict[str, Any] = {}
        self.counts: dict[str, float] = {}
        self.status, self.began = "done", time.perf_counter()
        self._nodes: list[Node] = []
        self._saves = list(plan.saves)

    @torch.no_grad()
    def run(self, state: State, past: Run | None, *, throw: bool, progress: bool) -> Run:
        """Go on from a state until the plan is fulfilled, or something happens."""
        self._past = past
        step, y = (0, state.y) if past is None else (past.step, past.state.y)
        t = self._from = self.plan.start if past is None else self.size.resumed(self.plan.start, step, past.t)
        self._bring_buffers(state)
        self._take_place(past)
        place = self._place()
        try:
            first = self._next_batch()
        except StreamEnded:
            raise ArgumentError("batches", "at least one batch", "an iterator that has ended") from None
        self.field.open(y, first, t)
        self._replay(past)
        self.field.draw = self._fresh_batch if self.field.sampling == "fresh" and self.around.draw is not None else None
        memory = self._first_memory(t, y, past)
        self.startup, self._started = self.field.work.evaluations, self.integrator.started(memory)
        self._refuse_parts(memory)
        self.good = Kept(y.clone(), _copied(memory), step, t, self._buffers(), place)
        self.alive = torch.ones(y.shape[:-1], dtype=torch.bool, device=y.device)
        if past is not None and not isinstance(past.status, str):
            self.alive &= torch.tensor([s != "non_finite" for s in past.status], device=y.device)
        self.writer = None if self.around.checkpoint is None else Writer(self.around.checkpoint, past)
        try:
            return self._watched(y, memory, step, t, first, throw=throw, progress=progress)
        finally:
            if self.writer is not None:
                self.writer.close()

    def _watched(self, y: Tensor, memory: Any, step: int, t: float, batch: Any, *, throw: bool, progress: bool) -> Run:
        """The steps, with a bar, and with what is written whatever ends them."""
        with self._bar(step, t, progress) as bar, signals() if self.writer is not None else contextlib.nullcontext():
            try:
                with self.field.session() if self._alone() else contextlib.nullcontext():
                    step = self._steps(y, memory, step, t, batch, bar)
            except BaseException as error:  # Ctrl-C, a signal, or whatever the losses or an observer raise
                self.status = "interrupted"
                error.run = self._finish()  # type: ignore[attr-defined]
                error.add_note(f"the run up to step {self.good.step} is error.run")
                raise
        run = self._finish()
        if throw and self.status in FAILURES:
            raise SolveError(self._failure(step, run.step), run)
        return run

    def _bar(self, step: int, t: float, progress: bool) -> Any:
        off = None if progress else True
        if self.plan.steps is not None:
            return tqdm(total=self.plan.steps, initial=step, disable=off, unit="step")
        total, unit = next(
            (float(total), unit)
            for total, unit in (
                (self.plan.evaluations, "evaluations"),
                (self.plan.images, "images"),
                (None if self.plan.end is None else self.plan.end - t, "of time"),
            )
            if total is not None
        )
        shown = f"{{l_bar}}{{bar}}| {{n:.4g}}/{{total:.4g}} {unit} [{{elapsed}}<{{remaining}}]"
        return tqdm(total=total, disable=off, bar_format=shown)

    def _advance(self, bar: Any, step: int, t: float) -> None:
        if self.plan.steps is not None:
            bar.update()
        elif not bar.disable:
            done = self.evaluations if self.plan.evaluations else self.images if self.plan.images else t - self._from
            bar.update(done - bar.n)

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

    def _steps(self, y: Tensor, memory: Any, step: int, t: float, batch: Any, bar: Any) -> int:
        field = self.field
        self._keep_start(t, y)
        while not self._over(step, t):
            field.begin_step(batch)
            self.pending = [batch]
            self._samples += _samples(batch)
            for scaled, fn in self.around.schedules.values():
                scaled.fill_(fn(step))
            h = self._asked(step, t)
            left = y.clone() if self._saves and self.integrator.in_place else y
            with field.session():
                new, after, info = self.stepping.step(field, self.size.when(step, t), y, h, memory)
            self._count(info)
            if info.status != "ok":  # the step is rejected
                self.status = info.status if self._checked(y, memory, step, t) else "non_finite"
                break
            taken = h if info.h is None else info.h
            self.figures = self._figures(taken, info)
            if self.recording.due(self, step, t) and (field.losses or self.figures):
                self.log.add(step, t, field.losses, self.figures)
            was, t = t, self._clock(step, t, taken)
            if not self._keep(field, left, memory, was, t, new):
                break
            y, memory, step = new, after, step + 1
            if not self._started:
                self.startup, self._started = field.work.evaluations, self.integrator.started(memory)
            self._advance(bar, step, t)
            view = View(self, step, t, taken, y)
            stop = self._shown(view)
            over = self._over(step, t)
            if not self._looked(y, memory, step, t, stop=stop, over=over):
                break
            if stop:
                self.status = "stopped"
                break
            try:
                batch = batch if over else self._next_batch()
            except StreamEnded:
                self.status = "stream_ended" if self._checked(y, memory, step, t) else "non_finite"
                break
        return step

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

    def _looked(self, y: Tensor, memory: Any, step: int, t: float, *, stop: bool, over: bool) -> bool:
        """Look whether the state is finite, and write it, where it is time for that; False where it is not finite."""
        writing = self.writer is not None and (self.writer.due(step) or self.writer.late())
        if not (step % self.plan.check_every == 0 or stop or over or writing):
            return True
        if not self._checked(y, memory, step, t):
            return False
        if writing and not over:
            self._written("running")
        return True

    def _keep_start(self, t: float, y: Tensor) -> None:
        self._saves = [x for x in self._saves if x >= t]
        if self._saves and self._saves[0] == t:
            self.saved[self._saves.pop(0)] = self.field.state(y.clone())
        if self.plan.dense:
            self._nodes.append(Node(t, y.clone()))

    def _keep(self, field: HeldField, y: Tensor, memory: Any, t: float, after: float, new: Tensor) -> bool:
        """States at times within the step from t, by steps of the method that end there; the nodes of dense output."""
        near = after + NEAR * (after - t)
        while self._saves and self._saves[0] <= near:
            when, at = self._saves.pop(0), new
            if after - when > NEAR * (after - t):
                with field.session():
                    at, info = part(self.integrator, field, t, y, when - t, memory)
                if info.status != "ok":
                    self.status = info.status
                    return False
            self.saved[when] = field.state(at.clone())
        if self.plan.dense:
            self._nodes[-1] = self._nodes[-1].stepped(field, memory)
            self._nodes.append(Node(after, new.clone()))
        return True

    def _refuse_parts(self, memory: Any) -> None:
        """Refuse times within a step of a method that remembers: a part of its step is none of its steps.

        Raises:
            ArgumentError: for dense output, and for times that are no multiple of its steps.
        """
        if not memory or hasattr(self.integrator, "part"):
            return
        remedy = "take a one-step method"
        if self.plan.dense:
            raise ArgumentError("dense", f"False for {self._method()}, which remembers", True, remedy)
        h = self.size.first
        for when in self._saves:
            steps = (when - self.plan.start) / h if isinstance(h, float) and self.size.equal else math.nan
            if not abs(steps - round(steps if steps == steps else 0)) <= NEAR * max(1.0, abs(steps)):
                raise ArgumentError("save_at", f"times at the end of a step of {self.size.shown}", when, remedy)

    def _figures(self, taken: Any, info: Any) -> dict[str, Any]:
        """What is recorded of a step besides its losses."""
        found = {name: float(scaled) for name, (scaled, _) in self.around.schedules.items()}
        if not self.size.equal:
            found["h"] = taken
        return {**found, **info.figures}

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
        return self._samples + int(self._past.stats.get("images", 0) if self._past else 0)

    def counted(self, unit: str, t: float) -> float:
        """How far the run is, in evaluations, images, seconds of the wall clock, or integrated time."""
        if unit == "time":
            return t - self.plan.start
        return time.perf_counter() - self.began if unit == "seconds" else getattr(self, unit)

    def _checked(self, y: Tensor, memory: Any, step: int, t: float) -> bool:
        """Keep the state if it is finite; of an ensemble, the members that still are."""
        finite = y.isfinite().all(-1)
        if y.dim() == 1:
            if not bool(finite):
                self.status = "non_finite"
                return False
            self.good = Kept(y.clone(), _copied(memory), step, t, self._buffers(), self._place())
            return True
        self.alive &= finite
        kept = torch.where(self.alive[:, None], y, self.good.y)
        self.good = Kept(kept, _copied(memory), step, t, self._buffers(), self._place())
        return bool(self.alive.any())

    def _finish(self) -> Run:
        run = self._written(self.status)
        if self.plan.dense and len(self._nodes) > 1:
            earlier = None if self._past is None else self._past.dense
            run.dense = DenseOutput(self._nodes, self.field, self.integrator, earlier).until(run.t)
        return run

    def _written(self, status: str) -> Run:
        """The run as it stands, written where one is asked for."""
        y, memory, step, t, buffers, place = self.good
        past = self._past
        run = Run(
            state=State(self.field.layout, y, buffers),
            memory=memory,
            t=t,
            step=step,
            status=self._statuses(status),
            stats=self._stats(t),
            records=self._records(),
            saved={**(past.saved if past else {}), **self.saved},
            place=place,
            facts=self.around.facts,
        )
        if self.writer is not None:
            self.writer.write(run, self.log)
            if self.writer.problem:
                run.stats["checkpoint"] = self.writer.problem
        return run

    def _statuses(self, status: str) -> str | tuple[str, ...]:
        if self.alive.dim() == 0:
            return status
        return tuple(status if ok else "non_finite" for ok in self.alive.tolist())

    def _stats(self, t: float) -> dict[str, Any]:
        work, before = self.field.work, self._past.stats if self._past else {}
        compiled = "no" if self.compiled is None else self.compiled.reason or "yes"
        sums = {
            "evaluations": work.evaluations,
            "startup_evaluations": self.startup,
            "player_gradients": work.player_gradients,
            "double_backward": work.double_backward,
            "products": work.products,
            **self.counts,
            "batches": self.drawn,
            "images": self._samples,
            "seconds": time.perf_counter() - self.began,
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
            "h": self.size.shown,
            "sampling": "fresh (voids the order of the method)" if fresh else "frozen",
            "history": self._history(),
            "compiled": compiled,
            "check": self.field.checked,
            **({"members": f"one by one: {members.looped}"} if members is not None and members.looped else {}),
            **({"outside": outside} if (outside := self.field.effects.outside) else {}),
        }

    def _method(self) -> str:
        return label(self.integrator.method)

    def _history(self) -> str:
        return "none" if self.integrator.changes_h else getattr(self.integrator, "history", "stale")

    def _records(self) -> Records:
        now = self.log.records()
        if self._past is None or not len(self._past.records):
            return now
        return self._past.records.until(self._past.step).joined(now)  # a failure's go beyond the state it kept

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
        if not self.integrator.changes_h and past.stats.get("history") != self._history():
            raise ArgumentError("history", f"the resumed run's {past.stats.get('history')!r}", self._history())
        if not self.integrator.changes_h and past.step and past.stats.get("h") != self.size.shown:
            remedy = "this method's steps must be equal: a one-step method can go on with another h"
            raise ArgumentError("h", f"the resumed run's {past.stats.get('h')}", self.size.shown, remedy)
        resumed = getattr(self.integrator, "resumed", None)
        return resumed(self.field, t, y, _copied(past.memory)) if resumed else _copied(past.memory)

    def _bring_buffers(self, state: State) -> None:
        for own, given in zip(self.field.buffers, state.buffers, strict=True):
            own.copy_(given)

    def _place(self) -> dict[str, Any]:
        """Where everything stands that going on takes: streams, observers, the step size, generators."""
        around, kinds = self.around, self.field.randomness
        found: dict[str, Any] = {}
        if around.streams is not None:
            found["streams"] = [s.state_dict() for s in around.streams]
        if around.watching:
            found["observers"] = [_copied(w.state_dict()) for w in around.watching]
        if size := self.size.state_dict():
            found["size"] = _copied(size)
        if kinds:
            found["generators"] = RandomState(self.field.flow.game.device, kinds).state_dict()
        return found

    def _take_place(self, past: Run | None) -> None:
        """Let observers and the step size stand where those of a resumed run stood; streams do already."""
        if past is None:
            return
        watching, known = self.around.watching, past.place.get("observers", [])
        if watching and known:
            kinds = [type(w.observer).__name__ for w in watching]
            if kinds != [k["kind"] for k in known]:
                raise ArgumentError("observers", f"those of the resumed run, {[k['kind'] for k in known]}", kinds)
            for w, state in zip(watching, known, strict=True):
                w.load_state_dict(state)
        if "size" in past.place:
            self.size.load_state_dict(past.place["size"])

    def _replay(self, past: Run | None) -> None:
        """Let losses that draw go on with the numbers that would have come next."""
        if past is not None and "generators" in past.place and self.field.randomness:
            RandomState.of(self.field.flow.game.device, past.place["generators"]).restore()

    def _integrated(self, t: float, before: dict[str, Any]) -> Any:
        """Time gone through by the method's clock, that of the run gone on from included; of an ensemble a list."""
        clock = float(getattr(self.integrator.method, "time_scale", 1))
        now, done = self.size.integrated(self._from, t), before.get("integrated_time", 0.0)
        if isinstance(now, Tensor):
            found: list[float] = (now * clock + torch.as_tensor(done, dtype=now.dtype, device=now.device)).tolist()
            return found
        return now * clock + done

    def _fresh_batch(self) -> Any:
        """The step's own batch for its first evaluation, a new one for every other."""
        if self.pending:
            return self.pending.pop()
        batch = self._next_batch()
        self._samples += _samples(batch)
        return batch

    def _next_batch(self) -> Any:
        if self.around.draw is None:
            return None
        self.drawn += 1
        return self.around.draw()

    def _alone(self) -> bool:
        """Whether nobody else's code runs between the steps: the modules may then be the field's for the whole run."""
        streams = self.around.streams
        ours = bool(streams) and all(isinstance(s.source, Tensor) for s in streams or ())
        return not self.around.watching and (self.around.draw is None or self.field.one_batch or ours)

    def _buffers(self) -> tuple[Tensor, ...]:
        return tuple(b.clone() for b in self.field.buffers)


def _samples(batch: Any) -> int:
    """How many samples a batch has: the length of its first tensor."""
    first = next((x for x in tree_leaves(batch) if isinstance(x, Tensor) and x.dim()), None)
    return 0 if first is None else len(first)


def _copied(memory: Any) -> Any:
    return torch.utils._pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, memory)
