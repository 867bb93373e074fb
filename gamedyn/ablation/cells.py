"""Cells run: together as an ensemble where that is the same, else one by one; measured at shares of the budget."""

from __future__ import annotations

import contextlib
import math
import time
import traceback
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_map

from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.functions import resolved
from gamedyn.ablation.grid import BUDGETS, Cell, Setup
from gamedyn.ablation.setups import hashed
from gamedyn.core import Game, State
from gamedyn.core.randomness import OwnRandomness, RandomState
from gamedyn.flows import Flow, gradient
from gamedyn.integrators import solve, solve_ensemble, stepper

__all__ = ["Outcome", "grouped", "run_cells"]

LIKE = 1e-4
"""Relative difference of two velocities up to which two set-ups' flows count as one, in float32."""


@dataclass
class Outcome:
    """What a cell has come to when it is measured.

    Attributes:
        cell: its factors, as given.
        setup: what it solves; its `extras` are the set-up's.
        flow: with the cell's rates and weights.
        state: where it is.
        share: of the budget that is spent.
        h: the step.
        steps: done.
        evaluations: of the field.
        images: samples seen.
        time: integrated.
    """

    cell: dict[str, Any]
    setup: Setup
    flow: Flow
    state: State
    share: float
    h: float
    steps: int
    evaluations: float
    images: int
    time: float


def grouped(cells: Sequence[Cell], members: int) -> list[list[int]]:
    """Places of cells that may run together: as many as `members` that differ in step, rates, weights, seed alone."""
    groups: dict[Any, list[int]] = {}
    for i, cell in enumerate(cells):
        arguments = {k: v for k, v in cell.arguments.items() if k != "seed"}
        key = (
            hashed(cell.method),
            hashed(arguments),
            cell.unit,
            cell.amount,
            *sorted(cell.rates),
            "",
            *sorted(cell.weights),
        )
        if not stepper(cell.method).ensembles or cell.unit == "images":
            key = (i,)  # it runs on its own: it is kept as soon as it ends, and in whatever process is free
        groups.setdefault(key, []).append(i)
    return [g[i : i + members] for g in groups.values() for i in range(0, len(g), members)]


def run_cells(
    setup: Any, cells: Sequence[Cell], measures: Mapping[str, Any], marks: Sequence[float], options: Mapping[str, Any]
) -> list[list[dict[str, Any]]]:
    """The rows of each cell, one for each mark: its status, its cost, its measures; a traceback where it failed."""
    group = _Group(
        resolved(setup, "setup"), cells, {n: resolved(m, "measure") for n, m in measures.items()}, marks, options
    )
    for together in group.divided():
        if not group.run_at_once(together):
            for i in together:
                group.run_alone(i)
    return group.rows


