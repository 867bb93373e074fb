"""The exponential average of the parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators import Every, Observer
from gamedyn.integrators.drive.observers import every as rhythm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamedyn.core import State
    from gamedyn.core.protocols import FlowLike
    from gamedyn.integrators import View

__all__ = ["EMA"]


class EMA(Observer):
    """`average <- average + (1 - 2^(-d / half_life)) (y - average)`, d what has gone by; buffers likewise.

    Integer buffers (counters) are those of the last step. The average goes on where a resumed run does.

    Args:
        half_life: in steps, or an `Every` of images, evaluations or time: what is so old has half its weight.
        every: rhythm.
        start: steps before which the average is the state itself.

    Raises:
        ArgumentError: for a half-life in seconds, which no two runs share, or a start below 0.

    Attributes:
        state: the average, a State; None before the first step.

    Example:
        >>> import gamedyn as gd
        >>> from gamedyn.training.observers import EMA
        >>> flow, average = gd.flows.gradient(gd.games.bilinear()), EMA(half_life=20)
        >>> run = gd.solve(flow, "rk4", h=0.1, steps=200, observers=[average])
        >>> float(average.state.y.norm()) < float(run.state.y.norm())
        True
    """

    draws = False

    def __init__(self, half_life: int | Every, *, every: int | Every = 1, start: int = 0) -> None:
        self.half_life = rhythm(half_life, "half_life")
        if self.half_life.unit == "seconds":
            raise ArgumentError("half_life", "steps, images, evaluations or time", half_life, "EMA(Every(images=...))")
        self.every, self.start = every, positive_int("start", start, least=0)
        self.state: State | None = None
        self._last = 0.0
        self._read: tuple[Any, ...] | None = None

    def begin(self, flow: FlowLike) -> None:
        """Put what was loaded where the players are."""
        if self._read is None:
            return
        like, (y, buffers) = flow.game.state(), self._read
        moved = tuple(b.to(f) for b, f in zip(buffers, like.buffers, strict=True))
        self.state, self._read = replace(like, y=y.to(like.y), buffers=moved), None

    def after_step(self, view: View) -> None:
        """Average a step in."""
        unit = self.half_life.unit
        now = float(view.t if unit == "time" else view.step if unit == "steps" else getattr(view, unit))
        if self.state is None or view.step <= self.start:
            self.state = _copied(view.state)
        else:
            view.average_into(self.state, 1 - 2 ** (-(now - self._last) / self.half_life.count))
        self._last = now

    def state_dict(self) -> dict[str, Any]:
        """The average, and when it was last brought up to date."""
        if self.state is None:
            return {}
        copied = _copied(self.state)
        return {"y": copied.y, "buffers": list(copied.buffers), "last": self._last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._read, self._last = (state["y"], list(state["buffers"])), float(state["last"])


def _copied(state: State) -> State:
    return type(state)(state.layout, state.y.clone(), tuple(b.clone() for b in state.buffers))
