"""Ablations: grids of games, methods, steps and whatever else, run at once where that is the same; a tidy table.

Needs joblib and pandas: the extra `ablation`.
"""

from gamedyn.ablation.ablate import ablate
from gamedyn.ablation.cells import Outcome
from gamedyn.ablation.config import Ablation, read_ablation
from gamedyn.ablation.grid import Cell, Grid, Setup
from gamedyn.ablation.plots import curves, effect_bars, heat_map
from gamedyn.ablation.report import write_report
from gamedyn.ablation.run import run
from gamedyn.ablation.summaries import differences, effects, means

__all__ = [
    "Ablation",
    "Cell",
    "Grid",
    "Outcome",
    "Setup",
    "ablate",
    "curves",
    "differences",
    "effect_bars",
    "effects",
    "heat_map",
    "means",
    "read_ablation",
    "run",
    "write_report",
]
