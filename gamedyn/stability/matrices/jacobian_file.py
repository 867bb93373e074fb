"""Jacobians from elsewhere: an array or a SciPy sparse matrix in a file, and which parameters are whose."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.stability.matrices.eigenvalues import BlockJacobian, Eigenvalues
from gamedyn.stability.matrices.spectrum_file import loaded, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = ["load_jacobian"]


def load_jacobian(path: str | PathLike[str], players: Mapping[str, int] | None = None) -> BlockJacobian | Eigenvalues:
    """Read `J = dv/dy`, (n, n), with its players: from .npy, or from .npz (one array, or `scipy.sparse.save_npz`'s).

    Sign: stable means eigenvalues with negative real parts; of a loss's Hessian H take -H.

    Args:
        path: file to read.
        players: parameters of each player by name, in the order of J's rows; they add up to n. None: J's eigenvalues
            are computed, which is all that methods need that treat players alike.

    Raises:
        ArgumentError: for a file that cannot be read or holds no square real matrix; counts that do not add up.

    Source: the formats are NumPy's NEP 1 and `scipy.sparse.save_npz`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from gamedyn.stability import stable_steps
        >>> with TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/J.npy", [[0.0, -1.0], [1.0, 0.0]])
        ...     J = load_jacobian(f"{folder}/J.npy", {"x": 1, "y": 1})
        >>> J.players, round(stable_steps("alternating", J).limit, 9)
        (('x', 'y'), 2.0)
    """
    if players is not None and (not hasattr(players, "items") or not players):
        raise ArgumentError("players", "a dict of counts by name, such as {'G': 6, 'D': 6}", players)
    sizes = tuple(positive_int(f"players[{name!r}]", count) for name, count in (players or {}).items())
    source = path_of(path)
    try:
        matrix = _held(source)
    except OSError as error:
        raise ArgumentError("path", "a file that can be read", f"{path}: {error.strerror or error}") from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ArgumentError("path", "an array file of numbers", f"{source.name}: {error}") from None
    if matrix.dtype.kind not in "iuf" or matrix.ndim != 2:
        got = f"{source.name}: shape {matrix.shape}, {matrix.dtype}"
        raise ArgumentError("path", "a square matrix of real numbers", got, "eigenvalues go to load_spectrum")
    if players is None:
        if matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
            raise ArgumentError("path", "a square matrix of finite numbers", f"{source.name}: shape {matrix.shape}")
        return Eigenvalues(np.linalg.eigvals(matrix))
    return BlockJacobian(matrix, sizes, tuple(players))


def _held(source: Any) -> Any:
    content = loaded(source)
    if isinstance(content, np.ndarray):
        return content
    with content:
        if "format" in content.files:
            return scipy.sparse.load_npz(source).toarray()
        if len(content.files) != 1:
            raise ArgumentError("path", "one array", f"{source.name} with {sorted(content.files)}")
        return content[content.files[0]]
