"""The report of an ablation: one page that opens in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.page import figure, page, table, text
from gamedyn.ablation.plots import curves, effect_bars, heat_map
from gamedyn.ablation.provenance import provenance_table
from gamedyn.ablation.summaries import effects, means, varying

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd  # type: ignore[import-untyped]

__all__ = ["write_report"]


def write_report(
    folder: Path,
    found: pd.DataFrame,
    measure: str | Sequence[str],
    by: list[str],
    *,
    log: bool = False,
    failed: float | None = None,
    own: int | None = None,
    asked: str = "",
) -> Path:
    """Write `report.html` into the folder of a run: what was asked, means, heat map, effects, failures, provenance.

    Args:
        folder: of the run.
        found: its table.
        measure: a column, or several, one after the other.
        by: factors.
        log: whether means are geometric and effects factors, of all measures shown.
        failed: the value of cells without one, of all measures shown; None: they are left out, and counted.
        own: how many cells, the table's first, are the grid of which effects are shown; None: all.
        asked: the file that asked for it.

    Returns:
        Path of the report.
    """
    names = [measure] if isinstance(measure, str) else list(measure)
    title = names[0] if len(names) == 1 else f"{len(names)} measures"
    parts = [f"<h1>{text(title)}</h1>"] if len(names) > 1 else []
    ended = (found["at"] == 1).cumsum().shift(fill_value=0)  # cells before a row's: each has one row at its end
    main = found if own is None else found[ended < positive_int("own", own)]
    for name in names:
        parts += [f"<h1>{text(name)}</h1>", *_measure(found, main, name, by, {"log": log, "failed": failed})]
    parts += [*_failures(found), "<h2>What was asked</h2>", _factors(found)]
    parts += [f"<pre>{text(asked)}</pre>"] if asked else []
    parts += _provenance(folder, found)
    path = folder / "report.html"
    path.write_text(page(f"{title}: ablation", parts), encoding="utf-8")
    return path


def _factors(found: pd.DataFrame) -> str:
    """Every factor with its levels, budgets too, and where runs are measured."""
    names = [*found.columns[: list(found.columns).index("at")], "at"]
    levels = {name: [_plain(v) for v in found[name].dropna().unique()] for name in names}
    return table(["factor", "levels"], [["measured at" if k == "at" else k, ", ".join(v)] for k, v in levels.items()])


def _measure(found: pd.DataFrame, main: pd.DataFrame, measure: str, by: list[str], how: dict[str, Any]) -> list[str]:
    """Where a measure ends, the way there, what factors of the main grid do to it, its means."""
    log = how["log"]
    kind = "Geometric mean" if log else "Mean"
    summary = means(found, measure, by, **how)
    parts = [f"<p>{text(_said(found, summary, by))}</p>"]
    down, across = (by[:1], by[1:]) if len(by) > 1 else (by, ["at"])
    ends = found[found["at"] == 1]
    over = _pooled(found, by)
    told = (
        f"{kind} of {measure} over {over}, with its 95 % interval: look along rows and columns for what a factor does."
    )
    parts += figure(lambda: heat_map(ends, measure, down, across, **how).figure, told, "Where it ends")
    if found["at"].nunique() > 1:
        told = f"{kind} of {measure} at shares of the budget, bars are 95 % intervals over {over}."
        parts += figure(lambda: curves(found, measure, "at", by, **how).figure, told, "On the way")
    known = main[main["at"] == 1].dropna(subset=[measure])
    several = [f for f in by if known[f].nunique() > 1]
    if several and "seed" in main.columns and main["seed"].nunique() > 1:
        parts += _effects(main, measure, several, how, aside=len(main) < len(found))
    rows = [[_plain(v) for v in row] for row in summary.itertuples(index=False)]
    return [*parts, "<h2>Means</h2>", table([str(c) for c in summary.columns], rows)]


def _effects(found: pd.DataFrame, measure: str, factors: list[str], how: dict[str, Any], *, aside: bool) -> list[str]:
    """What levels, and two together, add; levels alone, or why not, where the cells do not tell them from others."""
    known, told = None, ""
    for order in range(min(2, len(factors)), 0, -1):
        try:
            known = effects(found, measure, factors, order=order, **how)
            break
        except ArgumentError as error:
            told = f"Effects are not shown: {error.got}, so that they cannot be separated."
    if known is None:
        return ["<h2>Effects</h2>", f"<p>{text(told)}</p>"]
    told = f"What a level{', or two together, add' if order == 2 else ' adds'} to the mean of all"
    told += " (as a factor)" if how["log"] else ""
    told += ": intervals that hold the grey line are no effect that these seeds show."
    told += " The grids beside are left out." if aside else ""
    shares = known.drop_duplicates("term")
    rows = [[t, f"{s:.3f}"] for t, s in zip(shares["term"], shares["share"], strict=True)]
    rows.append(["the rest: seeds, and what was not told apart", f"{1 - shares['share'].sum():.3f}"])
    return [
        *figure(lambda: effect_bars(known, log=how["log"]).figure, told, "Effects"),
        "<p>Share of the spread that each term explains:</p>",
        table(["term", "share"], rows),
    ]


def _pooled(found: pd.DataFrame, by: list[str]) -> str:
    """What cells differ in besides: seeds, and factors that the summary does not part."""
    others = ["seeds" if f == "seed" else f for f in varying(found) if f not in by]
    return " and ".join(others) or "one cell each"


def _said(found: pd.DataFrame, summary: pd.DataFrame, by: list[str]) -> str:
    cells = int((found["at"] == 1).sum())
    said = f"{cells} cells, {int(summary['failed'].sum())} of them without a result."
    known = summary.dropna(subset=["mean"])
    if not len(known):
        return said
    low, high = known.loc[known["mean"].idxmin()], known.loc[known["mean"].idxmax()]
    told = [
        f"{word} {_plain(r['mean'])} at {', '.join(f'{k} {r[k]}' for k in by)}"
        for word, r in (("Smallest", low), ("largest", high))
    ]
    return f"{said} {'; '.join(told)}."


def _failures(found: pd.DataFrame) -> list[str]:
    """What failed, and the first traceback."""
    bad = found[found["status"] != "done"]
    if not len(bad):
        return []
    counts = bad["status"].value_counts()
    parts = ["<h2>What failed</h2>", table(["status", "rows"], [[str(k), str(v)] for k, v in counts.items()])]
    errors = [*bad["error"].dropna()] if "error" in bad.columns else []
    return [*parts, f"<pre>{text(errors[0])}</pre>"] if errors else parts


def _provenance(folder: Path, found: pd.DataFrame) -> list[str]:
    about = json.loads((folder / "ablation.json").read_text(encoding="utf-8"))
    ends, computed = found[found["at"] == 1], about["computed_cells"]
    cost = {"cells": f"{len(ends)}: {computed} computed by this run, {len(ends) - computed} kept from before"}
    if "spent.seconds" in ends:
        cost["seconds of all cells"] = f"{ends['spent.seconds'].sum():.1f}"
    return ["<h2>How it was made</h2>", provenance_table(about, cost)]


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
