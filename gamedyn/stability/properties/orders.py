"""Orders, proved by exact conditions on the coefficients."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method, RungeKutta, get
from gamedyn.methods._trees import Tree, density, rooted_trees, tree_order, tree_residual

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["density", "embedded_order", "order", "order_residuals", "rooted_trees", "tree_order"]


def order(method: str | Method) -> int:
    """Classical order: the largest p up to which every order condition holds.

    Rooted trees for Runge-Kutta methods, bicoloured trees for partitioned ones (on every game, own
    curvature included), `C_q = 0` for multistep ones.

    Raises:
        ArgumentError: for another library's method, whose coefficients are not here, or one that approximates no flow.

    Example:
        >>> order("rk4"), order("alternating"), order("ab3")
        (4, 1, 3)
    """
    return int(_ours(method).order)


def embedded_order(method: str | Method) -> int | None:
    """Order of the embedded weights of a Runge-Kutta method; None where it has none.

    Example:
        >>> embedded_order("heun2")
        1
    """
    return getattr(_ours(method), "embedded_order", None)


def order_residuals(method: str | Method, up_to: int, *, embedded: bool = False) -> Mapping[Tree, Fraction]:
    """Residual of every condition of a Runge-Kutta method up to order `up_to`, by tree.

    `sum_i b_i Phi_i(t) - 1/gamma(t)`, A and b divided by the method's clock; zero where the condition holds, or
    below `10^(2 - digits)` for a method of inexact coefficients.

    Args:
        method: a Runge-Kutta method or its name.
        up_to: highest order of the trees.
        embedded: whether to use the embedded weights.

    Raises:
        ArgumentError: for a method of another family, or without embedded weights.

    Source: Hairer, Norsett, Wanner I, II.2, theorem 2.13.

    Example:
        >>> [str(r) for r in order_residuals("euler", 2).values()]
        ['0', '-1/2']
    """
    positive_int("up_to", up_to)
    chosen = get(method)
    if not isinstance(chosen, RungeKutta):
        raise ArgumentError("method", "a Runge-Kutta method", chosen)
    weights = chosen.b_hat if embedded else chosen.b
    if weights is None:
        raise ArgumentError("embedded", "a method with embedded weights", chosen)
    trees = [t for n in range(1, up_to + 1) for t in rooted_trees(n)]
    s = chosen.time_scale
    A, b = tuple(tuple(a / s for a in row) for row in chosen.A), tuple(w / s for w in weights)
    return {t: tree_residual(t, [A], [b]) for t in trees}


def _ours(method: str | Method) -> Method:
    chosen = get(method)
    if not chosen.has_theory:
        raise ArgumentError("method", "a method whose coefficients gamedyn holds", chosen.name)
    if chosen.order is None:
        raise ArgumentError(
            "method", "a method that approximates y' = s v", chosen, "this one has limits, but no order"
        )
    return chosen
