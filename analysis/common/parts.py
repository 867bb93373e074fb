"""Parts of a study that are run once and kept, by settings, sources and versions."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from tqdm.auto import tqdm

from gamedyn._lib.errors import GamedynError
from gamedyn.ablation.pool import end_with_parent, leaner_workers
from gamedyn.ablation.records import Records
from gamedyn.ablation.setups import sources, versions

__all__ = ["ROOTS", "Part", "Result", "run_parts"]

ROOTS = (Path(__file__).resolve().parents[1],)
"""Folders whose sources a part's result depends on, besides gamedyn's."""


@dataclass
class Result:
    """What a part gives: figures that go to JSON, and arrays that go to an npz file."""

    figures: dict[str, Any]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A piece of a study that is run once and kept: `run(settings) -> Result`, a module-level function's call."""

    name: str
    run: Callable[..., Result]
    arguments: Mapping[str, Any]


def run_parts(
    parts: Sequence[Part], settings: Any, folder: Path, *, jobs: int, progress: bool, title: str
) -> dict[str, Result]:
    """The results by name; parts finished with the same settings, sources and versions are read back.

    Args:
        parts: what is wanted.
        settings: a frozen dataclass, all that the results depend on.
        folder: of the records.
        jobs: processes.
        progress: whether to show a bar (never unless standard error is a terminal).
        title: of the bar.

    Raises:
        GamedynError: if a record is damaged meanwhile.
    """
    stamp = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True, default=str).encode()).hexdigest()[:12]
    records, keys = Records(folder), {part.name: f"{part.name}-{stamp}" for part in parts}
    todo = [p for p in parts if _read(records, keys[p.name]) is None]
    bar = tqdm(total=len(parts), initial=len(parts) - len(todo), unit="part", disable=None if progress else True)
    with bar, leaner_workers():
        again = f", {len(records.stale)} to be made again" if records.stale else ""
        bar.set_description(f"{title}: {len(parts) - len(todo)} of {len(parts)} parts kept from before{again}")
        pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        for name, seconds in pool(joblib.delayed(_run_part)(p, settings, records, keys[p.name]) for p in todo):
            bar.update()
            bar.set_description(f"{title}: {name} took {seconds:.0f} s")
    results = {name: _read(records, key, changed=True) for name, key in keys.items()}  # since it began, that is
    if damaged := [name for name, result in results.items() if result is None]:
        raise GamedynError(f"the record of {damaged[0]} was damaged while {title} ran: run it again")
    return {k: r for k, r in results.items() if r is not None}


def _run_part(part: Part, settings: Any, records: Records, key: str) -> tuple[str, float]:
    import torch

    end_with_parent()
    sources(ROOTS)  # as they are imported, before anybody changes them
    torch.set_num_threads(1)
    began = time.perf_counter()
    result = part.run(settings, **part.arguments)
    seconds = time.perf_counter() - began
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **result.arrays)  # type: ignore[arg-type]
    partial = records.folder / f"{key}.partial"  # the record comes last: its being there means finished
    partial.write_bytes(arrays.getvalue())
    os.replace(partial, records.folder / f"{key}.npz")
    figures = {**result.figures, "seconds": seconds}
    row = {"figures": figures, "arrays": hashlib.sha256(arrays.getvalue()).hexdigest()}
    records.write(key, [row], {"sources": sources(ROOTS), "versions": versions()})
    return part.name, seconds


def _read(records: Records, key: str, *, changed: bool = False) -> Result | None:
    """What was kept of a part, if it is whole and (unless that is allowed) nothing it was made with has changed."""
    rows, path = records.read(key, changed=changed), records.folder / f"{key}.npz"
    if rows is None:
        return None
    content = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(content).hexdigest() != rows[0]["arrays"]:
        records.stale.append(f"{key}: damaged")
        return None
    with np.load(io.BytesIO(content)) as arrays:
        return Result(rows[0]["figures"], dict(arrays))
