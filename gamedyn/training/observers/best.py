"""The best state by a score, kept on disk."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators import Observer
from gamedyn.training.observers._disk import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamedyn.core import State
    from gamedyn.integrators import View
    from gamedyn.training.observers.score import Score

__all__ = ["Best"]


class Best(Observer):
    """Keeps `best.state` in a folder: the state (or average) whose score was best so far; `State.load` reads it.

    Args:
        score: whose results decide.
        folder: made if it is missing.
        number: which ("frechet", "ema.modes"); None: the first measure's, of the average where there is one.

    Attributes:
        value: the best so far, or None.
        step: its step.

    Raises:
        UnknownNameError: for a number that no measure gives.
    """

    draws = False

    def __init__(self, score: Score, folder: str | os.PathLike[str], number: str | None = None) -> None:
        prefix = "ema." if score.ema is not None else ""
        self.number = number or prefix + score.scorer.best
        if self.number.startswith("ema.") and score.ema is None:
            raise ArgumentError("number", "a number of the weights: there is no average", self.number, "ema = {...}")
        self.larger = score.scorer.better(self.number.removeprefix("ema.")) == "larger"
        self.path = Path(folder) / "best.state"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.value: float | None = None
        self.step = 0
        score.heard.append(self.hear)

    def hear(self, result: Mapping[str, Any], state: State, average: State | None) -> None:
        """A score has come."""
        found = float(result.get(self.number, math.nan))  # there may be no average yet
        sign = -1 if self.larger else 1
        if math.isfinite(found) and (self.value is None or sign * found < sign * self.value):
            chosen = average if self.number.startswith("ema.") and average is not None else state
            with written(self.path):
                chosen.save(self.path)
                self.value, self.step = found, int(result["step"])

    def after_step(self, view: View) -> None:
        """Nothing: the score's results are heard."""

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        return {} if self.value is None else {"value": self.value, "step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.value, self.step = float(state["value"]), int(state["step"])
