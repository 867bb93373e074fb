"""TOML files whose errors name file, line and key; values set over them on the command line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Source", "parsed", "set_over", "unknown"]


@dataclass(frozen=True)
class Source:
    """The text of a configuration, and what was set over it.

    Attributes:
        name: of the file.
        text: its content.
        over: keys that were set by --set.
    """

    name: str
    text: str
    over: tuple[str, ...] = ()

    def where(self, section: str, key: str = "") -> str:
        """The place of a key: file, line, section and key."""
        dotted = f"{section}.{key}" if key else section
        if any(o == dotted or o.startswith(f"{dotted}.") for o in self.over):
            return f"--set {dotted}"
        line = self._line(section, key) or self._nested(section, key) or self._line(section, "")
        at = f", line {line}" if line else ""
        return f"{self.name or 'config'}{at}, [{section}] {key}".rstrip()

    def _line(self, section: str, key: str) -> int:
        inside = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            header = re.match(r"\s*\[+\s*([\w.\"'-]+)\s*\]+", line)
            if header:
                inside = header[1]
                if inside == (f"{section}.{key}" if key else section):
                    return number
            elif key or not inside:
                found = re.match(r"\s*([\w\"'.-]+)\s*=", line)
                if found and found[1] == section and not inside:
                    return number
                path = f"{inside}.{found[1]}" if found and inside else found[1] if found else ""
                if path.replace('"', "") in (f"{section}.{key}",) or path.startswith(f"{section}.{key}."):
                    return number
        return 0

    def _nested(self, section: str, key: str) -> int:
        """The line of a key in a table of a section, `[section.table]` or `table = {key = ...}`; 0 if in several."""
        inside, found = "", list[int]()
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := re.match(r"\s*\[+\s*([\w.\"'-]+)\s*\]+", line):
                inside = header[1]
            elif key and inside.partition(".")[0] == section and re.search(rf"\b{re.escape(key)}\s*=", line):
                found.append(number)
        return found[0] if len(found) == 1 else 0


def parsed(path: Path) -> tuple[dict[str, Any], Source]:
    """The tables of a file, and its text.

    Raises:
        ArgumentError: for a file that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text), Source(path.name, text)
    except OSError as error:
        raise ArgumentError("config", "a TOML file that can be read", f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # what tomllib raises, too many digits, too deep tables
        raise ArgumentError("config", "a TOML file", f"{path}: {error}") from None


def set_over(table: dict[str, Any], setting: str) -> None:
    """Set "section.key=value" over what a file says.

    Raises:
        ArgumentError: for anything else.
    """
    name, equals, text = setting.partition("=")
    path = name.strip().split(".")
    if not equals or len(path) < 2:
        raise ArgumentError("--set", "section.key=value", setting, "for instance solve.steps=400")
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except (ValueError, RecursionError):
        value = text.strip()  # a word without quotes
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ArgumentError("--set", "a key inside a table", setting)
    table[path[-1]] = value


def unknown(source: Source, what: str, name: str, known: Iterable[str], section: str, key: str) -> ArgumentError:
    """The error for a name that is not known, at its place, with the nearest one that is."""
    found = UnknownNameError(what, name, known)
    return ArgumentError(source.where(section, key), f"a known {what}", name, found.remedy)
