"""What every way to products with J has: J u and J^T u, a player's block, the matrix."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import Work
    from gamedyn.core.state import Layout

__all__ = ["Products"]

BLOCK = 64
"""Rows that are multiplied at a time where the matrix is wanted."""


class Products(ABC):
    """Products with the Jacobian of a flow at one point, batch and set of buffers.

    Attributes:
        layout: of the players.
        work: what has been spent.
    """

    layout: Layout
    work: Work

    @functools.cached_property
    def _evaluated(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The value and the losses: assigned where they are known from the start."""
        raise NotImplementedError

    @property
    def value(self) -> Tensor:
        """v, (n,)."""
        return self._evaluated[0]

    @property
    def losses(self) -> tuple[Tensor, ...]:
        """Of all players; of several batches, their means."""
        return self._evaluated[1]

    @abstractmethod
    def jvp(self, u: Tensor) -> Tensor:
        """`J u`, shape (n,) or, for rows of vectors, (k, n)."""

    @abstractmethod
    def vjp(self, u: Tensor) -> Tensor:
        """`J^T u`, shape (n,) or, for rows of vectors, (k, n)."""

    @property
    def n(self) -> int:
        """Parameters."""
        return self.layout.n

    def block(self, i: int, j: int, u: Tensor, *, transposed: bool = False) -> Tensor:
        """`J_ij u`, players i and j by their places, (n_j,) to (n_i,); or `J_ij^T u`. A whole product."""
        players = self.layout.slices
        given, wanted = (i, j) if transposed else (j, i)
        whole = u.new_zeros(*u.shape[:-1], self.n)
        whole[..., players[given]] = u
        image = (self.vjp if transposed else self.jvp)(whole)
        return image[..., players[wanted]]

    def cross(self, u: Tensor) -> Tensor:
        """`W u`, W the cross-player blocks of J: each player's part of u, seen by the others; (n,)."""
        players = tuple(self.layout.slices)
        parts = u.new_zeros(len(players), self.n)
        for row, at in zip(parts, players, strict=True):
            row[at] = u[at]
        images = self.jvp(parts)
        out = images.sum(0)
        for row, at in zip(images, players, strict=True):
            out[at] -= row[at]
        return out

    def to_dense(self) -> Tensor:
        """J, (n, n), a block of rows at a time."""
        eye = torch.eye(self.n, dtype=self.value.dtype, device=self.value.device)
        return torch.cat([self.vjp(rows) for rows in torch.split(eye, BLOCK)])
