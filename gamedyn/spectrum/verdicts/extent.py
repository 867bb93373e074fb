"""Between which numbers a symmetric operator's eigenvalues lie: exactly when small, with a stated risk when large."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gamedyn._lib.checks import positive, positive_int
from gamedyn.krylov.ritz_range import ritz_range

if TYPE_CHECKING:
    from gamedyn.krylov import LinearOperator

__all__ = ["Extent", "extent"]


@dataclass(frozen=True)
class Extent:
    """Bounds of the least and the largest eigenvalue of a symmetric operator.

    Attributes:
        least: (lower, upper) bound of the least eigenvalue.
        largest: (lower, upper) bound of the largest.
        null: eigenvalues that are zero to rounding, or None where not all are known.
        size: dimension.
        risk: probability that a bound is wrong; 0 where the matrix was formed.
        residual: larger residual of the two Ritz pairs behind the inner bounds; 0 where the matrix was formed.
    """

    least: tuple[float, float]
    largest: tuple[float, float]
    null: int | None
    size: int
    risk: float
    residual: float

    @property
    def sign(self) -> str:
        """What is certain: "positive" or "negative" (definite), "indefinite", "zero", "semidefinite", or "unknown"."""
        if self.null == self.size:
            return "zero"
        if self.least[0] > 0 or self.largest[1] < 0:
            return "positive" if self.least[0] > 0 else "negative"
        if self.least[1] < 0 < self.largest[0]:
            return "indefinite"
        return "semidefinite" if self.null else "unknown"


def extent(
    operator: LinearOperator,
    *,
    formed: bool,
    basis: int = 80,
    risk: float = 1e-9,
    scale: float | None = None,
    error: float = 0.0,
) -> Extent:
    """The extreme eigenvalues of a symmetric operator A, between bounds.

    Formed: LAPACK's values, give or take `n eps |A|`. Not formed: a Ritz value bounds an extreme eigenvalue from
    inside; from outside, after m Lanczos steps from a random vector, the gap is at most `x (largest - least)` but for a
    probability of `1.648 sqrt(n) exp(-sqrt(x) (2 m - 1))`.

    Args:
        operator: symmetric, (n, n).
        formed: whether to form the matrix.
        basis: m, the Lanczos steps, and vectors kept.
        risk: the probability that may remain that an outer bound is wrong.
        scale: what rounding is relative to; None: |A|. A block is as exact as the matrix it is a part of.
        error: by how much A may be off besides, |A - exact|.

    Source: Kuczynski, Wozniakowski 1992, SIAM J. Matrix Anal. Appl. 13, p. 1094, theorem 4.2.

    Example:
        >>> from gamedyn.krylov import LinearOperator
        >>> A = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
        >>> found = extent(LinearOperator((2, 2), A.mv, A.mv, dtype=A.dtype), formed=True)
        >>> found.sign, [round(x, 9) for x in (*found.least, *found.largest)]
        ('positive', [1.0, 1.0, 3.0, 3.0])
    """
    positive("risk", risk)
    n, eps = operator.shape[0], torch.finfo(operator.dtype).eps
    if formed or n <= positive_int("basis", basis, least=4):
        matrix = operator.to_dense().double().cpu().numpy()
        values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        margin = n * eps * max(float(np.abs(values).max(initial=0.0)), scale or 0.0) + error
        null = int((np.abs(values) <= margin).sum())
        low, high = float(values[0]), float(values[-1])
        return Extent((low - margin, low + margin), (high - margin, high + margin), null, n, 0.0, 0.0)
    g = torch.Generator(device=operator.device).manual_seed(0)
    start = torch.randn(n, dtype=operator.dtype, device=operator.device, generator=g)
    found = ritz_range(operator.matvec, start, basis)
    low, high = found.least[0], found.largest[0]
    margin = math.sqrt(n) * eps * max(found.norm, scale or 0.0) + error
    gap = (math.log(1.648 * math.sqrt(n) / risk) / (2 * found.steps - 1)) ** 2
    outside = (
        math.inf if gap >= 0.5 else (high - low) * gap / (1 - 2 * gap)
    )  # both ends of the spread are seen from inside
    return Extent(
        (low - outside - margin, low + margin),
        (high - margin, high + outside + margin),
        n if found.norm <= margin else None,
        n,
        risk,
        max(found.least[1], found.largest[1]),
    )
