"""Figures of a table: curves, heat maps and effects, each with its intervals."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.ablation.summaries import means

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    from matplotlib.axes import Axes

__all__ = ["curves", "effect_bars", "heat_map"]

MARKERS = "osD^vP*X<>"
DASHES = ("-", "--", ":", "-.")


def curves(
    table: pd.DataFrame,
    measure: str,
    x: str,
    by: Sequence[str] = ("method",),
    *,
    log: bool = False,
    failed: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A measure over a factor, or over `at` (the share of the budget), a line for each combination of others.

    Lines are means over seeds and whatever else differs, bars 95 % intervals (t distribution); logarithmic axes where
    values span a factor of 30.

    Args:
        table: as `run` gives it.
        measure: its column.
        x: a factor with numbers, or "at".
        by: factors: the first is shown by colour, the others by marker and dashes.
        log: whether means are geometric.
        failed: value of cells without a measure.
        ax: where to draw; None: a figure of its own.
    """
    found = means(table, measure, [*by, x], log=log, failed=failed)
    ax = _axes(ax, (7.6, 4.2))
    first = list(dict.fromkeys(found[by[0]]))
    others = list(dict.fromkeys(map(tuple, found[list(by[1:])].to_numpy()))) or [()]
    keys = [tuple(key) for key in dict.fromkeys(map(tuple, found[list(by)].to_numpy()))]
    shown = dict(zip(keys, _words(keys, ", "), strict=True))
    for key, group in found.groupby(list(by), sort=False, dropna=False):
        group = group.sort_values(x)
        at, middle = group[x].to_numpy(dtype=float), group["mean"].to_numpy(dtype=float)
        ends = np.abs(np.stack([middle - group["low"], group["high"] - middle])).astype(float)
        label = shown[key]
        own = others.index(tuple(key[1:]))
        style: dict[str, Any] = {"color": f"C{first.index(key[0]) % 10}", "marker": MARKERS[own % len(MARKERS)]}
        style |= {"linestyle": DASHES[own % len(DASHES)], "capsize": 2, "linewidth": 1.2, "markersize": 4}
        ax.errorbar(at, middle, np.nan_to_num(ends), label=label, **style)
    _scaled(ax, "x", found[x])
    _scaled(ax, "y", found["mean"])
    ax.set(xlabel="share of the budget" if x == "at" else x, ylabel=measure)
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False}
    ax.legend(title=", ".join(by), fontsize="x-small", title_fontsize="x-small", **beside)
    return ax


