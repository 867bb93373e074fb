"""`solve`: a game's flow, a method, a step; what comes back is a Run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gamedyn._lib.checks import finite, positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Batches, State, moved_to
from gamedyn.core.ambient import shielded
from gamedyn.flows import Flow, of_flow
from gamedyn.integrators.dispatch import stepper
from gamedyn.integrators.drive.adaptive import AdaptiveStepper, StepControl
from gamedyn.integrators.drive.adaptive_drive import AdaptiveLoop
from gamedyn.integrators.drive.loop import Loop, Plan
from gamedyn.integrators.drive.run import Run
from gamedyn.jacobian import HeldField

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from gamedyn.integrators._types import Integrator
    from gamedyn.methods import Method

__all__ = ["batch_source", "on_device", "past_run", "solve"]


@shielded
def solve(
    flow: Flow,
    method: str | Method,
    *,
    h: float | Callable[[int], float] | None = None,
    steps: int | None = None,
    t_span: tuple[float, float] | None = None,
    y0: State | Mapping[str, Tensor] | Tensor | None = None,
    batches: Any = None,
    batch: Any = None,
    sampling: str = "frozen",
    solver: Any = None,
    history: str | None = None,
    adapt: StepControl | None = None,
    dense: bool = False,
    save_at: Iterable[float] = (),
    on_step: Callable[[int, float, State, dict[str, Tensor]], Any] | None = None,
    every: int = 1,
    resume: Run | str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    check_every: int = 50,
    compile: bool = False,
    check: bool = True,
    throw: bool = True,
    progress: bool = False,
) -> Run:
    """Solve `dy/dt = v(t, y)` by fixed or adaptive steps. The user's modules are bit-identical afterwards.

    Args:
        flow: what is solved.
        method: a name, or any method object, registered or not.
        h: step in units of the flow's time (a player's learning rate is h * rate), or a function of the step's
            number, for one-step methods; with `adapt` the first step, or None to have one chosen. A function with a
            method `after_step` is shown what `on_step` is (`gamedyn.spectrum.SpectralController`).
        steps: how many, in all (a resumed run goes on until then); or give `t_span`.
        t_span: (start, end) instead; a last step that does not fit is shortened, for one-step methods. A resumed
            run goes on from its own time to the end.
        y0: first state: a State, one tensor per player, or a flat vector; None: the players' present parameters.
        batches: `gamedyn.batches(...)`, or any iterator of batches; one is drawn per step.
        batch: one batch for every step instead (full-batch).
        sampling: "frozen", one batch over a step, or "fresh", one for every evaluation, which voids the order.
        solver: how implicit equations are solved: NewtonKrylov(...), Anderson(...) or fixed_point(...) of
            `gamedyn.integrators` for implicit methods, Krylov(...) for linearly implicit and exponential ones.
        history: of multistep methods: "stale" (default), past field values stay those of their batches, or
            "refresh", they are taken anew on every batch, at an evaluation each.
        adapt: `gamedyn.integrators.StepControl(rtol, atol)`: choose the steps, for methods with an embedded one.
            Needs t_span.
        dense: whether to keep the nodes of `run.dense`, the solution at every time (adaptive solves).
        save_at: times, each the end of a step (any times, with `adapt`), at which the state is kept in `run.saved`;
            those that a resumed run has saved may be among them.
        on_step: called as `on_step(step, t, state, losses)` after every `every`-th step; what is true, returned, stops.
        every: how often losses are recorded and `on_step` is called.
        resume: a run, or the file of one, to go on from; `steps` counts its steps too. It goes on bit for bit,
            unless the losses draw from the default generator, whose state is the user's.
        checkpoint: file that the run is written to, once a minute and on every exit, failures and Ctrl-C included.
        check_every: how often the state is checked for being finite (the only time the host waits).
        compile: whether to compile the whole step; `run.stats["compiled"]` says whether that worked. Python values
            that the losses read, and the modules' modes, are frozen into it: let what changes be a tensor, or in
            the batch.
        check: whether derivatives that the method or a penalty takes are held against differences of the field, once
            for a flow; `run.stats["check"]` says what came of it (`HeldField.checked`).
        throw: whether a failure raises; if not, `run.status` tells.
        progress: whether to show a progress bar (never unless standard error is a terminal).

    Returns:
        The run. Its records hold the losses at the first evaluation of each recorded step.

    Raises:
        ArgumentError: for a bad argument, a loss that is not what it must be, a changing step where the
            method cannot change it.
        UnknownNameError: for an unknown method or policy.
        SolveError: if the state stops being finite, or a step is rejected for good; `error.run` holds the last
            finite state and the records.

    Example:
        >>> import gamedyn as gd
        >>> run = gd.solve(gd.flows.gradient(gd.games.bilinear()), "rk4", h=0.1, steps=100)
        >>> round(float(run.state.y.norm()), 3)
        1.414
    """
    of_flow(flow)
    integrator = stepper(method, solver=solver, history=history)
    _sampled(integrator, sampling, adapt)
    if flow.declared_h not in (None, h):
        raise ArgumentError(
            "h", f"{flow.declared_h}, which the flow's field contains", h, "declare the flow with this h"
        )
    past = past_run(flow, resume)
    state = _first_state(flow, y0, past)
    field = HeldField(flow, state.buffers, sampling=sampling, one_batch=batches is None, check=check)
    draw, stream = batch_source(flow, batches, batch, past)
    how: dict[str, Any] = {"compile": compile, "checkpoint": checkpoint, "on_step": _watched(h, on_step)}
    if adapt is None:
        if dense:
            raise ArgumentError("dense", "False for fixed steps", dense, "give adapt=StepControl(...), or save_at")
        plan = _plan(integrator.changes_h, h, steps, t_span, past, save_at, every, check_every)
        loop = Loop(field, integrator, plan, draw, stream, **how)
    else:
        plan, times = _adaptive_plan(h, steps, t_span, past, save_at, every, check_every)
        chosen = AdaptiveStepper(integrator, adapt)
        loop = AdaptiveLoop(field, chosen, plan, draw, stream, times=times, dense=dense, **how)
    return loop.run(state, past, throw=throw, progress=progress)


def _watched(h: Any, on_step: Any) -> Callable[..., Any] | None:
    """What is called after steps: a step-size function that wants to see, and `on_step`."""
    if on_step is not None and not callable(on_step):
        raise ArgumentError("on_step", "a function on_step(step, t, state, losses)", type(on_step).__name__)
    after: Callable[..., Any] | None = getattr(h, "after_step", None)
    if after is None or on_step is None:
        return after or on_step

    def both(*shown: Any) -> Any:
        after(*shown)
        return on_step(*shown)

    return both


def _sampled(integrator: Integrator, sampling: str, adapt: StepControl | None) -> None:
    if sampling == "fresh" and not (integrator.resamples and adapt is None):
        remedy = "equations are solved, and errors estimated, for one field"
        raise ArgumentError("sampling", '"frozen" for this method', sampling, remedy)
    if adapt is not None and not isinstance(adapt, StepControl):
        raise ArgumentError("adapt", "a StepControl", adapt, "gamedyn.integrators.StepControl(rtol=1e-6, atol=1e-9)")


def _adaptive_plan(
    h: Any, steps: Any, t_span: Any, past: Run | None, save_at: Iterable[float], every: int, check_every: int
) -> tuple[Plan, tuple[float, ...]]:
    positive_int("every", every)
    positive_int("check_every", check_every)
    if steps is not None or t_span is None:
        raise ArgumentError("t_span", "(start, end), and no steps", f"steps={steps}, t_span={t_span}")
    begin, end = _span(t_span)
    begin = begin if past is None else _gone_to(past, begin, end)
    times = _unsaved(save_at, past)
    if not all(begin <= t <= end for t in times):
        raise ArgumentError("save_at", f"times from {begin:g} to {end:g}", times)
    if callable(h):
        raise ArgumentError("h", "the first step, or None", "a function")
    first = None if h is None else positive("h", h)
    return Plan(first, 1 << 62, begin, None, {}, every, check_every, end=end), times


def past_run(flow: Flow, resume: Run | str | os.PathLike[str] | None) -> Run | None:
    """The run to go on from, read from its file if need be.

    Raises:
        ArgumentError: for one of another game, or in another precision.
    """
    past = resume if resume is None or isinstance(resume, Run) else Run.load(resume, flow)
    if past is not None and past.state.layout.signature != flow.game.layout.signature:
        raise ArgumentError("resume", f"a run of {flow.game!r}", f"one of another game, {past.state!r}")
    if past is not None and past.state.y.dtype != flow.game.dtype:
        got, remedy = str(past.state.y.dtype), "begin a new run where it ended: y0=run.state"
        raise ArgumentError("resume", f"a run in the players' {flow.game.dtype}", got, remedy)
    return past


def _first_state(flow: Flow, y0: State | Mapping[str, Tensor] | Tensor | None, past: Run | None) -> State:
    if past is not None:
        if y0 is not None:
            raise ArgumentError("y0", "none for a resumed run", "a state", "the run holds the state to go on from")
        return past.state
    if y0 is None:
        return flow.initial_state()
    return flow.game.own(flow.game.state_of(y0) if isinstance(y0, Mapping) else y0)


def _plan(
    changes_h: bool,
    h: float | Callable[[int], float] | None,
    steps: int | None,
    t_span: tuple[float, float] | None,
    past: Run | None,
    save_at: Iterable[float],
    every: int,
    check_every: int,
) -> Plan:
    positive_int("every", every)
    positive_int("check_every", check_every)
    if callable(h) and not changes_h:
        raise ArgumentError("h", "a number: this method's steps must be equal", "a function", "use a one-step method")
    size: Any = h if callable(h) else positive("h", h, "adaptive solves need none: give adapt=StepControl(...)")
    if (steps is None) == (t_span is None):
        raise ArgumentError("steps, t_span", "one of the two", "both" if steps is not None else "neither")
    start, last = _start(past, size), None
    if t_span is not None:
        if callable(h):
            raise ArgumentError("t_span", "a constant h to divide it by", "a function", "give steps instead")
        begin, end = _span(t_span)
        begin, done = (begin, 0) if past is None else (_gone_to(past, begin, end), past.step)
        steps, last = _divided(end - begin, size, changes_h)
        steps += done
        start = start if past is not None else begin
    done = 0 if past is None else past.step
    saves = _saves(_unsaved(save_at, past), start, size, done, steps, last)
    return Plan(size, positive_int("steps", steps), start, last, saves, every, check_every)


def _span(t_span: Any) -> tuple[float, float]:
    """Start and end."""
    try:
        first, last = t_span
        begin, end = finite("t_span", first), finite("t_span", last)
    except (TypeError, ValueError):  # an ArgumentError is a ValueError
        expected, remedy = "(start, end), two finite numbers", "for instance t_span=(0.0, 10.0)"
        raise ArgumentError("t_span", expected, t_span, remedy) from None
    if not end > begin:
        raise ArgumentError("t_span", "an end after the start", t_span)
    return begin, end


def _start(past: Run | None, h: Any) -> float:
    """Time at step 0, so that step n is at start + n h; exactly that of the run gone on from, where it can be."""
    if past is None or callable(h):
        return 0.0 if past is None else past.t
    first, shifted = float(past.stats.get("start", 0.0)), float(past.t - past.step * h)
    return first if first + past.step * h == past.t else shifted


def _gone_to(past: Run, begin: float, end: float) -> float:
    """Where a resumed t_span goes on: it may be given from the run's first time, or from its last."""
    if begin not in (past.t, float(past.stats.get("start", 0.0))) or not end > past.t:
        expected = (
            f"(t, end) with t the run's start, {past.stats.get('start', 0.0)}, or its end, {past.t}; end after it"
        )
        raise ArgumentError("t_span", expected, f"({begin}, {end})")
    return past.t


