"""Real and imaginary stability limits."""

from __future__ import annotations

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method, get
from gamedyn.stability.matrices.eigenvalues import BlockJacobian, two_names
from gamedyn.stability.regions.rays import ray_intervals
from gamedyn.stability.steps.step_sets import stable_steps

__all__ = ["imaginary_limit", "real_limit"]


def real_limit(method: str | Method, *, tolerance: float = 0.0) -> float:
    """Length of the real stability interval: `sup {x : |R(-t)| <= 1 for 0 <= t <= x}`, or the root condition.

    Args:
        method: one of our methods, or its name; for one that needs blocks, two uncoupled players.
        tolerance: growth allowed a step; 0 is the strict limit, 1e-3 what a few hundred steps would show.

    Returns:
        The limit of h*|lambda|; inf for methods stable on the whole axis.

    Raises:
        ArgumentError: for a tolerance with a method that needs blocks.

    Example:
        >>> round(real_limit("rk4"), 10)
        2.7852935634
    """
    return _limit(method, -1.0, tolerance, [[-1.0, 0.0], [0.0, -1.0]])


def imaginary_limit(method: str | Method, *, tolerance: float = 0.0) -> float:
    """Length of the imaginary stability interval: `sup {y : |R(it)| <= 1 for 0 <= t <= y}`.

    For a method that needs blocks: on the canonical rotation `q' = -w p, p' = w q`.

    Args:
        method: one of our methods, or its name.
        tolerance: growth allowed a step; 0 is the strict limit.

    Raises:
        ArgumentError: for a tolerance with a method that needs blocks.

    Example:
        >>> imaginary_limit("heun2"), round(imaginary_limit("heun2", tolerance=1e-3), 4)
        (0.0, 0.2991)
    """
    return _limit(method, 1j, tolerance, [[0.0, -1.0], [1.0, 0.0]])


def _limit(method: str | Method, direction: complex, tolerance: float, J: list[list[float]]) -> float:
    chosen = get(method)
    if chosen.has_theory and not chosen.decouples:
        if tolerance:
            raise ArgumentError("tolerance", "0 for a method that needs blocks", tolerance)
        first = stable_steps(chosen, BlockJacobian(np.array(J), (1, 1), two_names(chosen))).first
        return 0.0 if first is None else first[1]
    if not tolerance >= 0:
        raise ArgumentError("tolerance", "a number of at least 0", tolerance)
    intervals = ray_intervals(chosen, direction, tolerance)
    return intervals[0][1] if intervals and intervals[0][0] == 0 else 0.0
