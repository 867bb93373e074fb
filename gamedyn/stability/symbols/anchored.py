"""Anchored methods on a single mode: the product of all steps so far, the limit of a late step, the tail in between."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.arrays import complex_array
from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Anchored, Method, get
from gamedyn.stability.symbols.polynomial import added, evaluate, multiplied, trimmed
from gamedyn.stability.symbols.rational_function import RationalFunction
from gamedyn.stability.symbols.recurrence import at_matrix
from gamedyn.stability.symbols.tableau import of_rational

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gamedyn.methods._anchored import AtStep
    from gamedyn.stability.symbols.polynomial import Polynomial
    from gamedyn.stability.symbols.recurrence import Recurrence

__all__ = ["Products", "of_anchored", "products", "same_each_step"]

ONE, Z = (Fraction(1),), (Fraction(0), Fraction(1))


class Products:
    """What k steps of an anchored method do to `y' = lambda y`, y_0 = 1: `P_{k+1} = Q_k P_k + S_k`, `P_0 = 1`.

    Q_k and S_k are polynomials in z = h lambda, of the point and of the anchor. Where steps keep their size,
    `Q_k -> R`, the limit symbol, and `S_k ~ beta_k S`: inside `|R| < 1` the anchor decides, `P_k ~ beta_k S / (1 - R)`,
    a tail of 1/k and no geometric decay; outside the products grow like `R^k`.

    Attributes:
        method: the method.

    Source: for the limits, Perron's theorem on difference equations; Elaydi 2005, An Introduction to Difference
        Equations, section 8.5.

    Example:
        >>> P = products("feg")
        >>> P.polynomial(2)  # (1 + z)(1 + R)/2, R = 1 + z + z^2
        RationalFunction(1 + 3/2 z + z^2 + 1/2 z^3)
        >>> abs(complex(P.after(100, 1j))) < 2 / 100
        True
    """

    def __init__(self, method: Anchored) -> None:
        self.method = method

    def __repr__(self) -> str:
        return f"Products({self.method!r})"

    def after(self, steps: int, z: ArrayLike) -> NDArray[np.complex128]:
        """P_k(z) after so many steps, each some sums of the size of z; any shape of z.

        Args:
            steps: k, at least 0.
            z: values of h lambda, h the first step.
        """
        z = complex_array("z", z)
        if not np.isfinite(z).all():
            raise ArgumentError("z", "finite numbers", "nan or inf")
        m, out = self.method, np.ones_like(z)
        tables = [np.array([*t, w], dtype=float) for t, w in ((m.A, m.b), (m.A_change, m.b_change))]
        pulls, decay = [float(g) for g in (*m.pulls, 1)], float(m.decay)
        for k in range(positive_int("steps", steps, least=0)):
            beta, now = float(m.weight) / (k + float(m.shift)), z * (k + 1) ** -decay if decay else z
            weights, stages = tables[0] + beta * tables[1], list[Any]()
            for pull, row in zip(pulls, weights, strict=True):
                stage = out + beta * pull * (1 - out) if pull else out
                for w, earlier in zip(row, stages, strict=False):
                    if w:
                        stage = stage + w * now * earlier
                stages.append(stage)
            out = stages[-1]
        return np.asarray(out)

    def matrix(self, steps: int, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """P_k(Z), Z = h J: what k steps make of a point of `y' = J y`, (n, n).

        Raises:
            ArgumentError: if Z is not a square matrix of finite numbers.
        """
        Z = np.asarray(getattr(Z, "matrix", Z))
        if Z.dtype.kind not in "fiu" or Z.ndim != 2 or Z.shape[0] != Z.shape[1] or not np.isfinite(Z).all():
            raise ArgumentError("Z", "a square matrix of finite numbers, h J", f"{Z.dtype}, shape {Z.shape}")
        out = np.eye(len(Z))
        for k in range(positive_int("steps", steps, least=0)):
            of_point, of_anchor = _mode(self.method, self.method.at(k))
            now = Z * (k + 1) ** -float(self.method.decay)
            out = at_matrix(of_point, now) @ out + at_matrix(of_anchor, now)
        return out

    def polynomial(self, steps: int) -> RationalFunction:
        """P_k, exactly.

        Raises:
            ArgumentError: if steps shrink by an irrational factor.
        """
        if self.method.decay:
            raise ArgumentError("method", "steps of one size", self.method, "after(steps, z) has its values")
        out: Polynomial = ONE
        for k in range(positive_int("steps", steps, least=0)):
            of_point, of_anchor = _mode(self.method, self.method.at(k))
            out = added(multiplied(of_point, out), of_anchor)
        return RationalFunction(trimmed(out), digits=self.method.digits)

    def tail(self, z: ArrayLike) -> NDArray[np.complex128]:
        """The limit of k P_k(z): `weight S(z) / (1 - R(z))` where |R| < 1, else infinite; nan where |R| = 1.

        Raises:
            ArgumentError: if steps shrink: they then leave no limit.
        """
        R = np.asarray(evaluate(_limit(self.method), z))
        S = evaluate(_anchor_slope(self.method), z)
        size = np.abs(R)
        found = float(self.method.weight) * S / np.where(size < 1, 1 - R, 1)
        return np.asarray(np.where(size < 1, found, np.where(size > 1, np.inf, np.nan)), dtype=np.complex128)


def products(method: str | Method) -> Products:
    """The finite-step products of a method whose coefficients change from step to step.

    Args:
        method: an anchored method, or its name.

    Raises:
        ArgumentError: for a method of another family: after k steps it has multiplied by the k-th power of its symbol.

    Example:
        >>> complex(products("halpern").tail(-1.0))  # z = -1: Euler's step lands on the equilibrium, the anchor stays
        (1+0j)
    """
    chosen = get(method)
    if not isinstance(chosen, Anchored):
        remedy = "of others the product of k steps is the power of one: of symbol(method).factor(z), or of step_matrix"
        raise ArgumentError("method", "an anchored method, such as 'eag'", chosen, remedy)
    return Products(chosen)


def same_each_step(method: str | Method) -> Method:
    """The method, if its powers are what its steps make together.

    Raises:
        ArgumentError: if its coefficients change from step to step.
    """
    chosen = get(method)
    if chosen.varies:
        remedy = "its finite steps are in gamedyn.stability.symbols.products"
        raise ArgumentError("method", "a method of the same coefficients at each step", chosen, remedy)
    return chosen


def of_anchored(method: Anchored) -> Recurrence:
    """The symbol of a late step, `beta = 0`.

    Raises:
        ArgumentError: if steps shrink: every mode's h lambda then tends to 0.
    """
    return of_rational(RationalFunction(_limit(method), digits=method.digits))


def _limit(method: Anchored) -> Polynomial:
    """R(z) of a late step."""
    if method.decay:
        remedy = "late ones are those of h = 0, at which nothing moves; symbols.products has finite steps"
        raise ArgumentError("method", "steps that keep their size", method, remedy)
    stages: list[Polynomial] = []
    for weights in (*method.A, method.b):
        stages.append(_combined(ONE, weights, stages))
    return trimmed(stages[-1])


def _anchor_slope(method: Anchored) -> Polynomial:
    """S(z): what the anchor adds to a late step, over beta."""
    stages: list[Polynomial] = []
    for pull, weights in zip((*method.pulls, Fraction(1)), (*method.A, method.b), strict=True):
        stages.append(_combined((pull,), weights, stages))
    return trimmed(stages[-1])


def _mode(method: Anchored, at: AtStep) -> tuple[Polynomial, Polynomial]:
    """Q and S of one step: how much of the point, and of the anchor, its result holds."""
    point: list[Polynomial] = []
    anchor: list[Polynomial] = []
    for pull, weights in zip((*method.pulls, Fraction(1)), (*at.A, at.b), strict=True):
        point.append(_combined((1 - at.beta * pull,), weights, point))
        anchor.append(_combined((at.beta * pull,), weights, anchor))
    return point[-1], anchor[-1]


def _combined(base: Polynomial, weights: tuple[Fraction, ...], stages: list[Polynomial]) -> Polynomial:
    """`base + z sum_j weights_j stages_j`."""
    out = base
    for w, stage in zip(weights, stages, strict=False):
        if w:
            out = added(out, multiplied((Fraction(0), w), stage))
    return out
