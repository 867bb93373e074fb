"""A report as one page that needs nothing else: paragraphs, aligned tables, figures inside."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

from analysis.solver_limits.report import STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["figure", "number", "paragraph", "prose", "table", "write_page"]


def prose(text: str) -> str:
    """Text with its line breaks taken out."""
    return " ".join(text.split())


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(prose(text))}</p>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are figures."""
    head = "".join(f"<th>{html.escape(h)}</th>" for h in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in r) + "</tr>" for r in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def figure(path: Path, caption: str) -> str:
    """A picture inside the page, with its caption."""
    data = base64.b64encode(path.read_bytes()).decode()
    text = html.escape(prose(caption))
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def write_page(path: Path, title: str, body: Sequence[str]) -> Path:
    """The page; gives its path."""
    wide = STYLE.replace("max-width:60rem", "max-width:76rem")
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title><style>{wide}</style>"
    path.write_text(head + "<body>" + "\n".join(body) + "</body></html>")
    return path


def number(x: float | None, digits: int = 4) -> str:
    """A figure for a table; nothing for None."""
    return "" if x is None else f"{x:.{digits}g}"
