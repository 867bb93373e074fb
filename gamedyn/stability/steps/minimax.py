"""Polynomials that stay below a bound at given points: the convex problem inside `tailor`.

`P(z) = T_p(z) + z^(p+1) Q(z)`, T_p the Taylor polynomial of exp, is kept below `l_i + t w_i` at points z_i by
its free part Q. For given points the smallest t is found by a primal-dual interior-point method: 16 unknowns at
most, so a step costs little however many points there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Real = NDArray[np.float64]
    Complex = NDArray[np.complex128]

__all__ = ["Basis", "Bound", "least_excess", "polynomial_values"]

STEPS = 80
"""Interior-point steps allowed; some ten to thirty are taken."""

MARGINS = (0.1, 0.3, 1.0, 0.03)
"""By how much t is above what is needed where a search begins, in turn."""

CENTRING = 10.0
"""Factor by which a step aims to lower the gap."""


@dataclass(frozen=True)
class Basis:
    """Polynomials `x^(p+1) q_j(x)`, orthonormal on points x of modulus at most 1.

    `q_{j+1}` is x q_j made orthogonal to the earlier ones, which keeps the columns independent where powers
    are not (Vandermonde with Arnoldi: Brubeck, Nakatsukasa, Trefethen 2021, SIAM Rev. 63, p. 405).

    Attributes:
        order: p.
        recurrence: (d + 1, d), column j the coefficients of `x q_j` in q_0, q_1, ...; row j + 1 divides.
        first: the factor of q_0.
    """

    order: int
    recurrence: Real
    first: float

    @classmethod
    def on(cls, x: Complex, order: int, free: int) -> Basis:
        """The basis of `free` polynomials on the points x and their conjugates."""
        H = np.zeros((free + 1, free))
        start = x ** (order + 1)
        size = float(np.sqrt(np.mean(np.abs(start) ** 2)))
        columns = [start / size]
        for j in range(free - 1):
            v = x * columns[j]
            for _ in range(2):  # twice is enough
                for i, q in enumerate(columns):
                    share = float(np.mean((np.conj(q) * v).real))
                    H[i, j] += share
                    v = v - share * q
            H[j + 1, j] = float(np.sqrt(np.mean(np.abs(v) ** 2)))
            if H[j + 1, j] <= 1e-13:  # fewer points than coefficients: the rest is arbitrary
                return cls(order, H[: j + 2, : j + 1], 1 / size)
            columns.append(v / H[j + 1, j])
        return cls(order, H, 1 / size)

    @property
    def free(self) -> int:
        """Number of its polynomials."""
        return int(self.recurrence.shape[1])

    def at(self, x: Complex) -> Complex:
        """Values, (points, free)."""
        H, out = self.recurrence, np.empty((len(x), self.free), dtype=np.complex128)
        for j in range(self.free):
            if j == 0:
                out[:, 0] = self.first * x ** (self.order + 1)
                continue
            out[:, j] = (x * out[:, j - 1] - out[:, :j] @ H[:j, j - 1]) / H[j, j - 1]
        return out

    def powers(self, a: Real) -> Real:
        """Coefficients of x^(p+1), x^(p+2), ... of the combination `a`."""
        H, d = self.recurrence, self.free
        rows = np.zeros((d, d))
        rows[0, 0] = self.first
        for j in range(1, d):
            rows[j, 1:] = rows[j - 1, :-1]
            rows[j] = (rows[j] - H[:j, j - 1] @ rows[:j]) / H[j, j - 1]
        return a @ rows


@dataclass(frozen=True)
class Bound:
    """What |P| may be at each point: `level + t weight`.

    The weight is the size that `1 - |P|` must have near z = 0, where every consistent P is 1: |Re z|, and
    on the imaginary axis the first power of |z| that does not cancel.
    """

    level: Real
    weight: Real

    @classmethod
    def at(cls, z: Complex, order: int, damping: float) -> Bound:
        """`level = 1 - damping (1 - exp(Re z))`: each mode keeps that share of what the flow damps."""
        power = 2 * (order // 2 + 1)
        return cls(1 + damping * np.expm1(z.real), np.minimum(1.0, np.abs(z.real) + np.abs(z) ** power))

    def __getitem__(self, index: NDArray[np.intp]) -> Bound:
        return Bound(self.level[index], self.weight[index])

    def excess(self, values: Complex) -> Real:
        """The t that each value needs."""
        return np.asarray((np.abs(values) - self.level) / self.weight)


def taylor(z: Complex, order: int) -> Complex:
    """`sum_{k <= order} z^k / k!`."""
    out = np.zeros_like(z)
    for k in range(order, -1, -1):
        out = out * z + 1 / factorial(k)
    return out


def polynomial_values(c: Real, z: Complex) -> Complex:
    """P(z) from its coefficients, constant term first."""
    return np.asarray(np.polynomial.polynomial.polyval(z, c), dtype=np.complex128)


def least_excess(fixed: Complex, columns: Complex, bound: Bound, *, gap: float, settle: bool) -> tuple[Real, float]:
    """The coefficients with the least t such that `|fixed + columns a| <= level + t weight` everywhere.

    The constraints are `g_i = (|P_i|^2 / L_i - L_i) / weight_i <= 0` with `L_i = level_i + t weight_i`, convex in
    (a, t). The start is a = 0: a neighbouring optimum lies near the boundary, where steps are short. Where steps
    become short all the same, before anything is decided, the search begins anew further inside.

    Args:
        fixed: (N,).
        columns: (N, d).
        bound: level and weight, (N,) each.
        gap: how near to the least t to come.
        settle: only decide whether a t below 0 exists; stop as soon as one is found, or none can be.

    Returns:
        The coefficients and their t, which is attained.

    Source: Boyd, Vandenberghe 2004, algorithm 11.2.
    """
    best, found = np.zeros(columns.shape[1]), float("inf")
    for margin in MARGINS:
        tried, excess, sure = _descended(fixed, columns, bound, margin, gap=gap, settle=settle)
        if excess < found:
            best, found = tried, excess
        if sure:
            break
    return best, found


def _descended(
    fixed: Complex, columns: Complex, bound: Bound, margin: float, *, gap: float, settle: bool
) -> tuple[Real, float, bool]:
    """As `least_excess`, from t a margin above what a = 0 needs; and whether the end is proved."""
    t = float(bound.excess(fixed).max())
    v = np.append(np.zeros(columns.shape[1]), t + margin * max(abs(t), 1.0))
    g, slopes, _ = _constraints(fixed, columns, bound, v)
    y = -1 / g
    y /= max(float(-slopes[:, -1] @ y), 1e-300)  # the dual equation of t: sum y_i (-dg_i/dt) = 1
    best, found = v[:-1], float("inf")
    for _ in range(STEPS):
        g, slopes, bends = _constraints(fixed, columns, bound, v)
        surrogate = float(-g @ y)
        excess = float(bound.excess(fixed + columns @ v[:-1]).max())
        if excess < found:
            best, found = v[:-1], excess
        dual = slopes.T @ y
        dual[-1] += 1
        exact = float(np.abs(dual).max()) <= 1e-6
        decided = settle and (found < 0 or (exact and found - 2 * surrogate > 0))
        if decided or (exact and surrogate <= gap):
            return best, found, True
        moved = _stepped(fixed, columns, bound, (v, y), (g, slopes, bends, dual, surrogate))
        if moved is None:
            return best, found, exact and surrogate <= 1e3 * gap
        v, y = moved
    return best, found, False


def _constraints(fixed: Complex, columns: Complex, bound: Bound, v: Real) -> tuple[Real, Real, Real]:
    """g, its gradients (N, d + 1), and the factors of its Hessians, `2 / L_i (B_i^T B_i)` with B (2, N, d + 1)."""
    d = columns.shape[1]
    P, L = fixed + columns @ v[:-1], bound.level + v[-1] * bound.weight
    ratio = P / L
    bends = np.empty((2, len(L), d + 1))
    bends[0, :, :d], bends[1, :, :d] = columns.real, columns.imag
    bends[0, :, d], bends[1, :, d] = -ratio.real * bound.weight, -ratio.imag * bound.weight
    slopes = 2 * (ratio.real[:, None] * bends[0] + ratio.imag[:, None] * bends[1])
    slopes[:, d] = -(np.abs(ratio) ** 2 + 1) * bound.weight
    bends *= np.sqrt(2 / (L * bound.weight))[:, None]
    size = np.abs(P)
    return (size - L) * (size + L) / (L * bound.weight), slopes / bound.weight[:, None], bends


def _stepped(
    fixed: Complex,
    columns: Complex,
    bound: Bound,
    at: tuple[Real, Real],
    known: tuple[Real, Real, Real, Real, float],
) -> tuple[Real, Real] | None:
    """One Newton step on the perturbed optimality conditions; None where none lowers their residual."""
    (v, y), (g, slopes, bends, dual, surrogate) = at, known
    aim = surrogate / (len(g) * CENTRING)
    H = (slopes * (y / -g)[:, None]).T @ slopes
    for B in bends:
        H += (B * y[:, None]).T @ B
    right = -(dual + slopes.T @ (-aim / g - y))
    size = 1 / np.sqrt(np.maximum(np.diag(H), 1e-300))
    dv = size * np.linalg.lstsq(H * np.outer(size, size), right * size, rcond=1e-15)[0]
    dy = -aim / g - y - y / g * (slopes @ dv)
    falling = dy < 0
    length = min(1.0, 0.99 * float((-y[falling] / dy[falling]).min(initial=np.inf)))
    before = float(dual @ dual + np.sum((y * g + aim) ** 2))
    for _ in range(40):
        u, x = v + length * dv, y + length * dy
        if (bound.level + u[-1] * bound.weight).min() > 0:
            new, new_slopes, _ = _constraints(fixed, columns, bound, u)
            rest = new_slopes.T @ x
            rest[-1] += 1
            after = float(rest @ rest + np.sum((x * new + aim) ** 2))
            if new.max() < 0 and after <= (1 - 0.02 * length) * before:
                return u, x
        length /= 2
    return None
