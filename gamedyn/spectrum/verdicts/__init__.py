"""What kind of point it is: stability, Nash, Stackelberg, and the bounds that answer."""

from gamedyn.spectrum.verdicts.answers import Answer
from gamedyn.spectrum.verdicts.extent import Extent, extent
from gamedyn.spectrum.verdicts.flow_stability import FlowStability
from gamedyn.spectrum.verdicts.symmetries import Symmetry, scaling_symmetries
from gamedyn.spectrum.verdicts.verdict import Degeneracy, Verdict, verdict

__all__ = [
    "Answer",
    "Degeneracy",
    "Extent",
    "FlowStability",
    "Symmetry",
    "Verdict",
    "extent",
    "scaling_symmetries",
    "verdict",
]
