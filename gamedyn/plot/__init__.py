"""Pictures of the theory, torch-free. The explorer needs no other package, the rest matplotlib (the extra `plot`)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gamedyn._lib.border import border
from gamedyn.plot.explorer import write_explorer
from gamedyn.plot.palette import COLOURS

if TYPE_CHECKING:
    from gamedyn.plot.axis import boundary_locus, damping_and_phase
    from gamedyn.plot.images import image_grid
    from gamedyn.plot.monitor import monitor_path, monitor_ratios
    from gamedyn.plot.partitioned import partitioned_region
    from gamedyn.plot.regions import region
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

DRAWN = {
    "boundary_locus": "axis",
    "damping_and_phase": "axis",
    "image_grid": "images",
    "monitor_path": "monitor",
    "monitor_ratios": "monitor",
    "partitioned_region": "partitioned",
    "region": "regions",
    "step_sets": "steps",
}
"""Where the pictures are that need matplotlib: imported when one is asked for."""

border({"__all__": ["write_explorer"], "write_explorer": write_explorer})


def __getattr__(name: str) -> Any:
    if name not in DRAWN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"gamedyn.plot.{DRAWN[name]}")
    except ModuleNotFoundError as error:
        text = f"gamedyn.plot.{name} needs {error.name}: pip install 'gamedyn[plot]'"
        raise ModuleNotFoundError(text, name=error.name) from error
    found = {"__all__": [name], name: getattr(module, name)}
    border(found)
    globals()[name] = found[name]
    return found[name]


def __dir__() -> list[str]:
    return sorted(__all__)
