"""Sets of stable steps as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.plot.palette import COLOURS, several
from gamedyn.stability import stable_steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from gamedyn.methods import Method
    from gamedyn.stability import StepSet
    from gamedyn.stability.matrices.eigenvalues import Spectrum

__all__ = ["step_sets"]


def step_sets(
    sets: Mapping[str, StepSet] | Sequence[str | Method] | str | Method,
    spectrum: Spectrum | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """One bar per interval of stable steps, a row per method, on a logarithmic axis.

    Args:
        sets: methods, or their names, with a spectrum; or step sets by label, as they were computed.
        spectrum: eigenvalues of J, or a BlockJacobian.
        ax: where to draw; None: a new figure.

    Raises:
        ArgumentError: if there are none, or a spectrum comes with step sets, or methods without one.

    Example:
        >>> ax = step_sets(["euler", "rk4"], [-1 + 2j, -1 - 2j])
        >>> plt.close(ax.figure)
    """
    sets = _computed(sets, spectrum)
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


def _computed(sets: Any, spectrum: Spectrum | None) -> Mapping[str, StepSet]:
    """Step sets by label."""
    if hasattr(sets, "items"):
        if not sets or not all(hasattr(s, "intervals") for s in sets.values()):
            raise ArgumentError("sets", "step sets by label, or methods and a spectrum", sets)
        if spectrum is not None:
            raise ArgumentError("spectrum", "None where step sets are given", type(spectrum).__name__)
        return dict(sets)
    if spectrum is None:
        raise ArgumentError("spectrum", "a spectrum, for the methods to be checked against", None)
    chosen = several(sets)
    if not chosen:
        raise ArgumentError("sets", "at least one method", "none")
    return {m.shown: stable_steps(m, spectrum) for m in chosen}
