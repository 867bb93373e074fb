"""Steps at which second moments decay when every step draws a batch with a Jacobian of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, PredictorCorrector, get
from gamedyn.stability.eigenvalues import BlockJacobian, as_blocks, eigenvalue_array, jacobian_matrix, needs_blocks
from gamedyn.stability.step_matrix import step_matrix
from gamedyn.stability.step_sets import ZERO, StepSet, sorted_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from gamedyn.methods import Method
    from gamedyn.stability.rays import Interval

    Real = NDArray[np.float64]
    Jacobian = NDArray[np.float64] | BlockJacobian

__all__ = ["mean_square_radius", "mean_square_steps", "memory_matrix"]

DENSE = 16
"""Size of the state up to which the second moments' operator is made a matrix."""

UNIT = 1e-11
"""Excess over 1 of a computed radius that is rounding."""

NEAR, FAR = 0.05, 8.0
"""Ends of the evenly scanned part, over the largest modulus of an eigenvalue."""

TINY = 1e-100
"""Entries of a step beyond which, or its inverse, only their size is said: squares stay finite."""

DOUBLINGS = 10
"""How often the scan is carried on to twice the step: of explicit methods while its end is still stable."""

MORE = 40
"""Points of each such part."""


def mean_square_radius(
    method: str | Method,
    jacobians: Sequence[ArrayLike | BlockJacobian],
    h: float,
    weights: Sequence[float] | None = None,
) -> float:
    """Growth of `E|y|^2` a step, where every step draws one of the batches anew: below 1, noise in J does not matter.

    `rho(E[M (x) M])`, M the matrix of a step on the batch drawn, held over the step: the largest eigenvalue of
    `X -> sum_b w_b M_b X M_b^T` on symmetric X. Of equal batches it is `rho(M)^2`. All fields vanish at the
    equilibrium; where they do not, the variance stays bounded under the same condition. Multistep methods keep the
    field values of earlier batches (`memory_matrix`), as gamedyn's steppers do; refreshed history has the same radius,
    as it makes of a multistep method its one-leg twin, whose values are combined to the method's. Of a mean J with r
    independent deviations F_k, the 2 r batches `J + sqrt(r) F_k` and `J - sqrt(r) F_k` have the same covariance, which
    is all that matters to Euler's method.

    Args:
        method: one of our methods, or its name.
        jacobians: J of every batch, (n, n) each; of partitioned methods BlockJacobians.
        h: step.
        weights: their probabilities; None: all the same.

    Raises:
        ArgumentError: for no batches, sizes that differ, weights that are no probabilities, or a method without a step
            matrix.

    Source: Higham 2000, SIAM J. Numer. Anal. 38 (mean-square stability); Buckwar, Sickenberger 2011, Math. Comput.
        Simul. 81 (`E[M (x) M]`, systems); one-leg twins: Dahlquist 1975; Hairer, Wanner II, V.6.

    Example:
        >>> noisy = [[[-1.0 + s]] for s in (0.5, -0.5)]  # (1 + h lambda)^2 + h^2 sigma^2
        >>> round(mean_square_radius("euler", noisy, 0.5), 12)
        0.3125
    """
    chosen = get(method)
    games, chances = _batches(chosen, jacobians, weights)
    return _radius(chosen, games, chances, positive("h", h))


def mean_square_steps(
    method: str | Method,
    jacobians: Sequence[ArrayLike | BlockJacobian],
    weights: Sequence[float] | None = None,
) -> StepSet:
    """The steps at which second moments do not grow: `mean_square_radius(h) <= 1`, scanned and refined.

    The set lies within that of the mean of the steps, and for Euler within that of the mean of J: noise only takes
    away. On a bare rotation a little noise takes away the small steps, at which rk4 damps less than the noise adds, and
    all steps of alternating play, which damps nothing.

    Args:
        method: one of our methods, or its name.
        jacobians: J of every batch, (n, n) each; of partitioned methods BlockJacobians.
        weights: their probabilities; None: all the same.

    Returns:
        A StepSet with `flow_stable`, `growing` and `neutral` of the mean of J. No eigenvalue binds; `sensitivity` is
        `d ln rho / d ln h` of the root of the mean square, to compare with that of `stable_steps`.

    Raises:
        ArgumentError: as `mean_square_radius`.

    Source: Higham 2000, SIAM J. Numer. Anal. 38; Saito, Mitsui 1996, SIAM J. Numer. Anal. 33.

    Example:
        >>> noisy = [[[-1.0 + s]] for s in (2.0, -2.0)]  # h < -2 lambda / (lambda^2 + sigma^2)
        >>> round(mean_square_steps("euler", noisy).limit, 12)
        0.4
    """
    chosen = get(method)
    games, chances = _batches(chosen, jacobians, weights)
    if all(_same(J, games[0]) for J in games[1:]):
        games, chances = games[:1], np.ones(1)
    mean = sum((w * _matrix(J) for w, J in zip(chances, games, strict=True)), np.zeros_like(_matrix(games[0])))
    _, facts = sorted_modes(eigenvalue_array(BlockJacobian(mean, (len(mean),))), ZERO)

    def excess(h: float) -> float:
        return _radius(chosen, games, chances, float(h)) - 1

    intervals = _scanned(excess, _grid(games), getattr(chosen, "explicit", False))
    slope = float("nan")
    if intervals and np.isfinite(end := intervals[0][1]):
        d = 1e-5
        slope = (np.log1p(excess(end * (1 + d))) - np.log1p(excess(end * (1 - d)))) / (4 * d)
    growing = facts["growing"]
    return StepSet(
        intervals,
        None,
        None,
        slope,
        stabilised=growing if intervals else (),
        damped_intervals=() if growing else intervals,
        **facts,
    )


