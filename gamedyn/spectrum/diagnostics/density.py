"""Where the eigenvalues of a large non-symmetric Jacobian lie: densities of its parts, an outline in the plane.

The symmetric part S and the skew part A are normal: random vectors and Lanczos give their densities with a known error.
J itself is not, and there is no such estimate in the plane: Ritz values show its outer part, the numerical range
(`field_of_values`) bounds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor
from tqdm.auto import tqdm

from gamedyn._lib.arrays import complex_array
from gamedyn._lib.checks import choice, positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.jacobian import GameJacobian
from gamedyn.krylov import LinearOperator
from gamedyn.krylov.hessenberg import hessenberg
from gamedyn.spectrum.linearise import FORMED_UP_TO, Linearisation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "PlaneDensity",
    "SpectralDensity",
    "part_density",
    "plane_density",
]


Jacobian = Union[GameJacobian, Linearisation, Tensor]


@dataclass(frozen=True, eq=False)
class SpectralDensity:
    """The density of the eigenvalues of S, or of those of A (which are `i omega`) in omega: it integrates to 1.

    Attributes:
        part: "symmetric" or "skew".
        n: number of eigenvalues.
        nodes: one array for each probe, ascending; of the exact density a single one, all eigenvalues.
        weights: their shares, which add up to 1 for each probe.
        exact: whether they are the eigenvalues.
        products: products with J and J^T that it took.
    """

    part: str
    n: int
    nodes: tuple[NDArray[np.float64], ...] = field(repr=False)
    weights: tuple[NDArray[np.float64], ...] = field(repr=False)
    exact: bool
    products: int

    @property
    def ends(self) -> tuple[float, float]:
        """Least and largest node: the spectrum reaches at least so far, and beyond by what Lanczos has not found."""
        return min(float(x[0]) for x in self.nodes), max(float(x[-1]) for x in self.nodes)

    def mean(self, fn: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> tuple[float, float]:
        """`tr fn(S) / n` and its standard error over the probes (0 if exact, nan for a single probe).

        Args:
            fn: of an array of eigenvalues. For polynomials up to degree 2 steps - 1 only the probes are an estimate.
        """
        each = [float(w @ np.asarray(fn(x), dtype=np.float64)) for x, w in zip(self.nodes, self.weights, strict=True)]
        if self.exact:
            return each[0], 0.0
        error = float(np.std(each, ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.nan
        return float(np.mean(each)), error

    def share(self, low: float = -math.inf, high: float = math.inf) -> tuple[float, float]:
        """The share of eigenvalues in [low, high] and its error; ends inside a cluster cost accuracy of their own."""
        return self.mean(lambda x: ((x >= low) & (x <= high)).astype(np.float64))

    def __call__(self, x: ArrayLike, width: float) -> NDArray[np.float64]:
        """The density at x, every eigenvalue spread to a Gaussian of this standard deviation.

        Args:
            x: any shape.
            width: at the least the spacing of the nodes; below it the estimate shows the nodes.
        """
        at = np.asarray(x, dtype=np.float64)
        scale, out = positive("width", width), np.zeros(at.shape)
        for nodes, weights in zip(self.nodes, self.weights, strict=True):
            out += np.exp(-(((at[..., None] - nodes) / scale) ** 2) / 2) @ weights
        return out / (scale * math.sqrt(2 * math.pi) * len(self.nodes))


def part_density(
    J: Jacobian,
    part: str = "symmetric",
    *,
    steps: int = 60,
    probes: int = 10,
    formed_up_to: int = FORMED_UP_TO,
    seed: int = 0,
    progress: bool = False,
) -> SpectralDensity:
    """The spectral density of `S = (J + J^T)/2`, or of `A = (J - J^T)/2` along the imaginary axis.

    Small matrices by their eigenvalues; large ones by stochastic Lanczos quadrature: for random signs u, the Gauss rule
    of the measure that u sees. S u and A u are had from J u and J^T u. Of the real matrix A the three-term recurrence
    stays real and has no diagonal: its nodes lie symmetric about 0, as the eigenvalues do.

    Args:
        J: a GameJacobian, a Linearisation, or a matrix.
        part: "symmetric" or "skew".
        steps: of Lanczos, with full orthogonalisation: the basis holds so many vectors.
        probes: random vectors; a probe costs two products a step. The error falls as 1/sqrt(n probes).
        formed_up_to: dimension up to which the matrix is formed.
        seed: of the random vectors.
        progress: whether to show a progress bar.

    Raises:
        UnknownNameError: for another part.
        ArgumentError: for a J that is none.

    Source: Ubaru, Chen, Saad 2017, SIAM J. Matrix Anal. Appl. 38, algorithm 1; Golub, Welsch 1969.

    Example:
        >>> S = torch.diag(torch.linspace(-1.0, 1.0, 400, dtype=torch.float64))
        >>> found = part_density(S, steps=30, probes=4, formed_up_to=100)
        >>> round(found.mean(lambda x: x**2)[0], 4), round(found.share(0.0)[0], 2)  # signs see a diagonal exactly
        (0.335, 0.5)
    """
    choice("part", part, ("symmetric", "skew"))
    positive_int("steps", steps, least=2)
    positive_int("probes", probes)
    operator = operator_of(J)
    if operator.shape[0] <= formed_up_to:
        matrix = operator.to_dense().double().cpu().numpy()
        half = (matrix + matrix.T) / 2 if part == "symmetric" else 0.5j * (matrix - matrix.T)
        values = np.linalg.eigvalsh(half)
        return SpectralDensity(
            part, operator.shape[0], (values,), (np.full(len(values), 1 / len(values)),), True, operator.shape[0]
        )
    generator, sign = torch.Generator().manual_seed(seed), 1 if part == "symmetric" else -1
    nodes, weights, products = [], [], 0

    def half_of(u: Tensor) -> Tensor:
        return (operator.matvec(u) + sign * operator.rmatvec(u)) / 2

    for _ in tqdm(range(probes), disable=None if progress else True, unit="probe"):
        H = hessenberg(half_of, signs(operator, generator), steps).H
        x, vectors = eigh_tridiagonal(np.diag(H) * (sign > 0), np.diag(H, -1))  # of i A where A is skew
        nodes.append(x)
        weights.append(vectors[0] ** 2)
        products += 2 * len(x)
    return SpectralDensity(part, operator.shape[0], tuple(nodes), tuple(weights), False, products)


@dataclass(frozen=True, eq=False)
class PlaneDensity:
    """Eigenvalues in the plane, or Ritz values in their place.

    Attributes:
        values: all eigenvalues, or the Ritz values of every start.
        weights: equal, adding up to 1: what the picture shows. Of Ritz values this is no density of eigenvalues.
        moment_weights: complex, adding up to 1: `sum w values^k` estimates `tr J^k / n` for k up to `steps`, with no
            error but that of the random starts.
        residuals: `|J x - lambda x| / |x|` of each: of eigenvalues computed afresh, of Ritz values by the recurrence.
        exact: whether these are all eigenvalues. If not: those with small residuals are eigenvalues, mostly of the
            outer part; the others only lie in the numerical range.
        products: products with J that it took.
    """

    values: NDArray[np.complex128]
    weights: NDArray[np.float64]
    moment_weights: NDArray[np.complex128]
    residuals: NDArray[np.float64]
    exact: bool
    products: int

    def converged(self, tolerance: float = 1e-6) -> NDArray[np.bool_]:
        """Which are eigenvalues, to this share of the largest modulus; a copy from every start that found it."""
        return np.asarray(self.residuals <= tolerance * np.abs(self.values).max(initial=0.0))

    def moment(self, k: int) -> complex:
        """`tr J^k / n`: exact, or estimated (k up to the Arnoldi steps)."""
        return complex(self.moment_weights @ self.values**k)

    def __call__(self, z: ArrayLike, width: float) -> NDArray[np.float64]:
        """The density of `values` at complex z, each spread to a round Gaussian of this standard deviation."""
        at, scale = complex_array("z", z), positive("width", width)
        out = np.zeros(at.shape)
        for value, weight in zip(self.values, self.weights, strict=True):
            out += weight * np.exp(-((np.abs(at - value) / scale) ** 2) / 2)
        return out / (2 * math.pi * scale**2)


def plane_density(
    J: Jacobian,
    *,
    steps: int = 60,
    starts: int = 6,
    formed_up_to: int = FORMED_UP_TO,
    seed: int = 0,
    progress: bool = False,
) -> PlaneDensity:
    """The eigenvalues of J in the plane: all where it is small, else the Ritz values of several random starts.

    An Arnoldi space finds the outer, isolated eigenvalues; it replaces the bulk by a few points within, whose
    density is that of no spectrum. Read them as the outline, and the bulk off `part_density` and `numerical_range`.

    Args:
        J: a GameJacobian, a Linearisation, or a matrix.
        steps: dimension of each Arnoldi space, whose basis is kept.
        starts: random starts (signs): what all of them show does not depend on the start.
        formed_up_to: dimension up to which the matrix is formed.
        seed: of the starts.
        progress: whether to show a progress bar.

    Raises:
        ArgumentError: for a J that is none.

    Source: Saad 2011, *Numerical Methods for Large Eigenvalue Problems*, chapter 6; the weights: Golub, Meurant 2010,
        *Matrices, Moments and Quadrature*, chapter 8.

    Example:
        >>> plane_density(torch.tensor([[0.0, -1.0], [1.0, 0.0]])).values
        array([0.+1.j, 0.-1.j])
    """
    positive_int("steps", steps, least=2)
    positive_int("starts", starts)
    operator = operator_of(J)
    if operator.shape[0] <= formed_up_to:
        matrix = operator.to_dense().double().cpu().numpy()
        values, vectors = np.linalg.eig(matrix)
        residuals = np.linalg.norm(matrix @ vectors - vectors * values, axis=0)
        share = np.full(len(values), 1 / len(values))
        found = values.astype(np.complex128)
        return PlaneDensity(found, share, share.astype(np.complex128), residuals, True, operator.shape[0])
    generator = torch.Generator().manual_seed(seed)
    rows, products = [], 0
    for _ in tqdm(range(starts), disable=None if progress else True, unit="start"):
        H, beyond, _ = hessenberg(operator.matvec, signs(operator, generator), steps)
        values, vectors = np.linalg.eig(H)
        moment = vectors[0] * np.linalg.solve(vectors, np.eye(len(H))[0].astype(vectors.dtype))
        rows.append((values, np.full(len(values), 1 / len(values)), moment, beyond * np.abs(vectors[-1])))
        products += len(H)
    values, equal, moment, residuals = (np.concatenate(x) for x in zip(*rows, strict=True))
    return PlaneDensity(
        values.astype(np.complex128), equal / starts, moment.astype(np.complex128) / starts, residuals, False, products
    )


def operator_of(J: Jacobian) -> LinearOperator:
    """The operator of whatever holds a Jacobian.

    Raises:
        ArgumentError: if it is none, or a matrix that is not square, real and finite.
    """
    if isinstance(J, Linearisation):
        return J.J
    if isinstance(J, GameJacobian):
        return J
    if not isinstance(J, Tensor):
        expected = "a GameJacobian, a Linearisation or a matrix"
        raise ArgumentError("J", expected, type(J).__name__, "spectrum.GameJacobian(flow, state, batch)")
    if J.dim() != 2 or J.shape[0] != J.shape[1] or not J.numel():
        raise ArgumentError("J", "a square matrix", f"shape {tuple(J.shape)}")
    if J.is_complex() or not bool(J.isfinite().all()):
        raise ArgumentError("J", "real, finite entries", "others")
    M = J.detach() if J.is_floating_point() else J.double()
    return LinearOperator((len(M), len(M)), M.mv, M.T.mv, dtype=M.dtype, device=M.device, matrix=lambda: M)


def signs(J: LinearOperator, generator: torch.Generator) -> Tensor:
    return (torch.randint(0, 2, J.shape[:1], generator=generator) * 2 - 1).to(J.device, J.dtype)
