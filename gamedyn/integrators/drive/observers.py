"""What sees a run go by: a view of the step just made, observers of it, and their rhythms."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.randomness import RandomState
from gamedyn.integrators.drive.step_sizes import StepSize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gamedyn.core import State
    from gamedyn.core.protocols import FlowLike
    from gamedyn.integrators.drive.loop import Loop

__all__ = ["Due", "Every", "Observer", "View", "Watch", "every", "looked", "watches"]

UNITS = ("steps", "evaluations", "images", "seconds", "time")


@dataclass(frozen=True)
class Every:
    """A rhythm: once in so many steps, evaluations, images, seconds of the wall clock, or units of integrated time.

    Exactly one is given. Due after the first step at which a multiple of it has been reached or passed since it was
    last due; seconds begin with the solve, everything else with the run.

    Raises:
        ArgumentError: unless exactly one is given, positive.

    Example:
        >>> Every(images=50_000)
        Every(images=50000)
    """

    steps: int | None = None
    evaluations: float | None = None
    images: int | None = None
    seconds: float | None = None
    time: float | None = None

    def __post_init__(self) -> None:
        given = [u for u in UNITS if getattr(self, u) is not None]
        if len(given) != 1:
            raise ArgumentError("every", f"exactly one of {', '.join(UNITS)}", ", ".join(given) or "none")
        check = positive_int if given[0] in ("steps", "images") else positive
        check(given[0], getattr(self, given[0]))

    @property
    def unit(self) -> str:
        """Which is given."""
        return next(u for u in UNITS if getattr(self, u) is not None)

    @property
    def count(self) -> float:
        """How many."""
        return float(getattr(self, self.unit))

    def __repr__(self) -> str:
        return f"Every({self.unit}={getattr(self, self.unit)})"

    def __call__(self, look: Callable[[View], Any]) -> _Rhythmic:
        """A function of a view as an observer with this rhythm: `observers=[Every(steps=100)(print)]`."""
        return _Rhythmic(look, self)


@dataclass(frozen=True)
class _Rhythmic:
    """A function with a rhythm."""

    after_step: Callable[[View], Any]
    every: Every


def every(rhythm: int | Every, argument: str = "every") -> Every:
    """The rhythm that a number of steps stands for, in errors by the name of its argument.

    Raises:
        ArgumentError: for what is neither.
    """
    return rhythm if isinstance(rhythm, Every) else Every(steps=positive_int(argument, rhythm))


class View:
    """The step just made, as an observer sees it; it holds while the observer looks, and nothing in it is the run's.

    Attributes:
        step: steps done, this one included.
        t: time after it.
        h: its size.
        losses: by player, at the step's first evaluation.
        figures: by name, what else was recorded of the step: extra values of the losses, "h" and "error" of steps
            that are chosen.
        evaluations: field evaluations so far, those of the resumed run included.
        images: samples seen so far.
        seconds: since the solve began.
    """

    def __init__(self, loop: Loop, step: int, t: float, h: Any, y: Tensor) -> None:
        self.step, self.t, self.h = step, t, h
        self._loop, self._y = loop, y
        self._state: State | None = None

    @property
    def losses(self) -> dict[str, Tensor]:
        """By player, at the step's first evaluation."""
        field = self._open().field
        return {n: x.detach() for n, x in zip(field.names, field.losses, strict=False)}

    @property
    def figures(self) -> dict[str, Any]:
        """By name, what else was recorded of the step."""
        return dict(self._open().figures)

    @property
    def state(self) -> State:
        """The state after the step, copied when it is first asked for."""
        if self._state is None:
            self._state = self._open().field.state(self._y.clone())
        return self._state

    def average_into(self, average: State, share: float) -> None:
        """Move a state's vector and buffers this share of the way to the step's, in place: no copy is made."""
        average.y.lerp_(self._y, share)
        for own, new in zip(average.buffers, self._open().field.buffers, strict=True):
            own.lerp_(new, share) if own.is_floating_point() else own.copy_(new)

    @property
    def evaluations(self) -> float:
        """Field evaluations so far."""
        return self._open().evaluations

    @property
    def images(self) -> int:
        """Samples seen so far."""
        return self._open().images

    @property
    def seconds(self) -> float:
        """Since the solve began."""
        return time.perf_counter() - self._open().began

    def due(self, rhythm: Due) -> bool:
        """Whether something of this rhythm is due."""
        return rhythm.due(self._open(), self.step, self.t)

    def close(self) -> None:
        """The run goes on: what was not asked for cannot be had any more."""
        self._loop = None  # type: ignore[assignment]

    def _open(self) -> Loop:
        if self._loop is None:
            raise ArgumentError("view", "a question within after_step", "one later", "keep view.state, not the view")
        return self._loop


