"""What a stochastic Runge-Kutta method is: a tableau for the drift, and one for diagonal noise."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Coefficient, Declared, row, table
from gamedyn.methods._runge_kutta import RungeKutta

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["StochasticRungeKutta"]

ONE, ZERO, HALF = Fraction(1), Fraction(0), Fraction(1, 2)


class StochasticRungeKutta(RungeKutta):
    """A Runge-Kutta method for `dy = v dt + sigma(t, y) dW` (Ito, diagonal noise), explicit in both.

    With `k_i = v(t + c_i h, y + h sum_j A_ij k_j)` and, at the points of the noise,

        H_i = y + h sum_j drift_ij k_j + sqrt(h) sum_{j<i} noise_ij s_j,    s_i = sigma(t, H_i),
        y+ = y + h sum_i b_i k_i + sum_i (weights_i I_1 + squares_i I_11 / sqrt(h)) s_i,

    `I_1 = W(t + h) - W(t)` and `I_11 = (I_1^2 - h) / 2`, entry by entry. Without noise it is the Runge-Kutta method of
    A and b, whose order, R(z) and limits it has: those of the mean on linear games.

    Args:
        A: stage coefficients of the drift, explicit.
        b: its weights.
        drift: coefficients of the drift in the points of the noise, one row of at most s entries for each.
        noise: coefficients of the noise in them, strictly lower triangular.
        weights: of I_1, with sum 1.
        squares: of I_11 / sqrt(h), with sum 0; None: none.
        name: canonical name; user-made methods need none.
        aliases: other names.
        declared: what the literature says of the drift's method.
        source: where the coefficients come from.

    Raises:
        ArgumentError: for tableaus that are not explicit, of other sizes, or weights with other sums.

    Source: Roessler 2010, SIAM J. Numer. Anal. 48, p. 922 (the form, for diagonal noise, and its conditions).

    Example:
        >>> euler_maruyama = StochasticRungeKutta(A=[[]], b=[1], drift=[[]], noise=[[]], weights=[1])
        >>> euler_maruyama.strong_order, euler_maruyama.order
        (Fraction(1, 2), 1)
    """

    def __init__(
        self,
        A: Sequence[Iterable[Coefficient]],
        b: Sequence[Coefficient],
        *,
        drift: Sequence[Iterable[Coefficient]],
        noise: Sequence[Iterable[Coefficient]],
        weights: Sequence[Coefficient],
        squares: Sequence[Coefficient] | None = None,
        name: str = "",
        aliases: tuple[str, ...] = (),
        declared: Declared | None = None,
        source: str = "user",
    ) -> None:
        self.weights = row("weights", weights)
        count, stages = len(self.weights), len(b)
        self.squares = (ZERO,) * count if squares is None else row("squares", squares)
        self.noise = table("noise", [tuple(r) for r in noise], count)
        if len(drift) != count or len(self.squares) != count:
            expected = f"{count} rows of drift and as many squares, one for each weight"
            raise ArgumentError("drift, squares", expected, f"{len(drift)} and {len(self.squares)}")
        rows = [row(f"drift[{i}]", tuple(r)) for i, r in enumerate(drift)]
        if any(len(r) > stages for r in rows):
            raise ArgumentError("drift", f"rows of at most {stages} entries, one for each stage", drift)
        self.drift = tuple(r + (ZERO,) * (stages - len(r)) for r in rows)
        if sum(self.weights) != 1 or sum(self.squares) != 0:
            got = f"{sum(self.weights)} and {sum(self.squares)}"
            raise ArgumentError("weights, squares", "sums of 1 and 0", got)
        if any(a for i, r in enumerate(self.noise) for a in r[i:]):
            raise ArgumentError("noise", "a strictly lower triangular tableau", noise)
        super().__init__(A, b, name=name, aliases=aliases, declared=declared, source=source)
        if not self.explicit:
            raise ArgumentError("A", "an explicit tableau", A)

    def __repr__(self) -> str:
        return f"StochasticRungeKutta({self.name or 'user-made'}, order={self.order}, strong_order={self.strong_order})"

    @property
    def kind(self) -> str:
        """The family in words."""
        return "stochastic Runge-Kutta"

    @property
    def host_decides(self) -> str:
        """What the host decides within a step: its increments."""
        return "increments of the noise are drawn"

    @property
    def ensembles(self) -> bool:
        """Whether many members are stepped at once."""
        return True

    @property
    def resamples(self) -> bool:
        """Whether every evaluation of a step may see a batch of its own."""
        return True

    @property
    def needed(self) -> int:
        """All stages of the drift: the points of the noise may depend on them."""
        return self.stages

    @property
    def strong_order(self) -> Fraction:
        """Of `E|y - y(T)|`, for noise that depends on the state: 1/2, or 1 where the conditions for it hold.

        For noise that does not, 1 always: what the squares multiply adds up to 0 then.
        """
        through = [sum(r) for r in self.noise]
        first = sum(w * s for w, s in zip(self.weights, through, strict=True))
        second = sum(w * s for w, s in zip(self.squares, through, strict=True))
        return ONE if (first, second) == (0, 1) else HALF

    @property
    def strong_order_additive(self) -> Fraction:
        """The same for noise that is the same at every state."""
        return ONE
