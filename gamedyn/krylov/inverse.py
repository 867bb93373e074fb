"""Eigenvalues nearest a shift: Krylov-Schur on the inverse, each of whose products is a GMRES solve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gamedyn._lib.checks import finite, positive, positive_int
from gamedyn._lib.errors import ArgumentError, SolveError
from gamedyn.krylov._basis import rounding
from gamedyn.krylov._projected import ordered
from gamedyn.krylov.gmres import gmres
from gamedyn.krylov.ritz import RitzPairs, borne_out, images_of, with_residuals
from gamedyn.krylov.schur import eigenpairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

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

    For clusters near 0, and inside a spectrum. Distances are those to s or its conjugate, whichever is nearer, since
    eigenvalues come in pairs. For a complex shift the inverse acts on real and imaginary part stacked, 2 n numbers, and
    2 k pairs are sought there: `1/(lambda - s)` and its conjugate belong to one lambda, and its conjugate counts apart.
    Values and residuals are those of A.

    Args:
        matvec: x -> A x, (n,) to (n,).
        start: first vector, (n,).
        k: how many.
        shift: s; no eigenvalue itself.
        tol: of the residuals `|A x - lambda x|`, relative to |A| (as far as the products showed it).
        basis: as for `eigenpairs`; GMRES holds `inner_restart` vectors more. For a complex s all have the length
            2 n, and those of the basis are twice as many.
        max_products: bound on the products with A; None: 20,000.
        multiple: as for `eigenpairs`.
        inner_rtol: of the systems; None: tol / 10, or 20 roundings of the dtype where that is more.
        inner_restart: of GMRES.
        progress: whether to show a progress bar.

    Raises:
        ArgumentError: for a bad argument.
        SolveError: if a system cannot be solved: s is an eigenvalue, or too far inside the spectrum for GMRES.

    Source: Saad 2011, Numerical Methods for Large Eigenvalue Problems, 8.1. The real part of the inverse alone, as in
        Parlett, Saad 1987, Linear Algebra Appl. 88, p. 575, orders eigenvalues otherwise than by their distance.

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
    spent, norm, wanted = 0, 0.0, k

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
        return found.x

    if at.imag:
        start, k, basis = _stacked(start), min(2 * k, 2 * len(start)), None if basis is None else 2 * basis
    given: dict[str, Any] = {"basis": basis, "tol": tol, "multiple": multiple, "progress": progress}
    inner = eigenpairs(inverse, start, k, max_products=budget, **given)
    rows = _rows_of_operator(inner, tol) if at.imag else inner.schur
    return _of_operator(counted, inner, rows, wanted, at, tol, lambda: (spent, norm))


def _shift(shift: complex) -> complex:
    try:
        value = complex(shift)
    except (TypeError, ValueError):
        raise ArgumentError("shift", "a real or complex number", shift) from None
    finite("shift", value.real)
    finite("shift", value.imag)
    return value


def _stacked(start: Tensor) -> Tensor:
    """A first vector in which real and imaginary part differ."""
    if not isinstance(start, Tensor) or start.ndim != 1:
        return start  # `eigenpairs` says what is wrong
    return torch.cat([start, start.flip(0)])


def _system(matvec: Callable[[Tensor], Tensor], b: Tensor, shift: complex) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """`A - s` and its right-hand side; for a complex s both on real and imaginary part stacked."""
    a, w = shift.real, shift.imag
    if not w:
        return lambda x: matvec(x) - a * x, b
    n = len(b) // 2

    def stacked(x: Tensor) -> Tensor:
        real, imaginary = x[:n], x[n:]
        top = matvec(real) - a * real + w * imaginary
        return torch.cat([top, matvec(imaginary) - a * imaginary - w * real])

    return stacked, b


def _rows_of_operator(inner: RitzPairs, tol: float) -> Tensor:
    """Orthonormal rows of length n whose span holds what the stacked inverse has given.

    Its invariant subspace is spanned by (w, -i w) and (u*, i u*), w and u (generalised) eigenvectors of A: both halves
    of its vectors lie in the span of theirs. What is small beside the rest is the error of the rest.
    """
    n = inner.schur.shape[1] // 2
    _, sizes, rows = torch.linalg.svd(torch.cat([inner.schur[:, :n], inner.schur[:, n:]]), full_matrices=False)
    kept: Tensor = rows[sizes > max(1e-6, 1e2 * tol)]
    return kept


def _of_operator(
    matvec: Callable[[Tensor], Tensor],
    inner: RitzPairs,
    rows: Tensor,
    k: int,
    shift: complex,
    tol: float,
    totals: Callable[[], tuple[int, float]],
) -> RitzPairs:
    """The pairs of A on the invariant subspace that its inverse has given, nearest first."""
    before, _ = totals()
    images = images_of(matvec, rows)
    small = (rows @ images.t()).double().cpu().numpy()
    if len(small) > k:  # of what came along, the nearest alone
        form = ordered(small, lambda x: -_distance(x, shift), k, symmetric=False)
        Q = torch.as_tensor(form.Q[:, : form.first], dtype=rows.dtype, device=rows.device)
        rows, images, small = Q.t() @ rows, Q.t() @ images, form.T[: form.first, : form.first]
    values, residuals, weights = with_residuals(images, rows, small)
    order = np.argsort(_distance(values, shift), kind="stable")
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


def _distance(values: NDArray[np.complex128], shift: complex) -> NDArray[np.float64]:
    """To the shift or its conjugate, whichever is nearer."""
    return np.asarray(np.minimum(abs(values - shift), abs(values - np.conj(shift))))
