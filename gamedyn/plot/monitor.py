"""What a spectral monitor recorded: the step over its limit, and the way of `h lambda` over the region."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method, get
from gamedyn.plot.palette import COLOURS, LAMBDA, STYLES
from gamedyn.plot.regions import new_axes, region

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["monitor_path", "monitor_ratios"]

NAMES = {
    "leading": "leftmost mode, on its ray",
    "real": "leftmost real part, real interval",
    "damped": "all damped modes found",
}
"""What the ratios are called in the legend."""


def monitor_ratios(report: Any, *, by: str | None = None, ax: Axes | None = None) -> Axes:
    """The run's step over the largest stable one, step by step; 1 is the boundary of the method's region.

    Args:
        report: a monitor, or what its `to_dict` gave.
        by: the measure to draw: "leading", "real" or "damped"; None: all that are known.
        ax: where to draw; None: a new figure.

    Raises:
        ArgumentError: if nothing was recorded.

    Example:
        >>> record = {"step": 1, "ratios": {"real": 0.5, "leading": 0.5, "damped": 2.0}}
        >>> ax = monitor_ratios({"method": "euler", "records": [record, {**record, "step": 2}]})
        >>> len(ax.lines)
        4
        >>> import matplotlib.pyplot as plt
        >>> plt.close(ax.figure)
    """
    records = _records(report)["records"]
    measures = list(NAMES) if by is None else [choice("by", by, NAMES)]
    if ax is None:
        ax = new_axes(4.5, 3.0)
    ax.axhline(1, color="0.3", ls=":", lw=1)
    for i, name in enumerate(NAMES):
        points = [(r["step"], r["ratios"].get(name)) for r in records]
        known = [(s, x) for s, x in points if x is not None and math.isfinite(x) and x > 0]
        if name in measures and known:
            steps, ratios = zip(*known, strict=True)
            ax.plot(steps, ratios, color=COLOURS[i], ls=STYLES[i], marker="o", ms=3, lw=1.2, label=NAMES[name])
    ax.set(yscale="log", xlabel="step", ylabel="step over largest stable step")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7)
    return ax


def monitor_path(report: Any, *, method: str | Method | None = None, ax: Axes | None = None) -> Axes:
    """Every recorded `h lambda` over the region of the method, pale to dark as the run goes on.

    A line joins the leftmost of the upper half plane from record to record.

    Args:
        report: a monitor, or what its `to_dict` gave.
        method: the method; None: as the report names it. Without a region (methods that need blocks) the points
            stand alone.
        ax: where to draw; None: a new figure.

    Raises:
        ArgumentError: if nothing was recorded.

    Example:
        >>> record = {"step": 1, "h": 0.5, "eigenvalues": [[-1.0, 1.0], [-1.0, -1.0]]}
        >>> ax = monitor_path({"method": "rk4", "records": [record]})
        >>> ax.get_xlabel()
        'Re h\N{GREEK SMALL LETTER LAMDA}'
        >>> import matplotlib.pyplot as plt
        >>> plt.close(ax.figure)
    """
    told = _records(report)
    chosen = get(method if method is not None else getattr(report, "method", told["method"]))
    seen = [r for r in told["records"] if r["eigenvalues"]]
    if not seen:
        raise ArgumentError("report", "a record with eigenvalues", "none: no product was finite")
    sets = [r["h"] * np.array([complex(*x) for x in r["eigenvalues"]]) for r in seen]
    points = np.concatenate(sets)
    if ax is None:
        ax = new_axes(3.8, 3.8)
    left, right, top = points.real.min(), max(points.real.max(), 0.0), np.abs(points.imag).max()
    pad = 0.1 * max(right - left, top, 0.5)
    if not chosen.decouples:
        region([], window=(left - pad, right + pad, -top - 4 * pad, top + 4 * pad), ax=ax)
    else:
        region([chosen], eigenvalues=points, h=1.0, ax=ax)
        for old in ax.lines[-6:]:
            if old.get_marker() == "o":
                old.remove()
    colours = np.linspace(0.25, 1.0, len(sets))
    for z, shade in zip(sets, colours, strict=True):
        ax.scatter(z.real, z.imag, s=9, c=[(0.1, 0.1, 0.1)], alpha=0.6 * shade, linewidths=0, zorder=3)
    first = np.array([z[np.lexsort((z.imag < 0, z.real))[0]] for z in sets])
    ax.plot(first.real, np.abs(first.imag), color=COLOURS[1], lw=0.8, zorder=2)
    ax.set(xlabel=f"Re h{LAMBDA}", ylabel=f"Im h{LAMBDA}")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7, loc="upper left")
    return ax


def _records(report: Any) -> dict[str, Any]:
    told: dict[str, Any] = report.to_dict() if hasattr(report, "to_dict") else report
    if not isinstance(told, dict) or not told.get("records"):
        got = "none" if isinstance(told, dict) else type(report).__name__
        remedy = "solve(..., observers=[monitor]) fills gamedyn.spectrum.SpectralMonitor(flow, method)"
        raise ArgumentError("report", "a monitor with at least one record, or its to_dict()", got, remedy)
    return told
