"""What an exponential Rosenbrock method is: weights that are functions of h J."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Coefficient, Declared, rational, row
from gamedyn.methods._method import Method

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ExponentialRosenbrock"]

Weights = tuple[tuple[tuple[int, Fraction], ...], ...]


class ExponentialRosenbrock(Method):
    """An exponential Rosenbrock method: the linear part of the field at y is solved exactly.

    `U_i = y + c_i h phi_1(c_i h J) v(y)`, `y+ = y + h phi_1(h J) v(y) + h sum_i b_i(h J) D_i` with
    `D_i = v(U_i) - v(y) - J (U_i - y)`, J and v at y; `phi_0 = exp`, `phi_{k+1}(z) = (phi_k(z) - 1/k!)/z`.
    Where the field depends on time, t is one more variable.

    Args:
        c: nodes of the inner stages, each in (0, 1]; none for the exponential Euler method.
        b: for every inner stage, what `b_i` is: coefficients of phi_k by k.
        name: canonical name; user-made methods need none.
        aliases: other names.
        declared: what the literature says, checked by the contract suite.
        source: where the coefficients come from.

    With inner stages the method without them is embedded. Immutable.

    Raises:
        ArgumentError: if lengths differ or a node is not in (0, 1].

    Source: Hochbruck, Ostermann, Schweitzer 2009, SIAM J. Numer. Anal. 47, section 2 and table 1.

    Example:
        >>> ExponentialRosenbrock().order, ExponentialRosenbrock(c=[1], b=[{3: 2}]).order
        (2, 3)
    """

    def __init__(
        self,
        c: Sequence[Coefficient] = (),
        b: Sequence[Mapping[int, Coefficient]] = (),
        *,
        name: str = "",
        aliases: tuple[str, ...] = (),
        declared: Declared | None = None,
        source: str = "user",
    ) -> None:
        self.c = row("c", c)
        if len(b) != len(self.c) or not all(0 < x <= 1 for x in self.c):
            raise ArgumentError("c, b", "nodes in (0, 1], each with its weights", f"{list(c)} and {len(b)} weights")
        self.b: Weights = tuple(tuple((int(k), rational("b", x)) for k, x in sorted(w.items())) for w in b)
        self.digits = None
        self.name, self.aliases, self.declared, self.source = name, aliases, declared, source

    def __repr__(self) -> str:
        return f"ExponentialRosenbrock({self.name or 'user-made'}, order={self.order})"

    @property
    def kind(self) -> str:
        """The family in words."""
        return "exponential"

    @property
    def explicit(self) -> bool:
        """Whether neither equations have to be solved nor functions of J applied: never."""
        return False

    @property
    def evaluations(self) -> int:
        """Field evaluations a step (the first makes the linearisation too)."""
        return 1 + len(self.c)

    @property
    def solves(self) -> int:
        """Functions of J that are applied: one for each evaluation."""
        return self.evaluations

    @property
    def registers(self) -> int | None:
        """Vectors of parameter size that a step holds: None, as the Krylov space decides."""
        return None

    @cached_property
    def order(self) -> int:
        """2 without inner stages; 3 iff `sum_i b_i c_i^2 = 2 phi_3`; 4 iff also `sum_i b_i c_i^3 = 6 phi_4`.

        These conditions, as identities between functions of h J, are the stiff ones.
        """
        order = 2
        for power, factor in ((2, 2), (3, 6)):
            total: dict[int, Fraction] = {}
            for c, weights in zip(self.c, self.b, strict=True):
                for k, x in weights:
                    total[k] = total.get(k, Fraction(0)) + x * c**power
            if {k: x for k, x in total.items() if x} != {power + 1: Fraction(factor)}:
                break
            order += 1
        return order

    @property
    def embedded_order(self) -> int | None:
        """Order of the method without inner stages: 2; None where there are none."""
        return 2 if self.c else None
