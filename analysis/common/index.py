"""The page that lists the studies of a folder, with what each has found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from analysis.common.claims import VERDICTS
from gamedyn._lib.page import page, text

__all__ = ["write_index"]


def write_index(folder: Path) -> Path:
    """Write `index.html` into a folder of studies' folders: a line for each, its claims below; gives its path."""
    found = [_read(path) for path in sorted(folder.glob("*/findings.json"))]
    parts = [
        "<h1>Studies</h1>",
        "<p>Every claim holds, fails, or is undecided: a number with its interval says which.</p>",
    ]
    parts.append(_table(("study", "scale", *VERDICTS, "question", "made"), [_line(f) for f in found]))
    for f in found:
        parts += [f"<h2>{_link(f)}</h2>", _table(("claim", "verdict", "measured"), [_claim(c) for c in f["claims"]])]
    path = folder / "index.html"
    path.write_text(page("Studies", parts), encoding="utf-8")
    return path


def _read(path: Path) -> dict[str, Any]:
    return {**json.loads(path.read_text(encoding="utf-8")), "folder": path.parent.name}


def _line(found: dict[str, Any]) -> list[str]:
    about = found["about"]
    counts = [str(sum(c["verdict"] == v for c in found["claims"])) for v in VERDICTS]
    return [_link(found), text(about["scale"]), *counts, text(found["question"]), text(about["began"][:10])]


def _claim(claim: dict[str, Any]) -> list[str]:
    low, high, value = claim["low"], claim["high"], claim["value"]
    interval = f" ({low:.4g} to {high:.4g})" if (low, high) != (value, value) else ""
    return [text(claim["text"]), text(claim["verdict"]), text(f"{value:.4g}{interval}")]


def _link(found: dict[str, Any]) -> str:
    return f'<a href="{text(found["folder"])}/report.html">{text(found["about"]["study"])}</a>'


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """A table whose cells are HTML already."""
    lines = ["<tr>" + "".join(f"<{tag}>{c}</{tag}>" for c in row) + "</tr>" for tag, row in _tagged(head, rows)]
    return f'<div class="scroll words"><table>{"".join(lines)}</table></div>'


def _tagged(head: tuple[str, ...], rows: list[list[str]]) -> list[tuple[str, list[str]]]:
    return [("th", [*head]), *(("td", row) for row in rows)]
