"""What every flow is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from gamedyn._lib.checks import finite
from gamedyn.core import State
from gamedyn.core.ambient import shielded
from gamedyn.core.batches import moved_to
from gamedyn.core.point import point
from gamedyn.core.protocols import of_flow
from gamedyn.jacobian import FrozenField

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gamedyn.core import Game, Point
    from gamedyn.core.evaluation import Request, Velocity
    from gamedyn.core.protocols import NoiseLike
    from gamedyn.losses import Term

__all__ = ["Flow", "FlowOfFlow", "LeafwiseFlow", "of_flow"]


class Flow(ABC):
    """An ODE `dy/dt = v(t, y)` on the players of a game."""

    declared_h: float | None = None
    """The step that the field contains, where it contains one: `solve` takes no other."""

    source: str = ""
    """Paper, where the flow comes from one."""

    def __init__(self, game: Game) -> None:
        self.game = game

    @property
    def double_backward(self) -> bool:
        """Whether an evaluation differentiates a gradient."""
        return False

    @property
    def intervals(self) -> Mapping[str, int]:
        """By term, where terms act at intervals: every so many steps, with their weight as many times."""
        return {}

    def double_backward_in(self, step: int | None) -> bool:
        """Whether an evaluation in a step does."""
        return self.double_backward

    @property
    def law(self) -> str:
        """What v is, in words or as a formula."""
        return "v as the flow defines it"

    @property
    def descends_losses(self) -> bool:
        """Whether it is the losses of its own game that decide where its players come to rest."""
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
    def scales(self) -> bool:
        """Whether a request's rates scale the velocity."""
        return False

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

    @property
    def noise(self) -> NoiseLike | None:
        """What is added to it by chance, or None."""
        return None

    @property
    def terms(self) -> Mapping[str, Term]:
        """Its penalty terms by name."""
        return {}

    @property
    def module_rates(self) -> Mapping[str, float]:
        """By "player.module", where parts of a player have a rate of their own."""
        return {}

    @property
    def rated(self) -> list[tuple[str, slice]]:
        """Runs of leaves that have one rate: the player's name, or "player.module", and their places."""
        return list(zip(self.game.layout.players, self.game.layout.leaf_slices, strict=True))

    @abstractmethod
    def velocity(self, point: Point, request: Request) -> Velocity:
        """The field at a point, for the players and parts asked for."""

    @property
    def whole_parts(self) -> tuple[str, ...]:
        """The parts that it is made of, whether or not they can be distinguished."""
        return self.parts

    @property
    def penalised(self) -> tuple[tuple[str, int], ...]:
        """Name of every penalty on a gradient, and the place of the player that sees it."""
        return ()

    def penalties(self, point: Point) -> list[Tensor]:
        """The values of the penalties on gradients, with their graphs."""
        return []

    @property
    def tangent(self) -> Tensor | None:
        """Orthonormal basis (n, m) of the directions in which its states may differ; None: all of them."""
        return None

    def admits(self, parts: Mapping[str, Tensor]) -> bool:
        """Whether the flow is made for such a point: of shares of strategies, whether it is on the simplex."""
        return True

    @property
    def projects(self) -> bool:
        """Whether states are put back into a set after every step, by `project`."""
        return False

    def project(self, y: Tensor) -> Tensor:
        """The point that stands for y after a step: y itself."""
        return y

    def coordinates_of(self, y: Tensor) -> Tensor:
        """The state that stands for the players' own values y: y itself."""
        return y

    def point_of(self, y: Tensor) -> Tensor:
        """The players' own values that a state stands for: y itself."""
        return y

    def initial_state(self) -> State:
        """The players' present parameters and buffers, copied."""
        return self.game.state()

    @shielded
    def at(self, state: Any, batch: Any = None, t: float = 0.0, *, check: bool = True) -> FrozenField:
        """The field, frozen at a point: the one opening, which all analyses and solves begin with.

        The players are looked at (hooks, parts that have changed), the losses checked, what evaluating draws and writes
        is seen, and frozen from then on: the field is one function of (t, y) on this batch, the state's buffers and the
        random numbers of the moment. State and batch are copied.

        Args:
            state: a State, a Run (its state), or a flat vector (n,).
            batch: what the losses take, or None.
            t: time.
            check: whether, when first differentiated, it is checked against differences of the field.

        Raises:
            ArgumentError: for a state of another game or not finite; players or losses that cannot be honoured.

        Example:
            >>> from gamedyn import flows, games
            >>> frozen = flows.gradient(games.bilinear()).at(games.bilinear().state())
            >>> frozen(0.0, frozen.at.y).tolist(), (frozen.jacobian() @ frozen.at.y).tolist()
            ([-1.0, 1.0], [-1.0, 1.0])
        """
        found = point(self, state)
        kept = State(found.layout, found.y.detach().clone(), tuple(b.clone() for b in found.buffers))
        own = tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, moved_to(self.game, batch))
        field = FrozenField(self, kept.buffers, one_batch=True, check=check)
        return field.frozen_at(kept, own, finite("t", t))

    def field(self, batch: Any = None) -> FrozenField:
        """The field on one batch, at the players' present buffers: `field(t, y)`, shape (n,).

        Example:
            >>> import torch
            >>> from gamedyn import flows, games
            >>> flow = flows.gradient(games.bilinear())
            >>> flow.field()(0.0, torch.tensor([1.0, 2.0], dtype=torch.float64))
            tensor([-2.,  1.], dtype=torch.float64)
        """
        return self.at(self.initial_state(), batch)


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
    def law(self) -> str:
        """What is made of the inner flow."""
        return f"v made by {type(self).__name__} of {self.inner.law}"

    @property
    def descends_losses(self) -> bool:
        """Where the inner flow does, in the same game."""
        return self.inner.descends_losses and self.game is self.inner.game

    @property
    def double_backward(self) -> bool:
        """As the inner flow."""
        return self.inner.double_backward

    @property
    def intervals(self) -> Mapping[str, int]:
        """Those of the inner flow."""
        return self.inner.intervals

    @property
    def noise(self) -> NoiseLike | None:
        """That of the inner flow."""
        return self.inner.noise

    @property
    def terms(self) -> Mapping[str, Term]:
        """Those of the inner flow."""
        return self.inner.terms

    @property
    def module_rates(self) -> Mapping[str, float]:
        """Those of the inner flow."""
        return self.inner.module_rates

    @property
    def autonomous(self) -> bool:
        """As the inner flow."""
        return self.inner.autonomous

    @property
    def rates(self) -> Mapping[str, float]:
        """Those of the inner flow."""
        return self.inner.rates

    @property
    def whole_parts(self) -> tuple[str, ...]:
        """Those of the inner flow."""
        return self.inner.whole_parts

    @property
    def penalised(self) -> tuple[tuple[str, int], ...]:
        """Those of the inner flow."""
        return self.inner.penalised

    def penalties(self, point: Point) -> list[Tensor]:
        """Those of the inner flow, at its own players."""
        return self.inner.penalties(point._replace(leaves=point.leaves[: len(self.inner.game.layout.leaves)]))

    @property
    def projects(self) -> bool:
        """As the inner flow."""
        return self.inner.projects

    def project(self, y: Tensor) -> Tensor:
        """As the inner flow: what its players are comes first in y."""
        return self._of_inner(self.inner.project, y) if self.projects else y

    def coordinates_of(self, y: Tensor) -> Tensor:
        """As the inner flow."""
        return self._of_inner(self.inner.coordinates_of, y)

    def point_of(self, y: Tensor) -> Tensor:
        """As the inner flow."""
        return self._of_inner(self.inner.point_of, y)

    def _of_inner(self, fn: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
        n = self.inner.game.layout.n
        return fn(y) if n == y.shape[-1] else torch.cat([fn(y[..., :n]), y[..., n:]], -1)

    def check(self, batch: Any = None) -> None:
        """As the inner flow does."""
        self.inner.check(batch)


class LeafwiseFlow(FlowOfFlow):
    """A flow whose velocity is made of the inner one leaf by leaf: factors on it, the same whatever the rates."""

    @property
    def scales(self) -> bool:
        """As the inner flow."""
        return self.inner.scales

    def double_backward_in(self, step: int | None) -> bool:
        """As the inner flow."""
        return self.inner.double_backward_in(step)

    @property
    def rated(self) -> list[tuple[str, slice]]:
        """As of the inner flow."""
        return self.inner.rated

    @property
    def separates_players(self) -> bool:
        """As the inner flow."""
        return self.inner.separates_players

    @property
    def linear_in_losses(self) -> bool:
        """As the inner flow."""
        return self.inner.linear_in_losses

    @property
    def parts(self) -> tuple[str, ...]:
        """Those of the inner flow."""
        return self.inner.parts
