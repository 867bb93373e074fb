"""Anderson acceleration of fixed-point iterations."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.krylov._basis import norms

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FixedPoint", "anderson"]

CONDITION = 2e-4
"""Largest condition number of the differences, times the dtype's rounding: 1e12 in float64."""


class FixedPoint(NamedTuple):
    """Where a fixed-point iteration ended.

    Attributes:
        x: the last point.
        value: g(x).
        residual: `|g(x) - x|`.
        evaluations: how often g was evaluated.
        converged: whether the residual passed the test.
        status: "converged"; "budget"; "non_finite": g was, and x is the last point where it was not.
    """

    x: Tensor
    value: Tensor
    residual: float
    evaluations: int
    converged: bool
    status: str


def anderson(
    g: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    depth: int = 5,
    rtol: float = 1e-8,
    atol: float = 0.0,
    max_iterations: int = 50,
    damping: float = 1.0,
    floor: Callable[[Tensor], Tensor] | None = None,
) -> FixedPoint:
    """Solve `x = g(x)` by Anderson acceleration, type II.

    With `f = g(x) - x`, and the last `depth` differences of x and f as columns of X and F,
    `x <- x + damping f - (X + damping F) argmin_c |f - F c|`. On `g(x) = M x + a` this is GMRES in disguise. Of
    differences that are nearly dependent the oldest are dropped.

    Args:
        g: x -> g(x), shape (n,); what it is given must not be written.
        x: where to start, (n,).
        depth: differences kept; 0 is the plain iteration, damped.
        rtol: of `|f|`, relative to `|g(x)|`.
        atol: of `|f|`, per root of n: the test is `|f| <= atol sqrt(n) + rtol |g(x)|`.
        max_iterations: bound on the evaluations of g.
        damping: the share of f that is used.
        floor: x -> the residual below which all is rounding, (1,): what is below it passes too.

    Raises:
        ArgumentError: for a tolerance, bound or damping out of range, or an x that is not a vector.

    Source: Walker, Ni 2011, SIAM J. Numer. Anal. 49, p. 1715: the unconstrained form, section 4, and Theorem 2.2.

    Example:
        >>> x = torch.ones(1, dtype=torch.float64)
        >>> found = anderson(torch.cos, x, rtol=1e-12)
        >>> round(found.x.item(), 10), found.status, found.evaluations < 10
        (0.7390851332, 'converged', True)
    """
    positive("rtol", rtol)
    positive("damping", damping)
    positive_int("max_iterations", max_iterations)
    positive_int("depth", depth, least=0)
    if not (math.isfinite(atol) and atol >= 0):
        raise ArgumentError("atol", "a finite number of at least 0", atol)
    if x.ndim != 1 or not x.is_floating_point():
        raise ArgumentError("x", "a vector of real floating-point numbers", f"{x.dtype} of shape {tuple(x.shape)}")
    x, history = x.detach(), _History(min(depth, len(x)))
    last: tuple[Tensor, Tensor, float] | None = None
    done = 0
    while True:
        value = g(x).detach()
        done += 1
        f = value - x
        size, scale, least = norms(f, value, f.new_zeros(1) if floor is None else floor(x))
        if not math.isfinite(size):
            before, change, size = last or (x, f, math.inf)
            return FixedPoint(before, before + change, size, done, False, "non_finite")
        passed = size <= max(atol * math.sqrt(len(x)) + rtol * scale, least)
        if passed or done == max_iterations:
            return FixedPoint(x, value, size, done, bool(passed), "converged" if passed else "budget")
        if last is not None:
            history.add(x - last[0], f - last[1])
        last = (x, f, size)
        x = x + history.step(f, damping)


class _History:
    """The last differences of x and f, newest first, scaled so that those of f have length 1."""

    def __init__(self, depth: int) -> None:
        self._x: deque[Tensor] = deque(maxlen=depth)
        self._f: deque[Tensor] = deque(maxlen=depth)

    def add(self, dx: Tensor, df: Tensor) -> None:
        length = torch.linalg.vector_norm(df)  # where it is 0 the columns become NaN, and are dropped
        self._x.appendleft(dx / length)
        self._f.appendleft(df / length)

    def step(self, f: Tensor, damping: float) -> Tensor:
        """The accelerated step from a point with residual f."""
        if not self._f:
            return damping * f
        F = torch.stack(tuple(self._f)).t()
        Q, R = torch.linalg.qr(F)
        small = torch.cat((R, (Q.t() @ f)[:, None]), 1).to("cpu", torch.float64)
        kept = _well_conditioned(small[:, :-1], CONDITION / torch.finfo(f.dtype).eps)
        while len(self._f) > kept:
            self._x.pop()
            self._f.pop()
        if not kept:
            return damping * f
        c = torch.linalg.solve_triangular(small[:kept, :kept], small[:kept, -1:], upper=True)[:, 0].to(f)
        step: Tensor = damping * (f - F[:, :kept] @ c) - torch.stack(tuple(self._x)).t() @ c
        return step


def _well_conditioned(R: Tensor, limit: float) -> int:
    """How many of the leading columns of the triangular R have a condition number within the limit."""
    if not bool(R.isfinite().all()):
        return 0
    for kept in range(len(R), 0, -1):
        values = torch.linalg.svdvals(R[:kept, :kept])
        if values[0] <= limit * values[-1] and values[-1] > 0:
            return kept
    return 0
