"""What an anchored method is: explicit stages that are also pulled back to where the run began, by about 1/k."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cached_property
from typing import ClassVar, NamedTuple

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Coefficient, float_digits, rational, row, table
from gamedyn.methods._method import Method

__all__ = ["Anchored", "AtStep"]

Table = tuple[tuple[Fraction, ...], ...]


class AtStep(NamedTuple):
    """The coefficients of one step: `Y_i = y + pulls_i beta (y_0 - y) + h sum_j A_ij v(Y_j)`, and of its end alike."""

    beta: Fraction
    A: Table
    b: tuple[Fraction, ...]


class Anchored(Method):
    """Step k pulls towards the start `y_0` with weight `beta_k = weight / (k + shift)`, and its coefficients follow it.

    `Y_i = y + g_i beta (y_0 - y) + h_k sum_j (A_ij + beta A'_ij) v(Y_j)`,
    `y+ = y + beta (y_0 - y) + h_k sum_j (b_j + beta b'_j) v(Y_j)`, `h_k = h / (k + 1)^decay`.

    It approximates no flow `y' = s v`, so it has no order: with a constant h it follows
    `y' = v + weight (y_0 - y) / t`, whose anchor never leaves. Its limits are those of a late step, `beta = 0`; on a
    linear game its iterates are the products of all steps so far, `gamedyn.stability.symbols.products`.

    Args:
        A: explicit table at beta = 0; row i is padded with zeros.
        b: weights at beta = 0.
        pulls: g, how much of the anchor each stage takes.
        A_change: A', how A changes with beta; None: not at all.
        b_change: b', likewise.
        weight: of the anchor, positive.
        shift: added to the number of steps done, positive.
        decay: power with which steps shrink, 0 (they do not) or in (1/2, 1).
        name: canonical name; user-made methods need none.
        aliases: other names.
        source: where it comes from.

    Immutable.

    Raises:
        ArgumentError: if shapes differ, the table is not explicit, or a number is out of its range.

    Source: Halpern 1967, Bull. AMS 73; in games: Ryu, Yuan, Yin 2019; Yoon, Ryu 2021; Lee, Kim 2021.

    Example:
        >>> halpern = Anchored(A=[[]], b=[1], b_change=[-1], pulls=[0], weight=1, shift=2)
        >>> str(halpern.at(3).b[0])  # h v has the weight 1 - beta_3
        '4/5'
    """

    varies: ClassVar[bool] = True

    def __init__(
        self,
        A: Sequence[Iterable[Coefficient]],
        b: Sequence[Coefficient],
        *,
        pulls: Sequence[Coefficient],
        A_change: Sequence[Iterable[Coefficient]] | None = None,
        b_change: Sequence[Coefficient] | None = None,
        weight: Coefficient = 1,
        shift: Coefficient = 1,
        decay: Coefficient = 0,
        name: str = "",
        aliases: tuple[str, ...] = (),
        source: str = "user",
    ) -> None:
        s = len(b)
        if not s:
            raise ArgumentError("b", "a weight for each stage, at least one", b)
        self.b, self.b_change = row("b", b), row("b_change", [0] * s if b_change is None else b_change)
        self.pulls = row("pulls", pulls)
        self.A = _explicit("A", A, s)
        self.A_change = _explicit("A_change", [[]] * s if A_change is None else A_change, s)
        for argument, given in (("b_change", self.b_change), ("pulls", self.pulls)):
            if len(given) != s:
                raise ArgumentError(argument, f"{s} numbers, one for each stage", f"{len(given)}")
        self.weight, self.shift = _above_zero("weight", weight), _above_zero("shift", shift)
        self.decay = rational("decay", decay)
        if self.decay and not Fraction(1, 2) < self.decay < 1:
            remedy = "shrinking slower than that, steps turn a rotation outwards for ever"
            raise ArgumentError("decay", "0, or a power between 1/2 and 1", float(self.decay), remedy)
        tables = [x for t in (A, A_change or ()) for r in t for x in r]
        self.digits = float_digits(tables, b, b_change or (), pulls, (weight, shift, decay))
        self.name, self.aliases, self.source = name, aliases, source

    def __repr__(self) -> str:
        return f"Anchored({self.name or 'user-made'}, stages={self.stages}, weight={self.weight}/(k + {self.shift}))"

    def at(self, taken: int) -> AtStep:
        """The coefficients of the step that follows `taken` others."""
        beta = self.weight / (positive_int("taken", taken, least=0) + self.shift)
        A = tuple(
            tuple(a + beta * c for a, c in zip(*rows, strict=True)) for rows in zip(self.A, self.A_change, strict=True)
        )
        return AtStep(beta, A, tuple(w + beta * c for w, c in zip(self.b, self.b_change, strict=True)))

    @property
    def kind(self) -> str:
        """The family in words."""
        return "anchored"

    @property
    def stages(self) -> int:
        """Stages of a step."""
        return len(self.b)

    @property
    def evaluations(self) -> int:
        """Field evaluations a step."""
        return self.stages

    @property
    def registers(self) -> int:
        """Vectors of parameter size that a step holds: stages, anchor, y, its point, the result, a checked state."""
        return self.stages + 5

    @cached_property
    def c(self) -> tuple[Fraction, ...]:
        """Nodes: row sums of A, those of a late step."""
        return tuple(sum(r, Fraction(0)) for r in self.A)


def _explicit(argument: str, given: Sequence[Iterable[Coefficient]], stages: int) -> Table:
    """The table, if it is that of an explicit method of so many stages."""
    full = table(argument, given, stages)
    if any(a for i, r in enumerate(full) for a in r[i:]):
        rows = [[str(a) for a in r] for r in full]
        raise ArgumentError(argument, "an explicit table: zeros on and above the diagonal", rows)
    return full


def _above_zero(argument: str, value: Coefficient) -> Fraction:
    found = rational(argument, value)
    if found <= 0:
        raise ArgumentError(argument, "a positive number", float(found))
    return found
