"""One step of a method on a linear game, as a matrix; its spectral radius."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Method, Partitioned, RungeKutta, get
from gamedyn.stability.polynomial import derivative, evaluate, stability_function

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gamedyn.stability.polynomial import Polynomial

__all__ = ["BlockJacobian", "Eigenvalues", "amplification", "spectral_radius", "step_matrix"]

ComplexArray = "NDArray[np.complex128]"


@dataclass(frozen=True, eq=False)
class Eigenvalues:
    """Eigenvalues of a game's Jacobian that know whether they are all of them.

    Attributes:
        values: complex, any order.
        complete: False for a part of the spectrum; limits from it are upper bounds.
        residuals: `|J x - lambda x| / |x|` of each pair, where known.

    Example:
        >>> spectrum = Eigenvalues(np.array([-3.0, -1 + 2j, -1 - 2j]))
        >>> spectrum.leftmost, spectrum.rightmost, spectrum.largest_imaginary
        ((-3+0j), (-1+2j), (-1+2j))
    """

    values: NDArray[np.complex128]
    complete: bool = True
    residuals: NDArray[np.float64] | None = None

    @property
    def rightmost(self) -> complex:
        """Of largest real part: it decides whether the flow is stable."""
        return complex(self.values[np.argmax(self.values.real)])

    @property
    def leftmost(self) -> complex:
        """Of smallest real part: stiffness."""
        return complex(self.values[np.argmin(self.values.real)])

    @property
    def largest_modulus(self) -> complex:
        """Of largest modulus."""
        return complex(self.values[np.argmax(np.abs(self.values))])

    @property
    def largest_imaginary(self) -> complex:
        """Of largest imaginary part: rotation."""
        return complex(self.values[np.argmax(self.values.imag)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.values, dtype=dtype)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]


@dataclass(frozen=True, eq=False)
class BlockJacobian:
    """A Jacobian `J = dv/dy` with its players.

    Attributes:
        matrix: (n, n), real.
        sizes: parameters of each player, in the game's order; they add up to n.
        players: their names (default "0", "1", ...).

    Raises:
        ArgumentError: if the shapes do not match or an entry is not finite.
    """

    matrix: NDArray[np.float64]
    sizes: tuple[int, ...]
    players: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        J = np.asarray(self.matrix, dtype=np.float64)
        if J.ndim != 2 or J.shape[0] != J.shape[1] or sum(self.sizes) != J.shape[0] or min(self.sizes) < 1:
            raise ArgumentError("matrix", f"a square matrix of sum({self.sizes}) rows", f"shape {J.shape}")
        if not np.isfinite(J).all():
            raise ArgumentError("matrix", "finite entries", "nan or inf")
        if self.players and (len(self.players) != len(self.sizes) or len(set(self.players)) != len(self.players)):
            raise ArgumentError("players", f"{len(self.sizes)} different names, one for each size", self.players)
        object.__setattr__(self, "matrix", J)
        object.__setattr__(self, "sizes", tuple(int(s) for s in self.sizes))
        if not self.players:
            object.__setattr__(self, "players", tuple(str(i) for i in range(len(self.sizes))))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Rows of each player."""
        ends = np.cumsum(self.sizes)
        return tuple(slice(int(e) - s, int(e)) for e, s in zip(ends, self.sizes, strict=True))


