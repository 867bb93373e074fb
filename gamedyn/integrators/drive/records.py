"""What is recorded on the way: in memory in blocks, on disk appended."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
        step: number of steps done before the losses were taken, (r,).
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
        shorter = ({k: v[:keep] for k, v in held.items()} for held in (self.losses, self.figures))
        return Records(self.step[:keep], self.t[:keep], *shorter)

    def joined(self, later: Records) -> Records:
        """These, and those that followed; a column that one of them lacks is nan there."""
        parts = [
            {k: _padded(mine, other, k, len(self), len(later)) for k in dict.fromkeys((*mine, *other))}
            for mine, other in ((self.losses, later.losses), (self.figures, later.figures))
        ]
        return Records(torch.cat([self.step, later.step]), torch.cat([self.t, later.t]), *parts)

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


def _padded(mine: Mapping[str, Tensor], other: Mapping[str, Tensor], name: str, before: int, after: int) -> Tensor:
    like = mine[name] if name in mine else other[name]
    missing = [like.new_full((n, *like.shape[1:]), float("nan")) for n in (before, after)]
    return torch.cat([mine.get(name, missing[0]), other.get(name, missing[1])])


class RecordLog:
    """Records while they grow: some 8 bytes a number, no wait for the device, nothing that is written twice.

    Args:
        players: their names.
    """

    def __init__(self, players: Sequence[str]) -> None:
        self._players = tuple(players)
        self._steps, self._times = array("q"), array("d")
        self._blocks: list[Tensor] = []
        self._figures: dict[str, array[float]] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, t: float, losses: Sequence[Tensor], figures: Mapping[str, Any]) -> None:
        """Record a step."""
        at = len(self._steps)
        if losses:
            if at // BLOCK == len(self._blocks):
                self._blocks.append(losses[0].new_empty(BLOCK, len(losses), *losses[0].shape))
            torch.stack(list(losses), out=self._blocks[-1][at % BLOCK])
        self._steps.append(step)
        self._times.append(t)
        for name, value in figures.items():
            column = self._figures.setdefault(name, array("d"))
            column.extend([float("nan")] * (at - len(column)))
            column.append(float(value))

    def count(self, step: int) -> int:
        """How many are of the first steps."""
        return bisect_left(self._steps, step)

    def records(self, since: int = 0) -> Records:
        """Those from one on."""
        n = len(self._steps)
        whole = [b.cpu() for b in self._blocks[since // BLOCK :]]
        first = since - since % BLOCK
        losses = torch.cat(whole)[since - first : n - first] if whole else torch.zeros(0, len(self._players))
        figures = {}
        for name, column in self._figures.items():
            values = np.full(n - since, np.nan)
            found = np.array(column[since:], dtype=float)
            values[: len(found)] = found
            figures[name] = torch.from_numpy(values)
        named = {p: losses[:, i].clone() for i, p in enumerate(self._players)} if whole else {}
        steps, times = np.array(self._steps[since:], dtype=np.int64), np.array(self._times[since:], dtype=float)
        return Records(torch.from_numpy(steps), torch.from_numpy(times), named, figures)
