"""Sets of stable steps as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.plot.region import COLOURS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from gamedyn.stability import StepSet

__all__ = ["step_sets"]


def step_sets(sets: Mapping[str, StepSet], *, ax: Axes | None = None) -> Axes:
    """One bar per interval of stable steps, a row per method, on a logarithmic axis.

    Args:
        sets: step sets by label.
        ax: where to draw; None: a new figure.

    Raises:
        ArgumentError: if there are none.

    Example:
        >>> from gamedyn.stability import stable_steps
        >>> ax = step_sets({m: stable_steps(m, [-1 + 2j, -1 - 2j]) for m in ("euler", "rk4")})
        >>> plt.close(ax.figure)
    """
    if not hasattr(sets, "items") or not all(hasattr(s, "intervals") for s in sets.values()):
        raise ArgumentError("sets", "a dict of step sets by label", type(sets).__name__)
    if not sets:
        raise ArgumentError("sets", "at least one step set", "none")
    if ax is None:
        _, ax = plt.subplots(figsize=(3.5, 0.3 * len(sets) + 0.9), layout="constrained")
    ends = [x for s in sets.values() for interval in s.intervals for x in interval if 0 < x < np.inf]
    low, high = (min(ends) / 10, max(ends) * 2) if ends else (1e-3, 1.0)
    for i, (_, steps) in enumerate(sets.items()):
        for a, b in steps.intervals:
            left, right = max(a, low), min(b, high)
            ax.barh(i, right - left, left=left, height=0.6, color=COLOURS[i % len(COLOURS)])
    ax.set_yticks(range(len(sets)), list(sets))
    ax.set(xscale="log", xlim=(low, high), xlabel="stable steps h")
    ax.invert_yaxis()
    return ax
