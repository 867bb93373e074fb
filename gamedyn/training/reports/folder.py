"""A run's folder, read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError
from gamedyn.training.config import Config, read_config
from gamedyn.training.observers import read_records

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RunFolder", "score_names"]


class RunFolder:
    """What a run left in its folder.

    Args:
        folder: that `gamedyn train` wrote.

    Raises:
        ArgumentError: for one without a run.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.toml").is_file():
            raise ArgumentError("run", "a folder that gamedyn train wrote", f"{folder}")
        self.folder, self.name = folder, folder.resolve().name
        self.text = (folder / "config.toml").read_text(encoding="utf-8")
        self.config: Config = read_config(folder / "config.toml")
        summary = folder / "summary.json"
        self.summary: dict[str, Any] = _json(summary) if summary.is_file() else {}
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def rows(self, kind: str = "") -> list[dict[str, Any]]:
        """Recorded rows of a kind."""
        if kind not in self._rows:
            path = self.folder / "records.jsonl"
            self._rows[kind] = read_records(path, kind) if path.is_file() else []
        return self._rows[kind]

    def scores(self) -> list[dict[str, Any]]:
        """Rows of scores, with the seconds of the step recorded last before each."""
        found = [r for r in self.rows("score") if "lost" not in r]
        plain, at = self.rows(), 0
        for row in found:
            while at + 1 < len(plain) and plain[at + 1]["step"] <= row["step"]:
                at += 1
            row["clock"] = plain[at]["seconds"] if plain else math.nan
        return found

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.summary.get("step", 0))

    def last(self) -> Path | None:
        """The last picture."""
        found = sorted((self.folder / "samples").glob("step-*.png"))
        return found[-1] if found else None

    def line(self) -> str:
        """What it is, in a line."""
        c, data = self.config, self.summary.get("data", {})
        return f"{c.solve.method} on {c.models.name}, {c.game.loss} loss; {data.get('about') or c.data.name}"

    def facts(self) -> list[tuple[str, str]]:
        """What it cost, and what it was made of."""
        stats = self.summary.get("stats", {})
        seconds = float(stats.get("seconds", math.nan))
        images = float(stats.get("images", 0))
        sizes = self.summary.get("parameters", {})
        return [
            ("status", str(self.summary.get("status", "unknown"))),
            ("steps", f"{self.step:,}"),
            ("images", f"{images:,.0f}"),
            ("field evaluations", f"{float(stats.get('evaluations', 0)):,.0f}"),
            ("integrated time", f"{float(stats.get('integrated_time', math.nan)):,.4g}"),
            ("seconds", f"{seconds:,.1f}"),
            ("images a second", f"{images / seconds:,.0f}" if seconds else ""),
            ("parameters", ", ".join(f"{k} {n:,}" for k, n in sizes.items())),
            ("machine", ", ".join(f"{k} {v}" for k, v in self.summary.get("machine", {}).items())),
            ("versions", ", ".join(f"{k} {v}" for k, v in self.summary.get("versions", {}).items())),
        ]


def score_names(runs: Iterable[RunFolder]) -> list[str]:
    """Numbers of the runs' scores, those of states and averages together, in the order in which they come."""
    skipped = ("step", "images", "evaluations", "kind", "n", "features", "accuracy", "seconds", "clock")
    names: dict[str, None] = {}
    for run in runs:
        for row in run.scores():
            for k, v in row.items():
                plain = k.removeprefix("ema.")
                if k not in skipped and not k.startswith("floor.") and isinstance(v, (int, float)):
                    names[plain] = None
    return [n for n in names if not n.endswith(("_std", "_floor"))]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArgumentError("run", "a summary that gamedyn train wrote", f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise ArgumentError("run", "a summary that gamedyn train wrote", f"{path}")
    return found
