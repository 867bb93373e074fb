"""Which steps are stable: sets, limits, rankings of all methods, methods made for a spectrum."""

from gamedyn._lib.border import border
from gamedyn.stability.steps.limits import imaginary_limit, real_limit
from gamedyn.stability.steps.mean_square_steps import mean_square_steps
from gamedyn.stability.steps.ranking import Ranked, Ranking, rank_methods
from gamedyn.stability.steps.step_sets import StabilityWarning, StepSet, largest_stable_step, stable_steps
from gamedyn.stability.steps.tailoring import Tailored, tailor

__all__ = [
    "Ranked",
    "Ranking",
    "StabilityWarning",
    "StepSet",
    "Tailored",
    "imaginary_limit",
    "largest_stable_step",
    "mean_square_steps",
    "rank_methods",
    "real_limit",
    "stable_steps",
    "tailor",
]

border(globals())
