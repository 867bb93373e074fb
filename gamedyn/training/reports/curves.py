"""Curves of runs: scores, losses, stability."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamedyn.training.reports.folder import RunFolder

__all__ = ["losses", "progress_of", "score_curves", "stability"]


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
    return isinstance(value, (int, float)) and math.isfinite(value)


def progress_of(runs: list[RunFolder]) -> tuple[str, str]:
    """The column that runs are shown against, and its words: images, or steps where batches have no images."""
    seen = all(row["images"] for run in runs for row in run.rows()[-1:])
    return ("images", "the images seen") if seen else ("step", "the steps done")


def losses(runs: list[RunFolder]) -> Callable[[], Any]:
    """Losses of the players, each by its name, against images or steps."""

    def draw() -> Any:
        from matplotlib.figure import Figure

        across, _ = progress_of(runs)
        names = dict.fromkeys(k for run in runs for row in run.rows()[:1] for k in row if k.startswith("loss."))
        figure = Figure(figsize=(5 * max(2, len(names)), 3), dpi=100, layout="constrained")
        panels = figure.subplots(1, max(1, len(names)), squeeze=False)[0]
        for i, run in enumerate(runs):
            for axes, name in zip(panels, names, strict=False):
                points = [(r[across], r[name]) for r in run.rows() if drawn(r.get(name))]
                if points:
                    axes.plot(*zip(*points, strict=True), c=f"C{i}", lw=0.8, label=run.name)
        for axes, name in zip(panels, names, strict=False):
            axes.set(xlabel=across, ylabel=f"loss of {name.removeprefix('loss.')}")
        if len(runs) > 1:
            panels[0].legend(fontsize="small")
        _ticks(*panels)
        return figure

    return draw


def stability(runs: list[RunFolder]) -> Callable[[], Any]:
    """The step over the largest stable one, and the leftmost eigenvalue, against images."""

    def draw() -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 3), dpi=100, layout="constrained")
        left, right = figure.subplots(1, 2)
        for i, run in enumerate(runs):
            rows = run.rows("stability")
            for axes, key in ((left, "ratio"), (right, "leftmost")):
                points = [(r["images"], r[key]) for r in rows if drawn(r.get(key))]
                if points:
                    axes.plot(*zip(*points, strict=True), c=f"C{i}", marker=".", ms=4, label=run.name)
        left.axhline(1.0, c="0.5", ls=":", lw=1)
        left.set(xlabel="images", ylabel="step / largest stable step")
        right.set(xlabel="images", ylabel="leftmost eigenvalue")
        _ticks(left, right)
        return figure

    return draw
