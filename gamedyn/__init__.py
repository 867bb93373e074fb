"""Differentiable games, GAN training among them, solved as ODEs by integrators whose stability is known.

Importing this package imports nothing else: every name below loads its part on first use, so the
torch-free parts (`methods`, `stability`, `plot`) never wait for PyTorch.

Sign convention, used everywhere: `v_i = -rate_i * grad_i loss_i`, `J = dv/dy`; stable means that
every eigenvalue of `J` has negative real part.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gamedyn._lib.version import __version__

_PACKAGES = (
    *("ablation", "core", "flows", "games", "integrators", "krylov", "losses", "methods", "optim", "plot"),
    *("spectrum", "stability", "training"),
)
_NAMES = {
    "Game": "gamedyn.core",
    "State": "gamedyn.core",
    "batches": "gamedyn.core",
    "citation": "gamedyn.references",
    "data_parallel": "gamedyn.core",
    "solve": "gamedyn.integrators",
    "solve_ensemble": "gamedyn.integrators",
    "Run": "gamedyn.integrators",
    "Checkpoints": "gamedyn.integrators",
    "Event": "gamedyn.integrators",
    "Every": "gamedyn.integrators",
    "Observer": "gamedyn.integrators",
    "steps": "gamedyn.integrators",
    "GamedynError": "gamedyn._lib.errors",
    "ArgumentError": "gamedyn._lib.errors",
    "SolveError": "gamedyn._lib.errors",
    "UnknownNameError": "gamedyn._lib.errors",
}

__all__ = [
    "ArgumentError",
    "Checkpoints",
    "Event",
    "Every",
    "Game",
    "GamedynError",
    "Observer",
    "Run",
    "SolveError",
    "State",
    "UnknownNameError",
    "__version__",
    "ablation",
    "batches",
    "citation",
    "core",
    "data_parallel",
    "flows",
    "games",
    "integrators",
    "krylov",
    "losses",
    "methods",
    "optim",
    "plot",
    "solve",
    "solve_ensemble",
    "spectrum",
    "stability",
    "steps",
    "training",
]

if TYPE_CHECKING:
    from gamedyn import (
        ablation,
        core,
        flows,
        games,
        integrators,
        krylov,
        losses,
        methods,
        optim,
        plot,
        spectrum,
        stability,
        training,
    )
    from gamedyn._lib.errors import ArgumentError, GamedynError, SolveError, UnknownNameError
    from gamedyn.core import Game, State, batches, data_parallel
    from gamedyn.integrators import Checkpoints, Event, Every, Observer, Run, solve, solve_ensemble, steps
    from gamedyn.references import citation


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"gamedyn.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'gamedyn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
