"""Eigenvalues nearest a shift: Krylov-Schur on the inverse, each of whose products is a GMRES solve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gamedyn._lib.checks import finite, positive, positive_int
from gamedyn._lib.errors import ArgumentError, SolveError
from gamedyn.krylov._basis import rounding
from gamedyn.krylov.gmres import gmres
from gamedyn.krylov.ritz import RitzPairs, borne_out, images_of, with_residuals
from gamedyn.krylov.schur import eigenpairs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["nearest_eigenpairs"]


def nearest_eigenpairs(
    matvec: Callable[[Tensor], Tensor],
    start: Tensor,
    k: int,
    shift: complex,
    *,
    tol: float = 1e-8,
    basis: int | None = None,
    max_products: int | None = None,
    multiple: bool = False,
    inner_rtol: float | None = None,
    inner_restart: int = 100,
    progress: bool = False,
) -> RitzPairs:
    """The k eigenvalues of a real operator nearest a shift s, by Arnoldi on `(A - s)^-1`.

    For clusters near 0, and inside a spectrum. A complex shift stays in real arithmetic: the operator is `x -> Re
    (A - s)^-1 x`, whose large eigenvalues belong to those near s and its conjugate, and the systems have twice the
    size. Values and residuals are those of A.

    Args:
        matvec: x -> A x, (n,) to (n,).
        start: first vector, (n,).
        k: how many.
        shift: s; no eigenvalue itself.
        tol: of the residuals `|A x - lambda x|`, relative to |A| (as far as the products showed it).
        basis: as for `eigenpairs`; GMRES holds `inner_restart` vectors more, of length n or, for a complex s, 2 n.
        max_products: bound on the products with A; None: 20,000.
        multiple: as for `eigenpairs`.
        inner_rtol: of the systems; None: tol / 10, or 20 roundings of the dtype where that is more.
        inner_restart: of GMRES.
        progress: whether to show a progress bar.

    Raises:
        ArgumentError: for a bad argument.
        SolveError: if a system cannot be solved: s is an eigenvalue, or too far inside the spectrum for GMRES.

    Source: Saad 2011, Numerical Methods for Large Eigenvalue Problems, 8.1; in real arithmetic: Parlett, Saad 1987,
        Linear Algebra Appl. 88, p. 575.

    Example:
        >>> A = torch.diag(torch.arange(-50.0, 0.0, dtype=torch.float64))
        >>> found = nearest_eigenpairs(lambda x: A @ x, torch.ones(50, dtype=torch.float64), 2, -10.2)
        >>> found.values.real.round(6)
        array([-10., -11.])
    """
    positive("tol", tol)
    at, budget = _shift(shift), positive_int("max_products", 20_000 if max_products is None else max_products)
    floor = 20 * torch.finfo(start.dtype).eps
    rtol = max(tol / 10, floor) if inner_rtol is None else positive("inner_rtol", inner_rtol)
    spent, norm = 0, 0.0

    def counted(x: Tensor) -> Tensor:
        nonlocal spent, norm
        spent += 1
        out = matvec(x).detach()
        norm = max(norm, float(torch.linalg.vector_norm(out) / torch.linalg.vector_norm(x).clamp_min(1e-300)))
        return out

    def inverse(b: Tensor) -> Tensor:
        if spent >= budget:
            return torch.full_like(b, torch.nan)
        system, right = _system(counted, b, at)
        found = gmres(system, right, rtol=rtol, restart=inner_restart, max_products=max(1, budget - spent))
        if not found.converged and found.status != "budget" and not found.residual <= 100 * rtol:
            remedy = "move the shift off the eigenvalue or nearer the boundary, or raise inner_restart or inner_rtol"
            raise SolveError(
                f"(A - {at}) x = b was not solved: {found.status}, residual {found.residual:.1e}; {remedy}"
            )
        return found.x[: len(b)]

    given: dict[str, Any] = {"basis": basis, "tol": tol, "multiple": multiple, "progress": progress}
    inner = eigenpairs(inverse, start, k, max_products=budget, **given)
    return _of_operator(counted, inner, at, tol, lambda: (spent, norm))


def _shift(shift: complex) -> complex:
    try:
        value = complex(shift)
    except (TypeError, ValueError):
        raise ArgumentError("shift", "a real or complex number", shift) from None
    finite("shift", value.real)
    finite("shift", value.imag)
    return value


def _system(matvec: Callable[[Tensor], Tensor], b: Tensor, shift: complex) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """`A - s` and its right-hand side; for a complex s, real and imaginary part stacked."""
    a, w = shift.real, shift.imag
    if not w:
        return lambda x: matvec(x) - a * x, b
    n = len(b)

    def stacked(x: Tensor) -> Tensor:
        real, imaginary = x[:n], x[n:]
        top = matvec(real) - a * real + w * imaginary
        return torch.cat([top, matvec(imaginary) - a * imaginary - w * real])

    return stacked, torch.cat([b, torch.zeros_like(b)])


def _of_operator(
    matvec: Callable[[Tensor], Tensor],
    inner: RitzPairs,
    shift: complex,
    tol: float,
    totals: Callable[[], tuple[int, float]],
) -> RitzPairs:
    """The pairs of A on the invariant subspace that its inverse has given, nearest first."""
    (before, _), rows = totals(), inner.schur
    images = images_of(matvec, rows)
    small = (rows @ images.t()).double().cpu().numpy()
    values, residuals, weights = with_residuals(images, rows, small)
    order = np.argsort(np.minimum(abs(values - shift), abs(values - np.conj(shift))), kind="stable")
    products, norm = totals()
    converged = residuals[order] <= (tol + 10 * rounding(rows)) * norm
    return RitzPairs(
        values=values[order],
        residuals=residuals[order],
        converged=converged,
        status=borne_out({"inexact": "converged", "non_finite": "budget"}.get(inner.status, inner.status), converged),
        norm=norm,
        products=before,
        residual_products=products - before,
        restarts=inner.restarts,
        schur=rows,
        small=small,
        vectors_by=weights[:, order],
        basis=rows.sum(0, keepdim=True) / len(rows) ** 0.5 if len(rows) else inner.basis[:1],
        projected=np.zeros((1, 0)),  # of A these rows are no Krylov decomposition: one goes on from their sum
    )
