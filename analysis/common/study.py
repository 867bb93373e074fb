"""A study: one question, frozen settings, parts that survive an interruption, a report."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from tqdm.auto import tqdm

from gamedyn._lib.errors import ArgumentError, GamedynError
from gamedyn.ablation.records import Records
from gamedyn.ablation.setups import sources, versions

__all__ = ["Part", "Result", "Study", "run_study"]

ROOTS = (Path(__file__).resolve().parents[1],)
"""Folders whose sources a part's result depends on, besides gamedyn's."""


@dataclass
class Result:
    """What a part gives: figures that go to JSON, and arrays that go to an npz file."""

    figures: dict[str, Any]
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class Part:
    """A piece of a study that is run once and kept: `run(settings) -> Result`, a module-level function's call."""

    name: str
    run: Callable[..., Result]
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """One question.

    Attributes:
        name: of the study.
        question: in a sentence.
        settings: a frozen dataclass: everything the results depend on.
        smoke: the same, small, for tests.
        parts: of given settings.
        report: writes the figures and report.html into a folder, from the parts' results; gives its path.
    """

    name: str
    question: str
    settings: Any
    smoke: Any
    parts: Callable[[Any], list[Part]]
    report: Callable[[Any, dict[str, Result], Path], Path]


def run_study(study: Study, out: Path, *, smoke: bool = False, jobs: int = 2, progress: bool = True) -> Path:
    """Run what is not finished yet, then write the report.

    Args:
        study: the study.
        out: folder for everything; parts finished with the same settings, sources and versions are reused.
        smoke: whether to use the small settings.
        jobs: processes.
        progress: whether to show a bar over the parts (never unless standard error is a terminal).

    Returns:
        Path of report.html.

    Raises:
        ArgumentError: if the folder cannot be written.
        GamedynError: if a record is damaged meanwhile.
    """
    settings = study.smoke if smoke else study.settings
    stamp = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True, default=str).encode()).hexdigest()[:12]
    writable(out / "records")
    records, parts = Records(out / "records"), study.parts(settings)
    keys = {part.name: f"{part.name}-{stamp}" for part in parts}
    todo = [p for p in parts if _read(records, keys[p.name]) is None]
    bar = tqdm(total=len(parts), initial=len(parts) - len(todo), unit="part", disable=None if progress else True)
    with bar:
        again = f", {len(records.stale)} to be made again" if records.stale else ""
        bar.set_description(f"{study.name}: {len(parts) - len(todo)} of {len(parts)} parts kept from before{again}")
        pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        for name, seconds in pool(joblib.delayed(_run_part)(p, settings, records, keys[p.name]) for p in todo):
            bar.update()
            bar.set_description(f"{study.name}: {name} took {seconds:.0f} s")
    results = {name: _read(records, key, changed=True) for name, key in keys.items()}  # since it began, that is
    if damaged := [name for name, result in results.items() if result is None]:
        raise GamedynError(f"the record of {damaged[0]} was damaged while {study.name} ran: run it again")
    return study.report(settings, {k: r for k, r in results.items() if r is not None}, out)


def writable(folder: Path) -> None:
    """Make a folder, and check that a file can be written into it.

    Raises:
        ArgumentError: if not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = "give another one with --out"
        raise ArgumentError("out", "a folder that can be written", f"{folder} ({error.strerror})", remedy) from error


def _run_part(part: Part, settings: Any, records: Records, key: str) -> tuple[str, float]:
    import torch

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
