"""Regions of methods that treat the players apart: over rotation and damping of a two-player game."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.checks import choice, positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method
from gamedyn.plot.palette import COLOURS, STYLES, several
from gamedyn.plot.regions import new_axes
from gamedyn.stability import BlockJacobian, step_matrix
from gamedyn.stability.matrices.eigenvalues import two_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["partitioned_region"]

DAMPED = {"both": (1.0, 1.0), "second": (0.0, 1.0), "first": (1.0, 0.0)}


def partitioned_region(
    methods: Sequence[str | Method] | str | Method,
    *,
    damped: str = "second",
    to: tuple[float, float] = (3.0, 3.0),
    points: int = 81,
    ax: Axes | None = None,
) -> Axes:
    """Where a step contracts the game `x' = -d_1 x - w y, y' = w x - d_2 y`, over (h w, h d); stable is shaded.

    Eigenvalues do not determine what a partitioned method does, so its region is drawn over the game's own numbers:
    rotation w and damping d, of one player (a penalty on the discriminator) or of both. Others are drawn alike.

    Args:
        methods: methods, or their names; a partitioned one plays the first player first unless it says otherwise.
        damped: "second", "first" or "both": whose own block is -d.
        to: largest h w and h d.
        points: grid points a side.
        ax: where to draw; None: a new figure.

    Raises:
        UnknownNameError: for another `damped`.
        ArgumentError: for a bad range.

    Example:
        >>> from matplotlib import pyplot as plt
        >>> ax = partitioned_region(["alternating", "euler"], points=21)
        >>> plt.close(ax.figure)
    """
    first, second = DAMPED[choice("damped", damped, tuple(DAMPED))]
    if positive_int("points", points) < 2:
        raise ArgumentError("points", "at least 2", points)
    w = np.linspace(0, positive("to", to[0]), points)
    d = np.linspace(0, positive("to", to[1]), points)
    if ax is None:
        ax = new_axes(3.5, 3.2)
    for i, method in enumerate(several(methods)):
        radius = np.array([[_radius(method, x, first * y, second * y) for x in w] for y in d])
        colour, style = COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]
        ax.contourf(w, d, radius, levels=[-1.0, 1 + 1e-9], colors=[colour], alpha=0.1)
        ax.contour(w, d, radius, levels=[1 + 1e-9], colors=[colour], linestyles=[style], linewidths=1.4)
        ax.plot([], [], color=colour, linestyle=style, label=method.name or "user-made")
    who = {"both": "both players", "first": "the first player", "second": "the second player"}[damped]
    ax.set(xlabel="h w, rotation", ylabel=f"h d, damping of {who}", xlim=(0, to[0]), ylim=(0, to[1]))
    ax.legend(fontsize=7, framealpha=0.9)
    return ax


def _radius(method: Method, w: float, first: float, second: float) -> float:
    J: NDArray[np.float64] = np.array([[-first, -w], [w, -second]])
    M = step_matrix(method, BlockJacobian(J, (1, 1), two_names(method)), 1.0)
    return min(float(np.abs(np.linalg.eigvals(M)).max()), 4.0)
