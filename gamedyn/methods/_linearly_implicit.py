"""What a linearly implicit method is: stages that each solve one linear system with a part of the Jacobian."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Coefficient, Declared, fewest_digits, float_digits, row, table
from gamedyn.methods._method import Method
from gamedyn.methods._trees import verified_w_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["PARTS", "LinearlyImplicit"]

PARTS = ("full", "cross", "sym", "skew")
"""What W is: J, its cross-player blocks, its symmetric part, its skew-symmetric part."""


class LinearlyImplicit(Method):
    """A Rosenbrock or W-method; W is J itself or a part of it.

    `(I - h Gamma_ii W) k_i = v(t + alpha_i h, y + h sum_{j<i} A_ij k_j) + h W sum_{j<i} Gamma_ij k_j`
    `+ h gamma_i dv/dt` (the last term where W = J), `y+ = y + h sum_i b_i k_i`; `alpha = A 1`, `gamma = Gamma 1`.

    Args:
        A: coefficients of the arguments, strictly lower triangular.
        gamma: coefficients Gamma of the linear terms, lower triangular.
        b: weights.
        b_hat: weights of the embedded method, or None.
        part: what W is: "full" (J), "cross" (the players' influence on each other: competitive gradient descent),
            "sym" or "skew" (the symmetric or skew-symmetric part of J: implicit-explicit splits).
        digits: decimals that published decimal coefficients are trusted to; None: exact (floats: 15).
        name: canonical name; user-made methods need none.
        aliases: other names.
        declared: what the literature says, checked by the contract suite.
        source: where the coefficients come from.

    Immutable.

    Raises:
        ArgumentError: if shapes differ, A has entries on or above the diagonal, Gamma above it, or weights do
            not add up to 1.

    Source: Hairer, Wanner II, IV.7, eq. (7.4); W-methods: Steihaug, Wolfbrandt 1979.

    Example:
        >>> LinearlyImplicit(A=[[]], gamma=[["1/2"]], b=[1]).order
        2
    """

    def __init__(
        self,
        A: Sequence[Iterable[Coefficient]],
        gamma: Sequence[Iterable[Coefficient]],
        b: Sequence[Coefficient],
        b_hat: Sequence[Coefficient] | None = None,
        *,
        part: str = "full",
        digits: int | None = None,
        name: str = "",
        aliases: tuple[str, ...] = (),
        declared: Declared | None = None,
        source: str = "user",
    ) -> None:
        rows, linear = [tuple(r) for r in A], [tuple(r) for r in gamma]
        self.b = row("b", b)
        self.A = table("A", rows, len(self.b))
        self.gamma = table("gamma", linear, len(self.b))
        self.b_hat = None if b_hat is None else row("b_hat", b_hat)
        if self.b_hat is not None and len(self.b_hat) != len(self.b):
            raise ArgumentError("b_hat", f"{len(self.b)} entries, as b has", f"{len(self.b_hat)}")
        self.part = choice("part", part, PARTS)
        self.digits = fewest_digits(digits, float_digits(b, b_hat or (), *rows, *linear))
        self.name, self.aliases, self.declared, self.source = name, aliases, declared, source
        if any(a for i, r in enumerate(self.A) for a in r[i:]):
            raise ArgumentError("A", "a strictly lower triangular table", "an entry on or above the diagonal")
        if any(g for i, r in enumerate(self.gamma) for g in r[i + 1 :]):
            raise ArgumentError("gamma", "a lower triangular table", "an entry above the diagonal")
        if self.order < 1:
            raise ArgumentError("b", "weights that add up to 1", f"a sum of {float(sum(self.b)):.6g}")

    def __repr__(self) -> str:
        return f"LinearlyImplicit({self.name or 'user-made'}, part={self.part}, order={self.order})"

    @property
    def stages(self) -> int:
        """Number of stages s: linear systems a step."""
        return len(self.b)

    @property
    def kind(self) -> str:
        """The family in words."""
        return "linearly implicit"

    @property
    def decouples(self) -> bool:
        """Whether eigenvalues determine a step: where W = J."""
        return self.part == "full"

    @property
    def solves(self) -> int:
        """Linear systems a step: one for each stage."""
        return self.stages

    @property
    def explicit(self) -> bool:
        """Whether no equation has to be solved: never."""
        return False

    @property
    def evaluations(self) -> int:
        """Field evaluations a step, one for every new argument (the first makes the linearisation too)."""
        return 1 + sum(any(r) for r in self.A)

    @property
    def registers(self) -> int | None:
        """Vectors of parameter size that a step holds: None, as the Krylov space decides."""
        return None

    @property
    def alpha(self) -> tuple[Fraction, ...]:
        """Nodes `A 1`."""
        return tuple(sum(r, Fraction(0)) for r in self.A)

    @property
    def time_slopes(self) -> tuple[Fraction, ...]:
        """Coefficients `Gamma 1` of dv/dt."""
        return tuple(sum(r, Fraction(0)) for r in self.gamma)

    @cached_property
    def order(self) -> int:
        """Order: of Rosenbrock's conditions where W = J, else of those that hold for every W."""
        return verified_w_order(self.A, self.gamma, self.b, self.digits, exact=self.part == "full")

    @cached_property
    def w_order(self) -> int:
        """Order with any W at all."""
        return verified_w_order(self.A, self.gamma, self.b, self.digits, exact=False)

    @cached_property
    def embedded_order(self) -> int | None:
        """Order of the embedded weights, or None where there are none."""
        if self.b_hat is None:
            return None
        return verified_w_order(self.A, self.gamma, self.b_hat, self.digits, exact=self.part == "full")
