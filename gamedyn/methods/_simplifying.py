"""Butcher's simplifying assumptions: orders beyond those to which rooted trees are counted out."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gamedyn.methods._coefficients import tolerance_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["order_beyond"]

Table = tuple[tuple[Fraction, ...], ...]


def order_beyond(A: Table, b: Sequence[Fraction], known: int, digits: int | None) -> tuple[int, bool]:
    """The order of a method that has at least the order `known`, and whether it is that and no more.

    `B(p)`, `C(eta)`, `D(zeta)` with `p <= eta + zeta + 1` and `p <= 2 eta + 2` give order p; where `B(p + 1)` fails it
    is no higher.

    Source: Butcher 1964, Math. Comp. 18, p. 50; Hairer, Norsett, Wanner I, II.7, theorem 7.4.

    Example:
        >>> half = Fraction(1, 2)
        >>> order_beyond(((half,),), (Fraction(1),), 1, None)  # the implicit midpoint rule
        (2, True)
    """
    small, s = tolerance_of(digits), len(b)
    c = [sum(r, Fraction(0)) for r in A]
    most = 2 * s + 1  # no quadrature of s nodes is exact beyond 2 s

    def B(q: int) -> bool:
        return abs(sum((w * x ** (q - 1) for w, x in zip(b, c, strict=True)), Fraction(0)) - Fraction(1, q)) <= small

    def C(q: int) -> bool:
        return all(
            abs(sum((a * x ** (q - 1) for a, x in zip(r, c, strict=True)), Fraction(0)) - node**q / q) <= small
            for r, node in zip(A, c, strict=True)
        )

    def D(q: int) -> bool:
        return all(
            abs(sum((b[i] * c[i] ** (q - 1) * A[i][j] for i in range(s)), Fraction(0)) - b[j] * (1 - c[j] ** q) / q)
            <= small
            for j in range(s)
        )

    def holds(condition: object) -> int:
        return next((q - 1 for q in range(1, most + 1) if not condition(q)), most)  # type: ignore[operator]

    quadrature, eta, zeta = holds(B), holds(C), holds(D)
    found = max(known, min(quadrature, eta + zeta + 1, 2 * eta + 2))
    return found, found == quadrature
