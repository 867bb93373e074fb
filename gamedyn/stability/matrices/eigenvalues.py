"""Spectra as the theory takes them: eigenvalues, and Jacobians that know their players and parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gamedyn.methods import Method

__all__ = [
    "BlockJacobian",
    "Eigenvalues",
    "Spectrum",
    "as_blocks",
    "eigenvalue_array",
    "is_complete",
    "jacobian_matrix",
]


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
        matrix: (n, n), real; a SciPy sparse one is made dense.
        sizes: parameters of each player, in the game's order; they add up to n.
        players: their names (default "0", "1", ...).
        parts: Jacobians of the field's named parts ("game", penalty terms), which add up to `matrix`; additive
            methods need them.

    Raises:
        ArgumentError: if the shapes do not match or an entry is not finite.
    """

    matrix: NDArray[np.float64]
    sizes: tuple[int, ...]
    players: tuple[str, ...] = field(default=())
    parts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        J = jacobian_matrix(self.matrix, "matrix")
        if not all(isinstance(s, (int, np.integer)) for s in self.sizes):
            remedy = "names go to players=: BlockJacobian(J, sizes=(6, 6), players=('G', 'D'))"
            raise ArgumentError("sizes", "whole numbers, parameters of each player", self.sizes, remedy)
        if not len(self.sizes) or min(self.sizes) < 1:
            raise ArgumentError("sizes", "at least one parameter of each player", self.sizes)
        if sum(self.sizes) != len(J):
            raise ArgumentError(
                "sizes",
                f"numbers of parameters that add up to the rows of a square matrix, shape {J.shape}",
                f"{tuple(self.sizes)}: {sum(self.sizes)}",
            )
        if self.players and (len(self.players) != len(self.sizes) or len(set(self.players)) != len(self.players)):
            raise ArgumentError("players", f"{len(self.sizes)} different names, one for each size", self.players)
        total = sum((np.asarray(part, dtype=np.float64) for part in self.parts.values()), np.zeros_like(J))
        if self.parts and not np.allclose(total, J, rtol=1e-6, atol=1e-9 * np.abs(J).max()):
            raise ArgumentError("parts", "Jacobians that add up to the matrix", f"off by {np.abs(total - J).max():.3g}")
        object.__setattr__(self, "matrix", J)
        object.__setattr__(self, "sizes", tuple(int(s) for s in self.sizes))
        if not self.players:
            object.__setattr__(self, "players", tuple(str(i) for i in range(len(self.sizes))))

    @property
    def cross(self) -> NDArray[np.float64]:
        """The matrix without the players' own blocks."""
        out = self.matrix.copy()
        for at in self.slices:
            out[at, at] = 0
        return out

    @property
    def sym(self) -> NDArray[np.float64]:
        """The symmetric part."""
        return np.asarray((self.matrix + self.matrix.T) / 2)

    @property
    def skew(self) -> NDArray[np.float64]:
        """The skew part."""
        return np.asarray((self.matrix - self.matrix.T) / 2)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Rows of each player."""
        ends = np.cumsum(self.sizes)
        return tuple(slice(int(e) - s, int(e)) for e, s in zip(ends, self.sizes, strict=True))


Spectrum = Union["ArrayLike", Eigenvalues, BlockJacobian]


def as_blocks(method: Method, spectrum: Spectrum) -> BlockJacobian:
    """The blocks that some methods need; the bare pair +-i w stands for the canonical rotation.

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
        f"a BlockJacobian for the method {method.name or 'given'}",
        f"an array of shape {values.shape}",
        "its limits depend on the players' blocks, not on eigenvalues: use BlockJacobian(J, sizes), "
        "or gamedyn.spectrum.stable_steps with a linearisation; the bare pair +-i w is allowed",
    )


def two_names(method: Method) -> tuple[str, ...]:
    """Names of the players of a two-player rotation, as the method has them."""
    names = tuple(str(p) for p in getattr(method, "players", None) or ())
    return names if len(names) == 2 else ("0", "1")


def jacobian_matrix(J: ArrayLike | BlockJacobian, argument: str = "J") -> NDArray[np.float64]:
    """The matrix of a Jacobian, (n, n), real.

    Raises:
        ArgumentError: if it is not square, empty, complex, or not finite.
    """
    expected = "a square matrix of finite numbers"
    given: Any = J.matrix if isinstance(J, BlockJacobian) else J
    try:
        found = np.asarray(given.toarray() if hasattr(given, "toarray") else given)
        matrix = found.real.astype(np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(argument, expected, type(J).__name__) from None
    if np.iscomplexobj(found):
        raise ArgumentError(argument, expected, "complex numbers", "give the Jacobian, not its eigenvalues")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ArgumentError(argument, expected, f"shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ArgumentError(argument, expected, "nan or inf")
    return matrix


def eigenvalue_array(spectrum: Spectrum) -> NDArray[np.complex128]:
    """Eigenvalues as a flat complex array.

    Raises:
        ArgumentError: if there are none, or one is not finite.
    """
    if isinstance(spectrum, BlockJacobian):
        return np.linalg.eigvals(spectrum.matrix).astype(np.complex128)
    if hasattr(spectrum, "toarray"):
        remedy = "pass some of its eigenvalues as Eigenvalues(values, complete=False), or BlockJacobian(J, sizes)"
        raise ArgumentError("eigenvalues", "an array of numbers", "a sparse matrix", remedy)
    try:
        values = np.atleast_1d(np.asarray(spectrum, dtype=np.complex128))
    except (TypeError, ValueError):
        remedy = (
            "of a linearisation take lin.eigenvalues, or use gamedyn.spectrum.stable_steps; of a GameJacobian, "
            "gamedyn.spectrum.outer_eigenvalues(J)"
        )
        raise ArgumentError("eigenvalues", "an array of numbers", type(spectrum).__name__, remedy) from None
    if values.ndim > 1:
        remedy = "pass its eigenvalues, or BlockJacobian(J, sizes)"
        raise ArgumentError("eigenvalues", "a flat array", f"an array of shape {values.shape}", remedy)
    if values.size == 0 or not np.isfinite(values).all():
        got = "none" if values.size == 0 else "nan or inf among them"
        raise ArgumentError("eigenvalues", "at least one, all finite", got)
    return values


def is_complete(spectrum: Spectrum) -> bool:
    """Whether a spectrum is all there is: as it says itself; bare numbers and matrices are."""
    return bool(getattr(spectrum, "complete", True))
