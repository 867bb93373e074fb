"""Combinations of phi-functions of an operator known by its products."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.linalg import expm
from torch import Tensor

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.krylov._basis import Basis, norm, norms, rounding, sent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PhiResult", "phi_combination"]

EVERY = 4
"""Products between two estimates of the error."""

SAFETY = 0.9
SHRINK = (0.1, 0.9)
"""Bounds on the factor by which a sub-step whose error is too large is shortened."""


class PhiResult(NamedTuple):
    """A combination of phi-functions.

    Attributes:
        value: the combination; where it did not converge, the solution at the time that was reached.
        error: estimate of the 2-norm of what truncation leaves; inf where it did not converge.
        products: products with A.
        substeps: Krylov spaces that time was divided between.
        converged: whether the end was reached with the tolerance met.
        status: "converged", "budget" or "non_finite".
    """

    value: Tensor
    error: float
    products: int
    substeps: int
    converged: bool
    status: str


def phi_combination(
    matvec: Callable[[Tensor], Tensor],
    vectors: Sequence[Tensor | None],
    *,
    rtol: float = 1e-10,
    atol: float = 0.0,
    dimension: int = 30,
    max_products: int = 2000,
    look_every: int | None = None,
) -> PhiResult:
    """`sum_k phi_k(A) b_k`, where `phi_0 = exp` and `phi_{k+1}(z) = (phi_k(z) - 1/k!) / z`.

    The sum is u(1), where `u' = A u + sum_{k>=1} t^(k-1)/(k-1)! b_k` and `u(0) = b_0`. With the polynomial's powers
    as p more unknowns the equation is homogeneous, and its exponential is applied by Arnoldi, in as many sub-steps
    as the error estimate asks for. Where the Krylov space becomes invariant, the result is exact to rounding.

    Args:
        matvec: x -> A x, shape (n,); what it is given must not be kept or written. A step size is part of A.
        vectors: b_0, ..., b_p, (n,) each; None stands for 0.
        rtol: of the error, relative to the largest |u(t)|, 0 < t <= 1; never below the dtype's rounding.
        atol: of the error, per root of n.
        dimension: largest Krylov space.
        max_products: bound on the work.
        look_every: products between two looks at the space, each of which waits for the device; None: 1 on a CPU, 4
            elsewhere.

    Raises:
        ArgumentError: for a tolerance or bound out of range, or vectors that are not alike.

    Source: Al-Mohy, Higham 2011, SIAM J. Sci. Comput. 33, Theorem 2.1 (the larger matrix) and section 5 (its
        scaling); Saad 1992, SIAM J. Numer. Anal. 29, Theorem 5.1 (the error); Sidje 1998, ACM Trans. Math. Softw. 24,
        section 4 (corrected scheme, sub-steps).

    Example:
        >>> b = torch.ones(1, dtype=torch.float64)
        >>> result = phi_combination(lambda x: -2 * x, [None, b])
        >>> round(result.value.item(), 12) == round((1 - math.exp(-2)) / 2, 12), result.products
        (True, 1)
    """
    positive("rtol", rtol)
    if not (math.isfinite(atol) and atol >= 0):
        raise ArgumentError("atol", "a finite number of at least 0", atol)
    positive_int("dimension", dimension)
    positive_int("max_products", max_products)
    problem = _Augmented(matvec, _checked(vectors), max_products)
    problem.look = (EVERY if problem.u.is_cuda else 1) if look_every is None else positive_int("look_every", look_every)
    absolute = atol * math.sqrt(problem.n)
    relative = max(rtol, torch.finfo(problem.u.dtype).eps)
    return _advance(problem, absolute, relative, min(dimension, problem.n + problem.p))


def _checked(vectors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The vectors without their graphs and trailing Nones."""
    given = [b for b in vectors if b is not None]
    if not given:
        raise ArgumentError("vectors", "at least one vector", vectors, "None stands for 0, of unknown length")
    first = given[0]
    for b in given:
        if b.ndim != 1 or b.shape != first.shape or b.dtype != first.dtype or not b.is_floating_point():
            got = f"{b.dtype} of shape {tuple(b.shape)}"
            raise ArgumentError("vectors", f"vectors of {first.dtype}, shape {tuple(first.shape)}", got)
    plain = [None if b is None else b.detach() for b in vectors]
    while plain[-1] is None:
        plain.pop()
    return plain


