"""What every flow is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Field, moved_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from gamedyn.core import Game, Request, State, Velocity

__all__ = ["Flow", "FlowOfFlow", "of_flow"]


class Flow(ABC):
    """An ODE `dy/dt = v(t, y)` on the players of a game."""

    declared_h: float | None = None
    """The step that the field contains, where it contains one: `solve` takes no other."""

    def __init__(self, game: Game) -> None:
        self.game = game

    @property
    def double_backward(self) -> bool:
        """Whether an evaluation differentiates a gradient."""
        return False

    def check(self, batch: Any = None) -> None:
        """Evaluate once, at the present parameters, and check what the flow takes from its game.

        Raises:
            ArgumentError: if the losses are not what they must be.
        """
        self.game.check(batch)

    @property
    def separates_players(self) -> bool:
        """Whether one player's part costs that player's gradient alone."""
        return False

    @property
    def autonomous(self) -> bool:
        """Whether the field does not depend on time."""
        return True

    @property
    def linear_in_losses(self) -> bool:
        """Whether the field of a mean of losses is the mean of their fields: batches can then be averaged."""
        return False

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts whose sum it is; methods with a tableau per part use them."""
        return ("game",)

    @property
    def rates(self) -> Mapping[str, float]:
        """By player: what its gradient has been multiplied with; a player's learning rate is h * rate."""
        return dict.fromkeys(self.game.players, 1.0)

    @abstractmethod
    def velocity(
        self,
        t: float | Tensor,
        leaves: Sequence[Tensor],
        buffers: Sequence[Tensor],
        batch: Any,
        request: Request,
    ) -> Velocity:
        """The field at `leaves`, for the players and parts asked for."""

    def initial_state(self) -> State:
        """The players' present parameters and buffers, copied."""
        return self.game.state()

    def field(self, batch: Any = None) -> Field:
        """The field on one batch: `field(t, y)`, shape (n,).

        Example:
            >>> import torch
            >>> from gamedyn import flows, games
            >>> flow = flows.gradient(games.bilinear())
            >>> flow.field()(0.0, torch.tensor([1.0, 2.0], dtype=torch.float64))
            tensor([-2.,  1.], dtype=torch.float64)
        """
        field = Field(self, self.game.state().buffers)
        field.batch = moved_to(self.game, batch)
        return field


class FlowOfFlow(Flow):
    """A flow made of another one, whose facts it has unless it says otherwise.

    Attributes:
        inner: the other flow.
        declared_h: the only step with which the flow means what it says, or None.
    """

    def __init__(self, flow: Flow, game: Game | None = None) -> None:
        super().__init__(of_flow(flow).game if game is None else game)
        self.inner = flow
        self.declared_h = flow.declared_h

    @property
    def double_backward(self) -> bool:
        """As the inner flow."""
        return self.inner.double_backward

    @property
    def autonomous(self) -> bool:
        """As the inner flow."""
        return self.inner.autonomous

    @property
    def rates(self) -> Mapping[str, float]:
        """Those of the inner flow."""
        return self.inner.rates

    def check(self, batch: Any = None) -> None:
        """As the inner flow does."""
        self.inner.check(batch)


def of_flow(flow: object) -> Flow:
    """The flow itself, if it is one.

    Raises:
        ArgumentError: otherwise.
    """
    if not isinstance(flow, Flow):
        raise ArgumentError("flow", "a flow", type(flow).__name__, "make one of a game: gamedyn.flows.gradient(game)")
    return flow
