"""The symbol of exponential methods: exp(z), what the flow itself does."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import expm

from gamedyn._lib.arrays import complex_array
from gamedyn.stability.symbols._symbol import Symbol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    Complex = NDArray[np.complex128]

__all__ = ["Exponential"]


class Exponential(Symbol):
    """`exp(z)`: linear games are solved exactly."""

    def multipliers(self, z: ArrayLike) -> Complex:
        """See `Symbol.multipliers`."""
        return self.factor(z)[..., None]

    def factor(self, z: ArrayLike) -> Complex:
        """See `Symbol.factor`."""
        return np.exp(complex_array("z", z))

    def contains(self, z: Complex) -> NDArray[np.bool_]:
        """See `Symbol.contains`."""
        return np.asarray(z.real <= 0)

    def slope(self, z: complex) -> float:
        """See `Symbol.slope`."""
        return float(np.real(z))

    def crossings(self, u: complex, level: float) -> list[float]:
        """See `Symbol.crossings`."""
        return [float(np.log(level) / u.real)] if u.real > 0 and level > 1 else []

    def sign(self, r: float, u: complex, level: float) -> int:
        """See `Symbol.sign`."""
        return int(np.sign(r * u.real - np.log(level)))

    def decays(self, modes: Complex, low: float, high: float) -> NDArray[np.bool_]:
        """See `Symbol.decays`."""
        return np.asarray(modes.real <= 0)

    def matrix(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Symbol.matrix`."""
        return np.asarray(expm(Z))

    def logarithm(self) -> Iterator[Fraction]:
        """See `Symbol.logarithm`."""
        yield Fraction(1)
        while True:
            yield Fraction(0)

    def at_infinity(self) -> float:
        """See `Symbol.at_infinity`: the limit on the negative real axis."""
        return 0.0

    def plain(self) -> dict[str, Any]:
        """See `Symbol.plain`."""
        return {"kind": "exponential"}