class _Step(NamedTuple):
    """A sub-step: its length, the solution after it, and its error."""

    tau: float
    u: Tensor
    error: float


class _Augmented:
    """The operator `[[A, W], [0, N]]`, the top of its solution, and the budget.

    The unknowns below are powers of t over factorials; N shifts them, `W = eta [b_p, ..., b_1]`, and eta makes the
    columns of W no longer than 1.
    """

    def __init__(self, matvec: Callable[[Tensor], Tensor], vectors: list[Tensor | None], left: int) -> None:
        given = next(b for b in vectors if b is not None)
        self.n, self.p, self.left = len(given), len(vectors) - 1, left
        self.u = torch.zeros_like(given) if vectors[0] is None else vectors[0]
        self.still, self.look = vectors[0] is None, 1
        self._matvec = matvec
        if self.p:
            self._W = torch.stack([torch.zeros_like(given) if b is None else b for b in reversed(vectors[1:])])
            largest = max(norms(*self._W))
            self._eta = 2.0 ** -math.ceil(math.log2(largest)) if 0 < largest < math.inf else 1.0
            self._W = self._W * self._eta

    def below(self, t: float) -> list[float]:
        """The unknowns below the top ones, at time t."""
        return [t**k / math.factorial(k) / self._eta for k in range(self.p - 1, -1, -1)]

    def start(self, t: float) -> Tensor:
        """The whole solution at time t."""
        return torch.cat((self.u, sent(self.below(t), self.u))) if self.p else self.u

    def multiply(self, v: Tensor, out: Tensor) -> None:
        """Write the product with v; the first of a solution that starts at 0 needs none with A."""
        if self.still:
            out.zero_()
            self.still = False
        else:
            self.left -= 1
            out[: self.n].copy_(self._matvec(v[: self.n]).detach())
        if self.p:
            bottom = v[self.n :]
            out[: self.n].addmv_(self._W.t(), bottom)
            out[self.n : -1] = bottom[1:]
            out[-1] = 0


@dataclass
class _Space:
    """A Krylov space, and what a sub-step in it would give."""

    basis: Basis
    beta: float
    columns: list[list[float]]
    scale: float
    invariant: bool = False

    def weights(self, tau: float) -> tuple[list[float], float]:
        """Weights of the basis for a sub-step tau, by the corrected scheme, and the error's estimate.

        The first term that the plain scheme omits serves both as correction and as estimate, unless the second one
        is larger: then the space is too small for the estimate to mean anything, and neither is.
        """
        j = len(self.columns)
        H = np.zeros((j + 2, j + 2))
        for i, column in enumerate(self.columns):
            H[: len(column), i] = column
        if self.invariant:
            H[j, j - 1] = 0.0
        else:
            H[j + 1, j] = 1.0
        with np.errstate(over="ignore", invalid="ignore"):  # the sub-step is then too long
            first: list[float] = (self.beta * expm(tau * H)[:, 0]).tolist()
        error = max(abs(first[j]), abs(first[j + 1]) * self.scale)
        return first[: j + (not self.invariant)], error if all(map(math.isfinite, first)) else math.inf


def _advance(problem: _Augmented, absolute: float, relative: float, dimension: int) -> PhiResult:
    """Sub-step to time 1."""
    basis = Basis(problem.u, problem.n + problem.p, dimension + 1)
    budget, scale = problem.left, 0.0
    t, error, largest, substeps, guess = 0.0, 0.0, 0.0 if problem.still else norm(problem.u), 0, 1.0

    def ended(status: str) -> PhiResult:
        reached = status == "converged"
        return PhiResult(problem.u, error if reached else math.inf, budget - problem.left, substeps, reached, status)

    while t < 1:
        v = problem.start(t)
        beta = norm(v)
        if beta == 0:
            break
        if not math.isfinite(beta):
            return ended("non_finite")
        torch.div(v, beta, out=basis.slot(0))
        space = _Space(basis, beta, [], scale)
        tolerance = _Tolerance(absolute, relative, largest)
        step = _substep(problem, space, tolerance, 1 - t, guess, dimension)
        if isinstance(step, str):
            return ended(step)
        problem.u = step.u
        substeps, error, largest, scale = substeps + 1, error + step.error, tolerance.largest, space.scale
        t = 1.0 if step.tau >= 1 - t else t + step.tau
        guess = 2 * step.tau
    return ended("converged")


