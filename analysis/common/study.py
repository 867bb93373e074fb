"""A study: one question, frozen settings, parts that survive an interruption, a report."""

from __future__ import annotations

import hashlib
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

from gamedyn._lib.errors import ArgumentError

__all__ = ["Part", "Result", "Study", "run_study"]


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
        out: folder for everything; parts finished with the same settings are reused.
        smoke: whether to use the small settings.
        jobs: processes.
        progress: whether to show a bar over the parts (never unless standard error is a terminal).

    Returns:
        Path of report.html.

    Raises:
        ArgumentError: if the folder cannot be written.
    """
    settings = study.smoke if smoke else study.settings
    stamp = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True, default=str).encode()).hexdigest()[:12]
    records = out / "records"
    writable(records)
    parts = study.parts(settings)
    files = {part.name: records / f"{part.name}-{stamp}" for part in parts}
    todo = [p for p in parts if not _finished(files[p.name])]
    bar = tqdm(total=len(parts), initial=len(parts) - len(todo), unit="part", disable=None if progress else True)
    with bar:
        bar.set_description(f"{study.name}: {len(parts) - len(todo)} of {len(parts)} parts kept from before")
        pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        for name, seconds in pool(joblib.delayed(_run_part)(p, settings, files[p.name]) for p in todo):
            bar.update()
            bar.set_description(f"{study.name}: {name} took {seconds:.0f} s")
    results = {name: _read(stem) for name, stem in files.items()}
    return study.report(settings, results, out)


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


def _run_part(part: Part, settings: Any, stem: Path) -> tuple[str, float]:
    import torch

    torch.set_num_threads(1)
    began = time.perf_counter()
    result = part.run(settings, **part.arguments)
    seconds = time.perf_counter() - began
    # A record gets its name when it is whole; the figures come last: their being there means finished.
    text = json.dumps({**result.figures, "seconds": seconds}, indent=1)
    partial = stem.with_name(stem.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **result.arrays)  # type: ignore[arg-type]
    os.replace(partial, stem.with_name(stem.name + ".npz"))
    partial.write_text(text)
    os.replace(partial, stem.with_name(stem.name + ".json"))
    return part.name, seconds


def _finished(stem: Path) -> bool:
    return stem.with_name(stem.name + ".json").exists()


def _read(stem: Path) -> Result:
    figures = json.loads(stem.with_name(stem.name + ".json").read_text())
    with np.load(stem.with_name(stem.name + ".npz")) as arrays:
        return Result(figures, dict(arrays))
