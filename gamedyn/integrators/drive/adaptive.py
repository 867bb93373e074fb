"""Steps that choose their size: an embedded error estimate, a controller, and what noise does to both."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from gamedyn._lib.checks import choice, positive, positive_int
from gamedyn._lib.errors import ArgumentError, warn_caller
from gamedyn.integrators._types import StepInfo
from gamedyn.integrators.drive.step_sizes import StepSize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gamedyn.integrators._types import Integrator
    from gamedyn.jacobian import FrozenField

__all__ = ["Adaptive", "AdaptiveStepper", "NoiseWarning"]

FILTERS = {"I": (1.0, 0.0, 0.0), "PI": (0.7, -0.4, 0.0), "PID": (1 / 18, 1 / 9, 1 / 18)}
"""Exponents of the last three error estimates, times the order: elementary, PI.3.4 and H312PID."""

BATCHES_COMPARED = 4
"""Batches on which the error estimate is evaluated to find its spread."""


class NoiseWarning(UserWarning):
    """The tolerance lies below what one batch differs from another: the steps follow the noise."""


@dataclass(frozen=True)
class Adaptive(StepSize):
    """Steps chosen by an embedded error estimate, for methods that have one: `solve(..., h=Adaptive(rtol, atol))`.

    With `e` the norm of the error estimate over `atol + rtol max(|y|, |y+|)`, a step is accepted iff `e <= 1`; the
    next is `h prod_i (safety^k / e_{n-i})^(b_i / k)`, k the order of the estimate, b from the filter ("I" for as
    many steps as it looks back on).

    Attributes:
        rtol: relative tolerance.
        atol: absolute tolerance; one of the two may be 0.
        filter: "I" (elementary), "PI" (0.7, -0.4) or "PID" (H312PID, the smoothest: for noisy fields).
        norm: "players", the largest root mean square over one player (a large player hides no small one), or "rms",
            that over all.
        safety: share of the step that the estimate allows.
        shrink: smallest factor between two steps.
        grow: largest.
        h_min: below it, or a unit in the last place of t, the run ends as "step_too_small"; None: the latter alone.
        h_max: largest step.
        first: first step to try; None: chosen from v and how it changes (two evaluations).
        max_steps: accepted and rejected ones; beyond it the run ends as "too_many_steps".
        noise_every: accepted steps between measurements of the estimate's spread over batches, where these change.

    Raises:
        ArgumentError: for tolerances that are both 0, or out of range.

    Source: Soederlind 2003, ACM Trans. Math. Softw. 29, tables I-III; Hairer, Norsett, Wanner I, II.4.

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.bilinear())
        >>> control = gd.steps.Adaptive(rtol=1e-8, atol=1e-10)
        >>> run = gd.solve(flow, "dopri5", h=control, t_span=(0.0, 6.283185307179586))
        >>> round(float((run.state.y - flow.initial_state().y).norm()), 6)
        0.0
    """

    rtol: float
    atol: float = 0.0
    filter: str = "PI"
    norm: str = "players"
    safety: float = 0.9
    shrink: float = 0.2
    grow: float = 10.0
    h_min: float | None = None
    h_max: float = math.inf
    first: float | None = None
    max_steps: int = 1_000_000
    noise_every: int = 50

    def __post_init__(self) -> None:
        for name in ("rtol", "atol"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ArgumentError(name, "a finite number of at least 0", getattr(self, name))
        if self.rtol == self.atol == 0:
            raise ArgumentError("rtol, atol", "at least one above 0", "both 0", "no step has an error of 0")
        choice("filter", self.filter, FILTERS)
        choice("norm", self.norm, ("players", "rms"))
        for name in ("safety", "shrink", "grow", *(n for n in ("h_min", "first") if getattr(self, n) is not None)):
            positive(name, getattr(self, name))
        if not self.h_max > (self.h_min or 0.0) or not self.shrink < 1 < self.grow:
            raise ArgumentError("h_max, shrink, grow", "h_max > h_min and shrink < 1 < grow", self)
        positive_int("max_steps", self.max_steps)
        positive_int("noise_every", self.noise_every)

    def size(self, step: int, t: float) -> float:
        """All the time that is left: the stepper tries until a step is accepted."""
        return math.inf

    def stepper(self, inner: Integrator) -> AdaptiveStepper:
        """One that tries steps of several sizes."""
        return AdaptiveStepper(inner, self)

    @property
    def shown(self) -> str:
        """A word."""
        return "adaptive"

    def shortest(self, t: float) -> float:
        """The shortest step from t."""
        return max(math.ulp(t), self.h_min or 1e-300)  # shorter ones do not move t

    def norm_of(self, error: Tensor, y: Tensor, new: Tensor, players: tuple[slice, ...]) -> float:
        """The norm of an error estimate, in tolerances: one wait for the device."""
        allowed = self.rtol * torch.maximum(y.abs(), new.abs()) + self.atol
        scaled = error / allowed.clamp_min(
            torch.finfo(error.dtype).tiny
        )  # a component that is 0 and stays so is no error
        if self.norm == "rms":
            return float(scaled.square().mean().sqrt())
        return float(torch.stack([scaled[at].square().mean() for at in players]).max().sqrt())


class AdaptiveStepper:
    """An integrator whose `step` tries until a step is accepted; the h it is given is the time that is left.

    Memory: the inner stepper's; `h`, the next step; `sizes`, the last error norms; `slope`, v at y where the method
    has it (FSAL) and the next step's batch is the same one: it never crosses a change of batch.
    """

    host_decides = "steps are tried until one is accepted"
    ensembles, in_place, variational, resamples, stochastic = False, False, False, False, False
    changes_h = True
    options = ()

    def __init__(self, inner: Integrator, control: Adaptive) -> None:
        self.inner, self.control, self.method = inner, control, inner.method
        order, embedded = (getattr(self.method, name, None) for name in ("order", "embedded_order"))
        if order is None or embedded is None:
            remedy = "such as heun2, bosh3, dopri5, tsit5, dop853, tr_bdf2, kvaerno5, rodas3 or exprb32"
            raise ArgumentError("h", "a method with an embedded one", f"{self.method!r}, which has none", remedy)
        self._estimates = getattr(self.method, "estimate_order", None) or min(order, embedded) + 1
        self._filter = FILTERS[control.filter]
        self._seen: deque[Any] = deque(maxlen=BATCHES_COMPARED)
        self._warned = False
        self.noise: list[dict[str, float]] = []

    def init(self, field: FrozenField, t: float, y: Tensor, h: float | None) -> dict[str, Any]:
        """The inner memory, and the first step; where none is given, `step` chooses one from v and its change."""
        return {"inner": self.inner.init(field, t, y, h or 1.0), "h": h, "sizes": [], "slope": None, "tried": 0}

    def started(self, memory: Any) -> bool:
        """Always."""
        return True

    def step(self, field: FrozenField, t: float, y: Tensor, left: float, memory: Any) -> tuple[Tensor, Any, StepInfo]:
        """One accepted step, of at most the time that is left."""
        control, rejected, counts = self.control, 0, Counter[str]()
        h = memory["h"]
        if h is None:
            h = max(float(self._first_step(field, t, y)), control.shortest(t))  # max keeps a nan that comes first
        if not math.isfinite(h):
            return y, memory, StepInfo("non_finite")
        if memory["tried"] >= control.max_steps:
            return y, memory, StepInfo("too_many_steps", counts, 0.0)
        while True:
            if h < control.shortest(t) and h < left:
                return y, memory, StepInfo("step_too_small", {**counts, "rejected": float(rejected)}, 0.0)
            fits = min(h, control.h_max)
            shorter = left / 2 if fits > left / 2 else fits  # no rest of rounding size
            h = left if fits >= left * (1 - 1e-12) else ((t + shorter) - t) or left
            new, errors, last, info = self._attempt(field, t, y, h, memory)
            counts.update(info.counts)
            size = self._size(errors, y, new, field) if info.status == "ok" else math.inf
            if size <= 1:
                break
            rejected += 1
            h *= max(control.shrink, control.safety * size ** (-1 / self._estimates)) if size < math.inf else 0.25
            if memory["tried"] + rejected >= control.max_steps:
                return y, memory, StepInfo("too_many_steps", {**counts, "rejected": float(rejected)}, 0.0)
        sizes = [max(size, 1e-10), *memory["sizes"]]
        nxt = h * self._factor(sizes)
        kept = {
            "inner": memory["inner"],
            "h": min(nxt, h) if rejected else nxt,
            "sizes": sizes[:3],
            "slope": last.clone() if last is not None and field.keeps_batch else None,
            "tried": memory["tried"] + 1 + rejected,
        }
        if not field.keeps_batch:
            self._measure_noise(field, t, y, h, memory, size)
        done = {**counts, "accepted": 1.0, "rejected": float(rejected)}
        return new, kept, StepInfo("ok", done, h, figures={"error": size})

    def moved(self, memory: Any) -> Any:
        """Without the slope at the point that the step reached."""
        return {**memory, "slope": None}

    def part(self, field: FrozenField, t: float, y: Tensor, h: float, memory: Any) -> tuple[Tensor, StepInfo]:
        """A step of the method of this size, shorter than the accepted one, whose tolerance it meets as well."""
        new, _, _, info = self._attempt(field, t, y, h, memory)
        return new.clone(), info

    def resumed(self, field: FrozenField, t: float, y: Tensor, memory: Any) -> Any:
        """The memory of a run gone on from: attempts count anew, and its slope stays if it is this field's."""
        memory = {**memory, "tried": 0}
        if memory["slope"] is not None:  # the batch, or the flow, may be another one
            present = field.peek(t, y)
            near = torch.finfo(y.dtype).eps ** 0.5 * present.norm()
            if not (memory["slope"] - present).norm() <= near:
                memory["slope"] = None
        return memory

    def report(self) -> dict[str, Any]:
        """The measured spreads of the error estimate."""
        return {"error_noise": list(self.noise)} if self.noise else {}

    def _attempt(
        self, field: FrozenField, t: float, y: Tensor, h: float, memory: Any
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor | None, StepInfo]:
        """A step, its error estimates, its slope at the end where it has it."""
        if hasattr(self.inner, "step_with_error"):
            new, errors, _, last = self.inner.step_with_error(field, t, y, h, memory["slope"])
            return new, errors, None if last is None else last.clone(), StepInfo()
        new, _, info = self.inner.step(field, t, y, h, memory["inner"])
        return new, (info.error,), None, info  # type: ignore[return-value]

    def _size(self, errors: Sequence[Tensor], y: Tensor, new: Tensor, field: FrozenField) -> float:
        """The norm of the estimate, in tolerances; of a two-part one as `RungeKutta.b_low` says.

        Source: Hairer, Norsett, Wanner I, II.10, eq. (10.17).
        """
        first, *low = (self.control.norm_of(e, y, new, field.players) for e in errors)
        return first if not low or not first < math.inf else first * first / math.hypot(first, 0.1 * low[0], 1e-300)

    def _factor(self, sizes: list[float]) -> float:
        """What the step is multiplied with, from the last three error norms, newest first."""
        k, used = self._estimates, max(i for i, b in enumerate(self._filter) if b) + 1
        weights = self._filter if len(sizes) > used else FILTERS["I"]
        power: float = math.prod((self.control.safety**k / e) ** (b / k) for e, b in zip(sizes, weights, strict=False))
        return min(self.control.grow, max(self.control.shrink, power))

    def _first_step(self, field: FrozenField, t: float, y: Tensor) -> float:
        """Source: Hairer, Norsett, Wanner I, II.4, starting step size; two evaluations."""
        f0 = field(t, y)
        scale, at = self.control, y
        if not scale.atol:  # components that begin at 0 (biases) have no size yet: that of the others
            at = torch.where(y == 0, y.abs().mean(), y.abs())
        d0, d1 = (scale.norm_of(x, at, at, field.players) for x in (y, f0))
        h0 = 1e-6 if min(d0, d1) < 1e-5 else 0.01 * d0 / d1
        d2 = scale.norm_of(field(t + h0, y + h0 * f0) - f0, at, at, field.players) / h0
        largest = max(d1, d2)
        told = 1e-15 < largest < math.inf
        h1 = (0.01 / largest) ** (1 / self._estimates) if told else max(1e-6, h0 * 1e-3)
        return min(100 * h0, h1, scale.h_max)

    def _measure_noise(self, field: FrozenField, t: float, y: Tensor, h: float, memory: Any, size: float) -> None:
        """The spread of the error estimate over the last few batches, at one point and step."""
        self._seen.append(field.batch)
        step = memory["tried"]
        due = step == BATCHES_COMPARED - 1 or (step and step % self.control.noise_every == 0)
        if not due or len(self._seen) < 2 or field.batch is None:
            return
        present, estimates = field.batch, []
        for batch in self._seen:
            field.batch = batch
            estimates.append(self._attempt(field, t, y, h, {**memory, "slope": None})[1][0].clone())
        field.batch = present
        mean = torch.stack(estimates).mean(0)
        spread = [self.control.norm_of(e - mean, y, y, field.players) for e in estimates]
        std = math.sqrt(sum(s * s for s in spread) / (len(spread) - 1))
        self.noise.append({"step": float(step), "h": h, "error": size, "std": std})
        if std > 1 and not self._warned:
            self._warned = True
            text = f"the error estimate's standard deviation between batches is {std:.3g} tolerances (step {step})"
            remedy = "the step size follows the noise: raise rtol or atol, use a larger batch, or fix h"
            warn_caller(f"{text}; {remedy}", NoiseWarning)