class _Group:
    """Cells of one method on one flow."""

    def __init__(
        self,
        setup: Callable[..., Any],
        cells: Sequence[Cell],
        measures: Mapping[str, Callable[[Outcome], Any]],
        marks: Sequence[float],
        options: Mapping[str, Any],
    ) -> None:
        self.setup, self.cells, self.measures, self.marks = setup, cells, measures, marks
        self.options = options
        self.rows: list[list[dict[str, Any]]] = [[] for _ in cells]
        self.why: dict[int, str] = {}

    def made(self, i: int) -> Setup:
        """The set-up of a cell, one of its own."""
        with self.randomness(i):
            found = self.setup(**self.cells[i].arguments)
        if isinstance(found, Game):
            found = gradient(found)
        if isinstance(found, Flow):
            found = Setup(found)
        if not isinstance(found, Setup):
            raise ArgumentError("setup", "a flow, a game or a Setup", type(found).__name__)
        return found

    def randomness(self, i: int) -> contextlib.AbstractContextManager[None]:
        """The default generators, seeded by the set-up's arguments: nothing depends on what ran before."""
        return OwnRandomness(zlib.crc32(hashed(self.cells[i].arguments).encode())).drawn_from()

    def flow(self, i: int, setup: Setup) -> Any:
        """The flow with a cell's rates and weights."""
        flow, cell = setup.flow, self.cells[i]
        if cell.rates:
            flow = flow.with_rates({**flow.rates, **flow.module_rates, **cell.rates})  # type: ignore[attr-defined]
        return flow.with_weights(**cell.weights) if cell.weights else flow  # type: ignore[attr-defined]

    def divided(self) -> list[list[int]]:
        """The cells, in sets that run at once: those with the same numbers of steps."""
        if len(self.cells) == 1 or not self.options.get("ensembles", True):
            return [[i] for i in range(len(self.cells))]
        if not stepper(self.cells[0].method).ensembles or self.cells[0].unit == "images":
            return [[i] for i in range(len(self.cells))]
        found: dict[Any, list[int]] = {}
        for i, cell in enumerate(self.cells):
            found.setdefault(tuple(cell.steps_at(m) for m in self.marks), []).append(i)
        return [g for key, places in found.items() for g in ([[i] for i in places] if None in key else [places])]

    def run_at_once(self, places: list[int]) -> bool:
        """Run cells as one ensemble, if they are one flow; whether that was done."""
        if len(places) == 1:
            return False
        try:
            setups = self._alike(places)
            if not isinstance(setups, str):
                with self.randomness(places[0]):
                    self._together(places, setups)
                return True
            why = setups
        except Exception as error:  # whatever users' code raises: by itself the cell at fault says so, the others go on
            why = f"{type(error).__name__}: {error}".splitlines()[0]
        for i in places:
            self.rows[i], self.why[i] = [], why
        return False

    def run_alone(self, i: int) -> None:
        """Run a cell by itself; where it fails its row says why."""
        try:
            with self.randomness(i):
                self._alone(i)
        except Exception:
            self.rows[i].append({"at": 1.0, "status": "error", "error": traceback.format_exc(limit=-6)})

    def _alike(self, places: list[int]) -> list[Setup] | str:
        """The set-ups, if the first one's flow is that of all: of one layout, with the same velocity where each begins.

        If not, why.
        """
        shared: dict[str, Setup] = {}
        setups = []
        for i in places:
            key = hashed(self.cells[i].arguments)
            if key not in shared:
                shared[key] = self.made(i)
            setups.append(shared[key])
        first = setups[0]
        if any(s.options for s in setups):
            return "a set-up with arguments of solve's own"
        if first.flow.noise is not None or first.flow.declared_h is not None:
            return "a flow with noise, or for one step alone"
        if any(s.flow.game.state().buffers for s in setups):
            return "players with buffers, which ensembles do not advance"
        return setups if all(_same(first, s) for s in shared.values()) else "set-ups whose flows differ"

    def _together(self, places: list[int], setups: list[Setup]) -> None:
        cells, first = [self.cells[i] for i in places], setups[0]
        starts = [s.y0 if s.y0 is not None else s.flow.initial_state() for s in setups]
        batches: dict[str, Any] = {}
        if first.batches is not None:
            batches = {"batches": [s.batches for s in setups]}
        elif first.batch is not None:
            given = tree_map(lambda *x: torch.stack(x), *(s.batch for s in setups))
            batches = {"batch": given, "batch_dim": 0}
        rates = {n: [c.rates[n] for c in cells] for n in cells[0].rates}
        weights = {n: [c.weights[n] for c in cells] for n in cells[0].weights}
        flow = self.flow(places[0], first)
        run, alive, began, evaluations, images = None, [True] * len(cells), time.perf_counter(), 0.0, 0
        for share in self.marks:
            run = solve_ensemble(
                flow,
                cells[0].method,
                h=[c.h for c in cells],
                steps=cells[0].steps_at(share) or 1,
                y0=starts if run is None else None,
                rates=rates or None,
                weights=weights or None,
                resume=run,
                check_every=self.options.get("check_every", 50),
                execution=self.options.get("execution", "eager"),
                **batches,
            )
            evaluations, images = run.stats["evaluations"], run.stats.get("images", 0)
            seconds = (time.perf_counter() - began) / len(cells)
            alive = [a and s == "done" for a, s in zip(alive, run.status, strict=True)]
            for k, i in enumerate(places):
                cost = (run.step, evaluations, images, run.step * cells[k].h, seconds)
                state = run.state.member(k) if alive[k] else None
                row = _row(share, "done" if alive[k] else "non_finite", cost, len(cells))
                self._measured(i, setups[k], state, row)

    def _alone(self, i: int) -> None:
        cell, setup = self.cells[i], self.made(i)
        flow, run, began = self.flow(i, setup), None, time.perf_counter()
        for share in self.marks:
            steps = cell.steps_at(share)
            limit = {"steps": steps} if steps is not None else {cell.unit: cell.amount * share}
            if run is None or run.status == "done":
                run = solve(
                    flow,
                    cell.method,
                    h=cell.h,
                    **limit,
                    y0=setup.y0 if run is None else None,
                    batches=setup.batches,
                    batch=setup.batch,
                    resume=run,
                    check_every=self.options.get("check_every", 50),
                    execution=self.options.get("execution", "eager"),
                    throw=False,
                    **setup.options,
                )
            stats, seconds = run.stats, time.perf_counter() - began
            cost = (run.step, stats["evaluations"], stats.get("images", 0), run.t, seconds)
            state = run.state if run.status == "done" else None
            alone = {"alone": self.why[i]} if i in self.why else {}
            self._measured(i, setup, state, _row(share, str(run.status), cost, 1) | alone)

    def _measured(self, i: int, setup: Setup, state: State | None, row: dict[str, Any]) -> None:
        """Add a row, with the measures of a state that is finite."""
        if state is not None:
            spent = {u: row[f"spent.{u}"] for u in BUDGETS}
            cell = self.cells[i]
            outcome = Outcome(dict(cell.values), setup, self.flow(i, setup), state, row["at"], cell.h, **spent)
            try:
                for name, measure in self.measures.items():
                    with self.randomness(i):
                        row |= _numbers(name, measure(outcome))
            except Exception:
                row |= {"status": "error", "error": traceback.format_exc(limit=-4)}
        self.rows[i].append(row)


