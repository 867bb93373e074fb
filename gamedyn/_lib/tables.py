"""Tables: rows of named columns that print aligned and go to CSV files and to pandas."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

__all__ = ["Tabular", "aligned"]


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Cells in columns, two spaces apart.

    Example:
        >>> print(aligned([("name", "h"), ("rk4", "2.8")]))
        name  h
        rk4   2.8
    """
    table = [tuple(r) for r in rows]
    widths = [max(len(r[i]) for r in table) for i in range(len(table[0]))] if table else []
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in table)


class Tabular:
    """What has rows: dicts of plain values, with the same keys in each.

    Attributes:
        columns: the keys, where there may be no row.
    """

    columns: ClassVar[tuple[str, ...]] = ()

    def rows_as_dicts(self) -> list[dict[str, Any]]:
        """The rows, by column."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame. Needs pandas (the extra `study`)."""
        import pandas as pd  # type: ignore[import-untyped]

        rows = self.rows_as_dicts()
        return pd.DataFrame(rows, columns=None if rows else self.columns)

    def to_csv(self, path: str | PathLike[str] | None = None) -> str:
        """The rows as CSV, written to a file if one is named.

        Raises:
            ArgumentError: if the file cannot be written.
        """
        rows, out = self.rows_as_dicts(), io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]) if rows else list(self.columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = out.getvalue()
        if path is not None:
            try:
                Path(path).write_text(text, encoding="utf-8")
            except (OSError, TypeError) as error:
                got = f"{path}: {getattr(error, 'strerror', None) or error}"
                raise ArgumentError("path", "a file that can be written", got) from None
        return text
