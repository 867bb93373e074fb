"""A flow on one batch: adaptive steps, crossings of sections, and the derivative of the very steps taken."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators import Adaptive, stepper
from gamedyn.integrators.drive.adaptive import AdaptiveStepper
from gamedyn.methods import RungeKutta, get
from gamedyn.spectrum.tangent import VariationalField

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.methods import Method

__all__ = ["Failure", "Orbit", "Return", "Section", "Step"]

NEWTON_STEPS = 8
"""Steps of Newton's method towards a crossing, at most."""

TURNS = 8
"""Crossings of a section that a return is compared with."""

ANOTHER_TIME = 0.7318
"""A time at which the field of an autonomous flow is the same as at 0."""


class Failure(Exception):
    """The integration broke off."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Step(NamedTuple):
    """An accepted step: its start, length, both ends, the field at the first; whether it ends at a stop."""

    t: float
    h: float
    y: Tensor
    new: Tensor
    first: Tensor
    stops: bool
    stepper: AdaptiveStepper
    memory: Any


class Return(NamedTuple):
    """A crossing and an earlier one: both points, time between, distance over the orbit's size, size, turns between."""

    y: Tensor
    earlier: Tensor
    period: float
    distance: float
    size: float
    turns: int


class Orbit:
    """The flow from any point, for any time.

    Attributes:
        form: whether derivatives are formed as matrices.
        tangent: of the flow.
        rtol: of the steps.
        budget: evaluations and products after which it breaks off.
    """

    def __init__(
        self, flow: Flow, state: State, batch: Any, method: str | Method, rtol: float, formed_up_to: int, budget: float
    ) -> None:
        self.budget = budget
        self.flow, self.method, self.rtol = flow, method, rtol
        self.form = state.layout.n <= formed_up_to
        self.tangent = None if flow.tangent is None else flow.tangent.to(state.y)
        self.field = flow.at(state, batch)
        now, then = self.field(0.0, state.y), self.field(ANOTHER_TIME, state.y)
        if not torch.allclose(now, then, rtol=1e-5, atol=1e-6 * float(now.abs().max()), equal_nan=True):
            remedy = "of a periodic force take the phase as a further player"
            raise ArgumentError("flow", "an autonomous flow", "one whose field changes with time", remedy)
        self._atol = rtol * max(float(state.y.square().mean().sqrt()), 1e-3)
        m = self._cautious = get(method)
        if (
            isinstance(m, RungeKutta) and m.b_low is not None
        ):  # the estimate of order 5 alone: errors add up along a turn
            self._cautious = RungeKutta(m.A, m.b, m.b_hat, digits=m.digits)
        AdaptiveStepper(stepper(method), self._control)  # refuses methods without an embedded one

    def _check_budget(self) -> None:
        if self.field.work.evaluations + self.field.work.products > self.budget:
            raise Failure("budget")

    @property
    def _control(self) -> Adaptive:
        return Adaptive(rtol=self.rtol, atol=self._atol)

    def scaled(self, size: float) -> Orbit:
        """This orbit, its absolute tolerance now relative to a size."""
        self._atol = self.rtol * size
        return self

    def work(self) -> float:
        """Field evaluations so far."""
        return self.field.work.evaluations

    def v(self, y: Tensor) -> Tensor:
        """The field, (n,)."""
        return self.field(0.0, y)

    def steps(self, y: Tensor, span: float, stops: Sequence[float] = ()) -> Iterator[Step]:
        """Accepted steps until the span is over; some end at the given times, ascending, the last of them the span.

        Raises:
            Failure: if a step is not finite, none is small enough, or the budget is spent.
        """
        adaptive = AdaptiveStepper(stepper(self._cautious), self._control)
        memory, t = adaptive.init(self.field, 0.0, y, None), 0.0
        for stop in stops if len(stops) else (span,):
            while t < stop:
                self._check_budget()
                new, after, info = adaptive.step(self.field, 0.0, y, stop - t, memory)
                if info.status != "ok":
                    raise Failure(info.status)
                if not bool(new.isfinite().all()):
                    raise Failure("non_finite")
                h, first = float(info.h or 0.0), memory["slope"]
                if t + h == t:  # a solution that ends in finite time; the stepper is told t = 0 and cannot see it
                    raise Failure("step_too_small")
                late = h >= (stop - t) * (1 - 1e-12)
                yield Step(t, h, y, new, self.v(y) if first is None else first, late, adaptive, memory)
                t = float(stop) if late else t + h
                y, memory = new, after

    def advance(self, y: Tensor, span: float) -> tuple[Tensor, list[float]]:
        """The point after a time, and the steps taken."""
        taken, end = [], y
        for step in self.steps(y, span):
            taken.append(step.h)
            end = step.new
        return end, taken

    def size(self, y: Tensor, span: float) -> float:
        """Largest distance from y within a time, over the ends of the steps."""
        return max(float((step.new - y).norm()) for step in self.steps(y, span))

    def at_times(self, y: Tensor, times: NDArray[Any]) -> Tensor:
        """Points at ascending times, the first of them 0, (m, n): each the end of a step."""
        stops = [float(t) for t in times[1:]]
        return torch.stack([y, *(step.new for step in self.steps(y, stops[-1], stops) if step.stops)])

    def images(self, y: Tensor, steps: Sequence[float], directions: Tensor) -> Tensor:
        """The derivative of these steps from y, applied to rows of directions, (m, n)."""
        rows = VariationalField(self.field, 1 + len(directions), [], form=self.form)
        inner = stepper(self.method)
        both = torch.cat([y[None], directions])
        memory = inner.init(rows, 0.0, both, steps[0])
        for h in steps:
            self._check_budget()
            both, memory, info = inner.step(rows, 0.0, both, h, memory)
            if info.status != "ok":
                raise Failure(info.status)
        return both[1:]


