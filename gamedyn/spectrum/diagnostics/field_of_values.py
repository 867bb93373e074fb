"""The numerical range of a Jacobian: a convex set that holds every eigenvalue, found from its boundary."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from gamedyn._lib.arrays import complex_array
from gamedyn._lib.checks import positive, positive_int
from gamedyn.krylov import symmetric_eigenpairs
from gamedyn.spectrum.diagnostics.density import operator_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from gamedyn.krylov import LinearOperator
    from gamedyn.spectrum.diagnostics.density import Jacobian

__all__ = ["NumericalRange", "numerical_range"]

ROUNDINGS = 100
"""Least tolerance of Lanczos, in roundings."""


@dataclass(frozen=True, eq=False)
class NumericalRange:
    """The numerical range `{x* J x : |x| = 1}`, convex, which contains every eigenvalue.

    Attributes:
        points: of the boundary, anticlockwise, (2 angles,): each is `x* J x` for an x that was found, so their polygon
            lies inside the range whatever Lanczos has missed.
        directions: complex units u of the outward normals there.
        supports: `max Re(conj(u) z)` over the range, as found: the outer lines.
        residuals: of the eigenpair that each came from, computed afresh.
        products: products with J and J^T that it took.
    """

    points: NDArray[np.complex128]
    directions: NDArray[np.complex128]
    supports: NDArray[np.float64]
    residuals: NDArray[np.float64]
    products: int

    @property
    def abscissa(self) -> float:
        """The numerical abscissa, the rightmost point: the largest growth rate of any perturbation at any time."""
        return float(self.supports[0])

    def excludes(self, z: ArrayLike) -> NDArray[np.bool_]:
        """Whether no eigenvalue can lie at z: it is beyond one of the lines by more than that line's residual."""
        at = complex_array("z", z)[..., None]
        return np.asarray(((at * self.directions.conj()).real > self.supports + self.residuals).any(-1))


def numerical_range(
    J: Jacobian,
    *,
    angles: int = 16,
    tol: float = 1e-8,
    max_products: int = 300,
    seed: int = 0,
    progress: bool = False,
) -> NumericalRange:
    """The boundary of the numerical range, point by point.

    In the direction u it is reached by the eigenvector of the largest eigenvalue of the Hermitian matrix
    `Re(conj(u) J) = cos(phi) S - i sin(phi) A`, u = exp(i phi), found by Lanczos. J is real, so the lower half
    mirrors the upper one.

    Args:
        J: a GameJacobian, a Linearisation, or a matrix.
        angles: directions from 0 to pi, both included.
        tol: on the residual, relative to the norm in that direction; in float32 1e-5 at least.
        max_products: bound for each direction, a product taking four with J or J^T; `residuals` tell what it cost.
        seed: of the first vector.
        progress: whether to show a progress bar.

    Raises:
        ArgumentError: for a J that is none, or fewer than 2 angles.

    Source: Johnson 1978, SIAM J. Numer. Anal. 15, p. 595.

    Example:
        >>> found = numerical_range(torch.tensor([[-1.0, 20.0], [0.0, -2.0]], dtype=torch.float64))
        >>> round(found.abscissa, 4)  # the eigenvalues are -1 and -2
        8.5125
    """
    positive_int("angles", angles, least=2)
    operator = operator_of(J)
    tol = max(positive("tol", tol), ROUNDINGS * float(torch.finfo(operator.dtype).eps))
    n, rows, used = operator.shape[0], [], 0
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2 * n, generator=generator, dtype=torch.float64).to(operator.device, operator.dtype)
    start, phis = noise, np.linspace(0.0, math.pi, angles)
    for phi in tqdm(phis, disable=None if progress else True, unit="angle"):
        product = _turned(operator, float(phi))
        found = symmetric_eigenpairs(product, start, 1, "rightmost", tol=tol, max_products=max_products)
        z = found.schur[0] / found.schur[0].norm()
        x, y = z[:n].clone(), z[n:].clone()
        forward = operator.matvec(x), operator.matvec(y)
        point = complex(float(x @ forward[0] + y @ forward[1]), float(x @ forward[1] - y @ forward[0]))
        support = math.cos(phi) * point.real + math.sin(phi) * point.imag  # the quotient itself: never beyond the range
        rows.append((point, support, float((product(z) - support * z).norm())))
        used += 4 * (found.products + found.residual_products) + 6
        start = z + 0.1 * noise / noise.norm()  # the neighbour's vector, and a part of every other
    points, supports, residuals = (np.array(c) for c in zip(*rows, strict=True))
    units = np.exp(1j * phis)
    order = np.r_[np.arange(angles), np.arange(angles - 2, 0, -1)]
    lower = np.arange(len(order)) >= angles
    return NumericalRange(
        np.where(lower, points[order].conj(), points[order]),
        np.where(lower, units[order].conj(), units[order]),
        supports[order],
        residuals[order],
        used,
    )


def _turned(J: LinearOperator, phi: float) -> Callable[[Tensor], Tensor]:
    """The Hermitian matrix `cos(phi) S - i sin(phi) A` on stacked real and imaginary parts, (2n,): symmetric there."""
    c, s = math.cos(phi), math.sin(phi)

    def product(z: Tensor) -> Tensor:
        x, y = z[: J.shape[0]].clone(), z[J.shape[0] :].clone()
        forward, back = [J.matvec(x), J.matvec(y)], [J.rmatvec(x), J.rmatvec(y)]
        S, A = ([(f + sign * b) / 2 for f, b in zip(forward, back, strict=True)] for sign in (1, -1))
        return torch.cat([c * S[0] + s * A[1], c * S[1] - s * A[0]])

    return product
