"""What is recorded on the way: in memory in blocks, on disk appended."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["RecordLog", "Records"]

BLOCK = 1024
"""Records whose losses share one tensor."""


@dataclass
class Records:
    """What was recorded on the way, at every `every`-th step.

    Attributes:
        step: number of steps done before the losses were evaluated, (r,).
        t: time there, (r,); of an ensemble, whose members have times of their own, the step's number.
        losses: by player, (r,), or (r, members): at the first evaluation of the step.
        figures: by name, (r,): what else was recorded of the step: extra values that the losses return; of steps that
            change "h"; of adaptive ones "error", in tolerances; rates and weights that change.
    """

    step: Tensor
    t: Tensor
    losses: dict[str, Tensor]
    figures: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.step)

    def until(self, step: int) -> Records:
        """The records of the first steps."""
        keep = int((self.step < step).sum())  # steps only grow
        shorter = ({k: v[:keep] for k, v in columns.items()} for columns in (self.losses, self.figures))
        return Records(self.step[:keep], self.t[:keep], *shorter)

    def joined(self, *later: Records) -> Records:
        """These, and those that followed; a column that some of them lack is nan there."""
        parts = (self, *later)
        losses, figures = (_columns([getattr(p, kind) for p in parts], parts) for kind in ("losses", "figures"))
        return Records(torch.cat([p.step for p in parts]), torch.cat([p.t for p in parts]), losses, figures)

    def to_pandas(self) -> Any:
        """A table with a row for each record; of an ensemble a column for each player and member."""
        import pandas as pd  # type: ignore[import-untyped]

        columns: dict[str, Any] = {"step": self.step.numpy(), "t": self.t.numpy()}
        for name, values in {**self.losses, **self.figures}.items():
            if values.dim() == 1:
                columns[name] = values.numpy()
            else:
                columns |= {f"{name} {m}": values[:, m].numpy() for m in range(values.shape[1])}
        return pd.DataFrame(columns)


def _columns(columns: Sequence[Mapping[str, Tensor]], parts: Sequence[Records]) -> dict[str, Tensor]:
    """Every column of all parts, nan where a part has none."""
    first = {k: v for part in reversed(columns) for k, v in part.items()}
    names = dict.fromkeys(k for part in columns for k in part)
    return {
        k: torch.cat([x[k] if k in x else _missing(first[k], len(p)) for x, p in zip(columns, parts, strict=True)])
        for k in names
    }


def _missing(like: Tensor, count: int) -> Tensor:
    return like.new_full((count, *like.shape[1:]), float("nan"))


class _Block(NamedTuple):
    """Losses, and figures that are tensors, of records from one on.

    Attributes:
        start: number of the first record.
        names: of the figures.
        rows: (BLOCK, players and figures), or (BLOCK, players, members).
    """

    start: int
    names: tuple[str, ...]
    rows: Tensor


class RecordLog:
    """Records while they grow: some 8 bytes a number, no wait for the device, nothing that is written twice.

    Args:
        players: their names.
    """

    def __init__(self, players: Sequence[str]) -> None:
        self._players = tuple(players)
        self._steps, self._times = array("q"), array("d")
        self._blocks: list[_Block] = []
        self._numbers: dict[str, array[float]] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, t: float, losses: Sequence[Tensor], figures: Mapping[str, Any]) -> None:
        """Record a step: figures that are tensors stay where they are, with the losses."""
        at, last = len(self._steps), self._blocks[-1] if self._blocks else None
        if losses:
            names = tuple(k for k, x in figures.items() if isinstance(x, Tensor))
            values = [*losses, *(figures[k].to(losses[0].dtype) for k in names)]
            if last is None or at - last.start == BLOCK or names != last.names:
                last = _Block(at, names, losses[0].new_empty(BLOCK, len(values), *losses[0].shape))
                self._blocks.append(last)
            torch.stack(values, out=last.rows[at - last.start])
        self._steps.append(step)
        self._times.append(t)
        for name, value in figures.items():
            if not (losses and isinstance(value, Tensor)):
                column = self._numbers.setdefault(name, array("d"))
                column.extend([float("nan")] * (at - len(column)))
                column.append(float(value))

    def count(self, step: int) -> int:
        """How many are of the first steps."""
        return bisect_left(self._steps, step)

    def records(self, since: int = 0) -> Records:
        """Those from one on."""
        n = len(self._steps)
        steps, times = np.array(self._steps[since:], dtype=np.int64), np.array(self._times[since:], dtype=float)
        found = Records(torch.from_numpy(steps), torch.from_numpy(times), {})
        parts = [self._part(i, since, n) for i, b in enumerate(self._blocks) if self._end(i, n) > since]
        for kind, count in (("losses", 0), ("figures", 1)):
            names = dict.fromkeys(k for p in parts for k in p[count])
            getattr(found, kind).update({k: torch.cat([_column(p, count, k) for p in parts]) for k in names})
        for name, column in self._numbers.items():
            values = np.full(n - since, np.nan)
            known = np.array(column[since:], dtype=float)
            values[: len(known)] = known
            found.figures[name] = torch.from_numpy(values)
        return found

    def _end(self, i: int, n: int) -> int:
        return self._blocks[i + 1].start if i + 1 < len(self._blocks) else n

    def _part(self, i: int, since: int, n: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses and figures of one block, from a record on."""
        block = self._blocks[i]
        rows = block.rows[max(0, since - block.start) : self._end(i, n) - block.start].cpu()
        count = len(self._players)
        losses = {p: rows[:, j].clone() for j, p in enumerate(self._players)}
        return losses, {k: rows[:, count + j].clone() for j, k in enumerate(block.names)}


def _column(part: tuple[dict[str, Tensor], dict[str, Tensor]], which: int, name: str) -> Tensor:
    """A column of a part, nan where the part has none."""
    like = next(iter(part[0].values()))
    return part[which][name] if name in part[which] else torch.full_like(like, float("nan"))
