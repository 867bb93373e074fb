"""One step of a method on a linear game, as a matrix; its spectral radius."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.checks import positive
from gamedyn.methods import Method, get
from gamedyn.stability.matrices.block_step import block_step
from gamedyn.stability.matrices.eigenvalues import BlockJacobian, Spectrum, as_blocks, eigenvalue_array, jacobian_matrix
from gamedyn.stability.regions.amplification import amplification
from gamedyn.stability.symbols import symbol

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["spectral_radius", "step_matrix"]


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
    matrix = jacobian_matrix(J)
    if method.has_theory and not method.decouples:
        return block_step(method, as_blocks(method, J), h)
    return symbol(method).matrix(h * matrix)


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
    if method.has_theory and not method.decouples:
        return float(np.abs(np.linalg.eigvals(block_step(method, as_blocks(method, spectrum), h))).max())
    return float(amplification(method, h * eigenvalue_array(spectrum)).max())
