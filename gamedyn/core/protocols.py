"""What is declared between a flow, its field, and whatever steps or analyses the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor

    from gamedyn.core.evaluation import Point, Request, Velocity, Work
    from gamedyn.core.game import Game
    from gamedyn.core.state import Layout

__all__ = ["FlowLike", "Linearised", "NoiseLike", "VectorField", "of_flow"]


class NoiseLike(Protocol):
    """What a stepper needs of noise."""

    def increment(self, step: int, t: float | Tensor, h: float | Tensor, like: Tensor) -> Tensor:
        """`W(t + h) - W(t)`, of the shape of `like`, of the step of a number."""

    def diffusion(self, t: float | Tensor, y: Tensor) -> Tensor:
        """What it is multiplied with at a point, entry by entry."""


class FlowLike(Protocol):
    """What a field needs of a flow."""

    game: Game

    @property
    def double_backward(self) -> bool:
        """Whether an evaluation differentiates a gradient."""

    @property
    def separates_players(self) -> bool:
        """Whether one player's part costs that player's gradient alone."""

    @property
    def autonomous(self) -> bool:
        """Whether the field does not depend on time."""

    @property
    def scales(self) -> bool:
        """Whether a request's rates scale the velocity."""

    @property
    def linear_in_losses(self) -> bool:
        """Whether the field of a mean of losses is the mean of their fields."""

    @property
    def penalised(self) -> tuple[tuple[str, int], ...]:
        """Name of every penalty on a gradient, and the place of the player that sees it."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts whose sum it is: "game", and its penalty terms."""

    @property
    def whole_parts(self) -> tuple[str, ...]:
        """The parts that it is made of, whether or not they can be distinguished."""

    @property
    def rates(self) -> Mapping[str, float]:
        """By player: what its gradient has been multiplied with."""

    @property
    def module_rates(self) -> Mapping[str, float]:
        """By "player.module", where parts of a player have a rate of their own."""

    @property
    def rated(self) -> list[tuple[str, slice]]:
        """Runs of leaves that have one rate: its name, and their places."""

    @property
    def noise(self) -> NoiseLike | None:
        """What is added by chance, or None."""

    @property
    def intervals(self) -> Mapping[str, int]:
        """By term, where terms act at intervals."""

    def double_backward_in(self, step: int | None) -> bool:
        """Whether an evaluation in a step differentiates a gradient."""

    @property
    def projects(self) -> bool:
        """Whether states are put back into a set after every step."""

    def project(self, y: Tensor) -> Tensor:
        """The point that stands for y after a step."""

    def check(self, batch: Any = None) -> None:
        """Check what the flow takes from its game."""

    def velocity(self, point: Point, request: Request) -> Velocity:
        """The field at a point."""


class Linearised(Protocol):
    """A field at a point with its derivative there. That of a game's field has `vjp`, `cross` and `to_dense` too."""

    @property
    def value(self) -> Tensor:
        """v, shape of y."""

    def jvp(self, u: Tensor) -> Tensor:
        """J u, shape of y."""


class VectorField(Protocol):
    """All that a stepper may touch of the field that it steps.

    Implemented by the field of a game, by its pure form that the compiler traces, by the variational field (rows y and
    d with `d' = J d`) and by a field whose clock runs slower.

    Attributes:
        layout: where players and leaves lie in the last dimension of y.
        names: of the players.
        players: entries of each.
        shape: of y.
        parts: names of the parts whose weighted sums can be asked for; "game" alone, or with penalties.
        whole_parts: the parts that the flow is made of, whether or not they can be distinguished.
        rates: by player (and "player.module"), its rate: a number, or (M, 1) of an ensemble.
        noise: what is added by chance, or None.
        rated: runs of leaves that have one rate: its name in `rates`, and their places.
        autonomous: whether the field does not depend on time.
        point: a buffer of y's shape that stage points may be written to: evaluating there saves a copy. None where
            nothing may be written in place.
        persistent: whether rooms and views made once may be used again at the next step: not in traced code, whose
            field is another at each tracing, nor on rows.
        work: what has been spent.
        batch_id: a number that changes with the field: field values of another belong to another field.
        keeps_batch: whether the next step's field is this step's.
    """

    @property
    def layout(self) -> Layout:
        """Where players and leaves lie."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the players."""

    @property
    def players(self) -> tuple[slice, ...]:
        """Entries of each."""

    @property
    def shape(self) -> torch.Size:
        """Of y."""

    @property
    def point(self) -> Tensor | None:
        """A buffer that stage points may be written to, or None."""

    @property
    def persistent(self) -> bool:
        """Whether rooms and views may be kept."""

    @property
    def work(self) -> Work:
        """What has been spent."""

    @property
    def batch_id(self) -> int:
        """Changes with the field."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts whose weighted sums can be asked for."""

    @property
    def whole_parts(self) -> tuple[str, ...]:
        """The parts that the flow is made of."""

    @property
    def rates(self) -> Mapping[str, Any]:
        """By player, its rate."""

    @property
    def rated(self) -> list[tuple[str, slice]]:
        """Runs of leaves that have one rate."""

    @property
    def noise(self) -> NoiseLike | None:
        """What is added by chance, or None."""

    @property
    def autonomous(self) -> bool:
        """Whether the field does not depend on time."""

    @property
    def keeps_batch(self) -> bool:
        """Whether the next step's field is this step's."""

    def __call__(self, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """v(t, y), shape of y, written to `out` if given."""

    def player(self, i: int, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """v_i(t, y), the entries of player i alone."""

    def weighted(self, factors: Mapping[str, float], t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """`sum_parts factor v_part(t, y)`; parts that are not named are left out."""

    def linearise(self, t: float | Tensor, y: Tensor) -> Linearised:
        """The field at a point with its derivative."""

    def stages(self, count: int, player: int | None = None) -> Tensor:
        """Room for `count` field values (or one player's), shape (count, ..., n), to be filled again and again."""

    def room(self, count: int, player: int | None = None) -> Tensor:
        """As `stages`, to be filled once."""

    def release(self, rows: Sequence[Tensor]) -> None:
        """Forget rows of `stages` that will not be written again."""


def of_flow(flow: object) -> Any:
    """The flow itself, if it is one.

    Raises:
        ArgumentError: otherwise.
    """
    if isinstance(flow, type) or not (callable(getattr(flow, "velocity", None)) and hasattr(flow, "game")):
        raise ArgumentError("flow", "a flow", type(flow).__name__, "make one of a game: gamedyn.flows.gradient(game)")
    return flow
