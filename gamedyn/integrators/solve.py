"""`solve`: a game's flow, a method, a step; what comes back is a Run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Batches, Field, Members, State, moved_to, stacked
from gamedyn.flows import Flow, GradientFlow
from gamedyn.integrators.dispatch import stepper
from gamedyn.integrators.drive import Loop, Plan
from gamedyn.integrators.run import Run

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gamedyn.methods import Method

__all__ = ["solve", "solve_ensemble"]


def solve(
    flow: Flow,
    method: str | Method,
    *,
    h: float | Callable[[int], float],
    steps: int | None = None,
    t_span: tuple[float, float] | None = None,
    y0: State | Mapping[str, Tensor] | None = None,
    batches: Any = None,
    batch: Any = None,
    sampling: str = "frozen",
    save_at: Iterable[float] = (),
    on_step: Callable[[int, float, State, dict[str, Tensor]], Any] | None = None,
    every: int = 1,
    resume: Run | str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    check_every: int = 50,
    compile: bool = False,
    throw: bool = True,
    progress: bool = False,
) -> Run:
    """Solve `dy/dt = v(t, y)` by fixed steps. The user's modules are bit-identical afterwards.

    Args:
        flow: what is solved.
        method: a name, or any method object, registered or not.
        h: step in units of the flow's time (a player's learning rate is h * rate), or a function of the step's
            number, for one-step methods.
        steps: how many, in all (a resumed run goes on until then); or give `t_span`.
        t_span: (start, end) instead; a last step that does not fit is shortened, for one-step methods.
        y0: first state; None: the players' present parameters.
        batches: `gamedyn.batches(...)`, or any iterator of batches; one is drawn per step.
        batch: one batch for every step instead (full-batch).
        sampling: "frozen", one batch over a step, or "fresh", one for every evaluation, which voids the order.
        save_at: times, each the end of a step, at which the state is kept in `run.saved`.
        on_step: called as `on_step(step, t, state, losses)` after every `every`-th step; returning True stops.
        every: how often losses are recorded and `on_step` is called.
        resume: a run, or the file of one, to go on from; `steps` counts its steps too.
        checkpoint: file that the run is written to, once a minute and on every exit, failures and Ctrl-C included.
        check_every: how often the state is checked for being finite (the only time the host waits).
        compile: whether to compile the whole step; `run.stats["compiled"]` says whether that worked.
        throw: whether a failure raises; if not, `run.status` tells.
        progress: whether to show a progress bar (never unless standard error is a terminal).

    Returns:
        The run. Its records hold the losses at the first evaluation of each recorded step.

    Raises:
        ArgumentError: for a bad argument, a loss that is not what it must be, a changing step where the
            method cannot change it.
        UnknownNameError: for an unknown method or policy.
        SolveError: if the state stops being finite, or a stage does not converge; `error.run` holds the last
            finite state and the records.

    Example:
        >>> import gamedyn as gd
        >>> run = gd.solve(gd.flows.gradient(gd.games.bilinear()), "rk4", h=0.1, steps=100)
        >>> round(float(run.state.y.norm()), 3)
        1.414
    """
    integrator = stepper(method)
    past = Run.load(resume, flow) if resume is not None and not isinstance(resume, Run) else resume
    field = Field(flow, _first_state(flow, y0, past).buffers, sampling=sampling)
    plan = _plan(integrator.changes_h, h, steps, t_span, past, save_at, every, check_every)
    draw, stream = _source(flow, batches, batch, past)
    loop = Loop(field, integrator, plan, draw, stream, compile=compile, checkpoint=checkpoint, on_step=on_step)
    return loop.run(_first_state(flow, y0, past), past, throw=throw, progress=progress)


def solve_ensemble(
    flow: Flow,
    method: str | Method,
    *,
    h: float | Sequence[float] | Tensor,
    steps: int,
    y0: Tensor | Sequence[State] | None = None,
    rates: Mapping[str, Sequence[float] | Tensor] | None = None,
    weights: Mapping[str, Sequence[float] | Tensor] | None = None,
    batches: Any = None,
    batch: Any = None,
    batch_dim: int | None = None,
    on_step: Callable[[int, float, State, dict[str, Tensor]], Any] | None = None,
    every: int = 1,
    resume: Run | str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    check_every: int = 50,
    compile: bool = False,
    progress: bool = False,
) -> Run:
    """Solve many copies of one flow at once, differing in first state, step, rates, weights or batches.

    The losses are mapped over the members by `torch.func.vmap`; everything else is one operation on an
    (M, n) state. Buffers are shared and do not advance. A member that stops being finite keeps its last
    checked state and does not disturb the others.

    Args:
        flow: the flow that all share.
        method: a name or a method object of a family that steps ensembles.
        h: one step for all, or one each.
        steps: how many, in all.
        y0: (M, n), or a state each; None: the players' present parameters for all.
        rates: by player, one rate each.
        weights: by term, one weight each.
        batches: one stream for all, or a list of one each (streams that appear twice are drawn once).
        batch: one batch for every step instead.
        batch_dim: 0 if `batch` (or a single stream's) has a leading dimension of members, None if all share it.
        on_step: as in `solve`, with (M, n) states.
        every: as in `solve`.
        resume: as in `solve`.
        checkpoint: as in `solve`.
        check_every: as in `solve`.
        compile: as in `solve`.
        progress: as in `solve`.

    Returns:
        A run whose state has shape (M, n) and whose status is one for each member.

    Raises:
        ArgumentError: for a bad argument, members that differ in number, or a flow without rates and terms.
        UnknownNameError: for an unknown method, player or term.

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.bilinear())
        >>> run = gd.solve_ensemble(flow, "euler", h=[0.1, 0.2], steps=10)
        >>> [round(float(x), 3) for x in run.state.y.norm(dim=1)]
        [1.486, 1.721]
    """
    integrator = stepper(method)
    if not integrator.ensembles:
        raise ArgumentError("method", "a method whose stepper takes ensembles", str(method), "loop over solve instead")
    past = Run.load(resume, flow) if resume is not None and not isinstance(resume, Run) else resume
    like = flow.game.state().y
    columns = {
        **{f"rates[{p!r}]": _column(f"rates[{p!r}]", v, like) for p, v in (rates or {}).items()},
        **{f"weights[{w!r}]": _column(f"weights[{w!r}]", v, like) for w, v in (weights or {}).items()},
        "h": _column("h", h, like),
    }
    streams = list(batches) if isinstance(batches, (list, tuple)) else None
    points = past.state.y if past is not None else _points(flow, y0)
    count = _count({**{k: len(v) for k, v in columns.items()}, "y0": len(points), "batches": len(streams or [0])})
    members = Members(
        count,
        batch_dim,
        {p: _rate(flow, p, columns[f"rates[{p!r}]"]) for p in rates or {}},
        {w: _weight(flow, w, columns[f"weights[{w!r}]"]) for w in weights or {}},
    )
    draw: Callable[[], Any] | None
    if streams is not None:
        for s in streams:
            _on_device(flow, s)
        draw, dim = stacked(streams)
        members = Members(count, dim, members.rates, members.weights)
        source: Any = list({id(s): s for s in streams}.values())
    else:
        draw, source = _source(flow, batches, batch, past)
    if streams is not None and past is not None and past.batches is not None:
        for s, state in zip(source, past.batches["streams"], strict=True):
            s.load_state_dict(state)
    span = columns["h"].expand(count).reshape(count, 1).clone()
    if not bool((span.isfinite() & (span > 0)).all()):
        raise ArgumentError("h", "positive, finite steps", f"{span.flatten().tolist()}")
    plan = Plan(span, positive_int("steps", steps), 0.0, None, {}, every, check_every)
    state = State(flow.game.layout, points.expand(count, -1).clone(), flow.game.state().buffers)
    field = Field(flow, state.buffers, members=members)
    loop = Loop(field, integrator, plan, draw, source, compile=compile, checkpoint=checkpoint, on_step=on_step)
    return loop.run(state, past, throw=False, progress=progress)


def _first_state(flow: Flow, y0: State | Mapping[str, Tensor] | None, past: Run | None) -> State:
    if past is not None:
        if y0 is not None:
            raise ArgumentError("y0", "none for a resumed run", "a state", "the run holds the state to go on from")
        return past.state
    if y0 is None:
        return flow.initial_state()
    state = y0 if isinstance(y0, State) else flow.game.state_of(y0)
    if state.y.shape != (flow.game.layout.n,):
        raise ArgumentError("y0", f"a state of {flow.game.layout.n} parameters", f"shape {tuple(state.y.shape)}")
    return State(state.layout, state.y.to(flow.game.device, flow.game.dtype), state.buffers)


def _plan(
    changes_h: bool,
    h: float | Callable[[int], float],
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
    size: Any = h if callable(h) else positive("h", h)
    if (steps is None) == (t_span is None):
        raise ArgumentError("steps, t_span", "one of the two", "both" if steps is not None else "neither")
    start, last = _start(past, size), None
    if t_span is not None:
        if callable(h):
            raise ArgumentError("t_span", "a constant h to divide it by", "a function", "give steps instead")
        start, end = map(float, t_span)
        if not end > start:
            raise ArgumentError("t_span", "an end after the start", t_span)
        steps, last = _divided(end - start, size, changes_h)
    return Plan(
        size, positive_int("steps", steps), start, last, _saves(save_at, start, size, steps, last), every, check_every
    )


def _start(past: Run | None, h: Any) -> float:
    """Time at step 0, so that step n is at start + n h; exactly that of the run gone on from, where it can be."""
    if past is None or callable(h):
        return 0.0 if past is None else past.t
    first, shifted = float(past.stats.get("start", 0.0)), float(past.t - past.step * h)
    return first if first + past.step * h == past.t else shifted


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


def _saves(times: Iterable[float], start: float, h: Any, steps: Any, last: float | None) -> dict[int, float]:
    out = {}
    for t in times:
        if callable(h):
            raise ArgumentError("save_at", "a constant h", "a function of the step", "use on_step")
        at = round((t - start) / h)
        is_end = last is not None and abs(t - (start + (steps - 1) * h + last)) <= 1e-9 * max(1.0, abs(t))
        at = steps if is_end else at
        if not is_end and (abs(start + at * h - t) > 1e-9 * max(1.0, abs(t)) or not 0 <= at <= steps):
            raise ArgumentError("save_at", f"times at the end of a step of {h:g}, from {start:g} on", t)
        out[at] = float(t)
    return out


def _source(flow: Flow, batches: Any, batch: Any, past: Run | None) -> tuple[Callable[[], Any] | None, Any]:
    """How to draw a batch, on the players' device; and the stream whose place is kept."""
    if batches is not None and batch is not None:
        raise ArgumentError("batches, batch", "one of the two", "both")
    if batch is not None:
        fixed = moved_to(flow.game, batch)
        return lambda: fixed, None
    if batches is None:
        return None, None
    if not isinstance(batches, Batches):
        if not hasattr(batches, "__next__"):
            raise ArgumentError("batches", "gamedyn.batches(...) or an iterator", type(batches).__name__)
        if past is not None:
            raise ArgumentError("batches", "gamedyn.batches(...), which can be resumed", type(batches).__name__)
        return lambda: moved_to(flow.game, _item(batches)), None
    _on_device(flow, batches)
    if past is not None and past.batches is not None:
        batches.load_state_dict(past.batches["streams"][0])
    return lambda: next(batches), [batches]


