"""Pages that stand alone: tables, figures and pictures inside, light and dark, on phones."""

from __future__ import annotations

import base64
import html
import io
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

__all__ = ["figure", "number", "page", "picture", "table", "text"]

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 64rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { border-bottom: 1px solid var(--line); padding: .25rem .75rem; }
th { text-align: left; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; } figure { margin: 1rem 0; } figcaption { color: GrayText; }
img { max-width: 100%; height: auto; background: white; }
pre { background: var(--soft); padding: .75rem; overflow-x: auto; }
@media (max-width: 40rem) { figure.wide { overflow-x: auto; } figure.wide img { width: 46rem; max-width: none; }
  .words td:first-child { min-width: 11rem; } .facts td + td { overflow-wrap: anywhere; } }
.side { display: flex; flex-wrap: wrap; gap: 1rem; } .side figure { flex: 1 1 16rem; margin: 0; }
"""


PHRASE = 24
"""Characters beyond which a table's first cell is a phrase."""


def number(value: Any) -> str:
    """Four digits, or nothing."""
    return f"{value:.4g}" if isinstance(value, (int, float)) else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls in itself, columns of numbers to the right; without a head, facts that wrap on a phone."""
    body = [[*row] for row in rows]
    words = any(len(row[0]) > PHRASE for row in body if row)  # which would be a column of single words there
    wide = max(map(len, [head, *body]))
    aligned = [' class="number"' if _numbers([row[i] for row in body if i < len(row)]) else "" for i in range(wide)]
    lines = [("th", head)] if any(head) else []
    lines += [("td", row) for row in body]
    shown = ("".join(f"<{tag}{a}>{text(c)}</{tag}>" for a, c in zip(aligned, row, strict=False)) for tag, row in lines)
    kind = "facts" if not any(head) else "words" if words else ""
    return f'<div class="scroll {kind}"><table>{"".join(f"<tr>{cells}</tr>" for cells in shown)}</table></div>'


def _numbers(cells: Sequence[str]) -> bool:
    """Whether all that is in a column is numbers, with units or an interval behind them."""
    known = [cell.lstrip("-\u2212.") for cell in cells if cell]
    return bool(known) and all(cell[:1].isdigit() or cell in ("inf", "nan", "unknown") for cell in known)


def figure(draw: Callable[[], Any], caption: str, title: str) -> list[str]:
    """A drawn figure with its caption; a line of text where matplotlib is missing."""
    head = [f"<h2>{text(title)}</h2>"] if title else []
    try:
        drawn = draw()
    except ImportError:
        return [*head, "<p>The figure needs matplotlib: pip install 'gamedyn[plot]'.</p>"]
    stored = io.BytesIO()
    drawn.savefig(stored, format="png", bbox_inches="tight")
    return [*head, _figure(stored.getvalue(), caption)]


def picture(path: Path | None, caption: str) -> str:
    """An image file with its caption, inside the page."""
    if path is None:
        return ""
    return _figure(path.read_bytes(), caption)


def _figure(png: bytes, caption: str) -> str:
    """A picture and its caption; one with several panels in a row scrolls in itself on a phone."""
    width, height = struct.unpack(">II", png[16:24]) if png[:4] == b"\x89PNG" else (1, 1)
    image = f'<img alt="{text(caption)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    wide = ' class="wide"' if width > 1.6 * height and width > 700 else ""
    return f"<figure{wide}>{image}<figcaption>{text(caption)}</figcaption></figure>"


def text(value: object) -> str:
    """Text, escaped."""
    return html.escape(str(value))


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page, which needs nothing else."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{text(title)}</title><style>{STYLE}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"
