"""Products with the game's Jacobian from the matrix itself, formed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core.state import Layout

__all__ = ["FormedProducts"]


class FormedProducts:
    """`J u` and `J^T u` from J.

    Attributes:
        matrix: J, (n, n).
        value: v, (n,).
        losses: of all players.

    Args:
        products: with J, of which it is formed.
        layout: of the players.
    """

    def __init__(self, products: Any, layout: Layout) -> None:
        self.matrix: Tensor = products.dense()
        self.value, self.losses, self.work, self.layout = products.value, products.losses, products.work, layout

    def jvp(self, u: Tensor) -> Tensor:
        """`J u`, shape (n,) or, for rows of vectors, (k, n)."""
        return u @ self.matrix.T

    def vjp(self, u: Tensor) -> Tensor:
        """`J^T u`, shape (n,) or, for rows of vectors, (k, n)."""
        return u @ self.matrix

    def part(self, i: int, j: int) -> Tensor:
        """`J_ij`, players i and j by their places, (n_i, n_j)."""
        return self.matrix[self.layout.slices[i], self.layout.slices[j]]

    def block(self, i: int, j: int, u: Tensor, *, transposed: bool = False) -> Tensor:
        """`J_ij u`, players i and j by their places, (n_j,) to (n_i,); or `J_ij^T u`."""
        own = self.part(i, j)
        return u @ own if transposed else u @ own.T

    def dense(self) -> Tensor:
        """J, (n, n), copied."""
        return self.matrix.clone()