def memory_matrix(
    method: LinearMultistep | PredictorCorrector, J: ArrayLike | BlockJacobian, h: float
) -> NDArray[np.float64]:
    """A step of a multistep method on what it keeps: past values, and field values of the batches they were taken on.

    `(y_{n+k-1}, ..., f_{n+k-2}, ...) -> (y_{n+k}, ..., f_{n+k-1}, ...)` with `f = J y` taken on this step's batch, as
    many as enter the formula. An implicit method keeps the newest field value as it was solved for. With one J
    throughout its spectrum is that of `step_matrix`, and zeros.

    Args:
        method: a multistep or predictor-corrector method.
        J: (n, n); a BlockJacobian for methods with a coupling (LEAD).
        h: step.

    Returns:
        (m n, m n), m the number of values and field values kept.

    Source: Hairer, Norsett, Wanner I, III.4 (multistep as one-step methods in a larger space).

    Example:
        >>> memory_matrix(get("ab2"), [[-1.0]], 0.5)
        array([[ 0.25, -0.25],
               [-1.  ,  0.  ]])
    """
    matrix, h = _matrix(J), positive("h", h)
    rules = [method] if isinstance(method, LinearMultistep) else [method.predictor, method.corrector]
    implicit = isinstance(method, LinearMultistep) and not method.explicit
    coupling = [float(x) for x in (getattr(method, "coupling", None) or ())[::-1]]
    values = max([1, len(coupling), *(j + 1 for m in rules for j, a in enumerate(m.alpha[-2::-1]) if a)])
    reach = max([0, *(j + 1 for m in rules for j, b in enumerate(m.beta[-2::-1]) if b)])
    kept = reach if implicit else max(0, reach - 1)
    n = len(matrix)
    state = np.eye((values + kept) * n).reshape(values + kept, n, -1)
    y, f = list(state[:values]), list(state[values:])
    if not implicit:
        f = [matrix @ y[0], *f]

    def known(m: LinearMultistep) -> Real:
        terms = [-float(a) * v for a, v in zip(m.alpha[-2::-1], y, strict=False)]
        terms += [h * float(b) * s for b, s in zip(m.beta[-2::-1], f, strict=False)]
        return np.asarray(sum(terms))

    new = known(rules[0])
    if coupling and isinstance(J, BlockJacobian):
        new = new + h * J.cross @ np.asarray(sum(w * v for w, v in zip(coupling, y, strict=True)))
    if implicit:
        new = np.asarray(np.linalg.solve(np.eye(n) - h * float(rules[0].beta[-1]) * matrix, new), dtype=np.float64)
        f = [matrix @ new, *f]
    if isinstance(method, PredictorCorrector):
        old = known(method.corrector)
        for _ in range(method.corrections):
            new = old + h * float(method.corrector.beta[-1]) * matrix @ new
    return np.concatenate([*[new, *y][:values], *f[:kept]])


def _matrix(J: ArrayLike | BlockJacobian) -> Real:
    return jacobian_matrix(J)


def _batches(
    method: Method, jacobians: Sequence[ArrayLike | BlockJacobian], weights: Sequence[float] | None
) -> tuple[list[Jacobian], Real]:
    """The batches and their probabilities, checked."""
    if isinstance(jacobians, BlockJacobian) or not hasattr(jacobians, "__len__") or not len(jacobians):
        raise ArgumentError("jacobians", "a sequence of Jacobians, one for each batch", type(jacobians).__name__)
    games: list[Jacobian] = []
    for b, J in enumerate(jacobians):
        matrix = jacobian_matrix(J, f"jacobians[{b}]")
        if games and matrix.shape != _matrix(games[0]).shape:
            raise ArgumentError(f"jacobians[{b}]", "square matrices of one size", f"shape {matrix.shape}")
        games.append(as_blocks(method, J) if needs_blocks(method) else J if isinstance(J, BlockJacobian) else matrix)
    if weights is None:
        return games, np.full(len(games), 1 / len(games))
    chances = np.asarray(weights, dtype=np.float64)
    if chances.shape != (len(games),) or not (chances >= 0).all() or not abs(chances.sum() - 1) <= 1e-9:
        raise ArgumentError("weights", f"{len(games)} probabilities that add up to 1", weights)
    return games, chances / chances.sum()


