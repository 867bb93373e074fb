"""A Krylov decomposition `A V = V S + v b^T` on torch vectors: grown by products, cut down by rotations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gamedyn.krylov._basis import norm, rounding

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Decomposition"]

AGAIN = 0.5**0.5
"""A vector that orthogonalisation shortens to less than this part of it is orthogonalised again. Smaller parts would
multiply rounding at every vector: an operator near the identity then loses its basis within twenty."""

CHUNK = 1 << 12
"""Entries of every row that are worked on at a time: what a processor holds in its cache of twenty rows."""


WIDE = 1 << 14
"""The same for vectors that are subtracted from and projected on in one sweep."""


class Decomposition:
    """Orthonormal rows V, one more than `size`, and S, (size + 1, size), whose last row leads out of them.

    Args:
        matvec: x -> A x.
        start: first vector, (n,).
        limit: largest size.

    Attributes:
        size: columns of S in use; row `size` of V is the next to be multiplied.
        products: so far.
        scale: a lower bound of |A|_2.
        exhausted: whether V spans the whole space.
    """

    def __init__(self, matvec: Callable[[Tensor], Tensor], start: Tensor, limit: int) -> None:
        self._matvec, self.limit, self.n = matvec, limit, len(start)
        self.rows = start.new_empty(limit + 1, self.n)
        self.S = np.zeros((limit + 1, limit))
        self.size, self.products, self.scale, self.exhausted = 0, 0, 0.0, False
        self._generator = torch.Generator(device=start.device).manual_seed(0)
        length = norm(start)
        if length > 0 and math.isfinite(length):
            torch.div(start, length, out=self.rows[0])
        else:
            self._draw(0)

    def restore(self, rows: Tensor, S: NDArray[np.float64], scale: float) -> None:
        """Go on from the rows and the matrix that another decomposition of A ended with."""
        self.scale = scale
        size = min(S.shape[1], self.limit - 1)  # of too many, the wanted ones, which come first; no pair cut in two
        size -= bool(0 < size < S.shape[1] and S[size, size - 1])
        self.rows[:size].copy_(rows[:size])
        self.rows[size].copy_(rows[-1])
        self.S[:size, :size], self.S[size, :size] = S[:size, :size], S[-1, :size]
        self.size = size
        if size and not S[-1, :size].any():
            self._draw(size)

    @property
    def square(self) -> NDArray[np.float64]:
        """S without the row that leads out."""
        return self.S[: self.size, : self.size]

    @property
    def out(self) -> NDArray[np.float64]:
        """The row b that leads out, (size,)."""
        return self.S[self.size, : self.size]

    def expand(self) -> bool:
        """One product more; False if it is not finite."""
        j = self.size
        row = self.rows[j + 1]
        row.copy_(self._matvec(self.rows[j]).detach())
        self.products += 1
        column, below = self._orthogonalised(j + 1)
        length = math.hypot(*column, below)
        if not math.isfinite(length):
            return False
        self.scale = max(self.scale, length)
        self.S[: j + 1, j] = column
        self.size = j + 1
        if below > rounding(self.rows) * self.scale and j + 1 < self.n:
            self.S[j + 1, j] = below
            row.div_(below)
        else:  # an invariant subspace: go on beside it
            self._draw(j + 1)
        return True

    def rotate(self, Q: NDArray[np.float64], T: NDArray[np.float64], first: int, kept: int) -> None:
        """Change the basis of columns `first` on: S's square becomes T there; keep the first `kept` of them."""
        size = self.size
        head = self.S[:first, first:size] @ Q
        out = self.S[size, first:size] @ Q
        turn = torch.as_tensor(np.ascontiguousarray(Q[:, :kept].T), dtype=self.rows.dtype, device=self.rows.device)
        for chunk in torch.split(self.rows[first:size], CHUNK, dim=1):
            chunk[:kept].copy_(turn @ chunk)
        end = first + kept
        if end < size:
            self.rows[end].copy_(self.rows[size])
        keep = self.S[:first, :first].copy()
        self.S[:] = 0.0
        self.S[:first, :first], self.S[:first, first:end] = keep, head[:, :kept]
        self.S[first:end, first:end], self.S[end, first:end] = T[:kept, :kept], out[:kept]
        self.size = end

    def begin_anew(self) -> None:
        """Cut the basis from what leads out of it: the next row is random, orthogonal to it."""
        self.S[self.size, : self.size] = 0.0
        self._draw(self.size)

    def _draw(self, j: int) -> None:
        """A random unit row j, orthogonal to those before; none where they span the space."""
        if j >= self.n:
            self.exhausted = True
            self.rows[j].zero_()
            return
        length = 0.0
        while length < 1e-4 / math.sqrt(self.n):  # a start from a generator of the same seed would come again
            self.rows[j].normal_(generator=self._generator)
            self.rows[j].div_(norm(self.rows[j]))
            _, length = self._orthogonalised(j)
        self.rows[j].div_(length)
        _, length = self._orthogonalised(j)
        self.rows[j].div_(length)

    def _orthogonalised(self, j: int) -> tuple[list[float], float]:
        """Take from row j its components along those before: these, and the length that is left."""
        if not j:
            return [], norm(self.rows[0])
        row, before = self.rows[j], self.rows[:j]
        column = torch.mv(before, row)
        lengths = torch.stack([torch.linalg.vector_norm(row), torch.linalg.vector_norm(column)])
        whole, along = lengths.tolist()
        if along > whole * AGAIN:  # little will be left (Pythagoras): subtract, and take the components anew, at once
            again = torch.zeros_like(column)
            for chunk, part in zip(torch.split(before, WIDE, 1), torch.split(row, WIDE), strict=True):
                part.addmv_(chunk.t(), column, alpha=-1)
                again.addmv_(chunk, part)
            row.addmv_(before.t(), again, alpha=-1)
            column.add_(again)
            along = float(torch.linalg.vector_norm(again))
        else:
            row.addmv_(before.t(), column, alpha=-1)
            along = 0.0
        values: list[float] = torch.cat([column, torch.linalg.vector_norm(row)[None]]).tolist()
        # shortened again: what is left is rounding, and twice would not be enough
        return values[:-1], values[-1] if values[-1] > along else 0.0
