"""Pictures of the theory, torch-free. Needs matplotlib (the extra `plot`)."""

from gamedyn._lib.border import border
from gamedyn.plot.axis import boundary_locus, damping_and_phase
from gamedyn.plot.explorer import write_explorer
from gamedyn.plot.images import image_grid
from gamedyn.plot.monitor import monitor_path, monitor_ratios
from gamedyn.plot.partitioned import partitioned_region
from gamedyn.plot.region import COLOURS, region
from gamedyn.plot.steps import step_sets

__all__ = [
    "COLOURS",
    "boundary_locus",
    "damping_and_phase",
    "image_grid",
    "monitor_path",
    "monitor_ratios",
    "partitioned_region",
    "region",
    "step_sets",
    "write_explorer",
]

border(globals())
