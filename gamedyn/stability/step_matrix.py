"""One step of a method on a linear game, as a matrix; its spectral radius."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import expm

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import (
    AdditiveRungeKutta,
    ExponentialRosenbrock,
    LinearlyImplicit,
    LinearMultistep,
    Lookahead,
    Method,
    Partitioned,
    PredictorCorrector,
    get,
)
from gamedyn.methods._additive import REST
from gamedyn.stability.amplification import amplification, rational_function
from gamedyn.stability.eigenvalues import (
    BlockJacobian,
    Spectrum,
    as_blocks,
    eigenvalue_array,
    jacobian_matrix,
    needs_blocks,
)
from gamedyn.stability.recurrence import recurrence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from numpy.typing import ArrayLike, NDArray

    from gamedyn.stability.polynomial import Polynomial, RationalFunction

__all__ = ["spectral_radius", "step_matrix"]

Matrix = "NDArray[np.float64]"


def step_matrix(method: str | Method, J: ArrayLike | BlockJacobian, h: float) -> NDArray[np.float64]:
    """The matrix of one step of size h on `y' = J y`.

    Runge-Kutta: `R(hJ)`. Multistep: the block companion matrix that takes `(y_{n+k-1}, ..., y_n)` one
    step on. Partitioned: the product of the players' moves, from the blocks of J.

    Args:
        method: one of our methods, or its name.
        J: (n, n), or a BlockJacobian, which partitioned methods need.
        h: step, in units of the field's time.

    Returns:
        (n, n), or (kn, kn) for a k-step method.

    Raises:
        ArgumentError: for a partitioned method without blocks, a method of another library, or a J that is
            not square or not finite.

    Example:
        >>> game = BlockJacobian(np.array([[0.0, -1.0], [1.0, 0.0]]), (1, 1))
        >>> step_matrix("alternating", game, 0.5)
        array([[ 1.  , -0.5 ],
               [ 0.5 ,  0.75]])
    """
    method, h = get(method), positive("h", h)
    matrix = jacobian_matrix(J)
    if needs_blocks(method):
        return _block_step(method, as_blocks(method, J), h)
    if isinstance(method, ExponentialRosenbrock):
        return np.asarray(expm(h * matrix))
    if isinstance(method, (LinearMultistep, PredictorCorrector)):
        return _companion(method, h * matrix)
    return _rational_step(rational_function(method), h * matrix)


def spectral_radius(method: str | Method, spectrum: Spectrum, h: float) -> float:
    """Spectral radius of one step of size h: below 1, perturbations decay.

    Args:
        method: one of our methods, or its name.
        spectrum: eigenvalues of J; a BlockJacobian for partitioned methods (allowed for all).
        h: step.

    Raises:
        ArgumentError: if the spectrum is empty, not finite, or lacks the blocks.

    Example:
        >>> spectral_radius("euler", [1j, -1j], 1.0) ** 2
        2.0000000000000004
    """
    method, h = get(method), positive("h", h)
    if needs_blocks(method):
        return float(np.abs(np.linalg.eigvals(_block_step(method, as_blocks(method, spectrum), h))).max())
    return float(amplification(method, h * eigenvalue_array(spectrum)).max())


def _rational_step(R: RationalFunction, Z: NDArray[np.float64]) -> NDArray[np.float64]:
    top = _at(R.numerator, Z)
    return top if R.is_polynomial else np.linalg.solve(_at(R.denominator, Z), top).astype(np.float64)


def _at(coefficients: Polynomial, Z: NDArray[np.float64]) -> NDArray[np.float64]:
    eye = np.eye(len(Z))
    out: NDArray[np.float64] = np.zeros_like(eye)
    for c in reversed(coefficients):
        out = out @ Z + float(c) * eye
    return out


def _companion(method: LinearMultistep | PredictorCorrector, Z: NDArray[np.float64]) -> NDArray[np.float64]:
    r, n = recurrence(method), len(Z)
    top = np.hstack([_at(p, Z) for p in r.tops])
    if len(r.bottom) > 1:
        top = np.linalg.solve(_at(r.bottom, Z), top).astype(np.float64)
    out = np.eye(r.steps * n, k=-n)
    out[:n] = top
    return out


def _block_step(method: Method, J: BlockJacobian, h: float) -> NDArray[np.float64]:
    if isinstance(method, Lookahead):
        ahead = np.linalg.matrix_power(step_matrix(method.inner, J, h), method.k)
        alpha = float(method.alpha)
        return (1 - alpha) * np.eye(len(ahead)) + alpha * ahead
    if isinstance(method, Partitioned):
        return _composed(method, J, h)
    if isinstance(method, AdditiveRungeKutta):
        return _additive(method, J, h)
    if isinstance(method, LinearlyImplicit):
        return _linearly_implicit(method, J, h)
    if isinstance(method, LinearMultistep):
        return _coupled(method, J, h)
    raise ArgumentError("method", "a method whose coefficients gamedyn holds", method)


def _composed(method: Partitioned, J: BlockJacobian, h: float) -> NDArray[np.float64]:
    order = method.order_of_play(J.players)
    stages = method.stages(len(order))
    n = len(J.matrix)
    slopes: list[NDArray[np.float64]] = []  # (rows of the moving player, n)
    rows = [J.slices[order[p]] for p in stages.player]

    def combined(weights: tuple[Any, ...]) -> NDArray[np.float64]:
        out = np.eye(n)
        for w, at, k in zip(weights, rows, slopes, strict=False):
            if w:
                out[at] += h * float(w) * k
        return out

    for at, weights in zip(rows, stages.A, strict=True):
        slopes.append(J.matrix[at] @ combined(weights))
    return combined(stages.b)


def _additive(method: AdditiveRungeKutta, J: BlockJacobian, h: float) -> NDArray[np.float64]:
    parts = dict(J.parts) or {"game": J.matrix}
    own = {p: np.asarray(parts.pop(p, np.zeros_like(J.matrix))) for p in method.parts if p != REST}
    own[REST] = sum(parts.values(), np.zeros_like(J.matrix))
    slopes: list[NDArray[np.float64]] = []

    def combined(row: int | None) -> NDArray[np.float64]:
        used = zip(method.plan, slopes, strict=False)
        return sum((h * float(method.weights(e, row)) * k for e, k in used), np.eye(len(J.matrix)))

    for evaluation in method.plan:
        slope = sum((float(f) * own[p] for p, f in evaluation.factors.items()), np.zeros_like(J.matrix))
        slopes.append(slope @ combined(evaluation.stage))
    return combined(None)


def _linearly_implicit(method: LinearlyImplicit, J: BlockJacobian, h: float) -> NDArray[np.float64]:
    W, eye = getattr(J, method.part), np.eye(len(J.matrix))
    slopes: list[NDArray[np.float64]] = []

    def combined(weights: Sequence[Fraction], base: NDArray[np.float64]) -> NDArray[np.float64]:
        return sum((float(w) * k for w, k in zip(weights, slopes, strict=False)), base)

    for i in range(method.stages):
        right = J.matrix @ (eye + h * combined(method.A[i], 0 * eye))
        right = right + h * W @ combined(method.gamma[i], 0 * eye)
        slopes.append(np.asarray(np.linalg.solve(eye - h * float(method.gamma[i][i]) * W, right), dtype=np.float64))
    return eye + h * combined(method.b, 0 * eye)


def _coupled(method: LinearMultistep, J: BlockJacobian, h: float) -> NDArray[np.float64]:
    n, k = len(J.matrix), method.steps
    eye, W, coupling = np.eye(n), J.cross, method.coupling or ()
    terms = [
        -float(method.alpha[j]) * eye + h * float(method.beta[j]) * J.matrix + h * float(coupling[j]) * W
        for j in range(k - 1, -1, -1)
    ]
    out = np.eye(k * n, k=-n)
    top = np.hstack(terms)
    out[:n] = top if method.explicit else np.linalg.solve(eye - h * float(method.beta[k]) * J.matrix, top)
    return out
