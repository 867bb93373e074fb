"""The one-step matrix of methods whose modes do not decouple: from the blocks, or the parts, of J."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import (
    AdditiveRungeKutta,
    LinearlyImplicit,
    LinearMultistep,
    Lookahead,
    Method,
    Partitioned,
    Periodic,
)
from gamedyn.methods._additive import REST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

    from gamedyn.stability.matrices.eigenvalues import BlockJacobian

    Real = NDArray[np.float64]

__all__ = ["block_step", "coupled_rows"]


def block_step(method: Method, J: BlockJacobian, h: float) -> Real:
    """The matrix of one step of size h on `y' = J y`.

    Raises:
        ArgumentError: for a method of a family that has none.
    """
    make = next((make for family, make in FAMILIES if isinstance(method, family)), None)
    if make is None:
        raise ArgumentError("method", "a method of a family that has a one-step matrix", method)
    return make(method, J, h)


def _ahead(method: Lookahead, J: BlockJacobian, h: float) -> Real:
    ahead = np.linalg.matrix_power(block_step(method.inner, J, h), method.k)
    alpha = float(method.alpha)
    return np.asarray((1 - alpha) * np.eye(len(ahead)) + alpha * ahead)


def _composed(method: Partitioned, J: BlockJacobian, h: float) -> Real:
    order = method.order_of_play(J.players)
    stages = method.stages(len(order))
    n = len(J.matrix)
    slopes: list[Real] = []  # (rows of the moving player, n)
    rows = [J.slices[order[p]] for p in stages.player]

    def combined(weights: tuple[Any, ...]) -> Real:
        out = np.eye(n)
        for w, at, k in zip(weights, rows, slopes, strict=False):
            if w:
                out[at] += h * float(w) * k
        return out

    for at, weights in zip(rows, stages.A, strict=True):
        slopes.append(J.matrix[at] @ combined(weights))
    return combined(stages.b)


def _monodromy(method: Periodic, J: BlockJacobian, h: float) -> Real:
    method.check_players(len(J.slices))
    out = np.eye(len(J.matrix))
    for move in method.lengths:
        lengths = np.concatenate([np.full(s.stop - s.start, float(x)) for s, x in zip(J.slices, move, strict=True)])
        out = out + h * lengths[:, None] * (J.matrix @ out)
    return np.asarray(out)


def _additive(method: AdditiveRungeKutta, J: BlockJacobian, h: float) -> Real:
    parts = dict(J.parts) or {"game": J.matrix}
    own = {p: np.asarray(parts.pop(p, np.zeros_like(J.matrix))) for p in method.parts if p != REST}
    own[REST] = sum(parts.values(), np.zeros_like(J.matrix))
    slopes: list[Real] = []

    def combined(row: int | None) -> Real:
        used = zip(method.plan, slopes, strict=False)
        return sum((h * float(method.weights(e, row)) * k for e, k in used), np.eye(len(J.matrix)))

    for evaluation in method.plan:
        slope = sum((float(f) * own[p] for p, f in evaluation.factors.items()), np.zeros_like(J.matrix))
        slopes.append(slope @ combined(evaluation.stage))
    return combined(None)


def _linearly_implicit(method: LinearlyImplicit, J: BlockJacobian, h: float) -> Real:
    W, eye = getattr(J, method.part), np.eye(len(J.matrix))
    slopes: list[Real] = []

    def combined(weights: Sequence[Fraction], base: Real) -> Real:
        return sum((float(w) * k for w, k in zip(weights, slopes, strict=False)), base)

    for i in range(method.stages):
        right = J.matrix @ (eye + h * combined(method.A[i], 0 * eye))
        right = right + h * W @ combined(method.gamma[i], 0 * eye)
        slopes.append(np.asarray(np.linalg.solve(eye - h * float(method.gamma[i][i]) * W, right), dtype=np.float64))
    return eye + h * combined(method.b, 0 * eye)


def coupled_rows(method: LinearMultistep, J: BlockJacobian, h: float) -> tuple[list[Real], Real]:
    """`bottom y_{n+k} = sum_j tops[j] y_{n+k-1-j}` of a multistep method with a coupling (LEAD), newest first."""
    k, eye = method.steps, np.eye(len(J.matrix))
    weights = [tuple(map(float, x)) for x in zip(method.alpha, method.beta, method.coupling or (), strict=False)]
    tops = [-a * eye + h * b * J.matrix + h * w * J.cross for a, b, w in weights[k - 1 :: -1]]
    return tops, np.asarray(eye - h * float(method.beta[k]) * J.matrix)


def _coupled(method: LinearMultistep, J: BlockJacobian, h: float) -> Real:
    tops, bottom = coupled_rows(method, J, h)
    n = len(J.matrix)
    out = np.eye(method.steps * n, k=-n)
    out[:n] = np.linalg.solve(bottom, np.hstack(tops))
    return out


FAMILIES: tuple[tuple[type[Method], Callable[[Any, BlockJacobian, float], Real]], ...] = (
    (Lookahead, _ahead),
    (Partitioned, _composed),
    (Periodic, _monodromy),
    (AdditiveRungeKutta, _additive),
    (LinearlyImplicit, _linearly_implicit),
    (LinearMultistep, _coupled),
)
"""A family and what makes its one-step matrix."""
