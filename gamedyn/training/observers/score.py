"""Scores on the way, in the run's process or in one of their own."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import pickle
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators import Every, Observer
from gamedyn.training.sampler import generate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from gamedyn.core import State
    from gamedyn.integrators import View
    from gamedyn.training.observers.ema import EMA
    from gamedyn.training.observers.recorder import Logger
    from gamedyn.training.sampler import Sampler
    from gamedyn.training.scores import Scorer

__all__ = ["Score"]


class Score(Observer):
    """A scorer's numbers of the present state, and of its average: `frechet`, `ema.frechet`, `floor.frechet`, `n`, ...

    Args:
        scorer: what is measured.
        sampler: what makes the samples.
        every: rhythm.
        ema: whose average is scored too.
        to: what results go to: a Recorder, a logger.
        background: whether a process of its own does it; the run goes on, and the row comes later, with its own step.
            What was being scored when the run ended is scored again when it goes on; if it fails a row says so.

    Attributes:
        results: rows so far, each with its step.

    Raises:
        ArgumentError: with `background`, for a generator that cannot be pickled.
    """

    def __init__(
        self,
        scorer: Scorer,
        sampler: Sampler,
        *,
        every: int | Every = 5000,
        ema: EMA | None = None,
        to: Sequence[Logger] = (),
        background: bool = False,
    ) -> None:
        self.scorer, self.sampler, self.every, self.ema, self.to = scorer, sampler, every, ema, list(to)
        self.results: list[dict[str, Any]] = []
        self._again: list[tuple[dict[str, Any], State, State | None]] = []  # of a run gone on from
        self.heard: list[Callable[[dict[str, Any], State, State | None], None]] = []
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        self._pending: list[tuple[dict[str, Any], State, State | None, concurrent.futures.Future[dict[str, Any]]]] = []
        if not isinstance(background, bool):
            raise ArgumentError("background", "True or False", background)
        if background:
            self._pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            self._pool.submit(_ready, pickle.dumps(scorer))

    def after_step(self, view: View) -> None:
        """Score the step's state, or have it scored."""
        self.collect()
        average = None if self.ema is None else self.ema.state
        if self._pool is not None and average is not None:
            average = replace(average, y=average.y.clone(), buffers=tuple(b.clone() for b in average.buffers))
        row = {"step": view.step, "images": view.images, "evaluations": view.evaluations}
        self._take(row, view.state, average)

    def _take(self, row: dict[str, Any], state: State, average: State | None) -> None:
        """Score, or have it done."""
        if self._pool is None:
            self._told(row, state, average, self.score(state, average))
            return
        modules = [self._pickled(s) for s in (state, average) if s is not None]
        given = list(self.sampler.given(self.scorer.count))
        future = self._pool.submit(_scored, modules, given, self.sampler.game.dtype)
        self._pending.append((row, state, average, future))

    def score(self, state: State, average: State | None = None) -> dict[str, Any]:
        """The numbers of a state, and of its average with "ema." before them."""
        found = self.scorer(self.sampler.blocks(state, self.scorer.count))
        if average is None:
            return found
        return _joined(found, self.scorer(self.sampler.blocks(average, self.scorer.count)))

    def collect(self, *, wait: bool = False) -> None:
        """Take the results that are there; or wait for all."""
        while self._again:
            self._take(*self._again[0])
            del self._again[0]
        while self._pending and (wait or self._pending[0][3].done()):
            row, state, average, future = self._pending.pop(0)
            error = future.exception()
            if error is None:
                self._told(row, state, average, future.result())
            else:  # the process has ended, ran out of memory, ...
                self._log({**row, "kind": "score", "lost": f"{type(error).__name__}: {error}"})

    def finish(self) -> None:
        """Wait for scores that are being computed."""
        self.collect(wait=True)
        if self._pool is not None:
            self._pool.shutdown()

    def state_dict(self) -> dict[str, Any]:
        """The rows, and what is being scored."""
        waiting = [*self._again, *((row, state, average) for row, state, average, _ in self._pending)]
        pending = [
            {"row": row, "states": [(s.y, list(s.buffers)) for s in states if s is not None]}
            for row, *states in waiting
        ]
        return {"results": list(self.results), "pending": pending}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; what was being scored is scored again."""
        self.results = [dict(r) for r in state["results"]]
        like = self.sampler.game.state()
        for pending in state["pending"]:
            states = [replace(like, y=y, buffers=tuple(buffers)) for y, buffers in pending["states"]]
            self._again.append((dict(pending["row"]), states[0], states[1] if len(states) > 1 else None))

    def _pickled(self, state: State) -> bytes:
        with self.sampler.game.at(state) as players:
            try:
                return pickle.dumps(players[self.sampler.player])
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                remedy = "background=False, or a module whose class can be imported"
                raise ArgumentError("background", "a generator that can be pickled", str(error), remedy) from error

    def _told(self, row: dict[str, Any], state: State, average: State | None, found: dict[str, Any]) -> None:
        result = {**row, **found}
        self.results.append(result)
        for listener in self.heard:
            listener(result, state, average)
        self._log({"kind": "score", **result})

    def _log(self, row: dict[str, Any]) -> None:
        for logger in self.to:
            logger.log({k: v for k, v in row.items() if k != "step"}, step=int(row["step"]))


def _joined(raw: dict[str, Any], average: dict[str, Any]) -> dict[str, Any]:
    """Numbers of the state and of its average; what is the same of both once."""
    both = {k for k in raw if k.startswith("floor.")} | {"n", "features", "accuracy", "seconds"}
    mine = {f"ema.{k}": v for k, v in average.items() if k not in both}
    return {**raw, **mine, "seconds": raw["seconds"] + average["seconds"]}


_SCORER: list[Scorer] = []
"""In the process that scores: its scorer."""


def _ready(scorer: bytes) -> None:
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    torch.set_num_threads(1)
    _SCORER[:] = [pickle.loads(scorer)]


def _end_with_the_run() -> None:
    """Do not outlive a run that is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _scored(modules: list[bytes], given: list[tuple[Tensor, ...]], dtype: torch.dtype) -> dict[str, Any]:
    loaded = [pickle.loads(m) for m in modules]
    found = [_SCORER[0](generate(module, each, dtype) for each in given) for module in loaded]
    return found[0] if len(found) == 1 else _joined(*found)
