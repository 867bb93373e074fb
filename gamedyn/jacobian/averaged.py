"""Products with the mean of the Jacobians of several batches: a whole data set's, one batch in memory at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from gamedyn._lib.errors import ArgumentError
from gamedyn.jacobian.products import Products

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gamedyn.core.state import Layout

__all__ = ["AveragedProducts", "samples"]

ENTRIES = 4096
"""Entries of a tensor by which a batch is known again: so many, to twice as many."""


class AveragedProducts(Products):
    """`J u` and `J^T u` of the mean field of several batches, each weighted by its number of samples.

    Attributes:
        count: batches.

    Args:
        layout: of the players.
        batches: can be gone through again and again, with the same batches each time.
        make: products on one batch.
        keep: whether to keep every batch's products (and their graphs), or to make them anew for each use.
    """

    def __init__(self, layout: Layout, batches: Iterable[Any], make: Callable[[Any], Products], *, keep: bool) -> None:
        self.layout = layout
        self._batches, self._make = batches, make
        self._kept: list[tuple[Products, int]] | None = None
        total, value, losses, self.count, self._mark = 0, None, None, 0, 0.0
        kept: list[tuple[Products, int]] = []
        for batch in batches:
            part, size = make(batch), samples(batch)
            self._mark += _fingerprint(batch)
            total, self.count = total + size, self.count + 1
            value = part.value * size if value is None else value.add_(part.value, alpha=size)
            sums = [x * size for x in part.losses]
            losses = sums if losses is None else [a + b for a, b in zip(losses, sums, strict=True)]
            self.work = part.work
            if keep:
                kept.append((part, size))
        if value is None or losses is None:
            raise ArgumentError("batches", "at least one batch", "none")
        self._kept, self.total = kept or None, total
        self._evaluated = value / total, tuple([x / total for x in losses])

    def jvp(self, u: Tensor) -> Tensor:
        """`J u`, shape (n,) or, for rows of vectors, (k, n)."""
        return self._mean(lambda part: part.jvp(u))

    def vjp(self, u: Tensor) -> Tensor:
        """`J^T u`, shape (n,) or, for rows of vectors, (k, n)."""
        return self._mean(lambda part: part.vjp(u))

    def block(self, i: int, j: int, u: Tensor, *, transposed: bool = False) -> Tensor:
        """`J_ij u`, players i and j by their places, (n_j,) to (n_i,); or `J_ij^T u`."""
        if self._kept is None:
            return super().block(i, j, u, transposed=transposed)
        return self._mean(lambda part: part.block(i, j, u, transposed=transposed))

    def to_dense(self) -> Tensor:
        """J, (n, n)."""
        return self._mean(lambda part: part.to_dense())

    def _mean(self, of: Callable[[Products], Tensor]) -> Tensor:
        out = None
        for part, size in self._each():
            image = of(part)
            out = image * size if out is None else out.add_(image, alpha=size)
        if out is None:
            raise ArgumentError("batches", "the same batches at every pass", "none", "give a list")
        return out / self.total

    def _each(self) -> Iterator[tuple[Products, int]]:
        if self._kept is not None:
            yield from self._kept
            return
        total, mark = 0, 0.0
        for batch in self._batches:
            total, mark = total + samples(batch), mark + _fingerprint(batch)
            yield self._make(batch), samples(batch)
        if total != self.total or mark != self._mark:
            remedy = "give a list, or a DataLoader that is not shuffled"
            raise ArgumentError("batches", "the same batches at every pass", "others", remedy)


def samples(batch: Any) -> int:
    """Number of samples: the length of the batch's first tensor."""
    first = next((x for x in tree_leaves(batch) if isinstance(x, torch.Tensor) and x.dim()), None)
    return 1 if first is None else len(first)


def _fingerprint(batch: Any) -> float:
    """A number that another batch would hardly have: weighted entries of its tensors, from end to end."""
    flat = [x.detach().reshape(-1) for x in tree_leaves(batch) if isinstance(x, torch.Tensor)]
    rows = [x[:: len(x) // ENTRIES | 1].double().cpu() for x in flat]  # an odd stride, not that of images' columns
    return sum(float((row * torch.arange(1, len(row) + 1)).sum()) for row in rows)
