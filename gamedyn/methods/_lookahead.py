"""What Lookahead is over methods that are no Runge-Kutta method: k steps ahead, then part of the way back."""

from __future__ import annotations

from fractions import Fraction
from typing import Union

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Coefficient, Declared, rational
from gamedyn.methods._immutable import by_name
from gamedyn.methods._linear_multistep import LinearMultistep
from gamedyn.methods._method import Method
from gamedyn.methods._partitioned import Partitioned
from gamedyn.methods._predictor_corrector import PredictorCorrector
from gamedyn.methods._runge_kutta import RungeKutta

__all__ = ["Lookahead"]


class Lookahead(Method):
    """`z = k steps of the inner method from y`, `y+ = y + alpha (z - y)`; h is the inner step.

    Args:
        inner: a multistep, predictor-corrector or partitioned method (over Runge-Kutta methods Lookahead is itself a
            Runge-Kutta method: `gamedyn.methods.lookahead`).
        k: inner steps for each outer one.
        alpha: how much of the way is kept, in (0, 1].
        name: canonical name; user-made methods need none.
        aliases: other names.
        declared: what the literature says, checked by the contract suite.
        source: where the method comes from.

    The memory of a multistep inner method belongs to points that the outer step has moved: it is dropped, and the
    method's starting rule begins every outer step anew. The clock is `time_scale = alpha k` times that of the
    inner method. Immutable.

    Raises:
        ArgumentError: if the inner method is of another family, k not positive, or alpha not in (0, 1].

    Source: Zhang, Lucas, Ba, Hinton 2019; in games: Chavdarova et al. 2021 (Lookahead-Minmax).

    Example:
        >>> from gamedyn.methods.partitioned import ALTERNATING
        >>> Lookahead(ALTERNATING, 5, "1/2").time_scale
        Fraction(5, 2)
    """

    def __init__(
        self,
        inner: Union[LinearMultistep, PredictorCorrector, Partitioned],
        k: int,
        alpha: Coefficient,
        *,
        name: str = "",
        aliases: tuple[str, ...] = (),
        declared: Declared | None = None,
        source: str = "user",
    ) -> None:
        if not isinstance(inner, (LinearMultistep, PredictorCorrector, Partitioned)):
            remedy = by_name(inner)
            if isinstance(inner, RungeKutta):
                remedy = "of a Runge-Kutta method it is one: gamedyn.methods.lookahead(inner, k, alpha)"
            raise ArgumentError("inner", "a multistep, predictor-corrector or partitioned method", inner, remedy)
        self.inner, self.k, self.alpha = inner, positive_int("k", k), rational("alpha", alpha)
        if not 0 < self.alpha <= 1:
            raise ArgumentError("alpha", "a number in (0, 1]", alpha)
        self.digits = inner.digits
        self.name, self.aliases, self.declared, self.source = name, aliases, declared, source

    def __repr__(self) -> str:
        return f"Lookahead({self.name or repr(self.inner)}, k={self.k}, alpha={self.alpha}, order={self.order})"

    @property
    def time_scale(self) -> Fraction:
        """The clock: it solves `y' = time_scale v` in steps of h."""
        return Fraction(self.alpha * self.k * self.inner.time_scale)

    @property
    def kind(self) -> str:
        """The family in words."""
        return "lookahead"

    @property
    def decouples(self) -> bool:
        """Whether eigenvalues determine a step: where it does of the inner method."""
        return self.inner.decouples

    @property
    def host_decides(self) -> str:
        """What the host decides within a step of the inner method."""
        return self.inner.host_decides

    @property
    def solver_decides(self) -> bool:
        """Whether a solver decides how many field evaluations a step takes, as in the inner method."""
        return self.inner.solver_decides

    @property
    def solves(self) -> int:
        """K times those of the inner method."""
        return self.k * self.inner.solves

    @property
    def explicit(self) -> bool:
        """Whether no equation has to be solved."""
        return self.inner.explicit

    @property
    def evaluations(self) -> float:
        """Field evaluations a step, once started."""
        inner = self.inner
        start = getattr(inner, "start", "rest")
        if isinstance(start, str) or self.solver_decides:
            return float(self.k * inner.evaluations)
        starting = min(inner.steps - 1, self.k)
        return float((self.k - starting) * inner.evaluations + starting * start.evaluations)

    @property
    def registers(self) -> int:
        """Vectors of parameter size that a step holds: the inner method's, y; and the result, of one in place."""
        return self.inner.registers + 1 + isinstance(self.inner, Partitioned)

    @property
    def order(self) -> int:
        """The inner method's where alpha = 1, else 1."""
        return self.inner.order if self.alpha == 1 else 1

    @property
    def order_separable(self) -> int:
        """On games without own curvature: the inner method's where alpha = 1, else 1."""
        return self.inner.order_separable if self.alpha == 1 else 1
