"""How long the steps are: numbers, schedules, and what solves ask of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gamedyn._lib.checks import finite, positive, positive_int
from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gamedyn.integrators._types import Integrator
    from gamedyn.integrators.drive.observers import View

__all__ = ["Constant", "PerMember", "Schedule", "StepSize", "cosine", "piecewise", "step_size", "warmup"]


class StepSize(ABC):
    """What the loop asks before every step: how long is it?

    Subclasses give `size`; the rest has defaults. A step size with a state of its own gives `state_dict` and
    `load_state_dict`, which are saved with the run, and one that is to see the run gives `after_step`.

    Attributes:
        equal: whether all steps are equal, as multistep methods with fixed coefficients need.
    """

    equal = False

    @abstractmethod
    def size(self, step: int, t: float) -> Any:
        """The size of step number `step` (0 is the first), which begins at t: positive; inf lets the method choose."""

    @property
    def first(self) -> Any:
        """The first step, where it is known before the first state is seen."""
        return self.size(0, 0.0)

    def stepper(self, inner: Integrator) -> Any:
        """What steps: the method's stepper, or one that tries steps of several sizes."""
        return inner

    def clock(self, start: float, step: int, t: float, taken: Any) -> float:
        """The time after step number `step`, which began at t; `start` is that of step 0."""
        return t + float(taken)

    def resumed(self, start: float, step: int, t: float) -> float:
        """The time of a run gone on from, that was at t."""
        return t

    def when(self, step: int, t: float) -> Any:
        """Time at which step number `step` begins, as the field gets it."""
        return t

    def integrated(self, since: float, t: float) -> Any:
        """Time gone through between two times of the loop's clock."""
        return t - since

    def after_step(self, view: View) -> Any:
        """See what observers see."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """What it must be given to go on: tensors, numbers, text, lists and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Go on from there."""

    @property
    def shown(self) -> Any:
        """What `run.stats["h"]` says."""
        return repr(self)


class Constant(StepSize):
    """The same step always: what a number stands for.

    Args:
        h: step, in units of the flow's time.

    Raises:
        ArgumentError: unless it is positive and finite.

    Example:
        >>> Constant(0.1).clock(0.0, 2, 0.2, 0.1)  # 3 h, not h added thrice
        0.30000000000000004
    """

    equal = True

    def __init__(self, h: float) -> None:
        self.h = positive("h", h, "steps that are chosen: h=gamedyn.steps.Adaptive(rtol=1e-6)")

    def __repr__(self) -> str:
        return f"Constant({self.h!r})"

    def size(self, step: int, t: float) -> float:
        """Always h."""
        return self.h

    def clock(self, start: float, step: int, t: float, taken: Any) -> float:
        """`start + (step + 1) h`, so that no rounding adds up."""
        return start + (step + 1) * self.h if taken == self.h else t + float(taken)

    def resumed(self, start: float, step: int, t: float) -> float:
        """`start + step h`, where the run ended at a time that differs from it by rounding alone."""
        own = start + step * self.h
        return own if abs(own - t) <= 1e-9 * self.h else t

    @property
    def shown(self) -> float:
        """The number."""
        return self.h


class PerMember(StepSize):
    """One step for each member of an ensemble; the loop's clock counts steps, as members have times of their own.

    Args:
        h: (members, 1), positive.
    """

    equal = True

    def __init__(self, h: Tensor) -> None:
        self.h = h

    def __repr__(self) -> str:
        return f"PerMember({self.shown})"

    def size(self, step: int, t: float) -> Tensor:
        """Always h."""
        return self.h

    def clock(self, start: float, step: int, t: float, taken: Any) -> float:
        """The number of steps."""
        return start + step + 1

    def when(self, step: int, t: float) -> Tensor:
        """`step h`."""
        return step * self.h

    def integrated(self, since: float, t: float) -> Tensor:
        """`h` times the steps, (members,)."""
        return ((t - since) * self.h).flatten()

    @property
    def shown(self) -> list[float]:
        """One number for each member."""
        found: list[float] = self.h.flatten().tolist()
        return found


class Schedule(StepSize):
    """A step that is a function of the step's number, for methods whose steps may change.

    Args:
        fn: from the number of the step, 0 for the first, its size.

    Raises:
        ArgumentError: if it is no function; from the loop, if it gives what is not positive and finite.

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.bilinear())
        >>> run = gd.solve(flow, "rk4", h=gd.steps.Schedule(lambda n: 0.1 / (1 + n)), steps=3)
        >>> round(run.t, 9), [round(float(h), 9) for h in run.records.figures["h"]]
        (0.183333333, [0.1, 0.05, 0.033333333])
    """

    def __init__(self, fn: Callable[[int], float]) -> None:
        if not callable(fn):
            raise ArgumentError("fn", "a function of the step's number", fn)
        self.fn = fn

    def __repr__(self) -> str:
        return f"Schedule({getattr(self.fn, '__name__', type(self.fn).__name__)})"

    def size(self, step: int, t: float) -> float:
        """What the function gives."""
        return positive(f"h({step})", self.fn(step))


def warmup(h: float, steps: int, *, start: float = 0.01) -> Schedule:
    """From a share of h linearly to h: `h (start + (1 - start) min(1, n / steps))`.

    Args:
        h: step afterwards.
        steps: over which it grows, at least 1.
        start: share of h with which it begins, in (0, 1].

    Raises:
        ArgumentError: for a number out of its range.

    Example:
        >>> [round(warmup(0.2, 4, start=0.5).size(n, 0.0), 3) for n in range(6)]
        [0.1, 0.125, 0.15, 0.175, 0.2, 0.2]
    """
    h, steps, start = positive("h", h), positive_int("steps", steps), _share("start", start)

    def rising(step: int) -> float:
        return h * (start + (1 - start) * min(1.0, step / steps))

    return Schedule(rising)


def cosine(h: float, steps: int, *, end: float = 0.01) -> Schedule:
    """From h down half a cosine to a share of it: `h (end + (1 - end) (1 + cos(pi min(1, n / steps))) / 2)`.

    Args:
        h: first step.
        steps: over which it falls, at least 1.
        end: share of h with which it ends, in (0, 1].

    Raises:
        ArgumentError: for a number out of its range.

    Source: Loshchilov, Hutter 2017, ICLR, eq. (5).

    Example:
        >>> [round(cosine(1.0, 2, end=0.5).size(n, 0.0), 3) for n in range(4)]
        [1.0, 0.75, 0.5, 0.5]
    """
    h, steps, end = positive("h", h), positive_int("steps", steps), _share("end", end)

    def falling(step: int) -> float:
        return h * (end + (1 - end) * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2)

    return Schedule(falling)


def piecewise(sizes: Mapping[int, float]) -> Schedule:
    """Constant from each of the named steps on.

    Args:
        sizes: by number of the step from which it holds, its size; 0 must be among them.

    Raises:
        ArgumentError: without a size for step 0, for numbers that are none.

    Example:
        >>> [piecewise({0: 0.1, 2: 0.05}).size(n, 0.0) for n in range(4)]
        [0.1, 0.1, 0.05, 0.05]
    """
    if not hasattr(sizes, "items") or 0 not in sizes:
        raise ArgumentError("sizes", "a dict from numbers of steps to sizes, 0 among them", sizes)
    known = {positive_int("sizes", at, least=0): positive(f"sizes[{at}]", h) for at, h in sizes.items()}
    starts = sorted(known)

    def level(step: int) -> float:
        return known[max(at for at in starts if at <= step)]

    return Schedule(level)


def step_size(h: Any) -> StepSize:
    """The step size that a number, a function of the step's number or a step size stands for.

    Raises:
        ArgumentError: for anything else.
    """
    if isinstance(h, StepSize):
        return h
    return Schedule(h) if callable(h) else Constant(h)


def _share(argument: str, value: float) -> float:
    if not 0 < finite(argument, value) <= 1:
        raise ArgumentError(argument, "a number in (0, 1]", value)
    return float(value)
