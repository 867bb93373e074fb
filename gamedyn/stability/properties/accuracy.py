"""How accurate a method is, and how it passes noise on: leading error terms and stage order."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import count
from math import factorial, prod
from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearlyImplicit, LinearMultistep, Method, RungeKutta, get
from gamedyn.methods._coefficients import tolerance_of
from gamedyn.methods._trees import HIGHEST_ORDER, PRECISION, density, rooted_trees
from gamedyn.stability.regions.zero_stability import strongly_stable, zero_stable
from gamedyn.stability.symbols import symbol
from gamedyn.stability.symbols.polynomial import derivative, exactly
from gamedyn.stability.symbols.root_location import schur

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamedyn.methods._trees import Tree
    from gamedyn.stability.symbols.polynomial import Polynomial

__all__ = [
    "error_constant",
    "noise_gain",
    "principal_error_norm",
    "stage_order",
]


def stage_order(method: str | Method) -> int:
    """Order to which every stage of a Runge-Kutta method, and its result, integrates a polynomial.

    The largest q with `B(q): sum_i b_i c_i^(k-1) = 1/k` and `C(q): sum_j A_ij c_j^(k-1) = c_i^k / k` for k = 1, ..., q
    and every stage i that the result depends on; A, b divided by the method's clock. A condition of inexact
    coefficients holds if their digits cannot tell it from one that does.

    Args:
        method: a Runge-Kutta method, or its name.

    Raises:
        ArgumentError: for a method of another family.

    Source: Butcher 1964, Math. Comput. 18; Hairer, Wanner II, IV.5 (simplifying assumptions).

    Example:
        >>> [stage_order(name) for name in ("rk4", "gauss4", "gauss6", "radau_iia5")]
        [1, 2, 3, 3]
    """
    chosen = _runge_kutta(method)
    s, n, tolerance = chosen.time_scale, chosen.needed, tolerance_of(chosen.digits)
    c = chosen.c[:n]
    rows = [(chosen.b[:n], Fraction(1)), *((r[:n], x) for r, x in zip(chosen.A, c, strict=False))]

    def holds(k: int) -> bool:
        """B and C of one order; B ends at 2 s."""
        powers = [x ** (k - 1) for x in c]
        sums = (sum((a * x for a, x in zip(row, powers, strict=True)), Fraction(0)) / s for row, _ in rows)
        return all(abs(total - end**k / k) <= tolerance for total, (_, end) in zip(sums, rows, strict=True))

    return next(k - 1 for k in count(1) if not holds(k))


def principal_error_norm(method: str | Method, *, embedded: bool = False) -> float:
    """Size of the leading term of the local error: the 2-norm of its coefficients.

    `sqrt(sum_t e(t)^2)`, `e(t) = (sum_i b_i Phi_i(t) - 1/gamma(t)) / sigma(t)`, over the rooted trees t of p + 1
    vertices, sigma(t) the number of symmetries of t: the local error is `(s h)^(p+1) sum_t e(t) F(t)(y) + ...`, F(t)
    the elementary differentials and s the clock, by which A and b are divided.

    Args:
        method: a Runge-Kutta or Rosenbrock method (W = J), or its name.
        embedded: whether to take the embedded weights.

    Raises:
        ArgumentError: for a method of another family, one without embedded weights, or one of an order above 10.

    Source: Hairer, Norsett, Wanner I, II.3, theorem 3.2; Prince, Dormand 1981, J. Comput. Appl. Math. 7 (the norm).

    Example:
        >>> round(principal_error_norm("heun2") ** 2 * 144, 12), round(principal_error_norm("rk4"), 10)
        (5.0, 0.0145045823)
    """
    chosen = get(method)
    if not isinstance(chosen, RungeKutta) and not (isinstance(chosen, LinearlyImplicit) and chosen.decouples):
        remedy = "multistep methods have an error_constant"
        raise ArgumentError("method", "a Runge-Kutta or Rosenbrock method (W = J)", chosen.shown, remedy)
    b = chosen.b_hat if embedded else chosen.b
    if b is None:
        raise ArgumentError("embedded", "a method with embedded weights", chosen)
    p = (chosen.embedded_order if embedded else chosen.order) or 0
    if p >= HIGHEST_ORDER:
        raise ArgumentError("method", f"an order below {HIGHEST_ORDER}, where the tests of order end", chosen)
    s, A, chains = _tables(chosen)
    with localcontext() as context:
        context.prec = PRECISION
        to = [[[_decimal(a / s) for a in r] for r in table] for table in (A, chains)]
        weights = [_decimal(w / s) for w in b]
        known: dict[Tree, list[Decimal]] = {}
        total = Decimal(0)
        for tree in rooted_trees(p + 1):
            phi = _elementary(tree, to[0], to[1], known)
            residual = sum((w * x for w, x in zip(weights, phi, strict=True)), Decimal(0)) - Decimal(1) / density(tree)
            total += (residual / _symmetry(tree)) ** 2
        return float(total.sqrt())


def _tables(method: RungeKutta | LinearlyImplicit) -> tuple[Fraction, Sequence[Polynomial], Sequence[Polynomial]]:
    """The clock, A, and what stands for A below a vertex with one child: A + Gamma in Rosenbrock methods."""
    if isinstance(method, RungeKutta):
        return method.time_scale, method.A, method.A
    both = [tuple(a + g for a, g in zip(r, x, strict=True)) for r, x in zip(method.A, method.gamma, strict=True)]
    return Fraction(1), method.A, both


def _elementary(
    tree: Tree, A: list[list[Decimal]], chains: list[list[Decimal]], known: dict[Tree, list[Decimal]]
) -> list[Decimal]:
    """Phi_i(t) of every stage."""
    if tree not in known:
        out = [Decimal(1)] * len(A)
        for child in tree[1]:
            inner = _elementary(child, A, chains, known)
            for i, row in enumerate(chains if len(tree[1]) == 1 else A):
                out[i] *= sum((a * x for a, x in zip(row, inner, strict=True) if a), Decimal(0))
        known[tree] = out
    return known[tree]


def _symmetry(tree: Tree) -> int:
    """sigma(t): how many ways of permuting its vertices leave a tree as it is."""
    kinds = set(tree[1])
    return prod(_symmetry(child) for child in tree[1]) * prod(factorial(tree[1].count(kind)) for kind in kinds)


def _decimal(x: Fraction) -> Decimal:
    return Decimal(x.numerator) / Decimal(x.denominator)


def error_constant(method: str | Method) -> Fraction:
    """The error constant of a multistep method, by which errors of different methods of one order compare.

    `C = C_{p+1} / sigma(1)`, C_q the q-th coefficient of the defect: the principal root has
    `log zeta_1(h lambda) / (s h) = lambda - C h^p lambda^(p+1) + ...`, s the clock. The constant of a
    predictor-corrector method is that of its principal root; where the predictor is of order p - m, it holds for
    linear problems alone.

    Args:
        method: a multistep or predictor-corrector method, or its name.

    Raises:
        ArgumentError: for a method of another family, or one with a coupling (LEAD).

    Source: Henrici 1962; Hairer, Norsett, Wanner I, III.2, eq. (2.13).

    Example:
        >>> [str(error_constant(name)) for name in ("ab2", "bdf2", "optimistic", "pece_ab4_am4")]
        ['5/12', '-1/3', '-1/2', '-19/720']
    """
    chosen = get(method)
    if len(chosen.formulas) == 1 and chosen.decouples:
        formula, slope = chosen.formulas[0], sum(chosen.formulas[0].beta, Fraction(0))
        for q in range(chosen.order + 1, 2 * chosen.steps + 3):  # the order is at most 2 k
            if abs(formula.defect(q)) > tolerance_of(chosen.digits):
                return Fraction(formula.defect(q) / slope)
        raise ArgumentError("method", "coefficients whose digits show an error", chosen)
    if chosen.formulas and chosen.decouples:
        terms = symbol(chosen).logarithm()
        return Fraction(-[next(terms) for _ in range(chosen.order + 1)][-1] / chosen.time_scale)
    remedy = "one-step methods have a principal_error_norm"
    raise ArgumentError("method", "a multistep method whose modes decouple", chosen.shown, remedy)


def noise_gain(method: str | Method) -> Fraction:
    """Variance that a fresh batch for every evaluation leaves behind, over that of an Euler step of the same length.

    Runge-Kutta: `sum_i b_i^2 / (sum_i b_i)^2`, as h goes to 0: 1 with one evaluation that counts, at best 1/s. With
    with one batch through the step it is 1 for every method. A multistep method whose past values keep their batches'
    noise adds it to every step to come: in the long run 1, plus `|sigma(-1) / (s rho'(-1))|^2` where -1 is a root of
    rho. A predictor-corrector method evaluates twice: `((sigma(1) - beta_k)^2 + beta_k^2) / sigma(1)^2`.

    Args:
        method: a Runge-Kutta, multistep or predictor-corrector method, or its name.

    Raises:
        ArgumentError: for another family (additive and partitioned methods divide the field), weights whose sum is 0,
            or a rho with other roots on the unit circle than 1 and -1.

    Source: methods.md, b8 (independent errors of the evaluations add up by their squares); multistep methods: the
        impulse response of sigma/rho, Hairer, Norsett, Wanner I, III.4.

    Example:
        >>> [str(noise_gain(name)) for name in ("euler", "heun2", "rk4", "ab2")]
        ['1', '1/2', '5/18', '1']
    """
    chosen = get(method)
    if isinstance(chosen, RungeKutta):
        total = sum(chosen.b, Fraction(0))
        if not total:
            raise ArgumentError("method", "weights whose sum is not 0", chosen)
        return sum((w * w for w in chosen.b), Fraction(0)) / total**2
    if chosen.formulas and chosen.decouples:
        last = chosen.formulas[-1]
        return _accumulated(last, last.beta[-1] if len(chosen.formulas) > 1 else Fraction(0))
    remedy = "parts, players or matrices of J each have noise of their own: measure it with sampling='fresh'"
    raise ArgumentError("method", "a Runge-Kutta or multistep method", chosen.shown, remedy)


def _accumulated(method: LinearMultistep, apart: Fraction) -> Fraction:
    """Noise of `(sigma - apart zeta^k) / rho` and, from an evaluation of its own, of `apart zeta^k / rho`."""
    rho, sigma, k = method.alpha, method.beta, method.steps
    at_one = sum(sigma, Fraction(0))
    gain = ((at_one - apart) ** 2 + apart**2) / at_one**2
    if strongly_stable(method):
        return gain
    if method.digits is None and zero_stable(method) and _other_roots_inside(rho):
        minus: Fraction = exactly(sigma, Fraction(-1)) - apart * (-1) ** k
        slope = exactly(derivative(rho), Fraction(-1))
        return Fraction(gain + (minus**2 + apart**2) / (slope * method.time_scale) ** 2)
    remedy = "noise in its parasitic modes never dies out, and need not be bounded"
    raise ArgumentError("method", "a rho with 1, and at most -1, on the unit circle", method, remedy)


def _other_roots_inside(rho: Polynomial) -> bool:
    """Whether rho over (zeta - 1)(zeta + 1) has its roots inside the unit circle."""
    rest = list(rho)
    if exactly(rho, Fraction(-1)):
        return False
    for i in range(len(rest) - 3, -1, -1):  # division by zeta^2 - 1
        rest[i] += rest[i + 2]
    return schur(tuple(rest[2:]))


def _runge_kutta(method: str | Method) -> RungeKutta:
    chosen = get(method)
    if not isinstance(chosen, RungeKutta):
        raise ArgumentError("method", "a Runge-Kutta method", chosen.shown)
    return chosen
