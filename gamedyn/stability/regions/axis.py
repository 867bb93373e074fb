"""What a method does on the two axes and at infinity: A- and L-stability, the E-polynomial, intervals and bands."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearlyImplicit, Method, RungeKutta, get
from gamedyn.methods._coefficients import tolerance_of
from gamedyn.stability.regions.rays import ray_intervals
from gamedyn.stability.symbols import Recurrence, symbol
from gamedyn.stability.symbols.polynomial import added, divided, gcd, multiplied, trimmed
from gamedyn.stability.symbols.root_location import hurwitz, nonnegative, root_condition, schur
from gamedyn.stability.symbols.squarefree import boundary_polynomial

if TYPE_CHECKING:
    from gamedyn.stability.regions.rays import Interval
    from gamedyn.stability.symbols import Symbol
    from gamedyn.stability.symbols.polynomial import Polynomial

__all__ = [
    "a_stable",
    "axis_intervals",
    "e_polynomial",
    "l_stable",
    "r_infinity",
    "stiffly_accurate",
    "unstable_bands",
]

AXES = {"real": -1.0, "imaginary": 1j}
"""Directions in which the mode is followed from 0."""


def e_polynomial(method: str | Method) -> Polynomial:
    """The E-polynomial of a rational R = P/Q: a method with poles on the right is A-stable iff `E(y) >= 0` for all y.

    `E(y) = |Q(iy)|^2 - |P(iy)|^2`, exactly. Of coefficients that are not exact, those of P that belong to the order
    are made those of exp(s z) Q(z), and what their digits cannot tell from 0 is 0.

    Args:
        method: a Runge-Kutta or Rosenbrock method (W = J), Lookahead over a multistep method, or its name.

    Returns:
        Coefficients of 1, y, y^2, ...; (0,) where |R| = 1 on the whole axis.

    Raises:
        ArgumentError: for a method without a rational R(z).

    Source: Hairer, Wanner II, IV.3, eq. (3.8).

    Example:
        >>> [str(c) for c in e_polynomial("radau_iia3")], [str(c) for c in e_polynomial("gauss4")]
        (['0', '0', '0', '0', '1/36'], ['0'])
    """
    chosen = symbol(method)
    if not isinstance(chosen, Recurrence) or chosen.steps > 1:
        remedy = "multistep methods have characteristic_polynomials, exponential ones exp(z)"
        raise ArgumentError("method", "a method with a rational R(z)", get(method), remedy)
    return trimmed(_e_polynomial(chosen)[0])


def a_stable(method: str | Method) -> bool:
    """Whether no mode with `Re(h lambda) <= 0` grows.

    For rational R: its poles lie in Re z > 0 (Routh) and `E(y) >= 0` (Sturm). For a multistep method:
    `Re(rho(zeta) conj(sigma(zeta))) >= 0` on the unit circle (Sturm) and the root condition at one z on the left
    (Schur, Cohn). Exact data are decided exactly; other data are A-stable if some coefficients with their
    digits are.

    Args:
        method: a method whose modes decouple, or its name.

    Raises:
        ArgumentError: for a method that needs blocks, a discrete map, or a method of another library.

    Source: Hairer, Wanner II, IV.3, eq. (3.6) to (3.8); V.1; Dahlquist 1963, BIT 3 (multistep methods).

    Example:
        >>> a_stable("sdirk2"), a_stable("bdf2"), a_stable("bdf3")
        (True, True, False)
    """
    chosen = symbol(method)
    if chosen.linear is not None:
        return _multistep_a_stable(chosen)
    if isinstance(chosen, Recurrence):
        return _rational_a_stable(chosen)
    return True


def l_stable(method: str | Method) -> bool:
    """Whether the method is A-stable and `R(inf) = 0`: it damps what is infinitely stiff in one step.

    Args:
        method: a method whose modes decouple, or its name.

    Raises:
        ArgumentError: for a method that needs blocks, a discrete map, or a method of another library.

    Source: Ehle 1969; Hairer, Wanner II, IV.3, definition 3.7.

    Example:
        >>> l_stable("radau_iia5"), l_stable("bdf2"), l_stable("trapezoid")
        (True, True, False)
    """
    return r_infinity(method) == 0 and a_stable(method)


def r_infinity(method: str | Method) -> float:
    """The growth of an infinitely stiff mode: `|R(inf)|`, or the largest root of sigma in modulus.

    Args:
        method: a method whose modes decouple, or its name.

    Returns:
        inf for explicit methods; for exponential ones 0, the limit on the negative real axis.

    Raises:
        ArgumentError: for a method that needs blocks, a discrete map, or a method of another library.

    Source: Hairer, Wanner II, IV.3 and V.1.

    Example:
        >>> r_infinity("gauss4"), r_infinity("radau_iia3"), r_infinity("rk4")
        (1.0, 0.0, inf)
    """
    return symbol(method).at_infinity()


def stiffly_accurate(method: str | Method) -> bool:
    """Whether the step ends at its last stage, which is implicit: stiff equations hold there without an error of R.

    Runge-Kutta: `a_si = b_i`. Rosenbrock: `alpha_si + gamma_si = b_i` and `alpha_s = 1`. Explicit methods are not,
    though `a_si = b_i` is what "first same as last" means there.

    Args:
        method: a Runge-Kutta or Rosenbrock method (W = J), or its name.

    Raises:
        ArgumentError: for a method of another family.

    Source: Prothero, Robinson 1974; Hairer, Wanner II, IV.3, proposition 3.8; IV.7.

    Example:
        >>> stiffly_accurate("radau_iia5"), stiffly_accurate("rodas3"), stiffly_accurate("gauss4")
        (True, True, False)
    """
    chosen = get(method)
    if isinstance(chosen, RungeKutta):
        last = chosen.A[chosen.needed - 1]
        return not chosen.explicit and _agree(last, chosen.b, chosen.digits)
    if isinstance(chosen, LinearlyImplicit) and chosen.decouples:
        rows = tuple(a + g for a, g in zip(chosen.A[-1], chosen.gamma[-1], strict=True))
        return _agree((*rows, sum(chosen.A[-1], Fraction(0))), (*chosen.b, Fraction(1)), chosen.digits)
    remedy = "of a method that solves linear systems with all of J, or of stages; r_infinity takes multistep methods"
    raise ArgumentError("method", "a Runge-Kutta or Rosenbrock method", chosen, remedy)


def axis_intervals(method: str | Method, axis: str = "real", *, tolerance: float = 0.0) -> tuple[Interval, ...]:
    """All intervals of an axis on which the mode does not grow, the first and later ones.

    Args:
        method: a method whose modes decouple, or its name.
        axis: "real": of x in `h lambda = -x`; "imaginary": of y in `h lambda = i y`.
        tolerance: growth allowed a step; 0 is strict.

    Returns:
        Sorted, disjoint (low, high); high may be infinite. A touch of the boundary from inside does not split one.

    Raises:
        ArgumentError: for another axis, a negative tolerance, or a method that needs blocks.

    Source: Hairer, Wanner II, IV.2 and V.1.

    Example:
        >>> [tuple(round(x, 4) for x in i) for i in axis_intervals("bdf5", "imaginary")]
        [(0.0, 0.7108), (9.392, inf)]
    """
    direction = AXES[choice("axis", axis, tuple(AXES))]
    if isinstance(tolerance, bool) or not 0 <= tolerance < np.inf:
        raise ArgumentError("tolerance", "a finite number of at least 0", tolerance)
    return tuple(ray_intervals(method, direction, tolerance))


def unstable_bands(method: str | Method, *, tolerance: float = 0.0) -> tuple[Interval, ...]:
    """Bounded gaps of the imaginary axis: rotations that the method amplifies though it bears faster ones.

    Args:
        method: a method whose modes decouple, or its name.
        tolerance: growth allowed a step; 0 is strict.

    Returns:
        Sorted, disjoint (low, high) of y in `h lambda = i y`.

    Raises:
        ArgumentError: for a negative tolerance or a method that needs blocks.

    Source: Hairer, Wanner II, V.1 (root locus curves of the BDF methods).

    Example:
        >>> (band,) = unstable_bands("bdf3")
        >>> band[0], round(band[1] ** 2, 12)
        (0.0, 3.75)
    """
    stable = axis_intervals(method, "imaginary", tolerance=tolerance)
    ends = [(0.0, 0.0), *stable]
    return tuple((a[1], b[0]) for a, b in pairwise(ends) if a[1] < b[0])


def _e_polynomial(R: Recurrence) -> tuple[Polynomial, Polynomial]:
    """E and bounds of the errors of its coefficients."""
    top, bottom = R.tops[0], R.bottom
    E = tuple(-x for x in boundary_polynomial(top, bottom, 1j))
    if R.errors is None:
        return E, (Fraction(0),)
    sizes = [tuple(map(abs, p)) for p in (top, bottom)]
    pairs = zip(sizes, R.errors, strict=True)
    error = tuple(2 * x for x in added(*(multiplied(p, e[: len(p)]) for p, e in pairs)))[: len(E)]
    return tuple(Fraction(0) if abs(x) <= e else x for x, e in zip(E, error, strict=True)), error


def _rational_a_stable(R: Recurrence) -> bool:
    if R.steps > 1 or len(R.tops[0]) > len(R.bottom):  # a predictor-corrector method is explicit
        return False
    on_the_right = tuple(c * (-1) ** k for k, c in enumerate(R.bottom))
    E, error = _e_polynomial(R)
    return hurwitz(on_the_right) and nonnegative(added(E, error)[::2], Fraction(0), None)


def _agree(left: Polynomial, right: Polynomial, digits: int | None) -> bool:
    return all(abs(a - b) <= tolerance_of(digits) for a, b in zip(left, right, strict=True))


def _multistep_a_stable(method: Symbol) -> bool:
    rho, sigma = method.linear or ((), ())
    sigma = trimmed(sigma)
    if len(sigma) < len(rho) or sigma[-1] < 0:
        return False
    common = gcd(rho, sigma)
    if len(common) > 1:
        rho, sigma = divided(rho, common)[0], divided(sigma, common)[0]
        if not root_condition(common) or _met_on_the_axis(common, rho, sigma):
            return False
    if not schur(added(rho, sigma)):  # at h lambda = -1
        return False
    n, slack = len(rho), tolerance_of(method.digits) * sum((abs(a) + abs(b) for a, b in zip(rho, sigma, strict=True)))
    cosines = [sum((rho[j + m] * sigma[j] + rho[j] * sigma[j + m] for j in range(n - m)), slack) for m in range(n)]
    cosines[0] /= 2
    return nonnegative(_of_cosine(cosines), Fraction(-1), Fraction(1))


def _met_on_the_axis(common: Polynomial, rho: Polynomial, sigma: Polynomial) -> bool:
    """Whether a root of the common factor on the unit circle is another root, too, at some imaginary z."""
    mirrored = added(multiplied(rho, sigma[::-1]), multiplied(rho[::-1], sigma))  # 2 Re(rho conj(sigma)) zeta^k
    met = gcd(common, trimmed(mirrored))
    return not schur(divided(met, gcd(met, sigma))[0])


def _of_cosine(series: list[Fraction]) -> Polynomial:
    """`sum_m series_m cos(m t)` as a polynomial in cos t."""
    zero, one, x = (Fraction(0),), (Fraction(1),), (Fraction(0), Fraction(1))
    chebyshev: list[Polynomial] = [one, x]
    out: Polynomial = zero
    while len(chebyshev) < len(series):
        twice = tuple(2 * c for c in multiplied(x, chebyshev[-1]))
        chebyshev.append(added(twice, tuple(-c for c in chebyshev[-2])))
    for c, T in zip(series, chebyshev, strict=False):
        out = added(out, multiplied((c,), T))
    return trimmed(out)
