"""`gamedyn ablate`: a file's grid run, its table written, its means printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn._lib.tables import aligned
from gamedyn.ablation.config import read_ablation
from gamedyn.ablation.report import write_report
from gamedyn.ablation.run import run
from gamedyn.ablation.summaries import means

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import pandas as pd  # type: ignore[import-untyped]

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
    folder = Path(out)
    name, by = asked.summary["measure"], asked.summary["by"]
    if str(name).partition(".")[0] not in asked.measures:  # now, not after all cells
        raise UnknownNameError("[summary] measure", str(name), asked.measures)
    table = run(
        asked.grid, asked.measures, folder=folder, jobs=jobs, cluster=cluster, progress=progress, **asked.options
    )
    if name not in table.columns:
        near = [c for c in table.columns if str(c).startswith(f"{name}.")]
        if not near:
            raise ArgumentError(
                "[summary] measure", "a column of the table", name, f"it has {', '.join(table.columns)}"
            )
        name = near[0]
    own, by = {k: v for k, v in asked.summary.items() if k in ("failed", "log")}, by or ["method"]
    found = means(table, name, by, **own)
    write_report(folder, table, name, by, **own)
    found.to_csv(folder / "means.csv", index=False)
    rows = [[_text(v) for v in row] for row in found.itertuples(index=False)]
    intervals = f"{name}: mean of n cells, 95 % interval"
    return table, f"{intervals}\n{aligned([[str(c) for c in found.columns], *rows])}"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
