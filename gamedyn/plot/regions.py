"""Stability regions with a game's `h lambda` laid over them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method
from gamedyn.plot.palette import COLOURS, LAMBDA, STYLES, several
from gamedyn.stability import StabilityWarning, amplification, stable_steps
from gamedyn.stability.matrices.eigenvalues import eigenvalue_array
from gamedyn.stability.regions.membership import is_stable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

__all__ = ["new_axes", "region"]

Window = tuple[float, float, float, float]


def new_axes(width: float = 3.5, height: float = 3.0) -> Axes:
    """Axes of a new figure that is one column wide."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


ROUNDED = 1e-9
"""Share of the largest modulus below which a real part counts as none."""


def region(
    methods: Sequence[str | Method] | str | Method,
    *,
    eigenvalues: ArrayLike | None = None,
    h: float | None = None,
    per_evaluation: bool = False,
    window: Window | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Boundaries of the regions of absolute stability, and `h lambda` as points; stable is shaded.

    Of every method the eigenvalue that binds its step, the first of those that the flow damps to leave its region as h
    grows, has a ring in the method's colour.

    Args:
        methods: methods whose modes decouple, or their names; none for eigenvalues alone, or an empty window.
        eigenvalues: of `J = dv/dy`, or None.
        h: step that they are multiplied by; with `per_evaluation` it is tau = h per evaluation, common to all.
        per_evaluation: whether to draw the plane of tau*lambda: every region divided by the evaluations a step
            costs.
        window: left, right, bottom, top of the plane of h*lambda; None: what shows regions and points.
        ax: where to draw; None: a new figure.

    Returns:
        The axes.

    Raises:
        ArgumentError: for a partitioned method, whose stability is no function of h*lambda; for eigenvalues
            without a step; with `per_evaluation` for methods whose work a solver decides.

    Example:
        >>> ax = region(["euler", "rk4"], eigenvalues=[-1 + 1j, -1 - 1j], h=0.5)
        >>> ax.get_xlabel()
        'Re h\N{GREEK SMALL LETTER LAMDA}'
        >>> plt.close(ax.figure)
    """
    plane_alone = methods in ([], ()) and (eigenvalues is not None or window is not None)
    chosen: list[Method] = [] if plane_alone else several(methods)
    for method in chosen:
        _check(method, per_evaluation)
    points = None
    if eigenvalues is not None:
        if h is None:
            raise ArgumentError("h", "a step to multiply the eigenvalues by", h)
        points = positive("h", h) * eigenvalue_array(eigenvalues)
    scales = [_evaluations(m) if per_evaluation else 1.0 for m in chosen]
    view = window or _window(chosen, scales, points)
    if ax is None:
        ax = new_axes(3.5, 3.8)
    real, imaginary = np.linspace(view[0], view[1], 361), np.linspace(view[2], view[3], 401)
    heights, rows = np.unique(np.round(np.abs(imaginary), 12), return_inverse=True)  # regions are symmetric
    for i, (method, scale) in enumerate(zip(chosen, scales, strict=True)):
        colour, style = COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]
        growth = np.minimum(amplification(method, scale * (real + 1j * heights[:, None])), 4.0)[rows]
        ax.contourf(real, imaginary, growth, levels=[-1.0, 1.0], colors=[colour], alpha=0.08)
        ax.contour(real, imaginary, growth, levels=[1.0], colors=[colour], linestyles=[style], linewidths=1.4)
        ax.plot([], [], color=colour, linestyle=style, label=method.name or "user-made")
    if points is not None:
        _overlay(ax, chosen, points, h or 1.0)
    ax.axhline(0, color="0.8", lw=0.6, zorder=0)
    ax.axvline(0, color="0.8", lw=0.6, zorder=0)
    ax.set(xlim=view[:2], ylim=view[2:], aspect="equal")
    unit = " per evaluation" if per_evaluation else ""
    ax.set_xlabel(f"Re h{LAMBDA}{unit}")
    ax.set_ylabel(f"Im h{LAMBDA}{unit}")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7, loc="upper left", framealpha=0.9)
    return ax


def _evaluations(method: Any) -> float:
    return float(method.evaluations)


def _check(method: Any, per_evaluation: bool) -> None:
    if not (method.has_theory and method.decouples):
        remedy = "its stability depends on the players' blocks: see plot.partitioned_region, plot.step_sets"
        raise ArgumentError("methods", "methods whose modes decouple", method, remedy)
    if per_evaluation and not method.explicit:
        raise ArgumentError("per_evaluation", "explicit methods, whose work is known", method)


def _window(chosen: list[Method], scales: list[float], points: NDArray[np.complex128] | None) -> Window:
    """What holds every point, and every region near 0 that is bounded, or whose gap is."""
    probe = np.linspace(-40, 40, 481)[None, :] + 1j * np.linspace(0, 40, 241)[:, None]
    left, right, top = -1.0, 0.4, 1.0
    for method, scale in zip(chosen, scales, strict=True):
        inside = is_stable(method, probe)
        shown = np.array([-6 + 6j, 6 + 6j])
        for part in (probe[inside], probe[~inside]):
            if part.size and max(np.abs(part.real).max(), part.imag.max()) < 38:
                shown = part / scale
                break
        left, right = min(left, shown.real.min()), max(right, shown.real.max())
        top = max(top, shown.imag.max())
    if points is not None:
        left, right = min(left, points.real.min()), max(right, points.real.max())
        top = max(top, np.abs(points.imag).max())
    pad = 0.08 * max(right - left, top)
    return (float(left - pad), float(right + pad), float(-top - pad), float(top + pad))


def _overlay(ax: Axes, chosen: list[Method], points: NDArray[np.complex128], h: float) -> None:
    """The points, and a ring around that which binds each method."""
    label = f"h{LAMBDA}, h = {h:.3g}"
    ax.plot(points.real, points.imag, "o", ms=3, color="black", alpha=0.6, label=label)
    damped = points[points.real <= ROUNDED * np.abs(points).max(initial=0.0)]  # what the flow amplifies binds no step
    for i, method in enumerate(chosen if len(damped) else []):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StabilityWarning)
            binding = stable_steps(method, damped / h).binding
        if binding is not None:
            z = h * binding
            ring = [z, np.conj(z)] if z.imag and np.isclose(points, np.conj(z)).any() else [z]
            colour = COLOURS[i % len(COLOURS)]
            ax.plot(np.real(ring), np.imag(ring), "o", ms=7 + 2.5 * i, mfc="none", mec=colour, mew=1.3)
