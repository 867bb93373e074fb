"""One Krylov space, not restarted: the Hessenberg matrix of an operator, tridiagonal for a (skew-)symmetric one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gamedyn._lib.checks import positive_int
from gamedyn.krylov._decomposition import Decomposition

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Hessenberg", "hessenberg"]


class Hessenberg(NamedTuple):
    """`A V^T = V^T H + beyond * v e_m^T` with orthonormal rows V, v, the first of them the start.

    Attributes:
        H: (m, m).
        beyond: length of what leaves the space; 0 where it is invariant.
        finite: whether every product was.
    """

    H: NDArray[np.float64]
    beyond: float
    finite: bool


def hessenberg(matvec: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Hessenberg:
    """Arnoldi's process from a vector; Lanczos' with full reorthogonalisation where A is symmetric or skew.

    Args:
        matvec: x -> A x, (n,) to (n,).
        start: first vector, (n,).
        steps: products, and vectors kept; fewer where the space is invariant.

    Source: Saad 2011, Numerical Methods for Large Eigenvalue Problems, 6.2 and 6.6.

    Example:
        >>> import torch
        >>> A = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
        >>> hessenberg(lambda x: A @ x, torch.tensor([1.0, 0.0], dtype=torch.float64), 2).H
        array([[ 0., -1.],
               [ 1.,  0.]])
    """
    at = Decomposition(matvec, start.detach(), min(positive_int("steps", steps), len(start)))
    while at.size < at.limit:
        if not at.expand():
            return Hessenberg(at.square.copy(), 0.0, False)
        if not at.out[-1]:
            break
    return Hessenberg(at.square.copy(), float(at.out[-1]), True)
