"""A field that can be differentiated, and the one way to hold it at a point."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Field
from gamedyn.core.ambient import sheltered
from gamedyn.core.protocols import of_flow
from gamedyn.core.randomness import RandomState
from gamedyn.jacobian.check import check_products, check_terms, outcome
from gamedyn.jacobian.differentiation import differentiable, differentiates_norms, refuse_once
from gamedyn.jacobian.kept import KeptProducts
from gamedyn.jacobian.memory import evaluation_bytes
from gamedyn.jacobian.operator import GameJacobian

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gamedyn.core import State
    from gamedyn.core.protocols import FlowLike

__all__ = ["FrozenField"]


class FrozenField(Field):
    """The field of a flow with its derivative: `field(t, y)`, `field.linearise(t, y)`, `field.jacobian()`.

    Made by `flow.at(state, batch)`, which holds it at a point; `solve` begins steps on it instead. Arguments as for
    `Field`, and `check`: whether derivatives are checked against differences of the field the first time.

    Attributes:
        t: time of the point where it is frozen.
        third: whether products take third derivatives of the modules, known once it has been differentiated.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.bilinear()
        >>> frozen = flows.gradient(game).at(game.state())
        >>> frozen.value.tolist(), (frozen.jacobian().to_dense() + 0.0).tolist()
        ([-1.0, 1.0], [[0.0, -1.0], [1.0, 0.0]])
    """

    def __init__(self, flow: FlowLike, *args: Any, check: bool = True, **kwargs: Any) -> None:
        super().__init__(of_flow(flow), *args, **kwargs)
        self.check = check
        self._at: State | None = None
        self.t = 0.0
        self.third = flow.double_backward
        self._examined = False

    def frozen_at(self, state: State, batch: Any, t: float = 0.0) -> FrozenField:
        """Open it at a state, and let nothing advance from then on."""
        with sheltered(), self._looking():
            self.open(state.y, batch, t)
        self.begin_step(batch)
        self.hold()
        self._at, self.t = state, t
        return self

    def open(self, y: Tensor, batch: Any, t: float = 0.0) -> None:
        """As `Field.open`; penalties on gradients are checked against differences, too: a step differentiates them.

        Raises:
            ArgumentError: as there, and for a penalty whose own gradient is cut.
        """
        with differentiable() if self._double else contextlib.nullcontext():
            super().open(y, batch, t)
            if self.check and self.members is None and self.finite_at_start:
                check_terms(self, t, y, batch)

    @property
    def at(self) -> State:
        """The state that it is frozen at.

        Raises:
            ArgumentError: if it steps, and is frozen nowhere.
        """
        if self._at is None:
            raise ArgumentError("field", "one that is frozen at a point", "one that steps", "flow.at(state, batch)")
        return self._at

    @property
    def checked(self) -> str:
        """What the check of its flow's derivatives has said.

        "skipped", "not differentiated" (nothing to check yet), "agrees", or "undecided: ..." with the players of
        which differences of no two lengths agree, as at a kink.
        """
        return outcome(self.flow) if self.check else "skipped"

    @property
    def value(self) -> Tensor:
        """The velocity at the point where it is frozen, (n,)."""
        return self.peek(self.t, self.at.y)

    @functools.cached_property
    def graph_bytes(self) -> int:
        """Bytes of the tensors that one evaluation at the point makes: a bound on what its graph can hold."""
        return evaluation_bytes(self, self.at)

    def jacobian(self, **options: Any) -> GameJacobian:
        """J at the point where it is frozen, as an operator.

        Args:
            **options: of `GameJacobian`: part, strategy, memory, products.
        """
        return GameJacobian(self.flow, self.at, self.batch, t=self.t, frozen=self, **options)

    def linearise(self, t: float | Tensor, y: Tensor) -> KeptProducts:
        """The field at a point with its derivative: `.value`, `.jvp(u)`, `.vjp(u)`, `.cross(u)`; shape (n,).

        Raises:
            ArgumentError: the first time, if the field cannot be differentiated (an operation has no second
                derivative), its derivative is not that of the field, or is not finite.
        """
        self.advance(y)  # the graph has buffers of its own
        first = not self._examined
        products = self.examined(t, y)
        if first and self.check and self.members is None:
            check_products(self, products, "kept", float(t), y, self.batch)
        if not self.losses:
            self.losses = products.losses
            self.figures = self._figures()
        return products

    def examined(self, t: float | Tensor, y: Tensor, *, factors: Mapping[str, float] | None = None) -> KeptProducts:
        """Kept products; the first time, having seen what it takes to differentiate the field.

        Raises:
            ArgumentError: for an operation that can be differentiated only once.
        """
        products = KeptProducts(self, t, y, factors=factors)
        if self._examined:
            return products
        refuse_once(products.velocity)
        if not self.third and differentiates_norms(products.graph_losses):
            self.third = True
            products = KeptProducts(self, t, y, factors=factors)
        self._examined = True
        return products

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """A session that leaves the default generators where they are."""
        with self._looking(), self.session():
            yield

    @contextlib.contextmanager
    def _looking(self) -> Iterator[None]:
        random = RandomState(self.flow.game.device) if self.randomness or self._at is None else None
        try:
            yield
        finally:
            if random is not None:
                random.restore()
