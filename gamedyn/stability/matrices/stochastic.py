"""What noise makes of a method's steps on linear games: growth of second moments, the covariance at rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import Polynomial
from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import StochasticRungeKutta, get
from gamedyn.stability.matrices.eigenvalues import jacobian_matrix
from gamedyn.stability.matrices.step_matrix import step_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from numpy.typing import ArrayLike, NDArray

    from gamedyn.methods import Method
    from gamedyn.stability.matrices.eigenvalues import BlockJacobian

__all__ = ["mean_square_growth", "mean_square_limit", "stationary_covariance"]


def mean_square_growth(method: str | Method, lam: complex, mu: complex, h: float | None) -> float:
    """`E|y+|^2 / |y|^2` of a step on `dy = lam y dt + mu y dW`: below 1 the method is mean-square stable.

    A step multiplies y by `P + Q_1 xi + Q_2 (xi^2 - 1) / 2`, xi standard normal, with polynomials of `h lam` and
    `sqrt(h) mu` that follow from the tableaus: `|P|^2 + |Q_1|^2 + |Q_2|^2 / 2`. Of the equation itself, h = None, it is
    the rate `2 Re lam + |mu|^2` at which `ln E|y|^2` grows, negative where it is stable.

    Args:
        method: a stochastic method, or its name.
        lam: of the drift.
        mu: of the noise.
        h: step, or None.

    Raises:
        ArgumentError: for another method, or a step that is not positive.

    Source: Higham 2000, SIAM J. Numer. Anal. 38, p. 753 (the test equation, Euler-Maruyama).

    Example:
        >>> round(mean_square_growth("euler_maruyama", -3.0, 1.0, 0.5), 12)  # (1 + h lam)^2 + h mu^2
        0.75
        >>> mean_square_growth("euler_maruyama", -3.0, 1.0, None)
        -5.0
    """
    chosen = _stochastic(method)
    if h is None:
        return float(2 * complex(lam).real + abs(mu) ** 2)
    z, m = complex(lam) * positive("h", h), complex(mu) * math.sqrt(h)
    P, first, second = _factors(chosen, z, m)
    return float(abs(P) ** 2 + abs(first) ** 2 + abs(second) ** 2 / 2)


def mean_square_limit(method: str | Method, lam: complex, mu: complex) -> float:
    """The largest h up to which every smaller step is mean-square stable on `dy = lam y dt + mu y dW`; 0 for none.

    The growth is a polynomial in the square root of h, whose first crossing of 1 is sought among its roots.
    Euler-Maruyama: `-(2 Re lam + |mu|^2) / |lam|^2`.

    Args:
        method: a stochastic method, or its name.
        lam: of the drift.
        mu: of the noise.

    Raises:
        ArgumentError: for another method.

    Source: Higham 2000, SIAM J. Numer. Anal. 38, p. 753, eq. (3.4).

    Example:
        >>> round(mean_square_limit("euler_maruyama", -3.0, 1.0), 12), round(5 / 9, 12)
        (0.555555555556, 0.555555555556)
    """
    chosen = _stochastic(method)
    scale = 1.0 / max(abs(lam), abs(mu) ** 2, 1e-300)  # in units of which all coefficients are of one size
    z, m = Polynomial([0, 0, lam * scale]), Polynomial([0, mu * math.sqrt(scale)])
    parts = [(x, Polynomial(np.conj(x.coef)), w) for x, w in zip(_factors(chosen, z, m), (1, 1, 0.5), strict=True)]
    excess: Any = sum((w * x * conj for x, conj, w in parts), Polynomial([-1.0])).coef.real
    if 2 * complex(lam).real + abs(mu) ** 2 >= 0:
        return 0.0
    reduced = Polynomial(excess[2:]).trim(1e-14)  # 1 and sqrt(h) have the coefficient 0
    rising, roots = reduced.deriv(), np.asarray(reduced.roots())
    real = sorted(float(r.real) for r in roots if abs(r.imag) < 1e-9 * abs(r) and r.real > 0)
    return next((s * s * scale for s in real if rising(s) > 0), math.inf)


def stationary_covariance(
    method: str | Method | None, J: ArrayLike | BlockJacobian, sigma: ArrayLike, h: float | None = None
) -> NDArray[np.float64]:
    """The covariance at rest of `dy = J y dt + sigma dW`, and that of a method's steps on it.

    Of the equation (method None) `J C + C J^T + sigma sigma^T = 0`; of steps `C = R C R^T + h sigma sigma^T`,
    `R = R(h J)`: Euler's is larger than the true one, more so the nearer h comes to its limit.

    Args:
        method: a stochastic method, its name, or None for the equation itself.
        J: (n, n), stable.
        sigma: one number, (n,), or a matrix (n, m).
        h: step; None with method None.

    Returns:
        C, (n, n).

    Raises:
        ArgumentError: where nothing is at rest: J, or the step, lets a mode grow.

    Source: Gardiner 2009, *Stochastic methods*, section 4.5.6; of steps: Mandt, Hoffman, Blei 2017, JMLR 18.

    Example:
        >>> stationary_covariance(None, [[-1.0]], 1.0)
        array([[0.5]])
        >>> stationary_covariance("euler_maruyama", [[-1.0]], 1.0, 0.5).round(6)  # 1 / (2 - h)
        array([[0.666667]])
    """
    matrix = jacobian_matrix(J)
    n = len(matrix)
    try:
        spread = np.asarray(sigma, dtype=np.float64)
    except (TypeError, ValueError):
        got, remedy = type(sigma).__name__, "of a number by player make one for each row of J"
        raise ArgumentError("sigma", f"one number, ({n},) or ({n}, m), finite", got, remedy) from None
    if spread.ndim < 2:
        spread = np.diag(np.broadcast_to(spread, (n,)))
    if spread.shape[0] != n or not np.isfinite(spread).all():
        raise ArgumentError("sigma", f"one number, ({n},) or ({n}, m), finite", f"shape {spread.shape}")
    forced = spread @ spread.T
    if method is None:
        if max(np.linalg.eigvals(matrix).real) >= 0:
            raise ArgumentError("J", "a stable one: all eigenvalues to the left", "one with a mode that does not decay")
        return np.asarray(solve_continuous_lyapunov(matrix, -forced), dtype=np.float64)
    chosen = _stochastic(method)
    step = step_matrix(chosen, matrix, positive("h", h))
    if max(abs(np.linalg.eigvals(step))) >= 1:
        raise ArgumentError("h", "a step within the limit", h, "see gamedyn.stability.stable_steps")
    return np.asarray(solve_discrete_lyapunov(step, positive("h", h) * forced), dtype=np.float64)


def _stochastic(method: str | Method) -> StochasticRungeKutta:
    chosen = get(method)
    if not isinstance(chosen, StochasticRungeKutta):
        raise ArgumentError("method", "a stochastic one", chosen.shown, '"euler_maruyama" or "platen"')
    return chosen


def _factors(method: StochasticRungeKutta, z: Any, m: Any) -> tuple[Any, Any, Any]:
    """P, Q_1 and Q_2: what a step multiplies y by, without noise, by xi and by (xi^2 - 1) / 2; of polynomials too."""

    def mixed(weights: Sequence[Fraction], values: Sequence[Any]) -> Any:
        return sum((float(w) * v for w, v in zip(weights, values, strict=False)), 0 * z)

    stages: list[Any] = []
    for row in method.A:
        stages.append(1 + z * mixed(row, stages))
    places: list[Any] = []
    for drift, noise in zip(method.drift, method.noise, strict=True):
        places.append(1 + z * mixed(drift, stages) + m * mixed(noise, places))
    return 1 + z * mixed(method.b, stages), m * mixed(method.weights, places), m * mixed(method.squares, places)
