"""What eigenvalues hide: growth before the decay, and how far a perturbation of J moves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.linalg import schur

from gamedyn._lib.checks import finite, positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.stability.matrices.eigenvalues import BlockJacobian
from gamedyn.stability.matrices.step_matrix import step_matrix
from gamedyn.stability.symbols.anchored import same_each_step

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gamedyn.methods import Method

    Complex = NDArray[np.complex128]
    Real = NDArray[np.float64]

__all__ = [
    "Pseudospectrum",
    "TransientGrowth",
    "numerical_abscissa",
    "pseudospectral_abscissa",
    "pseudospectrum",
    "transient_growth",
]

MOST_STEPS = 100_000
"""Powers after which the decay is no longer waited for."""

DENSE = 16
"""Size up to which singular values are computed directly."""

CHUNK = 1 << 22
"""Complex numbers that a batch of grid points may take."""

ITERATIONS = 200
"""Lanczos steps for one singular value; ten or so suffice."""

AXIS = 1e-6
"""Distance from the imaginary axis, over the matrix' norm, at which an eigenvalue may be one on it: each is checked."""


class TransientGrowth(NamedTuple):
    """The largest power of a step.

    Attributes:
        peak: `max_n |M^n|`, at least 1; inf where the powers overflow.
        step: the n at which it is reached first.
        radius: the spectral radius of M, which is all that is left for large n.
    """

    peak: float
    step: int
    radius: float


class Pseudospectrum(NamedTuple):
    """Smallest singular values of `z I - J` on a grid; the eps-pseudospectrum is where they are below eps.

    Attributes:
        real: abscissas, (nx,).
        imaginary: ordinates, (ny,).
        sigma: (ny, nx).
    """

    real: Real
    imaginary: Real
    sigma: Real


def transient_growth(
    method: str | Method, J: ArrayLike | BlockJacobian, h: float, steps: int | None = None
) -> TransientGrowth:
    """By how much a perturbation may grow before it decays: `max_n |M^n|_2`, M the matrix of a step.

    The powers are followed until one has norm at most 1: every later one is a product of earlier ones, so the
    maximum is proved. Of a k-step method M acts on its last k values together, whose norm is meant: it is not
    comparable with that of a one-step method (with h -> 0 up to sqrt(k) times as large).

    Args:
        method: one of our methods, or its name.
        J: (n, n), or a BlockJacobian, which partitioned methods need.
        h: step.
        steps: how many steps to follow; None: until the decay is proved.

    Raises:
        ArgumentError: for a method without a step matrix, a bad J or step; without `steps`, if the spectral radius
            is not below 1, or so close to it that 100,000 steps prove nothing.

    Source: Trefethen, Embree 2005, Spectra and Pseudospectra, sections 14 and 16.

    Example:
        >>> growth = transient_growth("euler", [[-1, 200], [0, -2]], 0.9)
        >>> round(growth.peak, 1), growth.step, round(growth.radius, 12)
        (180.0, 1, 0.8)
    """
    M = step_matrix(same_each_step(method), J, h)
    radius = float(np.abs(np.linalg.eigvals(M)).max())
    if steps is None and radius >= 1 - 1e-12:
        remedy = "give steps=, the number of steps to follow"
        raise ArgumentError("h", "a step whose powers decay", f"spectral radius {radius:.12g}", remedy)
    count = MOST_STEPS if steps is None else positive_int("steps", steps)
    power, peak, at = M, 1.0, 0
    for n in range(1, count + 1):
        size = _norm(power)
        if size > peak:
            peak, at = size, n
        if steps is None and size <= 1:
            break
        if not np.isfinite(size) or n == count:
            break
        with np.errstate(over="ignore", invalid="ignore"):
            power = power @ M
    if steps is None and size > 1:
        got = f"spectral radius {radius:.12g}, norm {size:.4g} after {count} steps"
        raise ArgumentError("h", "a step whose powers decay soon", got, "give steps=, the number of steps to follow")
    return TransientGrowth(peak, at, radius)


def _norm(X: Real) -> float:
    return float(np.linalg.norm(X, 2)) if np.isfinite(X).all() else float("inf")


def numerical_abscissa(J: ArrayLike | BlockJacobian) -> float:
    """The fastest growth at the start: the largest eigenvalue of `(J + J^H) / 2`.

    `d/dt |exp(tJ)|` at t = 0; above it, no perturbation grows, whatever the eigenvalues.

    Args:
        J: (n, n).

    Raises:
        ArgumentError: for a J that is not square or not finite.

    Source: Trefethen, Embree 2005, section 17 (logarithmic norm: Dahlquist 1958).

    Example:
        >>> round(numerical_abscissa([[-1, 200], [0, -2]]), 6)
        98.50125
    """
    matrix = _square(J)
    return float(np.linalg.eigvalsh((matrix + matrix.conj().T) / 2)[-1])