def _row(share: float, status: str, cost: Sequence[float], together: int) -> dict[str, Any]:
    spent = {f"spent.{u}": c for u, c in zip((*BUDGETS, "seconds"), cost, strict=True)}
    return {"at": share, "status": status, **spent, "together": together}


def _numbers(name: str, found: Any) -> dict[str, float]:
    """What a measure gave, as columns: a number under its name, several under `name.key`."""
    if isinstance(found, Mapping):
        return {f"{name}.{k}": _number(f"{name}.{k}", v) for k, v in found.items()}
    return {name: _number(name, found)}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError(f"measure {name}", "a number, or several by name", type(value).__name__) from None


def _kind(setup: Setup) -> tuple[Any, ...]:
    flow = setup.flow
    rates = {**flow.rates, **flow.module_rates}
    return type(flow), flow.law, flow.game.layout.signature, tuple(flow.terms), rates, setup.batches is None


def _same(first: Setup, other: Setup) -> bool:
    """Whether a flow is the first one, begun elsewhere: the same velocity where the other begins, on its batch."""
    if other is first:
        return True
    if _kind(first) != _kind(other):
        return False
    start = other.y0 if other.y0 is not None else other.flow.initial_state()
    batch = other.batch
    if other.batches is not None:
        place = other.batches.state_dict()
        batch = next(other.batches)
        other.batches.load_state_dict(place)
    random = RandomState(first.flow.game.device)
    theirs = other.flow.at(start, batch)(0.0, start.y)
    random.restore()
    ours = first.flow.at(State(first.flow.game.layout, start.y, start.buffers), batch)(0.0, start.y)
    random.restore()
    allowed = LIKE * (torch.finfo(ours.dtype).eps / torch.finfo(torch.float32).eps) ** 0.5
    gap = float((ours - theirs).norm())
    return gap <= allowed * float(theirs.norm()) or (math.isnan(gap) and bool(theirs.isnan().any()))
