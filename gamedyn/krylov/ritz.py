"""Eigenpairs as a Krylov method leaves them: true residuals, and the basis to go on from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gamedyn.krylov._projected import eigen

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["RitzPairs", "borne_out", "images_of", "with_residuals"]


@dataclass(frozen=True, eq=False)
class RitzPairs:
    """Approximate eigenvalues of an operator A, the most wanted first.

    Attributes:
        values: (k,), complex.
        residuals: `|A x - lambda x|` of each, |x| = 1, from products of their own.
        converged: whether the residual is at most tol * norm: of the pair, not of its being wanted. A space grown from
            one vector can miss an eigenvalue that is wanted more; none is missing for certain where `complete`.
        status: "converged", all of them are; "inexact", the iteration says so, the true residuals do not (a product
            that is not linear, or not the same each time, or not accurate enough); "budget", the products ran out;
            "non_finite", a product was.
        norm: a lower bound of |A|_2, close to it for a normal operator.
        products: of the iteration.
        residual_products: of the residuals, after it.
        restarts: of the basis.
        schur: orthonormal rows that span the invariant subspace, (k, n).
        small: A on them, (k, k): `A schur^T = schur^T small` up to the residuals.
        vectors_by: weights of the rows that make the eigenvectors, (k, k).
        basis: rows to go on from, (p + 1, n).
        projected: A on these, the last row what leads out of them, (p + 1, p).
    """

    values: NDArray[np.complex128]
    residuals: NDArray[np.float64]
    converged: NDArray[np.bool]
    status: str
    norm: float
    products: int
    residual_products: int
    restarts: int
    schur: Tensor = field(repr=False)
    small: NDArray[np.float64] = field(repr=False)
    vectors_by: NDArray[np.complex128] = field(repr=False)
    basis: Tensor = field(repr=False)
    projected: NDArray[np.float64] = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether they are all there are."""
        return len(self.values) == self.basis.shape[-1]

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.values, dtype=dtype)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: eigenvalues as pairs, residuals and what they cost; no vectors."""
        return {
            "eigenvalues": [[x.real, x.imag] for x in self.values.tolist()],
            "residuals": self.residuals.tolist(),
            "converged": self.converged.tolist(),
            "complete": self.complete,
            **{k: getattr(self, k) for k in ("status", "norm", "products", "residual_products", "restarts")},
        }

    @property
    def memory(self) -> int:
        """Bytes that the basis holds, the Schur vectors among it."""
        return int(self.basis.untyped_storage().nbytes())

    def vector(self, i: int) -> Tensor:
        """The i-th eigenvector, (n,), complex, of length 1."""
        weights = torch.as_tensor(self.vectors_by[:, i], device=self.schur.device)
        real, imaginary = (self.schur.t() @ part.to(self.schur.dtype) for part in (weights.real, weights.imag))
        return torch.complex(real, imaginary)

    def start(self) -> Tensor:
        """A vector in which every wanted direction takes part: where a search on an operator near A may begin, (n,)."""
        return self.schur.sum(0)


def borne_out(status: str, converged: NDArray[np.bool]) -> str:
    """The status that the true residuals leave."""
    return "inexact" if status == "converged" and not converged.all() else status


def images_of(matvec: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """The products with all rows, copied: an operator may return one tensor again and again, (k, n)."""
    images = torch.empty_like(rows)
    for image, row in zip(images, rows, strict=True):
        image.copy_(matvec(row).detach())
    return images


def with_residuals(
    images: Tensor, rows: Tensor, small: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.float64], NDArray[np.complex128]]:
    """Eigenvalues of A on orthonormal rows, their residuals from the rows' images, and the eigenvectors' weights."""
    values, weights = eigen(small)
    residuals = np.empty(len(values))
    for i, (value, y) in enumerate(zip(values, weights.T, strict=True)):
        parts = [(y.real, (value * y).real), (y.imag, (value * y).imag)]
        misfits = [_length(images, a, rows, b) for a, b in parts]
        lengths = [_length(rows, a, rows, np.zeros_like(b)) for a, b in parts]  # 1, unless the rows are not orthonormal
        residuals[i] = math.hypot(*misfits) / math.hypot(*lengths)
    return values, residuals, weights


def _length(first: Tensor, a: NDArray[np.float64], second: Tensor, b: NDArray[np.float64]) -> float:
    """`|first^T a - second^T b|`."""
    pairs = [(x, w) for x, w in ((first, a), (second, -b)) if w.any()]
    vectors = [torch.mv(x.t(), torch.as_tensor(w, dtype=x.dtype, device=x.device)) for x, w in pairs]
    return float(torch.linalg.vector_norm(torch.stack(vectors).sum(0))) if vectors else 0.0
