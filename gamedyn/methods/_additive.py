"""What an additive Runge-Kutta method is: a tableau for every part of the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Coefficient, Declared, fewest_digits, float_digits, row, table
from gamedyn.methods._immutable import by_name
from gamedyn.methods._method import Method
from gamedyn.methods._trees import Table, verified_order

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["REST", "AdditiveRungeKutta", "Evaluation"]

REST = "rest"
"""Name of the sum of all parts that no tableau names."""


class Evaluation(NamedTuple):
    """One evaluation: at which stage, and by which factor each named part enters it."""

    stage: int
    factors: Mapping[str, Fraction]


class AdditiveRungeKutta(Method):
    """A Runge-Kutta method with a tableau for every named part of `v = sum_p v_p`.

    `Y_i = y + h sum_p sum_j A^p_ij v_p(t + c_j h, Y_j)`, `y+ = y + h sum_p sum_i b^p_i v_p(t + c_i h, Y_i)`.

    Args:
        tableaus: (A, b) by part: "game" is the losses' own gradient, a penalty has its term's name, "rest" is the
            sum of all parts that are not named. The first one gives the nodes `c = A 1`.
        name: canonical name; user-made methods need none.
        aliases: other names.
        declared: what the literature says, checked by the contract suite.
        source: where the coefficients come from.

    All tableaus have as many stages and are explicit. Immutable.

    Raises:
        ArgumentError: if shapes differ, a tableau is implicit, or weights do not add up to 1 (residuals shown).

    Source: Kennedy, Carpenter 2003; Sandu, Guenther 2015.

    Example:
        >>> half = AdditiveRungeKutta({"game": ([[], [1]], ["1/2", "1/2"]), "rest": ([[], [0]], [1, 0])})
        >>> half.order, half.evaluations
        (1, 3)
    """

    def __init__(
        self,
        tableaus: Mapping[str, tuple[Sequence[Iterable[Coefficient]], Sequence[Coefficient]]],
        *,
        digits: int | None = None,
        name: str = "",
        aliases: tuple[str, ...] = (),
        declared: Declared | None = None,
        source: str = "user",
    ) -> None:
        if not tableaus:
            raise ArgumentError("tableaus", "a tableau (A, b) for at least one part", "none")
        _refuse_no_tableau(tableaus)
        self.parts = tuple(tableaus)
        rows = {p: [tuple(r) for r in A] for p, (A, _) in tableaus.items()}
        self.b = {p: row(f"b of {p}", b) for p, (_, b) in tableaus.items()}
        count = len(self.b[self.parts[0]])
        for p, b in self.b.items():
            if len(b) != count:
                raise ArgumentError(f"b of {p}", f"{count} entries, as the first has", f"{len(b)}")
        self.A: Mapping[str, Table] = {p: table(f"A of {p}", r, count) for p, r in rows.items()}
        self.digits = fewest_digits(digits, *(float_digits(tableaus[p][1], *rows[p]) for p in self.parts))
        self.name, self.aliases, self.declared, self.source = name, aliases, declared, source
        if any(a for A in self.A.values() for i, r in enumerate(A) for a in r[i:]):
            raise ArgumentError("tableaus", "explicit ones: every stage from earlier stages", "an implicit one")
        if self.order < 1:
            residuals = ", ".join(f"{p}: {float(sum(b) - 1):.3g}" for p, b in self.b.items())
            raise ArgumentError("tableaus", "weights that add up to 1 for every part", f"sums off by {residuals}")

    def __repr__(self) -> str:
        return f"AdditiveRungeKutta({self.name or 'user-made'}, parts={self.parts}, order={self.order})"

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.b[self.parts[0]])

    @property
    def kind(self) -> str:
        """The family in words."""
        return "additive"

    @property
    def decouples(self) -> bool:
        """Whether eigenvalues determine a step: never, the Jacobians of the parts do."""
        return False

    @property
    def named_parts(self) -> tuple[str, ...]:
        """The parts of the flow whose Jacobians a step must know."""
        return tuple(p for p in self.parts if p != REST)

    @property
    def c(self) -> tuple[Fraction, ...]:
        """Nodes: the row sums of the first tableau."""
        return tuple(sum(r, Fraction(0)) for r in self.A[self.parts[0]])

    @cached_property
    def order(self) -> int:
        """Order, proved by the conditions of trees with a colour for every part."""
        return verified_order([self.A[p] for p in self.parts], [self.b[p] for p in self.parts], self.digits)

    @cached_property
    def plan(self) -> tuple[Evaluation, ...]:
        """The evaluations of a step: parts whose columns are proportional at a stage are evaluated together."""
        out = []
        for stage in range(self.stages):
            groups: list[tuple[tuple[Fraction, ...], dict[str, Fraction]]] = []
            for part in self.parts:
                column = self._column(part, stage)
                if not any(column):
                    continue
                for lead, factors in groups:
                    ratio = _ratio(column, lead)
                    if ratio:
                        factors[part] = ratio
                        break
                else:
                    groups.append((column, {part: Fraction(1)}))
            out += [Evaluation(stage, factors) for _, factors in groups]
        return tuple(out)

    def weights(self, evaluation: Evaluation, row: int | None) -> Fraction:
        """What an evaluation is multiplied with in stage `row`, or (None) in the result."""
        part = next(iter(evaluation.factors))
        return self.b[part][evaluation.stage] if row is None else self.A[part][row][evaluation.stage]

    @property
    def evaluations(self) -> int:
        """Field evaluations a step."""
        return len(self.plan)

    @property
    def registers(self) -> int:
        """Vectors of parameter size that a step holds: evaluations, y, its point, the result, a checked state."""
        return self.evaluations + 4

    def _column(self, part: str, stage: int) -> tuple[Fraction, ...]:
        return (*(r[stage] for r in self.A[part]), self.b[part][stage])


def _refuse_no_tableau(tableaus: object) -> None:
    """Refuse a method, or its name, where a tableau is expected."""
    if not isinstance(tableaus, Mapping):
        remedy = 'such as {"game": (A, b), "rest": (A, b)}; of a Runge-Kutta method: gamedyn.methods.penalty_placed'
        raise ArgumentError("tableaus", "a dict of tableaus (A, b) by part", tableaus, remedy)
    for part, given in tableaus.items():
        if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 2:
            remedy = by_name(given) + ", and of it (A, b)" if isinstance(given, str) else "of a method: (m.A, m.b)"
            raise ArgumentError(f"tableaus[{part!r}]", "a tableau (A, b)", given, remedy)


def _ratio(column: tuple[Fraction, ...], lead: tuple[Fraction, ...]) -> Fraction | None:
    """The factor f with `column = f lead`, or None."""
    at = next(i for i, x in enumerate(lead) if x)
    f = column[at] / lead[at]
    return f if f and all(x == f * y for x, y in zip(column, lead, strict=True)) else None
