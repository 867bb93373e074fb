"""`gamedyn ablate`: a file's grid run, its table written, its means printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd  # type: ignore[import-untyped]

from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.tables import aligned
from gamedyn.ablation.config import read_ablation
from gamedyn.ablation.report import write_report
from gamedyn.ablation.run import run
from gamedyn.ablation.summaries import means

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["ablate"]


def ablate(
    config: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    over: Iterable[str] = (),
    jobs: int = 1,
    cluster: str = "",
    progress: bool = True,
) -> tuple[pd.DataFrame, str]:
    """Run the grid of a TOML file in a folder; the table, and what it says as text.

    Beside `run`'s files the folder gets `means.csv` and `report.html`. What is there already is not computed again.

    Args:
        config: the file; see `read_ablation`.
        out: the folder.
        over: "section.key=value", set over the file.
        jobs: processes.
        cluster: address of a dask.distributed scheduler.
        progress: whether to show a bar.

    Raises:
        ArgumentError: as `read_ablation` and `run`.
    """
    asked = read_ablation(config, over)
    folder, by = Path(out), asked.summary["by"] or ["method"]
    table = run(
        asked.grid, asked.measures, folder=folder, jobs=jobs, cluster=cluster, progress=progress, **asked.options
    )
    own = {k: v for k, v in asked.summary.items() if k in ("failed", "log")}
    names = [column for name in asked.summary["measure"] for column in _columns(table, name)]
    found = {name: means(table, name, by, **own) for name in names}
    write_report(folder, table, names, by, own=asked.own, asked=asked.text, **own)
    rows = [part.assign(measure=name) for name, part in found.items()]
    pd.concat(rows)[["measure", *rows[0].columns[:-1]]].to_csv(folder / "means.csv", index=False)
    return table, "\n\n".join(_shown(name, part) for name, part in found.items())


def _columns(table: pd.DataFrame, name: str) -> list[str]:
    """The column of a measure, or those of one that gives several numbers."""
    found = [c for c in table.columns if c == name] or [c for c in table.columns if str(c).startswith(f"{name}.")]
    if not found:
        raise ArgumentError("[summary] measure", "a column of the table", name, f"it has {', '.join(table.columns)}")
    return found


def _shown(name: str, found: pd.DataFrame) -> str:
    rows = [[_text(v) for v in row] for row in found.itertuples(index=False)]
    return f"{name}: mean of n cells, 95 % interval\n{aligned([[str(c) for c in found.columns], *rows])}"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
