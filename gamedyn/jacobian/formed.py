"""Products with the game's Jacobian from the matrix itself, formed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamedyn.jacobian.products import Products

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["FormedProducts"]


class FormedProducts(Products):
    """`J u` and `J^T u` from J.

    Attributes:
        matrix: J, (n, n).

    Args:
        products: with J, of which it is formed.
    """

    def __init__(self, products: Products) -> None:
        self.matrix = products.to_dense()
        self.layout, self.work, self._evaluated = products.layout, products.work, (products.value, products.losses)

    def jvp(self, u: Tensor) -> Tensor:
        """`J u`, shape (n,) or, for rows of vectors, (k, n)."""
        return u @ self.matrix.T

    def vjp(self, u: Tensor) -> Tensor:
        """`J^T u`, shape (n,) or, for rows of vectors, (k, n)."""
        return u @ self.matrix

    def part(self, i: int, j: int) -> Tensor:
        """`J_ij`, players i and j by their places, (n_i, n_j)."""
        return self.matrix[self.layout.slices[i], self.layout.slices[j]]

    def copied_part(self, i: int, j: int) -> Callable[[], Tensor]:
        """What gives `J_ij` as a matrix of one's own."""
        return lambda: self.part(i, j).clone()

    def block(self, i: int, j: int, u: Tensor, *, transposed: bool = False) -> Tensor:
        """`J_ij u`, players i and j by their places, (n_j,) to (n_i,); or `J_ij^T u`."""
        own = self.part(i, j)
        return u @ own if transposed else u @ own.T

    def to_dense(self) -> Tensor:
        """J, (n, n), copied."""
        return self.matrix.clone()
