"""What products need of their field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Sequence

    from torch import Tensor

    from gamedyn.core import Work
    from gamedyn.core.evaluation import Request, Velocity
    from gamedyn.core.protocols import FlowLike
    from gamedyn.core.state import Layout

__all__ = ["Evaluated"]


class Evaluated(Protocol):
    """A field that evaluates its flow at any leaves, with everything frozen; `FrozenField` is one.

    Attributes:
        flow: the flow.
        layout: of its players.
        names: of the players.
        players: entries of each.
        work: what has been spent.
        third: whether products take third derivatives of the modules.
        effects: what evaluating changes.
    """

    flow: FlowLike
    layout: Layout
    names: tuple[str, ...]
    players: tuple[slice, ...]
    work: Work
    third: bool
    effects: Any

    @property
    def standing(self) -> tuple[Tensor, ...]:
        """The buffers that evaluations begin from."""

    @property
    def draws_randomness(self) -> bool:
        """Whether the losses draw from default generators."""

    def asked(self, **changes: Any) -> Request:
        """What its whole value is asked with at present, with changes."""

    def session(self) -> contextlib.AbstractContextManager[None]:
        """The modules are the field's for so long."""

    def doubled(self) -> contextlib.AbstractContextManager[None]:
        """In a session: buffers and frozen parameters in float64."""

    def at_leaves(self, leaves: Sequence[Tensor], buffers: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Buffers with those that are functions of the leaves."""

    def velocity(
        self, t: float | Tensor, leaves: Sequence[Tensor], request: Request, batch: Any = ..., *, flow: Any = None
    ) -> Velocity:
        """The flow's velocity at leaves, in a session."""