def pseudospectrum(
    J: ArrayLike | BlockJacobian,
    points: int = 100,
    *,
    real: tuple[float, float] | None = None,
    imaginary: tuple[float, float] | None = None,
) -> Pseudospectrum:
    """How near z is to being an eigenvalue: `sigma_min(z I - J)` on a grid.

    That is the size of the smallest change of J that makes z one.
    Schur form once; then Lanczos' method for `(T_z^H T_z)^{-1}` with triangular solves, on all grid points at once.

    Args:
        J: (n, n).
        points: of the grid, in either direction.
        real: window; None: the field of values' box, which holds all eigenvalues, and a tenth more.
        imaginary: as real.

    Raises:
        ArgumentError: for a J that is not square or not finite, or an empty window.

    Source: Trefethen, Embree 2005, sections 2 and 39; Lui 1997, SIAM J. Sci. Comput. 18 (Schur form and Lanczos).

    Example:
        >>> found = pseudospectrum([[0, 1], [0, 0]], 3, real=(-1, 1), imaginary=(0, 2))
        >>> found.sigma.shape, round(float(found.sigma[0, 2]) ** 2, 6), float(found.sigma[0, 1])
        ((3, 3), 0.381966, 0.0)
    """
    matrix, points = _square(J), positive_int("points", points, least=2)
    half = (matrix + matrix.conj().T) / 2, (matrix - matrix.conj().T) / 2j
    x, y = (
        np.linspace(*_window(name, given, part), points)
        for name, given, part in (("real", real, half[0]), ("imaginary", imaginary, half[1]))
    )
    z = (x[None, :] + 1j * y[:, None]).ravel()
    return Pseudospectrum(x, y, _smallest(matrix, z).reshape(points, points))


def _window(name: str, given: tuple[float, float] | None, part: NDArray[Any]) -> tuple[float, float]:
    if given is None:
        ends = np.linalg.eigvalsh(part)
        low, high = float(ends[0]), float(ends[-1])
        room = 0.1 * (high - low) or 0.1 * max(abs(high), 1.0)
        return low - room, high + room
    if not isinstance(given, tuple) or len(given) != 2:
        raise ArgumentError(name, "two ends (low, high)", given)
    low, high = finite(name, given[0]), finite(name, given[1])
    if not low < high:
        raise ArgumentError(name, "low < high", given)
    return low, high


def _square(J: ArrayLike | BlockJacobian) -> NDArray[Any]:
    matrix = J.matrix if isinstance(J, BlockJacobian) else np.asarray(J)
    numbers = np.issubdtype(matrix.dtype, np.number) or matrix.dtype == bool
    if not numbers or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ArgumentError("J", "a square matrix of finite numbers", f"shape {matrix.shape}")
    out = matrix.astype(np.complex128 if np.iscomplexobj(matrix) else np.float64)
    if not np.isfinite(out).all():
        raise ArgumentError("J", "a square matrix of finite numbers", "nan or inf")
    return out


