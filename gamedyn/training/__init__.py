"""Training real GANs on the one loop: models, data, scores, observers, and the command `gamedyn train`."""

from __future__ import annotations

from gamedyn._lib.border import border
from gamedyn.training import data, models, observers, scores
from gamedyn.training.config import Config, read_config
from gamedyn.training.experiment import Experiment, build
from gamedyn.training.planning import Plan, plan
from gamedyn.training.reports import compare, write_report
from gamedyn.training.runs import train
from gamedyn.training.sampler import Sampler

__all__ = [
    "Config",
    "Experiment",
    "Plan",
    "Sampler",
    "build",
    "compare",
    "data",
    "models",
    "observers",
    "plan",
    "read_config",
    "scores",
    "train",
    "write_report",
]

border(globals())
