"""The game's Jacobian at a point: products, the dense matrix, its eigenvalues with their residuals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from gamedyn import stability
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Field, Products, State, moved_to
from gamedyn.methods import AdditiveRungeKutta, Method, get
from gamedyn.spectrum.outer import outer_eigenvalues
from gamedyn.spectrum.point import point
from gamedyn.stability import BlockJacobian, Eigenvalues, StepSet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gamedyn.flows import Flow
    from gamedyn.integrators import Run

__all__ = ["DENSE_UP_TO", "Linearisation", "dense", "linearise", "stable_steps"]

DENSE_UP_TO = 2000
"""Parameters up to which the whole matrix is formed unless told otherwise."""


@dataclass(frozen=True, eq=False)
class Linearisation:
    """`J = dv/dy` at a point (stable: eigenvalues with negative real part).

    Attributes:
        state: the point.
        value: v there, (n,).
        eigenvalues: all of them, or the outer ones (`eigenvalues.complete` is False), with true residuals.
        matrix: J, (n, n), or None where it was not formed.
        products: `products.jvp(u)` is J u, `products.vjp(u)` is J^T u.
        part_products: the same of one part of the flow ("game", or a penalty term), by its name.
    """

    state: State
    value: Tensor
    eigenvalues: Eigenvalues
    matrix: Tensor | None
    products: Products
    part_products: Callable[[str], Products]

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
        if self.matrix is None:
            n = self.state.layout.n
            remedy = "linearise(..., dense=True), or measure with gamedyn.spectrum.step_radius"
            raise ArgumentError(
                "linearisation", "one with the dense Jacobian", f"products only ({n} parameters)", remedy
            )
        sizes = tuple(s.stop - s.start for s in self.state.layout.slices)
        return BlockJacobian(self.matrix.double().cpu().numpy(), sizes, self.state.layout.players)

    def parted(self, parts: Sequence[str]) -> BlockJacobian:
        """As `blocks`, with the Jacobians of the flow's parts, for additive methods."""
        blocks = self.blocks
        terms = {p: self.part_products(p).dense().double().cpu().numpy() for p in parts if p != "game"}
        game = blocks.matrix - sum(terms.values(), np.zeros_like(blocks.matrix))
        return replace(blocks, parts={"game": game, **terms})

    def __matmul__(self, u: Tensor) -> Tensor:
        """J u."""
        return self.products.jvp(u)


def products_at(flow: Flow, state: State, batch: Any, t: float = 0.0, part: str | None = None) -> Products:
    """The kept graph at a state, on the batch given, with every side effect held."""
    field = Field(flow, tuple(b.clone() for b in state.buffers))
    batch = moved_to(flow.game, batch)
    flow.check(batch)
    field.probe(state.y, batch)
    field.begin_step(batch)
    field.hold()
    taken = field.examined(t, state.y, batch)
    return Products(taken, t, state.y, batch, field, None if part is None else {part: 1.0})


def dense(flow: Flow, state: State | Tensor | Run, batch: Any = None, *, t: float = 0.0) -> Tensor:
    """The Jacobian J = dv/dy, (n, n): the slow, obvious reference.

    Args:
        flow: the flow.
        state: a State, a Run (its state), or a flat vector (n,).
        batch: what the losses take, or None.
        t: time.

    Raises:
        ArgumentError: for a state of another size, or losses that are not deterministic.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.bilinear()
        >>> dense(flows.gradient(game), game.state()).abs()
        tensor([[0., 1.],
                [1., 0.]], dtype=torch.float64)
    """
    return products_at(flow, point(flow, state), batch, t).dense()


def linearise(
    flow: Flow,
    state: State | Tensor | Run,
    batch: Any = None,
    *,
    t: float = 0.0,
    dense: bool | None = None,
    k: int = 8,
    progress: bool = False,
) -> Linearisation:
    """The Jacobian at a point, its eigenvalues (all when small, else the outer ones) and their residuals.

    Args:
        flow: the flow, penalty terms included.
        state: a State, a Run (its state), or a flat vector (n,).
        batch: what the losses take, or None. A mini-batch gives the mini-batch's Jacobian.
        t: time.
        dense: whether to form the matrix; None: up to DENSE_UP_TO parameters.
        k: outer eigenvalues of each kind where it is not formed.
        progress: whether to show progress bars while they are searched for.

    Raises:
        ArgumentError: for a state of another size, or losses that are not deterministic.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.dirac_gan("wasserstein")
        >>> linearise(flows.gradient(game), game.equilibrium_state()).eigenvalues.values.imag
        array([ 1., -1.])
    """
    at = point(flow, state)
    products = products_at(flow, at, batch, t)
    n = products.n

    def of_part(name: str) -> Products:
        return products_at(flow, at, batch, t, name)

    if dense if dense is not None else n <= DENSE_UP_TO:
        matrix = products.dense()
        values, residuals = _all_eigenvalues(matrix.double().cpu().numpy())
        spectrum = Eigenvalues(values, True, residuals)
        return Linearisation(at, products.value, spectrum, matrix, products, of_part)
    return Linearisation(at, products.value, outer_eigenvalues(products, k, progress=progress), None, products, of_part)


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
        return stability.stable_steps(chosen, linearisation.parted(linearisation.products.flow.parts))
    if stability.needs_blocks(chosen):
        return stability.stable_steps(chosen, linearisation.blocks)
    return stability.stable_steps(chosen, linearisation.eigenvalues)