def _smallest(matrix: NDArray[Any], z: Complex) -> Real:
    """sigma_min(z I - J) at many z."""
    n = len(matrix)
    if n <= DENSE:
        shifted = z[:, None, None] * np.eye(n) - matrix
        return np.asarray(np.linalg.svd(shifted, compute_uv=False)[:, -1])
    T = schur(matrix.astype(np.complex128), output="complex")[0]
    size = max(1, CHUNK // (8 * n))
    return np.concatenate([_lanczos(T, z[i : i + size]) for i in range(0, len(z), size)])


def _lanczos(T: Complex, z: Complex) -> Real:
    """sigma_min(z I - T), T triangular, by Lanczos' method for the inverse of the normal matrix; vectorised over z."""
    tiny = np.finfo(float).eps * max(float(np.abs(T).max()), float(np.abs(z).max())) * 1e-3
    gaps = z - np.diag(T)[:, None]
    singular = (np.abs(gaps) <= tiny).any(0)
    gaps = np.where(np.abs(gaps) <= tiny, tiny, gaps)
    start = np.random.default_rng(7).standard_normal((2, len(T)))
    v = np.repeat((start[0] + 1j * start[1])[:, None], len(z), 1)
    v /= np.linalg.norm(v, axis=0)
    before, beta = np.zeros_like(v), np.zeros(len(z))
    alphas: list[Real] = []
    betas: list[Real] = []
    found = np.zeros(len(z))
    active = np.arange(len(z))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(ITERATIONS):
            w = _solved(T, gaps[:, active], v) - beta * before
            alpha = np.einsum("ij,ij->j", v.conj(), w).real
            w = w - alpha * v
            alphas.append(alpha)
            ritz = _largest_ritz(alphas, betas)
            beta = np.linalg.norm(w, axis=0)
            done = (np.abs(ritz - found[active]) <= 1e-13 * ritz) | (beta <= 1e-14 * ritz) | ~np.isfinite(beta)
            found[active] = ritz
            if done.all():
                break
            keep = ~done
            before, v, beta = v[:, keep], w[:, keep] / beta[keep], beta[keep]
            alphas, betas = [a[keep] for a in alphas], [*(b[keep] for b in betas), beta]
            active = active[keep]
    sigma = 1 / np.sqrt(np.where(found > 0, found, np.inf))
    return np.where(singular | ~np.isfinite(found), 0.0, sigma)


def _largest_ritz(alphas: list[Real], betas: list[Real]) -> Real:
    """Largest eigenvalues of Lanczos' tridiagonal matrices."""
    k = len(alphas)
    matrices = np.zeros((len(alphas[0]), k, k))
    matrices[:, np.arange(k), np.arange(k)] = np.stack(alphas, 1)
    if k > 1:
        matrices[:, np.arange(1, k), np.arange(k - 1)] = np.stack(betas, 1)  # eigvalsh reads the lower triangle
    return np.asarray(np.linalg.eigvalsh(matrices)[:, -1])


def _solved(T: Complex, gaps: Complex, b: Complex) -> Complex:
    """`(S^H S)^{-1} b` with `S = z I - T`, a column for every z; `gaps` are the diagonals of S."""
    n = len(T)
    x = b.copy()
    for i in range(n):  # S^H x = b, forwards
        x[i] = (x[i] + T[:i, i].conj() @ x[:i]) / gaps[i].conj()
    for i in range(n - 1, -1, -1):
        x[i] = (x[i] + T[i, i + 1 :] @ x[i + 1 :]) / gaps[i]
    return x


def pseudospectral_abscissa(J: ArrayLike | BlockJacobian, eps: float) -> float:
    """The largest real part that an eigenvalue of `J + E` may have, `|E|_2 <= eps`.

    `max {Re z : sigma_min(z I - J) <= eps}` by criss-cross: vertical lines meet the boundary where a Hamiltonian
    matrix has imaginary eigenvalues, horizontal lines through the middles of what they cut off go on to the right. It
    lies between the spectral abscissa + eps (normal J) and the numerical abscissa + eps.

    Args:
        J: (n, n).
        eps: size of the perturbation, positive.

    Raises:
        ArgumentError: for a J that is not square or not finite, or an eps that is not positive.

    Source: Burke, Lewis, Overton 2003, IMA J. Numer. Anal. 23 (criss-cross).

    Example:
        >>> round(pseudospectral_abscissa([[-1, 200], [0, -2]], 0.1), 8)
        3.00113874
    """
    matrix, eps = _square(J).astype(np.complex128), positive("eps", eps)
    values = np.linalg.eigvals(matrix)
    scale = float(np.linalg.norm(matrix, 2)) + eps
    x = float(values.real.max())
    lines = values.imag[values.real >= x - 1e-8 * scale]
    for turn in range(100):
        reached = max((_rightmost(matrix, eps, float(y), scale) for y in np.unique(lines)), default=x)
        gain, x = reached - x, max(x, reached)
        if gain <= 1e-14 * scale and turn:
            break
        heights = _crossings(matrix, eps, x, scale)
        middles = np.concatenate([heights, (heights[1:] + heights[:-1]) / 2])
        inside = _smallest(matrix, x + 1j * middles) <= eps * (1 + 1e-10) if len(middles) else np.zeros(0, dtype=bool)
        lines = middles[inside]
        if not len(lines):
            break
    return x


def _crossings(matrix: Complex, eps: float, x: float, scale: float) -> Real:
    """Sorted y at which some singular value of `(x + iy) I - J` may be eps: eigenvalues nearly imaginary."""
    n = len(matrix)
    eye = np.eye(n)
    hamiltonian = np.block([[x * eye - matrix.conj().T, eps * eye], [-eps * eye, matrix - x * eye]])
    roots = np.linalg.eigvals(hamiltonian)
    return np.unique(roots.imag[np.abs(roots.real) <= AXIS * scale])


def _rightmost(matrix: Complex, eps: float, y: float, scale: float) -> float:
    """The largest x at which `sigma_min((x + iy) I - J) = eps`; -inf where none is found."""
    ends = _crossings(1j * matrix, eps, -y, scale)[::-1]  # of iJ: multiplied by i, z = x + iy becomes -y + ix
    for x in ends:
        at = _polished(matrix, eps, complex(x, y))
        if abs(_smallest(matrix, np.array([at + 1j * y]))[0] - eps) <= 1e-8 * eps + 1e-14 * scale:
            return at
    return -np.inf


def _polished(matrix: Complex, eps: float, z: complex) -> float:
    """Newton's method for `sigma_min = eps` along a horizontal line: `d sigma / dx = Re u^H v`."""
    for _ in range(4):
        U, S, Vh = np.linalg.svd(z * np.eye(len(matrix)) - matrix)
        slope = float((U[:, -1].conj() @ Vh[-1].conj()).real)
        move = (eps - float(S[-1])) / slope if abs(slope) > 1e-6 else 0.0
        if not abs(move) < 0.1 * eps + 1e-6 * abs(z):
            break
        z += move
    return z.real
