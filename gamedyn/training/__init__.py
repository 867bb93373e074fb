"""Training real GANs on the one loop: models, data, scores, observers, and the command `gamedyn train`."""

from __future__ import annotations

from gamedyn._lib.border import border
from gamedyn.training import data, models, scores
from gamedyn.training.config import Config, read_config
from gamedyn.training.experiment import Experiment, build
from gamedyn.training.observers import (
    EMA,
    Best,
    Budget,
    Recorder,
    Samples,
    Score,
    Stability,
    TensorBoard,
    read_records,
)
from gamedyn.training.planning import Plan, plan
from gamedyn.training.reports import compare, write_report
from gamedyn.training.runs import train
from gamedyn.training.sampler import Sampler

__all__ = [
    "EMA",
    "Best",
    "Budget",
    "Config",
    "Experiment",
    "Plan",
    "Recorder",
    "Sampler",
    "Samples",
    "Score",
    "Stability",
    "TensorBoard",
    "build",
    "compare",
    "data",
    "models",
    "plan",
    "read_config",
    "read_records",
    "scores",
    "train",
    "write_report",
]

border(globals())
