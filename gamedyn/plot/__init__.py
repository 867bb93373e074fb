"""Pictures of the theory, torch-free. Needs matplotlib (the extra `plot`)."""

from gamedyn.plot.images import image_grid
from gamedyn.plot.region import COLOURS, region
from gamedyn.plot.steps import step_sets

__all__ = ["COLOURS", "image_grid", "region", "step_sets"]
