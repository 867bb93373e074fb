"""Events: functions of the time and the state whose zeros a solve notes, or stops at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from scipy.optimize import brentq

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from gamedyn.core import State

__all__ = ["Event", "Events", "events"]


@dataclass(frozen=True)
class Event:
    """A zero of a function of the time and the state: `solve(..., events={"section": Event(fn, direction=1)})`.

    A step in which `g(t, y(t))` reaches 0 or changes its sign contains one; it is found to rounding in t by shorter
    steps of the method from where the step began (Brent's method, some eight of them), so that its error is the
    solve's. Two zeros in one step cancel each other unseen: bound the step where that matters (`h_max`).

    Args:
        fn: takes the time and a State, which it may keep; gives a number.
        direction: 1, zeros at which it rises; -1, falls; 0, both.
        stop: whether the run ends there; a number n: at the n-th one.

    Raises:
        ArgumentError: for a direction or a stop that is none of these.

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.bilinear())  # turns about 0
        >>> section = gd.Event(lambda t, state: float(state["y"]), direction=1)
        >>> run = gd.solve(flow, "dopri5", h=gd.steps.Adaptive(1e-10, 1e-10), t_span=(0, 14), events={"y": section})
        >>> [round(t, 6) for t in run.events["y"]]  # 7 pi / 4 and one turn later
        [5.497787, 11.780972]
    """

    fn: Callable[[float, State], Any]
    direction: int = 0
    stop: bool | int = False

    def __post_init__(self) -> None:
        if not callable(self.fn):
            raise ArgumentError("events", "a function of the time and the state", self.fn)
        if self.direction not in (-1, 0, 1):
            raise ArgumentError("direction", "1 (rising), -1 (falling) or 0 (both)", self.direction)
        if not isinstance(self.stop, (bool, int)) or self.stop < 0:
            raise ArgumentError("stop", "whether to stop, or at which occurrence", self.stop)

    def within(self, before: float, after: float) -> bool:
        """Whether it lies in a step between two values: beyond the first, up to the second."""
        up, down = before < 0 <= after, before > 0 >= after
        return (up and self.direction >= 0) or (down and self.direction <= 0)


class Events:
    """The events of one solve: their values at the last node, and the times found.

    Args:
        events: by name.
        past: times that the run gone on from has found.

    Attributes:
        times: by name, those found, in order; of the run gone on from too.
    """

    def __init__(self, events: Mapping[str, Event], past: Mapping[str, list[float]]) -> None:
        self._events = dict(events)
        self.times: dict[str, list[float]] = {k: list(past.get(k, ())) for k in {**past, **self._events}}
        self._values: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._events)

    def begin(self, t: float, state: State) -> None:
        """The values where the solve begins: a zero there is not found."""
        self._values = {k: self._value(k, t, state) for k in self._events}

    def found(
        self, t: float, end: float, last: State, between: Callable[[float], State]
    ) -> tuple[list[tuple[float, State]], bool]:
        """The times within the step from t to `end`, sorted, with their states; and whether the run ends at the last.

        Args:
            t: where the step begins.
            end: where it ends.
            last: the state there.
            between: gives the state at a time within.
        """
        before, self._values = self._values, {k: self._value(k, end, last) for k in self._events}
        due = [k for k, e in self._events.items() if e.within(before[k], self._values[k])]
        zeros = sorted((self._zero(k, t, end, last, between, before[k]) for k in due), key=lambda z: z[0])
        out: list[tuple[float, State]] = []
        for when, name, state in zeros:
            self.times[name].append(when)
            out.append((when, state))
            stop = self._events[name].stop
            if stop and len(self.times[name]) >= int(stop):
                return out, True
        return out, False

    def _zero(
        self, name: str, t: float, end: float, last: State, between: Callable[[float], State], before: float
    ) -> tuple[float, str, State]:
        """Where it is: the first time at which the function has its new sign, or 0."""
        states = {end: last}
        values = {t: before, end: self._values[name]}

        def value(when: float) -> float:
            if when not in values:
                states[when] = between(when)
                values[when] = self._value(name, when, states[when])
            return values[when]

        if values[end] != 0:
            brentq(value, t, end, xtol=4 * math.ulp(max(abs(t), abs(end))), maxiter=1000)
        when = min(w for w, v in values.items() if w > t and v * before <= 0)
        return when, name, states[when]

    def _value(self, name: str, t: float, state: State) -> float:
        found = self._events[name].fn(t, state)
        try:
            number = float(found)
        except (TypeError, ValueError, RuntimeError):
            got = f"shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else type(found).__name__
            raise ArgumentError(f"events[{name!r}]", "a function that gives one number", got) from None
        if number != number:
            raise ArgumentError(f"events[{name!r}]", "a function that gives a number", f"nan at t = {t:g}")
        return number


def events(given: Mapping[str, Event | Callable[[float, State], Any]] | None) -> dict[str, Event]:
    """Events by name; a bare function is one in both directions that does not stop.

    Raises:
        ArgumentError: for what is none.
    """
    if given is not None and not hasattr(given, "keys"):
        raise ArgumentError("events", 'a dict of events by name, such as {"section": Event(fn)}', type(given).__name__)
    return {str(k): e if isinstance(e, Event) else Event(e) for k, e in (given or {}).items()}
