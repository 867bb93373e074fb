"""What one step does to a single mode `y' = lambda y`: by how much it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gamedyn.stability.symbols import symbol

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gamedyn.methods import Method

__all__ = ["amplification"]


def amplification(method: str | Method, z: ArrayLike) -> NDArray[np.float64]:
    """|R(z)|, or the largest modulus of a characteristic root: the growth of one step on `y' = lambda y`.

    Args:
        method: a method that treats players and parts of J alike, or its name.
        z: values of h*lambda, any shape.

    Returns:
        As z, float64; at most 1 inside the region of absolute stability.

    Raises:
        ArgumentError: for a partitioned method, or another that needs blocks.

    Example:
        >>> float(amplification("euler", -2.0)), round(float(amplification("bdf2", 1j)), 4)
        (1.0, 0.9333)
    """
    return np.asarray(np.abs(symbol(method).factor(z)))