def _item(batches: Any) -> Any:
    try:
        return next(batches)
    except StopIteration:
        remedy = "gamedyn.batches(loader) begins again when the loader ends"
        raise ArgumentError("batches", "a batch for every step", "an iterator that ended", remedy) from None


def _on_device(flow: Flow, stream: Any) -> None:
    if not isinstance(stream, Batches):
        raise ArgumentError("batches", "streams made by gamedyn.batches", type(stream).__name__)
    stream.to(flow.game.device, flow.game.dtype)


def _column(argument: str, values: Any, like: Tensor) -> Tensor:
    column = torch.as_tensor(values, dtype=like.dtype, device=like.device).reshape(-1)
    if not column.numel() or not bool(column.isfinite().all()):
        raise ArgumentError(argument, "finite numbers, one for all or one for each member", values)
    return column


def _count(lengths: dict[str, int]) -> int:
    several = {k: n for k, n in lengths.items() if n != 1}
    if len(set(several.values())) > 1:
        raise ArgumentError("members", "one number of members", ", ".join(f"{k}: {n}" for k, n in several.items()))
    return next(iter(several.values()), 1)


def _points(flow: Flow, y0: Any) -> Tensor:
    if y0 is None:
        return flow.initial_state().y[None]
    points = torch.stack([s.y for s in y0]) if not isinstance(y0, Tensor) else y0
    points = points.to(flow.game.device, flow.game.dtype)
    if points.dim() != 2 or points.shape[1] != flow.game.layout.n:
        raise ArgumentError("y0", f"(members, {flow.game.layout.n})", f"shape {tuple(points.shape)}")
    return points


def _rate(flow: Flow, player: str, column: Tensor) -> Tensor:
    flow.game.layout.place(player)
    _gradient_flow(flow)
    return column


def _weight(flow: Flow, term: str, column: Tensor) -> Tensor:
    _gradient_flow(flow).with_weights(**{term: 0.0})
    return column


def _gradient_flow(flow: Flow) -> GradientFlow:
    if not isinstance(flow, GradientFlow):
        raise ArgumentError("rates, weights", "a gradient flow, which has them", type(flow).__name__)
    return flow
