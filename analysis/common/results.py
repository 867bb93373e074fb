"""Results of a study in one file: what its claims, figures and tables are made from, without running it again."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.common.parts import Result
from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd  # type: ignore[import-untyped]

__all__ = ["Results", "kept_settings"]

INDEX = "results.json"
ABOUT = ("study", "scale", "command", "began", "seconds", "code", "machine", "versions")
"""What is known of every run."""


@dataclass
class Results:
    """What the parts and the ablations of a study gave.

    Attributes:
        about: the study's name, its scale, and with what it was made.
        settings: all that the results depend on, as JSON keeps it.
        parts: by name.
        tables: of the ablations, by name.
    """

    about: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Result] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def save(self, path: Path) -> Path:
        """Write a zip file: `results.json`, and each array as PART/ARRAY.npy; the same results give the same bytes."""
        told = {
            "about": self.about,
            "settings": self.settings,
            "parts": {n: {"figures": r.figures, "arrays": [*r.arrays]} for n, r in self.parts.items()},
            "tables": {n: {"columns": [*t], "rows": t.to_numpy(object).tolist()} for n, t in self.tables.items()},
        }
        partial, whole = path.with_suffix(".partial"), io.BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            _put(archive, INDEX, json.dumps(told, default=_plain).encode())
            for name, part in self.parts.items():
                for key, array in part.arrays.items():
                    content = io.BytesIO()
                    np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
                    _put(archive, _place(name, key), content.getvalue())
        partial.write_bytes(whole.getvalue())
        return partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read such a file.

        Raises:
            ArgumentError: for one that is none, or is damaged.
        """
        import pandas as pd

        try:
            with zipfile.ZipFile(path) as archive:
                told = json.loads(archive.read(INDEX))
                parts = {
                    name: Result(part["figures"], {k: _array(archive, _place(name, k)) for k in part["arrays"]})
                    for name, part in told["parts"].items()
                }
            tables = {n: pd.DataFrame(t["rows"], columns=t["columns"]) for n, t in told["tables"].items()}
            return cls({k: told["about"][k] for k in ABOUT} | told["about"], dict(told["settings"]), parts, tables)
        except (OSError, zipfile.BadZipFile, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            found = f"{path} ({str(error) or type(error).__name__})"
            raise ArgumentError("results", "a whole results.zip of a study", found, "run the study again") from error


def kept_settings(settings: Any) -> dict[str, Any]:
    """Settings as JSON gives them back, to compare them with those of kept results."""
    told: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=str))
    return told


def _place(part: str, array: str) -> str:
    return f"{part}//{array}.npy"  # two, since names may have one


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as JSON has them; anything else by its words."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else str(value)


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name)  # of 1980, so that the time of writing is not in it
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    array: np.ndarray = np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
    return array
