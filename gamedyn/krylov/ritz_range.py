"""Both ends of a symmetric operator's spectrum from one Lanczos run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gamedyn._lib.checks import positive_int
from gamedyn.krylov._decomposition import Decomposition

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["RitzRange", "ritz_range"]


class RitzRange(NamedTuple):
    """The least and the largest Ritz value: the spectrum reaches at least so far.

    Attributes:
        least: (value, residual): an eigenvalue lies within the residual of the value.
        largest: the same.
        norm: a lower bound of |A|.
        steps: Lanczos steps done; n or a breakdown end them.
        exact: whether the whole space was spanned.
    """

    least: tuple[float, float]
    largest: tuple[float, float]
    norm: float
    steps: int
    exact: bool


def ritz_range(matvec: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> RitzRange:
    """Lanczos with full reorthogonalisation, not restarted.

    Args:
        matvec: x -> A x, symmetric, (n,) to (n,).
        start: first vector, (n,).
        steps: products, and vectors kept.

    Source: Saad 2011, Numerical Methods for Large Eigenvalue Problems, 6.6.

    Example:
        >>> import torch
        >>> d = torch.arange(1.0, 101.0, dtype=torch.float64)
        >>> found = ritz_range(lambda x: d * x, torch.ones(100, dtype=torch.float64), 60)
        >>> round(found.least[0], 6), round(found.largest[0], 6)
        (1.0, 100.0)
    """
    at = Decomposition(matvec, start.detach(), min(positive_int("steps", steps), len(start)))
    while at.size < at.limit and not at.exhausted:
        if not at.expand():
            return RitzRange((np.nan, np.inf), (np.nan, np.inf), np.nan, at.size, False)
    values, vectors = np.linalg.eigh((at.square + at.square.T) / 2)
    residuals = np.abs(at.out @ vectors)
    ends = [(float(values[i]), float(residuals[i])) for i in (0, -1)]
    return RitzRange(ends[0], ends[1], at.scale, at.size, at.exhausted)