def heat_map(
    table: pd.DataFrame,
    measure: str,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    log: bool = False,
    failed: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Means by two sets of factors, each cell with its number and interval; grey where nothing is known.

    Args:
        table: as `run` gives it.
        measure: its column.
        rows: factors down.
        columns: factors across.
        log: whether means are geometric, and colours logarithmic.
        failed: value of cells without a measure.
        ax: where to draw; None: a figure of its own.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    found = means(table, measure, [*rows, *columns], log=log, failed=failed)
    names = [list(dict.fromkeys(map(tuple, found[list(side)].to_numpy()))) for side in (rows, columns)]
    values = np.full((len(names[0]), len(names[1])), np.nan)
    told: dict[tuple[int, int], str] = {}
    for _, line in found.iterrows():
        place = names[0].index(tuple(line[list(rows)])), names[1].index(tuple(line[list(columns)]))
        values[place] = line["mean"]
        told[place] = _told(line)
    labels = [_words(side, "\n") for side in names]
    cell = 0.1 + 0.065 * _longest([*told.values(), *labels[1]])  # inches: no text meets its neighbour's
    ax = _axes(ax, (2.0 + 0.08 * _longest(labels[0]) + cell * len(names[1]), 1.2 + 0.45 * len(names[0])))
    known = values[np.isfinite(values)]
    logarithmic = log and len(known) and 0 < known.min() < known.max()
    colours = colormaps["viridis"].with_extremes(bad="0.85")
    image = ax.imshow(
        values, cmap=colours, norm=LogNorm(known.min(), known.max()) if logarithmic else None, aspect="auto"
    )
    for place, text in told.items():
        bright = math.isfinite(values[place]) and float(np.asarray(image.norm(values[place]))) > 0.5
        colour = "black" if bright or not math.isfinite(values[place]) else "white"
        ax.text(place[1], place[0], text, ha="center", va="center", fontsize=7, color=colour)
    for axis, side, words in (("y", rows, labels[0]), ("x", columns, labels[1])):
        getattr(ax, f"set_{axis}ticks")(range(len(words)), words, fontsize=8)
        getattr(ax, f"set_{axis}label")(", ".join(side))
    ax.figure.colorbar(image, ax=ax, label=measure)
    return ax


def _words(combinations: Sequence[tuple[Any, ...]], between: str) -> list[str]:
    """Levels in words, numbers with as few digits as tell them apart."""
    for digits in (4, 6, 9, 17):
        found = [between.join(_word(x, digits) for x in levels) for levels in combinations]
        if len(set(found)) == len(found):
            break
    return found


def _word(level: Any, digits: int = 4) -> str:
    return f"{level:.{digits}g}" if isinstance(level, float) else str(level)


def _longest(texts: Sequence[str]) -> int:
    """Characters of the longest line."""
    return max((len(line) for text in texts for line in text.splitlines()), default=0)


def effect_bars(effects: pd.DataFrame, *, term: str | None = None, log: bool = False, ax: Axes | None = None) -> Axes:
    """Effects with their intervals, the terms one below the other.

    Args:
        effects: as `effects` gives them.
        term: the one wanted; None: all.
        log: whether they are factors, drawn about 1.
        ax: where to draw; None: a figure of its own.

    Raises:
        ArgumentError: for a term that is not there.
    """
    from matplotlib import ticker as mticker

    chosen = effects if term is None else effects[effects["term"] == term]
    if chosen.empty:
        raise ArgumentError("term", f"one of {', '.join(effects['term'].unique())}", term)
    ax = _axes(ax, (6.4, 1.0 + 0.26 * len(chosen)))
    at = -np.arange(len(chosen))
    middle = chosen["effect"].to_numpy(dtype=float)
    ends = np.abs(np.stack([middle - chosen["low"], chosen["high"] - middle])).astype(float)
    colours = {t: f"C{i % 10}" for i, t in enumerate(chosen["term"].unique())}
    for i, line in enumerate(chosen.itertuples()):
        bar: dict[str, Any] = {"fmt": "o", "color": colours[line.term], "capsize": 2, "markersize": 4}
        ax.errorbar(middle[i], at[i], xerr=np.nan_to_num(ends[:, i : i + 1]), **bar)
    ax.axvline(1.0 if log else 0.0, color="0.5", linewidth=0.8)
    if log:
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        far = mticker.LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0), numticks=12)
        ax.xaxis.set_major_locator(far if high > 3 * low else mticker.MaxNLocator(6))
        ax.xaxis.set_major_formatter(mticker.FormatStrFormatter("%g"))
        ax.xaxis.set_minor_formatter(mticker.NullFormatter())
    words = [re.sub(r"\d*\.\d{5,}", lambda found: _word(float(found[0])), str(x)) for x in chosen["level"]]
    ax.set_yticks(at, [f"{term}: {word}" for term, word in zip(chosen["term"], words, strict=True)], fontsize=8)
    ax.set_xlabel("factor of the mean" if log else "difference from the mean")
    return ax


def _axes(ax: Axes | None, size: tuple[float, float] = (6.4, 4.2)) -> Axes:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained", dpi=150).subplots()


def _scaled(ax: Axes, axis: str, values: Any) -> None:
    known = values[np.isfinite(values.astype(float))]
    if len(known) and known.min() > 0 and known.max() / known.min() > 30:
        getattr(ax, f"set_{axis}scale")("log")


def _told(line: Any) -> str:
    if not math.isfinite(line["mean"]):
        return f"{line['failed']} failed"
    text = f"{line['mean']:.3g}"
    if math.isfinite(line["low"]):
        text += f"\n{line['low']:.3g} to {line['high']:.3g}"
    return text + (f"\n{line['failed']} failed" if line["failed"] else "")
