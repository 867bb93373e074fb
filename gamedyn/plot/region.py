"""Stability regions with a game's `h lambda` laid over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Method, RungeKutta, get
from gamedyn.stability import amplification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = ["COLOURS", "region"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""Okabe and Ito's palette, which colour-blind readers can tell apart; grey for its yellow, too faint on white."""

STYLES = ("-", "--", "-.", ":")


def region(
    methods: Sequence[str | Method] | str | Method,
    *,
    eigenvalues: ArrayLike | None = None,
    h: float | None = None,
    per_evaluation: bool = False,
    window: tuple[float, float, float, float] = (-3.2, 1.0, -3.2, 3.2),
    ax: Axes | None = None,
) -> Axes:
    """Boundaries of the regions of absolute stability, and `h lambda` as points; stable is inside.

    Args:
        methods: Runge-Kutta or multistep methods, or their names.
        eigenvalues: of `J = dv/dy`, or None.
        h: step that they are multiplied by; with `per_evaluation` it is tau = h per evaluation, common to all.
        per_evaluation: whether to draw the plane of tau*lambda: every region divided by the evaluations a step
            costs.
        window: left, right, bottom, top of the plane of h*lambda.
        ax: where to draw; None: a new figure.

    Returns:
        The axes.

    Raises:
        ArgumentError: for a partitioned method, whose stability is no function of h*lambda; for eigenvalues
            without a step.

    Example:
        >>> ax = region(["euler", "rk4"], eigenvalues=[-1 + 1j, -1 - 1j], h=0.5)
        >>> ax.get_xlabel()
        'Re h\N{GREEK SMALL LETTER LAMDA}'
        >>> plt.close(ax.figure)
    """
    chosen = [get(m) for m in ([methods] if isinstance(methods, (str, RungeKutta, LinearMultistep)) else methods)]  # type: ignore[union-attr]
    if ax is None:
        _, ax = plt.subplots(figsize=(3.5, 3.8), layout="constrained")
    left, right, bottom, top = window
    z = np.linspace(left, right, 361)[None, :] + 1j * np.linspace(bottom, top, 401)[:, None]
    for i, method in enumerate(chosen):
        if not isinstance(method, (RungeKutta, LinearMultistep)):
            remedy = "its stability depends on the players' blocks: see gamedyn.spectrum.stable_steps"
            raise ArgumentError("methods", "Runge-Kutta or multistep methods", method, remedy)
        scale = method.evaluations if per_evaluation else 1
        colour, style = COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]
        growth = amplification(method, z * scale)
        ax.contour(z.real, z.imag, growth, levels=[1.0], colors=[colour], linestyles=[style], linewidths=1.4)
        ax.plot([], [], color=colour, linestyle=style, label=method.name or "user-made")
    if eigenvalues is not None:
        if h is None:
            raise ArgumentError("h", "a step to multiply the eigenvalues by", h)
        points = positive("h", h) * np.asarray(eigenvalues, dtype=np.complex128).ravel()
        ax.plot(
            points.real,
            points.imag,
            "o",
            ms=3,
            color="black",
            alpha=0.6,
            label=f"h\N{GREEK SMALL LETTER LAMDA}, h = {h:.3g}",
        )
    ax.axhline(0, color="0.8", lw=0.6, zorder=0)
    ax.axvline(0, color="0.8", lw=0.6, zorder=0)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    unit = " per evaluation" if per_evaluation else ""
    ax.set_xlabel(f"Re h\N{GREEK SMALL LETTER LAMDA}{unit}")
    ax.set_ylabel(f"Im h\N{GREEK SMALL LETTER LAMDA}{unit}")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7, loc="upper left", framealpha=0.9)
    return ax
