"""GMRES on torch vectors and callables; knows nothing of games."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from gamedyn._lib.checks import positive, positive_int

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Solution", "gmres"]


class Solution(NamedTuple):
    """What an iterative solve gives.

    Attributes:
        x: the solution.
        residual: `|b - A x| / |b|`, computed from x.
        products: how many products were taken.
        converged: whether the residual is below the tolerance.
    """

    x: Tensor
    residual: float
    products: int
    converged: bool


def gmres(
    matvec: Callable[[Tensor], Tensor], b: Tensor, *, rtol: float = 1e-8, restart: int = 60, max_products: int = 600
) -> Solution:
    """Solve `A x = b` by restarted GMRES, orthogonalising twice.

    Args:
        matvec: x -> A x, shape (n,).
        b: right-hand side, (n,).
        rtol: of the residual, relative to |b|.
        restart: dimension of the Krylov space.
        max_products: bound on the work.

    Raises:
        ArgumentError: for a tolerance or bound that is not positive.

    Source: Saad, Schultz 1986.

    Example:
        >>> A = torch.tensor([[2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
        >>> gmres(lambda x: A @ x, torch.tensor([3.0, 1.0], dtype=torch.float64)).x.round(decimals=6)
        tensor([1., 1.], dtype=torch.float64)
    """
    positive("rtol", rtol)
    positive_int("restart", restart)
    positive_int("max_products", max_products)
    norm_b = float(b.norm())
    x = torch.zeros_like(b)
    if norm_b == 0:
        return Solution(x, 0.0, 0, True)
    r, products = b.clone(), 0
    while True:
        update, taken = _cycle(matvec, r, rtol * norm_b, min(restart, len(b), max_products - products))
        x = x + update
        r = b - matvec(x)
        products += taken + 1
        residual = float(r.norm()) / norm_b
        if residual <= rtol or products >= max_products or taken == 0:
            return Solution(x, residual, products, residual <= rtol)


def _cycle(matvec: Callable[[Tensor], Tensor], r: Tensor, target: float, size: int) -> tuple[Tensor, int]:
    """The update that minimises the residual over one Krylov space."""
    beta = float(r.norm())
    V = [r / beta]
    H = torch.zeros(size + 1, size, dtype=r.dtype, device=r.device)
    rhs = torch.zeros(size + 1, dtype=r.dtype, device=r.device)
    rhs[0] = beta
    for j in range(size):
        w = matvec(V[j])
        basis = torch.stack(V)
        for _ in range(2):
            h = basis @ w
            w = w - h @ basis
            H[: j + 1, j] += h
        length = w.norm()
        H[j + 1, j] = length
        y = torch.linalg.lstsq(H[: j + 2, : j + 1], rhs[: j + 2, None]).solution[:, 0]
        misfit = float((rhs[: j + 2] - H[: j + 2, : j + 1] @ y).norm())
        if misfit <= target or float(length) <= 1e-14 * beta:
            break
        V.append(w / length)
    return y @ torch.stack(V[: len(y)]), j + 1
