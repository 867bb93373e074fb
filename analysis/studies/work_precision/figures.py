"""Error against work, and against time: a panel for every few kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt

from gamedyn.plot import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.studies.work_precision.curves import Curve

__all__ = ["TITLES", "drawn"]

PANELS = (
    ("explicit Runge-Kutta",),
    ("low storage", "additive"),
    ("multistep", "predictor-corrector"),
    ("partitioned", "game method"),
    ("implicit Runge-Kutta",),
    ("implicit multistep", "linearly implicit", "exponential"),
    ("adaptive members",),
    ("SciPy", "torchdiffeq", "diffrax"),
)

TITLES = {
    "dirac": "Dirac-GAN with R1",
    "stiff": "stiff rotating game, -0.01 ± 10i and -100",
    "network": "GAN on digits, 597 parameters",
}

GUIDE = "rk4"
"""Drawn in grey in every panel, so that panels can be compared."""

MARKS = "os^vDPX*<>ph"


def drawn(name: str, curves: list[Curve], against: str) -> Figure:
    """One figure: `against` is "work" or "seconds"."""
    panels = [[c for c in curves if c.group in groups and points(c, against)] for groups in PANELS]
    used = [(groups, mine) for groups, mine in zip(PANELS, panels, strict=True) if mine]
    columns = min(4, len(used))
    rows = -(-len(used) // columns)
    size = (4.2 * columns, 3.9 * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", sharex=True, sharey=True, squeeze=False)
    guide = next((c for c in curves if c.label == GUIDE), None)
    for ax, (groups, mine) in zip(axes.flat, used, strict=False):
        panel(ax, groups, mine, guide, against)
    for ax in axes.flat[len(used) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel("relative error at the end")
    unit = "work: evaluations + weighted products" if against == "work" else "time, ms"
    for ax in axes[-1]:
        ax.set_xlabel(unit)
    fig.suptitle(f"{TITLES[name]}: error against {'work' if against == 'work' else 'time'}", fontsize=12)
    return fig


def points(curve: Curve, against: str) -> list[tuple[float, float]]:
    """(abscissa, error) of a curve, where known."""
    across = curve.work if against == "work" else tuple(1e3 * s for s in curve.seconds)
    return [(x, e) for x, e in zip(across, curve.error, strict=True) if x]


def panel(ax: Axes, groups: tuple[str, ...], curves: list[Curve], guide: Curve | None, against: str) -> None:
    """The curves of a few kinds."""
    if guide is not None and (line := points(guide, against)):
        ax.plot(
            *zip(*line, strict=True),
            "-",
            color="0.75",
            lw=4,
            zorder=0,
            label=None if GUIDE in labels(curves) else GUIDE,
        )
    for i, curve in enumerate(curves):
        colour, style = COLOURS[i % 7], "-" if i < 7 else "--"
        shown = curve.label.replace(", adaptive", "").replace(", jitted", "")
        ax.plot(
            *zip(*points(curve, against), strict=True),
            style,
            marker=MARKS[i % len(MARKS)],
            color=colour,
            ms=4.5,
            lw=1.1,
            label=shown,
        )
    ax.set(xscale="log", yscale="log", ylim=(3e-14, 2))
    ax.set_title(", ".join(groups), fontsize=10)
    ax.yaxis.set_major_locator(mpl.ticker.LogLocator(numticks=8))
    ax.grid(color="0.92", lw=0.6)
    ax.legend(fontsize=6.5, loc="best", framealpha=0.85, handlelength=2.2)


def labels(curves: list[Curve]) -> list[str]:
    """Their labels."""
    return [c.label for c in curves]
