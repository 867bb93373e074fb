"""The small matrix of a Krylov method: which of its eigenvalues are wanted, and its Schur form with those first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Union

import numpy as np
from scipy.linalg import lapack, schur

from gamedyn._lib.checks import choice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Complexes = NDArray[np.complex128]

__all__ = ["WANTED", "Ordered", "eigen", "extended", "ordered", "wanted_first"]

Which = Union[str, Callable[["Complexes"], "Floats"]]

WANTED: dict[str, Callable[[Complexes], Floats]] = {
    "rightmost": lambda x: x.real,
    "leftmost": lambda x: -x.real,
    "largest_modulus": np.abs,
    "largest_imaginary": lambda x: np.abs(x.imag),
}
"""By name: what of an eigenvalue is large where it is wanted; conjugates have the same."""


def wanted_first(values: Complexes, which: Which) -> NDArray[np.intp]:
    """Places of the values, most wanted first, conjugates side by side; `which` is a name, or what is large there."""
    key = which(values) if callable(which) else WANTED[choice("which", which, tuple(WANTED))](values)
    return np.argsort(-key, kind="stable")


class Ordered(NamedTuple):
    """`S = Q T Q^T` with some eigenvalues first.

    Attributes:
        T: quasi-triangular (diagonal where S is symmetric), (m, m).
        Q: orthogonal, (m, m).
        first: how many were moved to the front; one more than asked where that keeps a pair of conjugates whole.
    """

    T: Floats
    Q: Floats
    first: int


def ordered(S: Floats, which: Which, k: int, *, symmetric: bool) -> Ordered:
    """The (real) Schur form of a small matrix with its k most wanted eigenvalues first."""
    if not len(S):
        return Ordered(S, S, 0)
    if symmetric:
        values, Q = np.linalg.eigh((S + S.T) / 2)
        order = wanted_first(values.astype(np.complex128), which)
        return Ordered(np.diag(values[order]), Q[:, order], min(k, len(S)))
    T, Q = schur(S, output="real", check_finite=False)
    return _fronted(T, Q, which, k)


def extended(form: Ordered, which: Which, keep: int, *, symmetric: bool) -> Ordered:
    """The same form with the `keep` most wanted first; those that were in front stay there."""
    if symmetric:
        return Ordered(form.T, form.Q, min(keep, len(form.T)))
    return _fronted(form.T, form.Q, which, keep)


def _fronted(T: Floats, Q: Floats, which: Which, count: int) -> Ordered:
    values = _diagonal(T)
    order = wanted_first(values, which)
    size = _whole(values[order], count)
    chosen = np.zeros(len(T), dtype=np.int32)
    chosen[order[:size]] = 1
    T, Q, *_ = lapack.dtrsen(chosen, T, Q, job=b"N", liwork=len(T))
    return Ordered(T, Q, size)


def eigen(T: Floats) -> tuple[Complexes, Complexes]:
    """Eigenvalues and unit eigenvectors (columns) of a small matrix."""
    values, vectors = np.linalg.eig(T)
    return values.astype(np.complex128), vectors.astype(np.complex128)


def _whole(values: Complexes, count: int) -> int:
    """The count, or one more where it would cut a pair of conjugates in two."""
    size = min(count, len(values))
    cut = size < len(values) and values[size - 1].imag > 0 and values[size] == values[size - 1].conjugate()
    return size + cut


def _diagonal(T: Floats) -> Complexes:
    """Eigenvalues of a quasi-triangular matrix in the order of its diagonal, the positive imaginary part first."""
    values = np.diag(T).astype(np.complex128)
    for i in np.flatnonzero(np.diag(T, -1)):
        imaginary = np.sqrt(abs(T[i, i + 1])) * np.sqrt(abs(T[i + 1, i]))
        values[i] += 1j * imaginary
        values[i + 1] = values[i].conjugate()
    return values
