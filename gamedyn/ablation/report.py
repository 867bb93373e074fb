"""The report of an ablation: one page that opens in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
) -> Path:
    """Write `report.html` into the folder of a run: means, heat map, the way there, effects, failures, provenance.

    Args:
        folder: of the run.
        found: its table.
        measure: a column, or several, one after the other.
        by: factors.
        log: whether means are geometric and effects factors, of all measures shown.
        failed: the value of cells without one, of all measures shown; None: they are left out, and counted.

    Returns:
        Path of the report.
    """
    names = [measure] if isinstance(measure, str) else list(measure)
    title = names[0] if len(names) == 1 else f"{len(names)} measures"
    parts = [f"<h1>{text(title)}</h1>"] if len(names) > 1 else []
    for name in names:
        parts += [f"<h1>{text(name)}</h1>", *_measure(found, name, by, {"log": log, "failed": failed})]
    parts += [*_failures(found), *_provenance(folder)]
    path = folder / "report.html"
    path.write_text(page(f"{title}: ablation", parts), encoding="utf-8")
    return path


def _measure(found: pd.DataFrame, measure: str, by: list[str], how: dict[str, Any]) -> list[str]:
    """Where a measure ends, the way there, what factors do to it, its means."""
    log = how["log"]
    kind = "geometric mean" if log else "mean"
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
    several = [f for f in by if ends.dropna(subset=[measure])[f].nunique() > 1]
    if several and "seed" in found.columns and found["seed"].nunique() > 1:
        parts += _effects(found, measure, several, how)
    rows = [[_plain(v) for v in row] for row in summary.itertuples(index=False)]
    return [*parts, "<h2>Means</h2>", table([str(c) for c in summary.columns], rows)]


def _effects(found: pd.DataFrame, measure: str, factors: list[str], how: dict[str, Any]) -> list[str]:
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
    shares = known.drop_duplicates("term")
    rows = [[t, f"{s:.3f}"] for t, s in zip(shares["term"], shares["share"], strict=True)]
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


def _provenance(folder: Path) -> list[str]:
    about = json.loads((folder / "ablation.json").read_text(encoding="utf-8"))
    computed = {"cells computed": str(about["computed_cells"])}
    return ["<h2>How it was made</h2>", provenance_table(about, computed)]


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
