"""A step chosen from the spectrum while a run goes on: a controller, and what is known against it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gamedyn._lib.checks import choice, positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators import stepper
from gamedyn.integrators.drive.observers import Due
from gamedyn.integrators.drive.step_sizes import StepSize
from gamedyn.spectrum.monitor import MEASURES, SpectralMonitor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamedyn.integrators import View

__all__ = ["SpectralController"]


class SpectralController(StepSize):
    """A step for one-step methods, from the spectrum: `solve(h=controller)`.

    `h = safety * limit`, the limit being the monitor's last one, kept between `h_min` and `h_max`, changed only when
    it differs from the present h by more than the hysteresis, and by a factor of at most `most` at a time. Until the
    first computation h is `first`.

    Know what it does before using it. The spectrum of a GAN in training adapts to the step, not the other way round:
    with the non-saturating loss the leading eigenvalue grows until it lies on the boundary of the method's region,
    for most explicit methods (study `edge_of_stability`). A controller that keeps h inside lets it grow on: h ratchets
    down towards `h_min`. There h per evaluation fell from 0.2 to 0.032-0.036 (euler) and 0.012-0.021 (rk4) in 2,400
    evaluations and was still falling, while the distance of the images was that of the fixed step 0.2: 3.3 beside
    3.2, and 4.6 beside 4.8. It is of use near an equilibrium, where the spectrum stands still, and as a measurement.

    Args:
        monitor: it is called with every step and given this controller's steps.
        safety: share of the limit, in (0, 1].
        first: the first step; None: `h_max`.
        h_min: floor.
        h_max: largest step.
        hysteresis: relative change below which h stays.
        most: largest factor, up or down, of one change.
        by: the limit that is followed: "leading", "damped" or "real" (see SpectralRecord). Weakly damped rotation
            makes the second very small for methods without an imaginary interval.

    Attributes:
        h: the present step.
        history: (step, h) at the start and after each change.

    Raises:
        ArgumentError: for a bad number; for a measure that the method does not have; for a method whose steps must be
            equal.

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.dirac_gan("wasserstein", "r1", 1.0))
        >>> control = SpectralController(SpectralMonitor(flow, "euler", every=10), first=0.1, h_min=0.01, h_max=1.0)
        >>> run = gd.solve(flow, "euler", h=control, steps=50)
        >>> [(step, round(h, 6)) for step, h in control.history]
        [(0, 0.1), (10, 0.2), (20, 0.4), (30, 0.8)]
    """

    def __init__(
        self,
        monitor: SpectralMonitor,
        *,
        h_min: float,
        h_max: float,
        first: float | None = None,
        safety: float = 0.8,
        hysteresis: float = 0.1,
        most: float = 2.0,
        by: str = "leading",
    ) -> None:
        if not isinstance(monitor, SpectralMonitor):
            raise ArgumentError("monitor", "a SpectralMonitor", type(monitor).__name__)
        self.monitor, self.by = monitor, choice("by", by, MEASURES)
        self.h_min, self.h_max = positive("h_min", h_min), positive("h_max", h_max)
        if self.h_min > self.h_max:
            raise ArgumentError("h_min, h_max", "a floor below the largest step", f"{h_min}, {h_max}")
        self.safety, self.most = positive("safety", safety), positive("most", most)
        if self.safety > 1 or self.most <= 1:
            raise ArgumentError("safety, most", "at most 1, and above 1", f"{safety}, {most}")
        self.hysteresis = positive("hysteresis", hysteresis) if hysteresis else 0.0
        if not stepper(monitor.method).changes_h:
            raise ArgumentError("monitor", "one of a one-step method: this method's steps must be equal", repr(monitor))
        blocks = not monitor.method.decouples
        if monitor._real is None or (by != "real" and blocks):
            raise ArgumentError("by", '"real" for a method that needs blocks', by)
        self.h = positive("first", self.h_max if first is None else first)
        if not self.h_min <= self.h <= self.h_max:
            raise ArgumentError("first", f"a step from {h_min} to {h_max}", first)
        self.history: list[tuple[int, float]] = [(0, self.h)]
        self._rhythm = Due(monitor.every)

    def size(self, step: int, t: float) -> float:
        """The present step."""
        return self.h

    def after_step(self, view: View) -> None:
        """Measure when the monitor is due, and follow; a computation that failed leaves h as it is."""
        if not view.due(self._rhythm):
            return
        self.monitor.after_step(view)
        limit = self.monitor.records[-1].limits[self.by] if self.monitor.records else None
        if limit is not None:
            self._follow(view.step, limit)

    def state_dict(self) -> dict[str, Any]:
        """The present step, and how it came about."""
        return {"h": self.h, "history": list(self.history)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.h, self.history = float(state["h"]), [(int(n), float(h)) for n, h in state["history"]]

    def _follow(self, step: int, limit: float) -> None:
        aim = self.h_max if math.isinf(limit) else self.safety * limit
        aim = min(max(aim, self.h / self.most), self.h * self.most)
        aim = min(max(aim, self.h_min), self.h_max)
        if abs(aim / self.h - 1) > self.hysteresis:
            self.h = aim
            self.history.append((step, aim))
