"""An orthonormal basis, built a vector at a time: what GMRES and the phi-functions share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Basis", "norm", "norms", "rounding", "sent"]

FIRST = 8
"""Rows that a basis has before it grows."""


class Basis:
    """Orthonormal rows in one tensor that doubles when full.

    Classical Gram-Schmidt, twice: four products with the whole basis per vector. What the vectors were made of stays on
    the device until it is looked at, as many vectors at a time as one likes: each look is a wait.

    Args:
        like: a tensor with the dtype and device wanted.
        width: length of the vectors.
        limit: how many there will be at most.

    Source: Giraud, Langou, Rozloznik, van den Eshof 2005, Numer. Math. 101, p. 87: twice is enough.
    """

    def __init__(self, like: Tensor, width: int, limit: int) -> None:
        self.rows = like.new_empty(min(limit, FIRST), width)
        self._limit = limit
        self._columns = like.new_empty(limit, limit)
        self._again = like.new_empty(limit)

    def slot(self, j: int) -> Tensor:
        """Row j, to be written."""
        if j == len(self.rows):
            grown = self.rows.new_empty(min(2 * j, self._limit), self.rows.shape[1])
            grown[:j] = self.rows
            self.rows = grown
        return self.rows[j]

    def orthogonalise(self, j: int) -> None:
        """Make row j orthonormal to those before; one of which nothing is left stays 0."""
        row, before = self.rows[j], self.rows[:j]
        across, column, again = before.t(), self._columns[j, :j], self._again[:j]
        torch.mv(before, row, out=column)
        row.addmv_(across, column, alpha=-1)
        torch.mv(before, row, out=again)
        row.addmv_(across, again, alpha=-1)
        column.add_(again)
        length = torch.linalg.vector_norm(row, out=self._columns[j, j])
        row.div_(torch.where(length > 0, length, 1.0))

    def columns(self, first: int, last: int) -> list[list[float]]:
        """Of rows first to last: their components along the rows before, and the length that was left; one wait."""
        values: list[list[float]] = self._columns[first : last + 1, : last + 1].tolist()
        return [row[: j + 1] for j, row in enumerate(values, first)]

    def combine(self, weights: Sequence[float]) -> Tensor:
        """The sum of the first rows, weighted."""
        first = self.rows[: len(weights)]
        return first.t() @ sent(weights, first)


def sent(values: Sequence[float], like: Tensor) -> Tensor:
    """Numbers of the host's as a tensor where another one is, without waiting for that device."""
    numbers = torch.tensor(values, dtype=like.dtype)
    return numbers.pin_memory().to(like.device, non_blocking=True) if like.is_cuda else numbers


def rounding(like: Tensor) -> float:
    """Length, relative to the operator's, below which what orthogonalisation leaves of a product is rounding."""
    return 10 * torch.finfo(like.dtype).eps


def norm(v: Tensor) -> float:
    """The 2-norm, also where the squares of the entries underflow or overflow."""
    return norms(v)[0]


def norms(*vectors: Tensor) -> list[float]:
    """Their 2-norms, likewise, at one wait for the device."""
    lengths: list[float] = torch.stack([torch.linalg.vector_norm(v) for v in vectors]).tolist()
    return [_scaled(v, x) for v, x in zip(vectors, lengths, strict=True)]


def _scaled(v: Tensor, length: float) -> float:
    """The length, computed anew with scaled entries where their squares were lost."""
    least = 1e3 * torch.finfo(v.dtype).tiny ** 0.5
    if least < length < math.inf or v.numel() == 0:
        return length
    largest = float(v.abs().max())
    return largest * float(torch.linalg.vector_norm(v / largest)) if 0 < largest < math.inf else largest
