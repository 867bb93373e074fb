"""A run's folder, read."""

from __future__ import annotations

import json
import math
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.version import __version__
from gamedyn.training.config import Config, read_config
from gamedyn.training.observers import read_records
from gamedyn.training.observers.recorder import record_kinds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamedyn.integrators import Run

__all__ = ["SUMMARY", "RunFolder", "score_names", "write_summary"]

SUMMARY = "summary.json"
HOW = ("method", "h", "start", "sampling", "history", "execution")
"""What `run.stats` says of how a run was made, for one without a configuration."""


def write_summary(folder: Path, run: Run, **more: Any) -> None:
    """Write `summary.json`: what a run came to, what it cost, the players' sizes, versions, the machine, and more."""
    stats = {k: v for k, v in run.stats.items() if isinstance(v, (int, float, str, bool))}
    layout = run.state.layout
    solved: dict[str, Any] = {k: run.facts[k] for k in ("flow", "code") if k in run.facts}
    solved |= {f"{k}.{name}": x for k in ("rates", "weights") for name, x in run.facts.get(k, {}).items()}
    sizes = {player: s.stop - s.start for player, s in zip(layout.players, layout.slices, strict=True)}
    summary = {
        "status": run.status,
        "step": run.step,
        "t": run.t,
        "stats": stats,
        "solved": solved,
        "parameters": sizes,
        "versions": {"gamedyn": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "machine": {
            "device": str(run.state.y.device),
            "threads": torch.get_num_threads(),
            "system": platform.machine(),
        },
        **more,
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1), encoding="utf-8")


class RunFolder:
    """What a run left in its folder.

    Args:
        folder: that `gamedyn train` wrote, or `write_report` with a run.

    Raises:
        ArgumentError: for one without a run.
    """

    def __init__(self, folder: Path) -> None:
        config, summary = folder / "config.toml", folder / SUMMARY
        if not (config.is_file() or summary.is_file()):
            remedy = "of a solve of your own: write_report(folder, run)"
            raise ArgumentError("run", "a folder that gamedyn train wrote", f"{folder}", remedy)
        self.folder, self.name = folder, folder.resolve().name
        self.text = config.read_text(encoding="utf-8") if config.is_file() else ""
        self.config: Config | None = read_config(config) if config.is_file() else None
        self.summary: dict[str, Any] = _json(summary) if summary.is_file() else {}
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def rows(self, kind: str = "") -> list[dict[str, Any]]:
        """Recorded rows of a kind."""
        if kind not in self._rows:
            path = self.folder / "records.jsonl"
            self._rows[kind] = read_records(path, kind) if path.is_file() else []
        return self._rows[kind]

    def kinds(self) -> list[str]:
        """Kinds of rows besides those of scores and stability, and of steps themselves."""
        path = self.folder / "records.jsonl"
        found = record_kinds(path) if path.is_file() else []
        return [k for k in found if k not in ("", "score", "stability")]

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

    @property
    def method(self) -> str:
        """The method's name."""
        return self.config.solve.method if self.config else str(self.summary["stats"]["method"])

    @property
    def data(self) -> str:
        """The data's name; "" where none is known."""
        return self.config.data.name if self.config else str(self.summary.get("data", {}).get("name", ""))

    def settings(self) -> dict[str, Any]:
        """By "section.key", the configuration; of a run without one, what its own figures say of how it was made."""
        if self.config:
            return {f"{s}.{k}": v for s, table in self.config.tables().items() for k, v in table.items()}
        stats = self.summary["stats"]
        return {**{f"solve.{k}": stats[k] for k in HOW if k in stats}, **self.summary.get("solved", {})}

    def line(self) -> str:
        """What it is, in a line."""
        about, c = self.summary.get("data", {}).get("about", ""), self.config
        if c:
            return f"{c.solve.method} on {c.models.name}, {c.game.loss} loss; {about or c.data.name}"
        players = " and ".join(self.summary["parameters"])
        return f"{self.method} on {players}" + (f"; {about}" if about else "")

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
