"""What a linear multistep method is: two polynomials, and how it starts."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from math import factorial
from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import (
    Coefficient,
    Declared,
    fewest_digits,
    float_digits,
    rational,
    row,
    tolerance_of,
)
from gamedyn.methods._immutable import by_name
from gamedyn.methods._method import Method
from gamedyn.methods._runge_kutta import RungeKutta
from gamedyn.methods.explicit import RK4

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["LinearMultistep"]


class LinearMultistep(Method):
    """A k-step method: `sum_j alpha_j y_{n+j} = h sum_j beta_j v_{n+j}`, j = 0 (oldest) ... k (newest).

    Args:
        alpha: k + 1 coefficients of the values, oldest first; scaled so that `alpha_k = 1`.
        beta: k + 1 coefficients of the field values, oldest first; `beta_k = 0` for explicit methods.
        start: one-step method that makes the first k - 1 values (default: classical Runge-Kutta); or "rest": the
            players have stood still before, `y_{-j} = y_0` and `v_{-j} = 0` (momentum methods).
        coupling: k coefficients delta of `h W sum_j delta_j y_{n+j}`, W the cross-player blocks of J at the newest
            known value, oldest first; they add up to 0 (LEAD). None: no such term.
        digits: decimals that published decimal coefficients are trusted to; None: exact (floats: 15).
        time_scale: the clock s of the method, `sigma(1) = s rho'(1)`; it solves `y' = s v`.
        name: canonical name; user-made methods need none.
        aliases: other names.
        declared: what the literature says, checked by the contract suite.
        source: where the coefficients come from.

    Immutable.

    Raises:
        ArgumentError: if lengths differ, `alpha_k = 0`, or the method is not consistent.

    Example:
        >>> LinearMultistep(alpha=[0, -1, 1], beta=["-1/2", "3/2", 0]).order
        2
    """

    def __init__(
        self,
        alpha: Sequence[Coefficient],
        beta: Sequence[Coefficient],
        start: RungeKutta | str | None = None,
        *,
        coupling: Sequence[Coefficient] | None = None,
        time_scale: Coefficient = 1,
        digits: int | None = None,
        name: str = "",
        aliases: tuple[str, ...] = (),
        declared: Declared | None = None,
        source: str = "user",
    ) -> None:
        a, b = row("alpha", alpha), row("beta", beta)
        if len(a) != len(b) or len(a) < 2:
            raise ArgumentError("beta", f"as many entries as alpha has ({len(a)}, at least 2)", f"{len(b)} entries")
        if a[-1] == 0:
            raise ArgumentError("alpha", "a last entry (of the newest value) other than 0", a[-1])
        self.alpha = tuple(x / a[-1] for x in a)
        self.beta = tuple(x / a[-1] for x in b)
        if start not in (None, "rest") and not isinstance(start, RungeKutta):
            raise ArgumentError("start", 'a Runge-Kutta method or "rest"', start, by_name(start))
        self.start = RK4 if start is None else start
        self.time_scale = rational("time_scale", time_scale)
        self.digits = fewest_digits(digits, float_digits(alpha, beta, (time_scale,), coupling or ()))
        self.coupling = None if coupling is None else _coupling(coupling, len(a) - 1, self.digits)
        self.name, self.aliases, self.declared, self.source = name, aliases, declared, source
        if self.order < 1:
            slope = sum((j * x for j, x in enumerate(self.alpha)), Fraction(0))
            expected = "rho(1) = 0 and sigma(1) = time_scale * rho'(1) (consistency)"
            got = f"rho(1) = {sum(self.alpha)}, sigma(1) = {sum(self.beta)}, rho'(1) = {slope}"
            raise ArgumentError("alpha, beta", expected, got, "check the coefficients, or give the time_scale")

    def __repr__(self) -> str:
        return f"LinearMultistep({self.name or 'user-made'}, steps={self.steps}, order={self.order})"

    @property
    def kind(self) -> str:
        """The family in words."""
        return "explicit multistep" if self.explicit else "implicit multistep"

    @property
    def decouples(self) -> bool:
        """Whether eigenvalues determine a step: unless cross-player blocks enter (LEAD)."""
        return self.coupling is None

    @property
    def formulas(self) -> tuple[LinearMultistep, ...]:
        """The multistep formulas that a step applies: itself."""
        return (self,)

    @property
    def host_decides(self) -> str:
        """What the host decides within a step: solving, and of LEAD the graph of its products."""
        return super().host_decides if self.coupling is None else "a graph is kept for products with J"

    @property
    def solver_decides(self) -> bool:
        """Whether a solver decides how many field evaluations a step takes: of implicit methods."""
        return not self.explicit

    @property
    def solves(self) -> int:
        """Equations a step."""
        return 0 if self.explicit else 1

    @property
    def steps(self) -> int:
        """Number of steps k."""
        return len(self.alpha) - 1

    @property
    def evaluations(self) -> int:
        """Field evaluations a step, once started; of an implicit method, those of one Newton step."""
        return 1

    @property
    def registers(self) -> int:
        """Vectors of parameter size that a step holds: history, y, its point, the result, a checked state."""
        fields = max((j + 1 for j, b in enumerate(self.beta[-2::-1]) if b), default=0)
        points = self.steps if any(self.alpha[:-2]) or self.coupling is not None else 0  # the past, and a sum of it
        return fields + points + 4

    @property
    def explicit(self) -> bool:
        """Whether the newest field value does not enter."""
        return self.beta[-1] == 0

    @cached_property
    def order(self) -> int:
        """Largest p with `C_0 = ... = C_p = 0`, 2k at most; at most 1 with a coupling."""
        tolerance = tolerance_of(self.digits)
        highest = 2 * self.steps if self.coupling is None else 1  # Dahlquist; a coupling is a term of order h^2
        return next((q - 1 for q in range(highest + 1) if abs(self.defect(q)) > tolerance), highest)

    def defect(self, q: int) -> Fraction:
        """C_q: coefficient of `h^q y^(q)` left over when the exact solution is put into the formula.

        `C_q = sum_j alpha_j (s j)^q / q! - sum_j beta_j (s j)^(q-1) / (q-1)!`, s the time scale; the
        derivative of the exact solution is s v. Source: Hairer, Norsett, Wanner I, III.2, eq. (2.6).
        """
        scale = self.time_scale
        value = sum((a * (scale * j) ** q for j, a in enumerate(self.alpha)), Fraction(0)) / factorial(q)
        if q == 0:
            return value
        slope = sum((b * (scale * j) ** (q - 1) for j, b in enumerate(self.beta)), Fraction(0))
        return value - slope / factorial(q - 1)


def _coupling(values: Sequence[Coefficient], steps: int, digits: int | None) -> tuple[Fraction, ...]:
    out = row("coupling", values)
    if len(out) != steps or abs(sum(out, Fraction(0))) > tolerance_of(digits):
        raise ArgumentError("coupling", f"{steps} coefficients that add up to 0", [str(x) for x in out])
    return out
