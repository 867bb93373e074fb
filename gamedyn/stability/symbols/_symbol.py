"""The common surface of all families whose modes decouple: what one step does to `y' = lambda y`, z = h lambda."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from gamedyn.stability.symbols.polynomial import Polynomial
    from gamedyn.stability.symbols.rational_function import RationalFunction

__all__ = ["Symbol"]


class Symbol(ABC):
    """What one step of a method does to a single mode.

    Attributes:
        digits: decimals that its coefficients are trusted to; None: exact.
        time_scale: the method's clock.
        rational: R(z) of a one-step method that has one, else None.
        linear: rho and sigma, where the multipliers at z solve `rho - z sigma = 0`, else None.
    """

    digits: int | None = None
    time_scale: Fraction = Fraction(1)
    rational: RationalFunction | None = None
    linear: tuple[Polynomial, Polynomial] | None = None

    @abstractmethod
    def multipliers(self, z: ArrayLike) -> NDArray[np.complex128]:
        """All factors by which a step can multiply, (..., k); infinite at a pole."""

    @abstractmethod
    def factor(self, z: ArrayLike) -> NDArray[np.complex128]:
        """The multiplier of largest modulus: R(z), or the dominant characteristic root. Shape of z."""

    @abstractmethod
    def contains(self, z: NDArray[np.complex128]) -> NDArray[np.bool_]:
        """Whether z, (n,), lies in the region of absolute stability: fast, rounding decides on the boundary itself."""

    @abstractmethod
    def slope(self, z: complex) -> float:
        """`d ln rho / d ln h` at `z = h lambda`; infinite where two multipliers of that modulus meet."""

    @abstractmethod
    def crossings(self, u: complex, level: float) -> list[float]:
        """All r > 0 at which a multiplier may have modulus `level` on the ray `z = r u`, sorted."""

    @abstractmethod
    def sign(self, r: float, u: complex, level: float) -> int:
        """At `z = r u`: 1 if a multiplier exceeds `level`, -1 if all are below it, 0 on the circle; exactly."""

    @abstractmethod
    def decays(self, modes: NDArray[np.complex128], low: float, high: float) -> NDArray[np.bool_]:
        """For which eigenvalues growth is ruled out, in arrays, under every step in (low, high]; False says nothing.

        Args:
            modes: eigenvalues, none of them 0, (n,).
            low: at least 0.
            high: above low; may be infinite.
        """

    @abstractmethod
    def matrix(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """The step's matrix on `y' = J y`, Z = h J: R(Z), or the block companion matrix."""

    @abstractmethod
    def logarithm(self) -> Iterator[Fraction]:
        """Coefficients of z, z^2, ... in the logarithm of the principal multiplier."""

    @abstractmethod
    def at_infinity(self) -> float:
        """The growth of an infinitely stiff mode."""

    @abstractmethod
    def plain(self) -> dict[str, Any]:
        """The coefficients as JSON of plain numbers, each rounded once, with their `kind`."""
