"""What a method of periodic steps is: simultaneous moves whose lengths, of either sign, differ by player and repeat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Coefficient, float_digits, row
from gamedyn.methods._method import Method

__all__ = ["Periodic"]


class Periodic(Method):
    """A period of simultaneous Euler moves, `y_i <- y_i + h l_ji v_i(y)` in move j: one step is the whole period.

    On a linear game a step is the monodromy `prod_j (I + h D_j J)`, `D_j` the lengths of move j. Where a player's
    lengths add up to 0 it approximates no flow `y' = s v`: it has no order, and its limits come from the blocks of J.

    Args:
        lengths: for every move, a length for each player in the game's order; negative ones step back.
        name: canonical name; user-made methods need none.
        aliases: other names.
        source: where it comes from.

    Immutable.

    Raises:
        ArgumentError: if there is no move, or moves differ in their number of players.

    Source: Shugart, Altschuler 2025, arXiv:2505.01423 (slingshot).

    Example:
        >>> Periodic([(1, -1), (-1, 1)]).evaluations
        2
    """

    def __init__(
        self,
        lengths: Sequence[Iterable[Coefficient]],
        *,
        name: str = "",
        aliases: tuple[str, ...] = (),
        source: str = "user",
    ) -> None:
        if isinstance(lengths, str) or not hasattr(lengths, "__iter__"):
            raise ArgumentError("lengths", "a sequence of moves, each a length for every player", lengths)
        given = [tuple(move) if hasattr(move, "__iter__") else move for move in lengths]
        self.lengths = tuple(row("lengths", move) for move in given)
        if not self.lengths or len({len(move) for move in self.lengths}) > 1 or not self.lengths[0]:
            counts = [len(move) for move in self.lengths]
            raise ArgumentError("lengths", "moves with a length for every player", f"moves of {counts} lengths")
        self.digits = float_digits(*given)
        self.name, self.aliases, self.source = name, aliases, source

    def __repr__(self) -> str:
        moves = ", ".join("(" + ", ".join(map(str, move)) + ")" for move in self.lengths)
        return f"Periodic({self.name or moves})"

    @property
    def kind(self) -> str:
        """The family in words."""
        return "periodic"

    @property
    def decouples(self) -> bool:
        """Whether eigenvalues determine a step: never, the players' blocks do."""
        return False

    @property
    def stages(self) -> int:
        """Moves of a period."""
        return len(self.lengths)

    @property
    def evaluations(self) -> int:
        """Field evaluations a step: one a move."""
        return self.stages

    @property
    def registers(self) -> int:
        """Vectors of parameter size that a step holds: a velocity, y, its point, the result, a checked state."""
        return 5

    @property
    def fixed_players(self) -> int:
        """How many players the moves are for."""
        return len(self.lengths[0])

    def check_players(self, count: int) -> None:
        """Refuse a game of another number of players.

        Raises:
            ArgumentError: if the moves are for another number.
        """
        if count != self.fixed_players:
            raise ArgumentError("method", f"a game of {self.fixed_players} players", f"{count} players")
