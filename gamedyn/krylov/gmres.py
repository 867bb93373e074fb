"""GMRES on torch vectors and callables; knows nothing of games."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.krylov._basis import Basis, norm, rounding

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Solution", "gmres"]

PROGRESS = 0.999
"""A cycle that leaves more of the residual than this would leave as much every time."""


class Solution(NamedTuple):
    """What an iterative solve gives.

    Attributes:
        x: the solution, or the best there is.
        residual: `|b - A x| / |b|`, computed from x; by recurrence with `check=False`, after "non_finite", and where
            `max_products` leaves no product for it.
        products: how many products were used.
        converged: whether the residual is below the tolerance.
        status: "converged"; "budget", the products ran out; "breakdown", the operator is singular on an invariant
            subspace that b lies in, and x is the least-squares solution there; "stagnated", a cycle gained nothing
            (the dtype's rounding, or a restart too short); "non_finite", a product was, and x is from before it.
    """

    x: Tensor
    residual: float
    products: int
    converged: bool
    status: str


class _Cycle(NamedTuple):
    """One Krylov space: weights of its basis, least |r - A V weights|, and why it ended."""

    weights: list[float]
    misfit: float
    products: int
    end: str


def gmres(
    matvec: Callable[[Tensor], Tensor],
    b: Tensor,
    *,
    rtol: float = 1e-8,
    restart: int = 60,
    max_products: int = 600,
    x0: Tensor | None = None,
    check: bool = True,
    size: float | None = None,
    look_every: int | None = None,
) -> Solution:
    """Solve `A x = b` by restarted GMRES, orthogonalising twice.

    Args:
        matvec: x -> A x, shape (n,); what it is given must not be kept or written.
        b: right-hand side, (n,), in the precision to work in.
        rtol: of the residual, relative to |b|.
        restart: dimension of the Krylov space.
        max_products: bound on the work, all products counted.
        x0: where to start, (n,): costs a product; None starts at 0.
        check: whether to spend a product on the true residual once the recurrence has converged. Without it, and
            where rounding has spoilt the recurrence, the residual may be larger than reported.
        size: |b|, where it is known; None: it is computed, and waited for.
        look_every: products between two looks at the residual, each of which waits for the device; products beyond what
            was needed are spent. None: 1 on a CPU, where looking is free, 4 elsewhere.

    Raises:
        ArgumentError: for a tolerance or bound that is not positive, or a b that is not a vector.

    Source: Saad, Schultz 1986, SIAM J. Sci. Stat. Comput. 7, p. 856; breakdown for singular A: Brown, Walker 1997,
        SIAM J. Matrix Anal. Appl. 18, p. 37.

    Example:
        >>> A = torch.tensor([[2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
        >>> solution = gmres(lambda x: A @ x, torch.tensor([3.0, 1.0], dtype=torch.float64))
        >>> solution.x.round(decimals=6), solution.products, solution.status
        (tensor([1., 1.], dtype=torch.float64), 3, 'converged')
    """
    positive("rtol", rtol)
    positive_int("restart", restart)
    left = positive_int("max_products", max_products)
    every = (4 if b.is_cuda else 1) if look_every is None else positive_int("look_every", look_every)
    if b.ndim != 1 or not b.is_floating_point():
        raise ArgumentError("b", "a vector of real floating-point numbers", f"{b.dtype} of shape {tuple(b.shape)}")
    b, whole = b.detach(), norm(b.detach()) if size is None else size
    x = torch.zeros_like(b) if x0 is None or whole == 0 else x0.detach().clone()
    r, beta = b, whole
    if x0 is not None and whole > 0:
        r, left = b - matvec(x).detach(), left - 1
        beta = norm(r)

    def ended(x: Tensor, size: float, status: str) -> Solution:
        residual = size / whole if whole else 0.0
        return Solution(x, residual, max_products - left, status == "converged", status)

    if not math.isfinite(beta):
        return ended(x, beta, "non_finite")
    target, limit, scale = rtol * whole, min(restart, len(b)), [0.0]
    basis = Basis(b, len(b), limit + 1)
    while beta > target:
        if left < 1 or (check and left < 2 and left < max_products):
            return ended(x, beta, "budget")
        torch.div(r, beta, out=basis.slot(0))
        cycle = _cycle(matvec, basis, beta, target, min(limit, max(1, left - check)), scale, every)
        left -= cycle.products
        new = x + basis.combine(cycle.weights) if cycle.weights else x
        if cycle.end == "non_finite":
            return ended(new, cycle.misfit, "non_finite")
        if left < 1 or (not check and cycle.end in ("target", "singular")):
            status = {"target": "converged", "singular": "breakdown"}.get(cycle.end, "budget")
            return ended(new, cycle.misfit, status)
        r, left = b - matvec(new).detach(), left - 1
        after = norm(r)
        if not math.isfinite(after):
            return ended(x, beta, "non_finite")
        if after > target and (cycle.end == "singular" or after > PROGRESS * beta):
            status = "breakdown" if cycle.end == "singular" else "stagnated"
            return ended(new, after, status) if after < beta else ended(x, beta, status)
        x, beta = new, after
    return ended(x, beta, "converged")


def _cycle(
    matvec: Callable[[Tensor], Tensor],
    basis: Basis,
    beta: float,
    target: float,
    size: int,
    scale: list[float],
    every: int,
) -> _Cycle:
    """Minimise the residual over one Krylov space, from row 0 of the basis; keep the operator's scale."""
    tiny, end, products = rounding(basis.rows), "size", 0
    columns: list[list[float]] = []
    rotations: list[tuple[float, float]] = []
    g, misfits = [beta], [beta]
    known = iter(list[list[float]]())
    for j in range(size):
        if j == products:
            products = min(j + every, size)
            for k in range(j, products):
                product = matvec(basis.rows[k]).detach()
                basis.slot(k + 1).copy_(product)
                basis.orthogonalise(k + 1)
            known = iter(basis.columns(j + 1, products))
        column = next(known)
        length = math.hypot(*column)
        if not math.isfinite(length):
            end = "non_finite"
            break
        scale[0] = max(scale[0], length)
        below = column.pop()
        top = _rotate(column, rotations)
        pivot = math.hypot(top, below)
        if pivot <= tiny * scale[0]:
            end = "singular"
            break
        c, s = top / pivot, below / pivot
        column[j] = pivot
        rotations.append((c, s))
        columns.append(column)
        g[j:] = [c * g[j], -s * g[j]]
        misfits.append(abs(g[-1]))
        if misfits[-1] <= target or below <= tiny * scale[0]:
            break
    weights, noise = _back_substitute(columns, g), tiny * scale[0]
    if end == "singular" or math.hypot(*weights) * noise > beta:  # the rounding in A x would exceed b
        kept = _least(columns, g, misfits, noise)
        weights, misfits = _back_substitute(columns[:kept], g), misfits[: kept + 1]
        end = "singular" if end == "size" else end
    if end != "non_finite" and misfits[-1] <= target:
        end = "target"
    return _Cycle(weights, misfits[-1], products, end)


def _rotate(column: list[float], rotations: list[tuple[float, float]]) -> float:
    """Turn the column's entries in place, but for the last, which is returned turned."""
    top = column[0]
    for i, (c, s) in enumerate(rotations):
        after = column[i + 1]
        column[i], top = c * top + s * after, c * after - s * top
    return top


def _least(columns: list[list[float]], g: list[float], misfits: list[float], noise: float) -> int:
    """How many columns to use: those that make the misfit, and the rounding in A x, least."""
    sizes = (math.hypot(*_back_substitute(columns[:k], g)) for k in range(len(misfits)))
    bounds = [misfit + noise * size for misfit, size in zip(misfits, sizes, strict=True)]
    return bounds.index(min(bounds))


def _back_substitute(columns: list[list[float]], g: list[float]) -> list[float]:
    """The y with `R y = g`, R triangular by columns."""
    y = g[: len(columns)]
    for j in reversed(range(len(y))):
        y[j] /= columns[j][j]
        for i in range(j):
            y[i] -= columns[j][i] * y[j]
    return y
