"""`run`: a grid's cells, what is kept of them reused, the rest computed; a tidy table."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from gamedyn._lib.checks import choice, positive_int
from gamedyn._lib.errors import ArgumentError, warn_caller
from gamedyn._lib.functions import resolved
from gamedyn.ablation.cells import grouped, run_cells
from gamedyn.ablation.grid import BUDGETS
from gamedyn.ablation.pool import pooled
from gamedyn.ablation.provenance import provenance
from gamedyn.ablation.records import Records, key_of
from gamedyn.ablation.setups import root_of, sources, versions
from gamedyn.integrators.execution import EXECUTIONS

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from gamedyn.ablation.grid import Cell, Grid

__all__ = ["run"]

FIRST = ("at", "status")
LAST = (*(f"spent.{u}" for u in (*BUDGETS, "seconds")), "together", "alone", "error")
"""Columns before and after the measures."""


def run(
    grid: Grid,
    measures: Mapping[str, Callable[..., Any] | str],
    *,
    folder: str | os.PathLike[str],
    marks: Sequence[float] = (1.0,),
    jobs: int = 1,
    cluster: str = "",
    members: int = 64,
    ensembles: bool = True,
    check_every: int = 50,
    execution: str = "eager",
    progress: bool = True,
) -> pd.DataFrame:
    """Run a grid's cells and measure them: one row for each cell and mark.

    Cells that differ in step, rates, weights or seed alone run as one ensemble, where their flow is one; the others,
    and the ensembles, in processes. What is on disk already is not computed again, unless a file that it depends on
    has changed (of gamedyn, of the package or folder that set-up and measures are in), or a library's version.

    Columns: the factors; `at`, the share of the budget; `status`, "done", or why there is no measure ("non_finite",
    "error", "killed"); the measures; `spent.steps`, `.evaluations`, `.images`, `.time` and `.seconds` (of an ensemble
    each member's share); `together`, members of the ensemble; `alone`, why cells that might have run together did not;
    `error`, a traceback.

    Args:
        grid: what to run.
        measures: by name, functions of an `Outcome` that give a number, or several by name; or text, as set-ups are.
        folder: of the records, `table.csv`, `table.parquet` and `ablation.json`, which says with what it was made.
        marks: shares of the budget at which cells are measured, ascending, the last of them 1.
        jobs: processes.
        cluster: address of a dask.distributed scheduler, in the place of processes here.
        members: of an ensemble, at most.
        ensembles: whether cells may run together at all.
        check_every: steps between looks whether a state is finite.
        execution: of steps, as in `gamedyn.solve`.
        progress: whether to show a bar (never unless standard error is a terminal).

    Returns:
        The table, in the grid's order; of cells that failed the rows say why.

    Raises:
        ArgumentError: for marks that are not ascending shares, measures that are no functions or are called as another
            column, a folder that cannot be written.

    Example:
        >>> import tempfile
        >>> from gamedyn import ablation, flows, games
        >>> def setup():
        ...     return flows.gradient(games.bilinear())
        >>> def distance(outcome):
        ...     return outcome.state.y.norm()
        >>> grid = ablation.Grid(setup, {"method": ["euler", "alternating"]}, h=0.1, steps=100)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = ablation.run(grid, {"distance": distance}, folder=folder, progress=False)
        >>> table[["method", "distance"]].round(2).values.tolist()
        [['euler', 2.33], ['alternating', 1.39]]
    """
    import pandas as pd

    began, folder = time.time(), Path(folder)
    shares = _shares(marks)
    if not isinstance(measures, Mapping) or not measures:
        raise ArgumentError("measures", 'functions by name, such as {"distance": distance}', measures)
    if taken := [n for n in measures if n in (*grid.factors, *FIRST, *LAST)]:
        raise ArgumentError("measures", "names that no other column of the table has", taken[0], "another name")
    functions = [resolved(f) for f in (grid.setup, *measures.values())]
    records = Records(folder / "records")
    options = {
        "check_every": positive_int("check_every", check_every),
        "execution": choice("execution", execution, tuple(EXECUTIONS)),
        "ensembles": ensembles,
    }
    keys = [key_of(grid.setup, c, measures, shares, options) for c in grid]
    kept = {i: rows for i, key in enumerate(keys) if (rows := records.read(key)) is not None}
    todo = [i for i in range(len(grid)) if i not in kept]
    cells: list[Cell] = grid.cells
    size = min(positive_int("members", members), max(1, math.ceil(len(todo) / positive_int("jobs", jobs))))
    groups = [[todo[k] for k in g] for g in grouped([cells[i] for i in todo], size)]
    roots = tuple({r for f in functions if (r := root_of(f)) is not None})
    sources(roots)  # as they are imported, before anybody changes them
    asked = {
        n: (grid.setup, [cells[i] for i in g], dict(measures), shares, options, roots, jobs)
        for n, g in enumerate(groups)
    }
    with tqdm(total=len(cells), initial=len(kept), unit="cell", disable=None if progress else True) as bar:
        bar.set_description(f"{len(kept)} of {len(cells)} kept")
        for n, found in pooled(_worked, asked, records.folder, jobs=jobs, cluster=cluster):
            for k, i in enumerate(groups[n]):
                kept[i] = [{"at": 1.0, "status": "killed", "error": found}] if isinstance(found, str) else found[0][k]
                if all(r["status"] not in ("error", "killed") for r in kept[i]):
                    records.write(keys[i], kept[i], found[1])
            bar.update(len(groups[n]))
    table = _table(pd, grid, kept)
    _written(folder, table, began, roots, records.stale, len(todo))
    _told(table)
    return table


def _worked(
    setup: Any, cells: Any, measures: Any, marks: Any, options: Any, roots: tuple[Path, ...], jobs: int
) -> tuple[list[list[dict[str, Any]]], dict[str, Any]]:
    """In a worker: the rows of a group's cells, and with what they were made."""
    import torch

    for function in (setup, *measures.values()):
        resolved(function)
    sources(roots)
    if jobs > 1:
        torch.set_num_threads(1)
    rows = run_cells(setup, cells, measures, marks, options)
    return rows, {"sources": sources(roots), "versions": versions()}


def _shares(marks: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(float(m) for m in marks)
    if not shares or shares[-1] != 1 or shares[0] <= 0 or list(shares) != sorted(set(shares)):
        raise ArgumentError("marks", "ascending shares of the budget, the last of them 1", marks)
    return shares


def _table(pd: Any, grid: Grid, kept: Mapping[int, list[dict[str, Any]]]) -> pd.DataFrame:
    rows = [{**cell.shown, **row} for i, cell in enumerate(grid) for row in kept[i]]
    factors = [*grid.factors]
    named = list(dict.fromkeys(k for r in rows for k in r))
    measured = [k for k in named if k not in (*factors, *FIRST, *LAST)]
    return pd.DataFrame(rows, columns=[*factors, *FIRST, *measured, *(k for k in LAST if k in named)])


def _written(
    folder: Path, table: pd.DataFrame, began: float, roots: tuple[Path, ...], stale: Sequence[str], computed: int
) -> None:
    """The table, and with what it was made."""
    table.to_csv(folder / "table.csv", index=False)
    mixed = {
        c: str for c in table if table[c].map(type).where(table[c].notna()).nunique() > 1
    }  # Parquet takes one type
    try:
        table.astype(mixed).to_parquet(folder / "table.parquet", index=False)
    except ImportError:
        warn_caller("no table.parquet: it takes pyarrow, pip install 'gamedyn[ablation]'", UserWarning)
    cells = {"rows": len(table), "computed_cells": computed, "computed_again": list(stale)}
    about = {**provenance(began, roots), **cells}
    (folder / "ablation.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def _told(table: pd.DataFrame) -> None:
    """Say how many cells failed, and the first one's traceback."""
    failed = table[table["status"].isin(["error", "killed"])]
    if len(failed):
        told = f"{len(failed)} of {len(table)} rows have no result (column error); the first:"
        warn_caller(f"{told}\n{str(failed.iloc[0]['error']).strip()}", UserWarning)
