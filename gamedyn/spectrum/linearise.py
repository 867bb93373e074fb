"""The game's Jacobian at a point: products, the dense matrix, its eigenvalues with their residuals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn import stability
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.ambient import shielded
from gamedyn.core.protocols import of_flow
from gamedyn.methods import AdditiveRungeKutta, Method, get
from gamedyn.spectrum.outer import outer_eigenvalues
from gamedyn.stability import BlockJacobian, Eigenvalues, StepSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.integrators import Run
    from gamedyn.jacobian import GameJacobian

__all__ = ["FORMED_UP_TO", "Linearisation", "linearise", "stable_steps"]

FORMED_UP_TO = 2000
"""Parameters up to which the whole matrix is formed unless asked otherwise."""


@dataclass(frozen=True, eq=False)
class Linearisation:
    """`J = dv/dy` at a point (stable: eigenvalues with negative real part).

    Attributes:
        J: the operator: `J @ u`, `J.T @ u`, blocks, eigenpairs; its products are the matrix's where that was formed.
        eigenvalues: all of them, or the outer ones (`eigenvalues.complete` is False), with true residuals.
    """

    J: GameJacobian
    eigenvalues: Eigenvalues

    @property
    def state(self) -> State:
        """The point."""
        state: State = self.J.state
        return state

    @property
    def value(self) -> Tensor:
        """The velocity there, (n,)."""
        return self.J.value

    @property
    def matrix(self) -> Tensor | None:
        """J, (n, n), or None where it was not formed."""
        return self.J.to_dense() if self.J.strategy == "formed" else None

    @property
    def norm(self) -> float:
        """|v|: zero at a stationary point."""
        return float(self.value.norm())

    @property
    def complete(self) -> bool:
        """Whether the eigenvalues are all there are."""
        return self.eigenvalues.complete

    @property
    def blocks(self) -> BlockJacobian:
        """J with its players, for methods that treat them apart.

        Raises:
            ArgumentError: where J was not formed.
        """
        matrix = self.matrix
        if matrix is None:
            n = self.state.layout.n
            remedy = "linearise(..., form=True), or measure with gamedyn.spectrum.step_radius"
            raise ArgumentError(
                "linearisation", "one whose Jacobian was formed", f"products only ({n} parameters)", remedy
            )
        sizes = tuple(s.stop - s.start for s in self.state.layout.slices)
        return BlockJacobian(matrix.double().cpu().numpy(), sizes, self.state.layout.players)

    def parted(self, parts: Sequence[str]) -> BlockJacobian:
        """As `blocks`, with the Jacobians of the flow's parts, for additive methods."""
        blocks, frozen = self.blocks, self.J.field
        terms = {p: frozen.jacobian(part=p).to_dense().double().cpu().numpy() for p in parts if p != "game"}
        game = blocks.matrix - sum(terms.values(), np.zeros_like(blocks.matrix))
        return replace(blocks, parts={"game": game, **terms})


@shielded
def linearise(
    flow: Flow,
    state: State | Tensor | Run,
    batch: Any = None,
    *,
    t: float = 0.0,
    form: bool | None = None,
    k: int = 8,
    check: bool = True,
    progress: bool = False,
) -> Linearisation:
    """The Jacobian at a point, its eigenvalues (all when small, else the outer ones) and their residuals.

    Args:
        flow: the flow, penalty terms included.
        state: a State, a Run (its state), or a flat vector (n,).
        batch: what the losses take, or None. A mini-batch gives the mini-batch's Jacobian.
        t: time.
        form: whether to form the matrix; None: up to FORMED_UP_TO parameters.
        k: outer eigenvalues of each kind where it is not formed.
        check: whether to hold J against differences of the field, once for a flow.
        progress: whether to show progress bars while they are searched for.

    Raises:
        ArgumentError: for a state of another size, losses that are not deterministic, a derivative that is not that of
            the field, or not finite.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.dirac_gan("wasserstein")
        >>> linearise(flows.gradient(game), game.equilibrium_state()).eigenvalues.values.imag
        array([ 1., -1.])
    """
    frozen = of_flow(flow).at(state, batch, t, check=check)
    if frozen.layout.n <= FORMED_UP_TO if form is None else form:
        J = frozen.jacobian(strategy="formed")
        values, residuals = _all_eigenvalues(J.to_dense().double().cpu().numpy())
        return Linearisation(J, Eigenvalues(values, True, residuals))
    J = frozen.jacobian()
    return Linearisation(J, outer_eigenvalues(J, k, progress=progress))


def _all_eigenvalues(J: NDArray[np.float64]) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    values, vectors = np.linalg.eig(J)
    residuals = np.linalg.norm(J @ vectors - vectors * values, axis=0)
    order = np.lexsort((-values.imag, -values.real))
    return values[order].astype(np.complex128), residuals[order]


def stable_steps(method: str | Method, linearisation: Linearisation) -> StepSet:
    """The stable steps of any method at a linearised point; methods that need blocks, or parts of J, get them.

    Args:
        method: one of our methods, or its name.
        linearisation: from `linearise`.

    Raises:
        ArgumentError: for a method that needs blocks where the matrix was not formed.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.bilinear()
        >>> lin = linearise(flows.gradient(game), game.equilibrium_state())
        >>> round(stable_steps("alternating", lin).first[1], 6)
        2.0
    """
    chosen = get(method)
    if not isinstance(linearisation, Linearisation):
        remedy = "eigenvalues alone go to gamedyn.stability.stable_steps"
        raise ArgumentError("linearisation", "the result of linearise", type(linearisation).__name__, remedy)
    if isinstance(chosen, AdditiveRungeKutta):
        return stability.stable_steps(chosen, linearisation.parted(linearisation.J.flow.parts))
    if not chosen.decouples:
        return stability.stable_steps(chosen, linearisation.blocks)
    return stability.stable_steps(chosen, linearisation.eigenvalues)