def _divided(span: float, h: float, changes_h: bool) -> tuple[int, float | None]:
    whole = round(span / h)
    if whole and abs(whole * h - span) <= 1e-9 * span:
        return whole, None
    if not changes_h:
        remedy = f"h = {span / max(1, whole):g} divides it, or use a one-step method"
        raise ArgumentError(
            "t_span", "a whole number of steps: this method's steps must be equal", f"{span / h:g}", remedy
        )
    whole = int(span / h)
    return whole + 1, span - whole * h


def _unsaved(times: Iterable[float], past: Run | None) -> tuple[float, ...]:
    """The times that the resumed run has not saved."""
    expected, remedy = "a sequence of finite times", "one time is save_at=[t], none is save_at=()"
    try:
        given = [finite("save_at", t, expected, remedy) for t in times]
    except TypeError:  # nothing to go through
        raise ArgumentError("save_at", expected, times, remedy) from None
    return tuple(t for t in given if past is None or t not in past.saved)


def _saves(times: Iterable[float], start: float, h: Any, done: int, steps: Any, last: float | None) -> dict[int, float]:
    out = {}
    for t in times:
        if callable(h):
            raise ArgumentError("save_at", "a constant h", "a function of the step", "use on_step")
        at = round((t - start) / h)
        is_end = last is not None and abs(t - (start + (steps - 1) * h + last)) <= 1e-9 * max(1.0, abs(t))
        at = steps if is_end else at
        if not is_end and (abs(start + at * h - t) > 1e-9 * max(1.0, abs(t)) or not done <= at <= steps):
            raise ArgumentError("save_at", f"times at the end of a step of {h:g}, from {start + done * h:g} on", t)
        out[at] = t
    return out


