"""Whether points lie in the region of absolute stability: fast on whole grids, no roots computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.arrays import complex_array
from gamedyn._lib.errors import ArgumentError
from gamedyn.stability.symbols import symbol

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gamedyn.methods import Method

__all__ = ["is_stable"]

FAR = 1e12
"""Beyond this a point stands for infinity in its quadrant, or on its axis: powers of it overflow."""

CHUNK = 1 << 16
"""Points at a time: what is worked on stays in the cache."""


def is_stable(method: str | Method, z: ArrayLike) -> NDArray[np.bool_]:
    """Whether the mode `z = h lambda` does not grow: `|R(z)| <= 1`, or all characteristic roots in the unit disc.

    Multistep methods by the criterion of Schur and Cohn, which needs no roots: on the boundary itself, a set of
    measure zero, rounding decides.

    Args:
        method: a method whose modes decouple, or its name.
        z: values of h*lambda, any shape.

    Returns:
        As z, bool.

    Raises:
        ArgumentError: for a method that needs blocks.

    Source: Schur 1918; Cohn 1922; Henrici, Applied and Computational Complex Analysis I, theorem 6.8b.

    Example:
        >>> is_stable("bdf3", [-1.0, 1j, 3j]).tolist()
        [True, False, True]
    """
    chosen = symbol(method)
    at = complex_array("z", z)
    if np.isnan(at).any():
        raise ArgumentError("z", "complex numbers", "nan among them")
    flat = at.reshape(-1)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.maximum(np.abs(flat.real), np.abs(flat.imag))
        flat = np.where(size > FAR, np.sign(flat.real) * FAR + 1j * np.sign(flat.imag) * FAR, flat)
    parts = [chosen.contains(flat[i : i + CHUNK]) for i in range(0, max(len(flat), 1), CHUNK)]
    return np.concatenate(parts).reshape(at.shape)
