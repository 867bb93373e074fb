"""Steps at which second moments decay when every step draws a batch with a Jacobian of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import get
from gamedyn.stability.matrices.eigenvalues import BlockJacobian, as_blocks, jacobian_matrix
from gamedyn.stability.matrices.step_matrix import step_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from gamedyn.methods import LinearMultistep, Method

    Real = NDArray[np.float64]
    Jacobian = NDArray[np.float64] | BlockJacobian

__all__ = ["drawn_games", "mean_square_radius", "memory_matrix", "same_game", "second_moment_radius"]

DENSE = 16
"""Size of the state up to which the second moments' operator is made a matrix."""

TINY = 1e-100
"""Entries of a step beyond which, or its inverse, only their size is said: squares stay finite."""


def mean_square_radius(
    method: str | Method,
    jacobians: Sequence[ArrayLike | BlockJacobian],
    h: float,
    weights: Sequence[float] | None = None,
) -> float:
    """Growth of `E|y|^2` a step, where every step draws one of the batches anew: below 1, noise in J does not matter.

    `rho(E[M (x) M])`, M the matrix of a step on the batch drawn, the same through the step: the largest eigenvalue of
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
    games, chances = drawn_games(chosen, jacobians, weights)
    return second_moment_radius(chosen, games, chances, positive("h", h))


def memory_matrix(method: Method, J: ArrayLike | BlockJacobian, h: float) -> NDArray[np.float64]:
    """A step of a multistep method on what it keeps: past values, and field values on the batches of their steps.

    `(y_{n+k-1}, ..., f_{n+k-2}, ...) -> (y_{n+k}, ..., f_{n+k-1}, ...)` with `f = J y` on this step's batch, as
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
    matrix, h = jacobian_matrix(J), positive("h", h)
    rules, implicit = method.formulas, not method.explicit
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
    for corrector in rules[1:]:
        old = known(corrector)
        for _ in range(method.corrections):
            new = old + h * float(corrector.beta[-1]) * matrix @ new
    return np.concatenate([*[new, *y][:values], *f[:kept]])


def _matrix(J: ArrayLike | BlockJacobian) -> Real:
    return jacobian_matrix(J)


def drawn_games(
    method: Method, jacobians: Sequence[ArrayLike | BlockJacobian], weights: Sequence[float] | None
) -> tuple[list[Jacobian], Real]:
    """The batches and their probabilities, checked."""
    if isinstance(jacobians, BlockJacobian) or not hasattr(jacobians, "__len__") or not len(jacobians):
        raise ArgumentError("jacobians", "a sequence of Jacobians, one for each batch", type(jacobians).__name__)
    games: list[Jacobian] = []
    for b, J in enumerate(jacobians):
        matrix = jacobian_matrix(J, f"jacobians[{b}]")
        if games and matrix.shape != jacobian_matrix(games[0]).shape:
            raise ArgumentError(f"jacobians[{b}]", "square matrices of one size", f"shape {matrix.shape}")
        games.append(as_blocks(method, J) if not method.decouples else J if isinstance(J, BlockJacobian) else matrix)
    if weights is None:
        return games, np.full(len(games), 1 / len(games))
    chances = np.asarray(weights, dtype=np.float64)
    if chances.shape != (len(games),) or not (chances >= 0).all() or not abs(chances.sum() - 1) <= 1e-9:
        raise ArgumentError("weights", f"{len(games)} probabilities that add up to 1", weights)
    return games, chances / chances.sum()


def same_game(one: Jacobian, other: Jacobian) -> bool:
    """Whether two batches have one Jacobian, parts included."""
    parts = [getattr(J, "parts", {}) for J in (one, other)]
    equal = parts[0].keys() == parts[1].keys() and all(np.array_equal(parts[0][p], parts[1][p]) for p in parts[0])
    return equal and np.array_equal(jacobian_matrix(one), jacobian_matrix(other))


def _step(method: Method, J: Jacobian, h: float) -> Real:
    """What a step on the batch of J does to all that is kept."""
    return memory_matrix(method, J, h) if method.formulas else step_matrix(method, J, h)


def second_moment_radius(method: Method, games: list[Jacobian], chances: Real, h: float) -> float:
    """Spectral radius of what a step does to second moments, the batch drawn anew."""
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