@dataclass
class _Tolerance:
    """Error allowed per unit of time, and the largest |u| so far."""

    absolute: float
    relative: float
    largest: float

    def at(self, size: float) -> float:
        return self.absolute + self.relative * max(self.largest, size)


def _substep(
    problem: _Augmented, space: _Space, tolerance: _Tolerance, rest: float, guess: float, dimension: int
) -> _Step | str:
    """One sub-step; or why there is none."""
    tau = rest / math.ceil(rest / guess)
    last = min(dimension, problem.n + problem.p)
    for j in range(1, last + 1):
        spent = problem.left < 1 and not problem.still
        if spent and len(space.columns) == j - 1:
            return "budget"
        if spent:  # what has been computed and not looked at may be enough
            return _looked(problem, space, j - 1, tolerance, (tau, rest), dimension) or "budget"
        out = space.basis.slot(j)
        problem.multiply(space.basis.rows[j - 1], out)
        space.basis.orthogonalise(j)
        if j % problem.look and j % EVERY and j < last:
            continue
        found = _looked(problem, space, j, tolerance, (tau, rest), dimension)
        if found is not None:
            return found
        if j % EVERY == 0:
            step = _attempt(problem, space, tolerance, tau)
            if not isinstance(step, float):
                return step
    return "budget"


def _looked(
    problem: _Augmented, space: _Space, j: int, tolerance: _Tolerance, taus: tuple[float, float], dimension: int
) -> _Step | str | None:
    """Look at the columns up to the j-th; what ends the sub-step, if one of them does.

    Args:
        problem: what is solved.
        space: the space so far.
        j: vectors computed.
        tolerance: allowed.
        taus: the sub-step, and what is left of the time, which an invariant space reaches.
        dimension: largest space.
    """
    tiny, first = rounding(problem.u), len(space.columns) + 1
    for i, column in enumerate(space.basis.columns(first, j), first):
        length = math.hypot(*column)
        if not math.isfinite(length):
            return "non_finite"
        space.columns.append(column)
        space.scale = max(space.scale, length)
        space.invariant = column[-1] <= tiny * space.scale or i == problem.n + problem.p
        if space.invariant or i == dimension:
            return _longest(problem, space, tolerance, taus[1] if space.invariant else taus[0])
    return None


def _longest(problem: _Augmented, space: _Space, tolerance: _Tolerance, tau: float) -> _Step | str:
    """The longest sub-step, up to tau, that the space is good for."""
    while tau > 0:
        step = _attempt(problem, space, tolerance, tau)
        if not isinstance(step, float):
            return step
        if not math.isfinite(step) and tau * space.scale < 1:  # the solution itself overflows
            break
        factor = SAFETY * step ** (-1 / len(space.columns)) if math.isfinite(step) else 0.0
        tau *= min(max(factor, SHRINK[0]), SHRINK[1])
    return "non_finite"


def _attempt(problem: _Augmented, space: _Space, tolerance: _Tolerance, tau: float) -> _Step | float:
    """The sub-step tau if its error is allowed, else its error over what is allowed."""
    weights, error = space.weights(tau)
    floor = torch.finfo(problem.u.dtype).eps * space.beta
    ratio = error / max(tau * tolerance.at(math.hypot(*weights)), floor)
    if not ratio <= 1:  # the weights' length bounds |u|, which is dearer
        return ratio
    u = space.basis.combine(weights)[: problem.n].clone()
    size = norm(u)
    ratio = error / max(tau * tolerance.at(size), floor) if math.isfinite(size) else math.inf
    if ratio > 1:
        return ratio
    tolerance.largest = max(tolerance.largest, size)
    return _Step(tau, u, error)
