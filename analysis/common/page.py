"""A report as one page that needs nothing else: paragraphs, aligned tables, figures inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamedyn._lib.page import page, picture, table, text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["figure", "number", "paragraph", "prose", "table", "write_page"]


def prose(words: str) -> str:
    """Text with its line breaks taken out."""
    return " ".join(words.split())


def paragraph(words: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{text(prose(words))}</p>"


def figure(path: Path, caption: str) -> str:
    """A picture inside the page, with its caption."""
    return picture(path, prose(caption))


def write_page(path: Path, title: str, body: Sequence[str]) -> Path:
    """The page; gives its path."""
    path.write_text(page(title, body), encoding="utf-8")
    return path


def number(x: float | None, digits: int = 4) -> str:
    """A figure for a table; nothing for None."""
    return "" if x is None else f"{x:.{digits}g}"