Spectrum = Union["ArrayLike", Eigenvalues, BlockJacobian]


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
    matrix = J.matrix if isinstance(J, BlockJacobian) else np.asarray(J, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ArgumentError("J", "a square matrix of finite numbers", f"shape {matrix.shape}, or nan or inf")
    if isinstance(method, RungeKutta):
        return _rational_step(method, h * matrix)
    if isinstance(method, LinearMultistep):
        return _companion(method, h * matrix)
    if isinstance(method, Partitioned):
        return _composed(method, as_blocks(method, J), h)
    raise ArgumentError("method", "a method whose coefficients gamedyn holds", method)


def as_blocks(method: Partitioned, spectrum: Spectrum) -> BlockJacobian:
    """The blocks a partitioned method needs; the bare pair +-i w stands for the canonical rotation.

    Raises:
        ArgumentError: for any other eigenvalues, which do not determine what the method does.
    """
    if isinstance(spectrum, BlockJacobian):
        return spectrum
    values = np.atleast_1d(np.asarray(spectrum))
    pair = values.ndim == 1 and len(values) == 2 and values.sum() == 0 and values[0] != 0
    if pair and np.all(values.real == 0):
        w = float(abs(values[0].imag))
        return BlockJacobian(np.array([[0.0, -w], [w, 0.0]]), (1, 1), two_names(method))
    raise ArgumentError(
        "spectrum",
        f"a BlockJacobian for the partitioned method {method.name or 'given'}",
        f"an array of shape {values.shape}",
        "its limits depend on the players' blocks, not on eigenvalues: use BlockJacobian(J, sizes), "
        "or gamedyn.spectrum.stable_steps with a linearisation; the bare pair +-i w is allowed",
    )


def two_names(method: Partitioned) -> tuple[str, ...]:
    """Names of the players of a two-player rotation, as the method has them."""
    names = tuple(str(p) for p in method.players or ())
    return names if len(names) == 2 else ("0", "1")


def amplification(method: str | Method, z: ArrayLike) -> NDArray[np.float64]:
    """|R(z)|, or the largest root modulus of `rho - z sigma`: the factor of one step on `y' = lambda y`.

    Args:
        method: a Runge-Kutta or multistep method, or its name.
        z: values of h*lambda, any shape.

    Returns:
        As z, float64; at most 1 inside the region of absolute stability.

    Raises:
        ArgumentError: for a partitioned method.

    Example:
        >>> float(amplification("euler", -2.0))
        1.0
    """
    method, at = get(method), np.asarray(z, dtype=np.complex128)
    if isinstance(method, RungeKutta):
        return np.asarray(np.abs(stability_function(method)(at)))
    if isinstance(method, LinearMultistep):
        return np.asarray(np.abs(dominant_root(method, at)))
    raise ArgumentError("method", "a Runge-Kutta or multistep method", method)


def dominant_root(method: LinearMultistep, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The root of `rho - z sigma` of largest modulus at each z; infinite where its degree drops."""
    at = np.asarray(z, dtype=np.complex128)
    alpha, beta = (np.array([float(x) for x in c]) for c in (method.alpha, method.beta))
    p = alpha - at[..., None] * beta
    k = method.steps
    companion = np.zeros((*at.shape, k, k), dtype=np.complex128)
    pole = p[..., k] == 0
    companion[..., 0, :] = -p[..., k - 1 :: -1] / np.where(pole, 1, p[..., k])[..., None]
    companion[..., np.arange(1, k), np.arange(k - 1)] = 1
    roots = np.linalg.eigvals(companion)
    largest = np.take_along_axis(roots, np.abs(roots).argmax(-1)[..., None], -1)[..., 0]
    return np.where(pole, np.inf, largest).astype(np.complex128)


def log_slope(method: Method, z: complex) -> float:
    """`d ln rho / d ln h` at `z = h lambda`, by differentiating R or the dominant root."""
    if isinstance(method, RungeKutta):
        R = stability_function(method)
        top = evaluate(derivative(R.numerator), z) / evaluate(R.numerator, z)
        bottom = evaluate(derivative(R.denominator), z) / evaluate(R.denominator, z)
        return float(np.real(z * (top - bottom)))
    if isinstance(method, LinearMultistep):
        zeta = complex(dominant_root(method, np.asarray(z)))
        slope = evaluate(derivative(method.alpha), zeta) - z * evaluate(derivative(method.beta), zeta)
        size = sum(abs(float(a)) + abs(z * float(b)) for a, b in zip(method.alpha, method.beta, strict=True))
        if abs(slope) <= 1e-6 * size:  # a double root: two roots part like a square root, no slope exists
            return float("inf")
        return float(np.real(z * evaluate(method.beta, zeta) / (slope * zeta)))
    raise ArgumentError("method", "a Runge-Kutta or multistep method", method)


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
    if isinstance(method, Partitioned):
        M = _composed(method, as_blocks(method, spectrum), h)
        return float(np.abs(np.linalg.eigvals(M)).max())
    return float(amplification(method, h * eigenvalue_array(spectrum)).max())


def eigenvalue_array(spectrum: Spectrum) -> NDArray[np.complex128]:
    """Eigenvalues as a flat complex array.

    Raises:
        ArgumentError: if there are none, or one is not finite.
    """
    if isinstance(spectrum, BlockJacobian):
        return np.linalg.eigvals(spectrum.matrix).astype(np.complex128)
    try:
        values = np.atleast_1d(np.asarray(spectrum, dtype=np.complex128))
    except (TypeError, ValueError):
        remedy = "of a linearisation take lin.eigenvalues, or use gamedyn.spectrum.stable_steps"
        raise ArgumentError("eigenvalues", "an array of numbers", type(spectrum).__name__, remedy) from None
    if values.ndim > 1:
        remedy = "pass its eigenvalues, or BlockJacobian(J, sizes)"
        raise ArgumentError("eigenvalues", "a flat array", f"an array of shape {values.shape}", remedy)
    if values.size == 0 or not np.isfinite(values).all():
        got = "none" if values.size == 0 else "nan or inf among them"
        raise ArgumentError("eigenvalues", "at least one, all finite", got)
    return values


def _rational_step(method: RungeKutta, Z: NDArray[np.float64]) -> NDArray[np.float64]:
    R = stability_function(method)
    eye = np.eye(len(Z))

    def at_Z(coefficients: Polynomial) -> NDArray[np.float64]:
        out: NDArray[np.float64] = np.zeros_like(eye)
        for c in reversed(coefficients):
            out = out @ Z + float(c) * eye
        return out

    top = at_Z(R.numerator)
    return top if R.is_polynomial else np.linalg.solve(at_Z(R.denominator), top).astype(np.float64)


def _companion(method: LinearMultistep, Z: NDArray[np.float64]) -> NDArray[np.float64]:
    n, k = len(Z), method.steps
    eye = np.eye(n)
    terms = [float(a) * eye - float(b) * Z for a, b in zip(method.alpha, method.beta, strict=True)]
    top = -np.hstack(terms[k - 1 :: -1])
    if not method.explicit:
        top = np.linalg.solve(terms[k], top).astype(np.float64)
    out = np.eye(k * n, k=-n)
    out[:n] = top
    return out


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
