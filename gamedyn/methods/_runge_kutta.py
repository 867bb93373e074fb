"""What a Runge-Kutta method is: a tableau."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Coefficient, Declared, fewest_digits, float_digits, rational, row, table
from gamedyn.methods._method import Method
from gamedyn.methods._simplifying import order_beyond
from gamedyn.methods._trees import HIGHEST_ORDER, verified_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["RungeKutta"]


class RungeKutta(Method):
    """A Runge-Kutta method: `k_i = v(t + c_i h, y + h sum_j A_ij k_j)`, `y+ = y + h sum_i b_i k_i`.

    Args:
        A: stage coefficients, s rows of at most s entries (ints, Fractions, strings, floats).
        b: weights, s entries.
        b_hat: weights of the embedded method, or None.
        b_low: weights of a second embedded method, of lower order; its estimate e' and the first, e, give
            `e^2 / (e^2 + e'^2 / 100)^(1/2)`, which is of a higher order than both.
        time_scale: the clock s of the method, `sum_i b_i = s`; it solves `y' = s v` (Lookahead).
        digits: decimals that published decimal coefficients are trusted to; None: exact (floats: 15).
        name: canonical name; user-made methods need none.
        aliases: other names.
        declared: what the literature says, checked by the contract suite.
        source: where the coefficients come from.

    The nodes `c = A 1 / s` and the order are derived, never typed in. Immutable.

    Raises:
        ArgumentError: if the shapes do not match or a coefficient is not a number.

    Example:
        >>> ralston = RungeKutta(A=[[], ["2/3"]], b=["1/4", "3/4"])
        >>> ralston.order, ralston.c
        (2, (Fraction(0, 1), Fraction(2, 3)))
    """

    def __init__(
        self,
        A: Sequence[Iterable[Coefficient]],
        b: Sequence[Coefficient],
        b_hat: Sequence[Coefficient] | None = None,
        *,
        b_low: Sequence[Coefficient] | None = None,
        time_scale: Coefficient = 1,
        digits: int | None = None,
        name: str = "",
        aliases: tuple[str, ...] = (),
        declared: Declared | None = None,
        source: str = "user",
    ) -> None:
        if not hasattr(A, "__iter__"):
            raise ArgumentError("A", "rows of coefficients", A)
        rows = [tuple(r) if hasattr(r, "__iter__") else r for r in A]
        self.b = row("b", b)
        if not self.b:
            raise ArgumentError("b", "at least one stage", "none")
        self.A = table("A", rows, len(self.b))
        self.b_hat = None if b_hat is None else row("b_hat", b_hat)
        if self.b_hat is not None:
            table("b_hat", [self.b_hat] * len(self.b), len(self.b))
            self.b_hat = self.b_hat + (Fraction(0),) * (len(self.b) - len(self.b_hat))
        if b_low is not None and (self.b_hat is None or len(b_low) != len(self.b)):
            expected = f"{len(self.b)} weights, beside b_hat"
            raise ArgumentError("b_low", expected, f"{len(b_low)}" + ("" if self.b_hat else ", and no b_hat"))
        self.b_low = None if b_low is None else row("b_low", b_low)
        self.time_scale = rational("time_scale", time_scale)
        self.digits = fewest_digits(digits, float_digits(b, b_hat or (), (time_scale,), *rows))
        self.name, self.aliases, self.declared, self.source = name, aliases, declared, source

    def __repr__(self) -> str:
        return f"RungeKutta({self.name or 'user-made'}, stages={self.stages}, order={self.order})"

    @property
    def stages(self) -> int:
        """Number of stages s."""
        return len(self.b)

    @cached_property
    def needed(self) -> int:
        """Number of leading stages that `y+` depends on: the others serve the error estimate alone."""
        last = max((i for i, w in enumerate(self.b) if w), default=-1)
        while True:
            deeper = max([last, *(j for r in self.A[: last + 1] for j, a in enumerate(r) if a)])
            if deeper == last:
                return last + 1
            last = deeper

    @property
    def kind(self) -> str:
        """The family in words."""
        return "explicit Runge-Kutta" if self.explicit else "implicit Runge-Kutta"

    @property
    def evaluations(self) -> int:
        """Field evaluations of a step of fixed size; of an implicit method, those of one Newton step."""
        return self.needed

    @property
    def solver_decides(self) -> bool:
        """Whether a solver decides how many field evaluations a step takes: of implicit methods."""
        return not self.explicit

    @property
    def solves(self) -> int:
        """Stages that are solved for."""
        return sum(any(r[i:]) for i, r in enumerate(self.A))

    @property
    def registers(self) -> int:
        """Vectors of parameter size that a step holds: stages, y, the stage point, the result, a checked state."""
        return self.needed + 4

    @cached_property
    def c(self) -> tuple[Fraction, ...]:
        """Nodes, `c_i = sum_j A_ij / s`."""
        return tuple(sum(r, Fraction(0)) / self.time_scale for r in self.A)

    @cached_property
    def explicit(self) -> bool:
        """Whether every stage uses earlier stages only."""
        return all(not a for i, r in enumerate(self.A) for a in r[i:])

    @cached_property
    def diagonally_implicit(self) -> bool:
        """Whether no stage uses a later one."""
        return all(not a for i, r in enumerate(self.A) for a in r[i + 1 :])

    @cached_property
    def order(self) -> int:
        """Classical order, proved by the rooted-tree conditions; beyond 10 by the simplifying assumptions."""
        return self._proved[0]

    @property
    def order_is_bound(self) -> bool:
        """Whether the order may be higher than `order`: neither trees nor simplifying assumptions reach so far."""
        return self._proved[1]

    @cached_property
    def _proved(self) -> tuple[int, bool]:
        return self._order(self.b)

    @cached_property
    def embedded_order(self) -> int | None:
        """Order of the embedded weights, or None where there are none."""
        return None if self.b_hat is None else self._order(self.b_hat)[0]

    @cached_property
    def estimate_order(self) -> int | None:
        """The power of h that the error estimate falls with; None without embedded weights."""
        if self.embedded_order is None:
            return None
        first = min(self.order, self.embedded_order) + 1
        return first if self.b_low is None else 2 * first - self._order(self.b_low)[0] - 1

    @cached_property
    def fsal(self) -> bool:
        """Whether the last stage is the first of the next step."""
        return self.stages > 1 and self.explicit and self.A[-1] == self.b and self.b[-1] == 0

    def _order(self, weights: tuple[Fraction, ...]) -> tuple[int, bool]:
        s = self.time_scale
        A, b = tuple(tuple(a / s for a in r) for r in self.A), tuple(w / s for w in weights)
        found = verified_order([A], [b], self.digits)
        if found < HIGHEST_ORDER:
            return found, False
        found, exact = order_beyond(A, b, found, self.digits)
        return found, not exact
