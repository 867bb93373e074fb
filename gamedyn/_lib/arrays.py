"""Arrays of numbers from what a caller gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["complex_array"]


def complex_array(argument: str, value: object) -> NDArray[np.complex128]:
    """Return `value` as an array of complex numbers, of any shape.

    Raises:
        ArgumentError: for text, rows of different lengths, or what is no number.

    Example:
        >>> complex_array("z", [1, 1j])
        array([1.+0.j, 0.+1.j])
    """
    try:
        return np.asarray(value, dtype=np.complex128)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ArgumentError(argument, "complex numbers", value) from None