class Observer:
    """What is called after steps: give `after_step(view)`; what is true, returned, stops the run.

    It sees copies, and default generators are set back after it has looked: the run goes on bit for bit as without it.
    One with a state of its own gives `state_dict` and `load_state_dict`, which are saved with the run. `begin(flow)` is
    called before the first step, if there is one, after what it has to go on from is loaded.

    Attributes:
        every: its rhythm: steps, or an `Every`.
        draws: whether it may draw from default generators; they are set back after those that may have looked.

    Example:
        >>> import gamedyn as gd
        >>> class Largest(gd.Observer):
        ...     found = 0.0
        ...     def after_step(self, view):
        ...         self.found = max(self.found, float(view.state.y.norm()))
        >>> game, seen = gd.games.bilinear(), Largest()
        >>> run = gd.solve(gd.flows.gradient(game), "euler", h=0.1, steps=10, observers=[seen])
        >>> round(seen.found, 3)
        1.486
    """

    every: int | Every = 1
    draws: bool = True

    def after_step(self, view: View) -> Any:
        """See a step; what is true, returned, stops the run."""
        raise NotImplementedError

    def begin(self, flow: FlowLike) -> None:
        """Whose steps it is to see."""

    def finish(self) -> None:
        """Close what it has open; `gamedyn train` calls it at the end, after a `solve` of your own it is yours to."""

    def state_dict(self) -> dict[str, Any]:
        """What it must be given to go on: tensors, numbers, text, lists and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""


class Due:
    """A rhythm on one run: when something is due.

    Args:
        rhythm: steps, or an `Every`.

    Attributes:
        last: how often it had come round when it was last due; of steps nothing is kept.
    """

    def __init__(self, rhythm: int | Every) -> None:
        self.rhythm, self.last = every(rhythm), 0.0
        self._unit, self._count = self.rhythm.unit, self.rhythm.count

    def due(self, loop: Loop, step: int, t: float) -> bool:
        """Whether it is due when so many steps are done."""
        if self._unit == "steps":
            return step % int(self._count) == 0
        now = loop.counted(self._unit, t) // self._count
        due, self.last = now > self.last, now
        return due


class Watch:
    """One observer on one run: when it is due, and what it says."""

    def __init__(self, observer: Any) -> None:
        self.observer = observer
        self.after: Callable[[View], Any] = getattr(observer, "after_step", observer)
        self.rhythm = Due(getattr(observer, "every", 1))
        self.draws: bool = getattr(observer, "draws", True)

    def begin(self, flow: FlowLike) -> None:
        """Tell it whose steps come."""
        getattr(self.observer, "begin", lambda _: None)(flow)

    def look(self, view: View) -> bool:
        """Let it see a step; whether it wants to stop.

        Raises:
            ArgumentError: if its answer has no one truth value.
        """
        with torch.enable_grad():
            answer = self.after(view)
        try:
            return bool(answer)
        except (RuntimeError, ValueError, TypeError):
            remedy = "one truth value: any() or all() of them"
            raise ArgumentError("observers", "an answer that is true or not", answer, remedy) from None

    def state_dict(self) -> dict[str, Any]:
        """That of the observer, and of its rhythm."""
        own: dict[str, Any] = getattr(self.observer, "state_dict", dict)()
        last = 0.0 if self.rhythm.rhythm.unit == "seconds" else self.rhythm.last
        return {"kind": type(self.observer).__name__, "last": last, "state": own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.rhythm.last = float(state["last"])
        if state["state"]:
            self.observer.load_state_dict(state["state"])


def watches(observers: Sequence[Any]) -> list[Watch]:
    """One for each observer.

    Raises:
        ArgumentError: for what is neither an observer nor a function of a view.
    """
    if callable(observers) or hasattr(observers, "after_step") or not hasattr(observers, "__iter__"):
        raise ArgumentError("observers", "a sequence of observers", type(observers).__name__, "observers=[observer]")
    for observer in observers:
        if isinstance(observer, StepSize):
            raise ArgumentError("observers", "no step size: it is given as h", observer, "solve(..., h=controller)")
        if isinstance(observer, type) or not callable(getattr(observer, "after_step", observer)):
            expected = "observers, with after_step(view), or functions of a view"
            raise ArgumentError("observers", expected, repr(observer))
    return [Watch(o) for o in observers]


def looked(watching: Sequence[Watch], loop: Loop, view: View) -> bool:
    """Let those see a step that are due, with the default generators set back; whether one wants to stop."""
    due = [w for w in watching if w.rhythm.due(loop, view.step, view.t)]
    if not due:
        return False
    random = RandomState(loop.field.flow.game.device) if any(w.draws for w in due) else None
    try:
        answers = [w.look(view) for w in due]  # all of them see it, also where one stops
        return any(answers)
    finally:
        if random is not None:
            random.restore()
        view.close()
