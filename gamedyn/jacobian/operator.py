"""The game's Jacobian as an operator: J u, J^T u, blocks, parts, Schur complements, without the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import RandomSampler

from gamedyn._lib.checks import choice, positive, positive_int
from gamedyn._lib.errors import ArgumentError, SolveError
from gamedyn.core import Batches
from gamedyn.core.batches import moved_to
from gamedyn.core.protocols import of_flow
from gamedyn.jacobian.averaged import AveragedProducts
from gamedyn.jacobian.check import check_products, refuse_non_finite
from gamedyn.jacobian.compiled import Code, CompiledProducts
from gamedyn.jacobian.formed import FormedProducts
from gamedyn.jacobian.forward import ForwardProducts, asks_for_graph
from gamedyn.jacobian.kept import KeptProducts
from gamedyn.jacobian.memory import FORWARD, FORWARD_DOUBLE, KEPT
from gamedyn.krylov import LinearOperator, gmres
from gamedyn.krylov.room import available, check_room

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamedyn.jacobian.products import Products

__all__ = ["STRATEGIES", "GameJacobian"]

STRATEGIES = ("auto", "kept", "forward", "compiled", "formed")

COMPILE_PAYS = 20_000
"""Products above which compiling pays for a small net: some 20 s, against half a product of a millisecond or two."""


class GameJacobian(LinearOperator):
    """`J = dv/dy` of a flow at a point: `J @ u`, `J.T @ u`, without the matrix.

    Four ways to a product, which agree to rounding: "kept", reverse over reverse on one kept graph (any loss that
    can be differentiated twice, a user's gradient penalty included; 2 to 2.5 fields a product); "forward",
    forward over reverse, nothing kept (about 3 fields, the memory of one); "compiled", one traced function of (y, u,
    batch) (0.8 fields on small nets, 0.5 in blocks; half a minute to compile, once for all points); "formed", the
    matrix itself, from n products with kept graphs: for small games that are asked much.

    The user's modules and generators are untouched: buffers are the state's, batch norm uses its batch, spectral
    norm's vectors and randomness inside the losses are frozen. Nothing that is done to state, batch or modules later
    changes the products, frozen parameters excepted: those are read where they are.

    Args:
        flow: the flow, with its penalties and rates; a flow with momentum has its momentum in y.
        state: a State, a Run (its state), or a flat vector (n,).
        batch: what the losses take, or None.
        batches: instead, batches that together are the data, the same each time: a list, or a loader that does
            not shuffle. J is then the mean over all samples (with batch norm: each batch by its own statistics), one
            batch in memory at a time unless all graphs fit ("kept").
        t: time.
        part: one part of the flow only: "game", or a penalty term by its name.
        strategy: "auto", "kept", "forward", "compiled" or "formed". "auto" keeps graphs if they fit, and compiles nets
            without convolutions where more than 20,000 products are to come.
        memory: bytes that the graphs may take; None: half of what is free.
        products: how many are to come, for "auto".
        check: whether to hold the products against differences of the field, once for a flow.
        frozen: the field at the state, where it has been opened: `flow.at(state, batch).jacobian()`.

    Attributes:
        state: a copy of that given.
        flow: as given.
        strategy: what was chosen.
        value: v, (n,).
        losses: of all players, by name; empty for a flow without.
        work: what has been spent.
        memory: bytes that the graphs take, estimated from one evaluation; a Krylov basis comes on top.

    Raises:
        ArgumentError: for a state of another game or not finite, losses that are not deterministic, cannot be
            differentiated twice or cannot take the batch, a derivative that is not that of the field, or not finite,
            too small a memory, batches without end.

    Source: Pearlmutter 1994, Neural Computation 6, p. 147 (products); reverse over reverse: Townsend 2017.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.bilinear()
        >>> J = GameJacobian(flows.gradient(game), game.state())
        >>> (J @ torch.tensor([1.0, 2.0], dtype=torch.float64)).tolist()
        [-2.0, 1.0]
    """

    def __init__(
        self,
        flow: Any,
        state: Any,
        batch: Any = None,
        *,
        batches: Iterable[Any] | None = None,
        t: float = 0.0,
        part: str | None = None,
        strategy: str = "auto",
        memory: float | None = None,
        products: int = 200,
        check: bool = True,
        frozen: Any = None,
        _code: Code | None = None,
    ) -> None:
        of_flow(flow)
        source = _source(batch, batches)
        count = _length(source)
        if not count:
            raise ArgumentError("batches", "at least one batch", "none")
        field = flow.at(state, next(iter(source)), t, check=check) if frozen is None else frozen
        self.flow, self.t, self.part, self.state, self.field = flow, t, part, field.at, field
        self._given = {"batch": batch, "batches": batches, "memory": memory, "products": products, "check": check}
        self._code, self.work, y = Code() if _code is None else _code, field.work, self.state.y
        super().__init__((len(y), len(y)), self.jvp, self.vjp, dtype=y.dtype, device=y.device, matrix=self._formed)
        if part is not None:
            choice("part", part, flow.parts)
        with field.looking():
            self._prepare(source, count, strategy, memory, products)
        if not bool(self.value.isfinite().all()):
            raise ArgumentError("state", "a point where the field is finite", "nan or inf in v")

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, {self.strategy})"

    def _prepare(self, source: Iterable[Any], count: int, strategy: str, memory: float | None, products: int) -> None:
        """Choose; make the products; hold them against differences."""
        field, factors = self.field, None if self.part is None else {self.part: 1.0}
        first = field.examined(self.t, self.state.y, factors=factors)
        self.strategy, self.memory = self._chosen(strategy, count, memory, products)
        made: Products = first
        if self.strategy in ("forward", "compiled"):
            del first
            made = self._products(field.batch)
        if field.check:
            check_products(field, made, self.strategy, self.t, self.state.y, field.batch, factors)
        self.products: Products = made
        if count > 1:
            self._refuse_nonlinear()
            keep = self.strategy == "kept"
            self.products = AveragedProducts(self.state.layout, source, self._products, keep=keep)
        if self.strategy == "formed":
            check_room(self.shape[0], self.state.y, "eigenpairs and products need no matrix")
            self.products = FormedProducts(self.products)
            refuse_non_finite(field, self.products.value, self.products.matrix.T)
        self._evaluated = self.products.value, self.products.losses

    @property
    def value(self) -> Tensor:
        """The velocity there, (n,): zero at a stationary point."""
        value: Tensor = self._evaluated[0]
        return value

    @property
    def losses(self) -> dict[str, Tensor]:
        """The players' losses; empty for a flow that has none."""
        values = self._evaluated[1]
        return dict(zip(self.flow.game.players, values, strict=True)) if values else {}

    def at(self, state: Any) -> GameJacobian:
        """The Jacobian at another point: same flow, data and strategy, same compiled code."""
        return GameJacobian(
            self.flow, state, t=self.t, part=self.part, strategy=self.strategy, _code=self._code, **self._given
        )

    def block(self, row: str, column: str) -> LinearOperator:
        """`J_ij = d v_i / d y_j` of two players, by name: (n_i, n_j). An own block is symmetric.

        Raises:
            UnknownNameError: for a player that the game lacks.
        """
        layout = self.state.layout
        i, j = layout.place(row), layout.place(column)
        sizes = [s.stop - s.start for s in layout.slices]
        return LinearOperator(
            (sizes[i], sizes[j]),
            lambda u: self._block(i, j, u, transposed=False),
            lambda u: self._block(i, j, u, transposed=True),
            dtype=self.dtype,
            device=self.device,
            matrix=self.products.copied_part(i, j) if isinstance(self.products, FormedProducts) else None,
        )

    def _block(self, i: int, j: int, u: Tensor, *, transposed: bool) -> Tensor:
        with self.field.looking():
            image: Tensor = self.products.block(i, j, u, transposed=transposed)
        return image

    def schur_complement(self, leader: str, *, rtol: float | None = None, restart: int = 100) -> LinearOperator:
        """`J_ll - J_lf J_ff^-1 J_fl`: how the leader's velocity changes while all others stay at their best response.

        Each product takes a GMRES solve with the followers' block.

        Args:
            leader: a player's name; all others follow.
            rtol: of the solves; None: 1e-10, or 100 roundings of the dtype where that is more.
            restart: of GMRES.

        Raises:
            UnknownNameError: for a player that the game lacks.
            SolveError: (from a product) where the solve does not converge, as with a singular followers' block whose
                range the leader leaves.

        Source: Fiez, Chasnov, Ratliff 2020, ICML, definition 4 and proposition 1.
        """
        own = self.state.layout.slices[self.state.layout.place(leader)]
        size, n = own.stop - own.start, self.shape[0]
        tol = max(1e-10, 100 * torch.finfo(self.dtype).eps) if rtol is None else rtol

        def joined(u_leader: Tensor | None, u_others: Tensor | None) -> Tensor:
            whole = torch.zeros(n, dtype=self.dtype, device=self.device)
            if u_leader is not None:
                whole[own] = u_leader
            if u_others is not None:
                whole[: own.start], whole[own.stop :] = u_others[: own.start], u_others[own.start :]
            return whole

        def others(whole: Tensor) -> Tensor:
            return torch.cat([whole[: own.start], whole[own.stop :]])

        def product(J: LinearOperator) -> Any:
            def of(u: Tensor) -> Tensor:
                image = J.matvec(joined(u, None))
                right = others(image)
                if not bool(right.any()):
                    return image[own]
                found = gmres(lambda x: others(J.matvec(joined(None, x))), right, rtol=tol, restart=restart)
                if not found.converged:
                    reason = f"{found.status}, residual {found.residual:.1e}"
                    remedy = "away from an equilibrium it often is: see find_equilibrium; or raise restart or rtol"
                    raise SolveError(
                        f"the followers' block could not be solved with ({reason}): it may be singular; {remedy}"
                    )
                return image[own] - J.matvec(joined(None, found.x))[own]

            return of

        return LinearOperator((size, size), product(self), product(self.T), dtype=self.dtype, device=self.device)

    def jvp(self, u: Tensor) -> Tensor:
        """`J u`, shape (n,) or, for rows of vectors, (k, n)."""
        with self.field.looking():
            image: Tensor = self.products.jvp(u)
        return image

    def vjp(self, u: Tensor) -> Tensor:
        """`J^T u`, shape (n,) or, for rows of vectors, (k, n)."""
        with self.field.looking():
            image: Tensor = self.products.vjp(u)
        return image

    def _formed(self) -> Tensor:
        """The matrix, (n, n), by blocks of products."""
        check_room(self.shape[0], self.state.y, "eigenpairs and products need no matrix")
        with self.field.looking():
            matrix: Tensor = self.products.to_dense()
        refuse_non_finite(self.field, self.value, matrix.T)
        return matrix

    def _products(self, batch: Any) -> Products:
        """Products on one batch, in the way chosen."""
        factors = None if self.part is None else {self.part: 1.0}
        arguments = (self.field, self.t, self.state.y, moved_to(self.flow.game, batch), factors)
        if self.strategy == "compiled":
            return CompiledProducts(*arguments, self._code)
        return (ForwardProducts if self.strategy == "forward" else KeptProducts)(*arguments)

    def _chosen(self, strategy: str, count: int, memory: float | None, products: int) -> tuple[str, int]:
        """The strategy, and the bytes that its graphs take."""
        choice("strategy", strategy, STRATEGIES)
        positive_int("products", products)
        game = self.flow.game  # of several processes, all must choose alike: by the tightest memory, the largest shard
        budget = game.processes.least(available(self.device) / 2 if memory is None else positive("memory", memory))
        saved = -game.processes.least(-self.field.graph_bytes)
        kept = int(KEPT * saved * (1 if strategy == "formed" else count))
        forward = int((FORWARD_DOUBLE if asks_for_graph(self.field) else FORWARD) * saved)
        if strategy == "auto":
            small = not any(isinstance(m, nn.modules.conv._ConvNd) for x in game.modules for m in x.modules())
            compiles = products > COMPILE_PAYS and small and game.processes.alone and not self.field.draws_randomness
            strategy = "compiled" if compiles and forward <= budget else "kept" if kept <= budget else "forward"
        needed = kept if strategy in ("kept", "formed") else forward
        if needed > budget:
            remedy = "a smaller batch, or batches=[...] of smaller ones" + (
                ', or strategy="forward"' if forward <= budget else ""
            )
            raise ArgumentError("memory", f"at least {needed} bytes for {strategy} products", f"{budget:.0f}", remedy)
        return strategy, needed

    def _refuse_nonlinear(self) -> None:
        """Batches cannot be averaged where the field of a mean loss is not the mean of the fields."""
        if not self.flow.linear_in_losses:
            remedy = "give all samples as one batch, with strategy='forward' if memory is short"
            expected = "one batch: a term of this flow is not a mean over samples (squared gradients, products of them)"
            raise ArgumentError("batches", expected, repr(self.flow), remedy)


def _source(batch: Any, batches: Iterable[Any] | None) -> Iterable[Any]:
    if batches is None:
        return [batch]
    if batch is not None:
        raise ArgumentError("batch, batches", "one of the two", "both")
    if isinstance(batches, Batches) or hasattr(batches, "__next__"):
        remedy = "take some: [next(stream) for _ in range(28)]"
        raise ArgumentError(
            "batches", "batches that can be gone through again and again", type(batches).__name__, remedy
        )
    if isinstance(getattr(batches, "sampler", None), RandomSampler):
        remedy = "DataLoader(..., shuffle=False)"
        raise ArgumentError("batches", "a loader that gives the same batches each time", "one that shuffles", remedy)
    if not hasattr(batches, "__iter__"):
        raise ArgumentError("batches", "a list of batches, or a loader", type(batches).__name__)
    return batches


def _length(batches: Any) -> int:
    try:
        return len(batches)
    except TypeError:  # no length, or a loader's over an iterable data set
        return sum(1 for _ in batches)
