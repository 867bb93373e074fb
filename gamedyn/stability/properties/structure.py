"""What a method preserves: contractivity, symplecticity, time reversal; adjoints and compositions of tableaus."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Method, Partitioned, RungeKutta, get
from gamedyn.methods._coefficients import fewest_digits, row, tolerance_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamedyn.methods._coefficients import Coefficient

__all__ = ["adjoint", "algebraic_matrix", "algebraically_stable", "compose", "symmetric", "symplectic"]

Vector = tuple[Fraction, ...]
Table = tuple[Vector, ...]

GROWTH = 4
"""By how much a step of elimination with the largest pivot may multiply an error in a semidefinite matrix."""


def algebraic_matrix(method: str | Method) -> Table:
    """`M = B A + A^T B - b b^T`, B the diagonal matrix of b: what a step adds to any quadratic form.

    For the form `<y, S y>`: `|y+|^2 = |y|^2 + 2 h sum_i b_i <Y_i, v_i> - h^2 sum_ij M_ij <v_i, v_j>`.

    Args:
        method: a Runge-Kutta method, or its name.

    Returns:
        (s, s), symmetric, of all stages as given; `algebraically_stable` leaves out those that are not needed.

    Raises:
        ArgumentError: for a method of another family.

    Source: Burrage, Butcher 1979, SIAM J. Numer. Anal. 16; Hairer, Wanner II, IV.12, definition 12.5.

    Example:
        >>> [[str(x) for x in row] for row in algebraic_matrix("radau_iia3")]
        [['1/16', '-1/16'], ['-1/16', '1/16']]
    """
    chosen = _runge_kutta(method)
    return _matrix(chosen.A, chosen.b)


def algebraically_stable(method: str | Method) -> bool:
    """Whether two solutions of any contractive field never part: all `b_i >= 0` and M positive semidefinite.

    Then `|y+ - z+| <= |y - z|` at every step for every monotone game (B-stability). Stages that the result does not
    depend on are left out and equal stages made one, as the definition asks. Exact data are decided exactly, by
    rational elimination; of other data, what their digits cannot tell from 0 counts as 0.

    Args:
        method: a Runge-Kutta method, or its name.

    Raises:
        ArgumentError: for a method of another family.

    Source: Burrage, Butcher 1979; Crouzeix 1979, Numer. Math. 32; Hairer, Wanner II, IV.12, definition 12.5.

    Example:
        >>> [algebraically_stable(name) for name in ("gauss4", "radau_iia5", "trapezoid", "sdirk2", "rk4")]
        [True, True, False, False, False]
    """
    chosen = _runge_kutta(method)
    A, b = _irreducible(chosen.A, chosen.b, chosen.digits)
    tolerance = tolerance_of(chosen.digits) * len(b)
    return all(w >= -tolerance for w in b) and _semidefinite(_matrix(A, b), tolerance)


def symplectic(method: str | Method) -> bool:
    """Whether the method preserves the symplectic form, and with it volumes, of Hamiltonian games.

    Runge-Kutta: on every Hamiltonian system, and every quadratic invariant with it, iff `M = 0` (`algebraic_matrix`
    without idle and with equal stages made one). Partitioned: on separable ones, `H = T(p) + V(q)`, where no
    player's field depends on its own parameters: every move, whatever its length and sub-step method, then goes
    exactly along the flow of T or of V. On other games a partitioned method preserves nothing.

    Args:
        method: a Runge-Kutta method, or a partitioned one for two players, or its name.

    Raises:
        ArgumentError: for a method of another family, or a partitioned one for another number of players.

    Source: Lasagni 1988; Sanz-Serna 1988, BIT 28; Hairer, Lubich, Wanner, VI.4, theorem 4.3 and VI.3 (splitting).

    Example:
        >>> [symplectic(name) for name in ("gauss4", "implicit_midpoint", "rk4", "alternating")]
        [True, True, False, True]
    """
    chosen = get(method)
    if isinstance(chosen, Partitioned):
        if chosen.fixed_players not in (None, 2):
            remedy = "a symplectic form pairs two players' parameters"
            raise ArgumentError("method", "a partitioned method for two players", chosen, remedy)
        return True
    chosen = _runge_kutta(chosen)
    A, b = _irreducible(chosen.A, chosen.b, chosen.digits)
    return all(abs(x) <= tolerance_of(chosen.digits) * len(b) for r in _matrix(A, b) for x in r)


def symmetric(method: str | Method) -> bool:
    """Whether a step back undoes a step: the method is its own adjoint.

    Runge-Kutta: a step of -h after a step of h is the identity; the stages of both are put into classes of equal
    ones, and it is iff the weights of every class add up to 0. Multistep: `alpha_j = -alpha_{k-j}`,
    `beta_j = beta_{k-j}`.

    Args:
        method: a Runge-Kutta or multistep method, or its name.

    Raises:
        ArgumentError: for a method of another family, or one with a coupling (LEAD).

    Source: Hairer, Norsett, Wanner I, II.8; Hairer, Lubich, Wanner, V.2 and XV.1; Butcher 1972 (classes of stages).

    Example:
        >>> [symmetric(name) for name in ("gauss6", "trapezoid", "leapfrog_multistep", "radau_iia3", "rk4")]
        [True, True, True, False, False]
    """
    chosen = get(method)
    if isinstance(chosen, LinearMultistep) and chosen.decouples:
        pairs = [*zip(chosen.alpha, (-a for a in chosen.alpha[::-1]), strict=True)]
        pairs += zip(chosen.beta, chosen.beta[::-1], strict=True)
        return all(abs(x - y) <= 2 * tolerance_of(chosen.digits) for x, y in pairs)
    chosen = _runge_kutta(chosen)
    back = RungeKutta([[-a for a in r] for r in chosen.A], [-w for w in chosen.b], digits=chosen.digits)
    A, b = _after(chosen.A, chosen.b, back.A, back.b)
    return not _irreducible(A, b, chosen.digits)[1]


def adjoint(method: str | Method) -> RungeKutta:
    """The method that a step back by the given one undoes: `(Phi_{-h})^{-1}`.

    `A*_ij = b_{s+1-j} - A_{s+1-i,s+1-j}`, `b*_i = b_{s+1-i}`: stages in reverse order. `R*(z) = 1 / R(-z)`; the order
    is the same.

    Args:
        method: a Runge-Kutta method, or its name.

    Returns:
        An unnamed method with the same clock, without embedded weights.

    Raises:
        ArgumentError: for a method of another family.

    Source: Hairer, Norsett, Wanner I, II.8, theorem 8.3.

    Example:
        >>> euler = adjoint("euler")
        >>> euler.A == get("implicit_euler").A, euler.b == get("implicit_euler").b
        (True, True)
    """
    chosen = _runge_kutta(method)
    b = chosen.b[::-1]
    A = [[w - a for w, a in zip(b, r[::-1], strict=True)] for r in chosen.A[::-1]]
    return RungeKutta(A, b, time_scale=chosen.time_scale, digits=chosen.digits, source="adjoint (HNW II.8)")


def compose(first: str | Method, second: str | Method, weights: Sequence[Coefficient] = ("1/2", "1/2")) -> RungeKutta:
    """The method of a step by `first`, then one by `second`, each over its share of h.

    `A = [[w_1 A_1, 0], [w_1 1 b_1^T, w_2 A_2]]`, `b = (w_1 b_1, w_2 b_2)`; `R(z) = R_2(w_2 z) R_1(w_1 z)`.

    Args:
        first: a Runge-Kutta method, or its name.
        second: another, with the same clock.
        weights: shares of h, which add up to 1; they may be negative.

    Returns:
        An unnamed method without embedded weights.

    Raises:
        ArgumentError: for a method of another family, other clocks, or shares that do not add up to 1.

    Source: Hairer, Norsett, Wanner I, II.12; Hairer, Lubich, Wanner, II.4.

    Example:
        >>> midpoint = compose("implicit_euler", "euler")
        >>> midpoint.order, symplectic(midpoint), symmetric(midpoint)
        (2, True, True)
    """
    one, two = _runge_kutta(first, "first"), _runge_kutta(second, "second")
    if one.time_scale != two.time_scale:
        raise ArgumentError("second", f"the clock of the first, {one.time_scale}", f"{two.time_scale}")
    shares = row("weights", weights)
    if len(shares) != 2 or sum(shares) != 1:
        remedy = 'fractions are exact, such as ("1/3", "2/3")'
        raise ArgumentError("weights", "two shares of h that add up to 1", [str(w) for w in shares], remedy)
    (A1, b1), (A2, b2) = (_scaled(m, w) for m, w in ((one, shares[0]), (two, shares[1])))
    A, b = _after(A1, b1, A2, b2)
    digits = fewest_digits(one.digits, two.digits)
    return RungeKutta(A, b, time_scale=one.time_scale, digits=digits, source="composition (HNW II.12)")


def _runge_kutta(method: str | Method, argument: str = "method") -> RungeKutta:
    chosen = get(method)
    if not isinstance(chosen, RungeKutta):
        raise ArgumentError(argument, "a Runge-Kutta method", str(chosen.name or repr(chosen)))
    return chosen


def _scaled(method: RungeKutta, share: Fraction) -> tuple[Table, Vector]:
    return tuple(tuple(share * a for a in r) for r in method.A), tuple(share * w for w in method.b)


def _after(A1: Table, b1: Vector, A2: Table, b2: Vector) -> tuple[Table, Vector]:
    """The tableau of one step after another."""
    zeros = (Fraction(0),) * len(b2)
    return (*((*r, *zeros) for r in A1), *((*b1, *r) for r in A2)), (*b1, *b2)


def _matrix(A: Table, b: Vector) -> Table:
    s = range(len(b))
    return tuple(tuple(b[i] * A[i][j] + b[j] * A[j][i] - b[i] * b[j] for j in s) for i in s)


def _semidefinite(M: Table, tolerance: Fraction) -> bool:
    """Whether `M = L D L^T` with D >= 0; the largest pivot first, so that |M_ij| is never above it."""
    rest = [list(r) for r in M]
    while rest:
        at = max(range(len(rest)), key=lambda i: rest[i][i])
        pivot = rest[at][at]
        if min(rest[i][i] for i in range(len(rest))) < -tolerance:
            return False
        if pivot <= tolerance:  # then a semidefinite matrix is 0
            return all(abs(x) <= tolerance for r in rest for x in r)
        keep = [i for i in range(len(rest)) if i != at]
        rest = [[rest[i][j] - rest[i][at] * rest[at][j] / pivot for j in keep] for i in keep]
        tolerance *= GROWTH
    return True


def _irreducible(A: Table, b: Vector, digits: int | None) -> tuple[Table, Vector]:
    """Equal stages made one, then those left out that the result does not depend on.

    Stages are equal if they are for every field: the coarsest partition in which the entries of A in the rows of a
    class have the same sum over each class.
    """
    tolerance = tolerance_of(digits) * len(b)
    classes = [list(range(len(b)))] if b else []
    while True:
        finer: list[list[int]] = []
        for members in classes:
            finer += _split(
                members, [[sum((A[i][j] for j in c), Fraction(0)) for c in classes] for i in members], tolerance
            )
        if len(finer) == len(classes):
            break
        classes = finer
    sums = [sum((b[j] for j in c), Fraction(0)) for c in classes]
    rows = [[sum((A[c[0]][j] for j in d), Fraction(0)) for d in classes] for c in classes]
    used = {i for i, w in enumerate(sums) if abs(w) > tolerance}
    while more := {j for i in used for j, a in enumerate(rows[i]) if abs(a) > tolerance} - used:
        used |= more
    kept = sorted(used)
    return tuple(tuple(rows[i][j] for j in kept) for i in kept), tuple(sums[i] for i in kept)


def _split(members: list[int], signs: list[list[Fraction]], tolerance: Fraction) -> list[list[int]]:
    """Members with the same signature together."""
    groups: list[tuple[list[Fraction], list[int]]] = []
    for i, sign in zip(members, signs, strict=True):
        for other, group in groups:
            if all(abs(x - y) <= tolerance for x, y in zip(sign, other, strict=True)):
                group.append(i)
                break
        else:
            groups.append((sign, [i]))
    return [group for _, group in groups]
