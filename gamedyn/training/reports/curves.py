"""Curves of runs: scores, losses and figures of one's own, stability."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamedyn.training.reports.folder import RunFolder

__all__ = ["axes_of", "courses", "loss_names", "own_names", "progress_of", "score_curves", "stability"]

KNOWN = ("step", "seconds", "kind", "t", "h", "images", "evaluations")
"""Columns that a recorder gives every row, or that say how far a run is."""


def score_curves(runs: list[RunFolder], names: list[str]) -> Callable[[], Any]:
    """Scores against images, evaluations and seconds, a row for each number."""

    def draw() -> Any:
        from matplotlib.figure import Figure

        axes_of = (("images", "images"), ("evaluations", "field evaluations"), ("clock", "seconds"))
        figure = Figure(figsize=(10, 2.6 * len(names)), dpi=100, layout="constrained")
        grid = figure.subplots(len(names), 3, squeeze=False, sharey="row")
        for name, line in zip(names, grid, strict=True):
            for (key, label), axes in zip(axes_of, line, strict=True):
                for i, run in enumerate(runs):
                    rows = run.scores()
                    for prefix, style in (("ema.", "-"), ("", "--" if any(f"ema.{name}" in r for r in rows) else "-")):
                        points = [(r[key], r[prefix + name]) for r in rows if drawn(r.get(prefix + name))]
                        if points:
                            shown = run.name if style == "-" else None
                            axes.plot(*zip(*points, strict=True), style, c=f"C{i}", label=shown, marker=".", ms=4)
                    floor = rows[-1].get(f"floor.{name}") if rows else None
                    if drawn(floor):
                        axes.axhline(floor, ls=":", c=f"C{i}", lw=1)
                axes.set_xlabel(label)
                _ticks(axes)
            line[0].set_ylabel(name)
            values = [r.get(p + name) for run in runs for r in run.scores() for p in ("", "ema.")]
            finite = [float(v) for v in values if v is not None and drawn(v)]
            if finite and min(finite) > 0 and max(finite) > 20 * min(finite):
                line[0].set_yscale("log")
        if len(runs) > 1:
            grid[0][0].legend(fontsize="small")
        return figure

    return draw


def _ticks(*axes: Any) -> None:
    """Few ticks along x, in thousands and millions, so that none meets its neighbour."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    for each in axes:
        each.xaxis.set_major_locator(MaxNLocator(5))
        each.xaxis.set_major_formatter(EngFormatter(sep=""))


def drawn(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max


def progress_of(runs: list[RunFolder]) -> tuple[str, str]:
    """The column that runs are shown against, and its words: images, or steps where batches have no images."""
    seen = all(row.get("images") for run in runs for row in run.rows()[-1:])
    return ("images", "the images seen") if seen else ("step", "the steps done")


def loss_names(runs: list[RunFolder]) -> list[str]:
    """Columns of the players' losses."""
    return [k for k in _columns(runs, "") if k.startswith("loss.")]


def own_names(runs: list[RunFolder], kind: str = "") -> list[str]:
    """Columns of numbers that observers and flows of one's own have recorded."""
    return [k for k in _columns(runs, kind) if k not in KNOWN and (kind or not k.startswith("loss."))]


def _columns(runs: list[RunFolder], kind: str) -> list[str]:
    rows = [row for run in runs for row in run.rows(kind)]
    return [k for k in dict.fromkeys(k for row in rows for k in row) if any(drawn(row.get(k)) for row in rows)]


def axes_of(runs: list[RunFolder], kind: str = "") -> dict[str, str]:
    """Columns that rows of a kind are shown against, with their words: of several runs work and time, too."""
    first, words = progress_of(runs)
    wanted = {first: words} | ({"evaluations": "evaluations", "seconds": "seconds"} if len(runs) > 1 else {})
    rows = [row for run in runs for row in run.rows(kind)]
    return {k: w for k, w in wanted.items() if any(k in row for row in rows)} or {"step": "the steps done"}


def courses(runs: list[RunFolder], names: list[str], kind: str = "") -> Callable[[], Any]:
    """Recorded columns: of one run against images or steps, of several against evaluations and seconds, too."""

    def draw() -> Any:
        from matplotlib.figure import Figure

        across = axes_of(runs, kind)
        panels = [(name, key) for name in names for key in across]
        wide = len(across) if len(across) > 1 else min(len(names), 3)
        figure = Figure(figsize=(max(5.0, 10 * wide / 3), 2.8 * -(-len(panels) // wide)), dpi=100, layout="constrained")
        grid = figure.subplots(-(-len(panels) // wide), wide, squeeze=False).flat
        for axes, (name, key) in zip(grid, panels, strict=False):
            for i, run in enumerate(runs):
                points = [(r[key], r[name]) for r in run.rows(kind) if drawn(r.get(name)) and key in r]
                if points:
                    axes.plot(*zip(*points, strict=True), c=f"C{i}", lw=0.8, label=run.name)
            shown = name.removeprefix("loss.").replace("$", r"\$")  # no formula
            axes.set(xlabel=key, ylabel=f"loss of {shown}" if name.startswith("loss.") else shown)
            _ticks(axes)
        for axes in [*grid][len(panels) :]:
            axes.set_axis_off()
        if len(runs) > 1:
            figure.axes[0].legend(fontsize="small")
        return figure

    return draw


def stability(runs: list[RunFolder]) -> Callable[[], Any]:
    """The step over the largest stable one, and the leftmost eigenvalue, against images or steps."""

    def draw() -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 3), dpi=100, layout="constrained")
        left, right = figure.subplots(1, 2)
        across, _ = progress_of(runs)
        for i, run in enumerate(runs):
            rows = run.rows("stability")
            for axes, key in ((left, "ratio"), (right, "leftmost")):
                points = [(r[across], r[key]) for r in rows if drawn(r.get(key))]
                if points:
                    axes.plot(*zip(*points, strict=True), c=f"C{i}", marker=".", ms=4, label=run.name)
        left.axhline(1.0, c="0.5", ls=":", lw=1)
        left.set(xlabel=across, ylabel="step / largest stable step")
        right.set(xlabel=across, ylabel="leftmost eigenvalue")
        if len(runs) > 1:
            left.legend(fontsize="small")
        _ticks(left, right)
        return figure

    return draw
