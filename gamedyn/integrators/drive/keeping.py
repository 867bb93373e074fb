"""What a failure must not lose: the last checked state, all that going on takes, and the account of what it cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import State
from gamedyn.core.randomness import RandomState
from gamedyn.integrators._types import label
from gamedyn.integrators.drive.checkpoints import Writer
from gamedyn.integrators.drive.plan import copied
from gamedyn.integrators.drive.run import Run

if TYPE_CHECKING:
    from gamedyn.integrators.drive.loop import Loop
    from gamedyn.integrators.drive.records import Records

__all__ = ["Keeper", "history"]


class Kept(NamedTuple):
    """What a failure must not lose: the last checked state, and all that is needed to go on from it."""

    y: Tensor
    memory: Any
    step: int
    t: float
    buffers: tuple[Tensor, ...]
    place: dict[str, Any]


class Keeper:
    """Keeps one loop's run, in memory and on disk.

    Args:
        loop: the loop.
        past: the run gone on from.

    Attributes:
        past: the run gone on from; once the run has begun, its account alone.
        good: the last state that was checked and finite.
        alive: which members are finite still; of a single game a 0-dim tensor.
    """

    def __init__(self, loop: Loop, past: Run | None) -> None:
        self._loop, self.past = loop, past
        self.good: Kept = None  # type: ignore[assignment]
        self.writer: Writer | None = None

    def checked(self, y: Tensor, memory: Any, step: int, t: float) -> bool:
        """Keep the state if it is finite, and say so; of an ensemble, the members that still are."""
        finite = y.isfinite().all(-1)
        if y.dim() == 1:
            if not bool(finite):
                self._loop.status = "non_finite"
                return False
            self.good = Kept(y.clone(), copied(memory), step, t, self._buffers(), self._standing())
            return True
        self.alive &= finite
        kept = torch.where(self.alive[:, None], y, self.good.y)
        self.good = Kept(kept, copied(memory), step, t, self._buffers(), self._standing())
        return bool(self.alive.any())

    def written(self, status: str) -> Run:
        """The run as it stands, written where one is asked for."""
        y, memory, step, t, buffers, place = self.good
        past = self.past
        run = Run(
            state=State(self._loop.field.layout, y, buffers),
            memory=memory,
            t=t,
            step=step,
            status=self._statuses(status),
            stats=self._stats(t),
            records=self._loop.log.records(len(self._loop.log)) if status == "running" else self._records(),
            saved={**(past.saved if past else {}), **self._loop.saved},
            events={k: list(times) for k, times in self._loop.events.times.items()},
            place=place,
            facts=self._loop.around.facts,
        )
        if self.writer is not None:
            self.writer.write(run, self._loop.log)
            if self.writer.problem:
                run.stats["checkpoint"] = self.writer.problem
        return run

    def _statuses(self, status: str) -> str | tuple[str, ...]:
        if self.alive.dim() == 0:
            return status
        return tuple(status if ok else "non_finite" for ok in self.alive.tolist())

    def _standing(self) -> dict[str, Any]:
        """What going on takes, and what the run has spent until here: what is spent later is lost where it is cut."""
        return {**self.place(), "spent": self._spent()}

    def _spent(self) -> dict[str, float]:
        """What is counted, that of the run gone on from included."""
        work, before = self._loop.field.work, self.past.stats if self.past else {}
        sums = {
            "evaluations": work.evaluations,
            "startup_evaluations": self._loop.startup,
            "player_gradients": work.player_gradients,
            "double_backward": work.double_backward,
            "products": work.products,
            **self._loop.counts,
            "batches": self._loop.drawn,
            "images": self._loop.drawn_samples,
        }
        return {k: v + before.get(k, 0) for k, v in sums.items()}

    def _stats(self, t: float) -> dict[str, Any]:
        before = self.past.stats if self.past else {}
        sums = self._spent()
        sums["seconds"] = time.perf_counter() - self._loop.began + before.get("seconds", 0)
        fresh, members = self._loop.field.sampling == "fresh", self._loop.field.members
        report: dict[str, Any] = getattr(self._loop.integrator, "report", dict)()
        return {
            **{k: v for k, v in before.items() if isinstance(v, float) and k not in sums},
            **sums,
            **report,
            "start": before.get("start", self._loop.plan.start),
            "integrated_time": self._integrated(t, before),
            "method": label(self._loop.integrator.method),
            "h": self._loop.size.shown,
            "sampling": "fresh (voids the order of the method)" if fresh else "frozen",
            "history": history(self._loop.integrator),
            **self._loop.execution.report,
            "check": self._loop.field.checked,
            **({"members": f"one by one: {members.looped}"} if members is not None and members.looped else {}),
            **({"stream": unowned} if (unowned := self._unowned()) else {}),
            **({"outside": outside} if (outside := self._loop.field.effects.outside) else {}),
        }

    def _unowned(self) -> str:
        """Why the streams of batches may not go on bit for bit."""
        return "; ".join(filter(None, (s.unowned for s in self._loop.around.streams or ())))

    def _records(self) -> Records:
        now = self._loop.log.records()
        if self.past is None or not len(self.past.records):
            return now
        return self.past.records.until(self.past.step).joined(now)  # a failure's go beyond its state

    def place(self) -> dict[str, Any]:
        """Where everything stands that going on takes: streams, observers, the step size, generators."""
        around, kinds = self._loop.around, self._loop.field.randomness
        found: dict[str, Any] = {}
        if around.streams is not None:
            found["streams"] = [s.state_dict() for s in around.streams]
        if around.watching:
            found["observers"] = [copied(w.state_dict()) for w in around.watching]
        if size := self._loop.size.state_dict():
            found["size"] = copied(size)
        if kinds:
            found["generators"] = RandomState(self._loop.field.flow.game.device, kinds).state_dict()
        return found

    def take_place(self) -> None:
        """Let observers and the step size stand where those of a resumed run stood; streams do already."""
        past = self.past
        if past is None:
            return
        watching, known = self._loop.around.watching, past.place.get("observers", [])
        if watching and known:
            kinds, before = [type(w.observer).__name__ for w in watching], [k["kind"] for k in known]
            if kinds != before and not self._loop.around.others:
                remedy = 'if others are meant, and new ones are to begin here: allow=["observers"]'
                raise ArgumentError("observers", f"those of the resumed run, {before}", kinds, remedy)
            left = list(known)
            for w, kind in zip(watching, kinds, strict=True):  # of one kind in their order
                at = next((i for i, k in enumerate(left) if k["kind"] == kind), None)
                if at is not None:
                    w.load_state_dict(left.pop(at))
        if "size" in past.place:
            self._loop.size.load_state_dict(past.place["size"])

    def replay(self) -> None:
        """Let losses that draw go on with the numbers that would have come next."""
        past = self.past
        if past is not None and "generators" in past.place and self._loop.field.randomness:
            RandomState.of(self._loop.field.flow.game.device, past.place["generators"]).restore()

    def _integrated(self, t: float, before: dict[str, Any]) -> Any:
        """Time gone through by the method's clock, that of the run gone on from included; of an ensemble a list."""
        clock = float(getattr(self._loop.integrator.method, "time_scale", 1))
        now, done = self._loop.size.integrated(self._loop.since, t), before.get("integrated_time", 0.0)
        if isinstance(now, Tensor):
            found: list[float] = (now * clock + torch.as_tensor(done, dtype=now.dtype, device=now.device)).tolist()
            return found
        return now * clock + done

    def _buffers(self) -> tuple[Tensor, ...]:
        return tuple(b.clone() for b in self._loop.field.buffers)

    def looked(self, y: Tensor, memory: Any, step: int, t: float, *, due: bool, over: bool) -> bool:
        """Look whether the state is finite, and write it, where it is time for that; False where it is not finite."""
        writing = self.writer is not None and (self.writer.due(step) or self.writer.late())
        if not (due or over or writing):
            return True
        if not self.checked(y, memory, step, t):
            return False
        if writing and not over:
            self.written("running")
        return True

    def begin(self, y: Tensor, memory: Any, step: int, t: float, place: dict[str, Any]) -> None:
        """Keep the first state, and take the folder that the run is written to."""
        past, to = self.past, self._loop.around.checkpoint
        self.good = Kept(y.clone(), copied(memory), step, t, self._buffers(), place)
        self.alive = torch.ones(y.shape[:-1], dtype=torch.bool, device=y.device)
        if past is not None and not isinstance(past.status, str):
            self.alive &= torch.tensor([s != "non_finite" for s in past.status], device=y.device)
        self.writer = None if to is None else Writer(to, past)

    def close(self) -> None:
        """Give the folder free."""
        if self.writer is not None:
            self.writer.close()


def history(integrator: Any) -> str:
    """What past field values are to a method: "none", "stale" or "refresh"."""
    return "none" if integrator.changes_h else str(getattr(integrator, "history", "stale"))
