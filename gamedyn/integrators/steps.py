"""How long the steps of a solve are: `gamedyn.solve(..., h=...)` takes a number, or one of these."""

from gamedyn._lib.border import border
from gamedyn.integrators.drive.adaptive import Adaptive
from gamedyn.integrators.drive.step_sizes import Constant, Schedule, StepSize, cosine, piecewise, warmup

__all__ = ["Adaptive", "Constant", "Schedule", "StepSize", "cosine", "piecewise", "warmup"]

border(globals())