class Section:
    """The plane through a point, across the flow there; crossings count along the flow."""

    def __init__(self, origin: Tensor, v: Tensor) -> None:
        self.origin, self.normal = origin.clone(), v / v.norm()
        self._before = 0.0
        self._t = 0.0
        self._last = origin.clone()
        self._reach = 0.0
        self._crossings: deque[tuple[float, Tensor]] = deque(maxlen=TURNS)
        self._reaches: deque[float] = deque(maxlen=TURNS)
        self._fresh = True

    def height(self, y: Tensor) -> Tensor:
        """Signed distance from the plane, 0-dim."""
        return torch.dot(self.normal, y - self.origin)

    def passed(self, step: Step, orbit: Orbit) -> Return | None:
        """The return that a step makes: the fewest turns after which it is closest, within a factor of 2."""
        if self._fresh:
            self._fresh = False
            self._crossings.append((step.t, self.origin))
        after = float(self.height(step.new))
        before, self._before = self._before, after
        self._reach = max(self._reach, float((step.new - self._last).norm()))
        if not before < 0 <= after:
            return None
        late, y = self._refined(step, orbit)
        self._reaches.append(self._reach)
        found = []
        for turns in range(1, len(self._crossings) + 1):
            then, there = self._crossings[-turns]
            size = max(list(self._reaches)[-turns:])
            found.append(Return(y, there, step.t + late - then, float((y - there).norm()) / size, size, turns))
        self._crossings.append((step.t + late, y))
        self._last, self._reach = y, 0.0
        best = min(r.distance for r in found)
        return next(r for r in found if r.distance <= 2 * best)

    def _refined(self, step: Step, orbit: Orbit) -> tuple[float, Tensor]:
        """When within the step, and where: by Newton's method on shorter steps of the method itself."""
        low, high = float(self.height(step.y)), float(self.height(step.new))
        s, y = step.h if high <= low else step.h * min(1.0, max(1e-9, -low / (high - low))), step.new
        for _ in range(NEWTON_STEPS):
            y, _ = step.stepper.part(orbit.field, 0.0, step.y, s, step.memory)
            rate, off = float(self.normal @ orbit.v(y)), float(self.height(y))
            if rate <= 0 or abs(off) <= 1e-13 * rate * step.h:
                break
            s = min(max(s - off / rate, 1e-9 * step.h), step.h)
        return s, y
