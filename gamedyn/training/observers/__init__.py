"""What sees a training run go by: averages, pictures, scores, records, spectra, budgets, the best state."""

from __future__ import annotations

from gamedyn._lib.border import border
from gamedyn.training.observers.best import Best
from gamedyn.training.observers.budget import Budget
from gamedyn.training.observers.ema import EMA
from gamedyn.training.observers.recorder import Logger, Recorder, TensorBoard, read_records
from gamedyn.training.observers.samples import Samples, grid, write_animation, write_picture
from gamedyn.training.observers.score import Score
from gamedyn.training.observers.stability import Stability

__all__ = [
    "EMA",
    "Best",
    "Budget",
    "Logger",
    "Recorder",
    "Samples",
    "Score",
    "Stability",
    "TensorBoard",
    "grid",
    "read_records",
    "write_animation",
    "write_picture",
]

border(globals(), skip=("after_step", "log"))
