"""What a partitioned method is: players that move in turn."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.methods._coefficients import Coefficient, Declared, fewest_digits, float_digits, rational, tolerance_of
from gamedyn.methods._immutable import by_name
from gamedyn.methods._method import Method
from gamedyn.methods._runge_kutta import RungeKutta
from gamedyn.methods._trees import Table, separable, verified_order
from gamedyn.methods.explicit import EULER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


__all__ = ["Move", "Partitioned", "Stages", "Sweep"]


@dataclass(frozen=True)
class Sweep:
    """Every player moves once.

    Attributes:
        lengths: how far, in steps: one coefficient for all players, or one for each place in the order.
        backward: whether the players move in reverse order.
    """

    lengths: Coefficient | tuple[Coefficient, ...] = Fraction(1)
    backward: bool = False


class Move(NamedTuple):
    """The player at `place` in the order of play goes `length` steps along its field at time `t + node h`."""

    place: int
    length: Fraction
    node: Fraction


@dataclass(frozen=True)
class Stages:
    """A partitioned method written out for a number of players.

    Stage s evaluates player `player[s]` alone, at `y + h sum_r A[s][r] k_r` and time `t + node[s] h`;
    k_r moves only its own player. The step is `y + h sum_r b[r] k_r`.
    """

    player: tuple[int, ...]
    node: tuple[Fraction, ...]
    A: Table
    b: tuple[Fraction, ...]


class Partitioned(Method):
    """Players move in turn, each by one-step method `substep`, the others where they are.

    Args:
        sweeps: the sweeps that make a step; the lengths of every player must add up to 1, to the digits
            of a float where one is a float.
        substep: explicit Runge-Kutta method of a single move.
        players: order of play by name or place; None: the game's own order.
        cycles: steps that each player takes for a move: k_i moves of 1/k_i of its length (sub-cycling); it
            names every player, in the order of play unless `players` gives that. How often a player moves is
            one thing, how fast its clock runs another: a discriminator that takes five steps of full length
            for each of the generator's has `cycles={"D": 5, "G": 1}` and the rate 5.
        digits: decimals that published decimal lengths are trusted to; None: exact (floats: 15).
        name: canonical name; user-made methods need none.
        aliases: other names.
        declared: what the literature says; `order` is that for a separable game.
        source: where the method comes from.

    Time is carried by the opponents: a player's field is evaluated at the time its predecessor in the
    order (cyclically) has reached. Moves of one player that follow each other are joined in one.
    Two orders belong to such a method: `order_separable`, on games
    in which no player's gradient depends on its own parameters, and `order_general`. Immutable.

    Raises:
        ArgumentError: if lengths do not add up to 1, or the sub-step method is implicit or has another clock.

    Example:
        >>> half = Fraction(1, 2)
        >>> strang = Partitioned([Sweep(half), Sweep(half, backward=True)])
        >>> strang.order_separable, strang.order_general
        (2, 1)
    """

    def __init__(
        self,
        sweeps: Sequence[Sweep],
        substep: RungeKutta = EULER,
        *,
        players: Sequence[str | int] | None = None,
        cycles: Mapping[str | int, int] | None = None,
        digits: int | None = None,
        name: str = "",
        aliases: tuple[str, ...] = (),
        declared: Declared | None = None,
        source: str = "user",
    ) -> None:
        if not isinstance(substep, RungeKutta) or not substep.explicit:
            raise ArgumentError("substep", "an explicit Runge-Kutta method", substep, by_name(substep))
        total = sum(substep.b, Fraction(0))
        if abs(total - 1) > tolerance_of(substep.digits):
            got = f"{substep}, whose sum is {float(total):.6g}"
            raise ArgumentError("substep", "a method whose weights add up to 1", got)
        sweeps = _swept(sweeps)
        if players is not None and (isinstance(players, str) or len(set(players)) != len(players)):
            raise ArgumentError("players", "a sequence of different player names or places", players)
        given = [s.lengths if isinstance(s.lengths, tuple) else (s.lengths,) for s in sweeps]
        self._lengths = tuple(tuple(rational("lengths", x) for x in row) for row in given)
        self.sweeps = tuple(
            Sweep(row if isinstance(s.lengths, tuple) else row[0], s.backward)
            for s, row in zip(sweeps, self._lengths, strict=True)
        )
        self.substep = substep
        self.digits = fewest_digits(digits, substep.digits, float_digits(*given))
        self._moves: dict[int, tuple[Move, ...]] = {}
        if cycles is not None and not hasattr(cycles, "keys"):
            raise ArgumentError("cycles", "a dict of counts by player, such as {'D': 5, 'G': 1}", cycles)
        self.players = tuple(players) if players is not None else None if cycles is None else tuple(cycles)
        self.cycles = None if cycles is None else _counts(self.players or (), cycles)
        self.name, self.aliases, self.declared, self.source = name, aliases, declared, source
        self.moves(self.fixed_players or 2)

    def __repr__(self) -> str:
        orders = f"order_separable={self.order_separable}, order_general={self.order_general}"
        return f"Partitioned({self.name or 'user-made'}, {orders})"

    @property
    def fixed_players(self) -> int | None:
        """The number of players, where the lengths or the order of play fix it."""
        counts = {len(s.lengths) for s in self.sweeps if isinstance(s.lengths, tuple)}
        counts |= {len(self.players)} if self.players is not None else set()
        if len(counts) > 1:
            raise ArgumentError("sweeps", "lengths for one number of players", sorted(counts))
        return counts.pop() if counts else None

    @property
    def kind(self) -> str:
        """The family in words."""
        return "partitioned"

    @property
    def decouples(self) -> bool:
        """Whether eigenvalues determine a step: never, the players' blocks do."""
        return False

    @property
    def evaluations(self) -> float:
        """Field evaluations a step: every stage of a move costs one player's share (two players, if not fixed)."""
        n = self.fixed_players or 2
        count = Fraction(len(self.moves(n)) * self.substep.evaluations, n)
        return int(count) if count.denominator == 1 else float(count)

    @property
    def registers(self) -> int:
        """Vectors of parameter size that a step holds: stages, y, a checked state; of moves with stages their start."""
        return self.substep.evaluations + 2 + (self.substep.evaluations > 1)

    @cached_property
    def order_general(self) -> int:
        """Order on every game of two players, or as many as it is for (penalties and weight decay included)."""
        return self._order(separable_only=False)

    @cached_property
    def order_separable(self) -> int:
        """Order on games in which no gradient depends on its own player."""
        return self._order(separable_only=True)

    @property
    def order(self) -> int:
        """The order that holds for every game."""
        return self.order_general

    def order_of_play(self, names: Sequence[str]) -> tuple[int, ...]:
        """Places in the game, in the order in which they move.

        Raises:
            ArgumentError: if the method is for another number of players, leaves one out, or names one twice.
            UnknownNameError: if it names a player that the game lacks.
        """
        if self.fixed_players not in (None, len(names)):
            raise self._other_count(names)
        if self.players is None:
            return tuple(range(len(names)))
        places: dict[str | int, int] = {**{n: i for i, n in enumerate(names)}, **{i: i for i in range(len(names))}}
        for player in self.players:
            if player not in places:
                raise UnknownNameError("player", player, names)
        out = tuple(places[p] for p in self.players)
        if len(set(out)) != len(out):
            raise ArgumentError("players", f"every one of {', '.join(names)} once", self.players)
        return out

    def _other_count(self, names: Sequence[str]) -> ArgumentError:
        """What to say to a game of another number of players: who is missing."""
        named = self.players or ()
        missing = ", ".join(n for i, n in enumerate(names) if n not in named and i not in named)
        if self.cycles is not None and missing:
            remedy = f"missing: {missing}; who moves once a step has the count 1"
            given = f"counts for {', '.join(map(str, named)) or 'none'}"
            return ArgumentError("cycles", f"a count for every player: {', '.join(names)}", given, remedy)
        remedy = f"missing: {missing}" if named and missing else ""
        return ArgumentError("method", f"a game of {self.fixed_players} players", f"{len(names)} players", remedy)

    def moves(self, n_players: int) -> tuple[Move, ...]:
        """The moves of a step, for players numbered in their order of play; equal ones are steps of a cycle."""
        if n_players not in self._moves:
            self._moves[n_players] = self._made_moves(n_players)
        return self._moves[n_players]

    def _made_moves(self, n_players: int) -> tuple[Move, ...]:
        clock = [Fraction(0)] * n_players
        whole: list[Move] = []
        for sweep, lengths in zip(self.sweeps, self._lengths, strict=True):
            places = range(n_players)
            for place in reversed(places) if sweep.backward else places:
                length = lengths[place] if isinstance(sweep.lengths, tuple) else lengths[0]
                clock[place] += length
                if whole and whole[-1].place == place:
                    whole[-1] = whole[-1]._replace(length=whole[-1].length + length)
                elif length:
                    whole.append(Move(place, length, clock[place - 1] - (length if n_players == 1 else 0)))
        if any(abs(reached - 1) > tolerance_of(self.digits) for reached in clock):
            raise ArgumentError("sweeps", "lengths that add up to 1 for every player", [str(c) for c in clock])
        counts = self.cycles or (1,) * n_players
        return tuple(m._replace(length=m.length / counts[m.place]) for m in whole for _ in range(counts[m.place]))

    def stages(self, n_players: int) -> Stages:
        """The method written out as one tableau, for players numbered in their order of play."""
        player: list[int] = []
        node: list[Fraction] = []
        rows: list[list[Fraction]] = []
        weights: list[Fraction] = []
        for move in self.moves(n_players):
            done = list(weights)
            for inner in self.substep.A[: self.substep.needed]:
                rows.append([*done, *(move.length * a for a in inner[: self.substep.needed])])
                node.append(move.node)
                player.append(move.place)
            weights += [move.length * b for b in self.substep.b[: self.substep.needed]]
        total = len(weights)
        full = tuple(tuple(r) + (Fraction(0),) * (total - len(r)) for r in rows)
        return Stages(tuple(player), tuple(node), full, tuple(weights))

    def _order(self, *, separable_only: bool) -> int:
        n = self.fixed_players or 2
        stages = self.stages(n)
        A = [_columns(stages.A, stages.player, i) for i in range(n)]
        b = [[w if p == i else Fraction(0) for w, p in zip(stages.b, stages.player, strict=True)] for i in range(n)]
        return verified_order(A, b, self.digits, separable if separable_only else lambda _: True)


def _swept(sweeps: Sequence[Sweep]) -> tuple[Sweep, ...]:
    """The sweeps, if that is what they are."""
    found = tuple(sweeps) if hasattr(sweeps, "__iter__") else None
    if found is None or not all(isinstance(s, Sweep) for s in found):
        remedy = "alternating play is Partitioned([Sweep()])"
        raise ArgumentError("sweeps", "a sequence of Sweep(...)", sweeps, remedy)
    return found


def _counts(players: tuple[str | int, ...], cycles: Mapping[str | int, int]) -> tuple[int, ...]:
    if set(players) != set(cycles):
        expected = f"a count for every player: {', '.join(map(str, players))}"
        raise ArgumentError("cycles", expected, f"counts for {', '.join(map(str, cycles))}")
    return tuple(positive_int(f"cycles[{p!r}]", cycles[p]) for p in players)


def _columns(A: Table, player: tuple[int, ...], i: int) -> Table:
    return tuple(tuple(a if p == i else Fraction(0) for a, p in zip(r, player, strict=True)) for r in A)