def _same(one: Jacobian, other: Jacobian) -> bool:
    parts = [getattr(J, "parts", {}) for J in (one, other)]
    equal = parts[0].keys() == parts[1].keys() and all(np.array_equal(parts[0][p], parts[1][p]) for p in parts[0])
    return equal and np.array_equal(_matrix(one), _matrix(other))


def _step(method: Method, J: Jacobian, h: float) -> Real:
    """What a step on the batch of J does to all that is kept."""
    if isinstance(method, (LinearMultistep, PredictorCorrector)):
        return memory_matrix(method, J, h)
    return step_matrix(method, J, h)


def _radius(method: Method, games: list[Jacobian], chances: Real, h: float) -> float:
    steps = np.stack([_step(method, J, h) for J in games])
    n = steps.shape[1]
    if len(games) == 1:
        return float(np.abs(np.linalg.eigvals(steps[0])).max()) ** 2
    size = float(np.abs(steps).max())
    if not TINY < size < 1 / TINY:
        return min(max(size, TINY), 1 / TINY) ** 2
    steps = steps * (np.sqrt(chances)[:, None, None] / size)
    if n <= DENSE:
        return float(np.abs(np.linalg.eigvals(_symmetric_square(steps))).max()) * size**2
    return _arnoldi(steps) * size**2


def _symmetric_square(steps: Real) -> Real:
    """`X -> sum_b M_b X M_b^T` on symmetric matrices, by its values on `(e_i e_j^T + e_j e_i^T)`."""
    i, j = np.triu_indices(steps.shape[1])
    out = np.zeros((len(i), len(i)))
    for M in steps:
        out += M[np.ix_(i, i)] * M[np.ix_(j, j)] + (i != j) * M[np.ix_(i, j)] * M[np.ix_(j, i)]
    return out


def _arnoldi(steps: Real) -> float:
    n = steps.shape[1]

    def image(x: Real) -> Real:
        X = x.reshape(n, n)
        X = X + X.T
        return np.asarray((steps @ X @ steps.transpose(0, 2, 1)).sum(0).ravel() / 2)

    start = np.random.default_rng(7).standard_normal((n, n))
    operator = LinearOperator((n * n, n * n), matvec=image, dtype=np.float64)
    try:
        found = eigs(operator, k=1, v0=(start @ start.T).ravel(), return_eigenvectors=False, tol=1e-12)
    except ArpackNoConvergence as error:
        remedy = "fewer parameters: the dense operator is exact up to " + str(DENSE)
        raise ArgumentError(
            "jacobians", "second moments whose growth Arnoldi's method finds", str(error), remedy
        ) from None
    return float(np.abs(found).max())


def _grid(games: list[Jacobian]) -> Real:
    """Steps to scan: geometric near 0, then even to where most explicit methods have broken down."""
    norm = max(float(np.linalg.norm(_matrix(J), 2)) for J in games)
    if not norm:
        return np.array([1.0])
    scale = max(max(float(np.abs(np.linalg.eigvals(_matrix(J))).max()) for J in games), 1e-3 * norm)
    points = int(np.clip(6e6 / len(_matrix(games[0])) ** 2.2, 24, 240))
    small = np.geomspace(1e-4 / norm, NEAR / scale, max(12, points // 4))
    return np.unique(np.concatenate([small, np.linspace(NEAR / scale, FAR / scale, points)]))


def _scanned(excess: Callable[[float], float], grid: Real, explicit: bool) -> tuple[Interval, ...]:
    """Where `excess(h) <= 0` to rounding."""
    values, last = [excess(h) for h in grid], grid[-1]
    for _ in range(DOUBLINGS):
        if (values[-1] > UNIT and explicit) or len(grid) == 1:
            break
        more = np.linspace(grid[-1], 2 * grid[-1], MORE)[1:]
        grid, values = np.concatenate([grid, more]), [*values, *map(excess, more)]
    inside = [v <= UNIT for v in values]
    seen = next((i for i, v in enumerate(values) if abs(v) > UNIT), len(grid))
    if seen < len(grid) and grid[seen] <= NEAR / FAR * last:  # what rounding hides near 0 has the sign seen first
        inside[:seen] = [inside[seen]] * seen
    edges = [0.0] if inside[0] else []
    for i in range(len(grid) - 1):
        if inside[i] != inside[i + 1]:
            level = UNIT if min(values[i], values[i + 1]) >= -UNIT else 0.0  # a neutral stretch hovers at 0

            def shifted(h: float, level: float = level) -> float:
                return excess(h) - level

            edges.append(float(brentq(shifted, grid[i], grid[i + 1], xtol=1e-13 * grid[i + 1])))
    if inside[-1]:
        edges.append(float("inf"))
    return tuple(zip(edges[::2], edges[1::2], strict=True))
