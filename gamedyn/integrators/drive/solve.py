"""`solve`: a game's flow, a method, a step; what comes back is a Run."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import finite, positive, positive_int
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.core import Batches, State
from gamedyn.core.ambient import shielded
from gamedyn.core.batches import moved_to
from gamedyn.flows import Flow, GradientFlow
from gamedyn.flows._types import of_flow
from gamedyn.integrators._types import label
from gamedyn.integrators.dispatch import stepper
from gamedyn.integrators.drive.adaptive import Adaptive
from gamedyn.integrators.drive.checkpoints import Checkpoints
from gamedyn.integrators.drive.events import events as events_by_name
from gamedyn.integrators.drive.facts import agreed_on, compared_with, facts_of, past_run
from gamedyn.integrators.drive.loop import Loop
from gamedyn.integrators.drive.observers import every as rhythm
from gamedyn.integrators.drive.observers import watches
from gamedyn.integrators.drive.plan import Around, Plan, StreamEnded
from gamedyn.integrators.drive.stages import staged
from gamedyn.integrators.drive.step_sizes import Constant, StepSize, step_size
from gamedyn.jacobian import FrozenField

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gamedyn.integrators._types import Integrator
    from gamedyn.integrators.drive.events import Event
    from gamedyn.integrators.drive.observers import Every
    from gamedyn.integrators.drive.run import Run
    from gamedyn.methods import Method

__all__ = ["batch_source", "checkpoints", "on_device", "refuse_noise", "refuse_unscaled", "solve"]


@shielded
def solve(
    flow: Flow,
    method: str | Method,
    *,
    h: float | Callable[[int], float] | StepSize | None = None,
    steps: int | None = None,
    evaluations: float | None = None,
    images: int | None = None,
    t_span: tuple[float, float] | None = None,
    y0: State | Run | Mapping[str, Tensor] | Tensor | None = None,
    batches: Any = None,
    batch: Any = None,
    sampling: str = "frozen",
    rates: Mapping[str, Callable[[int], float]] | None = None,
    weights: Mapping[str, Callable[[int], float]] | None = None,
    solver: Any = None,
    history: str | None = None,
    dense: bool = False,
    save_at: Iterable[float] = (),
    events: Mapping[str, Event | Callable[[float, State], Any]] | None = None,
    observers: Sequence[Any] = (),
    every: int | Every = 1,
    resume: Run | str | os.PathLike[str] | None = None,
    allow: Iterable[str] = (),
    checkpoint: Checkpoints | str | os.PathLike[str] | None = None,
    check_every: int = 50,
    execution: str = "eager",
    stages: str = "full",
    check: bool = True,
    throw: bool = True,
    progress: bool = False,
) -> Run:
    """Solve `dy/dt = v(t, y)` by fixed or adaptive steps. The user's modules are bit-identical afterwards.

    Args:
        flow: what is solved.
        method: a name, or any method object, registered or not.
        h: step in units of the flow's time (a player's learning rate is h * rate); or a step size of `gamedyn.steps`
            (`Adaptive(rtol, atol)`, `warmup`, `cosine`, `piecewise`, `gamedyn.spectrum.SpectralController`), or a
            function of the step's number, for methods whose steps may change.
        steps: how many, in all (a resumed run goes on until then). Or one of the following three:
        evaluations: of the field, in all; the run ends after the step that reaches so many.
        images: samples, in all, likewise.
        t_span: (start, end), which is met to the bit; a last step that does not fit is shortened, for one-step methods.
            A resumed run goes on from its own time to the end.
        y0: first state: a state, a run, one tensor per player, or a flat vector; None: the players' present parameters.
        batches: `gamedyn.batches(...)`, or any iterator of batches; one is drawn per step.
        batch: one batch for every step instead (full-batch).
        sampling: "frozen", one batch over a step, or "fresh", one for every evaluation, which voids the order.
        rates: by player, or by "player.module", a function of the step's number in the place of the flow's rate: two
            time scales that change. What has the rate 0 in a step stays where it is, to the bit, and the method keeps
            what it remembers of it: a module is frozen and thawed. Modules with a rate of their own keep theirs.
        weights: by term, likewise in the place of its weight.
        solver: how implicit equations are solved: NewtonKrylov(...), Anderson(...) or fixed_point(...) of
            `gamedyn.integrators` for implicit methods, Krylov(...) for linearly implicit and exponential ones.
        history: of multistep methods: "stale" (default), past field values stay those of their batches, or
            "refresh", they are evaluated anew on every batch, at an evaluation each.
        dense: whether to keep what `run.dense` needs, the solution at every time (methods that remember nothing).
        save_at: times at which the state is kept in `run.saved`; those within a step are reached by a shorter step of
            the method from where it began, so their error is the solve's. Those that a resumed run has saved may be
            among them.
        events: by name, functions of the time and the state whose zeros are noted in `run.events`, with their states in
            `run.saved`, or end the run: see `gamedyn.Event` (methods that remember nothing).
        observers: what sees the run: objects with `after_step(view)` (see `gamedyn.Observer`), or functions of a view;
            what is true, returned, stops. They cannot change the run.
        every: rhythm of the records: steps, or an `Every`.
        resume: a run, its file, or its folder of checkpoints, to go on from; `steps` counts its steps too. It goes on
            bit for bit.
        allow: facts in which the run gone on from may differ: of "method", "flow", "code" (of modules, losses and a
            flow's own functions; not asked of several processes), "rates", "weights", "h", "sampling", "stages",
            "data", "dtype" (all is cast), "versions", "observers" (new ones begin here).
        checkpoint: `Checkpoints(folder, ...)`, or a folder; written on every exit too, failures and signals included.
        check_every: steps between looks whether the state is finite (the only time the host waits).
        execution: how a step is executed: "eager"; "compiled" as a whole, which pays on small networks; "captured", as
            a CUDA graph (on a CPU a tape of the same operations, no faster, which shows what a GPU would refuse).
            Python values that the losses read, and the modules' modes, are frozen into the latter two: let what
            changes be a tensor, or in the batch. Where that cannot be, steps run eagerly, with a warning;
            `run.stats["execution"]` says how they ran, and why.
        stages: where a step keeps its field values: "full", in the players' precision beside them; "bfloat16", in half
            the memory of float32 or less, each rounded to 8 bits; "host", on a GPU: in the memory of the host, which is
            slower; "sharded", by the processes of `gamedyn.data_parallel`, of which each keeps its share. For fixed
            steps and eager ones; the other three say which methods they are for.
        check: whether derivatives that the method or a penalty takes are checked against differences of the field, once
            for a flow; `run.stats["check"]` says what came of it (`FrozenField.checked`).
        throw: whether a failure raises; if not, `run.status` names it.
        progress: whether to show a progress bar (never unless standard error is a terminal).

    Returns:
        The run. Its records hold the losses at the first evaluation of each recorded step.

    Raises:
        ArgumentError: for a bad argument, a loss that is not what it must be, a changing step where the
            method cannot change it, a run gone on from that differs in what is not allowed.
        UnknownNameError: for an unknown method or policy.
        SolveError: if the state stops being finite, a step is rejected for good, or batches end; `error.run` holds the
            last finite state and the records.

    Example:
        >>> import gamedyn as gd
        >>> run = gd.solve(gd.flows.gradient(gd.games.bilinear()), "rk4", h=0.1, steps=100)
        >>> round(float(run.state.y.norm()), 3)
        1.414
    """
    of_flow(flow)
    integrator, size = stepper(method, solver=solver, history=history), step_size(h)
    _fitting(flow, integrator, size, sampling)
    flow = _with_parts(flow, rates)
    past = past_run(flow, resume, allow)
    state = _first_state(flow, y0, past)
    schedules, scaled = _schedules(flow, rates, weights)
    field = FrozenField(flow, state.buffers, sampling=sampling, one_batch=batches is None, check=check, **scaled)
    integrator = staged(integrator, field, stages, size, execution)
    draw, streams = batch_source(flow, batches, batch, past)
    facts = {**facts_of(flow, integrator, size, sampling, streams, past), "stages": stages}
    compared_with(past, facts, allow if integrator.changes_h else (*allow, "h"))  # the loop says more of the others
    agreed_on(flow, facts, past)
    limits = {"steps": steps, "evaluations": evaluations, "images": images, "t_span": t_span}
    rhythms = {"every": rhythm(every), "check_every": positive_int("check_every", check_every)}
    plan = _plan(integrator, size, limits, past, save_at, {**rhythms, "dense": bool(dense)})
    around = Around(
        draw,
        streams,
        watches(observers),
        checkpoints(checkpoint),
        execution=execution,
        facts=facts,
        events=events_by_name(events),
        others="observers" in set(allow),
        schedules=schedules,
    )
    loop = Loop(field, integrator, size, plan, around, (state, past))
    del state, past  # each of parameter size
    return loop.run(throw=throw, progress=progress)


def _fitting(flow: Flow, integrator: Integrator, size: StepSize, sampling: str) -> None:
    """Refuse step sizes and samplings that a method or a flow cannot have, and noise that a method would leave out.

    Raises:
        ArgumentError: with what it can have.
    """
    size.stepper(integrator)  # a method that has no estimate is told so first
    if not (size.equal or integrator.changes_h):
        raise ArgumentError("h", "a number: this method's steps must be equal", size, "use a one-step method")
    if sampling == "fresh" and not (integrator.resamples and not isinstance(size, Adaptive)):
        remedy = "equations are solved, and errors estimated, for one field"
        raise ArgumentError("sampling", '"frozen" for this method', sampling, remedy)
    refuse_noise(flow, integrator)
    if flow.declared_h not in (None, size.shown):
        expected = f"{flow.declared_h}, which the flow's field contains"
        raise ArgumentError("h", expected, size.shown, "declare the flow with this h")


def refuse_noise(flow: Flow, integrator: Integrator) -> None:
    """Refuse a flow with noise to methods that would leave the noise out.

    Raises:
        ArgumentError: with methods that step it.
    """
    if flow.noise is not None and not integrator.stochastic:
        remedy = '"euler_maruyama" or "platen"; the drift alone is flow.inner'
        raise ArgumentError("method", "a stochastic one for a flow with noise", label(integrator.method), remedy)


def checkpoints(given: Any) -> Checkpoints | None:
    """Where a run is kept: what was given, or its folder with the usual rhythm.

    Raises:
        ArgumentError: if it is neither.
    """
    if given is None or isinstance(given, Checkpoints):
        return given
    if not isinstance(given, (str, os.PathLike)):
        raise ArgumentError("checkpoint", "Checkpoints(folder), or a folder", type(given).__name__)
    return Checkpoints(given)


def _with_parts(flow: Flow, rates: Mapping[str, Any] | None) -> Flow:
    """The flow with a rate of its own for every part whose rate changes."""
    if not rates or not isinstance(flow, GradientFlow):
        return flow
    own = {**flow.rates, **flow.module_rates}
    return flow if set(rates) <= set(own) else flow.with_rates({**dict.fromkeys(rates, 1.0), **own})


def refuse_unscaled(flow: Flow, kind: str, name: str) -> None:
    """Refuse a rate or a weight that a flow does not have.

    Raises:
        ArgumentError: for a flow without rates or terms.
        UnknownNameError: for a player, a part of one or a term that it lacks.
    """
    if kind == "weights":
        if name not in flow.terms:
            raise UnknownNameError("term", name, flow.terms or ("none",))
        return
    known = {**flow.rates, **flow.module_rates}
    if not flow.scales:
        remedy = "a gradient flow has them, and what is made of one leaf by leaf"
        raise ArgumentError("rates", "none: this flow has none", type(flow).__name__, remedy)
    if name in known:
        return
    if any(name.startswith(f"{p}.") for p in flow.game.players):
        remedy = f"declare it, gamedyn.flows.gradient(game, rates={{{name!r}: 1.0}}), before others are made of it"
        raise ArgumentError(f"rates[{name!r}]", f"one that the flow has: {sorted(known)}", name, remedy)
    raise UnknownNameError("player", name, known)


def _schedules(flow: Flow, rates: Any, weights: Any) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """By what is multiplied, its tensor in the field and its function of the step; and the field's arguments."""
    out, scaled = {}, {"rates": dict[str, Tensor](), "weights": dict[str, Tensor]()}
    for kind, given in (("rates", rates), ("weights", weights)):
        for name, fn in (given or {}).items():
            if not callable(fn):
                remedy = "one that does not change: flows.gradient(game, rates=...), flow.with_weights(...)"
                raise ArgumentError(f"{kind}[{name!r}]", "a function of the step's number", fn, remedy)
            entries: list[slice] = []
            refuse_unscaled(flow, kind, name)
            if kind == "rates":
                entries = [flow.game.layout.entries(at) for key, at in flow.rated if key == name]
            scalar = torch.ones((), dtype=flow.game.dtype, device=flow.game.device)
            scaled[kind][name] = scalar.fill_(finite(f"{kind}[{name!r}](0)", fn(0)))
            out[f"{kind[:-1]} {name}"] = (scalar, fn, entries)
    return out, {k: v for k, v in scaled.items() if v}


def _first_state(flow: Flow, y0: State | Run | Mapping[str, Tensor] | Tensor | None, past: Run | None) -> State:
    if past is not None:
        if y0 is not None:
            raise ArgumentError("y0", "none for a resumed run", "a state", "the run holds the state to go on from")
        return past.state
    if y0 is None:
        return flow.initial_state()
    return flow.game.own(flow.game.state_of(y0) if isinstance(y0, Mapping) else y0)


def _plan(
    integrator: Integrator,
    size: StepSize,
    limits: Mapping[str, Any],
    past: Run | None,
    save_at: Iterable[float],
    others: Mapping[str, Any],
) -> Plan:
    given = [name for name, limit in limits.items() if limit is not None]
    if len(given) != 1:
        raise ArgumentError("steps, evaluations, images, t_span", "one of them", ", ".join(given) or "none")
    done = 0 if past is None else past.step
    start = _start(past, size)
    plan: dict[str, Any] = dict(others)
    unsaved = tuple(sorted(_unsaved(save_at, past)))
    if given == ["t_span"]:
        begin, end = _span(limits["t_span"])
        begin = begin if past is None else _gone_to(past, begin, end)
        start, plan["end"] = (start if past is not None else begin), end
        if isinstance(size, Constant):
            steps, plan["last"] = _divided(end - begin, size.h, integrator.changes_h)
            plan["steps"] = steps + done
    elif given == ["steps"]:
        plan["steps"] = positive_int("steps", limits["steps"])
        if plan["steps"] < done:
            raise ArgumentError("steps", f"at least the {done} steps already done", limits["steps"])
    else:
        plan[given[0]] = positive(given[0], limits[given[0]])
    begin = start if past is None else past.t
    last = plan.get("end", math.inf)
    if isinstance(size, Constant) and given == ["steps"]:
        last = start + plan["steps"] * size.h
    for t in unsaved:
        if not begin <= t <= last + 1e-9 * abs(last):
            raise ArgumentError("save_at", f"times from {begin:g} to {last:g}", t)
    return Plan(start, saves=unsaved, **plan)


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


def _start(past: Run | None, size: StepSize) -> float:
    """Time at step 0, so that step n is at start + n h; exactly that of the run gone on from, where it can be."""
    if past is None or not isinstance(size, Constant):
        return 0.0 if past is None else past.t
    h = size.h
    first, shifted = float(past.stats.get("start", 0.0)), float(past.t - past.step * h)
    return first if abs(first + past.step * h - past.t) <= 1e-9 * h else shifted


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
    if past is not None and "streams" in past.place:
        batches.load_state_dict(past.place["streams"][0])
    return lambda: next(batches), [batches]


def _item(batches: Any) -> Any:
    try:
        return next(batches)
    except StopIteration:
        raise StreamEnded from None


def on_device(flow: Flow, stream: Any) -> None:
    """Let a stream yield its batches where the players are."""
    if not isinstance(stream, Batches):
        raise ArgumentError("batches", "streams made by gamedyn.batches", type(stream).__name__)
    stream.to(flow.game.device, flow.game.dtype)