def batch_source(flow: Flow, batches: Any, batch: Any, past: Run | None) -> tuple[Callable[[], Any] | None, Any]:
    """How to draw a batch, on the players' device; and the stream whose place is kept."""
    if batches is not None and batch is not None:
        raise ArgumentError("batches, batch", "one of the two", "both")
    if batch is not None:
        if isinstance(batch, Batches) or hasattr(batch, "batch_sampler"):
            raise ArgumentError("batch", "one batch, for every step", type(batch).__name__, "give a stream as batches=")
        fixed = moved_to(flow.game, batch)
        return lambda: fixed, None
    if batches is None:
        return None, None
    if not isinstance(batches, Batches):
        if not hasattr(batches, "__next__"):
            remedy = "wrap it: gamedyn.batches(loader, latent=...); one batch for every step is batch="
            raise ArgumentError("batches", "gamedyn.batches(...) or an iterator", type(batches).__name__, remedy)
        if past is not None:
            raise ArgumentError("batches", "gamedyn.batches(...), which can be resumed", type(batches).__name__)
        return lambda: moved_to(flow.game, _item(batches)), None
    on_device(flow, batches)
    if past is not None and past.batches is not None:
        batches.load_state_dict(past.batches["streams"][0])
    return lambda: next(batches), [batches]


def _item(batches: Any) -> Any:
    try:
        return next(batches)
    except StopIteration:
        remedy = "gamedyn.batches(loader) begins again when the loader ends"
        raise ArgumentError("batches", "a batch for every step", "an iterator that ended", remedy) from None


def on_device(flow: Flow, stream: Any) -> None:
    """Let a stream yield its batches where the players are."""
    if not isinstance(stream, Batches):
        raise ArgumentError("batches", "streams made by gamedyn.batches", type(stream).__name__)
    stream.to(flow.game.device, flow.game.dtype)
