"""Backward error on linear games: the equation that a method solves exactly, and what it makes of every mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method
from gamedyn.stability.matrices.block_step import coupled_rows
from gamedyn.stability.matrices.eigenvalues import BlockJacobian, eigenvalue_array, jacobian_matrix
from gamedyn.stability.matrices.step_matrix import step_matrix
from gamedyn.stability.symbols import symbol
from gamedyn.stability.symbols.anchored import same_each_step
from gamedyn.stability.symbols.recurrence import at_matrix

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gamedyn.stability.matrices.eigenvalues import Spectrum

__all__ = ["ModifiedEquation", "mode_rates", "modified_equation"]

MOST_TERMS = 40
"""Terms of a modified equation: matrices of so many times the size of J are formed."""


@dataclass(frozen=True, eq=False)
class ModifiedEquation:
    """`y' = (G_0 + h G_1 + h^2 G_2 + ...) y`, which the method solves to one order more with every term.

    Attributes:
        terms: (m, n, n), newest power last; G_0 is J times the method's clock.
    """

    terms: NDArray[np.float64]

    def at(self, h: float) -> NDArray[np.float64]:
        """The generator at a step, cut after the last term, (n, n)."""
        powers = positive("h", h) ** np.arange(len(self.terms))
        return np.asarray(np.tensordot(powers, self.terms, 1))


def modified_equation(method: str | Method, J: ArrayLike | BlockJacobian, terms: int = 4) -> ModifiedEquation:
    """The modified equation of a method on `y' = J y`, term by term; in its own clock, as G_0 says.

    The step matrix M(h), of a multistep method its principal part, is expanded in h without truncation error (J
    times a nilpotent shift stands for h J), and `log M(h) = h sum_k h^k G_k`.

    Args:
        method: one of our methods, or its name; of partitioned ones the order of play, sub-cycles and players' rates
            (which are in J) all count.
        J: (n, n), or a BlockJacobian, which partitioned and additive methods need.
        terms: how many, at most 40: 4 is up to h^3.

    Raises:
        ArgumentError: for a method that lacks its blocks, or a J that is not square and finite.

    Source: Hairer, Lubich, Wanner, Geometric Numerical Integration, IX.1; IX.9.

    Example:
        >>> euler = modified_equation("euler", [[2.0]])
        >>> [round(float(g), 12) for g in euler.terms[:, 0, 0]]  # log(1 + 2h) / h
        [2.0, -2.0, 2.666666666667, -4.0]
        >>> turn = BlockJacobian(np.array([[0.0, -1.0], [1.0, 0.0]]), (1, 1))
        >>> (modified_equation("alternating", turn).terms[1] + 0.0).tolist()  # no damping: the trace is 0
        [[0.5, 0.0], [0.0, -0.5]]
    """
    chosen, count = same_each_step(method), positive_int("terms", terms)
    blocks = J if isinstance(J, BlockJacobian) else None
    matrix = jacobian_matrix(J)
    if count > MOST_TERMS:
        raise ArgumentError("terms", f"at most {MOST_TERMS}", count)
    if not chosen.decouples and blocks is None:
        raise ArgumentError("J", f"a BlockJacobian for {chosen!r}", "a matrix", "use BlockJacobian(J, sizes)")
    scale = max(float(np.abs(matrix).max()), 1e-300)  # of size 1 in between: powers neither vanish nor swell
    series = _step_series(chosen, _shifted(matrix / scale, blocks, scale, count + 1))
    generator = _logarithm(series, count + 1)
    n = len(matrix)
    first = generator.reshape(n, count + 1, n, count + 1)[:, 0]
    powers = scale ** np.arange(1, count + 1)
    return ModifiedEquation(np.moveaxis(first[:, :, 1:], 2, 0) * powers[:, None, None])


def _shifted(
    matrix: NDArray[np.float64], blocks: BlockJacobian | None, scale: float, m: int
) -> NDArray[np.float64] | BlockJacobian:
    """`J (x) N`, N the nilpotent shift: polynomials in it are power series in h, cut after h^(m-1)."""
    N = np.eye(m, k=1)
    shifted: NDArray[np.float64] = np.kron(matrix, N).astype(np.float64)
    if blocks is None:
        return shifted
    parts = {name: np.kron(np.asarray(part) / scale, N).astype(np.float64) for name, part in blocks.parts.items()}
    turned = np.kron(matrix.T, N).astype(np.float64)
    return _Shifted(shifted, tuple(s * m for s in blocks.sizes), blocks.players, parts, turned=turned)


@dataclass(frozen=True, eq=False)
class _Shifted(BlockJacobian):
    """Its parts are those of J, shifted: the shift itself is not transposed."""

    turned: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def sym(self) -> NDArray[np.float64]:
        return np.asarray((self.matrix + self.turned) / 2)

    @property
    def skew(self) -> NDArray[np.float64]:
        return np.asarray((self.matrix - self.turned) / 2)


def _step_series(method: Method, Z: NDArray[np.float64] | BlockJacobian) -> NDArray[np.float64]:
    """M(h) of a one-step method; of a multistep one the principal solution E of its characteristic equation."""
    if method.steps == 1:
        return step_matrix(method, Z, 1.0)
    matrix = Z.matrix if isinstance(Z, BlockJacobian) else Z
    eye = np.eye(len(matrix))
    tops, bottom = _rows(method, Z)
    E, k = eye.copy(), len(tops)
    slope = float(k * bottom[0, 0] - sum((k - 1 - j) * top[0, 0] for j, top in enumerate(tops)))  # rho'(1)
    if abs(slope) < 1e-12:
        raise ArgumentError("method", "a simple root of rho at 1", method)
    for _ in range(round(len(matrix))):
        powers = [eye]
        for _ in range(k):
            powers.append(powers[-1] @ E)
        rest = bottom @ powers[k] - sum((top @ powers[k - 1 - j] for j, top in enumerate(tops)), np.zeros_like(eye))
        if np.abs(rest).max() <= 1e-15:
            break
        E = E - rest / slope
    return E


def _rows(
    method: Method, Z: NDArray[np.float64] | BlockJacobian
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """`bottom E^k = sum_j tops[j] E^(k-1-j)` as matrices."""
    if isinstance(Z, BlockJacobian) and not method.decouples:
        return coupled_rows(method.formulas[0], Z, 1.0)
    matrix = Z.matrix if isinstance(Z, BlockJacobian) else Z
    found = symbol(method)
    tops, bottom = getattr(found, "tops", ()), getattr(found, "bottom", ())
    return [at_matrix(p, matrix) for p in tops], at_matrix(bottom, matrix)


def _logarithm(M: NDArray[np.float64], m: int) -> NDArray[np.float64]:
    """Log of identity plus nilpotent: a finite sum."""
    X = M - np.eye(len(M))
    out, power = np.zeros_like(X), np.eye(len(M))
    for k in range(1, m):
        power = power @ X
        out += (-1) ** (k + 1) * power / k
    return out


def mode_rates(method: str | Method, spectrum: Spectrum, h: float) -> NDArray[np.complex128]:
    """What a method makes of every mode: `log R(h lambda) / (s h)`, its damping and frequency with this step.

    The real part less that of lambda is the numerical damping (negative: the method damps), the imaginary one less
    that of lambda the error in frequency. s is the method's clock. Of a multistep method the principal root
    counts, that nearest `exp(s h lambda)`: a parasitic one may grow all the same, which `spectral_radius` shows.
    Of the frequencies that give the same step that nearest to lambda's is chosen: beyond half a turn a step,
    `|h Im lambda| > pi / s`, no step distinguishes them.

    Args:
        method: a method whose modes decouple, or its name; of a partitioned one the rates of J's blocks are returned,
            sorted as numpy's eigenvalues of the step matrix.
        spectrum: eigenvalues; a BlockJacobian for methods that need one.
        h: step.

    Returns:
        As many complex rates as eigenvalues; of real part -inf where one step annihilates a mode.

    Raises:
        ArgumentError: for bad eigenvalues or step, or blocks that lack.

    Source: Hairer, Lubich, Wanner, IX.9; methods.md (phase errors).

    Example:
        >>> rate = mode_rates("euler", [1j], 0.1)[0]
        >>> round(float(rate.real), 6), round(float(rate.imag), 6)  # (log 1.01) / 0.2, atan(0.1) / 0.1
        (0.049752, 0.996687)
    """
    chosen, h = same_each_step(method), positive("h", h)
    clock = float(chosen.time_scale) * h
    if not chosen.decouples:
        if not isinstance(spectrum, BlockJacobian):
            raise ArgumentError("spectrum", f"a BlockJacobian for {chosen!r}", type(spectrum).__name__)
        factors = np.linalg.eigvals(step_matrix(chosen, spectrum, h)).astype(np.complex128)
        return np.asarray(np.log(factors) / clock)
    values = eigenvalue_array(spectrum)
    target = np.exp(np.clip(clock * values.real, -700, 700) + 1j * clock * values.imag)
    roots = symbol(chosen).multipliers(h * values)
    nearest = np.abs(roots - target[:, None]).argmin(-1)
    factors = np.take_along_axis(roots, nearest[:, None], -1)[:, 0]
    with np.errstate(divide="ignore"):
        logs = np.empty(len(factors), dtype=np.complex128)
        logs.real, logs.imag = np.log(np.abs(factors)), np.angle(factors)
    turns = np.round((clock * values.imag - logs.imag) / (2 * np.pi))
    logs.imag += 2 * np.pi * turns
    rates = np.empty_like(logs)
    rates.real, rates.imag = logs.real / clock, np.where(factors == 0, 0.0, logs.imag) / clock
    return rates
