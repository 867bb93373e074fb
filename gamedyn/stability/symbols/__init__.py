"""What a method does to a single mode `y' = lambda y`: one surface for every family whose modes decouple.

This is the only place that distinguishes the families; regions, steps, matrices and properties ask the symbol.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gamedyn._lib.border import border
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import (
    Anchored,
    ExponentialRosenbrock,
    LinearlyImplicit,
    LinearMultistep,
    Lookahead,
    Method,
    PredictorCorrector,
    RungeKutta,
    get,
)
from gamedyn.stability.symbols._symbol import Symbol
from gamedyn.stability.symbols.anchored import Products, of_anchored, products
from gamedyn.stability.symbols.exponential import Exponential
from gamedyn.stability.symbols.lookahead import of_lookahead
from gamedyn.stability.symbols.multistep import of_multistep, of_predictor_corrector
from gamedyn.stability.symbols.polynomial import Polynomial
from gamedyn.stability.symbols.rational_function import RationalFunction
from gamedyn.stability.symbols.recurrence import Recurrence
from gamedyn.stability.symbols.tableau import of_rosenbrock, of_runge_kutta

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Products",
    "RationalFunction",
    "Recurrence",
    "Symbol",
    "characteristic_polynomials",
    "products",
    "stability_function",
    "symbol",
]

FAMILIES: tuple[tuple[type[Method], Callable[[Any], Symbol]], ...] = (
    (RungeKutta, of_runge_kutta),
    (LinearlyImplicit, of_rosenbrock),
    (LinearMultistep, of_multistep),
    (PredictorCorrector, of_predictor_corrector),
    (Anchored, of_anchored),
    (ExponentialRosenbrock, lambda _: Exponential()),
    (Lookahead, lambda m: of_lookahead(m, symbol(m.inner))),
)
"""A family and what makes its symbol."""


def symbol(method: str | Method) -> Symbol:
    """The symbol of a method: its factor, membership, slope, crossings along a ray, matrix, series.

    Args:
        method: a method whose modes decouple, or its name.

    Raises:
        ArgumentError: for a method that treats players or parts of J apart, a map, or another library's method.

    Source: Hairer, Wanner II, IV.2 (stability function), V.1 (root condition), and IV.11 (exponential fitting).

    Example:
        >>> s = symbol("rk4")
        >>> complex(s.factor(-1.0)), s.crossings(-1.0, 1.0)
        ((0.375+0j), [2.785293563405282])
        >>> symbol("bdf2").sign(1.0, 1j, 1.0)  # h lambda = i is damped
        -1
    """
    chosen = get(method)
    if not chosen.has_theory:
        remedy = "maps and other libraries' methods have no theory here; of a tableau: RungeKutta(A, b), or "
        remedy += "stability.properties.read_tableau(...).method(); of Adam: gamedyn.flows.preconditioned"
        raise ArgumentError("method", "a method whose coefficients gamedyn holds", chosen.name, remedy)
    if not chosen.decouples:
        remedy = "it treats players or parts of J apart: use stable_steps or step_matrix with a BlockJacobian"
        raise ArgumentError("method", "a method whose modes decouple", chosen, remedy)
    return _made(chosen)


@lru_cache(maxsize=512)
def _made(method: Method) -> Symbol:
    make = next((make for family, make in FAMILIES if isinstance(method, family)), None)
    if make is None:
        raise ArgumentError("method", "a method of a family that has a symbol", method)
    return make(method)


def stability_function(method: str | Method) -> RationalFunction:
    """R(z) of a one-step method: `R(z) = det(I - zA + z 1 b^T) / det(I - zA)`.

    For a linearly implicit method with W = J, A is the sum of its two tables.

    Args:
        method: a Runge-Kutta or Rosenbrock method, Lookahead over a multistep method, or its name.

    Raises:
        ArgumentError: for a method of another family, which has no rational R(z).

    Source: Hairer, Wanner, Solving ODEs II, IV.3, proposition 3.2; IV.7, eq. (7.14).

    Example:
        >>> stability_function("rk4")
        RationalFunction(1 + z + 1/2 z^2 + 1/6 z^3 + 1/24 z^4)
        >>> stability_function("gauss4")
        RationalFunction((1 + 1/2 z + 1/12 z^2) / (1 - 1/2 z + 1/12 z^2))
    """
    chosen = get(method)
    R = symbol(chosen).rational if chosen.has_theory and chosen.decouples else None
    if R is None:
        remedy = "multistep methods have characteristic_polynomials, partitioned ones a step_matrix"
        raise ArgumentError("method", "a Runge-Kutta or Rosenbrock method", chosen, remedy)
    return R


def characteristic_polynomials(method: str | Method) -> tuple[Polynomial, Polynomial]:
    """The polynomials rho and sigma of a multistep method, constant term first.

    The roots of the method at z solve `rho - z sigma = 0`.

    Source: Hairer, Norsett, Wanner I, III.2, eq. (2.5).

    Raises:
        ArgumentError: for a method of another family.

    Example:
        >>> rho, sigma = characteristic_polynomials("ab2")
        >>> [str(c) for c in rho], [str(c) for c in sigma]
        (['0', '-1', '1'], ['-1/2', '3/2', '0'])
    """
    chosen = get(method)
    found = symbol(chosen).linear if chosen.has_theory and chosen.decouples else None
    if found is None:
        raise ArgumentError("method", "a linear multistep method", chosen)
    return found


border(globals())
