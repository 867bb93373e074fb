"""`solve_ensemble`: many copies of one flow, solved at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import State
from gamedyn.core.ambient import shielded
from gamedyn.core.batches import stacked
from gamedyn.core.evaluation import Members
from gamedyn.flows import Flow
from gamedyn.flows._types import of_flow
from gamedyn.integrators.dispatch import stepper
from gamedyn.integrators.drive.facts import agreed_on, compared_with, facts_of, past_run
from gamedyn.integrators.drive.loop import Loop
from gamedyn.integrators.drive.observers import every as rhythm
from gamedyn.integrators.drive.observers import watches
from gamedyn.integrators.drive.plan import Around, Plan
from gamedyn.integrators.drive.solve import batch_source, checkpoints, on_device, refuse_noise, refuse_unscaled
from gamedyn.integrators.drive.step_sizes import PerMember
from gamedyn.jacobian import FrozenField

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gamedyn.integrators.drive.checkpoints import Checkpoints
    from gamedyn.integrators.drive.observers import Every
    from gamedyn.integrators.drive.run import Run
    from gamedyn.methods import Method

__all__ = ["solve_ensemble"]


@shielded
def solve_ensemble(
    flow: Flow,
    method: str | Method,
    *,
    h: float | Sequence[float] | Tensor,
    steps: int,
    y0: State | Run | Tensor | Sequence[State | Run | Tensor] | None = None,
    rates: Mapping[str, Sequence[float] | Tensor] | None = None,
    weights: Mapping[str, Sequence[float] | Tensor] | None = None,
    batches: Any = None,
    batch: Any = None,
    batch_dim: int | None = None,
    observers: Sequence[Any] = (),
    every: int | Every = 1,
    resume: Run | str | os.PathLike[str] | None = None,
    allow: Iterable[str] = (),
    checkpoint: Checkpoints | str | os.PathLike[str] | None = None,
    check_every: int = 50,
    execution: str = "eager",
    progress: bool = False,
) -> Run:
    """Solve many copies of one flow at once, differing in first state, step, rates, weights or batches.

    The losses are mapped over the members by `torch.func.vmap`; everything else is one operation on an
    (M, n) state. Losses that cannot be mapped (recurrent networks, `.item()`) are evaluated member by member, which
    `run.stats["members"]` says. Buffers are shared and do not advance. A member that stops being finite keeps its last
    checked state and does not disturb the others.

    Args:
        flow: the flow that all share.
        method: a name or a method object of a family that steps ensembles.
        h: one step for all, or one each.
        steps: how many, in all.
        y0: (M, n), or a list of points, one each; one point (a state, a run or a vector) or None, the players' present
            parameters, for all.
        rates: by player, one rate each.
        weights: by term, one weight each.
        batches: one stream for all, or a list of one each (streams that appear twice are drawn once).
        batch: one batch for every step instead.
        batch_dim: 0 if `batch` (or a single stream's) has a leading dimension of members, None if all share it.
        observers: as in `solve`, with (M, n) states.
        every: as in `solve`.
        resume: as in `solve`.
        allow: as in `solve`.
        checkpoint: as in `solve`.
        check_every: as in `solve`.
        execution: as in `solve`.
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
    of_flow(flow)
    integrator = stepper(method)
    if not integrator.ensembles:
        raise ArgumentError("method", "a method whose stepper takes ensembles", str(method), "loop over solve instead")
    refuse_noise(flow, integrator)
    declared = flow.declared_h
    if declared is not None and not bool((_column("h", h, flow.game.state().y) == declared).all()):
        raise ArgumentError("h", f"{declared}, which the flow's field contains", h, "declare the flow with this h")
    past = past_run(flow, resume, allow)
    points = past.state.y if past is not None else _points(flow, y0)
    streams = list(batches) if isinstance(batches, (list, tuple)) else None
    count, span, differing = _members(flow, h, rates, weights, {"y0": len(points), "batches": len(streams or [0])})
    if streams is None:
        draw, source = batch_source(flow, batches, batch, past)
    else:
        draw, batch_dim, source = _streams(flow, streams, past)
    size = PerMember(span)
    facts = facts_of(flow, integrator, size, "frozen", source, past)
    facts |= {kind: {k: v.tolist() for k, v in columns.items()} for kind, columns in differing.items() if columns}
    compared_with(past, facts, allow)
    agreed_on(flow, facts, past)
    if past is not None and past.step > positive_int("steps", steps):
        raise ArgumentError("steps", f"at least the {past.step} steps already done", steps)
    check_every = positive_int("check_every", check_every)
    plan = Plan(0.0, positive_int("steps", steps), every=rhythm(every), check_every=check_every)
    state = State(flow.game.layout, points.expand(count, -1).clone(), flow.game.state().buffers)
    field = FrozenField(flow, state.buffers, members=Members(count, batch_dim), **differing)
    around = Around(draw, source, watches(observers), checkpoints(checkpoint), execution=execution, facts=facts)
    loop = Loop(field, integrator, size, plan, around, (state, past))
    del state, past, points  # each of the size of the ensemble
    return loop.run(throw=False, progress=progress)


def _members(
    flow: Flow, h: Any, rates: Mapping[str, Any] | None, weights: Mapping[str, Any] | None, others: dict[str, int]
) -> tuple[int, Tensor, dict[str, Any]]:
    """How many members; their steps, (M, 1); rates and weights where they differ."""
    like = flow.game.state().y
    rate = {p: _column(f"rates[{p!r}]", v, like) for p, v in (rates or {}).items()}
    weight = {w: _column(f"weights[{w!r}]", v, like) for w, v in (weights or {}).items()}
    for kind, given in (("rates", rate), ("weights", weight)):
        for name in given:
            refuse_unscaled(flow, kind, name)
    for player, column in rate.items():
        _all_positive(f"rates[{player!r}]", column)
    steps = _column("h", h, like)
    _all_positive("h", steps)
    lengths = {f"rates[{p!r}]": len(c) for p, c in rate.items()} | {
        f"weights[{w!r}]": len(c) for w, c in weight.items()
    }
    several = {k: n for k, n in {**lengths, "h": len(steps), **others}.items() if n != 1}
    if len(set(several.values())) > 1:
        raise ArgumentError("members", "one number of members", ", ".join(f"{k}: {n}" for k, n in several.items()))
    count = next(iter(several.values()), 1)
    differing = {"rates": rate, "weights": weight}
    return count, steps.expand(count).reshape(count, 1).clone(), differing


def _streams(flow: Flow, streams: list[Any], past: Run | None) -> tuple[Callable[[], Any], int | None, list[Any]]:
    """How to draw a batch for every member, its dimension of members, and the streams that are drawn."""
    for s in streams:
        on_device(flow, s)
    unique = list({id(s): s for s in streams}.values())
    if past is not None and "streams" in past.place:
        for s, state in zip(unique, past.place["streams"], strict=True):
            s.load_state_dict(state)
    return *stacked(streams), unique


def _column(argument: str, values: Any, like: Tensor) -> Tensor:
    column = torch.as_tensor(values, dtype=like.dtype, device=like.device).reshape(-1)
    if not column.numel() or not bool(column.isfinite().all()):
        raise ArgumentError(argument, "finite numbers, one for all or one for each member", values)
    return column


def _points(flow: Flow, y0: Any) -> Tensor:
    if y0 is None:
        return flow.initial_state().y[None]
    if isinstance(y0, (list, tuple)):
        points = torch.stack([flow.game.own(s).y for s in y0])
    else:
        points = y0 if isinstance(y0, Tensor) and y0.dim() != 1 else flow.game.own(y0).y[None]
    points = points.to(flow.game.device, flow.game.dtype)
    if points.dim() != 2 or points.shape[1] != flow.game.layout.n:
        raise ArgumentError("y0", f"(members, {flow.game.layout.n})", f"shape {tuple(points.shape)}")
    return points


def _all_positive(argument: str, column: Tensor) -> None:
    if not bool((column > 0).all()):
        raise ArgumentError(argument, "positive, finite numbers", f"{column.tolist()}")
