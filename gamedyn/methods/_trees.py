"""Rooted trees, plain and coloured, and the order conditions they carry.

A tree is a pair (colour, children), children being a sorted tuple of trees. With one colour these
are Butcher's rooted trees; with one colour per player, those of partitioned methods. A method with
tableaus (A^c, b^c) has order p iff for every tree t of at most p vertices, whose root has colour r,

    sum_s b^r_s Phi_s(t) = 1 / gamma(t),   Phi_s(t) = prod over children u of sum_q A^col(u)_sq Phi_q(u),

gamma(t) = |t| prod gamma(children).

Source: Hairer, Norsett, Wanner, Solving ODEs I, II.2 theorem 2.13 (plain) and II.15 theorem 15.9
(partitioned).
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from gamedyn.methods._coefficients import tolerance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Tree", "density", "rooted_trees", "tree_order", "tree_residual", "verified_order"]

Tree = tuple[int, tuple["Tree", ...]]
Table = tuple[tuple[Fraction, ...], ...]

HIGHEST_ORDER = 10
"""Order at which the search stops: 719 plain conditions; every method here is far below it."""


@cache
def rooted_trees(order: int, colours: int = 1) -> tuple[Tree, ...]:
    """All rooted trees with `order` vertices, each vertex in one of `colours` colours.

    Example:
        >>> [len(rooted_trees(n)) for n in range(1, 8)]
        [1, 1, 2, 4, 9, 20, 48]
        >>> [len(rooted_trees(n, colours=2)) for n in range(1, 5)]
        [2, 4, 14, 52]
    """
    forests = tuple(_forests(order - 1, order - 1, colours))
    return tuple((colour, forest) for colour in range(colours) for forest in forests)


def _forests(total: int, largest: int, colours: int) -> Iterator[tuple[Tree, ...]]:
    """Multisets of trees with `total` vertices together, no tree larger than `largest`."""
    if total == 0:
        yield ()
        return
    for size in range(min(total, largest), 0, -1):
        trees = rooted_trees(size, colours)
        for count in range(total // size, 0, -1):
            for rest in _forests(total - count * size, size - 1, colours):
                for chosen in _multisets(trees, count):
                    yield chosen + rest


def _multisets(trees: Sequence[Tree], count: int) -> Iterator[tuple[Tree, ...]]:
    if count == 0:
        yield ()
        return
    for i, tree in enumerate(trees):
        for rest in _multisets(trees[i:], count - 1):
            yield (tree, *rest)


def tree_order(tree: Tree) -> int:
    """Number of vertices."""
    return 1 + sum(tree_order(child) for child in tree[1])


def density(tree: Tree) -> int:
    """gamma(t): the product of the orders of all subtrees."""
    out = tree_order(tree)
    for child in tree[1]:
        out *= density(child)
    return out


def separable(tree: Tree) -> bool:
    """Whether no vertex has a child of its own colour: the trees of a game without own curvature."""
    return all(child[0] != tree[0] and separable(child) for child in tree[1])


Number = TypeVar("Number", Fraction, Decimal)

PRECISION = 100
"""Digits in which the conditions of inexact coefficients are evaluated."""


def _weights(tree: Tree, A: Sequence[Sequence[Sequence[Number]]], one: Number, known: dict[Tree, Any]) -> list[Number]:
    """Phi_s(t) for every stage s."""
    if tree not in known:
        out = [one] * len(A[0])
        for child in tree[1]:
            inner = _weights(child, A, one, known)
            for s, coefficients in enumerate(A[child[0]]):
                out[s] *= sum((a * w for a, w in zip(coefficients, inner, strict=True) if a), one - one)
        known[tree] = out
    return known[tree]  # type: ignore[no-any-return]


def tree_residual(tree: Tree, A: Sequence[Table], b: Sequence[Sequence[Fraction]]) -> Fraction:
    """sum_s b_s Phi_s(t) - 1/gamma(t), zero iff the condition of `tree` holds.

    Args:
        tree: the condition.
        A: one table per colour.
        b: one row of weights per colour.
    """
    return _residual(tree, A, b, Fraction(1), {})


def _residual(
    tree: Tree,
    A: Sequence[Sequence[Sequence[Number]]],
    b: Sequence[Sequence[Number]],
    one: Number,
    known: dict[Tree, Any],
) -> Number:
    phi = _weights(tree, A, one, known)
    total = sum((w * x for w, x in zip(b[tree[0]], phi, strict=True)), one - one)
    return total - one / density(tree)


def verified_order(
    A: Sequence[Table],
    b: Sequence[Sequence[Fraction]],
    digits: int | None = None,
    keep: Callable[[Tree], bool] = lambda _: True,
) -> int:
    """Largest p up to which every condition holds: exactly, or to `digits` decimals for inexact data."""
    if digits is None:
        return _first_failure(A, b, Fraction(1), Fraction(0), keep) - 1
    with localcontext() as context:
        context.prec = PRECISION
        rounded = [[[_decimal(a) for a in r] for r in table] for table in A]
        weights = [[_decimal(w) for w in r] for r in b]
        return _first_failure(rounded, weights, Decimal(1), _decimal(tolerance_of(digits)), keep) - 1


def _decimal(x: Fraction) -> Decimal:
    return Decimal(x.numerator) / Decimal(x.denominator)


def _first_failure(
    A: Sequence[Sequence[Sequence[Number]]],
    b: Sequence[Sequence[Number]],
    one: Number,
    tolerance: Number,
    keep: Callable[[Tree], bool],
) -> int:
    known: dict[Tree, Any] = {}
    for order in range(1, HIGHEST_ORDER + 1):
        for tree in rooted_trees(order, len(A)):
            if keep(tree) and abs(_residual(tree, A, b, one, known)) > tolerance:
                return order
    return HIGHEST_ORDER + 1


def verified_w_order(
    A: Table, gamma: Table, b: Sequence[Fraction], digits: int | None = None, *, exact: bool = True
) -> int:
    """Order of a linearly implicit method (A, gamma, b), with W = J (`exact`) or with any W at all.

    A vertex with one child may be a derivative of v (coefficients A, weight 1/density as usual) or a product
    with W (coefficients gamma); with W = J the two add up, with any W the conditions of trees in which a W
    occurs are that their sums vanish.

    Source: Hairer, Wanner II, IV.7, theorem 7.4 (W = J), and the text on W-methods, eq. (7.25).
    """
    tolerance = tolerance_of(digits)
    both = tuple(tuple(x + y for x, y in zip(r, g, strict=True)) for r, g in zip(A, gamma, strict=True))
    for order in range(1, HIGHEST_ORDER + 1):
        for tree in rooted_trees(order):
            wanted = Fraction(1, density(tree))
            if exact:
                sums = [(_single_weights(tree, A, (both,)), wanted)]
            else:
                choices = _single_weights(tree, A, (A, gamma))
                sums = [([x], wanted if i == 0 else Fraction(0)) for i, x in enumerate(choices)]
            for phis, target in sums:
                for phi in phis:
                    if abs(sum((w * x for w, x in zip(b, phi, strict=True)), Fraction(0)) - target) > tolerance:
                        return order - 1
    return HIGHEST_ORDER


def _single_weights(tree: Tree, A: Table, single: tuple[Table, ...]) -> list[list[Fraction]]:
    """Phi for every choice of `single[i]` at the vertices with one child; the first is all `single[0]`."""
    ones = [Fraction(1)] * len(A)
    if len(tree[1]) == 1:
        inner = _single_weights(tree[1][0], A, single)
        return [_times(table, phi) for table in single for phi in inner]
    out = [ones]
    for child in tree[1]:
        inner = [_times(A, phi) for phi in _single_weights(child, A, single)]
        out = [[x * y for x, y in zip(left, right, strict=True)] for left in out for right in inner]
    return out


def _times(table: Table, phi: Sequence[Fraction]) -> list[Fraction]:
    return [sum((a * x for a, x in zip(r, phi, strict=True) if a), Fraction(0)) for r in table]
