"""The listing of all methods: what each one is and costs, read off its data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import UnknownNameError
from gamedyn._lib.tables import Tabular, aligned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gamedyn.methods._method import Method

__all__ = ["Listing", "Row", "listed"]


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        name: canonical name.
        family: type of its data.
        order: on every game; None for maps.
        order_separable: on games whose gradients are free of their own player; differs for partitioned methods.
        embedded: order of the embedded method, whose difference is the error estimate; None where there is none.
        stages: stages of a step (steps k of a multistep formula).
        evaluations: field evaluations a step, once started; None where a solver decides.
        registers: vectors of parameter size that a step holds, the last checked state counted as one; None where a
            Krylov space or another library's optimiser decides.
        real: length of the real stability interval of h lambda; None for maps.
        imaginary: of the imaginary one.
        implicit: whether a step solves equations or applies functions of J.
        vmap: whether ensembles are stepped at once.
        whole: whether a step can be compiled, or captured as a CUDA graph, as a whole.
        host_decides: why not, in words; "" where it can.
        aliases: other names.
        source: where it comes from.
    """

    name: str
    family: str
    order: int | None
    order_separable: int | None
    embedded: int | None
    stages: int
    evaluations: float | None
    registers: int | None
    real: float | None
    imaginary: float | None
    implicit: bool
    vmap: bool
    whole: bool
    host_decides: str
    aliases: tuple[str, ...]
    source: str


class Listing(Tabular):
    """Rows that print as an aligned table; `listing[name]` is the row of a name or an alias.

    Example:
        >>> from gamedyn import methods
        >>> table = methods.table()
        >>> table["rk4"].order, table["dopri5"].embedded, table["ogda"].name
        (4, 4, 'optimistic')
        >>> [r.name for r in table if r.registers and r.registers <= 4 and r.order == 4]
        ['ck54', 'ndb124']
        >>> print(str(table).splitlines()[0].split()[:4])
        ['name', 'family', 'order', 'embedded']
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> Row:
        """The row of a name or an alias.

        Raises:
            UnknownNameError: if no row here is called so, with the nearest names.
        """
        found = {label: r for r in self.rows for label in (*r.aliases, r.name)}
        if name not in found:
            raise UnknownNameError("method", name, found)
        return found[name]

    def __contains__(self, item: object) -> bool:
        return any(item in (r, r.name, *r.aliases) for r in self.rows)

    def __str__(self) -> str:
        return aligned([HEADER, *(_cells(r) for r in self.rows)])

    def narrow(self) -> str:
        """The columns that matter most, aligned: some eighty characters wide."""
        kept = [HEADER.index(column) for column in NARROW]
        return aligned([row[i] for i in kept] for row in (HEADER, *(_cells(r) for r in self.rows)))

    def rows_as_dicts(self) -> list[dict[str, Any]]:
        """The rows by column; aliases as text."""
        return [{**r, "aliases": " ".join(r["aliases"])} for r in self.records()]

    def records(self) -> list[dict[str, Any]]:
        """The rows as dicts, for JSON."""
        return [{f.name: getattr(r, f.name) for f in fields(r)} for r in self.rows]


COLUMNS = "name family order embedded stages work registers real imaginary implicit vmap whole aliases source"
HEADER = tuple(COLUMNS.split())
NARROW = ("name", "family", "order", "work", "real", "imaginary")


def listed(method: Method) -> Row:
    """The row of a method or map; its limits are those it declares, which the contract suite has checked."""
    declared = method.declared
    return Row(
        name=method.name,
        family=type(method).__name__,
        order=method.order,
        order_separable=method.order_separable,
        embedded=method.embedded_order,
        stages=_stages(method),
        evaluations=method.work,
        registers=method.registers if method.explicit else None,
        real=None if declared is None else declared.real,
        imaginary=None if declared is None else declared.imaginary,
        implicit=not method.explicit,
        vmap=method.ensembles,
        whole=not method.host_decides,
        host_decides=method.host_decides,
        aliases=method.aliases,
        source=method.source,
    )


def _stages(method: Any) -> int:
    if hasattr(method, "sweeps"):
        moves: int = len(method.moves(method.fixed_players or 2))
        return moves * int(method.substep.needed)
    stages: int = getattr(method, "stages", method.steps)
    return stages


def _cells(r: Row) -> tuple[str, ...]:
    order = str(r.order) if r.order == r.order_separable else f"{r.order_separable}/{r.order}"
    work = "solver" if r.evaluations is None else f"{r.evaluations:g}"
    limits = ["-" if x is None else f"{x:.6g}" for x in (r.real, r.imaginary)]
    flags = ["yes" if x else "no" for x in (r.implicit, r.vmap)]
    flags.append(f"no: {r.host_decides}" if r.host_decides else "yes")
    registers = "-" if r.registers is None else str(r.registers)
    shown, embedded = "-" if r.order is None else order, "-" if r.embedded is None else str(r.embedded)
    counts = (shown, embedded, str(r.stages), work, registers)
    return (r.name, r.family, *counts, *limits, *flags, ", ".join(r.aliases), r.source)
