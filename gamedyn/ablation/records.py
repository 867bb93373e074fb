"""Results kept on disk by what they depend on: settings, sources, versions."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.functions import resolved
from gamedyn.ablation.setups import digest, hashed, identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gamedyn.ablation.grid import Cell

__all__ = ["Records", "key_of"]


def key_of(setup: Any, cell: Cell, measures: Mapping[str, Any], marks: Sequence[float], options: Any) -> str:
    """A digest of all that a cell was asked to do; what its sources say is checked against its record."""
    named = [identity(resolved(f)) for f in (setup, *measures.values())]
    plain = (bool, int, float, str, type(None))
    asked = sorted((k, v if isinstance(v, plain) else hashed(v)) for k, v in cell.values.items())
    parts = [named, list(measures), list(marks), asked, options]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:24]


class Records:
    """A folder of JSON files, one for each cell, each with a digest of its own content.

    A record counts if it is whole, and if every source file and version that it was made with is the same still.

    Args:
        folder: made if it is missing.

    Raises:
        ArgumentError: for a folder that cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stale: list[str] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError("folder", "one that can be made", f"{folder} ({error.strerror})") from error

    def read(self, key: str, *, changed: bool = False) -> list[dict[str, Any]] | None:
        """The rows that were kept; None where there are none, or none that count.

        Args:
            key: of the cell.
            changed: whether those count too whose sources or versions have changed since.
        """
        try:
            told = json.loads(self._path(key).read_text(encoding="utf-8"))
            body = told["record"]
            whole = told["digest"] == _digest(body)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            self.stale.append(f"{key}: damaged")
            return None
        why = "" if changed else _changed(body)
        if why:
            self.stale.append(f"{key}: {why}")
            return None
        rows: list[dict[str, Any]] = body["rows"]
        return rows

    def write(self, key: str, rows: list[dict[str, Any]], made_with: Mapping[str, Any]) -> None:
        """Keep rows: the file gets its name when it is whole."""
        body = json.loads(json.dumps({"rows": rows, **made_with}))  # as it will be read
        partial = self._path(key).with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps({"record": body, "digest": _digest(body)}, indent=1), encoding="utf-8")
        os.replace(partial, self._path(key))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _changed(body: Mapping[str, Any]) -> str:
    """What has changed since a record was made; "" for nothing."""
    for file, before in body["sources"].items():
        if digest(Path(file)) != before:
            return f"{file} has changed"
    for name, before in body["versions"].items():
        now = sys.version.split()[0] if name == "python" else _version(name)
        if now != before:
            return f"{name} {before} has become {now}"
    return ""


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
