"""The outer boundary of a spectrum too large to form: extreme eigenvalues by ARPACK, each with its true residual.

The step is decided by the outer boundary (leftmost, largest modulus, largest imaginary part), the flow by the
rightmost. ARPACK may return wrong values for extreme real parts of non-normal matrices without saying so;
the residual `|J x - lambda x| / |x|`, taken here by products of its own, says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from gamedyn.stability import Eigenvalues

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gamedyn.core import Products

__all__ = ["KINDS", "extreme", "outer_eigenvalues"]

KINDS = {"rightmost": "LR", "leftmost": "SR", "largest_modulus": "LM", "largest_imaginary": "LI"}

Pairs = tuple["NDArray[np.complex128]", "NDArray[np.float64]"]


def outer_eigenvalues(products: Products, k: int = 8) -> Eigenvalues:
    """The k rightmost, leftmost, largest in modulus and in imaginary part, without repeats.

    Args:
        products: of the Jacobian.
        k: how many of each kind.

    Returns:
        Eigenvalues with `complete=False` and true residuals; pairs that did not converge have large ones.
    """

    def matvec(x: NDArray[np.float64]) -> NDArray[np.float64]:
        u = torch.as_tensor(np.ascontiguousarray(x.reshape(-1))).to(products.value)
        return products.jvp(u).double().cpu().numpy()

    found = [extreme(matvec, products.n, k, which) for which in KINDS.values()]
    values, residuals = (np.concatenate(x) for x in zip(*found, strict=True))
    return Eigenvalues(*_unique(values, residuals))


def extreme(
    matvec: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    n: int,
    k: int,
    which: str,
    tol: float = 1e-9,
    restarts: int = 40,
) -> Pairs:
    """The k extreme eigenvalues of one kind and their true residuals; the whole spectrum of a tiny matrix.

    Args:
        matvec: x -> A x on float64 vectors (n,).
        n: dimension.
        k: how many.
        which: ARPACK's name of the kind: LR, SR, LM or LI.
        tol: relative accuracy asked of ARPACK.
        restarts: bound on its restarts; what has not converged by then is left out.
    """
    if n <= max(12, k + 2):
        A = np.column_stack([matvec(e) for e in np.eye(n)])
        values, vectors = np.linalg.eig(A)
        return values.astype(np.complex128), np.linalg.norm(A @ vectors - vectors * values, axis=0)
    operator = LinearOperator((n, n), matvec=matvec, dtype=np.float64)
    size = min(n, max(4 * k, 48))
    start = np.random.default_rng(0).standard_normal(n)
    try:
        values, vectors = eigs(operator, k=k, which=which, ncv=size, v0=start, tol=tol, maxiter=restarts)
    except ArpackNoConvergence as partial:
        values, vectors = partial.eigenvalues, partial.eigenvectors
    residuals = np.array([_residual(matvec, v, x) for v, x in zip(values, vectors.T, strict=True)])
    return np.asarray(values, dtype=np.complex128), residuals


def _residual(
    matvec: Callable[[NDArray[np.float64]], NDArray[np.float64]], value: complex, x: NDArray[np.complex128]
) -> float:
    image = matvec(np.ascontiguousarray(x.real)) + (1j * matvec(np.ascontiguousarray(x.imag)) if np.any(x.imag) else 0)
    return float(np.linalg.norm(image - value * x) / np.linalg.norm(x))


def _unique(
    values: NDArray[np.complex128], residuals: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], bool, NDArray[np.float64]]:
    """One of each, the one with the smaller residual."""
    keep: list[int] = []
    scale = float(np.abs(values).max(initial=0.0))
    for i in np.argsort(residuals, kind="stable"):
        if all(abs(values[i] - values[j]) > 1e-6 * scale for j in keep):
            keep.append(int(i))
    keep.sort(key=lambda i: (-values[i].real, -values[i].imag))
    return values[keep], False, residuals[keep]
