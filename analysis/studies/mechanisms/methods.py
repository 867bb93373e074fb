"""The integrators that are compared, and those made to tell the mechanisms apart."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import gamedyn as gd

__all__ = ["CONTROLS", "chebyshev", "repeated"]


def repeated(method: Any, times: int) -> Any:
    """So many steps of an explicit Runge-Kutta method, each of h / times, as one step of h on one batch.

    Its order is the method's; its error goes down by `times ** order`: what it gives is the solution of the batch's
    own flow, to any accuracy.
    """
    base: Any = gd.methods.get(method) if isinstance(method, str) else method
    s, rows, weights = Fraction(1, times), list[Any](), list[Any]()
    for _ in range(times):
        rows += [[*weights, *(s * a for a in row)] for row in base.A]
        weights += [s * b for b in base.b]
    return gd.methods.RungeKutta(A=[_padded(r, len(weights)) for r in rows], b=weights)


def chebyshev(stages: int) -> Any:
    """The first-order method with the longest real stability interval, `2 s^2`: `R(z) = T_s(1 + z / s^2)`.

    Source: van der Houwen, Sommeijer 1980; Hairer, Wanner, *Solving ODEs II*, IV.2, eq. (2.10).
    """
    w = Fraction(1, stages**2)
    values = [[Fraction(0)] * stages for _ in range(stages + 1)]  # Y_j - y, in the slopes k_0 ... k_(s - 1)
    for j in range(1, stages + 1):
        if j > 1:
            values[j] = [2 * a - b for a, b in zip(values[j - 1], values[j - 2], strict=True)]
        values[j][j - 1] += (2 if j > 1 else 1) * w
    return gd.methods.RungeKutta(A=values[:stages], b=values[stages])


def _padded(row: list[Any], size: int) -> list[Any]:
    return [*row, *([0] * (size - len(row)))]


CONTROLS: dict[str, Any] = {
    "exact": repeated("rk4", 3),
    "chebyshev4": chebyshev(4),
    **{f"dial {k / 4:g}": gd.methods.optimistic(Fraction(k, 4)) for k in range(5)},
}
"""`exact`: Euler's steps, each solved; `chebyshev4`: rk4's work, order 1, a real limit 11 times rk4's; `dial a`: one
evaluation a step, numerical damping `(a - 1/2) h omega^2` of a rotation, order 2 at a = 1/2 alone."""
