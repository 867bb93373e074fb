"""The outer boundary of a spectrum too large to form: extreme eigenvalues, each with its true residual.

The step is decided by the outer boundary (leftmost, largest modulus, largest imaginary part), the flow by the
rightmost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from gamedyn.krylov import eigenpairs
from gamedyn.stability import Eigenvalues

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gamedyn.krylov import LinearOperator, RitzPairs

__all__ = ["KINDS", "outer_eigenvalues", "outer_pairs"]

KINDS = ("rightmost", "leftmost", "largest_modulus", "largest_imaginary")


def outer_eigenvalues(
    J: LinearOperator,
    k: int = 8,
    *,
    tol: float = 1e-8,
    max_products: int | None = None,
    progress: bool = False,
) -> Eigenvalues:
    """The k rightmost, leftmost, largest in modulus and in imaginary part, without repeats.

    Args:
        J: the Jacobian.
        k: how many of each kind.
        tol: residual, relative to |J|, asked of each.
        max_products: bound for each kind; None: 100 (k + 2).
        progress: whether to show a progress bar for each kind.

    Returns:
        Eigenvalues with `complete=False` and true residuals; pairs that did not converge have large ones.
        All of a Jacobian of few parameters, with `complete=True`.
    """
    pairs = outer_pairs(J, k, tol=tol, max_products=max_products, progress=progress)
    everything = next(iter(pairs.values()))
    if len(everything.values) == J.shape[0]:
        return Eigenvalues(everything.values, True, everything.residuals)
    values, residuals = (np.concatenate([getattr(p, x) for p in pairs.values()]) for x in ("values", "residuals"))
    return Eigenvalues(*_unique(values, residuals))


def outer_pairs(
    J: LinearOperator,
    k: int = 8,
    *,
    tol: float = 1e-8,
    max_products: int | None = None,
    kinds: tuple[str, ...] = KINDS,
    before: Mapping[str, RitzPairs] | None = None,
    progress: bool = False,
) -> dict[str, RitzPairs]:
    """Eigenpairs by kind; `before`, those of a Jacobian near this one, are where the search begins."""
    n, out = J.shape[0], {}
    k = min(k, n)
    for kind in kinds:
        known = None if before is None else before.get(kind)
        g = torch.Generator(device=J.device).manual_seed(0)
        start = torch.randn(n, dtype=J.dtype, device=J.device, generator=g)
        if known is not None and len(known.schur):
            warm = known.start().to(start)
            start = start * (0.01 * float(warm.norm()) / n**0.5) + warm
        size = n if n <= 3 * k + 12 else None
        out[kind] = eigenpairs(
            J.matvec,
            start,
            k if size is None else size,
            kind,
            tol=tol,
            basis=min(n, max(4 * k, 48)),  # the rightmost of a GAN crowd
            max_products=max_products,
            progress=progress,
        )
        if size is not None:
            break  # all of them
    return out


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
